//! One connection's state: small, because there are many. What is rare is boxed and exists only
//! while it is needed; an idle WebSocket connection owns nothing but its socket.

use super::Framing;
use super::budget::Permit;
use super::transport::Transport;
use super::write::Tail;
use super::ws::Decoder;
use madang_engine::time::Time;
use std::fmt;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Requests and answers.
    Http,
    /// WebSocket messages.
    Open(Framing),
    /// The driver has nothing to do with it any more: what is left is written, then the end of
    /// the stream is sent, and what comes is discarded until the peer's end or the deadline.
    Closing,
    /// To be freed at the end of the turn.
    Ended,
}

/// What a reactor reads, besides what connections that are closing still say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Requests and messages.
    Everything,
    /// Requests alone.
    Requests,
    /// Nothing.
    Nothing,
}

/// Whether a request waits for an answer that the driver gives later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// None does.
    Nothing,
    /// One does, and the connection may be kept.
    Answer,
    /// One does, and it is the last.
    LastAnswer,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: Transport,
    pub(super) generation: u32,
    pub(super) phase: Phase,
    /// When something happens by itself; [`NEVER`] if nothing does.
    pub(super) deadline: Time,
    /// When the timer wheel next asks; [`NEVER`] if it will not.
    pub(super) armed: Time,
    /// Bytes that were read and not used yet.
    pub(super) input: Option<Box<Input>>,
    pub(super) decoder: Decoder,
    /// Bytes that the socket has not taken yet.
    pub(super) tail: Option<Box<Tail>>,
    /// Its share of the process's budget; `None` for a connection that is shed.
    pub(super) permit: Option<Permit>,
    /// Answered HTTP requests; of a stream, reads that were discarded.
    pub(super) requests: u16,
    /// The socket may have bytes.
    pub(super) readable: bool,
    /// The peer's end was signalled: a short read does not mean that nothing is left.
    pub(super) end_signalled: bool,
    /// The peer's end was read.
    pub(super) eof: bool,
    /// `input` holds bytes that nobody has looked at.
    pub(super) unread: bool,
    /// The socket took less than it was given; it will say when it takes more.
    pub(super) blocked: bool,
    /// The driver wants no messages for now.
    pub(super) paused: bool,
    /// The driver has something to push.
    pub(super) wants_fill: bool,
    /// The deadline is that of a request's head and body.
    pub(super) in_head: bool,
    /// An answer that the driver has promised.
    pub(super) owed: Owed,
    /// The answer in the tail is the last one.
    pub(super) close_after: bool,
    /// The end of the stream was sent.
    pub(super) shut: bool,
    /// A proxy's header comes first, or is there in part.
    pub(super) in_preamble: bool,
    /// The peer is a proxy whose word about the client's address counts.
    pub(super) via_proxy: bool,
    /// It stands in the list of those to be read.
    pub(super) in_ready: bool,
    /// It stands in the list of those to be written.
    pub(super) in_flush: bool,
}

/// No deadline.
pub(super) const NEVER: Time = Time(u64::MAX);

/// Bytes that were read and not used yet: an incomplete HTTP request, or what was left when a
/// budget was spent or the driver paused. Bounded by a request's largest size and one read.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    /// Bytes before this one are used.
    pub(super) at: usize,
    pub(super) progress: Progress,
}

/// How far an incomplete request was looked at, so that a slow sender costs linear time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// This many bytes do not end the head.
    pub(super) scanned: usize,
    /// With fewer bytes than this the request is incomplete.
    pub(super) need: usize,
    /// The request's `100 Continue` was sent.
    pub(super) continued: bool,
}

impl Conn {
    pub(super) fn new(socket: Transport, generation: u32, phase: Phase) -> Self {
        Self {
            socket,
            generation,
            phase,
            deadline: NEVER,
            armed: NEVER,
            input: None,
            decoder: Decoder::default(),
            tail: None,
            permit: None,
            requests: 0,
            readable: false,
            end_signalled: false,
            eof: false,
            unread: false,
            blocked: false,
            paused: false,
            wants_fill: false,
            in_head: false,
            owed: Owed::Nothing,
            close_after: false,
            shut: false,
            in_preamble: false,
            via_proxy: false,
            in_ready: false,
            in_flush: false,
        }
    }

    /// Whether its bytes may be looked at now.
    pub(super) fn may_read(&self, reading: Reading) -> bool {
        match self.phase {
            Phase::Ended => false,
            Phase::Closing => true,
            // The next request waits until the answer to the last one is written.
            Phase::Http => {
                let is_answered = self.tail.is_none() && self.owed == Owed::Nothing;
                !self.paused && reading != Reading::Nothing && is_answered
            }
            // A peer that does not read its pongs is not read either.
            Phase::Open(_) => {
                !self.paused && reading == Reading::Everything && !self.pong_is_stuck()
            }
        }
    }

    /// Whether there is something to look at.
    pub(super) fn has_unread(&self) -> bool {
        self.readable || self.unread || (self.eof && self.phase != Phase::Closing)
    }

    /// Whether a write call is due.
    pub(super) fn wants_write(&self) -> bool {
        !self.blocked
            && match self.phase {
                Phase::Ended => false,
                Phase::Open(_) => self.tail.is_some() || self.wants_fill || self.has_sealed(),
                Phase::Http => self.tail.is_some() || self.close_after || self.has_sealed(),
                Phase::Closing => self.tail.is_some() || !self.shut,
            }
    }

    /// Whether TLS has something to write.
    fn has_sealed(&self) -> bool {
        self.socket.has_pending()
    }

    fn pong_is_stuck(&self) -> bool {
        self.blocked && self.tail.as_ref().is_some_and(|tail| tail.has_pong())
    }
}

/// A connection on its way from one reactor to another: the socket, every byte that was read and
/// not used, every byte that was to be written, and the state between. Dropping it closes the
/// socket.
pub struct Detached {
    pub(super) socket: Transport,
    pub(super) phase: Phase,
    pub(super) unread: Vec<u8>,
    pub(super) decoder: Decoder,
    pub(super) tail: Option<Box<Tail>>,
    pub(super) permit: Option<Permit>,
    pub(super) requests: u16,
    pub(super) eof: bool,
    pub(super) via_proxy: bool,
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Detached({:?}, {} bytes unread)", self.phase, self.unread.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_small_and_can_change_threads() {
        fn is_send<T: Send>() {}
        is_send::<Detached>();
        assert!(size_of::<Conn>() <= 128, "{} bytes", size_of::<Conn>());
    }

    #[test]
    fn an_idle_connection_owns_no_buffer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = mio::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let conn = Conn::new(socket.into(), 0, Phase::Open(Framing::Batched));
        assert!(conn.input.is_none() && conn.tail.is_none());
        assert_eq!(size_of_val(&conn.decoder), size_of::<usize>(), "one pointer, absent");
    }
}
