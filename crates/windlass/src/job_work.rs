//! A job between the turn that starts it and its end: what the engine carries, and what its reports become.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::value::RawValue;
use windlass_engine::{ActiveChild, Children, JobReport, JobStatus, PartialsUpdate};
use windlass_jobs::{End, FutureJob, JobHandle, Report, Slot, Spec, SubmitError, Tally};
use windlass_protocol::limits::ACTIVE_CHILDREN_MAX;
use windlass_protocol::{ChildId, JobId};

use crate::callback::Work;
use crate::program::{Program, State, Update};
use crate::status::Running;
use crate::test::{Instead, Returns};
use crate::{Cx, Error, Job, Level, Result, Status};

pub(crate) type StatusFunction<S, T> = Arc<dyn Fn(&mut S, &mut Cx<S>, Status<T>) -> Result + Send + Sync>;
pub(crate) type PartialFunction<S> = Arc<dyn Fn(&mut S, &mut Cx<S>, &str) -> Result + Send + Sync>;

/// What the engine carries from a turn to the pool without looking inside.
pub(crate) struct JobWork<S: State> {
    /// The jobs whose ends it waits for as far as they have not come yet, oldest first.
    pub(crate) after: Vec<JobId>,
    pub(crate) prepared: Box<dyn Startable<S>>,
}

/// A job that can be submitted, whatever its result's type.
pub(crate) trait Startable<S: State>: Send {
    /// Submits it.
    fn submit(self: Box<Self>, reporter: Arc<dyn Reporter<S>>) -> Submitted<S>;

    /// The end of a job that was cancelled before it was submitted.
    fn cancelled(self: Box<Self>) -> JobReport<Program<S>>;
}

/// What became of a job that was submitted.
pub(crate) enum Submitted<S: State> {
    /// The pool has it.
    Running(JobHandle),
    /// It cannot be run, and this is its end.
    Ended(JobReport<Program<S>>),
    /// There is no room: it is submitted again later.
    NotNow(Box<dyn Startable<S>>),
}

/// Where a job's reports go: its session's inbox.
pub(crate) trait Reporter<S: State>: Send + Sync {
    /// Whose job it is, for the pool.
    fn owner(&self) -> u64;

    /// The job whose reports they are.
    fn job(&self) -> JobId;

    /// Puts a report there; a later one of a running job may take the place of an earlier.
    fn report(&self, report: JobReport<Program<S>>);

    /// Called where the callback runs, before its first line: in a test it waits here for its cue.
    fn hold(&self, _job: &Job, _returns: Returns) -> Instead {
        Instead::Run
    }
}

/// A job that has its place in the pool's queue and waits for its turn to be kept.
pub(crate) struct Prepared<S: State, T> {
    pub(crate) slot: Slot,
    pub(crate) spec: Spec,
    pub(crate) work: Work<T>,
    pub(crate) functions: Functions<S, T>,
}

pub(crate) struct Functions<S: State, T> {
    pub(crate) development: bool,
    /// Whether the page gets the lines of the log.
    pub(crate) shows_log: bool,
    pub(crate) on_status: Option<StatusFunction<S, T>>,
    pub(crate) on_partial: Option<PartialFunction<S>>,
}

impl<S: State, T: Send + 'static> Functions<S, T> {
    /// The status function with its status, as an update.
    fn told(&self, status: Status<T>) -> Option<Update<S>> {
        let f = self.on_status.clone()?;
        Some(Box::new(move |state: &mut S, cx: &mut Cx<S>| f(state, cx, status)))
    }

    /// The end of a job that could not be started.
    pub(crate) fn failed(&self, error: Error) -> JobReport<Program<S>> {
        self.ended(End::Failed(error), Duration::ZERO)
    }

    /// The end of a job that was cancelled before it was started.
    pub(crate) fn cancelled(&self) -> JobReport<Program<S>> {
        self.ended(End::Cancelled, Duration::ZERO)
    }

    fn ended(&self, end: End<T, Error>, elapsed: Duration) -> JobReport<Program<S>> {
        let (status, error, told) = match end {
            End::Done(value) => (JobStatus::Done, None, Status::Done(value)),
            End::Failed(error) => (JobStatus::Failed, Some(error.clone()), Status::Failed(error)),
            End::Panicked(text) => {
                let error = panicked(text);
                (JobStatus::Failed, Some(error.clone()), Status::Failed(error))
            }
            End::Cancelled => (JobStatus::Cancelled, None, Status::Cancelled),
            End::TimedOut => (JobStatus::TimedOut, None, Status::TimedOut),
            _ => (JobStatus::Lost, None, Status::Lost),
        };
        let text = error.map(|error| self.shown(error));
        let update = self.told(told).or_else(|| {
            // Nobody listens: the person who started it hears of it all the same.
            let text = text.clone()?;
            Some(Box::new(move |_: &mut S, cx: &mut Cx<S>| {
                cx.notify(Level::Error, text);
                Ok(())
            }) as Update<S>)
        });
        JobReport::Ended { status, text, elapsed, update }
    }

    /// The text of an error as the page gets it; an internal one is logged.
    fn shown(&self, error: Error) -> String {
        error.into_fault("long callback", self.development).text
    }
}

fn panicked(text: String) -> Error {
    Error { code: "panicked".into(), ..Error::internal(text) }
}

impl<S: State, T: Send + 'static> Startable<S> for Prepared<S, T> {
    fn submit(self: Box<Self>, reporter: Arc<dyn Reporter<S>>) -> Submitted<S> {
        let Self { slot, spec, work, functions } = *self;
        let functions = Arc::new(functions);
        let handle: Arc<OnceLock<JobHandle>> = Arc::default();
        let (prompter, waiter) = (Arc::clone(&reporter), Arc::clone(&reporter));
        let sink = {
            let (functions, handle) = (Arc::clone(&functions), Arc::clone(&handle));
            let lines = std::sync::atomic::AtomicU64::new(0);
            move |report: Report<T, Error>| tell(&*reporter, &functions, &handle, &lines, report)
        };
        // The callback's own handle: the pool can be quicker than this function, and what the job reports is to find it.
        let job = match work {
            Work::Blocking(run) => {
                let handle = Arc::clone(&handle);
                let run = move |job: &Job| {
                    handle.get_or_init(|| job.handle());
                    prompter.hold(job, Returns::of::<T>()).outcome(job, &run)
                };
                slot.submit(spec, run, sink)
            }
            Work::Future(run) => {
                let (handle, run) = (Arc::clone(&handle), Arc::new(run));
                let run = move |job: FutureJob| {
                    handle.get_or_init(|| job.handle());
                    let (run, prompter) = (Arc::clone(&run), Arc::clone(&prompter));
                    async move {
                        match prompter.hold(&job, Returns::of::<T>()) {
                            Instead::Run => run(job).await,
                            instead => instead.outcome(&job, |_| Err(windlass_jobs::Cancelled.into())),
                        }
                    }
                };
                slot.submit_future(spec, run, sink)
            }
        };
        match job {
            Ok(job) => Submitted::Running(handle.get_or_init(|| job).clone()),
            Err(SubmitError::ShuttingDown) => {
                // It never ran, and the next process may be the one to run it.
                waiter.report(JobReport::Waiting { rank: 0, eta: None });
                Submitted::Ended(functions.ended(End::Lost, Duration::ZERO))
            }
            Err(error) => Submitted::Ended(functions.failed(error.into())),
        }
    }

    fn cancelled(self: Box<Self>) -> JobReport<Program<S>> {
        self.functions.cancelled()
    }
}

/// Turns what the pool reports into what the session is told.
fn tell<S: State, T: Send + 'static>(
    reporter: &dyn Reporter<S>,
    functions: &Functions<S, T>,
    handle: &Arc<OnceLock<JobHandle>>,
    lines: &std::sync::atomic::AtomicU64,
    report: Report<T, Error>,
) {
    let elapsed = || handle.get().map(JobHandle::elapsed).unwrap_or_default();
    let log = |progress: &windlass_jobs::Progress| {
        if functions.shows_log
            && lines.swap(progress.lines, std::sync::atomic::Ordering::Relaxed) != progress.lines
            && let Some(job) = handle.get()
        {
            reporter.report(JobReport::Log(job.log_tail().iter().map(|line| (**line).to_owned()).collect()));
        }
    };
    match report {
        Report::Waiting { rank, eta } => reporter.report(JobReport::Waiting { rank, eta }),
        Report::Started => reporter.report(JobReport::Started),
        Report::Retrying { attempt, failure, .. } => {
            let error = match failure {
                End::Failed(error) => Some(error),
                End::Panicked(text) => Some(panicked(text)),
                _ => None,
            };
            let failed = attempt.saturating_sub(1);
            let text = error.map(|error| error.into_retried("long callback", failed, functions.development).text);
            reporter.report(JobReport::Retrying { attempt, text });
        }
        Report::Progress(progress) => {
            log(&progress);
            reporter.report(JobReport::Progress(shown(reporter.job(), &progress), elapsed()));
        }
        Report::Tick { tick, elapsed, progress } => {
            log(&progress);
            let attempt = handle.get().map_or(1, JobHandle::attempt);
            match functions.told(Status::Running(Running::new(tick, elapsed, &progress, attempt))) {
                Some(update) => reporter.report(JobReport::Running(shown(reporter.job(), &progress), elapsed, update)),
                None => reporter.report(JobReport::Progress(shown(reporter.job(), &progress), elapsed)),
            }
        }
        Report::Partials => partials(reporter, functions, handle),
        Report::Ended(end) => {
            // Most have been taken, and a turn for nothing would cost a copy of the state.
            if handle.get().is_some_and(JobHandle::has_partials) {
                partials(reporter, functions, handle);
            }
            // Nobody has asked for its end but the server, which goes down.
            let is_asked_for = handle.get().is_some_and(JobHandle::was_cancelled);
            let end = if matches!(end, End::Cancelled) && !is_asked_for { End::Lost } else { end };
            reporter.report(functions.ended(end, elapsed()));
        }
        _ => {}
    }
}

fn partials<S: State, T>(reporter: &dyn Reporter<S>, functions: &Functions<S, T>, handle: &Arc<OnceLock<JobHandle>>) {
    let Some(f) = functions.on_partial.clone() else {
        // Nobody wants them, and a callback that waits for room would wait for ever.
        handle.get().map(JobHandle::take_partials);
        return;
    };
    let handle = Arc::clone(handle);
    let mut taken: Option<Arc<[Box<RawValue>]>> = None;
    let mut apart = 0;
    reporter.report(JobReport::Partials(Box::new(move |has_failed| {
        let f = Arc::clone(&f);
        let Some(values) = &taken else {
            // What is taken when the turn comes is all that has been emitted by then: partial results are batched.
            let values: Arc<[_]> = handle.get().map(JobHandle::take_partials).unwrap_or_default().into();
            taken = Some(Arc::clone(&values));
            let is_final = values.len() == 1;
            let update: Update<S> =
                Box::new(move |state, cx| values.iter().try_for_each(|value| f(state, cx, value.get())));
            return Some(PartialsUpdate { update, is_final });
        };
        // One that fails is not to take the others with it: then each has a turn of its own.
        if values.len() < 2 || apart == values.len() || (apart == 0 && !has_failed) {
            return None;
        }
        let (values, at) = (Arc::clone(values), apart);
        apart += 1;
        let update: Update<S> = Box::new(move |state, cx| f(state, cx, values[at].get()));
        Some(PartialsUpdate { update, is_final: true })
    })));
}

fn shown(job: JobId, progress: &windlass_jobs::Progress) -> windlass_engine::Progress {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let children = progress.children.as_deref().map(|tally| {
        let active = tally.active.iter().take(ACTIVE_CHILDREN_MAX).map(|child| ActiveChild {
            id: ChildId { job, path: vec![child.number] },
            name: (*child.name).to_owned(),
            progress: child.progress,
            text: text(&child.text),
        });
        let (total, active) = (tally.total(), active.collect());
        let Tally { queued, running, done, failed, cancelled, .. } = *tally;
        Box::new(Children { total, queued, running, done, failed, cancelled, active })
    });
    windlass_engine::Progress { fraction: progress.fraction, text: text(&progress.text), children }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use windlass_jobs::{Form, Pool, PoolOptions};

    use super::*;

    struct Ear(std::sync::Mutex<Sender<&'static str>>);

    impl Reporter<u64> for Ear {
        fn owner(&self) -> u64 {
            1
        }

        fn job(&self) -> JobId {
            JobId { epoch: windlass_protocol::Epoch(1), n: 1 }
        }

        fn report(&self, report: JobReport<Program<u64>>) {
            let what = match report {
                JobReport::Started => "started",
                JobReport::Partials(_) => "partials",
                JobReport::Ended { .. } => "ended",
                _ => "something else",
            };
            self.0.lock().unwrap().send(what).unwrap();
        }
    }

    #[test]
    fn a_job_that_emits_nothing_costs_no_turn_for_partial_results() {
        let pool = Pool::new(PoolOptions::default());
        for (emits, told) in [(false, &["started", "ended"][..]), (true, &["started", "partials", "partials", "ended"])]
        {
            let (tx, rx) = channel();
            let run = move |job: &Job| {
                if emits {
                    job.emit(1)?;
                }
                Ok(())
            };
            let on_partial: PartialFunction<u64> = Arc::new(|_, _, _| Ok(()));
            let prepared = Prepared {
                slot: pool.reserve(1, Form::Blocking).unwrap(),
                spec: Spec::new("quiet", 1),
                work: Work::Blocking(Box::new(run)),
                functions: Functions {
                    development: false,
                    shows_log: true,
                    on_status: None,
                    on_partial: Some(on_partial),
                },
            };
            let reporter = Arc::new(Ear(std::sync::Mutex::new(tx)));
            assert!(matches!(Box::new(prepared).submit(reporter), Submitted::Running(_)));
            assert_eq!(rx.iter().collect::<Vec<_>>(), told, "what waits at the end is told once more");
        }
    }
}
