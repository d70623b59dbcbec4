//! From the handshake to the welcome.

use crate::helpers::{config, world};
use crate::support::client::encode;
use crate::support::node::BAD_TOKEN;
use crate::support::world::World;
use madang_engine::input::Entry;
use madang_protocol::client::{ClientMessage, Hello, Ping, Resume};
use madang_protocol::ids::ResumeKey;
use madang_protocol::{CloseCode, VERSION};

/// A connection that sends just these bytes.
fn greet(world: &mut World, data: &[u8], text: bool) -> usize {
    let client = world.add(false, 1 << 16);
    world.clients[client].socket = Some(world.node.connect(0, Entry::Native, 1 << 16));
    world.clients[client].phase = crate::support::client::Phase::Greeting;
    world.clients[client].send_bytes(&mut world.node, data.to_vec(), text);
    world.calm();
    client
}

fn hello(change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = Hello { version_min: 1, version_max: 1, ..Hello::default() };
    change(&mut hello);
    encode(false, &ClientMessage::Hello(hello))
}

#[test]
fn without_a_hello_in_time_the_connection_is_closed() {
    let mut world = world(&config(), 1);
    let id = world.node.connect(0, Entry::Native, 1000);
    world.pass_ms(4_900, 100);
    assert_eq!(world.node.sockets[id].closed, None);
    world.pass_ms(200, 100);
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::HELLO_TIMEOUT));
}

#[test]
fn a_hello_that_is_being_checked_is_bound_by_the_deadline_too() {
    let mut world = world(&config(), 1);
    world.node.answers_at_once = false;
    let id = world.node.connect(0, Entry::Native, 1000);
    let data = hello(|_| {});
    world.node.send(id, crate::support::socket::FromClient::Message { data, text: false });
    world.node.turn(0, 1);
    assert_eq!(world.node.asked.len(), 1);
    world.node.advance_us(5_100_000);
    world.node.turn(0, 1);
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::HELLO_TIMEOUT));
    world.node.answer(0);
    assert_eq!(world.node.level(|stats| stats.sessions), 0, "a late answer changes nothing");
}

#[test]
fn too_many_bytes_before_the_session_close_the_connection() {
    let mut world = world(&config(), 1);
    let client = greet(&mut world, &hello(|hello| hello.client = "x".repeat(17_000)), false);
    assert_eq!(world.last_end(client), Some(CloseCode::HELLO_TOO_BIG));
}

#[test]
fn anything_but_a_hello_first_is_a_fault() {
    let mut world = world(&config(), 1);
    let ping = encode(false, &ClientMessage::Ping(Ping { id: 1 }));
    for data in [&ping[..], &[0], &[1, 99], &[200]] {
        let client = greet(&mut world, data, false);
        assert_eq!(world.last_end(client), Some(CloseCode::BAD_MESSAGE), "{data:?}");
    }
    let client = greet(&mut world, b"{}", true);
    assert_eq!(world.last_end(client), Some(CloseCode::BAD_MESSAGE), "text on the binary wire");
}

#[test]
fn no_version_in_common_is_said() {
    let mut world = world(&config(), 1);
    let data = hello(|hello| (hello.version_min, hello.version_max) = (VERSION + 1, VERSION + 3));
    let client = greet(&mut world, &data, false);
    assert_eq!(world.last_end(client), Some(CloseCode::UNSUPPORTED_VERSION));
}

#[test]
fn a_refused_credential_closes_and_an_accepted_one_names_the_user() {
    let mut world = world(&config(), 1);
    let client = greet(&mut world, &hello(|hello| hello.token = Some(BAD_TOKEN.into())), false);
    assert_eq!(world.last_end(client), Some(CloseCode::UNAUTHORIZED));

    let client = world.add(false, 1 << 16);
    world.clients[client].token = Some("gyeongsu".to_owned());
    world.connect(client, 0);
    let channel = world.enter(client, "lobby");
    let member = world.member(client, channel);
    let info = &world.replica(client, channel).members[&member];
    assert_eq!(info.user.as_deref(), Some("gyeongsu"));
}

#[test]
fn a_second_hello_ends_the_session() {
    let mut world = world(&config(), 1);
    let client = world.native(0);
    world.clients[client].send_bytes(&mut world.node, hello(|_| {}), false);
    world.calm();
    assert_eq!(world.last_end(client), Some(CloseCode::BAD_MESSAGE));
    assert_eq!(world.node.level(|stats| stats.sessions), 0);
}

#[test]
fn what_comes_behind_the_hello_waits_for_the_welcome() {
    let mut world = world(&config(), 1);
    let mut data = hello(|_| {});
    data.extend(encode(false, &ClientMessage::Ping(Ping { id: 7 })));
    let client = greet(&mut world, &data, false);
    assert_eq!((world.the(client).welcomes.len(), &world.the(client).pongs[..]), (1, &[7][..]));
}

#[test]
fn an_unknown_key_gives_a_new_session() {
    let mut world = world(&config(), 2);
    for (node, shard, slot) in [(0, 0, 0), (0, 1, 5), (0, 9, 0), (7, 1, 0)] {
        let key = ResumeKey::from_parts(node, shard, slot, [3; 16]);
        let resume = Some(Resume { key, rooms: Vec::new() });
        let client = greet(&mut world, &hello(|hello| hello.resume = resume), false);
        assert!(!world.the(client).welcomes[0].resumed);
    }
}

#[test]
fn a_full_server_says_busy() {
    let mut config = config();
    config.session.sessions_max = 1;
    let mut world = world(&config, 1);
    world.native(0);
    let client = greet(&mut world, &hello(|_| {}), false);
    assert_eq!(world.last_end(client), Some(CloseCode::BUSY));
}
