//! What a pool may do, what runs its futures, what it is busy with, and why it does not take a job.

use std::error::Error;
use std::time::Duration;
use std::{fmt, io, thread};

use crate::retry::{ATTEMPTS_MAX, Retry};
use crate::schedule::{PERIOD_MAX, PERIOD_MIN};
use crate::task::BoxFuture;

/// The settings of a pool.
///
/// ```
/// use windlass_jobs::{Pool, PoolOptions};
///
/// let options = PoolOptions { name: "heavy".into(), threads: 2, queue_max: 10, nice: 0, ..PoolOptions::default() };
/// let pool = Pool::new(options);
/// assert_eq!(pool.stats().running, 0);
/// ```
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The name of its threads, which get a number behind it. `jobs` by default.
    pub name: String,
    /// How many blocking jobs run at the same time. One for each core by default, and never less than one.
    pub threads: usize,
    /// How many futures run at the same time; they hold no threads. 256 by default, and never less than one.
    pub futures_max: usize,
    /// How many jobs of each [`Form`](crate::Form) wait, of all owners together; more are [`SubmitError::QueueFull`].
    /// 4,096 by default. With 0, none waits: a job is taken only when it can run at once.
    pub queue_max: usize,
    /// How many jobs of one owner wait; more are [`SubmitError::OwnerQueueFull`]. 1,024 by default.
    /// In an app the owner is the session.
    pub owner_queue_max: usize,
    /// How many jobs of one owner run at the same time; the others wait. No bound of its own by default.
    pub owner_running_max: usize,
    /// How many jobs may wait for jobs that they have started, at each depth of nesting; while so many do, no further one
    /// of that depth begins. Each that is a function keeps a thread meanwhile, though not its place among those that
    /// run. 256 by default, and never less than one.
    pub parents_max: usize,
    /// The niceness of the threads on Linux, from 1 to 19; 0 leaves it alone. 10 by default: about a tenth of
    /// the share of a thread that has not been lowered, so that sockets come first and jobs still go on.
    pub nice: i32,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            name: "jobs".to_owned(),
            threads: thread::available_parallelism().map_or(1, usize::from),
            futures_max: 256,
            queue_max: 4096,
            owner_queue_max: 1024,
            owner_running_max: usize::MAX,
            parents_max: 256,
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
    /// No attempts or too many, or a wait between them that is none or too long. Fix the code.
    InvalidRetry(Retry),
    /// A job that is nested so deep has no jobs of its own. Collect its results where it was started.
    TooDeep(u8),
    /// So many jobs of one job wait, run or have not been collected. Collect some.
    TooManyChildren(usize),
    /// The pool has nothing that runs futures: call [`Pool::run_futures_on`](crate::Pool::run_futures_on) first. Fix the code.
    NoSpawner,
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
            Self::InvalidPeriod(period) => {
                write!(f, "{period:?} is no period for ticks: {PERIOD_MIN:?} to {PERIOD_MAX:?}")
            }
            Self::InvalidTimeout(timeout) => {
                write!(f, "{timeout:?} is no timeout: more than zero, and a hard one not before the soft one")
            }
            Self::InvalidRetry(retry) => write!(
                f,
                "{} attempts that wait {:?} to {:?}: 1 to {ATTEMPTS_MAX} attempts, at least a millisecond and at most a day",
                retry.attempts, retry.first, retry.longest
            ),
            Self::TooDeep(max) => {
                write!(f, "a job may start jobs of its own down to {max} levels, and this is the last")
            }
            Self::TooManyChildren(max) => {
                write!(f, "{max} jobs of this job are not collected yet: collect some before starting more")
            }
            Self::NoSpawner => f.write_str("the pool has nothing that runs futures"),
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
///
/// ```
/// use windlass_jobs::{Pool, PoolOptions, Stats};
///
/// let pool = Pool::new(PoolOptions { threads: 1, ..PoolOptions::default() });
/// let Stats { queued, running, .. } = pool.stats();
/// assert_eq!((queued, running), (0, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that run, stuck ones included.
    pub running: usize,
    /// Jobs that wait for jobs of their own, and hold no place among those that run.
    pub parked: usize,
    /// Jobs whose end was reported, while their callback still holds a thread.
    pub stuck: usize,
    /// Jobs that have failed and wait for their next attempt.
    pub resting: usize,
}

/// What runs the futures of a pool: the handle of a runtime.
///
/// It must run each future to its end or drop it. A future that it drops ends its job as [`End::Lost`](crate::End::Lost).
pub trait Spawner: Send + Sync + 'static {
    /// Runs a future, without waiting for it.
    fn spawn(&self, future: BoxFuture);
}

impl<F: Fn(BoxFuture) + Send + Sync + 'static> Spawner for F {
    fn spawn(&self, future: BoxFuture) {
        self(future);
    }
}
