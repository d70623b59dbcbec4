//! Bytes to messages and back, and the text of an event for a spectator.

use crate::case::Case;
use madang::watch::sse;
use madang_engine::encode::Encoder;
use madang_engine::peer::Wire;
use madang_protocol::client::{Class, ClientMessage, Publish};
use madang_protocol::ids::{Channel, Cseq, Epoch, MemberId, Seq};
use madang_protocol::server::{Message, ServerMessage};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{codec, json};
use std::borrow::Cow;
use std::hint::black_box;

/// What a player says.
const PAYLOAD: &[u8] = &[0x5a; 64];
/// A spectator's event: the JSON of a message of about 200 bytes.
const EVENT: &[u8] = br#"{"seq":48213,"from":17,"at":1318250,"type":"move","payload":{"text":"a position in the middle of a match, with a few fields more, so that it has the length that events of games have"}}"#;

pub(crate) fn cases() -> Vec<Case> {
    let mut published = Vec::new();
    codec::encode_client(&publish(), &mut published);
    let published = unprefixed(&published);
    let mut sent = Vec::new();
    codec::encode_server(&message(), &mut sent);
    let sent = unprefixed(&sent);
    let (mut to_server, mut to_client, mut text) = (Vec::new(), Vec::new(), Vec::new());
    let mut encoder = Encoder::default();
    let epoch = Epoch([0, 1, 2, 3, 4, 5, 6, 7]);
    vec![
        Case::new(("wire", "decode_publish"), move || {
            let message = codec::decode_client(black_box(&published)).expect("it was encoded");
            matches!(message, ClientMessage::Publish(_))
        })
        .allocates(0),
        Case::new(("wire", "encode_publish"), move || {
            to_server.clear();
            codec::encode_client(black_box(&publish()), &mut to_server);
        })
        .allocates(0),
        Case::new(("wire", "decode_message"), move || {
            let message = codec::decode_server(black_box(&sent)).expect("it was encoded");
            matches!(message, ServerMessage::Message(_))
        })
        .allocates(0),
        Case::new(("wire", "encode_message"), move || {
            to_client.clear();
            codec::encode_server(black_box(&message()), &mut to_client);
        })
        .allocates(0),
        Case::new(("wire", "encode_message_json"), move || {
            text.clear();
            json::encode_server(black_box(&message_text()), &mut text);
        }),
        // The frame that all receivers share is the allocation.
        Case::new(("wire", "encode_frame"), move || {
            encoder.frame(black_box(&message()), Wire::Native, &[])
        })
        .allocates(1),
        // The event's text while it is written, and then what all streams share.
        Case::new(("wire", "format_sse_event"), move || {
            sse::event("message", Some((epoch, 48_213)), black_box(EVENT))
        })
        .per(1, "event")
        .allocates_at_most(6),
    ]
}

/// What a client says of 64 bytes, its type by number.
pub(crate) fn publish() -> ClientMessage<'static> {
    publish_to(Channel(3), Cseq(1_000))
}

pub(crate) fn publish_to(channel: Channel, cseq: Cseq) -> ClientMessage<'static> {
    ClientMessage::Publish(Publish {
        channel,
        cseq,
        class: Class::Reliable,
        r#type: TypeRef::Id(0),
        payload: Payload::Bytes(Cow::Borrowed(PAYLOAD)),
    })
}

/// What the others hear.
pub(crate) fn message() -> ServerMessage<'static> {
    message_with(Payload::Bytes(Cow::Borrowed(PAYLOAD)))
}

fn message_text() -> ServerMessage<'static> {
    message_with(Payload::Text(
        "sixty-four bytes of text that somebody says to all in this room.".into(),
    ))
}

fn message_with(payload: Payload<'static>) -> ServerMessage<'static> {
    ServerMessage::Message(Message {
        channel: Channel(3),
        seq: Seq(48_213),
        from: MemberId(17),
        at: 1_318_250,
        cseq: Cseq(1_000),
        r#type: TypeRef::Id(0),
        payload,
    })
}

/// The message alone, as a batch is split into them.
fn unprefixed(batch: &[u8]) -> Vec<u8> {
    let message = codec::split_batch(batch).next().expect("one message");
    message.expect("well framed").to_vec()
}
