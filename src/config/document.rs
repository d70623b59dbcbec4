//! What is written about the keys: the sample file, the list in `--help`, the documentation's table.

use super::{Config, KEYS, Key, SECTIONS};
use std::fmt::Write as _;

/// A configuration file with every key at its default.
pub fn sample() -> String {
    let mut text = String::from(
        "# Configuration of Madang: every key, at its default.\n\
         # Flags (--set play.listen=127.0.0.1:7700) and environment variables\n\
         # (MADANG_PLAY_LISTEN=127.0.0.1:7700) override what stands here.\n",
    );
    let defaults = Config::default();
    for section in SECTIONS {
        let _ = write!(text, "\n# {}\n[{}]\n", section.doc.trim(), section.name);
        for key in keys_of(section.name) {
            let _ = writeln!(text, "\n# {} ({})", sentence(key), key.accepts());
            if let Some(value) = (key.render)(&defaults) {
                let _ = writeln!(text, "{} = {value}", key.name);
            }
        }
    }
    text
}

/// Every key with its default, a line each, for a terminal.
pub fn help() -> String {
    let mut text = String::from(
        "Configuration keys (default), for the file, for --set KEY=VALUE, and as MADANG_SECTION_KEY \
         in the environment:\n",
    );
    for key in KEYS {
        let _ =
            writeln!(text, "  {} ({})\n      {}", key.path(), key.default_text(), key.doc.trim());
    }
    text
}

/// Every key as Markdown tables, one per section.
pub fn markdown() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let _ = write!(text, "## `[{}]`\n\n{}\n\n", section.name, section.doc.trim());
        text.push_str("| key | default | accepts | meaning |\n|---|---|---|---|\n");
        for key in keys_of(section.name) {
            let default = key.default_text();
            let default =
                if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
            let _ = writeln!(
                text,
                "| `{}` | {default} | {} | {} |",
                key.name,
                key.accepts(),
                key.doc.trim()
            );
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// The meaning of a key without its final full stop, so that what it accepts can follow.
fn sentence(key: &Key) -> &'static str {
    key.doc.trim().trim_end_matches('.')
}
