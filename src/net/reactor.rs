//! One thread's event loop.

use super::budget::{Budget, Full, Permit};
use super::conn::{Owed, Phase};
use super::conns::{Conns, Refused, from_token};
use super::driver::Driver;
use super::http::Response;
use super::io::Io;
use super::reading::Core;
use super::sending::Desk;
use super::transport::Transport;
use super::{Access, NetConfig, NetCounters, Tls, socket};
use madang_engine::time::Time;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What who holds too many connections is told.
pub(super) const TOO_MANY: &str = "Too many connections from your address; close some first.";
/// What who comes too often is told.
pub(super) const TOO_FAST: &str = "Too many new connections from your address; try again later.";

const WAKER: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
/// Most events of one poll.
const EVENTS_MAX: usize = 1024;

/// What the reactors of a process have in common.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The moment that is [`Time`] 0 for all of them.
    pub start: Instant,
    /// The places of connections in all of them.
    pub budget: Arc<Budget>,
    /// Who may connect.
    pub access: Arc<Access>,
}

impl Shared {
    /// A start that is now, and no connections. Loopback is trusted, and nobody is banned.
    pub fn new() -> Self {
        Self::with_access(Arc::default())
    }

    /// The same with other rules of who may connect.
    pub fn with_access(access: Arc<Access>) -> Self {
        Self { start: Instant::now(), budget: Arc::default(), access }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

/// One thread's sockets and the driver that gives them meaning.
pub struct Reactor<D> {
    core: Core<D>,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    shared: Shared,
    listener: Option<TcpListener>,
    /// The listener may have connections.
    accept_ready: bool,
    /// Not before this: the process was out of descriptors.
    accept_not_before: Time,
    /// What a connection beyond the budget is told.
    refusals: Refusals,
    /// The receive buffer of all connections.
    buffer: Vec<u8>,
    /// Where what they are sent is put together.
    desk: Desk,
}

impl<D: Driver> Reactor<D> {
    /// A reactor that has done nothing yet. Without a listener its connections come by
    /// [`Io::adopt`].
    pub fn new(
        config: NetConfig,
        listener: Option<std::net::TcpListener>,
        shared: Shared,
        driver: D,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listener = match listener {
            Some(listener) => {
                listener.set_nonblocking(true)?;
                Some(TcpListener::from_std(listener))
            }
            None => None,
        };
        if let Some(listener) = &mut listener {
            socket::tune(listener, config.notsent_bytes_max);
            poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let refusals = Refusals::new(config.retry_after_s);
        let now = elapsed(&shared);
        let buffer = vec![0; config.read_bytes_per_turn];
        let mut conns = Conns::new(config, poll.registry().try_clone()?, now);
        conns.access = Arc::clone(&shared.access);
        Ok(Self {
            core: Core { conns, driver },
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            waker,
            shared,
            accept_ready: listener.is_some(),
            listener,
            accept_not_before: now,
            refusals,
            buffer,
            desk: Desk::default(),
        })
    }

    /// Has all connections that are accepted from now on speak TLS.
    pub fn speak_tls(&mut self, tls: Tls) {
        self.core.conns.tls = Some(tls);
    }

    /// What other threads use to have [`Driver::on_turn`] called.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// The driver.
    pub fn driver_mut(&mut self) -> &mut D {
        &mut self.core.driver
    }

    /// What was done so far.
    pub fn counters(&self) -> &NetCounters {
        &self.core.conns.counters
    }

    /// Connections that exist, those that linger included.
    pub fn connections(&self) -> usize {
        self.core.conns.len()
    }

    /// Connections that have sent more than was read of them in their turn.
    pub fn behind(&self) -> usize {
        self.core.conns.behind.len()
    }

    /// Whether the driver has called [`Io::stop`].
    pub fn is_stopped(&self) -> bool {
        self.core.conns.stopped
    }

    /// Turns until the driver calls [`Io::stop`]. An error is one of the poll itself and leaves
    /// nothing to go on with.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.core.conns.stopped {
            self.run_turn()?;
        }
        Ok(())
    }

    /// One turn; waits for events if there is nothing to do.
    pub fn run_turn(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.core.conns.now = elapsed(&self.shared);
        self.note_events();
        self.accept();
        self.core.read(&mut self.buffer);
        self.core.expire();
        let now = self.core.conns.now;
        self.core.driver.on_turn(&mut Io::new(&mut self.core.conns), now);
        self.core.flush(&mut self.desk);
        self.core.conns.free_ended();
        self.core.driver.on_turn_end(&mut Io::new(&mut self.core.conns));
        Ok(())
    }

    /// How long the poll may wait.
    fn timeout(&self) -> Option<Duration> {
        let conns = &self.core.conns;
        let accept = self.accept_ready.then_some(self.accept_not_before);
        if conns.is_busy() || conns.stopped {
            return Some(Duration::ZERO);
        }
        let next = [conns.timers.next(), self.core.driver.next_timeout(), accept];
        let next = next.into_iter().flatten().min()?;
        Some(Duration::from_micros(next.since(elapsed(&self.shared))))
    }

    fn note_events(&mut self) {
        for event in &self.events {
            match event.token() {
                WAKER => {}
                LISTENER => self.accept_ready = self.listener.is_some(),
                token => {
                    let id = from_token(token);
                    let conns = &mut self.core.conns;
                    let Some(conn) = conns.get_mut(id) else { continue };
                    if conn.phase == Phase::Ended {
                        continue;
                    }
                    conn.readable |= event.is_readable() || event.is_read_closed();
                    conn.end_signalled |= event.is_read_closed() || event.is_error();
                    conn.readable |= conn.end_signalled && !conn.eof;
                    // An error unblocks too: the next write call reports it.
                    conn.blocked &=
                        !(event.is_writable() || event.is_write_closed() || event.is_error());
                    // What this one waits for will find nobody.
                    let is_gone = conn.end_signalled && conn.owed != Owed::Nothing;
                    conns.queue_read(id);
                    conns.queue_flush(id);
                    if is_gone {
                        self.core.driver.on_gone(&mut Io::new(conns), id);
                    }
                }
            }
        }
    }

    /// Accepts within the turn's budget. The listener is edge-triggered: it is ready until it says
    /// otherwise.
    fn accept(&mut self) {
        if self.core.conns.accepts_stopped {
            self.listener = None;
            self.accept_ready = false;
        }
        let Some(listener) = &self.listener else { return };
        if !self.accept_ready || self.core.conns.now < self.accept_not_before {
            return;
        }
        for _ in 0..self.core.conns.config.accepts_per_turn {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let conns = &mut self.core.conns;
                    let permit = self.shared.budget.take(conns.config.connections_max);
                    conns.counters.accepted += 1;
                    let is_local = !conns.access.is_limited(peer.ip());
                    let admitted = permit.map_err(Refused::Full).and_then(|mut permit| {
                        if !is_local {
                            conns.admit(&mut permit, peer.ip())?;
                        }
                        Ok(permit)
                    });
                    match admitted {
                        Ok(permit) => welcome(conns, stream, permit, peer.ip()),
                        Err(Refused::Full(why)) => conns.shed(stream, why, self.refusals.of(why)),
                        Err(Refused::Banned) => {}
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.accept_ready = false;
                        return;
                    }
                    // The peer is gone already, or a signal came.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    // Out of descriptors or memory: the edge is gone, so time has to do.
                    _ => {
                        let conns = &mut self.core.conns;
                        conns.counters.accept_failures += 1;
                        self.accept_not_before = conns.now.plus_ms(conns.config.accept_retry_ms);
                        return;
                    }
                },
            }
        }
    }
}

/// The answers to connections beyond the budget, ready to be sent.
struct Refusals {
    process: Vec<u8>,
    address: Vec<u8>,
    rate: Vec<u8>,
}

impl Refusals {
    fn new(retry_after_s: u32) -> Self {
        let refusal = |status, text| {
            let response =
                Response::text(status, text).header("Retry-After", retry_after_s.to_string());
            let mut bytes = response.head("close");
            bytes.extend_from_slice(&response.body);
            bytes
        };
        Self {
            process: refusal(503, "The server is full; try again later."),
            address: refusal(429, TOO_MANY),
            rate: refusal(429, TOO_FAST),
        }
    }

    fn of(&self, why: Full) -> &[u8] {
        match why {
            Full::Process => &self.process,
            Full::Address => &self.address,
            Full::Rate => &self.rate,
        }
    }
}

/// Begins with a new connection.
fn welcome(conns: &mut Conns, stream: TcpStream, permit: Permit, peer: IpAddr) {
    let (via_proxy, in_preamble) = (conns.access.is_proxy(peer), conns.access.has_preamble(peer));
    let (transport, patience_ms) = match &conns.tls {
        None => (Transport::from(stream), conns.config.head_ms),
        Some(tls) => {
            let Some(session) = tls.session(conns.config.fill_bytes_max) else { return };
            (Transport::with_tls(stream, session), conns.config.handshake_ms)
        }
    };
    let id = conns.insert(transport, Phase::Http, Some(permit));
    let deadline = conns.now.plus_ms(patience_ms);
    if let Some(conn) = conns.get_mut(id) {
        conn.in_head = true;
        (conn.via_proxy, conn.in_preamble) = (via_proxy, in_preamble);
    }
    conns.set_deadline(id, deadline);
}

fn elapsed(shared: &Shared) -> Time {
    Time(shared.start.elapsed().as_micros() as u64)
}
