//! When no connection can be accepted, mostly since the process has no file descriptor left: what is logged of it.
//!
//! The accept loop tries again ten times a second, and a log line for each would fill the disk in the hour in which it
//! is needed. So there is one line when it begins, one a minute with a count, and one when it is over; a shortage that
//! comes and goes counts as one. Reads no clock: the time is an argument.

use std::time::{Duration, Instant};

/// What is to be logged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It has begun, or goes on since it was last told: how many attempts have failed in all, for how long.
    Short { failed: u64, lasts: Duration },
    /// It is over, after so many failed attempts.
    Over { failed: u64, lasted: Duration },
}

/// What is known of a shortage.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    /// Since when there is one, and the attempts that have failed.
    now: Option<(Instant, u64)>,
    /// When it was last said that there is one.
    told: Option<Instant>,
    /// The last word was that there is one.
    is_told: bool,
}

impl Shortage {
    /// An attempt has failed.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Word> {
        let (since, failed) = self.now.get_or_insert((now, 0));
        *failed += 1;
        let is_due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_AGAIN);
        is_due.then(|| {
            (self.told, self.is_told) = (Some(now), true);
            Word::Short { failed: *failed, lasts: now.saturating_duration_since(*since) }
        })
    }

    /// An attempt has succeeded.
    pub(crate) fn accepted(&mut self, now: Instant) -> Option<Word> {
        let (since, failed) = self.now.take()?;
        std::mem::take(&mut self.is_told).then(|| Word::Over { failed, lasted: now.saturating_duration_since(since) })
    }
}

/// Often enough for whoever looks, and sixty lines an hour.
const TELL_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_when_it_begins_every_minute_and_when_it_is_over() {
        let (mut shortage, start) = (Shortage::default(), Instant::now());
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        assert_eq!(shortage.accepted(at(0)), None);
        let told: Vec<_> = (0..1_500).filter_map(|tenth| Some((tenth, shortage.failed(at(tenth))?))).collect();
        let short = |failed, seconds| Word::Short { failed, lasts: Duration::from_secs(seconds) };
        assert_eq!(told, [(0, short(1, 0)), (600, short(601, 60)), (1_200, short(1_201, 120))]);
        let over = Word::Over { failed: 1_500, lasted: Duration::from_secs(150) };
        assert_eq!(shortage.accepted(at(1_500)), Some(over));
        assert_eq!(shortage.accepted(at(1_501)), None, "once");
    }

    #[test]
    fn one_that_comes_and_goes_is_two_lines_a_minute_and_the_last_one_is_true() {
        let (mut shortage, start) = (Shortage::default(), Instant::now());
        let mut words = Vec::new();
        for step in 0..3_000 {
            let now = start + Duration::from_millis(100 * step);
            words.extend(if step % 2 == 0 { shortage.failed(now) } else { shortage.accepted(now) });
        }
        assert_eq!(words.len(), 10, "in five minutes: {words:?}");
        assert!(matches!(words.last(), Some(Word::Over { .. })));
        // One that begins unsaid and stays is said.
        let late = start + Duration::from_secs(3_600);
        assert!(matches!(shortage.failed(late), Some(Word::Short { failed: 1, .. })));
    }
}
