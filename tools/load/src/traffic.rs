//! Scenarios in which connections send: everyone in small rooms, or one speaker to many.

use crate::ear::Ear;
use crate::fleet::{Fleet, Plan, Tolls};
use crate::process::{Cpu, Memory, Process};
use crate::report::{Percentiles, ServerUse, Traffic};
use crate::system::Clock;
use crate::talk::Talk;
use crate::tally::PAIRS_MAX;
use madang_protocol::client::Class;
use std::io;
use std::ops::Range;
use std::time::Duration;

/// Between the last connection's entrance and the first message, at least.
pub(crate) const QUIET_NS: u64 = 300_000_000;
/// Between everything being ready and the first message.
pub(crate) const PAUSE_NS: u64 = 50_000_000;
/// Most messages of a run.
const MESSAGES_MAX: f64 = 1e9;
/// Most messages whose spread is followed.
const SPREAD_MAX: f64 = 1e7;
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
    check(plan.connections, plan.rooms_of, load)?;
    let clock = Clock::start();
    let mut ear = Ear::new(plan.connections, plan.rooms_of, load);
    let mut fleet = Fleet::new(plan.clone(), clock).map_err(poll_failed)?;
    fleet.open(&mut ear)?;
    fleet.settle(QUIET_NS, Duration::from_secs(10), &mut ear).map_err(poll_failed)?;
    all_in_their_rooms(&fleet, plan.connections)?;

    let times = Times::from_now(clock, load);
    ear.window = times.window();
    let mut players = Players::new(clock, &plan, plan.connections, load, &times);
    let marks = send_all(&mut fleet, &mut ear, &mut players, &times, (clock, server))
        .map_err(poll_failed)?;
    let end_ns = clock.now_ns() + load.drain.as_nanos() as u64;
    while ear.tally.counts().received < players.expected && clock.now_ns() < end_ns {
        let until_ns = end_ns.min(clock.now_ns() + 50_000_000);
        fleet.turn(until_ns, &mut ear).map_err(poll_failed)?;
    }
    // What comes twice comes now.
    fleet.settle(QUIET_NS, Duration::from_secs(1), &mut ear).map_err(poll_failed)?;
    let found = players.finish(&mut ear, &fleet, &marks);
    fleet.close(&mut ear).map_err(poll_failed)?;
    Ok(found)
}

/// Sends what is due when it is due; returns what was true at both ends of the window.
fn send_all(
    fleet: &mut Fleet,
    ear: &mut Ear,
    players: &mut Players,
    times: &Times,
    (clock, server): (Clock, Option<Process>),
) -> io::Result<[Mark; 2]> {
    let mut from = None;
    loop {
        let now_ns = clock.now_ns();
        if from.is_none() && now_ns >= times.from_ns {
            from = Some(Mark::take(now_ns, ear, fleet.tolls(), server));
        }
        players.send_due(fleet);
        // At the window's start a mark is due even when no message is.
        let mark_ns = if from.is_none() { times.from_ns } else { times.to_ns };
        let next_ns = players.next_ns();
        if now_ns >= times.to_ns && next_ns.is_none() {
            let to = Mark::take(now_ns, ear, fleet.tolls(), server);
            return Ok([from.unwrap_or(to), to]);
        }
        fleet.turn(next_ns.unwrap_or(times.to_ns).min(mark_ns), ear)?;
    }
}

/// Refuses what cannot be followed.
pub(crate) fn check(connections: usize, rooms_of: usize, load: &Load) -> Result<(), String> {
    let senders = if load.one_speaker { 1 } else { rooms_of };
    if connections.saturating_mul(senders) > PAIRS_MAX {
        return Err(format!(
            "{connections} connections that each hear {senders} senders are too many to follow; \
             the most is {PAIRS_MAX} pairs"
        ));
    }
    let each = load.hz * (load.warmup + load.duration).as_secs_f64();
    let speakers = if load.one_speaker { 1 } else { connections };
    let most = if load.one_speaker { SPREAD_MAX } else { MESSAGES_MAX };
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
    let troubles = crate::report::troubles(fleet.tolls());
    Err(format!("only {live} of {connections} connections are in their rooms; {troubles}"))
}

pub(crate) fn poll_failed(error: io::Error) -> String {
    format!("poll: {error}")
}

/// Why the figures say little of the server, if they do.
pub(crate) fn generator_warning(cpu: f64, lateness: &Percentiles) -> Option<&'static str> {
    (cpu > BUSY || lateness.p99_us > LATE_US)
        .then_some("the generator was at its limit: these figures say little of the server")
}

/// When a run sends and measures, in nanoseconds of its clock.
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) start_ns: u64,
    /// The warm-up is over.
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
}

impl Times {
    /// Those of a load that begins after a short pause.
    pub(crate) fn from_now(clock: Clock, load: &Load) -> Self {
        let start_ns = clock.now_ns() + PAUSE_NS;
        let from_ns = start_ns + load.warmup.as_nanos() as u64;
        Self { start_ns, from_ns, to_ns: from_ns + load.duration.as_nanos() as u64 }
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
    bytes_in: u64,
    server: Option<(Cpu, Memory)>,
    own: Cpu,
}

impl Mark {
    pub(crate) fn take(at_ns: u64, ear: &Ear, tolls: &Tolls, server: Option<Process>) -> Self {
        Self {
            at_ns,
            received: ear.tally.counts().received,
            frames_in: tolls.frames_in,
            bytes_in: tolls.bytes_in,
            server: server.and_then(|server| Some((server.cpu().ok()?, server.memory().ok()?))),
            own: Process::own().cpu().unwrap_or_default(),
        }
    }

    /// Microseconds since an earlier one, above 0.
    pub(crate) fn us_since(&self, earlier: &Self) -> f64 {
        ((self.at_ns - earlier.at_ns) / 1000).max(1) as f64
    }

    /// CPU seconds a second of this process since an earlier one.
    pub(crate) fn own_cores_since(&self, earlier: &Self) -> f64 {
        (self.own.total_us() - earlier.own.total_us()) as f64 / self.us_since(earlier)
    }

    /// What the server used since an earlier one, for so many deliveries.
    pub(crate) fn server_since(&self, earlier: &Self, deliveries: u64) -> Option<ServerUse> {
        let ((cpu, _), (end_cpu, memory)) = earlier.server.zip(self.server)?;
        let user_us = (end_cpu.user_us - cpu.user_us) as f64;
        let system_us = (end_cpu.system_us - cpu.system_us) as f64;
        let deliveries = deliveries.max(1) as f64;
        Some(ServerUse {
            user_us_per_delivery: user_us / deliveries,
            system_us_per_delivery: system_us / deliveries,
            us_per_delivery: (user_us + system_us) / deliveries,
            cores: (user_us + system_us) / self.us_since(earlier),
            memory,
        })
    }
}

/// The first connections of a fleet, which send to each other.
pub(crate) struct Players {
    load: Load,
    protocol: &'static str,
    connections: usize,
    rooms_of: usize,
    echo: bool,
    talk: Talk,
    /// Deliveries that the messages sent so far should lead to.
    expected: u64,
}

impl Players {
    pub(crate) fn new(
        clock: Clock,
        plan: &Plan,
        connections: usize,
        load: &Load,
        times: &Times,
    ) -> Self {
        let senders = if load.one_speaker { 1 } else { connections };
        let what = (load.class, load.payload_bytes);
        Self {
            load: load.clone(),
            protocol: plan.dialect.name(),
            connections,
            rooms_of: plan.rooms_of,
            echo: plan.entrance.echo,
            talk: Talk::new(clock, 0..senders, load.hz, what, times.start_ns..times.to_ns),
            expected: 0,
        }
    }

    /// When the next message is due; `None` after the last one.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.talk.next_ns()
    }

    /// Deliveries that the messages sent so far should lead to.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    pub(crate) fn send_due(&mut self, fleet: &mut Fleet) {
        let is_echoed = self.is_echoed();
        let (rooms_of, connections) = (self.rooms_of, self.connections);
        let expected = &mut self.expected;
        self.talk.send_due(fleet, |sender| {
            let room = room(sender, rooms_of, connections).len() as u64;
            *expected += if is_echoed { room } else { room - 1 };
        });
    }

    /// What is not logged never comes back to its sender.
    fn is_echoed(&self) -> bool {
        self.echo && self.load.class == Class::Reliable
    }

    /// Nothing more comes.
    pub(crate) fn finish(self, ear: &mut Ear, fleet: &Fleet, [from, to]: &[Mark; 2]) -> Traffic {
        for (sender, sent) in self.talk.sent().iter().enumerate() {
            for receiver in room(sender, self.rooms_of, self.connections) {
                if receiver != sender || self.is_echoed() {
                    ear.tally.finish(receiver, sender % self.rooms_of, *sent);
                }
            }
        }
        let counts = ear.tally.counts();
        let tolls = fleet.tolls().clone();
        let live = (0..self.connections).filter(|conn| fleet.is_live(*conn)).count();

        let wall_us = to.us_since(from);
        let deliveries = (to.received - from.received).max(1);
        let generator_cpu = to.own_cores_since(from);
        let lateness = Percentiles::of(self.talk.lateness());
        let is_reliable = self.load.class == Class::Reliable;
        let passed = (counts.lost == 0 || !is_reliable)
            && counts.repeated == 0
            && counts.disordered == 0
            && ear.corrupt == 0
            && ear.foreign == 0
            && self.talk.unsent() == 0
            && live == self.connections
            && tolls.errors == 0;
        Traffic {
            scenario: self.load.scenario,
            protocol: self.protocol,
            class: class_name(self.load.class),
            connections: self.connections,
            rooms_of: self.rooms_of,
            hz: self.load.hz,
            payload_bytes: self.load.payload_bytes,
            echo: self.is_echoed(),
            window_seconds: wall_us / 1e6,
            sent: self.talk.sent().iter().sum(),
            unsent: self.talk.unsent(),
            expected: self.expected,
            received: counts.received,
            reach: counts.received as f64 / self.expected.max(1) as f64,
            lost: counts.lost,
            repeated: counts.repeated,
            disordered: counts.disordered,
            corrupt: ear.corrupt,
            foreign: ear.foreign,
            deliveries_per_second: deliveries as f64 / wall_us * 1e6,
            frames_per_second: (to.frames_in - from.frames_in) as f64 / wall_us * 1e6,
            bytes_per_second: (to.bytes_in - from.bytes_in) as f64 / wall_us * 1e6,
            latency: Percentiles::of(&ear.latency),
            spread: self.load.one_speaker.then(|| Percentiles::of(&ear.spreads())),
            lateness,
            generator_cpu,
            server: to.server_since(from, deliveries),
            live_at_end: live,
            closed: tolls.closed,
            broken: tolls.broken,
            errors: tolls.errors,
            first_error: tolls.first_error,
            warnings: generator_warning(generator_cpu, &lateness).into_iter().collect(),
            passed,
        }
    }
}

/// The connections in a sender's room.
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
