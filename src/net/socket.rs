//! The only place where bytes enter and leave a socket.
//!
//! By rustix, whose calls go to the system directly: those of libc are cancellation points, and what that
//! costs is seen at a few hundred thousand calls a second.

use mio::net::TcpStream;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use std::io::{self, IoSlice, Write};

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
pub(super) fn receive(socket: &TcpStream, buffer: &mut [u8]) -> Received {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => return Received::End,
            Ok((_, n)) => return Received::Bytes(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Received::Blocked,
            Err(_) => return Received::Lost,
        }
    }
}

/// Writes once. Returns how many bytes the socket took (0 when it takes none for now), or `None`
/// when the connection is gone.
pub(super) fn send(socket: &TcpStream, bytes: &[u8]) -> Option<usize> {
    taken(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
}

/// The same with several slices.
pub(super) fn send_vectored(mut socket: &TcpStream, slices: &[IoSlice<'_>]) -> Option<usize> {
    let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    taken(|| socket.write_vectored(slices).map_err(failed))
}

fn taken(mut write: impl FnMut() -> Result<usize, Errno>) -> Option<usize> {
    loop {
        match write() {
            Ok(n) => return Some(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Some(0),
            Err(_) => return None,
        }
    }
}

/// Sets what every connection needs. Failure changes speed, not meaning, so it is ignored.
pub(super) fn tune(socket: &TcpStream, notsent_bytes_max: u32) {
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(notsent_bytes_max);
}
