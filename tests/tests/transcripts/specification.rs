//! The examples of protocol.md, executed: its whole session, its hello and welcome, its table of messages.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_protocol::frame::{self, Extras};
use windlass_protocol::{ClientMessage, Dialect, Epoch, EventId, FrameNumber, Seq, json_patch};

use crate::counter::State;
use crate::page::Page;
use crate::server::Server;
use crate::top;
use crate::transcript::{Socket, Step};

#[test]
fn the_whole_session_is_led_by_the_engine_to_the_letter() {
    let specification = specification();
    let sessions = annotated_sessions(&specification);
    assert_eq!(sessions.len(), 2, "protocol.md shows its sessions in another way");
    for session in sessions {
        let messages = lead(session).unwrap_or_else(|why| panic!("protocol.md, section 19: {why}"));
        assert!(messages > 3, "protocol.md marks the server's lines in another way");
    }
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
        assert!(is_known(OBJECTS, &text), "{shape}, as {text}");
    }
}

#[test]
fn no_fenced_block_is_left_out() {
    let specification = specification();
    for (language, text) in fenced(&specification) {
        // The grammar of ops is run as conformance/patches.
        let known = language == "json" || is_session(text) || text.starts_with("[key, …path, value]");
        assert!(known, "nothing executes this block of protocol.md:\n{text}");
    }
}

/// Leads a session whose lines are marked `>` for the page and `<` for the server; others are notes, but for one.
fn lead(session: &str) -> Result<usize, String> {
    let objects = session.lines().any(|line| line.starts_with("> {"));
    let dialect = if objects { OBJECTS } else { Dialect::Compact };
    let mut page = Page::new(Server::new(State::default(), windlass_engine::STATE_BYTES_MAX, false), dialect);
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
            Some(("  ", _)) => Ok(()),
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
        Some(tag @ ("a" | "v" | "k" | "r" | "p")) => {
            is_known(Dialect::Compact, text).then_some(()).ok_or_else(|| format!("no {tag} that the server reads"))
        }
        Some(_) => is_written(&example, written(&example)?),
        None if example.get("ops").is_some() => leads_where_it_says(&example),
        None if example["type"] == "action" => {
            is_known(OBJECTS, text).then_some(()).ok_or_else(|| "no action that the server reads".into())
        }
        None => is_written(&example, written_object(&example)?),
    }
}

fn is_written(example: &Value, written: Value) -> Result<(), String> {
    if written == *example { Ok(()) } else { Err(format!("the server writes {written}")) }
}

/// A message of a server with these values, as the server writes it.
fn written(example: &Value) -> Result<Value, String> {
    let text = |at: usize| example[at].as_str().ok_or("a text");
    let mut out = Vec::new();
    match text(0)? {
        "o" => {
            let after = Duration::from_millis(example[4].as_u64().ok_or("a time")?);
            frame::later(&mut out, Dialect::Compact, Seq(number(&example[1])?), text(2)?, text(3)?, after);
        }
        "x" => frame::unknown(&mut out, Dialect::Compact, text(2)?),
        kind @ ("s" | "d") => {
            open(&mut out, Dialect::Compact, kind == "s", [&example[1], &example[2], &example[3]])?;
            let mut extras = Extras::new(&mut out, Dialect::Compact);
            for outcome in list(&example[4]["r"]) {
                extras.outcome(Seq(number(&outcome[0])?), &joined(&list(outcome)[1..]));
            }
            for event in list(&example[4]["e"]) {
                let id = EventId { epoch: Epoch(number(&event[0])?), n: number(&event[1])? };
                extras.event(id, &joined(&list(event)[2..]));
            }
            close(extras, &example[4]["saved"])?;
        }
        _ => return Err("an example of another message: say here what executes it".into()),
    }
    serde_json::from_slice(&out).map_err(|error| error.to_string())
}

/// The same in the second dialect.
fn written_object(example: &Value) -> Result<Value, String> {
    let mut out = Vec::new();
    let is_snapshot = example["type"] == "snapshot";
    let body = if is_snapshot { &example["document"] } else { &example["patch"] };
    open(&mut out, OBJECTS, is_snapshot, [&example["n"], &example["ack"], body])?;
    let mut extras = Extras::new(&mut out, OBJECTS);
    for outcome in list(&example["outcomes"]) {
        let names: &[_] =
            if outcome["outcome"] == "applied" { &["outcome", "value"] } else { &["outcome", "code", "text"] };
        let items: Vec<_> = names.iter().map(|name| outcome[name].clone()).collect();
        extras.outcome(Seq(number(&outcome["seq"])?), &joined(&items));
    }
    for event in list(&example["events"]) {
        let id = EventId { epoch: Epoch(number(&event["id"][0])?), n: number(&event["id"][1])? };
        extras.event(id, &joined(&[event["kind"].clone(), event["body"].clone()]));
    }
    close(extras, &example["saved"])?;
    serde_json::from_slice(&out).map_err(|error| error.to_string())
}

fn open(out: &mut Vec<u8>, dialect: Dialect, is_snapshot: bool, [n, ack, body]: [&Value; 3]) -> Result<(), String> {
    let (n, ack) = (FrameNumber(number(n)?), Seq(number(ack)?));
    if is_snapshot {
        frame::snapshot(out, dialect, n, ack);
        out.extend_from_slice(body.to_string().as_bytes());
    } else {
        frame::delta(out, dialect, n, ack);
        out.extend_from_slice(joined(list(body)).as_bytes());
        frame::delta_ops_end(out);
    }
    Ok(())
}

fn close(mut extras: Extras<'_>, saved: &Value) -> Result<(), String> {
    if !saved.is_null() {
        extras.saved(Seq(number(saved)?));
    }
    extras.end();
    Ok(())
}

fn number(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| format!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn joined(items: &[Value]) -> String {
    items.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}

/// The ops lead from `before` to `after`, and are the `patch`, if there is one.
fn leads_where_it_says(example: &Value) -> Result<(), String> {
    let mut document = example["before"].clone();
    windlass_sync::apply(&mut document, list(&example["ops"])).map_err(|error| error.to_string())?;
    is_written(&example["after"], document)?;
    let Some(patch) = example.get("patch") else { return Ok(()) };
    let mut out = b"[".to_vec();
    let after = || Some(example["after"].to_string().into_bytes());
    json_patch::write(&mut out, joined(list(&example["ops"])).as_bytes(), false, after)
        .map_err(|error| error.to_string())?;
    out.push(b']');
    is_written(patch, serde_json::from_slice(&out).expect("a patch is JSON"))
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
        pending: Vec::new(),
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
    fenced(specification).into_iter().map(|(_, text)| text).filter(|text| is_session(text)).collect()
}

/// Whether lines of it are marked as those of a page.
fn is_session(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("> "))
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

const OBJECTS: Dialect = Dialect::JsonPatch { appends: false };
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
    let planted = [
        ("[\"h\",", &[("\"seq\": 1, ", ""), ("\"can\"", "\"cannot\""), ("5a69", "zz"), ("]}]", "]}")][..]),
        ("[\"w\",", &[("\"saved\"", "\"kept\""), ("\"ack\": 7", "\"ack\": \"7\""), ("32", "33"), ("[\"w\"", "[\"z\"")]),
        ("[\"a\",", &[("7", "0"), ("\"add\"", "1")]),
        ("[\"d\",", &[("\"r\"", "\"q\""), ("2, 2", "2, \"2\""), ("\"saved\"", "\"kept\"")]),
        ("[\"o\",", &[("7", "-7"), ("1500", "\"soon\"")]),
        ("[\"x\",", &[("unknown_message", "what")]),
        ("{\"before\"", &[("\"ken\"", "\"kens\""), ("[2,", "[9,")]),
        (
            "{\"type\": \"delta\"",
            &[("\"patch\"", "\"ops\""), ("\"value\": 42", "\"answer\": 42"), ("\"kind\"", "\"sort\"")],
        ),
        ("{\"type\": \"action\"", &[("2", "0"), ("\"name\"", "\"nom\"")]),
    ];
    for (start, changes) in planted {
        let examples: Vec<_> = fenced(&specification).into_iter().filter(|(_, text)| text.starts_with(start)).collect();
        assert!(!examples.is_empty(), "no example begins with {start}");
        for ((_, text), (right, wrong)) in
            examples.iter().flat_map(|example| changes.iter().map(move |change| (example, change)))
        {
            assert!(text.contains(right), "{right} in {text}");
            assert!(check_example(&specification, &text.replacen(right, wrong, 1)).is_err(), "{wrong} in {text}");
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
