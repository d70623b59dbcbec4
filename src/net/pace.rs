//! How many messages a turn takes of all connections together, while some are behind.
//!
//! What a message costs depends on how many hear it: a turn of so many messages would be long in a large
//! room, and in a small one so short that little leaves in one write call. So the number follows the time
//! that full turns took: quickly down, slowly up.

use madang_engine::time::Time;

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
    /// When the last turn began, if it was a full one.
    full_since: Option<Time>,
}

impl Pace {
    /// At most `most` messages a turn, and so few that a full turn takes about `turn_ms`.
    pub(super) fn new(most: usize, turn_ms: u64) -> Self {
        Self { messages: FIRST.min(most), most, turn_us: turn_ms * 1000, full_since: None }
    }

    /// A turn begins: how many messages it may take.
    pub(super) fn begin(&mut self, now: Time) -> usize {
        if let Some(since) = self.full_since.take() {
            let took_us = now.since(since);
            self.messages = if took_us > self.turn_us {
                let fitting = self.messages as u64 * self.turn_us / took_us;
                // One that was interrupted says little of the next.
                (fitting as usize).max(self.messages / 2).max(LEAST.min(self.most))
            } else {
                (self.messages + self.messages / 8 + 1).min(self.most)
            };
        }
        self.messages
    }

    /// The turn that began at `now` left some behind: how long it takes counts.
    pub(super) fn was_full(&mut self, now: Time) {
        self.full_since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What turns take when each message costs so much and there is no end of them.
    fn settled(pace: &mut Pace, us_each: u64) -> usize {
        let mut now = Time(1);
        let mut messages = 0;
        for _ in 0..200 {
            messages = pace.begin(now);
            pace.was_full(now);
            now = now + messages as u64 * us_each;
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
    fn turns_that_leave_nobody_behind_change_nothing() {
        let mut pace = Pace::new(4096, 10);
        assert_eq!(pace.begin(Time(0)), FIRST);
        assert_eq!(pace.begin(Time(1_000_000)), FIRST);
        pace.was_full(Time(1_000_000));
        // Interrupted: a half at most.
        assert_eq!(pace.begin(Time(9_000_000)), FIRST / 2);
        assert_eq!(pace.begin(Time(19_000_000)), FIRST / 2);
    }
}
