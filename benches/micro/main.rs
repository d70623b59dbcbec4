//! Micro benchmarks: what one step on a message's way costs, in time and in allocations.
//!
//! Each [`Case`] is first done a few hundred times under a counting allocator, then timed by criterion;
//! at the end one table has both. Without `--bench` (that is how `cargo test` runs it) nothing is timed:
//! each case is done and its allocations are compared with what it may have.
//!
//! Deliberately absent: sockets and threads. What those cost is measured by `madang-load`.

mod case;
mod queues;
mod rooms;
mod socket;
mod state;
mod table;
mod timers;
mod wire;

use case::{Case, Count};
use criterion::Criterion;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Where criterion keeps what it measured, to compare the next run with.
const RESULTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/micro");

fn main() -> ExitCode {
    let cases = [
        wire::cases(),
        socket::cases(),
        queues::cases(),
        rooms::cases(),
        state::cases(),
        timers::cases(),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    if std::env::args().any(|argument| argument == "--bench") {
        measure(cases)
    } else {
        check(cases)
    }
}

/// Counts and times each case, and prints the table.
fn measure(cases: Vec<Case>) -> ExitCode {
    let mut criterion = Criterion::default()
        .output_directory(Path::new(RESULTS))
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(50)
        .configure_from_args();
    let mut rows = Vec::new();
    let mut broken = Vec::new();
    for mut case in cases {
        let count = case.count();
        broken.extend(case.complaint(count));
        case.time(&mut criterion);
        rows.extend(table::Row::of(&case, count, Path::new(RESULTS)));
    }
    criterion.final_summary();
    print!("{}", table::table(&rows));
    for complaint in &broken {
        eprintln!("{complaint}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does each case that the arguments do not leave out, and says what a test runner says.
fn check(cases: Vec<Case>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let is_wanted =
        |case: &Case| filters.is_empty() || filters.iter().any(|word| case.name().contains(*word));
    let (wanted, left_out): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(is_wanted);
    if has("--list") {
        for case in &wanted {
            println!("{}: test", case.name());
        }
        return ExitCode::SUCCESS;
    }
    // None of them is an ignored test.
    let (wanted, left_out) = if has("--ignored") {
        (Vec::new(), left_out.len() + wanted.len())
    } else {
        (wanted, left_out.len())
    };
    println!("\nrunning {} tests", wanted.len());
    let mut failures = Vec::new();
    let done = wanted.len();
    for mut case in wanted {
        let count = case.count();
        let complaint = case.complaint(count);
        let Count { allocations, bytes } = count;
        let verdict = if complaint.is_none() { "ok" } else { "FAILED" };
        println!("test {} ... {verdict} ({allocations} allocations, {bytes} B)", case.name());
        failures.extend(complaint);
    }
    for failure in &failures {
        println!("{failure}");
    }
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    let passed = done - failures.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {left_out} filtered out\n",
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
