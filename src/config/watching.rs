//! Types of values about spectators: which rooms may be watched, and from which pages.

use super::rules::list;
use super::value::{Bad, Raw, Value};
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Rooms whose names begin with a prefix may be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRule {
    /// What the names begin with: 1 to 128 of the characters that room names may have.
    pub prefix: Box<str>,
    /// Least delay of what spectators see, in milliseconds.
    pub delay_min_ms: u32,
}

/// A page's origin as browsers send it (`https://example.org`), `null` for pages that have none, `*`
/// for all, or `self` for the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(pub Box<str>);

/// Bound of a delay: a day.
const DELAY_CAP_MS: u32 = 86_400_000;

impl Value for Vec<WatchRule> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let rules = list(raw, "rules", rule_of_text, |item| match item.get_ref() {
            DeValue::Table(table) => rule_of_table(item, table),
            _ => bad(item, format!("{} is not a rule; {REMEDY}", Raw::Toml(item))),
        })?;
        for (i, rule) in rules.iter().enumerate() {
            if rules[..i].iter().any(|earlier| earlier.prefix == rule.prefix) {
                let message = format!("prefix {:?} is named twice; remove one", rule.prefix);
                return Err(vec![Bad { at: None, message }]);
            }
        }
        Ok(rules)
    }

    fn render(&self) -> Option<String> {
        let rules = self.iter().map(|WatchRule { prefix, delay_min_ms }| {
            format!("{{ prefix = \"{prefix}\", delay_min_ms = {delay_min_ms} }}")
        });
        Some(format!("[{}]", rules.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "tables of prefix and delay_min_ms; elsewhere also PREFIX=DELAY_MIN_MS,...".to_owned()
    }
}

impl Value for Vec<Origin> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        list(
            raw,
            "origins",
            |text| origin(text).or_else(bad_text),
            |item| {
                let text = item.get_ref().as_str().unwrap_or_default();
                origin(text).or_else(|message| bad(item, message))
            },
        )
    }

    fn render(&self) -> Option<String> {
        let origins = self.iter().map(|origin| format!("\"{}\"", origin.0));
        Some(format!("[{}]", origins.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "a list of SCHEME://HOST[:PORT], \"self\", \"null\" or \"*\"; elsewhere also separated by commas".to_owned()
    }
}

const REMEDY: &str = "write it as { prefix = \"arena\", delay_min_ms = 0 }";

fn bad<T>(item: &Spanned<DeValue<'_>>, message: String) -> Result<T, Vec<Bad>> {
    Err(vec![Bad { at: Some(item.span().start), message }])
}

fn bad_text<T>(message: String) -> Result<T, Vec<Bad>> {
    Err(vec![Bad { at: None, message }])
}

/// `arena=5000` or `arena`: the sign cannot be part of a room's name.
fn rule_of_text(text: &str) -> Result<WatchRule, Vec<Bad>> {
    let (prefix, delay) = text.split_once('=').unwrap_or((text, "0"));
    let Ok(delay_min_ms) = delay.parse() else {
        return bad_text(format!("{delay:?} is not a delay in milliseconds; {text:?} is wrong"));
    };
    rule(prefix, delay_min_ms).or_else(bad_text)
}

fn rule_of_table(item: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Result<WatchRule, Vec<Bad>> {
    for (name, _) in table {
        if !["prefix", "delay_min_ms"].contains(&name.get_ref().as_ref()) {
            let name = name.get_ref();
            let message =
                format!("{name}: unknown key; a rule has prefix and may have delay_min_ms");
            return bad(item, message);
        }
    }
    let Some(prefix) = table.get("prefix").and_then(|value| value.get_ref().as_str()) else {
        return bad(item, format!("a rule needs prefix; {REMEDY}"));
    };
    let delay_min_ms = match table.get("delay_min_ms") {
        None => 0,
        Some(value) => {
            let number = value
                .get_ref()
                .as_integer()
                .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
            let Some(number) = number else {
                let message = format!("{} is not a delay in milliseconds", Raw::Toml(value));
                return bad(value, message);
            };
            number
        }
    };
    rule(prefix, delay_min_ms).or_else(|message| bad(item, message))
}

fn rule(prefix: &str, delay_min_ms: u32) -> Result<WatchRule, String> {
    if !is_room_name(prefix) {
        return Err(format!(
            "{prefix:?} is not a prefix; use 1 to {ROOM_NAME_BYTES_MAX} letters, digits and -._~:@"
        ));
    }
    if delay_min_ms > DELAY_CAP_MS {
        return Err(format!("{delay_min_ms} is too large; the most is {DELAY_CAP_MS}"));
    }
    Ok(WatchRule { prefix: prefix.into(), delay_min_ms })
}

fn origin(text: &str) -> Result<Origin, String> {
    let host =
        text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, host)| host);
    let is_origin = host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
    });
    if is_origin || ["*", "null", "self"].contains(&text) {
        Ok(Origin(text.into()))
    } else {
        Err(format!("{text:?} is not an origin; write it as https://example.org"))
    }
}
