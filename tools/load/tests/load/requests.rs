//! Connections that are made of HTTP requests, with a stream of events or with polls.

use crate::double::{Double, Fault};
use crate::server::Running;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

const TRANSPORTS: [&str; 2] = ["events", "polls"];
/// Longer than anything takes that comes in the end.
const DRAIN: &str = "30";

#[track_caller]
fn count(found: &Value, name: &str) -> u64 {
    found[name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"))
}

/// A short relay of one room, which waits so many seconds for what is missing.
fn relay(address: SocketAddr, transport: &str, drain: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_madang-load"))
        .args(["relay", "--json", "--url", &format!("ws://{address}"), "--transport", transport])
        .args(["--count", "4", "--rooms-of", "4", "--hz", "50", "--payload", "700"])
        .args(["--check-every", "1", "--warmup", "0", "--duration", "0.6", "--drain", drain])
        .output()
        .expect("the tool runs")
}

#[track_caller]
fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
}

#[test]
fn everyone_hears_everyone_once_and_in_order() {
    let server = Running::start(|_| {});
    for transport in TRANSPORTS {
        for ways in [
            &["--protocol", "native"][..],
            &["--protocol", "json"],
            &["--class", "latest"],
            &["--processes", "2"],
        ] {
            let arguments = [
                &["relay", "--transport", transport, "--count", "20", "--rooms-of", "5"][..],
                &["--hz", "50", "--warmup", "0.1", "--duration", "0.4", "--check-every", "1"],
                ways,
            ];
            let found = server.passes(&arguments.concat());
            let heard_by = if ways.contains(&"latest") { 4 } else { 5 };
            assert_eq!(found["transport"], *transport, "{found}");
            assert_eq!(count(&found, "sent"), 20 * 25, "{found}");
            assert_eq!(count(&found, "expected"), 20 * 25 * heard_by, "{found}");
            assert_eq!(found["live_at_end"], 20, "{found}");
            assert!(count(&found, "requests") >= 3 * 20, "{found}");
        }
    }
}

#[test]
fn what_waits_goes_up_together_in_closed_loops_too() {
    let server = Running::start(|config| {
        config.play.messages_per_second = 1_000_000;
        config.play.messages_burst = 1_000_000;
    });
    for transport in TRANSPORTS {
        for scenario in [&["echo", "--depth", "16"][..], &["relay", "--closed", "--depth", "16"]] {
            let arguments = [
                scenario,
                &["--transport", transport, "--count", "4", "--warmup", "0", "--duration", "0.4"],
            ];
            let found = server.passes(&arguments.concat());
            assert_eq!(found["received"], found["expected"], "{found}");
            assert!(count(&found, "sent") > 64, "{found}");
        }
        let found = server.passes(&[
            "broadcast",
            "--transport",
            transport,
            "--count",
            "20",
            "--hz",
            "500",
            "--payload",
            "1000",
            "--warmup",
            "0",
            "--duration",
            "0.4",
        ]);
        assert_eq!(count(&found, "received"), 21 * 200, "{found}");
    }
}

#[test]
fn idle_connections_answer_and_need_one_socket_until_they_speak() {
    let server = Running::start(|_| {});
    for transport in TRANSPORTS {
        let found =
            server.passes(&["idle", "--transport", transport, "--count", "30", "--hold", "0"]);
        assert_eq!(count(&found, "alive"), 30, "{found}");
        // One for the line, one for the question.
        assert_eq!(count(&found, "sockets"), 2 * 30, "{found}");
    }
}

#[test]
fn a_storm_enters_and_comes_back() {
    let server = Running::start(|_| {});
    for (transport, protocol) in [("events", "json"), ("polls", "native")] {
        let ways = ["--transport", transport, "--protocol", protocol, "--count", "20"];
        let enter = [&["storm", "--bystanders", "8"][..], &ways].concat();
        let found = server.passes(&enter);
        assert_eq!((count(&found, "entered"), &found["upgrade"]["count"]), (20, &20.into()));
        assert_eq!(found["bystanders"]["transport"], *transport, "{found}");
        let resume = [
            &["storm", "--resume", "--rooms-of", "5", "--hz", "40", "--cuts", "2"][..],
            &["--jitter", "200ms", "--warmup", "0.2", "--duration", "1.4"],
            &ways,
        ];
        let found = server.passes(&resume.concat());
        assert_eq!((count(&found, "cut"), count(&found, "recovered")), (40, 40), "{found}");
        assert_eq!(count(&found, "received"), 20 * 64 * 5, "{found}");
        assert_eq!(found["unknown"], 0, "{found}");
    }
}

#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing() {
    let server = Running::start(|config| {
        config.play.grace_ms = 1500;
        config.play.http_idle_ms = 500;
        config.rooms.linger_ms = 300;
    });
    for transport in TRANSPORTS {
        let found = server.passes(&[
            "churn",
            "--transport",
            transport,
            "--count",
            "20",
            "--rooms",
            "3",
            "--hz",
            "50",
            "--stay",
            "150ms",
            "--pause",
            "50ms",
            "--warmup",
            "0.2",
            "--duration",
            "1.8",
            "--settle",
            "20s",
        ]);
        assert_eq!(count(&found, "sent"), 6 * 100, "{found}");
        assert_eq!(found["received"], found["expected"], "{found}");
        for how in ["joins", "left", "closed_by_member", "abandoned", "resumed"] {
            assert!(count(&found, how) > 0, "{how}: {found}");
        }
        assert_eq!((count(&found, "lists_checked"), count(&found, "lists_wrong")), (3, 0));
        assert_eq!((count(&found, "rooms_left"), count(&found, "sessions_left")), (0, 0));
    }
}

#[test]
fn players_of_an_arena_follow_its_state() {
    let server = Running::start(|_| {});
    for transport in TRANSPORTS {
        let found = server.passes(&[
            "arena",
            "--transport",
            transport,
            "--count",
            "6",
            "--rooms-of",
            "6",
            "--warmup",
            "0.2",
            "--duration",
            "0.6",
        ]);
        assert_eq!(found["answered"], found["sent"], "{found}");
        assert!(count(&found, "checked") > 0, "{found}");
    }
}

#[test]
fn a_mix_has_all_transports_side_by_side_and_a_search_finds_a_rate() {
    let server = Running::start(|_| {});
    let text: String = ["ws", "events", "polls"]
        .map(|transport| {
            format!(
                "[[load]]\nname = \"{transport}\"\nscenario = \"relay\"\nprotocol = \"native\"\n\
                 transport = \"{transport}\"\ncount = 6\nrooms_of = 3\nhz = 20\nwarmup = 0\n\
                 duration = 0.5\n"
            )
        })
        .concat();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("transports.toml");
    std::fs::write(&file, text).expect("a file");
    let url = format!("url=ws://{}", server.play);
    let output = Command::new(env!("CARGO_BIN_EXE_madang-load"))
        .args(["mix", file.to_str().expect("text"), "--json", "--set", &url])
        .output()
        .expect("the tool runs");
    let found = report(&output);
    for transport in ["ws", "events", "polls"] {
        let part = &found["load"][transport];
        assert_eq!((&part["transport"], &part["passed"]), (&transport.into(), &true.into()));
        assert_eq!((count(part, "sent"), count(part, "received")), (6 * 10, 6 * 10 * 3), "{found}");
    }
    let found = server.passes(&[
        "relay",
        "--transport",
        "events",
        "--find-max",
        "--objective",
        "loss=0",
        "--tries",
        "2",
        "--count",
        "4",
        "--rooms-of",
        "2",
        "--hz",
        "10",
        "--warmup",
        "0",
        "--duration",
        "0.3",
    ]);
    assert!(found["found_hz"].as_f64() >= Some(10.0), "{found}");
}

/// What is not answered is asked again under its number, on another socket, and does nothing twice.
#[test]
fn answers_that_do_not_come_are_asked_for_again_and_nothing_is_lost() {
    let server = Running::start(|_| {});
    for transport in TRANSPORTS {
        for fault in [Fault::Break(5), Fault::Busy(9)] {
            let found = report(&relay(Double::new(server.play, fault).listen(), transport, DRAIN));
            assert_eq!(found["passed"], true, "{fault:?}: {found}");
            assert_eq!(count(&found, "received"), 4 * 30 * 4, "{found}");
            assert!(count(&found, "requests_again") > 0, "{fault:?}: {found}");
        }
    }
}

#[test]
fn servers_that_end_connections_early_lose_nothing() {
    let server = Running::start(|config| config.play.http_requests_max = 3);
    for transport in TRANSPORTS {
        let found = report(&relay(server.play, transport, DRAIN));
        assert_eq!(found["passed"], true, "{found}");
        assert!(count(&found, "sockets") > 4 * 2, "{found}");
    }
}

#[test]
fn however_it_is_cut_it_is_understood() {
    let server = Running::start(|_| {});
    for transport in TRANSPORTS {
        let found =
            report(&relay(Double::new(server.play, Fault::Dribble).listen(), transport, DRAIN));
        assert_eq!(found["passed"], true, "{found}");
        assert_eq!(count(&found, "received"), 4 * 30 * 4, "{found}");
    }
}

#[test]
fn what_is_lost_or_comes_twice_is_seen_and_said() {
    let server = Running::start(|_| {});
    for transport in TRANSPORTS {
        for (fault, name) in [(Fault::Drop(20), "lost"), (Fault::Repeat(20), "repeated")] {
            let output = relay(Double::new(server.play, fault).listen(), transport, "1");
            let found = report(&output);
            assert_eq!(output.status.code(), Some(1), "{fault:?}: {found}");
            assert!(count(&found, name) > 0, "{fault:?}: {found}");
            let missing = count(&found, "expected") - count(&found, "received");
            assert_eq!(missing, count(&found, "lost"), "{fault:?}: {found}");
        }
    }
}

#[test]
fn a_stream_that_breaks_is_a_lost_connection() {
    let server = Running::start(|_| {});
    let output = relay(Double::new(server.play, Fault::Cut(20)).listen(), "events", "1");
    let found = report(&output);
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_eq!((count(&found, "broken"), count(&found, "live_at_end")), (1, 3), "{found}");
    assert_eq!((count(&found, "errors"), count(&found, "repeated")), (0, 0), "{found}");
}

/// The server counts a line and its sockets, of which each has one here: seven places are for three, and for the
/// socket of who is refused.
#[test]
fn who_was_refused_comes_again_when_told() {
    for transport in TRANSPORTS {
        let server = Running::start(|config| {
            config.play.connections_max = 7;
            config.play.http_idle_ms = 200;
            config.server.retry_after_max_ms = 1000;
        });
        let ways = ["--count", "5", "--in-flight", "1", "--tries", "2", "--patience", "20s"];
        let output = server.run(&[&["storm", "--transport", transport][..], &ways].concat());
        let found = report(&output);
        assert_eq!(output.status.code(), Some(1), "{found}");
        assert_eq!((count(&found, "entered"), count(&found, "retries")), (3, 2), "{found}");
        assert_eq!(found["refused"]["503"], 4, "{found}");
    }
}

#[test]
fn endings_have_their_codes() {
    let server = Running::start(|config| {
        config.play.message_bytes_max = 256;
        // Whoever is refused so leaves the line behind.
        config.play.http_idle_ms = 200;
    });
    for transport in TRANSPORTS {
        let found = report(&relay(server.play, transport, "1"));
        assert_eq!(found["passed"], false, "{found}");
        assert_eq!((&found["closed"]["1009"], &found["live_at_end"]), (&4.into(), &0.into()));
        assert_eq!(found["received"], 0, "{found}");
    }
}

#[test]
fn what_cannot_go_by_requests_says_why() {
    let server = Running::start(|config| config.play.http = false);
    for (arguments, why) in [
        (
            &["relay", "--transport", "polls", "--protocol", "raw"][..],
            "raw is spoken over WebSocket",
        ),
        (&["echo", "--transport", "events", "--protocol", "colyseus"], "--transport events"),
        (&["hostile", "--transport", "polls"], "--transport polls"),
        (&["relay", "--transport", "polls", "--count", "2"], "404"),
    ] {
        let output = server.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
