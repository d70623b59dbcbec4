//! One player: a member or a bot.

use crate::bots::Brain;
use crate::geometry::{Vector, direction, look_of, scale, unit};
use crate::input::{Input, InputQueue};
use crate::movement::Body;
use crate::rules;

/// Who says what a player does.
#[derive(Clone, Debug)]
pub enum Driver {
    /// A member of the room.
    Member {
        /// Its id.
        member: u32,
        /// What it sent.
        queue: InputQueue,
        /// Ticks since it held anything down.
        idle: u32,
    },
    /// Nobody.
    Bot(Brain),
}

/// A player.
#[derive(Clone, Debug)]
pub struct Player {
    /// Its number in this room, never used again.
    pub id: u32,
    /// The entity that shows it; 0 until there is one.
    pub entity: u32,
    /// The entity that shows its trap; 0 until there is one.
    pub trap_entity: u32,
    /// What it is called.
    pub name: String,
    /// Whether its name is shown as it is.
    pub is_named: bool,
    /// The number of its colour.
    pub color: u8,
    /// Who drives it.
    pub driver: Driver,
    /// What of it moves.
    pub body: Body,
    /// The number of the direction that it looks in.
    pub look: u8,
    /// Lanterns that it carries.
    pub carried: u32,
    /// Points of this round.
    pub score: u32,
    /// Times in a row that it handed lanterns in without being hit.
    pub streak: u32,
    /// Rounds that it won.
    pub wins: u32,
    /// Ticks for which it cannot be hit, the stunned ones not counted.
    pub guard: u32,
    /// Ticks until it can throw.
    pub throw_rest: u32,
    /// Ticks until it can lay its trap.
    pub trap_rest: u32,
    /// Where its trap lies, and the ticks until that can spring.
    pub trap: Option<(Vector, u32)>,
    /// The emote that it shows; 0 is none.
    pub emote: u8,
    /// Ticks that it has been shown.
    pub emote_age: u32,
}

impl Player {
    /// A player who comes in at a place.
    pub fn new(id: u32, name: String, color: u8, driver: Driver, at: Vector) -> Self {
        let mut player = Self {
            id,
            entity: 0,
            trap_entity: 0,
            name,
            is_named: false,
            color: color % rules::COLORS,
            driver,
            body: Body::default(),
            look: 0,
            carried: 0,
            score: 0,
            streak: 0,
            wins: 0,
            guard: 0,
            throw_rest: 0,
            trap_rest: 0,
            trap: None,
            emote: 0,
            emote_age: 0,
        };
        player.begin_round(at);
        player
    }

    /// Everything of a round anew.
    pub fn begin_round(&mut self, at: Vector) {
        self.body = Body { at, ..Body::default() };
        self.look = look_of(scale(at, -1.0));
        (self.carried, self.score, self.streak) = (0, 0, 0);
        (self.guard, self.throw_rest, self.trap_rest) = (rules::GUARD_TICKS, 0, 0);
        self.trap = None;
    }

    /// The member that drives it; 0 for a bot.
    pub fn member(&self) -> u32 {
        match self.driver {
            Driver::Member { member, .. } => member,
            Driver::Bot(_) => 0,
        }
    }

    /// Whether nobody drives it.
    pub fn is_bot(&self) -> bool {
        matches!(self.driver, Driver::Bot(_))
    }

    /// Whether it can be hit.
    pub fn is_open(&self) -> bool {
        self.guard == 0 && self.body.stun == 0
    }

    /// Turns it to where it aims, else to where it goes.
    pub fn turn(&mut self, input: &Input) {
        let to = if input.aim == [0; 2] { input.go } else { input.aim };
        if to != [0; 2] {
            self.look = look_of(to.map(f64::from));
        }
    }

    /// The exact direction of a throw.
    pub fn throw_direction(&self, input: &Input) -> Vector {
        unit(input.aim()).unwrap_or_else(|| direction(usize::from(self.look)))
    }

    /// Lets a tick's worth of waiting pass.
    pub fn wait(&mut self) {
        self.throw_rest = self.throw_rest.saturating_sub(1);
        self.trap_rest = self.trap_rest.saturating_sub(1);
        if self.body.stun == 0 {
            self.guard = self.guard.saturating_sub(1);
        }
        if let Some((_, arms)) = &mut self.trap {
            *arms = arms.saturating_sub(1);
        }
        self.emote_age = self.emote_age.saturating_add(1);
        if self.emote_age >= rules::EMOTE_TICKS {
            self.emote = 0;
        }
    }

    /// Shows an emote, unless the last one is too young.
    pub fn show_emote(&mut self, emote: u8) {
        if self.emote == 0 || self.emote_age >= rules::EMOTE_REST {
            (self.emote, self.emote_age) = (emote, 0);
        }
    }
}
