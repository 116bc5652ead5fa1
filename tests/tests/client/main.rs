//! The Rust client against a real server, over a network that breaks.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use windlass::prelude::*;
use windlass::store::MemoryStore;
use windlass_client::{ActionError, ActionOptions, Change, Client, ConnectError, Event, Status, Until};
use windlass_proxy::{Fault, Proxy};

#[derive(Clone, Default, Serialize, Deserialize, Debug, PartialEq)]
struct Counter {
    count: i64,
    lines: Vec<String>,
}

/// A server; ends when the sender is dropped.
async fn serve() -> (std::net::SocketAddr, oneshot::Sender<()>) {
    run(app()).await
}

fn app() -> App<Counter> {
    App::new(Counter::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("line", |state, _cx, line: String| state.lines.push(line))
        .query("double", |_state, number: i64| Reply(number * 2))
        .action("fail", |state, _cx, text: String| -> Result {
            state.count = -1;
            Err(Error::refuse("own", text))
        })
        .action("greet", |_state, cx, ()| cx.notify(Level::Success, "hello"))
        .action("wait", |_state, cx, ()| -> Result {
            cx.long_callback("waiting", |job| {
                loop {
                    job.checkpoint()?;
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                #[allow(unreachable_code, reason = "it ends by its checkpoint")]
                Ok(())
            })
            .start()?;
            Ok(())
        })
}

async fn run(app: App<Counter>) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    let server = app.bind("127.0.0.1:0").await.unwrap();
    let address = server.addr();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run_until(async move {
        // A sender that was dropped says so as well.
        let _ = stopped.await;
    }));
    (address, stop)
}

/// Resets every connection, and lets no other through.
fn refuse(proxy: &Proxy) {
    proxy.refuse();
    proxy.fault(Fault::Reset);
}

/// Comes back at once instead of after a wait.
fn come_back_at_once(client: &Client) {
    let (client, mut status) = (client.clone(), client.status_changes());
    tokio::spawn(async move {
        while status.changed().await.is_ok() {
            match status.borrow_and_update().clone() {
                Status::Waiting { .. } => client.retry(),
                Status::Stopped { .. } => return,
                _ => {}
            }
        }
    });
}

/// EXACTLY-ONCE, RESUME: what was sent when the connection broke is sent again with its number, and counted once.
#[tokio::test]
async fn every_action_counts_once_through_cut_connections() {
    let seed = std::env::var("WINDLASS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7_u64);
    println!("again: WINDLASS_SEED={seed} cargo nextest run -p windlass-tests --test client every_action");
    let (address, _stop) = serve().await;
    let proxy = Proxy::start(address).await.unwrap();
    let client = Client::connect(proxy.url()).await.unwrap();
    come_back_at_once(&client);
    let mut dice = seed;
    let mut outcomes = Vec::new();
    for round in 0..40 {
        for number in 0..10 {
            let line = format!("{round}.{number}");
            outcomes.push(client.send("line", &line).unwrap());
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for _ in 0..(dice >> 60) {
                tokio::task::yield_now().await;
            }
        }
        proxy.fault(Fault::Reset);
    }
    for outcome in outcomes {
        assert_eq!(outcome.await, Ok(serde_json::Value::Null));
    }
    let expected: Vec<_> = (0..40).flat_map(|round| (0..10).map(move |number| format!("{round}.{number}"))).collect();
    let all = client.wait_for(|document| (document["lines"].as_array()?.len() == 400).then(|| document.clone())).await;
    let shown: Counter = serde_json::from_value(all.unwrap()).unwrap();
    assert_eq!(shown.lines, expected);
    assert!(client.traffic().reconnects > 0, "nothing was cut");
    assert_eq!(client.pending(), 0);
    client.close().await;
}

/// EXACTLY-ONCE, RESUME: one process after another takes over what was saved, and the client sends it the rest.
#[tokio::test]
async fn a_server_that_is_lost_takes_nothing_with_it() {
    let store = Arc::new(MemoryStore::new(1));
    let durable = || app().store(Arc::<MemoryStore>::clone(&store));
    let (address, stop) = run(durable()).await;
    let mut stops = vec![stop];
    let proxy = Proxy::start(address).await.unwrap();
    let client = Client::connect(proxy.url()).await.unwrap();
    let mut events = client.events();
    come_back_at_once(&client);
    let until_saved = ActionOptions { until: Until::Saved, ..ActionOptions::default() };
    let mut expected = Vec::new();
    for round in 0..5 {
        let saved = format!("{round} on disk");
        client.send_with("line", &saved, until_saved).unwrap().await.unwrap();
        expected.push(saved);
        let mut shown = Vec::new();
        for number in 0..5 {
            let line = format!("{round}.{number} shown");
            shown.push(client.send("line", &line).unwrap());
            expected.push(line);
        }
        for outcome in shown {
            outcome.await.unwrap();
        }
        // The old one lives on and may save no more, as one that was cut off from everybody.
        let (next, stop) = run(durable()).await;
        stops.push(stop);
        proxy.lead_to(next);
        proxy.fault(Fault::Reset);
    }
    client.send_with("line", "the last", until_saved).unwrap().await.unwrap();
    expected.push("the last".to_owned());
    let length = expected.len();
    let all =
        client.wait_for(|document| (document["lines"].as_array()?.len() == length).then(|| document.clone())).await;
    let shown: Counter = serde_json::from_value(all.unwrap()).unwrap();
    assert_eq!(shown.lines, expected);
    client.close().await;
    while let Some(event) = events.next().await {
        assert!(!matches!(event, Event::Fresh { .. } | Event::Rejected { .. }), "{event:?}");
    }
}

/// NO-SILENCE: each action ends with its value, or with a code and a reason.
#[tokio::test]
async fn an_action_ends_as_its_handler_did() {
    let (address, _stop) = serve().await;
    let client = Client::connect(format!("http://{address}")).await.unwrap();
    assert_eq!(client.ask::<i64>("double", 21).await, Ok(42));
    assert!(matches!(client.ask::<String>("double", 21).await, Err(ActionError::Reply { .. })));
    client.action("add", 2).await.unwrap();
    let failed = client.action("fail", "no").await.unwrap_err();
    assert_eq!((failed.code(), failed.to_string().contains("no")), ("own", true));
    assert_eq!(client.action("nothing", ()).await.unwrap_err().code(), "unknown_action");
    assert_eq!(client.action("add", "two").await.unwrap_err().code(), "bad_payload");
    let long = "x".repeat(100_000);
    assert_eq!(client.action("line", long).await.unwrap_err().code(), "too_large");
    assert_eq!(client.action("add", f64::NAN).await.unwrap_err().code(), "bad_payload");
    assert_eq!(client.view::<Counter>().unwrap(), Counter { count: 2, lines: Vec::new() });
}

#[tokio::test]
async fn changes_events_and_jobs_are_told() {
    let (address, _stop) = serve().await;
    let client = Client::connect(format!("ws://{address}/windlass/socket")).await.unwrap();
    client.wait_for(|document| document["count"].as_i64()).await.unwrap();
    let (mut changes, mut events) = (client.changes(), client.events());
    client.action("add", 3).await.unwrap();
    let Some(Change::Ops(ops)) = changes.next().await else { panic!("ops") };
    assert_eq!(*ops, [serde_json::json!(["count", 3])]);
    client.action("greet", ()).await.unwrap();
    let Some(Event::Notify(notice)) = events.next().await else { panic!("a notice") };
    assert_eq!((notice.level.as_str(), notice.text.as_str()), ("success", "hello"));

    client.action("wait", ()).await.unwrap();
    let job = client.jobs().remove(0);
    assert_eq!(job.name, "waiting");
    client.cancel(&job.id).await.unwrap();
    let cancelled = |document: &serde_json::Value| (document["$jobs"][0]["status"] == "cancelled").then_some(());
    client.wait_for(cancelled).await.unwrap();
    assert_eq!(client.cancel(&job.id).await.unwrap_err().code(), "gone");
}

/// RESUME: an app that is started again is the same client, with what had no outcome.
#[tokio::test]
async fn an_identity_survives_the_process() {
    let (address, _stop) = serve().await;
    let proxy = Proxy::start(address).await.unwrap();
    let file = std::env::temp_dir().join(format!("windlass-client-{}-{}", std::process::id(), address.port()));
    let first = Client::builder(proxy.url()).identity_file(&file).connect().await.unwrap();
    first.action("add", 5).await.unwrap();
    let session = first.session();
    refuse(&proxy);
    drop(first.send("add", 7).unwrap());
    first.close().await;

    proxy.accept();
    let second = Client::builder(proxy.url()).identity_file(&file).connect().await.unwrap();
    assert_eq!(second.session(), session);
    second.wait_for(|document| (document["count"] == 12).then_some(())).await.unwrap();
    assert_eq!(second.pending(), 0);
    let other = Client::connect(proxy.url()).await.unwrap();
    assert_ne!(other.session(), session);
    // [TAKEOVER-1] While one process has it, another one with the same identity begins its own.
    let copy = Client::builder(proxy.url()).identity(second.identity()).start().unwrap();
    copy.wait_for(|document| document["count"].as_i64()).await.unwrap();
    assert_ne!(copy.session(), session);
    second.action("add", 1).await.unwrap();
    std::fs::remove_file(&file).unwrap();
}

/// BOUNDED
#[tokio::test]
async fn an_outbox_that_is_full_says_so() {
    let (address, _stop) = serve().await;
    let proxy = Proxy::start(address).await.unwrap();
    refuse(&proxy);
    let client = Client::builder(proxy.url()).outbox_max(2).start().unwrap();
    let waiting = [client.send("add", 1).unwrap(), client.send("add", 1).unwrap()];
    assert_eq!(client.send("add", 1).unwrap_err(), ActionError::OutboxFull);
    proxy.accept();
    come_back_at_once(&client);
    client.retry();
    for outcome in waiting {
        outcome.await.unwrap();
    }
    let session = client.session();
    assert!(session.is_some());
    let closed = client.clone();
    client.close().await;
    assert_eq!(closed.send("add", 1).unwrap_err().code(), "closed");
}

/// NO-SILENCE: when one of its holders has closed a client, the others wait for nothing that never comes.
#[tokio::test]
async fn a_client_that_was_closed_has_ended_for_all_who_hold_it() {
    let (address, _stop) = serve().await;
    let client = Client::connect(format!("http://{address}")).await.unwrap();
    let (other, third) = (client.clone(), client.clone());
    let waits = tokio::spawn(async move { third.wait_for(|_| None::<()>).await });
    let (mut changes, mut events) = (other.changes(), other.events());
    client.close().await;
    other.retry();
    assert_eq!(other.send("add", 1).unwrap_err().code(), "closed");
    // The snapshot may have come meanwhile.
    while changes.next().await.is_some() {}
    assert_eq!(events.next().await, None);
    assert!(other.changes().next().await.is_none());
    assert_eq!(waits.await.unwrap(), None);
}

/// [FRESH-1] What was meant for a session that is gone reaches no other.
#[tokio::test]
async fn a_session_that_is_gone_takes_its_actions_with_it() {
    let (first, stop) = serve().await;
    let proxy = Proxy::start(first).await.unwrap();
    let client = Client::connect(proxy.url()).await.unwrap();
    client.action("add", 5).await.unwrap();
    let mut events = client.events();
    refuse(&proxy);
    let unsent = client.send("add", 7);
    let (second, _stop) = serve().await;
    proxy.lead_to(second);
    drop(stop);
    proxy.accept();
    come_back_at_once(&client);
    client.retry();
    // Sent or not is a question of the moment at which the connection broke.
    let code = unsent.unwrap().await.unwrap_err().code().to_owned();
    assert!(["session_gone", "outcome_unknown"].contains(&code.as_str()), "{code}");
    let Some(Event::Fresh { reason, rejected: 1 }) = events.next().await else { panic!("a fresh session") };
    assert_eq!(reason, "session_gone");
    client.action("add", 1).await.unwrap();
    assert_eq!(client.read(|document| document["count"].as_i64()), Some(1));
}

#[tokio::test]
async fn a_first_attempt_that_fails_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let error = Client::connect(format!("http://{nobody}")).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { address, .. } if *address == nobody.to_string()), "{error}");
    let (address, _stop) = serve().await;
    let error = Client::connect(format!("http://{address}/elsewhere/")).await.unwrap_err();
    assert!(matches!(&error, ConnectError::NoWindlass { reason, .. } if reason.contains("404")), "{error}");
    assert!(matches!(Client::connect("localhost:1").await.unwrap_err(), ConnectError::Url { .. }));
    let error =
        Client::builder(format!("http://{address}")).identity_file("/nowhere/at/all").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Identity { .. }), "{error}");
}
