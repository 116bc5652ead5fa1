//! The diff of every kind of list and its bytes, beside `serde_json` and the `json-patch` crate.
//!
//! One thread measures, in CPU time. All cases are walked in turn, a short slice of each a round, so
//! that what else the machine does meets all alike; a ratio is of two slices of the same round.
//! Most cases go to and fro between two values that differ by one edit, so that nothing but the
//! diff is in the time.

use std::hint::black_box;
use std::time::Duration;

use serde::Serialize;
use windlass_protocol::Dialect;
use windlass_protocol::frame::{self, Extras};
use windlass_protocol::ids::{FrameNumber, Seq};
use windlass_sync::{HashKey, Shadow, SyncVec, Tracked};

use crate::pairs::{PAIRS, Spread, ours_first};
use crate::report::Report;
use crate::{Result, allocations, machine};

mod cases;

use cases::{Row, Table, row, table};

/// Thousands of runs of the quickest case; short enough that a round of all takes about a second.
const SLICE: Duration = Duration::from_millis(25);
const KEY: HashKey = HashKey([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);

pub(crate) fn run() -> Result<Report> {
    machine::pin(machine::cores()?[0])?;
    let mut report = Report::of("sync");
    bytes(&mut report)?;
    times(&mut report)?;
    Ok(report)
}

/// A shadow that knows the first of the values.
fn shadow_of<T: Serialize>(value: &T) -> Result<Shadow> {
    let mut shadow = Shadow::new(KEY);
    shadow.snapshot(value, &mut Vec::new())?;
    Ok(shadow)
}

/// The ops from one value to another.
fn ops<T: Serialize>(before: &T, after: &T) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    shadow_of(before)?.diff(after, &mut out)?;
    Ok(out)
}

/// The whole frame that tells the ops, with numbers of the size that an hour of work makes.
fn framed(ops: &[u8]) -> usize {
    let mut out = Vec::new();
    frame::delta(&mut out, Dialect::Compact, FrameNumber(1234), Seq(567));
    out.extend_from_slice(ops);
    frame::delta_ops_end(&mut out);
    Extras::new(&mut out, Dialect::Compact).end();
    out.len()
}

/// What is the same in every run: bytes on the wire, bytes of memory, allocations.
fn bytes(report: &mut Report) -> Result<()> {
    let before: Table<Vec<Row>> = table(1_000, row);
    let mut after = before.clone();
    after.rows[500].qty = 99;
    report.exact("frame_of_one_cell_bytes", framed(&ops(&before, &after)?), 40);

    let mut after = before.clone();
    after.rows.remove(500);
    report.exact("list_remove_bytes", ops(&before, &after)?.len(), 32);
    let mut after = before.clone();
    after.rows[100..501].rotate_left(1);
    report.exact("list_move_bytes", ops(&before, &after)?.len(), 32);
    let mut after = before.clone();
    after.rows.insert(500, row(5_000));
    let inserted = serde_json::to_vec(&after.rows[500])?.len();
    report.exact("list_insert_bytes_without_row", ops(&before, &after)?.len() - inserted, 32);

    let (before, after) = (cases::chat(0), cases::chat(1));
    report.exact("frame_of_one_token_bytes", framed(&ops(&before, &after)?), 36);

    for (name, shadow, rows) in [
        ("plain", shadow_of(&table(10_000, row) as &Table<Vec<Row>>)?, 10_000),
        ("tracked", shadow_of(&table(10_000, |id| Tracked::new(row(id))) as &Table<Vec<Tracked<Row>>>)?, 10_000),
        ("sync_vec", shadow_of(&table(100_000, row) as &Table<SyncVec<Row>>)?, 100_000),
    ] {
        // Of the row alone a tracked one and one of a `SyncVec` have three words more.
        let budget = if name == "plain" { 64 } else { 88 };
        report.exact(&format!("shadow_bytes_a_row_{name}"), shadow.bytes().div_ceil(rows), budget);
    }
    Ok(())
}

/// Something that is measured: `run` does it once, forth on even calls and back on odd ones.
struct Case {
    name: &'static str,
    run: Box<dyn FnMut(usize)>,
    calls: usize,
    nanos: Vec<f64>,
}

impl Case {
    fn new(name: &'static str, run: impl FnMut(usize) + 'static) -> Self {
        Self { name, run: Box::new(run), calls: 0, nanos: Vec::with_capacity(PAIRS) }
    }

    /// Walks to and fro between two values.
    fn diff<T: Serialize + 'static>(name: &'static str, (before, after): (T, T)) -> Result<Self> {
        let mut shadow = shadow_of(&before)?;
        let mut out = Vec::with_capacity(1 << 20);
        Ok(Self::new(name, move |call| {
            out.clear();
            let value = if call.is_multiple_of(2) { &after } else { &before };
            shadow.diff(value, &mut out).expect("the value serialises");
            assert!(!out.is_empty(), "the two values differ");
        }))
    }

    fn times(&mut self, count: usize) -> Duration {
        let begin = machine::thread_cpu_time();
        for _ in 0..count {
            (self.run)(self.calls);
            self.calls += 1;
        }
        machine::thread_cpu_time() - begin
    }

    /// One slice; its time a call is kept.
    fn slice(&mut self) {
        let mut count = 1;
        let mut time = self.times(count);
        // Even, so that there are as many ways forth as back.
        while time < SLICE / 2 {
            let share = (SLICE.as_secs_f64() / time.as_secs_f64().max(1e-7)).clamp(2.0, 100.0);
            count = ((count as f64 * share) as usize).next_multiple_of(2);
            time = self.times(count);
        }
        self.nanos.push(time.as_nanos() as f64 / count as f64);
    }

    fn over(&self, divisor: f64) -> Spread {
        Spread::of(self.nanos.iter().map(|nanos| nanos / divisor))
    }
}

fn times(report: &mut Report) -> Result<()> {
    let mut cases = cases::all()?;
    for round in 0..=PAIRS {
        eprintln!("round {round} of {PAIRS}");
        if ours_first(round) {
            cases.iter_mut().for_each(Case::slice);
        } else {
            cases.iter_mut().rev().for_each(Case::slice);
        }
    }
    for case in &mut cases {
        // The first slice warms caches and fills the thread's memory.
        case.nanos.remove(0);
    }
    let find = |name: &str| cases.iter().find(|case| case.name == name).expect("the case is in the list");
    let ratio = |ours: &str, theirs: &str| {
        Spread::of(find(ours).nanos.iter().zip(&find(theirs).nanos).map(|(ours, theirs)| ours / theirs))
    };

    report.at_most("plain_cell_ratio_to_to_writer", ratio("plain_cell", "to_writer"), 0.2);
    report.at_most("plain_cell_ns_a_row", find("plain_cell").over(1e3), 25.0);
    report.at_most("tracked_1k_cell_ns_a_row", find("tracked_1k_cell").over(1e3), 5.0);
    report.at_most("tracked_10k_cell_ns_a_row", find("tracked_10k_cell").over(1e4), 5.0);
    report.at_most("untouched_tracked_ns", find("untouched_tracked").over(1.0), 60.0);
    report.at_most("untouched_sync_vec_ns", find("untouched_sync_vec").over(1.0), 60.0);
    report.at_most("sync_vec_100k_walk_us", find("sync_vec_100k_walk").over(1e3), 2.0);
    report.at_most("sync_vec_100k_turn_us", find("sync_vec_100k_turn").over(1e3), 6.0);
    for name in ["plain_insert_remove", "plain_move", "tracked_insert_remove", "tracked_move"] {
        report.at_most(&format!("{name}_ns_a_row"), find(name).over(1e3), 40.0);
    }
    report.at_most("append_to_10k_us", find("append_to_10k").over(1e3), 4.0);
    report.spread("to_writer_ns_a_row", find("to_writer").over(1e3));
    report.spread("json_patch_ratio", ratio("json_patch", "plain_cell"));
    report.spread("json_patch_us", find("json_patch").over(1e3));

    for case in cases.iter_mut().filter(|case| !matches!(case.name, "json_patch" | "sync_vec_100k_turn")) {
        let count = allocations::count(|| {
            black_box(case.times(10));
        });
        report.exact(&format!("{}_allocations", case.name), count, 0);
    }
    Ok(())
}
