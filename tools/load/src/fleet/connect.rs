//! Opening connections: where from, how many at a time, and why one failed.

use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Connections from one source address before the next is used. Of the 28,000 ports that Linux gives
/// out, finding a free one for a bound address takes long when a third is in use.
const PER_SOURCE: usize = 10_000;
/// The same where the system chooses the address with the connection.
const UNBOUND: usize = 12_000;
/// Loopback addresses that are used as sources when nothing else was asked for.
const LOOPBACK_SOURCES: u8 = 16;

/// Loopback addresses that each of several processes has for itself.
const LOOPBACK_SOURCES_EACH: usize = 4;

/// The addresses of one of several processes, given those that were asked for.
pub(super) fn share(
    asked: &[IpAddr],
    target: SocketAddr,
    worker: usize,
    processes: usize,
) -> Vec<IpAddr> {
    if asked.is_empty() && is_loopback(target) {
        let from = 2 + worker * LOOPBACK_SOURCES_EACH;
        // 127.0.0.0/8 has more than anybody has processes.
        let address = |at: usize| Ipv4Addr::new(127, 0, (at / 250) as u8, (at % 250) as u8 + 2);
        return (from..from + LOOPBACK_SOURCES_EACH).map(|at| address(at).into()).collect();
    }
    if asked.len() < processes {
        return asked.to_vec();
    }
    asked.iter().skip(worker).step_by(processes).copied().collect()
}

/// The addresses that connections come from.
#[derive(Debug)]
pub(crate) struct Sources {
    /// How many connections are the system's choice.
    unbound: usize,
    addresses: Vec<IpAddr>,
    /// How many of them had no port left.
    exhausted: usize,
}

/// Why no connection could be begun.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This process has no descriptor left.
    Descriptors,
    /// No source address has a port left.
    Ports,
    /// Something else.
    Other(io::Error),
}

impl Sources {
    /// Those that were asked for; else, for a server on loopback, loopback's first.
    pub(crate) fn new(asked: &[IpAddr], target: SocketAddr) -> Self {
        let is_loopback = is_loopback(target);
        let (unbound, addresses) = match asked {
            [] if is_loopback => (UNBOUND, (2..=LOOPBACK_SOURCES).map(loopback).collect()),
            [] => (usize::MAX, Vec::new()),
            asked => (0, asked.to_vec()),
        };
        Self { unbound, addresses, exhausted: 0 }
    }

    /// Begins the connection of this number. With a size, the system's buffer for what comes has
    /// that one; else it grows as the system likes.
    pub(crate) fn connect(
        &mut self,
        number: usize,
        target: SocketAddr,
        receive_bytes: Option<usize>,
    ) -> Result<TcpStream, Failure> {
        loop {
            let place = self.place(number);
            let source = match place {
                None => None,
                Some(place) => Some(*self.addresses.get(place).ok_or(Failure::Ports)?),
            };
            match begin(source, target, receive_bytes) {
                Ok(socket) => return Ok(socket),
                Err(error) => match (Errno::from_io_error(&error), place) {
                    (Some(Errno::MFILE | Errno::NFILE), _) => return Err(Failure::Descriptors),
                    (Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE), None) => self.unbound = number,
                    (Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE), Some(place)) => {
                        self.exhausted = place + 1;
                    }
                    _ => return Err(Failure::Other(error)),
                },
            }
        }
    }

    /// Which address a connection comes from; none is the system's choice.
    fn place(&self, number: usize) -> Option<usize> {
        let bound = number.checked_sub(self.unbound)?;
        Some((bound / PER_SOURCE).max(self.exhausted))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors => f.write_str("this process is out of descriptors (ulimit -n)"),
            Self::Ports => f.write_str("out of ports; name more addresses by --source"),
            Self::Other(error) => write!(f, "cannot connect: {error}"),
        }
    }
}

fn is_loopback(target: SocketAddr) -> bool {
    matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback())
}

fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

fn begin(
    source: Option<IpAddr>,
    target: SocketAddr,
    receive_bytes: Option<usize>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Messages are written whole; waiting for more would only make them late.
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&target.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_share_no_address_unless_there_are_too_few() {
        let target: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mut all: Vec<_> = (0..100).flat_map(|worker| share(&[], target, worker, 100)).collect();
        assert_eq!(all.len(), 400);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 400);
        assert!(all.iter().all(IpAddr::is_loopback));

        let asked = [loopback(7), loopback(8), loopback(9)];
        assert_eq!(share(&asked, target, 1, 2), [loopback(8)]);
        assert_eq!(share(&asked[..1], target, 1, 2), [loopback(7)]);
    }
}
