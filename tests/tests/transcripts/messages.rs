//! conformance/messages/client.json: what a server reads, answers and refuses.

use std::collections::BTreeSet;
use std::fs;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_protocol::{ClientMessage, Close, Dialect, EventId, frame};

use crate::top;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    dialect: String,
    text: String,
    #[serde(flatten)]
    then: Then,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    Is(Value),
    Answer(Value),
    Close(Value),
}

#[test]
fn a_server_reads_answers_and_refuses_as_the_file_says() {
    let text = fs::read_to_string(top().join("conformance/messages/client.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut kinds = BTreeSet::new();
    for case in cases {
        let case: Case = serde_json::from_value(case).unwrap();
        let dialect = Dialect::of_subprotocol(&case.dialect).unwrap();
        let (name, read) = (format!("{}, {}", case.name, case.dialect), dialect.decode(&case.text));
        match (case.then, read) {
            (Then::Is(expected), Ok(message)) => {
                assert_eq!(object(&message), expected, "{name}");
                kinds.insert((case.dialect, expected["type"].as_str().unwrap().to_owned()));
            }
            (Then::Answer(expected), Ok(ClientMessage::Unknown(tag))) => {
                let mut out = Vec::new();
                frame::unknown(&mut out, dialect, &tag);
                assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected, "{name}");
            }
            (Then::Close(expected), Err(error)) => {
                let close = Close::from(&error);
                let reason: Value = serde_json::from_str(&close.reason()).unwrap();
                assert_eq!(json!({"code": close.code.number(), "reason": reason}), expected, "{name}");
            }
            (_, read) => panic!("{name}: {read:?}"),
        }
    }
    assert_eq!(kinds.len(), 6 * 2, "a message of a client is in no case: {kinds:?}");
}

/// A message in the words of the second dialect, whichever it came in.
fn object(message: &ClientMessage<'_>) -> Value {
    match message {
        ClientMessage::Hello(hello) => {
            let EventId { epoch, n } = hello.event;
            json!({
                "type": "hello", "token": hello.token, "client": hello.client, "instance": hello.instance,
                "epoch": hello.epoch, "n": hello.n, "event": [epoch.0, n], "seq": hello.seq, "page": hello.page,
                "can": hello.can,
            })
        }
        ClientMessage::Action(action) => {
            let payload: Value = serde_json::from_str(action.payload.get()).unwrap();
            let mut read = json!({"type": "action", "seq": action.seq, "name": action.name, "payload": payload});
            if let Some(seen) = action.seen {
                read["seen"] = json!(seen);
            }
            read
        }
        ClientMessage::Void(seq) => json!({"type": "void", "seq": seq}),
        ClientMessage::Ack(n) => json!({"type": "ack", "n": n}),
        ClientMessage::Refetch => json!({"type": "refetch"}),
        ClientMessage::Ping => json!({"type": "ping"}),
        other => panic!("of another version: {other:?}"),
    }
}
