//! Members that do not keep up with a room's state, and copies that are wrong.

use crate::helpers::{named_at, rules, world};
use crate::support::copy::Came;
use crate::support::world::World;
use madang_protocol::state::Part;

/// A room with two members on each of two shards, of which the last is not read by its client.
fn with_stalled(prefix: &str, config: &madang_engine::Config) -> (World, u32) {
    let mut world = world(config, 2);
    let mut channel = 0;
    for shard in [0, 1, 0, 1] {
        let client = world.native(shard);
        channel = world.enter(client, &named_at(prefix, 0, 2));
    }
    world.done(0, channel, &["create 1 #3 1 0 0", "hand 1 cards", "team #3 1", "plan 1 plan"]);
    for client in 0..4 {
        world.came(client, channel);
    }
    world.set_stalled(3, true);
    (world, channel)
}

#[test]
fn a_slow_member_is_owed_one_snapshot_and_nobody_else_notices() {
    for prefix in ["field-", "still-"] {
        let (mut world, channel) = with_stalled(prefix, &rules());
        let dropped = |world: &World| world.node.count(|stats| stats.dropped[4]);
        for n in 0..30 {
            world.done(0, channel, &[&format!("name 1 n{n}"), &format!("hand 1 h{n}")]);
        }
        assert!(dropped(&world) > 20, "{}", dropped(&world));
        let owed = |world: &World| world.node.count(|stats| stats.states_owed);
        assert_eq!(owed(&world), 1, "it is asked for once; from then on something waits");
        for client in 0..3 {
            let came = world.came(client, channel);
            let deltas = came.iter().filter(|came| matches!(came, Came::Delta(Part::Members, _)));
            assert_eq!(deltas.count(), 30, "client {client}");
            assert_eq!(world.state(client, channel).beginnings, 1);
        }
        world.came(3, channel);
        world.set_stalled(3, false);
        world.calm();
        world.tick();
        assert_eq!(owed(&world), 2, "and once when that was read");
        assert_eq!(world.state(3, channel).beginnings, 3);
        world.agree(channel);
        world.done(0, channel, &["name 1 after"]);
        world.agree(channel);
        assert_eq!(world.state(3, channel).beginnings, 3, "deltas again");
        world.clients[3].get_stats(&mut world.node);
        world.calm();
        let counts = world.the(3).stats[0].state;
        assert_eq!(counts.dropped, dropped(&world), "it can ask what it missed");
        assert_eq!(world.last_end(3), None);
    }
}

#[test]
fn an_acknowledgement_that_was_dropped_comes_with_the_snapshot() {
    for prefix in ["field-", "still-"] {
        let (mut world, channel) = with_stalled(prefix, &rules());
        for n in 0..12 {
            world.done(0, channel, &[&format!("count {n}")]);
        }
        let cseq = world.order(3, channel, "name 1 mine");
        world.calm();
        for n in 0..12 {
            world.done(0, channel, &[&format!("count {n}")]);
        }
        world.came(3, channel);
        world.set_stalled(3, false);
        world.calm();
        let came = world.came(3, channel);
        let ack = came.iter().position(|came| matches!(came, Came::Ack(_, at) if *at == cseq));
        let snapshot =
            came.iter().rposition(|came| matches!(came, Came::Snapshot(Part::Members, _)));
        assert!(ack.is_some() && ack < snapshot, "{came:?}");
        assert!(world.replica(3, channel).unacked.is_empty());
        world.agree(channel);
    }
}

#[test]
fn snapshots_that_are_read_slowly_arrive_all_the_same() {
    let mut config = rules();
    config.session.state_wait_ms = 100;
    let (mut world, channel) = with_stalled("field-", &config);
    world.order(0, channel, "counting 100000");
    world.pass_ms(1_000, 10);
    // The kernel takes a message at a time, and the client reads one now and then: each part of the
    // state waits for longer than deltas may.
    let id = world.the(3).socket.expect("it is connected");
    world.node.sockets[id].is_stalled = false;
    world.node.sockets[id].capacity = 1;
    world.came(3, channel);
    for _ in 0..40 {
        let World { node, clients, .. } = &mut world;
        clients[3].read(node, 1);
        node.sockets[id].is_stalled = true;
        world.pass_ms(150, 10);
        world.node.sockets[id].is_stalled = false;
    }
    let came = world.came(3, channel);
    let parts = [Part::Members, Part::Team(1), Part::Owner];
    for part in parts {
        let times = came.iter().filter(|came| matches!(came, Came::Snapshot(of, _) if *of == part));
        assert!(times.count() > 1, "{part:?} in {came:?}");
    }
    world.check();
}

#[test]
fn a_copy_that_is_wrong_is_counted_and_made_good_once() {
    for prefix in ["field-", "still-"] {
        for client in [0, 1] {
            let mut world = world(&rules(), 2);
            let (a, b) = (world.native(0), world.json(1));
            let channel = world.enter(a, &named_at(prefix, 0, 2));
            world.enter(b, &named_at(prefix, 0, 2));
            world.done(a, channel, &["create 1 #0 1 0 0", "team #0 1", "team #1 1"]);
            world.clients[client].resync(&mut world.node, channel);
            world.calm();
            world.tick();
            assert_eq!(world.node.count(|stats| stats.state_mismatches), 1);
            assert_eq!(world.node.count(|stats| stats.states_owed), 1);
            assert_eq!(world.state(client, channel).beginnings, 2);
            assert_eq!(world.state(1 - client, channel).beginnings, 1);
            world.done(a, channel, &["name 1 on"]);
            world.agree(channel);
        }
    }
}

#[test]
fn asking_for_the_state_of_a_room_that_one_has_left_means_nothing() {
    let mut world = world(&rules(), 2);
    let (a, b) = (world.native(1), world.native(0));
    let channel = world.enter(a, &named_at("field-", 0, 2));
    world.enter(b, &named_at("field-", 0, 2));
    world.order(b, channel, "kick #0");
    // It has not heard of it.
    world.node.turn(0, usize::MAX);
    world.clients[a].resync(&mut world.node, channel);
    world.calm();
    world.tick();
    let relay = world.enter(a, "relay");
    let resync = madang_protocol::client::Resync {
        channel: madang_protocol::ids::Channel(relay),
        part: Part::Members,
        tick: 1,
        hash: 1,
    };
    let message = madang_protocol::ClientMessage::Resync(resync);
    world.clients[a].send(&mut world.node, &message);
    world.calm();
    world.clients[a].leave(&mut world.node, relay);
    world.clients[a].send(&mut world.node, &message);
    world.calm();
    assert!(world.the(a).errors.is_empty(), "{:?}", world.the(a).errors);
    assert_eq!(world.last_end(a), None);
}
