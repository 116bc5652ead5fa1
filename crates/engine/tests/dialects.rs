//! Clients of both dialects on one session: what each gets leads to the same document.
//!
//! Patches of RFC 6902 are applied by a library that knows nothing of Windlass.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_engine::{
    App, Audience, Class, ConnectionId, Fault, Input, Mode, Output, STATE_BYTES_MAX, Scratch, Session, SessionOptions,
    Time, Turn,
};
use windlass_protocol::frame::event_body;
use windlass_protocol::{ClientMessage, CloseCode, Dialect, Epoch, Secret, SessionId};
use windlass_sync::{Shadow, SyncVec, Tracked, apply};

#[derive(Clone, Default, Serialize)]
struct Notes {
    title: String,
    rows: Vec<Tracked<Row>>,
    log: SyncVec<String>,
    tags: BTreeMap<String, u64>,
}

#[derive(Clone, Serialize)]
struct Row {
    id: u64,
    text: String,
}

struct Test;

type Change = Box<dyn FnOnce(&mut Notes) + Send>;

impl App for Test {
    type State = Notes;
    type Action = &'static str;
    type Update = Change;
    type Work = ();
    type Task = ();
    type Post = ();

    fn action(&self, name: &str) -> Option<(&'static str, Mode)> {
        ["say", "reply", "tell"].into_iter().find(|known| *known == name).map(|name| (name, Mode::Atomic))
    }

    fn copy(&self, state: &Notes) -> Notes {
        state.clone()
    }

    fn dispatch(
        &self,
        action: &'static str,
        state: &mut Notes,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        match action {
            "say" => state.title.push_str(&serde_json::from_str::<String>(payload.get()).unwrap()),
            "reply" => return Ok(Some(payload.get().to_owned())),
            _ => turn.event(Audience::Caller, Class::Must, event_body("emit", payload).unwrap()),
        }
        Ok(None)
    }

    fn update(&self, change: Change, state: &mut Notes, _: &mut Turn<Self>) -> Result<(), Fault> {
        change(state);
        Ok(())
    }

    fn diff(&self, state: &Notes, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.diff(state, out)
    }

    fn snapshot(&self, state: &Notes, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.snapshot(state, out)
    }

    fn panicked(&self, text: String) -> Fault {
        Fault::failed("internal", text)
    }
}

/// A session and what came out of it, by connection.
struct Bench {
    session: Session<Test>,
    scratch: Scratch,
    sent: BTreeMap<u64, Vec<Value>>,
    closed: Vec<(u64, CloseCode)>,
    /// Connections whose socket takes nothing more.
    stuck: Vec<u64>,
}

impl Bench {
    fn new() -> Self {
        let options = SessionOptions {
            id: SessionId([1; 12]),
            epoch: Epoch(7),
            hash_key: [3, 4],
            message_bytes_max: 65536,
            state_bytes_max: STATE_BYTES_MAX,
        };
        let session = Session::new(options, Notes::default());
        Self { session, scratch: Scratch::default(), sent: BTreeMap::new(), closed: Vec::new(), stuck: Vec::new() }
    }

    fn turn(&mut self, input: Input<'_, Test>) {
        self.session.handle(&Test, input, Time::default());
        loop {
            self.session.flush(&Test, &mut self.scratch, Time::default());
            let outputs = self.session.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Send(to, frame) => {
                        self.sent.entry(to.0).or_default().push(serde_json::from_slice(&frame).unwrap());
                        if !self.stuck.contains(&to.0) {
                            self.session.handle(&Test, Input::Ready(to), Time::default());
                        }
                    }
                    Output::Close(to, close) => {
                        self.closed.push((to.0, close.code));
                        self.session.handle(&Test, Input::Lost(to), Time::default());
                    }
                    _ => unreachable!("this app asks for nothing"),
                }
            }
        }
    }

    fn say(&mut self, connection: u64, dialect: Dialect, message: &Value) {
        let text = message.to_string();
        match dialect.decode(&text).unwrap() {
            ClientMessage::Hello(hello) => {
                let secret = Secret([9; 16]);
                self.turn(Input::Hello { connection: ConnectionId(connection), hello, secret });
            }
            message => self.turn(Input::Message { connection: ConnectionId(connection), message }),
        }
    }

    fn take(&mut self, connection: u64) -> Vec<Value> {
        self.sent.remove(&connection).unwrap_or_default()
    }

    fn change(&mut self, change: impl FnOnce(&mut Notes) + Send + 'static) {
        let change: Change = Box::new(change);
        self.turn(Input::Update(change));
    }

    fn view(&self) -> Value {
        let mut view = serde_json::to_value(self.session.state()).unwrap();
        view["$jobs"] = json!([]);
        view
    }
}

const COMPACT: Dialect = Dialect::Compact;
const OBJECTS: Dialect = Dialect::JsonPatch { appends: false };

/// A page as simple as can be: a document and its number.
struct Page {
    client: String,
    dialect: Dialect,
    can: Value,
    connection: u64,
    document: Value,
    n: u64,
    snapshots: usize,
}

impl Page {
    fn new(number: u8, dialect: Dialect, can: Value) -> Self {
        let client = format!("{number:024x}");
        Self { client, dialect, can, connection: 0, document: Value::Null, n: 0, snapshots: 0 }
    }

    fn hello(&mut self, bench: &mut Bench, connection: u64) {
        self.connection = connection;
        let mut hello =
            json!({"client": self.client, "instance": "01", "epoch": 7, "n": self.n, "seq": 1, "can": self.can});
        if self.dialect == COMPACT {
            hello = json!(["h", hello]);
        } else {
            hello["type"] = json!("hello");
        }
        bench.say(connection, self.dialect, &hello);
        let welcome = bench.sent.get_mut(&connection).unwrap().remove(0);
        assert!(welcome[0] == "w" || welcome["type"] == "welcome", "{welcome}");
    }

    fn acknowledge(&self, bench: &mut Bench) {
        let ack = if self.dialect == COMPACT { json!(["k", self.n]) } else { json!({"type": "ack", "n": self.n}) };
        bench.say(self.connection, self.dialect, &ack);
    }

    fn read(&mut self, bench: &mut Bench) {
        for frame in bench.take(self.connection) {
            let of = |at: usize, name: &str| frame.get(at).unwrap_or(&frame[name]).clone();
            let (kind, n) = (of(0, "type"), of(1, "n").as_u64().unwrap());
            match kind.as_str().unwrap() {
                "s" | "snapshot" => {
                    self.document = of(3, "document");
                    self.snapshots += 1;
                }
                "d" | "delta" => {
                    assert_eq!(n, self.n + 1);
                    match of(3, "patch") {
                        Value::Array(ops) if self.dialect == COMPACT => apply(&mut self.document, &ops).unwrap(),
                        Value::Array(operations) => self.patch(operations),
                        other => panic!("a list: {other}"),
                    }
                }
                kind => panic!("{kind}"),
            }
            self.n = n;
        }
    }

    fn patch(&mut self, operations: Vec<Value>) {
        for operation in operations {
            if operation["op"] == "append" {
                assert_eq!(self.can, json!(["append"]));
                let text = self.document.pointer_mut(operation["path"].as_str().unwrap()).unwrap();
                *text = format!("{}{}", text.as_str().unwrap(), operation["value"].as_str().unwrap()).into();
                continue;
            }
            let patch: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
            json_patch::patch(&mut self.document, &patch).unwrap();
        }
    }
}

#[test]
fn every_message_is_an_object_that_says_what_it_is() {
    let mut bench = Bench::new();
    let say = |bench: &mut Bench, message: Value| bench.say(1, OBJECTS, &message);
    say(&mut bench, json!({"type": "hello", "client": format!("{:024x}", 1), "instance": "01"}));
    say(&mut bench, json!({"type": "ack", "n": 1}));
    say(&mut bench, json!({"type": "action", "seq": 1, "name": "say", "payload": "hi"}));
    say(&mut bench, json!({"type": "action", "seq": 2, "name": "reply", "payload": [7]}));
    say(&mut bench, json!({"type": "action", "seq": 3, "name": "tell", "payload": {"x": 1}}));
    say(&mut bench, json!({"type": "action", "seq": 4, "name": "nothing"}));
    say(&mut bench, json!({"type": "void", "seq": 5}));
    say(&mut bench, json!({"type": "ping"}));
    say(&mut bench, json!({"type": "dance"}));
    say(&mut bench, json!({"type": "refetch"}));
    bench.turn(Input::Drain(std::time::Duration::from_secs(1)));
    let mut sent = bench.take(1);
    let welcome = sent.remove(0);
    assert_eq!((&welcome["type"], &welcome["ack"], &welcome["resumed"]), (&json!("welcome"), &json!(0), &json!(false)));
    let refused = json!([
        {"seq": 4, "outcome": "refused", "code": "unknown_action", "text": "no action \"nothing\""},
        {"seq": 5, "outcome": "refused", "code": "not_kept", "text": "the page did not keep what this action said"},
    ]);
    let event = json!([{"id": [7, 1], "kind": "emit", "body": {"x": 1}}]);
    let document = |title: &str| json!({"title": title, "rows": [], "log": [], "tags": {}, "$jobs": []});
    let expected = [
        json!({"type": "snapshot", "n": 1, "ack": 0, "document": document("")}),
        json!({"type": "delta", "n": 2, "ack": 1, "patch": [{"op": "add", "path": "/title", "value": "hi"}]}),
        json!({"type": "delta", "n": 3, "ack": 2, "patch": [], "outcomes": [{"seq": 2, "outcome": "applied", "value": [7]}]}),
        json!({"type": "delta", "n": 4, "ack": 3, "patch": [], "events": event}),
        json!({"type": "delta", "n": 5, "ack": 4, "patch": [], "outcomes": [refused[0]]}),
        json!({"type": "delta", "n": 6, "ack": 5, "patch": [], "outcomes": [refused[1]]}),
        json!({"type": "pong"}),
        json!({"type": "unknown", "code": "unknown_message", "what": "dance"}),
        json!({"type": "snapshot", "n": 7, "ack": 5, "document": document("hi"), "outcomes": [{"seq": 2, "outcome": "applied", "value": [7]}, refused[0], refused[1]], "events": event}),
    ];
    assert_eq!(sent, expected);
}

/// [RESUME-1]
#[test]
fn a_client_resumes_in_its_own_dialect_and_starts_over_in_another() {
    let mut bench = Bench::new();
    let mut page = Page::new(1, OBJECTS, json!([]));
    page.hello(&mut bench, 1);
    page.read(&mut bench);
    bench.change(|notes| notes.title.push_str("missed"));
    bench.take(1);
    bench.turn(Input::Lost(ConnectionId(1)));
    page.hello(&mut bench, 2);
    page.read(&mut bench);
    assert_eq!((&page.document, page.snapshots), (&bench.view(), 1), "the frame that was missed came again");

    for (connection, dialect, can) in
        [(3, COMPACT, json!([])), (4, OBJECTS, json!(["append"])), (5, OBJECTS, json!([]))]
    {
        bench.turn(Input::Lost(ConnectionId(connection - 1)));
        (page.dialect, page.can, page.snapshots) = (dialect, can, 0);
        page.hello(&mut bench, connection);
        page.read(&mut bench);
        assert_eq!((&page.document, page.snapshots), (&bench.view(), 1), "{dialect:?}");
    }
}

#[test]
fn text_grows_by_its_tail_where_the_client_can_and_as_a_whole_where_it_cannot() {
    let mut bench = Bench::new();
    let mut can = Page::new(1, OBJECTS, json!(["append"]));
    let mut cannot = Page::new(2, OBJECTS, json!(["something"]));
    can.hello(&mut bench, 1);
    cannot.hello(&mut bench, 2);
    bench.change(|notes| notes.title = "a text that is long enough to be worth it".into());
    can.read(&mut bench);
    cannot.read(&mut bench);
    bench.change(|notes| notes.title.push_str(", token"));
    let patch = |sent: Vec<Value>| sent[0]["patch"].clone();
    assert_eq!(patch(bench.take(1)), json!([{"op": "append", "path": "/title", "value": ", token"}]));
    let whole = "a text that is long enough to be worth it, token";
    assert_eq!(patch(bench.take(2)), json!([{"op": "replace", "path": "/title", "value": whole}]));
}

/// CONVERGE
#[test]
fn clients_of_both_dialects_hold_the_same_document_whatever_they_miss() {
    for seed in 1..=40 {
        converge(seed);
    }
}

fn converge(seed: u64) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut bench = Bench::new();
    let mut pages =
        [Page::new(1, COMPACT, json!([])), Page::new(2, OBJECTS, json!([])), Page::new(3, OBJECTS, json!(["append"]))];
    for (at, page) in pages.iter_mut().enumerate() {
        page.hello(&mut bench, at as u64);
    }
    let mut connections = 3;
    for _ in 0..60 {
        for _ in 0..=below(4) {
            let (what, at, more) = (below(12), below(1_000) as usize, below(5) as usize);
            bench.change(move |notes| edit(notes, what, at, more));
        }
        let page = &mut pages[below(3) as usize];
        match below(8) {
            0 => bench.stuck.push(page.connection),
            1 => {
                bench.stuck.retain(|stuck| *stuck != page.connection);
                bench.turn(Input::Ready(ConnectionId(page.connection)));
            }
            2 => {
                bench.turn(Input::Lost(ConnectionId(page.connection)));
                // What was under way is lost, all or from some frame on.
                let arrived = below(3) as usize;
                if let Some(sent) = bench.sent.get_mut(&page.connection) {
                    sent.truncate(arrived);
                }
                page.read(&mut bench);
                page.hello(&mut bench, connections);
                connections += 1;
            }
            3 => {
                page.read(&mut bench);
                page.acknowledge(&mut bench);
            }
            _ => page.read(&mut bench),
        }
    }
    bench.stuck.clear();
    for page in &mut pages {
        page.read(&mut bench);
        page.acknowledge(&mut bench);
        bench.turn(Input::Ready(ConnectionId(page.connection)));
    }
    for page in &mut pages {
        page.read(&mut bench);
        assert_eq!(page.document, bench.view(), "seed {seed}, {:?}", page.dialect);
    }
    assert_eq!(bench.closed, []);
}

fn edit(notes: &mut Notes, what: u64, at: usize, more: usize) {
    let length = notes.rows.len();
    match what {
        0 => notes.title.push_str(&"more ".repeat(more)),
        1 => notes.title = format!("title {at}"),
        2 | 3 => {
            let text = "a row that has a text of some length, so that a tail pays".into();
            notes.rows.insert(at % (length + 1), Tracked::new(Row { id: at as u64, text }));
        }
        4 if length > 0 => drop(notes.rows.remove(at % length)),
        5 | 6 if length > 0 => notes.rows[at % length].text.push_str("!?"),
        7 if length > 1 => {
            let row = notes.rows.remove(at % length);
            notes.rows.insert(more % length, row);
        }
        8 => notes.rows.sort_by_key(|row| (row.id % 7, row.id)),
        9 => notes.rows.reverse(),
        10 => notes.log.push(format!("line {at}")),
        _ => {
            notes.tags.insert(format!("a/{}~{more}", at % 3), at as u64);
            notes.tags.retain(|_, value| *value % 5 != 0);
        }
    }
}
