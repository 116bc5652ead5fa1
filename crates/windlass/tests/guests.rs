//! Who gets which session: by tab, by browser, by person; and who gets none.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use serde_json::{Value, json};
use support::{Client, Running, open_with};
use windlass::prelude::*;
use windlass::{Identity, Per};

#[derive(Clone, Default, Serialize)]
struct Basket {
    items: i64,
    whose: Option<String>,
    online: i64,
}

fn app() -> App<Basket> {
    App::new(Basket::default)
        .action("put", |state, cx: &mut Cx<Basket>, by: i64| {
            state.items += by;
            state.whose = cx.identity().map(str::to_owned);
        })
        .threads(1)
}

/// Knows people by a cookie `user=name`, and turns `user=nobody` away.
fn with_people(app: App<Basket>) -> App<Basket> {
    app.authenticate(|request| {
        let cookie = request.headers.get("cookie").and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
        let user = cookie.split("; ").find_map(|pair| pair.strip_prefix("user=")).map(str::to_owned);
        async move {
            match user.as_deref() {
                Some("nobody") => Err(Error::refuse("login", "nobody is nobody")),
                Some("slow") => std::future::pending().await,
                Some("broken") => panic!("the directory is gone"),
                user => Ok(user.map(Identity::new)),
            }
        }
    })
}

fn tab(n: u64) -> String {
    format!("{n:024x}")
}

async fn join(server: &Running<Basket>, n: u64, cookie: Option<&str>) -> Client {
    let (socket, _) = open_with(server.addr, None, cookie).await.unwrap();
    Client::on(socket, &tab(n)).await
}

async fn turned_away(server: &Running<Basket>, cookie: &str) -> Value {
    let (socket, _) = open_with(server.addr, None, Some(cookie)).await.unwrap();
    Client::silent(socket, &tab(1)).closed().await.1
}

fn session(client: &Client) -> &Value {
    &client.welcome["session"]
}

/// YOURS-ALONE
#[tokio::test]
async fn tabs_of_one_browser_share_a_session_and_others_do_not() {
    let server = Running::start(app().session_per(Per::Browser)).await;
    let (socket, set) = open_with(server.addr, None, None).await.unwrap();
    let mut first = Client::on(socket, &tab(1)).await;
    let set = set.expect("the server tells browsers apart");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let (socket, again) = open_with(server.addr, None, Some(cookie)).await.unwrap();
    assert_eq!(again, None, "it is known");
    let mut second = Client::on(socket, &tab(2)).await;
    assert_eq!(session(&first), session(&second));
    first.act("put", json!(2)).await;
    second.until(|document| document["items"] == 2).await;
    second.act("put", json!(3)).await;
    first.until(|document| document["items"] == 5).await;

    let made_up = format!("windlass_browser={}", "0".repeat(64));
    for cookie in [None, Some(&*made_up)] {
        assert_ne!(session(&join(&server, 3, cookie).await), session(&first), "{cookie:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn each_tab_has_its_own_session_by_default() {
    let server = Running::start(app()).await;
    let (socket, set) = open_with(server.addr, None, None).await.unwrap();
    assert_eq!(set, None);
    let first = Client::on(socket, &tab(1)).await;
    assert_ne!(session(&first), session(&join(&server, 2, None).await));
    server.stop().await;
}

/// YOURS-ALONE
#[tokio::test]
async fn pages_of_one_person_share_a_session_and_a_stranger_gets_none() {
    let server = Running::start(with_people(app().session_per(Per::User))).await;
    let mut first = join(&server, 1, Some("user=ada")).await;
    let mut second = join(&server, 2, Some("user=ada")).await;
    assert_eq!(session(&first), session(&second));
    first.act("put", json!(2)).await;
    second.until(|document| document["whose"] == "ada").await;
    assert_ne!(session(&join(&server, 3, Some("user=bob")).await), session(&first));
    assert_eq!(turned_away(&server, "user=nobody").await["code"], "login");
    assert_eq!(turned_away(&server, "user=broken").await["code"], "login");
    let (socket, _) = open_with(server.addr, None, None).await.unwrap();
    let mut stranger = Client::silent(socket, &tab(4));
    stranger.send(&json!(["h", { "client": tab(4), "instance": "01" }])).await;
    assert_eq!(stranger.closed().await, (4401, json!({ "code": "login" })));

    assert_eq!(server.live.logout("ada"), 1);
    assert_eq!(first.closed().await.0, 4401);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_be_known_in_five_seconds_is_turned_away() {
    let server = Running::start(with_people(app())).await;
    assert_eq!(turned_away(&server, "user=slow").await["code"], "login");
    server.stop().await;
}

/// YOURS-ALONE [TOKEN-1]
#[tokio::test]
async fn a_session_goes_on_when_its_stranger_logs_in_and_opens_to_nobody_else() {
    let server = Running::start(with_people(app())).await;
    let mut page = join(&server, 1, None).await;
    page.act("put", json!(2)).await;
    page.until(|document| document["items"] == 2).await;
    let (old, token) = (session(&page).clone(), page.token.clone());

    page.socket = open_with(server.addr, None, Some("user=ada")).await.unwrap().0;
    page.hello().await;
    assert_eq!(session(&page), &old);
    assert_ne!(page.token, token);
    page.act("put", json!(1)).await;
    page.until(|document| document["whose"] == "ada").await;

    // Whoever has seen the token of before, or hers without being her, gets a session of their own.
    for (stolen, cookie) in
        [(token, Some("user=ada")), (page.token.clone(), None), (page.token.clone(), Some("user=eve"))]
    {
        let (socket, _) = open_with(server.addr, None, cookie).await.unwrap();
        let mut thief = Client::silent(socket, &tab(1));
        thief.token = stolen;
        thief.hello().await;
        assert_ne!(session(&thief), &old, "{cookie:?}");
        assert_eq!(thief.document["items"], 0);
    }
    server.stop().await;
}

/// A page that was let go because another of its browser had logged in was counted for ever.
#[tokio::test]
async fn a_page_that_is_let_go_at_a_login_is_heard_to_leave() {
    let app = with_people(app().session_per(Per::Browser))
        .on_connect(|state, _cx| state.online += 1)
        .on_disconnect(|state, _cx| state.online -= 1);
    let server = Running::start(app).await;
    let (socket, set) = open_with(server.addr, None, None).await.unwrap();
    let cookie = set.unwrap().split(';').next().unwrap().to_owned();
    let mut first = Client::on(socket, &tab(1)).await;
    let second = join(&server, 2, Some(&cookie)).await;
    assert_eq!(second.document["online"], 2);

    first.socket = open_with(server.addr, None, Some(&format!("{cookie}; user=ada"))).await.unwrap().0;
    first.hello().await;
    assert_eq!(second.closed().await.1["code"], "session_failed");
    let session = session(&first).as_str().unwrap().parse().unwrap();
    assert_eq!(server.live.handle(session).view().unwrap()["online"], 1);
    server.stop().await;
}

/// [FRESH-2] BOUNDED
#[tokio::test]
async fn a_seventeenth_page_takes_the_place_of_the_one_away_for_longest_which_then_begins_anew() {
    let server = Running::start(with_people(app().session_per(Per::User))).await;
    let mut pages = Vec::new();
    for n in 1..=16 {
        pages.push(join(&server, n, Some("user=ada")).await);
    }
    let (socket, _) = open_with(server.addr, None, Some("user=ada")).await.unwrap();
    let mut late = Client::silent(socket, &tab(17));
    late.send(&json!(["h", { "client": tab(17), "instance": "01" }])).await;
    assert_eq!(late.closed().await.1["code"], "busy", "all sixteen are there");

    let mut first = pages.remove(0);
    first.act("put", json!(2)).await;
    first.until(|document| document["items"] == 2).await;
    first.socket.close(None).await.unwrap();
    let token = first.token.clone();
    // The server hears of the end in its own time.
    let late = loop {
        let (socket, _) = open_with(server.addr, None, Some("user=ada")).await.unwrap();
        let mut late = Client::silent(socket, &tab(17));
        late.send(&json!(["h", { "client": tab(17), "instance": "01" }])).await;
        if late.answer().await[0] == "w" {
            break late;
        }
    };
    drop(pages.pop());
    let returned = loop {
        let (socket, _) = open_with(server.addr, None, Some("user=ada")).await.unwrap();
        let mut first = Client::silent(socket, &tab(1));
        first.send(&json!(["h", { "client": tab(1), "instance": "01", "token": token, "seq": 2 }])).await;
        let answer = first.answer().await;
        if answer[0] == "w" {
            break answer;
        }
    };
    assert_eq!((&returned[1]["forgotten"], &returned[1]["ack"]), (&json!(true), &json!(0)));
    drop(late);
    server.stop().await;
}

#[tokio::test]
async fn sessions_per_user_need_to_know_who_it_is() {
    let error = app().session_per(Per::User).build().err().unwrap();
    assert!(error.text.contains("needs `authenticate`"), "{error}");
}
