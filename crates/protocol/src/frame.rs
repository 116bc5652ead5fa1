//! What a server sends, written straight into a frame buffer.
//!
//! A frame is a header that belongs to the client and ops that belong to the document, so that
//! ops are encoded once however many clients watch. [`delta`] and [`snapshot`] open a frame, the
//! caller appends ops or the document, and [`Extras`] closes it.

use std::time::Duration;

use serde::Serialize;

use crate::limits::ACTIONS_IN_FLIGHT;
use crate::{ClientId, Epoch, EventId, FrameNumber, Seq, SessionId, Token};

/// What the server says after hello. See protocol.md section 5 for each member.
#[derive(Clone, Debug)]
pub struct Welcome {
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
}

impl Welcome {
    /// Writes the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Body {
            session: SessionId,
            client: ClientId,
            epoch: Epoch,
            ack: Seq,
            saved: Option<Seq>,
            resumed: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<String>,
            limits: Limits,
        }
        #[derive(Serialize)]
        struct Limits {
            actions_in_flight: usize,
            message_bytes_max: usize,
        }
        let body = Body {
            session: self.session,
            client: self.client,
            epoch: self.epoch,
            ack: self.ack,
            saved: self.saved,
            resumed: self.resumed,
            token: self.token.map(|token| token.expose()),
            limits: Limits { actions_in_flight: ACTIONS_IN_FLIGHT, message_bytes_max: self.message_bytes_max },
        };
        json(out, &("w", body));
    }
}

/// Opens a delta: `["d",n,ack,[`. Ops follow, then [`Extras::new`] with `"]"` closed by [`delta_ops_end`].
pub fn delta(out: &mut Vec<u8>, n: FrameNumber, ack: Seq) {
    open(out, b"[\"d\",", n, ack);
    out.push(b'[');
}

/// Ends the ops of a delta.
pub fn delta_ops_end(out: &mut Vec<u8>) {
    out.push(b']');
}

/// Opens a snapshot: `["s",n,ack,`. The document follows.
pub fn snapshot(out: &mut Vec<u8>, n: FrameNumber, ack: Seq) {
    open(out, b"[\"s\",", n, ack);
}

fn open(out: &mut Vec<u8>, tag: &[u8], n: FrameNumber, ack: Seq) {
    out.extend_from_slice(tag);
    integer(out, n.0);
    out.push(b',');
    integer(out, ack.0);
    out.push(b',');
}

/// What rides in a frame beside ops or document. Writes nothing when there is nothing.
#[derive(Debug)]
pub struct Extras<'a> {
    out: &'a mut Vec<u8>,
    open: bool,
    list: Option<&'static str>,
}

impl<'a> Extras<'a> {
    /// The end part of the frame in `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, open: false, list: None }
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
        self.item("r");
        self.out.push(b'[');
        integer(self.out, seq.0);
        self.out.push(b',');
        self.out.extend_from_slice(body.as_bytes());
        self.out.push(b']');
    }

    /// An event; `body` is a kind and a value without brackets (`"notify",{…}`).
    pub fn event(&mut self, id: EventId, body: &str) {
        self.item("e");
        self.out.push(b'[');
        integer(self.out, id.epoch.0);
        self.out.push(b',');
        integer(self.out, id.n);
        self.out.push(b',');
        self.out.extend_from_slice(body.as_bytes());
        self.out.push(b']');
    }

    /// The highest seq on disk.
    pub fn saved(&mut self, seq: Seq) {
        self.member("saved");
        integer(self.out, seq.0);
    }

    /// Closes the frame.
    pub fn end(mut self) {
        if self.list.take().is_some() {
            self.out.push(b']');
        }
        if self.open {
            self.out.push(b'}');
        }
        self.out.push(b']');
    }
}

/// `["o",seq,code,text,retry_after_ms]`: the action was not consumed and will be later.
pub fn later(out: &mut Vec<u8>, seq: Seq, code: &str, text: &str, retry_after: Duration) {
    json(out, &("o", seq, code, text, retry_after.as_millis() as u64));
}

/// `["q"]`: the client answers with an ack.
pub const ASK: &str = r#"["q"]"#;
/// `["p"]`: the answer to a ping.
pub const PONG: &str = r#"["p"]"#;

/// `["x","unknown_message",tag]`.
pub fn unknown(out: &mut Vec<u8>, tag: &str) {
    json(out, &("x", "unknown_message", tag));
}

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

    #[test]
    fn a_delta_for_one_cell_is_small() {
        let frame = text(|out| {
            delta(out, FrameNumber(1234), Seq(567));
            out.extend_from_slice(br#"["rows",500,"qty",99]"#);
            delta_ops_end(out);
            Extras::new(out).end();
        });
        assert_eq!(frame, r#"["d",1234,567,[["rows",500,"qty",99]]]"#);
        assert!(frame.len() <= 40);
    }

    #[test]
    fn extras_come_only_when_there_are_any() {
        let frame = text(|out| {
            snapshot(out, FrameNumber(1), Seq(2));
            out.extend_from_slice(b"{}");
            let mut extras = Extras::new(out);
            extras.outcome(Seq(1), r#""applied",3"#);
            extras.outcome(Seq(2), &outcome_body("failed", "internal", "id \"7\""));
            extras.event(EventId { epoch: Epoch(9), n: 1 }, &event_body("notify", &[1]).unwrap());
            extras.saved(Seq(2));
            extras.end();
        });
        assert_eq!(
            frame,
            r#"["s",1,2,{},{"r":[[1,"applied",3],[2,"failed","internal","id \"7\""]],"e":[[9,1,"notify",[1]]],"saved":2}]"#
        );
    }

    #[test]
    fn the_small_messages_are_as_the_specification_says() {
        assert_eq!(
            text(|out| later(out, Seq(3), "draining", "going", Duration::from_millis(1500))),
            r#"["o",3,"draining","going",1500]"#
        );
        assert_eq!(text(|out| unknown(out, "zz")), r#"["x","unknown_message","zz"]"#);
    }
}
