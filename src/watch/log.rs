//! What happened in one epoch of a room, as far as it can still be watched. Bounded by time and
//! bytes; the oldest go first. Nobody's position is kept here.

use super::plain::Whole;
use super::sse;
use super::state::{StateLog, Taken};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use madang_engine::encode::encode_json;
use madang_engine::frame::Frame;
use madang_engine::publish::RESERVED_NAMES;
use madang_engine::watch::{WatchOpened, WatchState};
use madang_protocol::ids::Epoch;
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ServerMessage, codec};
use std::borrow::Cow;
use std::collections::VecDeque;

/// What an entry costs besides its bytes.
const ENTRY_BYTES: usize = 96;
/// What a log costs without entries, labels and state.
const LOG_BYTES: usize = 1024;
/// What a label costs besides its name and value.
const LABEL_BYTES: usize = 48;

/// One epoch's log.
#[derive(Debug)]
pub(super) struct Log {
    /// What the room said of itself.
    pub(super) room: WatchOpened,
    /// The room's state, if it has one.
    state: Option<StateLog>,
    /// Ascending in place and in time.
    entries: VecDeque<Entry>,
    /// Entries up to this place are no longer here, and when the newest of them happened.
    lost: (Place, u64),
    /// The newest seq.
    head: u64,
    /// What the feed lost, until it is known when.
    hole: Option<(u64, u64)>,
    /// Deltas may have been lost from this seq on, until a snapshot comes.
    stale_from: Option<u64>,
    /// When the epoch ended.
    closed_at_ms: Option<u64>,
    /// When something came, for the last time.
    wall_ms: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    at_ms: u64,
    /// When it came.
    came_ms: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Nobody has asked for it yet.
    Native { frame: Frame, is_published: bool },
    /// The same.
    Delta(Box<Whole>),
    /// An event's text, shared by all who get it.
    Text(Frame),
    /// Lost on the way from the room, from this seq on.
    Hole { from: u64 },
    /// Deltas were lost, from this seq on; a keyframe of this entry's seq begins anew.
    Break { from: u64 },
}

/// A place in a log: behind everything up to a seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    seq: u64,
    /// Also behind a break of the state that stands there.
    is_behind_break: bool,
}

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    place: Place,
    /// A snapshot comes before anything else.
    owes_state: bool,
}

/// What comes next for somebody.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An event.
    Event {
        /// A gap to be told before it.
        gap: Option<Frame>,
        /// Its text.
        text: Frame,
        /// Where one is behind it.
        seat: Seat,
        /// Whether it says itself that something is missing.
        is_gap: bool,
    },
    /// The epoch is over.
    End {
        /// Its text.
        text: Frame,
    },
    /// Nothing yet; at this wall time if that is known.
    Wait {
        /// In milliseconds since 1970 UTC, without the delay.
        at_ms: Option<u64>,
    },
}

/// Where somebody begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Everything up to this seq is passed over.
    pub(super) seq: u64,
    /// Whether everything from the place that was asked for is here.
    pub(super) complete: bool,
}

/// What can be shown of a log at a wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    seq: u64,
    has_state: bool,
    is_over: bool,
}

impl Log {
    pub(super) fn new(room: WatchOpened, now_ms: u64) -> Self {
        let before = room.before;
        let lost = (Place::at(before), if before == 0 { 0 } else { now_ms });
        let state = room.schema.clone().map(StateLog::new);
        let labels = room.labels.iter().map(|(name, value)| name.len() + value.len() + LABEL_BYTES);
        let bytes = LOG_BYTES + labels.sum::<usize>();
        Self {
            room,
            state,
            entries: VecDeque::new(),
            lost,
            head: before,
            hole: None,
            stale_from: None,
            closed_at_ms: None,
            wall_ms: now_ms,
            bytes,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.room.epoch
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.state.as_ref().map_or(0, StateLog::bytes)
    }

    pub(super) fn closed_at_ms(&self) -> Option<u64> {
        self.closed_at_ms
    }

    /// The room says everything again that its history holds, because something was lost.
    pub(super) fn reopen(&mut self, room: WatchOpened) {
        if let Some(state) = &mut self.state {
            state.set_stale();
            self.stale_from.get_or_insert(self.head + 1);
        }
        if room.before > self.head {
            let from = self.hole.map_or(self.head + 1, |(from, _)| from);
            self.hole = Some((from, room.before));
            self.head = room.before;
        }
        self.room = room;
    }

    /// What is added from now on comes at this wall time.
    pub(super) fn set_wall_ms(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// Appends a message, unless it is here already.
    pub(super) fn push(&mut self, seq: u64, at_ms: u64, frame: Frame, is_published: bool) {
        if seq > self.head {
            self.head = seq;
            self.put_hole(at_ms);
            self.put(seq, at_ms, Body::Native { frame, is_published });
        }
    }

    /// Takes the state as it is now.
    pub(super) fn push_snapshot(&mut self, told: &WatchState) {
        let Some(state) = &mut self.state else { return };
        // Messages that are here already may be newer than the tick.
        let seq = told.seq.max(self.head);
        let at_ms = self.entries.back().map_or(0, |entry| entry.at_ms).max(told.at_ms);
        let stale_from = self.stale_from.take();
        let is_first = stale_from.is_none() && self.entries.is_empty() && self.lost.0.seq == seq;
        let from = stale_from.unwrap_or(self.head + 1).min(seq);
        match state.snapshot(told, (seq, at_ms)) {
            Ok(Taken::Known) => self.head = seq,
            // Nobody can be here without having been told that a snapshot comes first.
            Ok(Taken::Anew) if is_first => {}
            Ok(Taken::Anew) => {
                self.put_hole(at_ms);
                self.head = seq;
                self.put(seq, at_ms, Body::Break { from });
            }
            Err(error) => self.lose_state(&error),
        }
    }

    /// Appends what changed of the state, unless it is here already.
    pub(super) fn push_delta(&mut self, told: &WatchState) {
        let Some(state) = self.state.as_mut().filter(|_| told.seq > self.head) else { return };
        match state.delta(told, self.lost.0.seq) {
            Ok(Some(whole)) => {
                self.head = told.seq;
                self.put_hole(told.at_ms);
                self.put(told.seq, told.at_ms, Body::Delta(Box::new(whole)));
            }
            // A snapshot will come and stand for it.
            Ok(None) => {}
            Err(error) => self.lose_state(&error),
        }
    }

    /// Lets the state go, and with it what happened. Only a snapshot of the room brings it back.
    pub(super) fn forget_state(&mut self) {
        let Some(state) = self.state.as_mut() else { return };
        state.forget();
        self.stale_from.get_or_insert(self.head + 1);
        let newest = self.entries.back().map_or(self.lost.1, |entry| entry.at_ms);
        self.bytes -= self.entries.drain(..).map(|entry| entry.cost()).sum::<usize>();
        self.lost = (Place { seq: self.head, is_behind_break: true }, newest);
    }

    pub(super) fn has_state(&self) -> bool {
        self.state.as_ref().is_some_and(StateLog::has_any)
    }

    /// The epoch is over.
    pub(super) fn close(&mut self, now_ms: u64) {
        if self.closed_at_ms.is_none() {
            let newest = self.entries.back().map_or(0, |entry| entry.at_ms);
            let at_ms = now_ms.max(newest).max(self.lost.1);
            self.put_hole(at_ms);
            self.closed_at_ms = Some(at_ms);
        }
    }

    /// Our own bytes that do not fit together are a fault of the server: the state is shown to
    /// nobody any more.
    fn lose_state(&mut self, error: &dyn std::error::Error) {
        tracing::error!(epoch = %self.room.epoch, %error, "a room's state was broken on its way to spectators");
        self.forget_state();
    }

    /// A hole happened when what comes behind it did: nobody learns of it earlier.
    fn put_hole(&mut self, at_ms: u64) {
        if let Some((from, to)) = self.hole.take() {
            self.put(to, at_ms, Body::Hole { from });
        }
    }

    fn put(&mut self, seq: u64, at_ms: u64, body: Body) {
        let entry = Entry { seq, at_ms, came_ms: at_ms.max(self.wall_ms), body };
        self.bytes += entry.cost();
        self.entries.push_back(entry);
    }

    /// Lets entries go that happened before `oldest_ms`, and more until it fits `bytes_max`. The
    /// state as it is now stays.
    pub(super) fn evict(&mut self, oldest_ms: u64, bytes_max: usize) {
        if self.bytes() > bytes_max
            && let Some(state) = &mut self.state
        {
            // It can be made again.
            state.drop_head_text();
        }
        while let Some(entry) = self.entries.front() {
            if entry.at_ms >= oldest_ms && self.bytes() <= bytes_max {
                break;
            }
            self.bytes -= entry.cost();
            self.lost = (entry.place(), entry.at_ms);
            self.entries.pop_front();
            if let Some(state) = &mut self.state {
                state.evict(self.lost.0.seq);
            }
        }
        if self.bytes() > bytes_max
            && let Some(state) = &mut self.state
        {
            state.evict_all();
        }
    }

    /// Whether there is nothing that [`Self::evict`] could let go.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.state.as_ref().is_none_or(StateLog::is_bare)
    }

    /// Behind everything that happened up to a wall time. Where even what was let go is younger, how far
    /// the room was is not known any more.
    pub(super) fn now(&self, limit_ms: u64) -> u64 {
        let shown = self.entries.partition_point(|entry| entry.at_ms <= limit_ms);
        match (shown, self.lost) {
            (0, (_, lost_at_ms)) if lost_at_ms > limit_ms => 0,
            (0, (lost_to, _)) => lost_to.seq,
            _ => self.entries[shown - 1].seq,
        }
    }

    /// Behind an event that was seen. With a delay, one that has not been shown yet is like one that
    /// has not happened: the answer must not tell which.
    pub(super) fn behind(&self, seq: u64, limit_ms: u64) -> Position {
        let is_known = seq <= self.head || limit_ms < u64::MAX;
        let now = self.now(limit_ms);
        let seq = if is_known { seq.min(now) } else { now };
        Position { seq, complete: is_known && Place::at(seq) >= self.lost.0 }
    }

    /// With what happened at a wall time or later.
    pub(super) fn since(&self, since_ms: u64, limit_ms: u64) -> Position {
        let earlier = self.entries.partition_point(|entry| entry.at_ms < since_ms);
        let (Place { seq: lost_to, .. }, lost_at_ms) = self.lost;
        let (seq, complete) = match earlier {
            0 => (lost_to, lost_to == 0 || lost_at_ms < since_ms),
            _ => (self.entries[earlier - 1].seq, true),
        };
        Position { seq: seq.min(self.now(limit_ms)), complete }
    }

    /// Where one sits who begins at a position: there, if everything up to it was `seen`; else where
    /// there is a snapshot to begin with.
    pub(super) fn seat(&self, position: Position, seen: bool, limit_ms: u64) -> Seat {
        let begins = Seat { place: Place::at(position.seq), owes_state: false };
        let Some(state) = &self.state else { return begins };
        if seen && state.has_any() {
            return begins;
        }
        let seq = state.at(position.seq, limit_ms).unwrap_or(position.seq);
        Seat::with_state(seq, true)
    }

    /// What comes next behind a seat for somebody who is shown what happened up to a wall time.
    /// Makes an event's text when the first asks for it, which is counted.
    pub(super) fn next(&mut self, seat: Seat, limit_ms: u64, encodes: &mut u64) -> Next {
        let (lost_to, lost_at_ms) = self.lost;
        let is_lost = seat.place < lost_to;
        if is_lost && lost_at_ms > limit_ms {
            return Next::Wait { at_ms: Some(lost_at_ms) };
        }
        if self.has_state() && (is_lost || seat.owes_state) {
            return self.anew(seat, limit_ms, encodes);
        }
        if is_lost {
            // With an id it would count as seen, and a snapshot is still to come.
            let has_id = self.state.is_none();
            let (from, to) = (seat.place.seq + 1, lost_to.seq);
            let seat = Seat { place: lost_to, owes_state: !has_id };
            if from > to {
                return self.next(seat, limit_ms, encodes);
            }
            return Next::Event {
                gap: None,
                text: self.gap((from, to), has_id),
                seat,
                is_gap: true,
            };
        }
        let at = self.first_behind(seat.place);
        let Some(entry) = self.entries.get(at) else {
            return match self.closed_at_ms {
                Some(at_ms) if at_ms <= limit_ms => Next::End { text: self.end() },
                at_ms => Next::Wait { at_ms },
            };
        };
        if entry.at_ms > limit_ms {
            return Next::Wait { at_ms: Some(entry.at_ms) };
        }
        self.event(at, seat, limit_ms, encodes)
    }

    /// Whether somebody without a delay has seen everything, and the epoch is not over.
    pub(super) fn is_at_end(&self, seat: Seat) -> bool {
        let newest = self.entries.back().map_or(self.lost.0, Entry::place);
        !seat.owes_state && seat.place >= newest && self.closed_at_ms.is_none()
    }

    /// The index of the first entry behind a place. By far the most have seen everything but the newest.
    fn first_behind(&self, place: Place) -> usize {
        let len = self.entries.len();
        let is_seen = |at: usize| self.entries[at].place() <= place;
        match len {
            0 => 0,
            _ if is_seen(len - 1) => len,
            _ if len == 1 || is_seen(len - 2) => len - 1,
            _ => self.entries.partition_point(|entry| entry.place() <= place),
        }
    }

    /// Whether the next of what somebody has not seen came here before a wall time, and can be
    /// skipped over because there is state. What came late from the room makes nobody slow.
    pub(super) fn is_late(&self, seat: Seat, before_ms: u64) -> bool {
        let at = self.first_behind(seat.place);
        let next = self.entries.get(at).map(|entry| entry.came_ms);
        !seat.owes_state && next.is_some_and(|came_ms| came_ms < before_ms) && self.has_state()
    }

    /// The newest snapshot instead of all that somebody has not seen, if that is more than one event.
    pub(super) fn skip(&mut self, seat: Seat, limit_ms: u64, encodes: &mut u64) -> Option<Next> {
        let newest = self.state.as_ref()?.newest(self.now(limit_ms), limit_ms)?;
        let at = self.first_behind(seat.place);
        let next = self.entries.get(at)?;
        (next.seq < newest).then(|| self.anew(seat, limit_ms, encodes))
    }

    /// A snapshot, and that what is before it is left out: the one that was owed if it is still
    /// there, else the newest.
    fn anew(&mut self, seat: Seat, limit_ms: u64, encodes: &mut u64) -> Next {
        let (epoch, now) = (self.room.epoch, self.now(limit_ms));
        let Some(state) = &mut self.state else { return Next::Wait { at_ms: None } };
        let wait = Next::Wait { at_ms: state.first_at_ms(limit_ms) };
        let seen = seat.place.seq;
        let owed = seat.owes_state.then(|| state.text(epoch, seen, limit_ms, encodes)).flatten();
        let (seq, text) = if let Some(text) = owed {
            (seen, text)
        } else {
            let Some(seq) = state.newest(now, limit_ms) else { return wait };
            let Some(text) = state.text(epoch, seq, limit_ms, encodes) else { return wait };
            (seq, text)
        };
        let gap = (seq > seen).then(|| self.gap((seen + 1, seq), false));
        Next::Event { gap, text, seat: Seat::with_state(seq, false), is_gap: false }
    }

    /// The event of an entry.
    fn event(&mut self, at: usize, before: Seat, limit_ms: u64, encodes: &mut u64) -> Next {
        let entry = &self.entries[at];
        let (seq, epoch) = (entry.seq, self.room.epoch);
        let seat = Seat { place: entry.place(), ..before };
        let made = match (&entry.body, &self.state) {
            (Body::Text(text), _) => {
                return Next::Event { gap: None, text: text.clone(), seat, is_gap: false };
            }
            (Body::Hole { from }, _) => {
                let text = self.gap(((*from).max(before.place.seq + 1), seq), true);
                return Next::Event { gap: None, text, seat, is_gap: true };
            }
            (Body::Break { from }, _) => {
                let gap = Some(self.gap((*from, seq), false));
                let state = self.state.as_mut();
                let text = state.and_then(|state| state.text(epoch, seq, limit_ms, encodes));
                return match text {
                    Some(text) => Next::Event { gap, text, seat, is_gap: false },
                    None => self.anew(Seat { owes_state: true, ..seat }, limit_ms, encodes),
                };
            }
            (Body::Native { frame, is_published }, _) => self.text(seq, frame, *is_published),
            (Body::Delta(whole), Some(state)) => state.delta_text(epoch, seq, whole),
            (Body::Delta(_), None) => unreachable!("a log without state takes no deltas"),
        };
        *encodes += 1;
        // What it was made of is not needed any more.
        self.bytes -= self.entries[at].cost();
        self.entries[at].body = Body::Text(made.clone());
        self.bytes += self.entries[at].cost();
        Next::Event { gap: None, text: made, seat, is_gap: false }
    }

    /// When the first thing happens that is not shown at `limit_ms`.
    pub(super) fn next_at_ms(&self, limit_ms: u64) -> Option<u64> {
        let shown = self.entries.partition_point(|entry| entry.at_ms <= limit_ms);
        let closed_at_ms = self.closed_at_ms.filter(|at_ms| *at_ms > limit_ms);
        let next = self.entries.get(shown).map(|entry| entry.at_ms).or(closed_at_ms);
        let lost = Some(self.lost.1).filter(|at_ms| *at_ms > limit_ms);
        let state = self.state.as_ref().and_then(|state| state.first_at_ms(limit_ms));
        next.into_iter().chain(lost).chain(state).min()
    }

    /// What is shown at `limit_ms`: as long as it is the same there is nothing new.
    pub(super) fn shown(&self, limit_ms: u64) -> Shown {
        let seq = self.now(limit_ms);
        let has_state = self.state.as_ref().and_then(|state| state.newest(seq, limit_ms)).is_some();
        Shown { seq, has_state, is_over: self.closed_at_ms.is_some_and(|at_ms| at_ms <= limit_ms) }
    }

    /// Whether nothing comes any more behind `seq`.
    pub(super) fn is_over(&self, seq: u64, limit_ms: u64) -> bool {
        let newest = self.entries.back().map_or(self.lost.0.seq, |entry| entry.seq);
        seq >= newest && self.closed_at_ms.is_some_and(|at_ms| at_ms <= limit_ms)
    }

    /// The first event of a stream. Without an id where a snapshot follows: who has not had that
    /// must not come back as one who has.
    pub(super) fn resume(&self, seat: Seat, recovered: bool) -> Frame {
        let (epoch, seq, has_state) = (self.room.epoch, seat.place.seq, self.state.is_some());
        let epoch_at_ms = self.room.epoch_at_ms;
        let data = format!(
            "{{\"recovered\":{recovered},\"epoch\":\"{epoch}\",\"epoch_at_ms\":{epoch_at_ms},\
             \"from\":{seq},\"state\":{has_state}}}"
        );
        sse::event("resume", (!seat.owes_state).then_some((epoch, seq)), data.as_bytes())
    }

    fn gap(&self, (from, to): (u64, u64), has_id: bool) -> Frame {
        let data = format!("{{\"from\":{from},\"to\":{to}}}");
        sse::event("gap", has_id.then_some((self.room.epoch, to)), data.as_bytes())
    }

    fn end(&self) -> Frame {
        sse::event("end", Some((self.room.epoch, self.head)), b"{}")
    }

    /// The event of a native message: the JSON twin's object without the name around it, which is
    /// the event's. What a backend published has a name and data of its own.
    fn text(&self, seq: u64, native: &Frame, is_published: bool) -> Frame {
        let message = codec::split_batch(native)
            .next()
            .and_then(Result::ok)
            .and_then(|bytes| codec::decode_server(bytes).ok())
            .expect("a frame that the engine encoded decodes");
        let id = Some((self.room.epoch, seq));
        if is_published && let Some((name, data)) = self.published(&message) {
            return sse::event(name, id, &data);
        }
        let name = match message {
            ServerMessage::Presence(_) => "presence",
            _ => "message",
        };
        let mut json = Vec::with_capacity(native.len() * 2 + 64);
        encode_json(&message, &self.room.types, &mut json);
        let inner = json.get(name.len() + 4..json.len() - 1).unwrap_or(b"{}");
        sse::event(name, id, inner)
    }

    /// The name and the data that a backend gave its message; none if the name is not for it.
    fn published<'a>(&'a self, message: &'a ServerMessage<'_>) -> Option<(&'a str, Cow<'a, [u8]>)> {
        let ServerMessage::Message(message) = message else { return None };
        let name = match &message.r#type {
            TypeRef::Name(name) => name,
            TypeRef::Id(id) => &**self.room.types.get(*id as usize)?,
        };
        let data = match &message.payload {
            Payload::Text(text) | Payload::Json(text) => Cow::Borrowed(text.as_bytes()),
            Payload::Bytes(bytes) => Cow::Owned(BASE64.encode(bytes).into_bytes()),
        };
        (!RESERVED_NAMES.contains(&name)).then_some((name, data))
    }
}

impl Place {
    /// Behind everything up to a seq, but not behind a break there: who says no more than a seq
    /// may have been cut off before the snapshot.
    fn at(seq: u64) -> Self {
        Self { seq, is_behind_break: false }
    }
}

impl Seat {
    /// With, or before, a snapshot that stands for everything up to a seq.
    fn with_state(seq: u64, owes_state: bool) -> Self {
        Self { place: Place { seq, is_behind_break: true }, owes_state }
    }
}

impl Entry {
    fn place(&self) -> Place {
        Place { seq: self.seq, is_behind_break: matches!(self.body, Body::Break { .. }) }
    }

    fn cost(&self) -> usize {
        let bytes = match &self.body {
            Body::Native { frame, .. } | Body::Text(frame) => frame.len(),
            Body::Delta(whole) => whole.bytes.len(),
            Body::Hole { .. } | Body::Break { .. } => 0,
        };
        bytes + ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests;
