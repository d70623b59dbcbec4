//! Colyseus 0.16: the HTTP request that reserves a seat, and the binary messages of a room, as far as a client needs
//! them that sends one kind of bytes. The server is to have a room type `relay` that takes `topic` and `echo` and
//! relays `m`.
//!
//! The handshake follows on the connection of the request; a browser would take a second one, so a server
//! that is measured is spared that.

use super::{Heard, MASK};
use crate::websocket::{self, BINARY, Violation};
use serde_json::{Value, json};
use std::borrow::Cow;

const JOIN_ROOM: u8 = 10;
const ERROR: u8 = 11;
/// Of type `m`: the type is a string with its length, as `MessagePack` writes it.
const MESSAGE: [u8; 3] = [17, 0xa1, b'm'];
/// The longest answer to the request, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// The request for a seat in a room.
pub(super) fn request(host: &str, path: &str, room: &str, echo: bool) -> Vec<u8> {
    let body = json!({ "topic": room, "echo": echo }).to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads the answer: how many bytes it took and where the seat is. `None` while it is incomplete.
pub(super) fn reservation(input: &[u8]) -> Result<Option<(usize, String)>, Violation> {
    const END: &[u8] = b"\r\n0\r\n\r\n";
    let Some(end) = input.windows(END.len()).position(|window| window == END) else {
        return if input.len() > ANSWER_BYTES_MAX {
            Err(Violation("the answer to the request for a seat is too long"))
        } else {
            Ok(None)
        };
    };
    let wrong = Violation("the answer to the request for a seat has none");
    let text = std::str::from_utf8(&input[..end]).map_err(|_| wrong)?;
    let object = text.find('{').zip(text.rfind('}')).and_then(|(from, to)| text.get(from..=to));
    let answer: Value = serde_json::from_str(object.ok_or(wrong)?).map_err(|_| wrong)?;
    let room = &answer["room"];
    let seat = [&room["processId"], &room["roomId"], &answer["sessionId"]].map(Value::as_str);
    let [Some(process), Some(room), Some(session)] = seat else { return Err(wrong) };
    Ok(Some((end + END.len(), format!("/{process}/{room}?sessionId={session}"))))
}

pub(super) fn put_message(payload: &[u8], out: &mut Vec<u8>) {
    websocket::put_frame(out, BINARY, &[&MESSAGE, payload].concat(), MASK);
}

/// What a frame means; what has to be answered at once goes to `out`.
pub(super) fn understand<'a>(payload: &'a [u8], out: &mut Vec<u8>) -> Result<Heard<'a>, String> {
    if let Some(payload) = payload.strip_prefix(&MESSAGE) {
        return Ok(Heard::Message(Cow::Borrowed(payload)));
    }
    match payload {
        [JOIN_ROOM, ..] => {
            websocket::put_frame(out, BINARY, &[JOIN_ROOM], MASK);
            Ok(Heard::Joined)
        }
        [ERROR, why @ ..] => Ok(Heard::Refused(String::from_utf8_lossy(why).into_owned())),
        [code, ..] => Err(format!("a message with code {code}, which this client does not take")),
        [] => Err("an empty message".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_reserved_when_the_answer_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n45\r\n\
            {\"room\":{\"roomId\":\"r\",\"processId\":\"p\",\"x\":{}},\"sessionId\":\"s\"}\r\n0\r\n\r\n";
        let path = "/p/r?sessionId=s".to_owned();
        assert_eq!(reservation(answer), Ok(Some((answer.len(), path))));
        for cut in 0..answer.len() {
            assert_eq!(reservation(&answer[..cut]), Ok(None), "{cut}");
        }
        let refused = b"HTTP/1.1 200 OK\r\n\r\n9\r\n{\"code\":4211}\r\n0\r\n\r\n";
        assert!(reservation(refused).is_err());
        assert!(reservation(&vec![b'x'; ANSWER_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_room_is_joined_and_heard() {
        let mut out = Vec::new();
        assert_eq!(understand(&[JOIN_ROOM, 1, b't', 0], &mut out), Ok(Heard::Joined));
        assert_eq!(out.len(), 7);
        let heard = understand(&[17, 0xa1, b'm', b'h', b'i'], &mut out);
        assert_eq!(heard, Ok(Heard::Message(Cow::Borrowed(b"hi"))));
        assert!(matches!(understand(&[ERROR, b'n', b'o'], &mut out), Ok(Heard::Refused(_))));
        assert!(understand(&[17, 0xa1, b'n'], &mut out).is_err());
        assert!(understand(&[], &mut out).is_err());
    }
}
