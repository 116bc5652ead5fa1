//! Counts of latencies in buckets that grow with what they hold, so that memory does not grow with the run.

/// Latencies in microseconds, each known to 1/64 of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, micros: u64) {
        let at = bucket(micros);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// The latency below which that share of all lies, in microseconds; none when there is nothing.
    pub(crate) fn quantile(&self, share: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(upper(at).min(self.max))
    }

    /// The longest, exactly.
    pub(crate) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Below 128 each number has its own bucket; above, each power of two has 64.
fn bucket(micros: u64) -> usize {
    if micros < 2 * STEPS {
        return micros as usize;
    }
    let power = 63 - u64::from(micros.leading_zeros()) - STEPS_LOG2;
    (power * STEPS + (micros >> power)) as usize
}

/// The largest number that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    let step = bucket - power * STEPS;
    ((step + 1) << power) - 1
}

const STEPS_LOG2: u64 = 6;
const STEPS: u64 = 1 << STEPS_LOG2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_falls_into_the_bucket_that_holds_it() {
        for micros in (0..100_000).chain([1 << 40, (1 << 40) + 12_345, u64::MAX / 4]) {
            let at = bucket(micros);
            assert!(micros <= upper(at), "{micros}");
            assert!(at == 0 || upper(at - 1) < micros, "{micros}");
        }
    }

    #[test]
    fn quantiles_are_known_to_a_sixty_fourth() {
        let mut latencies = Histogram::default();
        assert_eq!((latencies.quantile(0.5), latencies.max()), (None, None));
        (1..=100_000).for_each(|micros| latencies.add(micros));
        for (share, exact) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0)] {
            let found = latencies.quantile(share).unwrap() as f64;
            assert!((found / exact - 1.0).abs() < 1.0 / 64.0, "{share}: {found}");
        }
        assert_eq!(latencies.quantile(1.0), Some(100_000));
    }
}
