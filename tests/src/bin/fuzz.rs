//! Drives the fuzz targets by mutating their corpus, on any compiler: `cargo xtask fuzz --minutes 10 session`.
//!
//! An input that fails is written into `fuzz/artifacts/`; with `--input FILE` it runs again.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use windlass_tests::fuzz::mutate::{Random, mutate, seeds, words};
use windlass_tests::fuzz::{TARGETS, Target, record_of, target};

/// Drives the fuzz targets.
#[derive(Parser)]
struct Options {
    /// Which target; all of them without it
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// What all inputs follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this input alone
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
    /// Write the records that the sessions of this folder leave behind into another, as a corpus of `record`
    #[arg(long, num_args = 2, value_names = ["SESSIONS", "RECORDS"])]
    records: Option<Vec<PathBuf>>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some([sessions, records]) = options.records.as_deref() {
        return match write_records(sessions, records) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
        };
    }
    let targets = match &options.target {
        None => TARGETS.to_vec(),
        Some(name) => match target(name) {
            Some(target) => vec![target],
            None => {
                eprintln!("there is no target {name}; there are {}", TARGETS.map(|target| target.name).join(", "));
                return ExitCode::from(2);
            }
        },
    };
    let ran = targets.into_iter().map(|target| match &options.input {
        Some(file) => std::fs::read(file).map(|input| (target.run)(&input)).map(|()| true),
        None => drive(target, &options),
    });
    match ran.collect::<Result<Vec<_>, _>>() {
        Ok(ran) if ran.iter().all(|ok| *ok) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs a target for its time, or until it fails. Whether it held.
fn drive(target: Target, options: &Options) -> std::io::Result<bool> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let seeds = seeds(&folder.join("corpus"), target.name)?;
    let words = words(&std::fs::read_to_string(folder.join("dictionary.txt"))?);
    let mut random = Random::new(options.seed);
    let end = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    let (mut ran, mut slowest) = (0_u64, Duration::ZERO);
    while Instant::now() < end {
        let input = mutate(&mut random, &seeds, &words);
        let began = Instant::now();
        if catch_unwind(|| (target.run)(&input)).is_err() {
            let file = folder.join("artifacts").join(format!("{}-{}-{ran}", target.name, options.seed));
            std::fs::create_dir_all(folder.join("artifacts"))?;
            std::fs::write(&file, &input)?;
            println!("{}: FAILED after {ran}: {}", target.name, String::from_utf8_lossy(&input));
            println!("again: cargo xtask fuzz {} --input {}", target.name, file.display());
            return Ok(false);
        }
        slowest = slowest.max(began.elapsed());
        ran += 1;
    }
    println!("{}: {ran} inputs, the slowest took {slowest:?}", target.name);
    Ok(true)
}

/// The record of each session, under the session's name.
fn write_records(sessions: &Path, records: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(records)?;
    for entry in std::fs::read_dir(sessions)? {
        let entry = entry?;
        if let Some(record) = record_of(&std::fs::read(entry.path())?) {
            std::fs::write(records.join(entry.file_name()), record)?;
        }
    }
    Ok(())
}
