//! The outbox holds actions not yet answered and saved, in the order of their numbers and without a gap.
//!
//! An action that was answered stays until it is on the server's disk: a crash may undo it, and then it is sent
//! again. Each is kept as the text that goes over the wire, so that what is sent again is the same to the byte.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{ActionOptions, Until};
use crate::wire::Outcome;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    /// The message; a `void` when its content is not to be kept.
    pub(crate) text: String,
    /// Whether it may have reached a server.
    pub(crate) sent: bool,
    pub(crate) answered: Option<Answered>,
    /// It is consumed, and its outcome is to come.
    pending: bool,
    /// Its content is not kept over a restart of the process.
    secret: bool,
    /// When it was last sent, for liveness.
    pub(crate) sent_at: Duration,
    /// As it was told, until the ack covers it.
    outcome: Option<Outcome>,
    pub(crate) waiter: Waiter,
    /// Whoever waits wants to hear of it when it is on the server's disk.
    until_saved: bool,
    /// The reply, while it waits for that.
    value: Option<Value>,
}

/// Who waits for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A call of this process, by its ticket.
    Ticket(u64),
    /// The process that asked is gone.
    Gone,
    /// It was told, or wants to hear nothing.
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answered {
    Applied,
    Otherwise,
}

/// An entry as an identity keeps it over a restart of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    seq: u64,
    text: String,
    sent: bool,
    answered: Option<Answered>,
    #[serde(default)]
    pending: bool,
}

/// What became known of an action.
pub(crate) struct Settled {
    pub(crate) seq: u64,
    pub(crate) waiter: Waiter,
    pub(crate) outcome: Outcome,
    /// It had been applied, a crash undid it, and this time it was not.
    pub(crate) again: bool,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    /// The last number given out.
    pub(crate) seq: u64,
    bytes: usize,
    entries_max: usize,
}

impl Outbox {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: VecDeque::new(), seq: 0, bytes: 0, entries_max }
    }

    /// Puts back what an identity kept.
    pub(crate) fn restore(&mut self, seq: u64, kept: Vec<Kept>) {
        for Kept { seq, text, sent, answered, pending } in kept {
            let entry = Entry { sent, answered, pending, ..Entry::new(seq, text, Waiter::Gone) };
            self.take(entry);
        }
        self.seq = self.seq.max(seq);
    }

    pub(crate) fn kept(&self) -> Vec<Kept> {
        let kept = |entry: &Entry| Kept {
            seq: entry.seq,
            text: if entry.secret { void(entry.seq) } else { entry.text.clone() },
            sent: entry.sent,
            answered: entry.answered,
            pending: entry.pending,
        };
        self.entries.iter().map(kept).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many have no outcome.
    pub(crate) fn pending(&self) -> usize {
        self.entries.iter().filter(|entry| entry.answered.is_none()).count()
    }

    /// The first number without an outcome, as hello tells it.
    pub(crate) fn first_pending(&self) -> u64 {
        self.entries.iter().find(|entry| entry.answered.is_none()).map_or(self.seq + 1, |entry| entry.seq)
    }

    /// The highest number that it holds, or 0.
    pub(crate) fn last(&self) -> u64 {
        self.entries.back().map_or(0, |entry| entry.seq)
    }

    /// The highest number that it holds and that may have reached a server: answered or not, a crash may have undone it.
    pub(crate) fn last_sent(&self) -> Option<u64> {
        self.entries.iter().rev().find(|entry| entry.sent).map(|entry| entry.seq)
    }

    /// Adds an action; false when there is no room. `seen` is the frame that it was asked for at, where that counts.
    pub(crate) fn add(
        &mut self,
        name: &str,
        payload: &str,
        seen: Option<(u64, u64)>,
        ActionOptions { secret, until }: ActionOptions,
        ticket: u64,
    ) -> bool {
        let seq = self.seq + 1;
        let name = Value::from(name);
        let seen = seen.map(|(epoch, n)| format!(",[{epoch},{n}]")).unwrap_or_default();
        let text = format!(r#"["a",{seq},{name},{payload}{seen}]"#);
        if self.entries.len() >= self.entries_max || self.bytes + text.len() > BYTES_MAX {
            return false;
        }
        let until_saved = until == Until::Saved;
        let entry = Entry { secret, until_saved, ..Entry::new(seq, text, Waiter::Ticket(ticket)) };
        self.take(entry);
        true
    }

    fn take(&mut self, entry: Entry) {
        self.seq = entry.seq;
        self.bytes += entry.text.len();
        self.entries.push_back(entry);
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Entry> {
        self.place(seq).and_then(|at| self.entries.get(at))
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        self.place(seq).and_then(|at| self.entries.get_mut(at))
    }

    fn place(&self, seq: u64) -> Option<usize> {
        // Without a gap, but for those that have left before one that is pending.
        self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()
    }

    /// Forgets the content but not the number, which would be a gap. Gives back who waited for it.
    pub(crate) fn void(&mut self, seq: u64) -> Waiter {
        let Some(entry) = self.get_mut(seq) else { return Waiter::Nobody };
        let waiter = std::mem::replace(&mut entry.waiter, Waiter::Nobody);
        let before = entry.text.len();
        entry.text = void(seq);
        let after = entry.text.len();
        self.bytes = self.bytes - before + after;
        waiter
    }

    /// Nobody waits for that call any more.
    pub(crate) fn forget(&mut self, ticket: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.waiter == Waiter::Ticket(ticket)) {
            entry.waiter = Waiter::Nobody;
        }
    }

    /// Takes note of outcomes; they count when the ack covers them.
    pub(crate) fn note(&mut self, outcomes: Vec<(u64, Outcome)>) {
        for (seq, outcome) in outcomes {
            if let Some(entry) = self.get_mut(seq) {
                entry.outcome = Some(outcome);
            }
        }
    }

    /// What is newly known, given the highest number that has its outcome; what was not told was applied, with null.
    /// When the server `is_durable`, whoever waits for the disk is told by [`release`](Self::release) instead.
    pub(crate) fn settle(&mut self, ack: u64, is_durable: bool) -> Vec<Settled> {
        let mut settled = Vec::new();
        for entry in self.entries.iter_mut().take_while(|entry| entry.seq <= ack) {
            let told = entry.outcome.take();
            // [PENDING-2] No ack ends it, only its outcome does.
            entry.pending |= told == Some(Outcome::Pending);
            let told = told.filter(|outcome| *outcome != Outcome::Pending);
            if entry.pending && told.is_none() {
                continue;
            }
            entry.pending = false;
            let otherwise = told.as_ref().is_some_and(|outcome| !matches!(outcome, Outcome::Applied(_)));
            let again = entry.answered == Some(Answered::Applied) && otherwise;
            if entry.answered.is_none() || again {
                let outcome = told.unwrap_or(Outcome::Applied(Value::Null));
                entry.answered = Some(if otherwise { Answered::Otherwise } else { Answered::Applied });
                entry.value = None;
                match outcome {
                    Outcome::Applied(value) if is_durable && entry.until_saved => {
                        entry.value = Some(value);
                        continue;
                    }
                    _ => {}
                }
                let waiter = std::mem::replace(&mut entry.waiter, Waiter::Nobody);
                settled.push(Settled { seq: entry.seq, waiter, outcome, again });
            }
        }
        settled
    }

    /// Drops what is pending, though consumed, and not among those listed. What is above the `ack` of a welcome is not
    /// consumed, or not any more: a crash has undone it, and its outcome is to come like that of any other.
    pub(crate) fn lose_pending(&mut self, ack: u64, listed: &[u64]) -> Vec<Entry> {
        for entry in self.entries.iter_mut().filter(|entry| entry.seq > ack) {
            entry.pending = false;
            entry.outcome = None;
        }
        let (lost, kept): (Vec<_>, Vec<_>) =
            self.entries.drain(..).partition(|entry| entry.pending && !listed.contains(&entry.seq));
        self.entries = kept.into();
        self.bytes -= lost.iter().map(|entry| entry.text.len()).sum::<usize>();
        lost
    }

    /// Lets go of what is answered and on disk; none for `saved` when the server keeps no durable store. Gives back who
    /// has waited for that, with the replies.
    pub(crate) fn release(&mut self, saved: Option<u64>) -> Vec<(u64, Waiter, Value)> {
        let (bytes, mut told) = (&mut self.bytes, Vec::new());
        self.entries.retain_mut(|entry| {
            let goes = entry.answered.is_some() && saved.is_none_or(|saved| entry.seq <= saved);
            if goes {
                *bytes -= entry.text.len();
                told.extend(entry.value.take().map(|value| (entry.seq, entry.waiter, value)));
            }
            !goes
        });
        told
    }

    /// Empties it; the next number follows `seq`. Gives back those that had no outcome, or were not on disk for who waits
    /// for that.
    pub(crate) fn clear(&mut self, seq: u64) -> Vec<Entry> {
        self.seq = seq;
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().filter(|entry| entry.answered.is_none() || entry.value.is_some()).collect()
    }
}

impl Entry {
    fn new(seq: u64, text: String, waiter: Waiter) -> Self {
        Self {
            seq,
            text,
            sent: false,
            answered: None,
            pending: false,
            secret: false,
            sent_at: Duration::ZERO,
            outcome: None,
            waiter,
            until_saved: false,
            value: None,
        }
    }
}

/// An action whose content is not kept.
fn void(seq: u64) -> String {
    format!(r#"["v",{seq}]"#)
}

/// Bytes of all actions that wait; beyond: `outbox_full`.
const BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: ActionOptions = ActionOptions { secret: false, until: Until::Applied };

    /// EXACTLY-ONCE
    #[test]
    fn who_waits_for_the_disk_hears_when_the_action_is_there_or_that_a_crash_has_undone_it() {
        let until_saved = ActionOptions { until: Until::Saved, ..PLAIN };
        let mut outbox = Outbox::new(8);
        for ticket in 1..=3 {
            assert!(outbox.add("pay", "1", None, until_saved, ticket));
        }
        outbox.note(vec![(1, Outcome::Applied(Value::from(7)))]);
        assert!(outbox.settle(2, true).is_empty(), "applied is not saved");
        assert_eq!(outbox.pending(), 1);
        assert_eq!(outbox.release(Some(1)), [(1, Waiter::Ticket(1), Value::from(7))]);
        // A crash has undone the second, which is sent again and refused this time.
        let refused = Outcome::Refused { code: "closed".into(), text: "the shop is closed".into() };
        outbox.note(vec![(2, refused)]);
        let settled = outbox.settle(2, true);
        assert_eq!(
            settled.iter().map(|settled| (settled.seq, settled.waiter)).collect::<Vec<_>>(),
            [(2, Waiter::Ticket(2))]
        );
        assert!(outbox.release(Some(2)).is_empty());
        // Without a durable store applied is all there is.
        assert_eq!(outbox.settle(3, false).len(), 1);
    }

    #[test]
    fn an_applied_action_stays_until_it_is_saved() {
        let mut outbox = Outbox::new(8);
        assert!(outbox.add("a", "1", None, PLAIN, 1) && outbox.add("b", "2", None, PLAIN, 2));
        assert_eq!(outbox.get(2).map(|entry| entry.text.as_str()), Some(r#"["a",2,"b",2]"#));
        assert_eq!(outbox.settle(2, true).len(), 2);
        outbox.release(Some(1));
        assert_eq!((outbox.first_pending(), outbox.pending(), outbox.kept().len()), (3, 0, 1));
        outbox.release(None);
        assert!(outbox.is_empty());
    }

    /// [PENDING-2]
    #[test]
    fn what_is_pending_waits_for_its_outcome_whatever_is_acknowledged() {
        let mut outbox = Outbox::new(8);
        assert!(
            outbox.add("slow", "1", None, PLAIN, 1)
                && outbox.add("quick", "2", None, ActionOptions { secret: true, ..PLAIN }, 2)
        );
        outbox.note(vec![(1, Outcome::Pending)]);
        assert_eq!(outbox.settle(2, false).iter().map(|settled| settled.seq).collect::<Vec<_>>(), [2]);
        outbox.release(None);
        assert_eq!((outbox.first_pending(), outbox.pending()), (1, 1));
        let mut again = Outbox::new(8);
        again.restore(2, outbox.kept());
        assert!(again.settle(2, false).is_empty());
        again.note(vec![(1, Outcome::Applied(Value::from(3)))]);
        assert_eq!(again.settle(2, false).len(), 1);
    }

    #[test]
    fn a_full_outbox_takes_no_more_and_a_void_keeps_the_number() {
        let mut outbox = Outbox::new(2);
        assert!(outbox.add("a", "1", None, PLAIN, 1));
        assert!(!outbox.add("big", &format!("\"{}\"", "x".repeat(BYTES_MAX)), None, PLAIN, 2));
        assert!(outbox.add("a", "1", None, PLAIN, 3));
        assert!(!outbox.add("a", "1", None, PLAIN, 4));
        assert_eq!(outbox.void(1), Waiter::Ticket(1));
        assert_eq!(outbox.get(1).map(|entry| entry.text.as_str()), Some(r#"["v",1]"#));
        assert_eq!(outbox.void(9), Waiter::Nobody);
    }
}
