//! When a connection is pinged, and when it counts as dead: the rule, without the socket and the clock.

use std::time::Duration;

/// What is known of the other end of a connection: how many pings nothing came after.
///
/// Whoever has the socket asks [`Heartbeat::due`] every [`Heartbeat::EVERY`], does what it says, and tells of whatever
/// comes with [`Heartbeat::heard`]: an answer to the ping is as good as any message.
///
/// ```
/// use std::time::Duration;
/// use windlass_engine::{Beat, Heartbeat};
///
/// let mut heartbeat = Heartbeat::default();
/// let in_time = Duration::ZERO;
/// assert_eq!(heartbeat.due(in_time), Beat::Ping);
/// heartbeat.heard();
/// // The power of the other end fails.
/// assert_eq!([heartbeat.due(in_time), heartbeat.due(in_time)], [Beat::Ping, Beat::Ping]);
/// assert_eq!(heartbeat.due(in_time), Beat::Dead);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeat {
    unanswered: u8,
}

/// What is to be done when a ping is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Send one; the next is due after [`Heartbeat::EVERY`].
    Ping,
    /// Nothing came after the last two: end the connection.
    Dead,
}

impl Heartbeat {
    /// From one ping to the next: below the 30 s after which the strictest common proxies forget a quiet connection.
    pub const EVERY: Duration = Duration::from_secs(20);
    /// In that time a connection is found out whose other end is gone without a word.
    pub const NOTICED_WITHIN: Duration = Duration::from_secs(80);

    /// Something came.
    pub fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// A ping is due, or was so long ago.
    ///
    /// One that is late by a whole interval counts no miss: the process slept, and has missed the answers itself.
    pub fn due(&mut self, late: Duration) -> Beat {
        if late < Self::EVERY {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        if self.unanswered > MISSES_MAX { Beat::Dead } else { Beat::Ping }
    }
}

const MISSES_MAX: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_now_and_then_lives_and_who_misses_two_is_dead() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..10 {
            assert_eq!(heartbeat.due(Duration::ZERO), Beat::Ping);
            assert_eq!(heartbeat.due(Duration::ZERO), Beat::Ping);
            heartbeat.heard();
        }
        let mut beats = 1;
        while heartbeat.due(Duration::ZERO) == Beat::Ping {
            beats += 1;
        }
        assert_eq!(beats, 3);
        // It is asked at the latest one interval after the end, and then twice more.
        assert!(Heartbeat::EVERY * (beats + 1) <= Heartbeat::NOTICED_WITHIN);
    }

    #[test]
    fn a_process_that_slept_counts_no_miss() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..10 {
            assert_eq!(heartbeat.due(Duration::from_secs(3_600)), Beat::Ping);
        }
    }
}
