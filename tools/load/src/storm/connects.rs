//! A storm of connections: each is begun at its time, gets its upgrade, and has entered when its room
//! answers, a raw one when its first message has come back.

use super::{ENTERED, Job, RETRIES};
use crate::crowd::{self, Acts, Scene};
use crate::desk::{Desk, Stage};
use crate::dialect::Dialect;
use crate::dice::Dice;
use crate::outcome::{LATENCY, LATENESS, Outcome, Times};
use crate::returns::Returns;
use crate::sessions::{Audience, End, Line, Place, Sessions};
use crate::stamp::{self, BYTES_MIN, Stamp};
use crate::system::Clock;
use crate::traffic::poll_failed;
use madang_protocol::ServerMessage;
use std::time::Duration;

/// Until the next try of a connection that nobody told when.
const RETRY: Duration = Duration::from_secs(1);
/// Until the upgrade was accepted.
const UPGRADE: &str = "upgrade";

/// Runs it.
pub(super) fn run(
    job: &Job,
    desk: &Desk,
    measure: impl FnOnce(),
    outcome: &mut Outcome,
) -> Result<(), String> {
    let mut sessions = Sessions::new(job.plan.clone(), crowd::TYPE).map_err(poll_failed)?;
    let start_ns = desk.meet(Stage::Opened)?;
    let acts = Acts::new(start_ns, Duration::ZERO, Duration::ZERO);
    measure();
    let mut gate = Gate::new(job, start_ns);
    crowd::play(&mut sessions, &mut gate, &acts, (desk, outcome))?;
    for (name, count) in [(ENTERED, gate.entered), (RETRIES, gate.retries)] {
        outcome.add(name, count);
    }
    outcome.add_times(LATENCY, &gate.latency);
    outcome.add_times(UPGRADE, &gate.upgrade);
    outcome.add_times(LATENESS, &gate.lateness);
    let took_ns = gate.last_ns.saturating_sub(start_ns);
    outcome.figures.insert("storm_seconds".to_owned(), took_ns as f64 / 1e9);
    crowd::put_tolls(&sessions, outcome);
    sessions.close(&mut gate).map_err(poll_failed)
}

/// What can only be said of all workers together.
pub(super) fn conclude(everyone: usize, outcome: &mut Outcome) {
    let entered = outcome.count(ENTERED);
    let rate = entered as f64 / outcome.window.seconds();
    outcome.figures.insert("connects_per_second".to_owned(), rate);
    let outside = (everyone as u64).saturating_sub(entered);
    if outside > 0 {
        outcome.fail(format!(
            "{outside} of {everyone} connections did not enter (--tries lets refused ones come again)"
        ));
    }
}

struct Gate {
    dialect: Dialect,
    in_flight: usize,
    rate: u32,
    start_ns: u64,
    end_ns: u64,
    tries_max: u32,
    /// Sessions of which a connection was begun.
    begun: usize,
    on_their_way: usize,
    seats: Vec<Seat>,
    /// Those that were refused.
    returns: Returns,
    dice: Dice,
    entered: u64,
    retries: u64,
    lost: usize,
    last_ns: u64,
    second: Times,
    latency: Times,
    upgrade: Times,
    lateness: Times,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// When the connection was to be begun.
    intended_ns: u64,
    tries: u32,
    has_entered: bool,
}

impl Gate {
    fn new(job: &Job, start_ns: u64) -> Self {
        Self {
            dialect: job.plan.dialect,
            in_flight: job.plan.in_flight,
            rate: job.plan.rate,
            start_ns,
            end_ns: start_ns + job.patience.as_nanos() as u64,
            tries_max: job.tries_max,
            begun: 0,
            on_their_way: 0,
            seats: vec![Seat::default(); job.plan.connections],
            returns: Returns::default(),
            dice: Dice::new(job.plan.first as u64, 0),
            entered: 0,
            retries: 0,
            lost: 0,
            last_ns: start_ns,
            second: Times::coarse(),
            latency: Times::new(),
            upgrade: Times::new(),
            lateness: Times::new(),
        }
    }

    /// When the next new connection is due.
    fn due_ns(&self) -> u64 {
        match self.rate {
            _ if self.begun == self.seats.len() => u64::MAX,
            0 => self.start_ns,
            rate => self.start_ns + self.begun as u64 * 1_000_000_000 / u64::from(rate),
        }
    }

    fn enters(&mut self, number: usize, now_ns: u64) {
        let seat = &mut self.seats[number];
        if std::mem::replace(&mut seat.has_entered, true) {
            return;
        }
        let us = now_ns.saturating_sub(seat.intended_ns) / 1000;
        self.second.record_us(us);
        self.latency.record_us(us);
        self.entered += 1;
        self.on_their_way -= 1;
        self.last_ns = now_ns;
    }
}

impl Scene for Gate {
    fn step(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<u64, String> {
        while self.on_their_way < self.in_flight {
            if let Some((_, number)) = self.returns.pop(now_ns) {
                self.retries += 1;
                self.on_their_way += 1;
                sessions.begin(number, None)?;
            } else if self.due_ns() <= now_ns {
                let due_ns = if self.rate == 0 { now_ns } else { self.due_ns() };
                self.seats[self.begun].intended_ns = due_ns;
                sessions.begin(self.begun, None)?;
                self.lateness.record_us(Clock.now_ns().saturating_sub(due_ns) / 1000);
                self.begun += 1;
                self.on_their_way += 1;
            } else {
                break;
            }
        }
        let is_full = self.on_their_way >= self.in_flight;
        Ok(if is_full { u64::MAX } else { self.due_ns().min(self.returns.next_ns()) }
            .min(self.end_ns))
    }

    fn counted(&self) -> (u64, u64) {
        (self.begun as u64, self.entered)
    }

    fn take_second(&mut self) -> Times {
        std::mem::replace(&mut self.second, Times::coarse())
    }

    fn lateness(&self) -> Option<&Times> {
        (self.rate > 0).then_some(&self.lateness)
    }

    fn is_over(&self, _: &Sessions, now_ns: u64, _: &Acts) -> bool {
        let is_done = self.entered as usize + self.lost == self.seats.len();
        is_done || now_ns >= self.end_ns
    }
}

impl Audience for Gate {
    fn opened(&mut self, line: &mut Line, now_ns: u64) {
        self.upgrade.record_us(now_ns.saturating_sub(line.begun_ns) / 1000);
        if self.dialect == Dialect::Raw {
            let stamp = Stamp { sender: line.number() as u32, number: 0, intended_ns: now_ns };
            let mut payload = Vec::new();
            stamp::write(&stamp, BYTES_MIN, &mut payload);
            line.send_raw(&payload);
        }
    }

    fn raw(&mut self, line: &mut Line, payload: &[u8], now_ns: u64) {
        // Others of the room say the same about themselves.
        let stamp = stamp::read(payload, BYTES_MIN);
        if stamp.is_ok_and(|stamp| stamp.sender as usize == line.number()) {
            self.enters(line.number(), now_ns);
        }
    }

    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, _: Place, now_ns: u64) {
        match message {
            ServerMessage::Joined(_) => self.enters(line.number(), now_ns),
            ServerMessage::Error(_) if !self.seats[line.number()].has_entered => {
                // Its room does not take it, and would not the next time.
                self.seats[line.number()].has_entered = true;
                self.on_their_way -= 1;
                self.lost += 1;
            }
            _ => {}
        }
    }

    fn ended(&mut self, line: &mut Line, end: &End, now_ns: u64) {
        let seat = &mut self.seats[line.number()];
        if seat.has_entered {
            return;
        }
        self.on_their_way -= 1;
        seat.tries += 1;
        if seat.tries >= self.tries_max {
            self.lost += 1;
            return;
        }
        let wait = match end {
            End::Refused { retry_after_s: Some(seconds), .. } => {
                Duration::from_secs(u64::from(*seconds))
            }
            _ => RETRY,
        };
        // All of them at the same moment would be the next storm.
        let spread = wait.mul_f64(self.dice.between(1.0, 1.5));
        line.forget();
        self.returns.add(now_ns + spread.as_nanos() as u64, line.number());
    }
}
