//! The state of one epoch of a room as spectators see it: how it is now, and keyframes of how it
//! was, from which with the deltas behind them any later moment can be reached.

use super::plain::{Names, Whole, snapshot_json};
use super::sse;
use madang_engine::frame::Frame;
use madang_engine::watch::WatchState;
use madang_protocol::ids::Epoch;
use madang_protocol::replica::Replica;
use madang_protocol::state::{Cell, Schema, StateError};
use std::collections::VecDeque;
use std::sync::Arc;

/// A keyframe is made when the deltas since the last have as many bytes as it had, and at least
/// these: who begins at one reads little more than twice what a snapshot of the moment would cost.
const KEYFRAME_BYTES_MIN: usize = 4 << 10;
/// It is made after so long already when the deltas have an eighth of its bytes,
const KEYFRAME_MS: u64 = 2_000;
/// and after so long when there is any.
const KEYFRAME_MS_MAX: u64 = 30_000;

/// What a keyframe costs besides its bytes.
const KEYFRAME_COST: usize = 96;
/// What an entity of the replica costs besides its fields.
const ENTITY_COST: usize = 96;
/// What a delta may add to the replica for each of its bytes, until that is measured again.
const DELTA_FACTOR: usize = 4;

/// The state of an epoch.
#[derive(Debug)]
pub(super) struct StateLog {
    names: Names,
    names_bytes: usize,
    replica: Replica,
    /// What the replica is of. Nothing is known before the first snapshot.
    head: Option<Moment>,
    /// Something was lost: the replica is of the past until the next snapshot comes.
    is_stale: bool,
    /// Ascending.
    keyframes: VecDeque<Keyframe>,
    /// Bytes of deltas since the newest keyframe, and what that had.
    deltas_bytes: usize,
    keyframe_bytes: usize,
    replica_bytes: usize,
    /// The text of the head's snapshot, for the seq up to which somebody had seen everything.
    head_text: Option<(u64, Frame)>,
    /// What of that is the same for every seq: messages alone must not make it anew.
    head_json: Option<Vec<u8>>,
    /// All keyframes, the text and its part.
    bytes: usize,
}

/// A state's place in the room's log.
#[derive(Clone, Copy, Debug)]
struct Moment {
    seq: u64,
    at_ms: u64,
    tick: u64,
    hash: u32,
}

#[derive(Debug)]
struct Keyframe {
    /// Everything up to this seq is in it.
    seq: u64,
    at_ms: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Whole(Whole),
    /// An event's text, shared by all who get it.
    Text(Frame),
}

/// What a snapshot of the room was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// What was known already.
    Known,
    /// Something else, which begins with a new keyframe.
    Anew,
}

impl StateLog {
    pub(super) fn new(schema: Arc<Schema>) -> Self {
        let names = Names::new(schema);
        Self {
            names_bytes: names.cost(),
            names,
            replica: Replica::default(),
            head: None,
            is_stale: true,
            keyframes: VecDeque::new(),
            deltas_bytes: 0,
            keyframe_bytes: 0,
            replica_bytes: 0,
            head_text: None,
            head_json: None,
            bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.replica_bytes + self.names_bytes
    }

    /// Whether there is any state to show, to whomever.
    pub(super) fn has_any(&self) -> bool {
        !self.keyframes.is_empty() || self.live().is_some()
    }

    /// Something may have been lost.
    pub(super) fn set_stale(&mut self) {
        self.is_stale = true;
    }

    /// Takes a snapshot that stands for everything up to `seq`, which happened at a wall time.
    pub(super) fn snapshot(
        &mut self,
        told: &WatchState,
        (seq, at_ms): (u64, u64),
    ) -> Result<Taken, StateError> {
        let mut fresh = Replica::default();
        fresh.apply_snapshot(self.names.schema(), &told.bytes)?;
        if fresh.hash() != told.hash {
            return Err(StateError::WrongEntity);
        }
        self.is_stale = false;
        if self.head.is_some() && fresh == self.replica {
            return Ok(Taken::Known);
        }
        self.replica = fresh;
        self.set_head(Moment { seq, at_ms, tick: told.tick, hash: told.hash });
        self.put_keyframe(seq);
        Ok(Taken::Anew)
    }

    /// Takes a delta and says it in whole values; nothing while it cannot be known what it
    /// changes. The log holds everything behind `lost_seq`.
    pub(super) fn delta(
        &mut self,
        told: &WatchState,
        lost_seq: u64,
    ) -> Result<Option<Whole>, StateError> {
        let Some(before) = self.live() else { return Ok(None) };
        // Who begins behind an earlier moment needs what this changes.
        if self.keyframes.is_empty() {
            self.put_keyframe(before.seq.max(lost_seq));
        }
        let bytes = self.names.delta(&self.replica, &told.bytes)?;
        self.replica.apply_delta(self.names.schema(), &told.bytes)?;
        if self.replica.hash() != told.hash {
            return Err(StateError::WrongEntity);
        }
        let WatchState { seq, at_ms, base_tick, tick, hash, .. } = *told;
        self.set_head(Moment { seq, at_ms, tick, hash });
        self.deltas_bytes += bytes.len();
        self.replica_bytes += bytes.len() * DELTA_FACTOR;
        if self.is_keyframe_due(at_ms) {
            self.put_keyframe(seq);
        }
        Ok(Some(Whole { base_tick, tick, hash, bytes }))
    }

    /// Lets everything go; nothing is known until the next snapshot.
    pub(super) fn forget(&mut self) {
        let schema = Arc::clone(self.names.schema());
        *self = Self::new(schema);
    }

    /// Lets keyframes go that stand for less than everything up to a seq.
    pub(super) fn evict(&mut self, lost_seq: u64) {
        while let Some(keyframe) = self.keyframes.front().filter(|front| front.seq < lost_seq) {
            self.bytes -= keyframe.cost();
            self.keyframes.pop_front();
        }
    }

    /// Lets all keyframes go, and what was made of the head; the head stays.
    pub(super) fn evict_all(&mut self) {
        self.keyframes.clear();
        self.head_text = None;
        self.head_json = None;
        self.bytes = 0;
    }

    /// Whether nothing but the head is kept.
    pub(super) fn is_bare(&self) -> bool {
        self.bytes == 0
    }

    /// Up to where the newest state stands for everything, for somebody who is shown what happened
    /// up to a wall time, which is everything up to `shown_seq`.
    pub(super) fn newest(&self, shown_seq: u64, limit_ms: u64) -> Option<u64> {
        if let Some(head) = self.live().filter(|head| head.at_ms <= limit_ms) {
            return Some(head.seq.max(shown_seq));
        }
        let mut shown = self.keyframes.iter().rev().filter(|frame| frame.at_ms <= limit_ms);
        shown.next().map(|frame| frame.seq)
    }

    /// The newest state that stands for nothing behind `seq`; where there is none, the oldest.
    pub(super) fn at(&self, seq: u64, limit_ms: u64) -> Option<u64> {
        let head = self.live().filter(|head| head.at_ms <= limit_ms);
        if head.is_some_and(|head| head.seq <= seq) {
            return Some(seq);
        }
        let count = self.keyframes.partition_point(|frame| frame.at_ms <= limit_ms);
        let earlier = self.keyframes.partition_point(|frame| frame.seq <= seq).min(count);
        let chosen = earlier.saturating_sub(1);
        let keyframe = self.keyframes.get(chosen).filter(|_| chosen < count);
        keyframe.map(|frame| frame.seq).or(head.map(|head| head.seq))
    }

    /// When the first state can be shown to those who are not shown any at a wall time.
    pub(super) fn first_at_ms(&self, limit_ms: u64) -> Option<u64> {
        let first = self.keyframes.front().map(|frame| frame.at_ms);
        let first = first.or(self.live().map(|head| head.at_ms));
        first.filter(|at_ms| *at_ms > limit_ms)
    }

    /// The snapshot event of the state that stands for everything up to `seq`, if it is still there.
    pub(super) fn text(
        &mut self,
        epoch: Epoch,
        seq: u64,
        limit_ms: u64,
        encodes: &mut u64,
    ) -> Option<Frame> {
        let exact = self.keyframes.binary_search_by_key(&seq, |frame| frame.seq).ok();
        if let Some(keyframe) = exact.and_then(|at| self.keyframes.get_mut(at)) {
            if keyframe.at_ms > limit_ms {
                return None;
            }
            let before = keyframe.cost();
            let text = match &keyframe.body {
                Body::Text(text) => text.clone(),
                Body::Whole(whole) => {
                    *encodes += 1;
                    sse::event(
                        "snapshot",
                        Some((epoch, seq)),
                        &self.names.snapshot_json(seq, whole),
                    )
                }
            };
            keyframe.body = Body::Text(text.clone());
            self.bytes = self.bytes - before + keyframe.cost();
            return Some(text);
        }
        let head = self.live().filter(|head| head.seq <= seq && head.at_ms <= limit_ms)?;
        if let Some((_, text)) = self.head_text.as_ref().filter(|(of, _)| *of == seq) {
            return Some(text.clone());
        }
        let (names, replica, bytes) = (&self.names, &self.replica, &mut self.bytes);
        let entities = self.head_json.get_or_insert_with(|| {
            *encodes += 1;
            let entities = names.entities_json(&names.snapshot(replica));
            *bytes += entities.len();
            entities
        });
        let data = snapshot_json(seq, (head.tick, head.hash), entities);
        let text = sse::event("snapshot", Some((epoch, seq)), &data);
        if let Some((_, old)) = self.head_text.replace((seq, text.clone())) {
            self.bytes -= old.len();
        }
        self.bytes += text.len();
        Some(text)
    }

    /// The delta event of what [`Self::delta`] gave.
    pub(super) fn delta_text(&self, epoch: Epoch, seq: u64, whole: &Whole) -> Frame {
        sse::event("delta", Some((epoch, seq)), &self.names.delta_json(seq, whole))
    }

    /// The head, while it is known to be the room's.
    fn live(&self) -> Option<Moment> {
        self.head.filter(|_| !self.is_stale)
    }

    fn set_head(&mut self, head: Moment) {
        self.head = Some(head);
        self.drop_head_text();
    }

    /// Lets go what was made of the head.
    pub(super) fn drop_head_text(&mut self) {
        let text = self.head_text.take().map_or(0, |(_, text)| text.len());
        self.bytes -= text + self.head_json.take().map_or(0, |json| json.len());
    }

    fn whole(&self, Moment { tick, hash, .. }: Moment) -> Whole {
        Whole { base_tick: tick, tick, hash, bytes: self.names.snapshot(&self.replica) }
    }

    fn is_keyframe_due(&self, at_ms: u64) -> bool {
        let age_ms =
            self.keyframes.back().map_or(u64::MAX, |last| at_ms.saturating_sub(last.at_ms));
        self.deltas_bytes >= self.keyframe_bytes.max(KEYFRAME_BYTES_MIN)
            || (age_ms >= KEYFRAME_MS && self.deltas_bytes >= self.keyframe_bytes / 8)
            || age_ms >= KEYFRAME_MS_MAX
    }

    /// Makes the head a keyframe that stands for everything up to `seq`.
    fn put_keyframe(&mut self, seq: u64) {
        let Some(head) = self.head else { return };
        let whole = self.whole(head);
        self.deltas_bytes = 0;
        self.keyframe_bytes = whole.bytes.len();
        self.replica_bytes = cost(&self.replica);
        let keyframe = Keyframe { seq, at_ms: head.at_ms, body: Body::Whole(whole) };
        self.bytes += keyframe.cost();
        self.keyframes.push_back(keyframe);
    }
}

impl Keyframe {
    fn cost(&self) -> usize {
        KEYFRAME_COST
            + match &self.body {
                Body::Whole(whole) => whole.bytes.len(),
                Body::Text(text) => text.len(),
            }
    }
}

/// What a replica costs, about.
fn cost(replica: &Replica) -> usize {
    let cells = replica.entities().values().flat_map(|entity| &entity.cells);
    let cells = cells
        .map(|cell| size_of::<Cell>() + if let Cell::Blob(bytes) = cell { bytes.len() } else { 0 });
    replica.entities().len() * ENTITY_COST + cells.sum::<usize>()
}
