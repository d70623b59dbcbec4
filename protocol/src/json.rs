//! The JSON twin: one message is one JSON object with one key, the message's name in snake case:
//! `{"leave":{"channel":3}}`. One text message carries one object; there is no batch framing.

use crate::client::ClientMessage;
use crate::codec::DecodeError;
use crate::server::ServerMessage;

/// Decodes one message from a client.
pub fn decode_client(text: &str) -> Result<ClientMessage<'_>, DecodeError> {
    let message: ClientMessage<'_> = decode(text)?;
    if message.integers_in_bounds() { Ok(message) } else { Err(DecodeError::IntegerOutOfBounds) }
}

/// Decodes one message from the server.
pub fn decode_server(text: &str) -> Result<ServerMessage<'_>, DecodeError> {
    let message: ServerMessage<'_> = decode(text)?;
    if message.integers_in_bounds() { Ok(message) } else { Err(DecodeError::IntegerOutOfBounds) }
}

/// Appends one message from the server as JSON.
pub fn encode_server(message: &ServerMessage<'_>, out: &mut Vec<u8>) {
    encode(message, out);
}

/// Appends one message from a client as JSON.
pub fn encode_client(message: &ClientMessage<'_>, out: &mut Vec<u8>) {
    encode(message, out);
}

fn decode<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| DecodeError::Malformed(error.to_string()))
}

fn encode<T: serde::Serialize>(message: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, message)
        .expect("writing to a Vec cannot fail and every message type has a JSON form");
}
