//! What happened in one epoch of a room, as far as it can still be watched. Bounded by time and
//! bytes; the oldest go first. Nobody's position is kept here.

use super::sse;
use madang_engine::encode::encode_json;
use madang_engine::frame::Frame;
use madang_engine::watch::WatchOpened;
use madang_protocol::ids::Epoch;
use madang_protocol::{ServerMessage, codec};
use std::collections::VecDeque;

/// What an entry costs besides its bytes.
const ENTRY_BYTES: usize = 64;
/// What a log costs without entries.
const LOG_BYTES: usize = 1024;

/// One epoch's log.
#[derive(Debug)]
pub(super) struct Log {
    /// What the room said of itself.
    pub(super) room: WatchOpened,
    /// Ascending in seq and in time.
    entries: VecDeque<Entry>,
    /// Entries up to this one are no longer here, and when the newest of them happened.
    lost: (u64, u64),
    /// The newest seq.
    head: u64,
    /// What the feed lost, until it is known when.
    hole: Option<(u64, u64)>,
    /// When the epoch ended.
    closed_at_ms: Option<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    at_ms: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Nobody has asked for it yet.
    Native(Frame),
    /// An event's text, shared by all who get it.
    Text(Frame),
    /// Lost on the way from the room, from this seq on.
    Hole { from: u64 },
}

/// What comes next for somebody who has seen everything up to a seq.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An event, and its seq.
    Event {
        /// Its text.
        text: Frame,
        /// Its seq.
        seq: u64,
        /// Whether it says that something is missing.
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

impl Log {
    pub(super) fn new(room: WatchOpened, now_ms: u64) -> Self {
        let before = room.before;
        let lost = (before, if before == 0 { 0 } else { now_ms });
        Self {
            room,
            entries: VecDeque::new(),
            lost,
            head: before,
            hole: None,
            closed_at_ms: None,
            bytes: LOG_BYTES,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.room.epoch
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn closed_at_ms(&self) -> Option<u64> {
        self.closed_at_ms
    }

    /// The room says everything again that its history holds, because something was lost.
    pub(super) fn reopen(&mut self, room: WatchOpened) {
        if room.before > self.head {
            let from = self.hole.map_or(self.head + 1, |(from, _)| from);
            self.hole = Some((from, room.before));
            self.head = room.before;
        }
        self.room = room;
    }

    /// Appends an entry, unless it is here already.
    pub(super) fn push(&mut self, seq: u64, at_ms: u64, native: Frame) {
        if seq <= self.head {
            return;
        }
        self.head = seq;
        self.put_hole(at_ms);
        self.put(Entry { seq, at_ms, body: Body::Native(native) });
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

    /// A hole happened when what comes behind it did: nobody learns of it earlier.
    fn put_hole(&mut self, at_ms: u64) {
        if let Some((from, to)) = self.hole.take() {
            self.put(Entry { seq: to, at_ms, body: Body::Hole { from } });
        }
    }

    fn put(&mut self, entry: Entry) {
        self.bytes += entry.cost();
        self.entries.push_back(entry);
    }

    /// Lets entries go that happened before `oldest_ms`, and more until it fits `bytes_max`.
    pub(super) fn evict(&mut self, oldest_ms: u64, bytes_max: usize) {
        while let Some(entry) = self.entries.front() {
            if entry.at_ms >= oldest_ms && self.bytes <= bytes_max {
                break;
            }
            self.bytes -= entry.cost();
            self.lost = (entry.seq, entry.at_ms);
            self.entries.pop_front();
        }
    }

    /// Whether it holds no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Behind everything that happened up to a wall time.
    pub(super) fn now(&self, limit_ms: u64) -> u64 {
        let shown = self.entries.partition_point(|entry| entry.at_ms <= limit_ms);
        if shown > 0 { self.entries[shown - 1].seq } else { self.lost.0 }
    }

    /// Behind an event that was seen.
    pub(super) fn behind(&self, seq: u64, limit_ms: u64) -> Position {
        let is_known = seq <= self.head;
        let now = self.now(limit_ms);
        let seq = if is_known { seq.min(now) } else { now };
        Position { seq, complete: is_known && seq >= self.lost.0 }
    }

    /// With what happened at a wall time or later.
    pub(super) fn since(&self, since_ms: u64, limit_ms: u64) -> Position {
        let earlier = self.entries.partition_point(|entry| entry.at_ms < since_ms);
        let (lost_to, lost_at_ms) = self.lost;
        let (seq, complete) = match earlier {
            0 => (lost_to, lost_to == 0 || lost_at_ms < since_ms),
            _ => (self.entries[earlier - 1].seq, true),
        };
        Position { seq: seq.min(self.now(limit_ms)), complete }
    }

    /// What comes next behind `seq` for somebody who is shown what happened up to a wall time.
    /// Makes an event's text when the first asks for it, which is counted.
    pub(super) fn next(&mut self, seq: u64, limit_ms: u64, encodes: &mut u64) -> Next {
        let (lost_to, lost_at_ms) = self.lost;
        if seq < lost_to {
            if lost_at_ms > limit_ms {
                return Next::Wait { at_ms: Some(lost_at_ms) };
            }
            let text = self.gap(seq + 1, lost_to);
            return Next::Event { text, seq: lost_to, is_gap: true };
        }
        let at = self.entries.partition_point(|entry| entry.seq <= seq);
        let Some(entry) = self.entries.get(at) else {
            return match self.closed_at_ms {
                Some(at_ms) if at_ms <= limit_ms => Next::End { text: self.end() },
                at_ms => Next::Wait { at_ms },
            };
        };
        if entry.at_ms > limit_ms {
            return Next::Wait { at_ms: Some(entry.at_ms) };
        }
        let (entry_seq, is_gap) = (entry.seq, matches!(entry.body, Body::Hole { .. }));
        let text = match &entry.body {
            Body::Text(text) => text.clone(),
            Body::Hole { from } => self.gap((*from).max(seq + 1), entry_seq),
            Body::Native(native) => {
                let text = self.text(entry_seq, native);
                *encodes += 1;
                // The native form is not needed any more.
                self.bytes = self.bytes + text.len() - native.len();
                self.entries[at].body = Body::Text(text.clone());
                text
            }
        };
        Next::Event { text, seq: entry_seq, is_gap }
    }

    /// When the first thing happens that is not shown at `limit_ms`.
    pub(super) fn next_at_ms(&self, limit_ms: u64) -> Option<u64> {
        let shown = self.entries.partition_point(|entry| entry.at_ms <= limit_ms);
        let closed_at_ms = self.closed_at_ms.filter(|at_ms| *at_ms > limit_ms);
        self.entries.get(shown).map(|entry| entry.at_ms).or(closed_at_ms)
    }

    /// Whether nothing comes any more behind `seq`.
    pub(super) fn is_over(&self, seq: u64, limit_ms: u64) -> bool {
        let newest = self.entries.back().map_or(self.lost.0, |entry| entry.seq);
        seq >= newest && self.closed_at_ms.is_some_and(|at_ms| at_ms <= limit_ms)
    }

    /// The first event of a stream.
    pub(super) fn resume(&self, position: Position, recovered: bool) -> Frame {
        let (epoch, seq) = (self.room.epoch, position.seq);
        let epoch_at_ms = self.room.epoch_at_ms;
        let data = format!(
            "{{\"recovered\":{recovered},\"epoch\":\"{epoch}\",\"epoch_at_ms\":{epoch_at_ms},\
             \"from\":{seq}}}"
        );
        sse::event("resume", Some((epoch, seq)), data.as_bytes())
    }

    fn gap(&self, from: u64, to: u64) -> Frame {
        let data = format!("{{\"from\":{from},\"to\":{to}}}");
        sse::event("gap", Some((self.room.epoch, to)), data.as_bytes())
    }

    fn end(&self) -> Frame {
        sse::event("end", Some((self.room.epoch, self.head)), b"{}")
    }

    /// The event of a native message: the JSON twin's object without the name around it, which is
    /// the event's.
    fn text(&self, seq: u64, native: &Frame) -> Frame {
        let message = codec::split_batch(native)
            .next()
            .and_then(Result::ok)
            .and_then(|bytes| codec::decode_server(bytes).ok())
            .expect("a frame that the engine encoded decodes");
        let name = match message {
            ServerMessage::Presence(_) => "presence",
            _ => "message",
        };
        let mut json = Vec::with_capacity(native.len() * 2 + 64);
        encode_json(&message, &self.room.types, &mut json);
        let inner = json.get(name.len() + 4..json.len() - 1).unwrap_or(b"{}");
        sse::event(name, Some((self.room.epoch, seq)), inner)
    }
}

impl Entry {
    fn cost(&self) -> usize {
        let bytes = match &self.body {
            Body::Native(frame) | Body::Text(frame) => frame.len(),
            Body::Hole { .. } => 0,
        };
        bytes + ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::ids::{Channel, Cseq, MemberId, Seq};
    use madang_protocol::server::Message;
    use madang_protocol::value::{Payload, TypeRef};

    const EPOCH: Epoch = Epoch([1; 8]);

    fn opened(before: u64) -> WatchOpened {
        WatchOpened {
            name: "arena".into(),
            epoch: EPOCH,
            epoch_at_ms: 1000,
            kind: "relay",
            schema: None,
            labels: Vec::new(),
            public: true,
            types: vec!["chat".into()],
            members: 0,
            before,
        }
    }

    fn native(seq: u64, json: &str) -> Frame {
        let mut out = Vec::new();
        let message = ServerMessage::Message(Message {
            channel: Channel(3),
            seq: Seq(seq),
            from: MemberId(1),
            at: 5,
            cseq: Cseq(2),
            r#type: TypeRef::Id(0),
            payload: Payload::Json(json.into()),
        });
        codec::encode_server(&message, &mut out);
        Frame::new(&out)
    }

    /// Entries 1 to `count`, each at 1000 times its number.
    fn filled(count: u64) -> Log {
        let mut log = Log::new(opened(0), 0);
        for seq in 1..=count {
            log.push(seq, seq * 1000, native(seq, "1"));
        }
        log
    }

    /// Everything behind a seq, in short: seqs, gaps, the end.
    fn told(log: &mut Log, mut seq: u64, limit_ms: u64) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            match log.next(seq, limit_ms, &mut 0) {
                Next::Event { text, seq: to, is_gap } => {
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    assert!(text.starts_with(&format!("id: {EPOCH}-{to}\n")), "{text}");
                    let data = text.split_once("data: ").unwrap().1.trim_end();
                    told.push(if is_gap { data.to_owned() } else { to.to_string() });
                    seq = to;
                }
                Next::End { .. } => {
                    told.push("end".to_owned());
                    return told;
                }
                Next::Wait { .. } => return told,
            }
        }
    }

    #[test]
    fn an_event_is_made_once_with_the_types_name_and_split_lines() {
        let mut log = Log::new(opened(0), 0);
        log.push(1, 5, native(1, "{\r\n\"a\":\n1}"));
        let mut encodes = 0;
        let bytes = log.bytes();
        for _ in 0..3 {
            let Next::Event { text, .. } = log.next(0, 5, &mut encodes) else { panic!("an event") };
            assert_eq!(
                std::str::from_utf8(&text).unwrap(),
                "id: 0101010101010101-1\nevent: message\ndata: {\"channel\":3,\"seq\":1,\"from\":1,\
                 \"at\":5,\"cseq\":2,\"type\":\"chat\",\"payload\":{\"json\":{\ndata: \"a\":\n\
                 data: 1}}}\n\n"
            );
        }
        assert_eq!(encodes, 1);
        assert!(log.bytes() > bytes, "the text counts from now on");
        log.evict(6, usize::MAX);
        assert_eq!(log.bytes(), LOG_BYTES);
    }

    #[test]
    fn nothing_is_shown_before_its_time() {
        let mut log = filled(4);
        assert_eq!(told(&mut log, 0, 2999), ["1", "2"]);
        assert_eq!(log.next(2, 2999, &mut 0), Next::Wait { at_ms: Some(3000) });
        assert_eq!(log.next_at_ms(2999), Some(3000));
        assert_eq!(log.now(2999), 2);
        assert_eq!(log.behind(3, 2999), Position { seq: 2, complete: true });
        assert_eq!(log.since(0, 2999), Position { seq: 0, complete: true });
        assert_eq!(log.since(3500, 2999), Position { seq: 2, complete: true });
        log.close(9000);
        assert_eq!(told(&mut log, 0, 8999), ["1", "2", "3", "4"]);
        assert_eq!(log.next_at_ms(8999), Some(9000));
        assert_eq!(told(&mut log, 3, 9000), ["4", "end"]);
    }

    #[test]
    fn what_is_gone_is_a_gap_for_those_who_had_not_seen_it() {
        let mut log = filled(6);
        log.evict(4000, usize::MAX);
        assert_eq!(told(&mut log, 1, 9000), ["{\"from\":2,\"to\":3}", "4", "5", "6"]);
        assert_eq!(told(&mut log, 3, 9000), ["4", "5", "6"]);
        assert_eq!(log.behind(1, 9000), Position { seq: 1, complete: false });
        assert_eq!(log.behind(3, 9000), Position { seq: 3, complete: true });
        assert_eq!(log.behind(7, 9000), Position { seq: 6, complete: false });
        assert_eq!(log.since(3500, 9000), Position { seq: 3, complete: true });
        assert_eq!(log.since(3000, 9000), Position { seq: 3, complete: false });
        // Even the gap waits for the delay.
        log.evict(0, LOG_BYTES);
        assert!(log.is_empty());
        assert!(told(&mut log, 1, 5999).is_empty());
        assert_eq!(told(&mut log, 1, 6000), ["{\"from\":2,\"to\":6}"]);
    }

    #[test]
    fn a_feed_that_lost_something_is_made_good_from_the_history_or_a_gap_is_told() {
        let mut log = filled(3);
        log.reopen(opened(1));
        for seq in 2..=5 {
            log.push(seq, seq * 1000, native(seq, "1"));
        }
        assert_eq!(told(&mut log, 0, 9000), ["1", "2", "3", "4", "5"]);
        assert_eq!(log.entries.len(), 5, "what was there already is not there twice");
        log.reopen(opened(7));
        log.reopen(opened(8));
        log.push(9, 20_000, native(9, "1"));
        assert_eq!(told(&mut log, 4, 9000), ["5"]);
        assert_eq!(told(&mut log, 4, 20_000), ["5", "{\"from\":6,\"to\":8}", "9"]);
        log.reopen(opened(12));
        log.close(30_000);
        assert_eq!(told(&mut log, 9, 30_000), ["{\"from\":10,\"to\":12}", "end"]);
    }

    #[test]
    fn a_log_that_begins_late_says_so() {
        let mut log = Log::new(opened(5), 500);
        log.push(6, 600, native(6, "1"));
        assert_eq!(log.behind(2, 900), Position { seq: 2, complete: false });
        assert_eq!(told(&mut log, 2, 900), ["{\"from\":3,\"to\":5}", "6"]);
        assert_eq!(log.since(0, 900), Position { seq: 5, complete: false });
    }
}
