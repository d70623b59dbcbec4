//! The wire of Madang, pure: bytes to types and back.
//!
//! `SPEC.md` beside this crate is the normative text; the types here are its implementation and
//! `testdata/` holds the golden vectors that keep both, and every client library, in step.
//!
//! * [`client`] and [`server`]: the two closed, append-only sets of messages.
//! * [`codec`]: their binary form (`madang.v1`) and the batch framing; the only file that names
//!   the codec library.
//! * [`json`]: their JSON twin (`madang.v1.json`).
//! * [`close`] and [`error`]: close codes and error codes, listed once.
//! * [`ids`], [`value`], [`limits`]: what the messages are made of.
//! * [`state`], [`replica`], [`parts`]: a room's state on the wire, and what a receiver makes of it.
//! * [`portable`]: which JSON texts every client can read.
//!
//! Deliberately absent: sockets, WebSocket headers, time, and any policy about when a message may
//! be sent. Those belong to the engine and to the shell.

pub mod client;
pub mod close;
pub mod codec;
pub mod error;
pub mod ids;
pub mod json;
pub mod limits;
mod list;
mod number;
pub mod parts;
pub mod portable;
pub mod replica;
pub mod server;
pub mod state;
pub mod value;
pub mod varint;

pub use client::ClientMessage;
pub use close::CloseCode;
pub use error::ErrorCode;
pub use server::ServerMessage;

/// WebSocket subprotocol of the binary wire.
pub const SUBPROTOCOL: &str = "madang.v1";
/// WebSocket subprotocol of the JSON twin.
pub const SUBPROTOCOL_JSON: &str = "madang.v1.json";
/// The only protocol version there is so far.
pub const VERSION: u16 = 1;
