//! A client that speaks the wire as SPEC.md asks, native or JSON, and complains about a server
//! that does not.

use super::copy::{Against, StateCopy};
use super::log::What;
use super::node::Node;
use super::replica::{Before, Pending, Replica, carries_number};
use super::socket::{FromClient, Gone, Incoming, SocketId};
use madang_engine::frame::{Frame, FrameKind};
use madang_engine::input::Entry;
use madang_protocol::client::{
    Class, ClientMessage, Direct, GetStats, Hello, Join, JoinMode, JoinOptions, JoinTarget, Leave,
    Ping, Position, PresenceMode, Publish, Request, Resume, Resync, SetAttributes,
};
use madang_protocol::ids::{Channel, Cseq, MemberId, ResumeKey, Seq, SessionId};
use madang_protocol::server::{
    Ack, ErrorRef, Joined, LeaveReason, PresenceEvent, ServerMessage, Stats, Welcome,
};
use madang_protocol::state::Part;
use madang_protocol::value::{Payload, TypeRef, Value};
use madang_protocol::{CloseCode, ErrorCode, VERSION, codec, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Offline,
    /// Hello sent.
    Greeting,
    Ready,
}

/// A join without an answer.
#[derive(Clone, Debug)]
struct Joining {
    echo: bool,
    since: Option<Position>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) is_json: bool,
    /// Bytes the kernel takes for this client.
    pub(crate) capacity: usize,
    pub(crate) token: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) socket: Option<SocketId>,
    pub(crate) key: Option<ResumeKey>,
    pub(crate) session: Option<SessionId>,
    pub(crate) rooms: BTreeMap<u32, Replica>,
    joining: BTreeMap<u32, Joining>,
    /// Rooms that the newest hello wanted back.
    wanted: Vec<u32>,
    /// How far rooms that are no longer held were seen.
    pub(crate) positions: BTreeMap<String, Position>,
    next_ref: u32,
    /// Counts what it said, for words that nobody else says.
    pub(crate) next_token: u64,
    /// The newest number used in each channel, beyond memberships: what was sent to one that had ended
    /// without the client's knowing is taken for the next.
    cseqs: BTreeMap<u32, u64>,
    /// Sockets that the session is known to have been on.
    attached: Vec<SocketId>,
    /// How often each shard had crashed before the session began, and before the newest hello.
    crashes: Vec<u32>,
    crashes_before: Vec<u32>,
    /// Whether a Welcome was written for the session and never arrived.
    welcome_lost: bool,
    /// How each connection ended; none where it broke.
    pub(crate) ends: Vec<Option<CloseCode>>,
    pub(crate) welcomes: Vec<Welcome>,
    pub(crate) joins: Vec<Joined>,
    pub(crate) acks: Vec<Ack>,
    pub(crate) errors: Vec<(ErrorCode, ErrorRef)>,
    pub(crate) lefts: Vec<madang_protocol::server::Left>,
    pub(crate) replies: Vec<(u64, String)>,
    pub(crate) edited: Vec<madang_protocol::server::Edited>,
    pub(crate) stats: Vec<Stats>,
    pub(crate) pongs: Vec<u64>,
    pub(crate) draining: Option<u32>,
    /// What was said of its credential.
    pub(crate) told: Vec<ServerMessage<'static>>,
    pub(crate) pings: u32,
    /// Whether WebSocket pings are answered.
    pub(crate) answers_pings: bool,
    pub(crate) sessions_lost: u32,
}

impl Client {
    pub(crate) fn new(index: usize, is_json: bool, capacity: usize) -> Self {
        Self {
            index,
            is_json,
            capacity,
            token: None,
            phase: Phase::Offline,
            socket: None,
            key: None,
            session: None,
            rooms: BTreeMap::new(),
            joining: BTreeMap::new(),
            wanted: Vec::new(),
            positions: BTreeMap::new(),
            next_ref: 1,
            next_token: 1,
            cseqs: BTreeMap::new(),
            attached: Vec::new(),
            crashes: Vec::new(),
            crashes_before: Vec::new(),
            welcome_lost: false,
            ends: Vec::new(),
            welcomes: Vec::new(),
            joins: Vec::new(),
            acks: Vec::new(),
            errors: Vec::new(),
            lefts: Vec::new(),
            replies: Vec::new(),
            edited: Vec::new(),
            stats: Vec::new(),
            pongs: Vec::new(),
            draining: None,
            told: Vec::new(),
            pings: 0,
            answers_pings: true,
            sessions_lost: 0,
        }
    }

    fn violate(&self, node: &mut Node, why: &str) {
        node.violate(format!("client {}: {why}", self.index));
    }

    // What the client does.

    /// Connects and says hello, resuming where it can.
    pub(crate) fn connect(&mut self, node: &mut Node, shard: usize) {
        let wanted = self.rooms.values().filter(|room| !room.is_leaving).map(|room| room.channel);
        let wanted = wanted.collect();
        self.connect_wanting(node, shard, wanted);
    }

    /// Connects and resumes with only these rooms.
    pub(crate) fn connect_wanting(&mut self, node: &mut Node, shard: usize, wanted: Vec<u32>) {
        self.cut(node, usize::MAX, Gone::Unnoticed);
        let entry = if self.is_json { Entry::Json } else { Entry::Native };
        self.socket = Some(node.connect(shard, entry, self.capacity));
        self.phase = Phase::Greeting;
        self.crashes_before.clone_from(&node.crashes);
        let rooms = wanted.iter().map(|channel| self.rooms[channel].wire_position()).collect();
        self.wanted = wanted;
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            client: "model/1".to_owned(),
            token: self.token.clone().map(Into::into),
            resume: self.key.map(|key| Resume { key, rooms }),
            ..Hello::default()
        };
        self.send(node, &ClientMessage::Hello(hello));
    }

    /// Lets go of its connection; the server still gets the first `kept` messages on their way.
    pub(crate) fn cut(&mut self, node: &mut Node, kept: usize, gone: Gone) {
        let Some(id) = self.socket.take() else { return };
        if self.phase == Phase::Greeting && self.is_welcome_of_session(node, id) {
            self.attached.push(id);
            self.welcome_lost = true;
            node.reach("welcome lost");
        }
        node.cut(id, kept, gone);
        self.offline();
    }

    /// Ends its session.
    pub(crate) fn close(&mut self, node: &mut Node) {
        self.cut(node, usize::MAX, Gone::Closed);
        self.forget_session();
    }

    /// Whether what waits unread on a socket is a Welcome that took the session up.
    fn is_welcome_of_session(&self, node: &Node, id: SocketId) -> bool {
        let Some((frame, _)) = node.sockets[id].outbound.front() else { return false };
        let message = if self.is_json {
            std::str::from_utf8(frame).ok().and_then(|text| json::decode_server(text).ok())
        } else {
            let bytes = codec::split_batch(frame).next().and_then(Result::ok);
            bytes.and_then(|bytes| codec::decode_server(bytes).ok())
        };
        matches!(message, Some(ServerMessage::Welcome(welcome)) if welcome.resumed)
    }

    /// Whether the session cannot have ended: its shard lives, and not long ago it had a
    /// connection that nobody ended for good.
    fn must_live(&self, node: &Node) -> bool {
        let Some(key) = self.key else { return false };
        let grace_ms = node.config().session.grace_ms;
        let sockets = || self.attached.iter().map(|id| &node.sockets[*id]);
        let is_ended = |code: CloseCode| !code.resumable && code != CloseCode::REPLACED;
        let shard = key.shard() as usize;
        self.crashes.get(shard) == node.crashes.get(shard)
            && !sockets().any(|socket| socket.closed.is_some_and(is_ended))
            && sockets()
                .any(|socket| socket.released_at.is_none_or(|at| at.plus_ms(grace_ms) > node.now))
    }

    fn offline(&mut self) {
        self.phase = Phase::Offline;
        self.socket = None;
        self.joining.clear();
    }

    fn forget_session(&mut self) {
        self.key = None;
        self.session = None;
        self.welcome_lost = false;
        self.attached.clear();
        self.forget_rooms();
    }

    fn forget_rooms(&mut self) {
        self.cseqs.clear();
        for (_, room) in std::mem::take(&mut self.rooms) {
            self.forget_room(room);
        }
    }

    fn forget_room(&mut self, room: Replica) {
        let position = Position { epoch: room.epoch, seq: Seq(room.position) };
        self.positions.insert(room.name, position);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Joins a room by name; echoes and all else by `options`.
    pub(crate) fn join(&mut self, node: &mut Node, join: Join) {
        if !self.is_ready() {
            return;
        }
        let r#ref = self.next_ref;
        self.next_ref += 1;
        self.joining.insert(r#ref, Joining { echo: join.options.echo, since: join.since });
        self.send(node, &ClientMessage::Join(Join { r#ref, ..join }));
    }

    pub(crate) fn leave(&mut self, node: &mut Node, channel: u32) {
        if !self.is_ready() {
            return;
        }
        let Some(room) = self.rooms.get_mut(&channel).filter(|room| room.is_ready()) else {
            return;
        };
        room.is_leaving = true;
        self.send(node, &ClientMessage::Leave(Leave { channel: Channel(channel) }));
    }

    pub(crate) fn publish(
        &mut self,
        node: &mut Node,
        channel: u32,
        class: Class,
        name: &str,
        payload: Payload<'static>,
    ) -> Option<u64> {
        let is_reliable = class == Class::Reliable;
        let r#type = self.type_ref(channel, name);
        let bytes = super::log::payload_bytes(&payload).to_vec();
        self.operate(node, channel, (is_reliable, is_reliable.then_some(bytes)), |channel, cseq| {
            ClientMessage::Publish(Publish { channel, cseq, class, r#type, payload })
        })
    }

    pub(crate) fn direct(
        &mut self,
        node: &mut Node,
        channel: u32,
        to: u32,
        payload: Payload<'static>,
    ) -> Option<u64> {
        let (to, r#type) = (MemberId(to), self.type_ref(channel, "whisper"));
        self.operate(node, channel, (true, None), |channel, cseq| {
            ClientMessage::Direct(Direct { channel, cseq, to, r#type, payload })
        })
    }

    pub(crate) fn request(
        &mut self,
        node: &mut Node,
        channel: u32,
        name: &'static str,
        arguments: &str,
    ) -> Option<u64> {
        let payload = Payload::Json(Cow::Owned(arguments.to_owned()));
        let r#type = TypeRef::Name(Cow::Borrowed(name));
        self.operate(node, channel, (true, None), |channel, cseq| {
            ClientMessage::Request(Request { channel, cseq, r#type, payload })
        })
    }

    pub(crate) fn set_attributes(
        &mut self,
        node: &mut Node,
        channel: u32,
        attributes: Vec<(String, Value)>,
    ) -> Option<u64> {
        self.operate(node, channel, (true, None), |channel, cseq| {
            ClientMessage::SetAttributes(SetAttributes { channel, cseq, attributes })
        })
    }

    /// Numbers known are sent as numbers every second time.
    fn type_ref(&self, channel: u32, name: &str) -> TypeRef<'static> {
        let types = self.rooms.get(&channel).map(|room| &room.types);
        let known = types.and_then(|types| types.iter().position(|known| known == name));
        match known {
            Some(id) if self.next_token.is_multiple_of(2) => TypeRef::Id(id as u32),
            _ => TypeRef::Name(Cow::Owned(name.to_owned())),
        }
    }

    pub(super) fn operate(
        &mut self,
        node: &mut Node,
        channel: u32,
        (is_answered, payload): (bool, Option<Vec<u8>>),
        build: impl FnOnce(Channel, Cseq) -> ClientMessage<'static>,
    ) -> Option<u64> {
        let room = self.rooms.get_mut(&channel).filter(|room| room.is_ready())?;
        let id = self.socket.filter(|_| self.phase == Phase::Ready)?;
        let is_heard = super::access::is_heard(self.token.as_deref());
        room.cseq += 1;
        let cseq = room.cseq;
        self.cseqs.insert(channel, cseq);
        let message = build(Channel(channel), Cseq(cseq));
        let is_publication = matches!(message, ClientMessage::Publish(_));
        let is_input = is_publication && room.state.is_some();
        if let Some(state) = room.state.as_mut().filter(|_| is_input) {
            state.inputs.insert(cseq);
        }
        let bytes = encode(self.is_json, &message);
        if is_answered {
            let payload = payload.filter(|_| is_heard);
            let pending = Pending { bytes: bytes.clone(), payload, is_input, is_retried: false };
            room.unacked.insert(cseq, pending);
        }
        node.send(id, FromClient::Message { data: bytes, text: self.is_json });
        Some(cseq)
    }

    /// Says that its copy of a part is wrong, and waits for everything anew.
    pub(crate) fn resync(&mut self, node: &mut Node, channel: u32) {
        if !self.is_ready() {
            return;
        }
        let Some(room) = self.rooms.get_mut(&channel).filter(|room| room.is_ready()) else {
            return;
        };
        let state = room.state.as_mut();
        let Some(state) = state.filter(|state| !state.is_resyncing && !state.parts.is_empty())
        else {
            return;
        };
        state.is_resyncing = true;
        let (part, tick, hash) = (Part::Members, state.tick().unwrap_or(0), 7);
        let resync = Resync { channel: Channel(channel), part, tick, hash };
        self.send(node, &ClientMessage::Resync(resync));
    }

    pub(crate) fn ping(&mut self, node: &mut Node, id: u64) {
        self.send(node, &ClientMessage::Ping(Ping { id }));
    }

    pub(crate) fn get_stats(&mut self, node: &mut Node) {
        self.send(node, &ClientMessage::GetStats(GetStats { r#ref: 1 }));
    }

    pub(crate) fn send(&mut self, node: &mut Node, message: &ClientMessage<'_>) {
        let data = encode(self.is_json, message);
        self.send_bytes(node, data, self.is_json);
    }

    pub(crate) fn send_bytes(&mut self, node: &mut Node, data: Vec<u8>, text: bool) {
        if let Some(id) = self.socket {
            node.send(id, FromClient::Message { data, text });
        }
    }

    // What the client hears.

    /// Reads up to `most` messages; returns how many there were.
    pub(crate) fn read(&mut self, node: &mut Node, most: usize) -> usize {
        for count in 0..most {
            let Some(id) = self.socket else { return count };
            match node.receive(id) {
                None => return count,
                Some(Incoming::Frame(frame, kind)) => self.frame(node, &frame, kind),
                Some(Incoming::Closed(code)) => self.closed(node, Some(code)),
                Some(Incoming::Lost) => self.closed(node, None),
            }
        }
        most
    }

    fn closed(&mut self, _node: &mut Node, code: Option<CloseCode>) {
        self.offline();
        self.ends.push(code);
        if code.is_some_and(|code| !code.resumable) {
            self.forget_session();
        }
    }

    fn frame(&mut self, node: &mut Node, frame: &Frame, kind: FrameKind) {
        match (kind, self.is_json) {
            (FrameKind::Ping, _) => {
                self.pings += 1;
                if let Some(id) = self.socket.filter(|_| self.answers_pings) {
                    node.send(id, FromClient::Pong);
                }
            }
            (FrameKind::Batch, false) => {
                for bytes in codec::split_batch(frame) {
                    match bytes.and_then(codec::decode_server) {
                        Ok(message) => self.message(node, &message),
                        Err(error) => self.violate(node, &format!("undecodable: {error}")),
                    }
                }
            }
            (FrameKind::Text, true) => {
                let text = std::str::from_utf8(frame).unwrap_or("");
                match json::decode_server(text) {
                    Ok(message) => self.message(node, &message),
                    Err(error) => self.violate(node, &format!("undecodable: {error}: {text}")),
                }
            }
            _ => self.violate(node, &format!("a frame of kind {kind:?}")),
        }
    }

    fn message(&mut self, node: &mut Node, message: &ServerMessage<'_>) {
        if node.is_verbose {
            println!("  {} client {} reads {message:?}", node.now, self.index);
        }
        let is_welcome = matches!(message, ServerMessage::Welcome(_));
        if is_welcome != (self.phase == Phase::Greeting) {
            return self.violate(node, &format!("{message:?} in {:?}", self.phase));
        }
        let result = self.understand(node, message);
        if let Err(why) = result {
            self.violate(node, &why);
        }
    }

    fn understand(&mut self, node: &mut Node, message: &ServerMessage<'_>) -> Result<(), String> {
        match message {
            ServerMessage::Welcome(welcome) => self.welcomed(node, welcome),
            ServerMessage::Joined(joined) => self.joined(node, joined),
            ServerMessage::Left(left) => {
                self.lefts.push(left.clone());
                match left.reason {
                    LeaveReason::Kicked => node.reach("kicked"),
                    LeaveReason::Closed => node.reach("room closed by its rules"),
                    LeaveReason::Failed => node.reach("room failed under its members"),
                    _ => {}
                }
                let room = self.rooms.remove(&left.channel.0);
                let room = room.ok_or_else(|| format!("{left:?} of no room"))?;
                self.forget_room(room);
                Ok(())
            }
            ServerMessage::Message(_) | ServerMessage::Direct(_) | ServerMessage::Presence(_) => {
                self.logged(node, message)
            }
            ServerMessage::Ephemeral(message) => self.held(message.channel)?.ephemeral(message),
            ServerMessage::PresenceCount(count) => {
                let room = self.held(count.channel)?;
                if room.presence == PresenceMode::Full && !room.is_roster_stale {
                    return Err("a count in a room with full presence".to_owned());
                }
                // The collapse was in a gap.
                room.presence = PresenceMode::Count;
                room.members.clear();
                room.count = Some(count.count);
                Ok(())
            }
            ServerMessage::Ack(ack) => self.acked(node, *ack),
            ServerMessage::Reply(reply) => {
                self.held(reply.channel)?.unacked.remove(&reply.cseq.0);
                let text = String::from_utf8_lossy(super::log::payload_bytes(&reply.payload));
                self.replies.push((reply.cseq.0, text.into_owned()));
                Ok(())
            }
            ServerMessage::Gap(gap) => {
                node.reach("gap seen");
                let room = self.held(gap.channel)?;
                let log = node.logs.get(&room.name, room.epoch).ok_or("a room without a log")?;
                room.gap(gap, log)?;
                // Acknowledgements may have been among it: a repeat brings them.
                self.retry(node, gap.channel.0, true);
                Ok(())
            }
            ServerMessage::Pong(pong) => self.noted(|own| own.pongs.push(pong.id)),
            ServerMessage::Expiring(_) | ServerMessage::Renewed(_) => {
                self.noted(|own| own.told.push(message.clone().into_owned()))
            }
            ServerMessage::Stats(stats) => self.noted(|own| own.stats.push(stats.clone())),
            ServerMessage::Error(error) => {
                self.errors.push((error.code, error.r#ref));
                match error.r#ref {
                    ErrorRef::Session => {}
                    ErrorRef::Join(r#ref) => {
                        self.joining.remove(&r#ref).ok_or("an error about no join")?;
                    }
                    ErrorRef::Cseq { channel, cseq } => {
                        let Some(room) = self.rooms.get_mut(&channel.0) else { return Ok(()) };
                        room.unacked.remove(&cseq.0);
                        let state = room.state.as_ref();
                        let is_late = |state: &StateCopy| {
                            state.acked >= cseq.0 && state.inputs.contains(&cseq.0)
                        };
                        if state.is_some_and(is_late) {
                            return Err(format!("cseq {cseq} was refused behind its input ack"));
                        }
                    }
                }
                Ok(())
            }
            ServerMessage::Snapshot(snapshot) => {
                let ((_, state), against) = self.state_of(node, snapshot.channel)?;
                let reached = match snapshot.part {
                    Part::Team(_) if state.beginnings > 0 => Some("team entered"),
                    Part::Cell(_) => Some("cell entered"),
                    Part::Members if state.is_resyncing => Some("resync answered"),
                    Part::Members if state.beginnings > 0 => Some("state began anew"),
                    _ => None,
                };
                state.snapshot(snapshot, against)?;
                if let Some(situation) = reached {
                    node.reach(situation);
                }
                Ok(())
            }
            ServerMessage::Delta(delta) => {
                let ((_, state), against) = self.state_of(node, delta.channel)?;
                state.delta(delta, against)
            }
            ServerMessage::PartGone(gone) => {
                node.reach(if matches!(gone.part, Part::Team(_)) {
                    "team left"
                } else {
                    "cell left"
                });
                self.state_of(node, gone.channel)?.0.1.gone(gone)
            }
            ServerMessage::InputAck(ack) => {
                // What it said as the member that it was before may have come to the one that it is now.
                let is_second = self.lefts.iter().any(|left| left.channel == ack.channel);
                let ((cseq, state), _) = self.state_of(node, ack.channel)?;
                state.acked(*ack, if is_second { u64::MAX } else { cseq })?;
                let room = self.held(ack.channel)?;
                room.cseq = room.cseq.max(ack.cseq.0);
                room.unacked.retain(|cseq, pending| !pending.is_input || *cseq > ack.cseq.0);
                Ok(())
            }
            ServerMessage::Edited(edited) => {
                self.held(edited.channel)?.unacked.remove(&edited.cseq.0);
                self.edited.push(edited.clone());
                Ok(())
            }
            ServerMessage::Draining(draining) => {
                self.draining = Some(draining.retry_after_ms);
                Ok(())
            }
            ServerMessage::Types(types) => {
                let room = self.held(types.channel)?;
                let first = types.first as usize;
                if first > room.types.len() {
                    return Err(format!("types from {first}, known {}", room.types.len()));
                }
                if first == 0 && room.types.len() > types.names.len() {
                    return Err("types were forgotten".to_owned());
                }
                room.types.truncate(first);
                room.types.extend(types.names.iter().cloned());
                Ok(())
            }
            ServerMessage::Redirect(_) | ServerMessage::Moved(_) => {
                Err(format!("{message:?} without a cluster"))
            }
        }
    }

    /// The copy of a room's state with the highest cseq used there, and what it is held against.
    fn state_of<'n>(
        &mut self,
        node: &'n Node,
        channel: Channel,
    ) -> Result<((u64, &mut StateCopy), Against<'n>), String> {
        let room = self.held(channel)?;
        let (epoch, member) = (room.epoch, room.member);
        if room.is_replaying() {
            return Err("state in the middle of a replay".to_owned());
        }
        let state = room.state.as_mut().ok_or("state of a room without one")?;
        Ok(((room.cseq, state), Against { projections: &node.projections, epoch, member }))
    }

    fn held(&mut self, channel: Channel) -> Result<&mut Replica, String> {
        let room = self.rooms.get_mut(&channel.0);
        let room = room.ok_or_else(|| format!("channel {channel} is no room"))?;
        if room.is_awaiting {
            return Err(format!("channel {channel} before its joined"));
        }
        Ok(room)
    }

    fn welcomed(&mut self, node: &mut Node, welcome: &Welcome) -> Result<(), String> {
        self.phase = Phase::Ready;
        self.welcomes.push(welcome.clone());
        if !welcome.resumed && self.must_live(node) {
            return Err("a session that must live was not resumed".to_owned());
        }
        let had = self.session.replace(welcome.session);
        self.key = Some(welcome.resume_key);
        if had != Some(welcome.session) {
            self.attached.clear();
            self.crashes.clone_from(&self.crashes_before);
        }
        self.attached.extend(self.socket);
        if welcome.resumed {
            if had != Some(welcome.session) {
                return Err("another session was resumed".to_owned());
            }
            if std::mem::take(&mut self.welcome_lost) {
                node.reach("lost welcome resumed by the old key");
            }
            for (channel, mut room) in std::mem::take(&mut self.rooms) {
                if self.wanted.contains(&channel) {
                    room.is_awaiting = true;
                    self.rooms.insert(channel, room);
                } else {
                    self.forget_room(room);
                }
            }
        } else {
            if had.is_some() {
                self.sessions_lost += 1;
                node.reach("session lost");
            }
            self.welcome_lost = false;
            self.forget_rooms();
        }
        Ok(())
    }

    fn joined(&mut self, node: &mut Node, joined: &Joined) -> Result<(), String> {
        self.joins.push(joined.clone());
        let channel = joined.channel.0;
        let log = node
            .logs
            .get(&joined.name, joined.epoch)
            .ok_or_else(|| format!("{} has no such epoch", joined.name))?;
        let mut reached: Vec<&'static str> = Vec::new();
        let (mut room, before) = if let Some(r#ref) = joined.r#ref {
            let joining = self.joining.remove(&r#ref).ok_or("a joined about no join")?;
            if self.rooms.contains_key(&channel) {
                return Err(format!("joined channel {channel} a second time"));
            }
            let since = joining.since;
            let before = since.map(|at| Before { epoch: at.epoch, position: at.seq.0 });
            if joined.recovered {
                reached.push("join recovered");
            }
            (Replica::new(joined, joining.echo), before)
        } else {
            let room = self.rooms.remove(&channel).ok_or("resumed a room nobody wanted")?;
            if !room.is_awaiting {
                return Err("a second answer to a resume".to_owned());
            }
            let is_same = room.epoch == joined.epoch;
            if is_same && room.member != joined.member.0 {
                reached.push("resume found another member");
            }
            reached.push(match (joined.recovered, is_same) {
                (true, _) if joined.replay > 0 => "resume replayed",
                (true, _) => "resume had missed nothing",
                (false, true) => "resume found history too short",
                (false, false) => "resume found another epoch",
            });
            let before = Before { epoch: room.epoch, position: room.position };
            (room, Some(before))
        };
        room.unacked.values_mut().for_each(|pending| pending.is_retried = false);
        let mut result = room.joined(joined, before, log);
        room.cseq = room.cseq.max(self.cseqs.get(&channel).copied().unwrap_or_default());
        result = result.and_then(|()| room.settle_applied(joined.applied_cseq.0, log));
        self.rooms.insert(channel, room);
        for situation in reached {
            node.reach(situation);
        }
        self.retry(node, channel, false);
        result
    }

    /// Sends again what has no answer, under the same cseqs. On one connection the second copy is
    /// a repeat for certain, and its answer cannot be in a gap: a third is never needed.
    fn retry(&mut self, node: &mut Node, channel: u32, is_second: bool) {
        // Behind a leave the channel may already mean a new membership.
        let room = self.rooms.get_mut(&channel).filter(|room| room.is_ready());
        let Some(room) = room else { return };
        let due = room.unacked.values_mut().filter(|pending| !pending.is_retried);
        let retries: Vec<Vec<u8>> = due
            .map(|pending| {
                pending.is_retried = is_second;
                pending.bytes.clone()
            })
            .collect();
        for bytes in retries {
            node.reach("retry sent");
            self.send_bytes(node, bytes, self.is_json);
        }
    }

    fn logged(&mut self, node: &mut Node, message: &ServerMessage<'_>) -> Result<(), String> {
        let channel = match message {
            ServerMessage::Message(message) => message.channel,
            ServerMessage::Direct(message) => message.channel,
            ServerMessage::Presence(message) => message.channel,
            _ => return Ok(()),
        };
        let is_json = self.is_json;
        let room = self.held(channel)?;
        if is_json && carries_number(message) {
            return Err("a JSON client was sent a type number".to_owned());
        }
        let was_replaying = room.is_replaying();
        let log = node.logs.get(&room.name, room.epoch).ok_or("a room without a log")?;
        room.logged(message, log)?;
        match room.seen.last() {
            Some((_, What::Direct { .. })) if was_replaying => node.reach("direct replayed"),
            Some((_, What::Presence(PresenceEvent::Collapsed { .. }))) => {
                node.reach("presence collapsed");
            }
            _ => {}
        }
        Ok(())
    }

    fn acked(&mut self, node: &mut Node, ack: Ack) -> Result<(), String> {
        self.acks.push(ack);
        let room = self.held(ack.channel)?;
        let log = node.logs.get(&room.name, room.epoch).ok_or("a room without a log")?;
        if let Some(pending) = room.unacked.remove(&ack.cseq.0) {
            pending.check_applied(ack.cseq.0, log)?;
        }
        let Some(seq) = ack.seq else { return Ok(()) };
        let is_own = match log.entry(seq.0) {
            Some(What::Message { from, cseq, .. }) => *from == room.member && *cseq == ack.cseq.0,
            Some(What::Direct { from, .. }) => *from == room.member,
            Some(What::Presence(_)) => false,
            None => log.may_hold(seq.0),
        };
        if is_own { Ok(()) } else { Err(format!("{ack:?} is not in the log")) }
    }
}

pub(crate) fn encode(is_json: bool, message: &ClientMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if is_json {
        json::encode_client(message, &mut bytes);
    } else {
        codec::encode_client(message, &mut bytes);
    }
    bytes
}

/// A join by name with everything else left at its default.
pub(crate) fn join_named(name: &str) -> Join {
    Join {
        r#ref: 0,
        target: JoinTarget::Name(name.to_owned()),
        mode: JoinMode::Either,
        options: JoinOptions::default(),
        since: None,
        history: 0,
        ext: Vec::new(),
    }
}

pub(crate) fn text(text: &str) -> Payload<'static> {
    Payload::Text(Cow::Owned(text.to_owned()))
}
