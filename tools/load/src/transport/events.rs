//! A line's stream of Server-Sent Events (SPEC.md, section 20.3), read however it is cut.
//!
//! Deliberately absent: CR and CRLF line ends, which Madang never sends, and ids, which such streams do not have.

use super::http::close_code;
use crate::websocket::Violation;
use std::borrow::Cow;
use std::io::BufRead as _;

/// The longest event that is taken, in bytes.
const EVENT_BYTES_MAX: usize = 24 << 20;

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// The stream gets through.
    Open,
    /// A sign of life is wanted.
    Ping,
    /// The server closed, with this code.
    Close(u16),
    /// What would be a WebSocket message.
    Message(Cow<'a, [u8]>),
}

/// What came of a stream and is no whole event yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    kept: Vec<u8>,
}

impl Events {
    /// Calls `tell` for every event that is whole with these bytes, until it breaks off.
    pub(super) fn take<End>(
        &mut self,
        bytes: &[u8],
        mut tell: impl FnMut(Event<'_>) -> Result<(), End>,
    ) -> Result<(), End>
    where
        End: From<Violation>,
    {
        let mut kept = std::mem::take(&mut self.kept);
        let mut rest = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept[..]
        };
        while let Some(length) = block_bytes(rest) {
            let (block, behind) = rest.split_at(length);
            if let Some(event) = event(block)? {
                tell(event)?;
            }
            rest = behind;
        }
        if rest.len() > EVENT_BYTES_MAX {
            return Err(Violation("an event larger than this reader takes").into());
        }
        self.kept = rest.to_vec();
        Ok(())
    }
}

/// How many bytes there are up to the first empty line, it included.
fn block_bytes(input: &[u8]) -> Option<usize> {
    let mut rest = input;
    loop {
        // The standard library's search for a byte, which looks at many at a time.
        let length = rest.skip_until(b'\n').unwrap_or_default();
        let line = &input[input.len() - rest.len() - length..input.len() - rest.len()];
        match line {
            b"\n" => return Some(input.len() - rest.len()),
            [.., b'\n'] => {}
            _ => return None,
        }
    }
}

/// Reads what stands before an empty line. Comments alone are no event.
fn event(block: &[u8]) -> Result<Option<Event<'_>>, Violation> {
    let (mut name, mut data) = (&b""[..], None::<Cow<'_, [u8]>>);
    for line in block.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(at);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match (field, &mut data) {
            (b"event", _) => name = value,
            (b"data", None) => data = Some(Cow::Borrowed(value)),
            (b"data", Some(data)) => {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            // Nothing, a comment, or a field that is not used here.
            _ => {}
        }
    }
    let text = |data: &Option<Cow<'_, [u8]>>| {
        String::from_utf8_lossy(data.as_deref().unwrap_or_default()).into_owned()
    };
    match name {
        b"" => Ok(data.map(Event::Message)),
        b"open" => Ok(Some(Event::Open)),
        b"ping" => Ok(Some(Event::Ping)),
        b"close" => match close_code(&text(&data)) {
            Some(code) => Ok(Some(Event::Close(code))),
            None => Err(Violation("a close event without a code")),
        },
        _ => Err(Violation("an event that a line does not have")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"event: open\ndata: 20000\n\n:\n\ndata: AAE=\n\nevent: ping\ndata:\n\n\
        data: [1,\ndata: 2]\n\n: no\nevent: close\ndata: 4008 slow consumer\n\n";

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, Violation> {
        let (mut events, mut told) = (Events::default(), Vec::new());
        for piece in pieces {
            events.take(piece, |event| {
                told.push(match event {
                    Event::Message(data) => String::from_utf8_lossy(&data).into_owned(),
                    other => format!("{other:?}"),
                });
                Ok::<_, Violation>(())
            })?;
        }
        Ok(told)
    }

    #[test]
    fn events_are_read_wherever_they_are_cut() {
        let expected = ["Open", "AAE=", "Ping", "[1,\n2]", "Close(4008)"];
        for cut in 0..=STREAM.len() {
            let (front, back) = STREAM.split_at(cut);
            assert_eq!(read(&[front, back]).unwrap(), expected, "{cut}");
        }
        let single: Vec<_> = STREAM.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), expected);
    }

    #[test]
    fn what_no_stream_may_say_is_refused() {
        assert!(read(&[b"event: close\ndata: soon\n\n"]).is_err());
        assert!(read(&[b"event: close\n\n"]).is_err());
        assert!(read(&[b"event: snapshot\ndata: 1\n\n"]).is_err());
        let (large, more) = (vec![b'x'; EVENT_BYTES_MAX], b"x");
        assert!(read(&[&large]).is_ok());
        assert!(read(&[&large, more]).is_err());
    }

    #[test]
    fn who_breaks_off_hears_nothing_more() {
        let mut count = 0;
        let result = Events::default().take(STREAM, |_| {
            count += 1;
            if count == 2 { Err(Violation("enough")) } else { Ok(()) }
        });
        assert_eq!((result, count), (Err(Violation("enough")), 2));
    }
}
