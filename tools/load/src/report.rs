//! What a run found, as a table for people.

use crate::fleet::Tolls;
use crate::outcome::{
    BYTES_IN, CORRUPT, DELIVERIES, DISORDERED, EXPECTED, FOREIGN, FRAMES, LIVE_AT_END, LOST,
    Outcome, Percentiles, RECEIVED, REPEATED, SENT, ServerUse, Setting, UNSENT,
};
use crate::process::Memory;
use std::collections::BTreeMap;
use std::fmt::Write as _;

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

/// The table of an outcome and its parts.
pub(crate) fn table(outcome: &Outcome) -> String {
    let mut out = String::new();
    put(outcome, &mut out);
    out.push_str(if outcome.passed() { "  passed\n" } else { "  FAILED\n" });
    out
}

fn put(outcome: &Outcome, out: &mut String) {
    let settings: Vec<_> = outcome.settings.iter().map(|(name, value)| said(name, value)).collect();
    // Writing into a string cannot fail.
    let _ = writeln!(out, "{}: {}", outcome.name, settings.join(", "));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<14} {value}");
    };
    let known = [SENT, UNSENT, EXPECTED, RECEIVED, DELIVERIES, LOST, REPEATED, DISORDERED];
    let known = [&known[..], &[CORRUPT, FOREIGN, FRAMES, BYTES_IN, LIVE_AT_END]].concat();
    let count = |name| outcome.count(name);
    if outcome.counts.contains_key(SENT) {
        line("sent", &format!("{} ({} not)", count(SENT), count(UNSENT)));
    }
    if outcome.counts.contains_key(EXPECTED) {
        let reach = outcome.reach();
        line("received", &format!("{} of {}, reach {reach:.6}", count(RECEIVED), count(EXPECTED)));
        let wrong = [
            (LOST, "lost"),
            (REPEATED, "repeated"),
            (DISORDERED, "out of order"),
            (CORRUPT, "corrupt"),
            (FOREIGN, "foreign"),
        ];
        let wrong: Vec<_> =
            wrong.iter().map(|(name, what)| format!("{} {what}", count(name))).collect();
        line("wrong", &wrong.join(", "));
    }
    if outcome.counts.contains_key(DELIVERIES) {
        let frames = outcome.per_second(FRAMES);
        let bytes = outcome.per_second(BYTES_IN) / 1e6;
        let rate = outcome.per_second(DELIVERIES);
        line("rate", &format!("{rate:.0} deliveries/s in {frames:.0} frames/s, {bytes:.1} MB/s"));
    }
    for (name, count) in &outcome.counts {
        if !known.contains(&name.as_str()) {
            line(name, &count.to_string());
        }
    }
    for (name, times) in &outcome.times {
        line(name, &percentiles(&times.percentiles()));
    }
    if let Some(server) = &outcome.server {
        put_server(outcome, server, &mut line);
    }
    for (name, figure) in &outcome.figures {
        line(name, &format!("{figure:.3}"));
    }
    let cores: Vec<_> =
        outcome.generators.iter().map(|generator| format!("{:.2}", generator.cores)).collect();
    if !cores.is_empty() {
        line("generator CPU", &format!("{} cores", cores.join(" + ")));
    }
    let ended = endings_of(
        &outcome.refused,
        &outcome.closed,
        outcome.broken,
        outcome.errors,
        outcome.first_error.as_deref(),
    );
    line("connections", &format!("{} live at the end; {ended}", count(LIVE_AT_END)));
    for judged in &outcome.judged {
        let found = judged.found.map_or("nothing".to_owned(), |found| format!("{found}"));
        let held = if judged.held { "held" } else { "BROKEN" };
        line("expected", &format!("{}: {held}, found {found}", judged.expected));
    }
    for warning in &outcome.warnings {
        line("warning", warning);
    }
    for failure in &outcome.failures {
        line("failure", failure);
    }
    for part in &outcome.parts {
        put(part, out);
    }
}

fn put_server(outcome: &Outcome, server: &ServerUse, line: &mut impl FnMut(&str, &str)) {
    let mut cpu = format!("{:.2} cores", server.cores());
    if let Some((user, system)) = outcome.server_us_per_delivery() {
        let _ = write!(
            cpu,
            ", {:.3} us a delivery ({user:.3} user, {system:.3} system)",
            user + system
        );
    }
    line("server CPU", &cpu);
    let mut memory = mib(&server.memory);
    if let Some(kib) = server.resident_kib_per_connection() {
        let _ = write!(memory, ", {kib:.2} KiB resident a connection");
    }
    line("server memory", &memory);
}

fn said(name: &str, value: &Setting) -> String {
    match value {
        Setting::Switch(value) => format!("{name} {value}"),
        Setting::Count(value) => format!("{name} {value}"),
        Setting::Number(value) => format!("{name} {value}"),
        Setting::Text(value) => format!("{name} {value}"),
    }
}

fn percentiles(times: &Percentiles) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    format!(
        "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
        ms(times.p50_us),
        ms(times.p90_us),
        ms(times.p99_us),
        ms(times.p999_us),
        ms(times.max_us)
    )
}

fn mib(memory: &Memory) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!("{:.2} MiB anonymous, {:.2} MiB resident", mib(memory.anonymous), mib(memory.resident))
}
