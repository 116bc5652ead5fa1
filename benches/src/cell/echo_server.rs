//! The baseline: it answers with the delta of one cell and holds no rows at all.

use crate::Result;
use crate::bare::Bare;

/// Answers `["a",seq,"set",[row,quantity]]` with the delta that Windlass would send.
pub(crate) async fn answer(mut socket: Bare) -> Result<()> {
    // The first number of a Windlass client's stream is its snapshot's.
    let mut n = 1_u64;
    while let Some(text) = socket.action().await {
        let (_, seq, _, (row, quantity)): (&str, u64, &str, (usize, i64)) = serde_json::from_str(&text)?;
        n += 1;
        socket.answer(&("d", n, seq, [("rows", row, "quantity", quantity)])).await?;
    }
    Ok(())
}
