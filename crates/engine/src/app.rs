//! What the engine asks of an app.

use std::borrow::Cow;

use serde_json::value::RawValue;
use windlass_sync::Shadow;

use crate::Turn;

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
    /// Something for another session; opaque here, delivered after commit.
    type Post: Send;

    /// The action of that name, with what may be done to run it.
    fn action(&self, name: &str) -> Option<(Self::Action, Mode)>;

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
}

impl Fault {
    /// An action that never ran.
    #[must_use]
    pub fn refused(code: &'static str, text: impl Into<String>) -> Self {
        Self { refused: true, code: code.into(), text: text.into() }
    }

    /// A handler that failed.
    #[must_use]
    pub fn failed(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { refused: false, code: code.into(), text: text.into() }
    }
}
