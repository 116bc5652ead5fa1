//! The jobs of a test, each held at its first line until the test lets it go.

use serde::Serialize;
use serde_json::value::to_raw_value;

use super::Test;
use super::stage::{Instead, Returns, Waiting};
use crate::program::State;
use crate::{Error, Job};

/// The jobs of the page's session. Given by [`Test::jobs`].
///
/// A job runs from the turn that starts it on, and its callback waits at its first line. Of several with the same name
/// the oldest is meant. Each method panics when no such job runs, and says which do.
///
/// ```
/// # use windlass::prelude::*;
/// # #[derive(Clone, Default, Serialize)]
/// # struct Chat { text: String, ended: bool }
/// fn ask(_: &mut Chat, cx: &mut Cx<Chat>, (): ()) -> Result {
///     cx.long_callback("answer", |_job| -> Result<u32> { unreachable!("no model in this test") })
///         .on_partial(|state, _cx, token: String| state.text.push_str(&token))
///         .on_status(|state, _cx, _status| state.ended = true)
///         .start()?;
///     Ok(())
/// }
///
/// let mut t = App::new(Chat::default).action("ask", ask).test();
/// t.send("ask", ());
/// t.jobs().emit("answer", "Heave ");
/// t.jobs().emit("answer", "ho.");
/// t.jobs().progress("answer", 2, 3);
/// assert_eq!(t.document()["text"], "Heave ho.");
/// t.jobs().done("answer", 3_u32);
/// assert!(t.state().ended);
/// ```
///
/// ```
/// # use windlass::prelude::*;
/// # #[derive(Clone, Default, Serialize)] struct Demo { ends: Vec<String> }
/// fn work(_: &mut Demo, cx: &mut Cx<Demo>, name: String) -> Result {
///     cx.long_callback(name, |_| Ok(()))
///         .every(Duration::from_secs(1))
///         .on_status(|state: &mut Demo, _cx, status| state.ends.push(match status {
///             Status::Running(_) => "running".into(),
///             Status::Done(()) => "done".into(),
///             Status::Failed(error) => format!("failed: {}", error.is_internal()),
///             _ => "cancelled".into(),
///         }))
///         .start()
///         .map(drop)
/// }
/// let mut t = App::new(Demo::default).action("work", work).test();
/// for name in ["a", "b", "c", "d"] {
///     t.send("work", name);
/// }
/// assert_eq!(t.jobs().running(), ["a", "b", "c", "d"]);
/// t.jobs().with("a", |job| job.text("half way"));
/// t.jobs().tick("a");
/// t.jobs().finish("a"); // runs it
/// t.jobs().fail("b", Error::refuse("own", "as asked"));
/// t.jobs().panic("c", "a bug");
/// t.jobs().cancel("d");
/// assert!(t.state().ends.contains(&"done".to_owned()));
/// assert!(t.jobs().running().is_empty());
/// ```
pub struct Jobs<'t, S: State> {
    pub(super) test: &'t mut Test<S>,
}

impl<S: State> Jobs<'_, S> {
    /// The names of those that run, oldest first.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.waiting().into_iter().map(|job| job.name).collect()
    }

    /// Runs the callback, for real and to its end, with everything that it reports on the way.
    ///
    /// # Panics
    ///
    /// When it has not ended after a minute of real time.
    pub fn finish(&mut self, name: &str) {
        self.release(name, Instead::Run, "runs");
    }

    /// Ends the job as done with a value, without running the callback.
    ///
    /// # Panics
    ///
    /// When that is not the type that the callback returns.
    pub fn done<T: Send + 'static>(&mut self, name: &str, value: T) {
        let job = self.find(name);
        let given = Returns::of::<T>();
        assert!(job.returns == given, "\"{name}\" returns {}, not {}", job.returns.name, given.name);
        self.release(name, Instead::Done(Box::new(value)), "is done");
    }

    /// Ends the job as failed with an error, without running the callback.
    pub fn fail(&mut self, name: &str, error: impl Into<Error>) {
        let error = error.into();
        self.release(name, Instead::Fail(error), "fails");
    }

    /// Ends the job as a panic in its callback does.
    pub fn panic(&mut self, name: &str, text: impl Into<String>) {
        self.release(name, Instead::Panic(text.into()), "panics");
    }

    /// Cancels the job, as a page does; the callback is not run.
    pub fn cancel(&mut self, name: &str) {
        let job = self.find(name).job;
        self.test.update(move |_, cx| cx.cancel_job(job));
    }

    /// Says for the callback that `i` of `n` steps are done.
    pub fn progress(&mut self, name: &str, i: u64, n: u64) {
        self.with(name, move |job| job.progress(i, n));
    }

    /// Emits a partial result for the callback.
    ///
    /// # Panics
    ///
    /// When the value does not serialise.
    pub fn emit(&mut self, name: &str, value: impl Serialize) {
        let value = match to_raw_value(&value) {
            Ok(value) => value,
            Err(error) => panic!("the partial result does not serialise: {error}"),
        };
        self.with(name, move |job| {
            // Refused only when the job is told to stop, and then it is about to.
            let _ = job.emit(&value);
        });
    }

    /// Does for the callback what it does with its job: progress, log lines, partial results.
    pub fn with(&mut self, name: &str, act: impl FnOnce(&Job) + Send + 'static) {
        let job = self.find(name).job;
        let session = self.test.cell().id;
        self.test.stage.aside(session, job, Box::new(act));
        self.test.settle();
    }

    /// Lets time pass until the job has told its status function once more that it runs.
    ///
    /// # Panics
    ///
    /// When the job has no period; give it one with `every`.
    pub fn tick(&mut self, name: &str) {
        let job = self.find(name).job;
        let session = self.test.cell().id;
        let before = self.test.stage.ticks(session, job);
        while self.test.stage.ticks(session, job) == before {
            let Some(until) = self.test.due_at() else {
                panic!("\"{name}\" never ticks: give it `.every(…)` and a status function")
            };
            while self.test.step(until) {}
        }
    }

    fn release(&mut self, name: &str, instead: Instead, what: &str) {
        let job = self.find(name).job;
        let session = self.test.cell().id;
        self.test.note(format_args!("  the job \"{name}\" {what}"));
        self.test.stage.release(session, job, instead);
        self.test.settle();
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.test.stage.waiting(self.test.cell().id)
    }

    fn find(&self, name: &str) -> Waiting {
        let waiting = self.waiting();
        match waiting.iter().find(|job| job.name == name) {
            Some(job) => job.clone(),
            None => {
                let names: Vec<_> = waiting.iter().map(|job| &job.name).collect();
                panic!("no job \"{name}\" runs; those that do: {names:?}")
            }
        }
    }
}
