//! The proof that protocol.md and conformance/ are enough: a client that was written from them alone passes all of it.
//!
//! It is `client.mjs`, and shares no code with the web client. `node tests/tests/stranger/run.mjs` runs it by hand.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn a_client_written_from_the_specification_alone_passes_every_file() {
    let folder = top().join("conformance");
    let cases = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str::<Vec<Value>>(&text).unwrap().len()
    };
    let patches: usize = files(&folder.join("patches")).iter().map(|path| cases(path)).sum();
    let messages = cases(&folder.join("messages/server.json"));
    let transcripts = ["transcripts", "transcripts/json-patch"].map(|part| files(&folder.join(part)).len());
    let transcripts: usize = transcripts.iter().sum();
    assert_eq!(run(None), Ok(format!("{patches} patches, {messages} messages, {transcripts} transcripts\n")));
}

#[test]
fn a_client_that_has_misread_the_specification_is_found() {
    let client = fs::read_to_string(here().join("client.mjs")).unwrap();
    let planted = [
        ("n !== this.n + 1", "n <= this.n"),
        ("entry.seq <= this.sentTo", "entry.sent"),
        ("if (STOPS.has(code))", "if (false)"),
        ("this.document = null;\n      this.send([\"r\"]);", "this.document = null;"),
        ("this.settle(ack, extras);\n    this.acknowledge();", "this.settle(ack, extras);"),
        ("this.kept.event = [epoch, n]", "this.kept.event = [0, 0]"),
        ("sent ? \"outcome_unknown\" : \"session_gone\"", "\"session_gone\""),
        ("this.blocked = true;", ""),
        ("reason.retry_after_ms ?? ", ""),
        ("entry.secret) Object.assign", "false) Object.assign"),
        ("Object.hasOwn(parent, step)", "step in parent"),
        ("list.splice(last, 0, ...list.splice(at, 1))", "list.splice(at, 0, ...list.splice(last, 1))"),
        // SAVED-2, ACTION-2
        ("(this.saved !== null && entry.seq > this.saved)", "false"),
        ("const news = ended.filter((entry) => !entry.told);", "const news = [];"),
        ("outbox.find((entry) => !entry.told)?.seq", "outbox[0]?.seq"),
        ("if (saved !== undefined) this.saved = saved;", ""),
        (
            "entry.outcome = entry.pending = undefined;",
            "this.kept.outbox = this.kept.outbox.filter((kept) => kept !== entry || !entry.told);",
        ),
        // RESUME-3
        ("[this.epoch, this.n] = [epoch, 0];", "this.epoch = epoch;"),
        // FRESH-1
        ("this.reject();\n      this.kept = { ...nobody(), client, token };", "this.kept = { ...this.kept, token };"),
        ("replaceAll(\"~1\", \"/\")", "replaceAll(\"~1\", \"~\")"),
        ("now - this.heardAt >= (this.waits() ? 5000 : 60000)", "false"),
    ];
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("misread-{}.mjs", std::process::id()));
    for (right, wrong) in planted {
        assert!(client.contains(right), "{right}");
        fs::write(&file, client.replacen(right, wrong, 1)).unwrap();
        assert!(run(Some(&file)).is_err(), "nothing finds {wrong:?} in place of {right:?}");
    }
    fs::remove_file(&file).unwrap();
}

/// What the run of a client says, or why it failed.
fn run(client: Option<&Path>) -> Result<String, String> {
    let output =
        Command::new("node").arg(here().join("run.mjs")).args(client).output().expect("node 20 or later is installed");
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stranger")
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
