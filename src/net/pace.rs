//! How many messages a turn takes of all connections together, while some are behind.
//!
//! What a message costs depends on how many hear it: a turn of so many messages would be long in a large
//! room, and in a small one so short that little leaves in one write call. So the number follows the time
//! that full turns took: quickly down, slowly up. That is the thread's own time on a core. Where others have
//! the core by turns, shorter turns would not be over sooner, but each message would cost more.

use rustix::time::{ClockId, clock_gettime};

/// Messages that the first full turn takes at most.
const FIRST: usize = 512;
/// However long turns are, they take so many.
const LEAST: usize = 64;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pace {
    messages: usize,
    most: usize,
    turn_us: u64,
    /// The last turn left some behind.
    was_full: bool,
    /// What the thread had spent when the turn began, if the one before it was full.
    spent_us: Option<u64>,
}

impl Pace {
    /// At most `most` messages a turn, and so few that a full turn takes about `turn_ms`.
    pub(super) fn new(most: usize, turn_ms: u64) -> Self {
        let messages = FIRST.min(most);
        Self { messages, most, turn_us: turn_ms * 1000, was_full: false, spent_us: None }
    }

    /// A turn begins: how many messages it may take. What the thread has spent so far, in microseconds, is only
    /// asked for while turns are full.
    pub(super) fn begin(&mut self, spent_us: impl FnOnce() -> u64) -> usize {
        if !std::mem::take(&mut self.was_full) {
            self.spent_us = None;
            return self.messages;
        }
        let now_us = spent_us();
        if let Some(since_us) = self.spent_us.replace(now_us) {
            let took_us = now_us.saturating_sub(since_us);
            self.messages = if took_us > self.turn_us {
                let fitting = self.messages as u64 * self.turn_us / took_us;
                // One that was unlike the others says little of the next.
                (fitting as usize).max(self.messages / 2).max(LEAST.min(self.most))
            } else {
                (self.messages + self.messages / 8 + 1).min(self.most)
            };
        }
        self.messages
    }

    /// The turn left some behind: how long it takes counts.
    pub(super) fn was_full(&mut self) {
        self.was_full = true;
    }
}

/// How long the calling thread has been on a core so far, in microseconds.
pub(super) fn spent_us() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as u64 * 1_000_000 + spent.tv_nsec as u64 / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What turns take when each message costs so much and there is no end of them.
    fn settled(pace: &mut Pace, us_each: u64) -> usize {
        let mut spent_us = 1;
        let mut messages = 0;
        for _ in 0..200 {
            messages = pace.begin(|| spent_us);
            pace.was_full();
            spent_us += messages as u64 * us_each;
        }
        messages
    }

    #[test]
    fn turns_become_as_long_as_they_may_be() {
        let mut pace = Pace::new(4096, 10);
        for us_each in [5, 50, 20, 5, 100] {
            let messages = settled(&mut pace, us_each);
            let took_us = messages as u64 * us_each;
            assert!((7_000..=12_000).contains(&took_us), "{took_us} us of {us_each} each");
        }
    }

    #[test]
    fn there_is_a_most_and_a_least() {
        let mut pace = Pace::new(4096, 10);
        assert_eq!(settled(&mut pace, 1), 4096);
        assert_eq!(settled(&mut pace, 10_000), LEAST);
        let mut small = Pace::new(10, 10);
        assert_eq!(settled(&mut small, 10_000), 10);
    }

    #[test]
    fn only_full_turns_count() {
        let mut pace = Pace::new(4096, 10);
        let nobody_asks = || unreachable!("nobody was left behind");
        assert_eq!(pace.begin(nobody_asks), FIRST);
        assert_eq!(pace.begin(nobody_asks), FIRST);
        // Of the first full turn it is not known when it began.
        pace.was_full();
        assert_eq!(pace.begin(|| 1_000_000), FIRST);
        pace.was_full();
        assert_eq!(pace.begin(|| 9_000_000), FIRST / 2, "a half at most");
        assert_eq!(pace.begin(nobody_asks), FIRST / 2);
        pace.was_full();
        assert_eq!(pace.begin(|| 20_000_000), FIRST / 2, "the one between was not full");
        pace.was_full();
        assert_eq!(pace.begin(|| 20_000_001), FIRST / 2 + FIRST / 16 + 1);
    }
}
