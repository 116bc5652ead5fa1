//! Several pages, slow ones, many at once, and servers that go down or are suspended.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use windlass_client::{Client, Status};
use windlass_proxy::{Direction, Fault, Plan, Proxy};

use crate::page::Page;
use crate::server::Server;

/// Waits until a client is so.
async fn until(client: &Client, is_so: impl Fn(&Status) -> bool) {
    client.status_changes().wait_for(|status| is_so(status)).await.unwrap();
}

fn stopped(code: &str) -> impl Fn(&Status) -> bool {
    move |status| matches!(status, Status::Stopped { code: why } if why == code)
}

/// BOUNDED: a page that stops reading while its state changes a thousand times a second costs no more and no more, and
/// then has the last state after a frame or two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_costs_nothing_and_catches_up_at_once() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let page = Page::connect(&proxy.url()).await;
    // Once with a page that reads, so that the growth is not that of a first use.
    page.client.action("churn", json!({"changes": 300, "cells": 1_000})).await.unwrap();
    let last = |change: u64| 100_000_000 + change * 1_000;
    let holds = |change| move |document: &serde_json::Value| (document["readings"][0] == last(change)).then_some(());
    page.client.wait_for(holds(300)).await.unwrap();

    page.client.action("churn", json!({"changes": 3_000, "cells": 1_000})).await.unwrap();
    proxy.fault(Fault::Freeze);
    let before = server.resident();
    let mut largest = before;
    // A page of another session sees when all changes are made, and looks at the memory at each of its turns.
    let other = Page::connect(&format!("http://{}", server.addr)).await;
    while other.client.ask::<u64>("churned", ()).await.unwrap() < 3_300 {
        largest = largest.max(server.resident());
    }
    largest = largest.max(server.resident());
    let passed = || proxy.links()[0].passed(Direction::ToClient);
    let frozen_at = passed();
    proxy.resume();
    page.client.wait_for(holds(3_000)).await.unwrap();
    let (growth, read) = (largest - before, passed() - frozen_at);
    // What was under way when it froze fills the window of 64 KiB; then one frame, of 11 KB, and perhaps a second.
    assert!(growth < 4 * 1024 * 1024, "{growth} bytes more while nobody read");
    assert!(read < 100_000, "{read} bytes were sent after 3,000 changes");
    assert_eq!(page.client.traffic().reconnects, 0);
}

/// YOURS-ALONE, EXACTLY-ONCE: a tab that the browser has duplicated begins its own session, and takes nothing away.
#[tokio::test]
async fn a_duplicated_tab_begins_its_own_session() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let page = Page::connect(&proxy.url()).await;
    page.client.action("add", 1).await.unwrap();
    let copy = Page::start(Client::builder(proxy.url()).identity(page.client.identity()));
    copy.counts(0).await;
    assert_eq!(copy.fresh(), ["in_use"]);
    assert_ne!(copy.client.session(), page.client.session());
    copy.client.action("add", 10).await.unwrap();
    page.client.action("add", 2).await.unwrap();
    page.counts(3).await;
    copy.counts(10).await;
}

/// RESUME: who cannot answer is taken over from, and does not fight for it when it is back.
#[tokio::test]
async fn a_page_that_does_not_answer_is_taken_over_and_stays_so() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let old = Page::connect(&proxy.url()).await;
    old.client.action("add", 1).await.unwrap();
    proxy.fault(Fault::Freeze);
    let new = Page::start(Client::builder(proxy.url()).identity(old.client.identity()));
    new.counts(1).await;
    assert_eq!((new.client.session(), new.fresh()), (old.client.session(), Vec::new()));
    proxy.resume();
    until(&old.client, stopped("taken_over")).await;
    new.client.action("add", 2).await.unwrap();
    new.counts(3).await;
}

/// EVENTS, CONVERGE: pages of one person share a session; each has its own place in the events, and hears all of them.
#[tokio::test]
async fn several_tabs_of_one_session_each_hear_everything_once() {
    let server = Server::start(&["--per-user"]);
    let proxies = [Proxy::start(server.addr).await.unwrap(), Proxy::start(server.addr).await.unwrap()];
    let url = |proxy: &Proxy| format!("{}/?user=ann", proxy.url());
    let (near, far) = (Page::connect(&url(&proxies[0])).await, Page::connect(&url(&proxies[1])).await);
    assert_eq!(near.client.session(), far.client.session());
    near.client.action("tell", 1).await.unwrap();
    assert_eq!((near.hears(1).await, far.hears(1).await), (vec![1], vec![1]));
    // One is away while the other goes on.
    proxies[1].refuse();
    proxies[1].fault(Fault::Reset);
    for what in [2, 3] {
        near.client.action("tell", what).await.unwrap();
    }
    near.client.action("add", 5).await.unwrap();
    assert_eq!(far.told(), [1]);
    proxies[1].accept();
    assert_eq!(far.hears(3).await, [1, 2, 3]);
    far.counts(5).await;
    assert_eq!(near.told(), [1, 2, 3]);
    // And somebody else sees nothing of it.
    let other = Page::connect(&format!("{}/?user=bob", proxies[0].url())).await;
    other.counts(0).await;
    // Nobody at all has no session here.
    let nobody = Client::connect(proxies[0].url()).await.unwrap_err();
    assert!(nobody.to_string().contains("login"), "{nobody}");
}

/// RESUME, PROMPT: hundreds of pages lose their connections together, three times; all come back whole, and one that was
/// not hit is served all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reconnects_leaves_every_page_whole() {
    const PAGES: u64 = 300;
    let server = Server::start(&[]);
    let (proxy, calm) =
        (Proxy::start(server.addr).await.unwrap(), Page::connect(&format!("http://{}", server.addr)).await);
    let mut pages = JoinSet::new();
    for _ in 0..PAGES {
        let url = proxy.url();
        pages.spawn(async move { Page::connect(&url).await });
    }
    let pages = pages.join_all().await;
    for storm in 0..3_u64 {
        // All of them have something under way.
        let asked: Vec<_> = pages.iter().map(|page| page.client.send("add", 1 << storm).unwrap()).collect();
        assert!(proxy.fault(Fault::Reset) >= pages.len());
        calm.client.action("add", 1).await.unwrap();
        for outcome in asked {
            outcome.await.unwrap();
        }
    }
    for page in &pages {
        page.counts(7).await;
        assert_eq!(page.fresh(), Vec::<String>::new());
    }
    calm.counts(3).await;
}

/// RESUME: pages hear when to come back from a server that goes down, and the server ends with success.
#[tokio::test]
async fn a_deploy_tells_pages_when_to_return() {
    let old = Server::start(&[]);
    let proxy = Proxy::start(old.addr).await.unwrap();
    let client = Client::connect(proxy.url()).await.unwrap();
    client.action("add", 1).await.unwrap();
    let new = Server::start(&[]);
    proxy.lead_to(new.addr);
    old.signal("TERM");
    let mut status = client.status_changes();
    let waiting = status.wait_for(|status| matches!(status, Status::Waiting { .. })).await.unwrap().clone();
    let Status::Waiting { code, retry_after } = waiting else { unreachable!() };
    assert_eq!(code, "draining");
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&retry_after), "{retry_after:?}");
    assert!(old.ended().await.success());
    client.retry();
    until(&client, |status| *status == Status::Live).await;
    client.action("add", 1).await.unwrap();
}

/// A process that was suspended has missed nothing that its pages did wrong: none is let go.
#[tokio::test]
async fn a_server_that_was_suspended_lets_nobody_go() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let page = Page::connect(&proxy.url()).await;
    page.client.action("add", 1).await.unwrap();
    server.signal("STOP");
    let asked = page.client.send("add", 2).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.signal("CONT");
    asked.await.unwrap();
    page.counts(3).await;
    assert_eq!((page.client.traffic().reconnects, page.fresh()), (0, Vec::new()));
}

/// A peer that sends its hello a byte at a time, and one on the slowest of lines, are served all the same.
#[tokio::test]
async fn pieces_and_slow_lines_change_nothing() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.addr).await.unwrap();
    for plan in
        [Plan::default().slice_max(1), Plan::default().bytes_per_second(8_000).latency(Duration::from_millis(80))]
    {
        proxy.next(plan);
        let page = Page::connect(&proxy.url()).await;
        page.client.action("add", 1).await.unwrap();
        page.client.action("tell", 9).await.unwrap();
        assert_eq!(page.hears(1).await, [9]);
    }
}
