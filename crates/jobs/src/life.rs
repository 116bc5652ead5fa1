//! The life of one job as a small pure machine: what may happen to it, and what has to be done then.
//!
//! A job is finished, cancelled, timed out and lost by different threads at the same moment. Each of them
//! applies its [`Event`] in one atomic step, and the machine tells exactly one of them to report the end.
//! [`Life::on`] has no side effects and knows no clock, so that every order of events can be enumerated.
//!
//! ```text
//! queued ── Start ──▶ running ── Cancel ──▶ cancelling ─┐
//!   │ ▲                 │  └── SoftTimeout ▶ timing out ┤
//!   │ └───── Retry ─────┼──────────── Finish ───────────┴──▶ ended
//!   │                   └── HardTimeout, Lose ──▶ abandoned ── Finish ──▶ ended
//!   └── Cancel, Lose ──▶ ended
//! ```
//!
//! The number of the attempt is part of the word that the threads race for, so that a timeout of one attempt that
//! comes late cannot meet the next.

use std::sync::atomic::Ordering;

use crate::sync::AtomicU64;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Life {
    /// It waits for a thread.
    Queued,
    /// Its callback runs.
    Running,
    /// Its callback runs and has been asked to stop by someone.
    Cancelling,
    /// Its callback runs and has been asked to stop by its soft timeout.
    TimingOut,
    /// Its end has been reported, but its callback still runs and holds a thread.
    Abandoned,
    /// It is over, and its callback does not run.
    Ended,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A thread of the pool is about to run the callback.
    Start,
    /// Someone asks it to stop.
    Cancel,
    /// It has run too long, and is asked to stop.
    SoftTimeout,
    /// It has run far too long, and nobody waits for it any more.
    HardTimeout,
    /// The pool shuts down, and nobody waits for it any more.
    Lose,
    /// The callback has failed, and is to be run again.
    Retry,
    /// The callback has returned or panicked.
    Finish,
}

/// What the one who applied an event has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Nothing: the event came too late, or said nothing new.
    Nothing,
    /// Run the callback.
    Run,
    /// Wake the callback if it waits, so that it sees that it should stop.
    Signal,
    /// Let it wait for its next attempt.
    Rest,
    /// Report the end. The callback has not run, and never will.
    EndQueued,
    /// Report the end. The callback still runs, and what it returns will be dropped.
    EndAbandoned,
    /// Report the end by what the callback returned; it had been asked to stop if `asked` says so.
    EndFinished {
        /// Who had asked the callback to stop, if anyone.
        asked: Asked,
    },
}

/// Who asked a callback to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// Nobody.
    Nobody,
    /// Someone cancelled it.
    Cancel,
    /// Its soft timeout.
    Timeout,
}

impl Life {
    /// The life after `event`, and what the one who brought the event must do.
    pub(crate) fn on(self, event: Event) -> (Self, Effect) {
        use Effect::{EndAbandoned, EndFinished, EndQueued, Nothing, Rest, Run, Signal};
        use Life::{Abandoned, Cancelling, Ended, Queued, Running, TimingOut};
        match (self, event) {
            (Queued, Event::Start) => (Running, Run),
            (Queued, Event::Cancel | Event::Lose) => (Ended, EndQueued),
            (Running, Event::Cancel) => (Cancelling, Signal),
            (Running, Event::SoftTimeout) => (TimingOut, Signal),
            (Running, Event::Retry) => (Queued, Rest),
            (Running, Event::Finish) => (Ended, EndFinished { asked: Asked::Nobody }),
            // The first who asked is the reason of the end: a cancel that comes after the soft timeout
            // does not make the timeout unsaid, nor the other way round.
            (Cancelling, Event::Finish | Event::Retry) => (Ended, EndFinished { asked: Asked::Cancel }),
            (TimingOut, Event::Finish | Event::Retry) => (Ended, EndFinished { asked: Asked::Timeout }),
            (Running | Cancelling | TimingOut, Event::HardTimeout | Event::Lose) => (Abandoned, EndAbandoned),
            (Abandoned, Event::Finish | Event::Retry) => (Ended, Nothing),
            (life, _) => (life, Nothing),
        }
    }

    /// Whether the callback should stop as soon as it can.
    pub(crate) fn is_stopping(self) -> bool {
        !matches!(self, Life::Queued | Life::Running)
    }

    /// Whether the end has been, or is being, reported.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Life::Abandoned | Life::Ended)
    }

    fn from_bits(bits: u64) -> Self {
        const ALL: [Life; 6] =
            [Life::Queued, Life::Running, Life::Cancelling, Life::TimingOut, Life::Abandoned, Life::Ended];
        ALL[(bits % ATTEMPT) as usize]
    }
}

/// One attempt more, beside the life in the low byte.
const ATTEMPT: u64 = 1 << 8;

/// A [`Life`] that several threads move at once, each step whole, and the number of its attempt.
#[derive(Debug)]
pub(crate) struct SharedLife(AtomicU64);

impl SharedLife {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(ATTEMPT | Life::Queued as u64))
    }

    /// Applies `event` in one atomic step and says what the caller must do.
    pub(crate) fn on(&self, event: Event) -> Effect {
        self.step(event, None)
    }

    /// Applies `event` if it meets the attempt that it is about.
    pub(crate) fn on_attempt(&self, event: Event, attempt: u32) -> Effect {
        self.step(event, Some(attempt))
    }

    fn step(&self, event: Event, attempt: Option<u32>) -> Effect {
        let mut bits = self.0.load(Ordering::Acquire);
        loop {
            if attempt.is_some_and(|attempt| attempt_of(bits) != attempt) {
                return Effect::Nothing;
            }
            let (next, effect) = Life::from_bits(bits).on(event);
            let next = bits - bits % ATTEMPT + next as u64 + if effect == Effect::Rest { ATTEMPT } else { 0 };
            match self.0.compare_exchange(bits, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return effect,
                Err(now) => bits = now,
            }
        }
    }

    /// The number of the attempt, from 1: the one that runs, or the one that comes.
    pub(crate) fn attempt(&self) -> u32 {
        attempt_of(self.0.load(Ordering::Acquire))
    }

    /// Where the job is now; by the time the caller looks, it may be further.
    pub(crate) fn now(&self) -> Life {
        Life::from_bits(self.0.load(Ordering::Acquire))
    }
}

fn attempt_of(bits: u64) -> u32 {
    // It grows by one a retry, of which there are few.
    (bits / ATTEMPT) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a run of events has brought about, and the checks that hold after each of them.
    #[derive(Debug, Clone, Default)]
    struct Seen {
        runs: u32,
        ends: u32,
        signals: u32,
        rests: u32,
        /// A thread is inside the callback.
        inside: bool,
    }

    /// Walks every interleaving of the threads' scripts and checks what must hold in each.
    fn interleave(life: Life, seen: &Seen, scripts: &[&[Event]], checked: &mut u64) {
        let mut leaf = true;
        for (i, script) in scripts.iter().enumerate() {
            let Some((&event, rest)) = script.split_first() else { continue };
            leaf = false;
            let mut seen = seen.clone();
            let mut scripts = scripts.to_vec();
            scripts[i] = rest;
            // A pool thread that was not told to run has nothing to finish.
            if matches!(event, Event::Finish | Event::Retry) && !seen.inside {
                interleave(life, &seen, &scripts, checked);
                continue;
            }
            let (next, effect) = life.on(event);
            let returns = matches!(event, Event::Finish | Event::Retry);
            match effect {
                Effect::Nothing => {}
                Effect::Run => {
                    assert!(seen.ends == 0 && !seen.inside, "run after the end, or twice at once");
                    seen.runs += 1;
                    seen.inside = true;
                }
                Effect::Signal => {
                    assert!(seen.inside && seen.ends == 0, "signal to nobody");
                    seen.signals += 1;
                }
                Effect::Rest => {
                    assert!(
                        seen.inside && returns && seen.signals == 0,
                        "a job that was asked to stop is not run again"
                    );
                    seen.rests += 1;
                }
                Effect::EndQueued => {
                    assert!(!seen.inside, "a job that runs cannot end as a queued one");
                    seen.ends += 1;
                }
                Effect::EndAbandoned => {
                    assert!(seen.inside && !returns, "abandoned without running");
                    seen.ends += 1;
                }
                Effect::EndFinished { asked } => {
                    assert!(seen.inside && returns);
                    assert_eq!(asked == Asked::Nobody, seen.signals == 0, "asked and signals agree");
                    seen.ends += 1;
                }
            }
            seen.inside &= !returns;
            assert!(seen.ends <= 1 && seen.runs <= 1 + seen.rests && seen.signals <= 1, "{seen:?}");
            assert_eq!(next.is_over(), seen.ends == 1, "over exactly when the end was told");
            if life.is_stopping() {
                assert!(next.is_stopping(), "a job that stops never goes on");
            }
            interleave(next, &seen, &scripts, checked);
        }
        if leaf {
            *checked += 1;
            assert_eq!(seen.ends, 1, "no end: {life:?}");
            assert_eq!(life, Life::Ended);
        }
    }

    #[test]
    fn every_interleaving_of_the_racing_threads_has_exactly_one_end() {
        let worker: &[Event] = &[Event::Start, Event::Finish];
        let cancel: &[Event] = &[Event::Cancel];
        let timer: &[Event] = &[Event::SoftTimeout, Event::HardTimeout];
        let shutdown: &[Event] = &[Event::Cancel, Event::Lose];
        let mut checked = 0;
        for scripts in [
            vec![worker],
            vec![worker, cancel],
            vec![worker, timer],
            vec![worker, shutdown],
            vec![worker, cancel, timer, shutdown],
            vec![worker, cancel, cancel, timer, shutdown],
        ] {
            interleave(Life::Queued, &Seen::default(), &scripts, &mut checked);
        }
        assert_eq!(checked, 1 + 3 + 6 + 6 + 630 + 5040, "all of them were walked");
        let retried: &[Event] = &[Event::Start, Event::Retry, Event::Start, Event::Finish];
        for scripts in [vec![retried], vec![retried, cancel, timer], vec![retried, cancel, timer, shutdown]] {
            interleave(Life::Queued, &Seen::default(), &scripts, &mut checked);
        }
        assert_eq!(checked, 5686 + 1 + 105 + 3780, "those with a retry too");
    }

    #[test]
    fn a_timeout_of_an_earlier_attempt_is_nothing_to_the_next() {
        let life = SharedLife::new();
        assert_eq!((life.on(Event::Start), life.attempt()), (Effect::Run, 1));
        assert_eq!((life.on(Event::Retry), life.attempt()), (Effect::Rest, 2));
        assert_eq!(life.on(Event::Start), Effect::Run);
        assert_eq!(life.on_attempt(Event::HardTimeout, 1), Effect::Nothing);
        assert_eq!(life.on_attempt(Event::SoftTimeout, 2), Effect::Signal);
        assert_eq!(life.on(Event::Retry), Effect::EndFinished { asked: Asked::Timeout });
    }

    #[test]
    fn the_first_who_asks_is_the_reason() {
        fn check(events: &[Event], asked: Asked) {
            let life = SharedLife::new();
            let effects: Vec<_> = events.iter().map(|&event| life.on(event)).collect();
            assert_eq!(effects.last(), Some(&Effect::EndFinished { asked }), "{events:?}");
        }
        use Event::{Cancel, Finish, SoftTimeout, Start};
        check(&[Start, Finish], Asked::Nobody);
        check(&[Start, Cancel, Finish], Asked::Cancel);
        check(&[Start, SoftTimeout, Finish], Asked::Timeout);
        check(&[Start, Cancel, SoftTimeout, Finish], Asked::Cancel);
        check(&[Start, SoftTimeout, Cancel, Finish], Asked::Timeout);
    }

    #[test]
    fn an_abandoned_callback_that_returns_says_nothing() {
        let life = SharedLife::new();
        assert_eq!(life.on(Event::Start), Effect::Run);
        assert_eq!(life.on(Event::HardTimeout), Effect::EndAbandoned);
        assert_eq!(life.on(Event::Lose), Effect::Nothing);
        assert_eq!(life.on(Event::Finish), Effect::Nothing);
        assert_eq!(life.now(), Life::Ended);
    }
}
