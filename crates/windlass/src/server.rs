//! The server's sockets: the accept loop, the signals, the graceful end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::HOST;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use crate::address;
use crate::half_open::{Entered, HalfOpen};
use crate::limits::{Counters, Limits};
use crate::live::Live;
use crate::program::State;
use crate::quota::Place;
use crate::shortage::{Shortage, Word};
use crate::upgrade::split_port;
use crate::watched::{Answer, Overdue, Paced, Progress, Watched};
use crate::{Error, Result, lock};

/// An app with its listener, about to accept. Made by [`App::bind`](crate::App::bind).
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Counter { count: i64 }
///
/// # #[tokio::main] async fn main() -> Result {
/// let server = App::new(Counter::default).bind("127.0.0.1:0").await?;
/// println!("http://{}", server.addr());
/// let live = server.live().clone();
/// server.run_until(async { /* whatever ends it */ }).await?;
/// assert_eq!(live.sessions(), 0);
/// # Ok(()) }
/// ```
pub struct Server<S: State> {
    listener: TcpListener,
    addr: SocketAddr,
    live: Live<S>,
    router: Router,
    drain: Duration,
}

impl<S: State> Server<S> {
    pub(crate) async fn bind(
        addr: impl ToSocketAddrs + std::fmt::Display,
        live: Live<S>,
        router: Router,
        allowed_hosts: Vec<String>,
        drain: Duration,
    ) -> Result<Self> {
        let text = addr.to_string();
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|error| Error::internal(format!("cannot listen on {text}: {error}; choose another address")))?;
        let addr = listener.local_addr()?;
        let router = if addr.ip().is_loopback() { hosts_checked(router, allowed_hosts, &live) } else { router };
        Ok(Self { listener, addr, live, router, drain })
    }

    /// Where it listens; with port 0 asked for, the one that it got.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The app, for updates from outside.
    #[must_use]
    pub fn live(&self) -> &Live<S> {
        &self.live
    }

    /// Serves until SIGTERM or SIGINT, then ends gracefully; a second signal ends the process at once.
    ///
    /// # Errors
    ///
    /// When the operating system gives no signals.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Demo { count: i64 }
    ///
    /// # async fn main_() -> Result {
    /// let server = App::new(Demo::default).bind("127.0.0.1:0").await?;
    /// println!("listening on {}", server.addr());
    /// server.run().await
    /// # }
    /// ```
    pub async fn run(self) -> Result {
        let signals = Signals::new()?;
        self.run_with(signals).await
    }

    pub(crate) async fn run_with(self, mut signals: Signals) -> Result {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let drain = self.drain;
        let mut serving = pin!(self.run_until(async move { stopped.cancelled().await }));
        tokio::select! {
            outcome = &mut serving => return outcome,
            () = signals.next() => tracing::info!(?drain, "going down"),
        }
        stop.cancel();
        tokio::select! {
            outcome = &mut serving => outcome,
            () = signals.next() => std::process::exit(130),
        }
    }

    /// Serves until the future ends, then ends gracefully: jobs get the drain time, sessions are saved, clients hear when to
    /// return.
    ///
    /// # Errors
    ///
    /// When sessions could not be saved: `main` that gives the error on ends the process with another code than 0.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result {
        let Self { listener, live, router, drain, .. } = self;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let doors = AcceptDoors::new(&live);
        let mut shortage = Shortage::default();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(Word::Over { failed, lasted }) = shortage.accepted(Instant::now()) {
                        tracing::warn!(failed, ?lasted, "accepts connections again");
                    }
                    if let Some(entry) = doors.enter(peer) {
                        tasks.spawn(connection(stream, router.clone(), closing.clone(), entry));
                    }
                }
                // The peer has thought better of it: nothing is wrong with the next one.
                Err(error) if is_of_one(&error) => tracing::debug!(%error, "a connection ended before it was accepted"),
                // Mostly too many open files: those that are open go on, and some will end.
                Err(error) => {
                    if let Some(Word::Short { failed, lasts }) = shortage.failed(Instant::now()) {
                        tracing::warn!(
                            %error, failed, ?lasts,
                            "cannot accept connections; it is tried again until it works. Raise the limit of open files \
                             (`ulimit -n`, `LimitNOFILE=`) or lower `connections_max`"
                        );
                    }
                    tokio::select! {
                        () = tokio::time::sleep(ACCEPT_AGAIN) => {}
                        () = &mut stop => break,
                    }
                }
            }
        }
        drop(listener);
        let drained = live.drain(drain).await;
        closing.cancel();
        tasks.close();
        let _ = tokio::time::timeout(HTTP_END_MAX, tasks.wait()).await;
        drained
    }
}

/// An error of `accept` that is about the connection and not about the listener.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Who may have a connection, before it has said anything.
struct AcceptDoors {
    limits: Limits,
    connections: Arc<Semaphore>,
    half_open: Arc<HalfOpen>,
    counters: Arc<Counters>,
    /// The place of an address among those whose request has not come: none where it is full, and where it has no limit.
    place: Box<dyn Fn(SocketAddr) -> Result<Option<Place>, ()> + Send + Sync>,
}

/// What a connection holds on to.
struct Entry {
    limits: Limits,
    counters: Arc<Counters>,
    half_open: (Entered, Option<Place>),
    open: Arc<OpenConnection>,
}

/// A connection that is open, as what came of it is as well: the socket that it was upgraded to holds on to this.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    pub(crate) peer: SocketAddr,
    _permit: OwnedSemaphorePermit,
}

impl AcceptDoors {
    fn new<S: State>(live: &Live<S>) -> Self {
        let hub = Arc::clone(&live.hub);
        let limits = hub.options.limits;
        Self {
            limits,
            connections: Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS))),
            half_open: HalfOpen::new(limits.handshakes_max),
            counters: Arc::clone(&hub.counters),
            place: Box::new(move |peer| match address::of_peer(peer.ip(), &hub.options.trusted) {
                Some(address) => hub.quotas.of(address).handshake().map(Some).ok_or(()),
                None => Ok(None),
            }),
        }
    }

    /// Lets a connection in, or says by its silence that it is to be closed.
    fn enter(&self, peer: SocketAddr) -> Option<Entry> {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.counters.connections.add();
            return None;
        };
        let Ok(place) = (self.place)(peer) else {
            self.counters.address_handshakes.add();
            return None;
        };
        let (entered, made_room) = self.half_open.enter();
        if made_room {
            self.counters.handshakes.add();
        }
        let open = Arc::new(OpenConnection { peer, _permit: permit });
        Some(Entry { limits: self.limits, counters: Arc::clone(&self.counters), half_open: (entered, place), open })
    }
}

/// One HTTP connection, which may become a WebSocket.
///
/// It gives its place among the handshakes back when its first request has come.
async fn connection(stream: TcpStream, router: Router, closing: CancellationToken, entry: Entry) {
    // Frames are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let Entry { limits, counters, half_open, open } = entry;
    let (progress, cut) = (Progress::new(), Arc::clone(&half_open.0.cut));
    let half_open = Mutex::new(Some(half_open));
    let (begins, paces) = (Arc::clone(&progress), Arc::clone(&counters));
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        drop(lock(&half_open).take());
        begins.begin();
        request.extensions_mut().insert(Arc::clone(&open));
        let request = request.map(|body| Body::new(Paced::new(body, &limits, &paces)));
        let (answered, progress) = (router.clone().call(request), Arc::clone(&begins));
        async move { answered.await.map(|response| response.map(|body| Answer::new(body, progress))) }
    });
    let mut builder = http1::Builder::new();
    // The deadlines are ours: hyper's for headers would be that of a connection that is kept as well.
    builder.header_read_timeout(None).max_buf_size(HTTP_BUFFER);
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&progress)));
    let served = builder.serve_connection(stream, service).with_upgrades();
    let mut served = pin!(served);
    let ends = async {
        tokio::select! {
            () = cut.notified() => {}
            overdue = progress.overdue(&limits) => match overdue {
                Overdue::Headers => counters.headers_late.add(),
                Overdue::Write => counters.writes_stalled.add(),
                Overdue::KeepAlive => {}
            },
        }
    };
    let mut ends = pin!(ends);
    tokio::select! {
        _ = &mut served => return,
        () = &mut ends => return,
        () = closing.cancelled() => served.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = served => {}
        () = ends => {}
    }
}

/// On loopback a name that a stranger's DNS points here must not reach the app.
pub(crate) fn hosts_checked<S: State>(router: Router, allowed: Vec<String>, live: &Live<S>) -> Router {
    let (allowed, counters) = (Arc::new(allowed), Arc::clone(&live.hub.counters));
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let (allowed, counters) = (Arc::clone(&allowed), Arc::clone(&counters));
        async move {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            match host {
                Some(host) if host_is_local(host, &allowed) => next.run(request).await,
                _ => {
                    counters.origins.add();
                    misdirected()
                }
            }
        }
    }))
}

fn host_is_local(host: &str, allowed: &[String]) -> bool {
    let (name, _) = split_port(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        || allowed.iter().any(|known| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name))
}

fn misdirected() -> Response {
    let text = "this app answers to loopback names only; declare others with `App::allowed_host`\n";
    (StatusCode::MISDIRECTED_REQUEST, Body::from(text)).into_response()
}

/// The signals that end a server. They count from when this is made.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Room for the headers of a browser with many cookies; hyper grows to it only when they come.
const HTTP_BUFFER: usize = 64 * 1024;
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const HTTP_END_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_to_its_own_names() {
        let allowed = ["dev.example".to_owned()];
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.8.8.8", "[::1]:8080", "dev.example:8080"] {
            assert!(host_is_local(host, &allowed), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""]
        {
            assert!(!host_is_local(host, &allowed), "{host}");
        }
    }
}
