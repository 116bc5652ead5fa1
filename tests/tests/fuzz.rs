//! The fuzz targets on their corpus, and on what comes of it by a few thousand mutations.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;

use windlass_tests::fuzz::TARGETS;
use windlass_tests::fuzz::mutate::{Random, mutate, seeds, words};

const MUTATIONS: usize = 3_000;

/// What was found is here as well: an input that has failed once stays in the corpus.
#[test]
fn every_target_takes_every_seed_and_what_is_like_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let words = words(&std::fs::read_to_string(folder.join("dictionary.txt")).unwrap());
    assert!(words.len() > 20);
    for target in TARGETS {
        let seeds = seeds(&folder.join("corpus"), target.name).unwrap();
        assert!(seeds.len() > 1, "{} has no corpus", target.name);
        for seed in &seeds {
            (target.run)(seed);
        }
        let mut random = Random::new(1);
        for nth in 0..MUTATIONS {
            let input = mutate(&mut random, &seeds, &words);
            if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
                panic!("{} fails at mutation {nth}: {:?}", target.name, input.escape_ascii().to_string());
            }
        }
    }
}

/// cargo-fuzz finds an entry point for each target.
#[test]
fn every_target_has_an_entry_point() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let path = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{path} is not in fuzz/Cargo.toml");
        let source = std::fs::read_to_string(folder.join(&path)).unwrap();
        assert!(source.contains(&format!("\"{}\"", target.name)), "{path} calls another target");
    }
}
