//! External commands of an app: what they are given, what their status functions and the page are told, and the limits
//! that hold for them as for every job.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use serde_json::{Value, json};
use support::{Client, Running};
use windlass::prelude::*;
use windlass::test::Answer;
use windlass::{Again, Command, JobOptions, PoolOptions, Retry};

#[derive(Clone, Default, Serialize)]
struct Demo {
    rows: Vec<i64>,
    ended: Vec<String>,
}

fn told<T: std::fmt::Debug>(status: Status<T>) -> String {
    match status {
        Status::Done(value) => format!("done {value:?}"),
        Status::Failed(error) => format!("failed {} {}", error.code, error.text),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn sh(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script).grace(Duration::from_millis(100))
}

/// An app whose action `run` starts that script with its payload.
fn app(script: &str, options: impl Fn() -> JobOptions + Send + Sync + 'static) -> App<Demo> {
    App::new(Demo::default).command("script", sh(script)).action(
        "run",
        move |_: &mut Demo, cx: &mut Cx<Demo>, input: Value| {
            cx.command("script", &input)
                .options(options())
                .on_partial(|state, _, row: i64| state.rows.push(row))
                .on_status(|state, _, status: Status<Value>| state.ended.push(told(status)))
                .start()
                .map(drop)
        },
    )
}

fn text_of(answer: Answer) -> String {
    match answer {
        Answer::Failed { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

const SLEEPS: &str = r#"echo '{"progress": 0.5}'; exec sleep 600"#;

#[test]
fn a_command_gets_its_input_and_its_result_and_partial_results_reach_the_state() {
    let script = r#"read -r line; echo '{"partial": 1}'; echo '{"partial": 2}'; echo "{\"result\": $line}""#;
    let mut t = app(script, JobOptions::new).test();
    t.send("run", json!({"file": "ä.csv"}));
    assert_eq!(t.jobs().running(), ["script"]);
    t.jobs().finish("script");
    assert_eq!(t.state().rows, [1, 2]);
    assert_eq!(t.state().ended, [r#"done Object {"file": String("ä.csv")}"#]);
    // A test need not run it at all.
    t.send("run", ());
    t.jobs().done("script", json!(7));
    assert_eq!(t.state().ended[1], "done Number(7)");
}

#[test]
fn failures_are_typed_and_the_scripts_own_error_is_for_the_page() {
    let ended = |script: &str| {
        let mut t = app(script, JobOptions::new).test();
        t.send("run", ());
        t.jobs().finish("script");
        (t.state().ended[0].clone(), t.document()["$jobs"][0].clone())
    };
    let (ended_with, job) = ended("echo oops >&2; exit 3");
    assert_eq!(ended_with, "failed command_failed the command ended with status 3; its log ends:\noops");
    assert_eq!((&job["status"], &job["log"]), (&json!("failed"), &json!([])), "the log is not the page's");
    let (ended_with, job) = ended(r#"echo '{"error": "there is no column x", "code": "no_column"}'"#);
    assert_eq!(ended_with, "failed no_column there is no column x");
    assert_eq!(job["text"], "there is no column x");
    let (ended_with, _) = ended("echo '{oops'");
    assert!(ended_with.contains("line 1 on the command's standard output begins with a brace"), "{ended_with}");
}

#[test]
fn a_result_of_another_type_than_expected_is_a_failure_that_says_so() {
    for (script, expected) in [
        ("exit 0", "the command ended without a result: it prints {\"result\": …} before it ends"),
        (r#"echo '{"result": "x"}'"#, "the command's result is not what is expected: invalid type: string"),
    ] {
        let mut t = App::new(Demo::default)
            .command("script", sh(script))
            .action("run", |_: &mut Demo, cx: &mut Cx<Demo>, ()| {
                let status = |state: &mut Demo, _: &mut Cx<Demo>, status: Status<u32>| state.ended.push(told(status));
                cx.command("script", &()).on_status(status).start().map(drop)
            })
            .test();
        t.send("run", ());
        t.jobs().finish("script");
        assert!(t.state().ended[0].contains(expected), "{:?}", t.state().ended);
    }
}

#[test]
fn the_log_reaches_the_page_only_when_it_is_shown() {
    for (shows, expected) in [(false, json!([])), (true, json!(["secret"]))] {
        let options = move || if shows { JobOptions::new().show_log() } else { JobOptions::new() };
        let mut t = app("echo secret >&2", options).test();
        t.send("run", ());
        t.jobs().finish("script");
        assert_eq!(t.document()["$jobs"][0]["log"], expected);
    }
}

#[test]
fn what_cannot_be_started_says_what_to_do() {
    let mut t = App::new(Demo::default)
        .development(true)
        .command("echo", sh("echo \"$@\" >&2"))
        .action("unknown", |_: &mut Demo, cx: &mut Cx<Demo>, ()| cx.command::<()>("nothing", &()).start().map(drop))
        .action("function", |_: &mut Demo, cx: &mut Cx<Demo>, ()| {
            cx.long_callback("f", |_| Ok(())).arg("x").start().map(drop)
        })
        .action("value", |_: &mut Demo, cx: &mut Cx<Demo>, ()| {
            cx.command::<()>("echo", &()).arg("a\0b").start().map(drop)
        })
        .test();
    for (action, expected) in [
        ("unknown", "the command \"nothing\" is not registered: add `.command(\"nothing\", …)` to the app"),
        ("function", "the job \"f\" is no external command, and has no command line for `arg`"),
        ("value", "a value for the command line holds a zero byte"),
    ] {
        assert_eq!(text_of(t.send(action, ())), expected);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let build = |app: App<Demo>| app.build().map(drop).unwrap_err().text;
    let text = build(App::new(Demo::default).command("x", Command::new("no-such-program")).command("x", sh("")));
    assert!(text.contains("the command \"x\": there is no program no-such-program that can be run"), "{text}");
    assert!(text.contains("the command \"x\" is registered twice"), "{text}");
    let text = build(App::new(Demo::default).command("x", sh("")).command_folder("/dev/null"));
    assert!(text.contains("the folder of commands") && text.contains("`App::command_folder`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_caps_and_ranks_hold_for_commands() {
    let pool = PoolOptions { threads: 1, owner_queue_max: 2, ..PoolOptions::default() };
    let app = app(SLEEPS, || JobOptions::new().pool("one")).pool("one", pool);
    let server = Running::start(app).await;
    let mut page = Client::new(server.addr).await;
    for _ in 0..3 {
        page.act("run", json!(null)).await;
    }
    page.until(|document| document["$jobs"][2]["rank"] == 2).await;
    let document = page.document.clone();
    let status: Vec<_> = document["$jobs"].as_array().unwrap().iter().map(|job| job["status"].clone()).collect();
    assert_eq!(status, ["running", "queued", "queued"]);
    page.act("run", json!(null)).await;
    while page.outcomes.is_empty() {
        page.frame().await;
    }
    assert!(page.outcomes[0].to_string().contains("pool_full"), "{:?}", page.outcomes);
    for job in document["$jobs"].as_array().unwrap() {
        page.act("$cancel", job["id"].clone()).await;
    }
    let ended = json!(["cancelled", "cancelled", "cancelled"]);
    page.until(|document| document["ended"] == ended && document["$jobs"][2]["status"] == "cancelled").await;
    assert!(page.document["$jobs"].as_array().unwrap().iter().all(|job| job["status"] == "cancelled"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_retries_and_what_happens_again_hold_for_commands() {
    let flaky = r#"[ "$WINDLASS_ATTEMPT" = 2 ] || exit 1; echo "{\"result\": $WINDLASS_ATTEMPT}""#;
    let mut retry = Retry::times(3);
    retry.first = Duration::from_millis(1);
    let server = Running::start(app(flaky, move || JobOptions::new().retry(retry.clone()))).await;
    let mut page = Client::new(server.addr).await;
    page.act("run", json!(null)).await;
    page.until(|document| document["ended"] == json!(["done Number(2)"])).await;
    server.stop().await;

    let server = Running::start(app(SLEEPS, || JobOptions::new().timeout(Duration::from_millis(50)))).await;
    let mut page = Client::new(server.addr).await;
    page.act("run", json!(null)).await;
    page.until(|document| document["ended"] == json!(["timedout"])).await;
    server.stop().await;

    let server = Running::start(app(SLEEPS, || JobOptions::new().again(Again::Replace))).await;
    let mut page = Client::new(server.addr).await;
    page.act("run", json!(null)).await;
    page.until(|document| document["$jobs"][0]["progress"] == 0.5).await;
    page.act("run", json!(null)).await;
    page.until(|document| document["$jobs"][1]["progress"] == 0.5).await;
    assert_eq!(page.document["ended"], json!(["cancelled"]));
    // The end of the server ends what runs, in the time that jobs have for it.
    server.stop().await;
}

#[test]
fn the_input_has_a_bound() {
    let mut t = App::new(Demo::default)
        .development(true)
        .command("cat", sh("cat >/dev/null"))
        .action("run", |_: &mut Demo, cx: &mut Cx<Demo>, ()| {
            cx.command::<()>("cat", &"x".repeat(windlass::COMMAND_INPUT_BYTES_MAX)).start().map(drop)
        })
        .test();
    assert_eq!(text_of(t.send("run", ())), "the input is 16777218 bytes, and may be 16777216");
}
