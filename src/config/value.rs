//! Types of values: what each accepts, how it is written, and what is said of a wrong one.

use super::load::nearest;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::DeValue;

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
    pub(super) fn text(&self) -> Option<&str> {
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
            /// Every word with what it stands for.
            pub const WORDS: &'static [(&'static str, $Name)] = &[$( ($text, $Name::$Word) ),+];

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
                let message = format!("{raw} is not one of {}{near}", Self::accepts(&()));
                Err(vec![Bad { at: None, message }])
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

pub(super) use words;

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

    /// Which field of a request says the address behind a proxy.
    ForwardedBy {
        /// None is believed.
        None = "none",
        /// `X-Forwarded-For`.
        XForwardedFor = "x-forwarded-for",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }

    /// How a log line looks.
    LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}
