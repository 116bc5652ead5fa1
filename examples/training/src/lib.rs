//! Shows a training monitor: a small network learns two moons on a worker thread, and its loss is a curve in the page.
//!
//! Pause and the learning rate reach the job while it runs, through controls that it shares with the state.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use windlass::prelude::*;
use windlass::{PoolOptions, Whole};

mod network;

use network::{Dice, Network, Point};

/// What a session sees of its training.
#[derive(Clone, Deserialize, Serialize, TS)]
pub struct Training {
    status: Cow<'static, str>,
    /// Why it ended, when it failed.
    reason: Option<String>,
    rate: f64,
    epoch: u64,
    epochs: u64,
    loss: Option<f64>,
    held_out_loss: Option<f64>,
    /// From 0 to 1, on points that it was not trained on.
    accuracy: Option<f64>,
    /// Points of an SVG polyline: each report appends one.
    curve: String,
    held_out_curve: String,
    /// Where the network says "second moon", as an SVG path of cells.
    map: String,
    /// The points of the moons, as SVG paths of dots.
    first_moon: String,
    second_moon: String,
    checkpoints: Vec<Checkpoint>,
    #[serde(skip)]
    controls: Arc<Controls>,
    /// Counts the runs, so that what an old one still delivers is not taken for the new one's.
    run: Private<u64>,
}

/// The best network so far, at that epoch.
#[derive(Clone, Deserialize, Serialize, TS)]
struct Checkpoint {
    epoch: u64,
    held_out_loss: f64,
    accuracy: f64,
}

/// What a running job looks at. It is shared and not rolled back with the state, so it is written last in an action.
#[derive(Default)]
struct Controls {
    is_paused: AtomicBool,
    rate_bits: AtomicU64,
}

impl Controls {
    fn set_rate(&self, rate: f64) {
        self.rate_bits.store(rate.to_bits(), Ordering::Relaxed);
    }

    fn rate(&self) -> f64 {
        f64::from_bits(self.rate_bits.load(Ordering::Relaxed))
    }
}

/// What the job tells the session on its way.
#[derive(Deserialize, Serialize)]
enum Step {
    Report { epoch: u64, loss: f64, held_out_loss: f64, accuracy: f64 },
    Map(String),
    Checkpoint(Checkpoint),
}

/// The app, with its page, to be served or nested.
pub fn app() -> App<Training, Whole, Typed> {
    App::new(Training::new)
        .typed()
        .action("start", start)
        .action("pause", |training, _cx, ()| training.pause(true))
        .action("resume", |training, _cx, ()| training.pause(false))
        .action("stop", |_, cx, ()| cx.cancel("train"))
        .field("rate", |training| &mut training.rate)
        .on_change(|training, _cx, _field| training.take_rate())
        .on_restore(|training, _cx| {
            if training.is_under_way() {
                training.lose()
            }
        })
        // A training that is paused keeps its thread: those of other sessions must not wait for it.
        .pool("training", PoolOptions { threads: 16, ..PoolOptions::default() })
        .page(page!("page"))
}

fn start(training: &mut Training, cx: &mut Cx<Training>, (): ()) -> Result {
    if training.is_under_way() {
        return Err(Error::refuse("running", "a training runs: stop it first"));
    }
    let controls = Arc::new(Controls::default());
    controls.set_rate(training.rate);
    let run = *training.run + 1;
    *training = Training {
        status: "running".into(),
        rate: training.rate,
        run: Private::new(run),
        controls: controls.clone(),
        ..Training::new()
    };
    cx.notify(Level::Info, "Training started");
    cx.long_callback("train", move |job| train(job, &controls, run))
        .pool("training")
        .on_partial(move |training, cx, step: Step| {
            if *training.run == run {
                training.take(step, cx);
            }
        })
        .on_status(move |training, cx, status| {
            if *training.run != run {
                return;
            }
            match status {
                Status::Done(()) => {
                    training.status = "done".into();
                    cx.notify(Level::Success, "Training finished");
                }
                Status::Failed(error) => {
                    training.status = "failed".into();
                    cx.notify(Level::Error, format!("Training failed: {}", error.text));
                    training.reason = Some(error.text);
                }
                Status::Cancelled => training.status = "stopped".into(),
                Status::Running(_) => {}
                // Lost, above all.
                _ => training.lose(),
            }
        })
        .start()?;
    Ok(())
}

/// The job: epochs of stochastic gradient descent, until they are through or the loss has run away.
fn train(job: &Job, controls: &Controls, seed: u64) -> Result {
    let points = moons(POINTS, seed);
    let (held_out, points) = points.split_at(POINTS / 4);
    let mut network = Network::new(seed);
    let mut dice = Dice::new(seed);
    let mut best = f64::INFINITY;
    for epoch in 1..=EPOCHS {
        loop {
            job.checkpoint()?;
            if !controls.is_paused.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(LOOK_AGAIN);
        }
        let loss = network.train(points, controls.rate(), &mut dice);
        if !loss.is_finite() || loss > LOSS_MAX {
            let text = format!("the loss ran away to {loss:.1} in epoch {epoch}; take a lower learning rate");
            return Err(Error::refuse("diverged", text));
        }
        job.progress(epoch, EPOCHS);
        if epoch % REPORT_EVERY == 0 {
            let (held_out_loss, accuracy) = network.judge(held_out);
            job.emit(Step::Report { epoch, loss, held_out_loss, accuracy })?;
            if epoch % MAP_EVERY == 0 {
                job.emit(Step::Map(map(&network)))?;
            }
            if epoch % CHECKPOINT_EVERY == 0 && held_out_loss < best {
                best = held_out_loss;
                job.emit(Step::Checkpoint(Checkpoint { epoch, held_out_loss, accuracy }))?;
            }
        }
    }
    Ok(())
}

impl Training {
    fn new() -> Self {
        let (mut first_moon, mut second_moon) = (String::new(), String::new());
        for point in moons(SHOWN, 0) {
            let (x, y) = place(point.x);
            // A line of no length with a round cap is a dot.
            let moon = if point.is_second { &mut second_moon } else { &mut first_moon };
            let _ = write!(moon, "M{x:.1} {y:.1}h0");
        }
        Self {
            status: "ready".into(),
            reason: None,
            rate: 0.003,
            epoch: 0,
            epochs: EPOCHS,
            loss: None,
            held_out_loss: None,
            accuracy: None,
            curve: String::new(),
            held_out_curve: String::new(),
            map: String::new(),
            first_moon,
            second_moon,
            checkpoints: Vec::new(),
            controls: Arc::default(),
            run: Private::new(0),
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(&*self.status, "running" | "paused")
    }

    /// The job has gone with the server that ran it.
    fn lose(&mut self) {
        self.status = "failed".into();
        self.reason = Some("the server went down before it ended".to_owned());
    }

    fn pause(&mut self, pause: bool) -> Result {
        let (from, to) = if pause { ("running", "paused") } else { ("paused", "running") };
        if self.status != from {
            return Err(Error::refuse("not_now", format!("the training is {}, not {from}", self.status)));
        }
        self.status = to.into();
        self.controls.is_paused.store(pause, Ordering::Relaxed);
        Ok(())
    }

    fn take_rate(&mut self) -> Result {
        if !(RATES.0..=RATES.1).contains(&self.rate) {
            return Err(Error::refuse("bad_rate", format!("the learning rate is from {} to {}", RATES.0, RATES.1)));
        }
        self.controls.set_rate(self.rate);
        Ok(())
    }

    fn take(&mut self, step: Step, cx: &mut Cx<Self>) {
        match step {
            Step::Report { epoch, loss, held_out_loss, accuracy } => {
                (self.epoch, self.loss) = (epoch, Some(loss));
                (self.held_out_loss, self.accuracy) = (Some(held_out_loss), Some(accuracy));
                append(&mut self.curve, epoch, loss);
                append(&mut self.held_out_curve, epoch, held_out_loss);
            }
            Step::Map(map) => self.map = map,
            Step::Checkpoint(checkpoint) => {
                let Checkpoint { epoch, held_out_loss, .. } = checkpoint;
                cx.notify(Level::Success, format!("Checkpoint at epoch {epoch}: held-out loss {held_out_loss:.3}"));
                self.checkpoints.push(checkpoint);
            }
        }
    }
}

/// One more point of a curve in a box of 1000 by 350, where a loss of 0.7 is at the top.
fn append(curve: &mut String, epoch: u64, loss: f64) {
    let x = epoch * 1000 / EPOCHS;
    let y = 350.0 - loss.min(0.7) * 500.0;
    let _ = write!(curve, "{x},{y:.1} ");
}

/// Where a point of the plane is in the picture of 100 by 70.
fn place([x, y]: [f64; 2]) -> (f64, f64) {
    ((x + 1.5) * 25.0, (1.4 - y) * 25.0)
}

/// The cells of the picture that the network takes for the second moon.
fn map(network: &Network) -> String {
    let mut cells = String::new();
    for row in 0..35_i32 {
        for column in 0..50_i32 {
            let (x, y) = (f64::from(column) * 2.0 + 1.0, f64::from(row) * 2.0 + 1.0);
            if network.is_second([x / 25.0 - 1.5, 1.4 - y / 25.0]) {
                let _ = write!(cells, "M{} {}h2v2h-2z", column * 2, row * 2);
            }
        }
    }
    cells
}

/// Two half circles that reach into each other, with noise: half of the points of each.
fn moons(many: usize, seed: u64) -> Vec<Point> {
    let mut dice = Dice::new(seed);
    (0..many)
        .map(|n| {
            let is_second = n % 2 == 1;
            let (sin, cos) = (dice.unit() * std::f64::consts::PI).sin_cos();
            let (x, y) = if is_second { (1.0 - cos, 0.5 - sin) } else { (cos, sin) };
            Point { x: [x + 0.2 * dice.normal(), y + 0.2 * dice.normal()], is_second }
        })
        .collect()
}

const EPOCHS: u64 = 5_000;
const POINTS: usize = 4_800;
const SHOWN: usize = 200;
const REPORT_EVERY: u64 = 25;
const MAP_EVERY: u64 = 125;
const CHECKPOINT_EVERY: u64 = 1_000;
/// Cross-entropy of a coin is 0.69; far above it nothing is learnt any more.
const LOSS_MAX: f64 = 10.0;
const RATES: (f64, f64) = (0.001, 100.0);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_learns_the_moons() {
        let points = moons(800, 7);
        let (held_out, points) = points.split_at(200);
        let (mut network, mut dice) = (Network::new(7), Dice::new(7));
        let first = network.train(points, 0.1, &mut dice);
        let last = (0..150).map(|_| network.train(points, 0.1, &mut dice)).last().unwrap();
        assert!(last < first / 2.0, "from {first} to {last}");
        let (_, accuracy) = network.judge(held_out);
        assert!(accuracy > 0.93, "{accuracy}");
    }

    #[test]
    fn a_training_is_watched_paused_and_stopped() {
        let mut t = app().test();
        t.send("start", ());
        t.jobs().emit("train", Step::Report { epoch: 25, loss: 0.5, held_out_loss: 0.6, accuracy: 0.75 });
        t.jobs().emit("train", Step::Report { epoch: 50, loss: 0.4, held_out_loss: 0.5, accuracy: 0.8 });
        assert_eq!(t.document()["curve"], "5,100.0 10,150.0 ");
        t.send("pause", ());
        assert_eq!(t.document()["status"], "paused");
        assert!(t.state().controls.is_paused.load(Ordering::Relaxed));
        t.send("resume", ());
        t.set("rate", 0.2);
        assert_eq!(t.state().controls.rate(), 0.2);
        let checkpoint = Checkpoint { epoch: 200, held_out_loss: 0.1, accuracy: 0.97 };
        t.jobs().emit("train", Step::Checkpoint(checkpoint));
        assert!(t.events().iter().any(|event| event.text() == Some("Checkpoint at epoch 200: held-out loss 0.100")));
        t.send("stop", ());
        assert_eq!(t.document()["status"], "stopped");
    }

    #[test]
    fn a_rate_that_is_far_too_high_fails_with_a_text_that_says_so() {
        let mut t = app().test();
        t.set("rate", 100.0);
        t.send("start", ());
        t.jobs().finish("train");
        assert_eq!(t.document()["status"], "failed");
        let reason = t.document()["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("take a lower learning rate"), "{reason}");
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(
            types,
            include_str!("../app.d.ts"),
            "run `windlass types -p training -o examples/training/app.d.ts`"
        );
    }
}
