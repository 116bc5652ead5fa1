//! The parameter sweep alone: `cargo run -p sweep`, then look at http://127.0.0.1:8086.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    sweep::app().serve("127.0.0.1:8086").await
}
