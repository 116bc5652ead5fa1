//! What waits for a session's next turn: messages, updates, reports.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Utf8Bytes;
use windlass_engine::{ConnectionId, Fault, JobReport, Ticket};
use windlass_protocol::{ClientId, Hello, JobId, Secret};

use crate::cell::Saving;
use crate::keeper::Stored;
use crate::outlet::Outlet;
use crate::program::{Program, State, Update};

/// Something for the next turn.
pub(crate) enum Entry<S: State> {
    Hello(Arc<Outlet>, Box<Hello>, Secret),
    Text(Arc<Outlet>, Utf8Bytes),
    Lost(ConnectionId),
    Identify(Arc<str>, ClientId),
    Update(Update<S>),
    UpdateSaved(Update<S>, Saving),
    /// What a fresh session begins with.
    Begin(Update<S>),
    /// The end of an asynchronous action; there are at most a few for each client.
    Settle(Ticket, Result<Option<String>, Fault>),
    Report(JobId, JobReport<Program<S>>),
    Timer,
    Drain(std::time::Duration),
    Freeze(std::time::Duration),
    /// The store has begun to fail, or works again.
    Store {
        is_up: bool,
    },
    /// What became of a record; there are two under way at most.
    Stored(Stored),
}

/// Why an inbox has not taken something.
pub(crate) enum Untaken<T> {
    /// Too many wait.
    Full,
    /// The session is gone; here it is, for its successor.
    Gone(T),
}

/// The bounded queue of a session.
pub(crate) struct Inbox<S: State> {
    queue: VecDeque<Queued<S>>,
    updates: usize,
    jobs: BTreeMap<JobId, Slot<S>>,
    /// The session is gone: nothing is taken any more, and whoever brings something looks for its successor.
    is_closed: bool,
    /// Connections whose tasks can be the driver.
    pub(crate) outlets: Vec<Arc<Outlet>>,
}

enum Queued<S: State> {
    Entry(Entry<S>),
    /// The slot of this job has something.
    Job(JobId),
}

/// What one job has to say. Its own place, so that a full queue cannot lose an end; a later report of the same
/// kind takes the place of an earlier, so that a slow session merges ticks.
struct Slot<S: State> {
    reports: Vec<JobReport<Program<S>>>,
}

impl<S: State> Default for Inbox<S> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), updates: 0, jobs: BTreeMap::new(), is_closed: false, outlets: Vec::new() }
    }
}

impl<S: State> Inbox<S> {
    /// Puts something in. What comes from a connection is bounded there: it does not read while many of its
    /// messages wait here.
    pub(crate) fn push(&mut self, entry: Entry<S>) {
        self.queue.push_back(Queued::Entry(entry));
    }

    /// Puts an update in.
    pub(crate) fn push_update(&mut self, update: Update<S>) -> Result<(), Untaken<Update<S>>> {
        if self.is_closed {
            return Err(Untaken::Gone(update));
        }
        if self.updates >= UPDATES_MAX {
            return Err(Untaken::Full);
        }
        self.updates += 1;
        self.push(Entry::Update(update));
        Ok(())
    }

    /// The same, for somebody who waits until it is on disk.
    pub(crate) fn push_update_saved(
        &mut self,
        update: Update<S>,
        saving: Saving,
    ) -> Result<(), Untaken<(Update<S>, Saving)>> {
        if self.is_closed {
            return Err(Untaken::Gone((update, saving)));
        }
        if self.updates >= UPDATES_MAX {
            return Err(Untaken::Full);
        }
        self.updates += 1;
        self.push(Entry::UpdateSaved(update, saving));
        Ok(())
    }

    /// Takes nothing any more, unless something is there already. Whether it is closed.
    pub(crate) fn close_if_empty(&mut self) -> bool {
        self.is_closed |= self.is_empty();
        self.is_closed
    }

    /// Takes nothing any more.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Puts a job's report into the job's slot.
    pub(crate) fn push_report(&mut self, job: JobId, report: JobReport<Program<S>>) {
        let slot = self.jobs.entry(job).or_insert_with(|| {
            self.queue.push_back(Queued::Job(job));
            Slot { reports: Vec::new() }
        });
        // An end and a start stay; of the rest the latest counts, in the place that keeps the end last.
        let same = |known: &JobReport<Program<S>>| std::mem::discriminant(known) == std::mem::discriminant(&report);
        if let Some(at) = slot.reports.iter().position(same) {
            slot.reports.remove(at);
        }
        slot.reports.push(report);
    }

    /// The next thing, in order of arrival.
    pub(crate) fn pop(&mut self) -> Option<Entry<S>> {
        loop {
            match self.queue.pop_front()? {
                Queued::Entry(entry) => {
                    if matches!(entry, Entry::Update(_) | Entry::UpdateSaved(..)) {
                        self.updates -= 1;
                    }
                    return Some(entry);
                }
                Queued::Job(job) => {
                    let Some(slot) = self.jobs.get_mut(&job) else { continue };
                    if slot.reports.len() <= 1 {
                        let last = self.jobs.remove(&job)?.reports.pop();
                        match last {
                            Some(report) => return Some(Entry::Report(job, report)),
                            None => continue,
                        }
                    }
                    let report = slot.reports.remove(0);
                    self.queue.push_front(Queued::Job(job));
                    return Some(Entry::Report(job, report));
                }
            }
        }
    }

    /// Gives back the room that nothing waits in.
    pub(crate) fn shrink(&mut self) {
        self.queue.shrink_to_fit();
        self.outlets.shrink_to_fit();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Updates that may wait for one session; beyond: `Error` with code `busy` for whoever updates.
pub(crate) const UPDATES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use windlass_engine::{JobStatus, Progress};
    use windlass_protocol::Epoch;

    use super::*;

    fn job(n: u64) -> JobId {
        JobId { epoch: Epoch(1), n }
    }

    fn progress(fraction: f64) -> JobReport<Program<u8>> {
        JobReport::Progress(Progress { fraction: Some(fraction), ..Progress::default() }, Duration::ZERO)
    }

    #[test]
    fn of_a_jobs_progress_the_latest_waits_and_the_end_comes_last() {
        let mut inbox: Inbox<u8> = Inbox::default();
        inbox.push_report(job(1), JobReport::Started);
        inbox.push_report(job(1), progress(0.1));
        inbox.push_report(job(1), progress(0.2));
        let end = JobReport::Ended { status: JobStatus::Done, text: None, elapsed: Duration::ZERO, update: None };
        inbox.push_report(job(1), end);
        assert!(matches!(inbox.pop(), Some(Entry::Report(_, JobReport::Started))));
        let Some(Entry::Report(_, JobReport::Progress(shown, _))) = inbox.pop() else { panic!("progress") };
        assert_eq!(shown.fraction, Some(0.2));
        assert!(matches!(inbox.pop(), Some(Entry::Report(_, JobReport::Ended { .. }))));
        assert!(inbox.pop().is_none() && inbox.is_empty());
    }

    #[test]
    fn a_full_inbox_refuses_updates_and_still_takes_reports() {
        let mut inbox: Inbox<u8> = Inbox::default();
        for _ in 0..UPDATES_MAX {
            assert!(inbox.push_update(Box::new(|_, _| Ok(()))).is_ok());
        }
        assert!(matches!(inbox.push_update(Box::new(|_, _| Ok(()))), Err(Untaken::Full)));
        inbox.push_report(job(1), JobReport::Started);
        assert!(matches!(inbox.pop(), Some(Entry::Update(_))));
        assert!(inbox.push_update(Box::new(|_, _| Ok(()))).is_ok());
    }

    #[test]
    fn an_inbox_closes_only_when_nothing_waits_and_then_gives_everything_back() {
        let mut inbox: Inbox<u8> = Inbox::default();
        inbox.push(Entry::Timer);
        assert!(!inbox.close_if_empty());
        assert!(inbox.push_update(Box::new(|_, _| Ok(()))).is_ok());
        while inbox.pop().is_some() {}
        assert!(inbox.close_if_empty());
        assert!(matches!(inbox.push_update(Box::new(|_, _| Ok(()))), Err(Untaken::Gone(_))));
    }
}
