//! The scenario in which many watch: spectators over Server-Sent Events on rooms in which one member
//! each speaks, beside players who play in other rooms.

mod audience;
mod book;
mod follow;
mod report;
mod sse;

use crate::ear::Ear;
use crate::fleet::{Fleet, Listener, Plan};
use crate::process::{Memory, Process, Threads};
use crate::report::{Percentiles, ServerUse};
use crate::schedule::Schedule;
use crate::system::Clock;
use crate::talk::Talk;
use crate::traffic::{self, Load, Mark, Players, QUIET_NS, Times, poll_failed};
use audience::Audience;
pub(crate) use audience::Seats;
use book::Book;
use madang_protocol::client::Class;
use mio::event::Event;
pub(crate) use report::Spectate;
use report::{Memories, Used};
use std::time::Duration;

/// Most events that are sent to rooms in a run.
const EVENTS_MAX: f64 = 1e7;

/// Who waits for a CPU longer than it runs, and at least so many seconds a second, is not measured but
/// the rest of the machine is.
const WAITED_MAX: f64 = 0.05;

/// What happens in a run, beside what [`Load`] says of the players.
#[derive(Clone, Debug)]
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

/// Runs it. An error says why it could not be run at all.
pub(crate) fn run(
    plan: Plan,
    seats: Seats,
    load: &Load,
    show: &Show,
    server: Option<Process>,
) -> Result<Spectate, String> {
    let publishers = plan.connections - show.players;
    traffic::check(show.players, plan.rooms_of, load)?;
    if show.events_hz * publishers as f64 * (load.warmup + load.duration).as_secs_f64() > EVENTS_MAX
    {
        return Err(format!("more than {EVENTS_MAX} events in one run; send less"));
    }
    let clock = Clock::start();
    let fleet = Fleet::new(plan.clone(), clock).map_err(poll_failed)?;
    let registry = fleet.registry().try_clone().map_err(poll_failed)?;
    let books = (0..seats.rooms.len())
        .map(|room| {
            Book::new((publishers > 0).then_some((show.players + room) as u32), show.payload_bytes)
        })
        .collect();
    let hall = Hall {
        players: show.players,
        ear: Ear::new(show.players, plan.rooms_of, load),
        audience: Audience::new(seats.clone(), books, clock, registry),
    };
    Run { clock, server, fleet, hall }.all(&plan, &seats, load, show)
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
    clock: Clock,
    server: Option<Process>,
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
    /// The server's threads, and those of them that are for spectators.
    threads: Option<[Threads; 2]>,
    /// This process's.
    own: Option<Threads>,
}

impl Run {
    fn all(
        mut self,
        plan: &Plan,
        seats: &Seats,
        load: &Load,
        show: &Show,
    ) -> Result<Spectate, String> {
        self.fleet.open(&mut self.hall)?;
        self.settle().map_err(poll_failed)?;
        traffic::all_in_their_rooms(&self.fleet, plan.connections)?;
        let before = self.memory();
        self.open_audience(seats)?;
        self.settle().map_err(poll_failed)?;
        let opened = self.memory();

        let times = Times::from_now(self.clock, load);
        self.hall.ear.window = times.window();
        self.hall.audience.window = times.window();
        let mut players = Players::new(self.clock, plan, show.players, load, &times);
        let span = times.start_ns..times.to_ns;
        let what = (Class::Reliable, show.payload_bytes);
        let speakers = show.players..plan.connections;
        let mut events = Talk::new(self.clock, speakers, show.events_hz, what, span);
        self.hall.audience.hold(true);
        let moments = self
            .send_all(&mut players, &mut events, show, seats.spectators, &times)
            .map_err(poll_failed)?;
        self.hall.audience.hold(false);
        let patience = load.drain + Duration::from_millis(seats.delay_ms);
        self.drain(&players, &events, patience).map_err(poll_failed)?;
        self.settle().map_err(poll_failed)?;
        let after = self.memory();

        let memories = before.zip(opened).zip(after);
        let memories = memories.map(|((before, opened), after)| Memories { before, opened, after });
        let found = self.found(players, &events, (seats, load, show), &moments, memories);
        self.hall.audience.close();
        self.fleet.close(&mut self.hall).map_err(poll_failed)?;
        Ok(found)
    }

    /// Handles what happens until `until_ns`, the players' before the spectators', of whom some are
    /// left for the next time: so what the players are measured with does not grow with the audience.
    fn turn(&mut self, until_ns: u64) -> std::io::Result<()> {
        let until_ns = if self.hall.audience.is_ready() { 0 } else { until_ns };
        self.fleet.turn(until_ns, &mut self.hall)?;
        self.hall.audience.handle_some();
        Ok(())
    }

    fn memory(&self) -> Option<Memory> {
        self.server.and_then(|server| server.memory().ok())
    }

    fn moment(&self) -> Moment {
        let Hall { ear, audience, .. } = &self.hall;
        Moment {
            mark: Mark::take(self.clock.now_ns(), ear, self.fleet.tolls(), self.server),
            events: audience.tolls.events(),
            bytes: audience.tolls.bytes_in,
            reads: audience.tolls.reads,
            threads: self.server.and_then(|server| {
                Some([server.threads("").ok()?, server.threads("watch-").ok()?])
            }),
            own: Process::own().threads("").ok(),
        }
    }

    fn open_audience(&mut self, seats: &Seats) -> Result<(), String> {
        let end_ns = self.clock.now_ns() + seats.patience.as_nanos() as u64;
        while !self.hall.audience.open_some()? {
            let now_ns = self.clock.now_ns();
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
        let end_ns = self.clock.now_ns() + 10_000_000_000;
        let (mut seen, mut since_ns) = (0, self.clock.now_ns());
        loop {
            let reads = self.fleet.tolls().reads + self.hall.audience.tolls.reads;
            let now_ns = self.clock.now_ns();
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
        show: &Show,
        spectators: usize,
        times: &Times,
    ) -> std::io::Result<[Moment; 2]> {
        let every = show.reconnect_every.unwrap_or(Duration::MAX).as_secs_f64();
        let cut = if show.reconnect_every.is_some() { spectators as u32 } else { 0 };
        let mut cuts = Schedule::new(0..cut, every.recip(), times.start_ns, times.to_ns);
        let mut from = None;
        loop {
            let now_ns = self.clock.now_ns();
            if from.is_none() && now_ns >= times.from_ns {
                from = Some(self.moment());
            }
            players.send_due(&mut self.fleet);
            events.send_due(&mut self.fleet, |_| {});
            while let Some(due) = cuts.pop(now_ns) {
                self.hall.audience.interrupt(due.sender as usize);
            }
            let returns_ns = self.hall.audience.return_some();
            let due = [players.next_ns(), events.next_ns(), cuts.next_ns()];
            if now_ns >= times.to_ns && due.iter().all(Option::is_none) {
                let to = self.moment();
                return Ok([from.unwrap_or(to), to]);
            }
            // At the window's start a mark is due even when no message is.
            let mark_ns = if from.is_none() { times.from_ns } else { times.to_ns };
            let next_ns = due.into_iter().chain([returns_ns]).flatten().min();
            self.turn(next_ns.unwrap_or(mark_ns).min(mark_ns))?;
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
        let end_ns = self.clock.now_ns() + patience.as_nanos() as u64;
        loop {
            let now_ns = self.clock.now_ns();
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

    fn found(
        &mut self,
        players: Players,
        events: &Talk,
        (seats, load, show): (&Seats, &Load, &Show),
        [from, to]: &[Moment; 2],
        memory: Option<Memories>,
    ) -> Spectate {
        let expected = self.expected(events);
        let Hall { ear, audience, .. } = &mut self.hall;
        audience.finish(events.sent());
        let marks = [from.mark, to.mark];
        let mut traffic = players.finish(ear, &self.fleet, &marks);
        // Shared with the spectators' work: it stands in the whole run's report.
        traffic.server = None;
        let traffic = (show.players > 0).then_some(traffic);

        let tolls = audience.tolls.clone();
        let [counts, slow] = audience.counts;
        let wall_us = to.mark.us_since(&from.mark);
        let came = to.events - from.events;
        let server = to.mark.server_since(&from.mark, came);
        let threads = to
            .threads
            .zip(from.threads)
            .map(|(to, from)| [to[0].since(from[0], wall_us), to[1].since(from[1], wall_us)]);
        let own_waited = to.own.zip(from.own).map_or(0.0, |(to, from)| to.since(from, wall_us).1);
        let generator_cpu = to.mark.own_cores_since(&from.mark);
        let lateness = Percentiles::of(events.lateness());
        let reach = counts.received as f64 / expected[0].max(1) as f64;
        let reach = if expected[0] == 0 { 1.0 } else { reach };
        let speakers = events.sent().len();
        let speaking = (show.players..show.players + speakers)
            .filter(|conn| self.fleet.is_live(*conn))
            .count();
        let mut warnings: Vec<_> =
            traffic::generator_warning(generator_cpu, &lateness).into_iter().collect();
        if threads.is_some_and(|[(ran, waited), _]| waited > WAITED_MAX.max(ran)) {
            warnings.push(
                "the server waited for a CPU longer than it ran: no time or CPU here is its own",
            );
        }
        if own_waited > WAITED_MAX.max(generator_cpu) {
            warnings.push("the generator waited for a CPU longer than it ran: no latency here is the server's");
        }
        if counts.gaps + counts.conflations > 0 {
            warnings.push("spectators who read were told of gaps, or got a snapshot in between");
        }
        let is_sound = |counts: &follow::Counts| {
            counts.lost == 0 && counts.repeated == 0 && counts.disordered == 0
        };
        let passed = is_sound(&counts)
            && is_sound(&slow)
            && counts.behind == 0
            && reach >= show.reach_min
            && audience.faults == book::Faults::default()
            && tolls.early == 0
            && tolls.ended == 0
            && tolls.broken == 0
            && tolls.errors == 0
            && tolls.refused.is_empty()
            && tolls.live == seats.spectators
            && speaking == speakers
            && events.unsent() == 0
            && self.fleet.tolls().errors == 0
            && traffic.as_ref().is_none_or(|traffic| traffic.passed);
        Spectate {
            scenario: "spectate",
            spectators: seats.spectators,
            rooms: seats.rooms.len(),
            delay_ms: seats.delay_ms,
            reconnect_every_seconds: show.reconnect_every.map(|every| every.as_secs_f64()),
            events_hz: if speakers > 0 { show.events_hz } else { 0.0 },
            payload_bytes: show.payload_bytes,
            window_seconds: wall_us / 1e6,
            warmup_seconds: load.warmup.as_secs_f64(),
            sent: events.sent().iter().sum(),
            unsent: events.unsent(),
            expected: expected[0],
            reach,
            reach_min: show.reach_min,
            counts,
            slow_spectators: seats.slow,
            slow_expected: expected[1],
            slow,
            corrupt: audience.faults.corrupt,
            foreign: audience.faults.foreign,
            early: tolls.early,
            events: report::by_name(&tolls.events),
            comments: tolls.comments,
            events_per_second: came as f64 / wall_us * 1e6,
            reads_per_second: (to.reads - from.reads) as f64 / wall_us * 1e6,
            bytes_per_second: (to.bytes - from.bytes) as f64 / wall_us * 1e6,
            latency: Percentiles::of(&audience.latency),
            returns: Percentiles::of(&audience.returns),
            lateness,
            generator_cpu,
            generator_waited: own_waited,
            server: server.map(|server: ServerUse| Used {
                cores: server.cores,
                us_per_event: (came > 0).then_some(server.us_per_delivery),
                waited_cores: threads.map(|[(_, waited), _]| waited),
                side_cores: threads.map(|[_, (ran, _)]| ran),
                side_waited_cores: threads.map(|[_, (_, waited)]| waited),
                side_us_per_event: threads
                    .filter(|_| came > 0)
                    .map(|[_, (ran, _)]| ran * wall_us / came as f64),
            }),
            memory: memory.map(|memory| memory.per_spectator(seats.spectators)),
            live_at_end: tolls.live,
            dropped: tolls.dropped,
            ended: tolls.ended,
            broken: tolls.broken,
            refused: tolls.refused,
            errors: tolls.errors,
            first_error: tolls.first_error,
            players: traffic,
            warnings,
            passed,
        }
    }
}
