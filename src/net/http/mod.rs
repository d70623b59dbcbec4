//! HTTP/1 as far as a WebSocket server and a small side listener need it (RFC 9110, RFC 9112).
//!
//! Heads are parsed strictly: what a proxy in front might read differently is refused. Every
//! refusal is an answer that says what was wrong and what to do.
//!
//! Deliberately absent: chunked requests, trailers, ranges, caching.

pub(super) mod head;
mod request;
mod response;
pub(super) mod upgrade;

pub use request::{Malformed, Request, percent_decode};
pub use response::Response;
