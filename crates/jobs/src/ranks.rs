//! Tells those who wait their places in the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::guard::lock;
use crate::job::Form;
use crate::pool::{Shared, State};
use crate::report::Report;

impl Shared {
    /// Sees to it that those who wait hear of their places, which have changed.
    pub(crate) fn plan_ranks(&self, state: &mut State) {
        let waits = state.queues.iter().any(|queue| queue.len() > queue.free());
        if state.ranked == 0 || state.ranks_due || state.closing || !waits {
            return;
        }
        state.ranks_due = true;
        let pause = if state.ranked > RANKED_FEW { RANKS_SELDOM } else { RANKS_OFTEN };
        let now = self.clock.now();
        self.timers.set_ranks(state.ranks_told.map_or(now, |told| now.max(told + pause)));
    }

    /// Tells those who wait their places in the queue, if they have changed.
    pub(crate) fn tell_ranks(&self) {
        let mut told = Vec::new();
        let mut state = lock(&self.state);
        state.ranks_due = false;
        state.ranks_told = Some(self.clock.now());
        for form in [Form::Blocking, Form::Future] {
            for (before, task) in state.queues[form as usize].in_order().into_iter().enumerate() {
                let core = task.core();
                let rank = u32::try_from(before + 1).unwrap_or(u32::MAX);
                if !core.ranked || core.told_rank.swap(rank, Ordering::Relaxed) == rank {
                    continue;
                }
                // It starts when so many rounds of jobs are through, and then it takes one itself.
                let rounds = u32::try_from((before + 1).div_ceil(self.size(form)) + 1).unwrap_or(u32::MAX);
                let eta = state.usual.map(|usual| usual.saturating_mul(rounds));
                told.push((Arc::clone(task), rank, eta));
            }
        }
        drop(state);
        for (task, rank, eta) in told {
            task.tell(Report::Waiting { rank, eta });
        }
    }
}

/// Between two tellings of the places in the queue.
const RANKS_OFTEN: Duration = Duration::from_millis(250);
/// The same while more than [`RANKED_FEW`] jobs wait: each of them that has moved is a frame to its page.
const RANKS_SELDOM: Duration = Duration::from_secs(1);
const RANKED_FEW: usize = 256;
