//! How far a spectator has come in its room, and what is wrong with how it came there.

use super::book::Entry;
use super::sse::{Block, Id, Name, epoch, field, is_true};

/// What came to some spectators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages of the publishers, each counted once a spectator.
    pub(crate) received: u64,
    /// Messages that did not come, without a word.
    pub(crate) lost: u64,
    /// Messages that did not come, as a gap or an answer that was not `recovered` said.
    pub(crate) told_missing: u64,
    /// Messages that had not come when the run ended.
    pub(crate) behind: u64,
    /// Events or messages that came again.
    pub(crate) repeated: u64,
    /// Events that came behind a later one, or where they may not come.
    pub(crate) disordered: u64,
    /// Events that came again because the stream began with an earlier position, as it had said.
    pub(crate) resent: u64,
    /// `gap` events.
    pub(crate) gaps: u64,
    /// Seqs that those named.
    pub(crate) gap_seqs: u64,
    /// Snapshots in the middle of a stream.
    pub(crate) conflations: u64,
    /// Streams that continued where the last one ended.
    pub(crate) recovered: u64,
    /// Streams that did not, though they were asked to.
    pub(crate) unrecovered: u64,
    /// Streams of another epoch than the one before.
    pub(crate) new_epochs: u64,
}

/// How far a spectator has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Follow {
    /// The id of the last event that had one.
    pub(super) last: Option<Id>,
    epoch: u64,
    /// The newest seq of this stream.
    seen: u64,
    /// The newest seq of all streams of the epoch.
    highest: u64,
    /// The publisher's next number.
    next: u64,
    /// How many of the publisher's messages may be missing, because it was said.
    excused: u64,
    stage: Stage,
}

/// Where in a stream the spectator is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// `resume` is due.
    #[default]
    Begun,
    /// The first snapshot may come.
    Resumed,
    /// The state, if there is any, is known.
    Middle,
}

impl Follow {
    /// Another stream begins.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Begun;
    }

    /// An event came. `look` says what the one of its id is. Returns when the message was to be sent, if
    /// it is one of the run's and came for the first time.
    pub(super) fn take(
        &mut self,
        block: &Block<'_>,
        counts: &mut Counts,
        look: impl FnOnce(Id) -> Option<Entry>,
    ) -> Option<u64> {
        let data = block.data.unwrap_or_default();
        if (block.name == Name::Resume) != (self.stage == Stage::Begun) {
            counts.disordered += 1;
        }
        if block.name == Name::Resume {
            self.resume(block.id, data, counts);
            return None;
        }
        match (block.name, self.stage) {
            (Name::Gap, _) => self.gap(data, counts),
            (Name::Snapshot, Stage::Resumed) => self.stage = Stage::Middle,
            (Name::Snapshot, _) => counts.conflations += 1,
            _ => self.stage = Stage::Middle,
        }
        let id = block.id?;
        if id.epoch != self.epoch || id.seq < self.seen {
            counts.disordered += 1;
            return None;
        }
        // A snapshot and the end stand for what came before them.
        let stands_for_last = matches!(block.name, Name::Snapshot | Name::End);
        if id.seq == self.seen && !stands_for_last {
            counts.repeated += 1;
            return None;
        }
        self.seen = id.seq;
        self.last = Some(id);
        if id.seq <= self.highest && !stands_for_last {
            counts.resent += 1;
            return None;
        }
        self.highest = self.highest.max(id.seq);
        if matches!(block.name, Name::Gap | Name::Snapshot | Name::End) {
            return None;
        }
        let (number, intended_ns) = look(id)?.own?;
        self.number(number, counts).then_some(intended_ns)
    }

    /// The stream's first event.
    fn resume(&mut self, id: Option<Id>, data: &[u8], counts: &mut Counts) {
        self.stage = Stage::Resumed;
        let (Some(epoch), Some(from)) = (epoch(data, "epoch"), field(data, "from")) else {
            counts.disordered += 1;
            return;
        };
        if self.last.is_some() {
            if is_true(data, "recovered") {
                counts.recovered += 1;
            } else {
                counts.unrecovered += 1;
                self.excused = u64::MAX;
            }
        }
        if epoch != self.epoch {
            counts.new_epochs += u64::from(self.last.is_some());
            (self.epoch, self.highest) = (epoch, 0);
        }
        self.seen = from;
        self.highest = self.highest.max(from);
        self.last = id.or(self.last);
    }

    fn gap(&mut self, data: &[u8], counts: &mut Counts) {
        counts.gaps += 1;
        let (Some(from), Some(to)) = (field(data, "from"), field(data, "to")) else {
            counts.disordered += 1;
            return;
        };
        let seqs = to.saturating_sub(from).saturating_add(1);
        counts.gap_seqs += seqs;
        self.excused = self.excused.saturating_add(seqs);
    }

    /// A message of the publisher came; whether for the first time.
    fn number(&mut self, number: u64, counts: &mut Counts) -> bool {
        let Some(missing) = number.checked_sub(self.next) else {
            counts.repeated += 1;
            return false;
        };
        let told = missing.min(self.excused);
        counts.told_missing += told;
        counts.lost += missing - told;
        counts.received += 1;
        self.next = number + 1;
        self.excused = 0;
        true
    }

    /// Nothing more comes, of so many that the publisher sent.
    pub(super) fn finish(&self, sent: u64, counts: &mut Counts) {
        let missing = sent.saturating_sub(self.next);
        let told = missing.min(self.excused);
        counts.told_missing += told;
        counts.behind += missing - told;
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::{Book, Faults};
    use super::super::sse::next_block;
    use super::*;
    use crate::stamp::{self, Stamp};
    use base64::Engine as _;

    /// A spectator of a room whose publisher's message `n` has seq `n + 1`.
    struct Seat {
        follow: Follow,
        counts: Counts,
        book: Book,
    }

    impl Seat {
        fn new() -> Self {
            let (follow, counts) = (Follow::default(), Counts::default());
            Self { follow, counts, book: Book::new(Some(0), 24) }
        }

        fn take(&mut self, name: &str, id: Option<u64>, data: &str) -> Option<u64> {
            let id = id.map(|seq| format!("id: 00000000000000aa-{seq}\n")).unwrap_or_default();
            let text = format!("{id}event: {name}\ndata: {data}\n\n");
            let block = next_block(text.as_bytes()).unwrap().unwrap();
            let mut faults = Faults::default();
            let book = &mut self.book;
            let taken = self.follow.take(&block, &mut self.counts, |id| {
                book.look((id.epoch, id.seq), &block, true, &mut faults)
            });
            assert_eq!(faults, Faults::default());
            taken
        }

        fn resume(&mut self, recovered: bool, from: u64) {
            self.follow.begin();
            let data = format!(
                "{{\"recovered\":{recovered},\"epoch\":\"00000000000000aa\",\"from\":{from}}}"
            );
            self.take("resume", Some(from), &data);
        }

        fn message(&mut self, seq: u64) -> Option<u64> {
            let mut bytes = Vec::new();
            let stamp = Stamp { sender: 0, number: seq - 1, intended_ns: seq * 10 };
            stamp::write(&stamp, 24, &mut bytes);
            let payload = base64::engine::general_purpose::STANDARD.encode(&bytes);
            self.take("message", Some(seq), &format!("{{\"payload\":{{\"bytes\":\"{payload}\"}}}}"))
        }
    }

    #[test]
    fn in_order_is_nothing_to_say() {
        let mut seat = Seat::new();
        seat.resume(false, 0);
        assert_eq!((seat.message(1), seat.message(2)), (Some(10), Some(20)));
        seat.resume(true, 2);
        assert_eq!(seat.message(3), Some(30));
        seat.follow.finish(3, &mut seat.counts);
        assert_eq!(seat.counts, Counts { received: 3, recovered: 1, ..Counts::default() });
        assert_eq!(seat.follow.last, Some(Id { epoch: 0xaa, seq: 3 }));
    }

    #[test]
    fn what_is_missing_without_a_word_is_lost() {
        let mut seat = Seat::new();
        seat.resume(false, 0);
        seat.message(1);
        seat.message(4);
        seat.follow.finish(6, &mut seat.counts);
        assert_eq!(seat.counts, Counts { received: 2, lost: 2, behind: 2, ..Counts::default() });
    }

    #[test]
    fn what_a_gap_says_is_told_and_not_a_message_more() {
        let mut seat = Seat::new();
        seat.resume(false, 0);
        seat.message(1);
        seat.take("gap", Some(4), "{\"from\":2,\"to\":4}");
        seat.message(6);
        let told = Counts {
            received: 2,
            lost: 1,
            told_missing: 3,
            gaps: 1,
            gap_seqs: 3,
            ..Counts::default()
        };
        assert_eq!(seat.counts, told);
        seat.resume(false, 9);
        seat.message(10);
        let counts = Counts { received: 3, told_missing: 6, unrecovered: 1, ..told };
        assert_eq!(seat.counts, counts);
    }

    #[test]
    fn repeats_and_disorder_are_told_from_what_was_said_to_come_again() {
        let mut seat = Seat::new();
        seat.resume(false, 0);
        for seq in 1..=3 {
            seat.message(seq);
        }
        assert_eq!((seat.message(3), seat.message(2)), (None, None));
        assert_eq!((seat.counts.repeated, seat.counts.disordered), (1, 1));
        seat.resume(true, 1);
        assert_eq!((seat.message(2), seat.message(3), seat.message(4)), (None, None, Some(40)));
        assert_eq!((seat.counts.resent, seat.counts.received, seat.counts.lost), (2, 4, 0));
        seat.take("resume", Some(4), "{}");
        assert_eq!(seat.counts.disordered, 2 + 1, "in the middle, and without what it says");
    }

    #[test]
    fn a_snapshot_in_the_middle_is_a_conflation_and_the_first_is_not() {
        let mut seat = Seat::new();
        seat.resume(false, 5);
        seat.take("snapshot", Some(5), "{}");
        seat.take("delta", Some(6), "{}");
        assert_eq!(seat.counts, Counts::default());
        // Neither has an id of its own where a snapshot follows.
        seat.take("gap", None, "{\"from\":7,\"to\":9}");
        seat.take("snapshot", Some(9), "{}");
        assert_eq!((seat.counts.conflations, seat.counts.gaps), (1, 1));
        assert_eq!(seat.counts.disordered + seat.counts.repeated, 0);
    }
}
