//! The server of the tests of external commands: it runs one command, in a process of its own, which a test can kill.

use std::path::PathBuf;

use clap::Parser;
use windlass::Command;
use windlass::prelude::*;

#[derive(Clone, Default, Serialize)]
struct Hauler {
    ended: Option<String>,
}

/// The server of the tests of external commands.
#[derive(Parser)]
struct Options {
    /// What the shell runs.
    #[arg(long)]
    script: String,
    /// Where the command may leave files for the test.
    #[arg(long)]
    files: PathBuf,
    /// Where commands leave their names.
    #[arg(long)]
    runs: PathBuf,
}

#[tokio::main]
async fn main() -> Result {
    let options = Options::parse();
    let command = Command::new("sh").arg("-c").arg(options.script).env("FILES", options.files);
    App::new(Hauler::default)
        .command("haul", command)
        .command_folder(options.runs)
        .action("haul", |_: &mut Hauler, cx: &mut Cx<Hauler>, ()| {
            cx.command("haul", &())
                .on_status(|hauler, _cx, status: Status<serde_json::Value>| hauler.ended = Some(format!("{status:?}")))
                .start()
                .map(drop)
        })
        .serve("127.0.0.1:0")
        .await
}
