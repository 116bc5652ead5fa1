//! A transcript, read from its file and led step by step. conformance/transcripts/README.md has the format.

use serde::Deserialize;
use serde_json::Value;
use windlass_protocol::Dialect;

use crate::counter::State;
use crate::page::Page;
use crate::server::Server;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transcript {
    #[expect(dead_code, reason = "for those who read the file; reading it checks that it is there")]
    name: String,
    app: App,
    #[serde(default = "first_dialect")]
    dialect: String,
    #[serde(default = "state_bytes_max")]
    state_bytes_max: usize,
    #[serde(default)]
    store: Option<Kept>,
    steps: Vec<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum App {
    Counter,
}

/// Where the server keeps records, if it does.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    Durable,
}

/// One step. What concerns a client's inside alone is read, so that its shape is checked, and not looked at.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "calls and outcomes are a client's inside, and no server learns what the network swallowed"
)]
pub(crate) enum Step {
    Socket {
        socket: Socket,
    },
    Client {
        client: Value,
    },
    Server {
        server: Value,
        #[serde(default)]
        lost: bool,
        #[serde(default)]
        unasked: bool,
    },
    Close {
        close: Close,
        #[serde(default)]
        unasked: bool,
    },
    Call {
        call: (CallKind, String, Value),
        #[serde(default)]
        secret: bool,
    },
    Outcome {
        outcome: (usize, String),
    },
    Page {
        page: PageStep,
    },
    Sessions {
        sessions: Sessions,
    },
    Store {
        store: Store,
    },
    OtherPage {
        other_page: OtherPage,
    },
    Late {
        late: Late,
    },
    Nothing {
        nothing: u64,
    },
    Wait {
        wait: u64,
    },
    Drain {
        drain: u64,
    },
    Settle {
        settle: usize,
    },
}

fn state_bytes_max() -> usize {
    windlass_engine::STATE_BYTES_MAX
}

fn first_dialect() -> String {
    Dialect::Compact.subprotocol().to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Socket {
    Open,
    Lost,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallKind {
    Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageStep {
    Reloaded,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sessions {
    Lost,
    Crashed,
    Parked,
    Unreadable,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Store {
    Saves,
    Fails,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Late {
    Hello,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OtherPage {
    Holds,
    TakesOver,
}

impl Transcript {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Leads it against a server of its own; gives back how many messages the server said.
    pub(crate) fn play(&self) -> Result<usize, String> {
        let initial = match self.app {
            App::Counter => State { count: 0, text: Some(String::new()) },
        };
        let dialect = Dialect::of_subprotocol(&self.dialect).ok_or("there is no such dialect")?;
        let mut page = Page::new(Server::new(initial, self.state_bytes_max, self.store.is_some()), dialect);
        for (at, raw) in self.steps.iter().enumerate() {
            let why = |why| format!("step {} {raw}: {why}", at + 1);
            let step = Step::deserialize(raw).map_err(|_| why("a step of no known kind".into()))?;
            page.take(&step).map_err(why)?;
        }
        page.end()
    }
}

/// A conversation of one hello with these steps after the welcome.
fn play(steps: &str) -> Result<usize, String> {
    let opening = r#"
        {"socket": "open"},
        {"client": ["h", {"token": null, "client": "$client", "instance": "$instance", "seq": 1}]},
        {"server": ["w", {"session": "$session", "client": "$client", "epoch": "$epoch", "ack": 0, "saved": null, "resumed": false, "token": "$token", "limits": {"actions_in_flight": 32, "message_bytes_max": 65536}}]},
        {"server": ["s", 1, 0, {"count": 0, "text": "", "$jobs": []}]}"#;
    let text = format!(r#"{{"name": "planted", "app": "counter", "steps": [{opening} {steps}]}}"#);
    Transcript::read(&text)?.play()
}

#[test]
fn every_step_of_the_format_is_one_of_these() {
    let format = std::fs::read_to_string(crate::top().join("conformance/transcripts/README.md")).unwrap();
    let steps: Vec<_> = format
        .lines()
        .filter_map(|line| line.strip_prefix("| `").filter(|step| step.starts_with('{'))?.split_once("` |"))
        .map(|(step, _)| step)
        .collect();
    assert!(steps.len() > 10, "the format is described in another way: {steps:?}");
    let words = [
        ("message", "[]"),
        ("name, payload", "\"add\", 1"),
        ("nth call, code", "1, \"applied\""),
        ("ms", "1"),
        ("nth", "1"),
        ("{…}", "{}"),
        ("…", "1"),
    ];
    for step in steps {
        let text = words.iter().fold(step.to_owned(), |text, (word, value)| text.replace(word, value));
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{step}: {error}"));
        assert!(Step::deserialize(&value).is_ok(), "{step}");
    }
}

#[test]
fn a_right_expectation_is_met_and_counted() {
    assert_eq!(play(""), Ok(2));
    let steps = r#", {"client": ["a", 1, "add", 2]}, {"server": ["d", 2, 1, [["count", 2]]]}, {"socket": "lost"}"#;
    assert_eq!(play(steps), Ok(3));
}

#[test]
fn a_planted_wrong_expectation_is_found() {
    let add = r#"{"client": ["a", 1, "add", 2]}"#;
    let added = r#"{"server": ["d", 2, 1, [["count", 2]]]}"#;
    let again = r#"{"socket": "lost"}, {"socket": "open"}, {"client": ["h", {"token": "$token", "client": "$client", "instance": "$instance", "epoch": "$epoch", "n": 1, "seq": 1}]}"#;
    let resumed = r#"["w", {"session": "$session", "client": "$client", "epoch": "$epoch", "ack": 0, "saved": null, "resumed": true, "limits": {"actions_in_flight": 32, "message_bytes_max": 65536}}]"#;
    assert_eq!(play(&format!(r#", {again}, {{"server": {resumed}}}"#)), Ok(3), "the planted ones differ from this");
    let planted = [
        (format!(r#", {add}, {{"server": ["d", 2, 1, [["count", 3]]]}}"#), "but it said [\"d\",2,1,[[\"count\",2]]]"),
        (format!(r#", {add}, {{"server": ["d", 2, 1, [["count", 2]], {{}}]}}"#), "but it said"),
        (format!(", {add}, {added}, {added}"), "but it said nothing"),
        (format!(", {add}"), "that nobody expected"),
        (format!(r#", {add}, {{"socket": "lost"}}"#), "that nobody expected"),
        (format!(r#", {add}, {{"client": ["k", 2]}}, {added}"#), "that nobody expected"),
        (r#", {"client": ["a", 2, "add", 2]}, {"server": ["d", 2, 2, []]}"#.into(), "sequence_gap"),
        (r#", {"close": {"code": 4409, "reason": {"code": "taken_over"}}}"#.into(), "but it said nothing"),
        (
            r#", {"other_page": "takes_over"}, {"close": {"code": 4423, "reason": {"code": "in_use"}}}"#.into(),
            "taken_over",
        ),
        (format!(r#", {again}, {{"server": {}}}"#, resumed.replace("$session", "$session2")), "but it said"),
        (format!(r#", {again}, {{"server": {}}}"#, resumed.replace("true", "false")), "but it said"),
        (r#", {"client": ["k", "$epoch2"]}"#.into(), "nothing has given $epoch2 a value"),
        (r#", {"socket": "open"}"#.into(), "a socket is open"),
    ];
    for (steps, complaint) in planted {
        let why = play(&steps).expect_err(&steps);
        assert!(why.contains(complaint), "{steps}\n{why}");
    }
}

#[test]
fn a_step_of_no_known_kind_is_found() {
    let planted = [
        r#"{"teapot": "lost"}"#,
        r#"{"socket": "boiled"}"#,
        r#"{"page": "turned"}"#,
        r#"{"client": ["k", 1], "lost": true}"#,
        r#"{"call": ["wish", "add", 1]}"#,
        r#"{"close": {"code": 4409}}"#,
        r#"{"wait": "long"}"#,
        "7",
    ];
    for step in planted {
        let why = play(&format!(", {step}")).expect_err(step);
        assert!(why.ends_with("a step of no known kind"), "{why}");
    }
    assert!(Transcript::read(r#"{"name": "", "app": "teapot", "steps": []}"#).is_err());
}
