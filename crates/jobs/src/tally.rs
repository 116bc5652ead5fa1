//! How the children of a job are getting on, as its progress tells it.

use std::sync::Arc;

use crate::report::{End, Progress};

/// How many of a job's children there are, by what they do, and those that run.
///
/// Children that have been collected still count.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Tally {
    /// Those that wait: here, in the queue, or for their next attempt.
    pub queued: u32,
    /// Those that run.
    pub running: u32,
    /// Those that returned a value.
    pub done: u32,
    /// Those that returned an error, panicked, ran out of time, or are lost.
    pub failed: u32,
    /// Those that were told to stop, and did.
    pub cancelled: u32,
    /// Those that run, in the order in which they started.
    pub active: Vec<Active>,
}

/// A child that runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Active {
    /// Which of the job's children it is, from 1.
    pub number: u32,
    /// Its name.
    pub name: Arc<str>,
    /// From 0 to 1, when it has said.
    pub progress: Option<f64>,
    /// What it is doing, when it has said.
    pub text: Option<Arc<str>>,
}

/// What has become of a child.
pub(crate) enum Change<'a> {
    /// It waits.
    Queued,
    Started {
        number: u32,
        name: Arc<str>,
    },
    Progress {
        number: u32,
        progress: &'a Progress,
    },
    /// It has failed, and waits for its next attempt.
    Retrying {
        number: u32,
    },
    Ended {
        number: u32,
        end: Ending,
        /// Whether it was in the hands of the pool; it may still not have run.
        ran: bool,
    },
}

/// How a child ended, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Done,
    Failed,
    Cancelled,
}

impl<T, E> From<&End<T, E>> for Ending {
    fn from(end: &End<T, E>) -> Self {
        match end {
            End::Done(_) => Self::Done,
            End::Cancelled => Self::Cancelled,
            End::Failed(_) | End::Panicked(_) | End::TimedOut | End::Lost => Self::Failed,
        }
    }
}

impl Tally {
    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.queued + self.running + self.ended()
    }

    /// How many are over.
    #[must_use]
    pub fn ended(&self) -> u32 {
        self.done + self.failed + self.cancelled
    }

    /// How much of all is done, what runs by its own progress; `None` when there are none.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let parts: f64 = self.active.iter().filter_map(|active| active.progress).sum();
        let total = self.total();
        (total > 0).then(|| ((f64::from(self.ended()) + parts) / f64::from(total)).min(1.0))
    }

    pub(crate) fn take(&mut self, change: Change<'_>) {
        match change {
            Change::Queued => self.queued += 1,
            Change::Started { number, name } => {
                self.queued = self.queued.saturating_sub(1);
                self.running += 1;
                self.active.push(Active { number, name, progress: None, text: None });
            }
            Change::Progress { number, progress } => {
                if let Some(active) = self.active.iter_mut().find(|active| active.number == number) {
                    active.progress = progress.fraction;
                    active.text.clone_from(&progress.text);
                }
            }
            Change::Retrying { number } => {
                self.leave(number);
                self.queued += 1;
            }
            Change::Ended { number, end, ran } => {
                if !ran || !self.leave(number) {
                    self.queued = self.queued.saturating_sub(1);
                }
                match end {
                    Ending::Done => self.done += 1,
                    Ending::Failed => self.failed += 1,
                    Ending::Cancelled => self.cancelled += 1,
                }
            }
        }
    }

    /// Takes it out of those that run; false when it was not among them.
    fn leave(&mut self, number: u32) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.number != number);
        let was_there = self.active.len() < before;
        self.running -= u32::from(was_there);
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_child_is_counted_once_whatever_becomes_of_it() {
        let mut tally = Tally::default();
        assert_eq!(tally.fraction(), None);
        (0..4).for_each(|_| tally.take(Change::Queued));
        for number in 1..=2 {
            tally.take(Change::Started { number, name: "run".into() });
        }
        let progress = Progress { fraction: Some(0.5), ..Progress::default() };
        tally.take(Change::Progress { number: 2, progress: &progress });
        assert_eq!((tally.queued, tally.running, tally.total(), tally.fraction()), (2, 2, 4, Some(0.125)));
        tally.take(Change::Retrying { number: 1 });
        tally.take(Change::Ended { number: 2, end: Ending::Done, ran: true });
        tally.take(Change::Ended { number: 3, end: Ending::Cancelled, ran: false });
        tally.take(Change::Ended { number: 1, end: Ending::from(&End::<(), ()>::TimedOut), ran: true });
        assert_eq!((tally.queued, tally.running, tally.done, tally.failed, tally.cancelled), (1, 0, 1, 1, 1));
        assert_eq!((tally.total(), tally.fraction(), tally.active.len()), (4, Some(0.75), 0));
    }
}
