//! The tool against a real server on loopback: counts and correctness, no times.

use crate::server::Running;
use serde_json::Value;

#[test]
fn everyone_hears_everyone_once_and_in_order() {
    let server = Running::start(|_| {});
    for (protocol, echoed) in [("raw", 0), ("native", 1), ("json", 1)] {
        let found = server.passes(&[
            "relay",
            "--protocol",
            protocol,
            "--count",
            "20",
            "--rooms-of",
            "5",
            "--hz",
            "50",
            "--warmup",
            "0.1",
            "--duration",
            "0.4",
        ]);
        assert_eq!(found["sent"], 20 * 25, "{found}");
        assert_eq!(found["expected"], 20 * 25 * (4 + echoed), "{found}");
        assert_eq!(found["received"], found["expected"], "{found}");
        assert_eq!(found["live_at_end"], 20, "{found}");
    }
}

#[test]
fn a_room_that_is_not_full_counts_those_who_are_there() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "relay",
        "--count",
        "7",
        "--rooms-of",
        "4",
        "--hz",
        "20",
        "--warmup",
        "0",
        "--duration",
        "0.2",
    ]);
    assert_eq!(found["expected"], (4 * 3 + 3 * 2) * 4, "{found}");
}

#[test]
fn classes_without_a_log_pass_too_and_are_never_echoed() {
    let server = Running::start(|_| {});
    for class in ["latest", "volatile"] {
        let found = server.passes(&[
            "relay",
            "--protocol",
            "native",
            "--class",
            class,
            "--count",
            "4",
            "--rooms-of",
            "4",
            "--hz",
            "20",
            "--warmup",
            "0",
            "--duration",
            "0.2",
            "--drain",
            "0.5",
        ]);
        assert_eq!((&found["class"], &found["expected"]), (&class.into(), &(4 * 4 * 3).into()));
    }
}

#[test]
fn one_speaker_is_heard_by_all() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "broadcast",
        "--protocol",
        "native",
        "--count",
        "40",
        "--hz",
        "50",
        "--warmup",
        "0",
        "--duration",
        "0.4",
        "--payload",
        "1000",
    ]);
    assert_eq!((&found["sent"], &found["received"]), (&20.into(), &(20 * 41).into()), "{found}");
    assert_eq!(found["spread"]["count"], 20, "{found}");
}

#[test]
fn idle_connections_are_counted_and_alive() {
    let server = Running::start(|_| {});
    let pid = std::process::id().to_string();
    for protocol in ["raw", "native", "json"] {
        let found = server.passes(&[
            "idle",
            "--protocol",
            protocol,
            "--count",
            "30",
            "--hold",
            "0",
            "--pid",
            &pid,
        ]);
        assert_eq!(found["alive"], 30, "{found}");
        assert!(found["server"]["after"]["anonymous"].as_u64() > Some(0), "{found}");
    }
}

/// The server ends whoever sends too much at once: the tool has to say what that cost.
#[test]
fn loss_is_seen_and_said() {
    let server = Running::start(|config| config.play.message_bytes_max = 256);
    let output = server.run(&[
        "relay",
        "--count",
        "4",
        "--rooms-of",
        "4",
        "--payload",
        "300",
        "--warmup",
        "0",
        "--duration",
        "0.2",
        "--drain",
        "0.2",
    ]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_eq!((&found["passed"], &found["received"]), (&false.into(), &0.into()), "{found}");
    assert_eq!(
        (&found["closed"]["1009"], &found["live_at_end"]),
        (&4.into(), &0.into()),
        "{found}"
    );
    assert_eq!(found["lost"], found["expected"], "{found}");
    assert!(found["expected"].as_u64() >= Some(4 * 3), "{found}");
}

#[test]
fn a_connection_that_costs_too_much_fails_the_run() {
    let server = Running::start(|_| {});
    let pid = std::process::id().to_string();
    let output = server.run(&[
        "idle",
        "--count",
        "2",
        "--hold",
        "0",
        "--pid",
        &pid,
        "--kib-max",
        "-1000000",
    ]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_cannot_be_run_says_why() {
    let server = Running::start(|_| {});
    for (arguments, why) in [
        (&["idle", "--count", "1000000"][..], "descriptors"),
        (&["relay", "--class", "latest"][..], "--class"),
        (&["idle", "--count", "1", "--pid", "4294967295"][..], "--pid"),
        (&["relay", "--count", "2", "--path", "/nowhere"][..], "404"),
    ] {
        let output = server.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
