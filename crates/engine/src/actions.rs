//! The actions of a client: which were consumed, and how they ended or that they have not ended yet.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use windlass_protocol::frame::{self, Extras};
use windlass_protocol::limits::{OUTCOME_BYTES_MAX, OUTCOMES_MAX, PENDING_MAX};
use windlass_protocol::{FrameNumber, Seq};

use crate::record::{ClientRecord, OutcomeRecord};

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
    /// How many of the outcomes are only the word that there is none yet.
    pending: usize,
}

#[derive(Debug)]
struct Outcome {
    seq: Seq,
    body: Box<str>,
    /// The frame that carried it.
    sent_in: Option<FrameNumber>,
    /// What is to be settled: the body only says that the outcome is to come.
    ticket: Option<Ticket>,
    /// Its action was answered later than it was consumed, or is to be.
    is_late: bool,
}

/// Names an asynchronous action of a session until it is settled. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

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
        self.outcomes.push_back(Outcome { seq, body: body.into(), sent_in: None, ticket: None, is_late: false });
    }

    /// The outcome of this seq comes later.
    pub(crate) fn store_pending(&mut self, seq: Seq, ticket: Ticket) {
        self.store(seq, frame::PENDING.to_owned());
        let outcome = self.outcomes.back_mut().expect("it was just put there");
        (outcome.ticket, outcome.is_late) = (Some(ticket), true);
        self.pending += 1;
    }

    /// Puts the outcome in the place of the word that it is to come. False when nothing waits for it.
    pub(crate) fn settle(&mut self, ticket: Ticket, body: String) -> bool {
        let Some(outcome) = self.outcomes.iter_mut().find(|outcome| outcome.ticket == Some(ticket)) else {
            return false;
        };
        self.bytes = self.bytes - outcome.body.len() + body.len();
        self.pending -= 1;
        *outcome = Outcome { seq: outcome.seq, body: body.into(), sent_in: None, ticket: None, is_late: true };
        true
    }

    /// Whether no more asynchronous actions may run.
    pub(crate) fn is_crowded(&self) -> bool {
        self.pending >= PENDING_MAX
    }

    /// What runs for this client.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.outcomes.iter().filter_map(|outcome| outcome.ticket)
    }

    /// Whose late outcomes the client will hear of, or hear again.
    pub(crate) fn late(&self) -> impl Iterator<Item = Seq> {
        self.outcomes.iter().filter(|outcome| outcome.is_late).map(|outcome| outcome.seq)
    }

    /// Makes every outcome from `first` on this one: the turn that held them was taken back.
    pub(crate) fn replace_from(&mut self, first: Seq, body: &str) {
        while self.outcomes.back().is_some_and(|outcome| outcome.seq >= first) {
            let outcome = self.outcomes.pop_back().expect("there is a last one");
            self.forget(&outcome);
        }
        for seq in first.0..=self.last.0 {
            self.store(Seq(seq), body.to_owned());
        }
    }

    fn forget(&mut self, outcome: &Outcome) {
        self.bytes -= outcome.body.len();
        self.pending -= usize::from(outcome.ticket.is_some());
    }

    /// The memory that outcomes take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.outcomes.capacity() * size_of::<Outcome>()
    }

    /// Writes all of it into the record of its client.
    pub(crate) fn record<'a>(&'a self, record: &mut ClientRecord<'a>) {
        record.contents = self.contents.iter().copied().collect();
        let outcome = |outcome: &'a Outcome| OutcomeRecord {
            seq: outcome.seq,
            body: Cow::Borrowed(&outcome.body),
            late: outcome.is_late,
            pending: outcome.ticket.is_some(),
        };
        record.outcomes = self.outcomes.iter().map(outcome).collect();
    }

    /// As they were recorded, told by the frame before the first of this loading. What was to come is `lost`, and is not
    /// told yet.
    pub(crate) fn restore(record: &ClientRecord<'_>, lost: &str) -> Self {
        let mut actions = Self { last: record.last, told: record.last, ..Self::default() };
        actions.contents = record.contents.iter().copied().take(OUTCOMES_MAX).collect();
        for OutcomeRecord { seq, body, late, pending } in &record.outcomes {
            actions.store(*seq, if *pending { lost.to_owned() } else { body.clone().into_owned() });
            let outcome = actions.outcomes.back_mut().expect("it was just put there");
            outcome.is_late = *late;
            outcome.sent_in = (!pending).then_some(FrameNumber(0));
        }
        actions
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

    pub(crate) fn owes(&self) -> bool {
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

    /// Forgets what frames up to `n` carried, but not what is still to come.
    pub(crate) fn acknowledge(&mut self, n: FrameNumber) {
        self.release(|outcome| outcome.sent_in.is_some_and(|sent_in| sent_in <= n));
    }

    /// Gives back the room that nothing is in.
    pub(crate) fn shrink(&mut self) {
        self.contents.shrink_to_fit();
        self.outcomes.shrink_to_fit();
    }

    /// The client comes back without the frames that carried the outcomes; what comes before the first seq that it
    /// calls unanswered has been answered.
    pub(crate) fn rewind(&mut self, unanswered: Seq) {
        self.release(|outcome| outcome.seq < unanswered);
        for outcome in &mut self.outcomes {
            outcome.sent_in = None;
        }
    }

    fn release(&mut self, is_over: impl Fn(&Outcome) -> bool) {
        let bytes = &mut self.bytes;
        self.outcomes.retain(|outcome| {
            let over = outcome.ticket.is_none() && is_over(outcome);
            if over {
                *bytes -= outcome.body.len();
            }
            !over
        });
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

#[cfg(test)]
mod tests {
    use windlass_protocol::Dialect;

    use super::*;

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

    /// [PENDING-1] [PENDING-2]
    #[test]
    fn an_outcome_that_is_to_come_outlives_acks_and_reloads() {
        let mut actions = Actions::default();
        for seq in 1..=3 {
            actions.consume(seq);
        }
        actions.store(Seq(1), "\"applied\",1".into());
        actions.store_pending(Seq(2), Ticket(7));
        let mut out = Vec::new();
        actions.write_unsent(FrameNumber(1), &mut Extras::new(&mut out, Dialect::Compact));
        actions.acknowledge(FrameNumber(1));
        actions.rewind(Seq(9));
        assert_eq!(actions.tickets().collect::<Vec<_>>(), [Ticket(7)]);
        assert!(!actions.settle(Ticket(8), String::new()), "nobody waits for that one");
        assert!(actions.settle(Ticket(7), "\"applied\",2".into()));
        assert!(!actions.settle(Ticket(7), "\"applied\",3".into()), "it has ended");
        out.clear();
        actions.write_unsent(FrameNumber(2), &mut Extras::new(&mut out, Dialect::Compact));
        assert_eq!(String::from_utf8(out).unwrap(), ",{\"r\":[[2,\"applied\",2]");
        actions.acknowledge(FrameNumber(2));
        assert!(!actions.owes() && actions.bytes == 0 && actions.pending == 0 && actions.outcomes.is_empty());
    }
}
