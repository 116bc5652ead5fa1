//! Runs `conformance/patches/*.json`, which the web client runs too, on [`windlass_sync::apply`].

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
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
