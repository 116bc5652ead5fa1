//! What is needed to start a command, and what whoever has started it can tell and do.

use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;

use super::error::Exit;

/// What is to be started.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Its whole path.
    pub(super) program: CString,
    /// The folder in which it runs.
    pub(super) folder: CString,
    /// The name under which it is called, and its arguments.
    pub(super) args: Vec<CString>,
    /// Its whole environment, as `NAME=value`.
    pub(super) env: Vec<CString>,
    pub(super) nice: i32,
}

impl Request {
    /// What its texts come to, with what is around them.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.program, &self.folder].into_iter().chain(&self.args).chain(&self.env);
        12 + texts.map(|text| text.as_bytes_with_nul().len()).sum::<usize>()
    }
}

/// What is told of a command.
#[derive(Debug)]
pub(super) enum Notice {
    /// It runs.
    Started { pid: i32 },
    /// It does not; nothing follows.
    Failed { step: &'static str, source: io::Error },
    /// Its first process has ended. What it has started may run on.
    Exited(Exit),
    /// Nothing of it is left; nothing follows.
    Gone,
}

/// A command that was started.
pub(super) trait Launch {
    /// Can be read when there is a notice.
    fn notices(&self) -> BorrowedFd<'_>;

    /// A notice that is there from the start.
    fn first_notice(&mut self) -> Option<Notice> {
        None
    }

    /// The next notice; `None` when nobody is there any more to tell.
    fn take_notice(&mut self) -> io::Result<Option<Notice>>;

    /// Asks the command and all that it has started to end.
    fn terminate(&mut self);

    /// Ends the command and all that it has started.
    fn kill(&mut self);
}
