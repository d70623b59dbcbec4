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
    /// Joins, in thousandths; the bursts of these two are at most a million.
    joins: i32,
    /// Other questions that cost more than a message, in thousandths.
    requests: i32,
    refilled: Time,
    /// Since when it has been in debt again and again, without half a burst in between.
    slowed_since: Time,
}

/// It has not been in debt since half a burst was there.
const NEVER: Time = Time(u64::MAX);

/// What costs the server more than its bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Into a room.
    Join,
    /// An answer that has to be made: requests, counts, states anew, credentials.
    Request,
}

impl Allowance {
    /// Full buckets.
    pub fn new(config: &SessionConfig, now: Time) -> Self {
        Self {
            messages: i64::from(config.messages_burst) * 1000,
            bytes: i64::from(config.bytes_burst) * 1000,
            joins: thousandths(config.joins_burst),
            requests: thousandths(config.requests_burst),
            refilled: now,
            slowed_since: NEVER,
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

    /// Takes a question besides. Returns until when the session has to pause, if it has.
    pub fn ask(&mut self, ask: Ask, config: &SessionConfig, now: Time) -> Option<Time> {
        self.refill(config, now);
        let (level, rate) = match ask {
            Ask::Join => (&mut self.joins, config.joins_per_second),
            Ask::Request => (&mut self.requests, config.requests_per_second),
        };
        if rate == 0 {
            return None;
        }
        *level = level.saturating_sub(1000);
        let wait_us = debt_us(i64::from(*level), rate);
        (wait_us > 0).then(|| now + wait_us)
    }

    /// The session is in debt: whether it has been, again and again, for longer than it may.
    pub fn is_beyond_patience(&mut self, config: &SessionConfig, now: Time) -> bool {
        self.slowed_since = self.slowed_since.min(now);
        config.rate_close_ms > 0 && self.slowed_since.plus_ms(config.rate_close_ms) <= now
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
        let fill = |level: i32, rate: u32, burst: u32| {
            let most = thousandths(burst);
            i32::try_from(fill(i64::from(level), rate, burst)).unwrap_or(most).min(most)
        };
        self.joins = fill(self.joins, config.joins_per_second, config.joins_burst);
        self.requests = fill(self.requests, config.requests_per_second, config.requests_burst);
        if self.slowed_since != NEVER && self.has_recovered(config) {
            self.slowed_since = NEVER;
        }
    }

    /// Whether every bucket that is bounded is half full again.
    fn has_recovered(&self, config: &SessionConfig) -> bool {
        [
            (self.messages, config.messages_per_second, config.messages_burst),
            (self.bytes, config.bytes_per_second, config.bytes_burst),
            (i64::from(self.joins), config.joins_per_second, config.joins_burst),
            (i64::from(self.requests), config.requests_per_second, config.requests_burst),
        ]
        .iter()
        .all(|(level, rate, burst)| *rate == 0 || *level >= i64::from(*burst) * 500)
    }
}

/// A full bucket of so many, in thousandths.
fn thousandths(burst: u32) -> i32 {
    i32::try_from(burst).unwrap_or(i32::MAX).saturating_mul(1000)
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
    fn questions_have_buckets_of_their_own() {
        let config = SessionConfig {
            joins_per_second: 2,
            joins_burst: 1,
            requests_per_second: 0,
            ..SessionConfig::default()
        };
        let now = Time::from_ms(0);
        let mut allowance = Allowance::new(&config, now);
        assert_eq!(allowance.ask(Ask::Join, &config, now), None);
        assert_eq!(allowance.ask(Ask::Join, &config, now), Some(now + 500_000));
        assert_eq!(allowance.ask(Ask::Request, &config, now), None, "no bound");
    }

    #[test]
    fn patience_ends_for_those_who_never_let_up() {
        let config = SessionConfig {
            messages_per_second: 10,
            messages_burst: 10,
            rate_close_ms: 5_000,
            ..SessionConfig::default()
        };
        let mut allowance = Allowance::new(&config, Time::from_ms(0));
        let mut slow = |at_ms: u64, messages: u32| {
            let now = Time::from_ms(at_ms);
            let debts = (0..messages).filter_map(|_| allowance.spend(1, &config, now)).count();
            debts > 0 && allowance.is_beyond_patience(&config, now)
        };
        assert!(!slow(1_000, 11));
        for at_ms in (1_200..5_900).step_by(100) {
            assert!(!slow(at_ms, 1), "{at_ms}");
        }
        assert!(slow(6_000, 3));
        // Half a burst later it begins anew.
        assert!(!slow(7_000, 11));
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
