//! What is said on a connection, by protocol: the way into a room, a publication, a sign of life,
//! and what the server's messages mean.

mod colyseus;
mod socket_io;

use crate::quick::{self, DECODED_OF};
use crate::websocket::{self, BINARY, PING, TEXT, Violation};
use clap::ValueEnum;
use madang_protocol::client::{
    Class, CreateOptions, Hello, Join, JoinMode, JoinOptions, JoinTarget, Ping, PresenceMode,
    Publish, Resume,
};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::server::{ErrorMessage, Joined};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ClientMessage, SUBPROTOCOL, SUBPROTOCOL_JSON, ServerMessage, VERSION};
use madang_protocol::{codec, json};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// From so many bytes on, messages share a frame with no more.
const SHARED_BYTES: usize = 16 << 10;
/// The type name of this tool's messages.
const TYPE: &str = "load";
/// The mask of this tool's frames. RFC 6455 wants it unpredictable for the sake of proxies; a load
/// generator has none to protect.
const MASK: [u8; 4] = [0x6d, 0x61, 0x64, 0x67];

/// How the connections speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Dialect {
    /// WebSocket messages relayed as they are: Madang's `/raw/{room}`, or any other relay
    Raw,
    /// Madang's binary protocol
    Native,
    /// The same as JSON text
    Json,
    /// Socket.IO, to a server like `benches/peers/node/socket-io.js`
    SocketIo,
    /// Colyseus, to a server like `benches/peers/node/colyseus.js`
    Colyseus,
}

/// The way into a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entrance {
    pub(crate) echo: bool,
    pub(crate) presence: PresenceMode,
}

/// How a connection becomes a member behind its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayIn {
    /// It is one.
    Through,
    /// It asks at once.
    Ask,
    /// It waits for what the server says first.
    Wait,
}

/// What a connection has to remember of its room.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seat {
    channel: Channel,
    cseq: u64,
    type_number: Option<u32>,
    /// The next frame belongs to an event that was announced (Socket.IO).
    has_attachment: bool,
    /// Messages since the last one that was decoded whole.
    undecoded: u32,
}

/// What the server's message means to the tool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// The server is ready to be asked for the room.
    Admitted,
    /// In the room.
    Joined,
    /// A message of the room.
    Message(Cow<'a, [u8]>),
    /// The answer to a sign of life.
    Alive,
    /// Something was refused.
    Refused(String),
    /// Nothing that matters here.
    Other,
}

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Native => "native",
            Self::Json => "json",
            Self::SocketIo => "socket-io",
            Self::Colyseus => "colyseus",
        }
    }

    /// Whether it is one of Madang's protocols, which have delivery classes and acknowledgements.
    pub(crate) fn has_classes(self) -> bool {
        matches!(self, Self::Native | Self::Json)
    }

    pub(crate) fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Raw | Self::SocketIo | Self::Colyseus => None,
            Self::Native => Some(SUBPROTOCOL),
            Self::Json => Some(SUBPROTOCOL_JSON),
        }
    }

    /// Where a connection for a room goes, if nothing else was asked for.
    pub(crate) fn default_path(self) -> &'static str {
        match self {
            Self::Raw => "/raw/{room}",
            Self::Native | Self::Json => "/play?room={room}",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Self::Colyseus => "/matchmake/joinOrCreate/relay",
        }
    }

    /// The request that comes before the handshake and says where that goes, if there is one.
    pub(crate) fn reserve(
        self,
        host: &str,
        path: &str,
        room: &str,
        entrance: &Entrance,
    ) -> Option<Vec<u8>> {
        (self == Self::Colyseus).then(|| colyseus::request(host, path, room, entrance.echo))
    }

    /// Reads the answer to that: how many bytes it took and the path for the handshake. `None` while it is
    /// incomplete.
    pub(crate) fn reservation(input: &[u8]) -> Result<Option<(usize, String)>, Violation> {
        colyseus::reservation(input)
    }

    /// What makes a connection that has done its handshake a member of its room.
    pub(crate) fn way_in(self) -> WayIn {
        match self {
            Self::Raw => WayIn::Through,
            Self::Native | Self::Json => WayIn::Ask,
            Self::SocketIo | Self::Colyseus => WayIn::Wait,
        }
    }

    /// Appends the request for the room: at once behind the handshake, or when the server has let the
    /// connection in.
    pub(crate) fn put_entrance(self, room: &str, entrance: &Entrance, out: &mut Vec<u8>) {
        if self == Self::SocketIo {
            return socket_io::put_entrance(room, entrance.echo, out);
        }
        let hello = hello(None);
        let create =
            CreateOptions { presence: Some(entrance.presence), ..CreateOptions::default() };
        let join = ClientMessage::Join(Join {
            r#ref: 1,
            target: JoinTarget::Name(room.to_owned()),
            mode: JoinMode::Either,
            options: JoinOptions {
                echo: entrance.echo,
                create: Some(create),
                ..JoinOptions::default()
            },
            since: None,
            history: 0,
            ext: Vec::new(),
        });
        self.put(&[hello, join], out);
    }

    /// Appends a publication.
    pub(crate) fn put_message(
        self,
        seat: &mut Seat,
        class: Class,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Raw => return websocket::put_frame(out, BINARY, payload, MASK),
            Self::SocketIo => return socket_io::put_message(payload, out),
            Self::Colyseus => return colyseus::put_message(payload, out),
            Self::Native | Self::Json => {}
        }
        seat.cseq += 1;
        let r#type = match seat.type_number {
            Some(number) => TypeRef::Id(number),
            None => TypeRef::Name(Cow::Borrowed(TYPE)),
        };
        let publish = ClientMessage::Publish(Publish {
            channel: seat.channel,
            cseq: Cseq(seat.cseq),
            class,
            r#type,
            payload: Payload::Bytes(Cow::Borrowed(payload)),
        });
        self.put(&[publish], out);
    }

    /// Appends something that is answered by [`Heard::Alive`].
    pub(crate) fn put_sign_of_life(self, out: &mut Vec<u8>) {
        match self {
            Self::Raw | Self::SocketIo | Self::Colyseus => {
                websocket::put_frame(out, PING, b"alive?", MASK);
            }
            Self::Native | Self::Json => self.put(&[ClientMessage::Ping(Ping { id: 1 })], out),
        }
    }

    /// Appends a control frame.
    pub(crate) fn put_control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
        websocket::put_frame(out, opcode, payload, MASK);
    }

    /// Appends a message to a raw room.
    pub(crate) fn put_raw(payload: &[u8], out: &mut Vec<u8>) {
        websocket::put_frame(out, BINARY, payload, MASK);
    }

    /// Appends these messages.
    pub(crate) fn put(self, messages: &[ClientMessage<'_>], out: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(256);
        for message in messages {
            if self == Self::Json {
                json::encode_client(message, &mut bytes);
                websocket::put_frame(out, TEXT, &bytes, MASK);
                bytes.clear();
                continue;
            }
            codec::encode_client(message, &mut bytes);
            // What a session says again when it is back may be more than a server takes at once.
            if bytes.len() >= SHARED_BYTES {
                websocket::put_frame(out, BINARY, &bytes, MASK);
                bytes.clear();
            }
        }
        if !bytes.is_empty() {
            websocket::put_frame(out, BINARY, &bytes, MASK);
        }
    }

    /// Calls `tell` for every message in a WebSocket message of native or JSON form, as it is.
    ///
    /// # Errors
    ///
    /// When it does not hold what the protocol says.
    pub(crate) fn each_message(
        self,
        opcode: u8,
        payload: &[u8],
        mut tell: impl FnMut(ServerMessage<'_>),
    ) -> Result<(), String> {
        match (self, opcode) {
            (Self::Native, BINARY) => {
                for bytes in codec::split_batch(payload) {
                    let message = bytes.and_then(codec::decode_server);
                    tell(message.map_err(|error| error.to_string())?);
                }
            }
            (Self::Json, TEXT) => {
                let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
                tell(json::decode_server(text).map_err(|error| error.to_string())?);
            }
            _ => return Err(format!("a frame with opcode {opcode} under {}", self.name())),
        }
        Ok(())
    }

    /// Calls `tell` for every message in a WebSocket message. What has to be answered at once goes to
    /// `out`, framed.
    ///
    /// # Errors
    ///
    /// When it does not hold what the protocol says.
    pub(crate) fn hear(
        self,
        seat: &mut Seat,
        opcode: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
        mut tell: impl FnMut(Heard<'_>),
    ) -> Result<(), String> {
        match (self, opcode) {
            (Self::Raw, _) => tell(Heard::Message(Cow::Borrowed(payload))),
            (Self::Native, BINARY) => {
                for bytes in codec::split_batch(payload) {
                    let bytes = bytes.map_err(|error| error.to_string())?;
                    seat.undecoded += 1;
                    if seat.undecoded < DECODED_OF
                        && let Some(content) = quick::content(bytes)
                    {
                        tell(Heard::Message(Cow::Borrowed(content)));
                        continue;
                    }
                    seat.undecoded = 0;
                    let message = codec::decode_server(bytes);
                    tell(understand(seat, message.map_err(|error| error.to_string())?));
                }
            }
            (Self::Json, _) => {
                self.each_message(opcode, payload, |message| tell(understand(seat, message)))?;
            }
            (Self::SocketIo, _) => tell(socket_io::understand(seat, opcode, payload, out)?),
            (Self::Colyseus, BINARY) => tell(colyseus::understand(payload, out)?),
            _ => return Err(format!("a frame with opcode {opcode} under {}", self.name())),
        }
        Ok(())
    }
}

/// The first message of a connection, for a new session or for one that is to be taken up.
pub(crate) fn hello(resume: Option<Resume>) -> ClientMessage<'static> {
    ClientMessage::Hello(Hello {
        version_min: VERSION,
        version_max: VERSION,
        client: concat!("madang-load/", env!("CARGO_PKG_VERSION")).to_owned(),
        resume,
        ..Hello::default()
    })
}

fn understand<'a>(seat: &mut Seat, message: ServerMessage<'a>) -> Heard<'a> {
    match message {
        ServerMessage::Joined(joined) => {
            take_seat(seat, &joined);
            Heard::Joined
        }
        ServerMessage::Types(types) => {
            learn(seat, types.first, &types.names);
            Heard::Other
        }
        ServerMessage::Message(message) => content(message.payload),
        ServerMessage::Ephemeral(message) => content(message.payload),
        ServerMessage::Pong(_) => Heard::Alive,
        ServerMessage::Error(ErrorMessage { code, message, .. }) => {
            Heard::Refused(format!("{code:?}: {message}"))
        }
        _ => Heard::Other,
    }
}

fn take_seat(seat: &mut Seat, joined: &Joined) {
    seat.channel = joined.channel;
    seat.cseq = joined.applied_cseq.0;
    learn(seat, 0, &joined.types);
}

fn learn(seat: &mut Seat, first: u32, names: &[String]) {
    let place = names.iter().position(|name| name == TYPE);
    seat.type_number = place.map(|place| first + place as u32).or(seat.type_number);
}

fn content(payload: Payload<'_>) -> Heard<'_> {
    match payload {
        Payload::Bytes(bytes) => Heard::Message(bytes),
        // This tool sends bytes; what is text will be told to be foreign.
        Payload::Text(text) | Payload::Json(text) => {
            Heard::Message(Cow::Owned(text.into_owned().into_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::server::Types;

    #[test]
    fn the_type_is_named_until_its_number_is_known() {
        let mut seat = Seat::default();
        let types = Types { channel: Channel(0), first: 3, names: vec!["x".into(), TYPE.into()] };
        assert_eq!(understand(&mut seat, ServerMessage::Types(types)), Heard::Other);
        assert_eq!(seat.type_number, Some(4));
        learn(&mut seat, 0, &["other".into()]);
        assert_eq!(seat.type_number, Some(4));
    }

    #[test]
    fn raw_messages_are_taken_as_they_are() {
        let mut heard = Vec::new();
        let out = &mut Vec::new();
        let result = Dialect::Raw.hear(&mut Seat::default(), TEXT, b"hi", out, |what| {
            let Heard::Message(bytes) = what else { panic!("{what:?}") };
            heard.push(bytes.into_owned());
        });
        assert_eq!((result, heard), (Ok(()), vec![b"hi".to_vec()]));
    }

    #[test]
    fn what_the_protocol_does_not_allow_is_an_error() {
        let (mut seat, mut out) = (Seat::default(), Vec::new());
        let mut fails = |dialect: Dialect, opcode, payload| {
            dialect.hear(&mut seat, opcode, payload, &mut out, |_| {}).is_err()
        };
        assert!(fails(Dialect::Native, TEXT, b""));
        assert!(fails(Dialect::Native, BINARY, &[3, 1]));
        assert!(fails(Dialect::Json, TEXT, b"{"));
        assert!(fails(Dialect::Colyseus, TEXT, b"x"));
    }

    #[test]
    fn much_that_is_said_at_once_goes_in_frames_of_a_size_that_servers_take() {
        let text = "x".repeat(1000);
        let message = |cseq| {
            ClientMessage::Publish(Publish {
                channel: Channel(0),
                cseq: Cseq(cseq),
                class: Class::Reliable,
                r#type: TypeRef::Name(Cow::Borrowed(TYPE)),
                payload: Payload::Text(Cow::Borrowed(&text)),
            })
        };
        let messages: Vec<_> = (1..=100).map(message).collect();
        let mut out = Vec::new();
        Dialect::Native.put(&messages, &mut out);
        // Heads of frames with a length of two bytes, and a mask of four.
        let (mut at, mut frames) = (0, 0);
        while let Some([_, 0xfe, high, low]) = out.get(at..at + 4) {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            assert!(len <= SHARED_BYTES + 1100, "{len}");
            at += 8 + len;
            frames += 1;
        }
        assert_eq!((at, frames), (out.len(), 6));
    }
}
