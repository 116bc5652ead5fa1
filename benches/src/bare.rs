//! A baseline's side of a socket: tokio-tungstenite and typed JSON by hand, and nothing else.

use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use crate::Result;
use crate::peer::socket_options;

/// Serves until it is killed: each socket gets a task that answers.
pub(crate) async fn serve<F: Future<Output = Result<()>> + Send + 'static>(answer: fn(Bare) -> F) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = async { answer(Bare::accept(stream).await?).await }.await {
                eprintln!("baseline: {error}");
            }
        });
    }
}

pub(crate) struct Bare(WebSocketStream<TcpStream>);

impl Bare {
    async fn accept(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(accept_async_with_config(stream, Some(socket_options())).await?))
    }

    /// The next action, as text; acknowledgements are passed over. None when the generator has gone, without a farewell.
    pub(crate) async fn action(&mut self) -> Option<Utf8Bytes> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) if text.starts_with(r#"["a""#) => return Some(text),
                _ => {}
            }
        }
    }

    pub(crate) async fn answer(&mut self, delta: &impl Serialize) -> Result<()> {
        Ok(self.0.send(Message::text(serde_json::to_string(delta)?)).await?)
    }
}
