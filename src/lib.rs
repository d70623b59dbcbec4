//! The shell of Madang: every system call lives here.
//!
//! [`server::Server`] is a whole server; `main.rs` and `cli.rs` are the program around it. The
//! engine ([`madang_engine`]) decides, the net moves bytes, and a shard is the two together on one
//! thread.

pub mod auth;
pub mod cli;
pub mod config;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod record;
pub mod replay;
pub mod rooms;
pub mod server;
pub mod shard;
pub mod sys;
pub mod watch;

pub use server::Server;
