//! What carries a connection: a WebSocket, or HTTP requests where no WebSocket gets through (SPEC.md,
//! section 20).
//!
//! Whoever speaks says frames and hears frames. Those of a WebSocket go to its socket as they are; a line of
//! requests takes the messages out of them, and puts what came into such frames again. So a scenario does not
//! know what carries it, and everything that is checked is checked of all.
//!
//! | file | what |
//! |---|---|
//! | `io.rs` | one socket, in plaintext or under TLS |
//! | `dialer.rs` | opening more of them in the middle, and waking who waits |
//! | `http_line.rs` | a line: what is asked when, and what answers mean |
//! | `queue.rs`, `frames.rs` | what goes up on it, and what came down |
//! | `http.rs`, `chunked.rs`, `events.rs` | the bytes of requests, answers and streams |
//!
//! Deliberately absent: going over from one transport to another when one does not work, because a load is to be
//! of the kind that was asked for; and giving up on a silence, which shows as messages that did not come.

mod chunked;
mod dialer;
mod events;
mod frames;
mod http;
mod http_line;
mod io;
mod queue;

pub(crate) use chunked::Chunks;
use clap::ValueEnum;
pub(crate) use dialer::{Dialer, Lane, lane_of};
pub(crate) use http_line::HttpLine;
pub(crate) use io::{Io, Received};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What carries connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Transport {
    /// A WebSocket
    #[default]
    Ws,
    /// HTTP requests up, a stream of Server-Sent Events down
    Events,
    /// HTTP requests up, long polling down
    Polls,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a Close frame with this code, or by what stands for one.
    Closed(u16),
    /// The handshake was refused, and when to try again was said or not.
    Refused { status: u16, retry_after_s: Option<u32> },
    /// Without a word.
    Broken,
    /// The server said something that this client does not understand.
    Strange(String),
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Events => "events",
            Self::Polls => "polls",
        }
    }

    /// How long a server with the usual `play.http_idle_ms` may not notice that a client was cut off: between two polls
    /// nothing tells one that is gone from one that is late.
    pub(crate) fn unnoticed(self) -> Duration {
        match self {
            Self::Ws | Self::Events => Duration::ZERO,
            Self::Polls => Duration::from_secs(12),
        }
    }

    /// Most sockets that a connection has at the same time.
    pub(crate) fn sockets(self) -> usize {
        match self {
            Self::Ws => 1,
            Self::Events | Self::Polls => 2,
        }
    }
}
