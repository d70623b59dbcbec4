//! What connections in rooms hear of each other, checked and timed. This is what a run does most:
//! nothing here allocates or looks at a clock for a message.

use crate::fleet::{Listener, Plan};
use crate::outcome::{Arrivals, CORRUPT, DISORDERED, FOREIGN, LATENCY, LOST, Outcome};
use crate::outcome::{RECEIVED, REPEATED, Recorder, Times};
use crate::stamp::{self, Stamp, Strange};
use crate::tally::Tally;
use crate::traffic::{Load, Speakers};
use std::collections::VecDeque;
use std::ops::Range;

/// What all connections hear.
pub(crate) struct Ear {
    /// The number, over all processes, of the first connection.
    first: usize,
    rooms_of: usize,
    payload_bytes: usize,
    /// Whom a receiver hears.
    senders: usize,
    /// What was to be sent in this time is measured.
    pub(crate) window: Range<u64>,
    pub(crate) tally: Tally,
    /// Whose room is known: messages of a connection come one behind the other.
    conn: usize,
    /// The first connection of its room.
    room_first: usize,
    /// All of so many messages is checked for one of them.
    check_every: u32,
    until_check: u32,
    /// Those in the window since the last second, those outside of it, and all in the window before.
    inside: Recorder,
    outside: Recorder,
    latency: Times,
    corrupt: u64,
    foreign: u64,
    /// By the speaker's number: first and last arrival and how many there were.
    arrivals: Option<Vec<Arrivals>>,
    /// Whose messages came back, where that is what they wait for.
    pub(crate) turnover: Option<Turnover>,
}

/// Senders that wait until everybody has heard their last message.
pub(crate) struct Turnover {
    /// By sender: how many are to hear each message, and how many have.
    heard: Vec<(u32, u32)>,
    /// Who may send, in order.
    ready: VecDeque<u32>,
}

impl Ear {
    /// For the first `connections` of a fleet.
    pub(crate) fn new(plan: &Plan, connections: usize, load: &Load) -> Self {
        let one_speaker = load.speakers != Speakers::All;
        let senders = if one_speaker { 1 } else { plan.rooms_of };
        Self {
            first: plan.first,
            rooms_of: plan.rooms_of,
            payload_bytes: load.payload_bytes,
            senders,
            window: 0..0,
            tally: Tally::new(connections, senders),
            conn: usize::MAX,
            room_first: 0,
            check_every: load.check_every,
            until_check: 0,
            inside: Recorder::new(),
            outside: Recorder::new(),
            latency: Times::new(),
            corrupt: 0,
            foreign: 0,
            arrivals: one_speaker.then(Vec::new),
            turnover: None,
        }
    }

    /// The latencies of what came since this was asked last.
    pub(crate) fn take_second(&mut self) -> Times {
        let mut second = Times::coarse();
        self.inside.move_to(&mut [&mut self.latency, &mut second]);
        self.outside.move_to(&mut [&mut second]);
        second
    }

    /// Puts what was heard into an outcome, but what came in the window.
    pub(crate) fn finish(&mut self, outcome: &mut Outcome) {
        self.take_second();
        let counts = self.tally.counts();
        for (name, count) in [
            (RECEIVED, counts.received),
            (LOST, counts.lost),
            (REPEATED, counts.repeated),
            (DISORDERED, counts.disordered),
            (CORRUPT, self.corrupt),
            (FOREIGN, self.foreign),
        ] {
            outcome.add(name, count);
        }
        outcome.add_times(LATENCY, &self.latency);
        outcome.arrivals = self.arrivals.take().unwrap_or_default();
    }

    /// Checks every byte of the first message and then of one in `check_every`.
    #[inline]
    fn is_sound(&mut self, payload: &[u8], stamp: &Stamp) -> bool {
        if self.until_check > 0 {
            self.until_check -= 1;
            return true;
        }
        self.until_check = self.check_every.saturating_sub(1);
        stamp::is_whole(payload, stamp)
    }
}

impl Listener for Ear {
    #[inline]
    fn message(&mut self, conn: usize, payload: &[u8], now_ns: u64) {
        let stamp = match stamp::read(payload, self.payload_bytes) {
            Ok(stamp) if self.is_sound(payload, &stamp) => stamp,
            Ok(_) | Err(Strange::Corrupt) => {
                self.corrupt += 1;
                return;
            }
            Err(Strange::Foreign) => {
                self.foreign += 1;
                return;
            }
        };
        if conn != self.conn {
            self.conn = conn;
            self.room_first = (self.first + conn) / self.rooms_of * self.rooms_of;
        }
        let place = (stamp.sender as usize).wrapping_sub(self.room_first);
        if place >= self.senders {
            self.foreign += 1;
            return;
        }
        if !self.tally.take(conn, place, stamp.number) {
            return;
        }
        let us = now_ns.saturating_sub(stamp.intended_ns) / 1000;
        let in_window = self.window.contains(&stamp.intended_ns);
        if in_window {
            self.inside.record_us(us);
        } else {
            self.outside.record_us(us);
        }
        if let Some(all) = &mut self.arrivals {
            let number = stamp.number as usize;
            if all.len() <= number {
                // Bounded by the messages of a run: the number is the speaker's own.
                all.resize(number + 1, Arrivals::default());
            }
            all[number].arrived(now_ns, in_window);
        }
        if let Some(turnover) = &mut self.turnover {
            turnover.heard((stamp.sender as usize).wrapping_sub(self.first));
        }
    }

    fn alive(&mut self, _: usize) {}
}

impl Turnover {
    /// Senders of which each is heard by so many, and which may have `depth` messages on their way.
    pub(crate) fn new(heard_by: impl Iterator<Item = u32>, depth: u32) -> Self {
        let heard: Vec<_> = heard_by.map(|receivers| (receivers, 0)).collect();
        let senders = heard.len() as u32;
        let ready = (0..depth).flat_map(|_| 0..senders);
        // Who is alone and does not hear itself would wait for ever, and would not be heard anyway.
        let ready = ready.filter(|sender| heard[*sender as usize].0 > 0).collect();
        Self { heard, ready }
    }

    /// Who may send next.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        self.ready.pop_front().map(|sender| sender as usize)
    }

    /// Whether somebody may send.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn heard(&mut self, sender: usize) {
        let Some((receivers, heard)) = self.heard.get_mut(sender) else { return };
        *heard += 1;
        if heard == receivers {
            *heard = 0;
            self.ready.push_back(sender as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_heard_by_all_may_send_again() {
        let mut turnover = Turnover::new([2, 0, 1].into_iter(), 2);
        let mut first = Vec::new();
        while let Some(sender) = turnover.pop() {
            first.push(sender);
        }
        assert_eq!(first, [0, 2, 0, 2], "so many as are allowed on their way");
        turnover.heard(0);
        assert!(!turnover.is_ready());
        turnover.heard(2);
        turnover.heard(0);
        turnover.heard(7);
        assert_eq!((turnover.pop(), turnover.pop(), turnover.pop()), (Some(2), Some(0), None));
    }
}
