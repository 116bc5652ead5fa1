//! What a client sends in the dialect of objects.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;
use serde_json::{Error, from_str};

use crate::message::{Action, ClientMessage, Hello, Text, shortened};
use crate::{Dialect, Epoch, FrameNumber, Seq};

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
}

#[derive(Deserialize)]
struct ActionBody<'a> {
    seq: Seq,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    seen: Option<(Epoch, FrameNumber)>,
}

#[derive(Deserialize)]
struct VoidBody {
    seq: Seq,
}

#[derive(Deserialize)]
struct AckBody {
    n: FrameNumber,
}

/// Reads it twice, first for its type alone: an internally tagged enum would copy the payload.
pub(crate) fn read(text: &str) -> Result<ClientMessage<'_>, Error> {
    // Serde would take a list for a struct as well.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Error::custom("a message is an object"));
    }
    let Kind { r#type: Text(kind) } = from_str(text)?;
    Ok(match &*kind {
        "hello" => {
            let mut hello: Box<Hello> = from_str(text)?;
            hello.dialect = Dialect::JsonPatch { appends: hello.can.iter().any(|ability| ability == APPEND) };
            ClientMessage::Hello(hello)
        }
        "action" => {
            let ActionBody { seq, name: Text(name), payload, seen } = from_str(text)?;
            let payload = payload.unwrap_or(RawValue::NULL);
            ClientMessage::Action(Action { seq: positive(seq)?, name, payload, seen })
        }
        "void" => ClientMessage::Void(positive(from_str::<VoidBody>(text)?.seq)?),
        "ack" => ClientMessage::Ack(from_str::<AckBody>(text)?.n),
        "refetch" => ClientMessage::Refetch,
        "ping" => ClientMessage::Ping,
        unknown => ClientMessage::Unknown(shortened(unknown)),
    })
}

fn positive(seq: Seq) -> Result<Seq, Error> {
    if seq == Seq(0) { Err(Error::custom("seq starts at 1")) } else { Ok(seq) }
}

/// What a client that knows the op of the same name says that it can.
const APPEND: &str = "append";

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::DecodeError;

    fn decode(text: &str) -> Result<ClientMessage<'_>, DecodeError> {
        Dialect::JsonPatch { appends: false }.decode(text)
    }

    #[test]
    fn every_message_is_read_as_in_the_other_dialect() {
        let hello = r#"{"type":"hello","token":null,"client":"0f1e2d3c4b5a69788796a5b4","instance":"01","epoch":7,"n":3,"event":[7,2],"seq":1,"page":"/","can":["append","later"],"later":1}"#;
        let Ok(ClientMessage::Hello(hello)) = decode(hello) else { panic!("a hello") };
        assert_eq!((hello.epoch.0, hello.n.0, hello.event.n, hello.seq.0), (7, 3, 2, 1));
        assert_eq!(hello.dialect, Dialect::JsonPatch { appends: true });
        assert!(matches!(decode(r#"{"n":7,"type":"ack"}"#), Ok(ClientMessage::Ack(FrameNumber(7)))));
        assert!(matches!(decode(r#"{"type":"void","seq":7}"#), Ok(ClientMessage::Void(Seq(7)))));
        assert!(matches!(decode(r#" {"type":"refetch"}"#), Ok(ClientMessage::Refetch)));
        assert!(matches!(decode(r#"{"type":"ping","later":[]}"#), Ok(ClientMessage::Ping)));
        assert!(matches!(decode(r#"{"type":"zz","seq":-1}"#), Ok(ClientMessage::Unknown(kind)) if kind == "zz"));
    }

    #[test]
    fn a_payload_is_borrowed_and_null_when_there_is_none() {
        let text = r#"{"payload": [1, {"a": 2}] ,"name":"g\u006f","seen":[7,9],"seq":3,"type":"action"}"#;
        let Ok(ClientMessage::Action(action)) = decode(text) else { panic!("an action") };
        assert_eq!((action.seq, &*action.name, action.payload.get()), (Seq(3), "go", r#"[1, {"a": 2}]"#));
        assert_eq!(action.seen, Some((Epoch(7), FrameNumber(9))));
        for text in
            [r#"{"type":"action","seq":3,"name":"go"}"#, r#"{"type":"action","seq":3,"name":"go","payload":null}"#]
        {
            let Ok(ClientMessage::Action(action)) = decode(text) else { panic!("an action") };
            assert_eq!(action.payload.get(), "null");
            assert!(matches!(action.name, Cow::Borrowed("go")));
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(text in "\\{(\"type\":\"(hello|action|void|ack|ping)\"|\"seq\":|\"n\":|\"name\":|\"payload\":|[0-9\\[\\]{}\",:\\\\]){0,12}\\}?") {
            let _ = decode(&text);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            r#"["p"]"#,
            r#"["ping"]"#,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"action"}"#,
            r#"{"type":"action","seq":0,"name":"x"}"#,
            r#"{"type":"action","seq":1.5,"name":"x"}"#,
            r#"{"type":"action","seq":9007199254740992,"name":"x"}"#,
            r#"{"type":"action","seq":1,"name":2}"#,
            r#"{"type":"action","seq":1,"seq":2,"name":"x"}"#,
            r#"{"type":"void","seq":0}"#,
            r#"{"type":"ack"}"#,
            r#"{"type":"ack","n":null}"#,
            r#"{"type":"hello"}"#,
            r#"{"type":"hello","client":"zz","instance":""}"#,
            r#"{"type":"hello","client":"0f1e2d3c4b5a69788796a5b4","instance":"01","can":"append"}"#,
            r#"{"type":"ping"} x"#,
        ] {
            assert!(matches!(decode(text), Err(DecodeError::Malformed { .. })), "{text}");
        }
        let long = format!(r#"{{"type":"action","seq":4,"name":"{}"}}"#, "x".repeat(129));
        assert_eq!(decode(&long).unwrap_err(), DecodeError::NameTooLong { seq: Seq(4) });
        let deep = format!(r#"{{"type":"action","seq":4,"name":"x","payload":{}{}}}"#, "[".repeat(64), "]".repeat(64));
        assert_eq!(decode(&deep).unwrap_err(), DecodeError::TooDeep);
    }
}
