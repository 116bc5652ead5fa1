//! The demo itself, as a process: killed at any moment, shut down, suspended, and with a disk that is full.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod clock;
mod deploy;
mod disk;
mod kill;
mod page;
mod server;
mod work;
