//! One who watches every room: keeps the spectators' state by what the feed says alone, and holds it against the
//! room's projection at every item.

use super::projection::Projections;
use madang_engine::room::state::Part;
use madang_engine::watch::{WatchEvent, WatchItem, WatchState};
use madang_protocol::ids::Epoch;
use madang_protocol::replica::Replica;
use madang_protocol::state::Schema;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Watched {
    epoch: Epoch,
    schema: Option<Arc<Schema>>,
    state: Option<(u64, Replica)>,
    /// The newest seq of an entry, a snapshot or a delta.
    seq: u64,
    at_ms: u64,
}

/// The rooms that may be watched, by channel.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    rooms: BTreeMap<u32, Watched>,
    pub(crate) deltas: u64,
}

impl Feed {
    /// The spectators' copy of a room, with its tick.
    pub(crate) fn state(&self, channel: u32) -> Option<(u64, &Replica)> {
        let (tick, replica) = self.rooms.get(&channel)?.state.as_ref()?;
        Some((*tick, replica))
    }

    /// What a shard that crashed had told of will not be told to its end.
    pub(crate) fn forget(&mut self, is_lost: impl Fn(u32) -> bool) {
        self.rooms.retain(|channel, _| !is_lost(*channel));
    }

    pub(crate) fn told(&mut self, item: &WatchItem, ticks: &Projections) -> Result<(), String> {
        let channel = item.channel;
        let result = match &item.event {
            WatchEvent::Opened(room) => {
                let watched = Watched {
                    epoch: room.epoch,
                    schema: room.schema.clone(),
                    state: None,
                    seq: room.before,
                    at_ms: room.epoch_at_ms,
                };
                self.rooms.insert(channel, watched);
                return Ok(());
            }
            WatchEvent::Closed => {
                self.rooms.remove(&channel);
                return Ok(());
            }
            event => match self.rooms.get_mut(&channel) {
                Some(room) => room.told(event, ticks),
                None => Err("it was not opened".to_owned()),
            },
        };
        self.deltas += u64::from(matches!(item.event, WatchEvent::Delta(_)));
        result.map_err(|why| format!("watching channel {channel}: {why}"))
    }
}

impl Watched {
    fn told(&mut self, event: &WatchEvent, ticks: &Projections) -> Result<(), String> {
        match event {
            WatchEvent::Entry { seq, at_ms, .. } => {
                if self.schema.is_some() && self.state.is_none() && *at_ms < self.at_ms {
                    return Err("an entry's time is before the epoch's".to_owned());
                }
                self.at(*seq, *at_ms, true)
            }
            WatchEvent::Snapshot(state) => {
                let schema = self.schema.as_ref().ok_or("state without a schema")?;
                let mut replica = Replica::default();
                let applied = replica.apply_snapshot(schema, &state.bytes);
                applied.map_err(|error| format!("a snapshot: {error}"))?;
                if self.state.is_some() {
                    return Err("a second snapshot".to_owned());
                }
                self.state = Some((state.tick, replica));
                self.at(state.seq, state.at_ms, false)?;
                self.check(state, ticks)
            }
            WatchEvent::Delta(state) => {
                let schema = self.schema.as_ref().ok_or("state without a schema")?;
                let (tick, replica) = self.state.as_mut().ok_or("a delta before the snapshot")?;
                if state.base_tick > *tick || state.tick <= *tick {
                    return Err(format!("{} to {} at {tick}", state.base_tick, state.tick));
                }
                let applied = replica.apply_delta(schema, &state.bytes);
                applied.map_err(|error| format!("a delta: {error}"))?;
                *tick = state.tick;
                self.at(state.seq, state.at_ms, true)?;
                self.check(state, ticks)
            }
            _ => Ok(()),
        }
    }

    /// Seqs ascend, those of snapshots not strictly; time does not run backwards.
    fn at(&mut self, seq: u64, at_ms: u64, is_new: bool) -> Result<(), String> {
        // Before the first tick a snapshot has no seq.
        if seq < self.seq + u64::from(is_new) && (is_new || seq != 0) {
            return Err(format!("seq {seq} after {}", self.seq));
        }
        if at_ms < self.at_ms {
            return Err(format!("time ran backwards at seq {seq}"));
        }
        (self.seq, self.at_ms) = (self.seq.max(seq), at_ms);
        Ok(())
    }

    fn check(&self, state: &WatchState, ticks: &Projections) -> Result<(), String> {
        let Some((tick, replica)) = &self.state else { return Ok(()) };
        if replica.hash() != state.hash {
            return Err(format!("another hash at tick {tick}"));
        }
        match ticks.part(self.epoch, *tick, Part::Spectators) {
            Some(there) if there != replica => Err(format!(
                "tick {tick} is {:?}, there {:?}",
                replica.entities(),
                there.entities()
            )),
            _ => Ok(()),
        }
    }
}
