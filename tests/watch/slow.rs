//! Spectators who do not read, and feeds that overflow: nobody else suffers, and what is missing is
//! said.

use crate::member::Member;
use crate::server::{Running, config, wait_for};
use crate::stream::{Event, ask_slowly, watch};
use madang::metrics::Counter;

/// Panics unless every seq from one to another is told once or said to be missing.
#[track_caller]
fn assert_accounted(events: &[Event], mut seen: u64, last: u64) {
    for event in events {
        if event.name == "gap" {
            let gap = event.json();
            assert_eq!(gap["from"], seen + 1);
            assert_eq!(gap["to"], event.seq());
        } else {
            assert_eq!(event.seq(), seen + 1, "{}", event.name);
        }
        seen = event.seq();
    }
    assert_eq!(seen, last);
}

#[test]
fn who_does_not_read_holds_nobody_and_is_told_what_was_missed() {
    let mut config = config();
    config.watch.history_bytes_max = 256 << 10;
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let mut slow: Vec<_> = (0..3).map(|_| ask_slowly(addr, "/rooms/arena/events")).collect();
    let first: Vec<_> = slow.iter_mut().map(|stream| stream.next().expect("one").seq()).collect();
    assert_eq!(first, [1, 1, 1]);
    let (mut fast, _) = watch(addr, "arena", "");
    let text = format!("\"{}\"", "x".repeat(8000));
    let (mut seen, mut last) = (Vec::new(), 0);
    for _ in 0..60 {
        last = (0..10).map(|_| member.say(&text)).last().expect("a seq");
        seen.extend(fast.upto(last));
    }
    assert!(seen.iter().all(|event| event.name == "message"), "the fast one missed nothing");
    assert_accounted(&seen, 1, last);
    assert_eq!(server.shard_count(Counter::DroppedReliable), 0);
    assert_eq!(server.shard_count(Counter::WatchFeedDropped), 0);
    wait_for("the counts", || (server.watch_count(Counter::WatchEncodes) == 600).then_some(()));
    for stream in &mut slow {
        let events = stream.upto(last);
        assert_accounted(&events, 1, last);
        let gaps = events.iter().filter(|event| event.name == "gap").count();
        assert!(gaps >= 1, "5 MB were not kept for it");
    }
    wait_for("the counts", || (server.watch_count(Counter::WatchGaps) >= 3).then_some(()));
}

/// The shards' way to spectators is a kilobyte wide here.
#[test]
fn a_feed_that_overflows_is_made_good_from_the_history() {
    let mut config = config();
    config.watch.feed_bytes_max = 1024;
    config.rooms.history_messages_max = 100_000;
    config.rooms.history_bytes_max = 64 << 20;
    config.play.outbound_messages_max = 100_000;
    config.play.outbound_bytes_max = 64 << 20;
    let events = overflow(&Running::start(config));
    assert!(events.iter().all(|event| event.name != "gap"), "the history held everything");
}

#[test]
fn a_feed_that_overflows_beyond_the_history_is_a_gap() {
    let mut config = config();
    config.watch.feed_bytes_max = 1024;
    config.rooms.history_messages_max = 1;
    config.rooms.join_history_messages_max = 1;
    let events = overflow(&Running::start(config));
    assert!(events.iter().any(|event| event.name == "gap"));
}

/// Says so much that some of it finds no place, and returns what a spectator was told.
fn overflow(server: &Running) -> Vec<Event> {
    let mut member = Member::join(server, "arena");
    let (mut stream, first) = watch(server.watch_addr(), "arena", "?from=2");
    assert_eq!(first.seq(), 1);
    let text = format!("\"{}\"", "x".repeat(300));
    let (mut said, mut last) = (0, 0);
    wait_for("an overflow", || {
        for _ in 0..200 {
            member.publish(&text);
        }
        last = (0..200)
            .map(|_| member.until("message")["seq"].as_u64())
            .last()
            .flatten()
            .expect("a seq");
        said += 200;
        (server.shard_count(Counter::WatchFeedDropped) > 0).then_some(())
    });
    // One more, because a gap is told with what comes behind it.
    last = last.max(member.say("1"));
    let events = stream.upto(last);
    assert_eq!(last, said + 2, "the members missed nothing");
    assert_accounted(&events, 1, last);
    // From here on it is as if nothing had been.
    let seq = member.say("2");
    assert_eq!(stream.upto(seq).last().map(Event::seq), Some(seq));
    events
}
