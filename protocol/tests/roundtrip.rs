//! Every message survives both forms.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use madang_protocol::client::*;
use madang_protocol::ids::*;
use madang_protocol::limits::EDITS_MAX;
use madang_protocol::server::*;
use madang_protocol::state::{FieldValue, LIST_MAX, Part, ScalarValue};
use madang_protocol::value::*;
use madang_protocol::{ClientMessage, ServerMessage, codec, json};
use std::borrow::Cow;

fn publish(payload: Payload<'static>) -> ClientMessage<'static> {
    ClientMessage::Publish(Publish {
        channel: Channel(3),
        cseq: Cseq(7),
        class: Class::Latest(2),
        r#type: TypeRef::Name(Cow::Borrowed("chat")),
        payload,
    })
}

fn check_client(message: &ClientMessage<'_>) {
    let mut bytes = Vec::new();
    codec::encode_client(message, &mut bytes);
    let one = codec::split_batch(&bytes).next().unwrap().unwrap();
    assert_eq!(&codec::decode_client(one).unwrap(), message);
    let mut text = Vec::new();
    json::encode_client(message, &mut text);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(&json::decode_client(&text).unwrap(), message, "{text}");
}

#[test]
fn payloads_of_each_format_survive_both_forms() {
    check_client(&publish(Payload::Bytes(Cow::Borrowed(&[0, 255, 7]))));
    check_client(&publish(Payload::Text(Cow::Borrowed("안녕 \"x\"\n"))));
    check_client(&publish(Payload::Json(Cow::Borrowed("{\"a\":[1,2.5,null]}"))));
    check_client(&publish(Payload::Bytes(Cow::Owned(vec![9; 70_000]))));
}

#[test]
fn a_payload_may_be_of_any_size_up_to_the_bound() {
    // The decoder's limits change at 64 KiB and 1 MiB; the 14 bytes are those around the payload.
    for len in [64 << 10, 1 << 20, 16 << 20] {
        for len in [len - 14 - 1, len - 14, len - 14 + 1] {
            let mut bytes = Vec::new();
            codec::encode_client(&publish(Payload::Bytes(Cow::Owned(vec![7; len]))), &mut bytes);
            let one = codec::split_batch(&bytes).next().unwrap().unwrap();
            let decoded = codec::decode_client(one);
            if one.len() > 16 << 20 {
                assert_eq!(decoded, Err(codec::DecodeError::TooLarge));
            } else {
                let ClientMessage::Publish(publish) = decoded.unwrap() else { panic!() };
                assert_eq!(publish.payload.len(), len);
            }
        }
    }
}

#[test]
fn edits_that_take_little_room_on_the_wire_survive_in_any_number() {
    // The decoder bounds memory by a multiple of the bytes: the shortest edits and elements are the
    // worst. These end on each side of its changes at 64 KiB and 1 MiB.
    let edit = |edits| ClientMessage::Edit(Edit { channel: Channel(3), cseq: Cseq(7), edits });
    let bools = |len| {
        let list = FieldValue::List(vec![ScalarValue::Bool(true); len]);
        let (entity, value) = (EntityRef::Id(7), Some(list));
        StateEdit::Set { entity, field: 1, value, if_version: None }
    };
    for lists in [1, 7, 8, 9, 127, 129, 256] {
        check_client(&edit(vec![bools(LIST_MAX); lists]));
    }
    for edits in [EDITS_MAX, 20_000, 23_000, 340_000, 360_000] {
        check_client(&edit(vec![StateEdit::Remove { entity: EntityRef::Id(7) }; edits]));
        check_client(&edit(vec![bools(0); edits]));
        let fields = vec![(1, FieldValue::List(Vec::new())); edits];
        check_client(&edit(vec![StateEdit::Create { temp: 1, kind: 1, fields }]));
    }
}

#[test]
fn decoding_borrows_state() {
    let message = |bytes: &'static [u8]| {
        ServerMessage::Snapshot(Snapshot {
            channel: Channel(3),
            part: Part::Members,
            tick: 1,
            seq: Seq(1),
            hash: 1,
            state: Cow::Borrowed(bytes),
        })
    };
    let mut bytes = Vec::new();
    codec::encode_server(&message(b"xyz"), &mut bytes);
    let one = codec::split_batch(&bytes).next().unwrap().unwrap();
    let ServerMessage::Snapshot(snapshot) = codec::decode_server(one).unwrap() else { panic!() };
    assert!(matches!(snapshot.state, Cow::Borrowed(b"xyz")));
}

#[test]
fn decoding_borrows_payload_and_type() {
    let mut bytes = Vec::new();
    codec::encode_client(&publish(Payload::Bytes(Cow::Borrowed(b"xyz"))), &mut bytes);
    let one = codec::split_batch(&bytes).next().unwrap().unwrap();
    let ClientMessage::Publish(publish) = codec::decode_client(one).unwrap() else { panic!() };
    assert!(matches!(publish.payload, Payload::Bytes(Cow::Borrowed(_))));
    assert!(matches!(publish.r#type, TypeRef::Name(Cow::Borrowed(_))));
}

#[test]
fn attribute_values_survive_both_forms() {
    let message = ClientMessage::SetAttributes(SetAttributes {
        channel: Channel(1),
        cseq: Cseq(1),
        attributes: vec![
            ("a".into(), Value::Null),
            ("b".into(), Value::Bool(true)),
            ("c".into(), Value::Int(-3)),
            ("d".into(), Value::Float(2.0)),
            ("e".into(), Value::Text("x".into())),
            ("f".into(), Value::Bytes(vec![1, 2])),
        ],
    });
    check_client(&message);
}

#[test]
fn a_hello_needs_little_in_json() {
    let text = r#"{"hello":{"version_min":1,"version_max":1}}"#;
    let ClientMessage::Hello(hello) = json::decode_client(text).unwrap() else { panic!() };
    assert_eq!(hello.version_max, 1);
    let text = r#"{"join":{"ref":1,"target":{"name":"lobby"}}}"#;
    let ClientMessage::Join(join) = json::decode_client(text).unwrap() else { panic!() };
    assert_eq!(join.mode, JoinMode::Either);
    assert!(join.options.echo);
}

#[test]
fn invalid_json_payloads_reach_json_clients_as_text() {
    let message = ServerMessage::Reply(Reply {
        channel: Channel(1),
        cseq: Cseq(1),
        payload: Payload::Json(Cow::Borrowed("{oops")),
    });
    let mut text = Vec::new();
    json::encode_server(&message, &mut text);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        r#"{"reply":{"channel":1,"cseq":1,"payload":{"text":"{oops"}}}"#
    );
}

#[test]
fn a_key_is_hex_in_json_and_raw_in_binary() {
    let key = ResumeKey::from_parts(1, 2, 3, [0xab; 16]);
    assert_eq!((key.node(), key.shard(), key.slot()), (1, 2, 3));
    assert!(key.secret_eq(&[0xab; 16]) && !key.secret_eq(&[0; 16]));
    check_client(&ClientMessage::Hello(Hello {
        resume: Some(Resume {
            key,
            rooms: vec![RoomPosition { channel: Channel(1), epoch: Epoch([7; 8]), seq: Seq(9) }],
        }),
        ..Hello::default()
    }));
    assert_eq!(format!("{key:?}"), "ResumeKey(..)");
}
