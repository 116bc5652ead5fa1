//! What the proxy does to connections, each fault seen from both sides.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use windlass_proxy::{Direction, Fault, Options, Plan, Proxy};

struct Pair {
    proxy: Proxy,
    listener: TcpListener,
}

impl Pair {
    async fn new(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start_with(listener.local_addr().unwrap(), options).await.unwrap();
        Self { proxy, listener }
    }

    /// The client's socket and the server's.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.addr()).await.unwrap();
        (client, self.listener.accept().await.unwrap().0)
    }
}

async fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).await.err();
    (bytes, error.map(|error| error.kind()))
}

#[tokio::test]
async fn bytes_and_ends_come_as_they_were_sent() {
    let pair = Pair::new(Options::default()).await;
    let (mut client, mut server) = pair.connect().await;
    let text: Vec<u8> = (0..300_000).map(|i| i as u8).collect();
    let sends = async {
        client.write_all(&text).await.unwrap();
        client.shutdown().await.unwrap();
        read_all(&mut client).await
    };
    let answers = async {
        let (bytes, _) = read_all(&mut server).await;
        server.write_all(b"all of it").await.unwrap();
        drop(server);
        bytes
    };
    let ((heard, error), bytes) = tokio::join!(sends, answers);
    assert!(bytes == text);
    assert_eq!((heard.as_slice(), error), (&b"all of it"[..], None));
    pair.proxy.until(|proxy| proxy.links().is_empty()).await;
}

#[tokio::test]
async fn a_cut_is_after_exactly_that_byte() {
    let pair = Pair::new(Options::default()).await;
    for after in [0, 1, 7, 8] {
        pair.proxy.next(Plan::default().cut(Direction::ToServer, after, Fault::Close).slice_max(3));
        let (mut client, mut server) = pair.connect().await;
        let _ = client.write_all(b"12345678").await;
        let (heard, error) = read_all(&mut server).await;
        assert_eq!((heard.as_slice(), error), (&b"12345678"[..after as usize], None));
        assert_eq!(read_all(&mut client).await, (Vec::new(), None));

        pair.proxy.next(Plan::default().cut(Direction::ToClient, after, Fault::Close));
        let (mut client, mut server) = pair.connect().await;
        let _ = server.write_all(b"12345678").await;
        assert_eq!(read_all(&mut client).await, (b"12345678"[..after as usize].to_vec(), None));
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_on_both_sides() {
    let pair = Pair::new(Options::default()).await;
    let (mut client, mut server) = pair.connect().await;
    assert_eq!(pair.proxy.fault(Fault::Reset), 1);
    assert_eq!(read_all(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    assert_eq!(read_all(&mut server).await.1, Some(ErrorKind::ConnectionReset));
    // And one of a peer's is passed on.
    let (client, mut server) = pair.connect().await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(read_all(&mut server).await.1, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn what_is_frozen_goes_on_where_it_was() {
    let pair = Pair::new(Options::default()).await;
    let (mut client, mut server) = pair.connect().await;
    pair.proxy.fault(Fault::Freeze);
    client.write_all(b"late").await.unwrap();
    let mut buffer = [0; 4];
    let soon = tokio::time::timeout(Duration::from_millis(50), server.read(&mut buffer)).await;
    assert!(soon.is_err(), "nothing comes");
    pair.proxy.resume();
    server.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"late");
    server.write_all(b"back").await.unwrap();
    client.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"back");
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_tells_nobody() {
    let pair = Pair::new(Options::default()).await;
    let (mut client, mut server) = pair.connect().await;
    pair.proxy.fault(Fault::BlackHole);
    // More than all the buffers on the way.
    client.write_all(&vec![1; 8_000_000]).await.unwrap();
    drop(client);
    let mut buffer = [0; 1];
    assert!(tokio::time::timeout(Duration::from_millis(50), server.read(&mut buffer)).await.is_err());
    // What is lost does not come back.
    pair.proxy.resume();
    assert!(tokio::time::timeout(Duration::from_millis(50), server.read(&mut buffer)).await.is_err());
    drop(server);
    pair.proxy.until(|proxy| proxy.links().is_empty()).await;
}

#[tokio::test]
async fn a_lost_side_is_reset_and_the_other_hears_nothing() {
    let pair = Pair::new(Options::default()).await;
    let (mut client, mut server) = pair.connect().await;
    pair.proxy.fault(Fault::LoseClient);
    assert_eq!(read_all(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    server.write_all(&vec![1; 3_000_000]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), server.read(&mut [0])).await.is_err());

    let (mut client, mut server) = pair.connect().await;
    pair.proxy.links()[1].fault(Fault::LoseServer);
    assert_eq!(read_all(&mut server).await.1, Some(ErrorKind::ConnectionReset));
    assert!(tokio::time::timeout(Duration::from_millis(50), client.read(&mut [0])).await.is_err());
}

#[tokio::test]
async fn latency_and_rate_take_their_time() {
    let pair = Pair::new(Options::default()).await;
    pair.proxy.next(Plan::default().latency(Duration::from_millis(60)));
    let (mut client, mut server) = pair.connect().await;
    let began = Instant::now();
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(60));

    pair.proxy.next(Plan::default().bytes_per_second(10_000));
    let (mut client, mut server) = pair.connect().await;
    let began = Instant::now();
    client.write_all(&[0; 1_000]).await.unwrap();
    server.read_exact(&mut [0; 1_000]).await.unwrap();
    // All but the last piece was waited for.
    assert!(began.elapsed() >= Duration::from_millis(75), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_proxy_that_refuses_resets_and_one_that_leads_elsewhere_does_that() {
    let pair = Pair::new(Options::default()).await;
    pair.proxy.refuse();
    let mut client = TcpStream::connect(pair.proxy.addr()).await.unwrap();
    assert_eq!(read_all(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    pair.proxy.accept();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    pair.proxy.lead_to(other.local_addr().unwrap());
    let _client = TcpStream::connect(pair.proxy.addr()).await.unwrap();
    other.accept().await.unwrap();
    assert_eq!(pair.proxy.accepted(), 2);
}

#[tokio::test]
async fn the_log_tells_each_happening_in_one_line() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let log: Box<dyn Fn(&windlass_proxy::Event) + Send + Sync> =
        Box::new(move |event| log.lock().unwrap().push(serde_json::to_value(event).unwrap()));
    let plan = Plan::default().cut(Direction::ToServer, 2, Fault::Reset);
    let pair = Pair::new(Options { plan, log: Some(log), ..Options::default() }).await;
    let (mut client, mut server) = pair.connect().await;
    client.write_all(b"abc").await.unwrap();
    read_all(&mut server).await;
    pair.proxy.until(|proxy| proxy.links().is_empty()).await;
    let lines: Vec<_> = lines
        .lock()
        .unwrap()
        .drain(..)
        .map(|mut line| {
            assert!(line["ms"].as_u64().unwrap() < 60_000);
            line.as_object_mut().unwrap().remove("ms");
            line
        })
        .collect();
    let expected = serde_json::json!([
        {"event": "accepted", "link": 1},
        {"event": "fault", "link": 1, "fault": "reset", "direction": "to_server", "to_server": 2, "to_client": 0},
        {"event": "ended", "link": 1, "to_server": 2, "to_client": 0},
    ]);
    assert_eq!(serde_json::Value::from(lines), expected);
}
