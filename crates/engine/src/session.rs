//! One client session: its state, its epoch, and what it owes its clients.
//!
//! Performs no I/O and reads no clock; `now` is an argument. Call [`Session::handle`] for every
//! input that is ready, [`Session::flush`] once, then drain [`Session::outputs`].
//! What a turn staged (job starts, events, posts) leaves with the flush: if the view does not
//! serialise then, the whole turn is taken back.

use std::time::Duration;

use bytes::Bytes;
use windlass_protocol::frame::{self, Extras};
use windlass_protocol::limits::CLIENTS_MAX;
use windlass_protocol::{
    Action, ClientId, ClientMessage, Close, CloseCode, Epoch, EventId, FrameNumber, Hello, JobId, Secret, Seq,
    SessionId, Token,
};
use windlass_sync::{HashKey, Shadow};

use crate::client::{Arrival, Attachment, Client, Contender, content_hash};
use crate::guard::bury;
use crate::job::JobTable;
use crate::turn::Origin;
use crate::{App, Audience, ConnectionId, Fault, JobReport, JobStatus, Mode, Start, Time, Turn, guard};

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
    /// A job has something to say.
    Report(JobId, JobReport<A>),
    /// The deadline has come.
    Timer,
    /// The server is going down: what must be saved before it leaves is answered `draining`, for the given time.
    Drain(Duration),
}

/// What a session asks of its driver.
pub enum Output<A: App> {
    /// A text frame for a connection, in order.
    Send(ConnectionId, Bytes),
    /// End a connection; nothing more is sent on it.
    Close(ConnectionId, Close),
    /// Run a job.
    Start(Start<A>),
    /// Ask a job to end.
    Cancel(JobId),
    /// Deliver something to another session.
    Post(A::Post),
    /// Something failed that no action answers for: tell the operator.
    Fault(Fault),
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
}

/// Buffers that a driver lends to the sessions that it works for.
///
/// They are not the session's own, because an idle session would keep its largest frame for ever.
#[derive(Debug, Default)]
pub struct Scratch {
    ops: Vec<u8>,
    frame: Vec<u8>,
}

impl Scratch {
    /// Gives memory back after a frame that was much larger than usual.
    fn trim(&mut self) {
        self.ops.clear();
        self.frame.clear();
        self.ops.shrink_to(SCRATCH_KEPT);
        self.frame.shrink_to(SCRATCH_KEPT);
    }
}

/// A session. See the [module](self) for how to call it.
pub struct Session<A: App> {
    options: SessionOptions,
    state: A::State,
    shadow: Shadow,
    jobs_shadow: Shadow,
    jobs: JobTable,
    clients: Vec<Client>,
    /// The state may differ from the shadow.
    dirty: bool,
    last_event: u64,
    next_job: u64,
    turns: u64,
    draining: Option<Duration>,
    used: bool,
    batch: Batch<A>,
    outputs: Vec<Output<A>>,
}

/// What the turn that is under way has done so far.
struct Batch<A: App> {
    /// The state before it, when nothing in it was in place.
    before: Option<A::State>,
    in_place: bool,
    /// The first seq that it consumed, by client.
    consumed: Vec<(ClientId, Seq)>,
    events: Vec<(Option<ClientId>, crate::Class, String)>,
    effects: Vec<Output<A>>,
    starts: Vec<Start<A>>,
}

impl<A: App> Default for Batch<A> {
    fn default() -> Self {
        Self {
            before: None,
            in_place: false,
            consumed: Vec::new(),
            events: Vec::new(),
            effects: Vec::new(),
            starts: Vec::new(),
        }
    }
}

/// Why a handler's work was not kept.
enum Unkept {
    Fault(Fault),
    /// It staged what must not leave while the server drains.
    Later(Duration),
}

impl<A: App> Session<A> {
    /// A session with a state and no clients.
    #[must_use]
    pub fn new(options: SessionOptions, state: A::State) -> Self {
        let key = HashKey(options.hash_key);
        Self {
            options,
            state,
            shadow: Shadow::new(key),
            jobs_shadow: Shadow::under(key, JOBS),
            jobs: JobTable::default(),
            clients: Vec::new(),
            dirty: true,
            last_event: 0,
            next_job: 1,
            turns: 0,
            draining: None,
            used: false,
            batch: Batch::default(),
            outputs: Vec::new(),
        }
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
        self.clients.iter().any(|known| known.id == client && known.accepts(secret))
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

    /// Whether a connection's socket should be read: false while its stored outcomes are at their cap.
    #[must_use]
    pub fn reads(&self, connection: ConnectionId) -> bool {
        self.attached(connection).is_none_or(|client| !client.actions.is_full())
    }

    /// What it asks for, in order.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output<A>> {
        self.outputs.drain(..)
    }

    /// When [`Input::Timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.clients.iter().filter_map(Client::deadline).min()
    }

    /// Takes one input.
    pub fn handle(&mut self, app: &A, input: Input<'_, A>, now: Time) {
        match input {
            Input::Hello { connection, hello, secret } => self.hello(connection, *hello, secret, now),
            Input::Message { connection, message } => self.message(app, connection, message),
            Input::Ready(connection) => {
                if let Some(attachment) = self.attached_mut(connection).and_then(|client| client.connection.as_mut()) {
                    attachment.ready = true;
                }
            }
            Input::Lost(connection) => self.lost(connection, now),
            Input::Update(update) => {
                let outcome =
                    self.transact(app, Mode::Atomic, None, |app, state, turn| app.update(update, state, turn));
                self.report_unkept(outcome);
            }
            Input::Report(job, report) => self.report(app, job, report, now),
            Input::Timer => self.timer(now),
            Input::Drain(retry_after) => self.draining = Some(retry_after),
        }
    }

    fn attached(&self, connection: ConnectionId) -> Option<&Client> {
        self.clients.iter().find(|client| client.connection.as_ref().is_some_and(|held| held.id == connection))
    }

    fn attached_mut(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.connection.as_ref().is_some_and(|held| held.id == connection))
    }

    // Clients and their connections.

    fn hello(&mut self, connection: ConnectionId, hello: Hello, secret: Secret, now: Time) {
        let Some(at) = self.clients.iter().position(|client| client.id == hello.client) else {
            self.admit(connection, &hello, secret, now);
            return;
        };
        let client = &mut self.clients[at];
        match &client.connection {
            Some(held) if held.instance != hello.instance => {
                self.outputs.push(Output::Send(held.id, Bytes::from_static(frame::ASK.as_bytes())));
                let deadline = now + TAKEOVER_ANSWER;
                let contender = Contender { connection, hello, deadline };
                if let Some(earlier) = client.contender.replace(contender) {
                    self.outputs.push(Output::Close(earlier.connection, CloseCode::InUse.into()));
                }
            }
            _ => self.attach(at, connection, &hello, None),
        }
    }

    /// Makes room for a new client.
    fn admit(&mut self, connection: ConnectionId, hello: &Hello, secret: Secret, now: Time) {
        if self.clients.len() >= CLIENTS_MAX {
            let idle = self.clients.iter().enumerate().filter(|(_, client)| client.connection.is_none());
            let Some((at, _)) = idle.min_by_key(|(_, client)| client.detached_at) else {
                let close = Close { retry_after: Some(BUSY_RETRY), ..Close::new(CloseCode::Busy) };
                self.outputs.push(Output::Close(connection, close));
                return;
            };
            self.clients.remove(at);
        }
        self.clients.push(Client::new(hello.client, secret, now));
        self.attach(self.clients.len() - 1, connection, hello, Some(secret));
    }

    /// Welcomes a connection as the client's only one.
    fn attach(&mut self, at: usize, connection: ConnectionId, hello: &Hello, new: Option<Secret>) {
        let options = self.options;
        let client = &mut self.clients[at];
        if let Some(old) = client.connection.take() {
            self.outputs.push(Output::Close(old.id, CloseCode::TakenOver.into()));
        }
        let same = new.is_none() && hello.epoch == options.epoch;
        let replay = if same { client.resume(hello.n) } else { None };
        let mut attachment = Attachment::new(connection, hello.instance.clone());
        // What was replayed has to leave before anything is diffed.
        attachment.ready = replay.as_ref().is_none_or(Vec::is_empty);
        let welcome = frame::Welcome {
            session: options.id,
            client: client.id,
            epoch: options.epoch,
            ack: client.actions.last,
            saved: None,
            resumed: replay.is_some(),
            token: new.map(|secret| Token { session: options.id, secret }),
            message_bytes_max: options.message_bytes_max,
        };
        let mut out = Vec::with_capacity(256);
        welcome.write(&mut out);
        self.outputs.push(Output::Send(connection, out.into()));
        match replay {
            Some(frames) => {
                self.outputs.extend(frames.into_iter().map(|frame| Output::Send(connection, frame)));
            }
            None => client.rewind(hello.event, hello.seq),
        }
        client.connection = Some(attachment);
    }

    fn lost(&mut self, connection: ConnectionId, now: Time) {
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.contender.as_ref().is_some_and(|contender| contender.connection == connection) {
                client.contender = None;
            }
            if client.connection.as_ref().is_some_and(|held| held.id == connection) {
                client.connection = None;
                client.detached_at = now;
                if let Some(contender) = client.contender.take() {
                    self.attach(at, contender.connection, &contender.hello, None);
                }
            }
        }
    }

    fn timer(&mut self, now: Time) {
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.contender.as_ref().is_some_and(|contender| contender.deadline <= now)
                && let Some(contender) = client.contender.take()
            {
                self.attach(at, contender.connection, &contender.hello, None);
                continue;
            }
            let Some(held) = &mut client.connection else { continue };
            let Some(since) = held.full_since else { continue };
            if now.since(since) >= WINDOW_PATIENCE * 2 {
                self.outputs.push(Output::Close(held.id, CloseCode::Silent.into()));
                held.full_since = None;
            } else if now.since(since) >= WINDOW_PATIENCE && !held.asked {
                held.asked = true;
                self.outputs.push(Output::Send(held.id, Bytes::from_static(frame::ASK.as_bytes())));
            }
        }
    }

    // What clients say.

    fn message(&mut self, app: &A, connection: ConnectionId, message: ClientMessage<'_>) {
        let Some(at) =
            self.clients.iter().position(|client| client.connection.as_ref().is_some_and(|held| held.id == connection))
        else {
            return;
        };
        match message {
            ClientMessage::Action(action) => self.action(app, at, connection, &action),
            ClientMessage::Void(seq) => self.void(at, connection, seq),
            ClientMessage::Ack(n) => self.acknowledge(at, connection, n),
            ClientMessage::Refetch => {
                // Everything answered so far stays answered; events are told apart by their ids.
                self.clients[at].rewind(EventId::default(), Seq(0));
            }
            ClientMessage::Ping => {
                self.outputs.push(Output::Send(connection, Bytes::from_static(frame::PONG.as_bytes())));
            }
            ClientMessage::Unknown(tag) => {
                let mut out = Vec::new();
                frame::unknown(&mut out, &tag);
                self.outputs.push(Output::Send(connection, out.into()));
            }
            _ => self.outputs.push(Output::Close(connection, CloseCode::BadMessage.into())),
        }
    }

    fn acknowledge(&mut self, at: usize, connection: ConnectionId, n: FrameNumber) {
        let client = &mut self.clients[at];
        if !client.acknowledge(n) {
            self.outputs.push(Output::Close(connection, CloseCode::BadMessage.into()));
            return;
        }
        if let Some(frame) = client.stream.release() {
            self.outputs.push(Output::Send(connection, frame));
            if let Some(held) = &mut client.connection {
                held.ready = false;
            }
        }
        // The page that was asked lives.
        if let Some(contender) = client.contender.take() {
            self.outputs.push(Output::Close(contender.connection, CloseCode::InUse.into()));
        }
    }

    fn void(&mut self, at: usize, connection: ConnectionId, seq: Seq) {
        if let Some(Arrival::Next) = self.arrive(at, connection, seq, None) {
            self.consume(at, seq, content_hash(self.options.hash_key, "", ""));
            let body = frame::outcome_body("refused", "not_kept", "the page did not keep what this action said");
            self.clients[at].actions.store(seq, body);
        }
    }

    fn action(&mut self, app: &A, at: usize, connection: ConnectionId, action: &Action<'_>) {
        let content = content_hash(self.options.hash_key, &action.name, action.payload.get());
        match self.arrive(at, connection, action.seq, Some(content)) {
            Some(Arrival::Next) => {}
            Some(Arrival::Reused) => {
                let text = format!("number {} was used for another action", action.seq);
                self.clients[at].actions.store(action.seq, frame::outcome_body("refused", "seq_reused", &text));
                return;
            }
            _ => return,
        }
        let client = self.clients[at].id;
        match self.run(app, client, action) {
            Ok(reply) => {
                self.consume(at, action.seq, content);
                if let Some(reply) = reply {
                    self.clients[at].actions.store(action.seq, format!("\"applied\",{reply}"));
                }
            }
            Err(Unkept::Fault(fault)) => {
                self.consume(at, action.seq, content);
                let kind = if fault.refused { "refused" } else { "failed" };
                self.clients[at].actions.store(action.seq, frame::outcome_body(kind, &fault.code, &fault.text));
            }
            Err(Unkept::Later(retry_after)) => {
                let mut out = Vec::new();
                frame::later(&mut out, action.seq, "draining", "the server is going down", retry_after);
                self.outputs.push(Output::Send(connection, out.into()));
                if let Some(held) = &mut self.clients[at].connection {
                    held.held_from = Some(action.seq);
                }
            }
        }
    }

    fn run(&mut self, app: &A, client: ClientId, action: &Action<'_>) -> Result<Option<String>, Unkept> {
        let origin = Some((client, action.seq));
        if action.name == CANCEL {
            let job: Option<JobId> =
                serde_json::from_str::<String>(action.payload.get()).ok().and_then(|id| id.parse().ok());
            let Some(job) = job else {
                return Err(Unkept::Fault(Fault::refused("bad_payload", "$cancel takes the id of a job")));
            };
            if self.jobs.unfinished(job).is_none() {
                return Err(Unkept::Fault(Fault::refused("gone", "no such job is running")));
            }
            self.batch.effects.push(Output::Cancel(job));
            return Ok(None);
        }
        let Some((found, mode)) = app.action(&action.name) else {
            return Err(Unkept::Fault(Fault::refused("unknown_action", format!("no action \"{}\"", action.name))));
        };
        self.used = true;
        self.transact(app, mode, origin, |app, state, turn| app.dispatch(found, state, turn, action.payload))
    }

    /// What to do with a seq; answers or closes for all but the next one and a reused one.
    fn arrive(&mut self, at: usize, connection: ConnectionId, seq: Seq, content: Option<u64>) -> Option<Arrival> {
        let client = &mut self.clients[at];
        if client.connection.as_ref().is_some_and(|held| held.held_from.is_some_and(|from| seq >= from)) {
            return None;
        }
        let arrival = client.actions.arrival(seq, content);
        match arrival {
            Arrival::Again => client.actions.answer_again(seq),
            Arrival::Gap => self.outputs.push(Output::Close(connection, CloseCode::SequenceGap.into())),
            Arrival::Next | Arrival::Reused => {}
        }
        Some(arrival)
    }

    fn consume(&mut self, at: usize, seq: Seq, content: u64) {
        let client = &mut self.clients[at];
        client.actions.consume(content);
        if !self.batch.consumed.iter().any(|(known, _)| *known == client.id) {
            self.batch.consumed.push((client.id, seq));
        }
    }

    // User code.

    /// Runs user code on the state; keeps what it did when it succeeds, and nothing otherwise.
    fn transact<T>(
        &mut self,
        app: &A,
        mode: Mode,
        caller: Option<(ClientId, Seq)>,
        run: impl FnOnce(&A, &mut A::State, &mut Turn<A>) -> Result<T, Fault>,
    ) -> Result<T, Unkept> {
        if mode == Mode::InPlace
            && let Some(retry_after) = self.draining
        {
            return Err(Unkept::Later(retry_after));
        }
        let copy = match mode {
            Mode::Atomic => Some(guard(|| app.copy(&self.state)).map_err(|panic| Unkept::Fault(app.panicked(panic)))?),
            Mode::InPlace | Mode::Query => None,
        };
        self.turns += 1;
        let origin = Origin { session: self.options.id, epoch: self.options.epoch, caller, ordinal: self.turns };
        let mut turn = Turn::new(origin, self.next_job);
        let outcome = guard(|| run(app, &mut self.state, &mut turn)).unwrap_or_else(|panic| Err(app.panicked(panic)));
        let kept = match outcome {
            Ok(value) => match self.draining {
                Some(retry_after) if turn.needs_barrier() && caller.is_some() => Err(Unkept::Later(retry_after)),
                _ => Ok(value),
            },
            Err(fault) => Err(Unkept::Fault(fault)),
        };
        match (&kept, copy) {
            (Ok(_), copy) => self.stage(turn, mode, copy),
            (Err(_), Some(copy)) => bury(std::mem::replace(&mut self.state, copy)),
            (Err(_), None) => {
                self.dirty |= mode == Mode::InPlace;
                self.batch.in_place |= mode == Mode::InPlace;
            }
        }
        kept
    }

    fn stage(&mut self, turn: Turn<A>, mode: Mode, copy: Option<A::State>) {
        self.dirty |= mode != Mode::Query;
        self.batch.in_place |= mode == Mode::InPlace;
        match copy {
            Some(copy) if self.batch.before.is_none() && !self.batch.in_place => self.batch.before = Some(copy),
            Some(copy) => bury(copy),
            None => {}
        }
        self.next_job = turn.next_job;
        let caller = turn.origin.caller.map(|(client, _)| client);
        for event in turn.events {
            let to = match event.audience {
                Audience::Caller => caller,
                Audience::Session => None,
            };
            self.batch.events.push((to, event.class, event.body));
        }
        for start in &turn.starts {
            // At once, so that the frame that answers the action shows the job.
            self.jobs.add(start.id, start.name.clone(), start.hidden);
        }
        self.batch.starts.extend(turn.starts);
        for name in turn.cancel_names {
            self.batch.effects.extend(self.jobs.named(&name).map(Output::Cancel));
        }
        self.batch.effects.extend(turn.cancels.into_iter().map(Output::Cancel));
        self.batch.effects.extend(turn.posts.into_iter().map(Output::Post));
    }

    fn report_unkept(&mut self, outcome: Result<(), Unkept>) {
        self.used = true;
        if let Err(Unkept::Fault(fault)) = outcome {
            self.outputs.push(Output::Fault(fault));
        }
    }

    fn report(&mut self, app: &A, job: JobId, report: JobReport<A>, now: Time) {
        // A job that ended, or one of another epoch, has nothing more to say.
        if self.jobs.unfinished(job).is_none() {
            return;
        }
        match report {
            JobReport::Started => self.jobs.started(job),
            JobReport::Progress(progress, elapsed) => self.jobs.show(job, progress, elapsed, true, now),
            JobReport::Partials(update) => {
                let outcome =
                    self.transact(app, Mode::Atomic, None, |app, state, turn| app.update(update, state, turn));
                self.report_unkept(outcome);
            }
            JobReport::Running(progress, elapsed, update) => {
                self.jobs.show(job, progress, elapsed, false, now);
                let outcome =
                    self.transact(app, Mode::Atomic, None, |app, state, turn| app.update(update, state, turn));
                self.report_unkept(outcome);
            }
            JobReport::Ended { status, text, elapsed, update } => {
                self.jobs.end(job, status, text, elapsed);
                if let Some(update) = update {
                    let outcome =
                        self.transact(app, Mode::Atomic, None, |app, state, turn| app.update(update, state, turn));
                    self.report_unkept(outcome);
                }
            }
        }
    }

    // Frames.

    /// Ends the turn: one walk if somebody can be told, at most one frame a client, and what was staged.
    pub fn flush(&mut self, app: &A, scratch: &mut Scratch, now: Time) {
        let told = self.dirty || self.jobs.dirty;
        let walked = told && self.clients.iter().any(|client| client.takes());
        if walked && let Err(fault) = self.walk(app, &mut scratch.ops) {
            self.outputs.push(Output::Fault(fault));
        }
        self.commit();
        for at in 0..self.clients.len() {
            self.tell(app, at, scratch, now);
        }
        scratch.trim();
    }

    /// Writes what changed since the last walk.
    fn walk(&mut self, app: &A, ops: &mut Vec<u8>) -> Result<(), Fault> {
        // Read as soon as the walk begins: whatever it meets, the shadow is what counts afterwards.
        let dirty = std::mem::take(&mut self.dirty);
        if dirty && let Err(fault) = self.diff(app, ops) {
            ops.clear();
            let Some(before) = self.batch.before.take().filter(|_| !self.batch.in_place) else {
                self.shadow.void();
                return Err(fault);
            };
            bury(std::mem::replace(&mut self.state, before));
            self.take_back(&fault);
            if let Err(second) = self.diff(app, ops) {
                ops.clear();
                self.shadow.void();
                return Err(second);
            }
            return Err(fault);
        }
        if self.jobs.dirty && !self.jobs_shadow.is_void() {
            let before = ops.len();
            if before > 0 {
                ops.push(b',');
            }
            let written = ops.len();
            self.jobs_shadow.diff(&self.jobs.shown(), ops).expect("the job table serialises");
            if ops.len() == written {
                ops.truncate(before);
            }
        }
        self.jobs.dirty = false;
        if ops.starts_with(b"[0,") {
            // The whole root is shorter: it has no `$jobs`, so a snapshot it is.
            ops.clear();
            self.clients.iter_mut().for_each(|client| client.stream.forget());
        }
        Ok(())
    }

    fn diff(&mut self, app: &A, ops: &mut Vec<u8>) -> Result<(), Fault> {
        if self.shadow.is_void() {
            // Nobody holds what it would be compared with.
            self.clients.iter_mut().for_each(|client| client.stream.forget());
            return Ok(());
        }
        match guard(|| app.diff(&self.state, &mut self.shadow, ops)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::failed(UNSERIALISABLE, error.to_string())),
            Err(panic) => {
                self.shadow.void();
                Err(Fault::failed(UNSERIALISABLE, panic))
            }
        }
    }

    /// Answers every action of the turn with a failure and drops what it staged.
    fn take_back(&mut self, fault: &Fault) {
        let body = frame::outcome_body("failed", UNSERIALISABLE, "the state after this action cannot be shown");
        for (client, first) in std::mem::take(&mut self.batch.consumed) {
            if let Some(client) = self.clients.iter_mut().find(|known| known.id == client) {
                client.actions.replace_from(first, &body);
            }
        }
        debug_assert_eq!(fault.code, UNSERIALISABLE);
        let batch = std::mem::take(&mut self.batch);
        for start in &batch.starts {
            self.jobs.remove(start.id);
        }
    }

    /// Lets go what the turn staged.
    fn commit(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some(before) = batch.before {
            bury(before);
        }
        for (to, class, body) in batch.events {
            self.last_event += 1;
            let id = EventId { epoch: self.options.epoch, n: self.last_event };
            for client in self.clients.iter_mut().filter(|client| to.is_none_or(|to| to == client.id)) {
                client.events.push(id, class.clone(), body.clone());
            }
        }
        self.used |= !batch.starts.is_empty();
        self.outputs.extend(batch.starts.into_iter().map(Output::Start));
        self.outputs.extend(batch.effects);
    }

    /// Sends a client what it has to be told, if it can be.
    fn tell(&mut self, app: &A, at: usize, scratch: &mut Scratch, now: Time) {
        let client = &mut self.clients[at];
        let wants =
            client.stream.stale || !scratch.ops.is_empty() || !client.stream.pending.is_empty() || client.owes();
        if !wants {
            return;
        }
        if !client.takes() {
            client.stream.keep(&scratch.ops);
            if let Some(held) = &mut client.connection
                && held.ready
            {
                held.full_since.get_or_insert(now);
            }
            return;
        }
        let (n, ack, waits) = (client.stream.n.next(), client.actions.last, client.stream.awaits_snapshot);
        if client.stream.stale {
            // Others have been told everything by the walk of this very turn, so the tape may be made anew.
            match self.snapshot(app, n, ack, &mut scratch.frame) {
                Ok(()) => {
                    let stream = &mut self.clients[at].stream;
                    (stream.stale, stream.awaits_snapshot) = (false, false);
                }
                Err(fault) => {
                    self.outputs.push(Output::Fault(fault));
                    if waits || !self.clients[at].owes() {
                        return;
                    }
                    // Outcomes and events go all the same; the document follows when it can be shown.
                    frame::delta(&mut scratch.frame, n, ack);
                    frame::delta_ops_end(&mut scratch.frame);
                }
            }
        } else {
            frame::delta(&mut scratch.frame, n, ack);
            scratch.frame.extend_from_slice(&client.stream.pending);
            if !client.stream.pending.is_empty() && !scratch.ops.is_empty() {
                scratch.frame.push(b',');
            }
            client.stream.pending = Vec::new();
            scratch.frame.extend_from_slice(&scratch.ops);
            frame::delta_ops_end(&mut scratch.frame);
        }
        let client = &mut self.clients[at];
        let mut extras = Extras::new(&mut scratch.frame);
        client.actions.write_unsent(n, &mut extras);
        client.events.write_unsent(n, &mut extras);
        extras.end();
        let frame = Bytes::copy_from_slice(&scratch.frame);
        scratch.frame.clear();
        if let (Some(frame), Some(held)) = (client.stream.push(frame), &mut client.connection) {
            held.ready = false;
            self.outputs.push(Output::Send(held.id, frame));
        }
    }

    /// Writes a snapshot frame up to its document, and makes the shadows hold it.
    fn snapshot(&mut self, app: &A, n: FrameNumber, ack: Seq, out: &mut Vec<u8>) -> Result<(), Fault> {
        frame::snapshot(out, n, ack);
        let written = match guard(|| app.snapshot(&self.state, &mut self.shadow, out)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic),
        };
        if let Err(text) = written {
            out.clear();
            self.shadow.void();
            return Err(Fault::failed(UNSERIALISABLE, text));
        }
        let brace = out.pop();
        debug_assert_eq!(brace, Some(b'}'), "the view is an object");
        out.extend_from_slice(if out.last() == Some(&b'{') { b"\"$jobs\":" } else { b",\"$jobs\":" });
        self.jobs_shadow.snapshot(&self.jobs.shown(), out).expect("the job table serialises");
        out.push(b'}');
        self.dirty = false;
        self.jobs.dirty = false;
        Ok(())
    }

    /// Ends every job that has not ended as `status`: the runner is gone.
    pub fn end_jobs(&mut self, status: JobStatus) {
        let unfinished: Vec<_> = self.jobs.all_unfinished().collect();
        for job in unfinished {
            self.jobs.end(job, status, None, Duration::ZERO);
        }
    }

    /// Whether a flush would have something to say that no frame has said.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.dirty || self.jobs.dirty || self.clients.iter().any(|client| client.owes() || client.stream.stale)
    }
}

impl Client {
    fn deadline(&self) -> Option<Time> {
        let asked = self.connection.as_ref().and_then(|held| {
            let patience = if held.asked { WINDOW_PATIENCE * 2 } else { WINDOW_PATIENCE };
            held.full_since.map(|since| since + patience)
        });
        let contender = self.contender.as_ref().map(|contender| contender.deadline);
        asked.into_iter().chain(contender).min()
    }
}

const JOBS: &str = "$jobs";
const CANCEL: &str = "$cancel";
const UNSERIALISABLE: &str = "state_unserialisable";
/// Longer than a page needs to answer, shorter than a person waits for a second tab.
const TAKEOVER_ANSWER: Duration = Duration::from_secs(1);
/// How long a window may be full before the client is asked, and again before it is given up.
const WINDOW_PATIENCE: Duration = Duration::from_secs(15);
/// When a client may come back that found no room.
const BUSY_RETRY: Duration = Duration::from_secs(5);
/// A few large frames' worth; a buffer beyond that is a snapshot's and goes back.
const SCRATCH_KEPT: usize = 64 * 1024;
