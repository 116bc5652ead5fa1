//! `windlass proxy` as a person runs it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.arg("proxy").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn a_proxy_says_where_it_listens_and_does_what_is_typed() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let mut running = Running(proxy(&[&target, "--cut", "to-server:3:reset", "--cuts", "1"]).spawn().unwrap());
    let mut typed = running.0.stdin.take().unwrap();
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut line = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let listening = line();
    assert_eq!(listening["target"], target);
    let address = listening["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let connect = || (TcpStream::connect(&address).unwrap(), server.accept().unwrap().0);

    let (mut client, _served) = connect();
    assert_eq!(line()["event"], "accepted");
    client.write_all(b"four").unwrap();
    assert_eq!((&line()["fault"], &line()["to_server"]), (&"reset".into(), &3.into()));

    let (mut client, mut served) = connect();
    assert_eq!(line()["link"], 2);
    client.write_all(b"four").unwrap();
    served.read_exact(&mut [0; 4]).unwrap();
    typed.write_all(b"close\n").unwrap();
    assert_eq!(served.read(&mut [0]).unwrap(), 0);
    assert_eq!(line()["fault"], "close");
}

#[test]
fn what_cannot_be_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, part) in [
        (&["localhost"][..], "127.0.0.1:8080"),
        (&["localhost:1", "--cut", "to-client:reset"], "to-client:1200:reset"),
        (&["localhost:1", "--every", "5s:explode"], "no fault"),
        (&["localhost:1", "--random", "1", "--slice", "3"], "cannot be used with"),
        (&["localhost:1", "--port", &port], "--port"),
    ] {
        let output = proxy(arguments).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}
