//! How a command can fail.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use super::line::LineProblem;
use crate::job::Cancelled;

/// Lines of the log that the text of a failure shows; all that are kept are in the error itself.
const TAIL_LINES: usize = 10;

/// Why a command gave no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such program, neither at that path nor in a folder of `PATH`, or it cannot be run. Install it, or name
    /// its whole path.
    NoProgram(PathBuf),
    /// A setting that cannot be. Fix the code.
    Setting(String),
    /// The input, or a value for the command line, that cannot be handed over.
    Input(String),
    /// The system did not start it. What was tried, and what it said.
    Start {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It ended badly: with another status than 0, or by a signal.
    Ended {
        /// How it ended.
        exit: Exit,
        /// The last lines of its log.
        log: Vec<Arc<str>>,
    },
    /// It said itself that it failed, with a text for people: `{"error": …, "code": …}`.
    Refused {
        /// What a program can look at; `command_failed` when it gave none.
        code: String,
        /// What a person can read.
        text: String,
    },
    /// It printed a line that begins like a message and is none. It was ended. Fix the script.
    BadLine {
        /// Which line, counted from 1.
        number: u64,
        /// What is wrong with it.
        problem: LineProblem,
        /// How it begins.
        start: String,
    },
    /// The job was told to stop, and so the command was ended.
    Cancelled,
    /// What watches over the command has gone, and the command with it. Somebody has killed it, or the system had no
    /// memory left.
    Unwatched,
    /// It did not go away after it was killed; the system does not let go of it.
    Stuck(Duration),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with that status.
    Status(i32),
    /// By that signal.
    Signal(i32),
}

impl Exit {
    /// Whether that is the end of a program that has done its work.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => match signal_name(signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
    ];
    names.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram(program) => write!(
                f,
                "there is no program {} that can be run: install it so that it is on the PATH, or name its whole path",
                program.display()
            ),
            Self::Setting(text) | Self::Input(text) => f.write_str(text),
            Self::Start { step, source } => write!(f, "the command could not be started, to {step}: {source}"),
            Self::Ended { exit, log } => {
                write!(f, "the command ended with {exit}")?;
                let tail = &log[log.len().saturating_sub(TAIL_LINES)..];
                if !tail.is_empty() {
                    f.write_str("; its log ends:")?;
                }
                tail.iter().try_for_each(|line| write!(f, "\n{line}"))
            }
            Self::Refused { text, .. } => f.write_str(text),
            Self::BadLine { number, problem, start } => {
                write!(f, "line {number} on the command's standard output begins with a brace and is no message: ")?;
                write!(f, "{problem}. It begins: {start}")
            }
            Self::Cancelled => write!(f, "{Cancelled}"),
            Self::Unwatched => f.write_str("what watches over the command has gone, and has taken the command along"),
            Self::Stuck(after) => write!(f, "the command was killed and did not go away within {after:?}"),
        }
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<Cancelled> for CommandError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_how_the_command_ended_and_the_end_of_its_log() {
        let log = (0..20).map(|line| format!("line {line}").into()).collect();
        let text = CommandError::Ended { exit: Exit::Status(3), log }.to_string();
        assert!(text.starts_with("the command ended with status 3; its log ends:\nline 10\n"), "{text}");
        assert!(text.ends_with("\nline 19"), "{text}");
        let killed = CommandError::Ended { exit: Exit::Signal(9), log: Vec::new() };
        assert_eq!(killed.to_string(), "the command ended with signal 9 (SIGKILL)");
    }
}
