//! A session with the driver around it: what a server does between its sockets and the engine, by value.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use windlass_engine::{
    ConnectionId, Fault, Input, JobReport, JobStatus, Output, PartialsUpdate, Progress, Scratch, Session,
    SessionOptions, Ticket, Time, token_hash,
};
use windlass_protocol::{
    ClientId, ClientMessage, Close, Dialect, Epoch, FrameNumber, Hello, JobId, Secret, SessionId, Token,
};

use crate::app::{Change, Emission, Ledger, State};
use crate::dialect;
use crate::judge::{Held, broken};

/// What happens to a session, owned.
#[derive(Clone, Debug)]
pub(crate) enum In {
    Hello(u64, Box<Hello>),
    Text(u64, String),
    Ready(u64),
    Lost(u64),
    Update(Change),
    Report(JobId, Report),
    /// The end of an asynchronous action: its number, or that it has failed.
    Settle(Ticket, Option<u32>),
    Timer,
    Drain,
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
    pub(crate) fn new(number: u64) -> Self {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let options = SessionOptions {
            id: SessionId(id),
            epoch: Epoch(number),
            hash_key: [number, 7],
            message_bytes_max: windlass_protocol::limits::MESSAGE_BYTES_MAX,
        };
        let mut session = Session::new(options, State::default());
        session.key("plain", "id");
        Self {
            session,
            running: Vec::new(),
            over: Vec::new(),
            deferred: Vec::new(),
            begun: Vec::new(),
            owed: BTreeMap::new(),
            emitted: 0,
            notes: Vec::new(),
            ends: BTreeMap::new(),
            secrets: 0,
            last_sent: BTreeMap::new(),
            dialects: BTreeMap::new(),
            gone: false,
        }
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
                In::Report(job, Report::Ended(_)) if self.running.contains(job) => {
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
                Output::Start(start) => self.running.push(start.id),
                Output::Fault(fault) => unshown |= fault.code == "state_unserialisable",
                Output::Defer(deferred) => {
                    self.begun.push(deferred.task);
                    self.deferred.push((deferred.ticket, deferred.task));
                }
                Output::Post(action) => outs.push(Out::Post(action)),
                Output::Cancel(_) | Output::CancelChild(_) => {}
                Output::Save(_) => unreachable!("it keeps no records"),
            }
        }
        self.check_turn(notes, ends, unshown)?;
        // Who had to make room begins anew, and is owed nothing of before.
        let known: BTreeSet<ClientId> = self.session.tokens().map(|(client, _)| client).collect();
        self.owed.retain(|client, _| known.contains(client));
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
            In::Report(job, report) => Input::Report(*job, job.epoch, say(*job, *report)),
            In::Settle(ticket, answer) => {
                self.deferred.retain(|(known, _)| known != ticket);
                let answer = answer.map(|action| Some(action.to_string()));
                Input::Settle(*ticket, answer.ok_or_else(|| Fault::failed("own", "as asked")))
            }
            In::Timer => Input::Timer,
            In::Drain => Input::Drain(Duration::from_millis(500)),
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
        for (number, emission) in emitted.iter().enumerate().skip(self.emitted) {
            for (client, owed) in &mut self.owed {
                if emission.to.is_none_or(|to| to == *client) {
                    owed.push((number, *emission));
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

fn say(job: JobId, report: Report) -> JobReport<Ledger> {
    let progress = |choice: u64| Progress { fraction: Some((choice % 100) as f64 / 100.0), ..Progress::default() };
    let elapsed = Duration::from_millis(30);
    match report {
        Report::Started => JobReport::Started,
        Report::Progress(choice) => JobReport::Progress(progress(choice), elapsed),
        Report::Partials(choice) => {
            let mut update = Some(PartialsUpdate { update: Change::Tick(choice), is_final: true });
            JobReport::Partials(Box::new(move |_| update.take()))
        }
        Report::Running(choice) => JobReport::Running(progress(choice), elapsed, Change::Tick(choice)),
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
