//! Two things measured in turn, so that what else the machine does meets both alike.

/// How many pairs of slices a bench takes.
pub(crate) const PAIRS: usize = 12;

/// The quartiles of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { lower: quantile(&values, 0.25), median: quantile(&values, 0.5), upper: quantile(&values, 0.75) }
    }
}

/// Between the two nearest of sorted values.
pub(crate) fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}

/// The order of the slices: ours first in one pair and last in the next, so that a drift of the
/// machine's speed favours neither.
pub(crate) fn ours_first(pair: usize) -> bool {
    pair.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_nearest_values() {
        assert_eq!(Spread::of([3.0]), Spread { lower: 3.0, median: 3.0, upper: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0, 5.0]), Spread { lower: 2.0, median: 3.0, upper: 4.0 });
        assert_eq!(Spread::of([1.0, 2.0]), Spread { lower: 1.25, median: 1.5, upper: 1.75 });
    }
}
