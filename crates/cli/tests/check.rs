//! `windlass types` and `windlass check` as a person runs them: over the examples, and as docs/types.md shows them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn windlass(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_windlass")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_pages_of_all_examples_are_as_their_types_say() {
    let mut checked = 0;
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let example = entry.unwrap().path();
        if example.join("app.d.ts").is_file() {
            let output = windlass(&example, &["check", "page", "--types", "app.d.ts"]);
            assert_eq!(
                (text(&output.stdout).lines().count(), text(&output.stderr)),
                (1, String::new()),
                "{example:?}: {}",
                text(&output.stdout)
            );
            assert!(output.status.success());
            checked += 1;
        }
    }
    assert!(checked > 7, "only {checked} examples have types");
}

/// The blocks of a guide that name a file, and the one that follows without a name.
fn blocks(guide: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((name.to_owned(), text.join("\n") + "\n"));
        }
    }
    blocks
}

#[test]
fn the_guide_shows_what_the_command_says() {
    let guide = std::fs::read_to_string(root().join("docs/types.md")).unwrap();
    let folder = folder("guide");
    let blocks = blocks(&guide);
    let block = |name: &str| &blocks.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1;
    std::fs::write(folder.join("app.d.ts"), block("ts app.d.ts")).unwrap();
    std::fs::write(folder.join("page.html"), block("html page.html")).unwrap();
    let output = windlass(&folder, &["check", "page.html", "--types", "app.d.ts"]);
    assert_eq!(text(&output.stdout), *block("text"));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "3 things are wrong\n".to_owned()));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = folder("unreadable");
    std::fs::write(folder.join("page.html"), "<p>").unwrap();
    std::fs::write(folder.join("bad.d.ts"), "\nexport class X {}").unwrap();
    std::fs::create_dir(folder.join("empty")).unwrap();
    for (arguments, error) in [
        (&["nothing.html", "--types", "bad.d.ts"], "error: nothing.html cannot be read: "),
        (&["empty", "--types", "bad.d.ts"], "error: there is no page in empty: pages end with .html\n"),
        (&["page.html", "--types", "none.d.ts"], "error: none.d.ts cannot be read: "),
        (
            &["page.html", "--types", "bad.d.ts"],
            "error: bad.d.ts: line 2: `type` or `interface` was expected, not class\n",
        ),
        (&["page.html", "--program", "./no-such-app"], "error: ./no-such-app cannot be run: "),
    ] {
        let output = windlass(&folder, &[&["check"][..], &arguments[..]].concat());
        let said = text(&output.stderr);
        assert!(said.starts_with(error), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn an_app_writes_its_types_and_a_file_that_is_not_current_is_told() {
    let example = root().join("examples/todomvc");
    let file = folder("types").join("app.d.ts");
    let types = |more: &[&str]| {
        let package = ["types", "--package", "todomvc", "--output", file.to_str().unwrap()];
        windlass(&example, &[&package[..], more].concat())
    };
    let output = types(&["--check"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("it is not there"), "{}", text(&output.stderr));
    let output = types(&[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, std::fs::read_to_string(example.join("app.d.ts")).unwrap());
    assert!(text(&types(&["--check"]).stdout).ends_with(" is current\n"));

    std::fs::write(&file, written.replace("add(payload: string)", "add(payload: number)")).unwrap();
    let output = types(&["--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("is `  add(payload: number): null;`, not `  add(payload: string): null;`"),
        "{}",
        text(&output.stderr)
    );

    let output = windlass(&example, &["check", "page", "--package", "todomvc"]);
    assert!(output.status.success(), "the app is asked: {}{}", text(&output.stdout), text(&output.stderr));
}
