//! The demo as its pages meet it, without a browser: what an app's own tests look like.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::Error;

use crate::app;

#[test]
fn the_counter_adds_and_never_overflows() {
    let mut t = app().test();
    t.send("add", 2);
    t.send("add", i64::MAX);
    assert_eq!(t.document()["counter"]["count"], i64::MAX);
    t.send("reset", ());
    assert_eq!(t.document()["counter"]["count"], 0);
    assert_eq!(t.send("add", "two").code(), Some("bad_payload"));
}

#[test]
fn a_heavy_task_is_followed_each_second_to_its_end() {
    let order = |seconds: u64| json!({ "seconds": seconds, "fail": false, "panic": false });
    let mut t = app().test();
    assert_eq!(t.send("start_heavy", order(61)).code(), Some("seconds"));
    t.send("start_heavy", order(10));
    t.advance(Duration::from_millis(2_500));
    t.jobs().fail("heavy", Error::refuse("parted", "the rope parted"));
    let told: Vec<_> = t.events().iter().filter_map(|event| event.text().map(str::to_owned)).collect();
    assert_eq!(
        told,
        ["Heavy task started", "Still running, 1 s", "Still running, 2 s", "Heavy task failed: the rope parted"]
    );
    assert_eq!(t.document()["heavy"]["ended"], json!({ "how": "failed", "text": "the rope parted" }));

    t.send("start_heavy", order(1));
    t.jobs().cancel("heavy");
    assert_eq!(t.document()["heavy"]["ended"]["how"], "cancelled");
    assert_eq!(t.document()["heavy"]["result"], Value::Null);
}

#[test]
fn text_that_was_stopped_goes_on_where_it_was() {
    let mut t = app().test();
    t.send("start_text", ());
    t.jobs().emit("text", "Heave ");
    t.send("stop_text", ());
    assert_eq!(t.document()["text"]["running"], false);
    t.send("start_text", ());
    t.jobs().emit("text", "ho");
    assert_eq!(t.document()["text"]["body"], "Heave ho");
    t.jobs().done("text", ());
    assert_eq!((&t.document()["text"]["tokens"], &t.document()["text"]["running"]), (&json!(2), &json!(false)));
    t.send("clear_text", ());
    assert_eq!(t.document()["text"]["body"], "");
}

#[test]
fn the_types_of_the_page_are_current() {
    let types = app().types().unwrap_or_else(|error| error.text);
    assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types -p demo -o examples/demo/app.d.ts`");
}
