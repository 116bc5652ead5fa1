//! Where the jobs of a test wait for their cue, and the clock that stands still until the test moves it.
//!
//! Jobs have real threads of a real pool; what is different is that each callback is held at its first line, and that
//! what a job reports is run by the test's thread before the job goes on. So a test is in step with all of them.

use std::any::{Any, TypeId};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use windlass_jobs::{BoxFuture, Clock, Pool, PoolOptions};
use windlass_protocol::{JobId, SessionId};

use crate::{Error, Job, Result, lock};

/// What a held callback does when it is let go.
pub(crate) enum Instead {
    /// It runs.
    Run,
    /// It returns as if it had run and found that it is to stop.
    Stop,
    /// It returns this, whose type is the callback's.
    Done(Box<dyn Any + Send>),
    /// It returns this error.
    Fail(Error),
    /// It panics.
    Panic(String),
}

impl Instead {
    /// What the callback returns.
    pub(crate) fn outcome<T: 'static>(self, job: &Job, run: impl FnOnce(&Job) -> Result<T>) -> Result<T> {
        match self {
            Self::Run => run(job),
            Self::Stop => Err(windlass_jobs::Cancelled.into()),
            Self::Done(value) => Ok(*value.downcast().expect("the type was compared before")),
            Self::Fail(error) => Err(error),
            Self::Panic(text) => panic!("{text}"),
        }
    }
}

/// The type that a callback returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Returns {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

impl Returns {
    pub(crate) fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: std::any::type_name::<T>() }
    }
}

/// Something that the test does to a job on the job's own thread.
type Aside = Box<dyn FnOnce(&Job) + Send>;

enum Cue {
    Aside(Aside),
    Leave(Instead),
}

/// A job that waits at its first line.
struct Held {
    session: SessionId,
    job: JobId,
    name: String,
    returns: Returns,
    cue: Option<Cue>,
    /// It is about to go, or does something that the test asked for.
    busy: bool,
    /// The last call to look up that it has heard.
    looked: u64,
}

/// A held job as the test sees it.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) job: JobId,
    pub(crate) name: String,
    pub(crate) returns: Returns,
}

#[derive(Default)]
struct Wings {
    held: Vec<Held>,
    /// How many reports were made by threads of the pool, and how many of them the test's thread has run.
    reported: u64,
    served: u64,
    /// Counts the calls to look whether one is cancelled.
    calls: u64,
    /// Ticks that were told, by session and job.
    ticks: Vec<(SessionId, JobId)>,
    closed: bool,
}

/// Holds the jobs of a test, and its time.
pub(crate) struct Stage {
    origin: Instant,
    /// Nanoseconds since the origin.
    elapsed: AtomicU64,
    /// The thread of the test: what it causes itself it does not wait for.
    thread: Mutex<ThreadId>,
    wings: Mutex<Wings>,
    /// Rings for the test's thread when a job has done something.
    bell: Condvar,
    /// Rings for the jobs when the test has.
    cues: Condvar,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            elapsed: AtomicU64::new(0),
            thread: Mutex::new(thread::current().id()),
            wings: Mutex::default(),
            bell: Condvar::new(),
            cues: Condvar::new(),
        }
    }

    /// The time that has passed for the test.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed.load(Ordering::Acquire))
    }

    /// Moves the clock to a moment that is not before now.
    pub(crate) fn set_elapsed(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed.fetch_max(nanos, Ordering::AcqRel);
    }

    /// The moment of the test's time that the pool's clock calls `at`.
    pub(crate) fn elapsed_at(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.origin)
    }

    /// A pool in which no job waits for a thread: the test alone decides who is next.
    pub(crate) fn options(options: PoolOptions) -> PoolOptions {
        PoolOptions { threads: JOBS_MAX, futures_max: JOBS_MAX, owner_running_max: JOBS_MAX, nice: 0, ..options }
    }

    /// Runs a future on a thread of its own, where it can be held.
    pub(crate) fn run_future(future: BoxFuture) {
        // Where there is no thread or no runtime, the future is dropped and its job is lost.
        let _ = thread::Builder::new().name("future".to_owned()).spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                runtime.block_on(future);
            }
        });
    }

    /// From here on this thread is the test's.
    pub(crate) fn enter(&self) {
        *lock(&self.thread) = thread::current().id();
    }

    /// Holds a callback until the test lets it go. Called on the job's thread.
    pub(crate) fn hold(&self, session: SessionId, id: JobId, job: &Job, returns: Returns) -> Instead {
        let mut wings = lock(&self.wings);
        let name = job.name().to_owned();
        wings.held.push(Held { session, job: id, name, returns, cue: None, busy: false, looked: 0 });
        self.bell.notify_all();
        loop {
            let calls = wings.calls;
            let at = wings.held.iter().position(|held| held.session == session && held.job == id);
            let at = at.expect("it is taken out only here");
            if wings.closed || job.is_cancelled() {
                return self.leave(&mut wings, at, Instead::Stop);
            }
            wings.held[at].looked = calls;
            match wings.held[at].cue.take() {
                Some(Cue::Leave(instead)) => return self.leave(&mut wings, at, instead),
                Some(Cue::Aside(aside)) => {
                    drop(wings);
                    let outcome = catch_unwind(AssertUnwindSafe(|| aside(job)));
                    wings = lock(&self.wings);
                    let at = wings.held.iter().position(|held| held.session == session && held.job == id);
                    let at = at.expect("it is taken out only here");
                    wings.held[at].busy = false;
                    if let Err(panic) = outcome {
                        self.leave(&mut wings, at, Instead::Stop);
                        drop(wings);
                        resume_unwind(panic);
                    }
                    self.bell.notify_all();
                }
                None => {
                    self.bell.notify_all();
                    wings = self.cues.wait(wings).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn leave(&self, wings: &mut MutexGuard<'_, Wings>, at: usize, instead: Instead) -> Instead {
        wings.held.remove(at);
        self.bell.notify_all();
        instead
    }

    /// A report is in the session's inbox: waits until the test's thread has run it, unless this is that thread.
    pub(crate) fn reported(&self, session: SessionId, job: JobId, is_tick: bool) {
        let mut wings = lock(&self.wings);
        if is_tick {
            wings.ticks.push((session, job));
        }
        if *lock(&self.thread) == thread::current().id() {
            return;
        }
        wings.reported += 1;
        let mine = wings.reported;
        self.bell.notify_all();
        while wings.served < mine && !wings.closed {
            wings = self.cues.wait(wings).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many reports there are to be run. See [`serve`](Self::serve).
    pub(crate) fn reports(&self) -> u64 {
        lock(&self.wings).reported
    }

    /// So many reports have been run: who made them goes on.
    pub(crate) fn serve(&self, reports: u64) {
        let mut wings = lock(&self.wings);
        if wings.served < reports {
            wings.served = reports;
            self.cues.notify_all();
        }
    }

    /// Calls every held job to look whether it was told to stop.
    pub(crate) fn call(&self) {
        lock(&self.wings).calls += 1;
        self.cues.notify_all();
    }

    /// Whether every job of the pool is held and has heard all that it was told.
    pub(crate) fn is_quiet<'p>(&self, pools: impl Iterator<Item = &'p Pool>) -> bool {
        let (mut queued, mut running) = (0, 0);
        for pool in pools {
            let stats = pool.stats();
            queued += stats.queued;
            running += stats.running - stats.stuck.min(stats.running);
        }
        let wings = lock(&self.wings);
        let calls = wings.calls;
        wings.reported == wings.served
            && wings.held.iter().all(|held| held.cue.is_none() && !held.busy && held.looked == calls)
            && queued == 0
            && wings.held.len() == running
    }

    /// Waits for a job to do something, for a moment at most: a thread that goes back to its pool rings no bell.
    pub(crate) fn wait(&self) {
        let wings = lock(&self.wings);
        if wings.reported == wings.served {
            drop(self.bell.wait_timeout(wings, LOOK_EVERY));
        }
    }

    /// The held jobs of a session, oldest first.
    pub(crate) fn waiting(&self, session: SessionId) -> Vec<Waiting> {
        let wings = lock(&self.wings);
        let held = wings.held.iter().filter(|held| held.session == session);
        let mut waiting: Vec<_> =
            held.map(|held| Waiting { job: held.job, name: held.name.clone(), returns: held.returns }).collect();
        waiting.sort_by_key(|waiting| (waiting.job.epoch, waiting.job.n));
        waiting
    }

    /// Lets a held job go.
    pub(crate) fn release(&self, session: SessionId, job: JobId, instead: Instead) {
        self.cue(session, job, Cue::Leave(instead));
    }

    /// Does something to a held job on its own thread.
    pub(crate) fn aside(&self, session: SessionId, job: JobId, aside: Aside) {
        self.cue(session, job, Cue::Aside(aside));
    }

    fn cue(&self, session: SessionId, job: JobId, cue: Cue) {
        let mut wings = lock(&self.wings);
        if let Some(held) = wings.held.iter_mut().find(|held| held.session == session && held.job == job) {
            held.busy = true;
            held.cue = Some(cue);
            self.cues.notify_all();
        }
    }

    /// How often a job has told that it still runs.
    pub(crate) fn ticks(&self, session: SessionId, job: JobId) -> usize {
        lock(&self.wings).ticks.iter().filter(|tick| **tick == (session, job)).count()
    }

    /// The test is over: nobody is held any more.
    pub(crate) fn close(&self) {
        lock(&self.wings).closed = true;
        self.cues.notify_all();
    }
}

impl Clock for Stage {
    fn now(&self) -> Instant {
        self.origin + self.elapsed()
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

/// Jobs of a test at the same time; more wait, and the test says so.
const JOBS_MAX: usize = 256;
/// Short beside what a test takes, and long beside a look.
const LOOK_EVERY: Duration = Duration::from_micros(200);
