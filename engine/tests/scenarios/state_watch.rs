//! What those who watch a room with state are told.

use crate::helpers::{named_at, rules, world};
use crate::support::field::{HAND, MARK, ODDS, PLAN, SEED};
use crate::support::world::World;
use madang_engine::Input;
use madang_engine::peer::name_hash;
use madang_engine::room::state::Part;
use madang_engine::watch::WatchEvent;
use madang_protocol::state::{FieldValue, ScalarValue};

/// What was told since this was asked last, in short.
fn told(world: &mut World) -> Vec<String> {
    let items = std::mem::take(&mut world.node.watched);
    let short = items.into_iter().filter_map(|item| match item.event {
        WatchEvent::Opened(room) => {
            assert!(room.schema.is_some());
            Some("opened".to_owned())
        }
        WatchEvent::Entry { seq, .. } => Some(format!("entry {seq}")),
        WatchEvent::Snapshot(state) => Some(format!("snapshot {}", state.seq)),
        WatchEvent::Delta(state) => Some(format!("delta {}", state.seq)),
        WatchEvent::Closed => Some("closed".to_owned()),
        WatchEvent::TypeNamed(_) | WatchEvent::Members(_) => None,
    });
    short.collect()
}

/// Those who watch have what spectators see now.
fn agree(world: &World, channel: u32) {
    let room = world.room(channel);
    let play = room.play().expect("it has rules");
    let (_, watched) = world.node.feed.state(channel).expect("it is watched");
    let mut there = madang_protocol::replica::Replica::default();
    let bytes = play.state().snapshot(Part::Spectators);
    there.apply_snapshot(play.schema(), &bytes).expect("it is a snapshot");
    assert_eq!(*watched, there);
}

#[test]
fn watchers_get_the_schema_a_snapshot_and_every_delta_in_the_rooms_order() {
    for prefix in ["field-", "still-", "plain-"] {
        let mut world = world(&rules(), 2);
        let a = world.native(1);
        let channel = world.enter(a, &named_at(prefix, 0, 2));
        assert_eq!(told(&mut world)[..3], ["opened", "snapshot 0", "entry 1"]);
        world.done(a, channel, &["create 1 me 1 5 5"]);
        world.done(a, channel, &["say hi"]);
        world.done(a, channel, &["odds 1 4"]);
        // What only members see is a number that they are not told of.
        world.done(a, channel, &["mark 1 4"]);
        world.done(a, channel, &["say bye"]);
        assert_eq!(told(&mut world), ["delta 2", "entry 3", "delta 4", "entry 6"]);
        agree(&world, channel);
        world.order(a, channel, "close");
        world.calm();
        assert_eq!(told(&mut world), ["closed"]);
    }
}

#[test]
fn watchers_see_what_is_hidden_from_members_and_not_what_is_hidden_from_them() {
    let mut world = world(&rules(), 1);
    let a = world.native(0);
    let channel = world.enter(a, "still-1");
    let set = ["create 1 me 1 5 5", "plan 1 p", "hand 1 h", "odds 1 7", "mark 1 8", "seed 1 s"];
    world.done(a, channel, &set);
    let schema = std::sync::Arc::clone(world.room(channel).play().expect("it has rules").schema());
    let (_, watched) = world.node.feed.state(channel).expect("it is watched");
    let value = |field| watched.value(&schema, 1, field);
    let text = |text: &str| Some(FieldValue::One(ScalarValue::Text(text.to_owned())));
    let number = |number| Some(FieldValue::One(ScalarValue::Uint(number)));
    assert_eq!((value(PLAN), value(HAND)), (text("p"), text("h")));
    assert_eq!((value(ODDS), value(MARK), value(SEED)), (number(7), number(0), text("")));
}

#[test]
fn what_was_lost_is_told_again_with_the_snapshot_at_its_place() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 1);
        let a = world.native(0);
        let name = named_at(prefix, 0, 1);
        let channel = world.enter(a, &name);
        world.done(a, channel, &["create 1 me 1 5 5"]);
        world.done(a, channel, &["say one"]);
        world.done(a, channel, &["odds 1 4"]);
        world.done(a, channel, &["say two"]);
        // Set, and not ended by a tick where there is one.
        world.order(a, channel, "odds 1 5");
        world.round();
        told(&mut world);
        let name_hash = name_hash(&name);
        world.node.input(0, Input::WatchResync { channel, name_hash });
        let expected: &[&str] = if prefix == "field-" {
            &["opened", "entry 1", "entry 3", "snapshot 4", "entry 5"]
        } else {
            &["opened", "entry 1", "entry 3", "entry 5", "snapshot 6"]
        };
        assert_eq!(told(&mut world), expected);
        world.check();
        world.done(a, channel, &["odds 1 6", "name 1 x"]);
        agree(&world, channel);
    }
}
