//! The text of Server-Sent Events (WHATWG HTML, section 9.2), read where it lies: nothing is copied
//! and nothing allocated for an event, because a run has hundreds of thousands in a second.
//!
//! Deliberately absent: CR and CRLF line ends outside the head, which Madang never sends.

use crate::websocket::Violation;
use std::io::BufRead as _;

/// The longest head of an answer in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest event that is taken, in bytes.
pub(super) const EVENT_BYTES_MAX: usize = 16 << 20;
/// Digits of an epoch.
const EPOCH_DIGITS: usize = 16;

/// The answer to the request for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A stream; the head took so many bytes, and what follows is in chunks or not.
    Stream(usize, bool),
    /// Something else, with this status.
    Refused(u16),
}

/// What an event is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Resume,
    Snapshot,
    Delta,
    Message,
    Presence,
    Gap,
    End,
    /// What a backend called it.
    Other,
}

/// What the names are in reports, by the number of the variant.
pub(super) const NAMES: [&str; 8] =
    ["resume", "snapshot", "delta", "message", "presence", "gap", "end", "other"];

/// The id of an event: epoch and seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

/// What stands before an empty line. Without data it is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) id: Option<Id>,
    pub(super) name: Name,
    /// The first line of the data.
    pub(super) data: Option<&'a [u8]>,
    /// How long to wait before coming back.
    pub(super) retry_ms: Option<u32>,
    /// All of it, the empty line included.
    pub(super) text: &'a [u8],
}

/// Reads the head of an answer. `None` while it is incomplete.
pub(super) fn answer(input: &[u8]) -> Result<Option<Answer>, Violation> {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if input.len() > HEAD_BYTES_MAX {
            Err(Violation("the head of the answer is too long"))
        } else {
            Ok(None)
        };
    };
    let head = std::str::from_utf8(&input[..end])
        .map_err(|_| Violation("the head of the answer is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
    match status {
        Some(200) => {}
        Some(status) => return Ok(Some(Answer::Refused(status))),
        None => return Err(Violation("the answer has no status")),
    }
    let (mut is_stream, mut is_chunked) = (false, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.trim().eq_ignore_ascii_case("chunked") {
                return Err(Violation("the stream has a transfer encoding other than chunked"));
            }
            is_chunked = true;
        }
        is_stream |= name.eq_ignore_ascii_case("content-type")
            && value.trim().starts_with("text/event-stream");
    }
    if is_stream {
        Ok(Some(Answer::Stream(end + 4, is_chunked)))
    } else {
        Err(Violation("the answer is no event stream"))
    }
}

/// Reads what stands before the first empty line. `None` while that is incomplete.
pub(super) fn next_block(input: &[u8]) -> Result<Option<Block<'_>>, Violation> {
    let mut block = Block { id: None, name: Name::Other, data: None, retry_ms: None, text: &[] };
    let mut rest = input;
    loop {
        let line_from = rest;
        // The standard library's search for a byte, which looks at many at a time.
        let length = rest.skip_until(b'\n').unwrap_or_default();
        let Some((b'\n', line)) = line_from[..length].split_last() else {
            return if input.len() > EVENT_BYTES_MAX {
                Err(Violation("an event larger than this reader takes"))
            } else {
                Ok(None)
            };
        };
        if line.is_empty() {
            block.text = &input[..input.len() - rest.len()];
            return Ok(Some(block));
        }
        if let Some(value) = line.strip_prefix(b"data: ") {
            block.data.get_or_insert(value);
        } else if let Some(value) = line.strip_prefix(b"id: ") {
            block.id = Some(id(value).ok_or(Violation("an id that is not EPOCH-SEQ"))?);
        } else if let Some(value) = line.strip_prefix(b"event: ") {
            block.name = name(value);
        } else if let Some(value) = line.strip_prefix(b"retry: ") {
            let ms = number(value).and_then(|ms| u32::try_from(ms).ok());
            block.retry_ms = Some(ms.ok_or(Violation("a time to retry that is no number"))?);
        } else if line[0] != b':' {
            return Err(Violation("a line that is no field of an event"));
        }
    }
}

/// The number behind a name in a flat JSON object as Madang writes it, which has no spaces.
pub(super) fn field(data: &[u8], name: &str) -> Option<u64> {
    let value = value(data, name)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    number(&value[..digits])
}

/// The truth behind a name.
pub(super) fn is_true(data: &[u8], name: &str) -> bool {
    value(data, name).is_some_and(|value| value.starts_with(b"true"))
}

/// The epoch behind a name.
pub(super) fn epoch(data: &[u8], name: &str) -> Option<u64> {
    hex(value(data, name)?.strip_prefix(b"\"")?.get(..EPOCH_DIGITS)?)
}

/// The base64 of a message's payload, if that is bytes.
pub(super) fn payload(data: &[u8]) -> Option<&[u8]> {
    let value = value(data, "payload")?.strip_prefix(b"{\"bytes\":\"")?;
    let end = value.iter().position(|byte| *byte == b'"')?;
    Some(&value[..end])
}

/// What stands behind `"name":`.
fn value<'a>(data: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let bytes = name.len() + 3;
    let is_there = |window: &[u8]| {
        window[0] == b'"' && window.ends_with(b"\":") && &window[1..=name.len()] == name.as_bytes()
    };
    let at = data.windows(bytes).position(is_there)?;
    Some(&data[at + bytes..])
}

fn id(text: &[u8]) -> Option<Id> {
    let (epoch, rest) = text.split_at_checked(EPOCH_DIGITS)?;
    Some(Id { epoch: hex(epoch)?, seq: number(rest.strip_prefix(b"-")?)? })
}

fn name(text: &[u8]) -> Name {
    match text {
        b"resume" => Name::Resume,
        b"snapshot" => Name::Snapshot,
        b"delta" => Name::Delta,
        b"message" => Name::Message,
        b"presence" => Name::Presence,
        b"gap" => Name::Gap,
        b"end" => Name::End,
        _ => Name::Other,
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        Some(number << 4 | u64::from((*digit as char).to_digit(16)?))
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = u64::from((*digit as char).to_digit(10)?);
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"id: 00010203040506ff-7\nevent: message\ndata: {\"channel\":0,\"seq\":7,\
        \"type\":\"load\",\"payload\":{\"bytes\":\"AP8=\"}}\n\n";

    #[test]
    fn the_head_of_the_answer_is_checked() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-TYPE: text/event-stream\r\n\r\nretry: 1";
        assert_eq!(answer(head), Ok(Some(Answer::Stream(head.len() - 8, false))));
        for cut in 0..head.len() - 8 {
            assert_eq!(answer(&head[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(answer(b"HTTP/1.1 204 No\r\n\r\n"), Ok(Some(Answer::Refused(204))));
        assert!(answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n").is_err());
        let encoded = |how| {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
            format!("{head}Transfer-Encoding: {how}\r\n\r\n").into_bytes()
        };
        assert!(matches!(answer(&encoded("Chunked")), Ok(Some(Answer::Stream(_, true)))));
        assert!(answer(&encoded("gzip, chunked")).is_err());
        assert!(answer(&vec![b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn an_event_is_read_when_it_is_whole() {
        for cut in 0..MESSAGE.len() {
            assert_eq!(next_block(&MESSAGE[..cut]), Ok(None), "{cut}");
        }
        let mut input = MESSAGE.to_vec();
        input.extend_from_slice(b"id: ");
        let block = next_block(&input).unwrap().unwrap();
        assert_eq!(block.id, Some(Id { epoch: 0x0001_0203_0405_06ff, seq: 7 }));
        assert_eq!((block.name, block.text), (Name::Message, MESSAGE));
        let data = block.data.unwrap();
        assert_eq!((payload(data), field(data, "seq")), (Some(&b"AP8="[..]), Some(7)));
        assert_eq!(field(data, "absent"), None);
    }

    #[test]
    fn what_is_no_event_is_read_too() {
        let comment = next_block(b":\n\nid").unwrap().unwrap();
        assert_eq!((comment.data, comment.text), (None, &b":\n\n"[..]));
        let retry = next_block(b"retry: 1500\n\n").unwrap().unwrap();
        assert_eq!((retry.data, retry.retry_ms), (None, Some(1500)));
        let long = next_block(b"event: tick\ndata: 1\ndata: 2\n\n").unwrap().unwrap();
        assert_eq!((long.name, long.data, long.id), (Name::Other, Some(&b"1"[..]), None));
    }

    #[test]
    fn the_data_of_a_resume_is_read() {
        let data = b"{\"recovered\":true,\"epoch\":\"00000000000000ff\",\"from\":12}";
        assert!(is_true(data, "recovered") && !is_true(data, "state"));
        assert_eq!((epoch(data, "epoch"), field(data, "from")), (Some(255), Some(12)));
    }

    #[test]
    fn what_the_server_may_not_send_is_refused() {
        for bad in [
            &b"id: 7\n\n"[..],
            b"id: 00010203040506ff-\n\n",
            b"id: 00010203040506fg-1\n\n",
            b"id: 00010203040506ff-18446744073709551616\n\n",
            b"retry: soon\n\n",
            b"data\n\n",
            b"data: 1\r\n\r\n\n",
        ] {
            assert!(next_block(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
