//! The values that are walked, and what is done with them.

use serde::Serialize;
use serde_json::value::to_value;
use windlass_sync::{SyncVec, Tracked};

use super::{Case, shadow_of};
use crate::Result;

/// A row as of a table of goods: five fields, a text among them.
#[derive(Clone, Serialize)]
pub(super) struct Row {
    id: u32,
    name: String,
    pub(super) qty: u32,
    price: f64,
    done: bool,
}

pub(super) fn row(id: u32) -> Row {
    Row { id, name: format!("item {id:05}"), qty: id * 7 % 13, price: f64::from(id) * 0.25, done: id.is_multiple_of(3) }
}

#[derive(Clone, Serialize)]
pub(super) struct Table<L> {
    count: u32,
    pub(super) rows: L,
}

pub(super) fn table<R, L: FromIterator<R>>(rows: u32, make: impl FnMut(u32) -> R) -> Table<L> {
    Table { count: rows, rows: (0..rows).map(make).collect() }
}

#[derive(Clone, Serialize)]
pub(super) struct Chat {
    text: String,
}

/// A text of 10 KB and then some tokens.
pub(super) fn chat(tokens: usize) -> Chat {
    Chat { text: "the quick brown fox jumps over the lazy dog. ".repeat(228) + &" token".repeat(tokens) }
}

/// A value and the same after an edit.
fn edited<T: Clone>(before: T, edit: impl FnOnce(&mut T)) -> (T, T) {
    let mut after = before.clone();
    edit(&mut after);
    (before, after)
}

pub(super) fn all() -> Result<Vec<Case>> {
    let plain = || -> Table<Vec<Row>> { table(1_000, row) };
    let tracked = |rows| -> Table<Vec<Tracked<Row>>> { table(rows, |id| Tracked::new(row(id))) };
    let sync_vec = |rows| -> Table<SyncVec<Row>> { table(rows, row) };
    let cell = |rows: &mut Table<Vec<Tracked<Row>>>| rows.rows[500].qty = 99;

    let untouched = Table { count: 0, rows: Tracked::new(plain().rows) };
    let mut cases = vec![
        Case::diff("plain_cell", edited(plain(), |table| table.rows[500].qty = 99))?,
        Case::diff("plain_insert_remove", edited(plain(), |table| drop(table.rows.remove(500))))?,
        Case::diff("plain_move", edited(plain(), |table| table.rows[100..501].rotate_left(1)))?,
        Case::diff("tracked_1k_cell", edited(tracked(1_000), cell))?,
        Case::diff("tracked_10k_cell", edited(tracked(10_000), cell))?,
        Case::diff("tracked_insert_remove", edited(tracked(1_000), |table| drop(table.rows.remove(500))))?,
        Case::diff("tracked_move", edited(tracked(1_000), |table| table.rows[100..501].rotate_left(1)))?,
        Case::diff("untouched_tracked", edited(untouched, |table| table.count = 1))?,
        Case::diff("untouched_sync_vec", edited(sync_vec(1_000), |table| table.count = 1))?,
        Case::diff("sync_vec_100k_walk", edited(sync_vec(100_000), |table| table.rows[50_000].qty = 99))?,
        turn(sync_vec(100_000))?,
        append()?,
    ];

    let table = plain();
    let mut out = Vec::with_capacity(1 << 20);
    cases.push(Case::new("to_writer", move |_| {
        out.clear();
        serde_json::to_writer(&mut out, &table).expect("the value serialises");
    }));
    let (before, after) = edited(plain(), |table| table.rows[500].qty = 99);
    let mut old = to_value(&before)?;
    let mut out = Vec::with_capacity(1 << 20);
    cases.push(Case::new("json_patch", move |call| {
        out.clear();
        let value = if call.is_multiple_of(2) { &after } else { &before };
        let new = to_value(value).expect("the value serialises");
        let patch = json_patch::diff(&old, &new);
        assert_eq!(patch.0.len(), 1, "the two values differ by one cell");
        serde_json::to_writer(&mut out, &patch).expect("a patch serialises");
        old = new;
    }));
    Ok(cases)
}

/// A whole turn: a copy to roll back to, an edit somewhere, the walk, and the copy dropped.
fn turn(mut state: Table<SyncVec<Row>>) -> Result<Case> {
    let mut shadow = shadow_of(&state)?;
    let mut out = Vec::with_capacity(1 << 20);
    let mut at = 0;
    Ok(Case::new("sync_vec_100k_turn", move |_| {
        out.clear();
        let copy = state.clone();
        at = (at + 7_919) % state.rows.len();
        state.rows[at].qty += 1;
        shadow.diff(&state, &mut out).expect("the value serialises");
        drop(copy);
    }))
}

/// Tokens appended to a text of 10 KB, which begins again when it has grown by a tenth.
fn append() -> Result<Case> {
    let begin = chat(0);
    let mut shadow = shadow_of(&begin)?;
    let mut state = begin;
    let length = state.text.len();
    state.text.reserve(length / 5);
    let mut out = Vec::with_capacity(1 << 20);
    Ok(Case::new("append_to_10k", move |_| {
        out.clear();
        if state.text.len() > length + length / 10 {
            state.text.truncate(length);
        }
        state.text.push_str(" token");
        shadow.diff(&state, &mut out).expect("the value serialises");
    }))
}
