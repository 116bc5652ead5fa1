//! What the sessions of one app share: the program, the registry, the pool, the clock.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_engine::{ConnectionId, Session, SessionOptions, Ticket, Time, has_jobs_to_run, token_hash};
use windlass_protocol::{ClientId, Close, CloseCode, Epoch, Hello, Secret, SessionId, Token};

use windlass_store::{Claim, Health, SessionStore};

use crate::address::Cidr;
use crate::cell::{Cell, Patience, Saving};
use crate::drivers::{self, Drivers};
use crate::guest::{Authenticate, Cookies, Guest, Home, Login, Per};
use crate::hooks::Visit;
use crate::inbox::Untaken;
use crate::keeper::{Keeper, Keeping, Watch};
use crate::limits::{Counters, Limits};
use crate::outlet::Outlet;
use crate::parked::Holder;
use crate::program::{Program, Settling, State, Update};
use crate::quota::Quotas;
use crate::registry::{Full, Registry};
use crate::test::Stage;
use crate::uptime::Uptime;
use crate::{Error, Result, pace, random};

/// What the sessions of one app share.
pub(crate) struct Hub<S: State> {
    /// Beside the hub: the thread that writes must not be the last to hold what it belongs to.
    pub(crate) program: Arc<Program<S>>,
    pub(crate) options: HubOptions,
    init: Box<dyn Fn() -> S + Send + Sync>,
    keys: Vec<(&'static str, &'static str)>,
    pub(crate) keeper: Keeper,
    pub(crate) doors: Doors,
    /// How often each limit was reached.
    pub(crate) counters: Arc<Counters>,
    /// What each address has taken.
    pub(crate) quotas: Quotas,
    /// From which the ids of sessions are made that are not one tab's.
    key: [u8; 32],
    registry: Registry<Cell<S>>,
    pub(crate) drivers: Drivers<S>,
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
    /// How often the janitor has looked.
    looks: AtomicU64,
    /// The store was well when it was last heard of.
    is_up: AtomicBool,
}

/// Where sessions are stored.
pub(crate) struct Stored {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) is_durable: bool,
    pub(crate) keeping: Keeping,
}

/// The settings that reach a running server.
#[derive(Clone, Debug)]
pub(crate) struct HubOptions {
    pub(crate) message_bytes_max: usize,
    /// Every text is sent back, and there are no sessions: for those who judge the socket.
    pub(crate) echoes: bool,
    /// What peers may take.
    pub(crate) limits: Limits,
    /// Proxies that are believed who they were asked by.
    pub(crate) trusted: Vec<Cidr>,
    /// Sockets are for pages only.
    pub(crate) require_origin: bool,
    /// What becomes of a stranger's session when they log in.
    pub(crate) login: Login,
    pub(crate) sessions_max: usize,
    pub(crate) state_bytes_max: usize,
    pub(crate) allowed_origins: Vec<String>,
    /// How long sessions wait for somebody to come back, where they wait.
    pub(crate) patience: Patience,
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
        stored: Stored,
    ) -> Result<Arc<Self>> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::internal("an app is built inside a tokio runtime: call it from an async function"))?;
        let whole: Arc<OnceLock<Weak<Self>>> = Arc::default();
        let keeper = {
            let (whole, watch) = (Arc::clone(&whole), Watch::new());
            let has_thread = options.stage.is_none();
            let watch = Arc::new(move |health: &Health| {
                watch.hear(health);
                if let Some(hub) = whole.get().and_then(Weak::upgrade) {
                    hub.store_is(*health == Health::Well);
                }
            });
            Keeper::new(stored.store, stored.is_durable, has_thread, stored.keeping, watch)?
        };
        let key = keeper.secret()?;
        let quotas = Quotas::new(options.limits);
        let hub = Arc::new(Self {
            counters: Arc::clone(&program.counters),
            program: Arc::new(program),
            registry: Registry::new(options.sessions_max),
            drivers: Drivers::new(runtime.metrics().num_workers()),
            uptime: Uptime::new(keeper.uptime_before()),
            keeper,
            options,
            quotas,
            init,
            keys,
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
            looks: AtomicU64::new(0),
            is_up: AtomicBool::new(true),
        });
        let _ = whole.set(Arc::downgrade(&hub));
        if hub.keeper.is_durable() {
            // Sessions of earlier processes expire as well.
            hub.start_janitor();
            if hub.program.has_callbacks() && hub.options.stage.is_none() {
                let starting = Arc::clone(&hub);
                hub.tasks.spawn_blocking_on(move || starting.take_up_jobs(), &hub.runtime);
            }
        }
        Ok(hub)
    }

    /// Loads the sessions whose jobs run again, whether or not anybody comes back to them.
    pub(crate) fn take_up_jobs(self: &Arc<Self>) {
        let mut last = None;
        loop {
            let ids = self.keeper.sessions(last, LISTED_AT_ONCE);
            let Some(&after) = ids.last() else { return };
            last = Some(after);
            for id in ids {
                if self.draining.is_cancelled() {
                    return;
                }
                match self.registry.open(id, || self.load_if(id, has_jobs_to_run)) {
                    Ok(Some(cell)) => {
                        self.tell_late(&cell);
                        cell.timer_alone();
                    }
                    Ok(None) => {}
                    Err(_) => {
                        tracing::warn!(session = %id, "its jobs wait until somebody comes back: there is no room")
                    }
                }
            }
        }
    }

    /// The store has begun to fail, or works again.
    fn store_is(&self, is_up: bool) {
        if self.is_up.swap(is_up, Ordering::AcqRel) != is_up {
            self.all().iter().for_each(|cell| cell.store_is(is_up));
        }
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

    /// Calls a driver for a session's turn.
    pub(crate) fn call_driver(self: &Arc<Self>, cell: Arc<Cell<S>>) {
        if self.drivers.add(cell) {
            self.start_driver();
        }
    }

    /// Starts the driver that was counted already.
    pub(crate) fn start_driver(self: &Arc<Self>) {
        self.tasks.spawn_on(drivers::drive(Arc::clone(self)), &self.runtime);
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

    /// The session with that id, which comes back into memory when it is parked. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// `gone` when there is none, `busy` when there is no room, or the store does not answer.
    pub(crate) fn reach(self: &Arc<Self>, id: SessionId) -> Result<Arc<Cell<S>>> {
        if let Some(cell) = self.registry.find(id) {
            return Ok(cell);
        }
        let gone = || Error::refuse("gone", "there is no such session");
        if !self.program.keeps_states() || self.draining.is_cancelled() {
            return Err(gone());
        }
        match self.registry.open(id, || self.load(id)) {
            Ok(Some(cell)) => {
                self.tell_late(&cell);
                Ok(cell)
            }
            Ok(None) => Err(gone()),
            Err(close) if close.code == CloseCode::Busy => Err(Error::busy("the table of sessions")),
            Err(_) => Err(gone()),
        }
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

    /// The same, for somebody who waits until it is on disk.
    pub(crate) fn update_saved(self: &Arc<Self>, id: SessionId, mut update: Update<S>, mut saving: Saving) -> Result {
        loop {
            let cell = apart(|| self.reach(id))?;
            (update, saving) = match cell.update_saved(update, saving) {
                Ok(()) => return Ok(()),
                Err(Untaken::Full) => return Err(Error::busy("the session's inbox")),
                Err(Untaken::Gone(change)) => change,
            };
            self.registry.remove(id, &cell);
        }
    }

    /// The session, when it is in memory.
    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<Cell<S>>> {
        self.registry.find(id)
    }

    /// Brings a session what another one has for it. One that is parked is loaded meanwhile.
    pub(crate) fn deliver(self: &Arc<Self>, session: SessionId, update: Update<S>) {
        let is_here = self.registry.find(session).is_some() || !self.program.keeps_states();
        let hub = Arc::clone(self);
        let deliver = move || match hub.update(session, update) {
            Err(error) if error.code == "busy" => {
                tracing::warn!(%session, "an update from another session was dropped: its inbox is full");
            }
            // A session that is gone is told nothing.
            Ok(()) | Err(_) => {}
        };
        if is_here || self.options.stage.is_some() {
            deliver();
        } else {
            self.tasks.spawn_blocking_on(deliver, &self.runtime);
        }
    }

    /// A session is over, which may have a record or cannot.
    pub(crate) fn forget(&self, cell: &Arc<Cell<S>>, has_record: bool) {
        if !self.registry.remove(cell.id, cell) {
            return;
        }
        if has_record {
            self.keeper.remove(cell.id, cell.epoch);
        } else {
            // Most visitors do nothing, and cost the disk nothing.
            self.keeper.release(cell.id, cell.epoch);
        }
    }

    /// A session leaves memory and is somebody else's, or not to be touched.
    pub(crate) fn let_go(&self, cell: &Arc<Cell<S>>) {
        self.registry.remove(cell.id, cell);
    }

    /// A session has left memory; its record stays.
    pub(crate) fn parked(self: &Arc<Self>, cell: &Arc<Cell<S>>, bytes: usize) {
        // Before it is out of the registry, so that who loads it finds it here.
        self.keeper.rests(cell.id, cell.epoch, cell.holder(), bytes);
        self.registry.remove(cell.id, cell);
        self.keeper.release(cell.id, cell.epoch);
        self.make_room();
    }

    /// Ends parked sessions as long as there are more than may be.
    fn make_room(self: &Arc<Self>) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(victim) = self.keeper.victim(self.sessions()) else { return };
            tracing::info!(session = %victim.id, "a parked session goes: there is no room for more");
            self.end_parked(victim.id, Epoch(victim.epoch));
        }
    }

    /// Ends a session that is parked.
    fn end_parked(self: &Arc<Self>, id: SessionId, epoch: Epoch) {
        if self.program.hooks.expire.is_some()
            && self.registry.find(id).is_none()
            && let Ok(cell) = self.reach(id)
        {
            // Back for a moment, to hear of it. Who comes meanwhile keeps it.
            cell.end_if_idle();
        } else {
            self.keeper.remove(id, epoch);
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
            let known = match self.known(&hello, guest)? {
                Some(cell) => Some(cell),
                None => self.begin_again(&hello, guest)?,
            };
            let cell = match known {
                Some(cell) => {
                    if let Some(quota) = &guest.quota {
                        quota.give_socket_back();
                    }
                    cell
                }
                None => {
                    if hello.token.is_some() {
                        self.counters.tokens_unknown.add();
                    }
                    self.seat(&hello, guest, home.as_ref())?
                }
            };
            // Whoever is the first in a session can be known by their token though nothing of it is saved.
            let is_first = self.keeper.is_durable() && !cell.has_clients();
            let secret = if is_first {
                first_secret(&self.key, cell.id, hello.client, cell.epoch)
            } else {
                Secret(random::bytes())
            };
            hello = match cell.hello(outlet, hello, secret) {
                Ok(()) => return Ok(cell),
                Err(hello) => hello,
            };
            // It went the moment it was found: whoever took it out may not be through.
            self.registry.remove(cell.id, &cell);
        }
        Err(busy())
    }

    /// The session that the hello's token opens.
    fn known(self: &Arc<Self>, hello: &Hello, guest: &Guest) -> Result<Option<Arc<Cell<S>>>, Close> {
        let Some(token) = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok()) else { return Ok(None) };
        let cell = match self.registry.find(token.session) {
            Some(cell) => Some(cell),
            None if self.program.keeps_states() => apart(|| self.open(token.session, || self.load(token.session)))?,
            None => None,
        };
        let login = self.options.login;
        Ok(cell.filter(|cell| cell.accepts(hello, token.secret) && cell.admits(guest, hello.client, login)))
    }

    /// The session that the hello's token opened before a crash, under its id and from its beginning, when nothing of it was
    /// ever saved: its page sends everything again, and each action counts once. Nobody else gets it: the token was
    /// made for this session, client and epoch with the app's own secret.
    fn begin_again(self: &Arc<Self>, hello: &Hello, guest: &Guest) -> Result<Option<Arc<Cell<S>>>, Close> {
        let epoch = hello.epoch.max(hello.sent.0);
        let token = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok());
        let Some(token) = token.filter(|_| self.keeper.was_never_saved(epoch)) else { return Ok(None) };
        let given = first_secret(&self.key, token.session, hello.client, epoch);
        if token_hash(given) != token_hash(token.secret) {
            return Ok(None);
        }
        let mut is_begun = false;
        let opened = apart(|| {
            self.open(token.session, || {
                let claim = self.claim(token.session)?;
                let claimed = Epoch(claim.epoch.0);
                if claim.record.is_some() {
                    self.keeper.release(token.session, claimed);
                    return Ok(None);
                }
                is_begun = true;
                self.begin(token.session, Some(claimed), hello, guest, true).map(Some)
            })
        })?;
        Ok(opened.filter(|_| is_begun))
    }

    /// The session with that id, which is loaded when it is not in memory.
    fn open(
        &self,
        id: SessionId,
        load: impl FnOnce() -> Result<Option<Arc<Cell<S>>>, Close>,
    ) -> Result<Option<Arc<Cell<S>>>, Close> {
        let mut has_room = false;
        let opened = self.registry.open(id, || {
            has_room = true;
            load()
        });
        match &opened {
            Ok(Some(cell)) => self.tell_late(cell),
            Err(_) if !has_room => self.counters.sessions.add(),
            _ => {}
        }
        opened
    }

    /// Whoever comes into memory while the server goes down has missed being told.
    fn tell_late(&self, cell: &Arc<Cell<S>>) {
        if self.draining.is_cancelled() {
            cell.drain(RETURN_AFTER);
        }
    }

    /// The session of the guest's home, or a fresh one.
    fn seat(self: &Arc<Self>, hello: &Hello, guest: &Guest, home: Option<&Home>) -> Result<Arc<Cell<S>>, Close> {
        // Pages that come together find one session and not one each: one of them makes it while the others wait.
        for nth in 0..if home.is_some() { HOMES_MAX } else { 0 } {
            let Some(id) = home.map(|home| home.session(&self.key, nth)) else { break };
            if let Some(cell) = apart(|| self.open(id, || self.load_or_begin(id, hello, guest)))?
                && cell.is_open_to(guest)
            {
                return Ok(cell);
            }
        }
        let id = SessionId(random::bytes());
        let cell = self.open(id, || self.fresh(id, None, hello, guest).map(Some))?;
        cell.ok_or_else(busy)
    }

    /// The session from its record; none when there is no record, or none that can be read.
    fn load(self: &Arc<Self>, id: SessionId) -> Result<Option<Arc<Cell<S>>>, Close> {
        self.load_if(id, |_| true)
    }

    /// The same, when its record is so.
    fn load_if(self: &Arc<Self>, id: SessionId, is_so: fn(&[u8]) -> bool) -> Result<Option<Arc<Cell<S>>>, Close> {
        let claim = self.claim(id)?;
        let epoch = Epoch(claim.epoch.0);
        let cell = claim
            .record
            .filter(|record| is_so(&record.bytes))
            .and_then(|record| self.restore(id, epoch, &record.bytes));
        if cell.is_none() {
            self.keeper.release(id, epoch);
        }
        Ok(cell)
    }

    /// The same, or a fresh one when there is no record. None when there is one that cannot be read: it is kept aside.
    fn load_or_begin(
        self: &Arc<Self>,
        id: SessionId,
        hello: &Hello,
        guest: &Guest,
    ) -> Result<Option<Arc<Cell<S>>>, Close> {
        let claim = self.claim(id)?;
        let epoch = Epoch(claim.epoch.0);
        match claim.record.filter(|_| self.program.keeps_states()) {
            None => self.fresh(id, Some(epoch), hello, guest).map(Some),
            Some(record) => {
                let cell = self.restore(id, epoch, &record.bytes);
                if cell.is_none() {
                    self.keeper.release(id, epoch);
                }
                Ok(cell)
            }
        }
    }

    fn claim(&self, id: SessionId) -> Result<Claim, Close> {
        self.keeper.claim(id).map_err(|error| {
            tracing::error!(session = %id, %error, "the store does not give a session");
            busy()
        })
    }

    fn restore(self: &Arc<Self>, id: SessionId, epoch: Epoch, record: &[u8]) -> Option<Arc<Cell<S>>> {
        let saves = self.keeper.save_options();
        let restored = Session::restore(&*self.program, self.session_options(id, epoch), saves, record, self.now());
        let mut session = match restored {
            Ok(session) => session,
            Err(error) => {
                let advice = "its page begins afresh and is told so; the record stays until it expires";
                tracing::error!(session = %id, %error, advice, "a session could not be restored");
                return None;
            }
        };
        self.keys.iter().for_each(|(list, field)| session.key(list, field));
        self.keeper.woken(id);
        self.start_janitor();
        Some(Arc::new(Cell::new(Arc::clone(self), epoch, session, (Holder::Alone(id), None), true)))
    }

    fn session_options(&self, id: SessionId, epoch: Epoch) -> SessionOptions {
        let HubOptions { message_bytes_max, state_bytes_max, .. } = self.options;
        SessionOptions { id, epoch, hash_key: random::key(), message_bytes_max, state_bytes_max }
    }

    /// A session that nobody has been in. `epoch` is there when it was claimed already.
    fn fresh(
        self: &Arc<Self>,
        id: SessionId,
        epoch: Option<Epoch>,
        hello: &Hello,
        guest: &Guest,
    ) -> Result<Arc<Cell<S>>, Close> {
        self.begin(id, epoch, hello, guest, false)
    }

    /// The same; whether its page was in it before.
    fn begin(
        self: &Arc<Self>,
        id: SessionId,
        epoch: Option<Epoch>,
        hello: &Hello,
        guest: &Guest,
        is_again: bool,
    ) -> Result<Arc<Cell<S>>, Close> {
        // Without the one that is being made, which has its place already.
        if self.keeper.is_full(self.sessions().saturating_sub(1)) {
            self.counters.sessions.add();
            return Err(busy());
        }
        let place = match &guest.quota {
            Some(quota) => Some(quota.session().ok_or_else(|| {
                self.counters.address_sessions.add();
                busy()
            })?),
            None => None,
        };
        let state = windlass_engine::guard(|| (self.init)()).map_err(|panic| {
            tracing::error!(%panic, "the app's initial state panicked");
            Close::new(CloseCode::SessionFailed)
        })?;
        let epoch = match epoch {
            Some(epoch) => epoch,
            None => Epoch(self.claim(id)?.epoch.0),
        };
        let mut session = Session::new(self.session_options(id, epoch), state);
        self.keys.iter().for_each(|(list, field)| session.key(list, field));
        let keeps_records = self.keeper.is_durable();
        if keeps_records {
            session.keep_records(self.keeper.save_options());
        }
        if is_again {
            session.expect(hello.client);
        }
        let holder = (guest.holder(id), place);
        let cell = Arc::new(Cell::new(Arc::clone(self), epoch, session, holder, keeps_records));
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
        let (hub, draining) = (Arc::downgrade(self), self.draining.clone());
        self.tasks.spawn_on(
            async move {
                loop {
                    tokio::select! {
                        () = draining.cancelled() => return,
                        () = tokio::time::sleep(JANITOR_EVERY) => {}
                    }
                    // An app that nobody holds and that has no sessions is over.
                    let Some(hub) = hub.upgrade() else { return };
                    hub.retire_sessions();
                }
            },
            &self.runtime,
        );
    }

    pub(crate) fn retire_sessions(self: &Arc<Self>) {
        let age = self.now().elapsed();
        self.uptime.look(age, JANITOR_EVERY);
        for cell in self.all() {
            cell.retire(&self.options.patience);
        }
        if !self.program.keeps_states() {
            return;
        }
        // Those that were away with the server have some time to come back. The store hears of the uptime all the same.
        let is_grace = self.keeper.is_durable() && age < GRACE;
        if self.options.stage.is_some() || !self.keeper.is_durable() {
            return self.expire_parked(if is_grace { 0 } else { EXPIRED_AT_ONCE });
        }
        // The disk is asked, and may take its time.
        if self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SCANNED_EVERY) {
            let hub = Arc::clone(self);
            let scan = move || hub.expire_parked(if is_grace { 0 } else { EXPIRED_AT_ONCE * SCANNED_EVERY as usize });
            self.tasks.spawn_blocking_on(scan, &self.runtime);
        }
    }

    fn expire_parked(self: &Arc<Self>, max: usize) {
        for expired in self.keeper.expired(self.uptime(), max) {
            self.end_parked(SessionId(expired.key.0), Epoch(expired.epoch.0));
        }
        if max > 0 {
            // What an earlier process has left may be more than this one allows.
            self.make_room();
        }
    }
}

/// The secret of the first token of a session: whoever has the app's own secret knows it again without a record.
fn first_secret(key: &[u8; 32], session: SessionId, client: ClientId, epoch: Epoch) -> Secret {
    let mut hash = Sha256::new();
    hash.update(b"first token");
    hash.update(key);
    hash.update(session.0);
    hash.update(client.to_string());
    hash.update(epoch.0.to_le_bytes());
    Secret(hash.finalize()[..16].try_into().expect("sixteen of 32 bytes"))
}

/// Runs what may take as long as a disk, or another who loads, where it holds up no other task.
fn apart<T>(run: impl FnOnce() -> T) -> T {
    if pace::may_block() { pace::apart(run) } else { run() }
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

/// A session that is found and gone again so often is somebody's loop.
const LOOKS_MAX: usize = 16;
/// The sessions of one browser, each begun when the others were somebody else's.
const HOMES_MAX: u8 = 16;
/// When a client may come back that found no room, or sent too much.
pub(crate) const BUSY_RETRY: Duration = Duration::from_secs(5);
/// Sessions that are removed in one look of the janitor: more follow with the next.
const EXPIRED_AT_ONCE: usize = 256;
/// In looks of the janitor: once a minute.
const SCANNED_EVERY: u64 = 12;
/// Records that are looked at in one go for jobs that run again.
const LISTED_AT_ONCE: usize = 1024;
/// How long after a start nobody is forgotten.
const GRACE: Duration = Duration::from_secs(10 * 60);
pub(crate) const JANITOR_EVERY: Duration = Duration::from_secs(5);
pub(crate) const RETURN_AFTER: Duration = Duration::from_secs(1);
