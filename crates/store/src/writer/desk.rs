//! Where sessions hand over what is to be written, and the writer takes it: one lock and two bells.
//!
//! Every order in which its steps can meet is tried in `tests/models`. Reads no clock but the one that it is given.

use std::sync::PoisonError;
use std::time::Duration;

use super::slots::{Ranked, Slots, Wait};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Time since the writer began.
pub(crate) type Clock<'a> = &'a dyn Fn() -> Duration;

/// The desk between sessions and their writer.
#[derive(Debug)]
pub(crate) struct Desk<K, T> {
    state: Mutex<State<K, T>>,
    /// Tells the writer that there is something to do sooner than it thought.
    bell: Condvar,
    /// Tells those who wait for the end that nothing is left.
    quiet: Condvar,
}

#[derive(Debug)]
struct State<K, T> {
    slots: Slots<K, T>,
    /// The writer has taken something and is not through with it.
    is_writing: bool,
    /// Until when the writer sleeps; `None` while it works.
    sleeps_until: Option<Duration>,
    /// How many wait until nothing is left. Then everything is due.
    flushes: usize,
    is_closed: bool,
    /// The store fails: nothing is tried before.
    retry_at: Option<Duration>,
    batch_max: usize,
}

impl<K: Copy + Ord, T: Ranked> Desk<K, T> {
    /// A desk that hands over at most `batch_max` things at a time.
    pub(crate) fn new(batch_max: usize) -> Self {
        let state = State {
            slots: Slots::new(),
            is_writing: false,
            sleeps_until: None,
            flushes: 0,
            is_closed: false,
            retry_at: None,
            batch_max,
        };
        Self { state: Mutex::new(state), bell: Condvar::new(), quiet: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<K, T>> {
        // What panics does so outside the lock; and each method leaves a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands something over. What is not needed any longer is given back, to be dropped where that holds up nobody.
    pub(crate) fn put(&self, key: K, item: T, wait: Wait) -> Option<T> {
        let mut state = self.state();
        if state.is_closed {
            return Some(item);
        }
        let loser = state.slots.put(key, item, wait);
        self.ring(&state);
        loser
    }

    /// Wakes the writer if it sleeps longer than it should.
    fn ring(&self, state: &State<K, T>) {
        if let (Some(until), Some(due)) = (state.sleeps_until, state.due())
            && due < until
        {
            self.bell.notify_one();
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().slots.len()
    }

    /// Waits until there is something to write, which has to be followed by [`done`](Self::done).
    /// `None` when the desk has been closed.
    pub(crate) fn next(&self, clock: Clock<'_>) -> Option<Vec<T>> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            let (now, due) = (clock(), state.due());
            if due.is_some_and(|due| due <= now) {
                state.is_writing = true;
                // After a failure something has to go, so that it is seen whether the store works again.
                let (max, all) = (state.batch_max, state.flushes > 0 || state.retry_at.is_some());
                return Some(state.slots.take(now, max, all));
            }
            state.sleeps_until = Some(due.unwrap_or(Duration::MAX));
            state = match due {
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let woken = self.bell.wait_timeout(state, due - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.sleeps_until = None;
        }
    }

    /// The writer is through with what it took. What failed waits again, unless something later has come.
    pub(crate) fn done(&self, done: Done<K, T>) -> Vec<T> {
        let mut state = self.state();
        state.is_writing = false;
        state.retry_at = done.retry_at;
        let losers = done.failed.into_iter().filter_map(|(key, item)| state.slots.put(key, item, done.again)).collect();
        done.paced.into_iter().for_each(|(key, not_before)| state.slots.pace(key, not_before));
        if state.is_quiet() {
            self.quiet.notify_all();
        }
        losers
    }

    /// Has everything written that was handed over before, and waits for it. False when that was not done in time.
    pub(crate) fn flush(&self, clock: Clock<'_>, until: Duration) -> bool {
        let mut state = self.state();
        state.flushes += 1;
        // Once more at once: the store may work again.
        state.retry_at = state.retry_at.map(|_| Duration::ZERO);
        self.ring(&state);
        while !state.is_quiet() && !state.is_closed {
            let Some(left) = until.checked_sub(clock()).filter(|left| !left.is_zero()) else { break };
            let woken = self.quiet.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushes -= 1;
        state.is_quiet()
    }

    /// Whether somebody waits until nothing is left.
    pub(crate) fn is_flushing(&self) -> bool {
        self.state().flushes > 0
    }

    /// Nothing more is taken. Gives what has not been written.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.state();
        state.is_closed = true;
        let left = state.slots.take(Duration::MAX, usize::MAX, true);
        self.bell.notify_all();
        self.quiet.notify_all();
        left
    }
}

/// What became of the work.
#[derive(Debug)]
pub(crate) struct Done<K, T> {
    /// What has to be tried again.
    pub(crate) failed: Vec<(K, T)>,
    /// How that waits.
    pub(crate) again: Wait,
    /// Whose next record has to wait, and until when.
    pub(crate) paced: Vec<(K, Duration)>,
    /// When to try again anything at all, while the store takes nothing.
    pub(crate) retry_at: Option<Duration>,
}

impl<K: Copy + Ord, T: Ranked> State<K, T> {
    /// When the writer has to do something.
    fn due(&self) -> Option<Duration> {
        let due = self.slots.next_due()?;
        if let Some(retry_at) = self.retry_at {
            return Some(retry_at);
        }
        let is_full = self.slots.len() >= self.batch_max && !self.slots.next_is_paced();
        let is_now = self.flushes > 0 || is_full;
        Some(if is_now { Duration::ZERO } else { due })
    }

    fn is_quiet(&self) -> bool {
        self.slots.is_empty() && !self.is_writing
    }
}
