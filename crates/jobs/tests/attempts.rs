//! Futures, attempts, places that are kept, and places in the queue, as the users of a pool see them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use windlass_jobs::*;

const PATIENCE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

type Told = Report<u64, Cancelled>;

fn ear() -> (impl Sink<u64, Cancelled>, Receiver<Told>) {
    let (tx, rx) = mpsc::channel();
    (move |report| drop(tx.send(report)), rx)
}

fn hear(rx: &Receiver<Told>) -> Told {
    rx.recv_timeout(PATIENCE).unwrap()
}

fn end(rx: &Receiver<Told>) -> End<u64, Cancelled> {
    loop {
        if let Report::Ended(end) = hear(rx) {
            assert_eq!(rx.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "nothing after the end");
            return end;
        }
    }
}

/// A pool whose time stands still, with a runtime for its futures.
fn driven(options: PoolOptions) -> (Pool, Arc<ManualClock>, Runtime) {
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(options, clock.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let handle = runtime.handle().clone();
    pool.run_futures_on(move |future| drop(handle.spawn(future)));
    (pool, clock, runtime)
}

/// Says when it is dropped.
struct Bell(mpsc::Sender<()>);

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_future_ends_as_what_it_returns_and_a_panic_goes_no_further() {
    let (pool, _, _runtime) = driven(PoolOptions::default());
    let run = |what: u64| {
        let (sink, rx) = ear();
        let work = move |job: FutureJob| async move {
            tokio::task::yield_now().await;
            job.progress(1, 2);
            match what {
                0 => Ok(7),
                1 => Err(Cancelled),
                _ => panic!("the rope parted"),
            }
        };
        pool.submit_future(Spec::new("future", 1), work, sink).unwrap();
        end(&rx)
    };
    assert_eq!(run(0), End::Done(7));
    assert_eq!(run(1), End::Failed(Cancelled));
    assert_eq!(run(2), End::Panicked("the rope parted".into()));
}

#[test]
fn a_cancel_drops_a_future_at_once_and_then_tells_the_end() {
    let (pool, _, _runtime) = driven(PoolOptions::default());
    let (sink, rx) = ear();
    let (tx, dropped) = mpsc::channel();
    let (made, is_made) = mpsc::channel();
    let work = move |_: FutureJob| {
        let bell = Bell(tx.clone());
        made.send(()).unwrap();
        async move {
            let _bell = bell;
            pending::<()>().await;
            Ok(1)
        }
    };
    let job = pool.submit_future(Spec::new("waits for ever", 1), work, sink).unwrap();
    is_made.recv_timeout(PATIENCE).unwrap();
    assert_eq!(hear(&rx), Report::Started);
    assert!(job.cancel());
    assert_eq!(end(&rx), End::Cancelled);
    assert_eq!(dropped.try_recv(), Ok(()), "it was dropped before its end was told");
}

#[test]
fn a_soft_timeout_drops_a_future() {
    let (pool, clock, _runtime) = driven(PoolOptions::default());
    let (sink, rx) = ear();
    let work = |_: FutureJob| pending::<Result<u64, Cancelled>>();
    pool.submit_future(Spec::new("waits", 1).soft_timeout(SECOND), work, sink).unwrap();
    assert_eq!(hear(&rx), Report::Started);
    clock.advance(SECOND);
    pool.run_due();
    assert_eq!(end(&rx), End::TimedOut);
}

#[test]
fn a_future_whose_runtime_goes_is_lost() {
    let (pool, _, runtime) = driven(PoolOptions { futures_max: 1, ..PoolOptions::default() });
    let work = |_: FutureJob| pending::<Result<u64, Cancelled>>();
    let ears: Vec<_> = (0..100)
        .map(|_| {
            let (sink, rx) = ear();
            pool.submit_future(Spec::new("waits", 1), work, sink).unwrap();
            rx
        })
        .collect();
    drop(runtime);
    for rx in ears {
        assert_eq!(end(&rx), End::Lost);
    }
}

#[test]
fn so_many_futures_run_at_once_as_the_pool_allows_and_no_more() {
    let (pool, _, _runtime) = driven(PoolOptions { futures_max: 3, ..PoolOptions::default() });
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let ears: Vec<_> = (0..60)
        .map(|_| {
            let (sink, rx) = ear();
            let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
            let work = move |_: FutureJob| {
                let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
                async move {
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(1)
                }
            };
            pool.submit_future(Spec::new("bounded", 1), work, sink).unwrap();
            rx
        })
        .collect();
    for rx in ears {
        assert_eq!(end(&rx), End::Done(1));
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_future_that_emits_waits_for_room_and_loses_nothing() {
    let (pool, _, _runtime) = driven(PoolOptions::default());
    let (sink, rx) = ear();
    let work = |job: FutureJob| async move {
        for i in 0..1000_u64 {
            job.emit(i).await?;
        }
        Ok(1000)
    };
    let job = pool.submit_future(Spec::new("streams", 1), work, sink).unwrap();
    let mut taken = Vec::new();
    loop {
        let report = hear(&rx);
        if report == Report::Partials || matches!(report, Report::Ended(_)) {
            let partials = job.take_partials();
            assert!(partials.len() <= PARTIALS_MAX);
            taken.extend(partials.iter().map(|partial| partial.get().parse::<u64>().unwrap()));
        }
        if matches!(report, Report::Ended(_)) {
            break;
        }
    }
    assert!(taken.into_iter().eq(0..1000));
}

#[test]
fn a_callback_that_fails_is_run_again_after_a_while_that_doubles() {
    let (pool, clock, _runtime) = driven(PoolOptions { threads: 1, ..PoolOptions::default() });
    let (sink, rx) = ear();
    let spec = Spec::new("flaky", 1).retry(Retry::times(4));
    let work = |job: &Job| match job.attempt() {
        1 => Err(Cancelled),
        2 => panic!("the pawl jumped"),
        attempt => Ok(u64::from(attempt)),
    };
    pool.submit(spec, work, sink).unwrap();
    assert_eq!(hear(&rx), Report::Started);
    let failure = End::Failed(Cancelled);
    assert_eq!(hear(&rx), Report::Retrying { attempt: 2, after: SECOND, failure });
    while pool.stats().resting == 0 {
        thread::yield_now();
    }
    clock.advance(SECOND - Duration::from_millis(1));
    pool.run_due();
    assert!(rx.try_recv().is_err(), "not yet");
    clock.advance(Duration::from_millis(1));
    pool.run_due();
    assert_eq!(hear(&rx), Report::Started);
    let failure = End::Panicked("the pawl jumped".into());
    assert_eq!(hear(&rx), Report::Retrying { attempt: 3, after: 2 * SECOND, failure });
    while pool.stats().resting == 0 {
        thread::yield_now();
    }
    clock.advance(2 * SECOND);
    pool.run_due();
    assert_eq!(end(&rx), End::Done(3));
}

#[test]
fn the_last_attempt_fails_for_good_and_so_does_one_that_gives_up() {
    let (pool, _, _runtime) = driven(PoolOptions::default());
    let (sink, rx) = ear();
    pool.submit(Spec::new("once", 1).retry(Retry::times(1)), |_: &Job| Err(Cancelled), sink).unwrap();
    assert_eq!(end(&rx), End::Failed(Cancelled));
    let (sink, rx) = ear();
    let work = |job: &Job| {
        job.give_up();
        Err(Cancelled)
    };
    pool.submit(Spec::new("gives up", 1).retry(Retry::times(9)), work, sink).unwrap();
    assert_eq!(end(&rx), End::Failed(Cancelled));
}

#[test]
fn a_job_that_rests_is_cancelled_at_once_and_holds_its_place_until_then() {
    let options = PoolOptions { threads: 1, queue_max: 1, ..PoolOptions::default() };
    let (pool, clock, _runtime) = driven(options);
    let (sink, rx) = ear();
    let retry = Retry::times(2).first(SECOND);
    let job = pool.submit(Spec::new("flaky", 1).retry(retry), |_: &Job| Err(Cancelled), sink).unwrap();
    while pool.stats().resting == 0 || pool.stats().running > 0 {
        thread::yield_now();
    }
    let _slot = pool.reserve(1, Form::Blocking).expect("a thread is free");
    assert!(matches!(pool.reserve(1, Form::Blocking), Err(SubmitError::QueueFull(1))));
    assert!(job.cancel());
    pool.run_due();
    assert_eq!(end(&rx), End::Cancelled);
    assert!(pool.reserve(1, Form::Blocking).is_ok());
    clock.advance(SECOND);
    pool.run_due();
    assert_eq!(pool.stats().resting, 0);
}

#[test]
fn a_job_that_rests_ends_with_the_pool() {
    let (pool, _, _runtime) = driven(PoolOptions::default());
    let (sink, rx) = ear();
    pool.submit(Spec::new("flaky", 1).retry(Retry::times(2)), |_: &Job| Err(Cancelled), sink).unwrap();
    while pool.stats().resting == 0 {
        thread::yield_now();
    }
    assert_eq!(pool.shutdown(PATIENCE), 0);
    assert_eq!(end(&rx), End::Cancelled);
}

#[test]
fn those_who_wait_hear_of_their_places_and_of_each_change() {
    let (pool, clock, _runtime) = driven(PoolOptions { threads: 1, ..PoolOptions::default() });
    let (open, opened) = mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    let (started, has_started) = mpsc::channel();
    let gate = Arc::new(move |_: &Job| {
        started.send(()).unwrap();
        opened.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Ok(1)
    });
    let mut ears = Vec::new();
    for owner in [1, 1, 1, 2] {
        let (sink, rx) = ear();
        let gate = Arc::clone(&gate);
        pool.submit(Spec::new("gate", owner).ranked(), move |job: &Job| gate(job), sink).unwrap();
        if ears.is_empty() {
            has_started.recv_timeout(PATIENCE).unwrap();
        }
        ears.push(rx);
    }
    pool.run_due();
    let rank = |rx: &Receiver<Told>| match rx.try_recv() {
        Ok(Report::Waiting { rank, eta }) => Some((rank, eta)),
        _ => None,
    };
    let ranks: Vec<_> = ears[1..].iter().map(|rx| rank(rx).map(|(rank, _)| rank)).collect();
    assert_eq!(ranks, [Some(1), Some(3), Some(2)], "the other owner has its turn in between");
    clock.advance(4 * SECOND);
    open.send(()).unwrap();
    has_started.recv_timeout(PATIENCE).unwrap();
    pool.run_due();
    assert_eq!(rank(&ears[2]), Some((2, Some(12 * SECOND))), "each is taken to need the four seconds of the first");
    assert_eq!(rank(&ears[3]), Some((1, Some(8 * SECOND))));
    drop(open);
}

#[test]
fn a_place_that_is_the_same_in_the_next_attempt_is_told_again() {
    let (pool, clock, _runtime) = driven(PoolOptions { threads: 1, ..PoolOptions::default() });
    let (begun, has_begun) = mpsc::channel();
    let block = || {
        let (open, opened) = mpsc::channel::<()>();
        let (begun, opened) = (begun.clone(), Mutex::new(opened));
        let work = move |_: &Job| {
            begun.send(()).unwrap();
            opened.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            Ok::<_, Cancelled>(1)
        };
        pool.submit(Spec::new("gate", 1), work, ear().0).unwrap();
        has_begun.recv_timeout(PATIENCE).unwrap();
        open
    };
    let open = block();
    let (sink, rx) = ear();
    let spec = Spec::new("flaky", 2).ranked().retry(Retry::times(2));
    pool.submit(spec, |_: &Job| Err(Cancelled), sink).unwrap();
    pool.run_due();
    assert_eq!(hear(&rx), Report::Waiting { rank: 1, eta: None });
    open.send(()).unwrap();
    assert_eq!(hear(&rx), Report::Started);
    assert!(matches!(hear(&rx), Report::Retrying { attempt: 2, .. }));
    let open = block();
    clock.advance(SECOND);
    pool.run_due();
    assert!(matches!(hear(&rx), Report::Waiting { rank: 1, .. }));
    open.send(()).unwrap();
    assert_eq!(end(&rx), End::Failed(Cancelled));
}

#[test]
fn what_was_logged_last_is_told_before_the_next_attempt_is_waited_for() {
    let (pool, _, _runtime) = driven(PoolOptions::default());
    let (sink, rx) = ear();
    let work = |job: &Job| {
        job.log("the rope slipped");
        Err(Cancelled)
    };
    let job = pool.submit(Spec::new("flaky", 1).retry(Retry::times(2)), work, sink).unwrap();
    assert_eq!(hear(&rx), Report::Started);
    assert_eq!(hear(&rx), Report::Progress(Progress { lines: 1, ..Progress::default() }));
    assert!(matches!(hear(&rx), Report::Retrying { attempt: 2, .. }));
    assert_eq!(job.log_tail().len(), 1);
}

#[test]
fn a_driven_pool_says_when_it_has_to_tell_places_and_ends() {
    let (pool, clock, _runtime) = driven(PoolOptions { threads: 1, ..PoolOptions::default() });
    let (open, opened) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let opened = Mutex::new(opened);
    let gate = move |_: &Job| {
        begun.send(()).unwrap();
        opened.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Ok(1)
    };
    pool.submit(Spec::new("gate", 1), gate, ear().0).unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    assert_eq!(pool.due_at(), None);
    let (sink, rx) = ear();
    let job = pool.submit(Spec::new("waits", 1).ranked(), |_: &Job| Ok(1), sink).unwrap();
    assert_eq!(pool.due_at(), Some(clock.now()), "its place");
    pool.run_due();
    assert_eq!((pool.due_at(), hear(&rx)), (None, Report::Waiting { rank: 1, eta: None }));
    job.cancel();
    assert_eq!(pool.due_at(), Some(clock.now()), "its end");
    pool.run_due();
    assert_eq!((pool.due_at(), end(&rx)), (None, End::Cancelled));
    open.send(()).unwrap();
}
