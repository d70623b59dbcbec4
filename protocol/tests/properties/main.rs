//! What holds for every message and for every sequence of bytes.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod state;
mod state_strategies;
mod strategies;

use madang_protocol::ids::{Channel, Cseq, MemberId, Seq};
use madang_protocol::limits::JSON_DEPTH_MAX;
use madang_protocol::server::Message;
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ClientMessage, ServerMessage, codec, json, varint};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::borrow::Cow;
use strategies::{client, server};

fn client_bytes(message: &ClientMessage<'_>) -> Vec<u8> {
    let mut batch = Vec::new();
    codec::encode_client(message, &mut batch);
    codec::split_batch(&batch).next().unwrap().unwrap().to_vec()
}

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

/// Bytes that look like a message for a while: a tag of the set, small numbers, then anything.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => 0_u8..4, 1 => 248_u8..=255, 1 => any::<u8>()];
    (0_u8..24, vec(byte, 0..80)).prop_map(|(tag, rest)| [vec![tag], rest].concat())
}

/// Text out of the words of the JSON twin.
fn likely_json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "true",
        "1",
        "-1.5e3",
        "9007199254740992",
        "\"hello\"",
        "\"join\"",
        "\"publish\"",
        "\"channel\"",
        "\"target\"",
        "\"name\"",
        "\"match\"",
        "\"class\"",
        "\"latest\"",
        "\"payload\"",
        "\"json\"",
        "\"bytes\"",
        "\"AA==\"",
        "\"type\"",
        "\"set_attributes\"",
        "\"attributes\"",
        "\"int\"",
        "\"float\"",
        "\"\\ud800\"",
        "\"resume\"",
        "\"message\"",
        "\"joined\"",
        "\"roster\"",
        "\"full\"",
        "\"presence\"",
        "\"event\"",
        "\"edit\"",
        "\"edits\"",
        "\"cseq\"",
        "\"set\"",
        "\"entity\"",
        "\"value\"",
        "\"one\"",
        "\"vec2\"",
        "\"snapshot\"",
        "\"part\"",
        "\"tick\"",
        " ",
    ]);
    vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(Config::with_cases(2000))]

    #[test]
    fn a_client_message_survives_both_forms(message in client()) {
        let bytes = client_bytes(&message);
        prop_assert_eq!(&codec::decode_client(&bytes).unwrap(), &message);
        let text = client_json(&message);
        prop_assert_eq!(&json::decode_client(&text).unwrap(), &message);
    }

    #[test]
    fn a_server_message_survives_both_forms(message in server()) {
        let bytes = server_bytes(&message);
        let decoded = codec::decode_server(&bytes).unwrap();
        prop_assert_eq!(&decoded, &message);
        prop_assert_eq!(&decoded.into_owned(), &message);
        let text = server_json(&message);
        prop_assert_eq!(&json::decode_server(&text).unwrap(), &message);
    }

    #[test]
    fn a_batch_splits_into_what_was_put_in(messages in vec(server(), 0..6)) {
        let mut batch = Vec::new();
        for message in &messages {
            codec::encode_server(message, &mut batch);
        }
        let parts: Result<Vec<&[u8]>, _> = codec::split_batch(&batch).collect();
        let parts = parts.unwrap();
        prop_assert_eq!(parts.len(), messages.len());
        for (part, message) in parts.iter().zip(&messages) {
            prop_assert_eq!(&codec::decode_server(part).unwrap(), message);
        }
    }

    #[test]
    fn a_mutated_message_never_panics(
        message in client(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = client_bytes(&message);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(message) = codec::decode_client(&bytes) {
            // Whatever is accepted has a canonical form that says the same.
            let canonical = client_bytes(&message);
            prop_assert_eq!(&codec::decode_client(&canonical).unwrap(), &message);
            prop_assert!(message.integers_in_bounds());
        }
    }

    #[test]
    fn a_mutated_server_message_never_panics(
        message in server(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = server_bytes(&message);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(message) = codec::decode_server(&bytes) {
            let canonical = server_bytes(&message);
            prop_assert_eq!(&codec::decode_server(&canonical).unwrap(), &message);
            prop_assert!(message.integers_in_bounds());
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(300))]

    #[test]
    fn a_cut_message_is_never_a_message(from_client in client(), from_server in server()) {
        let bytes = client_bytes(&from_client);
        for len in 0..bytes.len() {
            prop_assert!(codec::decode_client(&bytes[..len]).is_err(), "cut to {}", len);
        }
        let bytes = server_bytes(&from_server);
        for len in 0..bytes.len() {
            prop_assert!(codec::decode_server(&bytes[..len]).is_err(), "cut to {}", len);
        }
        let text = client_json(&from_client);
        for (len, _) in text.char_indices() {
            prop_assert!(json::decode_client(&text[..len]).is_err(), "cut to {}", len);
        }
    }

    #[test]
    fn one_byte_more_is_never_a_message(message in client(), more in any::<u8>()) {
        let mut bytes = client_bytes(&message);
        bytes.push(more);
        prop_assert!(codec::decode_client(&bytes).is_err());
    }
}

proptest! {
    #![proptest_config(Config::with_cases(20_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), likely in likely_bytes()) {
        for bytes in [&bytes, &likely] {
            let _ = codec::decode_client(bytes);
            let _ = codec::decode_server(bytes);
            let whole: usize = codec::split_batch(bytes).flatten().map(<[u8]>::len).sum();
            prop_assert!(whole <= bytes.len());
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), likely in likely_json()) {
        for text in [&text, &likely] {
            let _ = json::decode_client(text);
            let _ = json::decode_server(text);
        }
    }

    #[test]
    fn an_integer_reads_back_in_its_length(value in any::<u64>(), shift in 0_u32..64) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        varint::put(&mut bytes, value);
        prop_assert_eq!(bytes.len(), varint::len(value));
        prop_assert_eq!(varint::get(&bytes), Some((value, bytes.len())));
    }
}

/// A message as a JSON client receives it, with a payload that a binary client sent as `json`.
fn to_json_client(payload: &str) -> String {
    server_json(&ServerMessage::Message(Message {
        channel: Channel(1),
        seq: Seq(1),
        from: MemberId(1),
        at: 0,
        cseq: Cseq(1),
        r#type: TypeRef::Name(Cow::Borrowed("t")),
        payload: Payload::Json(Cow::Borrowed(payload)),
    }))
}

/// What looks like JSON for a while: half a surrogate pair, deep, cut, or JSON after all. Numbers
/// stay within a double, beyond which this test's own parser does not read.
fn likely_payload() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\":",
        "null",
        "true",
        "-1.5e3",
        "01",
        " ",
        "\n",
        "\"",
        "\\",
        "\\\\",
        "\\\"",
        "\\ud83c",
        "\\uDFAA",
        "\\ud83c\\udfaa",
        "\\u0041",
        "\\u",
        "\u{1}",
        "\u{2028}",
        "\u{feff}",
    ]);
    let words = vec(word, 0..12).prop_map(|words| words.concat());
    let string = words.clone().prop_map(|words| format!("[\"{words}\"]"));
    let deep = (string.clone(), 0_usize..200, 0_usize..200).prop_map(|(inner, arrays, objects)| {
        let (open, close) = ("[".repeat(arrays), "]".repeat(arrays));
        format!("{}{open}{inner}{close}{}", "{\"k\":".repeat(objects), "}".repeat(objects))
    });
    prop_oneof![words, string, deep, any::<String>()]
}

proptest! {
    #![proptest_config(Config::with_cases(20_000))]

    #[test]
    fn a_json_client_can_read_whatever_a_binary_client_sends_as_json(payload in likely_payload()) {
        let text = to_json_client(&payload);
        // This parser reads strictly and stops at 128 levels.
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        let got = &message["message"]["payload"];
        let sent = serde_json::from_str::<serde_json::Value>(&payload);
        match sent {
            Ok(sent) if depth(&sent) <= JSON_DEPTH_MAX => prop_assert_eq!(&got["json"], &sent),
            _ => prop_assert_eq!(got, &serde_json::json!({ "text": payload })),
        }
        // And this crate's own reading takes it back.
        prop_assert!(json::decode_server(&text).is_ok());
    }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn numbers_are_json_as_far_as_a_double_goes() {
    for number in ["1e308", "-1E-999", "123456789012345678901234567890", "-0"] {
        assert!(to_json_client(number).contains(&format!(r#"{{"json":{number}}}"#)), "{number}");
    }
    for number in ["1e999", "-1.5e30101"] {
        assert!(to_json_client(number).contains(&format!(r#"{{"text":"{number}"}}"#)), "{number}");
    }
}

#[test]
fn deep_json_is_refused_or_skipped_but_never_overflows_the_stack() {
    for depth in [1, 64, 65, 1000, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let payload = format!(
            r#"{{"publish":{{"channel":1,"cseq":1,"type":"t","payload":{{"json":{deep}}}}}}}"#
        );
        assert_eq!(json::decode_client(&payload).is_ok(), depth <= JSON_DEPTH_MAX, "{depth}");
        assert_eq!(to_json_client(&deep).contains(r#"{"json":"#), depth <= JSON_DEPTH_MAX);
        let skipped = format!(r#"{{"leave":{{"channel":1,"more":{deep}}}}}"#);
        assert!(json::decode_client(&skipped).is_ok());
        let attribute =
            format!(r#"{{"set_attributes":{{"channel":1,"cseq":1,"attributes":[["a",{deep}]]}}}}"#);
        assert!(json::decode_client(&attribute).is_err());
        assert!(json::decode_client(&deep).is_err());
    }
}
