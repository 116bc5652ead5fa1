//! The jobs that one job has started and has not collected yet.
//!
//! They belong to its run: they share its pool, its owner and its place among the owners; they are told to stop when
//! it is. So many of them are in the queue or run as it allows at once; the others wait here, so that no queue is filled
//! by one job. When a child ends, the thread on which it ends starts the next, and its parent is not needed for that.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::guard::{discard, lock};
use crate::job::{Core, Form, JobHandle, Spec, change};
use crate::lineage::{Kin, Lineage};
use crate::options::SubmitError;
use crate::pool::Shared;
use crate::queue::DEPTH_MAX;
use crate::report::{End, Report, Sink};
use crate::sync::{AtomicBool, Mutex};
use crate::tally::{Change, Ending};
use crate::task::Task;

/// Children of one job that have not been collected: waiting, running or ended. More are
/// [`SubmitError::TooManyChildren`].
pub const CHILDREN_MAX: usize = 10_000;
/// Children of one family in the queue or running; it bounds what one job can put there.
pub const AT_ONCE_MAX: usize = 256;

/// How one of the jobs of a job ended.
///
/// ```
/// use windlass_jobs::{Cancelled, Job, Unfinished};
///
/// fn both(job: &Job) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
///     let mut runs = job.children("part");
///     runs.start(|_| Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(1))?;
///     runs.start_named("other", |_| Ok(2))?;
///     let mut sum = 0;
///     for run in runs.join_all()? {
///         job.log(format!("{} {}: {:?} after {} attempts", run.name, run.number, run.elapsed, run.attempts));
///         sum += run.result()?; // its value, its error, or an `Unfinished`
///     }
///     Ok(sum)
/// }
/// # let _ = both;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Child<T, E> {
    /// Which of the job's children it is, from 1, in the order in which they were started.
    pub number: u32,
    /// Its name.
    pub name: Arc<str>,
    /// How it ended.
    pub end: End<T, E>,
    /// How many times it was run; 0 when it never was.
    pub attempts: u32,
    /// How long it ran, the last time.
    pub elapsed: Duration,
}

impl<T, E> Child<T, E> {
    /// What it returned: its value, or its own error, or an [`Unfinished`] when it came to neither.
    ///
    /// # Errors
    /// The child's error, or an `Unfinished` made into one.
    pub fn result(self) -> Result<T, E>
    where
        E: From<Unfinished>,
    {
        let why = match self.end {
            End::Done(value) => return Ok(value),
            End::Failed(error) => return Err(error),
            End::Panicked(text) => format!("panicked: {text}"),
            End::Cancelled => "was cancelled".to_owned(),
            End::TimedOut => "ran out of time".to_owned(),
            End::Lost => "is lost: its pool shuts down".to_owned(),
        };
        Err(E::from(Unfinished { number: self.number, name: self.name, why }))
    }
}

/// A child returned neither a value nor an error.
///
/// ```
/// use windlass_jobs::{Job, Unfinished};
///
/// type Error = Box<dyn std::error::Error + Send + Sync>;
///
/// fn first(job: &Job) -> Result<u64, Error> {
///     let mut runs = job.children("part");
///     runs.start(|_| Ok::<u64, Error>(7))?;
///     match runs.try_join_all() {
///         Ok(values) => Ok(values[0]),
///         Err(error) => {
///             if let Some(Unfinished { number, name, why, .. }) = error.downcast_ref() {
///                 job.log(format!("run {number} of {name}: {why}"));
///             }
///             Err(error)
///         }
///     }
/// }
/// # let _ = first;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// Which of the job's children.
    pub number: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What happened to it, for people.
    pub why: String,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" ({}) {}", self.name, self.number, self.why)
    }
}

impl std::error::Error for Unfinished {}

/// Makes the job of its core and its sink.
pub(crate) type Launch<T, E> = Box<dyn FnOnce(Core, ChildSink<T, E>) -> Arc<dyn Task> + Send>;

pub(crate) struct Family<T, E> {
    parent: Arc<dyn Task>,
    /// Something has happened since the parent looked.
    pub(crate) news: AtomicBool,
    members: Mutex<Members<T, E>>,
}

struct Members<T, E> {
    at_once: usize,
    /// Its progress is the parent's.
    is_told: bool,
    /// No other child starts.
    is_stopped: bool,
    /// Those that are not in the queue yet.
    pending: VecDeque<Pending<T, E>>,
    /// Those that are in the queue, run, or wait for their next attempt.
    live: Vec<Live>,
    /// Those that the parent has not collected yet, in the order in which they ended.
    ended: VecDeque<Child<T, E>>,
}

struct Pending<T, E> {
    number: u32,
    spec: Spec,
    form: Form,
    launch: Launch<T, E>,
}

struct Live {
    number: u32,
    name: Arc<str>,
    /// `None` while it is on its way into the queue.
    handle: Option<JobHandle>,
    /// It was told to stop on its way into the queue.
    is_cancelled: bool,
}

/// What a parent finds when it looks for a result.
pub(crate) enum Found<T, E> {
    /// One that has ended.
    Ended(Child<T, E>),
    /// None has, and some may.
    Waiting,
    /// There are no more.
    Nothing,
}

impl<T: Send + 'static, E: Send + 'static> Family<T, E> {
    pub(crate) fn new(parent: &Arc<dyn Task>) -> Arc<Self> {
        let members = Members {
            at_once: parent.core().pool.size(Form::Blocking).min(AT_ONCE_MAX),
            is_told: true,
            is_stopped: false,
            pending: VecDeque::new(),
            live: Vec::new(),
            ended: VecDeque::new(),
        };
        let parent = Arc::clone(parent);
        let family = Arc::new(Self { parent, news: AtomicBool::new(false), members: Mutex::new(members) });
        let core = family.parent.core();
        core.families.add(&(Arc::clone(&family) as Arc<dyn Kin>));
        // Whoever told the parent to stop may have looked for families just before.
        if core.life.now().is_stopping() {
            family.stop();
        }
        family
    }

    pub(crate) fn parent(&self) -> &Arc<dyn Task> {
        &self.parent
    }

    pub(crate) fn set_at_once(&self, at_once: usize) {
        lock(&self.members).at_once = at_once.clamp(1, AT_ONCE_MAX);
    }

    pub(crate) fn keep_progress(&self) {
        lock(&self.members).is_told = false;
    }

    /// How many have not been collected.
    pub(crate) fn len(&self) -> usize {
        lock(&self.members).len()
    }

    /// Puts a child behind the others; gives its number.
    pub(crate) fn start(self: &Arc<Self>, spec: Spec, form: Form, launch: Launch<T, E>) -> Result<u32, SubmitError> {
        let core = self.parent.core();
        spec.check()?;
        if core.depth() >= DEPTH_MAX {
            return Err(SubmitError::TooDeep(DEPTH_MAX));
        }
        if form == Form::Future && !core.pool.has_spawner() {
            return Err(SubmitError::NoSpawner);
        }
        let mut members = lock(&self.members);
        if members.len() >= CHILDREN_MAX {
            return Err(SubmitError::TooManyChildren(CHILDREN_MAX));
        }
        let number = core.families.number();
        let (is_stopped, is_told) = (members.is_stopped, members.is_told);
        let name = Arc::clone(&spec.name);
        // With the lock: nobody may hear of its start before.
        self.tell(is_told, Change::Queued);
        let refused = if is_stopped {
            members.ended.push_back(Child::never_ran(number, name));
            Some(launch)
        } else {
            members.pending.push_back(Pending { number, spec, form, launch });
            None
        };
        drop(members);
        if refused.is_some() {
            self.tell(is_told, Change::Ended { number, end: Ending::Cancelled, ran: false });
            discard(refused);
        }
        self.feed();
        Ok(number)
    }

    /// Puts as many into the queue as may be there at once and as there is room for; one of them needs none.
    pub(crate) fn feed(self: &Arc<Self>) {
        let parent = self.parent.core();
        loop {
            let mut members = lock(&self.members);
            if members.is_stopped || members.live.len() >= members.at_once {
                return;
            }
            let Some(Pending { number, spec, form, launch }) = members.pending.pop_front() else { return };
            let is_first = members.live.is_empty();
            members.live.push(Live { number, name: Arc::clone(&spec.name), handle: None, is_cancelled: false });
            drop(members);
            let slot = match parent.pool.reserve_child(parent.owner, form, is_first) {
                Ok(slot) => slot,
                Err(SubmitError::QueueFull(_) | SubmitError::OwnerQueueFull(_)) => {
                    let mut members = lock(&self.members);
                    let live = members.take_live(number);
                    if members.is_stopped || live.is_some_and(|live| live.is_cancelled) {
                        members.ended.push_back(Child::never_ran(number, Arc::clone(&spec.name)));
                        let is_told = members.is_told;
                        drop(members);
                        discard(launch);
                        self.has_ended(is_told, number, Ending::Cancelled, false);
                        continue;
                    }
                    members.pending.push_front(Pending { number, spec, form, launch });
                    if members.live.is_empty() {
                        // The others have ended meanwhile, and nobody else comes to it.
                        continue;
                    }
                    return;
                }
                Err(_) => {
                    discard(launch);
                    self.end(number, End::Lost);
                    continue;
                }
            };
            let root = parent.lineage.as_ref().map_or(&self.parent, |lineage| &lineage.root);
            let lineage = Lineage { root: Arc::clone(root), number, depth: parent.depth() + 1 };
            let id = parent.pool.next_id();
            let core = Core { lineage: Some(lineage), ..Core::new(spec, form, id, Arc::clone(&parent.pool)) };
            let task = launch(core, ChildSink { family: Arc::clone(self), number });
            if let Some(live) = lock(&self.members).live.iter_mut().find(|live| live.number == number) {
                live.handle = Some(JobHandle { task: Arc::clone(&task) });
            }
            if let Err(error) = parent.pool.push(&task) {
                tracing::warn!(job = &*parent.name, "a job of its own was not run: {error}");
                task.discard_work();
                self.end(number, End::Lost);
                continue;
            }
            drop(slot);
            // Whoever stopped it before it had a handle has left word.
            let members = lock(&self.members);
            let is_cancelled = members.live.iter().any(|live| live.number == number && live.is_cancelled);
            if members.is_stopped || is_cancelled {
                drop(members);
                Shared::cancel(&task);
            }
        }
    }

    /// What there is for the parent.
    pub(crate) fn look(&self) -> Found<T, E> {
        let mut members = lock(&self.members);
        self.news.store(false, Ordering::Release);
        match members.ended.pop_front() {
            Some(child) => Found::Ended(child),
            None if members.is_through() => Found::Nothing,
            None => Found::Waiting,
        }
    }

    /// Whether none waits or runs any more.
    pub(crate) fn is_through(&self) -> bool {
        let members = lock(&self.members);
        self.news.store(false, Ordering::Release);
        members.is_through()
    }

    /// Ends all that there are now.
    pub(crate) fn cancel_all(&self, for_good: bool) {
        let mut members = lock(&self.members);
        members.is_stopped |= for_good;
        let is_told = members.is_told;
        let pending: Vec<_> = members.pending.drain(..).collect();
        members.ended.extend(pending.iter().map(|pending| Child::never_ran(pending.number, pending.spec.name.clone())));
        let live: Vec<_> = members
            .live
            .iter_mut()
            .filter_map(|live| {
                live.is_cancelled = true;
                live.handle.clone()
            })
            .collect();
        drop(members);
        live.iter().for_each(|handle| {
            handle.cancel();
        });
        for Pending { number, launch, .. } in pending {
            discard(launch);
            self.tell(is_told, Change::Ended { number, end: Ending::Cancelled, ran: false });
        }
        self.ring();
    }

    /// Notes the end of a child, and starts the next.
    fn end(self: &Arc<Self>, number: u32, end: End<T, E>) {
        let mut members = lock(&self.members);
        let is_told = members.is_told;
        let Some(live) = members.take_live(number) else { return };
        let began = live.handle.as_ref().filter(|handle| handle.has_begun());
        let (attempts, elapsed) = began.map_or((0, Duration::ZERO), |handle| (handle.attempt(), handle.elapsed()));
        let told = Ending::from(&end);
        members.ended.push_back(Child { number, name: live.name, end, attempts, elapsed });
        drop(members);
        self.has_ended(is_told, number, told, true);
        self.feed();
    }

    fn has_ended(&self, is_told: bool, number: u32, end: Ending, ran: bool) {
        self.tell(is_told, Change::Ended { number, end, ran });
        self.ring();
    }

    /// Wakes the parent, if it waits.
    fn ring(&self) {
        self.news.store(true, Ordering::Release);
        self.parent.core().pool.wake(&self.parent);
    }

    fn tell(&self, is_told: bool, told: Change<'_>) {
        change(&self.parent, |progress| {
            let tally = Arc::make_mut(progress.children.get_or_insert_default());
            tally.take(told);
            if is_told {
                progress.fraction = tally.fraction();
                progress.steps = Some((u64::from(tally.ended()), u64::from(tally.total())));
            }
        });
    }
}

impl<T, E> Members<T, E> {
    fn len(&self) -> usize {
        self.pending.len() + self.live.len() + self.ended.len()
    }

    fn is_through(&self) -> bool {
        self.pending.is_empty() && self.live.is_empty()
    }

    fn take_live(&mut self, number: u32) -> Option<Live> {
        let at = self.live.iter().position(|live| live.number == number)?;
        Some(self.live.swap_remove(at))
    }
}

impl<T, E> Child<T, E> {
    fn never_ran(number: u32, name: Arc<str>) -> Self {
        Self { number, name, end: End::Cancelled, attempts: 0, elapsed: Duration::ZERO }
    }
}

impl<T: Send + 'static, E: Send + 'static> Kin for Family<T, E> {
    fn stop(&self) {
        self.cancel_all(true);
    }

    fn cancel(&self, number: u32, descendants: &[u32]) -> bool {
        let mut members = lock(&self.members);
        let is_told = members.is_told;
        if let Some(at) = members.pending.iter().position(|pending| pending.number == number) {
            if !descendants.is_empty() {
                return false;
            }
            let Pending { spec, launch, .. } = members.pending.remove(at).expect("it was found a moment ago");
            members.ended.push_back(Child::never_ran(number, spec.name));
            drop(members);
            discard(launch);
            self.has_ended(is_told, number, Ending::Cancelled, false);
            return true;
        }
        let Some(live) = members.live.iter_mut().find(|live| live.number == number) else { return false };
        match (&live.handle, descendants) {
            (Some(handle), []) => {
                let handle = handle.clone();
                drop(members);
                handle.cancel()
            }
            (Some(handle), descendants) => {
                let handle = handle.clone();
                drop(members);
                handle.cancel_child(descendants)
            }
            (None, []) => {
                live.is_cancelled = true;
                true
            }
            (None, _) => false,
        }
    }
}

/// Hears what a child reports, for its family.
pub(crate) struct ChildSink<T, E> {
    family: Arc<Family<T, E>>,
    number: u32,
}

impl<T: Send + 'static, E: Send + 'static> Sink<T, E> for ChildSink<T, E> {
    fn report(&self, report: Report<T, E>) {
        let Self { family, number } = self;
        let number = *number;
        let is_told = || lock(&family.members).is_told;
        match report {
            Report::Started => {
                let members = lock(&family.members);
                let name = members.live.iter().find(|live| live.number == number).map(|live| Arc::clone(&live.name));
                let is_told = members.is_told;
                drop(members);
                if let Some(name) = name {
                    family.tell(is_told, Change::Started { number, name });
                }
            }
            Report::Retrying { .. } => family.tell(is_told(), Change::Retrying { number }),
            Report::Progress(progress) => {
                family.tell(is_told(), Change::Progress { number, progress: &progress });
            }
            Report::Ended(end) => family.end(number, end),
            // Its ticks are nobody's, and its partial results go to the first of its line.
            Report::Waiting { .. } | Report::Tick { .. } | Report::Partials => {}
        }
    }
}
