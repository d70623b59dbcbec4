//! What things cost, counted; and that the same inputs give the same outputs.

use crate::helpers::{config, room_at, world};
use crate::support::client::encode;
use crate::support::socket::Gone;
use crate::support::world::World;
use madang_engine::access::{Identity, Rights};
use madang_engine::id::{ConnId, ShardId};
use madang_engine::input::Entry;
use madang_engine::time::Time;
use madang_engine::{Clock, Config, Engine, Input, Output};
use madang_protocol::client::{Class, ClientMessage, Hello, Publish};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::value::TypeRef;
use std::fmt::Write as _;

/// Frames encoded, on all shards, while `act` happens.
fn encodes(world: &mut World, act: impl FnOnce(&mut World)) -> u64 {
    let before = world.node.count(|stats| stats.encodes);
    act(world);
    world.calm();
    world.node.count(|stats| stats.encodes) - before
}

#[test]
fn a_broadcast_is_encoded_once_per_wire_whatever_the_number_of_receivers() {
    let mut world = world(&config(), 3);
    let room = room_at(0, 3);
    let first = world.native(0);
    let channel = world.enter(first, &room);
    world.say(first, channel, "the type is numbered");
    world.calm();
    for n in 0..30 {
        let client = world.native(n % 3);
        world.enter(client, &room);
    }
    for class in [Class::Reliable, Class::Latest(0), Class::Volatile] {
        let count = encodes(&mut world, |world| {
            world.publish(first, channel, class, &format!("{class:?} to all"));
        });
        assert_eq!(count, 1, "{class:?}");
    }
    for n in 0..5 {
        let client = world.json(n % 3);
        world.enter(client, &room);
    }
    let count = encodes(&mut world, |world| {
        world.say(first, channel, "to all wires");
    });
    assert_eq!(count, 2, "one for each wire");
    assert_eq!(world.heard(first, channel).len(), 3);
}

#[test]
fn a_broadcast_crosses_to_each_shard_once() {
    let mut world = world(&config(), 3);
    let room = room_at(0, 3);
    let mut channel = 0;
    for n in 0..30 {
        let client = world.native(n % 3);
        channel = world.enter(client, &room);
    }
    world.say(0, channel, "to all");
    world.node.turn(0, usize::MAX);
    assert_eq!((world.node.waiting(0, 1), world.node.waiting(0, 2)), (2, 2), "a type, a message");
    world.calm();
}

#[test]
fn when_everybody_has_gone_nothing_is_left() {
    let mut config = config();
    config.room.linger_ms = 1_000;
    let mut world = world(&config, 3);
    for n in 0..12 {
        let client = if n % 3 == 0 { world.json(n % 3) } else { world.native(n % 3) };
        for home in 0..3 {
            let channel = world.enter(client, &room_at(home, 3));
            world.say(client, channel, &format!("hello from {n}"));
            world.publish(client, channel, Class::Latest(0), "here");
        }
        if n % 4 == 0 {
            world.set_stalled(client, true);
        }
        world.calm();
    }
    for client in 0..12 {
        let gone = [Gone::Closed, Gone::Noticed, Gone::Unnoticed][client % 3];
        world.clients[client].cut(&mut world.node, 9, gone);
    }
    world.pass_ms(80_000, 500);
    world.node.check_invariants();
    let left = world.node.level(|stats| {
        stats.connections + stats.sessions + stats.sessions_away + stats.rooms + stats.queue_nodes
    });
    assert_eq!(left, 0);
}

/// Everything that comes out of an engine for a fixed list of inputs, as text.
fn transcript(seed: u8) -> String {
    let config = Config { shard: ShardId(0), shards: 2, ..config() };
    let mut engine = Engine::new(config, [seed; 32], Time::from_ms(5));
    let mut text = String::new();
    let mut tell = |engine: &mut Engine, input: Input<'_>, ms: u64| {
        let clock = Clock { now: Time::from_ms(5 + ms), wall_us: 1_000_000 + ms };
        engine.handle_timeout(clock);
        engine.handle_input(input, clock);
        while let Some(output) = engine.poll_output() {
            let _ = writeln!(text, "{output:?}");
            if let Output::Flush(conn) = output {
                while let Some((frame, kind)) = engine.next_frame(conn) {
                    let _ = writeln!(text, "{kind:?} {:?}", &frame[..]);
                }
            }
        }
    };
    for slot in 0..4 {
        let conn = ConnId { slot, generation: 1 };
        let entry = if slot == 3 { Entry::Json } else { Entry::Native };
        let is_json = slot == 3;
        tell(&mut engine, Input::Connected { conn, entry }, 0);
        let hello = Hello { version_min: 1, version_max: 1, ..Hello::default() };
        let data = encode(is_json, &ClientMessage::Hello(hello));
        tell(&mut engine, Input::Message { conn, data: &data, text: is_json }, 1);
        tell(
            &mut engine,
            Input::Authenticated { conn, result: Ok(Identity::anonymous(Rights::ALL)) },
            2,
        );
        for room in [room_at(0, 2), room_at(1, 2)] {
            let join = crate::support::client::join_named(&room);
            let data = encode(is_json, &ClientMessage::Join(join));
            tell(&mut engine, Input::Message { conn, data: &data, text: is_json }, 3);
        }
        let publish = Publish {
            channel: Channel(0),
            cseq: Cseq(1),
            class: Class::Reliable,
            r#type: TypeRef::Name("chat".into()),
            payload: crate::support::client::text("hi"),
        };
        let data = encode(is_json, &ClientMessage::Publish(publish));
        tell(&mut engine, Input::Message { conn, data: &data, text: is_json }, 4);
    }
    let conn = ConnId { slot: 0, generation: 1 };
    tell(&mut engine, Input::Disconnected { conn, ends_session: false }, 5);
    tell(&mut engine, Input::PeerReset { peer: ShardId(1) }, 6);
    tell(&mut engine, Input::Drain { retry_min_ms: 1, retry_max_ms: 100 }, 40_000);
    tell(&mut engine, Input::Quiesce, 80_000);
    text
}

#[test]
fn the_same_inputs_give_the_same_outputs_byte_for_byte() {
    assert_eq!(transcript(7), transcript(7));
    assert_ne!(transcript(7), transcript(8), "keys and epochs come from the seed");
}
