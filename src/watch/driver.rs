//! One thread of the side listener, as its reactor drives it: requests, the feed from the shards,
//! and when which stream has something to write.

use super::directory::{Change, Directory};
use super::due::Dues;
use super::feed::{FeedBox, InFlight, WatchPacket};
use super::guests::Guests;
use super::publish::{PublishSettings, Publishing};
use super::requests::DIRECTORY_THREAD;
use super::rooms::{Bounds, LogKey, Rooms};
use super::site::{Asked, Site};
use super::spectators::{Spectator, Spectators, View, limit_ms};
use super::sse;
use crate::auth::Auth;
use crate::memory::{Share, Shed};
use crate::metrics::{Block, Counter};
use crate::net::http::{Request, Response};
use crate::net::{Answer, Detached, Driver, Ended, Io, Outbound};
use crate::shard::{Expelled, Mailbox, Signal};
use crossbeam_channel::Receiver;
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use madang_engine::timer::Wheel;
use madang_engine::watch::WatchRule;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What logs may have together while the process is short of memory.
const SHORT_BYTES_MAX: usize = 64 << 10;
/// Packets taken from the inbox at once.
const PACKETS_PER_TURN: usize = 256;
/// So many comments that were due and not taken, at least, say that nobody is there.
const STUCK_HEARTBEATS: u64 = 4;
/// How often what is too old is let go.
const SWEEP_MS: u64 = 1_000;
/// When the inbox of the thread that keeps the directory was full, it is tried again after this long.
const NEWS_RETRY_MS: u64 = 50;
/// While the thread goes away it looks so often whether its last connection has ended: that makes
/// no event.
const LEAVE_MS: u64 = 10;
/// Granularity of timers in microseconds.
const TIMER_US: u64 = 5_000;

/// What an operator may set about spectators.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// Which rooms may be watched.
    pub rules: Vec<WatchRule>,
    /// How long what happened can be watched, in milliseconds.
    pub history_ms: u64,
    /// Most bytes of that for one room.
    pub history_bytes_max: usize,
    /// Most bytes of that for all rooms of a thread.
    pub bytes_max: usize,
    /// Longest delay, in milliseconds.
    pub delay_max_ms: u64,
    /// How long a stream of a room with state may be behind, in milliseconds.
    pub conflate_ms: u64,
    /// Silence after which a comment is sent, in milliseconds.
    pub heartbeat_ms: u64,
    /// Least time between two changes of a room in the directory, in milliseconds.
    pub directory_ms: u64,
    /// How long a stream outlives the token that it was opened with, in milliseconds.
    pub expired_ms: u64,
    /// When a client whose stream ended comes back: earliest and latest, in milliseconds.
    pub retry_ms: (u32, u32),
    /// Origins whose pages may read; `*` for all.
    pub cors_origins: Vec<Box<str>>,
    /// Backends.
    pub publish: PublishSettings,
}

/// One thread's inbox.
#[derive(Debug)]
pub struct WatchInbox {
    /// What comes.
    pub packets: Receiver<WatchPacket>,
    /// Whether the thread has been woken for it.
    pub signal: Signal,
    /// Bytes of it that are on their way.
    pub in_flight: InFlight,
}

/// One thread's streams, rooms and answers.
#[derive(Debug)]
pub struct WatchDriver {
    pub(super) number: u16,
    pub(super) threads: u16,
    site: Arc<Site>,
    block: Arc<Block>,
    pub(super) auth: Arc<Auth>,
    pub(super) guests: Guests,
    share: Share,
    pub(super) shed: Shed,
    /// Spectators that were turned away for want of memory.
    pub(super) turned_away: u64,
    pub(super) settings: WatchSettings,
    inbox: WatchInbox,
    /// The way to all threads of the side listener.
    pub(super) boxes: Vec<FeedBox>,
    pub(super) rooms: Rooms,
    pub(super) publishing: Publishing,
    /// Used on one thread.
    pub(super) directory: Directory,
    spectators: Spectators,
    /// The stream whose head is being written.
    pub(super) opening: Option<Spectator>,
    /// Streams that are over.
    closing: Vec<ConnId>,
    timers: Wheel<TimerKey>,
    /// What those with a delay have been shown of a log.
    dues: Dues,
    /// News for the thread that keeps the directory, the newest for each room.
    news: BTreeMap<Box<str>, Change>,
    is_sweep_due: bool,
    is_listing_due: bool,
    is_draining: bool,
    pub(super) jitter: Jitter,
    pub(super) now: Time,
    pub(super) wall_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum TimerKey {
    /// Something of a log can be shown to those with this delay.
    Due(LogKey, u64),
    /// A stream's silence is to be looked at.
    Quiet(ConnId),
    /// Whether a stream's token has expired is to be looked at.
    Token(ConnId),
    /// What is too old is to be let go.
    Sweep,
    /// Rooms that changed are to be listed.
    Listing,
}

impl WatchDriver {
    /// One of several threads, which counts in its own block.
    pub fn new(
        (number, threads): (u16, u16),
        site: Arc<Site>,
        settings: WatchSettings,
        inbox: WatchInbox,
        (block, auth, share): (Arc<Block>, Arc<Auth>, Share),
    ) -> Self {
        let bounds = Bounds {
            history_ms: settings.history_ms,
            log_bytes_max: settings.history_bytes_max,
            bytes_max: settings.bytes_max,
        };
        Self {
            number,
            threads,
            site,
            block,
            auth,
            share,
            shed: Shed::Nothing,
            turned_away: 0,
            guests: Guests::default(),
            rooms: Rooms::new(bounds, settings.rules.clone()),
            publishing: Publishing::new(settings.publish.clone()),
            jitter: Jitter::new(settings.retry_ms),
            spectators: Spectators::new(settings.conflate_ms),
            inbox,
            settings,
            boxes: Vec::new(),
            directory: Directory::default(),
            opening: None,
            closing: Vec::new(),
            timers: Wheel::new(Time(0), TIMER_US),
            dues: Dues::default(),
            news: BTreeMap::new(),
            is_sweep_due: false,
            is_listing_due: false,
            is_draining: false,
            now: Time(0),
            wall_ms: wall_ms(),
        }
    }

    /// Makes all threads of the side listener known, and the players' shards, each at the index of
    /// its number.
    pub fn connect(&mut self, boxes: Vec<FeedBox>, shards: Vec<Mailbox>) {
        self.boxes = boxes;
        self.publishing.connect(shards);
    }

    /// Whether nothing new is begun any more.
    pub(super) fn is_going_away(&self) -> bool {
        self.is_draining || self.site.is_draining()
    }

    /// The answer to a request that is not to publish.
    pub(super) fn answer_without_body(&mut self, request: &Request<'_>) -> Answer {
        self.answer_rooms(request).unwrap_or_else(|| {
            Answer::Respond(self.site.answer(&Asked {
                method: request.method,
                path: request.path,
                host: request.header("host"),
                if_none_match: request.header("if-none-match"),
            }))
        })
    }

    fn take_packets(&mut self, io: &mut Io<'_>) {
        for _ in 0..PACKETS_PER_TURN {
            let Ok(packet) = self.inbox.packets.try_recv() else { break };
            self.packet(io, packet);
        }
    }

    fn packet(&mut self, io: &mut Io<'_>, packet: WatchPacket) {
        match packet {
            WatchPacket::Feed { items, bytes } => {
                self.inbox.in_flight.arrived(bytes);
                for item in items {
                    self.rooms.apply(item, self.wall_ms);
                }
            }
            WatchPacket::Request { socket } => drop(io.adopt(*socket)),
            WatchPacket::Published { number, result } => {
                self.publishing.answered(io, number, result);
            }
            WatchPacket::Directory(changes) => self.list(io, changes),
            WatchPacket::Drain => self.drain(io),
            WatchPacket::Expel(Expelled::User(user)) => {
                self.closing.extend(self.guests.of_user(&user));
            }
            WatchPacket::Expel(Expelled::Network(network)) => {
                self.closing.extend(io.of_network(&network));
            }
        }
    }

    /// Has streams written that have something new, or sees to it that they are in time.
    fn show(&mut self, io: &mut Io<'_>, log: LogKey, delay_ms: u64) {
        let Some(state) = self.rooms.get(log) else { return };
        if delay_ms > 0 {
            let limit_ms = limit_ms(self.wall_ms, delay_ms);
            let (upto, next_at_ms) = (state.shown(limit_ms), state.next_at_ms(limit_ms));
            let due = self.dues.get_mut((log, delay_ms));
            if let Some(at_ms) = next_at_ms
                && due.starts_timer()
            {
                // It can only be more than the delay when the wall clock was set back.
                let in_ms = (at_ms + delay_ms).saturating_sub(self.wall_ms).min(delay_ms);
                self.timers.insert(self.now.plus_ms(in_ms), TimerKey::Due(log, delay_ms));
            }
            if !due.shows(upto) {
                return;
            }
        }
        for conn in self.spectators.group(log, delay_ms) {
            io.flush(conn);
        }
    }

    fn expired(&mut self, io: &mut Io<'_>, key: TimerKey) {
        match key {
            TimerKey::Due(log, delay_ms) => {
                let is_watched = self.spectators.group(log, delay_ms).next().is_some();
                if self.dues.expired((log, delay_ms), is_watched) {
                    self.show(io, log, delay_ms);
                }
            }
            TimerKey::Quiet(conn) => {
                let heartbeat_ms = self.settings.heartbeat_ms;
                let since = Time(self.now.0.saturating_sub(heartbeat_ms * 1000));
                let Some(last_sent) = self.spectators.quieten(conn, since) else { return };
                // It takes not even comments, and everything it could be sent next is gone.
                let stuck_ms = self.settings.history_ms.max(STUCK_HEARTBEATS * heartbeat_ms);
                if last_sent.plus_ms(stuck_ms) <= self.now {
                    self.closing.push(conn);
                    return;
                }
                let next = if self.spectators.is_quiet(conn) { self.now } else { last_sent };
                self.timers.insert(next.plus_ms(heartbeat_ms), TimerKey::Quiet(conn));
                io.flush(conn);
            }
            TimerKey::Token(conn) => {
                let now = (self.now, self.wall_ms);
                match self.guests.look(conn, now, self.settings.expired_ms) {
                    Ok(next) => self.look_at_token(conn, next),
                    Err(()) => self.closing.push(conn),
                }
            }
            TimerKey::Sweep => {
                self.is_sweep_due = false;
                self.sweep(io);
            }
            TimerKey::Listing => {
                self.is_listing_due = false;
                self.rooms.list_changed();
            }
        }
    }

    fn look_at_token(&mut self, conn: ConnId, at: Option<Time>) {
        if let Some(at) = at {
            self.timers.insert(at, TimerKey::Token(conn));
        }
    }

    fn remove(&mut self, conn: ConnId) {
        self.guests.left(conn);
        if let Some(group) = self.spectators.remove(conn) {
            self.dues.left(group);
        }
    }

    fn sweep(&mut self, io: &mut Io<'_>) {
        for log in self.rooms.sweep(self.wall_ms) {
            for conn in self.spectators.forget(log) {
                io.flush(conn);
            }
            self.dues.forget(log);
        }
    }

    /// Takes news into the directory.
    fn list(&mut self, io: &mut Io<'_>, changes: Vec<Change>) {
        let is_followed = self.spectators.is_followed();
        for change in changes {
            self.directory.apply(change, is_followed);
        }
        for conn in self.spectators.followers() {
            io.flush(conn);
        }
    }

    /// Passes news on to the thread that keeps the directory. What finds no place waits: at most
    /// one piece of news for each room.
    fn tell_news(&mut self, io: &mut Io<'_>) {
        let changes = self.rooms.take_changes();
        if self.number == DIRECTORY_THREAD {
            if !changes.is_empty() {
                self.list(io, changes);
            }
            return;
        }
        self.news.extend(changes.into_iter().map(|change| (change.name().into(), change)));
        if self.news.is_empty() {
            return;
        }
        let Some(keeper) = self.boxes.get(usize::from(DIRECTORY_THREAD)) else { return };
        let news = std::mem::take(&mut self.news).into_values().collect();
        if let Err(WatchPacket::Directory(news)) = keeper.mailbox.send(WatchPacket::Directory(news))
        {
            self.news = news.into_iter().map(|change| (change.name().into(), change)).collect();
        }
    }

    fn drain(&mut self, io: &mut Io<'_>) {
        self.is_draining = true;
        io.stop_accepting();
        self.publishing.give_up(io);
        for conn in self.spectators.ids() {
            self.spectators.dismiss(conn, sse::retry(self.jitter.retry_ms()));
            io.flush(conn);
        }
    }

    /// Sets the timers of what is always to be done some time.
    fn arm(&mut self) {
        if !self.rooms.is_empty() && !std::mem::replace(&mut self.is_sweep_due, true) {
            self.timers.insert(self.now.plus_ms(SWEEP_MS), TimerKey::Sweep);
        }
        if self.rooms.has_unlisted() && !std::mem::replace(&mut self.is_listing_due, true) {
            let at = self.now.plus_ms(self.settings.directory_ms);
            self.timers.insert(at, TimerKey::Listing);
        }
    }

    fn count(&self, io: &mut Io<'_>) {
        let counts = &self.spectators.counts;
        for (counter, value) in [
            (Counter::Connections, io.connections() as u64),
            (Counter::Spectators, self.spectators.len() as u64),
            (Counter::WatchLogBytes, self.rooms.bytes() as u64),
            (Counter::WatchEvents, counts.events),
            (Counter::WatchEncodes, counts.encodes),
            (Counter::WatchGaps, counts.gaps),
            (Counter::ShedSpectators, self.turned_away),
            (Counter::WatchConflated, counts.conflations),
        ] {
            self.block.set(counter, value);
        }
        self.publishing.count(&self.block);
        self.block.set_net(io.counters());
    }
}

impl Driver for WatchDriver {
    fn on_request(&mut self, io: &mut Io<'_>, conn: ConnId, request: &Request<'_>) -> Answer {
        self.wall_ms = wall_ms();
        // Who has heard of something in a room finds it: it came before the request did.
        self.take_packets(io);
        if let Some(response) = self.answer_people(io, conn, request) {
            return Answer::Respond(response);
        }
        let published = self.answer_publish(io, conn, request);
        published.unwrap_or_else(|| self.answer_without_body(request))
    }

    fn on_body(&mut self, _: &mut Io<'_>, request: &Request<'_>, _: usize) -> Result<(), Response> {
        self.expect_body(request)
    }

    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, _: u32) {
        let Some(spectator) = self.opening.take() else { return };
        let watched = match spectator.view {
            View::Room { log: Some(log), delay_ms, .. } => Some((log, delay_ms)),
            _ => None,
        };
        self.spectators.insert(conn, spectator);
        let at = io.now().plus_ms(self.settings.heartbeat_ms);
        self.timers.insert(at, TimerKey::Quiet(conn));
        self.now = io.now();
        let now = (self.now, self.wall_ms);
        let next_look = self.guests.opened(conn, now, self.settings.expired_ms);
        self.look_at_token(conn, next_look);
        if let Some((log, delay_ms)) = watched {
            self.show(io, log, delay_ms);
        }
        if self.is_draining {
            self.spectators.dismiss(conn, sse::retry(self.jitter.retry_ms()));
        }
        io.flush(conn);
    }

    fn on_ended(&mut self, _: &mut Io<'_>, conn: ConnId, _: Ended) {
        self.remove(conn);
    }

    fn fill(&mut self, conn: ConnId, out: &mut Outbound<'_>) -> bool {
        let (now, wall_ms) = (self.now, self.wall_ms);
        let from = (&mut self.rooms, &self.directory);
        let more = self.spectators.fill(conn, out, from, (now, wall_ms));
        if more.is_none() {
            self.closing.push(conn);
        }
        more.unwrap_or(false)
    }

    fn on_detached(&mut self, _: &mut Io<'_>, to: u16, socket: Detached) {
        let packet = WatchPacket::Request { socket: Box::new(socket) };
        let sent = self.boxes.get(usize::from(to)).map(|to| to.mailbox.send(packet));
        if !matches!(sent, Some(Ok(()))) {
            // The socket is closed with the packet; the client tries again.
            tracing::warn!(thread = self.number, to, "an inbox was full: a spectator was dropped");
        }
    }

    fn on_turn(&mut self, io: &mut Io<'_>, now: Time) {
        self.now = now;
        self.wall_ms = wall_ms();
        for conn in std::mem::take(&mut self.closing) {
            self.remove(conn);
            io.close(conn, 1000, "");
        }
        self.inbox.signal.clear();
        self.take_packets(io);
        for log in self.rooms.take_grown() {
            for delay_ms in self.spectators.delays(log) {
                self.show(io, log, delay_ms);
            }
        }
        while let Some(key) = self.timers.pop(now) {
            self.expired(io, key);
        }
        self.publishing.expire(io, now);
        self.shed = self.share.hold(self.rooms.bytes() as u64);
        let is_short = self.shed >= Shed::Spectators;
        self.rooms.bound(if is_short { SHORT_BYTES_MAX } else { self.settings.bytes_max });
        if self.rooms.is_over() {
            self.sweep(io);
        }
        self.tell_news(io);
        self.arm();
        // Before the writes, so that who has an answer finds what led to it counted.
        self.count(io);
        if self.is_draining && io.connections() == 0 {
            io.stop();
        }
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn on_turn_end(&mut self, io: &mut Io<'_>) {
        self.count(io);
    }

    fn next_timeout(&self) -> Option<Time> {
        if !self.inbox.packets.is_empty() || !self.closing.is_empty() {
            return Some(self.now);
        }
        let news = (!self.news.is_empty()).then(|| self.now.plus_ms(NEWS_RETRY_MS));
        let leave = self.is_draining.then(|| self.now.plus_ms(LEAVE_MS));
        [self.timers.next(), news, leave, self.publishing.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    // There are no WebSocket connections here, and a stream's peer says nothing.

    fn on_message(&mut self, _: &mut Io<'_>, _: ConnId, _: &[u8], _: bool) {}

    fn on_seen(&mut self, _: &mut Io<'_>, _: ConnId) {}
}

/// Spreads the returns of clients that lost their stream at the same moment.
#[derive(Debug)]
pub(super) struct Jitter {
    state: u64,
    retry_ms: (u32, u32),
}

impl Jitter {
    fn new(retry_ms: (u32, u32)) -> Self {
        // Any seed will do that differs from process to process; 0 would stay 0.
        Self { state: RandomState::new().build_hasher().finish() | 1, retry_ms }
    }

    /// A time between the two bounds, by xorshift (Marsaglia 2003).
    pub(super) fn retry_ms(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let (least, most) = self.retry_ms;
        u64::from(least) + self.state % (u64::from(most.saturating_sub(least)) + 1)
    }
}

/// Milliseconds since 1970 UTC.
fn wall_ms() -> u64 {
    // A wall clock before 1970 is no reason to stop.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
