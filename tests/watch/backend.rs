//! A backend: one connection to the side listener, on which it posts one request after another.

use crate::server::{PATIENCE, Running};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// The key that the tests' servers know.
pub(crate) const KEY: &str = "test-key-of-a-backend";
/// What most requests say of their body.
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// One connection.
pub(crate) struct Backend {
    reader: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// What a successful publication is told.
    #[track_caller]
    pub(crate) fn receipt(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).expect("JSON")
    }

    #[track_caller]
    pub(crate) fn seq(&self) -> u64 {
        self.receipt()["seq"].as_u64().expect("a seq")
    }
}

impl Backend {
    pub(crate) fn connect(server: &Running) -> Self {
        Self::connect_to(server.watch_addr())
    }

    pub(crate) fn connect_to(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Self { reader: BufReader::new(socket) }
    }

    /// Publishes JSON with the key and further header lines.
    pub(crate) fn publish(&mut self, room: &str, more: &str, body: &str) -> Answer {
        self.post(&format!("/rooms/{room}/publish"), &format!("{JSON}{more}"), body)
    }

    /// Posts with the key and further header lines.
    pub(crate) fn post(&mut self, path: &str, more: &str, body: &str) -> Answer {
        let more = format!("Authorization: Bearer {KEY}\r\n{more}");
        self.request("POST", path, &more, body)
    }

    /// Sends a request with exactly these header lines, and a length, and reads the answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, more: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\n{more}Content-Length: {length}\r\n\r\n{body}"
        ));
        self.answer()
    }

    /// Sends something as it is.
    pub(crate) fn send(&mut self, bytes: &str) {
        self.reader.get_mut().write_all(bytes.as_bytes()).expect("the connection is open");
    }

    /// Reads an answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.reader.read_line(&mut head).expect("a head in time");
            assert!(read > 0, "the connection ended in {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |n| n.parse().expect("a length"));
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("the announced body");
        answer.body = String::from_utf8(body).expect("text");
        answer
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_over(&mut self) -> bool {
        let mut rest = Vec::new();
        // A reset is an end too.
        self.reader.read_to_end(&mut rest).map_or(true, |_| rest.is_empty())
    }
}
