//! Rooms that end, and servers that do.

use crate::member::Member;
use crate::server::{Running, config, wait_for};
use crate::stream::{ask, watch, watch_from};
use madang::metrics::Counter;

#[test]
fn a_room_that_ends_says_so_and_nobody_comes_back() {
    let mut config = config();
    config.rooms.linger_ms = 0;
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let epoch = member.epoch().to_owned();
    let (mut live, _) = watch(addr, "arena", "");
    let (mut delayed, _) = watch(addr, "arena", "?delay=300ms");
    let seq = member.say("1");
    member.leave();
    let events: Vec<_> = std::iter::from_fn(|| live.next()).collect();
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["message", "presence", "end"]);
    let end_id = format!("{epoch}-{}", seq + 1);
    assert_eq!((&events[2].id, events[2].data.as_str()), (&end_id, "{}"));
    // 204 is what makes an EventSource stay away.
    let path = "/rooms/arena/events";
    let more = format!("Last-Event-ID: {end_id}\r\n");
    assert_eq!(ask(addr, "GET", path, &more).status, 204);
    assert_eq!(ask(addr, "HEAD", path, &more).status, 204);
    assert_eq!(ask(addr, "GET", &format!("{path}?last_event_id={end_id}"), "").status, 204);
    // Who never was there is told that there is nothing; who missed the end can have it.
    assert_eq!(ask(addr, "GET", path, "").status, 404);
    let (mut late, first) = watch_from(addr, "arena", "", &format!("{epoch}-{seq}"));
    assert_eq!(first.json()["recovered"], true);
    let rest: Vec<_> = std::iter::from_fn(|| late.next()).collect();
    assert_eq!(rest, events[1..]);
    let (mut again, _) = watch(addr, "arena", "?from=-60s");
    assert_eq!(std::iter::from_fn(|| again.next()).last().as_ref(), events.last());
    // The delayed one sees all of it to the end.
    let seen: Vec<_> = std::iter::from_fn(|| delayed.next()).collect();
    assert_eq!(seen[seen.len() - 3..], events);

    // The room begins again: positions of before mean nothing, but what was missed is still told.
    let member = Member::join(&server, "arena");
    let (_, first) = watch_from(addr, "arena", "", &end_id);
    assert_eq!(first.json()["recovered"], false);
    assert_eq!(first.json()["epoch"], member.epoch());
    let (mut late, _) = watch_from(addr, "arena", "", &format!("{epoch}-{seq}"));
    assert_eq!(std::iter::from_fn(|| late.next()).collect::<Vec<_>>(), events[1..]);
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let mut config = config();
    config.rooms.linger_ms = 0;
    config.watch.history_ms = 1000;
    config.watch.delay_max_ms = 1000;
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let id = format!("{}-1", member.epoch());
    member.say("1");
    assert!(
        server.watch_count(Counter::WatchLogBytes) > 0 || {
            wait_for("the log", || (server.watch_count(Counter::WatchLogBytes) > 0).then_some(()));
            true
        }
    );
    member.leave();
    wait_for("the log's end", || (server.watch_count(Counter::WatchLogBytes) == 0).then_some(()));
    let more = format!("Last-Event-ID: {id}\r\n");
    assert_eq!(ask(addr, "GET", "/rooms/arena/events", &more).status, 204);
    assert_eq!(ask(addr, "GET", "/rooms/arena/events", "").status, 404);
}

#[test]
fn a_server_that_goes_away_lets_spectators_go_with_everything_they_can_have() {
    let mut config = config();
    (config.server.retry_after_min_ms, config.server.retry_after_max_ms) = (1234, 1240);
    config.server.drain_ms = 5_000;
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let (mut stream, _) = watch(addr, "arena", "");
    let (mut delayed, _) = watch(addr, "arena", "?delay=60s");
    let mut directory = ask(addr, "GET", "/rooms/events", "");
    directory.until("snapshot");
    let seq = member.say("1");
    std::thread::scope(|scope| {
        scope.spawn(|| server.drain());
        let told = member.until("draining");
        assert!(told["retry_after_ms"].as_u64().is_some_and(|ms| ms >= 1234));
        drop(member);
        assert_eq!(stream.next().expect("an event").seq(), seq);
        for stream in [&mut stream, &mut delayed, &mut directory] {
            stream.retry_ms = None;
            while let Some(event) = stream.next() {
                assert_eq!(event.name, "presence", "{event:?}");
            }
            assert!(stream.retry_ms.is_some_and(|ms| (1234..=1240).contains(&ms)));
        }
    });
}
