//! What is wrong behind the handshake: frames, lengths and floods.

use crate::stage::{attacked, close_code, ends, flood, frame, open_by};
use crate::support::client::Dial;
use crate::support::stream::Stream;
use std::io::Write as _;
use std::net::Shutdown;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// A header that announces so many bytes, and a few of them.
fn announced(length: u64) -> Vec<u8> {
    [&[BINARY, 0xff], &length.to_be_bytes()[..], &[0; 4], &[7; 32]].concat()
}

#[test]
fn each_broken_frame_is_answered_with_its_code() {
    attacked(&[], |stage| {
        let coded =
            |code: u16, reason: &[u8]| frame(CLOSE, &[&code.to_be_bytes(), reason].concat());
        for (what, sent, code) in [
            ("not masked", vec![BINARY, 5, 1, 2, 3, 4, 5], 1002),
            ("a reserved bit", frame(BINARY | 0x40, b"a"), 1002),
            ("another", frame(BINARY | 0x10, b"a"), 1002),
            ("a reserved opcode", frame(0x83, b"a"), 1002),
            ("a reserved control opcode", frame(0x8b, b""), 1002),
            ("a long ping", frame(PING, &[0; 126]), 1002),
            ("half a ping", frame(PING & 0x7f, b""), 1002),
            ("nothing to continue", frame(0x80, b"a"), 1002),
            ("2^63 bytes", announced(1 << 63), 1002),
            ("all the bytes there are", announced(u64::MAX), 1002),
            ("2^62 bytes", announced(1 << 62), 1009),
            ("one byte too many", announced((64 << 10) + 1), 1009),
            ("a length of 8 bytes for 3", announced(3), 1002),
            ("text that is none", frame(TEXT, &[0xc0, 0x80]), 1007),
            ("a surrogate", frame(TEXT, &[0xed, 0xa0, 0x80]), 1007),
            ("a reason that is no text", coded(1000, &[0xff]), 1007),
            ("half a code", frame(CLOSE, &[3]), 1002),
            ("code 0", coded(0, b""), 1002),
            ("code 1004", coded(1004, b""), 1002),
            ("code 1005", coded(1005, b""), 1002),
            ("code 1006", coded(1006, b""), 1002),
            ("code 1015", coded(1015, b""), 1002),
            ("code 2999", coded(2999, b""), 1002),
            ("code 65535", coded(u16::MAX, b""), 1002),
            ("a code of ours", coded(4008, b"I say so"), 4008),
            ("two closes", [coded(1001, b""), coded(1000, b"")].concat(), 1001),
        ] {
            for path in ["/raw/broken", "/raw/broken?echo=1"] {
                let mut stream = stage.open(path);
                stream.write_all(&sent).expect("sent");
                assert_eq!(close_code(&mut stream), Some(code), "{what}");
                ends(&mut stream);
            }
        }
        stage.go_on();
    });
}

/// Were it reserved as announced, this would be two hundred times 16 MiB.
#[test]
fn what_is_announced_is_not_reserved_before_it_comes() {
    let settings = [
        "play.message_bytes_max=16777216",
        "play.batch_bytes_max=16777216",
        "play.bytes_burst=16777216",
        "play.outbound_bytes_max=16777216",
        "play.peer_window_bytes=33554432",
        "rooms.history_bytes_max=16777216",
    ];
    attacked(&settings, |stage| {
        let streams: Vec<Stream> = (0..200)
            .map(|_| {
                let mut stream = stage.open("/raw/greedy");
                stream.write_all(&announced(16 << 20)).expect("sent");
                stream
            })
            .collect();
        stage.go_on();
        drop(streams);
    });
}

#[test]
fn a_flood_of_fragments_has_an_end() {
    attacked(&[], |stage| {
        for _ in 0..4 {
            let mut stream = stage.open("/raw/pieces");
            stream.write_all(&frame(0x01, b"")).expect("sent");
            // Rates slow it; it never becomes a message.
            flood(stage, &mut stream, &frame(0x00, b"").repeat(1000));
        }
        // One that is not slowed: its bytes on the wire are bounded.
        let mut stream = stage.open("/raw/pieces");
        let pieces = [frame(0x01, b""), frame(0x00, b"").repeat(40_000)].concat();
        let _ = stream.write_all(&pieces);
        assert_eq!(close_code(&mut stream), Some(1009));
    });
}

#[test]
fn who_floods_with_pings_and_reads_nothing_is_not_read_any_more() {
    attacked(&[], |stage| {
        let dial = Dial { receive_bytes: Some(4096), ..stage.dial() };
        let mut streams: Vec<_> = (0..4).map(|_| open_by(dial, "/raw/pings")).collect();
        for stream in &mut streams {
            flood(stage, stream, &frame(PING, &[b'p'; 125]).repeat(500));
        }
        stage.go_on();
    });
}

#[test]
fn who_floods_with_messages_is_slowed() {
    attacked(&[], |stage| {
        let mut streams: Vec<_> = (0..4).map(|_| stage.open("/raw/flood")).collect();
        for stream in &mut streams {
            flood(stage, stream, &frame(BINARY, &[7; 16]).repeat(2000));
        }
        stage.go_on();
    });
}

#[test]
fn who_closes_its_half_is_let_go() {
    attacked(&[], |stage| {
        let mut streams: Vec<Stream> = (0..50).map(|_| stage.open("/raw/half")).collect();
        // In the middle of everything.
        for (at, stream) in streams.iter_mut().enumerate() {
            let whole = [frame(PING, b"p"), frame(TEXT, b"half a message")].concat();
            stream.write_all(&whole[..at % whole.len()]).expect("sent");
            stream.tcp().shutdown(Shutdown::Write).expect("a socket");
        }
        stage.go_on();
        streams.iter_mut().for_each(ends);
    });
}

#[test]
fn who_does_not_answer_pings_is_let_go() {
    attacked(&["play.ping_ms=1000", "play.pong_ms=2000"], |stage| {
        let mut streams: Vec<Stream> = (0..50).map(|_| stage.open("/raw/dead")).collect();
        stage.go_on();
        streams.iter_mut().for_each(ends);
    });
}
