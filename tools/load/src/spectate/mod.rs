//! The scenario in which many watch: spectators over Server-Sent Events on rooms in which one member
//! each speaks, beside players who play in other rooms.

mod audience;
mod book;
mod follow;
mod report;
mod sse;

use crate::conductor::Marks;
use crate::desk::{Desk, Stage};
use crate::ear::Ear;
use crate::fleet::{Fleet, Listener, Plan};
use crate::meter::{Meter, Totals};
use crate::outcome::{
    BYTES_IN, DELIVERIES, EXPECTED, LATENESS, Outcome, READS, SENT, Times, UNSENT, Window,
};
use crate::schedule::Schedule;
use crate::system::Clock;
use crate::talk::Talk;
use crate::traffic::{self, Course, Load, Mark, Players, QUIET_NS, poll_failed};
use audience::Audience;
pub(crate) use audience::Seats;
use book::Book;
use madang_protocol::client::Class;
use mio::event::Event;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most events that are sent to rooms in a run.
const EVENTS_MAX: f64 = 1e7;

/// A run: who plays and speaks, who watches, what the players send, and what happens beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) seats: Seats,
    pub(crate) load: Load,
    pub(crate) show: Show,
}

/// What happens in a run, beside what [`Load`] says of the players.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Show {
    /// The first connections of the fleet; the others publish, each alone in its room.
    pub(crate) players: usize,
    pub(crate) events_hz: f64,
    pub(crate) payload_bytes: usize,
    /// How often each spectator is cut off.
    pub(crate) reconnect_every: Option<Duration>,
    /// Least part of the events that has to come to those who read.
    pub(crate) reach_min: f64,
}

impl Job {
    /// Spectators are compared with each other and with what was published: all in one process.
    pub(crate) fn split(&self, processes: usize) -> Result<Vec<Self>, String> {
        if processes > 1 {
            return Err("spectate runs in one process: leave --processes out, or start several \
                        with --watch on rooms of one of them"
                .to_owned());
        }
        Ok(vec![self.clone()])
    }

    pub(crate) fn connections(&self) -> usize {
        self.plan.connections + self.seats.spectators
    }

    /// What can only be said with the server in sight.
    pub(crate) fn conclude(&self, outcome: &mut Outcome, marks: &Marks) {
        report::conclude(self, outcome, marks);
    }
}

/// Runs it. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let Job { plan, seats, load, show } = job;
    let publishers = plan.connections - show.players;
    traffic::check(show.players, plan.rooms_of, load)?;
    if show.events_hz * publishers as f64 * (load.warmup + load.duration).as_secs_f64() > EVENTS_MAX
    {
        return Err(format!("more than {EVENTS_MAX} events in one run; send less"));
    }
    let fleet = Fleet::new(plan.clone()).map_err(poll_failed)?;
    let registry = fleet.registry().try_clone().map_err(poll_failed)?;
    let books = (0..seats.rooms.len())
        .map(|room| {
            Book::new((publishers > 0).then_some((show.players + room) as u32), show.payload_bytes)
        })
        .collect();
    let hall = Hall {
        players: show.players,
        ear: Ear::new(plan, show.players, load),
        audience: Audience::new(seats.clone(), books, registry)?,
    };
    Run { fleet, hall }.all(job, desk)
}

/// What everybody hears.
struct Hall {
    players: usize,
    ear: Ear,
    audience: Audience,
}

impl Listener for Hall {
    fn message(&mut self, conn: usize, payload: &[u8], now_ns: u64) {
        // A publisher hears nobody but itself.
        if conn < self.players {
            self.ear.message(conn, payload, now_ns);
        }
    }

    fn alive(&mut self, _: usize) {}

    fn other(&mut self, event: &Event) {
        self.audience.happened(event);
    }
}

struct Run {
    fleet: Fleet,
    hall: Hall,
}

/// What was true at one moment.
#[derive(Clone, Copy)]
struct Moment {
    mark: Mark,
    events: u64,
    bytes: u64,
    reads: u64,
}

impl Run {
    fn all(mut self, job: &Job, desk: &Desk) -> Result<Outcome, String> {
        let Job { plan, seats, load, show } = job;
        self.fleet.open(&mut self.hall)?;
        self.settle().map_err(poll_failed)?;
        traffic::all_in_their_rooms(&self.fleet, plan.connections)?;
        desk.meet(Stage::Opened)?;
        self.open_audience(seats)?;
        self.settle().map_err(poll_failed)?;

        let course = Course::new(desk.meet(Stage::Joined)?, load);
        self.hall.ear.window = course.window();
        self.hall.audience.window = course.window();
        let mut players = Players::new(plan, show.players, load, &course, &mut self.hall.ear);
        let what = (Class::Reliable, show.payload_bytes);
        let speakers = show.players..plan.connections;
        let time = course.start_ns..course.to_ns;
        let mut events = Talk::new(plan.first, speakers, Some(show.events_hz), what, time);
        self.hall.audience.hold(true);
        let mut outcome = Outcome::new("spectate");
        report::settings(job, &mut outcome);
        let marks = self.send_all(&mut players, &mut events, job, &course, (desk, &mut outcome))?;
        self.hall.audience.hold(false);
        let patience = load.drain + Duration::from_millis(seats.delay_ms);
        self.drain(&players, &events, patience).map_err(poll_failed)?;
        self.settle().map_err(poll_failed)?;
        desk.meet(Stage::Ended)?;

        self.found(players, &events, job, &marks, &mut outcome);
        self.hall.audience.close();
        self.fleet.close(&mut self.hall).map_err(poll_failed)?;
        Ok(outcome)
    }

    /// Handles what happens until `until_ns`, the players' before the spectators', of whom some are
    /// left for the next time: so what the players are measured with does not grow with the audience.
    fn turn(&mut self, until_ns: u64) -> std::io::Result<()> {
        let until_ns = if self.hall.audience.is_ready() { 0 } else { until_ns };
        self.fleet.turn(until_ns, &mut self.hall)?;
        self.hall.audience.handle_some();
        Ok(())
    }

    fn moment(&self) -> Moment {
        let Hall { ear, audience, .. } = &self.hall;
        Moment {
            mark: Mark::take(Clock.now_ns(), ear, self.fleet.tolls()),
            events: audience.tolls.events(),
            bytes: audience.tolls.bytes_in,
            reads: audience.tolls.reads,
        }
    }

    /// Of players and spectators.
    fn totals(&self, players: &Players, events: &Talk) -> Totals {
        let (tolls, audience) = (self.fleet.tolls(), &self.hall.audience.tolls);
        let mut troubles = traffic::troubles(&self.hall.ear, tolls);
        troubles.errors += audience.errors;
        for counts in &self.hall.audience.counts {
            troubles.lost += counts.lost;
            troubles.repeated += counts.repeated;
        }
        Totals {
            sent: players.sent() + events.total(),
            received: self.hall.ear.tally.counts().received + audience.events(),
            bytes_in: tolls.bytes_in + audience.bytes_in,
            bytes_out: tolls.bytes_out,
            live: (tolls.live + audience.live) as u64,
            troubles,
        }
    }

    fn open_audience(&mut self, seats: &Seats) -> Result<(), String> {
        let end_ns = Clock.now_ns() + seats.patience.as_nanos() as u64;
        while !self.hall.audience.open_some()? {
            let now_ns = Clock.now_ns();
            if now_ns > end_ns {
                break;
            }
            self.turn(now_ns + 10_000_000).map_err(poll_failed)?;
        }
        let tolls = &self.hall.audience.tolls;
        if tolls.live == seats.spectators {
            return Ok(());
        }
        Err(format!(
            "only {} of {} spectators watch; {}",
            tolls.live,
            seats.spectators,
            report::endings(tolls)
        ))
    }

    /// Handles what happens until nothing has come for a while.
    fn settle(&mut self) -> std::io::Result<()> {
        let end_ns = Clock.now_ns() + 10_000_000_000;
        let (mut seen, mut since_ns) = (0, Clock.now_ns());
        loop {
            let reads = self.fleet.tolls().reads + self.hall.audience.tolls.reads;
            let now_ns = Clock.now_ns();
            if std::mem::replace(&mut seen, reads) != reads {
                since_ns = now_ns;
            }
            let until_ns = end_ns.min(since_ns + QUIET_NS);
            if now_ns >= until_ns {
                return Ok(());
            }
            let returns_ns = self.hall.audience.return_some().unwrap_or(until_ns);
            self.turn(until_ns.min(returns_ns))?;
        }
    }

    /// Sends what is due when it is due; returns what was true at both ends of the window.
    fn send_all(
        &mut self,
        players: &mut Players,
        events: &mut Talk,
        job: &Job,
        course: &Course,
        (desk, outcome): (&Desk, &mut Outcome),
    ) -> Result<[Moment; 2], String> {
        let every = job.show.reconnect_every;
        let cut = if every.is_some() { job.seats.spectators as u32 } else { 0 };
        let hz = every.unwrap_or(Duration::MAX).as_secs_f64().recip();
        let mut cuts = Schedule::new(0..cut, hz, course.start_ns, course.to_ns);
        while Clock.now_ns() < course.start_ns {
            self.turn(course.start_ns).map_err(poll_failed)?;
        }
        let mut meter = Meter::new(course.start_ns, self.totals(players, events));
        let mut from = None;
        loop {
            let now_ns = Clock.now_ns();
            if from.is_none() && now_ns >= course.from_ns {
                desk.mark(Stage::From)?;
                meter.from(now_ns);
                from = Some(self.moment());
            }
            if meter.is_due(now_ns) {
                self.hall.ear.take_second();
                let second = std::mem::replace(&mut self.hall.audience.second, Times::coarse());
                meter.tick(now_ns, self.totals(players, events), second, desk)?;
            }
            players.send_due(&mut self.fleet, &mut self.hall.ear);
            events.send_due(&mut self.fleet, |_| {});
            while let Some(due) = cuts.pop(now_ns) {
                self.hall.audience.interrupt(due.sender as usize);
            }
            let returns_ns = self.hall.audience.return_some();
            let due = [players.next_ns(&self.hall.ear), events.next_ns(), cuts.next_ns()];
            if now_ns >= course.to_ns && due.iter().all(Option::is_none) {
                desk.mark(Stage::To)?;
                meter.to(now_ns);
                let to = self.moment();
                let second = std::mem::replace(&mut self.hall.audience.second, Times::coarse());
                meter.tick(now_ns, self.totals(players, events), second, desk)?;
                meter.finish(Some(events.lateness()), outcome);
                return Ok([from.unwrap_or(to), to]);
            }
            // At the window's start a mark is due even when no message is.
            let mark_ns = if from.is_none() { course.from_ns } else { course.to_ns };
            let next_ns = due.into_iter().chain([returns_ns]).flatten().min();
            let until_ns = next_ns.unwrap_or(mark_ns).min(mark_ns).min(meter.next_ns());
            self.turn(until_ns).map_err(poll_failed)?;
        }
    }

    /// Waits for what was sent and has not come.
    fn drain(
        &mut self,
        players: &Players,
        events: &Talk,
        patience: Duration,
    ) -> std::io::Result<()> {
        let expected = self.expected(events).iter().sum::<u64>();
        let end_ns = Clock.now_ns() + patience.as_nanos() as u64;
        loop {
            let now_ns = Clock.now_ns();
            let all_came = self.hall.ear.tally.counts().received >= players.expected()
                && self.hall.audience.settled() >= expected;
            if all_came || now_ns >= end_ns {
                return Ok(());
            }
            let returns_ns = self.hall.audience.return_some().unwrap_or(end_ns);
            let until_ns = end_ns.min(now_ns + 50_000_000).min(returns_ns);
            self.turn(until_ns)?;
        }
    }

    /// Events that should come to those who read, and to the slow ones.
    fn expected(&self, events: &Talk) -> [u64; 2] {
        let mut expected = [0, 0];
        for (room, sent) in events.sent().iter().enumerate() {
            let (all, slow) = self.hall.audience.watchers(room);
            expected[0] += sent * (all - slow);
            expected[1] += sent * slow;
        }
        expected
    }

    /// Puts what was found into an outcome.
    fn found(
        &mut self,
        players: Players,
        events: &Talk,
        job: &Job,
        [from, to]: &[Moment; 2],
        outcome: &mut Outcome,
    ) {
        let Job { plan, show, .. } = job;
        let expected = self.expected(events);
        let Hall { ear, audience, .. } = &mut self.hall;
        audience.finish(events.sent());
        outcome.window = Window { start_ns: from.mark.at_ns, end_ns: to.mark.at_ns };
        for (name, count) in [
            (SENT, events.total()),
            (UNSENT, events.unsent()),
            (EXPECTED, expected[0]),
            ("slow_expected", expected[1]),
            (DELIVERIES, to.events - from.events),
            (READS, to.reads - from.reads),
            (BYTES_IN, to.bytes - from.bytes),
        ] {
            outcome.add(name, count);
        }
        report::put(audience, outcome);
        outcome.add_times(LATENESS, events.lateness());
        report::judge(job, &audience.tolls, outcome);
        let quiet = (show.players..plan.connections).filter(|conn| !self.fleet.is_live(*conn));
        let quiet = quiet.count();
        if quiet > 0 {
            outcome.fail(format!("{quiet} of those who speak to spectators are gone"));
        }
        if show.players == 0 {
            if let Some(error) = &self.fleet.tolls().first_error {
                outcome.fail(format!("the speakers' connections had errors, the first: {error}"));
            }
            return;
        }
        let mut part = Outcome::new(&job.load.scenario);
        "players".clone_into(&mut part.name);
        players.settings(&mut part);
        to.mark.put_since(&from.mark, &mut part);
        players.finish(ear, &self.fleet, &mut part);
        self.fleet.put_tolls(&mut part);
        part.judge();
        outcome.parts.push(part);
    }
}
