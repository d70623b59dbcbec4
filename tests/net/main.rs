//! The reactor on real sockets, with a small driver: loopback only, port 0, no sleeps.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod access;
mod bounds;
mod client;
mod driver;
mod handover;
mod http;
mod rfc6455;
mod rfc9112;
mod server;
#[path = "../support/tls.rs"]
mod signed;
mod tls;
mod websocket;
