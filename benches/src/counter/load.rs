//! The generator: sessions that each send the next action when the last one is answered.
//!
//! It checks every answer byte for byte, so that a server that answers wrongly fast fails the run.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::socket_options;
use crate::Result;

/// protocol.md section 11: a client acknowledges at the latest every 16 KiB of frames.
const ACK_BYTES: usize = 16 * 1024;

/// What a session says before its first action.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dialect {
    /// Hello, welcome, snapshot, as protocol.md has it.
    Windlass,
    /// Nothing.
    Echo,
}

/// What all sessions did in one slice.
#[derive(Default)]
pub(crate) struct Slice {
    /// Actions that were answered.
    pub(crate) turns: usize,
    /// From sending an action to its answer, in ascending order.
    pub(crate) sorted_micros: Vec<f64>,
}

/// Connected sessions, idle but during [`Load::run`]. They end with it.
pub(crate) struct Load {
    sessions: usize,
    open: watch::Sender<bool>,
    // A slice's round trips from each session, or why it could not go on.
    done: mpsc::Receiver<Result<Vec<f64>>>,
}

impl Load {
    pub(crate) async fn connect(address: &str, dialect: Dialect, sessions: usize) -> Result<Self> {
        let (open, gate) = watch::channel(false);
        let (results, done) = mpsc::channel(sessions);
        for number in 0..sessions {
            let session = Session::connect(address, dialect, number).await?;
            tokio::spawn(session.run(gate.clone(), results.clone()));
        }
        Ok(Self { sessions, open, done })
    }

    /// Opens the gate for this long and returns when every session is idle again.
    pub(crate) async fn run(&mut self, length: Duration) -> Result<Slice> {
        self.open.send_replace(true);
        tokio::time::sleep(length).await;
        self.open.send_replace(false);
        let mut slice = Slice::default();
        for _ in 0..self.sessions {
            slice.sorted_micros.extend(self.done.recv().await.ok_or("the sessions ended")??);
        }
        slice.turns = slice.sorted_micros.len();
        slice.sorted_micros.sort_by(f64::total_cmp);
        Ok(slice)
    }
}

struct Session {
    socket: WebSocketStream<TcpStream>,
    /// The number of the last frame of the stream.
    n: u64,
    seq: u64,
    unacknowledged: usize,
}

impl Session {
    async fn connect(address: &str, dialect: Dialect, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/windlass/socket").into_client_request()?;
        if dialect == Dialect::Windlass {
            request.headers_mut().insert(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(windlass_protocol::Dialect::Compact.subprotocol()),
            );
        }
        let (socket, _) = client_async_with_config(request, stream, Some(socket_options())).await?;
        let mut session = Self { socket, n: 1, seq: 0, unacknowledged: 0 };
        if dialect == Dialect::Windlass {
            session.greet(number).await?;
        }
        Ok(session)
    }

    async fn greet(&mut self, number: usize) -> Result<()> {
        let client = format!("{number:024x}");
        let hello = serde_json::json!(["h", {
            "token": null, "client": client, "instance": "01", "epoch": 0, "n": 0, "event": [0, 0],
            "seq": 1, "page": "/", "can": [],
        }]);
        self.send(hello.to_string()).await?;
        let welcome = self.receive().await?;
        if !welcome.starts_with(r#"["w""#) {
            return Err(format!("no welcome but {welcome}").into());
        }
        let snapshot = self.receive().await?;
        let (tag, n, ack, document): (String, u64, u64, serde_json::Value) = serde_json::from_str(&snapshot)?;
        if (tag.as_str(), n, ack, &document["count"]) != ("s", 1, 0, &0.into()) {
            return Err(format!("not the first snapshot of a counter: {snapshot}").into());
        }
        self.acknowledge().await
    }

    /// Acts while the gate is open, and says what it did each time it closes.
    async fn run(mut self, mut gate: watch::Receiver<bool>, results: mpsc::Sender<Result<Vec<f64>>>) {
        while gate.wait_for(|open| *open).await.is_ok() {
            let result = self.act_while_open(&gate).await;
            let failed = result.is_err();
            if results.send(result).await.is_err() || failed {
                return;
            }
        }
    }

    async fn act_while_open(&mut self, gate: &watch::Receiver<bool>) -> Result<Vec<f64>> {
        let mut micros = Vec::new();
        while *gate.borrow() {
            let began = Instant::now();
            self.act().await?;
            micros.push(began.elapsed().as_nanos() as f64 / 1_000.0);
        }
        Ok(micros)
    }

    /// One action and its delta.
    async fn act(&mut self) -> Result<()> {
        self.seq += 1;
        self.n += 1;
        let (n, seq) = (self.n, self.seq);
        self.send(format!(r#"["a",{seq},"add",1]"#)).await?;
        let delta = self.receive().await?;
        let expected = format!(r#"["d",{n},{seq},[["count",{seq}]]]"#);
        if delta != expected {
            return Err(format!("{delta} is not {expected}").into());
        }
        self.unacknowledged += delta.len();
        if self.unacknowledged >= ACK_BYTES {
            self.acknowledge().await?;
        }
        Ok(())
    }

    async fn acknowledge(&mut self) -> Result<()> {
        self.unacknowledged = 0;
        self.send(format!(r#"["k",{}]"#, self.n)).await
    }

    async fn send(&mut self, text: String) -> Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next message. WebSocket pings are answered on the way.
    async fn receive(&mut self) -> Result<String> {
        while let Some(message) = self.socket.next().await {
            match message? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(reason) => return Err(format!("the server closed: {reason:?}").into()),
                _ => {}
            }
        }
        Err("the server ended the connection".into())
    }
}
