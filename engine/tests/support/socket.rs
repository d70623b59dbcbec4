//! A virtual connection: what is on its way in either direction, and how it ended.

use madang_engine::frame::{Frame, FrameKind};
use madang_engine::id::ConnId;
use madang_engine::input::Entry;
use madang_engine::time::Time;
use madang_protocol::CloseCode;
use std::collections::VecDeque;

/// Index into the node's sockets; never reused.
pub(crate) type SocketId = usize;

/// What a client puts on the wire.
#[derive(Clone, Debug)]
pub(crate) enum FromClient {
    /// A WebSocket message.
    Message { data: Vec<u8>, text: bool },
    /// The answer to a ping.
    Pong,
}

/// What a client takes off the wire.
#[derive(Debug)]
pub(crate) enum Incoming {
    Frame(Frame, FrameKind),
    /// A Close frame, behind everything else.
    Closed(CloseCode),
    /// The connection broke.
    Lost,
}

/// How the client's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// A reset that the server sees when it has read what came before.
    Noticed,
    /// The network swallowed it: the server finds out by silence, or when the session returns.
    Unnoticed,
    /// The client closed with 1000.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) shard: usize,
    pub(crate) conn: ConnId,
    pub(crate) entry: Entry,
    /// What the client sent and the server has not read.
    pub(crate) inbound: VecDeque<FromClient>,
    /// What the server wrote and the client has not read: the kernel's buffers.
    pub(crate) outbound: VecDeque<(Frame, FrameKind)>,
    pub(crate) outbound_bytes: usize,
    /// Bytes after which the kernel takes no more.
    pub(crate) capacity: usize,
    /// The engine said not to read.
    pub(crate) read_paused: bool,
    /// The engine has something to send.
    pub(crate) flush: bool,
    /// The server still has it.
    pub(crate) held: bool,
    /// The server ended it with this code.
    pub(crate) closed: Option<CloseCode>,
    pub(crate) gone: Option<Gone>,
    /// The client does not read.
    pub(crate) is_stalled: bool,
    /// When the server was through with it.
    pub(crate) released_at: Option<Time>,
    /// Frames the server ever wrote to it.
    pub(crate) written: usize,
}

impl Socket {
    pub(crate) fn new(shard: usize, conn: ConnId, entry: Entry, capacity: usize) -> Self {
        Self {
            shard,
            conn,
            entry,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            outbound_bytes: 0,
            capacity,
            read_paused: false,
            flush: false,
            held: true,
            closed: None,
            gone: None,
            is_stalled: false,
            released_at: None,
            written: 0,
        }
    }

    /// The oldest thing the client has not taken.
    pub(crate) fn receive(&mut self) -> Option<Incoming> {
        if self.is_stalled {
            return None;
        }
        if let Some((frame, kind)) = self.outbound.pop_front() {
            self.outbound_bytes -= frame.len();
            return Some(Incoming::Frame(frame, kind));
        }
        match self.closed {
            Some(code) => Some(Incoming::Closed(code)),
            None if !self.held => Some(Incoming::Lost),
            None => None,
        }
    }

    /// Nothing will move on it by itself.
    pub(crate) fn is_idle(&self) -> bool {
        let is_read = self.inbound.is_empty() && matches!(self.gone, None | Some(Gone::Unnoticed));
        let is_deaf = self.gone.is_some() || self.is_stalled;
        let is_written = is_deaf || (self.outbound.is_empty() && !self.flush);
        !self.held || (is_read && is_written)
    }
}
