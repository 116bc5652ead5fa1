//! The page's side of a transcript: says its lines to a server and compares what comes back.
//!
//! The server has answered a line when the next one comes, so whatever it said before must have
//! been expected by then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::ConnectionId;
use windlass_protocol::Dialect;

use crate::server::{Said, Server};
use crate::transcript::{OtherPage, Socket, Step};

pub(crate) struct Page {
    pub(crate) server: Server,
    dialect: Dialect,
    socket: Option<ConnectionId>,
    other: Option<Other>,
    /// The values of placeholders.
    bound: BTreeMap<String, Value>,
    /// The members of the last hello, and the newest token.
    hello: Value,
    token: Value,
    messages: usize,
}

/// Another page of the same client, attached and alive.
struct Other {
    socket: ConnectionId,
    /// The last frame that it applied.
    n: Value,
}

impl Page {
    pub(crate) fn new(server: Server, dialect: Dialect) -> Self {
        Self {
            server,
            dialect,
            socket: None,
            other: None,
            bound: BTreeMap::new(),
            hello: Value::Null,
            token: Value::Null,
            messages: 0,
        }
    }

    /// Takes one step, or says why it cannot be.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        let reads = matches!(step, Step::Server { unasked: false, .. } | Step::Close { unasked: false, .. });
        // What happens inside the page happens whenever it does.
        let inside = matches!(step, Step::Call { .. } | Step::Outcome { .. });
        if !reads && !inside {
            self.nothing_unread()?;
        }
        match step {
            Step::Socket { socket: Socket::Open } if self.socket.is_some() => return Err("a socket is open".into()),
            Step::Socket { socket: Socket::Open } => self.socket = Some(self.server.open()),
            // A page that is loaded again takes its socket with it.
            Step::Socket { socket: Socket::Lost } | Step::Page { .. } => {
                if let Some(socket) = self.socket.take() {
                    self.server.lose(socket);
                }
            }
            Step::Client { client } => self.say(client)?,
            // What no server does in this conversation by itself, it does to try the client.
            Step::Server { unasked: true, .. } => self.messages += 1,
            Step::Close { unasked: true, .. } => {
                let socket = self.socket.take().ok_or("no socket is open")?;
                self.server.lose(socket);
            }
            Step::Server { server, .. } => self.expect(server)?,
            Step::Close { close, .. } => self.expect_close(close.code, &close.reason)?,
            Step::Call { .. } | Step::Outcome { .. } => {}
            Step::Sessions { sessions } => self.server.lose_sessions(*sessions)?,
            Step::Store { store } => self.server.store(*store)?,
            Step::OtherPage { other_page } => self.let_other_page_in(*other_page)?,
            Step::Late { .. } => self.be_late(),
            Step::Nothing { nothing: ms } | Step::Wait { wait: ms } => self.server.wait(Duration::from_millis(*ms)),
            Step::Settle { settle } => self.server.settle(*settle)?,
            Step::Drain { drain } => self.server.drain(Duration::from_millis(*drain)),
        }
        Ok(())
    }

    /// Ends the conversation; gives back how many messages the server said in it.
    pub(crate) fn end(mut self) -> Result<usize, String> {
        self.nothing_unread()?;
        Ok(self.messages)
    }

    fn say(&mut self, message: &Value) -> Result<(), String> {
        let socket = self.socket.ok_or("no socket is open")?;
        let message = self.fill(message)?;
        if message[0] == "h" {
            self.hello = message[1].clone();
        } else if message["type"] == "hello" {
            self.hello = message.clone();
        }
        self.server.hear(socket, self.dialect, &message);
        self.answer_as_other_page();
        Ok(())
    }

    fn expect(&mut self, expected: &Value) -> Result<(), String> {
        let said = self.next()?;
        let Some(Said::Message(actual)) = &said else { return Err(but(said.as_ref())) };
        if !self.meets(expected, actual) {
            return Err(but(said.as_ref()));
        }
        if let Some(token) = actual.get("token").or_else(|| actual.get(1)?.get("token")) {
            self.token = token.clone();
        }
        self.messages += 1;
        Ok(())
    }

    fn expect_close(&mut self, code: u16, reason: &Value) -> Result<(), String> {
        let said = self.next()?;
        if said != Some(Said::Close { code, reason: reason.clone() }) {
            return Err(but(said.as_ref()));
        }
        self.socket = None;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Said>, String> {
        Ok(self.server.next(self.socket.ok_or("no socket is open")?))
    }

    fn nothing_unread(&mut self) -> Result<(), String> {
        match self.socket.and_then(|socket| self.server.next(socket)) {
            Some(said) => Err(format!("before it the server said {} that nobody expected", show(&said))),
            None => Ok(()),
        }
    }

    /// Another document of this page's client says hello, with the same token.
    fn let_other_page_in(&mut self, part: OtherPage) -> Result<(), String> {
        let other = self.server.open();
        let hello =
            json!({ "token": self.token, "client": self.hello["client"], "instance": OTHER_INSTANCE, "seq": 1 });
        self.server.hear(other, Dialect::Compact, &json!(["h", hello]));
        if part == OtherPage::Holds {
            self.other = Some(Other { socket: other, n: json!(0) });
            return Ok(());
        }
        // This page is asked; its answer is lost, and so its time runs out.
        match self.next()? {
            Some(Said::Message(ask)) if ask == json!(["q"]) => self.server.wait(TAKEOVER_ANSWER),
            said => return Err(format!("this page is asked first, {}", but(said.as_ref()))),
        }
        Ok(())
    }

    /// The hello of a connection that this page has given up comes after that of its next.
    fn be_late(&mut self) {
        let earlier = self.server.open();
        let members = ["client", "instance", "epoch", "n", "seq"].map(|name| (name, self.hello[name].clone()));
        let mut hello: serde_json::Map<_, _> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        hello.insert("token".into(), self.token.clone());
        self.server.hear(earlier, Dialect::Compact, &json!(["h", hello]));
    }

    /// The other page acknowledges what it has when it is asked whether it is there.
    fn answer_as_other_page(&mut self) {
        let Some(other) = &mut self.other else { return };
        while let Some(said) = self.server.next(other.socket) {
            match said {
                Said::Message(message) if message == json!(["q"]) => {
                    self.server.hear(other.socket, Dialect::Compact, &json!(["k", other.n]));
                }
                Said::Message(message) if message[0] == "s" || message[0] == "d" => other.n = message[1].clone(),
                _ => {}
            }
        }
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

    /// The message with values in place of placeholders; a page makes its own ids and no others.
    fn fill(&mut self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(name) if is_placeholder(name) => match self.bound.get(name) {
                Some(value) => value.clone(),
                None => {
                    let number = self.bound.len() + 1;
                    let made = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                        "$client" => json!(format!("{number:024x}")),
                        "$instance" => json!(format!("{number:02x}")),
                        _ => return Err(format!("nothing has given {name} a value")),
                    };
                    self.bound.insert(name.clone(), made.clone());
                    made
                }
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?,
            Value::Object(members) => {
                let filled = members.iter().map(|(key, member)| Ok((key.clone(), self.fill(member)?)));
                Value::Object(filled.collect::<Result<_, String>>()?)
            }
            plain => plain.clone(),
        })
    }
}

/// Wholly `$session` or the like, with or without a digit behind.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_suffix(|c: char| c.is_ascii_digit()).unwrap_or(text);
    ["$session", "$client", "$instance", "$token", "$epoch"].contains(&name)
}

fn but(said: Option<&Said>) -> String {
    said.map_or_else(|| "but it said nothing".into(), |said| format!("but it said {}", show(said)))
}

fn show(said: &Said) -> String {
    match said {
        Said::Message(message) => message.to_string(),
        Said::Close { code, reason } => format!("a close {code} {reason}"),
    }
}

/// An instance that no `$instance` becomes.
const OTHER_INSTANCE: &str = "ffffffff";
/// How long the server waits for a page that it has asked, by protocol.md section 13.
const TAKEOVER_ANSWER: Duration = Duration::from_secs(1);
