//! A server on a free port, and a client as protocol.md describes it, no more than these tests need.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses some of it")]

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use windlass::prelude::*;
use windlass::{Live, State};

pub(crate) struct Running<S: State> {
    pub(crate) addr: SocketAddr,
    pub(crate) live: Live<S>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result>,
}

impl<S: State> Running<S> {
    pub(crate) async fn start<V: View<S>>(app: App<S, V>) -> Self {
        let server = app.bind("127.0.0.1:0").await.unwrap();
        let (addr, live) = (server.addr(), server.live().clone());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run_until(async {
            let _ = stopped.await;
        }));
        Self { addr, live, stop: Some(stop), task }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// A client of a session.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) id: String,
    pub(crate) page: String,
    pub(crate) welcome: Value,
    pub(crate) document: Value,
    pub(crate) n: u64,
    pub(crate) epoch: u64,
    pub(crate) token: Value,
    pub(crate) seq: u64,
    pub(crate) events: Vec<Value>,
    pub(crate) outcomes: Vec<Value>,
    pub(crate) resumed: bool,
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn open(addr: SocketAddr, origin: Option<&str>) -> Result<Socket, WsError> {
    open_with(addr, origin, None).await.map(|(socket, _)| socket)
}

/// Opens a socket, with that cookie; the second is the cookie that the server sets.
pub(crate) async fn open_with(
    addr: SocketAddr,
    origin: Option<&str>,
    cookie: Option<&str>,
) -> Result<(Socket, Option<String>), WsError> {
    let mut request = format!("ws://{addr}/windlass/socket").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    if let Some(cookie) = cookie {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    let (socket, response) = tokio_tungstenite::connect_async(request).await?;
    let set = response.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
    Ok((socket, set))
}

impl Client {
    pub(crate) async fn new(addr: SocketAddr) -> Self {
        Self::on(open(addr, None).await.unwrap(), "0f1e2d3c4b5a69788796a5b4").await
    }

    /// That client, on that socket.
    pub(crate) async fn on(socket: Socket, id: &str) -> Self {
        let mut client = Self::silent(socket, id);
        client.hello().await;
        client
    }

    /// A client that has not said hello.
    pub(crate) fn silent(socket: Socket, id: &str) -> Self {
        Self {
            socket,
            id: id.to_owned(),
            page: "/".to_owned(),
            welcome: Value::Null,
            document: Value::Null,
            n: 0,
            epoch: 0,
            token: Value::Null,
            seq: 0,
            events: Vec::new(),
            outcomes: Vec::new(),
            resumed: false,
        }
    }

    pub(crate) async fn hello(&mut self) {
        let hello = json!(["h", {
            "token": self.token, "client": self.id, "instance": "01", "epoch": self.epoch,
            "n": self.n, "event": [0, 0], "seq": self.seq + 1, "page": self.page, "can": [],
        }]);
        self.send(&hello).await;
        let welcome = self.receive().await;
        assert_eq!(welcome[0], "w", "{welcome}");
        self.welcome = welcome[1].clone();
        self.epoch = welcome[1]["epoch"].as_u64().unwrap();
        self.resumed = welcome[1]["resumed"].as_bool().unwrap();
        if let Some(token) = welcome[1].get("token") {
            self.token = token.clone();
        }
        if !self.resumed {
            self.frame().await;
        }
    }

    pub(crate) async fn reconnect(&mut self, addr: SocketAddr) {
        self.socket = open(addr, None).await.unwrap();
        self.hello().await;
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn act(&mut self, name: &str, payload: Value) {
        self.seq += 1;
        let seq = self.seq;
        self.send(&json!(["a", seq, name, payload])).await;
    }

    pub(crate) async fn receive(&mut self) -> Value {
        loop {
            match self.socket.next().await.expect("the server goes on").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Takes one numbered frame.
    pub(crate) async fn frame(&mut self) -> Value {
        let frame = self.receive().await;
        self.take(&frame);
        self.send(&json!(["k", self.n])).await;
        frame
    }

    /// Applies a numbered frame.
    pub(crate) fn take(&mut self, frame: &Value) {
        let n = frame[1].as_u64().unwrap();
        match frame[0].as_str() {
            Some("s") => self.document = frame[3].clone(),
            Some("d") => {
                assert_eq!(n, self.n + 1, "{frame}");
                windlass_sync::apply(&mut self.document, frame[3].as_array().unwrap()).unwrap();
            }
            _ => panic!("no frame: {frame}"),
        }
        self.n = n;
        if let Some(extras) = frame.get(4) {
            self.events.extend(extras["e"].as_array().into_iter().flatten().cloned());
            self.outcomes.extend(extras["r"].as_array().into_iter().flatten().cloned());
        }
    }

    /// Takes frames until the document is so.
    pub(crate) async fn until(&mut self, so: impl Fn(&Value) -> bool) {
        while !so(&self.document) {
            self.frame().await;
        }
    }

    /// The next message, or null when the server closes.
    pub(crate) async fn answer(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
                Some(Ok(_)) => {}
            }
        }
    }

    pub(crate) async fn closed(mut self) -> (u16, Value) {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(close)))) => {
                    return (close.code.into(), serde_json::from_str(&close.reason).unwrap());
                }
                Some(Ok(_)) => {}
                other => panic!("no close: {other:?}"),
            }
        }
    }
}
