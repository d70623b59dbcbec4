//! The client's side of a WebSocket (RFC 6455): the handshake, masked frames out, frames in.
//!
//! Deliberately absent: fragmented messages and extensions. No relay that this tool is for sends
//! them, and one that does is told apart by a [`Violation`].

/// The handshake's nonce. It only has to differ from what a cache would answer, so one will do.
const KEY: &str = "bWFkYW5nLWxvYWQtdG9vbA==";
/// What [`KEY`] has to be answered with (RFC 6455 section 4.2.2).
const ACCEPT: &str = "T3phyiqMw8CI4QXfYr2mq8vBZtc=";
/// The longest answer to a handshake in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest frame payload that is taken from a server, in bytes.
const PAYLOAD_BYTES_MAX: u64 = 16 << 20;

/// What marks a masked frame in the byte of its length.
const MASKED: u8 = 0x80;

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The server's bytes are not what RFC 6455 allows, or not what this client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) &'static str);

/// The handshake's request.
pub(crate) fn request(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    if let Some(name) = subprotocol {
        text.push_str("Sec-WebSocket-Protocol: ");
        text.push_str(name);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The server's answer to a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Accepted; the head took so many bytes.
    Accepted(usize),
    /// Refused with this status.
    Refused(u16),
}

/// Reads the answer to a handshake. `None` while it is incomplete.
pub(crate) fn answer(bytes: &[u8]) -> Result<Option<Answer>, Violation> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX {
            Err(Violation("the answer to the handshake is too long"))
        } else {
            Ok(None)
        };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else {
        return Err(Violation("the answer to the handshake is not text"));
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
    match status {
        Some(101) => {}
        Some(status) => return Ok(Some(Answer::Refused(status))),
        None => return Err(Violation("the answer to the handshake has no status")),
    }
    let accepted = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
    });
    if accepted {
        Ok(Some(Answer::Accepted(end + 4)))
    } else {
        Err(Violation("the handshake was accepted with a wrong Sec-WebSocket-Accept"))
    }
}

/// When to try again, in seconds, as the head of a refusal says it (RFC 9110 section 10.2.3); a date is
/// not understood.
pub(crate) fn retry_after_s(head: &[u8]) -> Option<u32> {
    let head = std::str::from_utf8(head).ok()?;
    let (head, _) = head.split_once("\r\n\r\n")?;
    let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    value.trim().parse().ok()
}

/// Appends a final frame, masked as a client's has to be (section 5.3).
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    put_header(out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

/// Appends the header of a final frame as a server sends it; its payload is to follow.
pub(crate) fn put_server_header(out: &mut Vec<u8>, opcode: u8, payload_bytes: usize) {
    put_header(out, opcode, payload_bytes, 0);
}

fn put_header(out: &mut Vec<u8>, opcode: u8, payload_bytes: usize, masked: u8) {
    out.push(0x80 | opcode);
    match payload_bytes {
        n @ 0..=125 => out.push(masked | n as u8),
        n @ 126..=0xffff => {
            out.push(masked | 0x7e);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(masked | 0x7f);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
}

/// Calls `tell` with the opcode and the payload of each of some frames that [`put_frame`] has written.
pub(crate) fn each_own_frame(mut frames: &[u8], mut tell: impl FnMut(u8, Vec<u8>)) {
    while let [first, second, rest @ ..] = frames {
        let (len, rest) = match (second & !MASKED, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, rest) => match rest.split_first_chunk::<8>() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes) as usize, rest),
                None => return,
            },
            (n, rest) => (usize::from(n), rest),
        };
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return };
        let Some((payload, rest)) = rest.split_at_checked(len) else { return };
        let mut payload = payload.to_vec();
        apply_mask(&mut payload, *mask);
        tell(first & 0x0f, payload);
        frames = rest;
    }
}

fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let mask_word = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        if let Ok(bytes) = <&mut [u8; 4]>::try_from(word) {
            *bytes = (u32::from_ne_bytes(*bytes) ^ mask_word).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// A frame from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes of the frame, header included.
    pub(crate) bytes: usize,
}

impl Frame<'_> {
    /// Text or binary.
    pub(crate) fn is_data(&self) -> bool {
        self.opcode < CLOSE
    }

    /// The code of a Close frame; 1005 stands for none (section 7.1.5).
    pub(crate) fn close_code(&self) -> u16 {
        match self.payload {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1005,
        }
    }
}

/// Reads a frame off the front of `input`. `None` while it is incomplete.
#[inline]
pub(crate) fn next_frame(input: &[u8]) -> Result<Option<Frame<'_>>, Violation> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    let opcode = first & 0x0f;
    if first & 0x80 == 0 || opcode == 0 {
        return Err(Violation("a fragmented message, which this client does not take"));
    }
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(Violation("a reserved bit or a mask in a server's frame"));
    }
    let (len, header) = match second {
        126 => match rest {
            [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 10),
            None => return Ok(None),
        },
        n => (u64::from(*n), 2),
    };
    if len > PAYLOAD_BYTES_MAX {
        return Err(Violation("a frame larger than this client takes"));
    }
    let bytes = header + len as usize;
    let payload = input.get(header..bytes);
    Ok(payload.map(|payload| Frame { opcode, payload, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_checked() {
        let accepted = format!("HTTP/1.1 101 Go\r\nSEC-WebSocket-Accept: {ACCEPT}\r\n\r\nrest");
        assert_eq!(answer(accepted.as_bytes()), Ok(Some(Answer::Accepted(accepted.len() - 4))));
        for cut in 0..accepted.len() - 4 {
            assert_eq!(answer(&accepted.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        assert!(answer(b"HTTP/1.1 101 Go\r\nSec-WebSocket-Accept: x\r\n\r\n").is_err());
        assert_eq!(answer(b"HTTP/1.1 503 Full\r\n\r\n"), Ok(Some(Answer::Refused(503))));
        assert!(answer(&vec![b'x'; HEAD_BYTES_MAX + 1]).is_err());
        let busy = b"HTTP/1.1 503 Full\r\nretry-after: 7\r\n\r\nRetry-After: 9";
        assert_eq!(
            (retry_after_s(busy), retry_after_s(b"HTTP/1.1 503 Full\r\n\r\n")),
            (Some(7), None)
        );
    }

    /// The example of RFC 6455 section 5.7: a masked "Hello".
    #[test]
    fn frames_are_masked() {
        let mut out = Vec::new();
        put_frame(&mut out, TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn frames_of_every_length_are_read_when_they_are_whole() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let mut out = Vec::new();
            put_frame(&mut out, BINARY, &vec![7; len], [0; 4]);
            // A server's frame has no mask.
            out[1] &= 0x7f;
            let mask_at = out.len() - len - 4;
            out.drain(mask_at..mask_at + 4);
            for cut in [0, 1, 2, out.len().saturating_sub(1)] {
                let cut = cut.min(out.len() - 1);
                assert_eq!(next_frame(&out[..cut]), Ok(None), "{len} {cut}");
            }
            let mut server = Vec::new();
            put_server_header(&mut server, BINARY, len);
            assert_eq!(server, out[..mask_at], "{len}");
            let bytes = out.len();
            out.push(1);
            let frame = next_frame(&out).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload.len(), frame.bytes), (BINARY, len, bytes));
        }
    }

    #[test]
    fn own_frames_are_taken_apart_again() {
        let (mut out, mut came) = (Vec::new(), Vec::new());
        let sizes = [0, 1, 125, 126, 65_535, 65_536];
        for len in sizes {
            put_frame(&mut out, BINARY, &vec![7; len], [1, 2, 3, 4]);
        }
        put_frame(&mut out, CLOSE, &[3, 232], [9; 4]);
        each_own_frame(&out, |opcode, payload| came.push((opcode, payload)));
        let mut put: Vec<_> = sizes.iter().map(|len| (BINARY, vec![7; *len])).collect();
        put.push((CLOSE, vec![3, 232]));
        assert_eq!(came, put);
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        assert!(next_frame(&[0x01, 0]).is_err(), "a fragment");
        assert!(next_frame(&[0x80, 0]).is_err(), "a continuation");
        assert!(next_frame(&[0x82, 0x80, 0, 0, 0, 0]).is_err(), "a mask");
        assert!(next_frame(&[0xc2, 0]).is_err(), "a reserved bit");
        assert!(next_frame(&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0]).is_err(), "too large");
    }

    #[test]
    fn a_close_code_is_read() {
        let frame = next_frame(&[0x88, 2, 0x0f, 0xa8]).unwrap().unwrap();
        assert_eq!(frame.close_code(), 4008);
        assert_eq!(next_frame(&[0x88, 0]).unwrap().unwrap().close_code(), 1005);
    }
}
