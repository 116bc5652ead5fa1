//! What is measured: an app of one number, through the public API.

use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Counter {
    count: i64,
}

pub(crate) async fn serve() -> crate::Result<()> {
    App::new(Counter::default)
        // The generator sends as fast as it is answered.
        .limits(crate::unhurried())
        .action("add", |state, _cx, by: i64| state.count += by)
        .serve("127.0.0.1:0")
        .await
        .map_err(|error| format!("{error:?}").into())
}
