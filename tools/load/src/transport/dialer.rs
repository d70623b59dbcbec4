//! Opens sockets for connections that come to need one in the middle, wakes those that wait before they try
//! again, and counts what they asked.

use super::Io;
use crate::fleet::{Plan, Sources};
use crate::outcome::Outcome;
use crate::returns::Returns;
use crate::tls::Client;
use mio::{Interest, Registry, Token};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

/// HTTP requests, and those among them that were made again.
const REQUESTS: &str = "requests";
const REQUESTS_AGAIN: &str = "requests_again";
/// Sockets that were opened for requests.
const SOCKETS: &str = "sockets";

/// What makes a token one of a second socket. No run has so many connections.
const UP: usize = 1 << 40;

/// Which of a connection's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The first, or the only one.
    Down = 0,
    /// The one for requests that go up.
    Up = 1,
}

/// The number and the socket that a token is of.
pub(crate) fn lane_of(Token(token): Token) -> (usize, Lane) {
    if token & UP == 0 { (token, Lane::Down) } else { (token & !UP, Lane::Up) }
}

/// What all connections of one poll open their sockets by.
#[derive(Debug)]
pub(crate) struct Dialer {
    target: SocketAddr,
    /// For the `Host` field.
    pub(super) host: String,
    registry: Registry,
    /// None in plaintext.
    tls: Option<Client>,
    sources: RefCell<Sources>,
    /// Who tries again when.
    returns: RefCell<Returns>,
    pub(super) requests: Cell<u64>,
    pub(super) again: Cell<u64>,
    sockets: Cell<u64>,
}

impl Dialer {
    /// Opens to where a plan goes.
    pub(crate) fn new(plan: &Plan, registry: &Registry) -> io::Result<Rc<Self>> {
        let tls = plan.tls.as_ref().map(|trust| Client::new(trust, &plan.host));
        Ok(Rc::new(Self {
            target: plan.target,
            host: plan.host.clone(),
            registry: registry.try_clone()?,
            tls: tls.transpose().map_err(io::Error::other)?,
            sources: RefCell::new(Sources::new(&plan.sources, plan.target)),
            returns: RefCell::default(),
            requests: Cell::new(0),
            again: Cell::new(0),
            sockets: Cell::new(0),
        }))
    }

    /// Begins a socket of the connection of this number; `place` says which source it comes from. With a
    /// size, the system's buffer for what comes has that one.
    pub(crate) fn dial(
        &self,
        (number, lane): (usize, Lane),
        place: usize,
        receive_bytes: Option<usize>,
    ) -> Result<Io, String> {
        let begun = self.sources.borrow_mut().connect(place, self.target, receive_bytes);
        let mut socket = begun.map_err(|failure| failure.to_string())?;
        let token = match lane {
            Lane::Down => Token(number),
            Lane::Up => Token(number | UP),
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.registry.register(&mut socket, token, interest);
        registered.map_err(|error| format!("poll: {error}"))?;
        self.sockets.set(self.sockets.get() + 1);
        Ok(Io::new(socket, self.tls.as_ref().map(Client::session).transpose()?))
    }

    /// A connection wants to be looked at then.
    pub(super) fn wake(&self, number: usize, at_ns: u64) {
        self.returns.borrow_mut().add(at_ns, number);
    }

    /// The next connection that wanted to be looked at by now; it may have become another one.
    pub(crate) fn pop_due(&self, now_ns: u64) -> Option<usize> {
        self.returns.borrow_mut().pop(now_ns).map(|(_, number)| number)
    }

    /// When [`Self::pop_due`] next has one.
    pub(crate) fn next_ns(&self) -> u64 {
        self.returns.borrow().next_ns()
    }

    /// Puts what was asked into an outcome, where anything was.
    pub(crate) fn put(&self, outcome: &mut Outcome) {
        if self.requests.get() > 0 {
            outcome.add(REQUESTS, self.requests.get());
            outcome.add(REQUESTS_AGAIN, self.again.get());
            outcome.add(SOCKETS, self.sockets.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_which_socket_it_is() {
        assert_eq!(lane_of(Token(7)), (7, Lane::Down));
        assert_eq!(lane_of(Token(7 | UP)), (7, Lane::Up));
    }
}
