//! What a command prints on its standard output: cut into lines, and each line read.
//!
//! A line that begins with `{` is a message, and has to be one; any other is a line of the log. `docs/commands.md`
//! tells it to those who write scripts.

use std::fmt;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// Bytes of one line on the standard output of a command, without its line break.
///
/// A message that is longer ends the command; a longer line of the log is cut. 64 KiB is as much as a pipe holds,
/// and what is larger belongs in a file, or in several partial results.
///
/// ```
/// let line = format!("{{\"partial\":\"{}\"}}", "x".repeat(60_000));
/// assert!(line.len() <= windlass_jobs::COMMAND_LINE_BYTES_MAX);
/// ```
pub const COMMAND_LINE_BYTES_MAX: usize = 64 * 1024;

/// Cuts what is read into lines, and holds at most one of them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to where no line break is; a line that comes byte by byte is not searched from its beginning each time.
    searched: usize,
    /// The rest of a line that was too long is thrown away.
    skips: bool,
    /// How many lines have begun.
    count: u64,
    /// Nothing more is read.
    ended: bool,
}

/// A line, cut to [`COMMAND_LINE_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) too_long: bool,
}

impl Lines {
    /// Takes what was read. Call [`next`](Self::next) until it gives nothing before the next call.
    pub(super) fn push(&mut self, read: &[u8]) {
        self.bytes.drain(..self.begin);
        self.searched = self.searched.saturating_sub(self.begin);
        self.begin = 0;
        self.bytes.extend_from_slice(read);
    }

    /// Nothing more comes: what is left is the last line.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether every line was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.begin == self.bytes.len()
    }

    /// The next line that is whole, or too long, or the last.
    pub(super) fn next(&mut self) -> Option<Line> {
        let end = loop {
            let from = self.begin.max(self.searched);
            let found = self.bytes[from..].iter().position(|&byte| byte == b'\n').map(|at| from + at);
            self.searched = found.unwrap_or(self.bytes.len());
            if !self.skips {
                break found;
            }
            // What was too long ends here, or with a later read.
            self.begin = found.map_or(self.bytes.len(), |at| at + 1);
            self.skips = found.is_none();
            if self.skips {
                return None;
            }
        };
        let length = end.unwrap_or(self.bytes.len()) - self.begin;
        if end.is_none() && length <= COMMAND_LINE_BYTES_MAX && !(self.ended && length > 0) {
            return None;
        }
        let line = self.take(length);
        self.skips = end.is_none();
        self.begin = end.map_or(self.bytes.len(), |at| at + 1);
        Some(line)
    }

    fn take(&mut self, length: usize) -> Line {
        self.count += 1;
        let line = &self.bytes[self.begin..self.begin + length];
        let too_long = line.len() > COMMAND_LINE_BYTES_MAX;
        let line = if too_long { &line[..COMMAND_LINE_BYTES_MAX] } else { line };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Line { bytes: line.to_vec(), number: self.count, too_long }
    }
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Said {
    /// Something for the server.
    Message(Box<Message>),
    /// Something for the log.
    Log(String),
}

/// The message of a line; each member may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a message: an object")]
pub(super) struct Message {
    pub(super) progress: Option<Progress>,
    pub(super) text: Option<String>,
    pub(super) log: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) partial: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) result: Option<Box<RawValue>>,
    pub(super) error: Option<String>,
    pub(super) code: Option<String>,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged, expecting = "\"progress\" is a number from 0 to 1, or [done, of]")]
pub(super) enum Progress {
    Steps(u64, u64),
    Fraction(f64),
}

/// A value that is there, though it be `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Why a line that begins with `{` is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineProblem {
    /// It is longer than [`COMMAND_LINE_BYTES_MAX`].
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// It is no JSON, or no message. What is wrong with it.
    NoMessage(String),
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {COMMAND_LINE_BYTES_MAX} bytes; print it in parts"),
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::NoMessage(what) => f.write_str(what),
        }
    }
}

/// Reads a line.
pub(super) fn read(line: Line) -> Result<Said, LineProblem> {
    let is_message = line.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_message {
        return Ok(Said::Log(String::from_utf8_lossy(&line.bytes).into_owned()));
    }
    if line.too_long {
        return Err(LineProblem::TooLong);
    }
    let text = std::str::from_utf8(&line.bytes).map_err(|_| LineProblem::NotUtf8)?;
    match serde_json::from_str(text) {
        Ok(message) => Ok(Said::Message(message)),
        Err(error) => Err(LineProblem::NoMessage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of what is read in pieces of that size.
    fn lines(text: &[u8], piece: usize) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for read in text.chunks(piece) {
            lines.push(read);
            found.extend(std::iter::from_fn(|| lines.next()));
            assert!(lines.bytes.len() <= COMMAND_LINE_BYTES_MAX + 2 * piece, "{}", lines.bytes.len());
        }
        lines.end();
        found.extend(std::iter::from_fn(|| lines.next()));
        assert!(lines.is_empty());
        found
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let long = "x".repeat(COMMAND_LINE_BYTES_MAX);
        let text = format!("a\n\nb\r\n{long}\n{long}y{long}\nc\nlast");
        let expected = lines(text.as_bytes(), text.len());
        let (a, b) = (b"a".to_vec(), b"b".to_vec());
        assert_eq!(expected[0], Line { bytes: a, number: 1, too_long: false });
        assert_eq!(expected[2], Line { bytes: b, number: 3, too_long: false });
        assert_eq!((expected[3].bytes.len(), expected[3].too_long), (COMMAND_LINE_BYTES_MAX, false));
        assert_eq!((expected[4].bytes.len(), expected[4].too_long), (COMMAND_LINE_BYTES_MAX, true));
        assert_eq!(expected[6], Line { bytes: b"last".to_vec(), number: 7, too_long: false });
        for piece in [1, 7, 4096, 16 * 1024] {
            assert_eq!(lines(text.as_bytes(), piece), expected, "in pieces of {piece}");
        }
    }

    fn said(line: &[u8]) -> Result<Said, LineProblem> {
        read(Line { bytes: line.to_vec(), number: 1, too_long: false })
    }

    fn message(line: &str) -> Message {
        match said(line.as_bytes()) {
            Ok(Said::Message(message)) => *message,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_that_begins_with_a_brace_is_a_message_and_any_other_is_logged() {
        assert_eq!(message(r#"{"progress": 0.5, "text": "half"}"#).progress, Some(Progress::Fraction(0.5)));
        assert_eq!(message(r#"{"progress":[3,10]}"#).progress, Some(Progress::Steps(3, 10)));
        assert_eq!(message(r#"{"progress":1}"#).progress, Some(Progress::Fraction(1.0)));
        assert_eq!(message(r#"  {"partial": {"b":1,"a":[2]}}"#).partial.expect("there").get(), r#"{"b":1,"a":[2]}"#);
        assert_eq!(message(r#"{"result":null}"#).result.expect("there").get(), "null");
        assert!(message("{}").result.is_none());
        assert_eq!(message(r#"{"error":"no such column","code":"no_column"}"#).code.as_deref(), Some("no_column"));
        for (line, logged) in
            [(&b"plain"[..], "plain"), (b"[1, 2]", "[1, 2]"), (b"17", "17"), (b"", ""), (b"\xff{", "\u{fffd}{")]
        {
            assert!(matches!(said(line), Ok(Said::Log(text)) if text == logged), "{line:?}");
        }
    }

    #[test]
    fn what_looks_like_a_message_and_is_none_says_why() {
        let problem = |line: &[u8]| said(line).expect_err("no message").to_string();
        assert!(problem(br#"{"progres": 1}"#).contains("unknown field `progres`, expected one of `progress`"));
        assert!(problem(br#"{"progress": "1"}"#).contains("a number from 0 to 1, or [done, of]"));
        assert!(problem(b"{'a': 1}").contains("key must be a string"));
        assert!(problem(br#"{"result": 1} {"result": 2}"#).contains("trailing characters"));
        assert_eq!(problem(b"{\"text\": \"\xff\"}"), "it is not UTF-8");
        let long = Line { bytes: b"{\"result\": \"xxx".to_vec(), number: 1, too_long: true };
        assert_eq!(read(long).expect_err("too long"), LineProblem::TooLong);
    }
}
