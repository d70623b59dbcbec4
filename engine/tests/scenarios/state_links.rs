//! State across shards: full links, lost shards.

use crate::helpers::{named_at, rules, world};
use crate::support::world::World;

#[test]
fn members_on_a_shard_that_fell_behind_end_with_the_state_of_all() {
    for prefix in ["field-", "still-", "plain-"] {
        let mut config = rules();
        config.peer_window_bytes = 600;
        let mut world = world(&config, 2);
        let clients = [world.native(0), world.native(1), world.json(1), world.native(1)];
        let mut channel = 0;
        for client in clients {
            channel = world.enter(client, &named_at(prefix, 0, 2));
        }
        world.done(0, channel, &["create 1 #1 1 0 0", "team #1 1", "team #2 1"]);
        for view in ["view #1 0 0", "view #2 3 3", "view #3 40 40"] {
            world.done(0, channel, &[view]);
        }
        // The home goes on while nothing is delivered to the other shard.
        for n in 0..40 {
            world.order(0, channel, &format!("name 1 {n:=<40}"));
            world.order(0, channel, &format!("hand 1 {n:=<40}"));
            world.order(0, channel, &format!("plan 1 {n:=<40}"));
            world.node.advance_us(50_000);
            world.node.turn(0, usize::MAX);
        }
        assert!(world.node.count(|stats| stats.lagged) > 0, "it fell behind");
        assert!(world.node.count(|stats| stats.dropped[4]) > 0, "and that is counted");
        world.calm();
        world.tick();
        assert!(world.node.reached.contains_key("state lagged"));
        world.agree(channel);
        world.done(0, channel, &["name 1 later", "hand 1 later", "plan 1 later"]);
        world.agree(channel);
        assert!(world.replica(1, channel).gaps.is_empty(), "ticks are not missed messages");
    }
}

#[test]
fn a_shard_that_is_lost_takes_its_rooms_along_and_its_members_leave_others() {
    let mut world = world(&rules(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let here = world.enter(a, &named_at("field-", 0, 2));
    world.enter(b, &named_at("field-", 0, 2));
    let there = world.enter(a, &named_at("field-", 1, 2));
    world.done(a, here, &["create 1 #1 1 0 0", "arm leave count 3", "arm leave say lost"]);
    world.node.crash(1);
    world.pass_ms(200, 10);
    world.calm();
    assert!(!world.the(a).rooms.contains_key(&there));
    assert_eq!(world.heard(a, here), ["lost"], "the rules were told");
    assert_eq!(world.room(here).members.len(), 1);
    world.connect(b, 1);
    world.enter(b, &named_at("field-", 0, 2));
    world.done(b, here, &["name 1 again"]);
    world.agree(here);
}

/// What came out of everything, and what is in the room, for the same orders.
fn trace(seed: u64) -> u64 {
    let mut world = World::new(&rules(), 2, seed);
    let (a, b) = (world.native(0), world.json(1));
    let channel = world.enter(a, &named_at("field-", 0, 2));
    world.enter(b, &named_at("field-", 0, 2));
    world.done(a, channel, &["create 1 #0 1 0 0", "create 1 #1 1 5 5", "wander 30"]);
    world.pass_ms(2_000, 10);
    world.node.trace
}

#[test]
fn the_same_seed_and_inputs_give_the_same_outputs_also_where_rules_draw_numbers() {
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}
