//! Sessions in rooms that talk to each other while something happens to them: what they send and when,
//! whether everybody who is there hears it, and the course of a run.

use crate::desk::{Desk, Stage, Troubles};
use crate::journal::Journal;
use crate::meter::{Meter, Totals};
use crate::outcome::{
    BYTES_IN, BYTES_OUT, CORRUPT, DELIVERIES, FOREIGN, FRAMES, LATENCY, LATENESS, LIVE_AT_END,
    Outcome, READS, Recorder, SENT, Times, UNSENT, Window,
};
use crate::schedule::Schedule;
use crate::sessions::{Audience, Line, Place, Sessions};
use crate::stamp::{self, Stamp, Strange};
use crate::system::Clock;
use crate::traffic::poll_failed;
use madang_protocol::ServerMessage;
use madang_protocol::client::Class;
use madang_protocol::value::Payload;
use std::ops::Range;
use std::time::Duration;

/// The type of the messages.
pub(crate) const TYPE: &str = "load";
/// Most messages that are sent before the sockets are looked at again.
const SENDS_PER_TURN: usize = 256;
/// Most messages of a run.
const MESSAGES_MAX: f64 = 1e8;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
    pub(crate) class: Class,
    pub(crate) hz: f64,
    pub(crate) payload_bytes: usize,
}

/// Sessions that send at their times.
pub(crate) struct Crowd {
    /// The number, over all processes, of the first session.
    base: usize,
    speech: Speech,
    schedule: Schedule,
    /// By session.
    sent: Vec<u64>,
    total: u64,
    unsent: u64,
    lateness: Times,
    payload: Vec<u8>,
}

impl Crowd {
    /// These sessions, each at its times from `start_ns` on, until `end_ns`. An error says that it would
    /// be too much.
    pub(crate) fn new(
        sessions: &Sessions,
        senders: impl Iterator<Item = usize>,
        speech: Speech,
        time: Range<u64>,
    ) -> Result<Self, String> {
        let base = sessions.plan().first;
        let senders: Vec<_> = senders.map(|sender| (base + sender) as u32).collect();
        let seconds = time.end.saturating_sub(time.start) as f64 / 1e9;
        if speech.hz * seconds * senders.len() as f64 > MESSAGES_MAX {
            return Err(format!(
                "more than {MESSAGES_MAX} messages in one run; send less or for a shorter time"
            ));
        }
        Ok(Self {
            base,
            speech,
            schedule: Schedule::new(senders.into_iter(), speech.hz, time.start, time.end),
            sent: vec![0; sessions.lines().len()],
            total: 0,
            unsent: 0,
            lateness: Times::new(),
            payload: Vec::new(),
        })
    }

    /// When the next message is due; `u64::MAX` after the last one.
    pub(crate) fn next_ns(&self) -> u64 {
        self.schedule.next_ns().unwrap_or(u64::MAX)
    }

    /// Sends what is due, but not too much at once; tells the session and the number of each message.
    pub(crate) fn send_due(&mut self, sessions: &mut Sessions, mut tell: impl FnMut(usize, u64)) {
        let now_ns = Clock.now_ns();
        for _ in 0..SENDS_PER_TURN {
            let Some(due) = self.schedule.pop(now_ns) else { break };
            let session = due.sender as usize - self.base;
            let number = self.sent[session];
            let stamp = Stamp { sender: due.sender, number, intended_ns: due.at_ns };
            stamp::write(&stamp, self.speech.payload_bytes, &mut self.payload);
            if sessions.publish(session, self.speech.class, &self.payload).is_none() {
                self.unsent += 1;
                continue;
            }
            self.sent[session] += 1;
            self.total += 1;
            tell(session, number);
            self.lateness.record_us(Clock.now_ns().saturating_sub(due.at_ns) / 1000);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn lateness(&self) -> &Times {
        &self.lateness
    }

    /// Says what was asked for.
    pub(crate) fn settings(speech: Speech, outcome: &mut Outcome) {
        outcome.set("hz", speech.hz);
        outcome.set("payload_bytes", speech.payload_bytes);
    }

    /// What was sent by each sender, and what of it has an unknown outcome.
    pub(crate) fn sent_by<'a>(
        &'a self,
        sessions: &'a Sessions,
    ) -> impl Iterator<Item = (u32, u64, u64)> + 'a {
        self.sent.iter().zip(sessions.lines()).map(|(sent, line)| {
            let unanswered = line.room().map_or(0, |room| room.unanswered() as u64);
            ((self.base + line.number()) as u32, *sent, line.unknown + unanswered)
        })
    }

    /// Puts what was sent into an outcome.
    pub(crate) fn finish(&self, outcome: &mut Outcome) {
        outcome.add(SENT, self.total);
        outcome.add(UNSENT, self.unsent);
        outcome.add_times(LATENESS, &self.lateness);
    }
}

/// What sessions hear of each other's reliable messages.
pub(crate) struct Hearing {
    base: usize,
    rooms_of: usize,
    payload_bytes: usize,
    pub(crate) latency: Latency,
    pub(crate) journal: Journal,
    corrupt: u64,
    foreign: u64,
}

impl Hearing {
    pub(crate) fn new(sessions: &Sessions, payload_bytes: usize) -> Self {
        Self {
            base: sessions.plan().first,
            rooms_of: sessions.plan().rooms_of,
            payload_bytes,
            latency: Latency::new(),
            journal: Journal::new(sessions.lines().len()),
            corrupt: 0,
            foreign: 0,
        }
    }

    /// The room that a session belongs to, over all processes.
    pub(crate) fn home(&self, session: usize) -> usize {
        (self.base + session) / self.rooms_of
    }

    /// Takes from a message what is about the journal of the session's room, which has this number.
    /// Returns what a message that was heard for the first time says of itself.
    pub(crate) fn hear(
        &mut self,
        (line, room): (&Line, usize),
        message: &ServerMessage<'_>,
        place: Place,
    ) -> Option<Stamp> {
        let session = line.number();
        match message {
            ServerMessage::Joined(joined) => {
                let membership = (joined.epoch, joined.member.0);
                let at = (joined.seq.0, joined.recovered);
                self.journal.joined(session, room, membership, at);
                None
            }
            ServerMessage::Gap(gap) => {
                self.journal.gap(session, gap.from_seq.0, gap.to_seq.0);
                None
            }
            ServerMessage::Left(_) => {
                self.journal.left(session);
                None
            }
            ServerMessage::Message(message) => {
                let stamp = self.read(&message.payload)?;
                let is_history = place == Place::History;
                let is_new = self.journal.said(session, message.seq.0, &stamp, is_history);
                is_new.then_some(stamp)
            }
            _ => None,
        }
    }

    /// What a payload says of itself; what is not as it was sent is counted.
    pub(crate) fn read(&mut self, payload: &Payload<'_>) -> Option<Stamp> {
        let read = match payload {
            Payload::Bytes(bytes) => {
                stamp::read(bytes, self.payload_bytes).map(|stamp| (stamp, bytes))
            }
            Payload::Text(_) | Payload::Json(_) => Err(Strange::Foreign),
        };
        match read {
            Ok((stamp, bytes)) if stamp::is_whole(bytes, &stamp) => return Some(stamp),
            Ok(_) | Err(Strange::Corrupt) => self.corrupt += 1,
            Err(Strange::Foreign) => self.foreign += 1,
        }
        None
    }

    /// Nothing more comes: puts what was heard into an outcome.
    pub(crate) fn finish(mut self, crowd: &Crowd, sessions: &Sessions, outcome: &mut Outcome) {
        self.put(outcome);
        self.journal.finish(crowd.sent_by(sessions), outcome);
    }

    /// The same without the journal.
    pub(crate) fn put(&mut self, outcome: &mut Outcome) {
        outcome.add(CORRUPT, self.corrupt);
        outcome.add(FOREIGN, self.foreign);
        self.latency.put(outcome);
    }
}

/// From the time something was to be sent to what it led to.
pub(crate) struct Latency {
    /// What was to be sent in this time is measured.
    pub(crate) window: Range<u64>,
    /// Those in the window since the last second, those outside of it, and all in the window before.
    inside: Recorder,
    outside: Recorder,
    all: Times,
}

impl Latency {
    pub(crate) fn new() -> Self {
        let (inside, outside) = (Recorder::new(), Recorder::new());
        Self { window: 0..0, inside, outside, all: Times::new() }
    }

    /// It has led to it now.
    pub(crate) fn record(&mut self, intended_ns: u64, now_ns: u64) {
        let us = now_ns.saturating_sub(intended_ns) / 1000;
        if self.window.contains(&intended_ns) {
            self.inside.record_us(us);
        } else {
            self.outside.record_us(us);
        }
    }

    /// What was recorded since this was asked last.
    pub(crate) fn take_second(&mut self) -> Times {
        let mut second = Times::coarse();
        self.inside.move_to(&mut [&mut self.all, &mut second]);
        self.outside.move_to(&mut [&mut second]);
        second
    }

    /// Puts all that is measured into an outcome.
    pub(crate) fn put(&mut self, outcome: &mut Outcome) {
        self.take_second();
        outcome.add_times(LATENCY, &self.all);
    }
}

/// When a run begins, measures, and is over, in nanoseconds of the clock.
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acts {
    pub(crate) start_ns: u64,
    /// The warm-up is over.
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
}

impl Acts {
    pub(crate) fn new(start_ns: u64, warmup: Duration, duration: Duration) -> Self {
        let from_ns = start_ns + warmup.as_nanos() as u64;
        Self { start_ns, from_ns, to_ns: from_ns + duration.as_nanos() as u64 }
    }

    /// What is measured.
    pub(crate) fn window(&self) -> Range<u64> {
        self.from_ns..self.to_ns
    }
}

/// What a scenario does in the course of a run.
pub(crate) trait Scene: Audience {
    /// Does what is due; returns when the next thing is, `u64::MAX` where that is not known.
    fn step(&mut self, sessions: &mut Sessions, now_ns: u64) -> Result<u64, String>;
    /// Messages sent and received so far.
    fn counted(&self) -> (u64, u64);
    /// The latencies of what came since this was asked last.
    fn take_second(&mut self) -> Times;
    /// How late what was sent was sent.
    fn lateness(&self) -> Option<&Times>;
    /// Whether the window may end before its time, or has to go on after it.
    fn is_over(&self, _sessions: &Sessions, now_ns: u64, acts: &Acts) -> bool {
        now_ns >= acts.to_ns
    }
}

/// Lets a scenario do what is due when it is due, tells of every second, and notes what was true at both
/// ends of the window.
pub(crate) fn play(
    sessions: &mut Sessions,
    scene: &mut impl Scene,
    acts: &Acts,
    (desk, outcome): (&Desk, &mut Outcome),
) -> Result<(), String> {
    while Clock.now_ns() < acts.start_ns {
        sessions.turn(acts.start_ns, scene).map_err(poll_failed)?;
    }
    let mut meter = Meter::new(acts.start_ns, totals(sessions, scene));
    let mut from: Option<Mark> = None;
    loop {
        let now_ns = Clock.now_ns();
        if from.is_none() && now_ns >= acts.from_ns {
            desk.mark(Stage::From)?;
            meter.from(now_ns);
            from = Some(Mark::take(now_ns, sessions, scene));
        }
        if meter.is_due(now_ns) {
            meter.tick(now_ns, totals(sessions, scene), scene.take_second(), desk)?;
        }
        let next_ns = scene.step(sessions, now_ns)?;
        if let Some(from) = &from
            && scene.is_over(sessions, now_ns, acts)
        {
            desk.mark(Stage::To)?;
            meter.to(now_ns);
            Mark::take(now_ns, sessions, scene).put_since(from, outcome);
            // The last second ends with the window, whole or not.
            meter.tick(now_ns, totals(sessions, scene), scene.take_second(), desk)?;
            meter.finish(scene.lateness(), outcome);
            return Ok(());
        }
        let mark_ns = match from {
            None => acts.from_ns,
            Some(_) if now_ns < acts.to_ns => acts.to_ns,
            Some(_) => u64::MAX,
        };
        let until_ns = next_ns.min(mark_ns).min(meter.next_ns());
        sessions.turn(until_ns, scene).map_err(poll_failed)?;
    }
}

/// Refuses to begin while somebody is missing.
pub(crate) fn all_there(sessions: &Sessions, numbers: Range<usize>) -> Result<(), String> {
    let asked = numbers.len();
    let there = sessions.lines()[numbers].iter().filter(|line| line.is_there()).count();
    if there == asked {
        return Ok(());
    }
    let troubles = crate::endings::troubles(&sessions.tolls());
    Err(format!("only {there} of {asked} sessions are in their rooms; {troubles}"))
}

/// Puts what happened to connections into an outcome.
pub(crate) fn put_tolls(sessions: &Sessions, outcome: &mut Outcome) {
    sessions.put_tolls(outcome);
    outcome.add(LIVE_AT_END, sessions.tolls().live as u64);
}

fn totals(sessions: &Sessions, scene: &impl Scene) -> Totals {
    let tolls = sessions.tolls();
    let (sent, received) = scene.counted();
    let (bytes_in, bytes_out) = (tolls.bytes_in, tolls.bytes_out);
    let live = tolls.live as u64;
    let troubles = Troubles { errors: tolls.errors, closed: tolls.closed, ..Troubles::default() };
    Totals { sent, received, bytes_in, bytes_out, live, troubles }
}

/// What was true at one moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at_ns: u64,
    counts: [(&'static str, u64); 5],
}

impl Mark {
    fn take(at_ns: u64, sessions: &Sessions, scene: &impl Scene) -> Self {
        let tolls = sessions.tolls();
        let counts = [
            (DELIVERIES, scene.counted().1),
            (FRAMES, tolls.frames_in),
            (READS, tolls.reads),
            (BYTES_IN, tolls.bytes_in),
            (BYTES_OUT, tolls.bytes_out),
        ];
        Self { at_ns, counts }
    }

    /// Puts the window since an earlier one, and what came in it, into an outcome.
    fn put_since(&self, earlier: &Self, outcome: &mut Outcome) {
        outcome.window = Window { start_ns: earlier.at_ns, end_ns: self.at_ns };
        for ((name, count), (_, before)) in self.counts.iter().zip(earlier.counts) {
            outcome.add(name, count - before);
        }
    }
}
