//! Bugs planted between the engine and the network, to prove that the judge sees.

use std::hash::Hasher as _;

use bytes::Bytes;
use serde_json::{Value, json};
use siphasher::sip::SipHasher13;
use windlass_protocol::{Close, CloseCode};

use crate::app::Change;
use crate::host::{In, Report};
use crate::random::Random;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// A frame is lost, and its connection goes on.
    DropFrame,
    /// A delta comes twice, and its number and all that follow are made to fit.
    RepeatDelta,
    /// Two frames change places, and their numbers do not.
    SwapFrames,
    /// A delta lacks its last op.
    HalfDelta,
    /// An op says something else.
    AlterOp,
    /// A snapshot says something else.
    AlterSnapshot,
    /// An event is not told.
    LoseEvent,
    /// An event is told again, under a number of its own.
    RepeatEvent,
    /// The number of lost events is told as one more.
    MiscountLost,
    /// A frame says that one more action has ended.
    ForgeAck,
    /// A failure becomes a success.
    ForgeOutcome,
    /// How an action has failed is not told.
    LoseOutcome,
    /// An action is done again, under a number of its own.
    DoTwice,
    /// An action is consumed, and something else is done.
    DoOther,
    /// Frames under way count as acknowledged.
    ForgeRoom,
    /// An update is dropped.
    LoseUpdate,
    /// The end of a job is told to the app twice.
    EndTwice,
    /// The end of a job is not shown.
    HideEnd,
    /// A job is shown to run, whether it has ended or not.
    Revive,
    /// That an outcome is to come is not told.
    ForgetPending,
    /// An action says that its page has seen more than it has.
    ClaimSeen,
    /// A client is not told that its session has let it go.
    HideForgotten,
    /// The session is not told that a socket is gone.
    LoseLost,
    /// A record does not know of the last action that it holds, so that it is done again.
    SkipDedupe,
    /// A record knows of actions whose effect it does not hold.
    SaveBeforeApply,
    /// The session is told that a record is on disk, and it is not.
    SaveEarly,
    /// A session is loaded again in the epoch of what a crash undid.
    ReuseEpoch,
    /// A record does not know of a job that the session has started.
    StartUnsaved,
    /// A record does not know of a token that its client was given.
    DropToken,
    /// A record is taken for what the clients were shown, though they were shown less.
    IgnoreAhead,
    /// The clients of a record have one sequence in common.
    ShareSequence,
    /// A job says something after its end.
    LateTick,
    /// A page whose own late hello has taken its place hears that another page has.
    TakeOverItself,
}

/// What is planted in a world: nothing, or one bug that strikes now and then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted {
    plant: Option<Plant>,
}

impl Planted {
    pub(crate) fn is(self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    pub(crate) fn is_none(self) -> bool {
        self.plant.is_none()
    }
}

impl From<Plant> for Planted {
    fn from(plant: Plant) -> Self {
        Self { plant: Some(plant) }
    }
}

impl Planted {
    /// Strikes what a session is about to be given.
    pub(crate) fn inputs(&self, inputs: &mut Vec<In>, random: &mut Random) {
        let Some(plant) = self.plant.filter(|_| !inputs.is_empty()) else { return };
        if !random.one_in(STRIKES) {
            return;
        }
        let at = random.index(inputs.len());
        let planted = match (plant, &inputs[at]) {
            (Plant::DoTwice, In::Text(link, text)) => action(text)
                .map(|(seq, name, payload)| In::Text(*link, json!(["a", seq + 1, name, payload]).to_string())),
            (Plant::DoOther, In::Text(link, text)) => action(text)
                .map(|(seq, ..)| In::Text(*link, json!(["a", seq, "query", { "ticket": 0, "choice": 0 }]).to_string())),
            (Plant::ForgeRoom, In::Hello(..) | In::Text(..) | In::Ready(_) | In::Update(_)) => Some(In::ForgeRoom),
            (Plant::LoseUpdate, In::Update(Change::Note(..))) => Some(In::Blind(Box::new(inputs[at].clone()))),
            (Plant::ClaimSeen, In::Text(link, text)) => claimed(text).map(|text| In::Text(*link, text)),
            (Plant::LoseLost, In::Lost(_)) => Some(In::Blind(Box::new(inputs[at].clone()))),
            (Plant::LateTick, In::Report(job, _, Report::Ended(_))) => Some(In::Update(Change::Tick(*job, 1))),
            (Plant::EndTwice, In::Report(job, ..)) => Some(In::Update(Change::End(*job))),
            _ => None,
        };
        match planted {
            Some(planted)
                if matches!(plant, Plant::DoOther | Plant::LoseUpdate | Plant::ClaimSeen | Plant::LoseLost) =>
            {
                inputs[at] = planted
            }
            Some(planted) => inputs.insert(at + 1, planted),
            None => {}
        }
    }

    /// Strikes a record on its way to the disk, where `before` is.
    pub(crate) fn record(&self, bytes: &mut Bytes, before: Option<&Bytes>, random: &mut Random) {
        let Some(plant) = self.plant else { return };
        let (mut record, before) = (body(bytes), before.map(body));
        let Some(clients) = record["clients"].as_array_mut() else { return };
        match plant {
            Plant::SkipDedupe if random.one_in(2) => {
                for client in clients.iter_mut().filter(|client| client["last"] != json!(0)) {
                    client["last"] = json!(client["last"].as_u64().unwrap() - 1);
                    client["contents"].as_array_mut().unwrap().pop();
                }
            }
            Plant::SaveBeforeApply => match before {
                Some(mut before) => record["state"] = before["state"].take(),
                None => return,
            },
            Plant::StartUnsaved => {
                record["jobs"].as_array_mut().unwrap().retain(|job| job["status"] == "done");
            }
            Plant::DropToken => {
                let known = before.map(|before| before["clients"].clone()).unwrap_or_default();
                let known =
                    |client: &Value| known.as_array().into_iter().flatten().any(|old| old["id"] == client["id"]);
                clients.retain(|client| known(client) || random.one_in(2));
            }
            Plant::IgnoreAhead => {
                for client in clients {
                    client["whole"] = json!(true);
                }
                (record["sealed"], record["ahead"]) = (json!(true), json!(false));
            }
            Plant::ShareSequence => {
                let most = clients.iter().filter_map(|client| client["last"].as_u64()).max();
                clients.iter_mut().for_each(|client| client["last"] = json!(most));
            }
            _ => return,
        }
        *bytes = sealed(&record);
    }

    /// Strikes the ends of connections.
    pub(crate) fn closes(&self, closes: &mut [(u64, Close)]) {
        if self.is(Plant::TakeOverItself) {
            let silent = closes.iter_mut().filter(|(_, close)| close.code == CloseCode::Silent);
            silent.for_each(|(_, close)| close.code = CloseCode::TakenOver);
        }
    }

    /// Strikes what a session has sent.
    pub(crate) fn frames(&self, frames: &mut Vec<(u64, Bytes)>, random: &mut Random) {
        let Some(plant) = self.plant.filter(|_| !frames.is_empty()) else { return };
        if plant == Plant::HideForgotten {
            return frames.iter_mut().for_each(|(_, frame)| hide_forgotten(frame));
        }
        if !random.one_in(STRIKES) {
            return;
        }
        let at = random.index(frames.len());
        let (link, frame) = frames[at].clone();
        let Ok(mut message) = serde_json::from_slice::<Vec<Value>>(&frame) else { return };
        let is_delta = message[0] == "d";
        if !is_delta && message[0] != "s" {
            return;
        }
        match plant {
            Plant::DropFrame => {
                frames.remove(at);
                return;
            }
            Plant::RepeatDelta if is_delta => {
                message[1] = json!(message[1].as_u64().unwrap() + 1);
                frames.insert(at + 1, (link, bytes(&message)));
                return;
            }
            Plant::SwapFrames => {
                let other = (at + 1..frames.len()).find(|other| frames[*other].0 == link);
                other.into_iter().for_each(|other| frames.swap(at, other));
                return;
            }
            Plant::HalfDelta if is_delta => drop(message[3].as_array_mut().unwrap().pop()),
            Plant::AlterOp if is_delta => {
                if let Some(op) = message[3].as_array_mut().unwrap().iter_mut().find(|op| op[0] == "map") {
                    *op = json!(["map", "altered", 1]);
                }
            }
            Plant::AlterSnapshot if !is_delta => message[3]["blob"] = json!("altered"),
            Plant::Revive if is_delta => {
                message[3].as_array_mut().unwrap().push(json!(["$jobs", 0, "status", "running"]));
            }
            Plant::HideEnd if is_delta => {
                for op in message[3].as_array_mut().unwrap().iter_mut().filter(|op| op[2] == "status") {
                    op[3] = json!("running");
                }
            }
            Plant::ForgeAck => message[2] = json!(message[2].as_u64().unwrap() + 1),
            _ => extras(plant, message.get_mut(4)),
        }
        frames[at] = (link, bytes(&message));
    }
}

fn extras(plant: Plant, extras: Option<&mut Value>) {
    let Some(Value::Object(extras)) = extras else { return };
    let outcomes = extras.get_mut("r").and_then(Value::as_array_mut);
    match (plant, outcomes) {
        (Plant::ForgeOutcome, Some(outcomes)) => {
            outcomes.iter_mut().for_each(|outcome| *outcome = json!([outcome[0], "applied", null]));
        }
        (Plant::LoseOutcome, Some(outcomes)) => drop(outcomes.pop()),
        (Plant::ForgetPending, Some(outcomes)) => outcomes.retain(|outcome| outcome[1] != "pending"),
        _ => {}
    }
    let Some(events) = extras.get_mut("e").and_then(Value::as_array_mut) else { return };
    let lost = events.iter().position(|event| event[2] == "events_lost");
    match plant {
        Plant::LoseEvent => drop(events.pop()),
        Plant::RepeatEvent => {
            let mut again = events[events.len() - 1].clone();
            again[1] = json!(again[1].as_u64().unwrap() + 1);
            events.push(again);
        }
        Plant::MiscountLost => {
            if let Some(at) = lost {
                events[at][3]["count"] = json!(events[at][3]["count"].as_u64().unwrap() + 1_000);
            }
        }
        _ => {}
    }
}

/// What a record says.
fn body(record: &Bytes) -> Value {
    let at = record.iter().position(|byte| *byte == b'\n').unwrap();
    serde_json::from_slice(&record[at + 1..]).unwrap()
}

/// The record that says this.
fn sealed(body: &Value) -> Bytes {
    let body = body.to_string();
    let mut hash = SipHasher13::new_with_keys(1, 2);
    hash.write(body.as_bytes());
    format!("windlass-record 1 {:016x}\n{body}", hash.finish()).into()
}

fn hide_forgotten(frame: &mut Bytes) {
    let Ok(mut message) = serde_json::from_slice::<Vec<Value>>(frame) else { return };
    if message[0] == "w" && message[1].as_object_mut().is_some_and(|welcome| welcome.remove("forgotten").is_some()) {
        *frame = bytes(&message);
    }
}

/// The same action from a page that says to have seen a frame of whatever number the session will believe.
fn claimed(text: &str) -> Option<String> {
    let Ok(Value::Array(mut items)) = serde_json::from_str(text) else { return None };
    let seen = items.get_mut(4)?;
    *seen = json!([seen[0], seen[1].as_u64()? + 1]);
    Some(Value::from(items).to_string())
}

fn bytes(message: &[Value]) -> Bytes {
    serde_json::to_vec(message).unwrap().into()
}

fn action(text: &str) -> Option<(u64, String, Value)> {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else { return None };
    let [tag, seq, name, payload]: [Value; 4] = items.try_into().ok()?;
    (tag == "a").then(|| (seq.as_u64().unwrap(), name.as_str().unwrap().to_owned(), payload))
}

/// Seldom enough that most of a world is as it should be.
const STRIKES: u64 = 8;
