//! The bytes of HTTP/1.1 requests and their answers (RFC 9112), as a client of lines needs them: one request is under
//! way on a socket at a time, and its answer is read however it is cut.

use super::chunked::Chunks;
use crate::websocket::Violation;
use std::io::Write as _;

/// The longest head of an answer in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest body of an answer that is taken, in bytes.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) host: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// Fields and their values.
    pub(super) fields: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

impl Request<'_> {
    /// Appends it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { host, target, fields, body } = self;
        out.reserve(256 + body.len());
        // A vector takes everything.
        let _ = write!(out, "POST {target} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in *fields {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(body);
    }
}

/// What the head of an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) line_key: Option<String>,
    pub(super) size_bytes: Option<usize>,
    /// The code of `Madang-Close`.
    pub(super) close: Option<u16>,
    pub(super) retry_after_s: Option<u32>,
    /// The connection ends behind it.
    pub(super) is_last: bool,
    /// What follows is a stream of events.
    pub(super) is_stream: bool,
}

/// An answer. That of a stream has no body: [`Reader::take_stream`] has what follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// Reads the answers on a socket.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What came and was not understood yet.
    inbox: Vec<u8>,
    stage: Stage,
}

/// What of an answer is due.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Head,
    /// So many bytes of body.
    Body(Head, usize),
    /// Chunks, and what was in those that came.
    Chunks(Head, Chunks, Vec<u8>),
    /// A stream without an end, in chunks or not.
    Stream(Option<Chunks>),
}

/// How long a body is.
enum Length {
    Bytes(usize),
    Chunked,
    /// Until the connection ends.
    Open,
}

impl Reader {
    /// Takes what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// The next answer, once it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Answer>, Violation> {
        loop {
            match &mut self.stage {
                Stage::Head => {
                    if self.inbox.is_empty() {
                        return Ok(None);
                    }
                    let Some((bytes, head, length)) = read_head(&self.inbox)? else {
                        return Ok(None);
                    };
                    self.inbox.drain(..bytes);
                    if head.status < 200 {
                        // It says that the answer is on its way.
                        continue;
                    }
                    self.stage = match length {
                        Length::Chunked if head.is_stream => {
                            self.stage = Stage::Stream(Some(Chunks::default()));
                            return Ok(Some(Answer { head, body: Vec::new() }));
                        }
                        Length::Open if head.is_stream => {
                            self.stage = Stage::Stream(None);
                            return Ok(Some(Answer { head, body: Vec::new() }));
                        }
                        Length::Chunked => Stage::Chunks(head, Chunks::default(), Vec::new()),
                        Length::Bytes(bytes) if bytes <= BODY_BYTES_MAX => Stage::Body(head, bytes),
                        Length::Bytes(_) => return Err(Violation("an answer that is too large")),
                        Length::Open => return Err(Violation("an answer without a length")),
                    };
                }
                Stage::Body(head, length) => {
                    if self.inbox.len() < *length {
                        return Ok(None);
                    }
                    let head = std::mem::take(head);
                    let rest = self.inbox.split_off(*length);
                    let body = std::mem::replace(&mut self.inbox, rest);
                    self.stage = Stage::Head;
                    return Ok(Some(Answer { head, body }));
                }
                Stage::Chunks(head, chunks, body) => {
                    chunks.decode(&self.inbox, body)?;
                    self.inbox = Vec::new();
                    if body.len() > BODY_BYTES_MAX {
                        return Err(Violation("an answer that is too large"));
                    }
                    if !chunks.is_over() {
                        return Ok(None);
                    }
                    let answer = Answer { head: std::mem::take(head), body: std::mem::take(body) };
                    self.stage = Stage::Head;
                    return Ok(Some(answer));
                }
                Stage::Stream(_) => return Ok(None),
            }
        }
    }

    /// What came of a stream since its head.
    pub(super) fn take_stream(&mut self) -> Result<Vec<u8>, Violation> {
        let came = std::mem::take(&mut self.inbox);
        match &mut self.stage {
            Stage::Stream(Some(chunks)) => {
                let mut out = Vec::with_capacity(came.len());
                chunks.decode(&came, &mut out)?;
                Ok(out)
            }
            _ => Ok(came),
        }
    }
}

/// Reads a head: how many bytes it took, what it says, and how long the body is. `None` while it is incomplete.
fn read_head(input: &[u8]) -> Result<Option<(usize, Head, Length)>, Violation> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let bytes = match response.parse(input) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if input.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => {
            return Err(Violation("the head of an answer is too long"));
        }
        Err(_) => return Err(Violation("an answer that is not HTTP/1.1")),
    };
    let mut head = Head { status: response.code.unwrap_or_default(), ..Head::default() };
    // Who speaks HTTP/1.0 ends the connection.
    head.is_last = response.version == Some(0);
    let mut length = match head.status {
        0..200 | 204 | 304 => Length::Bytes(0),
        _ => Length::Open,
    };
    for field in &*response.headers {
        let Ok(value) = std::str::from_utf8(field.value) else { continue };
        let value = value.trim();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let wrong = || Violation("a field of an answer that is no number");
        if is("content-length") && !matches!(length, Length::Chunked) {
            length = Length::Bytes(value.parse().map_err(|_| wrong())?);
        } else if is("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(Violation("a transfer encoding other than chunked"));
            }
            length = Length::Chunked;
        } else if is("connection") {
            head.is_last |= value.split(',').any(|it| it.trim().eq_ignore_ascii_case("close"));
        } else if is("content-type") {
            head.is_stream = value.starts_with("text/event-stream");
        } else if is("madang-line") {
            head.line_key = Some(value.to_owned());
        } else if is("madang-size") {
            head.size_bytes = Some(value.parse().map_err(|_| wrong())?);
        } else if is("madang-close") {
            head.close = Some(close_code(value).ok_or_else(wrong)?);
        } else if is("retry-after") {
            // A date is not understood.
            head.retry_after_s = value.parse().ok();
        }
    }
    Ok(Some((bytes, head, length)))
}

/// The code in front of a space and the reason.
pub(super) fn close_code(said: &str) -> Option<u16> {
    said.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: &[u8] = b"HTTP/1.1 200 OK\r\nmadang-LINE: 0a\r\nMadang-Size: 65536\r\n\
        Content-Length: 3\r\n\r\nabc";

    fn read(pieces: &[&[u8]]) -> Result<Vec<Answer>, Violation> {
        let (mut reader, mut answers) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece);
            while let Some(answer) = reader.next()? {
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    #[test]
    fn a_request_is_whole() {
        let mut out = Vec::new();
        let fields = [("Madang-Line", "0a"), ("Madang-Number", "7")];
        let request =
            Request { host: "h:1", target: "/play/http/send", fields: &fields, body: b"xy" };
        request.put(&mut out);
        let text = "POST /play/http/send HTTP/1.1\r\nHost: h:1\r\nMadang-Line: 0a\r\n\
                    Madang-Number: 7\r\nContent-Length: 2\r\n\r\nxy";
        assert_eq!(out, text.as_bytes());
    }

    #[test]
    fn answers_are_read_wherever_they_are_cut() {
        let closed = b"HTTP/1.1 410 Gone\r\nMadang-Close: 4008 slow consumer\r\n\
            Connection: keep-alive, Close\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        let all = [OPENED, b"HTTP/1.1 204 No Content\r\n\r\n", closed, chunked].concat();
        let heads = [
            Head {
                status: 200,
                line_key: Some("0a".to_owned()),
                size_bytes: Some(65536),
                ..Head::default()
            },
            Head { status: 204, ..Head::default() },
            Head {
                status: 410,
                close: Some(4008),
                retry_after_s: Some(3),
                is_last: true,
                ..Head::default()
            },
            Head { status: 200, ..Head::default() },
        ];
        let bodies = [&b"abc"[..], b"", b"", b"abc"];
        let expected: Vec<_> = heads
            .into_iter()
            .zip(bodies)
            .map(|(head, body)| Answer { head, body: body.to_vec() })
            .collect();
        for cut in 0..=all.len() {
            let (front, back) = all.split_at(cut);
            assert_eq!(read(&[front, back]).unwrap(), expected, "{cut}");
        }
        let single: Vec<_> = all.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), expected);
    }

    #[test]
    fn an_interim_answer_is_none() {
        let answers = read(&[b"HTTP/1.1 100 Continue\r\n\r\n", OPENED]).unwrap();
        assert_eq!((answers.len(), answers[0].head.status), (1, 200));
    }

    #[test]
    fn a_stream_goes_on_behind_its_head() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        for (more, stream) in [
            ("\r\n", "data: 1\n\n"),
            ("Transfer-Encoding: chunked\r\n\r\n", "4\r\ndata\r\n5\r\n: 1\n\n\r\n"),
        ] {
            let text = format!("{head}{more}{stream}");
            for cut in 0..=text.len() {
                let (mut reader, mut came) = (Reader::default(), Vec::new());
                let mut is_streaming = false;
                for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                    reader.push(piece);
                    if let Some(answer) = reader.next().unwrap() {
                        assert!(answer.head.is_stream && answer.body.is_empty());
                        is_streaming = true;
                    }
                    if is_streaming {
                        came.extend(reader.take_stream().unwrap());
                    }
                }
                assert_eq!(came, b"data: 1\n\n", "{cut}");
            }
        }
    }

    #[test]
    fn what_no_answer_may_be_is_refused() {
        let long = [&b"HTTP/1.1 200 OK\r\nX: "[..], &vec![b'x'; HEAD_BYTES_MAX]].concat();
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        for bad in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\nendless",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nMadang-Close: soon\r\nContent-Length: 0\r\n\r\n",
            &long,
            large.as_bytes(),
        ] {
            assert!(
                read(&[bad]).is_err(),
                "{}",
                String::from_utf8_lossy(&bad[..bad.len().min(60)])
            );
        }
    }
}
