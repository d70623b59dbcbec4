//! Whether every message came, once and in order.
//!
//! For every receiver and every sender that it hears, the number that comes next. A jump leaves
//! numbers missing; one that comes later after all was disordered, not lost.

use std::collections::HashSet;

/// Missing numbers that are remembered; beyond them a late one counts as repeated.
const MISSING_MAX: usize = 1 << 20;
/// Most pairs of receiver and sender.
pub(crate) const PAIRS_MAX: usize = 64 << 20;

/// What became of a run's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Came, once each.
    pub(crate) received: u64,
    /// Did not come.
    pub(crate) lost: u64,
    /// Came again.
    pub(crate) repeated: u64,
    /// Came behind a later one of the same sender.
    pub(crate) disordered: u64,
}

#[derive(Debug)]
pub(crate) struct Tally {
    /// Senders that a receiver hears, itself included.
    senders: usize,
    /// By receiver and place of the sender. Half as wide as numbers are, because there may be many:
    /// what a room's members hear of each other then fits into one line of a cache.
    next: Vec<u32>,
    missing: HashSet<(u64, u64)>,
    counts: Counts,
}

impl Tally {
    /// Nothing came yet. `receivers * senders` is at most [`PAIRS_MAX`].
    pub(crate) fn new(receivers: usize, senders: usize) -> Self {
        Self {
            senders,
            next: vec![0; receivers * senders],
            missing: HashSet::new(),
            counts: Counts::default(),
        }
    }

    /// A message came, whose number is below `u32::MAX`. Returns whether it is the first time.
    #[inline]
    pub(crate) fn take(&mut self, receiver: usize, sender: usize, number: u64) -> bool {
        let pair = receiver * self.senders + sender;
        let next = &mut self.next[pair];
        if number == u64::from(*next) {
            *next += 1;
            self.counts.received += 1;
            return true;
        }
        self.take_strange(pair, number)
    }

    /// One that is not the next.
    #[cold]
    fn take_strange(&mut self, pair: usize, number: u64) -> bool {
        let next = &mut self.next[pair];
        let (pair, expected) = (pair as u64, u64::from(*next));
        if number > expected {
            self.counts.lost += number - expected;
            let room = MISSING_MAX.saturating_sub(self.missing.len());
            self.missing.extend((expected..number).take(room).map(|lost| (pair, lost)));
            *next = number.saturating_add(1).try_into().unwrap_or(u32::MAX);
        } else if self.missing.remove(&(pair, number)) {
            self.counts.lost -= 1;
            self.counts.disordered += 1;
        } else {
            self.counts.repeated += 1;
            return false;
        }
        self.counts.received += 1;
        true
    }

    /// What came so far, and what is known to be missing.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Nothing more comes: what a sender sent beyond the last number that came is lost.
    pub(crate) fn finish(&mut self, receiver: usize, sender: usize, sent: u64) {
        let next = self.next[receiver * self.senders + sender];
        self.counts.lost += sent.saturating_sub(u64::from(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(received: u64, lost: u64, repeated: u64, disordered: u64) -> Counts {
        Counts { received, lost, repeated, disordered }
    }

    #[test]
    fn in_order_is_nothing_to_say() {
        let mut tally = Tally::new(2, 2);
        for number in 0..5 {
            assert!(tally.take(1, 0, number));
        }
        tally.finish(1, 0, 5);
        assert_eq!(tally.counts(), counts(5, 0, 0, 0));
    }

    #[test]
    fn loss_repeats_and_disorder_are_told_apart() {
        let mut tally = Tally::new(1, 1);
        assert!(tally.take(0, 0, 0));
        assert!(tally.take(0, 0, 3));
        assert_eq!(tally.counts(), counts(2, 2, 0, 0));
        assert!(tally.take(0, 0, 1), "late, not lost");
        assert!(!tally.take(0, 0, 1), "again");
        assert!(!tally.take(0, 0, 3), "again");
        tally.finish(0, 0, 6);
        assert_eq!(tally.counts(), counts(3, 1 + 2, 2, 1));
    }

    #[test]
    fn pairs_do_not_touch_each_other() {
        let mut tally = Tally::new(2, 2);
        for receiver in 0..2 {
            for sender in 0..2 {
                assert!(tally.take(receiver, sender, 0));
            }
        }
        assert_eq!(tally.counts(), counts(4, 0, 0, 0));
    }
}
