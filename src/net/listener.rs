//! Listening sockets: several on one address, one per thread, between which the kernel spreads
//! the connections (`SO_REUSEPORT`).

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// How many connections may wait for [`TcpListener::accept`]; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// `count` non-blocking listeners on `address`. With port 0 the first one picks a port and the
/// others share it. An address that another socket listens on is an error, although the kernel
/// would let two programs that both ask for `SO_REUSEPORT` share it: they would take each other's
/// clients.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    if address.port() != 0 {
        bind_one(address, false).map_err(|error| explain(address, &error))?;
    }
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = bind_one(address, true).map_err(|error| explain(address, &error))?;
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses it; stop that one or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address",
        _ => "check the address",
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_the_port_that_the_first_one_picked() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listeners = bind(address.parse().unwrap(), 3).unwrap();
            let port = listeners[0].local_addr().unwrap().port();
            assert_ne!(port, 0);
            assert!(listeners.iter().all(|one| one.local_addr().unwrap().port() == port));
        }
    }

    #[test]
    fn an_address_is_not_shared_with_another_program() {
        let held = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = bind(held[0].local_addr().unwrap(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_error_names_the_address_and_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let text = bind(address, 1).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()) && text.contains("another port"), "{text}");
    }
}
