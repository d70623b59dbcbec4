//! Random numbers that are the same in every run with the same seed.

use crate::schedule::mix;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of one of many, as a session, under a run's seed.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(mix(seed) ^ mix(!number))
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From `low` to below `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Below `bound`; 0 gives 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    /// Whether something happens that does so often (0 to 1).
    pub(crate) fn chance(&mut self, of: f64) -> bool {
        self.unit() < of
    }

    /// Bytes that mean nothing.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_seeds_and_stays_within_bounds() {
        let draw = |seed, number| {
            let mut dice = Dice::new(seed, number);
            [(); 4].map(|()| dice.next())
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
        let mut dice = Dice::new(7, 7);
        let mut seen = [false; 6];
        for _ in 0..1000 {
            assert!((-1.0..2.0).contains(&dice.between(-1.0, 2.0)));
            seen[dice.below(6)] = true;
        }
        assert_eq!((seen, dice.below(0)), ([true; 6], 0));
        let mut bytes = [0; 13];
        dice.fill(&mut bytes);
        assert_ne!(bytes, [0; 13]);
    }
}
