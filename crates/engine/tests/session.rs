//! The session core, one rule at a time: what clients say in, what they get out.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Bench, Change, EPOCH, Poison, connected};
use windlass_engine::{ConnectionId, Input, JobReport, JobStatus, Output, Progress};
use windlass_protocol::limits::WINDOW_BYTES;
use windlass_protocol::{ClientMessage, CloseCode, Epoch, JobId};

/// [HELLO-3]
#[test]
fn a_first_hello_is_welcomed_with_a_token_and_a_snapshot() {
    let mut bench = Bench::new();
    bench.hello(1);
    let sent = bench.take(1);
    assert_eq!(sent[0][0], "w");
    assert_eq!(sent[0][1]["resumed"], false);
    assert_eq!(sent[0][1]["ack"], 0);
    assert_eq!(sent[0][1]["epoch"], EPOCH);
    assert!(sent[0][1]["token"].as_str().unwrap().starts_with("010101010101010101010101."));
    assert_eq!(sent[1], json!(["s", 1, 0, { "count": 0, "text": "", "$jobs": [] }]));
}

/// [NUMBER-2] [OUTCOME-1]
#[test]
fn each_frame_takes_the_next_number_and_plain_outcomes_need_no_words() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "add", 2]));
    bench.say(1, &json!(["a", 2, "reply", 5]));
    bench.say(1, &json!(["a", 3, "nothing"]));
    bench.say(1, &json!(["a", 4, "add", "x"]));
    let sent = bench.take(1);
    assert_eq!(sent[0], json!(["d", 2, 1, [["count", 2]]]));
    assert_eq!(sent[1], json!(["d", 3, 2, [], { "r": [[2, "applied", 5]] }]));
    assert_eq!(sent[2], json!(["d", 4, 3, [], { "r": [[3, "refused", "unknown_action", "no action \"nothing\""]] }]));
    assert_eq!(sent[3][4]["r"][0][2], "bad_payload");
}

/// ATOMIC
#[test]
fn a_handler_that_fails_or_panics_changes_nothing_and_starts_nothing() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "fail"]));
    bench.say(1, &json!(["a", 2, "panic"]));
    let sent = bench.take(1);
    assert_eq!(sent[0], json!(["d", 2, 1, [], { "r": [[1, "failed", "own", "no"]] }]));
    assert_eq!(sent[1], json!(["d", 3, 2, [], { "r": [[2, "failed", "internal", "gone wrong"]] }]));
    assert_eq!(bench.session.state().count, 0);
    assert!(bench.others.is_empty());
    assert_eq!(bench.session.unfinished_jobs().count(), 0);
}

/// ATOMIC
#[test]
fn many_actions_of_a_turn_are_one_frame() {
    let mut bench = connected();
    let texts: Vec<String> = (1..=3).map(|seq| json!(["a", seq, "add", 1]).to_string()).collect();
    let inputs = texts
        .iter()
        .map(|text| Input::Message { connection: ConnectionId(1), message: ClientMessage::decode(text).unwrap() });
    bench.turn(inputs.collect());
    assert_eq!(bench.take(1), [json!(["d", 2, 3, [["count", 3]]])]);
}

/// [ACTION-3] EXACTLY-ONCE
#[test]
fn an_action_sent_again_is_answered_again_and_not_run_again() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "add", 2]));
    bench.say(1, &json!(["a", 2, "reply", 5]));
    bench.take(1);
    bench.say(1, &json!(["a", 2, "reply", 5]));
    assert_eq!(bench.last(1)[4]["r"], json!([[2, "applied", 5]]));
    bench.say(1, &json!(["a", 1, "add", 2]));
    assert_eq!(bench.last(1), json!(["d", 5, 2, []]));
    bench.say(1, &json!(["a", 1, "add", 3]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "seq_reused");
    assert_eq!(bench.session.state().count, 2);
}

/// [ACTION-4]
#[test]
fn a_gap_in_the_sequence_closes_the_connection() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 2, "add", 2]));
    assert_eq!(bench.closed[&1], CloseCode::SequenceGap);
    assert_eq!(bench.session.state().count, 0);
}

#[test]
fn a_void_consumes_a_number_once() {
    let mut bench = connected();
    bench.say(1, &json!(["v", 1]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "not_kept");
    bench.say(1, &json!(["a", 2, "reply", 5]));
    bench.take(1);
    bench.say(1, &json!(["v", 2]));
    assert_eq!(bench.last(1)[4]["r"], json!([[2, "applied", 5]]));
}

/// [RESUME-1] RESUME
#[test]
fn a_return_within_the_ring_is_a_replay_and_one_fresh_delta() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.say(1, &json!(["a", 2, "reply", 8]));
    let before = bench.take(1);
    bench.lose(1);
    for _ in 0..100 {
        bench.update(|state, _| {
            state.count += 1;
            Ok(())
        });
    }
    let token = format!("{}.{}", "01".repeat(12), "09".repeat(16));
    bench.hello_with(2, "b", json!({ "token": token, "epoch": EPOCH, "n": 2, "seq": 2 }));
    // The replay has left; now the socket is free.
    bench.flush();
    let sent = bench.take(2);
    assert_eq!((&sent[0][1]["resumed"], &sent[0][1]["ack"]), (&json!(true), &json!(2)));
    assert!(sent[0][1].get("token").is_none());
    assert_eq!(sent[1], before[1], "the very frame");
    assert_eq!(sent[2], json!(["d", 4, 2, [["count", 101]]]));
    assert_eq!(sent.len(), 3);
}

/// [RESUME-1] [OUTCOME-2]
#[test]
fn a_return_from_elsewhere_is_a_snapshot_with_the_outcomes_and_events_again() {
    for elsewhere in [json!({ "epoch": EPOCH, "n": 99 }), json!({ "epoch": 3, "n": 2 }), json!({ "epoch": 9, "n": 1 })]
    {
        let mut bench = connected();
        bench.say(1, &json!(["a", 1, "reply", 8]));
        bench.say(1, &json!(["a", 2, "must", 1]));
        bench.lose(1);
        bench.take(1);
        bench.hello_with(2, "a", elsewhere);
        let sent = bench.take(2);
        assert_eq!(sent[0][1]["resumed"], false);
        assert_eq!((&sent[1][0], &sent[1][1]), (&json!("s"), &json!(4)));
        assert_eq!(sent[1][4]["r"], json!([[1, "applied", 8]]));
        assert_eq!(sent[1][4]["e"], json!([[EPOCH, 1, "emit", 1]]));
        assert_eq!(sent.len(), 2);
    }
}

/// [EVENT-1] EVENTS
#[test]
fn an_event_that_the_client_has_handled_is_not_sent_again() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "must", 1]));
    bench.say(1, &json!(["a", 2, "must", 2]));
    bench.lose(1);
    bench.hello_with(2, "a", json!({ "event": [EPOCH, 1], "seq": 3 }));
    assert_eq!(bench.last(2)[4]["e"], json!([[EPOCH, 2, "emit", 2]]));
    bench.say(2, &json!(["k", 4]));
    bench.lose(2);
    bench.hello_with(3, "a", json!({ "seq": 3 }));
    assert_eq!(bench.last(3).get(4), None);
}

/// BOUNDED: the shadow is the only backlog.
#[test]
fn nothing_is_diffed_while_the_socket_is_full() {
    let mut bench = connected();
    bench.fast = false;
    bench.say(1, &json!(["a", 1, "add", 1]));
    for _ in 0..1_000 {
        bench.update(|state, _| {
            state.count += 1;
            Ok(())
        });
    }
    assert_eq!(bench.take(1), [json!(["d", 2, 1, [["count", 1]]])]);
    bench.turn(vec![Input::Ready(ConnectionId(1))]);
    assert_eq!(bench.take(1), [json!(["d", 3, 1, [["count", 1001]]])]);
}

/// [WINDOW-1] BOUNDED
#[test]
fn a_client_that_acknowledges_nothing_gets_a_window_and_is_asked_then_given_up() {
    let mut bench = connected();
    for round in 0..100 {
        bench.update(move |state, _| {
            state.text = format!("{round}{}", "x".repeat(4000));
            Ok(())
        });
    }
    let bytes: usize = bench.take(1).iter().map(|frame| frame.to_string().len()).sum();
    assert!(bytes <= WINDOW_BYTES, "{bytes}");
    let deadline = bench.session.deadline().expect("it watches the window");
    bench.now = deadline;
    bench.turn(vec![Input::Timer]);
    assert_eq!(bench.last(1), json!(["q"]));
    bench.now = bench.session.deadline().expect("it waits for the answer");
    bench.turn(vec![Input::Timer]);
    assert_eq!(bench.closed[&1], CloseCode::Silent);
}

#[test]
fn a_frame_larger_than_the_window_goes_alone_and_is_not_kept() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "big", WINDOW_BYTES * 2]));
    bench.say(1, &json!(["a", 2, "add", 1]));
    assert_eq!(bench.take(1).len(), 1, "the window is full");
    bench.say(1, &json!(["k", 2]));
    assert_eq!(bench.last(1), json!(["d", 3, 2, [["count", 1]]]));
    bench.lose(1);
    bench.hello_with(2, "a", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.take(2)[1][0], "s");
}

/// [WINDOW-1] What the window holds back is not replayed beyond it: a client away for long came back to two windows.
#[test]
fn a_return_is_not_sent_more_than_a_window() {
    let mut bench = connected();
    for letter in ["a", "b"] {
        bench.update(move |state, _| {
            state.text = letter.repeat(WINDOW_BYTES / 2);
            Ok(())
        });
    }
    assert_eq!(bench.take(1).len(), 1, "the second is held");
    bench.lose(1);
    bench.hello_with(2, "a", json!({ "epoch": EPOCH, "n": 1 }));
    let sent = bench.take(2);
    assert_eq!((&sent[0][1]["resumed"], &sent[1][1], sent.len()), (&json!(true), &json!(2), 2));
    bench.say(2, &json!(["k", 2]));
    assert_eq!(bench.last(2)[1], 3);
}

/// The driver runs a turn for a socket that takes more only when there is news: what was kept for a full one was none,
/// and its client was told nothing until something else happened; what one that is away is owed was, at every wake.
#[test]
fn news_is_what_an_attached_client_lacks() {
    let mut bench = connected();
    bench.hello_with(2, "c", json!({ "client": "aaaaaaaaaaaaaaaaaaaaaaaa" }));
    bench.say(2, &json!(["k", 1]));
    bench.fast = false;
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.turn(vec![Input::Ready(ConnectionId(1))]);
    bench.say(1, &json!(["a", 2, "add", 1]));
    assert!(bench.session.has_news(), "the second client's socket was full");
    bench.lose(2);
    bench.say(1, &json!(["a", 3, "notify", 1]));
    bench.turn(vec![Input::Ready(ConnectionId(1))]);
    assert!(!bench.session.has_news(), "only the one that is away has not heard of it");
}

#[test]
fn a_refetch_is_answered_with_a_snapshot() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.take(1);
    bench.say(1, &json!(["r"]));
    assert_eq!(bench.take(1), [json!(["s", 3, 1, { "count": 1, "text": "", "$jobs": [] }])]);
}

/// [UNKNOWN-2]
#[test]
fn small_messages_are_answered() {
    let mut bench = connected();
    bench.say(1, &json!(["p"]));
    bench.say(1, &json!(["zz", 1]));
    assert_eq!(bench.take(1), [json!(["p"]), json!(["x", "unknown_message", "zz"])]);
    bench.say(1, &json!(["k", 99]));
    assert_eq!(bench.closed[&1], CloseCode::BadMessage);
}

#[test]
fn the_same_page_takes_over_at_once() {
    let mut bench = connected();
    bench.hello_with(2, "a", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.closed[&1], CloseCode::Silent);
    assert_eq!(bench.take(2)[0][1]["resumed"], true);
}

/// [TAKEOVER-3] A page opened a second connection, since nothing came on its first, whose hello was under way for long:
/// it took over from the second, and the page stopped for good, taken over by itself.
#[test]
fn a_late_hello_of_a_page_s_own_earlier_connection_leaves_it_free_to_come_back() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.take(1);
    // The page has lost 1, and tried with 2 and then with 3. The hello of 2 comes last.
    bench.hello_with(3, "a", json!({ "epoch": EPOCH, "n": 2, "seq": 2 }));
    bench.say(3, &json!(["a", 2, "add", 1]));
    bench.take(3);
    bench.hello_with(2, "a", json!({ "epoch": EPOCH, "n": 2, "seq": 2 }));
    assert_eq!(bench.closed[&3], CloseCode::Silent, "a code that sends it back");
    bench.hello_with(4, "a", json!({ "epoch": EPOCH, "n": 3, "seq": 3 }));
    assert_eq!(bench.closed[&2], CloseCode::Silent);
    let welcome = &bench.take(4)[0][1];
    assert_eq!((&welcome["ack"], &welcome["resumed"]), (&json!(2), &json!(true)));
    bench.say(4, &json!(["a", 3, "add", 1]));
    assert_eq!(bench.session.state().count, 3);
    assert!(!bench.closed.contains_key(&4));
}

/// [TAKEOVER-3] The same while another page is asked: one that was told `in_use` by its own late hello dropped its client.
#[test]
fn a_late_hello_of_a_page_that_waits_does_not_turn_it_away() {
    let mut bench = connected();
    bench.hello_with(3, "b", json!({ "epoch": EPOCH, "n": 1 }));
    bench.hello_with(2, "b", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.closed[&3], CloseCode::Silent);
    bench.hello_with(4, "b", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.closed[&2], CloseCode::Silent);
    bench.hello_with(5, "c", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.closed[&4], CloseCode::InUse, "a third page is another one");
    bench.now = bench.now + Duration::from_secs(1);
    bench.turn(vec![Input::Timer]);
    assert_eq!(bench.closed[&1], CloseCode::TakenOver);
    assert_eq!(bench.take(5)[0][0], "w");
}

#[test]
fn another_page_is_turned_away_while_the_first_answers() {
    let mut bench = connected();
    bench.hello_with(2, "b", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.take(1), [json!(["q"])]);
    assert!(bench.take(2).is_empty());
    bench.say(1, &json!(["k", 1]));
    assert_eq!(bench.closed[&2], CloseCode::InUse);
    bench.say(1, &json!(["a", 1, "add", 1]));
    assert_eq!(bench.last(1)[1], 2);
}

/// A page that lost its socket while it was asked was evicted by its copy, although it had come back in time.
#[test]
fn a_page_that_comes_back_by_itself_has_answered() {
    let mut bench = connected();
    bench.hello_with(2, "b", json!({ "epoch": EPOCH, "n": 1 }));
    bench.hello_with(3, "a", json!({ "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.closed[&2], CloseCode::InUse);
    assert_eq!(bench.take(3)[0][1]["resumed"], true);
    assert_eq!(bench.session.deadline(), None);
}

/// BOUNDED
#[test]
fn a_client_that_never_acknowledges_its_outcomes_is_asked_and_then_not_heard() {
    let mut bench = connected();
    for seq in 1..=64 {
        bench.say(1, &json!(["a", seq, "reply", seq]));
    }
    let asked: Vec<_> =
        bench.take(1).iter().enumerate().filter(|(_, frame)| frame[0] == "q").map(|(at, _)| at).collect();
    assert_eq!(asked, [32], "once, with the thirty-second");
    assert!(bench.closed.is_empty());
    bench.say(1, &json!(["a", 65, "add", 1]));
    assert_eq!(bench.closed[&1], CloseCode::Busy);
    assert_eq!(bench.session.state().count, 0, "nothing was consumed");
    bench.hello_with(2, "a", json!({ "epoch": EPOCH, "n": 65, "seq": 65 }));
    assert_eq!(bench.take(2)[0][1]["ack"], 64);
    bench.say(2, &json!(["a", 65, "add", 1]));
    assert_eq!(bench.last(2)[2], 65);
}

#[test]
fn another_page_takes_over_from_one_that_does_not_answer() {
    let mut bench = connected();
    bench.hello_with(2, "b", json!({ "epoch": EPOCH, "n": 1 }));
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.session.deadline(), Some(bench.now));
    bench.turn(vec![Input::Timer]);
    assert_eq!(bench.closed[&1], CloseCode::TakenOver);
    assert_eq!(bench.take(2)[0][0], "w");
}

/// ONE-END
#[test]
fn a_job_is_shown_and_has_one_end() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "start"]));
    let frame = bench.last(1);
    let row = frame[3].to_string();
    assert!(row.contains("\"queued\"") && row.contains("\"7.1\""), "{row}");
    assert!(matches!(bench.others.pop(), Some(Output::Start(start)) if start.id.n == 1));
    let job = JobId { epoch: Epoch(EPOCH), n: 1 };
    let ended = |status, add: i64| {
        let update: Change = Box::new(move |state, _| {
            state.count += add;
            Ok(())
        });
        JobReport::Ended { status, text: None, elapsed: Duration::from_millis(5), update: Some(update) }
    };
    bench.turn(vec![Input::Report(job, job.epoch, JobReport::Started)]);
    let half = Progress { fraction: Some(0.5), ..Progress::default() };
    bench.turn(vec![Input::Report(job, job.epoch, JobReport::Progress(half.clone(), Duration::from_millis(2)))]);
    bench.turn(vec![Input::Report(job, job.epoch, ended(JobStatus::Done, 1))]);
    bench.turn(vec![Input::Report(job, job.epoch, ended(JobStatus::Failed, 10))]);
    bench.turn(vec![Input::Report(job, job.epoch, JobReport::Progress(half, Duration::from_millis(9)))]);
    assert_eq!(bench.session.state().count, 1);
    bench.say(1, &json!(["r"]));
    let document = bench.last(1)[3].clone();
    assert_eq!(document["$jobs"][0]["status"], "done");
    assert_eq!(document["$jobs"][0]["progress"], 1.0);
    bench.say(1, &json!(["a", 2, "$cancel", "7.1"]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "gone");
}

#[test]
fn cancel_reaches_a_running_job() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "start"]));
    bench.say(1, &json!(["a", 2, "$cancel", "7.1"]));
    assert!(matches!(bench.others.last(), Some(Output::Cancel(job)) if job.n == 1));
    for (seq, payload) in (3..).zip([json!(null), json!(7), json!("x"), json!({})]) {
        bench.say(1, &json!(["a", seq, "$cancel", payload]));
        assert_eq!(bench.last(1)[4]["r"][0][2], "bad_payload");
    }
}

/// [JOB-4]
#[test]
fn cancel_reaches_what_a_running_job_has_started() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "start"]));
    bench.say(1, &json!(["a", 2, "$cancel", "7.1.12.3"]));
    let Some(Output::CancelChild(child)) = bench.others.last() else { panic!("no cancel") };
    assert_eq!((child.job.n, &*child.path), (1, &[12, 3][..]));
    for (seq, (id, code)) in (3..).zip([("7.2.1", "gone"), ("7.1.0", "bad_payload"), ("7.1.1.1.1.1.1", "bad_payload")])
    {
        bench.say(1, &json!(["a", seq, "$cancel", id]));
        assert_eq!(bench.last(1)[4]["r"][0][2], code, "{id}");
    }
}

#[test]
fn a_state_that_cannot_be_shown_takes_the_turn_back() {
    for poison in ["fails", "panics"] {
        let mut bench = connected();
        bench.say(1, &json!(["a", 1, "add", 1]));
        bench.take(1);
        bench.say(1, &json!(["a", 2, poison]));
        let frame = bench.last(1);
        assert_eq!(frame[4]["r"][0][2], "state_unserialisable", "{frame}");
        assert!(matches!(bench.others.pop(), Some(Output::Fault(_))));
        bench.say(1, &json!(["a", 3, "add", 1]));
        let frame = bench.last(1);
        assert_eq!(frame[2], 3);
        assert_eq!(bench.session.state().count, 2);
    }
}

/// ONE-END. The turn was taken back whole, and a job's result went with an action that only shared its turn.
#[test]
fn the_end_of_a_job_is_not_taken_back_with_an_action_that_cannot_be_shown() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "start"]));
    let update: Change = Box::new(|state, _| {
        state.count += 7;
        Ok(())
    });
    let ended = JobReport::Ended { status: JobStatus::Done, text: None, elapsed: Duration::ZERO, update: Some(update) };
    let text = json!(["a", 2, "fails"]).to_string();
    let message = ClientMessage::decode(&text).unwrap();
    let job = JobId { epoch: Epoch(EPOCH), n: 1 };
    bench.turn(vec![Input::Message { connection: ConnectionId(1), message }, Input::Report(job, job.epoch, ended)]);
    assert_eq!(bench.session.state().count, 7);
    bench.update(|state, _| {
        state.poison = Poison::Off;
        Ok(())
    });
    let document = bench.last(1)[3].clone();
    assert_eq!((&document["count"], &document["$jobs"][0]["status"]), (&json!(7), &json!("done")));
}

#[test]
fn an_update_that_cannot_be_shown_is_told_to_the_operator_and_healed_by_the_next() {
    let mut bench = connected();
    bench.update(|state, _| {
        state.poison = Poison::Fails;
        Ok(())
    });
    assert!(matches!(bench.others.pop(), Some(Output::Fault(_))));
    bench.update(|state, _| {
        state.poison = Poison::Off;
        state.count = 4;
        Ok(())
    });
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.say(1, &json!(["r"]));
    assert_eq!(bench.last(1)[3]["count"], 5);
}

#[test]
fn a_draining_session_holds_back_what_must_be_saved_and_goes_on_with_the_rest() {
    let mut bench = connected();
    bench.turn(vec![Input::Drain(Duration::from_millis(1500))]);
    bench.say(1, &json!(["a", 1, "add", 1]));
    assert_eq!(bench.last(1), json!(["d", 2, 1, [["count", 1]]]));
    bench.say(1, &json!(["a", 2, "start"]));
    assert_eq!(bench.last(1), json!(["o", 2, "draining", "the server is going down", 1500]));
    bench.say(1, &json!(["a", 3, "add", 1]));
    assert!(bench.take(1).is_empty(), "later numbers wait for this one");
    assert!(bench.others.is_empty());
    assert!(bench.closed.is_empty());
}

#[test]
fn two_clients_of_a_session_hear_the_same_and_each_has_its_own_numbers() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.hello_with(2, "c", json!({ "client": "aaaaaaaaaaaaaaaaaaaaaaaa" }));
    assert_eq!(bench.last(2), json!(["s", 1, 0, { "count": 1, "text": "", "$jobs": [] }]));
    bench.take(1);
    bench.say(2, &json!(["a", 1, "add", 1]));
    assert_eq!(bench.take(1), [json!(["d", 3, 1, [["count", 2]]])]);
    assert_eq!(bench.take(2), [json!(["d", 2, 1, [["count", 2]]])]);
    // One that is away keeps up from what was kept for it, as long as that is small.
    bench.lose(2);
    bench.say(1, &json!(["a", 2, "add", 1]));
    bench.say(1, &json!(["a", 3, "say", "x"]));
    bench.take(1);
    bench.hello_with(3, "c", json!({ "client": "aaaaaaaaaaaaaaaaaaaaaaaa", "epoch": EPOCH, "n": 2, "seq": 2 }));
    let sent = bench.take(3);
    assert_eq!(sent[0][1]["resumed"], true);
    let mut document = json!({ "count": 2, "text": "", "$jobs": [] });
    windlass_sync::apply(&mut document, sent[1][3].as_array().unwrap()).unwrap();
    assert_eq!(document, json!({ "count": 3, "text": "\"x\"", "$jobs": [] }));
}

/// [FRESH-2]
#[test]
fn a_seventeenth_client_takes_the_place_of_the_one_away_for_longest() {
    let mut bench = Bench::new();
    for n in 0..16_u64 {
        bench.hello_with(n, "a", json!({ "client": format!("{n:024x}") }));
    }
    bench.hello_with(16, "a", json!({ "client": format!("{:024x}", 16) }));
    assert_eq!(bench.closed[&16], CloseCode::Busy);
    bench.lose(3);
    bench.hello_with(17, "a", json!({ "client": format!("{:024x}", 17) }));
    assert_eq!(bench.take(17)[0][0], "w");

    // It comes back, having used a number there: the one that it used before it was let go counts no more.
    bench.lose(5);
    let token = format!("{}.{}", "01".repeat(12), "09".repeat(16));
    bench.hello_with(18, "a", json!({ "client": format!("{:024x}", 3), "token": token, "seq": 2 }));
    let welcome = bench.take(18)[0][1].clone();
    assert_eq!((&welcome["forgotten"], &welcome["ack"]), (&json!(true), &json!(0)));
    assert!(welcome["token"].is_string());
}

#[test]
fn keys_are_the_same_for_the_same_action_and_differ_otherwise() {
    let mut bench = connected();
    let (tx, rx) = std::sync::mpsc::sync_channel(8);
    for _ in 0..2 {
        let tx = tx.clone();
        bench.update(move |_, turn| {
            tx.send(turn.key()).unwrap();
            tx.send(turn.key()).unwrap();
            Ok(())
        });
    }
    let mut keys: Vec<String> = rx.try_iter().collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}
