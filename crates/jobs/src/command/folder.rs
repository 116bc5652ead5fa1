//! Where each run of a command leaves its name on disk, and has its temporary files; and the sweep of what was left.
//!
//! While a command runs, it has a folder of its own there, which it is given as `TMPDIR`, and beside it lies a file with
//! the same name and `.json`, which says who it is. A server that ends takes its commands along. If it cannot, because everything was killed at once, the
//! next one finds both, ends what is left of the run and removes them.
//!
//! A process is known by its id together with its start and the boot of the machine, since ids come again; and by a
//! variable of its environment, [`RUN_VARIABLE`], which its children inherit, wherever they went.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use serde::{Deserialize, Serialize};

use super::system;

/// The variable by which the processes of a run are found.
pub(super) const RUN_VARIABLE: &str = "WINDLASS_RUN";

/// How long the sweep waits for what it has killed.
const SWEEP_MAX: Duration = Duration::from_secs(2);

/// The folder in which the runs of commands leave their names and their temporary files.
///
/// ```
/// use windlass_jobs::RunFolder;
///
/// let folder = RunFolder::open(RunFolder::usual())?;
/// assert!(folder.path().is_dir());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// Who a process is, beyond its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: i32,
    /// In the kernel's ticks since the boot.
    start: u64,
    boot: String,
}

/// What the file of a run says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    command: String,
    leader: Option<Identity>,
    server: Option<Identity>,
}

impl RunFolder {
    /// The folder for those who name none: in the system's temporary folder, for this user alone.
    #[must_use]
    pub fn usual() -> PathBuf {
        std::env::temp_dir().join(format!("windlass-runs-{}", system::user()))
    }

    /// Makes the folder if it is not there, and ends and removes what servers that are gone have left in it.
    ///
    /// Servers may share one.
    ///
    /// # Errors
    /// It cannot be made, or others than this user can write in it.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        match private_folder(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let found = fs::symlink_metadata(&path)?;
        if !found.is_dir() || found.uid() != system::user() || found.mode() & 0o022 != 0 {
            let text = format!("{} must be a folder of this user, writable by nobody else", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let folder = Self { path };
        folder.sweep()?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder for one run of a command.
    pub(super) fn begin(&self) -> io::Result<Run> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        // A server that had the same id before and left its folder has been swept.
        let name = format!("{}-{}-{}", process::id(), start_of_server(), RUNS.fetch_add(1, Ordering::Relaxed));
        let run = Run { path: self.path.join(&name), name };
        private_folder(&run.path)?;
        Ok(run)
    }

    /// Ends what is left of runs whose server is gone, and removes their folders.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // The file is looked at with its folder; alone it is met when the folder has been removed already.
            let name = name.strip_suffix(".json").unwrap_or(&name).to_owned();
            let mut ids = name.split('-').map(str::parse::<u64>);
            let (Some(Ok(server)), Some(Ok(start)), Some(Ok(_)), None) =
                (ids.next(), ids.next(), ids.next(), ids.next())
            else {
                continue;
            };
            let run = Run { path: self.path.join(&name), name };
            let record = run.record();
            let server_lives = match record.as_ref().and_then(|record| record.server.as_ref()) {
                Some(server) => server.lives(),
                None => i32::try_from(server).is_ok_and(|pid| system::is_there(pid) && start_of(pid) == start),
            };
            if server_lives {
                continue;
            }
            let ended = run.end_survivors(record.as_ref());
            if ended > 0 {
                let command = record.map(|record| record.command).unwrap_or_default();
                tracing::warn!(command, processes = ended, "ended what a server before has left running");
            }
            run.remove();
        }
        Ok(())
    }
}

/// One run of a command on disk.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
    /// The value of [`RUN_VARIABLE`].
    pub(super) name: String,
}

impl Run {
    /// The folder for its temporary files.
    pub(super) fn temporary(&self) -> &Path {
        &self.path
    }

    fn file(&self) -> PathBuf {
        self.path.with_extension("json")
    }

    /// Writes down who the command is, so that the next server knows.
    pub(super) fn started(&self, command: &str, pid: i32) -> io::Result<()> {
        let record = Record { command: command.to_owned(), leader: Identity::of(pid), server: Identity::of_server() };
        fs::write(self.file(), serde_json::to_vec(&record)?)
    }

    fn record(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.file()).ok()?).ok()
    }

    /// Kills what is left of the run; how many processes there were.
    pub(super) fn end_rest(&self) -> usize {
        self.end_survivors(self.record().as_ref())
    }

    fn end_survivors(&self, record: Option<&Record>) -> usize {
        let until = Instant::now() + SWEEP_MAX;
        let mut ended = 0;
        loop {
            let mut found = 0;
            if let Some(leader) = record.and_then(|record| record.leader.as_ref())
                && leader.lives()
            {
                found += 1;
                // The leader is there, so the group is its group and no other's.
                system::kill_group(leader.pid, libc::SIGKILL);
            }
            for pid in marked(&self.name) {
                found += 1;
                system::kill(pid, libc::SIGKILL);
            }
            ended = found.max(ended);
            if found == 0 || Instant::now() >= until {
                return ended;
            }
            // A process that was killed is there until its parent has looked.
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Removes the folder, with all that the command has left in it, and the file.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(self.file());
        // Most have left nothing.
        if fs::remove_dir(&self.path).is_err()
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "the folder of a command's run stays behind");
        }
    }
}

impl Identity {
    /// Who has that id now; `None` where the system does not tell.
    fn of(pid: i32) -> Option<Self> {
        static BOOT: OnceLock<String> = OnceLock::new();
        let (start, _) = stat(pid)?;
        let boot = BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default());
        Some(Self { pid, start, boot: boot.trim().to_owned() })
    }

    fn of_server() -> Option<Self> {
        static SERVER: OnceLock<Option<Identity>> = OnceLock::new();
        SERVER.get_or_init(|| i32::try_from(process::id()).ok().and_then(Self::of)).clone()
    }

    /// Whether that very process still runs.
    fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|(_, state)| state != 'Z') && Self::of(self.pid).as_ref() == Some(self)
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

fn start_of(pid: i32) -> u64 {
    stat(pid).map_or(0, |(start, _)| start)
}

fn start_of_server() -> u64 {
    Identity::of_server().map_or(0, |server| server.start)
}

/// When a process started, and its state, from its line in `/proc`.
fn stat(pid: i32) -> Option<(u64, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, more of them too.
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    let state = rest.next()?.chars().next()?;
    // proc_pid_stat(5): the state is the third field, the start the twenty-second.
    Some((rest.nth(18)?.parse().ok()?, state))
}

/// The processes that run with that value of [`RUN_VARIABLE`].
fn marked(run: &str) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let variable = format!("{RUN_VARIABLE}={run}").into_bytes();
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // That of others cannot be read, and that of a process that is gone is empty.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == variable)
    })
    .collect()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::Scratch;
    use super::*;

    fn is_running(pid: u32) -> bool {
        stat(i32::try_from(pid).unwrap()).is_some_and(|(_, state)| state != 'Z')
    }

    fn sleeper(variable: Option<&str>) -> process::Child {
        use std::os::unix::process::CommandExt;
        let mut sleeper = process::Command::new("sleep");
        sleeper.arg("600").process_group(0);
        if let Some(run) = variable {
            sleeper.env(RUN_VARIABLE, run);
        }
        sleeper.spawn().unwrap()
    }

    /// A folder that a server has left which is gone, with that record.
    fn left(folder: &Path, name: &str, record: &Record) -> PathBuf {
        let run = folder.join(name);
        fs::create_dir_all(run.join("deep")).unwrap();
        fs::write(run.join("deep/data"), "x").unwrap();
        fs::write(run.with_extension("json"), serde_json::to_vec(record).unwrap()).unwrap();
        run
    }

    fn gone() -> Option<Identity> {
        Some(Identity { pid: i32::MAX, start: 1, boot: "another".to_owned() })
    }

    /// Waits for one that was killed, and says by what.
    fn ended_by(mut child: process::Child) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        child.wait().unwrap().signal()
    }

    #[test]
    fn the_next_start_ends_a_survivor_by_its_identity_and_by_its_environment() {
        let scratch = Scratch::new();
        RunFolder::open(&scratch.path).unwrap();
        let known = sleeper(None);
        let escaped = sleeper(Some("1-1-1"));
        let leader = Identity::of(known.id().try_into().unwrap());
        let run = left(&scratch.path, "1-1-1", &Record { command: "x".into(), leader, server: gone() });
        RunFolder::open(&scratch.path).unwrap();
        assert!(!run.exists());
        assert_eq!((ended_by(known), ended_by(escaped)), (Some(9), Some(9)));
    }

    #[test]
    fn another_process_with_the_id_of_one_that_is_gone_is_left_alone() {
        let scratch = Scratch::new();
        RunFolder::open(&scratch.path).unwrap();
        let mut other = sleeper(None);
        let real = Identity::of(other.id().try_into().unwrap()).unwrap();
        let later = Identity { start: real.start + 1, ..real.clone() };
        let rebooted = Identity { boot: "another".to_owned(), ..real };
        for (name, leader) in [("1-1-1", later), ("1-1-2", rebooted)] {
            let record = Record { command: "x".into(), leader: Some(leader), server: gone() };
            let run = left(&scratch.path, name, &record);
            RunFolder::open(&scratch.path).unwrap();
            assert!(!run.exists(), "{name}");
        }
        assert!(is_running(other.id()));
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn runs_of_a_server_that_lives_and_folders_of_others_stay() {
        let scratch = Scratch::new();
        let folder = RunFolder::open(&scratch.path).unwrap();
        let (told, fresh) = (folder.begin().unwrap(), folder.begin().unwrap());
        told.started("x", i32::try_from(process::id()).unwrap()).unwrap();
        fs::create_dir(scratch.path.join("notes")).unwrap();
        RunFolder::open(&scratch.path).unwrap();
        assert!(told.path.is_dir() && fresh.path.is_dir() && scratch.path.join("notes").is_dir());
        assert_eq!(fs::metadata(fresh.temporary()).unwrap().mode() & 0o777, 0o700);
        told.remove();
        assert!(!told.path.exists() && !told.file().exists());
    }

    #[test]
    fn a_folder_in_which_others_can_write_is_refused() {
        let scratch = Scratch::new();
        fs::create_dir(&scratch.path).unwrap();
        fs::set_permissions(&scratch.path, fs::Permissions::from_mode(0o777)).unwrap();
        let error = RunFolder::open(&scratch.path).unwrap_err();
        assert!(error.to_string().contains("writable by nobody else"), "{error}");
    }
}
