//! The golden vectors in `testdata/`: every client library checks itself against these files, so
//! they must say what this crate does. Built here from typed values; `MADANG_UPDATE_TESTDATA=1`
//! rewrites them.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod accept;
mod access_cases;
mod batches;
mod client_cases;
mod files;
mod reject;
mod reject_state;
mod server_cases;
mod state;
mod state_cases;

use files::{Row, check, hex, unhex};
use madang_protocol::{ClientMessage, ServerMessage, codec, json};

/// Bytes of one message without its length prefix.
fn client_bytes(message: &ClientMessage<'_>) -> Vec<u8> {
    let mut batch = Vec::new();
    codec::encode_client(message, &mut batch);
    codec::split_batch(&batch).next().unwrap().unwrap().to_vec()
}

/// Bytes of one message without its length prefix.
fn server_bytes(message: &ServerMessage<'_>) -> Vec<u8> {
    let mut batch = Vec::new();
    codec::encode_server(message, &mut batch);
    codec::split_batch(&batch).next().unwrap().unwrap().to_vec()
}

fn client_json(message: &ClientMessage<'_>) -> String {
    let mut text = Vec::new();
    json::encode_client(message, &mut text);
    String::from_utf8(text).unwrap()
}

fn server_json(message: &ServerMessage<'_>) -> String {
    let mut text = Vec::new();
    json::encode_server(message, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn client_messages_have_these_bytes_and_this_json() {
    let mut tags = [false; 13];
    let rows = client_cases::all().into_iter().map(|(name, message)| {
        let (bytes, text) = (client_bytes(&message), client_json(&message));
        tags[usize::from(bytes[0])] = true;
        assert_eq!(codec::decode_client(&bytes).as_ref(), Ok(&message), "{name}");
        assert_eq!(json::decode_client(&text).as_ref(), Ok(&message), "{name}: {text}");
        Row::new(name).text("hex", &hex(&bytes)).raw("json", &text)
    });
    check("client.json", rows.collect());
    assert_eq!(tags, [true; 13], "a message has no vector");
}

#[test]
fn server_messages_have_these_bytes_and_this_json() {
    let mut tags = [false; 25];
    let rows = server_cases::all().into_iter().map(|(name, message)| {
        let (bytes, text) = (server_bytes(&message), server_json(&message));
        tags[usize::from(bytes[0])] = true;
        assert_eq!(codec::decode_server(&bytes).as_ref(), Ok(&message), "{name}");
        assert_eq!(json::decode_server(&text).as_ref(), Ok(&message), "{name}: {text}");
        Row::new(name).text("hex", &hex(&bytes)).raw("json", &text)
    });
    check("server.json", rows.collect());
    assert_eq!(tags, [true; 25], "a message has no vector");
}

#[test]
fn batches_split_like_this() {
    let rows = batches::all().into_iter().map(|case| {
        let mut messages = Vec::new();
        let mut broken = false;
        for part in codec::split_batch(&case.bytes) {
            match part {
                Ok(message) => messages.push(hex(message)),
                Err(codec::DecodeError::Framing) => broken = true,
                Err(other) => panic!("{}: {other}", case.name),
            }
        }
        assert_eq!(broken, case.broken, "{}", case.name);
        assert_eq!(messages.len(), case.messages, "{}", case.name);
        Row::new(case.name)
            .text("hex", &hex(&case.bytes))
            .raw("messages", &serde_json::to_string(&messages).unwrap())
            .raw("broken", if broken { "true" } else { "false" })
    });
    check("batch.json", rows.collect());
}

#[test]
fn these_are_refused() {
    let binary = reject::binary().into_iter().map(|case| {
        let refused = match case.direction {
            "client" => codec::decode_client(&case.bytes).err(),
            _ => codec::decode_server(&case.bytes).err(),
        };
        assert!(refused.is_some(), "accepted: {} ({})", case.name, hex(&case.bytes));
        println!("{}: {}", case.name, refused.unwrap());
        Row::new(case.name)
            .text("direction", case.direction)
            .text("hex", &hex(&case.bytes))
            .text("why", case.why)
    });
    let text = reject::json().into_iter().map(|(name, direction, text, why)| {
        let refused = match direction {
            "client" => json::decode_client(&text).err(),
            _ => json::decode_server(&text).err(),
        };
        assert!(refused.is_some(), "accepted: {name} ({text})");
        println!("{name}: {}", refused.unwrap());
        Row::new(name).text("direction", direction).text("text", &text).text("why", why)
    });
    check("reject.json", binary.chain(text).collect());
}

#[test]
fn these_are_accepted_although_no_one_writes_them_so() {
    let binary = accept::binary().into_iter().map(|(name, direction, bytes)| {
        let (canonical, text) = if direction == "client" {
            let message = codec::decode_client(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            (client_bytes(&message), client_json(&message))
        } else {
            let message = codec::decode_server(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            (server_bytes(&message), server_json(&message))
        };
        assert_ne!(bytes, canonical, "{name} is canonical");
        Row::new(name)
            .text("direction", direction)
            .text("hex", &hex(&bytes))
            .text("canonical", &hex(&canonical))
            .raw("json", &text)
    });
    let text = accept::json().into_iter().map(|(name, given)| {
        let message = json::decode_client(&given).unwrap_or_else(|e| panic!("{name}: {e}"));
        let text = client_json(&message);
        assert_ne!(given, text, "{name} is canonical");
        Row::new(name)
            .text("direction", "client")
            .text("text", &given)
            .text("canonical", &hex(&client_bytes(&message)))
            .raw("json", &text)
    });
    check("accept.json", binary.chain(text).collect());
}

#[test]
fn hex_reads_back() {
    assert_eq!(unhex(&hex(&[0, 171, 255])), [0, 171, 255]);
}
