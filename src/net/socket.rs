//! The only place where bytes enter and leave a socket.
//!
//! By rustix, whose calls go to the system directly: those of libc are cancellation points, and what that
//! costs is seen at a few hundred thousand calls a second.

use mio::net::{TcpListener, TcpStream};
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

/// Sets what every connection needs, once: those that a listener accepts have what it has. Failure
/// changes speed, not meaning, so it is ignored.
pub(super) fn tune(listener: &TcpListener, notsent_bytes_max: u32) {
    let listener = SockRef::from(listener);
    let _ = listener.set_tcp_nodelay(true);
    let _ = listener.set_tcp_notsent_lowat(notsent_bytes_max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_is_tuned_to_holds_for_those_that_it_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        tune(&listener, 12_345);
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = loop {
            match listener.accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        assert!(accepted.nodelay().unwrap());
        assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), 12_345);
    }
}
