//! The core of Madang: sessions, rooms, delivery classes and resume as a pure state machine.
//!
//! No sockets, clock, threads, locks, logs or unordered iteration, and no randomness but what the
//! seed gives: the same inputs give the same outputs, byte for byte. One [`Engine`] is one shard.
//! The shell gives it [`Input`]s with the time ([`Clock`]), does its [`Output`]s, and takes frames
//! for a connection with [`Engine::next_frame`] when the socket has room.

/// Whether a planted defect is switched on; always false without the feature `planted-bugs`.
macro_rules! planted {
    ($holder:expr, $bug:ident) => {{
        #[cfg(feature = "planted-bugs")]
        let planted = $holder.bug == Some(crate::bugs::Bug::$bug);
        #[cfg(not(feature = "planted-bugs"))]
        let planted = {
            let _ = &$holder;
            false
        };
        planted
    }};
}

pub mod access;
#[cfg(feature = "planted-bugs")]
pub mod bugs;
pub mod config;
pub mod encode;
mod engine;
pub mod fanout;
pub mod frame;
pub mod id;
pub mod index;
pub mod input;
pub mod output;
pub mod peer;
pub mod publish;
pub mod room;
pub mod session;
pub mod stats;
pub mod time;
pub mod timer;
pub mod watch;

pub use config::Config;
pub use engine::{Clock, Engine};
pub use input::Input;
pub use output::Output;
pub use stats::Stats;
