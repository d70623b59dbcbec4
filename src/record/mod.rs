//! Recordings of rooms with rules: from a shard to a file, without the shard waiting for a disk.
//!
//! A [`Recorder`] is one shard's way to the one thread that writes (`writer.rs`): one packet per turn,
//! bounded in number and bytes, and never waited for. What finds no place ends the recordings of the
//! rooms that it belongs to, and their files say so: a recording with a hole would be none.
//!
//! A recording holds a room's seed and all that its members sent: its file is for the operator alone.

mod writer;

pub use writer::{RecordSettings, SUFFIX};

use crate::metrics::Block;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use madang_engine::room::record::{RecordEvent, RecordItem};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Packets that may wait for the writer.
const PACKETS_MAX: usize = 4 << 10;
/// When something found no place, the writer is told after this long at the earliest.
pub(crate) const RETRY_MS: u64 = 50;
/// How long a shard that ends waits for place for its last packet.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What a shard tells the writer.
#[derive(Debug)]
struct Packet {
    /// Rooms whose recordings end here: something of them found no place. Before `items`.
    cut: BTreeSet<u32>,
    items: Vec<RecordItem>,
    /// As the bytes on their way count it.
    bytes: usize,
}

/// One shard's way to the writer.
#[derive(Debug, Default)]
pub struct Recorder {
    sender: Option<Sender<Packet>>,
    /// Bytes on their way, of all shards.
    in_flight: Arc<AtomicUsize>,
    bytes_max: usize,
    batch: Vec<RecordItem>,
    bytes: usize,
    /// Rooms that are not recorded any more until they begin anew.
    cut: BTreeSet<u32>,
    /// Those of them of which the writer has not been told.
    owed: BTreeSet<u32>,
    /// Items that found no place.
    pub dropped: u64,
}

/// The thread that writes, and what is disconnected when it has ended.
#[derive(Debug)]
pub struct Writing {
    /// The thread.
    pub thread: JoinHandle<()>,
    /// Nothing is ever sent.
    pub end: Receiver<()>,
}

/// Starts the thread that writes. It ends when every clone of the recorder is gone.
///
/// # Errors
///
/// When the system refuses a thread.
pub fn start(
    settings: RecordSettings,
    bytes_max: usize,
    block: Arc<Block>,
) -> std::io::Result<(Recorder, Writing)> {
    let (sender, packets) = crossbeam_channel::bounded(PACKETS_MAX);
    let recorder = Recorder::new(Some(sender), bytes_max, Arc::default());
    let in_flight = Arc::clone(&recorder.in_flight);
    let (held, end) = crossbeam_channel::bounded(0);
    let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        let _held = held;
        writer::run(settings, &packets, &in_flight, block);
    })?;
    Ok((recorder, Writing { thread, end }))
}

impl Recorder {
    /// The way of one more shard to the same writer.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.sender.clone(), self.bytes_max, Arc::clone(&self.in_flight))
    }

    fn new(sender: Option<Sender<Packet>>, bytes_max: usize, in_flight: Arc<AtomicUsize>) -> Self {
        Self {
            sender,
            in_flight,
            bytes_max,
            batch: Vec::new(),
            bytes: 0,
            cut: BTreeSet::new(),
            owed: BTreeSet::new(),
            dropped: 0,
        }
    }

    /// Adds an item to this turn's packet.
    pub fn push(&mut self, item: RecordItem) {
        if matches!(item.event, RecordEvent::Begun(_)) {
            self.cut.remove(&item.channel);
        }
        if self.sender.is_none() || self.cut.contains(&item.channel) {
            self.dropped += u64::from(self.sender.is_some());
            if matches!(item.event, RecordEvent::Ended(_)) {
                self.cut.remove(&item.channel);
            }
            return;
        }
        self.bytes += item.cost();
        self.batch.push(item);
    }

    /// Sends this turn's packet, if there is place for it.
    pub fn flush(&mut self) {
        if self.batch.is_empty() && self.owed.is_empty() {
            return;
        }
        let Some(sender) = &self.sender else { return };
        let packet = Packet {
            cut: std::mem::take(&mut self.owed),
            items: std::mem::take(&mut self.batch),
            bytes: std::mem::take(&mut self.bytes),
        };
        let taken = self.in_flight.fetch_add(packet.bytes, Ordering::Relaxed);
        // What only says that something is missing has no bytes and always fits.
        let fits = packet.bytes == 0 || taken.saturating_add(packet.bytes) <= self.bytes_max;
        let sent = if fits {
            sender.try_send(packet).map_err(TrySendError::into_inner)
        } else {
            Err(packet)
        };
        if let Err(packet) = sent {
            self.in_flight.fetch_sub(packet.bytes, Ordering::Relaxed);
            self.dropped += packet.items.len() as u64;
            for item in &packet.items {
                // Of a room that has ended nothing follows that would have to be left out.
                if matches!(item.event, RecordEvent::Ended(_)) {
                    self.cut.remove(&item.channel);
                } else {
                    self.cut.insert(item.channel);
                }
            }
            self.owed.extend(packet.cut);
            self.owed.extend(packet.items.iter().map(|item| item.channel));
        }
    }

    /// Whether the writer is to be told of something later.
    pub fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }
}

impl Drop for Recorder {
    /// The shard has ended: what is left is sent, and for this once waited for.
    fn drop(&mut self) {
        self.flush();
        let Some(sender) = self.sender.take().filter(|_| !self.owed.is_empty()) else { return };
        let cut = std::mem::take(&mut self.owed);
        // Nobody is left who could be told of a failure; the file has no end then.
        let _ = sender.send_timeout(Packet { cut, items: Vec::new(), bytes: 0 }, LAST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_engine::room::play::Call;

    fn item(channel: u32) -> RecordItem {
        RecordItem { channel, event: RecordEvent::Call(Call::Leave { member: 1 }) }
    }

    fn recorder(packets: usize, bytes_max: usize) -> (Recorder, Receiver<Packet>) {
        let (sender, receiver) = crossbeam_channel::bounded(packets);
        (Recorder::new(Some(sender), bytes_max, Arc::default()), receiver)
    }

    #[test]
    fn what_finds_no_place_ends_the_recordings_of_its_rooms_and_of_no_others() {
        let (mut recorder, packets) = recorder(1, 1 << 20);
        recorder.push(item(1));
        recorder.flush();
        recorder.push(item(2));
        recorder.flush();
        assert!(recorder.is_owing());
        assert_eq!(recorder.dropped, 1);
        assert_eq!(packets.recv().unwrap().items.len(), 1);
        // The room that lost something is not heard of again; the other goes on.
        recorder.push(item(2));
        recorder.push(item(1));
        recorder.flush();
        let packet = packets.recv().unwrap();
        assert_eq!(packet.cut, BTreeSet::from([2]));
        assert_eq!(packet.items.iter().map(|item| item.channel).collect::<Vec<_>>(), [1]);
        assert_eq!(recorder.dropped, 2);
        assert!(!recorder.is_owing());
    }

    #[test]
    fn rooms_that_have_ended_are_not_remembered_as_cut() {
        let (mut recorder, _packets) = recorder(1, 1);
        let ended = |channel| {
            let event = RecordEvent::Ended(madang_engine::room::record::RecordEnd::Closed);
            RecordItem { channel, event }
        };
        recorder.push(item(1));
        recorder.push(item(2));
        recorder.push(ended(2));
        recorder.flush();
        assert_eq!(recorder.cut, BTreeSet::from([1]));
        recorder.push(ended(1));
        assert_eq!(recorder.cut, BTreeSet::new());
    }

    #[test]
    fn bytes_that_wait_are_bounded() {
        let one = item(1).cost();
        let (mut recorder, packets) = recorder(100, 2 * one);
        for channel in [1, 1, 2] {
            recorder.push(item(channel));
            recorder.flush();
        }
        assert_eq!(packets.len(), 2);
        assert!(recorder.is_owing());
        recorder.flush();
        assert!(!recorder.is_owing(), "it is told although there is no place for more");
        assert_eq!(recorder.in_flight.load(Ordering::Relaxed), 2 * one);
    }
}
