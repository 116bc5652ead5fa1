//! Long callbacks: what an action starts and the session is told of.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use windlass_engine::Named;
use windlass_jobs::{Form, FutureJob, Retry, SubmitError};
use windlass_protocol::JobId;

use crate::job_options::{Again, Disconnect, JobOptions};
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
#[must_use = "a long callback does nothing before `start`"]
pub struct LongCallback<'c, S: State, T> {
    cx: &'c mut Cx<S>,
    name: String,
    work: Work<T>,
    options: JobOptions,
    on_status: Option<StatusFunction<S, T>>,
    on_partial: Option<PartialFunction<S>>,
    /// What it can be started from again, as JSON.
    pub(crate) arguments: Option<String>,
}

impl<'c, S: State, T: Send + 'static> LongCallback<'c, S, T> {
    pub(crate) fn new(cx: &'c mut Cx<S>, name: String, work: Work<T>) -> Self {
        Self { cx, name, work, options: JobOptions::new(), on_status: None, on_partial: None, arguments: None }
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

    /// The status function: runs in a turn of the session, like an action, and is rolled back like one.
    pub fn on_status<O: Outcome>(
        mut self,
        f: impl Fn(&mut S, &mut Cx<S>, Status<T>) -> O + Send + Sync + 'static,
    ) -> Self {
        self.on_status = Some(Arc::new(move |state, cx, status| f(state, cx, status).into_reply().map(drop)));
        self
    }

    /// What to do with each value that the callback emits, in order and none left out.
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
        let Self { cx, name, work, options, on_status, on_partial, arguments } = self;
        let services = Arc::clone(&cx.services);
        let owner = owner(cx.session());
        let pool = services.pools.get(&options.pool)?;
        let form = work.form();
        // Before anything is asked of the session: a wrong setting is wrong whatever else runs.
        let mut spec = options.spec(&name, owner)?;
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
        let functions = Functions { on_status, on_partial, development: services.development };
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
