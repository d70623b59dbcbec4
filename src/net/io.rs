//! What a driver can do with connections.

use super::access::Access;
use super::budget::Permit;
use super::conn::Phase;
use super::conns::Conns;
use super::http::Response;
use super::{Detached, NetCounters};
use ipnet::IpNet;
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use std::net::{IpAddr, SocketAddr};

/// A reactor's connections, lent to the driver for one call. A [`ConnId`] that means nothing any
/// more is ignored everywhere.
pub struct Io<'a> {
    pub(super) conns: &'a mut Conns,
    /// The connection whose bytes are being handled, and those that come after what the driver is
    /// looking at.
    pub(super) current: Option<(ConnId, &'a [u8])>,
}

/// A place that [`Io::take_place`] took; given back when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "what counts is when it is dropped")] Permit);

impl<'a> Io<'a> {
    pub(super) fn new(conns: &'a mut Conns) -> Self {
        Self { conns, current: None }
    }

    /// The time of this turn.
    pub fn now(&self) -> Time {
        self.conns.now
    }

    /// Says that the driver has something for this connection: [`super::Driver::fill`] is called
    /// at the end of the turn, or once the socket takes bytes again. Cheap to repeat.
    pub fn flush(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(conn)
            && matches!(state.phase, Phase::Open(_))
        {
            state.wants_fill = true;
            self.conns.queue_flush(conn);
        }
    }

    /// Ends a stream, or a WebSocket connection: a Close frame goes behind what the socket has not taken yet,
    /// then the connection lingers for the peer's end, at most
    /// [`super::NetConfig::linger_ms`]. The driver hears nothing of it any more. `reason` is cut
    /// to 123 bytes. An HTTP connection ends once its answer is written.
    pub fn close(&mut self, conn: ConnId, code: u16, reason: &str) {
        let Some(state) = self.conns.get_mut(conn) else { return };
        match state.phase {
            Phase::Open(_) => self.conns.close(conn, Some(code), reason),
            Phase::Http => {
                state.close_after = true;
                self.conns.queue_flush(conn);
            }
            Phase::Closing | Phase::Ended => {}
        }
    }

    /// Ends a stream behind a last piece of its body, as [`Self::close`] does without one.
    pub fn finish(&mut self, conn: ConnId, last: Vec<u8>) {
        self.conns.finish(conn, last);
    }

    /// Takes a place among the connections of the process and of the client behind this one, for
    /// something that lasts longer than the connection does.
    ///
    /// # Errors
    ///
    /// The answer to who may not have it.
    pub fn take_place(&mut self, conn: ConnId) -> Result<Place, Response> {
        self.conns.admit_another(conn).map(Place)
    }

    /// Gives the answer that was promised with [`super::Answer::Later`].
    pub fn respond(&mut self, conn: ConnId, response: Response) {
        self.conns.pay_answer(conn, response);
    }

    /// Delivers nothing from this connection until [`Self::resume_read`], not even what has been
    /// read already.
    pub fn pause_read(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(conn) {
            state.paused = true;
        }
    }

    /// Undoes [`Self::pause_read`].
    pub fn resume_read(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(conn) {
            state.paused = false;
            self.conns.queue_read(conn);
        }
    }

    /// Takes a connection out of this reactor, with every byte that was read and not delivered
    /// and every byte that was not written. `None` if it has ended or is ending. Inside
    /// [`super::Driver::on_message`] the message counts as delivered; inside
    /// [`super::Driver::on_request`] the request does not, and the answer is ignored.
    pub fn detach(&mut self, conn: ConnId) -> Option<Detached> {
        let rest = match self.current {
            Some((current, rest)) if current == conn => rest,
            _ => &[],
        };
        self.conns.detach(conn, rest)
    }

    /// Goes on with a connection that another reactor detached: with its messages if it is an open
    /// WebSocket ([`super::Driver::on_open`] is not called), else with
    /// [`super::Driver::on_request`]. Pauses and flush marks are not carried along.
    pub fn adopt(&mut self, detached: Detached) -> ConnId {
        self.conns.adopt(detached)
    }

    /// The peer's address; `None` if the connection has ended.
    pub fn peer_addr(&self, conn: ConnId) -> Option<SocketAddr> {
        self.conns.get(conn)?.socket.tcp().peer_addr().ok()
    }

    /// The client's address: what a proxy says that may say it, else the peer's.
    pub fn client_ip(&self, conn: ConnId) -> Option<IpAddr> {
        let state = self.conns.get(conn)?;
        let held = state.permit.as_ref().and_then(super::budget::Permit::holder);
        held.or_else(|| Some(state.socket.tcp().peer_addr().ok()?.ip()))
    }

    /// The connections of clients in a network.
    pub fn of_network(&self, network: &IpNet) -> Vec<ConnId> {
        let is_in = |conn: &ConnId| {
            self.client_ip(*conn).is_some_and(|client| network.contains(&client.to_canonical()))
        };
        self.conns.ids().filter(is_in).collect()
    }

    /// Who may connect.
    pub fn access(&self) -> &Access {
        &self.conns.access
    }

    /// What the reactor did so far.
    pub fn counters(&mut self) -> &mut NetCounters {
        &mut self.conns.counters
    }

    /// Bytes that sockets have not taken yet.
    pub fn unwritten_bytes(&self) -> u64 {
        self.conns.unwritten_bytes()
    }

    /// Connections that exist, those that linger included.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Closes the listener at the start of the next turn.
    pub fn stop_accepting(&mut self) {
        self.conns.accepts_stopped = true;
    }

    /// Reads from no connection until [`Self::resume_all_reads`], except to let closing ones end.
    /// Connections at a request end: at once, or behind the answer that is being written.
    pub fn pause_all_reads(&mut self) {
        self.conns.pause_all_reads();
    }

    /// Reads no messages any more, but requests as before: a part of [`Self::pause_all_reads`].
    pub fn pause_messages(&mut self) {
        self.conns.pause_messages();
    }

    /// Undoes [`Self::pause_all_reads`].
    pub fn resume_all_reads(&mut self) {
        self.conns.resume_all_reads();
    }

    /// Lets [`super::Reactor::run`] return at the end of this turn.
    pub fn stop(&mut self) {
        self.conns.stopped = true;
    }
}
