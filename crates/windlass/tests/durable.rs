//! What outlives memory: parking, restarts and crashes, as the author of an app tests them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use windlass::prelude::*;
use windlass::store::{MemoryStore, SessionStore as _};
use windlass::test::{Answer, Test};
use windlass::{Durability, JobOptions, Per, Private, SessionId};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Shop {
    count: i64,
    log: Vec<String>,
    secret: Private<String>,
    #[serde(skip)]
    cache: String,
}

/// A callback that is written down; whether it may run twice is in its arguments.
#[derive(Serialize, Deserialize)]
struct Pack {
    parcel: u64,
    twice: bool,
}

impl Callback<Shop> for Pack {
    const NAME: &'static str = "pack";
    type Output = String;

    fn run(&self, job: &Job) -> Result<String> {
        Ok(format!("{} as {}", self.parcel, job.key()))
    }

    fn on_status(&self, state: &mut Shop, _cx: &mut Cx<Shop>, status: Status<String>) -> Result {
        match status {
            Status::Done(packed) => state.log.push(format!("packed {packed}")),
            Status::Lost => state.log.push(format!("lost {}", self.parcel)),
            _ => {}
        }
        Ok(())
    }

    fn options(&self) -> JobOptions {
        if self.twice { JobOptions::new().rerun_on_restart() } else { JobOptions::new() }
    }
}

fn app() -> App<Shop> {
    App::new(Shop::default)
        .action("add", |state: &mut Shop, cx: &mut Cx<Shop>, by: i64| {
            state.count += by;
            state.cache = "warm".to_owned();
            state.secret = Private::new("hidden".to_owned());
            state.log.push(format!("{by}{}", if cx.replayed() { " again" } else { "" }));
        })
        .action("go", |_, cx: &mut Cx<Shop>, url: String| cx.navigate(url))
        .action("pack", |_, cx: &mut Cx<Shop>, (parcel, twice): (u64, bool)| cx.start(Pack { parcel, twice }).map(drop))
        .action("paint", |_, cx: &mut Cx<Shop>, ()| {
            cx.long_callback("paint", |_| Ok(()))
                .on_status(|state, _, status| state.log.push(format!("{status:?}")))
                .start()
                .map(drop)
        })
        .action("tell", |_, cx: &mut Cx<Shop>, (session, by): (SessionId, i64)| {
            cx.update(session, move |state, _| state.count += by);
        })
        .callback::<Pack>()
}

fn durable() -> App<Shop> {
    app().data_dir("never touched")
}

fn session(t: &mut Test<Shop>) -> SessionId {
    let id = Arc::new(std::sync::Mutex::new(None));
    let told = Arc::clone(&id);
    t.update(move |_, cx| *told.lock().unwrap() = Some(cx.session()));
    let told = *id.lock().unwrap();
    told.unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

/// RESUME
#[test]
fn a_parked_session_comes_back_whole() {
    for app in [durable(), app().park_after(SECOND * 60)] {
        let mut t = app.on_restore(|state: &mut Shop, _| state.cache = "made anew".to_owned()).test();
        t.send("add", 2);
        t.send("add", 3);
        t.advance(SECOND);
        t.cut();
        t.park();
        t.reconnect();
        assert_eq!(t.document()["count"], 5);
        let state = t.state();
        assert_eq!((state.count, &**state.secret, &*state.cache), (5, "hidden", "made anew"));
        assert!(t.send("add", 1).is_applied(), "and goes on");
        assert_eq!(t.document()["count"], 6);
    }
}

/// RESUME. The page keeps its document, and no snapshot crosses the wire, unless something has happened meanwhile.
#[test]
fn a_page_goes_on_with_its_document_when_its_session_was_parked() {
    let seen = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&seen);
    let mut t = durable()
        .on_restore(move |_, _| {
            counts.fetch_add(1, Ordering::SeqCst);
        })
        .test();
    t.send("add", 2);
    t.advance(SECOND);
    t.cut();
    t.advance(SECOND * 130);
    assert!(t.is_parked(), "after two minutes");
    t.reconnect();
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    assert!(!t.is_parked());
    assert_eq!(t.document()["count"], 2);
}

/// EXACTLY-ONCE. What a crash undoes is sent again in order, and each action takes effect once.
#[test]
fn a_crash_loses_no_action_and_doubles_none() {
    let mut t = durable().test();
    for by in 1..=5 {
        t.send("add", by);
    }
    t.advance(SECOND);
    for by in 6..=9 {
        t.send("add", by);
    }
    assert_eq!(t.document()["count"], 45);
    t.crash();
    assert_eq!(t.document()["count"], 45);
    let log = t.state().log;
    assert_eq!(log[..5], ["1", "2", "3", "4", "5"], "these were on disk");
    assert_eq!(log[5..], ["6 again", "7 again", "8 again", "9 again"], "these were not, and know it");
    t.cut();
    assert_eq!(t.send("add", 100), Answer::Waiting);
    t.crash();
    t.reconnect();
    assert_eq!(t.state().count, 145);
}

/// EXACTLY-ONCE. A page that is loaded again between the crash and its return sends from its storage.
#[test]
fn a_page_that_is_loaded_anew_after_a_crash_sends_again_what_was_undone() {
    let mut t = durable().test();
    t.send("add", 1);
    t.send("add", 2);
    t.cut();
    t.crash();
    t.reload();
    assert_eq!(t.state().count, 3);
    assert_eq!(t.document()["count"], 3);
}

/// EVENTS
#[test]
fn an_event_that_must_arrive_does_so_once_over_parking_a_restart_and_a_crash() {
    let mut t = durable().test();
    t.send("add", 1);
    for (url, away) in [("/a", "parked"), ("/b", "restart"), ("/c", "crash")] {
        t.cut();
        let to = url.to_owned();
        t.update(move |_, cx: &mut Cx<Shop>| cx.to(windlass::Audience::Session).navigate(to));
        match away {
            "parked" => t.park(),
            "restart" => t.restart(),
            _ => {
                t.advance(SECOND);
                t.crash();
            }
        }
        t.reconnect();
        let urls: Vec<_> = t.events().iter().map(|event| event.body["url"].clone()).collect();
        assert_eq!(urls, [url], "{away}");
    }
    t.crash();
    assert!(t.events().is_empty(), "none comes twice");
}

/// OUTLIVES, ONE-END
#[test]
fn jobs_of_a_process_that_ended_run_again_when_they_say_so_and_are_lost_otherwise() {
    for crash in [false, true] {
        let mut t = durable().test();
        t.send("pack", (1, true));
        t.send("pack", (2, false));
        t.send("paint", ());
        assert_eq!(t.jobs().running(), ["pack", "pack", "paint"]);
        if crash {
            t.crash()
        } else {
            t.restart()
        }
        assert_eq!(t.jobs().running(), ["pack"], "the one that may run twice");
        let jobs = t.document()["$jobs"].clone();
        let statuses: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["status"].clone()).collect();
        assert_eq!(statuses, ["running", "lost", "lost"], "{jobs}");
        t.jobs().finish("pack");
        let log = t.state().log;
        assert_eq!(log.len(), 2, "{log:?}");
        assert_eq!(log[0], "lost 2");
        assert!(log[1].starts_with("packed 1 as "), "{log:?}");
        assert_eq!(t.document()["$jobs"][0]["status"], "done");
        // An end is an end, whatever comes.
        if crash {
            t.crash()
        } else {
            t.restart()
        }
        assert_eq!(t.document()["$jobs"][0]["status"], "done");
        assert!(t.jobs().running().is_empty());
    }
}

/// OUTLIVES. Nobody need come back for it.
#[test]
fn a_job_that_runs_again_does_so_though_its_page_has_gone() {
    let mut t = durable().test();
    t.send("pack", (1, true));
    t.advance(SECOND);
    t.cut();
    t.crash();
    assert!(!t.is_parked(), "its session was loaded for it");
    t.jobs().finish("pack");
    t.reconnect();
    assert_eq!(t.document()["$jobs"][0]["status"], "done");
}

/// OUTLIVES. The key by which the world outside tells that it is the same job.
#[test]
fn a_job_that_runs_again_has_the_same_key() {
    let mut t = durable().test();
    t.send("pack", (1, true));
    let key = Arc::new(std::sync::Mutex::new(String::new()));
    let told = Arc::clone(&key);
    t.jobs().with("pack", move |job| *told.lock().unwrap() = job.key().to_owned());
    t.crash();
    t.jobs().finish("pack");
    assert_eq!(t.state().log, [format!("packed 1 as {}", key.lock().unwrap())]);
}

#[test]
fn a_session_with_a_job_under_way_stays() {
    let mut t = durable().test();
    t.send("paint", ());
    t.cut();
    t.advance(Duration::from_secs(600));
    assert!(!t.is_parked());
    t.jobs().finish("paint");
    t.advance(Duration::from_secs(10));
    assert!(t.is_parked());
    t.reconnect();
    assert_eq!(t.document()["log"], json!(["Done(())"]));
}

/// BOUNDED
#[test]
fn a_session_in_which_nothing_was_done_is_never_written_down() {
    let store = Arc::new(MemoryStore::new(1));
    let mut t = app().store(store.clone()).on_init(|state: &mut Shop, _, _| state.count = 7).test();
    t.cut();
    t.advance(SECOND * 40);
    assert_eq!(store.bytes(), 32, "the app's secret is all there is");
    t.reconnect();
    t.send("add", 1);
    assert!(store.bytes() > 100, "with the first action it is there");
}

#[test]
fn a_session_expires_where_it_is_parked_and_hears_of_it() {
    let gone = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&gone);
    let expired = move |state: &mut Shop, _: &mut Cx<Shop>| {
        counts.fetch_add(u64::try_from(state.count).unwrap(), Ordering::SeqCst);
    };
    let mut t = durable().expire_after(SECOND * 3600).on_expire(expired).test();
    t.send("add", 3);
    t.cut();
    t.advance(SECOND * 130);
    assert!(t.is_parked());
    t.advance(SECOND * 3300);
    t.reconnect();
    assert_eq!(t.document()["count"], 3, "who comes back in time finds it");
    t.cut();
    t.advance(SECOND * 4000);
    assert_eq!(gone.load(Ordering::SeqCst), 3);
    t.reconnect();
    assert_eq!(t.document()["count"], 0);
}

/// BOUNDED
#[test]
fn of_more_parked_sessions_than_there_is_room_for_the_oldest_goes_and_new_ones_are_turned_away() {
    let mut t = app().park_after(SECOND * 60).parked_max(2).test();
    let tabs: Vec<_> = std::iter::once(t.tab()).chain((0..2).map(|_| t.second_tab())).collect();
    for &tab in &tabs {
        t.switch_to(tab);
        t.send("add", 1);
    }
    for &tab in &tabs {
        t.switch_to(tab);
        t.cut();
        t.park();
    }
    let late = t.second_tab();
    t.switch_to(late);
    assert_eq!(t.closed(), Some("busy"), "there is no room for another");
    for (&tab, count) in tabs.iter().zip([0, 1, 1]).rev() {
        t.switch_to(tab);
        t.reconnect();
        assert_eq!(t.document()["count"], count);
    }
}

/// EXACTLY-ONCE. A loss that was not a number became null on disk, which is no `f64`: the session could not be loaded again.
#[test]
fn numbers_that_json_cannot_say_outlive_the_process() {
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Training {
        loss: f64,
        best: Option<f32>,
        history: Vec<f64>,
    }
    let app = App::new(Training::default).data_dir("never touched").action("step", |state: &mut Training, _cx, ()| {
        state.history.extend([f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 8.0, 0.1 + 0.2, -0.0]);
        (state.loss, state.best) = (f64::NAN, Some(f32::NEG_INFINITY));
    });
    let mut t = app.test();
    t.send("step", ());
    let before = t.state();
    t.restart();
    assert_eq!(format!("{:?}", t.state()), format!("{before:?}"));
    t.crash();
    assert_eq!(format!("{:?}", t.state()), format!("{before:?}"));
    assert_eq!(t.document()["loss"], json!(null), "a page has no other word for it");
    t.send("step", ());
    assert_eq!(t.state().history.len(), 10);
}

/// BOUNDED. A process counted only what it had parked itself: after each restart there was room for as many again.
#[test]
fn sessions_of_an_earlier_process_count_and_make_room() {
    let disk = Arc::new(MemoryStore::new(1));
    let process = || app().store(disk.clone()).parked_max(4).test();
    let mut first = process();
    for nth in 0..3 {
        if nth > 0 {
            let tab = first.second_tab();
            first.switch_to(tab);
        }
        first.send("add", 1);
        first.cut();
        first.park();
    }
    let records = || disk.keys(None, 100).unwrap().len() - 1; // The app's own secret has one.
    assert_eq!(records(), 3);
    drop(first);
    let mut second = process();
    second.advance(SECOND * 100);
    second.send("add", 5);
    second.cut();
    second.park();
    let (one, two) = (second.tab(), second.second_tab());
    second.switch_to(two);
    assert_eq!(second.closed(), Some("busy"), "three are of the process before");
    // One of them is at its page, and the newcomer takes the place.
    second.switch_to(one);
    second.reconnect();
    second.switch_to(two);
    second.reconnect();
    second.send("add", 6);
    for tab in [two, one] {
        second.switch_to(tab);
        second.cut();
        second.park();
    }
    assert_eq!(records(), 4, "the oldest has gone");
    for (tab, count) in [(one, 5), (two, 6)] {
        second.switch_to(tab);
        second.reconnect();
        assert_eq!(second.document()["count"], count);
    }
}

#[test]
fn the_bounds_of_states_and_of_the_store_are_checked() {
    let build = |app: App<Shop>| app.build().map(drop).unwrap_err().text;
    assert!(build(app().state_bytes_max(1)).contains("`state_bytes_max` is 1; it is at least 1024"));
    assert!(build(durable().store_bytes_max(1)).contains("`store_bytes_max` is 1; it is at least 1048576"));
    assert!(build(app().store_bytes_max(1 << 30)).contains("`store_bytes_max` needs a `data_dir`"));
}

/// BOUNDED ATOMIC
#[test]
fn a_change_that_makes_the_state_too_large_is_taken_back_and_counted() {
    let mut t = app().park_after(SECOND * 60).state_bytes_max(2_000).test();
    for _ in 0..200 {
        let before = t.state();
        let answer = t.send("add", 1_234_567_890);
        if answer.code() == Some("state_too_large") {
            assert_eq!(t.state(), before);
        }
    }
    let bytes = serde_json::to_vec(&t.state()).unwrap().len();
    assert!((1_900..=2_000).contains(&bytes), "{bytes}");
    // And one that answers to nobody.
    let before = t.state();
    t.update(|state, _| state.log = vec!["x".repeat(5_000)]);
    assert_eq!(t.state(), before);
}

#[test]
fn an_update_reaches_a_parked_session_from_outside_and_from_another() {
    let mut t = durable().test();
    let first = t.tab();
    t.send("add", 1);
    let parked = session(&mut t);
    t.cut();
    t.park();
    let second = t.second_tab();
    t.switch_to(second);
    t.send("tell", (parked, 10));
    t.switch_to(first);
    t.update(|state, _| state.count += 100);
    t.reconnect();
    assert_eq!(t.document()["count"], 111);
}

#[test]
fn the_pages_of_a_browser_find_their_session_after_a_restart() {
    let mut t = durable().session_per(Per::Browser).test();
    t.send("add", 4);
    t.restart();
    assert_eq!(t.document()["count"], 4);
    t.cut();
    t.crash();
    let second = t.second_tab();
    t.switch_to(second);
    assert_eq!(t.document()["count"], 4, "without a token, by whose browser it is");
}

#[test]
fn a_state_whose_type_has_changed_is_migrated() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Total {
        total: i64,
    }
    let store = Arc::new(MemoryStore::new(1));
    let old = || app().session_per(Per::User).authenticate(|_| async { Ok(None) }).store(store.clone());
    let mut t = old().test();
    t.sign_in("ada");
    t.send("add", 5);
    t.restart();
    drop(t);
    let new =
        || App::new(Total::default).session_per(Per::User).authenticate(|_| async { Ok(None) }).store(store.clone());
    // Without a way to read it the person begins afresh, and the record stays for whoever can.
    let mut t = new().test();
    t.sign_in("ada");
    assert_eq!(t.document()["total"], 0);
    drop(t);
    let migrate = |version, old: serde_json::Value| {
        assert_eq!(version, 0);
        Ok(Total { total: old["count"].as_i64().unwrap_or_default() })
    };
    let mut t = new().migrate(1, migrate).test();
    t.sign_in("ada");
    assert_eq!(t.document()["total"], 5);
}

#[test]
fn with_strict_durability_nothing_is_shown_that_a_crash_undoes() {
    let mut t = durable().durability(Durability::Strict).test();
    t.send("add", 1);
    t.crash();
    assert_eq!(t.state().log, ["1"], "it was on disk before it was shown");
}

#[test]
fn an_action_that_is_answered_when_it_is_saved_is_not_undone() {
    let mut t = durable().action("pay", |state: &mut Shop, _, by: i64| state.count -= by).saved().test();
    t.send("add", 100);
    assert!(t.send("pay", 30).is_applied());
    t.crash();
    assert_eq!(t.state().log, ["100"], "it was on disk with what came after it");
    assert_eq!(t.state().count, 70);
}

#[test]
fn what_is_described_wrongly_is_said_at_the_start() {
    let text = |app: App<Shop>| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        app.build().err().map(|error| error.text).unwrap_or_default()
    };
    assert!(text(app().durability(Durability::Strict)).contains("needs a `data_dir`"));
    assert!(text(durable().unsaved_max(Duration::from_secs(3600))).contains("`unsaved_max` is 3600s"));
    assert!(text(app().park_after(Duration::ZERO)).contains("`park_after` is 0ns"));
    assert!(text(app().expire_after(Duration::ZERO)).contains("`expire_after` is 0ns"));
    let file = env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml";
    assert!(text(app().data_dir(file)).contains("`data_dir` cannot be used"));
}
