//! What rooms said, and whether everybody who was there heard it.
//!
//! A room numbers its messages. What anybody hears under a number is what the room said, so that the
//! journal of a room is complete when all its members together heard everything. A *stay* is a membership
//! without a break that the server told of: from the number at which it began, everything in the journal
//! belongs to it. A stay keeps how much it heard and a sum over it, and no list: at the end both are
//! compared with the journal's.
//!
//! Who sent counts too: in a journal each sender's own numbers have to follow each other, or something was
//! applied twice or never.

use crate::outcome::{CORRUPT, DISORDERED, EXPECTED, LOST, Outcome, RECEIVED, REPEATED};
use crate::stamp::Stamp;
use madang_protocol::ids::Epoch;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the server said would be missing: by `gap`, or by a `joined` that had not recovered it.
pub(crate) const TOLD: &str = "told";
/// What a sender sent, whose session then ended before an answer came, and what the room does not have.
pub(crate) const UNKNOWN: &str = "unknown";

/// Most messages of all rooms together that are kept.
pub(crate) const ENTRIES_MAX: usize = 20_000_000;
/// Most gaps of a stay that are kept apart; what is in further ones counts as lost.
const GAPS_MAX: usize = 1024;

/// The rooms of a run, and who is in them.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    rooms: HashMap<(usize, Epoch), Log>,
    /// By session.
    stays: Vec<Option<Stay>>,
    over: Vec<Stay>,
    entries: usize,
    repeated: u64,
    corrupt: u64,
    /// Messages that were heard in stays.
    heard: u64,
}

/// What a room said in one epoch: who sent it and that sender's number for it, by seq.
#[derive(Debug, Default)]
struct Log(BTreeMap<u64, (u32, u32)>);

/// A membership without a break.
#[derive(Debug)]
struct Stay {
    room: usize,
    epoch: Epoch,
    member: u32,
    from: u64,
    last: u64,
    /// Nothing above it belongs to the stay any more.
    to: Option<u64>,
    count: u64,
    sum: u64,
    gaps: Vec<(u64, u64)>,
    /// Of the next stay the server said that it does not follow this one.
    broken_at: Option<u64>,
}

impl Journal {
    pub(crate) fn new(sessions: usize) -> Self {
        Self { stays: (0..sessions).map(|_| None).collect(), ..Self::default() }
    }

    /// Messages that were heard in stays, once each.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// A session is in a room, anew or again, at this seq.
    pub(crate) fn joined(
        &mut self,
        session: usize,
        room: usize,
        (epoch, member): (Epoch, u32),
        (seq, recovered): (u64, bool),
    ) {
        if let Some(mut stay) = self.stays[session].take() {
            if recovered && stay.room == room && stay.epoch == epoch {
                stay.member = member;
                self.stays[session] = Some(stay);
                return;
            }
            if stay.room == room && stay.epoch == epoch && stay.member == member {
                stay.broken_at = Some(seq);
            }
            self.over.push(stay);
        }
        let stay = Stay {
            room,
            epoch,
            member,
            from: seq,
            last: seq,
            to: None,
            count: 0,
            sum: 0,
            gaps: Vec::new(),
            broken_at: None,
        };
        self.stays[session] = Some(stay);
    }

    /// A message of its room came. Returns whether it is the first time in this stay.
    pub(crate) fn said(
        &mut self,
        session: usize,
        seq: u64,
        stamp: &Stamp,
        is_history: bool,
    ) -> bool {
        let Some(stay) = &mut self.stays[session] else { return false };
        let entry = (stamp.sender, stamp.number as u32);
        let log = self.rooms.entry((stay.room, stay.epoch)).or_default();
        if self.entries < ENTRIES_MAX || log.0.contains_key(&seq) {
            let known = *log.0.entry(seq).or_insert_with(|| {
                self.entries += 1;
                entry
            });
            self.corrupt += u64::from(known != entry);
        }
        if is_history {
            return false;
        }
        if seq <= stay.last {
            self.repeated += 1;
            return false;
        }
        stay.last = seq;
        stay.count += 1;
        stay.sum = stay.sum.wrapping_add(digest(seq, entry));
        self.heard += 1;
        true
    }

    /// The server said that these will not come.
    pub(crate) fn gap(&mut self, session: usize, from: u64, to: u64) {
        let Some(stay) = &mut self.stays[session] else { return };
        // What came already is not missing.
        let from = from.max(stay.last + 1);
        if from > to {
            return;
        }
        if stay.gaps.len() < GAPS_MAX {
            stay.gaps.push((from, to));
        }
        stay.last = to;
    }

    /// A session is in its room no longer. Everything that came before is due, and nothing else.
    pub(crate) fn left(&mut self, session: usize) {
        if let Some(mut stay) = self.stays[session].take() {
            stay.to = Some(stay.last);
            self.over.push(stay);
        }
    }

    /// Nothing more comes. `sent` says how much each sender sent, and how much of it has an unknown
    /// outcome.
    pub(crate) fn finish(
        mut self,
        sent: impl Iterator<Item = (u32, u64, u64)>,
        outcome: &mut Outcome,
    ) {
        self.over.extend(std::mem::take(&mut self.stays).into_iter().flatten());
        let sums: HashMap<_, _> =
            self.rooms.iter().map(|(room, log)| (*room, log.sums())).collect();
        let empty = Sums::default();
        let [mut expected, mut received, mut told, mut lost, mut wrong] = [0_u64; 5];
        for stay in &self.over {
            let sums = sums.get(&(stay.room, stay.epoch)).unwrap_or(&empty);
            let end = stay.broken_at.map(|_| stay.last).or(stay.to).unwrap_or(u64::MAX);
            let (mut count, mut sum) = sums.between(stay.from, end);
            for (from, to) in &stay.gaps {
                let (gap_count, gap_sum) = sums.between(from - 1, *to);
                count -= gap_count;
                sum = sum.wrapping_sub(gap_sum);
                told += gap_count;
            }
            if let Some(at) = stay.broken_at {
                told += sums.between(stay.last, at).0;
            }
            expected += count;
            received += stay.count;
            lost += count.saturating_sub(stay.count);
            wrong += u64::from(count <= stay.count && sum != stay.sum);
        }
        let senders = self.senders();
        let [mut missing, mut again, mut disordered, mut unknown] = [0_u64; 4];
        for (sender, sent, uncertain) in sent {
            let found = senders.get(&sender).copied().unwrap_or_default();
            let absent = sent.saturating_sub(found.different);
            unknown += absent.min(uncertain);
            missing += absent.saturating_sub(uncertain);
            again += found.again;
            disordered += found.disordered;
        }
        for (name, count) in [
            (EXPECTED, expected),
            (RECEIVED, received),
            (LOST, lost),
            (TOLD, told),
            (REPEATED, self.repeated + again),
            (DISORDERED, disordered),
            (CORRUPT, self.corrupt + wrong),
            (UNKNOWN, unknown),
        ] {
            outcome.add(name, count);
        }
        if missing > 0 {
            outcome.fail(format!("{missing} messages were sent and no room has them"));
        }
        if again > 0 {
            outcome.fail(format!("{again} messages are in a room's log twice"));
        }
        if self.entries >= ENTRIES_MAX {
            outcome.warn("more messages than can be followed: those beyond were not checked");
        }
    }

    /// What the journals say of each sender.
    fn senders(&self) -> HashMap<u32, Sender> {
        let mut senders: HashMap<u32, Sender> = HashMap::new();
        // Epochs do not follow each other in any order that is known here.
        for log in self.rooms.values() {
            let mut next: HashMap<u32, u64> = HashMap::new();
            let mut seen = HashSet::new();
            for (sender, number) in log.0.values() {
                let found = senders.entry(*sender).or_default();
                let next = next.entry(*sender).or_default();
                if u64::from(*number) >= *next {
                    *next = u64::from(*number) + 1;
                } else if seen.contains(&(*sender, *number)) {
                    found.again += 1;
                    continue;
                } else {
                    found.disordered += 1;
                }
                seen.insert((*sender, *number));
                found.different += 1;
            }
        }
        senders
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    different: u64,
    again: u64,
    disordered: u64,
}

/// A journal, so that a part of it is two look-ups.
#[derive(Debug, Default)]
struct Sums {
    seqs: Vec<u64>,
    /// Of the entries before each.
    before: Vec<u64>,
}

impl Log {
    fn sums(&self) -> Sums {
        let mut sums = Sums { seqs: Vec::with_capacity(self.0.len()), before: vec![0] };
        let mut sum = 0_u64;
        for (seq, entry) in &self.0 {
            sums.seqs.push(*seq);
            sum = sum.wrapping_add(digest(*seq, *entry));
            sums.before.push(sum);
        }
        sums
    }
}

impl Sums {
    /// How many entries are above `from` and at most `to`, and the sum over them.
    fn between(&self, from: u64, to: u64) -> (u64, u64) {
        let start = self.seqs.partition_point(|seq| *seq <= from);
        let end = self.seqs.partition_point(|seq| *seq <= to).max(start);
        let before = |place: usize| self.before.get(place).copied().unwrap_or_default();
        ((end - start) as u64, before(end).wrapping_sub(before(start)))
    }
}

fn digest(seq: u64, (sender, number): (u32, u32)) -> u64 {
    let entry = u64::from(sender) << 32 | u64::from(number);
    crate::schedule::mix(crate::schedule::mix(seq) ^ entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch([1; 8]);

    struct Room(Journal);

    impl Room {
        fn new() -> Self {
            Self(Journal::new(3))
        }

        fn joins(&mut self, session: usize, seq: u64, recovered: bool) -> &mut Self {
            self.0.joined(session, 0, (EPOCH, session as u32), (seq, recovered));
            self
        }

        /// Seq `n` is sender 0's number `n - 1`.
        fn hears(&mut self, session: usize, seqs: &[u64]) -> &mut Self {
            for seq in seqs {
                let stamp = Stamp { sender: 0, number: seq - 1, intended_ns: 0 };
                self.0.said(session, *seq, &stamp, false);
            }
            self
        }

        fn found(self, sent: u64, uncertain: u64) -> Outcome {
            let mut outcome = Outcome::new("test");
            self.0.finish([(0, sent, uncertain)].into_iter(), &mut outcome);
            outcome
        }
    }

    fn counts(outcome: &Outcome, names: &[&str]) -> Vec<u64> {
        names.iter().map(|name| outcome.count(name)).collect()
    }

    #[test]
    fn everybody_hears_what_was_said_while_they_were_there() {
        let mut room = Room::new();
        room.joins(0, 0, false).hears(0, &[1, 2, 3, 4, 5]);
        room.joins(1, 2, false).hears(1, &[3, 4]).0.left(1);
        let found = room.found(5, 0);
        let names = [EXPECTED, RECEIVED, LOST, TOLD, REPEATED, CORRUPT];
        assert_eq!(counts(&found, &names), [7, 7, 0, 0, 0, 0]);
        assert!(found.passed());
    }

    #[test]
    fn what_is_missing_was_lost_or_told() {
        let mut room = Room::new();
        room.joins(0, 0, false).hears(0, &[1, 2, 3, 4, 5, 6, 7, 8]);
        room.joins(1, 0, false).hears(1, &[1, 3, 3]).0.gap(1, 3, 5);
        room.0.gap(1, 1, 4);
        room.hears(1, &[6, 7]);
        // One comes back with everything, one without.
        room.joins(1, 7, true).hears(1, &[8]);
        room.joins(2, 1, false).hears(2, &[2, 3]).joins(2, 6, false).hears(2, &[7, 8]);
        let found = room.found(8, 0);
        let names = [EXPECTED, RECEIVED, LOST, TOLD, REPEATED];
        assert_eq!(counts(&found, &names), [8 + 6 + 2 + 2, 8 + 5 + 2 + 2, 1, 2 + 3, 1]);
    }

    #[test]
    fn a_tail_that_never_came_is_lost_and_another_content_is_corrupt() {
        let mut room = Room::new();
        room.joins(0, 0, false).hears(0, &[1, 2, 3]);
        room.joins(1, 0, false).hears(1, &[1]);
        let stamp = Stamp { sender: 0, number: 77, intended_ns: 0 };
        room.0.said(1, 2, &stamp, false);
        let found = room.found(3, 0);
        assert_eq!(counts(&found, &[LOST, CORRUPT]), [1, 1]);
    }

    #[test]
    fn what_no_room_has_is_a_failure_unless_nobody_can_know() {
        let mut room = Room::new();
        room.joins(0, 0, false).hears(0, &[1, 2]);
        let found = room.found(4, 2);
        assert_eq!((found.count(UNKNOWN), found.failures.len()), (2, 0));
        let mut room = Room::new();
        room.joins(0, 0, false).hears(0, &[1, 2]);
        room.0.said(0, 3, &Stamp { sender: 0, number: 1, intended_ns: 0 }, false);
        let found = room.found(3, 0);
        assert_eq!(found.count(REPEATED), 1);
        assert_eq!(found.failures.len(), 2, "{:?}", found.failures);
    }
}
