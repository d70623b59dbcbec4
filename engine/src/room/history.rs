//! A room's log: the newest entries, for resume and for late joiners. Bounded in entries and in
//! bytes; the oldest go first. Exists once, at the room's home; frames are shared with queues.

use crate::frame::Frame;
use std::collections::VecDeque;

/// What an entry is, as far as replay cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Published to everyone.
    Message,
    /// Published to everyone by a backend; from the room.
    Published,
    /// A change of the member list.
    Presence,
    /// To this member alone.
    Direct(u32),
}

/// One logged message.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Who sent it, 0 for the room.
    pub from: u32,
    /// When, in milliseconds since 1970 UTC; ascends.
    pub at_ms: u64,
    /// Its native form; other forms are made from it when needed.
    pub frame: Frame,
}

impl Entry {
    /// Whether a member receives it.
    pub fn is_visible_to(&self, member: u32, echo: bool) -> bool {
        match self.kind {
            EntryKind::Message => echo || self.from != member,
            EntryKind::Published | EntryKind::Presence => true,
            EntryKind::Direct(to) => to == member,
        }
    }
}

/// The log. Seqs ascend; those that are missing between its entries were ticks of the room's state, which
/// are made up for by a snapshot and not by replay.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Everything after this seq is still here.
    floor: u64,
}

impl History {
    /// Appends an entry, whose seq is above the newest one's, and lets old ones go.
    pub fn push(&mut self, entry: Entry, entries_max: usize, bytes_max: usize) {
        debug_assert!(self.entries.back().is_none_or(|newest| newest.seq < entry.seq));
        self.bytes += entry.frame.len();
        self.entries.push_back(entry);
        while self.entries.len() > entries_max || self.bytes > bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.frame.len();
            self.floor = oldest.seq;
        }
    }

    /// Bytes of all entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether every entry after `seq` is still here.
    pub fn reaches_back_to(&self, seq: u64) -> bool {
        seq >= self.floor
    }

    /// Entries after `seq`, ascending.
    pub fn after(&self, seq: u64) -> impl DoubleEndedIterator<Item = &Entry> {
        let skip = self.entries.partition_point(|entry| entry.seq <= seq);
        self.entries.range(skip..)
    }

    /// The seq after which every entry is still here.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The newest `count` messages that were published to everyone before `before`, ascending.
    pub fn newest_messages(&self, count: usize, before: u64) -> Vec<&Entry> {
        let mut newest: Vec<&Entry> = self
            .entries
            .iter()
            .rev()
            .filter(|entry| is_message(entry.kind) && entry.seq < before)
            .take(count)
            .collect();
        newest.reverse();
        newest
    }

    /// Panics where bounds or numbering do not hold.
    pub fn check(&self, head: u64, entries_max: usize, bytes_max: usize) {
        assert!(self.entries.len() <= entries_max && self.bytes <= bytes_max);
        assert_eq!(self.bytes, self.entries.iter().map(|entry| entry.frame.len()).sum::<usize>());
        for (entry, next) in self.entries.iter().zip(self.entries.iter().skip(1)) {
            assert!(entry.seq < next.seq, "the log ascends");
        }
        assert!(self.entries.front().is_none_or(|oldest| oldest.seq > self.floor));
        assert!(self.entries.back().is_none_or(|newest| newest.seq <= head));
    }
}

fn is_message(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Message | EntryKind::Published)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(entries: u64, entries_max: usize, bytes_max: usize) -> History {
        let mut history = History::default();
        for seq in 1..=entries {
            let frame = Frame::new(&[0; 10]);
            let entry = Entry { seq, kind: EntryKind::Message, from: 1, at_ms: 0, frame };
            history.push(entry, entries_max, bytes_max);
            history.check(seq, entries_max, bytes_max);
        }
        history
    }

    #[test]
    fn the_oldest_entries_go_first_by_either_bound() {
        assert_eq!(filled(10, 4, 1000).floor(), 6);
        assert_eq!(filled(10, 100, 30).floor(), 7);
        assert_eq!(filled(10, 100, 5).floor(), 10);
    }

    #[test]
    fn it_knows_how_far_it_reaches_back() {
        let history = filled(10, 4, 1000);
        assert!(history.reaches_back_to(6) && !history.reaches_back_to(5));
        assert!(history.reaches_back_to(10));
        assert!(History::default().reaches_back_to(0), "there was nothing yet");
        assert!(!filled(10, 100, 5).reaches_back_to(9), "the newest was too large to be kept");
    }

    #[test]
    fn replay_starts_right_after_a_seq() {
        let history = filled(10, 4, 1000);
        let seqs = |after| history.after(after).map(|entry| entry.seq).collect::<Vec<_>>();
        assert_eq!(seqs(8), [9, 10]);
        assert_eq!(seqs(6), [7, 8, 9, 10]);
        assert_eq!(seqs(0), [7, 8, 9, 10]);
        assert!(seqs(10).is_empty());
        assert!(seqs(99).is_empty());
    }
}
