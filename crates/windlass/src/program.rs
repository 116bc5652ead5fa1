//! The app as the engine runs it: the dispatch table, and the app's own code behind it.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use windlass_engine::{Fault, Mode, Turn};
use windlass_protocol::SessionId;
use windlass_sync::Shadow;

use crate::callback::JobWork;
use crate::{Cx, Error, Result};

/// What a session's state must be able to do. Every `Clone + Send` type is one.
pub trait State: Clone + Send + 'static {}

impl<S: Clone + Send + 'static> State for S {}

/// What of a state the page sees: derived values live here, and are never stored.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default)]
/// struct Todos { items: Vec<(String, bool)> }
///
/// #[derive(Serialize)]
/// struct Page<'a> { items: &'a [(String, bool)], left: usize }
///
/// struct TodoView;
/// impl View<Todos> for TodoView {
///     fn view(state: &Todos) -> impl Serialize + '_ {
///         Page { items: &state.items, left: state.items.iter().filter(|item| !item.1).count() }
///     }
/// }
///
/// let app = App::new(Todos::default).view(TodoView);
/// # let _ = app;
/// ```
pub trait View<S>: 'static {
    /// The view; must serialise to an object.
    fn view(state: &S) -> impl Serialize + '_;
}

/// The view that shows the whole state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole;

impl<S: Serialize> View<S> for Whole {
    fn view(state: &S) -> impl Serialize + '_ {
        state
    }
}

/// A change from outside a client's action.
pub(crate) type Update<S> = Box<dyn FnOnce(&mut S, &mut Cx<S>) -> Result + Send>;

/// An update for another session.
pub(crate) struct Post<S: State> {
    pub(crate) session: SessionId,
    pub(crate) update: Update<S>,
}

type Handler<S> = Box<dyn Fn(&mut S, &mut Cx<S>, &str) -> Result<Option<String>, Refusal> + Send + Sync>;
type Query<S> = Box<dyn Fn(&S, &str) -> Result<Option<String>, Refusal> + Send + Sync>;

/// Why a handler gave no reply.
pub(crate) enum Refusal {
    /// The payload is not what the handler takes.
    Payload(serde_json::Error),
    /// The handler's own.
    Error(Error),
}

/// A registered action.
pub(crate) struct Action<S: State> {
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) run: Run<S>,
}

pub(crate) enum Run<S: State> {
    Handler(Handler<S>),
    Query(Query<S>),
}

type DiffResult = Result<(), windlass_sync::Error>;

/// The view's functions, without its type.
pub(crate) struct Walks<S> {
    diff: fn(&S, &mut Shadow, &mut Vec<u8>) -> DiffResult,
    snapshot: fn(&S, &mut Shadow, &mut Vec<u8>) -> DiffResult,
    value: fn(&S) -> Result<serde_json::Value, serde_json::Error>,
}

impl<S: State> Walks<S> {
    pub(crate) fn of<V: View<S>>(_: PhantomData<V>) -> Self {
        Self {
            diff: |state, shadow, out| shadow.diff(&V::view(state), out),
            snapshot: |state, shadow, out| shadow.snapshot(&V::view(state), out),
            value: |state| serde_json::to_value(V::view(state)),
        }
    }

    pub(crate) fn value(&self, state: &S) -> Result<serde_json::Value, serde_json::Error> {
        (self.value)(state)
    }
}

/// The app as the engine runs it.
pub(crate) struct Program<S: State> {
    pub(crate) actions: Vec<Action<S>>,
    pub(crate) names: HashMap<&'static str, usize>,
    pub(crate) walks: Walks<S>,
    pub(crate) development: bool,
    pub(crate) warned_of_copy: AtomicBool,
}

impl<S: State> windlass_engine::App for Program<S> {
    type State = S;
    type Action = usize;
    type Update = Update<S>;
    type Work = JobWork<S>;
    type Post = Post<S>;

    fn action(&self, name: &str) -> Option<(usize, Mode)> {
        let index = *self.names.get(name)?;
        Some((index, self.actions[index].mode))
    }

    fn copy(&self, state: &S) -> S {
        if !self.development {
            return state.clone();
        }
        let began = Instant::now();
        let copy = state.clone();
        let took = began.elapsed();
        if took > COPY_WARNED_OVER && !self.warned_of_copy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                ?took,
                "a copy of the state before each action costs this much; hold large lists in a SyncVec, \
                 large values in a Tracked, or mark actions that cannot fail half-way `.in_place()`"
            );
        }
        copy
    }

    fn dispatch(
        &self,
        action: usize,
        state: &mut S,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        let action = &self.actions[action];
        let outcome = match &action.run {
            Run::Handler(run) => {
                let mut cx = Cx { turn: turn.take() };
                let outcome = run(state, &mut cx, payload.get());
                *turn = cx.turn;
                outcome
            }
            Run::Query(run) => run(state, payload.get()),
        };
        outcome.map_err(|refusal| match refusal {
            Refusal::Payload(error) => {
                tracing::debug!(
                    action = action.name,
                    line = error.line(),
                    column = error.column(),
                    "a payload of another shape"
                );
                // The message of a decode error can quote the value, which may be a secret: it goes to nobody's log.
                Fault::refused("bad_payload", format!("the payload of \"{}\": {error}", action.name))
            }
            Refusal::Error(error) => error.into_fault(action.name, self.development),
        })
    }

    fn update(&self, update: Update<S>, state: &mut S, turn: &mut Turn<Self>) -> Result<(), Fault> {
        let mut cx = Cx { turn: turn.take() };
        let outcome = update(state, &mut cx);
        *turn = cx.turn;
        outcome.map_err(|error| error.into_fault("update", self.development))
    }

    fn diff(&self, state: &S, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        (self.walks.diff)(state, shadow, out)
    }

    fn snapshot(&self, state: &S, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        (self.walks.snapshot)(state, shadow, out)
    }

    fn panicked(&self, text: String) -> Fault {
        Error::internal(format!("panicked: {text}")).into_fault("handler", self.development)
    }
}

/// A tenth of what a person notices, over a few actions.
const COPY_WARNED_OVER: Duration = Duration::from_micros(200);
