//! What a courtyard's state is made of, and the numbers of its fields.
//!
//! Members see everything but traps: all of a trap's fields are its owner's and the spectators', so that to
//! rivals it is not there at all. The fields of a player that only its owner needs, to predict its own
//! moves, are its owner's too.
//!
//! Times are numbers of ticks. A time that has passed means nothing any more.

use crate::movement::COURTYARD_RADIUS;
use madang_protocol::state::{Field, FieldType, Kind, Number, Scalar, Schema, Visibility};

/// Kind 0, the room.
pub mod room {
    /// 0 while a round is played, 1 while its best are shown.
    pub const PHASE: usize = 0;
    /// The tick at which that ends.
    pub const ENDS: usize = 1;
    /// The round's number, from 1.
    pub const ROUND: usize = 2;
    /// The entities of the round's best, the first first; at most three, and only while they are shown.
    pub const PODIUM: usize = 3;
}

/// Kind 1, a player. What changes most has the lowest numbers: a set of fields below 6 is one byte.
pub mod player {
    /// The kind's number.
    pub const KIND: u32 = 1;
    /// Where its middle is.
    pub const AT: usize = 0;
    /// The number of the direction it looks in, of [`crate::geometry::DIRECTIONS`].
    pub const LOOK: usize = 1;
    /// Units a second. Its owner's, as all that follows from here with "(owner)".
    pub const VELOCITY: usize = 2;
    /// (owner) The number of the last input that was dealt with.
    pub const INPUT: usize = 3;
    /// What can be seen of it: [`DASHING`], [`STUNNED`], [`GUARDED`].
    pub const POSE: usize = 4;
    /// Lanterns that it carries.
    pub const CARRIED: usize = 5;
    /// Points of this round.
    pub const SCORE: usize = 6;
    /// Times in a row that it handed in without being hit.
    pub const STREAK: usize = 7;
    /// (owner) The tick after which its dash is over: so many steps of it are left.
    pub const DASH_ENDS: usize = 8;
    /// (owner) The tick from which it can dash.
    pub const DASH_READY: usize = 9;
    /// (owner) The tick from which it can act.
    pub const STUN_ENDS: usize = 10;
    /// (owner) The tick from which it can throw.
    pub const THROW_READY: usize = 11;
    /// (owner) The tick from which it can lay its trap.
    pub const TRAP_READY: usize = 12;
    /// What it is called.
    pub const NAME: usize = 13;
    /// The number of its colour, below [`crate::rules::COLORS`].
    pub const COLOR: usize = 14;
    /// The member that drives it; 0 is a bot.
    pub const MEMBER: usize = 15;
    /// Rounds that it won.
    pub const WINS: usize = 16;
    /// The emote that it shows; 0 is none.
    pub const EMOTE: usize = 17;

    /// In [`POSE`]: it dashes.
    pub const DASHING: u64 = 1;
    /// In [`POSE`]: it cannot act.
    pub const STUNNED: u64 = 2;
    /// In [`POSE`]: it cannot be hit.
    pub const GUARDED: u64 = 4;
}

/// Kind 2, a lantern on the ground.
pub mod lantern {
    /// The kind's number.
    pub const KIND: u32 = 2;
    /// Where.
    pub const AT: usize = 0;
}

/// Kind 3, a bean bag in the air: at tick `t` it is at `FROM + VELOCITY * (t - BORN) / 20`.
pub mod bean {
    /// The kind's number.
    pub const KIND: u32 = 3;
    /// From where it was thrown.
    pub const FROM: usize = 0;
    /// Units a second.
    pub const VELOCITY: usize = 1;
    /// The tick at which it was there.
    pub const BORN: usize = 2;
    /// The entity of who threw it.
    pub const BY: usize = 3;
}

/// Kind 4, a player's trap. Its owner and spectators see it, nobody else.
pub mod trap {
    /// The kind's number.
    pub const KIND: u32 = 4;
    /// Whether it lies somewhere.
    pub const LAID: usize = 0;
    /// Where.
    pub const AT: usize = 1;
    /// The tick from which it can spring.
    pub const ARMED: usize = 2;
    /// The entity of who laid it.
    pub const BY: usize = 3;
}

/// The size of a step of a position: a run is at most 19 of them a tick, a dash 48, and up to 63 are one byte.
pub const POSITION_STEP: f64 = 0.02;
/// The size of a step of a velocity.
pub const VELOCITY_STEP: f64 = 0.015_625;

/// The schema.
pub fn schema() -> Schema {
    use Visibility::{Everyone, Owner};
    let uint = FieldType::One(Scalar::Uint);
    let reach = COURTYARD_RADIUS + 0.48;
    let at = FieldType::One(Scalar::Vec2(Number::quantised(-reach, reach, POSITION_STEP)));
    let velocity = FieldType::One(Scalar::Vec2(Number::quantised(-20.0, 20.0, VELOCITY_STEP)));
    let kinds = vec![
        kind(
            "arena",
            &[
                ("phase", uint, Everyone),
                ("ends", uint, Everyone),
                ("round", uint, Everyone),
                ("podium", FieldType::List(Scalar::Uint), Everyone),
            ],
        ),
        kind(
            "player",
            &[
                ("at", at, Everyone),
                ("look", uint, Everyone),
                ("velocity", velocity, Owner),
                ("input", uint, Owner),
                ("pose", uint, Everyone),
                ("carried", uint, Everyone),
                ("score", uint, Everyone),
                ("streak", uint, Everyone),
                ("dash_ends", uint, Owner),
                ("dash_ready", uint, Owner),
                ("stun_ends", uint, Owner),
                ("throw_ready", uint, Owner),
                ("trap_ready", uint, Owner),
                ("name", FieldType::One(Scalar::Text), Everyone),
                ("color", uint, Everyone),
                ("member", uint, Everyone),
                ("wins", uint, Everyone),
                ("emote", uint, Everyone),
            ],
        ),
        kind("lantern", &[("at", at, Everyone)]),
        kind(
            "bean",
            &[
                ("from", at, Everyone),
                ("velocity", velocity, Everyone),
                ("born", uint, Everyone),
                ("by", uint, Everyone),
            ],
        ),
        kind(
            "trap",
            &[
                ("laid", FieldType::One(Scalar::Bool), Owner),
                ("at", at, Owner),
                ("armed", uint, Owner),
                ("by", uint, Owner),
            ],
        ),
    ];
    Schema { kinds }
}

fn kind(name: &str, fields: &[(&str, FieldType, Visibility)]) -> Kind {
    let field = |(name, r#type, visibility): &(&str, FieldType, Visibility)| Field {
        name: (*name).into(),
        r#type: *r#type,
        visibility: *visibility,
    };
    Kind { name: name.into(), fields: fields.iter().map(field).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_valid_and_its_numbers_are_its_places() {
        let schema = schema();
        assert!(schema.is_valid());
        let name = |kind: usize, field: usize| schema.kinds[kind].fields[field].name.as_str();
        assert_eq!(name(0, room::PODIUM), "podium");
        let kinds = [player::KIND, lantern::KIND, bean::KIND, trap::KIND];
        let names = kinds.map(|kind| schema.kinds[kind as usize].name.clone());
        assert_eq!(names, ["player", "lantern", "bean", "trap"]);
        let of_player = |field| name(player::KIND as usize, field);
        assert_eq!(of_player(player::CARRIED), "carried");
        assert_eq!(of_player(player::TRAP_READY), "trap_ready");
        assert_eq!(of_player(player::EMOTE), "emote");
        assert_eq!(name(bean::KIND as usize, bean::BY), "by");
        assert_eq!(name(trap::KIND as usize, trap::ARMED), "armed");
    }

    #[test]
    fn rivals_see_nothing_of_a_trap_and_nothing_that_only_predicts() {
        let schema = schema();
        assert!(schema.kinds[4].fields.iter().all(|field| field.visibility == Visibility::Owner));
        let hidden = schema.kinds[1].fields.iter().filter(|f| f.visibility == Visibility::Owner);
        assert_eq!(hidden.count(), 7);
    }
}
