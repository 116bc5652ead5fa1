//! Cores and CPU time, asked of Linux.
#![allow(unsafe_code, reason = "affinity and the clocks of other processes have no safe interface in std")]

use std::io;
use std::mem::size_of;
use std::time::Duration;

/// The cores that this process may use.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    // SAFETY: `cpu_set_t` is a plain bit set, for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours and the size is its own; 0 is this thread.
    checked(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) })?;
    let all = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: every index is below CPU_SETSIZE.
    Ok(all.filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
}

/// Keeps this thread, and those that it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    assert!(core < libc::CPU_SETSIZE as usize, "core {core} is none of this machine");
    // SAFETY: as in `cores`.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is ours and the size is its own; 0 is this thread.
    checked(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) })
}

/// The CPU time that a process has used on all its threads, in user and kernel mode.
pub(crate) fn cpu_time(process: u32) -> io::Result<Duration> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    let mut clock = 0;
    // SAFETY: the clock id is ours to write. (Unlike its siblings it returns the error itself.)
    let code = unsafe { libc::clock_getcpuclockid(process, &mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours to write.
    checked(unsafe { libc::clock_gettime(clock, &mut time) })?;
    Ok(Duration::new(
        time.tv_sec.try_into().map_err(io::Error::other)?,
        time.tv_nsec.try_into().map_err(io::Error::other)?,
    ))
}

/// The CPU time that this thread has used so far, in user and kernel mode.
pub(crate) fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours to write.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(code, 0, "every thread of Linux has a clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds of the clock that never goes back, which is the same in every process.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours to write.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    assert_eq!(code, 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of a process's memory that are resident.
pub(crate) fn resident(process: u32) -> io::Result<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: u64 = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: it takes a number and gives one.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * u64::try_from(size).map_err(io::Error::other)?)
}

/// Bytes that a process has caused to be written to a disk.
pub(crate) fn written(process: u32) -> io::Result<u64> {
    let counts = std::fs::read_to_string(format!("/proc/{process}/io"))?;
    let written = counts.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    written.and_then(|written| written.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Lets this process, and those that it starts from now on, open as many files as the system allows it.
pub(crate) fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours to write.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the limit is ours to read.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(limit.rlim_cur)
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_uses_cpu_time() {
        let before = cpu_time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while cpu_time(std::process::id()).unwrap() - before < Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }

    #[test]
    fn memory_that_is_written_is_resident() {
        let before = resident(std::process::id()).unwrap();
        let written = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident(std::process::id()).unwrap();
        assert!(after - before > 60 << 20, "{before} {after} {}", written.len());
    }

    #[test]
    fn a_pinned_thread_has_one_core() {
        let thread = std::thread::spawn(|| {
            let last = *cores().unwrap().last().unwrap();
            pin(last).unwrap();
            (cores().unwrap(), last)
        });
        let (cores, last) = thread.join().unwrap();
        assert_eq!(cores, [last]);
    }
}
