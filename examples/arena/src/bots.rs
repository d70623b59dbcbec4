//! What bots do: a goal chosen now and then, and simple steering towards it.
//!
//! A bot acts by the same inputs as a member and sees what a member sees: no trap of anybody.

use crate::dice::Dice;
use crate::geometry::{Vector, add, distance, dot, length, scale, sub, unit};
use crate::input::{DASH, Input, THROW, TRAP, packed};
use crate::movement::{Body, COURTYARD_RADIUS, PLAYER_RADIUS, POSTS};
use crate::rules;

/// With fewer lanterns nobody is worth the trouble.
const PREY_LANTERNS: u32 = 2;

/// What a bot wants.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// To go there.
    Place(Vector),
    /// To hand in what it carries.
    Fire,
    /// To run into the player of this id.
    Chase(u32),
}

/// A bot's mind.
#[derive(Clone, Debug)]
pub struct Brain {
    goal: Goal,
    /// Ticks until it thinks again.
    thinks_in: u32,
    /// Lanterns with which it goes to the fire.
    greed: u32,
    /// How gladly it goes for others, 0 to 1.
    nerve: f64,
    /// What it weaves to the side, -1 to 1.
    weave: f64,
    /// What it does once, in its next tick.
    press: u8,
    aim: Vector,
}

/// A player, as a bot sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its id.
    pub id: u32,
    /// Where.
    pub at: Vector,
    /// Units a second.
    pub velocity: Vector,
    /// Lanterns.
    pub carried: u32,
    /// Whether it can be hit.
    pub is_open: bool,
}

/// What all bots see in a tick.
#[derive(Clone, Debug)]
pub struct Sight {
    /// All players.
    pub players: Vec<Seen>,
    /// Lanterns on the ground.
    pub lanterns: Vec<Vector>,
    /// Ticks until the round ends; nothing on the podium.
    pub ticks_left: Option<u32>,
}

/// What a bot knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Its id.
    pub id: u32,
    /// What of it moves.
    pub body: Body,
    /// Lanterns.
    pub carried: u32,
    /// Whether it can throw.
    pub can_throw: bool,
    /// Whether it can lay its trap, and none lies.
    pub can_trap: bool,
}

impl Brain {
    /// A mind with a character of its own.
    pub fn new(dice: &mut Dice) -> Self {
        Self {
            goal: Goal::Place([0.0, 0.0]),
            thinks_in: dice.below(8),
            greed: 3 + dice.below(4),
            nerve: dice.between(0.15, 0.8),
            weave: 0.0,
            press: 0,
            aim: [0.0, 0.0],
        }
    }

    /// What it does in this tick.
    pub fn act(&mut self, own: &Own, sight: &Sight, dice: &mut Dice) -> Input {
        (self.press, self.aim) = (0, [0.0, 0.0]);
        if self.thinks_in == 0 {
            self.think(own, sight, dice);
            self.thinks_in = 5 + dice.below(6);
        }
        self.thinks_in -= 1;
        if own.body.stun > 0 {
            return Input::default();
        }
        let to = self.destination(own, sight);
        let go = steer(own.body.at, to, self.weave);
        // Slower where it arrives, so that it does not tremble around the place.
        let far = distance(own.body.at, to);
        let pace = if far < 0.4 { far / 0.4 } else { 1.0 };
        let aim = unit(self.aim).unwrap_or([0.0, 0.0]);
        Input { go: packed(scale(go, pace)), aim: packed(aim), buttons: self.press }
    }

    fn think(&mut self, own: &Own, sight: &Sight, dice: &mut Dice) {
        self.weave = dice.between(-0.35, 0.35);
        let Some(ticks_left) = sight.ticks_left else {
            self.dance(own, dice);
            return;
        };
        self.goal = self.choose(own, sight, ticks_left, dice);
        let prey = prey_of(own, sight);
        if let Some(prey) = prey {
            self.attack(own, &prey, dice);
        }
        let home = length(own.body.at);
        if own.can_trap && (3.4..8.0).contains(&home) && dice.chance(0.2) {
            self.press |= TRAP;
        }
        let far = distance(own.body.at, self.destination(own, sight));
        if self.press & DASH == 0 && own.body.rest == 0 && far > 5.0 && dice.chance(0.12) {
            self.press |= DASH;
        }
    }

    /// On the podium it goes from place to place around the middle.
    fn dance(&mut self, own: &Own, dice: &mut Dice) {
        let here = own.body.at;
        let around = unit([-here[1], here[0]]).unwrap_or([1.0, 0.0]);
        let out = unit(here).unwrap_or([0.0, 1.0]);
        let ring = scale(out, dice.between(4.0, 8.0));
        self.goal = Goal::Place(add(ring, scale(around, dice.between(-4.0, 4.0))));
        if dice.chance(0.1) {
            self.press |= DASH;
        }
    }

    fn choose(&self, own: &Own, sight: &Sight, ticks_left: u32, dice: &mut Dice) -> Goal {
        let home = length(own.body.at);
        // About the way home at a run, and some.
        let is_late = f64::from(ticks_left) < home / 0.33 + 40.0;
        let is_near = home < 6.0 && own.carried + 1 >= self.greed;
        if own.carried >= self.greed || own.carried > 0 && (is_late || is_near) {
            return Goal::Fire;
        }
        if let Some(prey) = prey_of(own, sight)
            && prey.carried > PREY_LANTERNS
            && dice.chance(0.6 * self.nerve)
        {
            return Goal::Chase(prey.id);
        }
        let mut best = None;
        for lantern in &sight.lanterns {
            // What a rival is nearer to is worth less.
            let here = distance(own.body.at, *lantern);
            let others = sight.players.iter().filter(|seen| seen.id != own.id);
            let contested = others.filter(|seen| distance(seen.at, *lantern) < here).count();
            let cost = here + 2.5 * contested as f64 + dice.between(0.0, 2.0);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, *lantern));
            }
        }
        let stroll = [dice.between(-10.0, 10.0), dice.between(-10.0, 10.0)];
        best.map_or(Goal::Place(stroll), |(_, lantern)| Goal::Place(lantern))
    }

    fn attack(&mut self, own: &Own, prey: &Seen, dice: &mut Dice) {
        let far = distance(own.body.at, prey.at);
        // Where it will be when a bag arrives, roughly, and not aimed too well.
        let flight = far / rules::BEAN_SPEED;
        let there = add(prey.at, scale(prey.velocity, flight * dice.between(0.3, 1.1)));
        if own.can_throw && far < 8.0 && dice.chance(0.35 * self.nerve) {
            let side = dice.between(-0.12, 0.12);
            let way = sub(there, own.body.at);
            self.aim = add(way, scale([-way[1], way[0]], side));
            self.press |= THROW;
        }
        if own.body.rest == 0 && far < 4.2 && dice.chance(0.6 * self.nerve) {
            self.goal = Goal::Chase(prey.id);
            self.weave = 0.0;
            self.press |= DASH;
        }
    }

    fn destination(&self, own: &Own, sight: &Sight) -> Vector {
        match self.goal {
            Goal::Place(place) => place,
            Goal::Fire => [0.0, 0.0],
            Goal::Chase(id) => {
                let seen = sight.players.iter().find(|seen| seen.id == id);
                seen.map_or(own.body.at, |seen| add(seen.at, scale(seen.velocity, 0.15)))
            }
        }
    }
}

/// Whom it would go for: who carries most for the way there.
fn prey_of(own: &Own, sight: &Sight) -> Option<Seen> {
    let mut best: Option<(f64, Seen)> = None;
    for seen in &sight.players {
        let far = distance(own.body.at, seen.at);
        if seen.id == own.id || !seen.is_open || seen.carried < PREY_LANTERNS || far > 9.0 {
            continue;
        }
        let worth = f64::from(seen.carried) - far / 2.5;
        if best.is_none_or(|(most, _)| worth > most) {
            best = Some((worth, *seen));
        }
    }
    best.map(|(_, seen)| seen)
}

/// The direction (of length 1, or none) from a place to another, around posts and a little to the side.
fn steer(from: Vector, to: Vector, weave: f64) -> Vector {
    let way = sub(to, from);
    let Some(ahead) = unit(way) else { return [0.0, 0.0] };
    let side = [-ahead[1], ahead[0]];
    let far = length(way);
    let mut turn = if far > 2.0 { weave } else { 0.0 };
    for post in &POSTS {
        let there = sub(post.at, from);
        let along = dot(there, ahead);
        let across = dot(there, side);
        let width = post.radius + PLAYER_RADIUS + 0.4;
        if along > 0.0 && along < far.min(5.0) && across.abs() < width {
            turn = if across > 0.0 { -1.0 } else { 1.0 };
        }
    }
    let go = unit(add(ahead, scale(side, turn))).unwrap_or(ahead);
    // Nobody runs along the wall for long.
    let edge = length(from) / COURTYARD_RADIUS;
    let inwards = if edge > 0.93 { scale(from, -0.3 / length(from)) } else { [0.0, 0.0] };
    unit(add(go, inwards)).unwrap_or(go)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::step;

    fn own(body: Body, carried: u32) -> Own {
        Own { id: 1, body, carried, can_throw: true, can_trap: true }
    }

    fn sight(lanterns: &[Vector], players: &[Seen]) -> Sight {
        Sight { players: players.into(), lanterns: lanterns.into(), ticks_left: Some(1000) }
    }

    /// The ticks that a bot takes to come near a place, of at most so many.
    fn ticks_to(place: Vector, start: Vector, carried: u32, sight: &Sight, seed: u64) -> usize {
        let mut dice = Dice::new(seed);
        let mut brain = Brain::new(&mut dice);
        let mut body = Body { at: start, ..Body::default() };
        (0..400)
            .take_while(|_| {
                let input = brain.act(&own(body, carried), sight, &mut dice);
                body = step(&body, &input.wish(), carried);
                distance(body.at, place) > 1.0
            })
            .count()
    }

    #[test]
    fn a_bot_gets_its_lantern_behind_a_post_and_comes_home_with_many() {
        for seed in 0..40 {
            let lantern = [-16.0, -16.0 * 0.7];
            let found = ticks_to(lantern, [13.0, 13.0], 0, &sight(&[lantern], &[]), seed);
            assert!(found < 250, "seed {seed}: {found}");
            let home = ticks_to([0.0, 0.0], [12.0, 12.0], 6, &sight(&[lantern], &[]), seed);
            assert!(home < 120, "seed {seed}: {home}");
        }
    }

    #[test]
    fn a_bot_goes_for_one_who_carries_much() {
        let rich = Seen { id: 2, at: [6.0, 4.0], velocity: [0.0; 2], carried: 6, is_open: true };
        let mut pressed = 0;
        for seed in 0..40 {
            let mut dice = Dice::new(seed);
            let mut brain = Brain::new(&mut dice);
            let body = Body { at: [3.0, 4.0], ..Body::default() };
            for _ in 0..20 {
                pressed |= brain.act(&own(body, 0), &sight(&[], &[rich]), &mut dice).buttons;
            }
        }
        assert_eq!(pressed & (DASH | THROW), DASH | THROW);
    }

    #[test]
    fn who_cannot_be_hit_is_left_alone() {
        let shut = Seen { id: 2, at: [6.0, 4.0], velocity: [0.0; 2], carried: 6, is_open: false };
        let mut dice = Dice::new(3);
        let mut brain = Brain::new(&mut dice);
        let body = Body { at: [3.0, 4.0], rest: 9, ..Body::default() };
        for _ in 0..200 {
            let input = brain.act(&own(body, 0), &sight(&[], &[shut]), &mut dice);
            assert!(!input.holds(THROW) && !input.holds(DASH));
        }
    }
}
