//! The wheel that holds every connection's timers.

use crate::case::Case;
use madang_engine::time::Time;
use madang_engine::timer::Wheel;

/// As the engine's own.
const GRANULARITY_US: u64 = 10_000;
/// Timers that are set, and expire, in one time; their keys are below.
const SET: u64 = 1_000;
/// Timers that are always there: those of 10,000 connections.
const STANDING: u64 = 10_000;
/// An hour; such a timer is set anew when it expires, as those of idle connections are.
const FAR_US: u64 = 3_600_000_000;

struct Timers {
    wheel: Wheel<u64>,
    now: Time,
}

impl Timers {
    fn new() -> Self {
        let now = Time(0);
        let mut wheel = Wheel::new(now, GRANULARITY_US);
        for key in 0..STANDING {
            wheel.insert(now + FAR_US + key * 1_000, SET + key);
        }
        Self { wheel, now }
    }

    /// Timers for the next second.
    fn set(&mut self) {
        for key in 0..SET {
            self.wheel.insert(self.now + 1 + key * 1_000, key);
        }
    }

    /// Nothing is to expire any more.
    fn clear(&mut self) {
        if self.wheel.len() as u64 > STANDING {
            self.expire();
        }
    }

    /// A second passes.
    fn expire(&mut self) {
        self.now = self.now + SET * 1_000 + GRANULARITY_US;
        let mut expired = 0;
        while let Some(key) = self.wheel.pop(self.now) {
            if key < SET {
                expired += 1;
            } else {
                self.wheel.insert(self.now + FAR_US, key);
            }
        }
        assert_eq!(expired, SET);
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let timers = |name, prepare: fn(&mut Timers), run: fn(&mut Timers)| {
        Case::prepared(("timers", name), Timers::new(), prepare, run).per(SET, "timer")
    };
    vec![
        timers("insert_1000", Timers::clear, Timers::set),
        timers("expire_1000", Timers::set, Timers::expire),
    ]
}
