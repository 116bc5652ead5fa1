//! Shows a job console: sixty jobs on a pool of four, with ranks, times to the end, retries, cancels and logs.
//!
//! All of the list is `$jobs`, which every session has; the state only counts.

use std::collections::BTreeSet;
use std::thread;

use windlass::prelude::*;
use windlass::{PoolOptions, Retry};

/// What a session has started, and how that ended.
#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Console {
    started: u32,
    running: BTreeSet<u32>,
    done: u32,
    failed: u32,
    cancelled: u32,
}

/// What the page shows of it: the counts.
#[derive(Serialize, TS)]
struct Counts {
    waiting: u32,
    running: usize,
    done: u32,
    failed: u32,
    cancelled: u32,
}

/// The page's view.
pub struct Page;

impl View<Console> for Page {
    fn view(console: &Console) -> impl Serialize + '_ {
        let Console { started, done, failed, cancelled, ref running } = *console;
        let running = running.len();
        Counts { waiting: started - done - failed - cancelled - running as u32, running, done, failed, cancelled }
    }
}

/// The app, with its page, to be served or nested.
pub fn app() -> App<Console, Page, Typed> {
    App::new(Console::default)
        .view(Page)
        .typed_as::<Counts>()
        .pool("hold", PoolOptions { threads: 4, ..PoolOptions::default() })
        .action("start", start)
        .on_restore(|console, _cx| console.restore())
        .action("cancel_all", |console, cx, ()| (1..=console.started).for_each(|crate_no| cx.cancel(name(crate_no))))
        .page(page!("page"))
}

impl Console {
    /// Jobs are lost with the server that ran them; each says so in the list.
    fn restore(&mut self) {
        self.running.clear();
        self.failed = self.started - self.done - self.cancelled;
    }
}

/// Starts sixty jobs: all, or none when the pool has no room for them.
fn start(console: &mut Console, cx: &mut Cx<Console>, (): ()) -> Result {
    for crate_no in console.started + 1..=console.started + JOBS {
        cx.long_callback(name(crate_no), move |job| stow(job, crate_no))
            .pool("hold")
            .retry(Retry::times(3).first(Duration::from_millis(300)))
            .on_partial(move |console, _cx, works: bool| {
                if works {
                    console.running.insert(crate_no);
                } else {
                    console.running.remove(&crate_no);
                }
            })
            .on_status(move |console, cx, status| {
                console.running.remove(&crate_no);
                match status {
                    Status::Done(()) => console.done += 1,
                    Status::Cancelled => console.cancelled += 1,
                    Status::Failed(error) => {
                        console.failed += 1;
                        cx.notify(Level::Error, format!("{}: {}", name(crate_no), error.text));
                    }
                    _ => console.failed += 1,
                }
            })
            .start()?;
    }
    console.started += JOBS;
    Ok(())
}

fn name(crate_no: u32) -> String {
    format!("Stow crate {crate_no}")
}

/// One job, on a thread of the pool. Its work is to wait, since this is about what surrounds it.
fn stow(job: &Job, crate_no: u32) -> Result {
    let (attempt, steps) = (job.attempt(), 10 + crate_no * 7 % 31);
    job.emit(true)?;
    job.log(format!("attempt {attempt}: {steps} turns of the winch"));
    for step in 1..=steps {
        job.checkpoint()?;
        thread::sleep(TURN);
        job.progress(step.into(), steps.into());
        job.text(format!("turn {step} of {steps}"));
        if step % 5 == 0 {
            job.log(format!("{step} turns, {} to go", steps - step));
        }
        if step == steps / 2 && crate_no % 9 == 5 {
            return Err(Error::refuse("too_heavy", "the crate is too heavy for the hold"));
        }
        if step == steps / 2 && crate_no % 7 == 3 && attempt < 3 {
            job.log("the rope slipped");
            job.emit(false)?;
            return Err(Error::internal("the rope slipped"));
        }
    }
    job.log("stowed");
    Ok(())
}

/// As many as the button says.
const JOBS: u32 = 60;
/// A quarter of a second to more than one a job.
const TURN: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sixty_jobs_are_counted_through_their_ends() {
        let mut t = app().test();
        t.send("start", ());
        assert_eq!(t.document()["waiting"], 60);
        assert_eq!(t.document()["$jobs"].as_array().map(Vec::len), Some(60));

        t.jobs().emit("Stow crate 1", true);
        assert_eq!((&t.document()["running"], &t.document()["waiting"]), (&json!(1), &json!(59)));
        t.jobs().done("Stow crate 1", ());
        t.jobs().fail("Stow crate 5", Error::refuse("too_heavy", "too heavy"));
        assert!(t.events().iter().any(|event| event.text() == Some("Stow crate 5: too heavy")));
        t.send("cancel_all", ());
        let document = t.document();
        let counts = ["waiting", "running", "done", "failed", "cancelled"].map(|count| document[count].as_u64());
        assert_eq!(counts, [0, 0, 1, 1, 58].map(Some));
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types -p console -o examples/console/app.d.ts`");
    }
}
