//! What a session owes one client: its sequence, its outcomes, its events, its numbered stream.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use windlass_protocol::limits::WINDOW_BYTES;
use windlass_protocol::{ClientId, Dialect, Epoch, FrameNumber, Hello, Secret, Seq};

use crate::actions::Actions;
use crate::durable::ClientSaves;
use crate::event::EventQueue;
use crate::record::{ClientRecord, hex};
use crate::{App, Output, Time};

/// A socket, as the driver names it. Never used again after it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// One tab of a page.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) tokens: Tokens,
    pub(crate) connection: Option<Attachment>,
    /// Boxed, since there seldom is one.
    pub(crate) contender: Option<Box<Contender>>,
    pub(crate) actions: Actions,
    pub(crate) events: EventQueue,
    pub(crate) stream: Stream,
    /// Since when no socket is attached.
    pub(crate) detached_at: Time,
    /// Whose session it is has changed: its token is void once it has another one.
    pub(crate) is_changed: bool,
    /// Which of the session's clients it is, from 1, in the order in which they came.
    pub(crate) born: u64,
    /// Its part in a durable session.
    pub(crate) saves: Option<Box<ClientSaves>>,
}

/// The socket that a client has now.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) id: ConnectionId,
    pub(crate) instance: Box<str>,
    /// The socket takes another frame.
    pub(crate) ready: bool,
    /// This action got an answer that is not final: nothing from it on is consumed on this connection.
    pub(crate) held_from: Option<Seq>,
    /// Since when the window has been full with something to say.
    pub(crate) full_since: Option<Time>,
    pub(crate) asked: bool,
    /// It was asked to acknowledge, because many outcomes are stored.
    pub(crate) asked_for_outcomes: bool,
    /// Actions up to this one may have been applied in an earlier epoch, which a crash undid.
    pub(crate) replayed_to: Seq,
}

impl Attachment {
    pub(crate) fn new(id: ConnectionId, hello: &Hello, epoch: Epoch) -> Self {
        let (sent_in, sent) = hello.sent;
        Self {
            id,
            instance: hello.instance.as_str().into(),
            ready: true,
            held_from: None,
            full_since: None,
            asked: false,
            asked_for_outcomes: false,
            replayed_to: if sent_in > Epoch(0) && sent_in < epoch { sent } else { Seq(0) },
        }
    }
}

/// Another page that says it is this client, while the attached one is asked whether it lives.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) connection: ConnectionId,
    pub(crate) hello: Hello,
    pub(crate) deadline: Time,
}

impl Client {
    pub(crate) fn new(id: ClientId, secret: Secret, now: Time) -> Self {
        Self::known(id, Tokens { current: token_hash(secret), offered: None, since: now }, now)
    }

    pub(crate) fn known(id: ClientId, tokens: Tokens, now: Time) -> Self {
        Self {
            id,
            tokens,
            connection: None,
            contender: None,
            actions: Actions::default(),
            events: EventQueue::default(),
            stream: Stream::default(),
            detached_at: now,
            is_changed: false,
            born: 0,
            saves: None,
        }
    }

    /// Whether something must reach the client besides ops.
    pub(crate) fn owes(&self) -> bool {
        self.actions.owes() || self.events.has_unsent()
    }

    /// Whether there is something for it that no frame has carried, but for what no walk has found yet.
    pub(crate) fn lacks(&self) -> bool {
        self.owes() || self.stream.stale || !self.stream.pending.is_empty()
    }

    /// Whether the socket and the window take a frame.
    pub(crate) fn takes(&self) -> bool {
        let waits = |saves: &ClientSaves| saves.welcome.is_some() || saves.resend_until.is_some();
        self.connection.as_ref().is_some_and(|connection| connection.ready)
            && self.stream.has_room()
            && !self.saves.as_deref().is_some_and(waits)
    }

    /// When it is told what is saved, though nothing else is to be told.
    pub(crate) fn mark_due(&self) -> Option<Time> {
        self.saves.as_ref()?.mark_due()
    }

    /// Sends the frame that was held, if the window takes it and what it waits for is saved.
    pub(crate) fn release<A: App>(&mut self, saved: u64, outputs: &mut Vec<Output<A>>) {
        let Some(held) = &mut self.connection else { return };
        if self.saves.as_ref().is_some_and(|saves| saves.welcome.is_some()) {
            return;
        }
        if let Some(frame) = self.stream.release(saved) {
            outputs.push(Output::Send(held.id, frame));
            held.ready = false;
        }
    }

    /// What a record keeps of it.
    pub(crate) fn record(&self, epoch: Epoch) -> ClientRecord<'_> {
        let stream = &self.stream;
        let told = !stream.stale && stream.pending.is_empty() && !self.owes();
        let before = self.saves.as_ref().and_then(|saves| saves.shown).filter(|_| stream.n == FrameNumber(0));
        let (shown, whole) = match before {
            Some(shown) => ((shown.epoch, shown.n.0), told && shown.whole && !shown.frozen),
            None => ((epoch, stream.n.0), told),
        };
        let mut record = ClientRecord {
            id: self.id,
            born: self.born,
            token: hex(&self.tokens.current),
            offered: self.tokens.offered.as_ref().map(hex),
            is_changed: self.is_changed,
            last: self.actions.last,
            contents: Vec::new(),
            outcomes: Vec::new(),
            events: Vec::new(),
            lost: Vec::new(),
            shown,
            whole,
            dialect: match stream.dialect {
                Dialect::Compact => 0,
                Dialect::JsonPatch { appends: false } => 1,
                Dialect::JsonPatch { appends: true } => 2,
            },
        };
        self.actions.record(&mut record);
        self.events.record(&mut record);
        record
    }
}

/// The secrets by which a client may come back, as [`token_hash`]es.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) current: [u8; 32],
    /// One that the client was given and has not used: both count until it does.
    pub(crate) offered: Option<[u8; 32]>,
    /// Since when the current one counts.
    pub(crate) since: Time,
}

impl Tokens {
    pub(crate) fn all(&self) -> impl Iterator<Item = [u8; 32]> {
        std::iter::once(self.current).chain(self.offered)
    }

    /// The client has come with this one: an earlier one is void. Whether there was an earlier one.
    pub(crate) fn used(&mut self, used: [u8; 32], now: Time) -> bool {
        let is_new = self.offered == Some(used);
        if is_new {
            *self = Self { current: used, offered: None, since: now };
        }
        is_new
    }

    /// Whether it is time for another one.
    pub(crate) fn are_old(&self, now: Time) -> bool {
        now.since(self.since) >= TOKEN_EVERY
    }

    /// The client is given another one.
    pub(crate) fn offer(&mut self, secret: Secret) {
        self.offered = Some(token_hash(secret));
    }

    /// The client is given another one, and no earlier one counts.
    pub(crate) fn replace(&mut self, secret: Secret, now: Time) {
        *self = Self { current: token_hash(secret), offered: None, since: now };
    }
}

/// What is kept of a token's secret.
#[must_use]
pub fn token_hash(secret: Secret) -> [u8; 32] {
    Sha256::digest(secret.0).into()
}

/// The numbered frames of a client, and those it has not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The number of the last frame.
    pub(crate) n: FrameNumber,
    /// What its frames are written in: what the client spoke last.
    pub(crate) dialect: Dialect,
    ring: VecDeque<Sent>,
    ring_bytes: usize,
    /// A frame that was encoded when the window turned out too small for it.
    held: Option<Bytes>,
    /// The turn whose record must be on disk before that one may leave; 0 for none.
    held_for: u64,
    /// The client needs a snapshot: what it holds does not lead to the shadow.
    pub(crate) stale: bool,
    /// The client has refused or dropped its document: nothing but a snapshot may come.
    pub(crate) awaits_snapshot: bool,
    /// Ops that others were told while this client could take no frame, comma separated.
    pub(crate) pending: Vec<u8>,
    /// The last frame that changed something of the view.
    pub(crate) changed_in: FrameNumber,
}

#[derive(Debug)]
struct Sent {
    n: FrameNumber,
    len: usize,
    /// None for a frame larger than the window.
    frame: Option<Bytes>,
}

impl Stream {
    fn has_room(&self) -> bool {
        self.held.is_none() && self.ring_bytes < WINDOW_BYTES
    }

    /// Takes the next frame; gives it back if it may go now.
    ///
    /// A `barrier` is the turn that must be saved before it may; 0 for none.
    pub(crate) fn push(&mut self, frame: Bytes, barrier: u64) -> Option<Bytes> {
        self.n = self.n.next();
        if barrier > 0 || (self.ring_bytes > 0 && self.ring_bytes + frame.len() > WINDOW_BYTES) {
            (self.held, self.held_for) = (Some(frame), barrier);
            return None;
        }
        self.send(frame.clone());
        Some(frame)
    }

    fn send(&mut self, frame: Bytes) {
        self.ring_bytes += frame.len();
        let len = frame.len();
        self.ring.push_back(Sent { n: self.n, len, frame: (len <= WINDOW_BYTES).then_some(frame) });
    }

    /// Whether it is the client that keeps it from taking a frame.
    pub(crate) fn is_full(&self) -> bool {
        !self.has_room() && self.held_for == 0
    }

    /// The memory that frames and ops take.
    pub(crate) fn bytes(&self) -> usize {
        let kept = self.ring.iter().filter_map(|sent| sent.frame.as_ref()).map(Bytes::len).sum::<usize>();
        kept + self.held.as_ref().map_or(0, Bytes::len) + self.pending.capacity()
    }

    /// The held frame, when the window takes it now and the turn that it waits for is saved.
    pub(crate) fn release(&mut self, saved: u64) -> Option<Bytes> {
        let len = self.held.as_ref()?.len();
        if self.held_for > saved {
            return None;
        }
        self.held_for = 0;
        if self.ring_bytes > 0 && self.ring_bytes + len > WINDOW_BYTES {
            return None;
        }
        let frame = self.held.take()?;
        self.send(frame.clone());
        Some(frame)
    }

    /// Keeps ops for later; a client that has missed more than a window gets a snapshot instead.
    pub(crate) fn keep(&mut self, ops: &[u8]) {
        if self.stale || ops.is_empty() {
            return;
        }
        if self.pending.len() + ops.len() > WINDOW_BYTES {
            self.forget();
            return;
        }
        if !self.pending.is_empty() {
            self.pending.push(b',');
        }
        self.pending.extend_from_slice(ops);
    }

    /// The client gets a snapshot next.
    pub(crate) fn forget(&mut self) {
        self.stale = true;
        self.pending = Vec::new();
    }
}

impl Client {
    /// Forgets what frames up to `n` carried. False when `n` was never sent.
    pub(crate) fn acknowledge(&mut self, n: FrameNumber) -> bool {
        if n > self.stream.n {
            return false;
        }
        let stream = &mut self.stream;
        while stream.ring.front().is_some_and(|sent| sent.n <= n) {
            stream.ring_bytes -= stream.ring.pop_front().map_or(0, |sent| sent.len);
        }
        self.actions.acknowledge(n);
        self.events.acknowledge(n);
        if stream.ring.is_empty() {
            stream.ring = VecDeque::new();
        }
        if let Some(connection) = &mut self.connection {
            connection.full_since = None;
            connection.asked = false;
            connection.asked_for_outcomes = false;
        }
        true
    }

    /// Whether every frame that was sent is acknowledged.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stream.ring.is_empty()
    }

    /// Readies the stream for a client that has applied everything up to `n`: the frames to replay,
    /// or none when it needs a snapshot.
    pub(crate) fn resume(&mut self, n: FrameNumber, dialect: Dialect, saved: u64) -> Option<Vec<Bytes>> {
        // Frames that were written for somebody else are of no use; it cannot be known which of them it has applied.
        if self.stream.stale || self.stream.dialect != dialect || !self.acknowledge(n) {
            return None;
        }
        let stream = &mut self.stream;
        // What was told to have been applied may have made room for it; else it waits for an ack, as ever.
        stream.release(saved);
        // Contiguous by construction, so only a frame that was too large to keep, or an `n` from before
        // the ring, leaves a hole.
        let next = if stream.held.is_some() { stream.n } else { stream.n.next() };
        let first = stream.ring.front().map_or(next, |sent| sent.n);
        if first != n.next() {
            return None;
        }
        stream.ring.iter().map(|sent| sent.frame.clone()).collect()
    }

    /// Readies the stream for a snapshot: what frames carried besides ops is carried again, but for what
    /// the client has `seen` and has had answered.
    pub(crate) fn rewind(&mut self, seen: windlass_protocol::EventId, unanswered: Seq) {
        let stream = &mut self.stream;
        stream.ring.clear();
        stream.ring_bytes = 0;
        (stream.held, stream.held_for) = (None, 0);
        stream.forget();
        stream.awaits_snapshot = true;
        self.actions.rewind(unanswered);
        self.events.rewind(seen);
        if let Some(saves) = &mut self.saves {
            // The frame that was to say what is saved may have been the one that was held.
            saves.told = Seq(0);
        }
    }
}

/// How long a token counts before the client is offered another one; at most hourly, so that storage is seldom written.
const TOKEN_EVERY: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    fn client() -> Client {
        Client::new(ClientId([0; 12]), Secret([0; 16]), Time::default())
    }

    /// [WINDOW-1]
    #[test]
    fn the_window_holds_small_frames_or_one_large_one() {
        let mut client = client();
        assert!(client.stream.push(frame(WINDOW_BYTES - 10), 0).is_some());
        assert!(client.stream.has_room());
        assert!(client.stream.push(frame(11), 0).is_none());
        assert!(!client.stream.has_room());
        assert!(client.stream.release(0).is_none());
        assert!(client.acknowledge(FrameNumber(1)));
        assert_eq!(client.stream.release(0).map(|frame| frame.len()), Some(11));
        assert!(client.acknowledge(FrameNumber(2)));
        assert!(client.stream.push(frame(WINDOW_BYTES * 2), 0).is_some());
        assert!(!client.stream.has_room());
        assert!(!client.acknowledge(FrameNumber(4)), "it was never sent");
    }

    /// [RESUME-1]
    #[test]
    fn a_client_resumes_where_the_ring_reaches() {
        let mut client = client();
        for _ in 0..3 {
            client.stream.push(frame(10), 0);
        }
        assert_eq!(client.resume(FrameNumber(1), Dialect::Compact, 0).map(|frames| frames.len()), Some(2));
        assert_eq!(client.resume(FrameNumber(3), Dialect::Compact, 0).map(|frames| frames.len()), Some(0));
        assert_eq!(client.resume(FrameNumber(4), Dialect::Compact, 0), None, "ahead of the server");
        assert_eq!(client.resume(FrameNumber(1), Dialect::Compact, 0), None, "the ring does not reach back");
        client.stream.push(frame(WINDOW_BYTES + 1), 0);
        assert_eq!(client.resume(FrameNumber(3), Dialect::Compact, 0), None, "the frame was too large to keep");
    }

    #[test]
    fn ops_that_others_were_told_wait_up_to_a_window() {
        let mut stream = Stream::default();
        stream.keep(b"[\"a\",1]");
        stream.keep(b"[\"a\",2]");
        assert_eq!(stream.pending, b"[\"a\",1],[\"a\",2]");
        stream.keep(&vec![b' '; WINDOW_BYTES]);
        assert!(stream.stale && stream.pending.is_empty());
    }
}
