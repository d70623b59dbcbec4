//! When each message is to be sent: fixed before the first one is, so that nothing the server does
//! can move it.

/// Periodic senders with phases spread over the period.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    end_ns: u64,
    period_ns: u64,
    /// Phase and sender, ascending.
    phases: Vec<(u64, u32)>,
    /// How many messages have been due so far.
    issued: u64,
}

/// A message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) sender: u32,
    /// The sender's number for it, from 0.
    pub(crate) number: u64,
    pub(crate) at_ns: u64,
}

impl Schedule {
    /// Each of `senders` sends `hz` times a second from `start_ns` to `end_ns`. `hz` is above 0.
    pub(crate) fn new(
        senders: impl Iterator<Item = u32>,
        hz: f64,
        start_ns: u64,
        end_ns: u64,
    ) -> Self {
        let period_ns = ((1e9 / hz) as u64).max(1);
        let mut phases: Vec<(u64, u32)> =
            senders.map(|sender| (mix(u64::from(sender)) % period_ns, sender)).collect();
        phases.sort_unstable();
        Self { start_ns, end_ns, period_ns, phases, issued: 0 }
    }

    /// When the next message is due; `None` after the last one.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.peek().map(|due| due.at_ns)
    }

    /// The next message, if it is due.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<Due> {
        let due = self.peek().filter(|due| due.at_ns <= now_ns)?;
        self.issued += 1;
        Some(due)
    }

    /// How many messages are due and were not popped.
    pub(crate) fn left(&self) -> u64 {
        let span_ns = self.end_ns.saturating_sub(self.start_ns);
        let of = |(phase, _): &(u64, u32)| match span_ns.checked_sub(*phase) {
            None | Some(0) => 0,
            Some(rest_ns) => (rest_ns - 1) / self.period_ns + 1,
        };
        self.phases.iter().map(of).sum::<u64>() - self.issued
    }

    fn peek(&self) -> Option<Due> {
        let senders = self.phases.len() as u64;
        let number = self.issued.checked_div(senders)?;
        let (phase, sender) = self.phases[(self.issued % senders) as usize];
        let at_ns = self.start_ns + number * self.period_ns + phase;
        (at_ns < self.end_ns).then_some(Due { sender, number, at_ns })
    }
}

/// Spreads numbers that lie close together, the same in every run (the finaliser of `SplitMix64`).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sender_sends_in_its_period_and_times_never_go_back() {
        let mut schedule = Schedule::new(0..10, 20.0, 1000, 1000 + 1_000_000_000);
        assert!(schedule.pop(999).is_none());
        let mut numbers = [0; 10];
        let mut last = 0;
        assert_eq!(schedule.left(), 200);
        while let Some(due) = schedule.pop(u64::MAX) {
            assert!(due.at_ns >= last && due.at_ns < 1_000_001_000);
            assert_eq!(due.number, numbers[due.sender as usize]);
            numbers[due.sender as usize] += 1;
            last = due.at_ns;
        }
        assert_eq!((numbers, schedule.left()), ([20; 10], 0));
        assert_eq!(schedule.next_ns(), None);
    }

    #[test]
    fn nobody_sends_nothing() {
        assert_eq!(Schedule::new(0..0, 1.0, 0, 100).next_ns(), None);
        assert_eq!(Schedule::new(0..9, 1.0, 0, 0).left(), 0, "nor does anybody in no time");
    }
}
