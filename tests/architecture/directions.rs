//! Who may depend on whom, and on what of others.

use std::process::Command;

use serde_json::Value;

use crate::{files, hold};

/// A package and a package that it depends on.
type Edge = (String, String);

/// The whole table: what each package of ours may use of ours. What is not here may use nothing.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("windlass-sync", &["windlass-protocol"]),
    ("windlass-engine", &["windlass-protocol", "windlass-sync"]),
    (
        "windlass",
        &["windlass-protocol", "windlass-sync", "windlass-engine", "windlass-store", "windlass-jobs", "windlass-types"],
    ),
    ("windlass-client", &["windlass-protocol", "windlass-sync"]),
    ("windlass-cli", &["windlass", "windlass-client", "windlass-proxy", "windlass-types"]),
    ("windlass-tests", ANY),
    ("guide", &["windlass"]),
    ("windlass-benches", ANY),
    // The gallery nests the other examples; each example is checked as EXAMPLE.
    ("demo", &["windlass", "windlass-client", "windlass-proxy", EXAMPLE]),
    (EXAMPLE, &["windlass", "windlass-client"]),
];
const ANY: &[&str] = &["*"];
const EXAMPLE: &str = "an example";

/// Packages that bring a clock, randomness, files, sockets or a runtime, by the start of their names.
const WORLDLY: [&str; 12] =
    ["async-", "axum", "chrono", "futures", "getrandom", "hyper", "libc", "mio", "rand", "reqwest", "time", "tokio"];
/// What never reads any of that.
const UNWORLDLY: [&str; 3] = ["windlass-protocol", "windlass-sync", "windlass-engine"];

#[test]
fn packages_depend_only_in_the_directions_of_the_design() {
    let packages = packages();
    let ours: Vec<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert!(ours.contains(&"windlass"), "the metadata is that of another workspace");
    let examples: Vec<_> = packages
        .iter()
        .filter(|package| package["manifest_path"].as_str().unwrap().contains("/examples/"))
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    let edges = edges(&packages);
    let inner: Vec<_> = edges.iter().filter(|(_, to)| ours.contains(&to.as_str())).cloned().collect();
    assert!(inner.contains(&("windlass".into(), "windlass-engine".into())), "no dependency was read");
    hold("dependencies go another way than DESIGN allows:", wrong_directions(&inner, &examples));
    hold("protocol, sync and engine are sans-I/O:", worldly(&edges));
}

fn wrong_directions(edges: &[Edge], examples: &[&str]) -> Vec<String> {
    let role = |name: &str| if examples.contains(&name) { EXAMPLE.to_owned() } else { name.to_owned() };
    edges
        .iter()
        .filter(|(from, to)| {
            let row = |name: &str| ALLOWED.iter().find(|(from, _)| *from == name).map(|(_, allowed)| *allowed);
            let allowed = row(from).or_else(|| row(&role(from))).unwrap_or_default();
            allowed != ANY && !allowed.contains(&role(to).as_str())
        })
        .map(|(from, to)| format!("{from} must not depend on {to}"))
        .collect()
}

fn worldly(edges: &[Edge]) -> Vec<String> {
    edges
        .iter()
        .filter(|(from, to)| UNWORLDLY.contains(&from.as_str()) && WORLDLY.iter().any(|start| to.starts_with(start)))
        .map(|(from, to)| format!("{from} must not depend on {to}"))
        .collect()
}

/// The packages of the workspace, as cargo describes them.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(files::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// Dependencies of every kind: a dev-dependency can turn a direction round as well.
fn edges(packages: &[Value]) -> Vec<Edge> {
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    packages
        .iter()
        .flat_map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            dependencies.iter().map(|dependency| (name(package), name(dependency)))
        })
        .collect()
}

#[test]
fn a_planted_edge_is_found_and_an_allowed_one_is_not() {
    let cases = [
        ("windlass-sync", "windlass-protocol", true),
        ("windlass-protocol", "windlass-sync", false),
        ("windlass-engine", "windlass-jobs", false),
        ("windlass-jobs", "windlass-protocol", false),
        ("windlass-store", "windlass-engine", false),
        ("windlass", "windlass-store", true),
        ("windlass", "windlass-client", false),
        ("windlass-tests", "windlass-engine", true),
        ("windlass-proxy", "windlass-protocol", false),
        ("windlass-types", "windlass", false),
        ("windlass-cli", "windlass-proxy", true),
        ("xtask", "windlass", false),
        ("demo", "readme", true),
        ("readme", "demo", false),
        ("readme", "windlass", true),
        ("readme", "windlass-engine", false),
    ];
    for (from, to, allowed) in cases {
        let edge = (from.to_owned(), to.to_owned());
        assert_eq!(wrong_directions(&[edge], &["demo", "readme"]).is_empty(), allowed, "{from} -> {to}");
    }
}

#[test]
fn a_planted_runtime_in_the_engine_is_found() {
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(worldly(&[edge("windlass-engine", "tokio-util"), edge("windlass-sync", "serde")]).len(), 1);
    assert_eq!(worldly(&[edge("windlass", "tokio")]).len(), 0);
}
