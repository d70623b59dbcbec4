//! The side listener: spectators, health, readiness, metrics and the demo.
//!
//! It runs the same reactor as the players' shards, on threads of its own that give way to theirs
//! ([`crate::sys::nice_this_thread`]). [`Site`] holds what is answered without knowing any room and
//! is shared by those threads; [`WatchDriver`] is one thread's.
//!
//! Spectators: shards tell what happens in rooms that may be watched ([`Feed`], bounded, never
//! waited for) to the thread that a room's name hashes to. That thread keeps a log of its own for
//! each epoch (`log.rs`, `rooms.rs`), with the room's state if it has one (`state.rs`, `plain.rs`),
//! makes an event's text once when the first spectator asks for it, and writes it to every stream
//! from that stream's position (`spectators.rs`): a slow stream holds nothing but its place. `requests.rs` and `asked.rs` say where a stream begins, `sse.rs`
//! what events look like, `directory.rs` which rooms there are.
//!
//! Backends: what they publish goes the other way, from `publish/` to the home of the room, and
//! comes back by the feed like all else that happens there.
//!
//! Deliberately absent: anything that a room waits for, and any queue per spectator.

mod asked;
mod assets;
mod directory;
mod driver;
mod due;
mod feed;
mod guests;
mod log;
mod plain;
#[cfg(feature = "fuzzing")]
pub mod probe;
mod publish;
mod requests;
mod rooms;
mod site;
mod spectators;
pub mod sse;
mod state;

pub use directory::{Change, Listing};
pub use driver::{WatchDriver, WatchInbox, WatchSettings};
pub use feed::{Feed, FeedBox, InFlight, WATCH_PACKETS_MAX, WatchPacket};
pub use publish::{PublishSettings, Waiting};
pub use site::{Asked, Site};

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether the process takes new players, as told at `/readyz`; shared by all its threads.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    /// Every listener is open. Does nothing once the process drains.
    pub fn set_ready(&self) {
        // A failure says that it is ready already, or draining.
        let _ = self.0.compare_exchange(STARTING, READY, Ordering::Release, Ordering::Relaxed);
    }

    /// The process is going away, for good.
    pub fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// Whether it is.
    pub fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire) == DRAINING
    }

    /// Why it is not ready; none when it is.
    pub fn missing(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Acquire) {
            READY => None,
            DRAINING => Some("draining"),
            _ => Some("starting"),
        }
    }
}
