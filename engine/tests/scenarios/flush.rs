//! Windows: a room gathers messages so that they leave together.

use crate::helpers::{config, room_at, world};
use crate::support::world::World;
use madang_engine::{Config, Input};
use madang_protocol::client::{Class, Join};

use crate::support::client::join_named;

const WINDOW_MS: u64 = 20;

fn windowed() -> Config {
    let mut config = config();
    config.room.flush_ms = WINDOW_MS;
    config
}

/// Lets some time pass, and everything that is not held by a window arrive.
fn pass(world: &mut World, ms: u64) {
    world.pass_ms(ms, 1);
    world.check();
}

#[test]
fn what_a_window_gathers_leaves_together_when_it_ends() {
    for home in [0, 1] {
        let mut world = world(&windowed(), 2);
        let (a, b) = (world.native(0), world.json(1));
        let room = room_at(home, 2);
        let channel = world.enter(a, &room);
        world.enter(b, &room);
        pass(&mut world, 3 * WINDOW_MS);
        for words in ["one", "two", "three"] {
            world.say(a, channel, words);
            pass(&mut world, 4);
            assert_eq!(world.heard(b, channel), [""; 0], "the window is open");
        }
        pass(&mut world, WINDOW_MS);
        assert_eq!(world.heard(b, channel), ["one", "two", "three"]);
        assert_eq!(world.heard(a, channel), world.heard(b, channel));
    }
}

#[test]
fn who_enters_or_returns_within_a_window_misses_and_repeats_nothing() {
    let mut world = world(&windowed(), 2);
    let (a, b, c) = (world.native(0), world.native(1), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.enter(b, &room);
    world.say(a, channel, "before");
    pass(&mut world, 2);
    world.drop_socket(b);
    world.say(a, channel, "while away");
    pass(&mut world, 2);
    world.enter_with(c, Join { history: 10, ..join_named(&room) });
    world.say(a, channel, "after");
    world.connect(b, 0);
    pass(&mut world, 3 * WINDOW_MS);
    for client in [a, b, c] {
        assert_eq!(world.heard(client, channel), ["before", "while away", "after"]);
    }
}

#[test]
fn of_class_latest_one_value_leaves_a_window() {
    let mut world = world(&windowed(), 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    pass(&mut world, 3 * WINDOW_MS);
    for value in ["1", "2", "3"] {
        world.publish(a, channel, Class::Latest(7), value);
        pass(&mut world, 2);
    }
    pass(&mut world, WINDOW_MS);
    assert_eq!(world.glimpsed(b, channel), ["3"]);
    assert_eq!(world.node.count(|stats| stats.conflated), 2);
}

#[test]
fn a_direct_message_keeps_its_place_among_what_is_gathered() {
    let mut world = world(&windowed(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.enter(b, &room);
    pass(&mut world, 3 * WINDOW_MS);
    let to = world.member(b, channel);
    world.say(a, channel, "first");
    let payload = crate::support::client::text("second");
    world.clients[a].direct(&mut world.node, channel, to, payload);
    world.say(a, channel, "third");
    pass(&mut world, 3 * WINDOW_MS);
    assert_eq!(world.heard(b, channel), ["first", "second", "third"]);
}

#[test]
fn quiescing_waits_for_no_window() {
    let mut config = windowed();
    config.room.flush_ms = 3_600_000;
    let mut world = world(&config, 2);
    let (a, b) = (world.native(0), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.enter(b, &room);
    world.say(a, channel, "gathered");
    pass(&mut world, 5);
    assert_eq!(world.heard(b, channel), [""; 0]);
    for shard in 0..2 {
        world.node.input(shard, Input::Quiesce);
    }
    world.calm();
    assert_eq!(world.heard(b, channel), ["gathered"]);
}
