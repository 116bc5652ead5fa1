//! External commands: how many start a second beside bare `tokio::process`, and what four that compute cost the actions.
//!
//! The server has one core, and so has everything that it starts: supervisor, wardens and commands share it with the
//! sockets. So the starts a second count the whole price of one, whoever pays it. The generator has another core.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use windlass::prelude::*;
use windlass::{Command, PoolOptions};

use crate::bare::Bare;
use crate::child::Server;
use crate::jobs::{actions, number};
use crate::pairs::{PAIRS, Spread, ours_first, quantile};
use crate::peer::{Dialect, Peer};
use crate::report::Report;
use crate::{Result, machine};

/// Enough for some hundred starts.
const SLICE: Duration = Duration::from_millis(500);
const START_RATIO_MIN: f64 = 0.5;
const ACTION_RATIO_MAX: f64 = 3.0;
/// Commands that compute at the same time.
const BUSY: usize = 4;

#[derive(Clone, Default, Serialize)]
struct Bench {
    count: i64,
    /// How many commands have ended.
    done: u64,
    /// How many that compute have begun.
    begun: u64,
}

pub(crate) async fn serve() -> Result<()> {
    let pool = PoolOptions { threads: BUSY, ..PoolOptions::default() };
    App::new(Bench::default)
        // The generator sends as fast as it is answered.
        .messages_per_second(u32::MAX)
        .bytes_per_second(u32::MAX)
        .pool("jobs", pool)
        // The baseline's run at the niceness of the server, and on one core a lower one would wait for whatever else runs there.
        .pool("starts", PoolOptions { threads: 1, nice: 0, ..PoolOptions::default() })
        .command("true", Command::new("true").nice(0))
        .command("busy", Command::new("sh").arg("-c").arg("echo '{\"partial\": 0}'; while :; do :; done"))
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("start", |_: &mut Bench, cx: &mut Cx<Bench>, input: i64| {
            cx.command("true", &input)
                .pool("starts")
                .hidden()
                .on_status(|state: &mut Bench, _, _: Status<()>| state.done += 1)
                .start()
                .map(drop)
        })
        .action("busy", |_: &mut Bench, cx: &mut Cx<Bench>, many: usize| {
            for _ in 0..many {
                cx.command::<()>("busy", &())
                    .hidden()
                    .on_partial(|state, _, _: i64| state.begun += 1)
                    .on_status(|state, _, _| state.done += 1)
                    .start()?;
            }
            Ok::<(), Error>(())
        })
        .action("end", |_: &mut Bench, cx: &mut Cx<Bench>, _: i64| cx.cancel("busy"))
        .serve("127.0.0.1:0")
        .await
        .map_err(|error| format!("{error:?}").into())
}

/// The baseline: what a person writes by hand with `tokio::process`, and one frame of the same size. It reads all that
/// the command prints, and knows neither groups nor timeouts.
pub(crate) async fn answer(mut socket: Bare) -> Result<()> {
    let (mut n, mut done) = (1_u64, 0_u64);
    while let Some(text) = socket.action().await {
        let (_, seq, _, input): (&str, u64, &str, i64) = serde_json::from_str(&text)?;
        let mut command = tokio::process::Command::new("true");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (mut stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        if let Some(stdin) = &mut stdin {
            // It may have ended without reading.
            let _ = stdin.write_all(&serde_json::to_vec(&input)?).await;
        }
        drop(stdin);
        let (mut printed, mut log) = (Vec::new(), Vec::new());
        if let (Some(stdout), Some(stderr)) = (&mut stdout, &mut stderr) {
            let (printed, logged) = tokio::join!(stdout.read_to_end(&mut printed), stderr.read_to_end(&mut log));
            printed?;
            logged?;
        }
        child.wait().await?;
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
    let windlass = Server::start("commands-windlass", server_core)?;
    let bare = Server::start("commands-bare", server_core)?;
    machine::pin(generator_core)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report::of("commands");
        throughput(&windlass, &bare, &mut report).await?;
        beside(&windlass, &mut report).await?;
        Ok(report)
    })
}

/// Commands that do nothing, one after the other.
async fn throughput(windlass: &Server, bare: &Server, report: &mut Report) -> Result<()> {
    let mut ours = Peer::connect(&windlass.address, Dialect::Windlass, 1).await?;
    let mut theirs = Peer::connect(&bare.address, Dialect::Echo, 2).await?;
    let (mut ratios, mut rates, mut bares) = (Vec::new(), Vec::new(), Vec::new());
    // The first pair does not count.
    for pair in 0..=PAIRS {
        eprintln!("commands that do nothing: pair {pair} of {PAIRS}");
        let first = if ours_first(pair) { Some(starts(&mut ours).await?) } else { None };
        let them = starts(&mut theirs).await?;
        let us = match first {
            Some(first) => first,
            None => starts(&mut ours).await?,
        };
        if pair > 0 {
            ratios.push(us / them);
            rates.push(us);
            bares.push(them);
        }
    }
    report.at_least("command_starts_per_second_ratio", Spread::of(ratios), START_RATIO_MIN);
    report.spread("command_starts_per_second", Spread::of(rates));
    report.spread("command_starts_per_second_bare", Spread::of(bares));
    Ok(())
}

async fn starts(peer: &mut Peer) -> Result<f64> {
    let begun = Instant::now();
    let mut starts = 0_u64;
    while begun.elapsed() < SLICE {
        peer.ask("start", 1).await?;
        number(peer, "done").await?;
        starts += 1;
    }
    Ok(starts as f64 / begun.elapsed().as_secs_f64())
}

/// Reads frames until that member is so much: one frame may tell of several.
async fn reach(peer: &mut Peer, member: &str, many: usize) -> Result<()> {
    while number(peer, member).await? < many as u64 {}
    Ok(())
}

/// Actions of one session while another's commands compute, in ratios to the slice before.
async fn beside(server: &Server, report: &mut Report) -> Result<()> {
    let mut page = Peer::connect(&server.address, Dialect::Windlass, 3).await?;
    let mut other = Peer::connect(&server.address, Dialect::Windlass, 4).await?;
    actions(&mut page, SLICE).await?;
    let mut ratios = [Vec::new(), Vec::new()];
    let mut idles = [Vec::new(), Vec::new()];
    for pair in 1..=PAIRS {
        eprintln!("actions beside {BUSY} commands that compute: pair {pair} of {PAIRS}");
        let idle = actions(&mut page, SLICE).await?;
        other.ask("busy", BUSY).await?;
        reach(&mut other, "begun", pair * BUSY).await?;
        let loaded = actions(&mut page, SLICE).await?;
        other.ask("end", 1).await?;
        // Each of them tells its end when it is gone.
        reach(&mut other, "done", pair * BUSY).await?;
        for (at, quantile_at) in [(0, 0.5), (1, 0.99)] {
            ratios[at].push(quantile(&loaded, quantile_at) / quantile(&idle, quantile_at));
            idles[at].push(quantile(&idle, quantile_at));
        }
    }
    let [p50, p99] = ratios;
    let [idle50, idle99] = idles;
    report.spread("action_p50_beside_commands_of_idle", Spread::of(p50));
    report.at_most("action_p99_beside_commands_of_idle", Spread::of(p99), ACTION_RATIO_MAX);
    report.spread("action_p50_us_idle", Spread::of(idle50));
    report.spread("action_p99_us_idle", Spread::of(idle99));
    Ok(())
}
