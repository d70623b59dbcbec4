//! Who is measured: how each is started, what it speaks, and which version it is.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where programs are.
pub(crate) struct Places {
    /// Of this program, `madang` and `madang-load`.
    pub(crate) own: PathBuf,
    /// Where `run.sh` puts what the others need.
    pub(crate) built: PathBuf,
    /// The others' sources.
    pub(crate) sources: PathBuf,
    /// Of the programs in Rust the debug builds are wanted, which the quick check makes.
    pub(crate) debug: bool,
}

/// A server with its settings.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// What the load tool calls its protocol.
    pub(crate) protocol: &'static str,
}

#[derive(Debug)]
pub(crate) enum Program {
    /// This project's server, with further arguments.
    Madang(&'static [&'static str]),
    /// The floor, with its arguments.
    Floor(&'static [&'static str]),
    /// One of the Rust crate's binaries; the crate that it measures has the same name.
    Rust(&'static str),
    /// A script, and the package that it measures.
    Node(&'static str, &'static str),
    /// A script, and the package that it measures.
    Python(&'static str, &'static str),
}

const MADANG: Candidate = raw("madang", "Madang", Program::Madang(&["--shards", "1"]));

/// All of them. Who has a room window names it last, so that ratios are between equal windows.
pub(crate) const ALL: [Candidate; 20] = [
    MADANG,
    raw(
        "madang-5ms",
        "Madang, window of 5 ms",
        Program::Madang(&["--shards", "1", "--set", "rooms.flush_ms=5"]),
    ),
    raw(
        "madang-20ms",
        "Madang, window of 20 ms",
        Program::Madang(&["--shards", "1", "--set", "rooms.flush_ms=20"]),
    ),
    Candidate { id: "madang-native", name: "Madang's own protocol", protocol: "native", ..MADANG },
    // Spectators get the descriptors that players leave.
    Candidate {
        id: "madang-watched",
        name: "Madang",
        protocol: "native",
        program: Program::Madang(&["--shards", "1", "--set", "play.connections_max=8000"]),
    },
    Candidate {
        id: "madang-native-5ms",
        name: "Madang's own protocol, window of 5 ms",
        protocol: "native",
        program: Program::Madang(&["--shards", "1", "--set", "rooms.flush_ms=5"]),
    },
    Candidate {
        id: "madang-native-20ms",
        name: "Madang's own protocol, window of 20 ms",
        protocol: "native",
        program: Program::Madang(&["--shards", "1", "--set", "rooms.flush_ms=20"]),
    },
    raw("madang-2-shards", "Madang, two shards", Program::Madang(&["--shards", "2"])),
    raw("floor-each", "floor, one send a delivery", Program::Floor(&["--send", "each"])),
    raw("floor-turn", "floor, one write a turn", Program::Floor(&["--send", "turn"])),
    raw(
        "floor-5ms",
        "floor, window of 5 ms",
        Program::Floor(&["--send", "turn", "--window-ms", "5"]),
    ),
    raw(
        "floor-20ms",
        "floor, window of 20 ms",
        Program::Floor(&["--send", "turn", "--window-ms", "20"]),
    ),
    raw("tokio-tungstenite", "tokio-tungstenite", Program::Rust("tokio-tungstenite")),
    raw("axum", "axum", Program::Rust("axum")),
    raw("fastwebsockets", "fastwebsockets", Program::Rust("fastwebsockets")),
    raw("socketify", "socketify (uWebSockets)", Program::Python("socketify_relay.py", "socketify")),
    raw("picows", "picows", Program::Python("picows_relay.py", "picows")),
    raw("ws", "ws", Program::Node("ws.js", "ws")),
    Candidate {
        id: "socket-io",
        name: "Socket.IO",
        program: Program::Node("socket-io.js", "socket.io"),
        protocol: "socket-io",
    },
    Candidate {
        id: "colyseus",
        name: "Colyseus",
        program: Program::Node("colyseus.js", "@colyseus/core"),
        protocol: "colyseus",
    },
];

const fn raw(id: &'static str, name: &'static str, program: Program) -> Candidate {
    Candidate { id, name, program, protocol: "raw" }
}

/// The candidate of this id.
pub(crate) fn find(id: &str) -> Option<&'static Candidate> {
    ALL.iter().find(|candidate| candidate.id == id)
}

impl Candidate {
    /// What its room window adds to its id; nothing without one.
    pub(crate) fn window(&self) -> &'static str {
        ["-5ms", "-20ms"].into_iter().find(|window| self.id.ends_with(window)).unwrap_or_default()
    }

    /// How it is started, on any free port. An error says what is missing.
    pub(crate) fn command(&self, places: &Places) -> Result<Command, String> {
        match self.program {
            Program::Madang(arguments) => {
                let mut command = Command::new(exists(places.own.join("madang"))?);
                command.args(["serve", "--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"]);
                command.args(["--log-level", "warn", "--set", "rooms.open="]);
                // What protects a server from its clients' rate would be what is measured.
                for key in ["messages_per_second", "messages_burst"] {
                    command.args(["--set", &format!("play.{key}=10000000")]);
                }
                for key in ["bytes_per_second", "bytes_burst"] {
                    command.args(["--set", &format!("play.{key}=1073741824")]);
                }
                command.args(["--set", "watch.connections_max=6000"]).args(arguments);
                // It takes its configuration from these, and refuses what it does not know.
                for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MADANG_")) {
                    command.env_remove(name);
                }
                Ok(command)
            }
            Program::Floor(arguments) => {
                let mut command = Command::new(rust(places, "floor")?);
                command.args(arguments);
                Ok(command)
            }
            Program::Rust(name) => Ok(Command::new(rust(places, name)?)),
            Program::Node(script, package) => {
                let node = places.sources.join("node");
                exists(node.join("node_modules").join(package))?;
                let mut command = Command::new("node");
                command.arg(node.join(script)).env("NODE_ENV", "production");
                Ok(command)
            }
            Program::Python(script, package) => {
                let packages = places.built.join("python");
                exists(packages.join(package))?;
                let mut command = Command::new("python3");
                command.arg(places.sources.join("python").join(script)).env("PYTHONPATH", packages);
                Ok(command)
            }
        }
    }

    /// The version that is measured, as far as it can be found out.
    pub(crate) fn version(&self, places: &Places) -> Option<String> {
        match self.program {
            Program::Madang(_) | Program::Floor(_) => Some(env!("CARGO_PKG_VERSION").to_owned()),
            Program::Rust(name) => {
                let lock = fs::read_to_string(places.sources.join("rust/Cargo.lock")).ok()?;
                let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
                Some(rest.split_once('"')?.0.to_owned())
            }
            Program::Node(_, package) => {
                let path = places.sources.join("node/node_modules").join(package);
                let text = fs::read_to_string(path.join("package.json")).ok()?;
                let package: Value = serde_json::from_str(&text).ok()?;
                Some(package["version"].as_str()?.to_owned())
            }
            Program::Python(_, package) => {
                let path = places.sources.join("python/requirements.txt");
                let text = fs::read_to_string(path).ok()?;
                let pinned = format!("{package}==");
                text.lines().find_map(|line| line.strip_prefix(&pinned)).map(str::to_owned)
            }
        }
    }
}

fn rust(places: &Places, name: &str) -> Result<PathBuf, String> {
    let profile = if places.debug { "debug" } else { "release" };
    exists(places.built.join("rust").join(profile).join(name))
}

fn exists(path: PathBuf) -> Result<PathBuf, String> {
    if path.exists() { Ok(path) } else { Err(missing(&path)) }
}

fn missing(path: &Path) -> String {
    format!("{} is missing; benches/peers/run.sh builds and installs everything", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_and_windows_are_the_last_part_of_them() {
        let ids: HashSet<_> = ALL.iter().map(|candidate| candidate.id).collect();
        assert_eq!(ids.len(), ALL.len());
        let window = |id| find(id).unwrap().window();
        assert_eq!((window("madang"), window("madang-native-20ms")), ("", "-20ms"));
        assert_eq!(window("floor-5ms"), "-5ms");
    }
}
