//! What the engine asks of an app.

use std::borrow::Cow;

use serde_json::value::RawValue;
use windlass_protocol::frame::outcome_body;
use windlass_protocol::{JobId, Set};
use windlass_sync::Shadow;

use crate::{Hook, Named, Turn};

/// An app as the engine sees it: a state, a view of it, and functions that change it.
///
/// Every method may run the user's code and may panic; the engine rolls back and goes on.
pub trait App: Sized + 'static {
    /// The app's own value, one a session.
    type State: Send;
    /// A registered action, found by name once a message.
    type Action: Copy;
    /// A change from outside a client's action: an update, a status function with its status.
    type Update: Send;
    /// What a job runs; opaque here.
    type Work: Send;
    /// What an asynchronous action runs; opaque here.
    type Task: Send;
    /// Something for another session; opaque here, delivered after commit.
    type Post: Send;

    /// The action of that name, with what may be done to run it.
    fn action(&self, name: &str) -> Option<(Self::Action, Mode)>;

    /// What a page has to know of some actions, as a JSON object by their names. See `actions` of the welcome.
    fn declared(&self) -> Option<&RawValue> {
        None
    }

    /// Whether an action is refused as `stale` when its page had not seen all that it had been told.
    fn only_if_seen(&self, _action: Self::Action) -> bool {
        false
    }

    /// A copy of the state to go back to.
    fn copy(&self, state: &Self::State) -> Self::State;

    /// Runs an action. `Ok` holds the reply as JSON, if there is one.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: nothing of the turn is kept.
    fn dispatch(
        &self,
        action: Self::Action,
        state: &mut Self::State,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault>;

    /// Writes into a declared field.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: nothing of the turn is kept.
    fn set(&self, set: &Set<'_>, _state: &mut Self::State, _turn: &mut Turn<Self>) -> Result<(), Fault> {
        Err(Fault::refused("unknown_field", format!("no page may write to \"{set}\"")))
    }

    /// Whether the app wants to hear of something.
    fn listens(&self, _hook: &Hook<'_>) -> bool {
        false
    }

    /// Hears of something, in a turn of its own.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: nothing of the turn is kept; it is handed out as [`Output::Fault`](crate::Output::Fault).
    fn hear(&self, _hook: &Hook<'_>, _state: &mut Self::State, _turn: &mut Turn<Self>) -> Result<(), Fault> {
        Ok(())
    }

    /// Applies an update.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: nothing of the turn is kept; it is handed out as [`Output::Fault`](crate::Output::Fault).
    fn update(&self, update: Self::Update, state: &mut Self::State, turn: &mut Turn<Self>) -> Result<(), Fault>;

    /// Writes the ops from what the shadow holds to the view of the state.
    ///
    /// # Errors
    ///
    /// When the view does not serialise.
    fn diff(&self, state: &Self::State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error>;

    /// Writes the whole view as a JSON object and makes the shadow hold it.
    ///
    /// # Errors
    ///
    /// When the view does not serialise.
    fn snapshot(&self, state: &Self::State, shadow: &mut Shadow, out: &mut Vec<u8>)
    -> Result<(), windlass_sync::Error>;

    /// How many bytes the state has as JSON: what counts towards [`SessionOptions::state_bytes_max`]. Called now and then,
    /// not at every turn. None, the default, for an app that cannot say: its state has no bound.
    ///
    /// [`SessionOptions::state_bytes_max`]: crate::SessionOptions::state_bytes_max
    fn measure(&self, _state: &Self::State) -> Option<usize> {
        None
    }

    /// Hears that something was taken back, since the state would have had so many bytes.
    fn outgrown(&self, _bytes: usize) {}

    /// What the page hears of a panic with that text.
    fn panicked(&self, text: String) -> Fault;

    /// Whether an action is answered only when the record with its effect is on disk.
    fn waits_for_save(&self, _action: Self::Action) -> bool {
        false
    }

    /// What marks the type of the state in a record, so that a later version of the app can tell which it reads: a
    /// version, say. Empty by default.
    fn state_kind(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    /// Writes the state as JSON for its record: all of it, private values too. Runs outside the session's lock.
    ///
    /// # Errors
    ///
    /// What keeps it from being written. An app whose sessions are never made durable need not write any.
    fn save_state(&self, _state: &Self::State, _out: &mut Vec<u8>) -> Result<(), String> {
        Err("the app keeps no records".into())
    }

    /// Reads a state that [`save_state`](Self::save_state) wrote when [`state_kind`](Self::state_kind) was `kind`.
    ///
    /// # Errors
    ///
    /// Why there is no state in it; see [`RestoreError::State`](crate::RestoreError::State).
    fn load_state(&self, _kind: &str, _state: &RawValue) -> Result<Self::State, String> {
        Err("the app keeps no records".into())
    }

    /// What becomes of a job that had not ended when its process did.
    fn revive(&self, _job: &Unended<'_>) -> Revived<Self> {
        Revived::Lost(None)
    }
}

/// A job of an earlier process that had not ended, as its record has it.
#[derive(Clone, Copy, Debug)]
pub struct Unended<'a> {
    /// Its id, which it keeps.
    pub id: JobId,
    /// Its name in `$jobs`.
    pub name: &'a str,
    /// What it can be started from again; none for one that was a closure.
    pub named: Option<&'a Named>,
    /// The number of the attempt that was waiting, or under way; the first was 1.
    pub attempt: u32,
    /// Whether it may run again: it is named, and it was still waiting or asks to be run again. When it may not, only
    /// [`Revived::Lost`] counts.
    pub may_run: bool,
    /// The process outside that ran it, as [`JobReport::Process`](crate::JobReport::Process) named it.
    pub process: Option<&'a str>,
}

/// What an app makes of an [`Unended`] job.
pub enum Revived<A: App> {
    /// It runs again, under the same id and key: here is the work.
    Again(A::Work),
    /// It is lost, and says so; this is its status function, if it has one.
    Lost(Option<A::Update>),
}

/// How an action is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With a copy of the state to go back to.
    Atomic,
    /// Without one: what a failing handler has changed stays.
    InPlace,
    /// Read only: no copy, and no walk afterwards.
    Query,
    /// It changes nothing itself and is answered later, by [`Input::Settle`](crate::Input::Settle).
    Async,
}

/// Why an action or update did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// It never ran (`refused`), or it ran and nothing of it was kept (`failed`).
    pub refused: bool,
    /// The code that the page gets.
    pub code: Cow<'static, str>,
    /// The text that the page gets.
    pub text: String,
    /// What only the app's own hook hears, when that is more.
    pub detail: Option<String>,
}

impl Fault {
    /// An action that never ran.
    #[must_use]
    pub fn refused(code: &'static str, text: impl Into<String>) -> Self {
        Self { refused: true, code: code.into(), text: text.into(), detail: None }
    }

    /// A handler that failed.
    #[must_use]
    pub fn failed(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { refused: false, code: code.into(), text: text.into(), detail: None }
    }

    /// The body of the outcome that says so.
    pub(crate) fn outcome(&self) -> String {
        outcome_body(if self.refused { "refused" } else { "failed" }, &self.code, &self.text)
    }
}
