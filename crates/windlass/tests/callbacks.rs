//! Long callbacks on a real server: what their status functions and the page are told.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use windlass::prelude::*;
use windlass::{Again, Disconnect, JobOptions, Live, PoolOptions, Retry};

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
    text: String,
    ended: Vec<String>,
}

fn told<T: std::fmt::Debug>(status: Status<T>) -> String {
    match status {
        Status::Done(value) => format!("done {value:?}"),
        Status::Failed(error) => format!("failed {} {}", error.code, error.text),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Lets callbacks go on, one at a time, and says which of them have begun.
#[derive(Clone)]
struct Gate(Arc<(Begun, Opened)>);
type Begun = Mutex<mpsc::Sender<i64>>;
type Opened = Mutex<mpsc::Receiver<()>>;

fn gate() -> (Gate, mpsc::Receiver<i64>, mpsc::Sender<()>) {
    let ((begun, has_begun), (open, opened)) = (mpsc::channel(), mpsc::channel());
    (Gate(Arc::new((Mutex::new(begun), Mutex::new(opened)))), has_begun, open)
}

impl Gate {
    /// Waits to be let go; looks for a cancel meanwhile.
    fn pass(&self, job: &Job, n: i64) -> Result<i64> {
        self.0.0.lock().unwrap().send(n)?;
        while self.0.1.lock().unwrap().try_recv().is_err() {
            job.checkpoint()?;
            std::thread::yield_now();
        }
        Ok(n)
    }
}

fn app() -> App<Demo> {
    App::new(Demo::default).development(true).action("add", |state, _, by: i64| state.count += by)
}

/// An app whose action `go` starts a callback that waits at the gate, with these options.
fn gated(gate: Gate, options: impl Fn() -> JobOptions + Send + Sync + 'static) -> App<Demo> {
    app().action("go", move |state: &mut Demo, cx: &mut Cx<Demo>, n: i64| {
        state.count += 1;
        let gate = gate.clone();
        cx.long_callback("gated", move |job| gate.pass(job, n))
            .options(options())
            .on_status(|state, _, status| state.ended.push(told(status)))
            .start()
            .map(drop)
    })
}

/// A page, no more of it than these tests need.
struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    live: Live<Demo>,
    document: Value,
    outcomes: Vec<Value>,
    seq: u64,
}

impl Page {
    async fn open(app: App<Demo>) -> Self {
        let server = app.bind("127.0.0.1:0").await.unwrap();
        let (addr, live) = (server.addr(), server.live().clone());
        tokio::spawn(server.run_until(std::future::pending()));
        let mut request = format!("ws://{addr}/windlass/socket").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "windlass.v1".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let hello = json!(["h", {"token": null, "client": "0f1e2d3c4b5a69788796a5b4", "instance": "01", "epoch": 0,
            "n": 0, "event": [0, 0], "seq": 1, "page": "/", "can": []}]);
        socket.send(Message::text(hello.to_string())).await.unwrap();
        let mut page = Self { socket, live, document: Value::Null, outcomes: Vec::new(), seq: 0 };
        page.until(|document| !document.is_null()).await;
        page
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn act(&mut self, name: &str, payload: impl Into<Value>) {
        self.seq += 1;
        self.send(json!(["a", self.seq, name, payload.into()])).await;
    }

    /// Sends an action that fails or is refused; gives its code and text.
    async fn refused(&mut self, name: &str, payload: impl Into<Value>) -> (String, String) {
        self.act(name, payload).await;
        let seq = self.seq;
        while !self.outcomes.iter().any(|outcome| outcome[0] == seq) {
            self.frame().await;
        }
        let outcome = self.outcomes.iter().find(|outcome| outcome[0] == seq).unwrap();
        (outcome[2].as_str().unwrap().to_owned(), outcome[3].as_str().unwrap_or_default().to_owned())
    }

    async fn frame(&mut self) {
        let frame: Value = loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => break serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        };
        match frame[0].as_str() {
            Some("s") => self.document = frame[3].clone(),
            Some("d") => windlass_sync::apply(&mut self.document, frame[3].as_array().unwrap()).unwrap(),
            _ => return,
        }
        self.outcomes.extend(frame.get(4).and_then(|extras| extras["r"].as_array()).into_iter().flatten().cloned());
        self.send(json!(["k", frame[1]])).await;
    }

    async fn until(&mut self, so: impl Fn(&Value) -> bool) {
        while !so(&self.document) {
            self.frame().await;
        }
    }

    /// Waits until so many jobs have told their ends; gives what they told.
    async fn ended(&mut self, many: usize) -> Vec<String> {
        self.until(|document| document["ended"].as_array().is_some_and(|ended| ended.len() == many)).await;
        serde_json::from_value(self.document["ended"].clone()).unwrap()
    }

    fn job(&self, n: usize) -> &Value {
        &self.document["$jobs"][n]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_future_streams_its_partial_results_and_is_dropped_by_a_cancel() {
    let app = app().action("go", |_, cx: &mut Cx<Demo>, endless: bool| {
        cx.long_future("stream", move |job| async move {
            for n in 0..200 {
                job.emit(format!("{n} ")).await?;
            }
            if endless {
                std::future::pending::<()>().await;
            }
            Ok("through")
        })
        .on_partial(|state, _, text: String| state.text.push_str(&text))
        .on_status(|state, _, status| state.ended.push(told(status)))
        .start()
        .map(drop)
    });
    let mut page = Page::open(app).await;
    page.act("go", false).await;
    assert_eq!(page.ended(1).await, ["done \"through\""]);
    let all: String = (0..200).map(|n| format!("{n} ")).collect();
    assert_eq!(page.document["text"], all);
    page.act("go", true).await;
    page.until(|document| document["text"].as_str().unwrap().len() == 2 * all.len()).await;
    let id = page.job(1)["id"].clone();
    page.act("$cancel", id).await;
    assert_eq!(page.ended(2).await[1], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_panic_in_a_future_is_its_failure() {
    let app = app().action("go", |_, cx: &mut Cx<Demo>, (): ()| {
        cx.long_future("bad", |_| async { if true { panic!("the rope parted") } else { Ok(()) } })
            .on_status(|state, _, status| state.ended.push(told(status)))
            .start()
            .map(drop)
    });
    let mut page = Page::open(app).await;
    page.act("go", Value::Null).await;
    assert_eq!(page.ended(1).await, ["failed panicked the rope parted"]);
    assert_eq!(page.job(0)["text"], "the rope parted");
}

#[derive(Serialize, Deserialize)]
struct Sum {
    numbers: Vec<i64>,
}

impl Callback<Demo> for Sum {
    const NAME: &'static str = "sum";
    type Output = i64;

    fn run(&self, job: &Job) -> Result<i64> {
        for number in &self.numbers {
            job.emit(number)?;
        }
        Ok(self.numbers.iter().sum())
    }

    fn on_status(&self, state: &mut Demo, _: &mut Cx<Demo>, status: Status<i64>) -> Result {
        state.ended.push(format!("{:?} {}", self.numbers, told(status)));
        Ok(())
    }

    fn on_partial(&self, state: &mut Demo, _: &mut Cx<Demo>, value: Value) -> Result {
        state.text.push_str(&value.to_string());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_named_callback_gets_its_arguments_in_its_status_function() {
    let app = app()
        .callback::<Sum>()
        .action("sum", |_, cx: &mut Cx<Demo>, numbers: Vec<i64>| cx.start(Sum { numbers }).map(drop));
    let mut page = Page::open(app).await;
    page.act("sum", json!([1, 2, 3])).await;
    assert_eq!(page.ended(1).await, ["[1, 2, 3] done 6"]);
    assert_eq!(page.document["text"], "123");
    assert_eq!(page.job(0)["name"], "sum");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_was_forgotten_or_is_wrong_is_named() {
    let app = app()
        .action("sum", |_, cx: &mut Cx<Demo>, (): ()| cx.start(Sum { numbers: Vec::new() }).map(drop))
        .action("pool", |_, cx: &mut Cx<Demo>, (): ()| {
            cx.long_callback("x", |_| Ok(())).pool("heavy").start().map(drop)
        })
        .action("period", |_, cx: &mut Cx<Demo>, ms: u64| {
            cx.long_callback("x", |_| Ok(())).every(Duration::from_millis(ms)).start().map(drop)
        })
        .action("retry", |_, cx: &mut Cx<Demo>, (): ()| {
            cx.long_callback("x", |_| Ok(())).retry(Retry::times(0)).start().map(drop)
        });
    let mut page = Page::open(app).await;
    let (code, text) = page.refused("sum", Value::Null).await;
    assert!(code == "internal" && text.contains("\"sum\"") && text.contains(".callback::<"), "{text}");
    let (_, text) = page.refused("pool", Value::Null).await;
    assert!(text.contains("\"heavy\"") && text.contains("App::pool") && text.contains("\"jobs\""), "{text}");
    for ms in [0, 9, 24 * 60 * 60 * 1000 + 1] {
        let (_, text) = page.refused("period", ms).await;
        assert!(text.contains("no period"), "{text}");
    }
    let (_, text) = page.refused("retry", Value::Null).await;
    assert!(text.contains("0 attempts"), "{text}");
    assert_eq!(page.document["$jobs"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_described_twice_is_said_at_the_start() {
    let twice = app().callback::<Sum>().callback::<Sum>().pool("a", PoolOptions::default());
    let error = twice.pool("a", PoolOptions::default()).build().err().unwrap();
    assert!(error.text.contains("\"sum\" is registered twice") && error.text.contains("\"a\" is described twice"));
}

/// ATOMIC, BOUNDED. A full pool ended the job as failed after the action had been kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_full_pool_refuses_the_action_and_nothing_of_it_is_kept() {
    let (gate, begun, open) = gate();
    let small = PoolOptions { threads: 1, queue_max: 1, ..PoolOptions::default() };
    let app = gated(gate, || JobOptions::new().pool("small")).pool("small", small);
    let mut page = Page::open(app).await;
    page.act("go", 1).await;
    page.act("go", 2).await;
    page.until(|document| document["count"] == 2).await;
    assert_eq!(begun.recv().unwrap(), 1);
    let (code, text) = page.refused("go", 3).await;
    assert!(code == "pool_full" && text.contains("\"small\""), "{code} {text}");
    assert_eq!((&page.document["count"], page.document["$jobs"].as_array().unwrap().len()), (&json!(2), 2));
    open.send(()).unwrap();
    assert_eq!(page.ended(1).await, ["done 1"]);
    page.act("go", 4).await;
    page.until(|document| document["count"] == 3).await;
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!(page.ended(3).await, ["done 1", "done 2", "done 4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_action_that_fails_gives_the_place_in_the_queue_back() {
    let app = app().pool("small", PoolOptions { threads: 1, queue_max: 0, ..PoolOptions::default() }).action(
        "go",
        |_, cx: &mut Cx<Demo>, fail: bool| {
            cx.long_callback("x", |_| Ok(()))
                .pool("small")
                .on_status(|s, _, status| s.ended.push(told(status)))
                .start()?;
            if fail { Err(Error::refuse("own", "no")) } else { Ok(()) }
        },
    );
    let mut page = Page::open(app).await;
    for _ in 0..3 {
        assert_eq!(page.refused("go", true).await.0, "own");
    }
    page.act("go", false).await;
    assert_eq!(page.ended(1).await, ["done ()"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn again_while_one_runs_is_allowed_refused_replaced_or_queued() {
    for again in [Again::Allow, Again::Refuse, Again::Replace, Again::Queue] {
        let (gate, begun, open) = gate();
        let app = gated(gate, move || JobOptions::new().again(again)).threads(4);
        let mut page = Page::open(app).await;
        page.act("go", 1).await;
        page.until(|document| document["$jobs"][0]["status"] == "running").await;
        assert_eq!(begun.recv().unwrap(), 1);
        match again {
            Again::Allow => {
                page.act("go", 2).await;
                assert_eq!(begun.recv().unwrap(), 2);
                open.send(()).unwrap();
                open.send(()).unwrap();
                let mut ended = page.ended(2).await;
                ended.sort();
                assert_eq!(ended, ["done 1", "done 2"]);
            }
            Again::Refuse => {
                assert_eq!(page.refused("go", 2).await.0, "already_running");
                open.send(()).unwrap();
                assert_eq!(page.ended(1).await, ["done 1"]);
                page.act("go", 3).await;
                open.send(()).unwrap();
                assert_eq!(page.ended(2).await, ["done 1", "done 3"]);
            }
            Again::Replace => {
                page.act("go", 2).await;
                page.act("go", 3).await;
                let mut ended = page.ended(2).await;
                ended.sort();
                assert_eq!(ended, ["cancelled", "cancelled"]);
                open.send(()).unwrap();
                assert_eq!(page.ended(3).await[2], "done 3");
            }
            _ => {
                page.act("go", 2).await;
                page.act("go", 3).await;
                page.until(|document| document["count"] == 3).await;
                let second = page.job(1)["id"].clone();
                page.act("$cancel", second).await;
                assert_eq!(page.ended(1).await, ["cancelled"], "one that waits ends at once");
                assert!(begun.try_recv().is_err(), "the third waits for the first");
                open.send(()).unwrap();
                open.send(()).unwrap();
                assert_eq!(page.ended(3).await, ["cancelled", "done 1", "done 3"]);
            }
        }
    }
}

/// Of several that run, each has to end, in whatever order they do.
#[test]
fn what_queues_or_replaces_waits_for_all_others_with_its_key() {
    for again in [Again::Queue, Again::Replace] {
        let start = |_: &mut Demo, cx: &mut Cx<Demo>, (name, again): (&str, Again)| {
            cx.long_callback(name, |_| Ok(())).key("key").again(again).start().map(drop)
        };
        let mut t = app()
            .action("both", move |state, cx: &mut Cx<Demo>, ()| -> Result {
                start(state, cx, ("first", Again::Allow))?;
                start(state, cx, ("second", Again::Allow))
            })
            .action("last", move |state, cx: &mut Cx<Demo>, ()| start(state, cx, ("last", again)))
            .test();
        t.send("both", ());
        assert_eq!(t.jobs().running(), ["first", "second"]);
        t.send("last", ());
        if again == Again::Queue {
            t.jobs().done("second", ());
            assert_eq!(t.jobs().running(), ["first"], "the last one waits for both");
            t.jobs().done("first", ());
        }
        assert_eq!(t.jobs().running(), ["last"]);
        t.jobs().done("last", ());
        assert_eq!(t.jobs().running(), [] as [&str; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_failed_attempt_is_shown_and_a_refusal_is_final() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let app = app().action("go", move |_, cx: &mut Cx<Demo>, refuse: bool| {
        let tries = Arc::clone(&counted);
        cx.long_callback("flaky", move |job| {
            tries.fetch_add(1, Ordering::SeqCst);
            match job.attempt() {
                _ if refuse => Err(Error::refuse("no", "never")),
                3 => Ok(job.key().to_owned()),
                _ => Err(Error::internal("not yet")),
            }
        })
        .retry(Retry::times(5).first(Duration::from_millis(1)))
        .on_status(|state, _, status| {
            state.ended.push(match status {
                Status::Done(key) => format!("done {}", key.len()),
                status => told(status),
            });
        })
        .start()
        .map(drop)
    });
    let mut page = Page::open(app).await;
    page.act("go", false).await;
    assert_eq!(page.ended(1).await, ["done 32"]);
    assert_eq!((&page.job(0)["attempt"], tries.load(Ordering::SeqCst)), (&json!(3), 3));
    page.act("go", true).await;
    assert_eq!(page.ended(2).await[1], "failed no never");
    assert_eq!(tries.load(Ordering::SeqCst), 4);
}

/// [JOB-1] [JOB-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_page_cancels_what_it_may_and_dismisses_what_has_ended() {
    let (gate, begun, open) = gate();
    let app = gated(gate, || JobOptions::new().cancellable_by_page(false));
    let mut page = Page::open(app).await;
    page.act("go", 1).await;
    begun.recv().unwrap();
    page.until(|document| document["$jobs"][0]["status"] == "running").await;
    let id = page.job(0)["id"].clone();
    assert_eq!(page.refused("$cancel", id.clone()).await.0, "forbidden");
    assert_eq!(page.refused("$dismiss", id.clone()).await.0, "not_ended");
    assert_eq!(page.refused("$dismiss", 7).await.0, "bad_payload");
    open.send(()).unwrap();
    assert_eq!(page.ended(1).await, ["done 1"]);
    page.act("$dismiss", id.clone()).await;
    page.until(|document| document["$jobs"] == json!([])).await;
    assert_eq!(page.refused("$dismiss", id).await.0, "gone");
    page.act("go", 2).await;
    open.send(()).unwrap();
    page.ended(2).await;
    page.act("$dismiss", Value::Null).await;
    page.until(|document| document["$jobs"] == json!([])).await;
}

/// [JOB-3] ONE-END
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_log_and_the_last_progress_are_in_jobs_when_the_end_is() {
    let app = app().action("go", |_, cx: &mut Cx<Demo>, (): ()| {
        cx.long_callback("log", |job| {
            for n in 0..100 {
                job.progress(n, 200);
                job.log(format!("line {n}"));
            }
            job.text("half way");
            Err::<(), _>(Error::refuse("parted", "the rope parted"))
        })
        .every(Duration::from_millis(10))
        .on_status(|state, _, status| state.ended.push(told(status)))
        .start()
        .map(drop)
    });
    let mut page = Page::open(app).await;
    page.act("go", Value::Null).await;
    page.until(|document| document["$jobs"][0]["status"] == "failed").await;
    let job = page.job(0).clone();
    assert_eq!((&job["progress"], &job["text"]), (&json!(0.495), &json!("the rope parted")));
    let lines: Vec<_> = (80..100).map(|n| format!("line {n}")).collect();
    assert_eq!(job["log"], json!(lines));
    assert_eq!(page.document["ended"], json!(["failed parted the rope parted"]), "one turn tells both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_status_function_that_fails_is_told_beside_its_job_and_changes_nothing() {
    let app = app().action("go", |_, cx: &mut Cx<Demo>, panics: bool| {
        cx.long_callback("x", |_| Ok(1))
            .on_status(move |state, _, _| -> Result {
                state.count += 100;
                assert!(!panics, "the pawl jumped");
                Err(Error::refuse("own", "no room on the drum"))
            })
            .start()
            .map(drop)
    });
    let mut page = Page::open(app).await;
    for (n, (panics, text)) in [(false, "no room on the drum"), (true, "the pawl jumped")].into_iter().enumerate() {
        page.act("go", panics).await;
        page.until(|document| document["$jobs"][n]["text"].as_str().is_some_and(|told| told.contains(text))).await;
        assert_eq!(page.job(n)["status"], "done");
        assert!(page.job(n)["text"].as_str().unwrap().starts_with("its status function failed: "));
    }
    assert_eq!(page.document["count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_job_goes_on_or_is_cancelled_when_its_last_page_has_gone() {
    let cases = [
        (Disconnect::Continue, false),
        (Disconnect::Cancel, true),
        (Disconnect::CancelAfter(Duration::from_millis(1)), true),
        (Disconnect::CancelAfter(Duration::from_secs(3600)), false),
    ];
    for (policy, is_cancelled) in cases {
        let (gate, begun, open) = gate();
        let (end, has_ended) = mpsc::channel();
        let app = app().action("go", move |_, cx: &mut Cx<Demo>, (): ()| {
            let (gate, end) = (gate.clone(), end.clone());
            cx.long_callback("gated", move |job| gate.pass(job, 1))
                .on_disconnect(policy)
                .on_status(move |_, _, status| end.send(told(status)).unwrap())
                .start()
                .map(drop)
        });
        let mut page = Page::open(app).await;
        page.act("go", Value::Null).await;
        begun.recv().unwrap();
        page.socket.close(None).await.unwrap();
        if !is_cancelled {
            open.send(()).unwrap();
        }
        let ended = tokio::task::spawn_blocking(move || has_ended.recv().unwrap()).await.unwrap();
        assert_eq!(ended, if is_cancelled { "cancelled" } else { "done 1" }, "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_waits_sees_a_place_and_a_hard_timeout_leaves_a_stuck_thread() {
    let (gate, begun, open) = gate();
    let pool = PoolOptions { threads: 1, ..PoolOptions::default() };
    let app = app().pool("one", pool).action("go", move |_, cx: &mut Cx<Demo>, n: i64| {
        let gate = gate.clone();
        // It does not look for a cancel: nothing but the gate lets it go.
        let run = move |_: &Job| {
            gate.0.0.lock().unwrap().send(n)?;
            gate.0.1.lock().unwrap().recv()?;
            Ok(n)
        };
        let timeout = if n == 1 { Duration::from_millis(300) } else { Duration::from_secs(3600) };
        cx.long_callback("deaf", run)
            .pool("one")
            .hard_timeout(timeout)
            .on_status(|state, _, status| state.ended.push(told(status)))
            .start()
            .map(drop)
    });
    let mut page = Page::open(app).await;
    page.act("go", 1).await;
    begun.recv().unwrap();
    page.act("go", 2).await;
    page.act("go", 3).await;
    page.until(|document| document["$jobs"][1]["rank"] == 1 && document["$jobs"][2]["rank"] == 2).await;
    assert_eq!(page.ended(1).await, ["timedout"]);
    assert_eq!(page.job(0)["status"], "timed_out");
    let stuck = |live: &Live<Demo>| live.pools().into_iter().find(|(name, _)| name == "one").unwrap().1;
    assert_eq!((stuck(&page.live).stuck, stuck(&page.live).running), (1, 1));
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    // For a moment two threads run, that of the stuck job and the one in its place: either end may be the first.
    let mut ended = page.ended(3).await;
    ended[1..].sort();
    assert_eq!(ended, ["timedout", "done 2", "done 3"]);
    assert_eq!(page.job(2)["rank"], Value::Null);
    assert_eq!(stuck(&page.live).stuck, 0);
}
