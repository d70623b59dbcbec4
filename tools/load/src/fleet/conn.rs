//! One connection: small, because there are many. Buffers exist only while something is incomplete.

use crate::dialect::Seat;
use crate::transport::{End, HttpLine, Io, Lane, Received};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// TCP is not established.
    Connecting,
    /// The answer to the request that comes before the handshake is due.
    Reserving,
    /// The answer to the handshake is due.
    Handshake,
    /// The room's answer is due.
    Joining,
    /// In its room.
    Live,
    /// Over.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) pipe: Pipe,
    pub(crate) phase: Phase,
    pub(crate) begun_ns: u64,
    pub(crate) seat: Seat,
    /// What came and is incomplete.
    pub(crate) inbox: Vec<u8>,
}

/// What carries a connection.
#[derive(Debug)]
pub(crate) enum Pipe {
    /// A WebSocket.
    Socket(Io),
    /// HTTP requests, which say and hear WebSocket frames as far as anybody here can tell.
    Line(Box<HttpLine>),
}

impl Conn {
    pub(crate) fn new(pipe: Pipe, begun_ns: u64) -> Self {
        Self { pipe, phase: Phase::Connecting, begun_ns, seat: Seat::default(), inbox: Vec::new() }
    }

    pub(crate) fn line(&mut self) -> Option<&mut HttpLine> {
        match &mut self.pipe {
            Pipe::Socket(_) => None,
            Pipe::Line(line) => Some(line),
        }
    }

    /// Whether its first socket is established; `None` when it will not be.
    pub(crate) fn is_established(&mut self) -> Option<bool> {
        match &mut self.pipe {
            Pipe::Socket(io) => io.is_established(),
            Pipe::Line(line) => line.is_established(),
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        match &self.pipe {
            Pipe::Socket(io) => io.waiting_bytes(),
            Pipe::Line(line) => line.waiting_bytes(),
        }
    }

    /// Whether a read call that gave less than it might have left nothing.
    pub(crate) fn is_read_whole(&self, lane: Lane, bytes: usize, buffer_bytes: usize) -> bool {
        match &self.pipe {
            Pipe::Socket(io) => io.is_read_whole(bytes, buffer_bytes),
            Pipe::Line(line) => line.is_read_whole(lane, bytes, buffer_bytes),
        }
    }

    pub(crate) fn receive(&mut self, lane: Lane, buffer: &mut [u8]) -> Received {
        match &mut self.pipe {
            Pipe::Socket(io) => io.receive(buffer),
            Pipe::Line(line) => line.receive(lane, buffer),
        }
    }

    /// A socket has ended. Whether the connection has with it, and how.
    pub(crate) fn lost(&mut self, lane: Lane) -> Option<End> {
        match &mut self.pipe {
            Pipe::Socket(_) => Some(End::Broken),
            Pipe::Line(line) => line.lost(lane),
        }
    }

    /// Says what these frames, or a request for a handshake, have in them, behind what waits. Returns how
    /// many bytes were written, or `None` when the connection is gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<usize> {
        match &mut self.pipe {
            Pipe::Socket(io) => io.send(bytes),
            Pipe::Line(line) => Some(line.say(bytes)),
        }
    }

    /// Writes what waits. Returns how many bytes that was, or how the connection has ended.
    pub(crate) fn flush(&mut self, lane: Lane) -> Result<usize, End> {
        match &mut self.pipe {
            Pipe::Socket(io) => io.flush().ok_or(End::Broken),
            Pipe::Line(line) => line.flush(lane).map_or_else(|| Ok(line.take_written()), Err),
        }
    }

    /// Nothing more is read or written.
    pub(crate) fn shut_down(&mut self) {
        match &mut self.pipe {
            Pipe::Socket(io) => io.shut_down(),
            Pipe::Line(line) => line.shut_down(),
        }
    }

    /// Makes the end of its sockets a reset.
    pub(crate) fn end_by_reset(&self) {
        match &self.pipe {
            Pipe::Socket(io) => io.end_by_reset(),
            Pipe::Line(line) => line.end_by_reset(),
        }
    }
}
