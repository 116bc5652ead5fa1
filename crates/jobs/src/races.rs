//! The races of a job, model-checked: loom runs each test once for every order in which the threads can meet.
//!
//! [ONE-END] Real tasks, a real pool without threads of its own, and the functions that its threads would call.
//! `cargo xtask loom` runs these; no more than three switches away from a thread that could go on are tried in one run,
//! which is what the literature finds nearly all bugs within, and what keeps a run short.

use std::sync::Arc;
use std::sync::Mutex as Plain;
use std::time::Duration;

use loom::thread;

use crate::job::{Cancelled, Core, Form, Job, JobHandle, Spec};
use crate::pool::{Pool, Shared};
use crate::report::{End, Report};
use crate::retry::Retry;
use crate::task::{Callback, Task, TypedTask};
use crate::timers::{Alarm, Timer};
use crate::{ManualClock, PoolOptions};

type Told = Report<u8, Cancelled>;

/// One job in the queue of a pool that does nothing by itself.
struct Race {
    pool: Pool,
    clock: Arc<ManualClock>,
    task: Arc<dyn Task>,
    /// No loom mutex: what it guards is looked at between steps, and is no part of the race.
    told: Arc<Plain<Vec<Told>>>,
}

impl Race {
    fn new(spec: Spec, work: impl Fn(&Job) -> Result<u8, Cancelled> + Send + Sync + 'static) -> Self {
        let clock = Arc::new(ManualClock::new());
        let pool = Pool::driven(PoolOptions { threads: 1, ..PoolOptions::default() }, clock.clone());
        let told: Arc<Plain<Vec<Told>>> = Arc::default();
        let ear = Arc::clone(&told);
        let sink = move |report: Told| ear.lock().expect("nobody panics here").push(report);
        let core = Core::new(spec, Form::Blocking, 7, Arc::clone(pool.shared()));
        let task: Arc<dyn Task> = Arc::new(TypedTask::new(core, Callback::new(work), sink));
        pool.shared().enqueue_for_race(&task);
        Self { pool, clock, task, told }
    }

    /// Lets `others` race with a thread that takes the job and runs it, and gives the end.
    fn run(self, others: impl IntoIterator<Item = fn(&Arc<Shared>, &Arc<dyn Task>)>) -> End<u8, Cancelled> {
        let shared = Arc::clone(self.pool.shared());
        let threads: Vec<_> = others
            .into_iter()
            .map(|other| {
                let (shared, task) = (Arc::clone(&shared), Arc::clone(&self.task));
                thread::spawn(move || other(&shared, &task))
            })
            .collect();
        shared.work_once();
        threads.into_iter().for_each(|thread| thread.join().expect("a thread of the race panicked"));
        // What is left for later: the report of a job that was cancelled while it waited, and a next attempt.
        shared.run_due();
        self.clock.advance(Duration::from_secs(1));
        shared.run_due();
        shared.work_once();
        shared.run_due();
        shared.assert_quiet();
        let told = std::mem::take(&mut *self.told.lock().expect("nobody panics here"));
        let ends = told.iter().filter(|report| matches!(report, Report::Ended(_))).count();
        assert_eq!(ends, 1, "{told:?}");
        match told.into_iter().last() {
            Some(Report::Ended(end)) => end,
            other => panic!("the end is not the last: {other:?}"),
        }
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn cancel(_: &Arc<Shared>, task: &Arc<dyn Task>) {
    Shared::cancel(task);
}

fn hard_timeout(shared: &Arc<Shared>, task: &Arc<dyn Task>) {
    let at = shared.clock.now();
    shared.fire(Timer { at, id: 7, alarm: Alarm::HardTimeout, attempt: 1 }, task);
}

fn soft_timeout(shared: &Arc<Shared>, task: &Arc<dyn Task>) {
    let at = shared.clock.now();
    shared.fire(Timer { at, id: 7, alarm: Alarm::SoftTimeout, attempt: 1 }, task);
}

fn shutdown(shared: &Arc<Shared>, _: &Arc<dyn Task>) {
    shared.shutdown(Duration::ZERO);
}

#[test]
fn a_cancel_against_the_finish() {
    check(|| {
        let race = Race::new(Spec::new("race", 1), |job| job.checkpoint().map(|()| 1));
        let end = race.run([cancel as fn(&_, &_)]);
        assert!(matches!(end, End::Done(1) | End::Cancelled), "{end:?}");
    });
}

#[test]
fn a_timeout_and_a_cancel_against_the_finish() {
    check(|| {
        let race = Race::new(Spec::new("race", 1), |job| job.checkpoint().map(|()| 1));
        let end = race.run([cancel as fn(&_, &_), hard_timeout]);
        assert!(matches!(end, End::Done(1) | End::Cancelled | End::TimedOut), "{end:?}");
    });
}

#[test]
fn a_soft_timeout_and_a_cancel_against_a_panic() {
    check(|| {
        let race = Race::new(Spec::new("race", 1), |job| {
            job.checkpoint()?;
            // Skips the panic hook, which would print thousands of times.
            std::panic::resume_unwind(Box::new("as planned"))
        });
        let end = race.run([cancel as fn(&_, &_), soft_timeout]);
        assert!(matches!(end, End::Panicked(_) | End::Cancelled | End::TimedOut), "{end:?}");
    });
}

#[test]
fn a_shutdown_and_a_cancel_against_the_finish() {
    check(|| {
        let race = Race::new(Spec::new("race", 1), |job| job.checkpoint().map(|()| 1));
        let end = race.run([cancel as fn(&_, &_), shutdown]);
        assert!(matches!(end, End::Done(1) | End::Cancelled | End::Lost), "{end:?}");
    });
}

#[test]
fn a_cancel_against_a_retry() {
    check(|| {
        let spec = Spec::new("race", 1).retry(Retry::times(2));
        let race = Race::new(spec, |job| if job.attempt() == 1 { Err(Cancelled) } else { Ok(2) });
        let end = race.run([cancel as fn(&_, &_)]);
        assert!(matches!(end, End::Done(2) | End::Cancelled | End::Failed(_)), "{end:?}");
    });
}

/// A ring that is missed would leave the callback waiting for ever, which loom calls a deadlock.
#[test]
fn a_cancel_wakes_a_callback_that_waits_for_room() {
    check(|| {
        let race = Race::new(Spec::new("race", 1), |job| {
            job.emit(1)?;
            job.emit(2)?;
            Ok(2)
        });
        assert_eq!(race.run([cancel as fn(&_, &_)]), End::Cancelled);
    });
}

#[test]
fn what_is_taken_makes_room() {
    check(|| {
        let race = Race::new(Spec::new("race", 1), |job| {
            job.emit(1)?;
            job.emit(2)?;
            Ok(2)
        });
        let handle = JobHandle { task: Arc::clone(&race.task) };
        let taker = thread::spawn(move || {
            let mut taken = 0;
            while taken < 2 {
                taken += handle.take_partials().len();
                thread::yield_now();
            }
        });
        let end = race.run([]);
        taker.join().expect("the taker does not panic");
        assert_eq!(end, End::Done(2));
    });
}
