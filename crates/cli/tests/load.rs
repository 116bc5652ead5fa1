//! `windlass load` as a person runs it, against a server of this process.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::Output;

use serde_json::Value;
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Counter {
    count: i64,
}

async fn serve() -> std::net::SocketAddr {
    let server = App::new(Counter::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("fail", |_state, _cx, ()| -> Result { Err(Error::refuse("own", "no")) })
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.addr();
    tokio::spawn(server.run_until(std::future::pending::<()>()));
    address
}

async fn load(arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.arg("load").args(arguments);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_says_what_it_came_to() {
    let url = format!("http://{}", serve().await);
    let quick = ["--sessions", "5", "--duration", "300ms", "--ramp-up", "50ms", "--json"];
    for more in [&[][..], &["--rate", "200"]] {
        let output = load(&[&[url.as_str()], &quick[..], more].concat()).await;
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{}", text(&output.stdout));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&summary["connected"], &summary["failed"]), (&5.into(), &serde_json::json!({})));
        assert_eq!(summary["outcomes"]["applied"], summary["actions_sent"], "{summary}");
        assert!(summary["actions_per_second"].as_f64().unwrap() > 0.0, "{summary}");
        assert!(summary["latency_ms"]["p50"].as_f64().unwrap() <= summary["latency_ms"]["max"].as_f64().unwrap());
    }
    let output = load(&[&url, "--sessions", "2", "--duration", "200ms"]).await;
    let summary = text(&output.stdout);
    for line in ["sessions   2 of 2 connected", "latency    p50", "outcomes", "closes     none", "bytes"] {
        assert!(summary.contains(line), "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_does_not_do_what_it_should_fails() {
    let address = serve().await;
    let url = format!("http://{address}");
    let output = load(&[&url, "--action", "fail", "--payload", "null", "--duration", "200ms", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["outcomes"]["own"].as_u64().unwrap() > 0, "{summary}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for (arguments, part) in [
        (&[url.as_str(), "--action", "nothing"][..], "no action \"nothing\""),
        (&[url.as_str(), "--payload", "\"x\""], "--payload"),
        (&[nobody.as_str()], "is the server running there?"),
        (&["https://127.0.0.1"], "TLS"),
        (&[url.as_str(), "--payload", "x"], "not JSON"),
        (&[url.as_str(), "--duration", "ten"], "no unit of time"),
        (&[url.as_str(), "--sessions", "0"], "--sessions"),
        (&[url.as_str(), "--rate", "0"], "above 0"),
        (&[url.as_str(), "--rate", "1e-300"], "from 0.001"),
        (&[url.as_str(), "--duration", "3000000000000000h"], "too long"),
    ] {
        let output = load(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}
