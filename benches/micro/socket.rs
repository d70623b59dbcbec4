//! What a client sends, as WebSocket frames.

use crate::case::Case;
use madang::net::ws::{Decoder, Event, Unread, unmask};
use std::hint::black_box;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const BINARY: u8 = 0x82;
const MESSAGE_BYTES_MAX: usize = 64 << 10;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        unmasking("unmask_64_b", 64),
        unmasking("unmask_16_kib", 16 << 10),
        // Whole messages are lent from the buffer.
        decoding("decode_64_b", 1, 64, 0).allocates(0),
        decoding("decode_100_of_64_b", 100, 64, 0).per(100, "message").allocates(0),
        decoding("decode_16_kib", 1, 16 << 10, 0).allocates(0),
        // The rest of an incomplete one is kept: a box, and a buffer that grows once.
        decoding("decode_64_b_in_two_reads", 1, 64, 40).allocates_at_most(3),
    ]
}

fn unmasking(name: &'static str, bytes: usize) -> Case {
    let mut payload = vec![0; bytes];
    let work = move || unmask(black_box(&mut payload), MASK);
    Case::new(("socket", name), work).allocates(0)
}

/// Decoding unmasks where the frames lie: the next time they are masked again, which takes as long.
fn decoding(name: &'static str, messages: usize, bytes: usize, cut: usize) -> Case {
    let mut frames = frame(&vec![0x5a; bytes]).repeat(messages);
    let mut decoder = Decoder::default();
    Case::new(("socket", name), move || {
        let (first, second) = black_box(&mut frames).split_at_mut(cut);
        let mut decoded = 0;
        for part in [first, second] {
            let mut unread = Unread(part);
            while let Some(event) = decoder.next(&mut unread, MESSAGE_BYTES_MAX) {
                assert!(matches!(event, Event::Message { .. }));
                decoded += 1;
            }
        }
        assert_eq!(decoded, messages);
    })
}

/// A masked binary frame.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![BINARY];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len => {
            assert!(u16::try_from(len).is_ok());
            out.push(0xfe);
            out.extend((len as u16).to_be_bytes());
        }
    }
    out.extend(MASK);
    let start = out.len();
    out.extend(payload);
    // Masking and unmasking are the same.
    unmask(&mut out[start..], MASK);
    out
}
