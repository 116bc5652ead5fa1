//! The app `counter` that the transcripts name.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use windlass_engine::{App, Audience, Class, Fault, Mode, Turn};
use windlass_protocol::frame::event_body;
use windlass_sync::{Error, Shadow};

/// The app; it has no settings.
pub(crate) struct Counter;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct State {
    pub(crate) count: i64,
    /// The session that protocol.md shows does without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

#[derive(Clone, Copy)]
pub(crate) enum Action {
    Add,
    Say,
    Keep,
    Double,
    Fail,
    Tell,
    Slow,
}

impl App for Counter {
    type State = State;
    type Action = Action;
    /// What the server itself adds to the count.
    type Update = i64;
    type Work = ();
    type Post = ();
    /// What a slow action replies.
    type Task = i64;

    fn action(&self, name: &str) -> Option<(Action, Mode)> {
        match name {
            "add" => Some((Action::Add, Mode::Atomic)),
            "say" => Some((Action::Say, Mode::Atomic)),
            "keep" => Some((Action::Keep, Mode::InPlace)),
            "double" => Some((Action::Double, Mode::Query)),
            "fail" => Some((Action::Fail, Mode::Atomic)),
            "tell" => Some((Action::Tell, Mode::Atomic)),
            "slow" => Some((Action::Slow, Mode::Atomic)),
            _ => None,
        }
    }

    fn copy(&self, state: &State) -> State {
        state.clone()
    }

    fn dispatch(
        &self,
        action: Action,
        state: &mut State,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        match action {
            Action::Add | Action::Keep => state.count += read::<i64>(payload)?,
            Action::Double => return Ok(Some((read::<i64>(payload)? * 2).to_string())),
            Action::Fail => {
                state.count = 0;
                return Err(Fault::failed("own", read::<String>(payload)?));
            }
            Action::Tell => {
                let body = json!({"name": "told", "value": read::<String>(payload)?});
                turn.event(Audience::Session, Class::Must, event_body("emit", &body).expect("JSON serialises"));
            }
            Action::Slow => turn.answer_later(read::<i64>(payload)? * 2),
            Action::Say => state.text = Some(read(payload)?),
        }
        Ok(None)
    }

    fn update(&self, more: i64, state: &mut State, _: &mut Turn<Self>) -> Result<(), Fault> {
        state.count += more;
        Ok(())
    }

    fn diff(&self, state: &State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), Error> {
        shadow.diff(state, out)
    }

    fn snapshot(&self, state: &State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), Error> {
        shadow.snapshot(state, out)
    }

    fn save_state(&self, state: &State, out: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(out, state).map_err(|error| error.to_string())
    }

    fn load_state(&self, _kind: &str, state: &RawValue) -> Result<State, String> {
        serde_json::from_str(state.get()).map_err(|error| error.to_string())
    }

    fn measure(&self, state: &State) -> Option<usize> {
        serde_json::to_vec(state).ok().map(|written| written.len())
    }

    fn panicked(&self, text: String) -> Fault {
        Fault::failed("internal", text)
    }
}

fn read<T: DeserializeOwned>(payload: &RawValue) -> Result<T, Fault> {
    serde_json::from_str(payload.get()).map_err(|error| Fault::refused("bad_payload", error.to_string()))
}
