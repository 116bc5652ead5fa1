//! One direction of a connection: reads, holds back, and writes.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use crate::link::{Flow, Link, later};
use crate::plan::{Direction, Way};
use crate::random::Random;

pub(crate) struct Pump<'a> {
    link: &'a Link,
    direction: Direction,
    way: Way,
    random: Random,
    /// What was read and not written, each with when it is due.
    held: VecDeque<(Instant, Vec<u8>)>,
    held_bytes: usize,
    /// When the rate allows the next byte.
    free_at: Instant,
    passed: u64,
}

impl<'a> Pump<'a> {
    pub(crate) fn new(link: &'a Link, direction: Direction, way: Way, seed: u64) -> Self {
        let random = Random::new(seed ^ direction as u64);
        let free_at = Instant::now();
        Self { link, direction, way, random, held: VecDeque::new(), held_bytes: 0, free_at, passed: 0 }
    }

    /// Until the end of the stream was forwarded.
    pub(crate) async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut state = self.link.watch();
        let mut buffer = vec![0; 16 * 1024];
        let mut is_read = false;
        loop {
            if let Some(cut) = self.way.cut.take_if(|cut| cut.after == self.passed) {
                self.link.fault_of(cut.fault, Some(self.direction));
            }
            let now = *state.borrow_and_update();
            if now.end.is_some() {
                // The link ends both directions.
                return pending().await;
            }
            if now.flow == Flow::Lost {
                self.held.clear();
                self.held_bytes = 0;
                if is_read {
                    // Nobody hears of that end.
                    return Ok(());
                }
            }
            if is_read && self.held.is_empty() && now.flow == Flow::Forwarded {
                to.shutdown().await?;
                return Ok(());
            }
            let reads = !is_read && now.flow != Flow::Frozen && self.held_bytes < HELD_BYTES_MAX;
            let (writes, piece) = (now.flow == Flow::Forwarded && !self.held.is_empty(), self.piece());
            let due = self.held.front().map_or(self.free_at, |(due, _)| self.free_at.max(*due));
            tokio::select! {
                changed = state.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                read = from.read(&mut buffer), if reads => match read {
                    Ok(0) => is_read = true,
                    Ok(bytes) => self.hold(&buffer[..bytes]),
                    Err(_) if now.flow == Flow::Lost => is_read = true,
                    Err(error) => return Err(error),
                },
                written = async { sleep_until(due).await; to.write(piece).await }, if writes => {
                    let bytes = written?;
                    self.written(bytes);
                }
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let jitter = Duration::from_micros(self.random.below(self.way.jitter.as_micros() as u64 + 1));
        let due = later(self.way.latency + jitter);
        // What comes later never overtakes.
        let due = self.held.back().map_or(due, |(before, _)| due.max(*before));
        self.held_bytes += bytes.len();
        self.held.push_back((due, bytes.to_vec()));
    }

    /// What may be written at once.
    fn piece(&self) -> &[u8] {
        let Some((_, bytes)) = self.held.front() else { return &[] };
        let mut size = bytes.len().min(self.way.slice_max.unwrap_or(usize::MAX));
        if let Some(rate) = self.way.bytes_per_second {
            size = size.min((rate / PIECES_PER_SECOND).max(1) as usize);
        }
        if let Some(cut) = self.way.cut {
            size = size.min(usize::try_from(cut.after - self.passed).unwrap_or(usize::MAX));
        }
        &bytes[..size]
    }

    fn written(&mut self, bytes: usize) {
        if let Some((_, front)) = self.held.front_mut() {
            front.drain(..bytes);
            if front.is_empty() {
                self.held.pop_front();
            }
        }
        self.held_bytes -= bytes;
        self.passed += bytes as u64;
        if let Some(rate) = self.way.bytes_per_second {
            self.free_at = self.free_at.max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        }
        self.link.pass(self.direction, bytes);
    }
}

/// What a direction holds back at most; beyond it the sender is not read.
const HELD_BYTES_MAX: usize = 1024 * 1024;
/// A rate is kept to in pieces of so much of a second.
const PIECES_PER_SECOND: u64 = 50;
