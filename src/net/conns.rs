//! All connections of a reactor: the slab, the lists of those with something to do, the
//! transport's timers, and the transitions that every part of the turn uses.

use super::access::{Access, Barred};
use super::budget::{Full, Permit};
use super::conn::{Conn, Detached, Input, NEVER, Owed, Phase, Progress, Reading};
use super::http::Response;
use super::pace::Pace;
use super::reactor::{TOO_FAST, TOO_MANY};
use super::rounds::Rounds;
use super::tls::{self, Tls};
use super::transport::{TlsFailure, Transport};
use super::{Framing, NetConfig, NetCounters};
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use madang_engine::timer::Wheel;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Deadlines are rounded up to this.
const TIMER_GRANULARITY_US: u64 = 10_000;
/// Most connections that linger after a refusal for want of room: they take descriptors from the
/// reserve.
pub(super) const SHED_MAX: usize = 64;

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its address is banned: it hears nothing.
    Banned,
    /// There is no place for it.
    Full(Full),
}

pub(super) struct Conns {
    pub(super) config: NetConfig,
    pub(super) registry: Registry,
    pub(super) now: Time,
    slab: Slab<Conn>,
    next_generation: u32,
    /// Those of which something came, in the order in which they will be read.
    pub(super) fresh: VecDeque<ConnId>,
    /// Those of which more came than was read.
    pub(super) behind: Rounds,
    /// Those with unread bytes of a TLS handshake, which has a budget of its own.
    pub(super) handshakes: VecDeque<ConnId>,
    /// How many messages are read in a turn.
    pub(super) pace: Pace,
    /// Those with unwritten bytes, in the order in which they will be written.
    pub(super) flush: VecDeque<ConnId>,
    /// The same of those that are closing, which give way to the others.
    pub(super) leaving: VecDeque<ConnId>,
    /// Those to be freed at the end of a turn, in the order in which they will be.
    ended: VecDeque<ConnId>,
    pub(super) timers: Wheel<ConnId>,
    /// What new connections speak, if not plain TCP.
    pub(super) tls: Option<Tls>,
    pub(super) access: Arc<Access>,
    pub(super) counters: NetCounters,
    /// Connections without a permit, which only linger to hear a refusal.
    shed: usize,
    /// What is read.
    pub(super) reading: Reading,
    /// The listener is to be closed.
    pub(super) accepts_stopped: bool,
    /// The loop is to end.
    pub(super) stopped: bool,
}

/// Places that an empty list of connections keeps.
const LIST_KEPT: usize = 1024;

impl Conns {
    pub(super) fn new(config: NetConfig, registry: Registry, now: Time) -> Self {
        let pace = Pace::new(config.read_messages_shared, config.turn_ms);
        Self {
            config,
            pace,
            registry,
            now,
            slab: Slab::new(),
            next_generation: 0,
            fresh: VecDeque::new(),
            behind: Rounds::default(),
            handshakes: VecDeque::new(),
            flush: VecDeque::new(),
            leaving: VecDeque::new(),
            ended: VecDeque::new(),
            timers: Wheel::new(now, TIMER_GRANULARITY_US),
            tls: None,
            access: Arc::default(),
            counters: NetCounters::default(),
            shed: 0,
            reading: Reading::Everything,
            accepts_stopped: false,
            stopped: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slab.get(id.slot as usize).filter(|conn| conn.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slab.get_mut(id.slot as usize).filter(|conn| conn.generation == id.generation)
    }

    /// Whether something is to be done without waiting for an event.
    pub(super) fn is_busy(&self) -> bool {
        let lists = [&self.fresh, &self.handshakes, &self.flush, &self.leaving, &self.ended];
        !self.behind.is_empty() || lists.into_iter().any(|list| !list.is_empty())
    }

    /// Adds a connection and has its socket watched. When that fails the connection is there all
    /// the same and reads as ended.
    pub(super) fn insert(
        &mut self,
        mut socket: Transport,
        phase: Phase,
        permit: Option<Permit>,
    ) -> ConnId {
        let entry = self.slab.vacant_entry();
        let id = ConnId { slot: entry.key() as u32, generation: self.next_generation };
        self.next_generation = self.next_generation.wrapping_add(1);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = self.registry.register(socket.tcp_mut(), token(id), interest);
        let mut conn = Conn::new(socket, id.generation, phase);
        conn.permit = permit;
        conn.eof = watched.is_err();
        entry.insert(conn);
        self.queue_read(id);
        id
    }

    /// Answers a connection beyond the budget and lets it end. Only so many linger until the peer
    /// has read the answer; beyond them the answer may be lost.
    pub(super) fn shed(&mut self, socket: TcpStream, why: Full, answer: &[u8]) {
        self.counters.shed += 1;
        if self.tls.is_some() {
            let _ = super::socket::send(&socket, &tls::NO_PLACE);
            return;
        }
        match why {
            Full::Process => self.counters.http_answers[4] += 1,
            Full::Address | Full::Rate => self.counters.http_answers[3] += 1,
        }
        if self.shed >= SHED_MAX {
            let _ = super::socket::send(&socket, answer);
            return;
        }
        self.shed += 1;
        let id = self.insert(socket.into(), Phase::Closing, None);
        if let Some(conn) = self.get_mut(id) {
            conn.tail.get_or_insert_default().put(answer);
        }
        self.begin_closing(id);
    }

    /// Counts a connection for the address that it is from, as far as is known now. The error says
    /// why it may not be.
    pub(super) fn admit(&mut self, permit: &mut Permit, address: IpAddr) -> Result<(), Refused> {
        match self.access.admit(address, self.now) {
            Ok(()) => {}
            Err(Barred::Banned) => {
                self.counters.banned += 1;
                return Err(Refused::Banned);
            }
            Err(Barred::TooFast) => {
                self.counters.too_fast += 1;
                return Err(Refused::Full(Full::Rate));
            }
        }
        self.hold(permit, address)
    }

    /// Counts a connection for an address that may be here already: its rate is not asked.
    fn admit_known(&mut self, permit: &mut Permit, address: IpAddr) -> Result<(), Refused> {
        if self.access.is_banned(address) {
            self.counters.banned += 1;
            return Err(Refused::Banned);
        }
        self.hold(permit, address)
    }

    fn hold(&self, permit: &mut Permit, address: IpAddr) -> Result<(), Refused> {
        let per_address_max = self.config.connections_per_ip_max;
        let bound = (!self.access.is_trusted(address)).then_some(per_address_max);
        permit.hold(address, bound).map_err(Refused::Full)
    }

    /// A proxy says who is behind a connection. Nothing is done when that is known already. Of one
    /// who goes on with what it began over another connection the rate is not asked.
    pub(super) fn admit_behind(
        &mut self,
        id: ConnId,
        client: IpAddr,
        goes_on: bool,
    ) -> Result<(), Refused> {
        let Some(conn) = self.get_mut(id) else { return Ok(()) };
        let Some(mut permit) = conn.permit.take() else { return Ok(()) };
        let result = if permit.holder() == Some(client) {
            Ok(())
        } else if goes_on {
            self.admit_known(&mut permit, client)
        } else {
            self.admit(&mut permit, client)
        };
        if let Some(conn) = self.get_mut(id) {
            conn.permit = Some(permit);
        }
        result
    }

    /// Puts a connection at the end of the list of those to be read, if it is due.
    pub(super) fn queue_read(&mut self, id: ConnId) {
        if self.get(id).is_some_and(|conn| conn.unread) {
            return self.queue_rest(id);
        }
        match self.begin_wait(id) {
            Some(true) => self.handshakes.push_back(id),
            Some(false) => self.fresh.push_back(id),
            None => {}
        }
    }

    /// Puts a connection that was read, and not to its end, among those that are behind.
    pub(super) fn queue_rest(&mut self, id: ConnId) {
        match self.begin_wait(id) {
            Some(true) => self.handshakes.push_back(id),
            Some(false) => self.behind.push(id),
            None => {}
        }
    }

    /// Marks a connection as one that waits to be read, if it is due and does not wait already, and says
    /// whether it is still about to agree on keys.
    fn begin_wait(&mut self, id: ConnId) -> Option<bool> {
        let reading = self.reading;
        let conn = self.get_mut(id)?;
        let is_due = !conn.in_ready && conn.has_unread() && conn.may_read(reading);
        conn.in_ready |= is_due;
        is_due.then(|| conn.socket.is_handshaking())
    }

    /// How many closing connections a turn is for. The last turn is for all: there is no other.
    pub(super) fn closes_now(&self) -> usize {
        if self.stopped { usize::MAX } else { self.config.closes_per_turn }
    }

    /// Puts a connection at the end of the list of those to be written, if it is due.
    pub(super) fn queue_flush(&mut self, id: ConnId) {
        let Some(conn) = self.get_mut(id) else { return };
        if !conn.in_flush && conn.wants_write() {
            conn.in_flush = true;
            let is_leaving = conn.phase == Phase::Closing;
            if is_leaving { &mut self.leaving } else { &mut self.flush }.push_back(id);
        }
    }

    /// Goes on reading requests, but no messages.
    pub(super) fn pause_messages(&mut self) {
        self.reading = Reading::Requests;
    }

    /// Stops reading everywhere; what has not become a WebSocket will not any more.
    pub(super) fn pause_all_reads(&mut self) {
        self.reading = Reading::Nothing;
        let all: Vec<ConnId> = self.ids().collect();
        for id in all {
            let Some(conn) = self.get_mut(id) else { continue };
            match conn.phase {
                Phase::Http if conn.owed != Owed::Nothing => conn.owed = Owed::LastAnswer,
                Phase::Http if conn.tail.is_none() => self.end(id),
                Phase::Http => conn.close_after = true,
                Phase::Open(_) | Phase::Closing | Phase::Ended => {}
            }
        }
    }

    /// Queues an answer. The next request is looked at when it is written.
    pub(super) fn respond(
        &mut self,
        id: ConnId,
        response: Response,
        is_head: bool,
        keep_alive: bool,
    ) {
        let requests_max = self.config.requests_max;
        let Some(conn) = self.get_mut(id) else { return };
        conn.requests = conn.requests.saturating_add(1);
        conn.close_after |= response.close || !keep_alive || conn.requests >= requests_max;
        let connection = if conn.close_after { "close" } else { "keep-alive" };
        let tail = conn.tail.get_or_insert_default();
        tail.put(&response.head(connection));
        let class = usize::from(response.status / 100).clamp(1, 5) - 1;
        if !is_head && !matches!(response.status, 204 | 304) {
            tail.put_body(response.body);
        }
        conn.in_head = false;
        self.counters.http_answers[class] += 1;
        let deadline = self.now.plus_ms(self.config.idle_ms);
        self.set_deadline(id, deadline);
        self.queue_flush(id);
    }

    /// Starts the clock of a body whose head is complete.
    pub(super) fn wait_for_body(&mut self, id: ConnId) {
        let deadline = self.now.plus_ms(self.config.body_ms);
        if let Some(conn) = self.get_mut(id) {
            conn.in_head = true;
            self.set_deadline(id, deadline);
        }
    }

    /// The driver answers later: until then nothing is read and nothing is due.
    pub(super) fn owe_answer(&mut self, id: ConnId, keep_alive: bool) {
        let Some(conn) = self.get_mut(id) else { return };
        conn.owed = if keep_alive { Owed::Answer } else { Owed::LastAnswer };
        conn.in_head = false;
        conn.deadline = NEVER;
    }

    /// The answer that was owed, if one was.
    pub(super) fn pay_answer(&mut self, id: ConnId, response: Response) {
        let Some(conn) = self.get_mut(id) else { return };
        let owed = std::mem::replace(&mut conn.owed, Owed::Nothing);
        if owed != Owed::Nothing && conn.phase == Phase::Http {
            self.respond(id, response, false, owed == Owed::Answer);
        }
    }

    /// Bytes that sockets have not taken, of connections that exist.
    pub(super) fn unwritten_bytes(&self) -> u64 {
        self.slab.iter().map(|(_, conn)| unwritten(conn)).sum()
    }

    /// Lets reading go on everywhere.
    pub(super) fn resume_all_reads(&mut self) {
        self.reading = Reading::Everything;
        let all: Vec<ConnId> = self.ids().collect();
        for id in all {
            self.queue_read(id);
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConnId> {
        self.slab
            .iter()
            .map(|(slot, conn)| ConnId { slot: slot as u32, generation: conn.generation })
    }

    /// Moves the deadline. An entry in the wheel that comes earlier serves this one too.
    pub(super) fn set_deadline(&mut self, id: ConnId, deadline: Time) {
        let Some(conn) = self.get_mut(id) else { return };
        conn.deadline = deadline;
        if deadline < conn.armed {
            conn.armed = deadline;
            self.timers.insert(deadline, id);
        }
    }

    /// The next connection whose deadline is past.
    pub(super) fn pop_expired(&mut self) -> Option<ConnId> {
        while let Some(id) = self.timers.pop(self.now) {
            let now = self.now;
            let Some(conn) = self.get_mut(id) else { continue };
            // An entry that was overtaken by an earlier one means nothing.
            if conn.armed > now {
                continue;
            }
            conn.armed = NEVER;
            let deadline = conn.deadline;
            if deadline <= now {
                conn.deadline = NEVER;
                return Some(id);
            }
            if deadline != NEVER {
                self.set_deadline(id, deadline);
            }
        }
        None
    }

    /// Ends a stream with a last piece of its body.
    pub(super) fn finish(&mut self, id: ConnId, last: Vec<u8>) {
        let Some(conn) = self.get_mut(id) else { return };
        if conn.phase == Phase::Open(Framing::Stream) {
            conn.tail.get_or_insert_default().set_last(last);
            self.begin_closing(id);
        }
    }

    /// Takes a place for something that lasts longer than a connection, for the client that is
    /// behind this one. The answer is what that one is told when it may not have it.
    pub(super) fn admit_another(&mut self, id: ConnId) -> Result<Permit, Response> {
        let connections_max = self.config.connections_max;
        let Some(conn) = self.get(id) else { return Err(self.refusal(Refused::Banned)) };
        let holder = conn.permit.as_ref().and_then(Permit::holder);
        let peer = || Some(conn.socket.tcp().peer_addr().ok()?.ip());
        let address = holder.or_else(peer);
        let taken = conn.permit.as_ref().map(|permit| permit.another(connections_max));
        let Some(taken) = taken else { return Err(self.refusal(Refused::Banned)) };
        let mut permit = taken.map_err(|why| self.refusal(Refused::Full(why)))?;
        if let Some(address) = address {
            self.admit(&mut permit, address).map_err(|why| self.refusal(why))?;
        }
        Ok(permit)
    }

    /// What who may not be here is told.
    pub(super) fn refusal(&self, why: Refused) -> Response {
        let (status, text) = match why {
            Refused::Banned => return Response::text(403, "Your address is banned."),
            Refused::Full(Full::Process) => (503, "The server is full; try again later."),
            Refused::Full(Full::Rate) => (429, TOO_FAST),
            Refused::Full(Full::Address) => (429, TOO_MANY),
        };
        let retry_after_s = self.config.retry_after_s.to_string();
        Response::text(status, text).header("Retry-After", retry_after_s)
    }

    /// Ends a WebSocket connection with a Close frame, or a stream; nothing is delivered after it.
    pub(super) fn close(&mut self, id: ConnId, code: Option<u16>, reason: &str) {
        let Some(conn) = self.get_mut(id) else { return };
        debug_assert!(matches!(conn.phase, Phase::Open(_)));
        if conn.phase == Phase::Open(Framing::Stream) {
            return self.begin_closing(id);
        }
        conn.tail.get_or_insert_default().set_close(code, reason);
        *self.counters.ws_closes.entry(code.unwrap_or(super::ws::NO_CODE)).or_default() += 1;
        self.begin_closing(id);
    }

    /// Lets the driver's part of a connection end: write what is left, then linger.
    pub(super) fn begin_closing(&mut self, id: ConnId) {
        let Some(conn) = self.get_mut(id) else { return };
        conn.phase = Phase::Closing;
        conn.input = None;
        conn.unread = false;
        conn.decoder = super::ws::Decoder::default();
        conn.wants_fill = false;
        let deadline = self.now.plus_ms(self.config.linger_ms);
        self.set_deadline(id, deadline);
        self.queue_flush(id);
        self.queue_read(id);
    }

    /// Everything of a closing connection is written.
    pub(super) fn finish_closing(&mut self, id: ConnId) {
        let Some(conn) = self.get_mut(id) else { return };
        if !conn.shut {
            conn.shut = conn.socket.finish();
            conn.blocked = !conn.shut;
        }
        if !conn.shut {
            return;
        }
        if conn.eof {
            self.end(id);
        }
    }

    /// TLS has done something for a connection: its answer, if it has one, is to be written, and with
    /// the end of the handshake the clock of the first request begins.
    pub(super) fn tls_moved(&mut self, id: ConnId) {
        let deadline = self.now.plus_ms(self.config.head_ms);
        let Some(tls) = self.get_mut(id).and_then(|conn| conn.socket.tls()) else { return };
        match tls.take_completed() {
            Some(true) => self.counters.tls_resumed += 1,
            Some(false) => self.counters.tls_handshakes += 1,
            None => return self.queue_flush(id),
        }
        self.set_deadline(id, deadline);
        self.queue_flush(id);
    }

    /// TLS has failed for a connection: nothing but its alert is written any more.
    pub(super) fn tls_failed(&mut self, id: ConnId, why: TlsFailure) {
        self.counters.tls_failures[why as usize] += 1;
        let Some(conn) = self.get_mut(id) else { return };
        let (unwritten_bytes, phase) = (unwritten(conn), conn.phase);
        conn.tail = None;
        self.counters.unwritten_bytes += unwritten_bytes;
        if phase != Phase::Ended {
            self.begin_closing(id);
        }
    }

    /// The peer's end came; in a handshake that has begun it is a failure.
    pub(super) fn tls_ended(&mut self, id: ConnId) {
        let Some(tls) = self.get_mut(id).and_then(|conn| conn.socket.tls()) else { return };
        if tls.is_handshaking() && !tls.is_fresh() {
            self.counters.tls_failures[TlsFailure::Lost as usize] += 1;
        }
    }

    /// Whether a connection speaks plainly and has not been answered yet.
    pub(super) fn is_fresh_and_plain(&self, id: ConnId) -> bool {
        self.get(id).is_some_and(|conn| conn.requests == 0 && !conn.socket.is_tls())
    }

    /// Goes on without TLS, with a client that speaks none.
    pub(super) fn speak_plainly(&mut self, id: ConnId) {
        self.counters.tls_failures[TlsFailure::Plaintext as usize] += 1;
        let Some(conn) = self.get_mut(id) else { return };
        conn.socket.drop_tls();
        self.respond(id, Response::text(400, tls::SPEAKS_PLAIN).closing(), false, false);
    }

    /// Marks a connection to be freed at the end of this turn or a later one.
    pub(super) fn end(&mut self, id: ConnId) {
        let Some(conn) = self.get_mut(id) else { return };
        if conn.phase != Phase::Ended {
            conn.phase = Phase::Ended;
            self.ended.push_back(id);
        }
    }

    /// Something for everybody is rare, and tens of thousands leave room for all their numbers.
    pub(super) fn shrink_lists(&mut self) {
        for list in [&mut self.flush, &mut self.leaving, &mut self.ended] {
            if list.is_empty() {
                list.shrink_to(LIST_KEPT);
            }
        }
        self.behind.shrink_to(LIST_KEPT);
    }

    /// Frees those that ended, within the turn's budget.
    pub(super) fn free_ended(&mut self) {
        for _ in 0..self.closes_now() {
            let Some(id) = self.ended.pop_front() else { break };
            if self.get(id).is_some() {
                let conn = self.slab.remove(id.slot as usize);
                self.shed -= usize::from(conn.permit.is_none());
                self.counters.unwritten_bytes += unwritten(&conn);
            }
        }
    }

    /// Takes a connection out. `rest` are the bytes of a read in progress that it has not used.
    pub(super) fn detach(&mut self, id: ConnId, rest: &[u8]) -> Option<Detached> {
        let conn = self.get(id)?;
        if matches!(conn.phase, Phase::Closing | Phase::Ended) {
            return None;
        }
        // Stale entries of the lists and timers miss by the generation.
        let mut conn = self.slab.remove(id.slot as usize);
        let unread = match conn.input {
            Some(mut input) => {
                input.bytes.drain(..input.at);
                input.bytes
            }
            None => rest.to_vec(),
        };
        // It is watched; only a lost descriptor could make this fail, and then reading fails too.
        let _ = self.registry.deregister(conn.socket.tcp_mut());
        Some(Detached {
            socket: conn.socket,
            phase: conn.phase,
            unread,
            decoder: conn.decoder,
            tail: conn.tail,
            permit: conn.permit,
            requests: conn.requests,
            eof: conn.eof,
            via_proxy: conn.via_proxy,
        })
    }

    /// Goes on with a connection of another reactor.
    pub(super) fn adopt(&mut self, detached: Detached) -> ConnId {
        let id = self.insert(detached.socket, detached.phase, detached.permit);
        let deadline = self.now.plus_ms(self.config.head_ms);
        if let Some(conn) = self.get_mut(id) {
            conn.unread = !detached.unread.is_empty();
            conn.input = conn.unread.then(|| {
                let progress = Progress::default();
                Box::new(Input { bytes: detached.unread, at: 0, progress })
            });
            conn.decoder = detached.decoder;
            conn.tail = detached.tail;
            conn.requests = detached.requests;
            conn.eof |= detached.eof;
            conn.via_proxy = detached.via_proxy;
            // No event tells of what TLS has decrypted already.
            conn.readable |= conn.socket.is_tls();
            if conn.phase == Phase::Http {
                conn.in_head = true;
                self.set_deadline(id, deadline);
            }
        }
        if self.reading == Reading::Nothing
            && self.get(id).is_some_and(|conn| conn.phase == Phase::Http)
        {
            // Nothing is answered any more: it would only hold up the end.
            self.end(id);
        }
        self.queue_read(id);
        self.queue_flush(id);
        id
    }
}

fn unwritten(conn: &Conn) -> u64 {
    let tail = conn.tail.as_ref().map_or(0, |tail| tail.bytes().len() + tail.shared().len());
    (tail + conn.socket.pending_bytes()) as u64
}

/// The token of a connection's events: slot and generation, so that a stale event misses.
pub(super) fn token(id: ConnId) -> Token {
    Token((id.generation as usize) << 32 | id.slot as usize)
}

/// The connection of a token.
pub(super) fn from_token(token: Token) -> ConnId {
    ConnId { slot: token.0 as u32, generation: (token.0 >> 32) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_carry_both_halves() {
        let id = ConnId { slot: 7, generation: u32::MAX };
        assert_eq!(from_token(token(id)), id);
    }
}
