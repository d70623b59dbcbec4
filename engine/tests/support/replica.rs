//! What a client makes of one room, by SPEC.md alone, held against the room's full log at every
//! message.

use super::copy::StateCopy;
use super::log::{RoomLog, What, payload_bytes, type_name};
use madang_protocol::client::{PresenceMode, RoomPosition};
use madang_protocol::ids::{Channel, Epoch, Seq};
use madang_protocol::server::{
    Ephemeral, Gap, Joined, MemberInfo, PresenceEvent, Roster, ServerMessage,
};
use madang_protocol::value::{TypeRef, Value};
use std::collections::BTreeMap;

/// Something sent and not answered.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// The message, encoded: a retry sends the same bytes.
    pub(crate) bytes: Vec<u8>,
    /// The payload of a reliable publication: once acknowledged it has to be in the log.
    pub(crate) payload: Option<Vec<u8>>,
    /// Whether it is input to a room with rules: an input ack answers it.
    pub(crate) is_input: bool,
    /// Whether it was sent a second time on this connection: the answer to that cannot be missed.
    pub(crate) is_retried: bool,
}

/// A replay that has not come in full.
#[derive(Clone, Debug)]
struct Replaying {
    recovered: bool,
    head: u64,
    left: u32,
    seqs: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) channel: u32,
    pub(crate) epoch: Epoch,
    pub(crate) member: u32,
    pub(crate) echo: bool,
    pub(crate) presence: PresenceMode,
    /// The highest seq received, as SPEC.md 10.5 counts it.
    pub(crate) position: u64,
    replaying: Option<Replaying>,
    /// A resume is under way and its `joined` has not come.
    pub(crate) is_awaiting: bool,
    /// A leave is under way.
    pub(crate) is_leaving: bool,
    /// The highest cseq used.
    pub(crate) cseq: u64,
    pub(crate) unacked: BTreeMap<u64, Pending>,
    pub(crate) types: Vec<String>,
    pub(crate) members: BTreeMap<u32, MemberInfo>,
    pub(crate) count: Option<u32>,
    /// Payloads of class latest by sender and key.
    pub(crate) latest: BTreeMap<(u32, u32), Vec<u8>>,
    /// Logged messages received since the last fresh start, in order.
    pub(crate) seen: Vec<(u64, What)>,
    /// Payloads of class latest and volatile, as they came.
    pub(crate) ephemerals: Vec<(Option<u32>, Vec<u8>)>,
    pub(crate) gaps: Vec<(u64, u64)>,
    /// Changes of the member list may have been in a gap: not to be relied on until the next
    /// `joined`.
    pub(crate) is_roster_stale: bool,
    /// What it has of the room's state, if the room has one.
    pub(crate) state: Option<StateCopy>,
}

/// Where a client stood before a `joined`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    pub(crate) epoch: Epoch,
    pub(crate) position: u64,
}

impl Replica {
    /// Begins with a `joined` that answers a join; `since` is the position the join asked from.
    pub(crate) fn new(joined: &Joined, echo: bool) -> Self {
        Self {
            name: joined.name.clone(),
            channel: joined.channel.0,
            epoch: joined.epoch,
            member: joined.member.0,
            echo,
            presence: joined.presence,
            position: 0,
            replaying: None,
            is_awaiting: false,
            is_leaving: false,
            cseq: 0,
            unacked: BTreeMap::new(),
            types: Vec::new(),
            members: BTreeMap::new(),
            count: None,
            latest: BTreeMap::new(),
            seen: Vec::new(),
            ephemerals: Vec::new(),
            gaps: Vec::new(),
            is_roster_stale: false,
            state: None,
        }
    }

    /// Whether the client may say something new.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_awaiting && !self.is_leaving
    }

    pub(crate) fn wire_position(&self) -> RoomPosition {
        let (channel, epoch, seq) = (Channel(self.channel), self.epoch, Seq(self.position));
        RoomPosition { channel, epoch, seq }
    }

    /// A `joined` came: takes over the room's state and gets ready for the replay.
    pub(crate) fn joined(
        &mut self,
        joined: &Joined,
        before: Option<Before>,
        log: &RoomLog,
    ) -> Result<(), String> {
        let head = joined.seq.0;
        let before = before.filter(|before| before.epoch == joined.epoch);
        match before {
            None if joined.recovered => return Err("recovered from no position".to_owned()),
            Some(before)
                if !joined.recovered && log.reached_back(before.position, head) == Some(true) =>
            {
                let position = before.position;
                return Err(format!("not recovered from {position}, which the history held"));
            }
            _ => {}
        }
        if joined.epoch != self.epoch || !joined.recovered {
            self.latest.clear();
            self.seen.clear();
        }
        if joined.epoch != self.epoch || joined.member.0 != self.member {
            // What was not acknowledged under the old epoch, or by a member that left (and came
            // again by a join whose answer was lost), is unknown.
            self.unacked.clear();
            self.cseq = 0;
        }
        self.is_awaiting = false;
        self.is_roster_stale = false;
        self.state = StateCopy::of(joined)?;
        self.name.clone_from(&joined.name);
        self.epoch = joined.epoch;
        self.member = joined.member.0;
        self.position = before.map_or(0, |before| before.position);
        self.presence = joined.presence;
        self.types.clone_from(&joined.types);
        self.members.clear();
        self.count = None;
        match &joined.roster {
            Roster::Full(members) => {
                if !members.is_sorted_by(|a, b| a.id < b.id) {
                    return Err("the roster is not ascending".to_owned());
                }
                self.members = members.iter().map(|info| (info.id.0, info.clone())).collect();
                if !self.members.contains_key(&self.member) {
                    return Err("the roster lacks the client itself".to_owned());
                }
                let is_there = |sender: u32| sender == 0 || self.members.contains_key(&sender);
                self.latest.retain(|(sender, _), _| is_there(*sender));
            }
            Roster::Count(count) => self.count = Some(*count),
            Roster::None => {}
        }
        self.cseq = self.cseq.max(joined.applied_cseq.0);
        let recovered = joined.recovered;
        self.replaying = Some(Replaying { recovered, head, left: joined.replay, seqs: Vec::new() });
        self.finish_replay(log)
    }

    /// Takes those that the room has dealt with out of what waits for an answer.
    pub(crate) fn settle_applied(&mut self, applied: u64, log: &RoomLog) -> Result<(), String> {
        let kept = self.unacked.split_off(&(applied + 1));
        for (cseq, pending) in std::mem::replace(&mut self.unacked, kept) {
            pending.check_applied(cseq, log)?;
        }
        Ok(())
    }

    /// A logged message came.
    pub(crate) fn logged(
        &mut self,
        message: &ServerMessage<'_>,
        log: &RoomLog,
    ) -> Result<(), String> {
        let (seq, what) = What::of(message, &self.types, self.member)
            .ok_or_else(|| format!("a type number nobody announced: {message:?}"))?;
        match log.entry(seq) {
            Some(entry) if *entry != what => {
                return Err(format!("seq {seq} is {what:?}, in the log {entry:?}"));
            }
            Some(entry) if !entry.is_visible_to(self.member, self.echo) => {
                let is_history = self.replaying.as_ref().is_some_and(|replay| !replay.recovered)
                    && matches!(what, What::Message { .. });
                if !is_history {
                    return Err(format!("seq {seq} is not for member {}: {what:?}", self.member));
                }
            }
            None if !log.may_hold(seq) => return Err(format!("seq {seq} is not in the log")),
            _ => {}
        }
        let is_replay = self.replaying.is_some();
        match &mut self.replaying {
            Some(replay) => {
                if seq > replay.head {
                    return Err(format!("seq {seq} in a replay up to {}", replay.head));
                }
                replay.left -= 1;
                let is_ascending = replay.seqs.last().is_none_or(|last| *last < seq);
                replay.seqs.push(seq);
                if replay.recovered {
                    self.advance(seq, log)?;
                } else if is_ascending {
                    self.position = seq;
                } else {
                    return Err(format!("seq {seq} is not ascending in the replay"));
                }
            }
            None => self.advance(seq, log)?,
        }
        match &what {
            What::Message { from, cseq, .. } if *from == self.member => {
                self.unacked.remove(cseq);
            }
            What::Presence(event) => {
                if let PresenceEvent::Attributes { id, cseq, .. } = event
                    && id.0 == self.member
                {
                    self.unacked.remove(&cseq.0);
                }
                if !is_replay {
                    self.presence_changed(event);
                }
            }
            _ => {}
        }
        self.seen.push((seq, what));
        self.finish_replay(log)
    }

    /// Moves to `seq`; nothing this member could see may lie between.
    fn advance(&mut self, seq: u64, log: &RoomLog) -> Result<(), String> {
        if seq <= self.position {
            return Err(format!("seq {seq} came at position {}", self.position));
        }
        self.check_nothing_missed(seq, log)?;
        self.position = seq;
        Ok(())
    }

    fn check_nothing_missed(&self, before: u64, log: &RoomLog) -> Result<(), String> {
        match log.first_visible((self.position, before), self.member, self.echo) {
            Some(missed) => {
                let position = self.position;
                Err(format!("seq {missed} is missing between {position} and {before}"))
            }
            None => Ok(()),
        }
    }

    fn finish_replay(&mut self, log: &RoomLog) -> Result<(), String> {
        let Some(replay) = self.replaying.take_if(|replay| replay.left == 0) else { return Ok(()) };
        if replay.recovered {
            self.check_nothing_missed(replay.head + 1, log)?;
        } else if log.unobserved == 0 {
            let newest = log.newest_messages(replay.seqs.len(), replay.head);
            if newest != replay.seqs {
                return Err(format!("the history {:?} is not the newest, {newest:?}", replay.seqs));
            }
        }
        self.position = self.position.max(replay.head);
        Ok(())
    }

    pub(crate) fn is_replaying(&self) -> bool {
        self.replaying.is_some()
    }

    pub(crate) fn gap(&mut self, gap: &Gap, log: &RoomLog) -> Result<(), String> {
        if self.replaying.is_some() {
            return Err("a gap in the middle of a replay".to_owned());
        }
        let (from, to) = (gap.from_seq.0, gap.to_seq.0);
        if to <= self.position || from > to || to > log.head() {
            return Err(format!("gap {from} to {to} at position {}", self.position));
        }
        self.check_nothing_missed(from, log)?;
        self.gaps.push((from, to));
        self.is_roster_stale = true;
        self.position = to;
        Ok(())
    }

    pub(crate) fn ephemeral(&mut self, message: &Ephemeral<'_>) -> Result<(), String> {
        let from = message.from.0;
        if from == self.member {
            return Err("an ephemeral came back to its sender".to_owned());
        }
        if type_name(&message.r#type, &self.types).is_none() {
            return Err(format!("a type number nobody announced: {:?}", message.r#type));
        }
        let payload = payload_bytes(&message.payload).to_vec();
        if let Some(key) = message.key {
            self.latest.insert((from, key), payload.clone());
        }
        self.ephemerals.push((message.key, payload));
        Ok(())
    }

    fn presence_changed(&mut self, event: &PresenceEvent) {
        match event {
            PresenceEvent::Join(info) => {
                self.members.insert(info.id.0, info.clone());
            }
            PresenceEvent::Leave { id, .. } => {
                self.members.remove(&id.0);
                self.latest.retain(|(sender, _), _| *sender != id.0);
            }
            PresenceEvent::Away(id) => {
                if let Some(member) = self.members.get_mut(&id.0) {
                    member.away = true;
                }
            }
            PresenceEvent::Back(id) => {
                if let Some(member) = self.members.get_mut(&id.0) {
                    member.away = false;
                }
            }
            PresenceEvent::Attributes { id, changes, .. } => {
                if let Some(member) = self.members.get_mut(&id.0) {
                    merge(&mut member.attributes, changes);
                }
            }
            PresenceEvent::Collapsed { count } => {
                self.presence = PresenceMode::Count;
                self.members.clear();
                self.count = Some(*count);
            }
        }
    }
}

impl Pending {
    /// What a room has dealt with and does not refuse is in its log.
    pub(crate) fn check_applied(&self, cseq: u64, log: &RoomLog) -> Result<(), String> {
        match &self.payload {
            // What rules make of it is theirs.
            _ if self.is_input => Ok(()),
            Some(payload) if log.unobserved == 0 && !log.holds(payload) => {
                Err(format!("cseq {cseq} was acknowledged and is not in the log"))
            }
            _ => Ok(()),
        }
    }
}

fn merge(attributes: &mut Vec<(String, Value)>, changes: &[(String, Value)]) {
    for (name, value) in changes {
        let at = attributes.iter().position(|(known, _)| known == name);
        match (at, value) {
            (Some(at), Value::Null) => drop(attributes.remove(at)),
            (None, Value::Null) => {}
            (Some(at), value) => attributes[at].1 = value.clone(),
            (None, value) => attributes.push((name.clone(), value.clone())),
        }
    }
}

/// Whether a message names its type by number.
pub(crate) fn carries_number(message: &ServerMessage<'_>) -> bool {
    let r#type = match message {
        ServerMessage::Message(message) => &message.r#type,
        ServerMessage::Direct(message) => &message.r#type,
        _ => return false,
    };
    matches!(r#type, TypeRef::Id(_))
}
