//! Two pages that work while servers come and go: what they ask for, and what must have come of it in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_client::{Client, Until};
use windlass_proxy::{Chaos, Proxy};

use crate::page::{Page, settled};
use crate::server::{Data, Server};

/// Numbers from a seed: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// The networks between the pages and whichever server there is now.
pub(crate) struct Ways {
    pub(crate) gallery: Proxy,
    todomvc: Proxy,
}

impl Ways {
    /// Most of a session of the list fits through, so that it goes on. Nothing is late: a hello that comes after that of the
    /// page's next connection takes over from it, and the page stops.
    pub(crate) async fn start(seed: u64, server: &Server) -> Self {
        let (gallery, todomvc) = (Proxy::start(server.addr).await.unwrap(), Proxy::start(server.addr).await.unwrap());
        todomvc.chaos(Chaos { seed, cut_after_max: 20_000, latency_max: Duration::ZERO, ..Chaos::default() });
        Self { gallery, todomvc }
    }

    pub(crate) fn lead_to(&self, server: &Server) {
        self.gallery.lead_to(server.addr);
        self.todomvc.lead_to(server.addr);
    }
}

/// A list that grows by one title after the other, and the demo with its counter and heavy tasks.
pub(crate) struct Work {
    pub(crate) list: Page,
    pub(crate) demo: Page,
    titles: Vec<String>,
    adds: u64,
    heavy: usize,
    started: usize,
}

impl Work {
    /// With its first action a session is written down. Of one that a crash keeps from that, its page hears that it began
    /// anew.
    pub(crate) async fn start(ways: &Ways) -> Self {
        let list = Page::start(Client::builder(format!("{}/todomvc/", ways.todomvc.url())));
        let mut work = Self {
            list,
            demo: Page::start(Client::builder(ways.gallery.url())),
            titles: Vec::new(),
            adds: 0,
            heavy: 0,
            started: 0,
        };
        work.todo(Until::Applied);
        work.add(Until::Applied);
        work.answered().await;
        work
    }

    /// Waits until all that was asked for is answered, by whichever server there is now.
    pub(crate) async fn answered(&mut self) {
        self.list.answered().await;
        self.started += self.demo.answered().await.remove("start_heavy").unwrap_or(0);
    }

    /// Asks for another title.
    pub(crate) fn todo(&mut self, until: Until) {
        self.titles.push(format!("todo {}", self.titles.len() + 1));
        self.list.ask("add", self.titles.last().unwrap(), until);
    }

    /// Adds a digit of its own, to the base of four: it says whether an action counts 0, 1 or more times.
    fn add(&mut self, until: Until) {
        self.demo.ask("add", 4_i64.pow(self.adds as u32), until);
        self.adds += 1;
    }

    /// Asks for a few things, at random.
    pub(crate) fn some(&mut self, random: &mut Random) {
        for _ in 0..random.below(6) {
            self.todo(until(random));
        }
        for _ in 0..random.below(3).min(ADDS_MAX - self.adds) {
            self.add(until(random));
        }
        if random.below(6) == 0 {
            self.heavy(random.below(4) == 0);
        }
    }

    /// Starts a heavy task of a second, while there are no more than a session shows.
    pub(crate) fn heavy(&mut self, fail: bool) {
        if self.heavy == JOBS_KEPT {
            return;
        }
        self.heavy += 1;
        self.demo.ask("start_heavy", json!({ "seconds": 1, "fail": fail, "panic": false }), Until::Applied);
    }

    /// Each action has counted once and in order, each notice has come once, each job has one end, and the pages show
    /// what another process finds on the disk.
    pub(crate) async fn ends_whole(mut self, server: Server, data: &Data) {
        // The last of each page is waited for on disk, and with it all before.
        self.todo(Until::Saved);
        self.add(Until::Saved);
        self.answered().await;
        let Self { list, mut demo, titles, adds, started, .. } = self;

        let shown = list
            .client
            .wait_for(|document| (document["todos"].as_array()?.len() >= titles.len()).then(|| document.clone()));
        let shown = shown.await.unwrap();
        let found: Vec<_> =
            shown["todos"].as_array().unwrap().iter().map(|todo| todo["title"].as_str().unwrap()).collect();
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
        let server = Server::start(data);
        for (path, (identity, document)) in [("/todomvc/", list), ("/", demo)] {
            let again =
                Client::builder(format!("http://{}{path}", server.addr)).identity(identity).connect().await.unwrap();
            let found = again.wait_for(|document| document.is_object().then(|| document.clone())).await.unwrap();
            assert_eq!(settled(found), settled(document));
            again.close().await;
        }
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

/// Digits to the base of four in a number of 63 bits, but for the last.
const ADDS_MAX: u64 = 29;
/// Ended jobs that a session shows.
const JOBS_KEPT: usize = 16;
