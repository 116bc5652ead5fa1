//! The server's sockets: the accept loop, the signals, the graceful end.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::HOST;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::Live;
use crate::program::State;
use crate::upgrade::split_port;
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
    handshakes_max: usize,
}

impl<S: State> Server<S> {
    pub(crate) async fn bind(
        addr: impl ToSocketAddrs + std::fmt::Display,
        live: Live<S>,
        router: Router,
        allowed_hosts: Vec<String>,
        (drain, handshakes_max): (Duration, usize),
    ) -> Result<Self> {
        let text = addr.to_string();
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|error| Error::internal(format!("cannot listen on {text}: {error}; choose another address")))?;
        let addr = listener.local_addr()?;
        let router = if addr.ip().is_loopback() { hosts_checked(router, allowed_hosts) } else { router };
        Ok(Self { listener, addr, live, router, drain, handshakes_max })
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
        let Self { listener, live, router, drain, handshakes_max, .. } = self;
        let handshakes = Arc::new(Semaphore::new(handshakes_max));
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let mut stop = pin!(stop);
        loop {
            let accept = async {
                let place = Arc::clone(&handshakes).acquire_owned().await.expect("it is never closed");
                Ok::<_, std::io::Error>((listener.accept().await?, place))
            };
            let accepted = tokio::select! {
                accepted = accept => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok(((stream, peer), place)) => {
                    tasks.spawn(connection((stream, peer), router.clone(), closing.clone(), place));
                }
                // Mostly too many open files: those that are open go on, and some will end.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
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

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    /// Whom the room is counted to that its sessions take: nobody, where a proxy of this machine may stand for many; and
    /// what is one customer's in IPv6, which is a network of 64 bits.
    pub(crate) fn network(self) -> Option<IpAddr> {
        match self.0 {
            address if address.is_loopback() => None,
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Some(address.to_ipv4_mapped().map_or_else(|| IpAddr::V6(network.into()), IpAddr::V4))
            }
            address => Some(address),
        }
    }
}

/// One HTTP connection, which may become a WebSocket.
///
/// It gives its place among the handshakes back when its first request has come.
async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    closing: CancellationToken,
    place: OwnedSemaphorePermit,
) {
    // Frames are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_MAX).max_buf_size(HTTP_BUFFER);
    let (router, place) = (TowerToHyperService::new(router), Mutex::new(Some(place)));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        drop(lock(&place).take());
        request.extensions_mut().insert(Peer(peer.ip()));
        router.call(request)
    });
    let served = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut served = pin!(served);
    tokio::select! {
        _ = &mut served => return,
        () = closing.cancelled() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// On loopback a name that a stranger's DNS points here must not reach the app.
pub(crate) fn hosts_checked(router: Router, allowed: Vec<String>) -> Router {
    let allowed = Arc::new(allowed);
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let allowed = Arc::clone(&allowed);
        async move {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            match host {
                Some(host) if host_is_local(host, &allowed) => next.run(request).await,
                _ => misdirected(),
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

const HEADERS_MAX: Duration = Duration::from_secs(10);
/// Room for the headers of a browser with many cookies; hyper grows to it only when they come.
const HTTP_BUFFER: usize = 64 * 1024;
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const HTTP_END_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_counted_to_networks_and_not_to_this_machine() {
        let network = |address: &str| Peer(address.parse().unwrap()).network().map(|network| network.to_string());
        assert_eq!(network("127.0.0.1"), None);
        assert_eq!(network("::1"), None);
        assert_eq!(network("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(network("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(network("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1:2::"));
    }

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
