//! A typed app tells its page what crosses the wire: every form that serde gives a type, and what is wrong with an app.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use windlass::prelude::*;

/// Everything that a state may hold.
#[derive(Clone, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
struct Zoo<'a> {
    small_integer: i8,
    large_integer: u128,
    float: f64,
    text: &'a str,
    maybe: Option<u64>,
    unit: (),
    pair: (u8, String),
    three: [bool; 3],
    newtype: Metres,
    kind: Kind,
    tagged: Vec<Tagged>,
    untagged: Vec<Untagged>,
    by_name: HashMap<String, Kind>,
    by_kind: BTreeMap<Kind, u8>,
    tree: Tree,
    rows: SyncVec<Row<u32>>,
    tracked: Tracked<Option<Row<bool>>>,
    token: Private<String>,
    any: serde_json::Value,
    #[serde(rename = "odd-name")]
    odd: bool,
    #[serde(skip)]
    #[ts(skip)]
    #[allow(dead_code, reason = "it is there to be left out")]
    hidden: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    left_out: Option<u8>,
    #[serde(flatten)]
    more: More,
}

#[derive(Clone, Copy, Default, Serialize, TS)]
struct Metres(f64);

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Fish,
    LargeBird,
}

/// Told apart by a member.
#[derive(Clone, Serialize, TS)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Tagged {
    Still,
    Moved {
        /// In metres.
        by: f64,
    },
}

#[derive(Clone, Serialize, TS)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
}

#[derive(Clone, Default, Serialize, TS)]
struct Tree {
    kids: Vec<Tree>,
}

#[derive(Clone, Default, Serialize, TS)]
struct Row<T> {
    id: u64,
    value: T,
}

#[derive(Clone, Default, Serialize, TS)]
struct More {
    extra: Option<String>,
}

#[derive(Deserialize, TS)]
struct Move {
    id: u64,
    by: f64,
}

/// Told when it closes.
#[derive(Serialize, TS)]
struct Closed {
    at: u64,
}

fn zoo() -> Zoo<'static> {
    Zoo {
        tagged: vec![Tagged::Still, Tagged::Moved { by: 1.5 }],
        untagged: vec![Untagged::Number(1), Untagged::Text("x".into())],
        by_name: HashMap::from([("a".to_owned(), Kind::LargeBird)]),
        by_kind: BTreeMap::from([(Kind::Fish, 3)]),
        tree: Tree { kids: vec![Tree::default()] },
        rows: [Row { id: 1, value: 7 }].into_iter().collect(),
        tracked: Tracked::new(Some(Row { id: 2, value: true })),
        token: "secret".to_owned().into(),
        ..Zoo::default()
    }
}

fn app() -> App<Zoo<'static>, windlass::Whole, Typed> {
    App::new(zoo)
        .action("older", |_, _cx, _: Move| ())
        .typed()
        .event::<Closed>("closed")
        .action("move", |_, _cx, moved: Move| Reply(moved.by > 0.0 && moved.id > 0))
        .action("close", |_, cx, ()| cx.emit("closed", &Closed { at: 1 }))
        .action("open", |_, cx, ()| cx.emit("opened", &()))
        .action("answer", |_, cx, ()| cx.reply(&1))
        .action("secret", |_, _cx, _: Option<String>| Ok::<_, Error>(Reply(vec![Kind::Fish])))
        .secret()
        .query("kinds", |_, _: Vec<Kind>| Reply(HashMap::<String, u8>::new()))
        .async_action("wait", |_handle, (): ()| async {})
        .field("maybe", |zoo| &mut zoo.maybe)
        .row_field("rows.value", "id", |zoo, id: &u64| {
            let at = zoo.rows.iter().position(|row| row.id == *id)?;
            zoo.rows.get_mut(at).map(|row| &mut row.value)
        })
}

#[test]
fn every_form_that_serde_gives_a_type_is_told() {
    let types = app().types().unwrap();
    for line in [
        "export type State = Zoo;",
        "  older(payload: unknown): unknown;",
        "  move(payload: Move): boolean;",
        "  close(payload: null): null;",
        "  /** Its payload is kept nowhere. */\n  secret(payload: string | null): Kind[];",
        "  /** Changes nothing. */\n  kinds(payload: Kind[]): { [key in string]: number };",
        "  wait(payload: null): null;",
        "  maybe: { path: [\"maybe\"], value: number | null };",
        "  \"rows.value\": { path: [\"rows\", { id: number }, \"value\"], value: number };",
        "  closed: Closed;",
        "/** Everything that a state may hold. */\nexport interface Zoo {",
        "  smallInteger: number;\n  largeInteger: number;\n  float: number;\n  text: string;",
        "  maybe: number | null;\n  unit: null;\n  pair: [number, string];\n  three: [boolean, boolean, boolean];",
        "  newtype: Metres;",
        "export type Metres = number;",
        "export type Kind = \"fish\" | \"large_bird\";",
        "/** Told apart by a member. */\nexport type Tagged =\n  | { type: \"still\" }\n  | { type: \"moved\", by: number };",
        "export type Untagged = number | string;",
        "  byName: { [key in string]: Kind };\n  byKind: { [key in Kind]?: number };",
        "export interface Tree {\n  kids: Tree[];\n}",
        "  rows: Row<number>[];\n  tracked: Row<boolean> | null;\n  any: JsonValue;\n  \"odd-name\": boolean;",
        "export interface Row<T> {\n  id: number;\n  value: T;\n}",
        "  leftOut?: number;",
        "  extra: string | null;",
        "export type JsonValue =",
    ] {
        assert!(types.contains(line), "no {line:?} in\n{types}");
    }
    for absent in ["hidden", "token", "Private", "bigint"] {
        assert!(!types.contains(absent), "{absent} in\n{types}");
    }
    assert_eq!(app().types().unwrap(), types, "the same text for the same app");
}

#[test]
fn a_typed_app_says_in_development_what_its_types_do_not() {
    let mut t = app().development(true).test();
    assert_eq!(t.send("close", ()).code(), None);
    assert_eq!(t.send("open", ()).code(), Some("internal"), "nobody has declared it");
    assert_eq!(t.send("answer", ()).code(), Some("internal"), "its type says that it answers nothing");
    let mut t = app().development(false).test();
    assert_eq!((t.send("open", ()).code(), t.send("answer", ()).code()), (None, None), "what works goes on working");
}

#[derive(Clone, Default, Serialize, TS)]
struct Counter {
    count: u64,
}

struct Doubled;

#[derive(Serialize, TS)]
struct Shown<'a> {
    twice: u64,
    name: &'a str,
}

impl View<Counter> for Doubled {
    fn view(counter: &Counter) -> impl Serialize + '_ {
        Shown { twice: counter.count * 2, name: "counter" }
    }
}

/// What `types` says is wrong.
fn wrong<V: View<Counter>>(app: &App<Counter, V, Typed>) -> String {
    app.types().expect_err("it is wrong").text
}

#[test]
fn a_view_is_what_the_app_says_that_it_is() {
    let types = App::new(Counter::default).view(Doubled).typed_as::<Shown>().types().unwrap();
    assert!(types.contains("export type State = Shown;") && !types.contains("Counter"), "{types}");
    let error = wrong(&App::new(Counter::default).view(Doubled).typed());
    assert!(error.contains("types::Shown") && error.contains("types::Counter"), "{error}");
    assert!(error.contains(".typed_as::<"), "it says what to write: {error}");
}

#[test]
fn a_field_that_the_page_does_not_see_is_told() {
    let app = App::new(Counter::default).view(Doubled).typed_as::<Shown>();
    let error = wrong(&app.field("count", |counter| &mut counter.count));
    assert_eq!(error, "the field \"count\": there is no \"count\" in the view, but twice, name");
    let app = App::new(Counter::default).view(Doubled).typed_as::<Shown>();
    let error = wrong(&app.field("name", |counter| &mut counter.count));
    assert_eq!(error, "the field \"name\" takes number, and is string in the view");
}

#[derive(Clone, Default, Serialize, TS)]
struct Board {
    columns: Vec<Column>,
}

#[derive(Clone, Serialize, TS)]
struct Column {
    id: u64,
    cards: Vec<Card>,
}

#[derive(Clone, Serialize, TS)]
struct Card {
    name: String,
    row: Row<u32>,
}

#[test]
fn a_field_of_rows_within_rows_is_told_with_the_types_of_their_keys() {
    fn none<'a>(_: &'a mut Board, _: &(u64, String)) -> Option<&'a mut u32> {
        None
    }
    let app = App::new(Board::default).typed().nested_field("columns[id].cards[name].row.value", none);
    let types = app.types().unwrap();
    let path = r#"["columns", { id: number }, "cards", { name: string }, "row", "value"]"#;
    let line = format!("  \"columns[id].cards[name].row.value\": {{ path: {path}, value: number }};");
    assert!(types.contains(&line), "no {line:?} in\n{types}");
    let app = App::new(Board::default).typed().nested_field("columns[id].cards.row[name].value", none);
    let error = app.types().unwrap_err().text;
    assert!(error.starts_with("the field \"columns[id].cards.row[name].value\": there is no \"row\""), "{error}");
    let app = App::new(Board::default).typed().nested_field("columns[id].id[name].value", none);
    let error = app.types().unwrap_err().text;
    assert_eq!(error, "the field \"columns[id].id[name].value\" has a row where the view has number, no list");
}

/// Serialises as something else than it derives.
#[derive(Clone, Default, TS)]
struct Liar {
    count: u64,
}

impl Serialize for Liar {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        json!({ "count": self.count.to_string() }).serialize(serializer)
    }
}

#[test]
fn a_state_that_is_not_what_its_type_says_is_told() {
    let error = App::new(Liar::default).typed().types().unwrap_err().text;
    assert_eq!(error, "in the initial state \"count\" is a text, its type says number");
}

mod other {
    use super::*;

    #[derive(Deserialize, TS)]
    pub(crate) struct Counter {
        pub(crate) name: String,
    }

    #[derive(Deserialize, TS)]
    pub(crate) struct Events {
        pub(crate) name: String,
    }
}

#[test]
fn two_types_of_one_name_and_a_name_of_the_files_own_are_told() {
    let app = App::new(Counter::default).typed().action("take", |_, _cx, other: other::Counter| drop(other.name));
    assert!(wrong(&app).contains("two types are called Counter"), "{}", wrong(&app));
    let app = App::new(Counter::default).typed().action("take", |_, _cx, other: other::Events| drop(other.name));
    assert!(wrong(&app).contains("a type is called Events"), "{}", wrong(&app));
}
