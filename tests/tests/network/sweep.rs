//! A scripted session whose connection breaks at every byte, in either direction, in every way that is noticed at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use windlass_client::Client;
use windlass_proxy::{Chaos, Direction, Fault, Plan, Proxy};

use crate::page::Page;
use crate::server::Server;

/// What the actions of the script add, each its own power of two: the sum says which came, and how often.
const WHOLE: u64 = 1 + 2 + 4 + 8;

/// Everything that a page does, whatever happens to its connection.
async fn script(proxy: &Proxy) {
    let page = Page::start(Client::builder(proxy.url()));
    let first = [page.client.send("add", 1).unwrap(), page.client.send("tell", 1).unwrap()];
    for outcome in first {
        outcome.await.unwrap();
    }
    for (by, what) in [(2, 2), (4, 3)] {
        page.client.action("add", by).await.unwrap();
        page.client.action("tell", what).await.unwrap();
    }
    page.client.action("add", 8).await.unwrap();
    // What the page holds, what the server holds, and what it was told.
    page.counts(WHOLE).await;
    assert_eq!(page.client.ask::<u64>("count", ()).await.unwrap(), WHOLE);
    assert_eq!(page.hears(3).await, [1, 2, 3]);
    assert_eq!(page.document()["told"], 3);
    assert_eq!(page.client.pending(), 0);
    page.client.clone().close().await;
}

/// Runs the script for each case, several at a time; a failure names its case.
async fn each<C: Copy + std::fmt::Debug + Send + Sync + 'static>(
    cases: Vec<C>,
    workers: usize,
    set: impl Fn(&Proxy, C) + Send + Copy + 'static,
) {
    let server = Server::start(&[]);
    let cases = Arc::new(Mutex::new(cases));
    let mut running = JoinSet::new();
    for _ in 0..workers {
        let (cases, addr) = (Arc::clone(&cases), server.addr);
        running.spawn(async move {
            loop {
                let Some(case) = cases.lock().await.pop() else { return };
                let proxy = Proxy::start(addr).await.unwrap();
                set(&proxy, case);
                let ran = tokio::time::timeout(Duration::from_secs(60), script(&proxy)).await;
                assert!(ran.is_ok(), "it does not end: {case:?}");
            }
        });
    }
    while let Some(ran) = running.join_next().await {
        ran.unwrap();
    }
}

/// How many bytes the script takes in each direction.
async fn lengths() -> [u64; 2] {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.addr).await.unwrap();
    // Taken while it is open: afterwards the proxy has let it go.
    let first = async {
        proxy.until(|proxy| !proxy.links().is_empty()).await;
        proxy.links().remove(0)
    };
    let ((), link) = tokio::join!(script(&proxy), first);
    assert_eq!(proxy.accepted(), 1, "nothing was cut");
    // Two connections can differ by the digits of an id: the end is cut as well, a little beyond it.
    Direction::BOTH.map(|direction| link.passed(direction) + 8)
}

/// CONVERGE, EXACTLY-ONCE, EVENTS, RESUME: wherever the connection breaks, the page and the server end equal, each
/// action counts once, and each event that must come has come once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_cut_at_every_byte_ends_whole() {
    let mut cases = Vec::new();
    for (direction, length) in Direction::BOTH.into_iter().zip(lengths().await) {
        assert!(length > 500, "{length}");
        for after in 0..length {
            cases.extend([Fault::Close, Fault::Reset].map(|fault| (direction, after, fault)));
            if after % 4 == 0 {
                cases.push((direction, after, Fault::LoseClient));
            }
        }
    }
    each(cases, 8, |proxy, (direction, after, fault)| {
        proxy.next(Plan::default().cut(direction, after, fault));
    })
    .await;
}

/// The same, for what nobody is told of: the client notices the silence, ten seconds after it has asked for something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_network_falls_silent_ends_whole() {
    let mut cases = Vec::new();
    for (direction, length) in Direction::BOTH.into_iter().zip(lengths().await) {
        for part in 0..12 {
            let faults = [Fault::BlackHole, Fault::Freeze, Fault::LoseServer];
            cases.push((direction, length * part / 12, faults[part as usize % 3]));
        }
    }
    each(cases, 24, |proxy, (direction, after, fault)| {
        proxy.next(Plan::default().cut(direction, after, fault));
    })
    .await;
}

/// And in pieces, late, slowly, and cut again and again at random.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_on_a_random_network_ends_whole() {
    let first: u64 = std::env::var("NETWORK_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    let many = if std::env::var_os("NETWORK_SEED").is_some() { 1 } else { 150 };
    println!("replay one: NETWORK_SEED=… cargo nextest run -p windlass-tests --test network random_network");
    each((first..first + many).collect(), 8, |proxy, seed| {
        // Most of a session fits through, so that it ends.
        proxy.chaos(Chaos { seed, cut_after_max: 3_000, ..Chaos::default() });
    })
    .await;
}
