//! The pen of a socket, and what its outlet does with it: a driver that has frames, and the task of the connection.
//!
//! The pen is the file of `windlass` itself. Around it are a queue, a wire that loom watches, so that two who write at once
//! are seen, and the wake-ups of the connection's task.

use std::collections::VecDeque;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::check;
use crate::pen::Pen;

/// A frame, and whether half of it has left already.
type Frame = (u32, bool);

struct Outlet {
    pen: Pen,
    frames: Mutex<VecDeque<Frame>>,
    /// What has left. Only who has the pen touches it.
    wire: UnsafeCell<Vec<u32>>,
    /// The task was woken, and has not polled since.
    woken: AtomicBool,
    /// The socket takes half a frame of the next that is tried.
    is_tight: AtomicBool,
}

// SAFETY: `wire` is touched by whoever has the pen. That only one has it is what the models check: loom's cell panics
// when two threads are in it.
#[allow(unsafe_code, reason = "sharing the watched cell between threads is the point of the models")]
unsafe impl Sync for Outlet {}

impl Outlet {
    fn new(is_tight: bool) -> Arc<Self> {
        Arc::new(Self {
            pen: Pen::default(),
            frames: Mutex::new(VecDeque::new()),
            wire: UnsafeCell::new(Vec::new()),
            woken: AtomicBool::new(false),
            is_tight: AtomicBool::new(is_tight),
        })
    }

    fn write(&self, frame: u32) {
        // SAFETY: loom checks the access, and the pointer does not leave the closure.
        #[allow(unsafe_code, reason = "loom's cell hands out pointers")]
        self.wire.with_mut(|wire| unsafe { (*wire).push(frame) });
    }

    fn push(&self, frame: Frame) {
        self.frames.lock().expect("no model panics with it").push_back(frame);
    }

    fn is_empty(&self) -> bool {
        self.frames.lock().expect("no model panics with it").is_empty()
    }

    fn wake(&self) {
        // One step that reads and writes, as a waker's is: loom may let a plain store be passed by an earlier swap.
        self.woken.swap(true, Ordering::AcqRel);
    }

    /// As a driver sends a frame; it is the only one at a time, since it has the session's role.
    fn send(&self, frame: u32) {
        if !self.pen.borrow() {
            self.push((frame, false));
            self.wake();
            return;
        }
        let mut is_whole = false;
        if self.is_empty() {
            is_whole = !self.is_tight.swap(false, Ordering::AcqRel);
            if is_whole {
                self.write(frame);
            }
        }
        if !is_whole {
            self.push((frame, true));
        }
        if self.pen.give_back() || !is_whole {
            self.wake();
        }
    }

    /// One poll of the connection's task. Whoever wakes it later has it polled again.
    fn poll(&self, sends: Option<u32>) {
        if !self.pen.take() {
            // What it came for waits until it is woken.
            if let Some(frame) = sends {
                self.push((frame, false));
            }
            return;
        }
        if let Some(frame) = sends {
            self.push((frame, false));
        }
        loop {
            let next = self.frames.lock().expect("no model panics with it").pop_front();
            let Some((frame, _)) = next else { break };
            self.write(frame);
        }
        self.pen.lay_down();
    }

    /// The task polls as often as it was woken; then everything has left.
    fn wire(&self) -> Vec<u32> {
        while self.woken.swap(false, Ordering::AcqRel) {
            self.poll(None);
        }
        assert!(self.is_empty(), "a wake-up was lost");
        assert!(self.pen.borrow(), "the pen is left with nobody");
        // SAFETY: as in `write`.
        #[allow(unsafe_code, reason = "loom's cell hands out pointers")]
        self.wire.with(|wire| unsafe { (*wire).clone() })
    }
}

fn frames_while_the_task_polls(is_tight: bool) {
    check(move || {
        let outlet = Outlet::new(is_tight);
        let driver = Arc::clone(&outlet);
        let driver = thread::spawn(move || {
            driver.send(1);
            driver.send(2);
        });
        outlet.poll(None);
        if outlet.woken.swap(false, Ordering::AcqRel) {
            outlet.poll(None);
        }
        driver.join().expect("it does not panic");
        assert_eq!(outlet.wire(), [1, 2], "in order, and once");
    });
}

/// A driver sends two frames while the connection's task polls.
pub fn two_frames() {
    frames_while_the_task_polls(false);
}

/// The same, and the socket takes half of one of them.
pub fn half_a_frame() {
    frames_while_the_task_polls(true);
}

/// The task comes with something of its own, a ping, while a driver writes.
pub fn a_ping() {
    check(|| {
        let outlet = Outlet::new(false);
        outlet.poll(None);
        let driver = Arc::clone(&outlet);
        let driver = thread::spawn(move || driver.send(1));
        outlet.poll(Some(PING));
        driver.join().expect("it does not panic");
        let mut wire = outlet.wire();
        wire.sort_unstable();
        assert_eq!(wire, [1, PING]);
    });
}

/// A driver that does not look whether the task came in vain, to see that the models find it.
pub fn a_planted_driver_that_wakes_nobody() {
    check(|| {
        let outlet = Outlet::new(false);
        outlet.poll(None);
        let driver = Arc::clone(&outlet);
        let driver = thread::spawn(move || {
            if driver.pen.borrow() {
                driver.write(1);
                driver.pen.give_back();
            }
        });
        outlet.poll(Some(PING));
        driver.join().expect("it does not panic");
        outlet.wire();
    });
}

const PING: u32 = 9;
