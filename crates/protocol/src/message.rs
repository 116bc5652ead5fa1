//! What a client sends, decoded from borrowed text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::limits::{DEPTH_MAX, KEYS_MAX, NAME_BYTES_MAX};
use crate::{ClientId, Close, CloseCode, Dialect, Epoch, EventId, FrameNumber, Seq};

/// One message from a client, borrowed from the frame that carried it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// The first message of a connection.
    Hello(Box<Hello>),
    /// A named message with a payload.
    Action(Action<'a>),
    /// An action whose content the client did not keep.
    Void(Seq),
    /// Every frame up to this one was applied.
    Ack(FrameNumber),
    /// Something did not apply: a snapshot, please.
    Refetch,
    /// Is somebody there?
    Ping,
    /// A message of a later version; answered and ignored.
    Unknown(String),
}

/// An action as it came.
#[derive(Debug)]
pub struct Action<'a> {
    /// Its number.
    pub seq: Seq,
    /// The registered name that it asks for.
    pub name: Cow<'a, str>,
    /// Its payload, `null` when it has none.
    pub payload: &'a RawValue,
    /// The frame that the page showed when it was asked for, when the page says so.
    pub seen: Option<(Epoch, FrameNumber)>,
}

/// What a client says first. See protocol.md section 4 for each member.
#[derive(Clone, Debug, Deserialize)]
pub struct Hello {
    /// The newest token that the client holds; any text, since a made-up one is no error.
    #[serde(default)]
    pub token: Option<String>,
    /// The tab.
    pub client: ClientId,
    /// The document of the page in that tab.
    #[serde(deserialize_with = "instance")]
    pub instance: String,
    /// The epoch of the frame below.
    #[serde(default)]
    pub epoch: Epoch,
    /// The last frame applied.
    #[serde(default)]
    pub n: FrameNumber,
    /// The last event handled.
    #[serde(default)]
    pub event: EventId,
    /// The first seq without a final outcome.
    #[serde(default)]
    pub seq: Seq,
    /// The highest seq that may have reached a server, and the session's epoch then.
    #[serde(default)]
    pub sent: (Epoch, Seq),
    /// Path and query of the page; untrusted.
    #[serde(default)]
    pub page: String,
    /// What it can do that not every client can.
    #[serde(default)]
    pub can: Vec<String>,
    /// How it was said, and so how it is answered; no member of the message.
    #[serde(skip)]
    pub dialect: Dialect,
}

/// Bytes from a client that are no message. The peer's fault: close with `bad_message`.
///
/// Holds where, never what: a payload may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not JSON, or not of the shape that its first item asks for.
    Malformed {
        /// Line of the text, from 1.
        line: usize,
        /// Column of the text, from 1.
        column: usize,
    },
    /// More than [`DEPTH_MAX`] levels.
    TooDeep,
    /// More than [`KEYS_MAX`] members.
    TooManyKeys,
    /// A name of more than [`NAME_BYTES_MAX`] bytes.
    NameTooLong {
        /// The action that carries it.
        seq: Seq,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { line, column } => write!(f, "no message at line {line}, column {column}"),
            Self::TooDeep => write!(f, "more than {DEPTH_MAX} levels of JSON"),
            Self::TooManyKeys => write!(f, "more than {KEYS_MAX} members in its objects"),
            Self::NameTooLong { .. } => write!(f, "an action name of more than {NAME_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<&DecodeError> for Close {
    fn from(error: &DecodeError) -> Self {
        let seq = match error {
            DecodeError::NameTooLong { seq } => Some(*seq),
            DecodeError::Malformed { .. } | DecodeError::TooDeep | DecodeError::TooManyKeys => None,
        };
        Self { seq, ..Self::new(CloseCode::BadMessage) }
    }
}

impl<'a> ClientMessage<'a> {
    /// Reads one message of the compact dialect; [`Dialect::decode`] reads those of either.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the text is none; the connection is then closed with `bad_message`.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        Self::decode_in(Dialect::Compact, text)
    }

    pub(crate) fn decode_in(dialect: Dialect, text: &'a str) -> Result<Self, DecodeError> {
        // Before the parser: a raw value is skipped without recursion, but whoever reads it later recurses.
        let (deepest, keys) = measure(text);
        if deepest > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        if keys > KEYS_MAX {
            return Err(DecodeError::TooManyKeys);
        }
        let message = match dialect {
            Dialect::Compact => serde_json::from_str(text),
            Dialect::JsonPatch { .. } => crate::object::read(text),
        };
        let message = message.map_err(|error| DecodeError::Malformed { line: error.line(), column: error.column() })?;
        match message {
            Self::Action(Action { seq, name, .. }) if name.len() > NAME_BYTES_MAX => {
                Err(DecodeError::NameTooLong { seq })
            }
            message => Ok(message),
        }
    }
}

/// The deepest nesting of brackets outside strings, an upper bound of the levels of JSON, and how many members there are.
fn measure(text: &str) -> (usize, usize) {
    let (mut level, mut deepest, mut keys, mut in_string, mut escaped) = (0usize, 0, 0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !in_string => level = level.saturating_sub(1),
            b':' if !in_string => keys += 1,
            _ => {}
        }
    }
    (deepest, keys)
}

impl<'de: 'a, 'a> Deserialize<'de> for ClientMessage<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(MessageVisitor)
    }
}

/// At most 32 hex digits: it is kept as long as the connection lives.
fn instance<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.len() > 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(D::Error::custom("an instance is up to 32 hex digits"));
    }
    Ok(text)
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = ClientMessage<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message: an array that starts with its tag")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Text(tag) = required(&mut items, "tag")?;
        let message = match &*tag {
            "a" => {
                let seq = positive(&mut items)?;
                let Text(name) = required(&mut items, "name")?;
                let payload = items.next_element::<&RawValue>()?.unwrap_or(RawValue::NULL);
                let seen = items.next_element::<Option<(Epoch, FrameNumber)>>()?.flatten();
                ClientMessage::Action(Action { seq, name, payload, seen })
            }
            "k" => ClientMessage::Ack(required(&mut items, "n")?),
            "h" => {
                // As text first: serde would take a list for a struct as well.
                let hello: &RawValue = required(&mut items, "hello")?;
                if !hello.get().starts_with('{') {
                    return Err(A::Error::custom("a hello is an object"));
                }
                ClientMessage::Hello(serde_json::from_str(hello.get()).map_err(A::Error::custom)?)
            }
            "v" => ClientMessage::Void(positive(&mut items)?),
            "r" => ClientMessage::Refetch,
            "p" => ClientMessage::Ping,
            unknown => ClientMessage::Unknown(shortened(unknown)),
        };
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(message)
    }
}

/// As much of an unknown message's name as is worth sending back.
pub(crate) fn shortened(tag: &str) -> String {
    tag.chars().take(16).collect()
}

fn required<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(items: &mut A, what: &'static str) -> Result<T, A::Error> {
    items.next_element()?.ok_or_else(|| A::Error::missing_field(what))
}

fn positive<'de, A: SeqAccess<'de>>(items: &mut A) -> Result<Seq, A::Error> {
    match required(items, "seq")? {
        Seq(0) => Err(A::Error::custom("seq starts at 1")),
        seq => Ok(seq),
    }
}

/// A string that is borrowed when it holds no escapes; serde's own `Cow` always copies here.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        from.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_message_of_the_specification_is_read() {
        let hello = r#"["h",{"token":null,"client":"0f1e2d3c4b5a69788796a5b4","instance":"01","epoch":4294967297,"n":3,"event":[4294967297,2],"seq":1,"page":"/","can":[],"later":1}]"#;
        let ClientMessage::Hello(hello) = ClientMessage::decode(hello).unwrap() else { panic!("a hello") };
        assert_eq!((hello.epoch.0, hello.n.0, hello.event.n, hello.seq.0), (4_294_967_297, 3, 2, 1));
        assert!(matches!(ClientMessage::decode(r#"["k",7]"#), Ok(ClientMessage::Ack(FrameNumber(7)))));
        assert!(matches!(ClientMessage::decode(r#"["v",7]"#), Ok(ClientMessage::Void(Seq(7)))));
        assert!(matches!(ClientMessage::decode(r#"["r"]"#), Ok(ClientMessage::Refetch)));
        assert!(matches!(ClientMessage::decode(r#"["p"]"#), Ok(ClientMessage::Ping)));
    }

    #[test]
    fn an_action_without_a_payload_has_null() {
        let Ok(ClientMessage::Action(action)) = ClientMessage::decode(r#"["a",3,"go"]"#) else { panic!("an action") };
        assert_eq!(action.payload.get(), "null");
        assert!(matches!(action.name, Cow::Borrowed("go")));
        let Ok(ClientMessage::Action(action)) = ClientMessage::decode(r#"["a",3,"g\u006f", [1] ,[7,9],1]"#) else {
            panic!("an action")
        };
        assert_eq!((&*action.name, action.payload.get()), ("go", "[1]"));
        assert_eq!(action.seen, Some((Epoch(7), FrameNumber(9))));
    }

    /// [UNKNOWN-1] [UNKNOWN-2]
    #[test]
    fn what_a_later_version_adds_is_no_error() {
        assert!(matches!(ClientMessage::decode(r#"["zz",{"a":[1]}]"#), Ok(ClientMessage::Unknown(tag)) if tag == "zz"));
        assert!(matches!(ClientMessage::decode(r#"["k",7,"more",{}]"#), Ok(ClientMessage::Ack(FrameNumber(7)))));
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_place_and_not_its_content() {
        for text in [
            "",
            "null",
            "{}",
            "[]",
            "[1]",
            r#"["a"]"#,
            r#"["a",0,"x"]"#,
            r#"["a",-1,"x"]"#,
            r#"["a",1.5,"x"]"#,
            r#"["a","1","x"]"#,
            r#"["a",9007199254740992,"x"]"#,
            r#"["a",1,2]"#,
            r#"["a",1,"x",]"#,
            r#"["a",1,"x",1,7]"#,
            r#"["k"]"#,
            r#"["k",null]"#,
            r#"["h",{}]"#,
            r#"["h",{"client":"zz","instance":""}]"#,
            r#"["h",{"client":"0f1e2d3c4b5a69788796a5b4","instance":"0123456789abcdef0123456789abcdef0"}]"#,
            r#"["h",{"client":"0f1e2d3c4b5a69788796a5b4","instance":"xyz"}]"#,
            r#"["p"] x"#,
        ] {
            let error = ClientMessage::decode(text).unwrap_err();
            assert!(matches!(error, DecodeError::Malformed { .. }), "{text}: {error:?}");
        }
    }

    #[test]
    fn depth_is_bounded_whatever_strings_hold() {
        let deep = format!(r#"["a",1,"x",{}{}]"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(ClientMessage::decode(&deep).unwrap_err(), DecodeError::TooDeep);
        let members = |many: usize| format!("[\"a\",1,\"x\",{{{}}}]", vec!["\":\":0"; many].join(","));
        assert!(ClientMessage::decode(&members(KEYS_MAX)).is_ok());
        assert_eq!(ClientMessage::decode(&members(KEYS_MAX + 1)).unwrap_err(), DecodeError::TooManyKeys);
        let flat = format!(r#"["a",1,"x","{}\"["]"#, "[".repeat(1_000));
        assert!(ClientMessage::decode(&flat).is_ok());
    }

    #[test]
    fn a_long_name_blames_its_action() {
        let text = format!(r#"["a",4,"{}"]"#, "x".repeat(NAME_BYTES_MAX + 1));
        assert_eq!(ClientMessage::decode(&text).unwrap_err(), DecodeError::NameTooLong { seq: Seq(4) });
    }

    proptest! {
        #[test]
        fn decoding_never_panics(text in "(\\[|\\]|\"|,|[ahkvrp0-9]|\\\\|\\{|\\}|:){0,40}") {
            let _ = ClientMessage::decode(&text);
        }
    }
}
