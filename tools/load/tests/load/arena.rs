//! Real game traffic.

use crate::server::Running;

#[test]
fn members_play_and_copies_of_the_state_are_what_the_room_has() {
    let server = Running::start(|_| {});
    for ways in [&["--bots", "4"][..], &["--match"], &["--processes", "2"], &["--protocol", "json"]]
    {
        let arguments = [
            &["arena", "--count", "12", "--rooms-of", "6", "--replica-every", "3"][..],
            &["--warmup", "0.2", "--duration", "0.6"],
            ways,
        ];
        let found = server.passes(&arguments.concat());
        assert_eq!(found["sent"], 12 * 16, "{found}");
        assert_eq!(found["answered"], found["sent"], "{found}");
        assert_eq!((&found["unanswered"], &found["resyncs"]), (&0.into(), &0.into()), "{found}");
        assert!(found["ticks"].as_u64() >= Some(12 * 5), "{found}");
        // Four of them hold a hash against every tick, and the owner's part besides.
        assert!(found["checked"].as_u64() >= Some(4 * 5), "{found}");
        assert!(found["snapshots"].as_u64() >= Some(12), "{found}");
        assert!(found["bytes_per_client_second"].as_f64() > Some(100.0), "{found}");
        assert_eq!(found["live_at_end"], 12, "{found}");
    }
}

#[test]
fn a_room_without_a_state_is_said_to_be_no_arena() {
    let server = Running::start(|_| {});
    let output = server.run(&["arena", "--count", "2", "--room", "lounge-"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("lounge-0") && said.contains("--room"), "{said}");
}
