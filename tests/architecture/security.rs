//! SECURITY.md names the test of each defence, and the test is there.

use std::collections::BTreeSet;

use crate::{files, hold};

#[test]
fn every_defence_of_security_md_names_a_test_that_is_there() {
    let page = files::read("SECURITY.md");
    let files = files::all();
    let sources: Vec<_> = files.iter().filter(|file| file.is_rust() || file.is_javascript()).collect();
    let is_there = |name: &str| sources.iter().any(|file| is_test_in(name, &file.text));
    let rows: Vec<_> = page.lines().filter_map(defence).collect();
    assert!(rows.len() > 20, "SECURITY.md writes its defences in another way");
    let bare = rows.iter().filter(|(_, tests)| tests.is_empty()).map(|(what, _)| format!("{what}: no test"));
    let named: BTreeSet<_> = rows.iter().flat_map(|(_, tests)| tests.clone()).collect();
    let gone = named.into_iter().filter(|name| !is_there(name)).map(|name| format!("there is no test {name}"));
    hold("SECURITY.md promises what no test holds:", bare.chain(gone).collect());
}

/// What a row of the table of defences says, and the tests that it names in its last column.
fn defence(line: &str) -> Option<(&str, Vec<&str>)> {
    let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    let [what, _, tests] = cells[..] else { return None };
    let is_head = what == "against" || what.starts_with("--");
    (!is_head).then(|| (what, tests.split('`').skip(1).step_by(2).collect()))
}

/// A function of Rust, or the name of a test of JavaScript.
fn is_test_in(name: &str, text: &str) -> bool {
    [format!("fn {name}("), format!("test('{name}'"), format!("test(\"{name}\"")]
        .iter()
        .any(|start| text.contains(start))
}

#[test]
fn a_defence_and_its_tests_are_read_from_a_row() {
    assert_eq!(
        defence("| made-up tokens | 128 bits | `a_test`, `b_test` |"),
        Some(("made-up tokens", vec!["a_test", "b_test"]))
    );
    assert_eq!(defence("| x | y | none |"), Some(("x", vec![])));
    assert_eq!(defence("| against | defence | held by |"), None);
    assert_eq!(defence("text"), None);
    assert!(is_test_in("a_test", "    fn a_test() {") && is_test_in("a page stays", "test('a page stays', async"));
    assert!(!is_test_in("a_test", "fn not_a_test() {"));
}
