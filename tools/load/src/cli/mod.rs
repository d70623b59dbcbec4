//! What can be asked for, and the doing of it.

mod mix;
mod options;
mod scenes;
mod show;
mod values;

use crate::conductor::{self, Section};
use crate::desk::Desk;
use crate::job::Job;
use crate::outcome::{MIX, Outcome, ServerUse};
use crate::search::{self, Search};
use crate::threshold::{self, Threshold};
use clap::{Args, Parser, Subcommand};
use options::{Asked, Broadcast, Echo, Idle, Relay, Spectate};
use scenes::{Arena, Churn, Hostile, Overload, Slow, Storm};
use show::Watcher;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::Duration;

/// Loads a WebSocket relay and checks what comes back
///
/// Exits with 0 when everything came, once and in order, and every --expect held; with 1 when something
/// was lost, repeated, out of order or changed, a connection ended, or a bound was broken; with 2 when it
/// could not be run.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[expect(clippy::large_enum_variant, reason = "there is one, for as long as the process runs")]
#[derive(Debug, Subcommand)]
enum Task {
    #[command(flatten)]
    Scenario(Scenario),
    /// Several loads at the same time, from a TOML file with a `[[load]]` section for each
    ///
    /// The keys of a section are the options of its scenario; mix.sample.toml shows how.
    Mix(Mix),
    /// A share of a run, given on standard input by another process of this program
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Hold connections that do nothing, and say what each costs the server
    Idle(Idle),
    /// Rooms in which everyone sends to everyone
    Relay(Relay),
    /// One room, in which one sends and all others hear
    Broadcast(Broadcast),
    /// Each connection sends and waits for its own message: round trips
    ///
    /// One after the other with --depth on their way, or with --hz at fixed times.
    Echo(Echo),
    /// Rooms in which one member each speaks and spectators watch by Server-Sent Events, with
    /// players in other rooms beside them
    ///
    /// Compare a run with one that has `--spectators 0`: that is what an audience costs the players.
    Spectate(Spectate),
    /// Real game traffic: members of rooms of kind arena send inputs and follow the state
    ///
    /// Some keep a copy of what they see and check its hash at every tick, the others count.
    Arena(Arena),
    /// Many connections at once, or many sessions that come back at once
    ///
    /// By --rate, or as many as may be in flight. With --resume sessions play, all their sockets are reset
    /// at the same moment, and nothing may be missing when they are back.
    Storm(Storm),
    /// Members come and go all the time while others send
    ///
    /// They leave, close, or are cut off and come back. Whoever is there has to hear everything, and each
    /// room's list has to be who is there.
    Churn(Churn),
    /// A share of the members reads late or not at all
    ///
    /// The others have to get everything in time, and the slow ones what the delivery class promises.
    Slow(Slow),
    /// Everybody sends more than the server can do
    ///
    /// Whoever falls behind has to get what the delivery class promises, and everything be accounted for. In a mix
    /// with `echo` it says how long the server needs until it is itself again.
    Overload(Overload),
    /// Garbage and floods beside players who must not feel them; for a server on this machine alone
    Hostile(Hostile),
}

#[derive(Debug, Args)]
struct Mix {
    /// The file
    file: PathBuf,
    /// A key that holds in every section that has it, whatever the file says, as in
    /// url=ws://10.0.0.5:7700; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    set: Vec<(String, String)>,
    /// What has to be true of all loads together in the end, as in "cores<1.5"; may be given again
    #[arg(long, value_name = "THRESHOLD", value_parser = threshold::parse_all)]
    expect: Vec<threshold::List>,
    #[command(flatten)]
    asked: Asked,
}

/// A scenario with everything that was asked for.
#[derive(Debug)]
struct Order {
    /// All of it; it is shared among processes when it begins.
    job: Job,
    processes: usize,
    expect: Vec<Threshold>,
    search: Option<Search>,
}

/// Does what the process's arguments say. Returns whether everything was as it should be; an error
/// says why it could not be run.
pub(crate) fn run() -> Result<bool, String> {
    match Cli::parse().task {
        Task::Worker => work(),
        Task::Mix(mix) => {
            show::prepare(&mix.asked)?;
            let outcome = mix.run()?;
            show::show(&outcome, &mix.asked)?;
            Ok(outcome.passed())
        }
        Task::Scenario(scenario) => {
            let (order, asked) = scenario.order()?;
            show::prepare(asked)?;
            let mut outcome = match &order.search {
                None => one(order.job.name(), &order.job, order.processes, asked)?,
                Some(search) => search::run(search, &order.job, |job, hz| {
                    let title = format!("{} at {hz:.1} Hz", job.name());
                    one(&title, job, order.processes, asked)
                })?,
            };
            threshold::judge(&order.expect, &mut outcome);
            show::show(&outcome, asked)?;
            Ok(outcome.passed())
        }
    }
}

/// A share of a run that another process started.
fn work() -> Result<bool, String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| format!("standard input: {error}"))?;
    let job: Job = serde_json::from_str(&line)
        .map_err(|error| format!("a worker is started by this program alone: {error}"))?;
    let desk = Desk::Lines;
    desk.done(job.run(&desk));
    Ok(true)
}

/// Runs one scenario alone.
fn one(title: &str, job: &Job, processes: usize, asked: &Asked) -> Result<Outcome, String> {
    let section =
        Section { name: job.name().to_owned(), jobs: job.split(processes)?, after: Duration::ZERO };
    let (outcomes, _) = conduct(title, &[section], asked)?;
    let mut outcome = outcomes.into_iter().next().ok_or("nothing was run")?;
    outcome.judge();
    Ok(outcome)
}

/// Runs sections at the same time and shows how they come along.
fn conduct(
    title: &str,
    sections: &[Section],
    asked: &Asked,
) -> Result<(Vec<Outcome>, Option<ServerUse>), String> {
    let mut watcher = Watcher::new(title, sections, asked);
    let found = conductor::run(sections, asked.server()?, &mut |tick| watcher.see(tick));
    watcher.finish();
    found
}

impl Mix {
    fn run(&self) -> Result<Outcome, String> {
        let name = self.file.display();
        let text =
            std::fs::read_to_string(&self.file).map_err(|error| format!("{name}: {error}"))?;
        let loads = mix::read(&name.to_string(), &text, &self.set)?;
        let sections: Vec<_> = loads.iter().map(|load| load.section.clone()).collect();
        let (parts, server) = conduct(MIX, &sections, &self.asked)?;
        let mut sum = Outcome::new(MIX);
        sum.set("file", name.to_string().as_str());
        for (mut part, load) in parts.into_iter().zip(&loads) {
            // A section's share of the server cannot be told from the others'.
            part.server = None;
            part.judge();
            threshold::judge(&load.expect, &mut part);
            sum.take_in(part);
        }
        sum.server = server;
        for list in &self.expect {
            threshold::judge(&list.0, &mut sum);
        }
        Ok(sum)
    }
}

impl Scenario {
    fn order(&self) -> Result<(Order, &Asked), String> {
        match self {
            Self::Idle(idle) => Ok((idle.order()?, &idle.asked)),
            Self::Relay(relay) => Ok((relay.order()?, &relay.asked)),
            Self::Broadcast(broadcast) => Ok((broadcast.order()?, &broadcast.asked)),
            Self::Echo(echo) => Ok((echo.order()?, &echo.asked)),
            Self::Spectate(spectate) => Ok((spectate.order()?, &spectate.asked)),
            Self::Arena(arena) => Ok((arena.order()?, &arena.asked)),
            Self::Storm(storm) => Ok((storm.order()?, &storm.asked)),
            Self::Churn(churn) => Ok((churn.order()?, &churn.asked)),
            Self::Slow(slow) => Ok((slow.order()?, &slow.asked)),
            Self::Overload(overload) => Ok((overload.order()?, &overload.asked)),
            Self::Hostile(hostile) => Ok((hostile.order()?, &hostile.asked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
