//! Histories of edits over every shape of serde: CONVERGE and MINIMAL as properties.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_sync::{Private, Shadow, SyncVec, Tracked};

use crate::{KEY, Watcher, document};

#[derive(Clone, Debug, Serialize)]
enum External {
    Unit,
    Newtype(u32),
    Text(String),
    Tuple(u8, String),
    Struct { id: u32, list: Vec<u8> },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
enum Internal {
    Unit,
    Struct { a: u8, b: Option<String> },
    Other { b: Option<u32> },
    Map(BTreeMap<String, u8>),
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Newtype(External),
    Tuple(u8, u8),
    Struct { x: f32 },
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Untagged {
    Null,
    Bool(bool),
    Number(i8),
    Float(f64),
    Text(String),
    List(Vec<u8>),
    Pair { left: u8, right: u8 },
}

/// Buffered by serde before it reaches any serializer.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind")]
enum Buffered {
    One(Wrapped),
}

#[derive(Clone, Debug, Serialize)]
enum Wrapped {
    Rows { rows: Vec<Tracked<u32>> },
}

#[derive(Clone, Debug, Serialize)]
struct Flat {
    own: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
    #[serde(flatten)]
    part: Part,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<String>,
    #[serde(skip)]
    #[allow(dead_code)]
    hidden: u8,
    last: u8,
}

#[derive(Clone, Debug, Serialize)]
struct Keyed {
    key: String,
    cells: Vec<Option<u8>>,
    note: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Everything {
    external: Vec<External>,
    internal: Internal,
    adjacent: Adjacent,
    untagged: Vec<Untagged>,
    buffered: Buffered,
    flat: Flat,
    parts: Vec<Part>,
    keyed: Vec<Keyed>,
    map: BTreeMap<String, Vec<u8>>,
    hash: HashMap<u8, Part>,
    value: Value,
    numbers: (u64, i64, i128, u128, f64, f32),
    optional: Option<Option<String>>,
    text: String,
    letter: char,
    tracked: Tracked<Part>,
    tracked_list: Tracked<Vec<Tracked<Keyed>>>,
    rows: SyncVec<Keyed>,
    windows: Vec<u8>,
    matrix: Vec<Vec<u8>>,
    unit: (),
    private: Private<u8>,
    raw: Box<RawValue>,
    array: [Option<u8>; 3],
    maybe_list: Option<Vec<Tracked<u8>>>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["", "a", "b", "ab", "/", "~1", "__proto__", "0", "-", "constructor"]).prop_map(String::from),
        2 => "[a-c]{0,20}",
        1 => prop::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
    ]
}

fn small() -> impl Strategy<Value = u8> {
    0u8..4
}

fn external() -> impl Strategy<Value = External> {
    prop_oneof![
        Just(External::Unit),
        small().prop_map(|n| External::Newtype(n.into())),
        text().prop_map(External::Text),
        (small(), text()).prop_map(|(a, b)| External::Tuple(a, b)),
        (small(), prop::collection::vec(small(), 0..4)).prop_map(|(id, list)| External::Struct { id: id.into(), list }),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    (prop::option::of(small()), prop::option::of(text()), small()).prop_map(|(first, second, last)| Part {
        first,
        second,
        hidden: 0,
        last,
    })
}

fn keyed() -> impl Strategy<Value = Keyed> {
    (text(), prop::collection::vec(prop::option::of(small()), 0..5), prop::option::of(text()))
        .prop_map(|(key, cells, note)| Keyed { key, cells, note })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        small().prop_map(Value::from),
        prop::sample::select(vec![
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(0.5),
            json!(1.0)
        ]),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn untagged() -> impl Strategy<Value = Untagged> {
    prop_oneof![
        Just(Untagged::Null),
        any::<bool>().prop_map(Untagged::Bool),
        (-2i8..3).prop_map(Untagged::Number),
        prop::sample::select(vec![0.0, -0.0, 1.0, 0.1, f64::NAN, f64::INFINITY, 1e300]).prop_map(Untagged::Float),
        text().prop_map(Untagged::Text),
        prop::collection::vec(small(), 0..4).prop_map(Untagged::List),
        (small(), small()).prop_map(|(left, right)| Untagged::Pair { left, right }),
    ]
}

/// One change of a state.
#[derive(Clone, Debug)]
enum Edit {
    External(Vec<External>),
    Internal(Internal),
    Adjacent(Adjacent),
    Untagged(Vec<Untagged>),
    Buffered(usize, u32),
    Flat(u8, BTreeMap<String, u8>, Part),
    Parts(Vec<Part>),
    List(ListEdit, Keyed),
    Map(String, Option<Vec<u8>>),
    Hash(u8, Option<Part>),
    Value(Value),
    Numbers(u64, i64, i128, u128, f64, f32),
    Optional(Option<Option<String>>),
    Append(String),
    Text(String),
    Letter(char),
    Tracked(Part),
    Window(u8),
    Matrix(Vec<Vec<u8>>),
    Raw(u8),
    Array([Option<u8>; 3]),
    MaybeList(Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum ListEdit {
    Insert(usize),
    Remove(usize),
    Swap(usize, usize),
    Change(usize),
    Reverse,
    Sort,
    Duplicate(usize),
    Clear,
    Extend(usize),
    RotateLeft,
}

fn list_edit() -> impl Strategy<Value = ListEdit> {
    let at = || 0usize..200;
    prop_oneof![
        4 => at().prop_map(ListEdit::Insert),
        4 => at().prop_map(ListEdit::Remove),
        3 => (at(), at()).prop_map(|(a, b)| ListEdit::Swap(a, b)),
        4 => at().prop_map(ListEdit::Change),
        1 => Just(ListEdit::Reverse),
        1 => Just(ListEdit::Sort),
        2 => at().prop_map(ListEdit::Duplicate),
        1 => Just(ListEdit::Clear),
        2 => (1usize..150).prop_map(ListEdit::Extend),
        2 => Just(ListEdit::RotateLeft),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        prop::collection::vec(external(), 0..5).prop_map(Edit::External),
        prop_oneof![
            Just(Internal::Unit),
            (small(), prop::option::of(text())).prop_map(|(a, b)| Internal::Struct { a, b }),
            prop::option::of(0u32..3).prop_map(|b| Internal::Other { b }),
            prop::collection::btree_map("[a-c]", small(), 0..4).prop_map(Internal::Map),
        ]
        .prop_map(Edit::Internal),
        prop_oneof![
            Just(Adjacent::Unit),
            external().prop_map(Adjacent::Newtype),
            (small(), small()).prop_map(|(a, b)| Adjacent::Tuple(a, b)),
            prop::sample::select(vec![0.1f32, 1.0, f32::MAX]).prop_map(|x| Adjacent::Struct { x }),
        ]
        .prop_map(Edit::Adjacent),
        prop::collection::vec(untagged(), 0..6).prop_map(Edit::Untagged),
        (0usize..4, 0u32..9).prop_map(|(at, value)| Edit::Buffered(at, value)),
        (small(), prop::collection::btree_map("[d-f]", small(), 0..4), part())
            .prop_map(|(a, b, c)| Edit::Flat(a, b, c)),
        prop::collection::vec(part(), 0..6).prop_map(Edit::Parts),
        (list_edit(), keyed()).prop_map(|(edit, row)| Edit::List(edit, row)),
        (text(), prop::option::of(prop::collection::vec(small(), 0..9))).prop_map(|(key, value)| Edit::Map(key, value)),
        (0u8..40, prop::option::of(part())).prop_map(|(key, value)| Edit::Hash(key, value)),
        value().prop_map(Edit::Value),
        (any::<u64>(), any::<i64>(), any::<i128>(), any::<u128>(), any::<f64>(), any::<f32>())
            .prop_map(|(a, b, c, d, e, f)| Edit::Numbers(a, b, c, d, e, f)),
        prop::option::of(prop::option::of(text())).prop_map(Edit::Optional),
        text().prop_map(Edit::Append),
        text().prop_map(Edit::Text),
        any::<char>().prop_map(Edit::Letter),
        part().prop_map(Edit::Tracked),
        small().prop_map(Edit::Window),
        prop::collection::vec(prop::collection::vec(small(), 0..4), 0..5).prop_map(Edit::Matrix),
        small().prop_map(Edit::Raw),
        prop::array::uniform3(prop::option::of(small())).prop_map(Edit::Array),
        prop::option::of(0usize..9).prop_map(Edit::MaybeList),
        (list_edit(), keyed()).prop_map(|(edit, row)| Edit::List(edit, row)),
        (0u8..40, prop::option::of(part())).prop_map(|(key, value)| Edit::Hash(key, value)),
        value().prop_map(Edit::Value),
    ]
}

fn raw(n: u8) -> Box<RawValue> {
    RawValue::from_string(format!("{{ \"n\": [{n}, 1.0] }}")).expect("is JSON")
}

fn everything() -> Everything {
    let part = Part { first: None, second: Some("x".into()), hidden: 9, last: 1 };
    let keyed = |n: usize| Keyed { key: format!("k{n}"), cells: vec![None, Some(1)], note: None };
    Everything {
        external: vec![External::Unit, External::Newtype(1)],
        internal: Internal::Unit,
        adjacent: Adjacent::Unit,
        untagged: vec![],
        buffered: Buffered::One(Wrapped::Rows { rows: (0..4).map(Tracked::new).collect() }),
        flat: Flat { own: 1, rest: BTreeMap::new(), part: part.clone() },
        parts: vec![part.clone(); 2],
        keyed: (0..5).map(keyed).collect(),
        map: BTreeMap::new(),
        hash: HashMap::new(),
        value: json!({}),
        numbers: (0, 0, 0, 0, 0.0, 0.0),
        optional: None,
        text: String::new(),
        letter: 'x',
        tracked: Tracked::new(part),
        tracked_list: Tracked::new((0..5).map(|n| Tracked::new(keyed(n))).collect()),
        rows: (0..5).map(keyed).collect(),
        windows: (0..12).collect(),
        matrix: vec![],
        unit: (),
        private: Private::new(7),
        raw: raw(0),
        array: [None; 3],
        maybe_list: None,
    }
}

fn edit_list<R: Clone>(
    list: &mut Vec<R>,
    edit: ListEdit,
    make: &dyn Fn(usize) -> R,
    change: &dyn Fn(&mut R),
    sort: &dyn Fn(&R) -> String,
) {
    let len = list.len();
    match edit {
        ListEdit::Insert(at) => list.insert(at % (len + 1), make(0)),
        ListEdit::Extend(count) => list.extend((0..count).map(make)),
        ListEdit::Clear => list.clear(),
        ListEdit::Reverse => list.reverse(),
        ListEdit::Sort => list.sort_by_key(|row| sort(row)),
        _ if len == 0 => {}
        ListEdit::Remove(at) => drop(list.remove(at % len)),
        ListEdit::Swap(a, b) => list.swap(a % len, b % len),
        ListEdit::Change(at) => change(&mut list[at % len]),
        ListEdit::Duplicate(at) => list.insert(at % 7 % len, list[at % len].clone()),
        ListEdit::RotateLeft => list.rotate_left(1),
    }
}

fn edit_rows(rows: &mut SyncVec<Keyed>, edit: ListEdit, new: &Keyed) {
    let len = rows.len();
    match edit {
        ListEdit::Insert(at) => rows.insert(at % (len + 1), new.clone()),
        ListEdit::Extend(count) => {
            rows.extend((0..count).map(|n| Keyed { key: format!("{}{n}", new.key), ..new.clone() }))
        }
        ListEdit::Clear => rows.clear(),
        ListEdit::Reverse => *rows = rows.to_vec().into_iter().rev().collect(),
        ListEdit::Sort => rows.sort_by_key(|row| row.key.clone()),
        _ if len == 0 => {}
        ListEdit::Remove(at) => drop(rows.remove(at % len)),
        ListEdit::Swap(a, b) => rows.swap(a % len, b % len),
        ListEdit::Change(at) => rows[at % len].note = new.note.clone(),
        ListEdit::Duplicate(at) => rows.insert(at % 7 % len, rows[at % len].clone()),
        ListEdit::RotateLeft => rows.move_row(0, len - 1),
    }
}

impl Everything {
    fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::External(new) => self.external = new,
            Edit::Internal(new) => self.internal = new,
            Edit::Adjacent(new) => self.adjacent = new,
            Edit::Untagged(new) => self.untagged = new,
            Edit::Buffered(at, value) => {
                let Buffered::One(Wrapped::Rows { rows }) = &mut self.buffered;
                *rows[at] = value;
            }
            Edit::Flat(own, rest, part) => self.flat = Flat { own, rest, part },
            Edit::Parts(new) => self.parts = new,
            Edit::List(edit, new) => {
                let make = |n: usize| Keyed { key: format!("{}{n}", new.key), ..new.clone() };
                let change = |row: &mut Keyed| row.note = new.note.clone();
                edit_list(&mut self.keyed, edit, &make, &change, &|row| row.key.clone());
                let list = &mut *self.tracked_list;
                edit_list(list, edit, &|n| Tracked::new(make(n)), &|row| change(row), &|row| row.key.clone());
                edit_rows(&mut self.rows, edit, &new);
            }
            Edit::Map(key, Some(value)) => drop(self.map.insert(key, value)),
            Edit::Map(key, None) => drop(self.map.remove(&key)),
            Edit::Hash(key, Some(value)) => drop(self.hash.insert(key, value)),
            Edit::Hash(key, None) => drop(self.hash.remove(&key)),
            Edit::Value(new) => self.value = new,
            Edit::Numbers(a, b, c, d, e, f) => self.numbers = (a, b, c, d, e, f),
            Edit::Optional(new) => self.optional = new,
            Edit::Append(tail) => self.text.push_str(&tail),
            Edit::Text(new) => self.text = new,
            Edit::Letter(new) => self.letter = new,
            Edit::Tracked(new) => *self.tracked = new,
            Edit::Window(new) => {
                self.windows.push(new);
                self.windows.remove(0);
            }
            Edit::Matrix(new) => self.matrix = new,
            Edit::Raw(n) => self.raw = raw(n),
            Edit::Array(new) => self.array = new,
            Edit::MaybeList(new) => self.maybe_list = new.map(|n| (0..n as u8).map(Tracked::new).collect()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_shape_converges_through_a_history_of_edits(
        history in prop::collection::vec(prop::collection::vec(edit(), 1..4), 1..12),
        declared in any::<bool>(),
    ) {
        let mut state = everything();
        let mut shadow = Shadow::new(KEY);
        if declared {
            shadow.key("parts", "last");
            shadow.key("keyed", "note");
            shadow.key("value.a", "b");
        }
        let mut watcher = Watcher::with(shadow, &state);
        for edits in history {
            for edit in edits {
                state.edit(edit);
            }
            watcher.tell(&state);
        }
    }

    #[test]
    fn any_json_becomes_any_other(values in prop::collection::vec(value(), 2..6)) {
        let mut watcher = Watcher::new(&json!({}));
        for value in values {
            watcher.tell(&json!({"value": value, "list": [value, 1, value]}));
        }
    }

    #[test]
    fn a_sync_vec_is_a_vec(edits in prop::collection::vec((list_edit(), keyed()), 1..30)) {
        let mut list: Vec<Keyed> = Vec::new();
        let mut rows: SyncVec<Keyed> = SyncVec::new();
        for (edit, new) in edits {
            let make = |n: usize| match edit {
                ListEdit::Extend(_) => Keyed { key: format!("{}{n}", new.key), ..new.clone() },
                _ => new.clone(),
            };
            edit_list(&mut list, edit, &make, &|row| row.note = new.note.clone(), &|row| row.key.clone());
            edit_rows(&mut rows, edit, &new);
            prop_assert_eq!(document(&list), document(&rows));
            prop_assert_eq!(rows.len(), list.len());
            prop_assert_eq!(rows.iter().len(), rows.iter().count());
        }
    }
}
