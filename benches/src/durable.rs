//! What a disk costs: throughput with sessions saved over the same without, bytes written an action, and the time until ten
//! thousand sessions are whole after the server was killed.
//!
//! Two servers of one app live side by side on the same core, one with a data folder; the generator has another core, and
//! slices alternate. For the restart a server is killed with `kill -9`, started again on its folder, and every client
//! comes back to its session.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use windlass::prelude::{App, Deserialize, Serialize};
use windlass_client::{ActionOptions, Client, Identity, Until};

use crate::child::Server;
use crate::pairs::{PAIRS, Spread, ours_first};
use crate::peer::{Dialect, Peer};
use crate::report::Report;
use crate::{Result, machine};

/// How many sessions keep the servers busy.
const SESSIONS: usize = 64;
const SLICE: Duration = Duration::from_secs(1);
const RATIO_MIN: f64 = 0.9;
/// How many sessions come back.
const CROWD: usize = 10_000;
const WHOLE_SECONDS_MAX: f64 = 10.0;
/// Clients that connect at the same time.
const AT_ONCE: usize = 64;
/// Where the server keeps its sessions.
const DATA: &str = "WINDLASS_BENCH_DATA";

/// About 1 KB as JSON, of which an action changes a number.
#[derive(Clone, Deserialize, Serialize)]
struct Notes {
    count: u64,
    lines: Vec<Box<str>>,
}

fn notes() -> Notes {
    let line = |number: usize| format!("{number:05} a line of about fifty bytes, as a note is.").into_boxed_str();
    Notes { count: 0, lines: (0..20).map(line).collect() }
}

/// The server, with a folder if it is given one.
pub(crate) async fn serve() -> Result<()> {
    let app = App::new(notes).limits(crate::unhurried()).action("add", |state, _cx, by: u64| state.count += by);
    let app = match std::env::var_os(DATA) {
        Some(folder) => app.data_dir(folder),
        None => app,
    };
    app.serve("127.0.0.1:0").await.map_err(|error| format!("{error:?}").into())
}

/// A folder that goes with the bench.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("windlass-bench-{name}-{}", std::process::id())))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(folder: Option<&Folder>, core: usize) -> Result<Server> {
    Server::start_with("durable", core, folder.map(|folder| (DATA, folder.path())))
}

pub(crate) fn run() -> Result<Report> {
    let files = machine::raise_open_files()?;
    if files < CROWD as u64 + 100 {
        return Err(format!("{CROWD} sessions need more than {files} open files: raise `ulimit -n`").into());
    }
    let cores = machine::cores()?;
    let (server_core, generator_core) = (cores[0], *cores.last().expect("there is a core that runs this"));
    machine::pin(generator_core)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report::of("durable");
        throughput(server_core, &mut report).await?;
        restart(server_core, &mut report).await?;
        Ok(report)
    })
}

/// One slice.
struct Measured {
    turns: f64,
    seconds: f64,
    cpu: f64,
    written: f64,
}

async fn throughput(core: usize, report: &mut Report) -> Result<()> {
    let folder = Folder::new("throughput");
    let (on, off) = (start(Some(&folder), core)?, start(None, core)?);
    let mut saved = Load::connect(&on.address).await?;
    let mut unsaved = Load::connect(&off.address).await?;
    measure(&on, &mut saved).await?;
    measure(&off, &mut unsaved).await?;
    let mut pairs = Vec::with_capacity(PAIRS);
    for pair in 0..PAIRS {
        eprintln!("{SESSIONS} sessions: pair {} of {PAIRS}", pair + 1);
        let first = if ours_first(pair) { Some(measure(&on, &mut saved).await?) } else { None };
        let unsaved = measure(&off, &mut unsaved).await?;
        let saved = match first {
            Some(first) => first,
            None => measure(&on, &mut saved).await?,
        };
        pairs.push([saved, unsaved]);
    }
    let spread = |figure: &dyn Fn(&[Measured; 2]) -> f64| Spread::of(pairs.iter().map(figure));
    let per_second = |measured: &Measured| measured.turns / measured.seconds;
    let per_cpu = |measured: &Measured| measured.turns / measured.cpu;
    let ratio = spread(&|[on, off]| per_second(on) / per_second(off));
    report.at_least("turns_per_second_ratio", ratio, RATIO_MIN);
    report.at_least("turns_per_cpu_second_ratio", spread(&|[on, off]| per_cpu(on) / per_cpu(off)), RATIO_MIN);
    report.spread("turns_per_second", spread(&|[on, _]| per_second(on)));
    report.spread("turns_per_second_unsaved", spread(&|[_, off]| per_second(off)));
    report.spread("bytes_written_an_action", spread(&|[on, _]| on.written / on.turns));
    report.spread("bytes_written_a_second", spread(&|[on, _]| on.written / on.seconds));
    Ok(())
}

async fn measure(server: &Server, load: &mut Load) -> Result<Measured> {
    let (cpu, written, began) = (server.cpu_time()?, server.written()?, Instant::now());
    let turns = load.run(SLICE).await?;
    let seconds = began.elapsed().as_secs_f64();
    // What is shown and not yet saved is part of what the slice costs.
    tokio::time::sleep(SAVED_AFTER).await;
    Ok(Measured {
        turns: turns as f64,
        seconds,
        cpu: server.cpu_time()?.saturating_sub(cpu).as_secs_f64(),
        written: (server.written()? - written) as f64,
    })
}

/// Connected sessions, idle but during [`Load::run`]. They end with it.
struct Load {
    open: watch::Sender<bool>,
    done: mpsc::Receiver<Result<usize>>,
}

impl Load {
    async fn connect(address: &str) -> Result<Self> {
        let (open, gate) = watch::channel(false);
        let (results, done) = mpsc::channel(SESSIONS);
        for number in 0..SESSIONS {
            let peer = Peer::connect(address, Dialect::Windlass, number).await?;
            tokio::spawn(act(peer, gate.clone(), results.clone()));
        }
        Ok(Self { open, done })
    }

    /// Opens the gate for this long and returns when every session is idle again; how many actions were answered.
    async fn run(&mut self, length: Duration) -> Result<usize> {
        self.open.send_replace(true);
        tokio::time::sleep(length).await;
        self.open.send_replace(false);
        let mut turns = 0;
        for _ in 0..SESSIONS {
            turns += self.done.recv().await.ok_or("the sessions ended")??;
        }
        Ok(turns)
    }
}

/// Acts while the gate is open, and says how often each time it closes.
async fn act(mut peer: Peer, mut gate: watch::Receiver<bool>, results: mpsc::Sender<Result<usize>>) {
    while gate.wait_for(|open| *open).await.is_ok() {
        let mut turns = 0;
        let result = loop {
            if !*gate.borrow() {
                break Ok(turns);
            }
            match one(&mut peer).await {
                Ok(()) => turns += 1,
                Err(error) => break Err(error),
            }
        };
        let failed = result.is_err();
        if results.send(result).await.is_err() || failed {
            return;
        }
    }
}

/// Sends an action and reads until it is answered: with a disk other frames come as well, which say what is saved.
async fn one(peer: &mut Peer) -> Result<()> {
    peer.ask("add", 1).await?;
    let answer = format!(r#"[["count",{}]]"#, peer.seq);
    loop {
        let text = peer.receive().await?;
        if !text.starts_with(r#"["d""#) {
            continue;
        }
        peer.take(&text).await?;
        if text.contains(&answer) {
            return Ok(());
        }
    }
}

async fn restart(core: usize, report: &mut Report) -> Result<()> {
    let folder = Folder::new("restart");
    let server = start(Some(&folder), core)?;
    let address = server.address.clone();
    eprintln!("{CROWD} sessions begin");
    let strangers = (0..CROWD).map(|_| None).collect();
    let crowd = each(strangers, address, |client| async move {
        let options = ActionOptions { until: Until::Saved, ..ActionOptions::default() };
        client.send_with("add", 1, options)?.await?;
        Ok(())
    });
    let crowd = crowd.await?;
    // With SIGKILL.
    drop(server);
    let began = Instant::now();
    let server = start(Some(&folder), core)?;
    let listening = began.elapsed().as_secs_f64();
    eprintln!("{CROWD} sessions come back");
    let (address, known) = (server.address.clone(), crowd.into_iter().map(Some).collect());
    let crowd = each(known, address, |client| async move {
        let count = client.wait_for(|document| document["count"].as_u64()).await;
        let lines = client.read(|document| document["lines"].as_array().map(Vec::len));
        // Another session would begin with 0.
        if (count, lines) != (Some(1), Some(20)) {
            return Err(format!("a session is not whole: {count:?}, {lines:?}").into());
        }
        Ok(())
    });
    let crowd = crowd.await?.len();
    let whole = began.elapsed().as_secs_f64();
    if crowd != CROWD {
        return Err(format!("{crowd} of {CROWD} came back").into());
    }
    report.at_most("seconds_until_10000_sessions_are_whole", Spread::of([whole]), WHOLE_SECONDS_MAX);
    report.spread("seconds_until_it_listens_again", Spread::of([listening]));
    Ok(())
}

/// Connects a client for each identity, some at a time, does something with each, and gives back who they are.
async fn each<F: Future<Output = Result<()>> + Send>(
    identities: Vec<Option<Identity>>,
    address: String,
    then: impl Fn(Client) -> F + Copy + Send + 'static,
) -> Result<Vec<Identity>> {
    let left = Arc::new(Mutex::new(identities));
    let mut running = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, url) = (Arc::clone(&left), format!("http://{address}"));
        running.spawn(async move {
            let mut through = Vec::new();
            loop {
                let Some(identity) = left.lock().await.pop() else { return Result::Ok(through) };
                let mut builder = Client::builder(url.clone());
                if let Some(identity) = identity {
                    builder = builder.identity(identity);
                }
                let client = builder.connect().await?;
                then(client.clone()).await?;
                through.push(client.identity());
                client.close().await;
            }
        });
    }
    let mut all = Vec::new();
    while let Some(through) = running.join_next().await {
        all.extend(through??);
    }
    Ok(all)
}

/// `unsaved_max`, and the commit.
const SAVED_AFTER: Duration = Duration::from_millis(300);
