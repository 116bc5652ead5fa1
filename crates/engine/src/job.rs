//! The job table of a session: what runs for it, as the page sees it in `$jobs`.

use std::time::Duration;

use serde::Serialize;
use windlass_protocol::JobId;
use windlass_protocol::limits::FINISHED_JOBS_MAX;

use crate::{App, Time};

/// What a job is doing, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waiting for a thread.
    Queued,
    /// On a thread.
    Running,
    /// Returned a result.
    Done,
    /// Returned an error or panicked.
    Failed,
    /// Ended because it was asked to.
    Cancelled,
    /// Ran out of time.
    TimedOut,
    /// The process that ran it is gone.
    Lost,
}

impl JobStatus {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: Option<f64>,
    /// What it is doing, in words.
    pub text: Option<String>,
}

/// What a job tells its session. `update` is the status function with its status.
pub enum JobReport<A: App> {
    /// It has a thread now.
    Started,
    /// How far it is; shown, and told to no function.
    Progress(Progress, Duration),
    /// Partial results are there.
    Partials(A::Update),
    /// A period is over.
    Running(Progress, Duration, A::Update),
    /// It is over.
    Ended {
        /// How; terminal.
        status: JobStatus,
        /// What to show beside it.
        text: Option<String>,
        /// How long it ran.
        elapsed: Duration,
        /// The status function, if there is one.
        update: Option<A::Update>,
    },
}

/// A row of `$jobs`. See protocol.md section 10.
#[derive(Clone, Debug, Serialize)]
pub struct JobEntry {
    /// `"epoch.n"`.
    pub id: JobId,
    /// As the app named it.
    pub name: String,
    /// What it is doing.
    pub status: JobStatus,
    /// From 1.
    pub attempt: u32,
    /// Its place in the queue.
    pub rank: Option<u32>,
    /// When it may be done.
    pub eta_ms: Option<u64>,
    /// How long it has run.
    pub elapsed_ms: u64,
    /// From 0 to 1.
    pub progress: Option<f64>,
    /// What it says.
    pub text: Option<String>,
    /// Its last lines.
    pub log: Vec<String>,
    #[serde(skip)]
    hidden: bool,
    #[serde(skip)]
    shown_at: Time,
}

/// The jobs of one session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct JobTable {
    entries: Vec<JobEntry>,
    /// Whether the page was not told of something.
    pub(crate) dirty: bool,
}

impl JobTable {
    pub(crate) fn add(&mut self, id: JobId, name: String, hidden: bool) {
        self.entries.push(JobEntry {
            id,
            name,
            status: JobStatus::Queued,
            attempt: 1,
            rank: None,
            eta_ms: None,
            elapsed_ms: 0,
            progress: None,
            text: None,
            log: Vec::new(),
            hidden,
            shown_at: Time::default(),
        });
        self.dirty |= !hidden;
    }

    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = JobId> {
        self.entries.iter().filter(move |entry| entry.name == name && !entry.status.is_terminal()).map(|entry| entry.id)
    }

    /// Takes back a job that was never started.
    pub(crate) fn remove(&mut self, id: JobId) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// A job that has not ended.
    pub(crate) fn unfinished(&mut self, id: JobId) -> Option<&mut JobEntry> {
        self.entries.iter_mut().find(|entry| entry.id == id && !entry.status.is_terminal())
    }

    pub(crate) fn all_unfinished(&self) -> impl Iterator<Item = JobId> {
        self.entries.iter().filter(|entry| !entry.status.is_terminal()).map(|entry| entry.id)
    }

    /// Shows how far a job is, at most every [`SHOWN_EVERY`] unless `at_once`.
    pub(crate) fn show(&mut self, id: JobId, progress: Progress, elapsed: Duration, at_once: bool, now: Time) {
        let Some(entry) = self.unfinished(id) else { return };
        if !at_once && now.since(entry.shown_at) < SHOWN_EVERY {
            return;
        }
        entry.shown_at = now;
        entry.progress = progress.fraction;
        entry.text = progress.text;
        entry.elapsed_ms = millis(elapsed);
        entry.eta_ms = progress.fraction.filter(|fraction| *fraction > 0.0).map(|fraction| {
            let left = elapsed.as_secs_f64() * (1.0 - fraction) / fraction;
            // The cast saturates, and a page shows no more digits than these.
            (left * 1e3).round() as u64
        });
        self.dirty |= !entry.hidden;
    }

    pub(crate) fn started(&mut self, id: JobId) {
        let Some(entry) = self.unfinished(id) else { return };
        entry.status = JobStatus::Running;
        self.dirty |= !entry.hidden;
    }

    pub(crate) fn end(&mut self, id: JobId, status: JobStatus, text: Option<String>, elapsed: Duration) {
        let Some(entry) = self.unfinished(id) else { return };
        entry.status = status;
        entry.elapsed_ms = millis(elapsed);
        entry.eta_ms = None;
        if status == JobStatus::Done {
            entry.progress = entry.progress.map(|_| 1.0);
        }
        if text.is_some() {
            entry.text = text;
        }
        let hidden = entry.hidden;
        self.dirty |= !hidden;
        if hidden {
            self.entries.retain(|entry| entry.id != id);
        }
        let finished = self.entries.iter().filter(|entry| entry.status.is_terminal()).count();
        if finished > FINISHED_JOBS_MAX {
            let oldest = self.entries.iter().position(|entry| entry.status.is_terminal());
            self.entries.remove(oldest.expect("there are finished jobs"));
        }
    }

    /// What the page sees.
    pub(crate) fn shown(&self) -> impl Serialize + '_ {
        struct Shown<'a>(&'a [JobEntry]);
        impl Serialize for Shown<'_> {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_seq(self.0.iter().filter(|entry| !entry.hidden))
            }
        }
        Shown(&self.entries)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ten times a second, as protocol.md promises; ticks of a shorter period move the bar less often.
const SHOWN_EVERY: Duration = Duration::from_millis(100);
