//! Durable sessions, one rule at a time: what is saved when, what waits for it, and what comes back.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Bench, EPOCH};
use windlass_engine::{Input, SaveOptions};

const MS: Duration = Duration::from_millis(1);

fn token() -> String {
    format!("{}.{}", "01".repeat(12), "09".repeat(16))
}

/// A bench with a client on connection 1 whose first action, an add of 1, is saved.
fn saved() -> Bench {
    let mut bench = Bench::durable(SaveOptions::default());
    bench.hello(1);
    bench.say(1, &json!(["k", 1]));
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.save();
    bench.take(1);
    bench.say(1, &json!(["k", 2]));
    bench
}

/// The client of connection 1 returns on connection 2.
fn back(bench: &mut Bench, rest: Value) -> Vec<Value> {
    let mut hello = json!({ "token": token(), "seq": 2 });
    hello.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    bench.hello_with(2, "b", hello);
    bench.take(2)
}

/// EXACTLY-ONCE. A session that was shown before its first record would be gone after a crash, and its page with it.
#[test]
fn the_first_action_is_shown_when_its_record_is_saved() {
    let mut bench = Bench::durable(SaveOptions::default());
    bench.hello(1);
    assert_eq!(bench.take(1)[0][1]["saved"], 0);
    assert!(bench.writing.is_empty(), "nothing was done in it, so nothing is kept");
    bench.say(1, &json!(["a", 1, "add", 1]));
    assert!(bench.take(1).is_empty());
    assert!(bench.writing[0].urgent);
    bench.save();
    assert_eq!(bench.take(1), [json!(["d", 2, 1, [["count", 1]], { "saved": 1 }])]);
}

/// [SAVED-1]
#[test]
fn later_actions_are_shown_at_once_and_saved_within_a_quarter_of_a_second() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "add", 1]));
    assert_eq!(bench.take(1), [json!(["d", 3, 2, [["count", 2]]])]);
    bench.pass(249 * MS);
    assert!(bench.writing.is_empty());
    bench.pass(MS);
    assert_eq!((bench.writing.len(), bench.writing[0].urgent), (1, false));
    bench.pass(1000 * MS);
    bench.save();
    assert_eq!(bench.take(1), [json!(["d", 4, 2, [], { "saved": 2 }])]);
    assert_eq!(bench.session.deadline(), None, "nothing is to be done in a session at rest");
}

/// EXACTLY-ONCE RESUME
#[test]
fn what_was_not_saved_is_undone_by_a_crash_and_applied_when_it_is_sent_again() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "add", 10]));
    bench.crash().unwrap();
    assert_eq!(bench.session.state().count, 1);
    let sent = back(&mut bench, json!({ "epoch": EPOCH, "n": 3, "sent": [EPOCH, 2] }));
    assert_eq!(sent.len(), 1, "the snapshot waits for what the page sends again");
    let welcome = &sent[0][1];
    assert_eq!((&welcome["ack"], &welcome["saved"], &welcome["resumed"]), (&json!(1), &json!(1), &json!(false)));
    assert_eq!(welcome["epoch"], EPOCH + 1);
    bench.say(2, &json!(["a", 2, "add", 10]));
    let sent = bench.take(2);
    assert_eq!(sent, [json!(["s", 1, 2, { "count": 11, "text": "", "$jobs": [] }, { "restored": true }])]);
}

/// RESUME
#[test]
fn a_page_that_sends_nothing_again_is_shown_the_state_after_half_a_second() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "add", 10]));
    bench.crash().unwrap();
    assert_eq!(back(&mut bench, json!({ "epoch": EPOCH, "n": 3, "sent": [EPOCH, 2] })).len(), 1);
    bench.pass(499 * MS);
    assert!(bench.take(2).is_empty());
    bench.pass(MS);
    assert_eq!(bench.last(2)[3]["count"], 1);
}

/// RESUME. A parked session comes back as it was: the page keeps its document, and its numbers begin again.
#[test]
fn a_sealed_session_resumes_where_its_client_was() {
    let mut bench = saved();
    bench.lose(1);
    bench.turn(vec![Input::Park]);
    assert!(!bench.session.is_sealed());
    assert!(bench.writing[0].sealed);
    bench.save();
    assert!(bench.session.is_sealed());
    bench.crash().unwrap();
    let sent = back(&mut bench, json!({ "epoch": EPOCH, "n": 2 }));
    assert_eq!((sent.len(), &sent[0][1]["resumed"], &sent[0][1]["epoch"]), (1, &json!(true), &json!(EPOCH + 1)));
    bench.say(2, &json!(["a", 2, "add", 1]));
    assert_eq!(bench.take(2), [json!(["d", 1, 2, [["count", 2]]])]);
}

/// RESUME. Another number than the record's is another document.
#[test]
fn a_client_with_another_frame_than_the_sealed_one_gets_a_snapshot() {
    for n in [1, 3] {
        let mut bench = saved();
        bench.lose(1);
        bench.turn(vec![Input::Park]);
        bench.save();
        bench.crash().unwrap();
        let sent = back(&mut bench, json!({ "epoch": EPOCH, "n": n }));
        assert_eq!((&sent[0][1]["resumed"], &sent[1][0]), (&json!(false), &json!("s")));
    }
}
