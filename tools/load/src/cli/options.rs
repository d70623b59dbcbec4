//! The options, in groups, and the jobs that they describe.

use super::Order;
use super::values::{
    Address, count, hz, none_or_count, part, payload, period, precision, resolve, seconds, span,
    tries,
};
use crate::dialect::{Dialect, Entrance};
use crate::fleet::Plan;
use crate::job::Job;
use crate::process::Process;
use crate::search::Search;
use crate::spectate::{self, Seats, Show};
use crate::threshold::{self, Threshold};
use crate::tls::Trust;
use crate::traffic::{self, Load, Pace, Speakers};
use crate::transport::Transport;
use crate::{idle, system};
use clap::{Args, ValueEnum};
use madang_protocol::client::{Class, PresenceMode};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Members above which a room's presence is a count, unless something else was asked for.
const PRESENCE_FULL_MAX: usize = 256;
/// Messages a second where nothing else was asked for.
const HZ: f64 = 20.0;

/// What is reported, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct Asked {
    /// The server's process on this machine, to say what it uses
    #[arg(long)]
    pub(super) pid: Option<u32>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Write a page with plots, which needs no other file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write the latencies as `HdrHistogram`'s text; those of a mix into a file for each of its loads
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,
    /// Show a line a second while the run goes on, also where a terminal could do more
    #[arg(long)]
    pub(super) plain: bool,
    /// Show nothing while the run goes on
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// Who connects to what.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connections")]
pub(super) struct Common {
    /// The server, by ws:// or wss://
    #[arg(long, default_value = "ws://127.0.0.1:7700")]
    pub(super) url: String,
    /// How to speak [default: raw; native where rooms are watched, and by requests]
    #[arg(long, value_enum)]
    protocol: Option<Dialect>,
    /// What carries connections: those of HTTP requests are for native and JSON, and have two sockets each
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// Where connections go, with {room} for the room's name [default: /raw/{room} or
    /// /play?room={room}]
    #[arg(long)]
    pub(super) path: Option<String>,
    /// What room names begin with [default: one that is this process's own]
    #[arg(long)]
    pub(super) room: Option<String>,
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
    /// Believe certificates that those of this PEM file have signed, for wss and https [default: this
    /// machine's authorities]
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long, conflicts_with = "tls_ca")]
    insecure: bool,
    /// Processes that share the connections, each with descriptors and a core of its own
    #[arg(long, default_value_t = 1, value_parser = count)]
    processes: usize,
    /// What has to be true in the end, as in `p99<20ms` or `reach>=1,cpu_us<4`; may be given again
    #[arg(long, value_name = "THRESHOLD", value_parser = threshold::parse_all)]
    expect: Vec<threshold::List>,
}

/// What is sent and when.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Messages")]
struct Sending {
    /// Messages a second from each that sends [default: 20]
    #[arg(long, value_parser = hz)]
    hz: Option<f64>,
    /// Send the next message when the last one was heard by all: finds the ceiling
    #[arg(long, conflicts_with = "hz")]
    closed: bool,
    /// Messages of a sender that are on their way at the same time, where it waits for them
    #[arg(long, default_value_t = 1, value_parser = count)]
    depth: usize,
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
    /// Whether a sender hears itself [default: yes for native and JSON, where it is the
    /// acknowledgement]
    #[arg(long)]
    echo: Option<bool>,
    /// Check every byte of one message in so many; order, loss and repeats are always checked
    #[arg(long, default_value_t = 16, value_parser = count)]
    check_every: usize,
}

/// How the highest rate is looked for.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Search")]
pub(super) struct Searching {
    /// Raise the rate, from --hz on, until the objective fails; report the last rate that held
    #[arg(long, conflicts_with = "closed")]
    find_max: bool,
    /// What has to hold at a rate
    #[arg(long, value_name = "THRESHOLDS", default_value = "p99<50ms,loss=0", value_parser = threshold::parse_all)]
    objective: threshold::List,
    /// How close the rate has to be found, as a part of it
    #[arg(long, default_value = "0.05", value_parser = precision)]
    precision: f64,
    /// Most rates that are tried
    #[arg(long, default_value_t = 20, value_parser = tries)]
    tries: usize,
    /// Rates above the first that fails that are tried, each twice the one before: a server that gathers what it
    /// writes may hold a higher rate better
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=10))]
    beyond: u8,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Idle {
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
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Relay {
    /// Connections
    #[arg(long, default_value_t = 1000, value_parser = count)]
    count: usize,
    /// Connections in a room
    #[arg(long, default_value_t = 10, value_parser = count)]
    rooms_of: usize,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    searching: Searching,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Broadcast {
    /// Connections that hear
    #[arg(long, default_value_t = 1000, value_parser = count)]
    count: usize,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    searching: Searching,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Echo {
    /// Connections
    #[arg(long, default_value_t = 100, value_parser = count)]
    count: usize,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    searching: Searching,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Spectate {
    /// Players
    #[arg(long, default_value_t = 0, value_parser = none_or_count)]
    players: usize,
    /// Players in a room
    #[arg(long, default_value_t = 10, value_parser = count)]
    rooms_of: usize,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Spectators")]
struct Watching {
    /// The server's side listener, by http:// or https://
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Presence {
    Full,
    Count,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ClassName {
    Reliable,
    Latest,
    Volatile,
}

impl ClassName {
    pub(super) fn class(self) -> Class {
        match self {
            Self::Reliable => Class::Reliable,
            Self::Latest => Class::Latest(0),
            Self::Volatile => Class::Volatile,
        }
    }
}

impl Idle {
    pub(super) fn order(&self) -> Result<Order, String> {
        let plan = self.common.plan(Dialect::Raw, self.count, self.rooms_of, None)?;
        let job = idle::Job { plan, hold: self.hold, kib_max: self.kib_max, everyone: self.count };
        Ok(self.common.order(Job::Idle(job)))
    }
}

impl Relay {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, sending, searching, .. } = self;
        let plan = common.plan(Dialect::Raw, self.count, self.rooms_of, sending.echo)?;
        let load = sending.load("relay", plan.dialect)?;
        let job = traffic::Job { plan, load, everyone: self.count };
        Ok(searching.add_to(common.order(Job::Traffic(job)), sending))
    }
}

impl Broadcast {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, sending, searching, .. } = self;
        let everyone = self.count + 1;
        let plan = common.plan(Dialect::Raw, everyone, everyone, sending.echo)?;
        let mut load = sending.load("broadcast", plan.dialect)?;
        load.speakers = Speakers::First;
        let job = traffic::Job { plan, load, everyone };
        Ok(searching.add_to(common.order(Job::Traffic(job)), sending))
    }
}

impl Echo {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, sending, searching, .. } = self;
        if sending.echo == Some(false) {
            return Err("--echo false: then nobody hears anything; use relay".to_owned());
        }
        let plan = common.plan(Dialect::Raw, self.count, 1, Some(true))?;
        let mut load = sending.load("echo", plan.dialect)?;
        if sending.class != ClassName::Reliable {
            return Err("--class: only reliable messages come back to their sender".to_owned());
        }
        if sending.hz.is_none() {
            load.pace = Pace::Closed(sending.depth as u32);
        }
        let job = traffic::Job { plan, load, everyone: self.count };
        Ok(searching.add_to(common.order(Job::Traffic(job)), sending))
    }
}

impl Spectate {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, sending, watching, players, .. } = self;
        let (plan, seats) = watching.plan(common, *players, self.rooms_of, sending.echo)?;
        let load = sending.load("relay", plan.dialect)?;
        let show = watching.show(*players);
        let job = spectate::Job { plan, seats, load, show };
        Ok(common.order(Job::Spectate(Box::new(job))))
    }
}

impl Asked {
    pub(super) fn server(&self) -> Result<Option<Process>, String> {
        self.pid.map(Process::new).transpose()
    }
}

impl Searching {
    fn add_to(&self, order: Order, sending: &Sending) -> Order {
        let search = self.find_max.then(|| Search {
            objective: self.objective.0.clone(),
            from_hz: sending.hz.unwrap_or(HZ),
            precision: self.precision,
            tries_max: self.tries,
            beyond: self.beyond.into(),
        });
        Order { search, ..order }
    }
}

impl Common {
    pub(super) fn plan(
        &self,
        protocol: Dialect,
        connections: usize,
        rooms_of: usize,
        echo: Option<bool>,
    ) -> Result<Plan, String> {
        let by_requests = self.transport != Transport::Ws;
        let protocol = self.protocol.unwrap_or(match protocol {
            Dialect::Raw if by_requests => Dialect::Native,
            protocol => protocol,
        });
        if by_requests && !protocol.has_classes() {
            return Err(format!(
                "--transport {}: {} is spoken over WebSocket alone; native and json by requests too",
                self.transport.name(),
                protocol.name()
            ));
        }
        self.check_fits(connections)?;
        let Address { host, target, is_secure } = resolve("--url", ("ws", "wss"), &self.url)?;
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
        let own = || format!("load-{}-", own_number());
        Ok(Plan {
            target,
            host,
            tls: is_secure.then(|| self.trust()),
            path,
            transport: self.transport,
            dialect: protocol,
            entrance: Entrance { echo, presence },
            room_prefix: self.room.clone().unwrap_or_else(own),
            connections,
            first: 0,
            rooms_of,
            alone: 0,
            alone_prefix: String::new(),
            in_flight: self.in_flight,
            rate: self.rate,
            sources: self.source.clone(),
            patience: self.patience(connections),
        })
    }

    /// Whom to believe where TLS is spoken.
    fn trust(&self) -> Trust {
        match (&self.tls_ca, self.insecure) {
            (Some(path), _) => Trust::File(path.clone()),
            (None, true) => Trust::Anybody,
            (None, false) => Trust::System,
        }
    }

    /// A minute, and as long again as opening takes at the rate that was asked for or at 1000 a
    /// second.
    fn patience(&self, connections: usize) -> Duration {
        let rate = if self.rate == 0 { 1000 } else { self.rate };
        Duration::from_secs(60 + 2 * connections as u64 / u64::from(rate))
    }

    /// Refuses more connections than the processes that were asked for can have.
    pub(super) fn check_fits(&self, connections: usize) -> Result<(), String> {
        fits(connections, self.transport, 0, self.processes)
    }

    pub(super) fn order(&self, job: Job) -> Order {
        let expect: Vec<Threshold> =
            self.expect.iter().flat_map(|list| list.0.iter().cloned()).collect();
        Order { job, processes: self.processes, expect, search: None }
    }
}

impl Sending {
    fn load(&self, scenario: &str, protocol: Dialect) -> Result<Load, String> {
        if !protocol.has_classes() && self.class != ClassName::Reliable {
            return Err("--class is for native and json: other rooms have none".to_owned());
        }
        Ok(Load {
            scenario: scenario.to_owned(),
            speakers: Speakers::All,
            pace: if self.closed {
                Pace::Closed(self.depth as u32)
            } else {
                Pace::Hz(self.hz.unwrap_or(HZ))
            },
            warmup: self.warmup,
            duration: self.duration,
            drain: self.drain,
            payload_bytes: self.payload,
            class: self.class.class(),
            check_every: self.check_every as u32,
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
        fits(players + speakers, common.transport, self.spectators, 1)?;
        let mut plan = common.plan(Dialect::Native, players + speakers, rooms_of, echo)?;
        let own = || format!("courtyard-load-{}-", own_number());
        plan.alone = speakers;
        plan.alone_prefix = self.watched.clone().unwrap_or_else(own);
        let spoken = (0..speakers).map(|room| format!("{}{room}", plan.alone_prefix));
        let Address { host, target, is_secure } =
            resolve("--events-url", ("http", "https"), &self.events_url)?;
        let seats = Seats {
            target,
            host,
            tls: is_secure.then(|| common.trust()),
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

/// What no other run and no other section of this one has in its rooms' names.
fn own_number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Refuses more connections, and spectators beside them, than so many processes have descriptors for.
fn fits(
    connections: usize,
    transport: Transport,
    spectators: usize,
    processes: usize,
) -> Result<(), String> {
    let fit = system::connections_max();
    let each = transport.sockets();
    if (connections * each + spectators).div_ceil(processes) as u64 <= fit {
        return Ok(());
    }
    let all = connections + spectators;
    let of_two = match each {
        1 => String::new(),
        _ => format!(" (of which {connections} have {each} sockets)"),
    };
    Err(format!(
        "{all} connections{of_two} do not fit: {fit} sockets do in each process by its descriptors \
         (raise ulimit -n, or ask for more --processes)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_two_sockets_needs_two_descriptors() {
        let half = usize::try_from(system::connections_max() / 2).unwrap();
        assert_eq!(fits(2 * half, Transport::Ws, 0, 1), Ok(()));
        assert_eq!(fits(half, Transport::Polls, 0, 1), Ok(()));
        assert_eq!(fits(half + 1, Transport::Ws, half - 1, 1), Ok(()));
        let why = fits(half + 1, Transport::Events, 0, 1).unwrap_err();
        assert!(why.contains("have 2 sockets") && why.contains("ulimit -n"), "{why}");
        assert_eq!(fits(half + 1, Transport::Events, 0, 2), Ok(()));
    }
}
