//! What the worlds hold the engine to: the promises, and everything that was seen on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use windlass_protocol::ClientId;
use windlass_protocol::limits::WINDOW_BYTES;

use crate::app::{Emission, EmissionKind, Kind};

/// A promise that was broken, and how.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) promise: &'static str,
    pub(crate) story: String,
}

pub(crate) type Held<T = ()> = Result<T, Broken>;

pub(crate) fn broken<T>(promise: &'static str, story: impl Into<String>) -> Held<T> {
    Err(Broken { promise, story: story.into() })
}

/// The final outcome of an action, as the page that asked for it was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Applied(Value),
    Failed(String),
    Refused(String),
    /// It was never sent, and its session is gone.
    Gone,
    /// It was sent to a session that is gone.
    Unknown,
}

/// An action of the world, known everywhere by its place in the list of them.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) client: String,
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) secret: bool,
    pub(crate) outcome: Option<Outcome>,
}

/// What one client has handled of the events, by their numbers in the session's list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) numbers: Vec<usize>,
    pub(crate) lost: u64,
    /// A refetch lets the server send again, and count as lost, what was heard already.
    pub(crate) refetched: bool,
    /// It was another tab's first, which has handled some of them since.
    pub(crate) torn: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) tickets: Vec<Ticket>,
    /// What was sent to other sessions, by the action that did.
    pub(crate) posted: Vec<u32>,
    /// The instances that have said hello for each client.
    instances: BTreeMap<ClientId, BTreeSet<String>>,
}

impl Judge {
    /// A hello has reached the server.
    pub(crate) fn greeted(&mut self, client: ClientId, instance: &str) {
        self.instances.entry(client).or_default().insert(instance.to_owned());
    }

    /// TAKEOVER: whoever hears that another page has its client has been met by another page, and not by itself.
    pub(crate) fn taken_over(&self, client: ClientId, instance: &str) -> Held {
        let others = self.instances.get(&client).is_some_and(|known| known.iter().any(|other| other != instance));
        if others { Ok(()) } else { broken("TAKEOVER", format!("{client} was taken over by its own page {instance}")) }
    }

    /// NO-SILENCE: each action gets one final outcome, and one that it can have had.
    pub(crate) fn settle(&mut self, ticket: u32, outcome: Outcome) -> Held {
        let record = &mut self.tickets[ticket as usize];
        if let Some(earlier) = &record.outcome {
            return broken("NO-SILENCE", format!("action {ticket} was {earlier:?} and then {outcome:?}"));
        }
        let fits = match (&outcome, record.kind) {
            (Outcome::Gone | Outcome::Unknown, _) => true,
            (Outcome::Refused(code), _) if code == "not_kept" => record.secret,
            // One that cannot be shown takes its whole turn back.
            (Outcome::Failed(code), _) if code == "state_unserialisable" => true,
            // One whose process ended before it did.
            (Outcome::Failed(code), Kind::Later) => matches!(&**code, "own" | "lost"),
            (Outcome::Refused(code), Kind::Later) => code == "queue_full",
            (Outcome::Refused(code), Kind::Seen) => code == "stale",
            (Outcome::Refused(code), Kind::Stray) => code == "unknown_field",
            (Outcome::Applied(value), Kind::Reply | Kind::Query | Kind::Later) => {
                value.as_u64() == Some(u64::from(ticket))
            }
            (Outcome::Failed(code), Kind::Fail) => code == "own",
            (Outcome::Failed(code), Kind::Panic) => code == "internal",
            (Outcome::Refused(code), Kind::Unknown) => code == "unknown_action",
            (Outcome::Refused(code), Kind::Malformed) => code == "bad_payload",
            (Outcome::Refused(code), Kind::Cancel) => code == "gone",
            (Outcome::Applied(value), kind) => value.is_null() && (kind.logs() || kind == Kind::Cancel),
            _ => false,
        };
        if !fits {
            return broken("NO-SILENCE", format!("action {ticket}, a {:?}, cannot end as {outcome:?}", record.kind));
        }
        record.outcome = Some(outcome);
        Ok(())
    }

    /// EXACTLY-ONCE: what was begun, or sent to another session, was so once for each action that succeeded.
    ///
    /// With `crashes` it may not have been at all: what goes to another session is kept by neither.
    pub(crate) fn begun_once(&self, kind: Kind, happened: &[u32], crashes: bool) -> Held {
        let mut counts = vec![0; self.tickets.len()];
        happened.iter().for_each(|&ticket| counts[ticket as usize] += 1);
        for (ticket, (record, count)) in self.tickets.iter().zip(counts).enumerate() {
            let right = match &record.outcome {
                Some(Outcome::Applied(_)) if crashes && record.kind == kind => count <= 1,
                Some(Outcome::Applied(_)) => count == u32::from(record.kind == kind),
                Some(Outcome::Unknown) | None => count <= 1,
                Some(Outcome::Failed(code)) if record.kind == Kind::Later && code == "lost" => count <= 1,
                Some(Outcome::Failed(code)) if kind == Kind::Later && code == "own" => {
                    count == u32::from(record.kind == kind)
                }
                Some(_) => count == 0,
            };
            if !right {
                return broken("EXACTLY-ONCE", format!("action {ticket} has begun {count} times: {record:?}"));
            }
        }
        Ok(())
    }

    /// EXACTLY-ONCE: over all sessions there were, what happened is what the pages were told.
    pub(crate) fn exactly_once<'a>(&self, logs: impl Iterator<Item = &'a [u32]>) -> Held {
        let mut counts = vec![0; self.tickets.len()];
        for log in logs {
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for &ticket in log {
                counts[ticket as usize] += 1;
                let Ticket { client, seq, .. } = &self.tickets[ticket as usize];
                let before = last.insert(client, *seq);
                if before.is_some_and(|before| before >= *seq) {
                    return broken("EXACTLY-ONCE", format!("action {ticket}, seq {seq}, came after seq {before:?}"));
                }
            }
        }
        for (ticket, (record, count)) in self.tickets.iter().zip(counts).enumerate() {
            let right = match &record.outcome {
                Some(Outcome::Applied(_)) => count == u32::from(record.kind.logs()),
                Some(Outcome::Failed(_) | Outcome::Refused(_) | Outcome::Gone) => count == 0,
                Some(Outcome::Unknown) | None => count <= 1,
            };
            if !right {
                return broken("EXACTLY-ONCE", format!("action {ticket} happened {count} times: {record:?}"));
            }
        }
        Ok(())
    }
}

/// EVENTS: what a client was owed, against what it heard.
///
/// What a crash has `undone` may have been heard, unless it had to be kept until it was saved.
pub(crate) fn events(heard: &Heard, owed: &[(usize, Emission)], undone: &[Emission]) -> Held {
    if let Some(pair) = heard.numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
        return broken("EVENTS", format!("event {} was heard after event {}", pair[1], pair[0]));
    }
    let known: BTreeSet<usize> = heard.numbers.iter().copied().collect();
    let eager = |emission: &Emission| emission.kind != EmissionKind::Must;
    let was_there = |number: usize| undone.iter().any(|emission| emission.number == number && eager(emission));
    let stray = |number: &usize| !owed.iter().any(|(owed, _)| *owed == *number) && !was_there(*number);
    if let Some(stray) = known.iter().find(|number| stray(number)) {
        return broken("EVENTS", format!("event {stray} was for somebody else"));
    }
    let missed = || owed.iter().filter(|(number, _)| !known.contains(number));
    // A later one of its key that was heard, and that a crash undid, has taken its place all the same.
    let replaced =
        |kind: EmissionKind| undone.iter().any(|emission| emission.kind == kind && known.contains(&emission.number));
    let latest = |number: usize, kind: EmissionKind| {
        owed.iter().rev().find(|(_, later)| later.kind == kind).is_some_and(|(latest, _)| *latest == number)
    };
    let least = missed().filter(|(number, emission)| match emission.kind {
        EmissionKind::Keyed(_) => latest(*number, emission.kind) && !replaced(emission.kind),
        EmissionKind::Must | EmissionKind::Volatile => true,
    });
    let (least, most) = (least.count() as u64, missed().count() as u64);
    if heard.torn {
        return Ok(());
    }
    if heard.lost < least || (heard.lost > most && !heard.refetched) {
        let missed: Vec<_> = missed().collect();
        let story = format!("{} events were said to be lost, from {least} to {most} were: {missed:?}", heard.lost);
        return broken("EVENTS", story);
    }
    Ok(())
}

/// BOUNDED: the frames under way on one connection.
#[derive(Debug, Default)]
pub(crate) struct Window {
    frames: VecDeque<(u64, usize)>,
}

impl Window {
    pub(crate) fn sent(&mut self, n: u64, len: usize) -> Held {
        self.frames.push_back((n, len));
        let bytes: usize = self.frames.iter().map(|(_, len)| len).sum();
        if bytes > WINDOW_BYTES && self.frames.len() > 1 {
            return broken("BOUNDED", format!("{} frames of {bytes} bytes are unacknowledged", self.frames.len()));
        }
        Ok(())
    }

    pub(crate) fn acknowledged(&mut self, n: u64) {
        self.frames.retain(|(sent, _)| *sent > n);
    }
}
