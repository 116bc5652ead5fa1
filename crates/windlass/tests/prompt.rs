//! PROMPT, on real sockets: what one session does holds up no other.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::json;
use support::{Client, Running};
use windlass::PoolOptions;
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
    ended: i64,
}

/// What blocks until the test lets it go: its length is the test's to choose, not the clock's.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let (open, opened) = &*self.0;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Opens when the test is over, also when it fails: a thread that waits for ever would keep the runtime.
struct OpensAtLast(Gate);

impl Drop for OpensAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

async fn answers(client: &mut Client, times: i64) {
    let before = client.document["count"].as_i64().unwrap();
    for n in 1..=times {
        client.act("add", json!(1)).await;
        client.until(|document| document["count"] == before + n).await;
    }
}

fn app() -> App<Demo> {
    App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by)
}

/// PROMPT. However long a job blocks, and with a thousand behind it, another session is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_blocks_and_a_thousand_that_wait_hold_up_no_other_session() {
    let gate = Gate::default();
    let _open = OpensAtLast(gate.clone());
    let app = app()
        .pool("narrow", PoolOptions { threads: 1, queue_max: 2_000, owner_queue_max: 2_000, ..PoolOptions::default() })
        .action("start", move |_, cx, many: u32| {
            for _ in 0..many {
                let gate = gate.clone();
                cx.long_callback("block", move |_| {
                    gate.pass();
                    Ok(())
                })
                .pool("narrow")
                .on_status(|state, _, status| state.ended += i64::from(matches!(status, Status::Done(()))))
                .start()?;
            }
            Ok::<(), Error>(())
        });
    let server = Running::start(app).await;
    let mut busy = Client::new(server.addr).await;
    busy.act("start", json!(1_001)).await;
    busy.until(|document| {
        let jobs = document["$jobs"].as_array().unwrap();
        jobs.len() == 1_001 && jobs[0]["status"] == "running"
    })
    .await;
    let mut other = Client::new(server.addr).await;
    answers(&mut other, 50).await;
    answers(&mut busy, 50).await;
    drop(_open);
    busy.until(|document| document["ended"] == 1_001).await;
    server.stop().await;
}

/// PROMPT. An action that blocks holds the only thread the first time; the second time it hurts nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_action_that_has_blocked_holds_up_its_own_session_only() {
    let gate = Gate::default();
    let _open = OpensAtLast(gate.clone());
    let is_inside = Arc::new(AtomicBool::new(false));
    let inside = Arc::clone(&is_inside);
    let app = app().blocking_over(Duration::from_millis(1)).action("block", move |state, _cx, for_long: bool| {
        if for_long {
            inside.store(true, Ordering::Release);
            gate.pass();
        } else {
            std::thread::sleep(Duration::from_millis(2));
        }
        state.ended += 1;
    });
    let server = Running::start(app).await;
    let addr = server.addr;
    let live = server.live.clone();
    // The pages have threads of their own: the server's only one is what is measured.
    let pages = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut busy = Client::new(addr).await;
            let mut other = Client::new(addr).await;
            busy.act("block", json!(false)).await;
            busy.until(|document| document["ended"] == 1).await;
            let noticed = live.blocked();
            assert_eq!(noticed.len(), 1, "{noticed:?}");
            assert_eq!((noticed[0].action, noticed[0].times), ("block", 1));
            assert!(noticed[0].longest >= Duration::from_millis(2));

            busy.act("block", json!(true)).await;
            while !is_inside.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            answers(&mut other, 50).await;
            drop(_open);
            busy.until(|document| document["ended"] == 2).await;
        });
    });
    tokio::task::spawn_blocking(move || pages.join().unwrap()).await.unwrap();
    server.stop().await;
}
