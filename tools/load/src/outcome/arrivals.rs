//! How far apart the first and the last listener of a message are, also where they are in several
//! processes.

use super::Times;
use serde::{Deserialize, Serialize};

/// When one message came to its listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    first_ns: u64,
    last_ns: u64,
    count: u32,
    in_window: bool,
}

impl Arrivals {
    /// It came once more, not before it came last.
    #[inline]
    pub(crate) fn arrived(&mut self, now_ns: u64, in_window: bool) {
        if self.count == 0 {
            self.first_ns = now_ns;
            self.in_window = in_window;
        }
        self.last_ns = now_ns;
        self.count += 1;
    }

    fn merge(&mut self, other: Self) {
        if self.count == 0 || other.count == 0 {
            *self = if self.count == 0 { other } else { *self };
            return;
        }
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.count += other.count;
    }
}

/// Adds those of another process.
pub(super) fn merge(all: &mut Vec<Arrivals>, other: &[Arrivals]) {
    if all.len() < other.len() {
        all.resize(other.len(), Arrivals::default());
    }
    for (own, other) in all.iter_mut().zip(other) {
        own.merge(*other);
    }
}

/// The time between both ends, of those in the window that so many have.
pub(crate) fn spreads(all: &[Arrivals], listeners: usize) -> Times {
    let mut times = Times::new();
    for one in all.iter().filter(|one| one.in_window && one.count as usize >= listeners) {
        times.record_us((one.last_ns - one.first_ns) / 1000);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(arrivals: &[u64]) -> Arrivals {
        let mut one = Arrivals::default();
        for at_ns in arrivals {
            one.arrived(*at_ns, true);
        }
        one
    }

    #[test]
    fn both_ends_are_those_of_all_processes() {
        let mut all = vec![one(&[10_000, 20_000]), one(&[])];
        merge(&mut all, &[one(&[5_000]), one(&[7_000, 9_000, 9_000]), one(&[1])]);
        let times = spreads(&all, 3);
        assert_eq!((times.count(), times.at_us(0.0), times.at_us(1.0)), (2, 2, 15));
        assert_eq!(spreads(&all, 1).count(), 3);
    }
}
