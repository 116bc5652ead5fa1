//! What the driver of a session hands to the task of a connection, or to its socket while that task has nothing to do.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::net::tcp::OwnedWriteHalf;
use windlass_engine::ConnectionId;
use windlass_protocol::{Close, Dialect};

use crate::lock;
use crate::pen::Pen;
use crate::socket::{self, Text};

/// Where a connection's task finds what it has to send. Bounded: the engine sends one numbered frame until
/// [`Outlet::set_flushed`] says that it has left, and a connection with a full outlet is not read.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) id: ConnectionId,
    /// What was negotiated, and so how its messages are read.
    pub(crate) dialect: Dialect,
    frames: Mutex<Frames>,
    /// How much `frames` holds, the close counted as one: a poll that finds nothing takes no lock.
    len: AtomicUsize,
    flushed: AtomicBool,
    /// Messages of this connection that wait in the session's inbox.
    waiting: AtomicUsize,
    waker: AtomicWaker,
    /// Where the frames go in the end, as long as the connection is there and is a bare socket. Only who has the pen
    /// writes.
    wire: Mutex<Option<OwnedWriteHalf>>,
    pub(crate) pen: Pen,
}

#[derive(Debug, Default)]
struct Frames {
    /// The next one, and mostly the only one.
    next: Option<Text>,
    more: VecDeque<Text>,
    close: Option<Close>,
}

impl Outlet {
    pub(crate) fn new(id: ConnectionId, dialect: Dialect) -> Self {
        Self {
            id,
            dialect,
            frames: Mutex::default(),
            len: AtomicUsize::new(0),
            flushed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
            wire: Mutex::default(),
            pen: Pen::default(),
        }
    }

    /// One whose frames may be written by whoever has them.
    pub(crate) fn on_wire(id: ConnectionId, dialect: Dialect, wire: OwnedWriteHalf) -> Self {
        Self { wire: Mutex::new(Some(wire)), ..Self::new(id, dialect) }
    }

    /// The connection is over; its socket closes when its other half goes too.
    pub(crate) fn hang_up(&self) {
        if let Some(wire) = lock(&self.wire).take() {
            // It says no good-bye of its own: that is the connection's, which had its reasons.
            wire.forget();
        }
    }

    /// For the connection's task, while it has the pen.
    pub(crate) fn with_wire<T>(
        &self,
        write: impl FnOnce(&mut OwnedWriteHalf) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut *lock(&self.wire) {
            Some(wire) => write(wire),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Writes a frame, or puts it where the connection's task finds it when that has the pen or the socket is full.
    pub(crate) fn send(&self, frame: Bytes) {
        if !self.pen.borrow() {
            self.push(frame);
            self.wake();
            return;
        }
        let sent = if self.is_empty() { self.try_write(&frame) } else { 0 };
        let is_whole = sent == socket::frame_len(frame.len());
        if is_whole {
            self.set_flushed();
        } else {
            self.push_text(Text { payload: frame, sent });
        }
        if self.pen.give_back() || !is_whole {
            self.wake();
        }
    }

    /// How many bytes of a frame the socket takes at once. An error is for the connection's task, which meets it too.
    fn try_write(&self, frame: &Bytes) -> usize {
        lock(&self.wire).as_ref().and_then(|wire| socket::try_write(wire, frame).ok()).unwrap_or(0)
    }

    pub(crate) fn push(&self, frame: Bytes) {
        self.push_text(frame.into());
    }

    fn push_text(&self, frame: Text) {
        let mut frames = lock(&self.frames);
        match frames.next {
            None => frames.next = Some(frame),
            Some(_) => frames.more.push_back(frame),
        }
        drop(frames);
        self.len.fetch_add(1, Ordering::Release);
    }

    /// Ends the connection after what is queued.
    pub(crate) fn close(&self, close: Close) {
        let mut frames = lock(&self.frames);
        if frames.close.is_none() {
            frames.close = Some(close);
            self.len.fetch_add(1, Ordering::Release);
        }
    }

    pub(crate) fn pop(&self) -> Option<Text> {
        if self.is_empty() {
            return None;
        }
        let mut frames = lock(&self.frames);
        let frame = frames.next.take()?;
        frames.next = frames.more.pop_front();
        if frames.next.is_none() {
            // A burst of frames is over; an idle connection keeps no room for it.
            frames.more = VecDeque::new();
        }
        self.len.fetch_sub(1, Ordering::Release);
        Some(frame)
    }

    pub(crate) fn closing(&self) -> Option<Close> {
        if self.is_empty() { None } else { lock(&self.frames).close }
    }

    /// Whether there is nothing to send, not even a close.
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len.load(Ordering::Acquire) >= FRAMES_MAX
    }

    /// So many messages were put into the inbox.
    pub(crate) fn add_waiting(&self, messages: usize) {
        self.waiting.fetch_add(messages, Ordering::AcqRel);
    }

    /// One was taken out. The last one wakes the connection's task, which may have stopped reading.
    pub(crate) fn take_waiting(&self) {
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake();
        }
    }

    /// How many messages wait: what comes after them has to wait as well.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Makes the connection's task look here.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Registers the task that polls.
    ///
    /// Every poll does, before it looks: that a waker was used up cannot be noted beside it in one step, and a poll in
    /// between would go to sleep with none. For a task that is registered already it costs two atomic steps.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// The socket has taken everything.
    pub(crate) fn set_flushed(&self) {
        self.flushed.store(true, Ordering::Release);
    }

    /// Whether it has, and nobody has asked.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flushed.load(Ordering::Acquire)
    }

    /// Whether it has since this was last asked.
    pub(crate) fn take_flushed(&self) -> bool {
        self.is_flushed() && self.flushed.swap(false, Ordering::AcqRel)
    }
}

/// More than a window holds of small frames is never under way; what comes beyond are answers to pings.
const FRAMES_MAX: usize = 64;
