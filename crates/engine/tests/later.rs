//! The session core's answers that come later, written fields, frames kept back, hooks and tokens.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Bench, CLIENT, EPOCH, connected};
use windlass_engine::{Fault, Input, Output, Ticket};
use windlass_protocol::Secret;

/// What was asked to run.
fn deferred(bench: &mut Bench) -> Vec<(Ticket, i64)> {
    let outputs = bench.others.drain(..);
    outputs
        .map(|output| match output {
            Output::Defer(deferred) => (deferred.ticket, deferred.task),
            _ => panic!("only asynchronous actions were asked for"),
        })
        .collect()
}

/// [PENDING-1]
#[test]
fn an_async_action_is_consumed_at_once_and_answered_in_a_later_frame() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "later", 5]));
    assert_eq!(bench.take(1), [json!(["d", 2, 1, [], { "r": [[1, "pending"]] }])]);
    let [(ticket, 5)] = deferred(&mut bench)[..] else { panic!("one runs") };
    bench.say(1, &json!(["a", 2, "add", 1]));
    assert_eq!(bench.take(1), [json!(["d", 3, 2, [["count", 1]]])], "it holds up no later one");
    bench.turn(vec![Input::Settle(ticket, Ok(Some("10".into())))]);
    assert_eq!(bench.take(1), [json!(["d", 4, 2, [], { "r": [[1, "applied", 10]] }])]);
    bench.turn(vec![Input::Settle(ticket, Ok(None))]);
    assert!(bench.take(1).is_empty(), "it has one outcome");
}

/// [PENDING-2] NO-SILENCE
#[test]
fn what_is_pending_is_said_again_after_a_reload_and_its_end_waits_for_the_client() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "later", 5]));
    bench.say(1, &json!(["k", 2]));
    let [(ticket, _)] = deferred(&mut bench)[..] else { panic!("one runs") };
    bench.lose(1);
    bench.hello_with(2, "b", json!({ "seq": 1 }));
    assert_eq!(bench.last(2)[4]["r"], json!([[1, "pending"]]));
    bench.say(2, &json!(["k", 3]));
    bench.lose(2);
    bench.turn(vec![Input::Settle(ticket, Err(Fault::failed("own", "no")))]);
    bench.hello_with(3, "b", json!({ "seq": 1, "epoch": EPOCH, "n": 3 }));
    let sent = bench.take(3);
    assert_eq!(sent[0][1]["resumed"], true);
    assert_eq!(sent[1], json!(["d", 4, 1, [], { "r": [[1, "failed", "own", "no"]] }]));
}

/// [PENDING-3]
#[test]
fn a_welcome_lists_what_is_answered_later_until_that_is_acknowledged() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "later", 5]));
    bench.say(1, &json!(["a", 2, "later", 6]));
    let running = deferred(&mut bench);
    bench.take(1);
    bench.turn(vec![Input::Settle(running[0].0, Ok(None))]);
    let n = bench.last(1)[1].clone();
    bench.hello_with(2, "a", json!({ "seq": 1, "epoch": EPOCH, "n": 1 }));
    assert_eq!(bench.take(2)[0][1]["pending"], json!([1, 2]));
    bench.say(2, &json!(["k", n]));
    bench.hello_with(3, "a", json!({ "seq": 1, "epoch": EPOCH, "n": n }));
    assert_eq!(bench.take(3)[0][1]["pending"], json!([2]), "another page of this client has heard the first");
    bench.turn(vec![Input::Settle(running[1].0, Ok(None))]);
    bench.last(3);
    bench.say(3, &json!(["k", 5]));
    bench.hello_with(4, "a", json!({ "seq": 1, "epoch": EPOCH, "n": 5 }));
    assert_eq!(bench.take(4)[0][1].get("pending"), None);
}

/// [ACTION-3]
#[test]
fn an_async_action_sent_again_is_not_run_again() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "later", 5]));
    bench.say(1, &json!(["a", 1, "later", 5]));
    assert_eq!(deferred(&mut bench).len(), 1);
    assert_eq!(bench.last(1)[4]["r"], json!([[1, "pending"]]));
}

/// BOUNDED
#[test]
fn a_ninth_async_action_of_a_client_is_refused() {
    let mut bench = connected();
    for seq in 1..=8 {
        bench.say(1, &json!(["a", seq, "later", seq]));
    }
    bench.say(1, &json!(["a", 9, "later", 9]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "queue_full");
    let running = deferred(&mut bench);
    assert_eq!(running.len(), 8);
    bench.turn(vec![Input::Settle(running[3].0, Ok(None))]);
    assert_eq!(bench.last(1)[4]["r"], json!([[4, "applied", null]]));
    bench.say(1, &json!(["a", 10, "later", 10]));
    assert_eq!(deferred(&mut bench).len(), 1);
    assert_eq!(bench.session.unsettled().count(), 8);
}

#[test]
fn an_async_action_of_a_turn_that_cannot_be_shown_never_runs() {
    let mut bench = connected();
    let action = |text: &'static str| {
        let message = windlass_protocol::ClientMessage::decode(text).unwrap();
        Input::Message { connection: windlass_engine::ConnectionId(1), message }
    };
    bench.turn(vec![action(r#"["a",1,"fails"]"#), action(r#"["a",2,"later",1]"#)]);
    assert_eq!(bench.last(1)[4]["r"][1][1], "failed");
    assert!(!bench.others.iter().any(|output| matches!(output, Output::Defer(_))));
    assert_eq!(bench.session.unsettled().count(), 0);
}

#[test]
fn a_draining_session_starts_no_async_action() {
    let mut bench = connected();
    bench.turn(vec![Input::Drain(Duration::from_secs(1))]);
    bench.say(1, &json!(["a", 1, "later", 1]));
    assert_eq!(bench.last(1)[0], "o");
    assert!(bench.others.is_empty());
}

/// [SET-1] [SET-2] YOURS-ALONE
#[test]
fn a_page_writes_to_declared_fields_and_to_no_others() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "$set", { "path": ["text"], "value": "hello" }]));
    assert_eq!(bench.take(1), [json!(["d", 2, 1, [["text", "hello"]]])]);
    bench.say(1, &json!(["a", 2, "$set", { "path": ["count"], "value": 9 }]));
    assert_eq!(bench.last(1)[4]["r"], json!([[2, "refused", "unknown_field", "count"]]));
    bench.say(1, &json!(["a", 3, "$set", { "path": ["text"], "value": 9 }]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "bad_payload");
    bench.say(1, &json!(["a", 4, "$set", { "path": ["rows", 0, "text"], "value": 9 }]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "bad_payload", "a row is named by its key, never by its place");
    assert_eq!(bench.session.state().text, "hello");
}

/// [SEEN-1]
#[test]
fn an_action_that_asks_for_what_was_seen_is_refused_when_there_was_more() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "seen", 1, [EPOCH, 1]]));
    assert_eq!(bench.last(1), json!(["d", 2, 1, [["count", 1]]]));
    bench.say(1, &json!(["a", 2, "seen", 1, [EPOCH, 1]]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "stale");
    // Frame 3 changed nothing of the state.
    bench.say(1, &json!(["a", 3, "seen", 1, [EPOCH, 2]]));
    assert_eq!(bench.last(1), json!(["d", 4, 3, [["count", 2]]]));
    for seen in [json!([EPOCH - 1, 4]), json!([EPOCH, 99]), Value::Null] {
        let seq = bench.session.state().text.len() as u64 + 4;
        bench.say(1, &json!(["a", seq, "seen", 1, seen]));
        assert_eq!(bench.last(1)[4]["r"][0][2], "stale", "{seen}");
        bench.update(|state, _| {
            state.text.push('x');
            Ok(())
        });
    }
    assert_eq!(bench.session.state().count, 2);
}

#[test]
fn frames_are_kept_back_until_release_or_a_second_later() {
    let mut bench = connected();
    bench.say(1, &json!(["a", 1, "hold", 1]));
    bench.say(1, &json!(["a", 2, "add", 1]));
    assert!(bench.take(1).is_empty() && !bench.session.has_news());
    bench.say(1, &json!(["a", 3, "release"]));
    assert_eq!(bench.take(1), [json!(["d", 2, 3, [["count", 2]]])]);

    bench.say(1, &json!(["a", 4, "hold", 1]));
    let deadline = bench.session.deadline().unwrap();
    assert_eq!(deadline.since(bench.now), Duration::from_secs(1));
    bench.now = deadline;
    bench.turn(vec![Input::Timer]);
    assert_eq!(bench.take(1), [json!(["d", 3, 4, [["count", 3]]])]);
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn the_app_hears_of_connections_and_of_failures_after_their_rollback() {
    let mut bench = Bench::new();
    bench.app.0 = true;
    bench.hello(1);
    assert_eq!(bench.last(1)[3]["text"], format!("connected {CLIENT}; "));
    bench.hello_with(2, "a", json!({ "epoch": EPOCH, "n": 1 }));
    bench.say(2, &json!(["a", 1, "fail"]));
    bench.say(2, &json!(["a", 2, "nothing"]));
    bench.say(2, &json!(["a", 3, "panic"]));
    bench.lose(2);
    bench.turn(vec![Input::Expire]);
    let state = bench.session.state();
    assert_eq!(state.count, 0);
    let told = format!("connected {CLIENT}; fail: own by true; panic: internal by true; expired; ");
    assert_eq!(state.text, told, "a takeover is no new connection, and a refusal no failure");
}

#[test]
fn a_hook_that_fails_is_told_to_the_operator() {
    let mut bench = connected();
    bench.app.0 = true;
    bench.say(1, &json!(["a", 1, "big", 1_000]));
    bench.say(1, &json!(["a", 2, "fail"]));
    assert_eq!(bench.session.state().text.len(), 1_000);
    assert!(bench.others.iter().any(|output| matches!(output, Output::Fault(fault) if fault.text == "too much")));
}

/// [TOKEN-1]
#[test]
fn a_token_is_replaced_after_an_hour_and_the_old_one_counts_until_the_new_one_is_used() {
    let mut bench = connected();
    let client = CLIENT.parse().unwrap();
    let first = format!("{}.{}", "01".repeat(12), "09".repeat(16));
    let second = format!("{}.{}", "01".repeat(12), "08".repeat(16));
    bench.now = bench.now + Duration::from_secs(59 * 60);
    bench.secret = Secret([8; 16]);
    bench.hello_with(2, "a", json!({ "token": first }));
    assert_eq!(bench.take(2)[0][1]["token"], Value::Null);
    bench.now = bench.now + Duration::from_secs(60);
    bench.hello_with(3, "a", json!({ "token": first }));
    assert_eq!(bench.take(3)[0][1]["token"], second);
    assert!(bench.session.accepts(client, Secret([9; 16])) && bench.session.accepts(client, Secret([8; 16])));
    bench.hello_with(4, "a", json!({ "token": second }));
    assert_eq!(bench.take(4)[0][1]["token"], Value::Null);
    assert!(!bench.session.accepts(client, Secret([9; 16])) && bench.session.accepts(client, Secret([8; 16])));
}

#[test]
fn a_session_that_becomes_somebodys_lets_all_other_clients_go() {
    let mut bench = connected();
    bench.hello_with(2, "b", json!({ "client": "aaaaaaaaaaaaaaaaaaaaaaaa" }));
    bench.secret = Secret([8; 16]);
    let client = CLIENT.parse().unwrap();
    bench.turn(vec![Input::Identify { identity: "ada".into(), client }]);
    bench.hello_with(3, "a", json!({}));
    assert!(bench.take(3)[0][1]["token"].is_string());
    assert!(bench.closed.contains_key(&2));
    assert_eq!(bench.session.tokens().count(), 1);
    assert!(bench.session.accepts(client, Secret([8; 16])), "what somebody else may have seen counts no longer");
    assert_eq!(bench.session.identity().map(|identity| &**identity), Some("ada"));
}

#[test]
fn an_action_that_may_have_been_applied_in_an_earlier_epoch_knows_it() {
    let mut bench = Bench::new();
    // A client that the session knows: one that is new here has sent it nothing before.
    bench.hello_with(1, "a", json!({}));
    bench.hello_with(2, "a", json!({ "sent": [EPOCH - 1, 1] }));
    bench.take(2);
    bench.say(2, &json!(["a", 1, "replayed"]));
    bench.say(2, &json!(["a", 2, "replayed"]));
    let replies: Vec<_> = bench.take(2).iter().map(|frame| frame[4]["r"][0][2].clone()).collect();
    assert_eq!(replies, [true, false]);
}
