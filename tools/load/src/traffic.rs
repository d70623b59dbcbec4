//! Scenarios in which connections send: everyone in small rooms, one speaker to many, or each to
//! itself.

use crate::desk::{Desk, Stage, Troubles};
use crate::ear::{Ear, Turnover};
use crate::fleet::{Fleet, Plan, Tolls};
use crate::meter::{Meter, Totals};
use crate::outcome::{
    BYTES_IN, BYTES_OUT, CONNECT, DELIVERIES, EXPECTED, FRAMES, LATENESS, LIVE_AT_END, LOST,
    Outcome, READS, RECEIVED, SENT, SPREAD, Times, UNSENT, Window, spreads,
};
use crate::schedule::Schedule;
use crate::system::Clock;
use crate::talk::Talk;
use crate::tally::PAIRS_MAX;
use madang_protocol::client::Class;
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// Between the last connection's entrance and the first message, at least.
pub(crate) const QUIET_NS: u64 = 300_000_000;
/// Most messages of a run.
const MESSAGES_MAX: f64 = 1e9;
/// Most messages whose spread is followed.
const SPREAD_MAX: f64 = 1e7;

/// A worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) load: Load,
    /// Connections of all workers together.
    pub(crate) everyone: usize,
}

/// What is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) scenario: String,
    pub(crate) speakers: Speakers,
    pub(crate) pace: Pace,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    /// How long to wait for what has not come when the last message was sent, and for the sending of
    /// what should have been sent by then.
    pub(crate) drain: Duration,
    pub(crate) payload_bytes: usize,
    pub(crate) class: Class,
    /// Of so many messages one has all its bytes checked.
    pub(crate) check_every: u32,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Speakers {
    All,
    /// The first connection.
    First,
    /// The first connection of another worker.
    Elsewhere,
}

/// When somebody sends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// So often a second, whatever the server does.
    Hz(f64),
    /// When a message was heard by all, with so many on their way.
    Closed(u32),
}

impl Pace {
    pub(crate) fn hz(self) -> Option<f64> {
        match self {
            Self::Hz(hz) => Some(hz),
            Self::Closed(_) => None,
        }
    }
}

impl Job {
    /// Shares for so many processes, which together are this one.
    pub(crate) fn split(&self, processes: usize) -> Result<Vec<Self>, String> {
        let is_split = processes > 1 && self.load.speakers == Speakers::First;
        if is_split && self.load.pace.hz().is_none() {
            return Err(
                "--closed with one speaker is for one process: the speaker has to see that \
                        everybody has heard it; use --find-max instead"
                    .to_owned(),
            );
        }
        let unit = if is_split { 1 } else { self.plan.rooms_of };
        let shares = self.plan.shares(unit, processes).into_iter();
        let mut jobs: Vec<_> = shares.map(|plan| Self { plan, ..self.clone() }).collect();
        if is_split {
            jobs.iter_mut().skip(1).for_each(|job| job.load.speakers = Speakers::Elsewhere);
        }
        Ok(jobs)
    }

    /// How long it sends.
    pub(crate) fn span(&self) -> Duration {
        self.load.warmup + self.load.duration
    }

    /// What can only be said of all workers together, of which this is the first.
    pub(crate) fn conclude(&self, outcome: &mut Outcome) {
        if self.load.speakers == Speakers::First {
            // Those in other processes expected what the speaker should have sent.
            let elsewhere = self.everyone - self.plan.connections;
            let wrongly = outcome.count(UNSENT) * elsewhere as u64;
            for name in [EXPECTED, LOST] {
                let count = outcome.counts.entry(name.to_owned()).or_default();
                *count = count.saturating_sub(wrongly);
            }
            let spread = spreads(&std::mem::take(&mut outcome.arrivals), self.everyone - 1);
            outcome.add_times(SPREAD, &spread);
        }
        if outcome.count(RECEIVED) > outcome.count(EXPECTED) {
            outcome.warn(
                "more came than was expected: does the server echo to senders (--echo true)?",
            );
        }
    }
}

/// Runs a share. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let Job { plan, load, .. } = job;
    check(plan.connections, plan.rooms_of, load)?;
    let mut ear = Ear::new(plan, plan.connections, load);
    let mut fleet = Fleet::new(plan.clone()).map_err(poll_failed)?;
    fleet.open(&mut ear)?;
    fleet.settle(QUIET_NS, Duration::from_secs(10), &mut ear).map_err(poll_failed)?;
    all_in_their_rooms(&fleet, plan.connections)?;

    let course = Course::new(desk.meet(Stage::Opened)?, load);
    ear.window = course.window();
    let mut players = Players::new(plan, plan.connections, load, &course, &mut ear);
    let mut outcome = Outcome::new(&load.scenario);
    players.settings(&mut outcome);
    outcome.set("connections", job.everyone);
    send_all(&mut fleet, &mut ear, &mut players, &course, (desk, &mut outcome))?;

    let end_ns = Clock.now_ns() + load.drain.as_nanos() as u64;
    while ear.tally.counts().received < players.expected && Clock.now_ns() < end_ns {
        let until_ns = end_ns.min(Clock.now_ns() + 50_000_000);
        fleet.turn(until_ns, &mut ear).map_err(poll_failed)?;
    }
    // What comes twice comes now.
    fleet.settle(QUIET_NS, Duration::from_secs(1), &mut ear).map_err(poll_failed)?;
    players.finish(&mut ear, &fleet, &mut outcome);
    fleet.put_tolls(&mut outcome);
    fleet.close(&mut ear).map_err(poll_failed)?;
    Ok(outcome)
}

/// Sends what is due when it is due, and notes what was true at both ends of the window.
fn send_all(
    fleet: &mut Fleet,
    ear: &mut Ear,
    players: &mut Players,
    course: &Course,
    (desk, outcome): (&Desk, &mut Outcome),
) -> Result<(), String> {
    while Clock.now_ns() < course.start_ns {
        fleet.turn(course.start_ns, ear).map_err(poll_failed)?;
    }
    let totals = |players: &Players, ear: &Ear, fleet: &Fleet| {
        let tolls = fleet.tolls();
        Totals {
            sent: players.talk.total(),
            received: ear.tally.counts().received,
            bytes_in: tolls.bytes_in,
            bytes_out: tolls.bytes_out,
            live: tolls.live as u64,
            troubles: troubles(ear, tolls),
        }
    };
    let mut meter = Meter::new(course.start_ns, totals(players, ear, fleet));
    let mut from: Option<Mark> = None;
    loop {
        let now_ns = Clock.now_ns();
        if from.is_none() && now_ns >= course.from_ns {
            desk.mark(Stage::From)?;
            meter.from(now_ns);
            from = Some(Mark::take(now_ns, ear, fleet.tolls()));
        }
        if meter.is_due(now_ns) {
            meter.tick(now_ns, totals(players, ear, fleet), ear.take_second(), desk)?;
        }
        players.send_due(fleet, ear);
        if now_ns >= course.late_ns {
            players.talk.give_up();
        }
        let next_ns = players.next_ns(ear);
        if now_ns >= course.to_ns && next_ns.is_none() {
            desk.mark(Stage::To)?;
            meter.to(now_ns);
            let to = Mark::take(now_ns, ear, fleet.tolls());
            to.put_since(&from.unwrap_or(to), outcome);
            // The last second ends with the window, whole or not.
            meter.tick(now_ns, totals(players, ear, fleet), ear.take_second(), desk)?;
            let lateness = players.load.pace.hz().map(|_| players.talk.lateness());
            meter.finish(lateness, outcome);
            return Ok(());
        }
        // At the window's start a mark is due even when no message is.
        let mark_ns = if from.is_none() { course.from_ns } else { course.to_ns };
        let until_ns = next_ns.unwrap_or(course.to_ns).min(mark_ns).min(meter.next_ns());
        fleet.turn(until_ns, ear).map_err(poll_failed)?;
    }
}

/// What went wrong so far.
pub(crate) fn troubles(ear: &Ear, tolls: &Tolls) -> Troubles {
    let counts = ear.tally.counts();
    Troubles {
        lost: counts.lost,
        repeated: counts.repeated,
        errors: tolls.errors,
        closed: tolls.closed.clone(),
    }
}

/// Refuses what cannot be followed.
pub(crate) fn check(connections: usize, rooms_of: usize, load: &Load) -> Result<(), String> {
    let senders = if load.speakers == Speakers::All { rooms_of } else { 1 };
    if connections.saturating_mul(senders) > PAIRS_MAX {
        return Err(format!(
            "{connections} connections that each hear {senders} senders are too many to follow; \
             the most is {PAIRS_MAX} pairs"
        ));
    }
    let each = load.pace.hz().unwrap_or_default() * (load.warmup + load.duration).as_secs_f64();
    let (speakers, most) = match load.speakers {
        Speakers::All => (connections, MESSAGES_MAX),
        Speakers::First | Speakers::Elsewhere => (1, SPREAD_MAX),
    };
    if each * speakers as f64 > most {
        return Err(format!(
            "more than {most} messages in one run; send less or for a shorter time"
        ));
    }
    Ok(())
}

/// Refuses to begin while somebody is missing.
pub(crate) fn all_in_their_rooms(fleet: &Fleet, connections: usize) -> Result<(), String> {
    let live = fleet.tolls().live;
    if live == connections {
        return Ok(());
    }
    let troubles = crate::endings::troubles(fleet.tolls());
    Err(format!("only {live} of {connections} connections are in their rooms; {troubles}"))
}

pub(crate) fn poll_failed(error: io::Error) -> String {
    format!("poll: {error}")
}

/// When a run sends and measures, in nanoseconds of the clock.
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) start_ns: u64,
    /// The warm-up is over.
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// What was not sent by then is not sent.
    pub(crate) late_ns: u64,
}

impl Course {
    pub(crate) fn new(start_ns: u64, load: &Load) -> Self {
        let from_ns = start_ns + load.warmup.as_nanos() as u64;
        let to_ns = from_ns + load.duration.as_nanos() as u64;
        Self { start_ns, from_ns, to_ns, late_ns: to_ns + load.drain.as_nanos() as u64 }
    }

    /// What is measured.
    pub(crate) fn window(&self) -> Range<u64> {
        self.from_ns..self.to_ns
    }
}

/// What was true at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) at_ns: u64,
    received: u64,
    frames_in: u64,
    reads: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Mark {
    pub(crate) fn take(at_ns: u64, ear: &Ear, tolls: &Tolls) -> Self {
        Self {
            at_ns,
            received: ear.tally.counts().received,
            frames_in: tolls.frames_in,
            reads: tolls.reads,
            bytes_in: tolls.bytes_in,
            bytes_out: tolls.bytes_out,
        }
    }

    /// Puts the window since an earlier one, and what came in it, into an outcome.
    pub(crate) fn put_since(&self, earlier: &Self, outcome: &mut Outcome) {
        outcome.window = Window { start_ns: earlier.at_ns, end_ns: self.at_ns };
        for (name, count) in [
            (DELIVERIES, self.received - earlier.received),
            (FRAMES, self.frames_in - earlier.frames_in),
            (READS, self.reads - earlier.reads),
            (BYTES_IN, self.bytes_in - earlier.bytes_in),
            (BYTES_OUT, self.bytes_out - earlier.bytes_out),
        ] {
            outcome.add(name, count);
        }
    }
}

/// The first connections of a fleet, which send to each other.
pub(crate) struct Players {
    load: Load,
    protocol: &'static str,
    transport: &'static str,
    connections: usize,
    rooms_of: usize,
    echo: bool,
    talk: Talk,
    /// What somebody in another process should send.
    elsewhere: u64,
    /// Deliveries that the messages sent so far should lead to.
    expected: u64,
}

impl Players {
    pub(crate) fn new(
        plan: &Plan,
        connections: usize,
        load: &Load,
        course: &Course,
        ear: &mut Ear,
    ) -> Self {
        let senders = match load.speakers {
            Speakers::All => connections,
            Speakers::First => 1,
            Speakers::Elsewhere => 0,
        };
        let what = (load.class, load.payload_bytes);
        let time = course.start_ns..course.to_ns;
        let elsewhere = match (load.speakers, load.pace) {
            (Speakers::Elsewhere, Pace::Hz(hz)) => {
                Schedule::new(0..1, hz, course.start_ns, course.to_ns).left()
            }
            _ => 0,
        };
        let players = Self {
            load: load.clone(),
            protocol: plan.dialect.name(),
            transport: plan.transport.name(),
            connections,
            rooms_of: plan.rooms_of,
            echo: plan.entrance.echo,
            talk: Talk::new(plan.first, 0..senders, load.pace.hz(), what, time),
            elsewhere,
            expected: elsewhere * connections as u64,
        };
        if let Pace::Closed(depth) = load.pace {
            let heard_by = (0..senders).map(|sender| players.heard_by(sender) as u32);
            ear.turnover = Some(Turnover::new(heard_by, depth));
        }
        players
    }

    /// When the next message is due; `None` after the last one.
    pub(crate) fn next_ns(&self, ear: &Ear) -> Option<u64> {
        match &ear.turnover {
            Some(turnover) => turnover.is_ready().then_some(0),
            None => self.talk.next_ns(),
        }
    }

    /// Deliveries that the messages sent so far should lead to.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// How late what was sent was sent.
    pub(crate) fn lateness(&self) -> &Times {
        self.talk.lateness()
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.talk.total()
    }

    pub(crate) fn send_due(&mut self, fleet: &mut Fleet, ear: &mut Ear) {
        let (echoed, rooms_of, connections) =
            (u64::from(self.is_echoed()), self.rooms_of, self.connections);
        let expected = &mut self.expected;
        let tell = |sender| {
            *expected += room(sender, rooms_of, connections).len() as u64 - 1 + echoed;
        };
        match &mut ear.turnover {
            None => self.talk.send_due(fleet, tell),
            Some(turnover) if Clock.now_ns() < ear.window.end => {
                self.talk.send_ready(fleet, turnover, tell);
            }
            Some(turnover) => while turnover.pop().is_some() {},
        }
    }

    /// How many are to hear a sender, itself included.
    fn heard_by(&self, sender: usize) -> u64 {
        let room = room(sender, self.rooms_of, self.connections).len() as u64;
        room - 1 + u64::from(self.is_echoed())
    }

    /// What is not logged never comes back to its sender.
    fn is_echoed(&self) -> bool {
        self.echo && self.load.class == Class::Reliable
    }

    /// Says what was asked for.
    pub(crate) fn settings(&self, outcome: &mut Outcome) {
        outcome.set("protocol", self.protocol);
        outcome.set("transport", self.transport);
        outcome.set("class", class_name(self.load.class));
        outcome.set("connections", self.connections);
        outcome.set("rooms_of", self.rooms_of);
        match self.load.pace {
            Pace::Hz(hz) => outcome.set("hz", hz),
            Pace::Closed(depth) => {
                outcome.set("closed_loop", true);
                outcome.set("depth", u64::from(depth));
            }
        }
        outcome.set("payload_bytes", self.load.payload_bytes);
        outcome.set("echo", self.is_echoed());
        outcome.set("warmup_seconds", self.load.warmup.as_secs_f64());
        outcome.set("duration_seconds", self.load.duration.as_secs_f64());
        outcome.set("check_every", u64::from(self.load.check_every));
        outcome.may_lose = self.load.class != Class::Reliable;
        // In the order in which they are shown.
        for name in [SENT, UNSENT, EXPECTED, RECEIVED, DELIVERIES] {
            outcome.add(name, 0);
        }
    }

    /// Nothing more comes: puts what was sent and heard into an outcome.
    pub(crate) fn finish(self, ear: &mut Ear, fleet: &Fleet, outcome: &mut Outcome) {
        for (sender, sent) in self.talk.sent().iter().enumerate() {
            for receiver in room(sender, self.rooms_of, self.connections) {
                if receiver != sender || self.is_echoed() {
                    ear.tally.finish(receiver, sender % self.rooms_of, *sent);
                }
            }
        }
        if self.elsewhere > 0 {
            (0..self.connections)
                .for_each(|receiver| ear.tally.finish(receiver, 0, self.elsewhere));
        }
        outcome.add(SENT, self.talk.total());
        outcome.add(UNSENT, self.talk.unsent());
        outcome.add(EXPECTED, self.expected);
        ear.finish(outcome);
        if self.load.pace.hz().is_some() {
            outcome.add_times(LATENESS, self.talk.lateness());
        }
        let live = (0..self.connections).filter(|conn| fleet.is_live(*conn)).count();
        outcome.add(LIVE_AT_END, live as u64);
        if live < self.connections {
            let ended = self.connections - live;
            outcome.fail(format!("{ended} connections ended"));
        }
    }
}

impl Tolls {
    /// Puts what happened to connections into an outcome.
    pub(crate) fn put(&self, outcome: &mut Outcome) {
        outcome.closed.clone_from(&self.closed);
        outcome.refused.clone_from(&self.refused);
        outcome.broken = self.broken;
        outcome.errors = self.errors;
        outcome.first_error.clone_from(&self.first_error);
        outcome.add_times(CONNECT, &self.connect);
    }
}

/// The connections in a sender's room, as far as they are in this process.
fn room(sender: usize, rooms_of: usize, connections: usize) -> Range<usize> {
    let first = sender / rooms_of * rooms_of;
    first..(first + rooms_of).min(connections)
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Reliable => "reliable",
        Class::Latest(_) => "latest",
        Class::Volatile => "volatile",
    }
}
