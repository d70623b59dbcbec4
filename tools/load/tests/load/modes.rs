//! How a load is made, against a real server on loopback: several processes, closed loops, searches,
//! thresholds. Counts and correctness, no times.

use crate::server::Running;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn array<'a>(found: &'a Value, name: &str) -> &'a Vec<Value> {
    found[name].as_array().unwrap_or_else(|| panic!("{name}: {found}"))
}

#[test]
fn several_processes_add_up_to_one_run() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "relay",
        "--processes",
        "3",
        "--count",
        "22",
        "--rooms-of",
        "4",
        "--hz",
        "50",
        "--warmup",
        "0.1",
        "--duration",
        "1.4",
    ]);
    // Five rooms of 4 and one of 2, 75 messages each.
    assert_eq!(found["connections"], 22, "{found}");
    assert_eq!(found["sent"], 22 * 75, "{found}");
    assert_eq!(found["expected"], (20 * 3 + 2) * 75, "{found}");
    assert_eq!(found["received"], found["expected"], "{found}");
    assert_eq!(found["live_at_end"], 22, "{found}");
    assert_eq!(array(&found, "generators").len(), 3, "{found}");
    let seconds = array(&found, "series");
    let received: u64 = seconds.iter().filter_map(|second| second["received"].as_u64()).sum();
    assert!(seconds.len() >= 2 && received > 0, "{found}");
    assert_eq!(seconds[0]["live"], 22, "{found}");
}

#[test]
fn listeners_of_one_speaker_may_be_in_several_processes() {
    let server = Running::start(|_| {});
    for (protocol, echoed) in [("raw", 0), ("native", 1)] {
        let found = server.passes(&[
            "broadcast",
            "--processes",
            "3",
            "--protocol",
            protocol,
            "--count",
            "31",
            "--hz",
            "50",
            "--warmup",
            "0.1",
            "--duration",
            "0.4",
        ]);
        assert_eq!(found["connections"], 32, "{found}");
        assert_eq!((&found["sent"], &found["lost"]), (&json!(25), &json!(0)), "{found}");
        assert_eq!(found["received"], 25 * (31 + echoed), "{found}");
        // Of those in the window, as everybody heard them.
        assert_eq!(found["spread"]["count"], 20, "{found}");
    }
}

#[test]
fn who_waits_for_its_echo_sends_as_fast_as_that_comes() {
    let server = Running::start(|_| {});
    for (protocol, depth) in [("raw", "1"), ("native", "4"), ("json", "2")] {
        let found = server.passes(&[
            "echo",
            "--protocol",
            protocol,
            "--depth",
            depth,
            "--count",
            "6",
            "--warmup",
            "0.1",
            "--duration",
            "0.4",
        ]);
        assert_eq!(found["received"], found["sent"], "{found}");
        assert!(found["latency"]["count"].as_u64() > Some(0), "{found}");
        assert_eq!(
            (&found["closed_loop"], &found["depth"]),
            (&json!(true), &json!(depth.parse::<u64>().unwrap()))
        );
        assert!(found["hz"].is_null() && found["lateness"].is_null(), "{found}");
    }
}

#[test]
fn echoes_may_be_sent_by_the_clock() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "echo",
        "--hz",
        "50",
        "--count",
        "4",
        "--warmup",
        "0",
        "--duration",
        "0.4",
        "--processes",
        "2",
    ]);
    assert_eq!((&found["sent"], &found["received"]), (&json!(80), &json!(80)), "{found}");
}

#[test]
fn who_waits_for_its_room_is_heard_by_all_of_it() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "relay",
        "--closed",
        "--depth",
        "2",
        "--count",
        "9",
        "--rooms-of",
        "4",
        "--warmup",
        "0.1",
        "--duration",
        "0.3",
    ]);
    assert_eq!(found["received"], found["expected"], "{found}");
    // Two rooms of 4; who is alone says nothing, for nobody would hear it.
    assert_eq!(found["expected"].as_u64(), found["sent"].as_u64().map(|sent| sent * 3), "{found}");
    let found = server.passes(&[
        "broadcast",
        "--closed",
        "--count",
        "9",
        "--warmup",
        "0",
        "--duration",
        "0.3",
    ]);
    assert_eq!(found["expected"].as_u64(), found["sent"].as_u64().map(|sent| sent * 9), "{found}");
}

#[test]
fn thresholds_are_judged_and_set_the_exit_code() {
    let server = Running::start(|_| {});
    let pid = std::process::id().to_string();
    let run = |expect: &str| {
        server.run(&[
            "relay",
            "--count",
            "4",
            "--rooms-of",
            "4",
            "--hz",
            "50",
            "--warmup",
            "0",
            "--duration",
            "0.2",
            "--pid",
            &pid,
            "--expect",
            "reach>=1",
            "--expect",
            expect,
        ])
    };
    let output = run("cpu_us>=0,sent=40,rss>1MiB");
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!(array(&found, "judged").len(), 4, "{found}");
    assert!(found["server"]["us_per_delivery"].is_f64(), "{found}");
    let output = run("received<120");
    let found: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_eq!(found["passed"], false, "{found}");
    let broken = json!({ "expected": "received<120", "found": 120.0, "held": false });
    assert_eq!(found["judged"][1], broken, "{found}");
}

#[test]
fn the_highest_rate_is_looked_for_and_every_try_is_told() {
    let server = Running::start(|_| {});
    // Messages of each second count: no more than 20 times 4 are "allowed".
    let found = server.passes(&[
        "relay",
        "--find-max",
        "--objective",
        "loss=0,sent<=100",
        "--precision",
        "0.3",
        "--hz",
        "10",
        "--count",
        "4",
        "--rooms-of",
        "4",
        "--warmup",
        "0",
        "--duration",
        "1",
    ]);
    let tries = array(&found, "tries");
    let rates: Vec<_> = tries
        .iter()
        .map(|one| (one["hz"].as_f64().unwrap(), one["held"].as_bool().unwrap()))
        .collect();
    assert_eq!(rates[..3], [(10.0, true), (20.0, true), (40.0, false)], "{found}");
    let highest = found["found_hz"].as_f64().expect("a rate");
    assert!((20.0..=25.0).contains(&highest), "{found}");
    assert_eq!(found["hz"], highest, "its own outcome");
    assert_eq!(tries[2]["broken"], json!(["sent<=100"]), "{found}");
}

#[test]
fn what_cannot_be_asked_for_says_why() {
    let server = Running::start(|_| {});
    for (arguments, why) in [
        (&["broadcast", "--closed", "--processes", "2"][..], "--find-max"),
        (&["spectate", "--processes", "2"][..], "one process"),
        (&["relay", "--expect", "p99<20"][..], "ms"),
        (&["relay", "--closed", "--hz", "3"][..], "--hz"),
        (&["echo", "--echo", "false"][..], "--echo"),
        (
            &["relay", "--processes", "2", "--count", "4", "--rooms-of", "2", "--path", "/nowhere"]
                [..],
            "404",
        ),
    ] {
        let output = server.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn a_mix_runs_its_loads_at_the_same_time_and_reports_each() {
    let server = Running::start(|_| {});
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/mix.sample.toml");
    let url = format!("url=ws://{}", server.play);
    let output = Command::new(env!("CARGO_BIN_EXE_madang-load"))
        .args(["mix", sample, "--json", "--set", &url, "--set", "count=12"])
        .args(["--set", "duration=1", "--set", "warmup=0", "--set", "hold=0", "--set", "hz=20"])
        .args(["--set", "expect=errors=0", "--expect", "generators<0", "--expect", "sent>=480"])
        .output()
        .expect("the tool runs");
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(1), "one expectation is nonsense: {found}");
    assert_eq!(found["judged"][1]["held"], true, "{found}");
    let loads = &found["load"];
    for name in ["matches", "square", "probe", "bystanders"] {
        assert_eq!(loads[name]["passed"], true, "{name}: {found}");
    }
    assert_eq!(loads["matches"]["received"], (10 * 9 + 2) * 20, "{found}");
    assert_eq!(loads["square"]["received"], 13 * 20, "{found}");
    assert_eq!(loads["bystanders"]["alive"], 12, "{found}");
    assert_eq!(found["sent"], (12 + 1 + 12) * 20, "{found}");
    assert_eq!(array(&found, "generators").len(), 4, "{found}");
}

/// Shown is what there is; what it looks like is tested where it is made.
#[test]
fn a_run_is_shown_as_it_goes_on_and_written_to_files() {
    let server = Running::start(|_| {});
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (page, text) = (directory.join("run.html"), directory.join("run.hgrm"));
    let url = format!("ws://{}", server.play);
    let run = |page: &Path, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_madang-load"))
            .args(["relay", "--count", "4", "--rooms-of", "4", "--hz", "20", "--warmup", "0"])
            .args(["--duration", "1.2", "--url", &url, "--html"])
            .arg(page)
            .arg("--hgrm")
            .arg(&text)
            .args(more)
            .output()
            .expect("the tool runs")
    };
    let output = run(&page, &[]);
    assert_eq!(output.status.code(), Some(0));
    let (table, seconds) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (table, seconds) = (table.expect("text"), seconds.expect("text"));
    assert!(table.contains("relay") && table.contains("latency"), "{table}");
    assert!(seconds.lines().next().is_some_and(|line| line.contains("relay")), "{seconds}");
    let written = std::fs::read_to_string(&page).expect("a page");
    assert!(written.starts_with("<!DOCTYPE html>") && written.contains("relay"), "{written}");
    let written = std::fs::read_to_string(&text).expect("a text");
    assert!(written.contains("Percentile"), "{written}");
    let output = run(&page, &["--quiet"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = run(Path::new("/nowhere/page.html"), &[]);
    assert_eq!(output.status.code(), Some(2), "it does not run for nothing");
    assert!(output.stdout.is_empty());
}
