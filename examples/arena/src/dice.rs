//! The rules' own random numbers: `SplitMix64` (Steele, Lea and Flood, 2014), seeded by the room's stream
//! when the room begins, so that the rules can be tested without a room.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below 1, in steps of 2^-32.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.next()) / 4_294_967_296.0
    }

    /// From `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Below `bound`; 0 gives 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }

    /// Whether something happens that does so often (0 to 1).
    pub fn chance(&mut self, of: f64) -> bool {
        self.unit() < of
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_its_source_and_stays_within_bounds() {
        // The first outputs of seed 0 are 0xe220a8397b1dcdaf and 0x6e789e6aa1b965f4.
        let mut dice = Dice::new(0);
        assert_eq!([dice.next(), dice.next()], [0xe220_a839, 0x6e78_9e6a]);
        for _ in 0..1000 {
            assert!((2.0..3.0).contains(&dice.between(2.0, 3.0)));
            assert!(dice.below(6) < 6);
        }
        assert_eq!(dice.below(0), 0);
    }
}
