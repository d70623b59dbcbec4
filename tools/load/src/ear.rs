//! What connections in rooms hear of each other, checked and timed.

use crate::fleet::Listener;
use crate::stamp::{self, Strange};
use crate::tally::Tally;
use crate::traffic::Load;
use hdrhistogram::Histogram;
use std::ops::Range;

/// What all connections hear.
pub(crate) struct Ear {
    rooms_of: usize,
    connections: usize,
    payload_bytes: usize,
    /// What was to be sent in this time is measured.
    pub(crate) window: Range<u64>,
    pub(crate) tally: Tally,
    pub(crate) latency: Histogram<u64>,
    pub(crate) corrupt: u64,
    pub(crate) foreign: u64,
    /// By the speaker's number: first and last arrival and how many there were.
    arrivals: Option<Vec<Arrivals>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    first_ns: u64,
    last_ns: u64,
    count: u32,
    in_window: bool,
}

impl Ear {
    /// For the first `connections` of a fleet.
    pub(crate) fn new(connections: usize, rooms_of: usize, load: &Load) -> Self {
        let senders = if load.one_speaker { 1 } else { rooms_of };
        Self {
            rooms_of,
            connections,
            payload_bytes: load.payload_bytes,
            window: 0..0,
            tally: Tally::new(connections, senders),
            latency: histogram(),
            corrupt: 0,
            foreign: 0,
            arrivals: load.one_speaker.then(Vec::new),
        }
    }

    /// How far the first and the last receiver of each message were apart, in microseconds; only
    /// of those that everyone but the speaker has.
    pub(crate) fn spreads(&self) -> Histogram<u64> {
        let mut spreads = histogram();
        for arrivals in self.arrivals.iter().flatten() {
            if arrivals.in_window && arrivals.count as usize + 1 >= self.connections {
                spreads.saturating_record((arrivals.last_ns - arrivals.first_ns) / 1000);
            }
        }
        spreads
    }
}

impl Listener for Ear {
    fn message(&mut self, conn: usize, payload: &[u8], now_ns: u64) {
        let stamp = match stamp::read(payload, self.payload_bytes) {
            Ok(stamp) => stamp,
            Err(Strange::Corrupt) => {
                self.corrupt += 1;
                return;
            }
            Err(Strange::Foreign) => {
                self.foreign += 1;
                return;
            }
        };
        let sender = stamp.sender as usize;
        let is_speaker = self.arrivals.is_none() || sender == 0;
        if conn / self.rooms_of != sender / self.rooms_of || !is_speaker {
            self.foreign += 1;
            return;
        }
        if !self.tally.take(conn, sender % self.rooms_of, stamp.number) {
            return;
        }
        let in_window = self.window.contains(&stamp.intended_ns);
        if in_window {
            self.latency.saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1000);
        }
        if let Some(all) = &mut self.arrivals {
            let number = stamp.number as usize;
            if all.len() <= number {
                // Bounded by the messages of a run: the number is the speaker's own.
                all.resize(number + 1, Arrivals::default());
            }
            let arrivals = &mut all[number];
            if arrivals.count == 0 {
                *arrivals = Arrivals { first_ns: now_ns, last_ns: now_ns, count: 0, in_window };
            }
            arrivals.last_ns = now_ns;
            arrivals.count += 1;
        }
    }

    fn alive(&mut self, _: usize) {}
}

/// Microseconds up to a minute, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}
