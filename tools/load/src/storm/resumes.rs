//! A storm of resumes: sessions play, all their sockets are reset at the same moment, and all come back
//! within a jitter window with their keys. Nothing that was sent may be missing then, and nothing may be
//! there twice.

use super::{ENTERED, Job, RETRIES, Resumes};
use crate::crowd::{self, Acts, Crowd, Hearing, Scene};
use crate::desk::{Desk, Stage};
use crate::dice::Dice;
use crate::journal::{TOLD, UNKNOWN};
use crate::outcome::{LIVE_AT_END, Outcome, Times};
use crate::returns::Returns;
use crate::sessions::{Audience, End, Line, Place, Sessions};
use crate::system::Clock;
use crate::traffic::{QUIET_NS, poll_failed};
use madang_protocol::ServerMessage;
use std::time::Duration;

/// Until the next try of one that was refused or broken off.
const RETRY_NS: f64 = 2e8;

/// Connections that were reset.
const CUT: &str = "cut";
/// Sessions that were taken up again, with what they had missed and without.
const RECOVERED: &str = "recovered";
const NOT_RECOVERED: &str = "not_recovered";
/// Sessions that were gone: the client is a new one.
const NOT_RESUMED: &str = "not_resumed";
/// From the time a session was to come back to its being in its room.
const RESUME: &str = "resume";

/// Runs it.
pub(super) fn run(
    job: &Job,
    asked: &Resumes,
    desk: &Desk,
    measure: impl FnOnce(),
    outcome: &mut Outcome,
) -> Result<(), String> {
    let mut sessions = Sessions::new(job.plan.clone(), crowd::TYPE).map_err(poll_failed)?;
    let everybody = 0..job.plan.connections;
    let mut rush = Rush::new(job, asked, &sessions);
    sessions.open(everybody.clone(), |_| None, &mut rush)?;
    sessions.settle(QUIET_NS, Duration::from_secs(10), &mut rush).map_err(poll_failed)?;
    crowd::all_there(&sessions, everybody.clone())?;

    let acts = Acts::new(desk.meet(Stage::Opened)?, asked.warmup, asked.duration);
    measure();
    rush.hearing.latency.window = acts.window();
    rush.end_ns = acts.to_ns + job.patience.as_nanos() as u64;
    rush.cuts = (0..asked.cuts)
        .rev()
        .map(|cut| {
            let part = f64::from(2 * cut + 1) / f64::from(2 * asked.cuts);
            acts.from_ns + asked.duration.mul_f64(part).as_nanos() as u64
        })
        .collect();
    let speech = asked.speech();
    rush.crowd = Some(Crowd::new(&sessions, everybody, speech, acts.start_ns..acts.to_ns)?);
    Crowd::settings(speech, outcome);
    outcome.set("cuts", u64::from(asked.cuts));
    outcome.set("jitter_seconds", asked.jitter.as_secs_f64());
    outcome.set("warmup_seconds", asked.warmup.as_secs_f64());
    outcome.set("duration_seconds", asked.duration.as_secs_f64());
    outcome.set("seed", asked.seed);
    crowd::play(&mut sessions, &mut rush, &acts, (desk, outcome))?;

    let end_ns = Clock.now_ns() + asked.drain.as_nanos() as u64;
    while sessions.lines().iter().any(waits) && Clock.now_ns() < end_ns {
        let until_ns = end_ns.min(Clock.now_ns() + 50_000_000);
        sessions.turn(until_ns, &mut rush).map_err(poll_failed)?;
    }
    // What the others hear of it, and what comes twice, comes now.
    sessions.settle(QUIET_NS, asked.drain, &mut rush).map_err(poll_failed)?;
    rush.finish(&sessions, outcome);
    crowd::put_tolls(&sessions, outcome);
    let mut nobody = Nobody;
    sessions.close(&mut nobody).map_err(poll_failed)
}

/// What can only be said of all workers together.
pub(super) fn conclude(everyone: usize, outcome: &mut Outcome) {
    for (name, what) in [
        (NOT_RESUMED, "sessions were gone when their clients came back"),
        (NOT_RECOVERED, "rooms did not have what a member had missed (its history was too short)"),
        (TOLD, "messages were told to be missing"),
        (UNKNOWN, "messages were sent, never answered, and no room has them"),
    ] {
        let count = outcome.count(name);
        if count > 0 {
            outcome.fail(format!("{count} {what}"));
        }
    }
    let ended = outcome.broken + outcome.closed.values().sum::<u64>();
    if ended > 0 {
        outcome.fail(format!("{ended} connections ended that nobody had cut"));
    }
    let away = (everyone as u64).saturating_sub(outcome.count(LIVE_AT_END));
    if away > 0 {
        outcome.fail(format!("{away} of {everyone} sessions did not come back"));
    }
}

/// Whether a session waits for an answer, or to come back.
fn waits(line: &Line) -> bool {
    !line.is_there() || line.room().is_some_and(|room| room.unanswered() > 0)
}

struct Nobody;

impl Audience for Nobody {
    fn hear(&mut self, _: &mut Line, _: &ServerMessage<'_>, _: Place, _: u64) {}
}

struct Rush {
    crowd: Option<Crowd>,
    hearing: Hearing,
    /// When all are cut off, the next last.
    cuts: Vec<u64>,
    jitter: Duration,
    dice: Dice,
    returns: Returns,
    seats: Vec<Seat>,
    tries_max: u32,
    end_ns: u64,
    cut_ns: u64,
    counts: Counts,
    resume: Times,
    /// From each cut to the last session's being back.
    back_ns: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    cut: u64,
    back: u64,
    recovered: u64,
    not_recovered: u64,
    not_resumed: u64,
    retries: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// When it was to come back; nothing when it is there.
    due_ns: Option<u64>,
    tries: u32,
}

impl Rush {
    fn new(job: &Job, asked: &Resumes, sessions: &Sessions) -> Self {
        Self {
            crowd: None,
            hearing: Hearing::new(sessions, asked.payload_bytes),
            cuts: Vec::new(),
            jitter: asked.jitter,
            dice: Dice::new(asked.seed, job.plan.first as u64),
            returns: Returns::default(),
            seats: vec![Seat::default(); job.plan.connections],
            tries_max: job.tries_max,
            end_ns: u64::MAX,
            cut_ns: 0,
            counts: Counts::default(),
            resume: Times::new(),
            back_ns: Vec::new(),
        }
    }

    fn cut_all(&mut self, sessions: &mut Sessions) {
        for number in 0..self.seats.len() {
            if !sessions.line(number).is_there() {
                continue;
            }
            sessions.cut(number);
            self.counts.cut += 1;
        }
        self.cut_ns = Clock.now_ns();
        self.back_ns.push(0);
        for number in 0..self.seats.len() {
            if sessions.line(number).is_connected() || self.seats[number].due_ns.is_some() {
                continue;
            }
            let wait_ns = self.dice.between(0.0, self.jitter.as_nanos() as f64) as u64;
            let due_ns = self.cut_ns + wait_ns;
            self.seats[number] = Seat { due_ns: Some(due_ns), tries: 0 };
            self.returns.add(due_ns, number);
        }
    }

    fn finish(&mut self, sessions: &Sessions, outcome: &mut Outcome) {
        let Some(crowd) = self.crowd.take() else { return };
        crowd.finish(outcome);
        let hearing = std::mem::replace(&mut self.hearing, Hearing::new(sessions, 0));
        hearing.finish(&crowd, sessions, outcome);
        let counts = self.counts;
        for (name, count) in [
            (CUT, counts.cut),
            (ENTERED, counts.back),
            (RECOVERED, counts.recovered),
            (NOT_RECOVERED, counts.not_recovered),
            (NOT_RESUMED, counts.not_resumed),
            (RETRIES, counts.retries),
        ] {
            outcome.add(name, count);
        }
        outcome.add_times(RESUME, &self.resume);
        let last_ns = self.back_ns.iter().max().copied().unwrap_or_default();
        outcome.figures.insert("last_back_seconds".to_owned(), last_ns as f64 / 1e9);
    }
}

impl Audience for Rush {
    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, place: Place, now_ns: u64) {
        let home = self.hearing.home(line.number());
        if let Some(stamp) = self.hearing.hear((line, home), message, place) {
            self.hearing.latency.record(stamp.intended_ns, now_ns);
        }
        let seat = &mut self.seats[line.number()];
        let (ServerMessage::Joined(joined), Some(due_ns)) = (message, seat.due_ns) else { return };
        seat.due_ns = None;
        self.counts.back += 1;
        match (joined.r#ref, joined.recovered) {
            (Some(_), _) => self.counts.not_resumed += 1,
            (None, true) => self.counts.recovered += 1,
            (None, false) => self.counts.not_recovered += 1,
        }
        self.resume.record_us(now_ns.saturating_sub(due_ns) / 1000);
        if let Some(last) = self.back_ns.last_mut() {
            *last = now_ns.saturating_sub(self.cut_ns).max(*last);
        }
    }

    fn ended(&mut self, line: &mut Line, end: &End, now_ns: u64) {
        let seat = &mut self.seats[line.number()];
        seat.tries += 1;
        if seat.tries > self.tries_max {
            return;
        }
        let wait_ns = match end {
            End::Refused { retry_after_s: Some(seconds), .. } => f64::from(*seconds) * 1e9,
            _ => RETRY_NS,
        };
        let at_ns = now_ns + (wait_ns * self.dice.between(1.0, 1.5)) as u64;
        self.counts.retries += 1;
        seat.due_ns.get_or_insert(now_ns);
        self.returns.add(at_ns, line.number());
    }
}

impl Scene for Rush {
    fn step(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<u64, String> {
        if self.cuts.pop_if(|cut_ns| *cut_ns <= now_ns).is_some() {
            self.cut_all(sessions);
        }
        while let Some((_, number)) = self.returns.pop(now_ns) {
            if !sessions.line(number).is_connected() {
                sessions.begin(number, None)?;
            }
        }
        let Some(crowd) = &mut self.crowd else { return Ok(u64::MAX) };
        crowd.send_due(sessions, |_, _| {});
        let cut_ns = self.cuts.last().copied().unwrap_or(u64::MAX);
        Ok(crowd.next_ns().min(self.returns.next_ns()).min(cut_ns))
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

    /// Not before everybody is back, or has given up.
    fn is_over(&self, sessions: &Sessions, now_ns: u64, acts: &Acts) -> bool {
        let is_back = || self.returns.is_empty() && sessions.on_their_way() == 0;
        now_ns >= acts.to_ns && (now_ns >= self.end_ns || is_back())
    }
}
