//! What players do to each other and to what lies about. Who is nearest comes first, never who is first
//! in a list, so that no seat is better than another.

use crate::geometry::{Vector, distance, length, scale, segment_distance, sub, unit};
use crate::movement::{CARRIED_MAX, COURTYARD_RADIUS, POSTS};
use crate::rules;
use crate::world::{Event, How, World};

/// What a hit does.
struct Blow {
    how: How,
    stun: u32,
    push: Vector,
    drops: u32,
}

/// A dash keeps so much of its velocity when it hits.
const DASH_RECOIL: f64 = 0.25;
/// A bean bag's radius.
const BEAN_RADIUS: f64 = 0.3;

impl World {
    /// Dashes that reach somebody. Two that dash into each other bounce off, and nothing is dropped.
    pub(crate) fn resolve_dashes(&mut self, dashing: &[bool]) {
        let mut hits = Vec::new();
        for (victim, player) in self.players.iter().enumerate() {
            if !player.is_open() {
                continue;
            }
            let near = self
                .players
                .iter()
                .enumerate()
                .filter(|(index, by)| *index != victim && dashing[*index] && by.body.stun == 0);
            let near = near.map(|(index, by)| (distance(by.body.at, player.body.at), index));
            let near = near.filter(|(far, _)| *far < rules::DASH_HIT_RADIUS);
            let nearest = near.min_by(|(a, _), (b, _)| a.total_cmp(b));
            hits.extend(nearest.map(|(_, by)| (by, victim)));
        }
        // All of them as they stand now: what one does changes nothing for another.
        let blows: Vec<_> = hits.iter().map(|hit| (*hit, self.dash_blow(*hit, dashing))).collect();
        for (by, _) in hits {
            let dasher = &mut self.players[by].body;
            dasher.dash = 0;
            dasher.velocity = scale(dasher.velocity, DASH_RECOIL);
        }
        for ((by, victim), blow) in blows {
            self.hit(self.players[by].id, victim, &blow);
        }
    }

    fn dash_blow(&self, (by, victim): (usize, usize), dashing: &[bool]) -> Blow {
        let (from, to) = (self.players[by].body, self.players[victim].body.at);
        let out = unit(sub(to, from.at)).or(unit(from.velocity)).unwrap_or([1.0, 0.0]);
        let (stun, drops) = if dashing[victim] {
            (rules::CLASH_STUN, 0)
        } else {
            (rules::DASH_STUN, rules::DASH_DROPS)
        };
        Blow { how: How::Dash, stun, push: scale(out, rules::DASH_PUSH), drops }
    }

    /// Bean bags fly on, to who is first in their way, a post, the wall, or the end of their flight.
    pub(crate) fn fly_beans(&mut self) {
        let mut beans = std::mem::take(&mut self.beans);
        beans.retain_mut(|bean| {
            let (from, to) = (bean.at(bean.age), bean.at(bean.age + 1));
            bean.age += 1;
            let mut first: Option<(f64, usize)> = None;
            for (index, player) in self.players.iter().enumerate() {
                let (far, along) = segment_distance(player.body.at, from, to);
                let is_hit =
                    player.id != bean.by && player.is_open() && far < rules::BEAN_HIT_RADIUS;
                if is_hit && first.is_none_or(|(least, _)| along < least) {
                    first = Some((along, index));
                }
            }
            if let Some((_, victim)) = first {
                let push = unit(bean.velocity).unwrap_or([1.0, 0.0]);
                let blow = Blow {
                    how: How::Bean,
                    stun: rules::BEAN_STUN,
                    push: scale(push, rules::BEAN_PUSH),
                    drops: rules::BEAN_DROPS,
                };
                self.hit(bean.by, victim, &blow);
            }
            let stops = POSTS
                .iter()
                .any(|post| segment_distance(post.at, from, to).0 < post.radius + BEAN_RADIUS);
            let is_out = length(to) > COURTYARD_RADIUS - BEAN_RADIUS;
            let stays = first.is_none() && !stops && !is_out && bean.age < rules::BEAN_TICKS;
            if !stays {
                self.gone.push(bean.entity);
            }
            stays
        });
        self.beans = beans;
    }

    /// Traps that somebody walks into.
    pub(crate) fn spring_traps(&mut self) {
        for owner in 0..self.players.len() {
            let Some((at, 0)) = self.players[owner].trap else { continue };
            let others = self.players.iter().enumerate().filter(|(index, _)| *index != owner);
            let near = others.filter(|(_, player)| player.is_open());
            let near = near.map(|(index, player)| (distance(player.body.at, at), index));
            let near = near.filter(|(far, _)| *far < rules::TRAP_RADIUS);
            let Some((_, victim)) = near.min_by(|(a, _), (b, _)| a.total_cmp(b)) else { continue };
            self.players[owner].trap = None;
            self.players[owner].score += rules::TRAP_POINTS;
            let (stun, drops) = (rules::TRAP_STUN, rules::TRAP_DROPS);
            let blow = Blow { how: How::Trap, stun, push: [0.0, 0.0], drops };
            self.hit(self.players[owner].id, victim, &blow);
        }
    }

    /// Lanterns go to who is nearest and can carry one more.
    pub(crate) fn pick_up(&mut self) {
        let Self { lanterns, players, gone, .. } = self;
        lanterns.retain(|lantern| {
            let can = players
                .iter_mut()
                .filter(|player| player.body.stun == 0 && player.carried < CARRIED_MAX);
            let near = can.map(|player| (distance(player.body.at, lantern.at), player));
            let near = near.filter(|(far, _)| *far < rules::PICK_RADIUS);
            let Some((_, nearest)) = near.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
                return true;
            };
            nearest.carried += 1;
            gone.push(lantern.entity);
            false
        });
    }

    /// Who reaches the fire hands in what it carries.
    pub(crate) fn hand_in(&mut self) {
        for player in &mut self.players {
            let is_there = length(player.body.at) < rules::FIRE_RADIUS;
            if is_there && player.carried > 0 && player.body.stun == 0 {
                let lanterns = std::mem::take(&mut player.carried);
                let points = rules::points_for(lanterns);
                player.score += points;
                player.streak += 1;
                self.events.push(Event::Delivered { by: player.id, lanterns, points });
            }
        }
    }

    fn hit(&mut self, by: u32, victim: usize, blow: &Blow) {
        let player = &mut self.players[victim];
        let dropped = player.carried.min(blow.drops);
        player.carried -= dropped;
        player.streak = 0;
        player.guard = rules::GUARD_TICKS;
        player.body.dash = 0;
        player.body.stun = blow.stun;
        player.body.velocity = blow.push;
        let (to, at) = (player.id, player.body.at);
        self.scatter(at, dropped);
        self.events.push(Event::Hit { how: blow.how, by, to, at, dropped });
    }
}
