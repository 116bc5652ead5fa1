//! An app in a test: pages without sockets, a time that the test moves, and jobs that wait for their cue.
//!
//! [`App::test`](crate::App::test) gives a [`Test`] with one page that is connected. The app is the one that is served:
//! its handlers, sessions, turns, diffs and worker threads are the real ones, and what a page holds comes from the
//! frames that a browser would get. Only three things are the test's: the sockets are not there, the time stands
//! still, and a long callback waits at its first line until the test says what becomes of it.
//!
//! ```
//! use windlass::prelude::*;
//!
//! #[derive(Clone, Default, Serialize)]
//! struct Demo { count: i64, loss: Option<f64> }
//!
//! fn train(_: &mut Demo, cx: &mut Cx<Demo>, epochs: u64) -> Result {
//!     cx.long_callback("train", move |job| {
//!         for epoch in 0..epochs {
//!             job.checkpoint()?;
//!             job.progress(epoch, epochs);
//!         }
//!         Ok(1.0 / epochs as f64)
//!     })
//!     .every(Duration::from_secs(5))
//!     .on_status(|state, cx, status| match status {
//!         Status::Running(running) => cx.notify(Level::Info, format!("{:?} so far", running.elapsed)),
//!         Status::Done(loss) => state.loss = Some(loss),
//!         Status::Failed(error) => cx.notify(Level::Error, error.text),
//!         _ => {}
//!     })
//!     .start()?;
//!     Ok(())
//! }
//!
//! let app = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by).action("train", train);
//! let mut t = app.test();
//!
//! assert!(t.send("add", 2).is_applied());
//! assert_eq!(t.state().count, 2);
//! assert_eq!(t.document()["count"], 2);
//! assert_eq!(t.send("add", "two").code(), Some("bad_payload"));
//!
//! t.send("train", 4);
//! assert_eq!(t.document()["$jobs"][0]["status"], "running");
//! t.advance(Duration::from_secs(11));
//! let told: Vec<_> = t.events().iter().filter_map(|event| event.text().map(str::to_owned)).collect();
//! assert_eq!(told, ["5s so far", "10s so far"]);
//! t.jobs().finish("train"); // runs the callback, to its end
//! assert_eq!(t.state().loss, Some(0.25));
//!
//! t.send("train", 4);
//! t.jobs().fail("train", Error::refuse("parted", "the rope parted")); // without running it
//! assert_eq!(t.events()[0].text(), Some("the rope parted"));
//! ```
//!
//! # Connections
//!
//! [`cut`](Test::cut) takes the page's connection away, [`reconnect`](Test::reconnect) brings it back, and
//! [`reload`](Test::reload) loads the page anew in the same tab. What is sent meanwhile waits in the page's outbox.
//!
//! ```
//! # use windlass::prelude::*;
//! # #[derive(Clone, Default, Serialize)]
//! # struct Demo { count: i64 }
//! # let app = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by);
//! use windlass::test::Answer;
//!
//! let mut t = app.test();
//! t.cut();
//! assert_eq!(t.send("add", 1), Answer::Waiting);
//! assert_eq!(t.state().count, 0);
//! t.reconnect();
//! assert_eq!(t.document()["count"], 1);
//!
//! let second = t.second_tab();
//! t.switch_to(second);
//! assert_eq!(t.document()["count"], 0, "each tab has a session of its own");
//! ```
//!
//! # When a test fails
//!
//! What happened in it is printed: each action, each frame, each job, with the virtual time. That holds for failed
//! assertions of the test's own as well.

mod jobs;
mod journal;
mod page;
mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::{Builder, Handle, Runtime};
use windlass_jobs::Pool;

use self::journal::Journal;
use self::page::Page;
pub(crate) use self::stage::{Instead, Returns, Stage};
use crate::cell::Cell;
use crate::guest::Guest;
use crate::hub::{Hub, JANITOR_EVERY};
use crate::live::Live;
use crate::program::State;
use crate::{Cx, Outcome, Result};

pub use self::jobs::Jobs;
pub use self::page::{Answer, Event};

/// An app in a test. See the [module](self) for what it can do, and where it differs from a server.
///
/// ```
/// # use windlass::prelude::*;
/// # #[derive(Clone, Default, Serialize)] struct Demo { count: i64 }
/// let mut t = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by).test();
/// let first = t.tab();
/// let second = t.second_tab();
/// assert_ne!(first, second);
/// t.switch_to(first);
/// t.send("add", 2);
/// t.reload(); // as a person does
/// assert!(t.is_connected() && !t.is_parked());
/// assert_eq!((t.document()["count"].clone(), t.elapsed()), (2.into(), Duration::ZERO));
/// assert!(t.jobs().running().is_empty());
/// ```
pub struct Test<S: State> {
    hub: Arc<Hub<S>>,
    stage: Arc<Stage>,
    runtime: Option<Runtime>,
    pages: Vec<Page<S>>,
    /// Who opens the pages: one browser, and whoever has signed in.
    guest: Guest,
    current: usize,
    journal: Journal,
}

/// One of a test's tabs. See [`Test::second_tab`].
///
/// ```
/// # use windlass::prelude::*;
/// # #[derive(Clone, Default, Serialize)] struct Demo { count: i64 }
/// let mut t = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by).test();
/// let first: windlass::test::Tab = t.tab();
/// t.second_tab();
/// t.switch_to(first);
/// t.send("add", 2);
/// assert_eq!(t.state().count, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tab(usize);

impl<S: State> Test<S> {
    pub(crate) fn new(stage: Arc<Stage>, build: impl FnOnce() -> Result<Live<S>>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("the system gives a runtime");
        let built = {
            let _inside = runtime.enter();
            build()
        };
        let live = built.unwrap_or_else(|error| panic!("the app cannot be built: {error}"));
        let mut test = Self {
            hub: Arc::clone(&live.hub),
            stage,
            runtime: Some(runtime),
            pages: vec![Page::new(1)],
            guest: Guest { browser: Some([1; 32]), ..Guest::default() },
            current: 0,
            journal: Journal::default(),
        };
        test.reconnect();
        test
    }

    /// Sends an action from the page, and gives its answer when everything that follows from it has been done.
    ///
    /// [`Answer::Waiting`] when the page is cut off, or when the answer of an asynchronous action takes longer than
    /// 10 seconds of real time.
    ///
    /// # Panics
    ///
    /// When the payload does not serialise.
    pub fn send(&mut self, action: &str, payload: impl Serialize) -> Answer {
        let payload = match serde_json::to_value(payload) {
            Ok(payload) => payload,
            Err(error) => panic!("the payload of \"{action}\" does not serialise: {error}"),
        };
        let at = self.stage.elapsed();
        let seq = self.pages[self.current].act(action, &payload, at, &mut self.journal);
        self.settle();
        let patience = Instant::now() + ANSWER_MAX;
        loop {
            if let Some(answer) = self.pages[self.current].take_answer(seq) {
                self.note(format_args!("  {action}: {answer:?}"));
                return answer;
            }
            if self.hub.deferred.is_empty() || Instant::now() > patience {
                return Answer::Waiting;
            }
            self.run_tasks(TASKS_RUN_FOR);
            self.settle();
        }
    }

    /// Writes into a declared field from the page, as a control with `w-model` does. The path is dotted, with the rows that
    /// it goes through by their keys: `"todos[id=7].text"`. A key that is no number, such as `[name=rope]`, is text.
    ///
    /// What cannot be written so goes as `$set` itself, with the path that protocol.md section 8 describes.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// #[derive(Clone, Default, Serialize)]
    /// struct Form { name: String }
    ///
    /// let mut t = App::new(Form::default).field("name", |form| &mut form.name).test();
    /// assert!(t.set("name", "Ada").is_applied());
    /// assert_eq!(t.set("name", 7).code(), Some("bad_payload"));
    /// assert_eq!(t.set("secret", 7).code(), Some("unknown_field"));
    /// assert_eq!(t.document()["name"], "Ada");
    /// ```
    pub fn set(&mut self, path: &str, value: impl Serialize) -> Answer {
        let value = match serde_json::to_value(value) {
            Ok(value) => value,
            Err(error) => panic!("the value for \"{path}\" does not serialise: {error}"),
        };
        self.send("$set", serde_json::json!({ "path": steps(path), "value": value }))
    }

    /// Changes the session from outside, as [`Handle::update`](crate::Handle::update) does.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)]
    /// # struct Demo { count: i64 }
    /// let mut t = App::new(Demo::default).test();
    /// t.update(|state, cx| {
    ///     state.count = 7;
    ///     cx.notify(Level::Info, "seven");
    /// });
    /// assert_eq!(t.document()["count"], 7);
    /// assert_eq!(t.events()[0].text(), Some("seven"));
    /// ```
    pub fn update<O: Outcome>(&mut self, change: impl FnOnce(&mut S, &mut Cx<S>) -> O + Send + 'static) {
        let cell = self.cell();
        self.note("  an update from outside");
        let taken = cell.update(Box::new(|state, cx| change(state, cx).into_reply().map(drop)));
        assert!(taken.is_ok(), "the session's inbox is full");
        self.settle();
    }

    /// A copy of the session's state.
    #[must_use]
    pub fn state(&self) -> S {
        self.cell().state()
    }

    /// What the page holds: the document that it has made from the frames it got. `$jobs` is in it.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.pages[self.current].document
    }

    /// What the page was told once, since this was last asked: notifications, navigations, the app's own events.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.pages[self.current].events)
    }

    /// The jobs of the page's session.
    pub fn jobs(&mut self) -> Jobs<'_, S> {
        Jobs { test: self }
    }

    /// Lets time pass: ticks, timeouts, deadlines and the end of sessions that nobody comes back to happen in order.
    ///
    /// The time that a callback takes when it runs is none of it.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)]
    /// # struct Demo { count: i64 }
    /// # let app = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by);
    /// let mut t = app.expire_after(Duration::from_secs(60)).test();
    /// t.send("add", 1);
    /// t.cut();
    /// t.advance(Duration::from_secs(120));
    /// t.reconnect();
    /// assert_eq!(t.document()["count"], 0, "its session has expired");
    /// ```
    pub fn advance(&mut self, by: Duration) {
        let until = self.stage.elapsed().saturating_add(by);
        self.note(format_args!("  {by:?} pass"));
        while self.step(until) {}
    }

    /// How much time has passed in this test.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.stage.elapsed()
    }

    /// Takes the page's connection away. What it sends from now on waits in its outbox.
    pub fn cut(&mut self) {
        self.note("  is cut off");
        self.pages[self.current].cut();
        self.settle();
    }

    /// Connects the page, which says hello with what it holds; the old connection ends, if it has one.
    pub fn reconnect(&mut self) {
        let at = self.stage.elapsed();
        self.pages[self.current].connect(&self.hub, &self.guest, at, &mut self.journal);
        self.settle();
    }

    /// From now on pages are opened by that person, as [`App::authenticate`](crate::App::authenticate) would say; the
    /// current one comes back as theirs.
    ///
    /// ```
    /// # use windlass::{Per, prelude::*};
    /// # #[derive(Clone, Default, Serialize)]
    /// # struct Demo { count: i64 }
    /// # let app = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by);
    /// let mut t = app.session_per(Per::User).authenticate(|_| async { Ok(None) }).test();
    /// assert_eq!(t.closed(), Some("login"));
    /// t.sign_in("ada");
    /// t.send("add", 1);
    /// let second = t.second_tab();
    /// t.switch_to(second);
    /// assert_eq!(t.document()["count"], 1);
    /// ```
    pub fn sign_in(&mut self, subject: &str) {
        self.guest.identity = Some(subject.into());
        self.reconnect();
    }

    /// Loads the page anew in the same tab: its document is gone, its outbox and its session are not.
    pub fn reload(&mut self) {
        self.note("  reloads");
        self.pages[self.current].reload();
        self.reconnect();
    }

    /// Ends the server as a deploy does, and starts it again; all pages come back.
    ///
    /// With [`App::data_dir`](crate::App::data_dir) every session is saved and comes back whole, jobs run again or are lost as
    /// [`Callback::options`](crate::Callback::options) says. Without it nothing of a session outlives that: jobs are gone without
    /// an end, each page begins a fresh session, and actions that were not answered are refused as `outcome_unknown` or
    /// `session_gone`. What a page keeps in its tab stays. For the end without a warning see [`Test::crash`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)]
    /// # struct Demo { count: i64 }
    /// # let app = || App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by);
    /// let mut t = app().data_dir("data").test();
    /// t.send("add", 1);
    /// t.restart();
    /// assert_eq!(t.document()["count"], 1);
    ///
    /// let mut t = app().test();
    /// t.send("add", 1);
    /// t.restart();
    /// assert_eq!(t.document()["count"], 0);
    /// assert!(t.send("add", 1).is_applied());
    /// ```
    pub fn restart(&mut self) {
        self.note("  the server is stopped and started again");
        if self.hub.keeper.is_durable() {
            self.hub.all().iter().for_each(|cell| cell.freeze(Duration::from_secs(1)));
            self.settle();
        }
        self.start_again();
    }

    /// Ends the server as a crash does, and starts it again; all pages come back.
    ///
    /// With [`App::data_dir`](crate::App::data_dir) sessions come back as they were saved last, which is at most
    /// [`unsaved_max`](crate::App::unsaved_max) ago, and their pages send again what is not there: each action takes effect
    /// once. Otherwise as [`Test::restart`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)]
    /// # struct Demo { count: i64 }
    /// # let app = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by);
    /// let mut t = app.data_dir("data").test();
    /// t.send("add", 1);
    /// t.send("add", 2); // shown, and not on disk yet
    /// t.crash();
    /// assert_eq!(t.document()["count"], 3);
    /// ```
    pub fn crash(&mut self) {
        self.note("  the server is killed and started again");
        self.start_again();
    }

    fn start_again(&mut self) {
        let connected: Vec<_> = (0..self.pages.len()).filter(|page| self.pages[*page].is_connected()).collect();
        self.pages.iter_mut().for_each(Page::lose_server);
        for cell in self.hub.all() {
            if self.hub.keeper.is_durable() { cell.abandon() } else { cell.fail() }
        }
        if !self.hub.keeper.is_durable() {
            self.hub.keeper.forget_parked();
        }
        self.settle();
        if self.hub.keeper.is_durable() {
            self.hub.take_up_jobs();
            self.settle();
        }
        for page in connected {
            let at = self.stage.elapsed();
            self.pages[page].connect(&self.hub, &self.guest, at, &mut self.journal);
        }
        self.settle();
    }

    /// Parks the page's session now, as it would be some time after its last page has gone: cut the page off first.
    ///
    /// # Panics
    ///
    /// When it cannot be parked: a page is connected or a job has not ended, nothing was ever done in it, or the app has said
    /// neither [`park_after`](crate::App::park_after) nor [`data_dir`](crate::App::data_dir).
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)]
    /// # struct Demo { count: i64 }
    /// # let app = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by);
    /// let mut t = app.park_after(Duration::from_secs(60)).test();
    /// t.send("add", 1);
    /// t.cut();
    /// t.park();
    /// t.reconnect();
    /// assert_eq!(t.document()["count"], 1);
    /// ```
    pub fn park(&mut self) {
        self.note("  its session is parked");
        self.cell().park();
        self.settle();
        assert!(
            self.is_parked(),
            "the session cannot be parked: somebody is there, something runs, or nothing was done"
        );
    }

    /// Whether the page's session has left memory.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        let cell = self.pages[self.current].cell.as_ref();
        cell.is_some_and(|cell| self.hub.find(cell.id).is_none())
    }

    /// Opens the app in another tab and connects it; the current page stays the one that was.
    pub fn second_tab(&mut self) -> Tab {
        let at = self.stage.elapsed();
        let mut page = Page::new(self.pages.len() + 1);
        page.connect(&self.hub, &self.guest, at, &mut self.journal);
        self.pages.push(page);
        self.settle();
        Tab(self.pages.len() - 1)
    }

    /// The tab of the current page.
    #[must_use]
    pub fn tab(&self) -> Tab {
        Tab(self.current)
    }

    /// From now on everything is about the page in that tab.
    pub fn switch_to(&mut self, tab: Tab) {
        self.current = tab.0;
    }

    /// Whether the page has a connection; a close of the server's ends it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.pages[self.current].is_connected()
    }

    /// The name of the code with which the server closed the page's connection last, until the page connects again.
    #[must_use]
    pub fn closed(&self) -> Option<&'static str> {
        self.pages[self.current].closed.as_ref().map(|close| close.code.name())
    }

    fn cell(&self) -> Arc<Cell<S>> {
        let page = &self.pages[self.current];
        let known = page.cell.clone();
        let known = known.unwrap_or_else(|| panic!("{} never got a session: {:?}", page.name, page.closed));
        // Parked meanwhile, perhaps, and back in another place.
        self.hub.reach(known.id).unwrap_or(known)
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        self.journal.note(self.stage.elapsed(), &self.pages[self.current].name, what);
    }

    fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.hub.program.services.pools.iter()
    }

    /// When a pool has something to do next.
    fn due_at(&self) -> Option<Duration> {
        self.pools().filter_map(Pool::due_at).map(|at| self.stage.elapsed_at(at)).min()
    }

    /// Goes on to the next moment at which something is due. False when that is later than `until`, where it then is.
    fn step(&mut self, until: Duration) -> bool {
        let now = self.stage.elapsed();
        if now >= until {
            return false;
        }
        let jobs = self.due_at();
        let sessions = self.pages.iter().filter_map(|page| Some(page.link()?.0.deadline()?.elapsed()));
        let janitor = JANITOR_EVERY * u32::try_from(now.as_secs() / JANITOR_EVERY.as_secs() + 1).unwrap_or(u32::MAX);
        let due = sessions.chain(jobs).chain([janitor]).filter(|at| *at > now).min();
        let next = due.unwrap_or(until).min(until);
        self.stage.set_elapsed(next);
        for page in &self.pages {
            if let Some((cell, outlet)) = page.link()
                && cell.deadline().is_some_and(|at| at.elapsed() <= next)
            {
                cell.timer(outlet.id);
            }
        }
        if next >= janitor {
            self.hub.retire_sessions();
        }
        self.settle();
        true
    }

    /// Does what there is to do, until nothing is left but to wait.
    fn settle(&mut self) {
        self.stage.enter();
        self.stage.call();
        let patience = Instant::now() + JOB_MAX;
        loop {
            let reports = self.stage.reports();
            let moved = self.run_sessions();
            self.stage.serve(reports);
            if moved {
                self.stage.call();
                continue;
            }
            if !self.stage.is_quiet(self.pools()) {
                assert!(
                    Instant::now() < patience,
                    "a job still runs after {JOB_MAX:?}; `fail` and `done` run no callback"
                );
                self.stage.wait();
                continue;
            }
            self.pools().for_each(Pool::run_due);
            if !self.run_sessions() {
                return;
            }
            self.stage.call();
        }
    }

    /// Runs what sessions and pages have to do now. Whether there was something.
    fn run_sessions(&mut self) -> bool {
        let mut moved = false;
        let tasks = |hub: &Hub<S>| (hub.tasks.len(), hub.deferred.len());
        let before = tasks(&self.hub);
        if before != (0, 0) {
            self.run_tasks(Duration::ZERO);
            moved |= tasks(&self.hub) != before;
        }
        for cell in self.hub.all() {
            if cell.is_called() {
                cell.run_if_free(None);
                moved = true;
            }
        }
        let at = self.stage.elapsed();
        for page in &mut self.pages {
            moved |= page.pump(at, &mut self.journal);
        }
        moved
    }

    /// Lets the app's own tasks run: those that are ready, and for a while those that wait.
    fn run_tasks(&mut self, time: Duration) {
        let runtime = self.runtime.as_ref().expect("it is there until the test ends");
        let stage = &self.stage;
        let run = || {
            stage.enter();
            runtime.block_on(async {
                for _ in 0..TASK_ROUNDS {
                    tokio::task::yield_now().await;
                }
                if !time.is_zero() {
                    tokio::time::sleep(time).await;
                }
            });
        };
        if Handle::try_current().is_ok() {
            // A test that is itself a task cannot block on another runtime; a thread of its own can.
            std::thread::scope(|scope| scope.spawn(run).join()).expect("tasks contain their panics");
            stage.enter();
        } else {
            run();
        }
    }
}

impl<S: State> Drop for Test<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\n{}", self.journal);
        }
        self.stage.close();
        self.hub.all().iter().for_each(|cell| cell.abandon());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The answer of an asynchronous action is awaited for so long, in real time.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A callback that a test runs is given so long, in real time.
const JOB_MAX: Duration = Duration::from_secs(60);
const TASKS_RUN_FOR: Duration = Duration::from_millis(1);
/// Enough for a chain of tasks that wake each other.
const TASK_ROUNDS: usize = 16;

/// The steps of `todos[id=7].text` as `$set` says them.
fn steps(path: &str) -> Vec<Value> {
    let mut steps = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.find(['.', '[']) {
        let (name, after) = rest.split_at(at);
        steps.extend((!name.is_empty()).then(|| Value::from(name)));
        rest = &after[1..];
        if after.starts_with('.') {
            continue;
        }
        let row = rest.split_once(']').and_then(|(row, after)| Some((row.split_once('=')?, after)));
        let Some(((key, value), after)) = row else { panic!("\"{path}\" names a row as in \"todos[id=7].text\"") };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        steps.push(serde_json::json!({ key: value }));
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps.extend((!rest.is_empty()).then(|| Value::from(rest)));
    steps
}
