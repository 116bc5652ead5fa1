//! The rules that a program can hold, checked on every file of the repository.
//!
//! Each rule is a function from text to complaints, so that the planted violation beside it shows
//! that it can fail. ARCHITECTURE.md says which invariant each of them guards.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod code;
mod contract;
mod directions;
mod examples;
mod files;
mod licences;
mod nevers;
mod readme;
mod security;
mod shape;

/// Fails with all complaints at once, a line each.
fn hold(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}\n  {}\n", complaints.join("\n  "));
}
