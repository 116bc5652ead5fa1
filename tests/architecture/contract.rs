//! protocol.md against the code: every named MUST has a test, every wire name one spelling.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{self, File};
use crate::{code, hold};

#[test]
fn every_named_must_of_the_protocol_is_carried_by_a_test() {
    let names = musts(&files::read("protocol.md"));
    assert!(names.len() > 20, "protocol.md names its MUSTs in another way: {names:?}");
    let files = files::all();
    let tests: Vec<_> = files.iter().map(test_text).collect();
    hold("a MUST of protocol.md has no test that names it:", untested(&names, &tests));
}

#[test]
fn wire_names_have_one_spelling() {
    let protocol = files::read("protocol.md");
    let names = snake_names(&protocol);
    assert!(names.contains("retry_after_ms"), "protocol.md writes its names in another way");
    let files = files::all();
    let complaints =
        files.iter().filter(|file| file.is_in("web-client/src") && file.is_javascript()).flat_map(|file| {
            let misspelled = camel_cased(&names, &code::of_javascript(&file.text));
            misspelled.into_iter().map(|complaint| format!("{}: {complaint}", file.path))
        });
    hold("the page spells a wire name in its own way:", complaints.collect());
}

#[test]
fn every_close_code_of_the_protocol_is_in_the_rust_types_under_its_number_and_name() {
    let protocol = files::read("protocol.md");
    let table = close_codes(&protocol);
    assert!(table.len() > 8, "protocol.md lists its close codes in another way: {table:?}");
    let rust = files::read("crates/protocol/src/close.rs");
    let missing =
        table.iter().filter(|(number, name)| !(rust.contains(*number) && rust.contains(&format!("\"{name}\""))));
    hold("a close code is missing in Rust:", missing.map(|(number, name)| format!("{number} {name}")).collect());
}

/// `[RESUME-1]` and the like, each once.
fn musts(text: &str) -> BTreeSet<String> {
    let candidates = text.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
    let named = candidates.map(|(name, _)| name).filter(|name| {
        name.rsplit_once('-').is_some_and(|(word, number)| {
            let word = !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '-');
            word && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
        })
    });
    named.map(str::to_owned).collect()
}

/// The part of a file that is a test: whole files of the test folders, and what stands at the foot of Rust files.
pub(crate) fn test_text(file: &File) -> &str {
    // These files speak of MUSTs without testing any.
    if file.is_in("tests/architecture") {
        return "";
    }
    if ["tests", "web-client/test", "conformance"].iter().any(|folder| file.is_in(folder))
        || file.path.contains("/tests/")
    {
        return &file.text;
    }
    if file.is_rust() { &file.text[code::tests_at(&file.text)..] } else { "" }
}

pub(crate) fn untested(names: &BTreeSet<String>, tests: &[&str]) -> Vec<String> {
    // As a word of its own: neither RESUME-12 nor EVENTS_MAX carries RESUME-1 or EVENTS.
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let carries = |test: &str, name: &str| {
        test.match_indices(name).any(|(at, _)| {
            let (before, after) = (&test[..at], &test[at + name.len()..]);
            let longer = after.strip_prefix('-').unwrap_or(after).starts_with(word);
            !longer && !before.ends_with(|c| word(c) || c == '-')
        })
    };
    names.iter().filter(|name| !tests.iter().any(|test| carries(test, name))).cloned().collect()
}

/// Names in backticks or quotes that hold an underscore.
fn snake_names(protocol: &str) -> BTreeSet<&str> {
    let words = protocol.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    words.filter(|word| word.trim_matches('_').contains('_')).map(|word| word.trim_matches('_')).collect()
}

fn camel_cased(names: &BTreeSet<&str>, code: &str) -> Vec<String> {
    let spellings: BTreeMap<String, &str> = names.iter().map(|name| (camel(name), *name)).collect();
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    let found: BTreeSet<_> = words.filter_map(|word| spellings.get(word).map(|name| (word, name))).collect();
    found.into_iter().map(|(word, name)| format!("{word} is {name} on the wire")).collect()
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        all.extend(word.chars().next().map(|c| c.to_ascii_uppercase()));
        all.extend(word.chars().skip(1));
        all
    })
}

/// The rows ``| 4400 | `bad_message` | …`` of the close code table.
fn close_codes(protocol: &str) -> Vec<(&str, &str)> {
    let rows = protocol.lines().filter(|line| line.starts_with("| 4"));
    rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        Some((cells.next()?, cells.next()?.trim_matches('`')))
    })
    .collect()
}

#[test]
fn a_must_without_a_test_is_found() {
    let names = musts("- [RESUME-1] A server MUST … `[0, 0]` [link](x) [TAKE-OVER-12] [1-2] [x-1]");
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["RESUME-1", "TAKE-OVER-12"]);
    assert_eq!(untested(&names, &["// RESUME-1: …", "TAKE-OVER-12"]), [""; 0]);
    for near in ["RESUME-12", "NO-RESUME-1", "RESUME-1_MAX", "RESUME-1-2"] {
        assert_eq!(untested(&names, &[near, "TAKE-OVER-12"]), ["RESUME-1"], "{near}");
    }
}

#[test]
fn a_wire_name_in_another_spelling_is_found() {
    let names = snake_names("`retry_after_ms` and \"in_use\", but __proto__ is no name of ours");
    assert_eq!(names.iter().copied().collect::<Vec<_>>(), ["in_use", "retry_after_ms"]);
    assert_eq!(camel_cased(&names, "const { retryAfterMs } = reason"), ["retryAfterMs is retry_after_ms on the wire"]);
    assert_eq!(camel_cased(&names, "const { retry_after_ms } = reason"), [""; 0]);
}

#[test]
fn close_codes_are_read_from_their_table() {
    let table = "| code | name |\n| 1000 | – |\n| 4400 | `bad_message` | … |";
    assert_eq!(close_codes(table), [("4400", "bad_message")]);
}
