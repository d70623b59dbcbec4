//! What a room said, as its spectators saw it: ids, names and data are the same for each of them, so
//! that what the first saw is what the others are checked against.

use super::sse::{Block, Name, payload};
use crate::stamp::{self, Strange};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

/// Most events of a room that are remembered; later ones are not compared.
const ENTRIES_MAX: usize = 1 << 20;

/// An event of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of all its bytes.
    hash: u64,
    /// The number and the intended time, if a publisher of this run said it.
    pub(super) own: Option<(u64, u64)>,
}

/// The events of one room and epoch.
#[derive(Debug)]
pub(super) struct Book {
    /// The fleet's number of the room's publisher; none when somebody else publishes.
    publisher: Option<u32>,
    payload_bytes: usize,
    epoch: u64,
    entries: HashMap<u64, Entry>,
    scratch: Vec<u8>,
}

/// What was wrong with events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Changed on the way, or not what another spectator saw under the same id.
    pub(super) corrupt: u64,
    /// Messages that no publisher of this run said.
    pub(super) foreign: u64,
}

impl Book {
    pub(super) fn new(publisher: Option<u32>, payload_bytes: usize) -> Self {
        Self { publisher, payload_bytes, epoch: 0, entries: HashMap::new(), scratch: Vec::new() }
    }

    /// What the event of this id is. With `compare` its bytes are checked, which costs time; those of
    /// the first of its id are always read.
    pub(super) fn look(
        &mut self,
        (epoch, seq): (u64, u64),
        block: &Block<'_>,
        compare: bool,
        faults: &mut Faults,
    ) -> Option<Entry> {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.entries.clear();
        }
        if let Some(entry) = self.entries.get(&seq) {
            if compare && entry.hash != hash(block.text) {
                faults.corrupt += 1;
            }
            return Some(*entry);
        }
        if self.entries.len() >= ENTRIES_MAX {
            return None;
        }
        let entry = Entry { hash: hash(block.text), own: self.read(block, faults) };
        self.entries.insert(seq, entry);
        Some(entry)
    }

    /// What a message says about itself.
    fn read(&mut self, block: &Block<'_>, faults: &mut Faults) -> Option<(u64, u64)> {
        let publisher = self.publisher.filter(|_| block.name == Name::Message)?;
        self.scratch.clear();
        let decoded = block
            .data
            .and_then(payload)
            .is_some_and(|base64| STANDARD.decode_vec(base64, &mut self.scratch).is_ok());
        let stamp = if decoded {
            stamp::read(&self.scratch, self.payload_bytes).and_then(|stamp| {
                stamp::is_whole(&self.scratch, &stamp).then_some(stamp).ok_or(Strange::Corrupt)
            })
        } else {
            Err(Strange::Foreign)
        };
        match stamp {
            Ok(stamp) if stamp.sender == publisher => {
                return Some((stamp.number, stamp.intended_ns));
            }
            Ok(_) | Err(Strange::Foreign) => faults.foreign += 1,
            Err(Strange::Corrupt) => faults.corrupt += 1,
        }
        None
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::sse::next_block;
    use super::*;
    use crate::stamp::Stamp;

    fn event(seq: u64, sender: u32, number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        stamp::write(&Stamp { sender, number, intended_ns: 9 }, 40, &mut bytes);
        let payload = STANDARD.encode(&bytes);
        format!(
            "id: 00000000000000aa-{seq}\nevent: message\ndata: {{\"payload\":{{\"bytes\":\"{payload}\"}}}}\n\n"
        )
        .into_bytes()
    }

    #[test]
    fn the_first_is_read_and_the_others_are_compared() {
        let mut book = Book::new(Some(3), 40);
        let mut faults = Faults::default();
        let mut look = |text: &[u8], compare| {
            let block = next_block(text).unwrap().unwrap();
            let seq = block.id.unwrap().seq;
            let entry = book.look((0xaa, seq), &block, compare, &mut faults);
            (entry.unwrap().own, faults.corrupt, faults.foreign)
        };
        assert_eq!(look(&event(1, 3, 5), true), (Some((5, 9)), 0, 0));
        assert_eq!(look(&event(1, 3, 5), true), (Some((5, 9)), 0, 0));
        assert_eq!(look(&event(1, 3, 6), false), (Some((5, 9)), 0, 0), "not asked to compare");
        assert_eq!(look(&event(1, 3, 6), true), (Some((5, 9)), 1, 0));
        assert_eq!(look(&event(2, 4, 6), true), (None, 1, 1), "another room's");
        let mut changed = event(3, 3, 7);
        let middle = changed.len() - 12;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        assert_eq!(look(&changed, false), (None, 2, 1));
    }
}
