//! The only place where bytes enter and leave a socket.

use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{ErrorKind, IoSlice, Read, Write};

/// What a read call gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// This many bytes, at least one.
    Bytes(usize),
    /// The peer will send nothing more.
    End,
    /// Nothing for now.
    Blocked,
    /// The connection is gone.
    Lost,
}

/// Reads once into `buffer`.
pub(super) fn receive(mut socket: &TcpStream, buffer: &mut [u8]) -> Received {
    loop {
        match socket.read(buffer) {
            Ok(0) => return Received::End,
            Ok(n) => return Received::Bytes(n),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => return Received::Blocked,
                _ => return Received::Lost,
            },
        }
    }
}

/// Writes once. Returns how many bytes the socket took (0 when it takes none for now), or `None`
/// when the connection is gone.
pub(super) fn send(mut socket: &TcpStream, slices: &[IoSlice<'_>]) -> Option<usize> {
    loop {
        let result = match slices {
            [one] => socket.write(one),
            several => socket.write_vectored(several),
        };
        match result {
            Ok(n) => return Some(n),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => return Some(0),
                _ => return None,
            },
        }
    }
}

/// Sets what every connection needs. Failure changes speed, not meaning, so it is ignored.
pub(super) fn tune(socket: &TcpStream, notsent_bytes_max: u32) {
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(notsent_bytes_max);
}
