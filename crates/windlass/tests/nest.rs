//! Apps beneath paths of another, on real sockets: their pages, cookies and sockets, and one end for all of them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::net::SocketAddr;

use serde_json::json;
use support::{Client, Running, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use windlass::prelude::*;
use windlass::{Per, page};

#[derive(Clone, Default, Serialize)]
struct Shop {
    open: bool,
}

#[derive(Clone, Default, Serialize)]
struct Chat {
    said: u64,
    ended: Vec<String>,
}

fn chat() -> App<Chat> {
    App::new(Chat::default)
        .action("say", |state, _cx, (): ()| state.said += 1)
        .action("work", |_, cx, (): ()| -> Result {
            cx.long_callback("work", |job| {
                loop {
                    job.checkpoint()?;
                    std::thread::yield_now();
                }
            })
            .on_status(|state, _, status: Status<()>| state.ended.push(format!("{status:?}")))
            .start()?;
            Ok(())
        })
        .session_per(Per::Browser)
        .page(page!("tests/page"))
}

fn shop() -> App<Shop> {
    App::new(Shop::default).nest("/chat", chat()).nest("/other/chat", chat()).page(page!("tests/page"))
}

async fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn open_at(addr: SocketAddr, path: &str, cookie: Option<&str>) -> (Socket, Option<String>) {
    let mut request = format!("ws://{addr}{path}windlass/socket").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
    if let Some(cookie) = cookie {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    let (socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    let set = response.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
    (socket, set)
}

#[tokio::test]
async fn each_app_has_its_page_and_a_path_without_its_last_slash_leads_there() {
    let server = Running::start(shop()).await;
    for path in ["/", "/chat/", "/other/chat/", "/chat/windlass/windlass.js", "/chat/healthz"] {
        let answer = get(server.addr, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let answer = get(server.addr, "/other/chat?to=3").await;
    assert!(answer.starts_with("HTTP/1.1 307") && answer.contains("location: ./chat/?to=3\r\n"), "{answer}");
    assert!(get(server.addr, "/chat/no.html").await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

/// Two apps of one server took each other's cookie, and with it the session that came with it.
#[tokio::test]
async fn apps_that_know_browsers_by_a_cookie_have_one_each() {
    let server = Running::start(shop()).await;
    let (socket, first) = open_at(server.addr, "/chat/", None).await;
    let mut page = Client::on(socket, "0f1e2d3c4b5a69788796a5b4").await;
    page.act("say", json!(null)).await;
    page.until(|document| document["said"] == 1).await;
    let (_, second) = open_at(server.addr, "/other/chat/", None).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.contains("; Path=/chat/;"), "{first}");
    assert!(second.contains("; Path=/other/chat/;"), "{second}");

    // Both at once, the other's first, as from a browser that has them for one path.
    let pair = |set: &str| set.split(';').next().unwrap().to_owned();
    let both = format!("{}; {}", pair(&second), pair(&first));
    let (socket, set) = open_at(server.addr, "/chat/", Some(&both)).await;
    assert_eq!(set, None, "it is known");
    let again = Client::on(socket, "bbbbbbbbbbbbbbbbbbbbbbbb").await;
    assert_eq!(again.document["said"], 1, "the same session");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_them_end_together() {
    let server = Running::start(shop()).await;
    let mut pages = Vec::new();
    for path in ["/chat/", "/other/chat/"] {
        let mut page = Client::on(open_at(server.addr, path, None).await.0, "0f1e2d3c4b5a69788796a5b4").await;
        page.act("work", json!(null)).await;
        page.until(|document| document["$jobs"][0]["status"] == "running").await;
        pages.push(page);
    }
    let shop = Client::on(open_at(server.addr, "/", None).await.0, "bbbbbbbbbbbbbbbbbbbbbbbb").await;
    let stopped = tokio::spawn(server.stop());
    for mut page in pages {
        page.until(|document| document["ended"] == json!(["Lost"])).await;
        assert_eq!(page.closed().await.0, 4503);
    }
    assert_eq!(shop.closed().await.0, 4503);
    stopped.await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_nested_app_is_told_with_its_path() {
    for path in ["chat", "/chat/", "/{room}", "/"] {
        let error = App::new(Shop::default).nest(path, chat()).build().err().unwrap();
        assert!(error.text.contains(&format!("\"{path}\"")), "{}", error.text);
    }
    let twice = chat().action("say", |_, _, (): ()| ());
    let error = App::new(Shop::default).nest("/chat", twice).build().err().unwrap();
    assert!(error.text.contains("the app at \"/chat\"") && error.text.contains("registered twice"), "{}", error.text);
    let error = App::new(Shop::default).nest("/chat", chat().allowed_host("shop.example")).build().err().unwrap();
    assert!(error.text.contains("allowed_host"), "{}", error.text);
}
