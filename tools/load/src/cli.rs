//! What can be asked for.

use crate::dialect::{Dialect, Entrance};
use crate::fleet::Plan;
use crate::process::Process;
use crate::spectate::{Seats, Show};
use crate::traffic::{self, Load};
use crate::{idle, spectate, system};
use clap::{Args, Parser, Subcommand, ValueEnum};
use madang_protocol::client::{Class, PresenceMode};
use serde::Serialize;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

/// Members above which a room's presence is a count, unless something else was asked for.
const PRESENCE_FULL_MAX: usize = 256;
/// Longest time of anything, in seconds.
const SECONDS_MAX: f64 = 86_400.0;
/// Least time between two cuts of a connection.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Loads a WebSocket relay and checks what comes back
///
/// Exits with 0 when everything came, once and in order; with 1 when something was lost, repeated,
/// out of order or changed, a connection ended, or a bound was broken; with 2 when it could not be run.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Hold connections that do nothing, and say what each costs the server
    Idle {
        #[command(flatten)]
        common: Common,
        /// Connections
        #[arg(long, default_value_t = 1000, value_parser = count)]
        count: usize,
        /// Connections in a room
        #[arg(long, default_value_t = 10, value_parser = count)]
        rooms_of: usize,
        /// How long to hold them, in seconds
        #[arg(long, default_value = "5", value_parser = seconds)]
        hold: Duration,
        /// Most anonymous memory that a connection may cost the server, in KiB (needs --pid)
        #[arg(long, requires = "pid", allow_negative_numbers = true)]
        kib_max: Option<f64>,
    },
    /// Rooms in which everyone sends to everyone
    Relay {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        sending: Sending,
        /// Connections
        #[arg(long, default_value_t = 1000, value_parser = count)]
        count: usize,
        /// Connections in a room
        #[arg(long, default_value_t = 10, value_parser = count)]
        rooms_of: usize,
    },
    /// One room, in which one sends and all others hear
    Broadcast {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        sending: Sending,
        /// Connections that hear
        #[arg(long, default_value_t = 1000, value_parser = count)]
        count: usize,
    },
    /// Rooms in which one member each speaks and spectators watch by Server-Sent Events, with
    /// players in other rooms beside them
    ///
    /// Compare a run with one that has `--spectators 0`: that is what an audience costs the players.
    Spectate {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        watching: Watching,
        /// Players
        #[arg(long, default_value_t = 0, value_parser = none_or_count)]
        players: usize,
        /// Players in a room
        #[arg(long, default_value_t = 10, value_parser = count)]
        rooms_of: usize,
    },
}

#[derive(Debug, Args)]
struct Watching {
    /// The server's side listener
    #[arg(long, default_value = "http://127.0.0.1:7701")]
    events_url: String,
    /// Spectators, of all rooms together
    #[arg(long, default_value_t = 1000, value_parser = none_or_count)]
    spectators: usize,
    /// Rooms that are watched; in each speaks one member
    #[arg(long, default_value_t = 1, value_parser = count)]
    rooms: usize,
    /// What the names of watched rooms begin with; the server must let them be watched [default: one
    /// that begins with courtyard and is this process's own]
    #[arg(long)]
    watched: Option<String>,
    /// Watch this room, in which others speak; may be given again
    #[arg(long, value_name = "ROOM", conflicts_with_all = ["rooms", "watched"])]
    watch: Vec<String>,
    /// Messages a second in each watched room
    #[arg(long, default_value = "20", value_parser = hz)]
    events_hz: f64,
    /// Payload bytes of those, at least 24; in an event they are base64, a third longer
    #[arg(long, default_value_t = 200, value_parser = payload)]
    events_payload: usize,
    /// How much later the spectators watch, as in 2s or 500ms
    #[arg(long, default_value = "0", value_parser = span)]
    delay: Duration,
    /// How often each spectator is cut off and comes back with its last id, as in 5s
    #[arg(long, value_parser = period)]
    reconnect_every: Option<Duration>,
    /// How many of the spectators do not read while events are sent, and then all at once
    #[arg(long, default_value_t = 0, value_parser = none_or_count)]
    slow: usize,
    /// Least part of the events that those who read have to get
    #[arg(long, default_value = "1", value_parser = part)]
    reach_min: f64,
}

#[derive(Debug, Args)]
struct Common {
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:7700")]
    url: String,
    /// How to speak [default: raw; native where rooms are watched]
    #[arg(long, value_enum)]
    protocol: Option<Dialect>,
    /// Where connections go, with {room} for the room's name [default: /raw/{room} or
    /// /play?room={room}]
    #[arg(long)]
    path: Option<String>,
    /// What room names begin with [default: one that is this process's own]
    #[arg(long)]
    room: Option<String>,
    /// What native and JSON rooms tell about members [default: full up to 256, else count]
    #[arg(long, value_enum)]
    presence: Option<Presence>,
    /// Most connections on their way at the same time
    #[arg(long, default_value_t = 200, value_parser = count)]
    in_flight: usize,
    /// Most connections begun in a second; 0 is no bound
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Addresses to connect from [default for a server on loopback: 127.0.0.1 and following]
    #[arg(long)]
    source: Vec<IpAddr>,
    /// The server's process on this machine, to say what it uses
    #[arg(long)]
    pid: Option<u32>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Sending {
    /// Messages a second from each that sends
    #[arg(long, default_value = "20", value_parser = hz)]
    hz: f64,
    /// Payload bytes, at least 24
    #[arg(long, default_value_t = 64, value_parser = payload)]
    payload: usize,
    /// How long to send, in seconds
    #[arg(long, default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// How long to send before that without measuring, in seconds
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// How long to wait for what is missing at the end, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    drain: Duration,
    /// Delivery class (native and JSON)
    #[arg(long, value_enum, default_value_t = ClassName::Reliable)]
    class: ClassName,
    /// Whether a sender hears itself [default: no for raw; yes for the others, where it is the
    /// acknowledgement]
    #[arg(long)]
    echo: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Presence {
    Full,
    Count,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClassName {
    Reliable,
    Latest,
    Volatile,
}

/// Does what the process's arguments say. Returns whether everything was as it should be; an error
/// says why it could not be run.
pub(crate) fn run() -> Result<bool, String> {
    match Cli::parse().scenario {
        Scenario::Idle { common, count, rooms_of, hold, kib_max } => {
            let plan = common.plan(Dialect::Raw, count, rooms_of, None)?;
            let found = idle::run(plan, hold, kib_max, common.server()?)?;
            print(&found, found.table(), common.json);
            Ok(found.passed)
        }
        Scenario::Relay { common, sending, count, rooms_of } => {
            let plan = common.plan(Dialect::Raw, count, rooms_of, sending.echo)?;
            let load = sending.load("relay", plan.dialect)?;
            send(&common, plan, &load)
        }
        Scenario::Broadcast { common, sending, count } => {
            let plan = common.plan(Dialect::Raw, count + 1, count + 1, sending.echo)?;
            let mut load = sending.load("broadcast", plan.dialect)?;
            load.one_speaker = true;
            send(&common, plan, &load)
        }
        Scenario::Spectate { common, sending, watching, players, rooms_of } => {
            let (plan, seats) = watching.plan(&common, players, rooms_of, sending.echo)?;
            let load = sending.load("relay", plan.dialect)?;
            let found =
                spectate::run(plan, seats, &load, &watching.show(players), common.server()?)?;
            print(&found, found.table(), common.json);
            Ok(found.passed)
        }
    }
}

fn send(common: &Common, plan: Plan, load: &Load) -> Result<bool, String> {
    let found = traffic::run(plan, load, common.server()?)?;
    print(&found, found.table(), common.json);
    Ok(found.passed)
}

fn print(found: &impl Serialize, table: String, as_json: bool) {
    if as_json {
        let json = serde_json::to_string(found).expect("every field has a JSON form");
        println!("{json}");
    } else {
        print!("{table}");
    }
}

impl Common {
    fn plan(
        &self,
        protocol: Dialect,
        connections: usize,
        rooms_of: usize,
        echo: Option<bool>,
    ) -> Result<Plan, String> {
        let protocol = self.protocol.unwrap_or(protocol);
        fits(connections)?;
        let (host, target) = resolve("--url", "ws://", &self.url)?;
        let echo = echo.unwrap_or(protocol.has_classes());
        let mut path = self.path.clone().unwrap_or_else(|| protocol.default_path().to_owned());
        if self.path.is_none() && protocol == Dialect::Raw && echo {
            path.push_str("?echo=1");
        }
        let presence = match self.presence {
            Some(Presence::Full) => PresenceMode::Full,
            Some(Presence::None) => PresenceMode::None,
            None if rooms_of <= PRESENCE_FULL_MAX => PresenceMode::Full,
            Some(Presence::Count) | None => PresenceMode::Count,
        };
        let own = || format!("load-{}-", std::process::id());
        Ok(Plan {
            target,
            host,
            path,
            dialect: protocol,
            entrance: Entrance { echo, presence },
            room_prefix: self.room.clone().unwrap_or_else(own),
            connections,
            rooms_of,
            alone: 0,
            alone_prefix: String::new(),
            in_flight: self.in_flight,
            rate: self.rate,
            sources: self.source.clone(),
            patience: self.patience(connections),
        })
    }

    /// A minute, and as long again as opening takes at the rate that was asked for or at 1000 a
    /// second.
    fn patience(&self, connections: usize) -> Duration {
        let rate = if self.rate == 0 { 1000 } else { self.rate };
        Duration::from_secs(60 + 2 * connections as u64 / u64::from(rate))
    }

    fn server(&self) -> Result<Option<Process>, String> {
        self.pid.map(Process::new).transpose()
    }
}

impl Sending {
    fn load(&self, scenario: &'static str, protocol: Dialect) -> Result<Load, String> {
        if !protocol.has_classes() && self.class != ClassName::Reliable {
            return Err("--class is for native and json: other rooms have none".to_owned());
        }
        Ok(Load {
            scenario,
            one_speaker: false,
            hz: self.hz,
            warmup: self.warmup,
            duration: self.duration,
            drain: self.drain,
            payload_bytes: self.payload,
            class: match self.class {
                ClassName::Reliable => Class::Reliable,
                ClassName::Latest => Class::Latest(0),
                ClassName::Volatile => Class::Volatile,
            },
        })
    }
}

impl Watching {
    /// Who connects to the players' listener, and who watches.
    fn plan(
        &self,
        common: &Common,
        players: usize,
        rooms_of: usize,
        echo: Option<bool>,
    ) -> Result<(Plan, Seats), String> {
        if self.slow > self.spectators {
            return Err(format!("--slow {}: there are {}", self.slow, self.spectators));
        }
        let speakers = if self.watch.is_empty() { self.rooms } else { 0 };
        fits(players + speakers + self.spectators)?;
        let mut plan = common.plan(Dialect::Native, players + speakers, rooms_of, echo)?;
        let own = || format!("courtyard-load-{}-", std::process::id());
        plan.alone = speakers;
        plan.alone_prefix = self.watched.clone().unwrap_or_else(own);
        let spoken = (0..speakers).map(|room| format!("{}{room}", plan.alone_prefix));
        let (host, target) = resolve("--events-url", "http://", &self.events_url)?;
        let seats = Seats {
            target,
            host,
            rooms: spoken.chain(self.watch.iter().cloned()).collect(),
            spectators: self.spectators,
            slow: self.slow,
            delay_ms: self.delay.as_millis() as u64,
            in_flight: common.in_flight,
            sources: common.source.clone(),
            patience: common.patience(self.spectators),
        };
        Ok((plan, seats))
    }

    fn show(&self, players: usize) -> Show {
        Show {
            players,
            events_hz: self.events_hz,
            payload_bytes: self.events_payload,
            reconnect_every: self.reconnect_every,
            reach_min: self.reach_min,
        }
    }
}

/// Refuses more connections than this process can have.
fn fits(connections: usize) -> Result<(), String> {
    let fit = system::connections_max();
    if connections as u64 <= fit {
        return Ok(());
    }
    Err(format!(
        "{connections} connections do not fit: {fit} do by this process's descriptors \
         (raise ulimit -n, or run several processes)"
    ))
}

/// The `Host` field and the address of a URL of this scheme.
fn resolve(
    option: &str,
    scheme: &str,
    url: &str,
) -> Result<(String, std::net::SocketAddr), String> {
    let rest = url
        .strip_prefix(scheme)
        .ok_or_else(|| format!("{option} {url}: only {scheme} so far, as in {scheme}127.0.0.1"))?;
    let host = rest.trim_end_matches('/');
    let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut found =
        address.to_socket_addrs().map_err(|error| format!("{option} {url}: {error}"))?;
    let target = found.next().ok_or_else(|| format!("{option} {url}: no address"))?;
    Ok((host.to_owned(), target))
}

fn count(text: &str) -> Result<usize, String> {
    in_range(text, 1.0, 1e6).map(|value| value as usize)
}

fn none_or_count(text: &str) -> Result<usize, String> {
    in_range(text, 0.0, 1e6).map(|value| value as usize)
}

fn part(text: &str) -> Result<f64, String> {
    in_range(text, 0.0, 1.0)
}

/// A time with its unit; 0 needs none.
fn span(text: &str) -> Result<Duration, String> {
    let unit = |suffix: &str, seconds: f64| Some((text.strip_suffix(suffix)?, seconds));
    let (number, seconds) = unit("ms", 0.001)
        .or_else(|| unit("s", 1.0))
        .or_else(|| unit("m", 60.0))
        .or((text == "0").then_some((text, 1.0)))
        .ok_or("a number with ms, s or m")?;
    in_range(number, 0.0, SECONDS_MAX / seconds)
        .map(|value| Duration::from_secs_f64(value * seconds))
}

/// A time that something can be done again and again after.
fn period(text: &str) -> Result<Duration, String> {
    let period = span(text)?;
    if period < PERIOD_MIN { Err(format!("at least {PERIOD_MIN:?}")) } else { Ok(period) }
}

fn payload(text: &str) -> Result<usize, String> {
    in_range(text, crate::stamp::BYTES_MIN as f64, 1e6).map(|value| value as usize)
}

fn hz(text: &str) -> Result<f64, String> {
    in_range(text, 0.001, 1e6)
}

fn seconds(text: &str) -> Result<Duration, String> {
    in_range(text, 0.0, SECONDS_MAX).map(Duration::from_secs_f64)
}

fn in_range(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("a number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn urls_are_resolved_or_refused() {
        let resolve = |url| resolve("--url", "ws://", url);
        assert_eq!(resolve("ws://127.0.0.1:7700/").unwrap().0, "127.0.0.1:7700");
        assert_eq!(resolve("ws://127.0.0.1").unwrap().1.port(), 80);
        assert!(resolve("http://127.0.0.1").is_err());
    }

    #[test]
    fn numbers_are_bounded() {
        assert!(count("0").is_err() && count("x").is_err() && hz("0").is_err());
        assert_eq!(payload("23"), Err("a number from 24 to 1000000".to_owned()));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!((none_or_count("0"), part("1.1").is_err()), (Ok(0), true));
        assert_eq!(
            (span("2s"), span("1.5m")),
            (Ok(Duration::from_secs(2)), Ok(Duration::from_secs(90)))
        );
        assert_eq!((span("0"), span("20ms")), (Ok(Duration::ZERO), Ok(Duration::from_millis(20))));
        assert!(period("0").is_err() && period("10ms").is_ok());
        assert!(span("2").is_err() && span("s").is_err() && span("2h").is_err());
    }
}
