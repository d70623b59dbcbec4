//! The delivery classes, and what becomes of messages under pressure.

use crate::helpers::{config, room_at, world};
use crate::support::client::{join_named, text};
use crate::support::log::What;
use madang_protocol::client::{Class, Join, JoinOptions};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ClientMessage, CloseCode, ErrorCode};
use std::borrow::Cow;

fn silent(name: &str) -> Join {
    Join { options: JoinOptions { echo: false, ..JoinOptions::default() }, ..join_named(name) }
}

#[test]
fn everyone_hears_a_publication_once_and_in_the_same_order() {
    for shards in [1, 3] {
        let mut world = world(&config(), shards);
        let last = usize::from(shards) - 1;
        let clients = [world.native(0), world.json(last), world.native(last / 2)];
        let mut channel = 0;
        for client in clients {
            channel = world.enter(client, "lobby");
        }
        for n in 0..20 {
            world.say(clients[n % 3], channel, &format!("m{n}"));
            if n % 5 == 4 {
                world.round();
            }
        }
        world.calm();
        let heard = clients.map(|client| world.heard(client, channel));
        assert_eq!(heard[0].len(), 20);
        assert!(heard.iter().all(|other| *other == heard[0]));
    }
}

#[test]
fn with_echo_the_message_is_the_acknowledgement_without_it_an_ack_is() {
    for home in [0, 1] {
        let mut world = world(&config(), 2);
        let (a, b) = (world.native(0), world.native(0));
        let room = room_at(home, 2);
        let channel = world.enter(a, &room);
        world.enter_with(b, silent(&room));
        world.say(a, channel, "with");
        world.say(b, channel, "without");
        world.calm();
        assert_eq!(world.heard(a, channel), ["with", "without"]);
        assert_eq!(world.heard(b, channel), ["with"]);
        assert!(world.the(a).acks.is_empty());
        let acks: Vec<_> =
            world.the(b).acks.iter().map(|ack| (ack.cseq.0, ack.seq.map(|seq| seq.0))).collect();
        assert_eq!(acks, [(1, Some(4))], "two joins, the first message, then this");
        assert!(world.replica(b, channel).unacked.is_empty());
    }
}

#[test]
fn a_repeat_is_acknowledged_and_not_applied_again() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let channel = world.enter(a, &room_at(1, 2));
    world.say(a, channel, "once");
    let id = world.the(a).socket.expect("it is connected");
    let bytes = world.node.sockets[id].inbound.back().cloned().expect("it was sent");
    world.node.send(id, bytes);
    world.calm();
    assert_eq!(world.heard(a, channel), ["once"]);
    let ack = world.the(a).acks[0];
    assert_eq!((ack.cseq.0, ack.seq), (1, None));
}

#[test]
fn a_cseq_of_zero_is_refused_and_a_rejection_consumes_its_cseq() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    let publish = |cseq, r#type| {
        ClientMessage::Publish(madang_protocol::client::Publish {
            channel: madang_protocol::ids::Channel(channel),
            cseq: madang_protocol::ids::Cseq(cseq),
            class: Class::Reliable,
            r#type,
            payload: text("x"),
        })
    };
    let named = || TypeRef::Name(Cow::Borrowed("chat"));
    for (cseq, r#type, code) in [
        (0, named(), ErrorCode::STALE_CSEQ),
        (1, TypeRef::Id(9), ErrorCode::UNKNOWN_TYPE),
        (2, TypeRef::Name(Cow::Owned("t".repeat(65))), ErrorCode::INVALID),
        (3, TypeRef::Name(Cow::Borrowed("a\nb")), ErrorCode::INVALID),
    ] {
        world.clients[a].send(&mut world.node, &publish(cseq, r#type));
        world.calm();
        assert_eq!(world.last_error(a), Some(code));
    }
    // Number 3 was rejected: sending it again in good order is a repeat.
    world.clients[a].send(&mut world.node, &publish(3, named()));
    world.clients[a].send(&mut world.node, &publish(4, named()));
    world.calm();
    assert_eq!(world.the(a).acks.len(), 1);
    assert_eq!(world.heard(a, channel), ["x"]);
    let elsewhere = madang_protocol::client::Publish {
        channel: madang_protocol::ids::Channel(999),
        ..match publish(5, named()) {
            ClientMessage::Publish(publish) => publish,
            _ => return,
        }
    };
    world.clients[a].send(&mut world.node, &ClientMessage::Publish(elsewhere));
    world.calm();
    assert_eq!(world.last_error(a), Some(ErrorCode::NOT_A_MEMBER));
}

#[test]
fn a_direct_message_reaches_its_receiver_alone() {
    let mut world = world(&config(), 3);
    let clients = [world.native(0), world.json(1), world.native(2)];
    let mut channel = 0;
    for client in clients {
        channel = world.enter(client, "lobby");
    }
    let to = world.member(clients[1], channel);
    world.clients[clients[0]].direct(&mut world.node, channel, to, text("psst"));
    world.calm();
    assert!(world.heard(clients[0], channel).is_empty());
    assert_eq!(world.heard(clients[1], channel), ["psst"]);
    assert!(world.heard(clients[2], channel).is_empty());
    assert_eq!(world.the(clients[0]).acks.len(), 1);
    let seen = &world.replica(clients[1], channel).seen;
    assert!(matches!(seen.last(), Some((_, What::Direct { from: 1, .. }))));
    world.clients[clients[0]].direct(&mut world.node, channel, 77, text("hello?"));
    world.calm();
    assert_eq!(world.last_error(clients[0]), Some(ErrorCode::NO_SUCH_MEMBER));
}

#[test]
fn types_are_numbered_once_and_announced_before_their_first_use() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.json(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    for n in 0..300 {
        let name = format!("type-{n}");
        world.clients[a].publish(&mut world.node, channel, Class::Reliable, &name, text(&name));
    }
    world.calm();
    assert_eq!(world.heard(b, channel).len(), 300);
    assert_eq!(world.replica(a, channel).types.len(), 250);
    let names = world.replica(b, channel).seen.iter().filter_map(|(_, what)| match what {
        What::Message { name, payload: Payload::Text(text), .. } => Some(*name == **text),
        _ => None,
    });
    assert!(names.into_iter().all(|is_same| is_same), "JSON clients get names");
    let c = world.native(1);
    world.enter_with(c, Join { history: 2, ..join_named("lobby") });
    assert_eq!(world.replica(c, channel).types.len(), 250);
}

#[test]
fn a_value_of_class_latest_takes_the_place_of_the_one_that_waits() {
    for home in [0, 1] {
        let mut world = world(&config(), 2);
        let (a, b, c) = (world.native(0), world.native(0), world.native(1));
        let room = room_at(home, 2);
        let channel = world.enter(a, &room);
        world.enter(b, &room);
        world.enter(c, &room);
        world.set_stalled(c, true);
        for n in 1..=5 {
            world.publish(a, channel, Class::Latest(0), &format!("a{n}"));
            world.publish(b, channel, Class::Latest(0), &format!("b{n}"));
        }
        world.publish(a, channel, Class::Latest(1), "other key");
        world.calm();
        world.set_stalled(c, false);
        world.calm();
        let mut newest = world.glimpsed(c, channel);
        newest.sort();
        assert_eq!(newest, ["a5", "b5", "other key"]);
        assert_eq!(world.glimpsed(a, channel), ["b5"], "one hears the other, never itself");
        // What came in one turn had not been written when the next value came.
        assert_eq!(world.node.count(|stats| stats.conflated), 8 + 4 + 4);
        world.clients[c].get_stats(&mut world.node);
        world.calm();
        assert_eq!(world.the(c).stats[0].latest.conflated, 8);
    }
}

#[test]
fn a_value_never_comes_before_the_number_of_its_type() {
    let mut world = world(&config(), 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.set_stalled(b, true);
    for (name, words) in [("move", "1"), ("aim", "2"), ("fire", "3"), ("move", "4")] {
        world.clients[a].publish(&mut world.node, channel, Class::Latest(0), name, text(words));
    }
    world.calm();
    world.set_stalled(b, false);
    world.calm();
    assert_eq!(world.glimpsed(b, channel), ["4"]);
}

#[test]
fn a_value_after_coming_back_does_not_slip_into_the_earlier_membership() {
    let mut world = world(&config(), 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.set_stalled(b, true);
    world.publish(a, channel, Class::Latest(0), "before");
    world.calm();
    world.clients[b].leave(&mut world.node, channel);
    world.clients[b].join(&mut world.node, join_named("lobby"));
    world.calm();
    world.publish(a, channel, Class::Latest(0), "after");
    world.calm();
    world.set_stalled(b, false);
    world.calm();
    assert_eq!(world.glimpsed(b, channel).last().map(String::as_str), Some("after"));
}

#[test]
fn those_who_join_later_get_the_current_values_and_values_leave_with_their_sender() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.publish(a, channel, Class::Latest(0), "old");
    world.publish(a, channel, Class::Latest(0), "a0");
    world.publish(b, channel, Class::Latest(3), "b3");
    world.calm();
    let c = world.json(1);
    world.enter(c, "lobby");
    assert_eq!(world.glimpsed(c, channel), ["a0", "b3"]);
    world.clients[a].leave(&mut world.node, channel);
    world.calm();
    let d = world.native(0);
    world.enter(d, "lobby");
    assert_eq!(world.glimpsed(d, channel), ["b3"]);
}

#[test]
fn a_room_keeps_only_so_many_current_values_and_passes_on_the_others() {
    let mut config = config();
    config.room.latest_keys_max = 2;
    config.room.latest_bytes_max = 200;
    let mut world = world(&config, 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    for key in 0..3 {
        world.publish(a, channel, Class::Latest(key), &format!("v{key}"));
    }
    world.publish(b, channel, Class::Latest(0), "not denied");
    world.calm();
    assert_eq!(world.glimpsed(b, channel), ["v0", "v1", "v2"]);
    assert_eq!(world.glimpsed(a, channel), ["not denied"]);
    let c = world.native(0);
    world.enter(c, "lobby");
    assert_eq!(world.glimpsed(c, channel), ["v0", "v1"], "what is kept for those who come later");
    assert!(world.the(a).errors.is_empty());
    // One that is kept cannot outgrow the bound.
    world.publish(a, channel, Class::Latest(0), &"x".repeat(300));
    world.calm();
    assert_eq!(world.last_error(a), Some(ErrorCode::BUSY));
}

#[test]
fn volatile_messages_pass_a_reader_and_are_dropped_behind_what_waits() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.publish(a, channel, Class::Volatile, "wave");
    world.calm();
    assert_eq!(world.glimpsed(b, channel), ["wave"]);
    world.set_stalled(b, true);
    world.say(a, channel, "kept");
    world.calm();
    world.publish(a, channel, Class::Volatile, "gone");
    world.calm();
    world.set_stalled(b, false);
    world.calm();
    assert_eq!(world.glimpsed(b, channel), ["wave"]);
    assert_eq!(world.heard(b, channel), ["kept"]);
    world.clients[b].get_stats(&mut world.node);
    world.calm();
    assert_eq!(world.the(b).stats[0].volatile.dropped, 1);
    assert_eq!(world.node.count(|stats| stats.dropped[2]), 1);
}

#[test]
fn a_reader_that_is_too_slow_is_closed_and_a_resume_replays_all_it_missed() {
    for home in [0, 1] {
        let mut config = config();
        config.session.outbound_messages_max = 5;
        let mut world = world(&config, 2);
        let (a, b, c) = (world.native(0), world.native(1), world.json(0));
        let room = room_at(home, 2);
        let channel = world.enter(a, &room);
        world.enter(b, &room);
        world.enter(c, &room);
        world.set_stalled(b, true);
        for n in 1..=10 {
            world.say(a, channel, &format!("m{n}"));
            world.calm();
        }
        let id = world.the(b).socket.expect("it has not noticed yet");
        assert_eq!(world.node.sockets[id].closed, Some(CloseCode::SLOW_CONSUMER));
        assert_eq!(world.heard(c, channel).len(), 10, "room-mates notice nothing");
        world.connect(b, 0);
        assert!(world.the(b).welcomes[1].resumed && world.the(b).joins[1].recovered);
        let expected: Vec<String> = (1..=10).map(|n| format!("m{n}")).collect();
        assert_eq!(world.heard(b, channel), expected);
    }
}

#[test]
fn a_queue_without_room_for_a_new_value_closes_and_a_resume_brings_it() {
    let mut config = config();
    config.session.outbound_messages_max = 3;
    let mut world = world(&config, 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.set_stalled(b, true);
    for key in 0..4 {
        world.publish(a, channel, Class::Latest(key), &format!("v{key}"));
    }
    world.calm();
    let id = world.the(b).socket.expect("it has not noticed yet");
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::SLOW_CONSUMER));
    world.connect(b, 0);
    assert_eq!(world.glimpsed(b, channel), ["v0", "v1", "v2", "v3"]);
}

#[test]
fn a_client_that_asks_faster_than_it_reads_is_closed() {
    let mut config = config();
    config.session.control_messages_max = 4;
    let mut world = world(&config, 1);
    let a = world.native(0);
    world.enter(a, "lobby");
    world.set_stalled(a, true);
    for id in 0..6 {
        world.clients[a].ping(&mut world.node, id);
    }
    world.calm();
    let id = world.the(a).socket.expect("it has not noticed yet");
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::CONTROL_OVERFLOW));
    world.connect(a, 0);
    assert!(world.the(a).welcomes[1].resumed);
}

#[test]
fn a_reader_that_stops_costs_at_most_its_bound() {
    let mut config = config();
    config.session.outbound_bytes_max = 2_000;
    let mut world = world(&config, 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.set_stalled(b, true);
    for n in 0..100 {
        world.say(a, channel, &format!("{n:=<300}"));
        world.calm();
        assert!(world.node.level(|stats| stats.queue_nodes) <= 7);
    }
    assert_eq!(world.heard(a, channel).len(), 100);
}
