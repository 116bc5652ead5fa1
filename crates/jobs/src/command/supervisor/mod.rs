//! The supervisor: a process beside the server that starts commands, and ends each with all that it has started.
//!
//! ```text
//! server ──┬── supervisor          one for the process; starts wardens, and ends when the server does
//!          │      └── warden       one for each running command; a subreaper
//!          │            └── leader       the command, in a process group of its own
//!          │                  └── …      whatever it starts, wherever that goes
//!          └══ control ══ warden   one socket for each command: its end is the server's end
//! ```
//!
//! The kernel can end a child with its parent (`PR_SET_PDEATHSIG`), but not its children. So each command has a warden
//! between itself and the server. It is a subreaper: whatever the command has started and left behind, also with
//! `setsid` or a double fork, becomes the warden's child, and is found. When the server goes, however it goes, the
//! socket between them says so, and the warden ends all of it.
//!
//! Both are forks of the server that never run another program, since a library has none to offer. What they may do
//! is little, and is all in [`forked`]. A warden is forked from the supervisor and not from the server: the supervisor
//! is as small as the server was when its first command was registered, so that a start costs the same however
//! large the server has grown, and holds none of its pages.

#[allow(unsafe_code)]
mod forked;
#[allow(unsafe_code)]
mod socket;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::error::Exit;
use super::launch::{Launch, Notice, Request};
use crate::guard::lock;
use crate::sync::Mutex;

/// The supervisor of this process, once there is one.
static SUPERVISOR: Mutex<Option<Supervisor>> = Mutex::new(None);

struct Supervisor {
    socket: OwnedFd,
    pid: i32,
}

/// Starts the supervisor if there is none. Best while the process is small.
pub(in crate::command) fn begin() -> io::Result<()> {
    let mut supervisor = lock(&SUPERVISOR);
    if supervisor.is_none() {
        *supervisor = Some(Supervisor::start()?);
    }
    Ok(())
}

/// Starts a command with these files as its input and outputs.
pub(in crate::command) fn start(request: &Request, files: [BorrowedFd<'_>; 3]) -> io::Result<Warden> {
    let (control, wardens) = socket::pair()?;
    let [input, output, errors] = files;
    let files = [input, output, errors, wardens.as_fd()];
    if request.bytes() > forked::REQUEST_BYTES_MAX {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let request = encode(request);
    let mut supervisor = lock(&SUPERVISOR);
    if let Some(running) = &*supervisor {
        match socket::send_with_files(running.socket.as_fd(), &request, files) {
            // Somebody has killed it; the wardens live on.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {
                tracing::warn!("the supervisor of commands has gone; another one is started");
                forked::wait_for(running.pid);
                *supervisor = None;
            }
            sent => {
                sent?;
                return Ok(Warden { control });
            }
        }
    }
    let fresh = supervisor.insert(Supervisor::start()?);
    socket::send_with_files(fresh.socket.as_fd(), &request, files)?;
    Ok(Warden { control })
}

impl Supervisor {
    fn start() -> io::Result<Self> {
        let (socket, its) = socket::pair()?;
        let pid = forked::fork_supervisor(its.as_fd())?;
        Ok(Self { socket, pid })
    }
}

/// The server's end of the socket to a warden. Dropping it ends the command, as the end of the server does.
#[derive(Debug)]
pub(in crate::command) struct Warden {
    control: OwnedFd,
}

impl Launch for Warden {
    fn notices(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    fn take_notice(&mut self) -> io::Result<Option<Notice>> {
        let Some((kind, value)) = socket::receive(self.control.as_fd())? else { return Ok(None) };
        Ok(Some(match kind {
            forked::STARTED => Notice::Started { pid: value },
            forked::EXITED if libc::WIFSIGNALED(value) => Notice::Exited(Exit::Signal(libc::WTERMSIG(value))),
            forked::EXITED => Notice::Exited(Exit::Status(libc::WEXITSTATUS(value))),
            forked::GONE => Notice::Gone,
            failed => Notice::Failed {
                step: match failed {
                    forked::NO_WARDEN => "fork its warden",
                    forked::NO_LEADER => "fork it",
                    forked::NO_FOLDER => "enter its folder",
                    _ => "run its program",
                },
                source: io::Error::from_raw_os_error(value),
            },
        }))
    }

    fn terminate(&mut self) {
        let _ = socket::send(self.control.as_fd(), &[forked::TERMINATE]);
    }

    fn kill(&mut self) {
        let _ = socket::send(self.control.as_fd(), &[forked::KILL]);
    }
}

/// How many arguments and variables, how nice; then the program, its folder, the arguments and the variables, each
/// with a zero behind it.
fn encode(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(request.bytes());
    for number in [request.args.len(), request.env.len()] {
        bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes());
    }
    bytes.extend(request.nice.to_ne_bytes());
    let texts = [&request.program, &request.folder].into_iter().chain(&request.args).chain(&request.env);
    texts.map(CString::as_bytes_with_nul).for_each(|text| bytes.extend_from_slice(text));
    bytes
}
