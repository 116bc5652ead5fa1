//! A session with the driver around it: what a server does between its sockets and the engine, by value.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use windlass_engine::{
    ConnectionId, Fault, Input, JobReport, JobStatus, Output, PartialsUpdate, Progress, RestoreError, SaveOptions,
    Scratch, Session, SessionOptions, Ticket, Time, token_hash,
};
use windlass_protocol::{
    ClientId, ClientMessage, Close, Dialect, Epoch, FrameNumber, Hello, JobId, Secret, SessionId, Token,
};

use crate::app::{Change, Emission, Ledger, State};
use crate::dialect;
use crate::disk::Disk;
use crate::judge::{Held, broken};

/// What happens to a session, owned.
#[derive(Clone, Debug)]
pub(crate) enum In {
    Hello(u64, Box<Hello>),
    Text(u64, String),
    Ready(u64),
    Lost(u64),
    Update(Change),
    /// What a job says that this loading of the session has started.
    Report(JobId, Epoch, Report),
    /// The end of an asynchronous action: its number, or that it has failed.
    Settle(Ticket, Option<u32>),
    Timer,
    Drain,
    /// The record of that turn is on disk, or is not known to be.
    Saved(u64),
    SaveFailed(u64),
    Store(bool),
    Fenced,
    Park,
    Freeze,
    /// A planted bug: the judge hears of this, the engine does not.
    Blind(Box<In>),
    /// A planted bug: every client has acknowledged what it may not even have.
    ForgeRoom,
}

/// What a job says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Report {
    Started,
    Progress(u64),
    Partials(u64),
    Running(u64),
    Ended(JobStatus),
}

/// What a session wants from its sockets.
pub(crate) enum Out {
    Send(u64, bytes::Bytes),
    Close(u64, Close),
    /// For another session, from that action.
    Post(u32),
}

pub(crate) struct Host {
    pub(crate) session: Session<Ledger>,
    /// Where its records go, when it keeps any.
    pub(crate) disk: Option<Disk>,
    /// This loading of it.
    pub(crate) epoch: Epoch,
    /// Jobs of earlier loadings whose process does not know that it is over, each with its loading.
    pub(crate) ghosts: Vec<(JobId, Epoch)>,
    /// All jobs that ever ran.
    started: BTreeSet<JobId>,
    /// Events of which nobody may know that a crash undid them.
    pub(crate) undone: Vec<Emission>,
    /// It takes nothing more: its server goes.
    pub(crate) is_frozen: bool,
    /// Its process is going down.
    pub(crate) drains: bool,
    /// Its process has ended before anything of it was saved.
    pub(crate) never_was: bool,
    /// Jobs whose end was not reported.
    pub(crate) running: Vec<JobId>,
    /// Jobs whose end was.
    pub(crate) over: Vec<JobId>,
    /// Asynchronous actions that have not ended, each with the action that it answers.
    pub(crate) deferred: Vec<(Ticket, u32)>,
    /// All that were ever begun.
    pub(crate) begun: Vec<u32>,
    /// The events of each client.
    pub(crate) owed: BTreeMap<ClientId, Vec<(usize, Emission)>>,
    /// What those were owed who had to make room: a crash may undo that.
    let_go: BTreeMap<ClientId, Vec<(usize, Emission)>>,
    /// How many of the state's emissions have been handed to the clients.
    emitted: usize,
    notes: Vec<u32>,
    ends: BTreeMap<String, u32>,
    secrets: u64,
    /// The number of the last frame on each connection.
    last_sent: BTreeMap<u64, u64>,
    /// What each connection speaks.
    dialects: BTreeMap<u64, Dialect>,
    /// The server that held it is gone.
    pub(crate) gone: bool,
}

impl Host {
    /// A session that keeps records when it is said how.
    pub(crate) fn new(number: u64, epoch: Epoch, saves: Option<SaveOptions>) -> Self {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let mut session = Session::new(options(SessionId(id), epoch), State::default());
        session.key("plain", "id");
        if let Some(saves) = saves {
            session.keep_records(saves);
        }
        Self {
            session,
            disk: saves.map(|_| Disk::default()),
            epoch,
            ghosts: Vec::new(),
            started: BTreeSet::new(),
            undone: Vec::new(),
            is_frozen: false,
            drains: false,
            never_was: false,
            running: Vec::new(),
            over: Vec::new(),
            deferred: Vec::new(),
            begun: Vec::new(),
            owed: BTreeMap::new(),
            let_go: BTreeMap::new(),
            emitted: 0,
            notes: Vec::new(),
            ends: BTreeMap::new(),
            secrets: 0,
            last_sent: BTreeMap::new(),
            dialects: BTreeMap::new(),
            gone: false,
        }
    }

    /// The process has ended, or somebody else has the session: what is known is what was stored.
    pub(crate) fn unload(&mut self) {
        self.gone = true;
        self.ghosts.extend(self.running.drain(..).map(|job| (job, self.epoch)));
        self.deferred.clear();
        self.last_sent.clear();
        self.never_was = self.disk.as_ref().is_none_or(|disk| disk.stored().is_none());
    }

    /// Makes the session from what was stored, in a new epoch.
    pub(crate) fn load(&mut self, epoch: Epoch, saves: SaveOptions, now: Time) -> Held {
        let disk = self.disk.as_mut().expect("it keeps records");
        let id = self.session.id();
        if let Some(torn) = disk.take_torn()
            && !matches!(
                Session::restore(&Ledger, options(id, epoch), saves, &torn, now),
                Err(RestoreError::Corrupt(_))
            )
        {
            return broken("EXACTLY-ONCE", "a record that was cut short makes a session");
        }
        let record = disk.stored().expect("something was stored");
        let mut session = match Session::restore(&Ledger, options(id, epoch), saves, record, now) {
            Ok(session) => session,
            Err(error) => return broken("EXACTLY-ONCE", format!("a record makes no session: {error}")),
        };
        session.key("plain", "id");
        let (before, after) = (self.session.state(), session.state());
        if !before.log.starts_with(&after.log) || !before.notes.starts_with(&after.notes) {
            let story = format!("{:?} is loaded, and {:?} was", after.log, before.log);
            return broken("EXACTLY-ONCE", story);
        }
        let floor = disk.floor();
        if (after.log.len(), after.notes.len()) < floor || after.notes.len() < floor.1 {
            return broken("EXACTLY-ONCE", format!("what was said to be saved, {floor:?}, is not: {:?}", after.log));
        }
        let kept = after.emitted.len();
        self.undone.extend(before.emitted.iter().skip(kept));
        let known: BTreeSet<usize> = after.emitted.iter().map(|emission| emission.number).collect();
        for (client, _) in session.tokens() {
            if let Some(owed) = self.let_go.remove(&client) {
                self.owed.entry(client).or_insert(owed);
            }
        }
        for owed in self.owed.values_mut() {
            owed.retain(|(number, _)| known.contains(number));
        }
        let jobs: BTreeSet<JobId> = session.unfinished_jobs().collect();
        let lost = self.started.iter().find(|job| !jobs.contains(job) && !after.ends.contains_key(&job.to_string()));
        if let Some(job) = lost {
            return broken("OUTLIVES", format!("the job {job} ran, and no record knows of it"));
        }
        (self.session, self.epoch) = (session, epoch);
        (self.gone, self.never_was, self.is_frozen, self.drains) = (false, false, false, false);
        // Its first turn tells the app of jobs that are lost.
        self.session.handle(&Ledger, Input::Timer, now);
        let state = self.session.state();
        (self.notes, self.ends, self.emitted) = (state.notes.clone(), state.ends.clone(), state.emitted.len());
        Ok(())
    }

    /// Whether a client with that token may come back.
    pub(crate) fn accepts(&self, hello: &Hello) -> bool {
        let token = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok());
        !self.gone
            && token.is_some_and(|token| {
                let known = (hello.client, token_hash(token.secret));
                token.session == self.session.id() && self.session.tokens().any(|client| client == known)
            })
    }

    /// One turn: all inputs, one flush, and what was asked for.
    pub(crate) fn turn(&mut self, inputs: Vec<In>, scratch: &mut Scratch, now: Time) -> Held<Vec<Out>> {
        let mut notes = self.notes.clone();
        let mut ends = self.ends.clone();
        for input in inputs {
            let seen = if let In::Blind(seen) = &input { seen } else { &input };
            match seen {
                In::Update(Change::Note(number, _)) => notes.push(*number),
                In::Report(job, run, Report::Ended(_)) if *run == self.epoch && self.running.contains(job) => {
                    *ends.entry(job.to_string()).or_default() += 1;
                    self.running.retain(|running| running != job);
                    self.over.push(*job);
                }
                _ => {}
            }
            self.handle(input, now);
        }
        self.session.flush(&Ledger, scratch, now);
        let mut outs = Vec::new();
        let mut unshown = false;
        let mut outputs: VecDeque<_> = self.session.outputs().collect();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Send(to, frame) => {
                    if let Some(n) = frame_number(&frame) {
                        self.last_sent.insert(to.0, n);
                    }
                    outs.push(Out::Send(to.0, frame));
                }
                Output::Close(to, close) => {
                    // What was on the way from there is not read any more.
                    self.session.handle(&Ledger, Input::Lost(to), now);
                    outputs.extend(self.session.outputs());
                    outs.push(Out::Close(to.0, close));
                }
                Output::Start(start) => {
                    self.running.push(start.id);
                    self.started.insert(start.id);
                }
                Output::Fault(fault) => unshown |= fault.code == "state_unserialisable",
                Output::Defer(deferred) => {
                    self.begun.push(deferred.task);
                    self.deferred.push((deferred.ticket, deferred.task));
                }
                Output::Post(action) => outs.push(Out::Post(action)),
                Output::Cancel(_) | Output::CancelChild(_) => {}
                Output::Save(record) => {
                    let turn = record.turn;
                    let state = self.session.state();
                    let holds = (state.log.len(), state.notes.len());
                    let bytes = match record.encode(&Ledger) {
                        Ok(bytes) => bytes,
                        Err(fault) => return broken("EXACTLY-ONCE", fault.text),
                    };
                    self.disk.as_mut().expect("it keeps records").write(turn, holds, bytes);
                }
            }
        }
        self.check_turn(notes, ends, unshown)?;
        // Who had to make room begins anew, and is owed nothing of before.
        let known: BTreeSet<ClientId> = self.session.tokens().map(|(client, _)| client).collect();
        let (owed, let_go): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.owed).into_iter().partition(|(client, _)| known.contains(client));
        self.owed = owed;
        self.let_go.extend(let_go);
        self.owe()?;
        Ok(outs)
    }

    fn handle(&mut self, input: In, now: Time) {
        let input = match &input {
            In::Hello(connection, hello) => {
                self.secrets += 1;
                self.dialects.insert(*connection, hello.dialect);
                self.owed.entry(hello.client).or_default();
                let mut secret = [0; 16];
                secret[..8].copy_from_slice(&self.secrets.to_be_bytes());
                Input::Hello { connection: ConnectionId(*connection), hello: hello.clone(), secret: Secret(secret) }
            }
            In::Text(connection, text) => {
                let dialect = self.dialects.get(connection).copied().unwrap_or_default();
                let text = dialect::said(dialect, text);
                let message = dialect.decode(&text).expect("the model's messages are well formed");
                let input = Input::Message { connection: ConnectionId(*connection), message };
                return self.session.handle(&Ledger, input, now);
            }
            In::Ready(connection) => Input::Ready(ConnectionId(*connection)),
            In::Lost(connection) => Input::Lost(ConnectionId(*connection)),
            In::Update(change) => Input::Update(change.clone()),
            In::Report(job, run, report) => Input::Report(*job, *run, say(*job, *report)),
            In::Settle(ticket, answer) => {
                self.deferred.retain(|(known, _)| known != ticket);
                let answer = answer.map(|action| Some(action.to_string()));
                Input::Settle(*ticket, answer.ok_or_else(|| Fault::failed("own", "as asked")))
            }
            In::Timer => Input::Timer,
            In::Drain => Input::Drain(Duration::from_millis(500)),
            In::Saved(turn) => Input::Saved { turn: *turn, bytes: 1_000, took: Duration::from_millis(1) },
            In::SaveFailed(turn) => Input::SaveFailed(*turn),
            In::Store(is_up) => Input::Store { is_up: *is_up },
            In::Fenced => Input::Fenced,
            In::Park => Input::Park,
            In::Freeze => Input::Freeze(Duration::from_millis(500)),
            In::Blind(_) => return,
            In::ForgeRoom => return self.forge_room(now),
        };
        self.session.handle(&Ledger, input, now);
    }

    fn forge_room(&mut self, now: Time) {
        for (connection, n) in self.last_sent.clone() {
            let connection = ConnectionId(connection);
            self.session.handle(
                &Ledger,
                Input::Message { connection, message: ClientMessage::Ack(FrameNumber(n)) },
                now,
            );
        }
    }

    /// ATOMIC and ONE-END: of the updates and ends of a turn all have happened, or none where it could not be shown.
    fn check_turn(&mut self, notes: Vec<u32>, ends: BTreeMap<String, u32>, unshown: bool) -> Held {
        let state = self.session.state();
        if state.notes == notes && state.ends == ends {
            (self.notes, self.ends) = (notes, ends);
            return Ok(());
        }
        if unshown && state.notes == self.notes && state.ends == self.ends {
            return Ok(());
        }
        if state.ends != ends {
            return broken("ONE-END", format!("{:?} instead of {ends:?}", state.ends));
        }
        broken("ATOMIC", format!("updates {:?} instead of {notes:?}", state.notes))
    }

    fn owe(&mut self) -> Held {
        let emitted = &self.session.state().emitted;
        if emitted.len() < self.emitted {
            return broken("ATOMIC", "events that had left were taken back");
        }
        for emission in emitted.iter().skip(self.emitted) {
            for (client, owed) in &mut self.owed {
                if emission.to.is_none_or(|to| to == *client) {
                    owed.push((emission.number, *emission));
                }
            }
        }
        self.emitted = emitted.len();
        Ok(())
    }

    /// What its clients see, but for the jobs.
    pub(crate) fn view(&self) -> Value {
        serde_json::to_value(self.session.state()).expect("it was healed")
    }
}

fn options(id: SessionId, epoch: Epoch) -> SessionOptions {
    let message_bytes_max = windlass_protocol::limits::MESSAGE_BYTES_MAX;
    let state_bytes_max = windlass_engine::STATE_BYTES_MAX;
    SessionOptions { id, epoch, hash_key: [epoch.0, 7], message_bytes_max, state_bytes_max }
}

fn say(job: JobId, report: Report) -> JobReport<Ledger> {
    let progress = |choice: u64| Progress { fraction: Some((choice % 100) as f64 / 100.0), ..Progress::default() };
    let elapsed = Duration::from_millis(30);
    match report {
        Report::Started => JobReport::Started,
        Report::Progress(choice) => JobReport::Progress(progress(choice), elapsed),
        Report::Partials(choice) => {
            let mut update = Some(PartialsUpdate { update: Change::Tick(job, choice), is_final: true });
            JobReport::Partials(Box::new(move |_| update.take()))
        }
        Report::Running(choice) => JobReport::Running(progress(choice), elapsed, Change::Tick(job, choice)),
        Report::Ended(status) => JobReport::Ended { status, text: None, elapsed, update: Some(Change::End(job)) },
    }
}

/// The number of a frame that takes one.
pub(crate) fn frame_number(frame: &[u8]) -> Option<u64> {
    let heads: [&[u8]; 4] = [b"[\"d\",", b"[\"s\",", b"{\"type\":\"delta\",\"n\":", b"{\"type\":\"snapshot\",\"n\":"];
    let rest = heads.into_iter().find_map(|head| frame.strip_prefix(head))?;
    let digits = rest.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
