//! The project's own commands, behind `cargo xtask`.
//!
//! Each command is a list of steps for [`steps::Steps`], which announces and times them and stops
//! at the first that fails. Nothing here knows how Windlass works.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod browser;
mod cargo;
mod counts;
mod nginx;
mod steps;
mod web_client;

use steps::{Failed, Steps};

/// Build, check and measure Windlass.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must hold before a change is merged; the README's test command
    Test,
    /// The quick part of `test`: format, lints, dependency directions
    Check,
    /// Rebuild the bundled web client, web-client/dist/windlass.js
    Bundle,
    /// Only the model check of the jobs' races
    Loom,
    /// Only the browser tests, in one engine; `test` runs them in Chromium
    Browser {
        /// Debian's packages: firefox-esr; webkit2gtk-driver, libwebkit2gtk-4.1-0 and xvfb
        #[arg(long, value_enum, default_value = "chromium")]
        engine: browser::Engine,
    },
    /// The guide's configurations in a real nginx, before a real app; needs Debian's nginx-light
    Nginx,
    /// Kill the demo with `kill -9` at random moments, again and again; `test` does so for 20 rounds
    Crash {
        /// How many rounds, each with a seed of its own
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        /// Only the round of this seed
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Drive the fuzz targets by mutating their corpus: `fuzz --minutes 10 session`
    Fuzz {
        /// Passed on: a target, `--minutes`, `--seed`, `--input`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Measure against the budgets, in release; exits 1 when a figure falls short
    Bench {
        /// Which bench, for example `counter`
        name: String,
        /// Passed on to the bench
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
}

fn main() -> ExitCode {
    let mut steps = Steps::new();
    let (outcome, is_test) = match Cli::parse().command {
        Command::Test => (test(&mut steps), true),
        Command::Check => (check(&mut steps), false),
        Command::Bundle => (web_client::bundle(&mut steps), false),
        Command::Loom => (cargo::loom(&mut steps), true),
        Command::Browser { engine } => (browser::test(&mut steps, engine), true),
        Command::Nginx => (nginx::test(&mut steps), true),
        Command::Crash { rounds, seed } => (cargo::crash(&mut steps, rounds, seed), true),
        Command::Fuzz { options } => return cargo::fuzz(&options),
        // A bench prints JSON lines and nothing else on stdout, so that they can be piped.
        Command::Bench { name, options } if name == "page" => return browser::bench(&options),
        Command::Bench { name, options } => return cargo::bench(&name, &options),
    };
    steps.close(is_test);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn check(steps: &mut Steps) -> Result<(), Failed> {
    cargo::format(steps)?;
    cargo::lints(steps)?;
    cargo::architecture(steps)
}

fn test(steps: &mut Steps) -> Result<(), Failed> {
    cargo::format(steps)?;
    cargo::lints(steps)?;
    cargo::docs(steps)?;
    cargo::tests(steps)?;
    cargo::doctests(steps)?;
    cargo::loom(steps)?;
    web_client::test(steps)?;
    browser::test(steps, browser::Engine::Chromium)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_the_name_of_a_bench_reach_it() {
        let cli = Cli::try_parse_from(["cargo xtask", "bench", "counter", "--pairs", "3"]).unwrap();
        let Command::Bench { name, options } = cli.command else { panic!("not a bench") };
        assert_eq!((name.as_str(), options), ("counter", vec!["--pairs".to_owned(), "3".to_owned()]));
    }
}
