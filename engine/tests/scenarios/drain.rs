//! Going away in good order.

use crate::helpers::{config, room_at, world};
use crate::support::client::{encode, join_named};
use crate::support::socket::FromClient;
use madang_engine::Input;
use madang_engine::input::Entry;
use madang_protocol::client::{ClientMessage, Hello};
use madang_protocol::{CloseCode, ErrorCode};

const DRAIN: (u32, u32) = (1_000, 5_000);

fn drain(world: &mut crate::support::world::World) {
    let (retry_min_ms, retry_max_ms) = DRAIN;
    for shard in 0..world.node.shards() {
        world.node.input(shard, Input::Drain { retry_min_ms, retry_max_ms });
    }
}

#[test]
fn everybody_is_told_when_to_come_back_each_at_another_time() {
    let mut world = world(&config(), 2);
    let clients: Vec<usize> = (0..20).map(|n| world.native(n % 2)).collect();
    drain(&mut world);
    world.calm();
    let mut hints: Vec<u32> =
        clients.iter().filter_map(|client| world.the(*client).draining).collect();
    assert!(hints.iter().all(|hint| (DRAIN.0..=DRAIN.1).contains(hint)));
    assert_eq!(hints.len(), 20);
    hints.sort_unstable();
    hints.dedup();
    assert!(hints.len() > 15, "they differ");
}

#[test]
fn nobody_new_comes_in_and_those_inside_go_on() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    drain(&mut world);
    world.calm();
    assert_eq!(world.refused(a, join_named("other")), ErrorCode::DRAINING);
    world.say(a, channel, "still here");
    world.calm();
    assert_eq!(world.heard(b, channel), ["still here"]);
    let id = world.node.connect(0, Entry::Native, 1000);
    let hello = Hello { version_min: 1, version_max: 1, ..Hello::default() };
    let data = encode(false, &ClientMessage::Hello(hello));
    world.node.send(id, FromClient::Message { data, text: false });
    world.calm();
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::DRAINING));
    let raw = world.node.connect(1, Entry::Raw { room: "raw.x".into(), echo: false }, 1000);
    assert_eq!(world.node.sockets[raw].closed, Some(CloseCode::DRAINING));
}

#[test]
fn one_shard_is_quiet_at_once() {
    let mut world = world(&config(), 1);
    world.node.input(0, Input::Quiesce);
    assert_eq!(world.node.quiesced, [true]);
}

/// Three shards, a client on each, and every one's message is on its way to a room elsewhere. The
/// links deliver in every order; whoever says it is quiet has everything.
#[test]
fn quiet_means_that_what_was_accepted_has_reached_every_queue() {
    for order in 0..24_usize {
        let mut config = config();
        config.peer_window_bytes = [300, 1 << 20][order % 2];
        let mut world = world(&config, 3);
        let clients = [world.native(0), world.native(1), world.native(2)];
        let mut channels = [0; 3];
        for client in clients {
            for (home, channel) in channels.iter_mut().enumerate() {
                *channel = world.enter(client, &room_at(home as u16, 3));
            }
        }
        for (n, client) in clients.into_iter().enumerate() {
            for channel in channels {
                world.say(client, channel, &format!("from {n} to {channel}"));
            }
            world.node.turn(n, usize::MAX);
        }
        world.node.is_reading = false;
        for shard in 0..3 {
            world.node.input(shard, Input::Quiesce);
        }
        for step in 0..2_000 {
            let stride = [1, 2, 4, 5, 7, 8][order % 6];
            let link = (step * stride + order / 3) % 9;
            world.node.deliver(link / 3, link % 3, 1 + order % 4);
            world.node.advance_us(50);
            world.node.timeout(step % 3);
        }
        assert_eq!(world.node.quiesced, [true; 3], "order {order}");
        for shard in 0..3 {
            for id in world.node.held_sockets(shard) {
                world.node.flush_socket(id);
            }
        }
        world.read_all();
        world.check();
        for (client, channel) in clients.into_iter().zip(channels) {
            assert_eq!(world.heard(client, channel).len(), 3, "order {order}");
        }
    }
}

#[test]
fn a_shard_that_is_lost_while_quiescing_does_not_hold_up_the_others() {
    let mut world = world(&config(), 2);
    world.native(0);
    world.node.input(0, Input::Quiesce);
    world.node.crash(1);
    world.node.input(1, Input::Quiesce);
    world.calm();
    assert_eq!(world.node.quiesced, [true; 2]);
}
