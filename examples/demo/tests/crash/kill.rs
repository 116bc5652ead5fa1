//! `kill -9` at random moments, with actions, jobs and events under way, through a network that breaks as well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use windlass_client::Until;
use windlass_proxy::Fault;

use crate::server::{Data, Server};
use crate::work::{Random, Ways, Work};

/// EXACTLY-ONCE, RESUME, EVENTS, ONE-END, OUTLIVES, CONVERGE: the server is killed again and again while two pages work; in the
/// end each action counts once and in order, each notice has come once, each job has one end, and the pages show
/// what the disk holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_at_random_moments_loses_and_doubles_nothing() {
    let seed = std::env::var("WINDLASS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let rounds = std::env::var("WINDLASS_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let seeds: Vec<_> = seed.map_or_else(|| (1..=rounds).rev().collect(), |seed| vec![seed]);
    let seeds = Arc::new(Mutex::new(seeds));
    let mut running = JoinSet::new();
    for _ in 0..WORKERS {
        let seeds = Arc::clone(&seeds);
        running.spawn(async move {
            loop {
                let Some(seed) = seeds.lock().await.pop() else { return };
                let round = tokio::spawn(tokio::time::timeout(ROUND_MAX, round(seed)));
                match round.await {
                    Ok(Ok(())) => {}
                    failed => panic!(
                        "round {seed} failed: {failed:?}\nreplay: WINDLASS_SEED={seed} cargo test -p demo --test crash killed"
                    ),
                }
            }
        });
    }
    while let Some(ran) = running.join_next().await {
        ran.unwrap();
    }
}

async fn round(seed: u64) {
    let (mut random, data) = (Random(seed), Data::new());
    let mut server = Server::start(&data);
    let ways = Ways::start(seed, &server).await;
    let mut work = Work::start(&ways).await;

    for _ in 0..=random.below(3) {
        for _ in 0..=random.below(8) {
            work.some(&mut random);
            if random.below(5) == 0 {
                ways.gallery.fault([Fault::Reset, Fault::Close][random.below(2) as usize]);
            }
            tokio::time::sleep(Duration::from_micros(random.below(60_000))).await;
        }
        server.kill();
        // What is asked for meanwhile waits in the pages.
        if random.below(2) == 0 {
            work.todo(Until::Saved);
        }
        server = Server::start(&data);
        ways.lead_to(&server);
    }
    work.ends_whole(server, &data).await;
}

const WORKERS: usize = 4;
const ROUND_MAX: Duration = Duration::from_secs(60);
