//! The examples of protocol.md, executed: its whole session, its hello and welcome, its table of messages.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use windlass_protocol::{ClientMessage, Dialect, frame};

use crate::counter::State;
use crate::page::Page;
use crate::server::Server;
use crate::top;
use crate::transcript::{Socket, Step};

#[test]
fn the_whole_session_is_led_by_the_engine_to_the_letter() {
    let specification = specification();
    let sessions = annotated_sessions(&specification);
    assert_eq!(sessions.len(), 1, "protocol.md shows its session in another way");
    let messages = lead(sessions[0]).unwrap_or_else(|why| panic!("protocol.md, section 19: {why}"));
    assert!(messages > 3, "protocol.md marks the server's lines in another way");
}

#[test]
fn every_json_example_is_a_message_that_the_types_read_or_write() {
    let specification = specification();
    let examples: Vec<_> = fenced(&specification).into_iter().filter(|(language, _)| *language == "json").collect();
    assert!(examples.len() >= 2, "protocol.md shows its examples in another way");
    for (_, text) in examples {
        check_example(&specification, text).unwrap_or_else(|why| panic!("protocol.md: {why}\n{text}"));
    }
}

#[test]
fn every_message_of_a_client_in_the_table_is_one_that_the_server_knows() {
    let specification = specification();
    let shapes = shapes(&specification, "client");
    let (objects, arrays): (Vec<_>, Vec<_>) = shapes.into_iter().partition(|shape| shape.starts_with('{'));
    assert!(arrays.len() > 4 && arrays.len() == objects.len(), "protocol.md lists its messages in another way");
    let hello = r#""client": "0f1e2d3c4b5a69788796a5b4", "instance": "01""#;
    for shape in arrays {
        let text = shape.replace("…", hello).replace("seq", "1").replace(", n]", ", 1]");
        let text = text.replace("name", "\"add\"").replace("payload", "null");
        assert!(is_known(Dialect::Compact, &text), "{shape}, as {text}");
    }
    for shape in objects {
        let text = shape.replace("\"name\": …", "\"name\": \"add\"").replace(", …", &format!(", {hello}"));
        let text = text.replace('…', "1");
        assert!(is_known(Dialect::JsonPatch { appends: false }, &text), "{shape}, as {text}");
    }
}

#[test]
fn no_fenced_block_is_left_out() {
    let specification = specification();
    for (language, text) in fenced(&specification) {
        // The grammar of ops is run as conformance/patches.
        let known = language == "json" || text.starts_with("> ") || text.starts_with("[key, …path, value]");
        assert!(known, "nothing executes this block of protocol.md:\n{text}");
    }
}

/// Leads a session whose lines are marked `>` for the page and `<` for the server.
fn lead(session: &str) -> Result<usize, String> {
    let mut page = Page::new(Server::new(State::default()), Dialect::Compact);
    page.take(&Step::Socket { socket: Socket::Open })?;
    for line in session.lines() {
        let message = |text: &str| serde_json::from_str(text).map_err(|error| format!("{line}: {error}"));
        let taken = match line.split_at_checked(2) {
            Some(("> ", text)) => page.take(&Step::Client { client: message(text)? }),
            Some(("< ", text)) => page.take(&Step::Server { server: message(text)?, lost: false, unasked: false }),
            Some(("  ", AWAY)) => page.take(&Step::Socket { socket: Socket::Lost }).and_then(|()| {
                page.server.count_on(COUNTED_MEANWHILE);
                page.take(&Step::Socket { socket: Socket::Open })
            }),
            _ => Err("a line of no known kind".into()),
        };
        taken.map_err(|why| format!("{line}: {why}"))?;
    }
    page.end()
}

/// An example of a client decodes; one of a server is what the types write; both hold what the tables say.
fn check_example(specification: &str, text: &str) -> Result<(), String> {
    let example: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let members = |of: &str| {
        let members: BTreeSet<_> = example[1].as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
        (members, table_members(specification, of))
    };
    match example[0].as_str() {
        Some("h") => {
            let (shown, listed) = members("hello");
            let reads = is_known(Dialect::Compact, text) && shown == listed;
            reads.then_some(()).ok_or_else(|| format!("a hello of {listed:?} that the server reads"))
        }
        Some("w") => {
            let (shown, listed) = members("welcome");
            if !shown.is_subset(&listed) {
                return Err(format!("a member is not in the table: {shown:?} {listed:?}"));
            }
            let written = welcome(&example[1])?;
            (written == example).then_some(()).ok_or_else(|| format!("the server writes {written}"))
        }
        _ => Err("an example of another message: say here what executes it".into()),
    }
}

/// The welcome with these values, as a server writes it.
fn welcome(values: &Value) -> Result<Value, String> {
    fn read<T: serde::de::DeserializeOwned>(values: &Value, name: &str) -> Result<T, String> {
        T::deserialize(&values[name]).map_err(|error| format!("{name}: {error}"))
    }
    let token = read::<Option<String>>(values, "token")?.map(|token| token.parse()).transpose();
    let welcome = frame::Welcome {
        session: read(values, "session")?,
        client: read(values, "client")?,
        epoch: read(values, "epoch")?,
        ack: read(values, "ack")?,
        saved: read(values, "saved")?,
        resumed: read(values, "resumed")?,
        token: token.map_err(|error| format!("token: {error}"))?,
        message_bytes_max: read(&values["limits"], "message_bytes_max")?,
        forgotten: false,
        actions: None,
    };
    let mut out = Vec::new();
    welcome.write(&mut out, Dialect::Compact);
    Ok(serde_json::from_slice(&out).expect("a welcome is JSON"))
}

fn is_known(dialect: Dialect, text: &str) -> bool {
    matches!(dialect.decode(text), Ok(message) if !matches!(message, ClientMessage::Unknown(_)))
}

fn specification() -> String {
    fs::read_to_string(top().join("protocol.md")).unwrap()
}

/// The fenced blocks of a Markdown text, each with its language.
fn fenced(markdown: &str) -> Vec<(&str, &str)> {
    let blocks = markdown.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.split_once('\n')).collect()
}

fn annotated_sessions(specification: &str) -> Vec<&str> {
    fenced(specification).into_iter().map(|(_, text)| text).filter(|text| text.starts_with("> ")).collect()
}

/// The shapes of the messages from a side: rows ``| name | side | `shape` … |``.
fn shapes<'a>(specification: &'a str, side: &str) -> Vec<&'a str> {
    let rows = specification.lines().filter_map(|line| line.split_once(&format!(" | {side} | `")));
    rows.filter_map(|(_, rest)| rest.split('`').next()).collect()
}

/// The names in backticks of the first cells of the table in the section with that title.
fn table_members<'a>(specification: &'a str, title: &str) -> BTreeSet<&'a str> {
    let section = specification.split("\n## ").find(|section| {
        section.lines().next().is_some_and(|heading| heading.split_once(". ").is_some_and(|(_, name)| name == title))
    });
    let rows = section.into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" |").next());
    cells.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).collect()
}

/// What stands between the two connections of the session.
const AWAY: &str = "the connection is lost while the server counts on; the page returns";
/// From the 2 of the page's own action to the 9 that it finds when it is back.
const COUNTED_MEANWHILE: i64 = 7;

#[test]
fn a_planted_difference_in_the_session_is_found() {
    let specification = specification();
    let session = annotated_sessions(&specification)[0];
    let planted = [
        (r#"["count",2]"#, r#"["count",3]"#),
        (r#"["count",9]"#, r#"["count",8]"#),
        (r#"["d",4,2"#, r#"["d",5,2"#),
        (r#""resumed":true"#, r#""resumed":false"#),
        ("a1b2c3d4e5f6a7b8c9d0e1f2.0011", "a1b2c3d4e5f6a7b8c9d0e1f2.0012"),
        ("4294967297", "4294967298"),
        ("no action", "not an action"),
        ("counts on", "counts back"),
        ("> [\"k\",1]", "[\"k\",1]"),
        ("\n< [\"d\",4,2,[[\"count\",9]]]", ""),
    ];
    for (right, wrong) in planted {
        assert!(session.contains(right), "{right}");
        assert!(lead(&session.replacen(right, wrong, 1)).is_err(), "{wrong}");
    }
}

#[test]
fn a_planted_difference_in_an_example_is_found() {
    let specification = specification();
    for (language, text) in fenced(&specification) {
        let planted: &[_] = match text.get(..5) {
            _ if language != "json" => continue,
            Some("[\"h\",") => &[("\"seq\": 1, ", ""), ("\"can\"", "\"cannot\""), ("5a69", "zz"), ("]}]", "]}")],
            _ => &[("\"saved\"", "\"kept\""), ("\"ack\": 7", "\"ack\": \"7\""), ("32", "33"), ("[\"w\"", "[\"z\"")],
        };
        for (right, wrong) in planted {
            assert!(text.contains(right), "{right}");
            assert!(check_example(&specification, &text.replacen(right, wrong, 1)).is_err(), "{wrong}");
        }
    }
}

#[test]
fn blocks_and_tables_are_found_in_markdown() {
    let markdown = "## 1. a\n\n```json\n[1]\n```\nx\n\n## 2. b\n\n| `c`, `d` | e |\n| `f` | g |\n\n```\n> h\n```\n";
    assert_eq!(fenced(markdown), [("json", "[1]"), ("", "> h")]);
    assert_eq!(annotated_sessions(markdown), ["> h"]);
    assert_eq!(table_members(markdown, "b").into_iter().collect::<Vec<_>>(), ["c", "d", "f"]);
    let table = "| a | client | `[\"a\", n]` |\n| s | server | `[\"s\"]` or `[\"s\", 1]` |";
    assert_eq!(shapes(table, "client"), ["[\"a\", n]"]);
    assert_eq!(json!(shapes(table, "server")), json!(["[\"s\"]"]));
}
