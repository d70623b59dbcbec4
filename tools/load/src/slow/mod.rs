//! The scenarios of too much. Of slow readers: in rooms whose members send, a share of the members reads
//! late or not at all. The others have to get everything in time, and the slow ones what the delivery class
//! promises them. Of overload: everybody sends and reads, but it is more than the server or this tool
//! can do, and everybody has to get what the class promises.
//!
//! * reliable: the server closes whoever falls behind too far, and a resume brings what was missed.
//! * latest: the newest value of each sender arrives, and the server counts those that it left out.
//! * volatile: the server counts what it dropped.

mod ears;

use crate::crowd::{self, Acts, Crowd, Scene, Speech};
use crate::desk::{Desk, Stage};
use crate::dice::Dice;
use crate::fleet::Plan;
use crate::journal::{TOLD, UNKNOWN};
use crate::outcome::{Outcome, Times};
use crate::returns::Returns;
use crate::sessions::{Audience, End, Line, Place, Sessions};
use crate::system::Clock;
use crate::traffic::{QUIET_NS, poll_failed};
use crate::vitals::Vitals;
use ears::Ears;
use madang_protocol::client::Class;
use madang_protocol::{CloseCode, ServerMessage};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Until one that was cut off comes back, and between two tries.
const RETURN_NS: f64 = 5e7;
/// Most times that one comes back.
const TRIES_MAX: u32 = 1000;

/// Slow readers.
const MEMBERS: &str = "slow.members";
/// Connections of slow readers that the server ended as too slow, and otherwise.
const CLOSED: &str = "slow.closed";
const BROKEN: &str = "slow.broken";
/// Those that came back, with what they had missed and without, and those whose session was gone.
const RECOVERED: &str = "slow.recovered";
const NOT_RECOVERED: &str = "slow.not_recovered";
const NOT_RESUMED: &str = "slow.not_resumed";
/// Connections of the others that ended.
const HEALTHY_ENDED: &str = "healthy_ended";

/// A worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) class: Class,
    pub(crate) hz: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) drain: Duration,
    /// Who does not read. None where everybody sends and reads, and may be too slow for what comes:
    /// overload.
    pub(crate) lapses: Option<Lapses>,
    pub(crate) pid: Option<u32>,
    /// Members of all workers together.
    pub(crate) everyone: usize,
}

/// A share of the members sends nothing, and reads late or not at all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Lapses {
    /// Which part of the members.
    pub(crate) share: f64,
    /// How long one does not read at a time; nothing is until the end.
    pub(crate) pause: Option<Duration>,
    /// The system's buffer for what comes to one.
    pub(crate) receive_bytes: usize,
}

impl Lapses {
    /// Whether a member lapses: so that each room has its share.
    fn takes(&self, number: usize) -> bool {
        let number = number as f64;
        ((number + 1.0) * self.share).floor() > (number * self.share).floor()
    }
}

impl Job {
    /// Shares for so many processes, which together are this one; the first looks at the server.
    pub(crate) fn split(&self, processes: usize) -> Vec<Self> {
        let shares = self.plan.shares(self.plan.rooms_of, processes);
        let mut jobs: Vec<_> =
            shares.into_iter().map(|plan| Self { plan, ..self.clone() }).collect();
        jobs.iter_mut().skip(1).for_each(|job| job.pid = None);
        jobs
    }

    /// What can only be said of all workers together.
    pub(crate) fn conclude(outcome: &mut Outcome) {
        for (name, what) in [
            (HEALTHY_ENDED, "connections of members that read in time ended"),
            (NOT_RESUMED, "sessions of slow members were gone when they came back"),
            (
                NOT_RECOVERED,
                "rooms did not have what a slow member had missed (their history is too short)",
            ),
            (TOLD, "messages were told to be missing"),
            (UNKNOWN, "messages were sent, never answered, and no room has them"),
            (ears::STALE, "newest values did not arrive"),
            (ears::UNACCOUNTED, "messages did not arrive and are in no count of the server"),
            (ears::MISCOUNTED, "members' counts at the server are not what they received"),
            (ears::SILENT, "members were not told their counts"),
        ] {
            let count = outcome.count(name);
            if count > 0 {
                outcome.fail(format!("{count} {what}"));
            }
        }
    }

    /// The scenario's name.
    pub(crate) fn name(&self) -> &'static str {
        if self.lapses.is_some() { "slow" } else { "overload" }
    }

    /// Whether a session does not read in time on purpose.
    fn lapses(&self, number: usize) -> bool {
        self.lapses.is_some_and(|lapses| lapses.takes(self.plan.first + number))
    }

    /// Whether a session may fall behind.
    fn is_slow(&self, number: usize) -> bool {
        self.lapses.is_none() || self.lapses(number)
    }

    fn receive_bytes(&self, number: usize) -> Option<usize> {
        self.lapses.filter(|_| self.lapses(number)).map(|lapses| lapses.receive_bytes)
    }

    fn settings(&self, outcome: &mut Outcome) {
        outcome.set("protocol", self.plan.dialect.name());
        outcome.set("transport", self.plan.transport.name());
        outcome.set("class", class_name(self.class));
        outcome.set("connections", self.everyone);
        outcome.set("rooms_of", self.plan.rooms_of);
        outcome.set("hz", self.hz);
        outcome.set("payload_bytes", self.payload_bytes);
        if let Some(lapses) = self.lapses {
            outcome.set("slow_share", lapses.share);
            match lapses.pause {
                Some(pause) => outcome.set("pause_seconds", pause.as_secs_f64()),
                None => outcome.set("never", true),
            }
            outcome.set("receive_bytes", lapses.receive_bytes);
        }
        outcome.set("warmup_seconds", self.warmup.as_secs_f64());
        outcome.set("duration_seconds", self.duration.as_secs_f64());
    }
}

/// Runs a share. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let mut sessions = Sessions::new(job.plan.clone(), crowd::TYPE).map_err(poll_failed)?;
    let everybody = 0..job.plan.connections;
    let mut room = Room::new(job, &sessions)?;
    sessions.open(everybody.clone(), |number| job.receive_bytes(number), &mut room)?;
    sessions.settle(QUIET_NS, Duration::from_secs(10), &mut room).map_err(poll_failed)?;
    crowd::all_there(&sessions, everybody.clone())?;

    let acts = Acts::new(desk.meet(Stage::Opened)?, job.warmup, job.duration);
    room.ears.hearing.latency.window = acts.window();
    if job.lapses.is_some() {
        room.lapses_ns = acts.from_ns;
        room.wakes_ns = acts.to_ns;
    }
    let speech = Speech { class: job.class, hz: job.hz, payload_bytes: job.payload_bytes };
    let senders = everybody.filter(|number| !job.lapses(*number));
    room.crowd = Some(Crowd::new(&sessions, senders, speech, acts.start_ns..acts.to_ns)?);
    let mut outcome = Outcome::new(job.name());
    outcome.may_not_send = job.lapses.is_none();
    job.settings(&mut outcome);
    crowd::play(&mut sessions, &mut room, &acts, (desk, &mut outcome))?;

    let end_ns = Clock.now_ns() + job.drain.as_nanos() as u64;
    room.catch_up(&mut sessions, end_ns)?;
    if job.class != Class::Reliable {
        // Who is told its counts knows that the server has read everything from it; when everybody is, it
        // has read everything. What came of that is in the counts of the second time.
        for _ in 0..2 {
            room.count(&mut sessions, job.drain)?;
        }
    }
    room.finish(&sessions, &mut outcome);
    crowd::put_tolls(&sessions, &mut outcome);
    sessions.close(&mut room).map_err(poll_failed)?;
    Ok(outcome)
}

pub(crate) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Reliable => "reliable",
        Class::Latest(_) => "latest",
        Class::Volatile => "volatile",
    }
}

/// Everybody who is in a room.
struct Room {
    job: Job,
    crowd: Option<Crowd>,
    ears: Ears,
    /// Who was ended and comes back, and who reads next.
    returns: Returns,
    reads: Returns,
    /// Those that came back and read until they have what they missed.
    catching_up: Vec<usize>,
    dice: Dice,
    tries: Vec<u32>,
    /// When the slow ones begin not to read, and when they read again.
    lapses_ns: u64,
    wakes_ns: u64,
    lapsed: bool,
    awake: bool,
    vitals: Vitals,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    closed: u64,
    broken: u64,
    recovered: u64,
    not_recovered: u64,
    not_resumed: u64,
    healthy_ended: u64,
}

impl Room {
    fn new(job: &Job, sessions: &Sessions) -> Result<Self, String> {
        // Under overload what is felt is what all feel.
        let slow = (0..job.plan.connections).map(|number| job.lapses(number)).collect();
        Ok(Self {
            job: job.clone(),
            crowd: None,
            ears: Ears::new(sessions, job.class, job.payload_bytes, slow)?,
            returns: Returns::default(),
            reads: Returns::default(),
            catching_up: Vec::new(),
            dice: Dice::new(job.plan.first as u64, 1),
            tries: vec![0; job.plan.connections],
            lapses_ns: u64::MAX,
            wakes_ns: u64::MAX,
            lapsed: false,
            awake: false,
            vitals: Vitals::new(job.pid)?,
            counts: Counts::default(),
        })
    }

    /// From now on a slow one is not read.
    fn lapse(&mut self, sessions: &mut Sessions, number: usize, now_ns: u64) {
        sessions.set_read(number, false, self);
        if let Some(pause) = self.job.lapses.and_then(|lapses| lapses.pause) {
            // Not all of them at the same moment.
            let wait_ns = pause.as_nanos() as f64 * self.dice.between(0.5, 1.5);
            self.reads.add(now_ns + wait_ns as u64, number);
        }
    }

    /// Brings back who was ended, and reads who is to be read.
    fn tend(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<(), String> {
        while let Some((_, number)) = self.returns.pop(now_ns) {
            if !sessions.line(number).is_connected() {
                sessions.set_read(number, true, self);
                sessions.begin(number, self.job.receive_bytes(number))?;
                self.catching_up.push(number);
            }
        }
        for number in std::mem::take(&mut self.catching_up) {
            let line = sessions.line(number);
            if line.is_connected() && !line.is_up_to_date() {
                self.catching_up.push(number);
            } else if line.is_connected() && self.lapsed && !self.awake {
                self.lapse(sessions, number, now_ns);
            }
        }
        while let Some((_, number)) = self.reads.pop(now_ns) {
            let line = sessions.line(number);
            if self.awake || line.is_read() || !line.is_connected() {
                continue;
            }
            sessions.read(number, self);
            self.lapse(sessions, number, now_ns);
        }
        Ok(())
    }

    /// Lets everybody read until nothing more comes.
    fn catch_up(&mut self, sessions: &mut Sessions, end_ns: u64) -> Result<(), String> {
        loop {
            self.tend(sessions, Clock.now_ns())?;
            let is_whole = |line: &Line| {
                line.is_up_to_date() && line.room().is_some_and(|room| room.unanswered() == 0)
            };
            if self.returns.is_empty() && sessions.lines().iter().all(is_whole) {
                let before = sessions.tolls().reads;
                sessions.settle(QUIET_NS, Duration::from_secs(1), self).map_err(poll_failed)?;
                if sessions.tolls().reads == before {
                    return Ok(());
                }
            }
            if Clock.now_ns() >= end_ns {
                return Ok(());
            }
            let until_ns = self.returns.next_ns().min(Clock.now_ns() + 50_000_000);
            sessions.turn(until_ns, self).map_err(poll_failed)?;
        }
    }

    /// Has everybody told its counts.
    fn count(&mut self, sessions: &mut Sessions, patience: Duration) -> Result<(), String> {
        self.ears.forget_counts();
        for number in 0..sessions.lines().len() {
            sessions.line_mut(number).ask_stats();
        }
        let end_ns = Clock.now_ns() + patience.as_nanos() as u64;
        while self.ears.counted() < sessions.lines().len() && Clock.now_ns() < end_ns {
            sessions.turn(end_ns, self).map_err(poll_failed)?;
        }
        Ok(())
    }

    fn finish(&mut self, sessions: &Sessions, outcome: &mut Outcome) {
        let Some(crowd) = self.crowd.take() else { return };
        crowd.finish(outcome);
        self.ears.finish(&crowd, sessions, outcome);
        let members = (0..sessions.lines().len()).filter(|number| self.job.is_slow(*number));
        let counts = self.counts;
        for (name, count) in [
            (MEMBERS, members.count() as u64),
            (CLOSED, counts.closed),
            (BROKEN, counts.broken),
            (RECOVERED, counts.recovered),
            (NOT_RECOVERED, counts.not_recovered),
            (NOT_RESUMED, counts.not_resumed),
            (HEALTHY_ENDED, counts.healthy_ended),
        ] {
            outcome.add(name, count);
        }
        self.vitals.put(outcome);
    }
}

impl Audience for Room {
    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, place: Place, now_ns: u64) {
        self.ears.hear(line, message, place, now_ns);
        let ServerMessage::Joined(joined) = message else { return };
        if self.tries[line.number()] == 0 {
            return;
        }
        match (joined.r#ref, joined.recovered) {
            (Some(_), _) => self.counts.not_resumed += 1,
            (None, true) => self.counts.recovered += 1,
            (None, false) => self.counts.not_recovered += 1,
        }
    }

    fn ended(&mut self, line: &mut Line, end: &End, now_ns: u64) {
        let number = line.number();
        if self.job.is_slow(number) {
            match end {
                End::Closed(code) if *code == CloseCode::SLOW_CONSUMER.code => {
                    self.counts.closed += 1;
                }
                _ => self.counts.broken += 1,
            }
        } else {
            self.counts.healthy_ended += 1;
        }
        self.ears.interrupted(number);
        self.tries[number] += 1;
        if self.tries[number] <= TRIES_MAX {
            let wait_ns = RETURN_NS * self.dice.between(0.5, 1.5);
            self.returns.add(now_ns + wait_ns as u64, number);
        }
    }
}

impl Scene for Room {
    fn step(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<u64, String> {
        self.vitals.look(now_ns);
        if !self.lapsed && now_ns >= self.lapses_ns {
            self.lapsed = true;
            for number in 0..sessions.lines().len() {
                if self.job.lapses(number) {
                    self.lapse(sessions, number, now_ns);
                }
            }
        }
        if !self.awake && now_ns >= self.wakes_ns {
            self.awake = true;
            for number in 0..sessions.lines().len() {
                sessions.set_read(number, true, self);
            }
        }
        self.tend(sessions, now_ns)?;
        let Some(crowd) = &mut self.crowd else { return Ok(u64::MAX) };
        let ears = &mut self.ears;
        crowd.send_due(sessions, |session, _| ears.sent(session));
        let mut next_ns = crowd.next_ns().min(self.returns.next_ns()).min(self.reads.next_ns());
        if !self.lapsed {
            next_ns = next_ns.min(self.lapses_ns);
        }
        if !self.catching_up.is_empty() {
            next_ns = next_ns.min(now_ns + 10_000_000);
        }
        Ok(next_ns)
    }

    fn counted(&self) -> (u64, u64) {
        (self.crowd.as_ref().map_or(0, Crowd::total), self.ears.received())
    }

    fn take_second(&mut self) -> Times {
        self.ears.hearing.latency.take_second()
    }

    fn lateness(&self) -> Option<&Times> {
        self.crowd.as_ref().map(Crowd::lateness)
    }
}
