//! A bounded pool of threads that run jobs, and one thread that keeps the time for them.
//!
//! Threads start when there is work for them, take jobs from the [queue](crate::queue) and stay until the pool
//! shuts down. The lock of the pool is never held while code of an app runs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use crate::clock::{Clock, SystemClock};
use crate::guard::lock;
use crate::job::{Core, Form, FutureJob, Job, JobHandle, Spec};
use crate::life::{Effect, Event, Life};
use crate::options::{PoolOptions, Spawner, Stats, SubmitError};
use crate::priority;
use crate::queue::{Full, Limits, Queue};
use crate::report::{End, Report, Sink};
use crate::slot::Slot;
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard};
use crate::task::Task;
use crate::timers::{Alarm, Due, Timer, Timers};

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

    /// Does what is due by the clock: ticks, timeouts, next attempts, reports of progress and of places in the queue,
    /// and ends of jobs that were cancelled while they waited.
    ///
    /// Only for a pool that is [`driven`](Self::driven); any other does it by itself.
    pub fn run_due(&self) {
        self.shared.run_due();
    }

    /// When [`run_due`](Self::run_due) has something to do next, by the pool's clock.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.shared.timers.next(self.shared.clock.now())
    }

    /// Says what runs the futures of this pool; before, it takes none. Said again, it changes nothing.
    pub fn run_futures_on(&self, spawner: impl Spawner) {
        let _ = self.shared.spawner.set(Box::new(spawner));
    }

    /// Keeps a place in the queue for a job of `owner`, so that submitting it cannot fail for want of room.
    ///
    /// # Errors
    /// [`SubmitError::QueueFull`] and [`SubmitError::OwnerQueueFull`], [`SubmitError::ShuttingDown`],
    /// and [`SubmitError::NoSpawner`] for a future when there is nothing to run it.
    pub fn reserve(&self, owner: u64, form: Form) -> Result<Slot, SubmitError> {
        if form == Form::Future && self.shared.spawner.get().is_none() {
            return Err(SubmitError::NoSpawner);
        }
        let mut state = lock(&self.shared.state);
        self.shared.has_room(&state, owner, form)?;
        state.queues[form as usize].reserve(owner);
        Ok(Slot { shared: Arc::clone(&self.shared), owner, form })
    }

    /// Puts a blocking job into the queue.
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
        spec.check()?;
        self.reserve(spec.owner, Form::Blocking)?.submit(spec, work, sink)
    }

    /// Puts a future into the queue, as [`submit`](Self::submit) does a function that blocks. A cancel and a timeout
    /// drop it at its next `await`.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and [`SubmitError::NoSpawner`].
    pub fn submit_future<T, E, F>(
        &self,
        spec: Spec,
        work: impl Fn(FutureJob) -> F + Send + Sync + 'static,
        sink: impl Sink<T, E>,
    ) -> Result<JobHandle, SubmitError>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        spec.check()?;
        self.reserve(spec.owner, Form::Future)?.submit_future(spec, work, sink)
    }

    /// What the pool is busy with now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = lock(&self.shared.state);
        let stuck = state.running.iter().filter(|task| task.core().life.now() == Life::Abandoned).count();
        let queued = state.queues.iter().map(Queue::len).sum();
        let parked = state.queues.iter().map(Queue::parked).sum();
        Stats { queued, running: state.running.len() - parked, parked, stuck, resting: state.resting.len() }
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
    pub(crate) options: PoolOptions,
    pub(crate) state: Mutex<State>,
    /// Rings when a job waits for a thread.
    pub(crate) work: Condvar,
    /// Rings when a blocking job that waits for jobs of its own may go on, or has to stop.
    pub(crate) going_on: Condvar,
    /// Rings while the pool shuts down, when a job has ended.
    quiet: Condvar,
    next_id: AtomicU64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timers: Timers,
    spawner: OnceLock<Box<dyn Spawner>>,
}

pub(crate) struct State {
    /// One of each [`Form`].
    pub(crate) queues: [Queue<Arc<dyn Task>>; 2],
    /// Jobs that have a thread or whose future was spawned, also while they wait for jobs of their own; bounded by the
    /// options.
    pub(crate) running: Vec<Arc<dyn Task>>,
    /// Somebody starts futures; what comes meanwhile is theirs to start. A runtime that is gone drops each future
    /// where it is spawned, and without this a long queue would end in as many nested calls.
    starts_futures: bool,
    /// Jobs that wait for their next attempt, by id. Each has a place in the queue kept.
    resting: HashMap<u64, Arc<dyn Task>>,
    /// Whether a moment is set at which those who wait hear of their places.
    pub(crate) ranks_due: bool,
    pub(crate) ranks_told: Option<Instant>,
    /// Waiting jobs whose sinks hear of their places.
    pub(crate) ranked: usize,
    /// What a job takes, as a moving average; of jobs that are ranked.
    pub(crate) usual: Option<Duration>,
    /// Jobs that were cancelled while they waited, until that is reported. They still count as waiting, or
    /// submitting and cancelling in a loop would fill the memory faster than reports can be made.
    ending: usize,
    pub(crate) threads: usize,
    pub(crate) idle: usize,
    timekeeper: Timekeeper,
    pub(crate) closing: bool,
}

impl Shared {
    fn new(mut options: PoolOptions, clock: Arc<dyn Clock>, timekeeper: Timekeeper) -> Arc<Self> {
        options.threads = options.threads.max(1);
        options.futures_max = options.futures_max.max(1);
        options.owner_running_max = options.owner_running_max.max(1);
        options.parents_max = options.parents_max.max(1);
        let limits = |running_max| Limits {
            running_max,
            queue_max: options.queue_max,
            owner_queue_max: options.owner_queue_max,
            owner_running_max: options.owner_running_max,
            parked_max: options.parents_max,
        };
        let state = State {
            queues: [Queue::new(limits(options.threads)), Queue::new(limits(options.futures_max))],
            running: Vec::with_capacity(options.threads.min(64)),
            starts_futures: false,
            resting: HashMap::new(),
            ranks_due: false,
            ranks_told: None,
            ranked: 0,
            usual: None,
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
            going_on: Condvar::new(),
            quiet: Condvar::new(),
            next_id: AtomicU64::new(0),
            clock,
            timers: Timers::default(),
            spawner: OnceLock::new(),
        })
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn release(&self, owner: u64, form: Form) {
        lock(&self.state).queues[form as usize].release(owner);
    }

    /// How many jobs of that form run at the same time.
    pub(crate) fn size(&self, form: Form) -> usize {
        match form {
            Form::Blocking => self.options.threads,
            Form::Future => self.options.futures_max,
        }
    }

    /// Keeps a place in the queue for a job that another job starts. The first that a job has needs no room, or a job
    /// could wait for its children while others keep them out.
    pub(crate) fn reserve_child(self: &Arc<Self>, owner: u64, form: Form, is_first: bool) -> Result<Slot, SubmitError> {
        let mut state = lock(&self.state);
        match self.has_room(&state, owner, form) {
            Err(SubmitError::QueueFull(_) | SubmitError::OwnerQueueFull(_)) if is_first => {}
            room => room?,
        }
        state.queues[form as usize].reserve(owner);
        Ok(Slot { shared: Arc::clone(self), owner, form })
    }

    /// Whether it can run futures.
    pub(crate) fn has_spawner(&self) -> bool {
        self.spawner.get().is_some()
    }

    fn has_room(&self, state: &State, owner: u64, form: Form) -> Result<(), SubmitError> {
        if state.closing {
            return Err(SubmitError::ShuttingDown);
        }
        state.queues[form as usize].room(owner, state.ending).map_err(|full| match full {
            Full::Queue => SubmitError::QueueFull(self.options.queue_max),
            Full::Owner => SubmitError::OwnerQueueFull(self.options.owner_queue_max),
        })
    }

    /// Puts a job into the queue; its place was kept.
    pub(crate) fn push(self: &Arc<Self>, task: &Arc<dyn Task>) -> Result<(), SubmitError> {
        let core = task.core();
        let mut state = lock(&self.state);
        if state.closing {
            return Err(SubmitError::ShuttingDown);
        }
        self.start_threads(&mut state, core.form)?;
        self.enqueue(state, task);
        Ok(())
    }

    fn enqueue(self: &Arc<Self>, mut state: MutexGuard<'_, State>, task: &Arc<dyn Task>) {
        let core = task.core();
        state.queues[core.form as usize].push(core.owner, core.id, core.depth(), Arc::clone(task));
        if core.ranked {
            state.ranked += 1;
            self.plan_ranks(&mut state);
        }
        let wake = state.idle > 0;
        drop(state);
        match core.form {
            Form::Future => self.start_futures(),
            Form::Blocking if wake => self.work.notify_one(),
            Form::Blocking => {}
        }
    }

    /// Notes that a job has left the queue.
    pub(crate) fn left_queue(&self, state: &mut State, core: &Core) {
        if core.ranked {
            state.ranked -= 1;
            // It has no place any more, and hears of the one that it waits in for its next attempt.
            core.told_rank.store(0, Ordering::Relaxed);
        }
        self.plan_ranks(state);
    }

    /// Starts what one more waiting job needs.
    fn start_threads(self: &Arc<Self>, state: &mut State, form: Form) -> Result<(), SubmitError> {
        if state.timekeeper == Timekeeper::Wanted {
            self.spawn("time", Self::keep_time).map_err(SubmitError::NoThread)?;
            state.timekeeper = Timekeeper::Thread;
        }
        // Threads that were woken and have not come to their job yet still count as idle; so do their jobs as waiting.
        let waiting = state.queues[Form::Blocking as usize].len();
        if form == Form::Blocking && waiting >= state.idle && state.threads < self.threads_max(state) {
            match self.spawn(&state.threads.to_string(), Self::work) {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(SubmitError::NoThread(error)),
                // The threads that there are will come to it.
                Err(error) => tracing::warn!(pool = self.options.name, "no further thread: {error}"),
            }
        }
        Ok(())
    }

    /// How many threads there may be: one for each that runs, and those that wait for jobs of their own.
    pub(crate) fn threads_max(&self, state: &State) -> usize {
        self.options.threads + state.queues[Form::Blocking as usize].parked()
    }

    pub(crate) fn spawn(self: &Arc<Self>, suffix: &str, run: fn(&Arc<Self>)) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new().name(format!("{}-{suffix}", self.options.name)).spawn(move || run(&shared))?;
        Ok(())
    }

    /// The life of a thread of the pool.
    pub(crate) fn work(self: &Arc<Self>) {
        priority::lower(self.options.nice);
        let mut done = None;
        while let Some(task) = self.next(done.take()) {
            if self.begin(&task) {
                let job = Job { task: Arc::clone(&task) };
                Arc::clone(&task).run(job);
            }
            done = Some(task);
        }
    }

    /// Notes that a job is done and waits for the next; both under one lock, since short jobs meet here.
    fn next(&self, done: Option<Arc<dyn Task>>) -> Option<Arc<dyn Task>> {
        let mut state = lock(&self.state);
        // A job that is through holds nothing of the app's any more: it may be dropped under the lock.
        if let Some(task) = done {
            self.done(&mut state, &task);
        }
        loop {
            if let Some(task) = self.take(&mut state, Form::Blocking, &mut Vec::new()) {
                return Some(task);
            }
            if state.closing {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let is_extra = state.threads > self.options.threads;
            let is_too_long;
            (state, is_too_long) = if is_extra {
                let waited = self.work.wait_timeout(state, EXTRA_KEPT).unwrap_or_else(PoisonError::into_inner);
                (waited.0, waited.1.timed_out())
            } else {
                (self.work.wait(state).unwrap_or_else(PoisonError::into_inner), false)
            };
            state.idle -= 1;
            if is_too_long
                && state.threads > self.threads_max(&state)
                && !state.queues[Form::Blocking as usize].is_ready()
            {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// Notes that a job runs no longer.
    fn done(&self, state: &mut State, task: &Arc<dyn Task>) {
        let core = task.core();
        // One of them: a job whose next attempt has begun already is there twice.
        if let Some(at) = state.running.iter().position(|running| running.core().id == core.id) {
            state.running.swap_remove(at);
        }
        if core.is_parked() {
            // It has ended while another thread of its own waited for its children.
            self.go_on_now(state, core);
        }
        state.queues[core.form as usize].done(core.owner);
        if core.ranked {
            let took = core.feed.elapsed(&*self.clock);
            state.usual = Some(state.usual.map_or(took, |usual| (usual * 7 + took) / 8));
        }
        self.ring_quiet(state);
    }

    /// Lets the callback begin, unless the job is over.
    fn begin(&self, task: &Arc<dyn Task>) -> bool {
        let core = task.core();
        if core.life.on(Event::Start) != Effect::Run {
            return false;
        }
        core.feed.start(self.clock.now(), core.every);
        task.tell(Report::Started);
        for timer in core.timers() {
            self.timers.set(timer, task);
        }
        true
    }

    /// Spawns as many of the waiting futures as may run, and wakes those that go on.
    pub(crate) fn start_futures(&self) {
        let mut state = lock(&self.state);
        if state.starts_futures {
            return;
        }
        state.starts_futures = true;
        loop {
            let mut goes_on = Vec::new();
            let task = self.take(&mut state, Form::Future, &mut goes_on);
            if task.is_none() && goes_on.is_empty() {
                break;
            }
            drop(state);
            goes_on.iter().for_each(|task| task.core().feed.wake());
            drop(goes_on);
            let Some(task) = task else {
                state = lock(&self.state);
                continue;
            };
            if self.begin(&task) {
                let job = Job { task: Arc::clone(&task) };
                let future = Arc::clone(&task).run(job).expect("it is a future");
                self.spawner.get().expect("without one no future was taken").spawn(future);
                state = lock(&self.state);
            } else {
                state = lock(&self.state);
                self.done(&mut state, &task);
            }
        }
        state.starts_futures = false;
    }

    /// A future is through; the next may run.
    pub(crate) fn future_done(&self, task: &Arc<dyn Task>) {
        self.done(&mut lock(&self.state), task);
        self.start_futures();
    }

    /// Lets a job wait for its next attempt. Its place in the queue is kept.
    pub(crate) fn rest(&self, task: &Arc<dyn Task>, after: Duration) {
        let core = task.core();
        let mut state = lock(&self.state);
        // It may have been cancelled since; whoever did that has found it nowhere, and has reported its end.
        if core.life.now() != Life::Queued {
            return;
        }
        state.queues[core.form as usize].reserve(core.owner);
        state.resting.insert(core.id, Arc::clone(task));
        drop(state);
        let Some(at) = self.clock.now().checked_add(after) else { return };
        self.timers.set(Timer { at, id: core.id, alarm: Alarm::Retry, attempt: core.life.attempt() }, task);
    }

    /// Puts a job that has rested back into the queue.
    fn rise(self: &Arc<Self>, task: &Arc<dyn Task>) {
        let core = task.core();
        let mut state = lock(&self.state);
        if state.resting.remove(&core.id).is_none() {
            return;
        }
        state.queues[core.form as usize].release(core.owner);
        if let Err(error) = self.start_threads(&mut state, core.form) {
            // There was a thread for the first attempt; those that there are will come to it.
            tracing::warn!(job = &*core.name, "no thread for another attempt: {error}");
        }
        self.enqueue(state, task);
    }

    /// The life of the thread that keeps the time.
    fn keep_time(self: &Arc<Self>) {
        while self.timers.wait(&*self.clock) {
            self.run_due();
        }
    }

    pub(crate) fn run_due(self: &Arc<Self>) {
        loop {
            match self.timers.pop(self.clock.now()) {
                Due::Cancelled(task) => self.end_cancelled(&task),
                Due::Timer(timer, task) => {
                    if let Some(task) = task.upgrade() {
                        self.fire(timer, &task);
                    }
                }
                Due::Ranks => self.tell_ranks(),
                Due::Nothing => return,
            }
        }
    }

    pub(crate) fn fire(self: &Arc<Self>, timer: Timer, task: &Arc<dyn Task>) {
        let core = task.core();
        let now = self.clock.now();
        if timer.attempt != core.life.attempt() {
            return;
        }
        match timer.alarm {
            Alarm::Retry => self.rise(task),
            Alarm::Progress => {
                if let Some(report) = core.feed.report_progress(now) {
                    task.tell(report);
                }
            }
            Alarm::Tick => {
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
            Alarm::SoftTimeout => {
                if core.life.on_attempt(Event::SoftTimeout, timer.attempt) == Effect::Signal {
                    core.signal();
                }
            }
            Alarm::HardTimeout => {
                if core.life.on_attempt(Event::HardTimeout, timer.attempt) == Effect::EndAbandoned {
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
            Effect::Signal => core.signal(),
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
        let waiting = state.queues[core.form as usize].remove(core.owner, core.id);
        if waiting.is_some() {
            self.left_queue(&mut state, core);
        }
        let resting = state.resting.remove(&core.id);
        let has_rested = resting.is_some();
        if has_rested {
            state.queues[core.form as usize].release(core.owner);
        }
        state.ending += 1;
        drop(state);
        drop((waiting, resting));
        if has_rested {
            // Only then: it looks through the timers of all jobs.
            self.timers.remove_all(core.id);
        }
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
    pub(crate) fn abandon(&self, task: &Arc<dyn Task>, end: End<Infallible, Infallible>) {
        let core = task.core();
        core.feed.end(self.clock.now());
        core.signal();
        self.forget_timers(core);
        task.tell(Report::Ended(end));
    }

    pub(crate) fn shutdown(&self, deadline: Duration) -> usize {
        // This is the machine's time also when the pool's clock is another: a test that shuts down wants to end.
        let deadline = Instant::now().checked_add(deadline);
        let mut state = lock(&self.state);
        state.closing = true;
        state.ranked = 0;
        let mut tasks: Vec<_> = state.queues.iter_mut().flat_map(Queue::drain).collect();
        tasks.extend(state.resting.values().cloned());
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

/// How long a thread stays that was started in the place of one that waits for jobs of its own: such waits come often.
const EXTRA_KEPT: Duration = Duration::from_secs(10);

/// What the model check of the races does instead of the pool's own threads.
#[cfg(all(test, loom))]
impl Pool {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

#[cfg(all(test, loom))]
impl Shared {
    /// Puts a job into the queue and starts no thread, now or later.
    pub(crate) fn enqueue_for_race(self: &Arc<Self>, task: &Arc<dyn Task>) {
        let mut state = lock(&self.state);
        state.threads = self.options.threads;
        self.enqueue(state, task);
    }

    /// Starts no threads, now or later, not even in the place of a job that waits.
    pub(crate) fn have_threads(&self) {
        lock(&self.state).threads = usize::MAX / 2;
    }

    /// Lets the threads go that find nothing to do.
    pub(crate) fn close(&self) {
        lock(&self.state).closing = true;
        self.work.notify_all();
    }

    /// Takes a job, if one waits, and runs it: a turn of [`work`](Self::work).
    pub(crate) fn work_once(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let Some(task) = self.take(&mut state, Form::Blocking, &mut Vec::new()) else { return };
        drop(state);
        if self.begin(&task) {
            Arc::clone(&task).run(Job { task: Arc::clone(&task) });
        }
        self.done(&mut lock(&self.state), &task);
    }

    pub(crate) fn assert_quiet(&self) {
        let state = lock(&self.state);
        let waiting: usize = state.queues.iter().map(Queue::len).sum();
        let parked: usize = state.queues.iter().map(Queue::parked).sum();
        assert_eq!((waiting, state.running.len(), parked, state.resting.len(), state.ending), (0, 0, 0, 0, 0));
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
        assert_eq!(pool.due_at(), None);
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
        assert!(spec().soft_timeout(second).hard_timeout(second).check().is_ok());
        assert!(spec().hard_timeout(second).check().is_ok());
        for bad in [
            spec().soft_timeout(Duration::ZERO),
            spec().hard_timeout(Duration::ZERO),
            spec().soft_timeout(2 * second).hard_timeout(second),
        ] {
            assert!(matches!(bad.check(), Err(SubmitError::InvalidTimeout(_))), "{bad:?}");
        }
    }
}
