//! Peers that break off in the middle of what they do, or never come to its end: each has its typed end, and whoever
//! else is there notices nothing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, client_async};
use windlass::prelude::*;

use support::{Client, Running, Socket, open};

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
    text: String,
}

fn app() -> App<Demo> {
    App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by)
}

/// A frame of a client's, with a mask that changes nothing.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn bare(client: &mut Client) -> &mut TcpStream {
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!("no TLS here") };
    stream
}

/// The close that comes next, or at the end of what comes.
async fn close_of(socket: &mut Socket) -> u16 {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no close: {other:?}"),
        }
    }
}

/// CONVERGE, BOUNDED: a peer that does not read while drivers write, so that frames leave in part, and that pings
/// meanwhile. Nothing of a pong ever comes between the parts of a frame, every pong comes in order, and the last state
/// is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_in_the_middle_of_a_frame_and_pings_gets_whole_frames() {
    /// More than the system takes for a peer with a small buffer that does not read.
    const LETTERS: usize = 6_000_000;
    let server = Running::start(app().state_bytes_max(64 * 1024 * 1024)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = MaybeTlsStream::Plain(socket.connect(server.addr).await.unwrap());
    let mut request = format!("ws://{}/windlass/socket", server.addr).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
    let socket = client_async(request, stream).await.unwrap().0;
    let mut client = Client::on(socket, "0f1e2d3c4b5a69788796a5b4").await;
    let mut pings = 0_u32;
    for round in 1..=8_i64 {
        // Updates from other tasks race with the pings for the socket.
        let drivers: Vec<_> = (0..4)
            .map(|driver| {
                let live = server.live.clone();
                tokio::spawn(async move {
                    live.broadcast(move |state, _| {
                        state.count += 1;
                        let letter = char::from(b'a' + u8::try_from((round + driver) % 26).unwrap());
                        state.text = std::iter::repeat_n(letter, LETTERS).collect();
                    })
                })
            })
            .collect();
        for _ in 0..20 {
            pings += 1;
            client.socket.send(Message::Ping(pings.to_be_bytes().to_vec().into())).await.unwrap();
            tokio::task::yield_now().await;
        }
        for driver in drivers {
            assert_eq!(driver.await.unwrap(), 1);
        }
        // Now it reads, until all of that is here. Pongs may answer several pings at once: the last of them.
        let mut ponged = 0;
        while client.document["count"] != round * 4 || ponged < pings {
            match client.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).unwrap();
                    client.take(&frame);
                    client.send(&json!(["k", client.n])).await;
                }
                Message::Pong(payload) => {
                    let number = u32::from_be_bytes(payload[..].try_into().unwrap());
                    assert!(number > ponged && number <= pings, "{number} after {ponged}");
                    ponged = number;
                }
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let text = client.document["text"].as_str().unwrap();
        let first = text.chars().next().unwrap();
        assert!(text.len() == LETTERS && text.chars().all(|letter| letter == first), "the text is one driver's");
    }
    server.stop().await;
}

/// BOUNDED. Half a frame and then a byte a minute: ten seconds are all it gets.
#[tokio::test(start_paused = true)]
async fn a_frame_that_comes_a_byte_a_minute_closes() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    let action = frame(TEXT, br#"["a",1,"add",5]"#);
    let mut written = 0;
    for byte in &action {
        if bare(&mut client).write_all(&[*byte]).await.is_err() {
            break;
        }
        written += 1;
        tokio::time::sleep(Duration::from_secs(60)).await;
        if server.live.refusals().messages_late > 0 {
            break;
        }
    }
    assert!(written < action.len(), "all {written} bytes were taken");
    assert_eq!(close_of(&mut client.socket).await, 4400);
    let mut again = Client::silent(open(server.addr, None).await.unwrap(), &client.id);
    again.token = client.token.clone();
    again.hello().await;
    assert_eq!(again.document["count"], 0);
    server.stop().await;
}

/// What comes after a peer's close is not read: RFC 6455, section 5.5.1.
#[tokio::test]
async fn what_follows_a_close_has_no_effect() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.frame().await;
    let mut bytes = frame(CLOSE, &1000_u16.to_be_bytes());
    for seq in 2..100 {
        bytes.extend(frame(TEXT, format!(r#"["a",{seq},"add",100]"#).as_bytes()));
    }
    bare(&mut client).write_all(&bytes).await.unwrap();
    assert_eq!(close_of(&mut client.socket).await, 1000);
    client.reconnect(server.addr).await;
    assert_eq!(client.document["count"], 1);
    server.stop().await;
}

/// BOUNDED. A peer that was closed, says no close of its own, and goes on sending, is gone a second later.
#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_on_after_the_servers_close_is_gone() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    let began = tokio::time::Instant::now();
    bare(&mut client).write_all(&frame(TEXT, b"no message")).await.unwrap();
    let mut ended = [0; 1024];
    loop {
        let more = frame(TEXT, br#"["a",1,"add",5]"#);
        let (stream, mut is_over) = (bare(&mut client), false);
        is_over |= stream.write_all(&more).await.is_err();
        tokio::time::sleep(Duration::from_millis(100)).await;
        while let Ok(read) = stream.try_read(&mut ended) {
            is_over |= read == 0;
            if read == 0 {
                break;
            }
        }
        if is_over {
            break;
        }
        // Virtual time may be put off to the server's next timer.
        assert!(began.elapsed() < Duration::from_secs(60), "it is still served");
    }
    client.reconnect(server.addr).await;
    assert_eq!(client.document["count"], 0, "nothing of it was applied");
    server.stop().await;
}

/// BOUNDED. Pings are messages for the rate: who floods is read more slowly, and asked to leave after ten seconds.
#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_is_slowed_down_and_closed() {
    let server = Running::start(app()).await;
    let client = Client::new(server.addr).await;
    let (mut to_server, mut from_server) = client.socket.split();
    let flood = tokio::spawn(async move { while to_server.feed(Message::Ping(vec![7; 125].into())).await.is_ok() {} });
    let code = loop {
        match from_server.next().await {
            Some(Ok(Message::Close(Some(close)))) => break u16::from(close.code),
            Some(Ok(_)) => {}
            other => panic!("no close: {other:?}"),
        }
    };
    assert_eq!(code, 4429);
    let refusals = server.live.refusals();
    assert!(refusals.pauses > 0 && refusals.unpaused == 1, "{refusals:?}");
    drop(from_server);
    flood.abort();
    server.stop().await;
}

/// A control frame has at most 125 bytes (RFC 6455, section 5.5): nothing is made ready for more.
#[tokio::test]
async fn pings_and_pongs_that_claim_to_be_huge_close() {
    let server = Running::start(app()).await;
    for kind in [PING, PONG] {
        let mut client = Client::new(server.addr).await;
        bare(&mut client).write_all(&frame(kind, &[1; 126])).await.unwrap();
        assert_eq!(close_of(&mut client.socket).await, 1002);
        let mut client = Client::new(server.addr).await;
        let mut header = vec![kind, 0x80 | 127];
        header.extend((1_u64 << 40).to_be_bytes());
        header.extend([0; 4]);
        bare(&mut client).write_all(&header).await.unwrap();
        assert_eq!(close_of(&mut client.socket).await, 4413);
    }
    // Pongs that nobody asked for, as large as they may be, are no harm.
    let mut client = Client::new(server.addr).await;
    for _ in 0..200 {
        client.socket.send(Message::Pong(vec![1; 125].into())).await.unwrap();
    }
    client.act("add", json!(5)).await;
    client.until(|document| document["count"] == 5).await;
    server.stop().await;
}

/// BOUNDED, PROMPT: handshakes that stop at each of their bytes, some of which stay and some of which go, leave
/// nothing behind and hold up nobody.
#[tokio::test]
async fn handshakes_that_stop_at_every_byte_leave_nothing() {
    let server = Running::start(app()).await;
    let request = format!(
        "GET /windlass/socket HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: windlass.v1\r\n\r\n",
        server.addr
    );
    let request = request.as_bytes();
    let mut open_ones = Vec::new();
    for round in 0..8 {
        for bytes in 0..request.len() {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            // One whose place somebody else was given is closed already.
            let _ = stream.write_all(&request[..bytes]).await;
            if round % 2 == 0 {
                open_ones.push(stream);
            }
        }
    }
    assert!(open_ones.len() > 800);
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    assert_eq!(server.live.sessions(), 1);
    // And the whole of it is a socket.
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    drop((stream, open_ones));
    server.stop().await;
}
