//! Token buckets for what a client sends: a client that spends more than it has is not cut off
//! but read more slowly.

use crate::config::SessionConfig;
use crate::time::Time;

/// What a session may still send.
///
/// Source: the generic token bucket (RFC 2697 uses the same shape). A message is always accepted;
/// if it takes a bucket below zero the session has to pause until both are back at zero.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Messages, in thousandths.
    messages: i64,
    /// Bytes, in thousandths.
    bytes: i64,
    refilled: Time,
}

impl Allowance {
    /// Full buckets.
    pub fn new(config: &SessionConfig, now: Time) -> Self {
        Self {
            messages: i64::from(config.messages_burst) * 1000,
            bytes: i64::from(config.bytes_burst) * 1000,
            refilled: now,
        }
    }

    /// Takes one message of `len` bytes. Returns until when the session has to pause, if it has.
    pub fn spend(&mut self, len: usize, config: &SessionConfig, now: Time) -> Option<Time> {
        self.refill(config, now);
        let mut wait_us = 0;
        if config.messages_per_second > 0 {
            self.messages -= 1000;
            wait_us = wait_us.max(debt_us(self.messages, config.messages_per_second));
        }
        if config.bytes_per_second > 0 {
            self.bytes -= len as i64 * 1000;
            wait_us = wait_us.max(debt_us(self.bytes, config.bytes_per_second));
        }
        (wait_us > 0).then(|| now + wait_us)
    }

    fn refill(&mut self, config: &SessionConfig, now: Time) {
        // Whole milliseconds, so that a rate of n a second is n thousandths a millisecond.
        let elapsed_ms = now.since(self.refilled) / 1000;
        if elapsed_ms == 0 {
            return;
        }
        self.refilled = self.refilled.plus_ms(elapsed_ms);
        let elapsed = elapsed_ms.min(1 << 32) as i64;
        let fill = |level: i64, rate: u32, burst: u32| {
            (level + elapsed * i64::from(rate)).min(i64::from(burst) * 1000)
        };
        self.messages = fill(self.messages, config.messages_per_second, config.messages_burst);
        self.bytes = fill(self.bytes, config.bytes_per_second, config.bytes_burst);
    }
}

/// Microseconds until a level below zero is back at zero.
fn debt_us(level: i64, per_second: u32) -> u64 {
    if level >= 0 { 0 } else { (level.unsigned_abs() * 1000).div_ceil(u64::from(per_second)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_sustained_rate_holds() {
        let config = SessionConfig {
            messages_per_second: 10,
            messages_burst: 5,
            bytes_per_second: 0,
            ..SessionConfig::default()
        };
        let mut now = Time::from_ms(1);
        let mut allowance = Allowance::new(&config, now);
        for _ in 0..5 {
            assert_eq!(allowance.spend(100, &config, now), None);
        }
        // One message in debt takes a tenth of a second to earn back.
        assert_eq!(allowance.spend(100, &config, now), Some(now + 100_000));
        now = now + 100_000;
        assert_eq!(allowance.spend(100, &config, now), Some(now + 100_000));
        now = now + 1_000_000;
        for _ in 0..5 {
            assert_eq!(allowance.spend(100, &config, now), None, "never more than the burst");
        }
        assert!(allowance.spend(100, &config, now).is_some());
    }

    #[test]
    fn bytes_are_counted_beside_messages() {
        let config = SessionConfig {
            messages_per_second: 0,
            bytes_per_second: 1000,
            bytes_burst: 1000,
            ..SessionConfig::default()
        };
        let now = Time::from_ms(0);
        let mut allowance = Allowance::new(&config, now);
        assert_eq!(allowance.spend(1000, &config, now), None);
        assert_eq!(allowance.spend(500, &config, now), Some(now + 500_000));
    }
}
