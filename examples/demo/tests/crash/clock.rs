//! Clocks that jump: the machine sleeps, is started again, or is told another time.
//!
//! Nothing reads the wall clock (`tests/architecture/nevers.rs`). What is left is the clock that counts since the machine was
//! started: it begins anew with each start, and goes on while a process is stopped. `unshare` gives a process another one where
//! the machine lets us; where it does not, the starts differ by nothing but the time that has passed.

use std::process::Command;
use std::time::Duration;

use windlass_client::{Client, Until};
use windlass_proxy::Proxy;

use crate::page::Page;
use crate::server::{Data, Server};

/// A server to which the machine has been up for so many seconds more, or fewer.
fn start_after(data: &Data, jump: i64) -> Server {
    let shift = |command: &mut Command| {
        command.args(["--user", "--map-root-user", "--time"]);
        command.args(["--monotonic", &jump.to_string(), "--boottime", &jump.to_string()]);
    };
    let mut probe = Command::new("unshare");
    shift(&mut probe);
    let may = probe.arg("true").output().is_ok_and(|output| output.status.success());
    if !may {
        println!("no clock of its own for a jump of {jump} s: the machine does not let us");
        return Server::start(data);
    }
    let mut command = Command::new("unshare");
    shift(&mut command);
    command.args([env!("CARGO_BIN_EXE_demo"), "--addr", "127.0.0.1:0", "--data"]).arg(data.path());
    Server::try_start(command, data).expect("it starts")
}

/// How long the machine has been up.
fn up() -> i64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

/// RESUME: a day forward, nearly to the machine's start, and as it was. Sessions that should live do, with all that was saved.
#[tokio::test]
async fn a_clock_that_jumps_between_two_starts_lets_nobody_go() {
    let data = Data::new();
    let first = Server::start(&data);
    let proxy = Proxy::start(first.addr).await.unwrap();
    let mut page = Page::start(Client::builder(proxy.url()));
    let mut server = first;
    let mut count = 0;
    for (jump, is_killed) in [(86_400, true), (1 - up(), false), (10 * 86_400, true), (0, false)] {
        page.ask("add", 1, Until::Saved);
        count += 1;
        page.answered().await;
        let session = page.client.session();
        if is_killed {
            server.kill();
        } else {
            server.signal("TERM");
            assert!(server.ended().await.success());
        }
        server = start_after(&data, jump);
        proxy.lead_to(server.addr);
        page.ask("add", 1, Until::Saved);
        count += 1;
        page.answered().await;
        assert_eq!(page.document()["counter"]["count"], count, "after a jump of {jump} s");
        assert_eq!((page.client.session(), page.losses()), (session, Vec::new()));
    }
}

/// RESUME: stopped while nobody is there, and for longer than anything in it waits.
#[tokio::test]
async fn a_server_that_was_stopped_while_its_page_was_away_has_kept_it() {
    let data = Data::new();
    let server = Server::start(&data);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let mut page = Page::start(Client::builder(proxy.url()));
    page.ask("add", 5, Until::Saved);
    page.answered().await;
    let session = page.client.session();
    proxy.fault(windlass_proxy::Fault::Reset);
    server.signal("STOP");
    tokio::time::sleep(Duration::from_secs(12)).await;
    server.signal("CONT");
    page.ask("add", 1, Until::Saved);
    page.answered().await;
    assert_eq!(page.document()["counter"]["count"], 6);
    assert_eq!((page.client.session(), page.losses()), (session, Vec::new()));
}
