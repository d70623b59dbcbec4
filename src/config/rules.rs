//! Types of values about rooms: which kind and which way of gathering messages a prefix of their names
//! means, and which rooms are opened at the start.

use super::load::nearest;
use super::value::{Bad, Raw, Value};
use crate::rooms;
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A kind of room, as a configuration names it: one of those that the program has ([`rooms::kinds`]), or
/// one of the two without rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomKind(&'static str);

impl RoomKind {
    /// Messages in envelopes, with order, history and presence.
    pub const RELAY: RoomKind = RoomKind("relay");
    /// Messages without an envelope, relayed as they are.
    pub const RAW: RoomKind = RoomKind("raw");

    /// The kind of this name, if the program has it.
    pub fn named(name: &str) -> Option<RoomKind> {
        names().into_iter().find(|known| *known == name).map(RoomKind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

fn names() -> Vec<&'static str> {
    let own = ["relay", "raw"].into_iter();
    own.chain(rooms::kinds().into_iter().map(|kind| kind.name)).collect()
}

/// Which kind rooms have whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindRule {
    /// What the names begin with: 1 to 128 of the characters that room names may have.
    pub prefix: Box<str>,
    /// Their kind.
    pub kind: RoomKind,
}

/// When messages of rooms leave whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushRule {
    /// What the names begin with.
    pub prefix: Box<str>,
    /// When.
    pub flush: FlushPolicy,
}

/// When a room's messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// At the end of the turn.
    Immediate,
    /// Together with the state, at the end of each tick.
    Tick,
    /// Together, so many milliseconds after the first.
    Window(u32),
}

/// The name of a room that is opened at the start and stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomName(pub Box<str>);

/// Longest window.
const WINDOW_CAP_MS: u32 = 50;

impl Value for Vec<KindRule> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let rules = rules(raw, &KIND)?;
        Ok(rules.into_iter().map(|(prefix, kind)| KindRule { prefix, kind }).collect())
    }

    fn render(&self) -> Option<String> {
        let shown = |rule: &KindRule| (rule.prefix.clone(), format!("\"{}\"", rule.kind.name()));
        Some(render("kind", self.iter().map(shown)))
    }

    fn accepts((): &()) -> String {
        "tables of prefix and kind; elsewhere also PREFIX=KIND,...".to_owned()
    }
}

impl Value for Vec<FlushRule> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let rules = rules(raw, &FLUSH)?;
        Ok(rules.into_iter().map(|(prefix, flush)| FlushRule { prefix, flush }).collect())
    }

    fn render(&self) -> Option<String> {
        let shown = |rule: &FlushRule| {
            let flush = match rule.flush {
                FlushPolicy::Immediate => "\"immediate\"".to_owned(),
                FlushPolicy::Tick => "\"tick\"".to_owned(),
                FlushPolicy::Window(ms) => ms.to_string(),
            };
            (rule.prefix.clone(), flush)
        };
        Some(render("flush", self.iter().map(shown)))
    }

    fn accepts((): &()) -> String {
        format!(
            "tables of prefix and flush: immediate, tick or 1 to {WINDOW_CAP_MS} ms; elsewhere also \
             PREFIX=FLUSH,..."
        )
    }
}

impl Value for Vec<RoomName> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        let name = |raw: &Raw<'_>| {
            let name = raw.text().unwrap_or_default();
            if is_room_name(name) {
                Ok(RoomName(name.into()))
            } else {
                Err(vec![bad(raw, not_a_name(raw, "name of a room"))])
            }
        };
        list(raw, "names", |text| name(&Raw::Text(text)), |item| name(&Raw::Toml(item)))
    }

    fn render(&self) -> Option<String> {
        let names = self.iter().map(|name| format!("\"{}\"", name.0));
        Some(format!("[{}]", names.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "a list of names of rooms; elsewhere also separated by commas".to_owned()
    }
}

fn render(field: &str, rules: impl Iterator<Item = (Box<str>, String)>) -> String {
    let rules =
        rules.map(|(prefix, value)| format!("{{ prefix = \"{prefix}\", {field} = {value} }}"));
    format!("[{}]", rules.collect::<Vec<_>>().join(", "))
}

/// A list of rules of one sort.
struct Sort<T> {
    /// The key, which is also the name of a rule's other field.
    field: &'static str,
    /// A rule that is right.
    example: (&'static str, &'static str),
    /// Reads the other field.
    read: fn(&Raw<'_>) -> Result<T, String>,
}

const KIND: Sort<RoomKind> = Sort { field: "kind", example: ("raw.", "raw"), read: read_kind };
const FLUSH: Sort<FlushPolicy> =
    Sort { field: "flush", example: ("arena", "tick"), read: read_flush };

fn read_kind(raw: &Raw<'_>) -> Result<RoomKind, String> {
    let name = raw.text().unwrap_or_default();
    RoomKind::named(name).ok_or_else(|| {
        let near = nearest(name, names().into_iter())
            .map(|word| format!("; did you mean {word}?"))
            .unwrap_or_default();
        format!("{raw} is not one of {}{near}", names().join(", "))
    })
}

fn read_flush(raw: &Raw<'_>) -> Result<FlushPolicy, String> {
    let number = match raw {
        Raw::Text(text) => text.parse().ok(),
        Raw::Toml(value) => value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok()),
    };
    match (raw.text(), number) {
        (Some("immediate"), _) => Ok(FlushPolicy::Immediate),
        (Some("tick"), _) => Ok(FlushPolicy::Tick),
        (_, Some(ms)) if (1..=WINDOW_CAP_MS).contains(&ms) => Ok(FlushPolicy::Window(ms)),
        _ => Err(format!("{raw} is not immediate, tick or 1 to {WINDOW_CAP_MS} milliseconds")),
    }
}

type Rule<T> = (Box<str>, T);

fn rules<T>(raw: &Raw<'_>, sort: &Sort<T>) -> Result<Vec<Rule<T>>, Vec<Bad>> {
    let field = sort.field;
    let rules = list(
        raw,
        &format!("rules; write [[rooms.{field}]]"),
        |text| rule_of_text(text, sort),
        |item| {
            if let Some(table) = item.get_ref().as_table() {
                return rule_of_table(table, item.span().start, sort);
            }
            let raw = Raw::Toml(item);
            Err(vec![bad(&raw, format!("{raw} is not a rule; write [[rooms.{field}]]"))])
        },
    )?;
    let mut seen = BTreeSet::new();
    match rules.iter().find(|(prefix, _)| !seen.insert(prefix.clone())) {
        None => Ok(rules),
        Some((prefix, _)) => {
            let message = format!("prefix {prefix:?} is bound twice; remove one");
            Err(vec![Bad { at: None, message }])
        }
    }
}

/// `raw.=raw`: the sign cannot be part of a room's name.
fn rule_of_text<T>(text: &str, sort: &Sort<T>) -> Result<Rule<T>, Vec<Bad>> {
    if let Some((prefix, value)) = text.split_once('=') {
        return rule(&Raw::Text(prefix), &Raw::Text(value), sort);
    }
    let (prefix, value) = sort.example;
    let message = format!("{text:?} is not a rule; write it as {prefix}={value}");
    Err(vec![Bad { at: None, message }])
}

fn rule_of_table<T>(
    table: &DeTable<'_>,
    start: usize,
    sort: &Sort<T>,
) -> Result<Rule<T>, Vec<Bad>> {
    let field = sort.field;
    let mut bads = Vec::new();
    for (name, _) in table {
        if !["prefix", field].contains(&name.get_ref().as_ref()) {
            let name_text = name.get_ref();
            let message = format!("{name_text}: unknown key; a rule has prefix and {field}");
            bads.push(Bad { at: Some(name.span().start), message });
        }
    }
    let mut needed = |name: &str| {
        let found = table.get(name);
        if found.is_none() {
            let (prefix, value) = sort.example;
            let message = format!(
                "a rule needs {name}; write prefix = \"{prefix}\" and {field} = \"{value}\""
            );
            bads.push(Bad { at: Some(start), message });
        }
        found
    };
    if let (Some(prefix), Some(value)) = (needed("prefix"), needed(field)) {
        match rule(&Raw::Toml(prefix), &Raw::Toml(value), sort) {
            Ok(rule) if bads.is_empty() => return Ok(rule),
            Ok(_) => {}
            Err(more) => bads.extend(more),
        }
    }
    Err(bads)
}

fn rule<T>(prefix: &Raw<'_>, value: &Raw<'_>, sort: &Sort<T>) -> Result<Rule<T>, Vec<Bad>> {
    let mut bads = Vec::new();
    let name = prefix.text().unwrap_or_default();
    if !is_room_name(name) {
        bads.push(bad(prefix, not_a_name(prefix, "prefix")));
    }
    match (sort.read)(value) {
        Ok(value) if bads.is_empty() => return Ok((name.into(), value)),
        Ok(_) => {}
        Err(message) => bads.push(bad(value, message)),
    }
    Err(bads)
}

fn not_a_name(raw: &Raw<'_>, what: &str) -> String {
    format!("{raw} is not a {what}; use 1 to {ROOM_NAME_BYTES_MAX} letters, digits and -._~:@")
}

fn bad(raw: &Raw<'_>, message: String) -> Bad {
    let at = match raw {
        Raw::Toml(value) => Some(value.span().start),
        Raw::Text(_) => None,
    };
    Bad { at, message }
}

/// A TOML list, or in text one that is separated by commas.
pub(super) fn list<T>(
    raw: &Raw<'_>,
    what: &str,
    of_text: impl Fn(&str) -> Result<T, Vec<Bad>>,
    of_toml: impl Fn(&Spanned<DeValue<'_>>) -> Result<T, Vec<Bad>>,
) -> Result<Vec<T>, Vec<Bad>> {
    let not_a_list = || vec![Bad { at: None, message: format!("{raw} is not a list of {what}") }];
    let (mut found, mut bads) = (Vec::new(), Vec::new());
    let mut take = |result: Result<T, Vec<Bad>>, in_file: bool| match result {
        Ok(one) => found.push(one),
        // A place in a flag is no place in a file.
        Err(more) => {
            bads.extend(more.into_iter().map(|bad| Bad { at: bad.at.filter(|_| in_file), ..bad }));
        }
    };
    match raw {
        Raw::Text(text) if text.trim_start().starts_with('[') => {
            let assignment = format!("list = {text}");
            let table = DeTable::parse(&assignment).map_err(|_| not_a_list())?;
            let items = table.get_ref().get("list").and_then(|list| list.get_ref().as_array());
            for item in items.ok_or_else(not_a_list)? {
                take(of_toml(item), false);
            }
        }
        Raw::Text(text) => {
            for item in text.split(',').filter(|item| !item.is_empty()) {
                take(of_text(item), false);
            }
        }
        Raw::Toml(value) => {
            for item in value.get_ref().as_array().ok_or_else(not_a_list)? {
                take(of_toml(item), true);
            }
        }
    }
    if bads.is_empty() { Ok(found) } else { Err(bads) }
}
