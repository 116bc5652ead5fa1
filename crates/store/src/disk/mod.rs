//! A store in one file of a folder, kept by redb: what was answered with saved survives the process and the machine.
//!
//! ```
//! use windlass_store::{Key, Node, Outcome, RedbStore, Save, SessionStore};
//!
//! # let folder = std::env::temp_dir().join(format!("windlass-doc-{}", std::process::id()));
//! let key = Key([7; 12]);
//! {
//!     let store = RedbStore::open(&folder)?;
//!     let epoch = store.claim(key, Node(0))?.epoch;
//!     assert_eq!(store.save(&[Save { key, epoch, turn: 1, expiry: 60, bytes: "state".into() }]), [Outcome::Saved]);
//! }
//! let again = RedbStore::open(&folder)?;
//! assert_eq!(again.claim(key, Node(0))?.record.map(|record| record.bytes), Some("state".into()));
//! # drop(again);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fence;
mod layout;
mod medium;

use std::collections::HashMap;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

use crate::memory::{LOADS_MAX, STARTS_MAX};
use crate::{Claim, Epoch, Expired, Key, Node, Outcome, Save, SessionStore, StoreError, Usage};
use fence::Fence;
use layout::{About, Beside, EXPIRIES, FORMAT, RECORDS, SESSIONS};
use medium::{Folder, Medium, Metered, Meters, error_of};

/// The settings of a [`RedbStore`].
#[derive(Debug, Clone)]
pub struct RedbOptions {
    /// How many bytes all records together may have; what would go beyond is [`StoreError::BytesMax`], and what does not grow
    /// is still taken. 64 GiB by default. The file takes more: whole pages, and room to write the next ones.
    pub bytes_max: u64,
    /// How many bytes of the file are kept in memory. 16 MiB by default.
    pub cache_bytes: usize,
    /// From this size of the file on, each commit also writes what an opening after a crash would otherwise have to
    /// find out by reading the whole file. 64 MiB by default; commits above it take about a third longer.
    pub quick_repair_above: u64,
    /// Up to this size the whole file is checked when it is opened; a larger one only after a crash. 64 MiB by default,
    /// which takes a few tenths of a second.
    pub check_up_to: u64,
    /// When it is opened, a file that is larger than this and than four times its records is made smaller.
    /// 64 MiB by default.
    pub compact_above: u64,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 30,
            cache_bytes: 16 << 20,
            quick_repair_above: 64 << 20,
            check_up_to: 64 << 20,
            compact_above: 64 << 20,
        }
    }
}

/// Keeps records in the file `sessions.redb` of a folder that it has for itself.
///
/// A batch is one commit: when [`save`](SessionStore::save) answers, all of it is on disk or, as far as is known, none.
/// When the file fails it is closed, and opened again by the next call, so that a fault that goes away needs no restart.
///
/// Epochs are 2^32 times the number of the opening, which is committed before anything else, plus the number of the
/// claim; so those of a later process are higher than all before, and a claim writes nothing.
#[derive(Debug)]
pub struct RedbStore {
    medium: Box<dyn Medium>,
    options: RedbOptions,
    meters: Arc<Meters>,
    file: RwLock<FileState>,
    fence: Fence,
    /// The number of this opening.
    start: u64,
    loads: AtomicU64,
    /// The uptime that was found, and the one that a scan named last.
    uptime_found: u64,
    uptime: AtomicU64,
    /// What is known to be in the file.
    uptime_kept: AtomicU64,
    /// See [`SessionStore::removed`].
    removed: AtomicU64,
    sessions: AtomicU64,
    record_bytes: AtomicU64,
}

#[derive(Debug)]
struct FileState {
    /// Counts the openings, so that whoever saw one fail does not close the next.
    opening: u64,
    file: FileIs,
}

#[derive(Debug)]
enum FileIs {
    Open(Database),
    /// It failed. The next call opens it again.
    Failed,
    /// For good.
    Closed,
}

impl RedbStore {
    /// Opens the store in this folder, which is made if there is none, and counts the start.
    ///
    /// # Errors
    /// [`Locked`](StoreError::Locked) when another process has it; otherwise what is wrong with the folder or the file.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::with_options(folder, RedbOptions::default())
    }

    /// Opens it with other settings.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_options(folder: impl AsRef<Path>, options: RedbOptions) -> Result<Self, StoreError> {
        Self::on(Box::new(Folder::open(folder.as_ref())?), options)
    }

    fn on(medium: Box<dyn Medium>, options: RedbOptions) -> Result<Self, StoreError> {
        let mut store = Self {
            medium,
            options,
            meters: Arc::default(),
            file: RwLock::new(FileState { opening: 0, file: FileIs::Failed }),
            fence: Fence::default(),
            start: 0,
            loads: AtomicU64::new(0),
            uptime_found: 0,
            uptime: AtomicU64::new(0),
            uptime_kept: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            record_bytes: AtomicU64::new(0),
        };
        let (database, about) = match store.open_file()? {
            Some(opened) => opened,
            None => {
                store.make_file()?;
                let gone = || StoreError::Io { path: store.medium.path().to_owned(), why: "it has gone".to_owned() };
                store.open_file()?.ok_or_else(gone)?
            }
        };
        // What a file of format 1 has removed, nobody knows: everything of then may have been.
        let removed = if about.format < 2 { (about.starts + 1) * LOADS_MAX - 1 } else { about.removed };
        let about = About { starts: about.starts + 1, removed, ..about };
        if about.starts >= STARTS_MAX {
            return Err(StoreError::StartsExhausted);
        }
        let (database, sums) = store.guarded(|| {
            let mut database = database;
            let mut sums = sum(&database)?;
            let file_bytes = store.meters.file_bytes.load(Ordering::Relaxed);
            if file_bytes > store.options.compact_above && file_bytes / 4 > sums.1 {
                database.compact().map_err(redb::Error::from)?;
                sums = sum(&database)?;
            }
            let transaction = database.begin_write()?;
            // With the header, so that a crash leaves one format or the other.
            layout::migrate(&transaction, about.format)?;
            About { format: FORMAT, ..about }.write(&transaction)?;
            transaction.commit()?;
            Ok((database, sums))
        })?;
        store.file = RwLock::new(FileState { opening: 1, file: FileIs::Open(database) });
        store.start = about.starts;
        store.uptime_found = about.uptime;
        store.uptime = AtomicU64::new(about.uptime);
        store.uptime_kept = AtomicU64::new(about.uptime);
        store.removed = AtomicU64::new(about.removed);
        store.sessions = AtomicU64::new(sums.0);
        store.record_bytes = AtomicU64::new(sums.1);
        Ok(store)
    }

    /// Makes the file smaller, as far as it goes. False when there was nothing to gain.
    ///
    /// Everything else waits meanwhile: seconds for a file of a gigabyte.
    ///
    /// # Errors
    /// Nothing is lost then.
    pub fn compact(&self) -> Result<bool, StoreError> {
        let mut state = self.file_mut();
        let FileIs::Open(database) = &mut state.file else { return Err(StoreError::Closed) };
        let compacted = self.guarded(|| database.compact().map_err(redb::Error::from));
        if compacted.is_err() {
            self.let_go(&mut state);
        }
        compacted
    }

    /// The file and its header, if there is one.
    fn open_file(&self) -> Result<Option<(Database, About)>, StoreError> {
        let path = self.medium.path();
        let corrupt = |why: &str| StoreError::Corrupt { path: path.to_owned(), why: why.to_owned() };
        let Some(backend) = self.medium.open().map_err(|error| error_of(&error, path))? else { return Ok(None) };
        let bytes = backend.len().map_err(|error| error_of(&error, path))?;
        if bytes == 0 {
            return Err(corrupt("it is empty"));
        }
        self.meters.file_bytes.store(bytes, Ordering::Relaxed);
        let (database, about) = self.guarded(|| {
            let database = self.builder(bytes).create_with_backend(self.metered(backend))?;
            let about = About::read(&database)?;
            Ok((database, about))
        })?;
        let about = about.ok_or_else(|| corrupt("it belongs to another program"))?;
        if about.format > FORMAT {
            return Err(StoreError::LaterVersion { path: path.to_owned(), found: about.format, known: FORMAT });
        }
        Ok(Some((database, about)))
    }

    /// Makes an empty store. Beside its place and then moved there, since a file whose making was interrupted opens no more.
    fn make_file(&self) -> Result<(), StoreError> {
        let path = self.medium.path();
        let draft = self.medium.draft().map_err(|error| error_of(&error, path))?;
        self.guarded(|| {
            let database = self.builder(0).create_with_backend(self.metered(draft))?;
            let transaction = database.begin_write()?;
            About { format: FORMAT, starts: 0, uptime: 0, removed: 0 }.write(&transaction)?;
            transaction.open_table(RECORDS)?.insert(&[0; 12], &[0; ROOM_BYTES][..])?;
            transaction.commit()?;
            // A commit writes pages before it frees others. So that one which does not grow has room on a disk that is full, the
            // file begins with more than it needs.
            let transaction = database.begin_write()?;
            transaction.open_table(RECORDS)?.remove(&[0; 12])?;
            transaction.commit()?;
            database.close().map_err(redb::Error::from)
        })?;
        self.medium.install().map_err(|error| error_of(&error, path))
    }

    fn builder(&self, bytes: u64) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes).set_check_integrity_on_open(bytes <= self.options.check_up_to);
        builder
    }

    fn metered(&self, inner: Box<dyn redb::StorageBackend>) -> Metered {
        Metered { inner, meters: Arc::clone(&self.meters) }
    }

    fn file(&self) -> RwLockReadGuard<'_, FileState> {
        self.file.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_mut(&self) -> RwLockWriteGuard<'_, FileState> {
        self.file.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What redb says, in our words. A damaged file may make it panic, which ends nothing but the call.
    fn guarded<R>(&self, call: impl FnOnce() -> Result<R, redb::Error>) -> Result<R, StoreError> {
        let path = || self.medium.path().to_owned();
        let called = panic::catch_unwind(AssertUnwindSafe(call));
        let Ok(called) = called else { return Err(StoreError::Corrupt { path: path(), why: "redb panicked".into() }) };
        called.map_err(|error| match error {
            redb::Error::Io(error) => error_of(&error, self.medium.path()),
            redb::Error::DatabaseAlreadyOpen => {
                let path = path();
                StoreError::Locked { folder: path.parent().unwrap_or(&path).to_owned(), process: None }
            }
            redb::Error::Corrupted(why) => StoreError::Corrupt { path: path(), why },
            error @ (redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }) => {
                StoreError::Corrupt { path: path(), why: error.to_string() }
            }
            error => StoreError::Io { path: path(), why: error.to_string() },
        })
    }

    /// Does something with the file, which is opened again first when it has failed before.
    fn with<R>(&self, call: impl FnOnce(&Database) -> Result<R, redb::Error>) -> Result<R, StoreError> {
        let mut state = self.file();
        if matches!(state.file, FileIs::Failed) {
            drop(state);
            self.reopen()?;
            state = self.file();
        }
        let opening = state.opening;
        let called = match &state.file {
            FileIs::Open(database) => self.guarded(|| call(database)),
            FileIs::Failed => return Err(StoreError::Unavailable("the file has failed again".to_owned())),
            FileIs::Closed => return Err(StoreError::Closed),
        };
        drop(state);
        if called.is_err() {
            let mut state = self.file_mut();
            if state.opening == opening {
                self.let_go(&mut state);
            }
        }
        called
    }

    /// Closes a file that has failed: redb does nothing more with it until it is opened anew.
    fn let_go(&self, state: &mut FileState) {
        let file = std::mem::replace(&mut state.file, FileIs::Failed);
        // What panicked once may do so again when it is closed.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(file)));
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut state = self.file_mut();
        if !matches!(state.file, FileIs::Failed) {
            return Ok(());
        }
        let path = self.medium.path();
        let gone = || StoreError::Io { path: path.to_owned(), why: "it has gone".to_owned() };
        let (database, about) = self.open_file()?.ok_or_else(gone)?;
        if about.starts != self.start {
            return Err(StoreError::Replaced(path.to_owned()));
        }
        let sums = self.guarded(|| sum(&database))?;
        self.sessions.store(sums.0, Ordering::Relaxed);
        self.record_bytes.store(sums.1, Ordering::Relaxed);
        *state = FileState { opening: state.opening + 1, file: FileIs::Open(database) };
        Ok(())
    }

    fn next_epoch(&self) -> Result<Epoch, StoreError> {
        let load = self.loads.fetch_add(1, Ordering::Relaxed);
        if load >= LOADS_MAX {
            return Err(StoreError::EpochsExhausted);
        }
        Ok(Epoch(self.start * LOADS_MAX + load))
    }

    /// Runs one commit, and hears how much more is kept after it.
    fn commit<R>(
        &self,
        write: impl FnOnce(&redb::WriteTransaction) -> Result<(R, Growth), redb::Error>,
    ) -> Result<R, StoreError> {
        let uptime = self.uptime.load(Ordering::Relaxed);
        let with_uptime = uptime >= self.uptime_kept.load(Ordering::Relaxed).saturating_add(UPTIME_STEP);
        let (written, growth) = self.with(|database| {
            let mut transaction = database.begin_write()?;
            let file_bytes = self.meters.file_bytes.load(Ordering::Relaxed);
            transaction.set_quick_repair(file_bytes > self.options.quick_repair_above);
            let written = write(&transaction)?;
            let removed = written.1.removed.max(self.removed.load(Ordering::Relaxed));
            if with_uptime || written.1.removed == removed {
                About { format: FORMAT, starts: self.start, uptime, removed }.write(&transaction)?;
            }
            transaction.commit()?;
            Ok(written)
        })?;
        self.removed.fetch_max(growth.removed, Ordering::Relaxed);
        // A sum wraps for what became less, and is right all the same.
        self.sessions.fetch_add(growth.sessions.cast_unsigned(), Ordering::Relaxed);
        self.record_bytes.fetch_add(growth.bytes.cast_unsigned(), Ordering::Relaxed);
        if with_uptime {
            self.uptime_kept.store(uptime, Ordering::Relaxed);
        }
        Ok(written)
    }

    /// Those that nobody holds and that may go first, up to that bucket.
    fn first(&self, last: u64, max: usize, may_go: impl Fn(&Beside) -> bool) -> Result<Vec<Expired>, StoreError> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let (sessions, expiries) = (transaction.open_table(SESSIONS)?, transaction.open_table(EXPIRIES)?);
            let mut found = Vec::new();
            for entry in expiries.range((0, &[0; 12])..=(last, &[u8::MAX; 12]))? {
                if found.len() >= max {
                    break;
                }
                let entry = entry?.0;
                let key = Key(*entry.value().1);
                if self.fence.holder(key).is_some() {
                    continue;
                }
                let beside = sessions.get(&key.0)?.map(|beside| Beside::decode(beside.value()));
                found.extend(beside.filter(&may_go).map(|beside| Expired { key, epoch: beside.epoch }));
            }
            Ok(found)
        })
    }

    fn save_allowed(&self, batch: &[Save], allowed: &[bool]) -> Result<Vec<Outcome>, StoreError> {
        let kept = self.record_bytes.load(Ordering::Relaxed);
        self.commit(|transaction| {
            let (mut sessions, mut records) = (transaction.open_table(SESSIONS)?, transaction.open_table(RECORDS)?);
            let mut moved = Vec::new();
            let mut growth = Growth::default();
            let mut outcomes = Vec::with_capacity(batch.len());
            for (save, allowed) in batch.iter().zip(allowed) {
                if !allowed {
                    outcomes.push(Outcome::Fenced);
                    continue;
                }
                let (key, beside) = (&save.key.0, Beside::of(save));
                let before = sessions.insert(key, &beside.encode())?.map(|before| Beside::decode(before.value()));
                let grows = beside.len.cast_signed() - before.map_or(0, |before| before.len.cast_signed());
                let is_too_much = grows > 0
                    && kept.checked_add_signed(growth.bytes + grows).is_none_or(|bytes| bytes > self.options.bytes_max);
                let is_late = before.is_some_and(|before| before.epoch == save.epoch && before.turn > save.turn);
                match before {
                    Some(before) if is_late || is_too_much => drop(sessions.insert(key, &before.encode())?),
                    None if is_too_much => drop(sessions.remove(key)?),
                    _ => {
                        records.insert(key, &save.bytes[..])?;
                        let (old, new) = (before.map(Beside::bucket), beside.bucket());
                        if old != Some(new) {
                            moved.push((old, new, key));
                        }
                        growth.sessions += i64::from(before.is_none());
                        growth.bytes += grows;
                    }
                }
                let max = usize::try_from(self.options.bytes_max).unwrap_or(usize::MAX);
                let is_refused = is_too_much && !is_late;
                outcomes.push(if is_refused { Outcome::Failed(StoreError::BytesMax(max)) } else { Outcome::Saved });
            }
            if !moved.is_empty() {
                let mut expiries = transaction.open_table(EXPIRIES)?;
                for (old, new, key) in moved {
                    old.map_or(Ok(None), |old| expiries.remove((old, key)))?;
                    expiries.insert((new, key), ())?;
                }
            }
            Ok((outcomes, growth))
        })
    }
}

/// How much more is kept after a commit.
#[derive(Clone, Copy, Debug, Default)]
struct Growth {
    sessions: i64,
    bytes: i64,
    /// The highest epoch of what was removed in it.
    removed: u64,
}

/// How many sessions there are, and the bytes of their records.
fn sum(database: &Database) -> Result<(u64, u64), redb::Error> {
    let table = match database.begin_read()?.open_table(SESSIONS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok((0, 0)),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = 0;
    for entry in table.iter()? {
        bytes += Beside::decode(entry?.1.value()).len;
    }
    Ok((table.len()?, bytes))
}

impl SessionStore for RedbStore {
    fn claim(&self, key: Key, _node: Node) -> Result<Claim, StoreError> {
        let epoch = self.fence.claim(key, || self.next_epoch())?;
        let record = self.with(|database| {
            let transaction = database.begin_read()?;
            let Some(beside) =
                transaction.open_table(SESSIONS)?.get(&key.0)?.map(|beside| Beside::decode(beside.value()))
            else {
                return Ok(Ok(None));
            };
            let record = transaction.open_table(RECORDS)?.get(&key.0)?;
            // One that is missing is no reason to open the file anew.
            Ok(record.map(|record| Some(beside.record(record.value()))).ok_or_else(|| StoreError::Corrupt {
                path: self.medium.path().to_owned(),
                why: format!("the record of session {key} is missing"),
            }))
        });
        let record = record.and_then(|record| record);
        if record.is_err() {
            // Nobody knows of this epoch, so nobody would ever give it back.
            self.fence.release(key, epoch);
        }
        Ok(Claim { epoch, record: record? })
    }

    fn save(&self, batch: &[Save]) -> Vec<Outcome> {
        let keys: Vec<_> = batch.iter().map(|save| save.key).collect();
        let (allowed, _busy) = self.fence.begin(&keys, |at, holder| holder == Some(batch[at].epoch));
        if !allowed.contains(&true) {
            return vec![Outcome::Fenced; batch.len()];
        }
        self.save_allowed(batch, &allowed).unwrap_or_else(|error| {
            let outcome = |allowed| if allowed { Outcome::Failed(error.clone()) } else { Outcome::Fenced };
            allowed.into_iter().map(outcome).collect()
        })
    }

    fn release(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        Ok(self.fence.release(key, epoch))
    }

    fn remove(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        self.remove_all(&[Expired { key, epoch }]).pop().unwrap_or(Ok(true))
    }

    fn remove_all(&self, batch: &[Expired]) -> Vec<Result<bool, StoreError>> {
        let keys: Vec<_> = batch.iter().map(|item| item.key).collect();
        let (allowed, _busy) =
            self.fence.begin(&keys, |at, holder| holder.is_none_or(|holder| holder == batch[at].epoch));
        let held: HashMap<_, _> = keys.iter().filter_map(|key| Some((*key, self.fence.holder(*key)?))).collect();
        let removed = self.commit(|transaction| {
            let (mut sessions, mut records) = (transaction.open_table(SESSIONS)?, transaction.open_table(RECORDS)?);
            let mut expiries = transaction.open_table(EXPIRIES)?;
            let mut growth = Growth::default();
            let mut removed = Vec::with_capacity(batch.len());
            for (item, allowed) in batch.iter().zip(&allowed) {
                let key = &item.key.0;
                let before = sessions.get(key)?.map(|before| Beside::decode(before.value()));
                // Of one that nobody holds, the record says whose it was.
                let is_other = |before: Beside| !held.contains_key(&item.key) && before.epoch != item.epoch;
                if !allowed || before.is_some_and(is_other) {
                    removed.push(false);
                    continue;
                }
                if let Some(before) = before {
                    drop(sessions.remove(key)?);
                    drop(records.remove(key)?);
                    drop(expiries.remove((before.bucket(), key))?);
                    growth.sessions -= 1;
                    growth.bytes -= before.len.cast_signed();
                    growth.removed = growth.removed.max(before.epoch.0);
                }
                removed.push(true);
            }
            Ok((removed, growth))
        });
        match removed {
            Ok(removed) => {
                for (item, _) in batch.iter().zip(&removed).filter(|(_, removed)| **removed) {
                    self.fence.release(item.key, item.epoch);
                }
                removed.into_iter().map(Ok).collect()
            }
            Err(error) => vec![Err(error); batch.len()],
        }
    }

    fn keys(&self, after: Option<Key>, max: usize) -> Result<Vec<Key>, StoreError> {
        let after = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.0));
        self.with(|database| {
            let table = database.begin_read()?.open_table(SESSIONS)?;
            let range = table.range::<&[u8; 12]>((after.as_ref(), Bound::Unbounded))?;
            Ok(range.take(max).map(|entry| entry.map(|(key, _)| Key(*key.value()))).collect::<Result<_, _>>()?)
        })
    }

    fn expired(&self, now: u64, max: usize) -> Result<Vec<Expired>, StoreError> {
        self.uptime.fetch_max(now, Ordering::Relaxed);
        self.first(layout::bucket_of(now), max, |beside| beside.expiry <= now)
    }

    fn oldest(&self, max: usize) -> Result<Vec<Expired>, StoreError> {
        self.first(u64::MAX, max, |_| true)
    }

    fn removed(&self) -> Option<Epoch> {
        Some(Epoch(self.removed.load(Ordering::Relaxed)))
    }

    fn uptime(&self) -> u64 {
        self.uptime_found
    }

    fn usage(&self) -> Usage {
        Usage {
            sessions: self.sessions.load(Ordering::Relaxed),
            record_bytes: self.record_bytes.load(Ordering::Relaxed),
            file_bytes: self.meters.file_bytes.load(Ordering::Relaxed),
            written_bytes: self.meters.written_bytes.load(Ordering::Relaxed),
            syncs: self.meters.syncs.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> Result<(), StoreError> {
        let uptime = self.uptime.load(Ordering::Relaxed);
        let mut state = self.file_mut();
        let file = std::mem::replace(&mut state.file, FileIs::Closed);
        let FileIs::Open(database) = file else { return Ok(()) };
        self.guarded(|| {
            let transaction = database.begin_write()?;
            let removed = self.removed.load(Ordering::Relaxed);
            About { format: FORMAT, starts: self.start, uptime, removed }.write(&transaction)?;
            transaction.commit()?;
            database.close().map_err(redb::Error::from)
        })
    }
}

/// A few times what a small commit writes.
const ROOM_BYTES: usize = 64 * 1024;
/// The clock of expiries is kept no more often than this, in its seconds: what a crash takes from it only lets sessions live on.
const UPTIME_STEP: u64 = 60;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;
