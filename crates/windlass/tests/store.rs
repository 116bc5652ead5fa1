//! A server on a store that fails, comes back, is handed on, and is taken away.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use windlass::prelude::*;
use windlass::store::{
    Claim, Epoch, Expired, Key, MemoryStore, Node, Outcome as Saved, Save, SessionStore, StoreError,
};

use support::{Client, Running, open};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Counter {
    count: i64,
}

fn app(store: &Arc<Disk>) -> App<Counter> {
    App::new(Counter::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("go", |state, cx: &mut Cx<Counter>, url: String| {
            state.count += 100;
            cx.navigate(url)
        })
        .action("edit", |state: &mut Counter, _cx, to: i64| state.count = to)
        .in_place()
        .store(Arc::<Disk>::clone(store))
        .drain(Duration::from_millis(100))
}

/// A disk that can be full.
struct Disk {
    store: MemoryStore,
    is_full: AtomicBool,
}

impl Disk {
    fn new() -> Arc<Self> {
        Arc::new(Self { store: MemoryStore::new(1), is_full: AtomicBool::new(false) })
    }

    fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    fn room(&self) -> Result<(), StoreError> {
        match self.is_full.load(Ordering::SeqCst) {
            true => Err(StoreError::DiskFull(PathBuf::from("disk"))),
            false => Ok(()),
        }
    }
}

impl SessionStore for Disk {
    fn claim(&self, key: Key, node: Node) -> Result<Claim, StoreError> {
        self.store.claim(key, node)
    }

    fn save(&self, batch: &[Save]) -> Vec<Saved> {
        match self.room() {
            Ok(()) => self.store.save(batch),
            Err(error) => batch.iter().map(|_| Saved::Failed(error.clone())).collect(),
        }
    }

    fn release(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        self.store.release(key, epoch)
    }

    fn remove(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        self.store.remove(key, epoch)
    }

    fn expired(&self, now: u64, max: usize) -> Result<Vec<Expired>, StoreError> {
        self.store.expired(now, max)
    }
}

/// NO-SILENCE. While the disk is full nothing is promised that it would have to hold; when there is room all goes on.
#[tokio::test]
async fn a_full_disk_refuses_what_it_must_hold_for_now_and_nothing_is_lost() {
    let disk = Disk::new();
    let server = Running::start(app(&disk)).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    disk.fill(true);
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 2).await;
    while !server.live.totals().store.unwrap().is_failing {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (name, payload) in [("go", json!("/there")), ("edit", json!(7))] {
        client.act(name, payload).await;
        client.seq -= 1;
        let mut later = client.receive().await;
        while later[0] != "o" {
            client.take(&later);
            later = client.receive().await;
        }
        assert_eq!((&later[1], &later[2]), (&json!(3), &json!("store_unavailable")), "{later}");
        client.reconnect(server.addr).await;
    }
    assert_eq!(client.document["count"], 2);
    let failing = server.live.totals().store.unwrap();
    assert!(failing.last_error.unwrap().contains("no room left"));

    disk.fill(false);
    while server.live.totals().store.unwrap().is_failing {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.reconnect(server.addr).await;
    client.act("go", json!("/there")).await;
    client.until(|document| document["count"] == 102).await;
    assert_eq!(client.events.iter().filter(|event| event[2] == "navigate").count(), 1, "{:?}", client.events);
    server.stop().await;
}

/// RESUME. A deploy: the page goes on with its document on the next process, and gets what it missed.
#[tokio::test]
async fn a_page_goes_on_where_it_was_on_the_process_that_follows() {
    let disk = Disk::new();
    let server = Running::start(app(&disk)).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    let epoch = client.epoch;
    server.stop().await;
    let (code, reason) = loop {
        match client.socket.next().await.unwrap().unwrap() {
            Message::Text(text) => client.take(&serde_json::from_str(&text).unwrap()),
            Message::Close(Some(close)) => break (u16::from(close.code), close.reason),
            _ => {}
        }
    };
    assert_eq!(code, 4503);
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert!(reason["retry_after_ms"].as_u64().is_some_and(|ms| (1_000..2_000).contains(&ms)), "{reason}");

    let server = Running::start(app(&disk)).await;
    client.reconnect(server.addr).await;
    assert!(client.epoch > epoch);
    assert!(client.resumed, "its document is that of the record: {}", client.welcome);
    assert_eq!(client.welcome["saved"], 1);
    client.n = 0; // [RESUME-3]
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 2).await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_save_says_so_when_it_ends() {
    let disk = Disk::new();
    let server = Running::start(app(&disk)).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    disk.fill(true);
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 2).await;
    let error = server.live.drain(Duration::from_millis(10)).await.unwrap_err();
    assert!(error.text.contains("1 sessions could not be saved") && error.text.contains("no room left"), "{error}");
}

#[tokio::test]
async fn a_session_that_another_process_has_taken_over_is_let_go_at_once() {
    let disk = Disk::new();
    let server = Running::start(app(&disk)).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    let session: windlass::SessionId = client.welcome["session"].as_str().unwrap().parse().unwrap();
    // As the other process does.
    let claim = disk.store.claim(Key(session.0), Node(1)).unwrap();
    assert!(claim.record.is_some());
    client.act("add", json!(1)).await;
    let (id, token) = (client.id.clone(), client.token.clone());
    let (code, reason) = client.closed().await;
    assert_eq!(code, 4410, "{reason}");
    assert!(server.live.account(session).is_none());
    // Whoever is sent here all the same finds what was saved.
    let mut client = Client::silent(open(server.addr, None).await.unwrap(), &id);
    client.token = token;
    client.hello().await;
    assert_eq!(client.document["count"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_webhook_is_answered_when_its_change_is_on_disk() {
    let disk = Disk::new();
    let server = Running::start(app(&disk)).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    let session = client.welcome["session"].as_str().unwrap().parse().unwrap();
    let handle = server.live.handle(session);
    handle.update(|state, _cx| state.count += 10).unwrap().saved().await.unwrap();
    let refused = handle.update(|_, _| Err::<(), _>(Error::refuse("own", "no"))).unwrap().saved().await;
    assert_eq!(refused.unwrap_err().code, "own");
    disk.fill(true);
    let update = handle.update(|state, _cx| state.count += 10).unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(400), update.saved()).await;
    assert!(waits.is_err(), "what is not on disk is not said to be");
    disk.fill(false);
    server.stop().await;
}
