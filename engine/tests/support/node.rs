//! The virtual node: engines, the links between them, sockets, and the clock.

use super::draw::Draw;
use super::feed::Feed;
use super::log::Logs;
use super::projection::Projections;
use super::socket::{FromClient, Gone, Incoming, Socket, SocketId};
use super::who::identity;
use madang_engine::frame::{Frame, FrameKind};
use madang_engine::id::{ConnId, SessionRef, ShardId};
use madang_engine::input::Entry;
use madang_engine::output::Event;
use madang_engine::peer::{Down, Encoded, PeerMsg, Up};
use madang_engine::publish::{PublishRefusal, Receipt};
use madang_engine::session::QueueClass;
use madang_engine::time::Time;
use madang_engine::watch::{WatchEvent, WatchItem};
use madang_engine::{Clock, Config, Engine, Input, Output, Stats};
use madang_protocol::codec;
use madang_protocol::value::Token;
use madang_protocol::{CloseCode, ServerMessage};
use std::collections::{BTreeMap, VecDeque};

/// The token that is refused.
pub(crate) const BAD_TOKEN: &str = "bad";

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    socket: Option<SocketId>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) engines: Vec<Engine>,
    pub(crate) now: Time,
    pub(crate) wall_us: u64,
    /// What is on its way, by `from * shards + to`.
    links: Vec<VecDeque<PeerMsg>>,
    pub(crate) sockets: Vec<Socket>,
    slots: Vec<Vec<Slot>>,
    /// Connections whose credential is being checked, with their tokens.
    pub(crate) asked: VecDeque<(usize, ConnId, Option<Token>)>,
    /// The credential of raw connections: it comes with their request.
    pub(crate) raw_token: Option<String>,
    /// When connections have to have ended for want of a new credential.
    pub(crate) expiries: BTreeMap<(usize, ConnId), Time>,
    /// Whether credentials are answered at once.
    pub(crate) answers_at_once: bool,
    /// Whether the server reads from clients; not any more once it quiesces.
    pub(crate) is_reading: bool,
    pub(crate) quiesced: Vec<bool>,
    /// How often each shard has crashed.
    pub(crate) crashes: Vec<u32>,
    pub(crate) logs: Logs,
    pub(crate) projections: Projections,
    /// Somebody who watches every room that may be watched.
    pub(crate) feed: Feed,
    pub(crate) events: Vec<Event>,
    /// What those who watch were told.
    pub(crate) watched: Vec<WatchItem>,
    /// What backends were answered, by the numbers of their tickets.
    pub(crate) published: Vec<(u64, Result<Receipt, PublishRefusal>)>,
    /// What was found wrong.
    pub(crate) violations: Vec<String>,
    /// How often a situation came up.
    pub(crate) reached: BTreeMap<&'static str, u64>,
    /// Whether everything is printed, for the replay of a failure.
    pub(crate) is_verbose: bool,
    /// A hash over everything that came out of the engines.
    pub(crate) trace: u64,
    /// The newest attempt of each session to resume rooms on another shard.
    attempts: BTreeMap<SessionRef, u32>,
    /// Counts of engines that crashed.
    past: Vec<Stats>,
    draw: Draw,
    config: Config,
}

/// Messages of a link that a shard takes even if much waits to be written.
const MESSAGES_MIN: usize = 64;

impl Node {
    pub(crate) fn new(config: &Config, shards: u16, seed: u64) -> Self {
        let mut node = Self {
            engines: Vec::new(),
            now: Time::from_ms(1_000),
            wall_us: 1_800_000_000_000_000,
            links: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            sockets: Vec::new(),
            slots: (0..shards).map(|_| Vec::new()).collect(),
            asked: VecDeque::new(),
            raw_token: None,
            expiries: BTreeMap::new(),
            answers_at_once: true,
            is_reading: true,
            quiesced: vec![false; shards.into()],
            crashes: vec![0; shards.into()],
            logs: Logs::default(),
            projections: Projections::default(),
            feed: Feed::default(),
            events: Vec::new(),
            watched: Vec::new(),
            published: Vec::new(),
            violations: Vec::new(),
            reached: BTreeMap::new(),
            is_verbose: false,
            trace: 0xcbf2_9ce4_8422_2325,
            attempts: BTreeMap::new(),
            past: Vec::new(),
            draw: Draw::new(seed),
            config: Config { shards, ..config.clone() },
        };
        for shard in 0..shards {
            let engine = node.engine(shard);
            node.engines.push(engine);
        }
        node
    }

    fn engine(&mut self, shard: u16) -> Engine {
        let config = Config { shard: ShardId(shard), ..self.config.clone() };
        Engine::new(config, self.draw.bytes(), self.now)
    }

    pub(crate) fn shards(&self) -> usize {
        self.engines.len()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn violate(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    pub(crate) fn reach(&mut self, situation: &'static str) {
        *self.reached.entry(situation).or_default() += 1;
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, wall_us: self.wall_us }
    }

    pub(crate) fn advance_us(&mut self, us: u64) {
        self.now = self.now + us;
        self.wall_us += us;
    }

    /// Gives an engine one input and does what it asks for.
    pub(crate) fn input(&mut self, shard: usize, input: Input<'_>) {
        let clock = self.clock();
        if self.is_verbose {
            println!("  {} shard {shard} <- {input:?}", self.now);
        }
        self.engines[shard].handle_input(input, clock);
        self.after(shard);
    }

    /// Lets an engine see the time; as in the server, once per turn.
    pub(crate) fn timeout(&mut self, shard: usize) {
        let clock = self.clock();
        self.engines[shard].handle_timeout(clock);
        self.after(shard);
        self.check_expiries(shard);
    }

    fn after(&mut self, shard: usize) {
        if let Err(why) = self.logs.observe(&self.engines[shard]) {
            self.violate(why);
        }
        for room in self.engines[shard].home().iter() {
            if let Err(why) = self.projections.observe(room) {
                self.violations.push(format!("room {}: {why}", room.name));
            }
        }
        while let Some(output) = self.engines[shard].poll_output() {
            self.output(shard, output);
        }
    }

    fn mix(&mut self, value: u64) {
        self.trace = (self.trace ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    fn output(&mut self, shard: usize, output: Output) {
        if self.is_verbose {
            println!("  {} shard {shard} -> {output:?}", self.now);
        }
        match output {
            Output::Flush(conn) => {
                self.mix(1 + (u64::from(conn.slot) << 8));
                if let Some(id) = self.socket_of(shard, conn) {
                    self.sockets[id].flush = true;
                }
            }
            Output::Close { conn, code } => {
                self.mix(2 + (u64::from(code.code) << 8));
                *self.reached.entry(code.name).or_default() += 1;
                if let Some(id) = self.socket_of(shard, conn) {
                    self.sockets[id].closed = Some(code);
                    self.release(id);
                }
            }
            Output::ReadPause(conn) => {
                self.mix(3);
                if let Some(id) = self.socket_of(shard, conn) {
                    self.sockets[id].read_paused = true;
                }
            }
            Output::ReadResume(conn) => {
                self.mix(4);
                if let Some(id) = self.socket_of(shard, conn) {
                    self.sockets[id].read_paused = false;
                }
            }
            Output::Authenticate { conn, token } => {
                self.mix(5);
                let is_raw = |id: SocketId| matches!(self.sockets[id].entry, Entry::Raw { .. });
                let token = match self.socket_of(shard, conn) {
                    Some(id) if is_raw(id) => self.raw_token.clone().map(Token::from),
                    _ => token,
                };
                self.asked.push_back((shard, conn, token));
                if self.answers_at_once {
                    self.answer(usize::MAX);
                }
            }
            Output::Handoff { conn, to, first } => {
                self.mix(6);
                self.reach("handoff");
                if let Some(id) = self.socket_of(shard, conn) {
                    self.hand_over(id, to.0 as usize, &first);
                }
            }
            Output::Peer { to, msg } => {
                self.mix(7 + (msg.cost() << 8));
                self.note_sent(&msg);
                let link = shard * self.shards() + to.0 as usize;
                self.links[link].push_back(msg);
            }
            Output::Quiesced => {
                self.mix(8);
                if self.quiesced[shard] {
                    self.violate("quiesced twice");
                }
                self.quiesced[shard] = true;
                self.reach("quiesced");
            }
            Output::Event(event) => {
                self.mix(9);
                if let Event::RoomRemoved { room } = &event {
                    self.logs.over(room);
                }
                self.events.push(event);
            }
            Output::Watch(item) => {
                self.mix(10 + (u64::from(item.channel) << 8));
                if let WatchEvent::Opened(room) = &item.event {
                    self.logs.began(&room.name, room.epoch, item.channel);
                }
                if let Err(why) = self.feed.told(&item, &self.projections) {
                    self.violate(why);
                }
                self.watched.push(item);
            }
            Output::Published { ticket, result } => {
                self.mix(11 + (ticket.number << 8));
                self.published.push((ticket.number, result));
            }
            Output::Record(item) => {
                self.mix(12 + (u64::from(item.channel) << 8));
            }
        }
    }

    fn note_sent(&mut self, msg: &PeerMsg) {
        match msg {
            PeerMsg::Up(Up::Resume { session, attempt, .. }) => {
                self.attempts.insert(*session, *attempt);
            }
            PeerMsg::Up(Up::Join(request)) if request.visited > 0 => {
                self.reach("match asked another shard");
            }
            PeerMsg::Up(Up::Leave { reason, .. })
                if *reason == madang_protocol::server::LeaveReason::Gone =>
            {
                self.reach("session end told to another shard");
            }
            PeerMsg::Down(Down::RawLagged { .. }) => self.reach("raw lagged"),
            PeerMsg::Down(Down::StateLagged { .. }) => self.reach("state lagged"),
            _ => {}
        }
    }

    pub(super) fn socket_of(&self, shard: usize, conn: ConnId) -> Option<SocketId> {
        let slot = self.slots[shard].get(conn.slot as usize)?;
        slot.socket.filter(|_| slot.generation == conn.generation)
    }

    fn allocate(&mut self, shard: usize, id: SocketId) -> ConnId {
        let slots = &mut self.slots[shard];
        let at = slots.iter().position(|slot| slot.socket.is_none()).unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() - 1
        });
        slots[at].generation += 1;
        slots[at].socket = Some(id);
        ConnId { slot: at as u32, generation: slots[at].generation }
    }

    /// The server is through with a socket; what the kernel has of it may still be read.
    fn release(&mut self, id: SocketId) {
        let socket = &mut self.sockets[id];
        socket.held = false;
        socket.released_at = Some(self.now);
        self.slots[socket.shard][socket.conn.slot as usize].socket = None;
    }

    pub(crate) fn connect(&mut self, shard: usize, entry: Entry, capacity: usize) -> SocketId {
        let id = self.sockets.len();
        let conn = self.allocate(shard, id);
        self.sockets.push(Socket::new(shard, conn, entry.clone(), capacity));
        self.input(shard, Input::Connected { conn, entry });
        id
    }

    fn hand_over(&mut self, id: SocketId, to: usize, first: &[u8]) {
        self.release(id);
        let conn = self.allocate(to, id);
        let socket = &mut self.sockets[id];
        socket.held = true;
        socket.released_at = None;
        socket.shard = to;
        socket.conn = conn;
        let entry = socket.entry.clone();
        let text = entry == Entry::Json;
        self.input(to, Input::Connected { conn, entry });
        self.input(to, Input::Message { conn, data: first, text });
    }

    /// Answers the credential check that has waited at `index` (modulo how many wait).
    pub(crate) fn answer(&mut self, index: usize) {
        let at = if index == usize::MAX { self.asked.len() - 1 } else { index % self.asked.len() };
        let Some((shard, conn, token)) = self.asked.remove(at) else { return };
        let result = match token.as_ref().map(Token::expose) {
            Some(BAD_TOKEN) => Err((CloseCode::UNAUTHORIZED, "no".to_owned())),
            token => Ok(identity(token, self.wall_us / 1000)),
        };
        if let Ok(identity) = &result {
            self.note_expiry(shard, conn, identity.expires_ms);
        }
        self.input(shard, Input::Authenticated { conn, result });
    }

    pub(crate) fn send(&mut self, id: SocketId, what: FromClient) {
        self.sockets[id].inbound.push_back(what);
    }

    /// The client's side of a socket ends; the server still gets the first `kept` of what is on
    /// its way.
    pub(crate) fn cut(&mut self, id: SocketId, kept: usize, gone: Gone) {
        let socket = &mut self.sockets[id];
        if !socket.held {
            return;
        }
        socket.inbound.truncate(kept);
        socket.gone = Some(gone);
    }

    /// Reads up to `most` messages from a socket, as far as the engine lets the server read.
    pub(crate) fn read_socket(&mut self, id: SocketId, most: usize) {
        for _ in 0..most {
            let socket = &mut self.sockets[id];
            let (shard, conn) = (socket.shard, socket.conn);
            if !socket.held || !self.is_reading {
                return;
            }
            let next = if socket.read_paused { None } else { socket.inbound.pop_front() };
            match (next, socket.gone) {
                (Some(FromClient::Message { data, text }), _) => {
                    self.input(shard, Input::Message { conn, data: &data, text });
                }
                (Some(FromClient::Pong), _) => self.input(shard, Input::Seen { conn }),
                (None, Some(gone @ (Gone::Noticed | Gone::Closed))) => {
                    self.release(id);
                    let ends_session = gone == Gone::Closed;
                    self.input(shard, Input::Disconnected { conn, ends_session });
                }
                (None, _) => return,
            }
        }
    }

    /// Delivers up to `most` messages of a link; returns how many there were.
    pub(crate) fn deliver(&mut self, from: usize, to: usize, most: usize) -> usize {
        let link = from * self.shards() + to;
        for delivered in 0..most {
            if delivered >= MESSAGES_MIN && self.engines[to].is_pressed() {
                return delivered;
            }
            let Some(msg) = self.links[link].pop_front() else { return delivered };
            self.note_delivered(to, &msg);
            self.input(to, Input::Peer { from: ShardId(from as u16), msg });
        }
        most
    }

    fn note_delivered(&mut self, to: usize, msg: &PeerMsg) {
        match msg {
            PeerMsg::Down(Down::Joined(admission)) if admission.r#ref.is_none() => {
                let newest = self.attempts.get(&admission.session);
                if newest.is_some_and(|newest| *newest > admission.attempt) {
                    self.reach("stale resume answer");
                }
            }
            PeerMsg::Down(Down::Broadcast(broadcast)) if self.quiesced[to] => {
                let Encoded::Wire { native: Some(native), .. } = &broadcast.frames else {
                    return self.violate("a raw message came after quiesced");
                };
                let message = codec::split_batch(native)
                    .next()
                    .and_then(Result::ok)
                    .and_then(|bytes| codec::decode_server(bytes).ok());
                // A presence that came late may bring current values along, but nothing new.
                if matches!(message, Some(ServerMessage::Message(message)) if message.from.0 != 0) {
                    self.violate("a publication came after quiesced");
                }
            }
            PeerMsg::Up(Up::Op { .. } | Up::Raw { .. }) if self.quiesced[to] => {
                self.violate("an operation came after quiesced");
            }
            PeerMsg::Down(Down::Member { seq, class: QueueClass::Reliable, .. })
                if *seq > 0 && self.quiesced[to] =>
            {
                self.violate("a direct message came after quiesced");
            }
            _ => {}
        }
    }

    pub(crate) fn waiting(&self, from: usize, to: usize) -> usize {
        self.links[from * self.shards() + to].len()
    }

    /// Writes what waits for a socket, as far as the kernel takes it.
    pub(crate) fn flush_socket(&mut self, id: SocketId) {
        loop {
            let socket = &mut self.sockets[id];
            let is_open = socket.held && socket.flush && socket.outbound_bytes < socket.capacity;
            if !is_open {
                return;
            }
            match self.engines[socket.shard].next_frame(socket.conn) {
                Some((frame, kind)) => {
                    socket.outbound_bytes += frame.len();
                    socket.written += 1;
                    let hash = hash_frame(&frame, kind);
                    socket.outbound.push_back((frame, kind));
                    self.mix(hash);
                }
                None => socket.flush = false,
            }
        }
    }

    /// A turn of a shard, its links apart: time, sockets, writing.
    pub(crate) fn turn(&mut self, shard: usize, reads: usize) {
        self.timeout(shard);
        for id in self.held_sockets(shard) {
            self.read_socket(id, reads);
        }
        for id in self.held_sockets(shard) {
            self.flush_socket(id);
        }
    }

    pub(crate) fn held_sockets(&self, shard: usize) -> Vec<SocketId> {
        self.slots[shard].iter().filter_map(|slot| slot.socket).collect()
    }

    pub(crate) fn receive(&mut self, id: SocketId) -> Option<Incoming> {
        self.sockets[id].receive()
    }

    /// A shard's thread dies and another takes its place: its memory, its sockets and what was on
    /// its way from and to it are lost, and the other shards are told.
    pub(crate) fn crash(&mut self, shard: usize) {
        for id in self.held_sockets(shard) {
            self.release(id);
        }
        self.asked.retain(|(at, ..)| *at != shard);
        let shards = self.shards();
        for other in 0..shards {
            self.links[shard * shards + other].clear();
            self.links[other * shards + shard].clear();
        }
        self.past.push(self.engines[shard].stats());
        self.crashes[shard] += 1;
        self.config.first_room = self.engines[shard].rooms_numbered();
        self.feed.forget(|channel| channel as usize % shards == shard);
        self.engines[shard] = self.engine(shard as u16);
        for other in (0..shards).filter(|other| *other != shard) {
            self.input(other, Input::PeerReset { peer: ShardId(shard as u16) });
        }
    }

    /// Sum of one level over the engines now.
    pub(crate) fn level(&self, of: impl Fn(&Stats) -> u64) -> u64 {
        self.engines.iter().map(|engine| of(&engine.stats())).sum()
    }

    /// Sum of one count over all engines that ever were.
    pub(crate) fn count(&self, of: impl Fn(&Stats) -> u64) -> u64 {
        self.level(&of) + self.past.iter().map(of).sum::<u64>()
    }

    pub(crate) fn check_invariants(&self) {
        for engine in &self.engines {
            engine.check_invariants();
        }
    }

    /// Nothing moves any more but by time.
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty()
            && self.links.iter().all(VecDeque::is_empty)
            && self.sockets.iter().all(Socket::is_idle)
    }
}

fn hash_frame(frame: &Frame, kind: FrameKind) -> u64 {
    frame
        .iter()
        .fold(kind as u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
