//! One socket and what waits for it, in plaintext or under TLS.

use crate::tls::Session;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// A socket.
#[derive(Debug)]
pub(crate) struct Io {
    socket: TcpStream,
    /// None in plaintext.
    tls: Option<Box<Session>>,
    /// What the socket has not taken.
    outbox: Vec<u8>,
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

impl Io {
    pub(crate) fn new(socket: TcpStream, tls: Option<Box<Session>>) -> Self {
        Self { socket, tls, outbox: Vec::new() }
    }

    /// Whether TCP is established; `None` when it will not be.
    pub(crate) fn is_established(&self) -> Option<bool> {
        match self.socket.take_error() {
            Ok(None) => Some(self.socket.peer_addr().is_ok()),
            Ok(Some(_)) | Err(_) => None,
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.len()
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

    /// Keeps `bytes` until the next [`Self::flush`].
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
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

    /// Nothing more is read or written; the descriptor stays.
    pub(crate) fn shut_down(&mut self) {
        self.outbox = Vec::new();
        // One that is gone already need not be.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Makes the end of the socket a reset.
    pub(crate) fn end_by_reset(&self) {
        // A socket that is gone already cannot be reset, and need not be.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
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
