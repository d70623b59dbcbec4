//! More than the server sends in time: its queues are so short here that a burst is too much.

use crate::server::Running;

#[test]
fn every_class_keeps_its_promise_under_overload() {
    let server = Running::start(|config| {
        config.play.outbound_bytes_max = 32 << 10;
        config.play.notsent_lowat_bytes = 4 << 10;
        config.play.messages_per_second = 100_000;
        config.play.messages_burst = 100_000;
        config.play.bytes_per_second = 1 << 30;
        config.play.bytes_burst = 1 << 30;
        config.rooms.history_bytes_max = 64 << 20;
        config.rooms.history_messages_max = 100_000;
    });
    for class in ["reliable", "latest", "volatile"] {
        let found = server.passes(&[
            "overload",
            "--class",
            class,
            "--count",
            "60",
            "--rooms-of",
            "30",
            "--hz",
            "200",
            "--payload",
            "1000",
            "--duration",
            "0.5",
            "--warmup",
            "0",
        ]);
        assert_eq!(found["scenario"], "overload");
        // How many that were depends on the machine; what became of each is checked by the tool.
        assert!(found["sent"].as_u64() > Some(0), "{found}");
        assert_eq!(found["corrupt"], 0, "{found}");
    }
}
