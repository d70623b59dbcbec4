//! Coming back: by the header or the query, to a seq, to a time ago; and what is no longer there.

use crate::member::Member;
use crate::server::{Running, config};
use crate::stream::{Event, watch, watch_from};
use std::net::Shutdown;

#[test]
fn a_stream_that_was_cut_goes_on_as_if_it_had_not_been() {
    let server = Running::start(config());
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let (mut whole, _) = watch(addr, "arena", "");
    let (mut by_header, _) = watch(addr, "arena", "");
    let (mut by_query, first) = watch(addr, "arena", "");
    let (mut header_id, mut query_id) = (first.id.clone(), first.id);
    let (mut by_header_seen, mut by_query_seen) = (Vec::new(), Vec::new());
    let mut last = 0;
    for round in 0..6 {
        for i in 0..7 {
            last = member.say(&format!("{{\"round\":{round},\r\n\"i\":{i}}}"));
            if i == 3 {
                // Cut in the middle of what is being said.
                by_header_seen.extend(by_header.upto(last));
                header_id =
                    by_header_seen.last().map_or(header_id, |event: &Event| event.id.clone());
                by_header.socket().shutdown(Shutdown::Both).expect("a socket");
                by_query.socket().shutdown(Shutdown::Both).expect("a socket");
            }
        }
        let first;
        (by_header, first) = watch_from(addr, "arena", "?from=1&last_event_id=x", &header_id);
        assert_eq!(first.json()["recovered"], true);
        assert_eq!(first.id, header_id);
        let first;
        (by_query, first) = watch(addr, "arena", &format!("?last_event_id={query_id}&from=3"));
        assert_eq!(first.json()["recovered"], true);
        by_query_seen.extend(by_query.upto(last));
        query_id = by_query_seen.last().map_or(query_id, |event: &Event| event.id.clone());
    }
    by_header_seen.extend(by_header.upto(last));
    let whole = whole.upto(last);
    assert_eq!(whole.len(), 42);
    assert_eq!(by_header_seen, whole);
    assert_eq!(by_query_seen, whole);
}

#[test]
fn a_stream_can_begin_at_a_seq_or_a_time_ago() {
    let server = Running::start(config());
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    for i in 0..5 {
        member.say(&i.to_string());
    }
    let (mut stream, first) = watch(addr, "arena", "?from=4");
    let resume = first.json();
    assert_eq!((&resume["recovered"], &resume["from"]), (&true.into(), &3.into()));
    assert_eq!(stream.next().expect("an event").seq(), 4);
    for query in ["?from=0", "?from=1", "?from=-60s", "?from=-1m", "?from=-59999ms"] {
        let (mut stream, first) = watch(addr, "arena", query);
        assert_eq!(first.json()["recovered"], true, "{query}");
        let seqs: Vec<_> = stream.upto(6).iter().map(Event::seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5, 6], "{query}");
    }
    // What has not happened yet cannot be begun with.
    let (mut stream, first) = watch(addr, "arena", "?from=99");
    assert_eq!((first.json()["recovered"].as_bool(), first.seq()), (Some(false), 6));
    let seq = member.say("6");
    assert_eq!(stream.next().expect("an event").seq(), seq);
}

#[test]
fn an_id_that_means_nothing_here_begins_anew_and_says_so() {
    let server = Running::start(config());
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let seq = member.say("1");
    let ahead = format!("{}-{}", member.epoch(), seq + 1);
    for id in ["nonsense", "0000000000000000-1", ahead.as_str()] {
        let (_, first) = watch_from(addr, "arena", "", id);
        assert_eq!(first.json()["recovered"], false, "{id}");
        assert_eq!(first.id, format!("{}-{seq}", member.epoch()));
    }
}

#[test]
fn what_the_log_has_let_go_is_said_to_be_missing() {
    let mut config = config();
    config.watch.history_bytes_max = 4096;
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let text = format!("\"{}\"", "x".repeat(500));
    let last = (0..30).map(|_| member.say(&text)).last().expect("a seq");
    let (mut stream, first) = watch_from(addr, "arena", "", &format!("{}-2", member.epoch()));
    let resume = first.json();
    assert_eq!((&resume["recovered"], &resume["from"]), (&false.into(), &2.into()));
    let events = stream.upto(last);
    let gap = &events[0];
    assert_eq!((gap.name.as_str(), &gap.json()["from"]), ("gap", &3.into()));
    assert_eq!(gap.json()["to"], gap.seq());
    let seqs: Vec<_> = events[1..].iter().map(Event::seq).collect();
    assert_eq!(seqs, (gap.seq() + 1..=last).collect::<Vec<_>>());
    assert!(!seqs.is_empty() && seqs.len() < 8, "{seqs:?}");
    let (_, first) = watch(addr, "arena", "?from=-60s");
    assert_eq!((first.json()["recovered"].as_bool(), first.seq()), (Some(false), gap.seq()));
}
