//! A client that says exactly what it is told.

use crate::driver::PATIENCE;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};

pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

pub(crate) fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A masked frame of less than 64 KiB.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    if payload.len() < 126 {
        out.push(0x80 | payload.len() as u8);
    } else {
        out.push(0xfe);
        out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    let mask = [0xa1, 0xb2, 0xc3, 0xd4];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}

/// A frame of the server.
pub(crate) fn read_frame(client: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    client.read_exact(&mut head).unwrap();
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            client.read_exact(&mut len).unwrap();
            u64::from(u16::from_be_bytes(len))
        }
        127 => {
            let mut len = [0; 8];
            client.read_exact(&mut len).unwrap();
            u64::from_be_bytes(len)
        }
        len => u64::from(len),
    };
    let mut payload = vec![0; len as usize];
    client.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

pub(crate) fn read_text(client: &mut impl Read) -> String {
    let (first, payload) = read_frame(client);
    assert_eq!(first, 0x81);
    String::from_utf8(payload).unwrap()
}

/// A Close frame's code, and that the stream ends behind it.
pub(crate) fn read_close(client: &mut impl Read) -> u16 {
    let (first, payload) = read_frame(client);
    assert_eq!(first, 0x88);
    assert_eq!(read_all(client), b"");
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

/// Bytes up to the empty line.
pub(crate) fn read_head(client: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An answer with a body: its head and the body.
pub(crate) fn read_answer(client: &mut impl Read) -> (String, Vec<u8>) {
    let head = read_head(client);
    let (_, rest) = head.split_once("Content-Length: ").expect(&head);
    let mut body = vec![0; rest[..rest.find('\r').unwrap()].parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    (head, body)
}

/// Everything up to the end of the stream; a reset is one too.
pub(crate) fn read_all(client: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    match client.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => all,
    }
}
