//! Bursts: what a client may send at once costs nobody else anything.

use crate::helpers::{config, room_at, world};
use crate::support::client::{join_named, text};
use crate::support::socket::FromClient;
use madang_protocol::client::{Class, Join, JoinTarget, Publish, SetAttributes};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::value::{TypeRef, Value};
use madang_protocol::{ClientMessage, ErrorCode, codec};
use std::borrow::Cow;

fn publications(channel: u32, count: u64) -> Vec<u8> {
    let mut batch = Vec::new();
    for cseq in 1..=count {
        let publish = ClientMessage::Publish(Publish {
            channel: Channel(channel),
            cseq: Cseq(cseq),
            class: Class::Reliable,
            r#type: TypeRef::Name(Cow::Borrowed("chat")),
            payload: text(&format!("message {cseq}")),
        });
        codec::encode_client(&publish, &mut batch);
    }
    batch
}

#[test]
fn one_batch_of_thousands_closes_nobody_and_arrives_whole() {
    for home in [0, 1] {
        let mut world = world(&config(), 2);
        let clients = [world.native(0), world.native(0), world.json(1)];
        let room = room_at(home, 2);
        let mut channel = 0;
        for client in clients {
            channel = world.enter(client, &room);
        }
        // More than a queue holds, with nobody reading before the whole batch was sent.
        let id = world.the(clients[0]).socket.expect("it is connected");
        let most = u64::from(world.node.config().session.outbound_messages_max);
        world
            .node
            .send(id, FromClient::Message { data: publications(channel, 2 * most), text: false });
        world.calm();
        for client in clients {
            assert!(world.the(client).is_ready(), "nobody was closed");
            assert_eq!(world.replica(client, channel).seen.len() as u64 / most, 2);
        }
    }
}

#[test]
fn a_batch_beyond_the_rate_waits_for_it_in_order() {
    let mut config = config();
    config.session.messages_per_second = 100;
    config.session.messages_burst = 10;
    let mut world = world(&config, 1);
    let (a, b) = (world.native(0), world.native(0));
    let channel = world.enter(a, "lobby");
    world.enter(b, "lobby");
    let id = world.the(a).socket.expect("it is connected");
    world.node.send(id, FromClient::Message { data: publications(channel, 50), text: false });
    world.pass_ms(20, 10);
    let heard = world.heard(b, channel).len();
    assert!((5..20).contains(&heard), "the burst and not much more: {heard}");
    world.pass_ms(1_000, 10);
    assert_eq!(world.heard(b, channel).len(), 50);
    world.check();
}

#[test]
fn a_long_filter_and_a_long_list_of_attributes_are_refused_before_they_cost_anything() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    let filter = vec![("a".to_owned(), String::new()); 1_000];
    let target = JoinTarget::Match { kind: "relay".to_owned(), filter };
    assert_eq!(world.refused(a, Join { target, ..join_named("any") }), ErrorCode::INVALID);
    let channel = world.enter(a, "lobby");
    let attributes = (0..1_000).map(|n| (n.to_string(), Value::Null)).collect();
    let (channel, cseq) = (Channel(channel), Cseq(1));
    let set = ClientMessage::SetAttributes(SetAttributes { channel, cseq, attributes });
    world.clients[a].send(&mut world.node, &set);
    world.calm();
    assert_eq!(world.last_error(a), Some(ErrorCode::INVALID));
}
