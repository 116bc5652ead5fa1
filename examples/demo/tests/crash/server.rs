//! The demo as a process of its own on a folder of its own, ended with the test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use windlass_client::{Client, Status};

/// A folder that goes with the test, unless it fails.
pub(crate) struct Data(PathBuf);

impl Data {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("windlass-crash-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What the servers on it have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the data is left in {}; what the servers logged last:", self.0.display());
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(30)..].iter().for_each(|line| eprintln!("  {line}"));
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub(crate) struct Server {
    process: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(data: &Data) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        command.args(["--addr", "127.0.0.1:0", "--data"]).arg(data.path());
        Self::try_start(command, data).expect("it starts")
    }

    /// Starts what has been put together. None when it ends before it listens.
    pub(crate) fn try_start(mut command: Command, data: &Data) -> Option<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.path().join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(addr) = line.trim().strip_prefix("listening on http://") else {
            process.wait().unwrap();
            return None;
        };
        Some(Self { process, addr: addr.parse().unwrap() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends it a signal by its name, and that to no other process.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let wait = move || {
            let status = self.process.wait().unwrap();
            (self, status)
        };
        tokio::task::spawn_blocking(wait).await.unwrap().1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Has a client come back soon after it was cut off: the backoff has tests of its own, and would only take its time here.
pub(crate) fn comes_back(client: &Client) {
    let (mut status, client) = (client.status_changes(), client.clone());
    tokio::spawn(async move {
        while status.changed().await.is_ok() {
            let is_away = matches!(*status.borrow_and_update(), Status::Waiting { .. });
            if is_away {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if matches!(client.status(), Status::Waiting { .. }) {
                    client.retry();
                }
            }
        }
    });
}
