//! Bounds: those the wire itself sets, and those a server announces.

use serde::{Deserialize, Serialize};

/// Largest message or batch that any server may be configured to accept or send, in bytes.
pub const MESSAGE_BYTES_CAP: usize = 16 << 20;
/// Longest type name in bytes.
pub const TYPE_BYTES_MAX: usize = 64;
/// Most type names that a room numbers; further names travel as names.
pub const TYPES_PER_ROOM_MAX: usize = 250;
/// Longest room name in bytes.
pub const ROOM_NAME_BYTES_MAX: usize = 128;
/// Longest attribute or label name in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest label value in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Most changes in one `Edit`.
pub const EDITS_MAX: usize = 256;
/// Longest ban in seconds: a year.
pub const BAN_SECONDS_MAX: u32 = 365 * 24 * 3600;
/// Longest name of a user in bytes.
pub const USER_BYTES_MAX: usize = 256;
/// Most labels of a room.
pub const LABELS_MAX: usize = 16;
/// Most arrays and objects inside each other in a `json` payload: what common parsers read by
/// default, with room for the message around it.
pub const JSON_DEPTH_MAX: usize = 64;

const _: () = assert!(TYPES_PER_ROOM_MAX <= 250, "a type number stays one byte");

/// Whether a room may have this name: 1 to [`ROOM_NAME_BYTES_MAX`] bytes out of letters, digits
/// and `-._~:@` (ASCII). `/` is reserved for tenants.
pub fn is_room_name(name: &str) -> bool {
    (1..=ROOM_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:@".contains(&b))
}

/// Whether a message type may have this name: 1 to [`TYPE_BYTES_MAX`] bytes, no control characters.
pub fn is_type_name(name: &str) -> bool {
    (1..=TYPE_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// What a server accepts, as told in `Welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest WebSocket message from the client, in bytes.
    pub message_bytes_max: u32,
    /// Largest WebSocket message from the server, in bytes.
    pub batch_bytes_max: u32,
    /// Most rooms of a session.
    pub rooms_max: u32,
    /// Most messages of history that a join may ask for.
    pub history_messages_max: u32,
    /// Most bytes of all attributes of a member, names and values together.
    pub attributes_bytes_max: u32,
    /// Sustained messages a second from the client; faster is slowed.
    pub messages_per_second: u32,
}
