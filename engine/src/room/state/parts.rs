//! Which part of a state an entity is in, and what is written of it there.
//!
//! The inner loop of a tick: nothing here allocates once its buffers have grown.

use super::{Before, Belonging, Entity, Part, PartDelta, Plane, Standing};
use madang_protocol::replica::put_id;
use madang_protocol::state::{
    Field, FieldType, FieldValue, Kind, Scalar, ScalarValue, Schema, Visibility, existence,
    put_uint, share, share_change,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The fields of a kind that each sort of part holds, as masks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Masks {
    pub(super) members: u64,
    pub(super) team: u64,
    pub(super) owner: u64,
    pub(super) spectators: u64,
    /// Whether members, and spectators, are told of entities of the kind at all: if they may see a
    /// field of it, or it has none.
    pub(super) is_known: [bool; 2],
    /// The field that holds the position, for entities in cells of the plane.
    pub(super) position: Option<usize>,
}

/// What decides who sees what: fixed for as long as the state lives.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) schema: Arc<Schema>,
    pub(super) masks: Vec<Masks>,
    pub(super) plane: Option<Plane>,
    /// Whether members and spectators see the same, so that one encoding serves both.
    pub(super) is_open: bool,
}

/// What a commit writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Writers {
    members: PartWriter,
    spectators: PartWriter,
    others: BTreeMap<Part, PartWriter>,
    /// Of the entity that is being written.
    differences: Vec<Difference>,
}

/// What a commit writes for one part.
#[derive(Clone, Debug, Default)]
struct PartWriter {
    bytes: Vec<u8>,
    last_id: Option<u32>,
    hash: u32,
}

/// A field that is not what it was.
#[derive(Clone, Copy, Debug)]
struct Difference {
    field: u8,
    /// Where the old cell is among those that were replaced.
    old: u8,
    /// What it adds to a hash.
    hash: u32,
}

impl Shape {
    pub(super) fn new(schema: Arc<Schema>, plane: Option<Plane>) -> Self {
        let masks: Vec<Masks> =
            schema.kinds.iter().map(|kind| masks_of(kind, plane.as_ref())).collect();
        let is_open = masks.iter().all(|masks| {
            masks.members == masks.spectators
                && masks.is_known[0] == masks.is_known[1]
                && masks.position.is_none()
        });
        Self { schema, masks, plane, is_open }
    }

    /// The cell of the plane that an entity is in, if it is in one.
    pub(super) fn cell_of(&self, entity: &Entity) -> Option<u32> {
        let position = self.masks[entity.kind as usize].position?;
        let field = &self.schema.kinds[entity.kind as usize].fields[position];
        match field.r#type.value(&entity.cells[position]) {
            Ok(FieldValue::One(ScalarValue::Vec2(at))) => Some(self.plane?.cell(at)),
            _ => None,
        }
    }

    /// What of an entity's fields a part holds that the entity is in.
    pub(super) fn mask(&self, entity: &Entity, part: Part) -> u64 {
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
    pub(super) fn is_in(&self, entity: &Entity, part: Part) -> bool {
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

    /// Fields of a part that are not zero: a receiver starts from zero.
    fn nonzero(&self, entity: &Entity, part: Part) -> u64 {
        let fields = &self.schema.kinds[entity.kind as usize].fields;
        let set = entity.cells.iter().zip(fields).enumerate();
        let set = set.filter(|(_, (cell, field))| **cell != field.r#type.zero());
        let mask = self.mask(entity, part);
        mask & set.fold(0, |mask, (place, _)| mask | 1 << place)
    }

    /// Appends an entity as a snapshot has it, if the part holds it.
    pub(super) fn put_whole(
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

    fn put_fields(&self, entity: &Entity, old: Option<&Entity>, mask: u64, out: &mut Vec<u8>) {
        let fields = &self.schema.kinds[entity.kind as usize].fields;
        for (place, field) in fields.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1)
        {
            let old = old.map(|old| &old.cells[place]);
            field.r#type.put(&entity.cells[place], old, out);
        }
    }

    /// Writes that an entity is gone to the parts that it was in.
    pub(super) fn put_gone(
        &self,
        writers: &mut Writers,
        hashes: &BTreeMap<Part, u32>,
        id: u32,
        entity: &Entity,
    ) {
        for part in self.parts_of(entity) {
            writers.of(part, hashes).put_gone(id, self.hash_of(id, entity, part));
        }
    }

    /// Writes the fields that differ to the parts of an entity that stays in the same ones.
    pub(super) fn put_changed(
        &self,
        writers: &mut Writers,
        hashes: &BTreeMap<Part, u32>,
        id: u32,
        entity: &Entity,
        before: &Before,
    ) {
        let mut differences = std::mem::take(&mut writers.differences);
        differences.clear();
        let mut differing = 0;
        for ((field, old), place) in before.cells.iter().zip(0_u8..) {
            let new = &entity.cells[usize::from(*field)];
            if old != new {
                let hash = share_change(id, *field, old, new);
                differences.push(Difference { field: *field, old: place, hash });
                differing |= 1 << field;
            }
        }
        // In the order of the fields, as they are written.
        if !differences.is_sorted_by_key(|difference| difference.field) {
            differences.sort_unstable_by_key(|difference| difference.field);
        }
        let fields = &self.schema.kinds[entity.kind as usize].fields;
        for part in self.parts_of(entity) {
            let mask = self.mask(entity, part) & differing;
            if mask == 0 {
                continue;
            }
            let writer = writers.of(part, hashes);
            writer.put_head(id, mask << 1);
            for difference in differences.iter().filter(|found| mask >> found.field & 1 == 1) {
                let place = usize::from(difference.field);
                let old = Some(&before.cells[usize::from(difference.old)].1);
                fields[place].r#type.put(&entity.cells[place], old, &mut writer.bytes);
                writer.hash = writer.hash.wrapping_add(difference.hash);
            }
        }
        writers.differences = differences;
    }

    /// Writes an entity that is new, or belongs to others than before.
    pub(super) fn put_moved(
        &self,
        writers: &mut Writers,
        hashes: &BTreeMap<Part, u32>,
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
            let writer = writers.of(part, hashes);
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
}

impl Writers {
    /// The writer of a part, which begins with the part's hash so far.
    fn of(&mut self, part: Part, hashes: &BTreeMap<Part, u32>) -> &mut PartWriter {
        match part {
            Part::Members => &mut self.members,
            Part::Spectators => &mut self.spectators,
            _ => self.others.entry(part).or_insert_with(|| PartWriter {
                hash: hashes.get(&part).copied().unwrap_or(0),
                ..PartWriter::default()
            }),
        }
    }

    /// What was written, for each part of which something was, ascending.
    pub(super) fn finish(&mut self) -> Vec<PartDelta> {
        let mut deltas = Vec::with_capacity(self.others.len() + 2);
        let mut add = |part, writer: &mut PartWriter| {
            writer.last_id = None;
            if !writer.bytes.is_empty() {
                deltas.push(PartDelta { part, bytes: writer.bytes.clone(), hash: writer.hash });
                writer.bytes.clear();
            }
        };
        add(Part::Members, &mut self.members);
        for (part, mut writer) in std::mem::take(&mut self.others) {
            add(part, &mut writer);
        }
        add(Part::Spectators, &mut self.spectators);
        deltas
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

fn masks_of(kind: &Kind, plane: Option<&Plane>) -> Masks {
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

/// The fields in which two states of one entity differ.
fn differing(before: &Entity, after: &Entity) -> u64 {
    let pairs = before.cells.iter().zip(&after.cells).enumerate();
    pairs.filter(|(_, (old, new))| old != new).fold(0, |mask, (place, _)| mask | 1 << place)
}
