//! Garbage and floods.

use crate::server::Running;

#[test]
fn every_attack_is_answered_and_bystanders_miss_nothing() {
    let server = Running::start(|config| {
        // What waits for these would make the test as long as they are.
        config.play.head_ms = 300;
        config.play.hello_ms = 300;
        config.play.linger_ms = 200;
    });
    let found = server.passes(&[
        "hostile",
        "--each",
        "2",
        "--duration",
        "2",
        "--bystanders",
        "4",
        "--deadline",
        "60s",
        "--settle",
        "0",
    ]);
    for (attack, answer) in [
        ("garbage", "status_400"),
        ("slow-head", "status_408"),
        ("silent", "status_408"),
        ("huge-head", "status_431"),
        ("long-target", "status_414"),
        ("giant-length", "closed_1009"),
        ("unmasked", "closed_1002"),
        ("reserved", "closed_1002"),
        ("bad-utf8", "closed_1007"),
        ("no-hello", "closed_4003"),
        ("early", "closed_4004"),
        ("unknown-tag", "closed_4004"),
        ("broken-batch", "closed_4004"),
        ("cross-origin", "status_403"),
        ("spoofed-proxy", "status_400"),
        ("forged-token", "closed_4001"),
    ] {
        assert!(found[attack][answer].as_u64() > Some(0), "{attack}: {found}");
    }
    for flood in ["fragments", "pings", "flood", "half-open"] {
        assert!(found[flood]["bytes_out"].as_u64() > Some(0), "{flood}: {found}");
    }
    assert_eq!(found["replay"]["tried"], 4, "{found}");
    assert_eq!(found["replay"]["sessions_taken"], 0, "{found}");
    let beside = &found["bystanders"];
    assert!(beside["received"].as_u64() > Some(0), "{found}");
    assert_eq!(beside["received"], beside["expected"], "{found}");
}

#[test]
fn one_attack_alone_and_no_other_machine() {
    let server = Running::start(|_| {});
    let found = server.passes(&[
        "hostile",
        "--attack",
        "unmasked,reserved",
        "--each",
        "1",
        "--duration",
        "0.3",
    ]);
    assert_eq!(found["attacks"], "unmasked reserved", "{found}");
    assert_eq!(found["silent"], serde_json::Value::Null, "{found}");

    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_madang-load"));
    let output = command.args(["hostile", "--url", "ws://192.0.2.1:7700"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("loopback") && said.contains("192.0.2.1"), "{said}");
}
