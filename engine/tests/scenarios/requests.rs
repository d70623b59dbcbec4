//! What every room answers.

use crate::helpers::{config, create, room_at, world};
use crate::support::client::join_named;
use crate::support::world::World;
use madang_protocol::ErrorCode;
use madang_protocol::client::{Class, CreateOptions, Join, PresenceMode};
use madang_protocol::value::Payload;
use serde_json::{Value, json};
use std::borrow::Cow;

fn ask(world: &mut World, client: usize, channel: u32, what: &'static str, with: &str) -> Value {
    let before = world.the(client).replies.len();
    let cseq = world.clients[client].request(&mut world.node, channel, what, with);
    world.calm();
    let (answered, text) = &world.the(client).replies[before];
    assert_eq!(Some(*answered), cseq);
    serde_json::from_str(text).expect("an answer is JSON")
}

#[test]
fn info_tells_what_the_room_is() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let options = create(CreateOptions {
        capacity: Some(7),
        labels: vec![("map".into(), "dust".into())],
        ..CreateOptions::default()
    });
    let room = room_at(1, 2);
    let channel = world.enter_with(a, Join { options, ..join_named(&room) });
    let info = ask(&mut world, a, channel, "info", "");
    let epoch = world.the(a).joins[0].epoch.to_string();
    let expected = json!({
        "kind": "relay", "epoch": epoch, "seq": 1, "members": 1, "capacity": 7,
        "labels": [["map", "dust"]],
    });
    assert_eq!(info, expected);
}

#[test]
fn members_come_in_pages() {
    let mut world = world(&config(), 2);
    let clients: Vec<usize> = (0..5).map(|n| world.native(n % 2)).collect();
    let options =
        create(CreateOptions { presence: Some(PresenceMode::None), ..CreateOptions::default() });
    let mut channel = 0;
    for client in &clients {
        channel =
            world.enter_with(*client, Join { options: options.clone(), ..join_named("hall") });
    }
    let (mut after, mut ids) = (json!(0), Vec::new());
    while !after.is_null() {
        let arguments = json!({ "after": after, "limit": 2 }).to_string();
        let page = ask(&mut world, clients[0], channel, "members", &arguments);
        let members = page["members"].as_array().expect("a page has members");
        assert!(members.len() <= 2);
        ids.extend(members.iter().map(|member| member["id"].as_u64()));
        after = page["next"].clone();
    }
    assert_eq!(ids, [1, 2, 3, 4, 5].map(Some));
}

#[test]
fn history_comes_in_pages_with_names_for_types() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let channel = world.enter(a, "lobby");
    for n in 0..5 {
        world.say(a, channel, &format!("m{n}"));
    }
    let bytes = Payload::Bytes(Cow::Borrowed(&[0, 255]));
    world.clients[a].publish(&mut world.node, channel, Class::Reliable, "blob", bytes);
    world.calm();
    let page = ask(&mut world, a, channel, "history", r#"{"limit":2}"#);
    assert_eq!(page["more"], json!(true));
    assert_eq!(page["messages"][0]["payload"], json!({ "text": "m4" }));
    assert_eq!(page["messages"][1]["payload"], json!({ "bytes": "AP8=" }));
    assert_eq!(page["messages"][1]["type"], json!("blob"));
    let before = page["messages"][0]["seq"].as_u64().expect("a message has a seq");
    let arguments = format!(r#"{{"before":{before},"limit":100}}"#);
    let page = ask(&mut world, a, channel, "history", &arguments);
    assert_eq!(page["more"], json!(false));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(4));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let channel = world.enter(a, &room_at(1, 2));
    for (what, with, code) in [
        ("dance", "", ErrorCode::UNKNOWN_REQUEST),
        ("members", "{", ErrorCode::INVALID),
        ("members", r#"{"after":-1}"#, ErrorCode::INVALID),
        ("history", r#"{"before":"x"}"#, ErrorCode::INVALID),
        ("history", "[]", ErrorCode::INVALID),
    ] {
        world.clients[a].request(&mut world.node, channel, what, with);
        world.calm();
        assert_eq!(world.last_error(a), Some(code), "{what} {with}");
    }
    assert!(world.replica(a, channel).unacked.is_empty());
}
