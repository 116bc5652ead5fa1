//! Shows a parameter sweep: one job starts two hundred runs, eight at a time, and the page fills a heat map with them.
//!
//! Each run trains a small network with another learning rate and number of hidden units, and is a child of the job: it
//! tells its beginning to the page itself, and its end to the job, which may have enough of them.

use std::sync::Arc;

use windlass::prelude::*;
use windlass::{Child, JobId, PoolOptions};

mod network;

use network::{Network, Point, moons};

/// What a session knows of its sweep.
#[derive(Clone, Deserialize, Serialize)]
pub struct Sweep {
    state: State,
    /// Why it ended, when there is more to say.
    reason: Option<String>,
    seed: u64,
    /// It ends when a run is so good.
    target: f64,
    stops_early: bool,
    job: Option<JobId>,
    cells: Vec<Cell>,
    selected: u32,
}

/// What the sweep, or one of its runs, is doing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(rename = "Progress")]
enum State {
    Ready,
    Queued,
    Running,
    Done,
    Failed,
    Stopped,
}

/// A run: a cell of the heat map.
#[derive(Clone, Deserialize, Serialize, TS)]
struct Cell {
    /// Its number among the job's runs.
    id: u32,
    rate: f64,
    units: u32,
    state: State,
    /// From 0 to 1, on points that it was not trained on.
    score: Option<f64>,
    /// The score as one of ten shades.
    shade: Option<u8>,
    text: Option<String>,
}

/// What the page shows: the cells and what follows from them.
#[derive(Serialize, TS)]
struct Shown<'a> {
    state: State,
    reason: Option<&'a str>,
    seed: u64,
    target: f64,
    stops_early: bool,
    counts: Counts,
    best: Option<&'a Cell>,
    ranking: Vec<&'a Cell>,
    selected: &'a Cell,
    cells: &'a [Cell],
}

#[derive(Serialize, TS)]
struct Counts {
    queued: usize,
    running: usize,
    done: usize,
    failed: usize,
    stopped: usize,
}

/// The page's view.
pub struct Page;

impl View<Sweep> for Page {
    fn view(sweep: &Sweep) -> impl Serialize + '_ {
        let count = |state| sweep.cells.iter().filter(|cell| cell.state == state).count();
        let mut ranking: Vec<_> = sweep.cells.iter().filter(|cell| cell.score.is_some()).collect();
        ranking
            .sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(std::cmp::Ordering::Equal).then(a.id.cmp(&b.id)));
        ranking.truncate(RANKED);
        Shown {
            state: sweep.state,
            reason: sweep.reason.as_deref(),
            seed: sweep.seed,
            target: sweep.target,
            stops_early: sweep.stops_early,
            counts: Counts {
                queued: count(State::Queued),
                running: count(State::Running),
                done: count(State::Done),
                failed: count(State::Failed),
                stopped: count(State::Stopped),
            },
            best: ranking.first().copied(),
            ranking,
            selected: &sweep.cells[sweep.selected as usize - 1],
            cells: &sweep.cells,
        }
    }
}

/// What the job and its runs tell the session on their way.
#[derive(Deserialize, Serialize)]
enum Step {
    Began(u32),
    Ended {
        cell: u32,
        state: State,
        score: Option<f64>,
        text: Option<String>,
    },
    /// So good a run that no other is wanted.
    Enough(u32),
}

/// The app, with its page, to be served or nested.
pub fn app() -> App<Sweep, Page, Typed> {
    App::new(Sweep::new)
        .view(Page)
        .typed_as::<Shown>()
        .action("start", start)
        .action("stop_all", |_, cx, ()| cx.cancel("sweep"))
        .action("stop_run", |sweep: &mut Sweep, cx: &mut Cx<Sweep>, cell: u32| {
            if let Some(job) = sweep.job {
                cx.cancel_child(job, cell);
            }
        })
        .action("select", |sweep: &mut Sweep, _cx, cell: u32| sweep.select(cell))
        .field("target", |sweep| &mut sweep.target)
        .field("stops_early", |sweep| &mut sweep.stops_early)
        .field("seed", |sweep| &mut sweep.seed)
        .on_change(|sweep, _cx, _field| sweep.check())
        .on_restore(|sweep, _cx| sweep.restore())
        .pool("sweep", PoolOptions { threads: AT_ONCE, ..PoolOptions::default() })
        .page(page!("page"))
}

fn start(sweep: &mut Sweep, cx: &mut Cx<Sweep>, (): ()) -> Result {
    if sweep.state == State::Running {
        return Err(Error::refuse("running", "a sweep runs: stop it first"));
    }
    let (seed, target) = (sweep.seed, sweep.stops_early.then_some(sweep.target));
    let (selected, stops_early, target_then) = (sweep.selected, sweep.stops_early, sweep.target);
    *sweep = Sweep { state: State::Running, seed, target: target_then, stops_early, selected, ..Sweep::new() };
    sweep.cells.iter_mut().for_each(|cell| cell.state = State::Queued);
    let job = cx
        .long_callback("sweep", move |job| run_all(job, seed, target))
        .pool("sweep")
        .on_partial(|sweep, cx, step: Step| sweep.take(step, cx))
        .on_status(|sweep, cx, status| sweep.end(cx, status))
        .start()?;
    sweep.job = Some(job);
    Ok(())
}

/// The job: it starts all runs, hears of their ends, and stops the others when it has what it wants.
fn run_all(job: &Job, seed: u64, target: Option<f64>) -> Result {
    let points: Arc<[Point]> = moons(POINTS, seed).into();
    let mut runs = job.children("run").at_once(AT_ONCE);
    for cell in grid() {
        let points = Arc::clone(&points);
        runs.start(move |job| run(job, &points, &cell, seed))?;
    }
    while let Some(child) = runs.join_next()? {
        let cell = child.number;
        let step = ended(child);
        let is_enough =
            matches!(step, Step::Ended { score: Some(score), .. } if target.is_some_and(|target| score >= target));
        job.emit(step)?;
        if is_enough {
            // Those that have ended meanwhile are still collected.
            runs.cancel_all();
            job.emit(Step::Enough(cell))?;
        }
    }
    Ok(())
}

/// One run: its own network, on the points that all share.
fn run(job: &Job, points: &[Point], cell: &Cell, seed: u64) -> Result<f64> {
    job.emit(Step::Began(cell.id))?;
    let (held_out, points) = points.split_at(POINTS / 4);
    let mut network = Network::new(cell.units, seed ^ u64::from(cell.id));
    for epoch in 1..=EPOCHS {
        job.checkpoint()?;
        let loss = network.train(points, cell.rate);
        if !loss.is_finite() || loss > LOSS_MAX {
            let text = format!("the loss ran away to {loss:.1} in epoch {epoch}");
            return Err(Error::refuse("diverged", text));
        }
        job.progress(epoch, EPOCHS);
    }
    Ok(network.accuracy(held_out))
}

fn ended(Child { number: cell, end, .. }: Child<f64, Error>) -> Step {
    let (state, score, text) = match end {
        End::Done(score) => (State::Done, Some(score), None),
        End::Cancelled => (State::Stopped, None, None),
        End::Failed(error) => (State::Failed, None, Some(error.text)),
        End::Panicked(text) => (State::Failed, None, Some(text)),
        _ => (State::Failed, None, Some("it ran out of time".to_owned())),
    };
    Step::Ended { cell, state, score, text }
}

impl Sweep {
    fn new() -> Self {
        Self {
            state: State::Ready,
            reason: None,
            seed: 7,
            target: 0.97,
            stops_early: false,
            job: None,
            cells: grid().collect(),
            selected: 1,
        }
    }

    fn select(&mut self, cell: u32) -> Result {
        if !(1..=CELLS).contains(&cell) {
            return Err(Error::refuse("no_cell", format!("there are cells 1 to {CELLS}")));
        }
        self.selected = cell;
        Ok(())
    }

    fn check(&self) -> Result {
        if !(0.5..=1.0).contains(&self.target) {
            return Err(Error::refuse("bad_target", "the target is an accuracy from 0.5 to 1"));
        }
        Ok(())
    }

    fn cell(&mut self, id: u32) -> &mut Cell {
        // Numbers of runs are those of the cells, which were started in their order.
        &mut self.cells[id as usize - 1]
    }

    fn take(&mut self, step: Step, cx: &mut Cx<Self>) {
        match step {
            Step::Began(id) => {
                let cell = self.cell(id);
                // One that is quick has ended before its beginning is looked at.
                if cell.state == State::Queued {
                    cell.state = State::Running;
                }
            }
            Step::Ended { cell, state, score, text } => {
                let shade = score.map(|score| ((score - 0.5) * 20.0).clamp(0.0, 9.0) as u8);
                let cell = self.cell(cell);
                (cell.state, cell.score, cell.shade, cell.text) = (state, score, shade, text);
            }
            Step::Enough(id) => {
                let cell = self.cell(id);
                let score = cell.score.unwrap_or_default();
                let text = format!("Stopped early: run {id} reached {score:.3}");
                cx.notify(Level::Success, text.as_str());
                self.reason = Some(text);
            }
        }
    }

    fn end(&mut self, cx: &mut Cx<Self>, status: Status<()>) {
        let (state, reason) = match status {
            Status::Running(_) => return,
            Status::Done(()) => (State::Done, None),
            Status::Cancelled => (State::Stopped, None),
            Status::Failed(error) => (State::Failed, Some(error.text)),
            _ => (State::Failed, Some("the server went down before it ended".to_owned())),
        };
        if state == State::Done {
            cx.notify(Level::Success, "The sweep is through");
        }
        self.over(state, reason);
    }

    fn over(&mut self, state: State, reason: Option<String>) {
        self.state = state;
        self.reason = reason.or(self.reason.take());
        self.job = None;
        for cell in self.cells.iter_mut().filter(|cell| matches!(cell.state, State::Queued | State::Running)) {
            cell.state = State::Stopped;
        }
    }

    /// The job ended with the server that this session was kept from.
    fn restore(&mut self) {
        if self.state == State::Running {
            self.over(State::Failed, Some("the server was started again".to_owned()));
        }
    }
}

/// All pairs of parameters: a row for each number of units, a column for each learning rate.
fn grid() -> impl Iterator<Item = Cell> {
    (1..=CELLS).map(|id| {
        let (row, column) = ((id - 1) / COLUMNS, (id - 1) % COLUMNS);
        // From 0.001 to 1,000, in equal steps of its logarithm, with three digits.
        let exact = 10_f64.powf(-3.0 + 6.0 * f64::from(column) / f64::from(COLUMNS - 1));
        let rate = format!("{exact:.2e}").parse().unwrap_or(exact);
        Cell { id, rate, units: row + 1, state: State::Ready, score: None, shade: None, text: None }
    })
}

const COLUMNS: u32 = 20;
const CELLS: u32 = 200;
const AT_ONCE: usize = 8;
const POINTS: usize = 1_600;
const EPOCHS: u64 = 200;
/// Cross-entropy of a coin is 0.69; far above it nothing is learnt any more.
const LOSS_MAX: f64 = 50.0;
const RANKED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn train(cell: u32) -> Result<f64> {
        let points = moons(POINTS, 7);
        let (held_out, points) = points.split_at(POINTS / 4);
        let cell = grid().nth(cell as usize - 1).ok_or_else(|| Error::internal("no such cell"))?;
        let mut network = Network::new(cell.units, 7 ^ u64::from(cell.id));
        let losses: Vec<_> = (0..20).map(|_| network.train(points, cell.rate)).collect();
        let last = losses.last().copied().unwrap_or(f64::NAN);
        if last.is_finite() && last <= LOSS_MAX {
            Ok(network.accuracy(held_out))
        } else {
            Err(Error::internal("diverged"))
        }
    }

    #[test]
    fn what_a_run_scores_follows_from_its_parameters_and_the_seed() {
        let middle = 7 * COLUMNS + 8;
        let score = train(middle).unwrap();
        assert_eq!(train(middle), Ok(score));
        assert!(score > 0.85, "{score}");
        assert!(train(1).unwrap() < score, "one unit that hardly moves knows less");
        assert!(train(CELLS).is_err(), "a rate of 1,000 runs away");
    }

    #[test]
    fn a_sweep_is_watched_ranked_and_stopped() {
        let mut t = app().test();
        t.send("start", ());
        t.jobs().emit("sweep", Step::Began(3));
        t.jobs().emit("sweep", Step::Began(4));
        t.jobs().emit("sweep", Step::Ended { cell: 3, state: State::Done, score: Some(0.91), text: None });
        t.jobs().emit("sweep", Step::Ended { cell: 9, state: State::Done, score: Some(0.95), text: None });
        t.jobs().emit("sweep", Step::Began(9));
        let text = Some("the loss ran away".to_owned());
        t.jobs().emit("sweep", Step::Ended { cell: 20, state: State::Failed, score: None, text });
        let document = t.document();
        assert_eq!((&document["best"]["id"], &document["ranking"][1]["id"]), (&9.into(), &3.into()));
        assert_eq!((&document["cells"][2]["shade"], &document["cells"][8]["state"]), (&8.into(), &"done".into()));
        let counts = ["queued", "running", "done", "failed"].map(|count| document["counts"][count].as_u64());
        assert_eq!(counts, [196, 1, 2, 1].map(Some));
        t.send("stop_all", ());
        assert_eq!((&t.document()["state"], &t.document()["counts"]["stopped"]), (&"stopped".into(), &197.into()));
        assert!(t.document()["best"]["score"].is_number(), "what was found stays");
    }

    #[test]
    fn what_is_no_cell_and_no_target_is_refused() {
        let mut t = app().test();
        t.send("select", CELLS);
        assert_eq!(t.document()["selected"]["units"], 10);
        assert_eq!(t.set("target", 2.0).code(), Some("bad_target"));
        for nothing in [0, CELLS + 1] {
            assert_eq!(t.send("select", nothing).code(), Some("no_cell"));
        }
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types -p sweep -o examples/sweep/app.d.ts`");
    }
}
