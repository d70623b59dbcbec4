//! Spectators against a real server on loopback: counts and correctness, no times.

use crate::server::Running;
use madang::metrics::Counter;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A short run, with further arguments.
fn spectate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["spectate", "--warmup", "0"];
    arguments.extend_from_slice(more);
    for (name, value) in [("--events-hz", "50"), ("--duration", "0.4")] {
        if !more.contains(&name) {
            arguments.extend_from_slice(&[name, value]);
        }
    }
    arguments
}

#[test]
fn every_spectator_sees_every_message_once_and_in_order() {
    let server = Running::start(|config| config.watch.threads = 2);
    let pid = std::process::id().to_string();
    let found = server.passes(&spectate(&["--spectators", "40", "--rooms", "3", "--pid", &pid]));
    assert_eq!((&found["sent"], &found["expected"]), (&(3 * 20).into(), &(40 * 20).into()));
    assert_eq!(found["received"], found["expected"], "{found}");
    assert_eq!((&found["reach"], &found["live_at_end"]), (&1.0.into(), &40.into()), "{found}");
    assert_eq!(found["latency"]["count"], found["expected"], "{found}");
    assert_eq!(found["events"]["resume"], 40, "{found}");
    assert_eq!(found["events"]["message"], found["expected"], "{found}");
    assert!(found["server"]["side_cores"].as_f64() > Some(0.0), "{found}");
    assert!(found["server"]["waited_cores"].is_f64(), "{found}");
    assert!(found["memory"]["opened"]["resident"].as_u64() > Some(0), "{found}");
    assert!(found["players"].is_null(), "{found}");
}

#[test]
fn who_is_cut_off_comes_back_and_misses_nothing() {
    let server = Running::start(|_| {});
    let found = server.passes(&spectate(&[
        "--spectators",
        "20",
        "--reconnect-every",
        "100ms",
        "--protocol",
        "json",
    ]));
    assert!(found["dropped"].as_u64() >= Some(20), "{found}");
    assert_eq!(found["recovered"], found["dropped"], "{found}");
    assert_eq!(found["unrecovered"], 0, "{found}");
    assert_eq!(found["received"], 20 * 20, "{found}");
    assert_eq!(found["returns"]["count"], found["dropped"], "{found}");
}

#[test]
fn who_watches_later_sees_everything_and_nothing_early() {
    let server = Running::start(|_| {});
    let found = server.passes(&spectate(&[
        "--spectators",
        "10",
        "--delay",
        "300ms",
        "--reconnect-every",
        "150ms",
    ]));
    assert_eq!((&found["received"], &found["early"]), (&(10 * 20).into(), &0.into()), "{found}");
    assert_eq!(found["recovered"], found["dropped"], "{found}");
}

#[test]
fn players_are_measured_beside_the_audience_and_without_one() {
    let server = Running::start(|_| {});
    for spectators in ["12", "0"] {
        let found = server.passes(&spectate(&[
            "--spectators",
            spectators,
            "--players",
            "20",
            "--rooms-of",
            "5",
            "--hz",
            "50",
        ]));
        let count: u64 = spectators.parse().expect("a number");
        assert_eq!(found["received"], count * 20, "{found}");
        let players = &found["players"];
        assert_eq!(players["received"], 20 * 20 * 5, "{found}");
        assert_eq!(players["latency"]["count"], players["received"], "{found}");
        assert_eq!(players["live_at_end"], 20, "{found}");
    }
}

/// The server keeps little, and one does not read: what it misses is said, to it alone.
#[test]
fn a_slow_one_is_told_what_it_missed_and_the_others_miss_nothing() {
    let server = Running::start(|config| {
        config.watch.history_bytes_max = 4 << 20;
        config.play.bytes_per_second = 1 << 30;
        config.play.bytes_burst = 1 << 30;
    });
    let found = server.passes(&spectate(&[
        "--spectators",
        "4",
        "--slow",
        "1",
        "--events-payload",
        "40000",
        "--events-hz",
        "150",
        "--duration",
        "2",
        "--drain",
        "20",
    ]));
    assert_eq!((&found["sent"], &found["received"]), (&300.into(), &900.into()), "{found}");
    assert_eq!((&found["gaps"], &found["slow_expected"]), (&0.into(), &300.into()), "{found}");
    let slow = &found["slow"];
    assert!(slow["gaps"].as_u64() >= Some(1), "{found}");
    assert!(slow["told_missing"].as_u64() >= Some(1), "{found}");
    assert_eq!((&slow["lost"], &slow["behind"]), (&0.into(), &0.into()), "{found}");
    let accounted = ["received", "told_missing"].map(|name| slow[name].as_u64().expect("a count"));
    assert_eq!(accounted.iter().sum::<u64>(), 300, "{found}");
}

/// Those who come back find that the server kept nothing: it says so, and the run fails.
#[test]
fn what_those_who_read_have_missed_fails_the_run() {
    let server = Running::start(|config| config.watch.history_bytes_max = 1024);
    let arguments =
        spectate(&["--spectators", "8", "--reconnect-every", "50ms", "--events-payload", "3000"]);
    let strict = server.run(&arguments);
    let found: Value = serde_json::from_slice(&strict.stdout).expect("a report");
    assert_eq!(strict.status.code(), Some(1), "{found}");
    assert_eq!(found["passed"], false, "{found}");
    assert!(found["told_missing"].as_u64() > Some(0), "{found}");
    assert_eq!((&found["lost"], &found["behind"]), (&0.into(), &0.into()), "{found}");
}

/// The server goes away in the middle of the run.
#[test]
fn streams_that_the_server_ends_are_told_and_fail_the_run() {
    let server = Running::start(|config| config.server.drain_ms = 100);
    let arguments = spectate(&["--spectators", "8", "--duration", "2", "--drain", "0"]);
    let tool = server
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tool runs");
    let running = server.server.as_ref().expect("it is there until the drop");
    let patience = Instant::now() + Duration::from_secs(40);
    while running.metrics().watch(0).get(Counter::WatchEvents) < 80 {
        assert!(Instant::now() < patience, "nobody watches");
        std::thread::yield_now();
    }
    running.drain();
    let output = tool.wait_with_output().expect("the tool ends");
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_eq!((&found["ended"], &found["live_at_end"]), (&8.into(), &0.into()), "{found}");
    assert_eq!((&found["lost"], &found["repeated"]), (&0.into(), &0.into()), "{found}");
}

#[test]
fn what_cannot_be_watched_says_why() {
    let server = Running::start(|_| {});
    for (arguments, why) in [
        (&["--watched", "closed-"][..], "403"),
        (&["--watch", "courtyard-nobody"][..], "404"),
        (&["--protocol", "raw", "--spectators", "2"][..], "404"),
        (&["--spectators", "1", "--slow", "2"][..], "--slow"),
        (&["--delay", "3m"][..], "400"),
        (&["--spectators", "1000000"][..], "descriptors"),
    ] {
        let output = server.run(&spectate(arguments));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
