//! Secrets: read like other values, and never written anywhere.

use super::value::{Bad, Raw, Value};
use std::fmt;
use toml::de::{DeTable, DeValue};

/// Fewest and most characters of a secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// A key that somebody has to know: 16 to 256 of the characters that a bearer token may have (RFC
/// 6750 section 2.1). Printed as nothing but its kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes a text that can be a secret.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the text.
    pub fn new(text: &str) -> Result<Self, String> {
        let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
        let is_token =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        if !SECRET_BYTES.contains(&text.len()) || !is_token {
            return Err(format!(
                "a key has {least} to {most} characters out of letters, digits and -._~+/="
            ));
        }
        Ok(Self(text.into()))
    }

    /// Whether this is the secret. Takes as long for every text of the same length.
    pub fn is(&self, text: &str) -> bool {
        let (known, given) = (self.0.as_bytes(), text.as_bytes());
        if known.len() != given.len() {
            return false;
        }
        let differing = known.iter().zip(given).fold(0, |all, (a, b)| {
            // Hidden from the optimiser, which else may stop at the first difference.
            std::hint::black_box(all | (a ^ b))
        });
        differing == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Value for Vec<Secret> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let texts = texts(raw).ok_or_else(|| {
            // What was written may be a secret: it is not said again.
            let message = "not a list of keys; write it as [\"...\"]".to_owned();
            vec![Bad { at: None, message }]
        })?;
        let (mut secrets, mut bads) = (Vec::new(), Vec::new());
        for (at, text) in texts {
            match Secret::new(&text) {
                Ok(secret) => secrets.push(secret),
                Err(message) => bads.push(Bad { at, message }),
            }
        }
        if bads.is_empty() { Ok(secrets) } else { Err(bads) }
    }

    fn render(&self) -> Option<String> {
        let hidden = vec!["\"<hidden>\""; self.len()];
        Some(format!("[{}]", hidden.join(", ")))
    }

    fn accepts((): &()) -> String {
        "a list of keys of 16 to 256 characters; elsewhere also separated by commas".to_owned()
    }
}

/// The texts of a list and where they stand in the file; none if it is no list of texts.
fn texts(raw: &Raw<'_>) -> Option<Vec<(Option<usize>, String)>> {
    let of_array = |value: &DeValue<'_>, in_file: bool| {
        let items = value.as_array()?.iter();
        let text = |item: &toml::Spanned<DeValue<'_>>| {
            let text = item.get_ref().as_str()?.to_owned();
            Some((in_file.then(|| item.span().start), text))
        };
        items.map(text).collect()
    };
    match raw {
        Raw::Toml(value) => of_array(value.get_ref(), true),
        Raw::Text(text) if text.trim_start().starts_with('[') => {
            let assignment = format!("list = {text}");
            let table = DeTable::parse(&assignment).ok()?;
            of_array(table.get_ref().get("list")?.get_ref(), false)
        }
        Raw::Text(text) => {
            let items = text.split(',').filter(|item| !item.is_empty());
            Some(items.map(|item| (None, item.to_owned())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn a_secret_is_itself_and_nothing_else() {
        let secret = Secret::new(KEY).unwrap();
        assert!(secret.is(KEY));
        for other in ["", "0123456789abcdeg", "1123456789abcdef", "0123456789abcdef0", "0123456789"]
        {
            assert!(!secret.is(other), "{other}");
        }
    }

    #[test]
    fn short_and_odd_ones_are_refused_without_being_said() {
        for bad in
            ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdeé", &"x".repeat(257)]
        {
            let message = Secret::new(bad).unwrap_err();
            assert!(bad.is_empty() || !message.contains(bad), "{message}");
        }
        let raws = ["short,0123456789abcde!", "[\"short\"]", "[", "[7]", "{ a = \"short\" }"];
        for raw in raws {
            let bads = Vec::<Secret>::parse(&Raw::Text(raw), &(), &Vec::new()).unwrap_err();
            for bad in bads {
                assert!(!bad.message.contains("short") && !bad.message.contains("0123"));
            }
        }
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        for raw in [format!("{KEY},{KEY}x"), format!("[\"{KEY}\", \"{KEY}x\"]")] {
            let secrets = Vec::<Secret>::parse(&Raw::Text(&raw), &(), &Vec::new()).unwrap();
            assert!(secrets.len() == 2 && secrets[0].is(KEY));
            assert!(!format!("{secrets:?}").contains("0123"));
            assert_eq!(secrets.render().unwrap(), "[\"<hidden>\", \"<hidden>\"]");
        }
    }
}
