//! The jobs that a job starts, as its callback holds them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::family::{Child, Family, Found, Launch, Unfinished};
use crate::guard::discard;
use crate::job::{Cancelled, Form, FutureJob, Job, Spec};
use crate::options::SubmitError;
use crate::park::Wait;
use crate::report::End;
use crate::retry::Retry;
use crate::task::{Callback, FutureCallback, Task, TypedTask};

/// The jobs that a blocking job starts and collects; given by [`Job::children`].
///
/// A few of them are in the queue or run at the same time, the others wait with their parent, so that hundreds fill no
/// queue. They run in the parent's pool and count as its owner's. While the parent waits for one it gives its own place
/// back, and takes one again before it goes on, ahead of its owner's others: a pool of one thread runs any number of them.
/// Children that only end when their parent tells them to can hold all places, and then it does not get to it.
///
/// ```
/// # use std::sync::mpsc;
/// # use windlass_jobs::{Cancelled, End, Pool, PoolOptions, Report, Spec};
/// # let pool = Pool::new(PoolOptions { threads: 1, ..PoolOptions::default() });
/// # let (tx, rx) = mpsc::channel();
/// # let sink = move |report| if let Report::Ended(end) = report { tx.send(end).expect("someone listens") };
/// pool.submit(
///     Spec::new("sweep", 1),
///     |job| -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
///         let mut runs = job.children("square").at_once(8);
///         for n in 1..=200_u64 {
///             runs.start(move |run| {
///                 run.checkpoint()?;
///                 Ok::<u64, Cancelled>(n * n)
///             })?;
///         }
///         let mut sum = 0;
///         while let Some(run) = runs.join_next()? {
///             if let End::Done(square) = run.end {
///                 sum += square;
///             }
///         }
///         Ok(sum)
///     },
///     sink,
/// )?;
/// # let end: End<u64, Box<dyn std::error::Error + Send + Sync>> = rx.recv()?;
/// assert!(matches!(end, End::Done(2_686_700)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What belongs to the parent
///
/// Children are told to stop when their parent is: by a cancel, a timeout, the end of the server. Dropping this value
/// tells them too, and waits for their ends; so when a blocking job has ended, all of its children have. Their partial
/// results ([`Job::emit`]) and their log lines go to the first job of the line, in one stream with its own. Their
/// progress makes up the parent's: see [`Progress::children`](crate::Progress::children) and
/// [`keep_progress`](Self::keep_progress).
///
/// A job may start children down to [`DEPTH_MAX`](crate::DEPTH_MAX) levels, and hold [`CHILDREN_MAX`](crate::CHILDREN_MAX)
/// that it has not collected.
///
/// ```
/// use windlass_jobs::Job;
///
/// type Error = Box<dyn std::error::Error + Send + Sync>;
///
/// fn squares(job: &Job) -> Result<Vec<u64>, Error> {
///     let mut first = job.children("square");
///     first.start(|_| Ok::<u64, Error>(4))?;
///     let ended = first.join_all()?.len(); // whatever became of them
///     job.log(format!("{ended} have ended"));
///     let mut second = job.children("square");
///     second.start(|_| Ok(9))?;
///     second.try_join_all() // all values, or the first error
/// }
/// # let _ = squares;
/// ```
#[must_use = "what is not collected is cancelled when this is dropped"]
pub struct Children<'j, T: Send + 'static, E: Send + 'static> {
    brood: Brood<T, E>,
    job: PhantomData<&'j Job>,
}

/// The jobs that a job starts which is a future; given by [`FutureJob::children`]. As [`Children`], but for two things:
/// it waits without holding a thread, and when it is dropped it tells its children to stop and does not wait for that.
///
/// ```
/// # use windlass_jobs::{Cancelled, FutureJob};
/// async fn sum(job: FutureJob) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
///     let mut runs = job.children("square").at_once(8);
///     for n in 1..=200_u64 {
///         runs.start(move |_| Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(n * n))?; // on a thread
///         runs.start_future(move |_| async move { Ok(n) })?; // on the runtime
///     }
///     Ok(runs.try_join_all().await?.into_iter().sum())
/// }
/// # let _ = sum;
/// ```
///
/// ```
/// use windlass_jobs::FutureJob;
///
/// type Error = Box<dyn std::error::Error + Send + Sync>;
///
/// async fn sum(job: FutureJob) -> Result<u64, Error> {
///     let mut first = job.children("square");
///     first.start(|_| Ok::<u64, Error>(4))?;
///     let mut sum = 0;
///     while let Some(run) = first.join_next().await? {
///         sum += run.result()?;
///     }
///     let mut second = job.children("square");
///     second.start(|_| Ok::<u64, Error>(9))?;
///     Ok(sum + second.join_all().await?.len() as u64)
/// }
/// # let _ = sum;
/// ```
#[must_use = "what is not collected is cancelled when this is dropped"]
pub struct FutureChildren<'j, T: Send + 'static, E: Send + 'static> {
    brood: Brood<T, E>,
    job: PhantomData<&'j FutureJob>,
}

/// What the two have in common.
struct Brood<T: Send + 'static, E: Send + 'static> {
    family: Arc<Family<T, E>>,
    /// What each child is told, but for its name.
    spec: Spec,
}

macro_rules! settings {
    () => {
        /// How many of them are in the queue or run at the same time: as many as the pool has threads by default, from 1 to
        /// [`AT_ONCE_MAX`](crate::AT_ONCE_MAX).
        ///
        /// When the queue is full there are fewer for a while; one can always be there.
        pub fn at_once(self, at_once: usize) -> Self {
            self.brood.family.set_at_once(at_once);
            self
        }

        /// How long each of those that are started from now on may run before it is told to stop. For ever by default.
        pub fn soft_timeout(mut self, timeout: Duration) -> Self {
            self.brood.spec.soft_timeout = Some(timeout);
            self
        }

        /// How long each of those that are started from now on may run before it is given up. For ever by default.
        pub fn hard_timeout(mut self, timeout: Duration) -> Self {
            self.brood.spec.hard_timeout = Some(timeout);
            self
        }

        /// Runs each of those that are started from now on again when it fails. Not by default.
        pub fn retry(mut self, retry: Retry) -> Self {
            self.brood.spec.retry = Some(retry);
            self
        }

        /// The parent tells its own progress, instead of that which follows from these children.
        pub fn keep_progress(self) -> Self {
            self.brood.family.keep_progress();
            self
        }

        /// Starts a child that is a function; gives its number among the children of the job, from 1.
        ///
        /// It never waits: what may not run yet waits here.
        ///
        /// # Errors
        /// [`SubmitError::TooDeep`], [`SubmitError::TooManyChildren`], and those of a setting that is wrong.
        pub fn start(
            &mut self,
            work: impl Fn(&Job) -> Result<T, E> + Send + Sync + 'static,
        ) -> Result<u32, SubmitError> {
            let spec = self.brood.spec.clone();
            self.start_with(spec, work)
        }

        /// Starts a child under a name of its own; otherwise as [`start`](Self::start).
        ///
        /// # Errors
        /// As [`start`](Self::start).
        pub fn start_named(
            &mut self,
            name: impl Into<Arc<str>>,
            work: impl Fn(&Job) -> Result<T, E> + Send + Sync + 'static,
        ) -> Result<u32, SubmitError> {
            let spec = Spec { name: name.into(), ..self.brood.spec.clone() };
            self.start_with(spec, work)
        }

        /// Starts a child as [`spec`](Self::spec), changed, says; its owner, ticks and ranks mean nothing.
        ///
        /// # Errors
        /// As [`start`](Self::start).
        pub fn start_with(
            &mut self,
            spec: Spec,
            work: impl Fn(&Job) -> Result<T, E> + Send + Sync + 'static,
        ) -> Result<u32, SubmitError> {
            self.brood.start(
                spec,
                Form::Blocking,
                Box::new(|core, sink| Arc::new(TypedTask::new(core, Callback::new(work), sink)) as Arc<dyn Task>),
            )
        }

        /// Starts a child that is a future; otherwise as [`start`](Self::start).
        ///
        /// # Errors
        /// As [`start`](Self::start), and [`SubmitError::NoSpawner`].
        pub fn start_future<F>(
            &mut self,
            work: impl Fn(FutureJob) -> F + Send + Sync + 'static,
        ) -> Result<u32, SubmitError>
        where
            F: Future<Output = Result<T, E>> + Send + 'static,
        {
            self.brood.start(
                self.brood.spec.clone(),
                Form::Future,
                Box::new(|core, sink| Arc::new(TypedTask::new(core, FutureCallback::new(work), sink)) as Arc<dyn Task>),
            )
        }

        /// What those that are started next are told, as far as it is set here.
        #[must_use]
        pub fn spec(&self) -> &Spec {
            &self.brood.spec
        }

        /// How many have not been collected.
        #[must_use]
        pub fn len(&self) -> usize {
            self.brood.family.len()
        }

        /// Whether all have been collected.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// Tells all that have not ended to stop: those that wait never run. They are collected as
        /// [`End::Cancelled`](crate::End::Cancelled); others may be started.
        pub fn cancel_all(&self) {
            self.brood.family.cancel_all(false);
        }

        /// Tells one to stop, by its number; false when it is not among them or has ended.
        pub fn cancel(&self, number: u32) -> bool {
            use crate::lineage::Kin as _;
            self.brood.family.cancel(number, &[])
        }
    };
}

impl<'j, T: Send + 'static, E: Send + 'static> Children<'j, T, E> {
    pub(crate) fn new(job: &'j Job, name: Arc<str>) -> Self {
        Self { brood: Brood::new(&job.task, name), job: PhantomData }
    }

    settings!();

    /// Waits for the next one that ends, in the order in which they do; `None` when there are no more.
    ///
    /// # Errors
    /// [`Cancelled`] when the parent was told to stop. Pass it on with `?`.
    pub fn join_next(&mut self) -> Result<Option<Child<T, E>>, Cancelled> {
        let Brood { family, .. } = &self.brood;
        let core = family.parent().core();
        loop {
            if let Some(found) = self.brood.look() {
                return found;
            }
            family.feed();
            core.pool.wait(family.parent(), &family.news, Wait::Result);
        }
    }

    /// Waits for all, whatever becomes of them, and gives them in the order in which they were started.
    ///
    /// # Errors
    /// As [`join_next`](Self::join_next).
    pub fn join_all(mut self) -> Result<Vec<Child<T, E>>, Cancelled> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(child) = self.join_next()? {
            all.push(child);
        }
        all.sort_unstable_by_key(|child| child.number);
        Ok(all)
    }

    /// Waits for the values of all, in the order in which they were started. At the first that fails it cancels the
    /// others and waits for their ends.
    ///
    /// # Errors
    /// The error of the child that failed first, an [`Unfinished`] when it came to none, or [`Cancelled`] when the parent
    /// was told to stop.
    pub fn try_join_all(mut self) -> Result<Vec<T>, E>
    where
        E: From<Unfinished> + From<Cancelled>,
    {
        let mut values = Vec::with_capacity(self.len());
        while let Some(child) = self.join_next()? {
            values.push((child.number, child.result()?));
        }
        Ok(in_order(values))
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for Children<'_, T, E> {
    fn drop(&mut self) {
        let Brood { family, .. } = &self.brood;
        family.cancel_all(true);
        while !family.is_through() {
            family.parent().core().pool.wait(family.parent(), &family.news, Wait::Ends);
        }
        self.brood.discard_ended();
    }
}

impl<'j, T: Send + 'static, E: Send + 'static> FutureChildren<'j, T, E> {
    pub(crate) fn new(job: &'j FutureJob, name: Arc<str>) -> Self {
        Self { brood: Brood::new(&job.0.task, name), job: PhantomData }
    }

    settings!();

    /// Waits for the next one that ends, in the order in which they do; `None` when there are no more. It may be
    /// dropped before it is through, and no end is lost.
    ///
    /// # Errors
    /// [`Cancelled`] when the parent was told to stop. Pass it on with `?`.
    pub async fn join_next(&mut self) -> Result<Option<Child<T, E>>, Cancelled> {
        let brood = &self.brood;
        let family = &brood.family;
        let core = family.parent().core();
        let mut waiting = Waiting { family, has_parked: false };
        poll_fn(|cx| {
            loop {
                if !waiting.has_parked {
                    if let Some(found) = brood.look() {
                        return Poll::Ready(found);
                    }
                    family.feed();
                }
                let was_parked = waiting.has_parked;
                let polled = core.pool.poll_wait(family.parent(), &family.news, &mut waiting.has_parked, cx.waker());
                if polled.is_pending() {
                    if waiting.has_parked && !was_parked {
                        core.pool.start_futures();
                    }
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Waits for all, whatever becomes of them, and gives them in the order in which they were started.
    ///
    /// # Errors
    /// As [`join_next`](Self::join_next).
    pub async fn join_all(mut self) -> Result<Vec<Child<T, E>>, Cancelled> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(child) = self.join_next().await? {
            all.push(child);
        }
        all.sort_unstable_by_key(|child| child.number);
        Ok(all)
    }

    /// Waits for the values of all, in the order in which they were started. At the first that fails it cancels the
    /// others.
    ///
    /// # Errors
    /// As [`Children::try_join_all`].
    pub async fn try_join_all(mut self) -> Result<Vec<T>, E>
    where
        E: From<Unfinished> + From<Cancelled>,
    {
        let mut values = Vec::with_capacity(self.len());
        while let Some(child) = self.join_next().await? {
            values.push((child.number, child.result()?));
        }
        Ok(in_order(values))
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for FutureChildren<'_, T, E> {
    fn drop(&mut self) {
        self.brood.family.cancel_all(true);
        self.brood.discard_ended();
    }
}

/// A future that waits for a child. Dropped before it is through, it takes its place again.
struct Waiting<'f, T: Send + 'static, E: Send + 'static> {
    family: &'f Arc<Family<T, E>>,
    has_parked: bool,
}

impl<T: Send + 'static, E: Send + 'static> Drop for Waiting<'_, T, E> {
    fn drop(&mut self) {
        if self.has_parked {
            let core = self.family.parent().core();
            core.pool.stop_waiting(core);
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Brood<T, E> {
    fn new(parent: &Arc<dyn Task>, name: Arc<str>) -> Self {
        let core = parent.core();
        let spec = Spec { is_final: core.is_final, ..Spec::new(name, core.owner) };
        Self { family: Family::new(parent), spec }
    }

    fn start(&self, spec: Spec, form: Form, launch: Launch<T, E>) -> Result<u32, SubmitError> {
        let core = self.family.parent().core();
        let spec = Spec { owner: core.owner, every: None, ranked: false, ..spec };
        self.family.start(spec, form, launch)
    }

    /// What there is to say to the parent at once; `None` when it has to wait.
    fn look(&self) -> Option<Result<Option<Child<T, E>>, Cancelled>> {
        let is_stopping = || self.family.parent().core().is_stopping();
        match self.family.look() {
            // It was told to stop as its parent was, which is no failure of its own.
            Found::Ended(Child { end: End::Cancelled, .. }) if is_stopping() => Some(Err(Cancelled)),
            Found::Ended(child) => Some(Ok(Some(child))),
            _ if is_stopping() => Some(Err(Cancelled)),
            Found::Nothing => Some(Ok(None)),
            Found::Waiting => None,
        }
    }

    /// Drops the results that nobody has collected: their destructors are the app's.
    fn discard_ended(&self) {
        while let Found::Ended(child) = self.family.look() {
            discard(child);
        }
    }
}

fn in_order<T>(mut values: Vec<(u32, T)>) -> Vec<T> {
    values.sort_unstable_by_key(|(number, _)| *number);
    values.into_iter().map(|(_, value)| value).collect()
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for Children<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").field("name", &self.brood.spec.name).field("len", &self.len()).finish()
    }
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for FutureChildren<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureChildren").field("name", &self.brood.spec.name).field("len", &self.len()).finish()
    }
}
