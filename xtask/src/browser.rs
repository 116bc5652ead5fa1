//! The browser tests: an engine found, Chromium also installed, the demo built, the runner started.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::cargo;
use crate::steps::{Failed, Steps};
use crate::web_client::{npm, packages};

/// The engine that the browser tests run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// What `cargo xtask test` runs.
    Chromium,
    /// Debian's firefox-esr, over WebDriver BiDi.
    Firefox,
    /// WebKitGTK's MiniBrowser, over WebDriver.
    Webkit,
}

impl Engine {
    /// As `WINDLASS_ENGINE` names it.
    fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }
}

const FOLDER: &str = "tests/browser";
/// Where Debian puts it.
const CHROMIUM: &str = "/usr/bin/chromium";
const INSTALL: &str = "apt-get update && apt-get install -y chromium";
/// Where Debian puts the others, by the variable that names another.
const FIREFOX: (&str, &str) = ("FIREFOX", "/usr/bin/firefox-esr");
const MINIBROWSER: (&str, &str) = ("MINIBROWSER", "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser");
const WEBKIT_DRIVER: &str = "/usr/bin/WebKitWebDriver";
const XVFB: &str = "/usr/bin/Xvfb";

pub(crate) fn test(steps: &mut Steps, engine: Engine) -> Result<(), Failed> {
    packages(steps, FOLDER)?;
    let mut program = PathBuf::new();
    let way_on = match engine {
        Engine::Chromium => format!("as root on Debian: {INSTALL}; elsewhere: set CHROMIUM to the path of a Chromium"),
        Engine::Firefox => {
            "on Debian: apt-get install firefox-esr; elsewhere: set FIREFOX to the path of a Firefox".to_owned()
        }
        Engine::Webkit => {
            "on Debian: apt-get install webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb; MINIBROWSER is the path of another \
             MiniBrowser"
                .to_owned()
        }
    };
    steps.step(engine.name(), &way_on, |_| {
        program = find(engine)?;
        println!("{}", program.display());
        Ok(())
    })?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = steps.command(cargo, "");
    build.args(["build", "--quiet", "--package", "demo", "--package", "guide", "--package", "bench_page"]);
    steps.run("the demo, the apps of the guide and the bench page", "mend what the compiler names", &mut build)?;
    // With its packages the guide's pages for libraries are bundled.
    packages(steps, "web-client")?;
    // The others take their time for ten thousand rows.
    let script = if engine == Engine::Chromium { "test" } else { "test:other" };
    let mut command = npm(steps, FOLDER, &["run", script, "--silent"]);
    command.env("WINDLASS_ENGINE", engine.name());
    match engine {
        Engine::Chromium => command.env("CHROMIUM", program),
        // node knows WebSocket by itself since version 22.
        Engine::Firefox => command.env(FIREFOX.0, program).env("NODE_OPTIONS", "--experimental-websocket"),
        Engine::Webkit => command.env(MINIBROWSER.0, program),
    };
    let way_on =
        format!("screenshots are in tests/browser/out; run again: cargo xtask browser --engine {}", engine.name());
    steps.run_tests(&format!("browser tests in {}", engine.name()), &way_on, &mut command)
}

/// The program of an engine.
fn find(engine: Engine) -> Result<PathBuf> {
    match engine {
        Engine::Chromium => find_or_install(),
        Engine::Firefox => chosen_or(FIREFOX),
        Engine::Webkit => {
            for needed in [WEBKIT_DRIVER, XVFB] {
                anyhow::ensure!(Path::new(needed).is_file(), "there is no {needed}");
            }
            chosen_or(MINIBROWSER)
        }
    }
}

fn chosen_or((variable, debian): (&str, &str)) -> Result<PathBuf> {
    let program = std::env::var_os(variable).map_or_else(|| PathBuf::from(debian), PathBuf::from);
    anyhow::ensure!(program.is_file(), "there is no {}", program.display());
    Ok(program)
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

pub(crate) fn find_or_install() -> Result<PathBuf> {
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
