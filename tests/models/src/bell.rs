//! Loom's bell, which can be planted deaf: to see that the models find one that is not rung.

use std::cell::Cell;
use std::time::Duration;

use loom::sync::{LockResult, MutexGuard, WaitTimeoutResult};

thread_local! {
    // Loom runs the threads of a model on the one that checks it.
    static IS_DEAF: Cell<bool> = const { Cell::new(false) };
}

/// From now on nobody who sleeps alone is woken on this thread, as if [`Condvar::notify_one`] had been forgotten.
pub(crate) fn deafen() {
    IS_DEAF.set(true);
}

/// What the desk has for a bell.
#[derive(Debug)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.0.wait_timeout(guard, time)
    }

    pub(crate) fn notify_one(&self) {
        if !IS_DEAF.get() {
            self.0.notify_one();
        }
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
