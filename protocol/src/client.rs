//! Messages from a client to the server: closed and append-only. The order of the variants is
//! their tag on the binary wire.

use crate::ids::{Channel, Cseq, Epoch, INTEGER_MAX, MemberId, ResumeKey, Seq};
use crate::state::{FieldValue, Part};
use crate::value::{Extension, Payload, Token, TypeRef, Value};
use serde::{Deserialize, Serialize};

/// Anything a client sends after the WebSocket handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientMessage<'a> {
    /// Tag 0. The first message of every connection, and only the first.
    Hello(Hello),
    /// Tag 1. Enter a room.
    Join(Join),
    /// Tag 2. Leave a room.
    Leave(Leave),
    /// Tag 3. Send to everyone in a room.
    #[serde(borrow)]
    Publish(Publish<'a>),
    /// Tag 4. Send to one member of a room.
    #[serde(borrow)]
    Direct(Direct<'a>),
    /// Tag 5. Ask the room itself.
    #[serde(borrow)]
    Request(Request<'a>),
    /// Tag 6. Change one's own attributes in a room.
    SetAttributes(SetAttributes),
    /// Tag 7. Ask for the server's time; the answer measures the round trip as well.
    Ping(Ping),
    /// Tag 8. Ask what this session has been sent and has missed.
    GetStats(GetStats),
    /// Tag 9. Ask for a room's state anew.
    Resync(Resync),
    /// Tag 10. Change the state of a room of kind `shared`.
    Edit(Edit),
    /// Tag 11. A new credential in place of one that expires.
    Renew(Renew),
    /// Tag 12. Remove somebody from a room, keep somebody out of it, or close it.
    Manage(Manage),
}

/// Opens a connection: which protocol, who, and what to resume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// Lowest protocol version the client speaks.
    pub version_min: u16,
    /// Highest protocol version the client speaks.
    pub version_max: u16,
    /// Optional features the client understands, by name.
    pub features: Vec<String>,
    /// The client library and its version, for the operator: `madang-web/0.1.0`.
    pub client: String,
    /// A credential, where the server asks for one.
    pub token: Option<Token>,
    /// The session to take up again.
    pub resume: Option<Resume>,
    /// Extensions.
    pub ext: Vec<Extension>,
}

/// The session to take up again, and how far each of its rooms was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The key of the newest Welcome.
    pub key: ResumeKey,
    /// One entry for each room the client still wants. A room left out is left.
    #[serde(default)]
    pub rooms: Vec<RoomPosition>,
}

/// How far a client has seen a room it names by channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPosition {
    /// The room.
    pub channel: Channel,
    /// The epoch of `seq`.
    pub epoch: Epoch,
    /// The highest seq received.
    pub seq: Seq,
}

/// How far a client has seen a room it names by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch of `seq`.
    pub epoch: Epoch,
    /// The highest seq received.
    pub seq: Seq,
}

/// Enters a room. Answered by `Joined` or by `Error` with the same `ref`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The client's number for this request.
    pub r#ref: u32,
    /// Which room.
    pub target: JoinTarget,
    /// Whether the room may, must or must not be created.
    #[serde(default)]
    pub mode: JoinMode,
    /// How to be in the room.
    #[serde(default)]
    pub options: JoinOptions,
    /// Recover what came after this position, if the room still has it.
    #[serde(default)]
    pub since: Option<Position>,
    /// How many of the newest messages to receive when nothing is recovered; the server's bound
    /// is `Limits.history_messages_max`.
    #[serde(default)]
    pub history: u32,
    /// Extensions.
    #[serde(default)]
    pub ext: Vec<Extension>,
}

/// Which room to enter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinTarget {
    /// The room of this name.
    Name(String),
    /// Any public room of a kind with room left whose labels hold all of `filter`.
    Match {
        /// The kind of room.
        kind: String,
        /// Labels that the room must have with just these values.
        #[serde(default)]
        filter: Vec<(String, String)>,
    },
}

/// Whether a join may create the room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinMode {
    /// The room must not exist.
    Create,
    /// The room must exist.
    Join,
    /// Join it, or create it when there is none.
    #[default]
    Either,
}

/// How a member is in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinOptions {
    /// The member's attributes, shown to the others.
    pub attributes: Vec<(String, Value)>,
    /// Whether the member's own reliable publications come back to it (as its acknowledgement);
    /// without it an `Ack` does.
    pub echo: bool,
    /// What to set on the room if this join creates it; ignored otherwise.
    pub create: Option<CreateOptions>,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self { attributes: Vec::new(), echo: true, create: None }
    }
}

/// The options of a room, set once by the join that creates it, within the server's bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateOptions {
    /// Most members; the server's bound when absent.
    pub capacity: Option<u32>,
    /// Who is told about members; the server's choice when absent.
    pub presence: Option<PresenceMode>,
    /// Whether `JoinTarget::Match` and lists may find the room.
    pub public: Option<bool>,
    /// Labels to be matched by.
    pub labels: Vec<(String, String)>,
}

/// What the members of a room are told about each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceMode {
    /// Each join, leave, away, back and attribute change.
    #[default]
    Full,
    /// The number of members, now and then.
    Count,
    /// Nothing.
    None,
}

/// Leaves a room. Answered by `Left`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The room.
    pub channel: Channel,
}

/// What may be done with a message under pressure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Never dropped silently; logged, sequenced, replayed on resume.
    #[default]
    Reliable,
    /// Only the newest per (room, sender, key) matters; replaced in place while it waits.
    Latest(u32),
    /// Dropped when the receiver's queue is not empty.
    Volatile,
}

/// Sends to everyone in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publish<'a> {
    /// The room.
    pub channel: Channel,
    /// The client's number for it.
    pub cseq: Cseq,
    /// Its delivery class.
    #[serde(default)]
    pub class: Class,
    /// Its type.
    #[serde(borrow)]
    pub r#type: TypeRef<'a>,
    /// Its content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// Sends to one member; reliable, logged, seen by that member alone. Answered by `Ack` or `Error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Direct<'a> {
    /// The room.
    pub channel: Channel,
    /// The client's number for it.
    pub cseq: Cseq,
    /// The receiver.
    pub to: MemberId,
    /// Its type.
    #[serde(borrow)]
    pub r#type: TypeRef<'a>,
    /// Its content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// Asks the room itself. Answered by `Reply` or `Error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// The room.
    pub channel: Channel,
    /// The client's number for it.
    pub cseq: Cseq,
    /// What is asked; SPEC.md lists what every room answers.
    #[serde(borrow)]
    pub r#type: TypeRef<'a>,
    /// Its content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

/// Changes one's own attributes. Acknowledged like a reliable publication: in a room whose
/// presence is `full` by the `Presence` message itself, else by `Ack`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetAttributes {
    /// The room.
    pub channel: Channel,
    /// The client's number for it.
    pub cseq: Cseq,
    /// New values by name; `Null` removes.
    pub attributes: Vec<(String, Value)>,
}

/// Asks for the server's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back in the `Pong`.
    pub id: u64,
}

/// Asks for this session's counts. Answered by `Stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetStats {
    /// The client's number for this request.
    pub r#ref: u32,
}

/// Asks for a room's state anew, because the copy of a part is not what it should be. Answered by
/// snapshots of every part that the member sees, as soon as what waits for it has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// The room.
    pub channel: Channel,
    /// The part that is wrong.
    pub part: Part,
    /// The tick that the copy is of.
    pub tick: u64,
    /// The copy's hash.
    pub hash: u32,
}

/// Changes the state of a room of kind `shared`. Answered by `Edited`, or by `Error` if the room
/// takes no edits. Each edit is accepted or refused by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The room.
    pub channel: Channel,
    /// The client's number for it.
    pub cseq: Cseq,
    /// The changes, in order; at most [`crate::limits::EDITS_MAX`].
    pub edits: Vec<StateEdit>,
}

/// An entity as an edit names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityRef {
    /// By its id; 0 is the room.
    Id(u32),
    /// By the temporary number of a `Create` before it in the same `Edit`.
    Temp(u32),
}

/// One change of a shared state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateEdit {
    /// Adds an entity; it belongs to the member.
    Create {
        /// The client's own number for it, to know its id by.
        temp: u32,
        /// Its kind.
        kind: u32,
        /// The fields that are not zero, by number.
        fields: Vec<(u32, FieldValue)>,
    },
    /// Sets a field of an entity that belongs to the member or to nobody.
    Set {
        /// The entity.
        entity: EntityRef,
        /// The field's number.
        field: u32,
        /// The value; nothing sets it to zero.
        value: Option<FieldValue>,
        /// Only if the field has not changed after this tick.
        if_version: Option<u64>,
    },
    /// Removes an entity that belongs to the member or to nobody.
    Remove {
        /// The entity.
        entity: EntityRef,
    },
    /// Gives an entity that belongs to the member or to nobody to a member, or to nobody (0).
    Give {
        /// The entity.
        entity: EntityRef,
        /// The member.
        to: MemberId,
    },
}

/// Brings a new credential of the same user. Answered by `Renewed`, or by `Error` about the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The client's number for this request.
    pub r#ref: u32,
    /// The credential.
    pub token: Token,
}

/// Does what needs the right `manage`. Answered by `Ack` or `Error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manage {
    /// The room.
    pub channel: Channel,
    /// The client's number for it.
    pub cseq: Cseq,
    /// What is done.
    pub action: ManageAction,
}

/// What a manager of a room does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManageAction {
    /// Removes a member, which may join again.
    Kick {
        /// The member.
        member: MemberId,
    },
    /// Removes a user's members and keeps the user out of the room of this name.
    Ban {
        /// The user.
        user: String,
        /// For how long, in seconds; at most [`crate::limits::BAN_SECONDS_MAX`].
        seconds: u32,
    },
    /// Lets a user in again.
    Unban {
        /// The user.
        user: String,
    },
    /// Removes everybody and ends the room.
    Close,
}

impl ClientMessage<'_> {
    /// Whether every integer is within the wire's bound of 2^53 - 1.
    pub fn integers_in_bounds(&self) -> bool {
        match self {
            Self::Hello(hello) => hello
                .resume
                .iter()
                .flat_map(|resume| &resume.rooms)
                .all(|room| room.seq.0 <= INTEGER_MAX),
            Self::Join(join) => join.since.is_none_or(|since| since.seq.0 <= INTEGER_MAX),
            Self::Publish(Publish { cseq, .. })
            | Self::Direct(Direct { cseq, .. })
            | Self::Request(Request { cseq, .. })
            | Self::SetAttributes(SetAttributes { cseq, .. })
            | Self::Manage(Manage { cseq, .. }) => cseq.0 <= INTEGER_MAX,
            Self::Ping(ping) => ping.id <= INTEGER_MAX,
            Self::Resync(resync) => resync.tick <= INTEGER_MAX,
            Self::Edit(edit) => {
                let versions = edit.edits.iter().filter_map(|edit| match edit {
                    StateEdit::Set { if_version, .. } => *if_version,
                    _ => None,
                });
                edit.cseq.0 <= INTEGER_MAX && versions.max().is_none_or(|max| max <= INTEGER_MAX)
            }
            Self::Leave(_) | Self::GetStats(_) | Self::Renew(_) => true,
        }
    }
}
