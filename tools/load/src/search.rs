//! The highest rate at which an objective holds: raised by doubling until it fails, then narrowed down
//! between the last that held and the first that did not. A rate that fails is not always too high: a server
//! that writes what gathers in a turn may hold twice of it, with fewer system calls, so that some higher ones are
//! tried first.

use crate::job::Job;
use crate::outcome::{DELIVERIES, LATENCY, Outcome, Try};
use crate::threshold::{self, Threshold};

/// What is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) objective: Vec<Threshold>,
    pub(crate) from_hz: f64,
    /// How close the rate has to be found, as a part of it.
    pub(crate) precision: f64,
    pub(crate) tries_max: usize,
    /// Rates above the first that failed that are tried, each twice the one before.
    pub(crate) beyond: usize,
}

/// Tries rates; `run` runs a job, which has this rate. Returns the outcome of the last rate that held, or of the lowest tried
/// if none did, with all tries in it. An error says why one could not be run.
pub(crate) fn run(
    search: &Search,
    job: &Job,
    mut run: impl FnMut(&Job, f64) -> Result<Outcome, String>,
) -> Result<Outcome, String> {
    let mut tries: Vec<Try> = Vec::new();
    let mut best: Option<Outcome> = None;
    let mut lowest: Option<Outcome> = None;
    let mut range = Range::new();
    while tries.len() < search.tries_max {
        let Some(hz) = range.next(search) else { break };
        let job = job.at_hz(hz).ok_or("this scenario has no rate to find")?;
        let outcome = run(&job, hz)?;
        let found = tried(search, hz, &outcome);
        let is_held = found.held;
        let is_limited = found.generator_limited;
        tries.push(found);
        if is_held {
            range.held(hz);
            best = Some(outcome);
        } else {
            if best.is_none() {
                lowest = Some(outcome);
            }
            // At its own limit this tool says nothing of the server, and would not above it.
            range.failed(hz, is_limited, if is_limited { 0 } else { search.beyond });
        }
    }
    let is_found = best.is_some();
    let mut outcome = best.or(lowest).ok_or("no rate was tried")?;
    outcome.figures.insert("found_hz".to_owned(), range.held);
    if !is_found {
        outcome.fail(format!("the objective held at no rate, down to {} Hz", range.failed));
    }
    if range.is_limited {
        outcome.figures.insert("generator_limit_hz".to_owned(), range.failed);
        outcome.warn(
            "the search ended at the generator's own limit and not at the server's: use more \
             --processes and cores",
        );
    } else if range.failed.is_finite() {
        outcome.figures.insert("failed_hz".to_owned(), range.failed);
    } else {
        outcome.warn("no rate that was tried failed: the highest may be above (--tries)");
    }
    outcome.tries = tries;
    Ok(outcome)
}

fn tried(search: &Search, hz: f64, outcome: &Outcome) -> Try {
    let judged = threshold::found(&search.objective, outcome);
    let broken: Vec<_> =
        judged.iter().filter(|one| !one.held).map(|one| one.expected.clone()).collect();
    Try {
        hz,
        deliveries_per_second: outcome.per_second(DELIVERIES),
        latency: outcome.percentiles(LATENCY).unwrap_or_default(),
        reach: outcome.reach(),
        server_us_per_delivery: outcome
            .server_us_per_delivery()
            .map(|(user, system)| user + system),
        generator_limited: outcome.is_generator_limited(),
        held: broken.is_empty(),
        broken,
    }
}

/// Rates are not tried below this.
const HZ_MIN: f64 = 0.01;
/// Nor above this.
const HZ_MAX: f64 = 1e6;

/// The highest rate that held, the lowest above it that did not, and what is tried next.
#[derive(Clone, Copy, Debug)]
struct Range {
    held: f64,
    failed: f64,
    /// Whether this tool was at its limit at the one that failed.
    is_limited: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing failed above what held: twice that is next.
    Rise,
    /// Something failed; so many more rates are tried, each twice the last.
    Beyond { last: f64, left: usize },
    /// Between what held and what failed.
    Narrow,
}

impl Range {
    fn new() -> Self {
        Self { held: 0.0, failed: f64::INFINITY, is_limited: false, phase: Phase::Rise }
    }

    fn held(&mut self, hz: f64) {
        self.held = hz;
        if hz > self.failed {
            (self.failed, self.is_limited) = (f64::INFINITY, false);
            self.phase = Phase::Rise;
        }
    }

    /// A rate failed; at most so many above it are to be tried.
    fn failed(&mut self, hz: f64, is_limited: bool, beyond: usize) {
        if hz < self.failed {
            (self.failed, self.is_limited) = (hz, is_limited);
        }
        self.phase = match self.phase {
            Phase::Rise if self.held > 0.0 && beyond > 0 => {
                Phase::Beyond { last: hz, left: beyond }
            }
            Phase::Beyond { left, .. } if left.min(beyond) > 1 => {
                Phase::Beyond { last: hz, left: left - 1 }
            }
            _ => Phase::Narrow,
        };
    }

    /// The next rate to be tried; none when the highest is known.
    fn next(&self, search: &Search) -> Option<f64> {
        let hz = match self.phase {
            Phase::Rise if self.held == 0.0 => search.from_hz,
            Phase::Rise => self.held * 2.0,
            Phase::Beyond { last, .. } => last * 2.0,
            // The first was too much.
            Phase::Narrow if self.held == 0.0 => self.failed / 4.0,
            Phase::Narrow if self.failed <= self.held * (1.0 + search.precision) => return None,
            Phase::Narrow => (self.held * self.failed).sqrt(),
        };
        (HZ_MIN..=HZ_MAX).contains(&hz).then_some(hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, Entrance};
    use crate::fleet::Plan;
    use crate::outcome::{Generator, LOST, Setting};
    use crate::traffic::{self, Load, Pace, Speakers};
    use madang_protocol::client::{Class, PresenceMode};
    use std::time::Duration;

    fn job() -> Job {
        let plan = Plan {
            target: "127.0.0.1:1".parse().unwrap(),
            host: String::new(),
            tls: None,
            path: String::new(),
            transport: crate::transport::Transport::Ws,
            dialect: Dialect::Raw,
            entrance: Entrance { echo: false, presence: PresenceMode::None },
            room_prefix: String::new(),
            connections: 1,
            first: 0,
            rooms_of: 1,
            alone: 0,
            alone_prefix: String::new(),
            in_flight: 1,
            rate: 0,
            sources: Vec::new(),
            patience: Duration::ZERO,
        };
        let load = Load {
            scenario: "relay".to_owned(),
            speakers: Speakers::All,
            pace: Pace::Hz(1.0),
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            drain: Duration::ZERO,
            payload_bytes: 64,
            class: Class::Reliable,
            check_every: 1,
        };
        Job::Traffic(traffic::Job { plan, load, everyone: 1 })
    }

    /// A server that loses something above `server_hz`, and a generator that cannot do more than
    /// `generator_hz`.
    fn search(from_hz: f64, server_hz: f64, generator_hz: f64) -> Outcome {
        let objective = threshold::parse_all("loss=0").unwrap().0;
        let search = Search { objective, from_hz, precision: 0.05, tries_max: 30, beyond: 0 };
        run(&search, &job(), |job, hz| {
            let Job::Traffic(job) = job else { unreachable!() };
            assert_eq!(job.load.pace, Pace::Hz(hz));
            let mut outcome = Outcome::new("relay");
            outcome.set("hz", hz);
            outcome.add(LOST, u64::from(hz > server_hz));
            let cores = if hz > generator_hz { 1.0 } else { 0.5 };
            outcome.generators.push(Generator { cores, ..Generator::default() });
            Ok(outcome)
        })
        .unwrap()
    }

    #[test]
    fn the_highest_rate_is_found_as_closely_as_was_asked_for() {
        for (from, highest) in [(20.0, 333.0), (20.0, 20.0), (1000.0, 7.0)] {
            let outcome = search(from, highest, f64::INFINITY);
            let found = outcome.figures["found_hz"];
            assert!(found <= highest && highest <= found * 1.05, "{found} {highest}");
            assert_eq!(outcome.settings["hz"], Setting::Number(found), "its own outcome");
            assert!(outcome.passed() && outcome.tries.len() > 3);
            assert!(outcome.tries.iter().all(|one| one.held == (one.hz <= highest)));
        }
    }

    #[test]
    fn what_holds_nowhere_fails_and_the_generators_limit_is_said() {
        let outcome = search(20.0, 0.0, f64::INFINITY);
        assert!(!outcome.passed());
        let outcome = search(20.0, 100.0, 70.0);
        assert!(outcome.warnings[0].contains("generator's own limit"), "{:?}", outcome.warnings);
        let (found, limit) = (outcome.figures["found_hz"], outcome.figures["generator_limit_hz"]);
        assert!(found <= 100.0 && 100.0 < limit && limit <= found * 1.05, "{found} {limit}");
        // What failed first was too much for the tool, and what the server cannot do is below.
        let outcome = search(20.0, 100.0, 120.0);
        let found = outcome.figures["found_hz"];
        assert!(found <= 100.0 && 100.0 <= found * 1.05, "{found}");
        assert!(!outcome.figures.contains_key("generator_limit_hz"), "{:?}", outcome.figures);
    }

    #[test]
    fn the_generators_limit_above_a_failure_says_nothing_of_what_is_below() {
        let objective = threshold::parse_all("loss=0").unwrap().0;
        let search = Search { objective, from_hz: 20.0, precision: 0.05, tries_max: 30, beyond: 3 };
        let outcome = run(&search, &job(), |_, hz| {
            let mut outcome = Outcome::new("relay");
            outcome.add(LOST, u64::from(hz > 100.0));
            let cores = if hz > 300.0 { 1.0 } else { 0.5 };
            outcome.generators.push(Generator { cores, ..Generator::default() });
            Ok(outcome)
        })
        .unwrap();
        let found = outcome.figures["found_hz"];
        assert!(found <= 100.0 && 100.0 <= found * 1.05, "{found}");
        assert!(!outcome.figures.contains_key("generator_limit_hz"), "{:?}", outcome.figures);
    }

    /// A server that loses something between 100 and 300 Hz and above 900.
    #[test]
    fn a_higher_rate_may_hold_where_a_lower_one_did_not() {
        for (beyond, from, highest) in [(0, 20.0, 100.0), (2, 20.0, 900.0), (2, 30.0, 900.0)] {
            let objective = threshold::parse_all("loss=0").unwrap().0;
            let search =
                Search { objective, from_hz: from, precision: 0.05, tries_max: 30, beyond };
            let outcome = run(&search, &job(), |_, hz| {
                let mut outcome = Outcome::new("relay");
                outcome.add(LOST, u64::from((100.0..300.0).contains(&hz) || hz > 900.0));
                Ok(outcome)
            })
            .unwrap();
            let found = outcome.figures["found_hz"];
            assert!(found <= highest && highest <= found * 1.05, "{beyond} {from}: {found}");
            assert!(outcome.figures["failed_hz"] > found);
        }
    }
}
