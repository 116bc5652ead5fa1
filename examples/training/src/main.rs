//! The training monitor alone: `cargo run -p training`, then look at http://127.0.0.1:8083.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    training::app().serve("127.0.0.1:8083").await
}
