//! A client that sends too much is read more slowly.

use crate::helpers::{config, world};
use crate::support::client::join_named;
use crate::support::world::World;
use madang_protocol::{CloseCode, ErrorCode};

#[test]
fn beyond_the_burst_reading_pauses_until_the_debt_is_earned_back() {
    let mut config = config();
    config.session.messages_per_second = 10;
    config.session.messages_burst = 5;
    let mut world = world(&config, 2);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    let id = world.the(a).socket.expect("it is connected");
    for n in 0..20 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.round();
    assert!(world.node.sockets[id].read_paused);
    let unread = world.node.sockets[id].inbound.len();
    assert!((13..=17).contains(&unread), "{unread} are left for later");
    world.pass_ms(500, 10);
    let later = world.node.sockets[id].inbound.len();
    assert!((unread - 6..=unread - 4).contains(&later), "five in half a second, not {later}");
    world.calm();
    let heard = world.heard(a, channel);
    assert_eq!(heard.len(), 20, "slower, but all of it");
    assert!(world.node.count(|stats| stats.rate_pauses) > 5);
}

#[test]
fn bytes_count_as_well_as_messages() {
    let mut config = config();
    config.session.bytes_per_second = 1_000;
    config.session.bytes_burst = 500;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    let id = world.the(a).socket.expect("it is connected");
    world.say(a, channel, &"x".repeat(1_000));
    world.say(a, channel, "next");
    world.round();
    assert_eq!(world.node.sockets[id].inbound.len(), 1);
    world.pass_ms(450, 10);
    assert_eq!(world.node.sockets[id].inbound.len(), 1);
    world.pass_ms(250, 10);
    assert_eq!(world.heard(a, channel).len(), 2);
}

#[test]
fn a_resume_does_not_wash_a_debt_away() {
    let mut config = config();
    config.session.messages_per_second = 10;
    config.session.messages_burst = 5;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    for n in 0..10 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.round();
    world.drop_socket(a);
    world.round();
    world.clients[a].connect(&mut world.node, 0);
    world.round();
    let id = world.the(a).socket.expect("it is connected");
    assert!(world.node.sockets[id].read_paused);
    world.calm();
    assert_eq!(world.heard(a, channel).len(), 10);
}

#[test]
fn joins_and_requests_are_slowed_by_rates_of_their_own() {
    let mut config = config();
    (config.session.joins_per_second, config.session.joins_burst) = (10, 2);
    (config.session.requests_per_second, config.session.requests_burst) = (10, 2);
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    let id = world.the(a).socket.expect("it is connected");
    for _ in 0..6 {
        let World { node, clients, .. } = &mut world;
        clients[a].request(node, channel, "info", "{}");
    }
    world.round();
    assert!(world.node.sockets[id].read_paused);
    world.calm();
    assert_eq!(world.clients[a].replies.len(), 6, "slower, but all of it");
    for name in ["b", "c", "d"] {
        let World { node, clients, .. } = &mut world;
        clients[a].join(node, join_named(name));
    }
    world.round();
    assert!(world.node.sockets[id].read_paused);
    world.calm();
    assert_eq!(world.clients[a].joins.len(), 4);
}

#[test]
fn who_never_lets_up_is_closed_in_the_end_and_may_come_back() {
    let mut config = config();
    (config.session.messages_per_second, config.session.messages_burst) = (10, 5);
    config.session.rate_close_ms = 2_000;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    for n in 0..60 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.pass_ms(1_500, 10);
    assert!(world.clients[a].is_ready(), "slowed first");
    world.pass_ms(1_500, 10);
    assert_eq!(world.last_end(a), Some(CloseCode::RATE_LIMITED));
    world.connect(a, 0);
    assert!(world.clients[a].welcomes.last().is_some_and(|welcome| welcome.resumed));
}

#[test]
fn one_user_has_so_many_sessions_and_makes_so_many_rooms() {
    let mut config = config();
    (config.session.user_sessions_max, config.room.user_rooms_max) = (2, 2);
    config.room.linger_ms = 100;
    let mut world = world(&config, 1);
    let arrive = |world: &mut World, token: Option<&str>| {
        let client = world.add(false, 1 << 20);
        world.clients[client].token = token.map(str::to_owned);
        world.connect(client, 0);
        client
    };
    let (a, b) = (arrive(&mut world, Some("ada")), arrive(&mut world, Some("ada")));
    let third = arrive(&mut world, Some("ada"));
    assert_eq!(world.last_end(third), Some(CloseCode::BUSY));
    let other = arrive(&mut world, Some("bob"));
    arrive(&mut world, None);
    // One that comes back is none more.
    world.drop_socket(a);
    world.connect(a, 0);
    assert!(world.clients[a].welcomes.last().is_some_and(|welcome| welcome.resumed));

    world.enter(a, "one");
    let two = world.enter(b, "two");
    assert_eq!(world.refused(a, join_named("three")), ErrorCode::TOO_MANY_ROOMS);
    world.enter(other, "three");
    world.enter(a, "three");
    let World { node, clients, .. } = &mut world;
    clients[b].leave(node, two);
    world.pass_ms(300, 50);
    world.enter(a, "four");
}
