//! Measures Madang beside its peers: the same load, the same tool, a fresh server for every run, servers on one core and
//! the tool on another, everybody in turn and in another order each round. Prints one table and writes JSON
//! with every run and an SVG. `benches/peers/run.sh` builds and installs what it needs.

mod candidates;
mod cells;
mod generator;
mod hog;
mod picture;
mod results;
mod server;

use candidates::Places;
use cells::{Cell, Scale};
use clap::Parser;
use generator::{Machine, Run};
use results::Table;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// Measures Madang beside its peers
///
/// Exits with 0 when every run was whole, with 1 when one was not, with 2 when it could not begin.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Few connections for a short time, one round, no cores: whether everything works, not how fast
    #[arg(long)]
    quick: bool,
    /// Cells to measure, by id [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CELL")]
    only: Vec<String>,
    /// Servers to measure, by id [default: all that take part in a cell]
    #[arg(long, value_delimiter = ',', value_name = "SERVER")]
    who: Vec<String>,
    /// How often everything is measured [default: 3; 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// How long messages are sent in a run, in seconds [default: 5; 0.4 with --quick]
    #[arg(long)]
    seconds: Option<f64>,
    /// Cores of the server, as taskset takes them
    #[arg(long, default_value = "0")]
    server_cores: String,
    /// Cores of the load tool
    #[arg(long, default_value = "1")]
    load_cores: String,
    /// Processes of the load tool; more than one only helps with as many cores
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    load_processes: u16,
    /// Where results go and where run.sh puts what it builds [default: peers beside this program's directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Say which cells and servers there are
    #[arg(long)]
    list: bool,
    /// Take half of a core, as the cells do that look for the highest rate
    #[arg(long, hide = true)]
    hog: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.hog {
        hog::run();
        return ExitCode::SUCCESS;
    }
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether every run was whole.
fn run(options: &Options) -> Result<bool, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let own = own.parent().ok_or("this program is nowhere")?.to_owned();
    let built = match (&options.dir, own.parent()) {
        (Some(dir), _) => dir.clone(),
        (None, Some(target)) => target.join("peers"),
        (None, None) => return Err("say where results go with --dir".to_owned()),
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let debug = own.ends_with("debug");
    let places = Places { own, built, sources, debug };
    let logs = places.built.join("logs");
    fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let cores = (options.server_cores.as_str(), options.load_cores.as_str());
    let machine = Machine {
        places: &places,
        cores: (!options.quick).then_some(cores),
        processes: options.load_processes.into(),
        logs: &logs,
    };
    let scale = Scale {
        quick: options.quick,
        seconds: options.seconds.unwrap_or(if options.quick { 0.4 } else { 5.0 }),
    };
    let mut tables = tables(options, &places)?;
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 }).into();
    let (mut whole, mut not_whole) = (0, 0);
    let began = SystemTime::now();
    for round in 0..rounds {
        for table in &mut tables {
            let takes_part = table.rows.len();
            for place in 0..takes_part {
                // Forwards, then backwards: who comes before whom is no advantage.
                let place = if round % 2 == 0 { place } else { takes_part - 1 - place };
                let row = &mut table.rows[place];
                let run = generator::run(table.cell, row.candidate, scale, &machine, round);
                tell(table.cell, row.candidate.id, &run);
                *(if run.refused.is_none() { &mut whole } else { &mut not_whole }) += 1;
                row.runs.push(run);
            }
        }
        // Each round, so that nothing is lost when a long measurement is broken off.
        write(&places.built, &tables, began, options)?;
    }
    if !options.quick {
        println!("\n{}", results::markdown(&tables));
    }
    println!("{}", places.built.join("results.json").display());
    println!("{whole} passed, {not_whole} failed");
    Ok(not_whole == 0)
}

/// The cells and candidates that were asked for.
fn tables(options: &Options, places: &Places) -> Result<Vec<Table>, String> {
    for id in &options.only {
        cells::find(id).ok_or_else(|| format!("--only {id}: there is no such cell (--list)"))?;
    }
    for id in &options.who {
        candidates::find(id)
            .ok_or_else(|| format!("--who {id}: there is no such server (--list)"))?;
    }
    let is_asked =
        |asked: &[String], id: &str| asked.is_empty() || asked.iter().any(|one| one == id);
    let tables: Vec<_> = cells::ALL
        .iter()
        .filter(|cell| is_asked(&options.only, cell.id))
        .map(|cell| {
            let who: Vec<_> =
                cell.who.iter().copied().filter(|id| is_asked(&options.who, id)).collect();
            Table { cell, rows: results::rows(&who, |candidate| candidate.version(places)) }
        })
        .filter(|table| !table.rows.is_empty())
        .collect();
    if tables.is_empty() {
        return Err("none of these servers takes part in any of these cells (--list)".to_owned());
    }
    // Before the first run: hours later is too late to learn that something is not installed.
    for row in tables.iter().flat_map(|table| &table.rows) {
        row.candidate.command(places)?;
    }
    Ok(tables)
}

/// One line for a run that is over.
fn tell(cell: &Cell, id: &str, run: &Run) {
    let figures: Vec<_> = run
        .figures
        .iter()
        .map(|(figure, value)| format!("{} {}", figure.title(), figure.show(*value)))
        .collect();
    let mark = if run.refused.is_none() { "ok" } else { "NOT" };
    let why = run.refused.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let limited = if run.is_limited { " [the load tool's limit]" } else { "" };
    let round = run.round + 1;
    println!("{mark:<3} {round} {:<18} {id:<20} {}{limited}{why}", cell.id, figures.join(", "));
}

fn write(dir: &Path, tables: &[Table], began: SystemTime, options: &Options) -> Result<(), String> {
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let seconds = began.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let results = json!({
        "began_unix_seconds": seconds,
        "quick": options.quick,
        "server_cores": options.server_cores,
        "load_cores": options.load_cores,
        "load_processes": options.load_processes,
        "machine": machine(),
        "cells": tables.iter().map(Table::json).collect::<Vec<_>>(),
    });
    put("results.json", format!("{results:#}\n"))?;
    put("results.md", results::markdown(tables))?;
    put("results.svg", picture::svg(tables))
}

/// What figures depend on.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    json!({
        "cpu": model.map(|model| model.trim_start_matches([' ', '\t', ':'])),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

fn list() {
    println!("cells (--only):");
    for cell in &cells::ALL {
        println!("  {:<18} {}\n{:21}{}", cell.id, cell.title, "", cell.who.join(","));
    }
    println!("servers (--who):");
    for candidate in &candidates::ALL {
        println!("  {:<20} {}", candidate.id, candidate.name);
    }
}
