//! A room at its home: sequencer, log, members, current values. Knows sessions only as addresses;
//! whatever it wants done comes out as [`Effect`]s.
//!
//! The parts: [`members`], [`history`], [`latest`], entering and leaving in `entry.rs`, what
//! members do in `ops.rs`, what managers do in `manage.rs`, what backends publish in `publish.rs`, what the room answers in
//! `requests.rs`, the table of a shard's rooms in [`home`].

pub mod bans;
pub mod entry;
pub mod history;
pub mod home;
pub mod latest;
pub mod logic;
mod manage;
pub mod members;
pub(crate) mod ops;
pub mod play;
mod publish;
pub mod record;
pub mod replay;
mod requests;
pub mod save;
pub mod shared;
pub mod state;
mod stateful;

use crate::access::UserKey;
use crate::config::{Kind, RoomConfig};
use crate::encode::Encoder;
use crate::id::ShardId;
use crate::input::Shed;
use crate::output::Event;
use crate::peer::{Broadcast, Down, Echo, Wire};
use crate::session::QueueClass;
use crate::stats::Stats;
use crate::time::Time;
use crate::watch::{WatchEvent, WatchItem};
use bans::Bans;
use history::{Entry, EntryKind, History};
use latest::LatestValues;
use madang_protocol::client::PresenceMode;
use madang_protocol::ids::{Channel, Cseq, Epoch, MemberId, Seq};
use madang_protocol::limits;
use madang_protocol::server::{
    ErrorMessage, ErrorRef, Presence, PresenceEvent, ServerMessage, Types,
};
use madang_protocol::value::TypeRef;
use madang_protocol::{ClientMessage, ErrorCode};
use members::{Member, Members};
use play::Play;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What a room wants done. `engine.rs` does it.
#[derive(Debug)]
pub enum Effect {
    /// Give a frame to every shard that has members.
    Broadcast(Broadcast),
    /// Tell one shard.
    Send {
        /// Which.
        to: ShardId,
        /// What.
        down: Down,
    },
    /// The room gathers messages: have it send them after its window.
    FlushDue {
        /// The room.
        channel: u32,
        /// How long it gathers.
        ms: u64,
    },
    /// The room's time begins, or goes on: have it tick.
    TickDue {
        /// The room.
        channel: u32,
        /// How often a second.
        tick_hz: u32,
    },
    /// Send the number of members after the room's interval.
    CountDue {
        /// The room.
        channel: u32,
    },
    /// The room has no members: remove it after the linger time.
    Emptied {
        /// The room.
        channel: u32,
    },
    /// A shard has so many members less: behind what they were still to be told.
    Unsubscribed {
        /// The room.
        channel: u32,
        /// The shard.
        shard: ShardId,
        /// How many.
        members: u32,
    },
    /// The room's rules ended it: remove it now.
    Ended {
        /// The room.
        channel: u32,
    },
    /// Tell the operator.
    Event(Event),
    /// Tell those who watch.
    Watch(WatchItem),
    /// Tell those who keep recordings.
    Record(record::RecordItem),
}

/// What a room's code works with besides the room.
pub struct Ctx<'a> {
    /// Bounds.
    pub config: &'a RoomConfig,
    /// Monotonic time.
    pub now: Time,
    /// Wall clock, milliseconds since 1970 UTC.
    pub wall_ms: u64,
    /// Users that are kept out of rooms.
    pub bans: &'a mut Bans,
    /// How far things are given up for want of memory.
    pub shed: Shed,
    /// Encodes frames.
    pub encoder: &'a mut Encoder,
    /// Takes what the room wants done.
    pub effects: &'a mut std::collections::VecDeque<Effect>,
    /// Counts.
    pub stats: &'a mut Stats,
    /// The planted defect.
    #[cfg(feature = "planted-bugs")]
    pub bug: Option<crate::bugs::Bug>,
}

/// A shard that has members of the room.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber {
    /// Which.
    pub shard: ShardId,
    /// How many members sit there.
    pub members: u32,
    /// When it fell behind: the first logged message that was not sent to it. Everything unlogged
    /// since then was dropped, so values of class latest are owed too.
    pub lag_from: Option<u64>,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    /// Its name.
    pub name: Box<str>,
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub channel: u32,
    /// Its incarnation.
    pub epoch: Epoch,
    /// When the epoch began.
    pub epoch_at_ms: u64,
    /// Newest log number.
    pub seq: u64,
    /// The newest entry's time, so that time never runs backwards within the log.
    last_at: u64,
    /// Members.
    pub members: Members,
    /// The log.
    pub history: History,
    /// Current values of class latest.
    pub latest: LatestValues,
    /// Type names by number.
    pub types: Vec<Box<str>>,
    /// What members are told about each other.
    pub presence: PresenceMode,
    /// Most members.
    pub capacity: u32,
    /// Whether matches may find it.
    pub public: bool,
    /// Labels to be matched by.
    pub labels: Vec<(String, String)>,
    /// Shards with members.
    pub subscribers: SmallVec<[Subscriber; 2]>,
    /// Members that speak JSON.
    json_members: u32,
    /// Messages in order that wait for the end of the window.
    held: Vec<Effect>,
    /// Whether a count is on its way.
    count_due: bool,
    /// What backends published; absent until one does.
    pub(crate) publications: Option<Box<publish::Publications>>,
    /// Counts the times it became empty, so that an old timer means nothing.
    pub emptied: u32,
    /// The hash of its name if it may be watched.
    pub(crate) watch: Option<u64>,
    /// How it gathers messages.
    pub(crate) flush: Flush,
    /// Its rules, state and time, if it has any.
    pub(crate) play: Option<Box<Play>>,
    /// How far its recording is, if it is recorded.
    recording: Option<Box<record::Recording>>,
    /// How its rules failed, if they did.
    failed: Option<Box<str>>,
    /// Whether it goes on without members.
    pub(crate) is_kept: bool,
    /// The user whose join made it.
    pub(crate) maker: Option<UserKey>,
    /// Its bytes as they were counted last.
    pub(crate) counted: u64,
    /// Whether its next tick is due.
    is_ticking: bool,
    /// When it is.
    pub(crate) next_tick: Time,
}

/// When a room's messages leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// At the end of the turn.
    #[default]
    Immediate,
    /// Together, so many milliseconds after the first.
    Window(u64),
    /// Together with the state, at the end of each tick; immediately in a room without ticks.
    Tick,
}

/// Messages after which a window ends early.
const HELD_MAX: usize = 1024;
/// Room for messages that a room keeps between windows.
const HELD_KEPT: usize = 64;

/// Why something was refused.
pub type Refusal = (ErrorCode, Cow<'static, str>);

/// A refusal with its words.
pub fn refuse<T>(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Result<T, Refusal> {
    Err((code, message.into()))
}

/// About what an entry of a log takes besides its bytes.
const ENTRY_BYTES: u64 = 128;

impl Room {
    /// Bytes of its log, its current values and its state.
    pub(crate) fn held_bytes(&self) -> u64 {
        let state = self.play.as_ref().map_or(0, |play| play.state.bytes());
        let log = self.history.bytes() as u64 + self.history.len() as u64 * ENTRY_BYTES;
        log + (self.latest.bytes() + state) as u64
    }

    /// Counts what they are now.
    pub(crate) fn count_held(&mut self, stats: &mut Stats) {
        let held = self.held_bytes();
        stats.room_bytes = stats.room_bytes + held - self.counted;
        self.counted = held;
    }

    /// Tells everyone an unlogged message.
    fn announce(&mut self, message: &ServerMessage<'_>, class: QueueClass, ctx: &mut Ctx<'_>) {
        let (_, frames) = ctx.encoder.encoded(message, self.json_members > 0, &self.types);
        self.broadcast(0, class, (0, Echo::AsJoined), frames, ctx);
    }

    /// Appends to the log and, unless it is a direct message, tells everyone.
    fn log(
        &mut self,
        message: &ServerMessage<'_>,
        kind: EntryKind,
        from: u32,
        ctx: &mut Ctx<'_>,
    ) -> crate::frame::Frame {
        debug_assert_eq!(seq_of(message), Some(self.seq));
        ctx.stats.logged += 1;
        let is_direct = matches!(kind, EntryKind::Direct(_));
        let has_json = self.json_members > 0 && !is_direct;
        let (native, frames) = ctx.encoder.encoded(message, has_json, &self.types);
        let at_ms = self.epoch_at_ms + self.next_at(ctx.wall_ms);
        if !is_direct {
            let (seq, frame) = (self.seq, native.clone());
            let is_published = kind == EntryKind::Published;
            self.watched(ctx, || WatchEvent::Entry { seq, at_ms, frame, is_published });
        }
        let entry = Entry { seq: self.seq, kind, from, at_ms, frame: native.clone() };
        let bytes_max = match ctx.shed {
            // It goes on, and grows no more.
            Shed::Connections => ctx.config.history_bytes_max.min(self.history.bytes()),
            _ => ctx.config.history_bytes_max,
        };
        self.history.push(entry, ctx.config.history_messages_max, bytes_max);
        if !is_direct {
            self.broadcast(self.seq, QueueClass::Reliable, (from, Echo::AsJoined), frames, ctx);
        }
        native
    }

    fn broadcast(
        &mut self,
        seq: u64,
        class: QueueClass,
        (from, echo): (u32, Echo),
        frames: crate::peer::Encoded,
        ctx: &mut Ctx<'_>,
    ) {
        let channel = self.channel;
        let message = Broadcast { channel, seq, class, from, echo, frames };
        self.emit(Effect::Broadcast(message), ctx);
    }

    /// Sends now, or with all else at the end of the window. Everything that has a place in the
    /// room's order goes through here; what answers one member does not.
    fn emit(&mut self, effect: Effect, ctx: &mut Ctx<'_>) {
        match self.flush {
            Flush::Window(ms) if self.held.is_empty() => {
                ctx.effects.push_back(Effect::FlushDue { channel: self.channel, ms });
            }
            Flush::Window(_) => {}
            // Out of time nothing would end what is gathered.
            Flush::Tick if self.is_ticking => {}
            Flush::Tick | Flush::Immediate => {
                ctx.effects.push_back(effect);
                return;
            }
        }
        self.held.push(effect);
        if self.held.len() >= HELD_MAX {
            self.flush_held(ctx);
        }
    }

    /// Ends the window: what it gathered leaves, in order.
    pub fn flush_held(&mut self, ctx: &mut Ctx<'_>) {
        ctx.effects.extend(self.held.drain(..));
        if self.held.capacity() > HELD_KEPT {
            self.held = Vec::new();
        }
    }

    /// Tells those who watch, if the room may be watched.
    fn watched(&self, ctx: &mut Ctx<'_>, event: impl FnOnce() -> WatchEvent) {
        ctx.effects.extend(self.watch_item(event).map(Effect::Watch));
    }

    fn log_presence(&mut self, event: PresenceEvent, ctx: &mut Ctx<'_>) {
        self.seq += 1;
        let message = ServerMessage::Presence(Presence {
            channel: self.wire_channel(),
            seq: Seq(self.seq),
            event,
        });
        self.log(&message, EntryKind::Presence, 0, ctx);
    }

    /// Sends one member something that is not logged.
    fn tell(
        &self,
        member: &Member,
        message: &ServerMessage<'_>,
        class: QueueClass,
        ctx: &mut Ctx<'_>,
    ) {
        let frame = ctx.encoder.frame(message, member.wire, &self.types);
        ctx.effects.push_back(self.frame_for(member, 0, class, frame));
    }

    fn frame_for(
        &self,
        member: &Member,
        seq: u64,
        class: QueueClass,
        frame: crate::frame::Frame,
    ) -> Effect {
        let down = Down::Member {
            session: member.session,
            channel: self.channel,
            member: member.id,
            seq,
            class,
            frame,
        };
        Effect::Send { to: member.session.shard, down }
    }

    fn wire_channel(&self) -> Channel {
        Channel(self.channel)
    }

    /// Milliseconds since the epoch began, never less than the newest entry's.
    fn next_at(&mut self, wall_ms: u64) -> u64 {
        self.last_at = self.last_at.max(wall_ms.saturating_sub(self.epoch_at_ms));
        self.last_at
    }

    /// A type as the room's messages carry it: its number, given now if there is one left.
    fn number_type<'t>(
        &mut self,
        r#type: &'t TypeRef<'t>,
        ctx: &mut Ctx<'_>,
    ) -> Result<TypeRef<'t>, Refusal> {
        let name = match r#type {
            TypeRef::Id(id) if (*id as usize) < self.types.len() => return Ok(TypeRef::Id(*id)),
            TypeRef::Id(id) => {
                return refuse(
                    ErrorCode::UNKNOWN_TYPE,
                    format!("the room has no type number {id}; send the name"),
                );
            }
            TypeRef::Name(name) => name,
        };
        if let Some(id) = self.types.iter().position(|known| **known == **name) {
            return Ok(TypeRef::Id(id as u32));
        }
        if !limits::is_type_name(name) {
            return refuse(
                ErrorCode::INVALID,
                format!(
                    "a type name has 1 to {} bytes and no control characters",
                    limits::TYPE_BYTES_MAX
                ),
            );
        }
        if self.types.len() >= limits::TYPES_PER_ROOM_MAX {
            return Ok(TypeRef::Name(Cow::Borrowed(name)));
        }
        let first = self.types.len() as u32;
        self.types.push((**name).into());
        let names = vec![name.to_string()];
        self.watched(ctx, || WatchEvent::TypeNamed((**name).into()));
        let message = ServerMessage::Types(Types { channel: self.wire_channel(), first, names });
        self.announce(&message, QueueClass::Reliable, ctx);
        Ok(TypeRef::Id(first))
    }

    /// Whether a match may put one more member in.
    pub fn matches(&self, kind: Kind, filter: &[(String, String)]) -> bool {
        self.public
            && self.failed.is_none()
            && self.kind == kind
            && self.members.len() < self.capacity
            && filter.iter().all(|wanted| self.labels.contains(wanted))
    }

    /// What a room sends a member in `session` whose operation it refuses.
    fn refusal(
        &self,
        cseq: Cseq,
        (code, message): Refusal,
        ctx: &mut Ctx<'_>,
    ) -> ServerMessage<'static> {
        ctx.stats.errors += 1;
        ServerMessage::Error(ErrorMessage {
            code,
            r#ref: ErrorRef::Cseq { channel: self.wire_channel(), cseq },
            message: message.into_owned(),
        })
    }

    fn subscriber_mut(&mut self, shard: ShardId) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|subscriber| subscriber.shard == shard)
    }

    fn add_subscriber(&mut self, shard: ShardId, wire: Wire) {
        match self.subscriber_mut(shard) {
            Some(subscriber) => subscriber.members += 1,
            None => self.subscribers.push(Subscriber { shard, members: 1, lag_from: None }),
        }
        self.json_members += u32::from(wire == Wire::Json);
    }

    fn remove_subscriber(&mut self, shard: ShardId, wire: Wire, ctx: &mut Ctx<'_>) {
        let channel = self.channel;
        if planted!(ctx, RemovedBeforeTold) {
            self.unsubscribe(shard, 1);
        } else {
            ctx.effects.push_back(Effect::Unsubscribed { channel, shard, members: 1 });
        }
        self.json_members -= u32::from(wire == Wire::Json);
    }

    /// A shard has so many members less.
    pub(crate) fn unsubscribe(&mut self, shard: ShardId, members: u32) {
        if let Some(subscriber) = self.subscriber_mut(shard) {
            subscriber.members -= members;
        }
        self.subscribers.retain(|subscriber| subscriber.members > 0);
    }

    /// The number of members, for `PresenceCount`.
    pub fn send_count(&mut self, ctx: &mut Ctx<'_>) {
        self.count_due = false;
        let (message, class) = self.count();
        self.announce(&message, class, ctx);
    }

    /// The number of members, in the room's own slot: a newer count replaces one that waits.
    fn count(&self) -> (ServerMessage<'static>, QueueClass) {
        let count = madang_protocol::server::PresenceCount {
            channel: self.wire_channel(),
            count: self.members.len(),
        };
        let message = ServerMessage::PresenceCount(count);
        // A slot of the room's own that no sender has.
        let (channel, member) = (self.channel, u32::MAX);
        let key = crate::session::outbound::LatestKey { channel, member, key: 0 };
        (message, QueueClass::Latest(key))
    }

    fn count_changed(&mut self, ctx: &mut Ctx<'_>) {
        self.watched(ctx, || WatchEvent::Members(self.members.len()));
        if self.presence == PresenceMode::Count && !self.count_due {
            self.count_due = true;
            ctx.effects.push_back(Effect::CountDue { channel: self.channel });
        }
    }

    /// Panics where the room contradicts itself.
    pub fn check(&self, config: &RoomConfig) {
        self.history.check(self.seq, config.history_messages_max, config.history_bytes_max);
        self.members.check();
        if let Some(publications) = &self.publications {
            publications.check(config.publish_keys_max);
        }
        let members: u32 = self.subscribers.iter().map(|subscriber| subscriber.members).sum();
        assert_eq!(members, self.members.len(), "every member sits on a subscribing shard");
        let json = self.members.iter().filter(|member| member.wire == Wire::Json).count();
        assert_eq!(json, self.json_members as usize);
        assert!(self.members.len() <= self.capacity);
        for subscriber in &self.subscribers {
            assert!(subscriber.lag_from.is_none_or(|from| from <= self.seq + 1));
        }
        assert!(self.play.as_ref().is_none_or(|play| play.seq <= self.seq));
        let is_here = |sender: u32| sender == 0 || self.members.get(sender).is_some();
        assert!(
            self.latest.iter().all(|((sender, _), _)| is_here(sender)),
            "a value of nobody here"
        );
        let snapshots = self.play.as_ref().map_or(0, |play| play.snapshots.len());
        assert!(snapshots <= play::SNAPSHOTS_MAX, "{snapshots} snapshots are kept");
        assert!(self.play.is_none() || self.failed.is_none());
    }
}

/// The log number of a message to clients, where it has one.
pub fn seq_of(message: &ServerMessage<'_>) -> Option<u64> {
    match message {
        ServerMessage::Message(message) => Some(message.seq.0),
        ServerMessage::Direct(message) => Some(message.seq.0),
        ServerMessage::Presence(message) => Some(message.seq.0),
        ServerMessage::Delta(message) => Some(message.seq.0),
        _ => None,
    }
}

/// The cseq and channel of what a member does in a room.
pub fn cseq_of(message: &ClientMessage<'_>) -> Option<(Channel, Cseq)> {
    match message {
        ClientMessage::Publish(op) => Some((op.channel, op.cseq)),
        ClientMessage::Direct(op) => Some((op.channel, op.cseq)),
        ClientMessage::Request(op) => Some((op.channel, op.cseq)),
        ClientMessage::SetAttributes(op) => Some((op.channel, op.cseq)),
        ClientMessage::Edit(op) => Some((op.channel, op.cseq)),
        ClientMessage::Manage(op) => Some((op.channel, op.cseq)),
        _ => None,
    }
}

/// A member id on the wire.
pub(crate) fn wire_member(member: u32) -> MemberId {
    MemberId(member)
}
