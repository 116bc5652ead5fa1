//! What has happened in a test, to be read when it fails.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The last things that happened, in order.
#[derive(Debug, Default)]
pub(super) struct Journal {
    lines: VecDeque<String>,
    left_out: usize,
}

impl Journal {
    pub(super) fn note(&mut self, at: Duration, who: &str, what: impl fmt::Display) {
        let mut line = format!("{:>10.3} s  {who:<8} {what}", at.as_secs_f64());
        if let Some((end, _)) = line.char_indices().nth(LINE_MAX) {
            line.truncate(end);
            line.push('…');
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(line);
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what happened in this test (time is virtual; > sent by the page, < received):")?;
        if self.left_out > 0 {
            writeln!(f, "    {} earlier lines left out", self.left_out)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Enough for the story of one test, and not a flood.
const LINES_MAX: usize = 100;
/// Characters of a line: a snapshot need not be read whole.
const LINE_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_long_ones_clipped() {
        let mut journal = Journal::default();
        for n in 0..150 {
            journal.note(Duration::from_millis(n), "page 1", format_args!("> {n} {}", "ä".repeat(300)));
        }
        let text = journal.to_string();
        assert!(text.contains("50 earlier lines left out") && text.contains("0.149 s  page 1   > 149 ä"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= LINE_MAX + 1));
    }
}
