//! Runs `conformance/patches/*.json`, which the web client runs too, on [`windlass_sync::apply`], and makes of each
//! case the JSON Patch that it shows.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use windlass_sync::apply;

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/patches");
    let mut files: Vec<_> =
        folder.read_dir().expect("the conformance files").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().expect("readable").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("readable");
        let list: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.extend(list.into_iter().map(|case| (name.clone(), case)));
    }
    cases
}

#[test]
fn patches_apply_or_fail_as_the_files_say() {
    for (file, case) in cases() {
        let name = case["name"].as_str().expect("a name");
        let mut document = case["before"].clone();
        let result = apply(&mut document, case["ops"].as_array().expect("a list of ops"));
        match case.get("error") {
            Some(reason) => {
                let error = result.expect_err(name);
                assert_eq!(error.code(), reason.as_str().expect("a reason"), "{file}: {name}");
                assert_eq!(document, case["before"], "{file}: {name}: nothing is applied");
            }
            None => {
                assert_eq!(result, Ok(()), "{file}: {name}");
                assert_eq!(document, case["after"], "{file}: {name}");
            }
        }
    }
}

#[test]
fn ops_become_the_json_patches_of_the_files_and_a_library_applies_them() {
    let mut appending = 0;
    for (file, case) in cases() {
        let Some(after) = case.get("after") else { continue };
        let place = format!("{file}: {}", case["name"]);
        let plain = written(&case, false);
        assert_eq!(plain, case["patch"], "{place}");
        let mut document = case["before"].clone();
        let patch: json_patch::Patch = serde_json::from_value(plain.clone()).expect("operations");
        json_patch::patch(&mut document, &patch).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(document, *after, "{place}");
        let expected = case.get("appending_patch").inspect(|_| appending += 1).unwrap_or(&plain);
        assert_eq!(written(&case, true), *expected, "{place}");
    }
    assert!(appending > 3, "no case shows text that grows by its tail");
}

/// What the ops of a case become.
fn written(case: &Value, appends: bool) -> Value {
    let ops: Vec<_> = case["ops"].as_array().expect("a list of ops").iter().map(Value::to_string).collect();
    let mut out = b"[".to_vec();
    let document = || Some(case["after"].to_string().into_bytes());
    windlass_protocol::json_patch::write(&mut out, ops.join(",").as_bytes(), appends, document).expect("a patch");
    out.push(b']');
    serde_json::from_slice(&out).unwrap_or_else(|error| json!(error.to_string()))
}

#[test]
fn names_of_cases_are_unique_and_every_reason_has_one() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|(_, case)| case["name"].as_str()).collect();
    assert_eq!(names.len(), cases.len());
    let reasons: BTreeSet<_> = cases.iter().filter_map(|(_, case)| case.get("error")?.as_str()).collect();
    let all = [
        "absent_key",
        "malformed",
        "missing_parent",
        "not_a_permutation",
        "not_a_string",
        "out_of_range",
        "unknown_op",
        "wrong_container",
    ];
    assert_eq!(reasons, BTreeSet::from(all));
}
