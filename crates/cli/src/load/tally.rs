//! What the sessions of a load have in common: what they did so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::histogram::Histogram;

/// What the sessions did so far.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Sessions that were welcomed.
    pub(crate) connected: usize,
    /// Sessions that were not, or that have stopped; why, and how many of each.
    pub(crate) failed: BTreeMap<String, usize>,
    pub(crate) sent: u64,
    /// Outcomes by their codes; `applied` is one of them.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Applied since the ramp-up.
    pub(crate) applied: u64,
    /// Of what was applied since the ramp-up.
    pub(crate) latencies: Histogram,
    pub(crate) closes: BTreeMap<String, u64>,
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) reconnects: u64,
}

impl Tally {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are counts, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn outcome(&mut self, code: &str, latency: Duration) {
        match self.outcomes.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.outcomes.insert(code.to_owned(), 1)),
        }
        if code == "applied" {
            self.applied += 1;
            self.latencies.add(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// The ramp-up is over: what is measured begins.
    pub(crate) fn begin(&mut self) {
        self.applied = 0;
        self.latencies.clear();
    }

    /// Sessions that did not last.
    pub(crate) fn failed(&self) -> usize {
        self.failed.values().sum()
    }

    /// Actions that ended otherwise than applied.
    pub(crate) fn unapplied(&self) -> u64 {
        self.outcomes.iter().filter(|(code, _)| *code != "applied").map(|(_, count)| count).sum()
    }
}
