//! Who works for a session: the one driver role, passed on without a lock.
//!
//! Every order in which its steps can meet is tried in `tests/models`.

use crate::sync::{AtomicU8, Ordering};

/// The driver role of one session: at most one task holds it, and work that comes meanwhile is not forgotten.
///
/// idle → queued (a driver was called) → running → again (more came) → running … → idle.
#[derive(Debug, Default)]
pub(crate) struct Role(AtomicU8);

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const AGAIN: u8 = 3;

impl Role {
    /// Takes the role if nobody works; otherwise whoever does looks once more before it stops.
    ///
    /// Put the work where the holder finds it before calling this.
    pub(crate) fn take(&self) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let (next, taken) = match now {
                IDLE | QUEUED => (RUNNING, true),
                _ => (AGAIN, false),
            };
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return taken,
                Err(seen) => now = seen,
            }
        }
    }

    /// Says that there is work. True when nobody had been told: then the caller calls a driver.
    pub(crate) fn call(&self) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let (next, first) = match now {
                IDLE => (QUEUED, true),
                RUNNING => (AGAIN, false),
                _ => return false,
            };
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return first,
                Err(seen) => now = seen,
            }
        }
    }

    /// Runs turns as the holder, each of which says whether it has left something. True when there was nothing more to do;
    /// false when others want the thread as well after so many turns: then the caller calls a driver.
    pub(crate) fn work(&self, turns_max: usize, mut turn: impl FnMut() -> bool) -> bool {
        for _ in 0..turns_max {
            let more = turn();
            if !more && self.rest() {
                return true;
            }
        }
        self.hand_over();
        false
    }

    /// The holder is through. False when more has come meanwhile: then it still holds the role.
    pub(crate) fn rest(&self) -> bool {
        match self.0.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(_) => {
                // A swap and no store: whoever says `again` in between is ordered before it.
                self.0.swap(RUNNING, Ordering::AcqRel);
                false
            }
        }
    }

    /// The holder stops with work left: the caller calls a driver.
    pub(crate) fn hand_over(&self) {
        self.0.swap(QUEUED, Ordering::AcqRel);
    }

    /// Whether a driver was called and has not come.
    pub(crate) fn is_called(&self) -> bool {
        self.0.load(Ordering::Acquire) == QUEUED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_the_role_and_hears_of_what_came_meanwhile() {
        let role = Role::default();
        assert!(role.take());
        assert!(!role.take(), "somebody works");
        assert!(!role.rest(), "more has come");
        assert!(role.rest());
    }

    #[test]
    fn a_thousand_calls_are_one() {
        let role = Role::default();
        assert!(role.call());
        assert!((0..1_000).all(|_| !role.call()));
        assert!(role.is_called());
        assert!(role.take());
        assert!(!role.call());
        assert!(!role.rest());
        assert!(role.rest() && !role.is_called());
    }

    #[test]
    fn threads_that_take_turns_lose_no_work() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let (role, inbox, done, inside) = (Role::default(), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        inbox.fetch_add(1, Ordering::SeqCst);
                        if !role.take() {
                            continue;
                        }
                        loop {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two drivers");
                            done.fetch_add(inbox.swap(0, Ordering::SeqCst), Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            if role.rest() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 80_000);
    }
}
