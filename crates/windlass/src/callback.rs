//! Long callbacks: what an action starts and the session is told of.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::de::DeserializeOwned;
use windlass_engine::{JobReport, JobStatus};
use windlass_jobs::{End, JobHandle, PERIOD_MAX, PERIOD_MIN, Pool, Report, Spec, SubmitError};
use windlass_protocol::JobId;

use crate::program::{Program, State, Update};
use crate::{Cx, Error, Job, Level, Outcome, Result};

/// What a job reports to its status function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Status<T> {
    /// A period is over and it still runs.
    Running(Running),
    /// It returned this.
    Done(T),
    /// It returned this error, or panicked with that text.
    Failed(Error),
    /// It ended because it was asked to.
    Cancelled,
    /// It ran out of time.
    TimedOut,
    /// What ran it is gone: the server shut down before it ended.
    Lost,
}

/// How a running job is getting on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Running {
    /// How many periods have passed; those that a slow status function missed are left out.
    pub tick: u64,
    /// The time since the start.
    pub elapsed: Duration,
    /// From 0 to 1, when the callback has said.
    pub progress: Option<f64>,
    /// What it is doing, when the callback has said.
    pub text: Option<String>,
}

type Work<T> = Arc<dyn Fn(&Job) -> Result<T> + Send + Sync>;
type StatusFunction<S, T> = Arc<dyn Fn(&mut S, &mut Cx<S>, Status<T>) -> Result + Send + Sync>;
type PartialFunction<S> = Arc<dyn Fn(&mut S, &mut Cx<S>, &str) -> Result + Send + Sync>;

/// A long callback that is being described. See [`Cx::long_callback`].
#[must_use = "a long callback does nothing before `start`"]
pub struct LongCallback<'c, S: State, T> {
    cx: &'c mut Cx<S>,
    name: String,
    run: Work<T>,
    every: Option<Duration>,
    timeout: Option<Duration>,
    hidden: bool,
    on_status: Option<StatusFunction<S, T>>,
    on_partial: Option<PartialFunction<S>>,
}

impl<'c, S: State, T: Send + 'static> LongCallback<'c, S, T> {
    pub(crate) fn new(
        cx: &'c mut Cx<S>,
        name: String,
        run: impl Fn(&Job) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let run = Arc::new(run);
        Self { cx, name, run, every: None, timeout: None, hidden: false, on_status: None, on_partial: None }
    }

    /// Tells the status function every so often that the job still runs; the first time a period after its start.
    ///
    /// 10 ms to 24 hours. Without it the status function hears only of the end.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    /// How long it may run: then it is asked to end, and a second later it is reported as timed out whatever it does.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Keeps it out of `$jobs`.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
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

    /// Starts it when this turn is kept.
    ///
    /// # Errors
    ///
    /// A period outside 10 ms to 24 hours. A queue that is full by then ends the job as failed, with code `busy`.
    pub fn start(self) -> Result<JobId> {
        if let Some(period) = self.every
            && !(PERIOD_MIN..=PERIOD_MAX).contains(&period)
        {
            let text = format!("a period of {period:?}: `every` takes {PERIOD_MIN:?} to {PERIOD_MAX:?}");
            return Err(Error::internal(text));
        }
        let Self { cx, name, run, every, timeout, hidden, on_status, on_partial } = self;
        let label = name.clone();
        Ok(cx.turn.start(name, hidden, move |_id| JobWork {
            submit: Box::new(move |pool, owner, development, reporter| {
                submit(
                    pool,
                    owner,
                    &label,
                    run,
                    (every, timeout),
                    Functions { on_status, on_partial, development },
                    reporter,
                )
            }),
        }))
    }
}

/// Submits a job for an owner; pages see the text of internal errors in development.
type Submit<S> = Box<dyn FnOnce(&Pool, u64, bool, Arc<dyn Reporter<S>>) -> Result<JobHandle, SubmitError> + Send>;

/// What the engine carries from a turn to the pool without looking inside.
pub(crate) struct JobWork<S: State> {
    pub(crate) submit: Submit<S>,
}

/// Where a job's reports go: its session's inbox.
pub(crate) trait Reporter<S: State>: Send + Sync {
    /// Puts a report there; a later one of a running job may take the place of an earlier.
    fn report(&self, report: JobReport<Program<S>>);
}

struct Functions<S: State, T> {
    development: bool,
    on_status: Option<StatusFunction<S, T>>,
    on_partial: Option<PartialFunction<S>>,
}

impl<S: State, T: Send + 'static> Functions<S, T> {
    /// The status function with its status, as an update.
    fn told(&self, status: Status<T>) -> Option<Update<S>> {
        let f = self.on_status.clone()?;
        Some(Box::new(move |state: &mut S, cx: &mut Cx<S>| f(state, cx, status)))
    }
}

fn submit<S: State, T: Send + 'static>(
    pool: &Pool,
    owner: u64,
    name: &str,
    run: Work<T>,
    (every, timeout): (Option<Duration>, Option<Duration>),
    functions: Functions<S, T>,
    reporter: Arc<dyn Reporter<S>>,
) -> Result<JobHandle, SubmitError> {
    let mut spec = Spec::new(name, owner);
    spec.every = every;
    spec.soft_timeout = timeout;
    spec.hard_timeout = timeout.map(|timeout| timeout + Duration::from_secs(1));
    let handle: Arc<OnceLock<JobHandle>> = Arc::default();
    let partials = {
        let (handle, reporter, f) = (Arc::clone(&handle), Arc::clone(&reporter), functions.on_partial.clone());
        move || {
            let handle = Arc::clone(&handle);
            let Some(f) = f.clone() else {
                // Nobody wants them, and a callback that waits for room would wait for ever.
                handle.get().map(JobHandle::take_partials);
                return;
            };
            // What is taken when the turn comes is all that has been emitted by then: partial results are batched.
            let take: Update<S> = Box::new(move |state, cx| {
                let partials = handle.get().map(JobHandle::take_partials).unwrap_or_default();
                partials.iter().try_for_each(|partial| f(state, cx, partial.get()))
            });
            reporter.report(JobReport::Partials(take));
        }
    };
    let (told, begun) = (Arc::clone(&handle), Arc::clone(&handle));
    let work = move |job: &Job| {
        // The pool may be quicker than this function; what the job reports is to find its handle.
        begun.wait();
        run(job)
    };
    let sink = move |report: Report<T, Error>| {
        let elapsed = || told.get().map(JobHandle::elapsed).unwrap_or_default();
        match report {
            Report::Started => reporter.report(JobReport::Started),
            Report::Progress(progress) => reporter.report(JobReport::Progress(shown(&progress), elapsed())),
            Report::Tick { tick, elapsed, progress } => {
                let progress = shown(&progress);
                let (fraction, text) = (progress.fraction, progress.text.clone());
                let running = Status::Running(Running { tick, elapsed, progress: fraction, text });
                match functions.told(running) {
                    Some(update) => reporter.report(JobReport::Running(progress, elapsed, update)),
                    None => reporter.report(JobReport::Progress(progress, elapsed)),
                }
            }
            Report::Partials => partials(),
            Report::Ended(end) => {
                partials();
                reporter.report(ended(&functions, end, elapsed()));
            }
            _ => {}
        }
    };
    let job = pool.submit(spec, work, sink)?;
    let _ = handle.set(job.clone());
    Ok(job)
}

fn shown(progress: &windlass_jobs::Progress) -> windlass_engine::Progress {
    windlass_engine::Progress { fraction: progress.fraction, text: progress.text.as_deref().map(str::to_owned) }
}

fn ended<S: State, T: Send + 'static>(
    functions: &Functions<S, T>,
    end: End<T, Error>,
    elapsed: Duration,
) -> JobReport<Program<S>> {
    let (status, shown, told) = match end {
        End::Done(value) => (JobStatus::Done, None, Status::Done(value)),
        End::Failed(error) => (JobStatus::Failed, Some(error.clone()), Status::Failed(error)),
        End::Panicked(text) => {
            let error = Error { code: "panicked".into(), ..Error::internal(text) };
            (JobStatus::Failed, Some(error.clone()), Status::Failed(error))
        }
        End::Cancelled => (JobStatus::Cancelled, None, Status::Cancelled),
        End::TimedOut => (JobStatus::TimedOut, None, Status::TimedOut),
        _ => (JobStatus::Lost, None, Status::Lost),
    };
    let fault = shown.map(|error| error.into_fault("long callback", functions.development));
    let text = fault.as_ref().map(|fault| fault.text.clone());
    let update = functions.told(told).or_else(|| {
        // Nobody listens: the person who started it hears of it all the same.
        let text = text.clone()?;
        Some(Box::new(move |_: &mut S, cx: &mut Cx<S>| {
            cx.notify(Level::Error, text);
            Ok(())
        }) as Update<S>)
    });
    JobReport::Ended { status, text, elapsed, update }
}

/// What a session is told when the pool takes no more jobs.
pub(crate) fn refused<S: State>(error: &SubmitError) -> JobReport<Program<S>> {
    let text = error.to_string();
    let told = text.clone();
    JobReport::Ended {
        status: JobStatus::Failed,
        text: Some(text),
        elapsed: Duration::ZERO,
        update: Some(Box::new(move |_, cx| {
            cx.notify(Level::Error, told);
            Ok(())
        })),
    }
}
