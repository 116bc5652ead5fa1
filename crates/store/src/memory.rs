//! A store in memory: everything holds but the disk, and with the process the records are gone.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::{Claim, Epoch, Expired, Key, Node, Outcome, Record, Save, SessionStore, StoreError, Usage};

/// The settings of a [`MemoryStore`].
#[derive(Debug, Clone)]
pub struct MemoryOptions {
    /// How many bytes all records together may have; what would go beyond is [`StoreError::BytesMax`]. 1 GiB by default.
    /// Keys and epochs are not counted: about 100 bytes a session.
    pub bytes_max: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { bytes_max: 1 << 30 }
    }
}

/// Keeps records in memory.
///
/// A scan for expired sessions walks all of them, one shard of the map locked at a time: 100,000 take milliseconds.
#[derive(Debug)]
pub struct MemoryStore {
    sessions: DashMap<Key, Session>,
    options: MemoryOptions,
    bytes: AtomicUsize,
    removed: AtomicU64,
    /// How many sessions have a record.
    recorded: AtomicUsize,
    /// The number of the process start, in the high half of every epoch.
    start: u64,
    /// How many sessions were loaded since.
    loads: AtomicU64,
}

#[derive(Debug)]
struct Session {
    epoch: Epoch,
    is_held: bool,
    record: Option<Record>,
}

/// Load numbers have the low 32 bits of an epoch.
pub(crate) const LOADS_MAX: u64 = 1 << 32;
/// Start numbers have the 21 bits above, so that an epoch stays below 2^53.
pub(crate) const STARTS_MAX: u64 = 1 << 21;

impl MemoryStore {
    /// An empty store for the process start with this number, which is higher than that of every start before.
    ///
    /// # Panics
    /// When the number is 2^21 or more. At one start a second that takes 24 days, at one an hour 239 years.
    #[must_use]
    pub fn new(start: u64) -> Self {
        Self::with_options(start, MemoryOptions::default())
    }

    /// An empty store with other settings.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_options(start: u64, options: MemoryOptions) -> Self {
        assert!(start < STARTS_MAX, "the process start number is {start}; epochs have room for {STARTS_MAX}");
        Self {
            sessions: DashMap::new(),
            options,
            bytes: AtomicUsize::new(0),
            removed: AtomicU64::new(0),
            recorded: AtomicUsize::new(0),
            start,
            loads: AtomicU64::new(0),
        }
    }

    /// How many sessions are known, claimed or saved.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many bytes all records together have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The next epoch. For the epochs of one key to grow, its entry has to be locked.
    fn next_epoch(&self) -> Result<Epoch, StoreError> {
        let load = self.loads.fetch_add(1, Ordering::Relaxed);
        if load >= LOADS_MAX {
            // Stays beyond the end, whoever else asks: 2^63 more claims do not fit into a process's life.
            return Err(StoreError::EpochsExhausted);
        }
        Ok(Epoch(self.start * LOADS_MAX + load))
    }

    fn save_one(&self, save: &Save) -> Outcome {
        let Some(mut session) = self.sessions.get_mut(&save.key).filter(|session| session.epoch == save.epoch) else {
            return Outcome::Fenced;
        };
        let before = match &session.record {
            Some(record) if record.epoch == save.epoch && record.turn > save.turn => return Outcome::Saved,
            Some(record) => record.bytes.len(),
            None => 0,
        };
        if !self.account(before, save.bytes.len()) {
            return Outcome::Failed(StoreError::BytesMax(self.options.bytes_max));
        }
        if session.record.is_none() {
            self.recorded.fetch_add(1, Ordering::Relaxed);
        }
        let Save { epoch, turn, expiry, .. } = *save;
        session.record = Some(Record { epoch, turn, expiry, bytes: save.bytes.clone() });
        Outcome::Saved
    }

    /// Counts a record that takes the place of another, unless there is no room. One that does not grow always has room.
    fn account(&self, before: usize, after: usize) -> bool {
        let change = |bytes: usize| {
            let bytes = bytes - before + after;
            (after <= before || bytes <= self.options.bytes_max).then_some(bytes)
        };
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

impl SessionStore for MemoryStore {
    fn claim(&self, key: Key, _node: Node) -> Result<Claim, StoreError> {
        // Locks the entry, so that two claims of one key get their epochs in the order in which they take effect.
        let entry = self.sessions.entry(key);
        let epoch = self.next_epoch()?;
        let mut session = entry.or_insert(Session { epoch, is_held: true, record: None });
        debug_assert!(session.epoch <= epoch, "epochs of one key grow");
        session.epoch = epoch;
        session.is_held = true;
        Ok(Claim { epoch, record: session.record.clone() })
    }

    fn save(&self, batch: &[Save]) -> Vec<Outcome> {
        batch.iter().map(|save| self.save_one(save)).collect()
    }

    fn release(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        let Entry::Occupied(mut entry) = self.sessions.entry(key) else { return Ok(false) };
        if entry.get().epoch != epoch {
            return Ok(false);
        }
        if entry.get().record.is_some() {
            entry.get_mut().is_held = false;
        } else {
            // Nothing was ever saved, so there is nothing to fence off: a late save finds no session and is fenced too.
            entry.remove();
        }
        Ok(true)
    }

    fn remove(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        let Entry::Occupied(entry) = self.sessions.entry(key) else { return Ok(true) };
        if entry.get().epoch != epoch {
            return Ok(false);
        }
        if let Some(record) = entry.remove().record {
            self.account(record.bytes.len(), 0);
            self.removed.fetch_max(record.epoch.0, Ordering::Relaxed);
            self.recorded.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(true)
    }

    fn keys(&self, after: Option<Key>, max: usize) -> Result<Vec<Key>, StoreError> {
        let recorded = self.sessions.iter().filter(|session| session.record.is_some()).map(|session| *session.key());
        let mut keys: Vec<_> = recorded.filter(|key| after.is_none_or(|after| *key > after)).collect();
        keys.sort_unstable();
        keys.truncate(max);
        Ok(keys)
    }

    fn expired(&self, now: u64, max: usize) -> Result<Vec<Expired>, StoreError> {
        let is_expired =
            |session: &Session| !session.is_held && session.record.as_ref().is_some_and(|record| record.expiry <= now);
        let expired = self.sessions.iter().filter(|session| is_expired(session.value()));
        Ok(expired.take(max).map(|session| Expired { key: *session.key(), epoch: session.epoch }).collect())
    }

    fn removed(&self) -> Option<Epoch> {
        Some(Epoch(self.removed.load(Ordering::Relaxed)))
    }

    fn oldest(&self, max: usize) -> Result<Vec<Expired>, StoreError> {
        let resting = self.sessions.iter().filter(|session| !session.is_held);
        let expiry = |session: &Session| session.record.as_ref().map(|record| record.expiry);
        let mut oldest: Vec<_> = resting
            .filter_map(|session| Some((expiry(&session)?, Expired { key: *session.key(), epoch: session.epoch })))
            .collect();
        oldest.sort_unstable_by_key(|(expiry, session)| (*expiry, session.key));
        Ok(oldest.into_iter().take(max).map(|(_, session)| session).collect())
    }

    fn usage(&self) -> Usage {
        let saved = self.recorded.load(Ordering::Relaxed);
        Usage { sessions: saved as u64, record_bytes: self.bytes() as u64, ..Usage::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    const KEY: Key = Key([1; 12]);
    const NODE: Node = Node(0);

    fn save(epoch: Epoch, bytes: &'static str) -> Save {
        Save { key: KEY, epoch, turn: 1, expiry: 0, bytes: bytes.into() }
    }

    #[test]
    fn it_behaves_as_every_store() {
        suite::run(|start| Box::new(MemoryStore::new(start)));
    }

    #[test]
    fn a_full_store_fails_what_grows_and_takes_what_does_not() {
        let store = MemoryStore::with_options(1, MemoryOptions { bytes_max: 4 });
        let epoch = store.claim(KEY, NODE).expect("claimed").epoch;
        assert_eq!(store.save(&[save(epoch, "1234")]), [Outcome::Saved]);
        assert_eq!(store.save(&[save(epoch, "12345")]), [Outcome::Failed(StoreError::BytesMax(4))]);
        assert_eq!((store.save(&[save(epoch, "abc")]), store.bytes()), (vec![Outcome::Saved], 3));
        assert_eq!(store.remove(KEY, epoch), Ok(true));
        assert_eq!((store.bytes(), store.len()), (0, 0));
    }

    #[test]
    fn a_session_that_was_never_saved_leaves_nothing_when_it_is_released() {
        let store = MemoryStore::new(1);
        let epoch = store.claim(KEY, NODE).expect("claimed").epoch;
        assert_eq!(store.release(KEY, epoch), Ok(true));
        assert!(store.is_empty());
        assert_eq!(store.save(&[save(epoch, "late")]), [Outcome::Fenced]);
    }

    #[test]
    fn epochs_are_made_of_start_and_load_and_end_before_javascript_loses_count() {
        let store = MemoryStore::new(STARTS_MAX - 1);
        assert_eq!(store.claim(KEY, NODE).expect("claimed").epoch, Epoch((STARTS_MAX - 1) << 32));
        store.loads.store(LOADS_MAX - 1, Ordering::Relaxed);
        assert_eq!(store.claim(KEY, NODE).expect("claimed").epoch, Epoch((1 << 53) - 1));
        assert_eq!(store.claim(Key([2; 12]), NODE), Err(StoreError::EpochsExhausted));
        assert_eq!(store.len(), 1, "a claim that failed leaves nothing behind");
    }
}
