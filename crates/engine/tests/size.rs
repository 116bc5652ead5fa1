//! The bound of a session's state: what would make it larger is taken back and told, and nothing else is.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use serde_json::{Value, json};
use support::{Bench, Counter};
use windlass_engine::{Fault, Input, Output, SaveOptions, SessionOptions};

/// Of the state; an empty one has 23 bytes, `{"count":0,"text":""}` and a little.
const MAX: usize = 2_000;

fn connected(max: usize) -> Bench {
    let mut bench = Bench::bounded(max);
    bench.hello(1);
    bench.take(1);
    bench.say(1, &json!(["k", 1]));
    bench
}

fn bytes(state: &Counter) -> usize {
    windlass_sync::saving(|| serde_json::to_vec(state).unwrap().len())
}

fn text_of(frame: &Value) -> &str {
    frame[4]["r"][0][3].as_str().unwrap_or_default()
}

fn faults(bench: &mut Bench) -> Vec<Fault> {
    let faults = std::mem::take(&mut bench.others).into_iter().map(|output| match output {
        Output::Fault(fault) => fault,
        _ => panic!("only faults are expected"),
    });
    faults.collect()
}

/// BOUNDED ATOMIC
#[test]
fn an_action_that_makes_the_state_too_large_changes_nothing_and_says_so() {
    let mut bench = connected(MAX);
    bench.say(1, &json!(["a", 1, "big", 1_900]));
    assert_eq!(bench.last(1)[3][0][0], "text");
    bench.say(1, &json!(["a", 2, "big", 2_100]));
    let told = bench.last(1);
    assert_eq!((&told[2], &told[3]), (&json!(2), &json!([])), "{told}");
    assert_eq!((&told[4]["r"][0][1], &told[4]["r"][0][2]), (&json!("failed"), &json!("state_too_large")));
    assert_eq!(text_of(&told), "the state would have 2121 bytes, more than the 2000 that it may have");
    assert_eq!(bench.session.state().text.len(), 1_900);
    // The shadow has come back with the state.
    bench.say(1, &json!(["a", 3, "add", 1]));
    assert_eq!(bench.last(1), json!(["d", 4, 3, [["count", 1]]]));
    assert_eq!(faults(&mut bench), [], "the action has answered for it");
}

/// BOUNDED. What a turn did besides goes with it.
#[test]
fn nothing_of_a_turn_is_kept_that_made_the_state_too_large() {
    let mut bench = connected(MAX);
    let say = |text: &'static str| windlass_protocol::ClientMessage::decode(text).unwrap();
    let message =
        |text: &'static str| Input::Message { connection: windlass_engine::ConnectionId(1), message: say(text) };
    bench.turn(vec![
        message(r#"["a",1,"start",null]"#),
        message(r#"["a",2,"must",1]"#),
        message(r#"["a",3,"big",9000]"#),
    ]);
    let told = bench.last(1);
    assert_eq!((&told[2], &told[3]), (&json!(3), &json!([])));
    assert_eq!(told[4]["r"].as_array().unwrap().len(), 3);
    assert_eq!((&told[4]["e"], bench.others.len()), (&Value::Null, 0));
    assert_eq!(bench.session.unfinished_jobs().count(), 0);
}

/// BOUNDED. Growing by a little at a time comes to the same end.
#[test]
fn a_state_that_grows_in_small_steps_is_stopped_at_the_bound() {
    let mut bench = connected(MAX);
    for seq in 1..=400 {
        bench.say(1, &json!(["a", seq, "say", "0123456789"]));
        assert!(bytes(bench.session.state()) <= MAX, "after {seq}");
        let n = bench.last(1)[1].clone();
        bench.say(1, &json!(["k", n]));
    }
    assert!(bytes(bench.session.state()) > MAX - 20);
}

/// BOUNDED. An update answers to nobody: the operator is told.
#[test]
fn an_update_that_makes_the_state_too_large_is_taken_back() {
    for detached in [false, true] {
        let mut bench = connected(MAX);
        if detached {
            bench.lose(1);
        }
        bench.update(|state, turn| {
            turn.post("never".into());
            state.text = "x".repeat(3_000);
            Ok(())
        });
        assert!(bench.session.take_refused());
        assert!(!bench.session.take_refused());
        assert_eq!(bench.session.state().text, "");
        let [fault] = faults(&mut bench).try_into().unwrap();
        assert_eq!(fault.code, "state_too_large");
        bench.update(|state, _| {
            state.count = 5;
            Ok(())
        });
        assert!(!bench.session.take_refused());
        assert_eq!(bench.session.state().count, 5);
    }
}

/// BOUNDED. What no page is told is measured now and then, and a small state at once.
#[test]
fn private_fields_count_and_are_found() {
    let mut bench = connected(MAX);
    bench.say(1, &json!(["a", 1, "hide", 2_500]));
    for seq in 2..=70 {
        bench.say(1, &json!(["a", seq, "add", 1]));
        let n = bench.last(1)[1].clone();
        bench.say(1, &json!(["k", n]));
    }
    let [fault] = faults(&mut bench).try_into().unwrap();
    assert!(fault.text.ends_with("only what makes it no larger is taken"), "{}", fault.text);
    bench.say(1, &json!(["a", 71, "say", "more"]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "state_too_large");
    bench.say(1, &json!(["a", 72, "hide", 10]));
    assert_eq!(bench.last(1)[4]["r"], Value::Null);
    bench.say(1, &json!(["a", 73, "say", "more"]));
    assert_eq!(bench.last(1)[3], json!([["text", "\"more\""]]));
}

/// BOUNDED. An action in place is not taken back once; at the bound it is.
#[test]
fn an_action_in_place_overshoots_once() {
    let mut bench = connected(MAX);
    bench.say(1, &json!(["a", 1, "grow", 2_500]));
    let [fault] = faults(&mut bench).try_into().unwrap();
    assert!(fault.text.ends_with("no larger is taken"), "{}", fault.text);
    bench.say(1, &json!(["k", 2]));
    bench.say(1, &json!(["a", 2, "grow", 100]));
    assert_eq!(bench.last(1)[4]["r"][0][2], "state_too_large");
    assert_eq!(bench.session.state().text.len(), 2_500);
    // As large as it was, or smaller, it may be.
    bench.say(1, &json!(["a", 3, "add", 1]));
    bench.say(1, &json!(["a", 4, "big", 10]));
    assert_eq!((bench.session.state().count, bench.session.state().text.len()), (1, 10));
    assert_eq!(faults(&mut bench), []);
}

/// BOUNDED. Nobody's data is lost to a bound that was lowered.
#[test]
fn a_record_that_is_larger_than_the_bound_is_restored_and_may_shrink() {
    let mut bench = Bench::durable(SaveOptions::default());
    bench.hello(1);
    bench.say(1, &json!(["a", 1, "big", 5_000]));
    bench.save();
    bench.options = SessionOptions { state_bytes_max: MAX, ..bench.options };
    bench.crash().unwrap();
    let token = format!("{}.{}", "01".repeat(12), "09".repeat(16));
    bench.hello_with(2, "b", json!({ "token": token, "seq": 2 }));
    assert_eq!(bench.last(2)[3]["text"].as_str().map(str::len), Some(5_000));
    bench.say(2, &json!(["k", 1]));
    bench.say(2, &json!(["a", 2, "say", 1]));
    assert_eq!(bench.last(2)[4]["r"][0][2], "state_too_large");
    bench.say(2, &json!(["a", 3, "big", 4_000]));
    bench.say(2, &json!(["a", 4, "big", 100]));
    bench.say(2, &json!(["a", 5, "big", 1_000]));
    assert_eq!(bench.session.state().text.len(), 1_000);
}

/// BOUNDED. A page that cannot be told now is told the truth when it can.
#[test]
fn a_page_that_missed_something_is_shown_the_state_that_was_kept() {
    let mut bench = connected(MAX);
    bench.fast = false;
    bench.say(1, &json!(["a", 1, "add", 1]));
    bench.take(1);
    bench.say(1, &json!(["a", 2, "add", 1]));
    assert!(bench.take(1).is_empty(), "its socket is full");
    let message = windlass_protocol::ClientMessage::decode(r#"["a",3,"big",9000]"#).unwrap();
    let connection = windlass_engine::ConnectionId(1);
    bench.turn(vec![Input::Ready(connection), Input::Message { connection, message }]);
    let told = bench.last(1);
    assert_eq!((&told[0], &told[2], &told[3]["count"]), (&json!("s"), &json!(3), &json!(2)), "{told}");
    assert_eq!(told[4]["r"][0][2], "state_too_large");
}

/// What a turn of a small state pays for the bound is an addition and, now and then, a measurement.
#[test]
fn the_size_is_part_of_the_account() {
    let mut bench = connected(MAX);
    bench.say(1, &json!(["a", 1, "big", 500]));
    let account = bench.session.account();
    assert!((500..600).contains(&account.state), "{account:?}");
    assert_eq!(
        account.total(),
        account.record + account.shadow + account.ring + account.events + account.outcomes + account.jobs
    );
}
