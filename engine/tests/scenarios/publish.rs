//! What a backend publishes: to whom it goes, and what a retry does.

use crate::helpers::{config, room_at, world};
use crate::support::log::What;
use crate::support::world::World;
use madang_engine::Input;
use madang_engine::config::Kind;
use madang_engine::peer::home_of;
use madang_engine::publish::{Publish, PublishEvent, PublishRefusal, Receipt, Ticket};
use madang_engine::room::logic::{Context, LogicKind, RoomLogic, RoomOptions};
use madang_engine::watch::{WatchEvent, WatchRule};
use madang_protocol::state::{Kind as StateKind, Schema};
use madang_protocol::value::Payload;
use std::sync::Arc;

/// Events named after a backend's tokens.
fn tokens(words: &[&str]) -> Vec<PublishEvent> {
    let event = |word: &&str| PublishEvent {
        name: "token".into(),
        payload: Payload::Text((*word).to_owned().into()),
    };
    words.iter().map(event).collect()
}

/// Publishes at the room's home and returns the answer.
fn publish(
    world: &mut World,
    room: &str,
    key: Option<&str>,
    events: Vec<PublishEvent>,
) -> Result<Receipt, PublishRefusal> {
    publish_where(world, room, true, key, events)
}

fn publish_where(
    world: &mut World,
    room: &str,
    may_create: bool,
    key: Option<&str>,
    events: Vec<PublishEvent>,
) -> Result<Receipt, PublishRefusal> {
    let home = home_of(room, world.node.shards() as u16).0 as usize;
    let number = 7 + world.node.published.len() as u64;
    let ticket = Ticket { asker: 3, number };
    let publish =
        Publish { ticket, room: room.into(), may_create, key: key.map(Box::from), events };
    let before = world.node.published.len();
    world.node.input(home, Input::Publish(Box::new(publish)));
    assert_eq!(world.node.published.len(), before + 1, "every publication is answered at once");
    let (answered, result) = world.node.published[before];
    assert_eq!(answered, number);
    result
}

/// The seqs of what backends published, as those who watch were told.
fn watched(world: &World) -> Vec<u64> {
    let seqs = world.node.watched.iter().filter_map(|item| match item.event {
        WatchEvent::Entry { seq, is_published: true, .. } => Some(seq),
        _ => None,
    });
    seqs.collect()
}

#[test]
fn everybody_gets_it_once_and_in_order() {
    for home in [0, 1] {
        let mut names = (0..).map(|number| format!("arena-{number}"));
        let room = names.find(|name| home_of(name, 2).0 == home).unwrap_or_default();
        let mut world = world(&config(), 2);
        let (a, b, c) = (world.native(0), world.json(1), world.json(0));
        let channel = world.enter(a, &room);
        world.enter(b, &room);
        world.enter(c, &room);
        let receipt = publish(&mut world, &room, None, tokens(&["one", "two"])).unwrap();
        assert_eq!((receipt.seq, receipt.count, receipt.repeated), (5, 2, false));
        let receipt = publish(&mut world, &room, None, tokens(&["three"])).unwrap();
        assert_eq!((receipt.seq, receipt.count), (6, 1));
        world.calm();
        for client in [a, b, c] {
            assert_eq!(world.heard(client, channel), ["one", "two", "three"]);
            let seen = &world.replica(client, channel).seen;
            for (_, what) in seen.iter().filter(|(_, what)| what.payload().is_some()) {
                let What::Message { from, name, cseq, .. } = what else { panic!("{what:?}") };
                assert_eq!((*from, &**name, *cseq), (0, "token", 0), "it is from the room");
            }
        }
        assert_eq!(watched(&world), [4, 5, 6]);
        assert_eq!(world.node.level(|stats| stats.published), 3);
    }
}

#[test]
fn who_was_away_or_comes_later_finds_it_in_the_log() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let room = room_at(1, 2);
    let channel = world.enter(a, &room);
    world.drop_socket(a);
    world.calm();
    publish(&mut world, &room, None, tokens(&["missed"])).unwrap();
    world.connect(a, 0);
    assert_eq!(world.heard(a, channel), ["missed"]);
}

#[test]
fn a_retry_is_answered_the_same_and_not_applied_again() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let room = room_at(1, 2);
    let channel = world.enter(a, &room);
    let first = publish(&mut world, &room, Some("k1"), tokens(&["one", "two"])).unwrap();
    publish(&mut world, &room, Some("k2"), tokens(&["three"])).unwrap();
    for _ in 0..3 {
        let again = publish(&mut world, &room, Some("k1"), tokens(&["one", "two"])).unwrap();
        assert_eq!(again, Receipt { repeated: true, ..first });
    }
    for other in [&["one"][..], &["one", "three"], &["two", "one"]] {
        let refused = publish(&mut world, &room, Some("k1"), tokens(other));
        assert_eq!(refused, Err(PublishRefusal::KeyReused));
    }
    world.calm();
    assert_eq!(world.heard(a, channel), ["one", "two", "three"]);
    assert_eq!(world.node.level(|stats| stats.published), 3);
    assert_eq!(world.node.level(|stats| stats.repeated), 3);
    // Another room knows nothing of it.
    let elsewhere = publish(&mut world, &room_at(0, 2), Some("k1"), tokens(&["four"])).unwrap();
    assert!(!elsewhere.repeated);
}

#[test]
fn the_oldest_keys_are_forgotten_first() {
    let mut config = config();
    config.room.publish_keys_max = 3;
    let mut world = world(&config, 1);
    let a = world.native(0);
    world.enter(a, "lobby");
    let mut send = |key: &str| {
        let events = tokens(&[&format!("{key} at {}", world.node.published.len())]);
        let fresh = publish(&mut world, "lobby", Some(key), events);
        world.calm();
        fresh
    };
    for key in ["a", "b", "c", "d"] {
        assert!(!send(key).unwrap().repeated);
    }
    for key in ["b", "c", "d"] {
        assert_eq!(send(key), Err(PublishRefusal::KeyReused), "{key} is known");
    }
    assert!(!send("a").unwrap().repeated, "it made room for d");
    assert!(!send("b").unwrap().repeated, "it made room for a");
    assert_eq!(send("d"), Err(PublishRefusal::KeyReused));
}

#[test]
fn a_key_is_forgotten_in_time() {
    let mut config = config();
    config.room.publish_keys_ms = 10_000;
    let mut world = world(&config, 1);
    let a = world.native(0);
    world.enter(a, "lobby");
    publish(&mut world, "lobby", Some("k"), tokens(&["one"])).unwrap();
    world.pass_ms(9_000, 1_000);
    assert!(publish(&mut world, "lobby", Some("k"), tokens(&["one"])).unwrap().repeated);
    world.pass_ms(2_000, 1_000);
    let late = publish(&mut world, "lobby", Some("k"), tokens(&["other"])).unwrap();
    assert!(!late.repeated, "a retry does not make it last longer");
}

#[test]
fn a_server_that_keeps_no_keys_publishes_again() {
    let mut config = config();
    config.room.publish_keys_max = 0;
    let mut world = world(&config, 1);
    for word in ["one", "two"] {
        assert!(!publish(&mut world, "lobby", Some("k"), tokens(&[word])).unwrap().repeated);
    }
    world.calm();
}

#[test]
fn a_room_made_by_publishing_lingers_and_goes() {
    let mut world = world(&config(), 2);
    let linger_ms = config().room.linger_ms;
    let first = publish(&mut world, "arena-x", Some("k"), tokens(&["one"])).unwrap();
    assert_eq!(first.seq, 1);
    world.calm();
    assert_eq!(world.node.level(|stats| stats.rooms), 1);
    // It stays while something is published: for those who watch.
    for n in 0..4 {
        world.pass_ms(linger_ms - 1_000, 500);
        let word = format!("more {n}");
        let more = publish(&mut world, "arena-x", None, tokens(&[&word])).unwrap();
        assert_eq!((more.epoch, more.seq), (first.epoch, n + 2));
    }
    world.pass_ms(linger_ms + 1_000, 500);
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
    // The memory of keys went with the epoch.
    let anew = publish(&mut world, "arena-x", Some("k"), tokens(&["one"])).unwrap();
    assert_eq!((anew.seq, anew.repeated), (1, false));
    assert_ne!(anew.epoch, first.epoch);
    // Who joins finds what was published, and keeps the room.
    let a = world.native(0);
    let mut join = crate::support::client::join_named("arena-x");
    join.history = 10;
    let channel = world.enter_with(a, join);
    assert_eq!(world.heard(a, channel), ["one"]);
    world.pass_ms(2 * linger_ms, 1_000);
    assert_eq!(world.node.level(|stats| stats.rooms), 1);
}

#[test]
fn a_room_is_only_made_where_that_is_wished_and_possible() {
    let mut config = config();
    config.room.rooms_max = 1;
    let mut world = world(&config, 1);
    let refused = publish_where(&mut world, "lobby", false, None, tokens(&["no"]));
    assert_eq!(refused, Err(PublishRefusal::NoSuchRoom));
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
    publish(&mut world, "lobby", None, tokens(&["one"])).unwrap();
    publish_where(&mut world, "lobby", false, None, tokens(&["two"])).unwrap();
    let refused = publish(&mut world, "other", None, tokens(&["three"]));
    assert_eq!(refused, Err(PublishRefusal::Full));
    world.calm();
}

#[test]
fn a_raw_room_refuses() {
    let mut world = world(&config(), 1);
    let refused = publish(&mut world, "raw.x", None, tokens(&["no"]));
    assert_eq!(refused, Err(PublishRefusal::RawRoom), "its name says so");
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
    let mut raw = crate::support::raw::RawClient::new(0);
    raw.connect(&mut world.node, 0, "free", false);
    world.raws.push(raw);
    world.calm();
    let refused = publish(&mut world, "free", None, tokens(&["no"]));
    assert_eq!(refused, Err(PublishRefusal::RawRoom), "it is one");
    world.calm();
    assert!(world.raws[0].received.is_empty());
}

/// Rules of rooms that have nothing but a name; those of one name fail when they begin.
struct Rules {
    fails: bool,
}

impl RoomLogic for Rules {
    fn schema(&self) -> Arc<Schema> {
        let kind = StateKind { name: "room".to_owned(), fields: Vec::new() };
        Arc::new(Schema { kinds: vec![kind] })
    }

    fn on_create(&mut self, ctx: &mut Context<'_>) {
        ctx.announce("begun", "it begins");
        assert!(!self.fails, "a failure of these rules");
    }
}

#[test]
fn a_room_with_rules_is_published_in_unless_they_have_failed() {
    let mut config = config();
    let factory = |options: &RoomOptions<'_>| match options.name {
        "duel-none" => Err("there is no such duel".to_owned()),
        name => Ok(Box::new(Rules { fails: name == "duel-bad" }) as Box<dyn RoomLogic>),
    };
    config.room.logic =
        vec![LogicKind { name: "duel", tick_hz: 0, interest: None, factory: Arc::new(factory) }];
    config.room.kinds = vec![("duel-".into(), Kind::Logic("duel"))];
    config.room.watch = vec![WatchRule { prefix: "duel-".into(), delay_min_ms: 0 }];
    let mut world = world(&config, 1);
    let first = publish(&mut world, "duel-1", Some("k"), tokens(&["one", "two"])).unwrap();
    assert_eq!((first.seq, first.count), (3, 2), "behind what the rules say");
    let again = publish(&mut world, "duel-1", Some("k"), tokens(&["one", "two"])).unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });
    assert_eq!(watched(&world), [2, 3]);
    for room in ["duel-none", "duel-bad"] {
        let refused = publish(&mut world, room, None, tokens(&["three"]));
        assert!(matches!(refused, Err(PublishRefusal::Invalid(_))), "{room}: {refused:?}");
    }
    assert_eq!(world.node.level(|stats| stats.rooms), 1);
}

#[test]
fn nothing_of_a_bad_publication_is_published() {
    let mut world = world(&config(), 2);
    let a = world.native(0);
    let room = room_at(0, 2);
    let channel = world.enter(a, &room);
    let mut bad = tokens(&["one", "two"]);
    bad[1].name = "end".into();
    for events in [bad, Vec::new()] {
        let refused = publish(&mut world, &room, None, events);
        assert!(matches!(refused, Err(PublishRefusal::Invalid(_))));
    }
    let ticket = Ticket { asker: 0, number: 0 };
    let astray =
        Publish { ticket, room: room.into(), may_create: true, key: None, events: tokens(&["no"]) };
    world.node.input(1, Input::Publish(Box::new(astray)));
    let (_, result) = world.node.published.pop().unwrap();
    assert!(matches!(result, Err(PublishRefusal::Invalid(_))), "its home is elsewhere");
    world.calm();
    assert!(world.heard(a, channel).is_empty());
}

#[test]
fn a_server_that_goes_away_refuses() {
    for input in [Input::Drain { retry_min_ms: 1, retry_max_ms: 2 }, Input::Quiesce] {
        let mut world = world(&config(), 1);
        publish(&mut world, "lobby", Some("k"), tokens(&["one"])).unwrap();
        world.node.input(0, input);
        let refused = publish(&mut world, "lobby", None, tokens(&["two"]));
        assert_eq!(refused, Err(PublishRefusal::Draining));
        world.calm();
    }
}
