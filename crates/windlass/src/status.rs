//! What a job tells its status function.

use std::time::Duration;

use windlass_jobs::Progress;

use crate::Error;

/// What a job reports to its status function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Status<T> {
    /// A period is over and it still runs.
    Running(Running),
    /// It returned this.
    Done(T),
    /// It returned this error, or panicked with that text.
    Failed(Error),
    /// It ended because it was asked to.
    Cancelled,
    /// It ran out of time.
    TimedOut,
    /// What ran it is gone: the server shut down before it ended.
    Lost,
}

/// How a running job is getting on.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// fn train(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
///     cx.long_callback("train", |job| { job.progress(1, 4); Ok(()) })
///         .every(Duration::from_secs(5))
///         .on_status(|state: &mut Demo, _cx, status| if let Status::Running(running) = status {
///             state.count = running.tick as i64;
///             println!("{:.0?}, {:?} done, {:?} to go", running.elapsed, running.progress, running.eta);
///         })
///         .start()
///         .map(drop)
/// }
/// let mut t = App::new(Demo::default).action("train", train).test();
/// t.send("train", ());
/// t.advance(Duration::from_secs(5));
/// assert_eq!(t.state().count, 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Running {
    /// How many periods have passed; those that a slow status function missed are left out.
    pub tick: u64,
    /// The time since the start of this attempt.
    pub elapsed: Duration,
    /// From 0 to 1, when the callback has said.
    pub progress: Option<f64>,
    /// How many steps of how many are done, when the callback counts them.
    pub steps: Option<(u64, u64)>,
    /// What it is doing, when the callback has said.
    pub text: Option<String>,
    /// Steps a second, when the callback counts them.
    pub rate: Option<f64>,
    /// The time to the end, if the rest goes like what is behind.
    pub eta: Option<Duration>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

impl Running {
    pub(crate) fn new(tick: u64, elapsed: Duration, progress: &Progress, attempt: u32) -> Self {
        Self {
            tick,
            elapsed,
            progress: progress.fraction,
            steps: progress.steps,
            text: progress.text.as_deref().map(str::to_owned),
            rate: progress.rate(elapsed),
            eta: progress.eta(elapsed),
            attempt,
        }
    }
}

/// The status as Taipy has it: a number while the callback runs, true or false at its end. See [`Status::classic`].
///
/// ```
/// use windlass::{Classic, Status};
///
/// let told = |classic| match classic {
///     Classic::Tick(periods) => format!("still running after {periods}"),
///     Classic::Ended(true) => "finished".to_owned(),
///     Classic::Ended(false) => "failed".to_owned(),
/// };
/// let (classic, value) = Status::Done(1).classic();
/// assert_eq!((&*told(classic), value), ("finished", Some(1)));
/// assert_eq!(told(Classic::Tick(3)), "still running after 3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classic {
    /// It runs: how many periods have passed.
    Tick(u64),
    /// It is over: true when it returned a value.
    Ended(bool),
}

impl<T> Status<T> {
    /// Whether nothing comes after it.
    ///
    /// ```
    /// use windlass::Status;
    ///
    /// let ends = [Status::Done(1), Status::Cancelled, Status::TimedOut, Status::Lost];
    /// assert!(ends.iter().all(Status::is_terminal));
    /// let told = |status: Status<u64>| match status {
    ///     Status::Running(running) => format!("running for {:?}", running.elapsed),
    ///     Status::Failed(error) => error.text.to_string(),
    ///     other => format!("{}", other.is_terminal()),
    /// };
    /// assert_eq!(told(Status::Lost), "true");
    /// ```
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Running(_))
    }

    /// The view of those who port from Taipy: the status as a number, true or false, and the result with true.
    ///
    /// What is lost in it: why a job failed, and whether it failed or was cancelled, timed out or lost.
    ///
    /// ```
    /// use windlass::{Classic, Status};
    ///
    /// let told = match Status::Done(7).classic() {
    ///     (Classic::Ended(true), Some(result)) => format!("finished: {result}"),
    ///     (Classic::Ended(_), _) => "failed".to_owned(),
    ///     (Classic::Tick(n), _) => format!("still running, {n}"),
    /// };
    /// assert_eq!(told, "finished: 7");
    /// ```
    pub fn classic(self) -> (Classic, Option<T>) {
        match self {
            Self::Running(running) => (Classic::Tick(running.tick), None),
            Self::Done(result) => (Classic::Ended(true), Some(result)),
            _ => (Classic::Ended(false), None),
        }
    }
}
