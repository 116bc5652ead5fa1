//! Example 8, ten thousand rows: a cell, a row or the order changes, and only that travels.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use windlass::prelude::*;

use crate::{Demo, DemoApp};

#[derive(Clone, Deserialize, Serialize, TS)]
pub(crate) struct Table {
    rows: SyncVec<Row>,
    sorted: Sorted,
    /// Kept on disk, and never sent to the page.
    next_id: Private<u32>,
    next_cell: Private<usize>,
}

#[derive(Clone, Deserialize, Serialize, TS)]
struct Row {
    id: u32,
    name: String,
    qty: u32,
    price: f64,
}

/// What the rows are in order of; nothing once they were moved by hand.
#[derive(Clone, Default, Deserialize, Serialize, TS)]
struct Sorted {
    by: Option<Column>,
    descending: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
enum Column {
    Id,
    Name,
    Qty,
    Price,
}

#[derive(Clone, Copy, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
enum Place {
    Top,
    Middle,
}

/// What the buttons in a row send.
#[derive(Deserialize, TS)]
struct Of {
    id: u32,
}

impl Default for Table {
    fn default() -> Self {
        // Clones of a `SyncVec` share their rows until one of them changes some.
        static STORES: LazyLock<SyncVec<Row>> = LazyLock::new(|| (1..=ROWS).map(Row::new).collect());
        Self {
            rows: STORES.clone(),
            sorted: Sorted { by: Some(Column::Id), descending: false },
            next_id: Private::new(ROWS + 1),
            next_cell: Private::new(0),
        }
    }
}

impl Row {
    fn new(id: u32) -> Self {
        let at = id as usize;
        let name = format!("{} {}", THINGS[at % THINGS.len()], SIZES[at / 7 % SIZES.len()]);
        // Spread by a prime, so that no column is in the order of another.
        let price = f64::from(id * 7_919 % 19_973 + 25) / 100.0;
        Self { id, name, qty: id * 31 % 97, price }
    }
}

pub(crate) fn register(app: DemoApp) -> DemoApp {
    app.action("change_cell", |state, _cx, ()| change_cell(&mut state.table))
        .action("change_cells", |state, _cx, ()| change_cells(&mut state.table))
        .action("insert_row", |state, _cx, place| insert(&mut state.table, place))
        .action("remove_first", |state, _cx, ()| {
            if !state.table.rows.is_empty() {
                state.table.rows.remove(0);
            }
        })
        .action("remove_row", remove_row)
        .action("add_one", add_one)
        .action("move_last", |state, _cx, ()| {
            if let Some(last) = state.table.rows.len().checked_sub(1) {
                state.table.rows.move_row(last, 0);
                state.table.sorted = Sorted::default();
            }
        })
        .action("swap_rows", |state, _cx, ()| {
            if state.table.rows.len() >= 5 {
                state.table.rows.swap(1, 4);
                state.table.sorted = Sorted::default();
            }
        })
        .action("reverse_rows", |state, _cx, ()| {
            let rows = &mut state.table.rows;
            (0..rows.len() / 2).for_each(|at| rows.swap(at, rows.len() - 1 - at));
            state.table.sorted.descending ^= true;
        })
        .action("sort_rows", |state, _cx, by| sort(&mut state.table, by))
}

impl Table {
    fn position(&self, of: Of) -> Result<usize> {
        self.rows.iter().position(|row| row.id == of.id).ok_or_else(|| Error::refuse("gone", "that row is gone"))
    }
}

fn remove_row(state: &mut Demo, _cx: &mut Cx<Demo>, of: Of) -> Result {
    let at = state.table.position(of)?;
    state.table.rows.remove(at);
    Ok(())
}

fn add_one(state: &mut Demo, _cx: &mut Cx<Demo>, of: Of) -> Result {
    let at = state.table.position(of)?;
    state.table.rows[at].qty += 1;
    Ok(())
}

/// Makes the next of the first rows dearer, so that the change is in sight.
fn change_cell(table: &mut Table) {
    let in_sight = table.rows.len().min(8);
    if in_sight > 0 {
        let row = &mut table.rows[*table.next_cell % in_sight];
        row.price = ((row.price + 0.05) * 100.0).round() / 100.0;
        *table.next_cell += 1;
    }
}

/// Adds one to the quantity of a hundred rows, spread over the whole list.
fn change_cells(table: &mut Table) {
    let step = (table.rows.len() / 100).max(1);
    for at in (0..table.rows.len()).step_by(step).take(100) {
        table.rows[at].qty += 1;
    }
}

fn insert(table: &mut Table, place: Place) {
    let at = match place {
        Place::Top => 0,
        Place::Middle => table.rows.len() / 2,
    };
    table.rows.insert(at, Row::new(*table.next_id));
    *table.next_id += 1;
    table.sorted = Sorted::default();
}

/// Sorts by a column, upwards first, the other way when it is already so.
fn sort(table: &mut Table, by: Column) {
    let descending = table.sorted.by == Some(by) && !table.sorted.descending;
    table.rows.sort_by(|a, b| {
        let order = match by {
            Column::Id => a.id.cmp(&b.id),
            Column::Name => a.name.cmp(&b.name),
            Column::Qty => a.qty.cmp(&b.qty),
            Column::Price => a.price.total_cmp(&b.price),
        };
        if descending { order.reverse() } else { order }
    });
    table.sorted = Sorted { by: Some(by), descending };
}

/// No session holds so many that the page would be slow, or so few that a whole list sent again would go unseen.
const ROWS: u32 = 10_000;

const THINGS: [&str; 13] = [
    "Manila rope",
    "Shackle",
    "Deck bolt",
    "Turnbuckle",
    "Anchor chain",
    "Snatch block",
    "Cleat",
    "Fairlead",
    "Swivel",
    "Thimble",
    "Marlin spike",
    "Sail needle",
    "Capstan bar",
];

const SIZES: [&str; 9] = ["4 mm", "6 mm", "8 mm", "10 mm", "12 mm", "16 mm", "20 mm", "24 mm", "32 mm"];
