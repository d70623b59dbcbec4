//! Rules that break theirs lose their room, and no other.

use crate::helpers::{hush, join_with, named_at, rules, world};
use crate::support::client::join_named;
use crate::support::world::World;
use madang_engine::output::Event;
use madang_protocol::ErrorCode;
use madang_protocol::server::LeaveReason;

const CALLS: [&str; 8] =
    ["may_join", "join", "message", "request", "leave", "empty", "tick", "timer"];

/// Two members, of whom one may be the cause, in a room that fails, and another room.
fn fails(world: &mut World, prefix: &str, cause: impl FnOnce(&mut World, usize, u32)) {
    let name = named_at(prefix, 0, 2);
    let (a, b, c) = (world.native(0), world.json(1), world.native(1));
    let channel = world.enter(a, &name);
    world.enter(b, &name);
    let other = world.enter(c, &named_at("still-", 1, 2));
    world.enter(a, &named_at("still-", 1, 2));
    cause(world, a, channel);
    world.calm();
    world.tick();
    assert_eq!(world.node.count(|stats| stats.rooms_failed), 1);
    let is_told =
        |event: &Event| matches!(event, Event::RoomFailed { room, .. } if **room == *name);
    assert_eq!(world.node.events.iter().filter(|event| is_told(event)).count(), 1);
    for client in [a, b] {
        let is_gone = !world.the(client).rooms.contains_key(&channel);
        assert!(is_gone, "client {client} was removed");
        let left = world.the(client).lefts.iter().find(|left| left.channel.0 == channel);
        if left.is_some_and(|left| left.reason == LeaveReason::Failed) {
            assert!(
                world.the(client).errors.iter().any(|(code, _)| *code == ErrorCode::ROOM_FAILED)
            );
        }
    }
    // Nobody enters it, however often it is asked for, until it has been gone for a while.
    for _ in 0..5 {
        assert_eq!(world.refused(b, join_named(&name)), ErrorCode::ROOM_FAILED);
        world.pass_ms(150, 50);
    }
    world.pass_ms(400, 50);
    world.calm();
    let again = world.enter(b, &name);
    world.done(b, again, &["count 1"]);
    world.agree(again);
    // The others have seen nothing of it.
    world.done(c, other, &["count 9"]);
    world.agree(other);
    assert!(world.the(c).errors.is_empty());
}

fn failing() -> World {
    hush();
    let mut config = rules();
    config.room.linger_ms = 1_000;
    config.room.logic_operations_max = 100;
    config.room.state_entities_max = 20;
    config.room.state_bytes_max = 20_000;
    world(&config, 2)
}

#[test]
fn a_panic_in_any_call_loses_the_room_and_no_other() {
    for prefix in ["field-", "still-"] {
        for call in CALLS {
            if call == "tick" && prefix == "still-" {
                continue;
            }
            let mut world = failing();
            fails(&mut world, prefix, |world, a, channel| {
                let d = world.native(1);
                let name = named_at(prefix, 0, 2);
                world.order(a, channel, &format!("arm {call} panic expected"));
                world.calm();
                match call {
                    "may_join" => {
                        assert_eq!(world.refused(d, join_named(&name)), ErrorCode::ROOM_FAILED);
                    }
                    "join" => {
                        world.clients[d].join(&mut world.node, join_named(&name));
                    }
                    "message" => {
                        world.order(a, channel, "panic expected");
                    }
                    "request" => {
                        world.clients[a].request(&mut world.node, channel, "roll call", "{}");
                    }
                    "leave" => world.clients[a].leave(&mut world.node, channel),
                    "empty" => {
                        for client in 0..2 {
                            world.clients[client].leave(&mut world.node, channel);
                        }
                    }
                    "timer" => {
                        world.order(a, channel, "timer 1 1");
                        world.order(a, channel, "count 1");
                    }
                    _ => {}
                }
            });
        }
    }
}

#[test]
fn too_many_operations_or_timers_and_too_large_a_state_lose_the_room() {
    for line in ["spend 101", "grow 20001", "fill 21", "timers 101 5"] {
        let mut world = failing();
        fails(&mut world, "field-", |world, a, channel| {
            world.order(a, channel, line);
        });
    }
    // Many small calls leave no more behind than one may.
    let mut world = failing();
    fails(&mut world, "field-", |world, a, channel| {
        world.order(a, channel, "timers 90 50");
        world.order(a, channel, "timers 90 50");
    });
    // Within the bounds nothing is lost.
    let mut world = failing();
    let a = world.native(0);
    let channel = world.enter(a, "field-1");
    world.done(a, channel, &["spend 99", "grow 1000", "fill 20", "timers 90 1"]);
    world.done(a, channel, &["timers 90 1"]);
    assert_eq!(world.node.count(|stats| stats.rooms_failed), 0);
    world.agree(channel);
}

#[test]
fn rules_that_panic_when_they_are_let_go_take_nobody_along() {
    for end in ["panic expected", "close", "kick me"] {
        let mut world = failing();
        let a = world.native(1);
        let name = named_at("field-", 0, 2);
        let channel = world.enter_with(a, join_with(&name, &[("drop", "expected")]));
        world.order(a, channel, end);
        world.calm();
        world.pass_ms(1_200, 50);
        assert_eq!(world.node.level(|stats| stats.rooms), 0);
        let other = world.enter(a, &name);
        world.done(a, other, &["count 1"]);
        world.agree(other);
    }
}

#[test]
fn a_room_whose_making_fails_is_not_made_and_is_counted() {
    for (label, value) in [
        ("create", "panic expected"),
        ("factory", "expected"),
        ("schema", "x"),
        ("create", "spend 101"),
    ] {
        let mut world = failing();
        let a = world.native(1);
        let name = named_at("field-", 0, 2);
        let join = join_with(&name, &[(label, value)]);
        assert_eq!(world.refused(a, join), ErrorCode::ROOM_FAILED, "{label}");
        assert_eq!(world.node.count(|stats| stats.rooms_failed), 1);
        assert_eq!(world.node.level(|stats| stats.rooms), 0);
        assert!(world.node.events.iter().any(|event| matches!(event, Event::RoomFailed { .. })));
        world.enter(a, &name);
    }
}
