//! A client with a memory, as a client library has one: it numbers what it publishes, logs what it
//! hears, and takes its session up again after its socket is gone. It checks at every message that
//! the room's log reaches it whole: each number once, none left out.

use super::Patience;
use super::client::{Client, Closed, Dial, Wire, bytes, hello, publish};
use super::line::Way;
use madang_protocol::client::{Class, Resume, RoomPosition};
use madang_protocol::ids::{Channel, Epoch, MemberId, ResumeKey, Seq};
use madang_protocol::server::Joined;
use madang_protocol::{CloseCode, ServerMessage};
use std::collections::BTreeMap;

/// A logged message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) from: u32,
    pub(crate) cseq: u64,
    pub(crate) payload: Vec<u8>,
}

/// A room as a player knows it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) channel: Channel,
    pub(crate) member: MemberId,
    epoch: Epoch,
    /// The newest number heard of.
    pub(crate) seq: u64,
    /// Messages, in the order they came; presence is checked and left out.
    pub(crate) log: Vec<Entry>,
    next_cseq: u64,
    /// Whether what is published may be sent: after a resume not before what was not acknowledged,
    /// for a room takes numbers in ascending order alone.
    may_send: bool,
    /// Published, and neither acknowledged nor heard.
    pub(crate) unacked: BTreeMap<u64, Vec<u8>>,
    /// Published and acknowledged, or heard.
    pub(crate) acked: Vec<u64>,
}

/// A session and what it remembers.
pub(crate) struct Player {
    dial: Dial,
    wire: Wire,
    client: Option<Client>,
    pub(crate) key: ResumeKey,
    /// By channel.
    pub(crate) rooms: BTreeMap<u32, Room>,
    /// The hint of the newest `Draining`.
    pub(crate) retry_after_ms: Option<u32>,
    /// Resumes that the server granted.
    pub(crate) resumes: u32,
    /// Repeats that the server recognised.
    pub(crate) repeats: u32,
    /// Sockets that ended by FIN, kept so that no RST follows.
    half_closed: Vec<Client>,
    /// Whether the connection was asked to resume and has not answered.
    is_asking: bool,
    /// Resumes that were asked for and given up before the answer. The server may come to them
    /// late and take them for newer than the connection that there is.
    given_up: u32,
}

impl Player {
    pub(crate) fn connect(dial: impl Into<Dial>, wire: Wire) -> Self {
        let dial = dial.into();
        let (client, welcome) = Client::connect(dial, wire);
        Self {
            dial,
            wire,
            client: Some(client),
            key: welcome.resume_key,
            rooms: BTreeMap::new(),
            retry_after_ms: None,
            resumes: 0,
            repeats: 0,
            half_closed: Vec::new(),
            is_asking: false,
            given_up: 0,
        }
    }

    /// Connects by another way from now on.
    pub(crate) fn go_by(&mut self, way: Way) {
        self.dial = self.dial.by(way);
    }

    /// Joins rooms; returns the channel of the last.
    pub(crate) fn join(&mut self, names: &[&str]) -> u32 {
        let mut channel = 0;
        for name in names {
            let r#ref =
                self.client().send_join(name, madang_protocol::client::JoinOptions::default());
            let patience = Patience::new("an answer to a join");
            channel = loop {
                patience.check();
                match self.client().next().expect("the connection is open") {
                    ServerMessage::Joined(joined) if joined.r#ref == Some(r#ref) => {
                        break self.enter(joined);
                    }
                    other => self.hear(other),
                }
            };
        }
        channel
    }

    fn enter(&mut self, joined: Joined) -> u32 {
        let channel = joined.channel;
        let room = Room {
            name: joined.name,
            channel,
            member: joined.member,
            epoch: joined.epoch,
            seq: joined.seq.0,
            log: Vec::new(),
            next_cseq: 1,
            may_send: true,
            unacked: BTreeMap::new(),
            acked: Vec::new(),
        };
        self.rooms.insert(channel.0, room);
        channel.0
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("the player is connected")
    }

    pub(crate) fn room(&self, channel: u32) -> &Room {
        &self.rooms[&channel]
    }

    /// The room of this name.
    pub(crate) fn named(&self, name: &str) -> &Room {
        self.rooms.values().find(|room| room.name == name).expect("the player is in the room")
    }

    pub(crate) fn unacked(&self) -> usize {
        self.rooms.values().map(|room| room.unacked.len()).sum()
    }

    /// Publishes reliably. The message counts as published even if the connection is gone.
    pub(crate) fn publish(&mut self, channel: u32, payload: Vec<u8>) -> Result<(), Closed> {
        let room = self.rooms.get_mut(&channel).expect("the player is in the room");
        let cseq = room.next_cseq;
        room.next_cseq += 1;
        let message = publish(room.channel, cseq, Class::Reliable, &payload);
        let client = self.client.as_mut().expect("the player is connected");
        let sent = if room.may_send {
            client.try_send(&[message]).map_err(|_| Closed::Lost)
        } else {
            Ok(())
        };
        room.unacked.insert(cseq, payload);
        sent
    }

    /// Takes the next message in.
    pub(crate) fn step(&mut self) -> Result<(), Closed> {
        let message = self.client().next()?;
        self.hear(message);
        Ok(())
    }

    /// Takes messages in until a room's log holds so many.
    pub(crate) fn read_until_logged(&mut self, channel: u32, count: usize) {
        let patience = Patience::new("messages of a room");
        while self.room(channel).log.len() < count {
            patience.check();
            self.step().expect("the connection is open");
        }
    }

    pub(crate) fn hear(&mut self, message: ServerMessage<'static>) {
        match message {
            ServerMessage::Message(message) => {
                let room = self.rooms.get_mut(&message.channel.0).expect("a known room");
                room.follow(message.seq);
                let (from, cseq) = (message.from, message.cseq.0);
                if from == room.member {
                    room.unacked.remove(&cseq);
                    room.acked.push(cseq);
                }
                let payload = bytes(&message.payload);
                room.log.push(Entry { seq: message.seq.0, from: from.0, cseq, payload });
            }
            ServerMessage::Presence(presence) => {
                let room = self.rooms.get_mut(&presence.channel.0).expect("a known room");
                room.follow(presence.seq);
            }
            ServerMessage::Ack(ack) => {
                let room = self.rooms.get_mut(&ack.channel.0).expect("a known room");
                // With echo only a repeat is answered by an ack.
                assert_eq!(ack.seq, None, "the echo is the acknowledgement");
                self.repeats += 1;
                if room.unacked.remove(&ack.cseq.0).is_some() {
                    room.acked.push(ack.cseq.0);
                }
            }
            ServerMessage::Joined(joined) => self.found_again(&joined),
            ServerMessage::Draining(draining) => {
                self.retry_after_ms = Some(draining.retry_after_ms);
            }
            ServerMessage::Types(_) | ServerMessage::Pong(_) | ServerMessage::Stats(_) => {}
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// A room after a resume: sends again what it has not dealt with.
    fn found_again(&mut self, joined: &Joined) {
        let room = self.rooms.get_mut(&joined.channel.0).expect("channels are unchanged");
        assert!(joined.recovered, "the history is long enough for {room:?}");
        assert_eq!((joined.epoch, joined.member), (room.epoch, room.member));
        assert_eq!(room.name, joined.name);
        room.may_send = true;
        for (cseq, payload) in room.unacked.range(joined.applied_cseq.0 + 1..) {
            let message = publish(room.channel, *cseq, Class::Reliable, payload);
            let client = self.client.as_mut().expect("the player is connected");
            // If the connection is gone again, the next resume sends it.
            let _ = client.try_send(&[message]);
        }
    }

    /// Cuts the socket, by RST or by FIN.
    pub(crate) fn cut(&mut self, by_reset: bool) {
        let client = self.detach();
        if by_reset {
            client.reset();
        } else {
            self.half_closed.push(client.half_close());
        }
    }

    /// Cuts the socket by RST.
    pub(crate) fn reset(&mut self) {
        self.cut(true);
    }

    /// Goes on without its connection, which stays open.
    pub(crate) fn detach(&mut self) -> Client {
        self.given_up += u32::from(std::mem::take(&mut self.is_asking));
        self.client.take().expect("the player is connected")
    }

    /// Opens a connection and asks for the session, without reading the answer.
    pub(crate) fn ask_to_resume(&mut self) {
        let position = |room: &Room| RoomPosition {
            channel: room.channel,
            epoch: room.epoch,
            seq: Seq(room.seq),
        };
        let rooms = self.rooms.values().map(position).collect();
        let mut client = Client::dial(self.dial, self.wire);
        client.send(&hello(Some(Resume { key: self.key, rooms })));
        self.client = Some(client);
        self.is_asking = true;
        for room in self.rooms.values_mut() {
            room.may_send = false;
        }
    }

    /// Reads the answer to [`Self::ask_to_resume`].
    pub(crate) fn take_up(&mut self) -> Result<(), Closed> {
        let answer = self.client().next();
        self.is_asking = false;
        match answer? {
            ServerMessage::Welcome(welcome) => {
                assert!(welcome.resumed, "the session is still there");
                self.key = welcome.resume_key;
                self.resumes += 1;
                Ok(())
            }
            other => panic!("a welcome comes first, not {other:?}"),
        }
    }

    pub(crate) fn resume(&mut self) {
        self.ask_to_resume();
        if let Err(closed) = self.take_up() {
            self.resume_after(closed);
        }
    }

    /// Resumes when the server has ended the connection, which it does only in favour of an attempt
    /// that was given up.
    pub(crate) fn resume_after(&mut self, mut closed: Closed) {
        // A failed write does not say why.
        while closed == Closed::Lost && self.given_up > 0 {
            match self.step() {
                Ok(()) => {}
                Err(Closed::Lost) => panic!("the connection was lost"),
                Err(code) => closed = code,
            }
        }
        assert_eq!(closed, Closed::Code(CloseCode::SUPERSEDED.code));
        assert!(self.given_up > 0, "superseded by nobody");
        self.given_up -= 1;
        self.resume();
    }

    /// Sends everything again that is not acknowledged, whether the room has it or not.
    pub(crate) fn repeat_unacked(&mut self) {
        let client = self.client.as_mut().expect("the player is connected");
        for room in self.rooms.values_mut() {
            room.may_send = true;
            for (cseq, payload) in &room.unacked {
                let message = publish(room.channel, *cseq, Class::Reliable, payload);
                let _ = client.try_send(&[message]);
            }
        }
    }
}

impl Room {
    /// The room's log goes on with this number.
    fn follow(&mut self, seq: Seq) {
        assert_eq!(seq.0, self.seq + 1, "in {}: nothing lost, nothing repeated", self.name);
        self.seq = seq.0;
    }
}
