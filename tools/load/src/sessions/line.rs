//! One session's line to the server: its connection, if it has one now, and what has to be said on it so
//! that the session goes on (SPEC.md 9).

use super::room::Room;
use super::{Audience, End};
use crate::dialect::{Dialect, hello};
use crate::fleet::{Conn, Phase, Pipe, Plan, Tolls};
use crate::transport::{Lane, Received};
use crate::websocket::{self, Answer, CLOSE, PING, PONG};
use madang_protocol::client::{Class, GetStats, Join, Leave, Ping, Position, Request, Resume};
use madang_protocol::ids::ResumeKey;
use madang_protocol::server::{Joined, Welcome};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ClientMessage, ServerMessage};
use std::borrow::Cow;

/// Most bytes that may wait for one socket; beyond them nothing is sent on it.
const OUTBOX_BYTES_MAX: usize = 256 << 10;

/// What a logged message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The membership: live, or replayed because it was missed.
    Stay,
    /// The past, in place of what could not be recovered.
    History,
}

/// A session and its connection.
pub(crate) struct Line {
    number: usize,
    dialect: Dialect,
    conn: Option<Conn>,
    entrance: Join,
    message_type: &'static str,
    key: Option<ResumeKey>,
    /// The key that this connection was begun with.
    resumes: Option<ResumeKey>,
    room: Option<Room>,
    /// A join has been sent and not been answered.
    is_joining: bool,
    /// The connection has not led to a room.
    is_new: bool,
    reads: bool,
    /// Something came that was not read, and whether the end came with it.
    unread: Option<bool>,
    pub(crate) begun_ns: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Reliable messages of which it is not known whether the room had them.
    pub(crate) unknown: u64,
}

impl Line {
    pub(super) fn new(
        number: usize,
        dialect: Dialect,
        entrance: Join,
        message_type: &'static str,
    ) -> Self {
        Self {
            number,
            dialect,
            conn: None,
            entrance,
            message_type,
            key: None,
            resumes: None,
            room: None,
            is_joining: false,
            is_new: false,
            reads: true,
            unread: None,
            begun_ns: 0,
            bytes_in: 0,
            bytes_out: 0,
            unknown: 0,
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The room that it is in, or comes back to.
    pub(crate) fn room(&self) -> Option<&Room> {
        self.room.as_ref()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.conn.is_some()
    }

    /// Whether the session is there, in a room or not.
    pub(crate) fn is_open(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.phase == Phase::Live)
    }

    /// Whether it is in its room and hears what is said there.
    pub(crate) fn is_there(&self) -> bool {
        let is_in = self.room.as_ref().is_some_and(|room| !room.is_away && !room.is_leaving);
        self.is_open() && (is_in || self.dialect == Dialect::Raw)
    }

    /// Whether it is in its room and has everything of the past that it is to get.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.is_there() && self.room.as_ref().is_some_and(|room| !room.is_replaying())
    }

    /// Whether it has a connection that has not led to where it was begun for.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.is_connected()
            && !self.is_there()
            && (self.is_joining || !self.is_open() || self.is_away())
    }

    /// Whether it has a key to come back with.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    fn is_away(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.is_away)
    }

    pub(crate) fn is_read(&self) -> bool {
        self.reads
    }

    pub(super) fn set_read(&mut self, reads: bool) {
        self.reads = reads;
    }

    pub(super) fn may_read(&mut self, to_the_end: bool) {
        self.unread = Some(to_the_end || self.unread == Some(true));
    }

    /// The way into the room that it joins next.
    pub(crate) fn set_entrance(&mut self, entrance: Join) {
        self.entrance = entrance;
    }

    /// Forgets the session: the next connection begins another one.
    pub(crate) fn forget(&mut self) {
        self.key = None;
        self.lose_room();
    }

    /// The key to come back with.
    pub(crate) fn key(&self) -> Option<ResumeKey> {
        self.key
    }

    /// Takes a key for its own.
    pub(crate) fn set_key(&mut self, key: Option<ResumeKey>) {
        self.key = key;
    }

    pub(super) fn begin(&mut self, pipe: Pipe, now_ns: u64) {
        self.conn = Some(Conn::new(pipe, now_ns));
        self.begun_ns = now_ns;
        self.resumes = None;
        self.is_joining = false;
        self.is_new = true;
        self.unread = None;
    }

    pub(super) fn cut(&mut self) {
        if let Some(conn) = self.conn.take() {
            conn.end_by_reset();
        }
        self.disconnected();
    }

    fn disconnected(&mut self) {
        self.conn = None;
        self.is_joining = false;
        match &mut self.room {
            // Its answer will not come.
            Some(room) if room.is_leaving => self.lose_room(),
            Some(room) => room.is_away = true,
            None => {}
        }
    }

    fn lose_room(&mut self) {
        if let Some(mut room) = self.room.take() {
            self.unknown += room.forget_pending() as u64;
        }
    }

    /// A socket takes something, or has failed.
    pub(super) fn writable(&mut self, plan: &Plan, lane: Lane) -> Option<End> {
        let conn = self.conn.as_mut()?;
        if conn.phase != Phase::Connecting {
            return match conn.flush(lane) {
                Ok(taken) => {
                    self.bytes_out += taken as u64;
                    None
                }
                Err(end) => Some(self.gone(end)),
            };
        }
        match conn.is_established() {
            Some(true) => {}
            Some(false) => return None,
            None => return Some(self.gone(End::Broken)),
        }
        let room = match &self.entrance.target {
            madang_protocol::client::JoinTarget::Name(name) => name.as_str(),
            madang_protocol::client::JoinTarget::Match { .. } => "",
        };
        let path = plan.path.replace("{room}", room);
        if let Some(line) = conn.line() {
            line.aim(&path);
            self.greet();
            return None;
        }
        conn.phase = Phase::Handshake;
        let request = websocket::request(&plan.host, &path, self.dialect.subprotocol());
        self.put(&request);
        None
    }

    /// Reads what waits.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        tolls: &mut Tolls,
        audience: &mut impl Audience,
    ) -> Option<End> {
        let to_the_end = self.unread.take()?;
        self.drain(Lane::Down, to_the_end, buffer, tolls, audience)
    }

    /// Reads what waits on a socket.
    pub(super) fn drain(
        &mut self,
        lane: Lane,
        to_the_end: bool,
        buffer: &mut [u8],
        tolls: &mut Tolls,
        audience: &mut impl Audience,
    ) -> Option<End> {
        loop {
            match self.conn.as_mut()?.receive(lane, buffer) {
                Received::Bytes(n) => {
                    self.bytes_in += n as u64;
                    tolls.reads += 1;
                    if let Some(end) = self.came(lane, &buffer[..n], tolls, audience) {
                        return Some(self.gone(end));
                    }
                    // Edge-triggered: less than asked for means that nothing is left, unless the
                    // end was signalled too.
                    let is_whole = self.conn.as_ref()?.is_read_whole(lane, n, buffer.len());
                    if is_whole && !to_the_end {
                        return None;
                    }
                }
                Received::Blocked => return None,
                Received::Refused(why) => return Some(self.gone(End::Strange(why))),
                Received::Gone => {
                    let end = self.conn.as_mut()?.lost(lane)?;
                    return Some(self.gone(end));
                }
            }
        }
    }

    /// Handles what came on a socket.
    fn came(
        &mut self,
        lane: Lane,
        bytes: &[u8],
        tolls: &mut Tolls,
        audience: &mut impl Audience,
    ) -> Option<End> {
        let Some(line) = self.conn.as_mut()?.line() else {
            return self.take_bytes(bytes, tolls, audience);
        };
        let was_open = line.is_open();
        let mut frames = Vec::new();
        let end = line.take(lane, bytes, &mut frames);
        let is_open = line.is_open();
        self.bytes_out += line.take_written() as u64;
        if is_open && !was_open {
            audience.opened(self, crate::system::Clock.now_ns());
        }
        let heard = self.take_bytes(&frames, tolls, audience);
        heard.or(end)
    }

    /// Does what was put off, where the connection is a line of requests.
    pub(super) fn wake(&mut self, now_ns: u64) -> Option<End> {
        let line = self.conn.as_mut()?.line()?;
        let end = line.wake(now_ns);
        self.bytes_out += line.take_written() as u64;
        Some(self.gone(end?))
    }

    fn gone(&mut self, end: End) -> End {
        self.disconnected();
        // A session that was ended cannot be resumed.
        if let End::Closed(code) = end
            && madang_protocol::CloseCode::find(code).is_some_and(|known| !known.resumable)
        {
            self.forget();
        }
        end
    }

    /// Handles what came, and keeps what is incomplete.
    fn take_bytes(
        &mut self,
        bytes: &[u8],
        tolls: &mut Tolls,
        audience: &mut impl Audience,
    ) -> Option<End> {
        let mut kept = std::mem::take(&mut self.conn.as_mut()?.inbox);
        let result = if kept.is_empty() {
            self.handle(bytes, tolls, audience)
        } else {
            kept.extend_from_slice(bytes);
            self.handle(&kept, tolls, audience)
        };
        let used = match result {
            Ok(used) => used,
            Err(end) => return Some(end),
        };
        if kept.is_empty() {
            kept.extend_from_slice(&bytes[used..]);
        } else if used == kept.len() {
            kept = Vec::new();
        } else {
            kept.drain(..used);
        }
        self.conn.as_mut()?.inbox = kept;
        None
    }

    /// Handles what is complete at the front of `input`; returns how many bytes that was.
    fn handle(
        &mut self,
        input: &[u8],
        tolls: &mut Tolls,
        audience: &mut impl Audience,
    ) -> Result<usize, End> {
        let now_ns = crate::system::Clock.now_ns();
        let strange = |why: &str| End::Strange(why.to_owned());
        let mut used = 0;
        if self.phase() == Phase::Handshake {
            match websocket::answer(input).map_err(|violation| strange(violation.0))? {
                None => return Ok(0),
                Some(Answer::Accepted(bytes)) => {
                    used = bytes;
                    self.greet();
                    audience.opened(self, now_ns);
                }
                Some(Answer::Refused(status)) => {
                    let retry_after_s = websocket::retry_after_s(input);
                    return Err(End::Refused { status, retry_after_s });
                }
            }
        }
        while used < input.len() {
            let frame = websocket::next_frame(&input[used..]);
            let Some(frame) = frame.map_err(|violation| strange(violation.0))? else { break };
            used += frame.bytes;
            match frame.opcode {
                PING => {
                    let mut bytes = Vec::new();
                    Dialect::put_control(PONG, frame.payload, &mut bytes);
                    self.put(&bytes);
                }
                PONG => {}
                CLOSE => return Err(End::Closed(frame.close_code())),
                opcode => {
                    tolls.frames_in += 1;
                    if self.dialect == Dialect::Raw {
                        audience.raw(self, frame.payload, now_ns);
                        continue;
                    }
                    let dialect = self.dialect;
                    let tell = |message: ServerMessage<'_>| {
                        self.take(&message, tolls, audience, now_ns);
                    };
                    dialect.each_message(opcode, frame.payload, tell).map_err(End::Strange)?;
                }
            }
        }
        Ok(used)
    }

    /// The handshake is done: say who comes, and where to.
    fn greet(&mut self) {
        if self.dialect == Dialect::Raw {
            return self.set_phase(Phase::Live);
        }
        self.set_phase(Phase::Joining);
        self.resumes = self.key;
        let rooms = self.room.iter().map(Room::position).collect();
        let hello = hello(self.key.map(|key| Resume { key, rooms }));
        if self.key.is_some() {
            // Which rooms the session is in is not known before the answer.
            self.say(&[hello]);
        } else {
            self.is_joining = true;
            let join = ClientMessage::Join(self.entrance.clone());
            self.say(&[hello, join]);
        }
    }

    fn take(
        &mut self,
        message: &ServerMessage<'_>,
        tolls: &mut Tolls,
        audience: &mut impl Audience,
        now_ns: u64,
    ) {
        let mut place = Place::Stay;
        match message {
            ServerMessage::Welcome(welcome) => self.welcomed(welcome),
            ServerMessage::Joined(joined) => {
                self.joined(joined);
                if std::mem::take(&mut self.is_new) {
                    tolls.connect.record_us(now_ns.saturating_sub(self.begun_ns) / 1000);
                }
            }
            ServerMessage::Left(_) => self.lose_room(),
            ServerMessage::Error(error) => {
                tolls.error(format!("{:?}: {}", error.code, error.message));
                if matches!(error.r#ref, madang_protocol::server::ErrorRef::Join(_)) {
                    self.is_joining = false;
                }
            }
            _ => {
                let message_type = self.message_type;
                if let Some(room) = &mut self.room
                    && room.take(message, message_type)
                {
                    place = Place::History;
                }
            }
        }
        audience.hear(self, message, place, now_ns);
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        self.set_phase(Phase::Live);
        self.key = Some(welcome.resume_key);
        if self.resumes.is_none() {
            return;
        }
        if welcome.resumed {
            // From the first message on the old key is void, and no late attempt can take this place.
            self.say(&[ClientMessage::Ping(Ping { id: 0 })]);
            if self.room.is_none() {
                self.join(self.entrance.clone());
            }
            return;
        }
        // The session is gone, and this is another one: what the room still has of the past comes.
        let since = self.room.as_ref().map(Room::position);
        self.lose_room();
        let since = since.map(|position| Position { epoch: position.epoch, seq: position.seq });
        self.join(Join { since, ..self.entrance.clone() });
    }

    fn joined(&mut self, joined: &Joined) {
        self.is_joining = false;
        let message_type = self.message_type;
        match &mut self.room {
            Some(room) if room.channel == joined.channel && joined.r#ref.is_none() => {
                if !room.back(joined, message_type) {
                    self.unknown += room.forget_pending() as u64;
                }
                let again = room.again(message_type);
                if !again.is_empty() {
                    let mut bytes = Vec::new();
                    self.dialect.put(&again, &mut bytes);
                    self.put(&bytes);
                }
            }
            _ => {
                self.lose_room();
                self.room = Some(Room::new(joined, message_type));
            }
        }
    }

    /// Asks for a room.
    pub(crate) fn join(&mut self, join: Join) -> bool {
        self.is_joining = true;
        self.say(&[ClientMessage::Join(join)])
    }

    /// Leaves the room.
    pub(crate) fn leave(&mut self) -> bool {
        let Some(room) = &mut self.room else { return false };
        room.is_leaving = true;
        let channel = room.channel;
        self.say(&[ClientMessage::Leave(Leave { channel })])
    }

    /// Asks the room something.
    pub(crate) fn request(&mut self, name: &'static str, json: &str) -> bool {
        let Some(room) = self.room.as_mut().filter(|room| !room.is_away) else { return false };
        let (channel, cseq) = (room.channel, room.next_cseq());
        let r#type = TypeRef::Name(Cow::Borrowed(name));
        let payload = Payload::Json(Cow::Borrowed(json));
        self.say(&[ClientMessage::Request(Request { channel, cseq, r#type, payload })])
    }

    /// Asks what the session was sent and has missed.
    pub(crate) fn ask_stats(&mut self) -> bool {
        self.say(&[ClientMessage::GetStats(GetStats { r#ref: 1 })])
    }

    /// Says these at once. False when there is no connection, or too much waits for it.
    pub(crate) fn say(&mut self, messages: &[ClientMessage<'_>]) -> bool {
        let mut bytes = Vec::with_capacity(256);
        self.dialect.put(messages, &mut bytes);
        self.put(&bytes)
    }

    /// Sends a message to a raw room.
    pub(crate) fn send_raw(&mut self, payload: &[u8]) -> bool {
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        Dialect::put_raw(payload, &mut bytes);
        self.put(&bytes)
    }

    /// Ends the session: the server answers by closing.
    pub(crate) fn say_goodbye(&mut self) {
        if self.is_open() {
            let mut bytes = Vec::new();
            Dialect::put_control(CLOSE, &1000_u16.to_be_bytes(), &mut bytes);
            self.put(&bytes);
            self.forget();
        } else {
            self.cut();
        }
    }

    pub(super) fn publish(&mut self, class: Class, payload: &[u8]) -> Option<u64> {
        let is_there = self.is_there();
        let room = self.room.as_mut()?;
        if room.is_leaving || !is_there && class != Class::Reliable {
            return None;
        }
        if is_there && self.conn.as_ref()?.waiting_bytes() > OUTBOX_BYTES_MAX {
            return None;
        }
        let (cseq, message) = room.publish(class, self.message_type, payload)?;
        if is_there {
            let mut bytes = Vec::with_capacity(payload.len() + 32);
            self.dialect.put(&[message], &mut bytes);
            self.put(&bytes);
        }
        Some(cseq)
    }

    /// A connection that is gone says so by itself when it is read.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        if conn.waiting_bytes() > OUTBOX_BYTES_MAX {
            return false;
        }
        let Some(taken) = conn.send(bytes) else { return false };
        self.bytes_out += taken as u64;
        true
    }

    fn phase(&self) -> Phase {
        self.conn.as_ref().map_or(Phase::Ended, |conn| conn.phase)
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(conn) = &mut self.conn {
            conn.phase = phase;
        }
    }
}
