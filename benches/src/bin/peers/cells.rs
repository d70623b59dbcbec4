//! What is measured: the load of each cell, who takes part, and which figures of the load tool's report count.

use serde_json::Value;

/// How much load, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Few connections for a short time: whether everything works, not how fast.
    pub(crate) quick: bool,
    pub(crate) seconds: f64,
}

/// One kind of load.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    /// By their ids, in the order of the table.
    pub(crate) who: &'static [&'static str],
    /// What others without a window are compared with.
    pub(crate) floor: &'static str,
}

/// What the load tool is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// 1,000 connections in rooms of 10, each at so many messages a second.
    Rooms { hz: f64, echo: bool },
    /// One room of 5,000 with one speaker.
    Room { hz: f64 },
    /// Rooms of 10 at the highest rate.
    RoomsMax,
    /// One room of 5,000 at the highest rate.
    RoomMax,
    /// 5,000 spectators of one room, 20 events a second.
    Events,
    /// 15,000 connections that do nothing.
    Idle,
    /// 10,000 connections are opened, while others are there.
    Connects,
    /// 100 connections send one message after the other.
    Echo,
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// CPU microseconds of the server for a delivery, an event or a connect.
    CpuUs,
    /// Deliveries, round trips or connects a second.
    Rate,
    /// Anonymous memory of a connection.
    Kib,
    /// 99th percentile of the latency in milliseconds.
    P99Ms,
    /// 99th percentile of the time from the first to the last receiver, in milliseconds.
    SpreadMs,
    /// 99th percentile of those who were there already, in milliseconds, in the worst second.
    OthersP99Ms,
}

/// These, and every peer.
macro_rules! and_peers {
    ($($own:literal),*) => {
        &[
            $($own,)*
            "tokio-tungstenite",
            "axum",
            "fastwebsockets",
            "socketify",
            "picows",
            "ws",
            "socket-io",
            "colyseus",
        ]
    };
}

/// The floor and Madang without room windows.
const PLAIN: &[&str] = and_peers!["floor-each", "floor-turn", "madang"];
/// The same with those who have windows.
const WINDOWS: &[&str] = and_peers![
    "floor-each",
    "floor-turn",
    "madang",
    "floor-5ms",
    "madang-5ms",
    "floor-20ms",
    "madang-20ms"
];
/// The same and Madang's own protocol.
const BOTH: &[&str] = and_peers!["floor-each", "madang", "madang-native"];
/// Those of them whose way in is one request and one answer, which a storm of connects is made of.
const ONE_STEP: &[&str] = &[
    "floor-each",
    "madang",
    "madang-native",
    "tokio-tungstenite",
    "axum",
    "fastwebsockets",
    "socketify",
    "picows",
    "ws",
];
const OWN: &[&str] = &[
    "madang",
    "madang-native",
    "madang-5ms",
    "madang-native-5ms",
    "madang-20ms",
    "madang-native-20ms",
];
const SHARDS: &[&str] = &["madang", "madang-2-shards"];

/// All of them, in the order of the table.
pub(crate) const ALL: [Cell; 16] = [
    cell("rooms-20hz", "rooms of 10, 1,000 × 20 Hz, 64 B", rooms(20.0), WINDOWS, "floor-each"),
    cell("rooms-60hz", "rooms of 10, 1,000 × 60 Hz, 64 B", rooms(60.0), WINDOWS, "floor-turn"),
    cell("rooms-160hz", "rooms of 10, 1,000 × 160 Hz, 64 B", rooms(160.0), PLAIN, "floor-turn"),
    cell(
        "rooms-max",
        "rooms of 10, 1,000, 64 B, half a core saturated",
        Kind::RoomsMax,
        WINDOWS,
        "floor-turn",
    ),
    cell(
        "room-20hz",
        "one room of 5,000, 20 Hz, 128 B",
        Kind::Room { hz: 20.0 },
        PLAIN,
        "floor-each",
    ),
    cell(
        "room-380hz",
        "one room of 5,000, 380 Hz, 128 B",
        Kind::Room { hz: 380.0 },
        PLAIN,
        "floor-turn",
    ),
    cell("room-max", "one room of 5,000, 128 B, saturated", Kind::RoomMax, PLAIN, "floor-turn"),
    cell("native-20hz", "own protocol, rooms of 10, 20 Hz", echoed(20.0), OWN, "madang"),
    cell("native-60hz", "own protocol, rooms of 10, 60 Hz", echoed(60.0), OWN, "madang"),
    cell(
        "sse",
        "SSE, 5,000 × 20/s, 200 B",
        Kind::Events,
        &["floor-each", "madang-watched", "axum", "ws"],
        "floor-each",
    ),
    cell("idle", "15,000 idle connections", Kind::Idle, BOTH, "floor-each"),
    cell("connects", "10,000 connects and first echoes", Kind::Connects, ONE_STEP, "floor-each"),
    cell("echo", "echo, 100 connections, closed loop", Kind::Echo, PLAIN, "floor-each"),
    cell(
        "shards-rooms-20hz",
        "two shards on one core, rooms of 10, 20 Hz",
        rooms(20.0),
        SHARDS,
        "madang",
    ),
    cell(
        "shards-rooms-60hz",
        "two shards on one core, rooms of 10, 60 Hz",
        rooms(60.0),
        SHARDS,
        "madang",
    ),
    cell(
        "shards-room-20hz",
        "two shards on one core, one room of 5,000, 20 Hz",
        Kind::Room { hz: 20.0 },
        SHARDS,
        "madang",
    ),
];

const fn cell(
    id: &'static str,
    title: &'static str,
    kind: Kind,
    who: &'static [&'static str],
    floor: &'static str,
) -> Cell {
    Cell { id, title, kind, who, floor }
}

const fn rooms(hz: f64) -> Kind {
    Kind::Rooms { hz, echo: false }
}

const fn echoed(hz: f64) -> Kind {
    Kind::Rooms { hz, echo: true }
}

/// The cell of this id.
pub(crate) fn find(id: &str) -> Option<&'static Cell> {
    ALL.iter().find(|cell| cell.id == id)
}

impl Kind {
    /// Arguments of the load tool, which speaks a protocol to a server of two addresses.
    pub(crate) fn arguments(self, scale: Scale, protocol: &str, events: &str) -> Vec<String> {
        let Scale { quick, seconds } = scale;
        let connections = |full: usize, quick_one: usize| if quick { quick_one } else { full };
        let mut words = Words::default();
        match self {
            Self::Rooms { hz, echo } => {
                words.put("relay --rooms-of 10 --payload 64");
                words.value("--count", connections(1000, 20));
                words.value("--hz", hz);
                if echo {
                    words.put("--echo true");
                }
            }
            Self::Room { hz } => {
                words.put("broadcast --payload 128");
                words.value("--count", connections(5000, 20));
                words.value("--hz", hz);
            }
            Self::RoomsMax => {
                words.put("relay --rooms-of 10 --payload 64 --find-max");
                words.value("--count", connections(1000, 20));
                words.value("--hz", connections(15, 5));
            }
            Self::RoomMax => {
                words.put("broadcast --payload 128 --find-max");
                words.value("--count", connections(5000, 20));
                words.value("--hz", connections(15, 5));
            }
            Self::Events => {
                words.put("spectate --players 0 --rooms 1 --events-hz 20 --events-payload 200");
                words.value("--spectators", connections(5000, 20));
                words.value("--events-url", events);
            }
            Self::Idle => {
                words.put("idle --rooms-of 10");
                words.value("--count", connections(15_000, 20));
                words.value("--hold", if quick { 0 } else { 3 });
            }
            Self::Connects => {
                // Alone in its room, so that nobody but itself hears its first message.
                words.put("storm --rooms-of 1");
                words.value("--count", connections(10_000, 40));
                words.value("--in-flight", connections(400, 10));
            }
            Self::Echo => {
                words.put("echo --closed");
                words.value("--count", connections(100, 5));
            }
        }
        if !matches!(self, Self::Idle | Self::Connects) {
            words.value("--duration", seconds);
            // Two seconds also let compilers at run time come to an end.
            words.value("--warmup", if quick { 0.1 } else { 2.0 });
        }
        if matches!(self, Self::RoomsMax | Self::RoomMax) {
            words.value("--objective", if quick { "loss=0" } else { "p99<50ms,loss=0" });
            words.value("--tries", if quick { 2 } else { 16 });
        }
        words.value("--protocol", protocol);
        words.0
    }

    /// Arguments of the load tool for those who are there while others connect, if that is of interest.
    pub(crate) fn others(self, scale: Scale, protocol: &str) -> Option<Vec<String>> {
        if !matches!(self, Self::Connects) {
            return None;
        }
        let mut words = Words::default();
        words.put("relay --rooms-of 10 --payload 64 --count 20 --hz 10 --warmup 0");
        words.value("--duration", if scale.quick { 1.5 } else { 10.0 });
        words.value("--protocol", protocol);
        Some(words.0)
    }

    /// Whether the server has its core by turns with a busy loop: where the highest rate is looked for, the load
    /// tool has more to do than the server, and on a core as fast as the server's it would be at its limit first. Not
    /// where one message goes to thousands, which takes the better part of the time that a message may take on a whole core.
    pub(crate) fn shares_its_core(self) -> bool {
        matches!(self, Self::RoomsMax)
    }

    /// The figure that is compared.
    pub(crate) fn figure(self) -> Figure {
        match self {
            Self::Rooms { .. } | Self::Room { .. } | Self::Events | Self::Connects => Figure::CpuUs,
            Self::RoomsMax | Self::RoomMax | Self::Echo => Figure::Rate,
            Self::Idle => Figure::Kib,
        }
    }

    /// What is shown beside it.
    pub(crate) fn beside(self) -> &'static [Figure] {
        match self {
            Self::Rooms { .. } | Self::Events => &[Figure::P99Ms],
            Self::Room { .. } => &[Figure::P99Ms, Figure::SpreadMs],
            Self::RoomsMax | Self::RoomMax | Self::Echo => &[Figure::CpuUs, Figure::P99Ms],
            Self::Connects => &[Figure::Rate, Figure::OthersP99Ms],
            Self::Idle => &[],
        }
    }

    /// A figure in the load tool's report; none where the run does not have it.
    pub(crate) fn read(self, figure: Figure, report: &Value, others: &Value) -> Option<f64> {
        let us = |place: &Value| place.as_f64().map(|us| us / 1000.0);
        match figure {
            Figure::CpuUs => match self {
                Self::Events => report["server"]["us_per_event"].as_f64(),
                Self::Connects => {
                    let seconds = report["server"]["cpu_seconds"].as_f64()?;
                    Some(seconds * 1e6 / report["entered"].as_f64()?)
                }
                _ => report["server"]["us_per_delivery"].as_f64(),
            },
            Figure::Rate => match self {
                Self::Connects => report["connects_per_second"].as_f64(),
                _ => report["deliveries_per_second"].as_f64(),
            },
            Figure::Kib => report["server"]["answered_kib"].as_f64(),
            Figure::P99Ms => us(&report["latency"]["p99_us"]),
            Figure::SpreadMs => us(&report["spread"]["p99_us"]),
            Figure::OthersP99Ms => {
                let seconds = others["series"].as_array()?.iter();
                seconds.filter_map(|second| us(&second["p99_us"])).reduce(f64::max)
            }
        }
    }
}

impl Figure {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::CpuUs => "CPU µs",
            Self::Rate => "a second",
            Self::Kib => "KiB each",
            Self::P99Ms => "p99 ms",
            Self::SpreadMs => "spread p99 ms",
            Self::OthersP99Ms => "others' p99 ms",
        }
    }

    pub(crate) fn is_better_when_higher(self) -> bool {
        self == Self::Rate
    }

    /// A value as people read it.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Rate if value >= 1e6 => format!("{:.2} M", value / 1e6),
            Self::Rate => format!("{:.1} k", value / 1e3),
            Self::CpuUs if value >= 100.0 => format!("{value:.0}"),
            Self::CpuUs | Self::Kib => format!("{value:.2}"),
            Self::P99Ms | Self::SpreadMs | Self::OthersP99Ms => format!("{value:.1}"),
        }
    }
}

/// Arguments of a command.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn put(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(str::to_owned));
    }

    fn value(&mut self, name: &str, value: impl ToString) {
        self.0.extend([name.to_owned(), value.to_string()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates;
    use serde_json::json;

    #[test]
    fn everyone_who_takes_part_exists() {
        for cell in &ALL {
            for id in cell.who.iter().chain([&cell.floor]) {
                assert!(candidates::find(id).is_some(), "{id} in {}", cell.id);
            }
            assert!(cell.who.contains(&cell.floor), "{}", cell.id);
        }
    }

    #[test]
    fn figures_are_read_where_the_tool_writes_them() {
        let report = json!({
            "server": { "us_per_delivery": 3.5, "us_per_event": 4.5, "cpu_seconds": 0.2 },
            "entered": 10_000,
            "latency": { "p99_us": 1500 },
        });
        let others = json!({ "series": [{ "p99_us": 100 }, { "p99_us": 2500 }, {}] });
        let read = |kind: Kind, figure| kind.read(figure, &report, &others);
        assert_eq!(read(rooms(20.0), Figure::CpuUs), Some(3.5));
        assert_eq!(read(Kind::Events, Figure::CpuUs), Some(4.5));
        assert_eq!(read(Kind::Connects, Figure::CpuUs), Some(20.0));
        assert_eq!(read(Kind::Connects, Figure::OthersP99Ms), Some(2.5));
        assert_eq!(read(rooms(20.0), Figure::P99Ms), Some(1.5));
        assert_eq!(read(Kind::Idle, Figure::Kib), None);
    }
}
