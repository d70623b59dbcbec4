//! What is given up for want of memory, and that it is counted.

use crate::helpers::{config, world};
use crate::support::client::{join_named, text};
use crate::support::world::World;
use madang_engine::input::{Input, Shed};
use madang_protocol::ErrorCode;
use madang_protocol::client::Class;

fn shed(world: &mut World, level: Shed) {
    for shard in 0..world.node.shards() {
        world.node.input(shard, Input::Shed(level));
    }
    world.calm();
}

fn publish(world: &mut World, client: usize, channel: u32, class: Class, words: &str) {
    let World { node, clients, .. } = world;
    clients[client].publish(node, channel, class, "move", text(words));
    world.calm();
}

#[test]
fn volatile_goes_first_then_latest_and_reliable_never() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    let ephemerals = |world: &World| world.replica(b, channel).ephemerals.len();
    publish(&mut world, a, channel, Class::Volatile, "one");
    publish(&mut world, a, channel, Class::Latest(1), "two");
    assert_eq!(ephemerals(&world), 2);

    shed(&mut world, Shed::Volatile);
    publish(&mut world, a, channel, Class::Volatile, "three");
    assert_eq!(ephemerals(&world), 2, "volatile ones are dropped");
    publish(&mut world, a, channel, Class::Latest(1), "four");
    assert_eq!(ephemerals(&world), 3);
    assert_eq!(world.node.count(|stats| stats.shed_volatile), 1);

    let late = world.native(0);
    world.enter(late, "lobby");
    assert_eq!(world.replica(late, channel).ephemerals.len(), 1, "the current value");
    shed(&mut world, Shed::Latest);
    publish(&mut world, a, channel, Class::Latest(1), "five");
    assert_eq!(ephemerals(&world), 4, "who is here gets it");
    let later = world.native(1);
    world.enter(later, "lobby");
    assert_eq!(world.replica(later, channel).ephemerals.len(), 0, "who comes gets none");
    assert_eq!(world.node.count(|stats| stats.shed_latest), 1);

    publish(&mut world, a, channel, Class::Reliable, "six");
    assert_eq!(world.heard(b, channel).len(), 1);
    shed(&mut world, Shed::Nothing);
    publish(&mut world, a, channel, Class::Volatile, "seven");
    assert_eq!(ephemerals(&world), 5);
}

#[test]
fn in_the_end_no_room_is_made_and_no_log_grows_but_who_is_here_goes_on() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    let held = |world: &World| {
        world.node.engines.iter().map(madang_engine::Engine::held_bytes).sum::<u64>()
    };
    let words = |n: usize, bytes: usize| format!("{n:>bytes$}");
    for n in 0..8 {
        publish(&mut world, a, channel, Class::Reliable, &words(n, 500));
    }
    shed(&mut world, Shed::Spectators);
    let before = held(&world);
    publish(&mut world, a, channel, Class::Reliable, &words(8, 500));
    assert!(held(&world) > before, "until then logs grow");
    world.enter(b, "early");

    shed(&mut world, Shed::Connections);
    let before = held(&world);
    for n in 9..29 {
        publish(&mut world, a, channel, Class::Reliable, &words(n, 400));
    }
    assert!(held(&world) <= before, "{} after {before}", held(&world));
    assert_eq!(world.heard(b, channel).len(), 29, "and everybody hears everything");
    let newcomer = world.native(0);
    let refused = world.refused(newcomer, join_named("hall"));
    assert_eq!(refused, ErrorCode::SERVER_FULL);
    assert_eq!(world.node.count(|stats| stats.shed_rooms), 1);
    world.enter(newcomer, "lobby");

    shed(&mut world, Shed::Spectators);
    world.enter(newcomer, "hall");
}

#[test]
fn what_rooms_and_queues_hold_is_counted_and_given_back() {
    let mut config = config();
    config.room.linger_ms = 100;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    let before = world.node.engines[0].held_bytes();
    publish(&mut world, a, channel, Class::Reliable, &"x".repeat(10_000));
    publish(&mut world, a, channel, Class::Latest(1), &"y".repeat(5_000));
    let held = world.node.engines[0].held_bytes() - before;
    assert!((15_000..16_000).contains(&held), "{held}");
    let id = world.the(a).socket.expect("it is connected");
    world.node.sockets[id].is_stalled = true;
    let World { node, clients, .. } = &mut world;
    node.sockets[id].is_stalled = true;
    clients[a].leave(node, channel);
    world.pass_ms(500, 50);
    world.node.sockets[id].is_stalled = false;
    world.calm();
    assert_eq!(world.node.engines[0].held_bytes(), 0);
}
