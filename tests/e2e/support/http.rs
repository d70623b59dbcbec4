//! HTTP by hand, so that a test can also say it wrong.

use super::client::Dial;
use std::io::{Read, Write as _};
use std::net::SocketAddr;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// A GET of a path.
pub(crate) fn get(addr: SocketAddr, path: &str) -> Reply {
    ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
}

/// Sends bytes on a new connection and reads one answer.
pub(crate) fn ask(addr: SocketAddr, request: &str) -> Reply {
    let mut stream = Dial::from(addr).stream();
    // An answer may come, and the connection end, before everything is written.
    let _ = stream.write_all(request.as_bytes());
    read(&mut stream)
}

/// A WebSocket handshake of a path, with further header lines.
pub(crate) fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// Reads one answer: the head, and as many bytes as it announces.
pub(crate) fn read(stream: &mut impl Read) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => panic!("the connection ended in {:?}", String::from_utf8_lossy(&head)),
            Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).expect("a head is text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut reply = Reply { status, head, body: Vec::new() };
    let length = reply.header("content-length").map_or(0, |n| n.parse().expect("a length"));
    reply.body.resize(length, 0);
    stream.read_exact(&mut reply.body).expect("the announced body");
    reply
}
