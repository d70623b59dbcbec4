//! A receiver's copy of one part of a room's state: applies snapshots and deltas, and hashes.
//!
//! Source of the layout: SPEC.md, "State". Everything is checked before anything changes, so that a
//! broken delta leaves the copy as it was.

use crate::state::{
    Cell, Field, FieldValue, Reader, Schema, StateError, existence, put_uint, share,
};
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
        let mut before = None;
        while !reader.is_empty() {
            let id = next_id(before, &mut reader)?;
            before = Some(id);
            let kind = reader.uint()?;
            let mask = reader.uint()?;
            fresh.insert(id, new_entity(schema, kind, mask, &mut reader)?);
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
        let mut changes = Vec::new();
        let mut before = None;
        while !reader.is_empty() {
            let id = next_id(before, &mut reader)?;
            before = Some(id);
            let header = reader.uint()?;
            let change = match (header, self.entities.get(&id)) {
                (0, Some(_)) => Change::Gone,
                (header, None) if header & 1 == 1 => {
                    let kind = reader.uint()?;
                    Change::New(new_entity(schema, kind, header >> 1, &mut reader)?)
                }
                (header, Some(old)) if header & 1 == 0 => {
                    Change::Fields(changed_fields(schema, old, header >> 1, &mut reader)?)
                }
                _ => return Err(StateError::WrongEntity),
            };
            changes.push((id, change));
        }
        for (id, change) in changes {
            match change {
                Change::Gone => self.remove(id),
                Change::New(entity) => self.insert(id, entity),
                Change::Fields(cells) => self.replace(id, cells),
            }
        }
        Ok(())
    }

    fn insert(&mut self, id: u32, entity: ReplicaEntity) {
        self.hash = self.hash.wrapping_add(entity_hash(id, &entity));
        self.entities.insert(id, entity);
    }

    fn remove(&mut self, id: u32) {
        if let Some(entity) = self.entities.remove(&id) {
            self.hash = self.hash.wrapping_sub(entity_hash(id, &entity));
        }
    }

    fn replace(&mut self, id: u32, cells: Vec<(u8, Cell)>) {
        let Some(entity) = self.entities.get_mut(&id) else { return };
        for (field, cell) in cells {
            let old = &mut entity.cells[usize::from(field)];
            let difference = share(id, field, &cell).wrapping_sub(share(id, field, old));
            self.hash = self.hash.wrapping_add(difference);
            *old = cell;
        }
    }
}

/// What a delta does to one entity.
enum Change {
    Gone,
    New(ReplicaEntity),
    /// Its new cells by the field's number.
    Fields(Vec<(u8, Cell)>),
}

/// Ids ascend: each is written as the difference to the one before.
pub fn put_id(out: &mut Vec<u8>, id: u32, before: Option<u32>) {
    put_uint(out, u64::from(before.map_or(id, |before| id - before)));
}

fn next_id(before: Option<u32>, reader: &mut Reader<'_>) -> Result<u32, StateError> {
    let step = u32::try_from(reader.uint()?).map_err(|_| StateError::OutOfBounds)?;
    match before {
        None => Ok(step),
        Some(_) if step == 0 => Err(StateError::WrongEntity),
        Some(before) => before.checked_add(step).ok_or(StateError::OutOfBounds),
    }
}

fn new_entity(
    schema: &Schema,
    kind: u64,
    mask: u64,
    reader: &mut Reader<'_>,
) -> Result<ReplicaEntity, StateError> {
    let kind = u32::try_from(kind).map_err(|_| StateError::UnknownKind)?;
    let fields = fields_of(schema, kind, mask)?;
    let mut cells: Vec<Cell> = fields.iter().map(|field| field.r#type.zero()).collect();
    for (place, field) in fields.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1) {
        cells[place] = field.r#type.get(None, reader)?;
    }
    Ok(ReplicaEntity { kind, cells })
}

fn changed_fields(
    schema: &Schema,
    old: &ReplicaEntity,
    mask: u64,
    reader: &mut Reader<'_>,
) -> Result<Vec<(u8, Cell)>, StateError> {
    let fields = fields_of(schema, old.kind, mask)?.iter().zip(&old.cells).zip(0_u8..);
    fields
        .filter(|(_, place)| mask >> place & 1 == 1)
        .map(|((field, old), place)| Ok((place, field.r#type.get(Some(old), reader)?)))
        .collect()
}

/// The fields of a kind, which must have each of the mask.
fn fields_of(schema: &Schema, kind: u32, mask: u64) -> Result<&[Field], StateError> {
    let fields = &schema.kind(kind).ok_or(StateError::UnknownKind)?.fields;
    if mask >> fields.len() == 0 { Ok(fields) } else { Err(StateError::UnknownField) }
}

fn entity_hash(id: u32, entity: &ReplicaEntity) -> u32 {
    let fields = entity.cells.iter().zip(0..);
    fields.fold(existence(id, entity.kind), |hash, (cell, field)| {
        hash.wrapping_add(share(id, field, cell))
    })
}
