//! What a load came to, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::tally::Counts;

/// What a load came to; `--json` prints it as one object.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) url: String,
    pub(crate) action: String,
    /// What was measured, without the ramp-up.
    pub(crate) seconds: f64,
    pub(crate) sessions: usize,
    pub(crate) connected: usize,
    pub(crate) failed: BTreeMap<String, usize>,
    pub(crate) actions_sent: u64,
    pub(crate) actions_per_second: f64,
    pub(crate) latency_ms: Latency,
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) closes: BTreeMap<String, u64>,
    pub(crate) reconnects: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
}

/// From when an action was due to its outcome, in milliseconds; null when none was applied.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl Summary {
    pub(crate) fn of(url: &str, action: &str, sessions: usize, measured: Duration, counts: &Counts) -> Self {
        let seconds = measured.as_secs_f64();
        let ms = |micros: Option<u64>| micros.map(|micros| micros as f64 / 1_000.0);
        Self {
            url: url.to_owned(),
            action: action.to_owned(),
            seconds,
            sessions,
            connected: counts.connected,
            failed: counts.failed.clone(),
            actions_sent: counts.sent,
            actions_per_second: if seconds > 0.0 { counts.applied as f64 / seconds } else { 0.0 },
            latency_ms: Latency {
                p50: ms(counts.latencies.quantile(0.5)),
                p90: ms(counts.latencies.quantile(0.9)),
                p99: ms(counts.latencies.quantile(0.99)),
                max: ms(counts.latencies.max()),
            },
            outcomes: counts.outcomes.clone(),
            closes: counts.closes.clone(),
            reconnects: counts.reconnects,
            bytes_read: counts.read,
            bytes_written: counts.written,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &mut dyn Iterator<Item = (&String, u64)>| -> String {
            let listed: Vec<_> = counts.map(|(name, count)| format!("{count} {name}")).collect();
            if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
        };
        writeln!(f, "sessions   {} of {} connected", self.connected, self.sessions)?;
        for (reason, count) in &self.failed {
            writeln!(f, "           {count} failed: {reason}")?;
        }
        writeln!(
            f,
            "actions    {} sent, {:.0} a second over {:.1} s",
            self.actions_sent, self.actions_per_second, self.seconds
        )?;
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
        let Latency { p50, p90, p99, max } = &self.latency_ms;
        writeln!(f, "latency    p50 {}, p90 {}, p99 {}, max {}", ms(*p50), ms(*p90), ms(*p99), ms(*max))?;
        writeln!(f, "outcomes   {}", list(&mut self.outcomes.iter().map(|(code, count)| (code, *count))))?;
        writeln!(f, "closes     {}", list(&mut self.closes.iter().map(|(code, count)| (code, *count))))?;
        writeln!(f, "reconnects {}", self.reconnects)?;
        write!(f, "bytes      {} read, {} written", self.bytes_read, self.bytes_written)
    }
}
