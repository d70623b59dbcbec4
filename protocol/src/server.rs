//! Messages from the server to a client: closed and append-only. The order of the variants is
//! their tag on the binary wire. A client skips a tag it does not know: the batch framing tells
//! it how long the message is.

use crate::client::PresenceMode;
use crate::error::ErrorCode;
use crate::ids::{
    Channel, ConnectionId, Cseq, Epoch, INTEGER_MAX, MemberId, ResumeKey, Seq, SessionId,
};
use crate::limits::Limits;
use crate::state::Part;
use crate::value::{Extension, Payload, TypeRef, Value, raw_bytes};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Anything the server sends after the WebSocket handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// Tag 0. The answer to `Hello`.
    Welcome(Welcome),
    /// Tag 1. The answer to `Join`, and one per room after a resume.
    Joined(Joined),
    /// Tag 2. No longer in the room.
    Left(Left),
    /// Tag 3. A logged message of a room.
    #[serde(borrow)]
    Message(Message<'a>),
    /// Tag 4. A message of class latest or volatile: no seq, never replayed.
    #[serde(borrow)]
    Ephemeral(Ephemeral<'a>),
    /// Tag 5. A logged message to this member alone.
    #[serde(borrow)]
    Direct(DirectMessage<'a>),
    /// Tag 6. A logged change of the member list (presence `full`).
    Presence(Presence),
    /// Tag 7. The number of members (presence `count`); unlogged.
    PresenceCount(PresenceCount),
    /// Tag 8. A client's message was accepted.
    Ack(Ack),
    /// Tag 9. The room's answer to a `Request`.
    #[serde(borrow)]
    Reply(Reply<'a>),
    /// Tag 10. Logged messages that this member will not receive.
    Gap(Gap),
    /// Tag 11. The answer to `Ping`.
    Pong(Pong),
    /// Tag 12. The answer to `GetStats`.
    Stats(Stats),
    /// Tag 13. Something the client asked for was refused; the connection goes on.
    Error(ErrorMessage),
    /// Tag 14. This server is going away; reconnect after the hint.
    Draining(Draining),
    /// Tag 15. Reconnect to this URL (clusters).
    Redirect(Redirect),
    /// Tag 16. The room has a new home and a new epoch (clusters).
    Moved(Moved),
    /// Tag 17. New numbers for type names of a room.
    Types(Types),
    /// Tag 18. The whole of a part of a room's state.
    #[serde(borrow)]
    Snapshot(Snapshot<'a>),
    /// Tag 19. What changed in a part of a room's state.
    #[serde(borrow)]
    Delta(Delta<'a>),
    /// Tag 20. How far the room has dealt with what this member sent.
    InputAck(InputAck),
    /// Tag 21. A part of a room's state that this member no longer sees.
    PartGone(PartGone),
    /// Tag 22. What became of an `Edit`.
    Edited(Edited),
    /// Tag 23. The session's credential expires: bring a new one by `Renew`.
    Expiring(Expiring),
    /// Tag 24. The answer to `Renew`.
    Renewed(Renewed),
}

/// `Extension` 1 of `Joined`, and of a `Join` that creates a room of kind `shared`: the schema of the
/// room's state, as JSON.
pub const EXT_SCHEMA: u16 = 1;
/// `Extension` 2 of a `Join` that creates a room of kind `shared`: what becomes of a member's entities
/// when it leaves. One byte: 0 keep, 1 remove, 2 hand over to the member that has been there longest.
pub const EXT_ON_LEAVE: u16 = 2;

/// The answer to `Hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version both will speak.
    pub version: u16,
    /// The features both will use.
    pub features: Vec<String>,
    /// The session.
    pub session: SessionId,
    /// This connection, for support.
    pub connection: ConnectionId,
    /// Resumes the session on another connection; replaces every earlier key as soon as the
    /// server has received a message on this connection.
    pub resume_key: ResumeKey,
    /// Whether the session asked for was taken up. When false this is a new session and the
    /// client joins its rooms again.
    pub resumed: bool,
    /// The server pings after this long without traffic, in milliseconds; a client may take a
    /// silence of twice this for a dead connection.
    pub heartbeat_ms: u32,
    /// How long a session without a connection is kept, in milliseconds.
    pub grace_ms: u32,
    /// What the server will accept.
    pub limits: Limits,
    /// The server's wall clock, milliseconds since 1970 UTC.
    pub server_time_ms: u64,
    /// Extensions.
    pub ext: Vec<Extension>,
}

/// A member as the others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// The member.
    pub id: MemberId,
    /// The authenticated user, if any.
    pub user: Option<String>,
    /// Whether its connection is gone and its session still held.
    pub away: bool,
    /// Its attributes, in the order they were first set.
    pub attributes: Vec<(String, Value)>,
}

/// Who is in the room, as much as its presence mode tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Roster {
    /// Everyone, ascending by id.
    Full(Vec<MemberInfo>),
    /// How many.
    Count(u32),
    /// Not told.
    None,
}

/// Entered a room, or found it again after a resume. `replay` logged messages of the past follow
/// at once, then what happens from now on; nothing between is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The `ref` of the `Join`; absent after a resume.
    pub r#ref: Option<u32>,
    /// The room from now on.
    pub channel: Channel,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its incarnation.
    pub epoch: Epoch,
    /// The wall clock when the epoch began, milliseconds since 1970 UTC; `at` counts from here.
    pub epoch_at_ms: u64,
    /// The newest seq of the room; later messages have higher ones.
    pub seq: Seq,
    /// Whether the replay holds all that came after the client's position.
    pub recovered: bool,
    /// Logged messages that follow as replay (their seqs are at most `seq`).
    pub replay: u32,
    /// The client's own member id.
    pub member: MemberId,
    /// The highest cseq of this session that the room has dealt with.
    pub applied_cseq: Cseq,
    /// What members are told about each other.
    pub presence: PresenceMode,
    /// The members.
    pub roster: Roster,
    /// Type names; a name's index is its number.
    pub types: Vec<String>,
    /// Most members.
    pub capacity: u32,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Extensions.
    pub ext: Vec<Extension>,
}

/// No longer in the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The room.
    pub channel: Channel,
    /// Why.
    pub reason: LeaveReason,
}

/// Why a member is no longer in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// It left.
    Left,
    /// Its session ended or its grace period did.
    Gone,
    /// It was removed.
    Kicked,
    /// The room was closed.
    Closed,
    /// The room was lost with the shard or node that held it; join again.
    Lost,
    /// The room's own rules failed; an `Error` before this one says how. Nobody can enter it for a
    /// while.
    Failed,
}

/// A logged message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<'a> {
    /// The room.
    pub channel: Channel,
    /// Its number in the room's log.
    pub seq: Seq,
    /// Who sent it; 0 is the room itself.
    pub from: MemberId,
    /// When, in milliseconds since `Joined.epoch_at_ms`.
    pub at: u64,
    /// The sender's number for it: to the sender this is the acknowledgement.
    pub cseq: Cseq,
    /// Its type.
    #[serde(borrow)]
    pub r#type: TypeRef<'a>,
    /// Its content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// A message of class latest (with a key) or volatile (without).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ephemeral<'a> {
    /// The room.
    pub channel: Channel,
    /// Who sent it.
    pub from: MemberId,
    /// The key of class latest.
    pub key: Option<u32>,
    /// Its type.
    #[serde(borrow)]
    pub r#type: TypeRef<'a>,
    /// Its content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// A logged message to one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectMessage<'a> {
    /// The room.
    pub channel: Channel,
    /// Its number in the room's log.
    pub seq: Seq,
    /// Who sent it.
    pub from: MemberId,
    /// When, in milliseconds since `Joined.epoch_at_ms`.
    pub at: u64,
    /// Its type.
    #[serde(borrow)]
    pub r#type: TypeRef<'a>,
    /// Its content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// A logged change of the member list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// The room.
    pub channel: Channel,
    /// Its number in the room's log.
    pub seq: Seq,
    /// What changed.
    pub event: PresenceEvent,
}

/// What changed in the member list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceEvent {
    /// A member entered.
    Join(MemberInfo),
    /// A member left.
    Leave {
        /// Who.
        id: MemberId,
        /// Why.
        reason: LeaveReason,
    },
    /// A member's connection is gone; its session is held for the grace period.
    Away(MemberId),
    /// It is back.
    Back(MemberId),
    /// A member changed its attributes.
    Attributes {
        /// Who.
        id: MemberId,
        /// The member's number for the change.
        cseq: Cseq,
        /// New values by name; `Null` removes.
        changes: Vec<(String, Value)>,
    },
    /// The room grew past the bound for full presence: from now on `PresenceCount`.
    Collapsed {
        /// Members now.
        count: u32,
    },
}

/// The number of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceCount {
    /// The room.
    pub channel: Channel,
    /// Members now, those away included.
    pub count: u32,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// In the room's log, in memory.
    Sequenced,
    /// On disk.
    Durable,
}

/// A client's message was accepted, now or (after a retry) before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The room.
    pub channel: Channel,
    /// The client's number.
    pub cseq: Cseq,
    /// Its number in the log; absent for a repeat, which was applied once before and not again.
    pub seq: Option<Seq>,
    /// What that means.
    pub durability: Durability,
}

/// The room's answer to a `Request`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// The room.
    pub channel: Channel,
    /// The client's number.
    pub cseq: Cseq,
    /// The answer.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// Logged messages that this member will not receive: `from_seq` to `to_seq`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The room.
    pub channel: Channel,
    /// The first that may be missing.
    pub from_seq: Seq,
    /// The last that may be missing.
    pub to_seq: Seq,
}

/// The answer to `Ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The `id` of the `Ping`.
    pub id: u64,
    /// The server's wall clock, microseconds since 1970 UTC.
    pub server_time_us: u64,
}

/// Counts of one delivery class for one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Messages handed to the transport.
    pub sent: u64,
    /// Messages dropped.
    pub dropped: u64,
    /// Messages replaced by a newer one while they waited.
    pub conflated: u64,
}

/// What this session has been sent and has missed, over all its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The `ref` of the `GetStats`.
    pub r#ref: u32,
    /// Class reliable.
    pub reliable: ClassCounts,
    /// Class latest.
    pub latest: ClassCounts,
    /// Class volatile.
    pub volatile: ClassCounts,
    /// Class control.
    pub control: ClassCounts,
    /// Messages waiting now.
    pub queued_messages: u32,
    /// Bytes waiting now.
    pub queued_bytes: u64,
    /// Times the session was resumed.
    pub resumes: u32,
    /// Class state: deltas and snapshots.
    pub state: ClassCounts,
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorRef {
    /// The connection or the session.
    Session,
    /// The `Join` with this `ref`.
    Join(u32),
    /// What the client sent to a room with this cseq. The cseq is consumed.
    Cseq {
        /// The room.
        channel: Channel,
        /// The client's number.
        cseq: Cseq,
    },
}

/// Something was refused; the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// What was wrong, for programs.
    pub code: ErrorCode,
    /// What it is about.
    pub r#ref: ErrorRef,
    /// What was wrong and what to do, for people.
    pub message: String,
}

/// This server is going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Reconnect after this many milliseconds (already jittered).
    pub retry_after_ms: u32,
}

/// Reconnect to this URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Where to.
    pub url: String,
}

/// The room has a new epoch; positions in the old one are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The room.
    pub channel: Channel,
    /// Its new incarnation.
    pub epoch: Epoch,
}

/// New numbers for type names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Types {
    /// The room.
    pub channel: Channel,
    /// The number of the first name.
    pub first: u32,
    /// The names, numbered upwards from `first`.
    pub names: Vec<String>,
}

/// The whole of a part of a room's state. One of part `members` begins the state anew: every other
/// part that the receiver had is forgotten, and follows if it still sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot<'a> {
    /// The room.
    pub channel: Channel,
    /// The part.
    pub part: Part,
    /// The tick it is of.
    pub tick: u64,
    /// The newest seq of the room at that tick.
    pub seq: Seq,
    /// The part's hash.
    pub hash: u32,
    /// The snapshot's bytes (SPEC.md, "State").
    #[serde(borrow, with = "raw_bytes")]
    pub state: Cow<'a, [u8]>,
}

/// What changed in a part of a room's state: applies to a copy whose tick is `base_tick` or later and
/// before `tick`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta<'a> {
    /// The room.
    pub channel: Channel,
    /// The part.
    pub part: Part,
    /// The tick at which the part last changed.
    pub base_tick: u64,
    /// The tick that it leads to.
    pub tick: u64,
    /// The tick's number in the room's log, the same for every part.
    pub seq: Seq,
    /// The part's hash after it.
    pub hash: u32,
    /// The delta's bytes (SPEC.md, "State").
    #[serde(borrow, with = "raw_bytes")]
    pub changes: Cow<'a, [u8]>,
}

/// How far a room with logic has dealt with what this member sent: everything up to `cseq`, and
/// the state of `tick` shows it. Comes before the deltas of that tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputAck {
    /// The room.
    pub channel: Channel,
    /// The tick.
    pub tick: u64,
    /// The highest cseq dealt with.
    pub cseq: Cseq,
}

/// A part of a room's state that this member no longer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartGone {
    /// The room.
    pub channel: Channel,
    /// The part.
    pub part: Part,
}

/// What became of an `Edit`. What is not refused is in the state of `tick`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The room.
    pub channel: Channel,
    /// The client's number.
    pub cseq: Cseq,
    /// The tick whose delta holds the changes.
    pub tick: u64,
    /// The ids of created entities, by their temporary numbers.
    pub created: Vec<(u32, u32)>,
    /// The edits that were refused, by their place in the `Edit`, ascending.
    pub refused: Vec<(u32, EditRefusal)>,
}

/// Why an edit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditRefusal {
    /// There is no such entity, kind or field.
    Unknown,
    /// The value is not of the field's type or out of its bounds.
    Invalid,
    /// The entity belongs to another.
    NotOwner,
    /// The field changed after `if_version`.
    Changed,
    /// The state is as large as it may be.
    Full,
    /// The member to give to is not in the room.
    NoSuchMember,
}

/// The session's credential expires. Without a new one the connection is closed with 4002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// The connection is closed after this many milliseconds.
    pub close_ms: u32,
}

/// The new credential was accepted, and with it what it says the session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The `ref` of the `Renew`.
    pub r#ref: u32,
    /// The credential expires after this many milliseconds; absent where it does not.
    pub expires_ms: Option<u64>,
}

impl ServerMessage<'_> {
    /// The message, borrowing nothing.
    pub fn into_owned(self) -> ServerMessage<'static> {
        match self {
            Self::Message(m) => ServerMessage::Message(Message {
                r#type: m.r#type.into_owned(),
                payload: m.payload.into_owned(),
                ..m
            }),
            Self::Ephemeral(m) => ServerMessage::Ephemeral(Ephemeral {
                r#type: m.r#type.into_owned(),
                payload: m.payload.into_owned(),
                ..m
            }),
            Self::Direct(m) => ServerMessage::Direct(DirectMessage {
                r#type: m.r#type.into_owned(),
                payload: m.payload.into_owned(),
                ..m
            }),
            Self::Reply(m) => ServerMessage::Reply(Reply { payload: m.payload.into_owned(), ..m }),
            Self::Snapshot(m) => {
                ServerMessage::Snapshot(Snapshot { state: m.state.into_owned().into(), ..m })
            }
            Self::Delta(m) => {
                ServerMessage::Delta(Delta { changes: m.changes.into_owned().into(), ..m })
            }
            Self::Welcome(m) => ServerMessage::Welcome(m),
            Self::Joined(m) => ServerMessage::Joined(m),
            Self::Left(m) => ServerMessage::Left(m),
            Self::Presence(m) => ServerMessage::Presence(m),
            Self::PresenceCount(m) => ServerMessage::PresenceCount(m),
            Self::Ack(m) => ServerMessage::Ack(m),
            Self::Gap(m) => ServerMessage::Gap(m),
            Self::Pong(m) => ServerMessage::Pong(m),
            Self::Stats(m) => ServerMessage::Stats(m),
            Self::Error(m) => ServerMessage::Error(m),
            Self::Draining(m) => ServerMessage::Draining(m),
            Self::Redirect(m) => ServerMessage::Redirect(m),
            Self::Moved(m) => ServerMessage::Moved(m),
            Self::Types(m) => ServerMessage::Types(m),
            Self::InputAck(m) => ServerMessage::InputAck(m),
            Self::PartGone(m) => ServerMessage::PartGone(m),
            Self::Edited(m) => ServerMessage::Edited(m),
            Self::Expiring(m) => ServerMessage::Expiring(m),
            Self::Renewed(m) => ServerMessage::Renewed(m),
        }
    }

    /// Whether every integer is within the wire's bound of 2^53 - 1.
    pub fn integers_in_bounds(&self) -> bool {
        let fits = |values: &[u64]| values.iter().all(|value| *value <= INTEGER_MAX);
        match self {
            Self::Welcome(welcome) => fits(&[welcome.connection.0, welcome.server_time_ms]),
            Self::Joined(joined) => {
                fits(&[joined.epoch_at_ms, joined.seq.0, joined.applied_cseq.0])
            }
            Self::Message(message) => fits(&[message.seq.0, message.at, message.cseq.0]),
            Self::Direct(direct) => fits(&[direct.seq.0, direct.at]),
            Self::Presence(presence) => {
                let cseq = match presence.event {
                    PresenceEvent::Attributes { cseq, .. } => cseq.0,
                    _ => 0,
                };
                fits(&[presence.seq.0, cseq])
            }
            Self::Ack(ack) => fits(&[ack.cseq.0, ack.seq.map_or(0, |seq| seq.0)]),
            Self::Reply(reply) => fits(&[reply.cseq.0]),
            Self::Gap(gap) => fits(&[gap.from_seq.0, gap.to_seq.0]),
            Self::Pong(pong) => fits(&[pong.id, pong.server_time_us]),
            Self::Stats(stats) => {
                let classes =
                    [stats.reliable, stats.latest, stats.volatile, stats.control, stats.state];
                let counted =
                    classes.iter().all(|class| fits(&[class.sent, class.dropped, class.conflated]));
                counted && fits(&[stats.queued_bytes])
            }
            Self::Error(error) => match error.r#ref {
                ErrorRef::Cseq { cseq, .. } => fits(&[cseq.0]),
                ErrorRef::Session | ErrorRef::Join(_) => true,
            },
            Self::Snapshot(snapshot) => fits(&[snapshot.tick, snapshot.seq.0]),
            Self::Delta(delta) => fits(&[delta.base_tick, delta.tick, delta.seq.0]),
            Self::InputAck(ack) => fits(&[ack.tick, ack.cseq.0]),
            Self::Edited(edited) => fits(&[edited.cseq.0, edited.tick]),
            Self::Renewed(renewed) => fits(&[renewed.expires_ms.unwrap_or(0)]),
            Self::Left(_)
            | Self::Expiring(_)
            | Self::PartGone(_)
            | Self::Ephemeral(_)
            | Self::PresenceCount(_)
            | Self::Draining(_)
            | Self::Redirect(_)
            | Self::Moved(_)
            | Self::Types(_) => true,
        }
    }
}
