//! Turns what the core asks for into sockets and time, and what happens to those into calls of the core.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WsCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use windlass_protocol::Dialect;

use crate::client::{ActionOptions, Traffic};
use crate::core::{Core, Output};
use crate::url::SocketUrl;
use crate::wire::Ended;
use crate::{ActionError, Change, ConnectError, Event, Status};

/// What the handles of a client and its task have in common.
pub(crate) struct Shared {
    core: Mutex<Core>,
    waiters: Mutex<HashMap<u64, oneshot::Sender<Result<Value, ActionError>>>>,
    socket: SocketUrl,
    identity_file: Option<PathBuf>,
    origin: Instant,
    /// The core has something for the task.
    called: Notify,
    /// Read and written under the core's lock, so that nobody opens or asks again what has ended.
    finished: AtomicBool,
    failure: Mutex<Option<ConnectError>>,
    read: AtomicU64,
    written: AtomicU64,
    welcomes: AtomicU64,
    closes: Mutex<BTreeMap<String, u64>>,
    changes: broadcast::WeakSender<Change>,
    events: broadcast::WeakSender<Event>,
    pub(crate) status: watch::Sender<Status>,
}

impl Shared {
    /// With what tells of changes and events, which is for [`run`]: it ends with the client, and so do its streams.
    pub(crate) fn new(
        core: impl FnOnce(Duration) -> Core,
        socket: SocketUrl,
        identity_file: Option<PathBuf>,
    ) -> (Self, Tellers) {
        let tellers = Tellers { changes: broadcast::channel(UNREAD_MAX).0, events: broadcast::channel(UNREAD_MAX).0 };
        let shared = Self {
            core: Mutex::new(core(Duration::ZERO)),
            waiters: Mutex::default(),
            socket,
            identity_file,
            origin: Instant::now(),
            called: Notify::new(),
            finished: AtomicBool::new(false),
            failure: Mutex::default(),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            welcomes: AtomicU64::new(0),
            closes: Mutex::default(),
            changes: tellers.changes.downgrade(),
            events: tellers.events.downgrade(),
            status: watch::channel(Status::Connecting).0,
        };
        (shared, tellers)
    }

    /// Poison does not matter: nothing of the app's runs under the lock but what only looks.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Value, ActionError>>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn act(
        &self,
        name: &str,
        payload: &str,
        options: ActionOptions,
    ) -> Result<(u64, oneshot::Receiver<Result<Value, ActionError>>), ActionError> {
        let (answer, outcome) = oneshot::channel();
        // Both under the core's lock, so that no answer comes before its waiter is known.
        let mut core = self.core();
        let ticket = core.act(name, payload, options, self.now())?;
        self.waiters().insert(ticket, answer);
        drop(core);
        self.called.notify_one();
        Ok((ticket, outcome))
    }

    pub(crate) fn forget(&self, ticket: u64) {
        let mut core = self.core();
        if self.waiters().remove(&ticket).is_some() {
            core.forget(ticket);
        }
    }

    pub(crate) fn retry(&self) {
        let mut core = self.core();
        if !self.finished.load(Ordering::Relaxed) {
            core.retry(self.now());
        }
        drop(core);
        self.called.notify_one();
    }

    /// Stops for good: ends the task after what the core still asks for.
    pub(crate) fn finish(&self) {
        let mut core = self.core();
        core.stop();
        self.finished.store(true, Ordering::Relaxed);
        drop(core);
        self.called.notify_one();
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        subscribe(&self.changes)
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        subscribe(&self.events)
    }

    pub(crate) fn take_failure(&self) -> Option<ConnectError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set_failure(&self, error: ConnectError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn closes(&self) -> BTreeMap<String, u64> {
        self.closes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            read: self.read.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            reconnects: self.welcomes.load(Ordering::Relaxed).saturating_sub(1),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What tells whoever listens.
pub(crate) struct Tellers {
    changes: broadcast::Sender<Change>,
    events: broadcast::Sender<Event>,
}

/// The stream of a client that has ended is at its end.
fn subscribe<T: Clone>(teller: &broadcast::WeakSender<T>) -> broadcast::Receiver<T> {
    teller.upgrade().map_or_else(|| broadcast::channel(1).1, |teller| teller.subscribe())
}

/// The life of a client: until it is told to finish.
pub(crate) async fn run(shared: Arc<Shared>, tellers: Tellers) {
    let mut link = Link::Down;
    loop {
        let (outputs, finished) = {
            let mut core = shared.core();
            (core.outputs(), shared.finished.load(Ordering::Relaxed))
        };
        let mut saved = false;
        for output in outputs {
            // The first stores the identity as it is by now: those behind it have nothing to add.
            if !matches!(output, Output::Save) || !std::mem::replace(&mut saved, true) {
                carry_out(&shared, &tellers, &mut link, output);
            }
        }
        if finished {
            // Whoever still waits hears that the client is closed.
            shared.waiters().clear();
            return;
        }
        let deadline = shared.core().deadline().map(|at| shared.origin + at);
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            happened = poll_fn(|task| link.poll(task)) => {
                let now = shared.now();
                match happened {
                    Happened::Opened => shared.core().opened(now),
                    Happened::Failed(error) => {
                        tracing::debug!(%error, "cannot connect");
                        shared.set_failure(error);
                        shared.core().closed(Ended::lost(), now);
                    }
                    Happened::Text(text) => {
                        shared.read.fetch_add(text.len() as u64, Ordering::Relaxed);
                        shared.core().text(&text, now);
                    }
                    Happened::Ended(ended) => shared.core().closed(ended, now),
                }
            }
            () = timer => shared.core().timer(shared.now()),
            () = shared.called.notified() => {}
        }
    }
}

/// The one place where what the core asks for is done.
fn carry_out(shared: &Arc<Shared>, tellers: &Tellers, link: &mut Link, output: Output) {
    match output {
        Output::Open { route } => {
            *link = Link::Opening(Box::pin(open(shared.socket.clone(), route)));
        }
        Output::Send(text) => {
            shared.written.fetch_add(text.len() as u64, Ordering::Relaxed);
            link.send(text);
        }
        Output::Close { number, reason } => link.close(number, reason),
        Output::Answer(ticket, outcome) => {
            if let Some(waiter) = shared.waiters().remove(&ticket) {
                // Nobody may be waiting any more.
                _ = waiter.send(outcome);
            }
        }
        // Nobody may be listening.
        Output::Event(event) => drop(tellers.events.send(event)),
        Output::Change(change) => drop(tellers.changes.send(change)),
        Output::Status(status) => {
            match &status {
                Status::Live => drop(shared.welcomes.fetch_add(1, Ordering::Relaxed)),
                Status::Waiting { code, .. } | Status::Stopped { code } => {
                    let mut closes = shared.closes.lock().unwrap_or_else(PoisonError::into_inner);
                    *closes.entry(code.clone()).or_default() += 1;
                }
                Status::Connecting => {}
            }
            shared.status.send_replace(status);
        }
        Output::Save => {
            if let Some(path) = &shared.identity_file {
                let identity = shared.core().identity();
                if let Err(error) = identity.write(path) {
                    tracing::error!(%error, "a restart of this process would not come back to its session");
                }
            }
        }
    }
}

type Socket = WebSocketStream<TcpStream>;

/// The connection, in whatever state it is.
enum Link {
    Down,
    Opening(Pin<Box<dyn Future<Output = Result<Socket, ConnectError>> + Send>>),
    Up { socket: Box<Socket>, queue: VecDeque<String>, unflushed: bool },
}

enum Happened {
    Opened,
    Failed(ConnectError),
    Text(String),
    Ended(Ended),
}

impl Link {
    fn send(&mut self, text: String) {
        if let Self::Up { queue, .. } = self {
            queue.push_back(text);
        }
    }

    /// Says so if the socket takes it at once; nobody waits for a dead network.
    fn close(&mut self, number: u16, reason: String) {
        if let Self::Up { mut socket, mut queue, .. } = std::mem::replace(self, Self::Down) {
            let frame = CloseFrame { code: WsCode::from(number), reason: reason.into() };
            _ = async {
                while let Some(text) = queue.pop_front() {
                    socket.feed(Message::text(text)).await?;
                }
                socket.send(Message::Close(Some(frame))).await
            }
            .now_or_never();
        }
    }

    /// Writes and reads at the same time: neither waits for the other.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Happened> {
        match self {
            Self::Down => Poll::Pending,
            Self::Opening(opening) => match opening.as_mut().poll(task) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(socket)) => {
                    *self = Self::Up { socket: Box::new(socket), queue: VecDeque::new(), unflushed: false };
                    Poll::Ready(Happened::Opened)
                }
                Poll::Ready(Err(error)) => {
                    *self = Self::Down;
                    Poll::Ready(Happened::Failed(error))
                }
            },
            Self::Up { socket, queue, unflushed } => {
                write(socket, queue, unflushed, task);
                let happened = read(socket, unflushed, task);
                if let Poll::Ready(Happened::Ended(_)) = happened {
                    *self = Self::Down;
                }
                happened
            }
        }
    }
}

/// Writes what the socket takes. A write fails when the peer has closed: why is in what can still be read, so that
/// reading finds the end.
fn write(socket: &mut Socket, queue: &mut VecDeque<String>, unflushed: &mut bool, task: &mut Context<'_>) {
    while !queue.is_empty() {
        let Poll::Ready(Ok(())) = Pin::new(&mut *socket).poll_ready(task) else { return };
        let Some(text) = queue.pop_front() else { return };
        *unflushed = true;
        if Pin::new(&mut *socket).start_send(Message::text(text)).is_err() {
            return;
        }
    }
    if *unflushed && let Poll::Ready(Ok(())) = Pin::new(socket).poll_flush(task) {
        *unflushed = false;
    }
}

fn read(socket: &mut Socket, unflushed: &mut bool, task: &mut Context<'_>) -> Poll<Happened> {
    loop {
        match Pin::new(&mut *socket).poll_next(task) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(Message::Text(text)))) => return Poll::Ready(Happened::Text(text.as_str().to_owned())),
            Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                let ended = frame.map_or_else(Ended::lost, |frame| Ended::read(frame.code.into(), &frame.reason));
                return Poll::Ready(Happened::Ended(ended));
            }
            // Binary frames are of a later version; the pong to a ping waits in the socket for a flush.
            Poll::Ready(Some(Ok(_))) => {
                *unflushed = true;
                task.waker().wake_by_ref();
            }
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Happened::Ended(Ended::lost())),
        }
    }
}

async fn open(server: SocketUrl, route: Option<String>) -> Result<Socket, ConnectError> {
    let url = server.routed(route.as_deref());
    let unreachable = |error: std::io::Error| ConnectError::Unreachable {
        address: server.address.clone(),
        reason: error.to_string(),
    };
    let stream = TcpStream::connect(&server.address).await.map_err(unreachable)?;
    // Actions are small and must not wait for each other.
    stream.set_nodelay(true).map_err(unreachable)?;
    let no_windlass = |error: WsError| ConnectError::NoWindlass {
        url: url.clone(),
        reason: match error {
            WsError::Http(response) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                format!("it answers {} {}", response.status(), body.lines().next().unwrap_or_default())
            }
            other => other.to_string(),
        },
    };
    let mut request = url.as_str().into_client_request().map_err(no_windlass)?;
    let subprotocol = HeaderValue::from_static(Dialect::Compact.subprotocol());
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(no_windlass)?;
    Ok(socket)
}

/// Changes and events that a slow reader may leave unread.
const UNREAD_MAX: usize = 256;
/// What a load of thousands of clients can afford; larger frames grow it for as long as they need.
const READ_BUFFER: usize = 4 * 1024;
