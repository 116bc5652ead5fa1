//! Long callbacks: how many a second, how promptly they are told, and what they cost the actions beside them.
//!
//! The server has one core, with its sockets and all threads of its pool; the generator has another. Moments are read
//! from the system's monotonic clock, which is the same in both processes.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use windlass::PoolOptions;
use windlass::prelude::*;

use crate::bare::Bare;
use crate::child::Server;
use crate::machine::monotonic_nanos;
use crate::pairs::{PAIRS, Spread, ours_first, quantile};
use crate::peer::{Dialect, Peer};
use crate::report::Report;
use crate::{Result, machine};

/// Long enough that a timer tick or a page fault is noise.
const SLICE: Duration = Duration::from_millis(500);
const NOOP_RATIO_MIN: f64 = 0.5;
const TICK_RATIO_MAX: f64 = 10.0;
const ACTION_RATIO_MAX: f64 = 3.0;
const LATE_MAX_MS: f64 = 3.0;
/// About what a closure, its places in queue, table and session, and its row for the page come to.
const QUEUED_BYTES_MAX: f64 = 4.0 * 1024.0;
/// Jobs that the server's core computes at the same time.
const BUSY: usize = 2;
const QUEUED: usize = 1_000;

#[derive(Clone, Default, Serialize)]
struct Bench {
    count: i64,
    /// How many no-op jobs have ended.
    done: u64,
    /// When the last tick was due, or the last job returned, in microseconds of the monotonic clock.
    at: u64,
}

fn micros() -> u64 {
    monotonic_nanos() / 1_000
}

pub(crate) async fn serve() -> Result<()> {
    let pool = PoolOptions { threads: BUSY, queue_max: 100_000, owner_queue_max: 100_000, ..PoolOptions::default() };
    App::new(Bench::default)
        // The generator sends as fast as it is answered.
        .limits(crate::unhurried())
        .pool("jobs", pool)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("noop", |_: &mut Bench, cx: &mut Cx<Bench>, _: i64| {
            cx.long_callback("noop", |_| Ok(())).hidden().on_status(|state, _, _| state.done += 1).start().map(drop)
        })
        .action("tick", |_: &mut Bench, cx: &mut Cx<Bench>, ms: u64| {
            let begun = Arc::new(AtomicU64::new(0));
            let told = Arc::clone(&begun);
            cx.long_callback("tick", move |job| -> windlass::Result {
                begun.store(micros(), Ordering::Relaxed);
                wait_for_cancel(job)
            })
            .hidden()
            .every(Duration::from_millis(ms))
            .on_status(move |state, _, status| {
                if let Status::Running(running) = status {
                    state.at = told.load(Ordering::Relaxed) + running.tick * ms * 1_000;
                }
            })
            .start()
            .map(drop)
        })
        .action("result", |_: &mut Bench, cx: &mut Cx<Bench>, _: i64| {
            cx.long_callback("result", |_| {
                std::thread::sleep(Duration::from_millis(5));
                Ok(micros())
            })
            .hidden()
            .on_status(|state, _, status| {
                if let Status::Done(at) = status {
                    state.at = at;
                }
            })
            .start()
            .map(drop)
        })
        .action("busy", |_: &mut Bench, cx: &mut Cx<Bench>, many: usize| {
            for _ in 0..many {
                cx.long_callback("busy", compute).hidden().start()?;
            }
            Ok::<(), Error>(())
        })
        .action("queue", |_: &mut Bench, cx: &mut Cx<Bench>, many: usize| {
            for n in 0..many {
                cx.long_callback("queued", move |_| Ok(black_box(n))).start()?;
            }
            Ok::<(), Error>(())
        })
        .action("end", |_: &mut Bench, cx: &mut Cx<Bench>, _: i64| {
            for name in ["queued", "tick", "busy"] {
                cx.cancel(name);
            }
        })
        .serve("127.0.0.1:0")
        .await
        .map_err(|error| format!("{error:?}").into())
}

fn wait_for_cancel(job: &Job) -> windlass::Result {
    loop {
        job.checkpoint()?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Uses all of a thread until it is cancelled.
fn compute(job: &Job) -> windlass::Result {
    let mut sum = 0_u64;
    loop {
        job.checkpoint()?;
        for n in 0..10_000 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
    }
}

/// The baseline: a no-op on tokio's blocking threads for each message, and one frame of the same size.
pub(crate) async fn answer(mut socket: Bare) -> Result<()> {
    let (mut n, mut done) = (1_u64, 0_u64);
    while let Some(text) = socket.action().await {
        let (_, seq, _, by): (&str, u64, &str, i64) = serde_json::from_str(&text)?;
        tokio::task::spawn_blocking(move || black_box(by)).await?;
        (n, done) = (n + 1, done + 1);
        socket.answer(&("d", n, seq, [("done", done)])).await?;
    }
    Ok(())
}

pub(crate) fn run() -> Result<Report> {
    let cores = machine::cores()?;
    let (server_core, generator_core) = (cores[0], *cores.last().expect("there is a core that runs this"));
    if server_core == generator_core {
        eprintln!("one core only: the generator runs on the server's core");
    }
    let windlass = Server::start("jobs-windlass", server_core)?;
    let bare = Server::start("jobs-bare", server_core)?;
    machine::pin(generator_core)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report::of("jobs");
        throughput(&windlass, &bare, &mut report).await?;
        ticks(&windlass, &mut report).await?;
        results(&windlass, &mut report).await?;
        beside(&windlass, &mut report).await?;
        memory(&windlass, &mut report).await?;
        Ok(report)
    })
}

/// Jobs that do nothing, one after the other, per CPU-second of the server.
async fn throughput(windlass: &Server, bare: &Server, report: &mut Report) -> Result<()> {
    let mut ours = Peer::connect(&windlass.address, Dialect::Windlass, 1).await?;
    let mut theirs = Peer::connect(&bare.address, Dialect::Echo, 2).await?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    // The first pair does not count.
    for pair in 0..=PAIRS {
        eprintln!("no-op jobs: pair {pair} of {PAIRS}");
        let first = if ours_first(pair) { Some(noops(windlass, &mut ours).await?) } else { None };
        let them = noops(bare, &mut theirs).await?;
        let us = match first {
            Some(first) => first,
            None => noops(windlass, &mut ours).await?,
        };
        if pair > 0 {
            ratios.push(us / them);
            rates.push(us);
        }
    }
    report.at_least("noop_jobs_per_cpu_second_ratio", Spread::of(ratios), NOOP_RATIO_MIN);
    report.spread("noop_jobs_per_cpu_second", Spread::of(rates));
    Ok(())
}

async fn noops(server: &Server, peer: &mut Peer) -> Result<f64> {
    let (cpu, begun) = (server.cpu_time()?, Instant::now());
    let mut jobs = 0_u64;
    while begun.elapsed() < SLICE {
        peer.ask("noop", 1).await?;
        number(peer, "done").await?;
        jobs += 1;
    }
    Ok(jobs as f64 / server.cpu_time()?.saturating_sub(cpu).as_secs_f64())
}

/// Reads frames until one changes that member; its value.
pub(crate) async fn number(peer: &mut Peer, member: &str) -> Result<u64> {
    loop {
        let (ops, _) = peer.frame().await?;
        let ops = ops.as_array().ok_or("a delta has ops")?;
        if let Some(value) = ops.iter().find(|op| op[0] == member).and_then(|op| op[1].as_u64()) {
            return Ok(value);
        }
    }
}

/// Round trips of an action, in ascending microseconds.
pub(crate) async fn actions(peer: &mut Peer, length: Duration) -> Result<Vec<f64>> {
    let begun = Instant::now();
    let mut micros = Vec::new();
    while begun.elapsed() < length {
        let sent = Instant::now();
        peer.ask("add", 1).await?;
        number(peer, "count").await?;
        micros.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    Ok(micros)
}

/// From the moment at which a tick is due to its frame at a page that does nothing else, beside a bare action.
async fn ticks(server: &Server, report: &mut Report) -> Result<()> {
    let mut page = Peer::connect(&server.address, Dialect::Windlass, 3).await?;
    let (mut p50, mut p99, mut late50, mut late99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=4 {
        eprintln!("ticks: round {round} of 4");
        let bare = actions(&mut page, SLICE).await?;
        page.ask("tick", 10).await?;
        let mut late = Vec::new();
        for _ in 0..100 {
            let due = number(&mut page, "at").await?;
            late.push(micros().saturating_sub(due) as f64);
        }
        end(&mut page).await?;
        late.sort_by(f64::total_cmp);
        p50.push(quantile(&late, 0.5) / quantile(&bare, 0.5));
        p99.push(quantile(&late, 0.99) / quantile(&bare, 0.99));
        late50.push(quantile(&late, 0.5));
        late99.push(quantile(&late, 0.99));
    }
    report.at_most("tick_p50_of_action_p50", Spread::of(p50), TICK_RATIO_MAX);
    report.at_most("tick_p99_of_action_p99", Spread::of(p99), TICK_RATIO_MAX);
    report.spread("tick_p50_us", Spread::of(late50));
    report.spread("tick_p99_us", Spread::of(late99));
    Ok(())
}

/// From the return of a callback to its result at an otherwise idle page.
async fn results(server: &Server, report: &mut Report) -> Result<()> {
    let mut page = Peer::connect(&server.address, Dialect::Windlass, 4).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut late = Vec::new();
        for _ in 0..100 {
            page.ask("result", 1).await?;
            let returned = number(&mut page, "at").await?;
            late.push(micros().saturating_sub(returned) as f64 / 1e3);
        }
        late.sort_by(f64::total_cmp);
        p50.push(quantile(&late, 0.5));
        p99.push(quantile(&late, 0.99));
    }
    report.spread("result_late_p50_ms", Spread::of(p50));
    report.at_most("result_late_p99_ms", Spread::of(p99), LATE_MAX_MS);
    Ok(())
}

/// Actions of one session while another's jobs compute or wait, in ratios to the slice before.
async fn beside(server: &Server, report: &mut Report) -> Result<()> {
    let mut page = Peer::connect(&server.address, Dialect::Windlass, 5).await?;
    let mut other = Peer::connect(&server.address, Dialect::Windlass, 6).await?;
    actions(&mut page, SLICE).await?;
    for (what, queued) in [("busy", 0), ("queued", QUEUED)] {
        let mut ratios = [Vec::new(), Vec::new()];
        let mut idles = [Vec::new(), Vec::new()];
        for pair in 1..=PAIRS {
            eprintln!("actions beside {what} jobs: pair {pair} of {PAIRS}");
            let idle = actions(&mut page, SLICE).await?;
            act(&mut other, "busy", BUSY).await?;
            if queued > 0 {
                act(&mut other, "queue", queued).await?;
            }
            let loaded = actions(&mut page, SLICE).await?;
            end(&mut other).await?;
            for (at, quantile_at) in [(0, 0.5), (1, 0.99)] {
                ratios[at].push(quantile(&loaded, quantile_at) / quantile(&idle, quantile_at));
                idles[at].push(quantile(&idle, quantile_at));
            }
        }
        let [p50, p99] = ratios;
        let [idle50, idle99] = idles;
        report.spread(&format!("action_p50_{what}_of_idle"), Spread::of(p50));
        report.at_most(&format!("action_p99_{what}_of_idle"), Spread::of(p99), ACTION_RATIO_MAX);
        report.spread(&format!("action_p50_us_idle_beside_{what}"), Spread::of(idle50));
        report.spread(&format!("action_p99_us_idle_beside_{what}"), Spread::of(idle99));
    }
    Ok(())
}

/// Sends an action and waits until it was answered.
async fn act(peer: &mut Peer, name: &str, payload: usize) -> Result<()> {
    peer.ask(name, payload).await?;
    peer.refetch().await.map(drop)
}

/// Cancels what runs and waits, and waits until the page is told of all of it.
async fn end(peer: &mut Peer) -> Result<()> {
    act(peer, "end", 1).await?;
    // The last of it is told within a period of the job table, and nothing comes after that.
    let quiet = Duration::from_millis(200);
    while let Ok(frame) = tokio::time::timeout(quiet, peer.frame()).await {
        frame?;
    }
    Ok(())
}

/// What the server's memory grows by for each job that waits, its row in the page's document included.
async fn memory(server: &Server, report: &mut Report) -> Result<()> {
    let mut page = Peer::connect(&server.address, Dialect::Windlass, 7).await?;
    act(&mut page, "busy", BUSY).await?;
    // What is made once for the first of them is no job's.
    act(&mut page, "queue", QUEUED).await?;
    let before = server.resident()?;
    act(&mut page, "queue", 10 * QUEUED).await?;
    let grown = server.resident()?.saturating_sub(before);
    report.at_most("memory_per_queued_job_bytes", Spread::of([grown as f64 / (10 * QUEUED) as f64]), QUEUED_BYTES_MAX);
    end(&mut page).await
}
