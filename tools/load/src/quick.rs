//! The content of a message in Madang's binary protocol, found without decoding what is around it: at a
//! million deliveries a second the decoding costs more than the reading. One in [`DECODED_OF`] messages is
//! decoded whole all the same, and so is whatever this does not understand.

use madang_protocol::varint;

/// Of so many messages of a connection one is decoded whole.
pub(crate) const DECODED_OF: u32 = 16;

/// `ServerMessage::Message`.
const MESSAGE: u8 = 3;
/// `ServerMessage::Ephemeral`.
const EPHEMERAL: u8 = 4;

/// The payload of a message to a room, if these bytes are one and its payload is bytes. `bytes` are
/// those of one message, without its length.
#[inline]
pub(crate) fn content(bytes: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = bytes.split_first()?;
    let rest = match *tag {
        // The channel, the seq, the sender, the time, and the sender's number.
        MESSAGE => (0..5).try_fold(rest, |rest, _| skip(rest))?,
        // The channel, the sender, and perhaps a key.
        EPHEMERAL => match skip(skip(rest)?)?.split_first()? {
            (0, rest) => rest,
            (1, rest) => skip(rest)?,
            _ => return None,
        },
        _ => return None,
    };
    let rest = match rest.split_first()? {
        (0, rest) => skip(rest)?,
        (1, rest) => {
            let (bytes, prefix) = varint::get(rest)?;
            rest.get(prefix.checked_add(usize::try_from(bytes).ok()?)?..)?
        }
        _ => return None,
    };
    let (0, rest) = rest.split_first()? else { return None };
    let (bytes, prefix) = varint::get(rest)?;
    let payload = rest.get(prefix..)?;
    (payload.len() as u64 == bytes).then_some(payload)
}

/// What is behind an integer.
#[inline]
fn skip(bytes: &[u8]) -> Option<&[u8]> {
    // Most are below 251.
    match bytes.split_first()? {
        (0..=250, rest) => Some(rest),
        _ => bytes.get(varint::get(bytes)?.1..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::ServerMessage;
    use madang_protocol::codec;
    use madang_protocol::ids::{Channel, Cseq, MemberId, Seq};
    use madang_protocol::server::{Ephemeral, Message, Pong};
    use madang_protocol::value::{Payload, TypeRef};
    use std::borrow::Cow;

    fn encoded(message: &ServerMessage<'_>) -> Vec<u8> {
        let mut batch = Vec::new();
        codec::encode_server(message, &mut batch);
        codec::split_batch(&batch).next().unwrap().unwrap().to_vec()
    }

    /// Whatever is found is what decoding finds, and what decoding refuses is not found.
    #[test]
    fn what_is_found_is_what_decoding_finds() {
        let mut seen = 0;
        for number in [0_u64, 250, 251, 65_535, 65_536, 1 << 40] {
            let small = number as u32;
            for r#type in [TypeRef::Id(small), TypeRef::Name(Cow::Borrowed("load"))] {
                for payload in [
                    Payload::Bytes(Cow::Owned(vec![7; 300])),
                    Payload::Bytes(Cow::Borrowed(&[])),
                    Payload::Text(Cow::Borrowed("text")),
                ] {
                    let message = ServerMessage::Message(Message {
                        channel: Channel(small),
                        seq: Seq(number),
                        from: MemberId(small),
                        at: number,
                        cseq: Cseq(number),
                        r#type: r#type.clone(),
                        payload: payload.clone(),
                    });
                    let ephemeral = |key| {
                        ServerMessage::Ephemeral(Ephemeral {
                            channel: Channel(small),
                            from: MemberId(small),
                            key,
                            r#type: r#type.clone(),
                            payload: payload.clone(),
                        })
                    };
                    for message in [message, ephemeral(None), ephemeral(Some(small))] {
                        let bytes = encoded(&message);
                        let expected = match &payload {
                            Payload::Bytes(bytes) => Some(bytes.as_ref()),
                            _ => None,
                        };
                        assert_eq!(content(&bytes), expected, "{message:?}");
                        seen += 1;
                        for cut in 0..bytes.len() {
                            assert_eq!(content(&bytes[..cut]), None, "{message:?} {cut}");
                        }
                        let longer = [&bytes[..], &[0]].concat();
                        assert_eq!(content(&longer), None, "{message:?}");
                    }
                }
            }
        }
        assert_eq!(seen, 6 * 2 * 3 * 3);
        let pong = ServerMessage::Pong(Pong { id: 1, server_time_us: 2 });
        assert_eq!(content(&encoded(&pong)), None);
    }
}
