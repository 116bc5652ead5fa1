//! The proxy: a listener on loopback, and the connections that have come.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::link::{self, Link};
use crate::log::Event;
use crate::plan::{Chaos, Fault, Plan};

/// A proxy between clients and one server. It ends, with all its connections, when this is dropped.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// How a proxy begins. See [`Proxy::start_with`].
#[derive(Default)]
pub struct Options {
    /// The port on 127.0.0.1; any free one by default.
    pub port: u16,
    /// What happens to every connection that has no plan of its own.
    pub plan: Plan,
    /// Random plans in place of `plan`.
    pub chaos: Option<Chaos>,
    /// Is told what happens, on the proxy's tasks: it must not block.
    pub log: Option<Log>,
}

type Log = Box<dyn Fn(&Event) + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    teller: Teller,
    seed: u64,
}

struct State {
    target: SocketAddr,
    refuses: bool,
    plan: Plan,
    chaos: Option<Chaos>,
    next: VecDeque<Plan>,
    accepted: u64,
    open: Vec<Link>,
}

/// Tells the log, and whoever waits for a change.
#[derive(Clone)]
pub(crate) struct Teller {
    log: Option<Arc<Log>>,
    began: Instant,
    changes: watch::Sender<()>,
}

impl Teller {
    pub(crate) fn tell(&self, event: impl FnOnce(u64) -> Event) {
        if let Some(log) = &self.log {
            log(&event(self.began.elapsed().as_millis() as u64));
        }
        self.changed();
    }

    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `target`.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_with(target, Options::default()).await
    }

    /// As [`Proxy::start`], with options.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub async fn start_with(target: SocketAddr, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let addr = listener.local_addr()?;
        let state = State {
            target,
            refuses: false,
            plan: options.plan,
            next: VecDeque::new(),
            accepted: 0,
            open: Vec::new(),
            chaos: options.chaos,
        };
        let teller = Teller { log: options.log.map(Arc::new), began: Instant::now(), changes: watch::Sender::new(()) };
        let seed = state.chaos.as_ref().map_or(0, |chaos| chaos.seed);
        let shared = Arc::new(Shared { state: Mutex::new(state), teller, seed });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&shared), stop.clone())));
        Ok(Self { addr, shared, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address as a page's: `http://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Connections that come from now on lead to that address: the server has moved.
    pub fn lead_to(&self, target: SocketAddr) {
        self.state().target = target;
    }

    /// What happens to connections that come from now on; random plans end.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = plan;
        state.chaos = None;
    }

    /// What happens to one connection more, the next that has none yet; then again what [`Proxy::plan`] says.
    pub fn next(&self, plan: Plan) {
        self.state().next.push_back(plan);
    }

    /// Random plans for connections that come from now on.
    pub fn chaos(&self, chaos: Chaos) {
        self.state().chaos = Some(chaos);
    }

    /// Connections that come from now on are reset at once. Those that are open stay.
    pub fn refuse(&self) {
        self.state().refuses = true;
    }

    /// Ends what [`Proxy::refuse`] began.
    pub fn accept(&self) {
        self.state().refuses = false;
    }

    /// Does that to every open connection. How many there were.
    pub fn fault(&self, fault: Fault) -> usize {
        let links = self.links();
        links.iter().for_each(|link| link.fault(fault));
        links.len()
    }

    /// Lets every frozen connection go on.
    pub fn resume(&self) {
        self.links().iter().for_each(Link::resume);
    }

    /// The connections that are open, the oldest first; a lost one is as long as one of its sides is.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.state().open.clone()
    }

    /// How many connections have come so far, refused ones among them.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.state().accepted
    }

    /// Waits until that is true of the proxy; it is asked again at every change: a connection, a byte, a fault.
    ///
    /// ```no_run
    /// # use windlass_proxy::{Direction, Proxy};
    /// # async fn example(proxy: &Proxy) {
    /// proxy.until(|proxy| proxy.links().iter().any(|link| link.passed(Direction::ToClient) > 500)).await;
    /// # }
    /// ```
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.teller.changes.subscribe();
        while !is_so(self) {
            changes.changed().await.expect("the proxy holds the sender");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    /// No code of others runs under this lock, so that one that is poisoned is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a connection: what happens to it, and where it leads; nowhere when it is refused.
    fn admit(&self) -> (Link, Plan, Option<SocketAddr>) {
        let mut state = self.state();
        state.accepted += 1;
        let number = state.accepted;
        let link = Link::new(number, self.teller.clone());
        if state.refuses {
            return (link, Plan::default(), None);
        }
        let plan = match (state.next.pop_front(), &state.chaos) {
            (Some(plan), _) => plan,
            (None, Some(chaos)) => chaos.plan(number),
            (None, None) => state.plan,
        };
        state.open.push(link.clone());
        (link, plan, Some(state.target))
    }

    fn forget(&self, link: &Link) {
        self.state().open.retain(|open| open.number() != link.number());
        self.teller.changed();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Too many open files, mostly; some will end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(stop.clone().run_until_cancelled_owned(carry(client, shared)));
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let (link, plan, target) = shared.admit();
    let number = link.number();
    let refused = |reason: String| shared.teller.tell(|ms| Event::Refused { ms, link: number, reason });
    let Some(target) = target else {
        link::reset(client);
        return refused("the proxy refuses".to_owned());
    };
    shared.teller.tell(|ms| Event::Accepted { ms, link: number });
    match link::connect(target).await {
        Ok(server) => {
            let _ = client.set_nodelay(true);
            link.run(client, server, plan, shared.seed.wrapping_add(number)).await;
        }
        Err(error) => {
            link::reset(client);
            refused(format!("{target}: {error}"));
        }
    }
    shared.forget(&link);
}
