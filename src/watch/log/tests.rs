//! A log of messages, and one of a room with state.

use super::*;
use madang_protocol::ids::{Channel, Cseq, MemberId, Seq};
use madang_protocol::replica::Replica;
use madang_protocol::server::Message;
use madang_protocol::state::{Field, FieldType, Kind, Scalar, Schema, Visibility};
use std::sync::Arc;

const EPOCH: Epoch = Epoch([1; 8]);

fn opened(before: u64) -> WatchOpened {
    WatchOpened {
        name: "arena".into(),
        epoch: EPOCH,
        epoch_at_ms: 1000,
        kind: "relay",
        schema: None,
        labels: Vec::new(),
        public: true,
        types: vec!["chat".into()],
        members: 0,
        before,
    }
}

fn native(seq: u64, json: &str) -> Frame {
    let mut out = Vec::new();
    let message = ServerMessage::Message(Message {
        channel: Channel(3),
        seq: Seq(seq),
        from: MemberId(1),
        at: 5,
        cseq: Cseq(2),
        r#type: TypeRef::Id(0),
        payload: Payload::Json(json.into()),
    });
    codec::encode_server(&message, &mut out);
    Frame::new(&out)
}

/// Entries 1 to `count`, each at 1000 times its number.
fn filled(count: u64) -> Log {
    let mut log = Log::new(opened(0), 0);
    for seq in 1..=count {
        log.push(seq, seq * 1000, native(seq, "1"), false);
    }
    log
}

/// The seat of one who has seen everything up to a seq.
fn behind(seq: u64) -> Seat {
    Seat { place: Place::at(seq), owes_state: false }
}

/// Everything behind a seq, in short: seqs, gaps, the end.
fn told(log: &mut Log, seq: u64, limit_ms: u64) -> Vec<String> {
    let (mut told, mut seat) = (Vec::new(), behind(seq));
    loop {
        match log.next(seat, limit_ms, &mut 0) {
            Next::Event { gap, text, seat: to, is_gap } => {
                assert_eq!(gap, None);
                seat = to;
                let to = to.place.seq;
                let text = String::from_utf8(text.to_vec()).unwrap();
                assert!(text.starts_with(&format!("id: {EPOCH}-{to}\n")), "{text}");
                let data = text.split_once("data: ").unwrap().1.trim_end();
                told.push(if is_gap { data.to_owned() } else { to.to_string() });
            }
            Next::End { .. } => {
                told.push("end".to_owned());
                return told;
            }
            Next::Wait { .. } => return told,
        }
    }
}

#[test]
fn an_event_is_made_once_with_the_types_name_and_split_lines() {
    let mut log = Log::new(opened(0), 0);
    log.push(1, 5, native(1, "{\r\n\"a\":\n1}"), false);
    let mut encodes = 0;
    let bytes = log.bytes();
    for _ in 0..3 {
        let Next::Event { text, .. } = log.next(behind(0), 5, &mut encodes) else {
            panic!("an event")
        };
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "id: 0101010101010101-1\nevent: message\ndata: {\"channel\":3,\"seq\":1,\"from\":1,\
             \"at\":5,\"cseq\":2,\"type\":\"chat\",\"payload\":{\"json\":{\ndata: \"a\":\n\
             data: 1}}}\n\n"
        );
    }
    assert_eq!(encodes, 1);
    assert!(log.bytes() > bytes, "the text counts from now on");
    log.evict(6, usize::MAX);
    assert_eq!(log.bytes(), LOG_BYTES);
}

#[test]
fn nothing_is_shown_before_its_time() {
    let mut log = filled(4);
    assert_eq!(told(&mut log, 0, 2999), ["1", "2"]);
    assert_eq!(log.next(behind(2), 2999, &mut 0), Next::Wait { at_ms: Some(3000) });
    assert_eq!(log.next_at_ms(2999), Some(3000));
    assert_eq!(log.now(2999), 2);
    assert_eq!(log.behind(3, 2999), Position { seq: 2, complete: true });
    assert_eq!(log.since(0, 2999), Position { seq: 0, complete: true });
    assert_eq!(log.since(3500, 2999), Position { seq: 2, complete: true });
    log.close(9000);
    assert_eq!(told(&mut log, 0, 8999), ["1", "2", "3", "4"]);
    assert_eq!(log.next_at_ms(8999), Some(9000));
    assert_eq!(told(&mut log, 3, 9000), ["4", "end"]);
}

/// Else whoever asks for one seq after another learns how far the room is.
#[test]
fn with_a_delay_it_is_not_told_whether_a_later_seq_has_happened() {
    let log = filled(4);
    for seq in 3..=6 {
        assert_eq!(log.behind(seq, 2999), Position { seq: 2, complete: true }, "{seq}");
    }
    assert_eq!(log.behind(5, u64::MAX), Position { seq: 4, complete: false });
}

/// A delay holds for the number of what was let go before its time, too.
#[test]
fn what_was_let_go_before_it_could_be_shown_is_not_told() {
    let mut log = filled(6);
    log.evict(0, LOG_BYTES);
    for limit_ms in [0, 2999, 5999] {
        assert!(log.now(limit_ms) < 6, "{limit_ms}");
        assert_ne!(log.shown(limit_ms), log.shown(6000));
    }
    assert_eq!(log.now(6000), 6);
    assert_eq!(log.next_at_ms(5999), Some(6000));
}

/// Rooms come and go at their members' will, and their logs stay for a while.
#[test]
fn what_a_room_says_of_itself_counts() {
    let name = "n".repeat(60);
    let labels = vec![(name.clone(), "v".repeat(250)); 16];
    let bytes = Log::new(WatchOpened { labels, ..opened(0) }, 0).bytes();
    assert!(bytes > LOG_BYTES + 16 * 310, "{bytes}");
    let field = |place: usize| Field {
        name: format!("{name}{place}"),
        r#type: FieldType::One(Scalar::Uint),
        visibility: Visibility::Everyone,
    };
    let kind =
        |place| Kind { name: format!("{name}{place}"), fields: (0..10).map(field).collect() };
    let schema = Some(Arc::new(Schema { kinds: (0..20).map(kind).collect() }));
    let mut log = Log::new(WatchOpened { schema, ..opened(0) }, 0);
    // Every name is there twice: in the schema, and as it stands in JSON.
    let names = 20 * 11 * 60 * 2;
    assert!(log.bytes() > LOG_BYTES + names, "{}", log.bytes());
    let bytes = log.bytes();
    log.evict(0, 0);
    log.forget_state();
    assert_eq!(log.bytes(), bytes);
    assert!(log.is_empty());
}

#[test]
fn what_is_gone_is_a_gap_for_those_who_had_not_seen_it() {
    let mut log = filled(6);
    log.evict(4000, usize::MAX);
    assert_eq!(told(&mut log, 1, 9000), ["{\"from\":2,\"to\":3}", "4", "5", "6"]);
    assert_eq!(told(&mut log, 3, 9000), ["4", "5", "6"]);
    assert_eq!(log.behind(1, 9000), Position { seq: 1, complete: false });
    assert_eq!(log.behind(3, 9000), Position { seq: 3, complete: true });
    assert_eq!(log.behind(7, u64::MAX), Position { seq: 6, complete: false });
    assert_eq!(log.since(3500, 9000), Position { seq: 3, complete: true });
    assert_eq!(log.since(3000, 9000), Position { seq: 3, complete: false });
    // Even the gap waits for the delay.
    log.evict(0, LOG_BYTES);
    assert!(log.is_empty());
    assert!(told(&mut log, 1, 5999).is_empty());
    assert_eq!(told(&mut log, 1, 6000), ["{\"from\":2,\"to\":6}"]);
}

#[test]
fn a_feed_that_lost_something_is_made_good_from_the_history_or_a_gap_is_told() {
    let mut log = filled(3);
    log.reopen(opened(1));
    for seq in 2..=5 {
        log.push(seq, seq * 1000, native(seq, "1"), false);
    }
    assert_eq!(told(&mut log, 0, 9000), ["1", "2", "3", "4", "5"]);
    assert_eq!(log.entries.len(), 5, "what was there already is not there twice");
    log.reopen(opened(7));
    log.reopen(opened(8));
    log.push(9, 20_000, native(9, "1"), false);
    assert_eq!(told(&mut log, 4, 9000), ["5"]);
    assert_eq!(told(&mut log, 4, 20_000), ["5", "{\"from\":6,\"to\":8}", "9"]);
    log.reopen(opened(12));
    log.close(30_000);
    assert_eq!(told(&mut log, 9, 30_000), ["{\"from\":10,\"to\":12}", "end"]);
}

#[test]
fn a_log_that_begins_late_says_so() {
    let mut log = Log::new(opened(5), 500);
    log.push(6, 600, native(6, "1"), false);
    assert_eq!(log.behind(2, 900), Position { seq: 2, complete: false });
    assert_eq!(told(&mut log, 2, 900), ["{\"from\":3,\"to\":5}", "6"]);
    assert_eq!(log.since(0, 900), Position { seq: 5, complete: false });
}

/// A room whose state is a number.
fn counting(before: u64) -> WatchOpened {
    let field = Field {
        name: "n".into(),
        r#type: FieldType::One(Scalar::Uint),
        visibility: Visibility::Everyone,
    };
    let kinds = vec![Kind { name: "room".into(), fields: vec![field] }];
    WatchOpened { schema: Some(Arc::new(Schema { kinds })), ..opened(before) }
}

fn told_state(seq: u64, at_ms: u64, n: u8, bytes: &[u8]) -> WatchState {
    let mut replica = Replica::default();
    replica.apply_snapshot(&counting(0).schema.unwrap(), &[0, 0, 1, n]).unwrap();
    let (base_tick, hash) = (u64::from(n) - 1, replica.hash());
    WatchState { seq, at_ms, base_tick, tick: n.into(), hash, bytes: bytes.into() }
}

/// The number as it is.
fn whole(seq: u64, at_ms: u64, n: u8) -> WatchState {
    told_state(seq, at_ms, n, &[0, 0, 1, n])
}

/// It became one more.
fn one_more(seq: u64, at_ms: u64, n: u8) -> WatchState {
    told_state(seq, at_ms, n, &[0, 2, 2])
}

/// A room that counts: 1 at time 0, and one more with every seq and 500 ms, up to `n`.
fn counted(n: u8) -> Log {
    let mut log = Log::new(counting(0), 0);
    log.push_snapshot(&whole(0, 0, 1));
    for n in 2..=n {
        log.push_delta(&one_more(u64::from(n) - 1, (u64::from(n) - 1) * 500, n));
    }
    log
}

/// Everything that somebody is told in short: names, with the seqs of ids and what the number is, and gaps.
fn shown(log: &mut Log, mut seat: Seat, limit_ms: u64) -> Vec<String> {
    let mut shown = Vec::new();
    while let Next::Event { gap, text, seat: to, .. } = log.next(seat, limit_ms, &mut 0) {
        for text in gap.into_iter().chain([text]) {
            let text = String::from_utf8(text.to_vec()).unwrap();
            let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            let id = line("id: 0101010101010101-").unwrap_or("-");
            let name = line("event: ").unwrap();
            let data: serde_json::Value = serde_json::from_str(line("data: ").unwrap()).unwrap();
            let n = match name {
                "snapshot" => &data["entities"]["0"]["n"],
                "delta" => &data["set"]["0"]["n"],
                "gap" => &serde_json::json!([data["from"], data["to"]]),
                _ => &serde_json::json!(""),
            };
            shown.push(format!("{id} {name} {n}"));
        }
        seat = to;
    }
    shown
}

fn fresh(log: &Log, seq: u64, limit_ms: u64) -> Seat {
    log.seat(Position { seq, complete: true }, false, limit_ms)
}

fn began(log: &mut Log, seq: u64, limit_ms: u64) -> Vec<String> {
    let seat = fresh(log, seq, limit_ms);
    shown(log, seat, limit_ms)
}

#[test]
fn who_begins_in_the_past_begins_at_the_newest_keyframe_before_it() {
    let mut log = counted(40);
    let live = fresh(&log, 39, u64::MAX);
    assert_eq!(shown(&mut log, live, u64::MAX), ["39 snapshot 40"]);
    // Every two seconds there is a keyframe: at 0, 4, 8 and so on.
    for (seq, keyframe) in [(0, 0), (3, 0), (4, 4), (11, 8), (38, 36)] {
        let begins = began(&mut log, seq, u64::MAX);
        assert_eq!(begins[0], format!("{keyframe} snapshot {}", keyframe + 1), "from {seq}");
        assert_eq!(begins.len(), 40 - keyframe);
        assert_eq!(begins[39 - keyframe], "39 delta 40");
    }
    // One with a delay: at 5 seconds it has been 10 deltas.
    let begins = began(&mut log, 10, 5_000);
    assert_eq!(begins, ["8 snapshot 9", "9 delta 10", "10 delta 11"]);
    // From long ago, with what is gone: the oldest that is there.
    log.evict(3_000, usize::MAX);
    let begins = began(&mut log, 1, 4_500);
    assert_eq!(begins, ["8 snapshot 9", "9 delta 10"]);
    // Who was there already gets what follows, or the newest when that is gone.
    assert_eq!(shown(&mut log, behind(37), u64::MAX), ["38 delta 39", "39 delta 40"]);
    assert_eq!(
        shown(&mut log, behind(5), 4_500),
        ["6 delta 7", "7 delta 8", "8 delta 9", "9 delta 10"]
    );
    assert_eq!(shown(&mut log, behind(2), u64::MAX), ["- gap [3,39]", "39 snapshot 40"]);
}

#[test]
fn what_was_long_the_same_can_be_shown_when_it_has_just_changed() {
    let mut log = counted(3);
    log.evict(60_000, usize::MAX);
    assert!(log.is_empty());
    assert_eq!(log.now(60_000), 2);
    assert_eq!(began(&mut log, 2, 60_000), ["2 snapshot 3"]);
    log.push_delta(&one_more(3, 70_000, 4));
    assert_eq!(began(&mut log, 2, 60_000), ["2 snapshot 3"]);
    let seat = fresh(&log, 2, 60_000);
    assert_eq!(shown(&mut log, seat, 70_000), ["2 snapshot 3", "3 delta 4"]);
}

#[test]
fn no_state_is_shown_before_its_time() {
    let mut log = Log::new(counting(0), 0);
    log.push_snapshot(&whole(0, 5_000, 1));
    let seat = fresh(&log, log.now(4_999), 4_999);
    assert_eq!(log.next(seat, 4_999, &mut 0), Next::Wait { at_ms: Some(5_000) });
    assert_eq!(log.next_at_ms(4_999), Some(5_000));
    assert_ne!(log.shown(4_999), log.shown(5_000));
    assert_eq!(shown(&mut log, seat, 5_000), ["0 snapshot 1"]);
    assert_eq!(log.next_at_ms(5_000), None);
    let resume = String::from_utf8(log.resume(seat, false).to_vec()).unwrap();
    assert!(resume.starts_with("event: resume\n") && resume.contains("\"state\":true"), "{resume}");
}

#[test]
fn lost_deltas_are_a_gap_and_a_snapshot_to_those_who_were_there_before() {
    let mut log = counted(3);
    log.push(3, 1_600, native(3, "1"), false);
    log.reopen(counting(0));
    log.push(5, 2_500, native(5, "1"), false);
    // The tick may have the seq of a message here: an id of it says nothing of the snapshot.
    log.push_snapshot(&whole(5, 2_400, 6));
    log.push_delta(&one_more(6, 3_000, 7));
    let all = ["3 message \"\"", "5 message \"\"", "- gap [4,5]", "5 snapshot 6", "6 delta 7"];
    assert_eq!(shown(&mut log, behind(2), u64::MAX), all);
    assert_eq!(shown(&mut log, behind(5), u64::MAX), all[2..]);
    assert_eq!(shown(&mut log, behind(5), 2_499), [""; 0]);
    // What nothing was lost of goes on as if nothing had been.
    log.reopen(counting(0));
    log.push_snapshot(&whole(6, 3_000, 7));
    log.push_delta(&one_more(7, 3_500, 8));
    assert_eq!(shown(&mut log, behind(6), u64::MAX), ["7 delta 8"]);
}

#[test]
fn a_state_that_was_let_go_or_is_broken_is_shown_to_nobody_until_there_is_a_snapshot() {
    for is_broken in [false, true] {
        let mut log = counted(10);
        if is_broken {
            log.push_delta(&one_more(10, 5_000, 12));
        } else {
            log.forget_state();
        }
        assert!(!log.has_state() && log.is_empty());
        assert!(log.bytes() < LOG_BYTES * 2);
        log.push_delta(&one_more(11, 5_500, 11));
        log.push(12, 6_000, native(12, "1"), false);
        assert_eq!(shown(&mut log, behind(4), u64::MAX), ["- gap [5,9]", "12 message \"\""]);
        let (at_head, new) = (behind(9), fresh(&log, 9, u64::MAX));
        assert_eq!(shown(&mut log, at_head, u64::MAX), ["12 message \"\""]);
        log.push_snapshot(&whole(12, 6_500, 20));
        let again = ["- gap [10,12]", "12 snapshot 20"];
        assert_eq!(shown(&mut log, at_head, u64::MAX), again);
        assert_eq!(shown(&mut log, new, u64::MAX), again);
        let at_message = log.seat(log.behind(12, u64::MAX), true, u64::MAX);
        assert_eq!(shown(&mut log, at_message, u64::MAX)[1], "12 snapshot 20");
    }
}

#[test]
fn a_log_with_state_fits_its_bytes_and_the_state_as_it_is_stays() {
    let mut log = counted(120);
    let mut encodes = 0;
    for seq in [0, 60, 119] {
        let seat = fresh(&log, seq, u64::MAX);
        assert!(matches!(log.next(seat, u64::MAX, &mut encodes), Next::Event { .. }));
    }
    assert_eq!(encodes, 3);
    let parts = log.entries.iter().map(Entry::cost).sum::<usize>();
    assert_eq!(log.bytes(), LOG_BYTES + parts + log.state.as_ref().unwrap().bytes());
    for bytes_max in [16 << 10, 8 << 10, 4 << 10] {
        log.evict(0, bytes_max);
        assert!(log.bytes() <= bytes_max);
    }
    log.evict(0, 0);
    assert!(log.is_empty() && log.bytes() < LOG_BYTES * 2);
    assert_eq!(began(&mut log, 119, u64::MAX), ["119 snapshot 120"]);
}

#[test]
fn what_a_backend_publishes_has_its_own_name_and_data() {
    let mut log = Log::new(opened(0), 0);
    let names = [TypeRef::Id(0), TypeRef::Name("price".into()), TypeRef::Name("gap".into())];
    let payloads = [
        Payload::Text("a\r\nid: 9\rb\n".into()),
        Payload::Json("{\"a\":\n1}".into()),
        Payload::Bytes(vec![0, 255, 7, 8].into()),
    ];
    let told: Vec<String> = names
        .iter()
        .flat_map(|name| payloads.iter().map(move |payload| (name, payload)))
        .zip(1..)
        .map(|((r#type, payload), seq)| {
            let mut out = Vec::new();
            let message = ServerMessage::Message(Message {
                channel: Channel(3),
                seq: Seq(seq),
                from: MemberId(0),
                at: 5,
                cseq: Cseq(0),
                r#type: r#type.clone(),
                payload: payload.borrowed(),
            });
            codec::encode_server(&message, &mut out);
            log.push(seq, 5, Frame::new(&out), true);
            let Next::Event { text, .. } = log.next(behind(seq - 1), 5, &mut 0) else {
                panic!("an event")
            };
            String::from_utf8(text.to_vec()).unwrap()
        })
        .collect();
    let data = [
        "data: a\ndata: id: 9\ndata: b\ndata: \n\n",
        "data: {\"a\":\ndata: 1}\n\n",
        "data: AP8HCA==\n\n",
    ];
    for (i, (name, data)) in
        ["chat", "price"].iter().flat_map(|name| data.map(|data| (name, data))).enumerate()
    {
        assert_eq!(told[i], format!("id: {EPOCH}-{}\nevent: {name}\n{data}", i + 1));
    }
    // The server's own names are not for others.
    assert!(told[6..].iter().all(|text| text.contains("event: message\ndata: {\"channel\":3")));
}

#[test]
fn an_id_from_a_time_without_state_is_no_proof_of_it() {
    let mut log = counted(3);
    log.forget_state();
    log.push(5, 3_000, native(5, "1"), false);
    log.evict(90_000, usize::MAX);
    log.push_snapshot(&whole(5, 100_000, 9));
    log.push_delta(&one_more(6, 100_500, 10));
    let seen = log.seat(log.behind(5, u64::MAX), true, u64::MAX);
    assert_eq!(shown(&mut log, seen, u64::MAX), ["- gap [3,5]", "5 snapshot 9", "6 delta 10"]);
}
