//! A room's authoritative state: entities with typed fields, changes tracked as they are made, one
//! delta per audience and tick.
//!
//! A [`Part`] is what one audience sees: the members' common part, what a team sees beside it, what
//! an owner sees beside it, and the spectators' whole. Each part is encoded once per tick, whatever
//! the number of receivers, and has a hash of its own; a member's picture is the sum of its parts. A
//! field is in exactly the parts that its visibility names, so that what an audience may not see is
//! never in its bytes.

use madang_protocol::replica::put_id;
use madang_protocol::state::{
    Cell, Field, FieldType, FieldValue, Scalar, ScalarValue, Schema, StateError, Visibility,
    existence, put_uint, share,
};
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
    /// Most bytes of all values together.
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

/// What a commit writes for one part.
#[derive(Debug, Default)]
struct PartWriter {
    bytes: Vec<u8>,
    last_id: Option<u32>,
    hash: u32,
}

/// The fields of a kind that each sort of part holds, as masks.
#[derive(Clone, Copy, Debug, Default)]
struct Masks {
    members: u64,
    team: u64,
    owner: u64,
    spectators: u64,
    /// Whether members, and spectators, are told of entities of the kind at all: if they may see a
    /// field of it, or it has none.
    is_known: [bool; 2],
    /// The field that holds the position, for entities in cells of the plane.
    position: Option<usize>,
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
    schema: Arc<Schema>,
    masks: Vec<Masks>,
    plane: Option<Plane>,
    limits: StateLimits,
    entities: BTreeMap<u32, Entity>,
    /// The entities that were touched since the last commit, in no order.
    touched: Vec<u32>,
    /// Those of the last commit that were removed since, as they were.
    gone: Vec<(u32, Entity)>,
    /// Whether members and spectators see the same, so that one encoding serves both.
    is_open: bool,
    hashes: BTreeMap<Part, u32>,
    bytes: usize,
    last_id: u32,
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
        let masks: Vec<Masks> =
            schema.kinds.iter().map(|kind| masks_of(kind, plane.as_ref())).collect();
        let is_open = masks.iter().all(|masks| {
            masks.members == masks.spectators
                && masks.is_known[0] == masks.is_known[1]
                && masks.position.is_none()
        });
        let mut state = Self {
            schema,
            masks,
            plane,
            limits,
            entities: BTreeMap::new(),
            touched: Vec::new(),
            gone: Vec::new(),
            is_open,
            hashes: BTreeMap::new(),
            bytes: 0,
            last_id: 0,
        };
        state.insert(0, 0, Belonging::default())?;
        state.commit();
        Ok(state)
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
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
        let any = |of: fn(&Masks) -> u64| self.masks.iter().any(|masks| of(masks) != 0);
        (any(|masks| masks.owner), any(|masks| masks.team))
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
            self.bytes -= entity.cells.iter().map(size).sum::<usize>();
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
        let kind = &self.schema.kinds[entity.kind as usize];
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
        let before = touch(&mut self.touched, id, entity);
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
        let kind = &self.schema.kinds[entity.kind as usize];
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
            touch(&mut self.touched, id, entity);
            entity.standing.belonging = belonging;
        }
        Ok(())
    }

    /// Ends a tick: what changed since the last one, for each part in which something did, ascending.
    pub fn commit(&mut self) -> Vec<PartDelta> {
        let mut touched = std::mem::take(&mut self.touched);
        let mut gone = std::mem::take(&mut self.gone);
        touched.extend(gone.iter().map(|(id, _)| *id));
        touched.sort_unstable();
        // An entity that was touched and then removed is there twice.
        touched.dedup();
        gone.sort_unstable_by_key(|(id, _)| *id);
        let mut gone = gone.into_iter().peekable();
        let mut writers = BTreeMap::new();
        for id in touched {
            if let Some((_, entity)) = gone.next_if(|(gone, _)| *gone == id) {
                for part in self.parts_of(&entity) {
                    self.writer(&mut writers, part).put_gone(id, self.hash_of(id, &entity, part));
                }
                continue;
            }
            // One that was created and removed between two commits is in no list.
            let Some(entity) = self.entities.get_mut(&id) else { continue };
            let Some(before) = entity.before.take() else { continue };
            let position = self.masks[entity.kind as usize].position;
            if let (Some(plane), Some(position)) = (self.plane, position) {
                let field = &self.schema.kinds[entity.kind as usize].fields[position];
                entity.standing.cell = position_of(field, &entity.cells[position])
                    .map(|position| plane.cell(position));
            }
            let entity = &self.entities[&id];
            if before.known && before.standing == entity.standing {
                self.put_changed(&mut writers, id, entity, &before);
            } else {
                self.put_moved(&mut writers, id, entity, &before);
            }
        }
        let mut deltas = Vec::with_capacity(writers.len() + 1);
        for (part, PartWriter { bytes, hash, .. }) in writers {
            if bytes.is_empty() {
                continue;
            }
            self.hashes.insert(part, hash);
            deltas.push(PartDelta { part, bytes, hash });
        }
        let members = deltas.first().filter(|delta| delta.part == Part::Members && self.is_open);
        if let Some(members) = members.cloned() {
            self.hashes.insert(Part::Spectators, members.hash);
            deltas.push(PartDelta { part: Part::Spectators, ..members });
        }
        self.hashes.retain(|part, hash| *hash != 0 || *part == Part::Members);
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
        let mut gone = gone.into_iter().peekable();
        let (mut out, mut last_id) = (Vec::new(), None);
        for (id, entity) in &self.entities {
            while let Some((gone_id, entity)) = gone.next_if(|(gone, _)| gone < id) {
                self.put_whole(*gone_id, entity, part, &mut last_id, &mut out);
            }
            match &entity.before {
                None => self.put_whole(*id, entity, part, &mut last_id, &mut out),
                Some(before) if before.known => {
                    self.put_whole(*id, &before.of(entity), part, &mut last_id, &mut out);
                }
                Some(_) => {}
            }
        }
        for (id, entity) in gone {
            self.put_whole(*id, entity, part, &mut last_id, &mut out);
        }
        out
    }

    fn put_whole(
        &self,
        id: u32,
        entity: &Entity,
        part: Part,
        last_id: &mut Option<u32>,
        out: &mut Vec<u8>,
    ) {
        if !self.is_in(entity, part) {
            return;
        }
        put_id(out, id, *last_id);
        *last_id = Some(id);
        let mask = self.nonzero(entity, part);
        put_uint(out, u64::from(entity.kind));
        put_uint(out, mask);
        self.put_fields(entity, None, mask, out);
    }

    fn insert(&mut self, id: u32, kind: u32, belonging: Belonging) -> Result<(), StateError> {
        let fields = &self.schema.kind(kind).ok_or(StateError::UnknownKind)?.fields;
        let cells: Vec<Cell> = fields.iter().map(|field| field.r#type.zero()).collect();
        let bytes = self.bytes + cells.iter().map(size).sum::<usize>();
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

    /// What of an entity's fields a part holds that the entity is in.
    fn mask(&self, entity: &Entity, part: Part) -> u64 {
        let masks = &self.masks[entity.kind as usize];
        match part {
            Part::Members | Part::Cell(_) => masks.members,
            Part::Team(_) => masks.team,
            Part::Owner(_) => masks.owner,
            Part::Spectators => masks.spectators,
        }
    }

    /// Whether a part holds an entity. A team's or owner's holds those with a field for it, the common
    /// ones also those of kinds without any.
    fn is_in(&self, entity: &Entity, part: Part) -> bool {
        let masks = &self.masks[entity.kind as usize];
        let Standing { belonging, cell } = entity.standing;
        match part {
            Part::Members => masks.is_known[0] && cell.is_none(),
            Part::Cell(of) => masks.is_known[0] && cell == Some(of),
            Part::Team(team) => team != 0 && belonging.team == team && masks.team != 0,
            Part::Owner(owner) => owner != 0 && belonging.owner == owner && masks.owner != 0,
            Part::Spectators => masks.is_known[1],
        }
    }

    /// The parts that an entity is in; the spectators' only where it differs from the members'.
    fn parts_of(&self, entity: &Entity) -> impl Iterator<Item = Part> + use<> {
        let Standing { belonging: Belonging { owner, team }, cell } = entity.standing;
        let masks = self.masks[entity.kind as usize];
        let common = masks.is_known[0].then_some(cell.map_or(Part::Members, Part::Cell));
        let team = (team != 0 && masks.team != 0).then_some(Part::Team(team));
        let owner = (owner != 0 && masks.owner != 0).then_some(Part::Owner(owner));
        let spectators = (!self.is_open && masks.is_known[1]).then_some(Part::Spectators);
        [common, spectators, team, owner].into_iter().flatten()
    }

    fn hash_of(&self, id: u32, entity: &Entity, part: Part) -> u32 {
        let mask = self.mask(entity, part);
        let fields = entity.cells.iter().zip(0_u8..).filter(|(_, field)| mask >> field & 1 == 1);
        fields.fold(existence(id, entity.kind), |hash, (cell, field)| {
            hash.wrapping_add(share(id, field, cell))
        })
    }

    fn writer<'a>(
        &self,
        writers: &'a mut BTreeMap<Part, PartWriter>,
        part: Part,
    ) -> &'a mut PartWriter {
        let fresh = || PartWriter { hash: self.hash(part), ..PartWriter::default() };
        writers.entry(part).or_insert_with(fresh)
    }

    /// Writes the fields that differ to the parts of an entity that stays in the same ones.
    fn put_changed(
        &self,
        writers: &mut BTreeMap<Part, PartWriter>,
        id: u32,
        entity: &Entity,
        before: &Before,
    ) {
        let mut differences = before.differences(id, entity);
        // In the order of the fields, as they are written.
        differences.sort_unstable_by_key(|difference| difference.field);
        let differing = differences.iter().fold(0, |mask, difference| mask | 1 << difference.field);
        let fields = &self.schema.kinds[entity.kind as usize].fields;
        for part in self.parts_of(entity) {
            let mask = self.mask(entity, part) & differing;
            if mask == 0 {
                continue;
            }
            let writer = self.writer(writers, part);
            writer.put_head(id, mask << 1);
            for difference in differences.iter().filter(|found| mask >> found.field & 1 == 1) {
                let place = usize::from(difference.field);
                let old = Some(difference.old);
                fields[place].r#type.put(&entity.cells[place], old, &mut writer.bytes);
                writer.hash = writer.hash.wrapping_add(difference.hash);
            }
        }
    }

    /// Writes an entity that is new, or belongs to others than before.
    fn put_moved(
        &self,
        writers: &mut BTreeMap<Part, PartWriter>,
        id: u32,
        entity: &Entity,
        before: &Before,
    ) {
        let old = before.of(entity);
        let was_in = before.known.then(|| self.parts_of(&old));
        let parts = was_in.into_iter().flatten().chain(self.parts_of(entity));
        for part in parts.collect::<BTreeSet<_>>() {
            let was = before.known && self.is_in(&old, part);
            let is = self.is_in(entity, part);
            let writer = self.writer(writers, part);
            if was && !is {
                writer.put_gone(id, self.hash_of(id, &old, part));
            } else if is && !was {
                let mask = self.nonzero(entity, part);
                writer.put_head(id, mask << 1 | 1);
                put_uint(&mut writer.bytes, u64::from(entity.kind));
                self.put_fields(entity, None, mask, &mut writer.bytes);
                writer.hash = writer.hash.wrapping_add(self.hash_of(id, entity, part));
            } else {
                let mask = self.mask(entity, part) & differing(&old, entity);
                if mask != 0 {
                    writer.put_head(id, mask << 1);
                    self.put_fields(entity, Some(&old), mask, &mut writer.bytes);
                    let hash = self.hash_of(id, entity, part);
                    let hash = hash.wrapping_sub(self.hash_of(id, &old, part));
                    writer.hash = writer.hash.wrapping_add(hash);
                }
            }
        }
    }

    /// Fields of a part that are not zero: a receiver starts from zero.
    fn nonzero(&self, entity: &Entity, part: Part) -> u64 {
        let fields = &self.schema.kinds[entity.kind as usize].fields;
        let set = entity.cells.iter().zip(fields).enumerate();
        let set = set.filter(|(_, (cell, field))| **cell != field.r#type.zero());
        let mask = self.mask(entity, part);
        mask & set.fold(0, |mask, (place, _)| mask | 1 << place)
    }

    fn put_fields(&self, entity: &Entity, old: Option<&Entity>, mask: u64, out: &mut Vec<u8>) {
        let fields = &self.schema.kinds[entity.kind as usize].fields;
        for (place, field) in fields.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1)
        {
            let old = old.map(|old| &old.cells[place]);
            field.r#type.put(&entity.cells[place], old, out);
        }
    }
}

/// A field that is not what it was.
struct Difference<'a> {
    field: u8,
    old: &'a Cell,
    /// What it adds to a hash.
    hash: u32,
}

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

    fn differences<'a>(&'a self, id: u32, entity: &Entity) -> Vec<Difference<'a>> {
        let replaced = self.cells.iter().map(|(field, old)| {
            let new = &entity.cells[usize::from(*field)];
            (*field, old, new)
        });
        let differing = replaced.filter(|(_, old, new)| old != new);
        let with_hash = differing.map(|(field, old, new)| Difference {
            field,
            old,
            hash: share(id, field, new).wrapping_sub(share(id, field, old)),
        });
        with_hash.collect()
    }
}

impl PartWriter {
    fn put_head(&mut self, id: u32, header: u64) {
        put_id(&mut self.bytes, id, self.last_id);
        self.last_id = Some(id);
        put_uint(&mut self.bytes, header);
    }

    fn put_gone(&mut self, id: u32, hash: u32) {
        self.put_head(id, 0);
        self.hash = self.hash.wrapping_sub(hash);
    }
}

/// Remembers that an entity is touched, and what it belonged to.
fn touch<'a>(touched: &mut Vec<u32>, id: u32, entity: &'a mut Entity) -> &'a mut Before {
    entity.before.get_or_insert_with(|| {
        touched.push(id);
        Before { known: true, standing: entity.standing, cells: Vec::new(), mask: 0 }
    })
}

fn masks_of(kind: &madang_protocol::state::Kind, plane: Option<&Plane>) -> Masks {
    let is_position = |field: &Field| {
        plane.is_some_and(|plane| field.name == plane.field)
            && matches!(field.r#type, FieldType::One(Scalar::Vec2(_)))
    };
    let mut masks =
        Masks { position: kind.fields.iter().position(is_position), ..Masks::default() };
    for (place, field) in kind.fields.iter().enumerate() {
        let bit = 1 << place;
        let seen_by: &mut [&mut u64] = match field.visibility {
            Visibility::Everyone => &mut [&mut masks.members, &mut masks.spectators],
            Visibility::Team => &mut [&mut masks.team, &mut masks.spectators],
            Visibility::Owner => &mut [&mut masks.owner, &mut masks.spectators],
            Visibility::Spectators => &mut [&mut masks.spectators],
            Visibility::Members => &mut [&mut masks.members],
            Visibility::Nobody => &mut [],
        };
        for mask in seen_by {
            **mask |= bit;
        }
    }
    masks.is_known =
        [masks.members, masks.spectators].map(|mask| mask != 0 || kind.fields.is_empty());
    masks
}

/// The position that a field of two numbers holds.
fn position_of(field: &Field, cell: &Cell) -> Option<[f64; 2]> {
    match field.r#type.value(cell) {
        Ok(FieldValue::One(ScalarValue::Vec2(position))) => Some(position),
        _ => None,
    }
}

/// The fields in which two states of one entity differ.
fn differing(before: &Entity, after: &Entity) -> u64 {
    let pairs = before.cells.iter().zip(&after.cells).enumerate();
    pairs.filter(|(_, (old, new))| old != new).fold(0, |mask, (place, _)| mask | 1 << place)
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Word(_) => 8,
        Cell::Pair(_) => 16,
        Cell::Triple(_) => 24,
        Cell::Blob(bytes) => 16 + bytes.len(),
    }
}

#[cfg(test)]
mod tests;
