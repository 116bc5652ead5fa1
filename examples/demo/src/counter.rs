//! Example 1, a counter: the shortest action there is.

use serde::{Deserialize, Serialize};
use windlass::prelude::*;

use crate::Demo;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Counter {
    count: i64,
}

pub(crate) fn register(app: App<Demo>) -> App<Demo> {
    app.action("add", |state, _cx, by: i64| {
        state.counter.count = state.counter.count.saturating_add(by);
    })
    .action("reset", |state, _cx, ()| state.counter.count = 0)
}
