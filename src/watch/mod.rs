//! The side listener: health, readiness, metrics and the demo.
//!
//! It runs the same reactor as the players' shards, on threads of its own that give way to theirs
//! ([`crate::sys::nice_this_thread`]). [`Site`] holds what is answered and is shared by those
//! threads; [`WatchDriver`] is one thread's.
//!
//! Deliberately absent: anything about rooms and their members.

mod assets;
mod driver;
mod site;

pub use driver::WatchDriver;
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

    /// Why it is not ready; none when it is.
    pub fn missing(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Acquire) {
            READY => None,
            DRAINING => Some("draining"),
            _ => Some("starting"),
        }
    }
}
