//! One client session: its state, its epoch, and what it owes its clients.
//!
//! Performs no I/O and reads no clock; `now` is an argument. Call [`Session::handle`] for every
//! input that is ready, [`Session::flush`] once, then drain [`Session::outputs`].
//! What a turn staged (job starts, events, posts) leaves with the flush: if the view does not
//! serialise then, the whole turn is taken back.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use windlass_protocol::{ClientId, ClientMessage, Close, Epoch, Hello, JobId, Secret, Seq, SessionId};
use windlass_sync::{HashKey, Shadow};

use crate::client::{Client, token_hash};
use crate::guard::bury;
use crate::job::JobTable;
use crate::turn::Origin;
use crate::{App, Audience, ConnectionId, Fault, JobReport, Mode, Start, Time, Turn, guard};

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
    pub(crate) jobs_shadow: Shadow,
    pub(crate) jobs: JobTable,
    pub(crate) clients: Vec<Client>,
    /// The state may differ from the shadow.
    pub(crate) dirty: bool,
    pub(crate) last_event: u64,
    pub(crate) next_job: u64,
    pub(crate) turns: u64,
    pub(crate) draining: Option<Duration>,
    pub(crate) used: bool,
    pub(crate) batch: Batch<A>,
    pub(crate) outputs: Vec<Output<A>>,
}

/// What the turn that is under way has done so far.
pub(crate) struct Batch<A: App> {
    /// The state before it, when all of it can be taken back.
    pub(crate) before: Option<A::State>,
    /// Something in it cannot be taken back: it was in place, or no client would send it again.
    pub(crate) is_fixed: bool,
    /// The first seq that it consumed, by client.
    pub(crate) consumed: Vec<(ClientId, Seq)>,
    pub(crate) events: Vec<(Option<ClientId>, crate::Class, String)>,
    pub(crate) effects: Vec<Output<A>>,
    pub(crate) starts: Vec<Start<A>>,
}

impl<A: App> Batch<A> {
    /// Empties it and keeps its room: a turn that stages nothing allocates nothing.
    pub(crate) fn clear(&mut self) {
        if let Some(before) = self.before.take() {
            bury(before);
        }
        self.is_fixed = false;
        self.consumed.clear();
        self.events.clear();
        self.effects.clear();
        self.starts.clear();
    }
}

impl<A: App> Default for Batch<A> {
    fn default() -> Self {
        Self {
            before: None,
            is_fixed: false,
            consumed: Vec::new(),
            events: Vec::new(),
            effects: Vec::new(),
            starts: Vec::new(),
        }
    }
}

/// Why a handler's work was not kept.
pub(crate) enum Unkept {
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
        let hash = token_hash(secret);
        self.tokens().any(|(known, token)| known == client && token == hash)
    }

    /// Its clients, each with the [`token_hash`] of its secret: who may come back.
    pub fn tokens(&self) -> impl Iterator<Item = (ClientId, [u8; 32])> {
        self.clients.iter().map(|client| (client.id, client.token()))
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

    /// What it asks for, in order.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output<A>> {
        self.outputs.drain(..)
    }

    /// What it asks for, in order, for a driver that must touch the session meanwhile. See [`Session::give_back`].
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<Output<A>> {
        std::mem::take(&mut self.outputs)
    }

    /// Gives the emptied list back, so that the next turn needs no new one.
    pub fn give_back(&mut self, mut outputs: Vec<Output<A>>) {
        outputs.clear();
        outputs.append(&mut self.outputs);
        self.outputs = outputs;
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

    pub(crate) fn attached_mut(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.connection.as_ref().is_some_and(|held| held.id == connection))
    }

    /// Runs user code on the state; keeps what it did when it succeeds, and nothing otherwise.
    pub(crate) fn transact<T>(
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
                self.batch.is_fixed |= mode == Mode::InPlace;
            }
        }
        kept
    }

    pub(crate) fn stage(&mut self, turn: Turn<A>, mode: Mode, copy: Option<A::State>) {
        self.dirty |= mode != Mode::Query;
        // The end of a job, say, comes once: it must not go with an action that shared its turn.
        self.batch.is_fixed |= mode == Mode::InPlace || turn.origin.caller.is_none();
        match copy {
            Some(copy) if self.batch.before.is_none() && !self.batch.is_fixed => self.batch.before = Some(copy),
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

    pub(crate) fn report_unkept(&mut self, outcome: Result<(), Unkept>) {
        self.used = true;
        if let Err(Unkept::Fault(fault)) = outcome {
            self.outputs.push(Output::Fault(fault));
        }
    }

    pub(crate) fn report(&mut self, app: &A, job: JobId, report: JobReport<A>, now: Time) {
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

    /// Whether a flush would have something to say to an attached client, now or when its socket takes more.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let changed = self.dirty || self.jobs.dirty;
        self.clients.iter().any(|client| client.connection.is_some() && (changed || client.lacks()))
    }
}

/// The root key of the job table.
pub(crate) const JOBS: &str = "$jobs";
/// A few large frames' worth; a buffer beyond that is a snapshot's and goes back.
const SCRATCH_KEPT: usize = 64 * 1024;
/// A session that waits for an ack holds on to one of these, whatever the size of its frame.
const ARENA: usize = 2048;
