//! One job with its callback and its sink, and the end that follows from what the callback did.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use crate::guard::{catch, discard, lock};
use crate::job::{Core, Job};
use crate::life::{Asked, Effect, Event};
use crate::report::{End, Report, Sink};

/// A job whose types are nobody's business: what the queue, the timers and the handles hold.
pub(crate) trait Task: Send + Sync {
    fn core(&self) -> &Core;

    /// Runs the callback on this thread and reports the end, unless someone else has done so meanwhile.
    fn run(&self, job: &Job);

    /// Reports something that carries no value of the callback.
    fn tell(&self, report: Report<Infallible, Infallible>);

    /// Drops the callback of a job that will never run.
    fn discard_work(&self);
}

pub(crate) struct TypedTask<W, S> {
    core: Core,
    /// Taken when it runs or is cancelled, so that what the closure has captured does not live as long as the handles.
    work: Mutex<Option<W>>,
    /// Its lock is held while it is called: that is what keeps reports in order. Taken at the end: nothing comes after.
    sink: Mutex<Option<S>>,
}

impl<W, S> TypedTask<W, S> {
    pub(crate) fn new(core: Core, work: W, sink: S) -> Self {
        Self { core, work: Mutex::new(Some(work)), sink: Mutex::new(Some(sink)) }
    }

    fn report<T, E>(&self, report: Report<T, E>)
    where
        S: Sink<T, E>,
    {
        let mut slot = lock(&self.sink);
        let Some(sink) = slot.as_ref() else { return };
        let is_end = matches!(report, Report::Ended(_));
        if is_end && let Some(progress) = self.core.feed.report_progress(self.core.pool.clock.now()) {
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

    fn run(&self, job: &Job) {
        let core = &self.core;
        let work = lock(&self.work).take().expect("only a job that never runs has lost its callback");
        let outcome = catch(|| (work.0)(job));
        let effect = core.life.on(Event::Finish);
        core.pool.forget_timers(core);
        match effect {
            Effect::EndFinished { asked } => {
                core.feed.end(core.pool.clock.now());
                let has_seen_stop = core.has_seen_stop.load(Ordering::Relaxed);
                self.report(Report::Ended(end_of(outcome, asked, has_seen_stop)));
            }
            _ => self.warn("late result, when it was dropped,", discard(outcome)),
        }
        self.warn("callback, when it was dropped,", discard(work));
    }

    fn tell(&self, report: Report<Infallible, Infallible>) {
        self.report::<T, E>(match report {
            Report::Started => Report::Started,
            Report::Progress(progress) => Report::Progress(progress),
            Report::Tick { tick, elapsed, progress } => Report::Tick { tick, elapsed, progress },
            Report::Partials => Report::Partials,
            Report::Ended(end) => Report::Ended(match end {
                End::Done(never) | End::Failed(never) => match never {},
                End::Panicked(text) => End::Panicked(text),
                End::Cancelled => End::Cancelled,
                End::TimedOut => End::TimedOut,
                End::Lost => End::Lost,
            }),
        });
    }

    fn discard_work(&self) {
        let work = lock(&self.work).take();
        self.warn("callback, when it was dropped,", discard(work));
    }
}

/// A callback with the types that it returns, which its own type does not name.
pub(crate) struct Callback<T, E, W>(W, std::marker::PhantomData<fn() -> (T, E)>);

impl<T, E, W> Callback<T, E, W> {
    pub(crate) fn new(work: W) -> Self {
        Self(work, std::marker::PhantomData)
    }
}

/// How a job ended whose callback came back before anyone gave it up.
///
/// The error of a callback that knew it should stop is its way of stopping, whatever its type.
/// One that had not noticed yet has failed on its own.
fn end_of<T, E>(outcome: Result<Result<T, E>, String>, asked: Asked, has_seen_stop: bool) -> End<T, E> {
    match outcome {
        Err(text) => End::Panicked(text),
        Ok(Ok(value)) => End::Done(value),
        Ok(Err(error)) => {
            let end = match asked {
                Asked::Cancel if has_seen_stop => End::Cancelled,
                Asked::Timeout if has_seen_stop => End::TimedOut,
                _ => return End::Failed(error),
            };
            discard(error);
            end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_follows_from_the_outcome_and_from_what_the_callback_knew() {
        fn check(outcome: Result<Result<u8, u8>, String>, asked: Asked, has_seen_stop: bool, end: End<u8, u8>) {
            assert_eq!(end_of(outcome.clone(), asked, has_seen_stop), end, "{outcome:?} {asked:?} {has_seen_stop}");
        }
        for asked in [Asked::Nobody, Asked::Cancel, Asked::Timeout] {
            for seen in [false, true] {
                check(Ok(Ok(1)), asked, seen, End::Done(1));
                check(Err("x".into()), asked, seen, End::Panicked("x".into()));
            }
            check(Ok(Err(2)), asked, false, End::Failed(2));
        }
        check(Ok(Err(2)), Asked::Cancel, true, End::Cancelled);
        check(Ok(Err(2)), Asked::Timeout, true, End::TimedOut);
    }
}
