//! Whole matches, and each rule by itself.

use super::*;
use crate::input::DASH;
use crate::movement::{CARRIED_MAX, DASH_SPEED, POSTS, REACH};

const ROUND_TICKS: u32 = 1200;

/// A courtyard with so many members and no bots, each standing by itself.
fn members(count: u32) -> World {
    let mut world = World::new(7, 0, ROUND_TICKS);
    for member in 1..=count {
        assert!(world.enter(member, None, None));
    }
    world.lanterns.clear();
    for (index, player) in world.players.iter_mut().enumerate() {
        player.body.at = [0.0, -18.0 + 3.0 * index as f64];
        player.guard = 0;
    }
    world
}

fn send(world: &mut World, member: u32, input: Input) {
    let Driver::Member { queue, .. } = &mut world.of_member(member).unwrap().driver else {
        panic!("a member")
    };
    let number = queue.dealt_with + 1;
    queue.push(number, input);
}

fn assert_sound(world: &World) {
    assert!(world.players.len() <= rules::PLAYERS_MAX);
    assert!(world.lanterns.len() <= rules::LANTERNS_MAX);
    assert!(world.beans.len() <= rules::PLAYERS_MAX);
    for player in &world.players {
        let body = &player.body;
        assert!(length(body.at) <= REACH + 1e-9, "{player:?}");
        let stands = |post: &crate::movement::Post| distance(body.at, post.at) - post.radius;
        assert!(POSTS.iter().all(|post| stands(post) >= PLAYER_RADIUS - 1e-9), "{player:?}");
        assert!(length(body.velocity) <= DASH_SPEED + 1e-9);
        assert!(player.carried <= CARRIED_MAX && usize::from(player.look) < DIRECTIONS);
        assert!(body.stun <= rules::TRAP_STUN && player.guard <= rules::GUARD_TICKS);
    }
    for lantern in &world.lanterns {
        assert!(length(lantern.at) <= REACH + 1e-9);
    }
    assert!(world.beans.iter().all(|bean| bean.flown() <= 10.0));
    assert!(world.players.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(world.podium.len() <= rules::PODIUM_PLACES);
}

#[test]
fn bots_play_whole_rounds_within_the_rules_and_use_all_of_them() {
    let mut hows = [0_u32; 3];
    let (mut delivered, mut rounds, mut most) = (0, 0, 0);
    for seed in 0..12 {
        let seats = [1, 2, 6, 12, 32][seed as usize % 5];
        let mut world = World::new(seed, seats, ROUND_TICKS);
        for _ in 0..2 * (ROUND_TICKS + rules::PODIUM_TICKS) {
            world.tick();
            assert_sound(&world);
            for event in world.events.drain(..) {
                match event {
                    Event::Hit { how, .. } => hows[how as usize] += 1,
                    Event::Delivered { lanterns, .. } => {
                        delivered += 1;
                        most = most.max(lanterns);
                    }
                    Event::Over => rounds += 1,
                    Event::Begun => {}
                }
            }
        }
        assert!(world.players.iter().map(|player| player.wins).sum::<u32>() == 2, "seed {seed}");
    }
    assert_eq!(rounds, 24);
    assert!(delivered > 500 && most >= 5, "{delivered} {most}");
    assert!(hows.iter().all(|count| *count > 20), "dashes, bags, traps: {hows:?}");
}

#[test]
fn one_seed_is_one_match_and_another_is_another() {
    let play = |seed| {
        let mut world = World::new(seed, 10, ROUND_TICKS);
        (0..800).for_each(|_| world.tick());
        let places: Vec<_> = world.players.iter().map(|player| player.body.at).collect();
        (format!("{places:?}"), world.lanterns, world.beans)
    };
    assert_eq!(play(5), play(5));
    assert_ne!(play(5), play(6));
}

#[test]
fn bots_give_way_to_members_and_come_back() {
    let mut world = World::new(1, 4, ROUND_TICKS);
    assert_eq!((world.players.len(), world.members()), (4, 0));
    for member in 1..=32 {
        assert!(world.enter(member, None, None));
        world.tick();
        assert_eq!(world.players.len(), 4.max(member as usize));
        assert_eq!(world.members(), member as usize);
    }
    assert!(!world.enter(33, None, None));
    for member in 1..=32 {
        world.leave(member);
    }
    assert!(world.players.is_empty());
    world.tick();
    assert_eq!((world.players.len(), world.members()), (4, 0));
    let names: std::collections::BTreeSet<_> = world.players.iter().map(|p| &p.name).collect();
    assert_eq!(names.len(), 4);
}

#[test]
fn a_dash_makes_a_rival_drop_and_two_bounce_off() {
    let mut world = members(2);
    world.players[0].body.at = [0.0, -10.0];
    world.players[1].body.at = [2.4, -10.0];
    world.players[1].carried = 5;
    let right = Input { go: [127, 0], buttons: DASH, ..Input::default() };
    send(&mut world, 1, right);
    world.tick();
    assert_eq!((world.players[1].carried, world.players[1].streak), (3, 0));
    assert_eq!(world.players[1].body.stun, rules::DASH_STUN);
    assert!(world.players[1].body.velocity[0] > 0.0 && world.players[0].body.dash == 0);
    let [.., Event::Hit { how: How::Dash, by, to, dropped: 2, .. }] = world.events[..] else {
        panic!("{:?}", world.events)
    };
    assert_eq!((by, to), (world.players[0].id, world.players[1].id));

    let mut world = members(2);
    world.players[0].body.at = [0.0, -10.0];
    world.players[1].body.at = [2.6, -10.0];
    world.players.iter_mut().for_each(|player| player.carried = 3);
    send(&mut world, 1, right);
    send(&mut world, 2, Input { go: [-127, 0], ..right });
    world.tick();
    assert!(world.players.iter().all(|player| player.carried == 3));
    let [left, right] = [0, 1].map(|index| world.players[index].body.velocity[0]);
    assert!(left < 0.0 && right > 0.0 && (left + right).abs() < 1e-9, "{left} {right}");
}

#[test]
fn a_bag_flies_to_the_first_in_its_way_and_not_through_posts() {
    let mut world = members(3);
    world.players[0].body.at = [0.0, -10.0];
    world.players[1].body.at = [5.0, -10.0];
    world.players[2].body.at = [7.0, -10.0];
    world.players[1].carried = 1;
    send(&mut world, 1, Input { aim: [127, 0], buttons: THROW, ..Input::default() });
    (0..8).for_each(|_| world.tick());
    assert!(world.beans.is_empty() && world.players[1].carried == 0);
    assert!(world.players[1].guard > 0 && world.players[2].guard == 0);

    let mut world = members(2);
    world.players[0].body.at = [4.0, 8.0];
    world.players[1].body.at = [11.0, 8.0];
    send(&mut world, 1, Input { aim: [127, 0], buttons: THROW, ..Input::default() });
    (0..12).for_each(|_| world.tick());
    assert!(world.beans.is_empty() && world.players[1].body.stun == 0);
    assert!(world.events.iter().all(|event| !matches!(event, Event::Hit { .. })));
}

#[test]
fn a_bag_thrown_into_the_wall_is_seen_for_a_tick() {
    let mut world = members(1);
    world.players[0].body.at = [REACH, 0.0];
    send(&mut world, 1, Input { aim: [127, 0], buttons: THROW, ..Input::default() });
    world.tick();
    assert_eq!(world.beans.len(), 1);
    world.tick();
    assert!(world.beans.is_empty());
}

#[test]
fn a_trap_springs_under_a_rival_and_never_under_its_owner() {
    let mut world = members(2);
    world.players[0].body.at = [0.0, -10.0];
    world.players[1].body.at = [0.0, 12.0];
    world.players[1].carried = 6;
    send(&mut world, 1, Input { buttons: TRAP, ..Input::default() });
    (0..rules::TRAP_ARMS + 5).for_each(|_| world.tick());
    assert!(world.players[0].trap.is_some_and(|(_, arms)| arms == 0));
    world.players[0].body.at = [0.0, -14.0];
    world.players[1].body.at = [0.8, -10.6];
    world.tick();
    assert_eq!(world.players[0].trap, None);
    assert_eq!(world.players[0].score, rules::TRAP_POINTS);
    assert_eq!((world.players[1].carried, world.players[1].body.stun), (2, rules::TRAP_STUN));
}

#[test]
fn lanterns_go_to_the_nearest_and_many_at_once_are_worth_more() {
    let mut world = members(2);
    world.players[0].body.at = [10.0, 4.0];
    world.players[1].body.at = [10.0, 5.8];
    world.lanterns = vec![Lantern { entity: 0, at: [10.0, 5.0] }];
    world.tick();
    assert_eq!((world.players[0].carried, world.players[1].carried), (0, 1));
    world.players[1].carried = 4;
    world.players[1].body.at = [1.0, 1.0];
    world.tick();
    assert_eq!((world.players[1].carried, world.players[1].score), (0, 10));
    assert_eq!(world.players[1].streak, 1);
}

#[test]
fn a_guard_keeps_one_who_was_hit_from_the_next_hit() {
    let mut world = members(2);
    world.players[0].body.at = [0.0, -10.0];
    world.players[1].body.at = [2.4, -10.0];
    let dash = Input { go: [127, 0], buttons: DASH, ..Input::default() };
    send(&mut world, 1, dash);
    world.tick();
    for _ in 0..rules::DASH_STUN + rules::GUARD_TICKS - 1 {
        assert!(!world.players[1].is_open());
        world.tick();
    }
    world.tick();
    assert!(world.players[1].is_open());
}

#[test]
fn a_round_ends_with_the_best_on_the_podium_and_the_next_begins_anew() {
    let mut world = members(4);
    for (index, player) in world.players.iter_mut().enumerate() {
        (player.score, player.entity) = ([3, 0, 9, 9][index], 10 + index as u32);
    }
    world.left = 1;
    world.tick();
    assert_eq!(world.phase, Phase::Podium);
    assert_eq!(world.podium, [12, 13, 10]);
    assert_eq!(world.players[2].wins, 1);
    assert!(world.lanterns.is_empty());
    for _ in 1..rules::PODIUM_TICKS {
        send(&mut world, 1, Input { buttons: THROW | TRAP, ..Input::default() });
        world.tick();
        assert!(world.beans.is_empty() && world.players[0].trap.is_none());
    }
    world.tick();
    assert_eq!((world.phase, world.round), (Phase::Play, 2));
    assert!(world.podium.is_empty() && !world.lanterns.is_empty());
    assert!(world.players.iter().all(|player| player.score == 0 && player.carried == 0));
}
