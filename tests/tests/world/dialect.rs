//! The second dialect on the wire of a world: pages and faults speak in the words of the first, and here they are
//! said in the other.

use serde_json::{Value, json};
use windlass_protocol::Dialect;

/// What a page of that number speaks in the world of that seed: in one of four worlds the dialects are mixed.
pub(crate) fn of(seed: u64, page: usize) -> Dialect {
    match (seed % 4, (seed / 4 + page as u64) % 3) {
        (0, 0) => Dialect::JsonPatch { appends: false },
        (0, 1) => Dialect::JsonPatch { appends: true },
        _ => Dialect::Compact,
    }
}

/// A message of a page as it goes on the wire.
pub(crate) fn said(dialect: Dialect, text: &str) -> String {
    let Dialect::JsonPatch { appends } = dialect else { return text.to_owned() };
    let message: Value = serde_json::from_str(text).expect("a page says JSON");
    let object = match message[0].as_str().expect("a tag") {
        "h" => {
            let mut hello = message[1].clone();
            hello["type"] = json!("hello");
            hello["can"] = if appends { json!(["append"]) } else { json!([]) };
            hello
        }
        "a" => {
            let mut action = json!({"type": "action", "seq": message[1], "name": message[2], "payload": message[3]});
            if let Some(seen) = message.get(4) {
                action["seen"] = seen.clone();
            }
            action
        }
        "v" => json!({"type": "void", "seq": message[1]}),
        "k" => json!({"type": "ack", "n": message[1]}),
        "r" => json!({"type": "refetch"}),
        "p" => json!({"type": "ping"}),
        tag => unreachable!("no page says {tag}"),
    };
    object.to_string()
}

/// A message from the wire in the words of the first dialect, but for the patch of a delta.
pub(crate) fn heard(dialect: Dialect, message: Value) -> Value {
    if dialect == Dialect::Compact {
        return message;
    }
    let outcomes = message["outcomes"].as_array().into_iter().flatten().map(|outcome| {
        let rest: &[_] = match outcome["outcome"].as_str() {
            Some("applied") => &["value"],
            Some("pending") => &[],
            _ => &["code", "text"],
        };
        let items = ["seq", "outcome"].iter().chain(rest).map(|name| outcome[name].clone());
        Value::Array(items.collect())
    });
    let events = message["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| json!([event["id"][0], event["id"][1], event["kind"], event["body"]]));
    let mut extras = json!({});
    for (name, list) in [("r", outcomes.collect::<Vec<_>>()), ("e", events.collect())] {
        if !list.is_empty() {
            extras[name] = list.into();
        }
    }
    for name in ["saved", "restored"] {
        if let Some(said) = message.get(name) {
            extras[name] = said.clone();
        }
    }
    match message["type"].as_str().unwrap_or_default() {
        "welcome" => json!(["w", message]),
        "snapshot" => json!(["s", message["n"], message["ack"], message["document"], extras]),
        "delta" => json!(["d", message["n"], message["ack"], message["patch"], extras]),
        "later" => json!(["o", message["seq"], message["code"], message["text"], message["retry_after_ms"]]),
        "ask" => json!(["q"]),
        "pong" => json!(["p"]),
        kind => json!([kind]),
    }
}

/// Applies the changes of a delta; patches by a library that knows nothing of us.
pub(crate) fn apply(dialect: Dialect, document: &mut Value, changes: &[Value]) -> Result<(), String> {
    if dialect == Dialect::Compact {
        return windlass_sync::apply(document, changes).map_err(|error| error.to_string());
    }
    for operation in changes {
        if operation["op"] == "append" {
            if dialect != (Dialect::JsonPatch { appends: true }) {
                return Err("an append to who cannot".into());
            }
            let text = operation["path"].as_str().and_then(|path| document.pointer_mut(path));
            let (Some(Value::String(text)), Some(tail)) = (text, operation["value"].as_str()) else {
                return Err(format!("nothing to append to: {operation}"));
            };
            text.push_str(tail);
            continue;
        }
        let operation = serde_json::from_value(operation.clone()).map_err(|error| error.to_string())?;
        json_patch::patch(document, &[operation]).map_err(|error| error.to_string())?;
    }
    Ok(())
}
