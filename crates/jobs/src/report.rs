//! What a job tells about itself: reports, the end, progress, and who listens.

use std::sync::Arc;
use std::time::Duration;

use crate::tally::Tally;

/// One thing that a job tells its [`Sink`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Report<T, E> {
    /// Its place in the queue has changed. Only for a job that is [`ranked`](crate::Spec::ranked), about four times a
    /// second at most, and once a second while many wait.
    Waiting {
        /// How many jobs start before it, and itself: 1 is the next.
        rank: u32,
        /// When it may be done, by what jobs of this pool have taken so far.
        eta: Option<Duration>,
    },
    /// The callback is about to run.
    Started,
    /// The callback has failed and will be run again; [`Started`](Self::Started) comes again.
    Retrying {
        /// The number of the attempt that comes; the first one was 1.
        attempt: u32,
        /// How long it waits before it queues again.
        after: Duration,
        /// How it failed: [`End::Failed`] or [`End::Panicked`].
        failure: End<T, E>,
    },
    /// The progress or the log has changed; at most 10 times a second, the latest always before the end of an attempt.
    Progress(Progress),
    /// A period has passed.
    Tick {
        /// How many periods have passed since the start. Numbers of merged ticks are left out.
        tick: u64,
        /// The time since the start.
        elapsed: Duration,
        /// The progress at this moment.
        progress: Progress,
    },
    /// Partial results wait for [`JobHandle::take_partials`](crate::JobHandle::take_partials).
    ///
    /// Said once until they are taken. Some may still wait when the end comes: take them before acting on it.
    Partials,
    /// It is over. Nothing follows.
    Ended(End<T, E>),
}

/// How a job ended.
///
/// ```
/// use windlass_jobs::End;
///
/// fn told(end: End<u64, std::io::Error>) -> String {
///     match end {
///         End::Done(value) => format!("it is {value}"),
///         End::Failed(error) => error.to_string(),
///         End::Panicked(text) => format!("a bug: {text}"),
///         End::Cancelled => "stopped".into(),
///         End::TimedOut => "too slow".into(),
///         End::Lost => "the server went down".into(),
///         _ => "something newer".into(),
///     }
/// }
/// assert_eq!(told(End::Done(7)), "it is 7");
/// assert_eq!(told(End::Lost), "the server went down");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End<T, E> {
    /// The callback returned a value, also when that was after a cancel.
    Done(T),
    /// The callback returned an error that no cancel or timeout explains.
    Failed(E),
    /// The callback panicked, with this text.
    Panicked(String),
    /// It never ran, or it returned an error after it had seen that it was cancelled.
    Cancelled,
    /// It returned an error after it had seen its soft timeout, or it reached its hard one.
    TimedOut,
    /// The pool shut down and did not wait any longer. What the callback returns later is dropped.
    Lost,
}

/// Listens to one job.
///
/// Threads of the pool call it, and the thread that shuts the pool down. Calls for one job never overlap, and
/// none comes after [`Report::Ended`]; then the sink is dropped. It must be quick, since it holds up the job and,
/// at ticks, the ticks of others: put the report where it belongs and return. It may cancel jobs and
/// submit new ones; it must not shut the pool down. A panic in it is logged and otherwise ignored.
///
/// Closures are sinks.
pub trait Sink<T, E>: Send + Sync + 'static {
    /// Takes one report.
    fn report(&self, report: Report<T, E>);
}

impl<T, E, F: Fn(Report<T, E>) + Send + Sync + 'static> Sink<T, E> for F {
    fn report(&self, report: Report<T, E>) {
        self(report);
    }
}

/// How far a job has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// From 0 to 1; `None` while the callback has not said, or cannot know.
    pub fraction: Option<f64>,
    /// `(i, n)` when the callback counts: `i` of `n` steps are done.
    pub steps: Option<(u64, u64)>,
    /// What it is doing, for people.
    pub text: Option<Arc<str>>,
    /// How many lines were logged so far; when it has grown, [`JobHandle::log_tail`](crate::JobHandle::log_tail) is new.
    pub lines: u64,
    /// How the jobs that it has started are getting on; `None` while it has started none.
    ///
    /// They make up its `fraction` and `steps` unless it says that it [keeps](crate::Children::keep_progress) its own.
    pub children: Option<Arc<Tally>>,
}

impl Progress {
    /// Steps a second, when the callback counts steps.
    #[must_use]
    pub fn rate(&self, elapsed: Duration) -> Option<f64> {
        let (done, _) = self.steps?;
        let seconds = elapsed.as_secs_f64();
        (seconds > 0.0).then(|| done as f64 / seconds)
    }

    /// The time to the end, if the rest goes like what is behind.
    #[must_use]
    pub fn eta(&self, elapsed: Duration) -> Option<Duration> {
        let fraction = self.fraction.filter(|&fraction| fraction > 0.0)?;
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * (1.0 - fraction) / fraction).ok()
    }

    pub(crate) fn set_steps(&mut self, i: u64, n: u64) {
        let i = i.min(n);
        self.steps = Some((i, n));
        // Nothing of nothing is no fraction: an empty list may still be about to grow.
        self.fraction = (n > 0).then(|| i as f64 / n as f64);
    }

    pub(crate) fn set_fraction(&mut self, fraction: f64) {
        self.steps = None;
        // Not a number is a division of the callback's that had nothing to divide by.
        self.fraction = (!fraction.is_nan()).then(|| fraction.clamp(0.0, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_stays_between_nothing_and_all() {
        let mut progress = Progress::default();
        for (said, fraction) in [(0.5, Some(0.5)), (-1.0, Some(0.0)), (7.0, Some(1.0)), (f64::NAN, None)] {
            progress.set_fraction(said);
            assert_eq!(progress.fraction, fraction, "{said}");
        }
        for ((i, n), fraction) in [((1, 4), Some(0.25)), ((9, 4), Some(1.0)), ((0, 0), None)] {
            progress.set_steps(i, n);
            assert_eq!(progress.fraction, fraction, "{i} of {n}");
        }
    }

    #[test]
    fn rate_and_eta_follow_from_what_is_behind() {
        let mut progress = Progress::default();
        let elapsed = Duration::from_secs(10);
        assert_eq!((progress.rate(elapsed), progress.eta(elapsed)), (None, None));
        progress.set_steps(20, 100);
        assert_eq!(progress.rate(elapsed), Some(2.0));
        assert_eq!(progress.eta(elapsed), Some(Duration::from_secs(40)));
        assert_eq!(progress.rate(Duration::ZERO), None);
        progress.set_steps(0, 100);
        assert_eq!(progress.eta(elapsed), None);
    }
}
