//! Two thousand pages lose their connections together, three times in ten seconds: until when all are whole again, and what
//! it costs those that were not hit.
//!
//! The pages are those of the Rust client, with its own backoff and jitter, behind our proxy, which resets all their
//! connections at once. Each has an action under way at every storm. Whole is a page that is live and holds its three.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass::prelude::{App, Serialize};
use windlass_client::{Client, Status};
use windlass_proxy::{Fault, Proxy};

use crate::child::Server;
use crate::pairs::{Spread, quantile};
use crate::report::Report;
use crate::{Result, machine};

const PAGES: usize = 2_000;
const STORMS: u64 = 3;
const STORM_EVERY: Duration = Duration::from_millis(3_300);
const CALM_PAGES: usize = 4;
const CALM_EVERY: Duration = Duration::from_millis(20);
const WHOLE_MAX: f64 = 15.0;
const CALM_P99_MAX: f64 = 1.0;

#[derive(Clone, Default, Serialize)]
struct Counter {
    count: u64,
}

pub(crate) async fn serve() -> Result<()> {
    App::new(Counter::default)
        .action("add", |state, _cx, by: u64| state.count += by)
        .serve("127.0.0.1:0")
        .await
        .map_err(|error| format!("{error:?}").into())
}

pub(crate) fn run() -> Result<Report> {
    let files = machine::raise_open_files()?;
    if files < 4 * PAGES as u64 + 200 {
        return Err(format!("{PAGES} pages and a proxy need more than {files} open files: raise `ulimit -n`").into());
    }
    let cores = machine::cores()?;
    let server = Server::start("storm", cores[0])?;
    machine::pin(*cores.last().expect("there is a core that runs this"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&server))
}

async fn measure(server: &Server) -> Result<Report> {
    let proxy = Proxy::start(server.address.parse()?).await?;
    let pages = connect(&proxy).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut calm = JoinSet::new();
    for _ in 0..CALM_PAGES {
        let client = Client::connect(format!("http://{}", server.address)).await?;
        calm.spawn(act(client, Arc::clone(&is_over)));
    }
    let began = Instant::now();
    for storm in 0..STORMS {
        tokio::time::sleep_until(began + STORM_EVERY * u32::try_from(storm)?).await;
        for page in &pages {
            drop(page.send("add", 1_u64 << storm)?);
        }
        proxy.fault(Fault::Reset);
    }
    let mut slowest = Duration::ZERO;
    for page in &pages {
        let whole = (1 << STORMS) - 1;
        page.wait_for(|document| (document["count"] == whole).then_some(())).await.ok_or("a page has ended")?;
        page.status_changes().wait_for(|status| *status == Status::Live).await?;
        slowest = slowest.max(began.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    let mut latencies: Vec<f64> = calm.join_all().await.into_iter().flatten().collect();
    latencies.sort_by(f64::total_cmp);
    let reconnects: u64 = pages.iter().map(|page| page.traffic().reconnects).sum();
    let busy: u64 = pages.iter().filter_map(|page| page.closes().get("busy").copied()).sum();

    let mut report = Report::of("storm");
    report.at_most("whole_seconds", Spread::of([slowest.as_secs_f64()]), WHOLE_MAX);
    report.at_most("calm_p99_seconds", Spread::of([quantile(&latencies, 0.99)]), CALM_P99_MAX);
    report.spread("calm_p50_seconds", Spread::of([quantile(&latencies, 0.5)]));
    report.spread("reconnects", Spread::of([reconnects as f64]));
    report.spread("closed_busy", Spread::of([busy as f64]));
    Ok(report)
}

async fn connect(proxy: &Proxy) -> Result<Vec<Client>> {
    let mut pages = Vec::new();
    // A few at a time: it is their return that is measured.
    while pages.len() < PAGES {
        let mut group = JoinSet::new();
        for _ in 0..100.min(PAGES - pages.len()) {
            group.spawn(Client::connect(proxy.url()));
        }
        for page in group.join_all().await {
            pages.push(page?);
        }
    }
    Ok(pages)
}

/// Acts again and again; how long each took, in seconds.
async fn act(client: Client, is_over: Arc<AtomicBool>) -> Vec<f64> {
    let mut latencies = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        if client.action("add", 0).await.is_ok() {
            latencies.push(began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(CALM_EVERY).await;
    }
    latencies
}
