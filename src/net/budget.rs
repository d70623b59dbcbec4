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
    /// The peer's address begins connections too fast.
    Rate,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    budget: Arc<Budget>,
    /// Whom it is counted for, or whom a proxy says it is. Boxed because there is none for most
    /// connections of a proxy that does not say, and of this machine.
    holder: Option<Box<Holder>>,
}

/// Who holds a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    address: IpAddr,
    /// Whether the address has a bound.
    is_counted: bool,
}

impl Budget {
    /// Connections that exist.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a place for a connection, which is nobody's yet.
    pub(super) fn take(self: &Arc<Self>, connections_max: usize) -> Result<Permit, Full> {
        // From here on the drop gives it back.
        let permit = Permit { budget: Arc::clone(self), holder: None };
        if self.taken.fetch_add(1, Ordering::Relaxed) >= connections_max {
            return Err(Full::Process);
        }
        Ok(permit)
    }
}

impl Permit {
    /// Takes a further place where this one is from.
    pub(super) fn another(&self, connections_max: usize) -> Result<Permit, Full> {
        self.budget.take(connections_max)
    }

    /// Counts the place for an address, and no longer for the one before; without a bound it is only
    /// remembered whose it is.
    pub(super) fn hold(&mut self, address: IpAddr, bound: Option<u32>) -> Result<(), Full> {
        self.release();
        if let Some(per_address_max) = bound {
            let mut by_address = self.budget.by_address.lock();
            let count = by_address.entry(counted(address)).or_default();
            if *count >= per_address_max {
                return Err(Full::Address);
            }
            *count += 1;
        }
        self.holder = Some(Box::new(Holder { address, is_counted: bound.is_some() }));
        Ok(())
    }

    /// Whose it is, as far as that was said.
    pub(super) fn holder(&self) -> Option<IpAddr> {
        self.holder.as_ref().map(|holder| holder.address)
    }

    fn release(&mut self) {
        let Some(holder) = self.holder.take().filter(|holder| holder.is_counted) else { return };
        let address = counted(holder.address);
        let mut by_address = self.budget.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(1, Ordering::Relaxed);
        self.release();
    }
}

/// What is counted as one address: an IPv6 subscriber has a whole /64 (RFC 6177).
pub(super) fn counted(peer: IpAddr) -> IpAddr {
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

    fn take(budget: &Arc<Budget>, address: &str, bound: Option<u32>) -> Result<Permit, Full> {
        let mut permit = budget.take(3)?;
        permit.hold(ip(address), bound).map(|()| permit)
    }

    #[test]
    fn places_are_given_back_and_an_address_has_its_own_bound() {
        let budget = Arc::new(Budget::default());
        let first = take(&budget, "192.0.2.1", Some(1)).unwrap();
        assert_eq!(take(&budget, "192.0.2.1", Some(1)).unwrap_err(), Full::Address);
        assert_eq!(take(&budget, "::ffff:192.0.2.1", Some(1)).unwrap_err(), Full::Address);
        let _other = take(&budget, "192.0.2.2", Some(1)).unwrap();
        drop(first);
        let mut again = take(&budget, "192.0.2.1", Some(1)).unwrap();
        let _local = take(&budget, "127.0.0.1", None).unwrap();
        assert_eq!(budget.taken(), 3);
        assert_eq!(take(&budget, "192.0.2.3", Some(1)).unwrap_err(), Full::Process);
        assert_eq!(budget.taken(), 3);
        // A place that goes to another address is counted there, or nowhere if that has none.
        assert_eq!(again.hold(ip("192.0.2.2"), Some(1)), Err(Full::Address));
        assert_eq!(again.holder(), None);
        assert_eq!(again.hold(ip("192.0.2.4"), Some(1)), Ok(()));
        assert_eq!(again.holder(), Some(ip("192.0.2.4")));
        drop(again);
        assert_eq!(budget.by_address.lock().len(), 1);
    }

    #[test]
    fn without_a_bound_nothing_is_counted_and_a_subscriber_is_a_prefix() {
        let budget = Arc::new(Budget::default());
        let held: Vec<_> = (0..2).map(|_| take(&budget, "::1", None).unwrap()).collect();
        assert!(budget.by_address.lock().is_empty());
        let _one = take(&budget, "2001:db8::1", Some(1)).unwrap();
        drop(held);
        assert!(take(&budget, "2001:db8::2", Some(1)).is_err());
        assert!(take(&budget, "2001:db8:0:1::1", Some(1)).is_ok());
        assert_eq!(
            budget.by_address.lock().len(),
            1,
            "an address without connections is forgotten"
        );
    }
}
