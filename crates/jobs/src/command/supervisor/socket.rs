//! Sockets that keep messages whole, carry files, and end when the other side does.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// How many files go with a request.
pub(super) const FILES: usize = 4;

/// Room for the header of a control message and [`FILES`] files, aligned as the header has to be.
#[repr(C, align(8))]
pub(super) struct Ancillary(pub(super) [u8; 64]);

/// Two ends, closed in whatever program this process starts.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the pointer is that of an array of two, which is what the call writes.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has made both of them, and nobody else knows of them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Sends a message without files; never waits.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and the length are those of the slice.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a message with files, which the other side then has as well.
pub(super) fn send_with_files(socket: BorrowedFd<'_>, bytes: &[u8], files: [BorrowedFd<'_>; FILES]) -> io::Result<()> {
    let files = files.map(|file| file.as_raw_fd());
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut ancillary = Ancillary([0; 64]);
    // SAFETY: all zeros is a message without anything, and every pointer set below is to something that lives through
    // the call. `CMSG_SPACE` of four files is 32 bytes, and there are 64, aligned.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = ancillary.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of_val(&files) as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of_val(&files) as u32) as _;
        ptr::copy_nonoverlapping(files.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), size_of_val(&files));
        loop {
            let sent = libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL);
            if sent >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break sent;
            }
        }
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A message of two numbers; `None` when the other side has gone.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(i32, i32)>> {
    let mut numbers = [0_i32; 2];
    let length = size_of::<[i32; 2]>();
    loop {
        // SAFETY: the pointer and the length are those of the array.
        let read = unsafe { libc::recv(socket.as_raw_fd(), numbers.as_mut_ptr().cast(), length, 0) };
        let error = io::Error::last_os_error();
        match read {
            0 => return Ok(None),
            read if read > 0 => return Ok(Some((numbers[0], numbers[1]))),
            _ if error.kind() == io::ErrorKind::Interrupted => {}
            // Said once, and before what is still to be read, when the other side went without reading all that it was
            // sent.
            _ if error.raw_os_error() == Some(libc::ECONNRESET) => {}
            _ => return Err(error),
        }
    }
}
