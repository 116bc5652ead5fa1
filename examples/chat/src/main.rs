//! The chat alone: `cargo run -p chat`, then look at http://127.0.0.1:8084.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    chat::app().serve("127.0.0.1:8084").await
}
