//! TodoMVC alone: `cargo run -p todomvc`, then look at http://127.0.0.1:8085.

use windlass::prelude::*;

#[tokio::main]
async fn main() -> Result {
    // One list a browser, also when the server has started again.
    todomvc::app().data_dir("data/todomvc").serve("127.0.0.1:8085").await
}
