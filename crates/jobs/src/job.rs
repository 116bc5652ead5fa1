//! The two ends of a job: what its callback holds, and what everybody else holds.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::children::{Children, FutureChildren};
use crate::feed::{Feed, LINE_BYTES_MAX};
use crate::guard::clip;
use crate::life::SharedLife;
use crate::lineage::{Families, Lineage};
use crate::options::SubmitError;
use crate::park;
use crate::pool::Shared;
use crate::report::Progress;
use crate::retry::Retry;
use crate::schedule::is_period;
use crate::sync::{AtomicBool, AtomicU32};
use crate::task::Task;
use crate::timers::{Alarm, Timer};

/// How a callback is written, and so what it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A function that blocks: it has a thread of the pool to itself.
    Blocking,
    /// A future: it runs on the pool's [`Spawner`](crate::Spawner).
    Future,
}

/// What is to be known about a job before it runs.
///
/// ```
/// # use std::time::Duration;
/// # use windlass_jobs::Spec;
/// let spec = Spec::new("train", 7).every(Duration::from_secs(5)).soft_timeout(Duration::from_secs(60));
/// assert_eq!(&*spec.name, "train");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Spec {
    /// The name, for logs.
    pub name: Arc<str>,
    /// Whose job it is: owners take turns in the queue, and each has caps of its own. The number means nothing else.
    pub owner: u64,
    /// The period of the ticks, from [`PERIOD_MIN`](crate::PERIOD_MIN) to [`PERIOD_MAX`](crate::PERIOD_MAX); none by default.
    pub every: Option<Duration>,
    /// How long the callback may run before it is asked to stop; for ever by default.
    pub soft_timeout: Option<Duration>,
    /// How long the callback may run before it is reported as timed out whether it stops or not; for ever by default.
    /// Nothing can end a running thread from outside: it keeps its place in the pool until the callback returns.
    pub hard_timeout: Option<Duration>,
    /// Whether a callback that fails is run again; by default it is not. Timeouts hold for each attempt.
    pub retry: Option<Retry>,
    /// What [`Job::key`] gives; empty by default.
    pub key: Arc<str>,
    /// Whether the sink hears of its place in the queue; by default it does not.
    pub ranked: bool,
    /// Says whether an error of the callback is final whatever `retry` says; by default none is. The job's own jobs have
    /// the same. Errors of another type than it expects are not final.
    pub is_final: Option<fn(&dyn Any) -> bool>,
}

impl Spec {
    /// A job called `name` of `owner`, without ticks, timeouts and retries.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, owner: u64) -> Self {
        Self {
            name: name.into(),
            owner,
            every: None,
            soft_timeout: None,
            hard_timeout: None,
            retry: None,
            key: Arc::default(),
            ranked: false,
            is_final: None,
        }
    }

    /// Whether a pool would take such a job. Submitting asks this too.
    ///
    /// # Errors
    /// The setting that is wrong.
    pub fn check(&self) -> Result<(), SubmitError> {
        if let Some(period) = self.every.filter(|&period| !is_period(period)) {
            return Err(SubmitError::InvalidPeriod(period));
        }
        let soft = self.soft_timeout.unwrap_or(Duration::from_nanos(1));
        for timeout in [Some(soft), self.hard_timeout].into_iter().flatten() {
            if timeout.is_zero() || timeout < soft {
                return Err(SubmitError::InvalidTimeout(timeout));
            }
        }
        match &self.retry {
            Some(retry) if !retry.is_sound() => Err(SubmitError::InvalidRetry(retry.clone())),
            _ => Ok(()),
        }
    }

    /// Runs a callback that fails again, as `retry` says.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Tells the sink the job's place in the queue while it waits.
    #[must_use]
    pub fn ranked(mut self) -> Self {
        self.ranked = true;
        self
    }

    /// Asks for a tick at each `period`.
    #[must_use]
    pub fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    /// Asks the callback to stop when it has run for `timeout`.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// Reports the job as timed out when it has run for `timeout`.
    #[must_use]
    pub fn hard_timeout(mut self, timeout: Duration) -> Self {
        self.hard_timeout = Some(timeout);
        self
    }
}

/// The error with which a callback that was told to stop returns.
///
/// ```
/// use windlass_jobs::{Cancelled, Job};
///
/// fn count(job: &Job, to: u64) -> Result<u64, Cancelled> {
///     for _ in 0..to {
///         job.checkpoint()?; // told to stop: `Cancelled` is what it returns with
///     }
///     Ok(to)
/// }
/// # let _ = count;
/// assert_eq!(Cancelled.to_string(), "the job was told to stop");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job was told to stop")
    }
}

impl Error for Cancelled {}

/// What a callback holds of its own job.
///
/// All methods take `&self` and may be called from several threads, scoped ones say. Once the end is reported they
/// do nothing, and `checkpoint` and `emit` return an error.
///
/// ```
/// use std::sync::mpsc;
/// use windlass_jobs::{Cancelled, End, Job, Pool, PoolOptions, Report, Spec};
///
/// fn sum(job: &Job) -> Result<u64, Cancelled> {
///     assert_eq!((job.name(), job.attempt(), job.number()), ("sum", 1, None));
///     assert!(!job.handle().is_over());
///     job.text("adding");
///     job.log(format!("from 1 to 100, with the key {:?}", job.key()));
///     let mut sum = 0;
///     for n in 1..=100 {
///         job.checkpoint()?; // the place to stop
///         sum += n;
///         job.progress(n, 100);
///     }
///     if job.is_cancelled() {
///         job.log("told to stop, but it was nearly done");
///     }
///     job.fraction(1.0);
///     job.emit(sum)?; // a partial result
///     let mut squares = job.children("square"); // jobs of its own
///     squares.start(|_| Ok::<u64, Cancelled>(5 * 5)).expect("there is room");
///     let square = squares.join_next()?.expect("one was started");
///     if square.end != End::Done(25) {
///         job.give_up(); // trying again would not help
///         return Err(Cancelled);
///     }
///     Ok(sum)
/// }
///
/// let pool = Pool::new(PoolOptions { threads: 1, ..PoolOptions::default() });
/// let (tx, rx) = mpsc::channel();
/// let sink = move |report| if let Report::Ended(end) = report { tx.send(end).expect("someone listens") };
/// pool.submit(Spec::new("sum", 1), sum, sink)?;
/// assert_eq!(rx.recv()?, End::Done(5_050));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Job {
    pub(crate) task: Arc<dyn Task>,
}

impl Job {
    /// The name under which the job was submitted.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core().name
    }

    /// A key that is the same in every attempt: give it to a payment system, say, so that nothing is done twice.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.core().key
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.core().life.attempt()
    }

    /// The handle that everybody else has.
    #[must_use]
    pub fn handle(&self) -> JobHandle {
        JobHandle { task: Arc::clone(&self.task) }
    }

    /// Which of its parent's children this job is, from 1; `None` when no job has started it.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.core().lineage.as_ref().map(|lineage| lineage.number)
    }

    /// Jobs of this job's own, which it starts and collects. `name` is theirs unless they are given another.
    ///
    /// See [`Children`] for how they run and what they share with this job.
    pub fn children<T: Send + 'static, E: Send + 'static>(&self, name: impl Into<Arc<str>>) -> Children<'_, T, E> {
        Children::new(self, name.into())
    }

    /// Says that a failure of this attempt is final, whatever the job's [`Retry`] says: trying again would not help.
    pub fn give_up(&self) {
        self.core().has_given_up.store(true, Ordering::Relaxed);
    }

    /// The place to stop: an error once the job was cancelled, has run into its soft timeout or the pool shuts down.
    ///
    /// It costs about as much as reading a shared counter; call it at least every 50 ms, or a cancel seems not to work.
    ///
    /// # Errors
    /// [`Cancelled`] when the callback should return. Pass it on with `?`.
    pub fn checkpoint(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Whether the callback should return as soon as it can. An error that it returns after it has seen
    /// this is taken for its way to stop, not for a failure.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.core().is_stopping()
    }

    /// Says that `i` of `n` steps are done.
    pub fn progress(&self, i: u64, n: u64) {
        self.change(|progress| progress.set_steps(i, n));
    }

    /// Says which part is done, from 0 to 1.
    pub fn fraction(&self, fraction: f64) {
        self.change(|progress| progress.set_fraction(fraction));
    }

    /// Says what is being done, in a few words.
    pub fn text(&self, text: impl Into<String>) {
        let text = clip(text.into(), LINE_BYTES_MAX).into();
        self.change(|progress| progress.text = Some(text));
    }

    /// Adds a line to the log, of which the last [`LOG_LINES_MAX`](crate::LOG_LINES_MAX) are kept.
    ///
    /// A line of a job that another has started goes to the first job of the line, behind its own name and number.
    pub fn log(&self, line: impl Into<String>) {
        let core = self.core();
        if core.life.now().is_over() {
            return;
        }
        let (line, task) = match &core.lineage {
            Some(lineage) => (format!("{} {}: {}", core.name, lineage.number, line.into()), &lineage.root),
            None => (line.into(), &self.task),
        };
        let teller = task.core();
        if !teller.life.now().is_over() {
            report_at(task, teller.feed.log(&*teller.pool.clock, line));
        }
    }

    /// Hands over a partial result. They arrive in order, and none is lost.
    ///
    /// At most [`PARTIALS_MAX`](crate::PARTIALS_MAX) wait to be taken; when there is no room, it waits. Those of a job
    /// that another has started are the first job's of the line.
    ///
    /// # Errors
    /// [`Cancelled`] when the callback should return; then the value is not handed over.
    ///
    /// # Panics
    /// When the value cannot be written as JSON: a map whose keys are no strings, or a `Serialize` that fails.
    /// The job then ends as [`End::Panicked`](crate::End::Panicked).
    pub fn emit(&self, value: impl Serialize) -> Result<(), Cancelled> {
        self.checkpoint()?;
        let partial = raw(&value);
        let core = self.core();
        let teller = core.root().unwrap_or(&self.task);
        if teller.core().feed.put_partial(partial, || core.is_stopping())? {
            teller.tell(crate::Report::Partials);
        }
        Ok(())
    }

    fn core(&self) -> &Core {
        self.task.core()
    }

    fn change(&self, what: impl FnOnce(&mut Progress)) {
        change(&self.task, what);
    }
}

/// Changes the progress of a job, and sees to it that it is reported.
pub(crate) fn change(task: &Arc<dyn Task>, change: impl FnOnce(&mut Progress)) {
    let core = task.core();
    if !core.life.now().is_over() {
        report_at(task, core.feed.change(&*core.pool.clock, change));
    }
}

fn report_at(task: &Arc<dyn Task>, at: Option<Instant>) {
    if let Some(at) = at {
        let core = task.core();
        let timer = Timer { at, id: core.id, alarm: Alarm::Progress, attempt: core.life.attempt() };
        core.pool.timers.set(timer, task);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core().describe("Job", f)
    }
}

/// What a callback that is a future holds of its own job: a [`Job`] whose `emit` waits without holding a thread.
///
/// When the job is told to stop, the future is dropped at its next `await`; it need not ask.
///
/// ```
/// use windlass_jobs::{Cancelled, FutureJob};
///
/// async fn words(job: FutureJob, text: String) -> Result<usize, Cancelled> {
///     for word in text.split(' ') {
///         job.emit(word).await?; // a partial result; it waits for room
///     }
///     let mut lengths = job.children("length");
///     lengths.start(move |_| Ok::<usize, Cancelled>(text.len())).expect("there is room");
///     let ended = lengths.join_all().await?;
///     job.progress(1, 1); // and whatever else a `Job` can
///     Ok(ended.len())
/// }
/// # let _ = words;
/// ```
pub struct FutureJob(pub(crate) Job);

impl FutureJob {
    /// Jobs of this job's own, as [`Job::children`] gives them; they are waited for without holding a thread.
    pub fn children<T: Send + 'static, E: Send + 'static>(
        &self,
        name: impl Into<Arc<str>>,
    ) -> FutureChildren<'_, T, E> {
        FutureChildren::new(self, name.into())
    }

    /// Hands over a partial result, as [`Job::emit`] does, and waits for room without holding a thread.
    ///
    /// # Errors
    /// [`Cancelled`] when the future should return; then the value is not handed over.
    ///
    /// # Panics
    /// When the value cannot be written as JSON, as [`Job::emit`] does.
    pub async fn emit(&self, value: impl Serialize) -> Result<(), Cancelled> {
        let core = self.0.core();
        let mut partial = Some(raw(&value));
        let teller = core.root().unwrap_or(&self.0.task);
        let feed = &teller.core().feed;
        let put = std::future::poll_fn(|cx| feed.poll_partial(&mut partial, cx.waker(), || core.is_stopping()));
        if put.await? {
            teller.tell(crate::Report::Partials);
        }
        Ok(())
    }
}

impl Deref for FutureJob {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.0
    }
}

impl fmt::Debug for FutureJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.core().describe("FutureJob", f)
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    match to_raw_value(value) {
        Ok(value) => value,
        Err(error) => panic!("a partial result cannot be written as JSON: {error}"),
    }
}

/// What everybody but the callback holds of a job. Dropping it does not touch the job.
#[derive(Clone)]
pub struct JobHandle {
    pub(crate) task: Arc<dyn Task>,
}

impl JobHandle {
    /// The name under which the job was submitted.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.task.core().name
    }

    /// Asks the job to stop; false when it is over already.
    ///
    /// A job that waits ends at once and never runs. A running one ends when its callback returns: with
    /// [`End::Cancelled`](crate::End::Cancelled) if that is an error, with [`End::Done`](crate::End::Done) if it was finished anyway.
    pub fn cancel(&self) -> bool {
        self.task.core().is_cancelled_by_handle.store(true, Ordering::Release);
        Shared::cancel(&self.task)
    }

    /// Whether somebody has asked for its end by a handle; a pool that shuts down asks too, but by none.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.task.core().is_cancelled_by_handle.load(Ordering::Acquire)
    }

    /// Asks one of the jobs that this job has started to stop, by its [number](Job::number), or one further down, by the
    /// numbers on the way to it. False when it is not there or is over.
    pub fn cancel_child(&self, path: &[u32]) -> bool {
        self.task.core().families.cancel(path)
    }

    /// Whether an attempt has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.task.core().feed.moments().started.is_some()
    }

    /// Takes the partial results that wait, oldest first, and so makes room for more.
    #[must_use]
    pub fn take_partials(&self) -> Vec<Box<RawValue>> {
        self.task.core().feed.take_partials()
    }

    /// Whether partial results wait to be taken. After the end is reported none comes any more.
    #[must_use]
    pub fn has_partials(&self) -> bool {
        self.task.core().feed.has_partials()
    }

    /// How far the job has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.task.core().feed.progress()
    }

    /// The last lines of the log, oldest first.
    #[must_use]
    pub fn log_tail(&self) -> Vec<Arc<str>> {
        self.task.core().feed.log_tail()
    }

    /// The time since the start: zero before it, and no longer growing after the end.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let core = self.task.core();
        core.feed.elapsed(&*core.pool.clock)
    }

    /// As [`Job::give_up`].
    pub fn give_up(&self) {
        self.task.core().has_given_up.store(true, Ordering::Relaxed);
    }

    /// Which attempt runs or comes next, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.task.core().life.attempt()
    }

    /// Whether the job is over; its last report is then under way or has arrived.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.task.core().life.now().is_over()
    }
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.core().describe("JobHandle", f)
    }
}

/// What a job is whatever its callback returns.
pub(crate) struct Core {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) owner: u64,
    pub(crate) every: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) hard_timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) key: Arc<str>,
    pub(crate) ranked: bool,
    pub(crate) form: Form,
    pub(crate) pool: Arc<Shared>,
    pub(crate) life: SharedLife,
    /// The place in the queue that the sink was told last; 0 for none.
    pub(crate) told_rank: AtomicU32,
    /// Whether a failure is final whatever `retry` says.
    pub(crate) has_given_up: AtomicBool,
    /// Whether the callback has seen that it should stop. Its thread alone reads it, after it has returned.
    pub(crate) has_seen_stop: AtomicBool,
    /// Written before the life is: who reads it at the end of a job knows who has ended it.
    pub(crate) is_cancelled_by_handle: AtomicBool,
    pub(crate) feed: Feed,
    pub(crate) is_final: Option<fn(&dyn Any) -> bool>,
    /// Where it comes from, when another job has started it.
    pub(crate) lineage: Option<Lineage>,
    /// The jobs that it has started itself.
    pub(crate) families: Families,
    /// Where it is between running and waiting for them. See [`crate::park`].
    pub(crate) park: AtomicU32,
}

impl Core {
    pub(crate) fn new(spec: Spec, form: Form, id: u64, pool: Arc<Shared>) -> Self {
        let Spec { name, owner, every, soft_timeout, hard_timeout, retry, key, ranked, is_final } = spec;
        Self {
            id,
            name,
            owner,
            every,
            soft_timeout,
            hard_timeout,
            retry,
            key,
            ranked,
            form,
            pool,
            life: SharedLife::new(),
            told_rank: AtomicU32::new(0),
            has_given_up: AtomicBool::new(false),
            has_seen_stop: AtomicBool::new(false),
            is_cancelled_by_handle: AtomicBool::new(false),
            feed: Feed::default(),
            is_final,
            lineage: None,
            families: Families::default(),
            park: AtomicU32::new(park::RUNS),
        }
    }

    /// 0 for a job that no other has started, and one more for each that has.
    pub(crate) fn depth(&self) -> u8 {
        self.lineage.as_ref().map_or(0, |lineage| lineage.depth)
    }

    /// The first job of its line, if that is another.
    pub(crate) fn root(&self) -> Option<&Arc<dyn Task>> {
        self.lineage.as_ref().map(|lineage| &lineage.root)
    }

    /// It was told to stop: wakes it wherever it waits, and tells the jobs that it has started.
    pub(crate) fn signal(&self) {
        self.feed.wake();
        if let Some(root) = self.root() {
            // It may wait there for room.
            root.core().feed.wake();
        }
        if self.families.stop() {
            self.pool.wake_stopped(self);
        }
    }

    /// How long the job waits for its next attempt if this one has failed; `None` when it is over then.
    pub(crate) fn rests(&self) -> Option<Duration> {
        let retry = self.retry.as_ref()?;
        let attempt = self.life.attempt();
        let final_failure = self.has_given_up.load(Ordering::Relaxed) || attempt >= retry.attempts;
        (!final_failure).then(|| retry.backoff(attempt))
    }

    /// The timers that a job has while it runs.
    pub(crate) fn timers(&self) -> impl Iterator<Item = Timer> {
        let moments = self.feed.moments();
        let attempt = self.life.attempt();
        let after = |timeout: Option<Duration>| moments.started?.checked_add(timeout?);
        [
            (Alarm::Progress, moments.progress),
            (Alarm::Tick, moments.tick),
            (Alarm::SoftTimeout, after(self.soft_timeout)),
            (Alarm::HardTimeout, after(self.hard_timeout)),
        ]
        .into_iter()
        .filter_map(move |(alarm, at)| Some(Timer { at: at?, id: self.id, alarm, attempt }))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        let stopping = self.life.now().is_stopping();
        if stopping {
            self.has_seen_stop.store(true, Ordering::Relaxed);
        }
        stopping
    }

    fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("name", &self.name)
            .field("owner", &self.owner)
            .field("life", &self.life.now())
            .finish()
    }
}
