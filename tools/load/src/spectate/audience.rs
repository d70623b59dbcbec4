//! The spectators of a run: their connections, which share the fleet's poll, and what came on them.

use super::book::{Book, Faults};
use super::follow::{Counts, Follow};
use super::sse::{self, Answer, Block, NAMES, Name};
use crate::fleet::Sources;
use crate::outcome::Times;
use crate::system::Clock;
use crate::tls::{Client, Session, Trust};
use crate::transport::Chunks;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// The token of the first spectator: above any connection's of the fleet.
const TOKENS_FROM: usize = 1 << 32;
/// The receive buffer that all spectators share.
const BUFFER_BYTES: usize = 256 << 10;
/// The system's receive buffer of those who do not read, so that it is soon full.
const SLOW_BUFFER_BYTES: usize = 4096;
/// Of so many spectators of a room one has every byte of its events checked; of the others, the ids.
const CHECKED_OF: usize = 16;
/// How many sockets are handled before the players' are looked at again.
const SEATS_PER_TURN: usize = 32;
/// How much earlier than its delay an event may come: a server counts in milliseconds of a wall clock.
const EARLY_NS: u64 = 5_000_000;
/// How long a spectator stays away when the server did not say.
const RETRY_MS: u32 = 1000;
/// How long it stays away at most.
const RETRY_MS_MAX: u32 = 60_000;
/// How often one that is refused comes back.
const TRIES_MAX: u32 = 10;

/// Who watches what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seats {
    pub(crate) target: SocketAddr,
    /// For the `Host` field.
    pub(crate) host: String,
    /// None in plaintext.
    pub(crate) tls: Option<Trust>,
    /// The rooms; spectator `n` is in room `n % rooms.len()`.
    pub(crate) rooms: Vec<String>,
    pub(crate) spectators: usize,
    /// How many of them, the first ones, do not read while events are sent.
    pub(crate) slow: usize,
    pub(crate) delay_ms: u64,
    /// Most that are on their way at the same time.
    pub(crate) in_flight: usize,
    pub(crate) sources: Vec<IpAddr>,
    /// How long opening all of them may take.
    pub(crate) patience: Duration,
}

/// What happened to the connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Tolls {
    /// Watching now.
    pub(super) live: usize,
    /// Broken off by this tool, as was asked for.
    pub(super) dropped: u64,
    /// Ended by the server.
    pub(super) ended: u64,
    /// Not established, or broken before there was an answer.
    pub(super) broken: u64,
    /// Requests that were refused, by status.
    pub(super) refused: BTreeMap<u16, u64>,
    /// Streams that this client does not understand, and what else went wrong; and the first.
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    pub(super) bytes_in: u64,
    /// Read calls that gave something.
    pub(super) reads: u64,
    pub(super) comments: u64,
    /// Events that came before their delay was over.
    pub(super) early: u64,
    /// By the number of the name.
    pub(super) events: [u64; NAMES.len()],
}

impl Tolls {
    /// Of all names.
    pub(super) fn events(&self) -> u64 {
        self.events.iter().sum()
    }

    fn error(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is open; it comes back when it is due.
    Away,
    /// TCP is not established.
    Connecting,
    /// The head of the answer or the first event is due.
    Asking,
    Live,
    /// It does not come back.
    Gone,
}

/// One spectator. Buffers exist only while something is incomplete.
#[derive(Debug)]
struct Seat {
    socket: Option<TcpStream>,
    /// None in plaintext.
    tls: Option<Box<Session>>,
    phase: Phase,
    /// The head of the answer is behind it.
    has_head: bool,
    /// Where the stream is in chunks.
    chunks: Option<Chunks>,
    inbox: Vec<u8>,
    follow: Follow,
    retry_ms: u32,
    /// Refusals since it last watched.
    tries: u32,
    /// When its last connection ended; 0 is never.
    left_ns: u64,
    /// What happened to its socket and was not handled.
    ready: Ready,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    writable: bool,
    readable: bool,
    /// The server has ended its side.
    closed: bool,
}

/// All spectators of a run.
pub(super) struct Audience {
    plan: Seats,
    /// None in plaintext.
    tls: Option<Client>,
    registry: Registry,
    sources: Sources,
    seats: Vec<Seat>,
    /// By room.
    books: Vec<Book>,
    /// Who comes back when.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// To whose sockets something happened.
    ready: VecDeque<usize>,
    /// On their way.
    pending: usize,
    /// The slow ones do not read.
    is_held: bool,
    buffer: Vec<u8>,
    /// What was in chunks.
    text: Vec<u8>,
    /// What was to be sent in this time is measured.
    pub(super) window: Range<u64>,
    pub(super) tolls: Tolls,
    pub(super) faults: Faults,
    /// Of those who read, and of the slow ones.
    pub(super) counts: [Counts; 2],
    /// From the time a message was to be sent and the delay to its arrival, at those who read.
    pub(super) latency: Times,
    /// The same of what came since a second began, in the window or not.
    pub(super) second: Times,
    /// From the end of a connection to the first event of the next.
    pub(super) returns: Times,
}

impl Audience {
    /// Nobody watches yet. `books` are those of the rooms.
    pub(super) fn new(plan: Seats, books: Vec<Book>, registry: Registry) -> Result<Self, String> {
        let tls = plan.tls.as_ref().map(|trust| Client::new(trust, &plan.host)).transpose()?;
        Ok(Self {
            tls,
            sources: Sources::new(&plan.sources, plan.target),
            seats: Vec::with_capacity(plan.spectators),
            plan,
            registry,
            books,
            due: BinaryHeap::new(),
            ready: VecDeque::new(),
            pending: 0,
            is_held: false,
            buffer: vec![0; BUFFER_BYTES],
            text: Vec::new(),
            window: 0..0,
            tolls: Tolls::default(),
            faults: Faults::default(),
            counts: [Counts::default(); 2],
            latency: Times::new(),
            second: Times::coarse(),
            returns: Times::new(),
        })
    }

    /// Begins connections until enough are on their way. Whether all watch or have failed; an error
    /// says why one could not be begun.
    pub(super) fn open_some(&mut self) -> Result<bool, String> {
        while self.seats.len() < self.plan.spectators && self.pending < self.plan.in_flight {
            let number = self.seats.len();
            self.seats.push(Seat {
                socket: None,
                tls: None,
                phase: Phase::Away,
                has_head: false,
                chunks: None,
                inbox: Vec::new(),
                follow: Follow::default(),
                retry_ms: RETRY_MS,
                tries: 0,
                left_ns: 0,
                ready: Ready::default(),
            });
            self.begin(number).map_err(|why| {
                format!("{why}; {number} of {} spectators were begun", self.plan.spectators)
            })?;
        }
        Ok(self.seats.len() == self.plan.spectators && self.pending == 0)
    }

    /// Lets those come back who are due. Returns when the next are.
    pub(super) fn return_some(&mut self) -> Option<u64> {
        while self.pending < self.plan.in_flight {
            let Reverse((at_ns, number)) = *self.due.peek()?;
            if at_ns > Clock.now_ns() {
                return Some(at_ns);
            }
            self.due.pop();
            if self.seats[number].phase == Phase::Away
                && let Err(why) = self.begin(number)
            {
                self.tolls.error(why);
                self.stay_away(number, RETRY_MS);
            }
        }
        // Whoever arrives makes room.
        None
    }

    /// Breaks a connection off, as a network would, and comes back at once.
    pub(super) fn interrupt(&mut self, number: usize) {
        if self.seats[number].phase == Phase::Live {
            self.tolls.dropped += 1;
            self.hang_up(number);
            self.stay_away(number, 0);
        }
    }

    /// From now on the slow ones do not read, or read everything.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
        if !is_held {
            // What came meanwhile will not be announced again.
            for number in 0..self.plan.slow.min(self.seats.len()) {
                self.readable(number, true);
            }
        }
    }

    /// Messages that came or are known not to come.
    pub(super) fn settled(&self) -> u64 {
        self.counts.iter().map(|counts| counts.received + counts.lost + counts.told_missing).sum()
    }

    /// How many watch which room, and how many of them are slow.
    pub(super) fn watchers(&self, room: usize) -> (u64, u64) {
        let rooms = self.plan.rooms.len();
        let of = |count: usize| (count.saturating_sub(room)).div_ceil(rooms) as u64;
        (of(self.plan.spectators), of(self.plan.slow))
    }

    /// Nothing more comes. `sent` is by room.
    pub(super) fn finish(&mut self, sent: &[u64]) {
        for (number, seat) in self.seats.iter().enumerate() {
            let sent = sent.get(number % self.plan.rooms.len()).copied().unwrap_or_default();
            seat.follow.finish(sent, &mut self.counts[usize::from(number < self.plan.slow)]);
        }
    }

    /// Ends every connection. The server learns of it at once, and the ports are free.
    pub(super) fn close(&mut self) {
        for number in 0..self.seats.len() {
            if self.seats[number].socket.is_some() {
                self.hang_up(number);
            }
            self.seats[number].phase = Phase::Gone;
        }
    }

    /// Something happened to a socket. That is only noted, so that players do not wait for it.
    pub(super) fn happened(&mut self, event: &Event) {
        let Some(number) = event.token().0.checked_sub(TOKENS_FROM) else { return };
        let Some(Seat { ready, .. }) = self.seats.get_mut(number) else { return };
        let is_noted = ready.writable || ready.readable;
        ready.writable |= event.is_writable() || event.is_error();
        ready.readable |= event.is_readable() || event.is_read_closed();
        ready.closed |= event.is_read_closed();
        if !is_noted && (ready.writable || ready.readable) {
            self.ready.push_back(number);
        }
    }

    /// Whether something is left to handle.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Handles what happened to some sockets.
    pub(super) fn handle_some(&mut self) {
        for _ in 0..SEATS_PER_TURN {
            let Some(number) = self.ready.pop_front() else { return };
            let ready = std::mem::take(&mut self.seats[number].ready);
            if ready.writable {
                self.writable(number);
            }
            if ready.readable {
                self.readable(number, ready.closed);
            }
        }
    }

    fn begin(&mut self, number: usize) -> Result<(), String> {
        let buffer_bytes = (number < self.plan.slow).then_some(SLOW_BUFFER_BYTES);
        let mut socket = self
            .sources
            .connect(number, self.plan.target, buffer_bytes)
            .map_err(|failure| failure.to_string())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut socket, Token(TOKENS_FROM + number), interest)
            .map_err(|error| format!("poll: {error}"))?;
        let tls = self.tls.as_ref().map(Client::session).transpose()?;
        let seat = &mut self.seats[number];
        seat.socket = Some(socket);
        seat.tls = tls;
        seat.phase = Phase::Connecting;
        seat.has_head = false;
        seat.chunks = None;
        seat.follow.begin();
        self.pending += 1;
        Ok(())
    }

    fn writable(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        let Some(socket) = &mut seat.socket else { return };
        if seat.phase != Phase::Connecting {
            if let Some(tls) = &mut seat.tls
                && tls.flush(socket).is_err()
            {
                self.ended(number);
            }
            return;
        }
        if matches!(socket.take_error(), Ok(Some(_)) | Err(_)) {
            return self.broke(number);
        }
        if socket.peer_addr().is_err() {
            return;
        }
        let room = &self.plan.rooms[number % self.plan.rooms.len()];
        let delay = match self.plan.delay_ms {
            0 => String::new(),
            ms => format!("?delay={ms}ms"),
        };
        let last = seat.follow.last.map_or_else(String::new, |id| {
            format!("Last-Event-ID: {:016x}-{}\r\n", id.epoch, id.seq)
        });
        let host = &self.plan.host;
        let request = format!(
            "GET /rooms/{room}/events{delay} HTTP/1.1\r\nHost: {host}\r\n\
             Accept: text/event-stream\r\n{last}\r\n"
        );
        seat.phase = Phase::Asking;
        // A new socket takes a few hundred bytes at once, or it is no good.
        let taken = match &mut seat.tls {
            None => socket.write(request.as_bytes()).ok(),
            Some(tls) => tls.send(request.as_bytes(), socket).ok().map(|(_, taken)| taken),
        };
        if taken != Some(request.len()) {
            self.broke(number);
        }
    }

    fn readable(&mut self, number: usize, to_the_end: bool) {
        let is_slow = number < self.plan.slow;
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let seat = &mut self.seats[number];
            if is_slow && self.is_held && seat.phase == Phase::Live {
                break;
            }
            let Some(socket) = &mut seat.socket else { break };
            if seat.phase == Phase::Connecting {
                break;
            }
            let received = match &mut seat.tls {
                None => socket.read(&mut buffer),
                Some(tls) => tls.receive(socket, &mut buffer),
            };
            let is_plain = seat.tls.is_none();
            match received {
                Ok(0) => {
                    self.ended(number);
                    break;
                }
                Ok(n) => {
                    self.tolls.bytes_in += n as u64;
                    self.tolls.reads += 1;
                    self.take_bytes(number, &buffer[..n]);
                    // Edge-triggered: less than asked for means that nothing is left, unless the
                    // end was signalled too.
                    if n < buffer.len() && is_plain && !to_the_end {
                        break;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => break,
                    ErrorKind::InvalidData => {
                        self.tolls.error(format!("TLS: {error}"));
                        self.give_up(number);
                        break;
                    }
                    _ => {
                        self.ended(number);
                        break;
                    }
                },
            }
        }
        self.buffer = buffer;
    }

    /// Handles what came, out of its chunks if it is in some.
    fn take_bytes(&mut self, number: usize, bytes: &[u8]) {
        let Some(chunks) = &mut self.seats[number].chunks else {
            self.take_text(number, bytes);
            // What is behind the head may be in chunks.
            if self.seats[number].chunks.is_some() {
                let rest = std::mem::take(&mut self.seats[number].inbox);
                self.take_bytes(number, &rest);
            }
            return;
        };
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        match chunks.decode(bytes, &mut text) {
            Ok(()) => self.take_text(number, &text),
            Err(violation) => {
                self.tolls.error(violation.0.to_owned());
                self.give_up(number);
            }
        }
        self.text = text;
    }

    /// Handles the stream's text, and keeps what is incomplete.
    fn take_text(&mut self, number: usize, bytes: &[u8]) {
        let mut kept = std::mem::take(&mut self.seats[number].inbox);
        let handled = if kept.is_empty() {
            self.handle(number, bytes)
        } else {
            kept.extend_from_slice(bytes);
            self.handle(number, &kept)
        };
        match handled {
            Ok(used) if kept.is_empty() => kept.extend_from_slice(&bytes[used..]),
            Ok(used) if used == kept.len() => kept = Vec::new(),
            Ok(used) => drop(kept.drain(..used)),
            Err(why) => {
                self.tolls.error(why.to_owned());
                self.give_up(number);
                return;
            }
        }
        if self.seats[number].socket.is_some() {
            self.seats[number].inbox = kept;
        }
    }

    /// Handles what is complete at the front of `input`; returns how many bytes that was. An error
    /// is why the stream cannot be read.
    fn handle(&mut self, number: usize, input: &[u8]) -> Result<usize, &'static str> {
        let now_ns = Clock.now_ns();
        let mut used = 0;
        if !self.seats[number].has_head {
            match sse::answer(input).map_err(|violation| violation.0)? {
                None => return Ok(0),
                Some(Answer::Stream(bytes, true)) => {
                    let seat = &mut self.seats[number];
                    (seat.has_head, seat.chunks) = (true, Some(Chunks::default()));
                    return Ok(bytes);
                }
                Some(Answer::Stream(bytes, false)) => used = bytes,
                Some(Answer::Refused(status)) => {
                    self.refused(number, status);
                    return Ok(input.len());
                }
            }
            self.seats[number].has_head = true;
        }
        while used < input.len() {
            let block = sse::next_block(&input[used..]).map_err(|violation| violation.0)?;
            let Some(block) = block else { break };
            used += block.text.len();
            self.block(number, &block, now_ns);
        }
        Ok(used)
    }

    fn block(&mut self, number: usize, block: &Block<'_>, now_ns: u64) {
        let seat = &mut self.seats[number];
        if let Some(ms) = block.retry_ms {
            seat.retry_ms = ms.min(RETRY_MS_MAX);
        }
        if block.data.is_none() {
            self.tolls.comments += u64::from(block.text[0] == b':');
            return;
        }
        self.tolls.events[block.name as usize] += 1;
        let is_slow = number < self.plan.slow;
        let is_checked = (number / self.plan.rooms.len()).is_multiple_of(CHECKED_OF);
        let book = &mut self.books[number % self.plan.rooms.len()];
        let faults = &mut self.faults;
        let intended_ns = seat.follow.take(block, &mut self.counts[usize::from(is_slow)], |id| {
            book.look((id.epoch, id.seq), block, is_checked, faults)
        });
        if seat.phase == Phase::Asking && block.name == Name::Resume {
            seat.phase = Phase::Live;
            seat.tries = 0;
            self.pending -= 1;
            self.tolls.live += 1;
            if seat.left_ns > 0 {
                self.returns.record_us(now_ns.saturating_sub(seat.left_ns) / 1000);
            }
        }
        let Some(intended_ns) = intended_ns else { return };
        let shown_ns = intended_ns + self.plan.delay_ms * 1_000_000;
        self.tolls.early += u64::from(now_ns + EARLY_NS < shown_ns);
        if is_slow {
            return;
        }
        let us = now_ns.saturating_sub(shown_ns) / 1000;
        self.second.record_us(us);
        if self.window.contains(&intended_ns) {
            self.latency.record_us(us);
        }
    }

    /// The server ended the connection.
    fn ended(&mut self, number: usize) {
        if self.seats[number].phase == Phase::Live {
            self.tolls.ended += 1;
            self.hang_up(number);
            self.stay_away(number, self.seats[number].retry_ms);
        } else {
            self.broke(number);
        }
    }

    /// The connection was no good before anything came.
    fn broke(&mut self, number: usize) {
        self.tolls.broken += 1;
        self.try_again(number);
    }

    /// Something else than a stream was answered. With 204 the server asks not to come back.
    fn refused(&mut self, number: usize, status: u16) {
        *self.tolls.refused.entry(status).or_default() += 1;
        if status == 204 {
            self.give_up(number);
        } else {
            self.try_again(number);
        }
    }

    /// Who never watched does not come back: the run does not begin without it.
    fn try_again(&mut self, number: usize) {
        self.hang_up(number);
        let seat = &mut self.seats[number];
        seat.tries += 1;
        if seat.left_ns == 0 || seat.tries > TRIES_MAX {
            seat.phase = Phase::Gone;
        } else {
            let ms = seat.retry_ms.max(RETRY_MS);
            self.stay_away(number, ms);
        }
    }

    fn give_up(&mut self, number: usize) {
        self.hang_up(number);
        self.seats[number].phase = Phase::Gone;
    }

    fn stay_away(&mut self, number: usize, ms: u32) {
        self.due.push(Reverse((Clock.now_ns() + u64::from(ms) * 1_000_000, number)));
    }

    /// Ends a connection by a reset: nothing of it is left, here or there.
    fn hang_up(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        match seat.phase {
            Phase::Connecting | Phase::Asking => self.pending -= 1,
            Phase::Live => {
                self.tolls.live -= 1;
                seat.left_ns = Clock.now_ns();
            }
            Phase::Away | Phase::Gone => {}
        }
        seat.phase = Phase::Away;
        seat.inbox = Vec::new();
        seat.tls = None;
        if let Some(socket) = seat.socket.take() {
            // Where that is refused the connection ends as others do.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
    }
}
