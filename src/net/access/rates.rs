//! How fast addresses begin connections: one token bucket each, in a table of bounded size.

use madang_engine::time::Time;
use std::collections::HashMap;
use std::net::IpAddr;

/// Least time between two looks at the whole table, in microseconds.
const SWEEP_US: u64 = 1_000_000;
/// What one connection costs: buckets count in millionths, so that every microsecond fills them.
const ONE: u64 = 1_000_000;

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: HashMap<IpAddr, Bucket>,
    swept: Time,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u64,
    at: Time,
}

impl Bucket {
    fn tokens(self, (rate, burst): (u32, u32), now: Time) -> u64 {
        let grown = self.tokens.saturating_add(now.since(self.at).saturating_mul(rate.into()));
        grown.min(u64::from(burst) * ONE)
    }
}

impl Rates {
    /// Takes a token of an address, if it has one. When the table is full of addresses that have used
    /// theirs, a new one is let in without: the bound of connections from one address holds all the
    /// same, and a table that refuses strangers would be a door that anybody can shut.
    pub(super) fn take(
        &mut self,
        address: IpAddr,
        limits: (u32, u32),
        addresses_max: usize,
        now: Time,
    ) -> bool {
        if let Some(bucket) = self.buckets.get_mut(&address) {
            let tokens = bucket.tokens(limits, now);
            let has_one = tokens >= ONE;
            *bucket = Bucket { tokens: if has_one { tokens - ONE } else { tokens }, at: now };
            return has_one;
        }
        if self.buckets.len() >= addresses_max && self.swept.plus_ms(SWEEP_US / 1000) <= now {
            self.swept = now;
            let full = u64::from(limits.1) * ONE;
            self.buckets.retain(|_, bucket| bucket.tokens(limits, now) < full);
        }
        if self.buckets.len() < addresses_max {
            let tokens = (u64::from(limits.1) * ONE).saturating_sub(ONE);
            self.buckets.insert(address, Bucket { tokens, at: now });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from(n).into()
    }

    #[test]
    fn the_table_is_bounded_and_forgets_those_who_are_quiet() {
        let mut rates = Rates::default();
        let limits = (10, 2);
        for n in 0..100 {
            assert!(rates.take(address(n), limits, 8, Time(0)));
        }
        assert_eq!(rates.buckets.len(), 8);
        // Those in the table are limited; the others are let in.
        assert!(rates.take(address(3), limits, 8, Time(0)));
        assert!(!rates.take(address(3), limits, 8, Time(0)));
        assert!((0..50).all(|_| rates.take(address(99), limits, 8, Time(0))));
        let later = Time(0).plus_ms(2000);
        assert!(rates.take(address(99), limits, 8, later));
        assert!(rates.take(address(99), limits, 8, later));
        assert!(!rates.take(address(99), limits, 8, later));
        assert_eq!(rates.buckets.len(), 1, "full buckets are forgotten");
    }
}
