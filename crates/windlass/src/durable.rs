//! The settings of what is kept of a session beyond its place in memory: for how long, where, and what waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_engine::Durability;
use windlass_store::{MemoryStore, RedbOptions, SessionStore};

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
    store_bytes_max: Option<u64>,
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
            store_bytes_max: None,
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
        if self.folder().is_none() && self.store_bytes_max.is_some() {
            problems.push("`store_bytes_max` needs a `data_dir`: it is of the file in it".to_owned());
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
            Place::Folder(folder) if !is_test => open_folder(&folder, self.store_bytes_max)?,
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

fn open_folder(folder: &std::path::Path, bytes_max: Option<u64>) -> Result<Arc<dyn SessionStore>> {
    let mut options = RedbOptions::default();
    options.bytes_max = bytes_max.unwrap_or(options.bytes_max);
    let store = windlass_store::RedbStore::with_options(folder, options)
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

    /// How many bytes a session's state may have as JSON, 8 MiB by default, at least 1,024: as its record holds it, with
    /// private fields, or as its page sees it where the app keeps no records.
    ///
    /// An action that would make it larger fails with `state_too_large` and changes nothing; an update or a status
    /// function comes to nothing and the log has why. Each is counted as `states_large` in
    /// [`Refusals`](crate::Refusals). A state that is larger already, since the bound was lowered, say, is served
    /// and kept, and takes only what does not make it larger. What pages see is held to it at each turn; what they do not
    /// is measured now and then, and when it is found to be too much, it stays and nothing is added to it.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Log { lines: Vec<String> }
    ///
    /// let app = App::new(Log::default).action("log", |state, _cx, line: String| state.lines.push(line));
    /// let mut t = app.state_bytes_max(2_000).test();
    /// t.send("log", "x".repeat(1_500));
    /// let refused = t.send("log", "x".repeat(1_500));
    /// assert_eq!(refused.code(), Some("state_too_large"));
    /// assert_eq!(t.document()["lines"].as_array().map(Vec::len), Some(1));
    /// ```
    pub fn state_bytes_max(mut self, bytes: usize) -> Self {
        if bytes < STATE_BYTES_MIN {
            self.problems.push(format!("`state_bytes_max` is {bytes}; it is at least {STATE_BYTES_MIN}"));
        }
        self.options.state_bytes_max = bytes;
        self
    }

    /// How many sessions may be parked, 1,000,000 by default. When there are so many, a new page hears `busy`; a
    /// session that has to be parked all the same takes the place of the oldest of the person or the address that
    /// has parked most since the start, or when nobody has parked several, of the oldest; [`App::on_expire`]
    /// hears of it. Sessions that an earlier process has left count, and are the oldest.
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

    /// How many bytes all records in the folder of [`App::data_dir`] may have together, 64 GiB by default, at least a MiB. The file
    /// is larger: whole pages are written, and there is room for the next ones. What would go beyond is not saved: the
    /// store counts as failing, what must be saved is answered `store_unavailable`, and it goes on by itself when
    /// sessions have gone. [`App::parked_bytes_max`] turns new pages away before that.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Notes { text: String }
    /// let app = App::new(Notes::default).data_dir("data").store_bytes_max(8 << 30).parked_bytes_max(6 << 30);
    /// # let _ = app;
    /// ```
    pub fn store_bytes_max(mut self, bytes: u64) -> Self {
        if bytes < STORE_BYTES_MIN {
            self.problems.push(format!("`store_bytes_max` is {bytes}; it is at least {STORE_BYTES_MIN}"));
        }
        self.kept.store_bytes_max = Some(bytes);
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
/// Less is a mistake: an empty state with a few fields has a tenth of it.
const STATE_BYTES_MIN: usize = 1_024;
const STORE_BYTES_MIN: u64 = 1 << 20;
const PARK_AFTER: Duration = Duration::from_secs(2 * 60);
const SECOND: Duration = Duration::from_secs(1);
const UNSAVED_MIN: Duration = Duration::from_millis(1);
const UNSAVED_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_tungstenite::tungstenite::Utf8Bytes;
    use windlass_engine::ConnectionId;
    use windlass_protocol::{ClientMessage, Dialect};

    use super::*;
    use crate::guest::Guest;
    use crate::outlet::Outlet;
    use crate::prelude::{App, Serialize};

    #[derive(Clone, Default, Serialize)]
    struct Text {
        text: String,
    }

    /// What docs/durability.md says of each setting, and what the code does when nothing is set.
    #[test]
    fn the_page_of_settings_lists_every_setting_with_its_default() {
        let page = include_str!("../../../docs/durability.md");
        let (kept, app) = (Kept::<Text>::default(), App::new(Text::default));
        let settled = |is_durable: bool| {
            let mut patience = app.options.patience;
            let place = if is_durable { Place::Folder("data".into()) } else { Place::Memory };
            let mut kept = Kept::<Text> { place, ..Kept::default() };
            let mut problems = Vec::new();
            kept.settle(&mut patience, &mut problems);
            assert_eq!(problems, Vec::<String>::new());
            patience.expire_after.as_secs() / 3600
        };
        let keeping = |place| {
            let kept = Kept::<Text> { place, ..Kept::default() };
            kept.open(true, SECOND).unwrap().1.keeping.parked_bytes_max >> 30
        };
        assert_eq!(kept.park_after, None, "as long as it says");
        for (setting, default) in [
            ("data_dir(folder)", "none: in memory".to_owned()),
            ("durability(…)", format!("`{:?}`", kept.durability)),
            (
                "unsaved_max(…)",
                format!(
                    "{} ms, from {} ms to {} min",
                    kept.unsaved_max.as_millis(),
                    UNSAVED_MIN.as_millis(),
                    UNSAVED_MAX.as_secs() / 60
                ),
            ),
            ("park_after(…)", format!("{} min", PARK_AFTER.as_secs() / 60)),
            ("expire_after(…)", format!("{} h; {} h in memory", settled(true), settled(false))),
            ("sessions_max(…)", grouped(app.options.sessions_max)),
            ("parked_max(…)", grouped(kept.parked_max)),
            (
                "parked_bytes_max(…)",
                format!("{} GiB; {} GiB in memory", keeping(Place::Folder("data".into())), keeping(Place::Memory)),
            ),
            ("store_bytes_max(…)", format!("{} GiB", RedbOptions::default().bytes_max >> 30)),
            ("state_bytes_max(…)", format!("{} MiB", app.options.state_bytes_max >> 20)),
            ("migrate(version, f)", "none".to_owned()),
            ("drain(…)", format!("{} s", app.drain_time().as_secs())),
        ] {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{setting}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/durability.md has no row `{setting}`"));
            let cell = row.split('|').nth(2).unwrap_or_default().trim();
            assert_eq!(cell, default, "`{setting}`");
        }
        // And every setting of the file is on the page.
        let source = include_str!("durable.rs");
        let methods = source.lines().filter_map(|line| line.strip_prefix("    pub fn ")?.split('(').next());
        for method in methods.filter(|name| *name != "saved" && *name != "store") {
            assert!(
                page.contains(&format!("`{method}(")) || page.contains(&format!("`App::{method}`")),
                "docs/durability.md does not name the setting `{method}`"
            );
        }
    }

    fn grouped(value: usize) -> String {
        let digits = value.to_string();
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    }

    /// BOUNDED. Whoever waits for an update hears that it was taken back.
    #[tokio::test]
    async fn what_made_a_state_too_large_is_counted_and_told() {
        let app = App::new(Text::default).action("say", |state, _cx, text: String| state.text = text);
        let live = app.state_bytes_max(2_000).build().unwrap();
        let outlet = Arc::new(Outlet::new(ConnectionId(1), Dialect::Compact));
        let text = r#"["h",{"client":"0f1e2d3c4b5a69788796a5b4","instance":"01"}]"#;
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(text) else { panic!("a hello") };
        let cell = live.hub.welcome(&outlet, *hello, &Guest::default()).unwrap();
        let say = |seq: u64, bytes: usize| Utf8Bytes::from(format!(r#"["a",{seq},"say","{}"]"#, "x".repeat(bytes)));
        cell.texts(&outlet, &mut vec![say(1, 1_000)]);
        cell.texts(&outlet, &mut vec![say(2, 3_000)]);
        assert_eq!((live.refusals().states_large, cell.state().text.len()), (1, 1_000));
        assert!((1_000..2_000).contains(&live.account(cell.id).unwrap().state));
        let handle = live.handle(cell.id);
        let update = async |bytes| {
            let updating = handle.update(move |state, _| state.text = "y".repeat(bytes)).unwrap();
            // The connection has no task that would be woken.
            cell.run_if_free(None);
            updating.saved().await
        };
        assert_eq!(update(2_500).await.unwrap_err().code, "state_too_large");
        assert_eq!((update(10).await.map_err(|error| error.text), cell.state().text.len()), (Ok(()), 10));
        assert_eq!(live.refusals().states_large, 2);
    }
}
