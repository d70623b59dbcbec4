//! The wire's unsigned integer: one byte below 251; otherwise a marker (251, 252, 253) and a
//! little-endian u16, u32 or u64. The same bytes as the message codec's integers (SPEC.md,
//! "Integers"); here by hand because the batch framing is read before any message is.

/// Longest encoding in bytes.
pub const LEN_MAX: usize = 9;

/// Bytes that `value` takes.
pub const fn len(value: u64) -> usize {
    match value {
        0..=250 => 1,
        251..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Appends `value`.
pub fn put(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=250 => out.push(value as u8),
        251..=0xffff => {
            out.push(251);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(252);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(253);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Reads one integer from the front of `bytes`: the value and how many bytes it took. `None` when
/// the bytes end inside it or the marker is not one of the three. Non-minimal forms are accepted.
pub fn get(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    match first {
        0..=250 => Some((u64::from(first), 1)),
        251 => Some((u64::from(u16::from_le_bytes(bytes.get(1..3)?.try_into().ok()?)), 3)),
        252 => Some((u64::from(u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?)), 5)),
        253 => Some((u64::from_le_bytes(bytes.get(1..9)?.try_into().ok()?), 9)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back_and_a_cut_one_does_not() {
        for value in [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(bytes.len(), len(value));
            assert_eq!(get(&bytes), Some((value, bytes.len())));
            assert_eq!(get(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(get(&[254]), None);
        assert_eq!(get(&[251, 7, 0]), Some((7, 3)), "non-minimal is accepted");
    }
}
