//! The app of the worlds: a state that records what was done to it, so that a judge can tell what was not.
//!
//! Every action that succeeds leaves its ticket in `log`. `left` and `right` are always changed together.
//! What the judge needs and no client sees (`emitted`, `notes`) is part of the state, so that it is rolled back with it.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use windlass_engine::{App, Audience, Class, Fault, Hook, Mode, Named, Revived, StartOptions, Turn, Unended};
use windlass_protocol::frame::event_body;
use windlass_protocol::{ClientId, JobId, Place, Set};
use windlass_sync::{Shadow, SyncVec, Tracked};

use crate::random::Random;

/// What the view shows is what serialises; its record holds the rest too.
#[derive(Clone, Default, Serialize)]
pub(crate) struct State {
    pub(crate) log: Vec<u32>,
    left: u64,
    right: u64,
    text: String,
    plain: Vec<Row>,
    synced: SyncVec<Row>,
    tracked: Tracked<Vec<u64>>,
    map: BTreeMap<String, u64>,
    blob: String,
    /// How many times each job has ended.
    pub(crate) ends: BTreeMap<String, u32>,
    #[serde(skip_serializing_if = "Poison::is_off")]
    poison: Poison,
    /// Updates from outside that have happened.
    #[serde(skip)]
    pub(crate) notes: Vec<u32>,
    /// Events that have been asked for.
    #[serde(skip)]
    pub(crate) emitted: Vec<Emission>,
    /// Clients that have a socket, by what the app was told.
    #[serde(skip)]
    pub(crate) online: i64,
    /// Actions that asked for what their page had not seen.
    #[serde(skip)]
    pub(crate) misled: Vec<u32>,
    /// Jobs that had something to say after their end.
    #[serde(skip)]
    pub(crate) late: Vec<String>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Row {
    id: u64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    size: Option<u64>,
}

/// What makes a state impossible to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Poison {
    #[default]
    Off,
    Fails,
    Panics,
}

impl Poison {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl Serialize for Poison {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Panics => panic!("{PLANNED}"),
            _ => Err(serde::ser::Error::custom(PLANNED)),
        }
    }
}

/// What every panic of the app says, so that the test's output leaves it out.
pub(crate) const PLANNED: &str = "planned";

/// An event as its handler asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Emission {
    /// The number in its body, of this very event: one that a crash undid is another.
    pub(crate) number: usize,
    /// None for every client of the session.
    pub(crate) to: Option<ClientId>,
    pub(crate) kind: EmissionKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum EmissionKind {
    Volatile,
    Must,
    /// Of this key.
    Keyed(u64),
}

/// What an action brings: its ticket, and a number that its handler makes choices from.
#[derive(Deserialize)]
struct Payload {
    ticket: u32,
    choice: u64,
    /// What the page showed of `left`, for an action that asks for what it has seen.
    #[serde(default)]
    shown: u64,
}

/// A change that no action of a client makes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// An update with its number, and choices.
    Note(u32, u64),
    /// One that changes something and then fails, or panics.
    Fail(u64),
    /// The end of a job.
    End(JobId),
    /// Some news of a job.
    Tick(JobId, u64),
    /// The state can be shown from now on.
    Heal,
}

pub(crate) struct Ledger;

/// What an action does. Its name on the wire is the variant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Edit,
    InPlace,
    Reply,
    Query,
    Fail,
    Panic,
    Poison,
    Emit,
    /// Emits half of what a client's queue holds, and more.
    Flood,
    Start,
    Blob,
    /// Answered later.
    Later,
    /// Writes to a field that is declared.
    Set,
    /// Writes to one that is not.
    Stray,
    /// Refused when its page had not seen all.
    Seen,
    /// Keeps frames back.
    Hold,
    /// Lets them go.
    Release,
    /// Sends something to another session.
    Post,
    /// Answered when it is saved.
    Kept,
    /// The app knows no such action.
    Unknown,
    /// Its payload is not what the app asks for.
    Malformed,
    /// The built-in `$cancel`.
    Cancel,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::InPlace => "in_place",
            Self::Reply => "reply",
            Self::Query => "query",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Poison => "poison",
            Self::Emit => "emit",
            Self::Flood => "flood",
            Self::Start => "start",
            Self::Blob => "blob",
            Self::Later => "later",
            Self::Set | Self::Stray => "$set",
            Self::Seen => "seen",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Post => "post",
            Self::Kept => "kept",
            Self::Unknown => "unknown",
            Self::Malformed => "edit",
            Self::Cancel => "$cancel",
        }
    }

    /// Whether its success leaves a ticket in the log.
    pub(crate) fn logs(self) -> bool {
        !matches!(
            self,
            Self::Query
                | Self::Fail
                | Self::Panic
                | Self::Unknown
                | Self::Malformed
                | Self::Cancel
                | Self::Later
                | Self::Stray
        )
    }
}

impl State {
    fn log(&mut self, ticket: u32) {
        self.log.push(ticket);
        self.text.push_str(&format!(" {ticket}"));
        self.both(u64::from(ticket));
    }

    fn both(&mut self, by: u64) {
        self.left += by;
        self.right += by;
    }

    /// Some changes of shape: whatever ops can say.
    fn edit(&mut self, choice: u64) {
        let mut random = Random::new(choice);
        for _ in 0..=random.below(3) {
            let id = random.next() >> 16;
            let row = Row { id, name: format!("row {id}"), size: random.one_in(2).then_some(id) };
            let at = |random: &mut Random, len: usize| random.index(len.max(1));
            match random.below(16) {
                0 | 1 => self.plain.insert(at(&mut random, self.plain.len()), row),
                2 | 3 => self.synced.insert(at(&mut random, self.synced.len()), row),
                4 if !self.plain.is_empty() => drop(self.plain.remove(at(&mut random, self.plain.len()))),
                5 if !self.synced.is_empty() => drop(self.synced.remove(at(&mut random, self.synced.len()))),
                6 if !self.plain.is_empty() => {
                    let row = self.plain.remove(at(&mut random, self.plain.len()));
                    self.plain.insert(at(&mut random, self.plain.len() + 1), row);
                }
                7 if !self.synced.is_empty() => {
                    let len = self.synced.len();
                    self.synced.move_row(at(&mut random, len), at(&mut random, len));
                }
                8 => self.plain.sort_by_key(|row| row.id.rotate_left(7)),
                9 => self.synced.sort_by_key(|row| row.id.rotate_left(9)),
                10 if !self.plain.is_empty() => {
                    let at = at(&mut random, self.plain.len());
                    self.plain[at] = Row { id: self.plain[at].id, ..row };
                }
                11 if !self.synced.is_empty() => {
                    let at = at(&mut random, self.synced.len());
                    self.synced[at].name.push('…');
                }
                12 => drop(self.map.insert(format!("key {}", id % 8), id)),
                13 => drop(self.map.remove(&format!("key {}", id % 8))),
                14 => self.text = format!("\"{id}\"\n"),
                _ => self.tracked.push(id),
            }
        }
        self.plain.truncate(ROWS_MAX);
        self.synced.truncate(ROWS_MAX);
        if self.tracked.len() > ROWS_MAX {
            self.tracked.clear();
        }
        self.both(choice % 7);
    }

    fn emit(&mut self, turn: &mut Turn<Ledger>, choice: u64, count: u64) {
        let mut random = Random::new(choice);
        let bytes = if random.one_in(12) { 2_000 } else { 0 };
        for _ in 0..count {
            let number = next_number();
            let (kind, class) = match random.below(5) {
                0 | 1 => (EmissionKind::Must, Class::Must),
                2 => (EmissionKind::Volatile, Class::Volatile),
                _ => {
                    let key = random.below(3);
                    (EmissionKind::Keyed(key), Class::Keyed(key.to_string()))
                }
            };
            let (to, audience) = match turn.caller() {
                Some(caller) if random.one_in(2) => (Some(caller), Audience::Caller),
                _ => (None, Audience::Session),
            };
            let body = event_body("emit", &json!({ "name": "number", "value": number, "ballast": "x".repeat(bytes) }));
            turn.event(audience, class, body.unwrap());
            self.emitted.push(Emission { number, to, kind });
        }
    }
}

impl App for Ledger {
    type State = State;
    type Action = Kind;
    type Update = Change;
    type Work = ();
    /// The action that has sent it.
    type Post = u32;
    /// The action that is to be answered.
    type Task = u32;

    fn action(&self, name: &str) -> Option<(Kind, Mode)> {
        let kinds = [
            Kind::Edit,
            Kind::InPlace,
            Kind::Reply,
            Kind::Query,
            Kind::Fail,
            Kind::Panic,
            Kind::Poison,
            Kind::Emit,
            Kind::Flood,
            Kind::Start,
            Kind::Blob,
            Kind::Later,
            Kind::Seen,
            Kind::Hold,
            Kind::Release,
            Kind::Post,
            Kind::Kept,
        ];
        let kind = kinds.into_iter().find(|kind| kind.name() == name)?;
        let mode = match kind {
            Kind::Query => Mode::Query,
            Kind::InPlace => Mode::InPlace,
            Kind::Later => Mode::Async,
            _ => Mode::Atomic,
        };
        Some((kind, mode))
    }

    fn only_if_seen(&self, kind: Kind) -> bool {
        kind == Kind::Seen
    }

    fn set(&self, set: &Set<'_>, state: &mut State, _: &mut Turn<Self>) -> Result<(), Fault> {
        if !set.is(&[Place::Member("text")]) {
            return Err(Fault::refused("unknown_field", set.to_string()));
        }
        let Payload { ticket, choice, .. } =
            serde_json::from_str(set.value.get()).map_err(|error| Fault::refused("bad_payload", error.to_string()))?;
        state.log(ticket);
        state.text = format!("{choice}");
        Ok(())
    }

    fn listens(&self, hook: &Hook<'_>) -> bool {
        matches!(hook, Hook::Connected | Hook::Disconnected | Hook::Restored)
    }

    fn hear(&self, hook: &Hook<'_>, state: &mut State, _: &mut Turn<Self>) -> Result<(), Fault> {
        match hook {
            Hook::Connected => state.online += 1,
            Hook::Disconnected => state.online -= 1,
            // The sockets of before are gone without a word.
            _ => state.online = 0,
        }
        Ok(())
    }

    fn copy(&self, state: &State) -> State {
        state.clone()
    }

    fn dispatch(
        &self,
        kind: Kind,
        state: &mut State,
        turn: &mut Turn<Self>,
        payload: &RawValue,
    ) -> Result<Option<String>, Fault> {
        let Payload { ticket, choice, shown } =
            serde_json::from_str(payload.get()).map_err(|error| Fault::refused("bad_payload", error.to_string()))?;
        match kind {
            Kind::Query => return Ok(Some(ticket.to_string())),
            Kind::Later => {
                turn.answer_later(ticket);
                return Ok(None);
            }
            Kind::Seen if shown != state.left => state.misled.push(ticket),
            Kind::Hold => {
                state.edit(choice);
                turn.hold();
            }
            Kind::Release => turn.release(),
            Kind::Post => turn.post(ticket),
            Kind::Fail | Kind::Panic => {
                state.log(ticket);
                state.edit(choice);
                state.emit(turn, choice, 1);
                turn.start("never".into(), false, |_| ());
                assert!(kind == Kind::Fail, "{PLANNED}");
                return Err(Fault::failed("own", "as asked"));
            }
            Kind::Poison if choice.is_multiple_of(2) => state.poison = Poison::Fails,
            Kind::Poison => state.poison = Poison::Panics,
            Kind::Emit => state.emit(turn, choice, 1 + choice % 3),
            Kind::Flood => state.emit(turn, choice, FLOOD),
            Kind::Start => {
                let rerun_on_restart = choice.is_multiple_of(3);
                let named = Named { arguments: ticket.to_string().into(), key: turn.key().into(), rerun_on_restart };
                let named = (choice % 3 < 2).then(|| named.into());
                let options = StartOptions { hidden: choice.is_multiple_of(8), named, ..StartOptions::default() };
                turn.start_with("job".into(), options, |_| ());
            }
            Kind::Blob => state.blob = "b".repeat(usize::try_from(choice % BLOB_MAX).unwrap()),
            _ => state.edit(choice),
        }
        state.log(ticket);
        Ok((kind == Kind::Reply).then(|| ticket.to_string()))
    }

    fn update(&self, change: Change, state: &mut State, turn: &mut Turn<Self>) -> Result<(), Fault> {
        match change {
            Change::Note(number, choice) => {
                state.notes.push(number);
                state.edit(choice);
                if choice.is_multiple_of(4) {
                    state.emit(turn, choice, 1);
                }
            }
            Change::Fail(choice) => {
                state.edit(choice);
                state.emit(turn, choice, 1);
                assert!(choice.is_multiple_of(2), "{PLANNED}");
                return Err(Fault::failed("own", "as asked"));
            }
            Change::End(job) => *state.ends.entry(job.to_string()).or_default() += 1,
            Change::Tick(job, choice) => {
                if state.ends.contains_key(&job.to_string()) {
                    state.late.push(job.to_string());
                }
                state.edit(choice);
            }
            Change::Heal => state.poison = Poison::Off,
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
        Fault::failed("internal", text)
    }

    fn waits_for_save(&self, kind: Kind) -> bool {
        kind == Kind::Kept
    }

    fn save_state(&self, state: &State, out: &mut Vec<u8>) -> Result<(), String> {
        let State { log, left, right, text, plain, synced, tracked, map, blob, ends, .. } = state;
        let State { poison, notes, emitted, online, misled, late, .. } = state;
        let poison = match poison {
            Poison::Off => "Off",
            Poison::Fails => "Fails",
            Poison::Panics => "Panics",
        };
        let shown = (log, left, right, text, plain, synced, tracked, map, blob, ends);
        serde_json::to_writer(out, &(shown, (poison, notes, emitted, online, misled, late)))
            .map_err(|error| error.to_string())
    }

    fn load_state(&self, _: &str, state: &RawValue) -> Result<State, String> {
        let (shown, rest) = serde_json::from_str(state.get()).map_err(|error| error.to_string())?;
        let (log, left, right, text, plain, synced, tracked, map, blob, ends) = shown;
        let (poison, notes, emitted, online, misled, late) = rest;
        let shown = State { log, left, right, text, plain, synced, tracked, map, blob, ends, ..State::default() };
        Ok(State { poison, notes, emitted, online, misled, late, ..shown })
    }

    fn revive(&self, job: &Unended<'_>) -> Revived<Self> {
        if job.may_run { Revived::Again(()) } else { Revived::Lost(Some(Change::End(job.id))) }
    }
}

thread_local! {
    static NUMBERS: Cell<usize> = const { Cell::new(0) };
}

/// A number that no event of this world has had.
fn next_number() -> usize {
    NUMBERS.replace(NUMBERS.get() + 1)
}

/// Another world begins on this thread.
pub(crate) fn begin() {
    NUMBERS.set(0);
}

/// Few, so that what is inserted meets what is removed.
const ROWS_MAX: usize = 12;
/// Beyond a window now and then.
const BLOB_MAX: u64 = 100_000;
const FLOOD: u64 = 150;
