//! An HTTP connection's deadlines: headers, another request, a response that nobody takes, a body that hardly comes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{Counters, Limits};
use crate::lock;

/// What a connection is doing, and since when.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the peer has taken nothing.
    stalled: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first request, or a later one that has begun, is not whole.
    Headers,
    /// A request is being answered.
    Busy,
    /// Another request may come.
    Idle,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Headers,
    KeepAlive,
    Write,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { phase: Phase::Headers, since: Instant::now(), stalled: None };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// A request has come whole.
    pub(crate) fn begin(&self) {
        self.enter(Phase::Busy);
    }

    fn enter(&self, phase: Phase) {
        let mut state = lock(&self.state);
        (state.phase, state.since) = (phase, Instant::now());
        drop(state);
        self.changed.notify_one();
    }

    fn has_read(&self) {
        if lock(&self.state).phase == Phase::Idle {
            self.enter(Phase::Headers);
        }
    }

    fn has_written(&self, is_stalled: bool) {
        let mut state = lock(&self.state);
        let before = state.stalled;
        state.stalled = is_stalled.then(|| before.unwrap_or_else(Instant::now));
        let began = before.is_none() && is_stalled;
        drop(state);
        if began {
            self.changed.notify_one();
        }
    }

    /// Waits until the connection has taken longer than it may.
    pub(crate) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            let state = *lock(&self.state);
            let phase = match state.phase {
                Phase::Headers => Some((state.since + limits.headers_time_max, Overdue::Headers)),
                Phase::Idle => Some((state.since + limits.keep_alive, Overdue::KeepAlive)),
                Phase::Busy => None,
            };
            let write = state.stalled.map(|since| (since + limits.write_stall_max, Overdue::Write));
            let first = phase.into_iter().chain(write).min_by_key(|(at, _)| *at);
            let changed = self.changed.notified();
            match first {
                Some((at, overdue)) if at <= Instant::now() => return overdue,
                Some((at, _)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }
}

/// The stream of a connection, whose progress is watched.
#[derive(Debug)]
pub(crate) struct Watched<IO> {
    io: IO,
    progress: Arc<Progress>,
}

impl<IO> Watched<IO> {
    pub(crate) fn new(io: IO, progress: Arc<Progress>) -> Self {
        Self { io, progress }
    }

    /// The stream alone: what it has become has deadlines of its own.
    pub(crate) fn into_inner(self) -> IO {
        self.io
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.io).poll_read(task, into);
        if into.filled().len() > before {
            self.progress.has_read();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(task, bytes);
        self.progress.has_written(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(task, bytes);
        self.progress.has_written(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}

/// The body of a response: when it is through, the connection waits for another request.
pub(crate) struct Answer {
    body: Body,
    progress: Arc<Progress>,
}

impl Answer {
    pub(crate) fn new(body: Body, progress: Arc<Progress>) -> Self {
        Self { body, progress }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.enter(Phase::Idle);
    }
}

/// The body of a request, which fails when it comes too slowly.
pub(crate) struct Paced {
    body: Incoming,
    bytes_per_second: u32,
    began: Option<Instant>,
    bytes: u64,
    sleep: Option<Pin<Box<Sleep>>>,
    counters: Arc<Counters>,
}

impl Paced {
    pub(crate) fn new(body: Incoming, limits: &Limits, counters: &Arc<Counters>) -> Self {
        let bytes_per_second = limits.body_bytes_per_second_min;
        Self { body, bytes_per_second, began: None, bytes: 0, sleep: None, counters: Arc::clone(counters) }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(task) {
            let frame = frame.map(|frame| frame.map_err(io::Error::other));
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
                this.bytes += data.len() as u64;
            }
            return Poll::Ready(frame);
        }
        if this.bytes_per_second == 0 {
            return Poll::Pending;
        }
        // It counts from when somebody reads: a handler that does not is not the peer's fault.
        let began = *this.began.get_or_insert_with(Instant::now);
        let due = began + BODY_FIRST + Duration::from_secs_f64(this.bytes as f64 / f64::from(this.bytes_per_second));
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        std::task::ready!(sleep.as_mut().poll(task));
        this.counters.bodies_slow.add();
        let text = format!("the body came with less than {} bytes a second", this.bytes_per_second);
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, text))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body may take so long to begin.
const BODY_FIRST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn within(progress: &Progress) -> (Overdue, u64) {
        let began = Instant::now();
        let overdue = progress.overdue(&Limits::default()).await;
        (overdue, began.elapsed().as_secs())
    }

    /// BOUNDED
    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time() {
        let progress = Progress::new();
        assert_eq!(within(&progress).await, (Overdue::Headers, 10));
        progress.begin();
        assert!(tokio::time::timeout(Duration::from_secs(3_600), within(&progress)).await.is_err(), "it is answered");
        drop(Answer::new(Body::empty(), Arc::clone(&progress)));
        assert_eq!(within(&progress).await, (Overdue::KeepAlive, 30));
    }

    /// BOUNDED
    #[tokio::test(start_paused = true)]
    async fn a_request_that_begins_late_has_the_time_of_headers_from_then() {
        let (mut peer, io) = tokio::io::duplex(64);
        let progress = Progress::new();
        let mut watched = Watched::new(io, Arc::clone(&progress));
        drop(Answer::new(Body::empty(), Arc::clone(&progress)));
        let late = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            peer.write_all(b"G").await.unwrap();
            watched.read_u8().await.unwrap();
        };
        let (overdue, ()) = tokio::join!(within(&progress), late);
        assert_eq!(overdue, (Overdue::Headers, 35));
    }

    /// BOUNDED
    #[tokio::test(start_paused = true)]
    async fn a_response_that_nobody_takes_is_given_up_and_one_that_is_taken_slowly_is_not() {
        let (mut peer, io) = tokio::io::duplex(8);
        let progress = Progress::new();
        let mut watched = Watched::new(io, Arc::clone(&progress));
        progress.begin();
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                peer.read_exact(&mut [0; 8]).await.unwrap();
            }
            Instant::now()
        };
        let writes = async { watched.write_all(&[0; 200]).await };
        let (began, limits) = (Instant::now(), Limits::default());
        let ended = tokio::select! {
            _ = writes => unreachable!("nobody reads all of it"),
            (overdue, slow) = async { tokio::join!(progress.overdue(&limits), slow) } => {
                assert_eq!(overdue, Overdue::Write);
                slow
            }
        };
        assert_eq!((ended - began).as_secs(), 200, "the peer was served as long as it read");
        assert_eq!(began.elapsed().as_secs(), 230);
    }
}
