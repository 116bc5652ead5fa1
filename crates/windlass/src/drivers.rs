//! The tasks that run sessions' turns when no connection brings them: updates, broadcasts, reports of jobs.
//!
//! A change to each of many sessions is one task that goes through them, and not a wake-up of each one's. Between
//! slices it lets the sockets be asked, so that whoever acts meanwhile waits for a slice and not for the whole.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::cell::Cell;
use crate::hub::Hub;
use crate::pace::Driving;
use crate::program::State;
use crate::{lock, pace};

/// The sessions of which a driver was called, and how many drivers there are.
pub(crate) struct Drivers<S: State> {
    called: Mutex<Called<S>>,
    /// As many as the runtime has threads: one whose turn blocks its thread holds up no more than that.
    max: usize,
}

struct Called<S: State> {
    cells: VecDeque<Arc<Cell<S>>>,
    drivers: usize,
}

impl<S: State> Drivers<S> {
    pub(crate) fn new(max: usize) -> Self {
        Self { called: Mutex::new(Called { cells: VecDeque::new(), drivers: 0 }), max }
    }

    /// Puts a session in line. Whether the caller is to start a driver.
    pub(crate) fn add(&self, cell: Arc<Cell<S>>) -> bool {
        let mut called = lock(&self.called);
        called.cells.push_back(cell);
        let starts = called.drivers < self.max;
        called.drivers += usize::from(starts);
        starts
    }

    /// The next session; when there is none, whoever asks is no driver any more.
    fn next(&self) -> Option<Arc<Cell<S>>> {
        let mut called = lock(&self.called);
        let cell = called.cells.pop_front();
        if cell.is_none() {
            called.drivers -= 1;
            if called.cells.capacity() > KEPT {
                called.cells = VecDeque::new();
            }
        }
        cell
    }

    /// A driver's turn is about to take long: meanwhile it counts as none. Whether another is to be started.
    fn step_out(&self) -> bool {
        let mut called = lock(&self.called);
        called.drivers -= 1;
        let starts = !called.cells.is_empty() && called.drivers < self.max;
        called.drivers += usize::from(starts);
        starts
    }

    /// It goes on.
    fn step_in(&self) {
        lock(&self.called).drivers += 1;
    }
}

impl<S: State> Driving for Hub<S> {
    fn step_out(self: Arc<Self>) {
        if self.drivers.step_out() {
            self.start_driver();
        }
    }

    fn step_in(&self) {
        self.drivers.step_in();
    }
}

/// Runs turns until no session waits for one.
pub(crate) async fn drive<S: State>(hub: Arc<Hub<S>>) {
    while pace::driving(&hub, || slice(&hub)) {
        tokio::task::yield_now().await;
    }
}

/// Runs turns for a while. Whether there may be more to do.
fn slice<S: State>(hub: &Hub<S>) -> bool {
    let began = Instant::now();
    for done in 1_u32.. {
        let Some(cell) = hub.drivers.next() else { return false };
        cell.run_if_called();
        if done.is_multiple_of(TURNS_A_LOOK) && began.elapsed() >= SLICE {
            break;
        }
    }
    true
}

/// How many turns go by between looks at the clock.
const TURNS_A_LOOK: u32 = 4;

/// After which the sockets are asked: what an action may have to wait for beyond what it would.
const SLICE: Duration = Duration::from_micros(50);
/// Room for so many that wait is kept.
const KEPT: usize = 1_024;
