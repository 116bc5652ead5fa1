//! The desk between sessions and the writer: nothing that is handed over is lost or written twice, and whoever waits for
//! the end does not wait for ever.
//!
//! Loom has no time: a wait with a limit ends when it is woken. A bell that is not rung is a deadlock, which loom sees.

#[path = "../../../crates/store/src/writer/desk.rs"]
#[allow(dead_code, reason = "the models use as much of it as they need")]
mod desk;
#[path = "../../../crates/store/src/writer/slots.rs"]
#[allow(dead_code, reason = "the models use as much of it as they need")]
mod slots;

use std::time::Duration;

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::{bell, check};
use desk::{Desk, Done};
use slots::{Ranked, Wait};

/// Session, and turn.
type Record = (char, u64);

impl Ranked for Record {
    fn rank(&self) -> (u64, u64) {
        (1, self.1)
    }
}

struct Writer {
    desk: Desk<char, Record>,
    /// What was written, in order.
    written: Mutex<Vec<Record>>,
}

impl Writer {
    fn new() -> Arc<Self> {
        Arc::new(Self { desk: Desk::new(8), written: Mutex::new(Vec::new()) })
    }

    /// As the thread of the writer does, with a disk that fails for the first so many batches.
    fn run(&self, mut failures: u32) {
        while let Some(batch) = self.desk.next(&|| NOW) {
            let mut failed = Vec::new();
            if failures > 0 {
                failures -= 1;
                failed = batch.into_iter().map(|record| (record.0, record)).collect();
            } else {
                self.written.lock().expect("no model panics with it").extend(batch);
            }
            // Due at once: loom has no time to wait.
            let retry_at = (!failed.is_empty()).then_some(NOW);
            self.desk.done(Done { failed, again: WAITS, paced: Vec::new(), retry_at });
        }
    }

    fn put(&self, record: Record, wait: Wait) {
        self.desk.put(record.0, record, wait);
    }

    /// The last turn that was written of a session, which is no earlier than any before.
    fn last(&self, session: char) -> Option<u64> {
        let written = self.written.lock().expect("no model panics with it");
        let turns: Vec<_> = written.iter().filter(|record| record.0 == session).map(|record| record.1).collect();
        assert!(turns.is_sorted_by(|a, b| a < b), "an earlier record was written over a later one: {turns:?}");
        turns.last().copied()
    }
}

/// Two sessions hand over, one of them twice, while the writer runs; then all of it is on disk.
pub fn records_while_the_writer_runs() {
    check(|| {
        let writer = Writer::new();
        let (thread, other) = (Arc::clone(&writer), Arc::clone(&writer));
        let running = thread::spawn(move || thread.run(0));
        let session = thread::spawn(move || {
            other.put(('b', 1), WAITS);
        });
        writer.put(('a', 1), AT_ONCE);
        writer.put(('a', 2), WAITS);
        session.join().expect("it does not panic");
        assert!(writer.desk.flush(&|| NOW, NEVER), "all is written");
        assert_eq!((writer.last('a'), writer.last('b')), (Some(2), Some(1)));
        assert!(writer.desk.close().is_empty());
        running.join().expect("it does not panic");
    });
}

/// A batch fails while a later record comes: the later one is written, and the earlier one never after it.
pub fn a_failure_while_a_later_record_comes() {
    check(|| {
        let writer = Writer::new();
        let thread = Arc::clone(&writer);
        let running = thread::spawn(move || thread.run(1));
        writer.put(('a', 1), AT_ONCE);
        writer.put(('a', 2), AT_ONCE);
        assert!(writer.desk.flush(&|| NOW, NEVER), "all is written");
        assert_eq!(writer.last('a'), Some(2));
        assert!(writer.desk.close().is_empty());
        running.join().expect("it does not panic");
    });
}

/// A session hands over while the desk is closed: what it brought is written, or left and counted.
pub fn a_record_while_the_desk_closes() {
    check(|| {
        let writer = Writer::new();
        let (thread, other) = (Arc::clone(&writer), Arc::clone(&writer));
        let running = thread::spawn(move || thread.run(0));
        let session = thread::spawn(move || other.desk.put('a', ('a', 1), AT_ONCE).is_some());
        let left = writer.desk.close().len();
        let refused = session.join().expect("it does not panic");
        running.join().expect("it does not panic");
        let written = writer.last('a').is_some();
        assert_eq!(left + usize::from(refused) + usize::from(written), 1, "lost, or there twice");
    });
}

/// Two wait for the end at once, and both see it.
pub fn two_who_wait_for_the_end() {
    check(|| {
        let writer = Writer::new();
        let (thread, other) = (Arc::clone(&writer), Arc::clone(&writer));
        let running = thread::spawn(move || thread.run(0));
        let session = thread::spawn(move || {
            other.put(('b', 1), WAITS);
            assert!(other.desk.flush(&|| NOW, NEVER));
            assert_eq!(other.last('b'), Some(1));
        });
        writer.put(('a', 1), WAITS);
        assert!(writer.desk.flush(&|| NOW, NEVER));
        assert_eq!(writer.last('a'), Some(1));
        session.join().expect("it does not panic");
        writer.desk.close();
        running.join().expect("it does not panic");
    });
}

/// A desk that does not ring for what is due at once: whoever brought it waits for ever.
pub fn a_planted_missed_bell() {
    bell::deafen();
    records_while_the_writer_runs();
}

const NOW: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::MAX;
const AT_ONCE: Wait = Wait { now: NOW, delay: Duration::ZERO, is_urgent: true };
/// Long enough that it goes only with another, or at the end.
const WAITS: Wait = Wait { now: NOW, delay: Duration::from_secs(60), is_urgent: false };
