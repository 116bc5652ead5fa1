//! A session in a server: the engine's session, its inbox, and the driver role.
//!
//! Whoever brings work takes the role and runs the turn, or leaves the work in the inbox for whoever has it.
//! Only the holder of the role touches the session; its lock is therefore never waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use windlass_engine::{Account, ConnectionId, Fault, Input, Output, Scratch, Session, Ticket, Time, token_hash};
use windlass_protocol::{ClientId, ClientMessage, Close, CloseCode, Epoch, Hello, Secret, SessionId};

use crate::allowance::Allowance;
use crate::callback::owner;
use crate::guest::{Guest, Login};
use crate::hub::Hub;
use crate::inbox::{Entry, Inbox, Untaken};
use crate::keeper::Stored;
use crate::outlet::Outlet;
use crate::parked::Holder;
use crate::program::{Post, Program, State, Update};
use crate::quota::Place;
use crate::role::Role;
use crate::session_jobs::SessionJobs;
use crate::{Error, Handle, lock, pace};

mod reporter;
mod rest;

use reporter::CellReporter;

pub(crate) use rest::Patience;

/// A session in a server.
pub(crate) struct Cell<S: State> {
    pub(crate) id: SessionId,
    pub(crate) epoch: Epoch,
    /// Whose the room is that it takes, as long as it is nobody's who is known.
    holder: Holder,
    /// Its place among those of its address, until it is gone.
    _place: Option<Place>,
    /// What its pages have sent of the actions that they may.
    pub(crate) allowance: Allowance,
    /// Whose it is, beside the session: a hello must not wait for a turn that takes long.
    identity: Mutex<Option<Arc<str>>>,
    hub: Arc<Hub<S>>,
    role: Role,
    inbox: Mutex<Inbox<S>>,
    core: Mutex<Core<S>>,
    /// Who may come back, beside the session: a hello must not wait for a turn that takes long.
    tokens: Mutex<Box<[KnownToken]>>,
    /// When the engine wants its timer, in microseconds of the hub's clock; `u64::MAX` for never.
    deadline: AtomicU64,
    /// A walk would find something that no frame has told.
    news: AtomicBool,
    /// The last turn took long: the next one runs where it holds up no other task.
    slow: AtomicBool,
    /// Since when no connection is attached, in microseconds of the hub's uptime; `u64::MAX` while one is.
    detached_at: AtomicU64,
}

/// A client, and the hash of a secret of its.
type KnownToken = (ClientId, [u8; 32]);

/// What only the holder of the role touches.
struct Core<S: State> {
    session: Session<Program<S>>,
    outlets: Vec<Arc<Outlet>>,
    jobs: SessionJobs<S>,
    /// Asynchronous actions that are under way.
    tasks: BTreeMap<Ticket, AbortHandle>,
    /// The connection whose task works now; it looks into its outlet by itself.
    worker: Option<ConnectionId>,
    /// The deadline for which a timer was spawned, when no connection was there to bring it.
    spawned_for: u64,
    /// A connection said hello in this turn.
    greeted: bool,
    /// A turn panicked outside user code, or the session is somebody else's: nothing of it can be trusted.
    failed: bool,
    /// It was told how it is kept.
    keeps_records: bool,
    /// It leaves memory when its record is stored and nobody has come back.
    is_parking: bool,
    /// Somebody else has it now.
    is_fenced: bool,
    /// Of the record that was stored last.
    record_bytes: usize,
    /// A record was stored in this turn.
    is_stored: bool,
    /// Who waits for the disk: until which turn is saved, and what became of the change.
    unsaved: Vec<(u64, Saving)>,
}

/// Who wants to know when a change is on disk.
pub(crate) type Saving = (tokio::sync::oneshot::Sender<crate::Result>, Arc<Mutex<Option<crate::Result>>>);

impl<S: State> Cell<S> {
    pub(crate) fn new(
        hub: Arc<Hub<S>>,
        epoch: Epoch,
        session: Session<Program<S>>,
        (holder, place): (Holder, Option<Place>),
        keeps_records: bool,
    ) -> Self {
        Self {
            id: session.id(),
            epoch,
            holder,
            _place: place,
            allowance: Allowance::default(),
            identity: Mutex::new(session.identity().cloned()),
            role: Role::default(),
            inbox: Mutex::default(),
            tokens: Mutex::new(session.tokens().collect()),
            deadline: AtomicU64::new(u64::MAX),
            news: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            detached_at: AtomicU64::new(hub.uptime_micros()),
            core: Mutex::new(Core {
                session,
                outlets: Vec::new(),
                jobs: SessionJobs::default(),
                tasks: BTreeMap::new(),
                worker: None,
                spawned_for: u64::MAX,
                greeted: false,
                failed: false,
                keeps_records,
                is_parking: false,
                is_fenced: false,
                record_bytes: 0,
                is_stored: false,
                unsaved: Vec::new(),
            }),
            hub,
        }
    }

    /// When the engine wants its timer.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.deadline.load(Ordering::Acquire) {
            u64::MAX => None,
            at => Some(Time::after_origin(Duration::from_micros(at))),
        }
    }

    /// Whether a driver was called: whoever polls next is it.
    pub(crate) fn is_called(&self) -> bool {
        self.role.is_called()
    }

    /// Whether there is something for a socket that takes more.
    pub(crate) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// Whether a client with that secret may come back to this session.
    pub(crate) fn accepts(&self, hello: &Hello, secret: Secret) -> bool {
        let known = (hello.client, token_hash(secret));
        lock(&self.tokens).contains(&known)
    }

    /// Whether anybody may come back to it.
    pub(crate) fn has_clients(&self) -> bool {
        !lock(&self.tokens).is_empty()
    }

    /// Whether a guest may have this session: it is theirs, or they have logged in and it was nobody's.
    pub(crate) fn admits(&self, guest: &Guest, client: ClientId, login: Login) -> bool {
        let mut identity = lock(&self.identity);
        match (&*identity, &guest.identity) {
            (None, Some(_)) if login == Login::Fresh => false,
            (None, Some(subject)) => {
                *identity = Some(Arc::clone(subject));
                lock(&self.inbox).push(Entry::Identify(Arc::clone(subject), client));
                true
            }
            (known, subject) => known == subject,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_attached(&self) -> bool {
        self.detached_at.load(Ordering::Acquire) == u64::MAX
    }

    /// Whether a guest who has no token of it may join: it is theirs.
    pub(crate) fn is_open_to(&self, guest: &Guest) -> bool {
        *lock(&self.identity) == guest.identity
    }

    /// Whose the room is that it takes.
    pub(crate) fn holder(&self) -> Holder {
        lock(&self.identity).clone().map_or_else(|| self.holder.clone(), Holder::User)
    }

    /// Says whose a fresh session is.
    pub(crate) fn identify(&self, subject: Arc<str>, client: ClientId) {
        *lock(&self.identity) = Some(Arc::clone(&subject));
        lock(&self.inbox).push(Entry::Identify(subject, client));
    }

    /// Ends the connections of somebody who has logged out. Whether it was theirs.
    pub(crate) fn logout(&self, subject: &str) -> bool {
        let theirs = lock(&self.identity).as_deref() == Some(subject);
        if theirs {
            self.close(|| CloseCode::Login.into());
        }
        theirs
    }

    /// Brings a connection that said hello. The hello comes back when the session is gone: look for its successor.
    pub(crate) fn hello(
        self: &Arc<Self>,
        outlet: &Arc<Outlet>,
        hello: Box<Hello>,
        secret: Secret,
    ) -> Result<(), Box<Hello>> {
        let mut inbox = lock(&self.inbox);
        if inbox.is_closed() {
            return Err(hello);
        }
        self.detached_at.store(u64::MAX, Ordering::Release);
        inbox.outlets.push(Arc::clone(outlet));
        inbox.push(Entry::Hello(Arc::clone(outlet), hello, secret));
        drop(inbox);
        self.run_if_free(Some(outlet.id));
        Ok(())
    }

    /// Brings the messages of a connection; all of them are one turn when nobody else works.
    pub(crate) fn texts(self: &Arc<Self>, outlet: &Arc<Outlet>, texts: &mut Vec<Utf8Bytes>) {
        let connection = outlet.id;
        // Never past earlier ones that still wait: they are numbered.
        if outlet.waiting() == 0 && self.take() {
            self.work(Some(connection), |core, now| {
                for text in texts.drain(..) {
                    core.text(self, outlet, &text, now);
                }
            });
            return;
        }
        outlet.add_waiting(texts.len());
        let mut inbox = lock(&self.inbox);
        texts.drain(..).for_each(|text| inbox.push(Entry::Text(Arc::clone(outlet), text)));
        drop(inbox);
        self.run_if_free(Some(connection));
    }

    /// The connection is over.
    pub(crate) fn lost(self: &Arc<Self>, connection: ConnectionId) {
        let mut inbox = lock(&self.inbox);
        inbox.outlets.retain(|outlet| outlet.id != connection);
        inbox.push(Entry::Lost(connection));
        drop(inbox);
        self.run_if_free(None);
    }

    pub(crate) fn timer(self: &Arc<Self>, connection: ConnectionId) {
        self.bring(Entry::Timer, Some(connection));
    }

    /// The timer of a session that no connection is attached to.
    pub(crate) fn timer_alone(self: &Arc<Self>) {
        self.bring(Entry::Timer, None);
    }

    pub(crate) fn drain(self: &Arc<Self>, retry_after: Duration) {
        self.tell(Entry::Drain(retry_after));
    }

    /// The last turn: from now on nothing is changed, and the record is sealed.
    pub(crate) fn freeze(self: &Arc<Self>, retry_after: Duration) {
        self.tell(Entry::Freeze(retry_after));
    }

    /// The store has begun to fail, or works again.
    pub(crate) fn store_is(self: &Arc<Self>, is_up: bool) {
        self.tell(Entry::Store { is_up });
    }

    fn tell(self: &Arc<Self>, entry: Entry<S>) {
        lock(&self.inbox).push(entry);
        self.call();
    }

    /// Closes every connection.
    pub(crate) fn close(&self, close: impl Fn() -> Close) {
        for outlet in &lock(&self.inbox).outlets {
            outlet.close(close());
            outlet.wake();
        }
    }

    /// Changes the session in its next turn.
    pub(crate) fn update(self: &Arc<Self>, update: Update<S>) -> Result<(), Untaken<Update<S>>> {
        lock(&self.inbox).push_update(update)?;
        self.call();
        Ok(())
    }

    /// The same, for somebody who waits until it is on disk.
    pub(crate) fn update_saved(
        self: &Arc<Self>,
        update: Update<S>,
        saving: Saving,
    ) -> Result<(), Untaken<(Update<S>, Saving)>> {
        lock(&self.inbox).push_update_saved(update, saving)?;
        self.call();
        Ok(())
    }

    /// Brings a fresh session what it begins with.
    pub(crate) fn begin(&self, update: Update<S>) {
        lock(&self.inbox).push(Entry::Begin(update));
    }

    /// What the page hears of a panic in an asynchronous action.
    pub(crate) fn panicked(&self, text: String) -> Fault {
        windlass_engine::App::panicked(&*self.hub.program, text)
    }

    /// Brings the end of an asynchronous action.
    pub(crate) fn settle(self: &Arc<Self>, ticket: Ticket, outcome: Result<Option<String>, Fault>) {
        lock(&self.inbox).push(Entry::Settle(ticket, outcome));
        self.call();
    }

    /// Calls a driver, unless somebody works or was called.
    fn call(self: &Arc<Self>) {
        if self.role.call() {
            self.hub.call_driver(Arc::clone(self));
        }
    }

    /// Runs the turn that a driver was called for, if nobody else has meanwhile.
    pub(crate) fn run_if_called(self: &Arc<Self>) {
        if self.is_called() {
            self.run_if_free(None);
        }
    }

    fn bring(self: &Arc<Self>, entry: Entry<S>, worker: Option<ConnectionId>) {
        lock(&self.inbox).push(entry);
        self.run_if_free(worker);
    }

    /// Runs the next turn unless somebody does: then it is theirs. `worker` is the connection whose task this is.
    pub(crate) fn run_if_free(self: &Arc<Self>, worker: Option<ConnectionId>) {
        if self.take() {
            self.work(worker, |_, _| {});
        }
    }

    fn take(&self) -> bool {
        self.role.take()
    }

    /// Turns, until nothing is left or it is another's task's turn. Holds the role.
    fn work(self: &Arc<Self>, worker: Option<ConnectionId>, first: impl FnOnce(&mut Core<S>, Time)) {
        if self.slow.load(Ordering::Relaxed) && pace::may_block() {
            pace::apart(|| self.turns(worker, first));
        } else {
            self.turns(worker, first);
        }
    }

    fn turns(self: &Arc<Self>, worker: Option<ConnectionId>, first: impl FnOnce(&mut Core<S>, Time)) {
        let mut first = Some(first);
        let through = self.role.work(TURNS_MAX, || {
            let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut core = lock(&self.core);
                core.worker = worker;
                self.turn(&mut core, first.take())
            }));
            turn.unwrap_or_else(|_| {
                // Not in user code: those panics end in the engine. What is left of the session is not to be trusted.
                tracing::error!(session = %self.id, "a turn panicked, the session ends");
                self.fail();
                false
            })
        });
        if !through {
            self.hub.call_driver(Arc::clone(self));
        }
    }

    /// One turn. True when the inbox holds more.
    fn turn(self: &Arc<Self>, core: &mut Core<S>, first: Option<impl FnOnce(&mut Core<S>, Time)>) -> bool {
        pace::take_blamed();
        let began = Instant::now();
        let now = self.hub.time(began);
        if core.failed {
            while let Some(entry) = { lock(&self.inbox).pop() } {
                match entry {
                    Entry::Text(outlet, _) => outlet.take_waiting(),
                    Entry::Hello(outlet, ..) => {
                        // Found just before it failed.
                        outlet.close(CloseCode::SessionFailed.into());
                        core.wake(&outlet);
                    }
                    _ => {}
                }
            }
            return false;
        }
        let program = &self.hub.program;
        for at in 0..core.outlets.len() {
            if core.outlets[at].take_flushed() {
                let id = core.outlets[at].id;
                core.session.handle(program, Input::Ready(id), now);
            }
        }
        if let Some(first) = first {
            first(core, now);
        }
        let mut more = false;
        for taken in 0.. {
            if taken >= INPUTS_MAX || (taken % 8 == 7 && began.elapsed() >= INPUT_TIME_MAX) {
                more = !lock(&self.inbox).is_empty();
                break;
            }
            let Some(entry) = lock(&self.inbox).pop() else { break };
            self.enter(core, entry, now);
        }
        // What is refused from here on is the turn's one change.
        core.session.take_refused();
        SCRATCH.with_borrow_mut(|scratch| core.session.flush(program, scratch, now));
        if std::mem::take(&mut core.greeted) {
            // Before the welcome leaves, so that whoever holds its token is known.
            *lock(&self.tokens) = core.session.tokens().collect();
            // Most sessions find their messages in the connection's hands from now on, and use no inbox.
            lock(&self.inbox).shrink();
        }
        if std::mem::take(&mut core.is_stored) {
            let mut tokens = lock(&self.tokens);
            // One that was replaced dies with the first record after the new one was used.
            if core.session.tokens().count() != tokens.len() {
                *tokens = core.session.tokens().collect();
            }
        }
        if core.session.take_refused() {
            core.refuse_unsaved();
        }
        core.number_unsaved();
        self.carry_out(core);
        core.tell_saved();
        self.step_aside(core);
        let crowded = core.jobs.is_crowded().then(|| now + CROWDED_AGAIN);
        let deadline = core.session.deadline().into_iter().chain(crowded).min().map_or(u64::MAX, micros);
        // A later one is found when the earlier has come.
        if deadline < self.deadline.swap(deadline, Ordering::AcqRel) {
            core.outlets.iter().for_each(|outlet| core.wake(outlet));
        }
        // Also when it is not new: the last connection, which was to bring it, may just have gone.
        if core.outlets.is_empty() && core.spawned_for != deadline && deadline != u64::MAX {
            core.spawned_for = deadline;
            self.hub.spawn_timer(Arc::downgrade(self), Time::after_origin(Duration::from_micros(deadline)));
        }
        let has_news = core.session.has_news() && !core.outlets.is_empty();
        self.news.store(has_news, Ordering::Release);
        // A frame has left in this turn, and so the next can be told.
        more |= has_news && core.outlets.iter().any(|outlet| outlet.is_flushed());
        if !core.session.is_attached() && self.detached_at.load(Ordering::Acquire) == u64::MAX {
            self.detached_at.store(self.hub.uptime_micros(), Ordering::Release);
        }
        let took = began.elapsed();
        self.slow.store(took > SLOW_OVER, Ordering::Relaxed);
        if took > BLOCKED_OVER && !pace::take_blamed() {
            let advice = "heavy work belongs in a long callback, waiting in a task that calls `Handle::update`";
            tracing::warn!(session = %self.id, ?took, advice, "a handler held up its session");
        }
        more
    }

    /// Brings the session something from the inbox.
    fn enter(&self, core: &mut Core<S>, entry: Entry<S>, now: Time) {
        let input = match entry {
            Entry::Hello(outlet, hello, secret) => {
                let connection = outlet.id;
                // Nearly always the only one.
                core.outlets.reserve_exact(1);
                core.outlets.push(outlet);
                core.greeted = true;
                core.is_parking = false;
                Input::Hello { connection, hello, secret }
            }
            Entry::Text(outlet, text) => {
                outlet.take_waiting();
                return core.text(self, &outlet, &text, now);
            }
            Entry::Lost(connection) => {
                core.outlets.retain(|outlet| outlet.id != connection);
                Input::Lost(connection)
            }
            Entry::Identify(identity, client) => {
                // The tokens of those who are let go are void at once.
                core.greeted = true;
                Input::Identify { identity, client }
            }
            Entry::Update(update) => Input::Update(update),
            Entry::UpdateSaved(update, saving) => {
                core.session.handle(&self.hub.program, Input::Update(update), now);
                if core.session.take_refused() {
                    *lock(&saving.1) = Some(Err(too_large()));
                }
                core.unsaved.push((u64::MAX, saving));
                return;
            }
            Entry::Begin(update) => Input::Begin(update),
            Entry::Settle(ticket, outcome) => {
                core.tasks.remove(&ticket);
                Input::Settle(ticket, outcome)
            }
            Entry::Report(job, report) => {
                core.jobs.heard(job, &report);
                Input::Report(job, self.epoch, report)
            }
            Entry::Timer => {
                core.jobs.submit_again();
                Input::Timer
            }
            Entry::Drain(retry_after) => Input::Drain(retry_after),
            Entry::Freeze(retry_after) => Input::Freeze(retry_after),
            Entry::Store { is_up } => Input::Store { is_up },
            Entry::Stored(Stored::Saved { turn, bytes, took }) => {
                core.record_bytes = bytes;
                core.is_stored = true;
                Input::Saved { turn, bytes, took }
            }
            Entry::Stored(Stored::Failed { turn }) => Input::SaveFailed(turn),
            Entry::Stored(Stored::Fenced) => {
                core.is_fenced = true;
                Input::Fenced
            }
        };
        core.session.handle(&self.hub.program, input, now);
    }

    /// Turns what the session asks for into effects.
    fn carry_out(self: &Arc<Self>, core: &mut Core<S>) {
        let mut outputs = core.session.take_outputs();
        for output in outputs.drain(..) {
            match output {
                Output::Send(to, frame) => {
                    if let Some(outlet) = core.outlet(to) {
                        match core.worker == Some(to) {
                            // Its task looks into it by itself.
                            true => outlet.push(frame),
                            false => outlet.send(frame),
                        }
                    }
                }
                Output::Close(to, close) => {
                    if let Some(outlet) = core.outlet(to) {
                        outlet.close(close);
                        core.wake(outlet);
                    }
                }
                Output::Start(start) => {
                    let reporter =
                        Arc::new(CellReporter { cell: Arc::downgrade(self), job: start.id, owner: owner(self.id) });
                    core.jobs.start(start.id, start.work, reporter);
                }
                Output::Defer(deferred) => {
                    let handle = Handle::new(Arc::clone(&self.hub), self.id);
                    let running = (deferred.task)(handle, self.hub.program.development);
                    let task = self.hub.run_async(Arc::downgrade(self), deferred.ticket, running);
                    core.tasks.insert(deferred.ticket, task);
                }
                Output::Cancel(job) => core.jobs.cancel(job),
                Output::CancelChild(child) => core.jobs.cancel_child(&child),
                Output::Post(Post { session, update }) => self.hub.deliver(session, update),
                Output::Save(record) => self.save(*record),
                Output::Fault(fault) => {
                    tracing::error!(session = %self.id, code = %fault.code, text = %fault.text, "a turn was not kept");
                }
            }
        }
        if core.session.give_back(outputs) {
            lock(&self.inbox).shrink();
        }
    }

    /// Ends a session that cannot go on.
    pub(crate) fn fail(self: &Arc<Self>) {
        lock(&self.inbox).close();
        self.hub.forget(self, true);
        let mut core = lock(&self.core);
        core.failed = true;
        core.end_work();
        drop(core);
        self.close(|| CloseCode::SessionFailed.into());
    }

    /// A copy of the app's own value.
    pub(crate) fn state(&self) -> S {
        lock(&self.core).session.state().clone()
    }

    /// What it holds in memory.
    pub(crate) fn account(&self) -> Account {
        lock(&self.core).session.account()
    }

    /// What the session's clients see, for tests and operators.
    pub(crate) fn view(&self) -> crate::Result<serde_json::Value> {
        let core = lock(&self.core);
        Ok(self.hub.program.walks.value(core.session.state())?)
    }
}

impl<S: State> Core<S> {
    /// Whether nothing is under way and nobody is there.
    fn is_idle(&self) -> bool {
        !self.session.is_attached() && self.session.unfinished_jobs().next().is_none() && self.tasks.is_empty()
    }

    /// A change that somebody waits for is part of the turn that was just numbered.
    fn number_unsaved(&mut self) {
        let turn = self.session.turn();
        self.unsaved.iter_mut().filter(|(known, _)| *known == u64::MAX).for_each(|(known, _)| *known = turn);
    }

    /// The one change of the turn was taken back.
    fn refuse_unsaved(&mut self) {
        let in_turn = self.unsaved.iter().filter(|(known, _)| *known == u64::MAX);
        in_turn.for_each(|(_, (_, outcome))| *lock(outcome) = Some(Err(too_large())));
    }

    /// Tells those who wait for the disk. One whose change was not kept has nothing to wait for.
    fn tell_saved(&mut self) {
        if self.unsaved.is_empty() {
            return;
        }
        let saved = self.session.saved_turn();
        self.unsaved.retain_mut(|(turn, (waits, outcome))| {
            let mut outcome = lock(outcome);
            let is_over = *turn <= saved || matches!(&*outcome, Some(Err(_)) | None);
            if is_over {
                let (closed, _) = tokio::sync::oneshot::channel();
                let waits = std::mem::replace(waits, closed);
                // Whoever waited may have gone.
                let _ = waits.send(outcome.take().unwrap_or_else(|| Err(not_kept())));
            }
            !is_over
        });
    }

    /// Ends what runs for a session that is no more.
    fn end_work(&mut self) {
        self.jobs.cancel_all();
        std::mem::take(&mut self.tasks).into_values().for_each(|task| task.abort());
    }

    fn outlet(&self, id: ConnectionId) -> Option<&Arc<Outlet>> {
        self.outlets.iter().find(|outlet| outlet.id == id)
    }

    /// Tells a connection's task to look into its outlet, unless it is the one that works.
    fn wake(&self, outlet: &Outlet) {
        if self.worker != Some(outlet.id) {
            outlet.wake();
        }
    }

    fn text(&mut self, cell: &Cell<S>, outlet: &Outlet, text: &str, now: Time) {
        let (hub, connection) = (&cell.hub, outlet.id);
        match outlet.dialect.decode(text) {
            Ok(message) => {
                if let ClientMessage::Action(_) = message {
                    cell.allowance.take(hub.options.limits.actions_per_second, now);
                }
                self.session.handle(&hub.program, Input::Message { connection, message }, now);
            }
            Err(error) => {
                tracing::debug!(%error, "bad message");
                if let Some(outlet) = self.outlet(connection) {
                    outlet.close(Close::from(&error));
                }
            }
        }
    }
}

thread_local! {
    /// Lent to each session that this thread works for.
    static SCRATCH: std::cell::RefCell<Scratch> = std::cell::RefCell::default();
}

/// A change that came to nothing, and the log has why.
fn not_kept() -> Error {
    Error::internal("the change was not kept: it panicked, or the server goes down")
}

/// A change that had succeeded, and made the state too large.
fn too_large() -> Error {
    Error::refuse("state_too_large", "the state would be larger than `App::state_bytes_max` says")
}

pub(crate) fn micros(time: Time) -> u64 {
    u64::try_from(time.elapsed().as_micros()).unwrap_or(u64::MAX - 1)
}

/// Inputs that one turn takes; more wait for the next, so that frames leave in between.
const INPUTS_MAX: usize = 64;
/// The time after which a turn takes no more inputs.
const INPUT_TIME_MAX: Duration = Duration::from_millis(1);
/// Turns in a row before another task gets the thread.
const TURNS_MAX: usize = 16;
/// A turn that took longer is run where it holds up no other task.
const SLOW_OVER: Duration = Duration::from_millis(1);
/// When a job of an earlier process asks again for a place in its pool.
const CROWDED_AGAIN: Duration = Duration::from_secs(1);
/// What a person begins to notice.
const BLOCKED_OVER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use windlass_protocol::{ClientMessage, Dialect};

    use super::*;
    use crate::{App, Cx, Disconnect, Result};

    #[derive(Clone, Default, Serialize)]
    struct Counter {
        count: u64,
    }

    fn hello() -> Hello {
        let text = r#"["h",{"client":"0f1e2d3c4b5a69788796a5b4","instance":"01"}]"#;
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(text) else { panic!("a hello") };
        *hello
    }

    /// BOUNDED. A session that was busy took in whatever its client sent, and once its driver had handed over, newer
    /// messages went before older ones.
    #[tokio::test]
    async fn messages_for_a_busy_session_wait_in_order_and_stop_the_reading() {
        let app = App::new(Counter::default).action("add", |state, _cx, by: u64| state.count += by);
        let hub = Arc::clone(&app.build().unwrap().hub);
        let outlet = Arc::new(Outlet::new(ConnectionId(1), Dialect::Compact));
        let cell = hub.welcome(&outlet, hello(), &Guest::default()).unwrap();
        let add = |seq: u64| Utf8Bytes::from(format!("[\"a\",{seq},\"add\",1]"));

        assert!(cell.role.take(), "somebody works");
        cell.texts(&outlet, &mut (1..=64).map(add).collect());
        assert_eq!(outlet.waiting(), 64);
        cell.role.hand_over();
        cell.texts(&outlet, &mut vec![add(65)]);
        while outlet.waiting() > 0 {
            cell.run_if_free(None);
        }
        assert_eq!(outlet.closing(), None);
        assert_eq!(cell.view().unwrap()["count"], 65);
    }

    /// The last connection had the timer, and took it with it when it went: the job ran on, and kept its session.
    #[tokio::test(start_paused = true)]
    async fn a_deserted_job_ends_though_a_connection_that_was_replaced_outlives_its_successor() {
        let app = App::new(Counter::default).action("start", |_, cx: &mut Cx<Counter>, (): ()| {
            cx.long_future("wait", |_| std::future::pending::<Result>())
                .on_disconnect(Disconnect::CancelAfter(Duration::from_secs(5)))
                .start()
                .map(drop)
        });
        let hub = Arc::clone(&app.build().unwrap().hub);
        let [old, new] = [1, 2].map(|id| Arc::new(Outlet::new(ConnectionId(id), Dialect::Compact)));
        let cell = hub.welcome(&old, hello(), &Guest::default()).unwrap();
        assert!(cell.hello(&new, Box::new(hello()), Secret([0; 16])).is_ok());
        assert_eq!(old.closing().map(|close| close.code), Some(CloseCode::Silent));
        cell.texts(&new, &mut vec!["[\"a\",1,\"start\",null]".into()]);
        cell.lost(new.id);
        assert!(cell.deadline().is_some(), "the job is deserted");
        cell.lost(old.id);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(cell.deadline(), None, "it was asked to end");
    }

    #[tokio::test]
    async fn a_hello_that_comes_too_late_for_a_session_that_has_failed_finds_another() {
        let hub = Arc::clone(&App::new(Counter::default).build().unwrap().hub);
        let [first, late] = [1, 2].map(|id| Arc::new(Outlet::new(ConnectionId(id), Dialect::Compact)));
        let cell = hub.welcome(&first, hello(), &Guest::default()).unwrap();
        cell.fail();
        assert!(cell.hello(&late, Box::new(hello()), Secret([0; 16])).is_err());
        assert_eq!(first.closing().map(|close| close.code), Some(CloseCode::SessionFailed));
        let another = hub.welcome(&late, hello(), &Guest::default()).unwrap();
        assert_ne!(another.id, cell.id);
    }
}
