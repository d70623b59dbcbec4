//! The numbers of the game, beside those of [`crate::movement`]. Ticks are twentieths of a second.

/// Most players, bots among them.
pub const PLAYERS_MAX: usize = 32;
/// Seats that bots fill when the room's label `bots` says nothing.
pub const BOTS_DEFAULT: u32 = 8;
/// Seconds of a round when the room's label `seconds` says nothing.
pub const ROUND_SECONDS_DEFAULT: u32 = 100;
/// The shortest round that a label may ask for, in seconds.
pub const ROUND_SECONDS_MIN: u32 = 20;
/// The longest.
pub const ROUND_SECONDS_MAX: u32 = 600;
/// How long the best of a round stand on the podium.
pub const PODIUM_TICKS: u32 = 8 * 20;
/// Places of the podium.
pub const PODIUM_PLACES: usize = 3;
/// Ticks without anything held after which a player is sent away.
pub const IDLE_TICKS_MAX: u32 = 90 * 20;

/// Lanterns are handed in this near to the middle.
pub const FIRE_RADIUS: f64 = 2.6;
/// A lantern is picked up this near.
pub const PICK_RADIUS: f64 = 1.2;
/// Lanterns that lie about for nobody in particular.
pub const LANTERNS_BASE: usize = 9;
/// Players for each lantern more.
pub const PLAYERS_PER_LANTERN: usize = 2;
/// Most lanterns on the ground; what is dropped beyond goes out.
pub const LANTERNS_MAX: usize = 80;
/// Ticks between two lanterns that are lit.
pub const LANTERN_TICKS: u32 = 6;
/// The end of a round, in ticks, in which they are lit twice as often.
pub const RUSH_TICKS: u32 = 20 * 20;
/// How near to the middle lanterns are lit.
pub const LANTERN_NEAR: f64 = 5.5;
/// How far from the middle.
pub const LANTERN_FAR: f64 = 18.5;

/// How near a dash must come to hit.
pub const DASH_HIT_RADIUS: f64 = 1.6;
/// Ticks for which it stuns.
pub const DASH_STUN: u32 = 12;
/// Lanterns that one who is hit drops.
pub const DASH_DROPS: u32 = 2;
/// The speed that it gives, units a second.
pub const DASH_PUSH: f64 = 12.0;
/// Ticks for which two are stunned who dash into each other.
pub const CLASH_STUN: u32 = 4;

/// A bean bag's speed, units a second.
pub const BEAN_SPEED: f64 = 16.0;
/// The ticks of its flight: 9.6 units.
pub const BEAN_TICKS: u32 = 12;
/// How near it must pass to hit: its radius and a player's.
pub const BEAN_HIT_RADIUS: f64 = 1.05;
/// Ticks for which it stuns.
pub const BEAN_STUN: u32 = 8;
/// Lanterns that one who is hit drops.
pub const BEAN_DROPS: u32 = 1;
/// The speed that it gives.
pub const BEAN_PUSH: f64 = 8.0;
/// Ticks until the next throw.
pub const THROW_REST: u32 = 30;

/// How near to a trap it springs.
pub const TRAP_RADIUS: f64 = 1.15;
/// Ticks after which a trap that was laid can spring.
pub const TRAP_ARMS: u32 = 20;
/// Ticks for which it stuns.
pub const TRAP_STUN: u32 = 26;
/// Lanterns that one who walks into it drops.
pub const TRAP_DROPS: u32 = 4;
/// Points for who laid it.
pub const TRAP_POINTS: u32 = 1;
/// Ticks until the next can be laid.
pub const TRAP_REST: u32 = 8 * 20;

/// Ticks, counted from when it could act again, for which one who was hit cannot be hit.
pub const GUARD_TICKS: u32 = 24;
/// Emotes are numbered from 1 to this.
pub const EMOTES: u8 = 8;
/// Ticks for which an emote is shown.
pub const EMOTE_TICKS: u32 = 45;
/// Ticks until the next emote counts.
pub const EMOTE_REST: u32 = 10;
/// Colours are numbered from 0 to below this.
pub const COLORS: u8 = 12;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 16;

/// Points for handing in so many lanterns at once: 1, 3, 6, 10, 15, 21, 28, 36.
pub fn points_for(lanterns: u32) -> u32 {
    lanterns * (lanterns + 1) / 2
}
