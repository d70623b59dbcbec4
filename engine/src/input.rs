//! What the engine is told: a closed enum.

use crate::access::{Identity, UserKey};
use crate::id::{ConnId, ShardId};
use crate::peer::PeerMsg;
use crate::publish::Publish;
use madang_protocol::CloseCode;
use madang_protocol::client::CreateOptions;
use std::sync::Arc;

/// How a connection speaks, decided by the shell from URL and subprotocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Subprotocol `madang.v1`: batches of binary messages.
    Native,
    /// Subprotocol `madang.v1.json`: one JSON object per text message.
    Json,
    /// `GET /raw/{room}`: no envelope. Joined at once, no hello, no resume.
    Raw {
        /// The room, already checked by [`madang_protocol::limits::is_room_name`].
        room: Box<str>,
        /// Whether the sender hears itself.
        echo: bool,
    },
}

/// One thing that happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// A WebSocket handshake is complete.
    Connected {
        /// The shell's name for the connection: its slot is free in the engine.
        conn: ConnId,
        /// How it speaks.
        entry: Entry,
    },
    /// A complete WebSocket message came.
    Message {
        /// From whom; unknown and stale ids are ignored.
        conn: ConnId,
        /// Its bytes, unmasked; valid UTF-8 when `text`.
        data: &'a [u8],
        /// Whether it was a text message.
        text: bool,
    },
    /// Something came that is no message (a pong, a ping, a part of a message): a sign of life.
    Seen {
        /// From whom.
        conn: ConnId,
    },
    /// The connection is gone, or closing by the client's or the shell's own decision.
    Disconnected {
        /// Which.
        conn: ConnId,
        /// Whether the session ends with it (the client closed with 1000, or broke the framing)
        /// rather than waiting for a resume.
        ends_session: bool,
    },
    /// The answer to [`crate::Output::Authenticate`].
    Authenticated {
        /// Whom it is about.
        conn: ConnId,
        /// Who it is, or the close code and words for a refusal.
        result: Result<Arc<Identity>, (CloseCode, String)>,
    },
    /// A message from another shard. Order per sender is kept by the shell.
    Peer {
        /// Which shard.
        from: ShardId,
        /// What it says.
        msg: PeerMsg,
    },
    /// Another shard lost its memory (its thread was restarted): forget what was shared with it.
    PeerReset {
        /// Which shard.
        peer: ShardId,
    },
    /// Start draining: no new joins, every session is told `draining` with a retry hint between
    /// the two bounds in milliseconds.
    Drain {
        /// Earliest retry.
        retry_min_ms: u32,
        /// Latest retry.
        retry_max_ms: u32,
    },
    /// The shell no longer reads from clients: pass on what is on its way between shards and say
    /// [`crate::Output::Quiesced`] when every message accepted anywhere has reached the queues of
    /// its receivers here.
    Quiesce,
    /// Open a room that stays open without members. Its home must be here.
    Open {
        /// Its name, checked by [`madang_protocol::limits::is_room_name`].
        name: Box<str>,
        /// What a creator may choose.
        options: CreateOptions,
    },
    /// Items of [`crate::Output::Watch`] about this room were lost: say it again from the start,
    /// as far as the room's history reaches back, or that it is closed.
    WatchResync {
        /// The room.
        channel: u32,
        /// The item's [`crate::watch::WatchItem::name_hash`], for a room that is gone.
        name_hash: u64,
    },
    /// A backend publishes into a room homed here: [`crate::Output::Published`] follows at once.
    Publish(Box<Publish>),
    /// A user is kept out of the server: its sessions here end.
    Expel(UserKey),
    /// How far the process gives things up for want of memory.
    Shed(Shed),
}

/// What a process that is short of memory gives up, in this order; each step includes those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shed {
    /// Nothing.
    #[default]
    Nothing,
    /// Messages of class volatile are dropped at their room.
    Volatile,
    /// Current values of class latest are kept for nobody, and passed on like volatile ones.
    Latest,
    /// Spectators' logs are let go, and no new ones are taken. Done by the shell.
    Spectators,
    /// New connections are turned away by the shell, new rooms by the engine, and rooms' logs grow no more.
    Connections,
}
