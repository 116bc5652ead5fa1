//! One run of a command, on the thread of its job: its files are read and written as they are ready, and it is ended
//! when the job is told to stop, when it has printed nonsense, or when its first process is over.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::bell::{self, Bell};
use super::error::{CommandError, Exit};
use super::folder::Run;
use super::launch::{Launch, Notice, Request};
use super::line::{self, Lines, Message, Progress, Said};
use super::system::{self, Wish};
use super::{CommandInput, bare};
use crate::feed::LINE_BYTES_MAX;
use crate::guard::clip;
use crate::job::{Core, Job};
use crate::report::Report;

/// How long what the command has started may keep its outputs open when it has ended itself.
const PIPES_AFTER_EXIT: Duration = Duration::from_secs(1);
/// How long the system may take to let go of what was killed.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// A quarter of a pipe: large enough that a flood is read in few calls.
const READ_BYTES: usize = 16 * 1024;
/// As much as a pipe takes without waiting when it says that it takes something, on every system.
const WRITE_BYTES: usize = 512;
/// The same on Linux, which says so only when there is room for a page.
const WRITE_BYTES_LINUX: usize = 4096;

/// A command that runs.
pub(super) struct Running<'r> {
    job: &'r Job,
    disk: &'r Run,
    grace: Duration,
    bell: Arc<Bell>,
    heard: UnixStream,
    waker: Waker,
    launch: Box<dyn Launch>,
    stage: Stage,
    input: Option<(PipeWriter, &'r [u8])>,
    output: Option<PipeReader>,
    errors: Option<PipeReader>,
    lines: Lines,
    error_lines: LogLines,
    buffer: Vec<u8>,
    /// A partial result for which there is no room yet. Nothing more is read of the output meanwhile.
    waiting: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    failure: Option<CommandError>,
    /// What it has said itself about why it fails. It goes on to its own end, which cleans up and may say more.
    refusal: Option<CommandError>,
    /// It was asked to end.
    is_ending: bool,
    /// When it is killed, if it has not gone by then.
    kill_at: Option<Instant>,
    /// When nothing more is waited for.
    give_up_at: Option<Instant>,
    exit: Option<Exit>,
    /// Its first process was there.
    has_started: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Runs,
    Killed,
    Gone,
}

impl<'r> Running<'r> {
    /// Starts it.
    pub(super) fn start(
        job: &'r Job,
        request: &Request,
        input: &'r CommandInput,
        disk: &'r Run,
        grace: Duration,
    ) -> Result<Self, CommandError> {
        let step = |step| move |source| CommandError::Start { step, source };
        let (its_input, our_input) = io::pipe().map_err(step("make a pipe"))?;
        let (our_output, its_output) = io::pipe().map_err(step("make a pipe"))?;
        let (our_errors, its_errors) = io::pipe().map_err(step("make a pipe"))?;
        let (bell, heard) = bell::bell().map_err(step("make a bell"))?;
        let launch = launch(request, its_input, its_output, its_errors)?;
        Ok(Self {
            job,
            disk,
            grace,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            heard,
            launch,
            stage: Stage::Runs,
            input: Some((our_input, &input.json)),
            output: Some(our_output),
            errors: Some(our_errors),
            lines: Lines::default(),
            error_lines: LogLines::default(),
            buffer: vec![0; READ_BYTES],
            waiting: None,
            result: None,
            failure: None,
            refusal: None,
            is_ending: false,
            kill_at: None,
            give_up_at: None,
            exit: None,
            has_started: false,
        })
    }

    /// Runs it to its end: when this returns, nothing of it is left. Says whether it has started at all.
    pub(super) fn finish(mut self) -> (Result<Option<Box<RawValue>>, CommandError>, bool) {
        if let Some(notice) = self.launch.first_notice() {
            self.heed(notice);
        }
        while !self.is_over() {
            // Before the look at the job: whoever asks it to stop afterwards finds the waker.
            self.core().feed.remember(&self.waker);
            self.look_at_job();
            self.read_lines();
            let now = Instant::now();
            if !self.look_at_clock(now) {
                break;
            }
            if let Err(source) = self.wait(now) {
                self.fail(CommandError::Start { step: "wait for its files", source });
                break;
            }
        }
        (self.conclude(), self.has_started)
    }

    fn core(&self) -> &'r Core {
        self.job.task.core()
    }

    fn is_over(&self) -> bool {
        let is_read = self.output.is_none() && self.errors.is_none() && self.waiting.is_none();
        self.stage == Stage::Gone && is_read && self.lines.is_empty()
    }

    fn look_at_job(&mut self) {
        if self.core().is_stopping() {
            self.end();
            // Nobody waits for it any more: its end was reported.
            if self.core().life.now().is_over() {
                self.kill();
            }
        }
    }

    /// Does what is due; false when nothing more is waited for.
    fn look_at_clock(&mut self, now: Instant) -> bool {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let is_silent = self.exit.is_some() && self.output.is_none() && self.errors.is_none();
        if self.stage == Stage::Runs && (is_silent || is_due(self.kill_at)) {
            self.kill();
        }
        if self.waiting.is_some() && self.give_up_at.is_some() {
            // The time that others take to make room is not the command's.
            self.give_up_at = Some(now + STUCK_AFTER);
        }
        if is_due(self.give_up_at) {
            if self.stage != Stage::Gone {
                self.fail(CommandError::Stuck(STUCK_AFTER));
            }
            return false;
        }
        true
    }

    /// Waits for a file, the bell or the clock, and does what can be done then.
    fn wait(&mut self, now: Instant) -> io::Result<()> {
        if self.is_over() {
            return Ok(());
        }
        let input = self.input.as_ref().map(|(file, _)| (file.as_fd(), Wish::Write));
        let output = self.output.as_ref().filter(|_| self.waiting.is_none()).map(|file| (file.as_fd(), Wish::Read));
        let errors = self.errors.as_ref().map(|file| (file.as_fd(), Wish::Read));
        let notices = (self.stage != Stage::Gone).then(|| (self.launch.notices(), Wish::Read));
        let due = if self.stage == Stage::Runs { self.kill_at } else { None };
        let due = [due, self.give_up_at].into_iter().flatten().min();
        let timeout = due.map(|at| at.saturating_duration_since(now));
        let files = [Some((self.heard.as_fd(), Wish::Read)), notices, input, output, errors];
        let [rung, told, takes, has_output, has_errors] = system::wait(files, timeout)?;
        if rung {
            bell::hear(&self.heard);
        }
        if has_errors {
            self.read_errors();
        }
        if has_output {
            self.read_output();
        }
        if takes {
            self.write_input();
        }
        if told {
            match self.launch.take_notice()? {
                Some(notice) => self.heed(notice),
                None => {
                    self.stage = Stage::Gone;
                    self.disk.end_rest();
                    self.fail(CommandError::Unwatched);
                    self.give_up_at = Some(Instant::now() + PIPES_AFTER_EXIT);
                }
            }
        }
        Ok(())
    }

    fn heed(&mut self, notice: Notice) {
        let now = Instant::now();
        match notice {
            Notice::Started { pid } => {
                self.has_started = true;
                if let Err(error) = self.disk.started(self.job.name(), pid) {
                    tracing::warn!(job = self.job.name(), %error, "the next server will not know of this command");
                }
            }
            Notice::Failed { step, source } => {
                self.stage = Stage::Gone;
                self.fail(CommandError::Start { step, source });
                self.give_up_at = Some(now + PIPES_AFTER_EXIT);
            }
            Notice::Exited(exit) => {
                self.exit = Some(exit);
                self.input = None;
                let pipes_until = now + PIPES_AFTER_EXIT;
                self.kill_at = Some(self.kill_at.map_or(pipes_until, |at| at.min(pipes_until)));
            }
            Notice::Gone => {
                self.stage = Stage::Gone;
                // Whoever still holds its outputs is none of what it has started, or was handed them on.
                self.give_up_at = Some(now + PIPES_AFTER_EXIT);
            }
        }
    }

    /// Asks it to end.
    fn end(&mut self) {
        if !mem::replace(&mut self.is_ending, true) && self.stage == Stage::Runs {
            self.launch.terminate();
            let at = Instant::now() + self.grace;
            self.kill_at = Some(self.kill_at.map_or(at, |before| at.min(before)));
            self.input = None;
        }
    }

    fn kill(&mut self) {
        if self.stage == Stage::Runs {
            self.stage = Stage::Killed;
            self.launch.kill();
            self.give_up_at = Some(Instant::now() + STUCK_AFTER);
        }
    }

    /// Remembers why it failed, if nothing is remembered yet, and ends it.
    fn fail(&mut self, failure: CommandError) {
        self.failure.get_or_insert(failure);
        self.end();
    }

    fn write_input(&mut self) {
        let Some((file, rest)) = &mut self.input else { return };
        let length = if cfg!(target_os = "linux") { WRITE_BYTES_LINUX } else { WRITE_BYTES };
        match file.write(&rest[..rest.len().min(length)]) {
            Ok(written) => *rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It has closed its input: not every program reads to the end what it is given.
            Err(_) => *rest = &[],
        }
        if rest.is_empty() {
            self.input = None;
        }
    }

    fn read_errors(&mut self) {
        match read(&mut self.errors, &mut self.buffer) {
            Some(length) => self.error_lines.push(&self.buffer[..length], |line| self.job.log(line)),
            None => self.error_lines.rest(|line| self.job.log(line)),
        }
    }

    fn read_output(&mut self) {
        match read(&mut self.output, &mut self.buffer) {
            // Nobody wants it: it is only read so that the command can end.
            Some(_) if self.failure.is_some() => {}
            Some(length) => self.lines.push(&self.buffer[..length]),
            None => self.lines.end(),
        }
        self.read_lines();
    }

    /// Reads the lines that are there, until a partial result finds no room.
    fn read_lines(&mut self) {
        while self.hand_over() {
            let Some(line) = self.lines.next() else { return };
            let (number, start) = (line.number, line.bytes.get(..80).unwrap_or(&line.bytes).to_vec());
            match line::read(line) {
                Ok(Said::Log(text)) => self.job.log(text),
                Ok(Said::Message(message)) => self.take(*message),
                Err(problem) => {
                    let start = String::from_utf8_lossy(&start).into_owned();
                    self.lines = Lines::default();
                    self.fail(CommandError::BadLine { number, problem, start });
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        let Message { progress, text, log, partial, result, error, code } = message;
        if let Some(line) = log {
            self.job.log(line);
        }
        match progress {
            Some(Progress::Fraction(fraction)) => self.job.fraction(fraction),
            Some(Progress::Steps(done, of)) => self.job.progress(done, of),
            None => {}
        }
        if let Some(text) = text {
            self.job.text(text);
        }
        self.waiting = partial;
        if result.is_some() {
            self.result = result;
        }
        if let Some(text) = error {
            let code = clip(code.unwrap_or_else(|| "command_failed".to_owned()), CODE_BYTES_MAX);
            self.refusal = Some(CommandError::Refused { code, text: clip(text, 4 * LINE_BYTES_MAX) });
        }
    }

    /// Hands over the partial result that waits; false when there is no room.
    fn hand_over(&mut self) -> bool {
        if self.waiting.is_none() {
            return true;
        }
        let core = self.core();
        match core.feed.poll_partial(&mut self.waiting, &self.waker, || core.is_stopping()) {
            Poll::Pending => false,
            Poll::Ready(put) => {
                self.waiting = None;
                if put == Ok(true) {
                    self.job.task.tell(Report::Partials);
                }
                true
            }
        }
    }

    fn conclude(&mut self) -> Result<Option<Box<RawValue>>, CommandError> {
        let is_stopping = self.core().is_stopping();
        let exit = self.exit.unwrap_or(Exit::Status(-1));
        match self.failure.take().or(self.refusal.take()) {
            None if exit.is_success() && (self.result.is_some() || !is_stopping) => Ok(self.result.take()),
            _ if is_stopping => Err(CommandError::Cancelled),
            Some(failure) => Err(failure),
            None => Err(CommandError::Ended { exit, log: self.job.handle().log_tail() }),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.bell.take_down();
    }
}

/// Bytes of the code that a command gives with its error, as of every name on the wire.
const CODE_BYTES_MAX: usize = 128;

/// Starts it under the supervisor, where there is one.
fn launch(
    request: &Request,
    input: PipeReader,
    output: PipeWriter,
    errors: PipeWriter,
) -> Result<Box<dyn Launch>, CommandError> {
    #[cfg(target_os = "linux")]
    match super::supervisor::start(request, [input.as_fd(), output.as_fd(), errors.as_fd()]) {
        Ok(warden) => return Ok(Box::new(warden)),
        Err(error) => tracing::warn!(%error, "no supervisor: the command is started without one"),
    }
    let files = [input.into(), output.into(), errors.into()];
    let group =
        bare::start(request, files).map_err(|source| CommandError::Start { step: "run its program", source })?;
    Ok(Box::new(group))
}

/// Reads what there is; `None` at the end, and then the file is closed.
fn read(file: &mut Option<PipeReader>, buffer: &mut [u8]) -> Option<usize> {
    let read = file.as_mut()?.read(buffer);
    match read {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Some(0),
        Ok(length) if length > 0 => Some(length),
        _ => {
            *file = None;
            None
        }
    }
}

/// Cuts the error output into lines of the log, of which each keeps its beginning.
#[derive(Default)]
struct LogLines(Vec<u8>);

impl LogLines {
    fn push(&mut self, mut read: &[u8], mut log: impl FnMut(String)) {
        while !read.is_empty() {
            let (line, rest) = match read.iter().position(|&byte| byte == b'\n') {
                Some(at) => (&read[..at], Some(&read[at + 1..])),
                None => (read, None),
            };
            let room = LINE_BYTES_MAX.saturating_sub(self.0.len());
            self.0.extend_from_slice(&line[..line.len().min(room)]);
            let Some(rest) = rest else { return };
            self.cut(&mut log);
            read = rest;
        }
    }

    fn rest(&mut self, mut log: impl FnMut(String)) {
        if !self.0.is_empty() {
            self.cut(&mut log);
        }
    }

    fn cut(&mut self, log: &mut impl FnMut(String)) {
        let line = self.0.strip_suffix(b"\r").unwrap_or(&self.0);
        log(String::from_utf8_lossy(line).into_owned());
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_output_is_cut_into_lines_that_keep_their_beginnings() {
        let mut lines = LogLines::default();
        let mut logged = Vec::new();
        for read in ["a\nb", "c\r\n\n", &"x".repeat(3 * LINE_BYTES_MAX), "y\nlast"] {
            lines.push(read.as_bytes(), |line| logged.push(line));
        }
        lines.rest(|line| logged.push(line));
        assert_eq!(logged, ["a", "bc", "", &"x".repeat(LINE_BYTES_MAX), "last"]);
    }
}
