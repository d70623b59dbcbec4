//! Strangers who mean harm, with real sockets, against the program as a process. Meanwhile two honest
//! bystanders talk: nothing of what they say is lost; and afterwards the process has the descriptors
//! that it had, and its memory within an allowance.
//!
//! `tests/hostile_tls` is the same over TLS.

mod crowds;
mod frames;
mod handshakes;
mod proxies;
mod sessions;
mod stage;
#[expect(dead_code, reason = "these tests need only a part of it")]
#[path = "../e2e/support/mod.rs"]
mod support;

/// Whether servers and clients speak TLS: in this program they do not.
const SEALED: bool = false;

/// By what clients are connected, where a test does not say.
const WAY: support::line::Way = support::line::Way::Socket;
