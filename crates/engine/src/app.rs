//! What the engine asks of an app.

use std::borrow::Cow;

use serde_json::value::RawValue;
use windlass_protocol::Set;
use windlass_protocol::frame::outcome_body;
use windlass_sync::Shadow;

use crate::{Hook, Turn};

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

    /// What the page hears of a panic with that text.
    fn panicked(&self, text: String) -> Fault;
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
