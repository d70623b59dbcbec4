//! What each fuzz target does with its bytes: it reads them as a stranger's and checks what must hold
//! of whatever comes of them. Not failing is the least of it.
//!
//! One function is one target. `tools/fuzz.sh` runs them; `corpus/` is where they begin.

mod bytes;
mod http;
mod token;
mod wire;

pub use bytes::{proxy, websocket};
pub use http::{http, publish, spectator};
pub use token::token;
pub use wire::{config, json, native, recording};
