//! Jobs that start jobs, on a real server: what the page sees of them and can do with them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use support::{Client, Running};
use windlass::prelude::*;
use windlass::{PoolOptions, Retry, StartCallback as _};

#[derive(Clone, Default, Serialize)]
struct Demo {
    sum: u64,
    seen: Vec<u64>,
    ended: Vec<String>,
}

fn app(threads: usize, run: fn(&Job, u64) -> Result<u64>) -> App<Demo> {
    App::new(Demo::default)
        .development(true)
        .pool("narrow", PoolOptions { threads, queue_max: 10, ..PoolOptions::default() })
        .action("sweep", move |_, cx: &mut Cx<Demo>, many: u64| {
            cx.long_callback("sweep", move |job| {
                let mut runs = job.children("run").at_once(8);
                for n in 1..=many {
                    runs.start(move |job| run(job, n))?;
                }
                let mut sum = 0;
                while let Some(child) = runs.join_next()? {
                    if let End::Done(n) = child.end {
                        sum += n;
                    }
                }
                Ok(sum)
            })
            .pool("narrow")
            .on_partial(|state, _, n: u64| state.seen.push(n))
            .on_status(|state, _, status| match status {
                Status::Done(sum) => {
                    state.sum = sum;
                    state.ended.push("done".into());
                }
                other => state.ended.push(format!("{other:?}")),
            })
            .start()
            .map(drop)
        })
}

/// Two hundred runs of each of two sessions, in a pool whose queue has room for ten: none fails for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_sweep_through_a_small_pool() {
    for threads in [1, 4, 16] {
        let server = Running::start(app(threads, |job, n| {
            job.emit(n)?;
            Ok(n)
        }))
        .await;
        let mut pages = [Client::new(server.addr).await, Client::new(server.addr).await];
        for page in &mut pages {
            page.act("sweep", json!(200)).await;
        }
        for page in &mut pages {
            page.until(|document| document["ended"] == json!(["done"])).await;
            assert_eq!(page.document["sum"], 20_100);
            let mut seen: Vec<u64> = serde_json::from_value(page.document["seen"].clone()).unwrap();
            seen.sort_unstable();
            assert_eq!(seen, (1..=200).collect::<Vec<_>>(), "each partial result came once");
            let job = &page.document["$jobs"][0];
            let children = json!({"total": 200, "queued": 0, "running": 0, "done": 200, "failed": 0, "cancelled": 0, "active": []});
            assert_eq!((&job["children"], &job["progress"]), (&children, &json!(1.0)));
        }
        server.stop().await;
    }
}

/// [JOB-4] One run, by its id, while the others go on; and the job, with all that is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_stops_one_run_and_then_all() {
    let server = Running::start(app(2, |job, n| {
        job.text(format!("run {n}"));
        loop {
            job.checkpoint()?;
            std::thread::yield_now();
        }
    }))
    .await;
    let mut page = Client::new(server.addr).await;
    page.act("sweep", json!(20)).await;
    page.until(|document| document["$jobs"][0]["children"]["active"].as_array().is_some_and(|runs| runs.len() == 2))
        .await;
    let job = page.document["$jobs"][0].clone();
    let id = job["id"].as_str().unwrap().to_owned();
    let first = &job["children"]["active"][0];
    assert_eq!((&first["id"], &first["name"]), (&json!(format!("{id}.1")), &json!("run")));
    assert_eq!((&job["children"]["total"], &job["children"]["queued"]), (&json!(20), &json!(18)));
    for run in [1, 20] {
        page.act("$cancel", json!(format!("{id}.{run}"))).await;
    }
    page.until(|document| {
        let children = &document["$jobs"][0]["children"];
        let ids: Vec<_> = children["active"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect();
        children["cancelled"] == 2 && ids == [json!(format!("{id}.2")), json!(format!("{id}.3"))]
    })
    .await;
    assert_eq!(page.document["$jobs"][0]["status"], "running", "the job goes on");
    page.act("$cancel", json!(id)).await;
    page.until(|document| document["$jobs"][0]["status"] == "cancelled").await;
    let children = &page.document["$jobs"][0]["children"];
    assert_eq!((&children["cancelled"], &children["running"], &children["queued"]), (&json!(20), &json!(0), &json!(0)));
    // The end is told before the thread that told it has given its place back.
    while server.live.pools().iter().any(|(_, stats)| stats.queued + stats.running + stats.parked > 0) {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

/// Of partial results that share a turn only the one that fails is lost, and it is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_result_that_fails_takes_no_other_with_it() {
    let app = App::new(Demo::default)
        .development(true)
        .action("go", |_, cx: &mut Cx<Demo>, (): ()| {
            cx.long_callback("emits", |job| (1..=30_u64).try_for_each(|n| Ok(job.emit(n)?)))
                .on_partial(|state, _, n: u64| match n % 10 {
                    7 => Err(Error::refuse("seven", format!("no {n}"))),
                    _ => {
                        state.seen.push(n);
                        Ok(())
                    }
                })
                .start()
                .map(drop)
        })
        .on_error(|state, _, failure| state.ended.push(failure.text().to_owned()));
    let server = Running::start(app).await;
    let mut page = Client::new(server.addr).await;
    page.act("go", json!(null)).await;
    page.until(|document| document["$jobs"][0]["status"] == "done").await;
    let seen: Vec<u64> = (1..=30).filter(|n| n % 10 != 7).collect();
    assert_eq!((&page.document["seen"], &page.document["ended"]), (&json!(seen), &json!(["no 7", "no 17", "no 27"])));
    server.stop().await;
}

/// PROMPT. A poll that blocks is noticed, and counts as its action.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asynchronous_action_that_blocks_is_noticed() {
    let app = App::new(Demo::default).blocking_over(Duration::from_millis(1)).async_action(
        "slow",
        |handle, (): ()| async move {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(5));
            handle.update(|state, _| state.sum += 1)
        },
    );
    let server = Running::start(app).await;
    let mut page = Client::new(server.addr).await;
    page.act("slow", json!(null)).await;
    page.until(|document| document["sum"] == 1).await;
    // The update leaves within the poll whose length is told after it.
    while server.live.blocked().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.live.blocked()[0].action, "slow");
    server.stop().await;
}

static TRIES: AtomicU32 = AtomicU32::new(0);

#[derive(Serialize, Deserialize)]
struct Square {
    n: u64,
}

impl Callback<Demo> for Square {
    const NAME: &'static str = "square";
    type Output = u64;

    fn run(&self, job: &Job) -> Result<u64> {
        assert_eq!(job.name(), "square");
        if self.n == 3 && job.attempt() == 1 {
            return Err(Error::internal("once more"));
        }
        if self.n == 4 {
            TRIES.fetch_add(1, Ordering::SeqCst);
            return Err(Error::refuse("four", "no fours"));
        }
        Ok(self.n * self.n)
    }

    fn options(&self) -> windlass::JobOptions {
        windlass::JobOptions::new().retry(Retry::times(3).first(Duration::from_millis(1)))
    }
}

/// The error of a run keeps its code, and one that is meant for the page is not tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_callbacks_are_runs_as_well() {
    let ends = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&ends);
    let app = App::new(Demo::default).development(true).action("go", move |_, cx: &mut Cx<Demo>, many: u64| {
        let told = Arc::clone(&told);
        cx.long_future("squares", move |job| async move {
            let mut runs = job.children("run");
            for n in 1..=many {
                runs.start_callback(Square { n })?;
            }
            Ok(runs.try_join_all().await?.into_iter().sum::<u64>())
        })
        .on_status(move |state, _, status| {
            match &status {
                Status::Done(sum) => state.sum = *sum,
                Status::Failed(error) => told.lock().unwrap().push(error.clone()),
                _ => {}
            }
            state.ended.push(String::new());
        })
        .start()
        .map(drop)
    });
    let server = Running::start(app).await;
    let mut page = Client::new(server.addr).await;
    page.act("go", json!(3)).await;
    page.until(|document| document["sum"] == 14).await;
    page.act("go", json!(5)).await;
    page.until(|document| document["ended"].as_array().unwrap().len() == 2).await;
    let error = ends.lock().unwrap()[0].clone();
    assert_eq!((&*error.code, error.text.as_str(), TRIES.load(Ordering::SeqCst)), ("four", "no fours", 1));
    server.stop().await;
}
