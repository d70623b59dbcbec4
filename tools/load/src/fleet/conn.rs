//! One connection: small, because there are many. Buffers exist only while something is incomplete.

use crate::dialect::Seat;
use crate::tls::Session;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};

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
    pub(crate) socket: TcpStream,
    /// None in plaintext.
    tls: Option<Box<Session>>,
    pub(crate) phase: Phase,
    pub(crate) begun_ns: u64,
    pub(crate) seat: Seat,
    /// What came and is incomplete.
    pub(crate) inbox: Vec<u8>,
    /// What the socket has not taken.
    pub(crate) outbox: Vec<u8>,
}

/// What a read call gave.
pub(crate) enum Received {
    Bytes(usize),
    Blocked,
    /// The end, or a failure.
    Gone,
    /// What the server sent is no TLS, or not of somebody who is trusted.
    Refused(String),
}

impl Conn {
    pub(crate) fn new(socket: TcpStream, tls: Option<Box<Session>>, begun_ns: u64) -> Self {
        Self {
            socket,
            tls,
            phase: Phase::Connecting,
            begun_ns,
            seat: Seat::default(),
            inbox: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Whether a read call that gave less than it might have left nothing.
    pub(crate) fn is_read_whole(&self, bytes: usize, buffer_bytes: usize) -> bool {
        // Of a session, what is one read may be several of the socket's.
        bytes < buffer_bytes && self.tls.is_none()
    }

    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            let received = match &mut self.tls {
                None => self.socket.read(buffer),
                Some(tls) => tls.receive(&mut self.socket, buffer),
            };
            match received {
                Ok(0) => return Received::Gone,
                Ok(n) => return Received::Bytes(n),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Received::Blocked,
                    ErrorKind::InvalidData => return Received::Refused(format!("TLS: {error}")),
                    _ => return Received::Gone,
                },
            }
        }
    }

    /// Writes `bytes` behind what waits, keeping what the socket does not take. Returns how many
    /// bytes it took, or `None` when the connection is gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.outbox.is_empty() {
            // The socket will say when it takes more.
            self.outbox.extend_from_slice(bytes);
            return Some(0);
        }
        let (written, taken) = match &mut self.tls {
            None => write(&mut self.socket, bytes).map(|taken| (taken, taken)).ok()?,
            Some(tls) => tls.send(bytes, &mut self.socket).ok()?,
        };
        self.outbox.extend_from_slice(&bytes[taken..]);
        Some(written)
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> Option<usize> {
        if let Some(tls) = &mut self.tls {
            let flushed = tls.flush(&mut self.socket).ok()?;
            if self.outbox.is_empty() || tls.is_blocked() {
                return Some(flushed);
            }
            let (written, taken) = tls.send(&self.outbox, &mut self.socket).ok()?;
            self.outbox.drain(..taken);
            return Some(flushed + written);
        }
        if self.outbox.is_empty() {
            return Some(0);
        }
        let taken = write(&mut self.socket, &self.outbox).ok()?;
        self.outbox.drain(..taken);
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
        Some(taken)
    }
}

/// Writes until the socket takes no more; returns how many bytes it took.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match socket.write(&bytes[taken..]) {
            Ok(0) => break,
            Ok(n) => taken += n,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => break,
                _ => return Err(error),
            },
        }
    }
    Ok(taken)
}
