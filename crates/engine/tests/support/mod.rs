//! An app for the engine's tests, and a session of it with what came out, by connection.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses some of it")]

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_engine::{
    App, Audience, Class, ConnectionId, Fault, Hook, Input, Mode, Named, Output, Record, RestoreError, Revived,
    STATE_BYTES_MAX, SaveOptions, Scratch, Session, SessionOptions, StartOptions, Time, Turn, Unended,
};
use windlass_protocol::frame::event_body;
use windlass_protocol::{ClientMessage, CloseCode, Epoch, Place, Secret, SessionId, Set};
use windlass_sync::{Private, Shadow};

#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Counter {
    pub(crate) count: i64,
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hidden: Option<Private<String>>,
    #[serde(skip_serializing_if = "Poison::is_off", skip_deserializing)]
    pub(crate) poison: Poison,
}

/// A field whose serialisation fails or panics when it is on.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Poison {
    #[default]
    Off,
    Fails,
    Panics,
}

impl Poison {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl Serialize for Poison {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Panics => panic!("poison"),
            _ => Err(serde::ser::Error::custom("poison")),
        }
    }
}

/// The app; whether it listens to hooks.
pub(crate) struct Test(pub(crate) bool);

pub(crate) type Change = Box<dyn FnOnce(&mut Counter, &mut Turn<Test>) -> Result<(), Fault> + Send>;

impl App for Test {
    type State = Counter;
    type Action = &'static str;
    type Update = Change;
    type Work = ();
    type Post = String;
    type Task = i64;

    fn action(&self, name: &str) -> Option<(&'static str, Mode)> {
        [
            "add", "say", "reply", "fail", "panic", "notify", "must", "start", "post", "fails", "panics", "big",
            "later", "seen", "hold", "release", "replayed", "kept", "train", "key", "hide", "grow",
        ]
        .into_iter()
        .find(|known| *known == name)
        .map(|name| {
            let mode = match name {
                "later" => Mode::Async,
                "grow" => Mode::InPlace,
                _ => Mode::Atomic,
            };
            (name, mode)
        })
    }

    fn only_if_seen(&self, action: &'static str) -> bool {
        action == "seen"
    }

    fn set(&self, set: &Set<'_>, state: &mut Counter, _: &mut Turn<Self>) -> Result<(), Fault> {
        if !set.is(&[Place::Member("text")]) {
            return Err(Fault::refused("unknown_field", set.to_string()));
        }
        state.text =
            serde_json::from_str(set.value.get()).map_err(|error| Fault::refused("bad_payload", error.to_string()))?;
        Ok(())
    }

    fn listens(&self, hook: &Hook<'_>) -> bool {
        self.0 && !matches!(hook, Hook::Disconnected)
    }

    fn hear(&self, hook: &Hook<'_>, state: &mut Counter, turn: &mut Turn<Self>) -> Result<(), Fault> {
        let told = match hook {
            Hook::Connected => format!("connected {}; ", turn.caller().unwrap()),
            Hook::Failed { what, fault } => format!("{what}: {} by {}; ", fault.code, turn.caller().is_some()),
            Hook::Expired => "expired; ".to_owned(),
            Hook::Disconnected | Hook::Parked | Hook::Restored => "never".to_owned(),
        };
        state.text.push_str(&told);
        if state.text.len() > 1_000 { Err(Fault::failed("own", "too much")) } else { Ok(()) }
    }

    fn copy(&self, state: &Counter) -> Counter {
        state.clone()
    }

    fn dispatch(
        &self,
        action: &'static str,
        state: &mut Counter,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        let number = || {
            serde_json::from_str::<i64>(payload.get()).map_err(|error| Fault::refused("bad_payload", error.to_string()))
        };
        match action {
            "add" => state.count += number()?,
            "say" => state.text.push_str(payload.get()),
            "reply" => return Ok(Some(number()?.to_string())),
            "fail" => {
                state.count += 100;
                turn.event(Audience::Session, Class::Must, event_body("emit", &1).unwrap());
                turn.start("never".into(), false, |_| ());
                return Err(Fault::failed("own", "no"));
            }
            "panic" => {
                state.count += 100;
                panic!("gone wrong");
            }
            "notify" => turn.event(Audience::Session, Class::Volatile, event_body("notify", &number()?).unwrap()),
            "must" => turn.event(Audience::Caller, Class::Must, event_body("emit", &number()?).unwrap()),
            "start" => {
                turn.start("job".into(), false, |_| ());
            }
            "post" => turn.post("elsewhere".into()),
            "fails" => state.poison = Poison::Fails,
            "panics" => state.poison = Poison::Panics,
            "grow" => state.text.push_str(&"x".repeat(usize::try_from(number()?).unwrap())),
            "big" => state.text = "x".repeat(usize::try_from(number()?).unwrap()),
            "later" => turn.answer_later(number()?),
            "seen" | "kept" => state.count += number()?,
            // A named job: its payload is what it is started from again, and whether it runs again says its evenness.
            "train" => {
                let rerun_on_restart = number()? % 2 == 0;
                let named = Named { arguments: payload.get().into(), key: turn.key().into(), rerun_on_restart };
                let options = StartOptions { named: Some(named.into()), ..StartOptions::default() };
                turn.start_with("train".into(), options, |_| ());
            }
            // What no page is told.
            "hide" => state.hidden = Some(Private::new("x".repeat(usize::try_from(number()?).unwrap()))),
            "key" => return Ok(Some(format!("\"{}\"", turn.key()))),
            "hold" => {
                state.count += number()?;
                turn.hold();
            }
            "release" => turn.release(),
            "replayed" => return Ok(Some(turn.replayed().to_string())),
            _ => unreachable!("only registered names come"),
        }
        Ok(None)
    }

    fn update(&self, update: Change, state: &mut Counter, turn: &mut Turn<Self>) -> Result<(), Fault> {
        update(state, turn)
    }

    fn diff(&self, state: &Counter, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.diff(state, out)
    }

    fn snapshot(&self, state: &Counter, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.snapshot(state, out)
    }

    fn measure(&self, state: &Counter) -> Option<usize> {
        serde_json::to_vec(state).ok().map(|written| written.len())
    }

    fn panicked(&self, text: String) -> Fault {
        Fault::failed("internal", text)
    }

    fn waits_for_save(&self, action: &'static str) -> bool {
        action == "kept"
    }

    fn state_kind(&self) -> Cow<'_, str> {
        "counter".into()
    }

    fn save_state(&self, state: &Counter, out: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(out, state).map_err(|error| error.to_string())
    }

    fn load_state(&self, kind: &str, state: &RawValue) -> Result<Counter, String> {
        assert_eq!(kind, "counter");
        serde_json::from_str(state.get()).map_err(|error| error.to_string())
    }

    fn revive(&self, job: &Unended<'_>) -> Revived<Self> {
        match job.named {
            Some(_) if job.may_run => Revived::Again(()),
            _ => {
                let told: Change = Box::new(|state, _| {
                    state.text.push_str("lost; ");
                    Ok(())
                });
                Revived::Lost(Some(told))
            }
        }
    }
}

/// A session and what came out of it, by connection.
pub(crate) struct Bench {
    pub(crate) app: Test,
    pub(crate) session: Session<Test>,
    pub(crate) scratch: Scratch,
    pub(crate) now: Time,
    pub(crate) sent: BTreeMap<u64, Vec<Value>>,
    pub(crate) closed: BTreeMap<u64, CloseCode>,
    pub(crate) others: Vec<Output<Test>>,
    /// Whether sockets take frames at once.
    pub(crate) fast: bool,
    /// What the next hello brings for a token.
    pub(crate) secret: Secret,
    /// Records that were asked for and are not answered, oldest first.
    pub(crate) writing: VecDeque<Record<Test>>,
    /// The last record that was stored.
    pub(crate) stored: Vec<u8>,
    epoch: u64,
    /// What the next loading is made with.
    pub(crate) options: SessionOptions,
}

pub(crate) const CLIENT: &str = "0f1e2d3c4b5a69788796a5b4";
pub(crate) const EPOCH: u64 = 7;

impl Bench {
    pub(crate) fn new() -> Self {
        Self::bounded(STATE_BYTES_MAX)
    }

    /// One whose state may have so many bytes.
    pub(crate) fn bounded(state_bytes_max: usize) -> Self {
        let options = SessionOptions {
            id: SessionId([1; 12]),
            epoch: Epoch(EPOCH),
            hash_key: [3, 4],
            message_bytes_max: 65536,
            state_bytes_max,
        };
        Self {
            app: Test(false),
            session: Session::new(options, Counter::default()),
            scratch: Scratch::default(),
            now: Time::default(),
            sent: BTreeMap::new(),
            closed: BTreeMap::new(),
            others: Vec::new(),
            fast: true,
            secret: Secret([9; 16]),
            writing: VecDeque::new(),
            stored: Vec::new(),
            epoch: EPOCH,
            options,
        }
    }

    /// One whose session keeps records.
    pub(crate) fn durable(options: SaveOptions) -> Self {
        let mut bench = Self::new();
        bench.session.keep_records(options);
        bench
    }

    /// Stores the oldest record that was asked for.
    pub(crate) fn save(&mut self) {
        let record = self.writing.pop_front().expect("a record was asked for");
        let turn = record.turn;
        self.stored = record.encode(&self.app).unwrap().to_vec();
        self.turn(vec![Input::Saved { turn, bytes: self.stored.len(), took: Duration::from_millis(1) }]);
    }

    /// The store has failed with the oldest one.
    pub(crate) fn fail_to_save(&mut self) {
        let turn = self.writing.pop_front().expect("a record was asked for").turn;
        self.turn(vec![Input::SaveFailed(turn)]);
    }

    /// The process ends, and another one loads what was stored, in a new epoch.
    pub(crate) fn crash(&mut self) -> Result<(), RestoreError> {
        self.epoch += 1;
        let options = SessionOptions { epoch: Epoch(self.epoch), hash_key: [9, 9], ..self.options };
        self.session = Session::restore(&self.app, options, SaveOptions::default(), &self.stored, self.now)?;
        self.writing.clear();
        self.sent.clear();
        self.closed.clear();
        self.others.clear();
        Ok(())
    }

    /// Time passes, and what is due is done.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.turn(vec![Input::Timer]);
        }
        self.now = end;
    }

    pub(crate) fn turn(&mut self, inputs: Vec<Input<'_, Test>>) {
        for input in inputs {
            self.session.handle(&self.app, input, self.now);
        }
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        self.session.flush(&self.app, &mut self.scratch, self.now);
        let outputs: Vec<_> = self.session.outputs().collect();
        for output in outputs {
            match output {
                Output::Send(to, frame) => {
                    self.sent.entry(to.0).or_default().push(serde_json::from_slice(&frame).unwrap());
                    if self.fast {
                        self.session.handle(&self.app, Input::Ready(to), self.now);
                    }
                }
                Output::Close(to, close) => {
                    self.closed.insert(to.0, close.code);
                    self.session.handle(&self.app, Input::Lost(to), self.now);
                }
                Output::Save(record) => self.writing.push_back(*record),
                other => self.others.push(other),
            }
        }
    }

    pub(crate) fn hello_with(&mut self, connection: u64, instance: &str, rest: Value) {
        let mut hello = json!({ "client": CLIENT, "instance": instance, "token": null, "seq": 1 });
        hello.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let text = json!(["h", hello]).to_string();
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(&text) else { panic!("a hello: {text}") };
        let connection = ConnectionId(connection);
        self.turn(vec![Input::Hello { connection, hello, secret: self.secret }]);
    }

    pub(crate) fn hello(&mut self, connection: u64) {
        self.hello_with(connection, "a", json!({}));
    }

    pub(crate) fn say(&mut self, connection: u64, message: &Value) {
        let text = message.to_string();
        let message = ClientMessage::decode(&text).unwrap();
        self.turn(vec![Input::Message { connection: ConnectionId(connection), message }]);
    }

    pub(crate) fn take(&mut self, connection: u64) -> Vec<Value> {
        self.sent.remove(&connection).unwrap_or_default()
    }

    pub(crate) fn last(&mut self, connection: u64) -> Value {
        self.take(connection).pop().unwrap_or(Value::Null)
    }

    pub(crate) fn lose(&mut self, connection: u64) {
        self.turn(vec![Input::Lost(ConnectionId(connection))]);
    }

    pub(crate) fn update(
        &mut self,
        change: impl FnOnce(&mut Counter, &mut Turn<Test>) -> Result<(), Fault> + Send + 'static,
    ) {
        let change: Change = Box::new(change);
        self.turn(vec![Input::Update(change)]);
    }
}

/// A bench with a client on connection 1 that holds frame 1.
pub(crate) fn connected() -> Bench {
    let mut bench = Bench::new();
    bench.hello(1);
    assert_eq!(bench.take(1).len(), 2);
    bench.say(1, &json!(["k", 1]));
    bench
}
