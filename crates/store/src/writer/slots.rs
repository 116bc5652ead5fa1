//! What waits to be written: at most one thing a session, and when it is due.
//!
//! Reads no clock: every time is an argument, counted from when the writer began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What waits in a slot. The one of higher rank takes the place of the other.
pub(crate) trait Ranked {
    /// Epoch, and the turn within it.
    fn rank(&self) -> (u64, u64);
}

/// How something waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// When it came.
    pub(crate) now: Duration,
    /// How long it may wait for others to go with it.
    pub(crate) delay: Duration,
    /// It goes at once, with all that waits.
    pub(crate) is_urgent: bool,
}

/// At most one thing for each key.
#[derive(Debug)]
pub(crate) struct Slots<K, T> {
    waiting: BTreeMap<K, Slot<T>>,
    /// The keys that wait, by when they are due.
    due: BTreeSet<(Duration, K)>,
    /// Keys whose last record was so dear that the next has to wait, and until when.
    paced: BTreeMap<K, Duration>,
    /// What came under an epoch that was over: whoever sent it is to hear so.
    stale: Vec<T>,
}

#[derive(Debug)]
struct Slot<T> {
    item: T,
    due: Duration,
    is_urgent: bool,
}

impl<K: Copy + Ord, T: Ranked> Slots<K, T> {
    pub(crate) fn new() -> Self {
        Self { waiting: BTreeMap::new(), due: BTreeSet::new(), paced: BTreeMap::new(), stale: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.stale.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts something in the slot of its key. What has to make room for it, or is too old itself, is given back: dropping it
    /// may run code of the app's, which has no business under the lock.
    pub(crate) fn put(&mut self, key: K, item: T, wait: Wait) -> Option<T> {
        let not_before = self.paced.get(&key).copied().unwrap_or_default();
        let mut due = if wait.is_urgent { wait.now } else { not_before.max(wait.now + wait.delay) };
        let mut is_urgent = wait.is_urgent;
        let before = self.waiting.remove(&key);
        if let Some(slot) = &before {
            self.due.remove(&(slot.due, key));
            // Neither puts off the other: what comes again and again would never be due.
            due = due.min(slot.due);
            is_urgent |= slot.is_urgent;
        }
        let (item, loser) = match before {
            Some(slot) if slot.item.rank() > item.rank() => (slot.item, Some(item)),
            Some(slot) => (item, Some(slot.item)),
            None => (item, None),
        };
        let epoch = item.rank().0;
        self.waiting.insert(key, Slot { item, due, is_urgent });
        self.due.insert((due, key));
        match loser {
            Some(loser) if loser.rank().0 < epoch => {
                self.stale.push(loser);
                None
            }
            loser => loser,
        }
    }

    /// When the next of them is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        if !self.stale.is_empty() {
            return Some(Duration::ZERO);
        }
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether the next one due waits only because its session's records are dear.
    pub(crate) fn next_is_paced(&self) -> bool {
        self.stale.is_empty() && self.due.first().is_some_and(|(_, key)| self.is_paced(key))
    }

    fn is_paced(&self, key: &K) -> bool {
        self.paced.contains_key(key) && self.waiting.get(key).is_some_and(|slot| !slot.is_urgent)
    }

    /// Takes up to `max` of those that may go, the longest due first. With `all` the dear ones need not wait.
    pub(crate) fn take(&mut self, now: Duration, max: usize, all: bool) -> Vec<T> {
        self.paced.retain(|_, not_before| *not_before > now);
        let may_go = |(_, key): &&(Duration, K)| all || !self.is_paced(key);
        let going: Vec<_> = self.due.iter().filter(may_go).take(max).copied().collect();
        let mut taken = std::mem::take(&mut self.stale);
        taken.extend(going.into_iter().filter_map(|(due, key)| {
            self.due.remove(&(due, key));
            self.waiting.remove(&key).map(|slot| slot.item)
        }));
        taken
    }

    /// The next record of this key has to wait until then, unless it is urgent.
    pub(crate) fn pace(&mut self, key: K, not_before: Duration) {
        self.paced.insert(key, not_before);
        if let Some(slot) = self.waiting.get_mut(&key).filter(|slot| !slot.is_urgent && slot.due < not_before) {
            self.due.remove(&(slot.due, key));
            slot.due = not_before;
            self.due.insert((not_before, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epoch, turn, and a name.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Item(u64, u64, char);

    impl Ranked for Item {
        fn rank(&self) -> (u64, u64) {
            (self.0, self.1)
        }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(now: u64) -> Wait {
        Wait { now: ms(now), delay: ms(20), is_urgent: false }
    }

    fn names(items: &[Item]) -> String {
        items.iter().map(|item| item.2).collect()
    }

    #[test]
    fn a_session_has_one_slot_and_the_later_record_has_it() {
        let mut slots = Slots::new();
        assert_eq!(slots.put('k', Item(1, 1, 'a'), at(0)), None);
        assert_eq!(slots.put('k', Item(1, 2, 'b'), at(15)), Some(Item(1, 1, 'a')));
        assert_eq!(slots.put('k', Item(1, 1, 'c'), at(16)), Some(Item(1, 1, 'c')), "it came too late");
        assert_eq!(slots.put('k', Item(1, 2, 'd'), at(17)), Some(Item(1, 2, 'b')), "the same turn, sealed");
        assert_eq!((slots.len(), slots.next_due()), (1, Some(ms(20))), "it waits no longer for being replaced");
        assert_eq!(names(&slots.take(ms(20), 9, false)), "d");
        assert!(slots.is_empty() && slots.next_due().is_none());
    }

    #[test]
    fn what_belongs_to_an_epoch_that_is_over_is_taken_to_be_told_so() {
        for order in [[Item(1, 9, 'a'), Item(2, 1, 'b')], [Item(2, 1, 'b'), Item(1, 9, 'a')]] {
            let mut slots = Slots::new();
            assert!(order.into_iter().all(|item| slots.put('k', item, at(0)).is_none()));
            assert_eq!((slots.len(), slots.next_due()), (2, Some(ms(0))));
            assert_eq!(names(&slots.take(ms(0), 9, false)), "ab");
        }
    }

    #[test]
    fn the_longest_due_go_first_and_no_more_than_asked_for() {
        let mut slots = Slots::new();
        for (key, now) in [('c', 3), ('a', 1), ('b', 2)] {
            slots.put(key, Item(1, 1, key), at(now));
        }
        assert_eq!(names(&slots.take(ms(21), 2, false)), "ab");
        assert_eq!(slots.next_due(), Some(ms(23)));
        assert_eq!(names(&slots.take(ms(21), 2, false)), "c", "who is due takes the others along");
    }

    #[test]
    fn an_urgent_one_is_due_at_once_and_stays_urgent_when_it_is_replaced() {
        let mut slots = Slots::new();
        slots.pace('k', ms(900));
        slots.put('k', Item(1, 1, 'a'), Wait { is_urgent: true, ..at(5) });
        slots.put('k', Item(1, 2, 'b'), at(6));
        assert_eq!(slots.next_due(), Some(ms(5)));
        assert_eq!(names(&slots.take(ms(6), 9, false)), "b");
    }

    #[test]
    fn a_dear_record_waits_until_its_time_and_holds_up_no_other() {
        let mut slots = Slots::new();
        slots.pace('d', ms(500));
        slots.put('d', Item(1, 1, 'd'), at(0));
        slots.put('c', Item(1, 1, 'c'), at(0));
        assert_eq!(slots.next_due(), Some(ms(20)));
        assert_eq!(names(&slots.take(ms(20), 9, false)), "c");
        assert_eq!(slots.next_due(), Some(ms(500)));
        assert_eq!(names(&slots.take(ms(499), 9, false)), "");
        assert_eq!(names(&slots.take(ms(500), 9, false)), "d");
        slots.pace('d', ms(900));
        slots.put('d', Item(1, 2, 'e'), at(600));
        assert_eq!(names(&slots.take(ms(600), 9, true)), "e", "at the end all goes");
    }

    #[test]
    fn one_that_came_while_the_dear_one_was_written_waits_as_well() {
        let mut slots = Slots::new();
        slots.put('d', Item(1, 2, 'd'), at(0));
        slots.pace('d', ms(500));
        assert_eq!((slots.next_due(), slots.next_is_paced()), (Some(ms(500)), true));
        slots.put('d', Item(1, 3, 'e'), Wait { is_urgent: true, ..at(9) });
        assert_eq!((slots.next_due(), slots.next_is_paced()), (Some(ms(9)), false));
    }
}
