//! Lines: connections that are made of HTTP requests, for clients that no WebSocket gets through to
//! (`protocol/SPEC.md`, section 20).
//!
//! To the engine a line is a connection like any other, with a [`ConnId`] that no socket has: it greets,
//! resumes, is slow and is closed by the same code. What comes up is handed to it as messages, in the order
//! of their numbers; what it has for the line stays in the session's bounded queue until a request is there
//! to carry it. Which socket brings a request does not matter: the key names the shard that the line is on,
//! and the socket is handed over to it.
//!
//! The parts: this file holds the lines and their time, `requests.rs` says what a request does,
//! `down.rs` puts what waits into answers and events.
//!
//! Deliberately absent: what a message means, and any repetition of what a stream lost. A line whose
//! stream breaks is gone, and its session is resumed on another.

mod down;
mod requests;

pub(super) use requests::STREAM;

use crate::net::{Io, Place};
use ipnet::IpNet;
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use madang_engine::timer::Wheel;
use madang_protocol::CloseCode;
use madang_protocol::ids::ResumeKey;
use slab::Slab;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Granularity of timers in microseconds.
const TIMER_US: u64 = 10_000;
/// No deadline.
const NEVER: Time = Time(u64::MAX);

/// What clients without a WebSocket may do.
#[derive(Clone, Debug)]
pub struct LineSettings {
    /// Whether there are lines.
    pub is_on: bool,
    /// Silence after which something is sent, in milliseconds.
    pub wait_ms: u64,
    /// How long a line lives without a request that waits, in milliseconds.
    pub idle_ms: u64,
    /// Most lines that are known after their clients have ended them.
    pub ended_max: usize,
    /// Largest answer and largest event; a larger frame goes alone.
    pub answer_bytes_max: usize,
    /// Largest message from a client.
    pub message_bytes_max: usize,
    /// No socket has a slot of this number or above.
    pub slots_from: u32,
    /// When who cannot be served now shall come again, in seconds.
    pub retry_after_s: u32,
}

/// What lines did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineCounts {
    /// Lines that began.
    pub(super) opened: u64,
    /// Streams of events that began.
    pub(super) streams: u64,
    /// Answers to polls.
    pub(super) polls: u64,
    /// Sends that were applied.
    pub(super) sends: u64,
    /// Polls and sends that came again, and were answered without doing anything.
    pub(super) repeats: u64,
    /// Lines that ended because no request waited for what comes.
    pub(super) idle: u64,
}

/// All lines of a shard.
#[derive(Debug)]
pub(super) struct Lines {
    settings: LineSettings,
    slab: Slab<Line>,
    next_generation: u32,
    /// Sockets that lines write their events to.
    streams: BTreeMap<ConnId, ConnId>,
    /// Sockets whose request has not been answered.
    waiting: BTreeMap<ConnId, ConnId>,
    /// Lines whose request may be answered at the end of the turn.
    due: Vec<ConnId>,
    timers: Wheel<ConnId>,
    /// The line whose stream's head is being written.
    opening: Option<ConnId>,
    /// Lines that their clients have ended and that are still known.
    left: usize,
    pub(super) counts: LineCounts,
}

/// One line.
#[derive(Debug)]
struct Line {
    generation: u32,
    secret: [u8; 16],
    /// Whether it speaks `madang.v1.json`.
    is_json: bool,
    /// The page that opened it, as browsers name it.
    origin: Option<Box<str>>,
    /// The address of its client, as far as it is known.
    client: Option<IpAddr>,
    /// Its place among the connections of its client, until the client ends it. It counts as one, for a
    /// request may come at any time.
    place: Option<Place>,
    down: Down,
    /// The newest answer to a poll, until the next poll says that it has come.
    answered: Option<Answered>,
    /// Number of the newest poll that was answered.
    polled: u64,
    /// Whether it has, or had, a stream.
    is_streamed: bool,
    /// Number of the newest send that was applied.
    sent: u64,
    /// The socket whose send is answered when the engine wants more.
    sending: Option<ConnId>,
    /// The engine wants nothing for now.
    is_paused: bool,
    /// How it was closed. It stays for a while, so that the client hears of it.
    closed: Option<CloseCode>,
    /// The client has been told so.
    is_told: bool,
    /// When something is due by itself.
    deadline: Time,
    /// When the timer wheel next asks.
    armed: Time,
    /// Nothing was written to its stream since the wheel last asked.
    is_quiet: bool,
    /// Its stream is owed a sign of life.
    owes_comment: bool,
}

/// What waits for what comes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    /// Nothing does.
    Nothing,
    /// The request that opened the line.
    Open(ConnId),
    /// A poll; its time may be up.
    Poll { socket: ConnId, is_late: bool },
    /// A stream, whose first event may be still to be written.
    Stream { socket: ConnId, is_fresh: bool },
}

/// An answer that may have to be given again.
#[derive(Debug)]
struct Answered {
    body: Vec<u8>,
    closed: Option<CloseCode>,
}

impl Lines {
    pub(super) fn new(settings: LineSettings) -> Self {
        Self {
            settings,
            slab: Slab::new(),
            next_generation: 0,
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            due: Vec::new(),
            left: 0,
            timers: Wheel::new(Time(0), TIMER_US),
            opening: None,
            counts: LineCounts::default(),
        }
    }

    /// Whether an id is that of a line, past or present.
    pub(super) fn owns(&self, id: ConnId) -> bool {
        id.slot >= self.settings.slots_from
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// When [`Self::pop_expired`] is next worth calling.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn get(&self, id: ConnId) -> Option<&Line> {
        let index = id.slot.checked_sub(self.settings.slots_from)?;
        self.slab.get(index as usize).filter(|line| line.generation == id.generation)
    }

    fn get_mut(&mut self, id: ConnId) -> Option<&mut Line> {
        let index = id.slot.checked_sub(self.settings.slots_from)?;
        self.slab.get_mut(index as usize).filter(|line| line.generation == id.generation)
    }

    /// A new line.
    fn insert(
        &mut self,
        secret: [u8; 16],
        is_json: bool,
        origin: Option<&str>,
        (client, place): (Option<IpAddr>, Place),
    ) -> ConnId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let index = self.slab.insert(Line {
            generation,
            secret,
            is_json,
            origin: origin.map(Box::from),
            client,
            place: Some(place),
            down: Down::Nothing,
            answered: None,
            polled: 0,
            is_streamed: false,
            sent: 0,
            sending: None,
            is_paused: false,
            closed: None,
            is_told: false,
            deadline: NEVER,
            armed: NEVER,
            is_quiet: false,
            owes_comment: false,
        });
        self.counts.opened += 1;
        ConnId { slot: self.settings.slots_from + index as u32, generation }
    }

    /// The lines of clients in a network.
    pub(super) fn of_network(&self, network: &IpNet) -> Vec<ConnId> {
        let lines = self.slab.iter().filter(|(_, line)| {
            line.client.is_some_and(|client| network.contains(&client.to_canonical()))
        });
        let slots_from = self.settings.slots_from;
        lines
            .map(|(index, line)| ConnId {
                slot: slots_from + index as u32,
                generation: line.generation,
            })
            .collect()
    }

    /// The key of a line, for its client.
    fn key(&self, id: ConnId, (node, shard): (u16, u16)) -> Option<ResumeKey> {
        let index = id.slot.checked_sub(self.settings.slots_from)?;
        Some(ResumeKey::from_parts(node, shard, index, self.get(id)?.secret))
    }

    /// The line of a key, if it is here and the secret is right.
    fn find(&self, key: &ResumeKey) -> Option<ConnId> {
        let line = self.slab.get(key.slot() as usize)?;
        let slot = self.settings.slots_from + key.slot();
        key.secret_eq(&line.secret).then_some(ConnId { slot, generation: line.generation })
    }

    /// A client has ended a line: its place is for another, at once. So many of those are still known
    /// that a request of before the end learns what became of it.
    fn leave(&mut self, id: ConnId) {
        let is_room = self.left < self.settings.ended_max;
        let Some(line) = self.get_mut(id) else { return };
        line.is_told = true;
        if line.place.take().is_some() {
            let is_waited_for = line.down != Down::Nothing;
            self.left += 1;
            if !is_room && !is_waited_for {
                self.remove(id);
            }
        }
    }

    /// Forgets a line. Whoever waited for it is no longer known.
    fn remove(&mut self, id: ConnId) {
        let Some(line) = self.get(id) else { return };
        let (down, sending) = (line.down, line.sending);
        self.left -= usize::from(line.place.is_none());
        match down {
            Down::Open(socket) | Down::Poll { socket, .. } => drop(self.waiting.remove(&socket)),
            Down::Stream { socket, .. } => drop(self.streams.remove(&socket)),
            Down::Nothing => {}
        }
        if let Some(socket) = sending {
            self.waiting.remove(&socket);
        }
        self.slab.remove((id.slot - self.settings.slots_from) as usize);
    }

    /// Forgets lines that are closed and whose clients know.
    pub(super) fn forget_told(&mut self) {
        self.slab.retain(|_, line| !line.is_told);
        self.left = 0;
    }

    /// Something waits for a line, or it is closed: a request that waits is answered at the end of the
    /// turn, a stream is written as its socket takes it.
    pub(super) fn flush(&mut self, io: &mut Io<'_>, id: ConnId) {
        match self.get(id).map(|line| line.down) {
            Some(Down::Stream { socket, .. }) => io.flush(socket),
            Some(Down::Open(_) | Down::Poll { .. }) => self.due.push(id),
            Some(Down::Nothing) | None => {}
        }
    }

    /// Moves a line's deadline. An entry in the wheel that comes earlier serves this one too.
    fn set_deadline(&mut self, id: ConnId, deadline: Time) {
        let Some(line) = self.get_mut(id) else { return };
        line.deadline = deadline;
        if deadline < line.armed {
            line.armed = deadline;
            self.timers.insert(deadline, id);
        }
    }

    /// The next line whose deadline is past.
    fn pop_expired(&mut self, now: Time) -> Option<ConnId> {
        while let Some(id) = self.timers.pop(now) {
            let Some(line) = self.get_mut(id) else { continue };
            // An entry that was overtaken by an earlier one means nothing.
            if line.armed > now {
                continue;
            }
            line.armed = NEVER;
            let deadline = line.deadline;
            if deadline <= now {
                line.deadline = NEVER;
                return Some(id);
            }
            if deadline != NEVER {
                self.set_deadline(id, deadline);
            }
        }
        None
    }

    /// Nothing waits for what comes: the line has so long until something does.
    fn set_idle(&mut self, id: ConnId, now: Time) {
        let deadline = now.plus_ms(self.settings.idle_ms);
        if let Some(line) = self.get_mut(id) {
            line.down = Down::Nothing;
            self.set_deadline(id, deadline);
        }
    }
}
