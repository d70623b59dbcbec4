//! What a reactor did, counted. Plain numbers: they belong to one thread.

use super::TlsFailure;
use std::collections::BTreeMap;

/// Totals since the reactor's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Connections accepted, shed ones included.
    pub accepted: u64,
    /// Connections answered 503 because the process is at its limit, or 429 because their address is.
    pub shed: u64,
    /// Connections closed without a word because their address is banned.
    pub banned: u64,
    /// Connections answered 429 because their address began too many within a short time.
    pub too_fast: u64,
    /// Connections of proxies that did not begin with a valid PROXY header.
    pub preamble_failures: u64,
    /// How often accepting stopped because the process or the system ran out of something.
    pub accept_failures: u64,
    /// HTTP answers by the first digit of their status: `[0]` is 1xx, `[4]` is 5xx.
    pub http_answers: [u64; 5],
    /// Requests that were not complete in time.
    pub head_timeouts: u64,
    /// TLS handshakes completed, those of resumed sessions left out.
    pub tls_handshakes: u64,
    /// TLS handshakes that took up an earlier session.
    pub tls_resumed: u64,
    /// TLS connections that failed, as in [`TlsFailure::ALL`].
    pub tls_failures: [u64; TlsFailure::ALL.len()],
    /// Connections without TLS on which a TLS handshake was begun.
    pub tls_unexpected: u64,
    /// WebSocket handshakes completed.
    pub upgrades: u64,
    /// WebSocket messages received.
    pub messages_in: u64,
    /// Bytes received from sockets.
    pub bytes_in: u64,
    /// Bytes the sockets took.
    pub bytes_out: u64,
    /// Read calls.
    pub read_calls: u64,
    /// Write calls.
    pub write_calls: u64,
    /// Write calls that the socket took in part or not at all.
    pub short_writes: u64,
    /// Bytes given up at the end of connections: the socket had not taken them.
    pub unwritten_bytes: u64,
    /// Frames that drivers pushed.
    pub frames_out: u64,
    /// Close frames sent, by code; 1005 stands for an empty one.
    pub ws_closes: BTreeMap<u16, u64>,
    /// Connections whose peer broke the WebSocket protocol.
    pub violations: u64,
    /// Connections dropped with bytes unwritten or without the peer's end, because the peer did
    /// not follow within the linger time.
    pub linger_timeouts: u64,
}
