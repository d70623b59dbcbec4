//! Connections that send: at their times, or when their last message was heard.

use crate::ear::Turnover;
use crate::fleet::Fleet;
use crate::outcome::Times;
use crate::schedule::Schedule;
use crate::stamp::{self, Stamp};
use crate::system::Clock;
use madang_protocol::client::Class;
use std::ops::Range;

/// Most messages that are sent before the sockets are looked at again.
const SENDS_PER_TURN: usize = 256;

/// What some connections of a fleet have sent and will send.
pub(crate) struct Talk {
    /// The number, over all processes, of the fleet's first connection.
    base: usize,
    /// The fleet's number of the first that sends; the others follow.
    first: usize,
    class: Class,
    payload_bytes: usize,
    /// Empty where nobody sends by the clock.
    schedule: Schedule,
    /// By sender.
    sent: Vec<u64>,
    total: u64,
    /// Due, but their connection was gone or took no more.
    unsent: u64,
    /// How long after its time each message was handed to the system.
    lateness: Times,
    payload: Vec<u8>,
}

impl Talk {
    /// Each of these connections sends `payload_bytes` `hz` times a second in a time of the clock, or,
    /// without `hz`, when it may.
    pub(crate) fn new(
        base: usize,
        senders: Range<usize>,
        hz: Option<f64>,
        (class, payload_bytes): (Class, usize),
        time: Range<u64>,
    ) -> Self {
        let numbers = (base + senders.start) as u32..(base + senders.end) as u32;
        let schedule = match hz {
            Some(hz) => Schedule::new(numbers, hz, time.start, time.end),
            None => Schedule::new(0..0, 1.0, time.start, time.end),
        };
        Self {
            base,
            first: senders.start,
            class,
            payload_bytes,
            schedule,
            sent: vec![0; senders.len()],
            total: 0,
            unsent: 0,
            lateness: Times::new(),
            payload: Vec::new(),
        }
    }

    /// When the next message is due; `None` after the last one.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.schedule.next_ns()
    }

    /// Sends what is due, but not too much at once; tells the connection of each message.
    pub(crate) fn send_due(&mut self, fleet: &mut Fleet, mut tell: impl FnMut(usize)) {
        let now_ns = Clock.now_ns();
        for _ in 0..SENDS_PER_TURN {
            let Some(due) = self.schedule.pop(now_ns) else { break };
            let sender = due.sender as usize - self.base;
            if self.send(fleet, sender, due.at_ns) {
                tell(sender);
                let late_ns = Clock.now_ns().saturating_sub(due.at_ns);
                self.lateness.record_us(late_ns / 1000);
            }
        }
    }

    /// Sends for those who may, but not too much at once; tells the connection of each message.
    pub(crate) fn send_ready(
        &mut self,
        fleet: &mut Fleet,
        turnover: &mut Turnover,
        mut tell: impl FnMut(usize),
    ) {
        for _ in 0..SENDS_PER_TURN {
            let Some(sender) = turnover.pop() else { break };
            if self.send(fleet, sender, Clock.now_ns()) {
                tell(sender);
            }
        }
    }

    /// Gives up what is still due.
    pub(crate) fn give_up(&mut self) {
        self.unsent += self.schedule.left();
        self.schedule = Schedule::new(0..0, 1.0, 0, 0);
    }

    fn send(&mut self, fleet: &mut Fleet, sender: usize, intended_ns: u64) -> bool {
        let number = &mut self.sent[sender - self.first];
        let sender_number = (self.base + sender) as u32;
        let stamp = Stamp { sender: sender_number, number: *number, intended_ns };
        stamp::write(&stamp, self.payload_bytes, &mut self.payload);
        if !fleet.publish(sender, self.class, &self.payload) {
            self.unsent += 1;
            return false;
        }
        *number += 1;
        self.total += 1;
        true
    }

    /// What was sent so far, by sender.
    pub(crate) fn sent(&self) -> &[u64] {
        &self.sent
    }

    /// What was sent so far, by all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Due, but their connection was gone or took no more.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent
    }

    /// How long after its time each message was handed to the system.
    pub(crate) fn lateness(&self) -> &Times {
        &self.lateness
    }
}
