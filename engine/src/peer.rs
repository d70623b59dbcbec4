//! What shards say to each other. Everything is plain data, so that another node can be a peer
//! later; one engine handles what it says to itself by the same enums without the hop.
//!
//! `Up` goes from the shard of a session to the home of a room, `Down` the other way. The shell
//! keeps the order per pair of shards; nothing is assumed about the order between pairs.

use crate::access::Identity;
use crate::config::Kind;
use crate::frame::{Frame, FrameKind};
use crate::id::{SessionRef, ShardId};
use crate::session::QueueClass;
use madang_protocol::ErrorCode;
use madang_protocol::client::{
    Direct, Edit, Join, Manage, Publish, Request, SetAttributes, StateEdit,
};
use madang_protocol::ids::{Epoch, MemberId, Seq};
use madang_protocol::limits::USER_BYTES_MAX;
use madang_protocol::server::LeaveReason;
use madang_protocol::state::{FieldValue, ScalarValue};
use std::sync::Arc;

/// One message between two shards.
#[derive(Debug)]
pub enum PeerMsg {
    /// From a session's shard to a room's home.
    Up(Up),
    /// From a room's home to a session's shard.
    Down(Down),
    /// The sender has dealt with this many bytes of what the receiver sent it.
    Credit {
        /// Bytes, as [`PeerMsg::cost`] counts them.
        bytes: u64,
    },
    /// Everything the sender had for the receiver at this round of quiescing is before this.
    Quiesce {
        /// 1: no publication of a client follows. 2: no delivery of such a publication follows.
        round: u8,
    },
}

/// What a connection's messages look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Batches of binary messages.
    Native,
    /// JSON text messages.
    Json,
    /// No envelope.
    Raw,
}

/// From a session's shard to a room's home.
#[derive(Debug)]
pub enum Up {
    /// A session wants to enter a room.
    Join(Box<JoinRequest>),
    /// A member is back and says how far it saw the room.
    Resume {
        /// The session, with a new attempt number.
        session: SessionRef,
        /// Counts the session's connections; the answer carries it back.
        attempt: u32,
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// The epoch of `seq`.
        epoch: Epoch,
        /// The highest seq received.
        seq: Seq,
        /// Who the session is from now on, and what it may do.
        identity: Arc<Identity>,
    },
    /// A member brought a new credential.
    Identity {
        /// The session.
        session: SessionRef,
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// Who the session is from now on, and what it may do.
        identity: Arc<Identity>,
    },
    /// A member's connection is gone.
    Away {
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
    },
    /// A member is gone.
    Leave {
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// Why.
        reason: LeaveReason,
    },
    /// A member is owed the room's state, and nothing waits for it any more.
    StateOwed {
        /// The session.
        session: SessionRef,
        /// Which of its connections is owed it.
        attempt: u32,
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
    },
    /// A member does something in the room.
    Op {
        /// Who it is, to answer to and to check the member by.
        session: SessionRef,
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// What it does.
        op: RoomOp<'static>,
    },
    /// A message in a raw room.
    Raw {
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// The message.
        data: Box<[u8]>,
        /// Whether it is text.
        text: bool,
    },
}

/// What a member does in a room.
#[derive(Clone, Debug)]
pub enum RoomOp<'a> {
    /// Sends to everyone.
    Publish(Publish<'a>),
    /// Sends to one member.
    Direct(Direct<'a>),
    /// Asks the room.
    Request(Request<'a>),
    /// Changes its attributes.
    SetAttributes(SetAttributes),
    /// Changes the room's state.
    Edit(Edit),
    /// Does what managers do.
    Manage(Manage),
}

/// A join on its way to a room's home.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Who wants in.
    pub session: SessionRef,
    /// Which of the session's connections asked.
    pub attempt: u32,
    /// Who it is, and what it may do.
    pub identity: Arc<Identity>,
    /// How it speaks.
    pub wire: Wire,
    /// The kind it needs.
    pub kind: Kind,
    /// What it asked for.
    pub join: Join,
    /// Shards that a match has visited.
    pub visited: u16,
}

/// From a room's home to a session's shard.
#[derive(Debug)]
pub enum Down {
    /// A session is in a room, from here on gap-free.
    Joined(Box<Admission>),
    /// A join was refused.
    Refused {
        /// Whose.
        session: SessionRef,
        /// Which of the session's connections asked.
        attempt: u32,
        /// The join's `ref`.
        r#ref: u32,
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: Box<str>,
    },
    /// A frame for every member here.
    Broadcast(Broadcast),
    /// A frame for one member.
    Member {
        /// Whose queue.
        session: SessionRef,
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// The log number, 0 without one.
        seq: u64,
        /// How it queues.
        class: QueueClass,
        /// The bytes.
        frame: Frame,
    },
    /// Members were removed: one, or all that are here.
    Removed {
        /// The room.
        channel: u32,
        /// The member, 0 for all.
        member: u32,
        /// Why.
        reason: LeaveReason,
    },
    /// Raw members here missed a message and cannot be caught up.
    RawLagged {
        /// The room.
        channel: u32,
    },
    /// The state that a member is owed, whole.
    State {
        /// Whose.
        session: SessionRef,
        /// Which of the session's connections is owed it.
        attempt: u32,
        /// The room.
        channel: u32,
        /// The member.
        member: u32,
        /// Snapshots of every part that it sees.
        frames: Vec<Frame>,
    },
    /// Members here missed some of the room's state: each is owed it.
    StateLagged {
        /// The room.
        channel: u32,
    },
    /// Logged messages that nobody here will receive.
    Gap {
        /// The room.
        channel: u32,
        /// First seq.
        from_seq: u64,
        /// Last seq.
        to_seq: u64,
    },
}

/// One message encoded once for each kind of receiver there is.
#[derive(Clone, Debug)]
pub enum Encoded {
    /// For native and JSON members; absent where the room has none of a kind.
    Wire {
        /// Length-prefixed binary message.
        native: Option<Frame>,
        /// JSON text.
        json: Option<Frame>,
    },
    /// For raw members.
    Raw {
        /// The message as it came.
        frame: Frame,
        /// Whether it is text.
        text: bool,
    },
}

impl Encoded {
    /// The bytes for a receiver and the WebSocket frame they travel in.
    pub fn for_wire(&self, wire: Wire) -> Option<(&Frame, FrameKind)> {
        match (self, wire) {
            (Encoded::Wire { native, .. }, Wire::Native) => {
                native.as_ref().map(|frame| (frame, FrameKind::Batch))
            }
            (Encoded::Wire { json, .. }, Wire::Json) => {
                json.as_ref().map(|frame| (frame, FrameKind::Text))
            }
            (Encoded::Raw { frame, text }, Wire::Raw) => {
                Some((frame, if *text { FrameKind::Text } else { FrameKind::Binary }))
            }
            _ => None,
        }
    }

    fn cost(&self) -> usize {
        match self {
            Encoded::Wire { native, json } => {
                native.as_ref().map_or(0, |f| f.len()) + json.as_ref().map_or(0, |f| f.len())
            }
            Encoded::Raw { frame, .. } => frame.len(),
        }
    }
}

/// A frame for every member of a room on one shard.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// The room.
    pub channel: u32,
    /// The log number, 0 without one. Members that joined at or after it skip it.
    pub seq: u64,
    /// How it queues.
    pub class: QueueClass,
    /// Who caused it, 0 for nobody.
    pub from: u32,
    /// Whether a sender without echo is left out, or the sender always.
    pub echo: Echo,
    /// The bytes.
    pub frames: Encoded,
}

/// Whether the sender hears itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// As it asked when it joined.
    AsJoined,
    /// Never.
    Never,
}

/// A session's entry into a room, or its return.
#[derive(Debug)]
pub struct Admission {
    /// Who.
    pub session: SessionRef,
    /// Which of the session's connections asked.
    pub attempt: u32,
    /// The join's `ref`; absent when this answers a resume.
    pub r#ref: Option<u32>,
    /// The room.
    pub channel: u32,
    /// Its name.
    pub name: Box<str>,
    /// The member.
    pub member: u32,
    /// The newest seq: what is live has a higher one.
    pub seq: u64,
    /// Whether the member hears itself.
    pub echo: bool,
    /// `Joined`, the replay and the current values of class latest, encoded for this member. They
    /// answer what was asked: none of them takes room from what is live.
    pub frames: Vec<Frame>,
}

impl PeerMsg {
    /// What the message costs of the link's window: its bytes and a share for its envelope.
    pub fn cost(&self) -> u64 {
        const ENVELOPE: usize = 64;
        let bytes = match self {
            PeerMsg::Up(Up::Op { op, .. }) => op.cost(),
            PeerMsg::Up(Up::Raw { data, .. }) => data.len(),
            PeerMsg::Up(Up::Join(request)) => {
                512 + request.join.ext.iter().map(|extension| extension.1.len()).sum::<usize>()
            }
            PeerMsg::Down(Down::Broadcast(broadcast)) => broadcast.frames.cost(),
            PeerMsg::Down(Down::Member { frame, .. }) => frame.len(),
            PeerMsg::Down(Down::Joined(admission)) => {
                admission.frames.iter().map(|frame| frame.len()).sum()
            }
            PeerMsg::Down(Down::State { frames, .. }) => {
                frames.iter().map(|frame| frame.len()).sum()
            }
            PeerMsg::Credit { .. } | PeerMsg::Quiesce { .. } => return 0,
            _ => 0,
        };
        (bytes + ENVELOPE) as u64
    }
}

impl RoomOp<'_> {
    /// An operation that borrows nothing.
    pub fn into_owned(self) -> RoomOp<'static> {
        match self {
            RoomOp::Publish(op) => RoomOp::Publish(Publish {
                channel: op.channel,
                cseq: op.cseq,
                class: op.class,
                r#type: op.r#type.into_owned(),
                payload: op.payload.into_owned(),
            }),
            RoomOp::Direct(op) => RoomOp::Direct(Direct {
                channel: op.channel,
                cseq: op.cseq,
                to: MemberId(op.to.0),
                r#type: op.r#type.into_owned(),
                payload: op.payload.into_owned(),
            }),
            RoomOp::Request(op) => RoomOp::Request(Request {
                channel: op.channel,
                cseq: op.cseq,
                r#type: op.r#type.into_owned(),
                payload: op.payload.into_owned(),
            }),
            RoomOp::SetAttributes(op) => RoomOp::SetAttributes(op),
            RoomOp::Edit(op) => RoomOp::Edit(op),
            RoomOp::Manage(op) => RoomOp::Manage(op),
        }
    }

    fn cost(&self) -> usize {
        match self {
            RoomOp::Publish(op) => op.payload.len(),
            RoomOp::Direct(op) => op.payload.len(),
            RoomOp::Request(op) => op.payload.len(),
            RoomOp::SetAttributes(op) => {
                op.attributes.iter().map(|(name, value)| name.len() + value.size()).sum()
            }
            RoomOp::Edit(op) => op.edits.iter().map(cost_of_edit).sum(),
            RoomOp::Manage(_) => USER_BYTES_MAX,
        }
    }
}

/// About as many bytes as an edit holds.
fn cost_of_edit(edit: &StateEdit) -> usize {
    let values = match edit {
        StateEdit::Create { fields, .. } => {
            fields.iter().map(|(_, value)| cost_of_value(value)).sum()
        }
        StateEdit::Set { value, .. } => value.as_ref().map_or(0, cost_of_value),
        StateEdit::Remove { .. } | StateEdit::Give { .. } => 0,
    };
    size_of::<StateEdit>() + values
}

fn cost_of_value(value: &FieldValue) -> usize {
    let elements = match value {
        FieldValue::One(value) => std::slice::from_ref(value),
        FieldValue::List(values) => values,
    };
    let content = elements.iter().map(|element| match element {
        ScalarValue::Text(text) => text.len(),
        ScalarValue::Bytes(bytes) => bytes.len(),
        _ => 0,
    });
    size_of_val(elements) + content.sum::<usize>()
}

/// One direction-pair with another shard: how much is on its way and what waits for it.
#[derive(Debug, Default)]
pub struct Link {
    /// Bytes sent and not credited back.
    pub outstanding: u64,
    /// Bytes received and not credited yet.
    pub uncredited: u64,
    /// Rooms homed here that skipped something for that shard, oldest first.
    pub lagging: std::collections::VecDeque<u32>,
    /// Sessions here that stopped reading because that shard is behind.
    pub paused: Vec<SessionRef>,
    /// Rounds of quiescing received.
    pub quiesced: u8,
}

impl Link {
    /// Whether what may lag has to.
    pub fn is_full(&self, window: u64) -> bool {
        self.outstanding >= window
    }

    /// Whether a full link has drained enough to go on.
    pub fn has_room(&self, window: u64) -> bool {
        self.outstanding <= window / 2
    }
}

/// The home of a room name: the shard whose number the name hashes to. Every shard computes the
/// same; a cluster will ask a directory here instead.
pub fn home_of(name: &str, shards: u16) -> ShardId {
    ShardId((name_hash(name) % u64::from(shards.max(1))) as u16)
}

/// A room name's hash: the same in every build.
pub fn name_hash(name: &str) -> u64 {
    // FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/): stable across builds, because
    // resume keys, logs and later nodes depend on it.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV are weak for short names: fold the high ones in.
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Rights;
    use madang_protocol::client::{EntityRef, JoinMode, JoinOptions, JoinTarget};
    use madang_protocol::ids::{Channel, Cseq};
    use madang_protocol::value::Extension;

    /// What waits for another shard is bounded by what it costs.
    #[test]
    fn an_edit_and_a_join_cost_what_they_hold() {
        let text = |bytes| ScalarValue::Text("x".repeat(bytes));
        let set = |value| {
            let (entity, field, if_version) = (EntityRef::Id(1), 0, None);
            StateEdit::Set { entity, field, value: Some(value), if_version }
        };
        let many = vec![ScalarValue::Bytes(vec![0; 10]); 1000];
        let fields = vec![(0, FieldValue::One(text(7_000))), (1, FieldValue::List(many))];
        let edits = vec![
            set(FieldValue::One(text(20_000))),
            StateEdit::Create { temp: 0, kind: 1, fields },
            StateEdit::Remove { entity: EntityRef::Id(2) },
        ];
        let edit = Edit { channel: Channel(1), cseq: Cseq(1), edits };
        let (session, channel, member) = (SessionRef::default(), 1, 1);
        let op = RoomOp::Edit(edit);
        let cost = PeerMsg::Up(Up::Op { session, channel, member, op }).cost();
        assert!((37_000..200_000).contains(&cost), "{cost}");
        let join = Join {
            r#ref: 1,
            target: JoinTarget::Name("room".to_owned()),
            mode: JoinMode::Either,
            options: JoinOptions::default(),
            since: None,
            history: 0,
            ext: vec![Extension(1, vec![0; 30_000])],
        };
        let request = JoinRequest {
            session,
            attempt: 1,
            identity: Identity::anonymous(Rights::ALL),
            wire: Wire::Native,
            kind: crate::config::Kind::Relay,
            join,
            visited: 0,
        };
        let cost = PeerMsg::Up(Up::Join(Box::new(request))).cost();
        assert!((30_000..40_000).contains(&cost), "{cost}");
    }
}
