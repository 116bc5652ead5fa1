//! How every store behaves, as tests that any store can run.
//!
//! A store's own tests call [`run`] with a function that opens an empty one.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use crate::{Epoch, Expired, Key, Node, Outcome, Save, SessionStore};

/// Opens an empty store, for the process start with the given number.
pub type Open<'a> = dyn Fn(u64) -> Box<dyn SessionStore> + 'a;

/// Runs all cases, each on stores of its own.
///
/// # Panics
/// When a case fails. The name of the case has been printed before.
pub fn run(open: impl Fn(u64) -> Box<dyn SessionStore>) {
    for (name, case) in CASES {
        println!("{name}");
        case(&open);
    }
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, fn(&Open<'_>))] = &[$((stringify!($name), $name)),*];
    };
}

cases![
    a_new_session_has_an_epoch_and_no_record,
    what_was_saved_last_is_what_the_next_claim_gives,
    epochs_of_a_session_grow_with_every_claim,
    epochs_of_a_later_start_are_higher_than_all_before,
    a_stale_epoch_is_refused_for_its_item_alone,
    an_epoch_that_nobody_claimed_is_refused,
    saving_again_after_a_lost_answer_changes_nothing,
    an_earlier_turn_does_not_replace_a_later_one,
    the_same_turn_replaces_itself,
    turns_may_begin_again_in_a_later_epoch,
    a_batch_may_hold_a_session_twice,
    release_keeps_the_record_and_the_fence,
    only_the_last_owner_can_release_or_remove,
    removing_twice_is_the_same_as_once,
    a_late_save_does_not_bring_a_removed_session_back,
    a_removed_session_begins_afresh_with_a_higher_epoch,
    expired_sessions_are_found_when_nobody_holds_them,
    those_that_expire_first_are_the_oldest,
    the_highest_epoch_that_was_removed_is_known,
    a_session_whose_expiry_has_moved_is_found_at_the_new_one_alone,
    a_claim_saves_a_session_from_the_one_that_removes_expired_ones,
    a_scan_gives_no_more_than_it_is_asked_for,
    keys_are_listed_in_pieces_and_in_order,
    records_are_any_bytes,
    claims_at_the_same_moment_have_one_winner,
    no_save_succeeds_after_a_later_claim_has_returned,
];

const KEY: Key = Key([7; 12]);
const HERE: Node = Node(1);
const THERE: Node = Node(2);

fn save(key: Key, epoch: Epoch, turn: u64, bytes: &str) -> Save {
    Save { key, epoch, turn, expiry: 0, bytes: bytes.to_owned().into() }
}

fn claim(store: &dyn SessionStore, key: Key) -> Epoch {
    store.claim(key, HERE).expect("the store works").epoch
}

/// Claims the session and gives what was saved last.
fn saved(store: &dyn SessionStore, key: Key) -> Option<(u64, String)> {
    let record = store.claim(key, THERE).expect("the store works").record?;
    Some((record.turn, String::from_utf8(record.bytes.to_vec()).expect("these are texts")))
}

fn a_new_session_has_an_epoch_and_no_record(open: &Open<'_>) {
    let claim = open(1).claim(KEY, HERE).expect("the store works");
    assert!(claim.record.is_none());
    assert!(claim.epoch.0 > 0, "0 is the epoch of those who know none");
}

fn what_was_saved_last_is_what_the_next_claim_gives(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    for turn in 1..=3 {
        assert_eq!(store.save(&[save(KEY, epoch, turn, &format!("turn {turn}"))]), [Outcome::Saved]);
    }
    let record = store.claim(KEY, HERE).expect("the store works").record.expect("it was saved");
    assert_eq!((record.epoch, record.turn, &record.bytes[..]), (epoch, 3, &b"turn 3"[..]));
}

fn epochs_of_a_session_grow_with_every_claim(open: &Open<'_>) {
    let store = open(1);
    let mut before = Epoch(0);
    for _ in 0..10 {
        let epoch = claim(&*store, KEY);
        assert!(epoch > before && epoch.0 < 1 << 53);
        before = epoch;
        assert_eq!(store.release(KEY, epoch), Ok(true));
    }
}

fn epochs_of_a_later_start_are_higher_than_all_before(open: &Open<'_>) {
    let (first, second) = (open(1), open(2));
    let high = (0..100).map(|_| claim(&*first, KEY)).max();
    assert!(Some(claim(&*second, KEY)) > high);
}

fn a_stale_epoch_is_refused_for_its_item_alone(open: &Open<'_>) {
    let store = open(1);
    let other = Key([8; 12]);
    let (stale, mine) = (claim(&*store, KEY), claim(&*store, other));
    let newer = claim(&*store, KEY);
    let batch =
        [save(other, mine, 1, "a"), save(KEY, stale, 9, "b"), save(other, mine, 2, "c"), save(KEY, newer, 1, "d")];
    assert_eq!(store.save(&batch), [Outcome::Saved, Outcome::Fenced, Outcome::Saved, Outcome::Saved]);
    assert_eq!(saved(&*store, KEY), Some((1, "d".into())));
    assert_eq!(saved(&*store, other), Some((2, "c".into())));
}

fn an_epoch_that_nobody_claimed_is_refused(open: &Open<'_>) {
    let store = open(1);
    assert_eq!(store.save(&[save(KEY, Epoch(1), 1, "x")]), [Outcome::Fenced]);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, Epoch(epoch.0 + 1), 1, "x")]), [Outcome::Fenced]);
    assert_eq!(saved(&*store, KEY), None);
}

fn saving_again_after_a_lost_answer_changes_nothing(open: &Open<'_>) {
    let store = open(1);
    let batch = [save(KEY, claim(&*store, KEY), 4, "x")];
    for _ in 0..3 {
        assert_eq!(store.save(&batch), [Outcome::Saved]);
    }
    assert_eq!(saved(&*store, KEY), Some((4, "x".into())));
}

fn an_earlier_turn_does_not_replace_a_later_one(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, epoch, 5, "new")]), [Outcome::Saved]);
    // Its effect is kept, in the later record: that is what the answer says.
    assert_eq!(store.save(&[save(KEY, epoch, 4, "old")]), [Outcome::Saved]);
    assert_eq!(saved(&*store, KEY), Some((5, "new".into())));
}

fn the_same_turn_replaces_itself(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    for text in ["open", "sealed"] {
        assert_eq!(store.save(&[save(KEY, epoch, 5, text)]), [Outcome::Saved]);
    }
    assert_eq!(saved(&*store, KEY), Some((5, "sealed".into())));
}

fn turns_may_begin_again_in_a_later_epoch(open: &Open<'_>) {
    let store = open(1);
    assert_eq!(store.save(&[save(KEY, claim(&*store, KEY), 9, "before")]), [Outcome::Saved]);
    assert_eq!(store.save(&[save(KEY, claim(&*store, KEY), 1, "after")]), [Outcome::Saved]);
    assert_eq!(saved(&*store, KEY), Some((1, "after".into())));
}

fn a_batch_may_hold_a_session_twice(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    let batch = [save(KEY, epoch, 1, "one"), save(KEY, epoch, 2, "two")];
    assert_eq!(store.save(&batch), [Outcome::Saved, Outcome::Saved]);
    assert_eq!(saved(&*store, KEY), Some((2, "two".into())));
    assert_eq!(store.save(&[]), []);
}

fn release_keeps_the_record_and_the_fence(open: &Open<'_>) {
    let store = open(1);
    let stale = claim(&*store, KEY);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, epoch, 1, "kept")]), [Outcome::Saved]);
    assert_eq!(store.release(KEY, epoch), Ok(true));
    assert_eq!(store.save(&[save(KEY, stale, 2, "late")]), [Outcome::Fenced]);
    assert_eq!(saved(&*store, KEY), Some((1, "kept".into())));
}

fn only_the_last_owner_can_release_or_remove(open: &Open<'_>) {
    let store = open(1);
    let stale = claim(&*store, KEY);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, epoch, 1, "kept")]), [Outcome::Saved]);
    assert_eq!(store.release(KEY, stale), Ok(false));
    assert_eq!(store.remove(KEY, stale), Ok(false));
    assert_eq!(store.expired(u64::MAX, 10), Ok(vec![]), "it is held still");
    assert_eq!(saved(&*store, KEY), Some((1, "kept".into())));
}

fn removing_twice_is_the_same_as_once(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, epoch, 1, "x")]), [Outcome::Saved]);
    assert_eq!(store.remove(KEY, epoch), Ok(true));
    assert_eq!(store.remove(KEY, epoch), Ok(true));
    assert_eq!(saved(&*store, KEY), None);
}

fn a_late_save_does_not_bring_a_removed_session_back(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.remove(KEY, epoch), Ok(true));
    assert_eq!(store.save(&[save(KEY, epoch, 2, "late")]), [Outcome::Fenced]);
    assert_eq!(saved(&*store, KEY), None);
}

fn a_removed_session_begins_afresh_with_a_higher_epoch(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, epoch, 1, "x")]), [Outcome::Saved]);
    assert_eq!(store.remove(KEY, epoch), Ok(true));
    let again = store.claim(KEY, HERE).expect("the store works");
    assert!(again.record.is_none() && again.epoch > epoch);
}

fn expired_sessions_are_found_when_nobody_holds_them(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    let record = Save { expiry: 100, ..save(KEY, epoch, 1, "x") };
    assert_eq!(store.save(&[record]), [Outcome::Saved]);
    assert_eq!(store.expired(100, 10), Ok(vec![]), "it is held");
    assert_eq!(store.release(KEY, epoch), Ok(true));
    assert_eq!(store.expired(99, 10), Ok(vec![]), "it is not time yet");
    let found = vec![Expired { key: KEY, epoch }];
    assert_eq!(store.expired(100, 10), Ok(found.clone()));
    assert_eq!(store.expired(100, 10), Ok(found), "looking removes nothing");
    assert_eq!(store.remove(KEY, epoch), Ok(true));
    assert_eq!(store.expired(100, 10), Ok(vec![]));
}

fn the_highest_epoch_that_was_removed_is_known(open: &Open<'_>) {
    let store = open(1);
    let Some(none) = store.removed() else { return };
    let [unsaved, old, young] = [1, 2, 3].map(|n| claim(&*store, Key([n; 12])));
    assert!(none < unsaved, "epochs are higher than that of nothing");
    store.save(&[save(Key([2; 12]), old, 1, "x"), save(Key([3; 12]), young, 1, "x")]);
    let later = claim(&*store, Key([2; 12]));
    assert_eq!((store.remove(Key([1; 12]), unsaved), store.removed()), (Ok(true), Some(none)), "it had no record");
    assert_eq!((store.remove(Key([2; 12]), later), store.removed()), (Ok(true), Some(old)));
    assert_eq!((store.remove(Key([3; 12]), young), store.removed()), (Ok(true), Some(young)));
}

fn those_that_expire_first_are_the_oldest(open: &Open<'_>) {
    let store = open(1);
    for (n, expiry) in [(1, 5_000), (2, 200), (3, 90_000), (4, 0)] {
        let key = Key([n; 12]);
        let epoch = claim(&*store, key);
        store.save(&[Save { expiry, ..save(key, epoch, 1, "x") }]);
        if n != 4 {
            assert_eq!(store.release(key, epoch), Ok(true));
        }
    }
    let oldest = |max| store.oldest(max).expect("the store works").into_iter().map(|session| session.key.0[0]);
    assert_eq!(oldest(2).collect::<Vec<_>>(), [2, 1], "one that is held is nobody's to take");
    assert_eq!(oldest(9).collect::<Vec<_>>(), [2, 1, 3]);
    assert_eq!(oldest(0).count(), 0);
}

fn a_session_whose_expiry_has_moved_is_found_at_the_new_one_alone(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    for (turn, expiry) in [(1, 10), (2, 100_000), (3, 100_001), (4, 50_000)] {
        assert_eq!(store.save(&[Save { expiry, ..save(KEY, epoch, turn, "x") }]), [Outcome::Saved]);
    }
    assert_eq!(store.release(KEY, epoch), Ok(true));
    assert_eq!(store.expired(49_999, 10), Ok(vec![]));
    assert_eq!(store.expired(200_000, 10), Ok(vec![Expired { key: KEY, epoch }]), "once, though it was saved often");
    assert_eq!(store.remove(KEY, epoch), Ok(true));
    assert_eq!((store.expired(u64::MAX, 10), store.oldest(10)), (Ok(vec![]), Ok(vec![])));
}

fn a_claim_saves_a_session_from_the_one_that_removes_expired_ones(open: &Open<'_>) {
    let store = open(1);
    let epoch = claim(&*store, KEY);
    assert_eq!(store.save(&[save(KEY, epoch, 1, "kept")]), [Outcome::Saved]);
    assert_eq!(store.release(KEY, epoch), Ok(true));
    let found = store.expired(0, 10).expect("the store works");
    claim(&*store, KEY);
    for Expired { key, epoch } in found {
        assert_eq!(store.remove(key, epoch), Ok(false));
    }
    assert_eq!(saved(&*store, KEY), Some((1, "kept".into())));
}

fn a_scan_gives_no_more_than_it_is_asked_for(open: &Open<'_>) {
    let store = open(1);
    for i in 0..20 {
        let key = Key([i; 12]);
        let epoch = claim(&*store, key);
        assert_eq!(store.save(&[save(key, epoch, 1, "x")]), [Outcome::Saved]);
        assert_eq!(store.release(key, epoch), Ok(true));
    }
    let mut seen = BTreeSet::new();
    for left in [13, 6, 0] {
        let found = store.expired(0, 7).expect("the store works");
        for Expired { key, epoch } in found {
            assert!(seen.insert(key));
            assert_eq!(store.remove(key, epoch), Ok(true));
        }
        assert_eq!(20 - seen.len(), left);
    }
    assert_eq!(store.expired(0, 0), Ok(vec![]));
}

fn keys_are_listed_in_pieces_and_in_order(open: &Open<'_>) {
    let store = open(1);
    let keys = [5, 1, 9, 3].map(|n| Key([n; 12]));
    for key in keys {
        let epoch = claim(&*store, key);
        assert_eq!(store.save(&[save(key, epoch, 1, "kept")]), [Outcome::Saved]);
    }
    claim(&*store, Key([2; 12]));
    assert_eq!(store.keys(None, 3), Ok(vec![Key([1; 12]), Key([3; 12]), Key([5; 12])]), "what was never saved is none");
    assert_eq!(store.keys(Some(Key([5; 12])), 3), Ok(vec![Key([9; 12])]));
    assert_eq!(store.keys(Some(Key([9; 12])), 3), Ok(Vec::new()));
}

fn records_are_any_bytes(open: &Open<'_>) {
    let store = open(1);
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [vec![], all, vec![0; 1 << 20]] {
        let epoch = claim(&*store, KEY);
        let record = Save { key: KEY, epoch, turn: u64::MAX, expiry: u64::MAX, bytes: bytes.clone().into() };
        assert_eq!(store.save(&[record]), [Outcome::Saved]);
        let record = store.claim(KEY, HERE).expect("the store works").record.expect("it was saved");
        assert_eq!((record.turn, record.expiry), (u64::MAX, u64::MAX));
        assert!(record.bytes == bytes);
    }
}

fn claims_at_the_same_moment_have_one_winner(open: &Open<'_>) {
    let store = open(1);
    let epochs: BTreeSet<Epoch> = thread::scope(|scope| {
        let claims: Vec<_> = (0..8).map(|_| scope.spawn(|| claim(&*store, KEY))).collect();
        claims.into_iter().map(|claim| claim.join().expect("a claim does not panic")).collect()
    });
    assert_eq!(epochs.len(), 8, "no epoch is given twice");
    let winners = epochs.iter().filter(|&&epoch| store.save(&[save(KEY, epoch, 1, "x")]) == [Outcome::Saved]);
    assert_eq!(winners.collect::<Vec<_>>(), epochs.last().into_iter().collect::<Vec<_>>());
}

fn no_save_succeeds_after_a_later_claim_has_returned(open: &Open<'_>) {
    let store = open(1);
    for _ in 0..20 {
        let epoch = claim(&*store, KEY);
        let (tx, rx) = mpsc::sync_channel(1);
        let (last, seen) = thread::scope(|scope| {
            let owner = scope.spawn(|| {
                let mut turn = 0;
                while store.save(&[save(KEY, epoch, turn + 1, "x")]) == [Outcome::Saved] {
                    turn += 1;
                    // The first is what the test waits for; it may have heard enough.
                    let _ = tx.try_send(turn);
                }
                turn
            });
            rx.recv().expect("the first save succeeds");
            let record = store.claim(KEY, THERE).expect("the store works").record;
            (owner.join().expect("a save does not panic"), record.expect("it was saved").turn)
        });
        assert_eq!(seen, last, "all that was answered with saved is in what the claim gave, and nothing more");
    }
}
