//! What the pool has to do at some moment: ticks, timeouts, progress, and the ends of jobs that never ran.
//!
//! Keeps times and tells what is due; it never calls anyone. A job's timers are taken out when it ends, so that a
//! million short jobs with an hour's timeout leave nothing behind.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

use crate::clock::Clock;
use crate::guard::lock;
use crate::sync::{Condvar, Mutex};
use crate::task::Task;

/// What a timer is for. A job has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    Progress,
    Tick,
    SoftTimeout,
    HardTimeout,
    /// Its next attempt may queue.
    Retry,
}

/// Names one timer of one job, and sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: Instant,
    pub(crate) id: u64,
    pub(crate) alarm: Alarm,
    /// The attempt that it is about.
    pub(crate) attempt: u32,
}

/// What has to be done now.
pub(crate) enum Due {
    /// A job was cancelled while it waited, and its end has to be reported.
    Cancelled(Arc<dyn Task>),
    /// A timer has come; its job may be over or gone.
    Timer(Timer, Weak<dyn Task>),
    /// Those who wait have to hear of their places in the queue.
    Ranks,
    /// Nothing.
    Nothing,
}

#[derive(Default)]
pub(crate) struct Timers {
    plan: Mutex<Plan>,
    bell: Condvar,
}

#[derive(Default)]
struct Plan {
    timers: BTreeMap<Timer, Weak<dyn Task>>,
    cancelled: VecDeque<Arc<dyn Task>>,
    /// When those who wait have to hear of their places, if they have to.
    ranks: Option<Instant>,
    closed: bool,
}

impl Plan {
    fn first(&self) -> Option<Instant> {
        let timer = self.timers.first_key_value().map(|(first, _)| first.at);
        timer.into_iter().chain(self.ranks).min()
    }
}

impl Timers {
    pub(crate) fn set(&self, timer: Timer, task: &Arc<dyn Task>) {
        let mut plan = lock(&self.plan);
        if plan.closed {
            return;
        }
        let is_first = plan.timers.first_key_value().is_none_or(|(first, _)| timer < *first);
        plan.timers.insert(timer, Arc::downgrade(task));
        drop(plan);
        if is_first {
            self.bell.notify_one();
        }
    }

    /// Sets the moment at which those who wait hear of their places.
    pub(crate) fn set_ranks(&self, at: Instant) {
        let mut plan = lock(&self.plan);
        let is_first = plan.first().is_none_or(|first| at < first);
        plan.ranks = Some(at);
        drop(plan);
        if is_first {
            self.bell.notify_one();
        }
    }

    pub(crate) fn remove(&self, timers: impl IntoIterator<Item = Timer>) {
        let mut plan = lock(&self.plan);
        for timer in timers {
            plan.timers.remove(&timer);
        }
    }

    /// Takes out the timer of a job that rests, whenever it is.
    pub(crate) fn remove_all(&self, id: u64) {
        lock(&self.plan).timers.retain(|timer, _| timer.id != id);
    }

    /// Asks for the end of a job to be reported that was cancelled while it waited.
    ///
    /// # Errors
    /// Gives the job back when nobody would do so any more.
    pub(crate) fn report_cancelled(&self, task: Arc<dyn Task>) -> Result<(), Arc<dyn Task>> {
        let mut plan = lock(&self.plan);
        if plan.closed {
            return Err(task);
        }
        plan.cancelled.push_back(task);
        drop(plan);
        self.bell.notify_one();
        Ok(())
    }

    pub(crate) fn pop_cancelled(&self) -> Option<Arc<dyn Task>> {
        lock(&self.plan).cancelled.pop_front()
    }

    /// Takes what is due at `now`: ends before timers, since somebody waits for them.
    pub(crate) fn pop(&self, now: Instant) -> Due {
        let mut plan = lock(&self.plan);
        if let Some(task) = plan.cancelled.pop_front() {
            return Due::Cancelled(task);
        }
        if plan.timers.first_key_value().is_some_and(|(first, _)| first.at <= now)
            && let Some((timer, task)) = plan.timers.pop_first()
        {
            return Due::Timer(timer, task);
        }
        if plan.ranks.is_some_and(|at| at <= now) {
            plan.ranks = None;
            return Due::Ranks;
        }
        Due::Nothing
    }

    /// When something is due next: `now` when that is an end.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let plan = lock(&self.plan);
        if plan.cancelled.is_empty() { plan.first() } else { Some(now) }
    }

    /// Waits until something is due; false when nothing ever will be.
    pub(crate) fn wait(&self, clock: &dyn Clock) -> bool {
        let mut plan = lock(&self.plan);
        loop {
            if plan.closed {
                return false;
            }
            if !plan.cancelled.is_empty() {
                return true;
            }
            plan = match plan.first() {
                None => self.bell.wait(plan).unwrap_or_else(PoisonError::into_inner),
                Some(first) => {
                    let left = first.saturating_duration_since(clock.now());
                    if left.is_zero() {
                        return true;
                    }
                    self.bell.wait_timeout(plan, left).unwrap_or_else(PoisonError::into_inner).0
                }
            }
        }
    }

    /// Nothing is due from now on. Gives back the jobs whose end was not reported yet.
    pub(crate) fn close(&self) -> VecDeque<Arc<dyn Task>> {
        let mut plan = lock(&self.plan);
        plan.closed = true;
        plan.timers.clear();
        plan.ranks = None;
        let cancelled = std::mem::take(&mut plan.cancelled);
        drop(plan);
        self.bell.notify_one();
        cancelled
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.plan).timers.len()
    }
}
