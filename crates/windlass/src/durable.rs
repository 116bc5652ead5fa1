//! The settings of what is kept of a session beyond its place in memory: for how long, where, and what waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_engine::Durability;
use windlass_store::{MemoryStore, SessionStore};

use crate::cell::Patience;
use crate::codec::Codec;
use crate::hub::Stored;
use crate::keeper::Keeping;
use crate::program::{State, View};
use crate::{App, Error, Result};

/// What an app says of how its sessions are kept.
pub(crate) struct Kept<S> {
    codec: Option<Codec<S>>,
    place: Place,
    durability: Durability,
    unsaved_max: Duration,
    park_after: Option<Duration>,
    expire_after: Option<Duration>,
    parked_max: usize,
    parked_bytes_max: Option<u64>,
}

/// Where records are kept.
#[derive(Default)]
enum Place {
    #[default]
    Memory,
    Folder(PathBuf),
    Own(Arc<dyn SessionStore>),
}

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self {
            codec: None,
            place: Place::Memory,
            durability: Durability::Eager,
            unsaved_max: Duration::from_millis(250),
            park_after: None,
            expire_after: None,
            parked_max: 1_000_000,
            parked_bytes_max: None,
        }
    }
}

impl<S> Kept<S> {
    pub(crate) fn is_durable(&self) -> bool {
        !matches!(self.place, Place::Memory)
    }

    /// The folder of `data_dir`.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            _ => None,
        }
    }

    /// Says how long sessions wait, and what is wrong.
    pub(crate) fn settle(&mut self, patience: &mut Patience, problems: &mut Vec<String>) {
        let day = Duration::from_secs(24 * 60 * 60);
        let expire_after = if self.is_durable() { day } else { Duration::from_secs(2 * 60 * 60) };
        patience.expire_after = self.expire_after.unwrap_or(expire_after);
        patience.park_after = match &self.codec {
            Some(_) => self.park_after.unwrap_or(PARK_AFTER),
            None => Duration::MAX,
        };
        let within = |name: &str, value: Duration, min: Duration, max: Duration, problems: &mut Vec<String>| {
            if value < min || value > max {
                problems.push(format!("`{name}` is {value:?}; it goes from {min:?} to {max:?}"));
            }
        };
        within("unsaved_max", self.unsaved_max, UNSAVED_MIN, UNSAVED_MAX, problems);
        within("expire_after", patience.expire_after, SECOND, day * 3650, problems);
        if self.codec.is_some() {
            within("park_after", patience.park_after, SECOND, day * 3650, problems);
        }
        if !self.is_durable() && self.durability == Durability::Strict {
            problems
                .push("`durability(Strict)` needs a `data_dir`: without one nothing outlives the process".to_owned());
        }
    }

    /// Opens the store. A test has one in memory that it takes for a disk.
    ///
    /// # Errors
    ///
    /// What is wrong with the folder, and what to do.
    pub(crate) fn open(self, is_test: bool, expire_after: Duration) -> Result<(Option<Codec<S>>, Stored)> {
        let is_durable = self.is_durable();
        let store: Arc<dyn SessionStore> = match self.place {
            Place::Own(store) => store,
            Place::Folder(folder) if !is_test => open_folder(&folder)?,
            Place::Folder(_) | Place::Memory => Arc::new(MemoryStore::new(FIRST_START)),
        };
        let keeping = Keeping {
            durability: self.durability,
            unsaved_max: self.unsaved_max,
            parked_max: self.parked_max,
            parked_bytes_max: self.parked_bytes_max.unwrap_or(if is_durable { 16 << 30 } else { 1 << 30 }),
            expire_after,
        };
        Ok((self.codec, Stored { store, is_durable, keeping }))
    }
}

fn open_folder(folder: &std::path::Path) -> Result<Arc<dyn SessionStore>> {
    let store = windlass_store::RedbStore::open(folder)
        .map_err(|error| Error::internal(format!("`data_dir` cannot be used: {error}")))?;
    Ok(Arc::new(store))
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Keeps sessions on disk, in this folder, which is made if it is not there: they outlive the process, and what a crash
    /// undoes is applied again. One process at a time has a folder. Without it sessions are in memory, and end with
    /// the process.
    ///
    /// What is shown is saved within [`App::unsaved_max`]; effects that a crash must not contradict (job starts, updates
    /// to other sessions, events that must not be lost, ends of jobs) wait until their cause is saved. `docs/durability.md` has
    /// the whole of it. A state whose type has changed goes through [`App::migrate`].
    ///
    /// In a test ([`App::test`]) the folder is not touched: a store in memory takes its place, and outlives
    /// [`Test::restart`](crate::test::Test::restart).
    ///
    /// # Errors
    ///
    /// [`App::build`] and [`App::bind`] give them: a folder that cannot be written to, that another process has open, or
    /// whose file is damaged or from a later version; each says what to do.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// struct Counter { count: i64 }
    ///
    /// let app = App::new(Counter::default)
    ///     .action("add", |state, _cx, by: i64| state.count += by)
    ///     .data_dir("data");
    /// let mut t = app.test();
    /// t.send("add", 2);
    /// t.restart();
    /// assert_eq!(t.document()["count"], 2);
    /// ```
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        self.codec();
        self.kept.place = Place::Folder(folder.into());
        self
    }

    /// Keeps sessions in a store of your own, as [`App::data_dir`] does in a folder.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// use windlass::store::MemoryStore;
    ///
    /// # #[derive(Clone, Default, Serialize, Deserialize)]
    /// # struct Counter { count: i64 }
    /// // What another process would be given after this one has ended, for a test of just that.
    /// let disk = std::sync::Arc::new(MemoryStore::new(1));
    /// let app = App::new(Counter::default).store(disk.clone());
    /// # let _ = app;
    /// ```
    pub fn store(mut self, store: Arc<dyn SessionStore>) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        self.codec();
        self.kept.place = Place::Own(store);
        self
    }

    /// What waits for the disk: [`Durability::Eager`] by default, where only effects that a crash must not contradict do;
    /// with [`Durability::Strict`] every frame does, so that a page never shows what a crash can undo, and every action
    /// takes a commit longer.
    ///
    /// # Errors
    ///
    /// [`App::build`] gives one for `Strict` without [`App::data_dir`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// use windlass::Durability;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Bank { balance: i64 }
    /// let app = App::new(Bank::default).data_dir("data").durability(Durability::Strict);
    /// # let _ = app;
    /// ```
    pub fn durability(mut self, durability: Durability) -> Self {
        self.kept.durability = durability;
        self
    }

    /// How long something may be shown and not be on disk, 250 ms by default, 1 ms to 1 minute: what a crash undoes at most,
    /// until the pages send it again. Records of more than 1 MiB wait longer where saving would take more than a twentieth
    /// of a core; after 256 actions or 64 KiB of one page it is saved sooner.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Notes { text: String }
    /// let app = App::new(Notes::default).data_dir("data").unsaved_max(Duration::from_millis(50));
    /// # let _ = app;
    /// ```
    pub fn unsaved_max(mut self, unsaved_max: Duration) -> Self {
        self.kept.unsaved_max = unsaved_max;
        self
    }

    /// How long a session stays in memory that no page is attached to, 2 minutes by default, at least a second; then it is
    /// parked: only its record is left, on disk with [`App::data_dir`] and in memory without, and it comes back whole when
    /// a page or a [`Handle`](crate::Handle) asks for it. One with a job that has not ended is not parked.
    ///
    /// Without this and without a folder sessions stay as they are until they expire, since their state need not be
    /// readable.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Counter { count: i64 }
    /// let app = App::new(Counter::default).action("add", |state, _cx, by: i64| state.count += by);
    /// let mut t = app.park_after(Duration::from_secs(60)).test();
    /// t.send("add", 1);
    /// t.cut();
    /// t.advance(Duration::from_secs(70));
    /// assert!(t.is_parked());
    /// t.reconnect();
    /// assert_eq!(t.document()["count"], 1);
    /// ```
    pub fn park_after(mut self, park_after: Duration) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        self.codec();
        self.kept.park_after = Some(park_after);
        self
    }

    /// How long a session that was used waits for its page: 24 hours by default with [`App::data_dir`], 2 hours without, at
    /// least a second. Only time in which the server was up counts, and for 10 minutes after a start of one with a folder
    /// nobody is forgotten.
    ///
    /// One in which nothing was ever done is forgotten after 30 seconds, and never written down.
    pub fn expire_after(mut self, expire_after: Duration) -> Self {
        self.kept.expire_after = Some(expire_after);
        self
    }

    /// How many sessions may be in memory, 100,000 by default; then a new page hears `busy`, and comes back after 5 seconds.
    pub fn sessions_max(mut self, sessions: usize) -> Self {
        self.options.sessions_max = sessions;
        self
    }

    /// How many sessions may be parked, 1,000,000 by default. When there are so many, a new page hears `busy`; a
    /// session that has to be parked all the same takes the place of the oldest of the person or the address that
    /// holds most, which [`App::on_expire`] hears of.
    pub fn parked_max(mut self, sessions: usize) -> Self {
        self.kept.parked_max = sessions.max(1);
        self
    }

    /// How many bytes the records of parked sessions may have, 16 GiB by default with [`App::data_dir`] and 1 GiB without;
    /// then as [`App::parked_max`] says.
    pub fn parked_bytes_max(mut self, bytes: u64) -> Self {
        self.kept.parked_bytes_max = Some(bytes);
        self
    }

    /// The version of the state's type, and what makes a state of one that was saved by another: it gets the version that was
    /// saved, 0 where there was none, and the value as JSON.
    ///
    /// Without it, or when it gives an error, a session whose state does not fit begins afresh: its page is told
    /// that another session has replaced it, the log has why, and the old record stays in the folder until it expires,
    /// so that a version that can read it still finds it.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// struct Basket { items: Vec<String> } // was: { item: String }
    ///
    /// let app = App::new(Basket::default).data_dir("data").migrate(1, |version, old| match version {
    ///     0 => Ok(Basket { items: vec![old["item"].as_str().unwrap_or_default().to_owned()] }),
    ///     _ => Err(Error::internal(format!("no version {version} is known"))),
    /// });
    /// # let _ = app;
    /// ```
    pub fn migrate(mut self, version: u32, f: impl Fn(u32, Value) -> Result<S> + Send + Sync + 'static) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        let codec = self.codec();
        codec.version = version;
        codec.migrate = Some(Box::new(f));
        self
    }

    /// The action registered last is answered when its effect is on disk: from then on no crash undoes it. What else is
    /// shown in the same frame waits with it. Without [`App::data_dir`] it makes no difference.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Bank { balance: i64 }
    /// let app = App::new(Bank::default)
    ///     .action("pay", |state, _cx, amount: i64| state.balance -= amount)
    ///     .saved()
    ///     .data_dir("data");
    /// # let _ = app;
    /// ```
    pub fn saved(mut self) -> Self {
        if let Some(action) = self.last_action("saved") {
            action.saved = true;
        }
        self
    }

    fn codec(&mut self) -> &mut Codec<S>
    where
        S: Serialize + DeserializeOwned,
    {
        self.kept.codec.get_or_insert_with(Codec::new)
    }
}

/// A store in memory has one process start, its own.
const FIRST_START: u64 = 1;
const PARK_AFTER: Duration = Duration::from_secs(2 * 60);
const SECOND: Duration = Duration::from_secs(1);
const UNSAVED_MIN: Duration = Duration::from_millis(1);
const UNSAVED_MAX: Duration = Duration::from_secs(60);
