//! The test driver, as the author of an app uses it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use windlass::prelude::*;
use windlass::test::{Answer, Test};

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
    text: String,
    ended: Vec<String>,
    ticks: Vec<u64>,
}

fn work(_: &mut Demo, cx: &mut Cx<Demo>, seconds: u64) -> Result {
    cx.long_callback("work", move |job| {
        for step in 0..1_000 {
            job.checkpoint()?;
            job.progress(step, 1_000);
            job.emit(".")?;
        }
        Ok(seconds)
    })
    .every(Duration::from_secs(seconds))
    .timeout(Duration::from_secs(60))
    .on_partial(|state, _, token: String| state.text.push_str(&token))
    .on_status(|state, cx, status| match status {
        Status::Running(running) => state.ticks.push(running.tick),
        Status::Done(value) => state.ended.push(format!("done {value}")),
        Status::Failed(error) => {
            cx.notify(Level::Error, error.text.clone());
            state.ended.push(format!("failed {} {}", error.code, error.text));
        }
        other => state.ended.push(format!("{other:?}")),
    })
    .start()?;
    Ok(())
}

fn app() -> App<Demo> {
    App::new(Demo::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .query("twice", |state, ()| Reply(state.count * 2))
        .action("work", work)
        .action("stop", |_, cx: &mut Cx<Demo>, ()| cx.cancel("work"))
        .action("break", |state, cx: &mut Cx<Demo>, ()| -> Result {
            state.count = -1;
            cx.notify(Level::Info, "never told");
            Err(Error::refuse("own", "no"))
        })
        .action("forty", |_, cx: &mut Cx<Demo>, ()| -> Result {
            for _ in 0..40 {
                cx.long_callback("one", |_| Ok(1))
                    .on_status(|state, _, status| {
                        if let Status::Done(one) = status {
                            state.count += one;
                        }
                    })
                    .start()?;
            }
            Ok(())
        })
}

/// The text of the panic that this causes.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(f()))).unwrap_err();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn an_action_has_its_answer_and_the_page_what_changed() {
    let mut t = app().test();
    assert_eq!(t.send("add", 2), Answer::Applied(Value::Null));
    assert_eq!(t.send("twice", ()).value::<i64>(), 4);
    assert_eq!(t.send("break", ()), Answer::Failed { code: "own".into(), text: "no".into() });
    assert_eq!(t.send("nothing", ()).code(), Some("unknown_action"));
    assert_eq!(t.state().count, 2);
    assert_eq!(t.document(), &json!({ "count": 2, "text": "", "ended": [], "ticks": [], "$jobs": [] }));
    assert_eq!(t.events(), [], "what a failed handler asked for is not told");
}

#[test]
fn a_job_waits_for_its_cue_and_then_runs_for_real() {
    let mut t = app().test();
    t.send("work", 5);
    assert_eq!(t.jobs().running(), ["work"]);
    assert_eq!(t.document()["$jobs"][0]["status"], "running");
    t.advance(Duration::from_secs(11));
    assert_eq!(t.state().ticks, [1, 2]);
    t.jobs().tick("work");
    assert_eq!((t.state().ticks.len(), t.elapsed()), (3, Duration::from_secs(15)));
    t.jobs().finish("work");
    assert_eq!(t.state().ended, ["done 5"]);
    assert_eq!(t.document()["text"], ".".repeat(1_000), "a thousand partial results, more than may wait");
    assert_eq!(t.document()["$jobs"][0]["status"], "done");
    assert!(t.jobs().running().is_empty());
}

#[test]
fn a_job_ends_as_the_test_says() {
    let mut t = app().test();
    for _ in 0..5 {
        t.send("work", 1);
    }
    t.jobs().progress("work", 1, 4);
    t.jobs().with("work", |job| job.text("a quarter"));
    t.advance(Duration::from_millis(200));
    assert_eq!(t.document()["$jobs"][0]["progress"], 0.25);
    assert_eq!(t.document()["$jobs"][0]["text"], "a quarter");
    t.jobs().done("work", 9_u64);
    t.jobs().fail("work", Error::refuse("parted", "the rope parted"));
    assert_eq!(t.events()[0].text(), Some("the rope parted"));
    t.jobs().panic("work", "the pawl jumped");
    t.jobs().cancel("work");
    t.jobs().emit("work", "half");
    t.advance(Duration::from_secs(60));
    let ended = ["done 9", "failed parted the rope parted", "failed panicked the pawl jumped", "Cancelled", "TimedOut"];
    assert_eq!(t.state().ended, ended);
    assert_eq!(t.state().text, "half");
}

/// ONE-OWNER
#[test]
fn forty_jobs_of_a_test_add_forty() {
    let mut t = app().test();
    t.send("forty", ());
    assert_eq!(t.jobs().running().len(), 40);
    for n in 1..=40 {
        t.jobs().finish("one");
        assert_eq!(t.document()["count"], n);
    }
}

/// RESUME, EXACTLY-ONCE, OUTLIVES
#[test]
fn a_page_that_was_cut_off_comes_back_to_what_it_missed() {
    let mut t = app().test();
    t.send("work", 1);
    t.cut();
    assert!(!t.is_connected());
    assert_eq!(t.send("add", 1), Answer::Waiting);
    t.jobs().done("work", 1_u64);
    assert_eq!(t.document()["ended"], json!([]), "the page was not told");
    t.reconnect();
    assert_eq!((&t.document()["ended"], &t.document()["count"]), (&json!(["done 1"]), &json!(1)));
    t.reload();
    assert_eq!(t.document()["count"], 1);
    t.send("add", 1);
    assert_eq!(t.state().count, 2);
}

#[test]
fn tabs_have_sessions_of_their_own_and_a_restart_begins_them_afresh() {
    let mut t = app().test();
    let first = t.tab();
    let second = t.second_tab();
    t.send("add", 1);
    t.send("work", 1);
    t.switch_to(second);
    t.send("add", 10);
    assert_eq!(t.document()["count"], 10);
    assert!(t.jobs().running().is_empty());
    t.cut();
    assert_eq!(t.send("add", 5), Answer::Waiting);
    t.restart();
    assert!(!t.is_connected(), "who was cut off stays so");
    t.switch_to(first);
    assert_eq!(t.document()["count"], 0);
    assert!(t.jobs().running().is_empty(), "a job dies with its server");
    assert!(t.send("add", 3).is_applied());
    t.switch_to(second);
    t.reconnect();
    assert_eq!(t.document()["count"], 0, "what was meant for the session that is gone is not sent");
}

#[test]
fn a_session_that_nobody_comes_back_to_expires() {
    let mut t = app().expire_after(Duration::from_secs(3600)).test();
    t.send("add", 1);
    t.cut();
    t.advance(Duration::from_secs(3500));
    t.reconnect();
    assert_eq!(t.document()["count"], 1);
    t.cut();
    t.advance(Duration::from_secs(3700));
    t.reconnect();
    assert_eq!(t.document()["count"], 0);
}

#[test]
fn what_goes_wrong_in_a_test_is_said() {
    let mut t = app().test();
    t.send("work", 1);
    let text = panic_of(|| t.jobs().finish("wrok"));
    assert_eq!(text, "no job \"wrok\" runs; those that do: [\"work\"]");
    let text = panic_of(|| t.jobs().done("work", 1_i32));
    assert_eq!(text, "\"work\" returns u64, not i32");
    let text = panic_of(|| t.send("add", "x").value::<i64>());
    assert!(text.starts_with("the action was not applied: Refused { code: \"bad_payload\""), "{text}");
    let text = panic_of(|| app().action("add", |_, _, ()| {}).test());
    assert!(text.contains("the action \"add\" is registered twice"), "{text}");
}

/// Two runs of one story tell the page the same, frame by frame, whatever the threads of the jobs do.
#[test]
fn a_story_goes_the_same_way_each_time() {
    fn story() -> (Value, Vec<u64>) {
        let mut t = app().test();
        t.send("forty", ());
        t.send("work", 2);
        t.jobs().finish("one");
        t.advance(Duration::from_secs(5));
        t.jobs().finish("work");
        (t.document().clone(), t.state().ticks)
    }
    let first = story();
    assert_eq!(story(), first);
    assert_eq!(story(), first);
}

#[test]
fn a_page_stays_connected_for_a_day() {
    let mut t = app().test();
    t.send("add", 1);
    t.advance(Duration::from_secs(24 * 60 * 60));
    assert!(t.is_connected());
}

#[tokio::test]
async fn a_test_that_is_a_task_can_use_it_too() {
    let mut t: Test<Demo> = app().test();
    t.cut();
    t.update(|state, _| state.count = 3);
    assert_eq!(t.state().count, 3);
    t.reconnect();
    assert_eq!(t.document()["count"], 3);
}

#[test]
fn an_answer_that_comes_later_is_awaited() {
    let app = app().async_action("fetch", |handle, by: i64| async move {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        handle.update(move |state, _| state.count += by)?;
        Ok::<_, Error>(Reply(by))
    });
    let mut t = app.test();
    assert_eq!(t.send("fetch", 3), Answer::Applied(json!(3)));
    assert_eq!(t.document()["count"], 3);
}

#[test]
fn what_is_held_back_comes_after_a_second() {
    let mut t = app()
        .action("hold", |state, cx: &mut Cx<Demo>, ()| {
            state.count = 1;
            cx.hold();
        })
        .test();
    t.send("hold", ());
    assert_eq!(t.document()["count"], 0);
    t.advance(Duration::from_millis(900));
    assert_eq!(t.document()["count"], 0);
    t.advance(Duration::from_millis(200));
    assert_eq!(t.document()["count"], 1);
}

#[test]
fn an_action_only_for_those_who_have_seen_is_refused_to_who_has_not() {
    let mut t = app().action("sort", |state, _, ()| state.count = 0).only_if_seen().test();
    assert!(t.send("sort", ()).is_applied());
    t.cut();
    t.update(|state, _| state.count = 5);
    t.send("sort", ());
    t.reconnect();
    assert_eq!(t.document()["count"], 5, "it was stale");
}

#[test]
fn tabs_of_one_browser_share_a_session_when_the_app_says_so() {
    let mut t = app().session_per(windlass::Per::Browser).test();
    let first = t.tab();
    let second = t.second_tab();
    t.send("add", 1);
    t.switch_to(second);
    assert_eq!(t.document()["count"], 1);
    t.send("work", 1);
    t.switch_to(first);
    assert_eq!(t.jobs().running(), ["work"]);
    t.jobs().done("work", 1_u64);
    t.switch_to(second);
    assert_eq!(t.document()["ended"], json!(["done 1"]));
}

#[test]
fn a_future_is_held_like_a_function_and_runs_on_its_cue() {
    fn fetch(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
        cx.long_future("fetch", |job| async move {
            job.emit("half").await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(3)
        })
        .on_partial(|state, _, text: String| state.text = text)
        .on_status(|state, _, status: Status<i64>| state.ended.push(format!("{status:?}")))
        .start()?;
        Ok(())
    }
    let mut t = app().action("fetch", fetch).test();
    t.send("fetch", ());
    t.send("fetch", ());
    t.send("fetch", ());
    assert_eq!(t.jobs().running(), ["fetch", "fetch", "fetch"]);
    t.jobs().finish("fetch");
    assert_eq!(t.state().text, "half");
    t.jobs().done("fetch", 4_i64);
    t.jobs().cancel("fetch");
    assert_eq!(t.state().ended, ["Done(3)", "Done(4)", "Cancelled"]);
}

#[test]
fn a_job_that_tries_again_waits_for_its_next_attempt_in_virtual_time() {
    fn fragile(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
        cx.long_callback("fragile", |_| Ok(1))
            .retry(windlass::Retry::times(2))
            .on_status(|state, _, status| state.ended.push(format!("{status:?}")))
            .start()?;
        Ok(())
    }
    let mut t = app().action("fragile", fragile).test();
    t.send("fragile", ());
    t.jobs().fail("fragile", Error::internal("not yet"));
    assert!(t.jobs().running().is_empty() && t.state().ended.is_empty());
    t.advance(Duration::from_secs(600));
    assert_eq!(t.document()["$jobs"][0]["attempt"], 2);
    t.jobs().finish("fragile");
    assert_eq!(t.state().ended, ["Done(1)"]);
}
