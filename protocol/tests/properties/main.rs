//! What holds for every message and for every sequence of bytes.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod state;
mod strategies;

use madang_protocol::{ClientMessage, ServerMessage, codec, json, varint};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
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
    (0_u8..20, vec(byte, 0..80)).prop_map(|(tag, rest)| [vec![tag], rest].concat())
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
        prop_assert_eq!(&codec::decode_server(&bytes).unwrap(), &message);
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

#[test]
fn deep_json_is_refused_or_carried_but_never_overflows_the_stack() {
    for depth in [100, 1000, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let payload = format!(
            r#"{{"publish":{{"channel":1,"cseq":1,"type":"t","payload":{{"json":{deep}}}}}}}"#
        );
        let ClientMessage::Publish(publish) = json::decode_client(&payload).unwrap() else {
            panic!("not a publish")
        };
        assert_eq!(publish.payload.len(), 2 * depth);
        let skipped = format!(r#"{{"leave":{{"channel":1,"more":{deep}}}}}"#);
        assert!(json::decode_client(&skipped).is_ok());
        let attribute =
            format!(r#"{{"set_attributes":{{"channel":1,"cseq":1,"attributes":[["a",{deep}]]}}}}"#);
        assert!(json::decode_client(&attribute).is_err());
        assert!(json::decode_client(&deep).is_err());
    }
}
