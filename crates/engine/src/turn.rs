//! What one handler asks for besides changing the state, kept until it has succeeded.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use windlass_protocol::{ChildId, ClientId, Epoch, JobId, Seq, SessionId};

use crate::job::{StartOptions, UnderWay, lock};
use crate::{App, Audience, Class, Ticket};

/// The staged effects of one handler. Dropped unseen when it fails.
pub struct Turn<A: App> {
    pub(crate) origin: Origin,
    pub(crate) next_job: u64,
    /// The session's jobs that have not ended, if there are any.
    pub(crate) under_way: Option<UnderWay>,
    pub(crate) keys: u32,
    pub(crate) events: Vec<StagedEvent>,
    pub(crate) starts: Vec<Start<A>>,
    pub(crate) cancels: Vec<JobId>,
    pub(crate) child_cancels: Vec<ChildId>,
    pub(crate) cancel_names: Vec<String>,
    pub(crate) posts: Vec<A::Post>,
    pub(crate) task: Option<A::Task>,
    pub(crate) hold: Option<bool>,
    pub(crate) is_urgent: bool,
}

/// What causes a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// A client's action; replayed when it may have been applied in an earlier epoch.
    /// `saved`: it is answered when its record is on disk.
    Action { client: ClientId, seq: Seq, replayed: bool, saved: bool },
    /// Something that happens to a client.
    Client(ClientId),
    /// An update, a report, the time.
    Other,
}

impl Cause {
    pub(crate) fn client(self) -> Option<ClientId> {
        match self {
            Self::Action { client, .. } | Self::Client(client) => Some(client),
            Self::Other => None,
        }
    }

    pub(crate) fn is_action(self) -> bool {
        matches!(self, Self::Action { .. })
    }

    pub(crate) fn waits_for_save(self) -> bool {
        matches!(self, Self::Action { saved: true, .. })
    }
}

/// Where a turn comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) session: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) cause: Cause,
    /// Which of the session's clients the causing one is: an id comes back with other numbers when its client was let go.
    pub(crate) born: u64,
    /// Counts the turns that no client caused, so that their keys differ.
    pub(crate) ordinal: u64,
}

/// A job that a handler starts.
pub struct Start<A: App> {
    /// Its id, final when the turn is kept.
    pub id: JobId,
    /// Its name in `$jobs`.
    pub name: String,
    /// What else the session has to know of it.
    pub options: StartOptions,
    /// What to run.
    pub work: A::Work,
}

/// An asynchronous action that is under way.
pub struct Deferred<A: App> {
    /// What it is settled by.
    pub ticket: Ticket,
    /// Its session's client.
    pub client: ClientId,
    /// What to run.
    pub task: A::Task,
}

pub(crate) struct StagedEvent {
    pub(crate) audience: Audience,
    pub(crate) class: Class,
    /// Kind and body as `frame::event_body` writes them.
    pub(crate) body: String,
}

impl<A: App> Turn<A> {
    pub(crate) fn new(origin: Origin, next_job: u64) -> Self {
        Self {
            origin,
            next_job,
            under_way: None,
            keys: 0,
            events: Vec::new(),
            starts: Vec::new(),
            cancels: Vec::new(),
            child_cancels: Vec::new(),
            cancel_names: Vec::new(),
            posts: Vec::new(),
            task: None,
            hold: None,
            is_urgent: false,
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.origin.session
    }

    /// The client whose action this is, or that it is about; none in an update or a report.
    #[must_use]
    pub fn caller(&self) -> Option<ClientId> {
        self.origin.cause.client()
    }

    /// Whether a client's action runs, which can be answered.
    #[must_use]
    pub fn is_action(&self) -> bool {
        self.origin.cause.is_action()
    }

    /// Whom the session belongs to, when that is known.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.origin.identity.as_deref()
    }

    /// Whether this action may have been applied before, in an epoch that a crash ended.
    #[must_use]
    pub fn replayed(&self) -> bool {
        matches!(self.origin.cause, Cause::Action { replayed: true, .. })
    }

    /// Answers the action later: runs `task` and waits for its [`Input::Settle`](crate::Input::Settle).
    pub fn answer_later(&mut self, task: A::Task) {
        self.task = Some(task);
    }

    /// Asks for the record with this turn at once: somebody waits until it is saved.
    pub fn save_now(&mut self) {
        self.is_urgent = true;
    }

    /// Keeps every frame back until [`Turn::release`] or a second has passed.
    pub fn hold(&mut self) {
        self.hold = Some(true);
    }

    /// Lets frames go again.
    pub fn release(&mut self) {
        self.hold = Some(false);
    }

    /// Stages an event; `body` is what [`event_body`](windlass_protocol::frame::event_body) wrote.
    pub fn event(&mut self, audience: Audience, class: Class, body: String) {
        self.events.push(StagedEvent { audience, class, body });
    }

    /// Stages the start of a job; `work` learns its id.
    pub fn start(&mut self, name: String, hidden: bool, work: impl FnOnce(JobId) -> A::Work) -> JobId {
        self.start_with(name, StartOptions { hidden, ..StartOptions::default() }, work)
    }

    /// Stages the start of a job, with all that may be said about it.
    pub fn start_with(&mut self, name: String, options: StartOptions, work: impl FnOnce(JobId) -> A::Work) -> JobId {
        let id = JobId { epoch: self.origin.epoch, n: self.next_job };
        self.next_job += 1;
        self.starts.push(Start { id, name, options, work: work(id) });
        id
    }

    /// The jobs with that key that have not ended, oldest first; those that this turn starts are among them.
    #[must_use]
    pub fn unfinished(&self, key: &str) -> Vec<JobId> {
        let known = self.under_way.as_ref().map(|jobs| {
            let jobs = lock(jobs);
            jobs.iter().filter(|(_, known)| &**known == key).map(|(id, _)| *id).collect::<Vec<_>>()
        });
        let mut jobs = known.unwrap_or_default();
        let started = self.starts.iter().filter(|start| start.options.key.as_deref().unwrap_or(&start.name) == key);
        jobs.extend(started.map(|start| start.id));
        jobs
    }

    /// Stages the cancellation of a job of this session.
    pub fn cancel(&mut self, job: JobId) {
        self.cancels.push(job);
    }

    /// Stages the cancellation of a job that a job of this session has started.
    pub fn cancel_child(&mut self, child: ChildId) {
        self.child_cancels.push(child);
    }

    /// Stages the cancellation of every job of this session with that name.
    pub fn cancel_named(&mut self, name: impl Into<String>) {
        self.cancel_names.push(name.into());
    }

    /// Moves what is staged out, so that it can be owned while a handler runs; put it back by assignment.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = Self::new(self.origin.clone(), self.next_job);
        std::mem::replace(self, empty)
    }

    /// Stages something for another session.
    pub fn post(&mut self, post: A::Post) {
        self.posts.push(post);
    }

    /// A key that is the same when this very action runs again, also after a crash and in a later loading of the session,
    /// and different for each call in it: what to give the world outside so that it does nothing twice.
    pub fn key(&mut self) -> String {
        self.keys += 1;
        let mut hash = Sha256::new();
        hash.update(self.origin.session.0);
        match self.origin.cause {
            Cause::Action { client, seq, .. } => {
                hash.update(client.0);
                hash.update(self.origin.born.to_le_bytes());
                hash.update(seq.0.to_le_bytes());
            }
            _ => {
                hash.update(self.origin.epoch.0.to_le_bytes());
                hash.update(self.origin.ordinal.to_le_bytes());
            }
        }
        hash.update(self.keys.to_le_bytes());
        hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether something was staged that must not leave before its cause is safe.
    pub(crate) fn needs_barrier(&self) -> bool {
        !self.starts.is_empty()
            || self.task.is_some()
            || !self.posts.is_empty()
            || self.events.iter().any(|event| matches!(event.class, Class::Must))
    }
}
