//! Types of values about recordings: which rooms are recorded, and where to.

use super::rules::list;
use super::value::{Bad, Raw, Value};
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};

/// What the names of rooms begin with: 1 to 128 of the characters that room names may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(pub Box<str>);

/// A directory, by its path. It is made when it is needed first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(pub Box<str>);

/// Longest path of a directory in bytes.
const PATH_BYTES_MAX: usize = 1024;

impl Value for Vec<Prefix> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let prefix = |raw: &Raw<'_>| match raw.text().filter(|text| is_room_name(text)) {
            Some(text) => Ok(Prefix(text.into())),
            None => Err(vec![Bad {
                at: place(raw),
                message: format!(
                    "{raw} is not a prefix; use 1 to {ROOM_NAME_BYTES_MAX} letters, digits and -._~:@"
                ),
            }]),
        };
        list(raw, "prefixes", |text| prefix(&Raw::Text(text)), |item| prefix(&Raw::Toml(item)))
    }

    fn render(&self) -> Option<String> {
        let prefixes = self.iter().map(|prefix| format!("\"{}\"", prefix.0));
        Some(format!("[{}]", prefixes.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "a list of prefixes of rooms' names; elsewhere also separated by commas".to_owned()
    }
}

impl Value for Directory {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), default: &Self) -> Result<Self, Vec<Bad>> {
        let is_path = |text: &&str| {
            (1..=PATH_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        match raw.text().filter(is_path) {
            Some(text) => Ok(Directory(text.into())),
            None => Err(vec![Bad {
                at: place(raw),
                message: format!(
                    "{raw} is not the path of a directory; write it as {:?}",
                    default.0
                ),
            }]),
        }
    }

    fn render(&self) -> Option<String> {
        Some(toml::Value::String(self.0.to_string()).to_string())
    }

    fn accepts((): &()) -> String {
        format!("a path of 1 to {PATH_BYTES_MAX} bytes")
    }
}

fn place(raw: &Raw<'_>) -> Option<usize> {
    match raw {
        Raw::Toml(value) => Some(value.span().start),
        Raw::Text(_) => None,
    }
}
