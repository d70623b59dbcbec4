//! Which JSON texts every client can read: the grammar alone (RFC 8259) allows any nesting, which
//! overflows the stack of recursive parsers, escapes of half a surrogate pair, which are no
//! character (section 8.2), and numbers that no double can hold, which strict parsers refuse
//! (section 6).

/// Whether a text that is JSON by its grammar nests at most `depth_max` arrays and objects inside
/// each other, escapes surrogates in pairs only, and has no number that is infinite as a double. One pass over the bytes, no recursion and no
/// memory. Of a text that is not JSON the answer means nothing.
pub fn is_portable(json: &str, depth_max: usize) -> bool {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' if depth == depth_max => return false,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => match string_end(bytes, at) {
                Some(end) => at = end,
                None => return false,
            },
            b'-' | b'0'..=b'9' => match number_end(json, at - 1) {
                Some(end) => at = end,
                None => return false,
            },
            _ => {}
        }
    }
    true
}

/// Where a string whose content begins at `at` has ended; `None` when it has half a surrogate pair
/// or no end.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut wants_low = false;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\\', Some(b'u')) => {
                wants_low = match (code_unit(bytes.get(at + 2..at + 6)?)?, wants_low) {
                    (0xd800..=0xdbff, false) => true,
                    (0xdc00..=0xdfff, true) => false,
                    (0xd800..=0xdfff, _) | (_, true) => return None,
                    (_, false) => false,
                };
                at += 6;
            }
            _ if wants_low => return None,
            (b'"', _) => return Some(at + 1),
            (b'\\', _) => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the number that begins at `at` has ended; `None` when it is infinite as a double.
fn number_end(json: &str, at: usize) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let len = json.as_bytes()[at..].iter().take_while(|byte| is_part(byte)).count();
    let number: f64 = json[at..at + len].parse().ok()?;
    number.is_finite().then_some(at + len)
}

fn code_unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::is_portable;

    #[test]
    fn nesting_is_counted_outside_strings_only() {
        for (json, depth) in [
            ("1", 0),
            (r#""[[{""#, 0),
            (r#""\"[[""#, 0),
            (r#""\\""#, 0),
            ("[]", 1),
            ("[[],[],{}]", 2),
            (r#"{"[":[{"a":"]"}]}"#, 3),
        ] {
            assert!(is_portable(json, depth), "{json}");
            assert!(depth == 0 || !is_portable(json, depth - 1), "{json}");
        }
        for depth in [64, 1_000_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(is_portable(&deep, depth) && !is_portable(&deep, depth - 1));
        }
    }

    #[test]
    fn numbers_are_finite_doubles() {
        for good in [
            "1e308",
            "-1E-999",
            "123456789012345678901234567890",
            "-0",
            "[1,-2.5e+3]",
            r#"{"1e999":"1e999"}"#,
        ] {
            assert!(is_portable(good, 1), "{good}");
        }
        let long = "9".repeat(400);
        for bad in ["1e999", "-1.5e30101", "[1e309]", r#"{"a":1E+400}"#, &long] {
            assert!(!is_portable(bad, 1), "{bad}");
        }
    }

    #[test]
    fn surrogates_come_in_pairs() {
        let (high, low, letter) = (r"\ud83c", r"\uDFAA", r"\u0061");
        for good in ["", low, letter] {
            let pair = if good == low { format!("{high}{low}") } else { good.to_owned() };
            assert!(is_portable(&format!(r#"{{"{pair}":"x{pair}{pair}x"}}"#), 1), "{pair}");
        }
        assert!(is_portable(r#""\\ud83c""#, 0), "an escaped backslash");
        for bad in [
            high.to_owned(),
            low.to_owned(),
            format!("{low}{high}"),
            format!("{high}{high}{low}"),
            format!("{high}{letter}"),
            format!("{high}x{low}"),
            format!(r"{high}\n{low}"),
            format!("{high}{low}{low}"),
        ] {
            assert!(!is_portable(&format!(r#""{bad}""#), 0), "{bad}");
            assert!(!is_portable(&format!(r#"{{"{bad}":1}}"#), 1), "a key: {bad}");
        }
        for cut in [r#"""#, r#""\"#, r#""\u"#, r#""\ud83"#, r#""\u00g0""#] {
            assert!(!is_portable(cut, 0), "{cut}");
        }
    }
}
