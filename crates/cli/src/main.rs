//! The `windlass` command. Each subcommand is a module of its own.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod duration;
mod load;
mod new;
mod proxy;
mod types;

/// Tools for apps that are built with Windlass.
#[derive(Parser)]
#[command(name = "windlass", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connect many sessions to an app and let each act, as so many pages would
    Load(load::Options),
    /// Put a bad network between a page and an app: delays, cuts, resets, silence
    Proxy(proxy::Options),
    Types(types::Options),
    Check(check::Options),
    New(new::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Load(options) => load::main(options).await,
        Command::Proxy(options) => proxy::main(options).await,
        Command::Types(options) => types::main(&options),
        Command::Check(options) => check::main(&options),
        Command::New(options) => new::main(&options),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
