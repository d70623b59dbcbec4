//! The scenario of a real game: rooms of kind `arena`, whose members send inputs as the game's page does
//! and receive the room's state, tick by tick.
//!
//! Every so many members keep a copy of what they see and hold it against the room's hash at every tick;
//! the others only count, so that the tool is not the limit.

mod dancer;

use crate::crowd::{self, Acts, Latency, Scene};
use crate::desk::{Desk, Stage};
use crate::fleet::Plan;
use crate::outcome::{BYTES_IN, LATENESS, LIVE_AT_END, Outcome, SENT, Times, UNSENT};
use crate::schedule::Schedule;
use crate::sessions::{Audience, Line, Place, Sessions};
use crate::system::Clock;
use crate::traffic::{QUIET_NS, poll_failed};
use dancer::Dancer;
use madang_protocol::ServerMessage;
use madang_protocol::client::{Class, JoinTarget};
use madang_protocol::parts::{Parts, Taken};
use madang_protocol::server::InputAck;
use madang_protocol::state::Part;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The type of inputs.
const TYPE: &str = "input";
/// The kind of the rooms.
const KIND: &str = "arena";
/// Most inputs of a session that wait for their answer.
const WAITING_MAX: usize = 4096;
/// Most inputs of a run.
const INPUTS_MAX: f64 = 1e9;
/// Inputs that are sent before the sockets are looked at again.
const SENDS_PER_TURN: usize = 256;

/// Inputs that an `input_ack` covered.
const ANSWERED: &str = "answered";
/// Inputs that none did.
const UNANSWERED: &str = "unanswered";
/// Deltas of what all members see, which is one a tick.
const TICKS: &str = "ticks";
/// Deltas of all parts.
const DELTAS: &str = "deltas";
const SNAPSHOTS: &str = "snapshots";
/// Beginnings of the state that a member had not joined for: it was slow, or asked.
const OWED: &str = "owed_snapshots";
/// What the room's rules said: hits, deliveries, rounds.
const MESSAGES: &str = "messages";
/// Hashes that were compared.
const CHECKED: &str = "checked";
const MISMATCHES: &str = "hash_mismatches";
const RESYNCS: &str = "resyncs";
/// Between two ticks, as they came.
const INTERVAL: &str = "tick_interval";
/// How far that was from what it should be.
const JITTER: &str = "tick_jitter";

/// A worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    /// Inputs a second of each member.
    pub(crate) hz: f64,
    /// Ticks a second of the rooms.
    pub(crate) tick_hz: f64,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) drain: Duration,
    /// Of so many members one keeps a copy of the state.
    pub(crate) replica_every: usize,
    pub(crate) seed: u64,
    /// Rooms are found by a match on this label instead of by name.
    pub(crate) matched: Option<String>,
    /// Labels of the rooms that the members' joins create.
    pub(crate) labels: Vec<(String, String)>,
    /// Members of all workers together.
    pub(crate) everyone: usize,
}

impl Job {
    /// Shares for so many processes, which together are this one.
    pub(crate) fn split(&self, processes: usize) -> Vec<Self> {
        let shares = self.plan.shares(self.plan.rooms_of, processes);
        shares.into_iter().map(|plan| Self { plan, ..self.clone() }).collect()
    }

    /// What can only be said of all workers together.
    pub(crate) fn conclude(&self, outcome: &mut Outcome) {
        let bytes = outcome.count(BYTES_IN) as f64;
        let each = bytes / self.everyone as f64 / outcome.window.seconds();
        outcome.figures.insert("bytes_per_client_second".to_owned(), each);
        for (name, what) in [
            (MISMATCHES, "times a member's copy had another hash than the room's state"),
            (UNANSWERED, "inputs were not answered"),
        ] {
            let count = outcome.count(name);
            if count > 0 {
                outcome.fail(format!("{count} {what}"));
            }
        }
        let gone = self.everyone as u64 - outcome.count(LIVE_AT_END).min(self.everyone as u64);
        if gone > 0 {
            outcome.fail(format!("{gone} members ended"));
        }
        if outcome.count(TICKS) == 0 {
            outcome.fail("no tick came".to_owned());
        }
    }
}

/// Runs a share. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let Job { plan, hz, .. } = job;
    let seconds = (job.warmup + job.duration).as_secs_f64();
    if hz * seconds * plan.connections as f64 > INPUTS_MAX {
        return Err(format!(
            "more than {INPUTS_MAX} inputs in one run; send less or for a shorter time"
        ));
    }
    let mut sessions = Sessions::new(plan.clone(), TYPE).map_err(poll_failed)?;
    let mut court = Court::new(job);
    for number in 0..plan.connections {
        let mut entrance = crate::sessions::entrance(plan, plan.room(number));
        if let Some(label) = &job.matched {
            let filter = vec![("load".to_owned(), label.clone())];
            entrance.target = JoinTarget::Match { kind: KIND.to_owned(), filter };
        }
        if let Some(create) = &mut entrance.options.create {
            create.labels.clone_from(&job.labels);
            create.capacity = Some(plan.rooms_of as u32);
        }
        sessions.line_mut(number).set_entrance(entrance);
    }
    sessions.open(0..plan.connections, |_| None, &mut court)?;
    sessions.settle(QUIET_NS, Duration::from_millis(500), &mut court).map_err(poll_failed)?;
    crowd::all_there(&sessions, 0..plan.connections)?;
    if let Some(why) = &court.wrong_room {
        return Err(why.clone());
    }

    let acts = Acts::new(desk.meet(Stage::Opened)?, job.warmup, job.duration);
    court.latency.window = acts.window();
    let numbers = 0..plan.connections as u32;
    court.schedule = Schedule::new(numbers, *hz, acts.start_ns, acts.to_ns);
    let mut outcome = Outcome::new("arena");
    job.settings(&mut outcome);
    crowd::play(&mut sessions, &mut court, &acts, (desk, &mut outcome))?;

    let end_ns = Clock.now_ns() + job.drain.as_nanos() as u64;
    while court.answered < court.sent && Clock.now_ns() < end_ns {
        sessions.turn(end_ns, &mut court).map_err(poll_failed)?;
    }
    court.finish(&mut outcome);
    crowd::put_tolls(&sessions, &mut outcome);
    sessions.close(&mut court).map_err(poll_failed)?;
    Ok(outcome)
}

impl Job {
    fn settings(&self, outcome: &mut Outcome) {
        outcome.set("protocol", self.plan.dialect.name());
        outcome.set("transport", self.plan.transport.name());
        outcome.set("connections", self.everyone);
        outcome.set("rooms_of", self.plan.rooms_of);
        outcome.set("hz", self.hz);
        outcome.set("tick_hz", self.tick_hz);
        outcome.set("replica_every", self.replica_every);
        outcome.set("seed", self.seed);
        outcome.set("matched", self.matched.is_some());
        outcome.set("warmup_seconds", self.warmup.as_secs_f64());
        outcome.set("duration_seconds", self.duration.as_secs_f64());
    }
}

/// Everybody who plays.
struct Court {
    seats: Vec<Seat>,
    schedule: Schedule,
    tick_ns: f64,
    latency: Latency,
    sent: u64,
    unsent: u64,
    answered: u64,
    counts: Counts,
    interval: Times,
    jitter: Times,
    lateness: Times,
    wrong_room: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    ticks: u64,
    deltas: u64,
    snapshots: u64,
    owed: u64,
    messages: u64,
    checked: u64,
    mismatches: u64,
    resyncs: u64,
}

/// One who plays.
struct Seat {
    dancer: Dancer,
    /// Inputs without an answer: their cseq and when they were to be sent.
    waiting: VecDeque<(u64, u64)>,
    /// The newest tick of what all members see, and when it came.
    tick: Option<(u64, u64)>,
    /// Whether it keeps a copy, and the copy.
    keeps: bool,
    parts: Option<Box<Parts>>,
    /// The state that a `joined` brings has not begun.
    is_fresh: bool,
}

impl Court {
    fn new(job: &Job) -> Self {
        let seats = (0..job.plan.connections).map(|number| {
            let number = job.plan.first + number;
            Seat {
                dancer: Dancer::new(job.seed, number as u64),
                waiting: VecDeque::new(),
                tick: None,
                keeps: number.is_multiple_of(job.replica_every),
                parts: None,
                is_fresh: true,
            }
        });
        Self {
            seats: seats.collect(),
            schedule: Schedule::new(0..0, 1.0, 0, 0),
            tick_ns: 1e9 / job.tick_hz,
            latency: Latency::new(),
            sent: 0,
            unsent: 0,
            answered: 0,
            counts: Counts::default(),
            interval: Times::new(),
            jitter: Times::new(),
            lateness: Times::new(),
            wrong_room: None,
        }
    }

    fn covered(&mut self, number: usize, ack: InputAck, now_ns: u64) {
        let waiting = &mut self.seats[number].waiting;
        while let Some((cseq, intended_ns)) = waiting.front().copied() {
            if cseq > ack.cseq.0 {
                break;
            }
            waiting.pop_front();
            self.answered += 1;
            self.latency.record(intended_ns, now_ns);
        }
    }

    /// A tick of what all members see came.
    fn ticked(&mut self, number: usize, tick: u64, now_ns: u64) {
        self.counts.ticks += 1;
        let last = self.seats[number].tick.replace((tick, now_ns));
        let Some((last_tick, last_ns)) = last else { return };
        if !self.latency.window.contains(&now_ns) || tick <= last_tick {
            return;
        }
        let ticks = (tick - last_tick) as f64;
        let took_ns = (now_ns - last_ns) as f64;
        self.interval.record_us((took_ns / ticks / 1000.0) as u64);
        self.jitter.record_us(((took_ns - ticks * self.tick_ns).abs() / 1000.0) as u64);
    }

    /// What became of a message about the state, on a line that keeps a copy.
    fn taken(&mut self, line: &mut Line, taken: &Taken) {
        match taken {
            Taken::Ignored => {}
            Taken::Anew | Taken::Applied => self.counts.checked += 1,
            Taken::Wrong(wrong) => {
                self.counts.mismatches += 1;
                let channel = line.room().map(|room| room.channel);
                if channel.is_some_and(|channel| line.say(&[wrong.resync(channel)])) {
                    self.counts.resyncs += 1;
                }
            }
        }
    }

    fn finish(&mut self, outcome: &mut Outcome) {
        let counts = self.counts;
        let unanswered = self.seats.iter().map(|seat| seat.waiting.len() as u64).sum();
        for (name, count) in [
            (SENT, self.sent),
            (UNSENT, self.unsent),
            (ANSWERED, self.answered),
            (UNANSWERED, unanswered),
            (TICKS, counts.ticks),
            (DELTAS, counts.deltas),
            (SNAPSHOTS, counts.snapshots),
            (OWED, counts.owed),
            (MESSAGES, counts.messages),
            (CHECKED, counts.checked),
            (MISMATCHES, counts.mismatches),
            (RESYNCS, counts.resyncs),
        ] {
            outcome.add(name, count);
        }
        self.latency.put(outcome);
        outcome.add_times(INTERVAL, &self.interval);
        outcome.add_times(JITTER, &self.jitter);
        outcome.add_times(LATENESS, &self.lateness);
    }
}

impl Audience for Court {
    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, _: Place, now_ns: u64) {
        let number = line.number();
        let seat = &mut self.seats[number];
        match message {
            ServerMessage::Joined(joined) => {
                match Parts::of(joined) {
                    Ok(Some(parts)) => seat.parts = seat.keeps.then(|| Box::new(parts)),
                    Ok(None) => {
                        let (room, kind) = (&joined.name, &joined.kind);
                        self.wrong_room = Some(format!(
                            "the room {room} is of kind {kind} and has no state: let its name begin \
                             as the server wants it for rooms of kind {KIND}, by --room"
                        ));
                    }
                    Err(why) => self.wrong_room = Some(why),
                }
                if joined.r#ref.is_some() {
                    seat.dancer.begin();
                }
                (seat.is_fresh, seat.tick) = (true, None);
            }
            ServerMessage::InputAck(ack) => self.covered(number, *ack, now_ns),
            ServerMessage::Delta(delta) => {
                self.counts.deltas += 1;
                let taken = seat.parts.as_mut().map(|parts| parts.delta(delta));
                if delta.part == Part::Members {
                    self.ticked(number, delta.tick, now_ns);
                }
                if let Some(taken) = taken {
                    self.taken(line, &taken);
                }
            }
            ServerMessage::Snapshot(snapshot) => {
                self.counts.snapshots += 1;
                if snapshot.part == Part::Members {
                    self.counts.owed += u64::from(!std::mem::replace(&mut seat.is_fresh, false));
                    seat.tick = Some((snapshot.tick, now_ns));
                }
                if let Some(taken) = seat.parts.as_mut().map(|parts| parts.snapshot(snapshot)) {
                    self.taken(line, &taken);
                }
            }
            ServerMessage::PartGone(gone) => {
                if let Some(parts) = &mut seat.parts {
                    parts.gone(gone);
                }
            }
            ServerMessage::Message(_) => self.counts.messages += 1,
            _ => {}
        }
    }
}

impl Scene for Court {
    fn step(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<u64, String> {
        for _ in 0..SENDS_PER_TURN {
            let Some(due) = self.schedule.pop(now_ns) else { break };
            let number = due.sender as usize;
            let seat = &mut self.seats[number];
            if seat.waiting.len() >= WAITING_MAX {
                self.unsent += 1;
                continue;
            }
            let input = seat.dancer.next();
            match sessions.publish(number, Class::Volatile, &input) {
                Some(cseq) => {
                    seat.waiting.push_back((cseq, due.at_ns));
                    self.sent += 1;
                    self.lateness.record_us(Clock.now_ns().saturating_sub(due.at_ns) / 1000);
                }
                None => self.unsent += 1,
            }
        }
        Ok(self.schedule.next_ns().unwrap_or(u64::MAX))
    }

    fn counted(&self) -> (u64, u64) {
        (self.sent, self.counts.ticks)
    }

    fn take_second(&mut self) -> Times {
        self.latency.take_second()
    }

    fn lateness(&self) -> Option<&Times> {
        Some(&self.lateness)
    }
}
