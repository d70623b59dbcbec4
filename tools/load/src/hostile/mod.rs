//! The scenario of garbage and floods: connections that a server should not trust, beside players who
//! must not feel them.
//!
//! For a server on this machine alone: what it does is an attack everywhere else.

mod attack;
mod raider;
mod replay;

use crate::bystanders::Bystanders;
use crate::desk::{Desk, Stage};
use crate::dice::Dice;
use crate::fleet::{Failure, Plan, Sources};
use crate::meter::{Meter, Totals};
use crate::outcome::{Outcome, Times, Window};
use crate::returns::Returns;
use crate::system::{Alarm, Clock};
use crate::traffic::{Load, poll_failed};
use crate::vitals::Vitals;
pub(crate) use attack::Attack;
use attack::Verdict;
use mio::{Events, Interest, Poll, Token};
use raider::Raider;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const ALARM: Token = Token(usize::MAX);
/// Most events of one poll.
const EVENTS_MAX: usize = 1024;
/// Until a connection that ended is begun again.
const AGAIN_NS: u64 = 100_000_000;
/// Most connections of a run.
const BEGUN_MAX: u64 = 10_000_000;
/// Between two looks at whether the server has let go of everything.
const LOOK: Duration = Duration::from_millis(100);

/// Hostile connections that were begun, all together.
const BEGUN: &str = "hostile";
/// Descriptors that the server did not let go of.
const DESCRIPTORS_LEFT: &str = "descriptors_left";

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) attacks: Vec<Attack>,
    /// Connections of each attack at the same time.
    pub(crate) each: usize,
    pub(crate) duration: Duration,
    /// How long a connection may be there that the server has reason to end.
    pub(crate) deadline: Duration,
    /// How long the server may take to let go of everything afterwards.
    pub(crate) settle: Duration,
    pub(crate) seed: u64,
    pub(crate) bystanders: Option<(Plan, Load)>,
    pub(crate) pid: Option<u32>,
    /// Most memory that the server may hold more than before, in MiB.
    pub(crate) mib_max: Option<f64>,
}

impl Job {
    /// It is not shared: one process is hostile enough.
    pub(crate) fn split(&self, processes: usize) -> Result<Vec<Self>, String> {
        if processes > 1 {
            return Err("--processes: hostile is for one".to_owned());
        }
        Ok(vec![self.clone()])
    }

    /// Connections to the server.
    pub(crate) fn connections(&self) -> usize {
        let replays = if self.attacks.contains(&Attack::Replay) { 3 * self.each } else { 0 };
        let raids = self.attacks.len() * self.each;
        raids + replays + self.bystanders.as_ref().map_or(0, |(plan, _)| plan.connections)
    }

    pub(crate) fn conclude(&self, outcome: &mut Outcome) {
        outcome.parts.iter_mut().for_each(Outcome::judge);
        let taken = outcome.count(replay::TAKEN);
        if taken > 0 {
            outcome.fail(format!("{taken} sessions were taken up by who had no right to"));
        }
        let left = outcome.count(DESCRIPTORS_LEFT);
        if left > 0 {
            outcome.fail(format!("the server holds {left} descriptors more than before"));
        }
        let figure = |name: &str| outcome.figures.get(name).copied();
        let grown = figure("server_most.anonymous_mib").zip(figure("server_before.anonymous_mib"));
        match (self.mib_max, grown) {
            (Some(most), Some((then, before))) if then - before > most => outcome.fail(format!(
                "the server held {:.1} MiB more than before, above --mib-max {most}",
                then - before
            )),
            (Some(_), None) => outcome.fail("the server's memory cannot be read".to_owned()),
            _ => {}
        }
    }
}

/// Refuses every server that is not on this machine.
pub(crate) fn check_target(target: SocketAddr) -> Result<(), String> {
    if target.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "hostile is for a server on this machine, by a loopback address as in ws://127.0.0.1:7700: \
         {target} is somewhere else"
    ))
}

/// Runs it. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    check_target(job.plan.target)?;
    let bystanders = match &job.bystanders {
        Some((plan, load)) => Some(Bystanders::begin(plan.clone(), load.clone())?),
        None => None,
    };
    let mut outcome = Outcome::new("hostile");
    job.settings(&mut outcome);
    let mut vitals = Vitals::new(job.pid)?;
    let start_ns = desk.meet(Stage::Opened)?;
    desk.mark(Stage::From)?;
    if let Some(bystanders) = &bystanders {
        bystanders.measure();
    }
    let mut dice = Dice::new(job.seed, 0);
    if job.attacks.contains(&Attack::Replay) {
        replay::run(job.plan.clone(), job.each, &mut dice, &mut outcome)?;
    }
    let mut raid = Raid::new(job, dice).map_err(poll_failed)?;
    let mut meter = Meter::new(Clock.now_ns(), Totals::default());
    meter.from(Clock.now_ns());
    let end_ns = Clock.now_ns() + job.duration.as_nanos() as u64;
    loop {
        let now_ns = Clock.now_ns();
        vitals.look(now_ns);
        if meter.is_due(now_ns) {
            meter.tick(now_ns, raid.totals(), Times::coarse(), desk)?;
        }
        if now_ns >= end_ns {
            break;
        }
        let next_ns = raid.begin_due(now_ns)?;
        raid.turn(next_ns.min(end_ns).min(meter.next_ns())).map_err(poll_failed)?;
    }
    let now_ns = Clock.now_ns();
    meter.to(now_ns);
    meter.tick(now_ns, raid.totals(), Times::coarse(), desk)?;
    desk.mark(Stage::To)?;
    outcome.window = Window { start_ns, end_ns: now_ns };
    raid.finish(&mut outcome);
    let settled_ns = Clock.now_ns() + job.settle.as_nanos() as u64;
    while vitals.descriptors_grown().is_some_and(|grown| grown > 0) && Clock.now_ns() < settled_ns {
        std::thread::sleep(LOOK);
    }
    if let Some(left) = vitals.descriptors_grown() {
        outcome.add(DESCRIPTORS_LEFT, left);
    }
    vitals.put(&mut outcome);
    if let Some(bystanders) = bystanders {
        outcome.parts.push(bystanders.end()?);
    }
    meter.finish(None, &mut outcome);
    Ok(outcome)
}

impl Job {
    fn settings(&self, outcome: &mut Outcome) {
        let attacks: Vec<_> = self.attacks.iter().map(|attack| attack.name()).collect();
        outcome.set("attacks", attacks.join(" ").as_str());
        outcome.set("each", self.each);
        outcome.set("duration_seconds", self.duration.as_secs_f64());
        outcome.set("deadline_seconds", self.deadline.as_secs_f64());
        outcome.set("seed", self.seed);
    }
}

/// All hostile connections.
struct Raid {
    host: String,
    target: SocketAddr,
    room: String,
    deadline_ns: u64,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    sources: Sources,
    attacks: Vec<Attack>,
    slots: Vec<Option<Raider>>,
    /// Which slot is begun next when, and which goes on by itself.
    again: Returns,
    acts: Returns,
    dice: Dice,
    buffer: Vec<u8>,
    begun: u64,
    found: BTreeMap<Attack, Found>,
}

/// What became of the connections of one attack.
#[derive(Clone, Debug, Default)]
struct Found {
    verdicts: BTreeMap<Verdict, u64>,
    bytes_out: u64,
    oldest_ns: u64,
}

impl Raid {
    fn new(job: &Job, dice: Dice) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let attacks: Vec<_> = job
            .attacks
            .iter()
            .filter(|attack| **attack != Attack::Replay)
            .flat_map(|attack| std::iter::repeat_n(*attack, job.each))
            .collect();
        let mut again = Returns::default();
        (0..attacks.len()).for_each(|slot| again.add(0, slot));
        Ok(Self {
            host: job.plan.host.clone(),
            target: job.plan.target,
            room: format!("{}hostile", job.plan.room_prefix),
            deadline_ns: job.deadline.as_nanos() as u64,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            alarm,
            sources: Sources::new(&job.plan.sources, job.plan.target),
            slots: attacks.iter().map(|_| None).collect(),
            attacks,
            again,
            acts: Returns::default(),
            dice,
            buffer: vec![0; 64 << 10],
            begun: 0,
            found: BTreeMap::new(),
        })
    }

    /// Connections begun and ended.
    fn totals(&self) -> Totals {
        let live = self.slots.iter().flatten().count() as u64;
        Totals { sent: self.begun, received: self.begun - live, live, ..Totals::default() }
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self, now_ns: u64) -> Result<u64, String> {
        while let Some((_, slot)) = self.again.pop(now_ns) {
            if self.begun >= BEGUN_MAX {
                continue;
            }
            let mut socket = match self.sources.connect(slot, self.target, None) {
                Ok(socket) => socket,
                // Those that were reset a moment ago may still hold their ports.
                Err(Failure::Ports) => {
                    self.again.add(now_ns + AGAIN_NS, slot);
                    continue;
                }
                Err(failure) => return Err(failure.to_string()),
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, Token(slot), interest)
                .map_err(|error| format!("poll: {error}"))?;
            let attack = self.attacks[slot];
            let steps = attack.steps(&self.host, &self.room, &mut self.dice);
            self.slots[slot] = Some(Raider::new(attack, socket, steps, now_ns));
            self.begun += 1;
        }
        Ok(self.acts.next_ns().min(self.again.next_ns()))
    }

    /// Handles what happens until `until_ns`, or at least once.
    fn turn(&mut self, until_ns: u64) -> io::Result<()> {
        let wait_ns = until_ns.saturating_sub(Clock.now_ns());
        let timeout = if wait_ns == 0 {
            Some(Duration::ZERO)
        } else {
            self.alarm.set(wait_ns)?;
            None
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now_ns = Clock.now_ns();
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(slot) = event.token();
            let Some(raider) = self.slots.get_mut(slot).and_then(Option::as_mut) else { continue };
            let mut verdict = None;
            if event.is_readable() {
                verdict = raider.read(&mut self.buffer);
            }
            if verdict.is_none() && (event.is_error() || event.is_write_closed()) {
                verdict = Some(raider.hung_up());
            }
            // What was read may be what it waits for.
            match verdict {
                Some(verdict) => self.ended(slot, verdict, now_ns),
                None => self.act(slot, now_ns),
            }
        }
        self.events = events;
        let due: Vec<_> = std::iter::from_fn(|| self.acts.pop(now_ns)).collect();
        for (at_ns, slot) in due {
            // One that acted meanwhile, or is another by now, goes on at another time.
            if self.slots[slot].as_ref().is_some_and(|raider| raider.next_ns == at_ns) {
                self.act(slot, now_ns);
            }
        }
        Ok(())
    }

    fn act(&mut self, slot: usize, now_ns: u64) {
        let Some(raider) = &mut self.slots[slot] else { return };
        match raider.act(now_ns) {
            Some(verdict) => self.ended(slot, verdict, now_ns),
            None if raider.next_ns < u64::MAX => self.acts.add(raider.next_ns, slot),
            None => {}
        }
    }

    fn ended(&mut self, slot: usize, verdict: Verdict, now_ns: u64) {
        let Some(raider) = self.slots[slot].take() else { return };
        self.note(&raider, verdict, now_ns);
        raider.drop_it();
        self.again.add(now_ns + AGAIN_NS, slot);
    }

    fn note(&mut self, raider: &Raider, verdict: Verdict, now_ns: u64) {
        let found = self.found.entry(raider.attack).or_default();
        *found.verdicts.entry(verdict).or_default() += 1;
        found.bytes_out += raider.bytes_out;
        found.oldest_ns = found.oldest_ns.max(now_ns.saturating_sub(raider.began_ns));
    }

    /// All is over: what became of them.
    fn finish(&mut self, outcome: &mut Outcome) {
        let now_ns = Clock.now_ns();
        for raider in std::mem::take(&mut self.slots).into_iter().flatten() {
            self.note(&raider, Verdict::Held, now_ns);
            raider.drop_it();
        }
        outcome.add(BEGUN, self.begun);
        for (attack, found) in &self.found {
            let name = attack.name();
            for (verdict, count) in &found.verdicts {
                let (what, to) = match verdict {
                    Verdict::Status(status) => {
                        (format!("status_{status}"), Some((&mut outcome.refused, *status)))
                    }
                    Verdict::Closed(code) => {
                        (format!("closed_{code}"), Some((&mut outcome.closed, *code)))
                    }
                    Verdict::Ended => ("ended".to_owned(), None),
                    Verdict::Strange => ("strange".to_owned(), None),
                    Verdict::Held => ("held".to_owned(), None),
                };
                if let Some((counts, code)) = to {
                    *counts.entry(code).or_default() += count;
                }
                outcome.broken += if *verdict == Verdict::Ended { *count } else { 0 };
                outcome.add(&format!("{name}.{what}"), *count);
                if !attack.allows(*verdict) {
                    outcome.fail(format!("{name}: {count} were answered by {what}"));
                }
            }
            outcome.add(&format!("{name}.bytes_out"), found.bytes_out);
            let oldest = found.oldest_ns as f64 / 1e9;
            outcome.figures.insert(format!("{name}.oldest_seconds"), oldest);
            if !attack.may_last() && found.oldest_ns > self.deadline_ns {
                outcome.fail(format!("{name}: the server kept one for {oldest:.1} seconds"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_refused() {
        for target in ["127.0.0.1:7700", "127.3.2.1:80", "[::1]:7700"] {
            check_target(target.parse().unwrap()).unwrap();
        }
        for target in ["192.168.1.5:7700", "10.0.0.1:80", "[2001:db8::1]:7700", "0.0.0.0:1"] {
            let why = check_target(target.parse().unwrap()).unwrap_err();
            assert!(why.contains("loopback") && why.contains(target), "{why}");
        }
    }
}
