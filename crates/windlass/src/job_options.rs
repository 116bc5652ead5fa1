//! How a long callback is to be run: its pool, its periods, its timeouts, and what happens around it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use windlass_engine::StartOptions;
use windlass_jobs::{Retry, Spec};
use windlass_protocol::limits::NAME_BYTES_MAX;

use crate::pools::DEFAULT_POOL;
use crate::{Error, Result};

/// How a long callback is to be run. [`LongCallback`](crate::LongCallback) has the same settings as methods.
///
/// ```
/// use windlass::prelude::*;
/// use windlass::{Again, JobOptions};
///
/// let options = JobOptions::new()
///     .pool("heavy")
///     .every(Duration::from_secs(5))
///     .timeout(Duration::from_secs(60))
///     .again(Again::Refuse);
/// # let _ = options;
/// ```
///
/// ```
/// use std::time::Duration;
/// use windlass::{Disconnect, JobOptions, Retry};
///
/// let careful = JobOptions::new()
///     .retry(Retry::times(3))
///     .hard_timeout(Duration::from_secs(600))
///     .on_disconnect(Disconnect::CancelAfter(Duration::from_secs(30)))
///     .cancellable_by_page(false)
///     .show_log();
/// let quiet = JobOptions::new().hidden();
/// # let _ = (careful, quiet);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing by themselves"]
pub struct JobOptions {
    pub(crate) pool: String,
    every: Option<Duration>,
    timeout: Option<Duration>,
    hard_timeout: Option<Duration>,
    retry: Option<Retry>,
    pub(crate) again: Again,
    pub(crate) key: Option<String>,
    on_disconnect: Disconnect,
    cancellable_by_page: bool,
    pub(crate) hidden: bool,
    pub(crate) rerun_on_restart: bool,
    pub(crate) show_log: bool,
}

/// What happens when a callback is started while another with its key, in the same session, has not ended.
///
/// The key is the callback's name unless [`key`](JobOptions::key) says another.
///
/// ```
/// use windlass::{Again, JobOptions};
///
/// let options = |again| JobOptions::new().key("report").again(again);
/// let sides = options(Again::Allow); // both run
/// let once = options(Again::Refuse); // the second start fails with `already_running`
/// let latest = options(Again::Replace); // the first is cancelled
/// let all = options(Again::Queue); // the second waits
/// # let _ = (sides, once, latest, all);
/// assert_eq!(Again::default(), Again::Allow);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Again {
    /// Both run.
    #[default]
    Allow,
    /// The start fails with code `already_running`.
    Refuse,
    /// The others are cancelled, and this one starts when they have ended: the last one wins.
    Replace,
    /// It starts when the others have ended.
    Queue,
}

/// What happens to a job when the last page of its session has gone.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Disconnect, JobOptions};
///
/// let options = |policy| JobOptions::new().on_disconnect(policy);
/// let training = options(Disconnect::Continue);
/// let preview = options(Disconnect::Cancel);
/// let answer = options(Disconnect::CancelAfter(Duration::from_secs(60)));
/// # let _ = (training, preview, answer);
/// assert_eq!(Disconnect::default(), Disconnect::Continue);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// It goes on, and who comes back finds what it did.
    #[default]
    Continue,
    /// It is cancelled at once. A reload disconnects too.
    Cancel,
    /// It is cancelled unless a page comes back within that time.
    CancelAfter(Duration),
}

impl Default for JobOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl JobOptions {
    /// No ticks, no timeouts, no retries; shown in `$jobs`, where the page may cancel it.
    pub fn new() -> Self {
        Self {
            pool: DEFAULT_POOL.to_owned(),
            every: None,
            timeout: None,
            hard_timeout: None,
            retry: None,
            again: Again::Allow,
            key: None,
            on_disconnect: Disconnect::Continue,
            cancellable_by_page: true,
            hidden: false,
            rerun_on_restart: false,
            show_log: false,
        }
    }

    /// A named callback that had begun when the server ended runs again when it has started again, from its beginning; by
    /// default it is lost, and its status function hears so. For work that may be done twice: `job.key()` is the same
    /// each time. See [`Callback::options`](crate::Callback::options).
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # use windlass::JobOptions;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Shop { mails: u64 }
    /// #[derive(Serialize, Deserialize)]
    /// struct Mail { to: String }
    ///
    /// impl Callback<Shop> for Mail {
    ///     const NAME: &'static str = "mail";
    ///     type Output = ();
    ///
    ///     fn run(&self, job: &Job) -> Result {
    ///         println!("send to {} once for {}", self.to, job.key());
    ///         Ok(())
    ///     }
    ///
    ///     fn options(&self) -> JobOptions {
    ///         JobOptions::new().rerun_on_restart()
    ///     }
    /// }
    /// # let _ = App::new(Shop::default).callback::<Mail>();
    /// ```
    pub fn rerun_on_restart(mut self) -> Self {
        self.rerun_on_restart = true;
        self
    }

    /// The pool on which it runs, described with [`App::pool`](crate::App::pool); `"jobs"`, which every app has, by default.
    pub fn pool(mut self, name: impl Into<String>) -> Self {
        self.pool = name.into();
        self
    }

    /// Tells the status function every so often that the job still runs; the first time a period after its start.
    ///
    /// 10 ms to 24 hours. Without it the status function hears only of the end.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    /// How long it may run: then it is asked to end, as by a cancel. No bound by default.
    ///
    /// A second later it is reported as timed out whatever it does; see [`hard_timeout`](Self::hard_timeout). An
    /// external command is killed when its grace is over, and reported when it has gone.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long it may run before it is reported as timed out whatever it does; a second after
    /// [`timeout`](Self::timeout) by default.
    ///
    /// A thread cannot be ended from outside: a blocking callback keeps its thread until it returns, and counts as
    /// stuck in [`Live::pools`](crate::Live::pools). What it returns then is dropped.
    pub fn hard_timeout(mut self, timeout: Duration) -> Self {
        self.hard_timeout = Some(timeout);
        self
    }

    /// Runs it again when it fails or panics. Not by default, and never after [`Error::refuse`]: that is a decision.
    ///
    /// Ticks and timeouts begin anew with each attempt; `$jobs` shows its number.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// What happens when one is started while another with its key has not ended; both run by default.
    pub fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// What [`again`](Self::again) tells callbacks of a session apart by; the name by default.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What happens when the last page of the session has gone; it goes on by default.
    pub fn on_disconnect(mut self, policy: Disconnect) -> Self {
        self.on_disconnect = policy;
        self
    }

    /// Whether the page may end it with `$cancel`; it may by default. Otherwise it hears `forbidden`.
    pub fn cancellable_by_page(mut self, cancellable: bool) -> Self {
        self.cancellable_by_page = cancellable;
        self
    }

    /// Keeps it out of `$jobs`.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Shows the page the log of an external command. See [`LongCallback::show_log`](crate::LongCallback::show_log).
    pub fn show_log(mut self) -> Self {
        self.show_log = true;
        self
    }

    /// The job as its pool is told of it, which has so long to end when it was asked to.
    ///
    /// # Errors
    ///
    /// The setting that is wrong.
    pub(crate) fn spec(&self, name: &str, owner: u64, patience: Duration) -> Result<Spec> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Error::internal(format!("\"{name}\" cannot name a job: 1 to {NAME_BYTES_MAX} bytes")));
        }
        let mut spec = Spec::new(name, owner);
        spec.every = self.every;
        spec.soft_timeout = self.timeout;
        spec.hard_timeout = self.hard_timeout.or(self.timeout.and_then(|timeout| timeout.checked_add(patience)));
        spec.retry = self.retry.clone();
        spec.ranked = !self.hidden;
        spec.is_final = Some(is_decision);
        spec.check().map_err(|error| Error::internal(format!("the job \"{name}\": {error}")))?;
        Ok(spec)
    }

    pub(crate) fn start_options(&self) -> StartOptions {
        StartOptions {
            hidden: self.hidden,
            cancellable_by_page: self.cancellable_by_page,
            key: self.key.as_deref().map(Arc::from),
            deserted_after: match self.on_disconnect {
                Disconnect::Continue => None,
                Disconnect::Cancel => Some(Duration::ZERO),
                Disconnect::CancelAfter(grace) => Some(grace),
            },
            named: None,
        }
    }
}

/// An error that is meant for the page is a decision: trying again would not change it.
fn is_decision(error: &dyn Any) -> bool {
    error.downcast_ref::<Error>().is_some_and(|error| !error.is_internal())
}

/// How long a job that was asked to end has for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
