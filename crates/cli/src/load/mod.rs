//! `windlass load`: many sessions on one app, each of which acts, and what came of it.
//!
//! With a rate the load is open: each action is due at its time, whatever became of the one before, and its latency
//! counts from then, so that a server that stalls is not asked less. Without one each session acts as soon as its last
//! action is answered.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_client::{Client, ConnectError};

mod histogram;
mod session;
mod summary;
mod tally;

use summary::Summary;
use tally::Tally;

/// What is asked for on the command line.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The app: the address of its page, or of its socket
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How many sessions, each with a connection of its own
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Actions a second, of all sessions together; without it each session acts as soon as it was answered
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// The action that every session asks for
    #[arg(long, default_value = "add")]
    action: String,
    /// Its payload
    #[arg(long, default_value = "1", value_parser = json)]
    payload: Value,
    /// How long to measure, after the ramp-up: 500ms, 10s, 2m
    #[arg(long, default_value = "10s", value_parser = crate::duration::parse)]
    duration: Duration,
    /// The time over which the sessions are connected
    #[arg(long, default_value = "1s", value_parser = crate::duration::parse)]
    ramp_up: Duration,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        // Beyond, the time between two actions is none, or more than a clock can count to.
        .filter(|rate: &f64| (0.001..=1_000_000.0).contains(rate))
        .ok_or("a rate is a number above 0, from 0.001 to 1000000 a second".to_owned())
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}; a text needs quotes of its own: '\"text\"'"))
}

/// Why there is nothing to measure.
#[derive(Clone, Debug)]
pub(crate) struct Hopeless(pub(crate) String);

/// Runs the load; exit code 1 when a session failed or an action was not applied, 2 when there was nothing to measure.
pub(crate) async fn main(options: Options) -> ExitCode {
    match run(&options).await {
        Ok((summary, ok)) => {
            let text = if options.json {
                serde_json::to_string(&summary).expect("a summary holds only numbers and text")
            } else {
                summary.to_string()
            };
            println!("{text}");
            if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(Hopeless(why)) => {
            eprintln!("windlass load: {why}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: &Options) -> Result<(Summary, bool), Hopeless> {
    // One comes first, so that a wrong address or action is said once and not by every session.
    try_once(options).await?;
    let tally = Arc::new(Tally::default());
    let (stop, stopped) = watch::channel(false);
    let began = Instant::now();
    let mut sessions = JoinSet::new();
    for number in 0..options.sessions {
        let turn = f64::from(number) / f64::from(options.sessions);
        let plan = session::Plan {
            url: options.url.clone(),
            action: options.action.clone(),
            payload: options.payload.clone(),
            starts: began + options.ramp_up.mul_f64(turn),
            every: options.rate.map(|rate| Duration::from_secs_f64(f64::from(options.sessions) / rate)),
            offset: turn,
        };
        sessions.spawn(session::run(plan, Arc::clone(&tally), stopped.clone()));
    }
    let measuring_from = began + options.ramp_up;
    let interrupted = follow(options, &tally, began, measuring_from).await;
    let measured = Instant::now().saturating_duration_since(measuring_from).min(options.duration);
    let counts_then = tally.lock().applied;
    stop.send_replace(true);
    if interrupted {
        eprintln!("interrupted; this is what there is");
    }
    while sessions.join_next().await.is_some() {}
    let mut counts = tally.lock().clone();
    // What was answered after the end was not done in the time that is measured.
    counts.applied = counts_then;
    let summary = Summary::of(&options.url, &options.action, options.sessions as usize, measured, &counts);
    Ok((summary, counts.failed() == 0 && counts.unapplied() == 0))
}

/// Waits for the end of the measured time or an interrupt, and shows how it goes where somebody looks. True when
/// interrupted.
async fn follow(options: &Options, tally: &Tally, began: Instant, measuring_from: Instant) -> bool {
    let end = measuring_from + options.duration;
    let shows = std::io::stderr().is_terminal();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut ramping = true;
    let mut last = (Instant::now(), 0);
    loop {
        let next = (Instant::now() + PROGRESS_EVERY).min(if ramping { measuring_from } else { end });
        let interrupted = tokio::select! {
            () = tokio::time::sleep_until(next) => false,
            _ = &mut interrupt => true,
        };
        let now = Instant::now();
        if ramping && now >= measuring_from {
            ramping = false;
            tally.lock().begin();
            last = (now, 0);
        }
        if shows {
            let counts = tally.lock();
            let speed = counts.applied.saturating_sub(last.1) as f64 / (now - last.0).as_secs_f64().max(0.001);
            let p99 = counts.latencies.quantile(0.99).unwrap_or_default() as f64 / 1_000.0;
            let (connected, failed, unapplied) = (counts.connected, counts.failed(), counts.unapplied());
            last = (now, counts.applied);
            drop(counts);
            eprint!(
                "\r\x1b[K{:>4.0} s  {connected}/{} sessions ({failed} failed)  {speed:.0} actions/s  p99 {p99:.2} ms  {unapplied} not applied",
                (now - began).as_secs_f64(),
                options.sessions,
            );
            // A terminal that is gone needs no progress.
            _ = std::io::stderr().flush();
        }
        if interrupted || (!ramping && now >= end) {
            if shows {
                eprint!("\r\x1b[K");
            }
            return interrupted;
        }
    }
}

/// Connects one session and acts once in it.
async fn try_once(options: &Options) -> Result<(), Hopeless> {
    let client = Client::connect(&options.url).await.map_err(|error| Hopeless(explain(&error)))?;
    let outcome = tokio::time::timeout(FIRST_ANSWER_MAX, client.action(&options.action, &options.payload)).await;
    client.close().await;
    match outcome {
        Ok(Err(error)) if error.code() == "unknown_action" => {
            let name = &options.action;
            Err(Hopeless(format!(
                "the app at {} has no action \"{name}\"; name one of its own with --action",
                options.url
            )))
        }
        Ok(Err(error)) if error.code() == "bad_payload" => {
            Err(Hopeless(format!("{error}; give another with --payload")))
        }
        // Whatever else it says may be what is to be measured.
        Ok(_) => Ok(()),
        Err(_) => Err(Hopeless(format!("the app did not answer \"{}\" within {FIRST_ANSWER_MAX:?}", options.action))),
    }
}

/// The error, with what to do about it when the way out is on this machine.
pub(crate) fn explain(error: &ConnectError) -> String {
    let text = error.to_string();
    if text.contains("os error 24") {
        return format!("{text} Raise the limit of open files first: `ulimit -n 20000`.");
    }
    if text.contains("os error 99") {
        return format!("{text} The ports of this machine are used up: load from more than one.");
    }
    text
}

const PROGRESS_EVERY: Duration = Duration::from_millis(500);
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);
