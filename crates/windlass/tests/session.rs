//! What an app can say of its sessions beside actions: answers that come later, fields that pages write, hooks, audiences.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use serde_json::{Value, json};
use support::{Client, Running, open};
use tokio::sync::watch;
use windlass::prelude::*;

const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaa";

#[derive(Clone, Default, Serialize)]
struct Desk {
    count: i64,
    text: String,
    rows: Vec<Row>,
    told: Vec<String>,
}

#[derive(Clone, Serialize)]
struct Row {
    id: u64,
    text: String,
}

fn desk() -> Desk {
    Desk { rows: vec![Row { id: 7, text: "seven".into() }, Row { id: 8, text: "eight".into() }], ..Desk::default() }
}

fn app() -> App<Desk> {
    App::new(desk)
        .action("add", |state, _cx, by: i64| state.count += by)
        .field("text", |state| &mut state.text)
        .row_field("rows.text", "id", |state, id: &u64| {
            state.rows.iter_mut().find(|row| row.id == *id).map(|row| &mut row.text)
        })
        .development(false)
        .threads(1)
}

/// An app whose action `wait` is answered when the sender says so.
fn waiting() -> (watch::Sender<i64>, App<Desk>) {
    let (tell, told) = watch::channel(0);
    let app = app().async_action("wait", move |handle, how: String| {
        let mut told = told.clone();
        async move {
            let number = *told.wait_for(|number| *number > 0).await?;
            handle.update(move |state, _cx| state.count += number)?;
            match how.as_str() {
                "fail" => Err(Error::refuse("own", "no")),
                "panic" => panic!("in a future"),
                _ => Ok(Reply(number * 2)),
            }
        }
    });
    (tell, app)
}

/// [PENDING-1]
#[tokio::test]
async fn an_async_action_is_answered_when_its_future_ends_and_holds_up_nothing() {
    let (tell, app) = waiting();
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("wait", json!("well")).await;
    assert_eq!(client.frame().await[4]["r"], json!([[1, "pending"]]));
    client.act("add", json!(1)).await;
    client.until(|document| document["count"] == 1).await;
    tell.send(5).unwrap();
    while client.outcomes.len() < 2 {
        client.frame().await;
    }
    client.until(|document| document["count"] == 6).await;
    assert_eq!(client.outcomes[1], json!([1, "applied", 10]));
    server.stop().await;
}

/// [PENDING-2] OUTLIVES
#[tokio::test]
async fn an_async_action_goes_on_while_the_page_is_away_and_its_outcome_waits() {
    let (tell, app) = waiting();
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    for how in ["well", "fail", "panic"] {
        client.act("wait", json!(how)).await;
        client.frame().await;
    }
    client.socket.close(None).await.unwrap();
    tell.send(1).unwrap();
    let session = client.welcome["session"].as_str().unwrap().parse().unwrap();
    while server.live.handle(session).view().unwrap()["count"] != 3 {
        tokio::task::yield_now().await;
    }
    client.seq = 0;
    client.reconnect(server.addr).await;
    let ended = |client: &Client, seq: u64| {
        client.outcomes.iter().rfind(|outcome| outcome[0] == seq && outcome[1] != "pending").cloned()
    };
    while (1..=3).any(|seq| ended(&client, seq).is_none()) {
        client.frame().await;
    }
    assert_eq!(ended(&client, 1), Some(json!([1, "applied", 2])));
    assert_eq!(ended(&client, 2), Some(json!([2, "failed", "own", "no"])));
    let panicked = ended(&client, 3).unwrap();
    assert_eq!(panicked[2], "internal");
    assert!(!panicked[3].as_str().unwrap().contains("future"), "the text of a panic is not the page's: {panicked}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_down_waits_for_async_actions_and_then_drops_them() {
    let (tell, app) = waiting();
    let server = Running::start(app.drain(Duration::from_millis(50))).await;
    let mut client = Client::new(server.addr).await;
    client.act("wait", json!("well")).await;
    client.frame().await;
    let live = server.live.clone();
    live.drain(Duration::from_millis(50)).await.unwrap();
    assert_eq!(client.closed().await.1["code"], "draining");
    server.stop().await;
    drop(tell);
}

/// [SET-1] [SET-2]
#[tokio::test]
async fn a_page_writes_fields_and_rows_by_their_keys_and_nothing_else() {
    let server = Running::start(app()).await;
    let mut client = Client::new(server.addr).await;
    client.act("$set", json!({ "path": ["text"], "value": "hello" })).await;
    client.act("$set", json!({ "path": ["rows", { "id": 8 }, "text"], "value": "EIGHT" })).await;
    client.until(|document| document["rows"][1]["text"] == "EIGHT" && document["text"] == "hello").await;
    for (seq, path, value, code, text) in [
        (
            3,
            json!(["text"]),
            json!(7),
            "bad_payload",
            "the field \"text\": invalid type: integer `7`, expected a string",
        ),
        (4, json!(["rows", { "id": 9 }, "text"]), json!("x"), "gone", "there is no row for \"rows[id=9].text\""),
        (5, json!(["rows", { "text": 8 }, "text"]), json!("x"), "unknown_field", "no page may write to"),
        (6, json!(["rows", { "id": "x" }, "text"]), json!("x"), "bad_payload", "invalid type: string"),
        (7, json!(["count"]), json!(7), "unknown_field", "App::field"),
        (8, json!(["text", { "id": 8 }]), json!("x"), "unknown_field", "no page may write to"),
        (9, json!([]), json!({}), "unknown_field", "no page may write to"),
        (
            10,
            json!(["rows", "text", { "id": 8 }]),
            json!("x"),
            "unknown_field",
            "no page may write to \"rows.text[id=8]\"",
        ),
        (11, json!([{ "id": 8 }, "rows", "text"]), json!("x"), "unknown_field", "no page may write to"),
    ] {
        client.act("$set", json!({ "path": path, "value": value })).await;
        let frame = client.frame().await;
        let outcome = &frame[4]["r"][0];
        assert_eq!(json!([outcome[0], outcome[1], outcome[2]]), json!([seq, "refused", code]), "{frame}");
        assert!(outcome[3].as_str().unwrap().contains(text), "{outcome}");
    }
    assert_eq!(client.document["count"], 0);
    server.stop().await;
}

#[tokio::test]
async fn what_a_page_writes_is_told_to_on_change_which_can_refuse_it() {
    let app = app().on_change(|state, _cx, written| {
        if state.text == "bad" {
            return Err(Error::refuse("own", "not that"));
        }
        let key = written.key::<u64>().map_or("none".to_owned(), |key| key.to_string());
        state.told.push(format!("{} {key}", written.path()));
        Ok(())
    });
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("$set", json!({ "path": ["text"], "value": "good" })).await;
    client.act("$set", json!({ "path": ["rows", { "id": 7 }, "text"], "value": "x" })).await;
    client.act("$set", json!({ "path": ["text"], "value": "bad" })).await;
    while client.outcomes.is_empty() {
        client.frame().await;
    }
    assert_eq!(client.outcomes[0], json!([3, "failed", "own", "not that"]));
    assert_eq!(client.document["told"], json!(["text none", "rows.text 7"]));
    assert_eq!(client.document["text"], "good");
    server.stop().await;
}

#[tokio::test]
async fn a_fresh_session_is_prepared_for_its_page_and_hears_who_comes_and_goes() {
    let app = app()
        .on_init(|state, _cx, visit| {
            let (path, from) = (visit.untrusted_path(), visit.untrusted_param("from"));
            state.told.push(format!("init {path} {from:?} {:?}", visit.identity()));
        })
        .on_connect(|state, cx| {
            cx.notify(Level::Info, "welcome");
            state.told.push(format!("connect {}", cx.caller().is_some()));
        })
        .on_disconnect(|state, cx| state.told.push(format!("disconnect {}", cx.caller().is_some())))
        .on_navigate(|state, _cx, visit| state.told.push(format!("navigate {}", visit.untrusted_path())));
    let server = Running::start(app).await;
    let mut client = Client::silent(open(server.addr, None).await.unwrap(), OTHER);
    client.page = "/shop?from=the%20street".into();
    client.hello().await;
    assert_eq!(client.document["told"], json!(["init /shop Some(\"the street\") None", "connect true"]));
    assert_eq!(client.events[0][3]["text"], "welcome");
    assert_eq!(client.welcome["actions"], json!({ "$navigate": {} }));
    client.act("$navigate", json!("/shop/7?x=1")).await;
    client.until(|document| document["told"][2] == "navigate /shop/7").await;
    let session = client.welcome["session"].as_str().unwrap().parse().unwrap();
    client.socket.close(None).await.unwrap();
    while server.live.handle(session).view().unwrap()["told"][3] != "disconnect true" {
        tokio::task::yield_now().await;
    }
    client.reconnect(server.addr).await;
    client.until(|document| document["told"][4] == "connect true").await;
    server.stop().await;
}

#[tokio::test]
async fn a_failure_is_told_to_on_error_whole_and_after_its_rollback() {
    let app = app()
        .action("fail", |state, _cx, ()| -> Result {
            state.count = 9;
            Err(Error::internal("the disk is full"))
        })
        .on_error(|state, cx, failure| {
            state.told.push(format!("{}: {} at {}", failure.what(), failure.text(), state.count));
            cx.notify(Level::Error, "sorry");
        });
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("fail", Value::Null).await;
    let frame = client.frame().await;
    assert_eq!(client.document["told"], json!(["fail: the disk is full at 0"]));
    assert!(!frame[4]["r"].to_string().contains("disk"), "the outcome does not tell: {frame}");
    assert_eq!(client.events[0][3]["text"], "sorry");
    let session = client.welcome["session"].as_str().unwrap().parse().unwrap();
    server.live.handle(session).update(|_state, _cx| -> Result { Err(Error::refuse("own", "late"))? }).unwrap();
    client.until(|document| document["told"][1] == "update: late at 0").await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_came_back_to_hears_that_it_goes() {
    let (tell, mut told) = watch::channel(0);
    let app = app().expire_after(Duration::from_secs(60)).on_expire(move |state: &mut Desk, _cx: &mut Cx<Desk>| {
        tell.send_replace(state.count);
    });
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("add", json!(3)).await;
    client.until(|document| document["count"] == 3).await;
    client.socket.close(None).await.unwrap();
    drop(client);
    assert_eq!(*told.wait_for(|count| *count > 0).await.unwrap(), 3);
    while server.live.sessions() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_audience_can_be_chosen_and_an_action_answered_by_its_context() {
    let app = app()
        .action("tell", |_state, cx: &mut Cx<Desk>, ()| -> Result {
            cx.to(Audience::Caller).notify(Level::Info, "you");
            cx.to(Audience::Session).must().emit("all", &1)?;
            cx.to(Audience::Session).navigate("/there")?;
            cx.reply(&json!({ "key": cx.session().to_string().len() }))
        })
        .action("late", |_state, cx: &mut Cx<Desk>, ()| -> Result {
            let session = cx.session();
            cx.update(session, |state, cx| {
                let error = cx.reply(&1).unwrap_err();
                state.told.push(error.text);
            });
            Ok(())
        });
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("tell", Value::Null).await;
    client.frame().await;
    assert_eq!(client.outcomes, [json!([1, "applied", { "key": 24 }])]);
    let kinds: Vec<_> = client.events.iter().map(|event| event[2].as_str().unwrap()).collect();
    assert_eq!(kinds, ["notify", "emit", "navigate"]);
    client.act("late", Value::Null).await;
    client.until(|document| document["told"][0].is_string()).await;
    server.stop().await;
}

/// [SEEN-1]
#[tokio::test]
async fn what_an_action_asks_for_is_declared_in_the_welcome_and_held() {
    let app = app()
        .action("careful", |state, _cx, ()| state.count += 100)
        .only_if_seen()
        .action("login", |_state, _cx: &mut Cx<Desk>, _word: i64| {})
        .secret();
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    let declared = json!({ "careful": { "only_if_seen": true }, "login": { "secret": true } });
    assert_eq!(client.welcome["actions"], declared);
    client.act("careful", Value::Null).await;
    assert_eq!(client.frame().await[4]["r"][0][2], "stale");
    client.seq += 1;
    client.send(&json!(["a", 2, "careful", null, [client.epoch, client.n]])).await;
    client.until(|document| document["count"] == 100).await;
    client.act("login", json!("hunter2")).await;
    let frame = client.frame().await;
    assert_eq!(frame[4]["r"][0][2], "bad_payload");
    assert!(!frame.to_string().contains("hunter2"), "{frame}");
    server.stop().await;
}

#[tokio::test]
async fn frames_are_held_until_they_are_released() {
    let app = app()
        .action("begin", |state, cx: &mut Cx<Desk>, ()| {
            state.count = 1;
            cx.hold();
        })
        .action("end", |_state, cx: &mut Cx<Desk>, ()| cx.release());
    let server = Running::start(app).await;
    let mut client = Client::new(server.addr).await;
    client.act("begin", Value::Null).await;
    client.act("add", json!(1)).await;
    client.act("end", Value::Null).await;
    assert_eq!(client.frame().await, json!(["d", 2, 3, [["count", 2]]]));
    server.stop().await;
}

#[tokio::test]
async fn a_broadcast_reaches_those_that_are_chosen() {
    let server = Running::start(app()).await;
    let mut first = Client::new(server.addr).await;
    let second = Client::on(open(server.addr, None).await.unwrap(), OTHER).await;
    let chosen: windlass::SessionId = first.welcome["session"].as_str().unwrap().parse().unwrap();
    assert_eq!(server.live.broadcast_to(|session| session == chosen, |state, _cx| state.count = 5), 1);
    first.until(|document| document["count"] == 5).await;
    let other = second.welcome["session"].as_str().unwrap().parse().unwrap();
    assert_eq!(server.live.handle(other).view().unwrap()["count"], 0);
    server.stop().await;
}

/// BOUNDED NO-SILENCE
#[tokio::test(start_paused = true)]
async fn a_connection_that_sends_more_than_it_may_is_read_more_slowly_and_loses_nothing() {
    let server = Running::start(app().messages_per_second(10)).await;
    let mut client = Client::new(server.addr).await;
    let began = tokio::time::Instant::now();
    for _ in 0..25 {
        client.act("add", json!(1)).await;
    }
    client.until(|document| document["count"] == 25).await;
    assert!(began.elapsed() >= Duration::from_millis(1_200), "{:?}", began.elapsed());
    server.stop().await;
}

/// BOUNDED
#[tokio::test(start_paused = true)]
async fn a_connection_that_never_pauses_is_asked_to_come_back_later() {
    let server = Running::start(app().messages_per_second(10)).await;
    let mut client = Client::new(server.addr).await;
    for _ in 0..400 {
        client.send(&json!(["p"])).await;
    }
    assert_eq!(client.closed().await, (4429, json!({ "code": "busy", "retry_after_ms": 5_000 })));
    server.stop().await;
}

#[tokio::test]
async fn what_is_declared_wrongly_is_said_at_the_start() {
    let wrong = App::new(desk)
        .only_if_seen()
        .field("text", |state| &mut state.text)
        .field("text", |state| &mut state.text)
        .field("$x", |state| &mut state.count)
        .on_navigate(|_, _, _| {})
        .secret();
    let error = wrong.build().err().unwrap();
    for text in
        ["`only_if_seen` comes after", "\"text\" is declared twice", "\"$x\" cannot be a field", "`secret` comes"]
    {
        assert!(error.text.contains(text), "{error}");
    }
}
