//! Connections that send at their times.

use crate::ear::histogram;
use crate::fleet::Fleet;
use crate::schedule::Schedule;
use crate::stamp::{self, Stamp};
use crate::system::Clock;
use hdrhistogram::Histogram;
use madang_protocol::client::Class;
use std::ops::Range;

/// Most messages that are sent before the sockets are looked at again.
const SENDS_PER_TURN: usize = 256;

/// What some connections of a fleet have sent and will send.
pub(crate) struct Talk {
    clock: Clock,
    /// The fleet's number of the first that sends; the others follow.
    first: usize,
    class: Class,
    payload_bytes: usize,
    schedule: Schedule,
    /// By sender.
    sent: Vec<u64>,
    /// Due, but their connection was gone or took no more.
    unsent: u64,
    /// How long after its time each message was handed to the system, in microseconds.
    lateness: Histogram<u64>,
    payload: Vec<u8>,
}

impl Talk {
    /// Each of these connections sends `payload_bytes` `hz` times a second in a time of the clock.
    pub(crate) fn new(
        clock: Clock,
        senders: Range<usize>,
        hz: f64,
        (class, payload_bytes): (Class, usize),
        time: Range<u64>,
    ) -> Self {
        let numbers = senders.start as u32..senders.end as u32;
        Self {
            clock,
            first: senders.start,
            class,
            payload_bytes,
            schedule: Schedule::new(numbers, hz, time.start, time.end),
            sent: vec![0; senders.len()],
            unsent: 0,
            lateness: histogram(),
            payload: Vec::new(),
        }
    }

    /// When the next message is due; `None` after the last one.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.schedule.next_ns()
    }

    /// Sends what is due, but not too much at once; tells the connection of each message.
    pub(crate) fn send_due(&mut self, fleet: &mut Fleet, mut tell: impl FnMut(usize)) {
        let now_ns = self.clock.now_ns();
        for _ in 0..SENDS_PER_TURN {
            let Some(due) = self.schedule.pop(now_ns) else { break };
            let sender = due.sender as usize;
            let number = self.sent[sender - self.first];
            let stamp = Stamp { sender: due.sender, number, intended_ns: due.at_ns };
            stamp::write(&stamp, self.payload_bytes, &mut self.payload);
            if !fleet.publish(sender, self.class, &self.payload) {
                self.unsent += 1;
                continue;
            }
            self.sent[sender - self.first] += 1;
            tell(sender);
            let late_ns = self.clock.now_ns().saturating_sub(due.at_ns);
            self.lateness.saturating_record(late_ns / 1000);
        }
    }

    /// What was sent so far, by sender.
    pub(crate) fn sent(&self) -> &[u64] {
        &self.sent
    }

    /// Due, but their connection was gone or took no more.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent
    }

    /// How long after its time each message was handed to the system, in microseconds.
    pub(crate) fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }
}
