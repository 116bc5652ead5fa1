//! What a server says, as the client reads it, and what the client says to it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_protocol::CloseCode;
use windlass_protocol::ids::COUNTER_MAX;

/// One message from a server.
#[derive(Debug)]
pub(crate) enum ServerMessage {
    Welcome(Welcome),
    Frame(Frame),
    /// Not consumed, and nothing after it on this connection.
    Later {
        code: String,
        retry_after_ms: Option<u64>,
    },
    Ask,
    Pong,
    /// The server did not know what it was sent.
    Unknown(String),
}

#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) session: String,
    pub(crate) epoch: u64,
    pub(crate) ack: u64,
    pub(crate) saved: Option<u64>,
    pub(crate) resumed: bool,
    pub(crate) token: Option<String>,
    /// What is answered later, and whose outcome is to come or to come again.
    pub(crate) pending: Vec<u64>,
    /// The session has let this client go, and it begins anew.
    pub(crate) forgotten: bool,
    /// What has to be known of some actions.
    pub(crate) actions: HashMap<String, Traits>,
    pub(crate) actions_in_flight: Option<u64>,
    pub(crate) message_bytes_max: Option<u64>,
}

/// What a server says of an action.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Traits {
    /// It says which frame was looked at.
    #[serde(default)]
    pub(crate) only_if_seen: bool,
    /// Its content is kept from storage.
    #[serde(default)]
    pub(crate) secret: bool,
}

/// A snapshot or a delta.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) n: u64,
    pub(crate) ack: u64,
    pub(crate) body: Body,
    pub(crate) extras: Extras,
}

#[derive(Debug)]
pub(crate) enum Body {
    Document(Value),
    Ops(Vec<Value>),
}

/// What rides in a frame beside ops or document.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) outcomes: Vec<(u64, Outcome)>,
    pub(crate) events: Vec<(EventId, String, Value)>,
    pub(crate) saved: Option<u64>,
    pub(crate) restored: bool,
}

/// Epoch and number, compared in order.
pub(crate) type EventId = (u64, u64);

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Applied(Value),
    Failed {
        code: String,
        text: String,
    },
    Refused {
        code: String,
        text: String,
    },
    /// Consumed; how it ends comes in a later frame.
    Pending,
}

/// Reads one message; none when it is one of a later version, which is ignored.
pub(crate) fn decode(text: &str) -> Result<Option<ServerMessage>, NoMessage> {
    let mut items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items.into_iter(),
        _ => return Err(NoMessage),
    };
    let mut next = || items.next().ok_or(NoMessage);
    let Value::String(tag) = next()? else { return Err(NoMessage) };
    Ok(Some(match tag.as_str() {
        "w" => ServerMessage::Welcome(welcome(&next()?)?),
        "s" | "d" => {
            let (n, ack) = (counter(&next()?)?, counter(&next()?)?);
            let body = match (tag.as_str(), next()?) {
                ("s", document @ Value::Object(_)) => Body::Document(document),
                ("d", Value::Array(ops)) if ops.iter().all(Value::is_array) => Body::Ops(ops),
                _ => return Err(NoMessage),
            };
            let extras = items.next().map_or(Ok(Extras::default()), extras)?;
            ServerMessage::Frame(Frame { n, ack, body, extras })
        }
        "o" => {
            counter(&next()?)?;
            let (code, _text) = (string(next()?)?, string(next()?)?);
            ServerMessage::Later { code, retry_after_ms: items.next().and_then(|ms| ms.as_u64()) }
        }
        "q" => ServerMessage::Ask,
        "p" => ServerMessage::Pong,
        "x" => ServerMessage::Unknown(next().ok().and_then(|_| items.next()).unwrap_or_default().to_string()),
        _ => return Ok(None),
    }))
}

/// Text that is no message of the protocol: the connection is closed with `bad_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMessage;

fn counter(value: &Value) -> Result<u64, NoMessage> {
    value.as_u64().filter(|number| *number <= COUNTER_MAX).ok_or(NoMessage)
}

fn string(value: Value) -> Result<String, NoMessage> {
    if let Value::String(text) = value { Ok(text) } else { Err(NoMessage) }
}

fn list(value: Option<Value>) -> Result<Vec<Value>, NoMessage> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(NoMessage),
    }
}

fn welcome(body: &Value) -> Result<Welcome, NoMessage> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Ok(Welcome {
        session: text("session").ok_or(NoMessage)?,
        epoch: counter(&body["epoch"])?,
        ack: counter(&body["ack"])?,
        saved: match &body["saved"] {
            Value::Null => None,
            saved => Some(counter(saved)?),
        },
        resumed: body["resumed"].as_bool().ok_or(NoMessage)?,
        token: match &body["token"] {
            Value::Null => None,
            Value::String(token) => Some(token.clone()),
            _ => return Err(NoMessage),
        },
        pending: match &body["pending"] {
            Value::Null => Vec::new(),
            Value::Array(seqs) => seqs.iter().map(counter).collect::<Result<_, _>>()?,
            _ => return Err(NoMessage),
        },
        forgotten: body["forgotten"] == true,
        actions: match &body["actions"] {
            Value::Null => HashMap::new(),
            Value::Object(actions) => actions
                .iter()
                // Of what a later version says of an action nothing is understood.
                .map(|(name, traits)| (name.clone(), Traits::deserialize(traits).unwrap_or_default()))
                .collect(),
            _ => return Err(NoMessage),
        },
        actions_in_flight: body["limits"]["actions_in_flight"].as_u64(),
        message_bytes_max: body["limits"]["message_bytes_max"].as_u64(),
    })
}

fn extras(value: Value) -> Result<Extras, NoMessage> {
    let Value::Object(mut members) = value else { return Err(NoMessage) };
    let saved = members.get("saved").map(counter).transpose()?;
    let restored = members.get("restored") == Some(&Value::Bool(true));
    let outcomes = list(members.remove("r"))?.into_iter().map(outcome).collect::<Result<_, _>>()?;
    let events = list(members.remove("e"))?.into_iter().map(event).collect::<Result<_, _>>()?;
    Ok(Extras { outcomes, events, saved, restored })
}

fn outcome(value: Value) -> Result<(u64, Outcome), NoMessage> {
    let mut items = list(Some(value))?.into_iter();
    let mut next = || items.next().ok_or(NoMessage);
    let (seq, kind) = (counter(&next()?)?, string(next()?)?);
    let outcome = match kind.as_str() {
        "pending" => Outcome::Pending,
        "applied" => Outcome::Applied(next().unwrap_or_default()),
        "failed" => Outcome::Failed { code: string(next()?)?, text: string(next()?)? },
        "refused" => Outcome::Refused { code: string(next()?)?, text: string(next()?)? },
        _ => return Err(NoMessage),
    };
    Ok((seq, outcome))
}

fn event(value: Value) -> Result<(EventId, String, Value), NoMessage> {
    let mut items = list(Some(value))?.into_iter();
    let mut next = || items.next().ok_or(NoMessage);
    let (id, kind) = ((counter(&next()?)?, counter(&next()?)?), string(next()?)?);
    let body = next().ok().filter(Value::is_object).ok_or(NoMessage)?;
    Ok((id, kind, body))
}

/// What a client says first.
pub(crate) struct Hello<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) client: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) epoch: u64,
    pub(crate) n: u64,
    pub(crate) event: EventId,
    pub(crate) seq: u64,
    /// The session's epoch, and the highest seq without an outcome that may have reached a server.
    pub(crate) sent: Option<(u64, u64)>,
    pub(crate) page: &'a str,
}

impl Hello<'_> {
    pub(crate) fn text(&self) -> String {
        let Self { token, client, instance, epoch, n, event, seq, sent, page } = self;
        let mut body = json!({
            "token": token, "client": client, "instance": instance, "epoch": epoch, "n": n,
            "event": event, "seq": seq, "page": page, "can": [],
        });
        if let Some(sent) = sent {
            body["sent"] = json!(sent);
        }
        json!(["h", body]).to_string()
    }
}

/// Why a connection ended, from the code and the reason of its close frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// A name of protocol.md section 14, or `lost`.
    pub(crate) code: String,
    pub(crate) seq: Option<u64>,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) route: Option<String>,
}

impl Ended {
    pub(crate) fn lost() -> Self {
        Self::of("lost")
    }

    pub(crate) fn of(code: &str) -> Self {
        Self { code: code.to_owned(), ..Self::default() }
    }

    /// A code that is not known is a lost connection.
    pub(crate) fn read(number: u16, reason: &str) -> Self {
        let Some(code) = CloseCode::ALL.into_iter().find(|code| code.number() == number) else { return Self::lost() };
        let reason: Value = serde_json::from_str(reason).unwrap_or_default();
        Self {
            code: code.name().to_owned(),
            seq: reason["seq"].as_u64(),
            retry_after_ms: reason["retry_after_ms"].as_u64(),
            route: reason["route"].as_str().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_conformance_files_is_read_as_they_say() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../../../conformance/messages/server.json")).unwrap();
        let ours = cases.iter().filter(|case| case["dialect"] == "windlass.v1");
        let mut count = 0;
        for case in ours {
            let then = match decode(case["text"].as_str().unwrap()) {
                Ok(Some(_)) => "read",
                Ok(None) => "ignored",
                Err(NoMessage) => "bad_message",
            };
            assert_eq!(case["then"], then, "{}", case["name"]);
            count += 1;
        }
        assert!(count > 10);
    }

    #[test]
    fn a_close_is_read_with_what_its_reason_says() {
        let ended = Ended::read(4503, r#"{"code":"draining","retry_after_ms":1500}"#);
        assert_eq!((ended.code.as_str(), ended.retry_after_ms), ("draining", Some(1500)));
        assert_eq!(Ended::read(4401, "no JSON").code, "login");
        assert_eq!(Ended::read(1001, "{}"), Ended::lost());
    }
}
