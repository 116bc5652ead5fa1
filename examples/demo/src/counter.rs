//! Example 1, a counter: the shortest action there is.

use serde::{Deserialize, Serialize};
use windlass::prelude::*;

use crate::DemoApp;

#[derive(Clone, Default, Deserialize, Serialize, TS)]
pub(crate) struct Counter {
    count: i64,
}

pub(crate) fn register(app: DemoApp) -> DemoApp {
    app.action("add", |state, _cx, by: i64| {
        state.counter.count = state.counter.count.saturating_add(by);
    })
    .action("reset", |state, _cx, ()| state.counter.count = 0)
}
