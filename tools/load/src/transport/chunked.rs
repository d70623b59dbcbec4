//! The chunked transfer encoding (RFC 9112, section 7.1), which other servers than Madang, and proxies, put around
//! a stream or an answer.

use crate::websocket::Violation;

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chunks {
    stage: Stage,
    /// Of the chunk: its size as far as it was read, then what is still to come of it.
    left: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The digits of a chunk's size, or what is behind them on their line.
    #[default]
    Size,
    Extension,
    Data,
    /// The line end behind the data.
    End,
    /// The last chunk was read; what comes then is of no interest.
    Over,
}

impl Chunks {
    /// Whether the last chunk was read.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Appends what is in the chunks to `out`.
    pub(crate) fn decode(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        while let Some((first, rest)) = input.split_first() {
            if self.stage == Stage::Data {
                let (data, rest) = input.split_at(input.len().min(self.left as usize));
                out.extend_from_slice(data);
                self.left -= data.len() as u64;
                if self.left == 0 {
                    self.stage = Stage::End;
                }
                input = rest;
                continue;
            }
            input = rest;
            self.stage = match (self.stage, first) {
                (Stage::Over, _) => return Ok(()),
                (stage, b'\r') => stage,
                (Stage::End, b'\n') => Stage::Size,
                (Stage::Size | Stage::Extension, b'\n') if self.left == 0 => Stage::Over,
                (Stage::Size | Stage::Extension, b'\n') => Stage::Data,
                (Stage::Extension, _) | (Stage::Size, b';') => Stage::Extension,
                (Stage::Size, digit) => {
                    let digit = (*digit as char).to_digit(16);
                    let left = digit.zip(self.left.checked_mul(16));
                    let (digit, left) = left.ok_or(Violation("a chunk without a size"))?;
                    self.left = left + u64::from(digit);
                    Stage::Size
                }
                _ => return Err(Violation("a chunk that is longer than it said")),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        let stream = b"5\r\nid: 1\r\n1A;x=y\r\n0123456789abcdef0123456789\r\n0\r\n\r\n";
        for cut in 0..stream.len() {
            let (mut chunks, mut out) = (Chunks::default(), Vec::new());
            chunks.decode(&stream[..cut], &mut out).unwrap();
            chunks.decode(&stream[cut..], &mut out).unwrap();
            assert_eq!(out, b"id: 10123456789abcdef0123456789", "{cut}");
            assert!(chunks.is_over(), "{cut}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [&b"x\r\n"[..], b"1\r\nab", b"11111111111111111\r\n"] {
            assert!(Chunks::default().decode(bad, &mut Vec::new()).is_err());
        }
    }
}
