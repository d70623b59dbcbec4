//! A mix of loads, as a TOML file: `[[load]]` sections whose keys are the options of their scenario.
//! They become the arguments that somebody would have typed, so that both mean the same.

use super::options::{Asked, Searching};
use super::values::span;
use super::{Cli, Order, Scenario, Task};
use crate::conductor::Section;
use crate::threshold::Threshold;
use clap::error::ContextKind;
use clap::{ArgAction, Args as _, Command, CommandFactory as _, Id, Parser as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys that are no options.
const OWN_KEYS: [&str; 3] = ["name", "scenario", "after"];

/// A section that may be run.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) section: Section,
    pub(super) expect: Vec<Threshold>,
}

/// Reads a mix. `overrides` are keys and values that hold in every section that has such an option. An
/// error has everything that is wrong, a line each, with its place.
pub(super) fn read(
    name: &str,
    text: &str,
    overrides: &[(String, String)],
) -> Result<Vec<Load>, String> {
    let place = |offset: usize| {
        format!("{name}:{}", 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count())
    };
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        format!("{}: {}", place(at), error.message())
    })?;
    let mut problems = BTreeMap::new();
    let mut sections = Vec::new();
    for (key, value) in document.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("load", DeValue::Array(loads)) => sections.extend(loads.iter()),
            (other, _) => {
                let said = format!("{other}: unknown; a mix has [[load]] sections alone");
                problems.insert(key.span().start, said);
            }
        }
    }
    let mut names = BTreeSet::new();
    let mut loads = Vec::new();
    for section in sections {
        let DeValue::Table(table) = section.get_ref() else {
            problems.insert(section.span().start, "load: write [[load]]".to_owned());
            continue;
        };
        match load(table, section.span().start, overrides) {
            Ok(load) if !names.insert(load.section.name.clone()) => {
                let said = format!(
                    "{}: two loads have this name; give one another by name",
                    load.section.name
                );
                problems.insert(section.span().start, said);
            }
            Ok(load) => loads.push(load),
            Err((at, why)) => {
                problems.insert(at, why);
            }
        }
    }
    if !problems.is_empty() {
        let said: Vec<_> =
            problems.into_iter().map(|(at, why)| format!("{}: {why}", place(at))).collect();
        return Err(said.join("\n"));
    }
    if loads.iter().all(|load| !load.section.after.is_zero()) {
        return Err(format!("{name}: no [[load]] begins at once: one has to have no `after`"));
    }
    Ok(loads)
}

/// A section; or where something is wrong with it, and what.
fn load(
    table: &DeTable<'_>,
    at: usize,
    overrides: &[(String, String)],
) -> Result<Load, (usize, String)> {
    let text = |key: &str| match table.get_key_value(key) {
        None => Ok(None),
        Some((key, value)) => match value.get_ref() {
            DeValue::String(text) => Ok(Some((key.span().start, text.as_ref().to_owned()))),
            _ => Err((key.span().start, format!("{}: a text is needed", key.get_ref()))),
        },
    };
    let (scenario_at, scenario) =
        text("scenario")?.ok_or_else(|| (at, "a load needs a scenario".to_owned()))?;
    let cli = Cli::command();
    let command = cli
        .get_subcommands()
        .find(|command| command.get_name() == scenario && is_scenario(command))
        .ok_or_else(|| {
            let known: Vec<_> = cli
                .get_subcommands()
                .filter(|command| is_scenario(command))
                .map(Command::get_name)
                .collect();
            (scenario_at, format!("scenario {scenario:?}: one of {}", known.join(", ")))
        })?;
    let after = match text("after")? {
        None => Duration::ZERO,
        Some((at, text)) => span(&text).map_err(|why| (at, format!("after: {why}")))?,
    };
    let name = match text("name")? {
        None => scenario.clone(),
        Some((at, name)) => {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(is_fit) {
                return Err((at, format!("name {name:?}: letters, digits, - and _ alone")));
            }
            name
        }
    };

    let mut arguments = vec!["madang-load".to_owned(), scenario.clone()];
    let mut places = BTreeMap::new();
    let mut overridden = BTreeSet::new();
    for (key, value) in overrides {
        if let Some(option) = Option::find(command, key) {
            arguments
                .extend(option.arguments(std::slice::from_ref(value)).map_err(|why| (at, why))?);
            overridden.insert(option.name);
        }
    }
    for (key, value) in table {
        if OWN_KEYS.contains(&key.get_ref().as_ref()) {
            continue;
        }
        let key_at = key.span().start;
        let option = Option::find(command, key.get_ref()).ok_or_else(|| {
            let known = Option::all(command).map(|option| option.name).collect::<Vec<_>>();
            let said = format!("{}: {scenario} has no such key; it has ", key.get_ref());
            (key_at, said + &known.join(", "))
        })?;
        let values = values(value).map_err(|why| (key_at, format!("{}: {why}", key.get_ref())))?;
        if !overridden.contains(&option.name) {
            arguments.extend(option.arguments(&values).map_err(|why| (key_at, why))?);
        }
        places.insert(option.name, key_at);
    }
    let parsed = Cli::try_parse_from(&arguments).map_err(|error| {
        let named = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        let option = named.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
        let said = error.to_string();
        let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        (places.get(option).copied().unwrap_or(at), said)
    })?;
    let Task::Scenario(scenario) = parsed.task else {
        return Err((scenario_at, format!("scenario {scenario:?}: cannot be in a mix")));
    };
    let order = order(&scenario).map_err(|why| (at, why))?;
    let jobs = order.job.split(order.processes).map_err(|why| (at, why))?;
    Ok(Load { section: Section { name, jobs, after }, expect: order.expect })
}

fn order(scenario: &Scenario) -> Result<Order, String> {
    scenario.order().map(|(order, _)| order)
}

fn is_scenario(command: &Command) -> bool {
    !command.is_hide_set() && Option::all(command).any(|option| option.name == "url")
}

/// An option of a scenario.
struct Option {
    /// As it is typed, without the dashes.
    name: String,
    is_switch: bool,
}

impl Option {
    fn all(command: &Command) -> impl Iterator<Item = Self> {
        let of_a_run = of_a_run();
        command
            .get_arguments()
            .filter(move |argument| !of_a_run.contains(argument.get_id()))
            .filter_map(|argument| {
                let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
                Some(Self { name: argument.get_long()?.to_owned(), is_switch })
            })
    }

    /// The one of this key, with dashes or underscores.
    fn find(command: &Command, key: &str) -> std::option::Option<Self> {
        let name = key.replace('_', "-");
        Self::all(command).find(|option| option.name == name)
    }

    fn arguments(&self, values: &[String]) -> Result<Vec<String>, String> {
        if !self.is_switch {
            return Ok(values.iter().map(|value| format!("--{}={value}", self.name)).collect());
        }
        match values {
            [value] if value == "true" => Ok(vec![format!("--{}", self.name)]),
            [value] if value == "false" => Ok(Vec::new()),
            _ => Err(format!("{}: true or false", self.name)),
        }
    }
}

/// Options that are of a whole run: of its report, and of the search for a rate.
fn of_a_run() -> BTreeSet<Id> {
    let command = Searching::augment_args(Asked::augment_args(Command::new("run")));
    command.get_arguments().map(|argument| argument.get_id().clone()).collect()
}

/// A value as it would be typed; several of a list.
fn values(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(vec![text.as_ref().to_owned()]),
        DeValue::Integer(number) if number.radix() == 10 => Ok(vec![number.as_str().to_owned()]),
        DeValue::Float(number) => Ok(vec![number.as_str().to_owned()]),
        DeValue::Boolean(value) => Ok(vec![value.to_string()]),
        DeValue::Array(all) => {
            let each = all.iter().map(values).collect::<Result<Vec<_>, _>>()?;
            Ok(each.concat())
        }
        _ => Err("a number, a text, true, false or a list of those is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        read("mix.toml", text, &[]).expect_err("something is wrong")
    }

    #[test]
    fn sections_are_what_their_arguments_would_be() {
        let text = "[[load]]\nscenario = \"relay\"\ncount = 20\nrooms-of = 5\nhz = 2.5\n\
                    processes = 2\nexpect = [\"p99<5s\", \"loss=0\"]\n\
                    [[load]]\nname = \"late\"\nscenario = \"echo\"\nafter = \"2s\"\n\
                    check_every = 1\nclosed = true\n";
        let overrides =
            [("count".to_owned(), "30".to_owned()), ("players".to_owned(), "1".to_owned())];
        let loads = read("mix.toml", text, &overrides).unwrap();
        let sections: Vec<_> = loads
            .iter()
            .map(|load| (load.section.name.as_str(), load.section.jobs.len(), load.expect.len()))
            .collect();
        assert_eq!(sections, [("relay", 2, 2), ("late", 1, 0)]);
        assert_eq!(loads[1].section.after, Duration::from_secs(2));
        let connections: usize =
            loads[0].section.jobs.iter().map(crate::job::Job::connections).sum();
        assert_eq!(connections, 30, "overridden");
    }

    #[test]
    fn what_is_wrong_says_where() {
        for (text, said) in [
            (
                "[[load]]\nscenario = \"relay\"\nspeed = 3\n",
                "mix.toml:3: speed: relay has no such key",
            ),
            ("[[load]]\nscenario = \"relay\"\nhz = 0\n", "mix.toml:3: invalid value '0' for '--hz"),
            ("[[load]]\nscenario = \"relay\"\npid = 3\n", "mix.toml:3: pid: relay has no such key"),
            ("[[load]]\nscenario = \"relay\"\n\nclosed = 3\n", "mix.toml:4: closed: true or false"),
            ("[[load]]\nscenario = \"dance\"\n", "mix.toml:2: scenario \"dance\": one of"),
            ("[[load]]\nscenario = \"worker\"\n", "mix.toml:2: scenario \"worker\": one of"),
            ("\n[[load]]\ncount = 3\n", "mix.toml:2: a load needs a scenario"),
            ("[[load]]\nscenario = \"echo\"\nname = \"a.b\"\n", "mix.toml:3: name \"a.b\""),
            ("[[load]]\nscenario = \"echo\"\nafter = \"soon\"\n", "mix.toml:3: after:"),
            ("[[load]]\nscenario = \"echo\"\nafter = \"1s\"\n", "begins at once"),
            (
                "[[load]]\nscenario = \"echo\"\n[[load]]\nscenario = \"echo\"\n",
                "mix.toml:3: echo: two loads",
            ),
            ("hz = 3\n", "mix.toml:1: hz: unknown"),
            ("[[load\n", "mix.toml:1: "),
        ] {
            let found = problems(text);
            assert!(found.contains(said), "{text}: {found}");
        }
        let found = problems("[[load]]\nscenario = \"relay\"\nspeed = 3\n[[load]]\nhz = 3\n");
        assert_eq!(found.lines().count(), 2, "{found}");
    }

    /// A group's heading holds for everything behind the group: what is a scenario's own comes first.
    #[test]
    fn no_option_is_shown_in_a_group_that_is_not_its_own() {
        let of_a_run = of_a_run();
        for command in Cli::command().get_subcommands().filter(|command| is_scenario(command)) {
            for argument in command.get_arguments() {
                let is_shown_there =
                    argument.get_help_heading().is_some_and(|it| it == "Report" || it == "Search");
                let (scenario, id) = (command.get_name(), argument.get_id());
                assert_eq!(is_shown_there, of_a_run.contains(id), "{scenario} {id}");
            }
        }
    }

    #[test]
    fn the_sample_is_read() {
        let loads = read("mix.sample.toml", include_str!("../../mix.sample.toml"), &[]).unwrap();
        assert!(loads.len() >= 3, "{loads:?}");
    }
}
