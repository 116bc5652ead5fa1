//! The controls alone: `cargo run -p controls`, then look at http://127.0.0.1:8087.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    controls::app().serve("127.0.0.1:8087").await
}
