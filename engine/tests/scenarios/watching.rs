//! What those who watch a room are told.

use crate::helpers::{config, world};
use crate::support::client::{join_named, text};
use crate::support::world::World;
use madang_engine::Input;
use madang_engine::peer::{home_of, name_hash};
use madang_engine::watch::{WatchEvent, WatchRule};
use madang_protocol::client::Class;

/// A name that may be watched and whose home is this shard.
fn arena_at(shard: u16, shards: u16) -> String {
    let mut names = (0..).map(|number| format!("arena-{number}"));
    names.find(|name| home_of(name, shards).0 == shard).unwrap_or_default()
}

/// What was told since this was asked last, in short.
fn told(world: &mut World) -> Vec<String> {
    let items = std::mem::take(&mut world.node.watched);
    let short = items.into_iter().map(|item| match item.event {
        WatchEvent::Opened(room) => {
            assert_eq!(item.name_hash, name_hash(&room.name));
            format!("opened {} {:?} {}", room.before, room.types, room.members)
        }
        WatchEvent::TypeNamed(name) => format!("type {name}"),
        WatchEvent::Entry { seq, .. } => format!("entry {seq}"),
        WatchEvent::Members(count) => format!("members {count}"),
        WatchEvent::Snapshot(state) => format!("snapshot {} of {}", state.seq, state.tick),
        WatchEvent::Delta(state) => {
            format!("delta {} {} to {}", state.seq, state.base_tick, state.tick)
        }
        WatchEvent::Closed => "closed".to_owned(),
    });
    short.collect()
}

#[test]
fn a_room_is_told_from_its_beginning_to_its_end_and_nothing_that_is_not_for_everyone() {
    for home in [0, 1] {
        let mut world = world(&config(), 2);
        let (a, b) = (world.native(0), world.json(1));
        let channel = world.enter(a, &arena_at(home, 2));
        assert_eq!(told(&mut world), ["opened 0 [] 0", "entry 1", "members 1"]);
        world.enter(b, &arena_at(home, 2));
        assert_eq!(told(&mut world), ["entry 2", "members 2"]);
        world.say(a, channel, "first");
        world.say(a, channel, "second");
        world.publish(a, channel, Class::Volatile, "third");
        world.publish(a, channel, Class::Latest(1), "fourth");
        let member = world.member(b, channel);
        world.clients[a].direct(&mut world.node, channel, member, text("psst"));
        world.say(b, channel, "fifth");
        world.calm();
        let mut entries = told(&mut world);
        entries.retain(|told| !told.starts_with("type "));
        assert_eq!(entries.len(), 3, "{entries:?}");
        for client in [a, b] {
            world.clients[client].leave(&mut world.node, channel);
            world.calm();
        }
        let mut left = told(&mut world);
        left.retain(|told| !told.starts_with("entry "));
        assert_eq!(left, ["members 1", "members 0"]);
        world.pass_ms(config().room.linger_ms + 1000, 1000);
        assert_eq!(told(&mut world), ["closed"]);
    }
}

#[test]
fn what_was_lost_is_told_again_from_the_history() {
    let mut config = config();
    config.room.history_messages_max = 3;
    let mut world = world(&config, 1);
    let a = world.native(0);
    let name = arena_at(0, 1);
    let channel = world.enter(a, &name);
    for i in 0..5 {
        world.say(a, channel, &i.to_string());
    }
    world.calm();
    let member = world.member(a, channel);
    world.clients[a].direct(&mut world.node, channel, member, text("psst"));
    world.calm();
    let types = told(&mut world)
        .into_iter()
        .filter_map(|told| told.strip_prefix("type ").map(|name| format!("{name:?}")));
    let types = types.collect::<Vec<_>>().join(", ");
    let name_hash = name_hash(&name);
    world.node.input(0, Input::WatchResync { channel, name_hash });
    // The direct message is number 7: it has its place in the history and is not told.
    assert_eq!(
        told(&mut world),
        [format!("opened 4 [{types}] 1"), "entry 5".into(), "entry 6".into()]
    );
    world.node.input(0, Input::WatchResync { channel: channel + 1, name_hash });
    assert_eq!(told(&mut world), ["closed"]);
}

#[test]
fn rooms_that_may_not_be_watched_are_not_told() {
    let mut config = config();
    let rule = |prefix: &str| WatchRule { prefix: prefix.into(), delay_min_ms: 0 };
    config.room.watch = vec![rule("lobby")];
    let mut world = world(&config, 1);
    let a = world.native(0);
    let channel = world.enter_with(a, join_named("arena"));
    world.say(a, channel, "unheard");
    world.calm();
    assert!(told(&mut world).is_empty());
    world.enter(a, "lobby-7");
    assert_eq!(told(&mut world).len(), 3);
}

#[test]
fn time_never_runs_backwards_for_those_who_watch() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    let channel = world.enter(a, "arena");
    world.say(a, channel, "before");
    world.calm();
    world.node.wall_us -= 60_000_000;
    let b = world.native(0);
    world.enter(b, "arena");
    world.say(a, channel, "after");
    world.calm();
    let times: Vec<u64> = world
        .node
        .watched
        .iter()
        .filter_map(|item| match item.event {
            WatchEvent::Entry { at_ms, .. } => Some(at_ms),
            _ => None,
        })
        .collect();
    assert_eq!(times.len(), 4);
    assert!(times.is_sorted(), "{times:?}");
}
