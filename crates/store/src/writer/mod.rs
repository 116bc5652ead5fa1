//! The one thread that writes: it groups what many sessions want saved into few commits.
//!
//! Sessions hand over [`SaveRequest`]s and go on; their records are encoded, written and reported on the writer's thread.
//! A session has at most one request waiting, the latest, and one being written.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use std::time::Duration;
//! use windlass_store::{Key, MemoryStore, Node, Report, SaveRequest, SessionStore, Writer, WriterOptions, Written};
//!
//! let store = Arc::new(MemoryStore::new(1));
//! let writer = Writer::new(store.clone(), WriterOptions::default())?;
//!
//! let key = Key([7; 12]);
//! let epoch = store.claim(key, Node(0))?.epoch;
//! let (tx, rx) = mpsc::sync_channel(1);
//! writer.save(SaveRequest {
//!     key,
//!     epoch,
//!     turn: 1,
//!     expiry: 60,
//!     is_urgent: true,
//!     record: Box::new(|| Ok("state".into())),
//!     told: Arc::new(move |report: Report| tx.send(report).expect("somebody listens")),
//! });
//! let report = rx.recv()?;
//! assert_eq!((report.turn, report.written), (1, Written::Saved));
//!
//! writer.close(Duration::from_secs(5))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod desk;
mod slots;

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Epoch, Expired, Key, Outcome, Save, SessionStore, StoreError};
use desk::{Desk, Done};
use slots::{Ranked, Wait};

/// Why a record could not be made: what the app's own code said.
pub type EncodeError = Box<dyn std::error::Error + Send + Sync>;

/// What a session wants saved.
pub struct SaveRequest {
    /// Whose record it is.
    pub key: Key,
    /// The epoch that was claimed.
    pub epoch: Epoch,
    /// The turn after which the record was made.
    pub turn: u64,
    /// See [`Save::expiry`].
    pub expiry: u64,
    /// Commit at once, with all that waits: somebody holds something back until this is saved.
    pub is_urgent: bool,
    /// Makes the record. Runs on the writer's thread, once, or never when a later request takes this one's place.
    /// A panic in it counts as an error.
    pub record: Box<dyn FnOnce() -> Result<Bytes, EncodeError> + Send>,
    /// Hears what became of it, on the writer's thread.
    pub told: Arc<dyn Told>,
}

impl fmt::Debug for SaveRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, epoch, turn, is_urgent, .. } = self;
        write!(f, "SaveRequest {{ {key}, {epoch:?}, turn {turn}, is_urgent {is_urgent} }}")
    }
}

/// Hears what became of a session's requests. A closure is one.
pub trait Told: Send + Sync {
    /// Called on the writer's thread, which waits: hand the report on and return.
    fn told(&self, report: Report);
}

impl<F: Fn(Report) + Send + Sync> Told for F {
    fn told(&self, report: Report) {
        self(report);
    }
}

/// What became of a session's request.
///
/// Not every request is reported. One that a later one took the place of is covered by that one's report:
/// what is saved holds all turns of its epoch up to its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose it was.
    pub key: Key,
    /// Under which epoch.
    pub epoch: Epoch,
    /// After which turn; `u64::MAX` for a removal.
    pub turn: u64,
    /// What became of it.
    pub written: Written,
    /// How many bytes the record has; 0 when it could not be made.
    pub bytes: usize,
    /// How long it took to make the record and to store it: its share, by its bytes, of a commit with others.
    pub took: Duration,
    /// How long the session should let pass until it asks again, unless it is urgent: records beyond
    /// [`WriterOptions::free_bytes`] are dear. Whoever asks sooner waits here.
    pub pause: Duration,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The record, or a later one of the same epoch, is on disk. Of a removal: the record is gone.
    Saved,
    /// Someone else has the session, or it was removed: drop it at once.
    Fenced,
    /// Not saved, as far as is known. The writer keeps the record and tries again until it is saved, or a later one takes
    /// its place. This is said once; what became of it in the end is the next report.
    Failed(StoreError),
    /// The record could not be made, which trying again would not change.
    Unencodable(String),
}

/// The settings of a [`Writer`].
#[derive(Clone)]
pub struct WriterOptions {
    /// How long a request may wait for others to share its commit. 25 ms by default; urgent ones do not wait.
    pub delay: Duration,
    /// The most records in one commit; when so many wait, they go at once. 256 by default.
    pub records_max: usize,
    /// The most bytes in one commit, all records together; one that is larger has a commit of its own. 8 MiB by default.
    pub batch_bytes_max: usize,
    /// Records up to this size are saved whenever their session asks. 1 MiB by default.
    pub free_bytes: usize,
    /// Saving a session whose record is larger takes at most this share of the writer's thread, in percent, so that
    /// it is saved less often. 5 by default.
    pub percent_max: u32,
    /// How long to wait after a failure before trying again; doubled each time up to
    /// [`retry_max`](Self::retry_max). 50 ms by default.
    pub retry_min: Duration,
    /// The longest time between two attempts while the store fails. 2 s by default.
    pub retry_max: Duration,
    /// Hears when the store begins to fail and when it works again, on the writer's thread. Nobody by default.
    pub watch: Arc<dyn Fn(&Health) + Send + Sync>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(25),
            records_max: 256,
            batch_bytes_max: 8 << 20,
            free_bytes: 1 << 20,
            percent_max: 5,
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(2),
            watch: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for WriterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delay, records_max, batch_bytes_max, free_bytes, percent_max, .. } = self;
        f.debug_struct("WriterOptions")
            .field("delay", delay)
            .field("records_max", records_max)
            .field("batch_bytes_max", batch_bytes_max)
            .field("free_bytes", free_bytes)
            .field("percent_max", percent_max)
            .finish_non_exhaustive()
    }
}

/// Whether the store takes what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The last commit succeeded, or there was none yet.
    Well,
    /// The last commit failed with this. The writer tries again by itself.
    Failing(StoreError),
}

/// What the writer has done since it began, for operators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterStats {
    /// Commits that succeeded.
    pub commits: u64,
    /// Records that were saved.
    pub records: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// Sessions that were removed.
    pub removed: u64,
    /// Records that were refused since their session belongs to somebody else.
    pub fenced: u64,
    /// Records that could not be made.
    pub unencodable: u64,
    /// Commits that failed.
    pub failures: u64,
    /// The text of the last failure, also when the store has recovered.
    pub last_error: Option<String>,
    /// Whether the last commit failed.
    pub is_failing: bool,
    /// Sessions that wait to be written.
    pub waiting: usize,
    /// Time spent making records.
    pub encoding: Duration,
    /// Time spent in the store, most of it waiting for the disk.
    pub storing: Duration,
}

/// Not everything could be saved in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// How many sessions have turns that are not saved.
    pub sessions: usize,
    /// Why, when the store has failed; `None` when there was just not enough time.
    pub error: Option<StoreError>,
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = self.sessions;
        match &self.error {
            Some(error) => write!(f, "{sessions} sessions could not be saved: {error}"),
            None => write!(f, "{sessions} sessions could not be saved in time; give the shutdown longer"),
        }
    }
}

impl std::error::Error for Unsaved {}

/// The thread that writes, and its desk. Dropping it writes what waits once more and ends the thread.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<dyn SessionStore>,
    desk: Desk<Key, Order>,
    options: WriterOptions,
    began: Instant,
    is_failing: AtomicBool,
    stats: Mutex<WriterStats>,
    error: Mutex<Option<StoreError>>,
}

/// Something to write.
struct Order {
    key: Key,
    epoch: Epoch,
    turn: u64,
    what: What,
    told: Option<Arc<dyn Told>>,
    /// It failed before, which was told.
    has_failed: bool,
}

enum What {
    Encode {
        expiry: u64,
        record: Box<dyn FnOnce() -> Result<Bytes, EncodeError> + Send>,
    },
    /// It was made before, and could not be written.
    Encoded {
        expiry: u64,
        bytes: Bytes,
    },
    Remove,
}

impl Ranked for Order {
    fn rank(&self) -> (u64, u64) {
        (self.epoch.0, self.turn)
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(store: Arc<dyn SessionStore>, options: WriterOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            desk: Desk::new(options.records_max.max(1)),
            options,
            began: Instant::now(),
            is_failing: AtomicBool::new(false),
            stats: Mutex::default(),
            error: Mutex::default(),
        });
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("windlass-store".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a record over, to be saved soon. Returns at once; nothing is encoded here.
    ///
    /// A request of the same session that waits is replaced, unless it is a later one. After [`close`](Self::close) requests
    /// are dropped without a report.
    pub fn save(&self, request: SaveRequest) {
        let SaveRequest { key, epoch, turn, expiry, is_urgent, record, told } = request;
        let order =
            Order { key, epoch, turn, what: What::Encode { expiry, record }, told: Some(told), has_failed: false };
        self.put(order, is_urgent);
    }

    /// Removes a session and its record for good, in the place of whatever of it waits. `told` hears
    /// [`Saved`](Written::Saved) when it is gone, also when it was before.
    pub fn remove(&self, key: Key, epoch: Epoch, told: Option<Arc<dyn Told>>) {
        self.put(Order { key, epoch, turn: u64::MAX, what: What::Remove, told, has_failed: false }, false);
    }

    fn put(&self, order: Order, is_urgent: bool) {
        let wait = Wait { now: self.shared.now(), delay: self.shared.options.delay, is_urgent };
        drop(self.shared.desk.put(order.key, order, wait));
    }

    /// The store that is written to.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn SessionStore> {
        &self.shared.store
    }

    /// Whether the last commit failed and none has succeeded since. Cheap: one atomic load.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing.load(Ordering::Acquire)
    }

    /// Whether the store takes what it is given.
    #[must_use]
    pub fn health(&self) -> Health {
        lock(&self.shared.error).clone().map_or(Health::Well, Health::Failing)
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        let stats = lock(&self.shared.stats).clone();
        WriterStats { is_failing: self.is_failing(), waiting: self.shared.desk.waiting(), ..stats }
    }

    /// Writes everything that was handed over before, at once, and waits for it. Blocks the thread.
    ///
    /// # Errors
    /// When not all could be written within that time. The writer goes on trying.
    pub fn flush(&self, within: Duration) -> Result<(), Unsaved> {
        let shared = &self.shared;
        if shared.desk.flush(&|| shared.now(), shared.now().saturating_add(within)) {
            return Ok(());
        }
        // What is being written is not counted by the desk.
        let sessions = shared.desk.waiting().max(1);
        Err(Unsaved { sessions, error: lock(&shared.error).clone() })
    }

    /// Flushes, ends the thread and closes the store. Blocks the thread, for as long as the last commit takes.
    /// A second call does nothing.
    ///
    /// # Errors
    /// When not all could be saved, or the store could not be closed.
    pub fn close(&self, within: Duration) -> Result<(), Unsaved> {
        let Some(thread) = lock(&self.thread).take() else { return Ok(()) };
        if thread.thread().id() == thread::current().id() {
            // Dropped by what it has just written for, so that nobody is left to save anything.
            drop(self.shared.desk.close());
            return Ok(());
        }
        let flushed = self.flush(within);
        drop(self.shared.desk.close());
        // A panic there has been reported where it happened; the store is closed in any case.
        let _ = thread.join();
        let closed = self.shared.store.close();
        flushed?;
        closed.map_err(|error| Unsaved { sessions: 0, error: Some(error) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever wants to know what became of it has called `close`.
        let _ = self.close(Duration::from_secs(1));
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A record that is on its way into a commit.
struct Ready {
    order: Order,
    expiry: u64,
    bytes: Bytes,
    /// What making it took.
    took: Duration,
}

impl Shared {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn run(&self) {
        let mut retry_after = self.options.retry_min;
        while let Some(orders) = self.desk.next(&|| self.now()) {
            let mut round = Round { writer: self, failed: Vec::new(), paced: Vec::new(), saved: 0, error: None };
            round.write(orders);
            let Round { failed, paced, saved, error, .. } = round;
            // Whoever waits for the end has little time.
            let delay = if self.desk.is_flushing() { self.options.retry_min } else { retry_after };
            let again = Wait { now: self.now(), delay, is_urgent: false };
            // One that fails among others that succeed is no reason to hold these up.
            let error = error.filter(|_| saved == 0);
            let retry_at = error.is_some().then(|| again.now + delay);
            retry_after = match failed.is_empty() {
                true => self.options.retry_min,
                false => (retry_after * 2).min(self.options.retry_max),
            };
            self.set_health(error);
            drop(self.desk.done(Done { failed, again, paced, retry_at }));
        }
    }

    fn set_health(&self, error: Option<StoreError>) {
        if error.is_some() {
            let mut stats = lock(&self.stats);
            stats.failures += 1;
            stats.last_error = error.as_ref().map(ToString::to_string);
        }
        let mut before = lock(&self.error);
        let is_news = *before != error;
        before.clone_from(&error);
        drop(before);
        self.is_failing.store(error.is_some(), Ordering::Release);
        if is_news {
            (self.options.watch)(&error.map_or(Health::Well, Health::Failing));
        }
    }

    /// A store that panics fails, and nothing else.
    fn guarded<R>(&self, call: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
        let call = panic::catch_unwind(AssertUnwindSafe(call));
        call.unwrap_or_else(|panic| Err(StoreError::Unavailable(format!("it panicked: {}", text_of(&*panic)))))
    }
}

/// What is done between one look at the desk and the next.
struct Round<'a> {
    writer: &'a Shared,
    failed: Vec<(Key, Order)>,
    paced: Vec<(Key, Duration)>,
    /// Records that were saved and sessions that were removed.
    saved: u64,
    error: Option<StoreError>,
}

impl Round<'_> {
    fn write(&mut self, orders: Vec<Order>) {
        let options = &self.writer.options;
        let (mut batch, mut bytes, mut removed) = (Vec::new(), 0, Vec::new());
        for order in orders {
            let Some(ready) = self.encode(order, &mut removed) else { continue };
            let size = ready.bytes.len();
            if bytes + size > options.batch_bytes_max && !batch.is_empty() {
                self.commit(std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes += size;
            batch.push(ready);
        }
        self.commit(batch);
        self.remove(removed);
    }

    /// Makes the record. `None` when there is none to save; a removal is put aside.
    fn encode(&self, order: Order, removed: &mut Vec<Order>) -> Option<Ready> {
        let Order { key, epoch, turn, what, told, has_failed } = order;
        let order = |what| Order { key, epoch, turn, what, told, has_failed };
        let (expiry, record) = match what {
            What::Remove => {
                removed.push(order(what));
                return None;
            }
            What::Encoded { expiry, ref bytes } => {
                let bytes = bytes.clone();
                return Some(Ready { order: order(what), expiry, bytes, took: Duration::ZERO });
            }
            What::Encode { expiry, record } => (expiry, record),
        };
        let began = Instant::now();
        let made = panic::catch_unwind(AssertUnwindSafe(record));
        let took = began.elapsed();
        lock(&self.writer.stats).encoding += took;
        let why = match made {
            Ok(Ok(bytes)) => {
                let what = What::Encoded { expiry, bytes: bytes.clone() };
                return Some(Ready { order: order(what), expiry, bytes, took });
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("it panicked: {}", text_of(&*panic)),
        };
        lock(&self.writer.stats).unencodable += 1;
        tell(&order(What::Remove), Written::Unencodable(why), Cost { bytes: 0, took }, Duration::ZERO);
        None
    }

    fn commit(&mut self, batch: Vec<Ready>) {
        if batch.is_empty() {
            return;
        }
        let saves: Vec<_> = batch
            .iter()
            .map(|ready| {
                let Order { key, epoch, turn, .. } = ready.order;
                Save { key, epoch, turn, expiry: ready.expiry, bytes: ready.bytes.clone() }
            })
            .collect();
        let began = Instant::now();
        let outcomes = self.writer.guarded(|| Ok(self.writer.store.save(&saves)));
        let took = began.elapsed();
        let outcomes = match outcomes {
            Ok(outcomes) if outcomes.len() == saves.len() => outcomes,
            Ok(_) => {
                vec![Outcome::Failed(StoreError::Unavailable("it answered for other records".into())); saves.len()]
            }
            Err(error) => vec![Outcome::Failed(error); saves.len()],
        };
        let total: usize = saves.iter().map(|save| save.bytes.len()).sum();
        drop(saves);
        let saved = outcomes.iter().filter(|outcome| **outcome == Outcome::Saved).count() as u64;
        self.saved += saved;
        let mut stats = lock(&self.writer.stats);
        stats.storing += took;
        stats.commits += u64::from(saved > 0);
        for (ready, outcome) in batch.iter().zip(&outcomes) {
            match outcome {
                Outcome::Saved => {
                    stats.records += 1;
                    stats.bytes += ready.bytes.len() as u64;
                }
                Outcome::Fenced => stats.fenced += 1,
                Outcome::Failed(_) => {}
            }
        }
        drop(stats);
        for (ready, outcome) in batch.into_iter().zip(outcomes) {
            let bytes = ready.bytes.len();
            let share = took.mul_f64(bytes as f64 / total.max(1) as f64);
            let cost = Cost { bytes, took: ready.took + share };
            let pause = self.writer.options.pause(cost);
            let key = ready.order.key;
            match outcome {
                Outcome::Saved => {
                    if !pause.is_zero() {
                        self.paced.push((key, self.writer.now() + pause));
                    }
                    tell(&ready.order, Written::Saved, cost, pause);
                }
                Outcome::Fenced => tell(&ready.order, Written::Fenced, cost, Duration::ZERO),
                Outcome::Failed(error) => self.fail(ready.order, cost, error),
            }
        }
    }

    fn fail(&mut self, mut order: Order, cost: Cost, error: StoreError) {
        if !std::mem::replace(&mut order.has_failed, true) {
            tell(&order, Written::Failed(error.clone()), cost, Duration::ZERO);
        }
        self.failed.push((order.key, order));
        self.error = Some(error);
    }

    fn remove(&mut self, orders: Vec<Order>) {
        if orders.is_empty() {
            return;
        }
        let items: Vec<_> = orders.iter().map(|order| Expired { key: order.key, epoch: order.epoch }).collect();
        let began = Instant::now();
        let outcomes = self.writer.guarded(|| Ok(self.writer.store.remove_all(&items)));
        let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error); items.len()]);
        let gone = outcomes.iter().filter(|outcome| **outcome == Ok(true)).count();
        self.saved += gone as u64;
        let cost = Cost { bytes: 0, took: began.elapsed() };
        let mut stats = lock(&self.writer.stats);
        stats.storing += cost.took;
        stats.commits += u64::from(gone > 0);
        stats.removed += gone as u64;
        drop(stats);
        for (order, outcome) in orders.into_iter().zip(outcomes) {
            match outcome {
                Ok(true) => tell(&order, Written::Saved, cost, Duration::ZERO),
                Ok(false) => tell(&order, Written::Fenced, cost, Duration::ZERO),
                Err(error) => self.fail(order, cost, error),
            }
        }
    }
}

impl WriterOptions {
    /// How long a session whose record took so much has to wait for its next.
    fn pause(&self, cost: Cost) -> Duration {
        if cost.bytes <= self.free_bytes {
            return Duration::ZERO;
        }
        let percent = self.percent_max.clamp(1, 100);
        cost.took * (100 - percent) / percent
    }
}

/// What a record has cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    bytes: usize,
    took: Duration,
}

fn tell(order: &Order, written: Written, cost: Cost, pause: Duration) {
    let Order { key, epoch, turn, told, .. } = order;
    if let Some(told) = told {
        let Cost { bytes, took } = cost;
        let report = Report { key: *key, epoch: *epoch, turn: *turn, written, bytes, took, pause };
        // Whoever cannot hear must not stop those who can.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| told.told(report)));
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}

/// What panics while one of these is held leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
