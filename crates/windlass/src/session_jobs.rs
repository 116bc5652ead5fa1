//! The jobs of one session, as the server holds them: handles of those that run, and those that wait for others' ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_engine::JobReport;
use windlass_jobs::JobHandle;
use windlass_protocol::{ChildId, JobId};

use crate::job_work::{JobWork, Reporter, Startable, Submitted};
use crate::program::{Program, State};

/// The jobs of one session. Bounded by the places that they hold in their pools.
pub(crate) struct SessionJobs<S: State> {
    handles: BTreeMap<JobId, JobHandle>,
    /// Those that start when others have ended.
    behind: Vec<Behind<S>>,
    /// Those of an earlier process that the pool had no room for yet.
    crowded: Vec<Crowded<S>>,
}

struct Crowded<S: State> {
    job: JobId,
    prepared: Box<dyn Startable<S>>,
    reporter: Arc<dyn Reporter<S>>,
}

struct Behind<S: State> {
    job: JobId,
    /// The jobs whose ends it waits for; never empty. One of them that waits itself stands for all before it.
    after: Vec<JobId>,
    prepared: Box<dyn Startable<S>>,
    reporter: Arc<dyn Reporter<S>>,
}

impl<S: State> Default for SessionJobs<S> {
    fn default() -> Self {
        Self { handles: BTreeMap::new(), behind: Vec::new(), crowded: Vec::new() }
    }
}

impl<S: State> SessionJobs<S> {
    /// Submits a job, or keeps it until those before it have ended.
    pub(crate) fn start(&mut self, job: JobId, work: JobWork<S>, reporter: Arc<dyn Reporter<S>>) {
        let JobWork { mut after, prepared } = work;
        let is_crowded = |job: &JobId| self.crowded.iter().any(|crowded| crowded.job == *job);
        after.retain(|after| self.handles.contains_key(after) || self.is_behind(*after) || is_crowded(after));
        if let Some(at) = after.iter().rposition(|&after| self.is_behind(after)) {
            // It waits for those before it, which are the oldest: a long queue is to hold one id each.
            after.drain(..at);
        }
        if after.is_empty() {
            self.submit(job, prepared, &reporter);
        } else {
            self.behind.push(Behind { job, after, prepared, reporter });
        }
    }

    fn is_behind(&self, job: JobId) -> bool {
        self.behind.iter().any(|behind| behind.job == job)
    }

    fn submit(&mut self, job: JobId, prepared: Box<dyn Startable<S>>, reporter: &Arc<dyn Reporter<S>>) {
        match prepared.submit(Arc::clone(reporter)) {
            Submitted::Running(handle) => {
                self.handles.insert(job, handle);
            }
            // The end goes the way of all reports, so that what waits for this job hears of it.
            Submitted::Ended(end) => reporter.report(end),
            Submitted::NotNow(prepared) => {
                self.crowded.push(Crowded { job, prepared, reporter: Arc::clone(reporter) });
            }
        }
    }

    /// Whether some wait for room in their pool.
    pub(crate) fn is_crowded(&self) -> bool {
        !self.crowded.is_empty()
    }

    /// Submits those again that there was no room for.
    pub(crate) fn submit_again(&mut self) {
        for Crowded { job, prepared, reporter } in std::mem::take(&mut self.crowded) {
            self.submit(job, prepared, &reporter);
        }
    }

    /// Asks a job to end.
    pub(crate) fn cancel(&mut self, job: JobId) {
        if let Some(handle) = self.handles.get(&job) {
            handle.cancel();
        } else if let Some(at) = self.crowded.iter().position(|crowded| crowded.job == job) {
            let Crowded { prepared, reporter, .. } = self.crowded.remove(at);
            reporter.report(prepared.cancelled());
        } else if let Some(at) = self.behind.iter().position(|behind| behind.job == job) {
            let Behind { prepared, reporter, after, .. } = self.behind.remove(at);
            // Who waits for it waits for those before it from now on: what is queued never runs beside one of its kind.
            for behind in &mut self.behind {
                if let Some(at) = behind.after.iter().position(|&after| after == job) {
                    behind.after.splice(at..=at, after.iter().copied());
                }
            }
            reporter.report(prepared.cancelled());
        }
    }

    /// Asks a job to end that another has started; one that is over stays as it ended.
    pub(crate) fn cancel_child(&self, child: &ChildId) {
        if let Some(handle) = self.handles.get(&child.job) {
            handle.cancel_child(&child.path);
        }
    }

    /// Asks all of them to end.
    pub(crate) fn cancel_all(&mut self) {
        self.behind.clear();
        self.crowded.clear();
        self.handles.values().for_each(|handle| {
            handle.cancel();
        });
    }

    /// Looks at a report on its way to the session: after an end, those that have waited for it start.
    pub(crate) fn heard(&mut self, job: JobId, report: &JobReport<Program<S>>) {
        if !matches!(report, JobReport::Ended { .. }) {
            return;
        }
        self.handles.remove(&job);
        self.behind.iter_mut().for_each(|behind| behind.after.retain(|&after| after != job));
        while let Some(at) = self.behind.iter().position(|behind| behind.after.is_empty()) {
            let Behind { job, prepared, reporter, .. } = self.behind.remove(at);
            self.submit(job, prepared, &reporter);
        }
    }
}
