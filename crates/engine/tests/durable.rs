//! Durable sessions, one rule at a time: what is saved when, what waits for it, and what comes back.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Bench, EPOCH};
use windlass_engine::{
    Durability, Input, JobReport, JobStatus, Output, RECORD_FORMAT, RestoreError, STATE_BYTES_MAX, SaveOptions,
    Session, SessionOptions, Time,
};
use windlass_protocol::{CloseCode, Epoch, JobId, SessionId};

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

/// EXACTLY-ONCE RESUME [RESTORED-1] [RESUME-4]
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

/// RESUME [RESTORED-2]. A parked session comes back as it was: the page keeps its document, and its numbers begin again.
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

/// [SAVED-3] What a crash must not contradict waits for its record, in the order in which it was asked for.
#[test]
fn effects_that_leave_the_session_wait_for_their_record() {
    for (action, is_it) in [
        ("start", (|output| matches!(output, Output::Start(_))) as fn(&Output<support::Test>) -> bool),
        ("post", |output| matches!(output, Output::Post(_))),
        ("later", |output| matches!(output, Output::Defer(_))),
    ] {
        let mut bench = saved();
        bench.say(1, &json!(["a", 2, action, 1]));
        assert_eq!(bench.take(1).len(), 1, "what is shown of {action} is shown at once");
        assert!(bench.others.is_empty() && bench.writing[0].urgent, "{action}");
        bench.save();
        assert!(is_it(&bench.others[0]), "{action}");
    }
}

/// [SAVED-3]
#[test]
fn a_frame_with_what_a_crash_must_not_contradict_waits_and_those_after_it() {
    let mut bench = saved();
    for (seq, action) in [(2, "must"), (3, "kept")] {
        bench.say(1, &json!(["a", seq, action, 1]));
        assert!(bench.take(1).is_empty(), "{action}");
        bench.update(|state, _| {
            state.count += 1;
            Ok(())
        });
        assert!(bench.take(1).is_empty(), "nothing is told before what waits");
        bench.save();
        let sent = bench.take(1);
        assert_eq!((&sent[0][2], &sent[0][4]["saved"]), (&json!(seq), &json!(seq)), "{action}");
        bench.flush();
        assert_eq!(bench.take(1).len(), 1, "what came after it");
        while !bench.writing.is_empty() {
            bench.save();
        }
        bench.take(1);
        bench.say(1, &json!(["k", bench_n(&sent[0]) + 1]));
    }
}

fn bench_n(frame: &Value) -> u64 {
    frame[1].as_u64().unwrap()
}

/// [SAVED-3] ONE-END
#[test]
fn the_end_of_a_job_is_shown_when_it_is_saved() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "start"]));
    bench.save();
    bench.take(1);
    let job = JobId { epoch: Epoch(EPOCH), n: 1 };
    let ended = || JobReport::Ended { status: JobStatus::Done, text: None, elapsed: MS, update: None };
    bench.turn(vec![Input::Report(job, Epoch(EPOCH - 1), ended())]);
    assert!(bench.take(1).is_empty() && bench.writing.is_empty(), "another loading has started that one");
    bench.turn(vec![Input::Report(job, Epoch(EPOCH), ended())]);
    assert!(bench.take(1).is_empty());
    bench.save();
    assert!(bench.last(1).to_string().contains("\"done\""));
}

/// [SAVED-3] A second client has no token before the record knows it.
#[test]
fn a_new_client_of_a_session_that_is_kept_is_welcomed_when_it_is_saved() {
    let mut bench = saved();
    bench.hello_with(2, "b", json!({ "client": "0".repeat(24) }));
    assert!(bench.take(2).is_empty());
    bench.save();
    let sent = bench.take(2);
    assert!(sent[0][1]["token"].is_string());
    assert_eq!(sent[1][0], "s");

    bench.turn(vec![Input::Store { is_up: false }]);
    bench.hello_with(3, "c", json!({ "client": "1".repeat(24) }));
    assert_eq!(bench.closed[&3], CloseCode::Busy, "its token could not be kept");
}

/// The hour has passed: two tokens count until the new one was used, and it is given when both are on disk.
#[test]
fn a_token_is_replaced_when_the_record_knows_both() {
    let mut bench = saved();
    bench.lose(1);
    bench.pass(Duration::from_secs(3_600));
    bench.secret = windlass_protocol::Secret([8; 16]);
    assert!(back(&mut bench, json!({ "epoch": EPOCH, "n": 2 })).is_empty());
    bench.save();
    let welcome = bench.take(2)[0][1].clone();
    let new = format!("{}.{}", "01".repeat(12), "08".repeat(16));
    assert_eq!(welcome["token"], new.as_str());
    bench.crash().unwrap();
    let client = support::CLIENT.parse().unwrap();
    for secret in [8, 9] {
        assert!(bench.session.accepts(client, windlass_protocol::Secret([secret; 16])), "{secret}");
    }
    bench.hello_with(3, "c", json!({ "token": new, "seq": 2 }));
    assert!(!bench.session.accepts(client, windlass_protocol::Secret([9; 16])));
}

/// [SAVED-4] NO-SILENCE
#[test]
fn while_the_store_fails_what_it_would_have_to_keep_is_answered_later_and_undone() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "add", 1]));
    bench.pass(250 * MS);
    bench.fail_to_save();
    bench.take(1);
    bench.say(1, &json!(["a", 3, "add", 1]));
    assert_eq!(bench.take(1), [json!(["d", 4, 3, [["count", 3]]])], "what a crash may undo goes on");
    for action in ["start", "post", "must", "later", "kept"] {
        bench.say(1, &json!(["a", 4, action, 5]));
        let text = "what this does cannot be saved now";
        assert_eq!(bench.take(1), [json!(["o", 4, "store_unavailable", text, 1000])], "{action}");
        assert_eq!(bench.session.state().count, 3);
        bench.say(1, &json!(["a", 4, "add", 1]));
        assert!(bench.take(1).is_empty(), "nothing from it on is consumed on this connection");
        bench.lose(1);
        bench.hello_with(1, "a", json!({ "token": token(), "epoch": EPOCH, "n": 4, "seq": 4 }));
        assert_eq!(bench.take(1)[0][1]["ack"], 3);
    }
    // It is tried again by itself, and then all is as before.
    bench.pass(1_000 * MS);
    bench.save();
    bench.say(1, &json!(["a", 4, "start"]));
    assert_eq!(bench.last(1)[2], 4);
}

/// BOUNDED [SAVED-4]
#[test]
fn of_one_client_256_actions_may_be_unsaved_and_no_more_while_the_store_fails() {
    let mut bench = saved();
    for seq in 2..=256 {
        bench.say(1, &json!(["a", seq, "add", 1]));
        bench.say(1, &json!(["k", seq + 1]));
    }
    assert!(bench.writing.is_empty());
    bench.say(1, &json!(["a", 257, "add", 1]));
    assert!(bench.writing[0].urgent);
    bench.fail_to_save();
    for seq in 258..=513 {
        bench.say(1, &json!(["a", seq, "add", 1]));
        bench.say(1, &json!(["k", seq + 1]));
    }
    bench.take(1);
    bench.say(1, &json!(["a", 514, "add", 1]));
    assert_eq!(bench.take(1)[0][2], "store_unavailable");
}

#[test]
fn strict_sessions_show_nothing_before_it_is_saved() {
    let mut bench = Bench::durable(SaveOptions { durability: Durability::Strict, ..SaveOptions::default() });
    bench.hello(1);
    bench.take(1);
    for seq in 1..=3 {
        bench.say(1, &json!(["a", seq, "add", 1]));
        assert!(bench.take(1).is_empty());
        bench.save();
        assert_eq!(bench.take(1), [json!(["d", seq + 1, seq, [["count", seq]], { "saved": seq }])]);
        bench.say(1, &json!(["k", seq + 1]));
    }
}

/// OUTLIVES ONE-END
#[test]
fn jobs_at_a_load_run_again_or_are_lost() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "train", 2]));
    bench.say(1, &json!(["a", 3, "train", 3]));
    bench.say(1, &json!(["a", 4, "train", 5]));
    bench.say(1, &json!(["a", 5, "start"]));
    let jobs = [1, 2, 3, 4].map(|n| JobId { epoch: Epoch(EPOCH), n });
    while !bench.writing.is_empty() {
        bench.save();
    }
    let key = |output: &Output<support::Test>| match output {
        Output::Start(start) => start.options.named.as_ref().map(|named| (start.id, named.key.clone())),
        _ => None,
    };
    let before: Vec<_> = bench.others.iter().filter_map(key).collect();
    // The third is known to wait, so that nothing of it has run.
    bench.turn(vec![Input::Report(jobs[2], Epoch(EPOCH), JobReport::Waiting { rank: 1, eta: None })]);
    bench.pass(250 * MS);
    bench.save();
    bench.crash().unwrap();
    bench.turn(vec![Input::Timer]);
    while !bench.writing.is_empty() {
        bench.save();
    }
    let again: Vec<_> = bench.others.iter().filter_map(key).collect();
    assert_eq!(again, [before[0].clone(), before[2].clone()], "under the same ids and keys");
    assert_eq!(bench.session.state().text, "lost; lost; ");
    assert_eq!(bench.session.unfinished_jobs().collect::<Vec<_>>(), [jobs[0], jobs[2]]);
    // What the old process still says is not heard.
    let ended = || JobReport::Ended { status: JobStatus::Done, text: None, elapsed: MS, update: None };
    bench.turn(vec![Input::Report(jobs[0], Epoch(EPOCH), ended())]);
    assert_eq!(bench.session.unfinished_jobs().count(), 2);
}

/// NO-SILENCE
#[test]
fn an_asynchronous_action_whose_process_ended_has_failed() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "later", 7]));
    bench.save();
    bench.crash().unwrap();
    let sent = back(&mut bench, json!({ "epoch": EPOCH, "n": 3 }));
    assert_eq!(sent[0][1]["pending"], json!([2]));
    assert_eq!(sent[1][4]["r"][0][2], "lost");
}

/// EXACTLY-ONCE. Keys for the world outside are the same when an action runs again after a crash.
#[test]
fn a_key_is_the_same_when_the_action_runs_again() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "key"]));
    let key = bench.last(1)[4]["r"][0][2].clone();
    assert!(key.is_string());
    bench.crash().unwrap();
    back(&mut bench, json!({ "epoch": EPOCH, "n": 3, "sent": [EPOCH, 2] }));
    bench.say(2, &json!(["a", 2, "key"]));
    assert_eq!(bench.last(2)[4]["r"][0][2], key);
    bench.say(2, &json!(["a", 3, "replayed"]));
    assert_eq!(bench.last(2)[4]["r"][0][2], false);
}

#[test]
fn a_session_that_was_claimed_elsewhere_closes_and_does_nothing_more() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "start"]));
    bench.turn(vec![Input::Fenced]);
    assert_eq!(bench.closed[&1], CloseCode::Elsewhere);
    let turn = bench.writing.pop_front().unwrap().turn;
    bench.turn(vec![Input::Saved { turn, bytes: 1, took: MS }]);
    assert!(bench.others.is_empty(), "no job is started");
    assert_eq!(bench.session.deadline(), None);
}

/// RESUME. A server that goes in order tells what is saved, and its pages go on where they were.
#[test]
fn a_frozen_session_is_sealed_told_and_resumed() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "add", 1]));
    bench.take(1);
    bench.turn(vec![Input::Freeze(500 * MS)]);
    bench.say(1, &json!(["a", 3, "add", 1]));
    assert_eq!(bench.take(1)[0][2], "draining");
    bench.save();
    bench.flush();
    assert_eq!(bench.take(1), [json!(["d", 4, 2, [], { "saved": 2 }])]);
    assert!(bench.session.is_sealed());
    for n in [3, 4] {
        bench.crash().unwrap();
        let sent = back(&mut bench, json!({ "epoch": EPOCH, "n": n, "sent": [EPOCH, 3], "seq": 3 }));
        assert_eq!((sent.len(), &sent[0][1]["resumed"]), (1, &json!(true)), "{n}");
    }
}

/// [RESTORED-2] The one frame that may follow the sealed record comes when that is on disk, whatever else was being saved.
#[test]
fn a_frozen_session_with_a_save_under_way_tells_it_in_its_last_frame() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "add", 1]));
    bench.pass(250 * MS);
    bench.say(1, &json!(["a", 3, "add", 1]));
    bench.take(1);
    bench.turn(vec![Input::Freeze(500 * MS)]);
    assert_eq!(bench.writing.len(), 2, "one of before, and the sealed one");
    let turn = bench.writing.pop_front().unwrap().turn;
    bench.turn(vec![Input::Saved { turn, bytes: 1, took: MS }]);
    bench.pass(1000 * MS);
    assert_eq!(bench.take(1), Vec::<Value>::new());
    bench.save();
    bench.flush();
    assert_eq!(bench.take(1), [json!(["d", 5, 3, [], { "saved": 3 }])]);
    for n in [4, 5] {
        bench.crash().unwrap();
        let sent = back(&mut bench, json!({ "epoch": EPOCH, "n": n, "sent": [EPOCH, 3], "seq": 3 }));
        assert_eq!((sent.len(), &sent[0][1]["resumed"]), (1, &json!(true)), "{n}");
    }
}

/// ONE-END. A job that another process is to run does not end with this one; all others are lost.
#[test]
fn a_job_that_runs_again_outlives_the_server_that_goes_down() {
    let mut bench = saved();
    // One that runs again, three that do not, and one of them has never run.
    for (seq, order) in [["train", "2"], ["train", "3"], ["train", "5"], ["start", "0"]].iter().enumerate() {
        let payload: u64 = order[1].parse().unwrap();
        bench.say(1, &json!(["a", seq + 2, order[0], payload]));
    }
    bench.save();
    let job = |n| JobId { epoch: Epoch(EPOCH), n };
    let report = |n, report| Input::Report(job(n), Epoch(EPOCH), report);
    for n in [1, 2, 4] {
        bench.turn(vec![report(n, JobReport::Started)]);
    }
    bench.turn(vec![report(3, JobReport::Waiting { rank: 1, eta: None }), Input::Drain(500 * MS)]);
    for n in 1..=4 {
        let end = JobReport::Ended { status: JobStatus::Lost, text: None, elapsed: MS, update: None };
        bench.turn(vec![report(n, end)]);
    }
    assert_eq!(bench.session.unfinished_jobs().collect::<Vec<_>>(), [job(1), job(3)]);
}

fn restored(record: &[u8]) -> Result<Session<support::Test>, RestoreError> {
    let options = SessionOptions {
        id: SessionId([1; 12]),
        epoch: Epoch(99),
        hash_key: [1, 1],
        message_bytes_max: 65536,
        state_bytes_max: STATE_BYTES_MAX,
    };
    Session::restore(&support::Test(false), options, SaveOptions::default(), record, Time::default())
}

/// A record of each format that ever was is kept here, and makes a session for ever.
#[test]
fn records_of_every_earlier_format_are_opened() {
    for format in 1..=RECORD_FORMAT {
        let path = format!("{}/tests/records/{format}.txt", env!("CARGO_MANIFEST_DIR"));
        let record = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let session = restored(&record).unwrap();
        assert_eq!((session.state().count, session.state().text.as_str()), (42, "a text"), "format {format}");
        assert!(session.accepts(support::CLIENT.parse().unwrap(), windlass_protocol::Secret([9; 16])));
        assert_eq!(session.unfinished_jobs().count(), 2);
        assert_eq!(session.identity().map(|identity| &**identity), Some("somebody"));
    }
}

#[test]
fn what_is_no_record_is_told_apart() {
    let mut bench = saved();
    let record = std::mem::take(&mut bench.stored);
    let text = String::from_utf8(record.clone()).unwrap();
    let later = text.replacen("windlass-record 1 ", "windlass-record 2 ", 1);
    assert_eq!(restored(later.as_bytes()).err(), Some(RestoreError::UnknownFormat { found: 2 }));
    for bytes in [&b""[..], b"{}", b"windlass-record\n", b"windlass-record 1 0\n{}", &record[..record.len() - 1]] {
        assert!(matches!(restored(bytes), Err(RestoreError::Corrupt(_))), "{}", String::from_utf8_lossy(bytes));
    }
    assert!(restored(&record).is_ok());
    let (id, epoch) = (SessionId([2; 12]), Epoch(9));
    let options =
        SessionOptions { id, epoch, hash_key: [1, 1], message_bytes_max: 65536, state_bytes_max: STATE_BYTES_MAX };
    let other = Session::restore(&support::Test(false), options, SaveOptions::default(), &record, Time::default());
    assert_eq!(other.err(), Some(RestoreError::OtherSession(SessionId([1; 12]))));
}

/// A record that no session has written is refused though its checksum is right, with what is odd in it.
#[test]
fn a_record_that_no_session_has_written_is_refused() {
    let mut bench = saved();
    bench.say(1, &json!(["a", 2, "reply", 5]));
    bench.say(1, &json!(["a", 3, "must", 5]));
    bench.say(1, &json!(["a", 4, "train", 2]));
    while !bench.writing.is_empty() {
        bench.save();
    }
    let record = String::from_utf8(std::mem::take(&mut bench.stored)).unwrap();
    assert!(restored(&with_checksum(record.as_bytes())).is_ok());
    let odd = |from: &str, to: &str, why: &str| {
        let changed = record.replace(from, to);
        assert_ne!(changed, record, "{from} is not in {record}");
        let Err(RestoreError::Corrupt(what)) = restored(&with_checksum(changed.as_bytes())) else {
            panic!("{to} makes a session")
        };
        assert!(what.contains(why), "{what}");
    };
    odd("\"born\":1", "\"born\":9007199254740992", "a number that no session counts to");
    odd("\"admitted\":1", "\"admitted\":18446744073709551615", "a number that no session counts to");
    odd("\"body\":\"", "\"body\":\"]", "no JSON");
    odd("\"last\":4", "\"last\":1", "not consumed");
    odd(&format!("\"epoch\":{EPOCH}"), "\"epoch\":1", "a later epoch than its own");
    odd(&format!("\"epoch\":{EPOCH}"), "\"epoch\":99", "not before the one that loads it");
    let clients = record.split("\"clients\":[").nth(1).unwrap().split("],\"jobs\"").next().unwrap();
    odd(clients, &format!("{clients},{clients}"), "a client twice");
    odd(clients, &[clients; 17].join(","), "more clients than a session has");
    let jobs = record.split("\"jobs\":[").nth(1).unwrap().split("],\"kind\"").next().unwrap();
    odd(jobs, &format!("{jobs},{jobs}"), "a job twice");
}

/// What a session holds can be told at any time, and none of it is for ever.
#[test]
fn an_account_tells_what_a_session_holds() {
    let mut bench = saved();
    let before = bench.session.account();
    assert!(before.record > 0 && before.shadow > 0 && before.ring == 0 && before.jobs == 0, "{before:?}");
    bench.say(1, &json!(["a", 2, "reply", 5]));
    bench.say(1, &json!(["a", 3, "must", 5]));
    bench.say(1, &json!(["a", 4, "start"]));
    let after = bench.session.account();
    assert!(after.ring > 0 && after.events > 0 && after.outcomes > before.outcomes && after.jobs > 0, "{after:?}");
    assert_eq!(after.total(), after.record + after.shadow + after.ring + after.events + after.outcomes + after.jobs);
}

proptest::proptest! {
    /// Bytes from a disk never panic, whatever became of them.
    #[test]
    fn no_bytes_make_a_restore_panic(at in 0_usize..2_000, byte: u8, cut in 0_usize..2_000, fix: bool) {
        let mut bench = saved();
        bench.say(1, &json!(["a", 2, "train", 2]));
        bench.say(1, &json!(["a", 3, "must", 5]));
        while !bench.writing.is_empty() {
            bench.save();
        }
        let mut record = std::mem::take(&mut bench.stored);
        let end = record.len();
        record[at % end] = byte;
        record.truncate(end - cut % 2);
        if fix {
            record = with_checksum(&record);
        }
        let _ = restored(&record);
    }
}

/// The same bytes with the checksum that they ask for, so that what reads them is reached.
fn with_checksum(record: &[u8]) -> Vec<u8> {
    use std::hash::Hasher as _;
    let at = record.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut hash = siphasher::sip::SipHasher13::new_with_keys(1, 2);
    hash.write(&record[at..]);
    [format!("windlass-record 1 {:016x}\n", hash.finish()).as_bytes(), &record[at..]].concat()
}

/// RESUME. A fresh session waited for what its page had sent to another one, and took its first actions for that.
#[test]
fn a_page_that_begins_anew_is_shown_its_session_at_once_and_replays_nothing() {
    let mut bench = Bench::durable(SaveOptions::default());
    let other = format!("{}.{}", "02".repeat(12), "07".repeat(16));
    bench.hello_with(1, "a", json!({ "token": other, "epoch": EPOCH - 1, "n": 4, "sent": [EPOCH - 1, 3] }));
    assert_eq!(bench.last(1)[0], "s");
    bench.say(1, &json!(["a", 1, "replayed", null]));
    bench.save();
    assert_eq!(bench.last(1)[4]["r"], json!([[1, "applied", false]]));
}

/// EXACTLY-ONCE. One of which nothing was saved begins again, and its page sends again what it had sent.
#[test]
fn a_session_that_was_never_saved_waits_for_what_its_page_sends_again() {
    let mut bench = Bench::durable(SaveOptions::default());
    bench.session.expect(support::CLIENT.parse().unwrap());
    bench.hello_with(1, "a", json!({ "token": token(), "epoch": EPOCH - 1, "n": 1, "sent": [EPOCH - 1, 1] }));
    let sent = bench.take(1);
    assert_eq!((sent.len(), &sent[0][1]["ack"], &sent[0][1]["forgotten"]), (1, &json!(0), &Value::Null));
    bench.say(1, &json!(["a", 1, "replayed", null]));
    bench.save();
    assert_eq!(
        bench.last(1),
        json!(["s", 1, 1, { "count": 0, "text": "", "$jobs": [] }, { "r": [[1, "applied", true]], "saved": 1 }])
    );
}
