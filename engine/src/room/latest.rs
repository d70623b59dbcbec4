//! A room's current values of class latest, kept so that those who join later see them.

use crate::frame::Frame;
use std::collections::BTreeMap;

/// Values by sender and key; bounded in keys and bytes.
#[derive(Clone, Debug, Default)]
pub struct LatestValues {
    values: BTreeMap<(u32, u32), Frame>,
    bytes: usize,
}

impl LatestValues {
    /// Sets a value. Returns false, and changes nothing, when a bound stands against it.
    pub fn set(
        &mut self,
        member: u32,
        key: u32,
        frame: &Frame,
        keys_max: usize,
        bytes_max: usize,
    ) -> bool {
        let old = self.values.get(&(member, key)).map(|old| old.len());
        let bytes = self.bytes - old.unwrap_or(0) + frame.len();
        if bytes > bytes_max || (old.is_none() && self.values.len() >= keys_max) {
            return false;
        }
        self.bytes = bytes;
        self.values.insert((member, key), frame.clone());
        true
    }

    /// Forgets everything a member set.
    pub fn remove_member(&mut self, member: u32) {
        let keys: Vec<(u32, u32)> =
            self.values.range((member, 0)..=(member, u32::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(frame) = self.values.remove(&key) {
                self.bytes -= frame.len();
            }
        }
    }

    /// Every value, by sender and key.
    pub fn iter(&self) -> impl Iterator<Item = ((u32, u32), &Frame)> {
        self.values.iter().map(|(key, frame)| (*key, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_and_bounded_and_leave_with_their_member() {
        let mut values = LatestValues::default();
        let (small, large) = (Frame::new(&[0; 4]), Frame::new(&[0; 8]));
        assert!(values.set(1, 0, &small, 2, 12));
        assert!(values.set(1, 0, &large, 2, 12));
        assert!(values.set(2, 0, &small, 2, 12));
        assert!(!values.set(3, 0, &small, 2, 100), "keys");
        assert!(!values.set(2, 0, &large, 2, 12), "bytes");
        values.remove_member(1);
        assert_eq!(values.iter().map(|(key, _)| key).collect::<Vec<_>>(), [(2, 0)]);
        assert!(values.set(3, 0, &large, 2, 12));
    }
}
