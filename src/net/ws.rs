//! WebSocket frames from a client (RFC 6455 section 5): bytes in, events out.
//!
//! A message that lies whole in the input is unmasked where it is and lent out: nothing is copied
//! and nothing allocated. Only what is incomplete when the input ends is kept, in one box that is
//! freed with the message, and never more is reserved than has come.
//!
//! Deliberately absent: extensions and the client's side.

use std::borrow::Cow;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest header of a client's frame: 2 bytes, 8 of length, 4 of mask.
const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame (RFC 6455 section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;
/// How many bytes beyond twice the largest message a fragmented message may take on the wire:
/// room for honest headers, an end for a flood of empty fragments.
const FRAGMENT_OVERHEAD_BYTES: u64 = 64 << 10;

/// The peer broke the protocol (RFC 6455 section 7.1.7).
pub(super) const PROTOCOL: u16 = 1002;
/// A text message or close reason was not UTF-8 (section 8.1).
pub(super) const NOT_UTF8: u16 = 1007;
/// A message is larger than allowed (section 7.4.1).
pub(super) const TOO_BIG: u16 = 1009;
/// Stands for a Close frame without a code; never on the wire.
pub(super) const NO_CODE: u16 = 1005;

/// What the peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A complete message.
    Message {
        /// Its bytes, unmasked; lent from the input where it lay there whole.
        data: Cow<'a, [u8]>,
        /// Whether it is text, and then valid UTF-8.
        text: bool,
    },
    /// A ping, to be answered with the same payload.
    Ping(Cow<'a, [u8]>),
    /// A pong.
    Pong,
    /// A frame of a message that goes on: so that a flood of them, of no bytes each, is counted like
    /// one of messages.
    Fragment,
    /// A valid Close frame; 1005 when it had no code. What follows is to be ignored.
    Close(u16),
    /// The connection is to be failed with this code. The decoder must not be used any more.
    Violation {
        /// The code.
        code: u16,
        /// What is wrong, for people.
        why: &'static str,
    },
}

/// Bytes that nobody has looked at.
#[derive(Debug)]
pub struct Unread<'a>(pub &'a mut [u8]);

impl<'a> Unread<'a> {
    /// Takes `n` bytes off the front.
    pub(super) fn take(&mut self, n: usize) -> &'a mut [u8] {
        let (front, rest) = std::mem::take(&mut self.0).split_at_mut(n);
        self.0 = rest;
        front
    }
}

/// What is kept of a connection's input between reads: nothing, unless something is incomplete.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// An incomplete frame or message.
#[derive(Debug, Default)]
struct Partial {
    /// The first bytes of an incomplete frame header.
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// The frame whose payload is incomplete.
    frame: Option<Frame>,
    /// Whether the fragmented message in progress is text.
    fragmented: Option<bool>,
    /// The payload of the message in progress so far, unmasked.
    message: Vec<u8>,
    /// How much of it is known to be UTF-8, if it is text.
    text_bytes: usize,
    /// Headers and payloads of the message in progress so far, as announced.
    wire_bytes: u64,
    /// The payload of the control frame in progress so far, unmasked.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_final: bool,
    /// Rotated so that its first byte belongs to the next byte of the payload.
    mask: [u8; 4],
    /// Payload bytes still to come.
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    Continuation,
    Ping,
    Pong,
    Close,
}

type Violation = (u16, &'static str);

impl Decoder {
    /// Takes the next event off the front of `input`. `None` means that the input is used up: what
    /// is incomplete has been kept.
    pub fn next<'a>(
        &mut self,
        input: &mut Unread<'a>,
        message_bytes_max: usize,
    ) -> Option<Event<'a>> {
        let kept = self.partial.as_mut().and_then(|partial| partial.frame.take());
        let frame = match kept {
            Some(frame) => frame,
            None => match self.header(input, message_bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err((code, why)) => return Some(Event::Violation { code, why }),
            },
        };
        let event = match self.payload(frame, input, message_bytes_max) {
            Ok(Some(payload)) => self.event(frame.kind, frame.is_final, payload),
            Ok(None) => return None,
            Err(violation) => Err(violation),
        };
        Some(event.unwrap_or_else(|(code, why)| Event::Violation { code, why }))
    }

    /// Takes a frame header off the input, with what is kept of it, and checks it.
    fn header(
        &mut self,
        input: &mut Unread<'_>,
        message_bytes_max: usize,
    ) -> Result<Option<Frame>, Violation> {
        let kept = self.partial.as_ref().map_or(0, |partial| partial.header_len);
        if kept == 0 {
            if input.0.is_empty() {
                return Ok(None);
            }
            if let Some((header, bytes, used)) = parse_header(input.0)? {
                input.take(used);
                return self.admit(&header, bytes, used, message_bytes_max).map(Some);
            }
            let rest = input.take(input.0.len());
            let partial = self.partial.get_or_insert_default();
            partial.header[..rest.len()].copy_from_slice(rest);
            partial.header_len = rest.len();
            return Ok(None);
        }
        let partial = self.partial.get_or_insert_default();
        let more = input.0.len().min(HEADER_BYTES_MAX - kept);
        partial.header[kept..kept + more].copy_from_slice(&input.0[..more]);
        let parsed = parse_header(&partial.header[..kept + more])?;
        let Some((header, bytes, used)) = parsed else {
            partial.header_len = kept + more;
            input.take(more);
            return Ok(None);
        };
        partial.header_len = 0;
        // It was incomplete with `kept` bytes, so that it ends behind them.
        input.take(used - kept);
        self.admit(&header, bytes, used, message_bytes_max).map(Some)
    }

    /// Checks a header against RFC 6455 and the bounds.
    fn admit(
        &mut self,
        header: &FrameHeader,
        payload_bytes: u64,
        header_bytes: usize,
        message_bytes_max: usize,
    ) -> Result<Frame, Violation> {
        // Section 5.2: no extension was negotiated.
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err((PROTOCOL, "a reserved bit is set"));
        }
        // Section 5.1.
        let Some(mask) = header.mask else {
            return Err((PROTOCOL, "a frame is not masked"));
        };
        // Section 5.2.
        if payload_bytes >> 63 != 0 {
            return Err((PROTOCOL, "a length has its highest bit set"));
        }
        if header.len(payload_bytes) != header_bytes {
            return Err((PROTOCOL, "a length is not minimal"));
        }
        let kind = match header.opcode {
            OpCode::Data(Data::Text) => Kind::Text,
            OpCode::Data(Data::Binary) => Kind::Binary,
            OpCode::Data(Data::Continue) => Kind::Continuation,
            OpCode::Control(Control::Ping) => Kind::Ping,
            OpCode::Control(Control::Pong) => Kind::Pong,
            OpCode::Control(Control::Close) => Kind::Close,
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                return Err((PROTOCOL, "an opcode is reserved"));
            }
        };
        if kind.is_control() {
            // Section 5.5.
            if !header.is_final {
                return Err((PROTOCOL, "a control frame is fragmented"));
            }
            if payload_bytes > CONTROL_BYTES_MAX as u64 {
                return Err((PROTOCOL, "a control frame is longer than 125 bytes"));
            }
        } else {
            self.admit_data(kind, payload_bytes, header_bytes, message_bytes_max)?;
        }
        Ok(Frame { kind, is_final: header.is_final, mask, left: payload_bytes as usize })
    }

    fn admit_data(
        &mut self,
        kind: Kind,
        payload_bytes: u64,
        header_bytes: usize,
        message_bytes_max: usize,
    ) -> Result<(), Violation> {
        let max = message_bytes_max as u64;
        let in_progress = self.partial.as_mut().filter(|partial| partial.fragmented.is_some());
        let before = match (kind, in_progress) {
            // Section 5.4.
            (Kind::Continuation, None) => {
                return Err((PROTOCOL, "a continuation frame has nothing to continue"));
            }
            (Kind::Continuation, Some(partial)) => {
                partial.wire_bytes += payload_bytes + header_bytes as u64;
                if partial.wire_bytes > 2 * max + FRAGMENT_OVERHEAD_BYTES {
                    return Err((TOO_BIG, "a message has too many fragments"));
                }
                partial.message.len() as u64
            }
            (_, Some(_)) => {
                return Err((PROTOCOL, "a message begins inside another one"));
            }
            (_, None) => 0,
        };
        if payload_bytes > max - before.min(max) {
            return Err((TOO_BIG, "a message is larger than allowed"));
        }
        Ok(())
    }

    /// The frame's payload, unmasked, when it is complete: lent from the input if it lies there
    /// whole and begins nothing longer. For a data frame of a longer message it is empty and the
    /// bytes are in `message`. Text that cannot become UTF-8 any more is refused before its end.
    fn payload<'a>(
        &mut self,
        mut frame: Frame,
        input: &mut Unread<'a>,
        message_bytes_max: usize,
    ) -> Result<Option<Cow<'a, [u8]>>, Violation> {
        let control = frame.kind.is_control();
        let alone = match &self.partial {
            None => control || frame.is_final,
            Some(partial) if control => partial.control.is_empty(),
            Some(partial) => {
                frame.is_final && partial.fragmented.is_none() && partial.message.is_empty()
            }
        };
        if alone && input.0.len() >= frame.left {
            let payload = input.take(frame.left);
            unmask(payload, frame.mask);
            return Ok(Some(Cow::Borrowed(payload)));
        }
        let partial = self.partial.get_or_insert_default();
        let chunk = input.take(frame.left.min(input.0.len()));
        unmask(chunk, frame.mask);
        frame.mask.rotate_left(chunk.len() % 4);
        frame.left -= chunk.len();
        if control {
            append(&mut partial.control, chunk, CONTROL_BYTES_MAX);
        } else {
            append(&mut partial.message, chunk, message_bytes_max);
            if partial.fragmented.unwrap_or(frame.kind == Kind::Text) {
                partial.check_text()?;
            }
        }
        if frame.left > 0 {
            partial.frame = Some(frame);
            return Ok(None);
        }
        Ok(Some(if control {
            Cow::Owned(std::mem::take(&mut partial.control))
        } else if frame.is_final {
            Cow::Owned(std::mem::take(&mut partial.message))
        } else {
            Cow::Borrowed(&[])
        }))
    }

    /// What a complete frame means, with the state behind it updated.
    fn event<'a>(
        &mut self,
        kind: Kind,
        is_final: bool,
        payload: Cow<'a, [u8]>,
    ) -> Result<Event<'a>, Violation> {
        if kind.is_control() {
            // A box that only served this frame goes; one with a message in progress stays.
            self.partial = self.partial.take().filter(|partial| partial.fragmented.is_some());
            return match kind {
                Kind::Ping => Ok(Event::Ping(payload)),
                Kind::Pong => Ok(Event::Pong),
                _ => close_code(&payload).map(Event::Close),
            };
        }
        let fragmented = self.partial.as_ref().and_then(|partial| partial.fragmented);
        let text = fragmented.unwrap_or(kind == Kind::Text);
        if !is_final {
            let partial = self.partial.get_or_insert_default();
            partial.fragmented = Some(text);
            return Ok(Event::Fragment);
        }
        self.partial = None;
        if text && std::str::from_utf8(&payload).is_err() {
            return Err((NOT_UTF8, "a text message is not UTF-8"));
        }
        Ok(Event::Message { data: payload, text })
    }
}

impl Partial {
    /// Looks at what has come of a text; a letter that is not whole yet may become so.
    fn check_text(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.message[self.text_bytes..]) {
            Ok(text) => self.text_bytes += text.len(),
            Err(error) if error.error_len().is_none() => self.text_bytes += error.valid_up_to(),
            Err(_) => return Err((NOT_UTF8, "a text message is not UTF-8")),
        }
        Ok(())
    }
}

impl Kind {
    fn is_control(self) -> bool {
        matches!(self, Kind::Ping | Kind::Pong | Kind::Close)
    }
}

/// The header at the start of `bytes`, the length it announces, and its own length.
fn parse_header(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, Violation> {
    let mut cursor = Cursor::new(bytes);
    match FrameHeader::parse(&mut cursor) {
        Ok(Some((header, length))) => Ok(Some((header, length, cursor.position() as usize))),
        Ok(None) => Ok(None),
        // The only error that a slice can cause.
        Err(_) => Err((PROTOCOL, "an opcode is reserved")),
    }
}

/// The code of a Close frame's payload (RFC 6455 sections 5.5.1, 7.4; the registry of section
/// 11.7 for 1012 to 1014).
fn close_code(payload: &[u8]) -> Result<u16, Violation> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() {
            Ok(NO_CODE)
        } else {
            Err((PROTOCOL, "a close frame has half a code"))
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err((PROTOCOL, "a close code is not allowed"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err((NOT_UTF8, "a close reason is not UTF-8"));
    }
    Ok(code)
}

/// Appends without ever reserving more than `max` or than twice what has come.
fn append(buffer: &mut Vec<u8>, chunk: &[u8], max: usize) {
    let need = buffer.len() + chunk.len();
    if need > buffer.capacity() {
        let target = need.max((2 * buffer.len()).min(max));
        buffer.reserve_exact(target - buffer.len());
    }
    buffer.extend_from_slice(chunk);
}

/// XORs with the mask, a word at a time (RFC 6455 section 5.3).
pub fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut words = bytes.chunks_exact_mut(8);
    for eight in &mut words {
        let mut copy = [0; 8];
        copy.copy_from_slice(eight);
        eight.copy_from_slice(&(u64::from_ne_bytes(copy) ^ word).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 1000;

    /// An event that owns its bytes.
    type Owned = Event<'static>;

    fn own(event: Event<'_>) -> Owned {
        match event {
            Event::Message { data, text } => {
                Event::Message { data: Cow::Owned(data.into_owned()), text }
            }
            Event::Ping(data) => Event::Ping(Cow::Owned(data.into_owned())),
            Event::Pong => Event::Pong,
            Event::Fragment => Event::Fragment,
            Event::Close(code) => Event::Close(code),
            Event::Violation { code, why } => Event::Violation { code, why },
        }
    }

    /// A masked frame with a minimal length.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            n @ 0..=125 => out.push(0x80 | n as u8),
            n @ 126..=65535 => {
                out.push(0xfe);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(0xff);
                out.extend((n as u64).to_be_bytes());
            }
        }
        let mask = [0x12, 0x34, 0x56, 0x78];
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    /// Feeds the stream in pieces of these sizes (the last one repeated) until an event ends it.
    fn feed(decoder: &mut Decoder, stream: &[u8], sizes: &[usize]) -> Vec<Owned> {
        let mut events = Vec::new();
        let mut rest = stream;
        let mut sizes = sizes.iter().copied().chain(std::iter::repeat(*sizes.last().unwrap()));
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(sizes.next().unwrap().max(1).min(rest.len()));
            rest = after;
            let mut chunk = chunk.to_vec();
            let mut input = Unread(&mut chunk);
            while let Some(event) = decoder.next(&mut input, MAX) {
                let last = matches!(event, Event::Close(_) | Event::Violation { .. });
                if event != Event::Fragment {
                    events.push(own(event));
                }
                if last {
                    return events;
                }
            }
            assert!(input.0.is_empty());
        }
        events
    }

    #[test]
    fn each_fragment_is_an_event_of_its_own() {
        let mut stream = [frame(0x01, b""), frame(0x00, b"").repeat(1000)].concat();
        let (mut decoder, mut input) = (Decoder::default(), Unread(&mut stream));
        for _ in 0..=1000 {
            assert_eq!(decoder.next(&mut input, MAX), Some(Event::Fragment));
        }
        assert_eq!(decoder.next(&mut input, MAX), None);
    }

    fn all(stream: &[u8]) -> Vec<Owned> {
        feed(&mut Decoder::default(), stream, &[usize::MAX])
    }

    fn text(data: &[u8]) -> Owned {
        Event::Message { data: Cow::Owned(data.to_vec()), text: true }
    }

    fn binary(data: &[u8]) -> Owned {
        Event::Message { data: Cow::Owned(data.to_vec()), text: false }
    }

    /// The code that the stream is failed with, whole and byte by byte.
    fn violation(stream: &[u8]) -> u16 {
        let codes = [usize::MAX, 1].map(|size| {
            match feed(&mut Decoder::default(), stream, &[size]).last() {
                Some(Event::Violation { code, .. }) => *code,
                other => panic!("{other:?} for {stream:02x?}"),
            }
        });
        assert_eq!(codes[0], codes[1]);
        codes[0]
    }

    #[test]
    fn section_5_7_examples_decode() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(all(&hello), [text(b"Hello")]);
        let ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(all(&ping), [Event::Ping(Cow::Borrowed(b"Hello"))]);
        let mut pong = ping;
        pong[0] = 0x8a;
        assert_eq!(all(&pong), [Event::Pong]);
    }

    #[test]
    fn a_whole_message_is_lent_and_nothing_is_kept() {
        let mut stream = [frame(0x82, &[7; 900]), frame(0x81, b"hi")].concat();
        let range = stream.as_ptr_range();
        let mut decoder = Decoder::default();
        let mut input = Unread(&mut stream);
        while let Some(event) = decoder.next(&mut input, MAX) {
            let Event::Message { data: Cow::Borrowed(data), .. } = event else {
                panic!("{event:?}")
            };
            assert!(range.contains(&data.as_ptr()));
        }
        assert!(decoder.partial.is_none());
        assert_eq!(size_of::<Decoder>(), size_of::<usize>());
    }

    #[test]
    fn a_partial_message_is_freed_once_it_is_complete() {
        let mut decoder = Decoder::default();
        let stream = [frame(0x02, b"abc"), frame(0x89, b"p"), frame(0x80, b"def")].concat();
        for at in 1..stream.len() {
            assert_eq!(feed(&mut decoder, &stream[..at], &[usize::MAX]).len(), {
                usize::from(at >= 16)
            });
            let events = feed(&mut decoder, &stream[at..], &[usize::MAX]);
            assert_eq!(events.last(), Some(&binary(b"abcdef")));
            assert!(decoder.partial.is_none());
        }
    }

    #[test]
    fn section_5_1_unmasked_frames_fail() {
        assert_eq!(violation(&[0x82, 0x01, 0x00]), PROTOCOL);
        assert_eq!(violation(&[0x89, 0x00]), PROTOCOL);
    }

    #[test]
    fn section_5_2_reserved_bits_opcodes_and_lengths_fail() {
        for bit in [0x40, 0x20, 0x10] {
            assert_eq!(violation(&frame(0x82 | bit, b"x")), PROTOCOL);
            assert_eq!(violation(&frame(0x89 | bit, b"x")), PROTOCOL);
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(violation(&frame(0x80 | opcode, b"x")), PROTOCOL);
        }
        let top_bit = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4];
        assert_eq!(violation(&top_bit), PROTOCOL);
        let not_minimal_16 = [0x82, 0xfe, 0, 125, 1, 2, 3, 4];
        assert_eq!(violation(&not_minimal_16), PROTOCOL);
        let not_minimal_64 = [0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(violation(&not_minimal_64), PROTOCOL);
    }

    #[test]
    fn section_5_4_fragments_are_joined_in_order_or_fail() {
        let stream = [frame(0x01, b"a"), frame(0x00, b""), frame(0x80, b"b")].concat();
        assert_eq!(all(&stream), [text(b"ab")]);
        assert_eq!(all(&[frame(0x02, b""), frame(0x80, b"")].concat()), [binary(b"")]);
        assert_eq!(violation(&frame(0x80, b"b")), PROTOCOL);
        assert_eq!(violation(&frame(0x00, b"b")), PROTOCOL);
        for first in [0x81, 0x82, 0x01, 0x02] {
            assert_eq!(violation(&[frame(0x01, b"a"), frame(first, b"b")].concat()), PROTOCOL);
        }
        let done = [stream, frame(0x80, b"c")].concat();
        assert_eq!(violation(&done), PROTOCOL);
    }

    #[test]
    fn section_5_5_control_frames_interleave_but_are_short_and_whole() {
        let stream =
            [frame(0x01, b"a"), frame(0x89, &[9; 125]), frame(0x8a, b""), frame(0x80, b"b")];
        let expected = [Event::Ping(Cow::Owned(vec![9; 125])), Event::Pong, text(b"ab")];
        assert_eq!(all(&stream.concat()), expected);
        for opcode in [0x8, 0x9, 0xa] {
            assert_eq!(violation(&frame(opcode, b"")), PROTOCOL);
            assert_eq!(violation(&frame(0x80 | opcode, &[0; 126])), PROTOCOL);
        }
    }

    #[test]
    fn section_5_5_1_and_7_4_close_codes() {
        assert_eq!(all(&frame(0x88, b"")), [Event::Close(NO_CODE)]);
        for code in [1000_u16, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            let payload = [&code.to_be_bytes()[..], "bye ✓".as_bytes()].concat();
            assert_eq!(all(&frame(0x88, &payload)), [Event::Close(code)]);
        }
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535] {
            assert_eq!(violation(&frame(0x88, &code.to_be_bytes())), PROTOCOL);
        }
        assert_eq!(violation(&frame(0x88, &[3])), PROTOCOL);
        assert_eq!(violation(&frame(0x88, &[3, 232, 0xff])), NOT_UTF8);
    }

    #[test]
    fn section_8_1_text_must_be_utf8() {
        assert_eq!(violation(&frame(0x81, &[0xc3])), NOT_UTF8);
        assert_eq!(violation(&[frame(0x01, b"a"), frame(0x80, &[0xff])].concat()), NOT_UTF8);
        let split = [frame(0x01, &[0xe2, 0x9c]), frame(0x80, &[0x93])].concat();
        assert_eq!(all(&split), [text("✓".as_bytes())]);
        assert_eq!(all(&frame(0x82, &[0xff])), [binary(&[0xff])]);
    }

    #[test]
    fn a_large_message_fails_at_its_header() {
        assert_eq!(all(&frame(0x82, &[1; MAX])), [binary(&[1; MAX])]);
        assert_eq!(violation(&[0x82, 0xfe, 0x03, 0xe9, 1, 2, 3, 4]), TOO_BIG);
        let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(violation(&huge), TOO_BIG);
        let sum = [frame(0x02, &[1; 600]), frame(0x80, &[1; 400])].concat();
        assert_eq!(all(&sum), [binary(&[1; MAX])]);
        assert_eq!(violation(&[frame(0x02, &[1; 600]), frame(0x80, &[1; 401])].concat()), TOO_BIG);
    }

    #[test]
    fn a_flood_of_empty_fragments_ends() {
        let mut decoder = Decoder::default();
        feed(&mut decoder, &frame(0x02, b""), &[usize::MAX]);
        let empty = frame(0x00, b"");
        let allowed = (2 * MAX + (64 << 10)) / empty.len();
        for _ in 0..allowed {
            assert_eq!(feed(&mut decoder, &empty, &[usize::MAX]), []);
        }
        let end = feed(&mut decoder, &empty, &[usize::MAX]);
        assert!(matches!(end[..], [Event::Violation { code: TOO_BIG, .. }]));
    }

    #[test]
    fn pings_without_end_are_no_flood_of_fragments() {
        let mut decoder = Decoder::default();
        feed(&mut decoder, &frame(0x02, b"a"), &[usize::MAX]);
        for _ in 0..20_000 {
            assert_eq!(feed(&mut decoder, &frame(0x8a, b""), &[usize::MAX]), [Event::Pong]);
        }
        assert_eq!(feed(&mut decoder, &frame(0x80, b"b"), &[usize::MAX]), [binary(b"ab")]);
    }

    #[test]
    fn what_a_header_announces_is_not_reserved() {
        let mut decoder = Decoder::default();
        let stream = frame(0x82, &[1; 900]);
        feed(&mut decoder, &stream[..8 + 10], &[usize::MAX]);
        assert_eq!(decoder.partial.as_ref().unwrap().message.capacity(), 10);
        for byte in &stream[18..] {
            feed(&mut decoder, &[*byte], &[1]);
            if let Some(partial) = &decoder.partial {
                assert!(partial.message.capacity() <= MAX.min(2 * partial.message.len()));
            }
        }
        assert!(decoder.partial.is_none());
    }

    #[test]
    fn unmasking_by_words_equals_unmasking_by_bytes() {
        for len in 0..40 {
            let mask = [1, 2, 4, 8];
            let mut bytes: Vec<u8> = (0..len).collect();
            let expected: Vec<u8> =
                bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            unmask(&mut bytes, mask);
            assert_eq!(bytes, expected);
        }
    }

    /// A valid stream: messages in fragments with control frames between, and what it says.
    fn streams() -> impl Strategy<Value = (Vec<u8>, Vec<Owned>)> {
        let part = (0..130_usize, prop::option::of((any::<bool>(), 0..=125_usize)));
        let message = (any::<bool>(), prop::collection::vec(part, 1..4));
        prop::collection::vec(message, 1..8).prop_map(|messages| {
            let (mut stream, mut events, mut next) = (Vec::new(), Vec::new(), 0_u8);
            for (is_text, parts) in messages {
                let mut data = Vec::new();
                for (at, (len, control)) in parts.iter().enumerate() {
                    let payload: Vec<u8> = (0..*len)
                        .map(|_| {
                            next = next.wrapping_add(1);
                            if is_text { next & 0x7f } else { next }
                        })
                        .collect();
                    let opcode = if at == 0 { if is_text { 1 } else { 2 } } else { 0 };
                    let fin = if at + 1 == parts.len() { 0x80 } else { 0 };
                    stream.extend(frame(fin | opcode, &payload));
                    data.extend(payload);
                    if fin != 0 {
                        events.push(if is_text { text(&data) } else { binary(&data) });
                    }
                    if let Some((ping, len)) = control {
                        stream.extend(frame(if *ping { 0x89 } else { 0x8a }, &vec![5; *len]));
                        events.push(if *ping {
                            Event::Ping(Cow::Owned(vec![5; *len]))
                        } else {
                            Event::Pong
                        });
                    }
                }
            }
            (stream, events)
        })
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(
            (stream, expected) in streams(),
            sizes in prop::collection::vec(1..200_usize, 1..50),
        ) {
            let mut decoder = Decoder::default();
            prop_assert_eq!(feed(&mut decoder, &stream, &sizes), expected);
            prop_assert!(decoder.partial.is_none());
        }

        #[test]
        fn garbage_never_panics(stream in prop::collection::vec(any::<u8>(), 0..300), size in 1..40_usize) {
            let whole = all(&stream);
            prop_assert_eq!(feed(&mut Decoder::default(), &stream, &[size]), whole);
        }
    }
}
