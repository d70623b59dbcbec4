//! A log of messages; `state.rs` has the one of a room with state.

use super::*;
use madang_protocol::ids::{Channel, Cseq, MemberId, Seq};
use madang_protocol::server::Message;

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

#[test]
fn what_is_gone_is_a_gap_for_those_who_had_not_seen_it() {
    let mut log = filled(6);
    log.evict(4000, usize::MAX);
    assert_eq!(told(&mut log, 1, 9000), ["{\"from\":2,\"to\":3}", "4", "5", "6"]);
    assert_eq!(told(&mut log, 3, 9000), ["4", "5", "6"]);
    assert_eq!(log.behind(1, 9000), Position { seq: 1, complete: false });
    assert_eq!(log.behind(3, 9000), Position { seq: 3, complete: true });
    assert_eq!(log.behind(7, 9000), Position { seq: 6, complete: false });
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
