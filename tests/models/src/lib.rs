//! The driver role of a session, the [pen](writers) of its sockets and the [desk](writing) of the writer, model-checked: each model runs under loom, which tries every
//! order in which the steps of its threads can meet, and every value that a load may see.
//!
//! The role is the file of `windlass` itself, with loom's atomics in place of the standard ones. Around it is as much
//! of a session as it takes: an inbox behind a lock, and a state that loom watches, so that two drivers at once are seen.

pub mod writers;
pub mod writing;

#[path = "../../../crates/windlass/src/role.rs"]
#[allow(dead_code, reason = "the models use as much of it as they need")]
mod role;

#[path = "../../../crates/windlass/src/pen.rs"]
mod pen;
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) use crate::bell::Condvar;
}
mod bell;

use std::collections::VecDeque;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use role::Role;

/// Something for the session: who brings it, and the how many-th of theirs it is.
type Entry = (char, u32);

/// A session as its role sees it.
struct Session {
    role: Role,
    inbox: Mutex<VecDeque<Entry>>,
    /// Messages of the connection that wait in the inbox.
    waiting: AtomicUsize,
    /// What was applied, in order. Only the holder of the role touches it.
    applied: UnsafeCell<Vec<Entry>>,
    /// Connections that were woken to be the driver, and drivers that were spawned; they have not come yet.
    woken: AtomicUsize,
    spawned: AtomicUsize,
    gone: AtomicBool,
}

// SAFETY: `applied` is touched by the holder of the role alone. That this is so is what the models check: loom's cell
// panics when two threads are in it.
#[allow(unsafe_code, reason = "sharing the watched cell between threads is the point of the models")]
unsafe impl Sync for Session {}

impl Session {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            role: Role::default(),
            inbox: Mutex::new(VecDeque::new()),
            waiting: AtomicUsize::new(0),
            applied: UnsafeCell::new(Vec::new()),
            woken: AtomicUsize::new(0),
            spawned: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        })
    }

    fn apply(&self, entry: Entry) {
        // SAFETY: loom checks the access, and the pointer does not leave the closure.
        #[allow(unsafe_code, reason = "loom's cell hands out pointers")]
        self.applied.with_mut(|applied| unsafe { (*applied).push(entry) });
    }

    /// One turn takes one entry, so that handing over is met as well. True when there is more.
    fn turn(&self, first: Option<Entry>) -> bool {
        if let Some(entry) = first {
            self.apply(entry);
        }
        let mut inbox = self.inbox.lock().expect("no model panics with it");
        let entry = inbox.pop_front();
        let more = !inbox.is_empty();
        drop(inbox);
        if let Some(entry) = entry {
            if entry.0 == CONNECTION {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
            }
            self.apply(entry);
        }
        more
    }

    fn work(&self, turns_max: usize, first: Option<Entry>) {
        let mut first = first;
        if !self.role.work(turns_max, || self.turn(first.take())) {
            self.spawned.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn push(&self, entry: Entry) {
        self.inbox.lock().expect("no model panics with it").push_back(entry);
    }

    /// As a connection brings its messages.
    fn text(&self, n: u32, turns_max: usize) {
        let entry = (CONNECTION, n);
        if self.waiting.load(Ordering::Acquire) == 0 && self.role.take() {
            self.work(turns_max, Some(entry));
            return;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.push(entry);
        if self.role.take() {
            self.work(turns_max, None);
        }
    }

    /// As an update or a job's report comes.
    fn update(&self, who: char, n: u32) {
        self.push((who, n));
        if self.role.call() {
            self.woken.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// As the janitor takes a session away that nobody needs.
    fn retire(&self) {
        if !self.role.take() {
            return;
        }
        let is_empty = self.inbox.lock().expect("no model panics with it").is_empty();
        self.gone.store(is_empty, Ordering::Release);
        if !is_empty || !self.role.rest() {
            self.role.hand_over();
            self.spawned.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The drivers that were called come, and no other. A connection looks whether it is still needed.
    fn drivers_come(&self) {
        while self.woken.swap(0, Ordering::AcqRel) > 0 {
            if self.role.is_called() && self.role.take() {
                self.work(TURNS_MANY, None);
            }
        }
        while self.spawned.swap(0, Ordering::AcqRel) > 0 {
            if self.role.take() {
                self.work(TURNS_MANY, None);
            }
        }
    }

    /// What was applied, after all threads have ended and all drivers have come. Nothing may be left.
    fn outcome(&self) -> Vec<Entry> {
        self.drivers_come();
        assert!(self.inbox.lock().expect("no model panics with it").is_empty(), "a wake-up was lost");
        assert!(self.role.take(), "the role is left with nobody");
        // SAFETY: as in `apply`.
        #[allow(unsafe_code, reason = "loom's cell hands out pointers")]
        self.applied.with(|applied| unsafe { (*applied).clone() })
    }
}

/// What one of them brought, in the order in which it was applied.
fn of(applied: &[Entry], who: char) -> Vec<u32> {
    applied.iter().filter(|entry| entry.0 == who).map(|entry| entry.1).collect()
}

pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut loom = loom::model::Builder::new();
    // Every order with so many switches at odd moments: faults that need more are hardly known, and the number of
    // orders grows without end.
    loom.preemption_bound = Some(3);
    loom.check(model);
}

/// A connection sends two messages while an update comes: all three are applied once, the messages in order.
pub fn messages_and_an_update() {
    check(|| {
        let session = Session::new();
        let other = Arc::clone(&session);
        let updater = thread::spawn(move || other.update('u', 1));
        session.text(1, TURNS_MANY);
        session.text(2, TURNS_MANY);
        updater.join().expect("it does not panic");
        let applied = session.outcome();
        assert_eq!((of(&applied, CONNECTION), of(&applied, 'u')), (vec![1, 2], vec![1]));
    });
}

/// The same with a driver that hands over after each turn, and one that was called coming in between.
pub fn messages_while_the_role_is_handed_over() {
    check(|| {
        let session = Session::new();
        let other = Arc::clone(&session);
        let driver = thread::spawn(move || {
            other.update('u', 1);
            other.drivers_come();
        });
        session.text(1, 1);
        session.text(2, 1);
        driver.join().expect("it does not panic");
        let applied = session.outcome();
        assert_eq!((of(&applied, CONNECTION), of(&applied, 'u')), (vec![1, 2], vec![1]));
    });
}

/// Three threads update, and one of them drives when it is woken: each update is applied once.
pub fn updates_of_two_threads() {
    check(|| {
        let session = Session::new();
        let (first, second) = (Arc::clone(&session), Arc::clone(&session));
        let first = thread::spawn(move || first.update('a', 1));
        let second = thread::spawn(move || second.update('b', 1));
        session.update('a', 2);
        session.drivers_come();
        first.join().expect("it does not panic");
        second.join().expect("it does not panic");
        let applied = session.outcome();
        let mut of_a = of(&applied, 'a');
        of_a.sort_unstable();
        assert_eq!((of_a, of(&applied, 'b')), (vec![1, 2], vec![1]));
    });
}

/// The janitor comes while a message does: the message is applied, or its sender finds that the session is gone.
pub fn a_message_while_the_session_is_retired() {
    check(|| {
        let session = Session::new();
        let other = Arc::clone(&session);
        let janitor = thread::spawn(move || other.retire());
        session.text(1, TURNS_MANY);
        session.update('u', 1);
        janitor.join().expect("it does not panic");
        let applied = session.outcome();
        // Whoever comes to a session that is gone is turned away in its turn; the turn itself must come.
        assert_eq!((of(&applied, CONNECTION), of(&applied, 'u')), (vec![1], vec![1]));
    });
}

/// A role that forgets what came while it ran, to see that the models find a lost wake-up.
pub fn a_planted_lost_wake_up() {
    check(|| {
        let session = Session::new();
        let other = Arc::clone(&session);
        let updater = thread::spawn(move || {
            if other.role.call() {
                other.woken.fetch_add(1, Ordering::AcqRel);
            }
            // Told before there is something to find: whoever looked in between goes home.
            other.push(('u', 1));
        });
        session.drivers_come();
        updater.join().expect("it does not panic");
        assert_eq!(of(&session.outcome(), 'u'), vec![1]);
    });
}

const CONNECTION: char = 'c';
/// More turns than any model needs.
const TURNS_MANY: usize = 8;
