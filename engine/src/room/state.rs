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
    Cell, FieldValue, Schema, StateError, Visibility, existence, put_uint, share,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one audience sees of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What every member sees.
    Members,
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

/// Who an entity belongs to; 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belonging {
    /// The member that sees its owner's fields.
    pub owner: u32,
    /// The team that sees its team's fields.
    pub team: u32,
}

#[derive(Clone, Debug)]
struct Entity {
    kind: u32,
    belonging: Belonging,
    cells: Vec<Cell>,
    /// What it was at the last commit, if it was touched since.
    before: Option<Before>,
}

/// What a touched entity was at the last commit.
#[derive(Clone, Debug)]
struct Before {
    /// Whether it was there at all.
    known: bool,
    belonging: Belonging,
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
        if !schema.is_valid() {
            return Err(StateError::OutOfBounds);
        }
        let masks: Vec<Masks> = schema.kinds.iter().map(masks_of).collect();
        let is_open = masks.iter().all(|masks| masks.members == masks.spectators);
        let mut state = Self {
            schema,
            masks,
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
        self.entities.get(&id).map(|entity| entity.belonging)
    }

    /// Adds an entity with every field zero and returns its id.
    ///
    /// # Errors
    ///
    /// When there is no such kind, or there are as many entities as may be.
    pub fn create(&mut self, kind: u32, belonging: Belonging) -> Result<u32, StateError> {
        if self.len() >= self.limits.entities_max || self.last_id == u32::MAX {
            return Err(StateError::OutOfBounds);
        }
        self.last_id += 1;
        self.insert(self.last_id, kind, belonging)?;
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
                    entity.belonging = before.belonging;
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
            return Err(StateError::OutOfBounds);
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
        if entity.belonging != belonging {
            touch(&mut self.touched, id, entity);
            entity.belonging = belonging;
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
                for part in self.parts_of(&entity, entity.belonging) {
                    self.writer(&mut writers, part).put_gone(id, self.hash_of(id, &entity, part));
                }
                continue;
            }
            // One that was created and removed between two commits is in no list.
            let Some(before) = self.entities.get_mut(&id).and_then(|entity| entity.before.take())
            else {
                continue;
            };
            let entity = &self.entities[&id];
            if before.known && before.belonging == entity.belonging {
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
        self.hashes.retain(|part, hash| *hash != 0 || matches!(part, Part::Members));
        deltas
    }

    /// The hash of a part, as of the last commit.
    pub fn hash(&self, part: Part) -> u32 {
        self.hashes.get(&part).copied().unwrap_or(0)
    }

    /// The whole of a part, as of the last commit if nothing was touched since.
    pub fn snapshot(&self, part: Part) -> Vec<u8> {
        let mut out = Vec::new();
        let mut before = None;
        for (id, entity) in &self.entities {
            if !self.is_in(entity, entity.belonging, part) {
                continue;
            }
            put_id(&mut out, *id, before);
            before = Some(*id);
            let mask = self.nonzero(entity, part);
            put_uint(&mut out, u64::from(entity.kind));
            put_uint(&mut out, mask);
            self.put_fields(entity, None, mask, &mut out);
        }
        out
    }

    fn insert(&mut self, id: u32, kind: u32, belonging: Belonging) -> Result<(), StateError> {
        let fields = &self.schema.kind(kind).ok_or(StateError::UnknownKind)?.fields;
        let cells: Vec<Cell> = fields.iter().map(|field| field.r#type.zero()).collect();
        let bytes = self.bytes + cells.iter().map(size).sum::<usize>();
        if bytes > self.limits.bytes_max {
            return Err(StateError::OutOfBounds);
        }
        self.bytes = bytes;
        let before = Before { known: false, belonging, cells: Vec::new(), mask: 0 };
        self.touched.push(id);
        self.entities.insert(id, Entity { kind, belonging, cells, before: Some(before) });
        Ok(())
    }

    /// What of an entity's fields a part holds when the entity belongs so.
    fn mask(&self, entity: &Entity, belonging: Belonging, part: Part) -> u64 {
        let masks = &self.masks[entity.kind as usize];
        match part {
            Part::Members => masks.members,
            Part::Team(team) if belonging.team == team => masks.team,
            Part::Owner(owner) if belonging.owner == owner => masks.owner,
            Part::Team(_) | Part::Owner(_) => 0,
            Part::Spectators => masks.spectators,
        }
    }

    /// The common parts hold every entity, a team's or owner's only those with a field for it.
    fn is_in(&self, entity: &Entity, belonging: Belonging, part: Part) -> bool {
        matches!(part, Part::Members | Part::Spectators) || self.mask(entity, belonging, part) != 0
    }

    /// The parts that an entity is in when it belongs so; the spectators' only where it differs from
    /// the members'.
    fn parts_of(
        &self,
        entity: &Entity,
        belonging: Belonging,
    ) -> impl Iterator<Item = Part> + use<> {
        let Belonging { owner, team } = belonging;
        let masks = self.masks[entity.kind as usize];
        let team = (team != 0 && masks.team != 0).then_some(Part::Team(team));
        let owner = (owner != 0 && masks.owner != 0).then_some(Part::Owner(owner));
        let spectators = (!self.is_open).then_some(Part::Spectators);
        [Some(Part::Members), spectators, team, owner].into_iter().flatten()
    }

    fn hash_of(&self, id: u32, entity: &Entity, part: Part) -> u32 {
        let mask = self.mask(entity, entity.belonging, part);
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
        for part in self.parts_of(entity, entity.belonging) {
            let mask = self.mask(entity, entity.belonging, part) & differing;
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
        let mut old = Entity { before: None, ..entity.clone() };
        old.belonging = before.belonging;
        for (field, cell) in &before.cells {
            old.cells[usize::from(*field)] = cell.clone();
        }
        let was_in = before.known.then(|| self.parts_of(&old, old.belonging));
        let parts = was_in.into_iter().flatten().chain(self.parts_of(entity, entity.belonging));
        for part in parts.collect::<BTreeSet<_>>() {
            let was = before.known && self.is_in(&old, old.belonging, part);
            let is = self.is_in(entity, entity.belonging, part);
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
                let mask = self.mask(entity, entity.belonging, part) & differing(&old, entity);
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
        let mask = self.mask(entity, entity.belonging, part);
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
        Before { known: true, belonging: entity.belonging, cells: Vec::new(), mask: 0 }
    })
}

fn masks_of(kind: &madang_protocol::state::Kind) -> Masks {
    let mut masks = Masks::default();
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
    masks
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
mod tests {
    use super::*;
    use madang_protocol::replica::Replica;
    use madang_protocol::state::{Field, FieldType, Kind, Number, Scalar, ScalarValue};
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    const VISIBILITIES: [Visibility; 6] = [
        Visibility::Everyone,
        Visibility::Team,
        Visibility::Owner,
        Visibility::Spectators,
        Visibility::Members,
        Visibility::Nobody,
    ];

    fn types() -> Vec<FieldType> {
        let quantised = Number::quantised(-50.0, 50.0, 0.01);
        vec![
            FieldType::One(Scalar::Bool),
            FieldType::One(Scalar::Int),
            FieldType::One(Scalar::Uint),
            FieldType::One(Scalar::Number(Number::F32)),
            FieldType::One(Scalar::Number(Number::F64)),
            FieldType::One(Scalar::Number(quantised)),
            FieldType::One(Scalar::Text),
            FieldType::One(Scalar::Bytes),
            FieldType::One(Scalar::Vec2(quantised)),
            FieldType::One(Scalar::Vec3(Number::F32)),
            FieldType::List(Scalar::Int),
            FieldType::List(Scalar::Vec2(quantised)),
        ]
    }

    /// A kind with every type at every visibility would pass the mask: types go round.
    fn schema() -> Arc<Schema> {
        let field = |place: usize, (visibility, r#type)| Field {
            name: format!("f{place}"),
            r#type,
            visibility,
        };
        let all = |shift: usize| {
            let types = types();
            VISIBILITIES
                .into_iter()
                .flat_map(|visibility| {
                    (0..4).map(move |place| (visibility, place)).collect::<Vec<_>>()
                })
                .enumerate()
                .map(|(place, (visibility, step))| {
                    (visibility, types[(place * 5 + step + shift) % types.len()])
                })
                .enumerate()
                .map(|(place, pair)| field(place, pair))
                .collect()
        };
        let kinds = [("room", 0), ("actor", 1), ("thing", 2)];
        let kinds = kinds.map(|(name, shift)| Kind { name: name.into(), fields: all(shift) });
        Arc::new(Schema { kinds: kinds.into() })
    }

    fn limits() -> StateLimits {
        StateLimits { entities_max: 40, bytes_max: 1 << 20 }
    }

    fn draw(rng: &mut ChaCha12Rng, bound: u32) -> u32 {
        rng.next_u32() % bound
    }

    fn scalar(rng: &mut ChaCha12Rng, scalar: Scalar) -> ScalarValue {
        let number = |rng: &mut ChaCha12Rng| f64::from(draw(rng, 12_000)) / 100.0 - 60.0;
        match scalar {
            Scalar::Bool => ScalarValue::Bool(draw(rng, 2) == 1),
            Scalar::Int => ScalarValue::Int(i64::from(draw(rng, 1000)) - 500),
            Scalar::Uint => ScalarValue::Uint(u64::from(rng.next_u32()) << draw(rng, 20)),
            Scalar::Number(_) => ScalarValue::Number(number(rng)),
            Scalar::Text => ScalarValue::Text("마당".repeat(draw(rng, 3) as usize)),
            Scalar::Bytes => ScalarValue::Bytes(vec![7; draw(rng, 5) as usize]),
            Scalar::Vec2(_) => ScalarValue::Vec2([number(rng), number(rng)]),
            Scalar::Vec3(_) => ScalarValue::Vec3([number(rng), number(rng), number(rng)]),
        }
    }

    fn value(rng: &mut ChaCha12Rng, r#type: FieldType) -> FieldValue {
        match r#type {
            FieldType::One(one) => FieldValue::One(scalar(rng, one)),
            FieldType::List(of) => {
                let count = draw(rng, 4);
                FieldValue::List((0..count).map(|_| scalar(rng, of)).collect())
            }
        }
    }

    /// Each part's replica, fed with its deltas alone, equals one made from a snapshot, hashes as
    /// the state says, and holds what the state holds for exactly the fields that it may see.
    #[test]
    fn every_part_follows_the_state_through_random_changes() {
        let schema = schema();
        for seed in 0..20 {
            let mut rng = ChaCha12Rng::seed_from_u64(seed);
            let mut state = State::new(Arc::clone(&schema), limits()).unwrap();
            let parts: Vec<Part> = [Part::Members, Part::Spectators]
                .into_iter()
                .chain((1..3).map(Part::Team))
                .chain((1..4).map(Part::Owner))
                .collect();
            let mut replicas = BTreeMap::new();
            for part in &parts {
                let mut replica = Replica::default();
                replica.apply_snapshot(&schema, &state.snapshot(*part)).unwrap();
                replicas.insert(*part, replica);
            }
            for _ in 0..60 {
                for _ in 0..draw(&mut rng, 8) {
                    change(&mut state, &mut rng);
                }
                for delta in state.commit() {
                    if let Some(replica) = replicas.get_mut(&delta.part) {
                        replica.apply_delta(&schema, &delta.bytes).unwrap();
                        assert_eq!(replica.hash(), delta.hash);
                    }
                }
                for part in &parts {
                    let replica = &replicas[part];
                    let mut fresh = Replica::default();
                    fresh.apply_snapshot(&schema, &state.snapshot(*part)).unwrap();
                    assert_eq!(&fresh, replica, "{part:?}");
                    assert_eq!(replica.hash(), state.hash(*part), "{part:?}");
                    sees_what_it_may(&state, replica, *part);
                }
            }
        }
    }

    fn change(state: &mut State, rng: &mut ChaCha12Rng) {
        let ids: Vec<u32> = [0].into_iter().chain(state.ids()).collect();
        let id = ids[draw(rng, ids.len() as u32) as usize];
        let belonging = Belonging { owner: draw(rng, 4), team: draw(rng, 3) };
        match draw(rng, 10) {
            0 | 1 => drop(state.create(draw(rng, 3), belonging)),
            2 => drop(state.remove(id)),
            3 => drop(state.give(id, belonging)),
            _ => {
                let fields = &state.schema().kinds[state.kind(id).unwrap() as usize].fields;
                let field = draw(rng, fields.len() as u32) as usize;
                let value = value(rng, fields[field].r#type);
                state.set(id, field, &value).unwrap();
            }
        }
    }

    fn sees_what_it_may(state: &State, replica: &Replica, part: Part) {
        for (id, entity) in &state.entities {
            let seen = replica.entities().get(id);
            let mask = state.mask(entity, entity.belonging, part);
            for (place, cell) in entity.cells.iter().enumerate() {
                let shown = seen.map(|seen| &seen.cells[place]);
                let zero = state.schema.kinds[entity.kind as usize].fields[place].r#type.zero();
                if mask >> place & 1 == 1 {
                    assert_eq!(shown, Some(cell));
                } else {
                    assert!(shown.is_none_or(|shown| *shown == zero), "a hidden field is shown");
                }
            }
        }
        assert!(replica.entities().keys().all(|id| state.entities.contains_key(id)));
    }

    #[test]
    fn a_hidden_value_is_in_no_byte_of_a_part_that_may_not_see_it() {
        let fields = |visibility| Field {
            name: "secret".into(),
            r#type: FieldType::One(Scalar::Text),
            visibility,
        };
        for visibility in VISIBILITIES {
            let kind = Kind { name: "k".into(), fields: vec![fields(visibility)] };
            let schema = Arc::new(Schema { kinds: vec![kind] });
            let mut state = State::new(schema, limits()).unwrap();
            let id = state.create(0, Belonging { owner: 1, team: 1 }).unwrap();
            let text = FieldValue::One(ScalarValue::Text("needle".into()));
            state.set(id, 0, &text).unwrap();
            let holds = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"needle");
            let mut shown: BTreeSet<Part> =
                state.commit().iter().filter(|d| holds(&d.bytes)).map(|d| d.part).collect();
            let parts =
                [Part::Members, Part::Spectators, Part::Team(1), Part::Team(2), Part::Owner(1)];
            let in_snapshot: BTreeSet<Part> =
                parts.into_iter().filter(|part| holds(&state.snapshot(*part))).collect();
            assert_eq!(shown, in_snapshot);
            let may: &[Part] = match visibility {
                Visibility::Everyone => &[Part::Members, Part::Spectators],
                Visibility::Team => &[Part::Team(1), Part::Spectators],
                Visibility::Owner => &[Part::Owner(1), Part::Spectators],
                Visibility::Spectators => &[Part::Spectators],
                Visibility::Members => &[Part::Members],
                Visibility::Nobody => &[],
            };
            for part in may {
                assert!(shown.remove(part), "{visibility:?} {part:?}");
            }
            assert!(shown.is_empty(), "{visibility:?} {shown:?}");
        }
    }

    #[test]
    fn a_small_move_costs_a_byte_a_coordinate() {
        let position = FieldType::One(Scalar::Vec2(Number::quantised(0.0, 1000.0, 0.01)));
        let field = Field { name: "at".into(), r#type: position, visibility: Visibility::Everyone };
        let kinds = vec![Kind::default(), Kind { name: "p".into(), fields: vec![field] }];
        let mut state = State::new(Arc::new(Schema { kinds }), limits()).unwrap();
        let id = state.create(1, Belonging::default()).unwrap();
        let at = |x, y| FieldValue::One(ScalarValue::Vec2([x, y]));
        state.set(id, 0, &at(500.0, 500.0)).unwrap();
        state.commit();
        state.set(id, 0, &at(500.3, 499.8)).unwrap();
        let delta = state.commit().into_iter().find(|delta| delta.part == Part::Members).unwrap();
        // One change: id, mask, and two differences.
        assert_eq!(delta.bytes, [1, 2, 60, 39]);
    }

    #[test]
    fn bounds_hold_and_what_does_not_change_is_not_sent() {
        let kind = Kind {
            name: "k".into(),
            fields: vec![Field {
                name: "t".into(),
                r#type: FieldType::One(Scalar::Bytes),
                visibility: Visibility::Everyone,
            }],
        };
        let limits = StateLimits { entities_max: 2, bytes_max: 100 };
        let mut state = State::new(Arc::new(Schema { kinds: vec![kind] }), limits).unwrap();
        let id = state.create(0, Belonging::default()).unwrap();
        let bytes = |len| FieldValue::One(ScalarValue::Bytes(vec![1; len]));
        assert_eq!(state.set(id, 0, &bytes(69)), Err(StateError::OutOfBounds));
        state.set(id, 0, &bytes(60)).unwrap();
        state.create(0, Belonging::default()).unwrap_err();
        assert_eq!(state.set(id, 1, &bytes(1)), Err(StateError::UnknownField));
        assert_eq!(state.set(9, 0, &bytes(1)), Err(StateError::WrongEntity));
        assert_eq!(state.remove(0), Err(StateError::WrongEntity));
        assert_eq!(state.commit().len(), 2);
        state.set(id, 0, &bytes(60)).unwrap();
        state.set(id, 0, &bytes(3)).unwrap();
        state.set(id, 0, &bytes(60)).unwrap();
        assert!(state.commit().is_empty());
        state.remove(id).unwrap();
        assert_eq!((state.commit().len(), state.len()), (2, 0));
    }
}
