//! What a thread's event loop asks of the code that gives it meaning.

use super::http::{Request, Response};
use super::{Detached, Io, Outbound};
use madang_engine::id::ConnId;
use madang_engine::time::Time;

/// How an open connection's outgoing messages are put into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Frames of [`madang_engine::frame::FrameKind::Batch`] share binary messages.
    Batched,
    /// Each frame is a WebSocket message.
    Whole,
    /// Each frame is part of an HTTP body that ends with the connection, as it is. What the peer
    /// sends is discarded, and only so much of it.
    Stream,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Answer {
    /// Answer it; the connection is kept or closed as HTTP says.
    Respond(Response),
    /// Complete the WebSocket handshake (the reactor has checked the request for it and answers
    /// 400 or 426 by itself when it is none). [`Driver::on_open`] follows.
    Upgrade {
        /// The subprotocol to answer with; one that the client offered.
        subprotocol: Option<&'static str>,
        /// How outgoing messages are framed.
        framing: Framing,
        /// Whatever the driver wants to find in [`Driver::on_open`].
        tag: u32,
    },
    /// Answer with a head and go on with a body that ends with the connection; to `HEAD` the head
    /// alone. [`Driver::on_open`] follows for any other method, and from then on the connection is
    /// like a WebSocket that never says anything.
    Stream {
        /// Status and header fields; its body is not used.
        head: Response,
        /// Whatever the driver wants to find in [`Driver::on_open`].
        tag: u32,
    },
    /// The driver answers later, by [`Io::respond`]; until then nothing more of the connection is
    /// looked at, and no deadline but the driver's own holds. Not for `HEAD`.
    Later,
    /// Another thread shall answer: [`Driver::on_detached`] follows with the socket and every byte
    /// read so far, for that thread's [`Io::adopt`].
    Handoff {
        /// Which thread, as the driver counts them.
        to: u16,
    },
}

/// Why a connection ended without the driver's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer sent a Close frame with this code (1005 when it had none); answered already.
    Close(u16),
    /// The socket failed, or the peer's end came without a Close frame.
    Lost,
    /// The peer broke the WebSocket protocol; the code that was sent.
    Violation(u16),
}

/// The meaning of a reactor's connections. All calls are made on the reactor's thread; none may
/// block.
pub trait Driver {
    /// A complete request head (and body, where the method has one) came.
    fn on_request(&mut self, io: &mut Io<'_>, conn: ConnId, request: &Request<'_>) -> Answer;

    /// A complete request head came whose body, of so many bytes, has not all come with it: whether
    /// to wait for it, or the last answer of this connection. Said at least once before the
    /// [`Driver::on_request`] of such a request.
    ///
    /// # Errors
    ///
    /// The answer, when the body is not to be waited for.
    fn on_body(
        &mut self,
        _io: &mut Io<'_>,
        _request: &Request<'_>,
        _bytes: usize,
    ) -> Result<(), Response> {
        Ok(())
    }

    /// Whether a request goes on with what another connection has begun: it then does not count in
    /// the rate at which its address may begin connections. Asked about those that come through a
    /// proxy which says whose they are.
    fn goes_on(&self, _request: &Request<'_>) -> bool {
        false
    }

    /// A number that those have in common who speak to the same others; they are read one after the other
    /// while they are behind.
    fn group(&self, _conn: ConnId) -> u32 {
        0
    }

    /// The peer that an answer is owed ([`Answer::Later`]) has gone, or says that it will send
    /// nothing more.
    fn on_gone(&mut self, _io: &mut Io<'_>, _conn: ConnId) {}

    /// The WebSocket handshake is complete: messages may follow. Or a stream's head is on its way.
    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, tag: u32);

    /// A complete WebSocket message; `data` is unmasked, within the size limit, and UTF-8 if `text`.
    fn on_message(&mut self, io: &mut Io<'_>, conn: ConnId, data: &[u8], text: bool);

    /// Something else came from a WebSocket peer: a ping, a pong, part of a message.
    fn on_seen(&mut self, io: &mut Io<'_>, conn: ConnId);

    /// A WebSocket connection or a stream ended; said once, and not after [`Io::close`] or [`Io::detach`].
    fn on_ended(&mut self, io: &mut Io<'_>, conn: ConnId, why: Ended);

    /// The socket takes bytes: push frames until [`Outbound::is_full`] or nothing is left. Returns
    /// whether more is left.
    fn fill(&mut self, conn: ConnId, out: &mut Outbound<'_>) -> bool;

    /// A connection on its way to another thread.
    fn on_detached(&mut self, io: &mut Io<'_>, to: u16, socket: Detached);

    /// Once per turn, after the reads and before the writes: inboxes and timers.
    fn on_turn(&mut self, io: &mut Io<'_>, now: Time);

    /// Whether enough waits to be written: nothing more is read in this turn.
    fn is_pressed(&self) -> bool;

    /// Once per turn, after the writes: to count what was done.
    fn on_turn_end(&mut self, io: &mut Io<'_>);

    /// When [`Driver::on_turn`] is next needed without any event.
    fn next_timeout(&self) -> Option<Time>;
}
