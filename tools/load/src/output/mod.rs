//! How what a run finds is shown: while it goes on ([`Live`]), and when it is over: as a table for
//! people ([`table()`]), as `HdrHistogram`'s text ([`hgrm()`]), as a page with plots ([`report`]).
//!
//! Everything but [`Live`] is a function from an [`Outcome`] to text and touches nothing.
//!
//! Deliberately absent: files, options, and the JSON, which is `outcome/flat.rs`.

mod chart;
mod hgrm;
mod html;
mod live;
#[cfg(test)]
mod samples;
mod table;

use crate::outcome::{
    CORRUPT, DISORDERED, FOREIGN, LOST, Outcome, Percentiles, REPEATED, Setting, Try, UNSENT,
};
pub(crate) use hgrm::hgrm;
pub(crate) use html::report;
pub(crate) use live::{Live, Look, Phase};
use madang_protocol::CloseCode;
pub(crate) use table::table;

/// Counts of what should not be, with what it is called.
const WRONG: [(&str, &str); 6] = [
    (LOST, "lost"),
    (REPEATED, "repeated"),
    (DISORDERED, "out of order"),
    (CORRUPT, "corrupt"),
    (FOREIGN, "foreign"),
    (UNSENT, "not sent"),
];

/// A whole number with its digits in groups.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure with about four digits.
fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    let size = value.abs();
    if size >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(size.round() as u64))
    } else if value.fract() == 0.0 {
        format!("{value}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// Microseconds as milliseconds.
fn ms(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.2}", us as f64 / 1000.0),
        10_000..1_000_000 => format!("{:.1}", us as f64 / 1000.0),
        _ => grouped(us / 1000),
    }
}

/// Bytes as people say them.
fn bytes(count: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (count, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", units[unit])
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A setting's value.
fn setting(value: &Setting) -> String {
    match value {
        Setting::Switch(true) => "yes".to_owned(),
        Setting::Switch(false) => "no".to_owned(),
        Setting::Count(count) => grouped(*count),
        Setting::Number(number) => figure(*number),
        Setting::Text(text) => text.clone(),
    }
}

/// A name of a setting, count, time or figure, as people read it.
fn words(name: &str) -> String {
    name.replace('_', " ").replace('.', ": ")
}

/// What a close code is called; nothing where it is nobody's.
fn close_name(code: u16) -> Option<&'static str> {
    match code {
        1001 => Some("going away"),
        1005 => Some("no code"),
        1006 => Some("no close frame"),
        _ => CloseCode::find(code).map(|known| known.name),
    }
}

/// How connections ended, one line each.
fn endings(outcome: &Outcome) -> Vec<String> {
    let mut out = Vec::new();
    for (status, count) in &outcome.refused {
        out.push(format!("{} refused with {status}", grouped(*count)));
    }
    for (code, count) in &outcome.closed {
        let name = close_name(*code).map(|name| format!(" {name}")).unwrap_or_default();
        out.push(format!("{} closed with {code}{name}", grouped(*count)));
    }
    if outcome.broken > 0 {
        out.push(format!("{} broken off", grouped(outcome.broken)));
    }
    if outcome.errors > 0 {
        let first = outcome.first_error.as_deref().unwrap_or("unknown");
        out.push(format!("{} errors, the first: {first}", grouped(outcome.errors)));
    }
    out
}

/// What went wrong with messages: counts above 0.
fn wrong(outcome: &Outcome) -> Vec<String> {
    let counted = WRONG.iter().map(|(name, what)| (outcome.count(name), what));
    let counted = counted.filter(|(count, _)| *count > 0);
    counted.map(|(count, what)| format!("{} {what}", grouped(count))).collect()
}

/// Why a run did not pass, that of its parts included.
fn reasons(outcome: &Outcome) -> Vec<String> {
    let mut out = outcome.failures.clone();
    for judged in outcome.judged.iter().filter(|judged| !judged.held) {
        let found = judged.found.map_or("nothing".to_owned(), figure);
        out.push(format!("{} did not hold: {found} was found", judged.expected));
    }
    for part in &outcome.parts {
        out.extend(reasons(part).into_iter().map(|why| format!("{}: {why}", part.name)));
    }
    out
}

/// The tries of a search, ascending by rate: it goes back and forth.
fn tries(outcome: &Outcome) -> Vec<&Try> {
    let mut tries: Vec<&Try> = outcome.tries.iter().collect();
    tries.sort_by(|one, other| one.hz.total_cmp(&other.hz));
    tries
}

/// What became of a try.
fn verdict_of_try(one: &Try) -> String {
    let limit = if one.generator_limited { " (the generator was at its limit)" } else { "" };
    if one.held {
        format!("held{limit}")
    } else {
        format!("{} did not hold{limit}", one.broken.join(", "))
    }
}

/// The five of a distribution that tables have.
fn five(times: &Percentiles) -> [u64; 5] {
    [times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.max_us]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_read_them() {
        let texts = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
        let texts = [0.0, 0.25, 12.345, 100.06, -1234.5, f64::NAN].map(figure);
        assert_eq!(texts, ["0", "0.2500", "12.35", "100.1", "-1,235", "none"]);
        assert_eq!([0, 1234, 12_345, 9_999_999].map(ms), ["0.00", "1.23", "12.3", "9,999"]);
        let texts = [0.0, 999.0, 1500.0, 123_456_789.0].map(bytes);
        assert_eq!(texts, ["0 B", "999 B", "1.5 kB", "123 MB"]);
        assert_eq!(words("slow.first_bytes"), "slow: first bytes");
        assert_eq!(close_name(4008), Some("slow_consumer"));
        assert_eq!(close_name(3999), None);
    }
}
