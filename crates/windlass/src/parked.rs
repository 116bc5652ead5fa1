//! The sessions that have left memory: how many, how large, whose, and which of them goes first when there is no room.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use windlass_protocol::SessionId;

/// Who holds a session, as far as room is concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Holder {
    User(Arc<str>),
    Browser([u8; 32]),
    Address(std::net::IpAddr),
    /// Nobody is known who would hold more than this one.
    Alone(SessionId),
}

/// The sessions that are parked. Bounded by whoever asks [`Parked::victim`] after each [`Parked::add`].
#[derive(Debug, Default)]
pub(crate) struct Parked {
    sessions: HashMap<SessionId, Entry>,
    holders: HashMap<Holder, BTreeSet<(u64, SessionId)>>,
    /// By how many they hold.
    largest: BTreeSet<(usize, Holder)>,
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
        let before = held.len();
        change(held);
        let after = held.len();
        if after == 0 {
            self.holders.remove(holder);
        }
        self.largest.remove(&(before, holder.clone()));
        if after > 0 {
            self.largest.insert((after, holder.clone()));
        }
    }

    /// The one that goes first: the oldest of whoever holds most.
    pub(crate) fn victim(&self) -> Option<Resting> {
        let (_, holder) = self.largest.last()?;
        let (_, id) = self.holders.get(holder)?.first()?;
        Some(Resting { id: *id, epoch: self.sessions.get(id)?.epoch })
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
        let (flood, ada) = (Holder::Address([10, 0, 0, 1].into()), Holder::User("ada".into()));
        let mut parked = Parked::default();
        parked.add(id(1), 1, ada.clone(), 100);
        parked.add(id(2), 2, Holder::Alone(id(2)), 10);
        for n in 3..=5 {
            parked.add(id(n), u64::from(n), flood.clone(), 1);
        }
        assert_eq!(parked.victim(), Some(Resting { id: id(3), epoch: 3 }));
        parked.remove(id(3));
        // Who was parked again is the youngest.
        parked.add(id(4), 9, flood, 1);
        assert_eq!(parked.victim(), Some(Resting { id: id(5), epoch: 5 }));
        assert_eq!((parked.len(), parked.bytes()), (4, 112));
        for n in 1..=5 {
            parked.remove(id(n));
        }
        assert_eq!((parked.victim(), parked.len(), parked.bytes()), (None, 0, 0));
        assert!(parked.holders.is_empty() && parked.largest.is_empty());
    }
}
