//! The life of a client without sockets and clocks: what comes in, what goes out, and when.
//!
//! Call a method of [`Core`] for everything that happens, with the time since some origin, then take
//! [`Core::outputs`]; call [`Core::timer`] at [`Core::deadline`]. Names in brackets are the rules of
//! protocol.md.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::client::ActionOptions;
use crate::event::{self, Change, Event, Status};
use crate::identity::Identity;
use crate::outbox::{Entry, Outbox, Waiter};
use crate::random::Random;
use crate::wire::{self, Body, Ended, Extras, Frame, Hello, NoMessage, Outcome, ServerMessage, Traits, Welcome};
use crate::{ActionError, random};

/// What the client asks of whoever drives it, in order.
#[derive(Debug)]
pub(crate) enum Output {
    /// Open a socket, instead of what there is.
    Open {
        route: Option<String>,
    },
    /// Send a text on the socket.
    Send(String),
    /// Give the socket up; the close frame says this.
    Close {
        number: u16,
        reason: String,
    },
    /// The call with this ticket has ended.
    Answer(u64, Result<Value, ActionError>),
    Event(Event),
    Change(Change),
    Status(Status),
    /// The identity has changed, and must be stored before what follows is done.
    Save,
}

/// What a client is made of.
#[derive(Debug)]
pub(crate) struct CoreOptions {
    pub(crate) page: String,
    pub(crate) outbox_max: usize,
    pub(crate) seed: u64,
}

pub(crate) struct Core {
    page: String,
    instance: String,
    client: String,
    tokens: Vec<String>,
    session: Option<String>,
    /// The highest epoch seen of the session.
    session_epoch: u64,
    last_event: wire::EventId,
    outbox: Outbox,
    tickets: u64,
    random: Random,

    pub(crate) document: Option<Value>,
    /// The epoch and the number of the frame that the document is of.
    epoch: u64,
    n: u64,
    /// The epoch of the frames that come, to which a snapshot brings the document.
    stream_epoch: u64,
    /// No delta can be applied before the next snapshot.
    stale: bool,
    /// What came beside ops that could not be applied: its outcomes and events hold all the same.
    held: Vec<Extras>,

    phase: Phase,
    status: Status,
    /// The server has said that it consumes nothing more on this connection.
    blocked: bool,
    ack: u64,
    /// The last action that went out on this connection.
    sent: u64,
    saved: Option<u64>,
    in_flight_max: u64,
    message_bytes_max: usize,
    traits: HashMap<String, Traits>,

    unacknowledged: usize,
    acknowledged_at: Duration,
    ack_due: Option<Duration>,
    /// Attempts that have failed in a row.
    attempt: u32,
    route: Option<String>,
    live_since: Option<Duration>,
    heard_at: Duration,
    pinged_at: Option<Duration>,
    /// The next attempt, or the end of patience with this one.
    due: Option<Duration>,
    /// When a connection on which nothing more is consumed is given up.
    blocked_until: Option<(Duration, String)>,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Greeting,
    Live,
    Waiting,
    Stopped,
}

impl Core {
    pub(crate) fn new(options: CoreOptions, identity: Identity, now: Duration) -> Self {
        let mut outbox = Outbox::new(options.outbox_max);
        outbox.restore(identity.seq, identity.outbox);
        let mut core = Self {
            page: options.page,
            instance: random::hex(8),
            client: identity.client,
            tokens: identity.tokens,
            session: identity.session,
            session_epoch: identity.epoch,
            last_event: identity.event,
            outbox,
            tickets: 0,
            random: Random(options.seed),
            document: None,
            epoch: 0,
            n: 0,
            stream_epoch: 0,
            stale: true,
            held: Vec::new(),
            phase: Phase::Waiting,
            status: Status::Connecting,
            blocked: false,
            ack: 0,
            sent: 0,
            saved: None,
            in_flight_max: IN_FLIGHT_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            traits: HashMap::new(),
            unacknowledged: 0,
            acknowledged_at: now,
            ack_due: None,
            attempt: 0,
            route: None,
            live_since: None,
            heard_at: now,
            pinged_at: None,
            due: None,
            blocked_until: None,
            outputs: VecDeque::new(),
        };
        core.open(now);
        core
    }

    pub(crate) fn outputs(&mut self) -> VecDeque<Output> {
        std::mem::take(&mut self.outputs)
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    pub(crate) fn pending(&self) -> usize {
        self.outbox.pending()
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            client: self.client.clone(),
            tokens: self.tokens.clone(),
            session: self.session.clone(),
            epoch: self.session_epoch,
            event: self.last_event,
            seq: self.outbox.seq,
            outbox: self.outbox.kept(),
        }
    }

    // What the app asks for.

    /// Asks the server for something; the ticket comes back in [`Output::Answer`]. What is secret is not kept in the
    /// identity.
    pub(crate) fn act(
        &mut self,
        name: &str,
        payload: &str,
        mut options: ActionOptions,
        now: Duration,
    ) -> Result<u64, ActionError> {
        if let Status::Stopped { code } = &self.status {
            return Err(ActionError::Stopped { code: code.clone() });
        }
        self.tickets += 1;
        let traits = self.traits.get(name).copied().unwrap_or_default();
        let seen = (traits.only_if_seen && !self.stale).then_some((self.epoch, self.n));
        options.secret |= traits.secret;
        if !self.outbox.add(name, payload, seen, options, self.tickets) {
            return Err(ActionError::OutboxFull);
        }
        if !self.pump(now) {
            self.outputs.push_back(Output::Save);
        }
        Ok(self.tickets)
    }

    /// Nobody waits for that ticket any more; the action goes on.
    pub(crate) fn forget(&mut self, ticket: u64) {
        self.outbox.forget(ticket);
    }

    /// Connects now: instead of waiting, or after a stop.
    pub(crate) fn retry(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Waiting | Phase::Stopped) {
            self.open(now);
        }
    }

    /// Leaves, until [`Core::retry`]. What has no outcome stays in the identity.
    pub(crate) fn stop(&mut self) {
        self.drop_socket(1000, String::new());
        self.become_stopped("closed");
        self.outputs.push_back(Output::Save);
    }

    // What happens to the socket.

    pub(crate) fn opened(&mut self, now: Duration) {
        self.phase = Phase::Greeting;
        self.due = Some(now + PATIENCE);
        let hello = Hello {
            token: self.tokens.first().map(String::as_str),
            client: &self.client,
            instance: &self.instance,
            epoch: if self.stale { 0 } else { self.epoch },
            n: if self.stale { 0 } else { self.n },
            event: self.last_event,
            seq: self.outbox.first_pending(),
            sent: self.outbox.last_sent().map(|seq| (self.session_epoch, seq)),
            page: &self.page,
        };
        let text = hello.text();
        self.outputs.push_back(Output::Send(text));
    }

    pub(crate) fn text(&mut self, text: &str, now: Duration) {
        if !matches!(self.phase, Phase::Greeting | Phase::Live) {
            return;
        }
        self.heard_at = now;
        self.pinged_at = None;
        let message = match wire::decode(text) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(NoMessage) => return self.fail("bad_message", now),
        };
        match (message, self.phase) {
            (ServerMessage::Welcome(welcome), Phase::Greeting) => self.welcome(welcome, now),
            (_, Phase::Greeting) => {}
            (ServerMessage::Frame(frame), _) => self.frame(frame, text.len(), now),
            (ServerMessage::Later { code, retry_after_ms }, _) => {
                // All of it goes out again after the next welcome.
                self.blocked = true;
                let wait = self.wait(retry_after_ms);
                self.blocked_until = Some((now + wait, code));
            }
            (ServerMessage::Ask, _) => self.acknowledge(now),
            (ServerMessage::Unknown(what), _) => tracing::warn!(what, "the server does not know a message"),
            (ServerMessage::Pong | ServerMessage::Welcome(_), _) => {}
        }
    }

    /// The socket is gone, or was never there.
    pub(crate) fn closed(&mut self, ended: Ended, now: Duration) {
        if matches!(self.phase, Phase::Waiting | Phase::Stopped) {
            return;
        }
        self.disconnect();
        self.route = ended.route.clone().or(self.route.take());
        // Not at the welcome: a server that welcomes and closes at once would be asked again without a pause.
        if self.live_since.take().is_some_and(|since| now.saturating_sub(since) >= STABLE) {
            self.attempt = 0;
        }
        let wait = self.wait(ended.retry_after_ms);
        self.attempt += 1;
        let code = ended.code.as_str();
        if code == "login" || code == "taken_over" {
            self.become_stopped(code);
        } else {
            self.phase = Phase::Waiting;
            self.due = Some(now + wait);
            self.set_status(Status::Waiting { code: code.to_owned(), retry_after: wait });
        }
        match code {
            "bad_message" | "too_large" => {
                if let Some(seq) = ended.seq
                    && self.outbox.get(seq).is_some_and(|entry| entry.answered.is_none())
                {
                    self.refuse(seq, code);
                }
                self.outputs.push_back(Output::Save);
            }
            "in_use" => {
                // [TAKEOVER-1]
                self.become_another();
                // At once, but not if a new id is called in use as well.
                if self.attempt == 1 {
                    self.open(now);
                }
            }
            "taken_over" => {
                // [TAKEOVER-2] Whoever has taken over sends what there is to send.
                for entry in self.outbox.clear(self.outbox.seq) {
                    self.abandon(&entry, ActionError::Stopped { code: code.to_owned() });
                }
            }
            _ => {}
        }
    }

    /// When [`Core::timer`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let live = self.phase == Phase::Live;
        let blocked = self.blocked_until.as_ref().map(|(at, _)| *at);
        [self.due, self.ack_due, blocked, live.then(|| self.silence_due())].into_iter().flatten().min()
    }

    /// The time has come for something.
    pub(crate) fn timer(&mut self, now: Duration) {
        if let Some(due) = self.due
            && due <= now
        {
            self.due = None;
            match self.phase {
                Phase::Waiting => self.open(now),
                Phase::Opening | Phase::Greeting => self.fail("lost", now),
                Phase::Live | Phase::Stopped => {}
            }
            return;
        }
        if let Some((_, code)) = self.blocked_until.take_if(|(at, _)| *at <= now) {
            self.outputs.push_back(Output::Close { number: 1000, reason: String::new() });
            return self.closed(Ended { retry_after_ms: Some(0), ..Ended::of(&code) }, now);
        }
        if self.ack_due.is_some_and(|due| due <= now) {
            self.acknowledge(now);
        }
        let due = self.silence_due();
        if self.phase != Phase::Live || due > now {
            return;
        }
        // A timer that comes late was held up by sleep; the answer may be waiting behind it.
        let late = now - due > LATE;
        if self.pinged_at.is_some() && !late {
            self.fail("lost", now);
        } else {
            self.pinged_at = Some(now);
            self.outputs.push_back(Output::Send(r#"["p"]"#.to_owned()));
        }
    }

    /// When the silence has lasted too long to be left alone.
    fn silence_due(&self) -> Duration {
        if let Some(pinged_at) = self.pinged_at {
            return pinged_at + ANSWER;
        }
        let silence = self.heard_at + SILENCE;
        match self.outbox.get(self.ack + 1) {
            Some(entry) if self.sent > self.ack => silence.min(entry.sent_at.max(self.heard_at) + ANSWER),
            _ => silence,
        }
    }

    // The connection.

    fn open(&mut self, now: Duration) {
        self.disconnect();
        self.phase = Phase::Opening;
        self.due = Some(now + PATIENCE);
        self.set_status(Status::Connecting);
        self.outputs.push_back(Output::Open { route: self.route.clone() });
    }

    /// Gives the socket up and comes back.
    fn fail(&mut self, code: &str, now: Duration) {
        let number = if code == "bad_message" { 4400 } else { 1000 };
        self.drop_socket(number, format!(r#"{{"code":"{code}"}}"#));
        self.closed(Ended::of(code), now);
    }

    fn drop_socket(&mut self, number: u16, reason: String) {
        if matches!(self.phase, Phase::Opening | Phase::Greeting | Phase::Live) {
            self.outputs.push_back(Output::Close { number, reason });
        }
    }

    fn disconnect(&mut self) {
        self.blocked = false;
        self.blocked_until = None;
        self.ack_due = None;
        self.pinged_at = None;
        self.due = None;
    }

    fn become_stopped(&mut self, code: &str) {
        self.disconnect();
        self.phase = Phase::Stopped;
        self.set_status(Status::Stopped { code: code.to_owned() });
    }

    fn set_status(&mut self, status: Status) {
        if self.status != status {
            self.status = status.clone();
            self.outputs.push_back(Output::Status(status));
        }
    }

    /// What the server says, else 0.5 s doubling to 10 s with full jitter.
    fn wait(&mut self, said_ms: Option<u64>) -> Duration {
        match said_ms {
            Some(ms) => Duration::from_millis(ms).min(SAID_MAX),
            None => {
                let ceiling = BACKOFF_MAX.min(BACKOFF_MIN * 2_u32.saturating_pow(self.attempt.min(16)));
                ceiling.mul_f64(self.random.fraction())
            }
        }
    }

    // The session.

    fn welcome(&mut self, welcome: Welcome, now: Duration) {
        let Welcome { session, epoch, ack, saved, resumed, token, pending, forgotten, actions, .. } = welcome;
        let (in_flight_max, message_bytes_max) = (welcome.actions_in_flight, welcome.message_bytes_max);
        let known = self.session.as_ref() == Some(&session);
        if known && epoch < self.session_epoch {
            // [RESUME-2] A node that has not heard of its successor.
            return self.fail("lost", now);
        }
        let fresh = self.session.is_some() && !known;
        if fresh {
            self.last_event = (0, 0);
        }
        self.session = Some(session);
        self.session_epoch = epoch;
        if let Some(token) = token.filter(|token| self.tokens.first() != Some(token)) {
            self.tokens.insert(0, token);
            self.tokens.truncate(TOKENS_MAX);
        }
        if fresh {
            self.begin_afresh("session_gone");
        } else if forgotten {
            // [FRESH-2]
            self.begin_afresh("forgotten");
        }
        // [PENDING-3] Another process with this identity has heard how they ended.
        for entry in self.outbox.lose_pending(ack, &pending) {
            self.abandon(&entry, ActionError::OutcomeUnknown);
        }
        self.traits = actions;
        self.stream_epoch = epoch;
        if !resumed {
            self.stale = true;
        } else if self.stale {
            self.outputs.push_back(Output::Send(r#"["r"]"#.to_owned()));
        } else if epoch > self.epoch {
            // [RESUME-3] The session was loaded anew, from a record that is not behind this document.
            self.epoch = epoch;
            self.n = 0;
        }
        self.ack = ack;
        self.sent = ack;
        self.saved = saved;
        self.in_flight_max = in_flight_max.unwrap_or(IN_FLIGHT_MAX);
        self.message_bytes_max =
            message_bytes_max.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MESSAGE_BYTES_MAX);
        if self.outbox.is_empty() {
            // With nothing under way the server's word counts.
            self.outbox.seq = ack;
        } else if ack > self.outbox.seq {
            // Another process has used these numbers for actions of its own: what became of ours cannot be known.
            for entry in self.outbox.clear(ack) {
                self.abandon(&entry, ActionError::OutcomeUnknown);
            }
        }
        self.release();
        self.phase = Phase::Live;
        self.due = None;
        self.live_since = Some(now);
        // Hello has told what was applied, so it counts as an ack.
        self.unacknowledged = 0;
        self.acknowledged_at = now;
        self.set_status(Status::Live);
        self.outputs.push_back(Output::Save);
        self.pump(now);
    }

    /// [FRESH-1] Nothing that was meant for one session is sent to another.
    fn begin_afresh(&mut self, reason: &str) {
        let gone = self.outbox.clear(0);
        self.stale = true;
        self.held.clear();
        for entry in &gone {
            self.abandon(entry, ActionError::SessionGone);
        }
        self.outputs.push_back(Output::Save);
        self.outputs.push_back(Output::Event(Event::Fresh { reason: reason.to_owned(), rejected: gone.len() }));
    }

    fn become_another(&mut self) {
        self.client = random::hex(12);
        self.tokens.clear();
        self.session = None;
        self.session_epoch = 0;
        self.last_event = (0, 0);
        self.begin_afresh("in_use");
    }

    fn abandon(&mut self, entry: &Entry, unsent: ActionError) {
        let error = if entry.sent { ActionError::OutcomeUnknown } else { unsent };
        self.answer(entry.seq, entry.waiter, Err(error));
    }

    /// Lets go of what is answered and on disk.
    fn release(&mut self) {
        for (seq, waiter, value) in self.outbox.release(self.saved) {
            self.answer(seq, waiter, Ok(value));
        }
    }

    fn answer(&mut self, seq: u64, waiter: Waiter, outcome: Result<Value, ActionError>) {
        match (waiter, outcome) {
            (Waiter::Ticket(ticket), outcome) => self.outputs.push_back(Output::Answer(ticket, outcome)),
            (Waiter::Gone, Err(error)) => self.outputs.push_back(Output::Event(Event::Rejected { seq, error })),
            (Waiter::Gone | Waiter::Nobody, _) => {}
        }
    }

    fn frame(&mut self, frame: Frame, bytes: usize, now: Duration) {
        let Frame { n, ack, body, extras } = frame;
        match body {
            Body::Document(document) => {
                self.stale = false;
                self.epoch = self.stream_epoch;
                self.n = n;
                self.document = Some(document);
                self.outputs.push_back(Output::Change(Change::Document));
                self.applied(ack, extras, bytes, true, now);
            }
            Body::Ops(_) if self.stale => self.held.push(extras),
            // [NUMBER-1]
            Body::Ops(_) if n != self.n + 1 => self.fail("lost", now),
            Body::Ops(ops) => {
                let document = self.document.get_or_insert(Value::Null);
                if let Err(error) = windlass_sync::apply(document, &ops) {
                    // [ATOMIC-1]
                    tracing::warn!(%error, "a delta does not apply; asking for a snapshot");
                    self.stale = true;
                    self.held.push(extras);
                    self.outputs.push_back(Output::Send(r#"["r"]"#.to_owned()));
                    return;
                }
                self.n = n;
                if !ops.is_empty() {
                    self.outputs.push_back(Output::Change(Change::Ops(Arc::from(ops))));
                }
                self.applied(ack, extras, bytes, false, now);
            }
        }
    }

    /// All that a frame brings beside the document.
    fn applied(&mut self, ack: u64, extras: Extras, bytes: usize, acknowledge_now: bool, now: Duration) {
        let restored = extras.restored;
        let mut events = Vec::new();
        let mut all = std::mem::take(&mut self.held);
        all.push(extras);
        for Extras { outcomes, events: came, saved, .. } in all {
            self.outbox.note(outcomes);
            // [EVENT-2]
            for (id, kind, body) in came {
                if id > self.last_event {
                    self.last_event = id;
                    events.push((kind, body));
                }
            }
            self.saved = saved.or(self.saved);
        }
        self.ack = self.ack.max(ack);
        let settled = self.outbox.settle(ack, self.saved.is_some());
        if !events.is_empty() || !settled.is_empty() {
            self.outputs.push_back(Output::Save);
        }
        let events = events.into_iter().filter_map(|(kind, body)| event::read(&kind, body));
        self.outputs.extend(events.map(Output::Event));
        for settled in settled {
            let outcome = match settled.outcome {
                Outcome::Applied(value) => Ok(value),
                Outcome::Failed { code, text } => Err(ActionError::Failed { code, text }),
                Outcome::Refused { code, text } => Err(ActionError::Refused { code, text }),
                Outcome::Pending => continue,
            };
            // Whoever asked was told something else before, if not waiting still: it is told to whoever listens.
            let told = settled.again && settled.waiter == Waiter::Nobody;
            self.answer(settled.seq, if told { Waiter::Gone } else { settled.waiter }, outcome);
        }
        self.release();
        if restored {
            self.outputs.push_back(Output::Event(Event::Restored));
        }
        self.pump(now);
        self.unacknowledged += bytes;
        let wait_until = self.acknowledged_at + ACK_EVERY;
        if acknowledge_now || self.unacknowledged >= ACK_BYTES || wait_until <= now {
            self.acknowledge(now);
        } else {
            self.ack_due.get_or_insert(wait_until);
        }
    }

    /// [ACK-1]
    fn acknowledge(&mut self, now: Duration) {
        self.ack_due = None;
        self.unacknowledged = 0;
        self.acknowledged_at = now;
        if self.phase == Phase::Live {
            // Of a stream whose snapshot has not come nothing is applied, whatever the document is from.
            let n = if self.epoch == self.stream_epoch { self.n } else { 0 };
            self.outputs.push_back(Output::Send(format!(r#"["k",{n}]"#)));
        }
    }

    /// Sends what may be sent: in order, once a connection, and no more than the server takes. Whether it saved.
    fn pump(&mut self, now: Duration) -> bool {
        let mut texts = Vec::new();
        // What was answered before a crash, and is sent again, does not count.
        let is_open = |outbox: &Outbox, seq| outbox.get(seq).is_some_and(|entry| entry.answered.is_none());
        let mut open = (self.ack + 1..=self.sent).filter(|seq| is_open(&self.outbox, *seq)).count() as u64;
        while self.phase == Phase::Live && !self.blocked && open < self.in_flight_max {
            let seq = self.sent + 1;
            open += u64::from(is_open(&self.outbox, seq));
            if self.outbox.get(seq).is_none() && self.outbox.last() > seq {
                // [ACTION-6]
                texts.push(format!(r#"["v",{seq}]"#));
                self.sent = seq;
                continue;
            }
            let Some(entry) = self.outbox.get(seq) else { break };
            if entry.text.len() > self.message_bytes_max {
                self.refuse(seq, "too_large");
            }
            let Some(entry) = self.outbox.get_mut(seq) else { break };
            entry.sent = true;
            entry.sent_at = now;
            texts.push(entry.text.clone());
            self.sent = seq;
        }
        if texts.is_empty() {
            return false;
        }
        // Marked as sent before it is: a process that dies in between must not say that nothing reached the server.
        self.outputs.push_back(Output::Save);
        self.outputs.extend(texts.into_iter().map(Output::Send));
        true
    }

    /// The server will not take this action: whoever asked is told, its number is used up.
    fn refuse(&mut self, seq: u64, code: &str) {
        let waiter = self.outbox.void(seq);
        let text = "the server does not take this message".to_owned();
        self.answer(seq, waiter, Err(ActionError::Refused { code: code.to_owned(), text }));
    }
}

/// What a server takes that does not say so in its welcome: the defaults of protocol.md.
const IN_FLIGHT_MAX: u64 = 32;
const MESSAGE_BYTES_MAX: usize = windlass_protocol::limits::MESSAGE_BYTES_MAX;
/// The newest, and the one before it, since a welcome may be lost after the server has sent it.
const TOKENS_MAX: usize = 2;
const ACK_BYTES: usize = 16 * 1024;
const ACK_EVERY: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(60);
const LATE: Duration = Duration::from_secs(1);
/// For the handshake, and again for the welcome: an `authenticate` may take 5 s, a takeover 1 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that stood as long as the longest wait was no failure.
const STABLE: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// No server keeps a client away for longer, whatever it says.
const SAID_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "transcripts.rs"]
mod transcripts;
