//! The server of the network scenarios: a small app in a process of its own, which a test can stop, suspend and measure.
//!
//! `?user=ann` in the address of its socket says who connects; with `--per-user` the pages of one person share a session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use tokio::time::MissedTickBehavior;
use windlass::prelude::*;
use windlass::{Audience, Identity, Per};

/// What a session holds.
#[derive(Clone, Default, Serialize)]
struct Scenario {
    count: u64,
    told: u64,
    readings: Vec<u64>,
}

#[derive(Deserialize)]
struct Churn {
    changes: u64,
    cells: u64,
}

/// How many changes `churn` has made, in all sessions: what a page asks that has no part in them.
static CHURNED: AtomicU64 = AtomicU64::new(0);

/// The server of the network scenarios.
#[derive(Parser)]
struct Options {
    /// The pages of one person share a session.
    #[arg(long)]
    per_user: bool,
    /// How long a session waits for its page.
    #[arg(long)]
    expire_after_ms: Option<u64>,
}

#[tokio::main]
async fn main() -> Result {
    let options = Options::parse();
    let mut app = App::new(Scenario::default)
        .action("add", |state, _cx, by: u64| state.count += by)
        .query("count", |state, (): ()| Reply(state.count))
        .query("churned", |_, (): ()| Reply(CHURNED.load(Ordering::Relaxed)))
        .action("tell", tell)
        .action("churn", churn)
        .session_per(if options.per_user { Per::User } else { Per::Tab })
        .authenticate(|request| {
            let query = request.uri.query().unwrap_or_default();
            let user = query.split('&').find_map(|pair| pair.strip_prefix("user=")).map(str::to_owned);
            async move { Ok(user.map(Identity::new)) }
        });
    if let Some(ms) = options.expire_after_ms {
        app = app.expire_after(Duration::from_millis(ms));
    }
    app.serve("127.0.0.1:0").await
}

/// Tells every page of the session something that it must hear once.
fn tell(state: &mut Scenario, cx: &mut Cx<Scenario>, what: u64) -> Result {
    state.told += 1;
    cx.to(Audience::Session).must().emit("told", &what)
}

/// Changes every cell a thousand times a second.
fn churn(_state: &mut Scenario, cx: &mut Cx<Scenario>, churn: Churn) -> Result {
    cx.long_future("churn", move |job| async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for change in 1..=churn.changes {
            ticks.tick().await;
            job.emit(change).await?;
        }
        Ok(())
    })
    .on_partial(move |state, _cx, change: u64| {
        state.readings = (0..churn.cells).map(|cell| 100_000_000 + change * 1_000 + cell).collect();
        CHURNED.fetch_add(1, Ordering::Relaxed);
    })
    .start()?;
    Ok(())
}
