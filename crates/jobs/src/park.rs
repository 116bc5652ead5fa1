//! Places in a pool that are given back and taken again: how a job waits for jobs of its own.
//!
//! A job that waits is parked: another runs in its place, on a thread of its own if it was a blocking one. When something
//! has happened it waits for its owner's turn and goes on. One that was told to stop goes on at once, though the pool
//! may be full: it only has to return. Where a job is between the two is changed under the lock of the pool.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::guard::lock;
use crate::job::{Core, Form};
use crate::pool::{Shared, State};
use crate::queue::Next;
use crate::sync::AtomicBool;
use crate::task::Task;

/// It has its place.
pub(crate) const RUNS: u32 = 0;
/// It waits for something to happen.
const PARKED: u32 = 1;
/// Something has happened, and it waits for a place.
const GOES_ON: u32 = 2;
/// It has its place again and has not noticed yet.
const GRANTED: u32 = 3;

/// Why a job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For a result: in vain once it was told to stop.
    Result,
    /// For the ends of its children, whatever it was told.
    Ends,
}

impl Core {
    fn park(&self) -> u32 {
        self.park.load(Ordering::Relaxed)
    }

    fn set_park(&self, park: u32) {
        self.park.store(park, Ordering::Relaxed);
    }

    /// Whether it has given its place back. Asked under the lock of the pool.
    pub(crate) fn is_parked(&self) -> bool {
        matches!(self.park(), PARKED | GOES_ON)
    }
}

impl Shared {
    /// Lets a blocking job wait until `news` or, if that is what it waits for, until it is told to stop.
    ///
    /// Several threads of one job may wait; the place is given back with the first of them.
    pub(crate) fn wait(self: &Arc<Self>, task: &Arc<dyn Task>, news: &AtomicBool, wait: Wait) {
        let core = task.core();
        let mut state = lock(&self.state);
        if news.load(Ordering::Acquire) {
            return;
        }
        let is_stopped = || core.life.now().is_stopping();
        if core.park() != RUNS {
            // Another thread of this job has given its place back.
            let is_over = || news.load(Ordering::Acquire) || (wait == Wait::Result && is_stopped());
            while !is_over() {
                state = self.going_on.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            return;
        }
        core.set_park(PARKED);
        state.queues[core.form as usize].park(core.owner, core.depth());
        loop {
            match core.park() {
                GRANTED | RUNS => {
                    core.set_park(RUNS);
                    return;
                }
                parked if is_stopped() && (parked == GOES_ON || wait == Wait::Result) => {
                    self.go_on_now(&mut state, core);
                    // One parked less can mean that another of its depth may begin.
                    let _ = self.use_place(&mut state);
                    return;
                }
                _ => {}
            }
            state = match self.use_place(&mut state) {
                Ok(()) if matches!(core.park(), GRANTED) => state,
                Ok(()) => self.going_on.wait(state).unwrap_or_else(PoisonError::into_inner),
                Err(error) => {
                    // Those that there are may all wait, as this one does.
                    tracing::warn!(pool = self.options.name, "no thread in place of one that waits: {error}");
                    self.going_on.wait_timeout(state, NO_THREAD_FOR).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// As [`wait`](Self::wait), for a future. `has_parked` says whether it is this one that has given the place back;
    /// whoever drops it then calls [`stop_waiting`](Self::stop_waiting).
    pub(crate) fn poll_wait(
        self: &Arc<Self>,
        task: &Arc<dyn Task>,
        news: &AtomicBool,
        has_parked: &mut bool,
        waker: &Waker,
    ) -> Poll<()> {
        let core = task.core();
        let state = &mut *lock(&self.state);
        if *has_parked {
            if core.is_parked() {
                core.feed.remember(waker);
                return Poll::Pending;
            }
            core.set_park(RUNS);
            *has_parked = false;
            return Poll::Ready(());
        }
        if news.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        core.feed.remember(waker);
        // Its end may have been told already: then it has no place that it could give back.
        if core.park() == RUNS && state.running.iter().any(|running| running.core().id == core.id) {
            core.set_park(PARKED);
            *has_parked = true;
            state.queues[core.form as usize].park(core.owner, core.depth());
        }
        Poll::Pending
    }

    /// A future that had given its place back waits no more.
    pub(crate) fn stop_waiting(&self, core: &Core) {
        let mut state = lock(&self.state);
        if core.is_parked() {
            self.go_on_now(&mut state, core);
        }
        core.set_park(RUNS);
        drop(state);
        self.start_futures();
    }

    /// Something has happened that a job may wait for; its `news` say so already.
    pub(crate) fn wake(self: &Arc<Self>, task: &Arc<dyn Task>) {
        let core = task.core();
        let mut state = lock(&self.state);
        if core.park() == PARKED {
            core.set_park(GOES_ON);
            state.queues[core.form as usize].go_on(core.owner, core.id, core.depth(), Arc::clone(task));
        }
        match core.form {
            Form::Blocking => {
                // One that finds no thread tries again itself.
                let _ = self.use_place(&mut state);
                self.going_on.notify_all();
            }
            Form::Future => {
                drop(state);
                self.start_futures();
                core.feed.wake();
            }
        }
    }

    /// Calls the threads of a job that was told to stop.
    pub(crate) fn wake_stopped(&self, core: &Core) {
        // With the lock: one of them may be just about to wait.
        let _state = lock(&self.state);
        if core.form == Form::Blocking {
            self.going_on.notify_all();
        }
    }

    pub(crate) fn grant(&self, task: &Arc<dyn Task>) {
        let core = task.core();
        core.set_park(GRANTED);
        if core.form == Form::Blocking {
            self.going_on.notify_all();
        }
    }

    pub(crate) fn go_on_now(&self, state: &mut State, core: &Core) {
        state.queues[core.form as usize].go_on_now(core.owner, core.id, core.depth());
        core.set_park(RUNS);
    }

    /// Takes the job whose turn it is, and lets those go on that come before it. Futures that go on are to be woken.
    pub(crate) fn take(
        &self,
        state: &mut State,
        form: Form,
        goes_on: &mut Vec<Arc<dyn Task>>,
    ) -> Option<Arc<dyn Task>> {
        loop {
            match state.queues[form as usize].pop()? {
                Next::GoOn(task) => {
                    self.grant(&task);
                    if form == Form::Future {
                        goes_on.push(task);
                    }
                }
                Next::Begin(task) => {
                    state.running.push(Arc::clone(&task));
                    self.left_queue(state, task.core());
                    if form == Form::Blocking && state.idle > 0 && state.queues[form as usize].is_ready() {
                        self.work.notify_one();
                    }
                    return Some(task);
                }
            }
        }
    }

    /// Sees to it that a free place of the pool's threads is used.
    pub(crate) fn use_place(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        while let Some(task) = state.queues[Form::Blocking as usize].pop_parked() {
            self.grant(&task);
        }
        if !state.queues[Form::Blocking as usize].is_ready() {
            return Ok(());
        }
        if state.idle > 0 {
            self.work.notify_one();
        } else if state.threads < self.threads_max(state) {
            self.spawn(&state.threads.to_string(), Self::work)?;
            state.threads += 1;
        }
        Ok(())
    }
}

/// Until a thread is asked for again that the system did not give.
const NO_THREAD_FOR: Duration = Duration::from_secs(1);
