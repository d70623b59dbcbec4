//! The floor: the least code that does the job. One thread, one poll, no limits, no timeouts, no pings, no
//! close handshake, no fragments; a server that is cheaper leaves something out.
//!
//! `--send each` calls `send` once for every delivery. `--send turn` gathers what a connection gets in one pass
//! of the loop and writes it at once. With `--window-ms` a room gathers for so long from its first message
//! on. Events (`/rooms/{room}/events`) are written to each watcher when their message comes.

use clap::{Parser, ValueEnum};
use madang_peers::{Asked, Scribe, accept, listen};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

const LISTENER: Token = Token(usize::MAX);
/// Most events of one poll.
const EVENTS_MAX: usize = 1024;
/// The receive buffer that all connections share.
const BUFFER_BYTES: usize = 64 << 10;
/// Who has more than this waiting is cut off.
const OUTBOX_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; 0 takes a free port
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, value_enum, default_value_t = Send::Each)]
    send: Send,
    /// How long a room gathers messages; only with `--send turn`
    #[arg(long, default_value_t = 0)]
    window_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Send {
    /// One call for each delivery
    Each,
    /// One call for each connection and pass of the loop
    Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Member,
    Watcher,
}

struct Conn {
    socket: TcpStream,
    stage: Stage,
    echo: bool,
    is_dirty: bool,
    is_over: bool,
    room: usize,
    /// In the room's list.
    place: usize,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    watchers: Vec<usize>,
    has_window: bool,
    scribe: Scribe,
}

struct Floor {
    options: Options,
    poll: Poll,
    conns: Slab<Conn>,
    rooms: Vec<Room>,
    names: HashMap<String, usize>,
    /// Have something to send at the end of the turn.
    dirty: Vec<usize>,
    /// Rooms and when they send.
    windows: VecDeque<(Instant, usize)>,
    over: Vec<usize>,
    frame: Vec<u8>,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut listener = TcpListener::from_std(listen(options.port)?);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        options,
        poll,
        conns: Slab::new(),
        rooms: Vec::new(),
        names: HashMap::new(),
        dirty: Vec::new(),
        windows: VecDeque::new(),
        over: Vec::new(),
        frame: Vec::new(),
    };
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let timeout =
            floor.windows.front().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        match floor.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener)?;
                continue;
            }
            let Token(number) = event.token();
            if event.is_writable() {
                floor.flush(number);
            }
            if event.is_readable() || event.is_read_closed() {
                floor.read(number, &mut buffer, event.is_read_closed());
            }
        }
        floor.end_turn();
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let entry = self.conns.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(entry.key()), interest)?;
            entry.insert(Conn {
                socket,
                stage: Stage::Head,
                echo: false,
                is_dirty: false,
                is_over: false,
                room: 0,
                place: 0,
                inbox: Vec::new(),
                outbox: Vec::new(),
            });
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8], to_the_end: bool) {
        loop {
            let conn = &mut self.conns[number];
            if conn.is_over {
                return;
            }
            match conn.socket.read(buffer) {
                Ok(0) => return self.end(number),
                Ok(n) => {
                    self.take(number, &mut buffer[..n]);
                    // Edge-triggered: less than asked for means that nothing is left, unless the end was
                    // signalled too.
                    if n < buffer.len() && !to_the_end {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.end(number),
            }
        }
    }

    fn take(&mut self, number: usize, bytes: &mut [u8]) {
        let mut kept = std::mem::take(&mut self.conns[number].inbox);
        if kept.is_empty() {
            let used = self.handle(number, bytes);
            kept.extend_from_slice(&bytes[used..]);
        } else {
            kept.extend_from_slice(bytes);
            let used = self.handle(number, &mut kept);
            kept.drain(..used);
        }
        self.conns[number].inbox = if kept.is_empty() { Vec::new() } else { kept };
    }

    /// Handles what is complete; returns how many bytes that was.
    fn handle(&mut self, number: usize, input: &mut [u8]) -> usize {
        let mut used = 0;
        while used < input.len() && !self.conns[number].is_over {
            let taken = match self.conns[number].stage {
                Stage::Head => self.head(number, &input[used..]),
                Stage::Member => self.message(number, &mut input[used..]),
                Stage::Watcher => Some(input.len() - used),
            };
            match taken {
                Some(taken) => used += taken,
                None => break,
            }
        }
        used
    }

    fn head(&mut self, number: usize, input: &[u8]) -> Option<usize> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let bytes = match request.parse(input) {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(httparse::Status::Partial) => return None,
            Err(_) => {
                self.end(number);
                return Some(input.len());
            }
        };
        let key = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("sec-websocket-key"));
        let answer = match (request.path.and_then(Asked::read), key) {
            (Some(Asked::Relay(room, echo)), Some(key)) => {
                let accept = accept(key.value);
                self.enter(number, room, Stage::Member);
                self.conns[number].echo = echo;
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                )
            }
            (Some(Asked::Events(room)), _) => {
                let room = self.enter(number, room, Stage::Watcher);
                let resume = self.rooms[room].scribe.resume();
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                     Cache-Control: no-cache\r\nConnection: close\r\n\r\n{resume}"
                )
            }
            _ => {
                self.end(number);
                return Some(input.len());
            }
        };
        self.send(number, answer.as_bytes());
        Some(bytes)
    }

    fn enter(&mut self, number: usize, name: &str, stage: Stage) -> usize {
        let room = match self.names.get(name) {
            Some(room) => *room,
            None => {
                self.rooms.push(Room::default());
                self.names.insert(name.to_owned(), self.rooms.len() - 1);
                self.rooms.len() - 1
            }
        };
        let list = list(&mut self.rooms[room], stage);
        let conn = &mut self.conns[number];
        (conn.stage, conn.room, conn.place) = (stage, room, list.len());
        list.push(number);
        room
    }

    /// Relays a message, whose mask is taken off where it lies.
    fn message(&mut self, number: usize, input: &mut [u8]) -> Option<usize> {
        let [first, second, ..] = *input else { return None };
        let (length, header) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize, 10),
            length => (usize::from(length), 2),
        };
        let mask: [u8; 4] = *input.get(header..)?.first_chunk()?;
        let end = (header + 4).checked_add(length)?;
        let payload = input.get_mut(header + 4..end)?;
        unmask(payload, mask);
        match first & 0x0f {
            1 | 2 => self.relay(number, first, payload),
            8 => self.end(number),
            9 => {
                let mut pong = vec![0x8a, payload.len() as u8];
                pong.extend_from_slice(payload);
                self.send(number, &pong);
            }
            _ => {}
        }
        Some(end)
    }

    fn relay(&mut self, number: usize, opcode: u8, payload: &[u8]) {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        put_frame(&mut frame, opcode, payload);
        let (room, echo) = (self.conns[number].room, self.conns[number].echo);
        let members = std::mem::take(&mut self.rooms[room].members);
        let has_window = self.options.window_ms > 0;
        for member in &members {
            if *member == number && !echo {
                continue;
            }
            if self.options.send == Send::Each {
                self.send(*member, &frame);
                continue;
            }
            let conn = &mut self.conns[*member];
            conn.outbox.extend_from_slice(&frame);
            if !has_window && !std::mem::replace(&mut conn.is_dirty, true) {
                self.dirty.push(*member);
            }
        }
        self.rooms[room].members = members;
        self.frame = frame;
        if has_window && !std::mem::replace(&mut self.rooms[room].has_window, true) {
            let at = Instant::now() + Duration::from_millis(self.options.window_ms);
            self.windows.push_back((at, room));
        }
        if !self.rooms[room].watchers.is_empty() {
            let event = self.rooms[room].scribe.message(payload);
            let watchers = std::mem::take(&mut self.rooms[room].watchers);
            for watcher in &watchers {
                self.send(*watcher, event.as_bytes());
            }
            self.rooms[room].watchers = watchers;
        }
    }

    /// Sends at once what the socket takes.
    fn send(&mut self, number: usize, bytes: &[u8]) {
        let conn = &mut self.conns[number];
        let taken = if conn.outbox.is_empty() { write(&mut conn.socket, bytes) } else { Some(0) };
        match taken {
            Some(taken) if conn.outbox.len() <= OUTBOX_BYTES_MAX => {
                conn.outbox.extend_from_slice(&bytes[taken..]);
            }
            _ => self.end(number),
        }
    }

    fn flush(&mut self, number: usize) {
        let Some(conn) = self.conns.get_mut(number) else { return };
        conn.is_dirty = false;
        if conn.outbox.is_empty() || conn.is_over {
            return;
        }
        match write(&mut conn.socket, &conn.outbox) {
            Some(taken) if taken == conn.outbox.len() => conn.outbox.clear(),
            Some(taken) if conn.outbox.len() <= OUTBOX_BYTES_MAX => {
                conn.outbox.drain(..taken);
            }
            _ => self.end(number),
        }
    }

    /// Frees nothing: others may still name the connection in this turn.
    fn end(&mut self, number: usize) {
        if !std::mem::replace(&mut self.conns[number].is_over, true) {
            self.over.push(number);
        }
    }

    fn end_turn(&mut self) {
        while let Some((_, room)) = self.windows.pop_front_if(|(at, _)| *at <= Instant::now()) {
            self.rooms[room].has_window = false;
            let members = std::mem::take(&mut self.rooms[room].members);
            for member in &members {
                self.flush(*member);
            }
            self.rooms[room].members = members;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in dirty.drain(..) {
            self.flush(number);
        }
        self.dirty = dirty;
        for number in std::mem::take(&mut self.over) {
            let conn = self.conns.remove(number);
            if conn.stage == Stage::Head {
                continue;
            }
            let list = list(&mut self.rooms[conn.room], conn.stage);
            list.swap_remove(conn.place);
            if let Some(moved) = list.get(conn.place) {
                self.conns[*moved].place = conn.place;
            }
        }
    }
}

fn list(room: &mut Room, stage: Stage) -> &mut Vec<usize> {
    if stage == Stage::Watcher { &mut room.watchers } else { &mut room.members }
}

/// Returns how many bytes the socket took, or `None` when it is gone.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match socket.write(&bytes[taken..]) {
            Ok(0) => return None,
            Ok(n) => taken += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(taken)
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (chunks, rest) = payload.as_chunks_mut::<4>();
    let mask_word = u32::from_ne_bytes(mask);
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ mask_word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

fn put_frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
