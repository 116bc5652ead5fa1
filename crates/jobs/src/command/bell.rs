//! What wakes the thread that runs a command while it waits for the command's files.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::Wake;
use std::{io, mem};

use crate::guard::lock;
use crate::sync::Mutex;

/// The end that rings. It is a waker, so that whatever wakes a future wakes this thread.
pub(super) struct Bell(Mutex<Option<UnixStream>>);

/// A bell and the end that can be read when it has rung.
pub(super) fn bell() -> io::Result<(Arc<Bell>, UnixStream)> {
    let (ringing, heard) = UnixStream::pair()?;
    ringing.set_nonblocking(true)?;
    heard.set_nonblocking(true)?;
    Ok((Arc::new(Bell(Mutex::new(Some(ringing)))), heard))
}

/// Makes the bell quiet again.
pub(super) fn hear(mut heard: &UnixStream) {
    let mut bytes = [0; 64];
    while heard.read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
}

impl Bell {
    /// Closes its file. The job may keep the bell for longer than its command runs.
    pub(super) fn take_down(&self) {
        drop(mem::take(&mut *lock(&self.0)));
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(ringing) = &mut *lock(&self.0) {
            // When there is no room it rings already.
            let _ = ringing.write(&[0]);
        }
    }
}
