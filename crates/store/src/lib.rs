//! Where session records are kept: [`SessionStore`], on disk with [`RedbStore`], and in memory with [`MemoryStore`].
//!
//! A store moves keys, epochs, turns, expiries and bytes. It knows no session, never looks into a record, and
//! reads no clock. The [`Writer`] is the thread that calls it: it groups what many sessions want saved.
//!
//! ```
//! use windlass_store::{Key, MemoryStore, Node, Outcome, Save, SessionStore};
//!
//! let store = MemoryStore::new(1);
//! let (key, node) = (Key([7; 12]), Node(0));
//! let first = store.claim(key, node)?;
//! assert!(first.record.is_none());
//!
//! let save = Save { key, epoch: first.epoch, turn: 1, expiry: 60, bytes: "state".into() };
//! assert_eq!(store.save(&[save.clone()]), [Outcome::Saved]);
//!
//! // Whoever loads the session next gets a higher epoch, and the one before can no longer save.
//! let second = store.claim(key, node)?;
//! assert_eq!(second.record.map(|record| record.bytes), Some("state".into()));
//! assert!(second.epoch > first.epoch);
//! assert_eq!(store.save(&[Save { turn: 2, ..save }]), [Outcome::Fenced]);
//! # Ok::<(), windlass_store::StoreError>(())
//! ```
//!
//! # One owner
//!
//! A session is served by whoever claimed it last. [`claim`](SessionStore::claim) raises its epoch in one atomic step,
//! and everything else names the epoch under which it is done: what comes with another one does nothing and says so.
//! Locks and leases decide when it is worth trying; safety is the epoch alone.

mod disk;
mod error;
mod memory;
#[doc(hidden)]
pub mod suite;
mod sync;
mod writer;

use std::fmt;

use bytes::Bytes;

pub use disk::{RedbOptions, RedbStore};
pub use error::StoreError;
pub use memory::{MemoryOptions, MemoryStore};
pub use writer::{
    EncodeError, Health, Report, SaveRequest, Told, Unsaved, Writer, WriterOptions, WriterStats, Written,
};

/// Names one session. Opaque here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 12]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// One loading of a session. For one key it only grows; it stays below 2^53, where JavaScript still counts exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Names a server among those that share a store. A store that belongs to one process ignores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node(pub u64);

/// What is kept of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The epoch under which it was saved, lower than that of the claim that gave it out.
    pub epoch: Epoch,
    /// The turn after which it was saved.
    pub turn: u64,
    /// See [`Save::expiry`].
    pub expiry: u64,
    /// The record itself.
    pub bytes: Bytes,
}

/// What [`SessionStore::claim`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The epoch under which everything else is to be done.
    pub epoch: Epoch,
    /// What was saved last; `None` for a session that is new or was never saved.
    pub record: Option<Record>,
}

/// One record to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// Whose record it is.
    pub key: Key,
    /// The epoch that was claimed.
    pub epoch: Epoch,
    /// The turn after which the record was made.
    pub turn: u64,
    /// When the record may go if nobody claims it, on a clock of the caller's that never goes back:
    /// seconds that servers have been up, say. The store only compares it with the `now` of a scan.
    pub expiry: u64,
    /// The record itself. Cloning it does not copy it, so a batch can be kept until it is known to be saved.
    pub bytes: Bytes,
}

/// What became of one [`Save`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The record, or a later one of the same epoch, is kept. A durable store has it on disk.
    Saved,
    /// Someone else has claimed the session, or it was removed: drop it at once, and save nothing more of it.
    Fenced,
    /// Nothing is known: the record may be kept or not. Save it, or a later one, again.
    Failed(StoreError),
}

/// A session that may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Which session.
    pub key: Key,
    /// Its epoch. If it has been claimed meanwhile, [`SessionStore::remove`] with this one does nothing.
    pub epoch: Epoch,
}

/// Keeps session records.
///
/// All methods block. That is on purpose: a server calls them from the one thread that writes, which collects what many
/// sessions want saved into one batch and one commit; files block anyway; and a trait without futures can be a
/// trait object, costs a memory store nothing, and is run by the same [suite] over every store.
///
/// No call spans two sessions: each item of a batch stands alone.
pub trait SessionStore: Send + Sync + 'static {
    /// Takes a session over: raises its epoch in one atomic step and gives what was saved last.
    ///
    /// When it has returned, no save under an earlier epoch succeeds any more. A session that is not known is claimed too.
    ///
    /// # Errors
    /// Then nothing is known: the epoch may have been raised or not. Claim again.
    fn claim(&self, key: Key, node: Node) -> Result<Claim, StoreError>;

    /// Saves a batch, and says what became of each item, in order.
    ///
    /// Saving the same record twice is the same as once, so a batch whose answer was lost can be sent again. An earlier
    /// turn of the same epoch does not replace a later one; the same turn replaces itself, since a record may be
    /// sealed or learn of an acknowledgement without another turn.
    fn save(&self, batch: &[Save]) -> Vec<Outcome>;

    /// Gives a session back that is not served any longer; its record stays, and may expire.
    /// False when someone else has claimed it, and nothing was done.
    ///
    /// # Errors
    /// The session may be held still. It then expires only after another claim, or a restart.
    fn release(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError>;

    /// Removes a session and its record for good. False when someone else has claimed it, and nothing was done;
    /// true when it is gone, also when it was before.
    ///
    /// # Errors
    /// The record may be gone or not. Remove it again.
    fn remove(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError>;

    /// At most `max` sessions whose expiry is at or before `now` and that nobody holds, in no particular order.
    ///
    /// # Errors
    /// Scan again later.
    fn expired(&self, now: u64, max: usize) -> Result<Vec<Expired>, StoreError>;

    /// At most `max` sessions that nobody holds, those first that expire first: who has to go when there is no room. None by
    /// default, for a store that does not know.
    ///
    /// # Errors
    /// Ask again later.
    fn oldest(&self, _max: usize) -> Result<Vec<Expired>, StoreError> {
        Ok(Vec::new())
    }

    /// At most `max` keys that have a record, whoever holds them, in order and after that one: all of them are looked
    /// through in pieces. None by default, for a store that cannot list them.
    ///
    /// # Errors
    /// List again later.
    fn keys(&self, _after: Option<Key>, _max: usize) -> Result<Vec<Key>, StoreError> {
        Ok(Vec::new())
    }

    /// Removes several, each as [`remove`](Self::remove) does. A store that commits does so once for all of them.
    ///
    /// # Errors
    /// For each item as [`remove`](Self::remove).
    fn remove_all(&self, batch: &[Expired]) -> Vec<Result<bool, StoreError>> {
        batch.iter().map(|item| self.remove(item.key, item.epoch)).collect()
    }

    /// The highest epoch of a record that was ever removed, on disk before the removal is answered: a session that has no record
    /// and was loaded in a later epoch never had one. None, the default, where that is not known.
    fn removed(&self) -> Option<Epoch> {
        None
    }

    /// Where the clock of [`Save::expiry`] goes on: the latest `now` that a scan of an earlier process named, as far as it
    /// was kept. 0 for a store that was never scanned, or keeps nothing.
    fn uptime(&self) -> u64 {
        0
    }

    /// What the store takes up.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// Leaves everything as the next process wants to find it. What is asked for later fails with [`StoreError::Closed`];
    /// a store that keeps nothing has nothing to do.
    ///
    /// # Errors
    /// Everything that was answered with saved is on disk all the same; the next process may take longer to open it.
    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a store takes up, and what it has written since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Sessions that have a record.
    pub sessions: u64,
    /// The bytes of their records.
    pub record_bytes: u64,
    /// The bytes of the file; 0 for a store that has none.
    pub file_bytes: u64,
    /// Bytes written to the file since it was opened: more than what was saved, since whole pages are written.
    pub written_bytes: u64,
    /// How often the disk was told to keep what was written.
    pub syncs: u64,
}
