//! Futures that start jobs of both kinds.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use windlass_jobs::*;

type Failure = Box<dyn Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

const PATIENCE: Duration = Duration::from_secs(60);

/// A sink that passes everything on.
fn ear<T: Send + 'static>() -> (impl Sink<T, Failure>, Receiver<Report<T, Failure>>) {
    let (tx, rx) = channel();
    (move |report| drop(tx.send(report)), rx)
}

fn end<T>(rx: &Receiver<Report<T, Failure>>) -> End<T, Failure> {
    loop {
        if let Report::Ended(end) = rx.recv_timeout(PATIENCE).expect("the job ends") {
            return end;
        }
    }
}

fn done<T: std::fmt::Debug>(end: End<T, Failure>) -> T {
    match end {
        End::Done(value) => value,
        other => panic!("{other:?}"),
    }
}

fn quiet(pool: &Pool) -> bool {
    let stats = pool.stats();
    (stats.queued, stats.running, stats.parked, stats.resting) == (0, 0, 0, 0)
}

/// Waits for what another thread is about to do.
fn until(what: impl Fn() -> bool) {
    while !what() {
        thread::yield_now();
    }
}

/// A tree: each job has as many children as it has levels below it, and counts itself.
fn blocking_tree(job: &Job, levels: u64) -> Result<u64> {
    let mut runs = job.children("branch");
    for _ in 0..levels {
        runs.start(move |job| blocking_tree(job, levels - 1))?;
    }
    Ok(1 + runs.try_join_all()?.into_iter().sum::<u64>())
}

fn with_runtime(options: PoolOptions) -> (tokio::runtime::Runtime, Pool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pool = Pool::new(options);
    let handle = runtime.handle().clone();
    pool.run_futures_on(move |future| drop(handle.spawn(future)));
    (runtime, pool)
}

fn one_of_each() -> PoolOptions {
    PoolOptions { threads: 1, futures_max: 1, nice: 0, ..PoolOptions::default() }
}

fn tree(job: FutureJob, levels: u64) -> Pin<Box<dyn Future<Output = Result<u64>> + Send>> {
    Box::pin(branches(job, levels))
}

async fn branches(job: FutureJob, levels: u64) -> Result<u64> {
    let mut runs = job.children("branch");
    for n in 0..levels {
        if n % 2 == 0 {
            runs.start_future(move |job| tree(job, levels - 1))?;
        } else {
            runs.start(move |job| blocking_tree(job, levels - 1))?;
        }
    }
    Ok(1 + runs.try_join_all().await?.into_iter().sum::<u64>())
}

#[test]
fn a_future_has_children_of_both_kinds_in_a_pool_of_one_of_each() {
    let (_runtime, pool) = with_runtime(one_of_each());
    let mut ends = Vec::new();
    for owner in 0..10 {
        let (sink, rx) = ear();
        pool.submit_future(Spec::new("parent", owner), |job| tree(job, 4), sink).unwrap();
        ends.push(rx);
    }
    ends.iter().for_each(|rx| assert_eq!(done(end(rx)), 65));
    until(|| quiet(&pool));
}

#[test]
fn two_hundred_of_a_future_have_the_right_sum() {
    for futures_max in [1, 4, 16] {
        let (_runtime, pool) = with_runtime(PoolOptions { futures_max, ..one_of_each() });
        let (sink, rx) = ear();
        let work = |job: FutureJob| async move {
            let mut runs = job.children("run").at_once(8);
            for n in 1..=200_u64 {
                runs.start_future(move |_| async move {
                    tokio::task::yield_now().await;
                    Ok::<_, Failure>(n)
                })?;
            }
            let mut sum = 0;
            while let Some(run) = runs.join_next().await? {
                sum += run.result()?;
            }
            Ok(sum)
        };
        pool.submit_future(Spec::new("parent", 1), work, sink).unwrap();
        assert_eq!(done(end(&rx)), 20_100);
    }
}

#[test]
fn a_future_that_is_cancelled_in_the_middle_leaves_nothing_behind() {
    let (_runtime, pool) = with_runtime(PoolOptions { threads: 2, futures_max: 2, ..one_of_each() });
    let alive = Arc::new(());
    let watched = Arc::downgrade(&alive);
    let (began, heard) = channel();
    let (sink, rx) = ear();
    let work = move |job: FutureJob| {
        let (alive, began) = (Arc::clone(&alive), began.clone());
        async move {
            let mut runs = job.children("run").at_once(8);
            for n in 0..200 {
                let (alive, began) = (Arc::clone(&alive), began.clone());
                let begin = move || {
                    let _alive = &alive;
                    let _ = began.send(n);
                };
                if n % 2 == 0 {
                    runs.start(move |job| {
                        loop {
                            begin();
                            job.checkpoint()?;
                            thread::yield_now();
                        }
                    })?;
                } else {
                    runs.start_future(move |_| {
                        begin();
                        std::future::pending()
                    })?;
                }
            }
            runs.try_join_all().await.map(|all: Vec<()>| all.len())
        }
    };
    let job = pool.submit_future(Spec::new("parent", 1), work, sink).unwrap();
    heard.recv_timeout(PATIENCE).unwrap();
    assert!(job.cancel());
    let e = end::<usize>(&rx);
    assert!(matches!(e, End::Cancelled), "{e:?}");
    until(|| quiet(&pool) && watched.upgrade().is_none());
    assert_eq!(pool.shutdown(PATIENCE), 0);
}

/// A wait that is dropped, as `select!` does it, loses no end and gives no place away.
#[test]
fn a_wait_may_be_dropped() {
    let (_runtime, pool) = with_runtime(one_of_each());
    let (sink, rx) = ear();
    let work = |job: FutureJob| async move {
        let mut runs = job.children("run").at_once(8);
        for n in 1..=50_u64 {
            runs.start_future(move |_| async move {
                tokio::task::yield_now().await;
                Ok::<_, Failure>(n)
            })?;
        }
        let mut sum = 0;
        loop {
            tokio::select! {
                biased;
                run = runs.join_next() => match run? {
                    Some(run) => sum += run.result()?,
                    None => return Ok::<u64, Failure>(sum),
                },
                () = tokio::task::yield_now() => {}
            }
        }
    };
    pool.submit_future(Spec::new("parent", 1), work, sink).unwrap();
    assert_eq!(done(end(&rx)), 1275);
    until(|| quiet(&pool));
}
