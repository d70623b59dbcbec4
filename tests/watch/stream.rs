//! A reader of event streams, after WHATWG HTML section 9.2.6, and of plain answers.

use crate::server::PATIENCE;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect(&self.data)
    }

    /// The seq in its id.
    #[track_caller]
    pub(crate) fn seq(&self) -> u64 {
        self.id.rsplit('-').next().and_then(|seq| seq.parse().ok()).expect("an id")
    }
}

/// An answer's head, and the body behind it.
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
    pub(crate) status: u16,
    head: String,
    /// The last `retry:`.
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comments: u64,
}

/// Asks for a path with further header lines.
pub(crate) fn ask(addr: SocketAddr, method: &str, path: &str, more: &str) -> Stream {
    ask_by(TcpStream::connect(addr).expect("the server accepts"), method, path, more)
}

/// Asks on a connection that takes little without being read.
pub(crate) fn ask_slowly(addr: SocketAddr, path: &str) -> Stream {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    socket.connect(&addr.into()).expect("the server accepts");
    ask_by(socket.into(), "GET", path, "")
}

fn ask_by(mut socket: TcpStream, method: &str, path: &str, more: &str) -> Stream {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{more}\r\n");
    socket.write_all(request.as_bytes()).expect("the connection is open");
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a head") > 0, "the stream ended in {head:?}");
    }
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Stream { reader, status, head, retry_ms: None, comments: 0 }
}

/// The stream of a room, whose first event was read.
#[track_caller]
pub(crate) fn watch(addr: SocketAddr, room: &str, query: &str) -> (Stream, Event) {
    watch_from(addr, room, query, "")
}

/// The same, with a `Last-Event-ID` unless that is empty.
#[track_caller]
pub(crate) fn watch_from(addr: SocketAddr, room: &str, query: &str, id: &str) -> (Stream, Event) {
    let more = if id.is_empty() { String::new() } else { format!("Last-Event-ID: {id}\r\n") };
    let mut stream = ask(addr, "GET", &format!("/rooms/{room}/events{query}"), &more);
    assert_eq!(stream.status, 200, "{}", stream.head);
    let first = stream.next().expect("a first event");
    assert_eq!(first.name, "resume");
    (stream, first)
}

impl Stream {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body of an answer that announces its length.
    pub(crate) fn body(&mut self) -> String {
        let length = self.header("content-length").map_or(0, |n| n.parse().expect("a length"));
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("the announced body");
        String::from_utf8(body).expect("text")
    }

    /// Everything up to the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
    }

    /// The next event; none at the end of the stream.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: String::new(), name: String::new(), data: String::new() };
        let mut has_data = false;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("a line in time") == 0 {
                return None;
            }
            let line = line.strip_suffix('\n').expect("a whole line");
            assert!(!line.contains('\r'));
            if line.is_empty() {
                if has_data {
                    return Some(event);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments += 1,
                "id" => value.clone_into(&mut event.id),
                "event" => value.clone_into(&mut event.name),
                "data" => {
                    if std::mem::replace(&mut has_data, true) {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                }
                "retry" => self.retry_ms = Some(value.parse().expect("a number")),
                other => panic!("a field {other:?}"),
            }
        }
    }

    /// The next event of a name; others are passed over.
    #[track_caller]
    pub(crate) fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }

    /// Events up to the one with a seq.
    #[track_caller]
    pub(crate) fn upto(&mut self, seq: u64) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().expect("the stream goes on");
            let is_last = event.seq() >= seq;
            events.push(event);
            if is_last {
                return events;
            }
        }
    }

    /// Reads until a comment came.
    pub(crate) fn until_comment(&mut self) {
        let mut line = String::new();
        while !line.starts_with(':') {
            line.clear();
            assert!(self.reader.read_line(&mut line).expect("a line in time") > 0);
        }
    }

    /// The socket, to say something on.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }
}
