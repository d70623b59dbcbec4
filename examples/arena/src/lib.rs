//! The arena: a small authoritative game for browsers, and the rules of rooms of kind `arena`.
//!
//! A round courtyard at dusk. Dancers gather lanterns, which trail behind them and slow them down, and hand
//! them in at the fire in the middle: many at once are worth more (1, 3, 6, 10 and so on). On the way a dash or a
//! thrown bean bag makes rivals drop theirs, and each dancer hides one trap that spectators see and rivals do
//! not. After a round the best three are shown, and the next begins. Bots fill empty seats.
//!
//! [`logic`] is the room logic, [`world`] and `hits` are the game, [`movement`] is what the browser predicts
//! with, [`input`] what it sends, [`schema`] what it sees.

pub mod bots;
pub mod dice;
pub mod geometry;
mod hits;
pub mod input;
pub mod logic;
pub mod movement;
pub mod player;
pub mod rules;
pub mod schema;
pub mod show;
pub mod world;

pub use logic::kind;
