//! `windlass new` as a person runs it: what it makes compiles, tests itself, and serves its page.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn windlass(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_windlass")).args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_new_project_compiles_tests_itself_and_serves_its_page() {
    let within = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new");
    let _ = std::fs::remove_dir_all(&within);
    std::fs::create_dir_all(&within).unwrap();
    let (crate_folder, within_text) = (root().join("crates/windlass"), within.to_str().unwrap());
    let arguments = ["new", "my-shop", "--within", within_text, "--windlass", crate_folder.to_str().unwrap()];
    let output = windlass(&arguments);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&windlass(&arguments)).contains("my-shop cannot be made"), "it overwrites nothing");

    let project = within.join("my-shop");
    // Here it stands inside another workspace, which a person's does not.
    let manifest = project.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text + "\n[workspace]\n").unwrap();
    // The versions that are built already, and none from elsewhere.
    std::fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_BIN_EXE_windlass")).parent().unwrap().parent().unwrap();
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).arg("--offline").current_dir(&project).env("CARGO_TARGET_DIR", target);
        command
    };
    let output = cargo(&["test", "--quiet"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("2 passed"), "{}", told(&output));
    let output = cargo(&["build", "--quiet"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "without a warning: {}", told(&output));

    let page = project.join("page");
    let output = windlass(&["check", page.to_str().unwrap(), "--types", project.join("app.d.ts").to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));

    let mut program = Command::new(target.join("debug/my-shop"));
    let served = program.env("WINDLASS_ADDR", "127.0.0.1:0").stdout(Stdio::piped()).current_dir(&project).spawn();
    let mut served = Running(served.unwrap());
    let mut line = String::new();
    BufReader::new(served.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}")).to_owned();
    let index = get(&address, "/");
    assert!(index.contains("<h1>my-shop</h1>") && !index.contains("APP"), "{index}");
    assert!(get(&address, "/windlass/windlass.js").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/style.css").contains("text/css"));
}

#[test]
fn what_cannot_be_a_project_is_told() {
    for (arguments, error) in [
        (&["new", "2shop"][..], "\"2shop\" cannot be a package"),
        (&["new", "serde"], "\"serde\" cannot be a package"),
        (&["new", "shop", "--windlass", "/nowhere"], "/nowhere: "),
        (&["new", "shop", "--within", "/nowhere"], "/nowhere/shop cannot be made: "),
    ] {
        let output = windlass(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).starts_with(&format!("error: {error}")), "{}", told(&output));
    }
}
