//! What came down on a line, as the frames in which it would have come on a WebSocket.

use super::End;
use crate::websocket::{self, BINARY, TEXT, Violation};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// Puts the body of an answer into frames: a batch, or an array of JSON messages.
pub(super) fn put_body(frames: &mut Vec<u8>, body: &[u8], is_json: bool) -> Result<(), End> {
    if body.is_empty() {
        return Ok(());
    }
    if !is_json {
        put(frames, BINARY, body);
        return Ok(());
    }
    let texts: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| End::Strange(format!("no array of JSON messages: {error}")))?;
    for text in texts {
        put(frames, TEXT, text.get().as_bytes());
    }
    Ok(())
}

/// Puts the data of an event into a frame: a batch in base64, or a JSON message.
pub(super) fn put_data(frames: &mut Vec<u8>, data: &[u8], is_json: bool) -> Result<(), Violation> {
    if is_json {
        put(frames, TEXT, data);
        return Ok(());
    }
    let wrong = Violation("an event that is no base64");
    let filling = data.iter().rev().take_while(|byte| **byte == b'=').count();
    let bytes = (data.len() / 4 * 3).checked_sub(filling).ok_or(wrong)?;
    websocket::put_server_header(frames, BINARY, bytes);
    let start = frames.len();
    STANDARD.decode_vec(data, frames).map_err(|_| wrong)?;
    if frames.len() - start == bytes { Ok(()) } else { Err(wrong) }
}

fn put(frames: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    websocket::put_server_header(frames, opcode, payload.len());
    frames.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut frames: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(frame) = websocket::next_frame(frames).unwrap() {
            all.push((frame.opcode, frame.payload.to_vec()));
            frames = &frames[frame.bytes..];
        }
        assert!(frames.is_empty());
        all
    }

    #[test]
    fn bodies_become_frames() {
        let mut frames = Vec::new();
        put_body(&mut frames, b"", false).unwrap();
        put_body(&mut frames, b"", true).unwrap();
        put_body(&mut frames, &[0; 200], false).unwrap();
        put_body(&mut frames, b"[{\"a\":[1, 2]},\n{}]", true).unwrap();
        let texts = [(TEXT, b"{\"a\":[1, 2]}".to_vec()), (TEXT, b"{}".to_vec())];
        assert_eq!(read(&frames), [vec![(BINARY, vec![0; 200])], texts.to_vec()].concat());
        assert!(put_body(&mut frames, b"{}", true).is_err());
    }

    #[test]
    fn data_of_every_length_becomes_a_frame() {
        for len in 0..300 {
            let batch = vec![7; len];
            let mut frames = Vec::new();
            put_data(&mut frames, STANDARD.encode(&batch).as_bytes(), false).unwrap();
            assert_eq!(read(&frames), [(BINARY, batch)], "{len}");
        }
        let mut frames = Vec::new();
        put_data(&mut frames, b"{}", true).unwrap();
        assert_eq!(read(&frames), [(TEXT, b"{}".to_vec())]);
        for bad in [&b"="[..], b"AAAAA", b"AA=A", b"{}"] {
            assert!(put_data(&mut Vec::new(), bad, false).is_err());
        }
    }
}
