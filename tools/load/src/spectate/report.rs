//! What a run with spectators found, as an outcome.

use super::Job;
use super::audience::{Audience, Tolls};
use super::book::Faults;
use super::follow::Counts;
use super::sse::NAMES;
use crate::conductor::Marks;
use crate::desk::Stage;
use crate::endings::endings_of;
use crate::outcome::{
    CORRUPT, DELIVERIES, DISORDERED, FOREIGN, LATENCY, LIVE_AT_END, LOST, Outcome, RECEIVED,
    REPEATED,
};
use std::collections::BTreeMap;

/// From the end of a connection to the first event of the next.
const RETURNS: &str = "returns";

/// Who waits for a CPU longer than it runs, and at least so many seconds a second, is not measured but
/// the rest of the machine is.
const WAITED_MAX: f64 = 0.05;

/// What went wrong with connections, in one line.
pub(super) fn endings(tolls: &Tolls) -> String {
    let first = tolls.first_error.as_deref();
    endings_of(&tolls.refused, &BTreeMap::new(), tolls.broken, tolls.errors, first)
}

/// Says what was asked for.
pub(super) fn settings(job: &Job, outcome: &mut Outcome) {
    let Job { plan, seats, load, show } = job;
    outcome.set("protocol", plan.dialect.name());
    outcome.set("transport", plan.transport.name());
    outcome.set("spectators", seats.spectators);
    outcome.set("rooms", seats.rooms.len());
    outcome.set("delay_ms", seats.delay_ms);
    if let Some(every) = show.reconnect_every {
        outcome.set("reconnect_every_seconds", every.as_secs_f64());
    }
    let is_spoken = plan.connections > show.players;
    outcome.set("events_hz", if is_spoken { show.events_hz } else { 0.0 });
    outcome.set("payload_bytes", show.payload_bytes);
    outcome.set("reach_min", show.reach_min);
    outcome.set("slow_spectators", seats.slow);
    outcome.set("warmup_seconds", load.warmup.as_secs_f64());
    outcome.set("duration_seconds", load.duration.as_secs_f64());
}

/// Puts what the spectators saw into an outcome, but what is of the window.
pub(super) fn put(audience: &Audience, outcome: &mut Outcome) {
    let [counts, slow] = &audience.counts;
    put_counts(counts, "", outcome);
    put_counts(slow, "slow.", outcome);
    let Faults { corrupt, foreign } = audience.faults;
    let tolls = &audience.tolls;
    for (name, count) in [
        (CORRUPT, corrupt),
        (FOREIGN, foreign),
        ("early", tolls.early),
        ("comments", tolls.comments),
        (LIVE_AT_END, tolls.live as u64),
        ("dropped", tolls.dropped),
        ("ended", tolls.ended),
    ] {
        outcome.add(name, count);
    }
    for (name, count) in NAMES.into_iter().zip(tolls.events).filter(|(_, count)| *count > 0) {
        outcome.add(&format!("events.{name}"), count);
    }
    outcome.add_times(LATENCY, &audience.latency);
    outcome.add_times(RETURNS, &audience.returns);
    outcome.refused.clone_from(&tolls.refused);
    outcome.broken = tolls.broken;
    outcome.errors = tolls.errors;
    outcome.first_error.clone_from(&tolls.first_error);
}

fn put_counts(counts: &Counts, prefix: &str, outcome: &mut Outcome) {
    for (name, count) in [
        (RECEIVED, counts.received),
        (LOST, counts.lost),
        ("told_missing", counts.told_missing),
        ("behind", counts.behind),
        (REPEATED, counts.repeated),
        (DISORDERED, counts.disordered),
        ("resent", counts.resent),
        ("gaps", counts.gaps),
        ("gap_seqs", counts.gap_seqs),
        ("conflations", counts.conflations),
        ("recovered", counts.recovered),
        ("unrecovered", counts.unrecovered),
        ("new_epochs", counts.new_epochs),
    ] {
        outcome.add(&format!("{prefix}{name}"), count);
    }
}

/// Says what is wrong, beside what is wrong of any scenario.
pub(super) fn judge(job: &Job, tolls: &Tolls, outcome: &mut Outcome) {
    for (name, what) in [
        ("behind", "messages had not come at the end"),
        ("slow.lost", "messages to slow spectators lost"),
        ("slow.repeated", "messages to slow spectators repeated"),
        ("slow.disordered", "messages to slow spectators out of order"),
        ("early", "events before their delay was over"),
        ("ended", "streams ended by the server"),
    ] {
        let count = outcome.count(name);
        if count > 0 {
            outcome.fail(format!("{count} {what}"));
        }
    }
    let (reach, least) = (outcome.reach(), job.show.reach_min);
    if reach < least {
        outcome.fail(format!("reach {reach:.6}, below --reach-min {least}"));
    }
    let missing = job.seats.spectators - tolls.live;
    if missing > 0 || tolls.broken > 0 || !tolls.refused.is_empty() {
        outcome.fail(format!("{missing} spectators are missing; {}", endings(tolls)));
    }
    if outcome.count("gaps") + outcome.count("conflations") > 0 {
        outcome.warn("spectators who read were told of gaps, or got a snapshot in between");
    }
}

/// What the server used, as far as it is of this scenario alone.
pub(super) fn conclude(job: &Job, outcome: &mut Outcome, marks: &Marks) {
    let mut figure = |name: &str, value: f64| {
        outcome.figures.insert(name.to_owned(), value);
    };
    let spectators = job.seats.spectators as f64;
    let kib = |stage| {
        let before = marks.memory(Stage::Opened)?.resident as f64;
        Some((marks.memory(stage)?.resident as f64 - before) / spectators / 1024.0)
    };
    for (name, stage) in [("memory.opened_kib", Stage::Joined), ("memory.after_kib", Stage::Ended)]
    {
        if let Some(kib) = kib(stage).filter(|kib| kib.is_finite()) {
            figure(name, kib);
        }
    }
    let mut is_starved = false;
    if let Some([(ran, waited), (side_ran, side_waited)]) = marks.threads() {
        figure("server.waited_cores", waited);
        figure("server.side_cores", side_ran);
        figure("server.side_waited_cores", side_waited);
        is_starved = waited > WAITED_MAX.max(ran);
    }
    for (name, stage) in
        [("before", Stage::Opened), ("opened", Stage::Joined), ("after", Stage::Ended)]
    {
        if let Some(memory) = marks.memory(stage) {
            outcome.add(&format!("memory.{name}.anonymous"), memory.anonymous);
            outcome.add(&format!("memory.{name}.resident"), memory.resident);
        }
    }
    let events = outcome.count(DELIVERIES) as f64;
    if events > 0.0 {
        let window_us = outcome.window.seconds() * 1e6;
        if let Some((user, system)) = outcome.server_us_per_delivery() {
            outcome.figures.insert("server.us_per_event".to_owned(), user + system);
        }
        if let Some(cores) = outcome.figures.get("server.side_cores").copied() {
            let each = cores * window_us / events;
            outcome.figures.insert("server.side_us_per_event".to_owned(), each);
        }
    }
    if is_starved {
        outcome
            .warn("the server waited for a CPU longer than it ran: no time or CPU here is its own");
    }
    let starved = |generator: &crate::outcome::Generator| {
        generator.waited_cores.is_some_and(|waited| waited > WAITED_MAX.max(generator.cores))
    };
    if outcome.generators.iter().any(starved) {
        outcome.warn(
            "the generator waited for a CPU longer than it ran: no latency here is the server's",
        );
    }
}
