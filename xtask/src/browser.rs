//! The browser tests: Chromium found or installed, the demo built, the runner started.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::cargo;
use crate::steps::{Failed, Steps};
use crate::web_client::{npm, packages};

const FOLDER: &str = "tests/browser";
/// Where Debian puts it.
const CHROMIUM: &str = "/usr/bin/chromium";
const INSTALL: &str = "apt-get update && apt-get install -y chromium";

pub(crate) fn test(steps: &mut Steps) -> Result<(), Failed> {
    packages(steps, FOLDER)?;
    let mut chromium = PathBuf::new();
    let way_on = format!("as root on Debian: {INSTALL}; elsewhere: set CHROMIUM to the path of a Chromium");
    steps.step("chromium", &way_on, |_| {
        chromium = find_or_install()?;
        println!("{}", chromium.display());
        Ok(())
    })?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = steps.command(cargo, "");
    build.args(["build", "--quiet", "--package", "demo"]);
    steps.run("the demo", "mend what the compiler names", &mut build)?;
    let mut command = npm(steps, FOLDER, &["test", "--silent"]);
    command.env("CHROMIUM", chromium);
    steps.run_tests(
        "browser tests",
        "screenshots are in tests/browser/out; run again: cargo xtask browser",
        &mut command,
    )
}

/// `bench page`: the table of `examples/bench_page` in Chromium. Only JSON lines go to stdout.
pub(crate) fn bench(options: &[String]) -> ExitCode {
    match try_bench(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench could not be run: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn try_bench(options: &[String]) -> Result<bool> {
    let steps = Steps::new();
    let chromium = find_or_install()?;
    let program = cargo::release(&steps, "bench_page")?.context("bench_page does not build")?;
    let mut install = npm(&steps, FOLDER, &["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    let installed = install.stdout(Stdio::null()).status().context("cannot start npm")?;
    anyhow::ensure!(installed.success(), "npm ci in {FOLDER}: {installed}");
    let mut bench = steps.command("node", FOLDER);
    bench.arg("bench.js").arg(program).args(options).env("CHROMIUM", chromium);
    Ok(bench.status().context("cannot start node")?.success())
}

fn find_or_install() -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os("CHROMIUM") {
        let chosen = PathBuf::from(chosen);
        anyhow::ensure!(chosen.is_file(), "CHROMIUM names {}, which is no file", chosen.display());
        return Ok(chosen);
    }
    let debian = PathBuf::from(CHROMIUM);
    if debian.is_file() {
        return Ok(debian);
    }
    anyhow::ensure!(Path::new("/etc/debian_version").is_file() && is_root(), "there is no {CHROMIUM}");
    println!("{INSTALL}");
    let status = Command::new("sh")
        .args(["-c", INSTALL])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(std::process::Stdio::null())
        .status()
        .context("cannot start apt-get")?;
    anyhow::ensure!(status.success() && debian.is_file(), "apt-get could not install chromium: {status}");
    Ok(debian)
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
