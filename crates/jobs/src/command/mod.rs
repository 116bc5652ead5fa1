//! External commands: a program in any language as a job.
//!
//! A command is described once, with its program and its arguments. Each run gets its input as JSON on standard input,
//! and tells its progress, partial results and its result as JSON lines on standard output; what it prints on standard
//! error, and every other line, is its log. `docs/commands.md` is the contract, for those who write scripts.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use windlass_jobs::{Command, CommandInput, End, Pool, PoolOptions, Report, RunFolder, Spec};
//!
//! let folder = Arc::new(RunFolder::open(RunFolder::usual())?);
//! let double = Command::new("sh").arg("-c").arg(
//!     r#"read -r number; echo '{"progress": 0.5}'; echo "{\"result\": $((number * 2))}""#,
//! );
//! let double = double.ready(&folder)?;
//!
//! let pool = Pool::new(PoolOptions::default());
//! let (tx, rx) = mpsc::channel();
//! let input = CommandInput::new(&21)?;
//! pool.submit(
//!     Spec::new("double", 1),
//!     move |job| double.run(job, &input),
//!     move |report| tx.send(report).expect("someone listens"),
//! )?;
//! match rx.iter().last() {
//!     Some(Report::Ended(End::Done(Some(result)))) => assert_eq!(result.get(), "42"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! - **No shell, and nothing of a session on the command line** but by [`CommandInput::arg`], behind a `--`.
//! - **A bare environment**: `PATH`, `LANG`, a temporary folder of its own, the run's key and attempt, and what
//!   [`Command::env`] adds. No file of the server's is open in it.
//! - **Nothing is left.** When a run is over, so is every process that it has started, and its temporary folder is gone.
//!   On Linux that includes those that have left its process group, and holds however the server ends; elsewhere it
//!   holds for the group, while the server lives.
//! - **Nothing is waited for in vain**: both outputs are always read, and one that closes nothing is ended a second after
//!   its first process.

mod bare;
mod bell;
mod error;
mod folder;
mod launch;
mod line;
mod run;
#[cfg(target_os = "linux")]
mod supervisor;
mod system;
#[cfg(test)]
pub(crate) mod tests;

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use serde::Serialize;
use serde_json::value::RawValue;

pub use error::{CommandError, Exit};
pub use folder::RunFolder;
pub use line::{COMMAND_LINE_BYTES_MAX, LineProblem};

use folder::RUN_VARIABLE;
use launch::Request;
use run::Running;

use crate::job::Job;

/// Bytes of the input of one run, as JSON.
pub const COMMAND_INPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the program's path, its arguments and its environment together.
pub const COMMAND_LINE_TEXT_MAX: usize = 32 * 1024;
/// How many arguments and variables.
const TEXTS_MAX: usize = 512;
/// Bytes of all values of one run for the command line, and their number.
const VALUES_BYTES_MAX: usize = 16 * 1024;
const VALUES_MAX: usize = 256;
/// How long a command has to end when it was asked to, unless it says otherwise.
const GRACE: Duration = Duration::from_secs(2);
/// The niceness of a command, unless it says otherwise: that of the threads of a pool, so that sockets come first.
const NICE: i32 = 10;
/// How often a start is tried that nobody has heard.
const TRIES_MAX: u32 = 3;
/// Where programs are looked for when the server itself has no `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// An external command: what is the same in each of its runs. The [module](crate) has an example.
///
/// ```
/// use std::time::Duration;
/// use windlass_jobs::Command;
///
/// let analyse = Command::new("python3")
///     .arg("scripts/analyse.py")
///     .env("PYTHONUNBUFFERED", "1") // or its progress comes when its buffer is full
///     .grace(Duration::from_secs(5));
/// # let _ = analyse;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a command does nothing by itself"]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    grace: Duration,
    nice: i32,
}

impl Command {
    /// A command that runs that program: a path, or a name that is looked for in the `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), current_dir: None, grace: GRACE, nice: NICE }
    }

    /// One more argument, the same in each run. No shell looks at it.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments, the same in each run.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment, which otherwise holds only `PATH` and `LANG` as the server has them, `TMPDIR`,
    /// `WINDLASS_RUN`, `WINDLASS_KEY` and `WINDLASS_ATTEMPT`. Said again, the last one counts.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The folder in which it runs; that of the server by default.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// How long it has to end after it was asked to with `SIGTERM`, before it is killed; 2 seconds by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Its niceness, from 0 to 19; 10 by default, so that sockets come first. It is never better than the server's.
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }

    /// Whether its program is there and can be run; for a command that an app offers only then.
    ///
    /// ```
    /// # use windlass_jobs::Command;
    /// assert!(Command::new("sh").is_there());
    /// assert!(!Command::new("no-such-program").is_there());
    /// ```
    #[must_use]
    pub fn is_there(&self) -> bool {
        let given = self.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
        let path = given.or_else(|| env::var_os("PATH")).unwrap_or_else(|| PATH.into());
        find(&self.program, &path).is_ok()
    }

    /// Finds the program, and makes ready for runs, which leave their names and temporary files in that folder.
    ///
    /// The first time a process does it, it starts the supervisor: best while the process is small.
    ///
    /// # Errors
    /// [`CommandError::NoProgram`] and [`CommandError::Setting`], with what to do.
    pub fn ready(&self, folder: &Arc<RunFolder>) -> Result<ReadyCommand, CommandError> {
        let setting = |what: &str, text: &OsStr| {
            c_string(text).map_err(|_| CommandError::Setting(format!("{what} {} holds a zero byte", text.display())))
        };
        if !(0..=19).contains(&self.nice) {
            return Err(CommandError::Setting(format!("the niceness {} is not from 0 to 19", self.nice)));
        }
        let mut variables = vec![
            (OsString::from("PATH"), env::var_os("PATH").unwrap_or_else(|| PATH.into())),
            ("LANG".into(), env::var_os("LANG").unwrap_or_else(|| "C.UTF-8".into())),
        ];
        for (name, value) in &self.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') || name == RUN_VARIABLE {
                return Err(CommandError::Setting(format!("{} cannot be a variable", name.display())));
            }
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone()));
        }
        let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let program = find(&self.program, path.unwrap_or_default())?;
        let current_dir = match &self.current_dir {
            Some(folder) => std::path::absolute(folder),
            None => env::current_dir(),
        };
        let current_dir = current_dir.map_err(|error| CommandError::Setting(format!("its folder: {error}")))?;
        if !current_dir.is_dir() {
            let text = format!("{} is no folder in which a command could run", current_dir.display());
            return Err(CommandError::Setting(text));
        }
        let args = [&self.program].into_iter().chain(&self.args);
        let variable = |(name, value): &(OsString, OsString)| {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            setting("the variable", &variable)
        };
        let request = Request {
            program: setting("the program", program.as_os_str())?,
            folder: setting("the folder", current_dir.as_os_str())?,
            args: args.map(|arg| setting("the argument", arg)).collect::<Result<_, _>>()?,
            env: variables.iter().map(variable).collect::<Result<_, _>>()?,
            nice: self.nice,
        };
        if request.bytes() > COMMAND_LINE_TEXT_MAX || request.args.len() + request.env.len() > TEXTS_MAX {
            let text = format!(
                "a command's arguments and variables are at most {TEXTS_MAX}, and {COMMAND_LINE_TEXT_MAX} bytes; \
                 give it more on its input"
            );
            return Err(CommandError::Setting(text));
        }
        #[cfg(target_os = "linux")]
        if let Err(error) = supervisor::begin() {
            tracing::warn!(%error, "no supervisor of commands: what leaves their process groups will not be ended");
        }
        Ok(ReadyCommand { request, folder: Arc::clone(folder), grace: self.grace })
    }
}

/// A command whose program was found. See [`Command::ready`].
#[derive(Debug)]
pub struct ReadyCommand {
    request: Request,
    folder: Arc<RunFolder>,
    grace: Duration,
}

impl ReadyCommand {
    /// Runs it as the callback of a job, on the job's thread, to its end: its result is what it has printed as such.
    ///
    /// Its progress, its partial results and its log are the job's. When the job is told to stop, the command is asked to
    /// end with `SIGTERM`, and killed when its [grace](Command::grace) is over or the job's end was reported. When this
    /// returns, nothing of it is left.
    ///
    /// # Errors
    /// [`CommandError`]; whatever it is, after the job was told to stop it is the way to stop.
    pub fn run(&self, job: &Job, input: &CommandInput) -> Result<Option<Box<RawValue>>, CommandError> {
        let mut tries = 1;
        loop {
            job.checkpoint()?;
            let (finished, has_started) = self.run_once(job, input);
            match finished {
                // The supervisor was killed with the request in its hands. It has not begun, so it can begin again.
                Err(CommandError::Unwatched) if !has_started && tries < TRIES_MAX => tries += 1,
                finished => return finished,
            }
        }
    }

    fn run_once(&self, job: &Job, input: &CommandInput) -> (Result<Option<Box<RawValue>>, CommandError>, bool) {
        let run = match self.folder.begin() {
            Ok(run) => run,
            Err(source) => return (Err(CommandError::Start { step: "make its temporary folder", source }), false),
        };
        let request = self.request(job, input, &run);
        let running = request.and_then(|request| Running::start(job, &request, input, &run, self.grace));
        let finished = running.map_or_else(|error| (Err(error), false), Running::finish);
        run.remove();
        finished
    }

    /// How long it has to end when it was asked to.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace
    }

    fn request(&self, job: &Job, input: &CommandInput, run: &folder::Run) -> Result<Request, CommandError> {
        let mut request = self.request.clone();
        if !input.values.is_empty() {
            request.args.push(c"--".to_owned());
            request.args.extend(input.values.iter().cloned());
        }
        let own: [(_, OsString); 4] = [
            ("TMPDIR", run.temporary().into()),
            (RUN_VARIABLE, run.name.clone().into()),
            ("WINDLASS_KEY", job.key().into()),
            ("WINDLASS_ATTEMPT", job.attempt().to_string().into()),
        ];
        for (name, value) in own {
            let is_given =
                |given: &CString| given.as_bytes().strip_prefix(name.as_bytes()).is_some_and(|v| v[0] == b'=');
            if !request.env.iter().any(is_given) {
                let mut variable = OsString::from(name);
                variable.push("=");
                variable.push(value);
                let error = |_| CommandError::Input(format!("{name} holds a zero byte"));
                request.env.push(c_string(&variable).map_err(error)?);
            }
        }
        Ok(request)
    }
}

/// What one run of a command is given.
#[derive(Debug, Clone)]
#[must_use = "an input does nothing by itself"]
pub struct CommandInput {
    json: Vec<u8>,
    values: Vec<CString>,
}

impl CommandInput {
    /// A value that the command reads as one line of JSON on its standard input, which then ends.
    ///
    /// # Errors
    /// It does not serialise, or is larger than [`COMMAND_INPUT_BYTES_MAX`].
    pub fn new(value: &(impl Serialize + ?Sized)) -> Result<Self, CommandError> {
        let mut json = serde_json::to_vec(value)
            .map_err(|error| CommandError::Input(format!("the input cannot be written as JSON: {error}")))?;
        if json.len() > COMMAND_INPUT_BYTES_MAX {
            let text = format!("the input is {} bytes, and may be {COMMAND_INPUT_BYTES_MAX}", json.len());
            return Err(CommandError::Input(text));
        }
        json.push(b'\n');
        Ok(Self { json, values: Vec::new() })
    }

    /// A value for the command line, behind the fixed arguments and a `--`, where it cannot be taken for an option.
    ///
    /// Only for programs that cannot read it from their input, and that know `--`: every user of the machine can read
    /// a command line.
    ///
    /// # Errors
    /// It holds a zero byte, or there are more than 256 values or 16 KiB of them.
    pub fn arg(mut self, value: &str) -> Result<Self, CommandError> {
        let value = CString::new(value)
            .map_err(|_| CommandError::Input("a value for the command line holds a zero byte".to_owned()))?;
        self.values.push(value);
        let bytes: usize = self.values.iter().map(|value| value.as_bytes_with_nul().len()).sum();
        if bytes > VALUES_BYTES_MAX || self.values.len() > VALUES_MAX {
            let text = format!("values for the command line are at most {VALUES_MAX}, and {VALUES_BYTES_MAX} bytes");
            return Err(CommandError::Input(text));
        }
        Ok(self)
    }
}

/// The whole path of a program.
fn find(program: &OsStr, path: &OsStr) -> Result<PathBuf, CommandError> {
    let is_program = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
    let none = || CommandError::NoProgram(program.into());
    if program.as_bytes().contains(&b'/') {
        let path = std::path::absolute(program).map_err(|_| none())?;
        return if is_program(&path) { Ok(path) } else { Err(none()) };
    }
    // An empty part of the PATH means the folder one is in, from which no program is taken by its name.
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    let found = folders.map(|folder| folder.join(program)).find(|path| !program.is_empty() && is_program(path));
    found.ok_or_else(none)
}

fn c_string(text: &OsStr) -> Result<CString, std::ffi::NulError> {
    CString::new(text.to_owned().into_vec())
}
