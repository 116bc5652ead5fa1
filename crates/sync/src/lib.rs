//! From any serde value to the ops since last time.
//!
//! A [`Shadow`] remembers, as a flat tape of words, what the watchers of a document have been told.
//! [`Shadow::diff`] walks any `Serialize` value beside it once and writes the ops of protocol.md
//! straight into a frame; it keeps no copy of the value and allocates nothing in the steady state.
//! [`apply()`] is the other half. Performs no I/O and reads no clock and no randomness.
//!
//! # Numbers
//!
//! All integers of Rust go out with all their digits, `i128` and `u128` too, but a page reads every number as a double:
//! beyond 2^53 it rounds. Send those as text, with [`as_text`]. NaN and the infinities are null, since JSON has no
//! text for them, and [`Shadow::take_not_finite`] tells where.

mod apply;
pub mod as_text;
mod error;
mod generation;
mod handshake;
mod key;
mod plan;
mod planted;
mod private;
mod shadow;
mod sync_vec;
mod tape;
mod tracked;
#[cfg(feature = "types")]
mod types;
mod walk;
mod word;

pub use apply::{ApplyError, apply};
pub use error::Error;
pub use private::{Private, saving};
pub use shadow::Shadow;
pub use sync_vec::{Iter, SyncVec};
pub use tracked::Tracked;
pub use word::HashKey;
