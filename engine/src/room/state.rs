//! A room's authoritative state: entities with typed fields, changes tracked as they are made, one
//! delta per audience and tick.
//!
//! A [`Part`] is what one audience sees: the members' common part, what a team sees beside it, what
//! an owner sees beside it, and the spectators' whole. Each part is encoded once per tick, whatever
//! the number of receivers, and has a hash of its own; a member's picture is the sum of its parts. A
//! field is in exactly the parts that its visibility names, so that what an audience may not see is
//! never in its bytes.

mod parts;

use madang_protocol::state::{Cell, FieldValue, Schema, StateError};
use parts::{Shape, Writers};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one audience sees of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What every member sees.
    Members,
    /// What is in a cell of the plane, for the members near it.
    Cell(u32),
    /// What members of a team see beside that.
    Team(u32),
    /// What the owner of entities sees beside that.
    Owner(u32),
    /// What spectators see.
    Spectators,
}

/// Bounds of a state.
#[derive(Clone, Copy, Debug)]
pub struct StateLimits {
    /// Most entities, the room's own not counted.
    pub entities_max: usize,
    /// Most bytes of all entities and values together, about as they are in memory.
    pub bytes_max: usize,
}

/// Which entities are in cells of the plane rather than in the members' common part: those of kinds
/// with a field of two numbers of this name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// The field that holds the position.
    pub field: &'static str,
    /// The edge of a cell, in the units of positions, above 0.
    pub cell: f64,
}

impl Plane {
    /// The cell of a position, by its column and row of 16 bits each. What is beyond them is in the
    /// outermost.
    pub fn cell(self, at: [f64; 2]) -> u32 {
        let [x, y] = at.map(|at| self.line(at));
        cell_number(x, y)
    }

    /// The column or row that a coordinate is in.
    pub fn line(self, at: f64) -> i16 {
        (at / self.cell).floor() as i16
    }
}

/// The number of the cell in a column and a row.
pub fn cell_number(column: i16, row: i16) -> u32 {
    u32::from(column as u16) | u32::from(row as u16) << 16
}

/// Who an entity belongs to; 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belonging {
    /// The member that sees its owner's fields.
    pub owner: u32,
    /// The team that sees its team's fields.
    pub team: u32,
}

/// What decides which parts an entity is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    belonging: Belonging,
    /// The cell that it is in, if it is in one; as of the last commit.
    cell: Option<u32>,
}

#[derive(Clone, Debug)]
struct Entity {
    kind: u32,
    standing: Standing,
    cells: Vec<Cell>,
    /// What it was at the last commit, if it was touched since.
    before: Option<Before>,
}

/// What a touched entity was at the last commit.
#[derive(Clone, Debug)]
struct Before {
    /// Whether it was there at all.
    known: bool,
    standing: Standing,
    /// The cells that were replaced since, by field; `mask` has a bit for each.
    cells: Vec<(u8, Cell)>,
    mask: u64,
}

/// One part's change in a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartDelta {
    /// Whose.
    pub part: Part,
    /// The delta's bytes.
    pub bytes: Vec<u8>,
    /// The hash of the part after it.
    pub hash: u32,
}

/// The state of one room.
#[derive(Clone, Debug)]
pub struct State {
    shape: Shape,
    limits: StateLimits,
    entities: BTreeMap<u32, Entity>,
    /// The entities that were touched since the last commit, in no order.
    touched: Vec<u32>,
    /// Those of the last commit that were removed since, as they were.
    gone: Vec<(u32, Entity)>,
    hashes: BTreeMap<Part, u32>,
    /// The entities in each part but the common ones, as of the last commit: what a member sees beside
    /// them is little, and is to cost little.
    within: BTreeMap<Part, BTreeSet<u32>>,
    bytes: usize,
    last_id: u32,
    /// What a commit writes with, kept for its buffers.
    writers: Writers,
    /// Lists of replaced cells that nobody uses, kept for the next that are touched.
    spare: Vec<Vec<(u8, Cell)>>,
}

impl State {
    /// A state with nothing but the room's own entity, number 0 of kind 0.
    ///
    /// # Errors
    ///
    /// When the schema is not valid.
    pub fn new(schema: Arc<Schema>, limits: StateLimits) -> Result<Self, StateError> {
        Self::on_plane(schema, None, limits)
    }

    /// Its bytes, about as it is in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// As [`Self::new`], with entities in the cells of a plane.
    ///
    /// # Errors
    ///
    /// When the schema is not valid, or a cell has no size.
    pub fn on_plane(
        schema: Arc<Schema>,
        plane: Option<Plane>,
        limits: StateLimits,
    ) -> Result<Self, StateError> {
        if !schema.is_valid() || plane.is_some_and(|plane| plane.cell.is_nan() || plane.cell <= 0.0)
        {
            return Err(StateError::OutOfBounds);
        }
        let mut state = Self {
            shape: Shape::new(schema, plane),
            limits,
            entities: BTreeMap::new(),
            touched: Vec::new(),
            gone: Vec::new(),
            hashes: BTreeMap::new(),
            within: BTreeMap::new(),
            bytes: 0,
            last_id: 0,
            writers: Writers::default(),
            spare: Vec::new(),
        };
        state.insert(0, 0, Belonging::default())?;
        state.commit();
        Ok(state)
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.shape.schema
    }

    /// Entities, the room's own not counted.
    pub fn len(&self) -> usize {
        self.entities.len() - 1
    }

    /// Whether there is none but the room's own.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of all entities but the room's own, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.entities.keys().copied().skip(1)
    }

    /// The kind of an entity.
    pub fn kind(&self, id: u32) -> Option<u32> {
        self.entities.get(&id).map(|entity| entity.kind)
    }

    /// Who an entity belongs to.
    pub fn belonging(&self, id: u32) -> Option<Belonging> {
        self.entities.get(&id).map(|entity| entity.standing.belonging)
    }

    /// Whether owners, and teams, see anything beside the members' common part.
    pub fn has_private_parts(&self) -> (bool, bool) {
        let masks = &self.shape.masks;
        (masks.iter().any(|masks| masks.owner != 0), masks.iter().any(|masks| masks.team != 0))
    }

    /// The hash of every part together: what a recorded room and its replay agree in.
    pub fn digest(&self) -> u32 {
        self.hashes.values().fold(0, |digest, hash| digest.rotate_left(5).wrapping_add(*hash))
    }

    /// Adds an entity with every field zero and returns its id.
    ///
    /// # Errors
    ///
    /// When there is no such kind, or there are as many entities as may be.
    pub fn create(&mut self, kind: u32, belonging: Belonging) -> Result<u32, StateError> {
        if self.len() >= self.limits.entities_max || self.last_id == u32::MAX {
            return Err(StateError::Full);
        }
        self.insert(self.last_id + 1, kind, belonging)?;
        self.last_id += 1;
        Ok(self.last_id)
    }

    /// Adds an entity of a known id above all that there are; the room's own is there.
    ///
    /// # Errors
    ///
    /// As [`Self::create`], and when the id is not above.
    pub(super) fn create_as(
        &mut self,
        id: u32,
        kind: u32,
        belonging: Belonging,
    ) -> Result<(), StateError> {
        if id == 0 && kind == 0 {
            return Ok(());
        }
        if id <= self.last_id {
            return Err(StateError::WrongEntity);
        }
        if self.len() >= self.limits.entities_max {
            return Err(StateError::Full);
        }
        self.insert(id, kind, belonging)?;
        self.last_id = id;
        Ok(())
    }

    /// Has the next entity get an id above `last_id`.
    ///
    /// # Errors
    ///
    /// When there is one above it.
    pub(super) fn number_from(&mut self, last_id: u32) -> Result<(), StateError> {
        if last_id < self.last_id {
            return Err(StateError::WrongEntity);
        }
        self.last_id = last_id;
        Ok(())
    }

    /// The highest id that an entity was ever given.
    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Removes an entity; the room's own stays.
    ///
    /// # Errors
    ///
    /// When there is no such entity.
    pub fn remove(&mut self, id: u32) -> Result<(), StateError> {
        if id == 0 || !self.entities.contains_key(&id) {
            return Err(StateError::WrongEntity);
        }
        if let Some(mut entity) = self.entities.remove(&id) {
            self.bytes -= ENTITY_BYTES + entity.cells.iter().map(size).sum::<usize>();
            match entity.before.take() {
                Some(before) if !before.known => {}
                Some(before) => {
                    entity.standing = before.standing;
                    for (field, cell) in before.cells {
                        entity.cells[usize::from(field)] = cell;
                    }
                    self.gone.push((id, entity));
                }
                None => self.gone.push((id, entity)),
            }
        }
        Ok(())
    }

    /// Sets a field.
    ///
    /// # Errors
    ///
    /// When there is no such entity or field, the value is of another type, or the state would be
    /// larger than it may.
    pub fn set(&mut self, id: u32, field: usize, value: &FieldValue) -> Result<(), StateError> {
        let entity = self.entities.get_mut(&id).ok_or(StateError::WrongEntity)?;
        let kind = &self.shape.schema.kinds[entity.kind as usize];
        let cell = kind.fields.get(field).ok_or(StateError::UnknownField)?.r#type.cell(value)?;
        let old = &mut entity.cells[field];
        if *old == cell {
            return Ok(());
        }
        let bytes = self.bytes - size(old) + size(&cell);
        if bytes > self.limits.bytes_max {
            return Err(StateError::Full);
        }
        self.bytes = bytes;
        let old = std::mem::replace(old, cell);
        let before = touch(&mut self.touched, &mut self.spare, id, entity);
        if before.known && before.mask >> field & 1 == 0 {
            before.mask |= 1 << field;
            before.cells.push((field as u8, old));
        }
        Ok(())
    }

    /// A field's value, as its receivers see it.
    ///
    /// # Errors
    ///
    /// When there is no such entity or field.
    pub fn get(&self, id: u32, field: usize) -> Result<FieldValue, StateError> {
        let entity = self.entities.get(&id).ok_or(StateError::WrongEntity)?;
        let kind = &self.shape.schema.kinds[entity.kind as usize];
        let field_type = kind.fields.get(field).ok_or(StateError::UnknownField)?.r#type;
        field_type.value(&entity.cells[field])
    }

    /// Gives an entity to another owner or team: it leaves the parts of the old ones.
    ///
    /// # Errors
    ///
    /// When there is no such entity.
    pub fn give(&mut self, id: u32, belonging: Belonging) -> Result<(), StateError> {
        let entity = self.entities.get_mut(&id).ok_or(StateError::WrongEntity)?;
        if entity.standing.belonging != belonging {
            touch(&mut self.touched, &mut self.spare, id, entity);
            entity.standing.belonging = belonging;
        }
        Ok(())
    }

    /// Ends a tick: what changed since the last one, for each part in which something did, ascending.
    pub fn commit(&mut self) -> Vec<PartDelta> {
        let Self { shape, entities, hashes, within, writers, spare, .. } = self;
        let mut touched = std::mem::take(&mut self.touched);
        let mut gone = std::mem::take(&mut self.gone);
        touched.extend(gone.iter().map(|(id, _)| *id));
        touched.sort_unstable();
        // An entity that was touched and then removed is there twice.
        touched.dedup();
        gone.sort_unstable_by_key(|(id, _)| *id);
        let mut gone = gone.into_iter().peekable();
        for id in touched.drain(..) {
            if let Some((_, entity)) = gone.next_if(|(gone, _)| *gone == id) {
                leave(within, shape.parts_of(entity.kind, entity.standing), id);
                shape.put_gone(writers, hashes, id, &entity);
                continue;
            }
            // One that was created and removed between two commits is in no list.
            let Some(entity) = entities.get_mut(&id) else { continue };
            let Some(mut before) = entity.before.take() else { continue };
            entity.standing.cell = shape.cell_of(entity);
            if before.known && before.standing == entity.standing {
                shape.put_changed(writers, hashes, id, entity, &before);
            } else {
                if before.known {
                    leave(within, shape.parts_of(entity.kind, before.standing), id);
                }
                enter(within, shape.parts_of(entity.kind, entity.standing), id);
                shape.put_moved(writers, hashes, id, entity, &before);
            }
            before.cells.clear();
            if spare.len() < SPARE_MAX {
                spare.push(before.cells);
            }
        }
        self.touched = touched;
        let mut deltas = writers.finish();
        if shape.is_open
            && let Some(members) = deltas.first().filter(|delta| delta.part == Part::Members)
        {
            deltas.push(PartDelta { part: Part::Spectators, ..members.clone() });
        }
        for delta in &deltas {
            hashes.insert(delta.part, delta.hash);
        }
        hashes.retain(|part, hash| *hash != 0 || *part == Part::Members);
        deltas
    }

    /// The hash of a part, as of the last commit.
    pub fn hash(&self, part: Part) -> u32 {
        self.hashes.get(&part).copied().unwrap_or(0)
    }

    /// The whole of a part, as of the last commit: what was touched since is as it was then.
    pub fn snapshot(&self, part: Part) -> Vec<u8> {
        let mut gone: Vec<&(u32, Entity)> = self.gone.iter().collect();
        gone.sort_unstable_by_key(|(id, _)| *id);
        let (mut out, mut last_id) = (Vec::new(), None);
        if is_common(part) {
            let mut gone = gone.into_iter().peekable();
            for (id, entity) in &self.entities {
                while let Some((gone_id, entity)) = gone.next_if(|(gone, _)| gone < id) {
                    self.shape.put_whole(*gone_id, entity, part, &mut last_id, &mut out);
                }
                self.put_committed(*id, entity, part, &mut last_id, &mut out);
            }
            for (id, entity) in gone {
                self.shape.put_whole(*id, entity, part, &mut last_id, &mut out);
            }
            return out;
        }
        for id in self.within.get(&part).into_iter().flatten() {
            if let Some(entity) = self.entities.get(id) {
                self.put_committed(*id, entity, part, &mut last_id, &mut out);
            } else if let Ok(place) = gone.binary_search_by_key(id, |(id, _)| *id) {
                self.shape.put_whole(*id, &gone[place].1, part, &mut last_id, &mut out);
            }
        }
        out
    }

    /// Appends an entity as it was at the last commit, if it was there.
    fn put_committed(
        &self,
        id: u32,
        entity: &Entity,
        part: Part,
        last_id: &mut Option<u32>,
        out: &mut Vec<u8>,
    ) {
        match &entity.before {
            None => self.shape.put_whole(id, entity, part, last_id, out),
            Some(before) if before.known => {
                self.shape.put_whole(id, &before.of(entity), part, last_id, out);
            }
            Some(_) => {}
        }
    }

    fn insert(&mut self, id: u32, kind: u32, belonging: Belonging) -> Result<(), StateError> {
        let fields = &self.shape.schema.kind(kind).ok_or(StateError::UnknownKind)?.fields;
        let cells: Vec<Cell> = fields.iter().map(|field| field.r#type.zero()).collect();
        let bytes = self.bytes + ENTITY_BYTES + cells.iter().map(size).sum::<usize>();
        if bytes > self.limits.bytes_max {
            return Err(StateError::Full);
        }
        self.bytes = bytes;
        let standing = Standing { belonging, cell: None };
        let before = Before { known: false, standing, cells: Vec::new(), mask: 0 };
        self.touched.push(id);
        self.entities.insert(id, Entity { kind, standing, cells, before: Some(before) });
        Ok(())
    }
}

/// Most lists of replaced cells that are kept for the next tick.
const SPARE_MAX: usize = 4096;

impl Before {
    /// A known entity as it was at the last commit.
    fn of(&self, entity: &Entity) -> Entity {
        let mut old = Entity {
            kind: entity.kind,
            standing: self.standing,
            cells: entity.cells.clone(),
            before: None,
        };
        for (field, cell) in &self.cells {
            old.cells[usize::from(*field)] = cell.clone();
        }
        old
    }
}

/// Whether a part may hold as good as every entity.
fn is_common(part: Part) -> bool {
    matches!(part, Part::Members | Part::Spectators)
}

/// An entity is in these parts from now on.
fn enter(within: &mut BTreeMap<Part, BTreeSet<u32>>, parts: impl Iterator<Item = Part>, id: u32) {
    for part in parts.filter(|part| !is_common(*part)) {
        within.entry(part).or_default().insert(id);
    }
}

/// An entity is in these parts no more.
fn leave(within: &mut BTreeMap<Part, BTreeSet<u32>>, parts: impl Iterator<Item = Part>, id: u32) {
    for part in parts.filter(|part| !is_common(*part)) {
        if let Some(entities) = within.get_mut(&part) {
            entities.remove(&id);
            if entities.is_empty() {
                within.remove(&part);
            }
        }
    }
}

/// Remembers that an entity is touched, and what it belonged to.
fn touch<'a>(
    touched: &mut Vec<u32>,
    spare: &mut Vec<Vec<(u8, Cell)>>,
    id: u32,
    entity: &'a mut Entity,
) -> &'a mut Before {
    entity.before.get_or_insert_with(|| {
        touched.push(id);
        let cells = spare.pop().unwrap_or_default();
        Before { known: true, standing: entity.standing, cells, mask: 0 }
    })
}

/// What a value takes of [`StateLimits::bytes_max`]: about what it takes of memory.
fn size(cell: &Cell) -> usize {
    let more = if let Cell::Blob(bytes) = cell { bytes.len() } else { 0 };
    size_of::<Cell>() + more
}

/// What an entity takes beside its values.
const ENTITY_BYTES: usize = size_of::<Entity>() + 16;

#[cfg(test)]
mod tests;
