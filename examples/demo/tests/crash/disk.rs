//! A folder that cannot be used, and a disk that is full: a limit of the system on how large files may be stands for it.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use windlass_client::{Client, Until};
use windlass_proxy::Proxy;

use crate::page::Page;
use crate::server::{Data, Server};

/// The demo, for which a write beyond the limit is an error and not the end.
fn limited(data: &Data) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" --addr 127.0.0.1:0 --data \"$1\"", env!("CARGO_BIN_EXE_demo")])
        .arg(data.path());
    Server::try_start(command, data).expect("it starts")
}

/// How large files may become from now on.
fn limit(server: &Server, bytes: &str) {
    let set = Command::new("prlimit").args([format!("--pid={}", server.id()), format!("--fsize={bytes}:")]).status();
    assert!(set.unwrap().success());
}

/// The demo on a folder that it cannot use; gives what it says.
fn refused(data: &Data) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(["--addr", "127.0.0.1:0", "--data"]).arg(data.path());
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_second_process_says_who_has_the_folder_and_what_to_do() {
    let data = Data::new();
    let server = Server::start(&data);
    let said = refused(&data);
    let folder = data.path().join("gallery");
    assert!(said.contains(&format!("another process ({}) has {} open", server.id(), folder.display())), "{said}");
    assert!(said.contains("--data DIR") && said.contains("--ephemeral"), "{said}");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_as_it_is() {
    let data = Data::new();
    Server::start(&data).kill();
    let file = data.path().join("gallery/sessions.redb");
    std::fs::write(&file, "what a disk may leave of a file").unwrap();
    let said = refused(&data);
    assert!(said.contains(file.to_str().unwrap()) && said.contains("move it away"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "what a disk may leave of a file");
}

/// BOUNDED, NO-SILENCE: while nothing can be saved no action is said to be, and it goes on by itself when there is room.
#[tokio::test]
async fn a_full_disk_holds_up_what_must_be_saved_until_there_is_room() {
    let data = Data::new();
    let server = limited(&data);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let mut page = Page::start(Client::builder(proxy.url()));
    page.ask("add", 1, Until::Saved);
    page.answered().await;
    limit(&server, "65536");
    page.ask("add", 2, Until::Applied);
    page.answered().await;
    page.ask("add", 4, Until::Saved);
    while !data.log().contains("no room left on the disk") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(page.document()["counter"]["count"], 7, "what need not be saved goes on");
    assert!(page.has_unanswered(), "it was not saved, and nobody has said so");
    limit(&server, "unlimited");
    page.answered().await;
    server.kill();
    let server = Server::start(&data);
    proxy.lead_to(server.addr);
    page.ask("add", 8, Until::Saved);
    page.answered().await;
    assert_eq!(page.document()["counter"]["count"], 15);
    assert_eq!(page.losses(), Vec::new());
}

/// A server that cannot save at its end says so with its exit code, and the pages send again what is missing.
#[tokio::test]
async fn a_save_that_fails_at_the_end_is_a_nonzero_exit() {
    let data = Data::new();
    let server = limited(&data);
    let proxy = Proxy::start(server.addr).await.unwrap();
    let mut page = Page::start(Client::builder(proxy.url()));
    page.ask("add", 1, Until::Saved);
    page.answered().await;
    limit(&server, "65536");
    page.ask("add", 2, Until::Applied);
    page.answered().await;
    server.signal("TERM");
    let status = server.ended().await;
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(data.log().contains("could not be saved"), "{}", data.log());
    let server = Server::start(&data);
    proxy.lead_to(server.addr);
    page.ask("add", 4, Until::Saved);
    page.answered().await;
    assert_eq!(page.document()["counter"]["count"], 7);
    assert_eq!(page.losses(), Vec::new());
}
