//! Jobs that start jobs: in pools of every size, nested, stopped in the middle, with and without room.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use windlass_jobs::*;

type Failure = Box<dyn Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

const PATIENCE: Duration = Duration::from_secs(60);

fn pool(threads: usize) -> Pool {
    Pool::new(PoolOptions { threads, nice: 0, ..PoolOptions::default() })
}

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

fn run<T: Send + 'static>(pool: &Pool, work: impl Fn(&Job) -> Result<T> + Send + Sync + 'static) -> End<T, Failure> {
    let (sink, rx) = ear();
    pool.submit(Spec::new("parent", 1), work, sink).unwrap();
    end(&rx)
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

#[test]
fn two_hundred_in_pools_of_1_4_and_16_have_the_right_sum() {
    for threads in [1, 4, 16] {
        let pool = pool(threads);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let sum = done(run(&pool, move |job| {
            let mut runs = job.children("run").at_once(8);
            for n in 1..=200_u64 {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                assert_eq!(
                    u64::from(runs.start(move |_| -> Result<u64> {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        Ok(n * n)
                    })?),
                    n
                );
            }
            let mut sum = 0;
            while let Some(run) = runs.join_next()? {
                sum += run.result()?;
            }
            Ok(sum)
        }));
        assert_eq!(sum, (1..=200).map(|n| n * n).sum::<u64>());
        assert!((1..=threads.min(8)).contains(&seen.load(Ordering::SeqCst)), "{threads} threads, 8 at once");
        until(|| quiet(&pool));
    }
}

/// A tree: each job has as many children as it has levels below it, and counts itself.
fn tree(job: &Job, levels: u64) -> Result<u64> {
    let mut runs = job.children("branch");
    for _ in 0..levels {
        runs.start(move |job| tree(job, levels - 1))?;
    }
    Ok(1 + runs.try_join_all()?.into_iter().sum::<u64>())
}

#[test]
fn nested_ones_end_in_a_pool_of_any_size() {
    for threads in [1, 2, 4, 16] {
        let pool = pool(threads);
        assert_eq!(done(run(&pool, |job| tree(job, 4))), 65, "1 + 4 + 12 + 24 + 24");
        until(|| quiet(&pool));
        // As many trees at the same time as there are threads, and more.
        let (tx, rx) = channel();
        for owner in 0..20 {
            let tx = tx.clone();
            let sink = move |report: Report<u64, Failure>| {
                if let Report::Ended(end) = report {
                    tx.send(end).unwrap();
                }
            };
            pool.submit(Spec::new("parent", owner % 3), |job| tree(job, 3), sink).unwrap();
        }
        for _ in 0..20 {
            assert_eq!(done(rx.recv_timeout(PATIENCE).unwrap()), 16);
        }
    }
}

#[test]
fn as_many_parents_as_threads_and_one_may_wait_at_each_depth() {
    let pool = Pool::new(PoolOptions { threads: 2, parents_max: 1, nice: 0, ..PoolOptions::default() });
    let (tx, rx) = channel();
    for owner in 0..8 {
        let tx = tx.clone();
        let sink = move |report: Report<u64, Failure>| {
            if let Report::Ended(end) = report {
                tx.send(end).unwrap();
            }
        };
        pool.submit(Spec::new("parent", owner), |job| tree(job, 4), sink).unwrap();
    }
    for _ in 0..8 {
        assert_eq!(done(rx.recv_timeout(PATIENCE).unwrap()), 65);
    }
}

#[test]
fn a_job_is_nested_so_deep_and_no_deeper() {
    fn deeper(job: &Job) -> Result<u8> {
        let mut runs = job.children("deeper");
        match runs.start(deeper) {
            Ok(_) => Ok(1 + runs.try_join_all()?[0]),
            Err(SubmitError::TooDeep(max)) => {
                assert_eq!(max, DEPTH_MAX);
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }
    assert_eq!(done(run(&pool(1), deeper)), DEPTH_MAX);
}

#[test]
fn what_is_not_collected_is_bounded() {
    let text = run(&pool(1), |job| {
        let mut runs = job.children("run");
        for _ in 0..CHILDREN_MAX {
            runs.start(|_| -> Result<()> { Ok(()) })?;
        }
        let full = runs.start(|_| Ok(())).unwrap_err().to_string();
        runs.join_next()?;
        runs.start(|_| Ok(()))?;
        Ok(full)
    });
    assert!(done(text).contains("10000 jobs of this job are not collected yet"));
}

#[test]
fn results_come_as_they_end_or_in_the_order_of_the_start() {
    let pool = pool(2);
    let both = Arc::new(Barrier::new(2));
    let order = run(&pool, move |job| {
        let mut numbers = Vec::new();
        let second_is_through = Arc::new(AtomicBool::new(false));
        let mut runs = job.children("run").at_once(2);
        for n in 1..=2_u32 {
            let (both, through) = (Arc::clone(&both), Arc::clone(&second_is_through));
            runs.start_named(format!("run {n}"), move |job| -> Result<u32> {
                assert_eq!((job.number(), job.name()), (Some(n), &*format!("run {n}")));
                both.wait();
                if n == 1 {
                    until(|| through.load(Ordering::SeqCst));
                }
                Ok(n)
            })?;
        }
        while let Some(child) = runs.join_next()? {
            second_is_through.store(true, Ordering::SeqCst);
            numbers.push(child.number);
        }
        Ok(numbers)
    });
    assert_eq!(done(order), [2, 1]);
    let all = run(&pool, |job| {
        let mut runs = job.children("run").at_once(2);
        for n in 1..=20_u32 {
            runs.start(move |_| -> Result<u32> {
                (0..n % 5).for_each(|_| thread::yield_now());
                if n == 7 { Err("seven".into()) } else { Ok(n) }
            })?;
        }
        Ok(runs.join_all()?)
    });
    let all = done(all);
    assert_eq!(all.iter().map(|child| child.number).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert!(matches!(&all[6].end, End::Failed(error) if error.to_string() == "seven"));
    assert_eq!(all.iter().filter(|child| matches!(child.end, End::Done(_))).count(), 19);
}

/// One that fails ends the others, and its error is the parent's.
#[test]
fn the_first_that_fails_can_end_the_others() {
    let pool = pool(2);
    let began = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&began);
    let end = run(&pool, move |job| {
        let mut runs = job.children("run").at_once(2);
        for n in 0..100 {
            let began = Arc::clone(&began);
            runs.start(move |job| -> Result<()> {
                began.fetch_add(1, Ordering::SeqCst);
                if n == 1 {
                    return Err("the second".into());
                }
                loop {
                    job.checkpoint()?;
                    thread::yield_now();
                }
            })?;
        }
        runs.try_join_all()
    });
    assert!(matches!(end, End::Failed(error) if error.to_string() == "the second"));
    // The end of the one that failed brought another in before the parent heard of it.
    assert!((2..=3).contains(&counted.load(Ordering::SeqCst)));
    until(|| quiet(&pool));
}

#[test]
fn each_end_is_told_as_what_it_was() {
    let pool = pool(4);
    let ends = run(&pool, |job| {
        let mut runs = job
            .children("run")
            .at_once(4)
            .soft_timeout(Duration::from_millis(20))
            .retry(Retry::times(2).first(Duration::from_millis(1)));
        runs.start(|job| -> Result<u32> {
            if job.attempt() == 2 { Ok(1) } else { Err("once more".into()) }
        })?;
        runs.start(|_| std::panic::resume_unwind(Box::new("as planned")))?;
        runs.start(|job| {
            loop {
                job.checkpoint()?;
                thread::yield_now();
            }
        })?;
        let number = runs.start(|job| {
            loop {
                job.checkpoint()?;
                thread::yield_now();
            }
        })?;
        assert!(runs.cancel(number));
        let all = runs.join_all()?;
        let attempts: Vec<_> = all.iter().map(|child| child.attempts).collect();
        assert_eq!(&attempts[..3], [2, 2, 1]);
        let texts = all.into_iter().map(|child| match child.result() {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        });
        Ok(texts.collect::<Vec<_>>())
    });
    let panicked = "\"run\" (2) panicked: as planned";
    assert_eq!(done(ends), ["1", panicked, "\"run\" (3) ran out of time", "\"run\" (4) was cancelled"]);
}

#[test]
fn an_error_that_is_final_is_not_tried_again() {
    let is_final: fn(&dyn std::any::Any) -> bool =
        |error| error.downcast_ref::<Failure>().is_some_and(|error| error.to_string() == "no");
    let (sink, rx) = ear();
    let retry = || Retry::times(3).first(Duration::from_millis(1));
    let mut spec = Spec::new("parent", 1).retry(retry());
    spec.is_final = Some(is_final);
    let work = move |job: &Job| -> Result<u32> {
        let mut runs = job.children("run").retry(retry());
        runs.start(|_| -> Result<()> { Err("no".into()) })?;
        runs.start(|_| Err("perhaps".into()))?;
        let attempts: Vec<_> = runs.join_all()?.iter().map(|child| child.attempts).collect();
        assert_eq!(attempts, [1, 3]);
        assert_eq!(job.attempt(), 1);
        Err("no".into())
    };
    let pool = pool(1);
    pool.submit(spec, work, sink).unwrap();
    assert!(matches!(end(&rx), End::Failed(error) if error.to_string() == "no"));
}

/// Cancelled while some run, some wait in the queue and most have not come to it: nothing is left behind.
#[test]
fn a_cancel_in_the_middle_leaves_nothing_behind() {
    for (threads, nested) in [(1, false), (4, false), (1, true), (4, true)] {
        let pool = pool(threads);
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let (began, heard) = channel();
        let (sink, rx) = ear();
        let work = move |job: &Job| -> Result<()> {
            let mut runs = job.children("run").at_once(8);
            for _ in 0..200 {
                let (alive, began) = (Arc::clone(&alive), began.clone());
                runs.start(move |job| -> Result<()> {
                    let endless = {
                        let (alive, began) = (Arc::clone(&alive), began.clone());
                        move |job: &Job| -> Result<()> {
                            let _alive = &alive;
                            let _ = began.send(());
                            loop {
                                job.checkpoint()?;
                                thread::yield_now();
                            }
                        }
                    };
                    if !nested {
                        return endless(job);
                    }
                    let mut runs = job.children("inner");
                    runs.start(endless)?;
                    runs.try_join_all()?;
                    Ok(())
                })?;
            }
            while runs.join_next()?.is_some() {}
            Ok(())
        };
        let job = pool.submit(Spec::new("parent", 1), work, sink).unwrap();
        heard.recv_timeout(PATIENCE).unwrap();
        assert!(job.cancel());
        assert!(matches!(end(&rx), End::Cancelled));
        until(|| quiet(&pool));
        assert!(watched.upgrade().is_none(), "what the callbacks held is dropped; {threads} threads, nested: {nested}");
        assert_eq!(pool.shutdown(PATIENCE), 0);
    }
}

/// A parent that has let go of its children waits for their ends; those that wait in the queue never run.
#[test]
fn dropping_them_stops_them_and_waits() {
    let pool = pool(2);
    let during = run(&pool, |job| {
        let (began, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut runs = job.children("run").at_once(2);
        for _ in 0..3 {
            let (began, ended) = (Arc::clone(&began), Arc::clone(&ended));
            runs.start(move |job| -> Result<()> {
                began.fetch_add(1, Ordering::SeqCst);
                until(|| job.is_cancelled());
                (0..100).for_each(|_| thread::yield_now());
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })?;
        }
        // This job has the other place.
        until(|| began.load(Ordering::SeqCst) == 1);
        drop(runs);
        Ok((began.load(Ordering::SeqCst), ended.load(Ordering::SeqCst)))
    });
    assert_eq!(done(during), (1, 1));
}

#[test]
fn a_full_queue_makes_the_parent_wait_and_fails_nothing() {
    for (queue_max, owner_queue_max) in [(0, 1024), (2, 1024), (4096, 0)] {
        let options = PoolOptions { threads: 2, queue_max, owner_queue_max, nice: 0, ..PoolOptions::default() };
        let pool = Pool::new(options);
        let sum = run(&pool, |job| {
            let mut runs = job.children("run").at_once(64);
            for n in 1..=200_u64 {
                runs.start(move |_| -> Result<u64> { Ok(n) })?;
            }
            Ok(runs.try_join_all()?.into_iter().sum::<u64>())
        });
        assert_eq!(done(sum), 20_100, "{queue_max}, {owner_queue_max}");
    }
}

/// The owner runs one job at a time, and so do its children; the pool has room for more.
#[test]
fn the_cap_of_an_owner_holds_for_the_jobs_of_its_jobs() {
    let options = PoolOptions { threads: 4, owner_running_max: 1, nice: 0, ..PoolOptions::default() };
    let pool = Pool::new(options);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let done_ = run(&pool, move |job| {
        let mut runs = job.children("run").at_once(8);
        for _ in 0..50 {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            runs.start(move |_| -> Result<()> {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })?;
        }
        Ok(runs.try_join_all()?.len())
    });
    assert_eq!(done(done_), 50);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

/// Of two owners that sweep at the same time neither is far ahead of the other.
#[test]
fn two_sweeps_take_turns() {
    let pool = pool(1);
    let (tx, rx) = channel();
    let both_are_in = Arc::new(AtomicUsize::new(0));
    // Holds the only thread until both sweeps are in the queue.
    let (hold, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (sink, held) = ear();
    pool.submit(Spec::new("hold", 9), move |_| Ok(gate.lock().unwrap().recv()?), sink).unwrap();
    let mut ends = Vec::new();
    for owner in 1..=2_u64 {
        let (tx, both_are_in): (Sender<u64>, _) = (tx.clone(), Arc::clone(&both_are_in));
        let work = move |job: &Job| -> Result<()> {
            let mut runs = job.children("run").at_once(8);
            for _ in 0..100 {
                let (tx, both_are_in) = (tx.clone(), Arc::clone(&both_are_in));
                runs.start(move |_| -> Result<()> {
                    // Counts only when the other has started its runs too.
                    if both_are_in.load(Ordering::SeqCst) == 2 {
                        tx.send(owner)?;
                    }
                    Ok(())
                })?;
            }
            both_are_in.fetch_add(1, Ordering::SeqCst);
            runs.try_join_all()?;
            Ok(())
        };
        let (sink, rx) = ear();
        pool.submit(Spec::new("sweep", owner), work, sink).unwrap();
        ends.push(rx);
    }
    hold.send(()).unwrap();
    done(end(&held));
    ends.iter().for_each(|rx| done(end(rx)));
    let order: Vec<u64> = rx.try_iter().collect();
    let (mut ahead, mut most) = (0_i32, 0);
    for owner in order.iter().take(150) {
        ahead += if *owner == 1 { 1 } else { -1 };
        most = most.max(ahead.abs());
    }
    assert!(order.len() >= 150 && most <= 10, "{most} ahead in {order:?}");
}

#[test]
fn partial_results_and_log_lines_go_to_the_first_job_of_the_line() {
    let pool = pool(2);
    let (tx, rx) = channel();
    let work = |job: &Job| -> Result<()> {
        let mut runs = job.children("run");
        for n in 1..=3_u32 {
            runs.start(move |job| -> Result<()> {
                let mut inner = job.children("inner");
                inner.start(move |job| -> Result<()> {
                    job.log(format!("line of {n}"));
                    Ok(job.emit(n)?)
                })?;
                inner.try_join_all()?;
                Ok(())
            })?;
        }
        runs.try_join_all()?;
        Ok(job.emit("end")?)
    };
    let sink = move |report: Report<(), Failure>| drop(tx.send(report));
    let job = pool.submit(Spec::new("parent", 1), work, sink).unwrap();
    let mut partials = Vec::new();
    loop {
        match rx.recv_timeout(PATIENCE).unwrap() {
            Report::Partials => partials.extend(job.take_partials()),
            Report::Ended(end) => break done(end),
            _ => {}
        }
    }
    partials.extend(job.take_partials());
    let mut partials: Vec<_> = partials.iter().map(|partial| partial.get().to_owned()).collect();
    assert_eq!(partials.pop().as_deref(), Some("\"end\""));
    partials.sort();
    assert_eq!(partials, ["1", "2", "3"]);
    let mut log: Vec<_> = job.log_tail().iter().map(|line| (**line).to_owned()).collect();
    log.sort();
    assert_eq!(log, ["inner 1: line of 1", "inner 1: line of 2", "inner 1: line of 3"]);
}

#[test]
fn their_progress_is_the_parents() {
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(PoolOptions { threads: 4, nice: 0, ..PoolOptions::default() }, clock.clone());
    let (go, stops) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    let (sink, rx) = ear();
    let (going, stopping) = (Arc::clone(&go), Arc::clone(&stops));
    let work = move |job: &Job| -> Result<()> {
        let mut runs = job.children("run").at_once(2);
        for n in 0..4 {
            let (go, stops) = (Arc::clone(&going), Arc::clone(&stopping));
            runs.start(move |job| -> Result<()> {
                if n < 2 {
                    job.progress(n + 1, 4);
                    job.text(format!("step {n}"));
                    go.wait();
                    stops.wait();
                }
                if n == 3 { Err("the last".into()) } else { Ok(()) }
            })?;
        }
        runs.join_all()?;
        Ok(())
    };
    let job = pool.submit(Spec::new("parent", 1), work, sink).unwrap();
    go.wait();
    clock.advance(Duration::from_millis(200));
    pool.run_due();
    let progress = job.progress();
    let tally = progress.children.clone().unwrap();
    assert_eq!((tally.queued, tally.running, tally.total()), (2, 2, 4));
    assert_eq!(progress.fraction, Some((0.25 + 0.5) / 4.0));
    let mut active = tally.active.clone();
    active.sort_unstable_by_key(|active| active.number);
    assert_eq!((active[1].number, active[1].progress, active[1].text.as_deref()), (2, Some(0.5), Some("step 1")));
    stops.wait();
    done(end(&rx));
    let progress = job.progress();
    let tally = progress.children.unwrap();
    assert_eq!((progress.fraction, progress.steps), (Some(1.0), Some((4, 4))));
    assert_eq!((tally.done, tally.failed, tally.total(), tally.active.len()), (3, 1, 4, 0));
}

#[test]
fn one_is_told_to_stop_by_its_numbers() {
    let pool = pool(2);
    let (began, heard) = channel();
    let (sink, rx) = ear();
    let work = move |job: &Job| -> Result<Vec<bool>> {
        let mut runs = job.children("run").at_once(1);
        for n in 1..=3 {
            let began = began.clone();
            runs.start(move |job| -> Result<()> {
                let mut inner = job.children("inner");
                let began = began.clone();
                inner.start(move |job| -> Result<()> {
                    let _ = began.send(n);
                    if n != 1 {
                        return Ok(());
                    }
                    loop {
                        job.checkpoint()?;
                        thread::yield_now();
                    }
                })?;
                inner.try_join_all()?;
                Ok(())
            })?;
        }
        Ok(runs.join_all()?.iter().map(|child| matches!(child.end, End::Done(()))).collect())
    };
    let job = pool.submit(Spec::new("parent", 1), work, sink).unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(1));
    until(|| job.progress().children.is_some_and(|tally| tally.total() == 3));
    for nothing in [&[][..], &[0], &[4], &[1, 2], &[1, 1, 1], &[2, 1]] {
        assert!(!job.cancel_child(nothing), "{nothing:?}");
    }
    assert!(job.cancel_child(&[2]), "one that waits with its parent");
    assert!(job.cancel_child(&[1, 1]), "a child's child");
    assert_eq!(done(end(&rx)), [false, false, true]);
    assert!(!job.cancel_child(&[3]), "it has ended");
}

/// A parent that is cancelled while others hold all places does not wait for one.
#[test]
fn a_parent_that_is_cancelled_goes_on_though_the_pool_is_full() {
    let pool = pool(1);
    let (held, has_hold) = channel();
    let (let_go, gate) = channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let (sink, rx) = ear();
    let work = move |job: &Job| -> Result<()> {
        let mut runs = job.children("run");
        let (held, gate) = (held.clone(), Arc::clone(&gate));
        runs.start(move |_| -> Result<()> {
            held.send(())?;
            // Deaf to its cancel.
            Ok(gate.lock().unwrap().recv()?)
        })?;
        let stopped = runs.join_next();
        assert!(stopped.is_err());
        job.log("stopped");
        stopped?;
        Ok(())
    };
    let job = pool.submit(Spec::new("parent", 1), work, sink).unwrap();
    has_hold.recv_timeout(PATIENCE).unwrap();
    job.cancel();
    until(|| !job.log_tail().is_empty());
    assert!(rx.try_iter().all(|report| !matches!(report, Report::Ended(_))), "its child has not ended");
    let_go.send(()).unwrap();
    assert!(matches!(end(&rx), End::Cancelled));
    until(|| quiet(&pool));
}

#[test]
fn one_that_is_given_up_gives_its_children_up() {
    let clock = Arc::new(ManualClock::new());
    let pool = Pool::driven(PoolOptions { threads: 1, nice: 0, ..PoolOptions::default() }, clock.clone());
    let (held, has_hold) = channel();
    let (sink, rx) = ear();
    let work = move |job: &Job| -> Result<()> {
        let mut runs = job.children("run");
        let held = held.clone();
        runs.start(move |job| -> Result<()> {
            held.send(())?;
            while job.checkpoint().is_ok() {
                thread::yield_now();
            }
            Ok(())
        })?;
        runs.try_join_all()?;
        Ok(())
    };
    let spec = Spec::new("parent", 1).hard_timeout(Duration::from_secs(5));
    pool.submit(spec, work, sink).unwrap();
    has_hold.recv_timeout(PATIENCE).unwrap();
    clock.advance(Duration::from_secs(5));
    pool.run_due();
    assert!(matches!(end(&rx), End::TimedOut));
    until(|| quiet(&pool));
}
