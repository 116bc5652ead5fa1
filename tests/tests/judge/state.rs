//! A state with everything that the walk tells apart, and random changes to it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use windlass_sync::{SyncVec, Tracked};

#[derive(Clone, Serialize)]
pub(crate) struct State {
    count: i64,
    ratio: f64,
    text: String,
    plain: Vec<Row>,
    tracked: Vec<Tracked<Row>>,
    synced: SyncVec<Row>,
    numbers: Vec<i64>,
    map: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe: Option<Kind>,
    any: Value,
}

#[derive(Clone, Serialize)]
struct Row {
    id: u64,
    name: String,
    done: bool,
}

#[derive(Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Empty,
    Point { x: i64, y: Option<i64> },
}

impl State {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut state = Self {
            count: 0,
            ratio: 0.5,
            text: "to".into(),
            plain: Vec::new(),
            tracked: Vec::new(),
            synced: SyncVec::default(),
            numbers: Vec::new(),
            map: BTreeMap::new(),
            maybe: None,
            any: Value::Null,
        };
        for _ in 0..20 {
            state.change(random);
        }
        state
    }

    /// Changes one thing.
    pub(crate) fn change(&mut self, random: &mut Random) {
        match random.below(16) {
            0 => self.count = random.below(1_000) as i64 - 500,
            1 => self.ratio = random.below(1_000) as f64 / 7.0,
            2 => self.text.push_str(random.text()),
            3 => self.text = format!("{}{}", random.text(), random.text()),
            4 | 5 => edit(&mut self.plain, random, row),
            6 | 7 => edit(&mut self.tracked, random, |random| Tracked::new(row(random))),
            8 => self.change_synced(random),
            9 => edit(&mut self.numbers, random, |random| random.below(50) as i64),
            10 => drop(self.map.insert(random.text().into(), value(random, 2))),
            11 => self.map.retain(|_, _| random.below(3) > 0),
            12 => {
                let row = random.below(1 + self.tracked.len() as u64) as usize;
                if let Some(row) = self.tracked.get_mut(row) {
                    row.name.push_str(random.text());
                }
            }
            13 => {
                let row = random.below(1 + self.plain.len() as u64) as usize;
                if let Some(row) = self.plain.get_mut(row) {
                    row.done = !row.done;
                }
            }
            14 => {
                self.maybe = match random.below(3) {
                    0 => None,
                    1 => Some(Kind::Empty),
                    _ => Some(Kind::Point { x: random.below(5) as i64, y: (random.below(2) > 0).then_some(7) }),
                }
            }
            _ if random.below(40) == 0 => *self = Self { any: value(random, 3), ..Self::empty() },
            _ => self.any = value(random, 3),
        }
    }

    fn empty() -> Self {
        Self {
            count: 1,
            ratio: 1.0,
            text: String::new(),
            plain: Vec::new(),
            tracked: Vec::new(),
            synced: SyncVec::default(),
            numbers: Vec::new(),
            map: BTreeMap::new(),
            maybe: None,
            any: Value::Null,
        }
    }

    fn change_synced(&mut self, random: &mut Random) {
        let length = self.synced.len();
        let at = random.below(1 + length as u64) as usize;
        match random.below(4) {
            0 if at < length => drop(self.synced.remove(at)),
            1 if at < length => self.synced[at].name.push_str(random.text()),
            _ => self.synced.insert(at, row(random)),
        }
    }
}

/// Changes a list as lists are changed.
fn edit<T: Clone>(list: &mut Vec<T>, random: &mut Random, make: impl Fn(&mut Random) -> T) {
    let length = list.len() as u64;
    let at = random.below(1 + length) as usize;
    match random.below(10) {
        0..=2 => list.insert(at, make(random)),
        3 => {
            let run: Vec<T> = (0..random.below(5)).map(|_| make(random)).collect();
            list.splice(at..at, run);
        }
        4 if length > 0 => drop(list.drain(at.min(list.len() - 1)..)),
        5 | 6 if length > 1 => {
            let item = list.remove(random.below(length) as usize);
            list.insert(random.below(length) as usize, item);
        }
        7 => list.reverse(),
        8 => (1..list.len()).rev().for_each(|last| list.swap(last, random.below(last as u64 + 1) as usize)),
        _ if (at as u64) < length => list[at] = make(random),
        _ => list.push(make(random)),
    }
}

fn row(random: &mut Random) -> Row {
    Row { id: random.below(1 << 40), name: random.text().into(), done: random.below(2) > 0 }
}

/// Any JSON, a few levels deep.
fn value(random: &mut Random, depth: u64) -> Value {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(random.below(2) > 0),
        2 => json!(random.below(1 << 53)),
        3 => json!(random.below(100) as f64 / 8.0),
        4 => json!(random.text()),
        5 => (0..random.below(4)).map(|_| value(random, depth - 1)).collect(),
        _ => (0..random.below(4)).map(|_| (random.text().to_owned(), value(random, depth - 1))).collect(),
    }
}

/// The numbers that a seed makes: xorshift64* (Vigna, 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound
    }

    /// Keys and texts that others have stumbled over.
    fn text(&mut self) -> &'static str {
        const TEXTS: [&str; 16] = [
            "",
            "a",
            "b",
            "0",
            "01",
            "-",
            "a/b",
            "m~n",
            "~1",
            "__proto__",
            "constructor",
            "toString",
            "\"\\\n",
            "é𝄞",
            " and a little more text",
            "length",
        ];
        TEXTS[self.below(TEXTS.len() as u64) as usize]
    }
}
