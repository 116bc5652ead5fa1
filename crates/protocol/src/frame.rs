//! What a server sends, written straight into a frame buffer in the dialect of the client.
//!
//! A frame is a header that belongs to the client and ops that belong to the document, so that
//! ops are encoded once however many clients watch. [`delta`] and [`snapshot`] open a frame, the
//! caller appends ops (or what [`json_patch`](crate::json_patch) makes of them) or the document, and [`Extras`]
//! closes it.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::limits::ACTIONS_IN_FLIGHT;
use crate::{ClientId, Dialect, Epoch, EventId, FrameNumber, Seq, SessionId, Token};

/// What the server says after hello. See protocol.md section 5 for each member.
#[derive(Clone, Debug)]
pub struct Welcome<'a> {
    /// The public id of the session.
    pub session: SessionId,
    /// The client, as the server holds it.
    pub client: ClientId,
    /// The epoch of the frames that follow.
    pub epoch: Epoch,
    /// The highest seq consumed.
    pub ack: Seq,
    /// The highest seq on disk; none when nothing is ever saved.
    pub saved: Option<Seq>,
    /// Whether the client's document continues.
    pub resumed: bool,
    /// A new token, if one is given.
    pub token: Option<Token>,
    /// Bytes that one message from the client may have.
    pub message_bytes_max: usize,
    /// What is answered later and not acknowledged yet.
    pub pending: Vec<Seq>,
    /// The client was one of this session and is known no more.
    pub forgotten: bool,
    /// What a page has to know of some actions, if there is anything.
    pub actions: Option<&'a RawValue>,
}

impl Welcome<'_> {
    /// Writes the message.
    pub fn write(&self, out: &mut Vec<u8>, dialect: Dialect) {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            r#type: Option<&'static str>,
            session: SessionId,
            client: ClientId,
            epoch: Epoch,
            ack: Seq,
            saved: Option<Seq>,
            resumed: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<String>,
            limits: Limits,
            #[serde(skip_serializing_if = "<[Seq]>::is_empty")]
            pending: &'a [Seq],
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            forgotten: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            actions: Option<&'a RawValue>,
        }
        #[derive(Serialize)]
        struct Limits {
            actions_in_flight: usize,
            message_bytes_max: usize,
        }
        let is_object = dialect != Dialect::Compact;
        let body = Body {
            r#type: is_object.then_some("welcome"),
            session: self.session,
            client: self.client,
            epoch: self.epoch,
            ack: self.ack,
            saved: self.saved,
            resumed: self.resumed,
            token: self.token.map(|token| token.expose()),
            limits: Limits { actions_in_flight: ACTIONS_IN_FLIGHT, message_bytes_max: self.message_bytes_max },
            pending: &self.pending,
            forgotten: self.forgotten,
            actions: self.actions,
        };
        if is_object {
            json(out, &body);
        } else {
            json(out, &("w", body));
        }
    }
}

/// Opens a delta. Its ops follow with commas between them, then [`delta_ops_end`] and [`Extras`].
pub fn delta(out: &mut Vec<u8>, dialect: Dialect, n: FrameNumber, ack: Seq) {
    match dialect {
        Dialect::Compact => open(out, [b"[\"d\",", b",", b",["], n, ack),
        Dialect::JsonPatch { .. } => open(out, [b"{\"type\":\"delta\",\"n\":", b",\"ack\":", b",\"patch\":["], n, ack),
    }
}

/// Ends the ops of a delta.
pub fn delta_ops_end(out: &mut Vec<u8>) {
    out.push(b']');
}

/// Opens a snapshot. The document follows, then [`Extras`].
pub fn snapshot(out: &mut Vec<u8>, dialect: Dialect, n: FrameNumber, ack: Seq) {
    match dialect {
        Dialect::Compact => open(out, [b"[\"s\",", b",", b","], n, ack),
        Dialect::JsonPatch { .. } => {
            open(out, [b"{\"type\":\"snapshot\",\"n\":", b",\"ack\":", b",\"document\":"], n, ack);
        }
    }
}

fn open(out: &mut Vec<u8>, [before, between, behind]: [&[u8]; 3], n: FrameNumber, ack: Seq) {
    out.extend_from_slice(before);
    integer(out, n.0);
    out.extend_from_slice(between);
    integer(out, ack.0);
    out.extend_from_slice(behind);
}

/// What rides in a frame beside ops or document. Writes nothing when there is nothing.
#[derive(Debug)]
pub struct Extras<'a> {
    out: &'a mut Vec<u8>,
    dialect: Dialect,
    open: bool,
    list: Option<&'static str>,
}

impl<'a> Extras<'a> {
    /// The end part of the frame in `out`.
    pub fn new(out: &'a mut Vec<u8>, dialect: Dialect) -> Self {
        // An object has members before these.
        Self { out, dialect, open: dialect != Dialect::Compact, list: None }
    }

    fn item(&mut self, list: &'static str) {
        if self.list == Some(list) {
            self.out.push(b',');
            return;
        }
        self.member(list);
        self.out.push(b'[');
        self.list = Some(list);
    }

    fn member(&mut self, name: &'static str) {
        if self.list.take().is_some() {
            self.out.push(b']');
        }
        self.out.extend_from_slice(if self.open { b",\"" } else { b",{\"" });
        self.open = true;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// An outcome; `body` is what follows the seq, without brackets (`"applied",3`).
    ///
    /// Outcomes come before events.
    pub fn outcome(&mut self, seq: Seq, body: &str) {
        if self.dialect != Dialect::Compact {
            self.item("outcomes");
            self.out.extend_from_slice(b"{\"seq\":");
            integer(self.out, seq.0);
            let names: &[_] = if body.starts_with("\"applied\"") { &APPLIED } else { &NOT_APPLIED };
            self.named(names, body);
            return;
        }
        self.item("r");
        self.out.push(b'[');
        integer(self.out, seq.0);
        self.out.push(b',');
        self.out.extend_from_slice(body.as_bytes());
        self.out.push(b']');
    }

    /// An event; `body` is a kind and a value without brackets (`"notify",{…}`).
    pub fn event(&mut self, id: EventId, body: &str) {
        if self.dialect != Dialect::Compact {
            self.item("events");
            self.out.extend_from_slice(b"{\"id\":[");
            integer(self.out, id.epoch.0);
            self.out.push(b',');
            integer(self.out, id.n);
            self.out.push(b']');
            self.named(&EVENT, body);
            return;
        }
        self.item("e");
        self.out.push(b'[');
        integer(self.out, id.epoch.0);
        self.out.push(b',');
        integer(self.out, id.n);
        self.out.push(b',');
        self.out.extend_from_slice(body.as_bytes());
        self.out.push(b']');
    }

    /// Writes the items of a list without brackets as members of the object that is open, and closes it.
    fn named(&mut self, names: &[&str], items: &str) {
        let items: Vec<Box<RawValue>> =
            serde_json::from_str(&format!("[{items}]")).expect("bodies are written as JSON");
        debug_assert!(items.len() <= names.len());
        for (name, item) in names.iter().zip(items) {
            self.out.extend_from_slice(b",\"");
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\":");
            self.out.extend_from_slice(item.get().as_bytes());
        }
        self.out.push(b'}');
    }

    /// The highest seq on disk.
    pub fn saved(&mut self, seq: Seq) {
        self.member("saved");
        integer(self.out, seq.0);
    }

    /// In a snapshot: a crash undid something of what the page was shown.
    pub fn restored(&mut self) {
        self.member("restored");
        self.out.extend_from_slice(b"true");
    }

    /// Closes the frame.
    pub fn end(mut self) {
        if self.list.take().is_some() {
            self.out.push(b']');
        }
        if self.open {
            self.out.push(b'}');
        }
        if self.dialect == Dialect::Compact {
            self.out.push(b']');
        }
    }
}

/// The items of an outcome's body, and of an event's.
const APPLIED: [&str; 2] = ["outcome", "value"];
const NOT_APPLIED: [&str; 3] = ["outcome", "code", "text"];
const EVENT: [&str; 2] = ["kind", "body"];

/// The action was not consumed and will be later.
pub fn later(out: &mut Vec<u8>, dialect: Dialect, seq: Seq, code: &str, text: &str, retry_after: Duration) {
    #[derive(Serialize)]
    struct Later<'a> {
        r#type: &'static str,
        seq: Seq,
        code: &'a str,
        text: &'a str,
        retry_after_ms: u64,
    }
    let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    match dialect {
        Dialect::Compact => json(out, &("o", seq, code, text, retry_after_ms)),
        Dialect::JsonPatch { .. } => json(out, &Later { r#type: "later", seq, code, text, retry_after_ms }),
    }
}

/// The body of an outcome that is not final: the seq is consumed, and how it ends comes in a later frame.
pub const PENDING: &str = r#""pending""#;

/// The client answers this with an ack.
#[must_use]
pub fn ask(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Compact => r#"["q"]"#,
        Dialect::JsonPatch { .. } => r#"{"type":"ask"}"#,
    }
}

/// The answer to a ping.
#[must_use]
pub fn pong(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Compact => r#"["p"]"#,
        Dialect::JsonPatch { .. } => r#"{"type":"pong"}"#,
    }
}

/// The answer to a message of an unknown kind.
pub fn unknown(out: &mut Vec<u8>, dialect: Dialect, what: &str) {
    #[derive(Serialize)]
    struct Unknown<'a> {
        r#type: &'static str,
        code: &'static str,
        what: &'a str,
    }
    match dialect {
        Dialect::Compact => json(out, &("x", UNKNOWN_MESSAGE, what)),
        Dialect::JsonPatch { .. } => json(out, &Unknown { r#type: "unknown", code: UNKNOWN_MESSAGE, what }),
    }
}

const UNKNOWN_MESSAGE: &str = "unknown_message";

/// The body of an outcome that is not the plain one; see [`Extras::outcome`].
#[must_use]
pub fn outcome_body(kind: &str, code: &str, text: &str) -> String {
    let mut body = Vec::new();
    json(&mut body, &(kind, code, text));
    strip(body)
}

/// The body of an event; see [`Extras::event`].
///
/// # Errors
///
/// When the value does not serialise.
pub fn event_body<T: Serialize + ?Sized>(kind: &str, value: &T) -> Result<String, serde_json::Error> {
    Ok(strip(serde_json::to_vec(&(kind, value))?))
}

/// Takes the brackets of a list away.
fn strip(mut list: Vec<u8>) -> String {
    list.pop();
    list.remove(0);
    String::from_utf8(list).expect("serde_json writes UTF-8")
}

fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings and numbers serialise into memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    const OBJECTS: Dialect = Dialect::JsonPatch { appends: false };

    #[test]
    fn a_delta_for_one_cell_is_small() {
        let frame = text(|out| {
            delta(out, Dialect::Compact, FrameNumber(1234), Seq(567));
            out.extend_from_slice(br#"["rows",500,"qty",99]"#);
            delta_ops_end(out);
            Extras::new(out, Dialect::Compact).end();
        });
        assert_eq!(frame, r#"["d",1234,567,[["rows",500,"qty",99]]]"#);
        assert!(frame.len() <= 40);
    }

    fn with_extras(dialect: Dialect) -> String {
        text(|out| {
            snapshot(out, dialect, FrameNumber(1), Seq(2));
            out.extend_from_slice(b"{}");
            let mut extras = Extras::new(out, dialect);
            extras.outcome(Seq(1), r#""applied",[3,"x"]"#);
            extras.outcome(Seq(2), &outcome_body("failed", "internal", "id \"7\""));
            extras.event(EventId { epoch: Epoch(9), n: 1 }, &event_body("notify", &[1]).unwrap());
            extras.event(EventId { epoch: Epoch(9), n: 2 }, &event_body("emit", &"a").unwrap());
            extras.saved(Seq(2));
            extras.restored();
            extras.end();
        })
    }

    #[test]
    fn extras_come_only_when_there_are_any() {
        assert_eq!(
            with_extras(Dialect::Compact),
            r#"["s",1,2,{},{"r":[[1,"applied",[3,"x"]],[2,"failed","internal","id \"7\""]],"e":[[9,1,"notify",[1]],[9,2,"emit","a"]],"saved":2,"restored":true}]"#
        );
        assert_eq!(
            with_extras(OBJECTS),
            concat!(
                r#"{"type":"snapshot","n":1,"ack":2,"document":{},"#,
                r#""outcomes":[{"seq":1,"outcome":"applied","value":[3,"x"]},"#,
                r#"{"seq":2,"outcome":"failed","code":"internal","text":"id \"7\""}],"#,
                r#""events":[{"id":[9,1],"kind":"notify","body":[1]},{"id":[9,2],"kind":"emit","body":"a"}],"saved":2,"restored":true}"#
            )
        );
        let plain = text(|out| {
            delta(out, OBJECTS, FrameNumber(3), Seq(2));
            delta_ops_end(out);
            Extras::new(out, OBJECTS).end();
        });
        assert_eq!(plain, r#"{"type":"delta","n":3,"ack":2,"patch":[]}"#);
    }

    #[test]
    fn the_small_messages_are_as_the_specification_says() {
        let later =
            |dialect| text(|out| super::later(out, dialect, Seq(3), "draining", "going", Duration::from_millis(1500)));
        assert_eq!(later(Dialect::Compact), r#"["o",3,"draining","going",1500]"#);
        let object = r#"{"type":"later","seq":3,"code":"draining","text":"going","retry_after_ms":1500}"#;
        assert_eq!(later(OBJECTS), object);
        let unknown = |dialect| text(|out| super::unknown(out, dialect, "zz"));
        assert_eq!(unknown(Dialect::Compact), r#"["x","unknown_message","zz"]"#);
        assert_eq!(unknown(OBJECTS), r#"{"type":"unknown","code":"unknown_message","what":"zz"}"#);
    }
}
