//! Puts a thread below the others: long work should wait for the sockets, not the sockets for it.

/// Gives the calling thread the niceness `nice`, where the system allows it; never raises its priority.
///
/// Linux gives each thread its own niceness. Elsewhere it belongs to the whole process, sockets included,
/// so there it is left alone. A failure is fine: the thread then runs like any other.
pub(crate) fn lower(nice: i32) {
    if nice > 0 {
        imp::lower(nice);
    }
}

#[cfg(target_os = "linux")]
mod imp {
    #[allow(unsafe_code)]
    pub(super) fn lower(nice: i32) {
        // SAFETY: the calls take integers and touch no memory. On Linux, 0 names the calling thread.
        unsafe {
            if libc::getpriority(libc::PRIO_PROCESS, 0) < nice {
                libc::setpriority(libc::PRIO_PROCESS, 0, nice.min(19));
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn lower(_nice: i32) {}
}
