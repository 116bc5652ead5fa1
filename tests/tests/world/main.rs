//! The worlds: the session core with clients, a network and a time that are all chosen by a seed.
//!
//! Each world lives under its own faults, comes to rest, and is held to the promises of the README: nothing is lost,
//! nothing happens twice, everybody sees the same. A world that fails prints the line that lives it again;
//! `WINDLASS_TRACE=1` prints what happened in it, `WINDLASS_WORLDS=N` lives more of them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod app;
mod dialect;
mod disk;
mod durable;
mod host;
mod judge;
mod link;
mod page;
mod plant;
mod random;
mod rest;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use crate::judge::Broken;
use crate::plant::{Plant, Planted};
use crate::world::World;

/// Lives one world.
fn live(seed: u64, planted: Planted) -> Result<(), Broken> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload().downcast_ref::<String>().map(String::as_str);
            if text.or(panic.payload().downcast_ref::<&str>().copied()) != Some(app::PLANNED) {
                usual(panic);
            }
        }));
    });
    app::begin();
    let trace = std::env::var_os("WINDLASS_TRACE").is_some();
    World::new(seed, planted, trace).run()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// ONE-OWNER ATOMIC CONVERGE EXACTLY-ONCE RESUME EVENTS ONE-END BOUNDED NO-SILENCE
#[test]
fn every_world_keeps_every_promise() {
    if let Some(seed) = number("WINDLASS_SEED") {
        if let Err(Broken { promise, story }) = live(seed, Planted::default()) {
            panic!("{promise} is broken in world {seed}: {story}");
        }
        return;
    }
    let worlds = number("WINDLASS_WORLDS").unwrap_or(WORLDS);
    let failed = search(0..worlds, Planted::default(), SHOWN_MAX);
    let lines = failed.iter().map(|(seed, Broken { promise, story })| {
        format!(
            "{promise} is broken in world {seed}: {story}\n  \
             WINDLASS_SEED={seed} cargo test -p windlass-tests --test world -- --nocapture\n"
        )
    });
    assert!(failed.is_empty(), "{}", lines.collect::<String>());
}

/// Each bug breaks the promise beside it, and the judge says so within few worlds.
#[test]
fn every_planted_bug_is_caught_by_its_promise() {
    let plants = [
        (Plant::DropFrame, "NUMBERED"),
        (Plant::RepeatDelta, "NUMBERED"),
        (Plant::SwapFrames, "NUMBERED"),
        (Plant::HalfDelta, "CONVERGE"),
        (Plant::AlterOp, "CONVERGE"),
        (Plant::AlterSnapshot, "CONVERGE"),
        (Plant::LoseEvent, "EVENTS"),
        (Plant::RepeatEvent, "EVENTS"),
        (Plant::MiscountLost, "EVENTS"),
        (Plant::ForgeAck, "NO-SILENCE"),
        (Plant::ForgeOutcome, "NO-SILENCE"),
        (Plant::LoseOutcome, "NO-SILENCE"),
        (Plant::DoTwice, "EXACTLY-ONCE"),
        (Plant::DoOther, "NO-SILENCE"),
        (Plant::ForgeRoom, "BOUNDED"),
        (Plant::LoseUpdate, "ATOMIC"),
        (Plant::EndTwice, "ONE-END"),
        (Plant::HideEnd, "CONVERGE"),
        (Plant::Revive, "ONE-END"),
        (Plant::ForgetPending, "NO-SILENCE"),
        (Plant::ClaimSeen, "SEEN"),
        (Plant::HideForgotten, "EXACTLY-ONCE"),
        (Plant::LoseLost, "HOOKS"),
        (Plant::SkipDedupe, "EXACTLY-ONCE"),
        (Plant::SaveBeforeApply, "EXACTLY-ONCE"),
        (Plant::SaveEarly, "EXACTLY-ONCE"),
        (Plant::ReuseEpoch, "EXACTLY-ONCE"),
        (Plant::StartUnsaved, "OUTLIVES"),
        (Plant::DropToken, "RESUME"),
        (Plant::IgnoreAhead, "CONVERGE"),
        (Plant::ShareSequence, "EXACTLY-ONCE"),
        (Plant::LateTick, "ONE-END"),
        (Plant::TakeOverItself, "TAKEOVER"),
    ];
    for (plant, promise) in plants {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for first in (0..PLANTED_WORLDS).step_by(PLANTED_STEP) {
            for (_, broken) in search(first..first + PLANTED_STEP as u64, plant.into(), PLANTED_STEP) {
                *by.entry(broken.promise).or_default() += 1;
            }
            if by.contains_key(promise) {
                break;
            }
        }
        println!("{plant:?}: {by:?}");
        assert!(by.contains_key(promise), "{plant:?} breaks {promise}, but of {PLANTED_WORLDS} worlds: {by:?}");
    }
}

/// Lives worlds on all cores until some have failed; the failures in the order of their seeds.
fn search(seeds: Range<u64>, planted: Planted, enough: usize) -> Vec<(u64, Broken)> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= enough {
                        return;
                    }
                    if let Err(broken) = live(seed, planted) {
                        failed.lock().unwrap().push((seed, broken));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    failed
}

const WORLDS: u64 = 10_000;
/// Worlds in which a planted bug has to show.
const PLANTED_WORLDS: u64 = 3_000;
/// Worlds that are lived before it is asked whether it has shown.
const PLANTED_STEP: usize = 50;
/// Failures that are shown; the first is rarely the one that says most.
const SHOWN_MAX: usize = 8;
