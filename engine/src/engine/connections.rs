//! Connections: hello, resume, what comes in, and ends.

use super::Engine;
use super::timers::TimerKey;
use crate::access::Identity;
use crate::config::Kind;
use crate::frame::FrameKind;
use crate::id::{ConnId, SessionRef, ShardId};
use crate::input::Entry;
use crate::output::{Event, Output};
use crate::peer::{JoinRequest, Up, Wire, home_of};
use crate::session::rate::Ask;
use crate::session::{Held, Joining, QueueClass, Resumable, pause};
use crate::time::Time;
use madang_protocol::client::{
    ClientMessage, Hello, Join, JoinMode, JoinOptions, JoinTarget, Resume,
};
use madang_protocol::codec::{self, DecodeError};
use madang_protocol::ids::{ConnectionId, ResumeKey, SessionId};
use madang_protocol::server::{ErrorMessage, ErrorRef, LeaveReason, Left, ServerMessage, Welcome};
use madang_protocol::{CloseCode, ErrorCode, VERSION, json};
use std::sync::Arc;
use thin_vec::ThinVec;

/// What a connection's slot holds.
#[derive(Debug)]
pub(super) enum ConnState {
    /// Nothing.
    Vacant,
    /// A connection without a session.
    Opening(Box<Opening>),
    /// A session's connection.
    Open { generation: u32, slot: u32 },
}

/// A connection on its way to a session.
#[derive(Debug)]
pub(super) struct Opening {
    generation: u32,
    wire: Wire,
    /// Bytes received so far.
    bytes: usize,
    /// What the credential that is being checked is for.
    wants: Option<Box<Wants>>,
    /// Messages that came meanwhile, and whether each is text.
    pending: Vec<(Box<[u8]>, bool)>,
}

/// What a connection wants, once it is known whose it is.
#[derive(Debug)]
enum Wants {
    /// A session, or one of its own back.
    Session(Hello),
    /// To be in a raw room.
    Raw {
        /// The room.
        room: Box<str>,
        /// Whether the sender hears itself.
        echo: bool,
    },
}

impl Engine {
    pub(super) fn connected(&mut self, conn: ConnId, entry: Entry) {
        let index = conn.slot as usize;
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || ConnState::Vacant);
        }
        let (wire, wants) = match entry {
            Entry::Native => (Wire::Native, None),
            Entry::Json => (Wire::Json, None),
            Entry::Raw { .. } if self.draining => {
                return self.close(conn, CloseCode::DRAINING, "the server is going away");
            }
            Entry::Raw { room, echo } => (Wire::Raw, Some(Box::new(Wants::Raw { room, echo }))),
        };
        self.conns[index] = ConnState::Opening(Box::new(Opening {
            generation: conn.generation,
            wire,
            bytes: 0,
            wants,
            pending: Vec::new(),
        }));
        let due = self.clock.now.plus_ms(self.config.session.hello_ms);
        self.timers.insert(due, TimerKey::Hello(conn));
        if wire == Wire::Raw {
            self.out.push_back(Output::ReadPause(conn));
            self.out.push_back(Output::Authenticate { conn, token: None });
        }
    }

    /// A raw connection is a session as soon as it is known whose, and asks for its room.
    fn accept_raw(&mut self, conn: ConnId, room: &str, echo: bool, identity: Arc<Identity>) {
        let who = (Arc::clone(&identity), None);
        let Some(slot) = self.open_session(conn, Wire::Raw, who) else { return };
        let Some(address) = self.sessions.address(slot) else { return };
        self.pause(slot, pause::ENTRY);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.held = Some(Box::default());
            session.joining.push(Joining { r#ref: 0, name: Some(room.into()) });
        }
        let join = Join {
            r#ref: 0,
            target: JoinTarget::Name(room.to_owned()),
            mode: JoinMode::Either,
            options: JoinOptions { echo, ..JoinOptions::default() },
            since: None,
            history: 0,
            ext: Vec::new(),
        };
        let request = JoinRequest {
            session: address,
            attempt: 1,
            identity,
            wire: Wire::Raw,
            kind: Kind::Raw,
            join,
            visited: 0,
        };
        self.send_up(home_of(room, self.config.shards), Up::Join(Box::new(request)));
    }

    pub(super) fn seen(&mut self, conn: ConnId) {
        let now = self.clock.now;
        if let Some(session) = self.session_of(conn).and_then(|slot| self.sessions.get_mut(slot)) {
            session.last_seen = now;
        }
    }

    pub(super) fn message(&mut self, conn: ConnId, data: &[u8], text: bool) {
        match self.conns.get_mut(conn.slot as usize) {
            Some(ConnState::Open { generation, slot }) if *generation == conn.generation => {
                let slot = *slot;
                self.session_message(conn, slot, data, text);
            }
            Some(ConnState::Opening(opening)) if opening.generation == conn.generation => {
                opening.bytes += data.len();
                let config = &self.config.session;
                let most = match opening.wire {
                    // Nothing is read meanwhile: what comes was read in the same turn.
                    Wire::Raw => config.message_bytes_max as usize * 2,
                    _ => config.hello_bytes_max,
                };
                if opening.bytes > most {
                    let why = format!("more than {most} bytes before the session was accepted");
                    return self.close(conn, CloseCode::HELLO_TOO_BIG, &why);
                }
                if opening.wants.is_some() {
                    opening.pending.push((data.into(), text));
                } else {
                    let wire = opening.wire;
                    self.hello(conn, wire, data, text);
                }
            }
            _ => {}
        }
    }

    /// The first message of a connection.
    fn hello(&mut self, conn: ConnId, wire: Wire, data: &[u8], text: bool) {
        if wire == Wire::Native && !text && data.is_empty() {
            // A batch without messages, as it may come later too. The deadline of the hello runs on.
            return;
        }
        let (first, rest) = match split_first(wire, data, text) {
            Ok(parts) => parts,
            Err(error) => return self.bad_message(conn, &error.to_string()),
        };
        let hello = match decode(wire, first) {
            Ok(ClientMessage::Hello(hello)) => hello,
            Ok(_) => return self.bad_message(conn, "the first message has to be a hello"),
            Err(error) => return self.bad_message(conn, &format!("the hello: {error}")),
        };
        if self.draining {
            return self.close(conn, CloseCode::DRAINING, "the server is going away");
        }
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            let (low, high) = (hello.version_min, hello.version_max);
            let why = format!("the server speaks version {VERSION}, the client {low} to {high}");
            return self.close(conn, CloseCode::UNSUPPORTED_VERSION, &why);
        }
        if let Some(to) = self.elsewhere(&hello) {
            self.forget_conn(conn);
            return self.out.push_back(Output::Handoff { conn, to, first: data.into() });
        }
        let mut hello = hello;
        let token = hello.token.take();
        if let Some(ConnState::Opening(opening)) = self.conns.get_mut(conn.slot as usize) {
            opening.wants = Some(Box::new(Wants::Session(hello)));
            if !rest.is_empty() {
                opening.pending.push((rest.into(), false));
            }
        }
        self.out.push_back(Output::Authenticate { conn, token });
    }

    /// The shard that holds the session a hello wants to resume, if it is another one.
    fn elsewhere(&self, hello: &Hello) -> Option<ShardId> {
        let key = &hello.resume.as_ref()?.key;
        let shard = ShardId(key.shard());
        let is_other = key.node() == self.config.node
            && shard != self.config.shard
            && shard.0 < self.config.shards;
        is_other.then_some(shard)
    }

    pub(super) fn authenticated(
        &mut self,
        conn: ConnId,
        result: Result<Arc<Identity>, (CloseCode, String)>,
    ) {
        if let Some(slot) = self.session_of(conn) {
            return self.renewed(slot, result);
        }
        let Some(ConnState::Opening(opening)) = self.conns.get_mut(conn.slot as usize) else {
            return;
        };
        if opening.generation != conn.generation {
            return;
        }
        let Some(wants) = opening.wants.take() else { return };
        let pending = std::mem::take(&mut opening.pending);
        let wire = opening.wire;
        let identity = match result {
            Ok(identity) => identity,
            Err((code, why)) => return self.close(conn, code, &why),
        };
        match *wants {
            Wants::Session(hello) => self.accept(conn, wire, hello, identity),
            Wants::Raw { room, echo } => self.accept_raw(conn, &room, echo, identity),
        }
        for (data, text) in pending {
            // The connection may end at any of them.
            self.message(conn, &data, text);
        }
    }

    fn accept(&mut self, conn: ConnId, wire: Wire, hello: Hello, identity: Arc<Identity>) {
        let resumed = hello.resume.and_then(|resume| {
            let slot = self.find_resumable(&resume, &identity);
            if slot.is_none() {
                self.stats.resumes_refused += 1;
            }
            slot.map(|slot| (slot, resume))
        });
        if let Some((slot, resume)) = resumed {
            return self.resume(conn, wire, slot, &resume, identity);
        }
        let most = self.config.session.user_sessions_max;
        if identity.user_key().is_some_and(|user| self.sessions.of_user(&user) >= most) {
            let why = format!("the user has {most} sessions here, as many as it may");
            return self.close(conn, CloseCode::BUSY, &why);
        }
        let resumable =
            Box::new(Resumable { id: SessionId(self.random()), secret: self.random(), more: None });
        if let Some(slot) = self.open_session(conn, wire, (identity, Some(resumable))) {
            self.welcome(slot, false);
        }
    }

    fn open_session(
        &mut self,
        conn: ConnId,
        wire: Wire,
        who: (Arc<Identity>, Option<Box<Resumable>>),
    ) -> Option<u32> {
        let config = &self.config.session;
        if self.sessions.len() >= config.sessions_max {
            self.close(conn, CloseCode::BUSY, "the server holds as many sessions as it may");
            return None;
        }
        let slot = self.sessions.open(conn, wire, who, config, self.clock.now);
        self.stats.sessions_opened += 1;
        self.attach(conn, slot);
        Some(slot)
    }

    fn attach(&mut self, conn: ConnId, slot: u32) {
        self.conns[conn.slot as usize] = ConnState::Open { generation: conn.generation, slot };
        let Some(session) = self.sessions.get(slot) else { return };
        if !self.asks_after_hello() {
            let (generation, attempt) = (session.generation, session.attempt);
            let at = self.clock.now.plus_ms(self.config.session.ping_ms);
            self.timers.insert(at, TimerKey::Live { slot, generation, attempt });
        }
        self.watch_expiry(slot);
    }

    fn find_resumable(&self, resume: &Resume, identity: &Identity) -> Option<u32> {
        let key = &resume.key;
        let slot = key.slot();
        let session = self.sessions.get(slot)?;
        let resumable = session.resumable.as_ref()?;
        let is_theirs =
            session.identity.is_same_user(identity) || planted!(self.config, ForeignResume);
        let fits = key.secret_eq(&resumable.secret)
            || resumable
                .more
                .as_ref()
                .and_then(|more| more.old_secret.as_ref())
                .is_some_and(|secret| key.secret_eq(secret));
        (fits && key.node() == self.config.node && is_theirs).then_some(slot)
    }

    /// Puts a session on a new connection. Its rooms are asked to replay; until each has, nothing
    /// live of it reaches the client.
    fn resume(
        &mut self,
        conn: ConnId,
        wire: Wire,
        slot: u32,
        resume: &Resume,
        identity: Arc<Identity>,
    ) {
        let Some(session) = self.sessions.get(slot) else { return };
        if session.wire != wire {
            // The rooms encode for the wire that the session came with.
            return self.bad_message(conn, "a session is resumed under its own subprotocol");
        }
        let by_old_key = session
            .resumable
            .as_ref()
            .is_some_and(|resumable| !resume.key.secret_eq(&resumable.secret));
        if let Some(old) = session.conn {
            // Who comes by the old key may be an attempt that the client gave up and that is dealt
            // with late: then the connection that it displaces is the one the client lives on.
            let code = if by_old_key { CloseCode::SUPERSEDED } else { CloseCode::REPLACED };
            self.forget_conn(old);
            self.out.push_back(Output::Close { conn: old, code });
            self.clear_queue(slot);
        } else {
            self.sessions.away -= 1;
        }
        let secret = self.random();
        let now = self.clock.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.conn = Some(conn);
        session.attempt = session.attempt.wrapping_add(1);
        session.pinged = false;
        session.last_seen = now;
        session.joining = ThinVec::new();
        session.rest = ThinVec::new();
        session.identity = identity;
        session.pauses &= !(pause::LINK | pause::REST);
        if session.pauses != 0 {
            self.out.push_back(Output::ReadPause(conn));
        }
        let attempt = session.attempt;
        if let Some(resumable) = &mut session.resumable {
            let more = resumable.more.get_or_insert_default();
            // By the old key: a welcome was lost, or an attempt that the client gave up comes late.
            // It is answered with the key that the welcome brought, which may have arrived after
            // all: whichever of the two was the late one, the client holds a key that is valid.
            if !by_old_key {
                let used = std::mem::replace(&mut resumable.secret, secret);
                more.old_secret = (!planted!(self.config, LostWelcome)).then_some(used);
            }
            more.renewing = None;
            more.resumes += 1;
        }
        self.stats.resumes += 1;
        self.attach(conn, slot);
        self.welcome(slot, true);
        self.resume_rooms(slot, attempt, resume);
    }

    fn resume_rooms(&mut self, slot: u32, attempt: u32, resume: &Resume) {
        let Some(address) = self.sessions.address(slot) else { return };
        let Some(session) = self.sessions.get(slot) else { return };
        let (rooms, identity) = (session.rooms.clone(), Arc::clone(&session.identity));
        for membership in rooms {
            let (channel, member) = (membership.channel, membership.member);
            self.set_live(membership, planted!(self.config, LiveBeforeReplay));
            match resume.rooms.iter().find(|room| room.channel.0 == channel) {
                Some(room) => {
                    let (epoch, seq) = (room.epoch, room.seq);
                    let (session, identity) = (address, Arc::clone(&identity));
                    let up = Up::Resume { session, attempt, channel, member, epoch, seq, identity };
                    self.send_up(self.home_of_channel(channel), up);
                }
                None => self.leave_room(slot, channel, LeaveReason::Left),
            }
        }
        for room in &resume.rooms {
            let channel = room.channel;
            let is_held =
                self.sessions.get(slot).is_some_and(|s| s.membership(channel.0).is_some());
            if !is_held {
                let left = ServerMessage::Left(Left { channel, reason: LeaveReason::Lost });
                self.say(slot, &left, QueueClass::Control);
            }
        }
    }

    fn welcome(&mut self, slot: u32, resumed: bool) {
        self.next_connection += 1;
        let shards = u64::from(self.config.shards);
        let connection = self.next_connection * shards + u64::from(self.config.shard.0);
        let Some(resumable) = self.sessions.get(slot).and_then(|s| s.resumable.as_ref()) else {
            return;
        };
        let (node, shard) = (self.config.node, self.config.shard.0);
        let message = ServerMessage::Welcome(Welcome {
            version: VERSION,
            features: Vec::new(),
            session: resumable.id,
            connection: ConnectionId(connection),
            resume_key: ResumeKey::from_parts(node, shard, slot, resumable.secret),
            resumed,
            heartbeat_ms: self.config.session.ping_ms as u32,
            grace_ms: self.config.session.grace_ms as u32,
            limits: self.config.wire_limits(),
            server_time_ms: self.clock.wall_us / 1000,
            ext: Vec::new(),
        });
        self.say(slot, &message, QueueClass::Control);
    }

    /// A message on a session's connection.
    fn session_message(&mut self, conn: ConnId, slot: u32, data: &[u8], text: bool) {
        self.touched.session(slot);
        self.stats.message_bytes_received += data.len() as u64;
        let now = self.clock.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.last_seen = now;
        if let Some(more) = session.resumable.as_mut().and_then(|own| own.more.as_mut()) {
            more.old_secret = None;
        }
        match session.wire {
            Wire::Raw => {
                self.spend(slot, data.len());
                self.raw_message(slot, data, text);
            }
            Wire::Native if data.is_empty() && !text => self.spend(slot, 0),
            Wire::Native if !text => self.batch(conn, slot, data),
            Wire::Json if text => match decode(Wire::Json, data) {
                Ok(message) => {
                    self.spend(slot, data.len());
                    self.client_message(conn, slot, message);
                }
                Err(error) => self.bad_message(conn, &error.to_string()),
            },
            Wire::Native => self.bad_message(conn, "madang.v1 messages are binary"),
            Wire::Json => self.bad_message(conn, "madang.v1.json messages are text"),
        }
    }

    /// The messages of a batch, as many as the client may send and receivers can take; what is left
    /// waits, and nothing more is read meanwhile.
    fn batch(&mut self, conn: ConnId, slot: u32, data: &[u8]) {
        let mut batch = codec::split_batch(data);
        loop {
            let rest = batch.rest();
            let Some(session) = self.sessions.get_mut(slot) else { return };
            if rest.is_empty() || session.conn != Some(conn) {
                return;
            }
            if session.pauses != 0 || self.pool.pressed {
                session.rest = rest.into();
                let generation = session.generation;
                let is_runnable = session.pauses == 0;
                self.pause(slot, pause::REST);
                if is_runnable {
                    let shard = self.config.shard;
                    self.deferred.push_back(SessionRef { shard, slot, generation });
                }
                return;
            }
            let message = batch.next().unwrap_or(Err(DecodeError::Framing));
            match message.and_then(|bytes| Ok((bytes, codec::decode_client(bytes)?))) {
                Ok((bytes, message)) => {
                    self.spend(slot, bytes.len());
                    self.client_message(conn, slot, message);
                }
                Err(error) => return self.bad_message(conn, &error.to_string()),
            }
            // Each message's effects are done before the next: none of them adds up in a batch.
            self.settle();
        }
    }

    /// Goes on with batches that had to wait, each once. After quiescing nothing new is accepted:
    /// what waits was never acknowledged.
    pub(super) fn run_deferred(&mut self) {
        for _ in 0..self.deferred.len() {
            let Some(address) = self.deferred.pop_front() else { break };
            let Some(session) = self.sessions.resolve(address) else { continue };
            let rest = std::mem::take(&mut session.rest);
            let Some(conn) = session.conn.filter(|_| !rest.is_empty()) else { continue };
            session.pauses &= !pause::REST;
            if self.quiescing == 0 {
                self.batch(conn, address.slot, &rest);
            }
            let Some(session) = self.sessions.resolve(address) else { continue };
            if let (0, Some(conn)) = (session.pauses, session.conn) {
                self.out.push_back(Output::ReadResume(conn));
            }
        }
    }

    /// Takes a message out of the client's allowance; a client in debt is not read for a while.
    fn spend(&mut self, slot: u32, len: usize) {
        self.stats.messages_received += 1;
        let now = self.clock.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if let Some(until) = session.allowance.spend(len, &self.config.session, now) {
            self.slow_down(slot, until);
        }
    }

    /// Takes a question out of its allowance.
    pub(super) fn spend_ask(&mut self, slot: u32, ask: Ask) {
        let now = self.clock.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if let Some(until) = session.allowance.ask(ask, &self.config.session, now) {
            self.slow_down(slot, until);
        }
    }

    /// Does not read from a client until then; one that has never let up for long is closed.
    fn slow_down(&mut self, slot: u32, until: Time) {
        let now = self.clock.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.allowance.is_beyond_patience(&self.config.session, now) {
            let (shard, generation) = (self.config.shard, session.generation);
            let address = SessionRef { shard, slot, generation };
            self.overflowed.push((address, CloseCode::RATE_LIMITED));
        }
        if session.pauses & pause::RATE == 0 {
            let generation = session.generation;
            self.stats.rate_pauses += 1;
            self.timers.insert(until, TimerKey::Rate { slot, generation });
            self.pause(slot, pause::RATE);
        }
    }

    fn raw_message(&mut self, slot: u32, data: &[u8], text: bool) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if let Some(held) = &mut session.held {
            held.bytes += data.len();
            held.messages.push((data.into(), text));
            // Reading is paused meanwhile: what comes was read in the same turn.
            if held.bytes > self.config.session.message_bytes_max as usize * 2 {
                self.close_session_conn(slot, CloseCode::BUSY, "the room did not answer in time");
            }
            return;
        }
        let Some(membership) = session.rooms.first().copied() else { return };
        self.raw_op(slot, membership, data, text);
    }

    fn raw_op(
        &mut self,
        slot: u32,
        membership: crate::session::Membership,
        data: &[u8],
        text: bool,
    ) {
        let (channel, member) = (membership.channel, membership.member);
        let home = self.home_of_channel(channel);
        if home == self.config.shard {
            self.with_room(channel, |room, ctx| room.raw(member, data, text, ctx));
            return;
        }
        if self.link_is_full(home) {
            self.pause_for_link(home, slot);
        }
        self.send_up(home, Up::Raw { channel, member, data: data.into(), text });
    }

    /// Sends on what a raw client said before its room had let it in.
    pub(super) fn release_held(&mut self, slot: u32, held: Held) {
        let membership = self.sessions.get(slot).and_then(|s| s.rooms.first().copied());
        let Some(membership) = membership else { return };
        for (data, text) in held.messages {
            self.raw_op(slot, membership, &data, text);
        }
    }

    pub(super) fn error(&mut self, slot: u32, code: ErrorCode, r#ref: ErrorRef, message: String) {
        self.stats.errors += 1;
        let error = ServerMessage::Error(ErrorMessage { code, r#ref, message });
        self.say(slot, &error, QueueClass::Control);
    }

    /// Tells one session's client something that comes from no room.
    pub(super) fn say(&mut self, slot: u32, message: &ServerMessage<'_>, class: QueueClass) {
        let Some(session) = self.sessions.get(slot) else { return };
        let (wire, kind) = match session.wire {
            Wire::Native => (Wire::Native, FrameKind::Batch),
            Wire::Json => (Wire::Json, FrameKind::Text),
            Wire::Raw => return,
        };
        let frame = self.encoder.frame(message, wire, &[]);
        self.push(slot, (&frame, kind), class);
    }

    /// Who has not said hello by now is closed; of whom has, the silence is looked at from now on.
    pub(super) fn hello_due(&mut self, conn: ConnId) {
        match self.conns.get(conn.slot as usize) {
            Some(ConnState::Opening(opening)) if opening.generation == conn.generation => {
                self.close(conn, CloseCode::HELLO_TIMEOUT, "no hello came in time");
            }
            Some(ConnState::Open { generation, slot }) if *generation == conn.generation => {
                let slot = *slot;
                if self.asks_after_hello() {
                    let Some(session) = self.sessions.get(slot) else { return };
                    let (generation, attempt) = (session.generation, session.attempt);
                    self.live_due(slot, generation, attempt);
                }
            }
            _ => {}
        }
    }

    /// Whether the silence of a new connection is looked at when the time for its hello is over, which
    /// runs anyway: tens of thousands who come at once then wait in one timer each and not in two.
    fn asks_after_hello(&self) -> bool {
        self.config.session.ping_ms >= self.config.session.hello_ms
    }

    pub(super) fn disconnected(&mut self, conn: ConnId, ends_session: bool) {
        let slot = self.session_of(conn);
        self.forget_conn(conn);
        match slot {
            Some(slot) if ends_session => self.end_session(slot),
            Some(slot) => self.detach(slot),
            None => {}
        }
    }

    /// Ends a connection that broke the rules of the protocol, and its session with it.
    pub(super) fn bad_message(&mut self, conn: ConnId, why: &str) {
        self.close(conn, CloseCode::BAD_MESSAGE, why);
    }

    /// Ends a connection; whether its session lives on says the code.
    pub(super) fn close(&mut self, conn: ConnId, code: CloseCode, why: &str) {
        let slot = self.session_of(conn);
        self.forget_conn(conn);
        self.event(Event::Closed { conn, code, why: why.into() });
        self.out.push_back(Output::Close { conn, code });
        match slot {
            Some(slot) if code.resumable => self.detach(slot),
            Some(slot) => self.end_session(slot),
            None => {}
        }
    }

    /// Ends a session's connection, if it has one.
    pub(super) fn close_session_conn(&mut self, slot: u32, code: CloseCode, why: &str) {
        if let Some(conn) = self.sessions.get(slot).and_then(|session| session.conn) {
            self.close(conn, code, why);
        }
    }

    fn forget_conn(&mut self, conn: ConnId) {
        let Some(state) = self.conns.get_mut(conn.slot as usize) else { return };
        let is_same = match state {
            ConnState::Vacant => false,
            ConnState::Opening(opening) => opening.generation == conn.generation,
            ConnState::Open { generation, .. } => *generation == conn.generation,
        };
        if is_same {
            *state = ConnState::Vacant;
        }
    }

    /// The session on a connection, unless the id is stale.
    pub(super) fn session_of(&self, conn: ConnId) -> Option<u32> {
        match self.conns.get(conn.slot as usize)? {
            ConnState::Open { generation, slot } if *generation == conn.generation => Some(*slot),
            _ => None,
        }
    }

    /// Every connection there is, those without a session included, by ascending slot.
    pub fn open_connections(&self) -> impl Iterator<Item = ConnId> {
        self.conns.iter().zip(0..).filter_map(|(state, slot)| {
            let generation = match state {
                ConnState::Vacant => return None,
                ConnState::Opening(opening) => opening.generation,
                ConnState::Open { generation, .. } => *generation,
            };
            Some(ConnId { slot, generation })
        })
    }

    pub(super) fn drain(&mut self, retry_min_ms: u32, retry_max_ms: u32) {
        self.draining = true;
        let slots: Vec<u32> = self.sessions.iter().map(|(slot, _)| slot).collect();
        let spread = u64::from(retry_max_ms.saturating_sub(retry_min_ms)) + 1;
        for slot in slots {
            let jitter = u64::from_le_bytes(self.random()) % spread;
            let retry_after_ms = retry_min_ms + jitter as u32;
            let draining = madang_protocol::server::Draining { retry_after_ms };
            self.say(slot, &ServerMessage::Draining(draining), QueueClass::Control);
        }
    }
}

/// Splits what a first WebSocket message holds into the hello and what follows it.
fn split_first(wire: Wire, data: &[u8], text: bool) -> Result<(&[u8], &[u8]), DecodeError> {
    match wire {
        Wire::Json if text => Ok((data, &[])),
        Wire::Native if !text => {
            let mut batch = codec::split_batch(data);
            let first = batch.next().ok_or(DecodeError::Framing)??;
            Ok((first, batch.rest()))
        }
        Wire::Json => Err(DecodeError::Malformed("madang.v1.json messages are text".to_owned())),
        _ => Err(DecodeError::Malformed("madang.v1 messages are binary".to_owned())),
    }
}

fn decode(wire: Wire, data: &[u8]) -> Result<ClientMessage<'_>, DecodeError> {
    if wire == Wire::Json {
        let text =
            std::str::from_utf8(data).map_err(|error| DecodeError::Malformed(error.to_string()))?;
        json::decode_client(text)
    } else {
        codec::decode_client(data)
    }
}
