//! Situations that the simulator has to come across, or it proves nothing.

use crate::support::node::Node;
use madang_engine::Stats;
use std::collections::BTreeMap;

/// Each has to come up in a full run.
pub(crate) const REQUIRED: &[&str] = &[
    "backend's retry recognised",
    "ban in force",
    "busy",
    "cell entered",
    "cell left",
    "conflated",
    "control_overflow",
    "direct replayed",
    "expired",
    "gap seen",
    "handoff",
    "hello_timeout",
    "join recovered",
    "key without its user",
    "kicked",
    "lag ended in gap",
    "lagged",
    "link pause",
    "liveness_timeout",
    "lost welcome resumed by the old key",
    "match asked another shard",
    "messages away",
    "presence collapsed",
    "quiesced",
    "rate pause",
    "raw lagged",
    "repeat recognised",
    "replaced",
    "resume found history too short",
    "resume had missed nothing",
    "resume replayed",
    "resync",
    "resync answered",
    "retry sent",
    "room closed by its rules",
    "room failed",
    "room failed under its members",
    "room_refused",
    "session end told to another shard",
    "session lost",
    "shard crash",
    "slow_consumer",
    "stale resume answer",
    "state began anew",
    "state lagged",
    "state owed",
    "team entered",
    "team left",
    "ticks skipped",
    "volatile dropped",
    "wall clock stepped",
    "welcome lost",
];

type Count = fn(&Stats) -> u64;

/// What a run came across, with what only the engines count.
pub(crate) fn summed(node: &Node) -> BTreeMap<&'static str, u64> {
    let mut reached = node.reached.clone();
    let counts: [(&str, Count); 12] = [
        ("conflated", |stats| stats.conflated),
        ("lag ended in gap", |stats| stats.gaps),
        ("lagged", |stats| stats.lagged),
        ("link pause", |stats| stats.link_pauses),
        ("messages away", |stats| stats.unwritten),
        ("rate pause", |stats| stats.rate_pauses),
        ("repeat recognised", |stats| stats.repeated),
        ("resync", |stats| stats.state_mismatches),
        ("room failed", |stats| stats.rooms_failed),
        ("state owed", |stats| stats.states_owed),
        ("ticks skipped", |stats| stats.ticks_skipped),
        ("volatile dropped", |stats| stats.dropped[2]),
    ];
    for (name, of) in counts {
        let count = node.count(of);
        if count > 0 {
            reached.insert(name, count);
        }
    }
    reached
}
