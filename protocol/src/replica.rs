//! A receiver's copy of one part of a room's state: applies snapshots and deltas, and hashes.
//!
//! Source of the layout: SPEC.md, "State". Everything is checked before anything changes, so that a
//! broken delta leaves the copy as it was.

use crate::state::{Cell, FieldValue, Reader, Schema, StateError, existence, put_uint, share};
use std::collections::BTreeMap;

/// One entity of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaEntity {
    /// Its kind's number.
    pub kind: u32,
    /// Its fields by number; those never seen are zero.
    pub cells: Vec<Cell>,
}

/// A copy of what one audience sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    entities: BTreeMap<u32, ReplicaEntity>,
    hash: u32,
}

impl Replica {
    /// The entities by id; 0 is the room.
    pub fn entities(&self) -> &BTreeMap<u32, ReplicaEntity> {
        &self.entities
    }

    /// The hash of everything in it.
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// A field's value.
    pub fn value(&self, schema: &Schema, entity: u32, field: usize) -> Option<FieldValue> {
        let found = self.entities.get(&entity)?;
        let field_type = schema.kind(found.kind)?.fields.get(field)?.r#type;
        field_type.value(found.cells.get(field)?).ok()
    }

    /// Replaces everything by a snapshot.
    ///
    /// # Errors
    ///
    /// When the bytes are not a snapshot of this schema; nothing changes then.
    pub fn apply_snapshot(&mut self, schema: &Schema, bytes: &[u8]) -> Result<(), StateError> {
        let mut reader = Reader::new(bytes);
        let mut fresh = Replica::default();
        let count = reader.uint()?;
        let mut id = 0;
        for place in 0..count {
            id = next_id(id, place, &mut reader)?;
            fresh.put_entity(schema, id, &mut reader)?;
        }
        if !reader.is_empty() {
            return Err(StateError::Trailing);
        }
        *self = fresh;
        Ok(())
    }

    /// Applies what changed.
    ///
    /// # Errors
    ///
    /// When the bytes are not a delta of this schema and state; nothing changes then.
    pub fn apply_delta(&mut self, schema: &Schema, bytes: &[u8]) -> Result<(), StateError> {
        let mut reader = Reader::new(bytes);
        let mut next = Changes::default();
        let removed = reader.uint()?;
        let mut id = 0;
        for place in 0..removed {
            id = next_id(id, place, &mut reader)?;
            if !self.entities.contains_key(&id) {
                return Err(StateError::WrongEntity);
            }
            next.removed.push(id);
        }
        let changed = reader.uint()?;
        let mut id = 0;
        for place in 0..changed {
            id = next_id(id, place, &mut reader)?;
            let header = reader.uint()?;
            let (mask, is_new) = (header >> 1, header & 1 == 1);
            let old = self.entities.get(&id).filter(|_| !next.removed.contains(&id));
            if is_new == old.is_some() {
                return Err(StateError::WrongEntity);
            }
            let mut entity = match old {
                Some(entity) => entity.clone(),
                None => new_entity(schema, reader.uint()?)?,
            };
            read_fields(schema, &mut entity, mask, !is_new, &mut reader)?;
            next.changed.push((id, entity));
        }
        if !reader.is_empty() {
            return Err(StateError::Trailing);
        }
        for id in next.removed {
            self.remove(id);
        }
        for (id, entity) in next.changed {
            self.insert(id, entity);
        }
        Ok(())
    }

    fn put_entity(
        &mut self,
        schema: &Schema,
        id: u32,
        reader: &mut Reader<'_>,
    ) -> Result<(), StateError> {
        let kind = reader.uint()?;
        let mask = reader.uint()?;
        let mut entity = new_entity(schema, kind)?;
        read_fields(schema, &mut entity, mask, false, reader)?;
        self.insert(id, entity);
        Ok(())
    }

    fn insert(&mut self, id: u32, entity: ReplicaEntity) {
        self.remove(id);
        self.hash = self.hash.wrapping_add(entity_hash(id, &entity));
        self.entities.insert(id, entity);
    }

    fn remove(&mut self, id: u32) {
        if let Some(entity) = self.entities.remove(&id) {
            self.hash = self.hash.wrapping_sub(entity_hash(id, &entity));
        }
    }
}

#[derive(Default)]
struct Changes {
    removed: Vec<u32>,
    changed: Vec<(u32, ReplicaEntity)>,
}

/// Ids ascend: each is written as the difference to the one before.
pub fn put_id(out: &mut Vec<u8>, id: u32, before: Option<u32>) {
    put_uint(out, u64::from(before.map_or(id, |before| id - before)));
}

fn next_id(before: u32, place: u64, reader: &mut Reader<'_>) -> Result<u32, StateError> {
    let step = reader.uint()?;
    if place > 0 && step == 0 {
        return Err(StateError::WrongEntity);
    }
    u32::try_from(u64::from(before) + step.min(1 << 33)).map_err(|_| StateError::OutOfBounds)
}

fn new_entity(schema: &Schema, kind: u64) -> Result<ReplicaEntity, StateError> {
    let kind = u32::try_from(kind).map_err(|_| StateError::UnknownKind)?;
    let fields = &schema.kind(kind).ok_or(StateError::UnknownKind)?.fields;
    let cells = fields.iter().map(|field| field.r#type.zero()).collect();
    Ok(ReplicaEntity { kind, cells })
}

fn read_fields(
    schema: &Schema,
    entity: &mut ReplicaEntity,
    mask: u64,
    relative: bool,
    reader: &mut Reader<'_>,
) -> Result<(), StateError> {
    let fields = &schema.kind(entity.kind).ok_or(StateError::UnknownKind)?.fields;
    if mask >> fields.len() != 0 {
        return Err(StateError::UnknownField);
    }
    for (place, field) in fields.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1) {
        let old = relative.then_some(&entity.cells[place]);
        entity.cells[place] = field.r#type.get(old, reader)?;
    }
    Ok(())
}

fn entity_hash(id: u32, entity: &ReplicaEntity) -> u32 {
    let fields = entity.cells.iter().zip(0..);
    fields.fold(existence(id, entity.kind), |hash, (cell, field)| {
        hash.wrapping_add(share(id, field, cell))
    })
}
