//! The content of a message: who sent it, its number, when it was to be sent, and filling that
//! both sides know, so that a changed byte is seen.

/// Marks this run's messages; what others say in the same rooms is counted apart.
const MAGIC: u32 = 0x6d61_6c64;
/// Numbers are below this: tallies count in 32 bits.
const NUMBERS: u64 = u32::MAX as u64;
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

/// Reads a payload that was written with `bytes`: its stamp and its length, of which the stamp says
/// whether somebody else wrote it. [`is_whole`] reads the rest.
#[inline]
pub(crate) fn read(payload: &[u8], bytes: usize) -> Result<Stamp, Strange> {
    let Some(head) = payload.first_chunk::<BYTES_MIN>() else { return Err(Strange::Foreign) };
    let word = |at: usize| u64::from_le_bytes(*head[at..].first_chunk().expect("it is as long"));
    let magic_and_sender = word(0);
    if magic_and_sender as u32 != MAGIC {
        return Err(Strange::Foreign);
    }
    let stamp =
        Stamp { sender: (magic_and_sender >> 32) as u32, number: word(8), intended_ns: word(16) };
    if payload.len() == bytes.max(BYTES_MIN) && stamp.number < NUMBERS {
        Ok(stamp)
    } else {
        Err(Strange::Corrupt)
    }
}

/// Whether every byte behind the stamp is what it was written with.
pub(crate) fn is_whole(payload: &[u8], stamp: &Stamp) -> bool {
    let filling = filling(stamp.number);
    payload[BYTES_MIN..].iter().fold(0, |diff, byte| diff | (byte ^ filling)) == 0
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
        assert!(is_whole(&out, &stamp));
        out[40] ^= 1;
        assert!(read(&out, 64).is_ok() && !is_whole(&out, &stamp));
        out[40] ^= 1;
        out.pop();
        assert_eq!(read(&out, 64), Err(Strange::Corrupt));
        out[0] ^= 1;
        assert_eq!(read(&out, 64), Err(Strange::Foreign));
        assert_eq!(read(b"short", 64), Err(Strange::Foreign));
        write(&Stamp { number: NUMBERS, ..stamp }, 64, &mut out);
        assert_eq!(read(&out, 64), Err(Strange::Corrupt), "no such number");
    }
}
