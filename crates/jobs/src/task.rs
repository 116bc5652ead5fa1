//! One job with its callback and its sink, and the end that follows from what the callback did.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::guard::{catch, discard, lock};
use crate::job::{Core, FutureJob, Job};
use crate::life::{Asked, Effect, Event, Life};
use crate::report::{End, Report, Sink};
use crate::sync::Mutex;

/// A future that a [`Spawner`](crate::Spawner) runs.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A job whose types are nobody's business: what the queue, the timers and the handles hold.
pub(crate) trait Task: Send + Sync {
    fn core(&self) -> &Core;

    /// Runs the callback on this thread and reports the end, unless someone else has done so meanwhile. A callback
    /// that is a future is given back, to be run elsewhere.
    fn run(self: Arc<Self>, job: Job) -> Option<BoxFuture>;

    /// Reports something that carries no value of the callback.
    fn tell(&self, report: Report<Infallible, Infallible>);

    /// Drops the callback of a job that will not run any more.
    fn discard_work(&self);
}

pub(crate) struct TypedTask<W, S> {
    core: Core,
    /// Taken when the job is over, so that what the closure has captured does not live as long as the handles.
    work: Mutex<Option<Arc<W>>>,
    /// Its lock is held while it is called: that is what keeps reports in order. Taken at the end: nothing comes after.
    sink: Mutex<Option<S>>,
}

impl<W, S> TypedTask<W, S> {
    pub(crate) fn new(core: Core, work: W, sink: S) -> Self {
        Self { core, work: Mutex::new(Some(Arc::new(work))), sink: Mutex::new(Some(sink)) }
    }

    fn report<T, E>(&self, report: Report<T, E>)
    where
        S: Sink<T, E>,
    {
        let mut slot = lock(&self.sink);
        let Some(sink) = slot.as_ref() else { return };
        if matches!(report, Report::Waiting { .. }) && self.core.life.now() != Life::Queued {
            // It was true when it was found out; a job that has started meanwhile has no place any more.
            return;
        }
        let is_end = matches!(report, Report::Ended(_));
        // What the callback said last tells why it failed, and a next attempt may be a long time off.
        if (is_end || matches!(report, Report::Retrying { .. }))
            && let Some(progress) = self.core.feed.report_progress(self.core.pool.clock.now())
        {
            self.call(sink, progress);
        }
        self.call(sink, report);
        if is_end {
            let sink = slot.take();
            drop(slot);
            self.warn("sink, when it was dropped,", discard(sink));
        }
    }

    fn call<T, E>(&self, sink: &S, report: Report<T, E>)
    where
        S: Sink<T, E>,
    {
        self.warn("sink", catch(|| sink.report(report)).err());
    }

    fn warn(&self, who: &str, panic: Option<String>) {
        if let Some(text) = panic {
            tracing::error!(job = &*self.core.name, "the job's {who} panicked: {text}");
        }
    }

    fn tell_untyped<T, E>(&self, report: Report<Infallible, Infallible>)
    where
        S: Sink<T, E>,
    {
        let end = |end| match end {
            End::Done(never) | End::Failed(never) => match never {},
            End::Panicked(text) => End::Panicked(text),
            End::Cancelled => End::Cancelled,
            End::TimedOut => End::TimedOut,
            End::Lost => End::Lost,
        };
        self.report::<T, E>(match report {
            Report::Waiting { rank, eta } => Report::Waiting { rank, eta },
            Report::Started => Report::Started,
            Report::Retrying { attempt, after, failure } => Report::Retrying { attempt, after, failure: end(failure) },
            Report::Progress(progress) => Report::Progress(progress),
            Report::Tick { tick, elapsed, progress } => Report::Tick { tick, elapsed, progress },
            Report::Partials => Report::Partials,
            Report::Ended(ended) => Report::Ended(end(ended)),
        });
    }

    /// Draws the conclusion from what the callback did. Gives the wait until the next attempt, if there is to be one.
    fn conclude<T, E: 'static>(&self, outcome: Outcome<T, E>) -> Option<Duration>
    where
        S: Sink<T, E>,
    {
        let core = &self.core;
        // Those that are left of a callback that has let go of them without a word.
        core.families.stop();
        let failed = match &outcome {
            Outcome::Panicked(_) => true,
            Outcome::Returned(Err(error)) => !core.is_final.is_some_and(|is_final| is_final(error)),
            Outcome::Returned(Ok(_)) | Outcome::Dropped => false,
        };
        let rests = if failed { core.rests() } else { None };
        // What stands now is about this attempt; a next one sets its own.
        core.pool.forget_timers(core);
        match core.life.on(if rests.is_some() { Event::Retry } else { Event::Finish }) {
            Effect::Rest => {
                let after = rests.expect("only a job that is to be run again rests");
                let failure = end_of(outcome, Asked::Nobody, false);
                self.report(Report::Retrying { attempt: core.life.attempt(), after, failure });
                return Some(after);
            }
            Effect::EndFinished { asked } => {
                // A tick may have set itself again just before the end.
                core.pool.forget_timers(core);
                core.feed.end(core.pool.clock.now());
                let has_seen_stop = core.has_seen_stop.load(Ordering::Relaxed);
                self.report(Report::Ended(end_of(outcome, asked, has_seen_stop)));
            }
            _ => self.warn("late result, when it was dropped,", discard(outcome)),
        }
        self.drop_work();
        None
    }

    fn drop_work(&self) {
        let work = lock(&self.work).take();
        self.warn("callback, when it was dropped,", discard(work));
    }
}

impl<T, E, W, S> Task for TypedTask<Callback<T, E, W>, S>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Fn(&Job) -> Result<T, E> + Send + Sync + 'static,
    S: Sink<T, E>,
{
    fn core(&self) -> &Core {
        &self.core
    }

    fn run(self: Arc<Self>, job: Job) -> Option<BoxFuture> {
        let work = lock(&self.work).clone().expect("only a job that runs no more has lost its callback");
        let outcome = match catch(|| (work.0)(&job)) {
            Ok(returned) => Outcome::Returned(returned),
            Err(text) => Outcome::Panicked(text),
        };
        // The task holds another until the end, and then this one is the last: it must not be dropped unguarded.
        self.warn("callback, when it was dropped,", discard(work));
        if let Some(after) = self.conclude(outcome) {
            let task: Arc<dyn Task> = self;
            let pool = Arc::clone(&task.core().pool);
            pool.rest(&task, after);
        }
        None
    }

    fn tell(&self, report: Report<Infallible, Infallible>) {
        self.tell_untyped::<T, E>(report);
    }

    fn discard_work(&self) {
        self.drop_work();
    }
}

/// What a callback has done.
pub(crate) enum Outcome<T, E> {
    Returned(Result<T, E>),
    Panicked(String),
    /// It was a future, and was dropped because it had been asked to stop.
    Dropped,
}

/// A callback with the types that it returns, which its own type does not name.
pub(crate) struct Callback<T, E, W>(W, PhantomData<fn() -> (T, E)>);

impl<T, E, W> Callback<T, E, W> {
    pub(crate) fn new(work: W) -> Self {
        Self(work, PhantomData)
    }
}

/// As [`Callback`], for one that gives a future.
pub(crate) struct FutureCallback<T, E, W>(W, PhantomData<fn() -> (T, E)>);

impl<T, E, W> FutureCallback<T, E, W> {
    pub(crate) fn new(work: W) -> Self {
        Self(work, PhantomData)
    }
}

impl<T, E, W, F, S> Task for TypedTask<FutureCallback<T, E, W>, S>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Fn(FutureJob) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    S: Sink<T, E>,
{
    fn core(&self) -> &Core {
        &self.core
    }

    fn run(self: Arc<Self>, job: Job) -> Option<BoxFuture> {
        Some(Box::pin(Attempt { task: self, job: Some(FutureJob(job)), future: None, is_over: false }))
    }

    fn tell(&self, report: Report<Infallible, Infallible>) {
        self.tell_untyped::<T, E>(report);
    }

    fn discard_work(&self) {
        self.drop_work();
    }
}

/// One attempt of a callback that is a future. Dropping it ends the job as lost: its runtime is gone.
struct Attempt<T, E, W, F, S>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Fn(FutureJob) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    S: Sink<T, E>,
{
    task: Arc<TypedTask<FutureCallback<T, E, W>, S>>,
    /// Taken when the future is made.
    job: Option<FutureJob>,
    future: Option<Pin<Box<F>>>,
    is_over: bool,
}

impl<T, E, W, F, S> Attempt<T, E, W, F, S>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Fn(FutureJob) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    S: Sink<T, E>,
{
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<T, E>> {
        let core = &self.task.core;
        // Before the look at the life: whoever asks it to stop afterwards finds the waker.
        core.feed.remember(cx.waker());
        if core.is_stopping() {
            return Poll::Ready(Outcome::Dropped);
        }
        if let Some(job) = self.job.take() {
            let work = lock(&self.task.work).clone().expect("only a job that runs no more has lost its callback");
            let made = catch(|| (work.0)(job));
            self.task.warn("callback, when it was dropped,", discard(work));
            match made {
                Ok(future) => self.future = Some(Box::pin(future)),
                Err(text) => return Poll::Ready(Outcome::Panicked(text)),
            }
        }
        let future = self.future.as_mut().expect("the future was made at the first poll");
        match catch(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(returned)) => Poll::Ready(Outcome::Returned(returned)),
            Err(text) => Poll::Ready(Outcome::Panicked(text)),
        }
    }

    fn drop_future(&mut self) {
        let panic = discard((self.future.take(), self.job.take()));
        self.task.warn("future, when it was dropped,", panic);
    }
}

impl<T, E, W, F, S> Future for Attempt<T, E, W, F, S>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Fn(FutureJob) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    S: Sink<T, E>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Poll::Ready(outcome) = this.step(cx) else { return Poll::Pending };
        // Before the end is told: whoever hears of it may count on what the future held being free.
        this.drop_future();
        let task: Arc<dyn Task> = Arc::clone(&this.task) as _;
        let rests = this.task.conclude(outcome);
        this.is_over = true;
        let pool = &this.task.core.pool;
        if let Some(after) = rests {
            pool.rest(&task, after);
        }
        pool.future_done(&task);
        Poll::Ready(())
    }
}

impl<T, E, W, F, S> Drop for Attempt<T, E, W, F, S>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Fn(FutureJob) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    S: Sink<T, E>,
{
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.drop_future();
        let task: Arc<dyn Task> = Arc::clone(&self.task) as _;
        let pool = &self.task.core.pool;
        if self.task.core.life.on(Event::Lose) == Effect::EndAbandoned {
            pool.abandon(&task, End::Lost);
        }
        self.task.core.life.on(Event::Finish);
        self.task.drop_work();
        pool.future_done(&task);
    }
}

/// How a job ended whose callback came back before anyone gave it up.
///
/// The error of a callback that knew it should stop is its way of stopping, whatever its type.
/// One that had not noticed yet has failed on its own.
fn end_of<T, E>(outcome: Outcome<T, E>, asked: Asked, has_seen_stop: bool) -> End<T, E> {
    let stopped = match asked {
        Asked::Cancel => Some(End::Cancelled),
        Asked::Timeout => Some(End::TimedOut),
        Asked::Nobody => None,
    };
    match outcome {
        Outcome::Panicked(text) => End::Panicked(text),
        Outcome::Returned(Ok(value)) => End::Done(value),
        Outcome::Returned(Err(error)) => match stopped {
            Some(end) if has_seen_stop => {
                discard(error);
                end
            }
            _ => End::Failed(error),
        },
        Outcome::Dropped => stopped.unwrap_or(End::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_follows_from_the_outcome_and_from_what_the_callback_knew() {
        fn check(outcome: Outcome<u8, u8>, asked: Asked, has_seen_stop: bool, end: End<u8, u8>) {
            assert_eq!(end_of(outcome, asked, has_seen_stop), end, "{asked:?} {has_seen_stop}");
        }
        for asked in [Asked::Nobody, Asked::Cancel, Asked::Timeout] {
            for seen in [false, true] {
                check(Outcome::Returned(Ok(1)), asked, seen, End::Done(1));
                check(Outcome::Panicked("x".into()), asked, seen, End::Panicked("x".into()));
            }
            check(Outcome::Returned(Err(2)), asked, false, End::Failed(2));
        }
        check(Outcome::Returned(Err(2)), Asked::Cancel, true, End::Cancelled);
        check(Outcome::Returned(Err(2)), Asked::Timeout, true, End::TimedOut);
        check(Outcome::Dropped, Asked::Cancel, true, End::Cancelled);
        check(Outcome::Dropped, Asked::Timeout, true, End::TimedOut);
    }
}
