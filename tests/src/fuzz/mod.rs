//! The fuzz targets: everything that reads what strangers write, and the session itself.
//!
//! A target takes any bytes and panics when something is wrong with what it calls. `cargo xtask fuzz` drives them with
//! [`mutate`]; `fuzz/` has an entry point for each, for cargo-fuzz, which needs no nightly one without a sanitizer. What they begin
//! with is in `fuzz/corpus/`, by the name of the target.

use serde_json::Value;
use serde_json::value::RawValue;
use windlass_protocol::{ClientMessage, Close, Dialect, Secret, SessionId, Token, json_patch};
use windlass_sync::{HashKey, Shadow};

mod app;
pub mod mutate;
mod session;

pub use session::record_of;

/// Something that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 12] = [
    Target { name: "client_message", run: client_message },
    Target { name: "server_message", run: server_message },
    Target { name: "patch", run: patch },
    Target { name: "diff", run: diff },
    Target { name: "json_patch", run: json_patch },
    Target { name: "token", run: token },
    Target { name: "record", run: session::record },
    Target { name: "session", run: session::session },
    Target { name: "address", run: address },
    Target { name: "path", run: path },
    Target { name: "cookies", run: cookies },
    Target { name: "origin", run: origin },
];

/// The target with that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// A message of a client, in both dialects.
fn client_message(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for dialect in Dialect::ALL {
        match dialect.decode(text) {
            Ok(ClientMessage::Action(action)) => {
                assert!(action.name.len() <= windlass_protocol::limits::NAME_BYTES_MAX);
                // Whoever reads it later reads JSON; a number may be larger than what it is read into.
                serde_json::from_str::<&RawValue>(action.payload.get()).expect("a payload is JSON");
            }
            Ok(_) => {}
            // The close fits into a frame, whatever was wrong.
            Err(error) => assert!(Close::from(&error).reason().len() <= 123),
        }
    }
}

/// A message of a server, as the Rust client reads it.
fn server_message(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        windlass_client::fuzz::server_message(text);
    }
}

/// Ops on a document: all of them or none.
fn patch(bytes: &[u8]) {
    let Some((document, ops)) = two(bytes) else { return };
    let Value::Array(ops) = ops else { return };
    let mut applied = document.clone();
    if windlass_sync::apply(&mut applied, &ops).is_err() {
        assert_eq!(applied, document, "an error changes nothing");
    }
}

/// The ops from one state to another lead there, in both dialects.
fn diff(bytes: &[u8]) {
    let Some((before, after)) = two(bytes) else { return };
    if !before.is_object() || !after.is_object() {
        return;
    }
    let mut shadow = Shadow::new(HashKey([1, 2]));
    let (mut snapshot, mut ops) = (Vec::new(), Vec::new());
    if shadow.snapshot(&before, &mut snapshot).is_err() || shadow.diff(&after, &mut ops).is_err() {
        return;
    }
    let list: Vec<Value> = serde_json::from_slice(&[b"[", &ops[..], b"]"].concat()).expect("ops are JSON");
    let mut document: Value = serde_json::from_slice(&snapshot).expect("a snapshot is JSON");
    windlass_sync::apply(&mut document, &list).expect("ops of a diff apply");
    assert!(equal(&document, &after), "{document} is not {after}");

    let whole = || serde_json::to_vec(&after).ok();
    let mut written = b"[".to_vec();
    json_patch::write(&mut written, &ops, false, whole).expect("ops of a diff are a patch");
    written.push(b']');
    let patch: ::json_patch::Patch = serde_json::from_slice(&written).expect("a patch is one of RFC 6902");
    let mut document: Value = serde_json::from_slice(&snapshot).expect("a snapshot is JSON");
    ::json_patch::patch(&mut document, &patch).expect("the patch applies");
    assert!(equal(&document, &after), "{document} is not {after}");
}

/// Any ops as a patch of RFC 6902: written, or an error.
fn json_patch(bytes: &[u8]) {
    // Each item that is removed is an operation of its own: no list is as long as some numbers, however they are written.
    let is_long =
        |text: &[u8]| str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok_and(|number| number >= 1e4));
    if bytes.split(|byte| !(byte.is_ascii_digit() || b".eE+-".contains(byte))).any(is_long) {
        return;
    }
    for append in [false, true] {
        let mut out = b"[".to_vec();
        if json_patch::write(&mut out, bytes, append, || Some(b"{}".to_vec())).is_ok() {
            out.push(b']');
            // Ops that are none can say anything, but what was written of JSON is JSON.
            if serde_json::from_slice::<Vec<Value>>(&[b"[", bytes, b"]"].concat()).is_ok() {
                serde_json::from_slice::<Vec<Value>>(&out).expect("a patch of JSON is JSON");
            }
        }
    }
}

/// A token and the ids in it.
fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = text.parse::<Token>() {
        let again = Token { session: SessionId(token.session.0), secret: Secret(token.secret.0) };
        assert_eq!(again.expose(), text, "a token has one spelling");
    }
    if let Ok(session) = text.parse::<SessionId>() {
        assert_eq!(session.to_string(), text);
    }
}

fn address(bytes: &[u8]) {
    let (ranges, forwarded) = halves(bytes);
    windlass::fuzz::address(&String::from_utf8_lossy(ranges), forwarded);
}

fn path(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        windlass::fuzz::path(text);
    }
}

fn cookies(bytes: &[u8]) {
    windlass::fuzz::cookies(bytes);
}

fn origin(bytes: &[u8]) {
    let (origin, host) = halves(bytes);
    windlass::fuzz::origin(origin, host);
}

/// Two values of JSON, with a bar between.
fn two(bytes: &[u8]) -> Option<(Value, Value)> {
    let (first, second) = halves(bytes);
    Some((serde_json::from_slice(first).ok()?, serde_json::from_slice(second).ok()?))
}

/// What is before the first bar, and what is behind it.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'|').unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}

/// Whether two documents are one, as protocol.md has it: numbers as doubles.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            // The parser's last bit of a long number may be another than that of the number that was written.
            one == other || (one - other).abs() <= one.abs() * f64::EPSILON * 2.0
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| equal(one, other)))
        }
        (one, other) => one == other,
    }
}
