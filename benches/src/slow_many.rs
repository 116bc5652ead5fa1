//! Fifty pages that stop reading while their states change a thousand times a second each: what they cost together, and
//! what somebody else's actions take meanwhile, against what they take when nothing else happens.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use windlass::SessionId;
use windlass::prelude::{App, Cx};

use crate::child::{self, Server};
use crate::pairs::{Spread, quantile};
use crate::peer::{Dialect, Peer};
use crate::report::Report;
use crate::slow::{EVERY, GROWTH_MAX, RECEIVE_BUFFER, Readings};
use crate::{Result, machine};

const READERS: usize = 50;
/// In a slice.
const CHANGES: u64 = 2_000;
/// Of a slice in which nothing else happens and one in which all that does.
const PAIRS: usize = 5;
/// Times of the other's p99 while nothing else happens.
const OTHERS_MAX: f64 = 2.0;
const ACT_EVERY: Duration = Duration::from_millis(5);

/// Changes the sessions that have asked for it a thousand times a second once it is ordered to.
pub(crate) async fn serve() -> Result<()> {
    let slow: Arc<Mutex<HashSet<SessionId>>> = Arc::default();
    let asks = Arc::clone(&slow);
    let server = App::new(|| Readings::at(0))
        .action("slow", move |_state, cx: &mut Cx<Readings>, ()| {
            asks.lock().unwrap_or_else(PoisonError::into_inner).insert(cx.session());
        })
        .action("touch", |state, _cx, change: u64| state.change = change)
        .limits(crate::unhurried())
        .bind("127.0.0.1:0")
        .await
        .map_err(|error| format!("{error:?}"))?;
    println!("listening on http://{}", server.addr());
    let (live, mut orders) = (server.live().clone(), child::orders());
    tokio::spawn(async move {
        let mut change = 0;
        while orders.recv().await.is_some() {
            let slow = slow.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for _ in 0..CHANGES {
                ticks.tick().await;
                change += 1;
                live.broadcast_to(|session| slow.contains(&session), move |state, _cx| *state = Readings::at(change));
            }
        }
    });
    server.run().await.map_err(|error| format!("{error:?}").into())
}

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let cores = machine::cores()?;
    let mut server = Server::start("slow-many", cores[0])?;
    // Elsewhere: what the pages take is no cost of the server's.
    machine::pin(*cores.last().expect("there is a core that runs this"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut readers = Vec::new();
        for number in 1..=READERS {
            let mut reader = Peer::with_receive_buffer(&server.address, number, RECEIVE_BUFFER).await?;
            reader.ask("slow", "null").await?;
            readers.push(reader);
        }
        let mut other = Peer::connect(&server.address, Dialect::Windlass, READERS + 1).await?;
        let time = EVERY * u32::try_from(CHANGES)?;
        let before = server.resident()?;
        let (mut ratios, mut busy) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let idle = p99(&mut other, time).await?;
            server.order()?;
            let while_busy = p99(&mut other, time).await?;
            ratios.push(while_busy / idle);
            busy.push(while_busy);
            // The last changes of the slice.
            tokio::time::sleep(time / 10).await;
        }
        let growth = server.resident()?.saturating_sub(before) as f64;
        report.at_most("growth_bytes_of_50", Spread::of([growth]), GROWTH_MAX * READERS as f64);
        report.at_most("others_p99_over_idle", Spread::of(ratios), OTHERS_MAX);
        report.spread("others_p99_seconds", Spread::of(busy));
        drop(readers);
        Ok(())
    })
}

/// What the actions of a page take, for that time.
async fn p99(page: &mut Peer, time: Duration) -> Result<f64> {
    let end = Instant::now() + time;
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let (began, change) = (Instant::now(), page.seq + 1);
        page.ask("touch", change).await?;
        page.frame().await?;
        latencies.push(began.elapsed().as_secs_f64());
        tokio::time::sleep(ACT_EVERY).await;
    }
    latencies.sort_by(f64::total_cmp);
    Ok(quantile(&latencies, 0.99))
}
