//! Examples 2 to 5, a heavy task: started by an action, followed at each second, ended once, its result in the state.
//!
//! A callback with a name and arguments, so that it runs again when the server was started again meanwhile.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use windlass::JobOptions;
use windlass::prelude::*;

use crate::{
    Demo, DemoApp,
    primes::{Primes, Sieve},
};

#[derive(Clone, Default, Deserialize, Serialize, TS)]
pub(crate) struct Heavy {
    started: u32,
    ended: Option<Ended>,
    result: Option<Primes>,
}

/// How the last task ended.
#[derive(Clone, Deserialize, Serialize, TS)]
struct Ended {
    how: String,
    text: String,
}

/// The form of the page.
#[derive(Deserialize, Serialize, TS)]
struct Order {
    seconds: u64,
    fail: bool,
    panic: bool,
}

pub(crate) fn register(app: DemoApp) -> DemoApp {
    app.callback::<Count>().action("start_heavy", start)
}

fn start(state: &mut Demo, cx: &mut Cx<Demo>, order: Order) -> Result {
    if !(1..=60).contains(&order.seconds) {
        return Err(Error::refuse("seconds", "a task takes 1 to 60 seconds"));
    }
    state.heavy.started += 1;
    // One toast a task follows it from its first second to its end.
    let toast = format!("heavy-{}", state.heavy.started);
    // Once, whatever breaks: it leaves when the start is on disk, and no crash makes it come again.
    cx.to(Audience::Caller).must().notify(Level::Info, "Heavy task started");
    cx.start(Count { order, toast }).map(drop)
}

/// The task, as it is written down.
#[derive(Deserialize, Serialize)]
struct Count {
    order: Order,
    toast: String,
}

impl Callback<Demo> for Count {
    const NAME: &'static str = "heavy";
    type Output = Primes;

    /// Runs on a worker thread, and knows nothing of the session.
    fn run(&self, job: &Job) -> Result<Primes> {
        count(job, &self.order)
    }

    /// Runs in a turn of the session, like an action.
    fn on_status(&self, state: &mut Demo, cx: &mut Cx<Demo>, status: Status<Primes>) -> Result {
        follow(state, cx, status, &self.toast);
        Ok(())
    }

    fn options(&self) -> JobOptions {
        JobOptions::new().every(Duration::from_secs(1)).rerun_on_restart()
    }
}

fn count(job: &Job, order: &Order) -> Result<Primes> {
    let began = Instant::now();
    let total = Duration::from_secs(order.seconds);
    let mut sieve = Sieve::new();
    loop {
        job.checkpoint()?;
        let counted = sieve.advance();
        let elapsed = began.elapsed();
        job.progress(elapsed.min(total).as_millis() as u64, total.as_millis() as u64);
        job.text(format!("{} million numbers sieved", counted.below / 1_000_000));
        if elapsed >= total {
            return Ok(counted.clone());
        }
        if elapsed >= total / 2 {
            assert!(!order.panic, "the pawl jumped out of its notch");
            if order.fail {
                return Err(Error::refuse("parted", "the rope parted half-way"));
            }
        }
    }
}

fn follow(state: &mut Demo, cx: &mut Cx<Demo>, status: Status<Primes>, toast: &str) {
    let (level, how, text) = match status {
        Status::Running(running) => {
            let text = format!("Still running, {} s", running.elapsed.as_secs());
            cx.notify_with(Notify::new(Level::Info, text).id(toast));
            return;
        }
        Status::Done(primes) => {
            let text = format!("{} primes below {}", primes.primes, primes.below);
            state.heavy.result = Some(primes);
            (Level::Success, "done", text)
        }
        Status::Failed(error) => (Level::Error, "failed", error.text),
        Status::Cancelled => (Level::Warning, "cancelled", "as you asked".to_owned()),
        _ => (Level::Error, "lost", "the server could not finish it".to_owned()),
    };
    cx.notify_with(Notify::new(level, format!("Heavy task {how}: {text}")).id(toast));
    state.heavy.ended = Some(Ended { how: how.to_owned(), text });
}
