//! A load generator for Madang, and for any other server that relays WebSocket messages.
//!
//! One thread, one poll, thousands of connections. Load is open-loop: every message has a time at
//! which it is to be sent, whatever the server does, and latency counts from that time, so that a
//! stalled server cannot hide its stall by slowing the generator ("coordinated omission"). What
//! comes back is checked: order, loss, repeats and content.
//!
//! The parts: `cli.rs` (what can be asked for), `fleet/` (the connections), `dialect/` (what is
//! said on them, by protocol), `websocket.rs` (the client's framing), `schedule.rs`, `stamp.rs`,
//! `talk.rs`, `ear.rs` and `tally.rs` (when to send, what, and whether it came), `traffic.rs`,
//! `idle.rs` and `spectate/` (the scenarios), `process.rs` (the server as the system sees it),
//! `report.rs`.

mod arena;
mod bystanders;
mod churn;
mod cli;
mod conductor;
mod crowd;
mod desk;
mod dialect;
mod dice;
mod ear;
mod fleet;
mod hostile;
mod idle;
mod job;
mod journal;
mod meter;
mod metrics;
mod outcome;
#[expect(
    dead_code,
    unused_imports,
    reason = "the options that ask for these come with the scenarios"
)]
mod output;
mod process;
mod quick;
mod report;
mod returns;
mod schedule;
mod search;
mod sessions;
mod slow;
mod spectate;
mod stamp;
mod storm;
mod system;
mod talk;
mod tally;
mod threshold;
mod traffic;
mod vitals;
mod websocket;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("madang-load: {error}");
            ExitCode::from(2)
        }
    }
}
