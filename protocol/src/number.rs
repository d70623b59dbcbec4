//! Numbers that bounds hold for wherever they stand in a message: whole ones within 2^53 - 1 either way
//! and finite doubles, which JSON gives as the nearest one.

use crate::ids::INTEGER_MAX;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// A whole number between -(2^53 - 1) and 2^53 - 1.
pub(crate) fn int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = i64::deserialize(deserializer)?;
    if value.unsigned_abs() <= INTEGER_MAX {
        Ok(value)
    } else {
        Err(de::Error::custom("an integer must be between -(2^53-1) and 2^53-1"))
    }
}

/// A whole number between 0 and 2^53 - 1.
pub(crate) fn uint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(deserializer)?;
    if value <= INTEGER_MAX {
        Ok(value)
    } else {
        Err(de::Error::custom("an integer must be at most 2^53-1"))
    }
}

/// A finite double.
pub(crate) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Float::deserialize(deserializer).map(|float| float.0)
}

/// Two finite doubles.
pub(crate) fn two_floats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    <[Float; 2]>::deserialize(deserializer).map(|floats| floats.map(|float| float.0))
}

/// Three finite doubles.
pub(crate) fn three_floats<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[f64; 3], D::Error> {
    <[Float; 3]>::deserialize(deserializer).map(|floats| floats.map(|float| float.0))
}

struct Float(f64);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = if deserializer.is_human_readable() {
            // The JSON library's own reading of floats can be off in the last place; the standard
            // library's is not.
            let raw = Box::<RawValue>::deserialize(deserializer)?;
            raw.get().parse().map_err(|_| de::Error::custom("a float must be a JSON number"))?
        } else {
            f64::deserialize(deserializer)?
        };
        if value.is_finite() {
            Ok(Self(value))
        } else {
            Err(de::Error::custom("a float must be finite"))
        }
    }
}
