//! Slow readers, class by class.

use crate::server::Running;

/// Small queues, so that a short run fills them.
fn small() -> Running {
    Running::start(|config| {
        config.play.outbound_bytes_max = 32 << 10;
        config.play.notsent_lowat_bytes = 4 << 10;
        config.rooms.history_bytes_max = 64 << 20;
        config.rooms.history_messages_max = 100_000;
    })
}

const LOAD: [&str; 12] = [
    "slow",
    "--count",
    "10",
    "--rooms-of",
    "10",
    "--hz",
    "50",
    "--payload",
    "4000",
    "--warmup",
    "0.2",
    "--drain=20",
];

#[test]
fn a_reliable_reader_that_was_closed_comes_back_to_everything() {
    let server = small();
    let found = server.passes(&[&LOAD[..], &["--duration", "2"]].concat());
    assert_eq!(found["slow"]["members"], 2, "{found}");
    assert_eq!(found["sent"], 8 * 110, "{found}");
    assert_eq!(found["expected"], 10 * 8 * 110, "{found}");
    assert_eq!(found["received"], found["expected"], "{found}");
    let ended =
        found["slow"]["closed"].as_u64().unwrap() + found["slow"]["broken"].as_u64().unwrap();
    // Two seconds of 1.6 MB each are more than a queue and the sockets' buffers hold.
    assert!(ended >= 2, "{found}");
    assert_eq!(found["slow"]["recovered"], ended, "{found}");
    assert_eq!(found["healthy_ended"], 0, "{found}");
}

#[test]
fn who_reads_late_but_reads_gets_everything() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "slow",
        "--count",
        "10",
        "--rooms-of",
        "5",
        "--slow",
        "0.4",
        "--pause",
        "50ms",
        "--warmup",
        "0.1",
        "--duration",
        "0.9",
        "--payload",
        "64",
    ]);
    assert_eq!((&found["slow"]["members"], &found["slow"]["closed"]), (&4.into(), &0.into()));
    assert_eq!(found["received"], found["expected"], "{found}");
    assert!(found["slow"]["latency"]["count"].as_u64() > Some(0), "{found}");
}

#[test]
fn of_class_latest_the_newest_arrive_and_of_volatile_what_is_missing_is_counted() {
    let server = small();
    for (class, left_out) in [("latest", "conflated"), ("volatile", "dropped")] {
        let found = server.passes(&[&LOAD[..], &["--class", class, "--duration", "2"]].concat());
        let count = |name: &str| found[name].as_u64().unwrap();
        assert_eq!(count("expected"), 8 * 110 * 7 + 2 * 8 * 110, "{found}");
        assert_eq!(count("received") + count(left_out), count("expected"), "{found}");
        assert!(count(left_out) > 0, "{found}");
        assert_eq!((count("stale"), count("unaccounted"), count("miscounted")), (0, 0, 0));
    }
}
