//! One connection through the proxy: two sockets, and what is done to them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::log::Event;
use crate::plan::{Direction, Fault, Plan};
use crate::proxy::Teller;
use crate::pump::Pump;

/// A handle on one connection.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    number: u64,
    state: watch::Sender<State>,
    passed: [AtomicU64; 2],
    teller: Teller,
}

/// What holds for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) flow: Flow,
    /// A fault that ends it.
    pub(crate) end: Option<Fault>,
}

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    #[default]
    Forwarded,
    Frozen,
    Lost,
}

impl Link {
    pub(crate) fn new(number: u64, teller: Teller) -> Self {
        let passed = [AtomicU64::new(0), AtomicU64::new(0)];
        Self { shared: Arc::new(Shared { number, state: watch::Sender::new(State::default()), passed, teller }) }
    }

    /// The number of the connection, from 1 in the order in which they were accepted.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.shared.number
    }

    /// How many bytes of that direction have been forwarded.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        self.shared.passed[direction as usize].load(Ordering::Acquire)
    }

    /// Does that to it. What has ended stays ended, and what was lost is not brought back.
    pub fn fault(&self, fault: Fault) {
        self.fault_of(fault, None);
    }

    /// Lets it go on when it is frozen.
    pub fn resume(&self) {
        let resumed = self.shared.state.send_if_modified(|state| {
            let frozen = state.flow == Flow::Frozen;
            if frozen {
                state.flow = Flow::Forwarded;
            }
            frozen
        });
        if resumed {
            self.shared.teller.tell(|ms| Event::Resumed { ms, link: self.number() });
        }
    }

    pub(crate) fn fault_of(&self, fault: Fault, direction: Option<Direction>) {
        let done = self.shared.state.send_if_modified(|state| {
            let before = *state;
            match fault {
                // Bytes that are lost are lost: it can only end.
                Fault::Freeze if state.flow == Flow::Forwarded => state.flow = Flow::Frozen,
                Fault::BlackHole => state.flow = Flow::Lost,
                Fault::Freeze => {}
                end => state.end = state.end.or(Some(end)),
            }
            *state != before
        });
        if done {
            let (to_server, to_client) = (self.passed(Direction::ToServer), self.passed(Direction::ToClient));
            let link = self.number();
            self.shared.teller.tell(|ms| Event::Fault { ms, link, fault, direction, to_server, to_client });
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    pub(crate) fn pass(&self, direction: Direction, bytes: usize) {
        self.shared.passed[direction as usize].fetch_add(bytes as u64, Ordering::AcqRel);
        self.shared.teller.changed();
    }

    /// Carries bytes both ways until both sides are gone.
    pub(crate) async fn run(&self, mut client: TcpStream, mut server: TcpStream, plan: Plan, seed: u64) {
        let mut state = self.watch();
        let end = {
            let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
            let pump = |direction| Pump::new(self, direction, *plan.way(direction), seed);
            let up = pump(Direction::ToServer).run(from_client, to_server);
            let down = pump(Direction::ToClient).run(from_server, to_client);
            tokio::select! {
                biased;
                ended = state.wait_for(|state| state.end.is_some()) => ended.ok().and_then(|state| state.end),
                // A side that has reset its connection has reset the whole.
                both = async { tokio::try_join!(up, down) } => both.err().map(|_| Fault::Reset),
            }
        };
        match end {
            None => {}
            Some(Fault::LoseClient) => {
                reset(client);
                lose(server).await;
            }
            Some(Fault::LoseServer) => {
                reset(server);
                lose(client).await;
            }
            Some(Fault::Close) => {
                let _ = client.shutdown().await;
                let _ = server.shutdown().await;
                // A socket that is closed with bytes unread is reset, and that would overtake what was forwarded.
                let _ = timeout(END_MAX, async { tokio::join!(lose(client), lose(server)) }).await;
            }
            Some(_) => {
                reset(client);
                reset(server);
            }
        }
        let (to_server, to_client) = (self.passed(Direction::ToServer), self.passed(Direction::ToClient));
        self.shared.teller.tell(|ms| Event::Ended { ms, link: self.number(), to_server, to_client });
    }
}

/// Closes with a reset. One that is gone already needs none.
pub(crate) fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Takes what comes, and forgets it.
async fn lose(mut stream: TcpStream) {
    let mut buffer = vec![0; 4 * 1024];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

/// When bytes that came now are due.
pub(crate) fn later(after: Duration) -> Instant {
    Instant::now() + after
}

/// Both sockets of a connection, to `target`.
pub(crate) async fn connect(target: std::net::SocketAddr) -> io::Result<TcpStream> {
    let server = TcpStream::connect(target).await?;
    // Pieces must not wait for each other.
    server.set_nodelay(true)?;
    Ok(server)
}

/// How long a side that was closed has to close as well.
const END_MAX: Duration = Duration::from_secs(5);
