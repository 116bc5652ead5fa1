//! A session whose clients, sockets, jobs, store and time do anything, in any order; and records that are anything.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::{
    ConnectionId, Fault, Input, JobReport, JobStatus, Output, Partials, PartialsUpdate, Progress, Record, RestoreError,
    STATE_BYTES_MAX, SaveOptions, Scratch, Session, SessionOptions, Ticket, Time,
};
use windlass_protocol::{ClientMessage, Dialect, Epoch, JobId, Secret, SessionId};

use super::app::{ACTIONS, Change, Fuzzed, State};

/// What a client of the session holds.
#[derive(Default)]
struct Page {
    connection: Option<u64>,
    dialect: Dialect,
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
    /// All jobs that were started last, each with the loading that did; they go on talking after their end.
    jobs: VecDeque<(JobId, Epoch)>,
    /// Asynchronous actions that are under way.
    tickets: VecDeque<Ticket>,
    /// It began with a record of which nobody knows what is in it.
    is_strange: bool,
}

/// Any bytes as what happens to a session: each says what, the next ones how.
pub(super) fn session(bytes: &[u8]) {
    World::new().lives(bytes);
}

/// The record that the session of `session` leaves behind, when it leaves one: what the corpus of `record` is made of.
#[must_use]
pub fn record_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut world = World::new();
    world.happens_all(bytes);
    while !world.writing.is_empty() {
        world.save(1);
    }
    world.stored
}

/// Any bytes as the record of a session: it is restored, or refused with a reason. Bytes whose checksum is not theirs are
/// read once as they are and once with the right one, since nothing else would be tried otherwise.
pub(super) fn record(bytes: &[u8]) {
    restored(bytes);
    let body = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |at| &bytes[at + 1..]);
    restored(&windlass_engine::fuzz::sealed(body));
}

fn restored(record: &[u8]) {
    let _ = windlass_engine::has_jobs_to_run(record);
    match Session::restore(&Fuzzed, options(EPOCH_LAST), SaveOptions::default(), record, Time::default()) {
        Ok(session) => {
            let mut world = World::new();
            (world.session, world.epoch, world.is_strange) = (session, EPOCH_LAST, true);
            world.settles();
        }
        Err(RestoreError::Corrupt(why)) => assert!(!why.is_empty()),
        Err(_) => {}
    }
}

/// The loading of a record that may name any.
const EPOCH_LAST: u64 = (1 << 53) - 1;

fn options(epoch: u64) -> SessionOptions {
    SessionOptions {
        id: SessionId([1; 12]),
        epoch: Epoch(epoch),
        hash_key: [3, 4],
        message_bytes_max: 65536,
        state_bytes_max: STATE_BYTES_MAX,
    }
}

impl World {
    fn new() -> Self {
        let mut session = Session::new(options(7), State::default());
        session.key("rows", "id");
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
            jobs: VecDeque::new(),
            tickets: VecDeque::new(),
            is_strange: false,
        }
    }

    fn lives(mut self, bytes: &[u8]) {
        self.happens_all(bytes);
        self.settles();
    }

    fn happens_all(&mut self, bytes: &[u8]) {
        let mut rest = bytes.iter().copied();
        while let Some(what) = rest.next() {
            let how = rest.next().unwrap_or(0);
            self.happens(what, how, &mut rest);
        }
    }

    fn happens(&mut self, what: u8, how: u8, rest: &mut impl Iterator<Item = u8>) {
        let at = usize::from(how) % self.pages.len();
        match what % 24 {
            0 | 1 => self.hello(at, how),
            2 | 3 => {
                let next = self.pages[at].seq + 1;
                // Also one that was sent before, and one that is too far.
                let seq = next.saturating_sub(u64::from(how >> 6)).max(1) + u64::from(how == 255);
                self.pages[at].seq = self.pages[at].seq.max(seq.min(next));
                self.act(at, seq);
            }
            4 => {
                let text: Vec<u8> = rest.take(usize::from(how)).collect();
                self.stranger(at, &String::from_utf8_lossy(&text));
            }
            5 => {
                for _ in 0..=how % 16 {
                    let seq = self.pages[at].seq + 1;
                    self.pages[at].seq = seq;
                    self.act(at, seq);
                }
            }
            6 => self.says(at, json!(["k", self.pages[at].n])),
            7 => self.lose(at),
            8 => self.pages[at].is_deaf = true,
            9 => self.each(Input::Ready(ConnectionId(u64::from(how)))),
            10 => self.pass(Duration::from_millis(1 << (how % 20))),
            11 => self.each(Input::Update(if how == 7 { Change::Fail } else { Change::Push })),
            12 => self.says(at, json!(["r"])),
            13 => self.save(how),
            14 if how.is_multiple_of(4) => self.crash(),
            15 => self.each(Input::Store { is_up: how & 1 == 0 }),
            16..=18 => self.report(how, rest.next().unwrap_or(0)),
            19 => self.settle_one(how),
            20 => self.park(),
            21 if how.is_multiple_of(4) => self.deploy(),
            22 => self.says(at, json!(["v", self.pages[at].seq + 1])),
            23 => self.cancel(at, how),
            _ => {}
        }
    }

    fn hello(&mut self, at: usize, how: u8) {
        self.connections += 1;
        let connection = self.connections;
        let dialect = match how / 3 % 6 {
            4 => Dialect::JsonPatch { appends: false },
            5 => Dialect::JsonPatch { appends: true },
            _ => Dialect::Compact,
        };
        let page = &mut self.pages[at];
        (page.connection, page.is_deaf, page.heard) = (Some(connection), false, 0);
        page.dialect = dialect;
        if how & 64 != 0 {
            (page.document, page.n, page.epoch) = (None, 0, 0);
        }
        // What waits for its snapshot holds nothing.
        let epoch = if page.document.is_some() { page.epoch } else { 0 };
        let can = if dialect == (Dialect::JsonPatch { appends: true }) { json!(["append"]) } else { json!([]) };
        let text = said(
            dialect,
            json!(["h", {
                "token": null, "client": format!("{:024x}", at + 1), "instance": "01", "epoch": epoch,
                "n": page.n, "event": [0, 0], "seq": page.seq + 1, "page": "/", "can": can,
            }]),
        );
        let Ok(ClientMessage::Hello(hello)) = dialect.decode(&text) else {
            panic!("the target says hello wrongly: {text}")
        };
        let connection = ConnectionId(connection);
        self.each(Input::Hello { connection, hello, secret: Secret([7; 16]) });
    }

    /// What a number is does not change when it is sent again: one of three is a mark.
    fn act(&mut self, at: usize, seq: u64) {
        let action = if seq.is_multiple_of(3) {
            json!(["a", seq, "mark", at as u64 * 1_000_000 + seq])
        } else {
            let page = &self.pages[at];
            let name = ACTIONS[1 + seq as usize % (ACTIONS.len() - 1)];
            let mut action = json!(["a", seq, name, seq.to_string().repeat(1 + seq as usize % 5)]);
            if name == "post" {
                action.as_array_mut().expect("it is one").push(json!([page.epoch, page.n]));
            }
            action
        };
        self.says(at, action);
    }

    fn cancel(&mut self, at: usize, how: u8) {
        let Some((job, _)) = self.jobs.get(usize::from(how) % self.jobs.len().max(1)) else { return };
        let seq = self.pages[at].seq + 1;
        let action = json!(["a", seq, "$cancel", job.to_string()]);
        self.pages[at].seq = seq;
        self.says(at, action);
    }

    /// What a stranger sends, who does not mark.
    fn stranger(&mut self, at: usize, text: &str) {
        match self.pages[at].dialect.decode(text) {
            Ok(ClientMessage::Action(action)) if action.name == "mark" => {}
            _ => self.message(at, text),
        }
    }

    fn says(&mut self, at: usize, message: Value) {
        let text = said(self.pages[at].dialect, message);
        self.message(at, &text);
    }

    fn message(&mut self, at: usize, text: &str) {
        let Some(connection) = self.pages[at].connection else { return };
        match self.pages[at].dialect.decode(text) {
            Ok(message) => self.each(Input::Message { connection: ConnectionId(connection), message }),
            Err(_) => self.lose(at),
        }
    }

    fn lose(&mut self, at: usize) {
        if let Some(connection) = self.pages[at].connection.take() {
            self.each(Input::Lost(ConnectionId(connection)));
        }
    }

    /// ONE-END: a job says anything at any time, also after its end and from an earlier loading.
    fn report(&mut self, which: u8, what: u8) {
        let Some((job, run)) = self.jobs.get(usize::from(which) % self.jobs.len().max(1)).copied() else { return };
        let elapsed = Duration::from_millis(u64::from(what));
        let progress = Progress { fraction: Some(f64::from(what) / 200.0), text: None, children: None };
        let tick = Change::Tick(job);
        let partials = |is_final| -> Partials<Fuzzed> {
            let mut left = 3;
            Box::new(move |_| {
                left -= 1;
                (left >= 0).then_some(PartialsUpdate { update: tick, is_final: is_final && left == 0 })
            })
        };
        let report = match what % 12 {
            0 => JobReport::Waiting { rank: u32::from(what), eta: Some(elapsed) },
            1 => JobReport::Started,
            2 => JobReport::Retrying { attempt: u32::from(what), text: Some("again".into()) },
            3 => JobReport::Log(vec!["a line".into(); usize::from(what)]),
            4 => JobReport::Process("1 2".into()),
            5 => JobReport::Progress(progress, elapsed),
            6 => JobReport::Running(progress, elapsed, tick),
            7 => JobReport::Partials(partials(what & 64 != 0)),
            _ => JobReport::Ended {
                status: [JobStatus::Done, JobStatus::Failed, JobStatus::Cancelled, JobStatus::TimedOut]
                    [usize::from(what) % 4],
                text: (what & 64 != 0).then(|| "why".into()),
                elapsed,
                update: Some(Change::End(job)),
            },
        };
        self.each(Input::Report(job, run, report));
    }

    fn settle_one(&mut self, how: u8) {
        let Some(ticket) = self.tickets.pop_front() else { return };
        let outcome = match how % 3 {
            0 => Ok(None),
            1 => Ok(Some(how.to_string())),
            _ => Err(Fault::failed("own", "later")),
        };
        self.each(Input::Settle(ticket, outcome));
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

    /// Nobody is there: it leaves memory, and comes back.
    fn park(&mut self) {
        if self.session.is_attached() {
            return;
        }
        self.each(Input::Park);
        while !self.writing.is_empty() {
            self.save(1);
        }
        // One that has jobs under way does not.
        if self.session.is_sealed() && self.session.unfinished_jobs().next().is_none() {
            self.crash();
        }
    }

    /// The server goes down in order, and the next one loads what it has saved.
    fn deploy(&mut self) {
        self.each(Input::Store { is_up: true });
        self.each(Input::Drain(Duration::from_millis(500)));
        self.each(Input::Freeze(Duration::from_millis(500)));
        for _ in 0..4 {
            while !self.writing.is_empty() {
                self.save(1);
            }
            self.pass(Duration::from_secs(2));
        }
        assert!(self.session.is_sealed(), "a session whose store answers is sealed when it is frozen");
        if self.stored.is_none() {
            // Nothing of it was worth a record.
            let options = SessionOptions { epoch: Epoch(self.epoch), ..options(self.epoch) };
            self.session = Session::new(options, State::default());
            self.session.key("rows", "id");
            self.session.keep_records(SaveOptions::default());
            self.pages = Default::default();
            return;
        }
        self.crash();
    }

    /// The process ends, and another one loads what was stored.
    fn crash(&mut self) {
        let Some(record) = &self.stored else { return };
        self.epoch += 1;
        let restored = Session::restore(&Fuzzed, options(self.epoch), SaveOptions::default(), record, self.now);
        self.session = restored.unwrap_or_else(|error| panic!("a record that was written is not read: {error:?}"));
        self.session.key("rows", "id");
        self.writing.clear();
        self.tickets.clear();
        self.pages.iter_mut().for_each(|page| page.connection = None);
        self.each(Input::Timer);
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
                Output::Start(start) => {
                    assert_ne!(start.name, "never", "a handler that failed has started a job");
                    self.jobs.push_back((start.id, Epoch(self.epoch)));
                    // Those that are forgotten end when the session settles, as far as they still run.
                    if self.jobs.len() > 64 {
                        self.jobs.pop_front();
                    }
                }
                Output::Defer(deferred) => self.tickets.push_back(deferred.ticket),
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
        let is_compact = page.dialect == Dialect::Compact;
        let kind = if is_compact { &frame[0] } else { &frame["type"] };
        let part = |nth: usize, name: &str| if is_compact { &frame[nth] } else { &frame[name] };
        match kind.as_str() {
            Some("w" | "welcome") => {
                let welcome = if is_compact { &frame[1] } else { &frame };
                let epoch = welcome["epoch"].as_u64().expect("a welcome has an epoch");
                assert!(epoch >= page.epoch, "an epoch goes back");
                if welcome["resumed"] != true {
                    (page.n, page.document) = (0, None);
                } else if epoch > page.epoch {
                    page.n = 0;
                }
                page.epoch = epoch;
                if welcome["resumed"] == true {
                    page.heard = page.n;
                }
                // What is above it is sent again, with the same content.
                page.seq = welcome["ack"].as_u64().expect("a welcome has an ack");
            }
            Some("s" | "snapshot") => {
                page.n = part(1, "n").as_u64().expect("a frame has a number");
                page.heard = page.n;
                page.document = Some(part(3, "document").clone());
            }
            Some("d" | "delta") => {
                assert_eq!(part(1, "n").as_u64(), Some(page.n + 1), "{frame}");
                page.n += 1;
                page.heard = page.n;
                let document = page.document.as_mut().expect("a delta has something to apply to");
                let changes = part(3, "patch").as_array().expect("a delta has changes");
                if is_compact {
                    windlass_sync::apply(document, changes).expect("the ops of a delta apply");
                } else {
                    patch(document, changes);
                }
            }
            _ => {}
        }
        // What a failing handler asked for is told to nobody.
        let events = if is_compact { &frame[4]["e"] } else { &frame["events"] };
        let is_undone = |event: &Value| event.get(3).or_else(|| event.get("body")) == Some(&json!("never"));
        assert!(self.is_strange || !events.as_array().is_some_and(|events| events.iter().any(is_undone)), "{frame}");
    }

    /// CONVERGE: when everybody hears and is heard, every page holds the same, and it is what the session holds. A session
    /// of a strange record may owe so much to others that not everybody gets in.
    fn settles(&mut self) {
        self.each(Input::Store { is_up: true });
        for _ in 0..50 {
            while !self.writing.is_empty() {
                self.save(1);
            }
            while !self.tickets.is_empty() {
                self.settle_one(0);
            }
            self.end_jobs();
            for at in 0..self.pages.len() {
                if self.pages[at].connection.is_none() || self.pages[at].is_deaf {
                    self.lose(at);
                    self.hello(at, at as u8);
                }
                if let Some(connection) = self.pages[at].connection {
                    self.each(Input::Ready(ConnectionId(connection)));
                    self.says(at, json!(["k", self.pages[at].heard]));
                }
            }
            self.pass(Duration::from_millis(700));
        }
        let held: Vec<_> = self.pages.iter().filter_map(|page| page.document.as_ref()).collect();
        assert!(self.is_strange || held.len() == self.pages.len(), "a page holds nothing");
        let view = serde_json::to_value(self.session.state()).expect("the state serialises");
        for document in held {
            for (name, value) in view.as_object().expect("it is one") {
                assert_eq!(document[name], *value, "{name}");
            }
            for job in document["$jobs"].as_array().into_iter().flatten() {
                let status = job["status"].as_str().unwrap_or_default();
                assert!(!["queued", "running"].contains(&status), "a job goes on: {job}");
            }
        }
    }

    fn end_jobs(&mut self) {
        let unfinished: Vec<_> = self.session.unfinished_jobs().collect();
        for job in unfinished {
            let update = Some(Change::End(job));
            let ended = JobReport::Ended { status: JobStatus::Done, text: None, elapsed: Duration::ZERO, update };
            self.each(Input::Report(job, Epoch(self.epoch), ended));
        }
    }
}

/// A message of the first dialect as it goes on the wire in that one.
fn said(dialect: Dialect, message: Value) -> String {
    if dialect == Dialect::Compact {
        return message.to_string();
    }
    let spoken = match message[0].as_str() {
        Some("h") => {
            let mut hello = message[1].clone();
            hello["type"] = json!("hello");
            hello
        }
        Some("a") => {
            let mut action = json!({"type": "action", "seq": message[1], "name": message[2], "payload": message[3]});
            if let Some(seen) = message.get(4) {
                action["seen"] = seen.clone();
            }
            action
        }
        Some("v") => json!({"type": "void", "seq": message[1]}),
        Some("k") => json!({"type": "ack", "n": message[1]}),
        _ => json!({"type": "refetch"}),
    };
    spoken.to_string()
}

/// Applies a patch by a library that knows nothing of us, but for `append`, which is ours.
fn patch(document: &mut Value, changes: &[Value]) {
    for change in changes {
        if change["op"] == "append" {
            let text = change["path"].as_str().and_then(|path| document.pointer_mut(path));
            let (Some(Value::String(text)), Some(tail)) = (text, change["value"].as_str()) else {
                panic!("nothing to append to: {change}")
            };
            text.push_str(tail);
        } else {
            let change = serde_json::from_value(change.clone()).expect("an operation of RFC 6902");
            json_patch::patch(document, &[change]).expect("the patch of a delta applies");
        }
    }
}
