//! A Rust client for Windlass: what the web client is to a page, for native apps, tests and load.
//!
//! It holds the session's document, sends actions with exactly one outcome each, and comes back by itself after the
//! network, the server or its own process has gone away.
//!
//! ```no_run
//! use serde::Deserialize;
//! use windlass_client::Client;
//!
//! #[derive(Deserialize)]
//! struct Demo { count: i64 }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:8080").await?;
//! client.action("add", 2).await?;
//! let demo: Demo = client.view()?;
//! assert_eq!(demo.count, 2);
//!
//! let mut changes = client.changes();
//! client.send("add", 3)?; // does not wait
//! while let Some(_change) = changes.next().await {
//!     println!("{:?}", client.read(|document| document["count"].clone()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **An action changes its session exactly once**, through any number of lost connections: it has a number, and is
//!   sent again with the same one until it has its outcome.
//! - **Every action has one outcome**: a value, or an [`ActionError`] with a code.
//! - **The document is the server's view**, after every change; it is never half of one.
//! - **Everything is bounded**: the outbox ([`ActionError::OutboxFull`]), and what a slow reader of [`Changes`] and
//!   [`Events`] has not read ([`Change::Document`] says to look anew, [`Event::Lost`] says how many).
//!
//! # What it does not do
//!
//! It speaks `ws`, not `wss`: put it behind the proxy that your pages use, or on the same network.

mod client;
mod core;
mod driver;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzz;
mod identity;
mod outbox;
mod random;
mod url;
mod wire;

pub use client::{ActionOptions, Builder, Changes, Client, Events, Pending, Traffic, Until};
pub use error::{ActionError, ConnectError};
pub use event::{Change, Event, JobView, Notify, Status};
pub use identity::Identity;
