//! Room state for people without a codec: JSON with names and whole values.
//!
//! A delta of the wire says differences to what was before. What is kept here says whole values
//! instead, so that its text can be made at any later time without the state before it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use madang_protocol::replica::{Replica, ReplicaEntity};
use madang_protocol::state::{
    Cell, FieldType, FieldValue, Kind, Reader, ScalarValue, Schema, StateError, Visibility,
    put_uint,
};
use std::sync::Arc;

/// What stands behind an entity's id.
const GONE: u64 = 0;
const NEW: u64 = 1;
const SET: u64 = 2;

/// What a kind costs besides its name, and a field.
const KIND_COST: usize = 96;
const FIELD_COST: usize = 96;

/// A state at a moment, or what changed to it, in whole values.
#[derive(Debug)]
pub(super) struct Whole {
    /// The tick before that changed something; a snapshot's is not told.
    pub(super) base_tick: u64,
    pub(super) tick: u64,
    pub(super) hash: u32,
    /// Entities in this file's own form.
    pub(super) bytes: Box<[u8]>,
}

/// The names of a schema, as they stand in JSON, and what of it spectators may see.
#[derive(Debug)]
pub(super) struct Names {
    schema: Arc<Schema>,
    kinds: Vec<KindNames>,
}

#[derive(Debug)]
struct KindNames {
    /// `"kind":"player"`
    kind: Box<str>,
    /// `"at":`; none for what spectators may not see.
    fields: Vec<Option<Box<str>>>,
}

impl Names {
    pub(super) fn new(schema: Arc<Schema>) -> Self {
        let kinds = schema.kinds.iter().map(KindNames::new).collect();
        Self { schema, kinds }
    }

    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What they cost, and the schema with them, in bytes, about.
    pub(super) fn cost(&self) -> usize {
        let kinds = self.schema.kinds.iter().zip(&self.kinds).map(|(kind, names)| {
            let fields = kind.fields.iter().zip(&names.fields).map(|(field, name)| {
                FIELD_COST + field.name.len() + name.as_ref().map_or(0, |name| name.len())
            });
            KIND_COST + kind.name.len() + names.kind.len() + fields.sum::<usize>()
        });
        kinds.sum()
    }

    /// Everything in a replica.
    pub(super) fn snapshot(&self, replica: &Replica) -> Box<[u8]> {
        let mut out = Vec::new();
        for (id, entity) in replica.entities() {
            let Some(kind) = self.schema.kind(entity.kind) else { continue };
            let set = kind.fields.iter().zip(&entity.cells).enumerate();
            let set = set.filter(|(_, (field, cell))| **cell != field.r#type.zero());
            let mask = set.fold(0, |mask, (place, _)| mask | 1 << place);
            put_head(&mut out, *id, NEW, entity.kind, mask);
            for (place, field) in fields(kind, mask) {
                field.put(&entity.cells[place], None, &mut out);
            }
        }
        out.into()
    }

    /// What the wire's bytes of a delta change in a replica, which still is as it was before.
    ///
    /// # Errors
    ///
    /// When the bytes are not a delta of this schema and state.
    pub(super) fn delta(&self, before: &Replica, delta: &[u8]) -> Result<Box<[u8]>, StateError> {
        let mut out = Vec::with_capacity(delta.len() * 2);
        let mut reader = Reader::new(delta);
        let mut id = 0_u32;
        while !reader.is_empty() {
            let step = u32::try_from(reader.uint()?).map_err(|_| StateError::OutOfBounds)?;
            id = id.checked_add(step).ok_or(StateError::OutOfBounds)?;
            let header = reader.uint()?;
            let old = before.entities().get(&id);
            match (header, old) {
                (0, _) => {
                    put_uint(&mut out, id.into());
                    put_uint(&mut out, GONE);
                }
                (header, _) if header & 1 == 1 => {
                    let number = reader.uint()?;
                    let number = u32::try_from(number).map_err(|_| StateError::UnknownKind)?;
                    self.copy((id, NEW, number, header >> 1), None, &mut reader, &mut out)?;
                }
                (header, Some(old)) => {
                    let head = (id, SET, old.kind, header >> 1);
                    self.copy(head, Some(old), &mut reader, &mut out)?;
                }
                _ => return Err(StateError::WrongEntity),
            }
        }
        Ok(out.into())
    }

    /// The data of a `snapshot` event.
    pub(super) fn snapshot_json(&self, seq: u64, whole: &Whole) -> Vec<u8> {
        let Whole { tick, hash, bytes, .. } = whole;
        snapshot_json(seq, (*tick, *hash), &self.entities_json(bytes))
    }

    /// The part of a snapshot's data that is the same wherever it stands: the entities.
    pub(super) fn entities_json(&self, whole: &[u8]) -> Vec<u8> {
        let mut out = vec![b'{'];
        let mut reader = Reader::new(whole);
        while !reader.is_empty() {
            let (id, _, number, mask) = Self::head(&mut reader);
            separate(&mut out);
            self.put_new(id, number, mask, &mut reader, &mut out);
        }
        out.push(b'}');
        out
    }

    /// The data of a `delta` event.
    pub(super) fn delta_json(&self, seq: u64, whole: &Whole) -> Vec<u8> {
        let Whole { base_tick, tick, hash, bytes } = whole;
        let (mut set, mut new, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let (id, what, number, mask) = Self::head(&mut reader);
            match what {
                GONE => {
                    separate(&mut gone);
                    gone.extend_from_slice(id.to_string().as_bytes());
                }
                NEW => {
                    separate(&mut new);
                    self.put_new(id, number, mask, &mut reader, &mut new);
                }
                _ => {
                    let mut changed = Vec::new();
                    self.put_fields(number, mask, false, &mut reader, &mut changed);
                    if !changed.is_empty() {
                        separate(&mut set);
                        set.extend_from_slice(format!("\"{id}\":{{").as_bytes());
                        set.append(&mut changed);
                        set.push(b'}');
                    }
                }
            }
        }
        let mut out = format!(
            "{{\"base_tick\":{base_tick},\"tick\":{tick},\"seq\":{seq},\"hash\":\"{hash:08x}\""
        )
        .into_bytes();
        for (name, members, ends) in
            [("set", &set, b"{}"), ("new", &new, b"{}"), ("gone", &gone, b"[]")]
        {
            if !members.is_empty() {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                out.push(ends[0]);
                out.extend_from_slice(members);
                out.push(ends[1]);
            }
        }
        out.push(b'}');
        out
    }

    /// Copies an entity's fields from a delta of the wire, of differences to `old`, in whole values.
    fn copy(
        &self,
        (id, what, number, mask): (u32, u64, u32, u64),
        old: Option<&ReplicaEntity>,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), StateError> {
        let kind = self.schema.kind(number).ok_or(StateError::UnknownKind)?;
        if mask >> kind.fields.len() != 0 {
            return Err(StateError::UnknownField);
        }
        put_head(out, id, what, number, mask);
        for (place, field) in fields(kind, mask) {
            let old = old.and_then(|old| old.cells.get(place));
            field.put(&field.get(old, reader)?, None, out);
        }
        Ok(())
    }

    /// An entity's id, what is with it, its kind and its fields; without the last two when it is gone.
    fn head(reader: &mut Reader<'_>) -> (u32, u64, u32, u64) {
        let mut uint = || reader.uint().expect(OWN_FORM);
        let (id, what) = (uint() as u32, uint());
        if what == GONE { (id, what, 0, 0) } else { (id, what, uint() as u32, uint()) }
    }

    fn put_new(&self, id: u32, number: u32, mask: u64, reader: &mut Reader<'_>, out: &mut Vec<u8>) {
        let names = &self.kinds[number as usize];
        out.extend_from_slice(format!("\"{id}\":{{{}", names.kind).as_bytes());
        self.put_fields(number, mask, true, reader, out);
        out.push(b'}');
    }

    /// Appends the fields of a mask, and with `zeros` all others as zero.
    fn put_fields(
        &self,
        number: u32,
        mask: u64,
        zeros: bool,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) {
        let names = &self.kinds[number as usize].fields;
        let fields = &self.schema.kinds[number as usize].fields;
        for (place, (field, name)) in fields.iter().zip(names).enumerate() {
            let is_set = mask >> place & 1 == 1;
            let cell = is_set.then(|| field.r#type.get(None, reader).expect(OWN_FORM));
            let Some(name) = name else { continue };
            if let Some(cell) = cell.or_else(|| zeros.then(|| field.r#type.zero())) {
                separate(out);
                out.extend_from_slice(name.as_bytes());
                put_value(field.r#type, &cell, out);
            }
        }
    }
}

/// Why reading cannot fail here.
const OWN_FORM: &str = "what this file wrote it reads";

impl KindNames {
    fn new(kind: &Kind) -> Self {
        let fields = kind.fields.iter().map(|field| {
            let is_shown = match field.visibility {
                Visibility::Everyone
                | Visibility::Team
                | Visibility::Owner
                | Visibility::Spectators => true,
                Visibility::Members | Visibility::Nobody => false,
            };
            is_shown.then(|| format!("{}:", quoted(&field.name)).into())
        });
        Self { kind: format!("\"kind\":{}", quoted(&kind.name)).into(), fields: fields.collect() }
    }
}

/// The data of a `snapshot` event that stands for everything up to a seq, of a tick with this hash.
pub(super) fn snapshot_json(seq: u64, (tick, hash): (u64, u32), entities: &[u8]) -> Vec<u8> {
    let head = format!("{{\"tick\":{tick},\"seq\":{seq},\"hash\":\"{hash:08x}\",\"entities\":");
    [head.as_bytes(), entities, b"}"].concat()
}

fn put_head(out: &mut Vec<u8>, id: u32, what: u64, number: u32, mask: u64) {
    for value in [id.into(), what, number.into(), mask] {
        put_uint(out, value);
    }
}

/// The types of a mask's fields, by their places.
fn fields(kind: &Kind, mask: u64) -> impl Iterator<Item = (usize, FieldType)> {
    let fields = kind.fields.iter().enumerate();
    fields
        .filter(move |(place, _)| mask >> place & 1 == 1)
        .map(|(place, field)| (place, field.r#type))
}

/// A comma, unless an object or a list has just begun.
fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[')) {
        out.push(b',');
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text has a JSON form")
}

fn put_value(r#type: FieldType, cell: &Cell, out: &mut Vec<u8>) {
    match r#type.value(cell).expect("a cell of its type has a value") {
        FieldValue::One(value) => put_scalar(&value, out),
        FieldValue::List(values) => {
            out.push(b'[');
            for value in &values {
                separate(out);
                put_scalar(value, out);
            }
            out.push(b']');
        }
    }
}

fn put_scalar(value: &ScalarValue, out: &mut Vec<u8>) {
    match value {
        ScalarValue::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        ScalarValue::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        ScalarValue::Uint(value) => out.extend_from_slice(value.to_string().as_bytes()),
        ScalarValue::Number(value) => put_number(*value, out),
        ScalarValue::Text(value) => out.extend_from_slice(quoted(value).as_bytes()),
        ScalarValue::Bytes(value) => {
            out.extend_from_slice(format!("\"{}\"", BASE64.encode(value)).as_bytes());
        }
        ScalarValue::Vec2(values) => put_numbers(values, out),
        ScalarValue::Vec3(values) => put_numbers(values, out),
    }
}

fn put_numbers(values: &[f64], out: &mut Vec<u8>) {
    out.push(b'[');
    for value in values {
        separate(out);
        put_number(*value, out);
    }
    out.push(b']');
}

/// The shortest digits that read back as the same number; whole ones without a fraction.
fn put_number(value: f64, out: &mut Vec<u8>) {
    const WHOLE_MAX: f64 = 1e15;
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.fract() == 0.0 && value.abs() < WHOLE_MAX && !is_negative_zero {
        out.extend_from_slice((value as i64).to_string().as_bytes());
    } else {
        serde_json::to_writer(out, &value).expect("writing to a Vec cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::state::{Field, Number, Scalar};
    use serde_json::{Value, json};

    fn schema() -> Arc<Schema> {
        let field =
            |name: &str, r#type, visibility| Field { name: name.into(), r#type, visibility };
        let one = FieldType::One;
        let half = Number::Quantised { min: -2.0, step: 0.5, steps: 100 };
        let player = vec![
            field("at", one(Scalar::Vec2(half)), Visibility::Everyone),
            field("secret", one(Scalar::Uint), Visibility::Members),
            field("na\"me", one(Scalar::Text), Visibility::Owner),
            field("blob", one(Scalar::Bytes), Visibility::Spectators),
            field("bag", FieldType::List(Scalar::Number(Number::F64)), Visibility::Team),
            field("seed", one(Scalar::Int), Visibility::Nobody),
        ];
        let room = vec![field("open", one(Scalar::Bool), Visibility::Everyone)];
        let kinds = [("room", room), ("player", player)];
        let kinds = kinds.map(|(name, fields)| Kind { name: name.into(), fields });
        Arc::new(Schema { kinds: kinds.into() })
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    fn whole(bytes: Box<[u8]>) -> Whole {
        Whole { base_tick: 3, tick: 4, hash: 0xab, bytes }
    }

    #[test]
    fn everything_that_may_be_seen_is_told_by_name_and_nothing_else() {
        let names = Names::new(schema());
        let mut replica = Replica::default();
        // Entity 0 with nothing, entity 5: at (1, 2), a name, and what no spectator's bytes hold.
        let bytes = [0, 0, 0, 5, 1, 0b111, 6, 8, 9, 1, b'"'];
        replica.apply_snapshot(names.schema(), &bytes).unwrap();
        let told = names.snapshot_json(7, &whole(names.snapshot(&replica)));
        assert_eq!(
            std::str::from_utf8(&told).unwrap(),
            "{\"tick\":4,\"seq\":7,\"hash\":\"000000ab\",\"entities\":{\"0\":{\"kind\":\"room\",\
             \"open\":false},\"5\":{\"kind\":\"player\",\"at\":[1,2],\"na\\\"me\":\"\\\"\",\
             \"blob\":\"\",\"bag\":[]}}}"
        );

        // Entity 0 opens, entity 5 moves by a step and gets bytes, entity 9 is new.
        let delta = [0, 2, 1, 5, 0b1001 << 1, 1, 2, 2, 1, 255, 4, 0b1 << 1 | 1, 1, 4, 4];
        let told = names.delta(&replica, &delta).unwrap();
        let told = names.delta_json(8, &whole(told));
        let expected = json!({
            "base_tick": 3, "tick": 4, "seq": 8, "hash": "000000ab",
            "set": { "0": { "open": true }, "5": { "at": [0.5, 2.5], "blob": "Af8=" } },
            "new": { "9": { "kind": "player", "at": [0, 0], "na\"me": "", "blob": "", "bag": [] } },
        });
        assert_eq!(json(&told), json(expected.to_string().as_bytes()));
        let told = names.delta_json(8, &whole(names.delta(&replica, &[5, 0]).unwrap()));
        let expected =
            json!({ "base_tick": 3, "tick": 4, "seq": 8, "hash": "000000ab", "gone": [5] });
        assert_eq!(json(&told), expected);
    }

    #[test]
    fn what_is_no_delta_of_this_state_is_refused() {
        let names = Names::new(schema());
        let mut replica = Replica::default();
        replica.apply_snapshot(names.schema(), &[0, 0, 0]).unwrap();
        for bad in [&[0][..], &[0, 4], &[0, 2, 2], &[3, 2, 1], &[3, 1, 9], &[3, 0x81, 2, 1]] {
            assert!(names.delta(&replica, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_short_and_exact() {
        let written = |value: f64| {
            let mut out = Vec::new();
            put_number(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (value, expected) in [(0.0, "0"), (-3.0, "-3"), (1.5, "1.5"), (-0.0, "-0.0")] {
            assert_eq!(written(value), expected);
        }
        for value in [f64::MAX, f64::MIN_POSITIVE, 0.1 + 0.2, 1e15, f64::from(1.1_f32)] {
            assert_eq!(written(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
