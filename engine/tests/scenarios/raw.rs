//! Rooms without an envelope.

use crate::helpers::{config, room_at, world};
use crate::support::client::join_named;
use crate::support::raw::RawClient;
use crate::support::socket::Gone;
use crate::support::world::World;
use madang_engine::input::Entry;
use madang_protocol::{CloseCode, ErrorCode};

/// Raw clients in one room, each on a shard and with or without echo.
fn raws(world: &mut World, room: &str, who: &[(usize, bool)]) {
    for (shard, echo) in who {
        let mut raw = RawClient::new(world.raws.len());
        raw.connect(&mut world.node, *shard, room, *echo);
        world.raws.push(raw);
    }
    world.calm();
}

fn send(world: &mut World, from: usize, data: &[u8], text: bool) {
    world.raws[from].send(&mut world.node, data.to_vec(), text);
}

fn heard(world: &World, raw: usize) -> Vec<(&[u8], bool)> {
    world.raws[raw].received.iter().map(|(data, text)| (&data[..], *text)).collect()
}

#[test]
fn text_and_binary_reach_the_others_as_they_came() {
    for shards in [1, 2] {
        let mut world = world(&config(), shards);
        let last = usize::from(shards) - 1;
        raws(&mut world, "raw.x", &[(0, false), (last, true), (last, false)]);
        send(&mut world, 0, b"hi", true);
        send(&mut world, 0, &[0, 255], false);
        world.calm();
        send(&mut world, 1, b"", true);
        world.calm();
        assert_eq!(heard(&world, 0), [(&b""[..], true)]);
        let all: [(&[u8], bool); 3] = [(b"hi", true), (&[0, 255], false), (b"", true)];
        assert_eq!(heard(&world, 1), all);
        assert_eq!(heard(&world, 2), all);
    }
}

#[test]
fn what_comes_before_the_room_has_answered_is_not_lost() {
    let mut world = world(&config(), 2);
    let room = format!("raw.{}", room_at(0, 2));
    raws(&mut world, &room, &[(0, false), (1, false)]);
    let home = madang_engine::peer::home_of(&room, 2).0 as usize;
    let id =
        world.node.connect(1 - home, Entry::Raw { room: room.as_str().into(), echo: true }, 999);
    assert!(world.node.sockets[id].read_paused, "it is not read before it is in");
    let mut raw = RawClient::new(2);
    raw.socket = Some(id);
    raw.echo = true;
    world.raws.push(raw);
    send(&mut world, 2, b"early", true);
    // As if it had been read in the same turn as the handshake.
    world.node.sockets[id].read_paused = false;
    world.calm();
    for raw in 0..3 {
        assert_eq!(heard(&world, raw), [(&b"early"[..], true)]);
    }
}

#[test]
fn a_raw_reader_that_is_too_slow_is_closed() {
    let mut config = config();
    config.session.outbound_messages_max = 3;
    let mut world = world(&config, 2);
    raws(&mut world, "raw.x", &[(0, false), (1, false), (0, false)]);
    let id = world.raws[1].socket.expect("it is connected");
    world.node.sockets[id].is_stalled = true;
    world.node.sockets[id].capacity = 0;
    for _ in 0..6 {
        world.raws[0].send_numbered(&mut world.node, 10);
        world.calm();
    }
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::SLOW_CONSUMER));
    assert_eq!(world.raws[2].received.len(), 6);
    assert_eq!(world.node.level(|stats| stats.sessions), 2, "there is nothing to resume");
}

#[test]
fn raw_members_on_a_shard_that_is_behind_are_closed_rather_than_left_with_a_hole() {
    let mut config = config();
    config.peer_window_bytes = 500;
    let mut world = world(&config, 2);
    let home = madang_engine::peer::home_of("raw.x", 2).0 as usize;
    raws(&mut world, "raw.x", &[(home, false), (1 - home, false), (home, false)]);
    for _ in 0..10 {
        world.raws[0].send_numbered(&mut world.node, 100);
        world.node.turn(home, usize::MAX);
    }
    world.calm();
    assert_eq!(world.raws[1].ends, [Some(CloseCode::SLOW_CONSUMER)]);
    assert_eq!(world.raws[2].received.len(), 10);
}

#[test]
fn a_raw_room_is_gone_when_it_is_empty() {
    let mut world = world(&config(), 2);
    raws(&mut world, "raw.x", &[(0, false), (1, false)]);
    assert_eq!(world.node.level(|stats| stats.rooms), 1);
    for raw in 0..2 {
        let World { node, raws, .. } = &mut world;
        raws[raw].cut(node, Gone::Noticed);
    }
    world.calm();
    assert_eq!(world.node.level(|stats| stats.rooms + stats.sessions), 0);
}

#[test]
fn kinds_do_not_mix() {
    let mut config = config();
    config.room.default_capacity = 1;
    let mut world = world(&config, 2);
    let a = world.native(0);
    world.enter(a, "lobby");
    assert_eq!(world.refused(a, join_named("raw.x")), ErrorCode::WRONG_KIND);
    raws(&mut world, "lobby", &[(0, false), (1, false)]);
    raws(&mut world, "free", &[(1, false), (0, false)]);
    assert_eq!(world.raws[0].ends, [Some(CloseCode::ROOM_REFUSED)]);
    assert_eq!(world.raws[1].ends, [Some(CloseCode::ROOM_REFUSED)]);
    assert!(world.raws[2].ends.is_empty());
    assert_eq!(world.raws[3].ends, [Some(CloseCode::ROOM_REFUSED)], "it is full");
    assert_eq!(world.refused(a, join_named("free")), ErrorCode::WRONG_KIND);
}

#[test]
fn a_raw_client_whose_room_is_lost_on_the_way_is_told_to_come_again() {
    let mut world = world(&config(), 2);
    let home = madang_engine::peer::home_of("raw.x", 2).0 as usize;
    let mut raw = RawClient::new(0);
    raw.connect(&mut world.node, 1 - home, "raw.x", false);
    world.raws.push(raw);
    world.node.crash(home);
    world.calm();
    assert_eq!(world.raws[0].ends, [Some(CloseCode::BUSY)]);
    world.raws.clear();
    raws(&mut world, "raw.x", &[(1 - home, false)]);
    world.node.crash(home);
    world.calm();
    assert_eq!(world.raws[0].ends, [Some(CloseCode::ROOM_CLOSED)]);
}
