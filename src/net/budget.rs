//! How many connections there may be: in the process, and from one address.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the reactors of a process share. The table is locked on accept and at a connection's end,
/// for addresses that are not loopback; the data path never sees it.
#[derive(Debug, Default)]
pub struct Budget {
    taken: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The process holds as many connections as it may.
    Process,
    /// The peer's address does.
    Address,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    budget: Arc<Budget>,
    /// The address it is counted for. Boxed because most deployments have a proxy or loopback in
    /// front, where there is none.
    address: Option<Box<IpAddr>>,
}

impl Budget {
    /// Connections that exist.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a place for a connection from `peer`.
    pub(super) fn take(
        self: &Arc<Self>,
        peer: IpAddr,
        connections_max: usize,
        per_address_max: u32,
    ) -> Result<Permit, Full> {
        // From here on the drop gives it back.
        let mut permit = Permit { budget: Arc::clone(self), address: None };
        if self.taken.fetch_add(1, Ordering::Relaxed) >= connections_max {
            return Err(Full::Process);
        }
        if !peer.is_loopback() {
            let address = counted(peer);
            let mut by_address = self.by_address.lock();
            let count = by_address.entry(address).or_default();
            if *count >= per_address_max {
                return Err(Full::Address);
            }
            *count += 1;
            permit.address = Some(Box::new(address));
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address.take() {
            let mut by_address = self.budget.by_address.lock();
            if let Some(count) = by_address.get_mut(&*address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&*address);
                }
            }
        }
    }
}

/// What is counted as one address: an IPv6 subscriber has a whole /64 (RFC 6177).
fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_given_back_and_an_address_has_its_own_bound() {
        let budget = Arc::new(Budget::default());
        let first = budget.take(ip("192.0.2.1"), 3, 1).unwrap();
        assert_eq!(budget.take(ip("192.0.2.1"), 3, 1).unwrap_err(), Full::Address);
        assert_eq!(budget.take(ip("::ffff:192.0.2.1"), 3, 1).unwrap_err(), Full::Address);
        let _other = budget.take(ip("192.0.2.2"), 3, 1).unwrap();
        drop(first);
        let _again = budget.take(ip("192.0.2.1"), 3, 1).unwrap();
        let _local = budget.take(ip("127.0.0.1"), 3, 1).unwrap();
        assert_eq!(budget.take(ip("192.0.2.3"), 3, 1).unwrap_err(), Full::Process);
        assert_eq!(budget.taken(), 3);
    }

    #[test]
    fn loopback_is_not_counted_and_a_subscriber_is_a_prefix() {
        let budget = Arc::new(Budget::default());
        let held: Vec<_> = (0..5).map(|_| budget.take(ip("::1"), 10, 1).unwrap()).collect();
        assert!(budget.by_address.lock().is_empty());
        let _one = budget.take(ip("2001:db8::1"), 10, 1).unwrap();
        assert!(budget.take(ip("2001:db8::2"), 10, 1).is_err());
        assert!(budget.take(ip("2001:db8:0:1::1"), 10, 1).is_ok());
        drop(held);
        assert_eq!(
            budget.by_address.lock().len(),
            1,
            "an address without connections is forgotten"
        );
    }
}
