//! What the servers of the comparison have in common: their arguments, the line that says where they
//! listen, the name in a path, and the text of an event.

mod hub;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

pub use hub::{Hub, Room, Seat};

/// Connections that may wait to be accepted; every server of the comparison has the same.
const BACKLOG: i32 = 4096;
/// The incarnation that events are numbered in. Nothing of these servers outlives its process.
const EPOCH: &str = "6d6164616e67bead";

/// Listens on a port of the loopback, and says on which.
///
/// # Errors
///
/// When the system has no such port.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    println!("port {}", listener.local_addr()?.port());
    Ok(listener)
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// To be a member of a room, and whether to hear oneself.
    Relay(&'a str, bool),
    /// The events of a room.
    Events(&'a str),
}

impl<'a> Asked<'a> {
    /// `/raw/{room}` with or without `?echo=1`, or `/rooms/{room}/events`.
    pub fn read(path: &'a str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some(room) = path.strip_prefix("/raw/") {
            return Some(Self::Relay(room, query == "echo=1"));
        }
        let room = path.strip_prefix("/rooms/")?.strip_suffix("/events")?;
        Some(Self::Events(room))
    }
}

/// Makes a room's events: the same text as Madang's, so that all candidates send as many bytes.
#[derive(Debug)]
pub struct Scribe {
    seq: u64,
    start: Instant,
}

impl Default for Scribe {
    fn default() -> Self {
        Self { seq: 0, start: Instant::now() }
    }
}

impl Scribe {
    /// The first event of a stream that begins now.
    pub fn resume(&self) -> String {
        let seq = self.seq;
        format!(
            "id: {EPOCH}-{seq}\nevent: resume\n\
             data: {{\"recovered\":false,\"epoch\":\"{EPOCH}\",\"epoch_at_ms\":0,\"from\":{seq},\"state\":false}}\n\n"
        )
    }

    /// The event of a message.
    pub fn message(&mut self, payload: &[u8]) -> String {
        self.seq += 1;
        let (seq, at) = (self.seq, self.start.elapsed().as_millis());
        let bytes = STANDARD.encode(payload);
        format!(
            "id: {EPOCH}-{seq}\nevent: message\n\
             data: {{\"channel\":0,\"seq\":{seq},\"from\":1,\"at\":{at},\"cseq\":{seq},\"type\":\"load\",\
             \"payload\":{{\"bytes\":\"{bytes}\"}}}}\n\n"
        )
    }
}
