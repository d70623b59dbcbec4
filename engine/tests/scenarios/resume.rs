//! Dropped connections and what a resume makes good.

use crate::helpers::{config, room_at, world};
use crate::support::client::{join_named, text};
use crate::support::node::Node;
use crate::support::socket::Gone;
use crate::support::world::World;
use madang_engine::Config;
use madang_protocol::client::{Class, Join, JoinOptions};
use madang_protocol::server::LeaveReason;
use madang_protocol::{CloseCode, ErrorCode};

/// Two members of a room homed on shard 0: one there, one on shard 1.
fn pair(config: &Config) -> (World, usize, usize, u32) {
    let mut world = world(config, 2);
    let (a, b) = (world.native(0), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.enter(b, &room);
    (world, a, b, channel)
}

fn numbered(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|n| format!("m{n}")).collect()
}

#[test]
fn a_resume_replays_just_what_was_missed() {
    let (mut world, a, b, channel) = pair(&config());
    for n in 1..=3 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.calm();
    world.drop_socket(b);
    world.calm();
    for n in 4..=6 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.calm();
    world.connect(b, 1);
    let joined = &world.the(b).joins[1];
    assert!(joined.recovered && joined.r#ref.is_none());
    assert_eq!(joined.replay, 5, "away, three messages, back");
    assert_eq!(world.heard(b, channel), numbered(1..=6));
    world.say(a, channel, "m7");
    world.calm();
    assert_eq!(world.heard(b, channel), numbered(1..=7));
}

#[test]
fn what_was_written_and_never_arrived_is_replayed() {
    let (mut world, a, b, channel) = pair(&config());
    for n in 1..=6 {
        world.say(a, channel, &format!("m{n}"));
    }
    // Everything is in the kernel's hands; the client has read two of it.
    for _ in 0..3 {
        for shard in 0..2 {
            world.node.turn(shard, usize::MAX);
            let waiting = world.node.waiting(0, 1);
            world.node.deliver(0, 1, waiting);
        }
    }
    let World { node, clients, .. } = &mut world;
    clients[b].read(node, 3);
    world.drop_socket(b);
    world.connect(b, 1);
    assert_eq!(world.heard(b, channel), numbered(1..=6));
}

#[test]
fn direct_messages_are_replayed_to_their_receiver_alone_and_own_ones_as_joined() {
    let mut world = world(&config(), 2);
    let (a, b, c) = (world.native(0), world.native(1), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.enter(b, &room);
    let options = JoinOptions { echo: false, ..JoinOptions::default() };
    world.enter_with(c, Join { options, ..join_named(&room) });
    let to = world.member(b, channel);
    world.set_stalled(b, true);
    world.set_stalled(c, true);
    world.clients[a].direct(&mut world.node, channel, to, text("for b"));
    world.say(b, channel, "by b");
    world.say(c, channel, "by c");
    world.calm();
    for client in [b, c] {
        world.drop_socket(client);
        world.connect(client, 0);
    }
    assert_eq!(world.heard(b, channel), ["for b", "by b", "by c"]);
    assert_eq!(world.heard(c, channel), ["by b"], "without echo its own is not replayed either");
    assert!(world.replica(c, channel).unacked.is_empty(), "but told to be applied");
}

#[test]
fn a_history_that_is_too_short_says_so_and_starts_anew() {
    let mut config = config();
    config.room.history_messages_max = 5;
    config.room.join_history_messages_max = 3;
    let (mut world, a, b, channel) = pair(&config);
    world.publish(a, channel, Class::Latest(0), "here");
    world.say(a, channel, "m1");
    world.calm();
    world.drop_socket(b);
    world.calm();
    for n in 2..=9 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.calm();
    world.connect(b, 1);
    let joined = &world.the(b).joins[1];
    assert!(!joined.recovered);
    assert_eq!(world.heard(b, channel), ["m7", "m8", "m9"]);
    assert_eq!(world.replica(b, channel).members.len(), 2);
    assert_eq!(world.glimpsed(b, channel).last().map(String::as_str), Some("here"));
}

#[test]
fn a_room_left_out_of_the_resume_is_left() {
    let (mut world, a, b, channel) = pair(&config());
    let other = world.enter(b, "other");
    world.drop_socket(b);
    let World { node, clients, .. } = &mut world;
    clients[b].connect_wanting(node, 1, vec![other]);
    world.calm();
    assert_eq!(world.replica(a, channel).members.len(), 1);
    assert_eq!(world.the(b).rooms.keys().copied().collect::<Vec<_>>(), [other]);
}

#[test]
fn a_room_that_was_lost_with_its_shard_is_said_to_be_left() {
    let (mut world, _, b, channel) = pair(&config());
    world.set_stalled(b, true);
    world.node.crash(0);
    world.calm();
    world.drop_socket(b);
    world.connect(b, 1);
    assert!(world.the(b).welcomes[1].resumed);
    let lefts: Vec<_> = world.the(b).lefts.iter().map(|l| (l.channel.0, l.reason)).collect();
    assert_eq!(lefts, [(channel, LeaveReason::Lost)]);
    let again = world.enter(b, &room_at(0, 2));
    assert_ne!(again, channel, "the new shard does not use the old one's numbers");
}

#[test]
fn a_resume_while_the_old_connection_lives_replaces_it() {
    let (mut world, a, b, channel) = pair(&config());
    let old = world.the(b).socket.expect("it is connected");
    let World { node, clients, .. } = &mut world;
    clients[b].connect(node, 0);
    world.calm();
    assert_eq!(world.node.sockets[old].closed, Some(CloseCode::REPLACED));
    assert!(world.the(b).welcomes[1].resumed);
    let b_member = world.member(b, channel);
    assert!(!world.replica(a, channel).members[&b_member].away);
    assert_eq!(world.presences(a, channel), 1, "it was never away: its join alone was told");
}

#[test]
fn an_attempt_by_the_old_key_that_comes_late_leaves_the_client_a_way_back() {
    let (mut world, a, b, channel) = pair(&config());
    let old_key = world.the(b).key;
    world.drop_socket(b);
    world.connect(b, 0);
    let (live, new_key) = (world.the(b).socket.expect("it is connected"), world.the(b).key);
    // What the client gave up before comes only now.
    world.clients[b].key = old_key;
    world.connect(b, 1);
    assert_eq!(world.node.sockets[live].closed, Some(CloseCode::SUPERSEDED));
    const { assert!(CloseCode::SUPERSEDED.resumable) };
    world.drop_socket(b);
    world.say(a, channel, "m1");
    world.calm();
    world.clients[b].key = new_key;
    world.connect(b, 0);
    assert!(world.the(b).welcomes[3].resumed, "the key it was given on the live one is valid");
    assert_eq!(world.heard(b, channel), ["m1"]);
}

/// Says hello and lets the server answer, but cuts the connection before the client reads.
fn lose_welcome(world: &mut World, client: usize) {
    world.clients[client].connect(&mut world.node, 0);
    for _ in 0..2 {
        world.node.turn(0, usize::MAX);
        world.node.turn(1, usize::MAX);
    }
    world.clients[client].cut(&mut world.node, 0, Gone::Noticed);
    assert_eq!(world.node.reached.get("welcome lost").copied().unwrap_or(0), 1);
    world.calm();
}

#[test]
fn a_lost_welcome_loses_nothing() {
    let (mut world, a, b, channel) = pair(&config());
    world.drop_socket(b);
    lose_welcome(&mut world, b);
    world.say(a, channel, "m1");
    world.calm();
    world.connect(b, 1);
    assert!(world.the(b).welcomes[1].resumed);
    assert_eq!(world.heard(b, channel), ["m1"]);
}

#[test]
fn a_key_is_void_once_the_server_heard_from_the_client_under_the_next() {
    let (mut world, _, b, _) = pair(&config());
    let first = world.the(b).key;
    world.drop_socket(b);
    world.connect(b, 1);
    let second = world.the(b).key;
    assert_ne!(first, second, "keys are rotated");
    world.clients[b].ping(&mut world.node, 1);
    world.calm();
    let thief = world.add(false, 1 << 16);
    world.clients[thief].key = first;
    world.connect(thief, 0);
    assert!(!world.the(thief).welcomes[0].resumed);
    world.drop_socket(b);
    world.connect(b, 1);
    assert!(world.the(b).welcomes[2].resumed);
}

#[test]
fn a_resume_through_another_shard_is_handed_over() {
    let (mut world, a, b, channel) = pair(&config());
    world.drop_socket(b);
    world.connect(b, 0);
    let id = world.the(b).socket.expect("it is connected");
    assert_eq!(world.node.sockets[id].shard, 1, "where its session lives");
    world.say(a, channel, "m1");
    world.say(b, channel, "m2");
    world.calm();
    assert_eq!(world.heard(b, channel), numbered(1..=2));
}

#[test]
fn when_the_grace_is_over_the_session_leaves_its_rooms() {
    let (mut world, a, b, channel) = pair(&config());
    world.drop_socket(b);
    world.pass_ms(29_000, 500);
    assert_eq!(world.replica(a, channel).members.len(), 2);
    world.pass_ms(2_000, 500);
    assert_eq!(world.replica(a, channel).members.len(), 1);
    world.connect(b, 1);
    assert!(!world.the(b).welcomes[1].resumed);
    assert_eq!(world.node.level(|stats| stats.sessions), 2);
}

#[test]
fn closing_with_1000_ends_the_session_at_once() {
    let (mut world, a, b, channel) = pair(&config());
    world.clients[b].close(&mut world.node);
    world.calm();
    assert_eq!(world.replica(a, channel).members.len(), 1);
    assert_eq!(world.node.level(|stats| stats.sessions), 1);
}

#[test]
fn with_too_many_away_a_dropped_session_ends_at_once() {
    let mut config = config();
    config.session.away_sessions_max = 1;
    let mut world = world(&config, 1);
    let (a, b) = (world.native(0), world.native(0));
    world.drop_socket(a);
    world.drop_socket(b);
    world.calm();
    assert_eq!(world.node.level(|stats| stats.sessions), 1);
}

#[test]
fn a_retry_after_a_resume_is_not_applied_twice() {
    for answered in [false, true] {
        let (mut world, a, b, channel) = pair(&config());
        world.say(b, channel, "m1");
        // It reaches the room, or it does not; either way the echo is lost.
        world.clients[b].cut(&mut world.node, usize::from(answered), Gone::Noticed);
        world.calm();
        assert_eq!(world.heard(a, channel).len(), usize::from(answered));
        world.connect(b, 0);
        world.calm();
        assert_eq!(world.heard(a, channel), ["m1"]);
        assert_eq!(world.heard(b, channel), ["m1"]);
        assert!(world.replica(b, channel).unacked.is_empty());
    }
}

#[test]
fn the_answer_to_an_earlier_attempt_is_ignored() {
    let (mut world, a, b, channel) = pair(&config());
    world.say(a, channel, "m1");
    world.calm();
    world.drop_socket(b);
    // The first attempt's question is on its way to the room when the connection breaks again.
    world.clients[b].connect(&mut world.node, 1);
    world.node.turn(1, usize::MAX);
    world.node.turn(1, usize::MAX);
    world.read_all();
    assert!(world.node.waiting(1, 0) > 0);
    world.drop_socket(b);
    world.node.turn(1, usize::MAX);
    world.clients[b].connect(&mut world.node, 1);
    world.calm();
    assert_eq!(stale_answers(&world.node), 1);
    assert_eq!(world.the(b).joins.len(), 2, "the join and one answer");
    world.say(a, channel, "m2");
    world.calm();
    assert_eq!(world.heard(b, channel), numbered(1..=2));
}

fn stale_answers(node: &Node) -> u64 {
    node.reached.get("stale resume answer").copied().unwrap_or(0)
}

#[test]
fn a_join_whose_connection_broke_before_the_answer_is_undone() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    world.clients[b].join(&mut world.node, join_named(&room));
    world.node.turn(1, usize::MAX);
    world.drop_socket(b);
    world.calm();
    assert_eq!(world.replica(a, channel).members.len(), 1);
    world.connect(b, 1);
    world.enter(b, &room);
    assert_eq!(world.replica(a, channel).members.len(), 2);
}

#[test]
fn a_session_is_resumed_under_its_own_subprotocol_only() {
    let (mut world, _, b, _) = pair(&config());
    world.drop_socket(b);
    world.calm();
    let other = world.json(0);
    world.drop_socket(other);
    world.calm();
    world.clients[other].key = world.the(b).key;
    world.clients[other].session = world.the(b).session;
    world.clients[other].connect(&mut world.node, 1);
    assert!(world.settle());
    assert_eq!(world.last_end(other), Some(CloseCode::BAD_MESSAGE));
    world.connect(b, 1);
    assert!(world.the(b).welcomes[1].resumed, "the session took no harm");
}

#[test]
fn a_join_that_a_lost_shard_was_asked_for_fails_and_can_be_tried_again() {
    let mut world = world(&config(), 2);
    let b = world.native(1);
    let room = room_at(0, 2);
    world.clients[b].join(&mut world.node, join_named(&room));
    world.node.turn(1, usize::MAX);
    world.node.crash(0);
    world.calm();
    assert_eq!(world.last_error(b), Some(ErrorCode::BUSY));
    world.enter(b, &room);
}
