//! What threads send each other: bounded inboxes, batches, and one wake for many packets.

use crate::auth::Refusal;
use crate::net::Detached;
use crate::watch::Waiting;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use ipnet::IpNet;
use madang_engine::access::{Identity, UserKey};
use madang_engine::id::{ConnId, ShardId};
use madang_engine::input::Entry;
use madang_engine::peer::PeerMsg;
use madang_engine::publish::Publish;
use madang_protocol::value::Token;
use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Packets that may wait for a shard. Batches that find no place stay with their sender, where the
/// engine's window bounds them.
const INBOX_PACKETS_MAX: usize = 16 << 10;

/// Something for a shard's thread.
#[derive(Debug)]
pub enum Packet {
    /// What one engine says to another in one turn.
    Batch {
        /// The sender.
        from: ShardId,
        /// What it says, in order.
        messages: Vec<PeerMsg>,
    },
    /// A connection at its request head: its room is homed here.
    Request {
        /// The socket and what was read of it.
        socket: Box<Detached>,
    },
    /// An open connection whose session lives here.
    Session {
        /// The socket and what was read of it.
        socket: Box<Detached>,
        /// How it speaks, and what it brought.
        arrival: Arrival,
        /// The hello, as it came.
        first: Box<[u8]>,
    },
    /// What a backend publishes into a room that is homed here.
    Publish {
        /// What, and who waits for the answer.
        publish: Box<Publish>,
        /// The place that it takes until it is dealt with.
        waiting: Waiting,
    },
    /// What became of a credential that was checked elsewhere.
    Authenticated {
        /// Whose it is.
        conn: ConnId,
        /// Who that is.
        result: Result<Arc<Identity>, Refusal>,
    },
    /// These are sent away.
    Expel(Expelled),
    /// Begin to drain: tell clients.
    Drain,
    /// Read no more, and close what is drained.
    Quiesce,
    /// End now, counting what was not written.
    Stop,
}

/// Who is sent away.
#[derive(Clone, Debug)]
pub enum Expelled {
    /// A user.
    User(UserKey),
    /// Every connection of clients in a network.
    Network(IpNet),
}

/// A connection that has no session yet.
#[derive(Debug)]
pub struct Arrival {
    /// How it speaks.
    pub entry: Entry,
    /// The credential that came with its request.
    pub token: Option<Token>,
}

/// Whether an inbox's thread has been woken and has not looked yet.
#[derive(Clone, Debug, Default)]
pub struct Signal(Arc<AtomicBool>);

impl Signal {
    /// The thread looks now: what comes from here on needs another wake.
    pub fn clear(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether the thread has to be woken.
    fn raise(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// The way to a thread's inbox: a shard's, or one of the side listener.
#[derive(Debug)]
pub struct Mailbox<P = Packet> {
    sender: Sender<P>,
    signal: Signal,
    waker: Arc<Waker>,
}

/// An inbox, before the thread that will wait for it has a waker.
pub fn mailbox() -> (Sender<Packet>, (Receiver<Packet>, Signal)) {
    inbox(INBOX_PACKETS_MAX)
}

/// An inbox for so many packets, before the thread that will wait for it has a waker.
pub fn inbox<P>(packets_max: usize) -> (Sender<P>, (Receiver<P>, Signal)) {
    let (sender, receiver) = bounded(packets_max);
    (sender, (receiver, Signal::default()))
}

impl<P> Clone for Mailbox<P> {
    fn clone(&self) -> Self {
        let Self { sender, signal, waker } = self;
        Self { sender: sender.clone(), signal: signal.clone(), waker: Arc::clone(waker) }
    }
}

impl<P> Mailbox<P> {
    /// The way to an inbox made by [`mailbox`].
    pub fn new(sender: Sender<P>, signal: Signal, waker: Arc<Waker>) -> Self {
        Self { sender, signal, waker }
    }

    /// Puts a packet in and wakes the thread if need be. Gives it back when there is no place.
    pub fn send(&self, packet: P) -> Result<(), P> {
        let result = match self.sender.try_send(packet) {
            Ok(()) => Ok(()),
            // The thread has ended: nobody misses it.
            Err(TrySendError::Disconnected(_)) => return Ok(()),
            Err(TrySendError::Full(packet)) => Err(packet),
        };
        if self.signal.raise() {
            // A failure means that the wake is due already.
            let _ = self.waker.wake();
        }
        result
    }

    /// Puts a packet in once there is place. For threads that may wait; one that has ended takes nothing,
    /// and nobody misses it.
    pub fn send_waiting(&self, packet: P) {
        if let Err(packet) = self.send(packet) {
            let _ = self.sender.send(packet);
            self.signal.raise();
            let _ = self.waker.wake();
        }
    }
}

/// What goes to one shard in this turn.
#[derive(Debug)]
pub(super) struct Post {
    mailbox: Mailbox,
    pub(super) batch: Vec<PeerMsg>,
}

impl Post {
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, batch: Vec::new() }
    }

    /// Sends the batch; if there is no place it waits, and what comes next is added to it.
    pub(super) fn flush(&mut self, from: ShardId) {
        if self.batch.is_empty() {
            return;
        }
        let messages = std::mem::take(&mut self.batch);
        if let Err(Packet::Batch { messages, .. }) =
            self.mailbox.send(Packet::Batch { from, messages })
        {
            self.batch = messages;
        }
    }

    pub(super) fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.batch.is_empty()
    }

    pub(super) fn send(&self, packet: Packet) -> bool {
        self.mailbox.send(packet).is_ok()
    }
}
