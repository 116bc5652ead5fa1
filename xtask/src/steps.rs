//! Runs one command after another, announced and timed, and stops at the first that fails.
//!
//! A step says beforehand what to do when it fails, so that the last thing a person reads is the
//! way on. Steps that run tests have their output read on the way through and counted.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::counts::Counts;

/// A step failed and has said so; there is nothing to add.
#[derive(Debug)]
pub(crate) struct Failed;

/// The steps of one run and what they counted.
pub(crate) struct Steps {
    root: PathBuf,
    began: Instant,
    number: u32,
    counts: Counts,
}

impl Steps {
    /// Steps in the workspace that this program was built from.
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace");
        Self { root: root.to_owned(), began: Instant::now(), number: 0, counts: Counts::default() }
    }

    /// The folder of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command that starts in the workspace, or in a folder of it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>, folder: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root.join(folder)).stdin(Stdio::null());
        command
    }

    /// Runs a command, its output untouched.
    pub(crate) fn run(&mut self, title: &str, way_on: &str, command: &mut Command) -> Result<(), Failed> {
        self.step(title, way_on, |_| succeeded(command.status().with_context(|| format!("cannot start {command:?}"))?))
    }

    /// Runs a command whose closing lines count tests.
    pub(crate) fn run_tests(&mut self, title: &str, way_on: &str, command: &mut Command) -> Result<(), Failed> {
        self.step(title, way_on, |counts| {
            let before = *counts;
            let status = copy_and_count(command, counts).with_context(|| format!("cannot start {command:?}"))?;
            succeeded(status)?;
            anyhow::ensure!(counts.failed == before.failed, "tests failed or were skipped");
            anyhow::ensure!(counts.passed > before.passed, "no test was run");
            Ok(())
        })
    }

    /// Runs a piece of our own code as a step.
    pub(crate) fn step(
        &mut self,
        title: &str,
        way_on: &str,
        body: impl FnOnce(&mut Counts) -> Result<()>,
    ) -> Result<(), Failed> {
        self.number += 1;
        println!("\n── {}. {title}", self.number);
        let (began, failed_before) = (Instant::now(), self.counts.failed);
        let outcome = body(&mut self.counts);
        let seconds = began.elapsed().as_secs_f64();
        let Err(error) = outcome else {
            println!("── {title}: done in {seconds:.1} s");
            return Ok(());
        };
        // The closing line must not say "0 failed" when what failed was no test, or did not build.
        if self.counts.failed == failed_before {
            self.counts.failed += 1;
        }
        println!("── {title}: FAILED after {seconds:.1} s: {error:#}\n   {way_on}");
        Err(Failed)
    }

    /// Says how long all of it took and, when tests were run, ends with the line that counts them.
    pub(crate) fn close(&self, with_counts: bool) {
        println!("\n── {} steps in {:.0} s", self.number, self.began.elapsed().as_secs_f64());
        if with_counts {
            println!("{} passed, {} failed", self.counts.passed, self.counts.failed);
        }
    }
}

fn succeeded(status: ExitStatus) -> Result<()> {
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
}

/// Sends both outputs of a command to our stdout, line by line and in order of arrival, and counts.
fn copy_and_count(command: &mut Command, counts: &mut Counts) -> Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let outputs: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|err| Box::new(err) as _)];
    std::thread::scope(|scope| {
        let readers = outputs.map(|output| scope.spawn(move || output.map(copy_lines).unwrap_or_default()));
        for reader in readers {
            *counts += reader.join().expect("copying lines does not panic");
        }
    });
    Ok(child.wait()?)
}

fn copy_lines(from: impl Read) -> Counts {
    let (mut from, mut line, mut counts) = (BufReader::new(from), Vec::new(), Counts::default());
    // By bytes and not by `lines()`: a test may print what is no UTF-8, and the rest must still come.
    while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
        // A closed stdout (`| head`) is no reason to stop the tests.
        _ = std::io::stdout().write_all(&line);
        counts += Counts::of_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(steps: &Steps, script: &str) -> Command {
        let mut command = steps.command("sh", "");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn counts_of_both_outputs_are_summed() {
        let mut steps = Steps::new();
        let mut command = sh(&steps, "echo '# pass 2'; echo ' Summary [ 1s] 3 tests run: 3 passed, 0 skipped' >&2");
        steps.run_tests("two runners", "", &mut command).unwrap();
        assert_eq!(steps.counts, Counts { passed: 5, failed: 0 });
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts_as_one() {
        let mut steps = Steps::new();
        let mut command = sh(&steps, "exit 3");
        steps.run("lints", "", &mut command).unwrap_err();
        assert_eq!(steps.counts, Counts { passed: 0, failed: 1 });
    }

    #[test]
    fn a_runner_that_succeeds_without_running_or_with_skipping_fails() {
        for (script, failed) in [("true", 1), ("echo '# pass 4'; echo '# skipped 1'", 1)] {
            let mut steps = Steps::new();
            let mut command = sh(&steps, script);
            steps.run_tests("tests", "", &mut command).unwrap_err();
            assert_eq!(steps.counts.failed, failed, "{script}");
        }
    }
}
