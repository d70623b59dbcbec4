//! Those who watch on one thread: a position each, and no queue.

use super::directory::{Directory, Follower};
use super::log::{Next, Seat};
use super::rooms::{LogKey, Rooms};
use super::sse;
use crate::net::Outbound;
use madang_engine::frame::{Frame, FrameKind};
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// What somebody with a delay is shown: everything that happened up to this wall time. Without a
/// delay that is everything, for a shard's clock may be read a little later than ours.
pub(super) fn limit_ms(wall_ms: u64, delay_ms: u64) -> u64 {
    if delay_ms == 0 { u64::MAX } else { wall_ms.saturating_sub(delay_ms) }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Spectator {
    pub(super) view: View,
    /// What is written before anything else.
    first: Vec<Frame>,
    /// When something was written last.
    pub(super) last_sent: Time,
    /// A comment is due.
    is_quiet: bool,
    /// The stream ends when everything that may be shown is, with this.
    last: Option<Frame>,
    /// When it had been written everything that could be shown, or was let skip the rest.
    caught_up_at: Time,
}

/// What it watches.
#[derive(Debug)]
pub(super) enum View {
    /// A room.
    Room {
        /// The epoch's log; none when it is gone.
        log: Option<LogKey>,
        /// How far it was written.
        seat: Seat,
        /// How much later than the members.
        delay_ms: u64,
    },
    /// The directory.
    Directory(Follower),
}

/// What was written, since this was asked last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) gaps: u64,
    pub(super) encodes: u64,
    pub(super) conflations: u64,
}

/// All streams of a thread.
#[derive(Debug, Default)]
pub(super) struct Spectators {
    all: Slots,
    /// Who watches which log with which delay.
    groups: BTreeMap<(LogKey, u64), BTreeSet<ConnId>>,
    followers: BTreeSet<ConnId>,
    /// Who has been behind for longer skips to a snapshot, in milliseconds.
    conflate_ms: u64,
    pub(super) counts: Counts,
}

impl Spectator {
    pub(super) fn new(view: View, first: Vec<Frame>, now: Time) -> Self {
        Self { view, first, last_sent: Time(0), is_quiet: false, last: None, caught_up_at: now }
    }

    /// What it is told next.
    fn next(
        &mut self,
        (rooms, directory): (&mut Rooms, &Directory),
        (now, wall_ms): (Time, u64),
        conflate_ms: u64,
        counts: &mut Counts,
    ) -> Step {
        let (seat, log, delay_ms) = match &mut self.view {
            View::Directory(follower) => {
                return directory.next(follower).map_or(Step::Wait, |text| Step::Tell {
                    before: None,
                    text,
                    is_last: false,
                });
            }
            View::Room { log: None, .. } => return Step::Over(None),
            View::Room { log: Some(log), seat, delay_ms } => (seat, *log, *delay_ms),
        };
        let limit_ms = limit_ms(wall_ms, delay_ms);
        // Who began long ago in a room's past is not slow: what counts is also for how long it has
        // not caught up.
        let is_slow = self.caught_up_at.plus_ms(conflate_ms) < now;
        let late_ms = wall_ms.saturating_sub(delay_ms).saturating_sub(conflate_ms);
        let found = rooms.with(log, |log| {
            if is_slow
                && log.is_late(*seat, late_ms)
                && let Some(next) = log.skip(*seat, limit_ms, &mut counts.encodes)
            {
                counts.conflations += 1;
                self.caught_up_at = now;
                return (next, false);
            }
            let next = log.next(*seat, limit_ms, &mut counts.encodes);
            let is_last = delay_ms == 0
                && matches!(&next, Next::Event { seat: behind, .. } if log.is_at_end(*behind));
            (next, is_last)
        });
        let Some((next, is_last)) = found else { return Step::Over(None) };
        match next {
            Next::Event { gap, text, seat: behind, is_gap } => {
                *seat = behind;
                counts.gaps += u64::from(is_gap || gap.is_some());
                if is_last {
                    self.caught_up_at = now;
                }
                Step::Tell { before: gap, text, is_last }
            }
            Next::End { text } => Step::Over(Some(text)),
            Next::Wait { .. } => {
                self.caught_up_at = now;
                Step::Wait
            }
        }
    }
}

/// Spectators at the slots of their connections, which are small and reused: finding one is one step.
#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Option<(u32, Spectator)>>,
    len: usize,
}

impl Slots {
    fn get(&self, conn: ConnId) -> Option<&Spectator> {
        let (generation, spectator) = self.slots.get(conn.slot as usize)?.as_ref()?;
        (*generation == conn.generation).then_some(spectator)
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Spectator> {
        let (generation, spectator) = self.slots.get_mut(conn.slot as usize)?.as_mut()?;
        (*generation == conn.generation).then_some(spectator)
    }

    fn insert(&mut self, conn: ConnId, spectator: Spectator) {
        let slot = conn.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let before = self.slots[slot].replace((conn.generation, spectator));
        self.len += usize::from(before.is_none());
    }

    fn remove(&mut self, conn: ConnId) -> Option<Spectator> {
        self.get(conn)?;
        self.len -= 1;
        let (_, spectator) = self.slots[conn.slot as usize].take()?;
        Some(spectator)
    }

    fn conns(&self) -> impl Iterator<Item = ConnId> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(slot, held)| {
            held.as_ref().map(|(generation, _)| ConnId { slot, generation: *generation })
        })
    }
}

/// What a stream is told next.
#[derive(Debug)]
enum Step {
    /// An event, and one before it.
    Tell {
        before: Option<Frame>,
        text: Frame,
        /// Certainly nothing follows.
        is_last: bool,
    },
    /// Nothing yet.
    Wait,
    /// Perhaps a last event, and nothing more.
    Over(Option<Frame>),
}

impl Spectators {
    pub(super) fn new(conflate_ms: u64) -> Self {
        Self { conflate_ms, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len
    }

    pub(super) fn ids(&self) -> Vec<ConnId> {
        self.all.conns().collect()
    }

    pub(super) fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Everybody who follows the directory.
    pub(super) fn followers(&self) -> impl Iterator<Item = ConnId> {
        self.followers.iter().copied()
    }

    /// Everybody who watches a log with a delay.
    pub(super) fn group(&self, log: LogKey, delay_ms: u64) -> impl Iterator<Item = ConnId> {
        self.groups.get(&(log, delay_ms)).into_iter().flatten().copied()
    }

    /// The delays with which a log is watched.
    pub(super) fn delays(&self, log: LogKey) -> Vec<u64> {
        self.groups.range((log, 0)..=(log, u64::MAX)).map(|((_, delay_ms), _)| *delay_ms).collect()
    }

    pub(super) fn insert(&mut self, conn: ConnId, spectator: Spectator) {
        match &spectator.view {
            View::Room { log: Some(log), delay_ms, .. } => {
                self.groups.entry((*log, *delay_ms)).or_default().insert(conn);
            }
            View::Room { .. } => {}
            View::Directory(_) => drop(self.followers.insert(conn)),
        }
        self.all.insert(conn, spectator);
    }

    /// Returns the log and the delay that nobody watches any more, if it was the last who did.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<(LogKey, u64)> {
        let spectator = self.all.remove(conn)?;
        self.followers.remove(&conn);
        let View::Room { log: Some(log), delay_ms, .. } = spectator.view else { return None };
        self.leave((log, delay_ms), conn)
    }

    /// A log is gone; returns those who watched it, whose streams end.
    pub(super) fn forget(&mut self, log: LogKey) -> Vec<ConnId> {
        let mut left = Vec::new();
        for delay_ms in self.delays(log) {
            left.extend(self.groups.remove(&(log, delay_ms)).unwrap_or_default());
        }
        for conn in &left {
            if let Some(Spectator { view: View::Room { log, .. }, .. }) = self.all.get_mut(*conn) {
                *log = None;
            }
        }
        left
    }

    /// Ends a stream with something, once everything that may be shown is.
    pub(super) fn dismiss(&mut self, conn: ConnId, last: Frame) {
        if let Some(spectator) = self.all.get_mut(conn) {
            spectator.last = Some(last);
        }
    }

    /// Has a comment written if nothing was since a time. Returns when that was.
    pub(super) fn quieten(&mut self, conn: ConnId, since: Time) -> Option<Time> {
        let spectator = self.all.get_mut(conn)?;
        spectator.is_quiet = spectator.last_sent <= since;
        Some(spectator.last_sent)
    }

    /// Whether a comment is due.
    pub(super) fn is_quiet(&self, conn: ConnId) -> bool {
        self.all.get(conn).is_some_and(|spectator| spectator.is_quiet)
    }

    /// Pushes what a stream has next. Whether the stream has more, or none when it is over.
    pub(super) fn fill(
        &mut self,
        conn: ConnId,
        out: &mut Outbound<'_>,
        (rooms, directory): (&mut Rooms, &Directory),
        (now, wall_ms): (Time, u64),
    ) -> Option<bool> {
        let Some(spectator) = self.all.get_mut(conn) else { return Some(false) };
        if !spectator.first.is_empty() || spectator.is_quiet {
            spectator.last_sent = now;
        }
        for frame in std::mem::take(&mut spectator.first) {
            out.push(frame, FrameKind::Text);
        }
        if std::mem::take(&mut spectator.is_quiet) {
            out.push(sse::heartbeat(), FrameKind::Text);
        }
        while !out.is_full() {
            let from = (&mut *rooms, directory);
            let counts = &mut self.counts;
            let step = spectator.next(from, (now, wall_ms), self.conflate_ms, counts);
            let (frames, is_last, is_over) = match step {
                Step::Tell { before, text, is_last } => ([before, Some(text)], is_last, false),
                Step::Over(last) => ([last, None], true, true),
                Step::Wait => ([None, None], true, false),
            };
            for frame in frames.into_iter().flatten() {
                counts.events += 1;
                spectator.last_sent = now;
                out.push(frame, FrameKind::Text);
            }
            if is_over {
                return None;
            }
            if is_last {
                let Some(last) = spectator.last.take() else { return Some(false) };
                out.push(last, FrameKind::Text);
                return None;
            }
        }
        Some(true)
    }

    fn leave(&mut self, group: (LogKey, u64), conn: ConnId) -> Option<(LogKey, u64)> {
        let members = self.groups.get_mut(&group)?;
        members.remove(&conn);
        let is_last = members.is_empty();
        is_last.then(|| self.groups.remove(&group).map(|_| group)).flatten()
    }
}

#[cfg(test)]
mod tests;
