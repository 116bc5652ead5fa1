//! The job console alone: `cargo run -p console`, then look at http://127.0.0.1:8082.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    console::app().serve("127.0.0.1:8082").await
}
