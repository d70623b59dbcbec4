//! Lists of waiting messages through one pool of chunks that a shard's sessions share.
//!
//! An empty list holds nothing, and a list that was busy gives its chunks back. A chunk begins on a cache
//! line and has its first message there, so that the usual case, a queue with one message, costs one line;
//! and messages of one queue lie side by side, which is what counts when many wait: they were put there one
//! by one among those of all other queues, and are taken out together.

use super::outbound::QueueClass;
use crate::frame::{Frame, FrameKind};

const NIL: u32 = u32::MAX;
/// Messages in a chunk.
const CHUNK: usize = 6;
/// Chunks that are kept when nothing waits anywhere.
const KEPT: usize = 1024;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) frame: Frame,
    pub(super) class: QueueClass,
    /// When it came, in milliseconds.
    pub(super) ms: u32,
    pub(super) kind: FrameKind,
}

/// A list of messages, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

/// Where a message is, until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    chunk: u32,
    at: u8,
}

/// A piece of a list, or of the list of those that are free.
#[derive(Debug)]
#[repr(align(64))]
struct Chunk {
    next: u32,
    /// The messages in it, in order, are those from here
    start: u8,
    /// to here.
    end: u8,
    messages: [Option<Waiting>; CHUNK],
}

/// The chunks of all lists of a shard.
#[derive(Debug)]
pub(super) struct Chunks {
    all: Vec<Chunk>,
    /// The first of those that are free.
    free: u32,
    /// Messages in all lists.
    waiting: usize,
}

const _: () = assert!(size_of::<Chunk>() <= 256, "a chunk is four cache lines");

impl Default for Chunks {
    fn default() -> Self {
        Self { all: Vec::new(), free: NIL, waiting: 0 }
    }
}

impl List {
    /// Nothing waits.
    pub(super) const EMPTY: Self = Self { head: NIL, tail: NIL };

    pub(super) fn is_empty(self) -> bool {
        self.head == NIL
    }
}

impl Chunks {
    /// Messages in all lists.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a message behind those of a list.
    #[inline]
    pub(super) fn push(&mut self, list: &mut List, message: Waiting) -> Place {
        self.waiting += 1;
        if let Some(chunk) = self.all.get_mut(list.tail as usize)
            && usize::from(chunk.end) < CHUNK
        {
            let at = chunk.end;
            chunk.messages[usize::from(at)] = Some(message);
            chunk.end += 1;
            return Place { chunk: list.tail, at };
        }
        let number = self.allocate(message);
        match self.all.get_mut(list.tail as usize) {
            Some(tail) => tail.next = number,
            None => list.head = number,
        }
        list.tail = number;
        Place { chunk: number, at: 0 }
    }

    /// Takes the oldest message out of a list.
    pub(super) fn pop(&mut self, list: &mut List) -> Option<Waiting> {
        let number = list.head;
        let chunk = self.all.get_mut(number as usize)?;
        let message = chunk.messages.get_mut(usize::from(chunk.start))?.take()?;
        self.waiting -= 1;
        chunk.start += 1;
        if chunk.start == chunk.end {
            list.head = chunk.next;
            chunk.next = self.free;
            self.free = number;
            if list.head == NIL {
                list.tail = NIL;
            }
        }
        Some(message)
    }

    /// The oldest message of a list.
    pub(super) fn front(&self, list: List) -> Option<&Waiting> {
        let chunk = self.all.get(list.head as usize)?;
        chunk.messages.get(usize::from(chunk.start))?.as_ref()
    }

    /// The message at a place that [`Self::push`] gave and that has not been taken out since.
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Waiting> {
        self.all.get_mut(place.chunk as usize)?.messages.get_mut(usize::from(place.at))?.as_mut()
    }

    /// The messages of a list with their places, oldest first.
    pub(super) fn iter(&self, list: List) -> impl Iterator<Item = (Place, &Waiting)> {
        self.numbers(list).flat_map(|number| {
            let messages = self.all[number as usize].messages.iter().zip(0_u8..);
            messages.filter_map(move |(message, at)| {
                Some((Place { chunk: number, at }, message.as_ref()?))
            })
        })
    }

    /// Calls `change` with every message of a list.
    pub(super) fn for_each_mut(&mut self, list: List, mut change: impl FnMut(&mut Waiting)) {
        let mut number = list.head;
        while let Some(chunk) = self.all.get_mut(number as usize) {
            chunk.messages.iter_mut().flatten().for_each(&mut change);
            number = chunk.next;
        }
    }

    /// Gives memory back after a peak, and says whether it did; called when the shard is idle.
    pub(super) fn shrink(&mut self) -> bool {
        let is_peak_over = self.waiting == 0 && self.all.len() > KEPT;
        if is_peak_over {
            *self = Self::default();
        }
        is_peak_over
    }

    fn numbers(&self, list: List) -> impl Iterator<Item = u32> {
        let known = |number: u32| (number != NIL).then_some(number);
        std::iter::successors(known(list.head), move |number| {
            known(self.all[*number as usize].next)
        })
    }

    fn allocate(&mut self, message: Waiting) -> u32 {
        let number = self.free;
        if let Some(chunk) = self.all.get_mut(number as usize) {
            self.free = chunk.next;
            (chunk.next, chunk.start, chunk.end) = (NIL, 0, 1);
            chunk.messages[0] = Some(message);
            return number;
        }
        let mut messages = [const { None }; CHUNK];
        messages[0] = Some(message);
        self.all.push(Chunk { next: NIL, start: 0, end: 1, messages });
        (self.all.len() - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    fn message(number: u32) -> Waiting {
        let frame = Frame::new(&number.to_le_bytes());
        Waiting { frame, class: QueueClass::Reliable, ms: number, kind: FrameKind::Batch }
    }

    /// Against queues of the standard library, with pushes and pops in an order that a fixed
    /// generator draws.
    #[test]
    fn lists_share_chunks_and_keep_apart() {
        const LISTS: usize = 5;
        let mut chunks = Chunks::default();
        let mut lists = [List::EMPTY; LISTS];
        let mut models: [VecDeque<(u32, Place)>; LISTS] = Default::default();
        let mut state = 1_u64;
        for number in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let (list, model) = {
                let which = (state >> 33) as usize % LISTS;
                (&mut lists[which], &mut models[which])
            };
            // Phases in which they grow and in which they are emptied.
            let grows = (number / 500) % 2 == 0;
            if (state >> 60) < if grows { 10 } else { 5 } {
                model.push_back((number, chunks.push(list, message(number))));
            } else {
                let popped = chunks.pop(list).map(|message| message.ms);
                assert_eq!(popped, model.pop_front().map(|(number, _)| number));
            }
            assert_eq!(list.is_empty(), model.is_empty());
            assert_eq!(chunks.front(*list).map(|m| m.ms), model.front().map(|(number, _)| *number));
            if number % 97 == 0 {
                let found: Vec<_> = chunks.iter(*list).map(|(at, m)| (m.ms, at)).collect();
                assert_eq!(found, *model.make_contiguous());
                for (number, place) in model {
                    assert_eq!(chunks.get_mut(*place).map(|m| m.ms), Some(*number));
                }
            }
        }
        for (list, model) in lists.iter_mut().zip(&models) {
            assert_eq!(std::iter::from_fn(|| chunks.pop(list)).count(), model.len());
        }
        assert_eq!(chunks.waiting(), 0);
    }

    #[test]
    fn a_peak_is_given_back() {
        let (mut chunks, mut list) = (Chunks::default(), List::EMPTY);
        for number in 0..(CHUNK * (KEPT + 1)) as u32 {
            chunks.push(&mut list, message(number));
        }
        chunks.shrink();
        assert_eq!(chunks.all.len(), KEPT + 1);
        while chunks.pop(&mut list).is_some() {}
        chunks.shrink();
        assert_eq!(chunks.all.len(), 0);
        chunks.push(&mut list, message(7));
        assert_eq!(chunks.front(list).map(|message| message.ms), Some(7));
    }
}
