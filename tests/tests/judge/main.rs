//! The JavaScript client as the judge of the walk: 10,000 random changes, each applied by its `patch.js` in one run.
//!
//! The ops are those that a server would send. The same changes as JSON Patches are applied by a library that we did
//! not write. A run that fails says which seed it was; `WINDLASS_SEED=7 cargo test -p windlass-tests --test judge`
//! runs one seed again.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod state;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use state::{Random, State};
use windlass_protocol::json_patch;
use windlass_sync::{HashKey, Shadow};

const SEEDS: u64 = 100;
const STEPS: u64 = 100;

/// CONVERGE
#[test]
fn the_javascript_client_and_a_library_apply_ten_thousand_random_changes() {
    let seeds = match std::env::var("WINDLASS_SEED") {
        Ok(seed) => vec![seed.parse().expect("WINDLASS_SEED is a number")],
        Err(_) => (1..=SEEDS).collect(),
    };
    let mut cases = Vec::new();
    let mut kinds = BTreeSet::new();
    for &seed in &seeds {
        history(seed, &mut cases, &mut kinds);
    }
    let all = ["append", "delete", "insert", "move", "permute", "remove", "root", "run", "set"];
    assert!(seeds.len() == 1 || kinds == BTreeSet::from(all), "the changes have become tame: {kinds:?}");

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("judge-{}.jsonl", std::process::id()));
    std::fs::write(&file, &cases).unwrap();
    let verdict = judge(&file);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(verdict, Ok(format!("{} applied\n", seeds.len() as u64 * STEPS)));
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let good = json!({"seed": 1, "step": 1, "before": {"a": [1]}, "ops": [["a", 0, 2]], "after": {"a": [2]}});
    let planted = [
        ("/ops", json!([])),
        ("/ops", json!([["a", 1, 2]])),
        ("/after/a/0", json!("2")),
        ("/after", json!({"a": [2], "b": null})),
        ("/after", json!({"a": {"0": 2}})),
    ];
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("planted-{}.jsonl", std::process::id()));
    let verdict_of = |case: &Value| {
        writeln!(std::fs::File::create(&file).unwrap(), "{case}").unwrap();
        judge(&file)
    };
    assert_eq!(verdict_of(&good), Ok("1 applied\n".into()));
    for (place, value) in planted {
        let mut wrong = good.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        let complaint = verdict_of(&wrong).unwrap_err();
        assert!(complaint.contains("WINDLASS_SEED=1 "), "{complaint}");
    }
    std::fs::remove_file(&file).unwrap();
}

/// Lives one state through its changes, and writes each as a case.
fn history(seed: u64, cases: &mut Vec<u8>, kinds: &mut BTreeSet<&'static str>) {
    let mut random = Random::new(seed);
    let mut state = State::new(&mut random);
    let mut shadow = Shadow::new(HashKey([seed, 1]));
    shadow.key("plain", "id");
    let mut before = Vec::new();
    shadow.snapshot(&state, &mut before).unwrap();
    for step in 1..=STEPS {
        for _ in 0..=random.below(3) {
            state.change(&mut random);
        }
        let (mut ops, after) = (Vec::new(), serde_json::to_vec(&state).unwrap());
        shadow.diff(&state, &mut ops).unwrap();
        let list: Vec<Value> = serde_json::from_slice(&[b"[", &ops[..], b"]"].concat()).unwrap();
        kinds.extend(list.iter().map(kind));
        applied_by_a_library(&before, &ops, &after)
            .unwrap_or_else(|why| panic!("{why}, at step {step}\n{}", replay(seed)));
        write!(cases, r#"{{"seed":{seed},"step":{step},"before":"#).unwrap();
        for (part, behind) in [(&before, ",\"ops\":["), (&ops, "],\"after\":"), (&after, "}\n")] {
            cases.extend_from_slice(part);
            cases.extend_from_slice(behind.as_bytes());
        }
        before = after;
    }
}

/// The change as a JSON Patch, applied by json-patch.
fn applied_by_a_library(before: &[u8], ops: &[u8], after: &[u8]) -> Result<(), String> {
    let read = |text: &[u8]| serde_json::from_slice::<Value>(text).expect("a state is JSON");
    let mut out = b"[".to_vec();
    json_patch::write(&mut out, ops, false, || Some(after.to_vec())).map_err(|error| error.to_string())?;
    out.push(b']');
    let patch: ::json_patch::Patch = serde_json::from_slice(&out).map_err(|error| error.to_string())?;
    let mut document = read(before);
    ::json_patch::patch(&mut document, &patch).map_err(|error| error.to_string())?;
    if document == read(after) { Ok(()) } else { Err(format!("{} leads elsewhere", String::from_utf8_lossy(&out))) }
}

/// What the script says of the cases in a file.
fn judge(file: &Path) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judge/judge.mjs");
    let output = Command::new("node").arg(script).arg(file).output().expect("node 20 or later is installed");
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

fn kind(op: &Value) -> &'static str {
    match op[0].as_u64() {
        None => "set",
        Some(0) => "root",
        Some(1) => "insert",
        Some(2) => "remove",
        Some(3) => "move",
        Some(4) => "append",
        Some(5) => "delete",
        Some(7) => "run",
        _ => "permute",
    }
}

fn replay(seed: u64) -> String {
    format!("run it again: WINDLASS_SEED={seed} cargo test -p windlass-tests --test judge")
}
