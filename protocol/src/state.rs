//! Room state on the wire: schemas, field values, snapshots and deltas (SPEC.md, "State").
//!
//! A room's state is a set of entities, each of a kind whose fields a [`Schema`] lists, plus entity 0
//! of kind 0: the room itself. A snapshot is the whole of what an audience may see, a delta what
//! changed since an earlier tick. Both are opaque bytes inside their message: this file reads and
//! writes them. Integers inside are LEB128 ([`put_uint`]), which is denser for small changes than the
//! envelope's integers.
//!
//! A quantised number travels as a whole number of steps, in a delta as the difference to the last
//! value, so that a small move costs a byte. A state hash tells the two sides that they agree.

use crate::list;
use crate::number;
use serde::{Deserialize, Serialize};

/// Most fields of a kind: a set of changed fields and one flag are one 64-bit mask.
pub const FIELDS_MAX: usize = 63;
/// Most kinds of a schema.
pub const KINDS_MAX: usize = 256;
/// Most elements of a list.
pub const LIST_MAX: usize = 4096;
/// The entity that holds the room's own fields.
pub const ROOM_ENTITY: u32 = 0;

/// What one audience sees of a state. A member's picture is the sum of the parts that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What every member sees.
    Members,
    /// What members of a team see beside that.
    Team(u32),
    /// What the owner of entities sees beside that: the receiver.
    Owner,
    /// What is in a cell of the plane, for members near it.
    Cell(u32),
    /// What spectators see.
    Spectators,
}

/// How a number travels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Number {
    /// 4 little-endian bytes, finite.
    F32,
    /// 8 little-endian bytes, finite.
    F64,
    /// A whole number of steps from `min`, so that the value is `min + n * step`; `n` is at most
    /// `steps`. Values outside are clamped.
    Quantised {
        /// The value of 0 steps.
        #[serde(deserialize_with = "number::float")]
        min: f64,
        /// The size of a step, above 0.
        #[serde(deserialize_with = "number::float")]
        step: f64,
        /// The largest number of steps, at most 2^32 - 1.
        steps: u32,
    },
}

impl Number {
    /// A number between `min` and `max` that travels in steps of (at most) `step`.
    pub fn quantised(min: f64, max: f64, step: f64) -> Self {
        let steps = ((max - min) / step).ceil().clamp(1.0, f64::from(u32::MAX));
        Number::Quantised { min, step: (max - min) / steps, steps: steps as u32 }
    }

    /// The value that the receiver will see.
    pub fn rounded(self, value: f64) -> f64 {
        self.value_of(self.to_wire(value))
    }

    fn to_wire(self, value: f64) -> u64 {
        match self {
            Number::F32 => u64::from((value as f32).to_bits()),
            Number::F64 => value.to_bits(),
            Number::Quantised { min, step, steps } => {
                // A NaN becomes 0 steps: the cast saturates.
                ((value - min) / step).round().clamp(0.0, f64::from(steps)) as u64
            }
        }
    }

    fn value_of(self, wire: u64) -> f64 {
        match self {
            Number::F32 => f64::from(f32::from_bits(wire as u32)),
            Number::F64 => f64::from_bits(wire),
            Number::Quantised { min, step, .. } => min + wire as f64 * step,
        }
    }
}

/// What a field, or an element of a list, holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    /// Truth.
    Bool,
    /// A whole number between -(2^53 - 1) and 2^53 - 1.
    Int,
    /// A whole number between 0 and 2^53 - 1.
    Uint,
    /// A number.
    Number(Number),
    /// UTF-8 text.
    Text,
    /// Bytes.
    Bytes,
    /// Two numbers.
    Vec2(Number),
    /// Three numbers.
    Vec3(Number),
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// One value.
    One(Scalar),
    /// A list of values, at most [`LIST_MAX`]; a change travels as edits of the list before.
    List(Scalar),
}

/// Who may see a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone, spectators included.
    #[default]
    Everyone,
    /// Members of the entity's team, and spectators.
    Team,
    /// The member that owns the entity, and spectators.
    Owner,
    /// Spectators alone.
    Spectators,
    /// Members, but no spectator.
    Members,
    /// Nobody: it stays on the server.
    Nobody,
}

/// A field of a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub r#type: FieldType,
    /// Who may see it.
    #[serde(default)]
    pub visibility: Visibility,
}

/// A kind of entity. Its fields are numbered by their place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// Its fields, at most [`FIELDS_MAX`].
    pub fields: Vec<Field>,
}

/// What a room's state is made of. Kinds are numbered by their place; kind 0 is the room's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The kinds, at most [`KINDS_MAX`].
    pub kinds: Vec<Kind>,
}

/// A value of a field that is not a list, or an element of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalarValue {
    /// Truth.
    Bool(bool),
    /// A whole number between -(2^53 - 1) and 2^53 - 1.
    Int(#[serde(deserialize_with = "number::int")] i64),
    /// A whole number between 0 and 2^53 - 1.
    Uint(#[serde(deserialize_with = "number::uint")] u64),
    /// A number, finite.
    Number(#[serde(deserialize_with = "number::float")] f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(#[serde(with = "crate::value::raw_bytes")] Vec<u8>),
    /// Two numbers, finite.
    Vec2(#[serde(deserialize_with = "number::two_floats")] [f64; 2]),
    /// Three numbers, finite.
    Vec3(#[serde(deserialize_with = "number::three_floats")] [f64; 3]),
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// One value.
    One(ScalarValue),
    /// A list.
    List(Vec<ScalarValue>),
}

/// A field's value as it travels: equal cells are equal on the wire and in the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Bool, int (zigzag), uint, or a number's bits or steps.
    Word(u64),
    /// Two numbers.
    Pair([u64; 2]),
    /// Three numbers.
    Triple([u64; 3]),
    /// Text, bytes, or the elements of a list behind one another, as they travel.
    Blob(Box<[u8]>),
}

/// Why bytes were not a state, or a value not a field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The bytes end early.
    Truncated,
    /// A number is out of its bounds.
    OutOfBounds,
    /// There is no such kind.
    UnknownKind,
    /// There is no such field.
    UnknownField,
    /// There is no such entity, or it is there already.
    WrongEntity,
    /// The value is not of the field's type.
    WrongType,
    /// Text is not UTF-8.
    NotText,
    /// The state is as large as it may be.
    Full,
    /// The call has made as many operations as it may.
    Spent,
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the state ends early",
            Self::OutOfBounds => "a number is out of its bounds",
            Self::UnknownKind => "there is no such kind of entity",
            Self::UnknownField => "there is no such field",
            Self::WrongEntity => "there is no such entity, or it is there already",
            Self::WrongType => "the value is not of the field's type",
            Self::NotText => "text is not UTF-8",
            Self::Full => "the state is as large as it may be",
            Self::Spent => "the call has made as many operations as it may",
        })
    }
}

impl std::error::Error for StateError {}

/// Appends an integer as LEB128: seven bits a byte, low ones first, the high bit says that more
/// follow (DWARF 5, section 7.6).
pub fn put_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads from the front of bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// An integer of [`put_uint`], in its shortest form alone: what is equal has equal bytes.
    pub fn uint(&mut self) -> Result<u64, StateError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || shift > 0 && byte == 0 {
                return Err(StateError::OutOfBounds);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(StateError::OutOfBounds)
    }

    fn byte(&mut self) -> Result<u8, StateError> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], StateError> {
        let (front, rest) = self.bytes.split_at_checked(len).ok_or(StateError::Truncated)?;
        self.bytes = rest;
        Ok(front)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

impl Scalar {
    /// Whether a change travels as a difference: whole numbers and steps.
    fn is_relative(self) -> bool {
        match self {
            Scalar::Int | Scalar::Uint => true,
            Scalar::Number(number) | Scalar::Vec2(number) | Scalar::Vec3(number) => {
                matches!(number, Number::Quantised { .. })
            }
            Scalar::Bool | Scalar::Text | Scalar::Bytes => false,
        }
    }

    /// The bytes of a word that travels as it is.
    fn word_bytes(self) -> usize {
        match self {
            Scalar::Bool => 1,
            Scalar::Number(number) | Scalar::Vec2(number) | Scalar::Vec3(number) => match number {
                Number::F32 => 4,
                Number::F64 => 8,
                Number::Quantised { .. } => 0,
            },
            _ => 0,
        }
    }

    fn fits(self, word: u64) -> bool {
        match self {
            Scalar::Bool => word <= 1,
            Scalar::Int => unzigzag(word).unsigned_abs() <= crate::ids::INTEGER_MAX,
            Scalar::Uint => word <= crate::ids::INTEGER_MAX,
            Scalar::Number(number) | Scalar::Vec2(number) | Scalar::Vec3(number) => match number {
                Number::F32 => {
                    u32::try_from(word).is_ok_and(|bits| f32::from_bits(bits).is_finite())
                }
                Number::F64 => f64::from_bits(word).is_finite(),
                Number::Quantised { steps, .. } => word <= u64::from(steps),
            },
            Scalar::Text | Scalar::Bytes => false,
        }
    }

    fn words(self) -> usize {
        match self {
            Scalar::Vec2(_) => 2,
            Scalar::Vec3(_) => 3,
            Scalar::Text | Scalar::Bytes => 0,
            _ => 1,
        }
    }

    /// A value as it travels.
    fn cell(self, value: &ScalarValue) -> Result<Cell, StateError> {
        let cell = match (self, value) {
            (Scalar::Bool, ScalarValue::Bool(value)) => Cell::Word(u64::from(*value)),
            (Scalar::Int, ScalarValue::Int(value)) => Cell::Word(zigzag(*value)),
            (Scalar::Uint, ScalarValue::Uint(value)) => Cell::Word(*value),
            (Scalar::Number(number), ScalarValue::Number(value)) => {
                Cell::Word(number.to_wire(*value))
            }
            (Scalar::Vec2(number), ScalarValue::Vec2(value)) => {
                Cell::Pair(value.map(|value| number.to_wire(value)))
            }
            (Scalar::Vec3(number), ScalarValue::Vec3(value)) => {
                Cell::Triple(value.map(|value| number.to_wire(value)))
            }
            (Scalar::Text, ScalarValue::Text(value)) => Cell::Blob(value.as_bytes().into()),
            (Scalar::Bytes, ScalarValue::Bytes(value)) => Cell::Blob(value.as_slice().into()),
            _ => return Err(StateError::WrongType),
        };
        let fits = match &cell {
            Cell::Word(word) => self.fits(*word),
            Cell::Pair(words) => words.iter().all(|word| self.fits(*word)),
            Cell::Triple(words) => words.iter().all(|word| self.fits(*word)),
            Cell::Blob(_) => true,
        };
        if fits { Ok(cell) } else { Err(StateError::OutOfBounds) }
    }

    fn value(self, cell: &Cell) -> Result<ScalarValue, StateError> {
        Ok(match (self, cell) {
            (Scalar::Bool, Cell::Word(word)) => ScalarValue::Bool(*word != 0),
            (Scalar::Int, Cell::Word(word)) => ScalarValue::Int(unzigzag(*word)),
            (Scalar::Uint, Cell::Word(word)) => ScalarValue::Uint(*word),
            (Scalar::Number(number), Cell::Word(word)) => {
                ScalarValue::Number(number.value_of(*word))
            }
            (Scalar::Vec2(number), Cell::Pair(words)) => {
                ScalarValue::Vec2(words.map(|word| number.value_of(word)))
            }
            (Scalar::Vec3(number), Cell::Triple(words)) => {
                ScalarValue::Vec3(words.map(|word| number.value_of(word)))
            }
            (Scalar::Text, Cell::Blob(bytes)) => {
                let text = std::str::from_utf8(bytes).map_err(|_| StateError::NotText)?;
                ScalarValue::Text(text.to_owned())
            }
            (Scalar::Bytes, Cell::Blob(bytes)) => ScalarValue::Bytes(bytes.to_vec()),
            _ => return Err(StateError::WrongType),
        })
    }

    /// Appends a cell, against the one it replaces if there is one.
    pub(crate) fn put(self, cell: &Cell, old: Option<&Cell>, out: &mut Vec<u8>) {
        let mut put_word = |word: u64, old: Option<u64>| {
            if self.is_relative() {
                match old {
                    Some(old) => put_uint(out, zigzag(self.ordinal(word) - self.ordinal(old))),
                    None => put_uint(out, word),
                }
            } else {
                out.extend_from_slice(&word.to_le_bytes()[..self.word_bytes()]);
            }
        };
        match (cell, old) {
            (Cell::Word(new), Some(Cell::Word(old))) => put_word(*new, Some(*old)),
            (Cell::Word(new), _) => put_word(*new, None),
            (Cell::Pair(new), Some(Cell::Pair(old))) => {
                new.iter().zip(old).for_each(|(new, old)| put_word(*new, Some(*old)));
            }
            (Cell::Pair(new), _) => new.iter().for_each(|new| put_word(*new, None)),
            (Cell::Triple(new), Some(Cell::Triple(old))) => {
                new.iter().zip(old).for_each(|(new, old)| put_word(*new, Some(*old)));
            }
            (Cell::Triple(new), _) => new.iter().for_each(|new| put_word(*new, None)),
            (Cell::Blob(bytes), _) => {
                put_uint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// Passes over a value that stands by itself, unchecked but for its length.
    pub(crate) fn skip(self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        if self.words() == 0 {
            let len = usize::try_from(reader.uint()?).map_err(|_| StateError::OutOfBounds)?;
            reader.take(len)?;
        }
        for _ in 0..self.words() {
            if self.is_relative() {
                reader.uint()?;
            } else {
                reader.take(self.word_bytes())?;
            }
        }
        Ok(())
    }

    pub(crate) fn get(
        self,
        old: Option<&Cell>,
        reader: &mut Reader<'_>,
    ) -> Result<Cell, StateError> {
        if self.words() == 0 {
            let len = usize::try_from(reader.uint()?).map_err(|_| StateError::OutOfBounds)?;
            let bytes = reader.take(len)?;
            if self == Scalar::Text && std::str::from_utf8(bytes).is_err() {
                return Err(StateError::NotText);
            }
            return Ok(Cell::Blob(bytes.into()));
        }
        let mut get_word = |old: Option<u64>| {
            let word = if self.is_relative() {
                match old {
                    Some(old) => self.word_of(
                        self.ordinal(old)
                            .checked_add(unzigzag(reader.uint()?))
                            .ok_or(StateError::OutOfBounds)?,
                    )?,
                    None => reader.uint()?,
                }
            } else {
                let mut bytes = [0; 8];
                bytes[..self.word_bytes()].copy_from_slice(reader.take(self.word_bytes())?);
                u64::from_le_bytes(bytes)
            };
            if self.fits(word) { Ok(word) } else { Err(StateError::OutOfBounds) }
        };
        Ok(match (self.words(), old) {
            (1, Some(Cell::Word(old))) => Cell::Word(get_word(Some(*old))?),
            (1, _) => Cell::Word(get_word(None)?),
            (2, Some(Cell::Pair(old))) => {
                Cell::Pair([get_word(Some(old[0]))?, get_word(Some(old[1]))?])
            }
            (2, _) => Cell::Pair([get_word(None)?, get_word(None)?]),
            (_, Some(Cell::Triple(old))) => Cell::Triple([
                get_word(Some(old[0]))?,
                get_word(Some(old[1]))?,
                get_word(Some(old[2]))?,
            ]),
            _ => Cell::Triple([get_word(None)?, get_word(None)?, get_word(None)?]),
        })
    }

    /// What differences are taken of: the value of an int, the word of everything else.
    fn ordinal(self, word: u64) -> i64 {
        if self == Scalar::Int { unzigzag(word) } else { word as i64 }
    }

    fn word_of(self, ordinal: i64) -> Result<u64, StateError> {
        if self == Scalar::Int {
            return Ok(zigzag(ordinal));
        }
        u64::try_from(ordinal).map_err(|_| StateError::OutOfBounds)
    }

    fn zero(self) -> Cell {
        match self.words() {
            0 => Cell::Blob(Box::default()),
            1 => Cell::Word(0),
            2 => Cell::Pair([0; 2]),
            _ => Cell::Triple([0; 3]),
        }
    }
}

impl FieldType {
    /// A value as it travels.
    ///
    /// # Errors
    ///
    /// When the value is of another type, out of bounds, or a list of more than [`LIST_MAX`].
    pub fn cell(self, value: &FieldValue) -> Result<Cell, StateError> {
        match (self, value) {
            (FieldType::One(scalar), FieldValue::One(value)) => scalar.cell(value),
            (FieldType::List(_), FieldValue::List(values)) if values.len() > LIST_MAX => {
                Err(StateError::OutOfBounds)
            }
            (FieldType::List(scalar), FieldValue::List(values)) => {
                let mut bytes = Vec::new();
                for value in values {
                    scalar.put(&scalar.cell(value)?, None, &mut bytes);
                }
                Ok(Cell::Blob(bytes.into()))
            }
            _ => Err(StateError::WrongType),
        }
    }

    /// The value that a cell stands for.
    ///
    /// # Errors
    ///
    /// When the cell is not of this type.
    pub fn value(self, cell: &Cell) -> Result<FieldValue, StateError> {
        match (self, cell) {
            (FieldType::One(scalar), cell) => scalar.value(cell).map(FieldValue::One),
            (FieldType::List(scalar), Cell::Blob(bytes)) => {
                let mut reader = Reader::new(bytes);
                let mut values = Vec::new();
                while !reader.is_empty() {
                    values.push(scalar.value(&scalar.get(None, &mut reader)?)?);
                }
                Ok(FieldValue::List(values))
            }
            _ => Err(StateError::WrongType),
        }
    }

    /// Appends a cell of this type; as a change of `old` where that is given.
    pub fn put(self, cell: &Cell, old: Option<&Cell>, out: &mut Vec<u8>) {
        match (self, cell, old) {
            (FieldType::One(scalar), _, _) => scalar.put(cell, old, out),
            (FieldType::List(scalar), Cell::Blob(new), Some(Cell::Blob(old))) => {
                list::put_edits(scalar, old, new, out);
            }
            (FieldType::List(scalar), Cell::Blob(new), _) => list::put_whole(scalar, new, out),
            (FieldType::List(_), _, _) => unreachable!("a list's cell is a blob"),
        }
    }

    /// Reads what [`Self::put`] wrote.
    ///
    /// # Errors
    ///
    /// When the bytes are not a cell of this type.
    pub fn get(self, old: Option<&Cell>, reader: &mut Reader<'_>) -> Result<Cell, StateError> {
        match (self, old) {
            (FieldType::One(scalar), _) => scalar.get(old, reader),
            (FieldType::List(scalar), Some(Cell::Blob(old))) => {
                list::get_edits(scalar, old, reader).map(|bytes| Cell::Blob(bytes.into()))
            }
            (FieldType::List(scalar), _) => {
                list::get_whole(scalar, reader).map(|bytes| Cell::Blob(bytes.into()))
            }
        }
    }

    /// The cell of a field that was never set: false, 0, empty; a quantised number's `min`.
    pub fn zero(self) -> Cell {
        match self {
            FieldType::One(scalar) => scalar.zero(),
            FieldType::List(_) => Cell::Blob(Box::default()),
        }
    }
}

/// The share of one field in a state hash; a hash is the wrapping sum of all shares.
///
/// 32-bit multiplications and rotations only, as JavaScript does them exactly (`Math.imul`); the
/// rounds and the end are those of `MurmurHash3` (x86, 32 bit). A cell that is zero has no share, so that a
/// field that was never set and one that was set back are the same.
pub fn share(entity: u32, field: u8, cell: &Cell) -> u32 {
    Murmur::new(entity, field).share(cell)
}

/// What the change of a field adds to a state hash: its new [`share`] less the old one.
pub fn share_change(entity: u32, field: u8, old: &Cell, new: &Cell) -> u32 {
    let start = Murmur::new(entity, field);
    start.share(new).wrapping_sub(start.share(old))
}

/// The share of an entity's existence, as a field that every kind has.
pub fn existence(entity: u32, kind: u32) -> u32 {
    share(entity, u8::MAX, &Cell::Word(u64::from(kind) + 1))
}

#[derive(Clone, Copy)]
struct Murmur(u32);

impl Murmur {
    fn new(entity: u32, field: u8) -> Self {
        let mut hash = Self(0x9747_b28c);
        hash.round(entity);
        hash.round(u32::from(field));
        hash
    }

    fn round(&mut self, word: u32) {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        self.0 = (self.0 ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }

    fn word(&mut self, word: u64) {
        self.round(word as u32);
        self.round((word >> 32) as u32);
    }

    fn share(mut self, cell: &Cell) -> u32 {
        match cell {
            Cell::Word(0) | Cell::Pair([0, 0]) | Cell::Triple([0, 0, 0]) => return 0,
            Cell::Blob(bytes) if bytes.is_empty() => return 0,
            Cell::Word(word) => self.word(*word),
            Cell::Pair(words) => words.iter().for_each(|word| self.word(*word)),
            Cell::Triple(words) => words.iter().for_each(|word| self.word(*word)),
            Cell::Blob(bytes) => {
                self.round(bytes.len() as u32);
                for chunk in bytes.chunks(4) {
                    let mut word = [0; 4];
                    word[..chunk.len()].copy_from_slice(chunk);
                    self.round(u32::from_le_bytes(word));
                }
            }
        }
        self.finish()
    }

    fn finish(self) -> u32 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

impl Schema {
    /// The kind of this number.
    pub fn kind(&self, kind: u32) -> Option<&Kind> {
        self.kinds.get(kind as usize)
    }

    /// Whether the counts are within bounds, every number type is sound, and no kind has two fields of one
    /// name or one that is called `id` or `kind`, which receivers show beside the fields.
    pub fn is_valid(&self) -> bool {
        let sound = |number: Number| match number {
            Number::Quantised { min, step, .. } => {
                min.is_finite() && step.is_finite() && step > 0.0
            }
            Number::F32 | Number::F64 => true,
        };
        let fits = |field: &Field| match field.r#type {
            FieldType::One(scalar) | FieldType::List(scalar) => match scalar {
                Scalar::Number(number) | Scalar::Vec2(number) | Scalar::Vec3(number) => {
                    sound(number)
                }
                _ => true,
            },
        };
        (1..=KINDS_MAX).contains(&self.kinds.len())
            && self.kinds.iter().all(|kind| {
                let mut names: Vec<&str> =
                    kind.fields.iter().map(|field| field.name.as_str()).collect();
                names.extend(["id", "kind"]);
                names.sort_unstable();
                kind.fields.len() <= FIELDS_MAX
                    && kind.fields.iter().all(fits)
                    && names.windows(2).all(|pair| pair[0] != pair[1])
            })
    }
}
