//! The server's configuration: every key is declared once, in `keys.rs`.
//!
//! From that one table come the typed [`Config`], the shipped sample, the names of flags and
//! environment variables, the list in `--help`, the table in the documentation and every check of
//! a single value. [`load`] reads the sources, strongest first: flags, environment
//! (`MADANG_PLAY_LISTEN`), the TOML file, defaults. It reports all problems, not just the first,
//! each with its place and its remedy.
//!
//! Deliberately absent: reloading, and any value that is checked later than at start-up.

mod access;
mod check;
mod document;
mod keys;
mod load;
mod networks;
mod recording;
mod rules;
mod secret;
mod tls;
mod value;
mod watching;

pub use access::{Anonymous, CookieName, FilePath, KeySource, Text, TokenAlgorithm, TokenKey};
pub use document::{help, markdown, sample};
pub use keys::{Access, Auth, Config, KEYS, Log, Play, Rooms, SECTIONS, Server, Tls, Watch};
pub use load::{Flag, Problems, Sources, load};
pub use networks::{BanRule, Moment, Network};
pub use recording::{Directory, Prefix};
pub use rules::{FlushPolicy, FlushRule, KindRule, RoomKind, RoomName};
pub use secret::Secret;
pub use tls::Certificate;
pub use value::{ForwardedBy, Level, LogFormat};
pub use watching::{Origin, WatchRule};

use value::{Bad, Raw};

/// A section of the configuration: a TOML table and a field of [`Config`].
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What its keys are about.
    pub doc: &'static str,
}

/// One key of the configuration, as declared in `keys.rs`.
#[derive(Debug)]
pub struct Key {
    /// Its section's name.
    pub section: &'static str,
    /// Its name within the section.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// What it accepts, in words.
    accepts: fn() -> String,
    /// Its value in a configuration, as TOML; none when a TOML assignment cannot say it.
    render: fn(&Config) -> Option<String>,
    /// Reads, checks and stores a value.
    set: fn(&mut Config, &Raw<'_>) -> Result<(), Vec<Bad>>,
}

impl Key {
    /// The name in a TOML file's words and in `--set`: `play.listen`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The name of its environment variable: `MADANG_PLAY_LISTEN`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}_{}", self.section, self.name).to_ascii_uppercase()
    }

    /// What it accepts, in words: `1 to 65536`.
    pub fn accepts(&self) -> String {
        (self.accepts)()
    }

    /// Its default as TOML; empty for an empty list.
    pub fn default_text(&self) -> String {
        (self.render)(&Config::default()).unwrap_or_default()
    }
}

/// What the names of the server's environment variables begin with.
pub const VARIABLE_PREFIX: &str = "MADANG_";
/// The environment variable that names the configuration file, as `--config` does.
pub const CONFIG_VARIABLE: &str = "MADANG_CONFIG";
/// The configuration file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "madang.toml";
