//! Named callbacks: a job that is a value, so that it can be written down.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_engine::{JobReport, Named, Revived, Unended};
use windlass_jobs::SubmitError;
use windlass_protocol::JobId;

use crate::callback::{LongCallback, Work};
use crate::job_options::{JobOptions, PATIENCE};
use crate::job_work::{Functions, JobWork, PartialFunction, Prepared, Reporter, Startable, StatusFunction, Submitted};
use crate::program::{Program, State, Update};
use crate::services::Services;
use crate::{Cx, Error, Job, Result, Status};

/// A long callback with a name, whose arguments are its fields. Register it with [`App::callback`](crate::App::callback).
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { loss: Option<f64> }
///
/// #[derive(Serialize, Deserialize)]
/// struct Train { epochs: u64 }
///
/// impl Callback<Demo> for Train {
///     const NAME: &'static str = "train";
///     type Output = f64;
///
///     fn run(&self, job: &Job) -> Result<f64> {
///         for epoch in 0..self.epochs {
///             job.checkpoint()?;
///             job.progress(epoch, self.epochs);
///         }
///         Ok(0.1)
///     }
///
///     fn on_status(&self, state: &mut Demo, cx: &mut Cx<Demo>, status: Status<f64>) -> Result {
///         if let Status::Done(loss) = status {
///             state.loss = Some(loss);
///             cx.notify(Level::Success, format!("{} epochs are through", self.epochs));
///         }
///         Ok(())
///     }
/// }
///
/// let app = App::new(Demo::default)
///     .callback::<Train>()
///     .action("train", |_, cx, epochs: u64| cx.start(Train { epochs }).map(drop));
/// # let _ = app;
/// ```
///
/// ```
/// use windlass::{JobOptions, prelude::*};
///
/// #[derive(Clone, Default, Serialize)]
/// struct Chat { answer: String }
///
/// #[derive(Serialize, Deserialize)]
/// struct Answer { question: String }
///
/// impl Callback<Chat> for Answer {
///     const NAME: &'static str = "answer";
///     type Output = ();
///
///     fn run(&self, job: &Job) -> Result {
///         for word in self.question.split(' ') {
///             job.emit(word)?;
///         }
///         Ok(())
///     }
///
///     fn on_partial(&self, state: &mut Chat, _cx: &mut Cx<Chat>, value: serde_json::Value) -> Result {
///         state.answer.push_str(value.as_str().unwrap_or_default());
///         Ok(())
///     }
///
///     fn options(&self) -> JobOptions {
///         JobOptions::new().every(Duration::from_secs(1))
///     }
/// }
/// # let _ = App::new(Chat::default).callback::<Answer>();
/// ```
pub trait Callback<S: State>: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name, in `$jobs` and wherever the job is written down. It has to stay the same from version to version.
    const NAME: &'static str;

    /// What it returns.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The work, on a thread of its pool.
    ///
    /// # Errors
    ///
    /// Its own, which reach [`on_status`](Self::on_status).
    fn run(&self, job: &Job) -> Result<Self::Output>;

    /// The status function: runs in a turn of the session, like an action, and is rolled back like one.
    ///
    /// # Errors
    ///
    /// Its own: nothing of the turn is kept, and the operator and `$jobs` are told.
    fn on_status(&self, state: &mut S, cx: &mut Cx<S>, status: Status<Self::Output>) -> Result {
        let _ = (state, cx, status);
        Ok(())
    }

    /// What to do with each value that [`run`](Self::run) emits.
    ///
    /// # Errors
    ///
    /// As [`on_status`](Self::on_status).
    fn on_partial(&self, state: &mut S, cx: &mut Cx<S>, value: serde_json::Value) -> Result {
        let _ = (state, cx, value);
        Ok(())
    }

    /// How it is run when the start says nothing else, and after a restart of the server in any case.
    ///
    /// With [`App::data_dir`](crate::App::data_dir) a job of it that was still queued when the server ended is queued again, and
    /// one that had begun is lost, unless [`JobOptions::rerun_on_restart`] says that it runs again.
    fn options(&self) -> JobOptions {
        JobOptions::new()
    }
}

impl<S: State> Cx<S> {
    /// Starts a named callback when this turn is kept.
    ///
    /// # Errors
    ///
    /// As [`LongCallback::start`], and an internal one when the callback is not registered with the app.
    pub fn start<C: Callback<S>>(&mut self, callback: C) -> Result<JobId> {
        let options = callback.options();
        self.start_with(callback, options)
    }

    /// Starts a named callback with other options than its own.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// ```
    /// # use windlass::{JobOptions, prelude::*};
    /// # #[derive(Clone, Default, Serialize)] struct Demo { count: i64 }
    /// #[derive(Serialize, Deserialize)]
    /// struct Count { to: u64 }
    ///
    /// impl Callback<Demo> for Count {
    ///     const NAME: &'static str = "count";
    ///     type Output = u64;
    ///
    ///     fn run(&self, _: &Job) -> Result<u64> { Ok(self.to) }
    /// }
    ///
    /// fn count(_: &mut Demo, cx: &mut Cx<Demo>, to: u64) -> Result {
    ///     let options = JobOptions::new().timeout(Duration::from_secs(60));
    ///     cx.start_with(Count { to }, options).map(drop)
    /// }
    /// let app = App::new(Demo::default).callback::<Count>().action("count", count);
    /// # let _ = app;
    /// ```
    pub fn start_with<C: Callback<S>>(&mut self, callback: C, options: JobOptions) -> Result<JobId> {
        self.services.knows(C::NAME, TypeId::of::<C>(), type_name::<C>())?;
        let arguments = match self.services.keeps_jobs {
            true => Some(serde_json::to_string(&callback)?),
            false => None,
        };
        let callback = Arc::new(callback);
        let run = Arc::clone(&callback);
        let mut started =
            LongCallback::new(self, C::NAME.to_owned(), Work::Blocking(Box::new(move |job| run.run(job))))
                .options(options)
                .functions(functions_of(&callback));
        started.arguments = arguments;
        started.start()
    }
}

/// A named callback's status function, and its other.
fn functions_of<S: State, C: Callback<S>>(callback: &Arc<C>) -> (StatusFunction<S, C::Output>, PartialFunction<S>) {
    let (status, partial) = (Arc::clone(callback), Arc::clone(callback));
    (
        Arc::new(move |state, cx, told| status.on_status(state, cx, told)),
        Arc::new(move |state, cx, value| partial.on_partial(state, cx, serde_json::from_str(value)?)),
    )
}

/// Makes a job of an earlier process run again, or says that it is lost.
pub(crate) type Reviver<S> = fn(&Arc<Services>, &Unended<'_>, &Named) -> Revived<Program<S>>;

/// The [`Reviver`] of a named callback.
pub(crate) fn revive<S: State, C: Callback<S>>(
    services: &Arc<Services>,
    job: &Unended<'_>,
    named: &Named,
) -> Revived<Program<S>> {
    let callback: Arc<C> = match serde_json::from_str(&named.arguments) {
        Ok(callback) => Arc::new(callback),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            tracing::error!(job = %job.id, name = C::NAME, line, column, "a job is lost: its arguments are of another type");
            return Revived::Lost(None);
        }
    };
    let (on_status, on_partial) = functions_of(&callback);
    if !job.may_run {
        let lost: Update<S> = Box::new(move |state, cx| on_status(state, cx, Status::Lost));
        return Revived::Lost(Some(lost));
    }
    let options = callback.options();
    let functions = Functions {
        on_status: Some(on_status),
        on_partial: Some(on_partial),
        shows_log: true,
        development: services.development,
    };
    let again = Again {
        services: Arc::clone(services),
        options,
        name: C::NAME,
        key: named.key.as_ref().into(),
        work: Work::Blocking(Box::new(move |job| callback.run(job))),
        functions,
    };
    Revived::Again(JobWork { after: Vec::new(), prepared: Box::new(again) })
}

/// A job that was written down, and takes its place in the pool's queue when it is submitted.
struct Again<S: State, T> {
    services: Arc<Services>,
    options: JobOptions,
    name: &'static str,
    key: Arc<str>,
    work: Work<T>,
    functions: Functions<S, T>,
}

impl<S: State, T: Send + 'static> Startable<S> for Again<S, T> {
    fn submit(self: Box<Self>, reporter: Arc<dyn Reporter<S>>) -> Submitted<S> {
        let owner = reporter.owner();
        let ready = self.services.pools.get(&self.options.pool).and_then(|pool| {
            let mut spec = self.options.spec(self.name, owner, PATIENCE)?;
            spec.key = self.key.clone();
            Ok((pool, spec))
        });
        let (pool, spec) = match ready {
            Ok(ready) => ready,
            Err(error) => return Submitted::Ended(self.functions.failed(error)),
        };
        match pool.reserve(owner, self.work.form()) {
            Ok(slot) => {
                let Self { work, functions, .. } = *self;
                Box::new(Prepared { slot, spec, work, functions }).submit(reporter)
            }
            // It was queued before, and stays so.
            Err(SubmitError::QueueFull(_) | SubmitError::OwnerQueueFull(_)) => Submitted::NotNow(self),
            // The next process finds it.
            Err(SubmitError::ShuttingDown) => Submitted::NotNow(self),
            Err(error) => Submitted::Ended(self.functions.failed(Error::internal(error.to_string()))),
        }
    }

    fn cancelled(self: Box<Self>) -> JobReport<Program<S>> {
        self.functions.cancelled()
    }
}
