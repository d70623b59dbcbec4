//! The traffic of `tests/e2e` over TLS, and what only a server with TLS does.

#[path = "../e2e/access/mod.rs"]
mod access;
#[path = "../e2e/counted.rs"]
mod counted;
#[path = "../e2e/drain.rs"]
mod drain;
#[path = "../e2e/fairness.rs"]
mod fairness;
#[path = "../e2e/lines.rs"]
mod lines;
#[path = "../e2e/liveness.rs"]
mod liveness;
mod program;
#[path = "../e2e/raw.rs"]
mod raw;
#[path = "../e2e/resume.rs"]
mod resume;
mod side;
#[path = "../e2e/slow.rs"]
mod slow;
#[path = "../e2e/support/mod.rs"]
mod support;
#[path = "../e2e/talk.rs"]
mod talk;

/// Whether servers and clients speak TLS: in this program they do.
const SEALED: bool = true;

/// By what clients are connected.
const WAY: support::line::Way = support::line::Way::Socket;
