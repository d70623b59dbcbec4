//! One hostile connection.

use super::attack::{Attack, Step, Verdict};
use crate::websocket::{self, Answer, CLOSE};
use mio::net::TcpStream;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// Most bytes that are sent before the others have their turn.
const SENT_PER_TURN: usize = 64 << 10;
/// Most bytes that are kept of what came; a frame that is longer is told to be strange.
const KEPT_MAX: usize = 256 << 10;

/// A connection and what it does.
pub(super) struct Raider {
    pub(super) attack: Attack,
    socket: TcpStream,
    is_connected: bool,
    is_upgraded: bool,
    steps: VecDeque<Step>,
    /// What is to be sent, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    inbox: Vec<u8>,
    is_deaf: bool,
    pub(super) began_ns: u64,
    /// When it goes on by itself.
    pub(super) next_ns: u64,
    pub(super) bytes_out: u64,
}

impl Raider {
    pub(super) fn new(attack: Attack, socket: TcpStream, steps: Vec<Step>, now_ns: u64) -> Self {
        Self {
            attack,
            socket,
            is_connected: false,
            is_upgraded: false,
            steps: steps.into(),
            sending: Vec::new(),
            sent: 0,
            inbox: Vec::new(),
            is_deaf: false,
            began_ns: now_ns,
            next_ns: u64::MAX,
            bytes_out: 0,
        }
    }

    /// Goes as far as the socket and its steps allow.
    pub(super) fn act(&mut self, now_ns: u64) -> Option<Verdict> {
        if !self.is_connected {
            if matches!(self.socket.take_error(), Ok(Some(_)) | Err(_)) {
                return Some(Verdict::Ended);
            }
            if self.socket.peer_addr().is_err() {
                return None;
            }
            self.is_connected = true;
        }
        self.next_ns = u64::MAX;
        let mut allowed = SENT_PER_TURN;
        loop {
            match self.send(&mut allowed) {
                Ok(true) => {}
                Ok(false) => {
                    if allowed == 0 {
                        self.next_ns = now_ns;
                    }
                    return None;
                }
                Err(()) => return Some(self.last_words()),
            }
            match self.steps.front() {
                None => return None,
                Some(Step::Upgraded) if !self.is_upgraded => return None,
                Some(Step::Upgraded) => {
                    self.steps.pop_front();
                }
                Some(Step::Deaf) => {
                    self.is_deaf = true;
                    self.steps.pop_front();
                }
                Some(Step::HalfClose) => {
                    self.steps.pop_front();
                    if self.socket.shutdown(Shutdown::Write).is_err() {
                        return Some(self.last_words());
                    }
                }
                Some(Step::Send(_)) => {
                    if let Some(Step::Send(bytes)) = self.steps.pop_front() {
                        (self.sending, self.sent) = (bytes, 0);
                    }
                }
                Some(Step::Flood(bytes)) => (self.sending, self.sent) = (bytes.clone(), 0),
                Some(Step::Drip(bytes, every)) => {
                    let every: Duration = *every;
                    (self.sending, self.sent) = (bytes.clone(), 0);
                    if self.send(&mut allowed).is_err() {
                        return Some(self.last_words());
                    }
                    self.next_ns = now_ns + every.as_nanos() as u64;
                    return None;
                }
            }
        }
    }

    /// Sends what is to be sent; true when nothing is left.
    fn send(&mut self, allowed: &mut usize) -> Result<bool, ()> {
        while self.sent < self.sending.len() {
            let end = self.sending.len().min(self.sent + *allowed);
            if end == self.sent {
                return Ok(false);
            }
            match self.socket.write(&self.sending[self.sent..end]) {
                Ok(n) => {
                    self.sent += n;
                    self.bytes_out += n as u64;
                    *allowed -= n;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Ok(false),
                    _ => return Err(()),
                },
            }
        }
        Ok(true)
    }

    /// Nothing can be sent any more: what the server said before counts.
    fn last_words(&mut self) -> Verdict {
        self.is_deaf = false;
        let mut buffer = vec![0; 64 << 10];
        self.read(&mut buffer).unwrap_or(Verdict::Ended)
    }

    /// Reads what came.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<Verdict> {
        if self.is_deaf || !self.is_connected {
            return None;
        }
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Some(Verdict::Ended),
                Ok(n) => {
                    if let Some(verdict) = self.take(&buffer[..n]) {
                        return Some(verdict);
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return None,
                    _ => return Some(Verdict::Ended),
                },
            }
        }
    }

    /// The connection is over, as the system says, whether it is read or not.
    pub(super) fn hung_up(&mut self) -> Verdict {
        self.last_words()
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Verdict> {
        self.inbox.extend_from_slice(bytes);
        if !self.is_upgraded {
            match websocket::answer(&self.inbox) {
                Ok(None) => return None,
                Ok(Some(Answer::Accepted(used))) => {
                    self.inbox.drain(..used);
                    self.is_upgraded = true;
                }
                Ok(Some(Answer::Refused(status))) => return Some(Verdict::Status(status)),
                Err(_) => return Some(Verdict::Strange),
            }
        }
        let mut used = 0;
        while let Ok(Some(frame)) = websocket::next_frame(&self.inbox[used..]) {
            if frame.opcode == CLOSE {
                return Some(Verdict::Closed(frame.close_code()));
            }
            used += frame.bytes;
        }
        self.inbox.drain(..used);
        let is_strange = websocket::next_frame(&self.inbox).is_err() || self.inbox.len() > KEPT_MAX;
        is_strange.then_some(Verdict::Strange)
    }

    /// Ends it by a reset, so that nothing of it is left.
    pub(super) fn drop_it(self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}
