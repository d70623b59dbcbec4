//! A client that sends too much is read more slowly.

use crate::helpers::{config, world};

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
