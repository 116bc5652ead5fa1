//! When the ticks of a job are due: a fixed schedule that never drifts and merges what was missed.
//!
//! Tick `k` is due `k` periods after the start, whatever became of the ticks before it. A tick's number
//! is therefore also its time: after a gap the numbers jump, and the next tick is on the beat again.

use std::time::{Duration, Instant};

/// The shortest period between two ticks. Below it, ticks cost more than they tell: a page is repainted every 16 ms.
pub const PERIOD_MIN: Duration = Duration::from_millis(10);
/// The longest period between two ticks. Beyond a day it is a mistake of units more often than a wish.
pub const PERIOD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The ticks of one run of a job.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start: Instant,
    period: Duration,
    /// The number of the tick that is due next; the first is 1.
    next: u64,
}

impl Schedule {
    /// A schedule whose first tick is due one `period` after `start`.
    pub(crate) fn new(start: Instant, period: Duration) -> Self {
        debug_assert!(is_period(period), "the pool refuses such a period");
        Self { start, period, next: 1 }
    }

    /// When the next tick is due; `None` at the end of time, where an `Instant` has no room for it.
    pub(crate) fn next(&self) -> Option<Instant> {
        let nanos = self.period.as_nanos().checked_mul(u128::from(self.next))?;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        // The remainder of a division by a billion fits.
        let after = Duration::new(seconds, (nanos % 1_000_000_000) as u32);
        self.start.checked_add(after)
    }

    /// The tick that is due at `now`, if one is. When several are, they are one: the latest.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.start).as_nanos() / self.period.as_nanos();
        let tick = u64::try_from(passed).unwrap_or(u64::MAX - 1);
        if tick < self.next {
            return None;
        }
        self.next = tick + 1;
        Some(tick)
    }
}

/// Whether ticks may come this often.
pub(crate) fn is_period(period: Duration) -> bool {
    (PERIOD_MIN..=PERIOD_MAX).contains(&period)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Looks at the given moments, in ms after the start, and says which ticks were due.
    fn check(period: Duration, moments: &[u64], expected: &[Option<u64>]) {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, period);
        let seen: Vec<_> = moments.iter().map(|&ms| schedule.due(start + Duration::from_millis(ms))).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_first_tick_is_one_period_after_the_start() {
        check(20 * MS, &[0, 19, 20, 39, 40], &[None, None, Some(1), None, Some(2)]);
    }

    #[test]
    fn missed_ticks_are_merged_into_the_latest() {
        check(20 * MS, &[20, 95, 99, 100], &[Some(1), Some(4), None, Some(5)]);
    }

    #[test]
    fn a_late_look_does_not_move_the_ticks_after_it() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 20 * MS);
        for tick in 1..=100 {
            let due = schedule.next().expect("far from the end of time");
            assert_eq!(due, start + 20 * MS * tick, "no drift after {tick} ticks");
            assert_eq!(schedule.due(due + 7 * MS), Some(u64::from(tick)));
        }
    }

    #[test]
    fn a_tick_is_due_once_at_one_moment() {
        check(10 * MS, &[10, 10, 10], &[Some(1), None, None]);
    }

    #[test]
    fn zero_tiny_and_absurd_periods_are_no_periods() {
        let cases = [
            (Duration::ZERO, false),
            (9 * MS, false),
            (PERIOD_MIN, true),
            (PERIOD_MAX, true),
            (PERIOD_MAX + MS, false),
            (Duration::MAX, false),
        ];
        for (period, expected) in cases {
            assert_eq!(is_period(period), expected, "{period:?}");
        }
    }
}
