//! A client of a raw room: no envelope, no session.

use super::node::Node;
use super::socket::{FromClient, Gone, Incoming, SocketId};
use madang_engine::frame::FrameKind;
use madang_engine::input::Entry;
use madang_protocol::CloseCode;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct RawClient {
    pub(crate) index: usize,
    pub(crate) socket: Option<SocketId>,
    pub(crate) echo: bool,
    /// Which connection of this client it is, and how many messages it has sent on it.
    incarnation: u32,
    sent: u32,
    /// What came, and whether it was text.
    pub(crate) received: Vec<(Vec<u8>, bool)>,
    pub(crate) ends: Vec<Option<CloseCode>>,
    /// The newest number from each incarnation of each sender.
    heard: BTreeMap<(usize, u32), u32>,
}

impl RawClient {
    pub(crate) fn new(index: usize) -> Self {
        Self {
            index,
            socket: None,
            echo: false,
            incarnation: 0,
            sent: 0,
            received: Vec::new(),
            ends: Vec::new(),
            heard: BTreeMap::new(),
        }
    }

    pub(crate) fn connect(&mut self, node: &mut Node, shard: usize, room: &str, echo: bool) {
        self.cut(node, Gone::Noticed);
        self.incarnation += 1;
        self.sent = 0;
        self.echo = echo;
        self.heard.clear();
        self.socket = Some(node.connect(shard, Entry::Raw { room: room.into(), echo }, 2000));
    }

    /// Sends a numbered message, so that receivers can tell what is missing.
    pub(crate) fn send_numbered(&mut self, node: &mut Node, size: usize) {
        self.sent += 1;
        let message = format!("{} {} {} ", self.index, self.incarnation, self.sent);
        self.send(node, format!("{message:=<size$}").into_bytes(), self.sent.is_multiple_of(2));
    }

    pub(crate) fn send(&mut self, node: &mut Node, data: Vec<u8>, text: bool) {
        if let Some(id) = self.socket {
            node.send(id, FromClient::Message { data, text });
        }
    }

    pub(crate) fn cut(&mut self, node: &mut Node, gone: Gone) {
        if let Some(id) = self.socket.take() {
            node.cut(id, usize::MAX, gone);
        }
    }

    pub(crate) fn read(&mut self, node: &mut Node, most: usize) -> usize {
        for count in 0..most {
            let Some(id) = self.socket else { return count };
            match node.receive(id) {
                None => return count,
                Some(Incoming::Frame(_, FrameKind::Ping)) => node.send(id, FromClient::Pong),
                Some(Incoming::Frame(frame, kind)) => self.heard(node, &frame, kind),
                Some(Incoming::Closed(code)) => self.ended(Some(code)),
                Some(Incoming::Lost) => self.ended(None),
            }
        }
        most
    }

    fn ended(&mut self, code: Option<CloseCode>) {
        self.socket = None;
        self.ends.push(code);
    }

    fn heard(&mut self, node: &mut Node, data: &[u8], kind: FrameKind) {
        let is_text = kind == FrameKind::Text;
        if kind == FrameKind::Batch {
            node.violate(format!("raw {}: an enveloped message", self.index));
        }
        self.received.push((data.to_vec(), is_text));
        let text = String::from_utf8_lossy(data);
        let mut parts = text.split(' ').map_while(|part| part.parse::<u32>().ok());
        let (Some(sender), Some(incarnation), Some(number)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let from = (sender as usize, incarnation);
        if from == (self.index, self.incarnation) && !self.echo {
            node.violate(format!("raw {}: an echo nobody asked for", self.index));
        }
        if is_text != (number % 2 == 0) {
            node.violate(format!("raw {}: text and binary were mixed up", self.index));
        }
        let last = self.heard.insert(from, number);
        if last.is_some_and(|last| last + 1 != number) {
            node.violate(format!("raw {}: {number} of {from:?} after {last:?}", self.index));
        }
    }
}
