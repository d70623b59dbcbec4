//! A connection made of HTTP requests (SPEC.md, section 20): what is asked when, and what the answers mean.
//!
//! It has two sockets, as a browser would: the one that opened the line carries what comes down, a stream or polls;
//! the other, opened with the first request that goes up, carries those. One of them is under way at a time, with all
//! that waited for it. Requests of a number are made again, on another socket, until they are answered; the opening
//! and the stream are not: without them the connection is lost.

use super::events::{Event, Events};
use super::frames::{put_body, put_data};
use super::http::{Answer, Reader, Request};
use super::queue::Queue;
use super::{Dialer, End, Io, Lane, Received, Transport};
use crate::system::Clock;
use crate::websocket::{self, CLOSE, PING, PONG, Violation};
use std::rc::Rc;

/// How long a request is made again that is not answered.
const PATIENCE_NS: u64 = 8_000_000_000;
/// Until it is made again, first and at most; it doubles.
const RETRY_FIRST_NS: u64 = 100_000_000;
const RETRY_MAX_NS: u64 = 2_000_000_000;
/// How long the other socket may still say why a line is gone.
const LAST_WORDS_NS: u64 = 2_000_000_000;
/// What is in the code's place when a message was too large (RFC 6455, section 7.4.1).
const TOO_LARGE: u16 = 1009;

/// A line.
#[derive(Debug)]
pub(crate) struct HttpLine {
    dialer: Rc<Dialer>,
    number: usize,
    is_stream: bool,
    is_json: bool,
    /// Where the opening goes, and what of that all others share.
    opening: String,
    base: String,
    /// The system's buffer for what comes down.
    receive_bytes: Option<usize>,
    lanes: [Side; 2],
    key: Option<String>,
    /// Of a stream.
    events: Events,
    has_stream: bool,
    /// What came with the opening, until the stream shows that it gets through.
    first: Vec<u8>,
    queue: Queue,
    sent: u64,
    polled: u64,
    /// The server wants to know whether somebody is there.
    owes_sign: bool,
    /// The code that it is to be closed with, behind what waits.
    leaving: Option<u16>,
    /// A request that went up was told that the line is over. What is left comes down.
    is_over: bool,
    /// With what code, if it was told.
    close: Option<u16>,
    /// When it is over at the latest.
    until_ns: u64,
    /// Why it cannot go on.
    failed: Option<End>,
    /// Bytes written since somebody asked.
    written: usize,
}

/// One of its sockets.
#[derive(Debug, Default)]
struct Side {
    io: Option<Io>,
    is_connected: bool,
    reader: Reader,
    asked: Option<Asked>,
    /// How often in a row that was not answered, and since when.
    tries: u32,
    since_ns: u64,
    /// When it is asked again.
    due_ns: Option<u64>,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Open,
    Stream,
    Poll,
    Send,
    Close,
}

impl Asked {
    /// Whether it may be made again: it has a number, or does nothing the second time.
    fn is_repeatable(self) -> bool {
        matches!(self, Self::Poll | Self::Send | Self::Close)
    }
}

impl HttpLine {
    /// A line of the connection of this number. Nothing is asked before the first message.
    pub(crate) fn new(
        dialer: &Rc<Dialer>,
        number: usize,
        transport: Transport,
        is_json: bool,
        receive_bytes: Option<usize>,
    ) -> Result<Self, String> {
        let mut line = Self {
            dialer: Rc::clone(dialer),
            number,
            is_stream: transport == Transport::Events,
            is_json,
            opening: String::new(),
            base: String::new(),
            receive_bytes,
            lanes: [Side::default(), Side::default()],
            key: None,
            events: Events::default(),
            has_stream: false,
            first: Vec::new(),
            queue: Queue::new(is_json),
            sent: 0,
            polled: 0,
            owes_sign: false,
            leaving: None,
            is_over: false,
            close: None,
            until_ns: u64::MAX,
            failed: None,
            written: 0,
        };
        line.dial(Lane::Down)?;
        Ok(line)
    }

    /// Says where a WebSocket would go; requests go beside it.
    pub(crate) fn aim(&mut self, path: &str) {
        let (path, query) = path.split_once('?').map_or((path, None), |(a, b)| (a, Some(b)));
        self.base = format!("{}/http", path.trim_end_matches('/'));
        self.opening = match query {
            Some(query) => format!("{}?{query}", self.base),
            None => self.base.clone(),
        };
    }

    /// Whether the server has answered the opening.
    pub(crate) fn is_open(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the socket for the opening is established; `None` when it will not be.
    pub(crate) fn is_established(&mut self) -> Option<bool> {
        let side = &mut self.lanes[Lane::Down as usize];
        side.is_connected = side.io.as_ref()?.is_established()?;
        Some(side.is_connected)
    }

    /// Bytes that wait to go up.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Bytes written since this was asked last.
    pub(crate) fn take_written(&mut self) -> usize {
        std::mem::take(&mut self.written)
    }

    pub(crate) fn is_read_whole(&self, lane: Lane, bytes: usize, buffer_bytes: usize) -> bool {
        let io = self.lanes[lane as usize].io.as_ref();
        io.is_none_or(|io| io.is_read_whole(bytes, buffer_bytes))
    }

    pub(crate) fn receive(&mut self, lane: Lane, buffer: &mut [u8]) -> Received {
        match &mut self.lanes[lane as usize] {
            Side { io: Some(io), is_connected: true, .. } => io.receive(buffer),
            _ => Received::Blocked,
        }
    }

    /// Takes the messages out of the client's frames and sends them when their turn comes. Returns how many bytes were
    /// written; a line that cannot go on says so when it is woken.
    pub(crate) fn say(&mut self, frames: &[u8]) -> usize {
        let (queue, leaving) = (&mut self.queue, &mut self.leaving);
        websocket::each_own_frame(frames, |opcode, payload| match opcode {
            CLOSE => {
                let code = payload.first_chunk().map_or(1000, |code| u16::from_be_bytes(*code));
                *leaving = Some(code);
            }
            // A line has its own signs of life.
            PING | PONG => {}
            _ => queue.push(payload),
        });
        self.pump();
        self.take_written()
    }

    /// A socket takes something, or has failed. Returns how the line has ended, if it has.
    pub(crate) fn flush(&mut self, lane: Lane) -> Option<End> {
        let side = &mut self.lanes[lane as usize];
        let io = side.io.as_mut()?;
        if !side.is_connected {
            match io.is_established() {
                Some(true) => side.is_connected = true,
                Some(false) => return None,
                None => return self.lost(lane),
            }
        }
        match io.flush() {
            Some(bytes) => {
                self.written += bytes;
                None
            }
            None => self.lost(lane),
        }
    }

    /// Handles what came on a socket: what it means to whoever listens is appended as a server's frames. Returns how
    /// the line has ended, if it has.
    pub(crate) fn take(&mut self, lane: Lane, bytes: &[u8], frames: &mut Vec<u8>) -> Option<End> {
        let side = &mut self.lanes[lane as usize];
        side.reader.push(bytes);
        loop {
            if lane == Lane::Down && self.has_stream {
                return self.take_events(frames).err();
            }
            let answer = match self.lanes[lane as usize].reader.next() {
                Ok(None) => return None,
                Ok(Some(answer)) => answer,
                Err(violation) => return Some(violation.into()),
            };
            if let Err(end) = self.answered(lane, answer, frames) {
                return Some(end);
            }
        }
    }

    /// A socket has ended: what was asked on it is asked on another. Returns how the line has ended, if it has.
    pub(crate) fn lost(&mut self, lane: Lane) -> Option<End> {
        let side = &mut self.lanes[lane as usize];
        side.hang_up();
        let is_needed = lane == Lane::Down && self.has_stream;
        match side.asked {
            None if !is_needed => None,
            Some(asked) if asked.is_repeatable() => self.again(lane, true).err(),
            _ => Some(self.gone()),
        }
    }

    /// Does what was put off. Returns how the line has ended, if it has.
    pub(crate) fn wake(&mut self, now_ns: u64) -> Option<End> {
        if self.failed.is_none() && self.until_ns <= now_ns {
            return Some(self.gone());
        }
        for lane in [Lane::Down, Lane::Up] {
            let side = &mut self.lanes[lane as usize];
            if side.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
                side.due_ns = None;
                self.request(lane);
            }
        }
        self.failed.take()
    }

    /// Nothing more is asked or heard.
    pub(crate) fn shut_down(&mut self) {
        self.lanes = [Side::default(), Side::default()];
        self.queue = Queue::new(self.is_json);
        self.until_ns = u64::MAX;
    }

    /// Makes the end of its sockets a reset.
    pub(crate) fn end_by_reset(&self) {
        self.lanes.iter().filter_map(|side| side.io.as_ref()).for_each(Io::end_by_reset);
    }

    /// How a line has ended that says nothing more.
    fn gone(&self) -> End {
        self.close.map_or(End::Broken, End::Closed)
    }

    /// Asks what is to be asked next, if nothing that goes up is under way.
    fn pump(&mut self) {
        if self.key.is_none() {
            if self.lanes[Lane::Down as usize].asked.is_some() {
                return;
            }
            if !self.queue.is_empty() {
                self.queue.start_one();
                self.ask(Lane::Down, Asked::Open);
            } else if self.leaving.is_some() {
                self.fail(End::Broken);
            }
            return;
        }
        if self.lanes[Lane::Up as usize].asked.is_some() || self.is_over {
            return;
        }
        if self.owes_sign || !self.queue.is_empty() {
            // Whatever it is, it shows that somebody is there.
            self.owes_sign = false;
            self.queue.start();
            self.sent += 1;
            self.ask(Lane::Up, Asked::Send);
        } else if self.leaving.is_some() {
            self.ask(Lane::Up, Asked::Close);
        }
    }

    fn ask(&mut self, lane: Lane, asked: Asked) {
        let side = &mut self.lanes[lane as usize];
        side.asked = Some(asked);
        side.tries = 0;
        self.request(lane);
    }

    /// Makes the request of a socket, on another socket if it has none.
    fn request(&mut self, lane: Lane) {
        let Some(asked) = self.lanes[lane as usize].asked else { return };
        if self.lanes[lane as usize].io.is_none()
            && let Err(why) = self.dial(lane)
        {
            return self.fail(End::Strange(why));
        }
        self.dialer.requests.set(self.dialer.requests.get() + 1);
        let bytes = self.compose(asked);
        let side = &mut self.lanes[lane as usize];
        let Some(io) = &mut side.io else { return };
        if !side.is_connected {
            return io.hold(&bytes);
        }
        match io.send(&bytes) {
            Some(written) => self.written += written,
            // The end of the socket, which nobody has read, would say the same.
            None => {
                if let Some(end) = self.lost(lane) {
                    self.fail(end);
                }
            }
        }
    }

    fn compose(&self, asked: Asked) -> Vec<u8> {
        let key = self.key.as_deref().unwrap_or_default();
        let number = if asked == Asked::Poll { self.polled } else { self.sent }.to_string();
        let media_type = if self.is_json { "application/json" } else { "application/octet-stream" };
        let numbered = [("Madang-Line", key), ("Madang-Number", &number)];
        let (verb, fields): (&str, &[_]) = match asked {
            Asked::Open => ("", &[("Content-Type", media_type)]),
            Asked::Stream => ("/events", &numbered[..1]),
            Asked::Close => ("/close", &numbered[..1]),
            Asked::Poll => ("/poll", &numbered),
            Asked::Send => ("/send", &numbered),
        };
        let target = match (asked, self.leaving) {
            (Asked::Open, _) => self.opening.clone(),
            (Asked::Close, Some(code)) => format!("{}{verb}?code={code}", self.base),
            _ => format!("{}{verb}", self.base),
        };
        let body = match asked {
            Asked::Open | Asked::Send => self.queue.sending(),
            _ => &[],
        };
        let mut bytes = Vec::new();
        Request { host: &self.dialer.host, target: &target, fields, body }.put(&mut bytes);
        bytes
    }

    fn dial(&mut self, lane: Lane) -> Result<(), String> {
        let receive_bytes = self.receive_bytes.filter(|_| lane == Lane::Down);
        // The same source again: a line never has more sockets than these.
        let place = self.number * self.lanes.len() + lane as usize;
        let io = self.dialer.dial((self.number, lane), place, receive_bytes)?;
        let side = &mut self.lanes[lane as usize];
        (side.io, side.is_connected) = (Some(io), false);
        Ok(())
    }

    /// What was asked has not been answered, because the socket was lost or somebody on the way could not.
    fn again(&mut self, lane: Lane, is_lost: bool) -> Result<(), End> {
        let now_ns = Clock.now_ns();
        self.dialer.again.set(self.dialer.again.get() + 1);
        let side = &mut self.lanes[lane as usize];
        side.tries += 1;
        if side.tries == 1 {
            side.since_ns = now_ns;
            if is_lost {
                // A server ends connections that were idle, or had many requests.
                self.request(lane);
                return Ok(());
            }
        }
        if now_ns.saturating_sub(side.since_ns) > PATIENCE_NS {
            return Err(self.gone());
        }
        let pause_ns = (RETRY_FIRST_NS << (side.tries - 1).min(8)).min(RETRY_MAX_NS);
        side.due_ns = Some(now_ns + pause_ns);
        self.dialer.wake(self.number, now_ns + pause_ns);
        Ok(())
    }

    /// Whoever looks after the line hears of it when it looks next.
    fn fail(&mut self, end: End) {
        self.failed.get_or_insert(end);
        self.dialer.wake(self.number, 0);
    }

    fn answered(&mut self, lane: Lane, answer: Answer, frames: &mut Vec<u8>) -> Result<(), End> {
        let Answer { head, body } = answer;
        let side = &mut self.lanes[lane as usize];
        let Some(asked) = side.asked.take() else {
            return Err(Violation("an answer to nothing that was asked").into());
        };
        if head.is_last && !head.is_stream {
            side.hang_up();
        }
        if head.close.is_none() && asked.is_repeatable() && is_passing(head.status) {
            side.asked = Some(asked);
            return self.again(lane, false);
        }
        let strange = || End::Strange(format!("HTTP {} to {asked:?}", head.status));
        match (asked, head.status) {
            (Asked::Open, 200) => {
                if let Some(code) = head.close {
                    put_body(frames, &body, self.is_json)?;
                    return Err(End::Closed(code));
                }
                self.key = Some(head.line_key.ok_or_else(strange)?);
                self.queue.set_size(head.size_bytes);
                self.queue.taken();
                if self.is_stream {
                    self.first = body;
                    self.ask(Lane::Down, Asked::Stream);
                } else {
                    self.polled = 1;
                    self.ask(Lane::Down, Asked::Poll);
                    put_body(frames, &body, self.is_json)?;
                }
                self.pump();
            }
            (Asked::Open, status) => {
                return Err(End::Refused { status, retry_after_s: head.retry_after_s });
            }
            (Asked::Stream, 200) if head.is_stream => self.has_stream = true,
            (Asked::Poll, 200) => {
                if head.close.is_none() {
                    // First, so that the server does not wait for what this tool makes of the answer.
                    self.polled += 1;
                    self.ask(Lane::Down, Asked::Poll);
                }
                put_body(frames, &body, self.is_json)?;
                if let Some(code) = head.close {
                    return Err(End::Closed(code));
                }
            }
            (Asked::Send, 200 | 204) => {
                self.queue.taken();
                self.pump();
            }
            (Asked::Send, 413) => return Err(End::Closed(TOO_LARGE)),
            (Asked::Close, 200 | 204) => return Err(End::Closed(self.leaving.unwrap_or(1000))),
            // It had been closed, from here or from there, and what it was closed with is forgotten or said.
            (Asked::Close, 410) => {
                let code = head.close.or(self.leaving).unwrap_or(1000);
                return Err(End::Closed(code));
            }
            (Asked::Send, 410) => {
                self.queue.taken();
                (self.is_over, self.close) = (true, head.close);
                self.until_ns = Clock.now_ns() + LAST_WORDS_NS;
                self.dialer.wake(self.number, self.until_ns);
            }
            (Asked::Stream | Asked::Poll, 410) => {
                return Err(head.close.map_or_else(|| self.gone(), End::Closed));
            }
            _ => return Err(strange()),
        }
        Ok(())
    }

    /// Handles what came of the stream.
    fn take_events(&mut self, frames: &mut Vec<u8>) -> Result<(), End> {
        let bytes = self.lanes[Lane::Down as usize].reader.take_stream()?;
        let mut events = std::mem::take(&mut self.events);
        let result = events.take(&bytes, |event| match event {
            Event::Open => put_body(frames, &std::mem::take(&mut self.first), self.is_json),
            Event::Ping => {
                self.owes_sign = true;
                Ok(())
            }
            Event::Close(code) => Err(End::Closed(code)),
            Event::Message(data) => Ok(put_data(frames, &data, self.is_json)?),
        });
        self.events = events;
        result?;
        if self.owes_sign {
            self.pump();
        }
        Ok(())
    }
}

impl Side {
    /// Lets the socket go, with what came of an answer.
    fn hang_up(&mut self) {
        self.io = None;
        self.is_connected = false;
        self.reader = Reader::default();
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Strange(violation.0.to_owned())
    }
}

/// Answers, of a server that goes away or of somebody on the way, that another try may better.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504)
}
