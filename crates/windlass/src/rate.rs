//! How much a connection may send: so many messages and bytes a second, with as much in reserve.
//!
//! A rate refuses no message. Beyond it the socket is not read, so that the peer's own sending slows down; a peer that
//! keeps at it without a break is asked to come back later.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// What a connection may send in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateOptions {
    pub(crate) messages_per_second: u32,
    pub(crate) bytes_per_second: u32,
}

impl From<&Limits> for RateOptions {
    fn from(limits: &Limits) -> Self {
        // A page that sends at each frame of the screen and acknowledges each answer stays far below the default; what a
        // script can send in a loop does not.
        Self { messages_per_second: limits.messages_per_second, bytes_per_second: limits.bytes_per_second }
    }
}

/// What is left of it for one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    options: RateOptions,
    messages: f64,
    bytes: f64,
    /// When the reserve was counted.
    at: Instant,
    /// Since when there has been no full reserve again.
    pressed_since: Option<Instant>,
}

impl Rate {
    pub(crate) fn new(options: RateOptions, now: Instant) -> Self {
        let (messages, bytes) = (f64::from(options.messages_per_second), f64::from(options.bytes_per_second));
        Self { options, messages, bytes, at: now, pressed_since: None }
    }

    /// A message has come.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) {
        self.refill(now);
        self.messages -= 1.0;
        // A message is bounded, far below what a double counts exactly.
        self.bytes -= bytes as f64;
    }

    /// When the next message may be read, if that is not now.
    pub(crate) fn resumes_at(&mut self, now: Instant) -> Option<Instant> {
        self.refill(now);
        if self.messages >= 0.0 && self.bytes >= 0.0 {
            return None;
        }
        self.pressed_since.get_or_insert(now);
        let owed = |left: f64, per_second: u32| -left.min(0.0) / f64::from(per_second);
        let messages = owed(self.messages, self.options.messages_per_second);
        let bytes = owed(self.bytes, self.options.bytes_per_second);
        Some(now + Duration::from_secs_f64(messages.max(bytes)).max(STEP))
    }

    /// Whether it has been at its end for too long.
    pub(crate) fn is_exceeded(&self, now: Instant) -> bool {
        self.pressed_since.is_some_and(|since| now.saturating_duration_since(since) >= PRESSED_MAX)
    }

    fn refill(&mut self, now: Instant) {
        if now <= self.at {
            return;
        }
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let (messages, bytes) = (f64::from(self.options.messages_per_second), f64::from(self.options.bytes_per_second));
        self.messages = (self.messages + seconds * messages).min(messages);
        self.bytes = (self.bytes + seconds * bytes).min(bytes);
        // Half a reserve is what somebody has who paused for half a second.
        if self.messages >= messages / 2.0 && self.bytes >= bytes / 2.0 {
            self.pressed_since = None;
        }
    }
}

/// The least that a connection waits: timers are no finer.
const STEP: Duration = Duration::from_millis(1);
/// Longer than any outbox that a page brings back takes.
pub(crate) const PRESSED_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> (Rate, Instant) {
        let now = Instant::now();
        (Rate::new(RateOptions { messages_per_second: 10, bytes_per_second: 1_000 }, now), now)
    }

    /// BOUNDED
    #[test]
    fn a_burst_of_a_second_passes_and_then_the_rate_holds() {
        let (mut rate, mut now) = rate();
        let mut read = 0;
        let end = now + Duration::from_secs(5);
        while now < end {
            match rate.resumes_at(now) {
                Some(later) => now = later,
                None => {
                    rate.take(1, now);
                    read += 1;
                }
            }
        }
        assert!((59..=62).contains(&read), "{read} messages: a reserve of 10 and 10 a second");
    }

    #[test]
    fn bytes_count_as_well() {
        let (mut rate, now) = rate();
        rate.take(3_000, now);
        assert_eq!(rate.resumes_at(now), Some(now + Duration::from_secs(2)));
        assert_eq!(rate.resumes_at(now + Duration::from_secs(2)), None);
    }

    #[test]
    fn who_never_pauses_is_told_to_leave_and_who_does_is_not() {
        let (mut rate, start) = rate();
        let mut now = start;
        while !rate.is_exceeded(now) {
            match rate.resumes_at(now) {
                Some(later) => now = later,
                None => rate.take(1, now),
            }
        }
        let lasted = now - start;
        assert!(lasted >= PRESSED_MAX && lasted < PRESSED_MAX * 2, "{lasted:?}");
        now += Duration::from_secs(1);
        assert_eq!(rate.resumes_at(now), None);
        assert!(!rate.is_exceeded(now));
    }
}
