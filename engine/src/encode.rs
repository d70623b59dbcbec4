//! Messages to frames: once per audience, counted.

use crate::frame::Frame;
use crate::peer::{Encoded, Wire};
use madang_protocol::server::ServerMessage;
use madang_protocol::value::TypeRef;
use madang_protocol::{codec, json};
use std::borrow::Cow;

/// Encodes into a scratch buffer that is kept, so that a frame is one allocation.
#[derive(Debug, Default)]
pub struct Encoder {
    scratch: Vec<u8>,
    /// Frames encoded.
    pub encodes: u64,
}

impl Encoder {
    /// Encodes for one receiver. A type number becomes its name in JSON.
    pub fn frame(&mut self, message: &ServerMessage<'_>, wire: Wire, types: &[Box<str>]) -> Frame {
        self.encodes += 1;
        self.scratch.clear();
        match wire {
            Wire::Json => encode_json(message, types, &mut self.scratch),
            Wire::Native | Wire::Raw => codec::encode_server(message, &mut self.scratch),
        }
        Frame::new(&self.scratch)
    }

    /// The same message for one receiver, from its native form.
    pub fn reframe(&mut self, native: &Frame, wire: Wire, types: &[Box<str>]) -> Frame {
        if wire != Wire::Json {
            return native.clone();
        }
        let message = codec::split_batch(native)
            .next()
            .and_then(Result::ok)
            .and_then(|bytes| codec::decode_server(bytes).ok())
            .expect("a frame that this engine encoded decodes");
        self.frame(&message, wire, types)
    }

    /// Encodes once for each kind of receiver that a room has.
    pub fn encoded(
        &mut self,
        message: &ServerMessage<'_>,
        has_json: bool,
        types: &[Box<str>],
    ) -> (Frame, Encoded) {
        let native = self.frame(message, Wire::Native, types);
        let json = has_json.then(|| self.frame(message, Wire::Json, types));
        (native.clone(), Encoded::Wire { native: Some(native), json })
    }
}

/// Appends a message as JSON, with a type's name instead of its number.
pub fn encode_json(message: &ServerMessage<'_>, types: &[Box<str>], out: &mut Vec<u8>) {
    match with_type_name(message, types) {
        Some(named) => json::encode_server(&named, out),
        None => json::encode_server(message, out),
    }
}

/// The message with its type number replaced by the name; `None` where it has no number.
fn with_type_name<'m>(
    message: &'m ServerMessage<'m>,
    types: &'m [Box<str>],
) -> Option<ServerMessage<'m>> {
    let name_of = |type_ref: &TypeRef<'_>| match type_ref {
        TypeRef::Id(id) => {
            types.get(*id as usize).map(|name| TypeRef::Name(Cow::Borrowed(&**name)))
        }
        TypeRef::Name(_) => None,
    };
    match message {
        ServerMessage::Message(message) => {
            let r#type = name_of(&message.r#type)?;
            let payload = message.payload.borrowed();
            Some(ServerMessage::Message(madang_protocol::server::Message {
                r#type,
                payload,
                ..*message
            }))
        }
        ServerMessage::Ephemeral(message) => {
            let r#type = name_of(&message.r#type)?;
            let payload = message.payload.borrowed();
            Some(ServerMessage::Ephemeral(madang_protocol::server::Ephemeral {
                r#type,
                payload,
                ..*message
            }))
        }
        ServerMessage::Direct(message) => {
            let r#type = name_of(&message.r#type)?;
            let payload = message.payload.borrowed();
            Some(ServerMessage::Direct(madang_protocol::server::DirectMessage {
                r#type,
                payload,
                ..*message
            }))
        }
        _ => None,
    }
}
