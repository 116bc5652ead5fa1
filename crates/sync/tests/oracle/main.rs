//! The naive way judges the walk: applying what a diff wrote to the old document gives the new one.
//!
//! Documents are compared as JSON values with numbers as doubles. Each edit of a history is checked
//! against the shadow that the edits before it left behind, so that a wrong tape shows later. A library that we did
//! not write is the second judge, of the same change as a JSON Patch.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod histories;
mod odd;
mod shapes;

use std::collections::BTreeMap;

use ::json_patch as rfc6902;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use windlass_protocol::json_patch;
use windlass_sync::{HashKey, Shadow, SyncVec, Tracked, apply};

const KEY: HashKey = HashKey([3, 5]);

/// Numbers as doubles, so that `1` and `1.0` are one value.
fn plain(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(members) => members.values_mut().for_each(plain),
        _ => {}
    }
}

fn document<T: Serialize>(value: &T) -> Value {
    serde_json::from_slice(&serde_json::to_vec(value).expect("serialises")).expect("is JSON")
}

/// The document after the JSON Patch of these ops, applied by a library that knows nothing of them.
fn patched<T: Serialize>(mut document: Value, ops: &str, after: &T) -> Value {
    let mut out = Vec::new();
    json_patch::write(&mut out, ops.as_bytes(), false, || serde_json::to_vec(after).ok()).expect("a patch");
    let text = format!("[{}]", String::from_utf8(out).expect("text"));
    let patch: rfc6902::Patch = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    rfc6902::patch(&mut document, &patch).unwrap_or_else(|error| panic!("{error}\n{text}"));
    plain(&mut document);
    document
}

/// A client and the shadow of what it was told.
struct Watcher {
    shadow: Shadow,
    document: Value,
}

impl Watcher {
    fn new<T: Serialize>(value: &T) -> Self {
        Self::with(Shadow::new(KEY), value)
    }

    fn with<T: Serialize>(mut shadow: Shadow, value: &T) -> Self {
        let mut out = Vec::new();
        shadow.snapshot(value, &mut out).expect("a snapshot");
        let told: Value = serde_json::from_slice(&out).expect("a snapshot is JSON");
        assert_eq!(told, document(value));
        Self { shadow, document: told }
    }

    /// Diffs, applies, compares; the ops, for those who look at them.
    fn tell<T: Serialize>(&mut self, value: &T) -> String {
        let mut out = b"before".to_vec();
        self.shadow.diff(value, &mut out).expect("a diff");
        let ops = String::from_utf8(out.split_off(6)).expect("text");
        let list: Vec<Value> =
            serde_json::from_str(&format!("[{ops}]")).unwrap_or_else(|error| panic!("{error} in {ops}"));
        let before = self.document.clone();
        apply(&mut self.document, &list).unwrap_or_else(|error| panic!("{error}\n{before}\n{ops}"));
        let expected = document(value);
        let (mut told, mut wanted) = (self.document.clone(), expected.clone());
        plain(&mut told);
        plain(&mut wanted);
        assert_eq!(told, wanted, "\nbefore {before}\nops {ops}");
        assert_eq!(patched(before.clone(), &ops, value), wanted, "\nbefore {before}\nops {ops}");
        let size = serde_json::to_vec(value).expect("serialises").len();
        assert!(ops.len() <= size + 16, "{} bytes of ops for {size}: {ops}", ops.len());
        let mut again = Vec::new();
        self.shadow.diff(value, &mut again).expect("a diff");
        let again = String::from_utf8(again).expect("text");
        assert_eq!(again, "", "a second diff says nothing\nbefore {before}\nafter {expected}\nfirst {ops}");
        ops
    }
}

/// What the walk writes for one change.
fn ops<T: Serialize>(before: &T, after: &T) -> String {
    Watcher::new(before).tell(after)
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    id: u32,
    name: String,
    qty: u32,
    price: f64,
    done: bool,
}

fn row(id: u32) -> Row {
    Row {
        id,
        name: format!("row number {id}"),
        qty: id * 7 % 13,
        price: f64::from(id) * 0.25,
        done: id.is_multiple_of(3),
    }
}

#[derive(Clone, Debug, Serialize)]
struct Table<L> {
    title: String,
    rows: L,
    count: u32,
}

fn table<L: FromIterator<R>, R>(make: impl FnMut(u32) -> R, rows: u32) -> Table<L> {
    Table { title: "a table".into(), rows: (0..rows).map(make).collect(), count: rows }
}

#[test]
fn the_judge_sees_an_op_that_is_lost_or_doubled() {
    let before: Table<Vec<Row>> = table(row, 20);
    let mut after = before.clone();
    after.title.push('!');
    after.rows.remove(3);
    after.rows[7].qty = 99;
    after.rows.insert(9, row(100));
    let list: Vec<Value> = serde_json::from_str(&format!("[{}]", ops(&before, &after))).expect("ops");
    assert_eq!(list.len(), 4);
    for at in 0..list.len() {
        let (mut lost, mut doubled) = (list.clone(), list.clone());
        lost.remove(at);
        // A set is the same twice.
        if list[at][0].is_number() {
            doubled.insert(at, list[at].clone());
        } else {
            doubled.clear();
        }
        for planted in [lost, doubled] {
            let mut told = document(&before);
            let applied = apply(&mut told, &planted);
            assert!(applied.is_err() || told != document(&after), "{planted:?}");
        }
    }
}

#[test]
fn one_cell_is_one_op() {
    let before: Table<Vec<Row>> = table(row, 1000);
    let mut after = before.clone();
    after.rows[500].qty = 99;
    assert_eq!(ops(&before, &after), r#"["rows",500,"qty",99]"#);
    let before: Table<Vec<Tracked<Row>>> = table(|id| Tracked::new(row(id)), 1000);
    let mut after = before.clone();
    after.rows[500].qty = 99;
    assert_eq!(ops(&before, &after), r#"["rows",500,"qty",99]"#);
    let before: Table<SyncVec<Row>> = table(row, 10_000);
    let mut after = before.clone();
    after.rows[5000].qty = 99;
    assert_eq!(ops(&before, &after), r#"["rows",5000,"qty",99]"#);
}

/// Runs a list edit on every kind of list that has an identity.
fn check_list(edit: impl Fn(&mut Vec<Row>), sync_edit: impl Fn(&mut SyncVec<Row>), expected: &str) {
    let before: Table<Vec<Row>> = table(row, 500);
    let mut after = before.clone();
    edit(&mut after.rows);
    assert_eq!(ops(&before, &after), expected);

    let before: Table<SyncVec<Row>> = table(row, 500);
    let mut after = before.clone();
    sync_edit(&mut after.rows);
    assert_eq!(ops(&before, &after), expected);
}

#[test]
fn one_edit_of_a_list_is_one_op() {
    check_list(|rows| drop(rows.remove(250)), |rows| drop(rows.remove(250)), r#"[2,"rows",250,1]"#);
    check_list(|rows| rows.truncate(400), |rows| rows.truncate(400), r#"[2,"rows",400,100]"#);
    check_list(
        |rows| rows.insert(250, row(7000)),
        |rows| rows.insert(250, row(7000)),
        r#"[1,"rows",250,{"id":7000,"name":"row number 7000","qty":3,"price":1750.0,"done":false}]"#,
    );
    check_list(
        |rows| rows.push(row(7000)),
        |rows| rows.push(row(7000)),
        r#"[1,"rows",500,{"id":7000,"name":"row number 7000","qty":3,"price":1750.0,"done":false}]"#,
    );
    check_list(|rows| rows[50..251].rotate_left(1), |rows| rows.move_row(50, 250), r#"[3,"rows",50,250]"#);
    check_list(|rows| rows[50..251].rotate_right(1), |rows| rows.move_row(250, 50), r#"[3,"rows",250,50]"#);
    check_list(Vec::clear, SyncVec::clear, r#"[2,"rows",0,500]"#);
    check_list(
        |rows| rows.retain(|row| row.id < 100 || row.id >= 103),
        |rows| rows.retain(|row| row.id < 100 || row.id >= 103),
        r#"[2,"rows",100,3]"#,
    );
}

#[test]
fn a_run_and_a_sort_are_one_op_each() {
    let before: Table<Vec<Row>> = table(row, 100);
    let mut after = before.clone();
    after.rows.splice(50..50, (200..203).map(row));
    assert!(ops(&before, &after).starts_with(r#"[7,"rows",50,[{"id":200,"#));
    let mut after = before.clone();
    after.rows.extend((200..203).map(row));
    let text = ops(&before, &after);
    assert!(text.starts_with(r#"[7,"rows",100,[{"id":200,"#) && text.matches("rows").count() == 1);
    let mut after = before.clone();
    after.rows.reverse();
    assert!(ops(&before, &after).starts_with(r#"[8,"rows",[99,98,97,"#));
    let before: Table<SyncVec<Row>> = table(row, 10_000);
    let mut after = before.clone();
    after.rows.sort_by_key(|row| (row.qty, row.id));
    let text = ops(&before, &after);
    assert!(text.starts_with(r#"[8,"rows",[0,13,26,"#) && text.len() < 50_000, "{}", text.len());
}

#[test]
fn a_moved_row_with_a_changed_cell_is_two_ops() {
    let before: Table<Vec<Row>> = table(row, 100);
    let mut after = before.clone();
    after.rows[10].qty = 77;
    after.rows[10..51].rotate_left(1);
    assert_eq!(ops(&before, &after), r#"[3,"rows",10,50],["rows",50,"qty",77]"#);
}

#[test]
fn a_rolling_window_is_two_ops_a_step() {
    #[derive(Serialize)]
    struct Line {
        level: &'static str,
        text: String,
    }
    let line = |n: usize| Line { level: "info", text: format!("this is what happened at {n}") };
    let window = |from: usize| BTreeMap::from([("log", (from..from + 100).map(line).collect::<Vec<_>>())]);
    let mut watcher = Watcher::new(&window(0));
    for step in 1..20 {
        let expected =
            format!(r#"[2,"log",0,1],[1,"log",99,{{"level":"info","text":"this is what happened at {}"}}]"#, step + 99);
        assert_eq!(watcher.tell(&window(step)), expected);
    }
    let numbers =
        |from: u32| BTreeMap::from([("loss", (from..from + 50).map(|n| 1.0 / f64::from(n + 1)).collect::<Vec<_>>())]);
    let text = ops(&numbers(0), &numbers(1));
    assert_eq!(text, format!(r#"[2,"loss",0,1],[1,"loss",49,{}]"#, 1.0 / 51.0));
}

#[test]
fn appended_text_costs_what_was_appended() {
    let before = BTreeMap::from([("text", "𝄞 ".repeat(2000))]);
    let mut after = before.clone();
    after.get_mut("text").expect("the text").push_str("tok\"en");
    assert_eq!(ops(&before, &after), r#"[4,"text","tok\"en"]"#);
    let short = |text: &str| BTreeMap::from([("text", text.to_owned())]);
    assert_eq!(ops(&short("to"), &short("token")), r#"[4,"text","ken"]"#);
    assert_eq!(ops(&short(""), &short("t")), r#"["text","t"]"#);
    assert_eq!(ops(&short("token"), &short("to")), r#"["text","to"]"#);
}

#[test]
fn what_is_declared_is_the_identity() {
    #[derive(Clone, Serialize)]
    struct Todo {
        title: String,
        slug: String,
    }
    #[derive(Clone, Serialize)]
    struct Page {
        lists: BTreeMap<String, Vec<Todo>>,
    }
    let todo = |n: u32| Todo { title: format!("the thing number {n}"), slug: format!("s{n}") };
    let mut page = Page { lists: BTreeMap::from([("today".into(), (0..50).map(todo).collect())]) };
    let mut shadow = Shadow::new(KEY);
    shadow.key("lists.today", "slug");
    let mut watcher = Watcher::with(shadow, &page);
    let today = page.lists.get_mut("today").expect("a list");
    today[20].title.push('!');
    today.remove(10);
    assert_eq!(watcher.tell(&page), r#"[2,"lists","today",10,1],[4,"lists","today",19,"title","!"]"#);
}

#[test]
fn a_part_below_a_root_key_names_it_in_every_op() {
    let mut shadow = Shadow::under(KEY, "$jobs");
    let mut out = Vec::new();
    shadow.diff(&[row(1)], &mut out).expect("a diff");
    assert!(out.starts_with(br#"["$jobs",[{"id":1,"#));
    out.clear();
    let mut changed = row(1);
    changed.done = true;
    shadow.diff(&vec![changed], &mut out).expect("a diff");
    assert_eq!(String::from_utf8_lossy(&out), r#"["$jobs",0,"done",true]"#);
    out.clear();
    shadow.diff(&Vec::<Row>::new(), &mut out).expect("a diff");
    assert_eq!(String::from_utf8_lossy(&out), r#"["$jobs",[]]"#);
}

#[test]
fn a_void_shadow_replaces_the_root() {
    let mut shadow = Shadow::new(KEY);
    assert!(shadow.is_void());
    let mut out = b"x".to_vec();
    shadow.diff(&json!({"a": 1}), &mut out).expect("a diff");
    assert_eq!(out, br#"x[0,{"a":1}]"#);
    assert!(!shadow.is_void());
}

#[test]
fn a_root_that_is_no_object_and_a_reserved_key_are_errors() {
    for wrong in [json!([1]), json!(1), json!(null), json!({"$x": 1})] {
        let mut shadow = Shadow::new(KEY);
        let mut out = b"kept".to_vec();
        assert!(shadow.diff(&wrong, &mut out).is_err());
        assert!(shadow.snapshot(&wrong, &mut out).is_err());
        assert_eq!((out.as_slice(), shadow.is_void()), (&b"kept"[..], true));
    }
}

/// Fails, or panics, when it is told to, after it has written something.
struct Fragile {
    before: u32,
    fail: bool,
    panic: bool,
}

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeMap};
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("before", &self.before)?;
        if self.fail {
            return Err(S::Error::custom("fragile"));
        }
        assert!(!self.panic, "fragile");
        map.serialize_entry("after", &1)?;
        map.end()
    }
}

#[test]
fn a_value_that_fails_or_panics_leaves_a_void_shadow_and_no_ops() {
    for (fail, panic) in [(true, false), (false, true)] {
        let mut watcher = Watcher::new(&json!({"inner": {"before": 1, "after": 1}, "rows": [1]}));
        let state = |fail, panic| BTreeMap::from([("inner", Fragile { before: 2, fail, panic })]);
        let mut out = b"kept".to_vec();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            watcher.shadow.diff(&state(fail, panic), &mut out)
        }));
        if panic {
            assert!(result.is_err());
            watcher.shadow.void();
        } else {
            assert!(result.expect("no panic").is_err());
            assert_eq!(out, b"kept");
        }
        assert!(watcher.shadow.is_void());
        watcher.tell(&state(false, false));
    }
}

#[test]
fn a_value_that_swallows_an_error_inside_it_fails_as_a_whole() {
    struct Swallows;
    impl Serialize for Swallows {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap;
            let mut map = serializer.serialize_map(None)?;
            let _ = map.serialize_entry("a", &Fragile { before: 1, fail: true, panic: false });
            map.end()
        }
    }
    let mut shadow = Shadow::new(KEY);
    let mut out = Vec::new();
    assert!(shadow.diff(&Swallows, &mut out).is_err());
    assert!(out.is_empty() && shadow.is_void());
    let mut watcher = Watcher::new(&json!({"a": {"before": 3}}));
    assert!(watcher.shadow.diff(&Swallows, &mut out).is_err());
    assert!(out.is_empty() && watcher.shadow.is_void());
}

#[test]
fn sixty_lists_inside_each_other_are_planned_in_linear_time() {
    #[derive(Clone, Serialize)]
    struct Nested {
        id: u32,
        inner: Vec<Nested>,
    }
    fn nested(depth: u32, removed: bool) -> Nested {
        let mut inner = vec![Nested { id: 1, inner: vec![] }];
        if depth > 0 {
            inner.push(nested(depth - 1, removed));
        }
        inner.push(Nested { id: 2, inner: vec![] });
        inner.push(Nested { id: 3, inner: vec![] });
        if removed {
            inner.remove(inner.len() - 2);
        }
        Nested { id: 100 + depth, inner }
    }
    fn bare(depth: u32, extra: bool) -> Value {
        let inner = if depth == 0 { json!(0) } else { bare(depth - 1, extra) };
        if extra { json!([inner, 7, [8]]) } else { json!([inner, [8]]) }
    }
    let mut watcher = Watcher::new(&nested(60, false));
    watcher.tell(&nested(60, true));
    watcher.tell(&nested(60, false));
    let mut watcher = Watcher::new(&json!({"a": bare(60, false)}));
    watcher.tell(&json!({"a": bare(60, true)}));
    watcher.tell(&json!({"a": bare(60, false)}));
}
