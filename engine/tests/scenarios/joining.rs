//! Ways into a room, and what stands against them.

use crate::helpers::{config, create, room_at, world};
use crate::support::client::join_named;
use madang_engine::config::Kind;
use madang_protocol::ErrorCode;
use madang_protocol::client::{CreateOptions, Join, JoinMode, JoinOptions, JoinTarget, Position};
use madang_protocol::ids::{Epoch, Seq};
use madang_protocol::value::Value;

fn moded(name: &str, mode: JoinMode) -> Join {
    Join { mode, ..join_named(name) }
}

fn matching(map: &str, mode: JoinMode, capacity: u32) -> Join {
    let filter = vec![("map".to_owned(), map.to_owned())];
    let options = create(CreateOptions { capacity: Some(capacity), ..CreateOptions::default() });
    Join {
        target: JoinTarget::Match { kind: "relay".to_owned(), filter },
        mode,
        options,
        ..join_named("")
    }
}

#[test]
fn modes_say_whether_a_room_must_or_must_not_be_there() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    assert_eq!(world.refused(a, moded("den", JoinMode::Join)), ErrorCode::NO_SUCH_ROOM);
    let channel = world.enter_with(a, moded("den", JoinMode::Create));
    assert_eq!(world.refused(b, moded("den", JoinMode::Create)), ErrorCode::ROOM_EXISTS);
    assert_eq!(world.enter_with(b, moded("den", JoinMode::Join)), channel);
    assert_eq!(world.refused(b, moded("den", JoinMode::Either)), ErrorCode::ALREADY_JOINED);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let mut config = config();
    config.room.rooms_max = 1;
    config.session.rooms_max = 2;
    config.room.kinds.push(("wall.".into(), Kind::Raw));
    let mut world = world(&config, 1);
    let a = world.native(0);
    let named = |name: &str| join_named(name);
    assert_eq!(world.refused(a, named("no spaces")), ErrorCode::INVALID);
    assert_eq!(world.refused(a, named("")), ErrorCode::INVALID);
    assert_eq!(world.refused(a, named("wall.1")), ErrorCode::WRONG_KIND);
    let unknown = JoinTarget::Match { kind: "chess".to_owned(), filter: Vec::new() };
    assert_eq!(world.refused(a, Join { target: unknown, ..named("") }), ErrorCode::INVALID);
    let raw = JoinTarget::Match { kind: "raw".to_owned(), filter: Vec::new() };
    assert_eq!(world.refused(a, Join { target: raw, ..named("") }), ErrorCode::WRONG_KIND);
    world.enter(a, "only");
    assert_eq!(world.refused(a, named("more")), ErrorCode::SERVER_FULL);
}

#[test]
fn a_session_has_a_bound_of_rooms() {
    let mut config = config();
    config.session.rooms_max = 2;
    let mut world = world(&config, 2);
    let a = world.native(0);
    let first = world.enter(a, "one");
    world.enter(a, "two");
    assert_eq!(world.refused(a, join_named("three")), ErrorCode::TOO_MANY_ROOMS);
    world.clients[a].leave(&mut world.node, first);
    world.calm();
    world.enter(a, "three");
}

#[test]
fn a_room_holds_as_many_as_its_creator_said() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let c = world.native(0);
    let small = create(CreateOptions { capacity: Some(2), ..CreateOptions::default() });
    let join = Join { options: small, ..join_named("duo") };
    let channel = world.enter_with(a, join.clone());
    world.enter_with(b, join.clone());
    assert_eq!(world.refused(c, join.clone()), ErrorCode::ROOM_FULL);
    world.clients[a].leave(&mut world.node, channel);
    world.calm();
    world.enter_with(c, join);
    for capacity in [0, 20_001] {
        let options =
            create(CreateOptions { capacity: Some(capacity), ..CreateOptions::default() });
        let join = Join { options, ..join_named("odd") };
        assert_eq!(world.refused(a, join), ErrorCode::INVALID);
    }
}

#[test]
fn labels_are_bounded() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let many = (0..17).map(|n| label(&n.to_string(), "")).collect();
    for labels in [many, vec![label("", "x")], vec![label("x", &"y".repeat(257))]] {
        let options = create(CreateOptions { labels, ..CreateOptions::default() });
        let join = Join { options, ..join_named("labelled") };
        assert_eq!(world.refused(a, join), ErrorCode::INVALID);
    }
}

#[test]
fn a_match_finds_the_room_of_its_labels_on_any_shard() {
    for shards in 1..=3_u16 {
        let mut world = world(&config(), shards);
        let clients: Vec<usize> = (0..4).map(|n| world.native(n % usize::from(shards))).collect();
        let nobody = world.refused(clients[0], matching("dust", JoinMode::Join, 2));
        assert_eq!(nobody, ErrorCode::NO_MATCH);
        let dust = world.enter_with(clients[0], matching("dust", JoinMode::Either, 2));
        let ice = world.enter_with(clients[1], matching("ice", JoinMode::Either, 2));
        assert_ne!(dust, ice);
        assert_eq!(world.enter_with(clients[2], matching("dust", JoinMode::Join, 2)), dust);
        let second = world.enter_with(clients[3], matching("dust", JoinMode::Either, 2));
        assert_ne!(second, dust, "the first is full");
    }
}

#[test]
fn a_match_finds_a_public_room_that_was_made_by_name_wherever_its_home_is() {
    let mut world = world(&config(), 4);
    let a = world.native(0);
    for home in 0..4 {
        let labels = vec![("map".to_owned(), format!("m{home}"))];
        let options =
            create(CreateOptions { public: Some(true), labels, ..CreateOptions::default() });
        let made = world.enter_with(a, Join { options, ..join_named(&room_at(home, 4)) });
        let b = world.native(usize::from(home));
        let join = matching(&format!("m{home}"), JoinMode::Join, 2);
        assert_eq!(world.enter_with(b, join), made);
    }
}

#[test]
fn two_matches_at_once_meet() {
    let mut world = world(&config(), 3);
    let (a, b) = (world.native(1), world.native(2));
    for client in [a, b] {
        world.clients[client].join(&mut world.node, matching("dust", JoinMode::Either, 2));
    }
    world.calm();
    let channels = [a, b].map(|client| world.the(client).joins[0].channel);
    assert_eq!(channels[0], channels[1]);
}

#[test]
fn a_match_does_not_find_the_room_one_is_in() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let first = world.enter_with(a, matching("dust", JoinMode::Either, 4));
    let second = world.enter_with(a, matching("dust", JoinMode::Either, 4));
    assert_ne!(first, second);
}

#[test]
fn a_late_joiner_gets_the_newest_messages_it_asked_for() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.json(1));
    let channel = world.enter(a, "lobby");
    for n in 1..=150 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.calm();
    world.enter_with(b, Join { history: 3, ..join_named("lobby") });
    assert_eq!(world.heard(b, channel), ["m148", "m149", "m150"]);
    let c = world.native(0);
    world.enter_with(c, Join { history: 1000, ..join_named("lobby") });
    assert_eq!(world.heard(c, channel).len(), 100, "as many as the server gives");
    let d = world.native(0);
    world.enter(d, "lobby");
    assert!(world.heard(d, channel).is_empty());
}

#[test]
fn a_join_with_a_position_recovers_what_the_log_still_has() {
    let mut world = world(&config(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    world.clients[b].leave(&mut world.node, channel);
    world.calm();
    let since = world.the(b).positions.get("lobby").copied();
    for n in 1..=3 {
        world.say(a, channel, &format!("m{n}"));
    }
    world.calm();
    world.enter_with(b, Join { since, ..join_named("lobby") });
    assert!(world.the(b).joins[1].recovered);
    assert_eq!(world.heard(b, channel), ["m1", "m2", "m3"]);
}

#[test]
fn a_position_in_another_epoch_is_not_recovered() {
    let mut config = config();
    config.room.linger_ms = 100;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    world.say(a, channel, "old");
    world.calm();
    world.clients[a].leave(&mut world.node, channel);
    world.calm();
    world.pass_ms(200, 10);
    let since = world.the(a).positions.get("lobby").copied();
    let again = world.enter_with(a, Join { since, history: 10, ..join_named("lobby") });
    assert_ne!(again, channel, "a number is not used again so soon");
    assert!(!world.the(a).joins[1].recovered && world.heard(a, again).is_empty());
    let future = Position { epoch: world.the(a).joins[1].epoch, seq: Seq(1_000) };
    let made_up = Position { epoch: Epoch([9; 8]), seq: Seq(0) };
    for since in [made_up, future] {
        let b = world.native(0);
        world.enter_with(b, Join { since: Some(since), ..join_named("lobby") });
        assert!(!world.the(b).joins[0].recovered);
    }
}

#[test]
fn a_number_comes_back_after_its_quarantine() {
    let mut config = config();
    config.room.linger_ms = 0;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let first = world.enter(a, "one");
    world.clients[a].leave(&mut world.node, first);
    world.calm();
    world.pass_ms(290_000, 5_000);
    let second = world.enter(a, "two");
    assert_ne!(first, second);
    world.clients[a].leave(&mut world.node, second);
    world.calm();
    world.pass_ms(20_000, 5_000);
    assert_eq!(world.enter(a, "three"), first);
}

#[test]
fn leaving_what_one_is_not_in_is_an_error_and_leaving_is_answered() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    world.clients[a].leave(&mut world.node, channel);
    world.calm();
    assert_eq!(world.the(a).lefts.len(), 1);
    let leave = madang_protocol::client::Leave { channel: madang_protocol::ids::Channel(channel) };
    let again = madang_protocol::ClientMessage::Leave(leave);
    world.clients[a].send(&mut world.node, &again);
    world.calm();
    assert_eq!(world.last_error(a), Some(ErrorCode::NOT_A_MEMBER));
}

#[test]
fn attributes_of_a_join_are_bounded_and_a_refused_creation_leaves_no_room() {
    let mut config = config();
    config.room.attributes_max = 2;
    config.room.attributes_bytes_max = 20;
    config.room.linger_ms = 50;
    let mut world = world(&config, 2);
    let a = world.native(0);
    let value = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    let many = (0..3).map(|n| value(&n.to_string(), "")).collect();
    let long = "n".repeat(65);
    for attributes in
        [many, vec![value("a", &"x".repeat(20))], vec![value("", "")], vec![value(&long, "")]]
    {
        let options = JoinOptions { attributes, ..JoinOptions::default() };
        assert_eq!(world.refused(a, Join { options, ..join_named("x") }), ErrorCode::INVALID);
    }
    world.pass_ms(100, 10);
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
}
