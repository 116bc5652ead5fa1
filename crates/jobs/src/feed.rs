//! What a running job has told and nobody has passed on yet: progress, a tail of its log, partial results.
//!
//! Everything here is bounded. Progress keeps its latest value, the log its last lines; partial results may not
//! be lost, so a full buffer holds the callback up until someone takes them or the job is told to stop.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::guard::{clip, lock};
use crate::job::Cancelled;
use crate::report::{Progress, Report};
use crate::schedule::Schedule;
use crate::sync::{Condvar, Mutex};

/// Partial results that wait to be taken. Enough for a tenth of a second at 640 a second.
// One under loom, which tries every order of every step.
pub const PARTIALS_MAX: usize = if cfg!(loom) { 1 } else { 64 };
/// Bytes of partial results that wait to be taken; a larger one goes through alone.
pub const PARTIAL_BYTES_MAX: usize = 1024 * 1024;
/// Lines of the log that are kept; the oldest go first.
pub const LOG_LINES_MAX: usize = 64;
/// Bytes of one line of the log, and of the text beside the progress; the rest is cut off.
pub const LINE_BYTES_MAX: usize = 1024;
/// Between two reports of progress. Ten a second look smooth to people, and cost little with many jobs.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// When a job started, and when it has to be heard of next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) started: Option<Instant>,
    pub(crate) tick: Option<Instant>,
    pub(crate) progress: Option<Instant>,
}

/// The part of a job that its callback writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    told: Mutex<Told>,
    /// Rings when partial results were taken, and when the job should stop.
    room: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    started: Option<Instant>,
    ended: Option<Instant>,
    schedule: Option<Schedule>,
    progress: Progress,
    /// Whether the progress differs from what was reported last.
    changed: bool,
    /// When a timer will report it, if one is set.
    progress_due: Option<Instant>,
    reported: Option<Instant>,
    log: VecDeque<Arc<str>>,
    partials: Vec<Box<RawValue>>,
    partial_bytes: usize,
    /// The future that is the callback, and those inside it that wait for room.
    wakers: Vec<Waker>,
}

impl Feed {
    /// Notes the start of an attempt, from which on there are ticks if there are any.
    pub(crate) fn start(&self, now: Instant, every: Option<Duration>) {
        let mut told = lock(&self.told);
        told.started = Some(now);
        told.schedule = every.map(|period| Schedule::new(now, period));
        told.progress_due = None;
        if told.progress.fraction.is_some() || told.progress.text.is_some() || told.progress.children.is_some() {
            // An earlier attempt's. The lines of the log stay: they tell why it failed.
            let lines = told.progress.lines;
            told.progress = Progress { lines, ..Progress::default() };
        }
    }

    /// Notes the end, from which on no time passes for this job.
    pub(crate) fn end(&self, now: Instant) {
        lock(&self.told).ended.get_or_insert(now);
    }

    /// The moments on which the timers of this job stand.
    pub(crate) fn moments(&self) -> Moments {
        let told = lock(&self.told);
        Moments {
            started: told.started,
            tick: told.schedule.as_ref().and_then(Schedule::next),
            progress: told.progress_due,
        }
    }

    pub(crate) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        let told = lock(&self.told);
        let Some(started) = told.started else { return Duration::ZERO };
        told.ended.unwrap_or_else(|| clock.now()).saturating_duration_since(started)
    }

    pub(crate) fn progress(&self) -> Progress {
        lock(&self.told).progress.clone()
    }

    pub(crate) fn log_tail(&self) -> Vec<Arc<str>> {
        lock(&self.told).log.iter().cloned().collect()
    }

    /// Changes the progress; says at which moment a timer should report it, when none is set yet.
    pub(crate) fn change(&self, clock: &dyn Clock, change: impl FnOnce(&mut Progress)) -> Option<Instant> {
        let mut told = lock(&self.told);
        change(&mut told.progress);
        told.plan(clock)
    }

    /// Adds a line to the log; says when a timer should report it, as [`change`](Self::change) does.
    pub(crate) fn log(&self, clock: &dyn Clock, line: String) -> Option<Instant> {
        let line = clip(line, LINE_BYTES_MAX).into();
        let mut told = lock(&self.told);
        if told.log.len() == LOG_LINES_MAX {
            told.log.pop_front();
        }
        told.log.push_back(line);
        told.progress.lines += 1;
        told.plan(clock)
    }

    /// The progress, when it has changed since it was reported last.
    pub(crate) fn report_progress<T, E>(&self, now: Instant) -> Option<Report<T, E>> {
        let mut told = lock(&self.told);
        told.progress_due = None;
        told.changed.then(|| Report::Progress(told.report(now)))
    }

    /// The tick that is due at `now`, if one is.
    pub(crate) fn report_tick<T, E>(&self, now: Instant) -> Option<Report<T, E>> {
        let mut told = lock(&self.told);
        let tick = told.schedule.as_mut()?.due(now)?;
        let elapsed = now.saturating_duration_since(told.started?);
        Some(Report::Tick { tick, elapsed, progress: told.report(now) })
    }

    /// Puts a partial result behind the others, and waits for room if there is none until `is_stopping` says so.
    /// Says whether it is the first that waits.
    pub(crate) fn put_partial(
        &self,
        partial: Box<RawValue>,
        is_stopping: impl Fn() -> bool,
    ) -> Result<bool, Cancelled> {
        let bytes = partial.get().len();
        let mut told = lock(&self.told);
        loop {
            if is_stopping() {
                return Err(Cancelled);
            }
            if told.has_room(bytes) {
                told.partials.push(partial);
                told.partial_bytes += bytes;
                return Ok(told.partials.len() == 1);
            }
            told = self.room.wait(told).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`put_partial`](Self::put_partial), for a future: when there is no room, its waker is called when there may be.
    pub(crate) fn poll_partial(
        &self,
        partial: &mut Option<Box<RawValue>>,
        waker: &Waker,
        is_stopping: impl Fn() -> bool,
    ) -> Poll<Result<bool, Cancelled>> {
        let mut told = lock(&self.told);
        if is_stopping() {
            return Poll::Ready(Err(Cancelled));
        }
        let bytes = partial.as_ref().map_or(0, |partial| partial.get().len());
        if !told.has_room(bytes) {
            told.remember(waker);
            return Poll::Pending;
        }
        told.partials.extend(partial.take());
        told.partial_bytes += bytes;
        Poll::Ready(Ok(told.partials.len() == 1))
    }

    /// Remembers the future that is the callback, to be woken when its job is told to stop.
    pub(crate) fn remember(&self, waker: &Waker) {
        lock(&self.told).remember(waker);
    }

    pub(crate) fn take_partials(&self) -> Vec<Box<RawValue>> {
        let mut told = lock(&self.told);
        told.partial_bytes = 0;
        let partials = std::mem::take(&mut told.partials);
        drop(told);
        if !partials.is_empty() {
            self.wake();
        }
        partials
    }

    pub(crate) fn has_partials(&self) -> bool {
        !lock(&self.told).partials.is_empty()
    }

    /// Wakes a callback that waits: there is room, or its job was told to stop.
    pub(crate) fn wake(&self) {
        // A callback that has looked and not begun to wait holds the lock: without taking it, the ring could be missed.
        let wakers = std::mem::take(&mut lock(&self.told).wakers);
        self.room.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Told {
    fn has_room(&self, bytes: usize) -> bool {
        self.partials.is_empty()
            || (self.partials.len() < PARTIALS_MAX && self.partial_bytes + bytes <= PARTIAL_BYTES_MAX)
    }

    fn remember(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    fn plan(&mut self, clock: &dyn Clock) -> Option<Instant> {
        self.changed = true;
        if self.progress_due.is_some() {
            return None;
        }
        let now = clock.now();
        self.progress_due = Some(self.reported.map_or(now, |reported| now.max(reported + PROGRESS_EVERY)));
        self.progress_due
    }

    fn report(&mut self, now: Instant) -> Progress {
        self.changed = false;
        self.reported = Some(now);
        self.progress.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use serde_json::value::to_raw_value;
    use std::convert::Infallible;

    type Reported = Option<Report<Infallible, Infallible>>;

    fn raw(text: &str) -> Box<RawValue> {
        to_raw_value(text).expect("a string is a value")
    }

    #[test]
    fn progress_is_reported_at_once_and_then_at_most_every_tenth_of_a_second() {
        let (clock, feed) = (ManualClock::new(), Feed::default());
        let mut reports = 0;
        let mut due = None;
        for i in 1..=1000 {
            due = feed.change(&clock, |progress| progress.set_steps(i, 1000)).or(due);
            let now = clock.now();
            if due.is_some_and(|at| at <= now) {
                let report: Reported = feed.report_progress(now);
                assert!(matches!(report, Some(Report::Progress(p)) if p.steps == Some((i, 1000))));
                (reports, due) = (reports + 1, None);
            }
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(reports, 10);
        assert!(feed.report_progress::<(), ()>(clock.now()).is_some(), "the latest is not forgotten");
        assert!(feed.report_progress::<(), ()>(clock.now()).is_none(), "and not told twice");
    }

    #[test]
    fn a_tick_tells_the_progress_too() {
        let (clock, feed) = (ManualClock::new(), Feed::default());
        feed.start(clock.now(), Some(Duration::from_millis(20)));
        let _ = feed.change(&clock, |progress| progress.set_fraction(0.5));
        clock.advance(Duration::from_millis(25));
        let report: Reported = feed.report_tick(clock.now());
        assert!(matches!(report, Some(Report::Tick { tick: 1, progress, .. }) if progress.fraction == Some(0.5)));
        let report: Reported = feed.report_progress(clock.now());
        assert_eq!(report, None);
    }

    #[test]
    fn the_log_keeps_its_last_lines_and_cuts_long_ones() {
        let (clock, feed) = (ManualClock::new(), Feed::default());
        for line in 0..100 {
            let _ = feed.log(&clock, format!("{line}"));
        }
        let _ = feed.log(&clock, "x".repeat(10_000));
        let tail = feed.log_tail();
        assert_eq!((tail.len(), &*tail[0], tail[63].len()), (LOG_LINES_MAX, "37", LINE_BYTES_MAX));
        assert_eq!(feed.progress().lines, 101);
    }

    #[test]
    fn partials_are_bounded_in_number_and_bytes_and_a_large_one_goes_alone() {
        let feed = Feed::default();
        let full = || feed.put_partial(raw("x"), || true) == Err(Cancelled);
        assert!(full(), "a job that stops puts nothing");
        let large = raw(&"x".repeat(2 * PARTIAL_BYTES_MAX));
        assert_eq!(feed.put_partial(large, || false), Ok(true));
        assert!(!lock(&feed.told).has_room(1));
        assert_eq!(feed.take_partials().len(), 1);
        for i in 0..PARTIALS_MAX {
            assert_eq!(feed.put_partial(raw("x"), || false), Ok(i == 0));
        }
        assert!(!lock(&feed.told).has_room(1));
        assert_eq!(feed.take_partials().len(), PARTIALS_MAX);
        assert!(lock(&feed.told).has_room(1));
    }

    #[test]
    fn time_stands_still_before_the_start_and_after_the_end() {
        let (clock, feed) = (ManualClock::new(), Feed::default());
        let second = Duration::from_secs(1);
        assert_eq!(feed.elapsed(&clock), Duration::ZERO);
        feed.start(clock.now(), None);
        clock.advance(second);
        assert_eq!(feed.elapsed(&clock), second);
        feed.end(clock.now());
        clock.advance(second);
        feed.end(clock.now());
        assert_eq!(feed.elapsed(&clock), second);
    }
}
