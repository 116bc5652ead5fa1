//! A page that stops reading while its state goes on changing: what it costs, and what it is sent afterwards.
//!
//! 10 KB of state change a thousand times a second for ten seconds. The growth is that of the
//! server's resident memory. Then the page reads: everything, until it holds the last state.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use windlass::prelude::{App, Serialize};

use crate::child::{self, Server};
use crate::pairs::Spread;
use crate::peer::Peer;
use crate::report::Report;
use crate::{Result, machine, slow_many};

const CHANGES: u64 = 10_000;
pub(crate) const EVERY: Duration = Duration::from_millis(1);
const CELLS: usize = 1_000;
pub(crate) const GROWTH_MAX: f64 = 2.0 * 1024.0 * 1024.0;
const READ_MAX: f64 = 80.0 * 1024.0;
/// Small, as a phone's: the kernel must not take for us what the page does not read.
pub(crate) const RECEIVE_BUFFER: u32 = 16 * 1024;

/// About 10 KB as JSON, every byte of it changed by each change.
#[derive(Clone, Serialize)]
pub(crate) struct Readings {
    pub(crate) change: u64,
    cells: Vec<u64>,
}

impl Readings {
    pub(crate) fn at(change: u64) -> Self {
        Self { change, cells: (0..CELLS as u64).map(|cell| 100_000_000 + change * 1_000 + cell).collect() }
    }
}

/// Changes every session a thousand times a second once it is ordered to.
pub(crate) async fn serve() -> Result<()> {
    let server = App::new(|| Readings::at(0)).bind("127.0.0.1:0").await.map_err(|error| format!("{error:?}"))?;
    println!("listening on http://{}", server.addr());
    let (live, mut orders) = (server.live().clone(), child::orders());
    tokio::spawn(async move {
        orders.recv().await;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for change in 1..=CHANGES {
            ticks.tick().await;
            live.broadcast(move |state, _cx| *state = Readings::at(change));
        }
    });
    server.run().await.map_err(|error| format!("{error:?}").into())
}

pub(crate) fn run() -> Result<Report> {
    let cores = machine::cores()?;
    let mut server = Server::start("slow", cores[0])?;
    machine::pin(*cores.last().expect("there is a core that runs this"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(async {
            let mut page = Peer::with_receive_buffer(&server.address, 1, RECEIVE_BUFFER).await?;
            // A page that reads has been through the same first, so that the growth is not that of a first use.
            let before = server.resident()?;
            server.order()?;
            let mut largest = before;
            let end = Instant::now() + EVERY * u32::try_from(CHANGES)? + Duration::from_secs(1);
            while Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(50)).await;
                largest = largest.max(server.resident()?);
            }
            let mut report = Report::of("slow");
            report.at_most("growth_bytes", Spread::of([(largest - before) as f64]), GROWTH_MAX);

            let (mut read, mut frames, mut last) = (0, 0, 0);
            while last < CHANGES {
                let (ops, bytes) = tokio::time::timeout(Duration::from_secs(10), page.frame())
                    .await
                    .map_err(|_| format!("the last frame is of change {last}, and nothing comes after it"))??;
                (read, frames) = (read + bytes, frames + 1);
                last = change(&ops).ok_or_else(|| format!("no change in {ops}"))?;
            }
            report.at_most("read_bytes", Spread::of([read as f64]), READ_MAX);
            report.spread("read_frames", Spread::of([f64::from(frames)]));
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(report)
        })
        .and_then(|mut report| {
            // The first server is gone, and its core is free.
            drop(server);
            slow_many::measure(&mut report)?;
            Ok(report)
        })
}

/// The number of the change that a frame brings the page to: in a document, or in a list of ops.
fn change(frame: &serde_json::Value) -> Option<u64> {
    if let Some(change) = frame["change"].as_u64() {
        return Some(change);
    }
    let ops = frame.as_array()?;
    ops.iter().find_map(|op| match (&op[0], &op[1]) {
        (path, change) if path == "change" => change.as_u64(),
        (root, document) if root == 0 => document["change"].as_u64(),
        _ => None,
    })
}
