//! What a client remembers of the room that it is in: its place in the log, what it has sent and not seen
//! answered (SPEC.md 9.3 and 10).

use madang_protocol::client::{Class, Publish, RoomPosition};
use madang_protocol::ids::{Channel, Cseq, Epoch, Seq};
use madang_protocol::server::{Joined, Types};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ClientMessage, ServerMessage};
use std::borrow::Cow;
use std::collections::VecDeque;

/// Most reliable messages that wait for their answer, or for a connection; more are not sent.
const PENDING_MAX: usize = 4096;

/// A room, as one of its members sees it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) channel: Channel,
    pub(crate) epoch: Epoch,
    /// The client's own member id.
    pub(crate) member: u32,
    /// The highest seq received.
    position: u64,
    replay: Option<Replay>,
    cseq: u64,
    /// The number of the client's type of messages.
    type_number: Option<u32>,
    /// Reliable messages without an answer: cseq and payload, ascending.
    pending: VecDeque<(u64, Vec<u8>)>,
    /// The connection is gone, or the `joined` of its successor has not come.
    pub(super) is_away: bool,
    pub(super) is_leaving: bool,
}

#[derive(Clone, Copy, Debug)]
struct Replay {
    left: u32,
    head: u64,
    recovered: bool,
}

impl Room {
    /// Begins with a `joined`.
    pub(super) fn new(joined: &Joined, message_type: &str) -> Self {
        let mut room = Self {
            channel: joined.channel,
            epoch: joined.epoch,
            member: joined.member.0,
            position: 0,
            replay: None,
            cseq: joined.applied_cseq.0,
            type_number: None,
            pending: VecDeque::new(),
            is_away: false,
            is_leaving: false,
        };
        room.learn(0, &joined.types, message_type);
        room.begin_replay(joined);
        room
    }

    /// A `joined` of the same membership came: the session has been resumed. False when its epoch is
    /// another, and what waited for an answer will not have one.
    pub(super) fn back(&mut self, joined: &Joined, message_type: &str) -> bool {
        let is_same = joined.epoch == self.epoch && joined.member.0 == self.member;
        if is_same {
            while self.pending.front().is_some_and(|(cseq, _)| *cseq <= joined.applied_cseq.0) {
                self.pending.pop_front();
            }
        } else {
            self.position = 0;
            self.epoch = joined.epoch;
            self.member = joined.member.0;
        }
        self.cseq = self.cseq.max(joined.applied_cseq.0);
        self.type_number = None;
        self.learn(0, &joined.types, message_type);
        self.is_away = false;
        self.begin_replay(joined);
        is_same
    }

    /// Forgets what waits for an answer; returns how many that were.
    pub(super) fn forget_pending(&mut self) -> usize {
        std::mem::take(&mut self.pending).len()
    }

    pub(super) fn position(&self) -> RoomPosition {
        let seq = Seq(self.position);
        RoomPosition { channel: self.channel, epoch: self.epoch, seq }
    }

    /// Takes from a message what has to be remembered. True for a message of the past that stands
    /// in place of what was not recovered.
    pub(super) fn take(&mut self, message: &ServerMessage<'_>, message_type: &str) -> bool {
        match message {
            ServerMessage::Message(message) => {
                if message.from.0 == self.member {
                    self.answered(message.cseq);
                }
                self.logged(message.seq)
            }
            ServerMessage::Direct(message) => self.logged(message.seq),
            ServerMessage::Presence(presence) => self.logged(presence.seq),
            ServerMessage::Gap(gap) => {
                self.position = self.position.max(gap.to_seq.0);
                false
            }
            ServerMessage::Ack(ack) => {
                self.answered(ack.cseq);
                false
            }
            ServerMessage::Types(Types { first, names, .. }) => {
                self.learn(*first, names, message_type);
                false
            }
            _ => false,
        }
    }

    /// The next message: none while too many wait for their answer. A reliable one is kept until then.
    pub(super) fn publish<'a>(
        &mut self,
        class: Class,
        message_type: &'static str,
        payload: &'a [u8],
    ) -> Option<(u64, ClientMessage<'a>)> {
        if class == Class::Reliable {
            if self.pending.len() >= PENDING_MAX {
                return None;
            }
            self.pending.push_back((self.cseq + 1, payload.to_vec()));
        }
        self.cseq += 1;
        Some((self.cseq, self.publication(self.cseq, class, message_type, payload)))
    }

    /// What waits for its answer, to be sent again.
    pub(super) fn again(&self, message_type: &'static str) -> Vec<ClientMessage<'_>> {
        self.pending
            .iter()
            .map(|(cseq, payload)| self.publication(*cseq, Class::Reliable, message_type, payload))
            .collect()
    }

    /// How many reliable messages have no answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.pending.len()
    }

    /// Whether messages of the past are still to come.
    pub(super) fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// The next number of what this member sends.
    pub(super) fn next_cseq(&mut self) -> Cseq {
        self.cseq += 1;
        Cseq(self.cseq)
    }

    fn publication<'a>(
        &self,
        cseq: u64,
        class: Class,
        message_type: &'static str,
        payload: &'a [u8],
    ) -> ClientMessage<'a> {
        let r#type = match self.type_number {
            Some(number) => TypeRef::Id(number),
            None => TypeRef::Name(Cow::Borrowed(message_type)),
        };
        let payload = Payload::Bytes(Cow::Borrowed(payload));
        ClientMessage::Publish(Publish {
            channel: self.channel,
            cseq: Cseq(cseq),
            class,
            r#type,
            payload,
        })
    }

    fn learn(&mut self, first: u32, names: &[String], message_type: &str) {
        let place = names.iter().position(|name| name == message_type);
        self.type_number = place.map(|place| first + place as u32).or(self.type_number);
    }

    fn answered(&mut self, cseq: Cseq) {
        if let Ok(place) = self.pending.binary_search_by_key(&cseq.0, |(cseq, _)| *cseq) {
            self.pending.remove(place);
        }
    }

    fn begin_replay(&mut self, joined: &Joined) {
        let (left, head, recovered) = (joined.replay, joined.seq.0, joined.recovered);
        self.replay = Some(Replay { left, head, recovered });
        self.end_replay();
    }

    fn end_replay(&mut self) {
        if let Some(replay) = self.replay.take_if(|replay| replay.left == 0) {
            self.position = self.position.max(replay.head);
        }
    }

    /// A logged message came. True for one of a history that was not asked for as replay.
    fn logged(&mut self, seq: Seq) -> bool {
        let Some(replay) = &mut self.replay else {
            self.position = self.position.max(seq.0);
            return false;
        };
        replay.left = replay.left.saturating_sub(1);
        let is_history = !replay.recovered;
        self.position = if is_history { seq.0 } else { self.position.max(seq.0) };
        self.end_replay();
        is_history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::client::PresenceMode;
    use madang_protocol::ids::MemberId;
    use madang_protocol::server::{Message, Roster};

    fn joined(seq: u64, (recovered, replay): (bool, u32), applied: u64) -> Joined {
        Joined {
            r#ref: None,
            channel: Channel(1),
            name: "room".into(),
            kind: "relay".into(),
            epoch: Epoch([1; 8]),
            epoch_at_ms: 0,
            seq: Seq(seq),
            recovered,
            replay,
            member: MemberId(4),
            applied_cseq: Cseq(applied),
            presence: PresenceMode::Full,
            roster: Roster::None,
            types: vec!["other".into(), "load".into()],
            capacity: 10,
            labels: Vec::new(),
            ext: Vec::new(),
        }
    }

    fn message(seq: u64, from: u32, cseq: u64) -> ServerMessage<'static> {
        ServerMessage::Message(Message {
            channel: Channel(1),
            seq: Seq(seq),
            from: MemberId(from),
            at: 0,
            cseq: Cseq(cseq),
            r#type: TypeRef::Id(1),
            payload: Payload::Bytes(Cow::Borrowed(&[])),
        })
    }

    #[test]
    fn what_has_no_answer_is_sent_again_and_what_the_room_dealt_with_is_not() {
        let mut room = Room::new(&joined(10, (false, 0), 0), "load");
        for _ in 0..3 {
            room.publish(Class::Reliable, "load", b"x").unwrap();
        }
        room.publish(Class::Volatile, "load", b"y").unwrap();
        assert!(!room.take(&message(11, 4, 1), "load"));
        assert_eq!((room.unanswered(), room.position().seq), (2, Seq(11)));
        assert!(room.back(&joined(13, (true, 1), 2), "load"));
        let again = room.again("load");
        let [ClientMessage::Publish(publish)] = &again[..] else { panic!("{again:?}") };
        assert_eq!((publish.cseq, &publish.r#type), (Cseq(3), &TypeRef::Id(1)));
        assert_eq!(room.position().seq, Seq(11), "the replay has not come");
        assert!(!room.take(&message(12, 4, 2), "load"));
        assert_eq!(room.position().seq, Seq(13));
    }

    #[test]
    fn history_is_told_from_what_was_recovered() {
        let mut room = Room::new(&joined(10, (false, 2), 0), "load");
        assert!(room.take(&message(4, 1, 1), "load") && room.take(&message(7, 1, 2), "load"));
        assert_eq!(room.position().seq, Seq(10));
        assert!(!room.take(&message(11, 1, 3), "load"));
    }

    #[test]
    fn no_more_wait_than_may() {
        let mut room = Room::new(&joined(1, (false, 0), 0), "load");
        for _ in 0..PENDING_MAX {
            room.publish(Class::Reliable, "load", b"x").unwrap();
        }
        assert!(room.publish(Class::Reliable, "load", b"x").is_none());
        assert!(room.publish(Class::Volatile, "load", b"x").is_some());
        assert_eq!(room.forget_pending(), PENDING_MAX);
    }
}
