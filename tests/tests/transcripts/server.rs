//! A server without sockets or a clock: sessions of the engine, found by the token of a hello.
//!
//! Ids, secrets and epochs count up from those that protocol.md shows, so that its session can be
//! compared to the letter. Whoever drives it takes what it said before saying more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use windlass_engine::{
    ConnectionId, Deferred, Input, Output, Record, SaveOptions, Scratch, Session, SessionOptions, Ticket, Time,
};
use windlass_protocol::limits::MESSAGE_BYTES_MAX;
use windlass_protocol::{ClientMessage, Close, CloseCode, Dialect, Epoch, Hello, Secret, SessionId, Token};

use crate::counter::{Counter, State};
use crate::transcript::{Sessions, Store};

pub(crate) struct Server {
    /// What a session begins with.
    initial: State,
    sessions: BTreeMap<SessionId, Session<Counter>>,
    /// The session of each connection that has said hello.
    homes: BTreeMap<ConnectionId, SessionId>,
    said: BTreeMap<ConnectionId, VecDeque<Said>>,
    scratch: Scratch,
    now: Time,
    connections: u64,
    hellos: u8,
    starts: u64,
    /// Asynchronous actions, in the order in which they began.
    slow: Vec<(SessionId, Ticket, i64)>,
    /// Sessions since the start, and since the first one.
    loads: u64,
    made: u8,
    state_bytes_max: usize,
    /// Records that wait to be stored and those that are; none when nothing is kept.
    disk: Option<Disk>,
}

/// What a durable store is to a transcript.
#[derive(Default)]
struct Disk {
    waiting: VecDeque<Record<Counter>>,
    records: BTreeMap<SessionId, Vec<u8>>,
}

/// What a connection gets to hear.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Message(Value),
    Close { code: u16, reason: Value },
}

impl Server {
    pub(crate) fn new(initial: State, state_bytes_max: usize, is_durable: bool) -> Self {
        Self {
            initial,
            sessions: BTreeMap::new(),
            homes: BTreeMap::new(),
            said: BTreeMap::new(),
            scratch: Scratch::default(),
            now: Time::default(),
            connections: 0,
            hellos: 0,
            starts: 1,
            slow: Vec::new(),
            loads: 0,
            made: 0,
            state_bytes_max,
            disk: is_durable.then(Disk::default),
        }
    }

    pub(crate) fn open(&mut self) -> ConnectionId {
        self.connections += 1;
        ConnectionId(self.connections)
    }

    /// Takes one message from a connection.
    pub(crate) fn hear(&mut self, connection: ConnectionId, dialect: Dialect, message: &Value) {
        let text = message.to_string();
        match (dialect.decode(&text), self.homes.get(&connection)) {
            (Ok(message), Some(&home)) => self.turn(home, Input::Message { connection, message }),
            (Ok(ClientMessage::Hello(hello)), None) => self.hello(connection, hello),
            (Ok(_), None) => self.close(connection, CloseCode::BadMessage.into()),
            (Err(error), _) => self.close(connection, Close::from(&error)),
        }
    }

    /// What a server does that hears what is no message, or a message before hello.
    fn close(&mut self, connection: ConnectionId, close: Close) {
        self.lose(connection);
        self.said.entry(connection).or_default().push_back(closed(close));
    }

    /// The next thing that a connection was told.
    pub(crate) fn next(&mut self, connection: ConnectionId) -> Option<Said> {
        self.said.get_mut(&connection)?.pop_front()
    }

    pub(crate) fn lose(&mut self, connection: ConnectionId) {
        if let Some(home) = self.homes.remove(&connection) {
            self.turn(home, Input::Lost(connection));
        }
    }

    /// Lets time pass, and does what is due meanwhile.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let due = |(id, session): (&SessionId, &Session<Counter>)| Some((session.deadline()?, *id));
        while let Some((at, id)) = self.sessions.iter().filter_map(due).min().filter(|(at, _)| *at <= until) {
            self.now = at;
            self.turn(id, Input::Timer);
        }
        self.now = until;
    }

    /// Starts again: connections are gone, and sessions but for what the store has of them.
    pub(crate) fn lose_sessions(&mut self, how: Sessions) -> Result<(), String> {
        if let Sessions::Parked = how {
            let all: Vec<_> = self.sessions.keys().copied().collect();
            all.into_iter().for_each(|id| self.turn(id, Input::Park));
            self.store(Store::Saves)?;
        }
        self.sessions.clear();
        self.homes.clear();
        self.starts += 1;
        self.loads = 0;
        match (how, &mut self.disk) {
            (Sessions::Lost | Sessions::Unreadable, None) => {}
            (_, None) => return Err("nothing is kept in this transcript".into()),
            (Sessions::Lost | Sessions::Unreadable, Some(disk)) => *disk = Disk::default(),
            (Sessions::Crashed | Sessions::Parked, Some(disk)) => {
                disk.waiting.clear();
                for (id, record) in std::mem::take(&mut disk.records) {
                    let options = self.options(id);
                    let session = Session::restore(&Counter, options, SaveOptions::default(), &record, self.now);
                    self.sessions.insert(id, session.map_err(|error| error.to_string())?);
                    self.disk.as_mut().expect("it was there").records.insert(id, record);
                }
            }
        }
        Ok(())
    }

    /// Stores the records that were asked for, or fails to.
    pub(crate) fn store(&mut self, how: Store) -> Result<(), String> {
        let disk = self.disk.as_mut().ok_or("nothing is kept in this transcript")?;
        if let Store::Fails = how {
            let all: Vec<_> = self.sessions.keys().copied().collect();
            all.into_iter().for_each(|id| self.turn(id, Input::Store { is_up: false }));
            return Ok(());
        }
        if disk.waiting.is_empty() {
            return Err("no record waits to be stored".into());
        }
        while let Some(record) = self.disk.as_mut().and_then(|disk| disk.waiting.pop_front()) {
            let (id, turn) = (record.id, record.turn);
            let bytes = record.encode(&Counter).map_err(|fault| fault.text)?.to_vec();
            let saved = Input::Saved { turn, bytes: bytes.len(), took: Duration::ZERO };
            self.disk.as_mut().expect("it was there").records.insert(id, bytes);
            self.turn(id, saved);
        }
        Ok(())
    }

    /// From now on what must be saved waits for another start.
    pub(crate) fn drain(&mut self, retry_after: Duration) {
        let all: Vec<_> = self.sessions.keys().copied().collect();
        all.into_iter().for_each(|id| self.turn(id, Input::Drain(retry_after)));
    }

    /// The nth asynchronous action ends, from 1, with its reply.
    pub(crate) fn settle(&mut self, nth: usize) -> Result<(), String> {
        let at = nth.checked_sub(1).and_then(|at| self.slow.get(at));
        let &(session, ticket, reply) = at.ok_or("no asynchronous action has that number")?;
        self.turn(session, Input::Settle(ticket, Ok(Some(reply.to_string()))));
        Ok(())
    }

    /// Every session counts on by itself.
    pub(crate) fn count_on(&mut self, more: i64) {
        let all: Vec<_> = self.sessions.keys().copied().collect();
        all.into_iter().for_each(|id| self.turn(id, Input::Update(more)));
    }

    fn hello(&mut self, connection: ConnectionId, hello: Box<Hello>) {
        let token = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok());
        let known = token.filter(|token| {
            self.sessions.get(&token.session).is_some_and(|session| session.accepts(hello.client, token.secret))
        });
        let home = known.map_or_else(|| self.begin(), |token| token.session);
        self.homes.insert(connection, home);
        let secret = Secret(counted(FIRST_SECRET, self.hellos));
        self.hellos += 1;
        self.turn(home, Input::Hello { connection, hello, secret });
    }

    fn begin(&mut self) -> SessionId {
        let id = SessionId(counted(FIRST_SESSION, self.made));
        self.made += 1;
        let mut session = Session::new(self.options(id), self.initial.clone());
        if self.disk.is_some() {
            session.keep_records(SaveOptions::default());
        }
        self.sessions.insert(id, session);
        id
    }

    /// For the next loading of a session.
    fn options(&mut self, id: SessionId) -> SessionOptions {
        self.loads += 1;
        SessionOptions {
            id,
            epoch: Epoch((self.starts << 32) + self.loads),
            hash_key: [1, 2],
            message_bytes_max: MESSAGE_BYTES_MAX,
            state_bytes_max: self.state_bytes_max,
        }
    }

    /// One input is one turn; sockets take what they are given, until the session has no more to say.
    fn turn(&mut self, id: SessionId, input: Input<'_, Counter>) {
        let session = self.sessions.get_mut(&id).expect("a home is forgotten with its session");
        session.handle(&Counter, input, self.now);
        loop {
            session.flush(&Counter, &mut self.scratch, self.now);
            let outputs = session.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Send(to, frame) => {
                        let message = serde_json::from_slice(&frame).expect("what a server says is JSON");
                        self.said.entry(to).or_default().push_back(Said::Message(message));
                        session.handle(&Counter, Input::Ready(to), self.now);
                    }
                    Output::Close(to, close) => {
                        self.said.entry(to).or_default().push_back(closed(close));
                        self.homes.remove(&to);
                        session.handle(&Counter, Input::Lost(to), self.now);
                    }
                    Output::Defer(Deferred { ticket, task, .. }) => self.slow.push((id, ticket, task)),
                    Output::Fault(fault) => panic!("{}: {}", fault.code, fault.text),
                    Output::Save(record) => {
                        self.disk.as_mut().expect("only durable sessions ask for it").waiting.push_back(*record);
                    }
                    Output::Start(_) | Output::Cancel(_) | Output::CancelChild(_) | Output::Post(()) => {
                        unreachable!("this app asks for none")
                    }
                }
            }
        }
    }
}

fn closed(close: Close) -> Said {
    let reason = serde_json::from_str(&close.reason()).expect("a reason is JSON");
    Said::Close { code: close.code.number(), reason }
}

fn counted<const N: usize>(mut first: [u8; N], count: u8) -> [u8; N] {
    let last = first.last_mut().expect("ids are not empty");
    *last = last.wrapping_add(count);
    first
}

const FIRST_SESSION: [u8; 12] = [0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6, 0xa7, 0xb8, 0xc9, 0xd0, 0xe1, 0xf2];
const FIRST_SECRET: [u8; 16] = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
