//! The traffic of `tests/e2e` by requests alone: long polling.

#[path = "../e2e/drain.rs"]
mod drain;
#[path = "../e2e/resume.rs"]
mod resume;
#[path = "../e2e/slow.rs"]
mod slow;
#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, reason = "the tests that are of WebSocket alone use more of it")]
mod support;
#[path = "../e2e/talk.rs"]
mod talk;

/// Whether servers and clients speak TLS: not in this program.
const SEALED: bool = false;

/// By what clients are connected.
const WAY: support::line::Way = support::line::Way::Polls;
