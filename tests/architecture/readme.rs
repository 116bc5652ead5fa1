//! The README shows the files of examples/readme as they are, and promises only what a test carries.

use crate::contract::{test_text, untested};
use crate::{files, hold};

#[test]
fn the_readme_shows_the_files_of_its_example() {
    let readme = files::read("README.md");
    // The header of the file is the sentence above the listing.
    let server = files::read("examples/readme/src/main.rs");
    let server: String = server.split_inclusive('\n').skip_while(|line| line.starts_with("//!")).collect();
    assert_eq!(block(&readme, "rust"), Some(server.trim()), "README.md and examples/readme/src/main.rs differ");
    let page = files::read("examples/readme/page/index.html");
    assert_eq!(block(&readme, "html"), Some(page.trim()), "README.md and examples/readme/page/index.html differ");
}

#[test]
fn every_promise_of_the_readme_is_carried_by_a_test() {
    let promises = promises(&files::read("README.md"));
    assert!(!promises.is_empty(), "README.md writes its promises in another way");
    let files = files::all();
    let tests: Vec<_> = files.iter().map(test_text).collect();
    hold("a promise of README.md has no test that names it:", untested(&promises, &tests));
}

/// The first listing in a language.
fn block<'a>(markdown: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = markdown.split_once(&format!("\n```{language}\n"))?;
    rest.split_once("\n```").map(|(block, _)| block)
}

/// Names in bold capitals at the start of a table row.
fn promises(markdown: &str) -> std::collections::BTreeSet<String> {
    let rows = markdown.lines().filter_map(|line| line.strip_prefix("| **")?.split_once("** |"));
    let names = rows.map(|(name, _)| name);
    names.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '-')).map(str::to_owned).collect()
}

#[test]
fn a_listing_and_a_promise_are_found_in_markdown() {
    let markdown = "x\n```rust\na\nb\n```\ny\n| **ONE-OWNER** | z |\n| **x** | z |\n";
    assert_eq!(block(markdown, "rust"), Some("a\nb"));
    assert_eq!(block(markdown, "html"), None);
    assert_eq!(promises(markdown).into_iter().collect::<Vec<_>>(), ["ONE-OWNER"]);
}
