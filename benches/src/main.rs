//! Measures Windlass against its budgets, each with a baseline in the same run.
//!
//! `cargo xtask bench <name>` builds this in release and runs it. A bench prints one JSON line a
//! figure on stdout and what it does meanwhile on stderr; the exit code is 1 when a figure falls
//! short. The servers that are measured are child processes of this same binary.

use std::process::ExitCode;

mod allocations;
mod bare;
mod broadcast;
mod cell;
mod child;
mod commands;
mod counter;
mod durable;
mod idle;
mod jobs;
mod machine;
mod pairs;
mod peer;
mod report;
mod slow;
mod slow_many;
mod storm;
mod sync;

use report::Report;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A generator asks for more than a page may.
fn unhurried() -> windlass::Limits {
    windlass::Limits {
        messages_per_second: u32::MAX,
        bytes_per_second: u32::MAX,
        actions_per_second: u32::MAX,
        ..windlass::Limits::default()
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["counter"] => counter::run(),
        ["sync"] => sync::run(),
        ["cell"] => cell::run(),
        ["idle"] => idle::run(),
        ["broadcast-own"] => broadcast::run(),
        ["slow"] => slow::run(),
        ["storm"] => storm::run(),
        ["jobs"] => jobs::run(),
        ["commands"] => commands::run(),
        ["durable"] => durable::run(),
        // What `child::Server` starts: not for people.
        ["serve", role, core] => child::serve(role, core).map(|()| Report::default()),
        _ => {
            eprintln!("benches: counter, cell, sync, idle, broadcast-own, slow, jobs, commands, durable, storm");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(report) if report.is_within_budget() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench could not be run: {error}");
            ExitCode::from(2)
        }
    }
}
