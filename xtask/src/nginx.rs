//! `cargo xtask nginx`: the configurations of the guide in a real nginx, before an app of the guide.

use std::path::PathBuf;

use crate::browser;
use crate::steps::{Failed, Steps};
use crate::web_client::{npm, packages};

const FOLDER: &str = "tests/browser";
/// Where Debian puts it.
const NGINX: &str = "/usr/sbin/nginx";
const INSTALL: &str = "on Debian: apt-get install nginx-light openssl; elsewhere: set NGINX to the path of an nginx";

pub(crate) fn test(steps: &mut Steps) -> Result<(), Failed> {
    packages(steps, FOLDER)?;
    let (mut nginx, mut chromium) = (PathBuf::new(), PathBuf::new());
    steps.step("nginx", INSTALL, |_| {
        nginx = std::env::var_os("NGINX").map_or_else(|| PathBuf::from(NGINX), PathBuf::from);
        anyhow::ensure!(nginx.is_file(), "there is no {}", nginx.display());
        let openssl = std::process::Command::new("openssl").arg("version").output();
        anyhow::ensure!(openssl.is_ok_and(|output| output.status.success()), "there is no openssl");
        Ok(())
    })?;
    steps.step("chromium", "as root on Debian it is installed; elsewhere set CHROMIUM", |_| {
        chromium = browser::find_or_install()?;
        Ok(())
    })?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = steps.command(cargo, "");
    build.args(["build", "--quiet", "--package", "guide"]);
    steps.run("the apps of the guide", "mend what the compiler names", &mut build)?;
    let mut command = npm(steps, FOLDER, &["run", "test:nginx", "--silent"]);
    command.env("CHROMIUM", chromium).env("NGINX", nginx);
    steps.run_tests("pages through nginx", "run again: cargo xtask nginx", &mut command)
}
