//! Close codes, listed once. SPEC.md repeats this table and a test compares the two.

/// A WebSocket close code that the server sends, with what a client should do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode {
    /// The code on the wire.
    pub code: u16,
    /// The reason text that goes with it, and the label of its counter.
    pub name: &'static str,
    /// Whether the session lives on and can be resumed with its key. When false the client does
    /// not reconnect by itself.
    pub resumable: bool,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! close_codes {
    ($($name:ident = $code:literal, $text:literal, $resumable:ident, $meaning:literal;)*) => {
        impl CloseCode {
            $(
                #[doc = $meaning]
                pub const $name: CloseCode = CloseCode {
                    code: $code,
                    name: $text,
                    resumable: close_codes!(@ $resumable),
                    meaning: $meaning,
                };
            )*
            /// Every code, ascending.
            pub const ALL: &'static [CloseCode] = &[$(CloseCode::$name),*];

            /// The entry of a code on the wire, if it is one of these.
            pub fn find(code: u16) -> Option<CloseCode> {
                Self::ALL.iter().copied().find(|known| known.code == code)
            }
        }
    };
    (@ resumable) => { true };
    (@ terminal) => { false };
}

close_codes! {
    NORMAL = 1000, "normal", terminal, "The client closed with 1000: the session ended with it.";
    PROTOCOL = 1002, "protocol_error", terminal, "The WebSocket framing was broken.";
    INVALID_PAYLOAD = 1007, "invalid_payload", terminal, "A text message was not UTF-8.";
    TOO_BIG = 1009, "message_too_big", terminal, "A message was larger than the limit.";
    INTERNAL = 1011, "internal_error", resumable, "The server failed; this is its fault.";
    UNAUTHORIZED = 4001, "unauthorized", terminal, "The credential was missing or refused.";
    EXPIRED = 4002, "expired", resumable, "The credential expired and no new one came; resume with a new one.";
    HELLO_TIMEOUT = 4003, "hello_timeout", terminal, "No hello came in time.";
    BAD_MESSAGE = 4004, "bad_message", terminal, "A message could not be decoded or was not allowed at this point.";
    UNSUPPORTED_VERSION = 4005, "unsupported_version", terminal, "Client and server share no protocol version.";
    HELLO_TOO_BIG = 4006, "hello_too_big", terminal, "Too many bytes came before the session was accepted.";
    RATE_LIMITED = 4007, "rate_limited", resumable, "The client went on asking for far more than it may, after it had been slowed down.";
    SLOW_CONSUMER = 4008, "slow_consumer", resumable, "The client read too slowly and its queue of reliable messages was full.";
    REPLACED = 4009, "replaced", terminal, "The session was resumed on another connection.";
    LIVENESS_TIMEOUT = 4010, "liveness_timeout", resumable, "Nothing came from the client in time, not even an answer to a ping.";
    DRAINING = 4011, "draining", resumable, "The server is going away; reconnect after the hint of the draining message.";
    KICKED = 4012, "kicked", terminal, "The client was removed.";
    CONTROL_OVERFLOW = 4013, "control_overflow", resumable, "Too many answers were waiting: the client asked faster than it read.";
    ROOM_CLOSED = 4014, "room_closed", terminal, "The raw room was closed.";
    ROOM_REFUSED = 4015, "room_refused", terminal, "The raw room could not be joined: it is full, or not a raw room.";
    BUSY = 4017, "busy", resumable, "The server is at a limit; try again later.";
    SUPERSEDED = 4018, "superseded", resumable, "An earlier attempt to resume the session was dealt with late and took this connection's place; resume again.";
}
