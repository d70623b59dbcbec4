//! Socket.IO 4 over WebSocket alone: the text packets of Engine.IO 4 and of Socket.IO 5, as far as a client needs
//! them that joins one room and sends one kind of binary event. The server is to take `join` (room, echo) with
//! an acknowledgement, and to relay `m`.

use super::{Heard, MASK, Seat};
use crate::websocket::{self, BINARY, TEXT};
use std::borrow::Cow;

/// A binary event with one attachment, which follows in a frame of its own.
const MESSAGE: &[u8] = br#"451-["m",{"_placeholder":true,"num":0}]"#;
/// Connects to the main namespace.
const CONNECT: &[u8] = b"40";
/// The answer to the server's ping.
const PONG: &[u8] = b"3";

/// Appends the event that joins a room.
pub(super) fn put_entrance(room: &str, echo: bool, out: &mut Vec<u8>) {
    let room = serde_json::Value::from(room);
    let event = format!("420[\"join\",{room},{echo}]");
    websocket::put_frame(out, TEXT, event.as_bytes(), MASK);
}

pub(super) fn put_message(payload: &[u8], out: &mut Vec<u8>) {
    websocket::put_frame(out, TEXT, MESSAGE, MASK);
    websocket::put_frame(out, BINARY, payload, MASK);
}

/// What a frame means; what has to be answered at once goes to `out`.
pub(super) fn understand<'a>(
    seat: &mut Seat,
    opcode: u8,
    payload: &'a [u8],
    out: &mut Vec<u8>,
) -> Result<Heard<'a>, String> {
    if opcode == BINARY {
        if !std::mem::take(&mut seat.has_attachment) {
            return Err("an attachment that no event announced".to_owned());
        }
        return Ok(Heard::Message(Cow::Borrowed(payload)));
    }
    let heard = match payload {
        MESSAGE => {
            seat.has_attachment = true;
            Heard::Other
        }
        [b'0', ..] => {
            websocket::put_frame(out, TEXT, CONNECT, MASK);
            Heard::Other
        }
        b"2" => {
            websocket::put_frame(out, TEXT, PONG, MASK);
            Heard::Other
        }
        [b'4', b'0', ..] => Heard::Admitted,
        [b'4', b'3', b'0', ..] => Heard::Joined,
        other => {
            let text = String::from_utf8_lossy(other);
            return Err(format!("not a packet that this client takes: {text:.60}"));
        }
    };
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_opened_joined_and_heard() {
        let mut seat = Seat::default();
        let mut out = Vec::new();
        let mut hear = |opcode, payload: &'static [u8]| {
            out.clear();
            let heard = understand(&mut seat, opcode, payload, &mut out);
            (heard, out.len())
        };
        assert_eq!(hear(TEXT, b"0{\"sid\":\"x\"}"), (Ok(Heard::Other), 6 + CONNECT.len()));
        assert_eq!(hear(TEXT, b"40{\"sid\":\"y\"}"), (Ok(Heard::Admitted), 0));
        assert_eq!(hear(TEXT, b"430[]"), (Ok(Heard::Joined), 0));
        assert!(hear(BINARY, b"early").0.is_err());
        assert_eq!(hear(TEXT, MESSAGE), (Ok(Heard::Other), 0));
        assert_eq!(hear(BINARY, b"hi"), (Ok(Heard::Message(Cow::Borrowed(b"hi"))), 0));
        assert_eq!(hear(TEXT, b"2"), (Ok(Heard::Other), 6 + PONG.len()));
        assert!(hear(TEXT, b"44{\"message\":\"no\"}").0.is_err());
    }
}
