//! Rooms with state, as spectators see them.

use crate::member::Member;
use crate::server::{wait_for, wall_ms};
use crate::stream::{Event, Stream, ask, ask_slowly, watch, watch_from};
use crate::theatre::{Page, changed, order, theatre};
use madang::config::WatchRule;
use madang::metrics::Counter;
use serde_json::json;
use std::net::Shutdown;

/// Reads until a page sees what the room shows now.
#[track_caller]
fn catch_up(stream: &mut Stream, page: &mut Page, room: &str, delay_ms: u64) {
    let tick = changed(room);
    while page.entities.is_none() || page.tick < tick {
        page.take(stream.next().expect("the stream goes on"), room, delay_ms);
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn a_spectator_without_a_codec_sees_the_state_by_name() {
    let (server, room) = (theatre(|_| {}), "theatre-names");
    let public = json!({ "capacity": null, "presence": null, "public": true, "labels": [] });
    let mut member = Member::join_with(&server, room, public);
    order(&mut member, json!([{ "spawn": "모모" }, { "note": "a\n\"b\"" }]));
    let (mut stream, first) = watch(server.watch_addr(), room, "");
    assert_eq!((first.id.as_str(), first.json()["state"].as_bool()), ("", Some(true)));
    let snapshot = stream.next().expect("an event");
    assert_eq!(
        (snapshot.name.as_str(), snapshot.seq()),
        ("snapshot", first.json()["from"].as_u64().unwrap())
    );
    assert_eq!(
        snapshot.json()["entities"],
        json!({
            "0": { "kind": "stage", "note": "a\n\"b\"" },
            "1": { "kind": "actor", "at": [-64, -64], "name": "모모", "hand": [] },
        })
    );
    let hash = snapshot.json()["hash"].as_str().expect("a hash").to_owned();
    assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    order(&mut member, json!([{ "move": [1, 6, 8] }, { "say": "hello" }]));
    let events = [stream.next().expect("an event"), stream.next().expect("an event")];
    let delta = events.iter().find(|event| event.name == "delta").expect("a delta").json();
    assert_eq!(delta["set"], json!({ "1": { "at": [1.5, 2], "hand": [6, 7] } }));
    assert!(delta["base_tick"].as_u64() < delta["tick"].as_u64());
    assert_eq!(delta.as_object().expect("an object").len(), 5, "{delta}");
    let line = events.iter().find(|event| event.name == "message").expect("a message").json();
    assert_eq!((&line["type"], &line["payload"]), (&json!("line"), &json!({ "text": "hello" })));
    order(&mut member, json!([{ "drop": 1 }, { "spawn": "b" }]));
    let delta = stream.until("delta").json();
    assert_eq!(delta["gone"], json!([1]));
    let actor = json!({ "kind": "actor", "at": [-64, -64], "name": "b", "hand": [] });
    assert_eq!(delta["new"], json!({ "2": actor }));
    assert_eq!(delta.get("set"), None);
    // Directories name the kind of the rules.
    let listed = wait_for("the listing", || {
        let body = ask(server.watch_addr(), "GET", "/rooms", "").body();
        let page: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        page["rooms"].as_array()?.first().cloned()
    });
    assert_eq!((&listed["name"], &listed["kind"]), (&json!(room), &json!("theatre")));
}

#[test]
fn readers_from_one_id_are_told_the_same_through_drops() {
    // Nobody here is slow, however long a test machine stands still.
    let server = theatre(|config| config.watch.conflate_ms = 600_000);
    let (addr, room) = (server.watch_addr(), "theatre-drops");
    let mut member = Member::join(&server, room);
    order(&mut member, json!([{ "spawn": "a" }, { "spawn": "b" }]));
    let (mut first, _) = watch(addr, room, "");
    let mut begun = Page::default();
    catch_up(&mut first, &mut begun, room, 0);
    let id = begun.id.clone();
    let open = |id: &str, by_query: bool| {
        let (stream, resume) = if by_query {
            watch(addr, room, &format!("?last_event_id={id}"))
        } else {
            watch_from(addr, room, "", id)
        };
        assert_eq!((resume.json()["recovered"].as_bool(), &*resume.id), (Some(true), id));
        stream
    };
    let mut readers = [(false, 0), (false, 3), (true, 5)].map(|(by_query, cut_every)| {
        let (entities, id) = (begun.entities.clone(), id.clone());
        let stream = open(&id, by_query);
        (stream, Page { entities, id, ..Page::default() }, by_query, cut_every)
    });
    for round in 0_u64..60 {
        let orders = json!([
            { "move": [1 + round % 2, round, 3 * round % 70] },
            { "note": format!("{round}\r\n") },
            { "say": "on" },
        ]);
        order(&mut member, if round == 30 { json!([{ "spawn": "c" }]) } else { orders });
        for (stream, page, by_query, cut_every) in &mut readers {
            if *cut_every > 0 && round % *cut_every == 0 {
                // Some of what was said may be on its way.
                stream.socket().shutdown(Shutdown::Both).expect("a socket");
                *stream = open(&page.id, *by_query);
            }
            if round % 4 != 1 {
                catch_up(stream, page, room, 0);
            }
        }
    }
    for (stream, page, ..) in &mut readers {
        catch_up(stream, page, room, 0);
    }
    let [(_, whole, ..), others @ ..] = &readers;
    assert_eq!(names(&whole.state_events), vec!["delta"; 60]);
    for (_, page, ..) in others {
        assert_eq!(page.state_events, whole.state_events);
    }
}

#[test]
fn nothing_is_shown_before_the_delay_not_even_the_first_snapshot() {
    let rule = WatchRule { prefix: "theatre".into(), delay_min_ms: 300 };
    let server = theatre(|config| config.rooms.watch = vec![rule]);
    let (addr, room) = (server.watch_addr(), "theatre-delay");
    let mut member = Member::join(&server, room);
    order(&mut member, json!([{ "spawn": "a" }]));
    let (mut early, first) = watch(addr, room, "");
    assert_eq!(first.id, "", "it has no state yet");
    let (mut longer, _) = watch(addr, room, "?delay=600ms");
    let (mut early_page, mut longer_page) = (Page::default(), Page::default());
    for round in 0..5 {
        order(&mut member, json!([{ "move": [1, round, round] }]));
    }
    catch_up(&mut early, &mut early_page, room, 300);
    assert_eq!(names(&early_page.state_events)[0], "snapshot");
    // Everything there is has been seen, and cannot be had any sooner by saying so.
    order(&mut member, json!([{ "move": [1, 50, 50] }]));
    let (mut again, _) = watch_from(addr, room, "", &early_page.id);
    catch_up(&mut again, &mut early_page, room, 300);
    let ahead = early_page.id.clone();
    order(&mut member, json!([{ "note": "new" }]));
    let (mut rewound, first) = watch_from(addr, room, "?delay=600ms", &ahead);
    // On a machine that stood still meanwhile it may be old enough.
    let is_known = first.id == ahead;
    let entities = is_known.then(|| early_page.entities.clone()).flatten();
    let mut page = Page { entities, ..Page::default() };
    catch_up(&mut rewound, &mut page, room, 600);
    assert_eq!(names(&page.state_events)[0], if is_known { "delta" } else { "snapshot" });
    catch_up(&mut longer, &mut longer_page, room, 600);
}

#[test]
fn a_stream_can_begin_in_the_past_of_the_state() {
    let (server, room) = (theatre(|_| {}), "theatre-past");
    let mut member = Member::join(&server, room);
    order(&mut member, json!([{ "spawn": "a" }]));
    for round in 0..40 {
        let note = format!("{round}").repeat(300);
        order(&mut member, json!([{ "note": note }, { "move": [1, round, 1] }]));
    }
    let (mut live, _) = watch(server.watch_addr(), room, "");
    let mut now = Page::default();
    catch_up(&mut live, &mut now, room, 0);
    assert_eq!(names(&now.state_events), ["snapshot"]);
    let last = now.state_events[0].seq();
    for (query, begins_by) in [
        ("?from=-60s".to_owned(), 1),
        ("?from=0".to_owned(), 1),
        (format!("?from={}", last - 5), last - 5),
    ] {
        let (mut stream, first) = watch(server.watch_addr(), room, &query);
        assert_eq!(first.json()["recovered"], true, "{query}");
        let mut page = Page::default();
        catch_up(&mut stream, &mut page, room, 0);
        assert_eq!(page.state_events[0].name, "snapshot");
        assert!(page.state_events[0].seq() < begins_by.max(2), "{query}");
        assert!(page.state_events.len() > 5);
    }
    // Keyframes come often enough that nobody has to begin at the beginning.
    let (mut stream, _) = watch(server.watch_addr(), room, &format!("?from={last}"));
    assert!(stream.next().expect("a snapshot").seq() > last / 2);
}

#[test]
fn who_reads_slowly_skips_to_a_snapshot_and_nobody_else_does() {
    const CONFLATE_MS: u64 = 200;
    let server = theatre(|config| {
        config.watch.conflate_ms = CONFLATE_MS as u32;
    });
    let (addr, room) = (server.watch_addr(), "theatre-slow");
    let mut member = Member::join(&server, room);
    order(&mut member, json!([{ "spawn": "a" }]));
    let mut slow: Vec<_> =
        (0..3).map(|_| ask_slowly(addr, &format!("/rooms/{room}/events"))).collect();
    let mut pages: Vec<_> = slow.iter().map(|_| Page::default()).collect();
    for (stream, page) in slow.iter_mut().zip(&mut pages) {
        catch_up(stream, page, room, 0);
    }
    let (mut fast, _) = watch(addr, room, "");
    let mut fast_page = Page::default();
    let long = "x".repeat(20_000);
    let rounds = 300;
    for round in 0..rounds {
        order(&mut member, json!([{ "note": format!("{round}{long}") }, { "say": "on" }]));
        catch_up(&mut fast, &mut fast_page, room, 0);
    }
    assert!(fast_page.others.iter().all(|event| event.name == "message"), "it missed nothing");
    // Everything that the slow ones were not sent becomes old.
    let old_ms = wall_ms() + 2 * CONFLATE_MS;
    wait_for("the time", || (wall_ms() > old_ms).then_some(()));
    for (stream, page) in slow.iter_mut().zip(&mut pages) {
        catch_up(stream, page, room, 0);
        let gaps: Vec<_> = page.others.iter().filter(|event| event.name == "gap").collect();
        assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap.id.is_empty()));
        assert!(page.state_events.len() < rounds, "{} events", page.state_events.len());
    }
    wait_for("the counts", || (server.watch_count(Counter::WatchConflated) >= 3).then_some(()));
    assert!(server.watch_count(Counter::WatchGaps) >= 3);
    assert_eq!(server.shard_count(Counter::WatchFeedDropped), 0);
}

/// A room that goes on by itself, at 50 ticks a second.
#[test]
fn live_delayed_and_rewound_spectators_see_a_room_go_round() {
    let server = theatre(|config| config.watch.conflate_ms = 600_000);
    let (addr, room) = (server.watch_addr(), "carousel");
    let mut member = Member::join(&server, room);
    order(&mut member, json!([{ "spawn": "a" }, { "spawn": "b" }, { "spawn": "c" }]));
    let mut streams = ["", "?delay=250ms", "?delay=1s", "?from=-60s", "?from=3&delay=100ms"]
        .map(|query| (watch(addr, room, query).0, Page::default()));
    for round in 0..4 {
        for (stream, page) in &mut streams {
            for _ in 0..15 {
                page.take(stream.next().expect("the stream goes on"), room, 0);
            }
        }
        if round == 1 {
            order(&mut member, json!([{ "drop": 2 }, { "spawn": "d" }, { "say": "on" }]));
        }
        // One of them comes back each time.
        let (stream, page) = &mut streams[round];
        let query = ["", "?delay=250ms", "?delay=1s", ""][round];
        *stream = watch_from(addr, room, query, &page.id).0;
    }
    for (_, page) in &streams {
        assert!(page.others.iter().all(|event| event.name != "gap"), "{:?}", page.others);
        assert_eq!(names(&page.state_events[..2]), ["snapshot", "delta"]);
        let snapshots = page.state_events.iter().filter(|event| event.name == "snapshot");
        assert_eq!(snapshots.count(), 1, "whoever came back had everything");
    }
}

/// The shards' way to spectators is a kilobyte wide here.
#[test]
fn a_feed_that_overflows_is_a_gap_and_a_snapshot() {
    let server = theatre(|config| {
        config.watch.feed_bytes_max = 1024;
        config.watch.conflate_ms = 600_000;
    });
    for room in ["theatre-feed", "carousel-feed"] {
        let mut member = Member::join(&server, room);
        order(&mut member, json!([{ "spawn": "a" }]));
        let (mut stream, _) = watch(server.watch_addr(), room, "");
        let mut page = Page::default();
        catch_up(&mut stream, &mut page, room, 0);
        let mut round = 0;
        wait_for("a gap", || {
            for _ in 0..100 {
                round += 1;
                let text = format!("{round}{}", "x".repeat(300));
                member.publish(&json!([{ "note": text }, { "say": text }]).to_string());
            }
            order(&mut member, json!([{ "note": format!("last {round}") }]));
            catch_up(&mut stream, &mut page, room, 0);
            page.others.iter().any(|event| event.name == "gap").then_some(())
        });
        let told = names(&page.state_events);
        assert!(told[1..].contains(&"snapshot"));
        // From here on it is as if nothing had been.
        order(&mut member, json!([{ "spawn": "b" }]));
        catch_up(&mut stream, &mut page, room, 0);
        while names(&page.state_events).last() != Some(&"delta") {
            page.take(stream.next().expect("the stream goes on"), room, 0);
        }
    }
    assert!(server.shard_count(Counter::WatchFeedDropped) > 0);
}

#[test]
fn a_snapshot_is_made_once_for_all_who_come_in_a_tick() {
    let (server, room) = (theatre(|_| {}), "theatre-many");
    let mut member = Member::join(&server, room);
    order(&mut member, json!([{ "spawn": "a" }]));
    let mut streams: Vec<_> = (0..40).map(|_| watch(server.watch_addr(), room, "").0).collect();
    let mut pages: Vec<_> = streams.iter().map(|_| Page::default()).collect();
    for (stream, page) in streams.iter_mut().zip(&mut pages) {
        catch_up(stream, page, room, 0);
    }
    wait_for("the counts", || (server.watch_count(Counter::WatchEvents) >= 40).then_some(()));
    assert_eq!(server.watch_count(Counter::WatchEncodes), 1);
    for round in 0..10 {
        order(&mut member, json!([{ "move": [1, round + 1, 2] }]));
    }
    for (stream, page) in streams.iter_mut().zip(&mut pages) {
        catch_up(stream, page, room, 0);
    }
    assert_eq!(server.watch_count(Counter::WatchEncodes), 11);
    let shared = &pages[0].state_events;
    assert!(pages.iter().all(|page| page.state_events == *shared));
}
