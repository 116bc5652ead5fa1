//! What is left of a command when its run is over: no process, no file, no memory, no folder. On Linux, where all of it
//! can be counted.
#![cfg(all(target_os = "linux", not(loom)))]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use windlass_jobs::{
    Command, CommandError, CommandInput, End, Exit, JobHandle, LineProblem, Pool, PoolOptions, Report, RunFolder, Spec,
};

/// The growth of the memory that is no leak: what the allocator keeps, and stacks of threads. A twentieth of a flood.
const MEMORY_MAX: u64 = 5 * 1024 * 1024;
const FLOOD: &str = "100000000";

type Told = Report<Option<Box<RawValue>>, CommandError>;
type Ended = End<Option<Box<RawValue>>, CommandError>;

/// What this process has: files that are open, processes below it, bytes of memory.
#[derive(Debug)]
struct Residue {
    files: usize,
    processes: Vec<String>,
    memory: u64,
}

impl Residue {
    fn now() -> Self {
        // One is the folder that is read.
        let files = fs::read_dir("/proc/self/fd").unwrap().count() - 1;
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Self { files, processes: below(std::process::id()), memory: pages * 4096 }
    }

    /// What there is when what watched over commands has got through the last step of its own end.
    fn at_rest() -> Self {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let now = Self::now();
            let ends = now.processes.iter().any(|line| line.contains("(windlass-warden)"));
            if !ends || Instant::now() >= deadline {
                return now;
            }
            std::thread::yield_now();
        }
    }
}

/// The parent of each process, and its line for people.
fn processes() -> BTreeMap<u32, (u32, String)> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let mut rest = rest.split(' ');
        let state = rest.next()?;
        Some((pid, (rest.next()?.parse().ok()?, format!("{name}) {state}"))))
    })
    .collect()
}

fn below(root: u32) -> Vec<String> {
    let all = processes();
    let is_below = |mut pid: u32| {
        while let Some((parent, _)) = all.get(&pid) {
            if *parent == root {
                return true;
            }
            pid = *parent;
        }
        false
    };
    all.iter().filter(|(pid, _)| is_below(**pid)).map(|(_, (_, line))| line.clone()).collect()
}

/// Processes with that word in their environment, wherever they are.
fn marked(word: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(word.len()).any(|part| part == word.as_bytes())
    };
    processes().into_keys().filter(has).collect()
}

struct Stage {
    pool: Pool,
    folder: Arc<RunFolder>,
    path: PathBuf,
    /// In every environment of this stage's commands.
    mark: String,
    /// Tests that count files of the process take turns, where a runner has several in one.
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn new(name: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = format!("windlass-test-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(&mark);
        let folder = Arc::new(RunFolder::open(&path).unwrap());
        let pool = Pool::new(PoolOptions { threads: 2, ..PoolOptions::default() });
        Self { pool, folder, path, mark, _turn: turn }
    }

    fn start(&self, command: Command, spec: Spec) -> (JobHandle, Receiver<Told>) {
        let command = command.env("MARK", &self.mark).ready(&self.folder).unwrap();
        let input = CommandInput::new(&()).unwrap();
        let (tx, rx) = mpsc::channel();
        let sink = move |report| {
            let _ = tx.send(report);
        };
        (self.pool.submit(spec, move |job| command.run(job, &input), sink).unwrap(), rx)
    }

    /// Runs commands and looks what is left of them when each has told its end.
    fn leaves_nothing(&self, run: impl Fn(&Self)) {
        // What is made once, like the supervisor and the threads, is no command's.
        for _ in 0..2 {
            let (first, second) = (self.start(sh("exit 0"), spec()), self.start(sh("exit 0"), spec()));
            assert!(matches!((end(&first.1), end(&second.1)), (End::Done(None), End::Done(None))));
        }
        let before = Residue::at_rest();
        run(self);
        // The end is told from within the run's thread, which has let go of everything before.
        let after = Residue::at_rest();
        let names = |residue: &Residue| -> Vec<_> {
            // Another supervisor has another id.
            residue.processes.iter().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
        };
        assert_eq!(names(&after), names(&before), "processes");
        assert_eq!(marked(&format!("MARK={}", self.mark)), [0; 0], "processes that have left");
        assert_eq!(after.files, before.files, "open files: {:?}", open_files());
        assert_eq!(fs::read_dir(&self.path).unwrap().count(), 0, "folders");
        let grown = after.memory.saturating_sub(before.memory);
        assert!(grown <= MEMORY_MAX, "{grown} bytes more");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn open_files() -> Vec<PathBuf> {
    fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|file| fs::read_link(file.path()).ok()).collect()
}

fn sh(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script).grace(Duration::from_millis(100))
}

fn spec() -> Spec {
    Spec::new("test", 1)
}

fn end(rx: &Receiver<Told>) -> Ended {
    match rx.iter().last() {
        Some(Report::Ended(end)) => end,
        other => panic!("{other:?}"),
    }
}

fn failure(rx: &Receiver<Told>) -> CommandError {
    match end(rx) {
        End::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn begun(rx: &Receiver<Told>) {
    while !matches!(rx.recv().unwrap(), Report::Progress(_)) {}
}

#[test]
fn a_killed_command_leaves_nothing() {
    Stage::new("killed").leaves_nothing(|stage| {
        let (job, rx) = stage.start(sh("sleep 600 & echo $$; echo '{\"progress\": 0}'; wait"), spec());
        begun(&rx);
        let pid = job.log_tail()[0].to_string();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        match failure(&rx) {
            CommandError::Ended { exit, .. } => assert_eq!(exit, Exit::Signal(9)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_command_whose_warden_is_killed_leaves_nothing_and_the_next_one_runs() {
    Stage::new("warden").leaves_nothing(|stage| {
        let script = "trap '' TERM; setsid sleep 600 & echo $PPID; echo '{\"progress\": 0}'; wait; sleep 600";
        let (job, rx) = stage.start(sh(script), spec());
        begun(&rx);
        let warden = job.log_tail()[0].to_string();
        assert!(std::process::Command::new("kill").args(["-9", &warden]).status().unwrap().success());
        assert!(matches!(failure(&rx), CommandError::Unwatched));
        let (_, rx) = stage.start(sh("exit 0"), spec());
        assert!(matches!(end(&rx), End::Done(None)));
    });
}

#[test]
fn when_the_supervisor_is_killed_the_next_command_gets_another() {
    Stage::new("supervisor").leaves_nothing(|stage| {
        let (_, rx) = stage.start(sh("exit 0"), spec());
        assert!(matches!(end(&rx), End::Done(None)));
        let me = std::process::id();
        let all = processes();
        let supervisor = all.iter().find(|(_, (parent, line))| *parent == me && line.contains("windlass-super"));
        let supervisor = supervisor.unwrap().0.to_string();
        let (job, before) = stage.start(sh("echo '{\"progress\": 0}'; exec sleep 600"), spec());
        begun(&before);
        assert!(std::process::Command::new("kill").args(["-9", &supervisor]).status().unwrap().success());
        let (_, rx) = stage.start(sh("exit 0"), spec());
        assert!(matches!(end(&rx), End::Done(None)));
        // What ran goes on, and can still be ended.
        assert!(job.cancel());
        assert!(matches!(end(&before), End::Cancelled));
    });
}

#[test]
fn a_cancelled_command_leaves_nothing() {
    Stage::new("cancelled").leaves_nothing(|stage| {
        for trap in ["", "trap '' TERM; "] {
            let script = format!("{trap}sleep 600 & echo '{{\"progress\": 0}}'; while :; do sleep 0.01; done");
            let (job, rx) = stage.start(sh(&script), spec());
            begun(&rx);
            assert!(job.cancel());
            assert!(matches!(end(&rx), End::Cancelled));
        }
    });
}

#[test]
fn a_command_that_timed_out_leaves_nothing() {
    Stage::new("timed-out").leaves_nothing(|stage| {
        let (_, rx) = stage.start(sh("sleep 600 & sleep 600"), spec().soft_timeout(Duration::from_millis(30)));
        assert!(matches!(end(&rx), End::TimedOut));
    });
}

#[test]
fn a_crashing_command_leaves_nothing() {
    Stage::new("crashing").leaves_nothing(|stage| {
        for (script, expected) in [("sleep 600 & exit 7", Exit::Status(7)), ("kill -ABRT $$", Exit::Signal(6))] {
            let (_, rx) = stage.start(sh(script), spec());
            match failure(&rx) {
                CommandError::Ended { exit, .. } => assert_eq!(exit, expected),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_silent_command_leaves_nothing_and_one_that_goes_to_the_background_ends_with_its_leader() {
    Stage::new("silent").leaves_nothing(|stage| {
        let (job, rx) = stage.start(sh("exec >&- 2>&- <&-; exec sleep 600"), spec());
        assert!(matches!(rx.recv(), Ok(Report::Started)));
        assert!(job.cancel());
        assert!(matches!(end(&rx), End::Cancelled));
        let (_, rx) = stage.start(sh("sleep 600 >/dev/null 2>&1 </dev/null & echo '{\"result\": 1}'"), spec());
        assert!(matches!(end(&rx), End::Done(Some(_))));
    });
}

#[test]
fn a_flooding_command_leaves_nothing() {
    Stage::new("flooding").leaves_nothing(|stage| {
        // A hundred megabytes each: lines of the log, one line without an end, and bytes that are no text.
        for flood in [
            format!("yes 'a line of the log' | head -c {FLOOD}"),
            format!("head -c {FLOOD} /dev/zero | tr '\\0' x"),
            format!("head -c {FLOOD} /dev/zero | tr '\\0' '\\377'"),
        ] {
            let (job, rx) =
                stage.start(sh(&format!("{flood} | tee /dev/fd/2; echo '{{\"result\": \"through\"}}'")), spec());
            match end(&rx) {
                // A line that never ended has swallowed what was meant as the result.
                End::Done(result) => assert!(result.is_none_or(|result| result.get() == "\"through\"")),
                other => panic!("{other:?}"),
            }
            assert!(job.log_tail().iter().all(|line| line.len() <= 1024));
            assert!(job.log_tail().len() <= 64);
        }
        let message = format!("printf '{{\"result\": \"'; head -c {FLOOD} /dev/zero | tr '\\0' x; echo '\"}}'");
        let (_, rx) = stage.start(sh(&message), spec());
        match failure(&rx) {
            CommandError::BadLine { number: 1, problem, .. } => assert_eq!(problem, LineProblem::TooLong),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_forking_command_leaves_nothing() {
    Stage::new("forking").leaves_nothing(|stage| {
        // Into sessions of their own, away from their parents, deaf to TERM, and with all files closed.
        let daemon = "(trap '' TERM; setsid sh -c 'trap \"\" TERM; exec sleep 600' </dev/null >/dev/null 2>&1 &)";
        let many = format!("for i in $(seq 20); do {daemon}; done; echo '{{\"progress\": 0}}'");
        let (_, rx) = stage.start(sh(&format!("{many}; exit 0")), spec());
        assert!(matches!(end(&rx), End::Done(None)));
        // A chain: each starts the next and ends, faster than anybody can look.
        let chain = "f() { [ $1 -gt 300 ] || { setsid sh -c \"$F; f $(($1 + 1))\" & }; }";
        let script = format!("F='{chain}'; export F; eval \"$F\"; f 0; {many}; exec sleep 600");
        let (job, rx) = stage.start(sh(&script), spec());
        begun(&rx);
        assert!(job.cancel());
        assert!(matches!(end(&rx), End::Cancelled));
    });
}

#[test]
fn many_commands_at_once_leave_nothing() {
    Stage::new("many").leaves_nothing(|stage| {
        let jobs: Vec<_> = (0..100)
            .map(|n| stage.start(sh(&format!("sleep 0.00{} & echo '{{\"result\": {n}}}'", n % 10)), spec()))
            .collect();
        for (n, (_, rx)) in jobs.iter().enumerate() {
            match end(rx) {
                End::Done(Some(result)) => assert_eq!(result.get(), n.to_string()),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_command_that_keeps_its_output_open_ends_a_second_after_its_leader() {
    let stage = Stage::new("holding");
    let begun = Instant::now();
    let (_, rx) = stage.start(sh("sleep 600 & echo '{\"result\": 1}'"), spec());
    assert!(matches!(end(&rx), End::Done(Some(_))));
    assert!(begun.elapsed() >= Duration::from_secs(1), "what it has started may say something more");
    assert_eq!(marked(&format!("MARK={}", stage.mark)), [0; 0]);
}
