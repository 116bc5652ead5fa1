//! A session whose clients, sockets, store and time do anything, in any order; and records that are anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_engine::{
    App, Audience, Class, ConnectionId, Fault, Input, Mode, Output, Record, SaveOptions, Scratch, Session,
    SessionOptions, Time, Turn,
};
use windlass_protocol::frame::event_body;
use windlass_protocol::{ClientMessage, Epoch, Secret, SessionId};
use windlass_sync::Shadow;

#[derive(Clone, Default, Deserialize, Serialize)]
struct State {
    marks: BTreeSet<u64>,
    text: String,
}

struct Fuzzed;

type Change = fn(&mut State);

impl App for Fuzzed {
    type State = State;
    type Action = usize;
    type Update = Change;
    type Work = ();
    type Post = ();
    type Task = ();

    fn action(&self, name: &str) -> Option<(usize, Mode)> {
        ACTIONS.iter().position(|known| *known == name).map(|at| (at, Mode::Atomic))
    }

    fn copy(&self, state: &State) -> State {
        state.clone()
    }

    fn dispatch(
        &self,
        action: usize,
        state: &mut State,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        match ACTIONS[action] {
            "mark" => {
                let mark: u64 = serde_json::from_str(payload.get()).expect("only the target sends marks");
                assert!(state.marks.insert(mark), "the action {mark} has come twice");
            }
            "say" => {
                state.text.truncate(0);
                state.text.push_str(payload.get());
            }
            "tell" => turn.event(Audience::Session, Class::Must, event_body("emit", &payload).expect("it is JSON")),
            "reply" => return Ok(Some(payload.get().to_owned())),
            _ => {
                state.text.push('!');
                return Err(Fault::failed("own", "no"));
            }
        }
        Ok(None)
    }

    fn update(&self, update: Change, state: &mut State, _turn: &mut Turn<Self>) -> Result<(), Fault> {
        update(state);
        Ok(())
    }

    fn diff(&self, state: &State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.diff(state, out)
    }

    fn snapshot(&self, state: &State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.snapshot(state, out)
    }

    fn panicked(&self, text: String) -> Fault {
        // Nothing in these handlers panics but what is wrong with the engine.
        panic!("{text}");
    }

    fn state_kind(&self) -> Cow<'_, str> {
        "fuzzed".into()
    }

    fn save_state(&self, state: &State, out: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(out, state).map_err(|error| error.to_string())
    }

    fn load_state(&self, _kind: &str, state: &RawValue) -> Result<State, String> {
        serde_json::from_str(state.get()).map_err(|error| error.to_string())
    }
}

/// What a client of the session holds.
#[derive(Default)]
struct Page {
    connection: Option<u64>,
    epoch: u64,
    n: u64,
    document: Option<Value>,
    /// The number of its last frame, or 0 while it waits for the first since hello.
    heard: u64,
    /// The highest number that it has given.
    seq: u64,
    /// It hears nothing any more, and does not know.
    is_deaf: bool,
}

struct World {
    session: Session<Fuzzed>,
    scratch: Scratch,
    now: Time,
    pages: [Page; 3],
    connections: u64,
    writing: VecDeque<Record<Fuzzed>>,
    stored: Option<Vec<u8>>,
    epoch: u64,
}

/// Any bytes as what happens to a session: each says what, the next ones how.
pub(super) fn session(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes.iter().copied();
    while let Some(what) = rest.next() {
        let how = rest.next().unwrap_or(0);
        world.happens(what, how, &mut rest);
    }
    world.settles();
}

/// Any bytes as the record of a session: it is restored, or refused with a reason.
pub(super) fn record(bytes: &[u8]) {
    if let Ok(session) = Session::restore(&Fuzzed, options(9), SaveOptions::default(), bytes, Time::default()) {
        let mut world = World::new();
        world.session = session;
        world.epoch = 9;
        world.settles();
    }
}

fn push(state: &mut State) {
    state.text.push('u');
}

fn options(epoch: u64) -> SessionOptions {
    SessionOptions { id: SessionId([1; 12]), epoch: Epoch(epoch), hash_key: [3, 4], message_bytes_max: 65_536 }
}

impl World {
    fn new() -> Self {
        let mut session = Session::new(options(7), State::default());
        session.keep_records(SaveOptions::default());
        Self {
            session,
            scratch: Scratch::default(),
            now: Time::default(),
            pages: Default::default(),
            connections: 0,
            writing: VecDeque::new(),
            stored: None,
            epoch: 7,
        }
    }

    fn happens(&mut self, what: u8, how: u8, rest: &mut impl Iterator<Item = u8>) {
        let at = usize::from(how) % self.pages.len();
        match what % 16 {
            0 | 1 => self.hello(at, how & 64 != 0),
            2 | 3 => {
                let next = self.pages[at].seq + 1;
                // Also one that was sent before, and one that is too far.
                let seq = next.saturating_sub(u64::from(how >> 6)).max(1) + u64::from(how == 255);
                self.pages[at].seq = self.pages[at].seq.max(seq.min(next));
                self.mark(at, seq);
            }
            4 => {
                let text: Vec<u8> = rest.take(usize::from(how)).collect();
                self.stranger(at, &String::from_utf8_lossy(&text));
            }
            5 => {
                let seq = self.pages[at].seq + 1;
                self.pages[at].seq = seq;
                // Its content is the number's, so that sending it again is no other action.
                let name = ACTIONS[1 + seq as usize % (ACTIONS.len() - 1)];
                self.message(at, &json!(["a", seq, name, seq]).to_string());
            }
            6 => self.message(at, &json!(["k", self.pages[at].n]).to_string()),
            7 => self.lose(at),
            8 => self.pages[at].is_deaf = true,
            9 => self.each(Input::Ready(ConnectionId(u64::from(how)))),
            10 => self.pass(Duration::from_millis(1 << (how % 20))),
            11 => self.each(Input::Update(push as Change)),
            12 => self.message(at, r#"["r"]"#),
            13 => self.save(how),
            14 => self.crash(how),
            _ => self.each(Input::Store { is_up: how & 1 == 0 }),
        }
    }

    fn hello(&mut self, at: usize, knows_nothing: bool) {
        self.connections += 1;
        let connection = self.connections;
        let page = &mut self.pages[at];
        (page.connection, page.is_deaf, page.heard) = (Some(connection), false, 0);
        if knows_nothing {
            (page.document, page.n, page.epoch) = (None, 0, 0);
        }
        let text = json!(["h", {
            "token": null, "client": format!("{:024x}", at + 1), "instance": "01", "epoch": page.epoch, "n": page.n,
            "event": [0, 0], "seq": page.seq + 1, "page": "/", "can": [],
        }]);
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(&text.to_string()) else {
            panic!("the target says hello wrongly: {text}")
        };
        let connection = ConnectionId(connection);
        self.each(Input::Hello { connection, hello, secret: Secret([7; 16]) });
    }

    fn mark(&mut self, at: usize, seq: u64) {
        // One of three kinds is a mark; what a number is does not change when it is sent again.
        if seq.is_multiple_of(3) {
            self.message(at, &json!(["a", seq, "mark", at as u64 * 1_000_000 + seq]).to_string());
        } else {
            let name = ACTIONS[1 + seq as usize % (ACTIONS.len() - 1)];
            self.message(at, &json!(["a", seq, name, seq]).to_string());
        }
    }

    /// What a stranger sends, who does not mark.
    fn stranger(&mut self, at: usize, text: &str) {
        match ClientMessage::decode(text) {
            Ok(ClientMessage::Action(action)) if action.name == "mark" => {}
            _ => self.message(at, text),
        }
    }

    fn message(&mut self, at: usize, text: &str) {
        let Some(connection) = self.pages[at].connection else { return };
        match ClientMessage::decode(text) {
            Ok(message) => self.each(Input::Message { connection: ConnectionId(connection), message }),
            Err(_) => self.lose(at),
        }
    }

    fn lose(&mut self, at: usize) {
        if let Some(connection) = self.pages[at].connection.take() {
            self.each(Input::Lost(ConnectionId(connection)));
        }
    }

    fn save(&mut self, how: u8) {
        let Some(record) = self.writing.pop_front() else { return };
        if how.is_multiple_of(4) {
            return self.each(Input::SaveFailed(record.turn));
        }
        let turn = record.turn;
        let bytes = record.encode(&Fuzzed).expect("the state serialises").to_vec();
        let length = bytes.len();
        self.stored = Some(bytes);
        self.each(Input::Saved { turn, bytes: length, took: Duration::from_micros(100) });
    }

    /// The process ends, and another one loads what was stored.
    fn crash(&mut self, how: u8) {
        if !how.is_multiple_of(4) {
            return;
        }
        self.epoch += 1;
        let restored = self
            .stored
            .as_ref()
            .map(|record| Session::restore(&Fuzzed, options(self.epoch), SaveOptions::default(), record, self.now));
        let Some(restored) = restored else { return };
        self.session = restored.unwrap_or_else(|error| panic!("a record that was written is not read: {error:?}"));
        self.writing.clear();
        self.pages.iter_mut().for_each(|page| page.connection = None);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1_000 {
            let Some(at) = self.session.deadline().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.each(Input::Timer);
        }
        self.now = end;
    }

    fn each(&mut self, input: Input<'_, Fuzzed>) {
        self.session.handle(&Fuzzed, input, self.now);
        self.session.flush(&Fuzzed, &mut self.scratch, self.now);
        let outputs: Vec<_> = self.session.take_outputs().drain(..).collect();
        let mut gone = BTreeMap::new();
        for output in outputs {
            match output {
                Output::Send(to, frame) => self.receive(to.0, &frame),
                Output::Close(to, close) => drop(gone.insert(to.0, close)),
                Output::Save(record) => self.writing.push_back(*record),
                _ => {}
            }
        }
        for connection in gone.into_keys() {
            for page in &mut self.pages {
                if page.connection == Some(connection) {
                    page.connection = None;
                }
            }
            self.each(Input::Lost(ConnectionId(connection)));
        }
    }

    fn receive(&mut self, connection: u64, frame: &[u8]) {
        let frame: Value = serde_json::from_slice(frame).expect("what is sent is JSON");
        let Some(page) = self.pages.iter_mut().find(|page| page.connection == Some(connection)) else { return };
        if page.is_deaf {
            return;
        }
        match frame[0].as_str() {
            Some("w") => {
                let epoch = frame[1]["epoch"].as_u64().expect("a welcome has an epoch");
                assert!(epoch >= page.epoch, "an epoch goes back");
                if frame[1]["resumed"] == true && epoch > page.epoch {
                    page.n = 0;
                }
                page.epoch = epoch;
                if frame[1]["resumed"] == true {
                    page.heard = page.n;
                }
                // What is above it is sent again, with the same content.
                page.seq = frame[1]["ack"].as_u64().expect("a welcome has an ack");
            }
            Some("s") => {
                page.n = frame[1].as_u64().expect("a frame has a number");
                page.heard = page.n;
                page.document = Some(frame[3].clone());
            }
            Some("d") => {
                assert_eq!(frame[1].as_u64(), Some(page.n + 1), "{frame}");
                page.n += 1;
                page.heard = page.n;
                let document = page.document.as_mut().expect("a delta has something to apply to");
                windlass_sync::apply(document, frame[3].as_array().expect("ops")).expect("the ops of a delta apply");
            }
            _ => {}
        }
    }

    /// CONVERGE: when everybody hears and is heard, every page holds the same, and it is what the session holds.
    fn settles(&mut self) {
        self.each(Input::Store { is_up: true });
        for _ in 0..50 {
            while !self.writing.is_empty() {
                self.save(1);
            }
            for at in 0..self.pages.len() {
                if self.pages[at].connection.is_none() || self.pages[at].is_deaf {
                    self.lose(at);
                    self.hello(at, false);
                }
                if let Some(connection) = self.pages[at].connection {
                    self.each(Input::Ready(ConnectionId(connection)));
                    self.message(at, &json!(["k", self.pages[at].heard]).to_string());
                }
            }
            self.pass(Duration::from_millis(700));
        }
        let held: Vec<_> = self.pages.iter().filter_map(|page| page.document.as_ref()).collect();
        assert_eq!(held.len(), self.pages.len(), "a page holds nothing");
        let view = serde_json::to_value(self.session.state()).expect("the state serialises");
        for document in held {
            assert_eq!(document["marks"], view["marks"]);
            assert_eq!(document["text"], view["text"]);
        }
    }
}

const ACTIONS: [&str; 5] = ["mark", "say", "tell", "reply", "fail"];
