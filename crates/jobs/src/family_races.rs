//! Jobs that wait for jobs of their own, model-checked: loom tries the orders in which the threads can meet.
//!
//! A parent that nobody wakes, a place that nobody takes and a child that nobody starts are threads that wait for ever,
//! which loom calls a deadlock. The pool is real, and its threads run what they always do; only that they are loom's.
//! `cargo xtask loom` runs these; see [`crate::races`] for how far.

use std::sync::Arc;
use std::sync::Mutex as Plain;
use std::time::Duration;

use loom::thread;

use crate::family::{Child, Unfinished};
use crate::job::{Cancelled, Job, JobHandle, Spec};
use crate::pool::{Pool, Shared};
use crate::report::{End, Report};
use crate::{ManualClock, PoolOptions, SubmitError};

/// Everything that can go wrong in a callback here.
#[derive(Debug)]
struct Wrong;

impl From<Cancelled> for Wrong {
    fn from(_: Cancelled) -> Self {
        Self
    }
}

impl From<SubmitError> for Wrong {
    fn from(_: SubmitError) -> Self {
        Self
    }
}

impl From<Unfinished> for Wrong {
    fn from(_: Unfinished) -> Self {
        Self
    }
}

type Result<T> = std::result::Result<T, Wrong>;

/// Runs a job in a pool with one place and as many threads, while something else is done to it; gives its end.
fn run(
    threads: usize,
    work: impl Fn(&Job) -> Result<u8> + Send + Sync + 'static,
    meanwhile: impl FnOnce(&Arc<Shared>, &JobHandle) + Send + 'static,
) -> End<u8, Wrong> {
    let options = PoolOptions { threads: 1, nice: 0, ..PoolOptions::default() };
    let pool = Pool::driven(options, Arc::new(ManualClock::new()));
    let shared = Arc::clone(pool.shared());
    shared.have_threads();
    let told: Arc<Plain<Vec<End<u8, Wrong>>>> = Arc::default();
    let (ear, closes) = (Arc::clone(&told), Arc::downgrade(&shared));
    let sink = move |report: Report<u8, Wrong>| {
        if let Report::Ended(end) = report {
            ear.lock().expect("nobody panics here").push(end);
            closes.upgrade().expect("the pool is there").close();
        }
    };
    let handle = pool.submit(Spec::new("parent", 1), work, sink).expect("there is room");
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work())
        })
        .collect();
    meanwhile(&shared, &handle);
    workers.into_iter().for_each(|worker| worker.join().expect("a thread of the race panicked"));
    // The ends of those that were cancelled while they waited.
    shared.run_due();
    shared.assert_quiet();
    let mut told = std::mem::take(&mut *told.lock().expect("nobody panics here"));
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

fn two(job: &Job) -> Result<u8> {
    let mut runs = job.children("run").at_once(2);
    for n in 1..=2 {
        runs.start(move |_| -> Result<u8> { Ok(n) })?;
    }
    Ok(runs.try_join_all()?.into_iter().sum())
}

#[test]
fn a_parent_of_two_and_one_place() {
    check(2, || {
        let end = run(2, two, |_, _| {});
        assert!(matches!(end, End::Done(3)), "{end:?}");
    });
}

#[test]
fn one_at_a_time_in_the_order_of_their_ends() {
    check(2, || {
        let end = run(
            2,
            |job| {
                let mut runs = job.children("run").at_once(1);
                for n in 1..=2 {
                    runs.start(move |_| -> Result<u8> { Ok(n) })?;
                }
                let mut numbers = 0;
                while let Some(Child { number, .. }) = runs.join_next()? {
                    numbers = numbers * 10 + number as u8;
                }
                Ok(numbers)
            },
            |_, _| {},
        );
        assert!(matches!(end, End::Done(12)), "{end:?}");
    });
}

#[test]
fn a_child_that_is_a_parent() {
    check(2, || {
        let end = run(
            3,
            |job| {
                let mut runs = job.children("outer");
                runs.start(|job| {
                    let mut runs = job.children("inner");
                    runs.start(|_| -> Result<u8> { Ok(7) })?;
                    Ok::<u8, Wrong>(runs.try_join_all()?[0])
                })?;
                Ok(runs.try_join_all()?[0])
            },
            |_, _| {},
        );
        assert!(matches!(end, End::Done(7)), "{end:?}");
    });
}

/// Wherever it comes: before the start, between the children, while the parent waits, goes on or lets go.
#[test]
fn a_cancel_against_a_parent_that_waits() {
    check(2, || {
        let end = run(
            2,
            |job| {
                let mut runs = job.children("run");
                runs.start(|job| -> Result<u8> {
                    job.checkpoint()?;
                    Ok(1)
                })?;
                Ok(runs.try_join_all()?[0])
            },
            |shared, handle| {
                handle.cancel();
                // Nobody else keeps the time, and a parent may wait for the end of a child that never ran.
                while !handle.is_over() {
                    shared.run_due();
                    thread::yield_now();
                }
                // A parent that was cancelled in the queue ends without a thread that would let the others go.
                shared.run_due();
                shared.close();
            },
        );
        assert!(matches!(end, End::Done(1) | End::Cancelled | End::Failed(Wrong)), "{end:?}");
    });
}

/// A job that was given up still waits for its children, and gives no place away that it has not.
#[test]
fn a_shutdown_against_a_parent_that_waits() {
    check(2, || {
        let end = run(
            2,
            |job| {
                let mut runs = job.children("run");
                runs.start(|_| -> Result<u8> { Ok(1) })?;
                Ok(runs.try_join_all()?[0])
            },
            |shared, _| {
                shared.shutdown(Duration::ZERO);
            },
        );
        assert!(matches!(end, End::Done(1) | End::Cancelled | End::Failed(Wrong) | End::Lost), "{end:?}");
    });
}
