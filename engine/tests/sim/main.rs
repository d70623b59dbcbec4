//! The simulator: runs the engines of a node through thousands of random mixes of traffic and
//! faults, with clients that check everything they are told against the rooms' full logs.
//!
//! * `MADANG_SIM_SEEDS=n`: how many seeds (default 20,000).
//! * `MADANG_SIM_SEED=n`, `MADANG_SIM_STEPS=0,3,7`: replays one seed, with only those steps;
//!   `MADANG_SIM_BUG=DoubleApply` with a planted bug. Prints all that happens (`--nocapture`).

mod access;
mod backend;
mod check;
mod commands;
mod plan;
mod reach;
mod run;
mod shrink;
#[path = "../support/mod.rs"]
mod support;

use madang_engine::bugs::Bug;
use plan::Plan;
use run::{Outcome, run, run_telling};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SEEDS: u64 = 20_000;
const THREADS: u64 = 2;
/// A planted bug has to be found within this many seeds.
const BUG_SEEDS: u64 = 8_000;
/// Every so many seeds one is run a second time.
const TWICE_EVERY: u64 = 64;

#[test]
fn every_seed_holds_and_every_situation_comes_up() {
    if let Some(seed) = number("MADANG_SIM_SEED") {
        return replay(seed);
    }
    let seeds = number("MADANG_SIM_SEEDS").unwrap_or(SEEDS);
    let is_failing = AtomicBool::new(false);
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let is_failing = &is_failing;
                scope.spawn(move || run_share(thread, seeds, is_failing))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a run never panics"))
            .collect::<Vec<_>>()
    });
    let mut reached = BTreeMap::new();
    for (share, failure) in results {
        if let Some(seed) = failure {
            panic!("{}", explained(seed));
        }
        add(&mut reached, share);
    }
    for (situation, count) in &reached {
        println!("{count:>9} {situation}");
    }
    let missing: Vec<_> =
        reach::REQUIRED.iter().filter(|situation| !reached.contains_key(*situation)).collect();
    assert!(missing.is_empty() || seeds < 5_000, "never came up: {missing:?}");
}

#[test]
fn every_planted_bug_is_found() {
    if number("MADANG_SIM_SEED").is_some() {
        return;
    }
    let next = AtomicU64::new(0);
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut found = Vec::new();
                    while let Some(bug) =
                        Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        found.push((*bug, find(*bug)));
                    }
                    found
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a run never panics"))
            .collect::<Vec<_>>()
    });
    let mut missed = Vec::new();
    for (bug, caught) in found {
        match caught {
            Some((seed, why)) => println!("{bug:?}: seed {seed}: {why}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found within {BUG_SEEDS} seeds: {missed:?}");
}

/// Runs every second seed. Returns what came up and the first seed that failed.
fn run_share(
    thread: u64,
    seeds: u64,
    is_failing: &AtomicBool,
) -> (BTreeMap<&'static str, u64>, Option<u64>) {
    let mut reached = BTreeMap::new();
    for seed in (thread..seeds).step_by(THREADS as usize) {
        if is_failing.load(Ordering::Relaxed) {
            break;
        }
        let plan = Plan::new(seed, None);
        let outcome = run_all(&plan);
        let differs = seed % TWICE_EVERY == 0 && run_all(&plan).trace != outcome.trace;
        if outcome.violation.is_some() || differs {
            is_failing.store(true, Ordering::Relaxed);
            return (reached, Some(seed));
        }
        add(&mut reached, outcome.reached);
    }
    (reached, None)
}

fn run_all(plan: &Plan) -> Outcome {
    let steps: Vec<usize> = (0..plan.steps.len()).collect();
    run(plan, &steps)
}

fn add(sum: &mut BTreeMap<&'static str, u64>, share: BTreeMap<&'static str, u64>) {
    for (situation, count) in share {
        *sum.entry(situation).or_default() += count;
    }
}

/// The first seed that shows a planted bug, and how it shows.
fn find(bug: Bug) -> Option<(u64, String)> {
    (0..BUG_SEEDS).find_map(|seed| Some((seed, run_all(&Plan::new(seed, Some(bug))).violation?)))
}

/// What went wrong with a seed, in as few steps as it takes.
fn explained(seed: u64) -> String {
    let plan = Plan::new(seed, None);
    let Some(why) = run_all(&plan).violation else {
        return format!("seed {seed} gave two different traces");
    };
    let steps = shrink::shrink(&plan);
    let least = run(&plan, &steps).violation.unwrap_or_default();
    let mut text = format!("seed {seed}: {why}\nwith the least steps: {least}\n");
    for index in &steps {
        let _ = writeln!(text, "  {index}: {:?}", plan.steps[*index]);
    }
    let list: Vec<String> = steps.iter().map(ToString::to_string).collect();
    let _ = write!(text, "replay: MADANG_SIM_SEED={seed} MADANG_SIM_STEPS={}", list.join(","));
    text
}

fn replay(seed: u64) {
    let bug = std::env::var("MADANG_SIM_BUG").ok();
    let bug = bug.and_then(|name| Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name));
    let plan = Plan::new(seed, bug);
    let steps = match std::env::var("MADANG_SIM_STEPS") {
        Ok(list) => list.split(',').filter_map(|index| index.trim().parse().ok()).collect(),
        Err(_) => (0..plan.steps.len()).collect::<Vec<usize>>(),
    };
    println!("{} shards, {:?}, {:?}", plan.shards, plan.ending, plan.config);
    let outcome = run_telling(&plan, &steps, true);
    println!("trace {:016x}\n{:#?}", outcome.trace, outcome.reached);
    assert!(outcome.violation.is_none(), "{}", outcome.violation.unwrap_or_default());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
