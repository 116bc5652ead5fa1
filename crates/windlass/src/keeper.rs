//! Where the records of sessions go and come from: the store, and the thread that writes to it.
//!
//! A store on disk is written to by a thread of its own. One in memory is asked in place: it holds what is parked, and
//! nothing else, since what is in memory would go with it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use windlass_engine::{Durability, SaveOptions};
use windlass_protocol::{Epoch, SessionId};
use windlass_store::{
    Claim, Expired, Health, Key, Node, Save, SaveRequest, SessionStore, StoreError, Told, Unsaved, Usage, Writer,
    WriterOptions, WriterStats, Written,
};

use crate::parked::{Holder, Parked, Resting};
use crate::{Error, Result, lock, random};

/// How sessions are kept beyond their place in memory.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    pub(crate) durability: Durability,
    pub(crate) unsaved_max: Duration,
    pub(crate) parked_max: usize,
    pub(crate) parked_bytes_max: u64,
    /// In seconds of uptime.
    pub(crate) expire_after: Duration,
}

/// Where records go and come from.
pub(crate) struct Keeper {
    store: Arc<dyn SessionStore>,
    /// None for a store that is asked in place.
    writer: Option<Writer>,
    /// What is stored is saved, beyond the end of the process.
    is_durable: bool,
    keeping: Keeping,
    parked: Mutex<Parked>,
    /// Sessions whose removal waits for the disk.
    leaving: Arc<Mutex<HashSet<SessionId>>>,
    evicted: AtomicU64,
}

/// A record that is to be stored.
pub(crate) struct Storing {
    pub(crate) id: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) turn: u64,
    pub(crate) is_urgent: bool,
    /// Uptime when it was made.
    pub(crate) uptime: Duration,
    pub(crate) encode: Box<dyn FnOnce() -> Result<Bytes> + Send>,
}

/// What became of a record.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Saved { turn: u64, bytes: usize, took: Duration },
    Failed { turn: u64 },
    Fenced,
}

impl Keeper {
    /// Keeps records in this store, written to by a thread of its own if it `is_durable` and no test looks on.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread.
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        is_durable: bool,
        has_thread: bool,
        keeping: Keeping,
        watch: Arc<dyn Fn(&Health) + Send + Sync>,
    ) -> Result<Self> {
        let writer = if is_durable && has_thread {
            let options = WriterOptions { watch, ..WriterOptions::default() };
            Some(Writer::new(Arc::clone(&store), options)?)
        } else {
            None
        };
        let (parked, leaving, evicted) = (Mutex::default(), Arc::default(), AtomicU64::new(0));
        Ok(Self { store, writer, is_durable, keeping, parked, leaving, evicted })
    }

    /// The app's own secret: kept in the store, or made up where that ends with the process.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub(crate) fn secret(&self) -> Result<[u8; 32]> {
        let fresh: [u8; 32] = random::bytes();
        if !self.is_durable {
            return Ok(fresh);
        }
        // Claimed for as long as the process lives, so that it never expires.
        let claim = self.store.claim(SECRET, NODE).map_err(unusable)?;
        if let Some(known) = claim.record.and_then(|record| <[u8; 32]>::try_from(&record.bytes[..]).ok()) {
            return Ok(known);
        }
        let bytes = Bytes::copy_from_slice(&fresh);
        let save = Save { key: SECRET, epoch: claim.epoch, turn: 1, expiry: u64::MAX, bytes };
        match self.store.save(&[save]).pop() {
            Some(windlass_store::Outcome::Saved) => Ok(fresh),
            Some(windlass_store::Outcome::Failed(error)) => Err(unusable(error)),
            _ => Err(Error::internal("the store has lost the app's secret: another process has its sessions")),
        }
    }

    /// Whether sessions keep records from their first action on.
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// What a session has to know of how it is kept.
    pub(crate) fn save_options(&self) -> SaveOptions {
        let unsaved_max = if self.is_durable { self.keeping.unsaved_max } else { NEVER };
        let durability = if self.is_durable { self.keeping.durability } else { Durability::Eager };
        SaveOptions { durability, unsaved_max, store_is_up: !self.is_failing(), is_told: self.is_durable }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.writer.as_ref().is_some_and(Writer::is_failing)
    }

    /// Takes a session over, and gives what was saved of it.
    pub(crate) fn claim(&self, id: SessionId) -> Result<Claim, StoreError> {
        self.store.claim(Key(id.0), NODE)
    }

    /// Whether a session without a record that was loaded in this epoch never had one.
    pub(crate) fn was_never_saved(&self, epoch: Epoch) -> bool {
        self.is_durable && self.store.removed().is_some_and(|removed| epoch.0 > removed.0)
    }

    /// Gives a session back whose record stays.
    pub(crate) fn release(&self, id: SessionId, epoch: Epoch) {
        if let Err(error) = self.store.release(Key(id.0), windlass_store::Epoch(epoch.0)) {
            tracing::warn!(session = %id, %error, "a session stays held until the next start");
        }
    }

    /// Stores a record, and says so to `told`: at once, or on the writer's thread.
    pub(crate) fn store(&self, storing: Storing, told: impl Fn(Stored) + Send + Sync + 'static) {
        let Storing { id, epoch, turn, is_urgent, uptime, encode } = storing;
        let expiry = (uptime + self.keeping.expire_after).as_secs();
        let (key, epoch) = (Key(id.0), windlass_store::Epoch(epoch.0));
        let Some(writer) = &self.writer else {
            let stored = match encode() {
                Ok(bytes) => {
                    let len = bytes.len();
                    match self.store.save(&[Save { key, epoch, turn, expiry, bytes }]).pop() {
                        Some(windlass_store::Outcome::Saved) => {
                            Stored::Saved { turn, bytes: len, took: Duration::ZERO }
                        }
                        Some(windlass_store::Outcome::Fenced) | None => Stored::Fenced,
                        Some(windlass_store::Outcome::Failed(error)) => {
                            tracing::warn!(session = %id, %error, "a session was not saved");
                            Stored::Failed { turn }
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(session = %id, error = error.text, "a session cannot be saved");
                    Stored::Failed { turn }
                }
            };
            told(stored);
            return;
        };
        let record = move || encode().map_err(|error| error.text.into());
        let told: Arc<dyn Told> = Arc::new(move |report: windlass_store::Report| {
            let turn = report.turn;
            told(match report.written {
                // What it took is asked for as a pause, in units that the writer knows.
                Written::Saved => Stored::Saved { turn, bytes: report.bytes, took: report.pause / PAUSE_SHARE },
                Written::Fenced => Stored::Fenced,
                Written::Failed(_) => Stored::Failed { turn },
                Written::Unencodable(error) => {
                    tracing::error!(session = %id, error, "a session cannot be saved");
                    Stored::Failed { turn }
                }
            });
        });
        writer.save(SaveRequest { key, epoch, turn, expiry, is_urgent, record: Box::new(record), told });
    }

    /// Removes a session for good.
    pub(crate) fn remove(&self, id: SessionId, epoch: Epoch) {
        lock(&self.parked).remove(id);
        let (key, epoch) = (Key(id.0), windlass_store::Epoch(epoch.0));
        if let Some(writer) = &self.writer {
            lock(&self.leaving).insert(id);
            let leaving = Arc::clone(&self.leaving);
            let told = move |report: windlass_store::Report| {
                // One that has failed is tried again.
                if matches!(report.written, Written::Saved | Written::Fenced) {
                    lock(&leaving).remove(&id);
                }
            };
            return writer.remove(key, epoch, Some(Arc::new(told)));
        }
        if let Err(error) = self.store.remove(key, epoch) {
            tracing::warn!(session = %id, %error, "a record stays behind");
        }
    }

    /// A session has left memory, and is in the store.
    pub(crate) fn rests(&self, id: SessionId, epoch: Epoch, holder: Holder, bytes: usize) {
        lock(&self.parked).add(id, epoch.0, holder, bytes);
    }

    /// A session is back in memory.
    pub(crate) fn woken(&self, id: SessionId) {
        lock(&self.parked).remove(id);
    }

    /// Whether no session may be added to those that there are, so many of them in memory.
    pub(crate) fn is_full(&self, live: usize) -> bool {
        let (sessions, bytes) = self.at_rest(live);
        sessions >= self.keeping.parked_max || bytes >= self.keeping.parked_bytes_max
    }

    /// How many sessions have left memory, so many being in it, and the bytes of their records. What earlier processes have
    /// left counts as well; of the store's bytes they have their share.
    fn at_rest(&self, live: usize) -> (usize, u64) {
        let usage = self.store.usage();
        let parked = lock(&self.parked);
        // The app's own secret is no session.
        let elsewhere = live.saturating_add(lock(&self.leaving).len() + usize::from(self.is_durable));
        let stored = usage.sessions.saturating_sub(elsewhere as u64);
        let share = u128::from(usage.record_bytes) * u128::from(stored) / u128::from(usage.sessions.max(1));
        let sessions = usize::try_from(stored).unwrap_or(usize::MAX);
        (parked.len().max(sessions), (parked.bytes() as u64).max(u64::try_from(share).unwrap_or(u64::MAX)))
    }

    /// The one that has to go, when more are at rest than may be: the oldest of whoever has parked most of them since the
    /// start, and when nobody has parked several what an earlier process has left, if that would expire first.
    pub(crate) fn victim(&self, live: usize) -> Option<Resting> {
        let (sessions, bytes) = self.at_rest(live);
        if sessions <= self.keeping.parked_max && bytes <= self.keeping.parked_bytes_max {
            return None;
        }
        let (first, is_one_of_several) = match lock(&self.parked).victim() {
            Some((victim, held)) => (Some(victim), held > 1),
            None => (None, false),
        };
        let victim = first.filter(|_| is_one_of_several).or_else(|| self.oldest_left()).or(first)?;
        self.evicted.fetch_add(1, Ordering::Relaxed);
        Some(victim)
    }

    /// The one that would expire first, when an earlier process has left it: it rests for longer than all that this one has
    /// parked.
    fn oldest_left(&self) -> Option<Resting> {
        let leaving = lock(&self.leaving);
        let oldest = self.store.oldest(leaving.len() + 1).unwrap_or_else(|error| {
            tracing::warn!(%error, "the store does not say which session is the oldest");
            Vec::new()
        });
        let resting = |session: Expired| Resting { id: SessionId(session.key.0), epoch: session.epoch.0 };
        let first = oldest.into_iter().map(resting).find(|session| !leaving.contains(&session.id))?;
        Some(first).filter(|session| !lock(&self.parked).contains(session.id))
    }

    /// Sessions that have a record, so many at most, after that one.
    pub(crate) fn sessions(&self, after: Option<SessionId>, max: usize) -> Vec<SessionId> {
        let keys = self.store.keys(after.map(|id| Key(id.0)), max).unwrap_or_else(|error| {
            tracing::error!(%error, "jobs of sessions that nobody comes back to are not run: the store does not list them");
            Vec::new()
        });
        keys.into_iter().filter(|key| *key != SECRET).map(|key| SessionId(key.0)).collect()
    }

    /// Those whose time is over, so many at most.
    pub(crate) fn expired(&self, uptime: Duration, max: usize) -> Vec<Expired> {
        self.store.expired(uptime.as_secs(), max).unwrap_or_else(|error| {
            tracing::warn!(%error, "the store does not say which sessions have expired");
            Vec::new()
        })
    }

    /// How long the app was up before this process, as the store knows.
    pub(crate) fn uptime_before(&self) -> Duration {
        Duration::from_secs(self.store.uptime())
    }

    /// What is parked in memory goes, as it does with a process.
    pub(crate) fn forget_parked(&self) {
        let mut parked = lock(&self.parked);
        while let Some((Resting { id, epoch }, _)) = parked.victim() {
            parked.remove(id);
            let _ = self.store.remove(Key(id.0), windlass_store::Epoch(epoch));
        }
    }

    /// How many are parked, how many bytes they have, how many had to go.
    pub(crate) fn parked(&self) -> (usize, usize, u64) {
        let parked = lock(&self.parked);
        (parked.len(), parked.bytes(), self.evicted.load(Ordering::Relaxed))
    }

    /// What the thread that writes has done; none when there is no such thread.
    pub(crate) fn stats(&self) -> Option<WriterStats> {
        self.writer.as_ref().map(Writer::stats)
    }

    pub(crate) fn usage(&self) -> Usage {
        self.store.usage()
    }

    /// Saves what waits. Blocks the thread.
    pub(crate) fn flush(&self, within: Duration) -> Result<(), Unsaved> {
        self.writer.as_ref().map_or(Ok(()), |writer| writer.flush(within))
    }

    /// Saves what waits and closes the store. Blocks the thread.
    pub(crate) fn close(&self, within: Duration) -> Result<(), Unsaved> {
        self.writer.as_ref().map_or(Ok(()), |writer| writer.close(within))
    }
}

/// Tells the log when the store begins to fail, ever more rarely while it does, and when it works again.
pub(crate) struct Watch {
    failures: Mutex<u64>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { failures: Mutex::new(0) }
    }

    pub(crate) fn hear(&self, health: &Health) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match health {
            Health::Well if *failures > 0 => {
                tracing::info!(failures = *failures, "the store works again; everything that waited is saved");
                *failures = 0;
            }
            Health::Well => {}
            Health::Failing(error) => {
                *failures += 1;
                if failures.is_power_of_two() {
                    tracing::error!(%error, failures = *failures, "the store fails: nothing that must be saved is done");
                }
            }
        }
    }
}

/// The operator's fault, or the disk's.
fn unusable(error: StoreError) -> Error {
    Error::internal(format!("the data folder cannot be used: {error}"))
}

/// One server.
const NODE: Node = Node(0);
/// The key of the app's own secret; no session has it, as theirs are random.
const SECRET: Key = Key([0; 12]);
/// Only what asks for it is stored in memory: parking.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The pause that the writer asks for is as many times what a record took as a twentieth of a core allows.
const PAUSE_SHARE: u32 = 20;
