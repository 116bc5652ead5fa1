//! Windlass's own accept, read, write, ping and close path, with an echo in place of a session.
//!
//! So the public conformance suite for WebSockets, Autobahn, can judge it. The suite is a program of its own, for
//! Python 2; its image has what it needs:
//!
//! ```sh
//! cargo run --release -p autobahn_echo -- 127.0.0.1:9001
//! docker run --rm --net=host -v "$PWD/examples/autobahn_echo:/config" -v "$PWD/target/autobahn:/reports" \
//!     crossbario/autobahn-testsuite wstest -m fuzzingclient -s /config/fuzzingclient.json
//! ```
//!
//! The settings beside this file leave out what Windlass does not have: binary messages (a text protocol closes on
//! one) and permessage-deflate. `tests/tests/websocket` holds the main cases of the suite as a test that needs nothing
//! from outside.

use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Nothing {}

#[tokio::main]
async fn main() -> Result {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    App::new(Nothing::default).echo().serve(address).await
}
