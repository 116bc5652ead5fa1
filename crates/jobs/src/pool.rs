//! A bounded pool of threads that run jobs, and one thread that keeps the time for them.
//!
//! Threads start when there is work for them, take jobs from the [queue](crate::queue) and stay until the pool
//! shuts down. The lock of the pool is never held while code of an app runs.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use crate::clock::{Clock, SystemClock};
use crate::guard::lock;
use crate::job::{Core, Job, JobHandle, Spec};
use crate::life::{Effect, Event, Life};
use crate::priority;
use crate::queue::{Full, Limits, Queue};
use crate::report::{End, Report, Sink};
use crate::schedule::is_period;
use crate::task::{Callback, Task, TypedTask};
use crate::timers::{Due, Kind, Timer, Timers};

/// The settings of a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The name of its threads, which get a number behind it. `jobs` by default.
    pub name: String,
    /// How many jobs run at the same time. One for each core by default, and never less than one.
    pub threads: usize,
    /// How many jobs wait, of all owners together; more are [`SubmitError::QueueFull`]. 4,096 by default.
    pub queue_max: usize,
    /// How many jobs of one owner wait; more are [`SubmitError::OwnerQueueFull`]. 1,024 by default.
    pub owner_queue_max: usize,
    /// How many jobs of one owner run at the same time; the others wait. As many as there are threads by default.
    pub owner_running_max: usize,
    /// The niceness of the threads on Linux, from 1 to 19; 0 leaves it alone. 10 by default: about a tenth of
    /// the share of a thread that has not been lowered, so that sockets come first and jobs still go on.
    pub nice: i32,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            name: "jobs".to_owned(),
            threads: thread::available_parallelism().map_or(1, usize::from),
            queue_max: 4096,
            owner_queue_max: 1024,
            owner_running_max: usize::MAX,
            nice: 10,
        }
    }
}

/// Why a job was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubmitError {
    /// So many jobs wait as the pool allows. Try again later.
    QueueFull(usize),
    /// So many jobs of this owner wait as the pool allows to one. Try again when one of them has ended.
    OwnerQueueFull(usize),
    /// No ticks at this period: it is zero, below [`PERIOD_MIN`](crate::PERIOD_MIN) or above [`PERIOD_MAX`](crate::PERIOD_MAX). Fix the code.
    InvalidPeriod(Duration),
    /// A timeout that is zero, or a hard one before the soft one. Fix the code.
    InvalidTimeout(Duration),
    /// The pool takes no more jobs.
    ShuttingDown,
    /// The system gives the pool no thread, and it has none that could run the job. Try again later.
    NoThread(io::Error),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull(max) => write!(f, "the queue of jobs is full, {max} wait"),
            Self::OwnerQueueFull(max) => write!(f, "the owner's queue of jobs is full, {max} wait"),
            Self::InvalidPeriod(period) => write!(f, "{period:?} is no period for ticks"),
            Self::InvalidTimeout(timeout) => write!(f, "{timeout:?} is no timeout"),
            Self::ShuttingDown => f.write_str("the pool of jobs shuts down"),
            Self::NoThread(error) => write!(f, "no thread for the job: {error}"),
        }
    }
}

impl Error for SubmitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoThread(error) => Some(error),
            _ => None,
        }
    }
}

/// What a pool is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that have a thread, stuck ones included.
    pub running: usize,
    /// Jobs whose end was reported, while their callback still holds a thread.
    pub stuck: usize,
}

/// A bounded pool of threads for callbacks that take long. The [crate] shows how it is used.
///
/// Dropping a pool shuts it down without waiting: what runs is cancelled and reported as [`End::Lost`].
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// A pool; its threads start when the first jobs come.
    #[must_use]
    pub fn new(options: PoolOptions) -> Self {
        Self { shared: Shared::new(options, Arc::new(SystemClock), Timekeeper::Wanted) }
    }

    /// A pool on another clock, for tests: nothing is done at a time but by [`run_due`](Self::run_due).
    #[must_use]
    pub fn driven(options: PoolOptions, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Shared::new(options, clock, Timekeeper::Caller) }
    }

    /// Does what is due by the clock: ticks, timeouts, reports of progress, and ends of jobs that were cancelled while they waited.
    ///
    /// Only for a pool that is [`driven`](Self::driven); any other does it by itself.
    pub fn run_due(&self) {
        self.shared.run_due();
    }

    /// Puts a job into the queue.
    ///
    /// `sink` hears of it from now on, possibly before this returns.
    ///
    /// # Errors
    /// [`SubmitError`] says what to do. The callback and the sink are dropped then, and nothing is reported.
    pub fn submit<T, E>(
        &self,
        spec: Spec,
        work: impl Fn(&Job) -> Result<T, E> + Send + Sync + 'static,
        sink: impl Sink<T, E>,
    ) -> Result<JobHandle, SubmitError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        check(&spec)?;
        let shared = &self.shared;
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let core = Core::new(spec, id, Arc::clone(shared));
        let task: Arc<dyn Task> = Arc::new(TypedTask::new(core, Callback::new(work), sink));
        shared.push(&task)?;
        Ok(JobHandle { task })
    }

    /// What the pool is busy with now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = lock(&self.shared.state);
        let stuck = state.running.iter().filter(|task| task.core().life.now() == Life::Abandoned).count();
        Stats { queued: state.queue.len(), running: state.running.len(), stuck }
    }

    /// Ends everything: takes no new jobs, cancels all, waits for those that run for at most `deadline`, and reports
    /// what is left as [`End::Lost`]. Returns how many were.
    ///
    /// When it returns, every job is over. It may be called again, and from another thread meanwhile.
    /// A callback may call it; its own job will be among the lost. A sink must not.
    pub fn shutdown(&self, deadline: Duration) -> usize {
        self.shared.shutdown(deadline)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.shutdown(Duration::ZERO);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.shared.options.name).field("stats", &self.stats()).finish()
    }
}

fn check(spec: &Spec) -> Result<(), SubmitError> {
    if let Some(period) = spec.every.filter(|&period| !is_period(period)) {
        return Err(SubmitError::InvalidPeriod(period));
    }
    let soft = spec.soft_timeout.unwrap_or(Duration::from_nanos(1));
    for timeout in [Some(soft), spec.hard_timeout].into_iter().flatten() {
        if timeout.is_zero() || timeout < soft {
            return Err(SubmitError::InvalidTimeout(timeout));
        }
    }
    Ok(())
}

/// Who does what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timekeeper {
    /// A thread of the pool, which starts with the first job.
    Wanted,
    /// That thread, which has started.
    Thread,
    /// Whoever calls [`Pool::run_due`].
    Caller,
}

/// The pool as its threads, jobs and handles see it.
pub(crate) struct Shared {
    options: PoolOptions,
    state: Mutex<State>,
    /// Rings when a job waits for a thread.
    work: Condvar,
    /// Rings while the pool shuts down, when a job has ended.
    quiet: Condvar,
    next_id: AtomicU64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timers: Timers,
}

struct State {
    queue: Queue<Arc<dyn Task>>,
    /// Jobs that have a thread; never more than there are threads.
    running: Vec<Arc<dyn Task>>,
    /// Jobs that were cancelled while they waited, until that is reported. They still count as waiting, or
    /// submitting and cancelling in a loop would fill the memory faster than reports can be made.
    ending: usize,
    threads: usize,
    idle: usize,
    timekeeper: Timekeeper,
    closing: bool,
}

impl Shared {
    fn new(mut options: PoolOptions, clock: Arc<dyn Clock>, timekeeper: Timekeeper) -> Arc<Self> {
        options.threads = options.threads.max(1);
        options.owner_running_max = options.owner_running_max.max(1);
        let limits = Limits {
            queue_max: options.queue_max,
            owner_queue_max: options.owner_queue_max,
            owner_running_max: options.owner_running_max,
        };
        let state = State {
            queue: Queue::new(limits),
            running: Vec::with_capacity(options.threads.min(64)),
            ending: 0,
            threads: 0,
            idle: 0,
            timekeeper,
            closing: false,
        };
        Arc::new(Self {
            options,
            state: Mutex::new(state),
            work: Condvar::new(),
            quiet: Condvar::new(),
            next_id: AtomicU64::new(0),
            clock,
            timers: Timers::default(),
        })
    }

    fn push(self: &Arc<Self>, task: &Arc<dyn Task>) -> Result<(), SubmitError> {
        let core = task.core();
        let mut state = lock(&self.state);
        if state.closing {
            return Err(SubmitError::ShuttingDown);
        }
        state.queue.room(core.owner, state.ending).map_err(|full| match full {
            Full::Queue => SubmitError::QueueFull(self.options.queue_max),
            Full::Owner => SubmitError::OwnerQueueFull(self.options.owner_queue_max),
        })?;
        self.start_threads(&mut state)?;
        state.queue.push(core.owner, core.id, Arc::clone(task));
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Starts what one more waiting job needs.
    fn start_threads(self: &Arc<Self>, state: &mut State) -> Result<(), SubmitError> {
        if state.timekeeper == Timekeeper::Wanted {
            self.spawn("time", Self::keep_time).map_err(SubmitError::NoThread)?;
            state.timekeeper = Timekeeper::Thread;
        }
        // Threads that were woken and have not come to their job yet still count as idle; so do their jobs as waiting.
        if state.queue.len() >= state.idle && state.threads < self.options.threads {
            match self.spawn(&state.threads.to_string(), Self::work) {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(SubmitError::NoThread(error)),
                // The threads that there are will come to it.
                Err(error) => tracing::warn!(pool = self.options.name, "no further thread: {error}"),
            }
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, suffix: &str, run: fn(&Self)) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new().name(format!("{}-{suffix}", self.options.name)).spawn(move || run(&shared))?;
        Ok(())
    }

    /// The life of a thread of the pool.
    fn work(&self) {
        priority::lower(self.options.nice);
        let mut done = None;
        while let Some(task) = self.next(done.take()) {
            self.run(&task);
            let core = task.core();
            done = Some((core.owner, core.id));
        }
    }

    /// Notes that a job is done and waits for the next; both under one lock, since short jobs meet here.
    fn next(&self, done: Option<(u64, u64)>) -> Option<Arc<dyn Task>> {
        let mut state = lock(&self.state);
        if let Some((owner, id)) = done {
            state.running.retain(|task| task.core().id != id);
            state.queue.done(owner);
            self.ring_quiet(&state);
        }
        loop {
            if let Some(task) = state.queue.pop() {
                state.running.push(Arc::clone(&task));
                return Some(task);
            }
            if state.closing {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn run(&self, task: &Arc<dyn Task>) {
        let core = task.core();
        if core.life.on(Event::Start) != Effect::Run {
            return;
        }
        core.feed.start(self.clock.now(), core.every);
        task.tell(Report::Started);
        for timer in core.timers() {
            self.timers.set(timer, task);
        }
        task.run(&Job { task: Arc::clone(task) });
    }

    /// The life of the thread that keeps the time.
    fn keep_time(&self) {
        while self.timers.wait(&*self.clock) {
            self.run_due();
        }
    }

    fn run_due(&self) {
        loop {
            match self.timers.pop(self.clock.now()) {
                Due::Cancelled(task) => self.end_cancelled(&task),
                Due::Timer(timer, task) => {
                    if let Some(task) = task.upgrade() {
                        self.fire(timer, &task);
                    }
                }
                Due::Nothing => return,
            }
        }
    }

    fn fire(&self, timer: Timer, task: &Arc<dyn Task>) {
        let core = task.core();
        let now = self.clock.now();
        match timer.kind {
            Kind::Progress => {
                if let Some(report) = core.feed.report_progress(now) {
                    task.tell(report);
                }
            }
            Kind::Tick => {
                if let Some(report) = core.feed.report_tick(now) {
                    task.tell(report);
                }
                if let Some(at) = core.feed.moments().tick {
                    self.timers.set(Timer { at, ..timer }, task);
                    // The job may have ended, and taken its timers out, just before this one was set.
                    if core.life.now().is_over() {
                        self.forget_timers(core);
                    }
                }
            }
            Kind::SoftTimeout => {
                if core.life.on(Event::SoftTimeout) == Effect::Signal {
                    core.feed.wake();
                }
            }
            Kind::HardTimeout => {
                if core.life.on(Event::HardTimeout) == Effect::EndAbandoned {
                    self.abandon(task, End::TimedOut);
                }
            }
        }
    }

    /// Takes out the timers of a job that is over.
    pub(crate) fn forget_timers(&self, core: &Core) {
        let mut timers = core.timers().peekable();
        // Most short jobs have none, and then leave the lock alone.
        if timers.peek().is_some() {
            self.timers.remove(timers);
        }
    }

    pub(crate) fn cancel(task: &Arc<dyn Task>) -> bool {
        let core = task.core();
        match core.life.on(Event::Cancel) {
            Effect::Signal => core.feed.wake(),
            Effect::EndQueued => core.pool.leave_queue(task),
            _ => return !core.life.now().is_over(),
        }
        true
    }

    /// Takes a job out of the queue that was cancelled while it waited.
    ///
    /// Its callback is dropped here, on the thread of who cancelled: a slow destructor holds up nobody else.
    fn leave_queue(&self, task: &Arc<dyn Task>) {
        let core = task.core();
        let mut state = lock(&self.state);
        // It is not there when a thread has just taken it; that thread will see that there is nothing to run.
        let waiting = state.queue.remove(core.owner, core.id);
        state.ending += 1;
        drop(state);
        drop(waiting);
        task.discard_work();
        match self.timers.report_cancelled(Arc::clone(task)) {
            // The thread that shuts down may be waiting for just this.
            Ok(()) => self.ring_quiet(&lock(&self.state)),
            Err(task) => self.end_cancelled(&task),
        }
    }

    fn end_cancelled(&self, task: &Arc<dyn Task>) {
        task.tell(Report::Ended(End::Cancelled));
        let mut state = lock(&self.state);
        state.ending -= 1;
        self.ring_quiet(&state);
    }

    /// Wakes the thread that shuts down, if one does. The lock has to be held, or it could just be about to wait.
    fn ring_quiet(&self, state: &State) {
        if state.closing {
            self.quiet.notify_all();
        }
    }

    /// Reports the end of a job whose callback still runs.
    fn abandon(&self, task: &Arc<dyn Task>, end: End<Infallible, Infallible>) {
        let core = task.core();
        core.feed.end(self.clock.now());
        core.feed.wake();
        self.forget_timers(core);
        task.tell(Report::Ended(end));
    }

    fn shutdown(&self, deadline: Duration) -> usize {
        // This is the machine's time also when the pool's clock is another: a test that shuts down wants to end.
        let deadline = Instant::now().checked_add(deadline);
        let mut state = lock(&self.state);
        state.closing = true;
        let mut tasks = state.queue.drain();
        tasks.extend(state.running.iter().cloned());
        drop(state);
        self.work.notify_all();
        for task in &tasks {
            Self::cancel(task);
        }
        drop(tasks);
        let running = self.wait_until_quiet(deadline);
        let mut lost = 0;
        for task in running {
            if task.core().life.on(Event::Lose) == Effect::EndAbandoned {
                self.abandon(&task, End::Lost);
                lost += 1;
            }
        }
        for task in self.timers.close() {
            self.end_cancelled(&task);
        }
        lost
    }

    /// Reports the jobs that were cancelled while they waited, waits until nothing runs or the time is up, and gives
    /// back what runs still.
    fn wait_until_quiet(&self, deadline: Option<Instant>) -> Vec<Arc<dyn Task>> {
        let mut state = lock(&self.state);
        while !state.running.is_empty() || state.ending > 0 {
            // The thread that keeps the time does this too, but a driven pool has none.
            if let Some(task) = self.timers.pop_cancelled() {
                drop(state);
                self.end_cancelled(&task);
                state = lock(&self.state);
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.quiet.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.quiet.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.running.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::sync::mpsc;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_job_that_has_ended_leaves_no_timers_behind() {
        let clock = Arc::new(ManualClock::new());
        let pool = Pool::driven(PoolOptions::default(), clock);
        for _ in 0..10 {
            let (tx, rx) = mpsc::channel();
            let spec = Spec::new("short", 1).every(HOUR).soft_timeout(HOUR).hard_timeout(2 * HOUR);
            let work = |job: &Job| {
                job.progress(1, 1);
                Ok::<_, ()>(())
            };
            let sink = move |report: Report<(), ()>| tx.send(report).expect("the test listens");
            pool.submit(spec, work, sink).expect("there is room");
            assert_eq!(rx.iter().last(), Some(Report::Ended(End::Done(()))));
        }
        assert_eq!(pool.shared.timers.len(), 0);
    }

    #[test]
    fn a_timeout_must_be_one() {
        let second = Duration::from_secs(1);
        let spec = || Spec::new("x", 1);
        assert!(check(&spec().soft_timeout(second).hard_timeout(second)).is_ok());
        assert!(check(&spec().hard_timeout(second)).is_ok());
        for bad in [
            spec().soft_timeout(Duration::ZERO),
            spec().hard_timeout(Duration::ZERO),
            spec().soft_timeout(2 * second).hard_timeout(second),
        ] {
            assert!(matches!(check(&bad), Err(SubmitError::InvalidTimeout(_))), "{bad:?}");
        }
    }
}
