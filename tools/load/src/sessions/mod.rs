//! Sessions, which outlive their connections: opening, resuming, cutting off and leaving unread, the
//! loop, what is counted.
//!
//! The fleet is for connections that come and stay; here they also go and come back, and scenarios hear
//! every message as it is. A session has at most one connection and is in at most one room at a time.
//! They are numbered from 0; session `n` is in room `n / rooms_of` of the plan unless a scenario says
//! otherwise.
//!
//! Deliberately absent: when to do any of it. That is the scenarios'.

mod line;
mod room;

use crate::dialect::Dialect;
use crate::fleet::{Pipe, Plan, Tolls};
use crate::outcome::Outcome;
use crate::system::{Alarm, Clock};
pub(crate) use crate::transport::End;
use crate::transport::{Dialer, HttpLine, Lane, Transport, lane_of};
pub(crate) use line::{Line, Place};
use madang_protocol::ServerMessage;
use madang_protocol::client::{Class, CreateOptions, Join, JoinMode, JoinOptions, JoinTarget};
use mio::{Events, Poll, Token};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

const ALARM: Token = Token(usize::MAX);
/// Most events of one poll.
const EVENTS_MAX: usize = 1024;
/// The receive buffer that all connections share.
const BUFFER_BYTES: usize = 256 << 10;
/// How long the server may take to end connections that said goodbye.
const GOODBYE_NS: u64 = 3_000_000_000;

/// What a scenario hears. It may answer on the line at once.
pub(crate) trait Audience {
    /// A message of the server came, and the line has taken from it what it has to remember.
    fn hear(&mut self, line: &mut Line, message: &ServerMessage<'_>, place: Place, now_ns: u64);
    /// The handshake was accepted. A raw connection is in its room.
    fn opened(&mut self, _line: &mut Line, _now_ns: u64) {}
    /// A message of a raw room came.
    fn raw(&mut self, _line: &mut Line, _payload: &[u8], _now_ns: u64) {}
    /// The connection is over, and nothing of it is left.
    fn ended(&mut self, _line: &mut Line, _end: &End, _now_ns: u64) {}
}

/// All sessions of a run.
pub(crate) struct Sessions {
    plan: Plan,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    lines: Vec<Line>,
    dialer: Rc<Dialer>,
    /// Connections begun so far: which source the next one comes from.
    begun: usize,
    buffer: Vec<u8>,
    tolls: Tolls,
}

/// Which of some sessions were begun, while they are opened.
struct Opening {
    next: usize,
    end: usize,
    start_ns: u64,
    end_ns: u64,
}

impl Sessions {
    /// As many as the plan has connections, none of them connected. They publish messages of this type.
    pub(crate) fn new(plan: Plan, message_type: &'static str) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let lines = (0..plan.connections).map(|number| {
            let room = plan.room(number);
            Line::new(number, plan.dialect, entrance(&plan, room), message_type)
        });
        Ok(Self {
            lines: lines.collect(),
            dialer: Dialer::new(&plan, poll.registry())?,
            plan,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            alarm,
            begun: 0,
            buffer: vec![0; BUFFER_BYTES],
            tolls: Tolls::default(),
        })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn line(&self, number: usize) -> &Line {
        &self.lines[number]
    }

    pub(crate) fn line_mut(&mut self, number: usize) -> &mut Line {
        &mut self.lines[number]
    }

    /// What happened to all connections so far.
    pub(crate) fn tolls(&self) -> Tolls {
        let mut tolls = self.tolls.clone();
        tolls.live = self.lines.iter().filter(|line| line.is_open()).count();
        tolls.bytes_in = self.lines.iter().map(|line| line.bytes_in).sum();
        tolls.bytes_out = self.lines.iter().map(|line| line.bytes_out).sum();
        tolls
    }

    /// Puts what happened to all connections into an outcome.
    pub(crate) fn put_tolls(&self, outcome: &mut Outcome) {
        self.tolls().put(outcome);
        self.dialer.put(outcome);
    }

    /// How many are on their way to where they want to be.
    pub(crate) fn on_their_way(&self) -> usize {
        self.lines.iter().filter(|line| line.is_on_its_way()).count()
    }

    /// Begins a connection of a session that has none: with its key if it has one, else anew. With a
    /// size, the system's buffer for what comes has that one.
    pub(crate) fn begin(
        &mut self,
        number: usize,
        receive_bytes: Option<usize>,
    ) -> Result<(), String> {
        debug_assert!(!self.lines[number].is_connected());
        let pipe = match self.plan.transport {
            Transport::Ws => {
                Pipe::Socket(self.dialer.dial((number, Lane::Down), self.begun, receive_bytes)?)
            }
            transport @ (Transport::Events | Transport::Polls) => {
                let is_json = self.plan.dialect == Dialect::Json;
                let dialer = &self.dialer;
                let line = HttpLine::new(dialer, number, transport, is_json, receive_bytes)?;
                Pipe::Line(Box::new(line))
            }
        };
        self.begun += 1;
        self.lines[number].begin(pipe, Clock.now_ns());
        Ok(())
    }

    /// Opens these, at the plan's rate, and waits until each is in its room or has failed. An error says
    /// why not all could be begun, or that it took too long.
    pub(crate) fn open(
        &mut self,
        numbers: Range<usize>,
        receive_bytes: impl Fn(usize) -> Option<usize>,
        audience: &mut impl Audience,
    ) -> Result<(), String> {
        let start_ns = Clock.now_ns();
        let end_ns = start_ns + self.plan.patience.as_nanos() as u64;
        let mut opening = Opening { next: numbers.start, end: numbers.end, start_ns, end_ns };
        let mut on_their_way = 0;
        while opening.next < opening.end || on_their_way > 0 {
            let now_ns = Clock.now_ns();
            if now_ns > opening.end_ns {
                let there = self.lines[numbers.clone()].iter().filter(|line| line.is_there());
                return Err(format!(
                    "after {:?} only {} of {} sessions are in their rooms",
                    self.plan.patience,
                    there.count(),
                    numbers.len()
                ));
            }
            let allowed = opening.allowed(now_ns, self.plan.rate, numbers.start);
            while opening.next < allowed && on_their_way < self.plan.in_flight {
                self.begin(opening.next, receive_bytes(opening.next)).map_err(|why| {
                    let begun = opening.next - numbers.start;
                    format!("{why}; {begun} of {} connections were begun", numbers.len())
                })?;
                opening.next += 1;
                on_their_way += 1;
            }
            self.turn(now_ns + 10_000_000, audience).map_err(|error| format!("poll: {error}"))?;
            on_their_way = self.on_their_way();
        }
        Ok(())
    }

    /// Handles what happens until `until_ns`, or at least once; returns after the first events.
    pub(crate) fn turn(&mut self, until_ns: u64, audience: &mut impl Audience) -> io::Result<()> {
        let until_ns = until_ns.min(self.dialer.next_ns());
        let wait_ns = until_ns.saturating_sub(Clock.now_ns());
        let timeout = if wait_ns == 0 {
            Some(Duration::ZERO)
        } else {
            self.alarm.set(wait_ns)?;
            None
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == ALARM {
                continue;
            }
            let (number, lane) = lane_of(event.token());
            if event.is_writable() || event.is_error() {
                let ended = self.lines[number].writable(&self.plan, lane);
                self.end(number, ended, audience);
            }
            if lane == Lane::Up {
                if event.is_readable() || event.is_read_closed() {
                    self.read_answers(number, event.is_read_closed(), audience);
                }
            } else if event.is_readable() || event.is_read_closed() {
                self.lines[number].may_read(event.is_read_closed());
                if self.lines[number].is_read() || event.is_error() {
                    self.read(number, audience);
                }
            }
        }
        self.events = events;
        let now_ns = Clock.now_ns();
        while let Some(number) = self.dialer.pop_due(now_ns) {
            let ended = self.lines[number].wake(now_ns);
            self.end(number, ended, audience);
        }
        Ok(())
    }

    /// Reads what answers to what a session has sent by requests; whether it reads otherwise does not matter.
    fn read_answers(&mut self, number: usize, to_the_end: bool, audience: &mut impl Audience) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let line = &mut self.lines[number];
        let ended = line.drain(Lane::Up, to_the_end, &mut buffer, &mut self.tolls, audience);
        self.buffer = buffer;
        self.end(number, ended, audience);
    }

    /// Reads what waits for a session, whether or not it is read otherwise.
    pub(crate) fn read(&mut self, number: usize, audience: &mut impl Audience) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let ended = self.lines[number].read(&mut buffer, &mut self.tolls, audience);
        self.buffer = buffer;
        self.end(number, ended, audience);
    }

    /// From now on a session is read when something comes, or only by [`Self::read`].
    pub(crate) fn set_read(&mut self, number: usize, reads: bool, audience: &mut impl Audience) {
        self.lines[number].set_read(reads);
        if reads {
            self.read(number, audience);
        }
    }

    /// Ends a connection by a reset: nothing of it is left, here or there. The session does not know
    /// better than that it will come back.
    pub(crate) fn cut(&mut self, number: usize) {
        self.lines[number].cut();
    }

    /// Says goodbye on every connection and waits until the server has ended it: so the server keeps
    /// no session, and the ports are free for the next run.
    pub(crate) fn close(&mut self, audience: &mut impl Audience) -> io::Result<()> {
        for line in &mut self.lines {
            line.set_read(true);
            line.say_goodbye();
        }
        for number in 0..self.lines.len() {
            self.read(number, audience);
        }
        let end_ns = Clock.now_ns() + GOODBYE_NS;
        while self.lines.iter().any(Line::is_connected) && Clock.now_ns() < end_ns {
            self.turn(end_ns, audience)?;
        }
        Ok(())
    }

    /// Handles what happens until nothing has come for `quiet`, or `patience` is over.
    pub(crate) fn settle(
        &mut self,
        quiet_ns: u64,
        patience: Duration,
        audience: &mut impl Audience,
    ) -> io::Result<()> {
        let end_ns = Clock.now_ns() + patience.as_nanos() as u64;
        let mut seen = self.tolls.reads;
        let mut since_ns = Clock.now_ns();
        loop {
            let now_ns = Clock.now_ns();
            if std::mem::replace(&mut seen, self.tolls.reads) != self.tolls.reads {
                since_ns = now_ns;
            }
            let until_ns = end_ns.min(since_ns + quiet_ns);
            if now_ns >= until_ns {
                return Ok(());
            }
            self.turn(until_ns, audience)?;
        }
    }

    /// Publishes on a session's line. None when that is not possible now; a reliable message of a
    /// session that comes back waits for that.
    pub(crate) fn publish(&mut self, number: usize, class: Class, payload: &[u8]) -> Option<u64> {
        self.lines[number].publish(class, payload)
    }

    fn end(&mut self, number: usize, ended: Option<End>, audience: &mut impl Audience) {
        let Some(end) = ended else { return };
        match &end {
            End::Closed(code) => *self.tolls.closed.entry(*code).or_default() += 1,
            End::Refused { status, .. } => *self.tolls.refused.entry(*status).or_default() += 1,
            End::Broken => self.tolls.broken += 1,
            End::Strange(why) => self.tolls.error(why.clone()),
        }
        audience.ended(&mut self.lines[number], &end, Clock.now_ns());
    }
}

impl Opening {
    /// The number below which sessions may be begun now.
    fn allowed(&self, now_ns: u64, rate: u32, first: usize) -> usize {
        let by_rate = match rate {
            0 => usize::MAX,
            rate => ((now_ns - self.start_ns) * u64::from(rate) / 1_000_000_000) as usize + 1,
        };
        self.end.min(first.saturating_add(by_rate))
    }
}

/// The way into the room of this name, as the plan has it.
pub(crate) fn entrance(plan: &Plan, room: String) -> Join {
    let create =
        CreateOptions { presence: Some(plan.entrance.presence), ..CreateOptions::default() };
    Join {
        r#ref: 1,
        target: JoinTarget::Name(room),
        mode: JoinMode::Either,
        options: JoinOptions {
            echo: plan.entrance.echo || plan.dialect == Dialect::Raw,
            create: Some(create),
            ..JoinOptions::default()
        },
        since: None,
        history: 0,
        ext: Vec::new(),
    }
}
