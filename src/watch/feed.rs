//! The way from a shard to the threads that serve spectators: one batch per turn and thread,
//! bounded, and never waited for. What finds no place is left out, counted, and made up for from
//! the room's history once there is place again.

use super::directory::Change;
use crate::net::Detached;
use crate::shard::{Expelled, Mailbox};
use madang_engine::publish::{PublishRefusal, Receipt, Ticket};
use madang_engine::time::Time;
use madang_engine::watch::{WatchEvent, WatchItem};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Packets that may wait for a thread.
pub const WATCH_PACKETS_MAX: usize = 4 << 10;
/// When something was left out, it is made up for after this long at the earliest.
const RETRY_MS: u64 = 50;
/// Most rooms that are made up for in a turn.
const RESYNCS_PER_TURN: usize = 16;

/// Something for a thread of the side listener.
#[derive(Debug)]
pub enum WatchPacket {
    /// What happened in rooms, in order.
    Feed {
        /// What.
        items: Vec<WatchItem>,
        /// As [`InFlight`] counts it.
        bytes: u64,
    },
    /// A connection at its request head that this thread is to answer.
    Request {
        /// The socket and what was read of it.
        socket: Box<Detached>,
    },
    /// What became of something that this thread published.
    Published {
        /// That thread's number for it.
        number: u64,
        /// What.
        result: Result<Receipt, PublishRefusal>,
    },
    /// News of rooms for the directory.
    Directory(Vec<Change>),
    /// The process is going away: let spectators go once they have been shown everything.
    Drain,
    /// These are sent away.
    Expel(Expelled),
}

/// Bytes on their way to one thread, shared by those who send and the one that receives.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicU64>);

impl InFlight {
    /// Something has arrived.
    pub(super) fn arrived(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes place for a batch, if there is any. A thread that waits for nothing takes any batch.
    pub(super) fn take(&self, bytes: u64, bytes_max: u64) -> bool {
        let fits = |taken: u64| {
            (taken == 0 || taken.saturating_add(bytes) <= bytes_max).then_some(taken + bytes)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn is_below(&self, bytes: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= bytes
    }
}

/// The way to one thread.
#[derive(Clone, Debug)]
pub struct FeedBox {
    /// Its inbox.
    pub mailbox: Mailbox<WatchPacket>,
    /// What is on its way there.
    pub in_flight: InFlight,
}

/// One shard's way to all of them.
#[derive(Debug, Default)]
pub struct Feed {
    posts: Vec<Post>,
    bytes_max: u64,
    /// Items left out.
    pub dropped: u64,
}

#[derive(Debug)]
struct Post {
    feed_box: FeedBox,
    batch: Vec<WatchItem>,
    bytes: u64,
    /// Rooms of which something was left out, with the hashes of their names.
    broken: BTreeMap<u32, u64>,
    /// What those who published are told.
    answers: Vec<(u64, Result<Receipt, PublishRefusal>)>,
    /// They are made up for from then on: what the shard does for it must not add up.
    retry_at: Time,
}

impl Feed {
    /// The way to all threads, each at the index of its number, with at most so many bytes on
    /// their way to one.
    pub fn new(boxes: Vec<FeedBox>, bytes_max: u64) -> Self {
        let posts = boxes.into_iter().map(|feed_box| Post {
            feed_box,
            batch: Vec::new(),
            bytes: 0,
            broken: BTreeMap::new(),
            answers: Vec::new(),
            retry_at: Time(0),
        });
        Self { posts: posts.collect(), bytes_max, dropped: 0 }
    }

    /// Adds an item to this turn's batch.
    pub fn push(&mut self, item: WatchItem) {
        let threads = self.posts.len() as u64;
        if threads == 0 {
            return;
        }
        let post = &mut self.posts[(item.name_hash % threads) as usize];
        if post.broken.contains_key(&item.channel) {
            self.dropped += 1;
            return;
        }
        post.bytes += cost(&item);
        post.batch.push(item);
    }

    /// Adds the answer to a publication, which leaves behind this turn's batches: so that who has
    /// it finds the events when it watches.
    pub fn answer(&mut self, ticket: Ticket, result: Result<Receipt, PublishRefusal>) {
        if let Some(post) = self.posts.get_mut(usize::from(ticket.asker)) {
            post.answers.push((ticket.number, result));
        }
    }

    /// Sends this turn's batches.
    pub fn flush(&mut self, now: Time) {
        for post in &mut self.posts {
            self.dropped += post.flush(self.bytes_max, now);
        }
        for post in &mut self.posts {
            for (number, result) in post.answers.drain(..) {
                // Where there is no place the deadline of the one who asked is the answer.
                let _ = post.feed_box.mailbox.send(WatchPacket::Published { number, result });
            }
        }
    }

    /// Rooms that are to be asked for what was left out, with the hashes of their names.
    pub fn owed(&mut self, now: Time) -> Vec<(u32, u64)> {
        let mut owed = Vec::new();
        for post in &mut self.posts {
            if post.broken.is_empty() || now < post.retry_at {
                continue;
            }
            if !post.feed_box.in_flight.is_below(self.bytes_max / 2) {
                post.retry_at = now.plus_ms(RETRY_MS);
                continue;
            }
            for _ in 0..RESYNCS_PER_TURN {
                owed.extend(post.broken.pop_first());
            }
        }
        owed
    }

    /// When [`Self::owed`] is next needed, if something was left out.
    pub fn next_timeout(&self) -> Option<Time> {
        let broken = self.posts.iter().filter(|post| !post.broken.is_empty());
        broken.map(|post| post.retry_at).min()
    }
}

impl Post {
    /// Sends the batch or leaves it out; how many items that was.
    fn flush(&mut self, bytes_max: u64, now: Time) -> u64 {
        if self.batch.is_empty() {
            return 0;
        }
        let (items, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.bytes));
        let FeedBox { mailbox, in_flight } = &self.feed_box;
        let left_out = if in_flight.take(bytes, bytes_max) {
            let Err(WatchPacket::Feed { items, bytes }) =
                mailbox.send(WatchPacket::Feed { items, bytes })
            else {
                return 0;
            };
            in_flight.arrived(bytes);
            items
        } else {
            items
        };
        self.retry_at = now.plus_ms(RETRY_MS);
        self.broken.extend(left_out.iter().map(|item| (item.channel, item.name_hash)));
        left_out.len() as u64
    }
}

/// What an item costs of the bytes on their way.
fn cost(item: &WatchItem) -> u64 {
    const ENVELOPE: u64 = 64;
    ENVELOPE
        + match &item.event {
            WatchEvent::Entry { frame, .. } => frame.len() as u64,
            WatchEvent::Snapshot(state) | WatchEvent::Delta(state) => state.bytes.len() as u64,
            WatchEvent::Opened(_) => 512,
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_batch_passes_whatever_its_size_and_the_next_only_if_it_fits() {
        let in_flight = InFlight::default();
        assert!(in_flight.take(5000, 1000));
        assert!(!in_flight.take(1, 1000));
        in_flight.arrived(4500);
        assert!(in_flight.take(500, 1000) && !in_flight.take(1, 1000));
        assert!(!in_flight.is_below(500));
        in_flight.arrived(1000);
        assert!(in_flight.is_below(0));
    }
}
