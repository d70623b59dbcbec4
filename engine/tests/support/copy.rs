//! A client's copy of a room's state, by SPEC.md 17.5 and 17.6 alone, held against the room's projections at
//! every tick it comes to.

use super::projection::Projections;
use madang_engine::room::state::Part as RoomPart;
use madang_protocol::ids::Epoch;
use madang_protocol::replica::Replica;
use madang_protocol::server::{Delta, EXT_SCHEMA, InputAck, Joined, PartGone, Snapshot};
use madang_protocol::state::{Part, Schema};
use std::collections::{BTreeMap, BTreeSet};

/// One part, at a tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartCopy {
    pub(crate) tick: u64,
    /// The tick of the newest delta since the snapshot.
    delta: Option<u64>,
    pub(crate) replica: Replica,
}

/// What came, in short, for tests of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Snapshot(Part, u64),
    Delta(Part, u64),
    Ack(u64, u64),
    Gone(Part),
}

#[derive(Clone, Debug)]
pub(crate) struct StateCopy {
    pub(crate) schema: Schema,
    pub(crate) parts: BTreeMap<Part, PartCopy>,
    /// It asked for everything anew, and a snapshot of the members' part has not come.
    pub(crate) is_resyncing: bool,
    /// The newest cseq that an input ack covered.
    pub(crate) acked: u64,
    /// What counts as covered since the `joined`.
    covered: u64,
    /// Publications, of every class.
    pub(crate) inputs: BTreeSet<u64>,
    pub(crate) came: Vec<Came>,
    /// How often the state began anew.
    pub(crate) beginnings: u32,
}

/// Whose copy it is, and what it is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Against<'a> {
    pub(crate) projections: &'a Projections,
    pub(crate) epoch: Epoch,
    pub(crate) member: u32,
}

impl StateCopy {
    /// What a `joined` says of state, if it says anything.
    pub(crate) fn of(joined: &Joined) -> Result<Option<Self>, String> {
        let Some(json) = joined.ext.iter().find(|ext| ext.0 == EXT_SCHEMA) else { return Ok(None) };
        let schema: Schema = serde_json::from_slice(&json.1).map_err(|error| error.to_string())?;
        if !schema.is_valid() {
            return Err("a schema that is not valid".to_owned());
        }
        Ok(Some(Self {
            schema,
            parts: BTreeMap::new(),
            is_resyncing: false,
            acked: 0,
            covered: joined.applied_cseq.0,
            inputs: BTreeSet::new(),
            came: Vec::new(),
            beginnings: 0,
        }))
    }

    pub(crate) fn tick(&self) -> Option<u64> {
        self.parts.get(&Part::Members).map(|copy| copy.tick)
    }

    pub(crate) fn snapshot(
        &mut self,
        snapshot: &Snapshot<'_>,
        against: Against<'_>,
    ) -> Result<(), String> {
        let Snapshot { part, tick, .. } = *snapshot;
        self.came.push(Came::Snapshot(part, tick));
        match part {
            Part::Members => {
                self.parts.clear();
                self.is_resyncing = false;
                self.beginnings += 1;
            }
            Part::Spectators => return Err("a member was sent what spectators see".to_owned()),
            _ if self.is_resyncing => return Ok(()),
            _ if self.parts.is_empty() => return Err(format!("{part:?} before the members' part")),
            Part::Team(_) => self.parts.retain(|part, _| !matches!(part, Part::Team(_))),
            Part::Owner | Part::Cell(_) => {}
        }
        let mut replica = Replica::default();
        replica
            .apply_snapshot(&self.schema, &snapshot.state)
            .map_err(|error| format!("a snapshot of {part:?}: {error}"))?;
        let copy = PartCopy { tick, delta: None, replica };
        check(&copy, part, snapshot.hash, against)?;
        self.parts.insert(part, copy);
        Ok(())
    }

    pub(crate) fn delta(&mut self, delta: &Delta<'_>, against: Against<'_>) -> Result<(), String> {
        let Delta { part, base_tick, tick, .. } = *delta;
        self.came.push(Came::Delta(part, tick));
        if self.is_resyncing {
            return Ok(());
        }
        let copy = self.parts.get_mut(&part);
        let copy = copy.ok_or_else(|| format!("a delta of {part:?}, of which there is no copy"))?;
        if copy.tick >= tick {
            return Ok(());
        }
        if base_tick > copy.tick {
            let at = copy.tick;
            return Err(format!("a delta of {part:?} from {base_tick} to {tick} at {at}"));
        }
        copy.replica
            .apply_delta(&self.schema, &delta.changes)
            .map_err(|error| format!("a delta of {part:?}: {error}"))?;
        (copy.tick, copy.delta) = (tick, Some(tick));
        check(copy, part, delta.hash, against)
    }

    pub(crate) fn gone(&mut self, gone: &PartGone) -> Result<(), String> {
        self.came.push(Came::Gone(gone.part));
        if self.is_resyncing {
            return Ok(());
        }
        if matches!(gone.part, Part::Members | Part::Owner) {
            return Err(format!("{gone:?}"));
        }
        self.parts.remove(&gone.part);
        Ok(())
    }

    pub(crate) fn acked(&mut self, ack: InputAck, cseq: u64) -> Result<(), String> {
        self.came.push(Came::Ack(ack.tick, ack.cseq.0));
        if ack.cseq.0 < self.acked || ack.cseq.0 > cseq {
            return Err(format!("{ack:?} after {} of {cseq}", self.acked));
        }
        if let Some(ahead) = self.parts.values().find(|copy| copy.tick > ack.tick) {
            return Err(format!("{ack:?} behind what is of tick {}", ahead.tick));
        }
        let is_shown = |copy: &PartCopy| copy.delta.is_some_and(|tick| tick >= ack.tick);
        let is_news = ack.cseq.0 > self.acked.max(self.covered);
        if is_news && self.parts.values().any(is_shown) {
            return Err(format!("{ack:?} behind the delta of its tick"));
        }
        self.acked = ack.cseq.0;
        Ok(())
    }

    /// Whether it is the room's projection for this member now.
    pub(crate) fn agrees(
        &self,
        room: &madang_engine::room::Room,
        member: u32,
    ) -> Result<(), String> {
        let play = room.play().ok_or("a copy of no state")?;
        let parts = play.parts_of(member);
        let expected: BTreeSet<Part> = parts.iter().map(|part| wire_part(*part)).collect();
        let held: BTreeSet<Part> = self.parts.keys().copied().collect();
        if held != expected {
            return Err(format!("parts {held:?}, there {expected:?}"));
        }
        for part in parts {
            let copy = &self.parts[&wire_part(part)];
            let mut there = Replica::default();
            let snapshot = play.state().snapshot(part);
            there.apply_snapshot(&self.schema, &snapshot).map_err(|error| error.to_string())?;
            if there != copy.replica || there.hash() != play.state().hash(part) {
                let (at, tick) = (copy.tick, play.tick());
                let (here, there) = (copy.replica.entities(), there.entities());
                return Err(format!("{part:?} at {at} is {here:?}, there at {tick} {there:?}"));
            }
        }
        Ok(())
    }
}

/// Holds a part against its hash, and against the room's projection at its tick if there is one.
fn check(copy: &PartCopy, part: Part, hash: u32, against: Against<'_>) -> Result<(), String> {
    let (tick, Against { projections, epoch, member }) = (copy.tick, against);
    if copy.replica.hash() != hash {
        return Err(format!("{part:?} at tick {tick} has another hash"));
    }
    let of_room = room_part(part, member);
    if projections.part(epoch, tick, of_room).is_some_and(|there| *there != copy.replica) {
        let there = projections.part(epoch, tick, of_room);
        let here = copy.replica.entities();
        return Err(format!("{part:?} at tick {tick} is {here:?}, there {there:?}"));
    }
    if !projections.is_shown(epoch, tick, member, of_room) {
        return Err(format!("member {member} was shown {part:?} at tick {tick}"));
    }
    Ok(())
}

/// A part as the room names it.
fn room_part(part: Part, member: u32) -> RoomPart {
    match part {
        Part::Members => RoomPart::Members,
        Part::Team(team) => RoomPart::Team(team),
        Part::Owner => RoomPart::Owner(member),
        Part::Cell(cell) => RoomPart::Cell(cell),
        Part::Spectators => RoomPart::Spectators,
    }
}

/// A part as the wire names it.
pub(crate) fn wire_part(part: RoomPart) -> Part {
    match part {
        RoomPart::Members => Part::Members,
        RoomPart::Team(team) => Part::Team(team),
        RoomPart::Owner(_) => Part::Owner,
        RoomPart::Cell(cell) => Part::Cell(cell),
        RoomPart::Spectators => Part::Spectators,
    }
}
