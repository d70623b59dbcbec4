//! Sockets, HTTP heads and WebSocket frames: bytes, and never rooms.
//!
//! One [`Reactor`] is one thread's event loop: a mio poll, a listener, a slab of connections, the
//! receive buffer they all share, timers of the transport, and a [`Driver`] that gives meaning to
//! what comes. Players' shards and the side listener's threads run the same reactor with different
//! drivers.
//!
//! A turn: poll, accept (budgeted), read every ready connection (budgeted) and hand what is
//! complete to the driver, [`Driver::on_turn`] (inboxes, timers), then one write call for every
//! connection that has something to send, those that are closing last (budgeted), then free what ended
//! (budgeted). Nothing is freed earlier.
//!
//! Deliberately absent: what a message means, who may connect to what, and any queue of messages.
//! Outgoing messages wait in the driver's queues until the socket takes them; here waits only the
//! rest of one write.

pub mod access;
mod admitting;
mod budget;
mod config;
mod conn;
mod conns;
mod counters;
mod driver;
pub mod http;
mod io;
pub mod listener;
mod pace;
#[cfg(feature = "fuzzing")]
pub mod probe;
mod reactor;
mod reading;
mod rounds;
mod sending;
mod socket;
pub mod tls;
mod transport;
mod write;
pub mod ws;

pub use access::{Access, AccessSettings};
pub use budget::Budget;
pub use config::NetConfig;
pub use conn::Detached;
pub use counters::NetCounters;
pub use driver::{Answer, Driver, Ended, Framing};
pub use io::{Io, Place};
pub use reactor::{Reactor, Shared};
pub use tls::Tls;
pub use transport::TlsFailure;
pub use write::{Outbound, SHARE_BYTES_MIN};
