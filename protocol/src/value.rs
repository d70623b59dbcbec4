//! What an application puts into a message: payloads, their type names, and attribute values.

use crate::limits::JSON_DEPTH_MAX;
use crate::number;
use crate::portable::is_portable;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// An application payload; the tag is its format. On the binary wire each is a length and bytes.
/// In JSON: `{"bytes": base64}`, `{"text": string}`, `{"json": any JSON value}`.
///
/// Borrowed when decoded, so that a publication is copied once, into the frame that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Opaque bytes.
    Bytes(Cow<'a, [u8]>),
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// JSON text. The binary wire does not check it; a JSON client receives as `text` what is not
    /// JSON or not [portable](crate::portable).
    Json(Cow<'a, str>),
}

impl Payload<'_> {
    /// Bytes of the payload itself.
    pub fn len(&self) -> usize {
        match self {
            Payload::Bytes(bytes) => bytes.len(),
            Payload::Text(text) | Payload::Json(text) => text.len(),
        }
    }

    /// Whether the payload has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A payload that borrows nothing.
    pub fn into_owned(self) -> Payload<'static> {
        match self {
            Payload::Bytes(bytes) => Payload::Bytes(Cow::Owned(bytes.into_owned())),
            Payload::Text(text) => Payload::Text(Cow::Owned(text.into_owned())),
            Payload::Json(text) => Payload::Json(Cow::Owned(text.into_owned())),
        }
    }

    /// A payload that borrows this one.
    pub fn borrowed(&self) -> Payload<'_> {
        match self {
            Payload::Bytes(bytes) => Payload::Bytes(Cow::Borrowed(bytes)),
            Payload::Text(text) => Payload::Text(Cow::Borrowed(text)),
            Payload::Json(text) => Payload::Json(Cow::Borrowed(text)),
        }
    }
}

/// The binary form, derived: variant index, length, bytes.
#[derive(Serialize, Deserialize)]
enum BinaryPayload<'a> {
    Bytes(#[serde(borrow, with = "raw_bytes")] Cow<'a, [u8]>),
    Text(#[serde(borrow)] Cow<'a, str>),
    Json(#[serde(borrow)] Cow<'a, str>),
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JsonPayload<'a> {
    Bytes(#[serde(borrow, with = "raw_bytes")] Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    #[serde(borrow)]
    Json(Cow<'a, RawValue>),
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let form = match self {
                Payload::Bytes(bytes) => JsonPayload::Bytes(Cow::Borrowed(bytes)),
                Payload::Text(text) => JsonPayload::Text(Cow::Borrowed(text)),
                Payload::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                    Ok(raw) if is_portable(text, JSON_DEPTH_MAX) => {
                        JsonPayload::Json(Cow::Borrowed(raw))
                    }
                    _ => JsonPayload::Text(Cow::Borrowed(text)),
                },
            };
            form.serialize(serializer)
        } else {
            let form = match self {
                Payload::Bytes(bytes) => BinaryPayload::Bytes(Cow::Borrowed(bytes)),
                Payload::Text(text) => BinaryPayload::Text(Cow::Borrowed(text)),
                Payload::Json(text) => BinaryPayload::Json(Cow::Borrowed(text)),
            };
            form.serialize(serializer)
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Payload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Ok(match JsonPayload::deserialize(deserializer)? {
                JsonPayload::Bytes(bytes) => Payload::Bytes(bytes),
                JsonPayload::Text(text) => Payload::Text(text),
                JsonPayload::Json(raw) if !is_portable(raw.get(), JSON_DEPTH_MAX) => {
                    return Err(de::Error::custom(format_args!(
                        "a json payload nests deeper than {JSON_DEPTH_MAX}, has half a surrogate pair or an infinite number"
                    )));
                }
                JsonPayload::Json(raw) => Payload::Json(match raw {
                    Cow::Borrowed(raw) => Cow::Borrowed(raw.get()),
                    Cow::Owned(raw) => Cow::Owned(raw.get().to_owned()),
                }),
            })
        } else {
            Ok(match BinaryPayload::deserialize(deserializer)? {
                BinaryPayload::Bytes(bytes) => Payload::Bytes(bytes),
                BinaryPayload::Text(text) => Payload::Text(text),
                BinaryPayload::Json(text) => Payload::Json(text),
            })
        }
    }
}

/// The short name of a message's type, or the number the room gave it.
///
/// A room numbers the names it sees (up to [`crate::limits::TYPES_PER_ROOM_MAX`]) and tells its
/// members (`Joined.types`, then [`crate::ServerMessage::Types`]); from then on either form may be
/// used in either direction. In JSON it is a string or a number; the server sends JSON clients
/// names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRef<'a> {
    /// The room's number for the name, an index into its list of names.
    Id(u32),
    /// The name itself, 1 to [`crate::limits::TYPE_BYTES_MAX`] bytes.
    Name(Cow<'a, str>),
}

impl TypeRef<'_> {
    /// A reference that borrows nothing.
    pub fn into_owned(self) -> TypeRef<'static> {
        match self {
            TypeRef::Id(id) => TypeRef::Id(id),
            TypeRef::Name(name) => TypeRef::Name(Cow::Owned(name.into_owned())),
        }
    }

    /// A reference that borrows this one.
    pub fn borrowed(&self) -> TypeRef<'_> {
        match self {
            TypeRef::Id(id) => TypeRef::Id(*id),
            TypeRef::Name(name) => TypeRef::Name(Cow::Borrowed(name)),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum BinaryTypeRef<'a> {
    Id(u32),
    Name(#[serde(borrow)] Cow<'a, str>),
}

impl Serialize for TypeRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TypeRef::Id(id) if serializer.is_human_readable() => serializer.serialize_u32(*id),
            TypeRef::Name(name) if serializer.is_human_readable() => serializer.serialize_str(name),
            TypeRef::Id(id) => BinaryTypeRef::Id(*id).serialize(serializer),
            TypeRef::Name(name) => BinaryTypeRef::Name(Cow::Borrowed(name)).serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TypeRef<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(TypeRefVisitor)
        } else {
            Ok(match BinaryTypeRef::deserialize(deserializer)? {
                BinaryTypeRef::Id(id) => TypeRef::Id(id),
                BinaryTypeRef::Name(name) => TypeRef::Name(name),
            })
        }
    }
}

struct TypeRefVisitor;

impl<'de> de::Visitor<'de> for TypeRefVisitor {
    type Value = TypeRef<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type name or a type number")
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<Self::Value, E> {
        u32::try_from(id).map(TypeRef::Id).map_err(E::custom)
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(TypeRef::Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(TypeRef::Name(Cow::Owned(name.to_owned())))
    }
}

/// The value of a member's attribute. Scalars only: nothing on the wire is recursive.
///
/// In JSON: `null`, `true`, `{"int": 3}`, `{"float": 1.5}`, a string, `{"bytes": base64}`. A bare
/// JSON number is accepted: as `int` when it has no fraction or exponent, else as `float`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value; as an attribute's new value it removes the attribute.
    Null,
    /// Truth.
    Bool(bool),
    /// A whole number between -(2^53 - 1) and 2^53 - 1; a zigzag varint on the wire.
    Int(i64),
    /// A double; 8 little-endian bytes. NaN and infinities are refused.
    Float(f64),
    /// UTF-8 text.
    Text(String),
    /// Opaque bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Bytes of the value's own content, for bounds.
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 1,
            Value::Int(_) | Value::Float(_) => 8,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum BinaryValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(#[serde(borrow)] Cow<'a, str>),
    Bytes(#[serde(borrow, with = "raw_bytes")] Cow<'a, [u8]>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TaggedValue<'a> {
    Int(i64),
    Float(#[serde(deserialize_with = "number::float")] f64),
    Bytes(#[serde(borrow, with = "raw_bytes")] Cow<'a, [u8]>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonValue<'a> {
    Null(()),
    Bool(bool),
    Text(Cow<'a, str>),
    Tagged(TaggedValue<'a>),
}

impl TaggedValue<'_> {
    fn into_value(self) -> Value {
        match self {
            TaggedValue::Int(value) => Value::Int(value),
            TaggedValue::Float(value) => Value::Float(value),
            TaggedValue::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
        }
    }
}

/// Reads a value from the text of one JSON value, whose first byte tells what it is.
fn value_from_json(json: &str) -> serde_json::Result<Value> {
    Ok(match json.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't' | b'f') => Value::Bool(serde_json::from_str(json)?),
        Some(b'"') => Value::Text(serde_json::from_str(json)?),
        Some(b'{') => serde_json::from_str::<TaggedValue<'_>>(json)?.into_value(),
        Some(b'[') | None => return Err(de::Error::custom("an attribute value is a scalar")),
        Some(_) if json.contains(['.', 'e', 'E']) => Value::Float(
            json.parse().map_err(|_| de::Error::custom("a float must be a JSON number"))?,
        ),
        Some(_) => Value::Int(
            json.parse().map_err(|_| de::Error::custom("an integer is out of its bounds"))?,
        ),
    })
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let form = match self {
                Value::Null => JsonValue::Null(()),
                Value::Bool(value) => JsonValue::Bool(*value),
                Value::Int(value) => JsonValue::Tagged(TaggedValue::Int(*value)),
                Value::Float(value) => JsonValue::Tagged(TaggedValue::Float(*value)),
                Value::Text(text) => JsonValue::Text(Cow::Borrowed(text)),
                Value::Bytes(bytes) => JsonValue::Tagged(TaggedValue::Bytes(Cow::Borrowed(bytes))),
            };
            form.serialize(serializer)
        } else {
            let form = match self {
                Value::Null => BinaryValue::Null,
                Value::Bool(value) => BinaryValue::Bool(*value),
                Value::Int(value) => BinaryValue::Int(*value),
                Value::Float(value) => BinaryValue::Float(*value),
                Value::Text(text) => BinaryValue::Text(Cow::Borrowed(text)),
                Value::Bytes(bytes) => BinaryValue::Bytes(Cow::Borrowed(bytes)),
            };
            form.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = if deserializer.is_human_readable() {
            let raw = Box::<RawValue>::deserialize(deserializer)?;
            value_from_json(raw.get()).map_err(de::Error::custom)?
        } else {
            match BinaryValue::deserialize(deserializer)? {
                BinaryValue::Null => Value::Null,
                BinaryValue::Bool(value) => Value::Bool(value),
                BinaryValue::Int(value) => Value::Int(value),
                BinaryValue::Float(value) => Value::Float(value),
                BinaryValue::Text(text) => Value::Text(text.into_owned()),
                BinaryValue::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
            }
        };
        match value {
            Value::Int(value) if value.unsigned_abs() > crate::ids::INTEGER_MAX => {
                Err(de::Error::custom("an integer must be between -(2^53-1) and 2^53-1"))
            }
            Value::Float(value) if !value.is_finite() => {
                Err(de::Error::custom("a float must be finite"))
            }
            value => Ok(value),
        }
    }
}

/// Byte strings: raw on the binary wire, standard base64 with padding in JSON.
pub(crate) mod raw_bytes {
    use super::{BASE64, Cow, Deserializer, Serialize as _, Serializer, de, fmt};
    use base64::Engine as _;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() {
            BASE64.encode(bytes).serialize(out)
        } else {
            out.serialize_bytes(bytes)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: From<Cow<'de, [u8]>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Base64Visitor).map(|bytes| T::from(Cow::Owned(bytes)))
        } else {
            deserializer.deserialize_bytes(BytesVisitor).map(T::from)
        }
    }

    struct BytesVisitor;

    impl<'de> de::Visitor<'de> for BytesVisitor {
        type Value = Cow<'de, [u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(bytes))
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Cow::Owned(bytes.to_vec()))
        }
    }

    struct Base64Visitor;

    impl de::Visitor<'_> for Base64Visitor {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("standard base64 with padding")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            BASE64.decode(text).map_err(E::custom)
        }
    }
}

/// Extension entries at the end of some messages: a number and bytes, `[[1, base64]]` in JSON.
/// Unknown numbers are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension(pub u16, #[serde(with = "raw_bytes")] pub Vec<u8>);

/// A credential: text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(Box<str>);

impl Token {
    /// The credential itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for Token {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
