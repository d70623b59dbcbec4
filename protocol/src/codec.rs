//! The binary form of the messages, and the batch framing around them.
//!
//! This is the only file that names the codec library. The bytes are those of bincode 2
//! `standard()`: little-endian, variable-length integers, enum tags as integers; SPEC.md describes
//! them without reference to it. The library is no longer maintained; what is used of it is this
//! file's two calls, and `wincode` reads the same bytes.

use crate::client::ClientMessage;
use crate::limits::MESSAGE_BYTES_CAP;
use crate::server::ServerMessage;
use crate::varint;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A length is believed up to 16 times as many bytes as the largest message of its tier has. A list takes
/// memory only as its elements are read, up to 28 times their bytes where they are smallest
/// (attributes without name and value). The codec takes its limit as a constant, hence tiers.
const SMALL_LIMIT: usize = 16 * SMALL_BYTES;
const SMALL_BYTES: usize = 64 << 10;
const MIDDLE_LIMIT: usize = 16 * MIDDLE_BYTES;
const MIDDLE_BYTES: usize = 1 << 20;
const LARGE_LIMIT: usize = 16 * MESSAGE_BYTES_CAP;

/// Why bytes were not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The message is larger than any may be.
    TooLarge,
    /// The batch framing is broken: a length is missing, or longer than what follows.
    Framing,
    /// The bytes are not a message of this set; what the codec said.
    Malformed(String),
    /// Bytes are left over behind the message.
    Trailing,
    /// An integer is above 2^53 - 1.
    IntegerOutOfBounds,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the message is larger than {MESSAGE_BYTES_CAP} bytes"),
            Self::Framing => f.write_str("a length prefix does not fit the bytes that follow"),
            Self::Malformed(what) => write!(f, "not a message: {what}"),
            Self::Trailing => f.write_str("bytes are left over behind the message"),
            Self::IntegerOutOfBounds => f.write_str("an integer is above 2^53 - 1"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes one message from a client; it borrows from `bytes`.
pub fn decode_client(bytes: &[u8]) -> Result<ClientMessage<'_>, DecodeError> {
    let message: ClientMessage<'_> = decode(bytes)?;
    if message.integers_in_bounds() { Ok(message) } else { Err(DecodeError::IntegerOutOfBounds) }
}

/// Decodes one message from the server; it borrows from `bytes`.
pub fn decode_server(bytes: &[u8]) -> Result<ServerMessage<'_>, DecodeError> {
    let message: ServerMessage<'_> = decode(bytes)?;
    if message.integers_in_bounds() { Ok(message) } else { Err(DecodeError::IntegerOutOfBounds) }
}

/// Appends one message, length first, as it stands in a batch.
pub fn encode_server(message: &ServerMessage<'_>, out: &mut Vec<u8>) {
    encode_prefixed(message, out);
}

/// Appends one message, length first, as it stands in a batch.
pub fn encode_client(message: &ClientMessage<'_>, out: &mut Vec<u8>) {
    encode_prefixed(message, out);
}

/// What is kept rather than sent, in the same form and without a length.
pub fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("writing to a Vec cannot fail and every type of the wire can be encoded")
}

/// What [`pack`] packed.
pub fn unpack<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    decode(bytes)
}

/// The messages of a batch, one slice each, without their length prefixes.
pub fn split_batch(batch: &[u8]) -> Batch<'_> {
    Batch { rest: batch }
}

/// Iterator over the messages of a batch; ends after its first error.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    rest: &'a [u8],
}

impl<'a> Batch<'a> {
    /// What has not been split off yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<&'a [u8], DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = varint::get(self.rest).and_then(|(len, prefix)| {
            let end = usize::try_from(len).ok()?.checked_add(prefix)?;
            let message = self.rest.get(prefix..end)?;
            self.rest = &self.rest[end..];
            Some(message)
        });
        if message.is_none() {
            self.rest = &[];
        }
        Some(message.ok_or(DecodeError::Framing))
    }
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let standard = bincode::config::standard();
    let decoded = if bytes.len() <= SMALL_BYTES {
        bincode::serde::borrow_decode_from_slice(bytes, standard.with_limit::<SMALL_LIMIT>())
    } else if bytes.len() <= MIDDLE_BYTES {
        bincode::serde::borrow_decode_from_slice(bytes, standard.with_limit::<MIDDLE_LIMIT>())
    } else if bytes.len() <= MESSAGE_BYTES_CAP {
        bincode::serde::borrow_decode_from_slice(bytes, standard.with_limit::<LARGE_LIMIT>())
    } else {
        return Err(DecodeError::TooLarge);
    };
    match decoded {
        Ok((message, consumed)) if consumed == bytes.len() => Ok(message),
        Ok(_) => Err(DecodeError::Trailing),
        Err(error) => Err(DecodeError::Malformed(error.to_string())),
    }
}

/// Writes the message behind room for the longest prefix a small message needs, then the prefix;
/// a long message moves by the difference. No allocation beyond `out`'s own growth.
fn encode_prefixed<T: Serialize>(message: &T, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(0);
    bincode::serde::encode_into_std_write(message, out, bincode::config::standard())
        .expect("writing to a Vec cannot fail and every message type can be encoded");
    let len = (out.len() - start - 1) as u64;
    let prefix_len = varint::len(len);
    if prefix_len == 1 {
        out[start] = len as u8;
    } else {
        let mut prefix = Vec::with_capacity(varint::LEN_MAX);
        varint::put(&mut prefix, len);
        out.splice(start..=start, prefix);
    }
}
