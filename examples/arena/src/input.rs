//! What a player's client sends, and the queue that it waits in for its tick.
//!
//! Bytes of a publication of type `input`: the number of the first input (4 bytes, little-endian), then
//! 1 to [`INPUTS_PER_MESSAGE_MAX`] inputs of [`INPUT_BYTES`] bytes, numbered upwards:
//!
//! | byte | |
//! |---|---|
//! | 0, 1 | where to go: x and y, signed, 127 is full speed |
//! | 2, 3 | where to aim: x and y, signed, of any length; 0, 0 is where the player looks |
//! | 4 | what is held down: [`DASH`], [`THROW`], [`TRAP`] |
//!
//! A client takes a step of its own every 50 ms and sends an input for each. The room takes one of each
//! player a tick, whatever the player sends, so that nobody is faster than others.

use crate::geometry::{Vector, length, scale};
use crate::movement::Wish;
use std::collections::VecDeque;

/// Bytes of one input.
pub const INPUT_BYTES: usize = 5;
/// Most inputs of one message.
pub const INPUTS_PER_MESSAGE_MAX: usize = 8;
/// Inputs that wait for their tick; the oldest gives way.
pub const QUEUE_MAX: usize = 6;
/// Ticks for which the last direction is held when inputs are late.
pub const REPEATS_MAX: u32 = 5;
/// Ticks in which more than one input always waited before one is left out, because it only adds delay.
/// One that waits evens out what the network does.
pub const SPARE_TICKS: u32 = 20;

/// Dash.
pub const DASH: u8 = 1;
/// Throw a bean bag.
pub const THROW: u8 = 2;
/// Lay the trap.
pub const TRAP: u8 = 4;

/// What a player wants in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Where to go; 127 is full speed.
    pub go: [i8; 2],
    /// Where to aim; of any length.
    pub aim: [i8; 2],
    /// What is held down.
    pub buttons: u8,
}

impl Input {
    /// Whether this button is down.
    pub fn holds(&self, button: u8) -> bool {
        self.buttons & button != 0
    }

    /// Whether somebody is there.
    pub fn is_active(&self) -> bool {
        self.go != [0; 2] || self.buttons != 0
    }

    /// What of it moves the player: the direction as numbers, cut to length 1.
    pub fn wish(&self) -> Wish {
        let go = [f64::from(self.go[0]) / 127.0, f64::from(self.go[1]) / 127.0];
        let far = length(go);
        let go = if far > 1.0 { [go[0] / far, go[1] / far] } else { go };
        Wish { go, dash: self.holds(DASH) }
    }

    /// Where it aims, of any length.
    pub fn aim(&self) -> Vector {
        self.aim.map(f64::from)
    }
}

/// A direction of at most length 1 as it is sent.
pub fn packed(direction: Vector) -> [i8; 2] {
    scale(direction, 127.0).map(|part| part.round() as i8)
}

/// Reads a message: the first input's number, and the inputs.
///
/// # Errors
///
/// What is wrong with the bytes, for people.
pub fn read(bytes: &[u8]) -> Result<(u32, impl Iterator<Item = Input>), String> {
    let (number, inputs) = bytes.split_first_chunk::<4>().ok_or("an input begins with 4 bytes")?;
    let count = inputs.len() / INPUT_BYTES;
    if inputs.len() % INPUT_BYTES != 0 || !(1..=INPUTS_PER_MESSAGE_MAX).contains(&count) {
        return Err(format!(
            "a message has 1 to {INPUTS_PER_MESSAGE_MAX} inputs of {INPUT_BYTES} bytes"
        ));
    }
    let inputs =
        inputs.as_chunks::<INPUT_BYTES>().0.iter().map(|&[x, y, aim_x, aim_y, buttons]| Input {
            go: [x, y].map(u8::cast_signed),
            aim: [aim_x, aim_y].map(u8::cast_signed),
            buttons: buttons & (DASH | THROW | TRAP),
        });
    Ok((u32::from_le_bytes(*number), inputs))
}

/// The inputs of one player that wait for their tick.
#[derive(Clone, Debug, Default)]
pub struct InputQueue {
    waiting: VecDeque<(u32, Input)>,
    /// The number of the newest that was put in; nothing older is taken any more.
    newest: Option<u32>,
    /// The number of the newest that was taken or left out.
    pub dealt_with: u32,
    last: Input,
    repeats: u32,
    /// Ticks in a row after which more than one input still waited.
    spare: u32,
    /// Inputs that were left out so far.
    pub left_out: u64,
}

impl InputQueue {
    /// Takes in an input. One that is not newer than the last is a repetition and means nothing.
    pub fn push(&mut self, number: u32, input: Input) {
        if self.newest.is_some_and(|newest| number <= newest) {
            return;
        }
        self.newest = Some(number);
        self.waiting.push_back((number, input));
        if self.waiting.len() > QUEUE_MAX {
            self.leave_one_out();
        }
    }

    /// The input of this tick. Where none waits the last direction is held for a while, without buttons.
    pub fn take(&mut self) -> Input {
        let Some((number, input)) = self.waiting.pop_front() else {
            self.spare = 0;
            self.repeats += 1;
            let held = Input { buttons: 0, ..self.last };
            return if self.repeats <= REPEATS_MAX { held } else { Input::default() };
        };
        (self.dealt_with, self.last, self.repeats) = (number, input, 0);
        self.spare = if self.waiting.len() > 1 { self.spare + 1 } else { 0 };
        if self.spare >= SPARE_TICKS {
            self.spare = 0;
            self.leave_one_out();
        }
        input
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops the oldest; what it held down the next one does, so that no press is lost.
    fn leave_one_out(&mut self) {
        let Some((number, dropped)) = self.waiting.pop_front() else { return };
        self.left_out += 1;
        self.dealt_with = number;
        if let Some((_, next)) = self.waiting.front_mut() {
            next.buttons |= dropped.buttons;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(x: i8, buttons: u8) -> Input {
        Input { go: [x, 0], aim: [0; 2], buttons }
    }

    #[test]
    fn a_message_is_read_and_anything_else_is_refused() {
        let bytes = [7, 1, 0, 0, 127, 129, 0, 5, 0xff, 0, 0, 0, 0, 2];
        let (number, inputs) = read(&bytes).unwrap();
        assert_eq!(number, 263);
        let first = Input { go: [127, -127], aim: [0, 5], buttons: DASH | THROW | TRAP };
        let second = Input { buttons: THROW, ..Input::default() };
        assert_eq!(inputs.collect::<Vec<_>>(), [first, second]);
        for len in [0, 3, 4, 8, 10, 13, 4 + 9 * 5] {
            assert!(read(&vec![0; len]).is_err(), "{len}");
        }
    }

    #[test]
    fn no_direction_is_faster_than_full_speed() {
        for x in i8::MIN..=i8::MAX {
            for y in [i8::MIN, -127, -90, 0, 3, 127] {
                let wish = Input { go: [x, y], ..Input::default() }.wish();
                assert!(length(wish.go) <= 1.0 + 1e-15);
            }
        }
        assert_eq!(packed([1.0, -1.0]), [127, -127]);
    }

    #[test]
    fn one_a_tick_in_order_and_repetitions_mean_nothing() {
        let mut queue = InputQueue::default();
        queue.push(0, go(1, 0));
        queue.push(1, go(2, 0));
        queue.push(1, go(9, 0));
        queue.push(0, go(9, 0));
        assert_eq!((queue.take(), queue.dealt_with), (go(1, 0), 0));
        assert_eq!((queue.take(), queue.dealt_with), (go(2, 0), 1));
    }

    #[test]
    fn a_missing_input_holds_the_direction_for_a_while_but_no_button() {
        let mut queue = InputQueue::default();
        queue.push(1, go(50, DASH));
        queue.take();
        for _ in 0..REPEATS_MAX {
            assert_eq!(queue.take(), go(50, 0));
        }
        assert_eq!(queue.take(), Input::default());
        assert_eq!(queue.dealt_with, 1);
    }

    #[test]
    fn too_many_are_left_out_and_their_presses_kept() {
        let mut queue = InputQueue::default();
        for number in 0..20 {
            queue.push(number, go(1, if number == 3 { THROW } else { 0 }));
        }
        assert_eq!((queue.len(), queue.left_out), (QUEUE_MAX, 14));
        assert!(queue.take().holds(THROW));
    }

    #[test]
    fn what_only_delays_is_left_out_in_time() {
        let mut queue = InputQueue::default();
        for number in 0..4 {
            queue.push(number, go(1, 0));
        }
        for number in 4..4 + 3 * SPARE_TICKS {
            queue.push(number, go(1, 0));
            queue.take();
        }
        assert!(queue.len() <= 1, "{}", queue.len());
        assert_eq!(queue.left_out, 3);
    }
}
