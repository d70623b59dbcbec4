//! A line: a connection to `/play/http` made of requests, with a stream of events or with polls.

use super::client::{Closed, Dial, Wire, is_timeout};
use super::stream::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

/// By what a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Socket,
    Events,
    Polls,
}

/// What came: a batch, or JSON texts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Batch(Vec<u8>),
    Texts(Vec<String>),
    Ping,
}

pub(crate) struct Line {
    wire: Wire,
    way: Way,
    /// Carries what goes up.
    up: Stream,
    /// Carries what comes down.
    down: Stream,
    /// The line's key, once the opening is answered.
    pub(crate) key: Option<String>,
    is_opening: bool,
    /// The head of the stream has come.
    is_streaming: bool,
    is_polling: bool,
    pub(crate) sent: u64,
    pub(crate) polled: u64,
    /// What has been read and not understood yet.
    buffer: Vec<u8>,
    came: VecDeque<Came>,
    closed: Option<Closed>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// How it says that the line is closed.
    fn closed(&self) -> Option<Closed> {
        if let Some(said) = self.header("madang-close") {
            return code(said);
        }
        match self.status {
            200 | 204 => None,
            413 => Some(Closed::Code(1009)),
            _ => Some(Closed::Lost),
        }
    }
}

fn code(said: &str) -> Option<Closed> {
    let code = said.split(' ').next()?.parse().ok()?;
    Some(Closed::Code(code))
}

impl Line {
    pub(crate) fn new(dial: Dial, wire: Wire) -> io::Result<Self> {
        let (up, down) = (dial.try_stream()?, dial.try_stream()?);
        Ok(Self {
            wire,
            way: dial.way,
            up,
            down,
            key: None,
            is_opening: false,
            is_streaming: false,
            is_polling: false,
            sent: 0,
            polled: 0,
            buffer: Vec::new(),
            came: VecDeque::new(),
            closed: None,
        })
    }

    pub(crate) fn tcp(&self) -> &std::net::TcpStream {
        self.down.tcp()
    }

    /// Sends a batch or a JSON text, and waits until the server has taken it.
    pub(crate) fn send(&mut self, body: &[u8]) -> io::Result<()> {
        if self.key.is_none() && !self.is_opening {
            self.is_opening = true;
            let media_type = match self.wire {
                Wire::Native => "application/octet-stream",
                Wire::Json => "application/json",
            };
            let head = format!(
                "POST /play/http HTTP/1.1\r\nHost: test\r\nContent-Type: {media_type}\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            return write(&mut self.down, &head, body);
        }
        while self.key.is_none() {
            if self.closed.is_some() || self.receive().is_err() {
                return Err(io::ErrorKind::NotConnected.into());
            }
        }
        self.sent += 1;
        let number = self.sent;
        let answer = self.ask("send", Some(number), body)?;
        // A server that goes away takes nothing more, but there may be something still to come.
        if let Some(closed) = answer.closed().filter(|_| answer.status != 503) {
            self.closed.get_or_insert(closed);
        }
        if answer.status == 204 { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
    }

    /// A request on the connection for what goes up.
    fn ask(&mut self, verb: &str, number: Option<u64>, body: &[u8]) -> io::Result<Answer> {
        let head = self.request(verb, number, body.len());
        write(&mut self.up, &head, body)?;
        let mut buffer = Vec::new();
        loop {
            if let Some(answer) = take_answer(&mut buffer) {
                return Ok(answer);
            }
            read(&mut self.up, &mut buffer)?;
        }
    }

    fn request(&self, verb: &str, number: Option<u64>, length: usize) -> String {
        let key = self.key.as_deref().unwrap_or_default();
        let number = number.map_or(String::new(), |n| format!("Madang-Number: {n}\r\n"));
        format!(
            "POST /play/http/{verb} HTTP/1.1\r\nHost: test\r\nMadang-Line: {key}\r\n{number}\
             Content-Length: {length}\r\n\r\n"
        )
    }

    /// What came next, if one read brings it.
    pub(crate) fn receive(&mut self) -> Result<Option<Came>, Closed> {
        if let Some(came) = self.came.pop_front() {
            return Ok(Some(came));
        }
        if let Some(closed) = self.closed {
            return Err(closed);
        }
        self.listen().map_err(|_| Closed::Lost)?;
        match read(&mut self.down, &mut self.buffer) {
            Ok(()) => {}
            Err(error) if is_timeout(&error) => return Ok(None),
            Err(_) => return Err(Closed::Lost),
        }
        self.understand();
        match (self.came.pop_front(), self.closed) {
            (Some(Came::Ping), _) => {
                // A sign of life; if it comes too late the next read says so.
                let _ = self.send(&[]);
                Ok(Some(Came::Ping))
            }
            (Some(came), _) => Ok(Some(came)),
            (None, Some(closed)) => Err(closed),
            (None, None) => Ok(None),
        }
    }

    /// Sees to it that something waits for what comes.
    fn listen(&mut self) -> io::Result<()> {
        if self.key.is_none() || self.is_streaming || self.is_polling {
            return Ok(());
        }
        let head = if self.way == Way::Events {
            self.is_streaming = true;
            self.request("events", None, 0)
        } else {
            self.is_polling = true;
            self.polled += 1;
            self.request("poll", Some(self.polled), 0)
        };
        write(&mut self.down, &head, &[])
    }

    fn understand(&mut self) {
        if self.is_streaming {
            if self.polled == 0 {
                let Some(answer) = take_answer(&mut self.buffer) else { return };
                if answer.status != 200 {
                    self.closed = answer.closed();
                    return;
                }
                assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{answer:?}");
                assert_eq!(answer.header("x-accel-buffering"), Some("no"));
                self.polled = 1;
            }
            while let Some(at) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..at + 2).collect();
                self.event(std::str::from_utf8(&event).expect("events are text"));
            }
            return;
        }
        let Some(answer) = take_answer(&mut self.buffer) else { return };
        self.is_polling = false;
        self.closed = answer.closed();
        if self.is_opening {
            self.is_opening = false;
            self.key = answer.header("madang-line").map(str::to_owned);
            assert_eq!(self.key.is_some(), self.closed.is_none(), "{answer:?}");
        }
        if answer.body.is_empty() {
            if answer.status == 200 && self.closed.is_none() {
                self.came.push_back(Came::Ping);
            }
        } else if answer.status == 200 {
            self.came.push_back(match self.wire {
                Wire::Native => Came::Batch(answer.body),
                Wire::Json => Came::Texts(texts(&answer.body)),
            });
        }
    }

    fn event(&mut self, event: &str) {
        let field = |name: &str| -> Vec<&str> {
            let lines = event.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect()
        };
        let data = field("data:").join("\n");
        match field("event:").first() {
            Some(&"open") => assert!(data.parse::<u64>().is_ok_and(|ms| ms > 0), "{event}"),
            Some(&"ping") => self.came.push_back(Came::Ping),
            Some(&"close") => self.closed = code(&data),
            Some(other) => panic!("an unknown event: {other}"),
            None if data.is_empty() => assert!(event.starts_with(':'), "{event:?}"),
            None => self.came.push_back(match self.wire {
                Wire::Native => Came::Batch(STANDARD.decode(&data).expect("base64")),
                Wire::Json => Came::Texts(vec![data]),
            }),
        }
    }

    /// Ends the session.
    pub(crate) fn leave(&mut self) -> u16 {
        self.ask("close", None, &[]).expect("the connection is open").status
    }

    /// Ends both sockets by RST.
    pub(crate) fn reset(&self) {
        for stream in [&self.up, &self.down] {
            SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
    }

    /// Ends both sockets by FIN.
    pub(crate) fn half_close(&self) {
        for stream in [&self.up, &self.down] {
            // The server may have closed it already.
            let _ = stream.tcp().shutdown(Shutdown::Write);
        }
    }
}

/// The texts of a JSON array.
fn texts(array: &[u8]) -> Vec<String> {
    let values: Vec<&serde_json::value::RawValue> =
        serde_json::from_slice(array).expect("an array of JSON texts");
    values.into_iter().map(|value| value.get().to_owned()).collect()
}

fn write(stream: &mut Stream, head: &str, body: &[u8]) -> io::Result<()> {
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()
}

fn read(stream: &mut Stream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; 16 << 10];
    match stream.read(&mut bytes)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            buffer.extend_from_slice(&bytes[..n]);
            Ok(())
        }
    }
}

/// Takes an answer off a buffer when it is whole; of a stream the head, which tells no length.
fn take_answer(buffer: &mut Vec<u8>) -> Option<Answer> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(buffer[..end].to_vec()).expect("a head is text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut answer = Answer { status, head, body: Vec::new() };
    let length: usize = match answer.header("content-length") {
        Some(length) => length.parse().expect("a length"),
        None => 0,
    };
    if buffer.len() < end + length {
        return None;
    }
    answer.body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some(answer)
}
