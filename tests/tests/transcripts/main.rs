//! What is written of the protocol, led by the session core: the shared transcripts and the examples of protocol.md.
//!
//! The page's lines are fed in and what the server says must be the server's lines; the web client
//! runs the same files from the other side. Time is virtual, and nothing opens a socket.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod counter;
mod messages;
mod page;
mod server;
mod specification;
mod transcript;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use transcript::Transcript;
use windlass_protocol::CloseCode;

#[test]
fn every_transcript_is_led_by_the_engine_as_it_is_written() {
    let folder = top().join("conformance/transcripts");
    let mut paths = Vec::new();
    for part in ["", "wrong", "json-patch"] {
        let files = fs::read_dir(folder.join(part)).unwrap().map(|entry| entry.unwrap().path());
        let before = paths.len();
        paths.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "json")));
        assert!(paths.len() > before, "there are transcripts to conform to in {part:?}");
    }
    paths.sort();
    let complaints: Vec<_> = paths
        .iter()
        .filter_map(|path| {
            let why = lead(&fs::read_to_string(path).unwrap()).err()?;
            Some(format!("{}: {why}", path.display()))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_message_and_every_close_code_is_in_a_transcript_for_clients() {
    let steps = |folder: &str| {
        let files = fs::read_dir(top().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let steps = texts.flat_map(|path| {
            let transcript: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            transcript["steps"].as_array().unwrap().clone()
        });
        steps.collect::<Vec<_>>()
    };
    let first = steps("conformance/transcripts");
    let second = steps("conformance/transcripts/json-patch");
    let says = |steps: &[Value], side: &str, tag: &str| {
        steps.iter().any(|step| step[side][0] == tag || step[side]["type"] == tag)
    };
    for (side, tag, kind) in [
        ("client", "h", "hello"),
        ("client", "a", "action"),
        ("client", "v", ""),
        ("client", "k", "ack"),
        ("client", "r", "refetch"),
        ("client", "p", ""),
        ("server", "w", "welcome"),
        ("server", "s", "snapshot"),
        ("server", "d", "delta"),
        ("server", "o", "later"),
        ("server", "q", "ask"),
        ("server", "p", ""),
        ("server", "x", ""),
    ] {
        assert!(says(&first, side, tag), "no transcript has the {side}'s {tag}");
        assert!(kind.is_empty() || says(&second, side, kind), "no transcript has the {side}'s {kind}");
    }
    for code in CloseCode::ALL {
        let closes =
            |step: &Value| step["close"]["code"] == code.number() && step["close"]["reason"]["code"] == code.name();
        assert!(first.iter().any(closes), "no transcript has {code}");
    }
}

#[test]
fn a_transcript_in_which_the_server_says_nothing_is_found() {
    let why = lead(r#"{"name": "planted", "app": "counter", "steps": [{"socket": "open"}]}"#).unwrap_err();
    assert_eq!(why, "the server says nothing in it");
}

fn lead(transcript: &str) -> Result<(), String> {
    match Transcript::read(transcript)?.play()? {
        0 => Err("the server says nothing in it".into()),
        _ => Ok(()),
    }
}

/// The top of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
