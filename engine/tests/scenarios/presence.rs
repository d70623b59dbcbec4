//! Who is told about whom.

use crate::helpers::{config, create, room_at, world};
use crate::support::client::join_named;
use madang_protocol::ErrorCode;
use madang_protocol::client::{CreateOptions, Join, JoinOptions, PresenceMode};
use madang_protocol::value::Value;

fn with(presence: PresenceMode, name: &str) -> Join {
    let options = create(CreateOptions { presence: Some(presence), ..CreateOptions::default() });
    Join { options, ..join_named(name) }
}

#[test]
fn full_presence_tells_of_every_coming_and_going() {
    for home in [0, 1] {
        let mut world = world(&config(), 2);
        let (a, b) = (world.native(0), world.json(1));
        let room = room_at(home, 2);
        let channel = world.enter(a, &room);
        world.enter(b, &room);
        assert_eq!(world.replica(a, channel).members.len(), 2);
        let b_member = world.member(b, channel);
        world.drop_socket(b);
        world.calm();
        assert!(world.replica(a, channel).members[&b_member].away);
        world.connect(b, 0);
        assert!(!world.replica(a, channel).members[&b_member].away);
        world.clients[b].leave(&mut world.node, channel);
        world.calm();
        assert_eq!(world.replica(a, channel).members.len(), 1);
        assert_eq!(world.presences(a, channel), 4, "join, away, back, leave");
    }
}

#[test]
fn attributes_are_merged_and_told_and_acknowledge_themselves() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.json(1));
    let value = |name: &str, value: Value| (name.to_owned(), value);
    let attributes = vec![value("name", Value::Text("하나".into())), value("hp", Value::Int(3))];
    let options = JoinOptions { attributes, ..JoinOptions::default() };
    let channel = world.enter_with(a, Join { options, ..join_named("lobby") });
    world.enter(b, "lobby");
    let member = world.member(a, channel);
    let changes = vec![
        value("hp", Value::Null),
        value("alive", Value::Bool(true)),
        value("x", Value::Float(0.5)),
        value("none", Value::Null),
    ];
    world.clients[a].set_attributes(&mut world.node, channel, changes);
    world.calm();
    let expected = vec![
        value("name", Value::Text("하나".into())),
        value("alive", Value::Bool(true)),
        value("x", Value::Float(0.5)),
    ];
    for client in [a, b] {
        assert_eq!(world.replica(client, channel).members[&member].attributes, expected);
    }
    assert!(world.replica(a, channel).unacked.is_empty() && world.the(a).acks.is_empty());
    let c = world.native(0);
    world.enter(c, "lobby");
    assert_eq!(world.replica(c, channel).members[&member].attributes, expected);
    let large = vec![value("blob", Value::Bytes(vec![0; 3_000]))];
    world.clients[a].set_attributes(&mut world.node, channel, large);
    world.calm();
    assert_eq!(world.last_error(a), Some(ErrorCode::INVALID));
    assert_eq!(world.replica(b, channel).members[&member].attributes, expected, "all or nothing");
}

#[test]
fn count_presence_tells_a_number_now_and_then() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let channel = world.enter_with(a, with(PresenceMode::Count, "hall"));
    assert_eq!(world.replica(a, channel).count, Some(1));
    let others: Vec<usize> = (0..5).map(|n| world.native(n % 2)).collect();
    for other in &others {
        world.enter(*other, "hall");
    }
    world.pass_ms(600, 10);
    assert_eq!(world.replica(a, channel).count, Some(6));
    assert_eq!(world.replica(others[0], channel).count, Some(6));
    assert_eq!(world.presences(a, channel), 0);
    world.clients[a].set_attributes(&mut world.node, channel, vec![("x".into(), Value::Int(1))]);
    world.calm();
    assert_eq!(world.the(a).acks.len(), 1, "nobody is told: an ack answers");
    world.clients[others[1]].close(&mut world.node);
    world.calm();
    world.pass_ms(600, 10);
    assert_eq!(world.replica(a, channel).count, Some(5));
}

#[test]
fn without_presence_nobody_is_told_anything() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter_with(a, with(PresenceMode::None, "dark"));
    world.enter(b, "dark");
    world.pass_ms(600, 10);
    let replica = world.replica(a, channel);
    assert!(replica.members.is_empty() && replica.count.is_none() && replica.seen.is_empty());
}

#[test]
fn a_room_that_outgrows_full_presence_collapses_to_a_count() {
    let mut config = config();
    config.room.presence_full_max = 3;
    let mut world = world(&config, 2);
    let clients: Vec<usize> = (0..5).map(|n| world.native(n % 2)).collect();
    let mut channel = 0;
    for client in &clients[..4] {
        channel = world.enter(*client, "lobby");
    }
    assert_eq!(world.replica(clients[0], channel).presence, PresenceMode::Count);
    assert_eq!(world.replica(clients[0], channel).count, Some(4));
    assert_eq!(world.replica(clients[3], channel).count, Some(4));
    world.enter(clients[4], "lobby");
    world.pass_ms(600, 10);
    assert_eq!(world.replica(clients[0], channel).count, Some(5));
    let presences = world.presences(clients[0], channel);
    world.drop_socket(clients[1]);
    world.calm();
    assert_eq!(world.presences(clients[0], channel), presences, "no away in a count");
}
