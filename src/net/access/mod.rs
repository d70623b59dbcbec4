//! Who may connect, by address: bans, rates, and whose word about an address counts.
//!
//! One [`Access`] is shared by all reactors of the process and asked when a connection comes, and
//! again when a proxy says who is behind it. Nothing here is touched after that.
//!
//! Deliberately absent: how many connections there may be (`budget.rs`), and who a user is.

mod bans;
mod forwarded;
mod proxy;
mod rates;

pub use forwarded::{Forwarded, client as forwarded_client};
pub use proxy::{PREAMBLE_BYTES_MAX, Preamble, read as read_preamble};

use bans::Bans;
use ipnet::IpNet;
use madang_engine::time::Time;
use parking_lot::{Mutex, RwLock};
use rates::Rates;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Addresses that may not connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Which ones.
    pub network: IpNet,
    /// When that ends, if it does.
    pub until: Option<SystemTime>,
}

/// What an operator may set about addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSettings {
    /// Networks that neither rates nor the bound of connections from one address are for.
    pub trusted: Vec<IpNet>,
    /// Who may not connect.
    pub bans: Vec<Ban>,
    /// Most networks that may not, those included that are banned meanwhile.
    pub bans_max: usize,
    /// Networks of proxies, whose word about the address behind them counts.
    pub proxies: Vec<IpNet>,
    /// Whether connections of proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Which field of a request says the address behind a proxy.
    pub forwarded: Forwarded,
    /// Connections that one address may begin a second in the long run.
    pub connects_per_second: u32,
    /// Connections that it may begin at once.
    pub connects_burst: u32,
    /// Most addresses whose rates are known.
    pub addresses_max: usize,
}

impl Default for AccessSettings {
    /// Loopback is trusted, and nobody is banned or believed.
    fn default() -> Self {
        Self {
            trusted: vec![LOOPBACK_V4.into(), LOOPBACK_V6.into()],
            bans: Vec::new(),
            bans_max: 1_000,
            proxies: Vec::new(),
            proxy_protocol: false,
            forwarded: Forwarded::None,
            connects_per_second: 20,
            connects_burst: 200,
            addresses_max: 65_536,
        }
    }
}

const LOOPBACK_V4: ipnet::Ipv4Net =
    ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8);
const LOOPBACK_V6: ipnet::Ipv6Net = ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128);

/// Asked who may connect.
#[derive(Debug, Default)]
pub struct Access {
    settings: AccessSettings,
    rates: Mutex<Rates>,
    bans: RwLock<Bans>,
    /// Whether there has been any ban.
    has_bans: AtomicBool,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    Banned,
    TooFast,
}

impl Access {
    /// With these settings.
    pub fn new(settings: AccessSettings) -> Self {
        let bans = Bans::new(&settings.bans);
        let has_bans = AtomicBool::new(!bans.is_empty());
        Self { settings, rates: Mutex::default(), bans: RwLock::new(bans), has_bans }
    }

    /// Keeps a network out from now on: connections that it begins, not those that it has. False
    /// when there is no place for another ban.
    pub fn ban(&self, ban: Ban) -> bool {
        self.has_bans.store(true, Ordering::Relaxed);
        self.bans.write().add(ban, self.settings.bans_max.max(self.settings.bans.len()))
    }

    /// Lets a network connect again, as long as it is in no other one that may not.
    pub fn lift(&self, network: &IpNet) {
        self.bans.write().lift(network);
    }

    /// Whether anything here is said of an address: for loopback as it comes, nothing is, and a
    /// connection of it needs no entry anywhere.
    pub(super) fn is_limited(&self, address: IpAddr) -> bool {
        self.has_bans.load(Ordering::Relaxed) || !self.is_trusted(address)
    }

    /// Whether an address is a proxy's.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        holds(&self.settings.proxies, address)
    }

    /// Whether connections from this address begin with a PROXY header.
    pub(super) fn has_preamble(&self, address: IpAddr) -> bool {
        self.settings.proxy_protocol && self.is_proxy(address)
    }

    /// Whether the bound of connections from one address is not for this one.
    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        holds(&self.settings.trusted, address) || self.is_proxy(address)
    }

    pub(super) fn forwarded(&self) -> Forwarded {
        self.settings.forwarded
    }

    /// Whether nobody at an address may connect now.
    pub(super) fn is_banned(&self, address: IpAddr) -> bool {
        self.has_bans.load(Ordering::Relaxed) && self.bans.read().hold(address.to_canonical())
    }

    /// Lets an address begin a connection.
    pub(super) fn admit(&self, address: IpAddr, now: Time) -> Result<(), Barred> {
        let settings = &self.settings;
        if self.is_banned(address) {
            return Err(Barred::Banned);
        }
        if self.is_trusted(address) {
            return Ok(());
        }
        let (rate, burst) = (settings.connects_per_second, settings.connects_burst);
        let address = super::budget::counted(address);
        let mut rates = self.rates.lock();
        if rates.take(address, (rate, burst), settings.addresses_max, now) {
            Ok(())
        } else {
            Err(Barred::TooFast)
        }
    }
}

/// A network as people write it, or a single address.
pub fn read_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(|| {
        let address: IpAddr = text.parse().ok()?;
        Some(address.to_canonical().into())
    })
}

fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn bans_hold_for_networks_until_they_end() {
        let ban = |network: &str, until| Ban { network: network.parse().unwrap(), until };
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        let access = Access::new(AccessSettings {
            bans: vec![
                ban("192.0.2.0/24", None),
                ban("198.51.100.7/32", Some(now - hour)),
                ban("198.51.100.8/32", Some(now + hour)),
                ban("2001:db8::/32", None),
                ban("127.0.0.9/32", None),
            ],
            ..AccessSettings::default()
        });
        let admit = |text| access.admit(ip(text), Time(0));
        for banned in
            ["192.0.2.1", "::ffff:192.0.2.1", "198.51.100.8", "2001:db8:1::1", "127.0.0.9"]
        {
            assert_eq!(admit(banned), Err(Barred::Banned), "{banned}");
        }
        for good in ["192.0.3.1", "198.51.100.7", "2001:db9::1", "127.0.0.1", "::1"] {
            assert_eq!(admit(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn networks_are_banned_and_let_in_again_meanwhile() {
        let access = Access::new(AccessSettings { bans_max: 1, ..AccessSettings::default() });
        let until = SystemTime::now() + Duration::from_secs(3600);
        let ban = |network: &str| Ban { network: network.parse().unwrap(), until: Some(until) };
        assert!(!access.is_limited(ip("127.0.0.1")), "nobody asks about this machine");
        assert!(access.ban(ban("127.0.0.0/8")));
        assert!(access.is_limited(ip("127.0.0.1")));
        assert_eq!(access.admit(ip("127.0.0.1"), Time(0)), Err(Barred::Banned));
        assert!(!access.ban(ban("192.0.2.0/24")), "there is place for one");
        access.lift(&"127.0.0.0/8".parse().unwrap());
        assert_eq!(access.admit(ip("127.0.0.1"), Time(0)), Ok(()));
    }

    #[test]
    fn rates_are_for_addresses_that_nobody_vouches_for() {
        let access = Access::new(AccessSettings {
            proxies: nets(&["10.0.0.0/8"]),
            connects_per_second: 2,
            connects_burst: 3,
            ..AccessSettings::default()
        });
        let admit = |text, ms| access.admit(ip(text), Time(0).plus_ms(ms)).is_ok();
        for unlimited in ["127.0.0.1", "::1", "10.1.2.3"] {
            assert!((0..50).all(|_| admit(unlimited, 0)), "{unlimited}");
            assert!(access.is_trusted(ip(unlimited)));
        }
        assert_eq!((0..5).filter(|_| admit("192.0.2.1", 0)).count(), 3);
        // An IPv6 subscriber is a /64.
        let v6 = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"];
        assert_eq!(v6.into_iter().filter(|text| admit(text, 0)).count(), 3);
        assert!(admit("2001:db8:0:1::1", 0));
        assert!(!admit("192.0.2.1", 400));
        assert!(admit("192.0.2.1", 500) && !admit("192.0.2.1", 501));
    }
}
