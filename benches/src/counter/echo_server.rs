//! The baseline: tokio-tungstenite and typed JSON by hand, and nothing else.

use crate::Result;
use crate::bare::Bare;

/// Answers `["a",seq,"add",by]` with the delta that Windlass would send, and `["k",n]` not at all.
pub(crate) async fn answer(mut socket: Bare) -> Result<()> {
    // The first number of a Windlass client's stream is its snapshot's.
    let (mut n, mut count) = (1_u64, 0_i64);
    while let Some(text) = socket.action().await {
        let (_, seq, _, by): (&str, u64, &str, i64) = serde_json::from_str(&text)?;
        count += by;
        n += 1;
        socket.answer(&("d", n, seq, [("count", count)])).await?;
    }
    Ok(())
}
