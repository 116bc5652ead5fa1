//! How many actions the pages of a session may send: so many a second, with as many in reserve.
//!
//! One number and no lock: when all that was taken will have been earned. (The generic cell rate algorithm, ITU-T I.371.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use windlass_engine::Time;

/// What a session's pages have taken.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// In nanoseconds of the hub's clock.
    earned_at: AtomicU64,
}

impl Allowance {
    /// An action has come.
    pub(crate) fn take(&self, per_second: u32, now: Time) {
        let each = each(per_second);
        let now = nanos(now);
        let later = |earned_at: u64| Some(earned_at.max(now).saturating_add(each));
        // It always gives some.
        let _ = self.earned_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// How long nothing may be read, if it is not to be read now; `read` may be actions that have not been taken yet.
    pub(crate) fn owed(&self, read: usize, per_second: u32, now: Time) -> Option<Duration> {
        let earned_at =
            self.earned_at.load(Ordering::Relaxed).max(nanos(now)).saturating_add(each(per_second) * read as u64);
        let ahead = earned_at.saturating_sub(nanos(now));
        ahead.checked_sub(RESERVE_NANOS).filter(|owed| *owed > 0).map(Duration::from_nanos)
    }
}

fn each(per_second: u32) -> u64 {
    1_000_000_000 / u64::from(per_second.max(1))
}

fn nanos(time: Time) -> u64 {
    // Five centuries fit.
    u64::try_from(time.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A second's worth.
const RESERVE_NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// BOUNDED
    #[test]
    fn a_second_is_in_reserve_and_then_the_rate_holds() {
        let allowance = Allowance::default();
        let at = |ms: u64| Time::after_origin(Duration::from_millis(ms));
        let (mut now, mut taken) = (100, 0);
        while now < 5_100 {
            match allowance.owed(0, 10, at(now)) {
                Some(owed) => now += owed.as_millis().max(1) as u64,
                None => {
                    allowance.take(10, at(now));
                    taken += 1;
                }
            }
        }
        assert!((59..=62).contains(&taken), "{taken}: a reserve of 10 and 10 a second");
        assert_eq!(allowance.owed(0, 10, at(10_000)), None);
        assert_eq!(allowance.owed(12, 10, at(10_000)), Some(Duration::from_millis(200)));
    }
}
