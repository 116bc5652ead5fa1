//! Where the pool reads the time, so that a test can hold it still.

use std::fmt;
use std::time::{Duration, Instant};

use crate::guard::lock;
use crate::sync::Mutex;

/// A source of time that never goes back.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Instant;
}

/// The machine's monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is moved on, for tests.
///
/// It only keeps the time. Give it to [`Pool::driven`](crate::Pool::driven), and call
/// [`Pool::run_due`](crate::Pool::run_due) after each [`advance`](ManualClock::advance).
pub struct ManualClock(Mutex<Instant>);

impl ManualClock {
    /// A clock that stands at some moment.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        *lock(&self.0) += by;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *lock(&self.0)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}
