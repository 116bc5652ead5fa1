//! How long the app was up: the clock by which sessions expire.
//!
//! Wall clocks jump, a process is suspended with its machine, a server is down over a weekend: nobody could come back
//! meanwhile, so none of that counts. What counts is the time in which the server could have answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A clock that stands still while nobody could have come back.
#[derive(Debug)]
pub(crate) struct Uptime {
    /// What earlier processes have counted.
    before: Duration,
    /// Microseconds of this process that do not count.
    lost: AtomicU64,
    /// When it was last looked at, on the process's own clock.
    looked: Mutex<Option<Duration>>,
}

impl Uptime {
    pub(crate) fn new(before: Duration) -> Self {
        Self { before, lost: AtomicU64::new(0), looked: Mutex::new(None) }
    }

    /// The time that has counted, when the process is so old.
    pub(crate) fn at(&self, age: Duration) -> Duration {
        self.before + age.saturating_sub(Duration::from_micros(self.lost.load(Ordering::Acquire)))
    }

    /// Looks at the clock, as somebody must every so often. A look that comes much too late was held up with all else.
    pub(crate) fn look(&self, age: Duration, every: Duration) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = looked.replace(age)
            && let Some(late) = age.saturating_sub(since).checked_sub(every)
            && late > every
        {
            self.lost.fetch_add(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_process_that_was_suspended_has_not_been_up() {
        let uptime = Uptime::new(SECOND * 100);
        uptime.look(SECOND, SECOND * 5);
        uptime.look(SECOND * 6, SECOND * 5);
        assert_eq!(uptime.at(SECOND * 8), SECOND * 108);
        // An hour of sleep, and the look that was due after five seconds.
        uptime.look(SECOND * 3611, SECOND * 5);
        assert_eq!(uptime.at(SECOND * 3611), SECOND * 111);
        // A little late is not asleep.
        uptime.look(SECOND * 3619, SECOND * 5);
        assert_eq!(uptime.at(SECOND * 3619), SECOND * 119);
    }
}
