//! The shared transcripts, with this client on one side and the file on the other. The format is described beside
//! them, in conformance/transcripts/README.md.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;

#[test]
fn this_client_leads_every_transcript_of_its_dialect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/transcripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(files.len() > 20, "only {} transcripts", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let transcript: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let mut run = Run::new();
        let steps = transcript["steps"].as_array().unwrap();
        let outcome = steps
            .iter()
            .enumerate()
            .try_for_each(|(at, step)| run.step(step).map_err(|why| format!("step {} {step}: {why}", at + 1)))
            .and_then(|()| run.end());
        if let Err(why) = outcome {
            wrong.push(format!("{}: {why}", file.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

struct Run {
    core: Core,
    now: Duration,
    bound: BTreeMap<String, Value>,
    /// The socket that the core has asked for: none, wanted, or open.
    socket: Socket,
    said: VecDeque<Value>,
    /// Tickets of calls, in order.
    calls: Vec<u64>,
    answers: HashMap<u64, String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Socket {
    None,
    Wanted,
    Open,
}

impl Run {
    fn new() -> Self {
        let core = core(Identity::new("0f1e2d3c4b5a69788796a5b4".to_owned()), Duration::ZERO);
        let mut run = Self {
            core,
            now: Duration::ZERO,
            bound: BTreeMap::new(),
            socket: Socket::None,
            said: VecDeque::new(),
            calls: Vec::new(),
            answers: HashMap::new(),
        };
        run.settle();
        run
    }

    fn settle(&mut self) {
        for output in self.core.outputs() {
            match output {
                Output::Open { .. } => self.socket = Socket::Wanted,
                Output::Send(text) => {
                    assert_eq!(self.socket, Socket::Open, "{text}");
                    self.said.push_back(serde_json::from_str(&text).unwrap());
                }
                Output::Close { .. } => self.socket = Socket::None,
                Output::Answer(ticket, outcome) => {
                    let code = outcome.map_or_else(|error| error.code().to_owned(), |_| "applied".to_owned());
                    assert_eq!(self.answers.insert(ticket, code), None, "a call ends once");
                }
                Output::Event(_) | Output::Change(_) | Output::Status(_) | Output::Save => {}
            }
        }
    }

    /// Lets time pass, with each timer at its moment.
    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.core.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.core.timer(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn step(&mut self, step: &Value) -> Result<(), String> {
        let member = |name: &str| step.get(name);
        if let Some(socket) = member("socket") {
            if socket == "lost" {
                self.lose(Ended::lost());
                return Ok(());
            }
            // After whatever wait.
            for _ in 0..100 {
                if self.socket == Socket::Wanted {
                    break;
                }
                let due = self.core.deadline().ok_or("the client opens no socket")?;
                self.advance(due.saturating_sub(self.now));
            }
            if self.socket != Socket::Wanted {
                return Err("the client opens no socket".to_owned());
            }
            self.socket = Socket::Open;
            self.core.opened(self.now);
        } else if let Some(expected) = member("client") {
            let mut message = self.said.pop_front();
            while message.as_ref().is_some_and(|message| message[0] == "k") && expected[0] != "k" {
                message = self.said.pop_front();
            }
            if !message.as_ref().is_some_and(|message| self.meets(expected, message)) {
                return Err(format!("but it said {message:?}"));
            }
        } else if let Some(message) = member("server") {
            let text = self.fill(message).to_string();
            if step["lost"] != true {
                self.core.text(&text, self.now);
            }
        } else if let Some(close) = member("close") {
            let number = u16::try_from(close["code"].as_u64().unwrap()).unwrap();
            self.lose(Ended::read(number, &close["reason"].to_string()));
        } else if let Some(call) = member("call") {
            let options = ActionOptions { secret: step["secret"] == true, ..ActionOptions::default() };
            let ticket = self.core.act(call[1].as_str().unwrap(), &call[2].to_string(), options, self.now);
            self.calls.push(ticket.unwrap());
        } else if let Some(outcome) = member("outcome") {
            let call = self.calls[usize::try_from(outcome[0].as_u64().unwrap()).unwrap() - 1];
            if self.answers.get(&call).map(String::as_str) != outcome[1].as_str() {
                return Err(format!("but it ended with {:?}", self.answers.get(&call)));
            }
        } else if member("page").is_some() {
            // The app is started again: what it had is in its identity.
            let tickets = self.core.tickets;
            self.core = core(self.core.identity(), self.now);
            self.core.tickets = tickets;
            self.socket = Socket::None;
        } else if let Some(time) = member("wait").and_then(Value::as_u64) {
            self.advance(Duration::from_millis(time));
        } else if let Some(time) = member("nothing").and_then(Value::as_u64) {
            let before = self.socket;
            self.advance(Duration::from_millis(time));
            if self.socket != before || self.unread().is_some() {
                return Err(format!("but it said {:?}", self.unread()));
            }
        } else if !["sessions", "store", "other_page", "late", "drain", "settle"]
            .iter()
            .any(|of_server| step.get(of_server).is_some())
        {
            return Err("a step of no known kind".to_owned());
        }
        self.settle();
        Ok(())
    }

    fn lose(&mut self, ended: Ended) {
        if self.socket == Socket::Open {
            self.socket = Socket::None;
            self.core.closed(ended, self.now);
        }
    }

    fn end(&self) -> Result<(), String> {
        self.unread().map_or(Ok(()), |message| Err(format!("at the end it said {message}")))
    }

    fn unread(&self) -> Option<&Value> {
        self.said.iter().find(|message| message[0] != "k")
    }

    /// Whether the actual value is the expected one, with placeholders bound as they are met.
    fn meets(&mut self, expected: &Value, actual: &Value) -> bool {
        match (expected, actual) {
            (Value::String(name), _) if is_placeholder(name) => match self.bound.get(name) {
                Some(value) => value == actual,
                // Two names stand for two values.
                None if self.bound.values().any(|value| value == actual) => false,
                None => {
                    self.bound.insert(name.clone(), actual.clone());
                    true
                }
            },
            (Value::Array(expected), Value::Array(actual)) => {
                expected.len() == actual.len()
                    && expected.iter().zip(actual).all(|(expected, actual)| self.meets(expected, actual))
            }
            (Value::Object(expected), Value::Object(actual)) => {
                expected.len() == actual.len()
                    && expected
                        .iter()
                        .all(|(key, expected)| actual.get(key).is_some_and(|actual| self.meets(expected, actual)))
            }
            (expected, actual) => expected == actual,
        }
    }

    /// The message with values in place of placeholders: those bound, or new ones.
    fn fill(&mut self, value: &Value) -> Value {
        match value {
            Value::String(name) if is_placeholder(name) => {
                let made = self.bound.len() as u64 + 1;
                let made =
                    if name.starts_with("$epoch") { json!((made << 32) + 1) } else { json!(format!("{made:024x}")) };
                self.bound.entry(name.clone()).or_insert(made).clone()
            }
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, member)| (key.clone(), self.fill(member)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            plain => plain.clone(),
        }
    }
}

pub(super) fn core(identity: Identity, now: Duration) -> Core {
    Core::new(CoreOptions { page: "/".to_owned(), outbox_max: 100, seed: 7 }, identity, now)
}

/// Wholly `$session` or the like, with or without a digit behind.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_suffix(|c: char| c.is_ascii_digit()).unwrap_or(text);
    ["$session", "$client", "$instance", "$token", "$epoch"].contains(&name)
}
