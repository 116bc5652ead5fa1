//! A server that goes down on purpose, and the next one on the same folder.

use std::time::Duration;

use serde_json::json;
use windlass_client::{Client, Event, Status, Until};
use windlass_proxy::Proxy;

use crate::page::{Page, settled};
use crate::server::{Data, Server};
use crate::work::{Random, Ways, Work};

/// Waits until the servers on the folder have logged this.
async fn logs(data: &Data, text: &str) {
    while !data.log().contains(text) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// RESUME, EXACTLY-ONCE: pages hear when to come back, the server ends with success, and the next one has them whole.
#[tokio::test]
async fn a_deploy_brings_every_page_back_whole_and_without_a_reload() {
    let data = Data::new();
    let old = Server::start(&data);
    let proxy = Proxy::start(old.addr).await.unwrap();
    let mut page = Page::start(Client::builder(proxy.url()));
    page.ask("add", 7, Until::Applied);
    page.ask("change_cell", (), Until::Applied);
    page.answered().await;
    let before = page.document();
    let session = page.client.session();

    let mut status = page.client.status_changes();
    old.signal("TERM");
    let waiting = status.wait_for(|status| matches!(status, Status::Waiting { .. })).await.unwrap().clone();
    let Status::Waiting { code, retry_after } = waiting else { unreachable!() };
    assert_eq!(code, "draining");
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&retry_after), "{retry_after:?}");
    assert!(old.ended().await.success());

    // What is asked for in between waits.
    page.ask("add", 100, Until::Saved);
    let new = Server::start(&data);
    proxy.lead_to(new.addr);
    page.answered().await;
    assert_eq!((page.client.session(), page.losses()), (session, Vec::new()));
    let mut after = page.document();
    assert_eq!(after["counter"]["count"], 107);
    after["counter"] = before["counter"].clone();
    assert_eq!(settled(after), settled(before));
    assert!(!page.events().contains(&Event::Restored), "nothing was undone, and nothing is said of it");
}

/// RESUME, EXACTLY-ONCE, EVENTS, ONE-END, OUTLIVES, CONVERGE: one deploy after the other, behind a network that breaks, while pages
/// work on and heavy tasks run: they ask for more before the signal, while the old process drains, and while there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploys_in_a_row_with_everything_in_flight_lose_and_double_nothing() {
    for seed in 1..=3 {
        let (mut random, data) = (Random(seed), Data::new());
        let mut server = Server::start(&data);
        let ways = Ways::start(seed, &server).await;
        let mut work = Work::start(&ways).await;
        let sessions = [work.list.client.session(), work.demo.client.session()];
        for _ in 0..3 {
            work.answered().await;
            work.heavy(false);
            work.some(&mut random);
            tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
            server.signal("TERM");
            let ended = tokio::spawn(server.ended());
            while !ended.is_finished() {
                work.some(&mut random);
                tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
            }
            assert!(ended.await.unwrap().success(), "seed {seed}");
            work.some(&mut random);
            server = Server::start(&data);
            ways.lead_to(&server);
        }
        work.answered().await;
        assert_eq!([work.list.client.session(), work.demo.client.session()], sessions, "seed {seed}");
        assert!(work.demo.client.traffic().reconnects >= 3, "seed {seed}");
        let told = work.demo.events();
        assert!(!told.contains(&Event::Restored), "seed {seed}: nothing was undone, and nothing is said of it");
        work.ends_whole(server, &data).await;
        let log = data.log();
        assert!(!log.contains("ERROR"), "seed {seed}: nothing was wrong: {log}");
    }
}

/// A second signal does not wait for anybody, and what was saved is there all the same.
#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let data = Data::new();
    let server = Server::start(&data);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let mut page = Page::start(Client::builder(proxy.url()));
    page.ask("add", 7, Until::Saved);
    page.ask("start_heavy", json!({ "seconds": 60, "fail": false, "panic": false }), Until::Saved);
    page.answered().await;
    server.signal("TERM");
    logs(&data, "going down").await;
    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(130));
    let next = Server::start(&data);
    proxy.lead_to(next.addr);
    page.ask("add", 1, Until::Saved);
    page.answered().await;
    assert_eq!(page.document()["counter"]["count"], 8);
    assert_eq!(page.document()["heavy"]["started"], 1);
    assert_eq!(page.losses(), Vec::new());
}

/// RESUME: a process that was suspended finds all as it was: nobody expires, and no page is let go.
#[tokio::test]
async fn a_server_that_was_suspended_lets_nobody_go_and_saves_on() {
    let data = Data::new();
    let server = Server::start(&data);
    let mut page = Page::start(Client::builder(format!("http://{}", server.addr)));
    page.ask("add", 1, Until::Saved);
    page.answered().await;
    server.signal("STOP");
    page.ask("add", 2, Until::Saved);
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.signal("CONT");
    page.answered().await;
    assert_eq!(page.document()["counter"]["count"], 3);
    assert_eq!((page.client.traffic().reconnects, page.losses()), (0, Vec::new()));
}
