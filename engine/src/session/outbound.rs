//! What waits for a client: one queue per session, all nodes in one pool per shard.
//!
//! A queue is a list through the pool (`chunks.rs`), so an idle session costs a few words, a busy one
//! reuses what others gave back, and nothing is allocated per delivery once the pool has
//! grown. What may be done under pressure depends on the delivery class (`docs/ARCHITECTURE.md`,
//! "Delivery classes"); this file decides it and counts it, and knows nothing of rooms.

use super::chunks::{Chunks, List, Place, Waiting};
use crate::config::SessionConfig;
use crate::frame::{Frame, FrameKind};
use crate::index::Index;

/// A delivery class inside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueClass {
    /// Overflow ends the connection.
    Reliable,
    /// What was asked for by a join or a resume: reliable, with a bound of its own.
    Replay,
    /// One slot per [`LatestKey`].
    Latest(LatestKey),
    /// Dropped while older messages wait.
    Volatile,
    /// A small budget of its own; overflow ends the connection.
    Control,
    /// State of a room: discarded, with all that waits of it, when a client does not keep up; it is owed
    /// a snapshot then.
    State {
        /// The room.
        channel: u32,
    },
    /// Snapshots that were owed: bounded as replay is, and not discarded, or a client for whom they wait long
    /// would be owed the next ones before it has any.
    Snapshot {
        /// The room.
        channel: u32,
    },
}

/// The slot of a value of class latest: room, sender and the sender's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LatestKey {
    /// The room.
    pub channel: u32,
    /// The sender; 0 is the room itself.
    pub member: u32,
    /// The sender's key.
    pub key: u32,
}

/// Index into counts by class, as those of [`Queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassIndex {
    /// Reliable messages and replay.
    Reliable,
    /// Class latest.
    Latest,
    /// Class volatile.
    Volatile,
    /// Control.
    Control,
    /// State: deltas and owed snapshots.
    State,
}

/// The number of [`ClassIndex`]es.
pub const CLASSES: usize = 5;

impl QueueClass {
    /// Where the class is counted.
    pub fn index(self) -> ClassIndex {
        match self {
            QueueClass::Reliable | QueueClass::Replay => ClassIndex::Reliable,
            QueueClass::Latest(_) => ClassIndex::Latest,
            QueueClass::Volatile => ClassIndex::Volatile,
            QueueClass::Control => ClassIndex::Control,
            QueueClass::State { .. } | QueueClass::Snapshot { .. } => ClassIndex::State,
        }
    }
}

/// One session's queue. Its messages live in the [`Pool`].
///
/// What every delivery touches comes first and fits a cache line: with thousands of receivers each line is
/// fetched anew for each message.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Queue {
    list: List,
    /// Turn in which the queue last became not empty.
    since_turn: u32,
    /// Turn of the latest live message, and how much came in it.
    grown_turn: u32,
    grown_messages: u32,
    grown_bytes: u32,
    messages: u32,
    bytes: u32,
    /// Taken by the transport, by [`ClassIndex`], but for the times that these came round.
    sent: [u32; CLASSES],
    /// Whether some room's state is owed when nothing waits any more.
    pub owes_state: bool,
    /// How often the numbers of [`Self::sent`] came round.
    rounds: [u8; CLASSES],
    /// Dropped: the queue had no room for it, or ended with it; by [`ClassIndex`].
    pub dropped: [u32; CLASSES],
    /// Replaced while waiting; only class latest.
    pub conflated: u32,
    replay_bytes: u32,
    control_messages: u32,
    control_bytes: u32,
    /// Changes of state that wait, and when the oldest of them came, in milliseconds.
    state_messages: u32,
    state_since: u32,
    /// Until when changes may wait for as long as they have to, because a snapshot is before them: it
    /// takes its time on the line, and another one instead of them would take no less.
    patient_until: u32,
}

const _: () =
    assert!(std::mem::offset_of!(Queue, rounds) < 64, "what is touched often is one line");

/// What [`Pool::push`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The queue was empty before.
    First,
    /// It waits behind others, or took the place of an older value.
    Waiting,
    /// It was dropped and counted.
    Dropped,
    /// It does not fit and may not be dropped: the connection has to end.
    Overflow,
    /// It was dropped with everything that waited of the room's state: a snapshot is owed.
    Owed,
}

/// When something is pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The shard's turn: what waits since an earlier one is backlog.
    pub turn: u32,
    /// Milliseconds, wrapping.
    pub ms: u32,
}

/// What waits in all queues of a shard.
#[derive(Debug, Default)]
pub struct Pool {
    chunks: Chunks,
    /// Where each waiting value of class latest is, by session slot and key.
    latest: Index<(u32, LatestKey), Place>,
    /// Messages of all queues taken by the transport, by [`ClassIndex`].
    pub sent: [u64; CLASSES],
    /// Values of class latest of all queues replaced while they waited.
    pub conflated: u64,
    /// Messages of class state that were discarded while they waited.
    pub state_discarded: u64,
    /// Whether some queue got as much in this turn as a write call takes away.
    pub pressed: bool,
    /// Bytes of what waits in all queues.
    bytes: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            list: List::EMPTY,
            since_turn: 0,
            grown_turn: 0,
            grown_messages: 0,
            grown_bytes: 0,
            messages: 0,
            bytes: 0,
            sent: [0; CLASSES],
            owes_state: false,
            rounds: [0; CLASSES],
            dropped: [0; CLASSES],
            conflated: 0,
            replay_bytes: 0,
            control_messages: 0,
            control_bytes: 0,
            state_messages: 0,
            state_since: 0,
            patient_until: 0,
        }
    }
}

impl Queue {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Messages of a class that the transport took.
    pub fn sent(&self, class: ClassIndex) -> u64 {
        let index = class as usize;
        u64::from(self.rounds[index]) << 32 | u64::from(self.sent[index])
    }

    /// Bytes of answers to joins and resumes that wait.
    pub fn replay_bytes(&self) -> u32 {
        self.replay_bytes
    }

    /// Messages that wait, of all classes.
    pub fn messages(&self) -> u32 {
        self.messages + self.control_messages
    }

    /// Bytes that wait, of all classes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.bytes) + u64::from(self.replay_bytes) + u64::from(self.control_bytes)
    }
}

impl Pool {
    /// Adds a message to the queue of the session in `slot`, as its class allows.
    #[expect(clippy::inline_always, reason = "most of it falls away where the class is known")]
    #[inline(always)]
    pub fn push(
        &mut self,
        queue: &mut Queue,
        slot: u32,
        moment: Moment,
        limits: &SessionConfig,
        (frame, kind): (&Frame, FrameKind),
        class: QueueClass,
    ) -> Pushed {
        let len = frame.len() as u32;
        let index = class.index() as usize;
        let fits = queue.messages < limits.outbound_messages_max
            && queue.bytes + len <= limits.outbound_bytes_max;
        match class {
            QueueClass::Reliable if !fits => return Pushed::Overflow,
            QueueClass::Replay | QueueClass::Snapshot { .. }
                if queue.replay_bytes + len > limits.replay_bytes_max =>
            {
                return Pushed::Overflow;
            }
            QueueClass::State { channel } if !fits || queue.is_state_stale(moment, limits) => {
                queue.dropped[index] += 1;
                self.discard_state(queue, slot, channel);
                return Pushed::Owed;
            }
            QueueClass::Control
                if queue.control_messages >= limits.control_messages_max
                    || queue.control_bytes + len > limits.control_bytes_max =>
            {
                return Pushed::Overflow;
            }
            QueueClass::Latest(key) => {
                if let Some(&place) = self.latest.get(&(slot, key)) {
                    return self.replace(queue, place, frame, limits);
                }
                // The newest value of each key has to arrive: a resume brings all current ones.
                if !fits {
                    return Pushed::Overflow;
                }
            }
            QueueClass::Volatile
                if !fits || (!queue.is_empty() && queue.since_turn != moment.turn) =>
            {
                queue.dropped[index] += 1;
                return Pushed::Dropped;
            }
            _ => {}
        }
        let was_empty = queue.is_empty();
        let message = Waiting { frame: frame.clone(), class, ms: moment.ms, kind };
        let place = self.chunks.push(&mut queue.list, message);
        if was_empty {
            queue.since_turn = moment.turn;
        }
        if is_change(class) && queue.state_messages == 0 {
            queue.state_since = moment.ms;
        }
        if matches!(class, QueueClass::Snapshot { .. } | QueueClass::Replay) {
            queue.wait_for(len, moment);
        }
        queue.charge(class, len);
        self.bytes += u64::from(len);
        self.pressed |= queue.grow(class, len, moment.turn, limits);
        if let QueueClass::Latest(key) = class {
            self.latest.insert((slot, key), place);
        }
        if was_empty { Pushed::First } else { Pushed::Waiting }
    }

    /// Bytes of the message that [`Self::pop`] would return.
    pub fn front_len(&self, queue: &Queue) -> Option<usize> {
        self.chunks.front(queue.list).map(|message| message.frame.len())
    }

    /// Takes the oldest message for the transport.
    pub fn pop(&mut self, queue: &mut Queue, slot: u32) -> Option<(Frame, FrameKind)> {
        let message = self.take_first(queue, slot)?;
        let index = message.class.index() as usize;
        let (sent, came_round) = queue.sent[index].overflowing_add(1);
        queue.sent[index] = sent;
        if came_round {
            queue.rounds[index] = queue.rounds[index].saturating_add(1);
        }
        self.sent[index] += 1;
        Some((message.frame, message.kind))
    }

    /// Empties a queue whose connection is gone. Logged messages are not lost by this (a resume
    /// replays them); whatever is not logged is counted as dropped. Returns how many messages of
    /// each class were given up.
    pub fn clear(&mut self, queue: &mut Queue, slot: u32) -> [u32; CLASSES] {
        let mut given_up = [0; CLASSES];
        while let Some(Waiting { class, .. }) = self.take_first(queue, slot) {
            let index = class.index() as usize;
            given_up[index] += 1;
            if class.index() != ClassIndex::Reliable {
                queue.dropped[index] += 1;
            }
        }
        given_up
    }

    /// Reliable messages in a queue, replay included.
    pub fn waiting_reliable(&self, queue: &Queue) -> u64 {
        let is_reliable = |message: &Waiting| message.class.index() == ClassIndex::Reliable;
        self.chunks.iter(queue.list).filter(|(_, message)| is_reliable(message)).count() as u64
    }

    /// Discards what waits of the changes of a room's state, and counts it.
    pub fn discard_state(&mut self, queue: &mut Queue, slot: u32, channel: u32) {
        let (mut discarded, mut kept) = (0, List::EMPTY);
        while let Some(message) = self.chunks.pop(&mut queue.list) {
            if message.class == (QueueClass::State { channel }) {
                queue.discharge(message.class, message.frame.len() as u32);
                self.bytes -= message.frame.len() as u64;
                discarded += 1;
                continue;
            }
            let class = message.class;
            let place = self.chunks.push(&mut kept, message);
            if let QueueClass::Latest(key) = class {
                self.latest.insert((slot, key), place);
            }
        }
        queue.list = kept;
        self.note_oldest_change(queue);
        queue.dropped[ClassIndex::State as usize] += discarded;
        self.state_discarded += u64::from(discarded);
    }

    /// Lets go of the slots of a room that the session left: what waits of it stays where it is, but
    /// a later membership's values do not take its place, or they would come before the news that
    /// the earlier one has ended.
    pub fn release_slots(&mut self, queue: &Queue, slot: u32, channel: u32) {
        let latest = &mut self.latest;
        self.chunks.for_each_mut(queue.list, |message| {
            if let QueueClass::Latest(key) = message.class
                && key.channel == channel
            {
                latest.remove(&(slot, key));
                message.class = QueueClass::Volatile;
            }
        });
    }

    /// Bytes of what waits in all queues.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Messages that wait in all queues, for statistics and invariants.
    pub fn in_use(&self) -> usize {
        self.chunks.waiting()
    }

    /// Gives memory back after a peak; called when the shard is idle.
    pub fn shrink(&mut self) {
        if self.chunks.shrink() {
            debug_assert!(self.latest.is_empty(), "nothing waits");
            self.latest = Index::default();
        }
    }

    /// Recounts a queue and panics where the counts do not hold.
    pub fn check(&self, queue: &Queue, slot: u32, limits: &SessionConfig) {
        let mut recount = Queue::default();
        for (place, message) in self.chunks.iter(queue.list) {
            recount.charge(message.class, message.frame.len() as u32);
            if let QueueClass::Latest(key) = message.class {
                assert_eq!(self.latest.get(&(slot, key)), Some(&place), "latest slot is indexed");
            }
        }
        assert_eq!((recount.messages, recount.bytes), (queue.messages, queue.bytes));
        assert_eq!(recount.replay_bytes, queue.replay_bytes);
        assert_eq!(recount.control_messages, queue.control_messages);
        assert_eq!(recount.control_bytes, queue.control_bytes);
        assert_eq!(recount.state_messages, queue.state_messages);
        assert!(queue.messages <= limits.outbound_messages_max + replay_messages(queue));
        assert!(queue.bytes <= limits.outbound_bytes_max, "bytes within the bound");
        assert!(queue.replay_bytes <= limits.replay_bytes_max, "replay within the bound");
        assert!(queue.control_bytes <= limits.control_bytes_max, "control within the bound");
    }

    fn replace(
        &mut self,
        queue: &mut Queue,
        place: Place,
        frame: &Frame,
        limits: &SessionConfig,
    ) -> Pushed {
        let Some(message) = self.chunks.get_mut(place) else { return Pushed::Dropped };
        let bytes = queue.bytes - message.frame.len() as u32 + frame.len() as u32;
        if bytes > limits.outbound_bytes_max {
            return Pushed::Overflow;
        }
        self.bytes = self.bytes - message.frame.len() as u64 + frame.len() as u64;
        queue.bytes = bytes;
        queue.conflated += 1;
        self.conflated += 1;
        message.frame = frame.clone();
        Pushed::Waiting
    }

    /// Looks for the change of state that has waited longest. What is passed over on the way is before
    /// that one and is taken first, so it is passed over once.
    fn note_oldest_change(&self, queue: &mut Queue) {
        if queue.state_messages > 0 {
            let mut messages = self.chunks.iter(queue.list);
            if let Some((_, oldest)) = messages.find(|(_, message)| is_change(message.class)) {
                queue.state_since = oldest.ms;
            }
        }
    }

    fn take_first(&mut self, queue: &mut Queue, slot: u32) -> Option<Waiting> {
        let message = self.chunks.pop(&mut queue.list)?;
        queue.discharge(message.class, message.frame.len() as u32);
        self.bytes -= message.frame.len() as u64;
        if let QueueClass::Latest(key) = message.class {
            self.latest.remove(&(slot, key));
        }
        if is_change(message.class) {
            self.note_oldest_change(queue);
        }
        Some(message)
    }
}

/// Milliseconds that a client is given for so many bytes of a snapshot: 64 KB a second, half a minute at most.
const SNAPSHOT_BYTES_PER_MS: u32 = 64;
const SNAPSHOT_MS_MAX: u32 = 30_000;

fn is_change(class: QueueClass) -> bool {
    matches!(class, QueueClass::State { .. })
}

/// Replay has no bound in messages of its own: each is at least a byte.
fn replay_messages(queue: &Queue) -> u32 {
    queue.replay_bytes
}

impl Queue {
    /// Notes a live message. Returns whether this turn brought as much as a write call takes away:
    /// then it is time to write before more is read, or a burst that everybody was allowed
    /// would close receivers that are not slow. A receiver that is slow fills its queue all the
    /// same, turn by turn, and holds nobody up.
    fn grow(&mut self, class: QueueClass, len: u32, turn: u32, limits: &SessionConfig) -> bool {
        if matches!(class, QueueClass::Replay | QueueClass::Control | QueueClass::Snapshot { .. }) {
            return false;
        }
        if self.grown_turn != turn {
            (self.grown_turn, self.grown_messages, self.grown_bytes) = (turn, 0, 0);
        }
        self.grown_messages += 1;
        self.grown_bytes = self.grown_bytes.saturating_add(len);
        self.grown_messages >= limits.outbound_messages_max / 4
            || self.grown_bytes >= limits.batch_bytes_max.min(limits.outbound_bytes_max / 4) / 2
    }

    /// Whether state has been waiting for longer than a client that keeps up lets it.
    fn is_state_stale(&self, moment: Moment, limits: &SessionConfig) -> bool {
        let is_patient = self.patient_until.wrapping_sub(moment.ms) <= SNAPSHOT_MS_MAX;
        self.state_messages > 0
            && !is_patient
            && moment.ms.wrapping_sub(self.state_since) > limits.state_wait_ms
    }

    /// Gives the client the time that a snapshot takes on a slow line.
    fn wait_for(&mut self, len: u32, moment: Moment) {
        let left = self.patient_until.wrapping_sub(moment.ms);
        let left = if left <= SNAPSHOT_MS_MAX { left } else { 0 };
        let more = (left + len / SNAPSHOT_BYTES_PER_MS).min(SNAPSHOT_MS_MAX);
        self.patient_until = moment.ms.wrapping_add(more);
    }

    fn charge(&mut self, class: QueueClass, len: u32) {
        if is_change(class) {
            self.state_messages += 1;
        }
        match class {
            QueueClass::Control => {
                self.control_messages += 1;
                self.control_bytes += len;
            }
            QueueClass::Replay | QueueClass::Snapshot { .. } => self.replay_bytes += len,
            _ => {
                self.messages += 1;
                self.bytes += len;
            }
        }
    }

    fn discharge(&mut self, class: QueueClass, len: u32) {
        if is_change(class) {
            self.state_messages -= 1;
        }
        match class {
            QueueClass::Control => {
                self.control_messages -= 1;
                self.control_bytes -= len;
            }
            QueueClass::Replay | QueueClass::Snapshot { .. } => self.replay_bytes -= len,
            _ => {
                self.messages -= 1;
                self.bytes -= len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: u32 = 3;

    fn limits() -> SessionConfig {
        SessionConfig {
            outbound_bytes_max: 10,
            outbound_messages_max: 4,
            control_bytes_max: 4,
            control_messages_max: 2,
            replay_bytes_max: 6,
            ..SessionConfig::default()
        }
    }

    fn push(
        pool: &mut Pool,
        queue: &mut Queue,
        turn: u32,
        bytes: &[u8],
        class: QueueClass,
    ) -> Pushed {
        let frame = Frame::new(bytes);
        let moment = Moment { turn, ms: turn };
        let pushed = pool.push(queue, SLOT, moment, &limits(), (&frame, FrameKind::Batch), class);
        pool.check(queue, SLOT, &limits());
        pushed
    }

    fn drain(pool: &mut Pool, queue: &mut Queue) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| pool.pop(queue, SLOT)).map(|(frame, _)| frame.to_vec()).collect()
    }

    fn key(member: u32, key: u32) -> QueueClass {
        QueueClass::Latest(LatestKey { channel: 1, member, key })
    }

    #[test]
    fn latest_is_replaced_in_place_by_sender_and_key() {
        let (mut pool, mut queue) = (Pool::default(), Queue::default());
        assert_eq!(push(&mut pool, &mut queue, 0, b"a1", key(1, 0)), Pushed::First);
        assert_eq!(push(&mut pool, &mut queue, 0, b"b1", key(2, 0)), Pushed::Waiting);
        assert_eq!(push(&mut pool, &mut queue, 0, b"a22", key(1, 0)), Pushed::Waiting);
        assert_eq!(queue.conflated, 1);
        assert_eq!(drain(&mut pool, &mut queue), [b"a22".to_vec(), b"b1".to_vec()]);
        assert_eq!(push(&mut pool, &mut queue, 1, b"a3", key(1, 0)), Pushed::First);
        assert_eq!(pool.in_use(), 1);
    }

    #[test]
    fn volatile_is_dropped_only_behind_what_waited_a_turn() {
        let (mut pool, mut queue) = (Pool::default(), Queue::default());
        assert_eq!(push(&mut pool, &mut queue, 1, b"v", QueueClass::Volatile), Pushed::First);
        assert_eq!(push(&mut pool, &mut queue, 1, b"v", QueueClass::Volatile), Pushed::Waiting);
        assert_eq!(push(&mut pool, &mut queue, 2, b"v", QueueClass::Volatile), Pushed::Dropped);
        assert_eq!(queue.dropped[ClassIndex::Volatile as usize], 1);
    }

    #[test]
    fn reliable_overflows_by_bytes_and_by_messages_and_control_apart() {
        let (mut pool, mut queue) = (Pool::default(), Queue::default());
        push(&mut pool, &mut queue, 0, b"123456", QueueClass::Reliable);
        assert_eq!(
            push(&mut pool, &mut queue, 0, b"12345", QueueClass::Reliable),
            Pushed::Overflow
        );
        for _ in 0..3 {
            assert_eq!(push(&mut pool, &mut queue, 0, b"1", QueueClass::Reliable), Pushed::Waiting);
        }
        assert_eq!(push(&mut pool, &mut queue, 0, b"", QueueClass::Reliable), Pushed::Overflow);
        assert_eq!(push(&mut pool, &mut queue, 0, b"cc", QueueClass::Control), Pushed::Waiting);
        assert_eq!(push(&mut pool, &mut queue, 0, b"ccc", QueueClass::Control), Pushed::Overflow);
        assert_eq!(push(&mut pool, &mut queue, 0, b"rrrr", QueueClass::Replay), Pushed::Waiting);
        assert_eq!(push(&mut pool, &mut queue, 0, b"rrrr", QueueClass::Replay), Pushed::Overflow);
        assert_eq!(drain(&mut pool, &mut queue).len(), 6);
        assert_eq!((queue.messages(), queue.bytes(), pool.in_use()), (0, 0, 0));
    }

    #[test]
    fn state_is_stale_by_its_oldest_change_and_waits_for_the_snapshot_before_it() {
        let (mut pool, mut queue) = (Pool::default(), Queue::default());
        let limits = SessionConfig { state_wait_ms: 250, ..SessionConfig::default() };
        let state = QueueClass::State { channel: 1 };
        let push = |pool: &mut Pool, queue: &mut Queue, ms: u32, len: usize, class| {
            let frame = (&Frame::new(&vec![0; len]), FrameKind::Batch);
            pool.push(queue, SLOT, Moment { turn: ms, ms }, &limits, frame, class)
        };
        push(&mut pool, &mut queue, 0, 1, state);
        // A client that is always a little behind, but never much.
        for ms in (100..2_000).step_by(100) {
            assert_eq!(push(&mut pool, &mut queue, ms, 1, state), Pushed::Waiting, "{ms}");
            pool.pop(&mut queue, SLOT);
        }
        assert_eq!(push(&mut pool, &mut queue, 2_400, 1, state), Pushed::Owed);
        // 64,000 bytes may take a second; what changes meanwhile waits.
        push(&mut pool, &mut queue, 2_500, 64_000, QueueClass::Snapshot { channel: 1 });
        for ms in [2_600, 3_000, 3_500] {
            assert_eq!(push(&mut pool, &mut queue, ms, 1, state), Pushed::Waiting, "{ms}");
        }
        assert_eq!(push(&mut pool, &mut queue, 3_501, 1, state), Pushed::Owed);
    }

    #[test]
    fn a_slot_of_a_room_that_was_left_is_not_taken_again() {
        let (mut pool, mut queue) = (Pool::default(), Queue::default());
        push(&mut pool, &mut queue, 0, b"old", key(1, 0));
        pool.release_slots(&queue, SLOT, 1);
        push(&mut pool, &mut queue, 0, b"left", QueueClass::Control);
        push(&mut pool, &mut queue, 0, b"new", key(1, 0));
        let waiting = [b"old".to_vec(), b"left".to_vec(), b"new".to_vec()];
        assert_eq!(drain(&mut pool, &mut queue), waiting);
        assert_eq!((queue.messages(), queue.bytes(), pool.in_use()), (0, 0, 0));
    }

    #[test]
    fn a_cleared_queue_counts_what_no_log_can_replay() {
        let (mut pool, mut queue) = (Pool::default(), Queue::default());
        push(&mut pool, &mut queue, 0, b"r", QueueClass::Reliable);
        push(&mut pool, &mut queue, 0, b"l", key(1, 0));
        push(&mut pool, &mut queue, 0, b"c", QueueClass::Control);
        assert_eq!(pool.clear(&mut queue, SLOT), [1, 1, 0, 1, 0]);
        assert_eq!(queue.dropped, [0, 1, 0, 1, 0]);
        assert_eq!(push(&mut pool, &mut queue, 1, b"l", key(1, 0)), Pushed::First);
    }
}
