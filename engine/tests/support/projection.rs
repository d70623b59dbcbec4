//! What each audience of a room may see at each tick, kept by looking at its home after each input; and
//! worked out a second time from the values and the visibilities alone.

use super::field;
use madang_engine::config::Kind;
use madang_engine::room::Room;
use madang_engine::room::play::Play;
use madang_engine::room::state::{Part, State};
use madang_protocol::ids::Epoch;
use madang_protocol::replica::{Replica, ReplicaEntity};
use madang_protocol::state::{Cell, Visibility};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The parts of a room at a tick, and who sees which.
#[derive(Debug, Default)]
struct Moment {
    parts: BTreeMap<Part, Rc<Replica>>,
    seen: BTreeMap<u32, Vec<Part>>,
}

#[derive(Debug, Default)]
struct RoomTicks {
    ticks: BTreeMap<u64, Moment>,
    newest: Option<u64>,
}

/// The rooms with state that ever were. By epoch: no two have the same in these tests.
#[derive(Debug, Default)]
pub(crate) struct Projections {
    rooms: BTreeMap<Epoch, RoomTicks>,
}

impl Projections {
    /// A part at a tick, if somebody looked then.
    pub(crate) fn part(&self, epoch: Epoch, tick: u64, part: Part) -> Option<&Replica> {
        let moment = self.rooms.get(&epoch)?.ticks.get(&tick)?;
        moment.parts.get(&part).map(|replica| &**replica)
    }

    /// Whether a member may have been shown a part as it was at a tick: then, or later as long as the part
    /// stayed the same.
    pub(crate) fn is_shown(&self, epoch: Epoch, tick: u64, member: u32, part: Part) -> bool {
        let Some(room) = self.rooms.get(&epoch) else { return true };
        let Some(then) = room.ticks.get(&tick) else { return true };
        let of_then = then.parts.get(&part);
        let is_same = |moment: &&Moment| {
            let now = moment.parts.get(&part);
            now.is_none() || of_then.is_none() || now == of_then
        };
        let mut since = room.ticks.range(tick..).map(|(_, moment)| moment).take_while(is_same);
        // A member that nobody saw there came after the tick.
        since.any(|moment| moment.seen.get(&member).is_none_or(|seen| seen.contains(&part)))
    }

    /// Looks at a room, if there is a tick that was not looked at.
    pub(crate) fn observe(&mut self, room: &Room) -> Result<(), String> {
        let Some(play) = room.play() else { return Ok(()) };
        let tick = play.tick();
        let ticks = self.rooms.entry(room.epoch).or_default();
        if ticks.newest == Some(tick) {
            return Ok(());
        }
        let mut moment = Moment::default();
        let earlier = ticks.newest.and_then(|tick| ticks.ticks.get(&tick));
        let mut parts = vec![Part::Members, Part::Spectators];
        for member in room.members.iter() {
            let seen = play.parts_of(member.id);
            parts.extend(&seen);
            moment.seen.insert(member.id, seen);
        }
        parts.sort_unstable();
        parts.dedup();
        for part in parts {
            let before = earlier.and_then(|moment| moment.parts.get(&part));
            let replica = match before {
                Some(before) if before.hash() == play.state().hash(part) => Rc::clone(before),
                _ => Rc::new(projected(play, part, room.kind)?),
            };
            moment.parts.insert(part, replica);
        }
        ticks.newest = Some(tick);
        ticks.ticks.insert(tick, moment);
        Ok(())
    }
}

/// A part as its snapshot says it is, checked against the values and visibilities.
fn projected(play: &Play, part: Part, kind: Kind) -> Result<Replica, String> {
    let state = play.state();
    let mut replica = Replica::default();
    replica
        .apply_snapshot(state.schema(), &state.snapshot(part))
        .map_err(|error| format!("the snapshot of {part:?}: {error}"))?;
    if replica.hash() != state.hash(part) {
        return Err(format!("{part:?} has another hash than its snapshot"));
    }
    // Between ticks what is set is not seen yet: only where each call is a tick is there no between.
    if play.tick_hz() == 0 {
        let has_plane =
            field::KINDS.iter().any(|(_, name, _, plane)| *plane && *name == kind.name());
        let expected = may_see(state, part, has_plane);
        if expected != *replica.entities() {
            return Err(format!("{part:?} is {:?}, not {expected:?}", replica.entities()));
        }
    }
    Ok(replica)
}

/// What a part holds by the rules of visibility, from the values as they are now.
pub(crate) fn may_see(state: &State, part: Part, has_plane: bool) -> BTreeMap<u32, ReplicaEntity> {
    let mut seen = BTreeMap::new();
    for id in std::iter::once(0).chain(state.ids()) {
        let (Some(number), Some(belonging)) = (state.kind(id), state.belonging(id)) else {
            continue;
        };
        let kind = &state.schema().kinds[number as usize];
        let cell = field::position(state, id).filter(|_| has_plane && number == 1).map(cell_of);
        let shows = |visibility: Visibility| match part {
            Part::Members | Part::Cell(_) => {
                matches!(visibility, Visibility::Everyone | Visibility::Members)
            }
            Part::Team(_) => visibility == Visibility::Team,
            Part::Owner(_) => visibility == Visibility::Owner,
            Part::Spectators => !matches!(visibility, Visibility::Members | Visibility::Nobody),
        };
        let is_its = match part {
            Part::Members => cell.is_none(),
            Part::Cell(of) => cell == Some(of),
            Part::Team(team) => belonging.team == team,
            Part::Owner(owner) => belonging.owner == owner,
            Part::Spectators => true,
        };
        let is_common = matches!(part, Part::Members | Part::Cell(_) | Part::Spectators);
        let has_field = kind.fields.iter().any(|field| shows(field.visibility));
        if !is_its || !(has_field || (is_common && kind.fields.is_empty())) {
            continue;
        }
        let cells = kind.fields.iter().enumerate().map(|(place, field)| {
            let value = state.get(id, place).expect("the field is there");
            let zero = field.r#type.zero();
            if shows(field.visibility) { field.r#type.cell(&value).unwrap_or(zero) } else { zero }
        });
        let cells: Vec<Cell> = cells.collect();
        seen.insert(id, ReplicaEntity { kind: number, cells });
    }
    seen
}

/// The cell of a point: columns and rows of 16 bits each.
pub(crate) fn cell_of(at: [f64; 2]) -> u32 {
    let [column, row] = at.map(|at| (at / field::CELL).floor() as i16 as u16);
    u32::from(column) | u32::from(row) << 16
}
