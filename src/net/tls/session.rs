//! One connection's TLS session.
//!
//! Sealing happens once for a write, in records of up to 16 KiB; what the socket does not take of
//! them waits here, bounded by the session's buffer limit. Nothing is sealed while something waits,
//! so that messages stay in their queues where their class decides about them.

use super::super::socket::{self, Received as Raw};
use super::super::transport::{Received, Sent, TlsFailure};
use mio::net::TcpStream;
use rustls::{Error, HandshakeKind, ServerConfig, ServerConnection};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

/// The first byte of a TLS connection: a record of type handshake.
const HANDSHAKE: u8 = 0x16;

/// The TLS session of a connection, whose socket is lent for each call.
pub(in super::super) struct TlsSession {
    session: ServerConnection,
    /// Nothing has come yet.
    is_fresh: bool,
    /// The session has failed: what comes is discarded.
    is_broken: bool,
    /// The end of the session was announced to the peer.
    is_finished: bool,
    /// The handshake's completion has been told.
    is_told: bool,
    /// Bytes that were sealed since nothing was waiting last.
    pending_bytes: usize,
}

impl fmt::Debug for TlsSession {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsSession({:?})", self.session.protocol_version())
    }
}

impl TlsSession {
    pub(in super::super) fn new(
        config: &Arc<ServerConfig>,
        buffer_bytes_max: usize,
    ) -> Result<Self, Error> {
        let mut session = ServerConnection::new(Arc::clone(config))?;
        session.set_buffer_limit(Some(buffer_bytes_max));
        Ok(Self {
            session,
            is_fresh: true,
            is_broken: false,
            is_finished: false,
            is_told: false,
            pending_bytes: 0,
        })
    }

    /// Whether nothing has come yet.
    pub(in super::super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    pub(in super::super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking() && !self.is_broken
    }

    pub(in super::super) fn has_pending(&self) -> bool {
        self.session.wants_write()
    }

    pub(in super::super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Whether the handshake was completed since this was last asked, and if so, whether it took up
    /// an earlier session.
    pub(in super::super) fn take_completed(&mut self) -> Option<bool> {
        if self.is_told || self.session.is_handshaking() {
            return None;
        }
        self.is_told = true;
        Some(self.session.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    pub(in super::super) fn receive(&mut self, tcp: &TcpStream, buffer: &mut [u8]) -> Received {
        if self.is_broken {
            return match socket::receive(tcp, buffer).into_received(buffer.len()) {
                Received::Bytes { wire, more, .. } => Received::Bytes { plain: 0, wire, more },
                other => other,
            };
        }
        // What was decrypted and not taken comes first: no event will tell of it.
        match self.plaintext(buffer) {
            Plaintext::Bytes(plain) => return Received::Bytes { plain, wire: 0, more: true },
            Plaintext::Ended => return Received::End,
            Plaintext::None => {}
        }
        let mut source = Source::new(tcp, self.is_fresh);
        let read = self.session.read_tls(&mut source);
        let Source { wire, more, is_http, .. } = source;
        self.is_fresh &= wire == 0;
        match read {
            Ok(_) => {}
            Err(_) if is_http => return Received::Plaintext,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Received::Blocked,
            Err(_) => return Received::Lost,
        }
        if let Err(error) = self.session.process_new_packets() {
            self.is_broken = true;
            tracing::debug!(%error, "TLS failed");
            return Received::Broken(kind(&error));
        }
        match self.plaintext(buffer) {
            Plaintext::Bytes(plain) => {
                Received::Bytes { plain, wire, more: more || plain == buffer.len() }
            }
            Plaintext::None => Received::Bytes { plain: 0, wire, more },
            Plaintext::Ended => Received::End,
        }
    }

    fn plaintext(&mut self, buffer: &mut [u8]) -> Plaintext {
        match self.session.reader().read(buffer) {
            Ok(0) => Plaintext::Ended,
            Ok(n) => Plaintext::Bytes(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Plaintext::None,
            // The peer's end came without its announcement. What it said before is complete all the
            // same: messages and requests have ends of their own.
            Err(_) => Plaintext::Ended,
        }
    }

    pub(in super::super) fn send(
        &mut self,
        tcp: &TcpStream,
        slices: &[IoSlice<'_>],
    ) -> Option<Sent> {
        let mut taken = 0;
        if slices.iter().any(|slice| !slice.is_empty()) && !self.is_broken {
            // Not all of it when the buffer is full; that is no error.
            taken = self.session.writer().write_vectored(slices).ok()?;
            self.pending_bytes += taken;
        }
        let mut sink = Sink { tcp, wire: 0, blocked: false };
        while self.session.wants_write() && !sink.blocked {
            match self.session.write_tls(&mut sink) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        if !self.session.wants_write() {
            self.pending_bytes = 0;
        }
        Some(Sent { taken, wire: sink.wire, blocked: sink.blocked })
    }

    /// Announces the end and writes what waits. Whether all is written, or never will be.
    pub(in super::super) fn finish(&mut self, tcp: &TcpStream) -> bool {
        if !self.is_finished {
            self.is_finished = true;
            if !self.is_broken && !self.is_fresh {
                self.session.send_close_notify();
            }
        }
        self.send(tcp, &[]).is_none_or(|sent| !sent.blocked)
    }
}

/// What the session has for us.
enum Plaintext {
    Bytes(usize),
    None,
    Ended,
}

fn kind(error: &Error) -> TlsFailure {
    match error {
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFailure::Incompatible,
        Error::AlertReceived(_) => TlsFailure::Alert,
        _ => TlsFailure::Malformed,
    }
}

/// One read call, and what is learned from it.
struct Source<'a> {
    tcp: &'a TcpStream,
    is_first: bool,
    wire: usize,
    /// It gave as much as was asked for.
    more: bool,
    is_http: bool,
}

impl<'a> Source<'a> {
    fn new(tcp: &'a TcpStream, is_first: bool) -> Self {
        Self { tcp, is_first, wire: 0, more: false, is_http: false }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match socket::receive(self.tcp, buf) {
            Raw::Bytes(n) => {
                self.wire = n;
                self.more = n == buf.len();
                if self.is_first && buf[0] != HANDSHAKE && buf[0].is_ascii_alphabetic() {
                    self.is_http = true;
                    return Err(ErrorKind::InvalidData.into());
                }
                Ok(n)
            }
            Raw::End => Ok(0),
            Raw::Blocked => Err(ErrorKind::WouldBlock.into()),
            Raw::Lost => Err(ErrorKind::ConnectionReset.into()),
        }
    }
}

/// Write calls until the socket takes less than it is given.
struct Sink<'a> {
    tcp: &'a TcpStream,
    wire: usize,
    blocked: bool,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(n) = socket::send_vectored(self.tcp, slices) else {
            return Err(ErrorKind::ConnectionReset.into());
        };
        self.wire += n;
        self.blocked = n < slices.iter().map(|slice| slice.len()).sum();
        if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
