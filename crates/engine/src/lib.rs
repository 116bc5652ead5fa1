//! The session core of Windlass, sans-I/O: turns, clients, numbering, resume, exactly-once, events, jobs.
//!
//! One [`Session`] holds a state and all that it owes its clients. It performs no I/O, reads no
//! clock and makes no randomness: everything comes in as an [`Input`] with the time, everything
//! goes out as an [`Output`]. What the app is, it learns from the [`App`] trait alone.
//!
//! The order of calls: [`Session::handle`] for every input that is ready, then one
//! [`Session::flush`], then drain [`Session::outputs`]; call again at [`Session::deadline`].
//! Many inputs and one flush are one *turn*: one walk of the view, at most one frame a client.
//!
//! # Durable sessions
//!
//! A session that was given [`SaveOptions`] asks for its [`Record`] to be saved with [`Output::Save`]. What it shows
//! before that is *applied*; what its record holds is *saved*. Effects that must not be contradicted by a crash (job
//! starts, posts, events that must be kept, ends of jobs, tokens, a session's first action) wait for the record with
//! their cause: those outside as outputs that come later, those in a frame as one frame that is held. The driver
//! encodes the record, stores it under its epoch and turn, and brings [`Input::Saved`], [`Input::SaveFailed`] or
//! [`Input::Fenced`]; [`Session::restore`] makes a session from what was stored, in a new epoch.

mod actions;
mod app;
mod client;
mod durable;
mod event;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod heartbeat;
mod hook;
mod job;
mod record;
mod restore;
mod session;
mod size;
mod talk;
mod telling;
mod turn;

pub use actions::Ticket;
pub use app::{App, Fault, Mode, Revived, Unended};
pub use client::{ConnectionId, token_hash};
pub use durable::{Account, Durability, SaveOptions};
pub use event::{Audience, Class};
pub use guard::guard;
pub use heartbeat::{Beat, Heartbeat};
pub use hook::Hook;
pub use job::{
    ActiveChild, Children, JobEntry, JobReport, JobStatus, Named, Partials, PartialsUpdate, Progress, StartOptions,
};
pub use record::{RECORD_FORMAT, Record, RestoreError, has_jobs_to_run};
pub use session::{Input, Output, Scratch, Session, SessionOptions};
pub use size::STATE_BYTES_MAX;
pub use turn::{Deferred, Start, Turn};

use std::ops::Add;
use std::time::Duration;

/// A moment, counted from an origin that the driver chooses; the engine only compares and adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Duration);

impl Time {
    /// The moment that long after the origin.
    #[must_use]
    pub fn after_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long ago `earlier` was; zero when it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time that has passed since the origin.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}
