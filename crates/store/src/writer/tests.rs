//! The writer with a store whose calls the tests watch, hold up and fail.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::mpsc::{self, Receiver, SyncSender};

use super::*;
use crate::{Claim, MemoryStore, Node};

/// Tells of each commit before it is made, and does with it what the test says.
struct Watched {
    inner: MemoryStore,
    coming: Mutex<SyncSender<Vec<(Key, u64)>>>,
    go: Mutex<Receiver<Answer>>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Succeed,
    Fail,
    Panic,
}

impl Watched {
    fn ask(&self, batch: Vec<(Key, u64)>) -> Result<(), StoreError> {
        // The test may have ended.
        let _ = lock(&self.coming).send(batch);
        match lock(&self.go).recv() {
            Ok(Answer::Fail) => Err(StoreError::DiskFull("/data".into())),
            Ok(Answer::Panic) => panic!("a store that panics"),
            Ok(Answer::Succeed) | Err(_) => Ok(()),
        }
    }
}

impl SessionStore for Watched {
    fn claim(&self, key: Key, node: Node) -> Result<Claim, StoreError> {
        self.inner.claim(key, node)
    }

    fn save(&self, batch: &[Save]) -> Vec<Outcome> {
        match self.ask(batch.iter().map(|save| (save.key, save.turn)).collect()) {
            Ok(()) => self.inner.save(batch),
            Err(error) => vec![Outcome::Failed(error); batch.len()],
        }
    }

    fn release(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        self.inner.release(key, epoch)
    }

    fn remove(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
        self.ask(vec![(key, u64::MAX)])?;
        self.inner.remove(key, epoch)
    }

    fn expired(&self, now: u64, max: usize) -> Result<Vec<Expired>, StoreError> {
        self.inner.expired(now, max)
    }
}

struct Bench {
    // Dropped before the writer, whose store then waits for no more answers.
    go: SyncSender<Answer>,
    store: Arc<Watched>,
    writer: Writer,
    coming: Receiver<Vec<(Key, u64)>>,
    told: Arc<dyn Told>,
    reports: Receiver<Report>,
    health: Receiver<Health>,
}

impl Bench {
    /// A writer that commits only what is urgent, or at the end.
    fn new() -> Self {
        Self::with(|options| options)
    }

    fn with(change: impl FnOnce(WriterOptions) -> WriterOptions) -> Self {
        let ((coming_tx, coming), (go, go_rx)) = (mpsc::sync_channel(100), mpsc::sync_channel(100));
        let ((told, reports), (watch, health)) = (mpsc::sync_channel(1000), mpsc::sync_channel(100));
        let store =
            Arc::new(Watched { inner: MemoryStore::new(1), coming: Mutex::new(coming_tx), go: Mutex::new(go_rx) });
        let options = WriterOptions {
            delay: HOUR,
            retry_min: Duration::from_millis(1),
            retry_max: Duration::from_millis(2),
            watch: Arc::new(move |health| watch.send(health.clone()).unwrap()),
            ..WriterOptions::default()
        };
        let writer = Writer::new(store.clone(), change(options)).unwrap();
        let told = Arc::new(move |report| told.send(report).unwrap());
        Self { store, writer, coming, go, told, reports, health }
    }

    fn claim(&self, key: u8) -> Epoch {
        self.store.claim(Key([key; 12]), Node(0)).unwrap().epoch
    }

    fn request(&self, key: u8, epoch: Epoch, turn: u64) -> SaveRequest {
        SaveRequest {
            key: Key([key; 12]),
            epoch,
            turn,
            expiry: 0,
            is_urgent: false,
            record: Box::new(move || Ok(format!("{key}:{turn}").into())),
            told: Arc::clone(&self.told),
        }
    }

    fn save(&self, key: u8, epoch: Epoch, turn: u64) {
        self.writer.save(self.request(key, epoch, turn));
    }

    fn save_now(&self, key: u8, epoch: Epoch, turn: u64) {
        self.writer.save(SaveRequest { is_urgent: true, ..self.request(key, epoch, turn) });
    }

    fn answer(&self, answer: Answer) {
        self.go.send(answer).unwrap();
    }

    /// The next commit that the store is asked for.
    fn commit(&self) -> Vec<(u8, u64)> {
        self.coming.recv().unwrap().into_iter().map(|(key, turn)| (key.0[0], turn)).collect()
    }

    fn report(&self) -> (u8, u64, Written) {
        let report = self.reports.recv().unwrap();
        (report.key.0[0], report.turn, report.written)
    }

    fn saved(&self, key: u8) -> Option<Bytes> {
        self.store.claim(Key([key; 12]), Node(0)).unwrap().record.map(|record| record.bytes)
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_many_sessions_want_saved_is_one_commit() {
    let bench = Bench::new();
    bench.answer(Answer::Succeed);
    for key in 1..=10 {
        bench.save(key, bench.claim(key), 1);
    }
    bench.writer.flush(HOUR).unwrap();
    assert_eq!(bench.commit(), (1..=10).map(|key| (key, 1)).collect::<Vec<_>>());
    for key in 1..=10 {
        assert_eq!(bench.report(), (key, 1, Written::Saved));
        assert_eq!(bench.saved(key), Some(format!("{key}:1").into()));
    }
    let stats = bench.writer.stats();
    assert_eq!((stats.commits, stats.records, stats.bytes, stats.waiting), (1, 10, 31, 0));
}

#[test]
fn an_urgent_one_goes_at_once_and_takes_along_what_waits() {
    let bench = Bench::new();
    let (one, two) = (bench.claim(1), bench.claim(2));
    bench.save(1, one, 1);
    bench.save_now(2, two, 1);
    assert_eq!(bench.commit(), [(2, 1), (1, 1)]);
    bench.answer(Answer::Succeed);
    assert_eq!((bench.report().0, bench.report().0), (2, 1));
}

/// BOUNDED. One copy waits and one is written, however often a session asks.
#[test]
fn a_session_has_one_copy_waiting_and_one_being_written() {
    let bench = Bench::new();
    let epoch = bench.claim(1);
    bench.save_now(1, epoch, 1);
    assert_eq!(bench.commit(), [(1, 1)]);
    for turn in 2..=99 {
        let record = Box::new(|| panic!("nobody needs this record any longer"));
        bench.writer.save(SaveRequest { record, ..bench.request(1, epoch, turn) });
    }
    bench.save_now(1, epoch, 100);
    assert_eq!(bench.writer.stats().waiting, 1);
    bench.answer(Answer::Succeed);
    bench.answer(Answer::Succeed);
    assert_eq!(bench.commit(), [(1, 100)]);
    assert_eq!([bench.report(), bench.report()], [(1, 1, Written::Saved), (1, 100, Written::Saved)]);
    assert_eq!(bench.saved(1), Some("1:100".into()));
}

#[test]
fn as_many_as_fit_into_a_commit_go_at_once() {
    let bench = Bench::with(|options| WriterOptions { records_max: 3, ..options });
    for key in 1..=4 {
        bench.save(key, bench.claim(key), 1);
    }
    let first = bench.commit();
    assert_eq!(first.len(), 3, "the fourth came too late, or waits");
    bench.answer(Answer::Succeed);
    bench.answer(Answer::Succeed);
    bench.writer.flush(HOUR).unwrap();
}

#[test]
fn a_batch_of_too_many_bytes_is_several_commits() {
    let bench = Bench::with(|options| WriterOptions { batch_bytes_max: 6, ..options });
    for key in 1..=3 {
        bench.save(key, bench.claim(key), 1);
        bench.answer(Answer::Succeed);
    }
    bench.writer.flush(HOUR).unwrap();
    assert_eq!((bench.commit(), bench.commit()), (vec![(1, 1), (2, 1)], vec![(3, 1)]));
}

#[test]
fn what_failed_is_told_once_and_tried_again_until_it_is_saved() {
    let bench = Bench::new();
    let full = StoreError::DiskFull("/data".into());
    for _ in 0..3 {
        bench.answer(Answer::Fail);
    }
    bench.save_now(1, bench.claim(1), 1);
    assert_eq!(bench.report(), (1, 1, Written::Failed(full.clone())));
    assert_eq!(bench.health.recv().unwrap(), Health::Failing(full.clone()));
    assert!(bench.writer.is_failing() && bench.writer.health() == Health::Failing(full.clone()));
    bench.answer(Answer::Succeed);
    assert_eq!(bench.report(), (1, 1, Written::Saved));
    assert_eq!(bench.health.recv().unwrap(), Health::Well, "it works again by itself");
    let stats = bench.writer.stats();
    assert_eq!((stats.failures, stats.records, stats.is_failing), (3, 1, false));
    assert_eq!(stats.last_error, Some(full.to_string()));
    assert_eq!(bench.saved(1), Some("1:1".into()));
}

#[test]
fn a_later_record_takes_the_place_of_one_that_failed() {
    let bench = Bench::new();
    let epoch = bench.claim(1);
    bench.save_now(1, epoch, 1);
    assert_eq!(bench.commit(), [(1, 1)]);
    bench.save(1, epoch, 2);
    bench.answer(Answer::Fail);
    bench.answer(Answer::Succeed);
    assert_eq!(bench.commit(), [(1, 2)]);
    assert!(matches!(bench.report(), (1, 1, Written::Failed(_))));
    assert_eq!(bench.report(), (1, 2, Written::Saved));
}

#[test]
fn a_store_that_panics_fails_and_is_asked_again() {
    let bench = Bench::new();
    bench.answer(Answer::Panic);
    bench.answer(Answer::Succeed);
    bench.save_now(1, bench.claim(1), 1);
    let (_, _, written) = bench.report();
    assert_eq!(written, Written::Failed(StoreError::Unavailable("it panicked: a store that panics".into())));
    assert_eq!(bench.report(), (1, 1, Written::Saved));
}

#[test]
fn a_record_that_cannot_be_made_holds_up_no_other() {
    let bench = Bench::new();
    bench.answer(Answer::Succeed);
    let records: [Box<dyn FnOnce() -> Result<Bytes, EncodeError> + Send>; 2] =
        [Box::new(|| Err("a map with odd keys".into())), Box::new(|| panic!("a serializer that panics"))];
    for (key, record) in (1..).zip(records) {
        bench.writer.save(SaveRequest { record, ..bench.request(key, bench.claim(key), 1) });
    }
    bench.save(3, bench.claim(3), 1);
    bench.writer.flush(HOUR).unwrap();
    assert_eq!(bench.report(), (1, 1, Written::Unencodable("a map with odd keys".into())));
    assert_eq!(bench.report(), (2, 1, Written::Unencodable("it panicked: a serializer that panics".into())));
    assert_eq!(bench.report(), (3, 1, Written::Saved));
    assert!(!bench.writer.is_failing(), "the store has done nothing wrong");
}

#[test]
fn whoever_lost_the_session_hears_so_and_harms_nobody() {
    let bench = Bench::new();
    let stale = bench.claim(1);
    let epoch = bench.claim(1);
    bench.save(1, epoch, 1);
    bench.save(1, stale, 9);
    bench.answer(Answer::Succeed);
    bench.writer.flush(HOUR).unwrap();
    let mut reports = [bench.report(), bench.report()];
    reports.sort_by_key(|report| report.1);
    assert_eq!(reports, [(1, 1, Written::Saved), (1, 9, Written::Fenced)]);
    assert_eq!((bench.saved(1), bench.writer.stats().fenced), (Some("1:1".into()), 1));
}

#[test]
fn a_removal_takes_the_place_of_what_waits() {
    let bench = Bench::new();
    let epoch = bench.claim(1);
    bench.save(1, epoch, 1);
    bench.writer.remove(Key([1; 12]), epoch, Some(Arc::clone(&bench.told)));
    bench.save(1, epoch, 2);
    bench.answer(Answer::Succeed);
    bench.writer.flush(HOUR).unwrap();
    assert_eq!(bench.report(), (1, u64::MAX, Written::Saved));
    assert_eq!((bench.saved(1), bench.writer.stats().removed), (None, 1));
}

#[test]
fn closing_writes_what_waits_and_takes_no_more() {
    let bench = Bench::new();
    let epoch = bench.claim(1);
    bench.save(1, epoch, 1);
    bench.answer(Answer::Succeed);
    bench.writer.close(HOUR).unwrap();
    bench.save_now(1, epoch, 2);
    assert_eq!(bench.report(), (1, 1, Written::Saved));
    assert_eq!(bench.saved(1), Some("1:1".into()));
    bench.writer.close(HOUR).unwrap();
    drop(bench.writer);
    drop(bench.told);
    assert!(bench.reports.recv().is_err(), "nothing more is told");
}

#[test]
fn closing_a_store_that_fails_says_what_is_not_saved() {
    let bench = Bench::new();
    for key in 1..=2 {
        bench.save(key, bench.claim(key), 1);
    }
    (0..100).for_each(|_| bench.answer(Answer::Fail));
    let error = bench.writer.close(Duration::from_millis(20)).unwrap_err();
    let full = StoreError::DiskFull("/data".into());
    assert_eq!(error, Unsaved { sessions: 2, error: Some(full) });
    assert!(error.to_string().starts_with("2 sessions could not be saved: no room left"), "{error}");
}

#[test]
fn large_records_are_paid_for_with_a_pause_and_small_ones_are_free() {
    let options = WriterOptions::default();
    let took = Duration::from_millis(10);
    let cost = |bytes| Cost { bytes, took };
    assert_eq!(options.pause(cost(1 << 20)), Duration::ZERO);
    assert_eq!(options.pause(cost((1 << 20) + 1)), Duration::from_millis(190));
    assert_eq!(WriterOptions { percent_max: 0, ..options }.pause(cost(2 << 20)), Duration::from_millis(990));
}

#[test]
fn a_session_of_large_records_is_saved_less_often_and_at_once_when_it_is_urgent() {
    let bench =
        Bench::with(|options| WriterOptions { free_bytes: 0, percent_max: 1, delay: Duration::ZERO, ..options });
    let (dear, cheap) = (bench.claim(1), bench.claim(2));
    (0..9).for_each(|_| bench.answer(Answer::Succeed));
    // Long enough for the pause to last until the test is over: 99 times as long.
    let record = Box::new(|| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(100) {
            thread::yield_now();
        }
        Ok("large".into())
    });
    bench.writer.save(SaveRequest { record, ..bench.request(1, dear, 1) });
    let report = bench.reports.recv().unwrap();
    assert!(report.took >= Duration::from_millis(100) && report.pause >= 99 * report.took, "{report:?}");
    bench.save(1, dear, 2);
    bench.save(2, cheap, 1);
    assert_eq!(bench.report(), (2, 1, Written::Saved), "others go on");
    assert_eq!(bench.writer.stats().waiting, 1);
    bench.save_now(1, dear, 3);
    assert_eq!(bench.report(), (1, 3, Written::Saved));
}
