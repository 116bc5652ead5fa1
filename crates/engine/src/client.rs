//! What a session owes one client: its sequence, its outcomes, its events, its numbered stream.

use std::collections::VecDeque;
use std::hash::Hasher as _;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;
use windlass_protocol::frame::Extras;
use windlass_protocol::limits::{OUTCOME_BYTES_MAX, OUTCOMES_MAX, WINDOW_BYTES};
use windlass_protocol::{ClientId, Dialect, FrameNumber, Secret, Seq};

use crate::Time;
use crate::event::EventQueue;

/// A socket, as the driver names it. Never used again after it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// One tab of a page.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    token: [u8; 32],
    pub(crate) connection: Option<Attachment>,
    pub(crate) contender: Option<Contender>,
    pub(crate) actions: Actions,
    pub(crate) events: EventQueue,
    pub(crate) stream: Stream,
    /// Since when no socket is attached.
    pub(crate) detached_at: Time,
}

/// The socket that a client has now.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) id: ConnectionId,
    pub(crate) instance: String,
    /// The socket takes another frame.
    pub(crate) ready: bool,
    /// This action got an answer that is not final: nothing from it on is consumed on this connection.
    pub(crate) held_from: Option<Seq>,
    /// Since when the window has been full with something to say.
    pub(crate) full_since: Option<Time>,
    pub(crate) asked: bool,
    /// It was asked to acknowledge, because many outcomes are stored.
    pub(crate) asked_for_outcomes: bool,
}

impl Attachment {
    pub(crate) fn new(id: ConnectionId, instance: String) -> Self {
        Self { id, instance, ready: true, held_from: None, full_since: None, asked: false, asked_for_outcomes: false }
    }
}

/// Another page that says it is this client, while the attached one is asked whether it lives.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) connection: ConnectionId,
    pub(crate) hello: windlass_protocol::Hello,
    pub(crate) deadline: Time,
}

impl Client {
    pub(crate) fn new(id: ClientId, secret: Secret, now: Time) -> Self {
        Self {
            id,
            token: token_hash(secret),
            connection: None,
            contender: None,
            actions: Actions::default(),
            events: EventQueue::default(),
            stream: Stream::default(),
            detached_at: now,
        }
    }

    pub(crate) fn token(&self) -> [u8; 32] {
        self.token
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
        self.connection.as_ref().is_some_and(|connection| connection.ready) && self.stream.has_room()
    }
}

/// What is kept of a token's secret.
#[must_use]
pub fn token_hash(secret: Secret) -> [u8; 32] {
    Sha256::digest(secret.0).into()
}

/// The actions of a client that were consumed, and how they ended.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// The highest seq consumed.
    pub(crate) last: Seq,
    /// The ack that the last frame carried.
    told: Seq,
    /// Hashes of the contents of the last few, the newest for `last`.
    contents: VecDeque<u64>,
    /// Outcomes other than the plain "applied with null", oldest first.
    outcomes: VecDeque<Outcome>,
    bytes: usize,
}

#[derive(Debug)]
struct Outcome {
    seq: Seq,
    body: Box<str>,
    /// The frame that carried it.
    sent_in: Option<FrameNumber>,
}

/// What to do with a seq that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one.
    Next,
    /// It was consumed with this content.
    Again,
    /// It was consumed with another content.
    Reused,
    /// One is missing before it.
    Gap,
}

impl Actions {
    pub(crate) fn arrival(&self, seq: Seq, content: Option<u64>) -> Arrival {
        if seq > self.last {
            return if seq == self.last.next() { Arrival::Next } else { Arrival::Gap };
        }
        // Older than what is remembered: it was answered and acknowledged long ago.
        let known = (self.last.0 - seq.0) as usize;
        let stored = self.contents.len().checked_sub(1 + known).map(|at| self.contents[at]);
        match (stored, content) {
            (Some(stored), Some(content)) if stored != content => Arrival::Reused,
            _ => Arrival::Again,
        }
    }

    /// Consumes the next seq.
    pub(crate) fn consume(&mut self, content: u64) {
        self.last = self.last.next();
        if self.contents.len() == OUTCOMES_MAX {
            self.contents.pop_front();
        }
        self.contents.push_back(content);
    }

    /// Stores an outcome that is not the plain one.
    pub(crate) fn store(&mut self, seq: Seq, body: String) {
        self.bytes += body.len();
        self.outcomes.push_back(Outcome { seq, body: body.into(), sent_in: None });
    }

    /// Makes every outcome from `first` on this one: the turn that held them was taken back.
    pub(crate) fn replace_from(&mut self, first: Seq, body: &str) {
        while self.outcomes.back().is_some_and(|outcome| outcome.seq >= first) {
            let outcome = self.outcomes.pop_back().expect("there is a last one");
            self.bytes -= outcome.body.len();
        }
        for seq in first.0..=self.last.0 {
            self.store(Seq(seq), body.to_owned());
        }
    }

    /// Answers a seq again in the next frame; one that is not stored was plainly applied.
    pub(crate) fn answer_again(&mut self, seq: Seq) {
        match self.outcomes.iter_mut().find(|outcome| outcome.seq == seq) {
            Some(outcome) => outcome.sent_in = None,
            None => self.told = Seq(self.told.0.min(seq.0 - 1)),
        }
    }

    /// Whether the client should acknowledge soon: half of what may be stored is.
    pub(crate) fn is_half_full(&self) -> bool {
        self.outcomes.len() >= OUTCOMES_MAX / 2 || self.bytes >= OUTCOME_BYTES_MAX / 2
    }

    /// Whether no more may be consumed before the client acknowledges.
    pub(crate) fn is_full(&self) -> bool {
        self.outcomes.len() >= OUTCOMES_MAX || self.bytes >= OUTCOME_BYTES_MAX
    }

    fn owes(&self) -> bool {
        self.told < self.last || self.outcomes.iter().any(|outcome| outcome.sent_in.is_none())
    }

    /// Writes what no frame has carried into frame `n`, whose header carries [`Actions::last`].
    pub(crate) fn write_unsent(&mut self, n: FrameNumber, extras: &mut Extras<'_>) {
        self.told = self.last;
        for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.sent_in.is_none()) {
            outcome.sent_in = Some(n);
            extras.outcome(outcome.seq, &outcome.body);
        }
    }

    fn acknowledge(&mut self, n: FrameNumber) {
        while self.outcomes.front().is_some_and(|outcome| outcome.sent_in.is_some_and(|sent_in| sent_in <= n)) {
            let outcome = self.outcomes.pop_front().expect("there is a front");
            self.bytes -= outcome.body.len();
        }
    }

    fn rewind(&mut self, unanswered: Seq) {
        // What comes before the first unanswered seq has been answered; the client said so.
        while self.outcomes.front().is_some_and(|outcome| outcome.seq < unanswered) {
            let outcome = self.outcomes.pop_front().expect("there is a front");
            self.bytes -= outcome.body.len();
        }
        for outcome in &mut self.outcomes {
            outcome.sent_in = None;
        }
    }
}

/// A hash of what an action says, to tell a re-send from a reuse of its number.
pub(crate) fn content_hash(key: [u64; 2], name: &str, payload: &str) -> u64 {
    let mut hash = SipHasher13::new_with_keys(key[0], key[1]);
    hash.write(name.as_bytes());
    hash.write_u8(0xff);
    hash.write(payload.as_bytes());
    hash.finish()
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
    /// The client needs a snapshot: what it holds does not lead to the shadow.
    pub(crate) stale: bool,
    /// The client has refused or dropped its document: nothing but a snapshot may come.
    pub(crate) awaits_snapshot: bool,
    /// Ops that others were told while this client could take no frame, comma separated.
    pub(crate) pending: Vec<u8>,
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
    pub(crate) fn push(&mut self, frame: Bytes) -> Option<Bytes> {
        self.n = self.n.next();
        if self.ring_bytes > 0 && self.ring_bytes + frame.len() > WINDOW_BYTES {
            self.held = Some(frame);
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

    /// The held frame, when the window takes it now.
    pub(crate) fn release(&mut self) -> Option<Bytes> {
        let len = self.held.as_ref()?.len();
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
        if let Some(connection) = &mut self.connection {
            connection.full_since = None;
            connection.asked = false;
            connection.asked_for_outcomes = false;
        }
        true
    }

    /// Readies the stream for a client that has applied everything up to `n`: the frames to replay,
    /// or none when it needs a snapshot.
    pub(crate) fn resume(&mut self, n: FrameNumber, dialect: Dialect) -> Option<Vec<Bytes>> {
        // Frames that were written for somebody else are of no use; it cannot be known which of them it has applied.
        if self.stream.stale || self.stream.dialect != dialect || !self.acknowledge(n) {
            return None;
        }
        let stream = &mut self.stream;
        // What was told to have been applied may have made room for it; else it waits for an ack, as ever.
        stream.release();
        // Contiguous by construction, so only a frame that was too large to keep, or an `n` from before
        // the ring, leaves a hole.
        let first = stream.ring.front().map_or(stream.n.next(), |sent| sent.n);
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
        stream.held = None;
        stream.forget();
        stream.awaits_snapshot = true;
        self.actions.rewind(unanswered);
        self.events.rewind(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    fn client() -> Client {
        Client::new(ClientId([0; 12]), Secret([0; 16]), Time::default())
    }

    /// [ACTION-3] [ACTION-4]
    #[test]
    fn a_seq_is_next_again_reused_or_a_gap() {
        let mut actions = Actions::default();
        assert_eq!(actions.arrival(Seq(1), Some(7)), Arrival::Next);
        actions.consume(7);
        assert_eq!(actions.arrival(Seq(1), Some(7)), Arrival::Again);
        assert_eq!(actions.arrival(Seq(1), Some(8)), Arrival::Reused);
        assert_eq!(actions.arrival(Seq(1), None), Arrival::Again);
        assert_eq!(actions.arrival(Seq(3), Some(7)), Arrival::Gap);
        for content in 0..100 {
            actions.consume(content);
        }
        assert_eq!(actions.arrival(Seq(1), Some(9)), Arrival::Again);
        assert_eq!(actions.arrival(Seq(100), Some(98)), Arrival::Again);
        assert_eq!(actions.arrival(Seq(100), Some(0)), Arrival::Reused);
    }

    /// [WINDOW-1]
    #[test]
    fn the_window_holds_small_frames_or_one_large_one() {
        let mut client = client();
        assert!(client.stream.push(frame(WINDOW_BYTES - 10)).is_some());
        assert!(client.stream.has_room());
        assert!(client.stream.push(frame(11)).is_none());
        assert!(!client.stream.has_room());
        assert!(client.stream.release().is_none());
        assert!(client.acknowledge(FrameNumber(1)));
        assert_eq!(client.stream.release().map(|frame| frame.len()), Some(11));
        assert!(client.acknowledge(FrameNumber(2)));
        assert!(client.stream.push(frame(WINDOW_BYTES * 2)).is_some());
        assert!(!client.stream.has_room());
        assert!(!client.acknowledge(FrameNumber(4)), "it was never sent");
    }

    /// [RESUME-1]
    #[test]
    fn a_client_resumes_where_the_ring_reaches() {
        let mut client = client();
        for _ in 0..3 {
            client.stream.push(frame(10));
        }
        assert_eq!(client.resume(FrameNumber(1), Dialect::Compact).map(|frames| frames.len()), Some(2));
        assert_eq!(client.resume(FrameNumber(3), Dialect::Compact).map(|frames| frames.len()), Some(0));
        assert_eq!(client.resume(FrameNumber(4), Dialect::Compact), None, "ahead of the server");
        assert_eq!(client.resume(FrameNumber(1), Dialect::Compact), None, "the ring does not reach back");
        client.stream.push(frame(WINDOW_BYTES + 1));
        assert_eq!(client.resume(FrameNumber(3), Dialect::Compact), None, "the frame was too large to keep");
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
