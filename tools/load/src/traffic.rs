//! Scenarios in which connections send: everyone in small rooms, or one speaker to many.

use crate::fleet::{Fleet, Listener, Plan};
use crate::process::{Cpu, Memory, Process};
use crate::report::{Percentiles, ServerUse, Traffic};
use crate::schedule::Schedule;
use crate::stamp::{self, Stamp, Strange};
use crate::system::Clock;
use crate::tally::{PAIRS_MAX, Tally};
use hdrhistogram::Histogram;
use madang_protocol::client::Class;
use std::io;
use std::time::Duration;

/// Between the last connection's entrance and the first message, at least.
const QUIET_NS: u64 = 300_000_000;
/// Most messages of a run.
const MESSAGES_MAX: f64 = 1e9;
/// Most messages whose spread is followed.
const SPREAD_MAX: f64 = 1e7;
/// Most messages that are sent before the sockets are looked at again.
const SENDS_PER_TURN: usize = 256;
/// A generator that is later than this is itself the limit.
const LATE_US: u64 = 20_000;
/// A generator that is busier than this is itself the limit.
const BUSY: f64 = 0.95;

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) scenario: &'static str,
    /// Only connection 0 sends.
    pub(crate) one_speaker: bool,
    pub(crate) hz: f64,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    /// How long to wait for what has not come when the last message was sent.
    pub(crate) drain: Duration,
    pub(crate) payload_bytes: usize,
    pub(crate) class: Class,
}

/// Runs it. An error says why it could not be run at all.
pub(crate) fn run(plan: Plan, load: &Load, server: Option<Process>) -> Result<Traffic, String> {
    check(&plan, load)?;
    let clock = Clock::start();
    let mut ear = Ear::new(&plan, load);
    let mut fleet = Fleet::new(plan.clone(), clock).map_err(poll_failed)?;
    fleet.open(&mut ear)?;
    fleet.settle(QUIET_NS, Duration::from_secs(10), &mut ear).map_err(poll_failed)?;
    if fleet.tolls().live < plan.connections {
        return Err(format!(
            "only {} of {} connections are in their rooms; {}",
            fleet.tolls().live,
            plan.connections,
            crate::report::troubles(fleet.tolls())
        ));
    }

    let start_ns = clock.now_ns() + 50_000_000;
    let from_ns = start_ns + load.warmup.as_nanos() as u64;
    let to_ns = from_ns + load.duration.as_nanos() as u64;
    ear.window = from_ns..to_ns;
    let senders = if load.one_speaker { 1 } else { plan.connections as u32 };
    let mut run = Run {
        plan: &plan,
        load,
        clock,
        server,
        fleet,
        ear,
        schedule: Schedule::new(0..senders, load.hz, start_ns, to_ns),
        sent: vec![0; senders as usize],
        unsent: 0,
        expected: 0,
        lateness: histogram(),
    };
    let marks = run.send_all(from_ns, to_ns).map_err(poll_failed)?;
    run.drain().map_err(poll_failed)?;
    run.finish(&marks).map_err(poll_failed)
}

fn check(plan: &Plan, load: &Load) -> Result<(), String> {
    let senders = if load.one_speaker { 1 } else { plan.rooms_of };
    if plan.connections.saturating_mul(senders) > PAIRS_MAX {
        return Err(format!(
            "{} connections that each hear {senders} senders are too many to follow; \
             the most is {PAIRS_MAX} pairs",
            plan.connections
        ));
    }
    let each = load.hz * (load.warmup + load.duration).as_secs_f64();
    let speakers = if load.one_speaker { 1 } else { plan.connections };
    let most = if load.one_speaker { SPREAD_MAX } else { MESSAGES_MAX };
    if each * speakers as f64 > most {
        return Err(format!(
            "more than {most} messages in one run; send less or for a shorter time"
        ));
    }
    Ok(())
}

fn poll_failed(error: io::Error) -> String {
    format!("poll: {error}")
}

struct Run<'a> {
    plan: &'a Plan,
    load: &'a Load,
    clock: Clock,
    server: Option<Process>,
    fleet: Fleet,
    ear: Ear,
    schedule: Schedule,
    /// By sender.
    sent: Vec<u64>,
    /// Due, but their connection was gone or took no more.
    unsent: u64,
    /// Deliveries that the messages sent so far should lead to.
    expected: u64,
    /// How long after its time each message was handed to the system, in microseconds.
    lateness: Histogram<u64>,
}

/// What was true at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at_ns: u64,
    received: u64,
    frames_in: u64,
    bytes_in: u64,
    server: Option<(Cpu, Memory)>,
    own: Cpu,
}

impl Run<'_> {
    /// Sends what is due when it is due; returns what was true at both ends of the window.
    fn send_all(&mut self, from_ns: u64, to_ns: u64) -> io::Result<[Mark; 2]> {
        let mut from = None;
        let mut payload = Vec::new();
        loop {
            let now_ns = self.clock.now_ns();
            if from.is_none() && now_ns >= from_ns {
                from = Some(self.mark());
            }
            for _ in 0..SENDS_PER_TURN {
                let Some(due) = self.schedule.pop(now_ns) else { break };
                self.send(due, &mut payload);
            }
            // At the window's start a mark is due even when no message is.
            let mark_ns = if from.is_none() { from_ns } else { to_ns };
            let next_ns = self.schedule.next_ns().unwrap_or(to_ns).min(mark_ns);
            if now_ns >= to_ns && self.schedule.next_ns().is_none() {
                let to = self.mark();
                return Ok([from.unwrap_or(to), to]);
            }
            self.fleet.turn(next_ns, &mut self.ear)?;
        }
    }

    fn send(&mut self, due: crate::schedule::Due, payload: &mut Vec<u8>) {
        let sender = due.sender as usize;
        let stamp = Stamp { sender: due.sender, number: self.sent[sender], intended_ns: due.at_ns };
        stamp::write(&stamp, self.load.payload_bytes, payload);
        if !self.fleet.publish(sender, self.load.class, payload) {
            self.unsent += 1;
            return;
        }
        self.sent[sender] += 1;
        self.expected += self.hearers(sender);
        let late_ns = self.clock.now_ns().saturating_sub(due.at_ns);
        self.lateness.saturating_record(late_ns / 1000);
    }

    /// How many hear a sender.
    fn hearers(&self, sender: usize) -> u64 {
        let room = self.room(sender).len() as u64;
        if self.is_echoed() { room } else { room - 1 }
    }

    /// The connections in a sender's room.
    fn room(&self, sender: usize) -> std::ops::Range<usize> {
        let first = sender / self.plan.rooms_of * self.plan.rooms_of;
        first..(first + self.plan.rooms_of).min(self.plan.connections)
    }

    /// What is not logged never comes back to its sender.
    fn is_echoed(&self) -> bool {
        self.plan.entrance.echo && self.load.class == Class::Reliable
    }

    fn drain(&mut self) -> io::Result<()> {
        let end_ns = self.clock.now_ns() + self.load.drain.as_nanos() as u64;
        while self.ear.tally.counts().received < self.expected && self.clock.now_ns() < end_ns {
            let until_ns = end_ns.min(self.clock.now_ns() + 50_000_000);
            self.fleet.turn(until_ns, &mut self.ear)?;
        }
        // What comes twice comes now.
        self.fleet.settle(QUIET_NS, Duration::from_secs(1), &mut self.ear)
    }

    fn mark(&self) -> Mark {
        let tolls = self.fleet.tolls();
        Mark {
            at_ns: self.clock.now_ns(),
            received: self.ear.tally.counts().received,
            frames_in: tolls.frames_in,
            bytes_in: tolls.bytes_in,
            server: self
                .server
                .and_then(|server| Some((server.cpu().ok()?, server.memory().ok()?))),
            own: Process::own().cpu().unwrap_or_default(),
        }
    }

    fn finish(mut self, [from, to]: &[Mark; 2]) -> io::Result<Traffic> {
        for sender in 0..self.sent.len() {
            for receiver in self.room(sender) {
                if receiver != sender || self.is_echoed() {
                    let place = sender % self.plan.rooms_of;
                    self.ear.tally.finish(receiver, place, self.sent[sender]);
                }
            }
        }
        let counts = self.ear.tally.counts();
        let tolls = self.fleet.tolls().clone();
        self.fleet.close(&mut self.ear)?;

        let wall_us = ((to.at_ns - from.at_ns) / 1000).max(1) as f64;
        let deliveries = (to.received - from.received).max(1);
        let own_us = (to.own.user_us + to.own.system_us) - (from.own.user_us + from.own.system_us);
        let generator_cpu = own_us as f64 / wall_us;
        let server = from.server.zip(to.server).map(|((cpu, _), (end_cpu, memory))| {
            let user_us = (end_cpu.user_us - cpu.user_us) as f64;
            let system_us = (end_cpu.system_us - cpu.system_us) as f64;
            ServerUse {
                user_us_per_delivery: user_us / deliveries as f64,
                system_us_per_delivery: system_us / deliveries as f64,
                us_per_delivery: (user_us + system_us) / deliveries as f64,
                cores: (user_us + system_us) / wall_us,
                memory,
            }
        });

        let lateness = Percentiles::of(&self.lateness);
        let mut warnings = Vec::new();
        if generator_cpu > BUSY || lateness.p99_us > LATE_US {
            warnings.push("the generator was at its limit: these figures say little of the server");
        }
        let is_reliable = self.load.class == Class::Reliable;
        let passed = (counts.lost == 0 || !is_reliable)
            && counts.repeated == 0
            && counts.disordered == 0
            && self.ear.corrupt == 0
            && self.ear.foreign == 0
            && self.unsent == 0
            && tolls.live == self.plan.connections
            && tolls.errors == 0;
        Ok(Traffic {
            scenario: self.load.scenario,
            protocol: self.plan.dialect.name(),
            class: class_name(self.load.class),
            connections: self.plan.connections,
            rooms_of: self.plan.rooms_of,
            hz: self.load.hz,
            payload_bytes: self.load.payload_bytes,
            echo: self.is_echoed(),
            window_seconds: wall_us / 1e6,
            sent: self.sent.iter().sum(),
            unsent: self.unsent,
            expected: self.expected,
            received: counts.received,
            reach: counts.received as f64 / self.expected.max(1) as f64,
            lost: counts.lost,
            repeated: counts.repeated,
            disordered: counts.disordered,
            corrupt: self.ear.corrupt,
            foreign: self.ear.foreign,
            deliveries_per_second: deliveries as f64 / wall_us * 1e6,
            frames_per_second: (to.frames_in - from.frames_in) as f64 / wall_us * 1e6,
            bytes_per_second: (to.bytes_in - from.bytes_in) as f64 / wall_us * 1e6,
            latency: Percentiles::of(&self.ear.latency),
            spread: self.load.one_speaker.then(|| Percentiles::of(&self.ear.spreads())),
            lateness,
            generator_cpu,
            server,
            live_at_end: tolls.live,
            closed: tolls.closed,
            broken: tolls.broken,
            errors: tolls.errors,
            first_error: tolls.first_error,
            warnings,
            passed,
        })
    }
}

/// What all connections hear.
struct Ear {
    rooms_of: usize,
    connections: usize,
    payload_bytes: usize,
    window: std::ops::Range<u64>,
    tally: Tally,
    latency: Histogram<u64>,
    corrupt: u64,
    foreign: u64,
    /// By the speaker's number: first and last arrival and how many there were.
    arrivals: Option<Vec<Arrivals>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    first_ns: u64,
    last_ns: u64,
    count: u32,
    in_window: bool,
}

impl Ear {
    fn new(plan: &Plan, load: &Load) -> Self {
        let senders = if load.one_speaker { 1 } else { plan.rooms_of };
        Self {
            rooms_of: plan.rooms_of,
            connections: plan.connections,
            payload_bytes: load.payload_bytes,
            window: 0..0,
            tally: Tally::new(plan.connections, senders),
            latency: histogram(),
            corrupt: 0,
            foreign: 0,
            arrivals: load.one_speaker.then(Vec::new),
        }
    }

    /// How far the first and the last receiver of each message were apart, in microseconds; only
    /// of those that everyone but the speaker has.
    fn spreads(&self) -> Histogram<u64> {
        let mut spreads = histogram();
        for arrivals in self.arrivals.iter().flatten() {
            if arrivals.in_window && arrivals.count as usize + 1 >= self.connections {
                spreads.saturating_record((arrivals.last_ns - arrivals.first_ns) / 1000);
            }
        }
        spreads
    }
}

impl Listener for Ear {
    fn message(&mut self, conn: usize, payload: &[u8], now_ns: u64) {
        let stamp = match stamp::read(payload, self.payload_bytes) {
            Ok(stamp) => stamp,
            Err(Strange::Corrupt) => {
                self.corrupt += 1;
                return;
            }
            Err(Strange::Foreign) => {
                self.foreign += 1;
                return;
            }
        };
        let sender = stamp.sender as usize;
        let is_speaker = self.arrivals.is_none() || sender == 0;
        if conn / self.rooms_of != sender / self.rooms_of || !is_speaker {
            self.foreign += 1;
            return;
        }
        if !self.tally.take(conn, sender % self.rooms_of, stamp.number) {
            return;
        }
        let in_window = self.window.contains(&stamp.intended_ns);
        if in_window {
            self.latency.saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1000);
        }
        if let Some(all) = &mut self.arrivals {
            let number = stamp.number as usize;
            if all.len() <= number {
                // Bounded by the messages of a run: the number is the speaker's own.
                all.resize(number + 1, Arrivals::default());
            }
            let arrivals = &mut all[number];
            if arrivals.count == 0 {
                *arrivals = Arrivals { first_ns: now_ns, last_ns: now_ns, count: 0, in_window };
            }
            arrivals.last_ns = now_ns;
            arrivals.count += 1;
        }
    }

    fn alive(&mut self, _: usize) {}
}

/// Microseconds up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Reliable => "reliable",
        Class::Latest(_) => "latest",
        Class::Volatile => "volatile",
    }
}
