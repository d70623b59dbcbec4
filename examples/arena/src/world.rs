//! The game: who plays, what lies and flies about, and what a tick does to it. It knows neither rooms nor
//! messages: [`crate::logic`] gives it inputs and shows it.

use crate::bots::{Brain, Own, Seen, Sight};
use crate::dice::Dice;
use crate::geometry::{DIRECTIONS, Vector, add, direction, distance, length, scale, sub};
use crate::input::{Input, InputQueue, THROW, TRAP};
use crate::movement::{Body, PLAYER_RADIUS, STEP_SECONDS, confine, step};
use crate::player::{Driver, Player};
use crate::rules;

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A round is played.
    Play,
    /// The best of the last round are shown; everybody may dance.
    Podium,
}

/// A lantern on the ground.
#[derive(Clone, Debug, PartialEq)]
pub struct Lantern {
    /// The entity that shows it; 0 until there is one.
    pub entity: u32,
    /// Where.
    pub at: Vector,
}

/// A bean bag in the air. It flies straight, so that what is shown of it never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Bean {
    /// The entity that shows it; 0 until there is one.
    pub entity: u32,
    /// Who threw it.
    pub by: u32,
    /// From where.
    pub from: Vector,
    /// Units a second.
    pub velocity: Vector,
    /// Ticks that it has flown.
    pub age: u32,
}

/// How somebody was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By a dash.
    Dash,
    /// By a bean bag.
    Bean,
    /// By a trap.
    Trap,
}

/// Something to tell. Players are named by their id.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody was hit.
    Hit {
        /// How.
        how: How,
        /// By whom.
        by: u32,
        /// Who.
        to: u32,
        /// Where.
        at: Vector,
        /// Lanterns that were dropped.
        dropped: u32,
    },
    /// Somebody handed lanterns in.
    Delivered {
        /// Who.
        by: u32,
        /// How many.
        lanterns: u32,
        /// Points for them.
        points: u32,
    },
    /// A round begins.
    Begun,
    /// A round is over.
    Over,
}

/// The state of one courtyard.
#[derive(Clone, Debug)]
pub struct World {
    /// What goes on.
    pub phase: Phase,
    /// Ticks until it ends.
    pub left: u32,
    /// The round's number, from 1.
    pub round: u32,
    /// Players by id, ascending.
    pub players: Vec<Player>,
    /// Lanterns on the ground.
    pub lanterns: Vec<Lantern>,
    /// Bean bags in the air.
    pub beans: Vec<Bean>,
    /// The entities of the last round's best, the first first.
    pub podium: Vec<u32>,
    /// Entities that show nothing any more.
    pub gone: Vec<u32>,
    /// What happened since it was told.
    pub events: Vec<Event>,
    pub(crate) dice: Dice,
    seats: u32,
    round_ticks: u32,
    last_id: u32,
    /// Ticks until a lantern may be lit.
    lights_in: u32,
}

/// What bots are called: roles of Korean mask dances.
const ROLES: [&str; rules::PLAYERS_MAX] = [
    "Yangban",
    "Seonbi",
    "Bune",
    "Gaksi",
    "Halmi",
    "Imae",
    "Choraengi",
    "Baekjeong",
    "Jung",
    "Juji",
    "Malttugi",
    "Chwibari",
    "Nojang",
    "Somu",
    "Miyal",
    "Saja",
    "Sangjwa",
    "Mokjung",
    "Omjung",
    "Waejangnyeo",
    "Aesadang",
    "Dokkebi",
    "Bibi",
    "Mundungi",
    "Yeonip",
    "Nunkkeumjeogi",
    "Sinharabi",
    "Yeongno",
    "Pojol",
    "Hongbaek",
    "Jongga",
    "Doryeong",
];

/// How far from the middle players come in.
const SPAWN_RADIUS: f64 = 15.5;

impl World {
    /// A courtyard in which bots fill so many seats and rounds last so many ticks.
    pub fn new(seed: u64, seats: u32, round_ticks: u32) -> Self {
        let mut world = Self {
            phase: Phase::Play,
            left: round_ticks,
            round: 0,
            players: Vec::new(),
            lanterns: Vec::new(),
            beans: Vec::new(),
            podium: Vec::new(),
            gone: Vec::new(),
            events: Vec::new(),
            dice: Dice::new(seed),
            seats: seats.min(rules::PLAYERS_MAX as u32),
            round_ticks,
            last_id: 0,
            lights_in: 0,
        };
        world.fill_seats();
        world.begin_round();
        world
    }

    /// Members that play.
    pub fn members(&self) -> usize {
        self.players.iter().filter(|player| !player.is_bot()).count()
    }

    /// The player that a member drives.
    pub fn of_member(&mut self, member: u32) -> Option<&mut Player> {
        self.players.iter_mut().find(|player| member != 0 && player.member() == member)
    }

    /// The entity that shows a player; 0 when it is gone or not shown yet.
    pub fn entity_of(&self, id: u32) -> u64 {
        let player = self.players.iter().find(|player| player.id == id);
        player.map_or(0, |player| u64::from(player.entity))
    }

    /// A member comes in; nothing where there is no room. A bot gives way to it.
    pub fn enter(&mut self, member: u32, name: Option<String>, color: Option<u8>) -> bool {
        if self.members() >= rules::PLAYERS_MAX || self.of_member(member).is_some() {
            return false;
        }
        if self.players.len() >= self.seats as usize {
            self.remove_bot();
        }
        let driver = Driver::Member { member, queue: InputQueue::default(), idle: 0 };
        self.add(name, color, driver);
        true
    }

    /// A member is gone; a bot takes the seat at the next tick.
    pub fn leave(&mut self, member: u32) {
        if let Some(index) = self.players.iter().position(|player| player.member() == member) {
            self.remove(index);
        }
    }

    /// One tick.
    pub fn tick(&mut self) {
        self.fill_seats();
        self.left = self.left.saturating_sub(1);
        match (self.phase, self.left) {
            (Phase::Play, 0) => self.end_round(),
            (Phase::Podium, 0) => self.begin_round(),
            _ => {}
        }
        let inputs = self.inputs();
        let dashing = self.move_players(&inputs);
        self.part_players();
        if self.phase == Phase::Play {
            // Before new ones: a bag is seen where it leaves the hand, even one that hits at once or flies into
            // the wall.
            self.fly_beans();
            self.act(&inputs);
            self.resolve_dashes(&dashing);
            self.spring_traps();
            self.pick_up();
            self.hand_in();
            self.light_lantern();
        }
    }

    /// Those who play, best first: by points, then by who has been here longer.
    pub fn ranking(&self) -> Vec<&Player> {
        let mut ranking: Vec<&Player> = self.players.iter().collect();
        ranking.sort_by_key(|player| std::cmp::Reverse(player.score));
        ranking
    }

    /// Makes as many bots as seats are empty.
    fn fill_seats(&mut self) {
        while self.players.len() < self.seats as usize {
            let brain = Brain::new(&mut self.dice);
            self.add(None, None, Driver::Bot(brain));
        }
    }

    /// Removes the bot with the fewest points, the newest of such.
    fn remove_bot(&mut self) {
        let bots = self.players.iter().enumerate().filter(|(_, player)| player.is_bot());
        let last = bots.min_by_key(|(_, player)| (player.score, std::cmp::Reverse(player.id)));
        if let Some((index, _)) = last {
            self.remove(index);
        }
    }

    fn add(&mut self, name: Option<String>, color: Option<u8>, driver: Driver) {
        self.last_id += 1;
        let id = self.last_id;
        let name = name.unwrap_or_else(|| match driver {
            Driver::Member { .. } => format!("Guest {id}"),
            Driver::Bot(_) => self.free_role().to_owned(),
        });
        let color = color.unwrap_or(((id * 5) % u32::from(rules::COLORS)) as u8);
        // Coprime to the number of directions: places do not repeat soon.
        let at = scale(direction(id as usize * 13), SPAWN_RADIUS);
        self.players.push(Player::new(id, name, color, driver, at));
    }

    fn free_role(&self) -> &'static str {
        let is_free = |role: &&&str| self.players.iter().all(|player| player.name != ***role);
        ROLES.iter().find(is_free).copied().unwrap_or(ROLES[0])
    }

    fn remove(&mut self, index: usize) {
        let player = self.players.remove(index);
        self.scatter(player.body.at, player.carried);
        self.gone.extend([player.entity, player.trap_entity]);
    }

    fn begin_round(&mut self) {
        (self.phase, self.left) = (Phase::Play, self.round_ticks);
        self.round += 1;
        self.podium.clear();
        let count = self.players.len().max(1);
        for (place, player) in self.players.iter_mut().enumerate() {
            player.begin_round(scale(direction(place * DIRECTIONS / count), SPAWN_RADIUS));
        }
        for _ in 0..self.lanterns_wanted() {
            self.light();
        }
        self.events.push(Event::Begun);
    }

    fn end_round(&mut self) {
        (self.phase, self.left) = (Phase::Podium, rules::PODIUM_TICKS);
        let best = self.ranking().into_iter().filter(|player| player.score > 0);
        let best: Vec<_> =
            best.take(rules::PODIUM_PLACES).map(|best| (best.id, best.entity)).collect();
        for player in &mut self.players {
            player.wins += u32::from(best.first().is_some_and(|(id, _)| *id == player.id));
            player.carried = 0;
            player.trap = None;
        }
        self.podium = best.into_iter().map(|(_, entity)| entity).collect();
        self.gone.extend(self.lanterns.drain(..).map(|lantern| lantern.entity));
        self.gone.extend(self.beans.drain(..).map(|bean| bean.entity));
        self.events.push(Event::Over);
    }

    /// What each player does in this tick, in their order.
    fn inputs(&mut self) -> Vec<Input> {
        let sight = self.sight();
        let Self { players, dice, .. } = self;
        players
            .iter_mut()
            .map(|player| {
                let own = Own {
                    id: player.id,
                    body: player.body,
                    carried: player.carried,
                    can_throw: player.throw_rest == 0,
                    can_trap: player.trap_rest == 0 && player.trap.is_none(),
                };
                match &mut player.driver {
                    Driver::Bot(brain) => brain.act(&own, &sight, dice),
                    Driver::Member { queue, idle, .. } => {
                        let input = queue.take();
                        *idle = if input.is_active() { 0 } else { idle.saturating_add(1) };
                        input
                    }
                }
            })
            .collect()
    }

    fn sight(&self) -> Sight {
        let players = self.players.iter().map(|player| Seen {
            id: player.id,
            at: player.body.at,
            velocity: player.body.velocity,
            carried: player.carried,
            is_open: player.is_open(),
        });
        Sight {
            players: players.collect(),
            lanterns: self.lanterns.iter().map(|lantern| lantern.at).collect(),
            ticks_left: (self.phase == Phase::Play).then_some(self.left),
        }
    }

    /// Moves everybody; says who dashed.
    fn move_players(&mut self, inputs: &[Input]) -> Vec<bool> {
        let moved = self.players.iter_mut().zip(inputs).map(|(player, input)| {
            let before = player.body.dash > 0;
            if player.body.stun == 0 {
                player.turn(input);
            }
            player.body = step(&player.body, &input.wish(), player.carried);
            player.wait();
            before || player.body.dash > 0
        });
        moved.collect()
    }

    /// Pushes apart those who stand in each other, half each; who dashes passes.
    fn part_players(&mut self) {
        let least = 2.0 * PLAYER_RADIUS;
        for second in 1..self.players.len() {
            let (before, after) = self.players.split_at_mut(second);
            let b = &mut after[0].body;
            for a in before.iter_mut().map(|player| &mut player.body) {
                let way = sub(b.at, a.at);
                let far = length(way);
                if far >= least || a.dash > 0 || b.dash > 0 {
                    continue;
                }
                let out = if far > 0.0 { scale(way, 1.0 / far) } else { [1.0, 0.0] };
                let half = scale(out, (least - far) / 2.0);
                (a.at, b.at) = (sub(a.at, half), add(b.at, half));
                confine(a);
                confine(b);
            }
        }
    }

    /// Throws and lays traps.
    fn act(&mut self, inputs: &[Input]) {
        for (player, input) in self.players.iter_mut().zip(inputs) {
            if player.body.stun > 0 {
                continue;
            }
            if input.holds(THROW) && player.throw_rest == 0 {
                let towards = player.throw_direction(input);
                let from = add(player.body.at, scale(towards, PLAYER_RADIUS));
                let velocity = scale(towards, rules::BEAN_SPEED);
                player.throw_rest = rules::THROW_REST;
                self.beans.push(Bean { entity: 0, by: player.id, from, velocity, age: 0 });
            }
            let is_free = length(player.body.at) > rules::FIRE_RADIUS + 1.0;
            if input.holds(TRAP) && player.trap_rest == 0 && is_free {
                player.trap = Some((player.body.at, rules::TRAP_ARMS));
                player.trap_rest = rules::TRAP_REST;
            }
        }
    }

    /// Lights a lantern where it is time for one.
    fn light_lantern(&mut self) {
        self.lights_in = self.lights_in.saturating_sub(1);
        if self.lights_in == 0 && self.lanterns.len() < self.lanterns_wanted() {
            let is_rush = self.left < rules::RUSH_TICKS;
            self.lights_in = if is_rush { rules::LANTERN_TICKS / 2 } else { rules::LANTERN_TICKS };
            self.light();
        }
    }

    fn lanterns_wanted(&self) -> usize {
        rules::LANTERNS_BASE + self.players.len() / rules::PLAYERS_PER_LANTERN
    }

    fn light(&mut self) {
        // Nearly 1 of 3 draws misses the ring; a lantern that misses it so often is left out.
        for _ in 0..16 {
            let far = rules::LANTERN_FAR;
            let at = [self.dice.between(-far, far), self.dice.between(-far, far)];
            if (rules::LANTERN_NEAR..far).contains(&length(at)) {
                self.put_lantern(at);
                return;
            }
        }
    }

    /// Drops lanterns around a place.
    pub(crate) fn scatter(&mut self, at: Vector, count: u32) {
        if self.phase != Phase::Play {
            return;
        }
        for _ in 0..count {
            let towards = direction(self.dice.below(DIRECTIONS as u32) as usize);
            let far = self.dice.between(1.8, 3.2);
            self.put_lantern(add(at, scale(towards, far)));
        }
    }

    /// Puts a lantern where a player can come.
    fn put_lantern(&mut self, at: Vector) {
        if self.lanterns.len() < rules::LANTERNS_MAX {
            let mut body = Body { at, ..Body::default() };
            confine(&mut body);
            self.lanterns.push(Lantern { entity: 0, at: body.at });
        }
    }
}

impl Bean {
    /// Where it is after so many ticks.
    pub fn at(&self, age: u32) -> Vector {
        add(self.from, scale(self.velocity, f64::from(age) * STEP_SECONDS))
    }

    /// How far it has come.
    pub fn flown(&self) -> f64 {
        distance(self.from, self.at(self.age))
    }
}

#[cfg(test)]
mod tests;
