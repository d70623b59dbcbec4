//! How a connection's bytes travel: as they are, or sealed by TLS.
//!
//! Above this file nobody knows which of the two it is, except that a handshake comes first and
//! that sealed bytes may wait for the socket. A plain connection makes the same system calls as
//! without this layer and owns nothing but its descriptor.

use super::socket::{self, Received as Raw};
use super::tls::TlsSession;
use mio::net::TcpStream;
use std::io::IoSlice;
use std::net::Shutdown;

/// What TLS makes of a failure, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The handshake was not complete in time.
    Timeout,
    /// The peer left during the handshake.
    Lost,
    /// The peer speaks HTTP without TLS.
    Plaintext,
    /// The two have no version, cipher or protocol in common.
    Incompatible,
    /// The peer gave up, and said why: it does not trust the certificate, for example.
    Alert,
    /// What came is not TLS, or breaks its rules.
    Malformed,
}

impl TlsFailure {
    /// All of them, in the order of [`super::NetCounters::tls_failures`].
    pub const ALL: [Self; 6] = [
        Self::Timeout,
        Self::Lost,
        Self::Plaintext,
        Self::Incompatible,
        Self::Alert,
        Self::Malformed,
    ];
}

/// A connection's socket, with its TLS session if it has one.
#[derive(Debug)]
pub(super) struct Transport {
    tcp: TcpStream,
    tls: Option<Box<TlsSession>>,
}

/// What one read gave. At most one read call is made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// `plain` bytes are in the buffer, for which `wire` bytes came from the socket. With TLS either
    /// may be 0: a record is incomplete or says nothing, or the bytes had come before. `more` says
    /// that another read may give more without an event.
    Bytes { plain: usize, wire: usize, more: bool },
    /// The peer will send nothing more.
    End,
    /// Nothing for now.
    Blocked,
    /// The connection is gone.
    Lost,
    /// TLS has failed. An alert that says so may wait to be written; what still comes is nothing.
    Broken(TlsFailure),
    /// It is HTTP, and no TLS: the bytes are gone, and the transport is to be made plain.
    Plaintext,
}

/// What one write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Bytes that are this connection's no longer: written, or sealed for it.
    pub(super) taken: usize,
    /// Bytes that the socket took.
    pub(super) wire: usize,
    /// The socket takes no more for now, and will say when it does.
    pub(super) blocked: bool,
}

impl From<TcpStream> for Transport {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }
}

impl Transport {
    pub(super) fn with_tls(tcp: TcpStream, session: TlsSession) -> Self {
        Self { tcp, tls: Some(Box::new(session)) }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    pub(super) fn tls(&mut self) -> Option<&mut TlsSession> {
        self.tls.as_deref_mut()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Goes on without TLS.
    pub(super) fn drop_tls(&mut self) {
        self.tls = None;
    }

    /// Whether nothing can be said yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether sealed bytes wait for the socket.
    pub(super) fn has_pending(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_pending())
    }

    /// Bytes that were sealed and that the socket may not have taken.
    pub(super) fn pending_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.pending_bytes())
    }

    /// Reads once into `buffer`.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        match &mut self.tls {
            None => socket::receive(&self.tcp, buffer).into_received(buffer.len()),
            Some(tls) => tls.receive(&self.tcp, buffer),
        }
    }

    /// Writes once, with TLS also what waits to be written. `None` when the connection is gone.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Option<Sent> {
        match &mut self.tls {
            None => Some(Sent::plain(socket::send(&self.tcp, bytes)?, bytes.len())),
            Some(tls) => tls.send(&self.tcp, &[IoSlice::new(bytes)]),
        }
    }

    /// The same with several slices of `total` bytes.
    pub(super) fn send_vectored(&mut self, slices: &[IoSlice<'_>], total: usize) -> Option<Sent> {
        match &mut self.tls {
            None => Some(Sent::plain(socket::send_vectored(&self.tcp, slices)?, total)),
            Some(tls) => tls.send(&self.tcp, slices),
        }
    }

    /// Sends the end of the stream. False when the socket has to take something else first.
    pub(super) fn finish(&mut self) -> bool {
        if let Some(tls) = &mut self.tls
            && !tls.finish(&self.tcp)
        {
            return false;
        }
        // An error here is one that the next read reports.
        let _ = self.tcp.shutdown(Shutdown::Write);
        true
    }
}

impl Sent {
    /// The socket took `n` bytes of `total`.
    fn plain(n: usize, total: usize) -> Self {
        Self { taken: n, wire: n, blocked: n < total }
    }
}

impl Raw {
    /// What a read of up to `asked` bytes without TLS gave.
    pub(super) fn into_received(self, asked: usize) -> Received {
        match self {
            // Less than asked for means that nothing is left.
            Raw::Bytes(n) => Received::Bytes { plain: n, wire: n, more: n == asked },
            Raw::End => Received::End,
            Raw::Blocked => Received::Blocked,
            Raw::Lost => Received::Lost,
        }
    }
}
