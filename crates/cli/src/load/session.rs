//! One session of a load, from its connection to its last outcome.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_client::{Client, Status};

use super::explain;
use super::tally::Tally;

/// What a session does.
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) action: String,
    pub(crate) payload: Value,
    /// When it connects.
    pub(crate) starts: Instant,
    /// How often it acts; none for as soon as it was answered.
    pub(crate) every: Option<Duration>,
    /// Its place among all sessions, from 0 to 1, so that they do not all act at once.
    pub(crate) offset: f64,
}

/// Connects, acts until it is stopped, and tells the tally.
pub(crate) async fn run(plan: Plan, tally: Arc<Tally>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep_until(plan.starts) => {}
        _ = stopped.wait_for(|stopped| *stopped) => return,
    }
    let client = match Client::connect(&plan.url).await {
        Ok(client) => client,
        Err(error) => {
            *tally.lock().failed.entry(explain(&error)).or_default() += 1;
            return;
        }
    };
    tally.lock().connected += 1;
    match plan.every {
        Some(every) => act_by_the_clock(&plan, every, &client, &tally, &mut stopped).await,
        None => act_when_answered(&plan, &client, &tally, &mut stopped).await,
    }
    account(&client, &tally);
    client.close().await;
}

/// Adds what only the client knows.
fn account(client: &Client, tally: &Tally) {
    let mut counts = tally.lock();
    let traffic = client.traffic();
    counts.read += traffic.read;
    counts.written += traffic.written;
    counts.reconnects += traffic.reconnects;
    for (code, count) in client.closes() {
        *counts.closes.entry(code).or_default() += count;
    }
    match client.status() {
        Status::Live => {}
        Status::Waiting { code, .. } | Status::Stopped { code } => {
            *counts.failed.entry(format!("not connected at the end: {code}")).or_default() += 1;
        }
        _ => *counts.failed.entry("not connected at the end".to_owned()).or_default() += 1,
    }
}

async fn act_when_answered(plan: &Plan, client: &Client, tally: &Tally, stopped: &mut watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let due = Instant::now();
        tally.lock().sent += 1;
        let outcome = tokio::select! {
            outcome = client.action(&plan.action, &plan.payload) => outcome.map_err(|error| error.code().to_owned()),
            () = too_late(stopped.clone()) => Err("unanswered".to_owned()),
        };
        let refused = outcome.is_err();
        tally.lock().outcome(outcome.as_ref().map_or_else(String::as_str, |_| "applied"), due.elapsed());
        if refused {
            // A server that refuses at once is not to be flooded.
            tokio::time::sleep(AFTER_REFUSAL).await;
        }
    }
}

async fn act_by_the_clock(
    plan: &Plan,
    every: Duration,
    client: &Client,
    tally: &Arc<Tally>,
    stopped: &mut watch::Receiver<bool>,
) {
    let mut due = Instant::now() + every.mul_f64(plan.offset);
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        tally.lock().sent += 1;
        match client.send(&plan.action, &plan.payload) {
            Ok(outcome) => {
                let (tally, stopped) = (Arc::clone(tally), stopped.clone());
                waiting.spawn(async move {
                    let outcome = tokio::select! {
                        outcome = outcome => outcome.map_err(|error| error.code().to_owned()),
                        () = too_late(stopped) => Err("unanswered".to_owned()),
                    };
                    tally.lock().outcome(outcome.as_ref().map_or_else(String::as_str, |_| "applied"), due.elapsed());
                });
            }
            Err(error) => tally.lock().outcome(error.code(), due.elapsed()),
        }
        while waiting.try_join_next().is_some() {}
        due += every;
    }
    while waiting.join_next().await.is_some() {}
}

/// When an action that has no outcome yet gets none any more.
async fn too_late(mut stopped: watch::Receiver<bool>) {
    // The sender lives as long as the load.
    _ = stopped.wait_for(|stopped| *stopped).await;
    tokio::time::sleep(LAST_ANSWER_MAX).await;
}

const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// How long outcomes are awaited after the end.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(5);
