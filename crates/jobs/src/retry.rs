//! When a callback that has failed is run again.

use std::time::Duration;

/// How often a callback is run, and how long it waits between two attempts.
///
/// The wait doubles from `first` to at most `longest`.
///
/// ```
/// # use std::time::Duration;
/// # use windlass_jobs::Retry;
/// let retry = Retry::times(4).first(Duration::from_secs(1)).longest(Duration::from_secs(3));
/// let waits: Vec<_> = (1..4).map(|attempt| retry.backoff(attempt).as_secs()).collect();
/// assert_eq!(waits, [1, 2, 3]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How often it is run at most, the first time included; from 1 to [`ATTEMPTS_MAX`].
    pub attempts: u32,
    /// How long it waits after the first failure; 1 s by default, at least a millisecond.
    pub first: Duration,
    /// How long it waits at most; 1 minute by default, and at most a day.
    pub longest: Duration,
}

/// So many attempts at most. What fails a hundred times is not going to work.
pub const ATTEMPTS_MAX: u32 = 100;
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Retry {
    /// At most so many attempts, the first one included.
    #[must_use]
    pub fn times(attempts: u32) -> Self {
        Self { attempts, first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }

    /// Waits so long after the first failure, and twice as long after each that follows.
    #[must_use]
    pub fn first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// Never waits longer than this.
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// How long it waits after that attempt, counted from 1.
    #[must_use]
    pub fn backoff(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    pub(crate) fn is_sound(&self) -> bool {
        (1..=ATTEMPTS_MAX).contains(&self.attempts) && self.first >= REST_MIN && self.longest <= REST_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_never_overflows() {
        let retry = Retry::times(100).first(Duration::from_millis(100)).longest(Duration::from_secs(1));
        let waits: Vec<_> = (1..=6).map(|attempt| retry.backoff(attempt).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(retry.backoff(u32::MAX), Duration::from_secs(1));
    }

    #[test]
    fn no_attempt_too_many_and_no_wait_are_no_retry() {
        assert!(Retry::times(1).is_sound() && Retry::times(ATTEMPTS_MAX).is_sound());
        for bad in [
            Retry::times(0),
            Retry::times(ATTEMPTS_MAX + 1),
            Retry::times(3).first(Duration::ZERO),
            Retry::times(3).longest(Duration::MAX),
        ] {
            assert!(!bad.is_sound(), "{bad:?}");
        }
    }
}
