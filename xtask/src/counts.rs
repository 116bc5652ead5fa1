//! How many tests passed and failed, read from the closing lines of the runners.
//!
//! Knows three: nextest (`Summary [ 0.5s] 5 tests run: 4 passed, 1 failed, 0 skipped`), rustdoc's
//! (`test result: ok. 3 passed; 0 failed; …`) and node's (`# pass 7`, or `ℹ pass 7` from its spec
//! reporter). A test that was skipped counts as failed: nothing in this project is skipped.

use std::ops::AddAssign;

/// Tests that passed, and tests that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that ran and held.
    pub(crate) passed: u64,
    /// Tests that failed, timed out, were cancelled or were skipped.
    pub(crate) failed: u64,
}

impl Counts {
    /// What one line of a runner's output says; zero for any line that is no closing line.
    pub(crate) fn of_line(line: &str) -> Self {
        nextest(line).or_else(|| rustdoc(line)).or_else(|| node(line)).unwrap_or_default()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

fn nextest(line: &str) -> Option<Counts> {
    let (_, list) = line.trim_start().strip_prefix("Summary [")?.split_once(" run: ")?;
    Some(list.split(", ").fold(Counts::default(), tally))
}

fn rustdoc(line: &str) -> Option<Counts> {
    let (_, list) = line.strip_prefix("test result: ")?.split_once(". ")?;
    // "filtered out" is what the caller asked for, and "measured" are benches.
    Some(list.split("; ").take(3).fold(Counts::default(), tally))
}

fn node(line: &str) -> Option<Counts> {
    let (word, count) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?.split_once(' ')?;
    let count = count.parse().ok()?;
    match word {
        "pass" => Some(Counts { passed: count, failed: 0 }),
        "fail" | "cancelled" | "skipped" | "todo" => Some(Counts { passed: 0, failed: count }),
        _ => None,
    }
}

/// Adds one item such as `4 passed (1 slow)` to what the items before it said.
fn tally(mut sum: Counts, item: &str) -> Counts {
    let mut words = item.split_whitespace();
    let Some(count) = words.next().and_then(|count| count.parse::<u64>().ok()) else { return sum };
    match words.next() {
        Some("passed") => sum.passed += count,
        Some("failed" | "ignored" | "skipped" | "timed" | "exec") => sum.failed += count,
        _ => {}
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted_and_others_are_not() {
        let cases = [
            ("     Summary [   0.512s] 5 tests run: 5 passed, 0 skipped", 5, 0),
            ("     Summary [   0.512s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 0 skipped", 6, 3),
            ("     Summary [   0.512s] 4/9 tests run: 3 passed, 1 failed, 0 skipped", 3, 1),
            ("     Summary [   0.512s] 2 tests run: 2 passed, 1 skipped", 2, 1),
            ("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.1s", 3, 0),
            ("test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out", 1, 3),
            ("# pass 7", 7, 0),
            ("ℹ pass 7", 7, 0),
            ("ℹ fail 2", 0, 2),
            ("# skipped 1", 0, 1),
            ("# tests 9", 0, 0),
            ("# duration_ms 12.5", 0, 0),
            ("        PASS [   0.006s] windlass-sync tests::three_passed", 0, 0),
            ("running 3 tests", 0, 0),
        ];
        for (line, passed, failed) in cases {
            assert_eq!(Counts::of_line(line), Counts { passed, failed }, "{line}");
        }
    }
}
