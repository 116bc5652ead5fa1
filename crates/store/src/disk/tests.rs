//! The store on real folders, and on a disk that fails, tears and loses.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::thread;

use super::faulty::{Fault, FaultyDisk};
use super::*;
use crate::suite;

/// A folder that goes when the test is over.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("windlass-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn file(&self) -> PathBuf {
        self.0.join("sessions.redb")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NODE: Node = Node(0);

fn key(n: u8) -> Key {
    Key([n; 12])
}

fn save(key: Key, epoch: Epoch, turn: u64, bytes: &str) -> Save {
    Save { key, epoch, turn, expiry: 0, bytes: bytes.to_owned().into() }
}

fn claim(store: &RedbStore, key: Key) -> Epoch {
    store.claim(key, NODE).unwrap().epoch
}

/// The turn that is kept of a session.
fn kept(store: &RedbStore, key: Key) -> Option<u64> {
    store.claim(key, NODE).unwrap().record.map(|record| record.turn)
}

fn on(disk: &FaultyDisk) -> Result<RedbStore, StoreError> {
    RedbStore::on(Box::new(disk.clone()), RedbOptions::default())
}

/// Numbers from a seed: splitmix64.
fn random(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

#[test]
fn it_behaves_as_every_store() {
    suite::run(|start| {
        let disk = FaultyDisk::default();
        (1..start).for_each(|_| drop(on(&disk).unwrap()));
        Box::new(on(&disk).unwrap())
    });
}

#[test]
fn it_behaves_so_in_a_folder_of_a_real_disk() {
    let folders = std::cell::RefCell::new(Vec::new());
    suite::run(|start| {
        let folder = Temporary::new();
        (1..start).for_each(|_| drop(RedbStore::open(&folder.0).unwrap()));
        let store = RedbStore::open(&folder.0).unwrap();
        folders.borrow_mut().push(folder);
        Box::new(store)
    });
}

#[test]
fn what_was_saved_is_there_for_the_next_process_under_a_higher_epoch() {
    let folder = Temporary::new();
    let first = RedbStore::open(&folder.0).unwrap();
    let epoch = claim(&first, key(1));
    assert_eq!(first.save(&[save(key(1), epoch, 3, "kept")]), [Outcome::Saved]);
    drop(first);
    let second = RedbStore::open(&folder.0).unwrap();
    assert_eq!(second.save(&[save(key(1), epoch, 4, "from the dead")]), [Outcome::Fenced]);
    let claimed = second.claim(key(1), NODE).unwrap();
    assert!(claimed.epoch.0 >> 32 == 2 && epoch.0 >> 32 == 1, "{epoch:?} {:?}", claimed.epoch);
    assert_eq!(claimed.record.unwrap().bytes, "kept");
}

#[test]
fn a_second_process_hears_whose_folder_it_is() {
    let folder = Temporary::new();
    let first = RedbStore::open(&folder.0).unwrap();
    let error = RedbStore::open(&folder.0).unwrap_err();
    assert_eq!(error, StoreError::Locked { folder: folder.0.clone(), process: Some(std::process::id()) });
    let text = error.to_string();
    assert!(text.contains(folder.0.to_str().unwrap()) && text.contains("choose another data folder"), "{text}");
    drop(first);
    RedbStore::open(&folder.0).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_or_written_is_named() {
    let folder = Temporary::new();
    fs::create_dir_all(&folder.0).unwrap();
    let in_a_file = folder.0.join("file");
    fs::write(&in_a_file, "no folder").unwrap();
    let error = RedbStore::open(in_a_file.join("data")).unwrap_err();
    assert!(matches!(&error, StoreError::Io { path, .. } if path.starts_with(&in_a_file)), "{error}");

    for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
        let disk = FaultyDisk::default();
        disk.fail(Fault { from: 0, count: u64::MAX, kind });
        let error = on(&disk).unwrap_err();
        assert_eq!(error, StoreError::ReadOnly("/faulty/sessions.redb".into()));
        assert!(error.to_string().contains("change its owner or mode"));
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Temporary::new();
    let _store = RedbStore::open(&folder.0).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.file()), mode(&folder.0.join("lock"))), (0o700, 0o600, 0o600));
}

#[test]
fn a_file_that_is_no_store_is_never_written_over() {
    let folder = Temporary::new();
    fs::create_dir_all(&folder.0).unwrap();
    for bytes in [&b""[..], b"a letter to my grandmother", &[0; 4096], &[0xff; 100_000]] {
        fs::write(folder.file(), bytes).unwrap();
        let error = RedbStore::open(&folder.0).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { path, .. } if *path == folder.file()), "{error}");
        assert!(error.to_string().contains("move it away"), "{error}");
        assert_eq!(fs::read(folder.file()).unwrap(), bytes);
    }
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let folder = Temporary::new();
    fs::create_dir_all(&folder.0).unwrap();
    let other = redb::TableDefinition::<u64, u64>::new("theirs");
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(other).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = RedbStore::open(&folder.0).unwrap_err();
    assert!(error.to_string().contains("belongs to another program"), "{error}");
}

#[test]
fn a_file_of_a_later_version_is_refused_by_name() {
    let folder = Temporary::new();
    drop(RedbStore::open(&folder.0).unwrap());
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    About { format: FORMAT + 1, starts: 1, uptime: 0, removed: 0 }.write(&transaction).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = RedbStore::open(&folder.0).unwrap_err();
    assert_eq!(error, StoreError::LaterVersion { path: folder.file(), found: FORMAT + 1, known: FORMAT });
}

/// The format is on people's disks: it may be extended, and never read differently.
#[test]
fn the_layout_of_format_1_stays_as_it_is() {
    let beside = Beside { epoch: Epoch(0x0102), turn: 3, expiry: 4, len: 5 };
    let bytes = beside.encode();
    assert_eq!(bytes[..10], [2, 1, 0, 0, 0, 0, 0, 0, 3, 0]);
    assert_eq!((bytes[16], bytes[24], bytes.len()), (4, 5, 32));
    assert_eq!(Beside::decode(&bytes), beside);
}

/// A disk with a file as format 1 wrote it: three sessions, and no order of expiries.
fn disk_of_format_1() -> FaultyDisk {
    let disk = FaultyDisk::default();
    let store = on(&disk).unwrap();
    let saves = [(1, 9_000), (2, 70), (3, 500)].map(|(n, expiry)| {
        let epoch = claim(&store, key(n));
        Save { expiry, ..save(key(n), epoch, u64::from(n), "kept") }
    });
    assert!(store.save(&saves).iter().all(|outcome| *outcome == Outcome::Saved));
    store
        .with(|database| {
            let transaction = database.begin_write()?;
            transaction.delete_table(EXPIRIES)?;
            About { format: 1, starts: 1, uptime: 60, removed: 0 }.write(&transaction)?;
            Ok(transaction.commit()?)
        })
        .unwrap();
    drop(store);
    disk.after_kill()
}

fn all_of_format_1(store: &RedbStore) {
    let keys = |found: Vec<Expired>| found.into_iter().map(|session| session.key).collect::<Vec<_>>();
    assert_eq!(keys(store.expired(500, 9).unwrap()), [key(2), key(3)]);
    assert_eq!(keys(store.oldest(9).unwrap()), [key(2), key(3), key(1)]);
    assert_eq!((store.uptime(), store.usage().sessions), (60, 3));
    assert_eq!(store.removed(), Some(Epoch((2 << 32) - 1)), "all of then may have been removed, and nothing since");
    for n in 1..=3 {
        assert_eq!(kept(store, key(n)), Some(u64::from(n)));
    }
}

#[test]
fn a_file_of_format_1_is_brought_to_this_one() {
    let disk = disk_of_format_1();
    all_of_format_1(&on(&disk).unwrap());
    all_of_format_1(&on(&disk.after_kill()).unwrap());
    // And from then on it is as any other.
    let store = on(&disk).unwrap();
    let epoch = claim(&store, key(2));
    assert_eq!(store.save(&[Save { expiry: 100_000, ..save(key(2), epoch, 9, "moved") }]), [Outcome::Saved]);
    assert_eq!(store.release(key(2), epoch), Ok(true));
    let oldest: Vec<_> = store.oldest(9).unwrap().into_iter().map(|session| session.key).collect();
    assert_eq!(oldest, [key(3), key(1), key(2)]);
}

/// Wherever the process is killed meanwhile, the next start finds one format or the other, and all of it.
#[test]
fn a_migration_that_is_cut_off_is_made_by_the_next_start() {
    let mut failed = 0;
    for from in 0.. {
        let disk = disk_of_format_1();
        let calls = disk.calls();
        disk.fail(Fault { from: calls + from, count: u64::MAX, kind: ErrorKind::Other });
        let opened = on(&disk);
        let is_through = disk.calls() < calls + from;
        failed += u64::from(opened.is_err());
        drop(opened);
        disk.fail(None);
        all_of_format_1(&on(&disk.after_kill()).unwrap());
        if is_through {
            break;
        }
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn what_was_removed_is_known_to_the_next_process() {
    let disk = FaultyDisk::default();
    let store = on(&disk).unwrap();
    let [first, second] = [1, 2].map(|n| claim(&store, key(n)));
    store.save(&[save(key(1), first, 1, "x"), save(key(2), second, 1, "x")]);
    assert_eq!((store.remove(key(2), second), store.removed()), (Ok(true), Some(second)));
    assert_eq!((store.remove(key(1), first), store.removed()), (Ok(true), Some(second)), "it only grows");
    assert_eq!(on(&disk.after_kill()).unwrap().removed(), Some(second));
}

#[test]
fn damage_anywhere_is_an_error_or_is_not_noticed_and_never_a_panic() {
    let disk = FaultyDisk::default();
    let store = on(&disk).unwrap();
    let batch: Vec<_> = (0..50).map(|n| save(key(n), claim(&store, key(n)), 1, &"x".repeat(3_000))).collect();
    assert!(store.save(&batch).iter().all(|outcome| *outcome == Outcome::Saved));
    store.close().unwrap();
    let mut noticed = 0;
    for seed in 0..200 {
        println!("seed {seed}");
        let mut random = random(seed);
        let damaged = disk.after_kill();
        damaged.damage(|bytes| match random(4) {
            0 => bytes.truncate(random(bytes.len() as u64) as usize),
            _ => {
                for _ in 0..=random(20) {
                    let at = random(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << random(8);
                }
            }
        });
        match on(&damaged) {
            Err(StoreError::Corrupt { .. }) => noticed += 1,
            Err(error) => panic!("{error}"),
            Ok(store) => {
                for n in 0..50 {
                    let claimed = store.claim(key(n), NODE);
                    assert!(matches!(&claimed, Ok(claim) if claim.record.as_ref().unwrap().bytes == batch[0].bytes));
                }
            }
        }
    }
    assert!(noticed > 50, "{noticed}");
}

/// [BOUNDED] A full disk loses nothing that was answered with saved, and saving goes on when there is room.
#[test]
fn a_full_disk_is_named_and_needs_no_restart() {
    let disk = FaultyDisk::default();
    let store = on(&disk).unwrap();
    let epoch = claim(&store, key(1));
    assert_eq!(store.save(&[save(key(1), epoch, 1, "small")]), [Outcome::Saved]);
    disk.room(store.usage().file_bytes);
    store
        .with(|d| {
            let t = d.begin_write()?;
            t.abort()?;
            Ok(())
        })
        .unwrap();
    let large = "x".repeat(1 << 20);
    let full = [Outcome::Failed(StoreError::DiskFull("/faulty/sessions.redb".into()))];
    for _ in 0..3 {
        assert_eq!(store.save(&[save(key(1), epoch, 2, &large)]), full);
    }
    store
        .with(|d| {
            let t = d.begin_write()?;
            t.abort()?;
            Ok(())
        })
        .unwrap();
    assert_eq!(store.save(&[save(key(1), epoch, 3, "small")]), [Outcome::Saved], "there is room for this");
    disk.room(None);
    assert_eq!(store.save(&[save(key(1), epoch, 4, &large)]), [Outcome::Saved]);
    assert_eq!(kept(&on(&disk.after_kill()).unwrap(), key(1)), Some(4));
}

#[test]
fn a_sync_that_fails_is_no_answer_of_saved() {
    let disk = FaultyDisk::default();
    let store = on(&disk).unwrap();
    let epoch = claim(&store, key(1));
    assert_eq!(store.save(&[save(key(1), epoch, 1, "first")]), [Outcome::Saved]);
    disk.fail(Fault { from: 0, count: u64::MAX, kind: ErrorKind::Other });
    let [Outcome::Failed(StoreError::Io { path, .. })] = &store.save(&[save(key(1), epoch, 2, "second")])[..] else {
        panic!("an error of the disk");
    };
    assert_eq!(path, Path::new("/faulty/sessions.redb"));
    assert!(store.claim(key(2), NODE).is_err(), "nothing is known of any session");
    disk.fail(None);
    assert_eq!(store.save(&[save(key(1), epoch, 2, "second")]), [Outcome::Saved], "the epoch still counts");
    assert_eq!(kept(&store, key(1)), Some(2));
}

/// What a run of the store has been answered.
#[derive(Default)]
struct Answered {
    /// For each session the last turn that was answered with saved, and the last that was asked for.
    saved: HashMap<Key, u64>,
    asked: HashMap<Key, u64>,
    removed: bool,
}

/// A few commits of all kinds. What fails is asked for again as often as it may.
fn work(store: &RedbStore, tries: u32, answered: &mut Answered) {
    let mut epochs = HashMap::new();
    for n in 1..=4 {
        let claimed = (0..tries).find_map(|_| store.claim(key(n), NODE).ok());
        let Some(claimed) = claimed else { continue };
        epochs.insert(key(n), claimed.epoch);
    }
    for turn in 1..=4_u64 {
        let text = "x".repeat(100 << (2 * turn));
        let batch: Vec<_> = epochs
            .iter()
            .filter(|(key, _)| key.0[0] != 4 || turn < 3)
            .map(|(key, epoch)| save(*key, *epoch, turn, &text))
            .collect();
        answered.asked.extend(batch.iter().map(|save| (save.key, turn)));
        for _ in 0..tries {
            let outcomes = store.save(&batch);
            assert!(outcomes.iter().all(|outcome| *outcome != Outcome::Fenced), "nobody else claims anything");
            let saved = batch.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Saved);
            answered.saved.extend(saved.map(|(save, _)| (save.key, turn)));
            if outcomes.iter().all(|outcome| *outcome == Outcome::Saved) {
                break;
            }
        }
    }
    if let Some(epoch) = epochs.get(&key(4)) {
        answered.asked.insert(key(4), u64::MAX);
        answered.removed = (0..tries).any(|_| store.remove(key(4), *epoch) == Ok(true));
    }
}

fn assert_kept(store: &RedbStore, answered: &Answered, context: &str) {
    for n in 1..=3 {
        let (turn, key) = (kept(store, key(n)), key(n));
        let (saved, asked) = (answered.saved.get(&key).copied(), answered.asked.get(&key).copied());
        assert!(turn >= saved && turn <= asked, "{context}: session {n}: {saved:?} <= {turn:?} <= {asked:?}");
    }
    if answered.removed {
        assert_eq!(kept(store, key(4)), None, "{context}: it was removed");
    }
}

/// Each call of the disk fails once, and fails for good: nothing panics, nothing that was answered is lost, and where the
/// fault goes away the same store works again.
#[test]
fn a_disk_that_fails_at_any_call_loses_nothing_that_was_answered() {
    for count in [1, u64::MAX] {
        for from in 0.. {
            let context = format!("{count} calls from {from}");
            let disk = FaultyDisk::default();
            disk.fail(Fault { from, count, kind: ErrorKind::Other });
            let mut answered = Answered::default();
            match on(&disk) {
                Ok(store) => {
                    // After one fault the second try may meet a file that is being opened again; the third does not.
                    work(&store, 3, &mut answered);
                    assert_kept(&on(&disk.after_kill()).unwrap(), &answered, &context);
                    assert_kept(&on(&disk.after_power_loss(random(from))).unwrap(), &answered, &context);
                    disk.fail(None);
                    assert_kept(&store, &answered, &context);
                    work(&store, 1, &mut answered);
                    assert_eq!(answered.saved[&key(1)], 4, "{context}: it works again");
                }
                Err(error) => assert!(matches!(error, StoreError::Io { .. }), "{context}: {error}"),
            }
            disk.fail(None);
            let store = on(&disk).unwrap();
            assert_kept(&store, &answered, &context);
            if disk.calls() < from {
                break;
            }
        }
    }
}

/// Power is lost after each call: whatever part of the last writes has reached the disk, all that was answered is there.
#[test]
fn a_loss_of_power_at_any_call_loses_nothing_that_was_answered() {
    for from in 0.. {
        let disk = FaultyDisk::default();
        let mut answered = Answered::default();
        disk.fail(Fault { from, count: u64::MAX, kind: ErrorKind::Other });
        if let Ok(store) = on(&disk) {
            work(&store, 1, &mut answered);
        }
        for seed in 0..4 {
            let disk = disk.after_power_loss(random(seed));
            assert_kept(&on(&disk).unwrap(), &answered, &format!("call {from}, seed {seed}"));
        }
        if disk.calls() < from {
            break;
        }
    }
}

#[test]
fn a_file_that_another_process_has_taken_meanwhile_is_not_written_to() {
    let disk = FaultyDisk::default();
    let first = on(&disk).unwrap();
    let epoch = claim(&first, key(1));
    assert_eq!(first.save(&[save(key(1), epoch, 1, "first")]), [Outcome::Saved]);
    disk.fail(Fault { from: 0, count: u64::MAX, kind: ErrorKind::Other });
    assert!(matches!(first.save(&[save(key(1), epoch, 2, "first")])[..], [Outcome::Failed(_)]));
    disk.fail(None);
    let second = on(&disk).unwrap();
    let theirs = claim(&second, key(1));
    assert_eq!(second.save(&[save(key(1), theirs, 1, "second")]), [Outcome::Saved]);
    let replaced = StoreError::Replaced("/faulty/sessions.redb".into());
    assert!(!replaced.is_passing());
    assert_eq!(first.save(&[save(key(1), epoch, 3, "first")]), [Outcome::Failed(replaced)]);
    assert_eq!(kept(&second, key(1)), Some(1));
}

#[test]
fn the_clock_of_expiries_goes_on_where_a_scan_left_it() {
    let disk = FaultyDisk::default();
    let first = on(&disk).unwrap();
    assert_eq!(first.uptime(), 0);
    let epoch = claim(&first, key(1));
    let record = Save { expiry: 500, ..save(key(1), epoch, 1, "x") };
    assert_eq!(first.save(std::slice::from_ref(&record)), [Outcome::Saved]);
    assert_eq!(first.expired(400, 9), Ok(vec![]));
    first.close().unwrap();
    assert_eq!(first.save(&[record]), [Outcome::Failed(StoreError::Closed)]);

    let second = on(&disk).unwrap();
    assert_eq!(second.uptime(), 400);
    // A process that is killed has kept it with a commit, if that was a minute later than the last time.
    assert_eq!(second.expired(470, 9), Ok(vec![]));
    let other = claim(&second, key(2));
    assert_eq!(second.save(&[save(key(2), other, 1, "y")]), [Outcome::Saved]);
    let third = on(&disk.after_kill()).unwrap();
    assert_eq!(third.uptime(), 470);
    assert_eq!(third.expired(500, 9).unwrap().len(), 2, "nobody of this process has claimed them");
}

#[test]
fn what_is_kept_is_counted_also_by_the_next_process() {
    let disk = FaultyDisk::default();
    let store = on(&disk).unwrap();
    let (one, two) = (claim(&store, key(1)), claim(&store, key(2)));
    assert!(
        store.save(&[save(key(1), one, 1, "12345"), save(key(2), two, 1, "1")]).iter().all(|o| *o == Outcome::Saved)
    );
    assert_eq!(store.save(&[save(key(1), one, 2, "123")]), [Outcome::Saved]);
    let usage = store.usage();
    assert_eq!((usage.sessions, usage.record_bytes), (2, 4));
    assert!(usage.file_bytes > 4096 && usage.written_bytes > 4096 && usage.syncs > 2, "{usage:?}");
    assert_eq!(store.remove(key(1), one), Ok(true));
    store.close().unwrap();
    let usage = on(&disk).unwrap().usage();
    assert_eq!((usage.sessions, usage.record_bytes), (1, 1));
}

/// BOUNDED
#[test]
fn a_full_store_refuses_what_grows_and_takes_what_does_not() {
    let options = RedbOptions { bytes_max: 4, ..RedbOptions::default() };
    let store = RedbStore::on(Box::new(FaultyDisk::default()), options).unwrap();
    let (one, two) = (claim(&store, key(1)), claim(&store, key(2)));
    let full = Outcome::Failed(StoreError::BytesMax(4));
    assert_eq!(store.save(&[save(key(1), one, 1, "1234")]), [Outcome::Saved]);
    assert_eq!(store.save(&[save(key(1), one, 2, "12345"), save(key(2), two, 1, "1")]), [full.clone(), full]);
    assert_eq!((kept(&store, key(1)), kept(&store, key(2))), (Some(1), None));
    let one = claim(&store, key(1));
    assert_eq!(store.save(&[save(key(1), one, 3, "abc"), save(key(1), one, 4, "")]), [Outcome::Saved, Outcome::Saved]);
    assert_eq!((store.usage().sessions, store.usage().record_bytes), (1, 0));
}

#[test]
fn a_file_becomes_smaller_when_most_of_it_is_no_longer_needed() {
    let options = RedbOptions { compact_above: 1 << 20, quick_repair_above: 1 << 20, ..RedbOptions::default() };
    let disk = FaultyDisk::default();
    let open = || RedbStore::on(Box::new(disk.clone()), options.clone()).unwrap();
    let store = open();
    for n in 1..=40 {
        let epoch = claim(&store, key(n));
        assert_eq!(store.save(&[save(key(n), epoch, 1, &"x".repeat(100_000))]), [Outcome::Saved]);
    }
    for n in 2..=40 {
        let epoch = claim(&store, key(n));
        assert_eq!(store.remove(key(n), epoch), Ok(true));
    }
    assert!(store.usage().file_bytes > 4 << 20);
    drop(store);
    let store = open();
    assert!(store.usage().file_bytes < 1 << 20, "{:?}", store.usage());
    assert_eq!(kept(&store, key(1)), Some(1));
    store.compact().unwrap();
    assert_eq!(kept(&store, key(1)), Some(1));
}

#[test]
fn claims_and_scans_go_on_while_others_save() {
    let folder = Temporary::new();
    let store = RedbStore::open(&folder.0).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for turn in 1..=20 {
                    let epoch = claim(store, key(n));
                    assert_eq!(store.save(&[save(key(n), epoch, turn, "x")]), [Outcome::Saved]);
                    assert_eq!(kept(store, key(n)), Some(turn));
                    assert_eq!(
                        store.expired(u64::MAX, 9).unwrap().iter().filter(|found| found.key == key(n)).count(),
                        0
                    );
                }
            });
        }
    });
}

#[test]
fn a_start_beyond_what_epochs_have_room_for_is_refused() {
    let folder = Temporary::new();
    drop(RedbStore::open(&folder.0).unwrap());
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    About { format: FORMAT, starts: STARTS_MAX - 2, uptime: 0, removed: 0 }.write(&transaction).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let last = RedbStore::open(&folder.0).unwrap();
    assert!(claim(&last, key(1)).0 < 1 << 53);
    drop(last);
    assert_eq!(RedbStore::open(&folder.0).unwrap_err(), StoreError::StartsExhausted);
}
