//! A client after protocol.md, as small as it can be: one page of a tab, and what the tab's storage keeps of it.
//!
//! Knows no network: what comes in is text, what goes out is pushed to a list. It judges what it sees as it goes,
//! and where a real client would heal itself by closing, it reports, since no fault of these worlds can cause that.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::Time;
use windlass_protocol::Dialect;

use crate::app::Kind;
use crate::dialect;
use crate::judge::{Heard, Held, Judge, Outcome, Ticket, broken};

/// What survives a reload, and what a duplicated tab has a copy of.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) client: String,
    pub(crate) session: Option<String>,
    pub(crate) token: Option<String>,
    epoch: u64,
    event: (u64, u64),
    seq: u64,
    pub(crate) outbox: VecDeque<Entry>,
    /// The last document with its epoch and number.
    document: Option<(u64, u64, Value)>,
    pub(crate) heard: Heard,
    /// What the tab speaks.
    pub(crate) dialect: Dialect,
    /// How many times its session has let it go: its numbers begin again each time.
    life: u32,
    /// Actions whose outcome is to come.
    pending: BTreeSet<u64>,
    /// Up to where its actions are on disk; none where nothing ever is.
    saved: Option<u64>,
}

impl Storage {
    /// The client, in this life of its.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.client, self.life)
    }

    pub(crate) fn new(client: String) -> Self {
        Self {
            dialect: Dialect::Compact,
            client,
            session: None,
            token: None,
            epoch: 0,
            event: (0, 0),
            seq: 0,
            outbox: VecDeque::new(),
            document: None,
            heard: Heard::default(),
            life: 0,
            pending: BTreeSet::new(),
            saved: None,
        }
    }
}

/// An action without an outcome.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    seq: u64,
    ticket: u32,
    text: String,
    /// Of a secret action the content is gone after a reload.
    secret: bool,
    sent: bool,
    /// How it has ended, as far as is known: until it is saved, a crash may have it end again.
    answered: Option<Outcome>,
    /// It had ended before a crash, so that nobody waits for it.
    again: bool,
    /// Two tabs hold it, so that what becomes of it in one says nothing about the other.
    shared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Without a connection until then.
    Waiting(Time),
    Greeting,
    Live,
    /// Another page has taken over, or the tab was closed.
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) storage: Storage,
    pub(crate) instance: String,
    pub(crate) phase: Phase,
    /// The number of its connection.
    pub(crate) link: Option<u64>,
    pub(crate) document: Value,
    epoch: u64,
    n: u64,
    stream_epoch: u64,
    /// No delta can be applied before the next snapshot.
    pub(crate) stale: bool,
    /// Extras of deltas that were not applied.
    held: Vec<Value>,
    /// The server consumes nothing more on this connection.
    blocked: bool,
    pub(crate) ack: u64,
    sent: u64,
    unacked: usize,
    acked_at: Time,
    /// It has stopped to acknowledge.
    pub(crate) mute: bool,
    /// It will refuse the next delta, as if an op did not apply.
    pub(crate) refuse_next: bool,
    /// It is a copy of another tab, and was not welcomed yet.
    pub(crate) copied: bool,
    pub(crate) welcomed: bool,
    ended: BTreeSet<String>,
    /// The next snapshot must say that something was undone.
    undone: bool,
}

/// What a page does with its connection after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Stays,
    /// It closes, and comes back after that long.
    Closes(Duration),
}

impl Page {
    /// The page that a tab loads over its storage.
    pub(crate) fn load(storage: Storage, instance: String) -> Self {
        let (epoch, n, document) = storage.document.clone().unwrap_or((0, 0, Value::Null));
        Self {
            stale: storage.document.is_none(),
            storage,
            instance,
            phase: Phase::Waiting(Time::default()),
            link: None,
            document,
            epoch,
            n,
            stream_epoch: 0,
            held: Vec::new(),
            blocked: false,
            ack: 0,
            sent: 0,
            unacked: 0,
            acked_at: Time::default(),
            mute: false,
            refuse_next: false,
            copied: false,
            welcomed: false,
            ended: BTreeSet::new(),
            undone: false,
        }
    }

    /// What the next page of this tab finds; `keep` says whether the document is among it.
    pub(crate) fn leave(&mut self, keep: bool) -> Storage {
        let mut storage = self.storage.clone();
        storage.document = (keep && !self.stale).then(|| (self.epoch, self.n, self.document.clone()));
        for entry in storage.outbox.iter_mut().filter(|entry| entry.secret) {
            entry.text = json!(["v", entry.seq]).to_string();
        }
        storage
    }

    /// What a duplicate of this tab starts with.
    pub(crate) fn copy(&mut self, keep: bool) -> Storage {
        self.storage.outbox.iter_mut().for_each(|entry| entry.shared = true);
        self.leave(keep)
    }

    pub(crate) fn hello(&self) -> String {
        let storage = &self.storage;
        let (epoch, n) = if self.stale { (0, 0) } else { (self.epoch, self.n) };
        let open = storage.outbox.iter().find(|entry| entry.answered.is_none());
        let seq = open.map_or(storage.seq + 1, |entry| entry.seq);
        let sent =
            storage.outbox.iter().rev().find(|entry| entry.sent).map_or((0, 0), |entry| (storage.epoch, entry.seq));
        json!(["h", {
            "token": storage.token, "client": storage.client, "instance": self.instance, "epoch": epoch, "n": n,
            "event": [storage.event.0, storage.event.1], "seq": seq, "sent": sent, "page": "/", "can": [],
        }])
        .to_string()
    }

    pub(crate) fn act(&mut self, kind: Kind, secret: bool, choice: u64, judge: &mut Judge, out: &mut Vec<String>) {
        let ticket = u32::try_from(judge.tickets.len()).expect("few actions");
        self.storage.seq += 1;
        let seq = self.storage.seq;
        let payload = match kind {
            Kind::Malformed => json!([ticket]),
            Kind::Cancel => json!(format!("{}.{}", self.storage.epoch, 1 + choice % 6)),
            Kind::Set => json!({ "path": ["text"], "value": { "ticket": ticket, "choice": choice } }),
            Kind::Stray => json!({ "path": ["log", { "id": 1 }], "value": ticket }),
            Kind::Seen => json!({ "ticket": ticket, "choice": choice, "shown": self.document["left"] }),
            _ => json!({ "ticket": ticket, "choice": choice }),
        };
        let mut message = json!(["a", seq, kind.name(), payload]);
        if kind == Kind::Seen && !self.stale {
            message.as_array_mut().expect("a list").push(json!([self.epoch, self.n]));
        }
        let text = message.to_string();
        judge.tickets.push(Ticket { client: self.storage.name(), seq, kind, secret, outcome: None });
        self.storage.outbox.push_back(Entry {
            seq,
            ticket,
            text,
            secret,
            sent: false,
            answered: None,
            again: false,
            shared: false,
        });
        self.pump(out);
    }

    /// [ACTION-2] [ACTION-5]
    fn pump(&mut self, out: &mut Vec<String>) {
        if self.phase != Phase::Live || self.blocked {
            return;
        }
        let waits = |entry: &Entry| entry.answered.is_none() && !entry.again;
        let mut in_flight =
            self.storage.outbox.iter().filter(|entry| waits(entry) && (self.ack..self.sent).contains(&(entry.seq - 1)));
        let mut in_flight = in_flight.by_ref().count();
        for entry in &mut self.storage.outbox {
            if entry.seq <= self.sent {
                continue;
            }
            if in_flight >= IN_FLIGHT_MAX {
                break;
            }
            in_flight += usize::from(waits(entry));
            // [ACTION-6] What another page of this client had asked for, and a crash has undone.
            out.extend((self.sent + 1..entry.seq).map(|seq| json!(["v", seq]).to_string()));
            entry.sent = true;
            self.sent = entry.seq;
            out.push(entry.text.clone());
        }
    }

    pub(crate) fn receive(&mut self, text: &[u8], now: Time, judge: &mut Judge, out: &mut Vec<String>) -> Held<After> {
        let heard = serde_json::from_slice(text).map(|message| dialect::heard(self.storage.dialect, message));
        let Ok(Value::Array(mut message)) = heard else {
            return broken("PROTOCOL", format!("no message: {}", String::from_utf8_lossy(text)));
        };
        let number = |at: usize| message.get(at).and_then(Value::as_u64).unwrap_or(u64::MAX);
        match message[0].as_str().unwrap_or_default() {
            "w" => {
                if self.phase != Phase::Greeting {
                    return broken("PROTOCOL", "a second welcome");
                }
                self.welcome(&message[1], now, judge, out)?;
            }
            "s" => {
                let (n, ack) = (number(1), number(2));
                let restored = message.get(4).is_some_and(|extras| extras["restored"] == true);
                if std::mem::take(&mut self.undone) && !restored {
                    return broken("RESUME", "what was shown is undone, and nobody says so");
                }
                self.document = message[3].take();
                (self.epoch, self.n, self.stale) = (self.stream_epoch, n, false);
                self.applied(ack, message.get_mut(4).map(Value::take), judge)?;
                self.pump(out);
                self.unacked += text.len();
                self.acknowledge(now, out);
            }
            "d" => {
                let (n, ack) = (number(1), number(2));
                let extras = message.get_mut(4).map(Value::take);
                if self.stale {
                    self.held.extend(extras);
                    return Ok(After::Stays);
                }
                if n != self.n + 1 {
                    return broken("NUMBERED", format!("frame {n} came after frame {}", self.n));
                }
                if std::mem::take(&mut self.refuse_next) {
                    self.stale = true;
                    self.storage.heard.refetched = true;
                    self.held.extend(extras);
                    out.push(json!(["r"]).to_string());
                    return Ok(After::Stays);
                }
                let ops = message[3].as_array().map(Vec::as_slice).unwrap_or_default();
                if let Err(error) = dialect::apply(self.storage.dialect, &mut self.document, ops) {
                    return broken("CONVERGE", format!("frame {n}: {error}"));
                }
                self.n = n;
                self.applied(ack, extras, judge)?;
                self.pump(out);
                self.unacked += text.len();
                if self.unacked >= ACK_BYTES {
                    self.acknowledge(now, out);
                }
            }
            "o" => {
                self.blocked = true;
                return Ok(After::Closes(Duration::from_millis(number(4))));
            }
            "q" => self.acknowledge(now, out),
            "p" => {}
            tag => return broken("PROTOCOL", format!("an unexpected message {tag:?}")),
        }
        Ok(After::Stays)
    }

    fn welcome(&mut self, welcome: &Value, now: Time, judge: &mut Judge, out: &mut Vec<String>) -> Held {
        let session = welcome["session"].as_str().expect("a session").to_owned();
        let epoch = welcome["epoch"].as_u64().expect("an epoch");
        let resumed = welcome["resumed"] == true;
        let storage = &mut self.storage;
        let saved = welcome["saved"].as_u64();
        if storage.session.as_ref().is_some_and(|known| *known != session) {
            if !self.copied && storage.outbox.iter().any(|entry| entry.answered.is_some() && !entry.shared) {
                return broken("EXACTLY-ONCE", format!("what was shown of {:?} is gone", storage.session));
            }
            storage.saved = None;
            // [FRESH-1]
            storage.seq = 0;
            storage.event = (0, 0);
            storage.heard = Heard::default();
            self.held.clear();
            self.ended.clear();
            self.abandon(judge)?;
        } else if epoch < storage.epoch {
            return broken("RESUME", format!("epoch {epoch} after {}", storage.epoch));
        } else if welcome["forgotten"] == true {
            // [FRESH-2]
            storage.seq = 0;
            storage.life += 1;
            storage.saved = None;
            storage.heard = Heard::default();
            self.held.clear();
            self.abandon(judge)?;
        }
        self.settle_elsewhere(welcome);
        let storage = &mut self.storage;
        if storage.session.as_ref() == Some(&session) && saved < storage.saved {
            return broken("EXACTLY-ONCE", format!("saved up to {saved:?}, which was {:?}", storage.saved));
        }
        // What it has heard of may be undone.
        storage.heard.refetched |= storage.session.as_ref() == Some(&session) && epoch != storage.epoch;
        storage.session = Some(session);
        storage.epoch = epoch;
        storage.saved = saved;
        if let Some(token) = welcome["token"].as_str() {
            storage.token = Some(token.to_owned());
        }
        self.ack = welcome["ack"].as_u64().expect("an ack");
        self.sent = self.ack;
        self.settle_saved(judge)?;
        let storage = &mut self.storage;
        // Another page may have spoken for this client meanwhile; its numbers are used.
        storage.seq = storage.seq.max(self.ack);
        self.stream_epoch = epoch;
        if resumed && self.stale {
            return broken("RESUME", "resumed a page that holds nothing");
        }
        if resumed && epoch != self.epoch {
            // [RESUME-3]
            (self.epoch, self.n) = (epoch, 0);
        }
        // What it has not sent it cannot have asked for: another page has.
        for entry in self.storage.outbox.iter_mut().filter(|entry| entry.seq <= self.ack && !entry.sent) {
            entry.answered.get_or_insert(Outcome::Unknown);
        }
        // [SAVED-2]
        self.undone = false;
        let had_document = !self.stale;
        for entry in self.storage.outbox.iter_mut().filter(|entry| entry.seq > self.ack) {
            if entry.answered.take().is_some() {
                entry.again = true;
                self.undone = had_document && !entry.shared && !self.copied;
            }
        }
        if resumed && std::mem::take(&mut self.undone) {
            return broken("RESUME", "resumed a page that was shown what is undone");
        }
        self.stale = !resumed;
        if self.stale {
            // Nothing of this stream is applied, and that is what it says when it is asked.
            self.n = 0;
        }
        // What the other tab has heard since the copy was made is not for this one.
        self.storage.heard.torn |= self.copied;
        self.phase = Phase::Live;
        (self.copied, self.welcomed, self.blocked) = (false, true, false);
        (self.unacked, self.acked_at) = (0, now);
        self.pump(out);
        Ok(())
    }

    /// [PENDING-3] What is not listed has told its outcome to another page of this client.
    fn settle_elsewhere(&mut self, welcome: &Value) {
        let listed: Vec<u64> = welcome["pending"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let ack = welcome["ack"].as_u64().expect("an ack");
        let Storage { outbox, pending, .. } = &mut self.storage;
        // What is above it is pending no more: it is sent again.
        pending.retain(|seq| *seq <= ack);
        // It stays until it is saved: after a crash a number that is missing would be a gap.
        for entry in outbox.iter_mut().filter(|entry| pending.contains(&entry.seq) && !listed.contains(&entry.seq)) {
            entry.answered = Some(Outcome::Unknown);
        }
        pending.retain(|seq| listed.contains(seq));
    }

    fn applied(&mut self, ack: u64, extras: Option<Value>, judge: &mut Judge) -> Held {
        self.whole()?;
        let mut outcomes = Vec::new();
        for mut extras in self.held.drain(..).chain(extras) {
            let list = |value: Value| if let Value::Array(list) = value { list } else { Vec::new() };
            outcomes.extend(list(extras["r"].take()));
            if let Some(saved) = extras["saved"].as_u64() {
                let Some(before) = self.storage.saved else {
                    return broken("PROTOCOL", format!("saved {saved}, where nothing ever is"));
                };
                self.storage.saved = Some(saved.max(before));
            }
            for event in list(extras["e"].take()) {
                let id = (event[0].as_u64().expect("an epoch"), event[1].as_u64().expect("a number"));
                // [EVENT-2]
                if id <= self.storage.event {
                    continue;
                }
                self.storage.event = id;
                let number = |value: &Value| value.as_u64().expect("a number");
                match event[2].as_str() {
                    Some("events_lost") => self.storage.heard.lost += number(&event[3]["count"]),
                    _ => self.storage.heard.numbers.push(number(&event[3]["value"]) as usize),
                }
            }
        }
        if ack > self.sent {
            return broken("NO-SILENCE", format!("ack {ack} is beyond {}, the last that was sent", self.sent));
        }
        // A replayed frame has the ack of its day; the welcome's was newer.
        self.ack = self.ack.max(ack);
        let Storage { outbox, pending, .. } = &mut self.storage;
        for entry in outbox.iter_mut().filter(|entry| entry.seq <= ack && entry.answered.is_none()) {
            let said = outcomes.iter().rev().find(|outcome| outcome[0].as_u64() == Some(entry.seq));
            // [PENDING-2]
            if said.map_or(pending.contains(&entry.seq), |said| said[1] == "pending") {
                pending.insert(entry.seq);
                continue;
            }
            pending.remove(&entry.seq);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let outcome = match said {
                None => Outcome::Applied(Value::Null),
                Some(said) => match said[1].as_str() {
                    Some("applied") => Outcome::Applied(said[2].clone()),
                    Some("failed") => Outcome::Failed(text(&said[2])),
                    _ => Outcome::Refused(text(&said[2])),
                },
            };
            entry.answered = Some(outcome);
        }
        self.settle_saved(judge)
    }

    /// What is answered and saved leaves the outbox.
    fn settle_saved(&mut self, judge: &mut Judge) -> Held {
        let saved = self.storage.saved.unwrap_or(u64::MAX);
        let is_over = |entry: &Entry| entry.answered.is_some() && entry.seq <= saved;
        let (over, waits): (VecDeque<Entry>, VecDeque<Entry>) =
            std::mem::take(&mut self.storage.outbox).into_iter().partition(is_over);
        self.storage.outbox = waits;
        for entry in over.into_iter().filter(|entry| !entry.shared) {
            judge.settle(entry.ticket, entry.answered.expect("it is over"))?;
        }
        Ok(())
    }

    /// ATOMIC and ONE-END: no document that a page shows is half of something, and no job comes back from its end.
    fn whole(&mut self) -> Held {
        if self.document["left"] != self.document["right"] {
            return broken("ATOMIC", format!("half a turn: {}", self.document));
        }
        for job in self.document["$jobs"].as_array().into_iter().flatten() {
            let (id, status) = (job["id"].as_str().unwrap_or_default(), job["status"].as_str().unwrap_or_default());
            let running = matches!(status, "queued" | "running");
            if running && self.ended.contains(id) {
                return broken("ONE-END", format!("job {id} is {status} after its end"));
            }
            if !running {
                self.ended.insert(id.to_owned());
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, now: Time, out: &mut Vec<String>) {
        if !self.mute && self.phase == Phase::Live {
            out.push(json!(["k", self.n]).to_string());
            (self.unacked, self.acked_at) = (0, now);
        }
    }

    /// [ACK-1] What time asks for.
    pub(crate) fn tick(&mut self, now: Time, out: &mut Vec<String>) {
        if self.unacked > 0 && now.since(self.acked_at) >= ACK_AFTER {
            self.acknowledge(now, out);
        }
    }

    pub(crate) fn disconnected(&mut self, until: Time) {
        self.link = None;
        self.blocked = false;
        if self.phase != Phase::Stopped {
            self.phase = Phase::Waiting(until);
        }
    }

    /// What nobody will answer any more.
    pub(crate) fn abandon(&mut self, judge: &mut Judge) -> Held {
        self.storage.pending.clear();
        for entry in std::mem::take(&mut self.storage.outbox) {
            if !entry.shared {
                judge.settle(entry.ticket, if entry.sent { Outcome::Unknown } else { Outcome::Gone })?;
            }
        }
        Ok(())
    }

    /// [TAKEOVER-1]
    pub(crate) fn become_another(&mut self, client: String, judge: &mut Judge) -> Held {
        self.abandon(judge)?;
        self.storage = Storage::new(client);
        (self.stale, self.copied, self.welcomed) = (true, false, false);
        self.held.clear();
        self.ended.clear();
        Ok(())
    }
}

const IN_FLIGHT_MAX: usize = 32;
const ACK_BYTES: usize = 16 * 1024;
const ACK_AFTER: Duration = Duration::from_secs(1);
