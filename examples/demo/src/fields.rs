//! Example 7, fields that the page writes by itself, and an action that is answered later.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::prelude::*;

use crate::DemoApp;

#[derive(Clone, Deserialize, Serialize, TS)]
#[ts(rename = "Booking")]
pub(crate) struct Fields {
    name: String,
    guests: u32,
    quiet: bool,
    dishes: Vec<Dish>,
    /// How many times the page has written.
    writes: u64,
    answer: String,
}

#[derive(Clone, Deserialize, Serialize, TS)]
struct Dish {
    id: u64,
    name: String,
}

/// What the form sends beside the fields that follow it.
#[derive(Deserialize, TS)]
struct Reservation {
    wish: String,
}

impl Default for Fields {
    fn default() -> Self {
        let dish = |id, name: &str| Dish { id, name: name.to_owned() };
        Self {
            name: String::new(),
            guests: 2,
            quiet: false,
            dishes: vec![dish(1, "Soup"), dish(2, "Pie"), dish(3, "Plums")],
            writes: 0,
            answer: String::new(),
        }
    }
}

pub(crate) fn register(app: DemoApp) -> DemoApp {
    app.field("fields.name", |state| &mut state.fields.name)
        .field("fields.guests", |state| &mut state.fields.guests)
        .field("fields.quiet", |state| &mut state.fields.quiet)
        .row_field("fields.dishes.name", "id", |state, id: &u64| {
            state.fields.dishes.iter_mut().find(|dish| dish.id == *id).map(|dish| &mut dish.name)
        })
        .on_change(|state, _cx, written| {
            if written.path() == "fields.guests" && state.fields.guests > 12 {
                return Err(Error::refuse("too_many", "The table seats twelve"));
            }
            state.fields.writes += 1;
            Ok(())
        })
        .action("turn_menu", |state, _cx, ()| state.fields.dishes.rotate_left(1))
        .async_action("reserve", |handle, Reservation { wish }| async move {
            handle.update(|state, _cx| state.fields.answer = "asking…".to_owned())?;
            tokio::time::sleep(ASKED_FOR).await;
            handle.update(move |state, _cx| {
                let Fields { name, guests, .. } = &state.fields;
                let name = if name.is_empty() { "you" } else { name };
                state.fields.answer = format!("a table for {guests} is kept for {name}, {wish}");
            })
        })
}

/// As long as a restaurant takes to pick up the phone.
const ASKED_FOR: Duration = Duration::from_millis(700);
