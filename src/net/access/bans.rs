//! Networks that may not connect: those of the configuration, and those that are banned meanwhile.
//!
//! A look-up asks once for each length of prefix that there is, however many bans there are.

use super::Ban;
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::SystemTime;

/// Whether a network is of IPv6, and the length of its prefix.
type Length = (bool, u8);

/// The bans.
#[derive(Debug, Default)]
pub(super) struct Bans {
    /// Until when, if they end.
    until: HashMap<IpNet, Option<SystemTime>>,
    /// How many there are of each length.
    lengths: BTreeMap<Length, usize>,
}

impl Bans {
    pub(super) fn new(bans: &[Ban]) -> Self {
        let mut all = Self::default();
        for ban in bans {
            all.insert(ban.network.trunc(), ban.until);
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// Whether an address is in one of the networks.
    pub(super) fn hold(&self, address: IpAddr) -> bool {
        let is_v6 = address.is_ipv6();
        let lengths = self.lengths.keys().filter(|(of_v6, _)| *of_v6 == is_v6);
        let mut networks =
            lengths.filter_map(|(_, length)| Some(IpNet::new(address, *length).ok()?.trunc()));
        networks.any(|network| match self.until.get(&network) {
            Some(until) => until.is_none_or(|until| SystemTime::now() < until),
            None => false,
        })
    }

    /// Adds one, or changes when it ends. False when there is no place, even without those that have
    /// ended.
    pub(super) fn add(&mut self, ban: Ban, most: usize) -> bool {
        let network = ban.network.trunc();
        if self.until.len() >= most && !self.until.contains_key(&network) {
            self.sweep();
            if self.until.len() >= most {
                return false;
            }
        }
        self.insert(network, ban.until);
        true
    }

    /// Lets a network connect again. Bans of other networks that it is in, or has parts of, stay.
    pub(super) fn lift(&mut self, network: &IpNet) {
        let network = network.trunc();
        if self.until.remove(&network).is_some() {
            self.forget(length(&network));
        }
    }

    fn insert(&mut self, network: IpNet, until: Option<SystemTime>) {
        if self.until.insert(network, until).is_none() {
            *self.lengths.entry(length(&network)).or_default() += 1;
        }
    }

    fn sweep(&mut self) {
        let now = SystemTime::now();
        let has_ended = |until: &Option<SystemTime>| until.is_some_and(|until| until <= now);
        let ended = self.until.iter().filter(|(_, until)| has_ended(until));
        for network in ended.map(|(network, _)| *network).collect::<Vec<_>>() {
            self.lift(&network);
        }
    }

    fn forget(&mut self, length: Length) {
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
    }
}

fn length(network: &IpNet) -> Length {
    (network.addr().is_ipv6(), network.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ban(network: &str, until: Option<SystemTime>) -> Ban {
        Ban { network: network.parse().unwrap(), until }
    }

    #[test]
    fn what_has_ended_makes_place_and_nothing_else_does() {
        let (past, later) = (
            SystemTime::now() - Duration::from_secs(9),
            SystemTime::now() + Duration::from_secs(99),
        );
        let mut bans = Bans::default();
        assert!(bans.add(ban("192.0.2.0/24", Some(later)), 2));
        assert!(bans.add(ban("2001:db8::/32", Some(later)), 2));
        assert!(!bans.add(ban("198.51.100.1/32", Some(later)), 2));
        assert!(
            bans.add(ban("192.0.2.9/24", Some(past)), 2),
            "the same network, which may end now"
        );
        assert!(!bans.hold("192.0.2.1".parse().unwrap()));
        assert!(bans.add(ban("198.51.100.1/32", Some(later)), 2));
        assert!(bans.hold("198.51.100.1".parse().unwrap()));
        assert_eq!(bans.lengths.len(), 2, "a /24 is not looked for any more");
        bans.lift(&"198.51.100.1/32".parse().unwrap());
        bans.lift(&"2001:db8::/32".parse().unwrap());
        bans.lift(&"2001:db8::/32".parse().unwrap());
        assert!(bans.is_empty() && bans.lengths.is_empty());
    }

    #[test]
    fn networks_of_all_lengths_hold_their_addresses() {
        let mut bans = Bans::default();
        assert!(bans.add(ban("0.0.0.0/0", None), 1));
        let (v4, v6) = ("203.0.113.7".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(bans.hold(v4) && !bans.hold(v6));
        bans.lift(&"0.0.0.0/0".parse().unwrap());
        assert!(bans.add(ban("::/0", None), 1));
        assert!(!bans.hold(v4) && bans.hold(v6));
    }
}
