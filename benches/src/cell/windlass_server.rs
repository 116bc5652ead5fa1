//! What is measured: an app of many rows, held in each of the ways that there are.

use windlass::prelude::*;

use super::{MANY_ROWS, PLAIN_ROWS, Row, row};

type Payload = (usize, i64);

#[derive(Clone, Serialize)]
struct Chunked {
    rows: SyncVec<Row>,
}

#[derive(Clone, Serialize)]
struct TrackedRows {
    rows: Vec<Tracked<Row>>,
}

#[derive(Clone, Serialize)]
struct Plain {
    rows: Vec<Row>,
}

pub(crate) async fn sync_vec() -> crate::Result<()> {
    let app = App::new(|| Chunked { rows: (0..MANY_ROWS).map(row).collect() });
    serve(app.action("set", |state, _cx, (at, quantity): Payload| state.rows[at].quantity = quantity)).await
}

pub(crate) async fn tracked() -> crate::Result<()> {
    let app = App::new(|| TrackedRows { rows: (0..PLAIN_ROWS).map(row).map(Tracked::new).collect() });
    serve(app.action("set", |state, _cx, (at, quantity): Payload| state.rows[at].quantity = quantity)).await
}

pub(crate) async fn plain() -> crate::Result<()> {
    serve(plain_rows()).await
}

pub(crate) async fn plain_in_place() -> crate::Result<()> {
    serve(plain_rows().in_place()).await
}

fn plain_rows() -> App<Plain> {
    App::new(|| Plain { rows: (0..PLAIN_ROWS).map(row).collect() })
        .action("set", |state, _cx, (at, quantity): Payload| state.rows[at].quantity = quantity)
}

async fn serve<S: Clone + Send + 'static + Serialize>(app: App<S>) -> crate::Result<()> {
    // One page acts as fast as it can, which no page may by default.
    app.limits(crate::unhurried()).serve("127.0.0.1:0").await.map_err(|error| format!("{error:?}").into())
}
