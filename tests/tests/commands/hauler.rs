//! The server of `src/bin/hauler.rs` with one command that runs, and what the system tells of its processes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use windlass_client::Client;

/// For what only has to come at all.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Hauler {
    process: Child,
    folder: Arc<Folder>,
    /// Its session ends its jobs with it.
    client: Option<Client>,
}

/// A folder that goes with the last server in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Hauler {
    /// A server whose command runs that script.
    pub(crate) async fn start(script: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("windlass-hauler-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("files")).unwrap();
        let (process, url) = launch(&folder, script);
        let mut hauler = Self { process, folder: Arc::new(Folder(folder)), client: None };
        let client = Client::connect(url).await.unwrap();
        client.action("haul", ()).await.unwrap();
        hauler.client = Some(client);
        hauler
    }

    /// Another server where this one was, which runs nothing yet.
    pub(crate) async fn again(&self) -> Self {
        let (process, _) = launch(self.path(), "exit 0");
        Self { process, folder: Arc::clone(&self.folder), client: None }
    }

    fn path(&self) -> &Path {
        &self.folder.0
    }

    /// The id that the script has written into that file, as soon as it has.
    pub(crate) async fn pid(&self, file: &str) -> u32 {
        let file = self.path().join("files").join(file);
        until(Instant::now() + PATIENCE, || file.exists()).await;
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// `kill -9`, to the server alone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the server to end, and waits for it.
    pub(crate) async fn stop(&mut self) {
        signal(self.process.id(), "TERM");
        let deadline = Instant::now() + PATIENCE;
        until(deadline, || self.process.try_wait().unwrap().is_some()).await;
    }

    /// The supervisor and the wardens of this server.
    pub(crate) fn guards(&self) -> Vec<u32> {
        let parent = |pid: &u32| status(*pid, "PPid:").and_then(|parent| parent.parse::<u32>().ok());
        let all = pids();
        let supervisors: Vec<_> = all.iter().copied().filter(|pid| parent(pid) == Some(self.process.id())).collect();
        let wardens = all.iter().copied().filter(|pid| parent(pid).is_some_and(|pid| supervisors.contains(&pid)));
        supervisors.iter().copied().chain(wardens).collect()
    }

    /// The processes that the command has started, wherever they are: its environment names this test's folder.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = format!("FILES={}", self.path().join("files").display());
        let is_marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        };
        pids().into_iter().filter(is_marked).collect()
    }

    /// How many runs have left a folder.
    pub(crate) fn runs(&self) -> usize {
        let entries = fs::read_dir(self.path().join("runs")).unwrap();
        entries.flatten().filter(|entry| entry.path().is_dir()).count()
    }
}

impl Drop for Hauler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process, when it listens, and its address.
fn launch(folder: &Path, script: &str) -> (Child, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_hauler"))
        .args(["--script", script, "--files"])
        .arg(folder.join("files"))
        .arg("--runs")
        .arg(folder.join("runs"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (process, line.trim().strip_prefix("listening on ").expect(&line).to_owned())
}

/// Looks again and again until it is so; a failure after the deadline.
pub(crate) async fn until(deadline: Instant, mut so: impl FnMut() -> bool) {
    while !so() {
        assert!(Instant::now() < deadline, "it is not so in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap().success());
}

pub(crate) fn is_running(pid: u32) -> bool {
    status(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}

pub(crate) fn group(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(2).unwrap().to_owned()
}

fn status(pid: u32, line: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|found| Some(found.strip_prefix(line)?.trim().to_owned()))
}

fn pids() -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
