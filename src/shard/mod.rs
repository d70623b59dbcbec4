//! A shard: the engine of one thread, driven by that thread's reactor.
//!
//! The reactor brings bytes and time, the engine decides, and [`Shard`] carries between them: every
//! input's outputs are done at once, except what goes to other shards, which is collected and leaves
//! as one batch per peer at the end of the turn, with at most one wake.
//!
//! The parts: `routes.rs` (which URL is which way in), `lines/` (clients without a WebSocket), `mail.rs` (what threads send each other),
//! `drain.rs` (going away), `settings.rs` (the configuration in the engine's and the net's words).

mod drain;
mod lines;
mod mail;
mod origins;
mod routes;
mod settings;

pub use lines::LineSettings;
pub use mail::{Arrival, Expelled, Mailbox, Packet, Signal, inbox, mailbox};
pub use origins::Origins;
pub use settings::{
    access_settings, engine_config, line_settings, net_config, record_settings, watch_rules,
};

use crate::auth::{self, Checker, Refusal, Ways};
use crate::memory::{Share, Shed};
use crate::metrics::{Block, Counter};
use crate::net::http::{Request, Response};
use crate::net::{Answer, Detached, Driver, Ended, Io, Outbound};
use crate::record::{self, Recorder};
use crate::rooms::Meter;
use crate::watch::Feed;
use crossbeam_channel::Receiver;
use drain::Drain;
use lines::Lines;
use madang_engine::access::Identity;
use madang_engine::id::{ConnId, ShardId};
use madang_engine::input::Entry;
use madang_engine::output::Event;
use madang_engine::peer::{PeerMsg, home_of};
use madang_engine::time::Time;
use madang_engine::{Clock, Engine, Input, Output};
use madang_protocol::CloseCode;
use madang_protocol::client::CreateOptions;
use madang_protocol::value::Token;
use mail::Post;
use routes::Route;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Packets taken from the inbox in a turn, so that a busy peer does not starve the sockets.
const PACKETS_PER_TURN: usize = 256;
/// Messages of other shards that are taken in a turn even if much waits to be written.
const PEER_MESSAGES_MIN: usize = 64;
/// When a peer's inbox was full, it is tried again after this long.
const RETRY_MS: u64 = 1;

/// One shard's meaning of its connections.
pub struct Shard {
    engine: Engine,
    number: ShardId,
    inbox: Receiver<Packet>,
    inbox_signal: mail::Signal,
    /// Messages of batches that have been taken out of the inbox, in order; the engines' windows bound
    /// them.
    mail: VecDeque<(ShardId, PeerMsg)>,
    /// What goes to each shard; our own place stays empty.
    posts: Vec<Post>,
    /// What goes to those who watch.
    feed: Feed,
    /// What goes to the recordings of rooms.
    recorder: Recorder,
    /// The connection whose handshake is being completed.
    opening: Option<Arrival>,
    /// Connections that may still be handed over, or whose credential is still wanted.
    arrivals: BTreeMap<ConnId, Arrival>,
    lines: Lines,
    /// Which pages may connect.
    origins: Origins,
    origins_refused: u64,
    retry_ms: (u32, u32),
    drain: Drain,
    turns: u64,
    clock: Clock,
    block: Arc<Block>,
    meter: Arc<Meter>,
    checker: Checker,
    share: Share,
    shed: Shed,
    /// Requests that were turned away for want of memory.
    turned_away: u64,
}

impl Shard {
    /// A shard that knows no others yet.
    pub fn new(
        engine: Engine,
        inbox: (Receiver<Packet>, mail::Signal),
        lines: LineSettings,
        retry_ms: (u32, u32),
        (block, meter): (Arc<Block>, Arc<Meter>),
        (checker, share): (Checker, Share),
    ) -> Self {
        let number = engine.config().shard;
        Self {
            engine,
            number,
            inbox: inbox.0,
            inbox_signal: inbox.1,
            mail: VecDeque::new(),
            posts: Vec::new(),
            feed: Feed::default(),
            recorder: Recorder::default(),
            opening: None,
            arrivals: BTreeMap::new(),
            lines: Lines::new(lines),
            origins: Origins::default(),
            origins_refused: 0,
            retry_ms,
            drain: Drain::default(),
            turns: 0,
            clock: Clock { now: Time(u64::MAX), wall_us: 0 },
            block,
            meter,
            checker,
            share,
            shed: Shed::Nothing,
            turned_away: 0,
        }
    }

    fn retry_after_s(&self) -> String {
        self.retry_ms.1.div_ceil(1000).to_string()
    }

    /// Makes the other shards known, each at the index of its number, those who watch, and
    /// who records.
    pub fn connect(&mut self, mailboxes: Vec<Mailbox>, feed: Feed, recorder: Recorder) {
        self.recorder = recorder;
        self.posts = mailboxes.into_iter().map(Post::new).collect();
        self.feed = feed;
    }

    /// Lets pages of these origins in, and no others.
    pub fn let_in(&mut self, origins: Origins) {
        self.origins = origins;
    }

    /// Opens rooms that stay open without members, those that have their home here.
    pub fn open_rooms(&mut self, names: impl IntoIterator<Item = Box<str>>) {
        let shards = self.engine.config().shards;
        for name in names {
            if home_of(&name, shards) == self.number {
                let options = CreateOptions { public: Some(true), ..CreateOptions::default() };
                let clock = self.clock(self.engine.now());
                self.engine.handle_input(Input::Open { name, options }, clock);
            }
        }
    }

    /// The time of a turn: the wall clock is looked at once in each.
    fn clock(&mut self, now: Time) -> Clock {
        if self.clock.now != now {
            // A wall clock before 1970 is no reason to stop.
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.clock = Clock { now, wall_us: wall.as_micros() as u64 };
        }
        self.clock
    }

    fn input(&mut self, io: &mut Io<'_>, input: Input<'_>) {
        let clock = self.clock(io.now());
        self.engine.handle_input(input, clock);
        self.act(io);
    }

    /// Does what the engine asks for.
    fn act(&mut self, io: &mut Io<'_>) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Flush(conn) if self.lines.owns(conn) => self.lines.flush(io, conn),
                Output::Flush(conn) => io.flush(conn),
                Output::Close { conn, code } => {
                    self.arrivals.remove(&conn);
                    self.close(io, conn, code);
                }
                Output::ReadPause(conn) if self.lines.owns(conn) => {
                    self.pause_line(io, conn, true);
                }
                Output::ReadPause(conn) => io.pause_read(conn),
                Output::ReadResume(conn) if self.lines.owns(conn) => {
                    self.pause_line(io, conn, false);
                }
                Output::ReadResume(conn) => io.resume_read(conn),
                Output::Authenticate { conn, token } => {
                    let arrival = self.arrivals.remove(&conn);
                    let token = token.or_else(|| arrival.and_then(|arrival| arrival.token));
                    if let Some(result) = self.authenticate(conn, token) {
                        let result = result.map_err(Self::told);
                        let input = Input::Authenticated { conn, result };
                        let clock = self.clock(io.now());
                        self.engine.handle_input(input, clock);
                    }
                }
                Output::Handoff { conn, to, first } => self.hand_over(io, conn, to, first),
                Output::Peer { to, msg } => {
                    if let Some(post) = self.posts.get_mut(usize::from(to.0)) {
                        post.batch.push(msg);
                    }
                }
                Output::Quiesced => self.drain.quiesced(),
                Output::Event(event) => log(self.number, &event),
                Output::Watch(item) => self.feed.push(item),
                Output::Record(item) => self.recorder.push(item),
                Output::Published { ticket, result } => self.feed.answer(ticket, result),
            }
        }
    }

    /// Whether somebody new may come in; if not, the answer that says so.
    fn check_memory(&mut self) -> Result<(), Response> {
        if self.shed < Shed::Connections {
            return Ok(());
        }
        self.turned_away += 1;
        let response = Response::text(503, "the server is short of memory; try again");
        Err(response.header("Retry-After", self.retry_after_s()).closing())
    }

    /// Who a connection is, now, or none if that takes a while: then a packet says it.
    fn authenticate(
        &mut self,
        conn: ConnId,
        token: Option<Token>,
    ) -> Option<Result<Arc<Identity>, Refusal>> {
        let auth = self.checker.auth();
        let Some(token) = token else { return Some(auth.anonymous()) };
        match auth.is_slow(&token) {
            Err(refusal) => Some(Err(refusal)),
            Ok(false) => Some(auth.check(&token)),
            Ok(true) => {
                let to = self.posts.get(usize::from(self.number.0))?.mailbox();
                self.checker.check_later(token, conn, to).err().map(Err)
            }
        }
    }

    /// A refusal in the engine's words.
    fn told(refusal: Refusal) -> (CloseCode, String) {
        (refusal.close_code(), refusal.to_string())
    }

    /// Ends a connection that the engine has forgotten.
    fn close(&mut self, io: &mut Io<'_>, conn: ConnId, code: CloseCode) {
        if self.lines.owns(conn) {
            *io.counters().ws_closes.entry(code.code).or_default() += 1;
            self.close_line(io, conn, code);
        } else {
            io.close(conn, code.code, code.name);
        }
    }

    /// Sends a connection to the shard of its session.
    fn hand_over(&mut self, io: &mut Io<'_>, conn: ConnId, to: ShardId, first: Box<[u8]>) {
        if self.lines.owns(conn) {
            // The request was sent to the right shard before there was a line.
            return self.close_line(io, conn, CloseCode::INTERNAL);
        }
        let Some(arrival) = self.arrivals.remove(&conn) else { return };
        let Some(socket) = io.detach(conn) else { return };
        let packet = Packet::Session { socket: Box::new(socket), arrival, first };
        self.send_socket(to, packet);
    }

    fn send_socket(&mut self, to: ShardId, packet: Packet) {
        let sent = self.posts.get(usize::from(to.0)).is_some_and(|post| post.send(packet));
        if !sent {
            // The socket is closed with the packet; the client tries again.
            tracing::warn!(
                shard = self.number.0,
                to = to.0,
                "an inbox was full: a connection was dropped"
            );
        }
    }

    /// Takes packets and the messages in them, in order. As for sockets, what waits to be written
    /// comes first; but some messages are taken in every turn, or a flood from sockets would leave
    /// the other shards waiting.
    fn take_mail(&mut self, io: &mut Io<'_>) {
        let mut packets = 0;
        let mut messages = 0;
        loop {
            if messages >= PEER_MESSAGES_MIN && self.engine.is_pressed() {
                return;
            }
            if let Some((from, msg)) = self.mail.pop_front() {
                self.input(io, Input::Peer { from, msg });
                messages += 1;
                continue;
            }
            if packets == PACKETS_PER_TURN {
                return;
            }
            let Ok(packet) = self.inbox.try_recv() else { return };
            if let Packet::Publish { publish, .. } = &packet {
                messages += publish.events.len();
            }
            self.packet(io, packet);
            packets += 1;
        }
    }

    fn packet(&mut self, io: &mut Io<'_>, packet: Packet) {
        match packet {
            Packet::Batch { from, messages } => {
                self.mail.extend(messages.into_iter().map(|msg| (from, msg)));
            }
            Packet::Request { socket } => {
                io.adopt(*socket);
            }
            Packet::Session { socket, arrival, first } => {
                let conn = io.adopt(*socket);
                let entry = arrival.entry.clone();
                let text = entry == Entry::Json;
                self.arrivals.insert(conn, arrival);
                self.input(io, Input::Connected { conn, entry });
                self.input(io, Input::Message { conn, data: &first, text });
            }
            Packet::Publish { publish, waiting } => {
                self.input(io, Input::Publish(publish));
                drop(waiting);
            }
            Packet::Authenticated { conn, result } => {
                // Who was sent away meanwhile stays away.
                let result = result.and_then(|identity| self.checker.auth().admit(identity));
                let result = result.map_err(Self::told);
                self.input(io, Input::Authenticated { conn, result });
            }
            Packet::Expel(Expelled::User(user)) => self.input(io, Input::Expel(user)),
            Packet::Expel(Expelled::Network(network)) => {
                // Before their sockets, so that those that wait hear why.
                for line in self.lines.of_network(&network) {
                    self.input(io, Input::Disconnected { conn: line, ends_session: true });
                    self.close(io, line, CloseCode::KICKED);
                }
                for conn in io.of_network(&network) {
                    self.arrivals.remove(&conn);
                    self.input(io, Input::Disconnected { conn, ends_session: true });
                    io.close(conn, CloseCode::KICKED.code, CloseCode::KICKED.name);
                }
            }
            Packet::Drain => self.start_drain(io),
            Packet::Quiesce => self.start_quiesce(io),
            Packet::Stop => self.stop(io),
        }
    }

    /// One batch and at most one wake for every peer that something goes to.
    fn post_batches(&mut self) {
        for post in &mut self.posts {
            post.flush(self.number);
        }
    }

    /// What those who watch get of this turn, and rooms that they missed something of.
    fn feed(&mut self, io: &mut Io<'_>) {
        for (channel, name_hash) in self.feed.owed(io.now()) {
            self.input(io, Input::WatchResync { channel, name_hash });
        }
        self.feed.flush(io.now());
    }

    /// Says what is held here, and gives up what the whole process has to.
    fn account(&mut self, io: &mut Io<'_>) {
        let shed = self.share.hold(self.engine.held_bytes());
        if std::mem::replace(&mut self.shed, shed) != shed {
            self.input(io, Input::Shed(shed));
        }
    }

    fn count(&mut self, io: &mut Io<'_>) {
        let stats = self.engine.stats();
        let block = &self.block;
        block.set_net(io.counters());
        for (counter, value) in [
            (Counter::Connections, stats.connections),
            (Counter::Lines, self.lines.len() as u64),
            (Counter::LinesOpened, self.lines.counts.opened),
            (Counter::LinesIdle, self.lines.counts.idle),
            (Counter::LineStreams, self.lines.counts.streams),
            (Counter::LinePolls, self.lines.counts.polls),
            (Counter::LineSends, self.lines.counts.sends),
            (Counter::LineRepeats, self.lines.counts.repeats),
            (Counter::Sessions, stats.sessions),
            (Counter::SessionsAway, stats.sessions_away),
            (Counter::Rooms, stats.rooms),
            (Counter::Turns, self.turns),
            (Counter::DeliveriesReliable, stats.queued[0]),
            (Counter::DeliveriesLatest, stats.queued[1]),
            (Counter::DeliveriesVolatile, stats.queued[2]),
            (Counter::DeliveriesControl, stats.queued[3]),
            (Counter::DeliveriesState, stats.queued[4]),
            (Counter::DroppedReliable, stats.dropped[0]),
            (Counter::DroppedLatest, stats.dropped[1]),
            (Counter::DroppedVolatile, stats.dropped[2]),
            (Counter::DroppedControl, stats.dropped[3]),
            (Counter::DroppedState, stats.dropped[4]),
            (Counter::ConflatedLatest, stats.conflated),
            (Counter::BroadcastEncodes, stats.encodes),
            (Counter::ResumesRecovered, stats.recovered),
            (Counter::ResumesReset, stats.unrecovered),
            (Counter::ResumesRefused, stats.resumes_refused),
            (Counter::OriginsRefused, self.origins_refused),
            (Counter::Lagged, stats.lagged),
            (Counter::Ticks, stats.ticks),
            (Counter::TicksSkipped, stats.ticks_skipped),
            (Counter::StatesOwed, stats.states_owed),
            (Counter::StateMismatches, stats.state_mismatches),
            (Counter::RoomsFailed, stats.rooms_failed),
            (Counter::SlowCalls, self.meter.slow()),
            (Counter::WatchFeedDropped, self.feed.dropped),
            (Counter::RecordDropped, self.recorder.dropped),
            (Counter::UnwrittenMessages, stats.unwritten),
            (Counter::Gaps, stats.gaps),
            (Counter::TokensRunOut, stats.expired),
            (Counter::ShedVolatile, stats.shed_volatile),
            (Counter::ShedLatest, stats.shed_latest),
            (Counter::ShedConnections, self.turned_away),
            (Counter::ShedRooms, stats.shed_rooms),
            (Counter::HeldBytes, self.engine.held_bytes()),
            (Counter::ReadPausesRate, stats.rate_pauses),
            (Counter::ReadPausesLink, stats.link_pauses),
        ] {
            block.set(counter, value);
        }
    }
}

impl Driver for Shard {
    fn on_request(&mut self, io: &mut Io<'_>, conn: ConnId, request: &Request<'_>) -> Answer {
        let route = match routes::route(request, self.engine.config()) {
            Ok(route) => route,
            Err(refusal) => return Answer::Respond(refusal.0),
        };
        if let Err(refusal) = self.origins.check(request) {
            self.origins_refused += 1;
            return Answer::Respond(refusal);
        }
        let way_in = match route {
            Route::Socket(way_in) => way_in,
            Route::Line(verb) => return self.answer_line(io, conn, request, verb),
        };
        if self.drain.is_quiet() {
            // Requests are read for the sake of lines alone.
            return Answer::Respond(Response::text(503, "the server is going away").closing());
        }
        if let Some(home) = way_in.home.filter(|home| *home != self.number) {
            return Answer::Handoff { to: home.0 };
        }
        if let Err(refusal) = self.check_memory() {
            return Answer::Respond(refusal);
        }
        let token = match auth::find(request, Ways::All(self.checker.auth().cookie())) {
            Ok(token) => token,
            Err(refusal) => {
                let refusal = self.checker.auth().counted(refusal);
                return Answer::Respond(auth::unauthorized(refusal));
            }
        };
        self.opening = Some(Arrival { entry: way_in.entry, token });
        Answer::Upgrade { subprotocol: way_in.subprotocol, framing: way_in.framing, tag: 0 }
    }

    fn on_body(&mut self, _: &mut Io<'_>, request: &Request<'_>, _: usize) -> Result<(), Response> {
        let route = routes::route(request, self.engine.config()).map_err(|refusal| refusal.0)?;
        let Route::Line(verb) = route else { return Ok(()) };
        if let Err(refusal) = self.origins.check(request) {
            self.origins_refused += 1;
            return Err(refusal);
        }
        self.check_line_body(request, verb)
    }

    fn goes_on(&self, request: &Request<'_>) -> bool {
        matches!(
            routes::route(request, self.engine.config()),
            Ok(Route::Line(verb)) if verb != routes::Verb::Open
        )
    }

    fn on_gone(&mut self, io: &mut Io<'_>, conn: ConnId) {
        self.line_waiter_gone(io, conn);
    }

    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, tag: u32) {
        if tag == lines::STREAM {
            return self.line_streams(io, conn);
        }
        let Some(arrival) = self.opening.take() else { return };
        let entry = arrival.entry.clone();
        self.arrivals.insert(conn, arrival);
        self.input(io, Input::Connected { conn, entry });
    }

    fn on_message(&mut self, io: &mut Io<'_>, conn: ConnId, data: &[u8], text: bool) {
        self.input(io, Input::Message { conn, data, text });
    }

    fn on_seen(&mut self, io: &mut Io<'_>, conn: ConnId) {
        self.input(io, Input::Seen { conn });
    }

    fn on_ended(&mut self, io: &mut Io<'_>, conn: ConnId, why: Ended) {
        self.arrivals.remove(&conn);
        self.line_stream_ended(io, conn);
        // 1000 says that the client is done; a broken framing is not resumed either.
        let ends_session = matches!(why, Ended::Close(1000) | Ended::Violation(_));
        self.input(io, Input::Disconnected { conn, ends_session });
    }

    fn fill(&mut self, conn: ConnId, out: &mut Outbound<'_>) -> bool {
        if out.is_stream() {
            return self.fill_line(conn, out);
        }
        let more = self.engine.next_frames(conn, |frame, kind| {
            out.push(frame, kind);
            !out.is_full()
        });
        if !more {
            self.drain.drained(conn);
        }
        more
    }

    fn on_detached(&mut self, _: &mut Io<'_>, to: u16, socket: Detached) {
        self.send_socket(ShardId(to), Packet::Request { socket: Box::new(socket) });
    }

    fn on_turn(&mut self, io: &mut Io<'_>, now: Time) {
        self.turns += 1;
        self.inbox_signal.clear();
        self.take_mail(io);
        let clock = self.clock(now);
        self.engine.handle_timeout(clock);
        self.act(io);
        self.account(io);
        self.expire_lines(io, now);
        self.go_on_draining(io);
        // Before anybody can hear of it, so that who does finds it when it watches.
        self.feed(io);
        self.recorder.flush();
        self.answer_due(io);
        self.post_batches();
        // Before the writes, so that whoever has an answer finds what led to it counted.
        self.count(io);
    }

    fn group(&self, conn: ConnId) -> u32 {
        self.engine.first_room(conn).unwrap_or_default()
    }

    fn is_pressed(&self) -> bool {
        self.engine.is_pressed()
    }

    fn on_turn_end(&mut self, io: &mut Io<'_>) {
        // And after them, so that the last ones before a silence are not missing.
        self.count(io);
    }

    fn next_timeout(&self) -> Option<Time> {
        let now = self.engine.now();
        if !self.inbox.is_empty() || !self.mail.is_empty() {
            return Some(now);
        }
        let retry = self.posts.iter().any(Post::is_waiting).then(|| now.plus_ms(RETRY_MS));
        let record = self.recorder.is_owing().then(|| now.plus_ms(record::RETRY_MS));
        let lines = self.lines.next_timeout();
        let timeouts = [self.engine.poll_timeout(), retry, self.feed.next_timeout(), record, lines];
        timeouts.into_iter().flatten().min()
    }
}

fn log(shard: ShardId, event: &Event) {
    let shard = shard.0;
    match event {
        Event::Closed { conn, code, why } => {
            tracing::debug!(shard, conn = conn.slot, code = code.code, reason = code.name, %why, "closed");
        }
        Event::RoomCreated { room, kind } => tracing::debug!(shard, %room, kind, "room created"),
        Event::RoomNotOpened { room, why } => {
            tracing::error!(shard, %room, %why, "a room could not be opened");
        }
        Event::RoomFailed { room, why } => {
            tracing::error!(shard, %room, %why, "a room was lost");
        }
        Event::RoomRemoved { room } => tracing::debug!(shard, %room, "room removed"),
        Event::Lagged { room, shard: behind } => {
            tracing::warn!(shard, %room, behind = behind.0, "a shard fell behind with a room");
        }
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("engine", &self.engine).finish_non_exhaustive()
    }
}
