//! Events: what happens once, kept for a client until it has acknowledged it.

use std::borrow::Cow;
use std::collections::VecDeque;

use windlass_protocol::frame::{Extras, event_body};
use windlass_protocol::limits::{EVENT_BYTES_MAX, EVENTS_MAX};
use windlass_protocol::{EventId, FrameNumber};

use crate::record::{ClientRecord, EventRecord, LostRecord};

/// Who hears an event.
///
/// ```
/// use windlass_engine::Audience;
///
/// let who = |audience| match audience {
///     Audience::Caller => "the page that asked",
///     Audience::Session => "every page of the session",
/// };
/// assert_eq!(who(Audience::Caller), "the page that asked");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The client whose action caused it; without one, every client.
    Caller,
    /// Every client of the session.
    Session,
}

/// What may become of an event when a client's queue is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// It may be dropped.
    Volatile,
    /// It is kept as long as there is room for the events that must be kept.
    Must,
    /// Only the latest of its key is kept.
    Keyed(String),
}

/// The events of one client that it has not acknowledged, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    waiting: VecDeque<Event>,
    bytes: usize,
    /// What was dropped, oldest first; all but the last were sent, and each is told by itself.
    lost: VecDeque<Lost>,
    /// Events that were sent come first; this many. What is sent is bounded by the window.
    sent: usize,
}

#[derive(Debug)]
struct Event {
    id: EventId,
    class: Class,
    body: Box<str>,
    sent_in: FrameNumber,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    /// The id of the newest event that was dropped: what is left comes after it.
    until: EventId,
    count: u64,
    sent_in: Option<FrameNumber>,
}

impl EventQueue {
    pub(crate) fn push(&mut self, id: EventId, class: Class, body: String) {
        if let Class::Keyed(key) = &class {
            let unsent = self.waiting.iter().skip(self.sent);
            let same =
                unsent.enumerate().find(|(_, event)| matches!(&event.class, Class::Keyed(other) if other == key));
            if let Some((at, _)) = same {
                self.remove(self.sent + at);
            }
        }
        self.bytes += body.len();
        self.waiting.push_back(Event { id, class, body: body.into(), sent_in: FrameNumber(0) });
        while self.waiting.len() - self.sent > EVENTS_MAX || self.bytes > EVENT_BYTES_MAX {
            let id = self.remove(self.sent + self.droppable());
            match self.lost.back_mut().filter(|lost| lost.sent_in.is_none()) {
                Some(lost) => *lost = Lost { until: lost.until.max(id), count: lost.count + 1, sent_in: None },
                None => self.lost.push_back(Lost { until: id, count: 1, sent_in: None }),
            }
        }
    }

    /// The unsent event that goes first: the oldest that may, the latest of a key before one that must be kept.
    fn droppable(&self) -> usize {
        let oldest =
            |may_go: fn(&Class) -> bool| self.waiting.iter().skip(self.sent).position(|event| may_go(&event.class));
        let volatile = oldest(|class| matches!(class, Class::Volatile));
        volatile.or_else(|| oldest(|class| matches!(class, Class::Keyed(_)))).unwrap_or(0)
    }

    /// Removes an unsent event.
    fn remove(&mut self, at: usize) -> EventId {
        let event = self.waiting.remove(at).expect("the place was just found");
        self.bytes -= event.body.len();
        event.id
    }

    /// The memory that events take.
    pub(crate) fn held_bytes(&self) -> usize {
        self.waiting.iter().map(|event| size_of::<Event>() + event.body.len()).sum()
    }

    /// Writes all of it into the record of its client.
    pub(crate) fn record<'a>(&'a self, record: &mut ClientRecord<'a>) {
        record.events = self.waiting.iter().map(Event::record).collect();
        let lost = |lost: &Lost| LostRecord { until: (lost.until.epoch, lost.until.n), count: lost.count };
        record.lost = self.lost.iter().map(lost).collect();
    }

    /// As they were recorded, told by the frame before the first of this loading.
    pub(crate) fn restore(record: &ClientRecord<'_>) -> Self {
        let mut queue = Self::default();
        for EventRecord { id, class, key, body } in &record.events {
            let class = match (&**class, key) {
                ("keyed", Some(key)) => Class::Keyed(key.clone().into_owned()),
                ("volatile", _) => Class::Volatile,
                _ => Class::Must,
            };
            let id = EventId { epoch: id.0, n: id.1 };
            queue.waiting.push_back(Event { id, class, body: (&**body).into(), sent_in: FrameNumber(0) });
        }
        queue.sent = queue.waiting.len();
        let lost = |lost: &LostRecord| Lost {
            until: EventId { epoch: lost.until.0, n: lost.until.1 },
            count: lost.count,
            sent_in: Some(FrameNumber(0)),
        };
        let together = record.lost.iter().map(lost).reduce(|one, next| Lost { count: one.count + next.count, ..next });
        queue.lost.extend(together);
        queue
    }

    /// Gives back the room that nothing is in.
    pub(crate) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
        self.lost.shrink_to_fit();
    }

    /// Whether there is something that no frame has carried.
    pub(crate) fn has_unsent(&self) -> bool {
        self.waiting.len() > self.sent || self.lost.back().is_some_and(|lost| lost.sent_in.is_none())
    }

    /// Writes what no frame has carried into frame `n`.
    pub(crate) fn write_unsent(&mut self, n: FrameNumber, extras: &mut Extras<'_>) {
        let mut lost = self.lost.back_mut().filter(|lost| lost.sent_in.is_none());
        for event in self.waiting.iter_mut().skip(self.sent) {
            if lost.as_ref().is_some_and(|lost| lost.until < event.id) {
                write_lost(lost.take(), n, extras);
            }
            event.sent_in = n;
            extras.event(event.id, &event.body);
            self.bytes -= event.body.len();
        }
        write_lost(lost, n, extras);
        self.sent = self.waiting.len();
    }

    /// Forgets what frames up to `n` carried.
    pub(crate) fn acknowledge(&mut self, n: FrameNumber) {
        while self.sent > 0 && self.waiting.front().is_some_and(|event| event.sent_in <= n) {
            self.waiting.pop_front();
            self.sent -= 1;
        }
        while self.lost.front().is_some_and(|lost| lost.sent_in.is_some_and(|sent_in| sent_in <= n)) {
            self.lost.pop_front();
        }
    }

    /// The client comes back having handled everything up to `seen`; the frames that carried the rest are gone.
    pub(crate) fn rewind(&mut self, seen: EventId) {
        while self.waiting.front().is_some_and(|event| event.id <= seen) {
            let event = self.waiting.pop_front().expect("there is a front");
            if self.sent > 0 {
                self.sent -= 1;
            } else {
                self.bytes -= event.body.len();
            }
        }
        self.bytes += self.waiting.iter().take(self.sent).map(|event| event.body.len()).sum::<usize>();
        self.sent = 0;
        // What it has not heard of is told together.
        let unheard = self.lost.drain(..).filter(|lost| lost.until > seen);
        let together = unheard.reduce(|one, next| Lost { count: one.count + next.count, ..next });
        self.lost.extend(together.map(|lost| Lost { sent_in: None, ..lost }));
    }
}

impl Event {
    fn record(&self) -> EventRecord<'_> {
        let (class, key) = match &self.class {
            Class::Volatile => ("volatile", None),
            Class::Must => ("must", None),
            Class::Keyed(key) => ("keyed", Some(Cow::Borrowed(key.as_str()))),
        };
        let id = (self.id.epoch, self.id.n);
        EventRecord { id, class: Cow::Borrowed(class), key, body: Cow::Borrowed(&self.body) }
    }
}

fn write_lost(lost: Option<&mut Lost>, n: FrameNumber, extras: &mut Extras<'_>) {
    if let Some(lost) = lost {
        lost.sent_in = Some(n);
        let body = event_body("events_lost", &serde_json::json!({ "count": lost.count }));
        extras.event(lost.until, &body.expect("a number serialises"));
    }
}

#[cfg(test)]
mod tests {
    use windlass_protocol::{Dialect, Epoch};

    use super::*;

    fn id(n: u64) -> EventId {
        EventId { epoch: Epoch(1), n }
    }

    fn write(queue: &mut EventQueue, n: u64) -> Vec<(u64, String)> {
        let mut out = b"[".to_vec();
        let mut extras = Extras::new(&mut out, Dialect::Compact);
        queue.write_unsent(FrameNumber(n), &mut extras);
        extras.end();
        let text = String::from_utf8(out).unwrap().replacen("[,", "[", 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let events = value.get(0).and_then(|extras| extras["e"].as_array()).cloned().unwrap_or_default();
        events.iter().map(|event| (event[1].as_u64().unwrap(), event[2].as_str().unwrap().to_owned())).collect()
    }

    fn body(kind: &str) -> String {
        event_body(kind, &0).unwrap()
    }

    /// [EVENT-1]
    #[test]
    fn an_event_is_written_once_and_again_only_after_a_rewind() {
        let mut queue = EventQueue::default();
        queue.push(id(1), Class::Must, body("a"));
        queue.push(id(2), Class::Volatile, body("b"));
        assert_eq!(write(&mut queue, 1).len(), 2);
        assert!(!queue.has_unsent());
        queue.rewind(id(1));
        assert_eq!(write(&mut queue, 2), [(2, "b".to_owned())]);
        queue.acknowledge(FrameNumber(2));
        queue.rewind(id(0));
        assert!(!queue.has_unsent());
    }

    #[test]
    fn of_a_key_the_latest_is_kept() {
        let mut queue = EventQueue::default();
        queue.push(id(1), Class::Keyed("k".into()), body("a"));
        queue.push(id(2), Class::Must, body("b"));
        queue.push(id(3), Class::Keyed("k".into()), body("c"));
        assert_eq!(write(&mut queue, 1), [(2, "b".to_owned()), (3, "c".to_owned())]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_that_may_go_and_says_how_many() {
        let mut queue = EventQueue::default();
        queue.push(id(1), Class::Must, body("must"));
        for n in 2..=EVENTS_MAX as u64 + 3 {
            queue.push(id(n), Class::Volatile, body("v"));
        }
        let events = write(&mut queue, 1);
        assert_eq!(events[0], (1, "must".to_owned()));
        assert_eq!(events[1], (4, "events_lost".to_owned()));
        assert_eq!(events[2].0, 5);
        assert_eq!(events.len(), EVENTS_MAX + 1);
        queue.acknowledge(FrameNumber(1));
        assert_eq!(queue.bytes, 0);
        assert!(!queue.has_unsent());
    }

    /// What was dropped after a count had been sent was added to that count, and forgotten with its ack.
    #[test]
    fn what_is_lost_after_a_count_was_sent_is_counted_by_itself() {
        let mut queue = EventQueue::default();
        let mut ids = 1..;
        let mut flood = |queue: &mut EventQueue| {
            ids.by_ref().take(EVENTS_MAX + 2).for_each(|n| queue.push(id(n), Class::Must, body("must")))
        };
        let counts = |written: Vec<(u64, String)>| written.iter().filter(|(_, kind)| kind == "events_lost").count();
        flood(&mut queue);
        assert_eq!(counts(write(&mut queue, 1)), 1);
        flood(&mut queue);
        queue.acknowledge(FrameNumber(1));
        assert_eq!(queue.lost.iter().map(|lost| lost.count).sum::<u64>(), 2);
        assert_eq!(counts(write(&mut queue, 2)), 1);
        flood(&mut queue);
        queue.rewind(id(3));
        assert_eq!(queue.lost.iter().map(|lost| lost.count).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn the_latest_of_a_key_outlives_what_is_volatile() {
        let mut queue = EventQueue::default();
        queue.push(id(1), Class::Keyed("k".into()), body("keyed"));
        for n in 2..=EVENTS_MAX as u64 + 5 {
            queue.push(id(n), Class::Volatile, body("v"));
        }
        assert_eq!(write(&mut queue, 1)[0], (1, "keyed".to_owned()));
    }

    #[test]
    fn events_that_must_be_kept_are_bounded_too_and_counted() {
        let mut queue = EventQueue::default();
        for n in 1..=EVENTS_MAX as u64 + 5 {
            queue.push(id(n), Class::Must, body("must"));
        }
        let events = write(&mut queue, 1);
        assert_eq!(events[0], (5, "events_lost".to_owned()));
        assert_eq!(events.len(), EVENTS_MAX + 1);
    }
}
