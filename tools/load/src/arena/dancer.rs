//! What somebody at the keys does: runs this way and that, stands for a moment, dashes, throws.
//!
//! The bytes are those that the game's page sends (`examples/arena/README.md`): one input each time, with
//! numbers that ascend from 1.

use crate::dice::Dice;

const DASH: u8 = 1;
const THROW: u8 = 2;
const TRAP: u8 = 4;

/// Bytes of a message with one input.
pub(super) const MESSAGE_BYTES: usize = 9;

/// Whoever moves a player.
#[derive(Debug)]
pub(super) struct Dancer {
    dice: Dice,
    number: u32,
    /// Where to, in radians; nothing is standing.
    heading: Option<f64>,
    /// Inputs until it makes up its mind again.
    holds: usize,
}

impl Dancer {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed, number);
        let holds = dice.below(20);
        Self { dice, number: 0, heading: None, holds }
    }

    /// It plays anew, in a room that has seen none of its inputs.
    pub(super) fn begin(&mut self) {
        self.number = 0;
    }

    /// The next input.
    pub(super) fn next(&mut self) -> [u8; MESSAGE_BYTES] {
        if self.holds == 0 {
            self.think();
        } else {
            self.holds -= 1;
        }
        self.number = self.number.wrapping_add(1);
        let go = self.heading.map_or([0; 2], packed);
        let mut buttons = 0;
        if self.heading.is_some() && self.dice.chance(0.03) {
            buttons |= DASH;
        }
        let mut aim = [0; 2];
        if self.dice.chance(0.03) {
            buttons |= THROW;
            aim = packed(self.dice.between(0.0, std::f64::consts::TAU));
        }
        if self.dice.chance(0.005) {
            buttons |= TRAP;
        }
        let [a, b, c, d] = self.number.to_le_bytes();
        [a, b, c, d, go[0], go[1], aim[0], aim[1], buttons]
    }

    fn think(&mut self) {
        self.holds = 4 + self.dice.below(26);
        if self.dice.chance(0.15) {
            // Nobody stands for long.
            self.heading = None;
            self.holds /= 3;
            return;
        }
        let turn = self.dice.between(-1.6, 1.6);
        let anywhere = self.dice.between(0.0, std::f64::consts::TAU);
        self.heading = Some(self.heading.map_or(anywhere, |heading| heading + turn));
    }
}

/// A direction of length 1 as it is sent.
fn packed(angle: f64) -> [u8; 2] {
    let part = |part: f64| ((part * 127.0).round() as i8).cast_unsigned();
    [part(angle.cos()), part(angle.sin())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dancer_moves_and_acts_and_does_the_same_under_the_same_seed() {
        let dance = |seed| {
            let mut dancer = Dancer::new(seed, 3);
            (0..1000).map(|_| dancer.next()).collect::<Vec<_>>()
        };
        let inputs = dance(1);
        assert_eq!(inputs, dance(1));
        assert_ne!(inputs, dance(2));
        assert_eq!(inputs[0][..4], 1_u32.to_le_bytes());
        assert_eq!(inputs[999][..4], 1000_u32.to_le_bytes());
        let share = |what: fn(&[u8; MESSAGE_BYTES]) -> bool| {
            inputs.iter().filter(|input| what(input)).count() as f64 / 1000.0
        };
        assert!(share(|input| input[4..6] != [0; 2]) > 0.7, "moves");
        for button in [DASH, THROW, TRAP] {
            let held = inputs.iter().filter(|input| input[8] & button != 0).count();
            assert!(held > 0, "{button}");
        }
        assert!(inputs.iter().all(|input| input[8] & THROW == 0 || input[6..8] != [0; 2]));
    }
}
