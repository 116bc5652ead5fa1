//! The steps in web-client/: packages, types, tests, and the bundle that is checked in.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::steps::{Failed, Steps};

const FOLDER: &str = "web-client";
const NODE_NEEDED: &str = "node 20 or later and npm are needed; on Debian: apt-get install nodejs npm";

pub(crate) fn npm(steps: &Steps, folder: &str, arguments: &[&str]) -> Command {
    let mut command = steps.command("npm", folder);
    command.args(arguments);
    command
}

/// Installs exactly what the lock file names.
pub(crate) fn packages(steps: &mut Steps, folder: &str) -> Result<(), Failed> {
    let mut command = npm(steps, folder, &["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    steps.run(&format!("packages of {folder}"), NODE_NEEDED, &mut command)
}

pub(crate) fn test(steps: &mut Steps) -> Result<(), Failed> {
    packages(steps, FOLDER)?;
    let mut command = npm(steps, FOLDER, &["run", "--silent", "types"]);
    steps.run("types of web-client", "mend what tsc names", &mut command)?;
    let mut command = npm(steps, FOLDER, &["test", "--silent"]);
    steps.run_tests("tests of web-client", "run again: (cd web-client && npm test)", &mut command)?;
    reproducible(steps)
}

pub(crate) fn bundle(steps: &mut Steps) -> Result<(), Failed> {
    packages(steps, FOLDER)?;
    let mut command = npm(steps, FOLDER, &["run", "--silent", "build"]);
    steps.run("bundle", "mend what the bundler names", &mut command)
}

/// The bundle that is checked in is the one that the sources make, byte for byte.
fn reproducible(steps: &mut Steps) -> Result<(), Failed> {
    let dist = steps.root().join(FOLDER).join("dist");
    let mut build = npm(steps, FOLDER, &["run", "--silent", "build"]);
    steps.step("bundle is reproducible", "web-client/dist is rebuilt now: look at it and commit it", |_| {
        let before = files(&dist)?;
        let status = build.status().context("cannot start npm")?;
        anyhow::ensure!(status.success(), "{status}");
        let after = files(&dist)?;
        let changed: Vec<_> =
            after.keys().chain(before.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
        anyhow::ensure!(changed.is_empty(), "the sources make another {changed:?}");
        Ok(())
    })
}

/// The files of a flat folder; none when there is no folder.
fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}
