//! Types of values about who may do what: keys of credentials, rights by rooms' names.
//!
//! A key's own text is never a value: a value says where it is read from.

use super::load::nearest;
use super::rules::list;
use super::value::{Bad, Raw, Value, words};
use madang_engine::access::{Grant, Pattern, Rights};
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

words! {
    /// Who is let in without a credential.
    Anonymous {
        /// Nobody.
        Off = "off",
        /// Anybody, as long as the listeners are on the loopback.
        Loopback = "loopback",
        /// Anybody.
        Everywhere = "everywhere",
    }

    /// How a credential is signed.
    TokenAlgorithm {
        /// A secret that both sides know.
        Hs256 = "HS256",
        /// RSA.
        Rs256 = "RS256",
        /// The curve P-256.
        Es256 = "ES256",
        /// The curve Ed25519.
        EdDsa = "EdDSA",
    }
}

/// Where a key is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file, which is read again when it changes.
    File(Box<str>),
    /// An environment variable.
    Environment(Box<str>),
}

impl KeySource {
    /// Reads `file:PATH` or `env:NAME`.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').filter(|(_, name)| is_plain(name))?;
        match kind {
            "file" => Some(Self::File(name.into())),
            "env" => Some(Self::Environment(name.into())),
            _ => None,
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{path}"),
            Self::Environment(name) => write!(f, "env:{name}"),
        }
    }
}

/// A key that checks credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The name by which a credential says which key signed it; none for credentials that do not say.
    pub kid: Option<Box<str>>,
    /// What it signs with, and nothing else.
    pub algorithm: TokenAlgorithm,
    /// Where it is.
    pub from: KeySource,
}

/// A text without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Box<str>);

/// The name of a cookie, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieName(pub Option<Box<str>>);

/// The path of a file, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePath(pub Option<Box<str>>);

/// Longest text of one of these values, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

fn is_plain(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for Vec<Text> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let text = |raw: &Raw<'_>| match raw.text().filter(|text| is_plain(text)) {
            Some(text) => Ok(Text(text.into())),
            None => {
                Err(vec![bad(raw, format!("{raw} is not a text of 1 to {TEXT_BYTES_MAX} bytes"))])
            }
        };
        list(raw, "texts", |item| text(&Raw::Text(item)), |item| text(&Raw::Toml(item)))
    }

    fn render(&self) -> Option<String> {
        let texts = self.iter().map(|text| quoted(&text.0));
        Some(format!("[{}]", texts.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "a list of texts; elsewhere also separated by commas".to_owned()
    }
}

impl Value for CookieName {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let is_name = |text: &str| {
            text.len() <= 128
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match raw.text() {
            Some("") => Ok(Self(None)),
            Some(text) if is_name(text) => Ok(Self(Some(text.into()))),
            _ => Err(vec![bad(
                raw,
                format!("{raw} is not the name of a cookie; use letters, digits and -_."),
            )]),
        }
    }

    fn render(&self) -> Option<String> {
        Some(quoted(self.0.as_deref().unwrap_or_default()))
    }

    fn accepts((): &()) -> String {
        "a name of up to 128 letters, digits and -_., or \"\" for none".to_owned()
    }
}

impl Value for FilePath {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        match raw.text() {
            Some("") => Ok(Self(None)),
            Some(text) if is_plain(text) => Ok(Self(Some(text.into()))),
            _ => Err(vec![bad(raw, format!("{raw} is not the path of a file"))]),
        }
    }

    fn render(&self) -> Option<String> {
        Some(quoted(self.0.as_deref().unwrap_or_default()))
    }

    fn accepts((): &()) -> String {
        format!("a path of up to {TEXT_BYTES_MAX} bytes, or \"\" for none")
    }
}

/// Keys that are right, as remedies show them.
const KEY_EXAMPLE: &str = "{ kid = \"main\", algorithm = \"EdDSA\", from = \"file:token.pub\" }";

impl Value for Vec<TokenKey> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let keys = list(raw, "keys", key_of_text, |item| match item.get_ref() {
            DeValue::Table(table) => key_of_table(item, table),
            _ => one(&Raw::Toml(item), "not a key; write it as ".to_owned() + KEY_EXAMPLE),
        })?;
        for (i, key) in keys.iter().enumerate() {
            let same = |other: &&TokenKey| match (&key.kid, &other.kid) {
                (Some(kid), Some(other)) => kid == other,
                (None, None) => key.algorithm == other.algorithm,
                _ => false,
            };
            if keys[..i].iter().find(same).is_some() {
                let message = match &key.kid {
                    Some(kid) => format!("kid {kid:?} is there twice; each key needs its own"),
                    None => format!(
                        "two keys without a kid sign with {}; give one a kid",
                        key.algorithm.as_str()
                    ),
                };
                return Err(vec![Bad { at: None, message }]);
            }
        }
        Ok(keys)
    }

    fn render(&self) -> Option<String> {
        let keys = self.iter().map(|TokenKey { kid, algorithm, from }| {
            let kid = kid.as_ref().map(|kid| format!("kid = {}, ", quoted(kid)));
            let (kid, algorithm) = (kid.unwrap_or_default(), algorithm.as_str());
            format!("{{ {kid}algorithm = \"{algorithm}\", from = {} }}", quoted(&from.to_string()))
        });
        Some(format!("[{}]", keys.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "tables of kid, algorithm and from (file:PATH or env:NAME); elsewhere also \
         KID=ALGORITHM@FROM,..."
            .to_owned()
    }
}

/// `main=EdDSA@file:token.pub`, or without a kid `EdDSA@file:token.pub`.
fn key_of_text(text: &str) -> Result<TokenKey, Vec<Bad>> {
    let Some((name, from)) = text.split_once('@') else {
        // What was written may be a key itself: it is not said again.
        let message = "not a key; write it as KID=ALGORITHM@file:PATH or @env:NAME".to_owned();
        return Err(vec![Bad { at: None, message }]);
    };
    let (kid, algorithm) = match name.split_once('=') {
        Some((kid, algorithm)) => (Some(kid), algorithm),
        None => (None, name),
    };
    key(kid, &Raw::Text(algorithm), from).map_err(|message| vec![Bad { at: None, message }])
}

fn key_of_table(item: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Result<TokenKey, Vec<Bad>> {
    const FIELDS: [&str; 3] = ["kid", "algorithm", "from"];
    for (name, _) in table {
        if !FIELDS.contains(&name.get_ref().as_ref()) {
            let name = name.get_ref();
            return one(
                &Raw::Toml(item),
                format!("{name}: unknown; a key has kid, algorithm and from"),
            );
        }
    }
    let text =
        |name: &str| table.get(name).map(|value| value.get_ref().as_str().unwrap_or_default());
    let (Some(algorithm), Some(from)) = (table.get("algorithm"), text("from")) else {
        return one(
            &Raw::Toml(item),
            "a key needs algorithm and from; write it as ".to_owned() + KEY_EXAMPLE,
        );
    };
    key(text("kid"), &Raw::Toml(algorithm), from).or_else(|message| one(&Raw::Toml(item), message))
}

fn key(kid: Option<&str>, algorithm: &Raw<'_>, from: &str) -> Result<TokenKey, String> {
    if kid.is_some_and(|kid| !is_plain(kid)) {
        return Err(format!("a kid has 1 to {TEXT_BYTES_MAX} bytes without control characters"));
    }
    let algorithm = TokenAlgorithm::parse(algorithm, &(), &TokenAlgorithm::EdDsa)
        .map_err(|bads| bads.into_iter().map(|bad| bad.message).collect::<Vec<_>>().join("; "))?;
    let Some(from) = KeySource::read(from) else {
        return Err(
            "from says where the key is: file:PATH or env:NAME, not the key itself".to_owned()
        );
    };
    Ok(TokenKey { kid: kid.map(Box::from), algorithm, from })
}

impl Value for Vec<Grant> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        list(raw, "grants", grant_of_text, |item| match item.get_ref() {
            DeValue::Table(table) => grant_of_table(item, table),
            _ => one(&Raw::Toml(item), "not a grant; write it as ".to_owned() + GRANT_EXAMPLE),
        })
    }

    fn render(&self) -> Option<String> {
        let list = |words: Vec<String>| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        let grants = self.iter().map(|grant| {
            let rooms = list(grant.rooms.iter().map(ToString::to_string).collect());
            let may = list(grant.may.names().map(str::to_owned).collect());
            format!("{{ rooms = [{rooms}], may = [{may}] }}")
        });
        Some(format!("[{}]", grants.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "tables of rooms (names, or their beginnings with a *) and may (create, join, publish, state, \
         watch, manage); elsewhere also ROOMS=MAY+MAY,..."
            .to_owned()
    }
}

const GRANT_EXAMPLE: &str = "{ rooms = [\"lobby*\"], may = [\"join\", \"publish\"] }";

/// `lobby*=join+publish`: neither sign can be part of a room's name.
fn grant_of_text(text: &str) -> Result<Grant, Vec<Bad>> {
    let grant = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not a grant; write it as lobby*=join+publish"));
    let grant = grant.and_then(|(rooms, may)| {
        let rooms = rooms.split('+').map(pattern).collect::<Result<_, _>>()?;
        Ok(Grant { rooms, may: all_of(may.split('+').map(right))? })
    });
    grant.map_err(|message| vec![Bad { at: None, message }])
}

fn grant_of_table(item: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Result<Grant, Vec<Bad>> {
    for (name, _) in table {
        if !["rooms", "may"].contains(&name.get_ref().as_ref()) {
            let name = name.get_ref();
            return one(&Raw::Toml(item), format!("{name}: unknown; a grant has rooms and may"));
        }
    }
    let words = |name: &str| -> Option<Vec<&str>> {
        let value = table.get(name)?.get_ref();
        let words = value.as_array()?.iter().map(|word| word.get_ref().as_str());
        words.collect()
    };
    let (Some(rooms), Some(may)) = (words("rooms"), words("may")) else {
        return one(
            &Raw::Toml(item),
            "a grant needs lists of rooms and may; write it as ".to_owned() + GRANT_EXAMPLE,
        );
    };
    let grant = rooms
        .into_iter()
        .map(pattern)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|rooms| Ok(Grant { rooms, may: all_of(may.into_iter().map(right))? }));
    grant.or_else(|message| one(&Raw::Toml(item), message))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::read(text).ok_or_else(|| {
        format!("{text:?} is neither the name of a room nor its beginning with a * behind it")
    })
}

fn right(name: &str) -> Result<Rights, String> {
    Rights::named(name).ok_or_else(|| {
        let names = Rights::NAMES.map(|(name, _)| name);
        let near = nearest(name, names.into_iter())
            .map(|word| format!("; did you mean {word}?"))
            .unwrap_or_default();
        format!("{name:?} is not one of {}{near}", names.join(", "))
    })
}

fn all_of(rights: impl Iterator<Item = Result<Rights, String>>) -> Result<Rights, String> {
    rights.into_iter().try_fold(Rights::NONE, |all, right| Ok(all.and(right?)))
}

fn bad(raw: &Raw<'_>, message: String) -> Bad {
    let at = match raw {
        Raw::Toml(value) => Some(value.span().start),
        Raw::Text(_) => None,
    };
    Bad { at, message }
}

fn one<T>(raw: &Raw<'_>, message: String) -> Result<T, Vec<Bad>> {
    Err(vec![bad(raw, message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: Value<Bounds = ()> + Default>(text: &str) -> Result<T, String> {
        T::parse(&Raw::Text(text), &(), &T::default())
            .map_err(|bads| bads.into_iter().map(|bad| bad.message).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn keys_are_named_by_where_they_are() {
        let keys: Vec<TokenKey> = text("main=EdDSA@file:a b.pub,HS256@env:SECRET").unwrap();
        let rendered = keys.render().unwrap();
        assert_eq!(
            rendered,
            "[{ kid = \"main\", algorithm = \"EdDSA\", from = \"file:a b.pub\" }, \
             { algorithm = \"HS256\", from = \"env:SECRET\" }]"
        );
        assert_eq!(text::<Vec<TokenKey>>(&rendered).unwrap(), keys);
        for (bad, says) in [
            ("canary", "KID=ALGORITHM@"),
            ("a=none@env:X", "HS256"),
            ("a=HS512@env:X", "not one of"),
            ("a=HS256@canary", "not the key itself"),
            ("a=HS256@env:X,a=HS256@env:Y", "twice"),
            ("HS256@env:X,HS256@env:Y", "give one a kid"),
            ("[{ kid = \"a\", algorithm = \"HS256\", secret = \"canary\" }]", "unknown"),
            ("[{ kid = \"a\", algorithm = \"HS256\", from = \"canary\" }]", "not the key itself"),
        ] {
            let said = text::<Vec<TokenKey>>(bad).unwrap_err();
            assert!(said.contains(says) && !said.contains("canary"), "{bad}: {said}");
        }
    }

    #[test]
    fn grants_are_rooms_and_rights() {
        let grants: Vec<Grant> = text("*=watch,lobby*+team.a=join+publish").unwrap();
        let rendered = grants.render().unwrap();
        assert_eq!(
            rendered,
            "[{ rooms = [\"*\"], may = [\"watch\"] }, \
             { rooms = [\"lobby*\", \"team.a\"], may = [\"join\", \"publish\"] }]"
        );
        assert_eq!(text::<Vec<Grant>>(&rendered).unwrap(), grants);
        for (bad, says) in [
            ("lobby", "write it as"),
            ("a*b=join", "neither"),
            ("lobby=joni", "did you mean join?"),
            ("[{ rooms = \"lobby\", may = [\"join\"] }]", "needs lists"),
            ("[{ rooms = [\"lobby\"], may = [\"join\"], x = 1 }]", "unknown"),
        ] {
            let said = text::<Vec<Grant>>(bad).unwrap_err();
            assert!(said.contains(says), "{bad}: {said}");
        }
    }
}
