//! `kill -9` at random moments, with actions, jobs and events under way, through a network that breaks as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use windlass_client::{Client, Until};
use windlass_proxy::{Chaos, Fault, Proxy};

use crate::page::{Page, settled};
use crate::server::{Data, Server};

/// Numbers from a seed: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

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
    let gallery = Proxy::start(server.addr).await.unwrap();
    let todomvc = Proxy::start(server.addr).await.unwrap();
    // Most of a session fits through, so that it goes on. Nothing is late: a hello that comes after that of the page's next
    // connection takes over from it, and the page stops.
    todomvc.chaos(Chaos { seed, cut_after_max: 20_000, latency_max: Duration::ZERO, ..Chaos::default() });
    let mut list = Page::start(Client::builder(format!("{}/todomvc/", todomvc.url())));
    let mut demo = Page::start(Client::builder(gallery.url()));
    // With its first action a session is written down. Of one that a crash keeps from that, its page hears that it began anew.
    let (mut titles, mut adds) = (vec!["todo 1".to_owned()], 1);
    list.ask("add", &titles[0], Until::Applied);
    demo.ask("add", 1, Until::Applied);
    list.answered().await;
    demo.answered().await;

    for _ in 0..=random.below(3) {
        for _ in 0..=random.below(8) {
            for _ in 0..random.below(6) {
                titles.push(format!("todo {}", titles.len() + 1));
                list.ask("add", titles.last().unwrap(), until(&mut random));
            }
            // A digit of its own for each, to the base of four: it says whether an action counts 0, 1 or more times.
            for _ in 0..random.below(3).min(ADDS_MAX - adds) {
                demo.ask("add", 4_i64.pow(adds as u32), until(&mut random));
                adds += 1;
            }
            if random.below(6) == 0 {
                demo.ask(
                    "start_heavy",
                    json!({ "seconds": 1, "fail": random.below(4) == 0, "panic": false }),
                    Until::Applied,
                );
            }
            if random.below(5) == 0 {
                gallery.fault([Fault::Reset, Fault::Close][random.below(2) as usize]);
            }
            tokio::time::sleep(Duration::from_micros(random.below(60_000))).await;
        }
        server.kill();
        // What is asked for meanwhile waits in the pages.
        if random.below(2) == 0 {
            titles.push(format!("todo {}", titles.len() + 1));
            list.ask("add", titles.last().unwrap(), Until::Saved);
        }
        server = Server::start(&data);
        gallery.lead_to(server.addr);
        todomvc.lead_to(server.addr);
    }

    // The last of each page is waited for on disk, and with it all before.
    titles.push("the last".to_owned());
    list.ask("add", "the last", Until::Saved);
    demo.ask("add", 4_i64.pow(adds as u32), Until::Saved);
    adds += 1;
    list.answered().await;
    let started = demo.answered().await.remove("start_heavy").unwrap_or(0);

    let shown = list
        .client
        .wait_for(|document| (document["todos"].as_array()?.len() >= titles.len()).then(|| document.clone()));
    let shown = shown.await.unwrap();
    let found: Vec<_> = shown["todos"].as_array().unwrap().iter().map(|todo| todo["title"].as_str().unwrap()).collect();
    assert_eq!(found, titles, "each once, and in order");

    let all_once = (0..adds as u32).map(|digit| 4_i64.pow(digit)).sum::<i64>();
    let is_quiet = |document: &Value| {
        let jobs = document["$jobs"].as_array().map_or(&[][..], Vec::as_slice);
        jobs.iter().all(|job| job["status"] != "queued" && job["status"] != "running")
    };
    let quiet = demo
        .client
        .wait_for(|document| (document["counter"].is_object() && is_quiet(document)).then(|| document.clone()));
    let quiet = quiet.await.unwrap();
    assert_eq!(quiet["counter"]["count"].as_i64(), Some(all_once), "digits to the base of four, each is one");
    assert_eq!(quiet["heavy"]["started"], started, "as many as were answered");
    assert_eq!(quiet["$jobs"].as_array().map_or(0, Vec::len), started.min(JOBS_KEPT), "a job for each");
    if started <= JOBS_KEPT {
        let notices = tells(&demo, |notices| ends(notices).len() == started).await;
        let begun = notices.iter().filter(|(_, text)| text == "Heavy task started").count();
        assert_eq!(begun, started, "each start was told once: {notices:?}");
        assert!(ends(&notices).values().all(|ends| *ends == 1), "each end was told once: {notices:?}");
    }
    assert_eq!((list.losses(), demo.losses()), (Vec::new(), Vec::new()));
    // What a job's end has changed is on disk before it is shown; so is all else after another look.
    demo.ask("add", 0, Until::Saved);
    demo.answered().await;

    // What the pages show is what a new process finds.
    let (list, demo) = (end(list).await, end(demo).await);
    server.kill();
    let server = Server::start(&data);
    for (path, (identity, document)) in [("/todomvc/", list), ("/", demo)] {
        let again =
            Client::builder(format!("http://{}{path}", server.addr)).identity(identity).connect().await.unwrap();
        let found = again.wait_for(|document| document.is_object().then(|| document.clone())).await.unwrap();
        assert_eq!(settled(found), settled(document));
        again.close().await;
    }
}

async fn end(page: Page) -> (windlass_client::Identity, Value) {
    let (identity, document) = (page.client.identity(), page.document());
    page.client.close().await;
    (identity, document)
}

fn until(random: &mut Random) -> Until {
    if random.below(2) == 0 { Until::Saved } else { Until::Applied }
}

/// How often the end of each heavy task was told.
fn ends(notices: &[(Option<String>, String)]) -> BTreeMap<String, usize> {
    let is_end = |text: &str| {
        ["done", "failed", "cancelled", "lost"].iter().any(|how| text.starts_with(&format!("Heavy task {how}")))
    };
    let mut ends = BTreeMap::new();
    for (id, _) in notices.iter().filter(|(_, text)| is_end(text)) {
        *ends.entry(id.clone().unwrap()).or_default() += 1;
    }
    ends
}

/// The notices, once they are as asked. A frame takes effect in order: its events come right after the document.
async fn tells(page: &Page, is_so: impl Fn(&[(Option<String>, String)]) -> bool) -> Vec<(Option<String>, String)> {
    loop {
        let notices = page.notices();
        if is_so(&notices) {
            return notices;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const WORKERS: usize = 4;
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Digits to the base of four in a number of 63 bits, but for the last.
const ADDS_MAX: u64 = 29;
/// Ended jobs that a session shows.
const JOBS_KEPT: usize = 16;
