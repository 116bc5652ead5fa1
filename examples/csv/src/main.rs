//! The analysis of a CSV file alone: `cargo run -p csv`, then look at http://127.0.0.1:8085.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    csv::be_the_command_if_asked();
    csv::app().serve("127.0.0.1:8085").await
}
