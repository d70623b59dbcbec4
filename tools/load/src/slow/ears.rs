//! What members hear of each other in the scenario of slow readers, class by class.

use crate::crowd::{Crowd, Hearing};
use crate::outcome::{DISORDERED, EXPECTED, LOST, Outcome, RECEIVED, REPEATED, Times};
use crate::sessions::{Line, Place, Sessions};
use crate::tally::PAIRS_MAX;
use madang_protocol::ServerMessage;
use madang_protocol::client::Class;
use madang_protocol::server::ClassCounts;

/// Newest values that did not arrive.
pub(super) const STALE: &str = "stale";
/// Messages that did not arrive and that the server does not say that it left out.
pub(super) const UNACCOUNTED: &str = "unaccounted";
/// Members of which the server says that it sent another number than came.
pub(super) const MISCOUNTED: &str = "miscounted";
/// Members whose counts did not come.
pub(super) const SILENT: &str = "silent";
/// What the server says that it replaced by something newer, and that it dropped.
const CONFLATED: &str = "conflated";
const DROPPED: &str = "dropped";

/// What all members hear.
pub(super) struct Ears {
    class: Class,
    base: usize,
    rooms_of: usize,
    slow: Vec<bool>,
    pub(super) hearing: Hearing,
    /// What slow ones hear, which does not belong to what the others feel.
    slow_latency: Times,
    /// By receiver and place of the sender: the number that comes next. Only where no log has them.
    next: Vec<u32>,
    members: Vec<Member>,
    received: u64,
    repeated: u64,
    disordered: u64,
}

/// What one member of a class without a log got.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    sent: u64,
    received: u64,
    /// Its connection ended: what was on its way then is in nobody's count.
    is_interrupted: bool,
    stats: Option<ClassCounts>,
}

impl Ears {
    pub(super) fn new(
        sessions: &Sessions,
        class: Class,
        payload_bytes: usize,
        slow: Vec<bool>,
    ) -> Result<Self, String> {
        let plan = sessions.plan();
        let pairs = if class == Class::Reliable { 0 } else { plan.connections * plan.rooms_of };
        if pairs > PAIRS_MAX {
            return Err(format!(
                "{} members that each hear {} senders are too many to follow; the most is \
                 {PAIRS_MAX} pairs",
                plan.connections, plan.rooms_of
            ));
        }
        Ok(Self {
            class,
            base: plan.first,
            rooms_of: plan.rooms_of,
            hearing: Hearing::new(sessions, payload_bytes),
            slow_latency: Times::new(),
            next: vec![0; pairs],
            members: vec![Member::default(); slow.len()],
            slow,
            received: 0,
            repeated: 0,
            disordered: 0,
        })
    }

    pub(super) fn received(&self) -> u64 {
        if self.class == Class::Reliable { self.hearing.journal.heard() } else { self.received }
    }

    /// A member has sent something.
    pub(super) fn sent(&mut self, session: usize) {
        self.members[session].sent += 1;
    }

    /// A member's connection ended.
    pub(super) fn interrupted(&mut self, session: usize) {
        self.members[session].is_interrupted = true;
    }

    /// Members that were told their counts.
    pub(super) fn counted(&self) -> usize {
        self.members.iter().filter(|member| member.stats.is_some()).count()
    }

    pub(super) fn hear(
        &mut self,
        line: &Line,
        message: &ServerMessage<'_>,
        place: Place,
        now_ns: u64,
    ) {
        let session = line.number();
        let stamp = match message {
            ServerMessage::Ephemeral(message) => {
                let Some(stamp) = self.hearing.read(&message.payload) else { return };
                self.ephemeral(session, stamp.sender as usize, stamp.number as u32).then_some(stamp)
            }
            ServerMessage::Stats(stats) => {
                self.members[session].stats = match self.class {
                    Class::Reliable => Some(stats.reliable),
                    Class::Latest(_) => Some(stats.latest),
                    Class::Volatile => Some(stats.volatile),
                };
                None
            }
            _ => {
                let home = self.hearing.home(session);
                self.hearing.hear((line, home), message, place)
            }
        };
        let Some(stamp) = stamp else { return };
        if self.slow[session] {
            self.slow_latency.record_us(now_ns.saturating_sub(stamp.intended_ns) / 1000);
        } else {
            self.hearing.latency.record(stamp.intended_ns, now_ns);
        }
    }

    /// A message of a class without a log came. Returns whether it is news.
    fn ephemeral(&mut self, session: usize, sender: usize, number: u32) -> bool {
        let first = (self.base + session) / self.rooms_of * self.rooms_of;
        let Some(place) = sender.checked_sub(first).filter(|place| *place < self.rooms_of) else {
            return false;
        };
        let member = &mut self.members[session];
        member.received += 1;
        self.received += 1;
        let next = &mut self.next[session * self.rooms_of + place];
        if number >= *next {
            *next = number + 1;
            return true;
        }
        // Who comes back is sent the newest values, known or not.
        if !member.is_interrupted {
            if number + 1 == *next {
                self.repeated += 1;
            } else {
                self.disordered += 1;
            }
        }
        false
    }

    /// Nothing more comes: puts what was heard into an outcome.
    pub(super) fn finish(&mut self, crowd: &Crowd, sessions: &Sessions, outcome: &mut Outcome) {
        outcome.add_times("slow.latency", &self.slow_latency);
        let hearing = std::mem::replace(&mut self.hearing, Hearing::new(sessions, 0));
        if self.class == Class::Reliable {
            return hearing.finish(crowd, sessions, outcome);
        }
        let mut hearing = hearing;
        hearing.put(outcome);
        outcome.may_lose = true;
        let [mut expected, mut stale, mut unaccounted, mut miscounted, mut silent] = [0_u64; 5];
        let [mut conflated, mut dropped] = [0_u64; 2];
        for (session, member) in self.members.iter().enumerate() {
            let others = self.others(session);
            let due: u64 = others.clone().map(|other| self.members[other].sent).sum();
            expected += due;
            if let Class::Latest(_) = self.class {
                stale += others
                    .filter(|other| {
                        let place = (self.base + other) % self.rooms_of;
                        let next = self.next[session * self.rooms_of + place];
                        u64::from(next) != self.members[*other].sent
                    })
                    .count() as u64;
            }
            let Some(stats) = member.stats else {
                silent += 1;
                continue;
            };
            conflated += stats.conflated;
            dropped += stats.dropped;
            if !member.is_interrupted {
                let known = stats.sent + stats.dropped + stats.conflated;
                unaccounted += due.abs_diff(known);
                miscounted += u64::from(stats.sent != member.received);
            }
        }
        for (name, count) in [
            (EXPECTED, expected),
            (RECEIVED, self.received),
            (LOST, expected.saturating_sub(self.received)),
            (CONFLATED, conflated),
            (DROPPED, dropped),
            (REPEATED, self.repeated),
            (DISORDERED, self.disordered),
            (STALE, stale),
            (UNACCOUNTED, unaccounted),
            (MISCOUNTED, miscounted),
            (SILENT, silent),
        ] {
            outcome.add(name, count);
        }
    }

    /// The others of a session's room.
    fn others(&self, session: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let first = (self.base + session) / self.rooms_of * self.rooms_of;
        let start = first.saturating_sub(self.base);
        let end = (first + self.rooms_of - self.base).min(self.members.len());
        (start..end).filter(move |other| *other != session)
    }
}
