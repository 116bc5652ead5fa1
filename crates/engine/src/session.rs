//! One client session: its state, its epoch, and what it owes its clients.
//!
//! Performs no I/O and reads no clock; `now` is an argument. Call [`Session::handle`] for every
//! input that is ready, [`Session::flush`] once, then drain [`Session::outputs`].
//! What a turn staged (job starts, events, posts) leaves with the flush: if the view does not
//! serialise then, the whole turn is taken back.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use windlass_protocol::{
    ChildId, ClientId, ClientMessage, Close, CloseCode, Epoch, Hello, JobId, Secret, Seq, SessionId,
};
use windlass_sync::{HashKey, Shadow};

use crate::client::{Client, token_hash};
use crate::durable::Durable;
use crate::guard::bury;
use crate::job::{JobStatus, JobTable, PartialsUpdate};
use crate::size::StateSize;
use crate::turn::{Cause, Origin};
use crate::{
    App, Audience, ConnectionId, Deferred, Fault, Hook, JobReport, Mode, Record, Start, Ticket, Time, Turn, guard,
};

/// What happens to a session.
pub enum Input<'a, A: App> {
    /// A connection said hello. A client that is new to the session gets `secret` in its token.
    Hello {
        /// The connection that said it.
        connection: ConnectionId,
        /// What it said.
        hello: Box<Hello>,
        /// Fresh random bits.
        secret: Secret,
    },
    /// From now on the session is somebody's. That client may stay, and is given another token; all others that it
    /// had while it was nobody's are let go.
    Identify {
        /// Whose it is.
        identity: Arc<str>,
        /// Who may stay.
        client: ClientId,
    },
    /// A message on a connection that was welcomed.
    Message {
        /// The connection.
        connection: ConnectionId,
        /// The message; a hello here is an error of the peer.
        message: ClientMessage<'a>,
    },
    /// The socket has taken what it was given.
    Ready(ConnectionId),
    /// The socket is gone.
    Lost(ConnectionId),
    /// A change from outside.
    Update(A::Update),
    /// A change that does not make the session worth keeping: what a fresh one begins with.
    Begin(A::Update),
    /// The end of an asynchronous action: its reply as JSON, if there is one, or why there is none.
    Settle(Ticket, Result<Option<String>, Fault>),
    /// A job has something to say: its id, the loading of the session that started it, last, and what. What a job of an
    /// earlier loading says is not heard.
    Report(JobId, Epoch, JobReport<A>),
    /// The deadline has come.
    Timer,
    /// The session is about to go, since nobody came back.
    Expire,
    /// The server is going down: what must be saved before it leaves is answered `draining`, for the given time.
    Drain(Duration),
    /// The record of a turn is on disk, see [`Output::Save`]. Records are answered in the order in which they were asked
    /// for; an answer for a later one covers the earlier ones.
    Saved {
        /// The turn of the record.
        turn: u64,
        /// The bytes that were stored.
        bytes: usize,
        /// How long it took to encode and store them; large records come as seldom as this asks for.
        took: Duration,
    },
    /// The record of this turn may be on disk or not: the session asks for another one, within a second, and refuses
    /// until one is saved what it could not keep safe.
    SaveFailed(u64),
    /// Whether the store answers. A session finds out by itself when it saves; this tells it before.
    Store {
        /// It does.
        is_up: bool,
    },
    /// Somebody else has claimed the session: it closes its connections with `elsewhere` and does nothing more.
    Fenced,
    /// Nobody is there: the session may leave memory. It asks for a sealed record with its next flush, and is done when
    /// [`Session::is_sealed`] says so; whoever comes back before that breaks the seal.
    Park,
    /// The last turn before the process goes: nothing is consumed, updated or reported from now on, and what comes is
    /// answered `draining` for the given time. A durable session asks for a sealed record with its next flush. When
    /// [`Session::is_sealed`] says so, one more flush tells the clients what is saved, and they can be closed.
    Freeze(Duration),
}

/// What a session asks of its driver.
pub enum Output<A: App> {
    /// A text frame for a connection, in order.
    Send(ConnectionId, Bytes),
    /// End a connection; nothing more is sent on it.
    Close(ConnectionId, Close),
    /// Run a job.
    Start(Start<A>),
    /// Run an asynchronous action.
    Defer(Deferred<A>),
    /// Ask a job to end.
    Cancel(JobId),
    /// Ask a job that another has started to end; it may have ended already.
    CancelChild(ChildId),
    /// Deliver something to another session.
    Post(A::Post),
    /// Something failed that no action answers for: tell the operator.
    Fault(Fault),
    /// Encode this and store it, off the session's turn, and bring [`Input::Saved`], [`Input::SaveFailed`] or
    /// [`Input::Fenced`]. At most two of a session are under way. Only durable sessions ask for it.
    Save(Box<Record<A>>),
}

/// What a session is made of besides its state.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Its public id.
    pub id: SessionId,
    /// This loading of it.
    pub epoch: Epoch,
    /// The key of its hashes, from the operating system.
    pub hash_key: [u64; 2],
    /// Bytes that one message from a client may have, for the welcome.
    pub message_bytes_max: usize,
    /// Bytes that the state may have as JSON, [`STATE_BYTES_MAX`](crate::STATE_BYTES_MAX) for most apps. What would make it
    /// larger is taken back and fails with `state_too_large`; one that is larger already, since it was saved under another
    /// bound, say, is kept, and takes only what makes it smaller or leaves it as large as it is.
    pub state_bytes_max: usize,
}

/// Buffers that a driver lends to the sessions that it works for.
///
/// They are not the session's own, because an idle session would keep its largest frame for ever.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) ops: Vec<u8>,
    pub(crate) frame: Vec<u8>,
    /// Where small frames are carved from, so that a turn allocates nothing.
    arena: BytesMut,
}

impl Scratch {
    /// The frame that was written, as bytes to share; the buffer is empty again.
    pub(crate) fn take_frame(&mut self) -> Bytes {
        let frame = if self.frame.len() > ARENA / 4 {
            Bytes::copy_from_slice(&self.frame)
        } else {
            if self.arena.capacity() < self.frame.len() {
                self.arena = BytesMut::with_capacity(ARENA);
            }
            self.arena.extend_from_slice(&self.frame);
            self.arena.split().freeze()
        };
        self.frame.clear();
        frame
    }

    /// Gives memory back after a frame that was much larger than usual.
    pub(crate) fn trim(&mut self) {
        self.ops.clear();
        self.frame.clear();
        self.ops.shrink_to(SCRATCH_KEPT);
        self.frame.shrink_to(SCRATCH_KEPT);
    }
}

/// A session: call [`Session::handle`] for every input that is ready, [`Session::flush`] once, then drain
/// [`Session::outputs`].
///
/// What a turn staged (job starts, events, posts) leaves with the flush: if the view does not serialise then, the
/// whole turn is taken back.
pub struct Session<A: App> {
    pub(crate) options: SessionOptions,
    pub(crate) state: A::State,
    pub(crate) shadow: Shadow,
    /// What is told of `$jobs`; none as long as that is the empty list.
    pub(crate) jobs_shadow: Option<Box<Shadow>>,
    pub(crate) jobs: JobTable,
    pub(crate) clients: Vec<Client>,
    /// The state may differ from the shadow.
    pub(crate) dirty: bool,
    /// The walk of this flush found something in the view.
    pub(crate) changed: bool,
    pub(crate) last_event: u64,
    pub(crate) next_job: u64,
    pub(crate) turns: u64,
    pub(crate) draining: Option<Duration>,
    pub(crate) used: bool,
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) hold: Hold,
    pub(crate) last_ticket: u64,
    pub(crate) batch: Batch<A>,
    pub(crate) outputs: Vec<Output<A>>,
    /// How many clients it ever had.
    pub(crate) admitted: u64,
    /// Nothing is consumed any more.
    pub(crate) frozen: bool,
    /// None when it keeps no records.
    pub(crate) durable: Option<Box<Durable<A>>>,
    /// A client has acknowledged all that it was sent: mostly the last that happens for a while.
    pub(crate) is_quiet: bool,
    pub(crate) size: StateSize,
    /// Who was in it before a crash kept it from the disk.
    pub(crate) expected: Option<ClientId>,
}

/// Whether frames are kept back, so that several turns are shown as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    No,
    /// From the next flush on.
    Asked,
    Until(Time),
}

/// What the turn that is under way has done so far.
pub(crate) struct Batch<A: App> {
    /// The state before it, when all of it can be taken back.
    pub(crate) before: Option<A::State>,
    /// Something in it cannot be taken back: it was in place, or no client would send it again.
    pub(crate) is_fixed: bool,
    /// All of it is one update that nobody sends again, with the state before it.
    pub(crate) is_sole: bool,
    /// The state differed before it from what pages were told.
    pub(crate) was_dirty: bool,
    /// Kept from turn to turn, and let go when the session is quiet.
    staged: Option<Box<Staged<A>>>,
}

/// What leaves when the turn is kept.
pub(crate) struct Staged<A: App> {
    /// The first seq that the turn consumed, by client.
    pub(crate) consumed: Vec<(ClientId, Seq)>,
    pub(crate) events: Vec<(Option<ClientId>, crate::Class, String)>,
    pub(crate) effects: Vec<Output<A>>,
    pub(crate) starts: Vec<Start<A>>,
    pub(crate) deferred: Vec<Deferred<A>>,
}

impl<A: App> Batch<A> {
    pub(crate) fn staged(&mut self) -> &mut Staged<A> {
        self.staged.get_or_insert_default()
    }

    /// Whether something in it has touched the state.
    pub(crate) fn has_changed(&self) -> bool {
        self.before.is_some() || self.is_fixed
    }

    pub(crate) fn starts_a_job(&self) -> bool {
        self.staged.as_ref().is_some_and(|staged| !staged.starts.is_empty())
    }

    /// What was staged, for whoever puts it back emptied.
    pub(crate) fn take_staged(&mut self) -> Option<Box<Staged<A>>> {
        self.staged.take()
    }

    /// Whether nothing has happened in it.
    fn is_new(&self) -> bool {
        self.before.is_none() && !self.is_fixed && self.staged.as_ref().is_none_or(|staged| staged.is_empty())
    }

    /// The state before all of it, when all of it can be taken back.
    pub(crate) fn before_all(&mut self) -> Option<A::State> {
        let has_consumed = self.staged.as_ref().is_some_and(|staged| !staged.consumed.is_empty());
        if self.is_fixed && (!self.is_sole || has_consumed) { None } else { self.before.take() }
    }

    /// Empties it and keeps the room of what was staged: a turn that stages nothing allocates nothing.
    pub(crate) fn clear(&mut self, staged: Option<Box<Staged<A>>>) {
        if let Some(before) = self.before.take() {
            bury(before);
        }
        (self.is_fixed, self.is_sole, self.was_dirty) = (false, false, false);
        self.staged = staged;
    }
}

impl<A: App> Staged<A> {
    fn is_empty(&self) -> bool {
        let Self { consumed, events, effects, starts, deferred } = self;
        consumed.is_empty() && events.is_empty() && effects.is_empty() && starts.is_empty() && deferred.is_empty()
    }
}

impl<A: App> Default for Batch<A> {
    fn default() -> Self {
        Self { before: None, is_fixed: false, is_sole: false, was_dirty: false, staged: None }
    }
}

impl<A: App> Default for Staged<A> {
    fn default() -> Self {
        Self { consumed: Vec::new(), events: Vec::new(), effects: Vec::new(), starts: Vec::new(), deferred: Vec::new() }
    }
}

/// Why a handler's work was not kept.
pub(crate) enum Unkept {
    Fault(Fault),
    /// What it staged cannot be kept safe now.
    Later(Later),
}

/// An answer that is not final. See `later` in protocol.md section 8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
    pub(crate) retry_after: Duration,
}

impl<A: App> Session<A> {
    /// A session with a state and no clients.
    #[must_use]
    pub fn new(options: SessionOptions, state: A::State) -> Self {
        Self {
            options,
            state,
            shadow: Shadow::new(HashKey(options.hash_key)),
            jobs_shadow: None,
            jobs: JobTable::default(),
            clients: Vec::new(),
            dirty: true,
            changed: false,
            last_event: 0,
            next_job: 1,
            turns: 0,
            draining: None,
            used: false,
            identity: None,
            hold: Hold::No,
            last_ticket: 0,
            batch: Batch::default(),
            outputs: Vec::new(),
            admitted: 0,
            frozen: false,
            durable: None,
            is_quiet: false,
            size: StateSize::new(options.state_bytes_max),
            expected: None,
        }
    }

    /// Says that it begins again for this client, which was in it in an earlier loading of which nothing was ever saved:
    /// its hello, when it comes, finds that a crash has undone everything, and not that it was forgotten.
    pub fn expect(&mut self, client: ClientId) {
        self.expected = Some(client);
    }

    /// Declares the key field of a list of plain rows; both as [`Shadow::key`] takes them.
    pub fn key(&mut self, list: &'static str, field: &'static str) {
        self.shadow.key(list, field);
    }

    /// Its public id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.options.id
    }

    /// The app's value.
    #[must_use]
    pub fn state(&self) -> &A::State {
        &self.state
    }

    /// Whether that client of this session has that secret.
    #[must_use]
    pub fn accepts(&self, client: ClientId, secret: Secret) -> bool {
        let hash = token_hash(secret);
        self.tokens().any(|known| known == (client, hash))
    }

    /// Its clients, each with the [`token_hash`]es of its secrets: who may come back.
    pub fn tokens(&self) -> impl Iterator<Item = (ClientId, [u8; 32])> {
        self.clients.iter().flat_map(|client| client.tokens.all().map(|token| (client.id, token)))
    }

    /// Whom it belongs to, when that is known.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<str>> {
        self.identity.as_ref()
    }

    /// Whether an action, an update or a job has made it worth keeping.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Whether a socket is attached or waits to be.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.clients.iter().any(|client| client.connection.is_some() || client.contender.is_some())
    }

    /// Jobs that have not ended.
    pub fn unfinished_jobs(&self) -> impl Iterator<Item = JobId> {
        self.jobs.all_unfinished()
    }

    /// Asynchronous actions that have not ended.
    pub fn unsettled(&self) -> impl Iterator<Item = Ticket> {
        self.clients.iter().flat_map(|client| client.actions.tickets())
    }

    /// What it asks for, in order.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output<A>> {
        self.outputs.drain(..)
    }

    /// What it asks for, in order, for a driver that must touch the session meanwhile. See [`Session::give_back`].
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<Output<A>> {
        std::mem::take(&mut self.outputs)
    }

    /// Gives the emptied list back, so that the next turn needs no new one. Whether the session is quiet, a client having
    /// acknowledged all that it was sent: then this and all other room that holds nothing is let go.
    pub fn give_back(&mut self, mut outputs: Vec<Output<A>>) -> bool {
        let is_quiet = std::mem::take(&mut self.is_quiet);
        if is_quiet {
            outputs = Vec::new();
            self.shrink();
        }
        outputs.clear();
        outputs.append(&mut self.outputs);
        self.outputs = outputs;
        is_quiet
    }

    /// Gives back the room that the work so far has taken and that holds nothing now.
    fn shrink(&mut self) {
        self.shadow.shrink();
        self.batch.clear(None);
        for client in &mut self.clients {
            client.actions.shrink();
            client.events.shrink();
        }
    }

    /// When [`Input::Timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let held = match self.hold {
            Hold::Until(until) => Some(until),
            Hold::No | Hold::Asked => None,
        };
        let timers = self.clients.iter().filter_map(Client::deadline).chain(held).chain(self.jobs.deadline());
        timers.chain(self.save_deadline()).min()
    }

    /// Whether an update, a report or a hook was taken back since the last call, because the state would have become too
    /// large, though the function itself had succeeded. Its fault is among the outputs.
    pub fn take_refused(&mut self) -> bool {
        self.size.take_refused()
    }

    /// Lets go of what the clients were told of the view: they get a snapshot when they come back. For a session that has
    /// to stay in memory though nobody is there.
    pub fn forget_shown(&mut self) {
        if !self.is_attached() {
            self.shadow.void();
            self.jobs_shadow = None;
            self.clients.iter_mut().for_each(|client| client.stream.forget());
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, app: &A, input: Input<'_, A>, now: Time) {
        if let Some(durable) = &mut self.durable {
            if durable.is_fenced {
                return;
            }
            if std::mem::take(&mut durable.unbegun) {
                self.begin_again(app);
            }
        }
        match input {
            Input::Update(_) | Input::Begin(_) | Input::Settle(..) | Input::Report(..) if self.frozen => {}
            Input::Hello { connection, hello, secret } => self.hello(app, connection, *hello, secret, now),
            Input::Identify { identity, client } => self.identify(app, identity, client),
            Input::Message { connection, message } => self.message(app, connection, message),
            Input::Ready(connection) => {
                if let Some(attachment) = self.attached_mut(connection).and_then(|client| client.connection.as_mut()) {
                    attachment.ready = true;
                }
            }
            Input::Lost(connection) => self.lost(app, connection, now),
            Input::Update(update) => {
                self.used = true;
                self.update(app, update);
            }
            Input::Begin(update) => self.update(app, update),
            Input::Settle(ticket, outcome) => self.settle(app, ticket, outcome),
            Input::Report(job, run, report) => self.report(app, job, run, report, now),
            Input::Timer => self.timer(app, now),
            Input::Expire => self.hear(app, &Hook::Expired, Cause::Other),
            Input::Drain(retry_after) => {
                self.draining = Some(retry_after);
                self.hold = Hold::No;
            }
            Input::Saved { turn, bytes, took } => self.saved(turn, bytes, took),
            Input::SaveFailed(turn) => self.save_failed(turn, now),
            Input::Store { is_up } => self.store(is_up),
            Input::Fenced => self.fenced(),
            Input::Park => self.park(app),
            Input::Freeze(retry_after) => {
                self.park(app);
                (self.draining, self.frozen) = (Some(retry_after), true);
            }
        }
    }

    pub(crate) fn attached_mut(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.connection.as_ref().is_some_and(|held| held.id == connection))
    }

    /// Runs user code on the state; keeps what it did when it succeeds, and nothing otherwise.
    pub(crate) fn transact<T>(
        &mut self,
        app: &A,
        mode: Mode,
        cause: Cause,
        run: impl FnOnce(&A, &mut A::State, &mut Turn<A>) -> Result<T, Fault>,
    ) -> Result<T, Unkept> {
        if mode == Mode::InPlace
            && let Some(later) = self.refusal()
        {
            return Err(Unkept::Later(later));
        }
        // At the bound the price of a copy is paid: what makes the state larger must be taken back.
        let mode = if mode == Mode::InPlace && self.size.is_over() { Mode::Atomic } else { mode };
        let copy = match mode {
            Mode::Atomic => Some(guard(|| app.copy(&self.state)).map_err(|panic| Unkept::Fault(app.panicked(panic)))?),
            Mode::InPlace | Mode::Query | Mode::Async => None,
        };
        self.turns += 1;
        let (session, epoch, identity) = (self.options.id, self.options.epoch, self.identity.clone());
        let born = cause.client().and_then(|id| self.clients.iter().find(|client| client.id == id));
        let born = born.map_or(0, |client| client.born);
        let origin = Origin { session, epoch, identity, cause, born, ordinal: self.turns };
        let mut turn = Turn::new(origin, self.next_job);
        turn.under_way = self.jobs.under_way();
        let outcome = guard(|| run(app, &mut self.state, &mut turn)).unwrap_or_else(|panic| Err(app.panicked(panic)));
        let kept = match outcome {
            Ok(value) => {
                let before = copy.as_ref().filter(|_| self.size.is_over());
                let is_action = cause.is_action();
                match before.and_then(|before| self.outgrows(app, before, is_action)).map(Unkept::Fault) {
                    Some(unkept) => Err(unkept),
                    None => self.unsafe_now(&turn).map_or(Ok(value), Err),
                }
            }
            Err(fault) => Err(Unkept::Fault(fault)),
        };
        match (&kept, copy) {
            (Ok(_), copy) => self.stage(turn, mode, copy),
            (Err(_), Some(copy)) => bury(std::mem::replace(&mut self.state, copy)),
            (Err(_), None) => {
                self.dirty |= mode == Mode::InPlace;
                self.batch.is_fixed |= mode == Mode::InPlace;
            }
        }
        kept
    }

    /// Why what a handler has staged cannot be kept, though it succeeded.
    fn unsafe_now(&self, turn: &Turn<A>) -> Option<Unkept> {
        let durable = self.durable.as_ref();
        let cause = turn.origin.cause;
        if cause.is_action() {
            let later = self.refusal()?;
            let all = self.draining.is_none() && durable.is_some_and(|durable| durable.holds_all());
            return (turn.needs_barrier() || cause.waits_for_save() || all).then_some(Unkept::Later(later));
        }
        let crowded = turn.needs_barrier() && durable.is_some_and(|durable| durable.is_crowded());
        let fault = || Fault::failed("store_unavailable", "too much waits to be saved already");
        crowded.then(|| Unkept::Fault(fault()))
    }

    pub(crate) fn stage(&mut self, turn: Turn<A>, mode: Mode, copy: Option<A::State>) {
        if let Some(durable) = &mut self.durable {
            durable.touched = true;
        }
        self.jobs.urgent |= turn.is_urgent;
        let is_new = self.batch.is_new();
        if !self.batch.has_changed() {
            self.batch.was_dirty = self.dirty;
        }
        if std::mem::take(&mut self.batch.is_sole)
            && let Some(before) = self.batch.before.take()
        {
            bury(before);
        }
        self.dirty |= matches!(mode, Mode::Atomic | Mode::InPlace);
        // The end of a job, say, comes once: it must not go with an action that shared its turn.
        self.batch.is_fixed |= mode == Mode::InPlace || !turn.origin.cause.is_action();
        match copy {
            Some(copy) if is_new && !turn.origin.cause.is_action() => {
                (self.batch.before, self.batch.is_sole) = (Some(copy), true);
            }
            Some(copy) if self.batch.before.is_none() && !self.batch.is_fixed => self.batch.before = Some(copy),
            Some(copy) => bury(copy),
            None => {}
        }
        self.next_job = turn.next_job;
        let caller = turn.origin.cause.client();
        match turn.hold {
            Some(true) if self.hold == Hold::No => self.hold = Hold::Asked,
            Some(false) => self.hold = Hold::No,
            _ => {}
        }
        if let (Some(task), Some(client)) = (turn.task, caller) {
            self.last_ticket += 1;
            self.batch.staged().deferred.push(Deferred { ticket: Ticket(self.last_ticket), client, task });
        }
        for event in turn.events {
            let to = match event.audience {
                Audience::Caller => caller,
                Audience::Session => None,
            };
            self.batch.staged().events.push((to, event.class, event.body));
        }
        for start in &turn.starts {
            // At once, so that the frame that answers the action shows the job.
            self.jobs.add(start.id, start.name.clone(), start.options.clone(), self.options.epoch);
        }
        if !turn.starts.is_empty() {
            self.batch.staged().starts.extend(turn.starts);
        }
        let named = turn.cancel_names.iter().flat_map(|name| self.jobs.named(name));
        let cancels = named.chain(turn.cancels).map(Output::Cancel);
        let children = turn.child_cancels.into_iter().map(Output::CancelChild);
        let posts = turn.posts.into_iter().map(Output::Post);
        let mut effects = cancels.chain(children).chain(posts).peekable();
        if effects.peek().is_some() {
            self.batch.staged().effects.extend(effects);
        }
    }

    fn update(&mut self, app: &A, update: A::Update) {
        let outcome =
            self.transact(app, Mode::Atomic, Cause::Other, |app, state, turn| app.update(update, state, turn));
        if let Err(Unkept::Fault(fault)) = outcome {
            self.failed(app, "update", &fault, Cause::Other);
            self.outputs.push(Output::Fault(fault));
        }
    }

    /// Tells the app of something, if it listens.
    pub(crate) fn hear(&mut self, app: &A, hook: &Hook<'_>, cause: Cause) {
        if self.frozen || !app.listens(hook) {
            return;
        }
        let outcome = self.transact(app, Mode::Atomic, cause, |app, state, turn| app.hear(hook, state, turn));
        if let Err(Unkept::Fault(fault)) = outcome {
            self.outputs.push(Output::Fault(fault));
        }
    }

    /// Tells the app what has failed, after it was taken back.
    pub(crate) fn failed(&mut self, app: &A, what: &str, fault: &Fault, cause: Cause) {
        if !fault.refused {
            let cause = cause.client().map_or(Cause::Other, Cause::Client);
            self.hear(app, &Hook::Failed { what, fault }, cause);
        }
    }

    fn settle(&mut self, app: &A, ticket: Ticket, outcome: Result<Option<String>, Fault>) {
        let body = match &outcome {
            Ok(reply) => format!("\"applied\",{}", reply.as_deref().unwrap_or("null")),
            Err(fault) => fault.outcome(),
        };
        let waits = self.clients.iter_mut().find(|client| client.actions.tickets().any(|known| known == ticket));
        // A client that is gone waits for nothing.
        let Some(client) = waits else { return };
        client.actions.settle(ticket, body);
        let cause = Cause::Client(client.id);
        if let Some(durable) = &mut self.durable {
            durable.touched = true;
        }
        if let Err(fault) = outcome {
            self.failed(app, "async action", &fault, cause);
        }
    }

    fn identify(&mut self, app: &A, identity: Arc<str>, client: ClientId) {
        self.identity = Some(identity);
        if let Some(durable) = &mut self.durable {
            durable.touched = true;
        }
        let others: Vec<_> = self.clients.extract_if(.., |other| other.id != client).collect();
        for other in others {
            let held = other.connection.map(|held| held.id);
            for connection in held.into_iter().chain(other.contender.map(|contender| contender.connection)) {
                self.outputs.push(Output::Close(connection, CloseCode::SessionFailed.into()));
            }
            if held.is_some() {
                // Its end, when it comes, is nobody's.
                self.hear(app, &Hook::Disconnected, Cause::Client(other.id));
            }
        }
        self.clients.iter_mut().for_each(|client| client.is_changed = true);
    }

    pub(crate) fn report(&mut self, app: &A, job: JobId, run: Epoch, report: JobReport<A>, now: Time) {
        // A job that ended, or that an earlier loading has started, has nothing more to say.
        if self.jobs.unfinished(job).is_none_or(|entry| entry.run() != run) {
            return;
        }
        match report {
            JobReport::Waiting { rank, eta } => self.jobs.waits(job, rank, eta),
            JobReport::Started => self.jobs.started(job),
            JobReport::Retrying { attempt, text } => self.jobs.retries(job, attempt, text),
            JobReport::Log(lines) => self.jobs.log(job, lines),
            JobReport::Process(process) => self.jobs.runs_in(job, process),
            JobReport::Progress(progress, elapsed) => self.jobs.show(job, progress, elapsed, now),
            JobReport::Partials(mut next) => {
                let mut has_failed = false;
                while let Some(PartialsUpdate { update, is_final }) = next(has_failed) {
                    has_failed = !self.tell_app(app, job, update, is_final);
                }
            }
            JobReport::Running(progress, elapsed, update) => {
                self.jobs.show(job, progress, elapsed, now);
                self.tell_app(app, job, update, true);
            }
            // The server goes down, and the one after it runs the job: it has not ended.
            JobReport::Ended { status: JobStatus::Lost, .. } if self.draining.is_some() && self.jobs.may_run(job) => {}
            JobReport::Ended { status, text, elapsed, update } => {
                self.jobs.end(job, status, text, elapsed);
                if let Some(update) = update {
                    self.tell_app(app, job, update, true);
                }
            }
        }
    }

    /// Runs a job's status function. When it fails for good, the app and the operator are told, and the page beside the
    /// job. Whether it was kept.
    pub(crate) fn tell_app(&mut self, app: &A, job: JobId, update: A::Update, is_final: bool) -> bool {
        self.used = true;
        let outcome =
            self.transact(app, Mode::Atomic, Cause::Other, |app, state, turn| app.update(update, state, turn));
        let is_kept = outcome.is_ok();
        if let Err(Unkept::Fault(fault)) = outcome
            && is_final
        {
            self.jobs.complain(job, format!("its status function failed: {}", fault.text));
            self.failed(app, "status function", &fault, Cause::Other);
            self.outputs.push(Output::Fault(fault));
        }
        is_kept
    }

    /// Whether a flush would have something to say to an attached client, now or when its socket takes more.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let changed = self.dirty || self.jobs.dirty;
        self.hold == Hold::No
            && self.clients.iter().any(|client| client.connection.is_some() && (changed || client.lacks()))
    }
}

/// The root key of the job table.
pub(crate) const JOBS: &str = "$jobs";
/// A few large frames' worth; a buffer beyond that is a snapshot's and goes back.
const SCRATCH_KEPT: usize = 64 * 1024;
/// A session that waits for an ack holds on to one of these, whatever the size of its frame.
const ARENA: usize = 2048;
