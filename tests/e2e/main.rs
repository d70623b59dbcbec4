//! The whole server with real sockets and real clients: what a client, a neighbour and an operator
//! see. Nothing here sleeps or measures time; whatever is waited for has a deadline.

mod access;
mod counted;
mod drain;
mod fairness;
mod faults;
mod http;
mod lines;
mod liveness;
mod raw;
mod resume;
mod shed;
mod slow;
mod support;
mod talk;
mod watch;

/// Whether servers and clients speak TLS: not in this program.
const SEALED: bool = false;

/// By what clients are connected, where a test does not say.
const WAY: support::line::Way = support::line::Way::Socket;
