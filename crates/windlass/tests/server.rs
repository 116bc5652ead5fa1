//! A real server on loopback and real sockets: what a client and a browser meet.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use support::{Client, Running, open};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
    text: String,
    ended: Vec<String>,
    ticks: u64,
}

#[derive(Deserialize)]
struct Order {
    how: String,
}

fn start(_: &mut Demo, cx: &mut Cx<Demo>, order: Order) -> Result {
    cx.notify(Level::Info, "Heavy task started");
    cx.long_callback("heavy", move |job| match order.how.as_str() {
        "fail" => Err(Error::refuse("parted", "the rope parted")),
        "panic" => panic!("the pawl jumped"),
        "cancel" => loop {
            job.checkpoint()?;
            std::thread::yield_now();
        },
        _ => Ok(42),
    })
    .on_status(|state, _, status| {
        state.ended.push(match status {
            Status::Done(value) => format!("done {value}"),
            Status::Failed(error) => format!("failed {} {}", error.code, error.text),
            Status::Cancelled => "cancelled".to_owned(),
            other => format!("{other:?}"),
        });
    })
    .start()?;
    Ok(())
}

fn tokens(_: &mut Demo, cx: &mut Cx<Demo>, many: u64) -> Result {
    cx.long_callback("tokens", move |job| {
        for n in 0..many {
            job.emit(format!("{n} "))?;
        }
        Ok(())
    })
    .on_partial(|state, _, token: String| state.text.push_str(&token))
    .on_status(|state, _, _| state.ended.push("tokens".to_owned()))
    .start()?;
    Ok(())
}

fn forty(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
    for _ in 0..40 {
        cx.long_callback("one", |_| Ok(1))
            .on_status(|state, _, status| {
                if let Status::Done(one) = status {
                    state.count += one;
                }
            })
            .start()?;
    }
    Ok(())
}

fn ticking(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
    cx.long_callback("ticking", |job| {
        loop {
            job.checkpoint()?;
            std::thread::yield_now();
        }
    })
    .every(Duration::from_millis(10))
    .on_status(|state, cx, status: Status<()>| match status {
        Status::Running(running) => {
            state.ticks = running.tick;
            if running.tick >= 3 {
                cx.cancel("ticking");
            }
        }
        _ => state.ended.push("ticking".to_owned()),
    })
    .start()?;
    Ok(())
}

fn app() -> App<Demo> {
    App::new(Demo::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("ask", |state, _cx, ()| Reply(state.count * 2))
        .query("look", |state, ()| Reply(state.count))
        .action("say", |state, _cx, text: String| state.text = text)
        .action("break", |state, _cx, ()| -> Result {
            state.count = -1;
            Err(Error::refuse("own", "no"))
        })
        .action("panic", |state, _cx, ()| {
            state.count = -1;
            if state.count < 0 {
                panic!("gone wrong");
            }
        })
        .action("start", start)
        .action("tokens", tokens)
        .action("forty", forty)
        .action("ticking", ticking)
        .action("zero_period", |_, cx: &mut Cx<Demo>, ()| -> Result {
            cx.long_callback("x", |_| Ok(())).every(Duration::ZERO).start()?;
            Ok(())
        })
        .development(false)
        .threads(2)
}

#[tokio::test]
async fn actions_change_the_state_and_every_action_has_one_outcome() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    assert_eq!(client.document, json!({ "count": 0, "text": "", "ended": [], "ticks": 0, "$jobs": [] }));
    client.act("add", json!(2)).await;
    assert_eq!(client.frame().await, json!(["d", 2, 1, [["count", 2]]]));
    client.act("ask", Value::Null).await;
    assert_eq!(client.frame().await[4]["r"], json!([[2, "applied", 4]]));
    client.act("look", Value::Null).await;
    assert_eq!(client.frame().await, json!(["d", 4, 3, [], { "r": [[3, "applied", 2]] }]));
    client.act("break", Value::Null).await;
    assert_eq!(client.frame().await[4]["r"], json!([[4, "failed", "own", "no"]]));
    client.act("panic", Value::Null).await;
    let frame = client.frame().await;
    assert_eq!(frame[4]["r"][0][2], "internal");
    assert!(!frame.to_string().contains("gone wrong"), "outside development the page does not read it: {frame}");
    client.act("zero_period", Value::Null).await;
    assert_eq!(client.frame().await[4]["r"][0][1], "failed");
    client.act("add", json!("x")).await;
    assert_eq!(client.frame().await[4]["r"][0][2], "bad_payload");
    assert_eq!(client.document["count"], 2);
    server.stop().await;
}

/// ONE-END
#[tokio::test]
async fn a_long_callback_is_told_its_end_whatever_it_is() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    for (how, end) in [
        ("", "done 42"),
        ("fail", "failed parted the rope parted"),
        ("panic", "failed panicked the pawl jumped"),
        ("cancel", "cancelled"),
    ] {
        let before = client.document["ended"].as_array().unwrap().len();
        client.act("start", json!({ "how": how })).await;
        if how == "cancel" {
            client.until(|document| document["$jobs"][3]["status"] == "running").await;
            let id = client.document["$jobs"][3]["id"].clone();
            client.act("$cancel", id).await;
        }
        client.until(|document| document["ended"].as_array().unwrap().len() > before).await;
        assert_eq!(client.document["ended"][before], end);
    }
    let statuses: Vec<_> = client.document["$jobs"].as_array().unwrap().iter().map(|job| &job["status"]).collect();
    assert_eq!(statuses, ["done", "failed", "failed", "cancelled"]);
    let texts: Vec<_> =
        client.document["$jobs"].as_array().unwrap().iter().map(|job| job["text"].to_string()).collect();
    assert_eq!(texts[1], "\"the rope parted\"", "what is for the page reaches it");
    assert!(texts[2].contains("internal error") && !texts[2].contains("pawl"), "a panic's text does not: {}", texts[2]);
    assert_eq!(client.events[0][2], "notify");
    server.stop().await;
}

/// ONE-OWNER
#[tokio::test]
async fn forty_jobs_that_each_add_one_give_exactly_forty() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("forty", Value::Null).await;
    client
        .until(|document| {
            let jobs = document["$jobs"].as_array().unwrap();
            jobs.len() == 20 && jobs.iter().all(|job| job["status"] == "done") && document["count"] == 40
        })
        .await;
    server.stop().await;
}

#[tokio::test]
async fn partial_results_arrive_in_order_and_none_is_lost() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("tokens", json!(1_000)).await;
    client.until(|document| document["ended"] == json!(["tokens"])).await;
    let expected: String = (0..1_000).map(|n| format!("{n} ")).collect();
    assert_eq!(client.document["text"], expected);
    server.stop().await;
}

#[tokio::test]
async fn partial_results_that_nobody_takes_do_not_stop_the_callback() {
    let app = app().action("unheard", |_, cx: &mut Cx<Demo>, ()| -> Result {
        cx.long_callback("unheard", |job| {
            for n in 0..1_000 {
                job.emit(n)?;
            }
            Ok(())
        })
        .on_status(|state, _, status| state.ended.push(format!("{status:?}")))
        .start()?;
        Ok(())
    });
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("unheard", Value::Null).await;
    client.until(|document| document["ended"] == json!(["Done(())"])).await;
    server.stop().await;
}

#[tokio::test]
async fn a_status_comes_at_each_period_and_can_cancel() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("ticking", Value::Null).await;
    client.until(|document| document["ended"] == json!(["ticking"])).await;
    assert!(client.document["ticks"].as_u64().unwrap() >= 3);
    server.stop().await;
}

/// RESUME OUTLIVES
#[tokio::test]
async fn a_job_outlives_its_socket_and_the_client_gets_what_it_missed() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("tokens", json!(20_000)).await;
    client.until(|document| !document["text"].as_str().unwrap().is_empty()).await;
    drop(std::mem::replace(&mut client.socket, open(server.addr, None).await.unwrap()));
    client.reconnect(server.addr).await;
    assert!(client.resumed);
    client.until(|document| document["ended"] == json!(["tokens"])).await;
    let expected: String = (0..20_000).map(|n| format!("{n} ")).collect();
    assert!(client.document["text"] == expected, "nothing lost or doubled");
    server.stop().await;
}

/// YOURS-ALONE
#[tokio::test]
async fn a_made_up_token_gets_a_session_of_its_own() {
    let server = Running::start(app()).await;
    let mut first = Client::new(server.addr).await;
    first.act("add", json!(7)).await;
    first.frame().await;
    let session = first.token.as_str().unwrap().split('.').next().unwrap().to_owned();
    for token in [format!("{session}.{}", "0".repeat(32)), "x".to_owned(), String::new()] {
        let mut thief = Client::new(server.addr).await;
        thief.token = json!(token);
        thief.reconnect(server.addr).await;
        assert!(!thief.resumed);
        assert_eq!(thief.document["count"], 0);
    }
    server.stop().await;
}

/// YOURS-ALONE
#[tokio::test]
async fn a_page_of_another_origin_gets_no_socket() {
    let server = Running::start(app()).await;
    let own = format!("http://{}", server.addr);
    assert!(open(server.addr, Some(&own)).await.is_ok());
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let Err(WsError::Http(response)) = open(server.addr, Some(origin)).await else { panic!("refused: {origin}") };
        assert_eq!(response.status(), 403);
    }
    server.stop().await;
}

async fn http(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn loopback_serves_its_own_names_only() {
    let server = Running::start(app()).await;
    let addr = server.addr;
    assert!(http(addr, &get("/healthz", "localhost")).await.starts_with("HTTP/1.1 200"));
    assert!(http(addr, &get("/healthz", &addr.to_string())).await.ends_with("ok\n"));
    for path in ["/healthz", "/windlass/windlass.js", "/windlass/socket", "/"] {
        let answer = http(addr, &get(path, "rebound.example")).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_is_served_with_its_policy_and_nothing_beneath_it() {
    let server = Running::start(app().page(page!("tests/page"))).await;
    let addr = server.addr;
    let index = http(addr, &get("/", "localhost")).await;
    assert!(index.starts_with("HTTP/1.1 200") && index.contains("<title>Test</title>"), "{index}");
    assert!(index.contains("content-security-policy: default-src 'none'"));
    assert!(index.contains("x-content-type-options: nosniff"));
    let client = http(addr, &get("/windlass/windlass.js", "localhost")).await;
    assert!(client.contains("content-type: text/javascript"), "{client}");
    for path in ["/../server.rs", "/%2e%2e/server.rs", "/nothing", "/.hidden"] {
        assert!(http(addr, &get(path, "localhost")).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    // Browsers ask for one by themselves, and would log an error on a page that has none.
    let icon = http(addr, &get("/favicon.ico", "localhost")).await;
    assert!(icon.starts_with("HTTP/1.1 204"), "{icon}");
    server.stop().await;
}

/// BOUNDED NO-SILENCE
#[tokio::test]
async fn bytes_that_are_no_message_close_with_a_code() {
    let server = Running::start(app()).await;
    let deep = format!("[\"a\",1,\"add\",{}1{}]", "[".repeat(100_000), "]".repeat(100_000));
    for (bad, code) in [
        (Message::text("no json"), 4400),
        (Message::text("[\"a\",-1,\"add\",1]"), 4400),
        (Message::text("[\"a\",5,\"add\",1]"), 4411),
        (Message::text("[\"k\",99]"), 4400),
        (Message::binary(vec![0, 1, 2]), 4400),
        (Message::text(deep.clone()), 4413),
        (Message::text(&deep[..60_000]), 4400),
        (Message::text("x".repeat(70_000)), 4413),
        (Message::text("[\"h\",{}]"), 4400),
    ] {
        let mut client = Client::new(server.addr).await;
        client.socket.send(bad.clone()).await.unwrap();
        let (got, reason) = client.closed().await;
        assert_eq!(got, code, "{bad:?}");
        assert!(reason["code"].is_string());
    }
    let mut other = Client::new(server.addr).await;
    other.act("add", json!(1)).await;
    other.frame().await;
    assert_eq!(other.document["count"], 1, "others go on");
    server.stop().await;
}

#[tokio::test]
async fn nothing_but_hello_comes_first() {
    let server = Running::start(app()).await;
    for first in ["[\"a\",1,\"add\",1]", "[\"p\"]", "x"] {
        let mut socket = open(server.addr, None).await.unwrap();
        socket.send(Message::text(first)).await.unwrap();
        let Some(Ok(Message::Close(Some(close)))) = socket.next().await else { panic!("closed") };
        assert_eq!(u16::from(close.code), 4400);
    }
    assert_eq!(server.live.sessions(), 0, "nothing exists before hello");
    server.stop().await;
}

/// [HELLO-2]
#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed_after_ten_seconds() {
    let server = Running::start(app()).await;
    let began = tokio::time::Instant::now();
    let mut socket = open(server.addr, None).await.unwrap();
    let Some(Ok(Message::Close(Some(close)))) = socket.next().await else { panic!("closed") };
    assert_eq!(u16::from(close.code), 4408);
    assert!(began.elapsed() >= Duration::from_secs(10));
    assert_eq!(server.live.sessions(), 0);
    server.stop().await;
}

/// PROMPT
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_take_every_thread_do_not_hold_up_an_action() {
    let server = Running::start(app()).await;
    let mut busy = Client::new(server.addr).await;
    for _ in 0..4 {
        busy.act("start", json!({ "how": "cancel" })).await;
    }
    busy.until(|document| document["$jobs"].as_array().unwrap().len() == 4).await;
    let mut other = Client::new(server.addr).await;
    for n in 1..=50 {
        other.act("add", json!(1)).await;
        other.until(|document| document["count"] == n).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_down_ends_its_jobs_and_tells_its_clients_when_to_return() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("start", json!({ "how": "cancel" })).await;
    client.until(|document| document["$jobs"][0]["status"] == "running").await;
    let addr = server.addr;
    let stopped = tokio::spawn(server.stop());
    client.until(|document| document["ended"] == json!(["Lost"])).await;
    let (code, reason) = client.closed().await;
    assert_eq!(code, 4503);
    assert!((1_000..2_000).contains(&reason["retry_after_ms"].as_u64().unwrap()), "{reason}");
    stopped.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

/// NO-SILENCE. A page whose session was being made when the server went down was cut off without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_page_on_its_way_in_hears_that_the_server_goes_down() {
    let (entered, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at, open_at) = (Arc::clone(&entered), Arc::clone(&gate));
    let server = Running::start(App::new(move || {
        // The first is the app's own look at its state.
        if at.fetch_add(1, Ordering::AcqRel) > 0 {
            while open_at.load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
        }
        Demo::default()
    }))
    .await;
    let silent = Client::silent(open(server.addr, None).await.unwrap(), "bbbbbbbbbbbbbbbbbbbbbbbb");
    let mut page = Client::silent(open(server.addr, None).await.unwrap(), "0f1e2d3c4b5a69788796a5b4");
    page.send(&json!(["h", { "client": page.id, "instance": "01" }])).await;
    while entered.load(Ordering::Acquire) < 2 {
        tokio::task::yield_now().await;
    }
    let live = server.live.clone();
    let drained = tokio::spawn(async move { live.drain(Duration::from_secs(1)).await });
    assert_eq!(silent.closed().await.0, 4503, "by now all that were there have heard");
    gate.store(1, Ordering::Release);
    assert_eq!(page.closed().await.0, 4503);
    drained.await.unwrap().unwrap();
    server.stop().await;
}

#[tokio::test]
async fn updates_from_outside_reach_their_session_and_a_broadcast_all() {
    let server = Running::start(app()).await;
    let mut first = Client::new(server.addr).await;
    let mut second = Client::new(server.addr).await;
    let session = first.token.as_str().unwrap().split('.').next().unwrap().parse().unwrap();
    let handle = server.live.handle(session);
    for _ in 0..100 {
        handle.update(|state, _cx| state.count += 1).unwrap();
    }
    first.until(|document| document["count"] == 100).await;
    assert_eq!(server.live.broadcast(|state, _cx| state.text.push('!')), 2);
    first.until(|document| document["text"] == "!").await;
    second.until(|document| document["text"] == "!").await;
    assert_eq!(second.document["count"], 0);
    let gone = server.live.handle("ffffffffffffffffffffffff".parse().unwrap());
    assert_eq!(gone.update(|_, _| ()).unwrap_err().code, "gone");
    server.stop().await;
}

#[tokio::test]
async fn a_large_snapshot_comes_whole() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    let text = "ä".repeat(30_000);
    client.act("say", json!(text)).await;
    client.until(|document| document["text"] == text).await;
    client.n = 0;
    client.reconnect(server.addr).await;
    assert!(!client.resumed);
    assert_eq!(client.document["text"], text);
    server.stop().await;
}

#[tokio::test]
async fn what_is_described_wrongly_is_said_at_the_start() {
    let twice = App::new(Demo::default).action("a", |_, _, ()| ()).action("a", |_, _, ()| ());
    assert!(twice.build().err().unwrap().text.contains("twice"));
    let reserved = App::new(Demo::default).action("$x", |_, _, ()| ());
    assert!(reserved.build().err().unwrap().text.contains("$"));
    let list = App::new(Vec::<i64>::new).build();
    assert!(list.err().unwrap().text.contains("object"));
    let running = Running::start(app()).await;
    let taken = app().bind(running.addr.to_string()).await;
    assert!(taken.err().unwrap().text.contains(&running.addr.to_string()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_each_get_their_own() {
    let server = Running::start(app()).await;
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..50_i64)
        .map(|n| {
            let (addr, done) = (server.addr, Arc::clone(&done));
            tokio::spawn(async move {
                let mut client = Client::new(addr).await;
                for _ in 0..20 {
                    client.act("add", json!(n)).await;
                }
                client.until(|document| document["count"] == n * 20).await;
                done.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(done.load(Ordering::Relaxed), 50);
    server.stop().await;
}
