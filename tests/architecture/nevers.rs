//! What must never stand in the code: clocks in the core, queues without a bound, HTML from data.

use crate::files::{self, File};
use crate::{code, hold};

/// The crates that never read a clock, randomness, environment, file or socket.
const SANS_IO: [&str; 3] = ["crates/protocol", "crates/sync", "crates/engine"];

#[test]
fn protocol_sync_and_engine_read_no_clock_randomness_environment_file_or_socket() {
    let files = files::all();
    let core: Vec<_> = files.iter().filter(|file| file.is_rust() && SANS_IO.iter().any(|c| file.is_in(c))).collect();
    assert!(core.len() >= SANS_IO.len(), "the crates have moved");
    // Their tests may read conformance files; the code may not.
    let complaints = core.iter().filter(|file| !file.path.contains("/tests/")).flat_map(|file| {
        let code = code::of_rust(&file.text[..code::tests_at(&file.text)]);
        each_line(file, &code, worldly)
    });
    hold("never 1: the core is sans-I/O; time, seeds and tokens are inputs:", complaints.collect());
}

/// What sessions wait for is counted in time that servers were up: a wall clock that jumps can change nothing that is not
/// there.
#[test]
fn nothing_of_a_server_or_a_client_reads_the_wall_clock() {
    let files = files::all();
    // The commands of `windlass` may name their files by it.
    let is_of_app = |file: &File| file.is_in("crates") && !file.is_in("crates/cli");
    let sources: Vec<_> = files.iter().filter(|file| file.is_rust() && is_of_app(file) && !is_test(file)).collect();
    assert!(sources.len() > 100, "the crates have moved");
    let complaints = sources.iter().flat_map(|file| each_line(file, &code::of_rust(&file.text), wall_clock));
    hold("clocks: nothing depends on what time it is:", complaints.collect());
}

#[test]
fn every_channel_has_a_bound() {
    let files = files::all();
    // A test may collect what it sees in a channel without a bound: it ends, and so does the channel.
    let sources = files.iter().filter(|file| file.is_rust() && !is_test(file));
    let complaints = sources.flat_map(|file| {
        let code = code::of_rust(&file.text[..code::tests_at(&file.text)]);
        each_line(file, &code, unbounded)
    });
    hold("never 4: a queue is never unbounded:", complaints.collect());
}

#[test]
fn the_web_client_never_evaluates_text_nor_writes_html_from_data() {
    let files = files::all();
    let sources: Vec<_> = files.iter().filter(|file| file.is_in("web-client/src") && file.is_javascript()).collect();
    assert!(!sources.is_empty(), "the web client has moved");
    let complaints = sources.iter().flat_map(|file| each_line(file, &code::of_javascript(&file.text), scripting));
    hold("never 10: the web client never evaluates text as script:", complaints.collect());
}

#[test]
fn tests_bind_no_fixed_port_ignore_nothing_and_never_sleep_to_hope() {
    let files = files::all();
    // This file holds the planted violations.
    let complaints = files.iter().filter(|file| !file.path.ends_with("nevers.rs")).flat_map(|file| {
        let text = match file {
            file if file.is_rust() => &file.text[if is_test(file) { 0 } else { code::tests_at(&file.text) }..],
            file if file.is_javascript() && is_test(file) => &file.text[..],
            _ => "",
        };
        each_line(file, text, hopeful)
    });
    hold("never 11: tests depend on nothing but themselves:", complaints.collect());
}

fn is_test(file: &File) -> bool {
    file.is_in("tests") || file.path.contains("/test/") || file.path.contains("/tests/")
}

/// Complaints about single lines, with their place.
fn each_line(file: &File, code: &str, rule: fn(&str) -> Option<&'static str>) -> Vec<String> {
    // What follows the last line break of the whole text is where a part of it ends as well.
    let skipped = file.text.len().saturating_sub(code.len());
    let before = if file.text.ends_with(code) { file.text[..skipped].matches('\n').count() } else { 0 };
    let numbered = code.lines().enumerate();
    numbered.filter_map(|(at, line)| Some(format!("{}:{}: {}", file.path, before + at + 1, rule(line)?))).collect()
}

fn worldly(line: &str) -> Option<&'static str> {
    let words: Vec<_> = words(line).collect();
    let has = |word: &str| words.contains(&word);
    let path = |module: &str| line.contains(&format!("{module}::")) && has(module);
    let imported = |module: &str| line.trim_start().starts_with("use std::") && has(module);
    let module = |module: &str| path(module) || imported(module);
    match () {
        () if has("async") || has("await") => Some("no async here"),
        () if has("Instant") || has("SystemTime") || has("UNIX_EPOCH") => Some("reads a clock"),
        () if has("RandomState") || has("getrandom") || module("rand") => Some("reads randomness"),
        () if module("env") || has("option_env") => Some("reads the environment"),
        () if module("fs") => Some("touches files"),
        () if module("net") => Some("touches sockets"),
        () if module("process") || module("thread") || module("tokio") => Some("touches the outside"),
        () => None,
    }
}

fn wall_clock(line: &str) -> Option<&'static str> {
    let clocks = ["SystemTime", "UNIX_EPOCH", "CLOCK_REALTIME", "Utc", "Local"];
    words(line).any(|word| clocks.contains(&word)).then_some("reads the wall clock")
}

fn unbounded(line: &str) -> Option<&'static str> {
    if words(line).any(|word| word == "unbounded_channel" || word == "unbounded") {
        return Some("a channel without a bound");
    }
    // std's `channel()` takes no bound; tokio's bounded one takes it as an argument, and a oneshot holds one value.
    let mut calls = line.match_indices("channel").filter(|(at, word)| {
        let mut after = line[at + word.len()..].trim_start();
        if let Some(turbofish) = after.strip_prefix("::<") {
            after = turbofish.rsplit_once('>').map_or("", |(_, after)| after);
        }
        let before = &line[..*at];
        let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        is_word && after.starts_with("()") && !before.ends_with("oneshot::") && !before.trim_end().ends_with("fn")
    });
    calls.next().map(|_| "std's channel has no bound; use sync_channel")
}

fn scripting(line: &str) -> Option<&'static str> {
    let has = |word: &str| words(line).any(|found| found == word);
    let called = |name: &str| line.contains(&format!("{name}(")) && has(name);
    let member = |name: &str| line.contains(&format!(".{name}")) && has(name);
    match () {
        () if called("eval") || called("Function") => Some("evaluates text as script"),
        () if member("innerHTML") || member("outerHTML") || member("srcdoc") => Some("writes HTML from data"),
        () if called("insertAdjacentHTML") || called("createContextualFragment") || called("setHTMLUnsafe") => {
            Some("writes HTML from data")
        }
        () if line.contains("document.write") => Some("writes HTML from data"),
        () => None,
    }
}

fn hopeful(line: &str) -> Option<&'static str> {
    let port = |host: &str| {
        let ports = line.split(host).skip(1);
        ports.into_iter().any(|after| after.starts_with(|c: char| ('1'..='9').contains(&c)))
    };
    match () {
        () if line.trim_start().starts_with("#[ignore") => Some("nothing is ignored"),
        () if [".skip(", ".only(", ".todo("]
            .iter()
            .any(|end| ["test", "it", "describe"].iter().any(|f| calls(line, f, end))) =>
        {
            Some("nothing is skipped")
        }
        () if line.contains("waitForTimeout(") => Some("sleeps on the wall clock; wait for what should come"),
        () if line.contains("bind(") && (port("127.0.0.1:") || port("localhost:")) => Some("binds a fixed port"),
        () => None,
    }
}

fn calls(line: &str, object: &str, method: &str) -> bool {
    line.trim_start().starts_with(&format!("{object}{method}"))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Every planted line must be found, and every innocent one must not.
fn check(rule: fn(&str) -> Option<&'static str>, planted: &[&str], innocent: &[&str]) {
    for line in planted {
        assert!(rule(line).is_some(), "not found: {line}");
    }
    for line in innocent {
        assert_eq!(rule(line), None, "{line}");
    }
}

#[test]
fn a_planted_clock_is_found() {
    let planted = [
        "use std::time::Instant;",
        "use std::{env, fmt};",
        "let now = SystemTime::now();",
        "pub async fn run() {}",
        "let x = rand::random();",
        "std::fs::read(path)",
        "use std::net::TcpStream;",
        "tokio::spawn(x)",
        "HashMap<K, V, RandomState>",
    ];
    let innocent = ["use std::time::Duration;", "let network = 1;", "fn instant() {}", "env!(\"X\")", "let brand = 1;"];
    check(worldly, &planted, &innocent);
}

#[test]
fn a_planted_wall_clock_is_found() {
    let planted = ["use std::time::{Duration, SystemTime};", "let at = time::UNIX_EPOCH;", "libc::CLOCK_REALTIME"];
    check(wall_clock, &planted, &["use std::time::Instant;", "let system_time = 1;", "/// the local time"]);
}

#[test]
fn a_planted_channel_without_a_bound_is_found() {
    let planted = [
        "let (tx, rx) = mpsc::channel();",
        "let (tx, rx) = std::sync::mpsc::channel::<Vec<u8>>();",
        "let (tx, rx) = channel();",
        "use tokio::sync::mpsc::unbounded_channel;",
        "crossbeam::channel::unbounded()",
    ];
    let innocent = [
        "let (tx, rx) = mpsc::channel(8);",
        "let (tx, rx) = oneshot::channel();",
        "let (tx, rx) = oneshot::channel::<u8>();",
        "let (tx, rx) = mpsc::sync_channel(1);",
        "let (tx, rx) = watch::channel(false);",
        "fn channel() {}",
    ];
    check(unbounded, &planted, &innocent);
}

#[test]
fn a_planted_evaluation_is_found() {
    let planted = [
        "eval(text)",
        "new Function(text)",
        "node.innerHTML = text",
        "node.insertAdjacentHTML('x', y)",
        "document.write(x)",
    ];
    let innocent = ["evaluate(text)", "compileFunction(x)", "if (name == refused) {}", "node.textContent = x"];
    check(scripting, &planted, &innocent);
}

#[test]
fn a_planted_sleep_port_or_skip_is_found() {
    let planted = [
        "    #[ignore]",
        "await page.waitForTimeout(500)",
        "test.skip('x')",
        "it.only('x')",
        "TcpListener::bind(\"127.0.0.1:8080\")",
    ];
    let innocent = ["iter.skip(1)", "TcpListener::bind(\"127.0.0.1:0\")", "t.advance(500)", "\"host: 127.0.0.1:8080\""];
    check(hopeful, &planted, &innocent);
}
