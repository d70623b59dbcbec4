//! Who comes back when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Sessions that come back at their times.
#[derive(Debug, Default)]
pub(crate) struct Returns(BinaryHeap<Reverse<(u64, usize)>>);

impl Returns {
    /// A session comes back then.
    pub(crate) fn add(&mut self, at_ns: u64, session: usize) {
        self.0.push(Reverse((at_ns, session)));
    }

    /// The next one that is due, and when it was.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<(u64, usize)> {
        let Reverse((at_ns, session)) = *self.0.peek()?;
        if at_ns > now_ns {
            return None;
        }
        self.0.pop();
        Some((at_ns, session))
    }

    /// When the next one is due; `u64::MAX` when nobody comes.
    pub(crate) fn next_ns(&self) -> u64 {
        self.0.peek().map_or(u64::MAX, |Reverse((at_ns, _))| *at_ns)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_in_the_order_of_their_times() {
        let mut returns = Returns::default();
        returns.add(30, 1);
        returns.add(10, 2);
        returns.add(20, 0);
        assert_eq!((returns.pop(9), returns.next_ns()), (None, 10));
        assert_eq!(
            (returns.pop(25), returns.pop(25), returns.pop(25)),
            (Some((10, 2)), Some((20, 0)), None)
        );
        assert_eq!(
            (returns.pop(99), returns.is_empty(), returns.next_ns()),
            (Some((30, 1)), true, u64::MAX)
        );
    }
}
