//! The pool as its users see it: what is reported, in which order, and what happens when things go wrong.
//!
//! No test waits for time to pass. Threads wait for each other through channels, and times come from a clock that
//! the test moves. Only a test that would fail otherwise ever reaches `PATIENCE`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use windlass_jobs::*;

const PATIENCE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

type Told = Report<u64, Stop>;

/// What the callbacks here fail with.
#[derive(Debug, Clone, PartialEq)]
enum Stop {
    Cancelled,
    Broken(&'static str),
}

impl From<Cancelled> for Stop {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

fn options(threads: usize) -> PoolOptions {
    PoolOptions { threads, ..PoolOptions::default() }
}

fn ear() -> (impl Sink<u64, Stop>, Receiver<Told>) {
    let (tx, rx) = mpsc::channel();
    (move |report| drop(tx.send(report)), rx)
}

fn hear(rx: &Receiver<Told>) -> Told {
    rx.recv_timeout(PATIENCE).expect("a report comes")
}

/// The end of the job, after which its sink is dropped and nothing can come any more.
fn end(rx: &Receiver<Told>) -> End<u64, Stop> {
    loop {
        if let Report::Ended(end) = hear(rx) {
            assert_eq!(rx.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "nothing after the end");
            return end;
        }
    }
}

/// A callback that says when it runs and returns when it is let go.
fn gate() -> (impl Fn(&Job) -> Result<u64, Stop> + Send + Sync + 'static, Receiver<()>, Sender<()>) {
    let (started, has_started) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let gate = Mutex::new((started, opened));
    let work = move |_: &Job| {
        let gate = gate.lock().expect("no one panics here");
        gate.0.send(()).expect("the test waits");
        gate.1.recv_timeout(PATIENCE).expect("the test lets go");
        Ok(1)
    };
    (work, has_started, open)
}

/// Runs one callback on a pool of its own.
fn run(work: impl Fn(&Job) -> Result<u64, Stop> + Send + Sync + 'static) -> End<u64, Stop> {
    let pool = Pool::new(options(1));
    let (sink, rx) = ear();
    pool.submit(Spec::new("test", 1), work, sink).expect("there is room");
    end(&rx)
}

/// Calls `checkpoint` until it says no.
fn stop(job: &Job) -> Result<u64, Stop> {
    loop {
        job.checkpoint()?;
        thread::yield_now();
    }
}

#[test]
fn a_callback_ends_as_what_it_returns() {
    assert_eq!(run(|_| Ok(7)), End::Done(7));
    assert_eq!(run(|_| Err(Stop::Broken("x"))), End::Failed(Stop::Broken("x")));
    assert_eq!(run(|_| panic!("at {}", 3)), End::Panicked("at 3".into()));
}

#[test]
fn forty_jobs_that_each_add_one_give_exactly_forty() {
    let pool = Pool::new(options(4));
    let total = Arc::new(Mutex::new(0));
    let (tx, rx) = mpsc::channel();
    for owner in 0..40 {
        let (total, tx) = (Arc::clone(&total), tx.clone());
        let sink = move |report: Told| {
            if let Report::Ended(End::Done(by)) = report {
                *total.lock().expect("no one panics here") += by;
                let _ = tx.send(());
            }
        };
        pool.submit(Spec::new("add", owner % 3), |_| Ok(1), sink).expect("there is room");
    }
    drop(tx);
    for _ in 0..40 {
        rx.recv_timeout(PATIENCE).expect("an end comes");
    }
    assert_eq!(pool.shutdown(PATIENCE), 0);
    assert_eq!(*total.lock().expect("no one panicked"), 40);
}

#[test]
fn sixty_jobs_on_a_pool_of_four_never_run_more_than_four() {
    let pool = Pool::new(options(4));
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let ends: Vec<_> = (0..60)
        .map(|owner| {
            let (sink, rx) = ear();
            let running = Arc::clone(&running);
            let work = move |_: &Job| {
                let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
                running.1.fetch_max(now, Ordering::SeqCst);
                thread::yield_now();
                running.0.fetch_sub(1, Ordering::SeqCst);
                Ok(1)
            };
            pool.submit(Spec::new("one of sixty", owner), work, sink).expect("there is room");
            rx
        })
        .collect();
    for rx in &ends {
        assert_eq!(end(rx), End::Done(1));
    }
    assert!(running.1.load(Ordering::SeqCst) <= 4);
}

#[test]
fn a_job_waiting_in_the_queue_is_cancelled_at_once_and_never_runs() {
    let pool = Pool::new(options(1));
    let (work, has_started, open) = gate();
    let (sink, busy) = ear();
    pool.submit(Spec::new("busy", 1), work, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");

    let (sink, rx) = ear();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let work = move |_: &Job| -> Result<u64, Stop> { panic!("{held:?}: it must not run") };
    let job = pool.submit(Spec::new("waiting", 2), work, sink).expect("there is room");
    assert!(job.cancel());
    // The only thread is still busy: nobody had to wait for it.
    assert_eq!(hear(&rx), Report::Ended(End::Cancelled));
    assert_eq!(Arc::strong_count(&token), 1, "what the callback held is free");
    assert!(!job.cancel() && job.is_over());
    assert_eq!(job.elapsed(), Duration::ZERO);
    open.send(()).expect("the gate waits");
    assert_eq!(end(&busy), End::Done(1));
}

#[test]
fn a_running_job_stops_at_its_next_checkpoint_after_a_cancel() {
    let pool = Pool::new(options(1));
    let (sink, rx) = ear();
    let job = pool.submit(Spec::new("loop", 1), stop, sink).expect("there is room");
    assert_eq!(hear(&rx), Report::Started);
    assert!(job.cancel());
    assert_eq!(end(&rx), End::Cancelled);
}

#[test]
fn a_job_that_is_finished_anyway_after_a_cancel_is_done() {
    let pool = Pool::new(options(1));
    let (work, has_started, open) = gate();
    let (sink, rx) = ear();
    let job = pool.submit(Spec::new("late", 1), work, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    assert!(job.cancel() && job.cancel(), "asking twice is no mistake");
    open.send(()).expect("the gate waits");
    assert_eq!(end(&rx), End::Done(1));
}

#[test]
fn a_failure_that_has_nothing_to_do_with_the_cancel_stays_a_failure() {
    let pool = Pool::new(options(1));
    let (work, has_started, open) = gate();
    let (sink, rx) = ear();
    let broken = move |job: &Job| work(job).and(Err(Stop::Broken("disk")));
    let job = pool.submit(Spec::new("broken", 1), broken, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    job.cancel();
    open.send(()).expect("the gate waits");
    assert_eq!(end(&rx), End::Failed(Stop::Broken("disk")));
}

#[test]
fn partials_arrive_in_order_and_none_is_lost_however_slowly_they_are_taken() {
    let pool = Pool::new(options(1));
    let (sink, rx) = ear();
    let work = |job: &Job| {
        for i in 0..10 * PARTIALS_MAX {
            job.emit(i)?;
        }
        Ok(0)
    };
    let job = pool.submit(Spec::new("emit", 1), work, sink).expect("there is room");
    let mut seen = Vec::new();
    loop {
        let report = hear(&rx);
        if matches!(report, Report::Partials | Report::Ended(_)) {
            let partials = job.take_partials();
            assert!(partials.len() <= PARTIALS_MAX);
            seen.extend(partials.iter().map(|raw| raw.get().parse::<usize>().expect("a number")));
        }
        if report == Report::Ended(End::Done(0)) {
            break;
        }
    }
    assert_eq!(seen, (0..10 * PARTIALS_MAX).collect::<Vec<_>>());
}

#[test]
fn a_callback_that_waits_for_room_is_woken_by_a_cancel() {
    let pool = Pool::new(options(1));
    let (sink, rx) = ear();
    let (tx, full) = mpsc::channel();
    let work = move |job: &Job| -> Result<u64, Stop> {
        for i in 0_u64.. {
            if i == PARTIALS_MAX as u64 {
                let _ = tx.send(());
            }
            job.emit(i)?;
        }
        Ok(0)
    };
    let job = pool.submit(Spec::new("emit", 1), work, sink).expect("there is room");
    full.recv_timeout(PATIENCE).expect("nobody takes them");
    job.cancel();
    assert_eq!(end(&rx), End::Cancelled);
    assert_eq!(job.take_partials().len(), PARTIALS_MAX, "what was handed over before can still be taken");
}

#[test]
fn a_partial_that_is_no_json_ends_the_job() {
    let keys = || std::collections::BTreeMap::from([((1, 2), 3)]);
    let End::Panicked(text) = run(move |job| Ok(job.emit(keys()).map(|()| 0)?)) else { panic!("it must end so") };
    assert!(text.contains("JSON"), "{text}");
}

#[test]
fn ticks_keep_their_schedule_and_stop_at_the_end() {
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(options(1), Arc::clone(&clock) as Arc<dyn Clock>);
    let (work, has_started, open) = gate();
    let (sink, rx) = ear();
    let job = pool.submit(Spec::new("tick", 1).every(20 * MS), work, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    let pass = |time| {
        clock.advance(time);
        pool.run_due();
    };
    assert_eq!(hear(&rx), Report::Started);
    pass(19 * MS);
    pass(MS);
    pass(70 * MS);
    pass(10 * MS);
    for (tick, elapsed) in [(1, 20), (4, 90), (5, 100)] {
        let expected = Report::Tick { tick, elapsed: elapsed * MS, progress: Progress::default() };
        assert_eq!(hear(&rx), expected);
    }
    open.send(()).expect("the gate waits");
    assert_eq!(end(&rx), End::Done(1));
    pass(100 * MS);
    assert_eq!(job.elapsed(), 100 * MS, "no time passes after the end");
}

#[test]
fn progress_is_conflated_and_its_latest_value_comes_before_the_end() {
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(options(1), Arc::clone(&clock) as Arc<dyn Clock>);
    let (gated, has_started, open) = gate();
    let (sink, rx) = ear();
    let work = move |job: &Job| {
        job.text("warming up");
        for i in 1..=3 {
            job.progress(i, 10);
        }
        gated(job)?;
        job.log("a line");
        job.fraction(0.9);
        gated(job)
    };
    pool.submit(Spec::new("progress", 1), work, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    assert_eq!(hear(&rx), Report::Started);
    pool.run_due();
    pool.run_due();
    let text = Some("warming up".into());
    let first = Progress { fraction: Some(0.3), steps: Some((3, 10)), text, ..Progress::default() };
    assert_eq!(hear(&rx), Report::Progress(first.clone()));

    open.send(()).expect("the gate waits");
    has_started.recv_timeout(PATIENCE).expect("it runs on");
    clock.advance(99 * MS);
    pool.run_due();
    assert_eq!(rx.try_recv(), Err(mpsc::TryRecvError::Empty), "not more often than every tenth of a second");
    open.send(()).expect("the gate waits");
    let last = Progress { fraction: Some(0.9), steps: None, lines: 1, ..first };
    assert_eq!(hear(&rx), Report::Progress(last));
    assert_eq!(end(&rx), End::Done(1));
}

#[test]
fn a_soft_timeout_asks_and_a_hard_one_does_not_wait() {
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(options(2), Arc::clone(&clock) as Arc<dyn Clock>);
    let spec = |name| Spec::new(name, 1).soft_timeout(50 * MS).hard_timeout(80 * MS);
    let (work, heeds_started, heeds_open) = gate();
    let (sink, heeds) = ear();
    let heed = move |job: &Job| work(job).and_then(|_| stop(job));
    pool.submit(spec("heeds"), heed, sink).expect("there is room");
    let (work, ignores_started, open) = gate();
    let (sink, ignores) = ear();
    pool.submit(spec("ignores"), work, sink).expect("there is room");
    for started in [heeds_started, ignores_started] {
        started.recv_timeout(PATIENCE).expect("it runs");
    }
    heeds_open.send(()).expect("the gate waits");
    assert_eq!((hear(&heeds), hear(&ignores)), (Report::Started, Report::Started));

    clock.advance(50 * MS);
    pool.run_due();
    assert_eq!(end(&heeds), End::TimedOut);
    assert_eq!(ignores.try_recv(), Err(mpsc::TryRecvError::Empty));
    clock.advance(30 * MS);
    pool.run_due();
    assert_eq!(end(&ignores), End::TimedOut);
    assert_eq!(pool.stats().stuck, 1, "its thread is still held");
    open.send(()).expect("the gate waits");
    assert_eq!(pool.shutdown(PATIENCE), 0);
    assert_eq!(pool.stats().stuck, 0);
}

#[test]
fn shutdown_cancels_all_waits_and_reports_what_is_left_as_lost() {
    let pool = Pool::new(options(2));
    let (work, has_started, open) = gate();
    let (sink, deaf) = ear();
    pool.submit(Spec::new("deaf", 1), work, sink).expect("there is room");
    let (sink, heeds) = ear();
    pool.submit(Spec::new("heeds", 2), stop, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    assert_eq!(hear(&heeds), Report::Started);
    let (sink, waits) = ear();
    pool.submit(Spec::new("waits", 3), |_| Ok(1), sink).expect("there is room");

    assert_eq!(pool.shutdown(50 * MS), 1);
    assert_eq!(end(&deaf), End::Lost);
    assert_eq!(end(&heeds), End::Cancelled);
    assert_eq!(end(&waits), End::Cancelled);
    let (sink, late) = ear();
    assert!(matches!(pool.submit(Spec::new("late", 1), |_| Ok(1), sink), Err(SubmitError::ShuttingDown)));
    assert_eq!(late.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    open.send(()).expect("the gate waits");
    assert_eq!(pool.shutdown(PATIENCE), 0);
}

#[test]
fn a_callback_may_hold_the_pool_and_shut_it_down() {
    let pool = Arc::new(Pool::new(options(1)));
    let (sink, rx) = ear();
    let inner = Arc::clone(&pool);
    let work = move |_: &Job| Ok(inner.shutdown(Duration::ZERO) as u64);
    pool.submit(Spec::new("shuts down", 1), work, sink).expect("there is room");
    drop(pool);
    assert!(matches!(end(&rx), End::Lost));
}

#[test]
fn full_queues_and_bad_periods_are_typed_answers() {
    let pool = Pool::new(PoolOptions { queue_max: 3, owner_queue_max: 2, ..options(1) });
    let (work, has_started, open) = gate();
    let (sink, _busy) = ear();
    pool.submit(Spec::new("busy", 1), work, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    let submit = |spec| pool.submit(spec, |_| Ok(1), |_: Told| {});
    for _ in 0..2 {
        submit(Spec::new("waits", 1)).expect("there is room");
    }
    assert!(matches!(submit(Spec::new("third", 1)), Err(SubmitError::OwnerQueueFull(2))));
    submit(Spec::new("waits", 2)).expect("there is room");
    assert!(matches!(submit(Spec::new("fourth", 3)), Err(SubmitError::QueueFull(3))));
    for period in [Duration::ZERO, 9 * MS, Duration::MAX] {
        let result = submit(Spec::new("tick", 1).every(period));
        assert!(matches!(result, Err(SubmitError::InvalidPeriod(p)) if p == period));
    }
    open.send(()).expect("the gate waits");
}

#[test]
fn one_owners_thousand_jobs_do_not_starve_anothers_first() {
    let pool = Pool::new(options(1));
    let (work, has_started, open) = gate();
    let (sink, _busy) = ear();
    pool.submit(Spec::new("busy", 1), work, sink).expect("there is room");
    has_started.recv_timeout(PATIENCE).expect("it runs");
    let order = Arc::new(Mutex::new(Vec::new()));
    let submit = |owner| {
        let order = Arc::clone(&order);
        let work = move |_: &Job| {
            order.lock().expect("no one panics here").push(owner);
            Ok(1)
        };
        let (sink, rx) = ear();
        pool.submit(Spec::new("turn", owner), work, sink).expect("there is room");
        rx
    };
    let mut ends: Vec<_> = (0..1000).map(|_| submit(1)).collect();
    ends.push(submit(2));
    open.send(()).expect("the gate waits");
    for rx in &ends {
        assert_eq!(end(rx), End::Done(1));
    }
    let order = order.lock().expect("no one panicked");
    assert!(order.iter().position(|&owner| owner == 2) <= Some(1), "{:?}", &order[..3]);
}

/// Panics when it is dropped.
#[derive(Debug, Clone, PartialEq)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("a bomb");
        }
    }
}

#[test]
fn no_panic_of_a_callback_a_result_or_a_sink_kills_a_thread_or_an_end() {
    let pool = Pool::new(options(1));
    // In the destructor of the callback.
    let (sink, rx) = ear();
    let bomb = Bomb;
    let work = move |_: &Job| {
        let _bomb = &bomb;
        Ok(1)
    };
    pool.submit(Spec::new("callback", 1), work, sink).expect("there is room");
    assert_eq!(end(&rx), End::Done(1));
    // In the destructor of the result, inside the sink.
    let (tx, rx) = mpsc::channel();
    let sink = move |report: Report<Bomb, ()>| {
        let _ = tx.send(matches!(report, Report::Ended(End::Done(_))));
    };
    pool.submit(Spec::new("result", 1), |_| Ok(Bomb), sink).expect("there is room");
    assert_eq!(rx.iter().collect::<Vec<_>>(), [false, true]);
    // In every call of the sink.
    let (tx, rx) = mpsc::channel();
    let sink = move |report: Told| {
        drop(tx.send(report));
        panic!("a sink");
    };
    pool.submit(Spec::new("sink", 1), |_| Ok(2), sink).expect("there is room");
    assert_eq!(rx.iter().collect::<Vec<_>>(), [Report::Started, Report::Ended(End::Done(2))]);
    // And the one thread still works.
    let (sink, rx) = ear();
    pool.submit(Spec::new("after", 1), |_| Ok(3), sink).expect("there is room");
    assert_eq!(end(&rx), End::Done(3));
    assert_eq!(pool.shutdown(PATIENCE), 0);
}

#[test]
fn a_sink_may_cancel_its_own_job_and_submit_others() {
    let pool = Arc::new(Pool::new(options(2)));
    let (tx, rx) = mpsc::channel();
    let (next, inner) = (Mutex::new(Some(ear())), Arc::downgrade(&pool));
    let (hand, handle) = mpsc::channel::<JobHandle>();
    let handle = Mutex::new(handle);
    let sink = move |report: Told| {
        if report == Report::Started {
            let own = handle.lock().expect("no one panics here").recv_timeout(PATIENCE).expect("the test sends it");
            assert!(own.cancel());
            let (sink, rx) = next.lock().expect("no one panics here").take().expect("it starts once");
            let pool = inner.upgrade().expect("the test holds it");
            pool.submit(Spec::new("chained", 1), |_| Ok(5), sink).expect("there is room");
            drop(tx.send(rx));
        }
    };
    let job = pool.submit(Spec::new("first", 1), stop, sink).expect("there is room");
    hand.send(job.clone()).expect("the sink waits");
    let chained = rx.recv_timeout(PATIENCE).expect("the sink has submitted it");
    assert_eq!(end(&chained), End::Done(5));
    assert_eq!(pool.shutdown(PATIENCE), 0);
    assert!(job.is_over());
}
