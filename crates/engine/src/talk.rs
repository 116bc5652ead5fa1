//! What clients say to a session: hello, actions, acks, and the ends of their connections.

use std::time::Duration;

use bytes::Bytes;
use windlass_protocol::frame;
use windlass_protocol::limits::{CLIENTS_MAX, PENDING_MAX};
use windlass_protocol::{
    Action, ChildId, ClientMessage, Close, CloseCode, Epoch, EventId, FrameNumber, Hello, JobId, Secret, Seq, Set,
    Token,
};

use crate::actions::{Arrival, content_hash};
use crate::client::{Attachment, Client, Contender, token_hash};
use crate::durable::{RESEND_MAX, store_is_down};
use crate::session::{Later, Unkept};
use crate::turn::Cause;
use crate::{App, ConnectionId, Fault, Hook, Mode, Output, Session, Ticket, Time};

impl<A: App> Session<A> {
    pub(crate) fn hello(&mut self, app: &A, connection: ConnectionId, hello: Hello, secret: Secret, now: Time) {
        let Some(at) = self.clients.iter().position(|client| client.id == hello.client) else {
            self.admit(app, connection, &hello, secret, now);
            return;
        };
        let client = &mut self.clients[at];
        match &client.connection {
            Some(held) if *held.instance != *hello.instance => {
                self.outputs
                    .push(Output::Send(held.id, Bytes::from_static(frame::ask(client.stream.dialect).as_bytes())));
                let deadline = now + TAKEOVER_ANSWER;
                let contender = Box::new(Contender { connection, hello, deadline });
                let instance = contender.hello.instance.clone();
                if let Some(earlier) = client.contender.replace(contender) {
                    let code = replaced(&earlier.hello.instance, &instance, CloseCode::InUse);
                    self.outputs.push(Output::Close(earlier.connection, code.into()));
                }
            }
            held => {
                // The page that was asked has come back by itself: that is its answer.
                let lives = held.is_some();
                if let Some(contender) = client.contender.take().filter(|_| lives) {
                    self.outputs.push(Output::Close(contender.connection, CloseCode::InUse.into()));
                }
                self.attach(app, at, connection, &hello, Given::Known(Some(secret)), now);
            }
        }
    }

    /// Makes room for a new client.
    pub(crate) fn admit(&mut self, app: &A, connection: ConnectionId, hello: &Hello, secret: Secret, now: Time) {
        if self.used && self.durable.as_ref().is_some_and(|durable| durable.refusal().is_some()) {
            // Its token could not be kept.
            self.outputs.push(Output::Close(connection, store_is_down()));
            return;
        }
        if self.clients.len() >= CLIENTS_MAX {
            let idle = self.clients.iter().enumerate().filter(|(_, client)| client.connection.is_none());
            let Some((at, _)) = idle.min_by_key(|(_, client)| client.detached_at) else {
                let close = Close { retry_after: Some(BUSY_RETRY), ..Close::new(CloseCode::Busy) };
                self.outputs.push(Output::Close(connection, close));
                return;
            };
            self.clients.remove(at);
        }
        // Nearly every session has one client, and a list that grows by itself begins with room for four.
        self.clients.reserve_exact(1);
        self.admitted += 1;
        let mut client = Client::new(hello.client, secret, now);
        client.born = self.admitted;
        client.saves = self.durable.as_ref().map(|durable| durable.client());
        self.clients.push(client);
        let at = self.clients.len() - 1;
        self.attach(app, at, connection, hello, Given::New(secret), now);
    }

    /// Welcomes a connection as the client's only one.
    fn attach(&mut self, app: &A, at: usize, connection: ConnectionId, hello: &Hello, given: Given, now: Time) {
        let options = self.options;
        let is_down = self.durable.as_ref().is_some_and(|durable| durable.refusal().is_some());
        let client = &mut self.clients[at];
        let old = client.connection.take();
        let is_return = old.is_some();
        if let Some(old) = old {
            let code = replaced(&old.instance, &hello.instance, CloseCode::TakenOver);
            self.outputs.push(Output::Close(old.id, code.into()));
        }
        let saved_turn = self.durable.as_ref().map_or(0, |durable| durable.saved);
        let resumes_at = match client.resumes_at(hello, options.epoch) {
            Some(n) if !matches!(given, Given::New(_)) => Some(n),
            _ => None,
        };
        let replay = resumes_at.and_then(|n| client.resume(n, hello.dialect, saved_turn));
        let named = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok());
        let is_expected = self.expected == Some(client.id);
        let is_named = named.is_some_and(|token| token.session == options.id);
        let forgotten = matches!(given, Given::New(_)) && is_named && !is_expected;
        // What a client had sent to another session, or before it was forgotten, it does not send again.
        let is_stranger = matches!(given, Given::New(_)) && !is_expected;
        let new_secret = matches!(given, Given::Known(Some(_)));
        let given = match given {
            // One that cannot be kept is not offered.
            Given::Known(_) if is_down && new_secret => Given::Known(None),
            given => given,
        };
        let (new, is_told) = client.token(named, given, now);
        if replay.is_none() {
            client.rewind(hello.event, hello.seq);
        }
        let mut attachment = Attachment::new(connection, hello, options.epoch);
        if is_stranger {
            attachment.replayed_to = Seq(0);
        }
        // What was replayed has to leave before anything is diffed.
        attachment.ready = replay.as_ref().is_none_or(Vec::is_empty);
        // Whoever holds a token must be known to the record.
        let waits = new.is_some() && self.used;
        let mut saved = None;
        if let (Some(durable), Some(saves)) = (&mut self.durable, &mut client.saves) {
            durable.touched |= is_told || new.is_some();
            saves.welcome = waits.then_some(durable.turn + 1);
            let undone = replay.is_none() && attachment.replayed_to > client.actions.last;
            saves.resend_until = undone.then_some(now + RESEND_MAX);
            // Also after a record that was sealed: somebody may have come back before the crash.
            let of_before = replay.is_none() && hello.epoch < options.epoch;
            saves.restored |= of_before && saves.shown.is_some_and(|shown| shown.is_before(hello.epoch, hello.n));
            saved = saves.welcomed();
        }
        let welcome = frame::Welcome {
            session: options.id,
            client: client.id,
            epoch: options.epoch,
            ack: client.actions.last,
            saved,
            resumed: replay.is_some(),
            token: new.map(|secret| Token { session: options.id, secret }),
            message_bytes_max: options.message_bytes_max,
            pending: client.actions.late().collect(),
            forgotten,
            actions: app.declared(),
        };
        let mut out = Vec::with_capacity(256);
        welcome.write(&mut out, hello.dialect);
        let frames = replay.into_iter().flatten().map(|frame| Output::Send(connection, frame));
        let greeting = std::iter::once(Output::Send(connection, out.into())).chain(frames);
        match self.durable.as_mut().filter(|_| waits) {
            Some(durable) => greeting.for_each(|output| durable.hold_next(output)),
            None => self.outputs.extend(greeting),
        }
        client.stream.dialect = hello.dialect;
        client.connection = Some(attachment);
        self.jobs.desert(None);
        if !is_return {
            let cause = Cause::Client(client.id);
            self.hear(app, &Hook::Connected, cause);
        }
    }

    pub(crate) fn lost(&mut self, app: &A, connection: ConnectionId, now: Time) {
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.contender.as_ref().is_some_and(|contender| contender.connection == connection) {
                client.contender = None;
            }
            if client.connection.as_ref().is_some_and(|held| held.id == connection) {
                client.connection = None;
                client.detached_at = now;
                let (cause, contender) = (Cause::Client(client.id), client.contender.take());
                self.hear(app, &Hook::Disconnected, cause);
                if let Some(contender) = contender {
                    self.attach(app, at, contender.connection, &contender.hello, Given::Known(None), now);
                }
            }
        }
        if !self.is_attached() {
            self.jobs.desert(Some(now));
        }
    }

    pub(crate) fn timer(&mut self, app: &A, now: Time) {
        let deserted = self.jobs.due(now);
        self.outputs.extend(deserted.into_iter().map(Output::Cancel));
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.contender.as_ref().is_some_and(|contender| contender.deadline <= now)
                && let Some(contender) = client.contender.take()
            {
                self.attach(app, at, contender.connection, &contender.hello, Given::Known(None), now);
                continue;
            }
            let Some(held) = &mut client.connection else { continue };
            let Some(since) = held.full_since else { continue };
            if now.since(since) >= WINDOW_PATIENCE * 2 {
                self.outputs.push(Output::Close(held.id, CloseCode::Silent.into()));
                held.full_since = None;
            } else if now.since(since) >= WINDOW_PATIENCE && !held.asked {
                held.asked = true;
                self.outputs
                    .push(Output::Send(held.id, Bytes::from_static(frame::ask(client.stream.dialect).as_bytes())));
            }
        }
    }

    // What clients say.

    pub(crate) fn message(&mut self, app: &A, connection: ConnectionId, message: ClientMessage<'_>) {
        let Some(at) =
            self.clients.iter().position(|client| client.connection.as_ref().is_some_and(|held| held.id == connection))
        else {
            return;
        };
        match message {
            ClientMessage::Action(action) => self.action(app, at, connection, &action),
            ClientMessage::Void(seq) => self.void(at, connection, seq),
            ClientMessage::Ack(n) => self.acknowledge(at, connection, n),
            ClientMessage::Refetch => {
                // Everything answered so far stays answered; events are told apart by their ids.
                self.clients[at].rewind(EventId::default(), Seq(0));
            }
            ClientMessage::Ping => {
                let pong = frame::pong(self.clients[at].stream.dialect);
                self.outputs.push(Output::Send(connection, Bytes::from_static(pong.as_bytes())));
            }
            ClientMessage::Unknown(tag) => {
                let mut out = Vec::new();
                frame::unknown(&mut out, self.clients[at].stream.dialect, &tag);
                self.outputs.push(Output::Send(connection, out.into()));
            }
            _ => self.outputs.push(Output::Close(connection, CloseCode::BadMessage.into())),
        }
    }

    pub(crate) fn acknowledge(&mut self, at: usize, connection: ConnectionId, n: FrameNumber) {
        let client = &mut self.clients[at];
        if !client.acknowledge(n) {
            self.outputs.push(Output::Close(connection, CloseCode::BadMessage.into()));
            return;
        }
        client.release(self.durable.as_ref().map_or(0, |durable| durable.saved), &mut self.outputs);
        self.is_quiet |= client.is_quiet();
        // The page that was asked lives.
        if let Some(contender) = client.contender.take() {
            self.outputs.push(Output::Close(contender.connection, CloseCode::InUse.into()));
        }
    }

    pub(crate) fn void(&mut self, at: usize, connection: ConnectionId, seq: Seq) {
        if let Some(Arrival::Next) = self.arrive(at, connection, seq, None) {
            self.consume(at, seq, content_hash(self.options.hash_key, "", ""));
            let body = frame::outcome_body("refused", "not_kept", "the page did not keep what this action said");
            self.clients[at].actions.store(seq, body);
        }
    }

    pub(crate) fn action(&mut self, app: &A, at: usize, connection: ConnectionId, action: &Action<'_>) {
        if self.clients[at].actions.is_full() {
            // It was asked long ago and goes on sending: nothing more is consumed on this connection.
            let close = Close { retry_after: Some(BUSY_RETRY), ..Close::new(CloseCode::Busy) };
            self.outputs.push(Output::Close(connection, close));
            if let Some(held) = &mut self.clients[at].connection {
                held.held_from = Some(action.seq);
            }
            return;
        }
        let content = content_hash(self.options.hash_key, &action.name, action.payload.get());
        match self.arrive(at, connection, action.seq, Some(content)) {
            Some(Arrival::Next) => {}
            Some(Arrival::Reused) => {
                let text = format!("number {} was used for another action", action.seq);
                self.clients[at].actions.store(action.seq, frame::outcome_body("refused", "seq_reused", &text));
                return;
            }
            _ => return,
        }
        let client = &self.clients[at];
        let replayed = client.connection.as_ref().is_some_and(|held| action.seq <= held.replayed_to);
        let saved = app.action(&action.name).is_some_and(|(found, _)| app.waits_for_save(found));
        let cause = Cause::Action { client: client.id, seq: action.seq, replayed, saved };
        let tickets = self.last_ticket;
        if let Some(later) = self.full(at) {
            return self.answer_later(at, connection, action.seq, later);
        }
        match self.run(app, at, cause, action) {
            Ok(reply) => {
                self.consume(at, action.seq, content);
                let actions = &mut self.clients[at].actions;
                if self.last_ticket > tickets {
                    actions.store_pending(action.seq, Ticket(self.last_ticket));
                } else if let Some(reply) = reply {
                    actions.store(action.seq, format!("\"applied\",{reply}"));
                }
            }
            Err(Unkept::Fault(fault)) => {
                self.consume(at, action.seq, content);
                self.clients[at].actions.store(action.seq, fault.outcome());
                self.failed(app, &action.name, &fault, cause);
            }
            Err(Unkept::Later(later)) => return self.answer_later(at, connection, action.seq, later),
        }
        let bytes = action.name.len() + action.payload.get().len();
        if let Some(saves) = &mut self.clients[at].saves {
            saves.must_save |= saved;
            saves.count(bytes);
        }
    }

    /// Why nothing more of this client can be applied: too much of it is not on disk, and cannot be put there.
    fn full(&self, at: usize) -> Option<Later> {
        let later = self.durable.as_ref()?.refusal()?;
        self.clients[at].saves.as_ref().filter(|saves| saves.is_full()).map(|_| later)
    }

    /// Answers that a seq was not consumed, and that nothing after it will be on this connection.
    fn answer_later(&mut self, at: usize, connection: ConnectionId, seq: Seq, later: Later) {
        let Later { code, text, retry_after } = later;
        let mut out = Vec::new();
        frame::later(&mut out, self.clients[at].stream.dialect, seq, code, text, retry_after);
        self.outputs.push(Output::Send(connection, out.into()));
        if let Some(held) = &mut self.clients[at].connection {
            held.held_from = Some(seq);
        }
    }

    fn run(&mut self, app: &A, at: usize, cause: Cause, action: &Action<'_>) -> Result<Option<String>, Unkept> {
        let refuse = |code, text: String| Err(Unkept::Fault(Fault::refused(code, text)));
        if action.name == CANCEL {
            let id = serde_json::from_str::<String>(action.payload.get()).unwrap_or_default();
            let (job, output) = match (id.parse::<JobId>(), id.parse::<ChildId>()) {
                (Ok(job), _) => (job, Output::Cancel(job)),
                (_, Ok(child)) => (child.job, Output::CancelChild(child)),
                _ => return refuse("bad_payload", "$cancel takes the id of a job".into()),
            };
            match self.jobs.is_cancellable(job) {
                None => return refuse("gone", format!("no job \"{job}\"")),
                Some(false) => {
                    return refuse("forbidden", format!("the app does not let the page cancel the job \"{job}\""));
                }
                Some(true) => self.batch.staged().effects.push(output),
            }
            return Ok(None);
        }
        if action.name == DISMISS {
            let job: Option<Option<String>> = serde_json::from_str(action.payload.get()).ok();
            match job.map(|job| job.map(|id| id.parse::<JobId>())) {
                Some(None) => self.jobs.dismiss_all(),
                Some(Some(Ok(job))) => {
                    if let Err((code, text)) = self.jobs.dismiss(job) {
                        return refuse(code, text);
                    }
                }
                _ => {
                    let text = "$dismiss takes the id of a job that has ended, or null for all of them";
                    return refuse("bad_payload", text.into());
                }
            }
            return Ok(None);
        }
        if action.name == SET {
            let set = match serde_json::from_str::<Set<'_>>(action.payload.get()) {
                Ok(set) => set,
                Err(error) => return refuse("bad_payload", format!("$set takes a path and a value: {error}")),
            };
            self.used = true;
            return self
                .transact(app, Mode::Atomic, cause, |app, state, turn| app.set(&set, state, turn))
                .map(|()| None);
        }
        let Some((found, mode)) = app.action(&action.name) else {
            return refuse("unknown_action", format!("no action \"{}\"", action.name));
        };
        if app.only_if_seen(found) && !self.has_seen(at, action) {
            return refuse("stale", format!("\"{}\" asks for what the page had not seen yet", action.name));
        }
        if mode == Mode::Async && self.clients[at].actions.is_crowded() {
            return refuse("queue_full", format!("{PENDING_MAX} actions of this page are under way, wait for one"));
        }
        self.used = true;
        self.transact(app, mode, cause, |app, state, turn| app.dispatch(found, state, turn, action.payload))
    }

    /// Whether the page showed all that its client was ever told, and there is nothing to tell it.
    fn has_seen(&self, at: usize, action: &Action<'_>) -> bool {
        let stream = &self.clients[at].stream;
        // A state that could not be shown has left the shadow void, and its page without word.
        let latest = !self.dirty && !self.shadow.is_void() && !stream.stale && stream.pending.is_empty();
        latest
            && action
                .seen
                .is_some_and(|(epoch, n)| epoch == self.options.epoch && n >= stream.changed_in && n <= stream.n)
    }

    /// What to do with a seq; answers or closes for all but the next one and a reused one.
    pub(crate) fn arrive(
        &mut self,
        at: usize,
        connection: ConnectionId,
        seq: Seq,
        content: Option<u64>,
    ) -> Option<Arrival> {
        let client = &mut self.clients[at];
        if client.connection.as_ref().is_some_and(|held| held.held_from.is_some_and(|from| seq >= from)) {
            return None;
        }
        let arrival = client.actions.arrival(seq, content);
        if self.frozen && arrival == Arrival::Next {
            if let Some(later) = self.refusal() {
                self.answer_later(at, connection, seq, later);
            }
            return None;
        }
        match arrival {
            Arrival::Again => client.actions.answer_again(seq),
            Arrival::Gap => self.outputs.push(Output::Close(connection, CloseCode::SequenceGap.into())),
            Arrival::Next | Arrival::Reused => {}
        }
        Some(arrival)
    }

    pub(crate) fn consume(&mut self, at: usize, seq: Seq, content: u64) {
        let client = &mut self.clients[at];
        client.actions.consume(content);
        self.used = true;
        if let Some(durable) = &mut self.durable {
            durable.touched = true;
        }
        let consumed = &mut self.batch.staged().consumed;
        if !consumed.iter().any(|(known, _)| *known == client.id) {
            consumed.push((client.id, seq));
        }
    }
}

/// How a connection is closed in whose place a later hello comes: `by_another` page, or by its own.
///
/// The hello of a page's own earlier connection may come after that of its newer one, which is the one it listens to.
/// It has to come back then, and not to think that another page has its client.
fn replaced(instance: &str, by: &str, by_another: CloseCode) -> CloseCode {
    if instance == by { CloseCode::Silent } else { by_another }
}

/// What a connection is welcomed with.
enum Given {
    /// The client is new: this is in its token.
    New(Secret),
    /// It is known, and here are random bits for another token if it needs one.
    Known(Option<Secret>),
}

impl Client {
    /// The secret of the token that it is to be given, if any, and whether an earlier one has become void.
    fn token(&mut self, used: Option<Token>, given: Given, now: Time) -> (Option<Secret>, bool) {
        let secret = match given {
            Given::New(secret) => return (Some(secret), false),
            Given::Known(secret) => secret,
        };
        let is_used = used.is_some_and(|used| self.tokens.used(token_hash(used.secret), now));
        let Some(secret) = secret else { return (None, is_used) };
        if std::mem::take(&mut self.is_changed) {
            self.tokens.replace(secret, now);
            return (Some(secret), true);
        }
        // Who comes without a token has not got it: its welcome was lost.
        let holds_one = used.is_some_and(|used| self.tokens.all().any(|known| known == token_hash(used.secret)));
        if holds_one && !self.tokens.are_old(now) {
            return (None, is_used);
        }
        self.tokens.offer(secret);
        (Some(secret), is_used)
    }

    /// The frame of this epoch after which a client goes on that says hello so, if it may go on at all.
    fn resumes_at(&self, hello: &Hello, epoch: Epoch) -> Option<FrameNumber> {
        if hello.epoch == epoch {
            return Some(hello.n);
        }
        let shown = self.saves.as_ref()?.shown?;
        shown.is_all(hello.epoch, hello.n).then_some(FrameNumber(0))
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let asked = self.connection.as_ref().and_then(|held| {
            let patience = if held.asked { WINDOW_PATIENCE * 2 } else { WINDOW_PATIENCE };
            held.full_since.map(|since| since + patience)
        });
        let contender = self.contender.as_ref().map(|contender| contender.deadline);
        asked.into_iter().chain(contender).min()
    }
}

const CANCEL: &str = "$cancel";
const SET: &str = "$set";
const DISMISS: &str = "$dismiss";
/// Longer than a page needs to answer, shorter than a person waits for a second tab.
const TAKEOVER_ANSWER: Duration = Duration::from_secs(1);
/// How long a window may be full before the client is asked, and again before it is given up.
const WINDOW_PATIENCE: Duration = Duration::from_secs(15);
/// When a client may come back that found no room.
const BUSY_RETRY: Duration = Duration::from_secs(5);
