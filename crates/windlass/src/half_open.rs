//! Connections whose first request has not come whole: so many, and the one that has waited longest makes room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::lock;

/// All of them.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By their age, the oldest first.
    cut: BTreeMap<u64, Arc<Notify>>,
}

impl HalfOpen {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, waiting: Mutex::default() })
    }

    /// A connection more. True when another one was cut for it.
    pub(crate) fn enter(self: &Arc<Self>) -> (Entered, bool) {
        let mut waiting = lock(&self.waiting);
        let oldest = if waiting.cut.len() >= self.most { waiting.cut.pop_first() } else { None };
        if let Some((_, cut)) = &oldest {
            cut.notify_one();
        }
        let (number, cut) = (waiting.next, Arc::new(Notify::new()));
        waiting.next += 1;
        waiting.cut.insert(number, Arc::clone(&cut));
        (Entered { all: Arc::clone(self), number, cut }, oldest.is_some())
    }
}

/// One connection, until its request has come.
#[derive(Debug)]
pub(crate) struct Entered {
    all: Arc<HalfOpen>,
    number: u64,
    /// Told when it has to make room.
    pub(crate) cut: Arc<Notify>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        lock(&self.all.waiting).cut.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// BOUNDED
    #[test]
    fn the_oldest_makes_room_and_one_that_is_through_needs_none() {
        let all = HalfOpen::new(2);
        let (first, _) = all.enter();
        let (second, was_full) = all.enter();
        assert!(!was_full);
        drop(first);
        let (_third, was_full) = all.enter();
        assert!(!was_full);
        let (_fourth, was_full) = all.enter();
        assert!(was_full);
        assert!(second.cut.notified().now_or_never().is_some());
        assert!(_third.cut.notified().now_or_never().is_none());
    }
}
