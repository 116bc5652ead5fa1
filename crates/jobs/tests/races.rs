//! One end for each job, function or future, however cancel, finish, retry, panic, timeout and shutdown race. [ONE-END]
//!
//! The moments are random and the threads are real; the seed only chooses what takes part. That every order of events
//! is right is shown where the machine is, by enumerating them; here it is shown that the pool uses it rightly.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use windlass_jobs::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A small generator, so that a run can be repeated from its seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Counts the ends of one job, and what comes after or beside them.
#[derive(Default)]
struct Ear {
    inside: AtomicUsize,
    ends: AtomicUsize,
}

impl Ear {
    fn hear(&self, report: &Report<(), Cancelled>) {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "reports of one job overlap");
        assert_eq!(self.ends.load(Ordering::SeqCst), 0, "{report:?} after the end");
        if let Report::Ended(_) = report {
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the callbacks do, by chance: the four ways to come back, with and without a look at the cancel.
fn work(job: &Job, what: u64) -> Result<(), Cancelled> {
    match what {
        0 => Ok(()),
        1 => {
            job.progress(1, 2);
            job.emit(what)?;
            job.checkpoint()
        }
        // Skips the panic hook, which would print thousands of times.
        2 => std::panic::resume_unwind(Box::new("by chance")),
        _ => loop {
            job.checkpoint()?;
            job.emit(what)?;
            thread::yield_now();
        },
    }
}

/// The same as a future, which a cancel drops where it waits.
async fn later(job: FutureJob, what: u64) -> Result<(), Cancelled> {
    match what {
        0 => Ok(()),
        1 => {
            job.progress(1, 2);
            job.emit(what).await?;
            tokio::task::yield_now().await;
            job.checkpoint()
        }
        2 => std::panic::resume_unwind(Box::new("by chance")),
        _ => loop {
            job.emit(what).await?;
            tokio::task::yield_now().await;
        },
    }
}

/// Gives the other threads some time, or none.
fn linger(dice: &mut Dice) {
    for _ in 0..dice.roll(8) {
        thread::yield_now();
    }
}

/// Lets `jobs` jobs race with everything that can end them; gives how many ends there were, by kind.
fn race(runtime: &tokio::runtime::Handle, seed: u64, jobs: usize) -> [usize; 5] {
    let mut dice = Dice(seed);
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(PoolOptions { threads: 3, nice: 0, ..PoolOptions::default() }, clock.clone());
    let runtime = runtime.clone();
    pool.run_futures_on(move |future| drop(runtime.spawn(future)));
    let (tx, rx) = mpsc::channel();
    let mut ears = Vec::with_capacity(jobs);
    let mut handles = Vec::with_capacity(jobs);
    thread::scope(|scope| {
        let (hand, cancels) = mpsc::channel::<JobHandle>();
        let canceller = scope.spawn(move || {
            let mut dice = Dice(!seed);
            for handle in cancels {
                linger(&mut dice);
                handle.cancel();
            }
        });
        for _ in 0..jobs {
            let what = dice.roll(4);
            let is_endless = what == 3;
            let mut spec = Spec::new("race", dice.roll(3)).every(PERIOD_MIN);
            if dice.roll(2) == 0 {
                spec = spec.soft_timeout(Duration::from_millis(5));
            }
            if dice.roll(3) == 0 {
                spec = spec.hard_timeout(Duration::from_millis(5 + dice.roll(5)));
            }
            if dice.roll(3) == 0 {
                spec = spec.retry(Retry::times(3).first(Duration::from_millis(1)));
            }
            let ear = Arc::new(Ear::default());
            let (heard, tx) = (Arc::clone(&ear), tx.clone());
            let sink = move |report| {
                heard.hear(&report);
                if let Report::Ended(end) = report {
                    tx.send(end).expect("the test listens");
                }
            };
            let handle = match dice.roll(2) {
                0 => pool.submit(spec, move |job| work(job, what), sink),
                _ => pool.submit_future(spec, move |job| later(job, what), sink),
            };
            let handle = handle.expect("there is room");
            if is_endless || dice.roll(3) == 0 {
                hand.send(handle.clone()).expect("the canceller listens");
            }
            handles.push(handle);
            ears.push(ear);
            if dice.roll(2) == 0 {
                clock.advance(Duration::from_millis(1 + dice.roll(10)));
            }
            pool.run_due();
            linger(&mut dice);
        }
        drop(hand);
        // What has not been cancelled by now races with the shutdown.
        let deadline = if dice.roll(2) == 0 { Duration::ZERO } else { PATIENCE };
        pool.shutdown(deadline);
        canceller.join().expect("cancelling does not panic");
    });
    // Callbacks that were given up come back here, and their late results are dropped.
    pool.shutdown(PATIENCE);
    drop(pool);
    drop(tx);
    let mut kinds = [0; 5];
    for _ in 0..jobs {
        let end = rx.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("a job has no end; seed {seed}, {jobs} jobs"));
        kinds[match end {
            End::Done(()) => 0,
            End::Cancelled | End::Failed(Cancelled) => 1,
            End::Panicked(_) => 2,
            End::TimedOut => 3,
            _ => 4,
        }] += 1;
    }
    for ear in ears {
        assert_eq!(ear.ends.load(Ordering::SeqCst), 1, "seed {seed}, {jobs} jobs");
    }
    assert!(handles.iter().all(JobHandle::is_over));
    kinds
}

#[test]
fn a_hundred_thousand_races_have_a_hundred_thousand_ends() {
    let mut total = [0; 5];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("there are threads");
    for seed in 0..200 {
        for (total, kind) in total.iter_mut().zip(race(runtime.handle(), seed, 500)) {
            *total += kind;
        }
    }
    println!("done, cancelled, panicked, timed out, lost: {total:?}");
    assert_eq!(total.iter().sum::<usize>(), 100_000);
    assert!(total.iter().all(|&kind| kind > 0), "every kind of end takes part: {total:?}");
}
