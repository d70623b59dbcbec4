//! A room's current values of class latest, kept so that those who join later see them.

use crate::frame::Frame;
use std::collections::BTreeMap;

/// Values by sender and key; bounded in keys and bytes.
#[derive(Clone, Debug, Default)]
pub struct LatestValues {
    values: BTreeMap<(u32, u32), Current>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Current {
    frame: Frame,
    /// The type number that the first value had, if it had one.
    number: Option<u32>,
}

impl LatestValues {
    /// Whether a value may carry this type number. A value takes the place of an older one in the
    /// queues, where the announcement of a younger number may still be behind it: so all values
    /// of a key have the number that the first one had, or the name.
    pub fn may_carry(&self, member: u32, key: u32, number: u32) -> bool {
        self.values.get(&(member, key)).is_none_or(|current| current.number == Some(number))
    }

    /// Sets a value, with its type's number if it carries one. Returns false, and changes nothing,
    /// when a bound stands against it.
    pub fn set(
        &mut self,
        (member, key): (u32, u32),
        number: Option<u32>,
        frame: &Frame,
        keys_max: usize,
        bytes_max: usize,
    ) -> bool {
        let current = self.values.get(&(member, key));
        let number = current.map_or(number, |current| current.number);
        let old = current.map(|current| current.frame.len());
        let bytes = self.bytes - old.unwrap_or(0) + frame.len();
        if bytes > bytes_max || (old.is_none() && self.values.len() >= keys_max) {
            return false;
        }
        self.bytes = bytes;
        self.values.insert((member, key), Current { frame: frame.clone(), number });
        true
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets one value.
    pub fn remove(&mut self, member: u32, key: u32) {
        if let Some(current) = self.values.remove(&(member, key)) {
            self.bytes -= current.frame.len();
        }
    }

    /// Whether there is a value of this sender and key.
    pub fn holds(&self, member: u32, key: u32) -> bool {
        self.values.contains_key(&(member, key))
    }

    /// Forgets everything a member set.
    pub fn remove_member(&mut self, member: u32) {
        let keys: Vec<(u32, u32)> =
            self.values.range((member, 0)..=(member, u32::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(current) = self.values.remove(&key) {
                self.bytes -= current.frame.len();
            }
        }
    }

    /// Every value, by sender and key.
    pub fn iter(&self) -> impl Iterator<Item = ((u32, u32), &Frame)> {
        self.values.iter().map(|(key, current)| (*key, &current.frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_and_bounded_and_leave_with_their_member() {
        let mut values = LatestValues::default();
        let (small, large) = (Frame::new(&[0; 4]), Frame::new(&[0; 8]));
        assert!(values.set((1, 0), Some(7), &small, 2, 12));
        assert!(values.set((1, 0), None, &large, 2, 12));
        assert!(values.set((2, 0), None, &small, 2, 12));
        assert!(!values.set((3, 0), None, &small, 2, 100), "keys");
        assert!(!values.set((2, 0), None, &large, 2, 12), "bytes");
        assert!(values.may_carry(1, 0, 7) && !values.may_carry(1, 0, 8), "the first one's number");
        assert!(!values.may_carry(2, 0, 7) && values.may_carry(3, 0, 7));
        values.remove_member(1);
        assert_eq!(values.iter().map(|(key, _)| key).collect::<Vec<_>>(), [(2, 0)]);
        assert!(values.set((3, 0), None, &large, 2, 12));
    }
}
