//! Counting primes: work that a processor really has to do, and whose result anyone can check.

use serde::{Deserialize, Serialize};
use windlass::TS;

/// How many primes there are below a number.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, TS)]
pub(crate) struct Primes {
    pub(crate) below: u64,
    pub(crate) primes: u64,
    pub(crate) largest: u64,
}

/// A sieve of Eratosthenes that goes up the numbers a segment at a time.
pub(crate) struct Sieve {
    counted: Primes,
    /// The primes below [`BASE`], which cross out everything composite below its square.
    bases: Vec<u64>,
    composite: Vec<bool>,
}

impl Sieve {
    pub(crate) fn new() -> Self {
        let mut composite = vec![false; BASE as usize];
        let mut bases = Vec::new();
        for n in 2..BASE {
            if !composite[n as usize] {
                bases.push(n);
                for multiple in (n * n..BASE).step_by(n as usize) {
                    composite[multiple as usize] = true;
                }
            }
        }
        Self { counted: Primes::default(), bases, composite: vec![false; SEGMENT as usize] }
    }

    /// Counts the next segment and returns what there is so far.
    pub(crate) fn advance(&mut self) -> &Primes {
        let from = self.counted.below;
        let to = from + SEGMENT;
        debug_assert!(to <= BASE * BASE, "the base primes reach no further");
        self.composite.fill(false);
        for &prime in self.bases.iter().take_while(|&&prime| prime * prime < to) {
            let first = from.next_multiple_of(prime).max(prime * prime);
            for multiple in (first..to).step_by(prime as usize) {
                self.composite[(multiple - from) as usize] = true;
            }
        }
        for n in from.max(2)..to {
            if !self.composite[(n - from) as usize] {
                self.counted.primes += 1;
                self.counted.largest = n;
            }
        }
        self.counted.below = to;
        &self.counted
    }
}

/// Its square, 2^40, is further than a minute of counting gets.
const BASE: u64 = 1 << 20;

/// Some milliseconds of work, so that the caller can look up between two segments.
const SEGMENT: u64 = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_segments_hold_the_known_number_of_primes() {
        let mut sieve = Sieve::new();
        for _ in 0..3 {
            sieve.advance();
        }
        let expected = Primes { below: 1 << 20, primes: 82_025, largest: 1_048_573 };
        assert_eq!(*sieve.advance(), expected);
    }
}
