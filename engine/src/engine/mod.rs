//! The engine of one shard: takes inputs, routes them between sessions and rooms, gives outputs.
//!
//! Sessions and rooms do not know each other. A client's message goes from its session to the
//! room's home ([`crate::peer::Up`]), what the room wants done comes back as effects and goes to
//! the shards of its members ([`crate::peer::Down`]). Where the home is this shard the same calls
//! are made without a message in between.
//!
//! The parts: `connections.rs` (hello, resume), `clients.rs` (what clients say), `members.rs` (what rooms say to
//! sessions), `access.rs` (who a session is, and until when), `states.rs` (who is owed a room's state), `links.rs` (flow between shards, lag, quiescing), `timers.rs`, `check.rs`.

mod access;
mod check;
mod clients;
mod connections;
mod links;
mod members;
mod publish;
mod states;
mod timers;

use crate::config::{Config, Kind};
use crate::encode::Encoder;
use crate::fanout::Views;
use crate::frame::{Frame, FrameKind};
use crate::id::{ConnId, SessionRef, ShardId};
use crate::input::{Input, Shed};
use crate::output::{Event, Output};
use crate::peer::{Down, Link, PeerMsg, Up};
use crate::room::bans::Bans;
use crate::room::home::Home;
use crate::room::latest::LatestValues;
use crate::room::{Ctx, Effect};
use crate::session::Sessions;
use crate::session::outbound::{ClassIndex, Moment, Pool};
use crate::stats::Stats;
use crate::time::Time;
use crate::timer::Wheel;
use crate::watch::{WatchEvent, WatchItem};
use connections::ConnState;
use madang_protocol::CloseCode;
use madang_protocol::client::CreateOptions;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeSet, VecDeque};
use timers::{Deadline, TimerKey, period_us};

/// Granularity of the engine's timers in microseconds.
const TIMER_US: u64 = 10_000;

/// Places that the empty list of connections to be written to keeps.
const FLUSHES_KEPT: usize = 1024;

/// When an input happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Monotonic time; never goes back between two calls.
    pub now: Time,
    /// Wall clock, microseconds since 1970 UTC; may step.
    pub wall_us: u64,
}

/// The core of one shard. See the module's documentation for the way through it.
pub struct Engine {
    config: Config,
    clock: Clock,
    /// Counts [`Engine::handle_timeout`] calls: what waited since an earlier turn is backlog.
    turn: u32,
    rng: ChaCha12Rng,
    conns: Vec<ConnState>,
    sessions: Sessions,
    pool: Pool,
    views: Views,
    home: Home,
    bans: Bans,
    shed: Shed,
    links: Vec<Link>,
    timers: Wheel<TimerKey>,
    /// Rooms' next ticks and ends of windows: exact, because the wheel is too coarse for them.
    deadlines: BTreeSet<(Time, Deadline)>,
    encoder: Encoder,
    effects: VecDeque<Effect>,
    out: VecDeque<Output>,
    /// Connections whose queues are not empty any more, for [`Output::Flush`].
    flushes: VecDeque<ConnId>,
    /// Sessions whose rest of a batch can be gone on with.
    deferred: VecDeque<SessionRef>,
    /// Slots of sessions that are owed some room's state and for which nothing may wait any more.
    owing: Vec<u32>,
    /// Sessions whose queue overflowed in the fan-out that is going on, with the code to close by.
    overflowed: Vec<(SessionRef, CloseCode)>,
    /// Rooms that stay open, with what they are made with.
    kept: Vec<(Box<str>, CreateOptions)>,
    draining: bool,
    quiescing: u8,
    next_connection: u64,
    stats: Stats,
    /// Sessions and rooms that the current input touched, for [`Engine::check_touched`].
    touched: check::Touched,
}

impl Engine {
    /// An engine without sessions and rooms. `seed` must be secret and random in production: resume
    /// keys come from it.
    pub fn new(config: Config, seed: [u8; 32], now: Time) -> Self {
        let shards = config.shards.max(1);
        Self {
            clock: Clock { now, wall_us: 0 },
            turn: 0,
            rng: ChaCha12Rng::from_seed(seed),
            conns: Vec::new(),
            sessions: Sessions::new(config.shard),
            pool: Pool::default(),
            views: Views::default(),
            home: Home::new(config.shard.0, shards, config.first_room),
            bans: Bans::default(),
            shed: Shed::Nothing,
            links: (0..shards).map(|_| Link::default()).collect(),
            timers: Wheel::new(now, TIMER_US),
            deadlines: BTreeSet::new(),
            encoder: Encoder::default(),
            effects: VecDeque::new(),
            out: VecDeque::new(),
            flushes: VecDeque::new(),
            deferred: VecDeque::new(),
            owing: Vec::new(),
            overflowed: Vec::new(),
            kept: Vec::new(),
            draining: false,
            quiescing: 0,
            next_connection: 0,
            stats: Stats::default(),
            touched: check::Touched::default(),
            config,
        }
    }

    /// Takes one input. What it leads to waits in [`Self::poll_output`].
    pub fn handle_input(&mut self, input: Input<'_>, clock: Clock) {
        self.clock = clock;
        match input {
            Input::Connected { conn, entry } => self.connected(conn, entry),
            Input::Message { conn, data, text } => self.message(conn, data, text),
            Input::Seen { conn } => self.seen(conn),
            Input::Disconnected { conn, ends_session } => self.disconnected(conn, ends_session),
            Input::Authenticated { conn, result } => self.authenticated(conn, result),
            Input::Peer { from, msg } => self.peer_message(from, msg),
            Input::PeerReset { peer } => self.peer_reset(peer),
            Input::Drain { retry_min_ms, retry_max_ms } => self.drain(retry_min_ms, retry_max_ms),
            Input::Quiesce => self.quiesce(),
            Input::Open { name, options } => self.open_room(&name, options),
            Input::WatchResync { channel, name_hash } => self.watch_resync(channel, name_hash),
            Input::Publish(publish) => self.publish_by_backend(&publish),
            Input::Expel(user) => self.expel(&user),
            Input::Shed(shed) => self.give_up(shed),
        }
        self.settle();
    }

    /// Lets time pass: call it once per turn, and whenever [`Self::poll_timeout`] is reached.
    pub fn handle_timeout(&mut self, clock: Clock) {
        self.clock = clock;
        self.turn = self.turn.wrapping_add(1);
        self.pool.pressed = false;
        self.meet_deadlines();
        while let Some(key) = self.timers.pop(clock.now) {
            self.expired(key);
            self.settle();
        }
        self.run_deferred();
        self.ask_for_states();
        self.credit_peers();
        self.pool.shrink();
        if self.flushes.is_empty() {
            self.flushes.shrink_to(FLUSHES_KEPT);
        }
    }

    /// The next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front().or_else(|| self.flushes.pop_front().map(Output::Flush))
    }

    /// When [`Self::handle_timeout`] is next needed.
    pub fn poll_timeout(&self) -> Option<Time> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let is_waiting = !self.deferred.is_empty() || !self.owing.is_empty();
        let deferred = is_waiting.then_some(self.clock.now);
        [self.timers.next(), deadline, deferred].into_iter().flatten().min()
    }

    /// Whether some receiver got as much in this turn as can be written in one: the shell should
    /// write before it reads on.
    pub fn is_pressed(&self) -> bool {
        self.pool.pressed
    }

    /// The number of the room that a connection's session entered first, of those that it is in.
    pub fn first_room(&self, conn: ConnId) -> Option<u32> {
        let session = self.sessions.get(self.session_of(conn)?)?;
        session.rooms.first().map(|membership| membership.channel)
    }

    /// Bytes of the message that [`Self::next_frame`] would return.
    pub fn next_frame_len(&self, conn: ConnId) -> Option<usize> {
        let session = self.sessions.get(self.session_of(conn)?)?;
        self.pool.front_len(&session.queue)
    }

    /// Takes the oldest message that waits for a connection: from now on it is the transport's.
    pub fn next_frame(&mut self, conn: ConnId) -> Option<(Frame, FrameKind)> {
        let mut taken = None;
        self.next_frames(conn, |frame, kind| {
            taken = Some((frame, kind));
            false
        });
        taken
    }

    /// Takes messages that wait for a connection, the oldest first, as long as `take` says that it takes
    /// another. Returns whether some are left. The same as [`Self::next_frame`] again and again, but the
    /// session is looked up once.
    pub fn next_frames(
        &mut self,
        conn: ConnId,
        mut take: impl FnMut(Frame, FrameKind) -> bool,
    ) -> bool {
        let Some(slot) = self.session_of(conn) else { return false };
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        let queue = &mut session.queue;
        while let Some((frame, kind)) = self.pool.pop(queue, slot) {
            if !take(frame, kind) {
                break;
            }
        }
        if queue.owes_state && queue.is_empty() {
            self.owing.push(slot);
        }
        !queue.is_empty()
    }

    /// Counts since the start, and levels now.
    pub fn stats(&self) -> Stats {
        let mut dropped = self.stats.dropped;
        dropped[ClassIndex::State as usize] += self.pool.state_discarded;
        Stats {
            dropped,
            encodes: self.encoder.encodes,
            sent: self.pool.sent,
            conflated: self.pool.conflated,
            connections: (self.sessions.len() - self.sessions.away) as u64,
            sessions: self.sessions.len() as u64,
            sessions_away: self.sessions.away as u64,
            rooms: self.home.len() as u64,
            queue_nodes: self.pool.in_use() as u64,
            ..self.stats
        }
    }

    /// Reliable messages that wait in queues now.
    pub fn waiting_reliable(&self) -> u64 {
        self.sessions.iter().map(|(_, session)| self.pool.waiting_reliable(&session.queue)).sum()
    }

    /// The time of the latest input.
    pub fn now(&self) -> Time {
        self.clock.now
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The rooms homed here, for tests and the operator's view.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Room numbers used so far, for [`Config::first_room`] of an engine that takes this one's place.
    pub fn rooms_numbered(&self) -> u32 {
        self.home.numbered()
    }

    /// Does what the rooms want done, and what follows from that, until nothing is left.
    fn settle(&mut self) {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                self.effect(effect);
            } else if let Some((address, code)) = self.overflowed.pop() {
                self.overflow(address, code);
            } else {
                break;
            }
        }
        self.check_touched();
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Broadcast(broadcast) => self.broadcast(broadcast),
            Effect::Send { to, down } if self.comes_from_log(to, &down) => {}
            Effect::Send { to, down } => self.send_down(to, down),
            Effect::FlushDue { channel, .. } if self.quiescing > 0 => self.gather_no_more(channel),
            Effect::FlushDue { channel, ms } => {
                let at = self.clock.now.plus_ms(ms);
                self.deadlines.insert((at, Deadline::Flush(channel)));
            }
            Effect::TickDue { channel, tick_hz } => {
                self.tick_due(self.clock.now + period_us(tick_hz), channel, tick_hz);
            }
            Effect::Unsubscribed { channel, shard, members } => {
                self.with_room(channel, |room, _| room.unsubscribe(shard, members));
            }
            Effect::Ended { channel } => self.remove_room(channel),
            Effect::CountDue { channel } => {
                let at = self.clock.now.plus_ms(self.config.room.presence_count_ms);
                self.timers.insert(at, TimerKey::Count { channel });
            }
            Effect::Emptied { channel } => self.room_emptied(channel),
            Effect::Event(event) => self.out.push_back(Output::Event(event)),
            Effect::Watch(item) => self.out.push_back(Output::Watch(item)),
            Effect::Record(item) => self.out.push_back(Output::Record(item)),
        }
    }

    /// Tells a room's home, here or elsewhere.
    fn send_up(&mut self, to: ShardId, up: Up) {
        if to == self.config.shard {
            self.handle_up(to, up);
        } else {
            self.send_peer(to, PeerMsg::Up(up));
        }
    }

    /// Tells a session's shard, here or elsewhere.
    fn send_down(&mut self, to: ShardId, down: Down) {
        if to == self.config.shard {
            self.handle_down(down);
        } else {
            self.send_peer(to, PeerMsg::Down(down));
        }
    }

    /// The home of a room's number.
    fn home_of_channel(&self, channel: u32) -> ShardId {
        ShardId((channel % u32::from(self.config.shards.max(1))) as u16)
    }

    /// Calls `act` with a room and what it works with.
    fn with_room<T>(
        &mut self,
        channel: u32,
        act: impl FnOnce(&mut crate::room::Room, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        if self.home_of_channel(channel) != self.config.shard {
            return None;
        }
        self.touched.room(channel);
        self.with_home(|home, ctx| {
            home.get_mut(channel).map(|room| {
                let done = act(room, ctx);
                room.count_held(ctx.stats);
                done
            })
        })
    }

    /// Bytes of logs, values and states of rooms here and of what waits for clients, each message as if it
    /// were not shared.
    pub fn held_bytes(&self) -> u64 {
        self.stats.room_bytes + self.pool.bytes()
    }

    fn give_up(&mut self, shed: Shed) {
        self.shed = shed;
        if shed >= Shed::Latest {
            for channel in self.home.channels() {
                self.with_room(channel, |room, _| room.latest = LatestValues::default());
            }
        }
    }

    /// Calls `act` with the rooms homed here and what they work with.
    fn with_home<T>(&mut self, act: impl FnOnce(&mut Home, &mut Ctx<'_>) -> T) -> T {
        let mut ctx = Ctx {
            config: &self.config.room,
            now: self.clock.now,
            wall_ms: self.clock.wall_us / 1000,
            bans: &mut self.bans,
            shed: self.shed,
            encoder: &mut self.encoder,
            effects: &mut self.effects,
            stats: &mut self.stats,
            #[cfg(feature = "planted-bugs")]
            bug: self.config.bug,
        };
        act(&mut self.home, &mut ctx)
    }

    /// Opens a room that stays open without members.
    fn open_room(&mut self, name: &str, options: CreateOptions) {
        if !self.kept.iter().any(|(kept, _)| **kept == *name) {
            self.kept.push((name.into(), options.clone()));
        }
        let kind = self.config.room.bound_kind(name).unwrap_or(Kind::Relay);
        let (fresh, now) = (self.fresh(), self.clock.now);
        let opened = self.with_home(|home, ctx| {
            if let Some(channel) = home.find(name) {
                return Ok(channel);
            }
            // It is the operator's, and there is always place for it.
            ctx.shed = Shed::Nothing;
            home.create((name, kind), options, &[], fresh, now, ctx)
        });
        match opened {
            Ok(channel) => drop(self.with_room(channel, crate::room::Room::keep)),
            Err((_, why)) => {
                let (room, why) = (name.into(), why.as_ref().into());
                self.event(Event::RoomNotOpened { room, why });
            }
        }
    }

    /// Removes a room without members; one that is to stay open is opened anew.
    fn remove_room(&mut self, channel: u32) {
        let Some(name) = self.home.get(channel).map(|room| room.name.clone()) else { return };
        let now = self.clock.now;
        self.with_home(|home, ctx| home.remove(channel, now, ctx));
        let kept = self.kept.iter().find(|(kept, _)| *kept == name);
        if let Some((name, options)) = kept.cloned().filter(|_| self.quiescing == 0) {
            self.open_room(&name, options);
        }
    }

    /// Says again what those who watch a room missed.
    fn watch_resync(&mut self, channel: u32, name_hash: u64) {
        let items = match self.home.get(channel) {
            Some(room) => room.watch_anew(),
            None => vec![WatchItem { channel, name_hash, event: WatchEvent::Closed }],
        };
        self.out.extend(items.into_iter().map(Output::Watch));
    }

    fn moment(&self) -> Moment {
        Moment { turn: self.turn, ms: (self.clock.now.0 / 1000) as u32 }
    }

    fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("shard", &self.config.shard)
            .field("sessions", &self.sessions.len())
            .field("rooms", &self.home.len())
            .finish_non_exhaustive()
    }
}
