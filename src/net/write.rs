//! WebSocket frames to a client: what one write call carries, and what is left of it.
//!
//! Frames are copied into one scratch buffer that all connections of a reactor share, behind what other
//! connections of the same group put there; a batch's header is written in front of it once its length is known. Only a socket that takes less than
//! it was given leaves something behind, in a box that exists until it is written.

use super::Framing;
use super::ws::CONTROL_BYTES_MAX;
use madang_engine::frame::{Frame, FrameKind};
use std::borrow::Cow;
use std::ops::{Deref, Range};

/// Frames of this size or more are not copied but shared with the write call; one ends a fill.
pub const SHARE_BYTES_MIN: usize = 16 << 10;
/// The longest header of a server's frame: room that the scratch buffer keeps in front.
const GAP: usize = 10;

const BINARY: u8 = 0x2;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// What one write call of a WebSocket connection will carry. Given to [`super::Driver::fill`].
#[derive(Debug)]
pub struct Outbound<'a> {
    scratch: &'a mut Vec<u8>,
    /// Where the payload of a batch begins in the scratch buffer; the gap for its header is before.
    base: usize,
    framing: Framing,
    room: usize,
    batch_bytes_max: usize,
    batch: Batch,
    /// Pings that wait for the end of the batch; one says as much as many.
    ping: bool,
    /// The shared frame behind the scratch bytes.
    shared: Option<Frame>,
    full: bool,
    frames: u64,
}

/// The batch that a fill begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    /// Nothing was pushed yet.
    None,
    /// Everything from the base on is its payload.
    Open,
    /// Its header is written, and it begins here; or there is none, and other frames do.
    Done(usize),
}

/// What a fill gave: some of the scratch buffer's bytes, and a frame behind them.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) bytes: Range<usize>,
    pub(super) shared: Option<Frame>,
    pub(super) frames: u64,
}

impl Filled {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.shared.is_none()
    }
}

impl<'a> Outbound<'a> {
    /// An empty fill of at most `room` bytes behind what is in `scratch`.
    pub(super) fn new(
        scratch: &'a mut Vec<u8>,
        framing: Framing,
        room: usize,
        batch_bytes_max: usize,
    ) -> Self {
        scratch.extend_from_slice(&[0; GAP]);
        Self {
            base: scratch.len(),
            scratch,
            framing,
            room,
            batch_bytes_max,
            batch: Batch::None,
            ping: false,
            shared: None,
            full: false,
            frames: 0,
        }
    }

    /// Whether it is part of an HTTP body: what is pushed is written as it is.
    pub fn is_stream(&self) -> bool {
        self.framing == Framing::Stream
    }

    /// Whether the fill is over: push nothing more. False before the first push.
    pub fn is_full(&self) -> bool {
        self.full || self.room() == 0
    }

    /// Payload bytes that still fit, by estimate. A frame that is larger can be pushed all the
    /// same; it ends the fill.
    pub fn room(&self) -> usize {
        let used = self.scratch.len() - self.base;
        if self.full {
            return 0;
        }
        let room = self.room.saturating_sub(used);
        match self.batch {
            Batch::Open => room.min(self.batch_bytes_max.saturating_sub(used)),
            Batch::None | Batch::Done(_) => room,
        }
    }

    /// Adds a frame. With [`Framing::Stream`] it is written as it is and pings must not be pushed.
    /// With [`Framing::Batched`], frames of [`FrameKind::Batch`] are joined in one
    /// binary message; everything else is a message of its own, in the order of the calls except
    /// for pings.
    pub fn push(&mut self, frame: Frame, kind: FrameKind) {
        self.frames += 1;
        if kind == FrameKind::Ping {
            // A batch is contiguous, so that a ping waits for its end.
            self.ping = true;
            return;
        }
        self.settle();
        if self.framing == Framing::Stream {
            self.end_batch();
            self.put(frame);
            return;
        }
        match kind {
            FrameKind::Batch if self.framing == Framing::Batched => self.push_batched(frame),
            FrameKind::Text => self.push_whole(frame, TEXT),
            _ => self.push_whole(frame, BINARY),
        }
    }

    fn push_batched(&mut self, frame: Frame) {
        let joined = match self.batch {
            Batch::None => frame.len() < SHARE_BYTES_MIN,
            Batch::Open => {
                let batch_bytes = self.scratch.len() - self.base;
                frame.len() < SHARE_BYTES_MIN && batch_bytes + frame.len() <= self.batch_bytes_max
            }
            // One batch a fill: its header has its place only at the start.
            Batch::Done(_) => false,
        };
        if joined {
            self.batch = Batch::Open;
            self.scratch.extend_from_slice(&frame);
        } else {
            self.push_whole(frame, BINARY);
            self.full = true;
        }
    }

    fn push_whole(&mut self, frame: Frame, opcode: u8) {
        self.end_batch();
        put_header(self.scratch, opcode, frame.len());
        self.put(frame);
        // A batch's end has been written: what followed could not be batched.
        self.full |= self.framing == Framing::Batched;
    }

    /// A frame's bytes, copied or shared.
    fn put(&mut self, frame: Frame) {
        if frame.len() >= SHARE_BYTES_MIN {
            self.shared = Some(frame);
            self.full = true;
        } else {
            self.scratch.extend_from_slice(&frame);
        }
    }

    /// Copies a shared frame after all, for a caller that pushes into a full fill.
    fn settle(&mut self) {
        if let Some(frame) = self.shared.take() {
            self.scratch.extend_from_slice(&frame);
        }
    }

    /// Writes the batch's header, right-aligned in the gap, and the pings that waited.
    fn end_batch(&mut self) {
        match self.batch {
            Batch::Open => {
                let (header, len) = header(BINARY, self.scratch.len() - self.base);
                let start = self.base - len;
                self.scratch[start..self.base].copy_from_slice(&header[..len]);
                self.batch = Batch::Done(start);
            }
            Batch::None => self.batch = Batch::Done(self.base),
            Batch::Done(_) => {}
        }
        if std::mem::take(&mut self.ping) {
            put_header(self.scratch, PING, 0);
        }
    }

    pub(super) fn finish(mut self) -> Filled {
        if self.ping {
            self.settle();
        }
        self.end_batch();
        let Batch::Done(start) = self.batch else { unreachable!("the batch has just been ended") };
        let bytes = start..self.scratch.len();
        Filled { bytes, shared: self.shared, frames: self.frames }
    }
}

/// Most bytes of answers to pings that wait.
const PONGS_BYTES_MAX: usize = 4 << 10;

/// What waits for a socket: the rest of a write call, answers, control frames.
///
/// Bounded: `bytes` by [`super::NetConfig::fill_bytes_max`] and one frame that is too small to be
/// shared, or by an HTTP head; `shared` is one frame or body; `pongs` by [`PONGS_BYTES_MAX`], and
/// `close` is a control frame.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// First these,
    bytes: Vec<u8>,
    /// then this from its offset.
    shared: Option<(Shared, usize)>,
    /// The answers to pings, put behind `bytes` when it is their turn.
    pongs: Vec<u8>,
    /// The Close frame, put behind everything when it is its turn.
    close: Option<Box<[u8]>>,
}

/// Bytes that are written where they are.
#[derive(Debug)]
pub(super) enum Shared {
    /// A frame that others may hold too.
    Frame(Frame),
    /// The body of an HTTP answer.
    Body(Cow<'static, [u8]>),
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Shared::Frame(frame) => frame,
            Shared::Body(body) => body,
        }
    }
}

impl Tail {
    /// Adds bytes. Only while no shared bytes wait.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        debug_assert!(self.shared.is_none(), "bytes would overtake the shared ones");
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds an answer's body, without copying it unless it is small.
    pub(super) fn put_body(&mut self, body: Cow<'static, [u8]>) {
        if body.len() < SHARE_BYTES_MIN {
            self.put(&body);
        } else {
            debug_assert!(self.shared.is_none(), "one body at a time");
            self.shared = Some((Shared::Body(body), 0));
        }
    }

    /// Answers a ping. Where too many answers wait, instead of all of them (RFC 6455 section 5.5.3).
    pub(super) fn add_pong(&mut self, payload: &[u8]) {
        let pong = control(PONG, payload);
        if self.pongs.len() + pong.len() > PONGS_BYTES_MAX {
            self.pongs.clear();
        }
        self.pongs.extend_from_slice(&pong);
    }

    pub(super) fn has_pong(&self) -> bool {
        !self.pongs.is_empty()
    }

    /// Ends the connection with a Close frame; without a code if there is none.
    pub(super) fn set_close(&mut self, code: Option<u16>, reason: &str) {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend(code.to_be_bytes());
            let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            payload.extend(&reason.as_bytes()[..end]);
        }
        self.close = Some(control(CLOSE, &payload));
    }

    /// Ends a stream with these bytes, in place of a Close frame.
    pub(super) fn set_last(&mut self, last: Vec<u8>) {
        self.close = Some(last.into_boxed_slice());
    }

    /// Moves the control frames behind the bytes, if they can be written now.
    pub(super) fn load_controls(&mut self) {
        if self.shared.is_some() {
            return;
        }
        self.bytes.append(&mut self.pongs);
        if let Some(close) = self.close.take() {
            self.bytes.extend_from_slice(&close);
        }
    }

    /// How much of a fill of `fill_bytes_max` is left for new frames.
    pub(super) fn room(&self, fill_bytes_max: usize) -> usize {
        if self.shared.is_some() { 0 } else { fill_bytes_max.saturating_sub(self.bytes.len()) }
    }

    /// The bytes to write first.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes to write behind them.
    pub(super) fn shared(&self) -> &[u8] {
        self.shared.as_ref().map_or(&[], |(shared, at)| &shared[*at..])
    }

    /// Whether no bytes can be written now.
    pub(super) fn has_no_bytes(&self) -> bool {
        self.bytes.is_empty() && self.shared.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.has_no_bytes() && self.pongs.is_empty() && self.close.is_none()
    }

    /// Takes account of `written` bytes of a write call that was given [`Self::bytes`], `scratch`,
    /// [`Self::shared`] and `frame`, and keeps the rest. `scratch` and `frame` are only allowed
    /// while nothing is shared.
    pub(super) fn advance(&mut self, mut written: usize, scratch: &[u8], frame: Option<Frame>) {
        debug_assert!(self.shared.is_none() || (scratch.is_empty() && frame.is_none()));
        let n = written.min(self.bytes.len());
        self.bytes.drain(..n);
        written -= n;
        let n = written.min(scratch.len());
        self.bytes.extend_from_slice(&scratch[n..]);
        written -= n;
        let shared = match frame {
            Some(frame) => Some((Shared::Frame(frame), 0)),
            None => self.shared.take(),
        };
        self.shared = shared
            .map(|(shared, at)| (shared, at + written))
            .filter(|(shared, at)| *at < shared.len());
    }
}

/// The header of an unmasked, final frame, and its length.
fn header(opcode: u8, payload_bytes: usize) -> ([u8; GAP], usize) {
    let mut out = [0; GAP];
    out[0] = 0x80 | opcode;
    match payload_bytes {
        n @ 0..=125 => {
            out[1] = n as u8;
            (out, 2)
        }
        n @ 126..=0xffff => {
            out[1] = 126;
            out[2..4].copy_from_slice(&(n as u16).to_be_bytes());
            (out, 4)
        }
        n => {
            out[1] = 127;
            out[2..10].copy_from_slice(&(n as u64).to_be_bytes());
            (out, 10)
        }
    }
}

fn put_header(out: &mut Vec<u8>, opcode: u8, payload_bytes: usize) {
    if payload_bytes <= CONTROL_BYTES_MAX {
        return out.extend_from_slice(&[0x80 | opcode, payload_bytes as u8]);
    }
    let (header, len) = header(opcode, payload_bytes);
    out.extend_from_slice(&header[..len]);
}

fn control(opcode: u8, payload: &[u8]) -> Box<[u8]> {
    debug_assert!(payload.len() <= CONTROL_BYTES_MAX);
    let mut out = Vec::with_capacity(2 + payload.len());
    put_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The WebSocket frames in `bytes`: first byte and payload.
    fn parse(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while let [first, second, rest @ ..] = bytes {
            let (len, rest) = match second {
                126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
                127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
                n => (usize::from(*n), rest),
            };
            frames.push((*first, rest[..len].to_vec()));
            bytes = &rest[len..];
        }
        assert!(bytes.is_empty());
        frames
    }

    fn fill(
        framing: Framing,
        room: usize,
        batch_bytes_max: usize,
        push: impl FnOnce(&mut Outbound<'_>),
    ) -> Vec<u8> {
        // Another connection of the group is before this one.
        let mut scratch = vec![7; 100];
        let mut out = Outbound::new(&mut scratch, framing, room, batch_bytes_max);
        push(&mut out);
        let filled = out.finish();
        assert_eq!(scratch[..100], [7; 100]);
        let shared = filled.shared.as_deref().unwrap_or_default();
        [&scratch[filled.bytes], shared].concat()
    }

    fn of(len: usize) -> Frame {
        Frame::new(&vec![len as u8; len])
    }

    #[test]
    fn batched_frames_share_one_message_of_any_length() {
        for len in [1, 30, 31, 100, 5000, 16_000] {
            let bytes = fill(Framing::Batched, 1 << 20, 1 << 20, |out| {
                for _ in 0..4 {
                    out.push(of(len), FrameKind::Batch);
                }
                assert!(!out.is_full());
            });
            assert_eq!(parse(&bytes), [(0x82, vec![len as u8; 4 * len])]);
        }
    }

    #[test]
    fn a_batch_ends_at_its_bound_and_the_frame_over_it_goes_alone() {
        let bytes = fill(Framing::Batched, 1000, 100, |out| {
            assert_eq!(out.room(), 1000);
            out.push(of(60), FrameKind::Batch);
            assert_eq!(out.room(), 40);
            out.push(of(60), FrameKind::Batch);
            assert!(out.is_full());
        });
        assert_eq!(parse(&bytes), [(0x82, vec![60; 60]), (0x82, vec![60; 60])]);
        let bytes = fill(Framing::Batched, 1000, 100, |out| out.push(of(200), FrameKind::Batch));
        assert_eq!(parse(&bytes), [(0x82, vec![200; 200])]);
    }

    #[test]
    fn control_frames_stand_behind_the_batch() {
        let bytes = fill(Framing::Batched, 1000, 1000, |out| {
            out.push(of(0), FrameKind::Ping);
            out.push(of(3), FrameKind::Batch);
            out.push(of(0), FrameKind::Ping);
            out.push(of(4), FrameKind::Batch);
        });
        assert_eq!(parse(&bytes), [(0x82, vec![3, 3, 3, 4, 4, 4, 4]), (0x89, vec![])]);
        let bytes = fill(Framing::Whole, 1000, 1000, |out| out.push(of(0), FrameKind::Ping));
        assert_eq!(parse(&bytes), [(0x89, vec![])]);
    }

    #[test]
    fn whole_frames_keep_their_kinds_and_their_order() {
        let bytes = fill(Framing::Whole, 1000, 1000, |out| {
            out.push(of(1), FrameKind::Text);
            out.push(of(2), FrameKind::Binary);
            out.push(of(130), FrameKind::Batch);
            assert!(!out.is_full());
        });
        let expected = [(0x81, vec![1]), (0x82, vec![2; 2]), (0x82, vec![130; 130])];
        assert_eq!(parse(&bytes), expected);
    }

    #[test]
    fn kinds_mixed_on_a_batched_connection_keep_their_order() {
        let bytes = fill(Framing::Batched, 1000, 1000, |out| {
            out.push(of(1), FrameKind::Batch);
            out.push(of(2), FrameKind::Text);
            out.push(of(3), FrameKind::Batch);
            out.push(of(4), FrameKind::Batch);
        });
        let expected =
            [(0x82, vec![1]), (0x81, vec![2; 2]), (0x82, vec![3; 3]), (0x82, vec![4; 4])];
        assert_eq!(parse(&bytes), expected);
    }

    #[test]
    fn a_large_frame_is_shared_and_ends_the_fill() {
        let large = of(SHARE_BYTES_MIN);
        for framing in [Framing::Batched, Framing::Whole] {
            let mut scratch = Vec::new();
            let mut out = Outbound::new(&mut scratch, framing, 1 << 20, 1 << 20);
            out.push(of(5), FrameKind::Batch);
            out.push(large.clone(), FrameKind::Batch);
            assert!(out.is_full());
            let filled = out.finish();
            let shared = filled.shared.unwrap();
            assert!(std::ptr::eq(shared.as_ptr(), large.as_ptr()));
            let bytes = [&scratch[filled.bytes], &shared[..]].concat();
            assert_eq!(parse(&bytes), [(0x82, vec![5; 5]), (0x82, large.to_vec())]);
        }
    }

    #[test]
    fn pushing_into_a_full_fill_loses_nothing() {
        for framing in [Framing::Batched, Framing::Whole] {
            let bytes = fill(framing, 10, 10, |out| {
                out.push(of(SHARE_BYTES_MIN), FrameKind::Batch);
                out.push(of(7), FrameKind::Batch);
                out.push(of(0), FrameKind::Ping);
                out.push(of(SHARE_BYTES_MIN), FrameKind::Batch);
                out.push(of(0), FrameKind::Ping);
            });
            let data: Vec<usize> = parse(&bytes)
                .iter()
                .filter(|(first, _)| *first == 0x82)
                .map(|(_, payload)| payload.len())
                .collect();
            assert_eq!(data, [SHARE_BYTES_MIN, 7, SHARE_BYTES_MIN]);
        }
    }

    #[test]
    fn a_stream_has_no_headers() {
        let bytes = fill(Framing::Stream, 1000, 10, |out| {
            out.push(of(3), FrameKind::Text);
            assert!(!out.is_full());
            out.push(of(200), FrameKind::Text);
            out.push(of(SHARE_BYTES_MIN), FrameKind::Text);
            assert!(out.is_full());
        });
        let expected = [of(3).to_vec(), of(200).to_vec(), of(SHARE_BYTES_MIN).to_vec()].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_room_bounds_a_fill_and_nothing_pushed_is_nothing_written() {
        assert!(fill(Framing::Batched, 100, 100, |out| assert!(!out.is_full())).is_empty());
        let bytes = fill(Framing::Whole, 100, 100, |out| {
            while !out.is_full() {
                out.push(of(30), FrameKind::Binary);
            }
        });
        assert_eq!(parse(&bytes).len(), 4);
    }

    /// However the socket cuts the writes, the bytes come out once and in order.
    #[test]
    fn short_writes_keep_the_rest() {
        let scratch: Vec<u8> = (100..140).collect();
        let frame = Frame::new(&(140..200).collect::<Vec<u8>>());
        for step in 1..50 {
            let mut tail = Tail::default();
            tail.put(&(0..100).collect::<Vec<u8>>());
            let mut out: Vec<u8> = Vec::new();
            let mut first = true;
            while first || !tail.is_empty() {
                let scratch = if first { &scratch[..] } else { &[] };
                let frame = first.then(|| frame.clone());
                let behind = frame.as_deref().unwrap_or(tail.shared()).to_vec();
                let all = [tail.bytes(), scratch, &behind].concat();
                let n = all.len().min(step);
                out.extend(&all[..n]);
                tail.advance(n, scratch, frame);
                first = false;
            }
            assert_eq!(out, (0..200).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn control_frames_wait_until_a_shared_frame_is_written() {
        let mut tail = Tail::default();
        tail.advance(0, b"head", Some(Frame::new(b"frame")));
        tail.add_pong(b"old");
        tail.add_pong(b"new");
        tail.set_close(Some(1000), "bye");
        tail.load_controls();
        assert_eq!((tail.bytes(), tail.shared()), (&b"head"[..], &b"frame"[..]));
        assert_eq!(tail.room(100), 0);
        tail.advance(9, &[], None);
        tail.load_controls();
        let pong = |payload: &[u8]| (0x8a, payload.to_vec());
        let close = (0x88, b"\x03\xe8bye".to_vec());
        assert_eq!(parse(tail.bytes()), [pong(b"old"), pong(b"new"), close]);
    }

    #[test]
    fn answers_to_pings_are_bounded_and_the_newest_is_among_them() {
        let mut tail = Tail::default();
        for number in 0..1000_u32 {
            tail.add_pong(&number.to_be_bytes());
            assert!(tail.pongs.len() <= PONGS_BYTES_MAX);
        }
        tail.load_controls();
        let newest = (0x8a, 999_u32.to_be_bytes().to_vec());
        assert_eq!(parse(tail.bytes()).last(), Some(&newest));
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let mut tail = Tail::default();
        tail.set_close(Some(4000), &"é".repeat(100));
        tail.load_controls();
        let frames = parse(tail.bytes());
        assert_eq!(frames[0].1.len(), 2 + 122);
        assert!(std::str::from_utf8(&frames[0].1[2..]).is_ok());
        let mut tail = Tail::default();
        tail.set_close(None, "ignored");
        tail.load_controls();
        assert_eq!(tail.bytes(), [0x88, 0]);
    }
}
