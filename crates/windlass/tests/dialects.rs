//! Both subprotocols on real sockets: which is chosen, and a life in the second.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use support::{Running, Socket};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Notes {
    count: i64,
    text: String,
}

fn app() -> App<Notes> {
    App::new(Notes::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("write", |state, _cx, text: String| state.text.push_str(&text))
        .query("double", |_, by: i64| Reply(by * 2))
}

/// Offers these names; the name that the server chose, or what it answers.
async fn offer(addr: SocketAddr, names: &str) -> Result<(Socket, String), (u16, String)> {
    let mut request = format!("ws://{addr}/windlass/socket").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", names.parse().unwrap());
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, response)) => {
            Ok((socket, response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned()))
        }
        Err(WsError::Http(response)) => {
            let text = response.body().as_deref().unwrap_or_default();
            Err((response.status().as_u16(), String::from_utf8_lossy(text).into_owned()))
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_first_name_that_the_server_knows_is_chosen_and_none_is_refused_with_the_names() {
    let server = Running::start(app()).await;
    for (names, chosen) in [
        ("windlass.v1", "windlass.v1"),
        ("windlass.v1.json-patch", "windlass.v1.json-patch"),
        ("windlass.v9, windlass.v1.json-patch, windlass.v1", "windlass.v1.json-patch"),
        ("windlass.v1, windlass.v1.json-patch", "windlass.v1"),
    ] {
        assert_eq!(offer(server.addr, names).await.unwrap().1, chosen, "{names}");
    }
    for names in ["windlass.v9", "WINDLASS.V1", "chat"] {
        let (status, text) = offer(server.addr, names).await.unwrap_err();
        assert_eq!(status, 400, "{names}");
        assert!(text.contains("windlass.v1 or windlass.v1.json-patch"), "{text}");
    }
    server.stop().await;
}

/// A socket of the second dialect.
struct Talk(Socket);

impl Talk {
    async fn new(addr: SocketAddr) -> Self {
        Self(offer(addr, "windlass.v1.json-patch").await.unwrap().0)
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(Some(close)) => {
                    let reason: Value = serde_json::from_str(&close.reason).unwrap();
                    return json!({"close": u16::from(close.code), "reason": reason});
                }
                _ => {}
            }
        }
    }

    async fn hello(&mut self, token: &Value, epoch: &Value, n: u64) -> Value {
        let client = "0f1e2d3c4b5a69788796a5b4";
        self.say(json!({"type": "hello", "token": token, "client": client, "instance": "01", "epoch": epoch, "n": n}))
            .await;
        self.hear().await
    }
}

/// RESUME
#[tokio::test]
async fn a_life_in_the_second_dialect_with_a_loss_in_between() {
    let server = Running::start(app()).await;
    let mut talk = Talk::new(server.addr).await;
    let welcome = talk.hello(&Value::Null, &json!(0), 0).await;
    assert_eq!((&welcome["type"], &welcome["resumed"]), (&json!("welcome"), &json!(false)));
    let document = json!({"count": 0, "text": "", "$jobs": []});
    assert_eq!(talk.hear().await, json!({"type": "snapshot", "n": 1, "ack": 0, "document": document}));
    talk.say(json!({"type": "action", "seq": 1, "name": "add", "payload": 2})).await;
    let patch = json!([{"op": "add", "path": "/count", "value": 2}]);
    assert_eq!(talk.hear().await, json!({"type": "delta", "n": 2, "ack": 1, "patch": patch}));
    talk.say(json!({"type": "action", "seq": 2, "name": "write", "payload": "a text that is long enough"})).await;
    talk.hear().await;
    talk.say(json!({"type": "ping"})).await;
    assert_eq!(talk.hear().await, json!({"type": "pong"}));
    drop(talk);

    let mut talk = Talk::new(server.addr).await;
    let again = talk.hello(&welcome["token"], &welcome["epoch"], 3).await;
    assert_eq!((&again["resumed"], &again["ack"]), (&json!(true), &json!(2)));
    talk.say(json!({"type": "action", "seq": 3, "name": "write", "payload": " to grow"})).await;
    let patch = json!([{"op": "replace", "path": "/text", "value": "a text that is long enough to grow"}]);
    assert_eq!(talk.hear().await, json!({"type": "delta", "n": 4, "ack": 3, "patch": patch}));
    talk.say(json!({"type": "action", "seq": 4, "name": "double", "payload": 4})).await;
    let outcomes = json!([{"seq": 4, "outcome": "applied", "value": 8}]);
    assert_eq!(talk.hear().await, json!({"type": "delta", "n": 5, "ack": 4, "patch": [], "outcomes": outcomes}));
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_message_of_the_dialect_closes_before_and_after_the_hello() {
    let server = Running::start(app()).await;
    let bad = |reason: Value| json!({"close": 4400, "reason": reason});
    let mut talk = Talk::new(server.addr).await;
    talk.say(json!(["h", {"client": "0f1e2d3c4b5a69788796a5b4", "instance": "01"}])).await;
    assert_eq!(talk.hear().await, bad(json!({"code": "bad_message"})));
    for (message, reason) in [
        (json!(["p"]), json!({"code": "bad_message"})),
        (json!({"type": "action", "seq": 1, "name": "x".repeat(129)}), json!({"code": "bad_message", "seq": 1})),
    ] {
        let mut talk = Talk::new(server.addr).await;
        talk.hello(&Value::Null, &json!(0), 0).await;
        talk.hear().await;
        talk.say(message).await;
        assert_eq!(talk.hear().await, bad(reason));
    }
    server.stop().await;
}

/// YOURS-ALONE BOUNDED. What the first dialect's peers try, in the words of the second; somebody else notices nothing.
#[tokio::test]
async fn bad_input_in_the_second_dialect_ends_as_in_the_first() {
    let server = Running::start(app()).await;
    let mut bystander = support::Client::new(server.addr).await;
    let deep = |levels: usize| {
        let (open, shut) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"type":"action","seq":1,"name":"write","payload":{open}1{shut}}}"#)
    };
    let action = |seq: &str| format!(r#"{{"type":"action","seq":{seq},"name":"add","payload":1}}"#);
    let mut tries = vec![
        (deep(30_000), 4400),
        (deep(100_000), 4413),
        (r#"{"type":"action","seq":1,"seq":2,"name":"add","payload":1}"#.to_owned(), 4400),
        (r#"{"type":"action","type":"ping","seq":1,"name":"add"}"#.to_owned(), 4400),
        (r#"{"seq":1,"name":"add"}"#.to_owned(), 4400),
        (r#"{"type":7}"#.to_owned(), 4400),
        (r#"{"type":"ack","n":99}"#.to_owned(), 4400),
        (r#"{"type":"ack","n":-1}"#.to_owned(), 4400),
        (r#"{"type":"ping"} {"type":"ping"}"#.to_owned(), 4400),
        (action("3"), 4411),
    ];
    tries.extend(
        ["-1", "0", "1.5", "\"1\"", "null", "18446744073709551616", "9007199254740993"].map(|n| (action(n), 4400)),
    );
    for (text, code) in tries {
        let mut talk = Talk::new(server.addr).await;
        talk.hello(&Value::Null, &json!(0), 0).await;
        talk.hear().await;
        let shown = text.chars().take(100).collect::<String>();
        talk.0.send(Message::text(text)).await.unwrap();
        assert_eq!(talk.hear().await["close"], code, "{shown}");
    }
    bystander.act("add", json!(1)).await;
    assert_eq!(bystander.frame().await, json!(["d", 2, 1, [["count", 1]]]), "the next frame, and nothing in between");
    server.stop().await;
}
