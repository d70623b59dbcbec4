//! The scenario in which connections are held and do nothing: what does one cost the server?

use crate::conductor::Marks;
use crate::desk::{Desk, Stage};
use crate::fleet::{Fleet, Listener, Plan};
use crate::outcome::{Generator, LIVE_AT_END, Outcome, Window};
use crate::system::Clock;
use crate::traffic::poll_failed;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The server is at rest when nothing came for so long.
const QUIET_NS: u64 = 1_000_000_000;
/// How many connections are asked for a sign of life at a time.
const ASKED_AT_ONCE: usize = 500;
/// How long the answers may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Connections that answered at the end.
const ALIVE: &str = "alive";

/// A worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) hold: Duration,
    /// Most anonymous memory that a connection may cost the server, in KiB.
    pub(crate) kib_max: Option<f64>,
    /// Connections of all workers together.
    pub(crate) everyone: usize,
}

impl Job {
    /// Shares for so many processes, which together are this one.
    pub(crate) fn split(&self, processes: usize) -> Vec<Self> {
        let shares = self.plan.shares(self.plan.rooms_of, processes);
        shares.into_iter().map(|plan| Self { plan, ..self.clone() }).collect()
    }

    /// What can only be said of all workers together: what a connection costs the server.
    pub(crate) fn conclude(&self, outcome: &mut Outcome, marks: &Marks) {
        let alive = outcome.count(ALIVE);
        if alive < self.everyone as u64 {
            let dead = self.everyone as u64 - alive;
            outcome.fail(format!("{dead} of {} connections did not answer", self.everyone));
        }
        let kib = |stage| {
            let grown = marks.memory(stage)?.anonymous as f64
                - marks.memory(Stage::Before)?.anonymous as f64;
            Some(grown / self.everyone as f64 / 1024.0)
        };
        for (name, stage) in [
            ("server.opened_kib", Stage::Opened),
            ("server.kept_kib", Stage::Held),
            ("server.answered_kib", Stage::Ended),
        ] {
            if let Some(kib) = kib(stage) {
                outcome.figures.insert(name.to_owned(), kib);
            }
        }
        if let Some(after) = marks.memory(Stage::Ended) {
            outcome.add("server.after.anonymous", after.anonymous);
            outcome.add("server.after.resident", after.resident);
        }
        match (self.kib_max, kib(Stage::Ended)) {
            (Some(most), Some(kib)) if kib > most => outcome.fail(format!(
                "{kib:.3} KiB of anonymous memory a connection, above --kib-max {most}"
            )),
            (Some(_), None) => outcome.fail("the server's memory cannot be read".to_owned()),
            _ => {}
        }
    }
}

/// Runs a share. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let Job { plan, hold, .. } = job;
    let mut answers = Answers { alive: vec![false; plan.connections], count: 0 };

    let begun_ns = Clock.now_ns();
    let mut fleet = Fleet::new(plan.clone()).map_err(poll_failed)?;
    fleet.open(&mut answers)?;
    let opened_ns = Clock.now_ns();
    fleet.settle(QUIET_NS, Duration::from_secs(30), &mut answers).map_err(poll_failed)?;
    let start_ns = desk.meet(Stage::Opened)?;
    desk.mark(Stage::From)?;
    let end_ns = start_ns + hold.as_nanos() as u64;
    while Clock.now_ns() < end_ns {
        fleet.turn(end_ns, &mut answers).map_err(poll_failed)?;
    }
    desk.meet(Stage::Held)?;
    desk.mark(Stage::To)?;

    let patience_ns = Clock.now_ns() + ANSWERS_WITHIN.as_nanos() as u64;
    for first in (0..plan.connections).step_by(ASKED_AT_ONCE) {
        let asked = first..(first + ASKED_AT_ONCE).min(plan.connections);
        let due = answers.count + asked.clone().filter(|conn| fleet.ask_alive(*conn)).count();
        while answers.count < due && Clock.now_ns() < patience_ns {
            fleet.turn(patience_ns, &mut answers).map_err(poll_failed)?;
        }
    }
    desk.meet(Stage::Ended)?;

    let mut outcome = Outcome::new("idle");
    outcome.set("protocol", plan.dialect.name());
    outcome.set("transport", plan.transport.name());
    outcome.set("connections", job.everyone);
    outcome.set("rooms_of", plan.rooms_of);
    outcome.set("hold_seconds", hold.as_secs_f64());
    outcome.window = Window { start_ns, end_ns };
    outcome.add(ALIVE, answers.count as u64);
    outcome.add(LIVE_AT_END, fleet.tolls().live as u64);
    outcome.figures.insert("open_seconds".to_owned(), (opened_ns - begun_ns) as f64 / 1e9);
    outcome.generators.push(Generator::default());
    fleet.put_tolls(&mut outcome);
    fleet.close(&mut answers).map_err(poll_failed)?;
    Ok(outcome)
}

struct Answers {
    alive: Vec<bool>,
    count: usize,
}

impl Listener for Answers {
    fn message(&mut self, _: usize, _: &[u8], _: u64) {}

    fn alive(&mut self, conn: usize) {
        self.count += usize::from(!std::mem::replace(&mut self.alive[conn], true));
    }
}
