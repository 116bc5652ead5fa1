//! Who writes to a socket: the task of its connection, or whoever has a frame while that task has nothing to do.
//!
//! Every order in which its steps can meet is tried in `tests/models`.

use crate::sync::{AtomicU8, Ordering};

/// The right to write to one socket: at most one has it, and a connection's task that comes in vain is told when to
/// come again.
#[derive(Debug)]
pub(crate) struct Pen(AtomicU8);

/// Nobody writes, and nothing is half written.
const FREE: u8 = 0;
/// The connection's task does, or has something left to write.
const TASK: u8 = 1;
/// A driver does.
const DRIVER: u8 = 2;
/// A driver does, and the connection's task waits for it.
const WANTED: u8 = 3;

impl Default for Pen {
    /// The task's, until it says that it has nothing to write.
    fn default() -> Self {
        Self(AtomicU8::new(TASK))
    }
}

impl Pen {
    /// Takes it for the connection's task, which may have it. False while a driver writes, who wakes the task after that.
    pub(crate) fn take(&self) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let (next, taken) = match now {
                FREE => (TASK, true),
                TASK => return true,
                _ => (WANTED, false),
            };
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return taken,
                Err(seen) => now = seen,
            }
        }
    }

    /// The connection's task has nothing left to write.
    pub(crate) fn lay_down(&self) {
        self.0.store(FREE, Ordering::Release);
    }

    /// Takes it for a driver, if nobody has it and the task has left nothing half written.
    pub(crate) fn borrow(&self) -> bool {
        self.0.compare_exchange(FREE, DRIVER, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The driver is through. Whether the connection's task waits and is to be woken.
    pub(crate) fn give_back(&self) -> bool {
        self.0.swap(FREE, Ordering::AcqRel) == WANTED
    }
}
