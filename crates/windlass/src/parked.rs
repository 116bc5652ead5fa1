//! The sessions that have left memory: how many, how large, whose, and which of them goes first when there is no room.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use windlass_protocol::SessionId;

use crate::address::Address;

/// Who holds a session, as far as room is concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Holder {
    User(Arc<str>),
    Address(Address),
    /// Nobody is known who would hold more than this one.
    Alone(SessionId),
}

/// The sessions that are parked. Bounded by whoever asks [`Parked::victim`] after each [`Parked::add`].
#[derive(Debug, Default)]
pub(crate) struct Parked {
    sessions: HashMap<SessionId, Entry>,
    holders: HashMap<Holder, BTreeSet<(u64, SessionId)>>,
    /// By how many they hold, and of those with as many by whose oldest is the oldest.
    largest: BTreeSet<(usize, Reverse<u64>, Holder)>,
    bytes: usize,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    holder: Holder,
    epoch: u64,
    bytes: usize,
    /// Which parking it was: an order, no time.
    at: u64,
}

/// What is known of one that is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resting {
    pub(crate) id: SessionId,
    pub(crate) epoch: u64,
}

impl Parked {
    /// A session has left memory.
    pub(crate) fn add(&mut self, id: SessionId, epoch: u64, holder: Holder, bytes: usize) {
        self.remove(id);
        self.count += 1;
        let at = self.count;
        self.bytes += bytes;
        self.change(&holder, |held| held.insert((at, id)));
        self.sessions.insert(id, Entry { holder, epoch, bytes, at });
    }

    /// A session is back, or gone for good.
    pub(crate) fn remove(&mut self, id: SessionId) {
        let Some(entry) = self.sessions.remove(&id) else { return };
        self.bytes -= entry.bytes;
        self.change(&entry.holder, |held| held.remove(&(entry.at, id)));
    }

    fn change(&mut self, holder: &Holder, change: impl FnOnce(&mut BTreeSet<(u64, SessionId)>) -> bool) {
        let held = self.holders.entry(holder.clone()).or_default();
        let rank = |held: &BTreeSet<(u64, SessionId)>| {
            let oldest = held.first().map_or(0, |(at, _)| *at);
            (held.len(), Reverse(oldest), holder.clone())
        };
        let before = rank(held);
        change(held);
        let after = rank(held);
        if held.is_empty() {
            self.holders.remove(holder);
        }
        self.largest.remove(&before);
        if after.0 > 0 {
            self.largest.insert(after);
        }
    }

    /// The one that goes first: the oldest of whoever holds most, and how many they hold.
    pub(crate) fn victim(&self) -> Option<(Resting, usize)> {
        let (held, _, holder) = self.largest.last()?;
        let (_, id) = self.holders.get(holder)?.first()?;
        Some((Resting { id: *id, epoch: self.sessions.get(id)?.epoch }, *held))
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId([n; 12])
    }

    /// BOUNDED
    #[test]
    fn the_oldest_of_whoever_holds_most_goes_first() {
        let (flood, ada) = (Holder::Address(std::net::IpAddr::from([10, 0, 0, 1]).into()), Holder::User("ada".into()));
        let mut parked = Parked::default();
        parked.add(id(1), 1, ada.clone(), 100);
        parked.add(id(2), 2, Holder::Alone(id(2)), 10);
        for n in 3..=5 {
            parked.add(id(n), u64::from(n), flood.clone(), 1);
        }
        assert_eq!(parked.victim(), Some((Resting { id: id(3), epoch: 3 }, 3)));
        parked.remove(id(3));
        // Who was parked again is the youngest.
        parked.add(id(4), 9, flood, 1);
        assert_eq!(parked.victim(), Some((Resting { id: id(5), epoch: 5 }, 2)));
        assert_eq!((parked.len(), parked.bytes()), (4, 112));
        parked.remove(id(4));
        assert_eq!(parked.victim(), Some((Resting { id: id(1), epoch: 1 }, 1)), "of those who hold as many");
        for n in 1..=5 {
            parked.remove(id(n));
        }
        assert_eq!((parked.victim(), parked.len(), parked.bytes()), (None, 0, 0));
        assert!(parked.holders.is_empty() && parked.largest.is_empty());
    }
}
