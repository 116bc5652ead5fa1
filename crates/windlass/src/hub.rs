//! What the sessions of one app share: the program, the registry, the pool, the clock.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_engine::{ConnectionId, Session, SessionOptions, Ticket, Time};
use windlass_protocol::{Close, CloseCode, Epoch, Hello, Secret, SessionId, Token};

use windlass_store::{Key, MemoryStore, Node, SessionStore as _};

use crate::cell::{Cell, Patience};
use crate::guest::{Authenticate, Cookies, Guest, Home, Per};
use crate::hooks::Visit;
use crate::inbox::Untaken;
use crate::outlet::Outlet;
use crate::program::{Program, Settling, State, Update};
use crate::rate::RateOptions;
use crate::registry::{Full, Registry};
use crate::test::Stage;
use crate::uptime::Uptime;
use crate::{Error, Result, random};

/// What the sessions of one app share.
pub(crate) struct Hub<S: State> {
    pub(crate) program: Program<S>,
    pub(crate) options: HubOptions,
    init: Box<dyn Fn() -> S + Send + Sync>,
    keys: Vec<(&'static str, &'static str)>,
    store: MemoryStore,
    pub(crate) doors: Doors,
    /// From which the ids of sessions are made that are not one tab's.
    key: [u8; 32],
    registry: Registry<Cell<S>>,
    uptime: Uptime,
    origin: Instant,
    connections: AtomicU64,
    runtime: Handle,
    pub(crate) tasks: TaskTracker,
    /// Asynchronous actions, which have the time of a drain to end.
    pub(crate) deferred: TaskTracker,
    /// The server is going down.
    pub(crate) draining: CancellationToken,
    /// Every connection has to be gone.
    pub(crate) closing: CancellationToken,
    janitor: AtomicBool,
}

/// The settings that reach a running server.
#[derive(Clone, Debug)]
pub(crate) struct HubOptions {
    pub(crate) message_bytes_max: usize,
    /// Every text is sent back, and there are no sessions: for those who judge the socket.
    pub(crate) echoes: bool,
    pub(crate) rate: RateOptions,
    pub(crate) sessions_max: usize,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) unused_after: Duration,
    pub(crate) expire_after: Duration,
    /// What holds the time and the jobs of a test.
    pub(crate) stage: Option<Arc<Stage>>,
}

/// Who is let in, and what shares a session.
pub(crate) struct Doors {
    pub(crate) per: Per,
    pub(crate) authenticate: Option<Authenticate>,
    pub(crate) cookies: Cookies,
}

impl Doors {
    pub(crate) fn new(per: Per, authenticate: Option<Authenticate>, key: [u8; 32]) -> Self {
        Self { per, authenticate, cookies: Cookies::new(key) }
    }
}

impl<S: State> Hub<S> {
    pub(crate) fn new(
        program: Program<S>,
        options: HubOptions,
        init: Box<dyn Fn() -> S + Send + Sync>,
        keys: Vec<(&'static str, &'static str)>,
        (per, authenticate): (Per, Option<Authenticate>),
    ) -> Result<Arc<Self>> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::internal("an app is built inside a tokio runtime: call it from an async function"))?;
        let key = random::bytes();
        Ok(Arc::new(Self {
            program,
            registry: Registry::new(options.sessions_max),
            uptime: Uptime::new(Duration::ZERO),
            options,
            init,
            keys,
            store: MemoryStore::new(FIRST_START),
            doors: Doors::new(per, authenticate, key),
            key,
            origin: Instant::now(),
            connections: AtomicU64::new(0),
            runtime,
            tasks: TaskTracker::new(),
            deferred: TaskTracker::new(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            janitor: AtomicBool::new(false),
        }))
    }

    pub(crate) fn now(&self) -> Time {
        self.time(Instant::now())
    }

    pub(crate) fn time(&self, at: Instant) -> Time {
        let elapsed = self.options.stage.as_ref().map(|stage| stage.elapsed());
        Time::after_origin(elapsed.unwrap_or_else(|| at.saturating_duration_since(self.origin)))
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + time.elapsed()
    }

    pub(crate) fn connection_id(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// A task that runs a session's turn when no connection's does.
    pub(crate) fn spawn_driver(&self, cell: Arc<Cell<S>>) {
        self.tasks.spawn_on(async move { cell.run_if_free(None) }, &self.runtime);
    }

    /// A task for an asynchronous action; a panic in it is its outcome.
    pub(crate) fn run_async(&self, cell: Weak<Cell<S>>, ticket: Ticket, mut running: Settling) -> AbortHandle {
        let settled = poll_fn(move |task| match windlass_engine::guard(|| running.as_mut().poll(task)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(panic) => Poll::Ready(Err(panic)),
        });
        let task = async move {
            let settled = settled.await;
            let Some(cell) = cell.upgrade() else { return };
            cell.settle(ticket, settled.unwrap_or_else(|panic| Err(cell.panicked(panic))));
        };
        self.deferred.spawn_on(task, &self.runtime).abort_handle()
    }

    /// A task that brings the session its timer when no connection is there to do so.
    pub(crate) fn spawn_timer(&self, cell: Weak<Cell<S>>, at: Time) {
        let (at, draining) = (self.instant(at), self.draining.clone());
        let task = async move {
            tokio::select! {
                () = draining.cancelled() => {}
                () = tokio::time::sleep_until(at) => {
                    if let Some(cell) = cell.upgrade() {
                        cell.timer_alone();
                    }
                }
            }
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// How long the app was up, by which sessions expire.
    pub(crate) fn uptime(&self) -> Duration {
        self.uptime.at(self.now().elapsed())
    }

    pub(crate) fn uptime_micros(&self) -> u64 {
        u64::try_from(self.uptime().as_micros()).unwrap_or(u64::MAX - 1)
    }

    /// The session with that id.
    ///
    /// # Errors
    ///
    /// `gone` when there is none.
    pub(crate) fn reach(self: &Arc<Self>, id: SessionId) -> Result<Arc<Cell<S>>> {
        self.registry.find(id).ok_or_else(|| Error::refuse("gone", "there is no such session"))
    }

    /// Changes a session in its next turn.
    ///
    /// # Errors
    ///
    /// `gone` when there is no such session, `busy` when too many changes wait for it.
    pub(crate) fn update(self: &Arc<Self>, id: SessionId, mut update: Update<S>) -> Result {
        loop {
            let cell = self.reach(id)?;
            update = match cell.update(update) {
                Ok(()) => return Ok(()),
                Err(Untaken::Full) => return Err(Error::busy("the session's inbox")),
                Err(Untaken::Gone(update)) => update,
            };
            self.registry.remove(id, &cell);
        }
    }

    /// Brings a session what another one has for it.
    pub(crate) fn deliver(self: &Arc<Self>, session: SessionId, update: Update<S>) {
        match self.update(session, update) {
            Err(error) if error.code == "busy" => {
                tracing::warn!(%session, "an update from another session was dropped: its inbox is full");
            }
            // A session that is gone is told nothing.
            Ok(()) | Err(_) => {}
        }
    }

    /// A session is over.
    pub(crate) fn forget(&self, cell: &Arc<Cell<S>>) {
        if !self.registry.remove(cell.id, cell) {
            return;
        }
        if let Err(error) = self.store.remove(Key(cell.id.0), windlass_store::Epoch(cell.epoch.0)) {
            tracing::warn!(session = %cell.id, %error, "a record stays behind");
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Cell<S>>> {
        self.registry.all()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.registry.len()
    }

    /// The session that a hello asks for, or that the guest has elsewhere, or a fresh one.
    pub(crate) fn welcome(
        self: &Arc<Self>,
        outlet: &Arc<Outlet>,
        hello: Hello,
        guest: &Guest,
    ) -> Result<Arc<Cell<S>>, Close> {
        if self.draining.is_cancelled() {
            return Err(draining());
        }
        let home = self.doors.per.home(guest).map_err(|()| Close::new(CloseCode::Login))?;
        let mut hello = Box::new(hello);
        for _ in 0..LOOKS_MAX {
            let cell = match self.known(&hello, guest) {
                Some(cell) => cell,
                None => self.seat(&hello, guest, home.as_ref())?,
            };
            hello = match cell.hello(outlet, hello, Secret(random::bytes())) {
                Ok(()) => return Ok(cell),
                Err(hello) => hello,
            };
            // It went the moment it was found: whoever took it out may not be through.
            self.registry.remove(cell.id, &cell);
        }
        Err(busy())
    }

    /// The session that the hello's token opens.
    fn known(&self, hello: &Hello, guest: &Guest) -> Option<Arc<Cell<S>>> {
        let token = hello.token.as_deref()?.parse::<Token>().ok()?;
        let cell = self.registry.find(token.session)?;
        (cell.accepts(hello, token.secret) && cell.admits(guest, hello.client)).then_some(cell)
    }

    /// The session of the guest's home, or a fresh one.
    fn seat(self: &Arc<Self>, hello: &Hello, guest: &Guest, home: Option<&Home>) -> Result<Arc<Cell<S>>, Close> {
        // Pages that come together find one session and not one each: one of them makes it while the others wait.
        for nth in 0..if home.is_some() { HOMES_MAX } else { 0 } {
            let Some(id) = home.map(|home| home.session(&self.key, nth)) else { break };
            let cell = self.registry.open(id, || self.fresh(id, hello, guest).map(Some))?;
            if let Some(cell) = cell.filter(|cell| cell.is_open_to(guest)) {
                return Ok(cell);
            }
        }
        let id = SessionId(random::bytes());
        let cell = self.registry.open(id, || self.fresh(id, hello, guest).map(Some))?;
        cell.ok_or_else(busy)
    }

    fn fresh(self: &Arc<Self>, id: SessionId, hello: &Hello, guest: &Guest) -> Result<Arc<Cell<S>>, Close> {
        let state = windlass_engine::guard(|| (self.init)()).map_err(|panic| {
            tracing::error!(%panic, "the app's initial state panicked");
            Close::new(CloseCode::SessionFailed)
        })?;
        let claim = self.store.claim(Key(id.0), NODE).map_err(|error| {
            tracing::error!(%error, "the store gives no epoch");
            busy()
        })?;
        let options = SessionOptions {
            id,
            epoch: Epoch(claim.epoch.0),
            hash_key: random::key(),
            message_bytes_max: self.options.message_bytes_max,
        };
        let mut session = Session::new(options, state);
        self.keys.iter().for_each(|(list, field)| session.key(list, field));
        let cell = Arc::new(Cell::new(Arc::clone(self), options.epoch, session, guest.holder(id)));
        if let Some(identity) = &guest.identity {
            cell.identify(Arc::clone(identity), hello.client);
        }
        if let Some(init) = &self.program.hooks.init {
            let (init, visit) =
                (Arc::clone(init), Visit::new(hello.page.clone(), guest.identity.as_deref().map(str::to_owned)));
            cell.begin(Box::new(move |state, cx| init(state, cx, &visit)));
        }
        self.start_janitor();
        Ok(cell)
    }

    /// Takes away the sessions that nobody came back to, as long as there are any.
    fn start_janitor(self: &Arc<Self>) {
        if self.options.stage.is_some() || self.janitor.swap(true, Ordering::AcqRel) {
            return;
        }
        let hub = Arc::clone(self);
        self.tasks.spawn_on(
            async move {
                loop {
                    tokio::select! {
                        () = hub.draining.cancelled() => return,
                        () = tokio::time::sleep(JANITOR_EVERY) => hub.retire_sessions(),
                    }
                }
            },
            &self.runtime,
        );
    }

    pub(crate) fn retire_sessions(&self) {
        self.uptime.look(self.now().elapsed(), JANITOR_EVERY);
        let patience = Patience { unused_after: self.options.unused_after, expire_after: self.options.expire_after };
        for cell in self.all() {
            cell.retire(&patience);
        }
    }
}

impl From<Full> for Close {
    fn from(_: Full) -> Self {
        busy()
    }
}

/// There is no room: clients come back later.
fn busy() -> Close {
    Close { retry_after: Some(BUSY_RETRY), ..Close::new(CloseCode::Busy) }
}

/// The close of a server that goes down: clients come back after a second, spread over another.
pub(crate) fn draining() -> Close {
    let jitter = Duration::from_millis(u64::from(u16::from_le_bytes(random::bytes())) % 1000);
    Close { retry_after: Some(RETURN_AFTER + jitter), ..Close::new(CloseCode::Draining) }
}

/// A store in memory has one process start, its own.
const FIRST_START: u64 = 1;
/// And one server.
const NODE: Node = Node(0);
/// A session that is found and gone again so often is somebody's loop.
const LOOKS_MAX: usize = 16;
/// The sessions of one browser, each begun when the others were somebody else's.
const HOMES_MAX: u8 = 16;
/// When a client may come back that found no room, or sent too much.
pub(crate) const BUSY_RETRY: Duration = Duration::from_secs(5);
pub(crate) const JANITOR_EVERY: Duration = Duration::from_secs(5);
const RETURN_AFTER: Duration = Duration::from_secs(1);
