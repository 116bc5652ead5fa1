//! The system calls of the server's side, each as a function that is safe to call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Sends a signal to a process.
#[allow(unsafe_code)]
pub(super) fn kill(pid: i32, signal: i32) {
    // SAFETY: it takes integers and touches no memory. A process that is gone is no mistake.
    let _ = unsafe { libc::kill(pid, signal) };
}

/// Sends a signal to a process group.
pub(super) fn kill_group(leader: i32, signal: i32) {
    // 0 and -1 mean other groups than one's own child's.
    if leader > 1 {
        kill(-leader, signal);
    }
}

/// Whether there is a process of that id, one that has ended and was not waited for included.
#[allow(unsafe_code)]
pub(super) fn is_there(pid: i32) -> bool {
    // SAFETY: the signal 0 only asks.
    let asked = unsafe { libc::kill(pid, 0) };
    asked == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// The user whose process this is.
#[allow(unsafe_code)]
pub(super) fn user() -> u32 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}

/// What is waited for on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Read,
    Write,
}

/// Waits until something can be done with one of the files without waiting, or has failed; or for so long. Says with which.
///
/// A place without a file is never ready.
#[allow(unsafe_code)]
pub(super) fn wait<const N: usize>(
    files: [Option<(BorrowedFd<'_>, Wish)>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = files.map(|file| match file {
        Some((file, wish)) => libc::pollfd {
            fd: file.as_raw_fd(),
            events: if wish == Wish::Read { libc::POLLIN } else { libc::POLLOUT },
            revents: 0,
        },
        None => libc::pollfd { fd: -1, events: 0, revents: 0 },
    });
    let timeout = timeout.map_or(-1, |timeout| {
        // Rounded up, or the last part of a millisecond would be spent in a loop.
        i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    // SAFETY: the pointer and the number are those of the array, which lives through the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok([false; N]);
    }
    Ok(polled.map(|polled| polled.revents != 0))
}
