//! Says what this crate makes of messages, for the fuzzers of client libraries in other languages.
//!
//! Reads lines of `client HEX` or `server HEX`: one message, without a length in front. Answers each with
//! `reject`, or with the bytes of the same message in their shortest form and its JSON twin:
//! `HEX JSON`. Equal messages have equal shortest forms.

use madang_protocol::{codec, json};
use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        match answer(&line) {
            Some((bytes, text)) => writeln!(out, "{} {text}", hex(&bytes))?,
            None => writeln!(out, "reject")?,
        }
    }
    out.flush()
}

/// The message in its shortest form and in JSON.
fn answer(line: &str) -> Option<(Vec<u8>, String)> {
    let (direction, digits) = line.split_once(' ')?;
    let bytes = unhex(digits)?;
    let (mut batch, mut text) = (Vec::new(), Vec::new());
    if direction == "client" {
        let message = codec::decode_client(&bytes).ok()?;
        codec::encode_client(&message, &mut batch);
        json::encode_client(&message, &mut text);
    } else {
        let message = codec::decode_server(&bytes).ok()?;
        codec::encode_server(&message, &mut batch);
        json::encode_server(&message, &mut text);
    }
    let alone = codec::split_batch(&batch).next()?.ok()?.to_vec();
    Some((alone, String::from_utf8(text).ok()?))
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("writing to a String cannot fail");
    }
    digits
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
