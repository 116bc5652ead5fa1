//! One page as a bench plays it: hello, actions, acks, and the frames that come, as text.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Result;

/// protocol.md section 11: a client acknowledges at the latest every 16 KiB of frames.
const ACK_BYTES: usize = 16 * 1024;

/// What a page says before its first action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dialect {
    /// Hello, welcome, snapshot, as protocol.md has it.
    Windlass,
    /// Nothing.
    Echo,
}

/// A connected page.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    /// The number of the last frame of the stream.
    pub(crate) n: u64,
    pub(crate) seq: u64,
    unacknowledged: usize,
}

impl Peer {
    /// Connects, and says hello where there is somebody to hear it; `number` makes the client's id.
    pub(crate) async fn connect(address: &str, dialect: Dialect, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Self::on(stream, address, dialect, number).await
    }

    /// As [`Peer::connect`], with a receive buffer of that size in the kernel.
    pub(crate) async fn with_receive_buffer(address: &str, number: usize, bytes: u32) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(bytes)?;
        let stream = socket.connect(address.parse::<SocketAddr>()?).await?;
        Self::on(stream, address, Dialect::Windlass, number).await
    }

    async fn on(stream: TcpStream, address: &str, dialect: Dialect, number: usize) -> Result<Self> {
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/windlass/socket").into_client_request()?;
        if dialect == Dialect::Windlass {
            let subprotocol = windlass_protocol::Dialect::Compact.subprotocol();
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        let (socket, _) = client_async_with_config(request, stream, Some(socket_options())).await?;
        let mut peer = Self { socket, n: 1, seq: 0, unacknowledged: 0 };
        if dialect == Dialect::Windlass {
            peer.greet(number).await?;
        }
        Ok(peer)
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
        if !snapshot.starts_with(r#"["s",1,0,{"#) {
            return Err(format!("not the first snapshot: {}", &snapshot[..snapshot.len().min(200)]).into());
        }
        self.acknowledge().await
    }

    /// Sends an action, and reads nothing.
    pub(crate) async fn ask(&mut self, name: &str, payload: impl std::fmt::Display) -> Result<()> {
        self.seq += 1;
        let seq = self.seq;
        self.send(format!(r#"["a",{seq},"{name}",{payload}]"#)).await
    }

    /// Sends an action and reads its delta, which must be exactly what follows `["d",n,seq,`.
    pub(crate) async fn act(&mut self, name: &str, payload: &str, expected: &str) -> Result<()> {
        self.ask(name, payload).await?;
        self.n += 1;
        let (n, seq) = (self.n, self.seq);
        let delta = self.receive().await?;
        let expected = format!(r#"["d",{n},{seq},{expected}"#);
        if delta != expected {
            return Err(format!("{delta} is not {expected}").into());
        }
        self.count(delta.len()).await
    }

    /// Reads the next snapshot or delta; its document or its ops.
    pub(crate) async fn frame(&mut self) -> Result<(Value, usize)> {
        loop {
            let text = self.receive().await?;
            if !text.starts_with(r#"["s""#) && !text.starts_with(r#"["d""#) {
                continue;
            }
            let frame: Value = serde_json::from_str(&text)?;
            self.n = frame[1].as_u64().ok_or("a frame without a number")?;
            self.count(text.len()).await?;
            return Ok((frame[3].clone(), text.len()));
        }
    }

    /// Asks for a snapshot and reads it; how long it is. Messages are answered in order: it comes after what every
    /// action before it did.
    pub(crate) async fn refetch(&mut self) -> Result<usize> {
        self.send(r#"["r"]"#.to_owned()).await?;
        loop {
            let (body, bytes) = self.frame().await?;
            if body.is_object() {
                self.acknowledge().await?;
                return Ok(bytes);
            }
        }
    }

    /// Takes note of a delta that was read as it came.
    pub(crate) async fn take(&mut self, delta: &str) -> Result<()> {
        let number = delta[r#"["d","#.len()..].split(',').next().and_then(|number| number.parse().ok());
        self.n = number.ok_or("a frame without a number")?;
        self.count(delta.len()).await
    }

    async fn count(&mut self, bytes: usize) -> Result<()> {
        self.unacknowledged += bytes;
        if self.unacknowledged >= ACK_BYTES { self.acknowledge().await } else { Ok(()) }
    }

    pub(crate) async fn acknowledge(&mut self) -> Result<()> {
        self.unacknowledged = 0;
        self.send(format!(r#"["k",{}]"#, self.n)).await
    }

    pub(crate) async fn send(&mut self, text: String) -> Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next message. WebSocket pings are answered on the way.
    pub(crate) async fn receive(&mut self) -> Result<Utf8Bytes> {
        while let Some(message) = self.socket.next().await {
            match message? {
                Message::Text(text) => return Ok(text),
                Message::Close(reason) => return Err(format!("the server closed: {reason:?}").into()),
                _ => {}
            }
        }
        Err("the server ended the connection".into())
    }
}

/// The options of the servers that are compared and of the generators.
pub(crate) fn socket_options() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0)
}
