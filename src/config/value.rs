//! Types of values: what each accepts, how it is written, and what is said of a wrong one.

use super::load::nearest;
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value as it was written.
pub(super) enum Raw<'a> {
    /// In a TOML file.
    Toml(&'a Spanned<DeValue<'a>>),
    /// In a flag or an environment variable.
    Text(&'a str),
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Bad {
    /// Where in the file, in bytes from its start; none when it is the value as a whole.
    pub(super) at: Option<usize>,
    /// What, and the remedy.
    pub(super) message: String,
}

/// A type that keys may have.
pub(super) trait Value: Sized {
    /// What limits the values of one key.
    type Bounds;

    /// Reads and checks; `default` is what a remedy shows.
    fn parse(raw: &Raw<'_>, bounds: &Self::Bounds, default: &Self) -> Result<Self, Vec<Bad>>;

    /// As TOML; none when an assignment cannot say it.
    fn render(&self) -> Option<String>;

    /// What is accepted, in words.
    fn accepts(bounds: &Self::Bounds) -> String;
}

impl fmt::Display for Raw<'_> {
    /// As it was written, near enough to be recognised.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Text(text) => write!(f, "{text:?}"),
            Raw::Toml(value) => match value.get_ref() {
                DeValue::String(text) => write!(f, "{text:?}"),
                DeValue::Integer(number) => f.write_str(number.as_str()),
                DeValue::Float(number) => f.write_str(number.as_str()),
                DeValue::Boolean(value) => value.fmt(f),
                DeValue::Datetime(value) => value.fmt(f),
                DeValue::Array(_) => f.write_str("an array"),
                DeValue::Table(_) => f.write_str("a table"),
            },
        }
    }
}

impl Raw<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) => Some(text),
            Raw::Toml(value) => value.get_ref().as_str(),
        }
    }
}

fn bad<T>(message: String) -> Result<T, Vec<Bad>> {
    Err(vec![Bad { at: None, message }])
}

macro_rules! number {
    ($($Type:ty)*) => {$(
        impl Value for $Type {
            type Bounds = RangeInclusive<$Type>;

            fn parse(raw: &Raw<'_>, bounds: &Self::Bounds, default: &Self) -> Result<Self, Vec<Bad>> {
                let number = match raw {
                    Raw::Text(text) => text.replace('_', "").parse::<i128>().ok(),
                    Raw::Toml(value) => value.get_ref().as_integer().and_then(|number| {
                        i128::from_str_radix(number.as_str(), number.radix()).ok()
                    }),
                };
                let Some(number) = number else {
                    return bad(format!("{raw} is not a whole number; write it as {default}"));
                };
                let (least, most) = (bounds.start(), bounds.end());
                if number < i128::from(*least) {
                    return bad(format!("{number} is too small; the least is {least}"));
                }
                if number > i128::from(*most) {
                    return bad(format!("{number} is too large; the most is {most}"));
                }
                // Within the bounds, which are of the type.
                Ok(number as $Type)
            }

            fn render(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn accepts(bounds: &Self::Bounds) -> String {
                format!("{} to {}", bounds.start(), bounds.end())
            }
        }
    )*};
}

number! { u8 u16 u32 }

impl Value for bool {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let value = match raw {
            Raw::Text(text) => text.parse().ok(),
            Raw::Toml(value) => value.get_ref().as_bool(),
        };
        match (value, raw) {
            (Some(value), _) => Ok(value),
            (None, Raw::Toml(value))
                if matches!(value.get_ref().as_str(), Some("true" | "false")) =>
            {
                bad(format!("{raw} is text; write it without the quotes"))
            }
            (None, _) => bad(format!("{raw} is neither true nor false")),
        }
    }

    fn render(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn accepts((): &()) -> String {
        "true or false".to_owned()
    }
}

impl Value for SocketAddr {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), default: &Self) -> Result<Self, Vec<Bad>> {
        match raw.text().map(str::parse) {
            Some(Ok(address)) => Ok(address),
            _ => bad(format!("{raw} is not an address; write it as {default}")),
        }
    }

    fn render(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }

    fn accepts((): &()) -> String {
        "an IP address and a port".to_owned()
    }
}

/// Declares a value that is one word out of a few.
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        $Name:ident { $( $(#[$word_meta:meta])* $Word:ident = $text:literal, )+ }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $( $(#[$word_meta])* $Word, )+
        }

        impl $Name {
            const WORDS: &'static [(&'static str, $Name)] = &[$( ($text, $Name::$Word) ),+];

            /// The word that stands for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( $Name::$Word => $text, )+
                }
            }
        }

        impl Value for $Name {
            type Bounds = ();

            fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
                let text = raw.text();
                if let Some((_, value)) = Self::WORDS.iter().find(|(word, _)| text == Some(*word)) {
                    return Ok(*value);
                }
                let near = nearest(text.unwrap_or_default(), Self::WORDS.iter().map(|(word, _)| *word))
                    .map(|word| format!("; did you mean {word}?"))
                    .unwrap_or_default();
                bad(format!("{raw} is not one of {}{near}", Self::accepts(&())))
            }

            fn render(&self) -> Option<String> {
                Some(format!("\"{}\"", self.as_str()))
            }

            fn accepts((): &()) -> String {
                [$($text),+].join(", ")
            }
        }
    )*};
}

words! {
    /// Least serious events that are logged.
    Level {
        /// Nothing.
        Off = "off",
        /// What failed.
        Error = "error",
        /// What an operator should look into.
        Warn = "warn",
        /// What changes rarely: start, stop, rooms.
        Info = "info",
        /// What happens per connection.
        Debug = "debug",
        /// What happens per message, without its content.
        Trace = "trace",
    }

    /// How a log line looks.
    LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }

    /// A kind of room, as a configuration names it.
    RoomKind {
        /// Messages in envelopes, with order, history and presence.
        Relay = "relay",
        /// Messages without an envelope, relayed as they are.
        Raw = "raw",
    }
}

/// Which kind rooms have whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindRule {
    /// What the names begin with: 1 to 128 of the characters that room names may have.
    pub prefix: Box<str>,
    /// Their kind.
    pub kind: RoomKind,
}

/// How a list of rules is written in a TOML file.
pub(super) const KIND_RULE_EXAMPLE: &str = "[[rooms.kind]]\nprefix = \"raw.\"\nkind = \"raw\"\n";

impl Value for Vec<KindRule> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let (rules, mut bads) = match raw {
            Raw::Text(text) => rules_of_text(text),
            Raw::Toml(value) => rules_of_toml(value),
        };
        for (i, rule) in rules.iter().enumerate() {
            if rules[..i].iter().any(|earlier| earlier.prefix == rule.prefix) {
                let message = format!("prefix {:?} is bound twice; remove one", rule.prefix);
                bads.push(Bad { at: None, message });
            }
        }
        if bads.is_empty() { Ok(rules) } else { Err(bads) }
    }

    fn render(&self) -> Option<String> {
        None
    }

    fn accepts((): &()) -> String {
        "tables of prefix and kind; elsewhere PREFIX=KIND,...".to_owned()
    }
}

/// `raw.=raw,duel.=relay`: neither sign can be part of a room's name.
fn rules_of_text(text: &str) -> (Vec<KindRule>, Vec<Bad>) {
    let (mut rules, mut bads) = (Vec::new(), Vec::new());
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let rule = match item.split_once('=') {
            Some((prefix, kind)) => rule(&Raw::Text(prefix), &Raw::Text(kind)),
            None => bad(format!("{item:?} is not a rule; write it as raw.=raw")),
        };
        match rule {
            Ok(rule) => rules.push(rule),
            Err(more) => bads.extend(more),
        }
    }
    (rules, bads)
}

fn rules_of_toml(value: &Spanned<DeValue<'_>>) -> (Vec<KindRule>, Vec<Bad>) {
    let (mut rules, mut bads) = (Vec::new(), Vec::new());
    let Some(items) = value.get_ref().as_array() else {
        let message = format!("{} is not a list of rules; write [[rooms.kind]]", Raw::Toml(value));
        return (rules, vec![Bad { at: None, message }]);
    };
    for item in items {
        let rule = match item.get_ref().as_table() {
            Some(table) => rule_of_table(table, item.span().start),
            None => bad(format!("{} is not a rule; write [[rooms.kind]]", Raw::Toml(item))),
        };
        match rule {
            Ok(rule) => rules.push(rule),
            Err(more) => bads.extend(more),
        }
    }
    (rules, bads)
}

fn rule_of_table(table: &DeTable<'_>, start: usize) -> Result<KindRule, Vec<Bad>> {
    let mut bads = Vec::new();
    for (name, _) in table {
        if !["prefix", "kind"].contains(&name.get_ref().as_ref()) {
            let message = format!("{}: unknown key; a rule has prefix and kind", name.get_ref());
            bads.push(Bad { at: Some(name.span().start), message });
        }
    }
    let field = |name: &str| {
        table.get(name).ok_or_else(|| {
            let message =
                format!("a rule needs {name}; write prefix = \"raw.\" and kind = \"raw\"");
            Bad { at: Some(start), message }
        })
    };
    let rule = match (field("prefix"), field("kind")) {
        (Ok(prefix), Ok(kind)) => rule(&Raw::Toml(prefix), &Raw::Toml(kind)),
        (prefix, kind) => Err([prefix.err(), kind.err()].into_iter().flatten().collect()),
    };
    match rule {
        Ok(rule) if bads.is_empty() => Ok(rule),
        Ok(_) => Err(bads),
        Err(more) => {
            bads.extend(more);
            Err(bads)
        }
    }
}

fn rule(prefix: &Raw<'_>, kind: &Raw<'_>) -> Result<KindRule, Vec<Bad>> {
    let at = |raw: &Raw<'_>| match raw {
        Raw::Toml(value) => Some(value.span().start),
        Raw::Text(_) => None,
    };
    let mut bads = Vec::new();
    let name = prefix.text().unwrap_or_default();
    if !is_room_name(name) {
        let message = format!(
            "{prefix} is not a prefix; use 1 to {ROOM_NAME_BYTES_MAX} letters, digits and -._~:@"
        );
        bads.push(Bad { at: at(prefix), message });
    }
    match RoomKind::parse(kind, &(), &RoomKind::Relay) {
        Ok(kind) if bads.is_empty() => Ok(KindRule { prefix: name.into(), kind }),
        Ok(_) => Err(bads),
        Err(more) => {
            bads.extend(more.into_iter().map(|bad| Bad { at: at(kind), ..bad }));
            Err(bads)
        }
    }
}
