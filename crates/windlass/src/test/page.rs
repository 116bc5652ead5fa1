//! A page of a test: what a client holds and does after protocol.md, without a socket.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use windlass_protocol::{ClientMessage, Close, Dialect};

use super::journal::Journal;
use crate::cell::Cell;
use crate::guest::Guest;
use crate::hub::Hub;
use crate::outlet::Outlet;
use crate::program::State;

/// What became of an action. Given by [`Test::send`](super::Test::send).
///
/// ```
/// # use windlass::{prelude::*, test::Answer};
/// # #[derive(Clone, Default, Serialize)] struct Shop { left: u32 }
/// let app = App::new(Shop::default).action("order", |shop: &mut Shop, _cx, n: u32| -> Result<Reply<u32>> {
///     shop.left = shop.left.checked_sub(n).ok_or_else(|| Error::refuse("sold_out", "not so many"))?;
///     Ok(Reply(shop.left))
/// });
/// let mut t = app.test();
/// t.update(|shop, _| shop.left = 5);
/// let answer = t.send("order", 2);
/// assert!(answer.is_applied());
/// assert_eq!((answer.value::<u32>(), answer.code()), (3, None));
/// match t.send("order", 9) {
///     Answer::Failed { code, .. } => assert_eq!(code, "sold_out"),
///     Answer::Refused { code, .. } => panic!("it never ran: {code}"),
///     Answer::Applied(value) => panic!("{value}"),
///     Answer::Waiting => panic!("the page is cut off"),
///     _ => unreachable!(),
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// It was applied, with this reply; null when the handler gave none.
    Applied(Value),
    /// The handler returned this error or panicked, and nothing has changed.
    Failed {
        /// What the page's code looks at.
        code: String,
        /// What a person reads.
        text: String,
    },
    /// It never ran.
    Refused {
        /// What the page's code looks at.
        code: String,
        /// What a person reads.
        text: String,
    },
    /// There is none yet: the page is cut off, or what answers it still runs.
    Waiting,
}

impl Answer {
    /// Whether it was applied.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }

    /// The code of a failure or refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failed { code, .. } | Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The reply as a value of the test's own type.
    ///
    /// # Panics
    ///
    /// When the action was not applied, or the reply is no such value.
    #[must_use]
    pub fn value<T: DeserializeOwned>(&self) -> T {
        let Self::Applied(value) = self else { panic!("the action was not applied: {self:?}") };
        match T::deserialize(value) {
            Ok(value) => value,
            Err(error) => panic!("the reply {value} is no {}: {error}", std::any::type_name::<T>()),
        }
    }

    fn of(outcome: &Value) -> Self {
        let text = |at: usize| outcome[at].as_str().unwrap_or_default().to_owned();
        match outcome[1].as_str() {
            Some("applied") => Self::Applied(outcome[2].clone()),
            Some("failed") => Self::Failed { code: text(2), text: text(3) },
            _ => Self::Refused { code: text(2), text: text(3) },
        }
    }
}

/// Something that a page was told once. Given by [`Test::events`](super::Test::events).
///
/// ```
/// # use windlass::prelude::*;
/// # #[derive(Clone, Default, Serialize)] struct Shop { left: u32 }
/// let mut t = App::new(Shop::default).test();
/// t.update(|_, cx| cx.notify(Level::Info, "open"));
/// let told = t.events();
/// assert_eq!((&*told[0].kind, told[0].text()), ("notify", Some("open")));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// `notify`, `navigate`, `emit` …; protocol.md section 9 lists them.
    pub kind: String,
    /// What belongs to it.
    pub body: Value,
}

impl Event {
    /// The text of a notification.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.body["text"].as_str()
    }
}

/// A page, with what its tab would keep over a reload.
pub(super) struct Page<S: State> {
    pub(super) name: String,
    client: String,
    instance: u64,
    token: Option<String>,
    session: Option<String>,
    /// What the welcome says of some actions.
    declared: Value,
    epoch: u64,
    n: u64,
    event: (u64, u64),
    seq: u64,
    /// Actions without an outcome, by seq, and whether they were sent.
    outbox: BTreeMap<u64, (String, bool)>,
    /// Actions that were answered and are not on the server's disk, by seq.
    unsaved: BTreeMap<u64, String>,
    /// The highest seq on disk; none when the server keeps no durable store.
    saved: Option<u64>,
    /// A crash has undone what these were answered with: they are sent again, and nobody waits.
    again: BTreeSet<u64>,
    /// Actions that were consumed and are answered later, [PENDING-2].
    pending: BTreeSet<u64>,
    answers: HashMap<u64, Answer>,
    pub(super) document: Value,
    pub(super) events: Vec<Event>,
    /// The session that it was welcomed to last.
    pub(super) cell: Option<Arc<Cell<S>>>,
    outlet: Option<Arc<Outlet>>,
    pub(super) closed: Option<Close>,
    unacknowledged: usize,
    acknowledged_at: Duration,
}

impl<S: State> Page<S> {
    pub(super) fn new(number: usize) -> Self {
        Self {
            name: format!("page {number}"),
            client: format!("{number:024x}"),
            instance: 1,
            token: None,
            session: None,
            declared: Value::Null,
            epoch: 0,
            n: 0,
            event: (0, 0),
            seq: 0,
            outbox: BTreeMap::new(),
            unsaved: BTreeMap::new(),
            saved: None,
            again: BTreeSet::new(),
            pending: BTreeSet::new(),
            answers: HashMap::new(),
            document: Value::Null,
            events: Vec::new(),
            cell: None,
            outlet: None,
            closed: None,
            unacknowledged: 0,
            acknowledged_at: Duration::ZERO,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.outlet.is_some()
    }

    /// The connection of this page, when it has one.
    pub(super) fn link(&self) -> Option<(&Arc<Cell<S>>, &Arc<Outlet>)> {
        self.cell.as_ref().zip(self.outlet.as_ref())
    }

    /// Says hello, on a connection of its own.
    pub(super) fn connect(&mut self, hub: &Arc<Hub<S>>, guest: &Guest, at: Duration, journal: &mut Journal) {
        self.cut();
        self.closed = None;
        let hello = json!(["h", {
            "token": self.token, "client": self.client, "instance": format!("{:x}", self.instance),
            "epoch": self.epoch, "n": self.n, "event": [self.event.0, self.event.1],
            "seq": self.outbox.keys().next().copied().unwrap_or(self.seq + 1), "page": "/", "can": [],
            "sent": [self.epoch, self.last_sent()],
        }]);
        journal.note(at, &self.name, "> connects");
        let text = hello.to_string();
        let Ok(ClientMessage::Hello(hello)) = Dialect::Compact.decode(&text) else {
            unreachable!("a hello is made here")
        };
        let outlet = Arc::new(Outlet::new(hub.connection_id(), Dialect::Compact));
        match hub.welcome(&outlet, *hello, guest) {
            Ok(cell) => (self.cell, self.outlet) = (Some(cell), Some(outlet)),
            Err(close) => self.close(close, at, journal),
        }
    }

    /// The highest seq that may have been applied and is not known to be on disk.
    fn last_sent(&self) -> u64 {
        let sent = self.outbox.iter().rev().find(|(_, (_, sent))| *sent).map(|(seq, _)| *seq);
        sent.into_iter().chain(self.unsaved.keys().next_back().copied()).max().unwrap_or_default()
    }

    /// Loses its connection, if it has one.
    pub(super) fn cut(&mut self) {
        if let (Some(cell), Some(outlet)) = (&self.cell, self.outlet.take()) {
            cell.lost(outlet.id);
        }
    }

    /// Loses its connection to a server that is no more.
    pub(super) fn lose_server(&mut self) {
        self.outlet = None;
    }

    /// What the next page of the same tab begins with.
    pub(super) fn reload(&mut self) {
        self.cut();
        self.instance += 1;
        (self.epoch, self.n, self.document) = (0, 0, Value::Null);
    }

    fn close(&mut self, close: Close, at: Duration, journal: &mut Journal) {
        journal.note(at, &self.name, format_args!("< closed: {}", close.reason()));
        self.cut();
        self.closed = Some(close);
    }

    /// Puts an action into the outbox, and sends it when there is a connection.
    pub(super) fn act(&mut self, name: &str, payload: &Value, at: Duration, journal: &mut Journal) -> u64 {
        self.seq += 1;
        let seq = self.seq;
        let mut message = json!(["a", seq, name, payload]);
        if self.declared[name]["only_if_seen"] == true
            && let Some(items) = message.as_array_mut()
        {
            items.push(json!([self.epoch, self.n]));
        }
        self.outbox.insert(seq, (message.to_string(), false));
        journal.note(at, &self.name, format_args!("> {name} {payload}"));
        self.send_outbox();
        seq
    }

    fn send_outbox(&mut self) {
        // Only between a welcome and the close.
        let Some((cell, outlet)) = self.cell.as_ref().zip(self.outlet.as_ref()).filter(|_| self.session.is_some())
        else {
            return;
        };
        let unsent = self.outbox.values_mut().filter(|(_, sent)| !sent);
        let mut texts: Vec<_> = unsent
            .map(|(text, sent)| {
                *sent = true;
                text.as_str().into()
            })
            .collect();
        if !texts.is_empty() {
            cell.texts(outlet, &mut texts);
        }
    }

    fn say(&self, message: &Value) {
        if let Some((cell, outlet)) = self.link() {
            cell.texts(outlet, &mut vec![message.to_string().into()]);
        }
    }

    /// Takes what has come. Whether there was something.
    pub(super) fn pump(&mut self, at: Duration, journal: &mut Journal) -> bool {
        let mut moved = false;
        while let Some((cell, outlet)) = self.link().map(|(cell, outlet)| (Arc::clone(cell), Arc::clone(outlet))) {
            let Some(frame) = outlet.pop() else {
                if let Some(close) = outlet.closing() {
                    self.close(close, at, journal);
                    return true;
                }
                break;
            };
            moved = true;
            let text = String::from_utf8(frame.payload.to_vec()).expect("a frame is text");
            journal.note(at, &self.name, format_args!("< {text}"));
            self.receive(&text, at);
            if outlet.is_empty() {
                outlet.set_flushed();
                if cell.has_news() {
                    cell.run_if_free(Some(outlet.id));
                }
            }
        }
        if self.is_connected() && self.unacknowledged > 0 && at >= self.acknowledged_at + ACKNOWLEDGED_WITHIN {
            self.acknowledge(at);
            moved = true;
        }
        moved
    }

    fn receive(&mut self, text: &str, at: Duration) {
        let message: Value = serde_json::from_str(text).expect("a frame is JSON");
        match message[0].as_str() {
            Some("w") => self.welcomed(&message[1]),
            Some(kind @ ("s" | "d")) => {
                let n = message[1].as_u64().expect("a frame has a number");
                if kind == "s" {
                    self.document = message[3].clone();
                } else {
                    assert_eq!(n, self.n + 1, "frame {n} does not follow frame {}: a fault of Windlass", self.n);
                    let ops = message[3].as_array().expect("a delta has ops");
                    if let Err(error) = windlass_sync::apply(&mut self.document, ops) {
                        panic!("a delta does not apply, {error}: a fault of Windlass; {message}");
                    }
                }
                self.n = n;
                self.settle(&message);
                self.unacknowledged += text.len();
                if kind == "s" || self.unacknowledged >= ACKNOWLEDGED_AT {
                    self.acknowledge(at);
                }
            }
            Some("q") => self.acknowledge(at),
            // Not taken now: it goes again after the next welcome.
            Some("o") => self.outbox.values_mut().for_each(|(_, sent)| *sent = false),
            _ => {}
        }
    }

    fn acknowledge(&mut self, at: Duration) {
        (self.unacknowledged, self.acknowledged_at) = (0, at);
        self.say(&json!(["k", self.n]));
    }

    fn welcomed(&mut self, welcome: &Value) {
        let session = welcome["session"].as_str().map(str::to_owned);
        let epoch = welcome["epoch"].as_u64().expect("a welcome has an epoch");
        if self.session.is_some() && (self.session != session || welcome["forgotten"] == true) {
            // [FRESH-1]
            let unanswered = std::mem::take(&mut self.outbox).into_iter().map(|(seq, (_, sent))| (seq, sent));
            let pending = std::mem::take(&mut self.pending).into_iter().map(|seq| (seq, true));
            for (seq, sent) in unanswered.chain(pending) {
                let code = if sent { "outcome_unknown" } else { "session_gone" };
                let text = "the session that it was for is gone".to_owned();
                self.answers.insert(seq, Answer::Refused { code: code.to_owned(), text });
            }
            self.unsaved.clear();
            self.again.clear();
            (self.seq, self.event) = (0, (0, 0));
        }
        if epoch != self.epoch {
            self.n = 0;
        }
        self.session = session;
        self.declared = welcome["actions"].clone();
        self.epoch = epoch;
        if let Some(token) = welcome["token"].as_str() {
            self.token = Some(token.to_owned());
        }
        let ack = welcome["ack"].as_u64().expect("a welcome has an ack");
        self.seq = self.seq.max(ack);
        self.note_saved(welcome["saved"].as_u64());
        // [ACTION-2] What a crash has undone goes again, in order.
        for (seq, text) in self.unsaved.split_off(&(ack + 1)) {
            self.again.insert(seq);
            self.outbox.insert(seq, (text, false));
        }
        for (seq, (_, sent)) in &mut self.outbox {
            *sent = *seq <= ack;
        }
        self.send_outbox();
    }

    fn settle(&mut self, frame: &Value) {
        let extras = &frame[4];
        for outcome in extras["r"].as_array().into_iter().flatten() {
            let seq = outcome[0].as_u64().expect("an outcome has a number");
            if outcome[1] == "pending" {
                self.pending.insert(seq);
                self.answered(seq, None);
            } else {
                let was_pending = self.pending.remove(&seq);
                self.answered(seq, Some(Answer::of(outcome)));
                if was_pending {
                    self.answers.entry(seq).or_insert_with(|| Answer::of(outcome));
                }
            }
        }
        // [OUTCOME-1]
        let ack = frame[2].as_u64().expect("a frame has an ack");
        while let Some(seq) = self.outbox.keys().next().copied().filter(|seq| *seq <= ack) {
            self.answered(seq, Some(Answer::Applied(Value::Null)));
        }
        if let Some(saved) = extras["saved"].as_u64() {
            self.note_saved(Some(saved));
        }
        for event in extras["e"].as_array().into_iter().flatten() {
            let id = (event[0].as_u64().unwrap_or_default(), event[1].as_u64().unwrap_or_default());
            if id > self.event {
                self.event = id;
                let kind = event[2].as_str().unwrap_or_default().to_owned();
                self.events.push(Event { kind, body: event[3].clone() });
            }
        }
    }

    /// An action of the outbox was consumed; with a durable store it is kept until it is on disk.
    fn answered(&mut self, seq: u64, answer: Option<Answer>) {
        let Some((text, _)) = self.outbox.remove(&seq) else { return };
        if self.saved.is_some_and(|saved| seq > saved) {
            self.unsaved.insert(seq, text);
        }
        let is_told = self.again.remove(&seq);
        if let Some(answer) = answer.filter(|_| !is_told) {
            self.answers.insert(seq, answer);
        }
    }

    fn note_saved(&mut self, saved: Option<u64>) {
        self.saved = saved;
        self.unsaved.retain(|seq, _| saved.is_some_and(|saved| *seq > saved));
    }

    /// The answer to an action, once.
    pub(super) fn take_answer(&mut self, seq: u64) -> Option<Answer> {
        self.answers.remove(&seq)
    }
}

/// As the page's client does.
const ACKNOWLEDGED_AT: usize = 16 * 1024;
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(1);
