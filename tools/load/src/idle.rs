//! The scenario in which connections are held and do nothing: what does one cost the server?

use crate::fleet::{Fleet, Listener, Plan};
use crate::process::{Memory, Process};
use crate::report::{Held, Idle};
use crate::system::Clock;
use std::time::Duration;

/// The server is at rest when nothing came for so long.
const QUIET_NS: u64 = 1_000_000_000;
/// How many connections are asked for a sign of life at a time.
const ASKED_AT_ONCE: usize = 500;
/// How long the answers may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Runs it. An error says why it could not be run at all.
pub(crate) fn run(
    plan: Plan,
    hold: Duration,
    kib_max: Option<f64>,
    server: Option<Process>,
) -> Result<Idle, String> {
    let clock = Clock::start();
    let mut answers = Answers { alive: vec![false; plan.connections], count: 0 };
    let failed = |error: std::io::Error| format!("poll: {error}");
    let memory = || server.and_then(|server| server.memory().ok());

    let before = memory();
    let mut fleet = Fleet::new(plan.clone(), clock).map_err(failed)?;
    fleet.open(&mut answers)?;
    let opened_ns = clock.now_ns();
    fleet.settle(QUIET_NS, Duration::from_secs(30), &mut answers).map_err(failed)?;
    let opened = memory();

    let end_ns = clock.now_ns() + hold.as_nanos() as u64;
    while clock.now_ns() < end_ns {
        fleet.turn(end_ns, &mut answers).map_err(failed)?;
    }
    let held = memory();

    let end_ns = clock.now_ns() + ANSWERS_WITHIN.as_nanos() as u64;
    for first in (0..plan.connections).step_by(ASKED_AT_ONCE) {
        let asked = first..(first + ASKED_AT_ONCE).min(plan.connections);
        let due = answers.count + asked.clone().filter(|conn| fleet.ask_alive(*conn)).count();
        while answers.count < due && clock.now_ns() < end_ns {
            fleet.turn(end_ns, &mut answers).map_err(failed)?;
        }
    }
    let answered = memory();
    let tolls = fleet.tolls().clone();
    fleet.close(&mut answers).map_err(failed)?;

    let per_connection = |after: Option<Memory>| {
        let (before, after) = before.zip(after)?;
        let grown = after.anonymous as f64 - before.anonymous as f64;
        Some(grown / plan.connections as f64 / 1024.0)
    };
    let server = before.zip(answered).map(|(before, after)| Held {
        before,
        after,
        opened_kib: per_connection(opened).unwrap_or_default(),
        kept_kib: per_connection(held).unwrap_or_default(),
        answered_kib: per_connection(answered).unwrap_or_default(),
    });
    let is_within = match (kib_max, &server) {
        (Some(most), Some(held)) => held.answered_kib <= most,
        // What cannot be read cannot be vouched for.
        (Some(_), None) => false,
        (None, _) => true,
    };
    Ok(Idle {
        protocol: plan.dialect.name(),
        connections: plan.connections,
        rooms_of: plan.rooms_of,
        open_seconds: opened_ns as f64 / 1e9,
        hold_seconds: hold.as_secs_f64(),
        alive: answers.count,
        passed: answers.count == plan.connections && tolls.errors == 0 && is_within,
        refused: tolls.refused,
        closed: tolls.closed,
        broken: tolls.broken,
        errors: tolls.errors,
        first_error: tolls.first_error,
        server,
    })
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
