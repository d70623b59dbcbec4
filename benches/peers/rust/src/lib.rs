//! What the servers of the comparison have in common: their arguments, the line that says where they
//! listen, the name in a path, and the text of an event.

#[cfg(feature = "libraries")]
mod hub;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

#[cfg(feature = "libraries")]
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

/// The answer to a handshake's key (RFC 6455 section 4.2.2).
pub fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn a_key_is_answered() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn paths_are_understood() {
        assert_eq!(Asked::read("/raw/a"), Some(Asked::Relay("a", false)));
        assert_eq!(Asked::read("/raw/a?echo=1"), Some(Asked::Relay("a", true)));
        assert_eq!(Asked::read("/rooms/a/events"), Some(Asked::Events("a")));
        assert_eq!(Asked::read("/"), None);
    }
}
