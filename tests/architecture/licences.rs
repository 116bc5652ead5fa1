//! Every package that is built in has a licence that deny.toml allows.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::{files, hold};

#[test]
fn every_licence_in_the_build_is_allowed() {
    let deny = files::read("deny.toml");
    let allowed = allowed(&deny);
    assert!(allowed.contains("MIT"), "deny.toml lists its licences in another way");
    let packages = packages();
    assert!(packages.len() > 50, "cargo metadata names only {} packages", packages.len());
    let complaints = packages.iter().filter_map(|package| {
        let licence = package["license"].as_str().unwrap_or("no licence");
        (!permits(licence, &allowed)).then(|| format!("{}: {licence}", package["name"]))
    });
    hold("deny.toml does not allow a licence:", complaints.collect());
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // For this platform alone: what only other platforms need was never downloaded.
    let version = Command::new("rustc").arg("-vV").output().expect("rustc is installed");
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let arguments = ["metadata", "--format-version", "1", "--offline", "--filter-platform", host];
    let output = Command::new(cargo).args(arguments).current_dir(files::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// The strings of the list `allow = [ … ]` under `[licenses]`.
fn allowed(deny: &str) -> BTreeSet<&str> {
    let section = deny.split_once("[licenses]").map_or("", |(_, rest)| rest);
    let list = section.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

/// An SPDX expression, with `OR` below `AND` and parentheses; the old `/` between two is `OR`.
fn permits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let any = |parts: Vec<&str>| parts.iter().any(|part| permits(part, allowed));
    let (alternatives, requirements) = (split(expression, " OR "), split(expression, " AND "));
    if alternatives.len() > 1 {
        any(alternatives)
    } else if requirements.len() > 1 {
        requirements.iter().all(|part| permits(part, allowed))
    } else if let Some(inner) = expression.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        permits(inner, allowed)
    } else if expression.contains('/') {
        any(expression.split('/').collect())
    } else {
        allowed.contains(expression.trim())
    }
}

/// Splits where no parenthesis is open.
fn split<'a>(expression: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in expression.match_indices(separator) {
        let before = &expression[..at];
        if before.matches('(').count() == before.matches(')').count() {
            parts.push(&expression[start..at]);
            start = at + separator.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

#[test]
fn a_licence_that_is_not_allowed_is_found() {
    let allowed = allowed("[licenses]\nallow = [\n  \"MIT\",\n  \"Zlib\",\n]\nother = [\"GPL-3.0\"]");
    let cases = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND Unicode-3.0", false),
        ("no licence", false),
    ];
    for (expression, permitted) in cases {
        assert_eq!(permits(expression, &allowed), permitted, "{expression}");
    }
}
