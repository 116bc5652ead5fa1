//! Durations as a person writes them: `10s`, `500ms`, `2m`.

use std::time::Duration;

/// Reads a number with its unit; without one it is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("\"{unit}\" is no unit of time; write 500ms, 10s, 2m or 1h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("\"{text}\" is no duration; write 500ms, 10s, 2m or 1h"))?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!("\"{text}\" is too long; {} h are the most", LONGEST.as_secs() / 3_600))
}

/// A year: far beyond any load, and within what the clock can count to.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_with_its_unit() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("3", 3_000), ("1.5m", 90_000), ("1h", 3_600_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "ten", "10x", "-1s", "1.2.3s", "8761h", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
