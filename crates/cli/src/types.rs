//! `windlass types`: the app's Rust types become a `.d.ts`, or the file that is there is compared with them.
//!
//! The app writes the file itself: it is run with `WINDLASS_TYPES` in its environment, and ends instead of serving.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use clap::Args;

/// Writes the TypeScript declarations of an app: its state, actions, fields and events
///
/// The app calls `App::typed`, and depends on `windlass` with the feature `types`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    source: Source,
    /// The file to write
    #[arg(short, long, default_value = "app.d.ts", value_name = "FILE")]
    output: PathBuf,
    /// Write nothing; end with 1 when the file is not what the app would write
    #[arg(long)]
    check: bool,
}

/// Which app it is.
#[derive(Args, Clone)]
pub(crate) struct Source {
    /// The package of the app; the one of this folder by default
    #[arg(short, long, value_name = "NAME")]
    package: Option<String>,
    /// The binary of the package, when it has several
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// An example of the package
    #[arg(long, value_name = "NAME", conflicts_with = "bin")]
    example: Option<String>,
    /// The features of the package to build it with
    #[arg(long, value_name = "FEATURES")]
    features: Option<String>,
    /// Where the package's Cargo.toml is
    #[arg(long, value_name = "FILE")]
    manifest_path: Option<PathBuf>,
    /// An app that is built already, in the place of a package
    #[arg(long, value_name = "FILE", conflicts_with_all = ["package", "bin", "example", "features", "manifest_path"])]
    program: Option<PathBuf>,
}

pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Options { source, output, check }: &Options) -> Result<String, String> {
    let types = source.types()?;
    let path = output.display();
    let known = std::fs::read_to_string(output).unwrap_or_default();
    if known == types {
        return Ok(format!("{path} is current"));
    }
    if *check {
        let difference = first_difference(&known, &types);
        return Err(format!("{path} is not what the app would write: {difference}; run `windlass types` again"));
    }
    std::fs::write(output, types).map_err(|error| format!("{path} cannot be written: {error}"))?;
    Ok(format!("wrote {path}"))
}

impl Source {
    /// The app's declarations, by running it.
    pub(crate) fn types(&self) -> Result<String, String> {
        let folder = Folder::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let path = folder.0.join("app.d.ts");
        let mut command = self.command();
        let name = command.get_program().to_string_lossy().into_owned();
        // What cargo and the app say on standard error is seen as they say it; the rest is not this command's.
        let run = command.env(VARIABLE, &path).stdin(Stdio::null()).stdout(Stdio::null()).status();
        let status = run.map_err(|error| format!("{name} cannot be run: {error}"))?;
        written(&path).ok_or_else(|| match status.success() {
            true => "the app ended without writing its types: does it call `serve`, `bind` or `build`?".to_owned(),
            false => "the app has not told its types; what it said is above".to_owned(),
        })
    }

    fn command(&self) -> Command {
        if let Some(program) = &self.program {
            return Command::new(program);
        }
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["run", "--quiet"]);
        let options = [
            ("--package", &self.package),
            ("--bin", &self.bin),
            ("--example", &self.example),
            ("--features", &self.features),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                command.arg(option).arg(value);
            }
        }
        if let Some(path) = &self.manifest_path {
            command.arg("--manifest-path").arg(path);
        }
        command
    }
}

/// A folder that nobody else has made, and that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = std::env::temp_dir().join(format!("windlass-types-{}-{}", std::process::id(), since.as_nanos()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn written(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().filter(|text| !text.is_empty())
}

fn first_difference(known: &str, types: &str) -> String {
    if known.is_empty() {
        return "it is not there".to_owned();
    }
    let (mut ours, mut theirs) = (types.lines(), known.lines());
    for line in 1.. {
        match (theirs.next(), ours.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return format!("line {line} is `{}`, not `{}`", a.unwrap_or_default(), b.unwrap_or_default()),
        }
    }
    "it ends otherwise".to_owned()
}

/// What tells the app to write its types instead of serving.
const VARIABLE: &str = "WINDLASS_TYPES";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told_with_its_line() {
        assert_eq!(first_difference("", "a"), "it is not there");
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), "line 2 is `b`, not `c`");
        assert_eq!(first_difference("a\n", "a\nc\n"), "line 2 is ``, not `c`");
        assert_eq!(first_difference("a", "a\n"), "it ends otherwise");
    }
}
