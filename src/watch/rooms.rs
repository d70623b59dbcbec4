//! The rooms of one thread: their logs by name, living and ended ones, and what all of them may
//! cost together.

use super::asked::{Start, Wish};
use super::directory::{Change, Listing};
use super::log::{Log, Position, Seat};
use super::spectators::limit_ms;
use madang_engine::watch::{WatchEvent, WatchItem, WatchRule};
use madang_protocol::ids::Epoch;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};

/// A log's place. May be used again once its log is gone: see [`Rooms::sweep`].
pub(super) type LogKey = usize;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How long, in milliseconds; an ended epoch's log is kept as long.
    pub(super) history_ms: u64,
    /// Bytes of one log.
    pub(super) log_bytes_max: usize,
    /// Bytes of all logs.
    pub(super) bytes_max: usize,
}

/// The rooms.
#[derive(Debug)]
pub(super) struct Rooms {
    bounds: Bounds,
    rules: Vec<WatchRule>,
    logs: Slab<Log>,
    living: BTreeMap<u32, LogKey>,
    /// The epochs of a room, oldest first.
    by_name: BTreeMap<Box<str>, Vec<LogKey>>,
    bytes: usize,
    /// Logs that something was appended to.
    grown: BTreeSet<LogKey>,
    /// Living public rooms that are not as the directory has them.
    unlisted: BTreeSet<LogKey>,
    /// Rooms that began or ended.
    changes: Vec<Change>,
}

impl Rooms {
    pub(super) fn new(bounds: Bounds, rules: Vec<WatchRule>) -> Self {
        Self {
            bounds,
            rules,
            logs: Slab::new(),
            living: BTreeMap::new(),
            by_name: BTreeMap::new(),
            bytes: 0,
            grown: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            changes: Vec::new(),
        }
    }

    /// The rule by which rooms of this name may be watched.
    pub(super) fn rule(&self, name: &str) -> Option<&WatchRule> {
        let matching = self.rules.iter().filter(|rule| name.starts_with(&*rule.prefix));
        matching.max_by_key(|rule| rule.prefix.len())
    }

    pub(super) fn get(&self, key: LogKey) -> Option<&Log> {
        self.logs.get(key)
    }

    /// The newest epoch of a room.
    pub(super) fn newest(&self, name: &str) -> Option<LogKey> {
        self.by_name.get(name)?.last().copied()
    }

    /// An epoch of a room.
    pub(super) fn epoch(&self, name: &str, epoch: Epoch) -> Option<LogKey> {
        self.by_name.get(name)?.iter().copied().find(|key| self.logs[*key].epoch() == epoch)
    }

    /// Where in which epoch somebody begins, and whether nothing is missing from where they wished;
    /// none where there is nothing to be seen any more.
    pub(super) fn place(
        &self,
        name: &str,
        wish: Wish,
        wall_ms: u64,
    ) -> Option<(LogKey, Seat, bool)> {
        let newest = self.newest(name)?;
        let limit_ms = limit_ms(wall_ms, wish.delay_ms);
        let wished = match wish.start {
            Start::Behind(epoch, _) => self.epoch(name, epoch),
            _ => None,
        };
        wished.into_iter().chain([newest]).find_map(|key| {
            let log = self.logs.get(key)?;
            let position = match wish.start {
                Start::Behind(epoch, seq) if epoch == log.epoch() => log.behind(seq, limit_ms),
                Start::At(seq) => log.behind(seq.saturating_sub(1), limit_ms),
                Start::Ago(ms) => log.since(wall_ms.saturating_sub(ms), limit_ms),
                Start::Now | Start::Behind(..) | Start::BehindUnknown => {
                    Position { seq: log.now(limit_ms), complete: false }
                }
            };
            let seen = Start::Behind(log.epoch(), position.seq) == wish.start;
            (!log.is_over(position.seq, limit_ms))
                .then(|| (key, log.seat(position, seen, limit_ms), position.complete))
        })
    }

    /// Calls `act` with a log and keeps account of what that costs.
    pub(super) fn with<T>(&mut self, key: LogKey, act: impl FnOnce(&mut Log) -> T) -> Option<T> {
        let log = self.logs.get_mut(key)?;
        let before = log.bytes();
        let result = act(log);
        self.bytes = self.bytes - before + log.bytes();
        Some(result)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Takes in what happened in a room.
    pub(super) fn apply(&mut self, item: WatchItem, now_ms: u64) {
        let WatchItem { channel, event, .. } = item;
        let key = self.living.get(&channel).copied();
        match (event, key) {
            (WatchEvent::Opened(room), Some(key)) if self.logs[key].epoch() == room.epoch => {
                self.with(key, |log| log.reopen(*room));
                self.changed(key);
            }
            (WatchEvent::Opened(room), _) => {
                if let Some(key) = key {
                    self.end(channel, key, now_ms);
                }
                let before =
                    self.newest(&room.name).filter(|key| self.logs[*key].closed_at_ms().is_none());
                // The end of the epoch before was lost, or comes from a shard that is no more.
                if let Some(key) = before {
                    let channel = self.living.iter().find(|(_, living)| **living == key);
                    let channel = channel.map(|(channel, _)| *channel);
                    self.end(channel.unwrap_or(u32::MAX), key, now_ms);
                }
                let name = room.name.clone();
                let log = Log::new(*room, now_ms);
                self.bytes += log.bytes();
                let key = self.logs.insert(log);
                self.living.insert(channel, key);
                self.by_name.entry(name).or_default().push(key);
                self.list(key);
            }
            (WatchEvent::TypeNamed(name), Some(key)) => self.logs[key].room.types.push(name),
            (WatchEvent::Entry { seq, at_ms, frame, is_published }, Some(key)) => {
                self.append(key, now_ms, |log| log.push(seq, at_ms, frame, is_published));
            }
            (WatchEvent::Snapshot(told), Some(key)) => {
                self.append(key, now_ms, |log| log.push_snapshot(&told));
            }
            (WatchEvent::Delta(told), Some(key)) => {
                self.append(key, now_ms, |log| log.push_delta(&told));
            }
            (WatchEvent::Members(count), Some(key)) => {
                self.logs[key].room.members = count;
                self.changed(key);
            }
            (WatchEvent::Closed, Some(key)) => self.end(channel, key, now_ms),
            // Its beginning was lost and will be made up for.
            (_, None) => {}
        }
    }

    /// Logs that something was appended to, or that ended, since this was asked last.
    pub(super) fn take_grown(&mut self) -> BTreeSet<LogKey> {
        std::mem::take(&mut self.grown)
    }

    /// Rooms that began or ended since this was asked last.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Whether [`Self::list_changed`] would list anything.
    pub(super) fn has_unlisted(&self) -> bool {
        !self.unlisted.is_empty()
    }

    /// Adds what is new of living rooms to [`Self::take_changes`].
    pub(super) fn list_changed(&mut self) {
        for key in std::mem::take(&mut self.unlisted) {
            self.list(key);
        }
    }

    /// Lets go what is too old or too much. Returns ended logs that are gone.
    pub(super) fn sweep(&mut self, now_ms: u64) -> Vec<LogKey> {
        let oldest_ms = now_ms.saturating_sub(self.bounds.history_ms);
        let mut gone = Vec::new();
        for (key, log) in &mut self.logs {
            let before = log.bytes();
            log.evict(oldest_ms, self.bounds.log_bytes_max);
            self.bytes = self.bytes - before + log.bytes();
            if log.closed_at_ms().is_some_and(|at_ms| at_ms < oldest_ms) {
                gone.push(key);
            }
        }
        self.make_room(&mut gone);
        for key in &gone {
            let log = self.logs.remove(*key);
            self.bytes -= log.bytes();
            if let Some(epochs) = self.by_name.get_mut(&log.room.name) {
                epochs.retain(|epoch| epoch != key);
                if epochs.is_empty() {
                    self.by_name.remove(&log.room.name);
                }
            }
            self.grown.remove(key);
        }
        gone
    }

    /// From here on all logs together may have so many bytes.
    pub(super) fn bound(&mut self, bytes_max: usize) {
        self.bounds.bytes_max = bytes_max;
    }

    pub(super) fn is_over(&self) -> bool {
        self.bytes > self.bounds.bytes_max
    }

    /// Halves the largest logs until all of them fit; where only their own cost is left, ended
    /// ones go altogether, and then the state of the largest.
    fn make_room(&mut self, gone: &mut Vec<LogKey>) {
        let mut freed: usize = gone.iter().map(|key| self.logs[*key].bytes()).sum();
        while self.bytes - freed > self.bounds.bytes_max {
            let filled =
                self.logs.iter().filter(|(key, log)| !log.is_empty() && !gone.contains(key));
            let largest = filled.max_by_key(|(_, log)| log.bytes()).map(|(key, _)| key);
            if let Some(key) = largest {
                self.with(key, |log| log.evict(0, log.bytes() / 2));
                continue;
            }
            let ended = self
                .logs
                .iter()
                .filter(|(key, log)| log.closed_at_ms().is_some() && !gone.contains(key));
            let oldest = ended.min_by_key(|(_, log)| log.closed_at_ms()).map(|(key, _)| key);
            let Some(key) = oldest else {
                let states = self.logs.iter().filter(|(_, log)| log.has_state());
                let largest = states.max_by_key(|(_, log)| log.bytes()).map(|(key, _)| key);
                // What is left are living rooms, whose number is bounded elsewhere.
                let Some(key) = largest else { return };
                self.with(key, forget_state);
                self.grown.insert(key);
                continue;
            };
            freed += self.logs[key].bytes();
            gone.push(key);
        }
    }

    /// Adds to a log, and lets go of it what is too old or too much.
    fn append(&mut self, key: LogKey, now_ms: u64, add: impl FnOnce(&mut Log)) {
        let Bounds { history_ms, log_bytes_max, .. } = self.bounds;
        self.with(key, |log| {
            log.set_wall_ms(now_ms);
            add(log);
            log.evict(now_ms.saturating_sub(history_ms), log_bytes_max);
            if log.bytes() > log_bytes_max && log.has_state() {
                forget_state(log);
            }
        });
        self.grown.insert(key);
        self.changed(key);
    }

    fn end(&mut self, channel: u32, key: LogKey, now_ms: u64) {
        self.with(key, |log| log.close(now_ms));
        self.living.remove(&channel);
        self.unlisted.remove(&key);
        self.grown.insert(key);
        let room = &self.logs[key].room;
        if room.public {
            self.changes.push(Change::Gone(room.name.clone()));
        }
    }

    fn changed(&mut self, key: LogKey) {
        if self.logs[key].room.public {
            self.unlisted.insert(key);
        }
    }

    fn list(&mut self, key: LogKey) {
        let Some(log) = self.logs.get(key).filter(|log| log.room.public) else { return };
        let room = &log.room;
        let is_delayed = self.rule(&room.name).is_some_and(|rule| rule.delay_min_ms > 0);
        self.changes.push(Change::There(Box::new(Listing {
            name: room.name.clone(),
            kind: room.kind,
            members: room.members,
            labels: room.labels.clone(),
            seq: (!is_delayed).then_some(log.head()),
            epoch: room.epoch,
        })));
    }
}

/// Memory comes first: spectators see no state of this room any more.
fn forget_state(log: &mut Log) {
    let (epoch, bytes) = (log.epoch(), log.bytes());
    tracing::warn!(%epoch, bytes, "a room's state is too large for what spectators may cost");
    log.forget_state();
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_engine::frame::Frame;
    use madang_engine::watch::{WatchOpened, WatchState};
    use madang_protocol::replica::Replica;
    use madang_protocol::state::{Field, FieldType, Kind, Scalar, Schema, Visibility, put_uint};
    use std::sync::Arc;

    fn rooms() -> Rooms {
        let bounds = Bounds { history_ms: 1000, log_bytes_max: 64 << 10, bytes_max: 128 << 10 };
        let rule = |prefix: &str, delay_min_ms| WatchRule { prefix: prefix.into(), delay_min_ms };
        Rooms::new(bounds, vec![rule("a", 0), rule("arena", 5)])
    }

    fn item(channel: u32, event: WatchEvent) -> WatchItem {
        WatchItem { channel, name_hash: 0, event }
    }

    fn open(rooms: &mut Rooms, channel: u32, name: &str, epoch: u8) -> LogKey {
        let room = WatchOpened {
            name: name.into(),
            epoch: Epoch([epoch; 8]),
            epoch_at_ms: 0,
            kind: "relay",
            schema: None,
            labels: Vec::new(),
            public: true,
            types: Vec::new(),
            members: 0,
            before: 0,
        };
        rooms.apply(item(channel, WatchEvent::Opened(Box::new(room))), 0);
        rooms.newest(name).unwrap()
    }

    fn put(rooms: &mut Rooms, channel: u32, seq: u64, bytes: usize, at_ms: u64) {
        let frame = Frame::new(&vec![0; bytes]);
        rooms.apply(
            item(channel, WatchEvent::Entry { seq, at_ms, frame, is_published: false }),
            at_ms,
        );
    }

    /// Panics where the sum is not that of the parts.
    fn check(rooms: &Rooms) {
        assert_eq!(rooms.bytes, rooms.logs.iter().map(|(_, log)| log.bytes()).sum::<usize>());
    }

    #[test]
    fn the_longest_prefix_decides() {
        let rooms = rooms();
        assert_eq!(rooms.rule("arena-1").unwrap().delay_min_ms, 5);
        assert_eq!(rooms.rule("aren").unwrap().delay_min_ms, 0);
        assert_eq!(rooms.rule("b"), None);
    }

    #[test]
    fn an_epoch_ends_with_its_room_or_when_another_begins() {
        let mut rooms = rooms();
        let first = open(&mut rooms, 3, "a1", 1);
        rooms.apply(item(3, WatchEvent::Closed), 10);
        let second = open(&mut rooms, 4, "a1", 2);
        let third = open(&mut rooms, 5, "a1", 3);
        assert_eq!(rooms.get(first).unwrap().closed_at_ms(), Some(10));
        assert_eq!(rooms.get(second).unwrap().closed_at_ms(), Some(0));
        assert_eq!(rooms.get(third).unwrap().closed_at_ms(), None);
        assert_eq!(rooms.epoch("a1", Epoch([2; 8])), Some(second));
        // The late end of a channel that ended already.
        rooms.apply(item(4, WatchEvent::Closed), 20);
        put(&mut rooms, 4, 1, 10, 20);
        assert_eq!(rooms.get(second).unwrap().head(), 0);
        let gone: Vec<_> = rooms.take_changes().iter().map(|c| c.name().to_owned()).collect();
        assert_eq!(gone.len(), 5, "three came and two went");
        assert_eq!(rooms.sweep(1011), [first, second]);
        assert_eq!(rooms.newest("a1"), Some(third));
        check(&rooms);
    }

    #[test]
    fn all_logs_together_are_bounded_and_the_largest_gives_way() {
        let mut rooms = rooms();
        let (small, large) = (open(&mut rooms, 1, "a1", 1), open(&mut rooms, 2, "a2", 2));
        let more = open(&mut rooms, 3, "a3", 3);
        put(&mut rooms, 1, 1, 1000, 5);
        for seq in 1..=100 {
            put(&mut rooms, 2, seq, 5000, 5);
            put(&mut rooms, 3, seq, 5000, 5);
        }
        for key in [large, more] {
            assert!((60 << 10..64 << 10).contains(&rooms.get(key).unwrap().bytes()));
        }
        for channel in 4..40 {
            open(&mut rooms, channel, &format!("a{channel}"), 1);
            rooms.apply(item(channel, WatchEvent::Closed), 10);
        }
        assert!(rooms.is_over());
        assert!(rooms.sweep(11).is_empty());
        assert!(!rooms.is_over());
        assert!(!rooms.get(small).unwrap().is_empty());
        check(&rooms);
        for channel in 40..400 {
            open(&mut rooms, channel, &format!("a{channel}"), 1);
            rooms.apply(item(channel, WatchEvent::Closed), 10);
        }
        assert!(rooms.sweep(11).len() > 200);
        assert!(!rooms.is_over());
        check(&rooms);
    }

    #[test]
    fn only_public_rooms_are_listed_and_a_delayed_one_does_not_tell_how_far_it_is() {
        let mut rooms = rooms();
        open(&mut rooms, 1, "a1", 1);
        open(&mut rooms, 2, "arena", 1);
        rooms.take_changes();
        put(&mut rooms, 1, 1, 10, 5);
        put(&mut rooms, 2, 1, 10, 5);
        rooms.apply(item(1, WatchEvent::Members(3)), 5);
        assert!(rooms.has_unlisted());
        rooms.list_changed();
        let listed: Vec<_> = rooms
            .take_changes()
            .into_iter()
            .map(|change| match change {
                Change::There(room) => (room.name, room.seq, room.members),
                Change::Gone(name) => panic!("{name} is gone"),
            })
            .collect();
        assert_eq!(listed, [("a1".into(), Some(1), 3), ("arena".into(), None, 0)]);
    }

    /// A room whose state is a text of so many bytes.
    fn open_with_state(rooms: &mut Rooms, channel: u32, bytes: usize) -> LogKey {
        let r#type = FieldType::One(Scalar::Text);
        let field = Field { name: "text".into(), r#type, visibility: Visibility::Everyone };
        let kinds = vec![Kind { name: "room".into(), fields: vec![field] }];
        let mut replica = Replica::default();
        let mut state = vec![0, 0, 1];
        put_uint(&mut state, bytes as u64);
        state.resize(state.len() + bytes, b'x');
        let schema = Arc::new(Schema { kinds });
        replica.apply_snapshot(&schema, &state).unwrap();
        let room = WatchOpened {
            name: format!("a{channel}").into(),
            epoch: Epoch([channel as u8; 8]),
            epoch_at_ms: 0,
            kind: "big",
            schema: Some(schema),
            labels: Vec::new(),
            public: false,
            types: Vec::new(),
            members: 0,
            before: 0,
        };
        rooms.apply(item(channel, WatchEvent::Opened(Box::new(room))), 0);
        let hash = replica.hash();
        let told =
            WatchState { seq: 0, at_ms: 0, base_tick: 0, tick: 0, hash, bytes: state.into() };
        rooms.apply(item(channel, WatchEvent::Snapshot(Box::new(told))), 0);
        rooms.newest(&format!("a{channel}")).unwrap()
    }

    #[test]
    fn a_state_that_does_not_fit_is_let_go_and_the_largest_of_many_gives_way() {
        let mut rooms = rooms();
        let large = open_with_state(&mut rooms, 1, 70_000);
        assert!(!rooms.get(large).unwrap().has_state());
        check(&rooms);
        let keys = [30_000, 45_000, 31_000, 32_000, 33_000]
            .iter()
            .zip(2..)
            .map(|(bytes, channel)| open_with_state(&mut rooms, channel, *bytes));
        let keys: Vec<_> = keys.collect();
        assert!(rooms.is_over());
        assert!(rooms.sweep(1).is_empty());
        assert!(!rooms.is_over());
        check(&rooms);
        let shown: Vec<_> = keys.iter().map(|key| rooms.get(*key).unwrap().has_state()).collect();
        assert_eq!(shown, [true, false, true, true, false]);
    }
}
