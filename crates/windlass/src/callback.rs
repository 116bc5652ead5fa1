//! Long callbacks: what an action starts and the session is told of.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use windlass_engine::Named;
use windlass_jobs::{Form, FutureJob, Retry, SubmitError};
use windlass_protocol::JobId;

#[cfg(unix)]
use crate::command::CommandCall;
use crate::job_options::{Again, Disconnect, JobOptions, PATIENCE};
use crate::job_work::{Functions, JobWork, PartialFunction, Prepared, StatusFunction};
use crate::program::State;
use crate::{Cx, Error, Job, Outcome, Result, Status};

type Function<T> = Box<dyn Fn(&Job) -> Result<T> + Send + Sync>;
type FutureFunction<T> = Box<dyn Fn(FutureJob) -> WorkFuture<T> + Send + Sync>;
type WorkFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What is run, in the two ways in which it may be written.
pub(crate) enum Work<T> {
    Blocking(Function<T>),
    Future(FutureFunction<T>),
}

impl<T> Work<T> {
    pub(crate) fn future<F>(run: impl Fn(FutureJob) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Self::Future(Box::new(move |job| Box::pin(run(job))))
    }

    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Blocking(_) => Form::Blocking,
            Self::Future(_) => Form::Future,
        }
    }
}

/// What is to be run, while it is being described.
pub(crate) enum Draft<T> {
    Function(Work<T>),
    #[cfg(unix)]
    Command(CommandCall<T>),
    /// It cannot be; whoever starts it hears why.
    Impossible(Error),
}

impl<T: 'static> Draft<T> {
    /// Whether the page gets its log unless it is said otherwise: what a command prints was written by somebody
    /// who did not think of pages.
    fn shows_log(&self) -> bool {
        matches!(self, Self::Function(_))
    }

    /// How long it may take to end when it was asked to, before its job is reported as timed out whatever it does.
    fn patience(&self) -> Duration {
        match self {
            // It is killed after its grace, and then it is gone in a moment.
            #[cfg(unix)]
            Self::Command(command) => command.grace() + PATIENCE,
            _ => PATIENCE,
        }
    }

    fn arg(self, name: &str, value: &str) -> Self {
        match self {
            #[cfg(unix)]
            Self::Command(command) => command.arg(value).map_or_else(Self::Impossible, Self::Command),
            Self::Impossible(error) => Self::Impossible(error),
            Self::Function(_) => Self::Impossible(Error::internal(format!(
                "the job \"{name}\" is no external command, and has no command line for `arg`"
            ))),
        }
    }

    fn work(self) -> Result<Work<T>> {
        match self {
            Self::Function(work) => Ok(work),
            // A command has a thread of the pool to itself, and so one of its places.
            #[cfg(unix)]
            Self::Command(command) => Ok(Work::Blocking(Box::new(move |job| command.run(job)))),
            Self::Impossible(error) => Err(error),
        }
    }
}

/// A long callback that is being described. See [`Cx::long_callback`] and [`Cx::long_future`].
///
/// ```
/// use windlass::prelude::*;
/// use windlass::{Again, Retry};
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { loss: Option<f64> }
///
/// fn train(_: &mut Demo, cx: &mut Cx<Demo>, epochs: u64) -> Result {
///     cx.long_callback("train", move |job| {
///         for epoch in 0..epochs {
///             job.checkpoint()?;
///             job.progress(epoch, epochs);
///             job.log(format!("epoch {epoch}"));
///         }
///         Ok(0.1)
///     })
///     .every(Duration::from_secs(5))
///     .timeout(Duration::from_secs(600))
///     .retry(Retry::times(3))
///     .again(Again::Refuse)
///     .on_status(|state, _cx, status| {
///         if let Status::Done(loss) = status {
///             state.loss = Some(loss);
///         }
///     })
///     .start()?;
///     Ok(())
/// }
/// # let _ = App::new(Demo::default).action("train", train);
/// ```
///
/// ```
/// use windlass::{Disconnect, JobOptions, PoolOptions, prelude::*};
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { parts: u64 }
///
/// fn work(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
///     cx.long_callback("work", |job| job.emit(1).map_err(Error::from))
///         .options(JobOptions::new().timeout(Duration::from_secs(60)))
///         .pool("heavy")
///         .key("work of today")
///         .hard_timeout(Duration::from_secs(90))
///         .on_disconnect(Disconnect::Continue)
///         .cancellable_by_page(false)
///         .show_log()
///         .on_partial(|state: &mut Demo, _cx, part: u64| state.parts += part)
///         .start()?;
///     cx.long_callback("tidy", |_| Ok(())).hidden().start()?;
///     Ok(())
/// }
/// let heavy = PoolOptions { threads: 1, ..PoolOptions::default() };
/// let mut t = App::new(Demo::default).pool("heavy", heavy).action("work", work).test();
/// t.send("work", ());
/// t.jobs().finish("work");
/// assert_eq!(t.state().parts, 1);
/// ```
#[must_use = "a long callback does nothing before `start`"]
pub struct LongCallback<'c, S: State, T> {
    cx: &'c mut Cx<S>,
    name: String,
    draft: Draft<T>,
    options: JobOptions,
    on_status: Option<StatusFunction<S, T>>,
    on_partial: Option<PartialFunction<S>>,
    /// What it can be started from again, as JSON.
    pub(crate) arguments: Option<String>,
}

impl<'c, S: State, T: Send + 'static> LongCallback<'c, S, T> {
    pub(crate) fn new(cx: &'c mut Cx<S>, name: String, work: Work<T>) -> Self {
        Self::of(cx, name, Draft::Function(work))
    }

    pub(crate) fn of(cx: &'c mut Cx<S>, name: String, draft: Draft<T>) -> Self {
        Self { cx, name, draft, options: JobOptions::new(), on_status: None, on_partial: None, arguments: None }
    }

    /// All settings at once; those that were made before are forgotten.
    pub fn options(mut self, options: JobOptions) -> Self {
        self.options = options;
        self
    }

    /// The pool on which it runs. See [`JobOptions::pool`].
    pub fn pool(mut self, name: impl Into<String>) -> Self {
        self.options = self.options.pool(name);
        self
    }

    /// Tells the status function every so often that the job still runs; the first time a period after its start.
    ///
    /// 10 ms to 24 hours. Without it the status function hears only of the end.
    pub fn every(mut self, period: Duration) -> Self {
        self.options = self.options.every(period);
        self
    }

    /// How long it may run: then it is asked to end, and a second later it is reported as timed out whatever it does.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }

    /// How long it may run before it is reported as timed out whatever it does. See [`JobOptions::hard_timeout`].
    pub fn hard_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.hard_timeout(timeout);
        self
    }

    /// Runs it again when it fails. See [`JobOptions::retry`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options = self.options.retry(retry);
        self
    }

    /// What happens when one with its key has not ended yet. See [`Again`].
    pub fn again(mut self, again: Again) -> Self {
        self.options = self.options.again(again);
        self
    }

    /// What [`again`](Self::again) tells callbacks of a session apart by; the name by default.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options = self.options.key(key);
        self
    }

    /// What happens when the last page of the session has gone. See [`Disconnect`].
    pub fn on_disconnect(mut self, policy: Disconnect) -> Self {
        self.options = self.options.on_disconnect(policy);
        self
    }

    /// Whether the page may end it with `$cancel`; it may by default. Otherwise it hears `forbidden`.
    pub fn cancellable_by_page(mut self, cancellable: bool) -> Self {
        self.options = self.options.cancellable_by_page(cancellable);
        self
    }

    /// Keeps it out of `$jobs`.
    pub fn hidden(mut self) -> Self {
        self.options = self.options.hidden();
        self
    }

    /// Adds a value to the command line of an external command, behind its fixed arguments and a `--`, where it cannot be
    /// taken for an option.
    ///
    /// Only for programs that cannot read it from their standard input, and that know `--`: every user of the machine
    /// can read a command line. At most 256 values and 16 KiB of them. [`start`](Self::start) gives an error for
    /// a callback that is no command.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Demo { pages: u64 }
    /// fn count(_: &mut Demo, cx: &mut Cx<Demo>, file: String) -> Result {
    ///     cx.command::<u64>("pages", &()) // registered with `App::command`
    ///         .arg(&file)
    ///         .on_status(|state: &mut Demo, _cx, status| if let Status::Done(pages) = status { state.pages = pages })
    ///         .start()
    ///         .map(drop)
    /// }
    /// # let _ = App::new(Demo::default).action("count", count);
    /// ```
    pub fn arg(mut self, value: impl AsRef<str>) -> Self {
        self.draft = self.draft.arg(&self.name, value.as_ref());
        self
    }

    /// Shows the page the log of an external command: what it prints on standard error, and the lines of its output
    /// that are no messages. Otherwise only the text of a failure has its end. The log of other callbacks is always shown.
    pub fn show_log(mut self) -> Self {
        self.options = self.options.show_log();
        self
    }

    /// The status function: runs in a turn of the session, like an action, and is rolled back like one.
    pub fn on_status<O: Outcome>(
        mut self,
        f: impl Fn(&mut S, &mut Cx<S>, Status<T>) -> O + Send + Sync + 'static,
    ) -> Self {
        self.on_status = Some(Arc::new(move |state, cx, status| f(state, cx, status).into_reply().map(drop)));
        self
    }

    /// What to do with each value that the callback emits, in order and none left out.
    ///
    /// Those that wait share a turn. When it fails, each of them has a turn of its own, so that only the values that fail
    /// by themselves are lost: `on_error`, the operator and `$jobs` are told of each.
    pub fn on_partial<P: DeserializeOwned, O: Outcome>(
        mut self,
        f: impl Fn(&mut S, &mut Cx<S>, P) -> O + Send + Sync + 'static,
    ) -> Self {
        self.on_partial = Some(Arc::new(move |state, cx, partial| {
            f(state, cx, serde_json::from_str(partial)?).into_reply().map(drop)
        }));
        self
    }

    pub(crate) fn functions(mut self, (on_status, on_partial): (StatusFunction<S, T>, PartialFunction<S>)) -> Self {
        (self.on_status, self.on_partial) = (Some(on_status), Some(on_partial));
        self
    }

    /// Starts it when this turn is kept. Its place in the pool's queue is kept from now on.
    ///
    /// # Errors
    ///
    /// - `pool_full` when the pool or this session's part of it is full; pass it on with `?`, and the action changes
    ///   nothing and the page hears it;
    /// - `already_running` with [`Again::Refuse`];
    /// - an internal one that names the setting which is wrong: a pool that nobody has described, a period outside
    ///   10 ms to 24 hours, a timeout of zero, too many attempts.
    pub fn start(self) -> Result<JobId> {
        let Self { cx, name, draft, options, on_status, on_partial, arguments } = self;
        let services = Arc::clone(&cx.services);
        let owner = owner(cx.session());
        let pool = services.pools.get(&options.pool)?;
        let (shows_log, patience) = (options.show_log || draft.shows_log(), draft.patience());
        let work = draft.work()?;
        let form = work.form();
        // Before anything is asked of the session: a wrong setting is wrong whatever else runs.
        let mut spec = options.spec(&name, owner, patience)?;
        let key = options.key.as_deref().unwrap_or(&name);
        let before = if options.again == Again::Allow { Vec::new() } else { cx.turn.unfinished(key) };
        if options.again == Again::Refuse && !before.is_empty() {
            let text = format!("\"{key}\" is running already: wait for its end, or cancel it");
            return Err(Error::refuse("already_running", text));
        }
        let slot = pool.reserve(owner, form).map_err(|error| refusal(&options.pool, &error))?;
        if options.again == Again::Replace {
            before.iter().for_each(|&job| cx.turn.cancel(job));
        }
        let once = cx.turn.key();
        let mut start = options.start_options();
        start.named = arguments.map(|arguments| {
            let rerun_on_restart = options.rerun_on_restart;
            Arc::new(Named { arguments: arguments.into(), key: once.as_str().into(), rerun_on_restart })
        });
        spec.key = once.into();
        let functions = Functions { on_status, on_partial, shows_log, development: services.development };
        let prepared = Box::new(Prepared { slot, spec, work, functions });
        let work = JobWork { after: before, prepared };
        Ok(cx.turn.start_with(name, start, move |_id| work))
    }
}

/// Jobs of one session take turns with those of others, by this.
pub(crate) fn owner(id: windlass_protocol::SessionId) -> u64 {
    u64::from_le_bytes(id.0[..8].try_into().expect("eight of twelve bytes"))
}

/// Why a pool takes no job, as the one who starts it hears it.
fn refusal(pool: &str, error: &SubmitError) -> Error {
    match error {
        SubmitError::QueueFull(max) => {
            Error::refuse("pool_full", format!("the pool \"{pool}\" is full: {max} jobs wait; try again later"))
        }
        SubmitError::OwnerQueueFull(max) => Error::refuse(
            "pool_full",
            format!("{max} of your jobs wait in the pool \"{pool}\" already; try again when one has ended"),
        ),
        SubmitError::ShuttingDown => Error::refuse("draining", "the server is going down"),
        other => Error::internal(format!("the pool \"{pool}\": {other}")),
    }
}
