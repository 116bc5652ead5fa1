//! The figures of a bench, a JSON line each.

use serde::Serialize;

use crate::pairs::Spread;

/// The median of what was measured, its quartiles, and whether it keeps its budget; without one it is `ok`.
#[derive(Serialize)]
struct Figure<'a> {
    bench: &'a str,
    metric: &'a str,
    value: f64,
    quartiles: [f64; 2],
    budget: Option<f64>,
    ok: bool,
}

/// What a bench found; prints as it goes.
#[derive(Default)]
pub(crate) struct Report {
    bench: &'static str,
    fell_short: bool,
}

impl Report {
    pub(crate) fn of(bench: &'static str) -> Self {
        Self { bench, fell_short: false }
    }

    /// A figure to look at: it has no budget.
    pub(crate) fn spread(&mut self, metric: &str, spread: Spread) {
        self.print(metric, spread, None, true);
    }

    /// A figure that should be at least this. The machine is shared, so it is red only when the
    /// better quartile misses too.
    pub(crate) fn at_least(&mut self, metric: &str, spread: Spread, budget: f64) {
        self.print(metric, spread, Some(budget), spread.upper >= budget);
    }

    /// A figure that should be at most this; red only when the better quartile misses too.
    pub(crate) fn at_most(&mut self, metric: &str, spread: Spread, budget: f64) {
        self.print(metric, spread, Some(budget), spread.lower <= budget);
    }

    /// A figure that is the same on every machine and in every run: it should be at most this.
    pub(crate) fn exact(&mut self, metric: &str, value: usize, budget: usize) {
        self.at_most(metric, Spread::of([value as f64]), budget as f64);
    }

    pub(crate) fn is_within_budget(&self) -> bool {
        !self.fell_short
    }

    fn print(&mut self, metric: &str, spread: Spread, budget: Option<f64>, ok: bool) {
        self.fell_short |= !ok;
        let (value, quartiles) = (rounded(spread.median), [rounded(spread.lower), rounded(spread.upper)]);
        let figure = Figure { bench: self.bench, metric, value, quartiles, budget, ok };
        println!("{}", serde_json::to_string(&figure).expect("a figure holds only numbers and text"));
    }
}

/// Four digits say more than any of these measurements knows.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(lower: f64, median: f64, upper: f64) -> Spread {
        Spread { lower, median, upper }
    }

    #[test]
    fn a_figure_is_red_only_when_its_better_quartile_misses() {
        let mut report = Report::of("x");
        report.at_least("noisy", spread(0.6, 0.7, 0.8), 0.8);
        assert!(report.is_within_budget());
        report.at_least("short", spread(0.6, 0.7, 0.79), 0.8);
        report.spread("anything", spread(0.0, 0.0, 0.0));
        assert!(!report.is_within_budget());

        let mut report = Report::of("x");
        report.at_most("noisy", spread(0.7, 0.9, 1.0), 0.8);
        report.exact("bytes", 32, 32);
        assert!(report.is_within_budget());
        report.exact("bytes", 33, 32);
        assert!(!report.is_within_budget());
        let mut report = Report::of("x");
        report.at_most("long", spread(0.81, 0.9, 1.0), 0.8);
        assert!(!report.is_within_budget());
    }

    #[test]
    fn values_keep_four_digits() {
        for (value, expected) in [(123_456.0, 123_500.0), (0.123_456, 0.123_5), (0.0, 0.0), (-1.234_56, -1.235)] {
            assert!((rounded(value) - expected).abs() < 1e-9, "{value}: {}", rounded(value));
        }
    }
}
