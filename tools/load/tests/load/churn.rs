//! Members that come and go.

use crate::server::Running;

#[test]
fn whoever_is_there_hears_everything_and_nothing_is_left_over() {
    let server = Running::start(|config| {
        config.play.grace_ms = 1500;
        config.rooms.linger_ms = 300;
    });
    let found = server.passes(&[
        "churn",
        "--count",
        "20",
        "--rooms",
        "3",
        "--staying",
        "2",
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
    let count = |name: &str| found[name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!(count("sent"), 6 * 100, "{found}");
    assert_eq!(count("received"), count("expected"), "{found}");
    assert_eq!((count("lost"), count("repeated"), count("told")), (0, 0, 0), "{found}");
    for how in ["joins", "left", "closed_by_member", "abandoned", "resumed"] {
        assert!(count(how) > 0, "{how}: {found}");
    }
    assert_eq!((count("lists_checked"), count("lists_wrong")), (3, 0), "{found}");
    assert_eq!((count("rooms_left"), count("sessions_left")), (0, 0), "{found}");
}
