//! Scenarios of bad networks: a server in a process of its own, the Rust client, and our proxy between them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod page;
mod pages;
mod server;
mod sweep;
