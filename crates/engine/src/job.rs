//! The job table of a session: what runs for it, as the page sees it in `$jobs`.

mod record;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass_protocol::limits::{ACTIVE_CHILDREN_MAX, FINISHED_JOBS_MAX, JOB_LOG_LINES_MAX};
use windlass_protocol::{ChildId, Epoch, JobId};

use crate::record::JobRecord;
use crate::{App, Start, Time, Unended};

/// What a job is doing, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    /// How the jobs that it has started are getting on, when it has.
    pub children: Option<Box<Children>>,
}

/// How the jobs that a job has started are getting on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Children {
    /// All of them.
    pub total: u32,
    /// Those that wait.
    pub queued: u32,
    /// Those that run.
    pub running: u32,
    /// Those that returned a result.
    pub done: u32,
    /// Those that returned an error, panicked, ran out of time or are lost.
    pub failed: u32,
    /// Those that ended because they were asked to.
    pub cancelled: u32,
    /// Those that run, as far as they are listed: the [`ACTIVE_CHILDREN_MAX`] that started first.
    pub active: Vec<ActiveChild>,
}

/// A job that another has started, and that runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActiveChild {
    /// `"epoch.n.number"`.
    pub id: ChildId,
    /// As the app named it.
    pub name: String,
    /// From 0 to 1.
    pub progress: Option<f64>,
    /// What it says.
    pub text: Option<String>,
}

/// Gives the next update for partial results that are there, or none when all are through. It is told whether the one
/// before has failed: what fails together can be tried apart.
pub type Partials<A> = Box<dyn FnMut(bool) -> Option<PartialsUpdate<A>> + Send>;

/// An update for partial results.
pub struct PartialsUpdate<A: App> {
    /// What changes the state.
    pub update: A::Update,
    /// Nothing of it is tried again: a failure is told.
    pub is_final: bool,
}

/// What a job tells its session. `update` is the status function with its status.
pub enum JobReport<A: App> {
    /// Its place in the queue, and when it may be done.
    Waiting {
        /// 1 is the next.
        rank: u32,
        /// The time until it may be done.
        eta: Option<Duration>,
    },
    /// It has a thread now.
    Started,
    /// It has failed and waits for another attempt.
    Retrying {
        /// The number of the attempt that comes; the first was 1.
        attempt: u32,
        /// Why it failed.
        text: Option<String>,
    },
    /// Its last lines.
    Log(Vec<String>),
    /// A process outside runs it, named so that whoever starts this server again can find and end it.
    Process(String),
    /// How far it is; shown, and told to no function.
    Progress(Progress, Duration),
    /// Partial results are there.
    Partials(Partials<A>),
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
    /// The jobs that it has started; left out while there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<Box<Children>>,
    #[serde(skip)]
    options: StartOptions,
    #[serde(skip)]
    shown_at: Time,
    /// What came too soon after what is shown.
    #[serde(skip)]
    held: Option<(Progress, Duration)>,
    /// It was asked to end because nobody was there.
    #[serde(skip)]
    deserted: bool,
    /// Which end of the session's jobs was its own, from 1.
    #[serde(skip)]
    ended: u64,
    /// It is known to wait for its turn: nothing of this attempt has run.
    #[serde(skip)]
    waits: bool,
    /// The process outside that runs it.
    #[serde(skip)]
    process: Option<Box<str>>,
    /// The loading of the session in which it was started, last.
    #[serde(skip)]
    run: Epoch,
}

/// What the session has to know of a job besides its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartOptions {
    /// Whether `$jobs` leaves it out.
    pub hidden: bool,
    /// Whether `$cancel` may end it.
    pub cancellable_by_page: bool,
    /// What it is told apart by from others that are like it; its name by default.
    pub key: Option<Arc<str>>,
    /// How long after the last connection was lost it is asked to end; `None` for never.
    pub deserted_after: Option<Duration>,
    /// What it can be started from again after a restart; none when it cannot.
    pub named: Option<Arc<Named>>,
}

/// What a job is started from again when the process that ran it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it was started with, as JSON.
    pub arguments: Box<str>,
    /// The key that each of its runs gives to the world outside, see [`Turn::key`](crate::Turn::key).
    pub key: Box<str>,
    /// Whether it runs again when it had begun; one that was still waiting does in any case.
    pub rerun_on_restart: bool,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self { hidden: false, cancellable_by_page: true, key: None, deserted_after: None, named: None }
    }
}

/// The jobs that have not ended, by key, oldest first: what a handler may ask while the table itself is the session's.
pub(crate) type UnderWay = Arc<Mutex<Vec<(JobId, Arc<str>)>>>;

/// The jobs of one session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct JobTable {
    entries: Vec<JobEntry>,
    /// There from the first job on.
    under_way: Option<UnderWay>,
    /// How many have not ended.
    unfinished: usize,
    /// How many have ended, ever.
    ends: u64,
    /// When something that is held is to be shown.
    show_at: Option<Time>,
    /// Since when nobody is connected who was.
    deserted_at: Option<Time>,
    /// Whether the page was not told of something.
    pub(crate) dirty: bool,
    /// Something has changed that a record holds.
    pub(crate) touched: bool,
    /// It should be on disk at once.
    pub(crate) urgent: bool,
    /// A job has ended, and its end is not yet numbered with a turn.
    pub(crate) has_ended: bool,
}

impl JobTable {
    pub(crate) fn add(&mut self, id: JobId, name: String, options: StartOptions, run: Epoch) {
        self.touched = true;
        let key = options.key.clone().unwrap_or_else(|| name.as_str().into());
        let hidden = options.hidden;
        lock(self.under_way.get_or_insert_default()).push((id, key));
        self.unfinished += 1;
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
            children: None,
            options,
            shown_at: Time::default(),
            held: None,
            deserted: false,
            ended: 0,
            waits: false,
            process: None,
            run,
        });
        self.dirty |= !hidden;
    }

    /// What a handler may ask about; `None` when there is nothing.
    pub(crate) fn under_way(&self) -> Option<UnderWay> {
        self.under_way.clone().filter(|_| self.unfinished > 0)
    }

    fn forget_under_way(&mut self, id: JobId) {
        self.unfinished -= 1;
        if let Some(under_way) = &self.under_way {
            lock(under_way).retain(|(known, _)| *known != id);
        }
    }

    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = JobId> {
        self.entries.iter().filter(move |entry| entry.name == name && !entry.status.is_terminal()).map(|entry| entry.id)
    }

    /// Takes back a job that was never started.
    pub(crate) fn remove(&mut self, id: JobId) {
        if self.unfinished(id).is_some() {
            self.forget_under_way(id);
        }
        self.entries.retain(|entry| entry.id != id);
    }

    /// Whether the page may end this job; `None` when there is nothing to end.
    pub(crate) fn is_cancellable(&mut self, id: JobId) -> Option<bool> {
        self.unfinished(id).map(|entry| entry.options.cancellable_by_page)
    }

    /// Takes a job that has ended out of what is shown; the code and the text of a refusal otherwise.
    pub(crate) fn dismiss(&mut self, id: JobId) -> Result<(), (&'static str, String)> {
        let Some(at) = self.entries.iter().position(|entry| entry.id == id && !entry.options.hidden) else {
            return Err(("gone", format!("no job \"{id}\"")));
        };
        if !self.entries[at].status.is_terminal() {
            return Err(("not_ended", format!("the job \"{id}\" has not ended: cancel it first")));
        }
        self.entries.remove(at);
        (self.dirty, self.touched) = (true, true);
        Ok(())
    }

    /// Takes out all that have ended.
    pub(crate) fn dismiss_all(&mut self) {
        self.entries.retain(|entry| !entry.status.is_terminal());
        (self.dirty, self.touched) = (true, true);
    }

    /// Nobody is connected any more, or somebody is again.
    pub(crate) fn desert(&mut self, at: Option<Time>) {
        if at.is_none() || self.deserted_at.is_none() {
            self.deserted_at = at;
        }
        if at.is_none() {
            self.entries.iter_mut().for_each(|entry| entry.deserted = false);
        }
    }

    /// When [`due`](Self::due) has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.unfinished == 0 {
            return None;
        }
        match self.deserted_at {
            // Nobody looks: what is held is shown with the next snapshot.
            Some(at) => self.deserted_after(at).map(|(_, due)| due).min(),
            None => self.show_at,
        }
    }

    fn deserted_after(&self, at: Time) -> impl Iterator<Item = (JobId, Time)> {
        let waiting = self.entries.iter().filter(|entry| !entry.deserted && !entry.status.is_terminal());
        waiting.filter_map(move |entry| Some((entry.id, at + entry.options.deserted_after?)))
    }

    /// Shows what was held long enough, and says which jobs to end because nobody has come back.
    pub(crate) fn due(&mut self, now: Time) -> Vec<JobId> {
        if self.show_at.is_some_and(|at| at <= now) {
            self.show_at = None;
            for at in 0..self.entries.len() {
                let entry = &mut self.entries[at];
                if entry.held.is_none() {
                    continue;
                }
                let due = entry.shown_at + SHOWN_EVERY;
                if due > now {
                    self.show_at = Some(self.show_at.map_or(due, |known| known.min(due)));
                } else if let Some((progress, elapsed)) = entry.held.take() {
                    let id = entry.id;
                    self.show(id, progress, elapsed, now);
                }
            }
        }
        let Some(deserted) = self.deserted_at else { return Vec::new() };
        let due: Vec<_> = self.deserted_after(deserted).filter(|(_, due)| *due <= now).map(|(id, _)| id).collect();
        self.entries.iter_mut().filter(|entry| due.contains(&entry.id)).for_each(|entry| entry.deserted = true);
        due
    }

    /// A job that has not ended.
    pub(crate) fn unfinished(&mut self, id: JobId) -> Option<&mut JobEntry> {
        self.entries.iter_mut().find(|entry| entry.id == id && !entry.status.is_terminal())
    }

    pub(crate) fn all_unfinished(&self) -> impl Iterator<Item = JobId> {
        self.entries.iter().filter(|entry| !entry.status.is_terminal()).map(|entry| entry.id)
    }

    /// Shows how far a job is, at most every [`SHOWN_EVERY`]: what comes too soon is held until [`due`](Self::due).
    pub(crate) fn show(&mut self, id: JobId, progress: Progress, elapsed: Duration, now: Time) {
        let Some(entry) = self.unfinished(id) else { return };
        if entry.shown_at != Time::default() && now.since(entry.shown_at) < SHOWN_EVERY {
            entry.held = Some((progress, elapsed));
            let (hidden, due) = (entry.options.hidden, entry.shown_at + SHOWN_EVERY);
            if !hidden {
                self.show_at = Some(self.show_at.map_or(due, |known| known.min(due)));
            }
            return;
        }
        entry.shown_at = now;
        entry.held = None;
        entry.take(progress, elapsed);
        let hidden = entry.options.hidden;
        self.dirty |= !hidden;
    }

    pub(crate) fn waits(&mut self, id: JobId, rank: u32, eta: Option<Duration>) {
        let Some(entry) = self.unfinished(id).filter(|entry| entry.status == JobStatus::Queued) else { return };
        entry.rank = Some(rank);
        entry.eta_ms = eta.map(millis);
        let hidden = entry.options.hidden;
        self.touched |= !std::mem::replace(&mut entry.waits, true);
        self.dirty |= !hidden;
    }

    pub(crate) fn log(&mut self, id: JobId, mut lines: Vec<String>) {
        let Some(entry) = self.unfinished(id) else { return };
        lines.drain(..lines.len().saturating_sub(JOB_LOG_LINES_MAX));
        entry.log = lines;
        let hidden = entry.options.hidden;
        self.dirty |= !hidden;
    }

    pub(crate) fn started(&mut self, id: JobId) {
        let Some(entry) = self.unfinished(id) else { return };
        entry.status = JobStatus::Running;
        (entry.rank, entry.eta_ms) = (None, None);
        let hidden = entry.options.hidden;
        // A record that says it waits would have it run a second time.
        let waited = std::mem::take(&mut entry.waits);
        self.urgent |= waited && entry.options.named.as_ref().is_some_and(|named| !named.rerun_on_restart);
        self.touched |= waited;
        self.dirty |= !hidden;
    }

    pub(crate) fn retries(&mut self, id: JobId, attempt: u32, text: Option<String>) {
        let Some(entry) = self.unfinished(id) else { return };
        entry.status = JobStatus::Queued;
        entry.attempt = attempt;
        (entry.progress, entry.eta_ms, entry.held, entry.children) = (None, None, None, None);
        entry.text = text;
        entry.waits = true;
        let hidden = entry.options.hidden;
        self.touched = true;
        self.dirty |= !hidden;
    }

    /// Remembers which process outside runs it.
    pub(crate) fn runs_in(&mut self, id: JobId, process: String) {
        let Some(entry) = self.unfinished(id) else { return };
        entry.process = Some(process.into());
        (self.touched, self.urgent) = (true, true);
    }

    /// Says beside a job that its status function failed.
    pub(crate) fn complain(&mut self, id: JobId, text: String) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else { return };
        entry.text = Some(text);
        let hidden = entry.options.hidden;
        self.dirty |= !hidden;
    }

    pub(crate) fn end(&mut self, id: JobId, status: JobStatus, text: Option<String>, elapsed: Duration) {
        let ends = self.ends + 1;
        let Some(entry) = self.unfinished(id) else { return };
        if let Some((progress, elapsed)) = entry.held.take() {
            entry.take(progress, elapsed);
        }
        entry.status = status;
        entry.ended = ends;
        entry.process = None;
        entry.elapsed_ms = millis(elapsed);
        (entry.rank, entry.eta_ms) = (None, None);
        if let Some(children) = &mut entry.children {
            children.desert();
        }
        if status == JobStatus::Done {
            entry.progress = entry.progress.map(|_| 1.0);
        }
        if text.is_some() {
            entry.text = text;
        }
        let hidden = entry.options.hidden;
        self.ends = ends;
        (self.touched, self.has_ended) = (true, true);
        self.forget_under_way(id);
        self.dirty |= !hidden;
        if hidden {
            self.entries.retain(|entry| entry.id != id);
        }
        let finished = self.entries.iter().filter(|entry| entry.status.is_terminal()).count();
        if finished > FINISHED_JOBS_MAX {
            // Who ended first, not who was started first: a job that was retried has just ended.
            let ended = self.entries.iter().enumerate().filter(|(_, entry)| entry.status.is_terminal());
            let first = ended.min_by_key(|(_, entry)| entry.ended).map(|(at, _)| at);
            self.entries.remove(first.expect("there are finished jobs"));
        }
    }

    /// The memory that the table takes.
    pub(crate) fn bytes(&self) -> usize {
        let texts = |entry: &JobEntry| {
            let log: usize = entry.log.iter().map(String::len).sum();
            let arguments = entry.options.named.as_ref().map_or(0, |named| named.arguments.len() + named.key.len());
            entry.name.len() + entry.text.as_ref().map_or(0, String::len) + log + arguments
        };
        self.entries.iter().map(|entry| size_of::<JobEntry>() + texts(entry)).sum()
    }

    /// What a record keeps of each.
    pub(crate) fn records(&self) -> impl Iterator<Item = JobRecord<'_>> {
        self.entries.iter().map(JobEntry::record)
    }

    /// As they were recorded: those that had not ended are neither under way nor over, until [`revive`](Self::revive)
    /// or [`end`](Self::end) says which.
    pub(crate) fn restore(records: &[JobRecord<'_>]) -> Option<Self> {
        let mut table = Self::default();
        for record in records {
            let entry = JobEntry::restore(record)?;
            table.ends = table.ends.max(entry.ended);
            if !entry.status.is_terminal() {
                let key = entry.options.key.clone().unwrap_or_else(|| entry.name.as_str().into());
                lock(table.under_way.get_or_insert_default()).push((entry.id, key));
                table.unfinished += 1;
            }
            table.entries.push(entry);
        }
        Some(table)
    }

    /// Whether another process is to run it, when this one does not come to its end.
    pub(crate) fn may_run(&self, id: JobId) -> bool {
        self.entries.iter().find(|entry| entry.id == id).is_some_and(JobEntry::may_run)
    }

    /// What is to be asked about a job that had not ended when its record was made.
    pub(crate) fn unended(&self, id: JobId) -> Option<Unended<'_>> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        let named = entry.options.named.as_deref();
        let (attempt, process) = (entry.attempt, entry.process.as_deref());
        Some(Unended { id, name: &entry.name, named, attempt, may_run: entry.may_run(), process })
    }

    /// Starts a job of an earlier loading again: what is to be started.
    pub(crate) fn revive<A: App>(&mut self, id: JobId, work: A::Work, run: Epoch) -> Option<Start<A>> {
        let entry = self.unfinished(id)?;
        entry.run = run;
        // Until a thread takes it up it waits, and a record that is made by then says so.
        if !std::mem::replace(&mut entry.waits, true) {
            entry.attempt += 1;
        }
        entry.status = JobStatus::Queued;
        (entry.rank, entry.eta_ms, entry.progress, entry.process) = (None, None, None, None);
        let start = Start { id, name: entry.name.clone(), options: entry.options.clone(), work };
        let hidden = entry.options.hidden;
        self.touched = true;
        self.dirty |= !hidden;
        Some(start)
    }

    /// Ends a job whose process is gone.
    pub(crate) fn lose(&mut self, id: JobId) {
        let elapsed = self.unfinished(id).map_or(0, |entry| entry.elapsed_ms);
        let text = "the server started again while this was running".to_owned();
        self.end(id, JobStatus::Lost, Some(text), Duration::from_millis(elapsed));
    }

    /// Whether the page sees none.
    pub(crate) fn shows_nothing(&self) -> bool {
        self.entries.iter().all(|entry| entry.options.hidden)
    }

    /// What the page sees.
    pub(crate) fn shown(&self) -> impl Serialize + '_ {
        struct Shown<'a>(&'a [JobEntry]);
        impl Serialize for Shown<'_> {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_seq(self.0.iter().filter(|entry| !entry.options.hidden))
            }
        }
        Shown(&self.entries)
    }
}

impl Children {
    /// Their job has ended, and they end with it.
    fn desert(&mut self) {
        self.cancelled += self.queued + self.running;
        (self.queued, self.running) = (0, 0);
        self.active.clear();
    }
}

impl JobEntry {
    /// Whether another process is to run it, when this one does not come to its end.
    fn may_run(&self) -> bool {
        self.options.named.as_ref().is_some_and(|named| self.waits || named.rerun_on_restart)
    }

    /// The loading of the session that started it, last.
    pub(crate) fn run(&self) -> Epoch {
        self.run
    }

    fn take(&mut self, progress: Progress, elapsed: Duration) {
        self.progress = progress.fraction;
        self.text = progress.text;
        self.children = progress.children;
        if let Some(children) = &mut self.children {
            children.active.truncate(ACTIVE_CHILDREN_MAX);
        }
        self.elapsed_ms = millis(elapsed);
        self.eta_ms = progress.fraction.filter(|fraction| *fraction > 0.0).map(|fraction| {
            let left = elapsed.as_secs_f64() * (1.0 - fraction) / fraction;
            // The cast saturates, and a page shows no more digits than these.
            (left * 1e3).round() as u64
        });
    }
}

/// The list is whole between any two steps, whatever becomes of a thread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ten times a second, as protocol.md promises; ticks of a shorter period move the bar less often.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn id(n: u64) -> JobId {
        JobId { epoch: Epoch(1), n }
    }

    fn at(ms: u32) -> Time {
        Time::after_origin(MS * (1_000 + ms))
    }

    fn table(options: StartOptions) -> JobTable {
        let mut table = JobTable::default();
        table.add(id(1), "train".into(), options, Epoch(1));
        table.started(id(1));
        table
    }

    fn half(part: f64) -> Progress {
        Progress { fraction: Some(part), ..Progress::default() }
    }

    #[test]
    fn progress_is_shown_ten_times_a_second_and_the_last_of_it_is_not_lost() {
        let mut table = table(StartOptions::default());
        let mut shown = 0;
        for ms in 0..950 {
            table.dirty = false;
            table.show(id(1), half(f64::from(ms) / 1_000.0), MS * ms, at(ms));
            table.due(at(ms));
            shown += u32::from(table.dirty);
        }
        assert_eq!(shown, 10);
        assert_eq!(table.entries[0].progress, Some(0.9));
        assert_eq!(table.deadline(), Some(at(1_000)), "what is held is shown when it is time, though nothing comes");
        table.due(at(1_000));
        assert_eq!((table.entries[0].progress, table.deadline()), (Some(0.949), None));
    }

    #[test]
    fn the_end_shows_what_was_held_and_comes_once() {
        let mut table = table(StartOptions::default());
        table.show(id(1), half(0.1), MS, at(0));
        table.show(id(1), half(0.7), MS, at(1));
        table.end(id(1), JobStatus::Failed, None, MS);
        assert_eq!((table.entries[0].progress, table.entries[0].status), (Some(0.7), JobStatus::Failed));
        table.end(id(1), JobStatus::Done, None, MS);
        table.show(id(1), half(0.9), MS, at(200));
        assert_eq!((table.entries[0].progress, table.entries[0].status), (Some(0.7), JobStatus::Failed));
        assert!(table.under_way().is_none());
    }

    #[test]
    fn the_children_of_a_job_that_has_ended_have_ended() {
        let mut table = table(StartOptions::default());
        let child = |number| ActiveChild {
            id: ChildId { job: id(1), path: vec![number] },
            name: "run".into(),
            progress: None,
            text: None,
        };
        let children = Children {
            total: 33,
            queued: 10,
            running: 20,
            done: 3,
            active: (1..=20).map(child).collect(),
            ..Children::default()
        };
        let progress = Progress { children: Some(Box::new(children)), ..half(0.1) };
        table.show(id(1), progress, MS, at(0));
        let shown = table.entries[0].children.as_ref().unwrap();
        assert_eq!((shown.active.len(), shown.running), (ACTIVE_CHILDREN_MAX, 20));
        table.end(id(1), JobStatus::Cancelled, None, MS);
        let shown = table.entries[0].children.as_ref().unwrap();
        assert_eq!((shown.queued, shown.running, shown.cancelled, shown.active.len()), (0, 0, 30, 0));
    }

    #[test]
    fn a_deserted_job_is_asked_to_end_once_and_not_when_somebody_has_come_back() {
        let grace = StartOptions { deserted_after: Some(5 * MS), ..StartOptions::default() };
        let mut table = table(grace);
        table.desert(Some(at(0)));
        assert_eq!((table.deadline(), table.due(at(4))), (Some(at(5)), Vec::new()));
        table.desert(None);
        assert_eq!((table.deadline(), table.due(at(9))), (None, Vec::new()));
        table.desert(Some(at(10)));
        assert_eq!((table.due(at(15)), table.due(at(16)), table.deadline()), (vec![id(1)], Vec::new(), None));
    }

    /// BOUNDED. A job that took long, or was tried again, was dropped as soon as it ended.
    #[test]
    fn of_too_many_jobs_that_ended_the_one_that_ended_first_goes() {
        let mut table = table(StartOptions::default());
        for n in 2..=20 {
            table.add(id(n), "quick".into(), StartOptions::default(), Epoch(1));
            table.end(id(n), JobStatus::Done, None, MS);
        }
        table.add(id(21), "quick".into(), StartOptions::default(), Epoch(1));
        table.end(id(21), JobStatus::Done, None, MS);
        table.end(id(1), JobStatus::Done, None, MS);
        let ids: Vec<_> = table.entries.iter().map(|entry| entry.id.n).collect();
        assert_eq!(ids, std::iter::once(1).chain(3..=21).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_has_ended_is_dismissed() {
        let mut table = table(StartOptions::default());
        assert_eq!(table.dismiss(id(1)).map_err(|(code, _)| code), Err("not_ended"));
        table.dismiss_all();
        assert_eq!(table.entries.len(), 1);
        table.end(id(1), JobStatus::Done, None, MS);
        assert_eq!(table.dismiss(id(1)), Ok(()));
        assert_eq!(table.dismiss(id(1)).map_err(|(code, _)| code), Err("gone"));
    }
}
