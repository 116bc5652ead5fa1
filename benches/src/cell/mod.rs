//! One action, one changed cell of a large table: the round trip beside the echo's of the same bytes.
//!
//! All servers live through the whole run on the same core; the generator has another one. Each
//! round takes a slice of every server, forwards and then backwards, and a ratio is of two slices
//! of the same round. Every answer is checked byte for byte.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::child::Server;
use crate::pairs::{PAIRS, Spread, ours_first, quantile};
use crate::peer::{Dialect, Peer};
use crate::report::Report;
use crate::{Result, machine};

pub(crate) mod echo_server;
pub(crate) mod windlass_server;

/// Long enough that a timer tick or a page fault is noise.
const SLICE: Duration = Duration::from_secs(1);
/// Rows of the `SyncVec`.
const MANY_ROWS: usize = 100_000;
/// Rows of the plain list and of the tracked one.
const PLAIN_ROWS: usize = 10_000;

/// The role of a server, the rows it has, its name in the report, and its budget: so many times the echo's round trip.
const TABLES: [(&str, usize, &str, f64); 4] = [
    ("cell-sync-vec", MANY_ROWS, "sync_vec_100k", 1.3),
    ("cell-tracked", PLAIN_ROWS, "tracked_10k", 8.0),
    ("cell-plain", PLAIN_ROWS, "plain_10k", 20.0),
    ("cell-plain-in-place", PLAIN_ROWS, "plain_10k_in_place", 8.0),
];

/// A row of five fields.
#[derive(Clone, Serialize)]
struct Row {
    id: usize,
    name: String,
    quantity: i64,
    price: f64,
    active: bool,
}

fn row(id: usize) -> Row {
    Row { id, name: format!("article {id}"), quantity: 0, price: id as f64 / 4.0, active: id.is_multiple_of(3) }
}

pub(crate) fn run() -> Result<Report> {
    let cores = machine::cores()?;
    let (server_core, generator_core) = (cores[0], *cores.last().expect("there is a core that runs this"));
    let echo = Server::start("cell-echo", server_core)?;
    let tables = TABLES.into_iter().map(|(role, ..)| Server::start(role, server_core)).collect::<Result<Vec<_>>>()?;
    machine::pin(generator_core)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut echo = Table::connect(&echo, Dialect::Echo, MANY_ROWS).await?;
        let mut ours = Vec::new();
        for (server, (_, rows, ..)) in tables.iter().zip(TABLES) {
            ours.push(Table::connect(server, Dialect::Windlass, rows).await?);
        }
        let mut rounds = Vec::with_capacity(PAIRS);
        round(&mut echo, &mut ours, true).await?;
        for number in 0..PAIRS {
            eprintln!("round {} of {PAIRS}", number + 1);
            rounds.push(round(&mut echo, &mut ours, ours_first(number)).await?);
        }
        let mut report = Report::of("cell");
        report.spread("round_trip_p50_us_echo", Spread::of(rounds.iter().map(|(echo, _)| *echo)));
        for (at, (_, _, name, budget)) in TABLES.into_iter().enumerate() {
            let ratios = rounds.iter().map(|(echo, ours)| ours[at] / echo);
            report.at_most(&format!("round_trip_ratio_{name}"), Spread::of(ratios), budget);
            report.spread(&format!("round_trip_p50_us_{name}"), Spread::of(rounds.iter().map(|(_, ours)| ours[at])));
        }
        Ok(report)
    })
}

/// The median round trips of one round, in microseconds: the echo's, and those of the tables.
async fn round(echo: &mut Table, ours: &mut [Table], forwards: bool) -> Result<(f64, Vec<f64>)> {
    let mut medians = vec![0.0; ours.len()];
    let mut theirs = 0.0;
    if !forwards {
        theirs = echo.slice().await?;
    }
    for at in 0..ours.len() {
        let at = if forwards { at } else { ours.len() - 1 - at };
        medians[at] = ours[at].slice().await?;
    }
    if forwards {
        theirs = echo.slice().await?;
    }
    Ok((theirs, medians))
}

/// A page that looks at a table.
struct Table {
    peer: Peer,
    rows: usize,
    edits: usize,
}

impl Table {
    async fn connect(server: &Server, dialect: Dialect, rows: usize) -> Result<Self> {
        Ok(Self { peer: Peer::connect(&server.address, dialect, 1).await?, rows, edits: 0 })
    }

    /// Edits one cell after the other for the length of a slice; the median round trip in microseconds.
    async fn slice(&mut self) -> Result<f64> {
        let mut micros = Vec::new();
        let end = Instant::now() + SLICE;
        while Instant::now() < end {
            self.edits += 1;
            // A stride that shares no factor with the number of rows visits them all, near and far.
            let (at, quantity) = (self.edits * 7_919 % self.rows, self.edits);
            let (payload, expected) =
                (format!("[{at},{quantity}]"), format!(r#"[["rows",{at},"quantity",{quantity}]]]"#));
            let began = Instant::now();
            self.peer.act("set", &payload, &expected).await?;
            micros.push(began.elapsed().as_nanos() as f64 / 1_000.0);
        }
        micros.sort_by(f64::total_cmp);
        Ok(quantile(&micros, 0.5))
    }
}
