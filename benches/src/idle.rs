//! What a connected session that does nothing costs its server in memory, all included.
//!
//! The server is a child process; a figure is the growth of its resident memory over the moment when
//! it listened and nobody was there, shared among the sessions: state, shadow, ring, task, buffers,
//! tables and what the allocator wastes. A session holds 1 KB of state; then each page has its state
//! grown to 60 KB, gets it as a snapshot, and has it shrunk again.

use std::time::Duration;

use windlass::prelude::{App, Serialize};

use crate::child::Server;
use crate::pairs::Spread;
use crate::peer::{Dialect, Peer};
use crate::report::Report;
use crate::{Result, machine};

/// How many sessions are connected, each in a server of its own.
const CROWDS: [usize; 2] = [2_000, 10_000];
const STATE_BYTES: usize = 1_000;
const LARGE_BYTES: usize = 60_000;
const IDLE_MAX: f64 = 6.0 * 1024.0;
const AFTER_SNAPSHOT_MAX: f64 = 12.0 * 1024.0;
/// Pages that a task plays, one after the other.
const PAGES_A_TASK: usize = 250;

#[derive(Clone, Serialize)]
struct Notes {
    lines: Vec<Box<str>>,
}

/// About that many bytes as JSON, in lines as people write them.
fn notes(bytes: usize) -> Notes {
    // Of their exact size: how an app allocates its own state is not what is measured.
    let line = |number: usize| format!("{number:05} a line of about fifty bytes, as a note is.").into_boxed_str();
    Notes { lines: (0..bytes / 50).map(line).collect() }
}

pub(crate) async fn serve() -> Result<()> {
    App::new(|| notes(STATE_BYTES))
        .action("fill", |state, _cx, bytes: usize| *state = notes(bytes))
        .serve("127.0.0.1:0")
        .await
        .map_err(|error| format!("{error:?}").into())
}

pub(crate) fn run() -> Result<Report> {
    let files = machine::raise_open_files()?;
    let cores = machine::cores()?;
    let mut report = Report::of("idle");
    for sessions in CROWDS {
        if files < sessions as u64 + 100 {
            return Err(format!("{sessions} sessions need more than {files} open files: raise `ulimit -n`").into());
        }
        let server = Server::start("idle", cores[0])?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(measure(&server, sessions, &mut report))?;
    }
    Ok(report)
}

async fn measure(server: &Server, sessions: usize, report: &mut Report) -> Result<()> {
    // Not the first touch of code and of tables that every server has once.
    drop(Peer::connect(&server.address, Dialect::Windlass, 0).await?);
    let before = settled(server).await?;
    let each = |resident: u64| Spread::of([resident.saturating_sub(before) as f64 / sessions as f64]);

    let mut tasks = Vec::new();
    for first in (0..sessions).step_by(PAGES_A_TASK) {
        let address = server.address.clone();
        tasks.push(tokio::spawn(async move {
            let mut peers = Vec::new();
            for number in first..sessions.min(first + PAGES_A_TASK) {
                peers.push(Peer::connect(&address, Dialect::Windlass, number + 1).await?);
            }
            Result::Ok(peers)
        }));
    }
    let mut crowd = Vec::new();
    for task in tasks {
        crowd.push(task.await??);
    }
    report.at_most(&format!("bytes_a_session_of_{sessions}"), each(settled(server).await?), IDLE_MAX);

    let mut tasks = Vec::new();
    for mut peers in crowd {
        tasks.push(tokio::spawn(async move {
            for peer in &mut peers {
                swell(peer).await?;
            }
            Result::Ok(peers)
        }));
    }
    let mut crowd = Vec::new();
    for task in tasks {
        crowd.push(task.await??);
    }
    let metric = format!("bytes_a_session_of_{sessions}_after_60_kb");
    report.at_most(&metric, each(settled(server).await?), AFTER_SNAPSHOT_MAX);
    Ok(())
}

/// Grows the state of one page, takes it as a snapshot, and shrinks it again.
async fn swell(peer: &mut Peer) -> Result<()> {
    for bytes in [LARGE_BYTES, STATE_BYTES] {
        peer.ask("fill", bytes).await?;
        peer.frame().await?;
        peer.acknowledge().await?;
        if bytes == LARGE_BYTES {
            let len = peer.refetch().await?;
            if len < LARGE_BYTES * 9 / 10 {
                return Err(format!("a snapshot of {len} bytes is none of {LARGE_BYTES}").into());
            }
        }
    }
    Ok(())
}

/// The resident memory once it no longer changes: the last acks have arrived, what was done is let go.
async fn settled(server: &Server) -> Result<u64> {
    let (mut last, mut same) = (server.resident()?, 0);
    while same < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = server.resident()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}
