//! What a scenario found, in one form for all of them: what was asked for, what was counted, what
//! was timed, and what was wrong. Outcomes of several processes add up to one.
//!
//! Names of counts, times and figures are constants below as far as more than one place uses them; a
//! scenario may have its own. A dot in a name nests it in the JSON: `slow.received` is `received` in
//! the object `slow`.
//!
//! Deliberately absent: how it is shown. `flat.rs` makes the JSON, `output/` everything else.

mod arrivals;
mod flat;
mod times;

use crate::process::Memory;
pub(crate) use arrivals::{Arrivals, spreads};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub(crate) use times::{Percentiles, Recorder, Times};

/// Messages handed to the system.
pub(crate) const SENT: &str = "sent";
/// Due, but their connection was gone or took no more.
pub(crate) const UNSENT: &str = "unsent";
/// Deliveries that what was sent should lead to.
pub(crate) const EXPECTED: &str = "expected";
/// Deliveries that came, once each.
pub(crate) const RECEIVED: &str = "received";
/// Those of them that came in the window.
pub(crate) const DELIVERIES: &str = "deliveries";
/// Did not come.
pub(crate) const LOST: &str = "lost";
/// Came again.
pub(crate) const REPEATED: &str = "repeated";
/// Came behind a later one of the same sender.
pub(crate) const DISORDERED: &str = "disordered";
/// Came changed.
pub(crate) const CORRUPT: &str = "corrupt";
/// Came, but nobody in the room of this run had sent it.
pub(crate) const FOREIGN: &str = "foreign";
/// WebSocket messages that came in the window.
pub(crate) const FRAMES: &str = "frames";
/// Read calls in the window that gave something.
pub(crate) const READS: &str = "reads";
/// Bytes that came in the window.
pub(crate) const BYTES_IN: &str = "bytes_in";
/// Bytes that went out in the window.
pub(crate) const BYTES_OUT: &str = "bytes_out";
/// Connections at the end.
pub(crate) const LIVE_AT_END: &str = "live_at_end";

/// From the time a message was to be sent to its arrival.
pub(crate) const LATENCY: &str = "latency";
/// Between the first and the last receiver of a message.
pub(crate) const SPREAD: &str = "spread";
/// From the time a message was to be sent to its sending.
pub(crate) const LATENESS: &str = "lateness";
/// From the beginning of a connection to its being in its room.
pub(crate) const CONNECT: &str = "connect";

/// The scenario of several at the same time, which are its parts.
pub(crate) const MIX: &str = "mix";

/// A generator process that is busier than this is itself the limit, in cores.
pub(crate) const BUSY_CORES: f64 = 0.95;
/// A generator process that is later than this is itself the limit, at the 99th percentile.
pub(crate) const LATE_US: u64 = 20_000;
/// Most seconds of which samples are kept.
pub(crate) const SAMPLES_MAX: usize = 7200;

/// What a run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The scenario's name, or the one a mix gave this part.
    pub(crate) name: String,
    pub(crate) scenario: String,
    /// What was asked for, in the order in which it is to be shown.
    pub(crate) settings: IndexMap<String, Setting>,
    /// What was measured.
    pub(crate) window: Window,
    /// In the order in which they are to be shown.
    pub(crate) counts: IndexMap<String, u64>,
    pub(crate) times: IndexMap<String, Times>,
    /// What a scenario works out for itself and nobody adds up.
    pub(crate) figures: IndexMap<String, f64>,
    /// Connections ended by a Close frame, by its code.
    pub(crate) closed: BTreeMap<u16, u64>,
    /// Handshakes and requests that were refused, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Connections that ended without a word.
    pub(crate) broken: u64,
    /// Messages that this tool does not understand, or that refuse something; and the first.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) series: Series,
    /// What the server used in the window.
    pub(crate) server: Option<ServerUse>,
    /// One for each process that made the load.
    pub(crate) generators: Vec<Generator>,
    /// What belongs to this run and is reported whole: sections of a mix, tries of a search, players
    /// beside spectators.
    pub(crate) parts: Vec<Outcome>,
    /// The rates that a search tried, in order.
    pub(crate) tries: Vec<Try>,
    /// What was asked of the run by thresholds, and whether it held.
    pub(crate) judged: Vec<Judged>,
    pub(crate) warnings: Vec<String>,
    /// Why the run did not pass; none when it did.
    pub(crate) failures: Vec<String>,
    /// Loss is a part of what was asked for, as in lossy delivery classes.
    pub(crate) may_lose: bool,
    /// Of each message of a speaker with many listeners; none any more once [`SPREAD`] is made of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) arrivals: Vec<Arrivals>,
}

/// A value that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Setting {
    Switch(bool),
    Count(u64),
    Number(f64),
    Text(String),
}

/// The time that was measured, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// What happened second by second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// When the first sample's second began, in nanoseconds of `CLOCK_MONOTONIC`; 0 without samples.
    pub(crate) start_ns: u64,
    /// One a second, from the first on.
    pub(crate) samples: Vec<Sample>,
}

/// What happened in one second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Of what came in this second.
    pub(crate) latency: Times,
    /// Connections at its end.
    pub(crate) live: u64,
    /// CPU seconds of the generator's processes.
    pub(crate) generator_cores: f64,
    /// CPU seconds of the server.
    pub(crate) server_cores: Option<f64>,
    /// The server's resident memory at its end, in bytes.
    pub(crate) server_resident: Option<u64>,
}

/// What the server used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ServerUse {
    /// CPU time in the window.
    pub(crate) user_us: u64,
    pub(crate) system_us: u64,
    /// Between the two looks at it.
    pub(crate) wall_us: u64,
    /// Before the first connection.
    pub(crate) before: Option<Memory>,
    /// With every connection in its room.
    pub(crate) opened: Option<Memory>,
    /// At the window's end.
    pub(crate) memory: Memory,
    /// How many connections it holds for this run.
    pub(crate) connections: u64,
}

/// A process that made load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Generator {
    /// CPU seconds a second in the window.
    pub(crate) cores: f64,
    /// Seconds a second that it was ready to run and had no CPU.
    pub(crate) waited_cores: Option<f64>,
    /// How late its messages were handed to the system.
    pub(crate) late_p99_us: u64,
    pub(crate) late_max_us: u64,
}

/// A rate that a search tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Try {
    /// Of each sender.
    pub(crate) hz: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) latency: Percentiles,
    pub(crate) reach: f64,
    pub(crate) server_us_per_delivery: Option<f64>,
    /// The tool itself was at its limit.
    pub(crate) generator_limited: bool,
    pub(crate) held: bool,
    /// Which of the objective did not hold.
    pub(crate) broken: Vec<String>,
}

/// A threshold, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// As it was asked for, as in `p99<20ms`.
    pub(crate) expected: String,
    /// None where the run does not have it.
    pub(crate) found: Option<f64>,
    pub(crate) held: bool,
}

impl Outcome {
    /// Nothing happened yet.
    pub(crate) fn new(scenario: &str) -> Self {
        Self { name: scenario.to_owned(), scenario: scenario.to_owned(), ..Self::default() }
    }

    /// Says what was asked for.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Setting>) {
        self.settings.insert(name.to_owned(), value.into());
    }

    /// The count of this name; 0 where there is none.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Adds to a count.
    pub(crate) fn add(&mut self, name: &str, count: u64) {
        *self.counts.entry(name.to_owned()).or_default() += count;
    }

    /// Adds to times.
    pub(crate) fn add_times(&mut self, name: &str, times: &Times) {
        self.times.entry(name.to_owned()).or_default().add(times);
    }

    /// The percentiles of these times, if the run has them.
    pub(crate) fn percentiles(&self, name: &str) -> Option<Percentiles> {
        self.times.get(name).map(Times::percentiles)
    }

    /// Received of expected; 1 where nothing was expected.
    pub(crate) fn reach(&self) -> f64 {
        match self.count(EXPECTED) {
            0 => 1.0,
            expected => self.count(RECEIVED) as f64 / expected as f64,
        }
    }

    /// So many a second of the window.
    pub(crate) fn per_second(&self, name: &str) -> f64 {
        self.count(name) as f64 / self.window.seconds()
    }

    /// CPU microseconds of the server for one delivery: user and system.
    pub(crate) fn server_us_per_delivery(&self) -> Option<(f64, f64)> {
        let (server, deliveries) = (self.server?, self.count(DELIVERIES));
        let each = |us: u64| us as f64 / deliveries as f64;
        (deliveries > 0).then(|| (each(server.user_us), each(server.system_us)))
    }

    /// Whether the tool itself was the limit.
    pub(crate) fn is_generator_limited(&self) -> bool {
        self.generators.iter().any(Generator::is_limited)
            || self.parts.iter().any(Self::is_generator_limited)
    }

    /// Whether everything was as it should be.
    pub(crate) fn passed(&self) -> bool {
        self.failures.is_empty()
            && self.judged.iter().all(|judged| judged.held)
            && self.parts.iter().all(Self::passed)
    }

    pub(crate) fn warn(&mut self, warning: &str) {
        if self.warnings.iter().all(|known| known != warning) {
            self.warnings.push(warning.to_owned());
        }
    }

    pub(crate) fn fail(&mut self, failure: String) {
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    /// Says what every scenario's counts say about it. Once, when all processes' outcomes are merged.
    pub(crate) fn judge(&mut self) {
        let wrong = [
            (LOST, "lost"),
            (REPEATED, "repeated"),
            (DISORDERED, "out of order"),
            (CORRUPT, "corrupt"),
            (FOREIGN, "foreign"),
            (UNSENT, "not sent: their connections were gone or took no more"),
        ];
        for (name, what) in wrong {
            let count = self.count(name);
            if count > 0 && !(name == LOST && self.may_lose) {
                self.fail(format!("{count} messages {what}"));
            }
        }
        if self.errors > 0 {
            let first = self.first_error.as_deref().unwrap_or("?");
            self.fail(format!("{} errors, the first: {first}", self.errors));
        }
        if self.generators.iter().any(Generator::is_limited) {
            self.warn("the generator was at its limit: these figures say little of the server");
        }
    }

    /// Takes in a section of a mix: its counts, bytes, seconds and generators are part of the whole.
    /// Times are not: those of different scenarios say nothing together.
    pub(crate) fn take_in(&mut self, part: Self) {
        let counts = [SENT, UNSENT, EXPECTED, RECEIVED, DELIVERIES, LOST, REPEATED, DISORDERED];
        let counts = counts.into_iter().chain([CORRUPT, FOREIGN, FRAMES, READS, BYTES_IN]);
        for name in counts.chain([BYTES_OUT, LIVE_AT_END]) {
            self.add(name, part.count(name));
        }
        self.window.merge(part.window);
        add_all(&mut self.closed, &part.closed);
        add_all(&mut self.refused, &part.refused);
        self.broken += part.broken;
        self.errors += part.errors;
        self.first_error = self.first_error.take().or_else(|| part.first_error.clone());
        self.series.merge(part.series.clone());
        self.generators.extend_from_slice(&part.generators);
        self.parts.push(part);
    }

    /// Adds what another process found of the same load: counts and times add up, seconds too.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, value) in other.settings {
            self.settings.entry(name).or_insert(value);
        }
        self.window.merge(other.window);
        for (name, count) in &other.counts {
            self.add(name, *count);
        }
        for (name, times) in &other.times {
            self.add_times(name, times);
        }
        for (name, figure) in other.figures {
            self.figures.entry(name).or_insert(figure);
        }
        add_all(&mut self.closed, &other.closed);
        add_all(&mut self.refused, &other.refused);
        self.broken += other.broken;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.series.merge(other.series);
        self.server = self.server.or(other.server);
        self.generators.extend(other.generators);
        for part in other.parts {
            match self.parts.iter_mut().find(|own| own.name == part.name) {
                Some(own) => own.merge(part),
                None => self.parts.push(part),
            }
        }
        self.tries.extend(other.tries);
        self.judged.extend(other.judged);
        other.warnings.iter().for_each(|warning| self.warn(warning));
        other.failures.into_iter().for_each(|failure| self.fail(failure));
        self.may_lose |= other.may_lose;
        arrivals::merge(&mut self.arrivals, &other.arrivals);
    }
}

impl Window {
    /// Above 0.
    pub(crate) fn seconds(self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns).max(1) as f64 / 1e9
    }

    fn merge(&mut self, other: Self) {
        if *self == Self::default() {
            *self = other;
        } else if other != Self::default() {
            self.start_ns = self.start_ns.min(other.start_ns);
            self.end_ns = self.end_ns.max(other.end_ns);
        }
    }
}

impl Series {
    /// The second that an earlier or the same one began `at_ns`; none when too many are kept.
    pub(crate) fn at(&mut self, at_ns: u64) -> Option<&mut Sample> {
        let place = (at_ns.checked_sub(self.start_ns)? / 1_000_000_000) as usize;
        if place >= SAMPLES_MAX {
            return None;
        }
        if self.samples.len() <= place {
            self.samples.resize_with(place + 1, Sample::default);
        }
        self.samples.get_mut(place)
    }

    /// Adds another's second by second. Where their seconds do not begin together, each is added to
    /// the one in which its middle is.
    fn merge(&mut self, other: Self) {
        if other.samples.is_empty() {
            return;
        }
        if self.samples.is_empty() {
            *self = other;
            return;
        }
        if other.start_ns < self.start_ns {
            let later = std::mem::replace(self, other);
            return self.merge(later);
        }
        for (place, sample) in other.samples.iter().enumerate() {
            let middle_ns = other.start_ns + place as u64 * 1_000_000_000 + 500_000_000;
            if let Some(own) = self.at(middle_ns) {
                own.merge(sample);
            }
        }
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            sent: 0,
            received: 0,
            bytes_in: 0,
            bytes_out: 0,
            latency: Times::coarse(),
            live: 0,
            generator_cores: 0.0,
            server_cores: None,
            server_resident: None,
        }
    }
}

impl Sample {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.latency.add(&other.latency);
        self.live += other.live;
        self.generator_cores += other.generator_cores;
        self.server_cores = self.server_cores.or(other.server_cores);
        self.server_resident = self.server_resident.or(other.server_resident);
    }
}

impl Generator {
    /// Too busy, or too late.
    pub(crate) fn is_limited(&self) -> bool {
        self.cores > BUSY_CORES || self.late_p99_us > LATE_US
    }
}

impl ServerUse {
    /// CPU seconds a second.
    pub(crate) fn cores(&self) -> f64 {
        (self.user_us + self.system_us) as f64 / self.wall_us.max(1) as f64
    }

    /// Resident KiB that each connection added.
    pub(crate) fn resident_kib_per_connection(&self) -> Option<f64> {
        let grown = self.memory.resident as f64 - self.before?.resident as f64;
        (self.connections > 0).then(|| grown / self.connections as f64 / 1024.0)
    }
}

impl From<bool> for Setting {
    fn from(value: bool) -> Self {
        Self::Switch(value)
    }
}

impl From<u64> for Setting {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<usize> for Setting {
    fn from(value: usize) -> Self {
        Self::Count(value as u64)
    }
}

impl From<f64> for Setting {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Setting {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

fn add_all(to: &mut BTreeMap<u16, u64>, from: &BTreeMap<u16, u64>) {
    for (code, count) in from {
        *to.entry(*code).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(start_ns: u64, received: &[u64]) -> Outcome {
        let mut outcome = Outcome::new("relay");
        outcome.set("hz", 20.0);
        outcome.window = Window { start_ns, end_ns: start_ns + 2_000_000_000 };
        outcome.series.start_ns = start_ns;
        for (second, received) in received.iter().enumerate() {
            let sample = outcome.series.at(start_ns + second as u64 * 1_000_000_000).unwrap();
            sample.received = *received;
            sample.latency.record_us(100);
            outcome.add(RECEIVED, *received);
        }
        let mut times = Times::new();
        times.record_us(100);
        outcome.add_times(LATENCY, &times);
        outcome.closed.insert(1000, 1);
        outcome.generators.push(Generator::default());
        outcome
    }

    #[test]
    fn outcomes_add_up_and_so_do_their_seconds() {
        let mut sum = one(5_000_000_000, &[1, 2]);
        sum.merge(one(4_100_000_000, &[10, 20, 30]));
        assert_eq!(sum.count(RECEIVED), 63);
        assert_eq!(sum.window, Window { start_ns: 4_100_000_000, end_ns: 7_000_000_000 });
        assert_eq!(sum.series.start_ns, 4_100_000_000);
        let received: Vec<_> = sum.series.samples.iter().map(|sample| sample.received).collect();
        assert_eq!(received, [10, 21, 32]);
        assert_eq!(sum.series.samples[1].latency.count(), 2);
        assert_eq!(sum.percentiles(LATENCY).unwrap().count, 2);
        assert_eq!((sum.closed[&1000], sum.generators.len()), (2, 2));
        assert!(sum.passed());
    }

    #[test]
    fn an_outcome_travels() {
        let outcome = one(1, &[3]);
        let text = serde_json::to_string(&outcome).unwrap();
        let back: Outcome = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert_eq!(back.settings["hz"], Setting::Number(20.0));
    }

    #[test]
    fn what_is_wrong_is_a_failure_and_loss_only_where_it_was_not_asked_for() {
        let mut outcome = one(1, &[3]);
        outcome.add(LOST, 2);
        outcome.may_lose = true;
        outcome.generators[0].cores = 0.99;
        outcome.judge();
        assert!(outcome.passed() && outcome.is_generator_limited());
        assert_eq!(outcome.warnings.len(), 1);
        outcome.may_lose = false;
        outcome.errors = 1;
        outcome.judge();
        assert_eq!(outcome.failures, ["2 messages lost", "1 errors, the first: ?"]);
    }

    #[test]
    fn seconds_are_bounded() {
        let mut series = Series { start_ns: 10, samples: Vec::new() };
        assert!(series.at(9).is_none(), "before the first");
        assert!(series.at(10 + SAMPLES_MAX as u64 * 1_000_000_000).is_none());
        assert!(series.at(1_000_000_009).is_some() && series.samples.len() == 1);
    }
}
