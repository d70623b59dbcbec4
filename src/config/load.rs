//! Reading the sources in order of strength, and saying where each problem is.

use super::value::Raw;
use super::{CONFIG_VARIABLE, Config, KEYS, Key, SECTIONS, VARIABLE_PREFIX, check};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Variables with this prefix that an orchestrator sets for a service of this name, and those that
/// tests pass to themselves: they are not the server's.
const FOREIGN_VARIABLES: &[&str] = &["MADANG_SERVICE_", "MADANG_PORT", "MADANG_TEST_"];

/// Where values come from, besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file's name, as messages shall show it, and its content.
    pub file: Option<(String, String)>,
    /// The process's environment; what does not begin with `MADANG_` is ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// The command line, later ones stronger.
    pub flags: Vec<Flag>,
}

/// One value from the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// How it was written there: `--listen` or `--set play.listen`.
    pub shown: String,
    /// The key: `play.listen`.
    pub path: String,
    /// The value.
    pub value: String,
}

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Reads all sources over the defaults.
///
/// # Errors
///
/// Every unknown key, every value that is not valid, and, when there are none of these, every pair
/// of keys that do not go together.
pub fn load(sources: &Sources) -> Result<Config, Problems> {
    let mut loader = Loader::default();
    if let Some((name, text)) = &sources.file {
        loader.file(name, text);
    }
    loader.environment(&sources.environment);
    for flag in &sources.flags {
        loader.flag(flag);
    }
    if loader.problems.is_empty() {
        loader.cross_check();
    }
    if loader.problems.is_empty() { Ok(loader.config) } else { Err(Problems(loader.problems)) }
}

/// The candidate most like `word`, if it is like it enough to have been meant.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        // As many letters more or less are as many slips: most need no closer look.
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= slips(candidate))
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= slips(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[derive(Default)]
struct Loader {
    config: Config,
    /// Where each key was last set, as messages shall show it.
    set_at: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Loader {
    fn file(&mut self, name: &str, text: &str) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let place = |offset: usize| format!("{name}:{}", line_of(text, offset));
        let mut problems = Vec::new();
        // One slip makes several errors, and nonsense of what is read after it.
        let mut first_slip = usize::MAX;
        let mut broken_lines = BTreeSet::new();
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            if broken_lines.insert(line_of(text, at)) {
                problems.push((at, format!("{}: {}", place(at), error.message())));
            }
            first_slip = first_slip.min(line_of(text, at));
        }
        let syntax_problems = problems.len();
        for (section, value) in document.get_ref() {
            let at = section.span().start;
            let path = section.get_ref().as_ref();
            match (SECTIONS.iter().find(|known| known.name == path), value.get_ref()) {
                (Some(_), DeValue::Table(table)) => {
                    for (key, value) in table {
                        let path = format!("{path}.{}", key.get_ref());
                        problems.extend(self.file_key(&path, key.span().start, value, &place));
                    }
                }
                (Some(_), _) => {
                    let message = format!("{path}: this is a section; write [{path}]");
                    problems.push((at, format!("{}: {message}", place(at))));
                }
                (None, DeValue::Table(_)) => {
                    let near = nearest(path, SECTIONS.iter().map(|known| known.name))
                        .map(|near| format!("; did you mean [{near}]?"))
                        .unwrap_or_default();
                    problems.push((at, format!("{}: [{path}]: unknown section{near}", place(at))));
                }
                (None, _) => {
                    problems.push((at, format!("{}: {path}: {}", place(at), unknown(path))));
                }
            }
        }
        let of_keys = problems.split_off(syntax_problems);
        problems.extend(of_keys.into_iter().filter(|(at, _)| line_of(text, *at) < first_slip));
        // The table's order is that of the alphabet; a reader goes from the top.
        problems.sort();
        self.problems.extend(problems.into_iter().map(|(_, problem)| problem));
    }

    fn file_key(
        &mut self,
        path: &str,
        at: usize,
        value: &Spanned<DeValue<'_>>,
        place: &impl Fn(usize) -> String,
    ) -> Vec<(usize, String)> {
        let Some(key) = find(path) else {
            return vec![(at, format!("{}: {path}: {}", place(at), unknown(path)))];
        };
        self.set_at.insert(path.to_owned(), place(at));
        let Err(bads) = (key.set)(&mut self.config, &Raw::Toml(value)) else {
            return Vec::new();
        };
        bads.into_iter()
            .map(|bad| {
                let at = bad.at.unwrap_or(at);
                (at, format!("{}: {path}: {}", place(at), bad.message))
            })
            .collect()
    }

    fn environment(&mut self, variables: &[(OsString, OsString)]) {
        let mut ours: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.to_string_lossy(), value))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && name != CONFIG_VARIABLE)
            .filter(|(name, _)| !FOREIGN_VARIABLES.iter().any(|foreign| name.starts_with(foreign)))
            .collect();
        ours.sort();
        for (name, value) in ours {
            let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
                let path = name[VARIABLE_PREFIX.len()..].to_ascii_lowercase().replacen('_', ".", 1);
                let near = meant(&path)
                    .map(|key| format!("; did you mean {}?", key.variable()))
                    .unwrap_or_default();
                self.problems.push(format!("{name}: unknown key{near}"));
                continue;
            };
            match value.to_str() {
                Some(text) => self.text(key, &name, text),
                None => {
                    self.problems.push(format!("{name}: {} is not UTF-8", value.to_string_lossy()));
                }
            }
        }
    }

    fn flag(&mut self, flag: &Flag) {
        match find(&flag.path) {
            Some(key) => self.text(key, &flag.shown, &flag.value),
            None => self.problems.push(format!("{}: {}", flag.shown, unknown(&flag.path))),
        }
    }

    fn text(&mut self, key: &Key, shown: &str, text: &str) {
        self.set_at.insert(key.path(), shown.to_owned());
        if let Err(bads) = (key.set)(&mut self.config, &Raw::Text(text)) {
            self.problems.extend(bads.iter().map(|bad| format!("{shown}: {}", bad.message)));
        }
    }

    fn cross_check(&mut self) {
        for conflict in check::conflicts(&self.config) {
            // The default of one key can conflict with the other, which alone was set.
            let place = conflict.keys.iter().find_map(|key| self.set_at.get(*key));
            self.problems.push(match place {
                Some(place) => format!("{place}: {}", conflict.message),
                None => conflict.message,
            });
        }
    }
}

fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// What to say of a key that does not exist.
fn unknown(path: &str) -> String {
    match meant(path) {
        Some(key) => format!("unknown key; did you mean {}?", key.path()),
        None => "unknown key; madang default-config lists all".to_owned(),
    }
}

/// The key that an unknown path was probably meant to be: the same name in another section, or a
/// path that is written much like it.
fn meant(path: &str) -> Option<&'static Key> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let elsewhere = KEYS.iter().find(|key| key.name == name);
    elsewhere.or_else(|| {
        KEYS.iter()
            .map(|key| (distance(path, &key.path()).min(distance(path, key.name)), key))
            .filter(|(distance, key)| *distance <= slips(key.name))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, key)| key)
    })
}

/// How many slips of the pen still leave a word recognisable.
fn slips(word: &str) -> usize {
    (word.len() / 3).max(1)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Least number of insertions, removals, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances_count_single_slips() {
        for (a, b, expected) in [
            ("", "", 0),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("listne", "listen", 1),
            ("", "abc", 3),
            ("jsn", "json", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a:?} {b:?}");
            assert_eq!(distance(b, a), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn nothing_is_suggested_for_what_resembles_nothing() {
        assert_eq!(nearest("zzz", ["human", "json"].into_iter()), None);
        assert_eq!(nearest("jsn", ["human", "json"].into_iter()), Some("json"));
    }
}
