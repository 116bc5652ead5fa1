//! One action, one changed number: Windlass against a bare WebSocket echo of the same bytes.
//!
//! Both servers live through the whole run, each pinned to the same core, on the same runtime with
//! the same WebSocket options; the generator has another core. Slices of a second alternate. The
//! echo decodes each action and encodes each answer as JSON, so both send and receive the same
//! bytes, and the generator checks each answer byte for byte.

use std::time::Duration;

use crate::child::Server;
use crate::pairs::{PAIRS, Spread, ours_first, quantile};
use crate::peer::Dialect;
use crate::report::Report;
use crate::{Result, machine};

pub(crate) mod echo_server;
mod load;
pub(crate) mod windlass_server;

use load::{Load, Slice};

/// How many sessions keep the servers busy.
const SESSIONS: usize = 64;
/// Long enough that a timer tick or a page fault is noise.
const SLICE: Duration = Duration::from_secs(1);
/// Turns per CPU-second, of the echo's.
const RATIO_MIN: f64 = 0.8;

pub(crate) fn run() -> Result<Report> {
    let cores = machine::cores()?;
    let (server_core, generator_core) = (cores[0], *cores.last().expect("there is a core that runs this"));
    if server_core == generator_core {
        eprintln!("one core only: the generator runs on the servers' core");
    }
    let windlass = Server::start("counter-windlass", server_core)?;
    let echo = Server::start("counter-echo", server_core)?;
    machine::pin(generator_core)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report::of("counter");
        throughput(&windlass, &echo, &mut report).await?;
        round_trip(&windlass, &echo, &mut report).await?;
        Ok(report)
    })
}

async fn throughput(windlass: &Server, echo: &Server, report: &mut Report) -> Result<()> {
    let pairs = alternate(windlass, echo, SESSIONS, "64 sessions").await?;
    let per_second = |measured: &Measured| measured.slice.turns as f64 / measured.cpu.as_secs_f64();
    let ratios = pairs.iter().map(|[ours, theirs]| per_second(ours) / per_second(theirs));
    report.at_least("turns_per_cpu_second_ratio", Spread::of(ratios), RATIO_MIN);
    report.spread("turns_per_cpu_second", Spread::of(pairs.iter().map(|[ours, _]| per_second(ours))));
    report.spread("turns_per_cpu_second_echo", Spread::of(pairs.iter().map(|[_, theirs]| per_second(theirs))));
    Ok(())
}

async fn round_trip(windlass: &Server, echo: &Server, report: &mut Report) -> Result<()> {
    let pairs = alternate(windlass, echo, 1, "1 session").await?;
    for (name, at) in [("p50", 0.5), ("p99", 0.99)] {
        let micros = |measured: &Measured| quantile(&measured.slice.sorted_micros, at);
        report.spread(&format!("round_trip_{name}_us"), Spread::of(pairs.iter().map(|[ours, _]| micros(ours))));
        report
            .spread(&format!("round_trip_{name}_us_echo"), Spread::of(pairs.iter().map(|[_, theirs]| micros(theirs))));
        let ratios = pairs.iter().map(|[ours, theirs]| micros(ours) / micros(theirs));
        report.spread(&format!("round_trip_{name}_ratio"), Spread::of(ratios));
    }
    Ok(())
}

/// One slice and the CPU time that its server used for it.
struct Measured {
    slice: Slice,
    cpu: Duration,
}

/// Pairs of slices, ours and theirs, after one of each that does not count.
async fn alternate(windlass: &Server, echo: &Server, sessions: usize, what: &str) -> Result<Vec<[Measured; 2]>> {
    let mut ours = Load::connect(&windlass.address, Dialect::Windlass, sessions).await?;
    let mut theirs = Load::connect(&echo.address, Dialect::Echo, sessions).await?;
    let mut pairs = Vec::with_capacity(PAIRS);
    measure(windlass, &mut ours).await?;
    measure(echo, &mut theirs).await?;
    for pair in 0..PAIRS {
        eprintln!("{what}: pair {} of {PAIRS}", pair + 1);
        let first = if ours_first(pair) { Some(measure(windlass, &mut ours).await?) } else { None };
        let theirs = measure(echo, &mut theirs).await?;
        let ours = match first {
            Some(first) => first,
            None => measure(windlass, &mut ours).await?,
        };
        pairs.push([ours, theirs]);
    }
    Ok(pairs)
}

async fn measure(server: &Server, load: &mut Load) -> Result<Measured> {
    let before = server.cpu_time()?;
    // The slice ends when every answer is there, so that turns and CPU time are of the same work.
    let slice = load.run(SLICE).await?;
    Ok(Measured { slice, cpu: server.cpu_time()?.saturating_sub(before) })
}
