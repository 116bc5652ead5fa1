//! What runs in the supervisor and in the wardens: code in a process that was forked and never runs another program.
//!
//! **The rules of this file.** The server has many threads, and a fork has one: a lock that another thread held at that
//! moment is held for ever here, the allocator's too. So after the fork nothing is allocated or freed, no lock is
//! taken, nothing can panic or unwind, no destructor runs, nothing of Rust's standard library is called that does more
//! than arithmetic on memory, and of libc only what signal-safety(7) allows, or what is a bare system call (`poll`,
//! `prctl`, `signalfd`, `close_range`, `getdents64`, `recvmsg`). The memory that it works on was made before the fork.
//!
//! **What it inherits, and does away with.** All signals are blocked before the fork, and stay so: no handler of the
//! server's ever runs here, and a signal to the whole group of processes, as from a terminal or from whoever stops a
//! service, ends nothing before the server has gone. Dispositions go back to the default, or they would be inherited
//! as ignored by the commands. Every file is closed but the socket, so that no port, no database and no pipe of the server's
//! lives on here. The session is left, and with it the terminal.

use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::socket::{Ancillary, FILES};

/// Bytes of a request. A socket takes it at once, and a command line with its environment is rarely a tenth of it.
pub(super) const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Arguments and variables of a request.
const REQUEST_TEXTS_MAX: usize = 1024;

/// From a warden: the leader runs, as that process.
pub(super) const STARTED: i32 = 1;
/// From a warden: the leader has ended, with what `wait` says.
pub(super) const EXITED: i32 = 2;
/// From a warden, last: nothing is left of the command.
pub(super) const GONE: i32 = 3;
/// Instead of all that, with an error of the system.
pub(super) const NO_WARDEN: i32 = 4;
/// As [`NO_WARDEN`].
pub(super) const NO_LEADER: i32 = 5;
/// As [`NO_WARDEN`]: the command's folder cannot be entered.
pub(super) const NO_FOLDER: i32 = 6;
/// As [`NO_WARDEN`]: its program cannot be run.
pub(super) const NO_PROGRAM: i32 = 7;

/// To a warden: ask all to end.
pub(super) const TERMINATE: u8 = b'T';
/// To a warden: end all.
pub(super) const KILL: u8 = b'K';

/// What a command has to end by itself when the server has gone; it has to be over in two seconds.
const SERVERLESS_GRACE_MS: i64 = 500;
/// Between two looks at what was killed and is still there; the end of each child wakes a warden before.
const LOOK_AGAIN_MS: i64 = 20;

/// The memory in which a request is read. Made before the fork.
struct Scratch {
    bytes: [u8; REQUEST_BYTES_MAX],
    /// Of the arguments and of the variables, with a null behind each.
    texts: [*const c_char; REQUEST_TEXTS_MAX + 2],
    ancillary: Ancillary,
    stack: Stack,
}

/// Where a leader runs until it has become its program. It calls little, and a page would do.
#[repr(C, align(16))]
struct Stack([u8; 32 * 1024]);

/// Forks the supervisor, which reads requests from that socket until its other end is closed. Gives its id.
pub(super) fn fork_supervisor(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut scratch = Box::new(Scratch {
        bytes: [0; REQUEST_BYTES_MAX],
        texts: [ptr::null(); REQUEST_TEXTS_MAX + 2],
        ancillary: Ancillary([0; 64]),
        stack: Stack([0; 32 * 1024]),
    });
    // SAFETY: the sets are on this stack and live through the calls. Of the two processes that come out of the fork, the
    // child goes on in `supervise`, which keeps the rules of this file and never returns, so that neither a destructor
    // nor a lock of the parent is met in it; the parent goes on as if nothing had been.
    unsafe {
        let (mut all, mut before) = (zeroed::<libc::sigset_t>(), zeroed::<libc::sigset_t>());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let pid = libc::fork();
        if pid == 0 {
            supervise(socket.as_raw_fd(), &raw mut *scratch);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        if pid < 0 { Err(error) } else { Ok(pid) }
    }
}

/// Waits for a supervisor that has ended, so that nothing is left of it.
pub(super) fn wait_for(pid: i32) {
    // SAFETY: a null pointer says that the status is not wanted. Runs in the server.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
}

/// The life of the supervisor.
unsafe fn supervise(socket: c_int, scratch: *mut Scratch) -> ! {
    // SAFETY: system calls on integers and on memory of this process's own, by the rules of this file; `scratch` was
    // made by the parent, whose copy this is, and nobody else uses it.
    unsafe {
        for signal in 1..=64 {
            // Some of them cannot be set, and then they are as they should be.
            libc::signal(signal, libc::SIG_DFL);
        }
        // Wardens that have ended are no zombies.
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        libc::setsid();
        name(c"windlass-super");
        keep_only(socket);
        // The kernel may share the processor between sessions before it looks at niceness; this tells it of ours.
        let autogroup = libc::open(c"/proc/self/autogroup".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if autogroup >= 0 {
            libc::write(autogroup, c"10".as_ptr().cast(), 2);
            libc::close(autogroup);
        }
        libc::chdir(c"/".as_ptr());
        loop {
            let (length, files) = next_request(scratch);
            if length <= 0 {
                libc::_exit(0);
            }
            let Some(files) = files else { continue };
            let [.., control] = files;
            match libc::fork() {
                0 => watch(scratch, length as usize, files),
                forked => {
                    if forked < 0 {
                        tell(control, NO_WARDEN, *libc::__errno_location());
                    }
                    for file in files {
                        libc::close(file);
                    }
                }
            }
        }
    }
}

/// The socket, at the place that [`keep_only`] gives it.
const SOCKET: c_int = 3;

/// Closes all files but that one, which becomes [`SOCKET`]; input and outputs lead nowhere.
unsafe fn keep_only(socket: c_int) {
    // SAFETY: system calls on integers, by the rules of this file.
    unsafe {
        // Away from the places that are about to be taken.
        let socket = libc::fcntl(socket, libc::F_DUPFD_CLOEXEC, SOCKET + 1);
        let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for standard in 0..SOCKET {
            libc::dup2(nowhere, standard);
        }
        libc::dup2(socket, SOCKET);
        libc::fcntl(SOCKET, libc::F_SETFD, libc::FD_CLOEXEC);
        close_from(SOCKET + 1);
    }
}

/// Closes all files from that one on.
unsafe fn close_from(first: c_int) {
    // SAFETY: system calls on integers and a structure on this stack, by the rules of this file.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) == 0 {
            return;
        }
        // A kernel before 5.9. Nobody has more files than the limit, unless it was lowered after they were opened.
        let mut limit = zeroed::<libc::rlimit>();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let end = c_int::try_from(limit.rlim_cur).unwrap_or(c_int::MAX).clamp(1024, 1 << 20);
        for file in first..end {
            libc::close(file);
        }
    }
}

/// Reads a request into `scratch`: its length, nothing when the server has gone, and the files that came with it.
unsafe fn next_request(scratch: *mut Scratch) -> (isize, Option<[c_int; FILES]>) {
    // SAFETY: the parts of `scratch` that the kernel writes to are given with their lengths; the headers of control messages
    // are read as cmsg(3) says. By the rules of this file.
    unsafe {
        let mut part = libc::iovec { iov_base: (&raw mut (*scratch).bytes).cast(), iov_len: REQUEST_BYTES_MAX };
        let mut message = zeroed::<libc::msghdr>();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut (*scratch).ancillary).cast();
        message.msg_controllen = size_of::<Ancillary>() as _;
        let length = loop {
            let length = libc::recvmsg(SOCKET, &raw mut message, libc::MSG_CMSG_CLOEXEC);
            if length >= 0 || *libc::__errno_location() != libc::EINTR {
                break length;
            }
        };
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let expected = libc::CMSG_LEN((FILES * size_of::<c_int>()) as u32) as usize;
        if length <= 0 || header.is_null() || (*header).cmsg_len as usize != expected {
            return (length, None);
        }
        let mut files = [-1; FILES];
        let from = libc::CMSG_DATA(header).cast_const();
        ptr::copy_nonoverlapping(from, files.as_mut_ptr().cast::<u8>(), size_of::<[c_int; FILES]>());
        (length, Some(files))
    }
}

/// The life of a warden: it starts the leader, and stays until nothing is left of it.
unsafe fn watch(scratch: *mut Scratch, length: usize, files: [c_int; FILES]) -> ! {
    // SAFETY: system calls on integers and on memory of this process's own, by the rules of this file; `scratch` was
    // made by the parent, whose copy this is.
    unsafe {
        libc::close(SOCKET);
        let [input, output, errors, control] = files;
        // To be told of ends, it must not ignore them.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        name(c"windlass-warden");
        let mut ended = zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut ended);
        libc::sigaddset(&raw mut ended, libc::SIGCHLD);
        let ends = libc::signalfd(-1, &raw const ended, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        // Closed by the kernel when the program runs; what is written there is why it does not.
        let mut outcome = [-1; 2];
        libc::pipe2(outcome.as_mut_ptr(), libc::O_CLOEXEC);
        let mut start = Start { scratch, length, files: [input, output, errors, outcome[1]], warden: libc::getpid() };
        // The leader shares this memory, on a stack of its own, and this process stands still until it has become the
        // program or has ended: nothing is copied that would be thrown away at once.
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let stack = (&raw mut (*scratch).stack).cast::<u8>().add(size_of::<Stack>());
        let leader = libc::clone(lead, stack.cast(), flags, (&raw mut start).cast());
        let forked = *libc::__errno_location();
        for file in [input, output, errors, outcome[1]] {
            libc::close(file);
        }
        if leader < 0 {
            tell(control, NO_LEADER, forked);
            libc::_exit(0);
        }
        let mut failed = [0_i32; 2];
        let read = read_whole(outcome[0], (&raw mut failed).cast(), size_of::<[i32; 2]>());
        libc::close(outcome[0]);
        if read == size_of::<[i32; 2]>() as isize {
            let [step, error] = failed;
            libc::waitpid(leader, ptr::null_mut(), 0);
            tell(control, step, error);
            libc::_exit(0);
        }
        tell(control, STARTED, leader);
        Warden { control, ends, leader, is_reaped: false, kill_at: None, kills: false }.run()
    }
}

/// What the leader has to know.
struct Start {
    scratch: *mut Scratch,
    length: usize,
    files: [c_int; FILES],
    warden: c_int,
}

/// Becomes the command.
extern "C" fn lead(start: *mut c_void) -> c_int {
    // SAFETY: system calls on integers and on memory that only this process and the warden have, which stands still
    // meanwhile, by the rules of this file. `arrange` gives pointers into `scratch`, which lives until another program
    // takes this process over. Files, signals, group, niceness and folder are each process's own, shared memory or not.
    unsafe {
        let &Start { scratch, length, files, warden } = &*start.cast::<Start>();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        if libc::getppid() != warden {
            libc::_exit(127); // It has gone before that was said.
        }
        libc::setpgid(0, 0);
        // None of them is below 3: there the warden has what leads nowhere, or had its socket.
        for (place, file) in files.into_iter().enumerate() {
            libc::dup2(file, place as c_int);
        }
        const OUTCOME: c_int = 3;
        libc::fcntl(OUTCOME, libc::F_SETFD, libc::FD_CLOEXEC);
        close_from(OUTCOME + 1);
        let Some(texts) = arrange(scratch, length) else {
            fail(OUTCOME, NO_PROGRAM, libc::E2BIG);
        };
        libc::setpriority(libc::PRIO_PROCESS, 0, texts.nice.max(libc::getpriority(libc::PRIO_PROCESS, 0)));
        if libc::chdir(texts.folder) != 0 {
            fail(OUTCOME, NO_FOLDER, *libc::__errno_location());
        }
        let mut none = zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        libc::execve(texts.program, texts.args, texts.env);
        fail(OUTCOME, NO_PROGRAM, *libc::__errno_location())
    }
}

unsafe fn fail(outcome: c_int, step: i32, error: i32) -> ! {
    // SAFETY: the pointer and the length are those of the array.
    unsafe {
        let failed = [step, error];
        libc::write(outcome, failed.as_ptr().cast(), size_of::<[i32; 2]>());
        libc::_exit(127)
    }
}

/// A request, as pointers into its bytes.
struct Texts {
    program: *const c_char,
    folder: *const c_char,
    args: *const *const c_char,
    env: *const *const c_char,
    nice: c_int,
}

/// Finds the texts of a request of that length, as `encode` has written them; `None` when it is not whole.
unsafe fn arrange(scratch: *mut Scratch, length: usize) -> Option<Texts> {
    // SAFETY: every read is below `length`, which is at most that of the bytes; every pointer that is kept is to a text with
    // a zero behind it below `length`; what is written to `texts` is below its length, since the sum was checked.
    unsafe {
        let bytes = (&raw const (*scratch).bytes).cast::<u8>();
        let texts = (&raw mut (*scratch).texts).cast::<*const c_char>();
        const HEAD: usize = 3 * size_of::<u32>();
        if length < HEAD {
            return None;
        }
        let number = |at: usize| bytes.add(at * size_of::<u32>()).cast::<u32>().read_unaligned();
        let (args, env, nice) = (number(0) as usize, number(1) as usize, number(2) as c_int);
        if args == 0 || args > REQUEST_TEXTS_MAX || env > REQUEST_TEXTS_MAX - args {
            return None;
        }
        let (mut paths, mut at, mut found) = ([ptr::null::<c_char>(); 2], HEAD, 0_usize);
        // The program, the folder, the arguments, the variables.
        while found < 2 + args + env {
            let begin = at;
            while at < length && *bytes.add(at) != 0 {
                at = at.wrapping_add(1);
            }
            if at >= length {
                return None;
            }
            at = at.wrapping_add(1);
            let text = bytes.add(begin).cast::<c_char>();
            match found {
                0 => paths[0] = text,
                1 => paths[1] = text,
                // The null behind the arguments takes a place.
                _ => *texts.add(found - 2 + usize::from(found - 2 >= args)) = text,
            }
            found = found.wrapping_add(1);
        }
        *texts.add(args) = ptr::null();
        *texts.add(args + 1 + env) = ptr::null();
        let [program, folder] = paths;
        Some(Texts { program, folder, args: texts, env: texts.add(args + 1), nice })
    }
}

/// What a warden knows.
struct Warden {
    /// The socket to the server; -1 when the server has gone.
    control: c_int,
    /// Can be read when a child has ended.
    ends: c_int,
    leader: c_int,
    /// Whether the leader was waited for: from then on its id may be another's.
    is_reaped: bool,
    kill_at: Option<i64>,
    kills: bool,
}

impl Warden {
    unsafe fn run(mut self) -> ! {
        // SAFETY: system calls on integers and on memory of this stack, by the rules of this file.
        unsafe {
            loop {
                if self.kill_at.is_some_and(|at| at <= now()) {
                    (self.kills, self.kill_at) = (true, None);
                }
                if self.kills {
                    self.strike(libc::SIGKILL);
                }
                self.reap();
                let timeout = match self.kill_at {
                    _ if self.kills => LOOK_AGAIN_MS,
                    Some(at) => at.saturating_sub(now()).max(0),
                    None => -1,
                };
                let file = |fd: c_int| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
                let mut files = [file(self.control), file(self.ends)];
                libc::poll(files.as_mut_ptr(), 2, timeout as c_int);
                if files[0].revents != 0 {
                    self.listen();
                }
                if files[1].revents != 0 {
                    let mut told = MaybeUninit::<libc::signalfd_siginfo>::uninit();
                    let length = size_of::<libc::signalfd_siginfo>();
                    while libc::read(self.ends, told.as_mut_ptr().cast(), length) > 0 {}
                }
            }
        }
    }

    /// Reads what the server asks for, or that it has gone.
    unsafe fn listen(&mut self) {
        // SAFETY: the pointer and the length are those of the byte. By the rules of this file.
        unsafe {
            let mut order = 0_u8;
            let read = libc::recv(self.control, (&raw mut order).cast(), 1, libc::MSG_DONTWAIT);
            match (read, order) {
                (1, TERMINATE) => self.strike(libc::SIGTERM),
                (1, KILL) => self.kills = true,
                (1, _) => {}
                (-1, _) if matches!(*libc::__errno_location(), libc::EAGAIN | libc::EINTR) => {}
                _ => {
                    libc::close(self.control);
                    self.control = -1;
                    self.strike(libc::SIGTERM);
                    self.kill_at = Some(now().saturating_add(SERVERLESS_GRACE_MS));
                }
            }
        }
    }

    /// Waits for every child that has ended. Without any left, there is nothing more to watch over.
    unsafe fn reap(&mut self) {
        // SAFETY: the pointer is that of an integer of this stack. By the rules of this file.
        unsafe {
            loop {
                let mut status = 0;
                match libc::waitpid(-1, &raw mut status, libc::WNOHANG) {
                    0 => return,
                    ended if ended == self.leader && !self.is_reaped => {
                        self.is_reaped = true;
                        tell(self.control, EXITED, status);
                    }
                    ended if ended > 0 => {}
                    _ if *libc::__errno_location() == libc::EINTR => {}
                    _ => {
                        tell(self.control, GONE, 0);
                        libc::_exit(0);
                    }
                }
            }
        }
    }

    /// Sends a signal to the group of the leader, and to every child that is not in it: those whose parents have ended.
    /// When they end, their children become the warden's, and so on until there is none.
    unsafe fn strike(&self, signal: c_int) {
        // SAFETY: system calls on integers and on memory of this stack, by the rules of this file. The names in what
        // getdents64 writes end with a zero within the length that it says.
        unsafe {
            if !self.is_reaped {
                libc::kill(self.leader.wrapping_neg(), signal);
            }
            let folder = libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
            if folder < 0 {
                return;
            }
            let me = libc::getpid();
            let mut entries = Entries([0; 4096]);
            loop {
                let buffer = (&raw mut entries.0).cast::<u8>();
                let length = libc::syscall(libc::SYS_getdents64, folder, buffer, 4096);
                if length <= 0 {
                    break;
                }
                let mut at = 0;
                while at < length as usize {
                    let entry = buffer.add(at).cast::<libc::dirent64>();
                    let pid = digits((&raw const (*entry).d_name).cast());
                    if pid > 0
                        && let Some((parent, group)) = parent_and_group(pid)
                        && parent == me
                        && (self.is_reaped || group != self.leader)
                    {
                        libc::kill(pid, signal);
                    }
                    at = at.wrapping_add((*entry).d_reclen.max(1) as usize);
                }
            }
            libc::close(folder);
        }
    }
}

/// What `getdents64` writes, aligned as its entries have to be.
#[repr(C, align(8))]
struct Entries([u8; 4096]);

/// The number that a text consists of; 0 when it is none.
unsafe fn digits(mut text: *const u8) -> c_int {
    let mut number: c_int = 0;
    // SAFETY: reads up to the zero at the end of the text.
    unsafe {
        while *text != 0 {
            if !(*text).is_ascii_digit() {
                return 0;
            }
            number = number.wrapping_mul(10).wrapping_add(c_int::from(*text - b'0'));
            text = text.add(1);
        }
    }
    number
}

/// The parent and the process group of a process, from its line in `/proc`.
unsafe fn parent_and_group(pid: c_int) -> Option<(c_int, c_int)> {
    // "/proc/", at most ten digits, "/stat", a zero.
    let mut path = [0_u8; 24];
    let mut line = [0_u8; 512];
    // SAFETY: every index is below the length of its array: the path has 22 bytes at most, and `read` says how many
    // bytes of the line it has written. By the rules of this file.
    unsafe {
        let mut end = path.as_mut_ptr();
        let mut put = |text: &[u8]| {
            ptr::copy_nonoverlapping(text.as_ptr(), end, text.len());
            end = end.add(text.len());
        };
        put(b"/proc/");
        let mut divisor: c_int = 1_000_000_000;
        let mut begun = false;
        while divisor > 0 {
            let digit = (pid / divisor) % 10;
            begun |= digit != 0;
            if begun {
                put(&[b'0' + digit as u8]);
            }
            divisor /= 10;
        }
        put(b"/stat");
        let file = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let length = read_whole(file, line.as_mut_ptr().cast(), line.len());
        libc::close(file);
        // The name in parentheses may hold anything, more of them too: what counts is behind the last.
        let line = line.get(..length.max(0) as usize)?;
        let mut at = line.len();
        while at > 0 && line.get(at - 1) != Some(&b')') {
            at -= 1;
        }
        // " S parent group …"
        let mut numbers = [0; 2];
        at += 3;
        for number in &mut numbers {
            while line.get(at) == Some(&b' ') {
                at += 1;
            }
            while let Some(digit) = line.get(at).filter(|byte| byte.is_ascii_digit()) {
                *number = c_int::wrapping_add(c_int::wrapping_mul(*number, 10), c_int::from(*digit - b'0'));
                at += 1;
            }
        }
        let [parent, group] = numbers;
        Some((parent, group))
    }
}

/// Reads once, again when a signal comes between; as many bytes as there were.
unsafe fn read_whole(file: c_int, to: *mut c_void, length: usize) -> isize {
    // SAFETY: the caller's pointer has room for that length.
    unsafe {
        loop {
            let read = libc::read(file, to, length);
            if read >= 0 || *libc::__errno_location() != libc::EINTR {
                return read;
            }
        }
    }
}

/// Tells the server, if it is there; never waits for it.
unsafe fn tell(control: c_int, kind: i32, value: i32) {
    let message = [kind, value];
    // SAFETY: the pointer and the length are those of the array.
    unsafe {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        libc::send(control, message.as_ptr().cast(), size_of::<[i32; 2]>(), flags);
    }
}

/// How people see it in a list of processes.
unsafe fn name(name: &std::ffi::CStr) {
    // SAFETY: the kernel reads a text of at most 16 bytes.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0);
    }
}

/// Milliseconds of a clock that only goes forward.
unsafe fn now() -> i64 {
    // SAFETY: the structure is on this stack.
    unsafe {
        let mut now = zeroed::<libc::timespec>();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
        (now.tv_sec as i64).wrapping_mul(1000).wrapping_add(now.tv_nsec as i64 / 1_000_000)
    }
}
