//! What a run found: as a table for people, as JSON for programs.

use crate::fleet::Tolls;
use crate::process::Memory;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A distribution of times, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

impl Percentiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

/// What the server used in the window.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ServerUse {
    pub(crate) us_per_delivery: f64,
    pub(crate) user_us_per_delivery: f64,
    pub(crate) system_us_per_delivery: f64,
    /// CPU seconds a second.
    pub(crate) cores: f64,
    pub(crate) memory: Memory,
}

/// A run in which connections sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Traffic {
    pub(crate) scenario: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) class: &'static str,
    pub(crate) connections: usize,
    pub(crate) rooms_of: usize,
    pub(crate) hz: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) echo: bool,
    pub(crate) window_seconds: f64,
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) reach: f64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) disordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) foreign: u64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) frames_per_second: f64,
    pub(crate) bytes_per_second: f64,
    /// From the time a message was to be sent to its arrival.
    pub(crate) latency: Percentiles,
    /// Between the first and the last receiver of a message.
    pub(crate) spread: Option<Percentiles>,
    /// From the time a message was to be sent to its sending.
    pub(crate) lateness: Percentiles,
    /// CPU seconds a second of this process.
    pub(crate) generator_cpu: f64,
    pub(crate) server: Option<ServerUse>,
    pub(crate) live_at_end: usize,
    pub(crate) closed: BTreeMap<u16, u64>,
    pub(crate) broken: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) warnings: Vec<&'static str>,
    pub(crate) passed: bool,
}

/// What idle connections cost the server, in KiB of anonymous memory each.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Held {
    pub(crate) before: Memory,
    pub(crate) after: Memory,
    /// When all were in their rooms.
    pub(crate) opened_kib: f64,
    /// After they were held.
    pub(crate) kept_kib: f64,
    /// After each had given a sign of life.
    pub(crate) answered_kib: f64,
}

/// A run in which connections were held.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) protocol: &'static str,
    pub(crate) connections: usize,
    pub(crate) rooms_of: usize,
    pub(crate) open_seconds: f64,
    pub(crate) hold_seconds: f64,
    /// Answered at the end.
    pub(crate) alive: usize,
    pub(crate) refused: BTreeMap<u16, u64>,
    pub(crate) closed: BTreeMap<u16, u64>,
    pub(crate) broken: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) server: Option<Held>,
    pub(crate) passed: bool,
}

/// What went wrong with connections, in one line.
pub(crate) fn troubles(tolls: &Tolls) -> String {
    endings_of(
        &tolls.refused,
        &tolls.closed,
        tolls.broken,
        tolls.errors,
        tolls.first_error.as_deref(),
    )
}

/// The same, of any kind of connection.
pub(crate) fn endings_of(
    refused: &BTreeMap<u16, u64>,
    closed: &BTreeMap<u16, u64>,
    broken: u64,
    errors: u64,
    first_error: Option<&str>,
) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(refused.iter().map(|(status, count)| format!("{count} refused with {status}")));
    parts.extend(closed.iter().map(|(code, count)| format!("{count} closed with {code}")));
    if broken > 0 {
        parts.push(format!("{broken} broken off"));
    }
    if errors > 0 {
        parts.push(format!("{errors} errors, the first: {}", first_error.unwrap_or("?")));
    }
    if parts.is_empty() { "none ended".to_owned() } else { parts.join(", ") }
}

/// Lines of a name and a value.
#[derive(Default)]
pub(crate) struct Table(pub(crate) String);

impl Table {
    pub(crate) fn line(&mut self, name: &str, value: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "  {name:<14} {value}");
    }

    pub(crate) fn times(&mut self, name: &str, times: &Percentiles) {
        let ms = |us: u64| us as f64 / 1000.0;
        self.line(
            name,
            &format!(
                "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
                ms(times.p50_us),
                ms(times.p90_us),
                ms(times.p99_us),
                ms(times.p999_us),
                ms(times.max_us)
            ),
        );
    }

    pub(crate) fn end(mut self, passed: bool) -> String {
        self.0.push_str(if passed { "  passed\n" } else { "  FAILED\n" });
        self.0
    }
}

impl Traffic {
    pub(crate) fn table(&self) -> String {
        let mut table = Table::default();
        let rooms = self.connections.div_ceil(self.rooms_of);
        let who = if self.spread.is_some() { "one speaker" } else { "each" };
        let _ = writeln!(
            table.0,
            "{}: {} {}, {} connections in {rooms} rooms of {}, {who} {} Hz, {} B, {:.1} s",
            self.scenario,
            self.protocol,
            self.class,
            self.connections,
            self.rooms_of,
            self.hz,
            self.payload_bytes,
            self.window_seconds,
        );
        table.line("sent", &format!("{} ({} not)", self.sent, self.unsent));
        table.line(
            "received",
            &format!("{} of {}, reach {:.6}", self.received, self.expected, self.reach),
        );
        table.line(
            "wrong",
            &format!(
                "{} lost, {} repeated, {} out of order, {} corrupt, {} foreign",
                self.lost, self.repeated, self.disordered, self.corrupt, self.foreign
            ),
        );
        table.line(
            "rate",
            &format!(
                "{:.0} deliveries/s in {:.0} frames/s, {:.1} MB/s",
                self.deliveries_per_second,
                self.frames_per_second,
                self.bytes_per_second / 1e6
            ),
        );
        table.times("latency", &self.latency);
        if let Some(spread) = &self.spread {
            table.times("spread", spread);
        }
        table.times("sent late", &self.lateness);
        if let Some(server) = &self.server {
            table.line(
                "server CPU",
                &format!(
                    "{:.3} us a delivery ({:.3} user, {:.3} system), {:.2} cores",
                    server.us_per_delivery,
                    server.user_us_per_delivery,
                    server.system_us_per_delivery,
                    server.cores
                ),
            );
            table.line("server memory", &mib(&server.memory));
        }
        table.line("generator CPU", &format!("{:.2} cores", self.generator_cpu));
        table.line("connections", &self.endings());
        for warning in &self.warnings {
            table.line("warning", warning);
        }
        table.end(self.passed)
    }

    fn endings(&self) -> String {
        let none = BTreeMap::new();
        let first = self.first_error.as_deref();
        let ended = endings_of(&none, &self.closed, self.broken, self.errors, first);
        format!("{} live at the end; {ended}", self.live_at_end)
    }
}

impl Idle {
    pub(crate) fn table(&self) -> String {
        let mut table = Table::default();
        let rooms = self.connections.div_ceil(self.rooms_of);
        let _ = writeln!(
            table.0,
            "idle: {}, {} connections in {rooms} rooms of {}, held {:.1} s",
            self.protocol, self.connections, self.rooms_of, self.hold_seconds,
        );
        let rate = self.connections as f64 / self.open_seconds.max(1e-9);
        table.line("opened", &format!("in {:.2} s ({rate:.0}/s)", self.open_seconds));
        let first = self.first_error.as_deref();
        let ended = endings_of(&self.refused, &self.closed, self.broken, self.errors, first);
        table.line("connections", &format!("{} answered at the end; {ended}", self.alive));
        if let Some(server) = &self.server {
            table.line("server memory", &format!("before: {}", mib(&server.before)));
            table.line("", &format!("after:  {}", mib(&server.after)));
            table.line(
                "a connection",
                &format!(
                    "{:.3} KiB opened, {:.3} KiB held, {:.3} KiB after a sign of life",
                    server.opened_kib, server.kept_kib, server.answered_kib
                ),
            );
        }
        table.end(self.passed)
    }
}

pub(crate) fn mib(memory: &Memory) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!("{:.2} MiB anonymous, {:.2} MiB resident", mib(memory.anonymous), mib(memory.resident))
}
