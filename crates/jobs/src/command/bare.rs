//! A command without a supervisor: only its process group is ended. For systems other than Linux, and for a Linux that
//! gives the supervisor no process.
//!
//! What leaves the group with `setsid` is not found, and when the server is killed its commands go on.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::error::Exit;
use super::launch::{Launch, Notice, Request};
use super::system;

/// Between two looks whether anybody of the group is left.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A command that was started. Dropping it ends its group.
#[derive(Debug)]
pub(super) struct Group {
    /// The id of the leader and of the group.
    id: i32,
    notices: UnixStream,
    has_exited: bool,
    is_gone: bool,
}

/// Starts a command with these files as its input and outputs.
pub(super) fn start(request: &Request, files: [Stdio; 3]) -> io::Result<Group> {
    let text = |text: &std::ffi::CString| OsStr::from_bytes(text.as_bytes()).to_owned();
    let [input, output, errors] = files;
    let mut command = Command::new(text(&request.program));
    command.current_dir(text(&request.folder)).env_clear().process_group(0);
    command.stdin(input).stdout(output).stderr(errors);
    let mut args = request.args.iter().map(text);
    command.arg0(args.next().unwrap_or_default()).args(args);
    for variable in &request.env {
        let mut parts = variable.as_bytes().splitn(2, |&byte| byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    let (notices, mut teller) = UnixStream::pair()?;
    let mut leader = command.spawn()?;
    let id = i32::try_from(leader.id()).map_err(io::Error::other)?;
    let wait = move || {
        let status = leader.wait().map_or(-1, ExitStatusExt::into_raw);
        // Whoever should hear it may have gone.
        let _ = teller.write_all(&status.to_ne_bytes());
        // The id of a group is no other's while one of its processes is there.
        while system::is_there(-id) {
            thread::sleep(LOOK_AGAIN);
        }
        let _ = teller.write_all(&status.to_ne_bytes());
    };
    // It ends with the group, which `Drop` ends.
    if let Err(error) = thread::Builder::new().name("command".to_owned()).spawn(wait) {
        system::kill_group(id, libc::SIGKILL);
        return Err(error);
    }
    Ok(Group { id, notices, has_exited: false, is_gone: false })
}

impl Launch for Group {
    fn notices(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }

    fn first_notice(&mut self) -> Option<Notice> {
        Some(Notice::Started { pid: self.id })
    }

    fn take_notice(&mut self) -> io::Result<Option<Notice>> {
        let mut status = [0; 4];
        match self.notices.read_exact(&mut status) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if std::mem::replace(&mut self.has_exited, true) {
            self.is_gone = true;
            return Ok(Some(Notice::Gone));
        }
        let status = std::process::ExitStatus::from_raw(i32::from_ne_bytes(status));
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Status(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Status(-1),
        };
        Ok(Some(Notice::Exited(exit)))
    }

    fn terminate(&mut self) {
        system::kill_group(self.id, libc::SIGTERM);
    }

    fn kill(&mut self) {
        system::kill_group(self.id, libc::SIGKILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Afterwards the id may be another's.
        if !self.is_gone {
            self.kill();
        }
    }
}
