//! External commands: long callbacks that are programs in any language.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_jobs::{Command, CommandError, CommandInput, ReadyCommand, RunFolder};

use crate::callback::{Draft, LongCallback};
use crate::program::State;
use crate::services::Commands;
use crate::{App, Cx, Error, Job, Result, View};

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Registers an external command, which [`Cx::command`] starts by that name: a program in any language.
    ///
    /// Its program and its arguments are fixed here; a session's data reaches it as JSON on its standard input. It runs
    /// in a bare environment, at a low priority, and nothing of it outlives its job or the server. `docs/commands.md`
    /// says what a script prints to be understood.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// use windlass::Command;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Report { total: Option<f64>, rows: Vec<f64> }
    ///
    /// fn analyse(state: &mut Report, cx: &mut Cx<Report>, file: String) -> Result {
    ///     state.rows.clear();
    ///     cx.command("analyse", &file)
    ///         .timeout(Duration::from_secs(60))
    ///         .on_partial(|state, _cx, row: f64| state.rows.push(row))
    ///         .on_status(|state, cx, status| match status {
    ///             Status::Done(total) => state.total = Some(total),
    ///             Status::Failed(error) => cx.notify(Level::Error, error.text),
    ///             _ => {}
    ///         })
    ///         .start()?;
    ///     Ok(())
    /// }
    ///
    /// let script = r#"read -r file; echo '{"partial": 1.5}'; echo '{"partial": 2}'; echo '{"result": 3.5}'"#;
    /// let mut t = App::new(Report::default)
    ///     .command("analyse", Command::new("sh").arg("-c").arg(script))
    ///     .action("analyse", analyse)
    ///     .test();
    /// t.send("analyse", "data.csv");
    /// t.jobs().finish("analyse");
    /// assert_eq!((t.state().total, &t.state().rows[..]), (Some(3.5), &[1.5, 2.0][..]));
    /// ```
    ///
    /// [`App::build`] gives an error when the program is not there.
    pub fn command(mut self, name: &'static str, command: Command) -> Self {
        if name.is_empty() || name.len() > windlass_protocol::limits::NAME_BYTES_MAX {
            self.problems.push(format!("\"{name}\" cannot be a command: 1 to 128 bytes"));
        }
        if self.commands.iter().any(|(known, _)| *known == name) {
            self.problems.push(format!("the command \"{name}\" is registered twice"));
        }
        self.commands.push((name, command));
        self
    }

    /// The folder in which commands that run leave their names and their temporary files, so that the next start finds
    /// and ends what a crash has left running. By default it is `commands` in [`App::data_dir`], and without that a folder
    /// in the system's temporary one.
    ///
    /// It is made if it is not there, for this user alone. Servers may share one.
    pub fn command_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.command_folder = Some(folder.into());
        self
    }

    /// Makes the commands ready, and ends what a crash has left of them, before any job runs again; without commands,
    /// nothing is touched.
    pub(crate) fn ready_commands(&mut self) -> Commands {
        if self.commands.is_empty() {
            return Commands::default();
        }
        // A test touches no data.
        let data = self.kept.folder().filter(|_| self.options.stage.is_none()).map(|folder| folder.join("commands"));
        let folder = self.command_folder.clone().or(data).unwrap_or_else(RunFolder::usual);
        let folder = match RunFolder::open(folder) {
            Ok(folder) => Arc::new(folder),
            Err(error) => {
                self.problems.push(format!("the folder of commands: {error}; see `App::command_folder`"));
                return Commands::default();
            }
        };
        let commands = std::mem::take(&mut self.commands).into_iter();
        let ready = commands.filter_map(|(name, command)| match command.ready(&folder) {
            Ok(command) => Some((name, Arc::new(command))),
            Err(error) => {
                self.problems.push(format!("the command \"{name}\": {error}"));
                None
            }
        });
        ready.collect()
    }
}

impl<S: State> Cx<S> {
    /// Begins to describe one run of an external command, which [`App::command`] has registered, with an input.
    ///
    /// All that a [`LongCallback`] can do it can: progress, partial results, ticks, timeouts, retries, limits, cancels.
    /// The input is written to the command as one line of JSON; the type of the result is that of the status function,
    /// and a command that prints none has the result `null`. A script's own error, `{"error": "…"}`, reaches the page as
    /// it is; any other failure is an internal error with the code `command_failed`, the exit status or signal, and the
    /// end of the log. The log is kept from the page unless [`LongCallback::show_log`] shows it.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # use windlass::{Again, Command};
    /// # #[derive(Clone, Default, Serialize)] struct Demo { done: bool }
    /// fn convert(_: &mut Demo, cx: &mut Cx<Demo>, page: u32) -> Result {
    ///     cx.command("convert", &serde_json::json!({ "page": page }))
    ///         .again(Again::Replace)
    ///         .on_status(|state, _cx, status: Status<()>| state.done |= matches!(status, Status::Done(())))
    ///         .start()?;
    ///     Ok(())
    /// }
    /// let mut t = App::new(Demo::default).command("convert", Command::new("true")).action("convert", convert).test();
    /// t.send("convert", 3);
    /// t.jobs().finish("convert");
    /// assert!(t.state().done);
    /// ```
    pub fn command<T: DeserializeOwned + Send + 'static>(
        &mut self,
        name: impl Into<String>,
        input: &(impl Serialize + ?Sized),
    ) -> LongCallback<'_, S, T> {
        let name = name.into();
        let prepared = self.services.command(&name).and_then(|command| Ok((command, CommandInput::new(input)?)));
        let draft = match prepared {
            Ok((command, input)) => Draft::Command(CommandCall { command, input, read }),
            Err(error) => Draft::Impossible(error),
        };
        LongCallback::of(self, name, draft)
    }
}

/// One run of a command that is being described, and how its result is read.
pub(crate) struct CommandCall<T> {
    command: Arc<ReadyCommand>,
    input: CommandInput,
    read: fn(&str) -> Result<T>,
}

impl<T> CommandCall<T> {
    /// Adds a value to the command line.
    pub(crate) fn arg(self, value: &str) -> Result<Self> {
        Ok(Self { input: self.input.arg(value)?, ..self })
    }

    /// The time that it may take to end when it was asked to.
    pub(crate) fn grace(&self) -> std::time::Duration {
        self.command.grace()
    }

    /// Runs it on the thread of its job.
    pub(crate) fn run(&self, job: &Job) -> Result<T> {
        let result = self.command.run(job, &self.input).map_err(told)?;
        (self.read)(result.as_deref().map_or("null", |result| result.get()))
    }
}

fn read<T: DeserializeOwned>(result: &str) -> Result<T> {
    serde_json::from_str(result).map_err(|error| match result {
        "null" => failed("the command ended without a result: it prints {\"result\": …} before it ends"),
        _ => failed(format!("the command's result is not what is expected: {error}")),
    })
}

fn failed(text: impl Into<String>) -> Error {
    Error { code: "command_failed".into(), ..Error::internal(text) }
}

fn told(error: CommandError) -> Error {
    match error {
        CommandError::Refused { code, text } => Error::refuse(code, text),
        CommandError::Cancelled => windlass_jobs::Cancelled.into(),
        error => failed(error.to_string()),
    }
}
