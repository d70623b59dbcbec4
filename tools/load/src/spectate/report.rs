//! What a run with spectators found.

use super::audience::Tolls;
use super::follow::Counts;
use super::sse::NAMES;
use crate::process::Memory;
use crate::report::{Percentiles, Table, Traffic, endings_of, mib};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the server used in the window.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Used {
    /// CPU seconds a second of the whole server, players included.
    pub(super) cores: f64,
    /// All of that for one spectator's event.
    pub(super) us_per_event: Option<f64>,
    /// Seconds a second that its threads, added up, were ready to run and had no CPU.
    pub(super) waited_cores: Option<f64>,
    /// CPU seconds a second of Madang's threads for spectators alone.
    pub(super) side_cores: Option<f64>,
    /// What those waited for a CPU.
    pub(super) side_waited_cores: Option<f64>,
    /// What those used for one spectator's event.
    pub(super) side_us_per_event: Option<f64>,
}

/// The server's memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Memories {
    /// When everybody but the spectators was there.
    pub(super) before: Memory,
    /// When the spectators were too.
    pub(super) opened: Memory,
    /// At the end.
    pub(super) after: Memory,
}

/// The server's memory, and what a spectator added to it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct SpectatorMemory {
    #[serde(flatten)]
    memories: Memories,
    /// Resident memory, in KiB a spectator, when all watched; none without spectators.
    opened_kib: Option<f64>,
    /// The same at the end, with what the rooms' logs hold.
    after_kib: Option<f64>,
}

impl Memories {
    pub(super) fn per_spectator(self, spectators: usize) -> SpectatorMemory {
        let kib = |memory: Memory| {
            let grown = memory.resident as f64 - self.before.resident as f64;
            (spectators > 0).then_some(grown / spectators as f64 / 1024.0)
        };
        SpectatorMemory { memories: self, opened_kib: kib(self.opened), after_kib: kib(self.after) }
    }
}

/// A run in which spectators watched.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Spectate {
    pub(super) scenario: &'static str,
    pub(super) spectators: usize,
    pub(super) rooms: usize,
    pub(super) delay_ms: u64,
    pub(super) reconnect_every_seconds: Option<f64>,
    pub(super) events_hz: f64,
    pub(super) payload_bytes: usize,
    pub(super) warmup_seconds: f64,
    pub(super) window_seconds: f64,
    pub(super) sent: u64,
    pub(super) unsent: u64,
    pub(super) expected: u64,
    pub(super) reach: f64,
    pub(super) reach_min: f64,
    /// Of those who read.
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) slow_spectators: usize,
    pub(super) slow_expected: u64,
    pub(super) slow: Counts,
    pub(super) corrupt: u64,
    pub(super) foreign: u64,
    pub(super) early: u64,
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) comments: u64,
    pub(super) events_per_second: f64,
    /// Read calls that gave something: with fewer than events, several came at once.
    pub(super) reads_per_second: f64,
    pub(super) bytes_per_second: f64,
    /// From the time a message was to be sent, and the delay, to its arrival.
    pub(super) latency: Percentiles,
    /// From the end of a connection to the first event of the next.
    pub(super) returns: Percentiles,
    /// From the time a message was to be sent to its sending.
    pub(super) lateness: Percentiles,
    /// CPU seconds a second of this process.
    pub(super) generator_cpu: f64,
    /// Seconds a second that it was ready to run and had no CPU.
    pub(super) generator_waited: f64,
    pub(super) server: Option<Used>,
    pub(super) memory: Option<SpectatorMemory>,
    pub(super) live_at_end: usize,
    pub(super) dropped: u64,
    pub(super) ended: u64,
    pub(super) broken: u64,
    pub(super) refused: BTreeMap<u16, u64>,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    pub(super) players: Option<Traffic>,
    pub(super) warnings: Vec<&'static str>,
    pub(crate) passed: bool,
}

/// Those that came.
pub(super) fn by_name(events: &[u64; NAMES.len()]) -> BTreeMap<&'static str, u64> {
    NAMES.into_iter().zip(*events).filter(|(_, count)| *count > 0).collect()
}

/// What went wrong with connections, in one line.
pub(super) fn endings(tolls: &Tolls) -> String {
    let first = tolls.first_error.as_deref();
    endings_of(&tolls.refused, &BTreeMap::new(), tolls.broken, tolls.errors, first)
}

impl Spectate {
    pub(crate) fn table(&self) -> String {
        let mut table = Table::default();
        let _ = writeln!(
            table.0,
            "spectate: {} spectators of {} rooms, {} ms behind, {} events/s a room, {} B, {:.1} s",
            self.spectators,
            self.rooms,
            self.delay_ms,
            self.events_hz,
            self.payload_bytes,
            self.window_seconds,
        );
        table.line("sent", &format!("{} ({} not)", self.sent, self.unsent));
        if self.spectators > 0 {
            self.audience_lines(&mut table);
        }
        table.times("sent late", &self.lateness);
        self.server_lines(&mut table);
        table.line(
            "generator CPU",
            &format!(
                "{:.2} cores, waited for {:.2} more",
                self.generator_cpu, self.generator_waited
            ),
        );
        table.line("spectators", &self.endings());
        for warning in &self.warnings {
            table.line("warning", warning);
        }
        if let Some(players) = &self.players {
            table.0.push_str("beside them, ");
            table.0.push_str(&players.table());
        }
        table.end(self.passed)
    }

    fn audience_lines(&self, table: &mut Table) {
        table.line(
            "received",
            &format!("{} of {}, reach {:.6}", self.counts.received, self.expected, self.reach),
        );
        wrong(table, "wrong", &self.counts);
        table.line(
            "",
            &format!(
                "{} corrupt, {} foreign, {} before their delay",
                self.corrupt, self.foreign, self.early
            ),
        );
        told(table, "told", &self.counts);
        if self.slow_spectators > 0 {
            let came = format!("{} received {}", self.slow_spectators, self.slow.received);
            table.line("slow ones", &format!("{came} of {}", self.slow_expected));
            wrong(table, "  wrong", &self.slow);
            told(table, "  told", &self.slow);
        }
        let events: Vec<_> =
            self.events.iter().map(|(name, count)| format!("{count} {name}")).collect();
        table.line("events", &format!("{}; {} comments", events.join(", "), self.comments));
        table.line(
            "rate",
            &format!(
                "{:.0} events/s in {:.0} reads/s, {:.1} MB/s",
                self.events_per_second,
                self.reads_per_second,
                self.bytes_per_second / 1e6
            ),
        );
        table.times("latency", &self.latency);
        if self.returns.count > 0 {
            table.times("came back in", &self.returns);
        }
    }

    fn server_lines(&self, table: &mut Table) {
        if let Some(server) = &self.server {
            let each = |us: Option<f64>| {
                us.map(|us| format!(" ({us:.3} us an event)")).unwrap_or_default()
            };
            let mut text = format!("{:.2} cores{}", server.cores, each(server.us_per_event));
            if let Some(cores) = server.side_cores {
                let _ = write!(
                    text,
                    ", of which for spectators {cores:.2}{}",
                    each(server.side_us_per_event)
                );
            }
            table.line("server CPU", &text);
            if let Some((all, side)) = server.waited_cores.zip(server.side_waited_cores) {
                table.line("", &format!("waited for {all:.2} more, for spectators {side:.2}"));
            }
        }
        if let Some(memory) = &self.memory {
            table.line("server memory", &format!("before: {}", mib(&memory.memories.before)));
            table.line("", &format!("after:  {}", mib(&memory.memories.after)));
            if let Some((opened, after)) = memory.opened_kib.zip(memory.after_kib) {
                let text = format!("{opened:.3} KiB resident opened, {after:.3} KiB at the end");
                table.line("a spectator", &text);
            }
        }
    }

    fn endings(&self) -> String {
        let first = self.first_error.as_deref();
        let closed = BTreeMap::new();
        let ended = endings_of(&self.refused, &closed, self.broken, self.errors, first);
        format!(
            "{} live at the end, {} cut off, {} ended by the server; {ended}",
            self.live_at_end, self.dropped, self.ended
        )
    }
}

fn wrong(table: &mut Table, name: &str, counts: &Counts) {
    table.line(
        name,
        &format!(
            "{} lost, {} still to come, {} repeated, {} out of order",
            counts.lost, counts.behind, counts.repeated, counts.disordered
        ),
    );
}

fn told(table: &mut Table, name: &str, counts: &Counts) {
    table.line(
        name,
        &format!(
            "{} missing, by {} gaps ({} seqs), {} conflations and {} answers not recovered ({} were); \
             {} again, {} new epochs",
            counts.told_missing,
            counts.gaps,
            counts.gap_seqs,
            counts.conflations,
            counts.unrecovered,
            counts.recovered,
            counts.resent,
            counts.new_epochs,
        ),
    );
}
