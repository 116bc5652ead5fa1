//! States made of every call that a `Serialize` can make, nested in each other, through histories of edits.
//!
//! [`Shape`] serialises as whatever it was generated to be: each leaf, each container and each of the
//! four ways in which serde writes an enum, with the handshakes of our own types between them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_sync::{Private, Shadow, SyncVec, Tracked};

use crate::{KEY, Watcher};

/// Keys that something on the way may treat as more than a key, and texts that are not one unit a character.
pub(crate) const ODD: [&str; 14] = [
    "",
    "/",
    "~1",
    "~0",
    "__proto__",
    "constructor",
    "0",
    "-",
    "-1",
    "a.b",
    "$x",
    "𝄞🎼",
    "é\u{301}",
    "\"\\\u{0}\n\u{2028}",
];

#[derive(Clone, Debug)]
enum Shape {
    Bool(bool),
    I8(i8),
    I64(i64),
    I128(i128),
    U16(u16),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Text(String),
    Displayed(String),
    Bytes(Vec<u8>),
    Unit,
    UnitStruct,
    UnitVariant(usize),
    Some(Box<Shape>),
    Newtype(Box<Shape>),
    NewtypeVariant(usize, Box<Shape>),
    /// A sequence, which says its length or does not.
    List(Vec<Shape>, bool),
    Tuple(Vec<Shape>),
    TupleStruct(Vec<Shape>),
    TupleVariant(usize, Vec<Shape>),
    Map(BTreeMap<Key, Shape>, bool),
    Struct(Vec<(usize, Shape)>),
    StructVariant(usize, Vec<(usize, Shape)>),
    Tracked(Box<Tracked<Shape>>),
    TrackedList(Vec<Tracked<Shape>>),
    Rows(SyncVec<Shape>),
    Private(Box<Private<Shape>>),
    Json(Value),
    Raw(u8),
}

/// Every kind of key that JSON takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Text(String),
    Int(i64),
    Wide(u128),
    Bool(bool),
    Char(char),
    Variant(usize),
}

const FIELDS: [&str; 6] = ["id", "key", "a", "name", "__proto__", ""];
const VARIANTS: [&str; 4] = ["One", "Two", "id", "constructor"];

impl Key {
    fn text(&self) -> String {
        match self {
            Key::Text(text) => text.clone(),
            Key::Int(number) => number.to_string(),
            Key::Wide(number) => number.to_string(),
            Key::Bool(value) => value.to_string(),
            Key::Char(value) => value.to_string(),
            Key::Variant(at) => VARIANTS[*at].into(),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Key::Text(text) => serializer.serialize_str(text),
            Key::Int(number) => serializer.serialize_i64(*number),
            Key::Wide(number) => serializer.serialize_u128(*number),
            Key::Bool(value) => serializer.serialize_bool(*value),
            Key::Char(value) => serializer.serialize_char(*value),
            Key::Variant(at) => serializer.serialize_unit_variant("Key", *at as u32, VARIANTS[*at]),
        }
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shape::Bool(value) => serializer.serialize_bool(*value),
            Shape::I8(value) => serializer.serialize_i8(*value),
            Shape::I64(value) => serializer.serialize_i64(*value),
            Shape::I128(value) => serializer.serialize_i128(*value),
            Shape::U16(value) => serializer.serialize_u16(*value),
            Shape::U64(value) => serializer.serialize_u64(*value),
            Shape::U128(value) => serializer.serialize_u128(*value),
            Shape::F32(value) => serializer.serialize_f32(*value),
            Shape::F64(value) => serializer.serialize_f64(*value),
            Shape::Char(value) => serializer.serialize_char(*value),
            Shape::Text(value) => serializer.serialize_str(value),
            Shape::Displayed(value) => serializer.collect_str(value),
            Shape::Bytes(value) => serializer.serialize_bytes(value),
            Shape::Unit => serializer.serialize_unit(),
            Shape::UnitStruct => serializer.serialize_unit_struct("UnitStruct"),
            Shape::UnitVariant(at) => serializer.serialize_unit_variant("Shape", *at as u32, VARIANTS[*at]),
            Shape::Some(value) => serializer.serialize_some(value),
            Shape::Newtype(value) => serializer.serialize_newtype_struct("Newtype", value),
            Shape::NewtypeVariant(at, value) => {
                serializer.serialize_newtype_variant("Shape", *at as u32, VARIANTS[*at], value)
            }
            Shape::List(items, sized) => {
                let mut list = serializer.serialize_seq(sized.then_some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Shape::Tuple(items) => {
                let mut list = serializer.serialize_tuple(items.len())?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Shape::TupleStruct(items) => {
                let mut list = serializer.serialize_tuple_struct("Tuple", items.len())?;
                items.iter().try_for_each(|item| list.serialize_field(item))?;
                list.end()
            }
            Shape::TupleVariant(at, items) => {
                let mut list = serializer.serialize_tuple_variant("Shape", *at as u32, VARIANTS[*at], items.len())?;
                items.iter().try_for_each(|item| list.serialize_field(item))?;
                list.end()
            }
            Shape::Map(entries, sized) => {
                // A key that comes twice is told as a whole each time, which the watcher would complain of.
                let mut texts = BTreeSet::new();
                let entries: Vec<_> = entries.iter().filter(|(key, _)| texts.insert(key.text())).collect();
                let mut map = serializer.serialize_map(sized.then_some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            Shape::Struct(fields) => {
                let mut object = serializer.serialize_struct("Struct", fields.len())?;
                fields.iter().try_for_each(|(at, value)| object.serialize_field(FIELDS[*at], value))?;
                object.end()
            }
            Shape::StructVariant(at, fields) => {
                let mut object =
                    serializer.serialize_struct_variant("Shape", *at as u32, VARIANTS[*at], fields.len())?;
                fields.iter().try_for_each(|(at, value)| object.serialize_field(FIELDS[*at], value))?;
                object.end()
            }
            Shape::Tracked(value) => value.serialize(serializer),
            Shape::TrackedList(items) => items.serialize(serializer),
            Shape::Rows(rows) => rows.serialize(serializer),
            Shape::Private(value) => value.serialize(serializer),
            Shape::Json(value) => value.serialize(serializer),
            Shape::Raw(number) => raw(*number).serialize(serializer),
        }
    }
}

fn raw(number: u8) -> Box<RawValue> {
    RawValue::from_string(format!("{{ \"n\": [{number}, 1.0, \"\\u00e9\"] }}")).expect("is JSON")
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&ODD[..]).prop_map(String::from),
        2 => "[ab]{0,16}",
        1 => any::<String>(),
    ]
}

fn leaf() -> impl Strategy<Value = Shape> {
    let wide = [0, 1, -1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, i64::MAX.into(), u64::MAX.into()];
    let floats = [0.0, -0.0, 1.0, 0.1, -2.5, 1e300, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY];
    prop_oneof![
        any::<bool>().prop_map(Shape::Bool),
        (-2i8..3).prop_map(Shape::I8),
        prop::sample::select(vec![0, (1_i64 << 53) + 1, i64::MIN]).prop_map(Shape::I64),
        prop::sample::select(wide.to_vec()).prop_map(Shape::I128),
        (0u16..3).prop_map(Shape::U16),
        prop::sample::select(vec![0, 1, (1_u64 << 53) + 1, u64::MAX]).prop_map(Shape::U64),
        prop::sample::select(vec![0, 1_u128 << 100, u128::MAX]).prop_map(Shape::U128),
        prop::sample::select(vec![0.1f32, 1.0, f32::MAX, f32::NAN, 16_777_217.0]).prop_map(Shape::F32),
        prop::sample::select(floats.to_vec()).prop_map(Shape::F64),
        prop::sample::select(vec!['a', '𝄞', '"', '\0']).prop_map(Shape::Char),
        text().prop_map(Shape::Text),
        text().prop_map(Shape::Displayed),
        prop::collection::vec(0u8..4, 0..4).prop_map(Shape::Bytes),
        Just(Shape::Unit),
        Just(Shape::UnitStruct),
        (0usize..4).prop_map(Shape::UnitVariant),
        (0u8..3).prop_map(Shape::Raw),
        prop::sample::select(vec![json!({}), json!([]), json!({"a": [1, {"": null}]}), json!("x")])
            .prop_map(Shape::Json),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => text().prop_map(Key::Text),
        2 => (-1i64..3).prop_map(Key::Int),
        1 => (0u128..2).prop_map(Key::Wide),
        1 => any::<bool>().prop_map(Key::Bool),
        1 => prop::sample::select(vec!['-', '0', '𝄞']).prop_map(Key::Char),
        1 => (0usize..4).prop_map(Key::Variant),
    ]
}

/// Fields with names in order, some of them left out.
fn fields(inner: impl Strategy<Value = Shape> + Clone) -> impl Strategy<Value = Vec<(usize, Shape)>> {
    prop::collection::btree_map(0usize..FIELDS.len(), inner, 0..5).prop_map(|fields| fields.into_iter().collect())
}

fn shape() -> impl Strategy<Value = Shape> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        let items = || prop::collection::vec(inner.clone(), 0..6);
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            1 => boxed().prop_map(Shape::Some),
            1 => boxed().prop_map(Shape::Newtype),
            1 => (0usize..4, boxed()).prop_map(|(at, value)| Shape::NewtypeVariant(at, value)),
            3 => (items(), any::<bool>()).prop_map(|(items, sized)| Shape::List(items, sized)),
            1 => items().prop_map(Shape::Tuple),
            1 => items().prop_map(Shape::TupleStruct),
            1 => (0usize..4, items()).prop_map(|(at, items)| Shape::TupleVariant(at, items)),
            2 => (prop::collection::btree_map(key(), inner.clone(), 0..5), any::<bool>())
                .prop_map(|(entries, sized)| Shape::Map(entries, sized)),
            3 => fields(inner.clone()).prop_map(Shape::Struct),
            1 => (0usize..4, fields(inner.clone())).prop_map(|(at, fields)| Shape::StructVariant(at, fields)),
            1 => inner.clone().prop_map(|value| Shape::Tracked(Box::new(Tracked::new(value)))),
            2 => items().prop_map(|items| Shape::TrackedList(items.into_iter().map(Tracked::new).collect())),
            2 => items().prop_map(|items| Shape::Rows(items.into_iter().collect())),
            1 => inner.clone().prop_map(|value| Shape::Private(Box::new(Private::new(value)))),
        ]
    })
}

/// One change somewhere: where to go at each level, and what to do there.
#[derive(Clone, Debug)]
struct Edit {
    way: Vec<usize>,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Become(Shape),
    Insert(usize, Shape),
    Remove(usize),
    Swap(usize, usize),
    Double(usize),
    Rotate,
    Append(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || 0usize..100;
    let change = prop_oneof![
        4 => shape().prop_map(Change::Become),
        3 => (at(), shape()).prop_map(|(at, value)| Change::Insert(at, value)),
        3 => at().prop_map(Change::Remove),
        2 => (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => at().prop_map(Change::Double),
        1 => Just(Change::Rotate),
        1 => text().prop_map(Change::Append),
    ];
    (prop::collection::vec(at(), 0..4), change).prop_map(|(way, change)| Edit { way, change })
}

impl Shape {
    fn edit(&mut self, way: &[usize], change: &Change) {
        let Some((&step, rest)) = way.split_first() else { return self.change(change) };
        match self {
            Shape::Some(value) | Shape::Newtype(value) | Shape::NewtypeVariant(_, value) => value.edit(rest, change),
            Shape::Tracked(value) => value.edit(rest, change),
            Shape::Private(value) => value.edit(rest, change),
            Shape::List(items, _) | Shape::Tuple(items) | Shape::TupleStruct(items) | Shape::TupleVariant(_, items)
                if !items.is_empty() =>
            {
                let at = step % items.len();
                items[at].edit(rest, change);
            }
            Shape::TrackedList(items) if !items.is_empty() => {
                let at = step % items.len();
                items[at].edit(rest, change);
            }
            Shape::Rows(rows) if !rows.is_empty() => {
                let at = step % rows.len();
                rows[at].edit(rest, change);
            }
            Shape::Map(entries, _) if !entries.is_empty() => {
                let at = step % entries.len();
                entries.values_mut().nth(at).expect("it is below the length").edit(rest, change);
            }
            Shape::Struct(fields) | Shape::StructVariant(_, fields) if !fields.is_empty() => {
                let at = step % fields.len();
                fields[at].1.edit(rest, change);
            }
            _ => self.change(change),
        }
    }

    fn change(&mut self, change: &Change) {
        match (&mut *self, change) {
            (_, Change::Become(new)) => *self = new.clone(),
            (Shape::Text(text) | Shape::Displayed(text), Change::Append(tail)) => text.push_str(tail),
            (Shape::List(items, _) | Shape::TupleVariant(_, items), change) => change_list(items, change, Shape::clone),
            (Shape::TrackedList(items), change) => change_list(items, change, |new| Tracked::new(new.clone())),
            (Shape::Rows(rows), change) => change_rows(rows, change),
            (Shape::Map(entries, _), Change::Insert(at, new)) => {
                entries.insert(Key::Text(ODD[at % ODD.len()].into()), new.clone());
            }
            (Shape::Map(entries, _), Change::Remove(at)) => {
                if let Some(key) = entries.keys().nth(at % entries.len().max(1)).cloned() {
                    entries.remove(&key);
                }
            }
            (Shape::Struct(fields) | Shape::StructVariant(_, fields), Change::Remove(at)) if !fields.is_empty() => {
                fields.remove(at % fields.len());
            }
            // Fields in another order are the same object.
            (Shape::Struct(fields), Change::Rotate) if !fields.is_empty() => fields.rotate_left(1),
            (Shape::Struct(fields), Change::Swap(a, b)) if !fields.is_empty() => {
                let len = fields.len();
                fields.swap(a % len, b % len);
            }
            _ => {}
        }
    }
}

fn change_list<R: Clone>(items: &mut Vec<R>, change: &Change, make: impl Fn(&Shape) -> R) {
    let len = items.len();
    match change {
        Change::Insert(at, new) => items.insert(at % (len + 1), make(new)),
        _ if len == 0 => {}
        Change::Remove(at) => drop(items.remove(at % len)),
        Change::Swap(a, b) => items.swap(a % len, b % len),
        Change::Double(at) => items.push(items[at % len].clone()),
        Change::Rotate => items.rotate_left(1),
        Change::Become(_) | Change::Append(_) => {}
    }
}

fn change_rows(rows: &mut SyncVec<Shape>, change: &Change) {
    let len = rows.len();
    match change {
        Change::Insert(at, new) => rows.insert(at % (len + 1), new.clone()),
        _ if len == 0 => {}
        Change::Remove(at) => drop(rows.remove(at % len)),
        Change::Swap(a, b) => rows.swap(a % len, b % len),
        Change::Double(at) => rows.push(rows[at % len].clone()),
        Change::Rotate => rows.move_row(0, len - 1),
        Change::Become(_) | Change::Append(_) => {}
    }
}

#[derive(Clone, Debug, Serialize)]
struct State {
    first: Shape,
    second: Shape,
    rest: Vec<Shape>,
}

fn state() -> impl Strategy<Value = State> {
    (shape(), shape(), prop::collection::vec(shape(), 0..4)).prop_map(|(first, second, rest)| State {
        first,
        second,
        rest,
    })
}

/// Says something else every second time that it is asked.
#[derive(Debug)]
struct Fickle {
    asked: Cell<u32>,
    says: [Shape; 2],
    /// Fails when it is asked for the time of this number.
    fails_at: u32,
}

impl Serialize for Fickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() == self.fails_at {
            return Err(S::Error::custom("asked too often"));
        }
        self.says[self.asked.get() as usize % 2].serialize(serializer)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// CONVERGE and MINIMAL: the watcher compares the documents, and the ops with the plain value.
    #[test]
    fn a_state_of_any_shapes_converges_through_any_edits(
        mut state in state(),
        history in prop::collection::vec((0usize..4, edit()), 1..10),
    ) {
        let mut watcher = Watcher::new(&state);
        for (field, edit) in history {
            match field {
                0 => state.first.edit(&edit.way, &edit.change),
                1 => state.second.edit(&edit.way, &edit.change),
                2 => change_list(&mut state.rest, &edit.change, Shape::clone),
                _ => state.rest.iter_mut().for_each(|shape| shape.edit(&edit.way, &edit.change)),
            }
            watcher.tell(&state);
        }
    }

    /// CONVERGE: from any value to any other that has nothing to do with it.
    #[test]
    fn any_shapes_become_any_others(states in prop::collection::vec(state(), 2..5)) {
        let mut watcher = Watcher::new(&states[0]);
        for state in &states[1..] {
            watcher.tell(state);
        }
    }

    #[test]
    fn a_value_that_changes_while_it_is_read_or_fails_is_survived(
        mut fickle in prop::collection::vec((shape(), shape(), 0u32..7), 1..5),
        good in state(),
    ) {
        let mut shadow = Shadow::new(KEY);
        let mut out = Vec::new();
        let make = |fickle: &[(Shape, Shape, u32)]| -> BTreeMap<&str, Vec<Fickle>> {
            let one = |(a, b, fails_at): &(Shape, Shape, u32)| Fickle {
                asked: Cell::new(0),
                says: [a.clone(), b.clone()],
                fails_at: *fails_at,
            };
            BTreeMap::from([("list", fickle.iter().map(one).collect())])
        };
        for round in 0..3 {
            let state = make(&fickle);
            for _ in 0..3 {
                let before = out.len();
                match shadow.diff(&state, &mut out) {
                    // What it says cannot be right, but it is ops.
                    Ok(()) => {
                        let ops = String::from_utf8(out[before..].to_vec()).expect("text");
                        let list: Result<Vec<Value>, _> = serde_json::from_str(&format!("[{ops}]"));
                        prop_assert!(list.is_ok(), "{ops}");
                    }
                    Err(_) => prop_assert!(shadow.is_void() && out.len() == before),
                }
            }
            fickle.rotate_left(round % 2);
        }
        // A fresh start heals what a fickle value may have left behind.
        shadow.void();
        let mut watcher = Watcher::with(shadow, &good);
        watcher.tell(&good);
    }
}
