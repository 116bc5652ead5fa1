//! From any serde value to the ops since last time.

mod apply;

pub use apply::{ApplyError, apply};
