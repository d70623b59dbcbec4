//! The content of a message: who sent it, its number, when it was to be sent, and filling that
//! both sides know, so that a changed byte is seen.

/// Marks this run's messages; what others say in the same rooms is counted apart.
const MAGIC: u32 = 0x6d61_6c64;
/// The smallest payload in bytes.
pub(crate) const BYTES_MIN: usize = 24;

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The connection that sent it.
    pub(crate) sender: u32,
    /// The sender's number for it, from 0.
    pub(crate) number: u64,
    /// When it was to be sent, in nanoseconds of the tool's clock.
    pub(crate) intended_ns: u64,
}

/// Writes a payload of `bytes` (at least [`BYTES_MIN`]) over `out`.
pub(crate) fn write(stamp: &Stamp, bytes: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&stamp.sender.to_le_bytes());
    out.extend_from_slice(&stamp.number.to_le_bytes());
    out.extend_from_slice(&stamp.intended_ns.to_le_bytes());
    out.resize(bytes.max(BYTES_MIN), filling(stamp.number));
}

/// Why a payload was not one of this run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strange {
    /// It carries no stamp.
    Foreign,
    /// It carries a stamp, but has another length or other filling than it was sent with.
    Corrupt,
}

/// Reads a payload that was written with `bytes`.
pub(crate) fn read(payload: &[u8], bytes: usize) -> Result<Stamp, Strange> {
    let (Some(magic), Some(sender), Some(number), Some(intended)) = (
        payload.first_chunk::<4>(),
        payload.get(4..).and_then(|rest| rest.first_chunk::<4>()),
        payload.get(8..).and_then(|rest| rest.first_chunk::<8>()),
        payload.get(16..).and_then(|rest| rest.first_chunk::<8>()),
    ) else {
        return Err(Strange::Foreign);
    };
    if u32::from_le_bytes(*magic) != MAGIC {
        return Err(Strange::Foreign);
    }
    let stamp = Stamp {
        sender: u32::from_le_bytes(*sender),
        number: u64::from_le_bytes(*number),
        intended_ns: u64::from_le_bytes(*intended),
    };
    let filling = filling(stamp.number);
    let whole = payload.len() == bytes.max(BYTES_MIN)
        && payload[BYTES_MIN..].iter().fold(0, |diff, byte| diff | (byte ^ filling)) == 0;
    if whole { Ok(stamp) } else { Err(Strange::Corrupt) }
}

fn filling(number: u64) -> u8 {
    (number as u8) ^ 0x5a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_and_a_changed_one_does_not() {
        let stamp = Stamp { sender: 7, number: 300, intended_ns: 1 << 40 };
        let mut out = Vec::new();
        write(&stamp, 64, &mut out);
        assert_eq!((out.len(), read(&out, 64)), (64, Ok(stamp)));
        out[40] ^= 1;
        assert_eq!(read(&out, 64), Err(Strange::Corrupt));
        out[40] ^= 1;
        out.pop();
        assert_eq!(read(&out, 64), Err(Strange::Corrupt));
        out[0] ^= 1;
        assert_eq!(read(&out, 64), Err(Strange::Foreign));
        assert_eq!(read(b"short", 64), Err(Strange::Foreign));
    }
}
