//! The steps that are cargo's: format, lints, docs, tests, benches.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::steps::{Failed, Steps};

fn cargo(steps: &Steps, arguments: &[&str]) -> Command {
    // Cargo names itself to what it runs, so that the toolchain stays the same one.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = steps.command(program, "");
    command.args(arguments);
    command
}

pub(crate) fn format(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = cargo(steps, &["fmt", "--all", "--check"]);
    steps.run("format", "run: cargo fmt --all", &mut command)
}

pub(crate) fn lints(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = cargo(steps, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    steps.run("lints", "mend what clippy names; an #[allow] needs a reason beside it", &mut command)
}

pub(crate) fn docs(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = cargo(steps, &["doc", "--workspace", "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("docs", "mend what rustdoc names", &mut command)
}

pub(crate) fn tests(steps: &mut Steps) -> Result<(), Failed> {
    let mut version = cargo(steps, &["nextest", "--version"]);
    steps.step("nextest", "run: cargo install --locked cargo-nextest", |_| {
        let found = version.output().is_ok_and(|output| output.status.success());
        anyhow::ensure!(found, "cargo-nextest is not installed");
        Ok(())
    })?;
    let mut command = cargo(steps, &["nextest", "run", "--workspace"]);
    steps.run_tests("Rust tests", "run one again: cargo nextest run --workspace <name>", &mut command)
}

pub(crate) fn doctests(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = cargo(steps, &["test", "--doc", "--workspace", "--quiet"]);
    steps.run_tests("doctests", "run again: cargo test --doc --workspace", &mut command)
}

/// Tries every order in which the threads of a job can meet. In a target of its own: another `cfg` builds all anew.
pub(crate) fn loom(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = cargo(steps, &["test", "--release", "--package", "windlass-jobs", "--lib", "--quiet", "races::"]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", steps.root().join("target/loom"));
    steps.run_tests("races of jobs, model-checked", "run again: cargo xtask loom", &mut command)
}

/// The demo, killed at random moments. Not through nextest, which ends what takes longer than three minutes.
pub(crate) fn crash(steps: &mut Steps, rounds: u32, seed: Option<u64>) -> Result<(), Failed> {
    let mut command = cargo(steps, &["test", "--package", "demo", "--test", "crash", "killed", "--", "--nocapture"]);
    command.env("WINDLASS_ROUNDS", rounds.to_string());
    if let Some(seed) = seed {
        command.env("WINDLASS_SEED", seed.to_string());
    }
    steps.run_tests("kill -9 at random moments", "the round that failed says how to replay it", &mut command)
}

/// Dependency directions and the nevers that a program can hold. `test` runs them among all tests.
pub(crate) fn architecture(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = cargo(steps, &["test", "--quiet", "--package", "architecture"]);
    steps.run_tests("architecture", "each failure says which rule of ARCHITECTURE.md it is", &mut command)
}

/// Builds a package in release, without a word on stdout, and says where its program is.
pub(crate) fn release(steps: &Steps, package: &str) -> std::io::Result<Option<PathBuf>> {
    let built =
        cargo(steps, &["build", "--quiet", "--release", "--package", package]).stdout(Stdio::null()).status()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| steps.root().join("target"), PathBuf::from);
    Ok(built.success().then(|| target.join("release").join(package)))
}

/// Drives the fuzz targets, in release and with the assertions of a debug build.
pub(crate) fn fuzz(options: &[String]) -> ExitCode {
    let steps = Steps::new();
    let mut command =
        cargo(&steps, &["run", "--quiet", "--release", "--package", "windlass-tests", "--bin", "fuzz", "--"]);
    command.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true").args(options);
    run(command)
}

/// Runs a bench in release. Only its JSON lines go to stdout.
pub(crate) fn bench(name: &str, options: &[String]) -> ExitCode {
    let steps = Steps::new();
    let mut command = cargo(&steps, &["run", "--quiet", "--release", "--package", "windlass-benches", "--", name]);
    command.args(options);
    run(command)
}

fn run(mut command: Command) -> ExitCode {
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot start {command:?}: {error}");
            ExitCode::FAILURE
        }
    }
}
