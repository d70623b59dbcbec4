//! How a player moves: one small pure function for the server and for the browser that predicts.
//!
//! [`step`] is ported line by line to JavaScript, whose numbers are the same doubles; it uses
//! `+ - * /`, `sqrt` and comparisons in this order and no other. `testdata/movement.json` holds runs
//! for the port to repeat exactly.

use crate::geometry::{Vector, add, dot, length, scale, sub, unit};

/// Steps a second.
pub const TICK_HZ: u32 = 20;
/// The seconds of a step.
pub const STEP_SECONDS: f64 = 0.05;
/// The courtyard's radius; its middle is the origin.
pub const COURTYARD_RADIUS: f64 = 20.0;
/// A player's radius.
pub const PLAYER_RADIUS: f64 = 0.7;
/// How far from the middle a player can be.
pub const REACH: f64 = COURTYARD_RADIUS - PLAYER_RADIUS;
/// Running, units a second.
pub const RUN_SPEED: f64 = 7.5;
/// What each lantern that is carried takes from the running speed, as a share of it.
pub const LOAD_SLOWS: f64 = 0.03;
/// Most lanterns that a player carries.
pub const CARRIED_MAX: u32 = 8;
/// Share of the difference to the wanted velocity that a step makes up for.
pub const GRIP: f64 = 0.4;
/// Dashing, units a second.
pub const DASH_SPEED: f64 = 19.0;
/// The steps of a dash.
pub const DASH_STEPS: u32 = 4;
/// Steps from the beginning of a dash until the next can begin.
pub const DASH_REST_STEPS: u32 = 26;
/// What is left of the velocity when a dash ends.
pub const DASH_END: f64 = 0.4;
/// What a step leaves of the velocity of one who is stunned.
pub const STUN_DRAG: f64 = 0.8;

/// Something round that stands in the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Post {
    /// Where.
    pub at: Vector,
    /// Its radius.
    pub radius: f64,
}

/// What stands in the courtyard: four wooden guardians and two groups of jars. They are far enough from
/// each other and from the wall for a player to pass.
pub const POSTS: [Post; 6] = [
    Post { at: [8.0, 8.0], radius: 0.9 },
    Post { at: [-8.0, 8.0], radius: 0.9 },
    Post { at: [-8.0, -8.0], radius: 0.9 },
    Post { at: [8.0, -8.0], radius: 0.9 },
    Post { at: [13.0, 0.0], radius: 1.3 },
    Post { at: [-13.0, 0.0], radius: 1.3 },
];

/// What of a player moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Body {
    /// Where its middle is.
    pub at: Vector,
    /// Units a second.
    pub velocity: Vector,
    /// Steps of the dash that are left; the velocity is the dash's meanwhile.
    pub dash: u32,
    /// Steps until it can dash.
    pub rest: u32,
    /// Steps until it can do anything.
    pub stun: u32,
}

/// What a player wants in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wish {
    /// Where to, at most of length 1.
    pub go: Vector,
    /// To dash there.
    pub dash: bool,
}

/// Moves a player who carries `load` lanterns by one step.
pub fn step(body: &Body, wish: &Wish, load: u32) -> Body {
    let mut next = *body;
    if next.rest > 0 {
        next.rest -= 1;
    }
    if next.stun > 0 {
        next.stun -= 1;
        next.velocity = scale(next.velocity, STUN_DRAG);
    } else if next.dash > 0 {
        next.dash -= 1;
        if next.dash == 0 {
            next.velocity = scale(next.velocity, DASH_END);
        }
    } else {
        let towards = unit(wish.go);
        match towards {
            Some(towards) if wish.dash && next.rest == 0 => {
                next.velocity = scale(towards, DASH_SPEED);
                next.dash = DASH_STEPS;
                next.rest = DASH_REST_STEPS;
            }
            _ => {
                let speed = RUN_SPEED * (1.0 - LOAD_SLOWS * f64::from(load));
                let wanted = scale(wish.go, speed);
                let change = scale(sub(wanted, next.velocity), GRIP);
                next.velocity = add(next.velocity, change);
            }
        }
    }
    next.at = add(next.at, scale(next.velocity, STEP_SECONDS));
    confine(&mut next);
    next
}

/// Puts a player who stands in a post or beyond the wall to its edge, and takes the part of its velocity that
/// leads there.
pub fn confine(body: &mut Body) {
    for post in &POSTS {
        let way = sub(body.at, post.at);
        let far = length(way);
        let least = post.radius + PLAYER_RADIUS;
        if far < least {
            let out = if far > 0.0 { [way[0] / far, way[1] / far] } else { [1.0, 0.0] };
            body.at = add(post.at, scale(out, least));
            let inwards = dot(body.velocity, out);
            if inwards < 0.0 {
                body.velocity = sub(body.velocity, scale(out, inwards));
            }
        }
    }
    let far = length(body.at);
    if far > REACH {
        let out = [body.at[0] / far, body.at[1] / far];
        body.at = scale(out, REACH);
        let outwards = dot(body.velocity, out);
        if outwards > 0.0 {
            body.velocity = sub(body.velocity, scale(out, outwards));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::geometry::distance;

    /// What a player cannot leave, with room for rounding.
    fn assert_inside(body: &Body) {
        assert!(length(body.at) <= REACH + 1e-9, "{body:?}");
        for post in &POSTS {
            assert!(distance(body.at, post.at) >= post.radius + PLAYER_RADIUS - 1e-9, "{body:?}");
        }
        assert!(length(body.velocity) <= DASH_SPEED + 1e-9, "{body:?}");
    }

    fn wish(dice: &mut Dice) -> Wish {
        let go = [dice.between(-0.7, 0.7), dice.between(-0.7, 0.7)];
        Wish { go, dash: dice.chance(0.1) }
    }

    #[test]
    fn nobody_leaves_the_courtyard_or_walks_through_a_post() {
        for seed in 0..50 {
            let mut dice = Dice::new(seed);
            let mut body = Body::default();
            let mut want = wish(&mut dice);
            for _ in 0..600 {
                if dice.chance(0.1) {
                    want = wish(&mut dice);
                }
                body = step(&body, &want, dice.below(CARRIED_MAX + 1));
                assert_inside(&body);
            }
        }
    }

    #[test]
    fn a_run_comes_up_to_speed_and_a_load_slows_it() {
        let run = |load| {
            let wish = Wish { go: [1.0, 0.0], dash: false };
            let start = Body { at: [-6.0, 3.0], ..Body::default() };
            (0..20).fold(start, |body, _| step(&body, &wish, load)).velocity[0]
        };
        assert!(run(0) > 0.99 * RUN_SPEED && run(0) <= RUN_SPEED);
        assert!(run(CARRIED_MAX) < 0.8 * RUN_SPEED);
    }

    #[test]
    fn a_dash_goes_its_way_and_must_rest() {
        let dash = Wish { go: [0.5, 0.0], dash: true };
        let mut body = step(&Body::default(), &dash, 0);
        assert_eq!((body.dash, body.rest), (DASH_STEPS, DASH_REST_STEPS));
        // What the player wants meanwhile counts for nothing.
        for _ in 0..DASH_STEPS {
            body = step(&body, &Wish { go: [0.0, 1.0], dash: true }, 0);
            assert_eq!(body.at[1].to_bits(), 0.0_f64.to_bits());
        }
        assert_eq!(body.dash, 0);
        let mut waited = DASH_STEPS;
        while body.dash == 0 {
            body = step(&body, &dash, 0);
            waited += 1;
        }
        assert_eq!(waited, DASH_REST_STEPS);
    }

    #[test]
    fn one_who_is_stunned_slides_to_a_stop() {
        let mut body = Body { velocity: [10.0, 0.0], stun: 12, ..Body::default() };
        for _ in 0..12 {
            body = step(&body, &Wish { go: [-1.0, 0.0], dash: true }, 0);
        }
        assert!(body.velocity[0] > 0.0 && body.velocity[0] < 1.0 && body.stun == 0);
        assert_eq!(body.dash, 0);
    }
}
