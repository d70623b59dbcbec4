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
    serde_json::from_str(text).map_err(|error| DecodeError::Malformed(told(&error)))
}

/// What is wrong, without what was written: that may be a credential in the wrong place.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if ["missing field", "duplicate field"].iter().any(|static_text| text.starts_with(static_text))
    {
        return text;
    }
    // What was expected is ours, and stands last.
    match text.rfind(", expected ") {
        Some(at) if error.is_data() => format!("something else than wanted{}", &text[at..]),
        _ => text,
    }
}

fn encode<T: serde::Serialize>(message: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, message)
        .expect("writing to a Vec cannot fail and every message type has a JSON form");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_in_the_wrong_place_is_not_said_again() {
        for text in [
            r#"{"renew":"canary, expected struct"}"#,
            r#"{"canary":{}}"#,
            r#"{"hello":"canary"}"#,
            r#"{"hello":{"version_min":"canary"}}"#,
            r#"{"hello":{"resume":{"key":"canary","rooms":[]}}}"#,
            r#"{"join":{"ref":1,"target":{"name":"a"},"mode":"canary"}}"#,
            r#"{"publish":{"channel":1,"cseq":1,"type":"a","payload":{"canary":1}}}"#,
            r#"{"publish":{"channel":1,"cseq":1,"type":"a","payload":{"bytes":"canary!"}}}"#,
        ] {
            let error = decode_client(text).expect_err(text).to_string();
            assert!(!error.contains("canary"), "{error}");
        }
        let error = decode_client(r#"{"leave":{}}"#).expect_err("no channel").to_string();
        assert!(error.contains("missing field `channel`"), "{error}");
        let error = decode_client(r#"{"renew":"x"}"#).expect_err("no object").to_string();
        assert!(error.contains("expected struct Renew at line 1"), "{error}");
    }
}
