//! Those who have sent more than was read of them, in the order in which they are read on.
//!
//! They have their turns in rounds, each once in a round, and within a round those of one
//! [group](super::Driver::group) come one after the other: what others get of them then leaves in few write
//! calls, though a turn is only for a part of the round. In the order in which they came a turn would be
//! for a few of every group, and each message would cost the others a write call of its own.

use madang_engine::id::ConnId;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Those of the round that goes on, with their groups, the next one last.
    round: Vec<(u32, ConnId)>,
    /// Those of the rounds after it, in the order in which they came.
    later: VecDeque<ConnId>,
}

impl Rounds {
    pub(super) fn len(&self) -> usize {
        self.round.len() + self.later.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of later rounds.
    pub(super) fn later(&self) -> usize {
        self.later.len()
    }

    /// Has a connection take part from the next round on.
    pub(super) fn push(&mut self, id: ConnId) {
        self.later.push_back(id);
    }

    /// The next one. Where the round is over another begins, with as many of those who came first as `most`
    /// says, and none is left for a third.
    pub(super) fn pop(
        &mut self,
        most: &mut usize,
        group: impl Fn(ConnId) -> u32,
    ) -> Option<ConnId> {
        if self.round.is_empty() {
            let count = std::mem::take(most).min(self.later.len());
            self.round.extend(self.later.drain(..count).map(|id| (group(id), id)).rev());
            self.round.sort_by_key(|(group, _)| Reverse(*group));
        }
        self.round.pop().map(|(_, id)| id)
    }

    /// Gives memory back where nobody is behind, but for this many places.
    pub(super) fn shrink_to(&mut self, places: usize) {
        if self.is_empty() {
            self.round.shrink_to(places);
            self.later.shrink_to(places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those with these numbers, the last digit of which is their group's.
    fn pushed(rounds: &mut Rounds, numbers: &[u32]) {
        for slot in numbers {
            rounds.push(ConnId { slot: *slot, generation: 0 });
        }
    }

    fn popped(rounds: &mut Rounds, most: &mut usize) -> Option<u32> {
        rounds.pop(most, |id| id.slot % 10).map(|id| id.slot)
    }

    #[test]
    fn a_round_goes_group_by_group_and_each_has_one_turn() {
        let mut rounds = Rounds::default();
        pushed(&mut rounds, &[21, 12, 11, 13, 22, 31]);
        let mut most = rounds.later();
        for expected in [21, 11, 31, 12] {
            assert_eq!(popped(&mut rounds, &mut most), Some(expected));
            // It is behind again at once.
            pushed(&mut rounds, &[expected]);
        }
        assert_eq!((rounds.len(), rounds.later()), (6, 4));
        // Another turn, in which the round ends and the next one begins.
        pushed(&mut rounds, &[10]);
        let mut most = rounds.later();
        pushed(&mut rounds, &[20]);
        for expected in [22, 13, 10, 21, 11, 31, 12] {
            assert_eq!(popped(&mut rounds, &mut most), Some(expected));
        }
        assert_eq!(popped(&mut rounds, &mut most), None, "not before the next turn");
        let mut most = rounds.later();
        assert_eq!(popped(&mut rounds, &mut most), Some(20));
        assert!(rounds.is_empty());
    }
}
