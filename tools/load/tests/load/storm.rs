//! Storms of connections and of resumes.

use crate::server::Running;
use serde_json::Value;

#[test]
fn everybody_enters_in_every_protocol_and_bystanders_miss_nothing() {
    let server = Running::start(|_| {});
    for ways in [
        &["--protocol", "raw"][..],
        &["--protocol", "native", "--bystanders", "8", "--bystanders-hz", "50"],
        &["--protocol", "json", "--rate", "1000"],
        &["--processes", "2"],
    ] {
        let arguments = [&["storm", "--count", "60", "--rooms-of", "5"][..], ways];
        let found = server.passes(&arguments.concat());
        assert_eq!(found["entered"], 60, "{found}");
        assert_eq!(found["latency"]["count"], 60, "{found}");
        assert_eq!(found["upgrade"]["count"], 60, "{found}");
        assert_eq!((&found["broken"], &found["retries"]), (&0.into(), &0.into()), "{found}");
        if ways.contains(&"--bystanders") {
            let beside = &found["bystanders"];
            assert!(beside["received"].as_u64() > Some(0), "{found}");
            assert_eq!(beside["received"], beside["expected"], "{found}");
        }
    }
}

#[test]
fn who_was_refused_comes_again_when_asked_and_fails_the_run_when_not() {
    let server = Running::start(|config| {
        config.play.connections_max = 6;
        config.server.retry_after_max_ms = 1000;
    });
    let storm = ["storm", "--count", "10", "--protocol", "raw", "--patience", "20s"];
    let output = server.run(&storm);
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_eq!((&found["entered"], &found["refused"]["503"]), (&6.into(), &4.into()), "{found}");
    let again = [&storm[..], &["--tries", "3"]].concat();
    let output = server.run(&again);
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    // The first six stay, so that nobody else ever enters; but each tries so often.
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{found}"));
    let (retries, refused) = (count(&found["retries"]), count(&found["refused"]["503"]));
    assert_eq!(found["entered"], 6, "{found}");
    assert!(retries >= 8 && refused == retries + 4, "{found}");
}

#[test]
fn all_come_back_from_a_reset_with_everything_that_was_said() {
    let server = Running::start(|_| {});
    for ways in [&["--cuts", "2"][..], &["--protocol", "json"], &["--processes", "2"]] {
        let arguments = [
            &["storm", "--resume", "--count", "20", "--rooms-of", "5", "--hz", "40"][..],
            &["--jitter", "200ms", "--warmup", "0.2", "--duration", "1.4"],
            ways,
        ];
        let found = server.passes(&arguments.concat());
        let cuts = if ways.contains(&"--cuts") { 40 } else { 20 };
        assert_eq!(found["sent"], 20 * 64, "{found}");
        assert_eq!((&found["cut"], &found["recovered"]), (&cuts.into(), &cuts.into()), "{found}");
        assert_eq!((&found["lost"], &found["repeated"]), (&0.into(), &0.into()), "{found}");
        assert_eq!(found["expected"], 20 * 64 * 5, "{found}");
        assert_eq!(found["received"], found["expected"], "{found}");
        assert_eq!(found["resume"]["count"], cuts, "{found}");
        assert_eq!(found["unknown"], 0, "{found}");
    }
}

#[test]
fn a_history_that_is_too_short_is_said() {
    let server = Running::start(|config| config.rooms.history_messages_max = 4);
    let output = server.run(&[
        "storm",
        "--resume",
        "--count",
        "10",
        "--rooms-of",
        "5",
        "--hz",
        "100",
        "--jitter",
        "0",
        "--warmup",
        "0.1",
        "--duration",
        "1",
        "--drain",
        "2",
    ]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    // Whether somebody misses more than four messages is the machine's affair; what is missed is told.
    let recovered = found["recovered"].as_u64().unwrap() + found["not_recovered"].as_u64().unwrap();
    assert_eq!((recovered, &found["lost"]), (10, &0.into()), "{found}");
}
