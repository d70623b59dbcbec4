//! The full log of every room, kept by looking at its home after each input: what the engine's own
//! bounded history forgets, the tests remember.

use madang_engine::Engine;
use madang_engine::config::Kind;
use madang_engine::room::Room;
use madang_engine::room::history::EntryKind;
use madang_protocol::codec;
use madang_protocol::ids::Epoch;
use madang_protocol::server::{PresenceEvent, ServerMessage};
use madang_protocol::value::{Payload, TypeRef};
use std::collections::BTreeMap;

/// What a logged message says, whatever wire it came by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Message { from: u32, at: u64, cseq: u64, name: String, payload: Payload<'static> },
    Direct { from: u32, at: u64, to: u32, name: String, payload: Payload<'static> },
    Presence(PresenceEvent),
}

impl What {
    /// The seq and content of a logged message; `to` is whom a direct message is for.
    pub(crate) fn of<T: AsRef<str>>(
        message: &ServerMessage<'_>,
        types: &[T],
        to: u32,
    ) -> Option<(u64, What)> {
        Some(match message {
            ServerMessage::Message(message) => {
                let name = type_name(&message.r#type, types)?;
                let payload = message.payload.clone().into_owned();
                let (from, cseq) = (message.from.0, message.cseq.0);
                (message.seq.0, What::Message { from, at: message.at, cseq, name, payload })
            }
            ServerMessage::Direct(message) => {
                let name = type_name(&message.r#type, types)?;
                let payload = message.payload.clone().into_owned();
                let from = message.from.0;
                (message.seq.0, What::Direct { from, at: message.at, to, name, payload })
            }
            ServerMessage::Presence(message) => {
                (message.seq.0, What::Presence(message.event.clone()))
            }
            _ => return None,
        })
    }

    pub(crate) fn is_visible_to(&self, member: u32, echo: bool) -> bool {
        match self {
            What::Message { from, .. } => echo || *from != member,
            What::Direct { to, .. } => *to == member,
            What::Presence(_) => true,
        }
    }

    pub(crate) fn payload(&self) -> Option<&Payload<'static>> {
        match self {
            What::Message { payload, .. } | What::Direct { payload, .. } => Some(payload),
            What::Presence(_) => None,
        }
    }
}

pub(crate) fn type_name<T: AsRef<str>>(r#type: &TypeRef<'_>, types: &[T]) -> Option<String> {
    match r#type {
        TypeRef::Id(id) => types.get(*id as usize).map(|name| name.as_ref().to_owned()),
        TypeRef::Name(name) => Some(name.to_string()),
    }
}

/// One incarnation of a room.
#[derive(Debug, Default)]
pub(crate) struct RoomLog {
    /// By seq - 1; absent where it had gone from the history before anyone looked, and for ticks of the
    /// room's state.
    pub(crate) entries: Vec<Option<What>>,
    /// The oldest seq that the history held when the room's head was at seq - 1; 0 if nobody saw.
    oldest: Vec<u64>,
    pub(crate) unobserved: u64,
    by_payload: BTreeMap<Vec<u8>, u64>,
    last_cseq: BTreeMap<u32, u64>,
    last_at: u64,
    channel: u32,
    /// Its room is gone: what was logged in the input that ended it was seen by nobody here.
    is_over: bool,
}

impl RoomLog {
    pub(crate) fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Whether there may be such an entry, whatever it says.
    pub(crate) fn may_hold(&self, seq: u64) -> bool {
        self.is_over || seq <= self.head()
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<&What> {
        self.entries.get((seq as usize).checked_sub(1)?)?.as_ref()
    }

    /// The first entry with `after < seq < before` that a member would have seen.
    pub(crate) fn first_visible(
        &self,
        (after, before): (u64, u64),
        member: u32,
        echo: bool,
    ) -> Option<u64> {
        (after + 1..before)
            .find(|seq| self.entry(*seq).is_some_and(|entry| entry.is_visible_to(member, echo)))
    }

    /// The seqs of the newest `count` messages to everyone up to `head`, ascending.
    pub(crate) fn newest_messages(&self, count: usize, head: u64) -> Vec<u64> {
        let is_message = |seq: &u64| matches!(self.entry(*seq), Some(What::Message { .. }));
        let mut newest: Vec<u64> = (1..=head).rev().filter(is_message).take(count).collect();
        newest.reverse();
        newest
    }

    /// Whether the history held all after `seq` when the head was `head`, if anybody saw it.
    pub(crate) fn reached_back(&self, seq: u64, head: u64) -> Option<bool> {
        if seq >= head {
            return Some(seq == head);
        }
        let oldest = *self.oldest.get((head as usize).checked_sub(1)?)?;
        (oldest != 0).then_some(oldest <= seq + 1)
    }

    pub(crate) fn holds(&self, payload: &[u8]) -> bool {
        self.by_payload.contains_key(payload)
    }

    fn append(&mut self, seq: u64, what: What) -> Result<(), String> {
        if let Some(payload) = what.payload() {
            let mut bytes = payload_bytes(payload).to_vec();
            // A room says the same to several members, one by one.
            if let What::Direct { from: 0, to, .. } = &what {
                bytes.extend(format!(" to {to}").into_bytes());
            }
            if let Some(first) = self.by_payload.insert(bytes, seq) {
                return Err(format!("seq {first} was applied again as {seq}: {what:?}"));
            }
        }
        let numbered = match &what {
            // A backend has no cseq.
            What::Message { from: 0, .. } => None,
            What::Message { from, cseq, .. } => Some((*from, *cseq)),
            What::Presence(PresenceEvent::Attributes { id, cseq, .. }) => Some((id.0, cseq.0)),
            _ => None,
        };
        if let Some((from, cseq)) = numbered.filter(|(from, _)| *from != 0) {
            let last = self.last_cseq.entry(from).or_default();
            if cseq <= *last {
                return Err(format!("member {from}: cseq {cseq} after {last} at seq {seq}"));
            }
            *last = cseq;
        }
        if let What::Message { at, .. } | What::Direct { at, .. } = &what {
            if *at < self.last_at {
                return Err(format!("time ran backwards at seq {seq}"));
            }
            self.last_at = *at;
        }
        self.entries[seq as usize - 1] = Some(what);
        Ok(())
    }
}

pub(crate) fn payload_bytes<'a>(payload: &'a Payload<'_>) -> &'a [u8] {
    match payload {
        Payload::Bytes(bytes) => bytes,
        Payload::Text(text) | Payload::Json(text) => text.as_bytes(),
    }
}

/// The logs of all rooms that ever were.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    rooms: BTreeMap<Epoch, BTreeMap<String, RoomLog>>,
}

impl Logs {
    pub(crate) fn get(&self, name: &str, epoch: Epoch) -> Option<&RoomLog> {
        self.rooms.get(&epoch)?.get(name)
    }

    /// A room began, and may have ended before anybody looked.
    pub(crate) fn began(&mut self, name: &str, epoch: Epoch, channel: u32) {
        let of_epoch = self.rooms.entry(epoch).or_default();
        let log = || RoomLog { channel, ..RoomLog::default() };
        of_epoch.entry(name.to_owned()).or_insert_with(log);
    }

    /// A room is gone.
    pub(crate) fn over(&mut self, name: &str) {
        for log in self.rooms.values_mut().filter_map(|rooms| rooms.get_mut(name)) {
            log.is_over = true;
        }
    }

    /// Takes over what was logged on a shard since it was last looked at.
    pub(crate) fn observe(&mut self, engine: &Engine) -> Result<(), String> {
        for room in engine.home().iter().filter(|room| room.kind != Kind::Raw) {
            self.observe_room(room).map_err(|why| format!("room {}: {why}", room.name))?;
        }
        Ok(())
    }

    fn observe_room(&mut self, room: &Room) -> Result<(), String> {
        let of_epoch = self.rooms.entry(room.epoch).or_default();
        if !of_epoch.contains_key(&*room.name) {
            let log = RoomLog { channel: room.channel, ..RoomLog::default() };
            of_epoch.insert(room.name.to_string(), log);
        }
        let log = of_epoch.get_mut(&*room.name).expect("it was just made sure of");
        if log.channel != room.channel || room.seq < log.head() {
            return Err(format!("epoch {} came a second time", room.epoch));
        }
        let before = log.head();
        if room.seq == before {
            return Ok(());
        }
        log.entries.resize(room.seq as usize, None);
        log.oldest.resize(room.seq as usize, 0);
        log.oldest[room.seq as usize - 1] = room.history.floor() + 1;
        for entry in room.history.after(before) {
            let to = if let EntryKind::Direct(to) = entry.kind { to } else { 0 };
            let bytes = codec::split_batch(&entry.frame)
                .next()
                .and_then(Result::ok)
                .ok_or("a log entry is one message")?;
            let message = codec::decode_server(bytes).map_err(|error| error.to_string())?;
            let (seq, what) =
                What::of(&message, &room.types, to).ok_or("a log entry is a logged message")?;
            if seq != entry.seq {
                return Err(format!("entry {} says it is {seq}", entry.seq));
            }
            log.append(seq, what)?;
        }
        // What is missing behind the history's end is a tick of the room's state.
        let floor = room.history.floor().max(before);
        log.unobserved += floor - before;
        let logged = &log.entries[floor as usize..];
        if room.kind == Kind::Relay && logged.iter().any(Option::is_none) {
            return Err(format!("seqs are missing behind {floor}"));
        }
        Ok(())
    }
}
