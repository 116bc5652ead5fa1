//! The server of the README, whole: an action, and a long callback that tells how it goes and how it ended.

use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Demo {
    count: i64,
    loss: Option<f64>,
}

#[derive(Deserialize)]
struct Train {
    epochs: u64,
}

fn heavy(job: &Job, epochs: u64) -> Result<f64> {
    let mut slope = 0.0;
    for epoch in 0..epochs {
        job.checkpoint()?; // returns an error when the job was cancelled
        job.progress(epoch, epochs);
        for step in 0..10_000_000 {
            let x = f64::from(step % 100) / 100.0;
            slope -= 1e-7 * (slope - 3.0) * x; // gradient descent towards y = 3x
        }
    }
    Ok((slope - 3.0).powi(2))
}

fn train(state: &mut Demo, cx: &mut Cx<Demo>, p: Train) -> Result {
    state.loss = None;
    cx.notify(Level::Info, "Heavy task started");
    cx.long_callback("train", move |job| heavy(job, p.epochs))
        .every(Duration::from_secs(5))
        .on_status(|state, cx, status| match status {
            Status::Running(r) => cx.notify(Level::Info, format!("Still running, {:.0?}", r.elapsed)),
            Status::Done(loss) => {
                state.loss = Some(loss);
                cx.notify(Level::Success, "Finished");
            }
            Status::Failed(e) => cx.notify(Level::Error, e.text),
            _ => {}
        })
        .start()?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result {
    App::new(Demo::default)
        .action("add", |state, _cx, by: i64| state.count += by)
        .action("train", train)
        .page(page!("page")) // relative to the crate's Cargo.toml; from disk in debug, embedded in release
        .serve("127.0.0.1:8080")
        .await
}
