//! A spectator that takes nothing at all does not stay for ever.

use crate::member::Member;
use crate::server::{Running, config, wait_for};
use crate::stream::{ask_slowly, watch};
use madang::metrics::Counter;

#[test]
fn who_takes_nothing_for_as_long_as_anything_is_kept_is_let_go() {
    let mut config = config();
    config.watch.heartbeat_ms = 50;
    config.watch.history_ms = 1000;
    config.watch.delay_max_ms = 0;
    let server = Running::start(config);
    let addr = server.watch_addr();
    let mut member = Member::join(&server, "arena");
    let stuck = ask_slowly(addr, "/rooms/arena/events");
    let (mut alive, _) = watch(addr, "arena", "");
    let text = format!("\"{}\"", "x".repeat(16_000));
    wait_for("the end of the one that is stuck", || {
        let seq = member.say(&text);
        alive.upto(seq);
        (server.watch_count(Counter::Spectators) == 1).then_some(())
    });
    let seq = member.say("1");
    assert_eq!(alive.upto(seq).len(), 1);
    drop(stuck);
}
