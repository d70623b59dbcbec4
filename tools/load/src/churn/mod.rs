//! The scenario of coming and going: in each room a few members stay and send, and others come and go all
//! the time: they leave, close, or are cut off, and of these some come back.
//!
//! Whoever is in a room has to hear everything that is said there from the number at which its membership
//! began. In the end each room's list of members has to be who is there, what the staying members were
//! told has to lead to the same, and the server has to hold nothing more than before.

mod roster;

use crate::crowd::{self, Acts, Crowd, Hearing, Scene, Speech};
use crate::desk::{Desk, Stage};
use crate::dice::Dice;
use crate::fleet::Plan;
use crate::journal::{TOLD, UNKNOWN};
use crate::metrics::Source;
use crate::outcome::{Outcome, Times};
use crate::returns::Returns;
use crate::sessions::{Audience, End, Line, Place, Sessions, entrance};
use crate::system::Clock;
use crate::traffic::{QUIET_NS, poll_failed};
use madang_protocol::ServerMessage;
use madang_protocol::client::{Class, PresenceMode};
use madang_protocol::value::Payload;
use roster::{PAGE, Roster};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Memberships that began, and how they ended.
const JOINS: &str = "joins";
const LEFT: &str = "left";
const CLOSED: &str = "closed_by_member";
const ABANDONED: &str = "abandoned";
/// Members that were cut off and came back, with everything they had missed and without.
const RESUMED: &str = "resumed";
const NOT_RECOVERED: &str = "not_recovered";
/// Those whose session was gone.
const NOT_RESUMED: &str = "not_resumed";
/// Connections that the server ended.
const ENDED: &str = "ended";
/// Rooms whose list was compared, and whose list is not who is there.
const LISTS: &str = "lists_checked";
const WRONG_LISTS: &str = "lists_wrong";
/// What the server holds more than before.
const ROOMS_LEFT: &str = "rooms_left";
const SESSIONS_LEFT: &str = "sessions_left";
/// From asking for a room to being in it.
const JOIN: &str = "join";
/// From a resume's connection to being back.
const RESUME: &str = "resume";

/// Between two looks at what is not yet as it should be.
const LOOK: Duration = Duration::from_millis(100);

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Rooms of those who stay, and behind them those who come and go.
    pub(crate) plan: Plan,
    pub(crate) rooms: usize,
    pub(crate) hz: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) drain: Duration,
    /// How long somebody is in a room and out of it, on average.
    pub(crate) stay: Duration,
    pub(crate) pause: Duration,
    /// Of those who go: which part leaves and which closes; the rest is cut off.
    pub(crate) leave: f64,
    pub(crate) close: f64,
    /// Of those who are cut off: which part comes back.
    pub(crate) resume: f64,
    pub(crate) seed: u64,
    /// Where the server says how many rooms and sessions it holds, and how long it may hold those of
    /// this run.
    pub(crate) metrics: Option<(Source, Duration)>,
}

impl Job {
    /// It is not shared: everybody may be in every room.
    pub(crate) fn split(&self, processes: usize) -> Result<Vec<Self>, String> {
        if processes > 1 {
            return Err(
                "--processes: churn is for one, because everybody may be in every room".into()
            );
        }
        Ok(vec![self.clone()])
    }

    pub(crate) fn conclude(outcome: &mut Outcome) {
        for (name, what) in [
            (ENDED, "connections were ended by the server"),
            (NOT_RESUMED, "sessions were gone when their clients came back"),
            (
                NOT_RECOVERED,
                "rooms did not have what a member had missed (its history was too short)",
            ),
            (TOLD, "messages were told to be missing"),
            (UNKNOWN, "messages were sent, never answered, and no room has them"),
            (WRONG_LISTS, "rooms have a list of members that is not who is there"),
            (ROOMS_LEFT, "rooms are left over"),
            (SESSIONS_LEFT, "sessions are left over"),
        ] {
            let count = outcome.count(name);
            if count > 0 {
                outcome.fail(format!("{count} {what}"));
            }
        }
        let rate = outcome.count(JOINS) as f64 / outcome.window.seconds();
        outcome.figures.insert("joins_per_second".to_owned(), rate);
    }

    /// Those who stay.
    fn stayers(&self) -> usize {
        self.rooms * self.plan.rooms_of
    }

    fn settings(&self, outcome: &mut Outcome) {
        outcome.set("protocol", self.plan.dialect.name());
        outcome.set("transport", self.plan.transport.name());
        outcome.set("connections", self.plan.connections);
        outcome.set("rooms", self.rooms);
        outcome.set("staying", self.stayers());
        outcome.set("hz", self.hz);
        outcome.set("payload_bytes", self.payload_bytes);
        outcome.set("stay_seconds", self.stay.as_secs_f64());
        outcome.set("pause_seconds", self.pause.as_secs_f64());
        outcome.set("leave", self.leave);
        outcome.set("close", self.close);
        outcome.set("resume", self.resume);
        outcome.set("seed", self.seed);
        outcome.set("warmup_seconds", self.warmup.as_secs_f64());
        outcome.set("duration_seconds", self.duration.as_secs_f64());
    }
}

/// Runs it. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let held = |source: &Source| source.read(["madang_rooms", "madang_sessions"]);
    let before = job.metrics.as_ref().map(|(source, _)| held(source)).transpose()?;
    let mut sessions = Sessions::new(job.plan.clone(), crowd::TYPE).map_err(poll_failed)?;
    let mut inn = Inn::new(job, &sessions);
    let stayers = 0..job.stayers();
    sessions.open(stayers.clone(), |_| None, &mut inn)?;
    sessions.settle(QUIET_NS, Duration::from_secs(10), &mut inn).map_err(poll_failed)?;
    crowd::all_there(&sessions, stayers.clone())?;

    let acts = Acts::new(desk.meet(Stage::Opened)?, job.warmup, job.duration);
    inn.hearing.latency.window = acts.window();
    inn.to_ns = acts.to_ns;
    for guest in job.stayers()..job.plan.connections {
        // The first ones come spread over the time that one is out and in.
        let spread_ns = (job.stay + job.pause).as_nanos() as f64;
        let wait_ns = inn.dice.between(0.0, spread_ns) as u64;
        inn.moves.add(acts.start_ns + wait_ns, guest);
    }
    let speech = Speech { class: Class::Reliable, hz: job.hz, payload_bytes: job.payload_bytes };
    inn.crowd = Some(Crowd::new(&sessions, stayers, speech, acts.start_ns..acts.to_ns)?);
    let mut outcome = Outcome::new("churn");
    job.settings(&mut outcome);
    crowd::play(&mut sessions, &mut inn, &acts, (desk, &mut outcome))?;

    let end_ns = Clock.now_ns() + job.drain.as_nanos() as u64;
    inn.come_to_rest(&mut sessions, end_ns)?;
    sessions.settle(QUIET_NS, job.drain, &mut inn).map_err(poll_failed)?;
    inn.compare_lists(&mut sessions, job.drain + job.plan.transport.unnoticed())?;
    inn.finish(&sessions, &mut outcome);
    crowd::put_tolls(&sessions, &mut outcome);
    sessions.close(&mut inn).map_err(poll_failed)?;
    if let (Some((source, patience)), Some(before)) = (&job.metrics, before) {
        let end_ns = Clock.now_ns() + patience.as_nanos() as u64;
        let left = loop {
            let now = held(source)?;
            let left = [0, 1].map(|place| now[place].saturating_sub(before[place]));
            if left == [0, 0] || Clock.now_ns() >= end_ns {
                break left;
            }
            std::thread::sleep(LOOK);
        };
        outcome.add(ROOMS_LEFT, left[0]);
        outcome.add(SESSIONS_LEFT, left[1]);
    }
    Ok(outcome)
}

/// All rooms, those who stay in them and those who come and go.
struct Inn {
    job: Job,
    crowd: Option<Crowd>,
    hearing: Hearing,
    dice: Dice,
    seats: Vec<Seat>,
    /// Who does the next thing when.
    moves: Returns,
    /// From then on nobody goes any more.
    to_ns: u64,
    /// By session of those who stay: what it was told; nothing where it is not told by name.
    told: Vec<Option<Roster>>,
    /// By room: what it answers.
    asked: Vec<Asked>,
    counts: Counts,
    join: Times,
    resume: Times,
    wrong: Option<String>,
}

/// What a room answered so far.
#[derive(Clone, Debug, Default)]
struct Asked {
    roster: Roster,
    is_whole: bool,
    /// After whom the next page begins, when it is to be asked for.
    next: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    joins: u64,
    left: u64,
    closed: u64,
    abandoned: u64,
    resumed: u64,
    not_recovered: u64,
    not_resumed: u64,
    ended: u64,
    lists: u64,
    wrong_lists: u64,
}

/// Somebody who comes and goes.
#[derive(Clone, Copy, Debug)]
struct Seat {
    doing: Doing,
    room: usize,
    since_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Not in a room; the session may be there.
    Out,
    /// On its way into the room, for the first time or again.
    Entering,
    Resuming,
    In,
    /// The answer to its leaving or closing is due.
    Leaving,
    Closing,
    /// Cut off, and will come back.
    Cut,
}

impl Inn {
    fn new(job: &Job, sessions: &Sessions) -> Self {
        let seats = (0..job.plan.connections).map(|number| Seat {
            doing: Doing::Out,
            room: number / job.plan.rooms_of,
            since_ns: 0,
        });
        Self {
            job: job.clone(),
            crowd: None,
            hearing: Hearing::new(sessions, job.payload_bytes),
            dice: Dice::new(job.seed, 2),
            seats: seats.collect(),
            moves: Returns::default(),
            to_ns: u64::MAX,
            told: vec![None; job.stayers()],
            asked: vec![Asked::default(); job.rooms],
            counts: Counts::default(),
            join: Times::new(),
            resume: Times::new(),
            wrong: None,
        }
    }

    fn is_guest(&self, number: usize) -> bool {
        number >= self.job.stayers()
    }

    /// A guest does the next thing.
    fn go_on(&mut self, sessions: &mut Sessions, number: usize, now_ns: u64) -> Result<(), String> {
        let line = sessions.line(number);
        match self.seats[number].doing {
            Doing::Out if now_ns >= self.to_ns => {}
            Doing::Out => {
                let room = self.dice.below(self.job.rooms);
                self.seats[number] = Seat { doing: Doing::Entering, room, since_ns: now_ns };
                let plan = &self.job.plan;
                let join = entrance(plan, plan.room(room * plan.rooms_of));
                let is_open = line.is_open();
                sessions.line_mut(number).set_entrance(join.clone());
                if is_open {
                    sessions.line_mut(number).join(join);
                } else {
                    sessions.begin(number, None)?;
                }
            }
            Doing::In if now_ns < self.to_ns => self.goes(sessions, number, now_ns),
            Doing::Cut => {
                self.seats[number].doing = Doing::Resuming;
                self.seats[number].since_ns = now_ns;
                sessions.begin(number, None)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A guest goes, one way or another.
    fn goes(&mut self, sessions: &mut Sessions, number: usize, now_ns: u64) {
        let how = self.dice.unit();
        if how < self.job.leave {
            self.seats[number].doing = Doing::Leaving;
            sessions.line_mut(number).leave();
        } else if how < self.job.leave + self.job.close {
            self.seats[number].doing = Doing::Closing;
            sessions.line_mut(number).say_goodbye();
        } else {
            sessions.cut(number);
            let comes_back = self.dice.chance(self.job.resume);
            if comes_back {
                self.seats[number].doing = Doing::Cut;
            } else {
                self.counts.abandoned += 1;
                self.hearing.journal.left(number);
                sessions.line_mut(number).forget();
                self.seats[number].doing = Doing::Out;
            }
            self.after(self.job.pause, number, now_ns);
        }
    }

    fn after(&mut self, time: Duration, number: usize, now_ns: u64) {
        let wait_ns = time.as_nanos() as f64 * self.dice.between(0.5, 1.5);
        self.moves.add(now_ns + wait_ns as u64, number);
    }

    /// Waits until everybody is where they were going, and everything sent has its answer.
    fn come_to_rest(&mut self, sessions: &mut Sessions, end_ns: u64) -> Result<(), String> {
        loop {
            let now_ns = Clock.now_ns();
            while let Some((_, number)) = self.moves.pop(now_ns) {
                self.go_on(sessions, number, now_ns)?;
            }
            let is_moving = |seat: &Seat| !matches!(seat.doing, Doing::Out | Doing::In);
            let waits = |line: &Line| line.room().is_some_and(|room| room.unanswered() > 0);
            let is_done = !self.seats.iter().any(is_moving) && !sessions.lines().iter().any(waits);
            if is_done || now_ns >= end_ns {
                return Ok(());
            }
            let until_ns = self.moves.next_ns().min(now_ns + LOOK.as_nanos() as u64);
            sessions.turn(until_ns, self).map_err(poll_failed)?;
        }
    }

    /// Asks each room who is there until that is who is there, or too much time is over: what its
    /// members did last may still be on its way to it.
    fn compare_lists(&mut self, sessions: &mut Sessions, patience: Duration) -> Result<(), String> {
        let mut open: Vec<usize> = (0..self.job.rooms).collect();
        let end_ns = Clock.now_ns() + patience.as_nanos() as u64;
        self.counts.lists = open.len() as u64;
        loop {
            for room in &open {
                self.asked[*room] = Asked { next: Some(0), ..Asked::default() };
            }
            while open.iter().any(|room| !self.asked[*room].is_whole) && Clock.now_ns() < end_ns {
                self.ask(sessions, &open);
                sessions.turn(end_ns, self).map_err(poll_failed)?;
            }
            open.retain(|room| !self.is_who_is_there(sessions, *room));
            if open.is_empty() || Clock.now_ns() >= end_ns {
                self.counts.wrong_lists = open.len() as u64;
                return Ok(());
            }
            let look_ns = Clock.now_ns() + LOOK.as_nanos() as u64;
            while Clock.now_ns() < look_ns {
                sessions.turn(look_ns, self).map_err(poll_failed)?;
            }
        }
    }

    fn ask(&mut self, sessions: &mut Sessions, rooms: &[usize]) {
        for room in rooms {
            if let Some(after) = self.asked[*room].next.take() {
                let line = sessions.line_mut(room * self.job.plan.rooms_of);
                line.request("members", &format!("{{\"after\":{after},\"limit\":{PAGE}}}"));
            }
        }
    }

    /// Whether a room's answer, what its staying members were told, and who is there are the same.
    fn is_who_is_there(&self, sessions: &Sessions, room: usize) -> bool {
        let asked = &self.asked[room];
        let is_in = |line: &&Line| self.seats[line.number()].room == room && line.is_there();
        let there: BTreeSet<u32> = sessions
            .lines()
            .iter()
            .filter(is_in)
            .filter_map(|line| line.room().map(|room| room.member))
            .collect();
        let stayers = room * self.job.plan.rooms_of..(room + 1) * self.job.plan.rooms_of;
        asked.is_whole
            && asked.roster.present().eq(there.iter().copied())
            && self.told[stayers].iter().flatten().all(|told| *told == asked.roster)
    }

    fn finish(&mut self, sessions: &Sessions, outcome: &mut Outcome) {
        let Some(crowd) = self.crowd.take() else { return };
        crowd.finish(outcome);
        let hearing = std::mem::replace(&mut self.hearing, Hearing::new(sessions, 0));
        hearing.finish(&crowd, sessions, outcome);
        let counts = self.counts;
        for (name, count) in [
            (JOINS, counts.joins),
            (LEFT, counts.left),
            (CLOSED, counts.closed),
            (ABANDONED, counts.abandoned),
            (RESUMED, counts.resumed),
            (NOT_RECOVERED, counts.not_recovered),
            (NOT_RESUMED, counts.not_resumed),
            (ENDED, counts.ended),
            (LISTS, counts.lists),
            (WRONG_LISTS, counts.wrong_lists),
        ] {
            outcome.add(name, count);
        }
        outcome.add_times(JOIN, &self.join);
        outcome.add_times(RESUME, &self.resume);
        if let Some(wrong) = self.wrong.take() {
            outcome.fail(wrong);
        }
    }

    /// A guest is in its room.
    fn entered(&mut self, number: usize, (is_resume, recovered): (bool, bool), now_ns: u64) {
        let seat = &mut self.seats[number];
        let took_us = now_ns.saturating_sub(seat.since_ns) / 1000;
        if seat.doing == Doing::Resuming {
            self.resume.record_us(took_us);
            match (is_resume, recovered) {
                (true, true) => self.counts.resumed += 1,
                (true, false) => self.counts.not_recovered += 1,
                (false, _) => self.counts.not_resumed += 1,
            }
        } else {
            self.join.record_us(took_us);
            self.counts.joins += 1;
        }
        seat.doing = Doing::In;
        self.after(self.job.stay, number, now_ns);
    }
}

impl Audience for Inn {
    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, place: Place, now_ns: u64) {
        let number = line.number();
        let room = self.seats[number].room;
        if let Some(stamp) = self.hearing.hear((line, room), message, place) {
            self.hearing.latency.record(stamp.intended_ns, now_ns);
        }
        match message {
            ServerMessage::Joined(joined) if self.is_guest(number) => {
                self.entered(number, (joined.r#ref.is_none(), joined.recovered), now_ns);
            }
            ServerMessage::Joined(joined) => {
                let is_full = joined.presence == PresenceMode::Full;
                self.told[number] = is_full.then(|| Roster::of(&joined.roster)).flatten();
                self.seats[number].doing = Doing::Out;
            }
            ServerMessage::Left(_) if self.seats[number].doing == Doing::Leaving => {
                self.counts.left += 1;
                self.seats[number].doing = Doing::Out;
                self.after(self.job.pause, number, now_ns);
            }
            ServerMessage::Presence(presence) if !self.is_guest(number) => {
                if let Some(told) = &mut self.told[number]
                    && !told.event(&presence.event)
                {
                    self.told[number] = None;
                }
            }
            ServerMessage::PresenceCount(_) if !self.is_guest(number) => self.told[number] = None,
            ServerMessage::Reply(reply) => {
                let Payload::Json(json) = &reply.payload else { return };
                let asked = &mut self.asked[room];
                match asked.roster.add_page(json) {
                    Ok(next) => (asked.next, asked.is_whole) = (next, next.is_none()),
                    Err(why) => self.wrong = Some(why),
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, line: &mut Line, _: &End, now_ns: u64) {
        let number = line.number();
        if self.seats[number].doing == Doing::Closing {
            self.counts.closed += 1;
        } else {
            self.counts.ended += 1;
        }
        if !line.has_key() {
            self.hearing.journal.left(number);
        }
        let comes_back = line.has_key() && line.room().is_some();
        self.seats[number].doing = if comes_back { Doing::Cut } else { Doing::Out };
        if self.is_guest(number) || comes_back {
            self.after(self.job.pause, number, now_ns);
        }
    }
}

impl Scene for Inn {
    fn step(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<u64, String> {
        while let Some((_, number)) = self.moves.pop(now_ns) {
            self.go_on(sessions, number, now_ns)?;
        }
        let Some(crowd) = &mut self.crowd else { return Ok(u64::MAX) };
        crowd.send_due(sessions, |_, _| {});
        Ok(crowd.next_ns().min(self.moves.next_ns()))
    }

    fn counted(&self) -> (u64, u64) {
        let sent = self.crowd.as_ref().map_or(0, Crowd::total);
        (sent, self.hearing.journal.heard())
    }

    fn take_second(&mut self) -> Times {
        self.hearing.latency.take_second()
    }

    fn lateness(&self) -> Option<&Times> {
        self.crowd.as_ref().map(Crowd::lateness)
    }
}
