//! Watching later than the members.

use crate::member::Member;
use crate::server::{Running, config, wall_ms};
use crate::stream::{Stream, watch, watch_from};
use madang::config::WatchRule;
use serde_json::Value;

/// Reads messages up to a seq; each has to be as old as the delay.
#[track_caller]
fn messages_upto(stream: &mut Stream, epoch_at_ms: &Value, seq: u64, delay_ms: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.last() != Some(&seq) {
        let event = stream.until("message");
        let at_ms =
            epoch_at_ms.as_u64().expect("a time") + event.json()["at"].as_u64().expect("at");
        assert!(at_ms + delay_ms <= wall_ms(), "{} is too young", event.id);
        seqs.push(event.seq());
    }
    seqs
}

#[test]
fn nothing_is_shown_before_the_delay_not_even_to_one_who_has_seen_it() {
    let server = Running::start(config());
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let epoch_at_ms = member.joined["epoch_at_ms"].clone();
    let (mut live, _) = watch(addr, "arena", "");
    let (mut delayed, first) = watch(addr, "arena", "?delay=400ms");
    let first_seq = first.seq();
    assert!(first_seq <= 1);
    let last = (0..3).map(|i| member.say(&i.to_string())).last().expect("a seq");
    let seen = live.upto(last).pop().expect("an event");
    // The smaller of the two positions counts.
    let (mut resumed, first) = watch_from(addr, "arena", "?delay=400ms", &seen.id);
    assert!(first.seq() <= last && first.json()["from"] == first.seq());
    assert_eq!(messages_upto(&mut delayed, &epoch_at_ms, last, 400), [2, 3, 4]);
    if first.seq() < last {
        messages_upto(&mut resumed, &epoch_at_ms, last, 400);
    }
    // It goes on, one by one, ids unchanged.
    for i in 0..3 {
        let seq = member.say(&i.to_string());
        assert_eq!(messages_upto(&mut delayed, &epoch_at_ms, seq, 400), [seq]);
    }
}

#[test]
fn a_rooms_own_delay_holds_whatever_is_asked_for() {
    let mut config = config();
    let rule = |prefix: &str, delay_min_ms| WatchRule { prefix: prefix.into(), delay_min_ms };
    config.rooms.watch = vec![rule("duel", 300), rule("duel.open", 0)];
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "duel.1");
    let epoch_at_ms = member.joined["epoch_at_ms"].clone();
    let seq = member.say("1");
    let id = format!("{}-{seq}", member.epoch());
    for (query, id) in
        [("", ""), ("?delay=1ms", ""), ("?from=1", ""), ("?from=-10s", ""), ("", &id)]
    {
        let (mut stream, first) = watch_from(addr, "duel.1", query, id);
        if first.seq() < seq {
            messages_upto(&mut stream, &epoch_at_ms, seq, 300);
        }
    }
    let mut open = Member::join(&server, "duel.open.1");
    let (mut stream, _) = watch(addr, "duel.open.1", "");
    let seq = open.say("1");
    assert_eq!(stream.next().expect("an event").seq(), seq);
}

#[test]
fn the_past_can_be_watched_from_a_seq_with_a_delay() {
    let server = Running::start(config());
    let mut member = Member::join(&server, "arena");
    let epoch_at_ms = member.joined["epoch_at_ms"].clone();
    let last = (0..4).map(|i| member.say(&i.to_string())).last().expect("a seq");
    let (mut stream, first) = watch(server.watch_addr(), "arena", "?from=2&delay=300ms");
    assert!(first.seq() <= 1, "{first:?}");
    assert_eq!(messages_upto(&mut stream, &epoch_at_ms, last, 300), [2, 3, 4, 5]);
}
