//! Shows how a live app is nested in an axum router of one's own: its page, its middleware, its graceful end.
//!
//! `cargo run -p nest`, then look at http://127.0.0.1:8081.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{Html, Response};
use axum::routing::get;
use windlass::Live;
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Basket {
    items: u64,
}

#[tokio::main]
async fn main() -> Result {
    let live = basket()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, live, async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await
}

/// The live part. Behind a name of its own it also needs `.allowed_host("shop.example")`.
fn basket() -> Result<Live<Basket>> {
    App::new(Basket::default)
        .action("put", |state, _cx, items: i64| state.items = state.items.saturating_add_signed(items))
        .build()
}

/// The shop: the live part is one of its routes, and its middleware sees that too.
fn shop(live: &Live<Basket>) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("../page/index.html"))))
        .nest("/app", live.router())
        .layer(middleware::from_fn(signed))
}

async fn signed(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(HeaderName::from_static("x-shop"), HeaderValue::from_static("open"));
    response
}

/// Serves until `stop`; then the pages hear when to come back, and jobs get their time.
async fn serve(
    listener: tokio::net::TcpListener,
    live: Live<Basket>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result {
    let shop = shop(&live);
    axum::serve(listener, shop)
        .with_graceful_shutdown(async move {
            stop.await;
            if let Err(error) = live.drain(Duration::from_secs(6)).await {
                eprintln!("{error}");
            }
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::{SinkExt as _, StreamExt as _};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

    use super::*;

    async fn page(addr: SocketAddr, path: &str, host: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_nested_app_serves_its_client_its_socket_and_ends_gracefully() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, basket().unwrap(), async {
            let _ = stopped.await;
        }));

        assert!(page(addr, "/", "localhost").await.contains("src=\"/app/windlass/windlass.js\""));
        let client = page(addr, "/app/windlass/windlass.js", "localhost").await;
        assert!(client.starts_with("HTTP/1.1 200") && client.contains("x-shop: open"), "the middleware sees it");
        let foreign = page(addr, "/app/healthz", "evil.example").await;
        assert!(foreign.starts_with("HTTP/1.1 421") && foreign.contains("allowed_host"), "{foreign}");

        let mut request = format!("ws://{addr}/app/windlass/socket").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let hello = json!(["h", { "client": "0f1e2d3c4b5a69788796a5b4", "instance": "01" }]);
        socket.send(Message::text(hello.to_string())).await.unwrap();
        socket.send(Message::text(r#"["a",1,"put",2]"#)).await.unwrap();
        let mut said = Vec::new();
        while said.last().is_none_or(|said: &Value| said[0] != "d") {
            let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("after {said:?}") };
            said.push(serde_json::from_str(&text).unwrap());
        }
        assert_eq!(said.pop().unwrap()[3], json!([["items", 2]]));

        stop.send(()).unwrap();
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(close)))) => {
                    assert_eq!(u16::from(close.code), 4503);
                    assert!(close.reason.contains("retry_after_ms"), "{}", close.reason);
                    break;
                }
                Some(Ok(_)) => {}
                other => panic!("no close: {other:?}"),
            }
        }
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_basket_never_holds_less_than_nothing() {
        let app = App::new(Basket::default)
            .action("put", |state, _cx, items: i64| state.items = state.items.saturating_add_signed(items));
        let mut t = app.test();
        t.send("put", -3);
        t.send("put", 2);
        assert_eq!(t.document()["items"], 2);
    }
}
