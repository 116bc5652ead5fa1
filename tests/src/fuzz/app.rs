//! The app of the fuzzed session: every kind of handler there is, and a state that sees when something has come twice.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use windlass_engine::{App, Audience, Class, Fault, Hook, Mode, Named, Revived, StartOptions, Turn, Unended};
use windlass_protocol::frame::event_body;
use windlass_protocol::{JobId, Set};
use windlass_sync::Shadow;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct State {
    marks: BTreeSet<u64>,
    pub(super) text: String,
    rows: Vec<Row>,
    /// Jobs whose status function has heard of their end.
    ended: BTreeSet<String>,
    online: i64,
}

#[derive(Clone, Deserialize, Serialize)]
struct Row {
    id: u64,
    name: String,
}

pub(super) struct Fuzzed;

/// A change that no action makes.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Push,
    Tick(JobId),
    End(JobId),
    Fail,
}

/// All actions; the first only ever with a number of its own.
pub(super) const ACTIONS: [&str; 15] = [
    "mark", "say", "tell", "reply", "fail", "keyed", "whisper", "start", "named", "later", "post", "kept", "rows",
    "hold", "peek",
];

impl App for Fuzzed {
    type State = State;
    type Action = usize;
    type Update = Change;
    type Work = ();
    type Post = ();
    type Task = ();

    fn action(&self, name: &str) -> Option<(usize, Mode)> {
        let mode = match name {
            "later" => Mode::Async,
            "peek" => Mode::Query,
            "rows" => Mode::InPlace,
            _ => Mode::Atomic,
        };
        ACTIONS.iter().position(|known| *known == name).map(|at| (at, mode))
    }

    fn only_if_seen(&self, action: usize) -> bool {
        ACTIONS[action] == "post"
    }

    fn waits_for_save(&self, action: usize) -> bool {
        ACTIONS[action] == "kept"
    }

    fn copy(&self, state: &State) -> State {
        state.clone()
    }

    fn dispatch(
        &self,
        action: usize,
        state: &mut State,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        let text = payload.get();
        let class = match ACTIONS[action] {
            "mark" => {
                let mark: u64 = serde_json::from_str(text).expect("only the target sends marks");
                assert!(state.marks.insert(mark), "the action {mark} has come twice");
                return Ok(None);
            }
            "tell" => Class::Must,
            "keyed" => Class::Keyed(format!("k{}", text.len() % 3)),
            "whisper" => Class::Volatile,
            "say" => {
                state.text.truncate(0);
                state.text.push_str(text);
                return Ok(None);
            }
            "rows" => {
                change_rows(&mut state.rows, text.as_bytes());
                return Ok(None);
            }
            "start" => {
                let hidden = text.len().is_multiple_of(2);
                let deserted_after = text.contains('3').then_some(Duration::from_secs(1));
                let options = StartOptions { hidden, deserted_after, ..StartOptions::default() };
                let _ = turn.start_with("job".into(), options, |_| ());
                return Ok(None);
            }
            "named" => {
                let key = turn.key().into();
                let named = Named { arguments: text.into(), key, rerun_on_restart: text.contains('2') };
                let options = StartOptions {
                    key: Some("named:1".into()),
                    cancellable_by_page: text.len().is_multiple_of(2),
                    named: Some(Arc::new(named)),
                    ..StartOptions::default()
                };
                if turn.unfinished("named:1").len() > 3 {
                    turn.cancel_named("named");
                }
                let id = turn.start_with("named".into(), options, |_| ());
                return Ok(Some(format!("\"{id}\"")));
            }
            "later" => {
                turn.answer_later(());
                return Ok(None);
            }
            "post" => {
                turn.post(());
                turn.save_now();
                return Ok(None);
            }
            "hold" => {
                if text.len().is_multiple_of(2) {
                    turn.hold();
                } else {
                    turn.release();
                }
                return Ok(None);
            }
            "kept" => {
                state.text.push('k');
                return Ok(None);
            }
            "reply" | "peek" => return Ok(Some(text.to_owned())),
            _ => {
                state.text.push('!');
                turn.event(Audience::Session, Class::Must, event_body("emit", &"never").expect("it is JSON"));
                let _ = turn.start("never".into(), false, |_| ());
                return Err(Fault::failed("own", "no"));
            }
        };
        let audience = if text.len().is_multiple_of(2) { Audience::Caller } else { Audience::Session };
        turn.event(audience, class, event_body("emit", &payload).expect("it is JSON"));
        Ok(None)
    }

    fn set(&self, set: &Set<'_>, state: &mut State, _turn: &mut Turn<Self>) -> Result<(), Fault> {
        if set.to_string() != "text" {
            return Err(Fault::refused("unknown_field", "only text may be written to"));
        }
        state.text = format!("{set:?}").chars().take(100).collect();
        Ok(())
    }

    fn listens(&self, _hook: &Hook<'_>) -> bool {
        true
    }

    fn hear(&self, hook: &Hook<'_>, state: &mut State, _turn: &mut Turn<Self>) -> Result<(), Fault> {
        match hook {
            Hook::Connected => state.online = state.online.saturating_add(1),
            Hook::Disconnected => state.online = state.online.saturating_sub(1),
            Hook::Restored => state.online = 0,
            _ => {}
        }
        Ok(())
    }

    fn update(&self, update: Change, state: &mut State, turn: &mut Turn<Self>) -> Result<(), Fault> {
        match update {
            Change::Push => state.text.push('u'),
            Change::Tick(job) => {
                assert!(!state.ended.contains(&job.to_string()), "the job {job} says something after its end");
                state.text.push('t');
            }
            Change::End(job) => {
                assert!(state.ended.insert(job.to_string()), "the job {job} has ended twice");
                // Longer sets would only make each input slow.
                while state.ended.len() > 200 {
                    state.ended.pop_first();
                }
            }
            Change::Fail => {
                state.text.push('!');
                turn.event(Audience::Session, Class::Must, event_body("emit", &"never").expect("it is JSON"));
                return Err(Fault::failed("own", "no"));
            }
        }
        Ok(())
    }

    fn diff(&self, state: &State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.diff(state, out)
    }

    fn snapshot(&self, state: &State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), windlass_sync::Error> {
        shadow.snapshot(state, out)
    }

    fn panicked(&self, text: String) -> Fault {
        // Nothing in these handlers panics but what is wrong with the engine.
        panic!("{text}");
    }

    fn state_kind(&self) -> Cow<'_, str> {
        "fuzzed".into()
    }

    fn save_state(&self, state: &State, out: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(out, state).map_err(|error| error.to_string())
    }

    fn load_state(&self, _kind: &str, state: &RawValue) -> Result<State, String> {
        serde_json::from_str(state.get()).map_err(|error| error.to_string())
    }

    fn revive(&self, job: &Unended<'_>) -> Revived<Self> {
        if job.may_run { Revived::Again(()) } else { Revived::Lost(Some(Change::End(job.id))) }
    }
}

/// Each byte inserts, removes, moves or changes a row.
fn change_rows(rows: &mut Vec<Row>, bytes: &[u8]) {
    for byte in bytes.iter().take(32) {
        let at = usize::from(*byte) % (rows.len() + 1);
        match byte % 4 {
            0 if rows.len() < 50 => rows.insert(at, Row { id: u64::from(*byte), name: "n".into() }),
            1 if at < rows.len() => drop(rows.remove(at)),
            2 if at < rows.len() => rows.swap(at, 0),
            _ => rows.iter_mut().skip(at).take(1).for_each(|row| row.name.push('c')),
        }
    }
}
