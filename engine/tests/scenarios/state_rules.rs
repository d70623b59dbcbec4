//! Rooms with rules: input and what answers it, requests, what rules say and whom they remove.

use crate::helpers::{create, hush, join_with, named_at, rules, world};
use crate::support::client::{encode, join_named, text};
use crate::support::copy::Came;
use crate::support::socket::FromClient;
use madang_engine::access::{Identity, Rights};
use madang_engine::id::ConnId;
use madang_engine::input::Entry;
use madang_engine::output::Event;
use madang_engine::room::Flush;
use madang_engine::time::Time;
use madang_engine::{Clock, Engine, Input};
use madang_protocol::ErrorCode;
use madang_protocol::client::{
    Class, ClientMessage, CreateOptions, Hello, Join, JoinOptions, PresenceMode, Publish,
};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::server::LeaveReason;
use madang_protocol::state::Part;
use madang_protocol::value::{TypeRef, Value};

#[test]
fn input_is_acknowledged_cumulatively_and_before_the_delta_of_its_tick() {
    for flush in [Flush::Immediate, Flush::Tick, Flush::Window(7)] {
        for prefix in ["field-", "still-"] {
            let mut config = rules();
            config.room.flush = vec![(prefix.into(), flush)];
            let mut world = world(&config, 2);
            let (a, b) = (world.native(1), world.native(0));
            let channel = world.enter(a, &named_at(prefix, 0, 2));
            world.enter(b, &named_at(prefix, 0, 2));
            world.tick();
            world.came(a, channel);
            for n in 1..=3 {
                world.order(a, channel, &format!("count {n}"));
            }
            world.round();
            world.tick();
            world.tick();
            let came = world.came(a, channel);
            let acks: Vec<u64> = came
                .iter()
                .filter_map(|came| if let Came::Ack(_, cseq) = came { Some(*cseq) } else { None })
                .collect();
            let expected: &[u64] = if prefix == "field-" { &[3] } else { &[1, 2, 3] };
            assert_eq!(acks, expected);
            let of = |tick: u64, came: &Came| matches!(came, Came::Delta(_, at) if *at == tick);
            for (place, ack) in came.iter().enumerate() {
                let Came::Ack(tick, _) = ack else { continue };
                assert!(!came[..place].iter().any(|came| of(*tick, came)));
                assert!(came[place..].iter().any(|came| of(*tick, came)));
            }
            assert!(!world.came(b, channel).iter().any(|came| matches!(came, Came::Ack(..))));
            assert!(world.replica(a, channel).unacked.is_empty());
            world.agree(channel);
        }
    }
}

#[test]
fn a_refused_message_is_an_error_and_then_acknowledged() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 1);
        let a = world.native(0);
        let channel = world.enter(a, &named_at(prefix, 0, 1));
        world.done(a, channel, &["dance"]);
        assert_eq!(world.last_error(a), Some(ErrorCode::REFUSED));
        // That the error was first is checked by the client.
        assert!(matches!(world.came(a, channel).last(), Some(Came::Ack(_, 1))));
        assert!(world.replica(a, channel).unacked.is_empty());
    }
}

#[test]
fn a_repeat_is_not_applied_twice() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 1);
        let a = world.native(0);
        let channel = world.enter(a, &named_at(prefix, 0, 1));
        world.order(a, channel, "create 4");
        let bytes = world.replica(a, channel).unacked[&1].bytes.clone();
        for _ in 0..2 {
            let id = world.the(a).socket.expect("it is connected");
            world.node.send(id, FromClient::Message { data: bytes.clone(), text: false });
        }
        world.calm();
        world.tick();
        assert_eq!(world.node.count(|stats| stats.repeated), 2);
        let entities = world.state(a, channel).parts[&Part::Members].replica.entities().len();
        assert_eq!(entities, 2, "the room and one");
        assert_eq!(world.the(a).acks.len(), 2);
    }
}

#[test]
fn requests_go_to_the_rules_and_direct_messages_do_not() {
    let mut world = world(&rules(), 2);
    let (a, b) = (world.native(0), world.native(1));
    let channel = world.enter(a, &named_at("field-", 0, 2));
    world.enter(b, &named_at("field-", 0, 2));
    world.clients[b].request(&mut world.node, channel, "roll call", "{}");
    world.clients[b].request(&mut world.node, channel, "info", "{}");
    world.calm();
    assert_eq!(world.the(b).replies[0].1, "{\"members\":2}");
    assert!(world.the(b).replies[1].1.contains("\"kind\":\"field\""));
    world.clients[b].request(&mut world.node, channel, "nonsense", "{}");
    world.calm();
    assert_eq!(world.last_error(b), Some(ErrorCode::UNKNOWN_REQUEST));
    let member = world.member(a, channel);
    world.clients[b].direct(&mut world.node, channel, member, text("psst"));
    world.calm();
    assert_eq!(world.heard(a, channel), ["psst"]);
}

#[test]
fn what_members_publish_goes_to_nobody_and_what_rules_say_to_whom_they_say() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 2);
        let (a, b, c) = (world.native(0), world.native(1), world.json(1));
        let mut channel = 0;
        for client in [a, b, c] {
            channel = world.enter(client, &named_at(prefix, 0, 2));
        }
        world.done(a, channel, &["team #1 1", "team #2 1"]);
        world.done(a, channel, &["say all", "tell #1 you", "rally 1 team", "now 3 value"]);
        world.done(a, channel, &["wave hands"]);
        world.publish(a, channel, Class::Volatile, "count 5");
        world.calm();
        world.tick();
        assert_eq!(world.heard(a, channel), ["all"]);
        assert_eq!(world.heard(b, channel), ["all", "you", "team"]);
        assert_eq!(world.heard(c, channel), ["all", "team"]);
        for client in [a, b, c] {
            assert_eq!(world.glimpsed(client, channel), ["value", "hands"]);
            assert_eq!(world.reads(client, channel, (Part::Members, 0, 0)), "5");
        }
        let d = world.native(0);
        world.enter(d, &named_at(prefix, 0, 2));
        assert_eq!(world.glimpsed(d, channel), ["value"], "current values come with the join");
    }
}

#[test]
fn who_may_not_join_is_told_why_and_the_room_goes_as_if_nobody_had_come() {
    let mut config = rules();
    config.room.linger_ms = 1_000;
    let mut world = world(&config, 2);
    let a = world.native(1);
    let name = named_at("field-", 0, 2);
    let banned = || Join {
        options: JoinOptions {
            attributes: vec![("banned".to_owned(), Value::Bool(true))],
            ..JoinOptions::default()
        },
        ..join_named(&name)
    };
    // Asking again and again does not keep it either.
    for _ in 0..4 {
        assert_eq!(world.refused(a, banned()), ErrorCode::REFUSED);
        world.pass_ms(400, 50);
    }
    let is_made = |event: &&Event| matches!(event, Event::RoomCreated { .. });
    assert_eq!(world.node.events.iter().filter(is_made).count(), 2, "it went and was made again");
    world.pass_ms(1_200, 50);
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
    let refused = join_with(&name, &[("refuse", "not today")]);
    assert_eq!(world.refused(a, refused), ErrorCode::REFUSED);
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
    assert_eq!(world.node.count(|stats| stats.rooms_failed), 0);
    let channel = world.enter(a, &name);
    world.agree(channel);
}

#[test]
fn who_is_kicked_hears_what_was_said_before_and_is_told() {
    for prefix in ["field-", "still-"] {
        for (flush, shard) in [(Flush::Immediate, 0), (Flush::Window(9), 1), (Flush::Immediate, 1)]
        {
            let mut config = rules();
            config.room.flush = vec![(prefix.into(), flush)];
            let mut world = world(&config, 2);
            // The only member on its shard.
            let (a, b) = (world.native(0), world.native(shard));
            let channel = world.enter(a, &named_at(prefix, 0, 2));
            world.enter(b, &named_at(prefix, 0, 2));
            world.order(a, channel, "say first");
            world.order(a, channel, "tell #1 you");
            world.order(a, channel, "kick #1");
            world.calm();
            world.tick();
            let left = world.the(b).lefts.last().map(|left| left.reason);
            assert_eq!(left, Some(LeaveReason::Kicked));
            assert_eq!(
                world.the(b).positions[&named_at(prefix, 0, 2)].seq.0,
                4,
                "two joins, two said"
            );
            assert_eq!(world.room(channel).members.len(), 1);
            world.agree(channel);
            world.enter(b, &named_at(prefix, 0, 2));
            world.tick();
            world.agree(channel);
        }
    }
}

#[test]
fn rules_that_close_a_room_end_it_and_its_name_is_free_at_once() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 2);
        let (a, b) = (world.native(0), world.native(1));
        let name = named_at(prefix, 0, 2);
        let channel = world.enter(a, &name);
        world.enter(b, &name);
        let epoch = world.replica(a, channel).epoch;
        world.order(a, channel, "say the end");
        world.order(a, channel, "close");
        world.calm();
        for client in [a, b] {
            let left = world.the(client).lefts.last().map(|left| left.reason);
            assert_eq!(left, Some(LeaveReason::Closed));
            assert_eq!(world.the(client).positions[&name].seq.0, 3, "it heard the end");
        }
        assert_eq!(world.node.level(|stats| stats.rooms), 0);
        let channel = world.enter(b, &name);
        assert_ne!(world.replica(b, channel).epoch, epoch);
        world.done(b, channel, &["count 3"]);
        world.agree(channel);
    }
}

#[test]
fn rules_may_close_their_room_in_any_call() {
    for prefix in ["field-", "still-"] {
        for call in ["create", "may_join", "join", "leave", "empty", "request", "tick", "timer"] {
            let mut world = world(&rules(), 2);
            let (a, b) = (world.native(0), world.native(1));
            let name = named_at(prefix, 0, 2);
            let join = join_with(&name, &[(call, "close")]);
            if ["create", "may_join"].contains(&call) {
                assert_eq!(world.refused(a, join), ErrorCode::REFUSED);
            } else {
                let channel = world.enter_with(a, join);
                if call != "join" {
                    world.enter(b, &name);
                    world.order(a, channel, "timer 1 1");
                    world.clients[a].request(&mut world.node, channel, "roll call", "{}");
                    world.calm();
                    world.tick();
                    for client in [a, b] {
                        world.clients[client].leave(&mut world.node, channel);
                        world.calm();
                    }
                }
            }
            let is_called = call != "tick" || prefix == "field-";
            let rooms = world.node.level(|stats| stats.rooms);
            assert_eq!(rooms, u64::from(!is_called), "{prefix} {call}");
            world.enter(b, &name);
            world.check();
        }
    }
}

#[test]
fn rules_that_remove_one_member_for_another_need_no_deeper_stack_for_more_of_them() {
    const MEMBERS: u32 = 4_000;
    let mut engine = Engine::new(rules(), [1; 32], Time::from_ms(5));
    let mut tell = |input: Input<'_>| {
        engine.handle_input(input, Clock { now: Time::from_ms(5), wall_us: 1_000_000 });
        while engine.poll_output().is_some() {}
        let room = engine.home().iter().next();
        room.map_or(0, |room| room.members.len())
    };
    let options = CreateOptions { presence: Some(PresenceMode::None), ..CreateOptions::default() };
    let join = Join { options: create(options), ..join_named("still-1") };
    let join = encode(false, &ClientMessage::Join(join));
    let hello = Hello { version_min: 1, version_max: 1, ..Hello::default() };
    let hello = encode(false, &ClientMessage::Hello(hello));
    for slot in 0..MEMBERS {
        let conn = ConnId { slot, generation: 1 };
        tell(Input::Connected { conn, entry: Entry::Native });
        tell(Input::Message { conn, data: &hello, text: false });
        tell(Input::Authenticated { conn, result: Ok(Identity::anonymous(Rights::ALL)) });
        tell(Input::Message { conn, data: &join, text: false });
    }
    let conn = ConnId { slot: 0, generation: 1 };
    let mut order = |cseq: u64, line: &'static str| {
        let publish = Publish {
            channel: Channel(0),
            cseq: Cseq(cseq),
            class: Class::Reliable,
            r#type: TypeRef::Name("do".into()),
            payload: text(line),
        };
        let data = encode(false, &ClientMessage::Publish(publish));
        tell(Input::Message { conn, data: &data, text: false })
    };
    assert_eq!(order(1, "cascade"), MEMBERS);
    assert_eq!(order(2, "kick #1"), 0);
}

#[test]
fn a_member_removed_in_a_call_is_told_to_the_rules_when_the_call_is_over() {
    hush();
    let mut world = world(&rules(), 1);
    let (a, b, c) = (world.native(0), world.native(0), world.native(0));
    let name = named_at("still-", 0, 1);
    let mut channel = 0;
    for client in [a, b, c] {
        channel = world.enter(client, &name);
    }
    world.order(a, channel, "arm leave kick #1");
    world.order(a, channel, "arm leave say gone");
    world.order(a, channel, "kick #2");
    world.calm();
    assert_eq!(world.heard(a, channel), ["gone"]);
    let reason = |client: usize| world.the(client).lefts.last().map(|left| left.reason);
    assert_eq!(reason(b), Some(LeaveReason::Kicked));
    assert_eq!(reason(c), Some(LeaveReason::Kicked));
    world.agree(channel);
}

/// The check of the room sees that no value is kept of somebody who is not there.
#[test]
fn the_last_word_of_a_member_that_is_removed_for_it_is_heard_and_not_kept() {
    for prefix in ["field-", "still-"] {
        let mut world = world(&rules(), 2);
        let (a, b) = (world.native(0), world.native(1));
        let channel = world.enter(a, &named_at(prefix, 0, 2));
        world.enter(b, &named_at(prefix, 0, 2));
        let before = world.node.count(|stats| stats.published);
        let (node, class) = (&mut world.node, Class::Latest(3));
        world.clients[a].publish(node, channel, class, "word", text("expel"));
        world.calm();
        world.node.check_invariants();
        assert_eq!(world.node.count(|stats| stats.published), before + 1);
        let left = world.the(a).lefts.last().map(|left| left.reason);
        assert_eq!(left, Some(LeaveReason::Kicked));
    }
}
