//! What the driver of a session hands to the task of a connection.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use windlass_engine::ConnectionId;
use windlass_protocol::Close;

use crate::lock;

/// Where a connection's task finds what it has to send. Bounded: the engine sends one numbered frame until
/// [`Outlet::flushed`] says that it has left, and a connection with a full outlet is not read.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) id: ConnectionId,
    frames: Mutex<Frames>,
    flushed: AtomicBool,
    pub(crate) waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Frames {
    queue: VecDeque<Bytes>,
    close: Option<Close>,
}

impl Outlet {
    pub(crate) fn new(id: ConnectionId) -> Self {
        Self { id, frames: Mutex::default(), flushed: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    pub(crate) fn push(&self, frame: Bytes) {
        lock(&self.frames).queue.push_back(frame);
    }

    /// Ends the connection after what is queued.
    pub(crate) fn close(&self, close: Close) {
        lock(&self.frames).close.get_or_insert(close);
    }

    pub(crate) fn pop(&self) -> Option<Bytes> {
        let mut frames = lock(&self.frames);
        let frame = frames.queue.pop_front();
        if frames.queue.is_empty() && frames.queue.capacity() > 4 {
            // A burst of replayed frames is over; an idle connection keeps no room for it.
            frames.queue = VecDeque::new();
        }
        frame
    }

    pub(crate) fn closing(&self) -> Option<Close> {
        lock(&self.frames).close
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.frames).queue.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        lock(&self.frames).queue.len() >= FRAMES_MAX
    }

    /// The socket has taken everything.
    pub(crate) fn set_flushed(&self) {
        self.flushed.store(true, Ordering::Release);
    }

    /// Whether it has since this was last asked.
    pub(crate) fn take_flushed(&self) -> bool {
        self.flushed.load(Ordering::Acquire) && self.flushed.swap(false, Ordering::AcqRel)
    }
}

/// More than a window holds of small frames is never under way; what comes beyond are answers to pings.
const FRAMES_MAX: usize = 64;
