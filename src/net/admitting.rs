//! Connections of proxies: who is behind them, and whether that one may be here.

use super::access::{self, Preamble};
use super::conn::Phase;
use super::conns::Refused;
use super::driver::Driver;
use super::http::Request;
use super::reading::Core;
use super::socket;
use madang_engine::id::ConnId;
use std::io::ErrorKind;
use std::net::IpAddr;

impl<D: Driver> Core<D> {
    /// Takes a proxy's header off a connection that begins with one. Whether what follows may be
    /// read.
    pub(super) fn read_preamble(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if !conn.in_preamble || conn.phase != Phase::Http {
            return true;
        }
        // Looked at and left there until it is whole, so that nothing behind it is taken along.
        let mut bytes = [0; access::PREAMBLE_BYTES_MAX];
        let seen = match conn.socket.tcp().peek(&mut bytes) {
            Ok(0) => {
                self.conns.end(id);
                return false;
            }
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                conn.readable = false;
                return false;
            }
            Err(_) => {
                self.conns.end(id);
                return false;
            }
        };
        match access::read_preamble(&bytes[..seen]) {
            // More bytes are another event.
            Preamble::Incomplete if !conn.end_signalled => {
                conn.readable = false;
                false
            }
            Preamble::Complete { bytes: length, client } => {
                let taken = socket::receive(conn.socket.tcp(), &mut bytes[..length]);
                conn.in_preamble = false;
                if taken != socket::Received::Bytes(length) {
                    self.conns.end(id);
                    return false;
                }
                client.is_none_or(|client| self.come_from(id, client))
            }
            Preamble::Incomplete | Preamble::Malformed => {
                self.conns.counters.preamble_failures += 1;
                self.conns.end(id);
                false
            }
        }
    }

    /// A proxy has said who is behind a connection. Whether that one may be.
    fn come_from(&mut self, id: ConnId, client: IpAddr) -> bool {
        let is_proxy = self.conns.access.is_proxy(client);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.via_proxy = is_proxy;
        }
        match self.conns.admit_behind(id, client, false) {
            Ok(()) => true,
            Err(why) => {
                if self.conns.get(id).is_some_and(|conn| conn.socket.is_tls()) {
                    self.conns.end(id);
                } else {
                    self.turn_away(id, why);
                }
                false
            }
        }
    }

    /// Answers who may not be here, and lets the connection end.
    pub(super) fn turn_away(&mut self, id: ConnId, why: Refused) {
        let response = self.conns.refusal(why);
        self.conns.respond(id, response.closing(), false, false);
    }

    /// Counts a proxy's connection for the address that a request's field says, where that counts.
    pub(super) fn admit_forwarded(
        &mut self,
        id: ConnId,
        request: &Request<'_>,
    ) -> Result<(), Refused> {
        let kind = self.conns.access.forwarded();
        let via_proxy = self.conns.get(id).is_some_and(|conn| conn.via_proxy);
        let Some(field) = kind.field().filter(|_| via_proxy) else { return Ok(()) };
        let access = &self.conns.access;
        let is_proxy = |address| access.is_proxy(address);
        match access::forwarded_client(kind, request.list(field), is_proxy) {
            Some(client) => {
                let goes_on = self.driver.goes_on(request);
                self.conns.admit_behind(id, client, goes_on)
            }
            None => Ok(()),
        }
    }
}
