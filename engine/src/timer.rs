//! A hashed timer wheel: O(1) insert, O(1) amortised expiry, no cancellation.
//!
//! Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6. Entries
//! are keys whose owner checks on expiry whether they still mean anything and inserts them again
//! when the deadline has moved (lazy timers): an idle connection costs one entry whatever its
//! traffic does. Expiry is rounded up to the wheel's granularity, never early.
//!
//! Those of a slot are a linked list through one slab: what tens of thousands of connections that come at
//! once leave free in a slot is what the next slot takes.
//!
//! Used by the engine for its own timers and by the shell for the transport's.

use crate::time::Time;

const SLOTS: usize = 512;
/// No entry.
const NONE: u32 = u32::MAX;
/// How far ahead a deadline may be, in ticks, so that the low half of its tick says which one it is.
const AHEAD_MAX: u64 = i32::MAX as u64;

/// Timers with keys of type `K`.
#[derive(Debug)]
pub struct Wheel<K> {
    granularity_us: u64,
    /// The tick up to which everything has been expired.
    tick: u64,
    /// The newest entry of each slot.
    slots: Vec<u32>,
    /// Entries of all slots, and free ones.
    entries: Vec<Entry<K>>,
    /// The first of the free entries.
    free: u32,
    /// Keys that have expired and were not popped yet, newest first.
    expired: Vec<K>,
    len: usize,
    /// No slot between `tick` and this one holds anything; a lower bound of the next deadline.
    nearest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    /// The low half of the tick it is due at.
    tick: u32,
    /// The one that was inserted before it.
    next: u32,
    key: K,
}

impl<K: Copy> Wheel<K> {
    /// A wheel that rounds deadlines up to `granularity_us` microseconds.
    pub fn new(now: Time, granularity_us: u64) -> Self {
        Self {
            granularity_us,
            tick: now.0 / granularity_us,
            slots: vec![NONE; SLOTS],
            entries: Vec::new(),
            free: NONE,
            expired: Vec::new(),
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

    /// Adds a key that [`Self::pop`] returns once `at` is past. A deadline more than 2^31 ticks ahead is
    /// met then, which is early.
    pub fn insert(&mut self, at: Time, key: K) {
        let tick = at.0.div_ceil(self.granularity_us);
        let tick = tick.clamp(self.tick + 1, self.tick + AHEAD_MAX);
        let slot = (tick % SLOTS as u64) as usize;
        let entry = Entry { tick: tick as u32, next: self.slots[slot], key };
        if let Some(free) = self.entries.get_mut(self.free as usize) {
            self.slots[slot] = self.free;
            self.free = free.next;
            *free = entry;
        } else {
            self.slots[slot] = self.entries.len() as u32;
            self.entries.push(entry);
        }
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
            .find(|tick| self.slots[(tick % SLOTS as u64) as usize] != NONE)
            .unwrap_or(u64::MAX)
    }

    fn sweep(&mut self, tick: u64) {
        let slot = (tick % SLOTS as u64) as usize;
        let (mut at, mut kept) = (self.slots[slot], NONE);
        while let Some(entry) = self.entries.get_mut(at as usize) {
            let next = entry.next;
            if entry.tick.wrapping_sub(tick as u32) as i32 > 0 {
                kept = at;
            } else {
                self.expired.push(entry.key);
                entry.next = self.free;
                self.free = at;
                match self.entries.get_mut(kept as usize) {
                    Some(kept) => kept.next = next,
                    None => self.slots[slot] = next,
                }
            }
            at = next;
        }
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

    #[test]
    fn those_that_wait_for_a_later_round_keep_their_order() {
        let mut wheel = Wheel::new(Time(0), 1000);
        let round = SLOTS as u64 * 1000;
        for key in 0..30 {
            wheel.insert(Time(round * (u64::from(key) % 3) + 5000), key);
        }
        let expected = |rest| (0..30).filter(|key| key % 3 == rest).collect::<Vec<_>>();
        assert_eq!(drain(&mut wheel, Time(5000)), expected(0));
        assert_eq!(drain(&mut wheel, Time(round + 5000)), expected(1));
        assert_eq!(drain(&mut wheel, Time(2 * round + 5000)), expected(2));
        assert!(wheel.is_empty());
    }

    #[test]
    fn room_is_used_again() {
        let mut wheel = Wheel::new(Time(0), 1000);
        for turn in 0..2_000_u32 {
            let now = Time(u64::from(turn) * 3_000);
            assert_eq!(drain(&mut wheel, now).len(), if turn == 0 { 0 } else { 10 });
            (0..10).for_each(|key| wheel.insert(now + 2_000, key));
        }
        assert_eq!(wheel.entries.len(), 10);
    }

    #[test]
    fn nothing_is_due_early_or_lost_whatever_number_the_clock_has_come_to() {
        // Where the low half of the tick begins anew.
        let start = Time(((1 << 32) - 700) * 1000);
        let mut wheel = Wheel::new(start, 1000);
        let far = start + 50 * SLOTS as u64 * 1000;
        wheel.insert(far, 1);
        wheel.insert(Time(u64::MAX), 2);
        for key in 3..1_000 {
            wheel.insert(start + u64::from(key) * 1000, key);
        }
        for key in 3..1_000 {
            assert_eq!(drain(&mut wheel, start + u64::from(key) * 1000), vec![key]);
        }
        assert!(drain(&mut wheel, far - 1).is_empty());
        assert_eq!(drain(&mut wheel, far), vec![1]);
        assert_eq!(wheel.len(), 1);
    }
}
