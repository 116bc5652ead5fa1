//! What comes from a peer who errs or wants to do harm: each gets its typed outcome or close code, reaches nobody
//! else, and leaves the state as it was.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use support::{Client, Running, open};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
}

fn app() -> App<Demo> {
    App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by)
}

/// A server, the one who errs, and somebody else, whose session must notice nothing.
struct Scene {
    server: Running<Demo>,
    bystander: Client,
}

impl Scene {
    async fn new() -> Self {
        Self::of(app()).await
    }

    async fn of(app: App<Demo>) -> Self {
        let server = Running::start(app).await;
        let mut bystander = Client::on(open(server.addr, None).await.unwrap(), "bbbbbbbbbbbbbbbbbbbbbbbb").await;
        bystander.act("add", json!(7)).await;
        bystander.frame().await;
        Self { server, bystander }
    }

    async fn client(&self) -> Client {
        let mut client = Client::new(self.server.addr).await;
        client.act("add", json!(1)).await;
        client.frame().await;
        client
    }

    /// The bystander saw nothing and is answered; the offender's session, if it has one, is as it was.
    async fn ends_unharmed(mut self, offender: Option<Client>) {
        let n = self.bystander.n;
        self.bystander.act("add", json!(1)).await;
        let frame = self.bystander.frame().await;
        assert_eq!(frame, json!(["d", n + 1, 2, [["count", 8]]]), "the next frame, and nothing in between");
        if let Some(mut offender) = offender {
            offender.reconnect(self.server.addr).await;
            assert_eq!(offender.document["count"], 1, "its state is as it was");
        }
        self.server.stop().await;
    }
}

/// Sends it, and gives the outcome of the action in it.
async fn outcome(client: &mut Client, message: Value) -> Value {
    client.send(&message).await;
    client.frame().await[4]["r"][0].clone()
}

/// Sends it, and expects to be closed with that code.
async fn closes(message: Message, code: u16) {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    client.socket.send(message).await.unwrap();
    let offender = is_closed(client, code).await;
    scene.ends_unharmed(Some(offender)).await;
}

/// Waits for the close, and gives the client to come back with.
async fn is_closed(mut client: Client, code: u16) -> Client {
    loop {
        match client.socket.next().await {
            Some(Ok(Message::Close(Some(close)))) => {
                assert_eq!(u16::from(close.code), code, "{}", close.reason);
                if code >= 4000 {
                    let reason: Value = serde_json::from_str(&close.reason).unwrap();
                    assert!(reason["code"].is_string(), "{reason}");
                }
                return client;
            }
            Some(Ok(_)) => {}
            other => panic!("no close: {other:?}"),
        }
    }
}

fn text(opcode: Data, payload: impl Into<Vec<u8>>, is_final: bool) -> Message {
    Message::Frame(Frame::message(payload.into(), OpCode::Data(opcode), is_final))
}

/// NO-SILENCE
#[tokio::test]
async fn an_unknown_action_and_a_payload_of_another_type_are_refused() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    for (name, payload, code) in [
        ("nothing", json!(1), "unknown_action"),
        ("", json!(1), "unknown_action"),
        ("$nothing", json!(1), "unknown_action"),
        ("add", json!("one"), "bad_payload"),
        ("add", json!({ "by": 1 }), "bad_payload"),
        ("add", json!(1.5), "bad_payload"),
        ("add", Value::Null, "bad_payload"),
        ("$cancel", json!(7), "bad_payload"),
        ("$cancel", json!("1.1"), "gone"),
        ("$set", json!({ "path": ["count"], "value": 9 }), "unknown_field"),
    ] {
        client.seq += 1;
        let message = json!(["a", client.seq, name, payload]);
        let outcome = outcome(&mut client, message).await;
        assert_eq!((&outcome[0], &outcome[1], &outcome[2]), (&json!(client.seq), &json!("refused"), &json!(code)));
    }
    assert_eq!(client.document["count"], 1);
    scene.ends_unharmed(Some(client)).await;
}

/// [UNKNOWN-2]
#[tokio::test]
async fn an_unknown_message_is_answered_and_otherwise_ignored() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    client.send(&json!(["zzz", 1, 2])).await;
    assert_eq!(client.receive().await, json!(["x", "unknown_message", "zzz"]));
    scene.ends_unharmed(Some(client)).await;
}

#[tokio::test]
async fn binary_where_text_is_expected_closes() {
    closes(Message::binary(vec![0, 1, 2]), 4400).await;
    closes(text(Data::Binary, b"[\"p\"]".to_vec(), true), 4400).await;
}

#[tokio::test]
async fn text_that_is_no_utf8_closes() {
    // As RFC 6455 has it, with that RFC's code and no reason of ours.
    closes(text(Data::Text, b"[\"a\",2,\"add\",\"\xff\xfe\"]".to_vec(), true), 1007).await;
}

#[tokio::test]
async fn a_hundred_thousand_nested_arrays_close() {
    // As many as fit into a message, and then more than that.
    let deep = |levels: usize| format!("[\"a\",2,\"add\",{}1{}]", "[".repeat(levels), "]".repeat(levels));
    closes(Message::text(deep(30_000)), 4400).await;
    closes(Message::text(deep(100_000)), 4413).await;
}

/// BOUNDED. The frame's header alone: nothing is made ready for what it announces.
#[tokio::test]
async fn a_frame_that_claims_64_mib_closes() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let mut header = vec![0x81, 0xff];
    header.extend_from_slice(&(64_u64 * 1024 * 1024).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!("no TLS here") };
    stream.write_all(&header).await.unwrap();
    let offender = is_closed(client, 4413).await;
    scene.ends_unharmed(Some(offender)).await;
}

#[tokio::test]
async fn counters_that_count_nothing_close() {
    for (message, code) in [
        (r#"["a",-1,"add",1]"#, 4400),
        (r#"["a",0,"add",1]"#, 4400),
        (r#"["a",1.5,"add",1]"#, 4400),
        (r#"["a","2","add",1]"#, 4400),
        (r#"["a",null,"add",1]"#, 4400),
        (r#"["a",18446744073709551616,"add",1]"#, 4400),
        (r#"["a",9007199254740993,"add",1]"#, 4400),
        (r#"["a",3,"add",1]"#, 4411),
        (r#"["a",9007199254740991,"add",1]"#, 4411),
        (r#"["v",4]"#, 4411),
        (r#"["k",99]"#, 4400),
        (r#"["k",-1]"#, 4400),
        (r#"["k","1"]"#, 4400),
    ] {
        let scene = Scene::new().await;
        let mut client = scene.client().await;
        client.socket.send(Message::text(message)).await.unwrap();
        let offender = is_closed(client, code).await;
        scene.ends_unharmed(Some(offender)).await;
    }
}

/// [ACTION-3] EXACTLY-ONCE
#[tokio::test]
async fn a_sequence_number_used_again_for_something_else_is_refused() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let reused = outcome(&mut client, json!(["a", 1, "add", 1000])).await;
    assert_eq!((&reused[0], &reused[1], &reused[2]), (&json!(1), &json!("refused"), &json!("seq_reused")));
    assert_eq!(client.document["count"], 1);
    scene.ends_unharmed(Some(client)).await;
}

/// YOURS-ALONE
#[tokio::test]
async fn a_token_that_was_never_issued_gets_a_session_of_its_own() {
    let scene = Scene::new().await;
    let bystander = scene.bystander.welcome["session"].as_str().unwrap().to_owned();
    for token in [
        json!(format!("{bystander}.{}", "0".repeat(32))),
        json!(format!("{}.{}", "a".repeat(24), "0".repeat(32))),
        json!("nonsense"),
        json!(""),
    ] {
        let mut client = Client::silent(open(scene.server.addr, None).await.unwrap(), "bbbbbbbbbbbbbbbbbbbbbbbb");
        client.token = token;
        client.hello().await;
        assert_ne!(client.welcome["session"], json!(bystander));
        assert_eq!(client.document["count"], 0);
    }
    scene.ends_unharmed(None).await;
}

/// YOURS-ALONE
#[tokio::test]
async fn another_origin_and_a_foreign_host_get_no_socket() {
    let scene = Scene::new().await;
    let addr = scene.server.addr;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        assert!(open(addr, Some(origin)).await.is_err(), "{origin}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", ""] {
        let mut request = format!("ws://{addr}/windlass/socket").into_client_request().unwrap();
        request.headers_mut().insert("host", host.parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
        assert!(tokio_tungstenite::connect_async(request).await.is_err(), "\"{host}\"");
    }
    assert_eq!(scene.server.live.sessions(), 1);
    scene.ends_unharmed(None).await;
}

/// BOUNDED
#[tokio::test]
async fn two_hundred_half_sent_handshakes_hold_up_nobody() {
    let scene = Scene::new().await;
    let mut half_open = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(scene.server.addr).await.unwrap();
        stream.write_all(b"GET /windlass/socket HTTP/1.1\r\nhost: localhost\r\nupgr").await.unwrap();
        half_open.push(stream);
    }
    let client = scene.client().await;
    assert_eq!(scene.server.live.sessions(), 2, "nothing exists of the others");
    scene.ends_unharmed(Some(client)).await;
    for mut stream in half_open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 101"));
    }
}

/// BOUNDED
#[tokio::test]
async fn beyond_the_limit_of_handshakes_the_one_that_has_waited_longest_makes_room() {
    let server = Running::start(app().handshakes_max(2)).await;
    let half = || async {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        stream
    };
    let (mut first, mut second) = (half().await, half().await);
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    third.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    third.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "nobody waits for those who say nothing");
    let mut rest = Vec::new();
    let _ = first.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "the first was cut");
    second.write_all(b"\r\n").await.unwrap();
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(server.live.refusals().handshakes, 1);
    drop((second, third));
    server.stop().await;
}

/// BOUNDED
#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_whole_is_cut_after_ten_seconds() {
    let server = Running::start(app()).await;
    let began = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(20), "{took:?}");
    server.stop().await;
}

/// BOUNDED. A byte at a time, each before anyone loses patience, and pings in between.
#[tokio::test(start_paused = true)]
async fn a_message_that_has_begun_is_whole_within_ten_seconds() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    let began = tokio::time::Instant::now();
    let mut part = text(Data::Text, b"[\"a\",1,".to_vec(), false);
    loop {
        // In one write, so that a whole frame always follows the part of a message.
        let _ = client.socket.feed(part).await;
        let _ = client.socket.send(Message::Ping(Vec::new().into())).await;
        match client.socket.next().await {
            Some(Ok(Message::Close(Some(close)))) => {
                assert_eq!(u16::from(close.code), 4400);
                break;
            }
            Some(Ok(_)) => {}
            other => panic!("no close: {other:?}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        part = text(Data::Continue, b" ".to_vec(), false);
    }
    let took = began.elapsed();
    // Ten from when the server sees the first part, which virtual time may have put off to its next timer.
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(40), "{took:?}");
    server.stop().await;
}

/// Pings are no parts of a message, however many come at once.
#[tokio::test(start_paused = true)]
async fn a_client_that_pings_is_not_taken_for_one_that_stalls() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    for _ in 0..5 {
        client.socket.feed(Message::Ping(vec![1; 20].into())).await.unwrap();
    }
    client.socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while let Ok(message) = tokio::time::timeout_at(until, client.socket.next()).await {
        assert!(matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_)))), "{message:?}");
    }
    server.stop().await;
}

/// A quiet connection is none that stalls: pings are answered, and nothing is closed.
#[tokio::test(start_paused = true)]
async fn a_quiet_client_that_answers_pings_stays() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(300);
    while let Ok(message) = tokio::time::timeout_at(until, client.socket.next()).await {
        assert!(matches!(message, Some(Ok(Message::Ping(_)))), "{message:?}");
    }
    client.act("add", json!(1)).await;
    assert_eq!(client.frame().await[3], json!([["count", 1]]));
    server.stop().await;
}
