//! All connections of a run: opening them, the loop, what is counted.
//!
//! Connections are numbered from 0. Connection `n` is in room `n / rooms_of`, at place
//! `n % rooms_of`; the last ones may each be alone in a room.

mod conn;
mod connect;

use crate::dialect::{Dialect, Entrance, Heard, WayIn};
use crate::outcome::{Outcome, Times};
use crate::system::{Alarm, Clock};
use crate::tls::Trust;
use crate::transport::{Dialer, End, HttpLine, Lane, Received, Transport, lane_of};
use crate::websocket::{self, Answer, CLOSE, PING, PONG};
pub(crate) use conn::{Conn, Phase, Pipe};
pub(crate) use connect::{Failure, Sources};
use madang_protocol::client::Class;
use mio::event::Event;
use mio::{Events, Poll, Registry, Token};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

const ALARM: Token = Token(usize::MAX);
/// Most events of one poll.
const EVENTS_MAX: usize = 1024;
/// The receive buffer that all connections share.
const BUFFER_BYTES: usize = 256 << 10;
/// Most bytes that may wait for one socket; beyond them nothing is sent on it.
const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// How long the server may take to end connections that said goodbye.
const GOODBYE_NS: u64 = 3_000_000_000;

/// What connections are opened to and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) target: SocketAddr,
    /// For the `Host` field.
    pub(crate) host: String,
    /// None in plaintext.
    pub(crate) tls: Option<Trust>,
    /// With `{room}` where the room's name goes.
    pub(crate) path: String,
    pub(crate) transport: Transport,
    pub(crate) dialect: Dialect,
    pub(crate) entrance: Entrance,
    /// The name of room `n` is this and `n`.
    pub(crate) room_prefix: String,
    pub(crate) connections: usize,
    /// The number of the first, over all processes; a multiple of `rooms_of`, or all are in one room.
    pub(crate) first: usize,
    pub(crate) rooms_of: usize,
    /// How many of the connections, the last ones, are alone in a room each.
    pub(crate) alone: usize,
    /// The names of their rooms are this and a number from 0.
    pub(crate) alone_prefix: String,
    /// Most connections on their way at the same time.
    pub(crate) in_flight: usize,
    /// Most connections begun in a second; 0 is no bound.
    pub(crate) rate: u32,
    pub(crate) sources: Vec<IpAddr>,
    /// How long opening all of them may take.
    pub(crate) patience: Duration,
}

impl Plan {
    /// The name of a connection's room.
    pub(crate) fn room(&self, number: usize) -> String {
        let Self { connections, alone, first, rooms_of, .. } = *self;
        match number.checked_sub(connections - alone) {
            Some(alone) => format!("{}{alone}", self.alone_prefix),
            None => format!("{}{}", self.room_prefix, (first + number) / rooms_of),
        }
    }

    /// Shares for several processes, of which each has a multiple of `unit` connections, but the last:
    /// with source addresses of their own. Fewer than were asked for where there are not so many units.
    pub(crate) fn shares(&self, unit: usize, processes: usize) -> Vec<Self> {
        if processes == 1 {
            return vec![self.clone()];
        }
        let units = self.connections.div_ceil(unit);
        let processes = processes.min(units);
        let ends = (1..=processes).map(|n| (n * units / processes * unit).min(self.connections));
        let mut first = 0;
        ends.enumerate()
            .map(|(worker, end)| {
                let connections = std::mem::replace(&mut first, end)..end;
                Self {
                    connections: connections.len(),
                    first: self.first + connections.start,
                    in_flight: self.in_flight.div_ceil(processes),
                    rate: self.rate.div_ceil(processes as u32),
                    sources: connect::share(&self.sources, self.target, worker, processes),
                    ..self.clone()
                }
            })
            .collect()
    }
}

/// What a scenario wants to hear.
pub(crate) trait Listener {
    /// A message of the room came, at this time of the fleet's clock.
    fn message(&mut self, conn: usize, payload: &[u8], now_ns: u64);
    /// A sign of life was answered.
    fn alive(&mut self, conn: usize);
    /// Something happened to a socket that is not the fleet's but on its poll.
    fn other(&mut self, _event: &Event) {}
}

/// What happened to the connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tolls {
    /// In their rooms now.
    pub(crate) live: usize,
    /// Ended by a Close frame, by its code.
    pub(crate) closed: BTreeMap<u16, u64>,
    /// Handshakes that were refused, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Ended without a Close frame.
    pub(crate) broken: u64,
    /// Messages that this client does not understand, or that refuse something; and the first.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Read calls that gave something.
    pub(crate) reads: u64,
    /// WebSocket messages that came.
    pub(crate) frames_in: u64,
    /// From the beginning of a connection to its being in its room.
    pub(crate) connect: Times,
}

impl Tolls {
    /// Something was refused or not understood.
    pub(crate) fn error(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }
}

/// All connections of a run.
pub(crate) struct Fleet {
    plan: Plan,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    conns: Vec<Conn>,
    dialer: Rc<Dialer>,
    /// On their way.
    pending: usize,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    /// What came by requests.
    frames: Vec<u8>,
    tolls: Tolls,
}

impl Fleet {
    pub(crate) fn new(plan: Plan) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Self {
            dialer: Dialer::new(&plan, poll.registry())?,
            conns: Vec::with_capacity(plan.connections),
            plan,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            alarm,
            pending: 0,
            buffer: vec![0; BUFFER_BYTES],
            scratch: Vec::new(),
            frames: Vec::new(),
            tolls: Tolls::default(),
        })
    }

    pub(crate) fn tolls(&self) -> &Tolls {
        &self.tolls
    }

    /// Puts what happened to connections into an outcome.
    pub(crate) fn put_tolls(&self, outcome: &mut Outcome) {
        self.tolls.put(outcome);
        self.dialer.put(outcome);
    }

    /// For sockets that are not the fleet's. Their tokens are above its connections' numbers.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    pub(crate) fn is_live(&self, conn: usize) -> bool {
        self.conns.get(conn).is_some_and(|conn| conn.phase == Phase::Live)
    }

    /// Opens every connection and waits until each is in its room or has failed. An error says why
    /// not all could be begun, or that it took too long.
    pub(crate) fn open(&mut self, listener: &mut impl Listener) -> Result<(), String> {
        let start_ns = Clock.now_ns();
        let end_ns = start_ns + self.plan.patience.as_nanos() as u64;
        while self.conns.len() < self.plan.connections || self.pending > 0 {
            let now_ns = Clock.now_ns();
            if now_ns > end_ns {
                return Err(format!(
                    "after {:?} only {} of {} connections are in their rooms",
                    self.plan.patience, self.tolls.live, self.plan.connections
                ));
            }
            let allowed = match self.plan.rate {
                0 => usize::MAX,
                rate => ((now_ns - start_ns) * u64::from(rate) / 1_000_000_000) as usize + 1,
            };
            while self.conns.len() < self.plan.connections.min(allowed)
                && self.pending < self.plan.in_flight
            {
                self.begin()?;
            }
            self.turn(now_ns + 10_000_000, listener).map_err(|error| format!("poll: {error}"))?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        let number = self.conns.len();
        let Plan { connections, transport, dialect, .. } = self.plan;
        let pipe = match transport {
            Transport::Ws => self.dialer.dial((number, Lane::Down), number, None).map(Pipe::Socket),
            Transport::Events | Transport::Polls => {
                let is_json = dialect == Dialect::Json;
                let line = HttpLine::new(&self.dialer, number, transport, is_json, None);
                line.map(|line| Pipe::Line(Box::new(line)))
            }
        };
        let pipe =
            pipe.map_err(|why| format!("{why}; {number} of {connections} connections were begun"))?;
        self.conns.push(Conn::new(pipe, Clock.now_ns()));
        self.pending += 1;
        Ok(())
    }

    /// Handles what happens until `until_ns`, or at least once; returns after the first events.
    pub(crate) fn turn(&mut self, until_ns: u64, listener: &mut impl Listener) -> io::Result<()> {
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
            let (number, lane) = lane_of(event.token());
            if number >= self.conns.len() {
                listener.other(event);
                continue;
            }
            if event.is_writable() || event.is_error() {
                self.writable(number, lane);
            }
            if event.is_readable() || event.is_read_closed() {
                self.readable(number, lane, event.is_read_closed(), listener);
            }
        }
        self.events = events;
        self.wake_due();
        Ok(())
    }

    /// Lets lines of requests do what they had put off.
    fn wake_due(&mut self) {
        let now_ns = Clock.now_ns();
        while let Some(number) = self.dialer.pop_due(now_ns) {
            let Some(line) = self.conns[number].line() else { continue };
            let end = line.wake(now_ns);
            self.tolls.bytes_out += line.take_written() as u64;
            if let Some(end) = end {
                self.over(number, end);
            }
        }
    }

    /// Handles what happens until nothing has come for `quiet_ns`, or `patience` is over.
    pub(crate) fn settle(
        &mut self,
        quiet_ns: u64,
        patience: Duration,
        listener: &mut impl Listener,
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
            self.turn(until_ns, listener)?;
        }
    }

    /// Sends a message to the connection's room. False when the connection is not in its room or
    /// too much waits already.
    pub(crate) fn publish(&mut self, number: usize, class: Class, payload: &[u8]) -> bool {
        let conn = &mut self.conns[number];
        if conn.phase != Phase::Live || conn.waiting_bytes() > OUTBOX_BYTES_MAX {
            return false;
        }
        self.scratch.clear();
        self.plan.dialect.put_message(&mut conn.seat, class, payload, &mut self.scratch);
        self.send_scratch(number)
    }

    /// Asks a connection's server for a sign of life.
    pub(crate) fn ask_alive(&mut self, number: usize) -> bool {
        if !self.is_live(number) {
            return false;
        }
        self.scratch.clear();
        self.plan.dialect.put_sign_of_life(&mut self.scratch);
        self.send_scratch(number)
    }

    /// Says goodbye on every connection and waits until the server has ended it: so the server
    /// keeps no session, and the ports are free for the next run.
    pub(crate) fn close(&mut self, listener: &mut impl Listener) -> io::Result<()> {
        for number in 0..self.conns.len() {
            if self.is_live(number) {
                self.scratch.clear();
                Dialect::put_control(CLOSE, &1000_u16.to_be_bytes(), &mut self.scratch);
                self.send_scratch(number);
            }
        }
        let end_ns = Clock.now_ns() + GOODBYE_NS;
        while self.tolls.live > 0 && Clock.now_ns() < end_ns {
            self.turn(end_ns, listener)?;
        }
        Ok(())
    }

    fn send_scratch(&mut self, number: usize) -> bool {
        let sent = self.conns[number].send(&self.scratch);
        if let Some(taken) = sent {
            self.tolls.bytes_out += taken as u64;
        } else {
            self.end(number, None);
        }
        sent.is_some()
    }

    fn writable(&mut self, number: usize, lane: Lane) {
        let conn = &mut self.conns[number];
        match conn.phase {
            Phase::Connecting => {
                match conn.is_established() {
                    Some(true) => {}
                    Some(false) => return,
                    None => return self.end(number, None),
                }
                let room = self.plan.room(number);
                let Plan { host, dialect, entrance, .. } = &self.plan;
                let path = self.plan.path.replace("{room}", &room);
                if let Some(line) = conn.line() {
                    line.aim(&path);
                    return self.enter(number);
                }
                let Some(request) = dialect.reserve(host, &path, &room, entrance) else {
                    return self.shake_hands(number, &path);
                };
                self.conns[number].phase = Phase::Reserving;
                self.scratch.clear();
                self.scratch.extend_from_slice(&request);
                self.send_scratch(number);
            }
            Phase::Ended => {}
            _ => match conn.flush(lane) {
                Ok(taken) => self.tolls.bytes_out += taken as u64,
                Err(end) => self.over(number, end),
            },
        }
    }

    fn shake_hands(&mut self, number: usize, path: &str) {
        self.conns[number].phase = Phase::Handshake;
        let Plan { host, dialect, .. } = &self.plan;
        let request = websocket::request(host, path, dialect.subprotocol());
        self.scratch.clear();
        self.scratch.extend_from_slice(&request);
        self.send_scratch(number);
    }

    fn readable(
        &mut self,
        number: usize,
        lane: Lane,
        to_the_end: bool,
        listener: &mut impl Listener,
    ) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while self.conns[number].phase != Phase::Ended {
            let received = self.conns[number].receive(lane, &mut buffer);
            match received {
                Received::Bytes(n) => {
                    self.tolls.bytes_in += n as u64;
                    self.tolls.reads += 1;
                    self.take(number, lane, &buffer[..n], listener);
                    // Edge-triggered: less than asked for means that nothing is left, unless the
                    // end was signalled too.
                    if self.conns[number].is_read_whole(lane, n, buffer.len()) && !to_the_end {
                        break;
                    }
                }
                Received::Blocked => break,
                Received::Refused(why) => self.violated(number, &why),
                Received::Gone => match self.conns[number].lost(lane) {
                    Some(end) => self.over(number, end),
                    // It goes on with another socket.
                    None => break,
                },
            }
        }
        self.buffer = buffer;
    }

    /// Handles what came on a socket.
    fn take(&mut self, number: usize, lane: Lane, bytes: &[u8], listener: &mut impl Listener) {
        let Some(line) = self.conns[number].line() else {
            return self.take_bytes(number, bytes, listener);
        };
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let end = line.take(lane, bytes, &mut frames);
        self.tolls.bytes_out += line.take_written() as u64;
        if !frames.is_empty() {
            self.take_bytes(number, &frames, listener);
        }
        self.frames = frames;
        if let Some(end) = end {
            self.over(number, end);
        }
    }

    /// Handles what came, and keeps what is incomplete.
    fn take_bytes(&mut self, number: usize, bytes: &[u8], listener: &mut impl Listener) {
        let mut kept = std::mem::take(&mut self.conns[number].inbox);
        let used = if kept.is_empty() {
            self.handle(number, bytes, listener)
        } else {
            kept.extend_from_slice(bytes);
            self.handle(number, &kept, listener)
        };
        if kept.is_empty() {
            kept.extend_from_slice(&bytes[used..]);
        } else if used == kept.len() {
            kept = Vec::new();
        } else {
            kept.drain(..used);
        }
        self.conns[number].inbox = kept;
    }

    /// Handles what is complete at the front of `input`; returns how many bytes that was.
    fn handle(&mut self, number: usize, input: &[u8], listener: &mut impl Listener) -> usize {
        let now_ns = Clock.now_ns();
        let mut used = 0;
        if self.conns[number].phase == Phase::Reserving {
            match Dialect::reservation(input) {
                Ok(None) => return 0,
                Ok(Some((bytes, path))) => {
                    used = bytes;
                    self.shake_hands(number, &path);
                }
                Err(violation) => {
                    self.violated(number, violation.0);
                    return input.len();
                }
            }
        }
        if self.conns[number].phase == Phase::Handshake {
            match websocket::answer(&input[used..]) {
                Ok(None) => return used,
                Ok(Some(Answer::Accepted(bytes))) => {
                    used += bytes;
                    self.enter(number);
                }
                Ok(Some(Answer::Refused(status))) => {
                    *self.tolls.refused.entry(status).or_default() += 1;
                    self.finish(number);
                    return input.len();
                }
                Err(violation) => {
                    self.violated(number, violation.0);
                    return input.len();
                }
            }
        }
        while used < input.len() && self.conns[number].phase != Phase::Ended {
            match websocket::next_frame(&input[used..]) {
                Ok(None) => return used,
                Ok(Some(frame)) => {
                    used += frame.bytes;
                    // What a raw relay says most, and nothing in it ends a connection.
                    if self.plan.dialect == Dialect::Raw && frame.is_data() {
                        self.tolls.frames_in += 1;
                        listener.message(number, frame.payload, now_ns);
                    } else {
                        self.frame(number, &frame, now_ns, listener);
                    }
                }
                Err(violation) => {
                    self.violated(number, violation.0);
                    return input.len();
                }
            }
        }
        input.len()
    }

    /// The handshake is done: go into the room.
    fn enter(&mut self, number: usize) {
        match self.plan.dialect.way_in() {
            WayIn::Through => self.live(number),
            WayIn::Ask => self.ask_in(number),
            WayIn::Wait => self.conns[number].phase = Phase::Joining,
        }
    }

    fn ask_in(&mut self, number: usize) {
        let room = self.plan.room(number);
        self.conns[number].phase = Phase::Joining;
        self.scratch.clear();
        self.plan.dialect.put_entrance(&room, &self.plan.entrance, &mut self.scratch);
        self.send_scratch(number);
    }

    fn live(&mut self, number: usize) {
        let conn = &mut self.conns[number];
        conn.phase = Phase::Live;
        self.tolls.connect.record_us(Clock.now_ns().saturating_sub(conn.begun_ns) / 1000);
        self.pending -= 1;
        self.tolls.live += 1;
    }

    fn frame(
        &mut self,
        number: usize,
        frame: &websocket::Frame<'_>,
        now_ns: u64,
        listener: &mut impl Listener,
    ) {
        match frame.opcode {
            PING => {
                self.scratch.clear();
                Dialect::put_control(PONG, frame.payload, &mut self.scratch);
                self.send_scratch(number);
                return;
            }
            PONG => return listener.alive(number),
            CLOSE => return self.end(number, Some(frame.close_code())),
            _ => {}
        }
        self.tolls.frames_in += 1;
        let (mut admitted, mut joined, mut refused) = (false, false, None);
        let seat = &mut self.conns[number].seat;
        let out = &mut self.scratch;
        out.clear();
        let result =
            self.plan.dialect.hear(seat, frame.opcode, frame.payload, out, |heard| match heard {
                Heard::Message(payload) => listener.message(number, &payload, now_ns),
                Heard::Alive => listener.alive(number),
                Heard::Admitted => admitted = true,
                Heard::Joined => joined = true,
                Heard::Refused(why) => refused = Some(why),
                Heard::Other => {}
            });
        if !self.scratch.is_empty() {
            self.send_scratch(number);
        }
        if admitted && self.conns[number].phase == Phase::Joining {
            self.ask_in(number);
        }
        if joined && self.conns[number].phase == Phase::Joining {
            self.live(number);
        }
        if let Some(why) = refused {
            self.error(why);
            if self.conns[number].phase == Phase::Joining {
                self.finish(number);
            }
        }
        if let Err(why) = result {
            self.error(why);
            self.finish(number);
        }
    }

    fn violated(&mut self, number: usize, why: &str) {
        if self.conns[number].phase == Phase::Ended {
            return;
        }
        self.error(why.to_owned());
        self.finish(number);
    }

    fn error(&mut self, why: String) {
        self.tolls.error(why);
    }

    /// A connection ended in one of all ways.
    fn over(&mut self, number: usize, end: End) {
        match end {
            End::Closed(code) => self.end(number, Some(code)),
            End::Broken => self.end(number, None),
            End::Strange(why) => self.violated(number, &why),
            End::Refused { status, .. } => {
                *self.tolls.refused.entry(status).or_default() += 1;
                self.finish(number);
            }
        }
    }

    /// A connection ended, with a Close frame of this code or without one.
    fn end(&mut self, number: usize, code: Option<u16>) {
        if self.conns[number].phase == Phase::Ended {
            return;
        }
        match code {
            Some(code) => *self.tolls.closed.entry(code).or_default() += 1,
            None => self.tolls.broken += 1,
        }
        self.finish(number);
    }

    fn finish(&mut self, number: usize) {
        let conn = &mut self.conns[number];
        match conn.phase {
            Phase::Ended => return,
            Phase::Live => self.tolls.live -= 1,
            _ => self.pending -= 1,
        }
        conn.phase = Phase::Ended;
        // It stays until the run's end, so that numbers stay places in the list.
        conn.shut_down();
    }
}
