//! Identifiers as newtypes, so that a seq can never be passed for a member.
//!
//! Integers are varints on the binary wire and plain numbers in JSON; they never exceed
//! [`INTEGER_MAX`]. Fixed-size identifiers are raw bytes on the binary wire and lower-case hex in
//! JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Largest integer on the wire, 2^53 - 1: what a JavaScript number holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A room as its members name it after the join: small, the same for every member of the room
    /// on one node, and not reused within minutes of the room's end.
    Channel(u32)
}
number! {
    /// A session's presence in one room; ascending, never reused within an epoch.
    MemberId(u32)
}
number! {
    /// A room's message number, from 1 within an epoch. 0 means "before the first".
    Seq(u64)
}
number! {
    /// A client's own number for what it sends to one room: strictly ascending per session and
    /// room over publish, direct, request and set-attributes. 0 means "none yet".
    Cseq(u64)
}
number! {
    /// A connection, for logs and support; unique within a node's life.
    ConnectionId(u64)
}

macro_rules! fixed {
    ($(#[$meta:meta])* $name:ident($len:expr)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl Default for $name {
            fn default() -> Self {
                Self([0; $len])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(HexVisitor::<$len>).map(Self)
                } else {
                    <[u8; $len]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

fixed! {
    /// A room's incarnation: random, changes whenever a seq could be reused.
    Epoch(8)
}
fixed! {
    /// A session's public identity.
    SessionId(16)
}
fixed! {
    /// What resumes a session: node (2 bytes), shard (2), slot (4), each little-endian, and a
    /// 16-byte secret. Clients treat it as opaque. It is a credential: never logged.
    ResumeKey(24)
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl fmt::Debug for ResumeKey {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeKey(..)")
    }
}

impl ResumeKey {
    /// Builds a key from its parts.
    pub fn from_parts(node: u16, shard: u16, slot: u32, secret: [u8; 16]) -> Self {
        let mut bytes = [0; 24];
        bytes[0..2].copy_from_slice(&node.to_le_bytes());
        bytes[2..4].copy_from_slice(&shard.to_le_bytes());
        bytes[4..8].copy_from_slice(&slot.to_le_bytes());
        bytes[8..].copy_from_slice(&secret);
        Self(bytes)
    }

    /// The node that holds the session.
    pub fn node(&self) -> u16 {
        u16::from_le_bytes([self.0[0], self.0[1]])
    }

    /// The shard that holds the session.
    pub fn shard(&self) -> u16 {
        u16::from_le_bytes([self.0[2], self.0[3]])
    }

    /// The session's slot on that shard.
    pub fn slot(&self) -> u32 {
        u32::from_le_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// Whether the secrets are equal, compared without an early exit.
    pub fn secret_eq(&self, secret: &[u8; 16]) -> bool {
        self.0[8..].iter().zip(secret).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }
}

struct HexVisitor<const N: usize>;

impl<const N: usize> de::Visitor<'_> for HexVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hexadecimal digits", N * 2)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; N], E> {
        let digits = text.as_bytes();
        if digits.len() != N * 2 {
            return Err(E::invalid_length(digits.len(), &self));
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = (pair[0] as char).to_digit(16);
            let low = (pair[1] as char).to_digit(16);
            let (Some(high), Some(low)) = (high, low) else {
                return Err(E::invalid_value(de::Unexpected::Str(text), &self));
            };
            *byte = (high * 16 + low) as u8;
        }
        Ok(bytes)
    }
}
