//! A hashed timer wheel: O(1) insert, O(1) amortised expiry, no cancellation.
//!
//! Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6. Entries
//! are keys whose owner checks on expiry whether they still mean anything and inserts them again
//! when the deadline has moved (lazy timers): an idle connection costs one entry whatever its
//! traffic does. Expiry is rounded up to the wheel's granularity, never early.
//!
//! Used by the engine for its own timers and by the shell for the transport's.

use crate::time::Time;

const SLOTS: usize = 512;

/// Timers with keys of type `K`.
#[derive(Debug)]
pub struct Wheel<K> {
    granularity_us: u64,
    /// The tick up to which everything has been expired.
    tick: u64,
    slots: Vec<Vec<(u64, K)>>,
    /// Keys that have expired and were not popped yet, newest first.
    expired: Vec<K>,
    /// Scratch for one slot's sweep.
    kept: Vec<(u64, K)>,
    len: usize,
    /// No slot between `tick` and this one holds anything; a lower bound of the next deadline.
    nearest: u64,
}

impl<K> Wheel<K> {
    /// A wheel that rounds deadlines up to `granularity_us` microseconds.
    pub fn new(now: Time, granularity_us: u64) -> Self {
        Self {
            granularity_us,
            tick: now.0 / granularity_us,
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            expired: Vec::new(),
            kept: Vec::new(),
            len: 0,
            nearest: u64::MAX,
        }
    }

    /// Keys that wait, expired ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a key that [`Self::pop`] returns once `at` is past.
    pub fn insert(&mut self, at: Time, key: K) {
        let tick = at.0.div_ceil(self.granularity_us).max(self.tick + 1);
        self.slots[(tick % SLOTS as u64) as usize].push((tick, key));
        self.len += 1;
        // A deadline beyond this turn of the wheel is met first as a visit to its slot.
        let ahead = (tick - self.tick - 1) % SLOTS as u64 + 1;
        self.nearest = self.nearest.min(self.tick + ahead);
    }

    /// The next key whose deadline is at or before `now`: earlier ticks first, in order of
    /// insertion within a tick.
    pub fn pop(&mut self, now: Time) -> Option<K> {
        let target = now.0 / self.granularity_us;
        while self.expired.is_empty() && self.tick < target {
            if self.len == 0 {
                self.tick = target;
                self.nearest = u64::MAX;
                return None;
            }
            // Empty slots are skipped in one step.
            self.tick = self.nearest.min(target);
            self.sweep(self.tick);
            if self.nearest <= self.tick {
                self.nearest = self.find_nearest();
            }
        }
        let key = self.expired.pop()?;
        self.len -= 1;
        Some(key)
    }

    /// When [`Self::pop`] is next worth calling: never later than the next deadline, possibly
    /// earlier (at most one wheel's turn, 512 times the granularity, ahead). `None` when empty.
    pub fn next(&self) -> Option<Time> {
        if self.len == 0 {
            return None;
        }
        let tick = if self.expired.is_empty() { self.nearest } else { self.tick };
        Some(Time(tick * self.granularity_us))
    }

    fn find_nearest(&self) -> u64 {
        (1..=SLOTS as u64)
            .map(|ahead| self.tick + ahead)
            .find(|tick| !self.slots[(tick % SLOTS as u64) as usize].is_empty())
            .unwrap_or(u64::MAX)
    }

    fn sweep(&mut self, tick: u64) {
        let slot = &mut self.slots[(tick % SLOTS as u64) as usize];
        if slot.is_empty() {
            return;
        }
        self.kept.clear();
        for (at, key) in slot.drain(..) {
            if at <= tick {
                self.expired.push(key);
            } else {
                self.kept.push((at, key));
            }
        }
        std::mem::swap(slot, &mut self.kept);
        // Thousands of connections that came at once leave room for their timers in every slot.
        if slot.capacity() > 2 * slot.len() + 16 {
            slot.shrink_to(slot.len() + 8);
        }
        self.expired.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wheel: &mut Wheel<u32>, now: Time) -> Vec<u32> {
        std::iter::from_fn(|| wheel.pop(now)).collect()
    }

    #[test]
    fn keys_expire_in_order_and_never_early() {
        let mut wheel = Wheel::new(Time(0), 1000);
        wheel.insert(Time(2500), 2);
        wheel.insert(Time(1000), 1);
        wheel.insert(Time(2600), 3);
        assert_eq!(wheel.next(), Some(Time(1000)));
        assert!(drain(&mut wheel, Time(999)).is_empty());
        assert_eq!(drain(&mut wheel, Time(1000)), vec![1]);
        assert!(drain(&mut wheel, Time(2999)).is_empty());
        assert_eq!(wheel.next(), Some(Time(3000)));
        assert_eq!(drain(&mut wheel, Time(3000)), vec![2, 3]);
        assert!(wheel.is_empty() && wheel.next().is_none());
    }

    #[test]
    fn a_deadline_beyond_one_turn_waits_for_its_round() {
        let mut wheel = Wheel::new(Time(0), 1000);
        let far = Time(1000 * (SLOTS as u64 * 3 + 5));
        wheel.insert(far, 1);
        wheel.insert(Time(5000), 2);
        assert_eq!(drain(&mut wheel, Time(6000)), vec![2]);
        assert!(drain(&mut wheel, far - 1).is_empty());
        assert_eq!(drain(&mut wheel, far), vec![1]);
    }

    #[test]
    fn after_a_long_sleep_everything_due_comes_out() {
        let mut wheel = Wheel::new(Time(0), 1000);
        for key in 0..100 {
            wheel.insert(Time(u64::from(key) * 37_000), key);
        }
        let out = drain(&mut wheel, Time(100_000_000));
        assert_eq!(out, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_key_for_the_past_expires_at_the_next_tick() {
        let mut wheel = Wheel::new(Time(10_000), 1000);
        wheel.insert(Time(3000), 1);
        assert_eq!(wheel.next(), Some(Time(11_000)));
        assert_eq!(drain(&mut wheel, Time(11_000)), vec![1]);
    }
}
