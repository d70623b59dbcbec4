//! A load generator for Madang, and for any other server that relays WebSocket messages.
//!
//! Load is open-loop: every message has a time at which it is to be sent, whatever the server does, and
//! latency counts from that time, so that a stalled server cannot hide its stall by slowing the
//! generator ("coordinated omission"). What comes back is checked: order, loss, repeats and content.
//!
//! A worker is one thread with one poll and thousands of connections; the conductor starts one as a
//! thread or several as processes, looks at the server beside them, and adds up what they found.
//!
//! | files | what |
//! |---|---|
//! | `cli/`, `threshold.rs`, `search.rs` | what can be asked for; what has to hold; the highest rate at which it does |
//! | `conductor.rs`, `desk.rs`, `job.rs` | workers, what is said between them, and their shares |
//! | `traffic.rs`, `idle.rs`, `spectate/`, `arena/`, `storm/`, `churn/`, `slow/`, `hostile/` | the scenarios |
//! | `fleet/` | connections that come and stay; `sessions/`: those that go and come back |
//! | `dialect/`, `quick.rs` | what is said on them |
//! | `transport/`, `websocket.rs`, `tls.rs` | what carries that: WebSockets, or HTTP requests |
//! | `schedule.rs`, `talk.rs`, `stamp.rs`, `ear.rs`, `tally.rs` | when to send, what, and whether it came |
//! | `crowd.rs`, `journal.rs`, `bystanders.rs` | the same where members come and go; who plays beside it |
//! | `outcome.rs`, `meter.rs`, `process.rs`, `vitals.rs`, `metrics.rs` | what was found, second by second, and what it cost |
//! | `output/` | how that is shown |

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
mod endings;
mod fleet;
mod hostile;
mod idle;
mod job;
mod journal;
mod meter;
mod metrics;
mod outcome;
mod output;
mod process;
mod quick;
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
mod tls;
mod traffic;
mod transport;
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
