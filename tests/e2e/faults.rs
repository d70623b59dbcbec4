//! What fails beside the server and must not take anybody along.

use crate::support::client::{Client, Wire};
use crate::support::http::get;
use crate::support::process::Process;
use std::fs::OpenOptions;

/// Every write to it says that the disk is full.
const FULL: &str = "/dev/full";

#[test]
fn a_full_disk_for_logs_disturbs_nobody() {
    let full = OpenOptions::new().write(true).open(FULL).expect("Linux has it");
    let process = Process::start_logging_to(&["log.level=trace"], full.into());
    for wire in [Wire::Native, Wire::Json] {
        let (mut one, _) = Client::connect(process.play, wire);
        one.join("lobby");
        // Something to be said in the log: a connection that breaks the rules.
        let mut bad = Client::dial(process.play, Wire::Json);
        bad.send_raw(tungstenite::Message::text("{}"));
        bad.closed();
        one.round_trip(1);
    }
    assert_eq!(get(process.watch, "/readyz").status, 200);
    process.terminate();
    let (code, _) = process.wait();
    assert_eq!(code, 0, "and it drains as ever");
}
