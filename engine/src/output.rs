//! What the engine asks for: a closed enum.

use crate::id::{ConnId, ShardId};
use crate::peer::PeerMsg;
use crate::publish::{PublishRefusal, Receipt, Ticket};
use crate::room::record::RecordItem;
use crate::watch::WatchItem;
use madang_protocol::CloseCode;
use madang_protocol::value::Token;

/// One thing the shell shall do.
#[derive(Debug)]
pub enum Output {
    /// The connection's queue went from empty to not empty: call [`crate::Engine::next_frame`]
    /// until it is empty, as the socket allows. Not repeated while the queue is not empty.
    Flush(ConnId),
    /// Write a Close frame behind what is already in the transport buffer and end the connection;
    /// the engine has forgotten it.
    Close {
        /// Which.
        conn: ConnId,
        /// With what code.
        code: CloseCode,
    },
    /// Stop reading from the connection until [`Output::ReadResume`]: it spent its allowance, or
    /// a shard that it feeds is behind.
    ReadPause(ConnId),
    /// Read from it again.
    ReadResume(ConnId),
    /// Check a credential and answer with [`crate::Input::Authenticated`].
    Authenticate {
        /// For whom.
        conn: ConnId,
        /// The credential that the client sent in a message; none if it came another way, or not.
        token: Option<Token>,
    },
    /// The session lives on another shard: hand over the socket, and give that shard's engine
    /// `Connected` and then `first` as a message. The engine has forgotten the connection.
    Handoff {
        /// Which.
        conn: ConnId,
        /// Where to.
        to: ShardId,
        /// The hello, as it came.
        first: Box<[u8]>,
    },
    /// Send to another shard. Order per receiver is to be kept. One batch a turn is enough.
    Peer {
        /// To whom.
        to: ShardId,
        /// What.
        msg: PeerMsg,
    },
    /// The answer to [`crate::Input::Quiesce`].
    Quiesced,
    /// Something an operator may want to read.
    Event(Event),
    /// Something happened in a room that may be watched. May be lost: see
    /// [`crate::Input::WatchResync`].
    Watch(WatchItem),
    /// Something for the recording of a room, in the order in which it happened.
    Record(RecordItem),
    /// The answer to [`crate::Input::Publish`].
    Published {
        /// Whom it is for.
        ticket: Ticket,
        /// What became of the events.
        result: Result<Receipt, PublishRefusal>,
    },
}

/// Something an operator may want to read. No payloads, no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The engine ended a connection.
    Closed {
        /// Which.
        conn: ConnId,
        /// With what code.
        code: CloseCode,
        /// What was wrong, in words.
        why: Box<str>,
    },
    /// A room began.
    RoomCreated {
        /// Its name.
        room: Box<str>,
        /// Its kind.
        kind: &'static str,
    },
    /// A room ended.
    RoomRemoved {
        /// Its name.
        room: Box<str>,
    },
    /// A room that was to stay open could not be opened.
    RoomNotOpened {
        /// The room.
        room: Box<str>,
        /// Why, for people.
        why: Box<str>,
    },
    /// A room's rules failed: its members were removed, and nobody can enter it for a while.
    RoomFailed {
        /// The room.
        room: Box<str>,
        /// How, for people.
        why: Box<str>,
    },
    /// A shard fell behind with a room and will be resynced from its log.
    Lagged {
        /// The room.
        room: Box<str>,
        /// The shard.
        shard: ShardId,
    },
}
