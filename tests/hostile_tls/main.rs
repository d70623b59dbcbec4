//! The attacks of `tests/hostile` on a server that speaks TLS, and those that only TLS has.

#[path = "../hostile/crowds.rs"]
mod crowds;
#[path = "../hostile/frames.rs"]
mod frames;
#[path = "../hostile/handshakes.rs"]
mod handshakes;
mod records;
#[path = "../hostile/sessions.rs"]
mod sessions;
#[path = "../hostile/stage.rs"]
mod stage;
#[expect(dead_code, reason = "these tests need only a part of it")]
#[path = "../e2e/support/mod.rs"]
mod support;

/// Whether servers and clients speak TLS: in this program they do.
const SEALED: bool = true;

/// By what clients are connected, where a test does not say.
const WAY: support::line::Way = support::line::Way::Socket;
