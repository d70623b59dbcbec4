//! What comes before and below HTTP: the header of a proxy, and WebSocket frames.

use madang::net::access::{PREAMBLE_BYTES_MAX, Preamble, read_preamble};
use madang::net::ws::{Decoder, Event, Unread};

/// The header of a proxy. A whole one is the same whatever comes behind it, and nothing shorter is
/// one; what is incomplete is bounded.
pub fn proxy(bytes: &[u8]) {
    match read_preamble(bytes) {
        Preamble::Complete { bytes: len, client } => {
            assert!(len <= bytes.len().min(PREAMBLE_BYTES_MAX));
            for cut in 0..len {
                assert_eq!(read_preamble(&bytes[..cut]), Preamble::Incomplete, "cut at {cut}");
            }
            let alone = read_preamble(&bytes[..len]);
            assert_eq!(alone, Preamble::Complete { bytes: len, client });
        }
        Preamble::Incomplete => assert!(bytes.len() < PREAMBLE_BYTES_MAX),
        Preamble::Malformed => {}
    }
}

/// WebSocket frames: the first byte says how large messages may be, the second how the rest is cut.
/// The events are the same however the bytes come; and nothing is larger than it may be.
pub fn websocket(bytes: &[u8]) {
    let [max, piece, frames @ ..] = bytes else { return };
    let max = 1 << (max % 16);
    let whole = events(frames, frames.len().max(1), max);
    assert_eq!(events(frames, usize::from(*piece).max(1), max), whole);
    assert_eq!(events(frames, 1, max), whole);
    for (at, event) in whole.iter().enumerate() {
        match event {
            Event::Message { data, text } => {
                assert!(data.len() <= max);
                assert!(!text || std::str::from_utf8(data).is_ok());
            }
            Event::Ping(payload) => assert!(payload.len() <= 125),
            Event::Pong | Event::Fragment => {}
            Event::Close(code) => assert!(matches!(code, 1000..=1014 | 3000..=4999)),
            Event::Violation { code, why } => {
                assert!(matches!(code, 1002 | 1007 | 1009) && !why.is_empty());
            }
        }
        let ends = matches!(event, Event::Close(_) | Event::Violation { .. });
        assert!(!ends || at + 1 == whole.len());
    }
}

fn events(frames: &[u8], piece: usize, max: usize) -> Vec<Event<'static>> {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for come in frames.chunks(piece) {
        let mut come = come.to_vec();
        let mut unread = Unread(&mut come);
        while let Some(event) = decoder.next(&mut unread, max) {
            let ends = matches!(event, Event::Close(_) | Event::Violation { .. });
            found.push(owned(event));
            // What follows is nobody's business any more.
            if ends {
                return found;
            }
        }
        assert!(unread.0.is_empty(), "nothing is left unread without an event");
    }
    found
}

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message { data, text } => Event::Message { data: data.into_owned().into(), text },
        Event::Ping(payload) => Event::Ping(payload.into_owned().into()),
        Event::Pong => Event::Pong,
        Event::Fragment => Event::Fragment,
        Event::Close(code) => Event::Close(code),
        Event::Violation { code, why } => Event::Violation { code, why },
    }
}
