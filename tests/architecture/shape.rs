//! What every file looks like: a header, a length one can read, no trace of a machine, clean lock files.

use crate::files::{self, File};
use crate::hold;

/// Where a file passes this, there is a second noun in it.
const LINES_MAX: usize = 800;

#[test]
fn every_source_file_opens_with_a_header_that_says_what_it_is() {
    let files = files::all();
    hold("a file has no header:", files.iter().filter_map(headless).collect());
}

#[test]
fn no_source_file_is_longer_than_one_noun() {
    let files = files::all();
    hold("a file is too long; look for the second noun in it:", files.iter().filter_map(too_long).collect());
}

#[test]
fn no_file_names_the_machine_it_was_written_on_or_a_registry_host() {
    let files = files::all();
    hold("a file names a machine:", files.iter().flat_map(machine).collect());
}

#[test]
fn lock_files_name_public_packages_only() {
    let files = files::all();
    assert!(files.iter().any(|file| file.path == "Cargo.lock"), "Cargo.lock must be tracked");
    assert!(files.iter().any(|file| file.path == "web-client/package-lock.json"), "package-lock.json must be tracked");
    hold("a lock file is not clean:", files.iter().flat_map(unclean_lock).collect());
}

fn headless(file: &File) -> Option<String> {
    let text =
        file.text.strip_prefix("#!").map_or(&*file.text, |text| text.split_once('\n').map_or("", |(_, rest)| rest));
    let first = text.lines().next().unwrap_or_default();
    if file.is_rust() {
        let says = first.strip_prefix("//! ").is_some_and(|sentence| !sentence.trim().is_empty());
        return (!says || first == "//! Placeholder.").then(|| format!("{}: begin with //! and a sentence", file.path));
    }
    if file.is_javascript() {
        let block = text.split_once("*/").map_or("", |(block, _)| block);
        let says = block.starts_with("/**") && block.contains("@module");
        return (!says).then(|| format!("{}: begin with a /** … @module */ block", file.path));
    }
    None
}

fn too_long(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    let source = (file.is_rust() || file.is_javascript() || file.path.ends_with(".css")) && !file.is_generated();
    (source && lines > LINES_MAX).then(|| format!("{}: {lines} lines", file.path))
}

fn machine(file: &File) -> Vec<String> {
    // Written apart, so that this file does not name them.
    let words = [
        concat!("/wo", "rk/main"),
        concat!("/wo", "rk/shared"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/tm", "p/"),
        concat!("registry.", "npmjs"),
        concat!("registry.", "yarnpkg"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("deb.", "debian.org"),
        concat!("arti", "factory"),
    ];
    let lines = file.text.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            let found = words.iter().filter(move |word| line.contains(*word));
            found.map(move |word| format!("{}:{}: {word}", file.path, at + 1))
        })
        .collect()
}

fn unclean_lock(file: &File) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let unclean: fn(&str) -> bool = match name {
        "Cargo.lock" => |line| {
            let source = line.trim().strip_prefix("source = ");
            source.is_some_and(|source| source != "\"registry+https://github.com/rust-lang/crates.io-index\"")
        },
        // npm leaves it out with `omit-lockfile-registry-resolved`; it names the mirror of whoever wrote the file.
        "package-lock.json" => |line| line.trim_start().starts_with("\"resolved\""),
        ".npmrc" => |line| line.contains("registry=") || line.contains("_auth"),
        _ => return Vec::new(),
    };
    let lines = file.text.lines().enumerate().filter(|(_, line)| unclean(line));
    lines.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim())).collect()
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

#[test]
fn a_file_without_a_header_is_found() {
    let cases = [
        ("a.rs", "//! One noun.\n", true),
        ("a.rs", "//!\n", false),
        ("a.rs", "//! Placeholder.\n", false),
        ("a.rs", "use std::fmt;\n//! Late.", false),
        ("a.js", "/** @module a */", true),
        ("a.js", "/**\n * One noun.\n * @module\n */\n", true),
        ("a.js", "#!/usr/bin/env node\n/** @module a */", true),
        ("a.js", "import './b.js'\n/** @module a */", false),
        ("web-client/dist/a.js", "x", true),
        ("a.md", "x", true),
    ];
    for (path, text, fine) in cases {
        assert_eq!(headless(&file(path, text)).is_none(), fine, "{path} {text}");
    }
}

#[test]
fn a_file_of_too_many_lines_is_found() {
    assert_eq!(too_long(&file("a.rs", &"\n".repeat(LINES_MAX))), None);
    assert!(too_long(&file("a.rs", &"\n".repeat(LINES_MAX + 1))).is_some());
    assert_eq!(too_long(&file("a.md", &"\n".repeat(LINES_MAX + 1))), None);
}

#[test]
fn a_planted_path_of_a_machine_or_a_registry_is_found() {
    for planted in
        [concat!("cd /ro", "ot/x"), concat!("https://registry.", "npmjs.org/x"), concat!("x = \"/ho", "me/me\"")]
    {
        assert_eq!(machine(&file("a.md", planted)).len(), 1, "{planted}");
    }
    assert_eq!(machine(&file("a.md", "as root, at home, at work")), [""; 0]);
}

#[test]
fn a_planted_source_in_a_lock_file_is_found() {
    let cases = [
        ("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"", 0),
        ("Cargo.lock", "source = \"git+https://github.com/a/b\"", 1),
        ("x/package-lock.json", "  \"resolved\": \"https://a/b.tgz\",", 1),
        ("x/package-lock.json", "  \"integrity\": \"sha512-x\",", 0),
        ("x/.npmrc", "registry=https://a/", 1),
        ("x/.npmrc", "omit-lockfile-registry-resolved=true", 0),
    ];
    for (path, line, complaints) in cases {
        assert_eq!(unclean_lock(&file(path, line)).len(), complaints, "{path} {line}");
    }
}
