//! The app as the engine runs it: the dispatch table, and the app's own code behind it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use windlass_engine::{Fault, Hook, Mode, Revived, Turn, Unended};
use windlass_protocol::{SessionId, Set};
use windlass_sync::Shadow;

use crate::codec::{Codec, json_bytes};
use crate::fields::{Field, Written};
use crate::hooks::{Failure, Hooks};
use crate::job_work::JobWork;
use crate::limits::Counters;
use crate::named::Reviver;
use crate::pace::Pace;
use crate::services::Services;
use crate::types::Described;
use crate::{Cx, Error, Handle, Result};

/// What a session's state must be able to do. Every `Clone + Send` type is one.
///
/// ```
/// fn is_state<S: windlass::State>() {}
///
/// #[derive(Clone)]
/// struct Demo { count: i64 }
/// is_state::<Demo>();
/// ```
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
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// let t = App::new(Demo::default).view(windlass::Whole).test(); // as without `view`
/// assert_eq!(t.document()["count"], 0);
/// ```
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

/// An asynchronous action that is to run, with a handle on its session; whether pages see internal errors comes second.
pub(crate) type Task<S> = Box<dyn FnOnce(Handle<S>, bool) -> Settling + Send>;
/// Comes to the reply as JSON, or to why there is none.
pub(crate) type Settling = Pin<Box<dyn Future<Output = Result<Option<String>, Fault>> + Send>>;
type Begin<S> = Box<dyn Fn(&str) -> Result<Task<S>, Refusal> + Send + Sync>;

/// Why a handler gave no reply.
pub(crate) enum Refusal {
    /// The row that is meant is not there.
    Gone,
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
    pub(crate) only_if_seen: bool,
    pub(crate) secret: bool,
    /// It is answered when its effect is on disk.
    pub(crate) saved: bool,
    pub(crate) pace: Pace,
    /// The types of what it takes and answers, when the app is typed.
    #[cfg_attr(not(feature = "types"), allow(dead_code, reason = "only typed apps ask"))]
    pub(crate) payload: Described,
    pub(crate) reply: Described,
}

impl<S: State> Action<S> {
    pub(crate) fn new(name: &'static str, mode: Mode, run: Run<S>) -> Self {
        Self {
            name,
            mode,
            run,
            only_if_seen: false,
            secret: false,
            saved: false,
            pace: Pace::default(),
            payload: Described::default(),
            reply: Described::default(),
        }
    }
}

pub(crate) enum Run<S: State> {
    Handler(Handler<S>),
    Query(Query<S>),
    Async(Begin<S>),
}

type DiffResult = Result<(), windlass_sync::Error>;

/// The view's functions, without its type.
pub(crate) struct Walks<S> {
    diff: fn(&S, &mut Shadow, &mut Vec<u8>) -> DiffResult,
    snapshot: fn(&S, &mut Shadow, &mut Vec<u8>) -> DiffResult,
    value: fn(&S) -> Result<serde_json::Value, serde_json::Error>,
    /// The name of the view's Rust type.
    #[cfg_attr(not(feature = "types"), allow(dead_code, reason = "only typed apps ask"))]
    pub(crate) name: fn(&S) -> &'static str,
    count: fn(&S) -> Option<usize>,
}

impl<S: State> Walks<S> {
    pub(crate) fn of<V: View<S>>(_: PhantomData<V>) -> Self {
        Self {
            diff: |state, shadow, out| shadow.diff(&V::view(state), out),
            snapshot: |state, shadow, out| shadow.snapshot(&V::view(state), out),
            value: |state| serde_json::to_value(V::view(state)),
            name: |state| std::any::type_name_of_val(&V::view(state)),
            count: |state| json_bytes(&V::view(state)),
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
    pub(crate) fields: Vec<Field<S>>,
    pub(crate) hooks: Hooks<S>,
    /// What a page has to know of some actions.
    pub(crate) declared: Option<Box<RawValue>>,
    pub(crate) walks: Walks<S>,
    /// How a state is written down; none when the app's cannot be.
    pub(crate) codec: Option<Codec<S>>,
    /// What named callbacks are started from again, by name.
    pub(crate) revivers: HashMap<&'static str, Reviver<S>>,
    pub(crate) services: Arc<Services>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) development: bool,
    /// An action that takes longer has blocked.
    pub(crate) blocking_over: Duration,
    pub(crate) warned_of_copy: AtomicBool,
    pub(crate) warned_of_number: AtomicBool,
}

impl<S: State> windlass_engine::App for Program<S> {
    type State = S;
    type Action = usize;
    type Update = Update<S>;
    type Work = JobWork<S>;
    type Task = Task<S>;
    type Post = Post<S>;

    fn action(&self, name: &str) -> Option<(usize, Mode)> {
        let index = *self.names.get(name)?;
        Some((index, self.actions[index].mode))
    }

    fn declared(&self) -> Option<&RawValue> {
        self.declared.as_deref()
    }

    fn only_if_seen(&self, action: usize) -> bool {
        self.actions[action].only_if_seen
    }

    fn waits_for_save(&self, action: usize) -> bool {
        self.actions[action].saved
    }

    fn state_kind(&self) -> Cow<'_, str> {
        self.codec.as_ref().map_or(Cow::Borrowed(""), Codec::kind)
    }

    fn save_state(&self, state: &S, out: &mut Vec<u8>) -> Result<(), String> {
        self.codec.as_ref().ok_or("the app's state cannot be written")?.write(state, out)
    }

    fn load_state(&self, kind: &str, state: &RawValue) -> Result<S, String> {
        self.codec.as_ref().ok_or("the app's state cannot be read")?.read(kind, state.get())
    }

    fn revive(&self, job: &Unended<'_>) -> Revived<Self> {
        match (self.revivers.get(job.name), job.named) {
            (Some(reviver), Some(named)) => reviver(&self.services, job, named),
            _ => Revived::Lost(None),
        }
    }

    fn set(&self, set: &Set<'_>, state: &mut S, turn: &mut Turn<Self>) -> Result<(), Fault> {
        let Some(field) = self.fields.iter().find(|field| field.is(set)) else {
            let how = if set.rows().count() > 1 { "`App::nested_field`" } else { "`App::field` or `App::row_field`" };
            let text = format!("no page may write to \"{set}\"; declare it with {how}");
            return Err(Fault::refused("unknown_field", text));
        };
        let keys = field.keys(set);
        field.write(keys.as_deref(), set, state).map_err(|refusal| match refusal {
            Refusal::Payload(error) => Fault::refused("bad_payload", format!("the field \"{set}\": {error}")),
            Refusal::Gone => Fault::refused("gone", format!("there is no row for \"{set}\"")),
            Refusal::Error(error) => error.into_fault(field.path, self.development),
        })?;
        let Some(change) = &self.hooks.change else { return Ok(()) };
        let written = Written { path: field.path, keys: keys.as_deref() };
        self.run(turn, |cx| change(state, cx, &written)).map_err(|error| error.into_fault(field.path, self.development))
    }

    fn listens(&self, hook: &Hook<'_>) -> bool {
        match hook {
            Hook::Connected => self.hooks.connect.is_some(),
            Hook::Disconnected => self.hooks.disconnect.is_some(),
            Hook::Expired => self.hooks.expire.is_some(),
            Hook::Parked => self.hooks.park.is_some(),
            Hook::Restored => self.hooks.restore.is_some(),
            Hook::Failed { .. } => self.hooks.error.is_some(),
        }
    }

    fn hear(&self, hook: &Hook<'_>, state: &mut S, turn: &mut Turn<Self>) -> Result<(), Fault> {
        let hooks = &self.hooks;
        let (name, happened) = match hook {
            Hook::Connected => ("on_connect", &hooks.connect),
            Hook::Disconnected => ("on_disconnect", &hooks.disconnect),
            Hook::Expired => ("on_expire", &hooks.expire),
            Hook::Parked => ("on_park", &hooks.park),
            Hook::Restored => ("on_restore", &hooks.restore),
            Hook::Failed { what, fault } => {
                let Some(error) = &hooks.error else { return Ok(()) };
                let text = fault.detail.as_deref().unwrap_or(&fault.text);
                let failure = Failure { what, code: &fault.code, text };
                let told = self.run(turn, |cx| error(state, cx, &failure));
                return told.map_err(|error| error.into_fault("on_error", self.development));
            }
        };
        let Some(happened) = happened else { return Ok(()) };
        self.run(turn, |cx| happened(state, cx)).map_err(|error| error.into_fault(name, self.development))
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
                let mut cx = Cx::new(turn.take(), &self.services);
                let outcome = action.pace.run(action.name, self.blocking_over, || run(state, &mut cx, payload.get()));
                *turn = cx.turn;
                outcome.and_then(|reply| match cx.reply {
                    Some(_) if self.development && action.reply.is_nothing() => {
                        Err(Refusal::Error(Error::internal(UNTYPED_REPLY)))
                    }
                    told => Ok(reply.or(told)),
                })
            }
            Run::Query(run) => action.pace.run(action.name, self.blocking_over, || run(state, payload.get())),
            Run::Async(begin) => begin(payload.get()).map(|task| {
                turn.answer_later(task);
                None
            }),
        };
        outcome.map_err(|refusal| match refusal {
            Refusal::Payload(error) => {
                tracing::debug!(
                    action = action.name,
                    line = error.line(),
                    column = error.column(),
                    "a payload of another shape"
                );
                // The message of a decode error can quote the value: it goes to nobody's log, and where it may be a
                // secret not into the outcome either, which is kept.
                let why = if action.secret { "not of the shape that it takes".to_owned() } else { error.to_string() };
                Fault::refused("bad_payload", format!("the payload of \"{}\": {why}", action.name))
            }
            Refusal::Gone => Fault::refused("gone", format!("what \"{}\" is about is gone", action.name)),
            Refusal::Error(error) => error.into_fault(action.name, self.development),
        })
    }

    fn update(&self, update: Update<S>, state: &mut S, turn: &mut Turn<Self>) -> Result<(), Fault> {
        self.run(turn, |cx| update(state, cx)).map_err(|error| error.into_fault("update", self.development))
    }

    fn diff(&self, state: &S, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        (self.walks.diff)(state, shadow, out)?;
        self.warn_of_number(shadow);
        Ok(())
    }

    fn snapshot(&self, state: &S, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        (self.walks.snapshot)(state, shadow, out)?;
        self.warn_of_number(shadow);
        Ok(())
    }

    fn measure(&self, state: &S) -> Option<usize> {
        match &self.codec {
            Some(codec) => codec.count(state),
            None => (self.walks.count)(state),
        }
    }

    fn outgrown(&self, bytes: usize) {
        tracing::debug!(bytes, "a turn was taken back: the state would be larger than `state_bytes_max`");
        self.counters.states_large.add();
    }

    fn panicked(&self, text: String) -> Fault {
        Error::internal(format!("panicked: {text}")).into_fault("handler", self.development)
    }
}

impl<S: State> Program<S> {
    /// Whether jobs can be started again from what was written down.
    pub(crate) fn has_callbacks(&self) -> bool {
        !self.revivers.is_empty()
    }

    /// Whether a session can leave memory and come back.
    pub(crate) fn keeps_states(&self) -> bool {
        self.codec.is_some()
    }

    /// Once for the app: whoever computes one NaN mostly computes many.
    fn warn_of_number(&self, shadow: &mut Shadow) {
        let Some(path) = shadow.take_not_finite() else { return };
        if self.development && !self.warned_of_number.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %path,
                "a NaN or an infinity went to the page as null, since JSON has no text for it; \
                 give the field an `Option<f64>`, or a value that says what is meant"
            );
        }
    }

    /// Runs the app's own code with a context for this turn.
    fn run(&self, turn: &mut Turn<Self>, run: impl FnOnce(&mut Cx<S>) -> Result) -> Result {
        let mut cx = Cx::new(turn.take(), &self.services);
        let outcome = run(&mut cx);
        *turn = cx.turn;
        outcome
    }
}

/// A tenth of what a person notices, over a few actions.
const COPY_WARNED_OVER: Duration = Duration::from_micros(200);

/// What a typed action is told that answers past its type.
const UNTYPED_REPLY: &str = "the action's type says that it answers nothing, and it has called `Cx::reply`: \
                             return `Reply(value)` instead";
