//! What peers may take, and what they hear beyond it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::routing::post;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{MaybeTlsStream, client_async};
use windlass::prelude::*;
use windlass::{Identity, Limits, Login};

use support::{Client, Running, Socket, open};

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
}

fn app() -> App<Demo> {
    App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by)
}

/// An app for which peers on loopback have addresses: only 127.0.0.1 is a proxy.
fn limited(limits: Limits) -> App<Demo> {
    app().limits(limits).trusted_proxies(["127.0.0.1"])
}

/// A connection from another address of loopback.
async fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// A socket that a proxy opens for somebody.
async fn open_for(addr: SocketAddr, forwarded: &str) -> Socket {
    let mut request = format!("ws://{addr}/windlass/socket").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
    request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
    let stream = MaybeTlsStream::Plain(TcpStream::connect(addr).await.unwrap());
    client_async(request, stream).await.unwrap().0
}

const ID: &str = "0f1e2d3c4b5a69788796a5b4";

async fn http(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// BOUNDED: whoever fills the table of half-open handshakes fills their own part of it.
#[tokio::test]
async fn half_open_handshakes_of_one_address_stall_nobody_else() {
    let server = Running::start(limited(Limits { address_handshakes_max: 5, ..Limits::default() })).await;
    let mut half = Vec::new();
    for _ in 0..5 {
        let mut stream = from("127.0.0.2", server.addr).await;
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        half.push(stream);
    }
    let mut sixth = from("127.0.0.2", server.addr).await;
    let mut rest = Vec::new();
    let _ = sixth.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "it is closed at once");
    assert_eq!(server.live.refusals().address_handshakes, 1);
    let mut other = from("127.0.0.3", server.addr).await;
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    other.read_exact(&mut [0; 12]).await.unwrap();
    // One that leaves makes room.
    half.pop();
    loop {
        let mut again = from("127.0.0.2", server.addr).await;
        let asked = again.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        if asked.is_ok() && again.read_exact(&mut [0; 12]).await.is_ok() {
            break;
        }
    }
    drop((half, other));
    server.stop().await;
}

/// BOUNDED: connections count from accept to their end, sockets among them.
#[tokio::test]
async fn beyond_the_limit_of_connections_a_peer_is_closed_at_once() {
    let server = Running::start(app().limits(Limits { connections_max: 2, ..Limits::default() })).await;
    let (first, second) = (Client::new(server.addr).await, TcpStream::connect(server.addr).await.unwrap());
    let closed = || async {
        let mut third = TcpStream::connect(server.addr).await.unwrap();
        let _ = third.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        third.read_exact(&mut [0; 12]).await.is_err()
    };
    assert!(closed().await);
    assert_eq!(server.live.refusals().connections, 1);
    drop(second);
    while closed().await {}
    drop(first);
    server.stop().await;
}

/// BOUNDED: an address has its sockets, and a page that returns to its session takes none of them.
#[tokio::test]
async fn an_address_that_opens_too_many_sockets_hears_busy_and_a_resume_costs_nothing() {
    let limits = Limits { address_sockets_per_second: 1, address_sockets_reserve: 3, ..Limits::default() };
    let server = Running::start(limited(limits)).await;
    let open = |forwarded| open_for(server.addr, forwarded);
    let mut page = Client::on(open("203.0.113.9").await, ID).await;
    for _ in 0..10 {
        page.socket = open("203.0.113.9").await;
        page.hello().await;
        assert!(page.resumed);
    }
    // A made-up token and none are alike.
    let mut stranger = Client::silent(open("203.0.113.9").await, "111111111111111111111111");
    stranger.token = json!("a1b2c3d4e5f6a7b8c9d0e1f2.00112233445566778899aabbccddeeff");
    stranger.hello().await;
    assert_eq!(server.live.refusals().tokens_unknown, 1);
    let mut refused = 0;
    for _ in 0..3 {
        let mut socket = open("203.0.113.9").await;
        let client = format!(r#"["h",{{"client":"{ID}","instance":"9"}}]"#);
        let _ = socket.send(Message::text(client)).await;
        if let Some(Ok(Message::Close(Some(close)))) = socket.next().await {
            assert_eq!((u16::from(close.code), &*close.reason), (4429, r#"{"code":"busy","retry_after_ms":5000}"#));
            refused += 1;
        }
    }
    assert!(refused >= 1);
    assert_eq!(server.live.refusals().address_sockets, refused);
    // Somebody else is not held up, also not one whom the same proxy speaks for.
    Client::on(open("1.1.1.1, 203.0.113.10").await, "222222222222222222222222").await;
    server.stop().await;
}

/// BOUNDED
#[tokio::test]
async fn an_address_may_begin_so_many_sessions_and_gets_room_when_one_is_gone() {
    let server = Running::start(limited(Limits { address_sessions_max: 2, ..Limits::default() })).await;
    let hello = |n: u64| format!(r#"["h",{{"client":"{n:024x}","instance":"1"}}]"#);
    let open = |forwarded| open_for(server.addr, forwarded);
    let mut pages = Vec::new();
    for n in 1..=2 {
        // One household has a /64.
        let address = format!("2001:db8::{n}");
        pages.push(Client::on(open_for(server.addr, &address).await, &format!("{n:024x}")).await);
    }
    let mut third = open("2001:db8::3").await;
    third.send(Message::text(hello(3))).await.unwrap();
    let Some(Ok(Message::Close(Some(close)))) = third.next().await else { panic!("no close") };
    assert_eq!(u16::from(close.code), 4429);
    assert_eq!(server.live.refusals().address_sessions, 1);
    Client::on(open("2001:db8:0:1::1").await, ID).await;
    assert_eq!(server.live.sessions(), 3);
    server.stop().await;
}

/// YOURS-ALONE: requests that may change something come from this app's pages, whichever route they are for.
#[tokio::test]
async fn another_origin_changes_nothing_on_any_route() {
    let routes =
        axum::Router::new().route("/order", post(|body: Bytes| async move { format!("{} bytes", body.len()) }));
    let server = Running::start(app().router(routes).public_url("https://shop.example/app")).await;
    let post = |origin: Option<&str>, host: &str| {
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        format!("POST /order HTTP/1.1\r\nhost: {host}\r\n{origin}content-length: 2\r\nconnection: close\r\n\r\nhi")
    };
    let own = format!("http://{}", server.addr);
    for (origin, host, status) in [
        (None, "localhost", "200"),
        (Some(&*own), &*server.addr.to_string(), "200"),
        (Some("https://shop.example"), "shop.example", "200"),
        (Some("https://evil.example"), "localhost", "403"),
        (Some("null"), "localhost", "403"),
        (Some("https://shop.example"), "evil.example", "421"),
    ] {
        let answer = http(server.addr, &post(origin, host)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{origin:?} {host}: {answer}");
    }
    assert_eq!(server.live.refusals().origins, 3);
    server.stop().await;

    let server = Running::start(app().require_origin(true)).await;
    assert!(open(server.addr, None).await.is_err(), "a program");
    assert!(open(server.addr, Some(&format!("http://{}", server.addr))).await.is_ok(), "a page");
    assert!(http(server.addr, &post(None, "localhost")).await.starts_with("HTTP/1.1 403"));
    server.stop().await;

    let error = app().public_url("shop.example").build().err().unwrap();
    assert!(error.text.contains("https://app.example"), "{error}");
}

/// YOURS-ALONE: an identity that has expired opens nothing any more.
#[tokio::test]
async fn an_identity_that_expires_ends_its_connections_and_its_session_waits() {
    let app = app().authenticate(|request| {
        let logged_in = request.headers.get("origin").is_none_or(|origin| origin != "http://localhost");
        async move {
            // Somebody who comes from there is known for a moment only.
            let lasts = if logged_in { Duration::from_secs(3_600) } else { Duration::from_millis(50) };
            Ok(Some(Identity::new("ada").expires_in(lasts)))
        }
    });
    let server = Running::start(app.allowed_origin("http://localhost")).await;
    let mut page = Client::on(open(server.addr, Some("http://localhost")).await.unwrap(), ID).await;
    page.act("add", json!(7)).await;
    page.until(|document| document["count"] == 7).await;
    let (token, session, epoch, n) = (page.token.clone(), page.welcome["session"].clone(), page.epoch, page.n);
    let (code, reason) = page.closed().await;
    assert_eq!((code, reason), (4401, json!({"code": "login"})));
    assert_eq!(server.live.refusals().logins, 1);
    let mut again = Client::silent(open(server.addr, None).await.unwrap(), ID);
    (again.token, again.epoch, again.n, again.seq) = (token, epoch, n, 1);
    again.hello().await;
    assert_eq!(again.welcome["session"], session);
    server.stop().await;
}

/// YOURS-ALONE
#[tokio::test]
async fn a_stranger_who_logs_in_begins_afresh_where_the_app_says_so() {
    for (login, keeps) in [(Login::Keep, true), (Login::Fresh, false)] {
        let app = app().on_login(login).authenticate(|request| {
            let known = request.headers.contains_key("origin");
            async move { Ok(known.then(|| Identity::new("ada"))) }
        });
        let server = Running::start(app.allowed_origin("http://localhost")).await;
        let mut page = Client::new(server.addr).await;
        let (session, token) = (page.welcome["session"].clone(), page.token.clone());
        drop(page.socket);
        page.socket = open(server.addr, Some("http://localhost")).await.unwrap();
        page.token = token;
        page.hello().await;
        assert_eq!(page.welcome["session"] == session, keeps, "{login:?}");
        server.stop().await;
    }
}

/// BOUNDED: what the pages of a session send beyond its rate is read later, and none of it is refused.
#[tokio::test(start_paused = true)]
async fn actions_beyond_the_rate_of_a_session_are_read_later() {
    let server = Running::start(app().limits(Limits { actions_per_second: 10, ..Limits::default() })).await;
    let mut page = Client::new(server.addr).await;
    let began = tokio::time::Instant::now();
    for _ in 0..30 {
        page.act("add", json!(1)).await;
    }
    page.until(|document| document["count"] == 30).await;
    assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
    assert!(server.live.refusals().action_pauses > 0);
    server.stop().await;
}

/// BOUNDED: a message in a hundred thousand empty pieces is none.
#[tokio::test]
async fn a_message_in_too_many_pieces_closes() {
    let server = Running::start(app()).await;
    let mut page = Client::new(server.addr).await;
    let piece = |kind| Message::Frame(Frame::message(Vec::new(), OpCode::Data(kind), false));
    page.socket.send(piece(Data::Text)).await.unwrap();
    for _ in 0..100_000 {
        if page.socket.feed(piece(Data::Continue)).await.is_err() {
            break;
        }
    }
    let _ = page.socket.flush().await;
    while server.live.refusals().messages_late == 0 {
        tokio::task::yield_now().await;
    }
    // And one of sixty pieces is.
    let mut page = Client::on(open(server.addr, None).await.unwrap(), "111111111111111111111111").await;
    let text = br#"["a",1,"add",5]                                             "#;
    for (at, byte) in text.iter().enumerate() {
        let kind = if at == 0 { Data::Text } else { Data::Continue };
        let part = Frame::message(vec![*byte], OpCode::Data(kind), at + 1 == text.len());
        page.socket.send(Message::Frame(part)).await.unwrap();
    }
    page.until(|document| document["count"] == 5).await;
    server.stop().await;
}

/// BOUNDED: a body that hardly comes fails, and one that comes slowly enough does not.
#[tokio::test(start_paused = true)]
async fn a_body_that_hardly_comes_fails() {
    let routes = axum::Router::new().route("/upload", post(|body: Bytes| async move { body.len().to_string() }));
    let server = Running::start(app().router(routes)).await;
    let request = "POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 40000\r\nconnection: close\r\n\r\n";
    for (per_second, is_slow) in [(100, true), (4_000, false)] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut reads, mut writes) = stream.into_split();
        let sends = async {
            let mut left = 40_000;
            while left > 0 && writes.write_all(&vec![b'x'; per_second]).await.is_ok() {
                left -= per_second.min(left);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let mut answer = Vec::new();
        let reads = reads.read_to_end(&mut answer);
        tokio::select! {
            _ = async { tokio::join!(sends, std::future::pending::<()>()) } => {}
            _ = reads => {}
        }
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(!text.starts_with("HTTP/1.1 200"), is_slow, "{per_second}: {text}");
    }
    assert_eq!(server.live.refusals().bodies_slow, 1);
    server.stop().await;
}

/// BOUNDED: a connection that is kept for another request is closed after its time.
#[tokio::test(start_paused = true)]
async fn a_kept_connection_is_closed_after_thirty_seconds() {
    let server = Running::start(app()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    for pause in [5, 12, 25] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
    let began = tokio::time::Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(began.elapsed() >= Duration::from_secs(29) && began.elapsed() < Duration::from_secs(40));
    server.stop().await;
}
