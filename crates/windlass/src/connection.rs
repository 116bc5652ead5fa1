//! One WebSocket: reads, writes and timers in one hand-written poll.
//!
//! Nothing here awaits a write alone: with a full socket turns go on, and only the walk stops.

use std::cell::Cell as Lent;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WsCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use windlass_engine::{Beat, Heartbeat};
use windlass_protocol::{ClientMessage, Close, CloseCode, Dialect};

use crate::cell::Cell;
use crate::guest::Guest;
use crate::hub::{BUSY_RETRY, Hub};
use crate::outlet::Outlet;
use crate::program::State;
use crate::rate::{Rate, RateOptions};
use crate::server::OpenConnection;
use crate::socket::{Shared, Socket, wire_len};
use crate::watched::Watched;

/// The life of a connection from the upgraded socket until it has found its session; the rest is a task of its own.
/// `guest` says who it is, or that they are turned away.
pub(crate) async fn serve<S: State>(
    hub: Arc<Hub<S>>,
    dialect: Dialect,
    upgraded: Upgraded,
    guest: Result<Guest, Close>,
) {
    let message_bytes_max = hub.options.message_bytes_max;
    // Nearly always a bare TCP stream, which is then worked on without the layers that carried it here.
    match upgraded.downcast::<TokioIo<Watched<TcpStream>>>() {
        Ok(parts) => {
            // Copied, and what hyper read into is dropped here: it would stay as long as the connection.
            let Parts { io, read_buf, .. } = parts;
            let read = read_buf.to_vec();
            drop(read_buf);
            let (from, to) = io.into_inner().into_inner().into_split();
            let outlet = Arc::new(Outlet::on_wire(hub.connection_id(), dialect, to));
            let shared = Shared { read: from, outlet: Arc::clone(&outlet) };
            greet(hub, outlet, Socket::new(shared, read, message_bytes_max), guest).await;
        }
        Err(upgraded) => {
            let outlet = Arc::new(Outlet::new(hub.connection_id(), dialect));
            greet(hub, outlet, Socket::new(TokioIo::new(upgraded), Vec::new(), message_bytes_max), guest).await;
        }
    }
}

/// Takes a connection as far as its session, and gives it a task that holds nothing else: it lives long, and most of
/// the time does nothing.
async fn greet<S: State, IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    hub: Arc<Hub<S>>,
    outlet: Arc<Outlet>,
    socket: Socket<IO>,
    guest: Result<Guest, Close>,
) {
    let (tasks, closing) = (hub.tasks.clone(), hub.closing.clone());
    let mut connection = Connection::new(hub, outlet, socket);
    match guest {
        Ok(mut guest) => {
            connection._open = guest.open.take();
            connection.guest = Some(Box::new(guest));
        }
        Err(close) => connection.outlet.close(close),
    }
    // Until hello nobody knows this connection, so that it listens for the end itself.
    let greeted = tokio::select! {
        greeted = poll_fn(|task| connection.drive(task, Until::Greeted)) => greeted,
        () = closing.cancelled() => {
            connection.outlet.close(crate::hub::draining());
            Ended::No
        }
    };
    if let Ended::No = greeted {
        if closing.is_cancelled() {
            connection.outlet.close(crate::hub::draining());
        }
        tasks.spawn(connection);
    }
}

struct Connection<S: State, IO> {
    hub: Arc<Hub<S>>,
    socket: Socket<IO>,
    outlet: Arc<Outlet>,
    cell: Option<Arc<Cell<S>>>,
    /// Who it is, until the session is found.
    guest: Option<Box<Guest>>,
    /// Counts the connection, as long as it is there.
    _open: Option<Arc<OpenConnection>>,
    /// Something was sent of which the session has not heard that it has left.
    unflushed: bool,
    /// The peer broke RFC 6455: the code of the RFC that the close says.
    broken: Option<WsCode>,
    phase: Phase,
    sleep: Pin<Box<Sleep>>,
    /// When the next ping is due, or before hello when it must have come.
    due: Instant,
    heartbeat: Heartbeat,
    rate: Rate,
    /// When reading goes on, after more came than may.
    reads_at: Option<Instant>,
    /// When the engine's timer is brought again, which somebody else is about to run.
    asks_again_at: Option<Instant>,
    /// When a message began that is not whole yet.
    begun: Option<Instant>,
    /// How many of the bytes that were read belong to whole messages, as far as is known.
    accounted: u64,
}

impl<S: State, IO: AsyncRead + AsyncWrite + Unpin> Future for Connection<S, IO> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        self.get_mut().drive(task, Until::Over).map(|_| ())
    }
}

/// However the task ends, by a panic in a library as well: a session that believes in a connection is never retired.
impl<S: State, IO> Drop for Connection<S, IO> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            cell.lost(self.outlet.id);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// A close was sent; the peer's is awaited.
    Closing,
}

/// How far a poll goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The session is found.
    Greeted,
    /// The connection is over.
    Over,
}

/// Whether a poll has come to the end of the connection.
enum Ended {
    Yes,
    No,
}

/// What reading found.
#[derive(Clone, Copy)]
enum Read {
    /// Messages, and perhaps there are more.
    Came,
    /// Messages, and then no more.
    CameAndDrained,
    /// Nothing was there.
    Drained,
    /// Nothing was asked for, or nothing more can be: there is no room, too much came, or the peer has erred.
    Held,
    /// The connection is over.
    Over,
}

/// What a part of the poll found.
enum Step {
    /// It waits for something.
    Waits,
    /// The connection is over.
    Over,
}

impl<S: State, IO: AsyncRead + AsyncWrite + Unpin> Connection<S, IO> {
    fn new(hub: Arc<Hub<S>>, outlet: Arc<Outlet>, socket: Socket<IO>) -> Self {
        let now = Instant::now();
        let due = now + HELLO_MAX;
        let rate = Rate::new(RateOptions::from(&hub.options.limits), now);
        Self {
            hub,
            socket,
            outlet,
            cell: None,
            guest: None,
            _open: None,
            unflushed: false,
            broken: None,
            phase: Phase::Open,
            sleep: Box::pin(tokio::time::sleep_until(due)),
            due,
            heartbeat: Heartbeat::default(),
            rate,
            reads_at: None,
            asks_again_at: None,
            begun: None,
            accounted: 0,
        }
    }

    fn end(&mut self) {
        if let Some(cell) = self.cell.take() {
            cell.lost(self.outlet.id);
        }
    }

    fn drive(&mut self, task: &mut Context<'_>, until: Until) -> Poll<Ended> {
        self.outlet.register(task.waker());
        if !self.outlet.pen.take() {
            // Whoever writes wakes this task when they have.
            return Poll::Pending;
        }
        let ended = self.drive_with_pen(task, until);
        if ended.is_pending() && self.phase == Phase::Open && self.cell.is_some() && self.nothing_to_send() {
            self.outlet.pen.lay_down();
        }
        ended
    }

    fn drive_with_pen(&mut self, task: &mut Context<'_>, until: Until) -> Poll<Ended> {
        let mut is_drained = false;
        for _ in 0..ROUNDS_MAX {
            if let Step::Over = self.write(task) {
                return Poll::Ready(Ended::Yes);
            }
            if let Some(cell) = &self.cell {
                if until == Until::Greeted {
                    return Poll::Ready(Ended::No);
                }
                if cell.is_called() || (cell.has_news() && !self.unflushed) {
                    cell.run_if_free(Some(self.outlet.id));
                }
            }
            // A socket that had no more to give wakes this task when it has: it is asked once a poll.
            let read = if is_drained { Read::Drained } else { self.read(task) };
            if let Step::Over = self.timers(task) {
                return Poll::Ready(Ended::Yes);
            }
            is_drained = matches!(read, Read::Drained | Read::CameAndDrained);
            match read {
                Read::Over => return Poll::Ready(Ended::Yes),
                // A turn may have left something to send.
                Read::Came | Read::CameAndDrained => {}
                // With a full socket what is queued waits for it.
                Read::Held | Read::Drained if self.socket.is_full() || self.nothing_to_send() => {
                    return Poll::Pending;
                }
                Read::Held | Read::Drained => {}
            }
        }
        // Others want this thread as well.
        task.waker().wake_by_ref();
        Poll::Pending
    }

    fn nothing_to_send(&self) -> bool {
        !self.socket.has_unsent() && (self.outlet.is_empty() || self.phase == Phase::Closing)
    }

    /// Sends what is queued.
    fn write(&mut self, task: &mut Context<'_>) -> Step {
        loop {
            match self.socket.poll_write(task) {
                Poll::Pending => return Step::Waits,
                Poll::Ready(Err(_)) => return Step::Over,
                Poll::Ready(Ok(())) => {}
            }
            if let Some(frame) = self.outlet.pop() {
                self.socket.send(frame);
                self.unflushed = true;
                continue;
            }
            if self.phase == Phase::Open
                && let Some(frame) = self.farewell()
            {
                if self.socket.close(task, frame).is_err() {
                    return Step::Over;
                }
                self.phase = Phase::Closing;
                self.begun = None;
                self.end();
                self.due = Instant::now() + CLOSE_MAX;
                continue;
            }
            if std::mem::take(&mut self.unflushed) {
                self.outlet.set_flushed();
            }
            return Step::Waits;
        }
    }

    /// The close frame that is due.
    fn farewell(&self) -> Option<CloseFrame> {
        if let Some(code) = self.broken {
            return Some(CloseFrame { code, reason: Utf8Bytes::default() });
        }
        let close = self.outlet.closing()?;
        Some(CloseFrame { code: WsCode::from(close.code.number()), reason: close.reason().into() })
    }

    /// Reads what has come and brings it to the session.
    fn read(&mut self, task: &mut Context<'_>) -> Read {
        let (mut over, mut heard, mut drained) = (false, false, false);
        let mut texts = TEXTS.take();
        // A peer that does not read its answers, or whose session is busy, is not read either.
        let room = TEXTS_MAX.saturating_sub(self.outlet.waiting());
        let now = Instant::now();
        while texts.len() < room && !self.outlet.is_full() {
            let was_held = self.reads_at.is_some();
            self.reads_at = self.rate.resumes_at(now);
            if self.reads_at.is_some() {
                if !was_held {
                    self.hub.counters.pauses.add();
                }
                // Once: what comes while the close is on its way changes nothing.
                if self.rate.is_exceeded(now) && self.outlet.closing().is_none() {
                    self.hub.counters.unpaused.add();
                    self.outlet.close(Close { retry_after: Some(BUSY_RETRY), ..Close::new(CloseCode::Busy) });
                }
                break;
            }
            let rate = self.hub.options.limits.actions_per_second;
            let owed = |cell: &Arc<Cell<S>>| cell.allowance.owed(texts.len(), rate, self.hub.time(now));
            if let Some(owed) = self.cell.as_ref().and_then(owed) {
                self.hub.counters.action_pauses.add();
                self.reads_at = Some(now + owed.max(Duration::from_millis(1)));
                break;
            }
            match self.socket.poll_read(task) {
                Poll::Pending => {
                    let read = self.socket.read();
                    if read > self.accounted {
                        self.begun.get_or_insert(now);
                        // Beyond it a message is in more pieces than it may have, or too large in any case.
                        let most = self.hub.options.message_bytes_max as u64 + FRAGMENTS_MAX * HEADER_MAX;
                        if read - self.accounted > most && !self.hub.options.echoes {
                            self.hub.counters.messages_late.add();
                            self.begun = None;
                            self.outlet.close(CloseCode::BadMessage.into());
                        }
                    } else {
                        (self.accounted, self.begun) = (read, None);
                    }
                    drained = true;
                    break;
                }
                Poll::Ready(Some(Ok(message))) => {
                    heard = true;
                    if matches!(message, Message::Ping(_) | Message::Pong(_)) {
                        // It may come between the parts of a message, and makes that no quicker.
                        self.accounted += wire_len(message.len());
                    } else {
                        (self.accounted, self.begun) = (self.socket.read(), None);
                    }
                    self.rate.take(message.len(), now);
                    match message {
                        Message::Text(text) if self.phase == Phase::Open => texts.push(text),
                        Message::Binary(_) => self.outlet.close(CloseCode::BadMessage.into()),
                        _ => {}
                    }
                    if self.cell.is_none() && !texts.is_empty() {
                        break;
                    }
                }
                Poll::Ready(Some(Err(WsError::Capacity(CapacityError::MessageTooLong { .. })))) => {
                    self.hub.counters.messages_large.add();
                    self.outlet.close(CloseCode::TooLarge.into());
                    break;
                }
                Poll::Ready(Some(Err(error @ (WsError::Utf8(_) | WsError::Protocol(_)))))
                    if self.phase == Phase::Open =>
                {
                    self.broken =
                        Some(if matches!(error, WsError::Utf8(_)) { WsCode::Invalid } else { WsCode::Protocol });
                    // Nothing can be read after an error; the close goes out and that is all.
                    over = matches!(self.write(task), Step::Over) || self.phase == Phase::Closing;
                    break;
                }
                Poll::Ready(Some(Err(_)) | None) => {
                    over = true;
                    break;
                }
            }
        }
        if heard {
            self.heartbeat.heard();
        }
        let came = !texts.is_empty();
        if came {
            self.bring(&mut texts);
        }
        texts.clear();
        TEXTS.set(texts);
        match (came, drained) {
            _ if over => Read::Over,
            (true, true) => Read::CameAndDrained,
            (true, false) => Read::Came,
            (false, true) => Read::Drained,
            (false, false) => Read::Held,
        }
    }

    fn bring(&mut self, texts: &mut Vec<Utf8Bytes>) {
        if let Some(cell) = &self.cell {
            cell.texts(&self.outlet, texts);
            return;
        }
        let first = texts.remove(0);
        if self.hub.options.echoes {
            self.outlet.push(first.into());
            return;
        }
        let guest = self.guest.take().unwrap_or_default();
        match self.outlet.dialect.decode(&first) {
            Ok(ClientMessage::Hello(hello)) => match self.hub.welcome(&self.outlet, *hello, &guest) {
                Ok(cell) => {
                    self.expire(&guest);
                    self.cell = Some(cell);
                    self.due = Instant::now() + Heartbeat::EVERY;
                }
                Err(close) => self.outlet.close(close),
            },
            Ok(_) => self.outlet.close(CloseCode::BadMessage.into()),
            Err(error) => self.outlet.close(Close::from(&error)),
        }
    }

    /// Ends the connection when the identity that has opened it does.
    fn expire(&self, guest: &Guest) {
        let Some(expires) = guest.expires else { return };
        let (outlet, counters) = (Arc::downgrade(&self.outlet), Arc::clone(&self.hub.counters));
        let closing = self.hub.closing.clone();
        self.hub.tasks.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep_until(expires) => {}
            }
            if let Some(outlet) = outlet.upgrade() {
                counters.logins.add();
                outlet.close(Close::new(CloseCode::Login));
                outlet.wake();
            }
        });
    }

    /// Pings, the deadline of hello and close, and the engine's timer. It ends with a sleep that wakes the task, or over.
    fn timers(&mut self, task: &mut Context<'_>) -> Step {
        loop {
            let engine = self.cell.as_ref().and_then(|cell| cell.deadline()).map(|at| self.hub.instant(at));
            let asked = engine.map(|at| self.asks_again_at.map_or(at, |again| again.max(at)));
            let stalled = self.begun.map(|begun| begun + MESSAGE_TIME_MAX);
            let next = asked.into_iter().chain(self.reads_at).chain(stalled).fold(self.due, Instant::min);
            if self.sleep.deadline() != next {
                self.sleep.as_mut().reset(next);
            }
            if self.sleep.as_mut().poll(task).is_pending() {
                return Step::Waits;
            }
            let now = Instant::now();
            if self.reads_at.is_some_and(|at| at <= now) {
                self.reads_at = None;
                task.waker().wake_by_ref();
                continue;
            }
            if stalled.is_some_and(|at| at <= now) {
                self.begun = None;
                self.hub.counters.messages_late.add();
                self.outlet.close(CloseCode::BadMessage.into());
                if let Step::Over = self.write(task) {
                    return Step::Over;
                }
                continue;
            }
            if let (Some(at), Some(cell)) = (asked, &self.cell)
                && at <= now
            {
                cell.timer(self.outlet.id);
                let is_same = cell.deadline().map(|at| self.hub.instant(at)) == engine;
                // Another task is about to run it; this one asks again a little later.
                self.asks_again_at = is_same.then(|| now + TIMER_AGAIN);
                continue;
            }
            if self.due > now {
                continue;
            }
            if self.phase == Phase::Closing {
                return Step::Over;
            }
            if self.cell.is_none() && !self.hub.options.echoes {
                self.hub.counters.hellos_late.add();
                self.outlet.close(Close::new(CloseCode::HelloTimeout));
                self.due = now + CLOSE_MAX;
                if let Step::Over = self.write(task) {
                    return Step::Over;
                }
                continue;
            }
            if self.heartbeat.due(now.saturating_duration_since(self.due)) == Beat::Dead {
                return Step::Over;
            }
            self.due = now + Heartbeat::EVERY;
            if let Poll::Ready(Ok(())) = self.socket.poll_write(task) {
                self.socket.ping();
                if let Step::Over = self.write(task) {
                    return Step::Over;
                }
            }
        }
    }
}

thread_local! {
    /// Messages of the turn that is being read.
    static TEXTS: Lent<Vec<Utf8Bytes>> = const { Lent::new(Vec::new()) };
}

pub(crate) const HELLO_MAX: Duration = Duration::from_secs(10);
/// From its first byte to its last: the largest message needs 6.5 KB a second.
pub(crate) const MESSAGE_TIME_MAX: Duration = Duration::from_secs(10);
/// Pieces of a message: what their headers take counts, since a piece may be empty.
pub(crate) const FRAGMENTS_MAX: u64 = 64;
/// Of a piece: two bytes, a length of eight, and the mask.
const HEADER_MAX: u64 = 14;
/// How long the peer's close is awaited.
const CLOSE_MAX: Duration = Duration::from_secs(1);
const TIMER_AGAIN: Duration = Duration::from_millis(50);
const TEXTS_MAX: usize = 64;
const ROUNDS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::AsyncWriteExt as _;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::App;

    fn outlet<S: State>(hub: &Hub<S>) -> Arc<Outlet> {
        Arc::new(Outlet::new(hub.connection_id(), Dialect::Compact))
    }

    /// [HELLO-2]. The close went out, and a peer that did not answer it kept its place for ever.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_no_close_is_gone_a_second_later() {
        #[derive(Clone, serde::Serialize)]
        struct Nothing {}

        // Nothing at all, and a frame that begins and does not end.
        for first in [&b""[..], b"\x81"] {
            let hub = Arc::clone(&App::new(|| Nothing {}).build().unwrap().hub);
            let (mut peer, io) = tokio::io::duplex(4096);
            peer.write_all(first).await.unwrap();
            let socket = Socket::new(io, Vec::new(), 4096);
            // A task of its own: nothing but its own timers wakes it.
            let life = tokio::spawn(greet(Arc::clone(&hub), outlet(&hub), socket, Ok(Guest::default())));
            let late = HELLO_MAX + CLOSE_MAX * 2;
            assert!(tokio::time::timeout(late, life).await.is_ok(), "it stays, after {first:?}");
        }
    }

    #[derive(Clone, Default, serde::Serialize)]
    struct Counter {
        count: i64,
    }

    fn counter() -> Arc<Hub<Counter>> {
        let add = |state: &mut Counter, _cx: &mut crate::Cx<Counter>, by: i64| state.count += by;
        Arc::clone(&App::new(Counter::default).action("add", add).build().unwrap().hub)
    }

    /// A page on a connection that is no socket, so that virtual time passes only when nothing is left to do.
    async fn page(hub: &Arc<Hub<Counter>>, token: Option<&str>, n: u64) -> WebSocketStream<tokio::io::DuplexStream> {
        let (peer, io) = tokio::io::duplex(64 * 1024);
        let socket = Socket::new(io, Vec::new(), 4096);
        tokio::spawn(greet(Arc::clone(hub), outlet(hub), socket, Ok(Guest::default())));
        let mut page = WebSocketStream::from_raw_socket(peer, Role::Client, None).await;
        let hello = serde_json::json!(["h", {
            "token": token, "client": "0f1e2d3c4b5a69788796a5b4", "instance": "01", "epoch": 0, "n": n, "seq": 1,
        }]);
        page.send(Message::text(hello.to_string())).await.unwrap();
        page
    }

    async fn text(page: &mut WebSocketStream<tokio::io::DuplexStream>) -> serde_json::Value {
        loop {
            match page.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no text: {other:?}"),
            }
        }
    }

    /// BOUNDED: a peer that has lost its power is noticed when it has missed two pings, a minute after it was last heard
    /// or a little later.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_gone_without_a_word_is_let_go_within_eighty_seconds() {
        let hub = counter();
        let mut lost = page(&hub, None, 0).await;
        text(&mut lost).await;
        let cell = hub.all().remove(0);
        assert!(cell.is_attached());
        let began = Instant::now();
        // It stays open, and nobody reads it: what it would answer to pings is never sent.
        while cell.is_attached() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let took = began.elapsed();
        assert!(took >= Heartbeat::EVERY * 2 && took <= Heartbeat::EVERY * 4, "{took:?}");
        drop(lost);
    }

    /// RESUME: a page that has slept for an hour comes back to its session, with what was done in it.
    #[tokio::test(start_paused = true)]
    async fn a_page_that_slept_for_an_hour_comes_back_to_its_session() {
        let hub = counter();
        let mut asleep = page(&hub, None, 0).await;
        let welcome = text(&mut asleep).await;
        asleep.send(Message::text(r#"["a",1,"add",5]"#)).await.unwrap();
        while text(&mut asleep).await[2] != 1 {}
        tokio::time::sleep(Duration::from_secs(60 * 60)).await;
        assert!(!hub.all().remove(0).is_attached(), "the old connection is long over");
        let mut awake = page(&hub, welcome[1]["token"].as_str(), 1).await;
        let again = text(&mut awake).await;
        assert_eq!((&again[1]["session"], &again[1]["ack"]), (&welcome[1]["session"], &1.into()));
        assert_eq!(text(&mut awake).await[3]["count"], 5);
    }
}
