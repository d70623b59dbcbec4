//! The flow between shards under pressure.

use crate::helpers::{config, room_at, world};
use crate::support::client::text;
use crate::support::world::World;
use madang_engine::Config;
use madang_engine::output::Event;
use madang_protocol::client::{Class, CreateOptions, Join, PresenceMode};

/// A writer at the room's home and a reader on the other shard, with a narrow link between.
fn pair(change: impl FnOnce(&mut Config)) -> (World, usize, usize, u32) {
    let mut config = config();
    config.peer_window_bytes = 600;
    change(&mut config);
    let mut world = world(&config, 2);
    let (a, b) = (world.native(0), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.enter(b, &room);
    (world, a, b, channel)
}

/// Lets shard 0 work while the link to shard 1 stands still.
fn work(world: &mut World, turns: usize) {
    for _ in 0..turns {
        world.node.turn(0, usize::MAX);
    }
}

fn lagged(world: &World) -> usize {
    world.node.events.iter().filter(|event| matches!(event, Event::Lagged { .. })).count()
}

#[test]
fn a_full_window_makes_the_room_lag_and_the_log_makes_it_good() {
    let (mut world, a, b, channel) = pair(|_| {});
    for n in 0..30 {
        world.say(a, channel, &format!("m{n}"));
        work(&mut world, 1);
    }
    assert_eq!(lagged(&world), 1);
    let queued = world.node.waiting(0, 1);
    assert!(queued < 15, "{queued} messages in a window of 600 bytes");
    world.calm();
    assert_eq!(world.heard(b, channel).len(), 30);
    assert!(world.replica(b, channel).gaps.is_empty());
    world.say(a, channel, "m30");
    world.calm();
    assert_eq!(world.heard(b, channel).len(), 31, "it is live again");
}

#[test]
fn directs_types_and_values_are_made_good_in_their_order() {
    let (mut world, a, b, channel) = pair(|_| {});
    let to = world.member(b, channel);
    for n in 0..20 {
        let name = format!("type-{n}");
        let World { node, clients, .. } = &mut world;
        clients[a].publish(node, channel, Class::Reliable, &name, text(&format!("m{n}")));
        clients[a].direct(node, channel, to, text(&format!("d{n}")));
        clients[a].publish(node, channel, Class::Latest(n % 3), &name, text(&format!("v{n}")));
        work(&mut world, 1);
    }
    world.calm();
    let expected: Vec<String> = (0..20).flat_map(|n| [format!("m{n}"), format!("d{n}")]).collect();
    assert_eq!(world.heard(b, channel), expected);
    let mut newest: Vec<String> = world
        .replica(b, channel)
        .latest
        .values()
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    newest.sort();
    assert_eq!(newest, ["v17", "v18", "v19"]);
    assert!(lagged(&world) >= 1);
}

#[test]
fn a_type_that_makes_the_link_full_does_not_swallow_its_message() {
    for behind in 0..12 {
        let (mut world, a, b, channel) = pair(|_| {});
        for n in 0..behind {
            world.say(a, channel, &format!("m{n}"));
            work(&mut world, 1);
        }
        let World { node, clients, .. } = &mut world;
        let to = clients[b].rooms[&channel].member;
        clients[a].publish(node, channel, Class::Reliable, "new", text("new"));
        clients[a].direct(node, channel, to, text("direct"));
        work(&mut world, 1);
        world.calm();
        assert_eq!(world.heard(b, channel).len(), behind + 2, "behind {behind} messages");
    }
}

#[test]
fn a_history_that_does_not_reach_back_ends_in_a_gap() {
    let (mut world, a, b, channel) = pair(|config| config.room.history_messages_max = 5);
    for n in 0..30 {
        world.say(a, channel, &format!("m{n}"));
        work(&mut world, 1);
    }
    world.calm();
    let heard = world.heard(b, channel);
    assert_eq!(world.replica(b, channel).gaps.len(), 1);
    assert_eq!(heard[heard.len() - 5..], ["m25", "m26", "m27", "m28", "m29"]);
    assert!(heard.len() < 30);
    assert_eq!(world.node.count(|stats| stats.gaps), 1);
}

#[test]
fn a_history_of_nothing_at_all_ends_in_a_gap_too() {
    let (mut world, a, b, channel) = pair(|config| config.room.history_bytes_max = 50);
    for n in 0..20 {
        world.say(a, channel, &format!("{n:=<60}"));
        work(&mut world, 1);
    }
    world.calm();
    let replica = world.replica(b, channel);
    assert_eq!(replica.gaps.last().map(|(_, to)| *to), Some(replica.position));
}

#[test]
fn a_writer_into_a_full_link_is_not_read_until_it_has_drained() {
    let mut config = config();
    config.peer_window_bytes = 600;
    let mut world = world(&config, 2);
    let b = world.native(1);
    let channel = world.enter(b, &room_at(0, 2));
    let id = world.the(b).socket.expect("it is connected");
    for n in 0..30 {
        world.say(b, channel, &format!("m{n}"));
    }
    for _ in 0..5 {
        world.node.turn(1, usize::MAX);
    }
    assert!(world.node.sockets[id].read_paused);
    assert!(world.node.waiting(1, 0) < 15);
    world.calm();
    assert!(!world.node.sockets[id].read_paused);
    assert_eq!(world.heard(b, channel).len(), 30);
    assert!(world.node.count(|stats| stats.link_pauses) > 0);
}

#[test]
fn a_room_that_lags_still_answers_and_admits() {
    let (mut world, a, b, channel) = pair(|_| {});
    for n in 0..20 {
        world.say(a, channel, &format!("m{n}"));
        work(&mut world, 1);
    }
    let c = world.add(false, 1 << 16);
    world.clients[c].connect(&mut world.node, 1);
    world.node.turn(1, usize::MAX);
    world.read_all();
    let join = crate::support::client::join_named(&room_at(0, 2));
    world.clients[c].join(&mut world.node, Join { history: 5, ..join });
    world.node.turn(1, usize::MAX);
    let waiting = world.node.waiting(1, 0);
    world.node.deliver(1, 0, waiting);
    world.say(a, channel, "m20");
    world.calm();
    assert_eq!(world.heard(c, channel), ["m15", "m16", "m17", "m18", "m19", "m20"]);
    assert_eq!(world.heard(b, channel).len(), 21);
}

#[test]
fn a_count_that_a_full_link_swallowed_comes_with_the_resync() {
    let mut config = config();
    config.peer_window_bytes = 600;
    let mut world = world(&config, 2);
    let (a, b, c) = (world.native(0), world.native(1), world.native(0));
    let room = room_at(0, 2);
    let options = crate::helpers::create(CreateOptions {
        presence: Some(PresenceMode::Count),
        ..CreateOptions::default()
    });
    let join = Join { options, ..crate::support::client::join_named(&room) };
    let channel = world.enter_with(a, join.clone());
    world.enter_with(b, join.clone());
    world.pass_ms(600, 10);
    for n in 0..20 {
        world.say(a, channel, &format!("m{n}"));
        work(&mut world, 1);
    }
    world.clients[c].join(&mut world.node, join);
    work(&mut world, 2);
    world.node.advance_us(700_000);
    work(&mut world, 2);
    world.calm();
    assert_eq!(world.replica(b, channel).count, Some(3));
}

#[test]
fn a_lost_shard_takes_its_members_and_its_rooms_along_and_nothing_else() {
    let mut world = world(&config(), 3);
    let clients = [world.native(0), world.native(1), world.native(2)];
    let rooms = [room_at(0, 3), room_at(1, 3), room_at(2, 3)];
    let mut channels = [0; 3];
    for client in clients {
        for (room, channel) in rooms.iter().zip(&mut channels) {
            *channel = world.enter(client, room);
        }
    }
    world.node.crash(1);
    world.calm();
    assert_eq!(world.the(clients[1]).ends, [None]);
    for client in [clients[0], clients[2]] {
        assert_eq!(world.the(client).rooms.len(), 2);
        assert_eq!(world.the(client).lefts.len(), 1);
        assert_eq!(world.replica(client, channels[0]).members.len(), 2);
    }
    world.connect(clients[1], 1);
    assert!(!world.the(clients[1]).welcomes[1].resumed);
    for (client, name) in [(clients[1], &rooms[0]), (clients[0], &rooms[1])] {
        world.enter(client, name);
    }
    world.say(clients[1], channels[0], "back");
    world.calm();
    assert_eq!(world.heard(clients[2], channels[0]), ["back"]);
}
