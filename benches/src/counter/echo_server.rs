//! The baseline: tokio-tungstenite and typed JSON by hand, and nothing else.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;

use crate::Result;
use crate::peer::socket_options;

pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = answer(stream).await {
                eprintln!("echo: {error}");
            }
        });
    }
}

/// Answers `["a",seq,"add",by]` with the delta that Windlass would send, and `["k",n]` not at all.
async fn answer(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async_with_config(stream, Some(socket_options())).await?;
    // The first number of a Windlass client's stream is its snapshot's.
    let (mut n, mut count) = (1_u64, 0_i64);
    while let Some(message) = socket.next().await {
        let text = match message {
            Ok(Message::Text(text)) => text,
            Ok(_) => continue,
            // The generator goes without a farewell.
            Err(_) => break,
        };
        if !text.starts_with(r#"["a""#) {
            continue;
        }
        let (_, seq, _, by): (&str, u64, &str, i64) = serde_json::from_str(&text)?;
        count += by;
        n += 1;
        let delta = serde_json::to_string(&("d", n, seq, [("count", count)]))?;
        socket.send(Message::text(delta)).await?;
    }
    Ok(())
}
