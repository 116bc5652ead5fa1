//! Rules of the protocol that no transcript can show, since a right server says other things then.

use serde_json::{Value, json};

use super::transcripts::core;
use super::*;

/// A ticket, and how its call ended.
type Answer = (u64, Result<Value, ActionError>);

/// A client that was welcomed with `more` in its welcome and has a document.
fn live(identity: Identity, more: Value) -> Core {
    let mut core = core(identity, Duration::ZERO);
    core.opened(Duration::ZERO);
    say(&mut core, &welcome(more));
    say(&mut core, &json!(["s", 1, 0, { "count": 0 }]));
    core.outputs();
    core
}

fn welcome(more: Value) -> Value {
    let mut body = json!({ "session": "one", "client": "me", "epoch": 1, "ack": 0, "saved": null, "resumed": false });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!(["w", body])
}

fn say(core: &mut Core, message: &Value) {
    core.text(&message.to_string(), Duration::ZERO);
}

/// The connection is lost, and the next one welcomed; what the client then does about its actions.
fn welcomed_again(core: &mut Core, more: Value) -> (Vec<String>, Vec<Answer>) {
    core.closed(Ended::lost(), Duration::ZERO);
    core.retry(Duration::ZERO);
    core.opened(Duration::ZERO);
    core.outputs();
    say(core, &welcome(more));
    let (mut sent, mut answers) = (Vec::new(), Vec::new());
    for output in core.outputs() {
        match output {
            Output::Send(text) => sent.push(text),
            Output::Answer(ticket, outcome) => answers.push((ticket, outcome)),
            _ => {}
        }
    }
    (sent, answers)
}

/// [PENDING-3]
#[test]
fn what_is_pending_and_not_listed_has_told_its_outcome_elsewhere() {
    let mut core = live(Identity::new("me".to_owned()), json!({}));
    let [first, second] =
        [1, 2].map(|by| core.act("slow", &by.to_string(), ActionOptions::default(), Duration::ZERO).unwrap());
    say(&mut core, &json!(["d", 2, 2, [], { "r": [[1, "pending"], [2, "pending"]] }]));
    let (sent, answers) = welcomed_again(&mut core, json!({ "resumed": true, "ack": 2, "pending": [2] }));
    assert_eq!((sent, answers), (Vec::new(), vec![(first, Err(ActionError::OutcomeUnknown))]));
    say(&mut core, &json!(["d", 3, 2, [], { "r": [[2, "applied", 4]] }]));
    let told =
        |output: Output| if let Output::Answer(ticket, outcome) = output { Some((ticket, outcome)) } else { None };
    assert_eq!(core.outputs().into_iter().filter_map(told).collect::<Vec<_>>(), [(second, Ok(json!(4)))]);
    assert_eq!(core.pending(), 0);
}

/// [ACTION-2] A crash undid that it was consumed: it is no more pending, and the next one would make a gap without it.
#[test]
fn what_was_pending_before_a_crash_is_sent_again() {
    let mut core = live(Identity::new("me".to_owned()), json!({ "saved": 0 }));
    let ticket = core.act("slow", "1", ActionOptions::default(), Duration::ZERO).unwrap();
    say(&mut core, &json!(["d", 2, 1, [], { "r": [[1, "pending"]] }]));
    let (sent, answers) = welcomed_again(&mut core, json!({ "epoch": 2, "saved": 0 }));
    assert_eq!((sent, answers), (vec![r#"["a",1,"slow",1]"#.to_owned()], Vec::new()));
    // This time its handler answers at once.
    say(&mut core, &json!(["s", 1, 1, { "count": 0 }]));
    assert!(core.outputs().iter().any(|output| matches!(output, Output::Answer(of, Ok(Value::Null)) if *of == ticket)));
}
