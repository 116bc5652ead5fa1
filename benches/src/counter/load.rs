//! The generator: sessions that each send the next action when the last one is answered.
//!
//! It checks every answer byte for byte, so that a server that answers wrongly fast fails the run.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::Result;
use crate::peer::{Dialect, Peer};

/// What all sessions did in one slice.
#[derive(Default)]
pub(crate) struct Slice {
    /// Actions that were answered.
    pub(crate) turns: usize,
    /// From sending an action to its answer, in ascending order.
    pub(crate) sorted_micros: Vec<f64>,
}

/// Connected sessions, idle but during [`Load::run`]. They end with it.
pub(crate) struct Load {
    sessions: usize,
    open: watch::Sender<bool>,
    // A slice's round trips from each session, or why it could not go on.
    done: mpsc::Receiver<Result<Vec<f64>>>,
}

impl Load {
    pub(crate) async fn connect(address: &str, dialect: Dialect, sessions: usize) -> Result<Self> {
        let (open, gate) = watch::channel(false);
        let (results, done) = mpsc::channel(sessions);
        for number in 0..sessions {
            let peer = Peer::connect(address, dialect, number).await?;
            tokio::spawn(run(peer, gate.clone(), results.clone()));
        }
        Ok(Self { sessions, open, done })
    }

    /// Opens the gate for this long and returns when every session is idle again.
    pub(crate) async fn run(&mut self, length: Duration) -> Result<Slice> {
        self.open.send_replace(true);
        tokio::time::sleep(length).await;
        self.open.send_replace(false);
        let mut slice = Slice::default();
        for _ in 0..self.sessions {
            slice.sorted_micros.extend(self.done.recv().await.ok_or("the sessions ended")??);
        }
        slice.turns = slice.sorted_micros.len();
        slice.sorted_micros.sort_by(f64::total_cmp);
        Ok(slice)
    }
}

/// Acts while the gate is open, and says what it did each time it closes.
async fn run(mut peer: Peer, mut gate: watch::Receiver<bool>, results: mpsc::Sender<Result<Vec<f64>>>) {
    while gate.wait_for(|open| *open).await.is_ok() {
        let result = act_while_open(&mut peer, &gate).await;
        let failed = result.is_err();
        if results.send(result).await.is_err() || failed {
            return;
        }
    }
}

async fn act_while_open(peer: &mut Peer, gate: &watch::Receiver<bool>) -> Result<Vec<f64>> {
    let mut micros = Vec::new();
    while *gate.borrow() {
        let began = Instant::now();
        let count = peer.seq + 1;
        peer.act("add", "1", &format!(r#"[["count",{count}]]]"#)).await?;
        micros.push(began.elapsed().as_nanos() as f64 / 1_000.0);
    }
    Ok(micros)
}
