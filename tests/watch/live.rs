//! What a spectator sees of a living room.

use crate::member::Member;
use crate::server::{Running, config, wait_for};
use crate::stream::{ask, watch};
use madang::metrics::Counter;
use std::io::Write as _;

#[test]
fn a_spectator_sees_what_members_see() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "courtyard");
    let (mut stream, first) = watch(server.watch_addr(), "courtyard", "");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_eq!(stream.header("content-length"), None);
    let (least, most) = (config().server.retry_after_min_ms, config().server.retry_after_max_ms);
    let retry_ms = stream.retry_ms.expect("a retry time");
    assert!((u64::from(least)..=u64::from(most)).contains(&retry_ms));
    assert_eq!(first.id, format!("{}-1", member.epoch()));
    let resume = first.json();
    assert_eq!(resume["recovered"], false);
    assert_eq!(resume["epoch"], member.epoch());
    assert_eq!(resume["epoch_at_ms"], member.joined["epoch_at_ms"]);
    assert_eq!(resume["from"], 1);

    member.publish("{\"x\":[1,2]}");
    let told = member.until("message");
    let seen = stream.next().expect("an event");
    assert_eq!((seen.name.as_str(), seen.json()), ("message", told.clone()));
    assert_eq!(told["type"], "chat");
    assert_eq!(seen.id, format!("{}-{}", member.epoch(), told["seq"]));

    let other = Member::join(&server, "courtyard");
    let seen = stream.next().expect("an event");
    assert_eq!((seen.name.as_str(), seen.json()), ("presence", member.until("presence")));
    other.leave();
    assert_eq!(stream.next().expect("an event").json(), member.until("presence"));
}

#[test]
fn nobody_sees_what_is_said_to_one() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "arena-1");
    let (mut stream, _) = watch(server.watch_addr(), "arena-1", "");
    member.whisper("secret");
    let seq = member.say("1");
    assert_eq!(stream.next().expect("an event").seq(), seq);
    let (mut again, _) = watch(server.watch_addr(), "arena-1", "?from=0");
    let events = again.upto(seq);
    assert!(events.iter().all(|event| !event.data.contains("secret")), "{events:?}");
    assert_eq!(events.iter().map(|event| event.seq()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_event_is_made_once_however_many_watch() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "arena");
    let mut streams: Vec<_> = (0..40).map(|_| watch(server.watch_addr(), "arena", "").0).collect();
    assert_eq!(server.watch_count(Counter::WatchEncodes), 0, "nothing happened that was asked for");
    let last = (0..25).map(|i| member.say(&i.to_string())).last().expect("a seq");
    let events: Vec<_> = streams.iter_mut().map(|stream| stream.upto(last)).collect();
    assert!(events.iter().all(|seen| seen.len() == 25 && *seen == events[0]));
    wait_for("the counts", || (server.watch_count(Counter::WatchEvents) >= 1000).then_some(()));
    assert_eq!(server.watch_count(Counter::WatchEncodes), 25);
    assert_eq!(server.watch_count(Counter::WatchEvents), 40 * 25);
    wait_for("the gauge", || (server.watch_count(Counter::Spectators) == 40).then_some(()));
    streams.truncate(10);
    wait_for("the gauge", || (server.watch_count(Counter::Spectators) == 10).then_some(()));
    assert!(server.watch_count(Counter::WatchLogBytes) > 0);
}

#[test]
fn what_nobody_may_watch_costs_nothing() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "plaza");
    member.say("1");
    let mut watched = Member::join(&server, "arena");
    let seq = watched.say("1");
    watch(server.watch_addr(), "arena", "?from=1").0.upto(seq);
    let bytes = server.watch_count(Counter::WatchLogBytes);
    assert!(bytes < 2048, "one small log, not two: {bytes}");
}

#[test]
fn line_ends_in_data_are_split_and_inject_nothing() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "arena");
    let (mut stream, _) = watch(server.watch_addr(), "arena", "");
    member.say("{\r\n\"a\":\r1,\n\n\"b\":\"id: x\\nevent: end\\r\\n\"\n}");
    let event = stream.next().expect("an event");
    assert_eq!(event.name, "message");
    assert!(event.data.contains("{\n\"a\":\n1,\n\n\"b\":"), "{:?}", event.data);
    let payload = &event.json()["payload"]["json"];
    assert_eq!(*payload, serde_json::json!({ "a": 1, "b": "id: x\nevent: end\r\n" }));
    member.say("2");
    assert_eq!(stream.next().expect("an event").json()["payload"]["json"], 2);
}

#[test]
fn silence_is_filled_with_comments() {
    let mut config = config();
    config.watch.heartbeat_ms = 20;
    let server = Running::start(config);
    let mut member = Member::join(&server, "arena");
    let (mut stream, _) = watch(server.watch_addr(), "arena", "");
    for _ in 0..3 {
        stream.until_comment();
    }
    let seq = member.say("1");
    assert_eq!(stream.next().expect("an event").seq(), seq);
    let mut directory = ask(server.watch_addr(), "GET", "/rooms/events", "");
    directory.until_comment();
}

#[test]
fn what_a_spectator_says_is_passed_over_as_long_as_it_is_little() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "arena");
    let (mut stream, _) = watch(server.watch_addr(), "arena", "");
    stream.socket().write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the connection is open");
    let seq = member.say("1");
    assert_eq!(stream.next().expect("an event").seq(), seq);
    let noise = vec![b'x'; 64 << 10];
    wait_for("the end of the noise", || stream.socket().write_all(&noise).is_err().then_some(()));
    wait_for("the end", || (server.watch_count(Counter::Spectators) == 0).then_some(()));
}
